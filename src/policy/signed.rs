//! What rules about signatures and attestations have in common: whose count, and of which manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::sync::Arc;

use crate::model::attestation::{Attestation, Attested, Refused, SignedBy};
use crate::model::digest::Digest;
use crate::model::evidence::PlatformEvidence;
use crate::model::fact::Fact;
use crate::model::path::escape;
use crate::model::signer::Name;

use super::error::Errors;
use super::fields::Fields;
use super::identity::{Identities, NamedIdentity};
use super::rule::{Decided, Subject, count, list};

/// How many of several must have signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Require {
    /// One of them.
    Any,
    /// Each of them.
    All,
    /// At least so many of them.
    AtLeast(usize),
}

impl Require {
    /// The number, of so many who are named.
    ///
    /// # Errors
    /// There are not so many, or none is asked for: a lowercase fragment.
    pub(crate) fn of(self, named: usize) -> Result<usize, String> {
        match self {
            Self::Any => Ok(1),
            Self::All => Ok(named),
            Self::AtLeast(number) if (1..=named).contains(&number) => Ok(number),
            Self::AtLeast(number) => {
                let noun = if named == 1 { "identity" } else { "identities" };
                Err(format!("{number} of {named} {noun} cannot be required"))
            }
        }
    }
}

impl FromStr for Require {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("any", _) => Ok(Self::Any),
            ("all", _) => Ok(Self::All),
            (_, Ok(number)) => Ok(Self::AtLeast(number)),
            (_, Err(_)) => Err(format!("expected `any`, `all` or a number, found `{text}`")),
        }
    }
}

/// Whose signatures count, and how many of them are needed.
#[derive(Debug, Clone)]
pub struct By {
    pub(crate) identities: Vec<Arc<NamedIdentity>>,
    needed: usize,
    /// Whether each platform's own manifest must be signed, and the index above it is not enough.
    per_platform: bool,
}

impl By {
    /// So many of these.
    ///
    /// # Errors
    /// There are not so many: a lowercase fragment.
    pub(crate) fn of(identities: Vec<Arc<NamedIdentity>>, require: Require) -> Result<Self, String> {
        let needed = require.of(identities.len())?.max(1);
        Ok(Self { identities, needed, per_platform: false })
    }

    /// How many of them are needed, at least one.
    pub(crate) fn needed(&self) -> usize {
        self.needed
    }

    /// Whether as many as are needed made some of these, each by himself.
    ///
    /// # Errors
    /// Who is missing, and who made them.
    pub(crate) fn made(&self, attestations: &[&Attestation], what: &str) -> Result<(), Missing> {
        let mut fitting: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for attestation in attestations {
            let signers = self.signers(attestation);
            fitting.entry(holder(&attestation.signed_by)).or_default().extend(signers);
        }
        let there = assigned(&fitting);
        if there.len() >= self.needed {
            return Ok(());
        }
        let others = self.strangers(attestations.iter().copied()).into_iter().collect();
        Err(Missing { headline: self.headline(&fitting, what), others })
    }

    /// The names of those who made it.
    pub(crate) fn signers(&self, attestation: &Attestation) -> Vec<&str> {
        self.names_of(&attestation.signed_by, !attestation.logs.is_empty())
    }

    /// The names of the identities that somebody is who signed, and whether it is in a log.
    pub(crate) fn names_of(&self, signed_by: &SignedBy, logged: bool) -> Vec<&str> {
        let signed = self.identities.iter().filter(|one| one.check_signer(signed_by, logged).is_ok());
        signed.map(|identity| identity.name.as_str()).collect()
    }

    /// Reads `by`, `require` and `perPlatform`, which is false where it does not stand.
    pub(crate) fn read(
        fields: &mut Fields<'_>,
        identities: &Identities,
        errors: &mut Errors,
    ) -> Option<Self> {
        Self::read_or(fields, identities, false, errors)
    }

