//! `verdict`: a verifier whom the policy names has passed the image, as a SLSA verification summary says
//! (slsa.dev/spec/v1.1/verification_summary). Fields that it does not know are ignored, as the specification demands.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::attestation::predicate::EXTENSION;
use crate::model::attestation::{Attestation, Content, SignedBy};
use crate::model::digest::Digest;
use crate::model::evidence::PlatformEvidence;
use crate::model::fact::Fact;
use crate::model::predicate::VSA;
use crate::model::purl::Purl;
use crate::model::reference::Reference;
use crate::policy::fields::Fields;
use crate::policy::pattern::{Pattern, repository_glob};
use crate::policy::quantity::{parse_duration, show_duration};
use crate::policy::rule::{Decided, Reading, Rule, Sealed, Settings, Subject, list};
use crate::policy::signed::{By, Fits, quoted};

/// The kind `verdict`.
pub(crate) struct VerdictRule;

impl Rule for VerdictRule {
    fn kind(&self) -> &'static str {
        "verdict"
    }

    fn summary(&self) -> &'static str {
        "a verifier whom the policy names has passed the image (SLSA verification summary)"
    }

    /// `maxAge`, and what says that it is of the future, look at the time.
    fn timed(&self) -> bool {
        true
    }
}

/// By how much clocks of verifiers, logs and timestamp authorities may differ.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

#[derive(Debug)]
struct Verdict {
    by: By,
    verifier: String,
    /// Any of them; none where any policy will do.
    policies: Vec<Digest>,
    levels: Vec<String>,
    /// The scope of a policy of portcullis that must have judged; none where that of no scope is meant.
    scope: Option<String>,
    /// The repository that it must be about, where that is not the reference's.
    resource: Option<Pattern>,
    max_age: Option<SignedDuration>,
}

impl Sealed for VerdictRule {
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>> {
        let errors = &mut *document.errors;
        let mut fields = errors.keep(Fields::of(document.node, "`verdict`"))?;
        let by = By::read(&mut fields, &document.names.identities, errors);
        // The specification demands that the pair of signer and verifier is pinned.
        let expected = "the verifier's id, such as `https://acme.example/portcullis`";
        let verifier = fields.need("verifier", errors, |node| node.text(expected).map(str::to_owned));
        let expected = "digests of policies, such as `sha256:…`";
        let nodes = fields.read("policy", errors, |node| node.one_or_more(expected)).unwrap_or_default();
        let read = |text: &str| text.parse::<Digest>().map_err(|error| error.to_string());
        let policies = nodes.iter().filter_map(|node| errors.keep(node.read(expected, read))).collect();
        let expected = "levels, such as `SLSA_BUILD_LEVEL_2`";
        let nodes = fields.read("levels", errors, |node| node.one_or_more(expected)).unwrap_or_default();
        let levels = nodes.iter().filter_map(|node| errors.keep(node.text(expected))).map(str::to_owned);
        let levels = levels.collect();
        let scope = fields.read("scope", errors, |node| node.text("a scope's name").map(str::to_owned));
        let expected = "the repository that it is about, such as `ghcr.io/acme/app`";
        let resource = fields.read("resource", errors, |node| node.read(expected, repository_glob));
        let duration = "a duration such as `30d`";
        let max_age = fields.read("maxAge", errors, |node| node.read(duration, parse_duration));
        fields.finish(&[], errors);
        Some(Box::new(Verdict { by: by?, verifier: verifier?, policies, levels, scope, resource, max_age }))
    }
}

impl Settings for Verdict {
    fn decide(&self, subject: &Subject<'_>) -> Decided {
        let what = format!("passed verdict of the verifier `{}`", self.verifier);
        self.by.decide_together(subject, &what, &|all, platform| self.judge(all, subject, platform))
    }

    fn signers(&self) -> Option<&By> {
        Some(&self.by)
    }
}

/// When the verifier last refused the image.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Refused {
    At(Timestamp),
    /// Nobody says when.
    Sometime,
}

impl Verdict {
    /// Judges attestations, each with the manifest that it is of.
    fn judge(
        &self,
        all: &[(&Attestation, &Digest)],
        subject: &Subject<'_>,
        platform: &PlatformEvidence,
    ) -> Vec<Fits> {
        // Whatever repository, policy or levels it is about: the verifier looked at these very bytes.
        let refused = all.iter().filter(|(one, _)| self.refuses(one));
        let refused = refused
            .map(|(one, _)| one.times.last().map_or(Refused::Sometime, |time| Refused::At(*time)))
            .max();
        let judge = |(one, of): &(&Attestation, &Digest)| {
            let Some(summary) = summary(one) else { return Fits::No(None) };
            let judged = self.check(summary, subject, (platform, of)).and_then(|()| {
                let passed = passed_at(one, summary, subject.now)?;
                self.check_age(passed, subject.now)?;
                refused.map_or(Ok(()), |refused| check_refused(passed, refused))
            });
            judged.map_or_else(|fits| fits, |()| Fits::Yes)
        };
        all.iter().map(judge).collect()
    }

