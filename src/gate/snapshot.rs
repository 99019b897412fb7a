//! The advisory snapshot: opened, compared with, described.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;

use crate::feed::{Bucket, Mapped, Part, Step, Store, Watch, id_of};
use crate::model::evidence::{Evidence, SegmentInfo, SnapshotInfo};
use crate::model::fact::Fact;
use crate::osv::segment::Segment;
use crate::osv::{self, Advisories};

use super::inspect::Progress;

/// Opens the snapshot in a directory at the time `now`.
#[must_use]
pub fn open_snapshot(directory: &Path, cache: &Path, now: Timestamp) -> Fact<Store> {
    match Store::open(directory, cache, now) {
        Ok(store) => Fact::Known(store),
        Err(error) => Fact::Unknown(error.to_string()),
    }
}

/// Opens the snapshot that is installed in a directory, or will be: what an image needs and it lacks is fetched from
/// a bucket, and is then of the time `now`.
#[must_use]
pub fn fetching_snapshot(directory: &Path, bucket: Bucket, now: Timestamp) -> Fact<Store> {
    match Store::fetching(directory, bucket, now) {
        Ok(store) => Fact::Known(store),
        Err(error) => Fact::Unknown(error.to_string()),
    }
}

/// Passes on what is said while advisories are fetched.
struct Fetching<'a>(&'a dyn Progress);

impl Watch for Fetching<'_> {
    fn step(&self, ecosystem: &str, step: Step) {
        self.0.fetching(ecosystem, step);
    }

    fn say(&self, message: &str) {
        self.0.note(message);
    }
}

/// Compares the packages with the advisories of a snapshot.
pub(super) fn compare(evidence: &mut Evidence, store: &Store, progress: &dyn Progress) {
    let mapped = segments(evidence, store, progress);
    let advisories = advisories(&mapped);
    evidence.snapshot = describe(&advisories);
    for platform in evidence.platforms.known_mut().into_iter().flatten() {
        platform.findings = match &platform.inventory {
            Fact::Known(inventory) => Fact::Known(osv::find(&platform.platform, inventory, &advisories)),
            Fact::Absent => Fact::Absent,
            Fact::Unknown(cause) => Fact::Unknown(cause.clone()),
        };
    }
}

/// The segments that the packages need, by base ecosystem.
pub(super) fn segments(
    evidence: &Evidence,
    store: &Store,
    progress: &dyn Progress,
) -> BTreeMap<String, Fact<Mapped>> {
    let platforms = evidence.platforms.known().into_iter().flatten();
    let needed: BTreeSet<String> =
        platforms.filter_map(|platform| platform.inventory.known()).flat_map(osv::ecosystems).collect();
    let open = |ecosystem: String| {
        progress.advisories(&ecosystem);
        let segment = match store.segment_or_fetch(&ecosystem, &Fetching(progress)) {
            Ok(Some(mapped)) => Fact::Known(mapped),
            Ok(None) => Fact::Absent,
            Err(error) => Fact::Unknown(error.to_string()),
        };
        (ecosystem, segment)
    };
    needed.into_iter().map(open).collect()
}

/// The same, opened.
pub(super) fn advisories(mapped: &BTreeMap<String, Fact<Mapped>>) -> Advisories<'_> {
    Advisories(mapped.iter().map(|(name, mapped)| (name.clone(), open(mapped))).collect())
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
pub(super) fn describe(advisories: &Advisories<'_>) -> Fact<SnapshotInfo> {
    let mut ecosystems = BTreeMap::new();
    for (ecosystem, segment) in &advisories.0 {
        match segment {
            Fact::Known(segment) => match info(segment) {
                Ok(info) => {
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
    let id = id_of(ecosystems.iter().map(|(ecosystem, info)| (ecosystem.as_str(), &info.id)));
    Fact::Known(SnapshotInfo { id, generated, ecosystems })
}

/// What a segment says of itself.
fn info(segment: &Segment<'_>) -> Result<SegmentInfo, String> {
    let meta = segment.meta();
    Ok(SegmentInfo {
        id: segment.id().map_err(|damaged| damaged.to_string())?,
        records: meta.records,
        generated: meta.generated.as_deref().and_then(|text| text.parse().ok()),
        unreadable: meta.unreadable,
    })
}

/// What a snapshot has of one ecosystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EcosystemStatus {
    /// Counts and identity.
    pub segment: SegmentInfo,
    /// The first of the records that could not be read, each with its cause.
    pub unreadable: Vec<String>,
    /// What the document of an installed snapshot says of it.
    pub part: Option<Part>,
}

/// What a snapshot has of an ecosystem; compiles it where that was not done yet.
///
/// # Errors
/// Why it cannot be told: a lowercase fragment.
pub fn status(store: &Store, ecosystem: &str) -> Result<EcosystemStatus, String> {
    let mapped = store.segment(ecosystem).map_err(|error| error.to_string())?;
    let mapped = mapped.ok_or_else(|| format!("{ecosystem} is gone"))?;
    let segment = Segment::open(mapped.bytes()).map_err(|damaged| damaged.to_string())?;
    let part = store.installed().and_then(|installed| installed.snapshot().ecosystems.get(ecosystem));
    Ok(EcosystemStatus {
        segment: info(&segment)?,
        unreadable: segment.meta().unreadable_names.clone(),
        part: part.cloned(),
    })
}