    /// The same; `per_platform` is what `perPlatform` is where it does not stand.
    pub(crate) fn read_or(
        fields: &mut Fields<'_>,
        identities: &Identities,
        per_platform: bool,
        errors: &mut Errors,
    ) -> Option<Self> {
        let by = fields.required("by");
        let by = errors.keep(by).and_then(|node| {
            let names = identities.read_names(node, errors);
            errors.keep(names)
        });
        let all = by.as_ref().map_or(0, Vec::len);
        let needed = fields.read("require", errors, |node| {
            node.read("`any`, `all` or a number", |text| text.parse::<Require>()?.of(all))
        });
        let stated = fields.read("perPlatform", errors, |node| node.boolean());
        let per_platform = stated.unwrap_or(per_platform);
        let identities = by.filter(|by| !by.is_empty())?;
        Some(Self { identities, needed: needed.unwrap_or(1).max(1), per_platform })
    }

    /// Whether what is signed of every platform is enough. `fits` says why an attestation that the right one signed is
    /// not what is asked for; `what` is what is looked for, such as `signature`.
    pub(crate) fn decide(
        &self,
        subject: &Subject<'_>,
        what: &str,
        fits: &dyn Fn(&Attestation, &PlatformEvidence) -> Fits,
    ) -> Decided {
        let judge = |all: &[(&Attestation, &Digest)], platform: &PlatformEvidence| {
            all.iter().map(|(attestation, _)| fits(attestation, platform)).collect()
        };
        self.decide_on_all(subject, &Asked { what, judge: &judge, whole: false })
    }

    /// The same where one attestation may speak against another: `judge` gets all that the right ones signed of the
    /// platform's manifest and of the indexes above it, each with the manifest that it is of, and answers for each in
    /// turn. What could not be seen might be
    /// the one that speaks against the others, so that it leaves the rule undecided.
    pub(crate) fn decide_together(&self, subject: &Subject<'_>, what: &str, judge: &Judge<'_>) -> Decided {
        self.decide_on_all(subject, &Asked { what, judge, whole: true })
    }

    fn decide_on_all(&self, subject: &Subject<'_>, asked: &Asked<'_>) -> Decided {
        let mut decided = Decided::default();
        let attested = match &subject.evidence.attested {
            Fact::Known(attested) => attested,
            Fact::Absent => {
                decided.undecided(None, "nobody looked for signatures: what is judged has none beside it");
                return decided;
            }
            Fact::Unknown(cause) => {
                decided.undecided(None, format!("what is signed of the image is not known: {cause}"));
                return decided;
            }
        };
        for platform in subject.platforms(&mut decided) {
            self.decide_on(platform, attested, asked, &mut decided);
        }
        decided
    }

    /// Whether what is signed of a manifest speaks for a platform: that of its own, and unless each platform must be
    /// signed by itself, that of an index above it.
    fn counts(&self, attested: &Attested, platform: &PlatformEvidence) -> bool {
        let manifest = platform.digest.as_ref();
        if self.per_platform { attested.is_of(manifest) } else { attested.concerns(manifest) }
    }

