//! What is known of exploits: CISA's list of exploited vulnerabilities (KEV) and FIRST's scores (EPSS), read and
//! put to findings.

mod cve;
mod epss;
mod kev;

use jiff::Timestamp;

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

/// Whether data may be installed in the place of other data, where there is some. What says that it was made after
/// `latest` is not believed: `latest` is the time of now, and by how much clocks differ.
///
/// # Errors
/// [`Unreadable`] where it lies in the future, is older than the other, or has fewer than half of its entries. Data
/// that itself lies in the future holds up no other.
pub fn may_follow(
    new: &ExploitData,
    installed: Option<&ExploitData>,
    latest: Timestamp,
) -> Result<(), Unreadable> {
    // Attack: a date by which it is fresh for ever, and every true list behind it is older.
    if let Some(cause) = future(new, latest) {
        return Err(Unreadable(cause));
    }
    let Some(installed) = installed.filter(|installed| installed.generated <= latest) else { return Ok(()) };
    // Attack: yesterday's list, of which an entry is missing that is exploited today.
    if installed.generated > new.generated {
        let (new, old) = (new.generated, installed.generated);
        return Err(Unreadable(format!("it is of {new}, and what is installed of {old}")));
    }
    // Attack: a new list of which most is missing. CISA and FIRST add, and take away one or two.
    if new.entries < installed.entries.div_ceil(2) {
        let (new, old) = (new.entries, installed.entries);
        return Err(Unreadable(format!(
            "it has {new} entries, less than half of the {old} installed: remove the installed file where it is true"
        )));
    }
    Ok(())
}

/// Why data is not believed that says it was made after a time.
fn future(data: &ExploitData, latest: Timestamp) -> Option<String> {
    (data.generated > latest)
        .then(|| format!("it is of {}, which lies in the future: fetch it again", data.generated))
}

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
///
/// Data that says it was made after `latest` is unknown: `latest` is the evaluation time, and by how much clocks
/// differ.
pub fn apply(evidence: &mut Evidence, exploits: &Exploits, latest: Timestamp) {
    let kev = believed(&exploits.kev, |kev| &kev.info, latest);
    let epss = believed(&exploits.epss, |epss| &epss.info, latest);
    evidence.enrichment =
        Enrichment { kev: map(&kev, |kev| kev.info.clone()), epss: map(&epss, |epss| epss.info.clone()) };
    for platform in evidence.platforms.known_mut().into_iter().flatten() {
        let Some(findings) = platform.findings.known_mut() else { continue };
        let suppressed = findings.suppressed.iter_mut().map(|suppressed| &mut suppressed.finding);
        for finding in findings.findings.iter_mut().chain(suppressed) {
            tell(finding, &kev, &epss);
        }
    }
}

/// The data, unless it lies in the future.
fn believed<T>(data: &Fact<T>, info: impl FnOnce(&T) -> &ExploitData, latest: Timestamp) -> Fact<&T> {
    match data {
        Fact::Known(known) => future(info(known), latest).map_or(Fact::Known(known), Fact::Unknown),
        Fact::Absent => Fact::Absent,
        Fact::Unknown(cause) => Fact::Unknown(cause.clone()),
    }
}

fn tell(finding: &mut Finding, kev: &Fact<&Kev>, epss: &Fact<&Epss>) {
    let ids = std::iter::once(&finding.id).chain(&finding.aliases);
    let mut cves: Vec<Cve> = ids.filter_map(|id| Cve::parse(id)).collect();
    cves.sort_unstable();
    cves.dedup();
    if let Fact::Known(kev) = kev {
        finding.kev = Some(cves.iter().any(|cve| kev.lists(*cve)));
    }
    if let Fact::Known(epss) = epss {
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
