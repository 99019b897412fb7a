//! Findings by package: what to upgrade, to which version, and what brought it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::finding::{Finding, FixState, PackageRef};
use crate::model::platform::Platform;
use crate::model::severity::Severity;
use crate::report::Detail;

use super::page::{Page, Piece, Tint, piece, plain};
use super::words::{PATH_CHARS, count, fix, name, platforms, safe_path, severity, severity_tint, some, step};

/// Packages that a report lists before it says how many more there are.
const PACKAGES: usize = 20;

/// Findings that it lists for one package.
const FINDINGS: usize = 8;

/// Places that it lists for one package.
const PLACES: usize = 3;

/// Aliases that it names for one finding.
const ALIASES: usize = 2;

/// One package in one version, with all that was found in it on any platform.
struct Upgrade<'a> {
    package: &'a PackageRef,
    findings: BTreeMap<FindingKey<'a>, &'a Finding>,
    places: BTreeMap<Place, BTreeSet<&'a Platform>>,
}

/// Findings that read the same are one: the same advisory on two platforms.
type FindingKey<'a> = (bool, std::cmp::Reverse<Severity>, &'a str, FixState, &'a [String]);

/// Where the package came from and is.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    layer: String,
    step: String,
    locations: Vec<String>,
}

impl Place {
    fn of(finding: &Finding) -> Self {
        Self {
            layer: finding.layer.number(),
            step: finding.layer.created_by.as_deref().map(step).unwrap_or_default(),
            locations: finding.locations.iter().map(safe_path).collect(),
        }
    }
}

/// Writes the findings, grouped by package, the most urgent first, so many columns from the left.
pub(super) fn write(page: &mut Page, findings: &[&Finding], indent: usize, detail: Detail) {
    let upgrades = group(findings);
    let (outer, inner) = (" ".repeat(indent), " ".repeat(indent + 2));
    let limit = |usual| if detail == Detail::Full { usize::MAX } else { usual };
    for upgrade in upgrades.iter().take(limit(PACKAGES)) {
        page.row(&[plain(&outer)], &upgrade.title());
        for finding in upgrade.findings.values().take(limit(FINDINGS)) {
            let severity = piece(severity_tint(finding), format!("{:<9} ", severity(finding)));
            page.row(&[plain(&inner), severity], &upgrade.finding(finding, limit(ALIASES)));
        }
        left_out(page, &inner, upgrade.findings.len(), limit(FINDINGS), "finding");
        for (place, on) in upgrade.places.iter().take(limit(PLACES)) {
            page.row(&[plain(&inner)], &place.pieces(on));
        }
        left_out(page, &inner, upgrade.places.len(), limit(PLACES), "place");
    }
    left_out(page, &outer, upgrades.len(), limit(PACKAGES), "package");
}

fn left_out(page: &mut Page, indent: &str, all: usize, shown: usize, noun: &str) {
    if all > shown {
        let text = format!("and {} more: `-v` shows all, `-o json` has them", count(all - shown, noun));
        page.row(&[plain(indent)], &[piece(Tint::Faint, text)]);
    }
}

fn group<'a>(findings: &[&'a Finding]) -> Vec<Upgrade<'a>> {
    let mut groups: BTreeMap<_, Upgrade<'a>> = BTreeMap::new();
    for finding in findings {
        let package = &finding.package;
        let key = (package.kind, &package.purl.namespace, &package.name, &package.version);
        let new = || Upgrade { package, findings: BTreeMap::new(), places: BTreeMap::new() };
        let upgrade = groups.entry(key).or_insert_with(new);
        let severity = std::cmp::Reverse(finding.severity);
        let key =
            (!finding.malicious, severity, finding.id.as_str(), finding.state, finding.fixed.as_slice());
        upgrade.findings.entry(key).or_insert(finding);
        upgrade.places.entry(Place::of(finding)).or_default().insert(&finding.platform);
    }
    let mut upgrades: Vec<Upgrade<'a>> = groups.into_values().collect();
    // Stable: packages of equal urgency stay in the order of their names.
    upgrades.sort_by_key(Upgrade::urgency);
    upgrades
}