    /// What the right ones signed of some manifests, and who of them.
    fn accepted<'a>(&'a self, relevant: &[&'a Attested], platform: &PlatformEvidence) -> Vec<Accepted<'a>> {
        let mut accepted = Vec::new();
        for attested in relevant {
            let counts = self.counts(attested, platform);
            for attestation in &attested.attestations {
                let signers = self.signers(attestation);
                if !signers.is_empty() {
                    accepted.push(Accepted { attestation, subject: &attested.subject, signers, counts });
                }
            }
        }
        accepted
    }

    fn decide_on(
        &self,
        platform: &PlatformEvidence,
        attested: &[Attested],
        asked: &Asked<'_>,
        decided: &mut Decided,
    ) {
        let place = Some(&platform.platform);
        let mut relevant: Vec<&Attested> = attested
            .iter()
            .filter(|attested| {
                self.counts(attested, platform)
                    || (asked.whole && attested.leads_to(platform.digest.as_ref()))
            })
            .collect();
        let accepted = self.accepted(&relevant, platform);
        let attestations: Vec<(&Attestation, &Digest)> =
            accepted.iter().map(|one| (one.attestation, one.subject)).collect();
        let judged = (asked.judge)(&attestations, platform);
        let unseen = unseen(&relevant, asked.whole);
        relevant.retain(|attested| self.counts(attested, platform));
        let mut fitting: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        let mut doubts: Vec<String> = Vec::new();
        let mut others: Vec<String> = Vec::new();
        for (one, fits) in accepted.iter().zip(judged).filter(|(one, _)| one.counts) {
            match fits {
                Fits::Yes => {
                    fitting.entry(holder(&one.attestation.signed_by)).or_default().extend(&one.signers)
                }
                Fits::No(Some(cause)) => {
                    others.extend(one.signers.iter().map(|name| format!("that of `{name}` {cause}")));
                }
                Fits::No(None) => {}
                Fits::Unknown(cause) => doubts.push(cause),
            }
        }
        let there = assigned(&fitting);
        if there.len() >= self.needed {
            // Attack: the one that says the opposite is held back, so that only the older one is seen.
            if asked.whole && !unseen.is_empty() {
                let text = format!(
                    "not all could be looked at, and a later one may say the opposite of a {}: {}",
                    asked.what,
                    list(&unseen)
                );
                decided.undecided(place, text);
            }
            return;
        }
        let headline = self.headline(&fitting, asked.what);
        doubts.extend(unseen);
        // What could not be seen may be the one that is missing.
        if !doubts.is_empty() {
            return decided
                .undecided(place, format!("{headline}, and not all could be looked at: {}", list(&doubts)));
        }
        others.extend(self.strangers(relevant.iter().flat_map(|attested| &attested.attestations)));
        decided.violate(place, violated(headline, others, &relevant));
    }

    /// What is missing.
    fn headline(&self, fitting: &BTreeMap<String, BTreeSet<&str>>, what: &str) -> String {
        let there = assigned(fitting);
        let names = self.identities.iter().map(|identity| identity.name.as_str());
        let missing: Vec<String> =
            names.filter(|name| !there.contains(name)).map(|name| format!("`{name}`")).collect();
        match (self.needed, self.identities.len()) {
            (1, _) => format!("there is no {what} by {}", list(&missing)),
            (needed, _) => {
                let there = there.len();
                let more = if fitting.values().any(|names| names.len() > 1) {
                    "; a signer who is several of those who are named counts once"
                } else {
                    ""
                };
                format!("only {there} of {needed} {what}s are there, and none by {}{more}", list(&missing))
            }
        }
    }

    /// Who else signed, and in what they differ from the one who may.
    fn strangers<'a>(&self, attestations: impl Iterator<Item = &'a Attestation>) -> Vec<String> {
        let stranger = |attestation: &Attestation| {
            let mut causes = Vec::new();
            for identity in &self.identities {
                match identity.check(attestation) {
                    Ok(()) => return None,
                    Err(cause) => causes.push(cause),
                }
            }
            let who = shown(&attestation.signed_by);
            // Of several that may sign each differs in its own way, which would be a page.
            Some(match causes.as_slice() {
                [cause] => format!("{who} signed: {}", escape(cause.as_bytes())),
                _ => format!("{who} signed"),
            })
        };
        attestations.filter_map(stranger).collect()
    }
}

/// Why not as many have signed as are needed.
#[derive(Debug)]
pub struct Missing {
    /// Who is missing: a lowercase fragment.
    pub headline: String,
    /// Who else signed, and in what they differ from the one who may.
    pub others: BTreeSet<String>,
}

/// What attestations, each with the manifest that it is of, are worth for a platform.
type Judge<'j> = dyn Fn(&[(&Attestation, &Digest)], &PlatformEvidence) -> Vec<Fits> + 'j;

/// What a rule looks for.
struct Asked<'a> {
    what: &'a str,
    judge: &'a Judge<'a>,
    /// Whether all must be seen, since one may speak against another.
    whole: bool,
}

/// An attestation that one of the right ones signed.
struct Accepted<'a> {
    attestation: &'a Attestation,
    /// The manifest that it is of.
    subject: &'a Digest,
    /// The names of the identities that it is of.
    signers: Vec<&'a str>,
    /// Whether it speaks for the platform, or can only speak against it.
    counts: bool,
}

/// What could not be judged, which may be true. Attack, where one may speak against another: that one made illegible, so
/// that it is refused before anybody asks who signed.
fn unseen(relevant: &[&Attested], whole: bool) -> Vec<String> {
    let unseen = relevant.iter().flat_map(|attested| {
        let unread = |refused: &&Refused| refused.unjudged || (whole && refused.is_unread());
        let unread = attested.refused.iter().filter(unread);
        attested.unknown.iter().cloned().chain(unread.map(|refused| escape(refused.cause.as_bytes())))
    });
    unseen.collect()
}

