//! CISA's catalogue of known exploited vulnerabilities (`known_exploited_vulnerabilities.json`, schema at
//! cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities_schema.json).

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;

use crate::model::digest::Digest;
use crate::model::enrichment::ExploitData;
use crate::strict::{Bounds, check};

use super::Unreadable;
use super::cve::Cve;

/// Bytes of the catalogue: 32 MiB. In 2026 it has 1.5 MiB, and grows by some 200 entries a year.
pub const MAX_BYTES: u64 = 32 << 20;

/// 100,000 entries; there are 1,500.
const BOUNDS: Bounds = Bounds {
    document: "the catalogue of exploited vulnerabilities",
    values: 2_000_000,
    items: 100_000,
    item: "entries",
    counted: &["vulnerabilities"],
    keys: &["dateReleased", "count", "vulnerabilities", "cveID"],
    folded: true,
};

/// The catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kev {
    /// What it is.
    pub info: ExploitData,
    cves: BTreeSet<Cve>,
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "dateReleased")]
    released: String,
    count: u64,
    vulnerabilities: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "cveID")]
    id: String,
}

impl Kev {
    /// Reads the catalogue.
    ///
    /// # Errors
    /// [`Unreadable`] where it is not the catalogue, or not wholly there: an entry that is missing would make what
    /// is exploited look as if it were not.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        if u64::try_from(bytes.len()).map_or(true, |length| length > MAX_BYTES) {
            return Err(Unreadable(format!(
                "larger than {MAX_BYTES} bytes (limit `bytes of the catalogue`)"
            )));
        }
        check(bytes, &BOUNDS).map_err(Unreadable)?;
        let raw: Raw = serde_json::from_slice(bytes).map_err(|error| {
            Unreadable(format!("not CISA's catalogue of exploited vulnerabilities: {error}"))
        })?;
        let generated: Timestamp = raw
            .released
            .parse()
            .map_err(|_| Unreadable("its `dateReleased` is no time as in RFC 3339".to_owned()))?;
        let mut cves = BTreeSet::new();
        for (number, Entry { id }) in raw.vulnerabilities.iter().enumerate() {
            let cve = Cve::parse(id).ok_or_else(|| Unreadable(format!("entry {number} names no CVE id")))?;
            cves.insert(cve);
        }
        if raw.count != raw.vulnerabilities.len() as u64 {
            let (count, there) = (raw.count, raw.vulnerabilities.len());
            return Err(Unreadable(format!(
                "it says that it has {count} entries, and has {there}: fetch it again"
            )));
        }
        // Attack: an emptied catalogue, by which nothing is exploited and every rule on it holds.
        if cves.is_empty() {
            return Err(Unreadable("it has no entries: fetch it again".to_owned()));
        }
        let info = ExploitData { digest: Digest::sha256(bytes), generated, entries: cves.len() as u64 };
        Ok(Self { info, cves })
    }

    pub(super) fn lists(&self, cve: Cve) -> bool {
        self.cves.contains(&cve)
    }
}
