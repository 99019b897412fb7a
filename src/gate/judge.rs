//! From a location to a verdict: the whole order of things.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;

use crate::feed::{Mapped, Store};
use crate::image::limits::Limits;
use crate::model::digest::{Algorithm, Hasher};
use crate::model::evidence::{Evidence, SegmentInfo, SnapshotInfo};
use crate::model::fact::Fact;
use crate::model::fault::Fault;
use crate::model::location::Location;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::model::verdict::Verdict;
use crate::osv::segment::Segment;
use crate::osv::{self, Advisories};
use crate::policy::{SelectedPolicy, evaluate};

use super::inspect::{Error, Progress, inspect};

/// Which image, and what it is compared with.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Where the image is.
    pub location: &'a Location,
    /// The platform that was asked for; `None` is all.
    pub platform: Option<&'a Platform>,
    /// The reference that a local image stands for (`--as`).
    pub stands_for: Option<&'a Reference>,
    /// The advisory snapshot.
    pub snapshot: &'a Fact<Store>,
    /// Bounds on what is read.
    pub limits: &'a Limits,
}

/// Opens the snapshot in a directory. Absent where nobody named one and there is none in the usual place.
#[must_use]
pub fn open_snapshot(directory: &Path, named: bool, cache: &Path) -> Fact<Store> {
    if !named && !directory.exists() {
        return Fact::Absent;
    }
    match Store::open(directory, cache) {
        Ok(store) => Fact::Known(store),
        Err(error) => Fact::Unknown(error.to_string()),
    }
}

/// All facts of an image: what is in it, and which advisories apply.
///
/// # Errors
/// [`Error`] only where the user must choose; what could not be read is unknown in the evidence.
pub fn gather(request: &Request<'_>, progress: &dyn Progress) -> Result<Evidence, Error> {
    let mut evidence = inspect(request.location, request.platform, request.limits, progress)?;
    evidence.reference = match (request.stands_for, request.location) {
        (Some(reference), _) => Fact::Known(reference.clone()),
        (None, Location::Registry(reference)) => Fact::Known(reference.clone()),
        (None, Location::OciLayout { .. } | Location::OciArchive { .. } | Location::DockerArchive { .. }) => {
            Fact::Absent
        }
    };
    check_reference(&mut evidence);
    match request.snapshot {
        Fact::Known(store) => compare(&mut evidence, store, progress),
        Fact::Absent => {}
        Fact::Unknown(cause) => {
            evidence.snapshot = Fact::Unknown(cause.clone());
            for platform in evidence.platforms.known_mut().into_iter().flatten() {
                platform.findings = Fact::Unknown(cause.clone());
            }
        }
    }
    Ok(evidence)
}

/// Judges an image by a policy at a time.
///
/// # Errors
/// As [`gather`].
pub fn judge(
    request: &Request<'_>,
    policy: &SelectedPolicy<'_>,
    now: Timestamp,
    progress: &dyn Progress,
) -> Result<(Evidence, Verdict), Error> {
    let evidence = gather(request, progress)?;
    let verdict = evaluate(policy, &evidence, now);
    Ok((evidence, verdict))
}

/// A reference that names another digest than the image has would put the verdict of one image under the
/// name of another.
fn check_reference(evidence: &mut Evidence) {
    let Fact::Known(reference) = &evidence.reference else { return };
    let (Some(stated), Some(image)) = (&reference.digest, &evidence.image.digest) else { return };
    let mut platforms = evidence.platforms.known().into_iter().flatten();
    if stated != image && !platforms.any(|platform| platform.digest == *stated) {
        let message = format!("names {stated}, but the image that was read is {image}");
        evidence.faults.push(Fault::unreadable(format!("reference {reference}"), message));
    }
}

/// Compares the packages with the advisories of a snapshot.
fn compare(evidence: &mut Evidence, store: &Store, progress: &dyn Progress) {
    let platforms = evidence.platforms.known().into_iter().flatten();
    let needed: BTreeSet<String> =
        platforms.filter_map(|platform| platform.inventory.known()).flat_map(osv::ecosystems).collect();
    let mapped: BTreeMap<String, Fact<Mapped>> = needed
        .into_iter()
        .map(|ecosystem| {
            progress.advisories(&ecosystem);
            let segment = match store.segment(&ecosystem) {
                Ok(Some(mapped)) => Fact::Known(mapped),
                Ok(None) => Fact::Absent,
                Err(error) => Fact::Unknown(error.to_string()),
            };
            (ecosystem, segment)
        })
        .collect();
    let advisories = Advisories(mapped.iter().map(|(name, mapped)| (name.clone(), open(mapped))).collect());
    evidence.snapshot = describe(&advisories);
    for platform in evidence.platforms.known_mut().into_iter().flatten() {
        platform.findings = match &platform.inventory {
            Fact::Known(inventory) => Fact::Known(osv::find(&platform.platform, inventory, &advisories)),
            Fact::Absent => Fact::Absent,
            Fact::Unknown(cause) => Fact::Unknown(cause.clone()),
        };
    }
}

fn open(mapped: &Fact<Mapped>) -> Fact<Segment<'_>> {
    match mapped {
        Fact::Known(mapped) => match Segment::open(mapped.bytes()) {
            Ok(segment) => Fact::Known(segment),
            Err(damaged) => Fact::Unknown(damaged.to_string()),
        },
        Fact::Absent => Fact::Absent,
        Fact::Unknown(cause) => Fact::Unknown(cause.clone()),
    }
}

/// Which advisories were consulted. One that could not be read leaves the whole unknown: a verdict must
/// not name a snapshot that it saw a part of.
fn describe(advisories: &Advisories<'_>) -> Fact<SnapshotInfo> {
    let mut ecosystems = BTreeMap::new();
    let mut hasher = Hasher::new(Algorithm::Sha256);
    for (ecosystem, segment) in &advisories.0 {
        match segment {
            Fact::Known(segment) => match info(segment) {
                Ok(info) => {
                    hasher.update(format!("{ecosystem}\0{}\n", info.id).as_bytes());
                    ecosystems.insert(ecosystem.clone(), info);
                }
                Err(cause) => return Fact::Unknown(cause),
            },
            Fact::Absent => {}
            Fact::Unknown(cause) => return Fact::Unknown(format!("{ecosystem}: {cause}")),
        }
    }
    // The oldest: fresh advisories for one ecosystem must not make those for another look fresh.
    let generated = ecosystems.values().map(|info: &SegmentInfo| info.generated).min().flatten();
    Fact::Known(SnapshotInfo { id: hasher.finish(), generated, ecosystems })
}

/// What a segment says of itself.
///
/// # Errors
/// Why it cannot be told: a lowercase fragment.
pub fn info(segment: &Segment<'_>) -> Result<SegmentInfo, String> {
    let meta = segment.meta();
    Ok(SegmentInfo {
        id: segment.id().map_err(|damaged| damaged.to_string())?,
        records: meta.records,
        generated: meta.generated.as_deref().and_then(|text| text.parse().ok()),
        unreadable: meta.unreadable,
    })
}