fn violated(headline: String, mut others: Vec<String>, relevant: &[&Attested]) -> String {
    let refused: Vec<String> = relevant
        .iter()
        .flat_map(|attested| &attested.refused)
        .map(|refused| format!("{}: {}", refused.kind, escape(refused.cause.as_bytes())))
        .collect();
    let mut text = headline;
    if !others.is_empty() {
        others.sort();
        others.dedup();
        text.push_str(&format!("; {}", list(&others)));
    }
    if !refused.is_empty() {
        text.push_str(&format!("; {} not accepted ({})", count(refused.len(), "other"), list(&refused)));
    }
    text
}

/// Who signed, as one is told from another where several must: a name of an issuer, or a key. Attack: one workflow, run
/// for two refs, as the two that are demanded: whoever may push a branch has both. (Whose attestation takes the place of
/// whose is another question: `gate/sign/engine.rs`, `same_signer`.)
fn holder(signed_by: &SignedBy) -> String {
    match signed_by {
        SignedBy::Certificate(signer) => {
            let name = match &signer.name {
                Name::Uri(uri) => without_ref(uri),
                Name::Mail(name) | Name::User(name) => name,
            };
            format!("{} {name} {:?}", signer.name.kind(), signer.issuer)
        }
        SignedBy::Key(key) => key.to_string(),
    }
}

/// A workflow's name (`…/release.yml@refs/heads/main`, or `@` and a commit) without what it was run for.
fn without_ref(uri: &str) -> &str {
    if let Some((workflow, _)) = uri.split_once("@refs/") {
        return workflow;
    }
    match uri.rsplit_once('@') {
        Some((workflow, commit)) if commit.len() >= 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()) => {
            workflow
        }
        Some(_) | None => uri,
    }
}

/// The identities that have signed, each by somebody else: as many as can be. Attack: one signer who is two of the
/// identities, of which both are demanded.
fn assigned<'n>(fitting: &BTreeMap<String, BTreeSet<&'n str>>) -> BTreeSet<&'n str> {
    let mut by_name: BTreeMap<&str, &str> = BTreeMap::new();
    for holder in fitting.keys() {
        assign(holder, fitting, &mut by_name, &mut BTreeSet::new());
    }
    by_name.into_keys().collect()
}

/// Gives a holder one of its identities, where need be one that another holder can spare (Kuhn's algorithm). It goes as
/// deep as there are identities.
fn assign<'n, 'h>(
    holder: &'h str,
    fitting: &'h BTreeMap<String, BTreeSet<&'n str>>,
    by_name: &mut BTreeMap<&'n str, &'h str>,
    seen: &mut BTreeSet<&'n str>,
) -> bool {
    for name in fitting.get(holder).into_iter().flatten() {
        if !seen.insert(name) {
            continue;
        }
        let is_free = match by_name.get(name).copied() {
            Some(other) => assign(other, fitting, by_name, seen),
            None => true,
        };
        if is_free {
            by_name.insert(name, holder);
            return true;
        }
    }
    false
}

/// Whether an attestation is what is asked for.
pub(crate) enum Fits {
    Yes,
    /// It is not; why, unless it is something else altogether.
    No(Option<String>),
    /// That cannot be said.
    Unknown(String),
}

/// Characters of a foreign text in a message: 200. A predicate may have megabytes.
const SHOWN: usize = 200;

/// A foreign text for people: escaped, and cut where it is long.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("`{}…`", escape(text.get(..end).unwrap_or_default().as_bytes())),
        None => format!("`{}`", escape(text.as_bytes())),
    }
}

/// Who signed, for people.
pub(crate) fn shown(signed_by: &SignedBy) -> String {
    match signed_by {
        SignedBy::Certificate(signer) => format!("`{}`", escape(signer.name.as_str().as_bytes())),
        SignedBy::Key(key) => format!("the key {key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workflow_is_the_same_for_every_ref_and_commit() {
        let workflow = "https://github.com/a/b/.github/workflows/c.yml";
        let commit = "0123456789abcdef0123456789abcdef01234567";
        for of in ["refs/heads/main", "refs/tags/x@1", "refs/pull/1/merge", commit] {
            assert_eq!(without_ref(&format!("{workflow}@{of}")), workflow, "{of}");
        }
        for other in [workflow, "https://example.com/~a@b", "spiffe://a/b@c"] {
            assert_eq!(without_ref(other), other);
        }
    }
}
