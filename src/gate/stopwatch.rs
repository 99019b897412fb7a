//! How long each cataloger took, and what it found.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::inventory::Watch;

/// What the reading of an image took.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Took {
    /// Layers that were read.
    pub read: usize,
    /// Layers that the cache knew.
    pub cached: usize,
    /// From the first byte to the last.
    pub all: Duration,
    /// By cataloger: files, packages, and the time on all threads together. Reading, inflating and hashing are
    /// not in it.
    pub catalogers: BTreeMap<&'static str, Tally>,
}

/// What one cataloger did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Files that it read.
    pub files: usize,
    /// Packages that they state.
    pub packages: usize,
    /// How long it took.
    pub took: Duration,
}

/// A watch that runs from when it is made.
#[derive(Debug)]
pub(super) struct Stopwatch {
    began: Instant,
    took: Mutex<Took>,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self { began: Instant::now(), took: Mutex::default() }
    }

    pub(super) fn layer(&self, cached: bool) {
        let mut took = self.took.lock().unwrap_or_else(PoisonError::into_inner);
        let count = if cached { &mut took.cached } else { &mut took.read };
        *count += 1;
    }

    pub(super) fn stop(self) -> Took {
        let took = self.took.into_inner().unwrap_or_else(PoisonError::into_inner);
        Took { all: self.began.elapsed(), ..took }
    }
}

impl Watch for Stopwatch {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn cataloged(&self, cataloger: &'static str, took: Duration, packages: usize) {
        let mut all = self.took.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = all.catalogers.entry(cataloger).or_default();
        tally.files += 1;
        tally.packages += packages;
        tally.took += took;
    }
}
