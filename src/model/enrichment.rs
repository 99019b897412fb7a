//! What is known of exploits beside the advisories: CISA's list and FIRST's scores.

use jiff::Timestamp;
use serde::Serialize;

use super::digest::Digest;
use super::fact::Fact;

/// Which data on exploits was at hand. Absent where none was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrichment {
    /// CISA's catalogue of known exploited vulnerabilities (KEV).
    pub kev: Fact<ExploitData>,
    /// FIRST's Exploit Prediction Scoring System (EPSS).
    pub epss: Fact<ExploitData>,
}

impl Default for Enrichment {
    fn default() -> Self {
        Self { kev: Fact::Absent, epss: Fact::Absent }
    }
}

/// One file of such data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExploitData {
    /// SHA-256 of the file's bytes, as published.
    pub digest: Digest,
    /// The date that the data gives itself.
    pub generated: Timestamp,
    /// CVEs in it.
    pub entries: u64,
}
