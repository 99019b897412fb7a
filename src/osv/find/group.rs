//! Grouping: the advisories that speak of one vulnerability make one finding of a package.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use smol_str::SmolStr;

use crate::model::finding::{Cvss, Finding, FixState, MatchEvidence};
use crate::model::inventory::Package;
use crate::model::severity::Severity;
use crate::model::vex::VexClaims;
use crate::osv::names::base;
use crate::osv::record::Head;
use crate::osv::severity::{self, Stated};
use crate::version::scheme;

use super::narrow::{Reason, is_erratum, leaves_out};
use super::{Hit, Matching, reference};

/// One vulnerability of one package: the ids that mean it, and the advisories that match.
#[derive(Default)]
struct Group<'h> {
    /// Ids of the vulnerability. Groups that share one are the same.
    ids: BTreeSet<SmolStr>,
    /// Ids of the matching records, which may speak of other vulnerabilities as well.
    labels: BTreeSet<SmolStr>,
    hits: Vec<&'h Hit>,
}

/// A finding, with what decides whether it is set aside.
pub(super) struct Grouped {
    pub(super) finding: Finding,
    /// Ids of the vulnerability.
    pub(super) ids: BTreeSet<SmolStr>,
    /// Why every record means other builds of the package than this one, where that is so.
    pub(super) left_out: Option<Reason>,
}

impl Grouped {
    /// Notes what is not known for sure of the package.
    pub(super) fn doubt(&mut self, doubt: Option<&str>) {
        if let Some(doubt) = doubt {
            self.finding.evidence.low_confidence.get_or_insert_with(|| doubt.to_owned());
        }
    }
}

/// The order of findings in reports.
pub(super) fn order(finding: &Finding) -> impl Ord + use<'_> {
    (&finding.package.purl, &finding.locations, &finding.id)
}

/// Ids of the vulnerabilities that a record speaks of, one set each.
///
/// Aliases mean the same vulnerability. `upstream` is one-way: a distribution's record is about those,
/// and one about several CVEs makes a finding of each, so that a waiver for one leaves the others.
pub(super) fn vulnerabilities(head: &Head) -> Vec<BTreeSet<SmolStr>> {
    let own = || [std::slice::from_ref(&head.id), &head.aliases].concat().into_iter().collect();
    let mut about: BTreeSet<SmolStr> = if head.upstream.is_empty() && is_erratum(&head.id) {
        head.related.iter().filter(|id| id.starts_with("CVE-")).cloned().collect()
    } else {
        head.upstream.iter().map(|id| canonical(id).into()).collect()
    };
    let cves = about.iter().filter(|id| id.starts_with("CVE-")).count();
    match cves {
        _ if about.is_empty() => vec![own()],
        // `[CVE-…, GHSA-…]`: the other ids are names of the one CVE, and so are the record's own aliases.
        1 => {
            about.extend(head.aliases.iter().cloned());
            vec![about]
        }
        0 if !head.aliases.is_empty() => {
            about.extend(head.aliases.iter().cloned());
            vec![about]
        }
        _ => about.into_iter().map(|id| BTreeSet::from([id])).collect(),
    }
}

/// `CVE-…` of `DEBIAN-CVE-…`, `UBUNTU-CVE-…` and the like.
fn canonical(id: &str) -> &str {
    id.find("-CVE-").and_then(|at| id.get(at + 1..)).unwrap_or(id)
}

