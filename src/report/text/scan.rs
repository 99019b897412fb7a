//! The findings of one image.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::evidence::{Evidence, PlatformEvidence};
use crate::model::fault::{Fault, Gap};
use crate::model::finding::{Finding, Suppressed, Undetermined};
use crate::model::inventory::Inventory;
use crate::model::platform::Platform;
use crate::report::Detail;
use crate::report::unknown::{Unknown, complete, unknown};

use super::gate::image;
use super::lists;
use super::page::{Page, Tint, piece, plain};
use super::table::{self, Column};
use super::words::{count, fix, name, on, platforms, safe_path, severity, severity_tint, some, urgency};

/// Set-aside findings named for one reason.
const NAMED: usize = 5;

/// What was found and what was not, over all platforms.
struct Scan<'a> {
    evidence: &'a Evidence,
    unknown: Vec<Unknown<'a>>,
    rows: Vec<Row<'a>>,
    undetermined: Vec<&'a Undetermined>,
    suppressed: Vec<&'a Suppressed>,
    gaps: Vec<Gap>,
}

/// A finding, with all platforms that have it alike.
struct Row<'a> {
    finding: &'a Finding,
    on: BTreeSet<&'a Platform>,
}

impl<'a> Scan<'a> {
    fn of(evidence: &'a Evidence) -> Self {
        let platforms = evidence.platforms.known().map(Vec::as_slice).unwrap_or_default();
        let found = || platforms.iter().filter_map(|platform| platform.findings.known());
        let listed = platforms.iter().filter_map(|p| Some((p, p.inventory.known()?)));
        Self {
            evidence,
            unknown: unknown(evidence),
            rows: rows(found().flat_map(|found| &found.findings)),
            undetermined: found().flat_map(|found| &found.undetermined).collect(),
            suppressed: found().flat_map(|found| &found.suppressed).collect(),
            gaps: listed.flat_map(gaps_of).collect(),
        }
    }
}

fn gaps_of<'a>((platform, inventory): (&'a PlatformEvidence, &'a Inventory)) -> impl Iterator<Item = Gap> {
    inventory.gaps.iter().map(|gap| Gap { platform: Some(platform.platform.clone()), ..gap.clone() })
}

fn rows<'a>(findings: impl Iterator<Item = &'a Finding>) -> Vec<Row<'a>> {
    let mut rows: BTreeMap<_, Row<'a>> = BTreeMap::new();
    for finding in findings {
        let package = &finding.package;
        let key = (
            (urgency(finding), finding.vex_doubt.is_some()),
            (package.kind, &package.name, &package.version),
            (finding.layer.index, &finding.locations, finding.state, &finding.fixed),
        );
        let row = rows.entry(key).or_insert_with(|| Row { finding, on: BTreeSet::new() });
        row.on.insert(&finding.platform);
    }
    rows.into_values().collect()
}

/// Characters of why a finding is in doubt: 300.
const DOUBT_CHARS: usize = 300;

/// The findings in one phrase, for a verdict that need not have been about them.
pub(super) fn phrase(evidence: &Evidence) -> String {
    let scan = Scan::of(evidence);
    let known = |platform: &PlatformEvidence| platform.findings.known().is_some();
    match (scan.rows.is_empty(), complete(evidence)) {
        (true, true) => "none".to_owned(),
        (false, true) => scan.counts(),
        (true, false) if !evidence.platforms.known().is_some_and(|all| all.iter().any(known)) => {
            "not known".to_owned()
        }
        (true, false) => "none, but not everything is known".to_owned(),
        (false, false) => format!("{}; but not everything is known", scan.counts()),
    }
}

/// Writes one scan. What is unknown comes first: a list that is not whole must not look whole.
pub(super) fn write(page: &mut Page, evidence: &Evidence, detail: Detail) {
    let scan = Scan::of(evidence);
    scan.title(page);
    scan.doubts(page, detail);
    if detail == Detail::Brief {
        return;
    }
    if !scan.rows.is_empty() {
        page.gap();
        scan.table(page);
        scan.in_doubt(page, detail);
    }
    scan.set_aside(page, detail);
    page.gap();
    lists::facts(page, evidence, detail);
}