    /// Whether the verifier says anything but that the image passed.
    fn refuses(&self, attestation: &Attestation) -> bool {
        summary(attestation).is_some_and(|summary| {
            text(summary, "/verifier/id") == Some(&self.verifier) && !has_passed(summary)
        })
    }

    /// Everything but the times, of what is signed of the manifest `of` and is to count for a platform.
    fn check(
        &self,
        summary: &Value,
        subject: &Subject<'_>,
        (platform, of): (&PlatformEvidence, &Digest),
    ) -> Result<(), Fits> {
        match text(summary, "/verifier/id") {
            Some(id) if id == self.verifier => {}
            Some(id) => return no(format!("is of the verifier {}", quoted(id))),
            None => return no("names no verifier"),
        }
        if !has_passed(summary) {
            return no("says that the image did not pass");
        }
        if !self.policies.is_empty() && !self.policies.iter().any(|policy| judged_by(summary, policy)) {
            return no("is by another policy");
        }
        // Attack: the verdict of an easier scope, for development, of the same policy file. Its digest is the same.
        let judged_for =
            summary.get(EXTENSION).and_then(|fields| fields.get("scope")).and_then(Value::as_str);
        if judged_for != self.scope.as_deref() {
            let shown = judged_for
                .map_or_else(|| "no scope".to_owned(), |scope| format!("the scope {}", quoted(scope)));
            return no(format!("is for {shown}"));
        }
        let verified = summary.get("verifiedLevels").and_then(Value::as_array);
        let verified = || verified.into_iter().flatten().filter_map(Value::as_str);
        if verified().any(|level| level == "FAILED") {
            return no("says that the image passed and that it failed");
        }
        let lacks = |wanted: &&String| !verified().any(|level| covers(level, wanted));
        let lacking: Vec<String> = self.levels.iter().filter(lacks).cloned().collect();
        if !lacking.is_empty() {
            return no(format!("did not verify {}", list(&lacking)));
        }
        self.check_resource(summary, subject, (platform, of))
    }

    /// Attack: a verdict for `acme/app-dev`, whose rules are easier, copied beside the same image in `acme/app`.
    fn check_resource(
        &self,
        summary: &Value,
        subject: &Subject<'_>,
        (platform, of): (&PlatformEvidence, &Digest),
    ) -> Result<(), Fits> {
        let Some(uri) = text(summary, "/resourceUri") else { return no("does not say what it is about") };
        let Some((name, digest)) = resource(uri) else {
            return no(format!("is about {}, which is no image", quoted(uri)));
        };
        let fits = match (&self.resource, &subject.evidence.reference) {
            (Some(pattern), _) => pattern.matches(name.as_bytes()),
            (None, Fact::Known(reference)) => name == full_name(reference),
            (None, Fact::Absent) => {
                return Err(Fits::Unknown(
                    "no reference is given to compare a verdict's with (`--as REF`)".into(),
                ));
            }
            (None, Fact::Unknown(cause)) => {
                return Err(Fits::Unknown(format!("the reference is not known: {cause}")));
            }
        };
        if !fits {
            return no(format!("is about {}", quoted(uri)));
        }
        let Some(digest) = digest else { return Ok(()) };
        let image = subject.evidence.image.digest.as_ref();
        if image == Some(&digest) || platform.digest.as_ref() == Some(&digest) {
            return Ok(());
        }
        match (image, &platform.digest) {
            // What is signed of an index between the image's own and the platform is about that index.
            (Some(_), Some(_)) if *of == digest => Ok(()),
            (Some(_), Some(_)) => no(format!("is about {}, which is another image", quoted(uri))),
            (None, _) | (_, None) => {
                Err(Fits::Unknown("the image's digest is not known, to compare a verdict's with".into()))
            }
        }
    }

    /// Attack: a verdict of long ago, still beside the image. What its verifier did not know then, such as an advisory,
    /// it does not say.
    fn check_age(&self, passed: Timestamp, now: Timestamp) -> Result<(), Fits> {
        match self.max_age {
            Some(max) if now.duration_since(passed) > max => {
                no(format!("is of {passed}, more than {} ago", show_duration(max)))
            }
            Some(_) | None => Ok(()),
        }
    }
}

fn no<T>(cause: impl Into<String>) -> Result<T, Fits> {
    Err(Fits::No(Some(cause.into())))
}

