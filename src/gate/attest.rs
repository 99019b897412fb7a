//! A verdict and what it rests on, signed and pushed beside the image: SBOMs and scans of the platforms, and the verdict
//! itself for the image and each platform.

use serde_json::Value;

use crate::attestation::predicate::{Summary, scan, summary};
use crate::attestation::{PublicKey, Trust};
use crate::image::limits::Limits;
use crate::model::attestation::SignedManifest;
use crate::model::evidence::{Evidence, PlatformEvidence};
use crate::model::fact::Fact;
use crate::model::location::Location;
use crate::model::predicate::{CYCLONEDX, SPDX, VSA, VULN};
use crate::model::reference::Reference;
use crate::model::verdict::{Decision, Verdict};
use crate::policy::RULES;
use crate::registry::Registry;
use crate::sbom;
use crate::sigstore::Run;

use super::sign::{Format, Job, SignError, Signing, Target, What, signer, targets};
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
        trust: request.trust,
        limits: request.limits,
        now: request.verdict.evaluated_at,
    };
    signing.run(&jobs, run)
}

/// What is to be said of each manifest.
fn jobs(
    request: &AttestRequest<'_>,
    reference: &Reference,
    targets: Vec<Target>,
) -> Result<Vec<Job>, SignError> {
    let (evidence, verdict) = (request.evidence, request.verdict);
    let attested = match &evidence.attested {
        Fact::Known(attested) => attested.as_slice(),
        Fact::Absent | Fact::Unknown(_) => &[],
    };
    let vsa = summary(&Summary {
        verdict,
        verifier: request.verifier,
        resource: &reference.to_string(),
        repository: &reference.name(),
        attested,
        timed: |kind| RULES.iter().find(|rule| rule.kind() == kind).is_none_or(|rule| rule.timed()),
    });
    let vsa = vsa.ok_or_else(|| SignError::Usage("an undecided verdict is not attested".into()))?;
    let platforms = evidence.platforms.known().map(Vec::as_slice).unwrap_or_default();
    let mut jobs = Vec::new();
    for target in targets {
        let judged =
            platforms.iter().find(|platform| platform.digest.as_ref() == Some(&target.descriptor.digest));
        // A platform that was not judged gets no verdict: `--platform` chose others.
        if target.platform.is_some() && judged.is_none() {
            continue;
        }
        if let Some(platform) = judged {
            for (predicate_type, predicate) in documents(request, platform)? {
                jobs.push(job(&target, predicate_type, predicate));
            }
        }
        jobs.push(job(&target, VSA, vsa.clone()));
    }
    Ok(jobs)
}

fn job(target: &Target, predicate_type: &str, predicate: Value) -> Job {
    let predicate_type = predicate_type.to_owned();
    Job { target: target.clone(), what: What::Attestation { predicate_type, predicate, replace: true } }
}

/// SBOM and scan of a platform.
fn documents(
    request: &AttestRequest<'_>,
    platform: &PlatformEvidence,
) -> Result<Vec<(&'static str, Value)>, SignError> {
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
        let formats = [("cyclonedx", CYCLONEDX), ("spdx", SPDX)];
        for (id, predicate_type) in formats.into_iter().take(if request.spdx { 2 } else { 1 }) {
            let failed =
                |cause: String| SignError::Unread(format!("the SBOM of {}: {cause}", platform.platform));
            let format = sbom::format(id).ok_or_else(|| failed(format!("no format `{id}`")))?;
            let bytes = format.render(&subject).map_err(|error| failed(error.to_string()))?;
            let document = serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))?;
            documents.push((predicate_type, document));
        }
    }
    if let Fact::Known(findings) = &platform.findings {
        documents.push((VULN, scan(findings, evidence.snapshot.known(), verdict.evaluated_at)));
    }
    Ok(documents)
}
