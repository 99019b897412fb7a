//! Lists that both text reports have: what could not be judged or read, and the facts at the foot.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::enrichment::ExploitData;
use crate::model::evidence::{Evidence, PlatformEvidence, SnapshotInfo};
use crate::model::fact::Fact;
use crate::model::fault::Gap;
use crate::model::finding::Undetermined;
use crate::model::platform::Platform;
use crate::model::vex::{VexDocument, VexOutcome};
use crate::report::Detail;

use super::page::{Page, Tint, piece, plain, safe};
use super::words::{PATH_CHARS, count, name, on, platforms, safe_path, short, some};

/// Packages named for one cause.
const NAMED: usize = 5;

/// Causes or gaps listed before the report says how many more there are.
const LISTED: usize = 10;

fn limit(detail: Detail, usual: usize) -> usize {
    if detail == Detail::Full { usize::MAX } else { usual }
}

/// Packages of which nothing can be said, by cause, the cause of most packages first.
pub(super) fn undetermined<'a>(
    page: &mut Page,
    packages: impl IntoIterator<Item = &'a Undetermined>,
    detail: Detail,
) {
    let mut causes: BTreeMap<&str, (BTreeSet<String>, BTreeSet<&Platform>)> = BTreeMap::new();
    for undetermined in packages {
        let (names, on) = causes.entry(&undetermined.cause).or_default();
        let package = &undetermined.package;
        names.insert(format!("{} {}", name(&package.name), name(&package.version)));
        on.insert(&undetermined.platform);
    }
    let mut causes: Vec<_> = causes.into_iter().collect();
    causes.sort_by_key(|(_, (names, _))| std::cmp::Reverse(names.len()));
    for (cause, (names, on_platforms)) in causes.iter().take(limit(detail, LISTED)) {
        let names: Vec<String> = names.iter().cloned().collect();
        let body = [
            piece(Tint::Doubt, format!("{} could not be judged", count(names.len(), "package"))),
            plain(format!(", {cause}: {}", some(&names, limit(detail, NAMED)))),
            on(&platforms(on_platforms.iter().copied())),
        ];
        page.row(&[plain("  ")], &body);
    }
    more(page, "  ", (causes.len(), limit(detail, LISTED)), "cause");
}

/// Files that could not be read, one a line, with the platforms that have them, so many columns from the
/// left.
pub(super) fn gaps<'a>(
    page: &mut Page,
    gaps: impl IntoIterator<Item = &'a Gap>,
    indent: usize,
    detail: Detail,
) {
    let indent = " ".repeat(indent);
    let mut files: BTreeMap<_, BTreeSet<&Platform>> = BTreeMap::new();
    for gap in gaps {
        let file = (&gap.path, gap.layer, gap.cataloger.as_str(), gap.cause.as_str());
        files.entry(file).or_default().extend(&gap.platform);
    }
    for ((path, layer, cataloger, cause), on_platforms) in files.iter().take(limit(detail, LISTED)) {
        let path = if path.is_root() { "the whole layer".to_owned() } else { safe_path(path) };
        let body = [
            piece(Tint::Doubt, path),
            plain(format!(" in layer {layer}, {}: {cause}", name(cataloger))),
            on(&platforms(on_platforms.iter().copied())),
        ];
        page.row(&[plain(&indent)], &body);
    }
    more(page, &indent, (files.len(), limit(detail, LISTED)), "file");
}

fn more(page: &mut Page, indent: &str, (all, shown): (usize, usize), noun: &str) {
    if all > shown {
        let text = format!("and {} more: `-v` shows all, `-o json` has them", count(all - shown, noun));
        page.row(&[plain(indent)], &[piece(Tint::Faint, text)]);
    }
}

/// A fact of the foot: its name in a column of its own.
pub(super) fn fact(page: &mut Page, title: &str, text: &str) {
    page.row(&[piece(Tint::Faint, format!("{title:<11} "))], &[plain(text)]);
}

/// Digest, reference, advisories and platforms: what the report is about.
pub(super) fn facts(page: &mut Page, evidence: &Evidence, detail: Detail) {
    let digest = evidence.image.digest.as_ref();
    fact(page, "digest", &digest.map_or("not known".to_owned(), ToString::to_string));
    if let Fact::Known(reference) = &evidence.reference {
        let reference = reference.to_string();
        // A local image is judged as the reference that `--as` gives it.
        if !evidence.image.reference.contains(&reference) {
            fact(page, "judged as", &reference);
        }
    }
    let snapshot = match &evidence.snapshot {
        Fact::Known(snapshot) => advisories(snapshot),
        Fact::Absent => "none were given".to_owned(),
        Fact::Unknown(cause) => format!("not known: {cause}"),
    };
    fact(page, "advisories", &snapshot);
    if let Fact::Known(snapshot) = &evidence.snapshot {
        for (ecosystem, segment) in snapshot.ecosystems.iter().filter(|_| detail == Detail::Full) {
            let text = format!("{}: {}, {}", name(ecosystem), count_records(segment.records), segment.id);
            fact(page, "", &text);
        }
    }
    exploits(page, ("exploited", "of CISA"), &evidence.enrichment.kev);
    exploits(page, ("predicted", "of FIRST (EPSS)"), &evidence.enrichment.epss);
    vex(page, evidence, detail);
    for platform in evidence.platforms.known().into_iter().flatten() {
        fact(page, "platform", &described(platform, detail));
    }
}

