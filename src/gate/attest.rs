//! A verdict and what it rests on, signed and pushed beside the image: SBOMs and scans of the platforms, and the verdict
//! itself for the image and each platform.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::attestation::predicate::{Summary, scan, summary};
use crate::attestation::{PublicKey, Trust};
use crate::image::limits::Limits;
use crate::model::attestation::{Attestation, Attested, SignedManifest};
use crate::model::digest::Digest;
use crate::model::evidence::{Evidence, PlatformEvidence};
use crate::model::fact::Fact;
use crate::model::location::Location;
use crate::model::predicate::{CYCLONEDX, SPDX, VSA, VULN};
use crate::model::reference::Reference;
use crate::model::verdict::{Decision, Verdict};
use crate::policy::{RULES, SelectedPolicy};
use crate::registry::Registry;
use crate::sbom;
use crate::sigstore::Run;

use super::sign::{Format, Job, SignError, Signing, Target, What, log_of_key, signer, targets};
use super::source::{Source, Unopened};

/// What is attested, and how.
#[derive(Debug, Clone, Copy)]
pub struct AttestRequest<'a> {
    /// The image, in a registry.
    pub reference: &'a Reference,
    /// The registry.
    pub registry: &'a Registry,
    /// What is known of the image.
    pub evidence: &'a Evidence,
    /// By which policy that was decided.
    pub policy: &'a SelectedPolicy<'a>,
    /// What was decided. What is undecided is not attested.
    pub verdict: &'a Verdict,
    /// Who verified: a URI, which whoever relies on the verdict pins.
    pub verifier: &'a str,
    /// Whether SBOMs are attested in SPDX as well.
    pub spdx: bool,
    /// The roots by which what was made is verified.
    pub trust: &'a Trust,
    /// The public key, where a key signs.
    pub key: Option<&'a PublicKey>,
    /// Bounds on what is read.
    pub limits: &'a Limits,
}

/// Attests a verdict. Everything is signed in one run, before the first is pushed; what was pushed is read back. Older
/// ones of the same kinds by the same signer are taken away: the newest verdict is the one that counts.
///
/// # Errors
/// [`SignError`]. What was pushed until then stays: the same call again goes on from there.
pub fn attest(request: &AttestRequest<'_>, run: &Run) -> Result<Vec<SignedManifest>, SignError> {
    if request.verdict.decision == Decision::Undecided {
        return Err(SignError::Usage("an undecided verdict is not attested".into()));
    }
    let digest = request.evidence.image.digest.clone();
    let digest = digest.ok_or_else(|| SignError::Unread("the image has no digest".into()))?;
    // By the digest that was judged: a tag may lead elsewhere by now.
    let reference = Reference { tag: None, digest: Some(digest), ..request.reference.clone() };
    let location = Location::Registry(reference.clone());
    let opened = Source::root(&location, Some(request.registry), request.limits);
    let (source, root, bytes) = opened.map_err(|error| match error {
        Unopened::Choice(error) => SignError::Usage(error.to_string()),
        Unopened::Fault(fault) => SignError::Unread(fault.to_string()),
    })?;
    let targets = targets(&source, root, &bytes, true, request.limits)?;
    let jobs = jobs(request, &reference, targets)?;
    let signing = Signing {
        source: &source,
        name: &reference.name(),
        format: Format::Bundle,
        who: signer(run, request.key)?,
        key: request.key,
        log: log_of_key(run),
        trust: request.trust,
        limits: request.limits,
        now: request.verdict.evaluated_at,
    };
    signing.run(&jobs, run)
}

/// What is to be said of each manifest. One gets a verdict only where all that is below it was judged. Attack: an index
/// of which one platform was judged, whose verdict then admits the others.
fn jobs(
    request: &AttestRequest<'_>,
    reference: &Reference,
    targets: Vec<Target>,
) -> Result<Vec<Job>, SignError> {
    let platforms = request.evidence.platforms.known().map(Vec::as_slice).unwrap_or_default();
    let judged = |digest: &Digest| platforms.iter().find(|platform| platform.digest.as_ref() == Some(digest));
    let all_judged = |below: &BTreeSet<Digest>| {
        request.evidence.wanted.is_none()
            && !below.is_empty()
            && below.iter().all(|digest| judged(digest).is_some())
    };
    let mut jobs = Vec::new();
    for target in &targets {
        match (&target.below, judged(&target.descriptor.digest)) {
            (Some(below), _) if all_judged(below) => {}
            (None, Some(platform)) => {
                for (predicate_type, predicate, alike) in documents(request, platform)? {
                    jobs.push(job(target, predicate_type, predicate, alike));
                }
            }
            (Some(_), _) | (None, None) => continue,
        }
        jobs.push(job(target, VSA, verdict(request, reference, target)?, SAME_VERDICT));
    }
    match jobs.is_empty() {
        true => Err(SignError::Usage("nothing of the image was judged as a whole".into())),
        false => Ok(jobs),
    }
}

/// A newer verdict is in the place of an older one by the same verifier and policy, for the same scope.
const SAME_VERDICT: &[&str] = &["/verifier/id", "/policy/digest", "/policy/uri", "/resourceUri"];

/// A newer scan is in the place of an older one of the same scanner, and not of somebody else's.
const SAME_SCANNER: &[&str] = &["/scanner/uri"];

/// The same of a CycloneDX document: the tool that made it.
const SAME_TOOL: &[&str] = &["/metadata/tools/components/0/name"];