impl Upgrade<'_> {
    fn urgency(&self) -> Option<(bool, std::cmp::Reverse<Severity>)> {
        self.findings.keys().next().map(|(harmless, severity, ..)| (*harmless, *severity))
    }

    /// The package, and what to do about it.
    fn title(&self) -> Vec<Piece> {
        let package = self.package;
        let source = match &package.source {
            Some(source) if source.name != package.name => format!(", source {}", name(&source.name)),
            Some(_) | None => String::new(),
        };
        vec![
            piece(Tint::Strong, format!("{} {}", name(&package.name), name(&package.version))),
            piece(Tint::Faint, format!(" ({}{source})", package.kind)),
            plain(": "),
            plain(self.advice()),
        ]
    }

    /// Only what the findings themselves say: versions are not compared here, so where the proposals
    /// differ none of them is chosen.
    fn advice(&self) -> String {
        let number = self.findings.len();
        let state =
            |wanted: &[FixState]| self.findings.values().all(|finding| wanted.contains(&finding.state));
        if self.findings.values().any(|finding| finding.malicious) {
            return "made to harm: remove it, and rotate what it could read".to_owned();
        }
        match self.proposal() {
            Some(version) if number == 1 => format!("upgrade to {}", name(version)),
            Some(version) => format!("upgrade to {}, which fixes all {number} findings", name(version)),
            None if state(&[FixState::NotFixed]) => {
                "no fix yet: remove it, or accept it with a waiver".to_owned()
            }
            None if state(&[FixState::WontFix, FixState::NotFixed]) => {
                "will not be fixed: remove it, or accept it with a waiver".to_owned()
            }
            None if number == 1 => "see below".to_owned(),
            None => format!("{number} findings, each with its own fix"),
        }
    }

    /// The version that every finding proposes.
    fn proposal(&self) -> Option<&str> {
        let proposals: Option<BTreeSet<&str>> = self
            .findings
            .values()
            .map(|finding| match finding.state {
                FixState::Fixed => finding.fixed.first().map(String::as_str),
                FixState::NotFixed | FixState::WontFix | FixState::Unknown => None,
            })
            .collect();
        let proposals = proposals?;
        if proposals.len() == 1 { proposals.into_iter().next() } else { None }
    }

    fn finding(&self, finding: &Finding, aliases: usize) -> Vec<Piece> {
        let known: Vec<String> = finding.aliases.iter().map(|alias| name(alias)).collect();
        let known = if known.is_empty() { String::new() } else { format!(" ({})", some(&known, aliases)) };
        let mut pieces = vec![piece(Tint::Strong, name(&finding.id)), piece(Tint::Faint, known)];
        if self.proposal().is_none() || finding.fixed.len() > 1 {
            pieces.push(plain(format!(", {}", fix(finding))));
        }
        if finding.kev == Some(true) {
            pieces.push(piece(Tint::Bad, ", known to be exploited"));
        }
        for stated in &finding.vex {
            let action = stated.action.as_ref().or(stated.text.as_ref());
            let action = action.map(|text| format!(" ({})", super::page::safe(text, PATH_CHARS)));
            let text = format!(", VEX states `{}`{}", name(&stated.stated), action.unwrap_or_default());
            pieces.push(plain(text));
        }
        if let Some(doubt) = &finding.evidence.low_confidence {
            pieces.push(piece(
                Tint::Doubt,
                format!(", less than certain: {}", super::page::safe(doubt, PATH_CHARS)),
            ));
        }
        pieces
    }
}

impl Place {
    fn pieces(&self, on: &BTreeSet<&Platform>) -> Vec<Piece> {
        let step = if self.step.is_empty() { String::new() } else { format!(" `{}`", self.step) };
        let at =
            if self.locations.is_empty() { String::new() } else { format!(": {}", some(&self.locations, 2)) };
        let on = platforms(on.iter().copied());
        vec![piece(Tint::Faint, format!("layer {}{step}{at} ({on})", self.layer))]
    }
}