/// How fresh the data on exploits is; nothing where none was given.
fn exploits(page: &mut Page, (title, of): (&str, &str), data: &Fact<ExploitData>) {
    match data {
        Fact::Known(data) => {
            let text = format!("{of}, {} ({}), {} CVEs", data.generated, short(&data.digest), data.entries);
            fact(page, title, &text);
        }
        Fact::Absent => {}
        Fact::Unknown(cause) => fact(page, title, &format!("{of}, not known: {cause}")),
    }
}

/// The VEX documents, and the statements that were not applied, each with the reason.
fn vex(page: &mut Page, evidence: &Evidence, detail: Detail) {
    let vex = &evidence.vex;
    let of = |document: &VexDocument, outcomes: &[VexOutcome]| {
        let statements: BTreeSet<&str> = outcomes
            .iter()
            .filter(|outcome| outcome.digest == document.digest && outcome.document == document.name)
            .map(|outcome| outcome.statement.as_str())
            .collect();
        statements.len()
    };
    for document in &vex.documents {
        let author = document.author.as_deref().map(|author| format!(" by {}", name(author)));
        let signed = document.attested.as_ref();
        let signed = signed.map(|by| format!(", signed by {}", name(&by.signed_by.in_words())));
        let text = format!(
            "{} ({}), {}{}{}: {} used, {} not applied, {} about nothing here",
            name(&document.name),
            short(&document.digest),
            name(&document.format),
            author.unwrap_or_default(),
            signed.unwrap_or_default(),
            count(of(document, &vex.used), "statement"),
            of(document, &vex.refused),
            of(document, &vex.unused),
        );
        fact(page, "vex", &text);
    }
    for unread in vex.unread.iter().take(limit(detail, LISTED)) {
        let signed = name(&unread.attested.signed_by.in_words());
        let cause = safe(&unread.cause, PATH_CHARS);
        let body = [
            piece(Tint::Doubt, "not readable"),
            plain(format!(": {}, signed by {signed}: {cause}", name(&unread.document))),
        ];
        page.row(&[plain("            ")], &body);
    }
    more(page, "            ", (vex.unread.len(), limit(detail, LISTED)), "document");
    for outcome in vex.refused.iter().take(limit(detail, LISTED)) {
        let body = [
            piece(Tint::Doubt, "not applied"),
            plain(format!(
                ": {} of {} ({}): {}",
                name(&outcome.statement),
                name(&outcome.document),
                name(&outcome.vulnerability),
                outcome.reason.as_deref().unwrap_or_default()
            )),
        ];
        page.row(&[plain("            ")], &body);
    }
    more(page, "            ", (vex.refused.len(), limit(detail, LISTED)), "statement");
}

/// How fresh, how many, of what.
fn advisories(snapshot: &SnapshotInfo) -> String {
    let date = match snapshot.generated {
        Some(time) => format!("of {time}"),
        None => "of unknown date".to_owned(),
    };
    if snapshot.ecosystems.is_empty() {
        return format!("{date} ({}), for none of the image's ecosystems", short(&snapshot.id));
    }
    let records = snapshot.ecosystems.values().map(|segment| segment.records).fold(0, u64::saturating_add);
    let names: Vec<String> = snapshot.ecosystems.keys().map(|ecosystem| name(ecosystem)).collect();
    format!("{date} ({}), {} of {}", short(&snapshot.id), count_records(records), some(&names, NAMED))
}

fn count_records(number: u64) -> String {
    if number == 1 { "1 record".to_owned() } else { format!("{number} records") }
}

fn described(platform: &PlatformEvidence, detail: Detail) -> String {
    let packages = match &platform.inventory {
        Fact::Known(inventory) => count(inventory.packages.len(), "package"),
        Fact::Absent | Fact::Unknown(_) => "packages not known".to_owned(),
    };
    let layers = match &platform.layers {
        Fact::Known(layers) => count(layers.len(), "layer"),
        Fact::Absent | Fact::Unknown(_) => "layers not known".to_owned(),
    };
    let text = format!("{} ({layers}, {packages})", name(&platform.platform.to_string()));
    match &platform.digest {
        Some(digest) if detail == Detail::Full => format!("{text}, {digest}"),
        Some(_) | None => text,
    }
}
