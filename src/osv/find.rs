//! From packages to findings: every advisory that applies, every package of which it cannot be said.

mod explain;
mod group;
mod narrow;
mod suppress;

use std::collections::{BTreeMap, BTreeSet};

use smol_str::SmolStr;

use crate::model::fact::Fact;
use crate::model::finding::{Findings, PackageRef, Undetermined};
use crate::model::inventory::{Inventory, Package};
use crate::model::layer::Scope;
use crate::model::platform::Platform;
use crate::version::scheme;

use suppress::Owners;

use super::affected::{Answer, Match, evaluate};
use super::distro::Release;
use super::names::base;
use super::query::{GUESSED, Named, Query, has_advisories};
use super::record::{Affected, Head};
use super::segment::{Damaged, Posting, Segment};

pub use explain::explain;

/// The advisories at hand: a segment by base ecosystem. Absent where the snapshot has none of it.
#[derive(Debug, Default)]
pub struct Advisories<'a>(pub BTreeMap<String, Fact<Segment<'a>>>);

/// Compares the packages of one platform with the advisories. Cannot fail: what cannot be compared is
/// among the undetermined, and a match that is set aside is among the suppressed with its reason.
#[must_use]
pub fn find(platform: &Platform, inventory: &Inventory, advisories: &Advisories<'_>) -> Findings {
    let matching = Matching::new(platform, inventory, advisories);
    let mut findings = Findings::default();
    for package in &inventory.packages {
        if findings.findings.len() + findings.suppressed.len() < MAX_FINDINGS {
            matching.package(package, &mut findings);
        } else {
            findings.undetermined.push(matching.undetermined(package, &too_many(), BTreeSet::new()));
        }
    }
    findings.findings.sort_by(|a, b| group::order(a).cmp(&group::order(b)));
    findings.undetermined.sort_by(|a, b| (&a.package.purl, &a.cause).cmp(&(&b.package.purl, &b.cause)));
    findings.suppressed.sort_by(|a, b| group::order(&a.finding).cmp(&group::order(&b.finding)));
    findings
}

/// Findings of one platform: 50,000; the worst images have a tenth. Attack: thousands of packages, each of which
/// thousands of records name. What comes behind is not compared, and so undetermined.
const MAX_FINDINGS: usize = 50_000;

fn too_many() -> String {
    format!("more than {MAX_FINDINGS} findings (limit `findings of a platform`)")
}

/// An advisory that applies to a package.
struct Hit {
    head: Head,
    affected: Affected,
    /// Exact ecosystem string, name and version that matched.
    ecosystem: String,
    name: String,
    version: String,
    matched: Match,
}

/// The questions about a package, and the ecosystem strings of the snapshot that can answer them.
struct Asked {
    query: Query,
    ecosystems: Vec<String>,
}

impl Asked {
    fn questions(&self) -> impl Iterator<Item = (&str, &Named)> {
        let names = &self.query.names;
        self.ecosystems
            .iter()
            .flat_map(move |ecosystem| names.iter().map(move |named| (ecosystem.as_str(), named)))
    }
}

struct Matching<'a> {
    platform: &'a Platform,
    inventory: &'a Inventory,
    advisories: &'a Advisories<'a>,
    owners: Owners<'a>,
}

impl<'a> Matching<'a> {
    fn new(platform: &'a Platform, inventory: &'a Inventory, advisories: &'a Advisories<'a>) -> Self {
        Self { platform, inventory, advisories, owners: Owners::of(inventory) }
    }
}

