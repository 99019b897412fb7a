//! What is known of exploits: CISA's list of exploited vulnerabilities (KEV) and FIRST's scores (EPSS), read and
//! put to findings.

mod cve;
mod epss;
mod kev;

use crate::model::enrichment::{Enrichment, ExploitData};
use crate::model::evidence::Evidence;
use crate::model::fact::Fact;
use crate::model::finding::Finding;

pub use epss::{Epss, MAX_BYTES as MAX_EPSS_BYTES};
pub use kev::{Kev, MAX_BYTES as MAX_KEV_BYTES};

use cve::Cve;

/// Why such data could not be read: a lowercase fragment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

/// The data at hand. Absent where none was given.
#[derive(Debug)]
pub struct Exploits {
    /// CISA's list.
    pub kev: Fact<Kev>,
    /// FIRST's scores.
    pub epss: Fact<Epss>,
}

impl Default for Exploits {
    fn default() -> Self {
        Self { kev: Fact::Absent, epss: Fact::Absent }
    }
}

/// Says of every finding, those set aside too, whether it is known to be exploited and how likely it is to be.
///
/// A finding without a CVE is not on CISA's list, which has nothing but CVEs. It has no score, and that is not
/// known: FIRST scores nothing but CVEs either, which makes it no less likely to be exploited.
pub fn apply(evidence: &mut Evidence, exploits: &Exploits) {
    let told = |info: &ExploitData| info.clone();
    evidence.enrichment = Enrichment {
        kev: map(&exploits.kev, |kev| told(&kev.info)),
        epss: map(&exploits.epss, |epss| told(&epss.info)),
    };
    for platform in evidence.platforms.known_mut().into_iter().flatten() {
        let Some(findings) = platform.findings.known_mut() else { continue };
        let suppressed = findings.suppressed.iter_mut().map(|suppressed| &mut suppressed.finding);
        for finding in findings.findings.iter_mut().chain(suppressed) {
            tell(finding, exploits);
        }
    }
}

fn tell(finding: &mut Finding, exploits: &Exploits) {
    let ids = std::iter::once(&finding.id).chain(&finding.aliases);
    let mut cves: Vec<Cve> = ids.filter_map(|id| Cve::parse(id)).collect();
    cves.sort_unstable();
    cves.dedup();
    if let Fact::Known(kev) = &exploits.kev {
        finding.kev = Some(cves.iter().any(|cve| kev.lists(*cve)));
    }
    if let Fact::Known(epss) = &exploits.epss {
        let scores: Vec<_> = cves.iter().map(|cve| epss.score(*cve)).collect();
        finding.epss = scores.iter().flatten().max().map(ToString::to_string);
        // The highest of the others may be less than what the missing one would be.
        finding.epss_partial = finding.epss.is_some() && scores.contains(&None);
    }
}

fn map<T, U>(fact: &Fact<T>, with: impl FnOnce(&T) -> U) -> Fact<U> {
    match fact {
        Fact::Known(value) => Fact::Known(with(value)),
        Fact::Absent => Fact::Absent,
        Fact::Unknown(cause) => Fact::Unknown(cause.clone()),
    }
}

#[cfg(test)]
mod tests;