/// Joins the vulnerabilities that share an id, however indirectly. A kernel's package has thousands.
fn groups(hits: &[Hit]) -> Vec<Group<'_>> {
    let nodes: Vec<(BTreeSet<SmolStr>, &Hit)> = hits
        .iter()
        .flat_map(|hit| vulnerabilities(&hit.head).into_iter().map(move |ids| (ids, hit)))
        .collect();
    let mut sets = Sets((0..nodes.len()).collect());
    let mut holders: HashMap<&SmolStr, usize> = HashMap::new();
    for (node, (ids, _)) in nodes.iter().enumerate() {
        for id in ids {
            let holder = *holders.entry(id).or_insert(node);
            sets.join(holder, node);
        }
    }
    let mut groups: BTreeMap<usize, Group<'_>> = BTreeMap::new();
    for (node, (ids, hit)) in nodes.iter().enumerate() {
        let group = groups.entry(sets.root(node)).or_default();
        group.ids.extend(ids.iter().cloned());
        group.labels.insert(hit.head.id.clone());
        group.labels.extend(hit.head.aliases.iter().filter(|id| id.starts_with("MAL-")).cloned());
        group.hits.push(hit);
    }
    groups.into_values().collect()
}

/// Disjoint sets: each number's parent; a root is its own.
struct Sets(Vec<usize>);

impl Sets {
    fn root(&mut self, of: usize) -> usize {
        let mut at = of;
        while let Some(parent) = self.0.get(at).copied().filter(|parent| *parent != at) {
            // Halving the path keeps later walks short.
            let above = self.0.get(parent).copied().unwrap_or(parent);
            if let Some(place) = self.0.get_mut(at) {
                *place = above;
            }
            at = above;
        }
        at
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if let Some(place) = self.0.get_mut(a.max(b)) {
            *place = a.min(b);
        }
    }
}

impl Matching<'_> {
    /// The findings of a package.
    pub(super) fn group(&self, package: &Package, hits: Vec<Hit>) -> Vec<Grouped> {
        groups(&hits).iter().filter_map(|group| self.assemble(package, group)).collect()
    }

    fn assemble(&self, package: &Package, group: &Group<'_>) -> Option<Grouped> {
        let mut hits: Vec<&Hit> =
            group.hits.iter().filter(|hit| leaves_out(hit, package).is_none()).copied().collect();
        let left_out = match hits.as_slice() {
            [] => group.hits.iter().find_map(|hit| leaves_out(hit, package)),
            [..] => None,
        };
        if hits.is_empty() {
            hits.clone_from(&group.hits);
        }
        hits.sort_by(|a, b| surer(a, b));
        let first = hits.first()?;
        let mut names: BTreeSet<&SmolStr> = group.ids.union(&group.labels).collect();
        let id = display(&names).to_owned();
        names.retain(|name| *name != id.as_str());
        let stated = self.severity(&hits, &group.ids);
        let mut seen = BTreeSet::new();
        let fixes = hits.iter().flat_map(|hit| &hit.matched.fixed);
        let fixed: Vec<String> = fixes.filter(|version| seen.insert(*version)).cloned().collect();
        let mut cvss: Vec<Cvss> = hits
            .iter()
            .flat_map(|hit| {
                [severity::vectors(&hit.affected.severity), severity::vectors(&hit.head.severity)]
            })
            .flatten()
            .collect();
        cvss.sort();
        cvss.dedup();
        let finding = Finding {
            malicious: names.iter().any(|name| name.starts_with("MAL-")) || id.starts_with("MAL-"),
            id,
            aliases: names.into_iter().map(SmolStr::to_string).collect(),
            platform: self.platform.clone(),
            package: reference(package),
            severity: stated.as_ref().map_or(Severity::Unknown, |stated| stated.severity),
            severity_source: stated.map(|stated| stated.source),
            cvss,
            state: state(&hits, &fixed),
            fix_note: fix_note(&hits),
            fixed,
            summary: hits.iter().find_map(|hit| Some(hit.head.summary.as_ref()?.to_string())),
            published: hits.iter().filter_map(|hit| hit.head.published.as_deref()?.parse().ok()).min(),
            layer: package.layer.clone(),
            locations: package.locations.clone(),
            vendored_in: package.vendored_in.clone(),
            evidence: self.evidence(first),
            kev: None,
            epss: None,
            epss_partial: false,
            vex: Vec::new(),
            vex_doubt: None,
            claims: VexClaims::default(),
        };
        Some(Grouped { finding, ids: group.ids.clone(), left_out })
    }

    fn evidence(&self, hit: &Hit) -> MatchEvidence {
        let segment = self.segment(base(&hit.ecosystem)).ok();
        MatchEvidence {
            record: hit.head.id.to_string(),
            segment: segment.and_then(|segment| segment.id().ok()),
            ecosystem: hit.ecosystem.clone(),
            name: hit.name.clone(),
            version: hit.version.clone(),
            range: hit.matched.range.clone(),
            event: hit.matched.event.clone(),
            low_confidence: hit.matched.low_confidence.clone(),
        }
    }

    /// The worst that a matching record says of itself, else the worst that a record of one of the
    /// group's other ids does.
    fn severity(&self, hits: &[&Hit], ids: &BTreeSet<SmolStr>) -> Option<Stated> {
        let own = hits.iter().filter_map(|hit| severity::stated(&hit.head, Some(&hit.affected)));
        let worst =
            |a: &Stated, b: &Stated| a.severity.cmp(&b.severity).then_with(|| b.source.cmp(&a.source));
        own.max_by(worst).or_else(|| {
            let heads = ids.iter().flat_map(|id| self.heads(id));
            let lent = heads.filter_map(|head| {
                let stated = severity::stated(&head, None)?;
                Some(Stated { source: format!("alias:{}", head.id), ..stated })
            });
            lent.max_by(worst)
        })
    }

    /// The records of an id in any segment at hand. A segment that cannot be read lends nothing: the
    /// severity is then unknown, which no policy takes for harmless unless it says so.
    fn heads(&self, id: &str) -> impl Iterator<Item = Head> {
        let segments = self.advisories.0.values().filter_map(|segment| segment.known());
        segments.filter_map(move |segment| segment.head(id).ok().flatten())
    }
}