/// The predicate, where it is a verification summary.
fn summary(attestation: &Attestation) -> Option<&Value> {
    match &attestation.content {
        Content::Statement { predicate_type, predicate } if predicate_type == VSA => Some(predicate),
        Content::Statement { .. } | Content::Signature { .. } => None,
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn has_passed(summary: &Value) -> bool {
    text(summary, "/verificationResult") == Some("PASSED")
}

/// Since when it holds: since it was signed, or since the time that it states, whichever is earlier.
///
/// A verdict that nobody says the time of could be any old one. Attack: an old verdict of a key, put into a log anew:
/// the log's time says only that the verdict is no younger.
fn passed_at(attestation: &Attestation, summary: &Value, now: Timestamp) -> Result<Timestamp, Fits> {
    let Some(signed) = attestation.times.first().copied() else {
        return Err(Fits::Unknown("when a verdict was signed is not known".into()));
    };
    if signed.duration_since(now) > SKEW {
        return no(format!("was signed {signed}, which is still to come"));
    }
    let verified = match summary.get("timeVerified") {
        None | Some(Value::Null) => None,
        Some(value) => match value.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
            Some(time) => Some(time),
            None => return no("has a `timeVerified` that is no time"),
        },
    };
    match (verified, &attestation.signed_by) {
        // Nobody but the signer says so. Attack: a time ahead, so that it stays fresh.
        (Some(verified), _) if verified.duration_since(signed) > SKEW => {
            no(format!("says that it was made {verified}, and was signed {signed}"))
        }
        (Some(verified), _) => Ok(verified.min(signed)),
        (None, SignedBy::Certificate(_)) => Ok(signed),
        (None, SignedBy::Key(_)) => {
            Err(Fits::Unknown("a verdict by a key does not say when it was made".into()))
        }
    }
}

/// Attack: a pass that is older than the verifier's last word.
fn check_refused(passed: Timestamp, refused: Refused) -> Result<(), Fits> {
    match refused {
        Refused::At(time) if time < passed => Ok(()),
        Refused::At(time) => no(format!("is of {passed}, and the verifier refused the image at {time}")),
        Refused::Sometime => {
            Err(Fits::Unknown("the verifier refused the image, and when is not known".into()))
        }
    }
}

/// Whether the policy's `digest`, a set by algorithm, has this one.
fn judged_by(summary: &Value, policy: &Digest) -> bool {
    let digests = summary.pointer("/policy/digest");
    digests.and_then(|digests| digests.get(policy.algorithm().name())).and_then(Value::as_str)
        == Some(policy.hex())
}

/// Whether a level that was verified is the wanted one, or one of the same SLSA track above it ("each SLSA level
/// implies all levels below it"). Any other word is itself alone.
fn covers(verified: &str, wanted: &str) -> bool {
    match (track(verified), track(wanted)) {
        (Some((track, high)), Some((same, low))) => track == same && high >= low,
        _ => verified == wanted,
    }
}

/// `SLSA_BUILD_LEVEL_2`: the track and the level.
fn track(text: &str) -> Option<(&str, u8)> {
    let (track, number) = text.strip_prefix("SLSA_")?.split_once("_LEVEL_")?;
    Some((track, number.parse().ok()?))
}

/// The repository and digest of a `resourceUri`: a reference, perhaps behind `oci://`, `docker://` or `https://`, or
/// a package URL of the type `oci`.
fn resource(uri: &str) -> Option<(String, Option<Digest>)> {
    if uri.starts_with("pkg:") {
        let purl: Purl = uri.parse().ok().filter(|purl: &Purl| purl.kind == "oci")?;
        let stated = purl.qualifiers.get("repository_url")?;
        let repository: Reference = plain(stated).parse().ok()?;
        // purl-spec, `oci`: the name is the last part of the repository's.
        let is_named = repository.repository.rsplit('/').next() == Some(purl.name.as_str());
        let digest = purl.version.map(|version| version.parse::<Digest>());
        let digest = digest.transpose().ok()?;
        return (is_named && repository.digest.is_none()).then(|| (full_name(&repository), digest));
    }
    let reference: Reference = plain(uri).parse().ok()?;
    Some((full_name(&reference), reference.digest))
}

fn plain(uri: &str) -> &str {
    let schemes = ["oci://", "docker://", "https://"];
    schemes.iter().find_map(|scheme| uri.strip_prefix(scheme)).unwrap_or(uri)
}

/// `registry/repository`. Docker Hub has two names, and that of a host has no case.
fn full_name(reference: &Reference) -> String {
    let registry = reference.registry.to_ascii_lowercase();
    let registry = if registry == "index.docker.io" { "docker.io" } else { registry.as_str() };
    format!("{registry}/{}", reference.repository)
}

#[cfg(test)]
mod tests;
