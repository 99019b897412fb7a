//! From a location to a verdict: the whole order of things.

use jiff::Timestamp;

use crate::attestation::{LogOfKey, PublicKey};
use crate::cache::LayerCache;
use crate::check::Expected;
use crate::feed::Store;
use crate::image::limits::Limits;
use crate::model::attestation::Attestation;
use crate::model::evidence::Evidence;
use crate::model::fact::Fact;
use crate::model::fault::Fault;
use crate::model::location::Location;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::model::verdict::Verdict;
use crate::policy::{SelectedPolicy, Signatories, evaluate};
use crate::registry::Registry;

use super::attestations::Trusted;
use super::attested_vex::{self, Believed, HungVex};
use super::inspect::{Error, Inspected, Progress, open};
use super::snapshot;
use super::supplements::{Supplements, supplement};
use super::trust::{Roots, Settled};

/// Which image, and what it is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Where the image is.
    pub location: &'a Location,
    /// The platform that was asked for; `None` is all.
    pub platform: Option<&'a Platform>,
    /// The reference that a local image stands for (`--as`).
    pub stands_for: Option<&'a Reference>,
    /// How registries are asked; without it there is no network.
    pub registry: Option<&'a Registry>,
    /// The advisory snapshot.
    pub snapshot: &'a Fact<Store>,
    /// What is known beside the advisories: VEX documents, data on exploits.
    pub supplements: &'a Supplements,
    /// Bounds on what is read.
    pub limits: &'a Limits,
    /// What was read of layers before; without it every layer is read.
    pub cache: Option<&'a LayerCache>,
}

/// What an image is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Judging<'a> {
    /// The policy.
    pub policy: &'a SelectedPolicy<'a>,
    /// What the checks expect beyond the specifications.
    pub expected: &'a Expected,
    /// The roots that signatures are verified by: what is under way of them is waited for once something is.
    pub roots: &'a Roots,
    /// The evaluation time.
    pub now: Timestamp,
}

/// Whose VEX is believed that hangs on an image.
#[derive(Debug, Clone, Copy)]
pub struct Believing<'a> {
    /// Those who are believed, each by himself.
    pub by: &'a Signatories,
    /// The roots that it is verified by.
    pub roots: &'a Roots,
}

/// All facts of an image but the checks: what is in it, and which advisories apply. Statements and data on exploits
/// from after `now` are not believed. VEX that hangs on the image is looked for where it is said who is believed: what
/// they signed sets findings aside.
///
/// # Errors
/// [`Error`] only where the user must choose; what could not be read is unknown in the evidence.
pub fn gather(
    request: &Request<'_>,
    now: Timestamp,
    vex: Option<Believing<'_>>,
    progress: &dyn Progress,
) -> Result<Evidence, Error> {
    let mut inspected = inspect(request, progress)?;
    let hung = vex.map(|Believing { by, roots }| {
        let believed = |attestation: &Attestation| by.made(attestation);
        let keys: Vec<_> = by.keys().collect();
        attest(&mut inspected, request.limits, roots, (&keys, &believed), progress);
        attested_vex::read(&mut inspected.evidence, Believed { by: &believed, settles: true })
    });
    let mut evidence = inspected.evidence;
    compare(&mut evidence, request, (now, hung), progress);
    Ok(evidence)
}

pub(super) fn inspect(request: &Request<'_>, progress: &dyn Progress) -> Result<Inspected, Error> {
    let opened = open(request.location, request.platform, request.registry, request.limits)?;
    let mut inspected = opened.inspect(request.limits, request.cache, progress);
    let evidence = &mut inspected.evidence;
    if let Some(reference) = request.stands_for {
        evidence.reference = Fact::Known(reference.clone());
    }
    check_reference(evidence);
    Ok(inspected)
}

/// Whose predicates are read, as in [`Trusted`].
type Reads<'r> = &'r (dyn Fn(&Attestation) -> bool + Sync);

/// Looks for what is signed of the image, and notes by which roots. The keys are those of [`Trusted`].
fn attest(
    inspected: &mut Inspected,
    limits: &Limits,
    roots: &Roots,
    (keys, reads): (&[(&PublicKey, LogOfKey)], Reads<'_>),
    progress: &dyn Progress,
) {
    let Settled { trust, roots, .. } = roots.settle(&|message| progress.warn(message));
    inspected.attest(limits, Trusted { trust, keys, reads });
    inspected.evidence.roots.clone_from(roots);
}

fn compare(
    evidence: &mut Evidence,
    request: &Request<'_>,
    (now, hung): (Timestamp, Option<HungVex>),
    progress: &dyn Progress,
) {
    match request.snapshot {
        Fact::Known(store) => snapshot::compare(evidence, store, progress),
        Fact::Absent => {}
        Fact::Unknown(cause) => {
            evidence.snapshot = Fact::Unknown(cause.clone());
            for platform in evidence.platforms.known_mut().into_iter().flatten() {
                platform.findings = Fact::Unknown(cause.clone());
            }
        }
    }
    supplement(evidence, request.supplements, hung, now);
}

/// Judges an image.
///
/// # Errors
/// As [`gather`].
pub fn judge(
    request: &Request<'_>,
    by: &Judging<'_>,
    progress: &dyn Progress,
) -> Result<(Evidence, Verdict), Error> {
    let Judging { policy, expected, roots, now } = *by;
    let mut inspected = inspect(request, progress)?;
    if policy.needs_checks() {
        inspected.check(expected, now);
    }
    if policy.needs_attestations() {
        let keys: Vec<_> = policy.keys().collect();
        let may_sign = |attestation: &Attestation| policy.may_sign(attestation);
        attest(&mut inspected, request.limits, roots, (&keys, &may_sign), progress);
    }
    let mut evidence = inspected.evidence;
    let hung = policy.needs_vex().then(|| {
        let by = |attestation: &Attestation| policy.may_state_vex(attestation);
        attested_vex::read(&mut evidence, Believed { by: &by, settles: false })
    });
    compare(&mut evidence, request, (now, hung), progress);
    let verdict = evaluate(policy, &evidence, now);
    Ok((evidence, verdict))
}

/// A reference that names another digest than the image has would put the verdict of one image under the
/// name of another.
fn check_reference(evidence: &mut Evidence) {
    let Fact::Known(reference) = &evidence.reference else { return };
    let (Some(stated), Some(image)) = (&reference.digest, &evidence.image.digest) else { return };
    let mut platforms = evidence.platforms.known().into_iter().flatten();
    if stated != image && !platforms.any(|platform| platform.digest.as_ref() == Some(stated)) {
        let message = format!("names {stated}, but the image that was read is {image}");
        evidence.faults.push(Fault::unreadable(format!("reference {reference}"), message));
    }
}