/// The record that gives the evidence: the surest, with a fix if any has one, then the one with the smallest fix, then
/// by id.
fn surer(a: &Hit, b: &Hit) -> Ordering {
    let rank = |hit: &Hit| (hit.matched.low_confidence.is_some(), hit.matched.fixed.is_empty());
    let by_fix = || {
        let (scheme, fix) = (scheme(&a.ecosystem)?, b.matched.fixed.first()?);
        scheme.compare(a.matched.fixed.first()?, fix).ok()
    };
    rank(a)
        .cmp(&rank(b))
        .then_with(|| by_fix().unwrap_or(Ordering::Equal))
        .then_with(|| a.head.id.cmp(&b.head.id))
}

/// The id that reports show: a CVE, else a GHSA, else the first.
fn display<'n>(names: &BTreeSet<&'n SmolStr>) -> &'n str {
    let preferred =
        ["CVE-", "GHSA-"].iter().find_map(|prefix| names.iter().find(|name| name.starts_with(prefix)));
    preferred.or_else(|| names.first()).map_or("", |name| name.as_str())
}

/// What a fix takes besides an upgrade, where every record with a fix says so: Ubuntu Pro.
fn fix_note(hits: &[&Hit]) -> Option<String> {
    let mut fixes = hits.iter().filter(|hit| !hit.matched.fixed.is_empty()).map(|hit| {
        let specific = hit.affected.ecosystem_specific.as_ref()?;
        specific.availability.as_ref()?.as_str().filter(|text| *text != "No subscription required")
    });
    let first = fixes.next().flatten()?;
    fixes.all(|note| note.is_some()).then(|| first.to_owned())
}

fn state(hits: &[&Hit], fixed: &[String]) -> FixState {
    let end_of_life = |hit: &&Hit| {
        let specific = hit.affected.ecosystem_specific.as_ref();
        specific.and_then(|fields| fields.urgency.as_ref()?.as_str()) == Some("end-of-life")
    };
    if !fixed.is_empty() {
        FixState::Fixed
    } else if hits.iter().any(end_of_life) {
        FixState::WontFix
    } else if hits.iter().any(|hit| hit.matched.fix_unstated) {
        FixState::Unknown
    } else {
        FixState::NotFixed
    }
}