impl Matching<'_> {
    fn package(&self, package: &Package, findings: &mut Findings) {
        // What something was only built with is not there.
        if package.scope == Scope::Build {
            return;
        }
        // A program that was recognised by its text, in a file of an operating system package, is that
        // package under another name, as is a library of a kind that OSV has no advisories for: the owner
        // answers for it.
        if package.owned_by.is_some() && !has_advisories(package.kind) {
            return;
        }
        let mut doubts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut hits = Vec::new();
        if let Some(doubt) = &package.doubt {
            doubts.entry(doubt.clone()).or_default();
        }
        match self.query(package) {
            Ok(asked) => {
                let doubt = self.doubt(package, &asked.query);
                if let Some(doubt) = doubt {
                    doubts.entry(doubt.to_owned()).or_default();
                }
                if let Err(cause) = self.match_package(package, &asked, &mut hits, &mut doubts) {
                    doubts.entry(cause).or_default();
                }
                for mut finding in self.group(package, hits) {
                    finding.doubt(package.doubt.as_deref().or(doubt));
                    self.sort_out(package, finding, findings);
                }
            }
            Err(cause) => {
                doubts.entry(cause).or_default();
            }
        }
        let undetermined = |(cause, advisories): (String, _)| self.undetermined(package, &cause, advisories);
        findings.undetermined.extend(doubts.into_iter().map(undetermined));
    }

    fn undetermined(&self, package: &Package, cause: &str, advisories: BTreeSet<String>) -> Undetermined {
        Undetermined {
            platform: self.platform.clone(),
            package: reference(package),
            cause: cause.to_owned(),
            advisories: advisories.into_iter().collect(),
        }
    }

    /// Why what is said of a package is not certain. A guess does not matter where the package belongs to one of the
    /// operating system of which advisories speak: that one answers, under a name that is certain.
    fn doubt<'q>(&self, package: &Package, query: &'q Query) -> Option<&'q str> {
        let doubt = query.doubt.as_deref()?;
        let owner = || package.owned_by.as_ref().and_then(|owner| self.owner(owner));
        let is_answered = doubt == GUESSED && owner().is_some_and(|owner| owner.is_known());
        (!is_answered).then_some(doubt)
    }

    /// The questions about a package, where the snapshot can answer them.
    fn query(&self, package: &Package) -> Result<Asked, String> {
        let query = Query::about(package, self.inventory.distro.as_ref())?;
        let ecosystems = self.covered(&query)?;
        Ok(Asked { query, ecosystems })
    }

    /// The ecosystem strings of the snapshot that stand for what is asked. One that has no record for a release
    /// does not say that the release has no vulnerability.
    fn covered(&self, query: &Query) -> Result<Vec<String>, String> {
        let bases: BTreeSet<&str> = query.releases.iter().map(Release::base).collect();
        let mut found = Vec::new();
        for wanted in bases {
            let releases = &self.segment(wanted)?.meta().releases;
            let asked = query.releases.iter().filter(|release| release.base() == wanted);
            let before = found.len();
            for release in asked.clone() {
                match release {
                    Release::Exact(exact) => {
                        found.extend(releases.get_key_value(exact).map(|(key, _)| key.clone()))
                    }
                    Release::Language(_) | Release::EnterpriseLinux(_) | Release::SuseEnterprise(_) => {
                        found.extend(releases.keys().filter(|key| release.covers(key)).cloned());
                    }
                }
            }
            if found.len() == before {
                let release = asked.clone().next().map_or_else(|| wanted.to_owned(), Release::to_string);
                return Err(format!("the snapshot has no advisories for {release}"));
            }
        }
        Ok(found)
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
        package: &Package,
        asked: &Asked,
        hits: &mut Vec<Hit>,
        doubts: &mut BTreeMap<String, BTreeSet<String>>,
    ) -> Result<(), String> {
        // Records that speak of the package as everybody is given it.
        let mut free = BTreeSet::new();
        let mut silent = true;
        for (ecosystem, named) in asked.questions() {
            let damaged =
                |damaged: Damaged| format!("the advisories for {ecosystem} could not be read: {damaged}");
            let entries = self.segment(base(ecosystem))?.entries(ecosystem, &named.name).map_err(damaged)?;
            // Most entries do not apply: of those no more is decoded than the comparison needs.
            for entry in entries.into_iter().flatten() {
                let entry = entry.map_err(damaged)?;
                let affected = entry.affected().map_err(damaged)?;
                silent = false;
                let answer = answer(&affected, named, ecosystem);
                if !is_for_subscribers(ecosystem) && !matches!(answer, Answer::Undetermined(_)) {
                    free.insert(SmolStr::from(entry.id()));
                }
                if answer == Answer::NotAffected {
                    continue;
                }
                let head = entry.head().map_err(damaged)?;
                if narrow::is_no_vulnerability(&head) {
                    continue;
                }
                match answer {
                    Answer::Affected(matched) => {
                        let (ecosystem, name) = (ecosystem.to_owned(), named.name.clone());
                        let version = named.version.clone();
                        let mut hit = Hit { head, affected, ecosystem, name, version, matched };
                        let doubt = narrow::stream_doubt(&hit, package);
                        hit.matched.low_confidence = hit.matched.low_confidence.or(doubt);
                        hits.push(hit);
                    }
                    Answer::NotAffected => {}
                    Answer::Undetermined(cause) => {
                        doubts.entry(cause).or_default().insert(head.id.into());
                    }
                }
            }
        }
        hits.retain(|hit| !is_for_subscribers(&hit.ecosystem) || !free.contains(&hit.head.id));
        if let Some(doubt) = asked.query.doubt_of_silence.as_ref().filter(|_| silent) {
            doubts.entry(doubt.clone()).or_default();
        }
        Ok(())
    }
}

/// What an entry says of a package under one of its names.
fn answer(affected: &Affected, named: &Named, ecosystem: &str) -> Answer {
    let scheme = scheme(ecosystem);
    if let Some(cause) = named.no_version() {
        // Where every version is affected, so is one that is none.
        return match evaluate(affected, "", scheme) {
            affected @ Answer::Affected(_) => affected,
            Answer::NotAffected | Answer::Undetermined(_) => Answer::Undetermined(cause),
        };
    }
    let stated = evaluate(affected, &named.version, scheme);
    if !named.epoch_lost {
        return stated;
    }
    match (evaluate(&without_epochs(affected), &named.version, scheme), stated) {
        (Answer::Affected(mut matched), _) => {
            let assumed = "the epoch of its version is not known: that of the advisory is assumed";
            matched.low_confidence.get_or_insert_with(|| assumed.to_owned());
            Answer::Affected(matched)
        }
        // Without an epoch it would be affected: it is not known that it has one.
        (Answer::NotAffected, Answer::Affected(_)) => {
            Answer::Undetermined("the epoch of its version is not known".into())
        }
        (other, _) => other,
    }
}

/// Whether records of an ecosystem name the fixes that only subscribers are given. Where the same record speaks of
/// everybody's fix as well, that one decides.
fn is_for_subscribers(ecosystem: &str) -> bool {
    ecosystem.starts_with("Ubuntu:Pro:")
}

/// An entry of an RPM ecosystem without epochs, for a version that has lost its own. Attack: a missing epoch that
/// counts as 0 makes every fix with an epoch look newer, and the true finding drowns.
fn without_epochs(affected: &Affected) -> Affected {
    let mut affected = affected.clone();
    let drop = |version: &mut SmolStr| {
        if let Some((epoch, rest)) = version.split_once(':')
            && epoch.bytes().all(|b| b.is_ascii_digit())
        {
            *version = rest.into();
        }
    };
    affected.versions.iter_mut().for_each(drop);
    for event in affected.ranges.iter_mut().flat_map(|range| &mut range.events) {
        let points = [&mut event.introduced, &mut event.fixed, &mut event.last_affected, &mut event.limit];
        points.into_iter().flatten().for_each(drop);
    }
    affected
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
