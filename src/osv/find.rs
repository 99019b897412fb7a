//! From packages to findings: every advisory that applies, every package of which it cannot be said.

mod group;
mod suppress;

use std::collections::{BTreeMap, BTreeSet};

use crate::model::fact::Fact;
use crate::model::finding::{Findings, PackageRef, Undetermined};
use crate::model::inventory::{Inventory, Package};
use crate::model::layer::Scope;
use crate::model::platform::Platform;
use crate::version::scheme;

use super::affected::{Answer, Match, evaluate};
use super::names::base;
use super::query::Query;
use super::record::{Affected, Head};
use super::segment::{Posting, Segment};

/// The advisories at hand: a segment by base ecosystem. Absent where the snapshot has none of it.
#[derive(Debug, Default)]
pub struct Advisories<'a>(pub BTreeMap<String, Fact<Segment<'a>>>);

/// Compares the packages of one platform with the advisories. Cannot fail: what cannot be compared is
/// among the undetermined, and a match that is set aside is among the suppressed with its reason.
#[must_use]
pub fn find(platform: &Platform, inventory: &Inventory, advisories: &Advisories<'_>) -> Findings {
    let matching = Matching { platform, inventory, advisories };
    let mut findings = Findings::default();
    for package in &inventory.packages {
        matching.package(package, &mut findings);
    }
    findings.findings.sort_by(|a, b| group::order(a).cmp(&group::order(b)));
    findings.undetermined.sort_by(|a, b| (&a.package.purl, &a.cause).cmp(&(&b.package.purl, &b.cause)));
    findings.suppressed.sort_by(|a, b| group::order(&a.finding).cmp(&group::order(&b.finding)));
    findings
}

/// An advisory that applies to a package.
struct Hit {
    head: Head,
    affected: Affected,
    /// Exact ecosystem string and name that matched.
    ecosystem: String,
    name: String,
    matched: Match,
}

struct Matching<'a> {
    platform: &'a Platform,
    inventory: &'a Inventory,
    advisories: &'a Advisories<'a>,
}

impl Matching<'_> {
    fn package(&self, package: &Package, findings: &mut Findings) {
        // What something was only built with is not there.
        if package.scope == Scope::Build {
            return;
        }
        // A program that was recognised by its text, in a file of an operating system package, is that
        // package under another name; and no ecosystem has advisories for it.
        if package.kind == "generic" && package.owned_by.is_some() {
            return;
        }
        let mut doubts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut hits = Vec::new();
        if let Some(doubt) = &package.doubt {
            doubts.entry(doubt.clone()).or_default();
        }
        match self.query(package) {
            Ok(query) => {
                if let Err(cause) = self.match_package(&query, &mut hits, &mut doubts) {
                    doubts.entry(cause).or_default();
                }
                for mut finding in self.group(package, &query, hits) {
                    finding.doubt(package.doubt.as_deref());
                    self.sort_out(package, finding, findings);
                }
            }
            Err(cause) => {
                doubts.entry(cause).or_default();
            }
        }
        findings.undetermined.extend(doubts.into_iter().map(|(cause, advisories)| Undetermined {
            platform: self.platform.clone(),
            package: reference(package),
            cause,
            advisories: advisories.into_iter().collect(),
        }));
    }

    /// The questions about a package, where the snapshot can answer them.
    fn query(&self, package: &Package) -> Result<Query, String> {
        let query = Query::about(package, self.inventory.distro.as_ref())?;
        self.check_covered(&query)?;
        Ok(query)
    }

    /// Whether the snapshot speaks of the ecosystems at all. One that has no record for a release does
    /// not say that the release has no vulnerability.
    fn check_covered(&self, query: &Query) -> Result<(), String> {
        let bases: BTreeSet<&str> = query.ecosystems.iter().map(|ecosystem| base(ecosystem)).collect();
        for wanted in bases {
            let segment = self.segment(wanted)?;
            let mut exact = query.ecosystems.iter().filter(|ecosystem| base(ecosystem) == wanted);
            if !exact.clone().any(|ecosystem| segment.meta().releases.contains_key(ecosystem)) {
                let release = exact.next().map_or(wanted, String::as_str);
                return Err(format!("the snapshot has no advisories for {release}"));
            }
        }
        Ok(())
    }

    fn segment(&self, base: &str) -> Result<&Segment<'_>, String> {
        match self.advisories.0.get(base) {
            Some(Fact::Known(segment)) => Ok(segment),
            Some(Fact::Absent) | None => Err(format!("the snapshot has no advisories for {base}")),
            Some(Fact::Unknown(cause)) => {
                Err(format!("the advisories for {base} could not be read: {cause}"))
            }
        }
    }

    fn postings(&self, ecosystem: &str, name: &str) -> Result<Vec<Posting>, String> {
        let ours = base(ecosystem);
        let postings = self.segment(ours)?.affecting(ecosystem, name);
        postings.map_err(|damaged| format!("the advisories for {ours} could not be read: {damaged}"))
    }

    fn match_package(
        &self,
        query: &Query,
        hits: &mut Vec<Hit>,
        doubts: &mut BTreeMap<String, BTreeSet<String>>,
    ) -> Result<(), String> {
        for ecosystem in &query.ecosystems {
            let scheme = scheme(ecosystem);
            for name in &query.names {
                for Posting { head, affected } in self.postings(ecosystem, name)? {
                    match evaluate(&affected, &query.version, scheme) {
                        Answer::Affected(matched) => {
                            let (ecosystem, name) = (ecosystem.clone(), name.clone());
                            hits.push(Hit { head, affected, ecosystem, name, matched });
                        }
                        Answer::NotAffected => {}
                        Answer::Undetermined(cause) => {
                            doubts.entry(cause).or_default().insert(head.id);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// A package as findings name it.
fn reference(package: &Package) -> PackageRef {
    PackageRef {
        purl: package.purl.clone(),
        name: package.name.clone(),
        version: package.version.clone(),
        kind: package.kind,
        source: package.source.clone(),
    }
}

#[cfg(test)]
mod tests;