/// The same of an SPDX document: the tool and its version, which stand in one text.
const SAME_CREATOR: &[&str] = &["/creationInfo/creators"];

/// The verdict as whoever pulls this manifest looks for it.
fn verdict(request: &AttestRequest<'_>, reference: &Reference, target: &Target) -> Result<Value, SignError> {
    let attested = request.evidence.attested.known().into_iter().flatten();
    let related = attested.filter(|attested| is_related(target, attested));
    let inputs = related.flat_map(|attested| &attested.attestations);
    // Attack: what anybody hung on the image, named by the verifier as what the verdict rests on.
    let inputs: Vec<&Attestation> = inputs.filter(|one| request.policy.may_sign(one)).collect();
    let resource = format!("{}@{}", reference.name(), target.descriptor.digest);
    let summary = summary(&Summary {
        verdict: request.verdict,
        verifier: request.verifier,
        resource: &resource,
        repository: &reference.name(),
        inputs: &inputs,
        timed: |kind| RULES.iter().find(|rule| rule.kind() == kind).is_none_or(|rule| rule.timed()),
    });
    summary.ok_or_else(|| SignError::Usage("an undecided verdict is not attested".into()))
}

/// Whether what is signed of a manifest was looked at for the verdict on another: on it, on what leads to it, and on what
/// it leads to.
fn is_related(target: &Target, attested: &Attested) -> bool {
    let digest = &target.descriptor.digest;
    match (&target.below, &attested.below) {
        _ if attested.subject == *digest => true,
        (_, None) if attested.platform.is_none() => true,
        (None, None) => false,
        (None, Some(below)) => below.contains(digest),
        (Some(own), None) => own.contains(&attested.subject),
        (Some(own), Some(below)) => below.is_subset(own) || own.is_subset(below),
    }
}

fn job(target: &Target, predicate_type: &str, predicate: Value, alike: &'static [&'static str]) -> Job {
    let predicate_type = predicate_type.to_owned();
    Job {
        target: target.clone(),
        what: What::Attestation { predicate_type, predicate, replace: Some(alike) },
    }
}

/// A document, its type, and by what an older one is known that it is in the place of.
type Document = (&'static str, Value, &'static [&'static str]);

/// SBOM and scan of a platform.
fn documents(request: &AttestRequest<'_>, platform: &PlatformEvidence) -> Result<Vec<Document>, SignError> {
    let (evidence, verdict) = (request.evidence, request.verdict);
    let mut documents = Vec::new();
    // What could not be read has no SBOM: an empty one would be a lie.
    if let Fact::Known(inventory) = &platform.inventory {
        let subject = sbom::Subject {
            image: &evidence.image,
            reference: Some(request.reference),
            platform,
            inventory,
            base: None,
            created: None,
        };
        let formats = [("cyclonedx", CYCLONEDX, SAME_TOOL), ("spdx", SPDX, SAME_CREATOR)];
        for (id, predicate_type, alike) in formats.into_iter().take(if request.spdx { 2 } else { 1 }) {
            let failed =
                |cause: String| SignError::Unread(format!("the SBOM of {}: {cause}", platform.platform));
            let format = sbom::format(id).ok_or_else(|| failed(format!("no format `{id}`")))?;
            let bytes = format.render(&subject).map_err(|error| failed(error.to_string()))?;
            let document = serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
            documents.push((predicate_type, document, alike));
        }
    }
    // Without a snapshot nobody could say what was looked for: there is no such scan.
    if let (Fact::Known(findings), Fact::Known(snapshot)) = (&platform.findings, &evidence.snapshot) {
        documents.push((VULN, scan(findings, snapshot, verdict.evaluated_at), SAME_SCANNER));
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attack: attestations on one platform, told as what the verdict on another rests on.
    #[test]
    fn a_verdict_rests_on_what_leads_to_its_manifest_and_on_what_that_leads_to() {
        let digest = |name: &str| Digest::sha256(name.as_bytes());
        let set = |names: &[&str]| names.iter().map(|name| digest(name)).collect::<BTreeSet<_>>();
        let attested = |name: &str, platform: Option<&str>, below: Option<&[&str]>| Attested {
            subject: digest(name),
            platform: platform.map(|platform| platform.parse().unwrap()),
            below: below.map(set),
            attestations: Vec::new(),
            refused: Vec::new(),
            unknown: Vec::new(),
        };
        let all = [
            attested("root", None, None),
            attested("middle", None, Some(&["b", "c"])),
            attested("inner", None, Some(&["c"])),
            attested("a", Some("linux/amd64"), None),
            attested("b", Some("linux/arm64"), None),
            attested("c", Some("linux/s390x"), None),
        ];
        let related = |name: &str, below: Option<&[&str]>| {
            let target = Target {
                descriptor: crate::model::descriptor::Descriptor {
                    digest: digest(name),
                    ..crate::model::descriptor::Descriptor::of("a/b", b"")
                },
                platform: None,
                below: below.map(set),
            };
            all.iter().map(|one| is_related(&target, one)).collect::<Vec<_>>()
        };
        assert_eq!(related("a", None), [true, false, false, true, false, false]);
        assert_eq!(related("b", None), [true, true, false, false, true, false]);
        assert_eq!(related("c", None), [true, true, true, false, false, true]);
        assert_eq!(related("inner", Some(&["c"])), [true, true, true, false, false, true]);
        assert_eq!(related("middle", Some(&["b", "c"])), [true, true, true, false, true, true]);
        assert_eq!(related("root", Some(&["a", "b", "c"])), [true; 6]);
    }
}