impl Scan<'_> {
    fn title(&self, page: &mut Page) {
        let image = piece(Tint::Strong, image(self.evidence));
        let counts = match self.rows.is_empty() {
            false => self.counts(),
            true if complete(self.evidence) => "no known advisory applies".to_owned(),
            true => "nothing found in what could be looked at".to_owned(),
        };
        let lead: &[_] = match complete(self.evidence) {
            true => &[],
            false => &[piece(Tint::Doubt, "INCOMPLETE"), plain("  ")],
        };
        page.row(lead, &[image, plain(": "), plain(counts)]);
    }

    /// `3 findings: 1 critical, 2 unknown`, the worst first.
    fn counts(&self) -> String {
        let mut counts: BTreeMap<_, (usize, &str)> = BTreeMap::new();
        for row in &self.rows {
            let finding = row.finding;
            let severity_rank = (!finding.malicious).then_some(std::cmp::Reverse(finding.severity));
            let entry = counts.entry(severity_rank).or_insert((0, severity(finding)));
            entry.0 += 1;
        }
        let by: Vec<String> = counts.values().map(|(number, word)| format!("{number} {word}")).collect();
        let exploited = self.rows.iter().filter(|row| row.finding.kev == Some(true)).count();
        let exploited = match exploited {
            0 => String::new(),
            number => format!("; {number} known to be exploited"),
        };
        format!("{}: {}{exploited}", count(self.rows.len(), "finding"), by.join(", "))
    }

    /// Everything that is not known, grouped by cause.
    fn doubts(&self, page: &mut Page, detail: Detail) {
        for fault in &self.evidence.faults {
            write_fault(page, fault);
        }
        let mut causes: BTreeMap<(&str, &str), BTreeSet<&Platform>> = BTreeMap::new();
        for unknown in &self.unknown {
            causes.entry((unknown.what.sentence(), &unknown.cause)).or_default().extend(unknown.platform);
        }
        for ((sentence, cause), on_platforms) in causes {
            let body = [
                piece(Tint::Doubt, sentence),
                plain(format!(": {cause}")),
                on(&platforms(on_platforms.iter().copied())),
            ];
            page.row(&[plain("  ")], &body);
        }
        let mut ended: BTreeMap<(&str, &str), BTreeSet<&Platform>> = BTreeMap::new();
        for release in &self.evidence.ended {
            ended.entry((&release.release, &release.end_of_life)).or_default().insert(&release.platform);
        }
        for ((release, end), on_platforms) in ended {
            let text = format!("{} is past its end of life, {}", name(release), name(end));
            let body = [
                piece(Tint::Doubt, text),
                plain(": its advisories have stopped, and what is not found may be there"),
                on(&platforms(on_platforms)),
            ];
            page.row(&[plain("  ")], &body);
        }
        let segments = self.evidence.snapshot.known().into_iter().flat_map(|snapshot| &snapshot.ecosystems);
        for (ecosystem, segment) in segments.filter(|(_, segment)| segment.unreadable > 0) {
            let number = segment.unreadable;
            let text = format!("unreadable advisories of {}: {number}; import it again", name(ecosystem));
            page.row(&[plain("  ")], &[piece(Tint::Doubt, text)]);
        }
        lists::undetermined(page, self.undetermined.iter().copied(), detail);
        if !self.gaps.is_empty() {
            page.row(&[plain("  ")], &[piece(Tint::Doubt, "packages may hide in what could not be read:")]);
            lists::gaps(page, &self.gaps, 4, detail);
        }
    }

    fn table(&self, page: &mut Page) {
        const fn column(title: &'static str, most: usize, least: usize) -> Column {
            Column { title, most, least, keep_end: false }
        }
        const COLUMNS: [Column; 8] = [
            column("SEVERITY", 9, 9),
            column("ID", 40, 40),
            column("PACKAGE", 60, 16),
            column("INSTALLED", 40, 40),
            column("FIXED", 60, 60),
            column("LAYER", 5, 5),
            column("PLATFORM", 50, 12),
            Column { title: "WHERE", most: 200, least: 16, keep_end: true },
        ];
        let rows: Vec<[(Tint, String); 8]> = self.rows.iter().map(|row| self.cells(row)).collect();
        table::write(page, &COLUMNS, &rows);
    }

    fn cells(&self, row: &Row<'_>) -> [(Tint, String); 8] {
        let finding = row.finding;
        let all = self.evidence.platforms.known().is_some_and(|all| all.len() == row.on.len());
        // With one platform there is nothing to tell apart, and the column is left out.
        let on = match (all, row.on.len()) {
            (true, 1) => String::new(),
            (true, _) => "all".to_owned(),
            (false, _) => platforms(row.on.iter().copied()),
        };
        let paths: Vec<String> = finding.locations.iter().map(safe_path).collect();
        let fixed = match finding.fixed.first() {
            Some(version) => version.clone(),
            None => fix(finding),
        };
        let id = match &finding.vex_doubt {
            Some(_) => format!("{} (doubted)", finding.id),
            None => finding.id.clone(),
        };
        [
            (severity_tint(finding), severity(finding).to_owned()),
            (Tint::Strong, id),
            (Tint::Plain, finding.package.name.clone()),
            (Tint::Plain, finding.package.version.clone()),
            (Tint::Plain, fixed),
            (Tint::Plain, finding.layer.number()),
            (Tint::Faint, on),
            (Tint::Faint, some(&paths, 1)),
        ]
    }

    /// Findings of which it cannot be said whether VEX sets them aside, by cause.
    fn in_doubt(&self, page: &mut Page, detail: Detail) {
        let mut causes: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for Row { finding, .. } in &self.rows {
            if let Some(cause) = &finding.vex_doubt {
                let named = format!("{} in {}", name(&finding.id), name(&finding.package.name));
                causes.entry(cause).or_default().insert(named);
            }
        }
        if causes.is_empty() {
            return;
        }
        page.gap();
        page.line(&[piece(Tint::Strong, "In doubt")]);
        let most = if detail == Detail::Full { usize::MAX } else { NAMED };
        let rest = causes.len().saturating_sub(most);
        for (cause, ids) in causes.into_iter().take(most) {
            let ids: Vec<String> = ids.into_iter().collect();
            let cause = super::page::safe(cause, DOUBT_CHARS);
            page.row(&[plain("  ")], &[plain(format!("{}: ", some(&ids, most))), piece(Tint::Doubt, cause)]);
        }
        if rest > 0 {
            page.row(&[plain("  ")], &[plain(format!("and {rest} more causes"))]);
        }
    }

    /// Findings that do not count, by reason, so that nothing is dropped in silence.
    fn set_aside(&self, page: &mut Page, detail: Detail) {
        let mut reasons: BTreeMap<&str, (BTreeSet<String>, BTreeSet<&str>)> = BTreeMap::new();
        for suppressed in &self.suppressed {
            let (ids, details) = reasons.entry(suppressed.reason).or_default();
            let finding = &suppressed.finding;
            ids.insert(format!("{} in {}", name(&finding.id), name(&finding.package.name)));
            details.insert(&suppressed.detail);
        }
        if reasons.is_empty() {
            return;
        }
        page.gap();
        page.line(&[piece(Tint::Strong, "Set aside")]);
        let full = detail == Detail::Full;
        for (reason, (ids, details)) in reasons {
            let ids: Vec<String> = ids.into_iter().collect();
            let named = some(&ids, if full { usize::MAX } else { NAMED });
            let text = format!("{} ({reason}): {named}", count(ids.len(), "finding"));
            page.row(&[plain("  ")], &[plain(text)]);
            for detail in details.iter().filter(|_| full) {
                page.row(&[plain("    ")], &[piece(Tint::Faint, detail)]);
            }
        }
    }
}

fn write_fault(page: &mut Page, fault: &Fault) {
    let body =
        [piece(Tint::Bad, &fault.at), plain(format!(": {}", fault.message)), on(&platforms(&fault.platform))];
    page.row(&[plain("  ")], &body);
}
