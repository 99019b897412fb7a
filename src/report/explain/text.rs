//! `text`: package by package, record by record, for a person.

use crate::model::explanation::{Explained, Explanation, PlatformExplanation, Said, Says};
use crate::report::text::page::{Page, Tint, piece, plain};
use crate::report::text::words::{count, fix, name, safe_path, severity, severity_tint, short, some};
use crate::report::{Detail, Style};

use super::ExplainFormat;

/// Paths of a package, ranges of an entry and links of a record that are shown where not all are asked for.
const SHOWN: usize = 4;

/// Lines of a record's long text that are shown where not all are asked for.
const LINES: usize = 6;

/// Characters of a line of it; whatever is longer was made to bury the rest.
const LINE_CHARS: usize = 400;

/// The format `text`.
pub(super) struct Text;

impl ExplainFormat for Text {
    fn id(&self) -> &'static str {
        "text"
    }

    fn summary(&self) -> &'static str {
        "package by package, for a person"
    }

    fn explanation(&self, explanation: &Explanation, style: &Style) -> String {
        let mut page = Page::new(style);
        let title = [
            piece(Tint::Strong, name(&explanation.id)),
            plain(" in "),
            piece(Tint::Strong, &explanation.image.reference),
            plain(
                explanation.image.digest.as_ref().map_or_else(String::new, |digest| format!(" ({digest})")),
            ),
        ];
        page.row(&[], &title);
        for cause in &explanation.unread {
            page.row(&[plain("  ")], &[piece(Tint::Doubt, format!("could not be read: {cause}"))]);
        }
        for record in &explanation.withdrawn {
            page.row(&[plain("  ")], &[plain(format!("withdrawn, and so without effect: {}", name(record)))]);
        }
        for platform in &explanation.platforms {
            page.gap();
            write_platform(&mut page, platform, style.detail);
        }
        if let Some(snapshot) = &explanation.snapshot {
            page.gap();
            page.line(&[piece(Tint::Faint, format!("advisories {}", snapshot.id))]);
            for (ecosystem, segment) in &snapshot.ecosystems {
                let text = format!("  {} {}, {}", name(ecosystem), segment.id, count_of(segment.records));
                page.line(&[piece(Tint::Faint, text)]);
            }
        }
        page.finish()
    }
}

fn count_of(records: u64) -> String {
    if records == 1 { "1 record".to_owned() } else { format!("{records} records") }
}

fn write_platform(page: &mut Page, of: &PlatformExplanation, detail: Detail) {
    page.line(&[piece(Tint::Strong, of.platform.to_string())]);
    if of.packages.is_empty() {
        page.line(&[plain("  no record about it names a package of this image")]);
    }
    for explained in &of.packages {
        page.gap();
        write_package(page, explained, detail);
    }
    if !of.unasked.is_empty() || of.gaps > 0 {
        page.gap();
    }
    for (cause, number) in &of.unasked {
        let text = format!("not asked about: {}: {cause}", count(*number, "package"));
        page.row(&[plain("  ")], &[piece(Tint::Doubt, text)]);
    }
    if of.gaps > 0 {
        let text = format!("packages may hide in what could not be read: {}", count(of.gaps, "gap"));
        page.row(&[plain("  ")], &[piece(Tint::Doubt, text)]);
    }
}

fn write_package(page: &mut Page, explained: &Explained, detail: Detail) {
    let shown = if detail == Detail::Full { usize::MAX } else { SHOWN };
    let package = &explained.package;
    let mut title = vec![piece(
        Tint::Strong,
        format!("{} {} {}", package.kind, name(&package.name), name(&package.version)),
    )];
    let undetermined =
        || explained.records.iter().any(|said| matches!(said.answer, Says::Undetermined { .. }));
    match (&explained.finding, &explained.suppressed) {
        (Some(finding), _) => {
            title.push(plain(": affected, "));
            title.push(piece(severity_tint(finding), severity(finding)));
            title.push(plain(format!(", {}", fix(finding))));
        }
        (None, Some(suppressed)) => {
            title.push(plain(format!(": set aside ({}): {}", suppressed.reason, suppressed.detail)));
        }
        (None, None) if undetermined() => title.push(piece(Tint::Doubt, ": undetermined")),
        (None, None) => title.push(plain(": not affected")),
    }
    page.row(&[plain("  ")], &title);
    let paths: Vec<String> = explained.locations.iter().map(safe_path).collect();
    let layer = explained.layer.diff_id.as_ref().map_or_else(String::new, |id| format!(" ({})", short(id)));
    fact(page, "layer", &format!("{}{layer}", explained.layer.number()));
    fact(page, "where", &some(&paths, shown));
    if let Some(source) = &explained.finding.as_ref().and_then(|finding| finding.severity_source.clone()) {
        fact(page, "severity from", source);
    }
    for said in &explained.records {
        page.gap();
        write_record(page, said, detail);
    }
}

fn fact(page: &mut Page, label: &str, text: &str) {
    if !text.is_empty() {
        page.row(&[plain(format!("    {label:<14}"))], &[plain(text)]);
    }
}

fn write_record(page: &mut Page, said: &Said, detail: Detail) {
    let shown = if detail == Detail::Full { usize::MAX } else { SHOWN };
    let ids: Vec<String> = said.ids.iter().map(|id| name(id)).collect();
    let ids = if ids.is_empty() { String::new() } else { format!(" ({})", some(&ids, shown.max(8))) };
    fact(page, "record", &format!("{}{ids}", name(&said.record)));
    fact(page, "", said.summary.as_deref().unwrap_or_default());
    fact(page, "segment", &said.segment.to_string());
    fact(
        page,
        "compared",
        &format!("{} {} {}", name(&said.ecosystem), name(&said.name), name(&said.version)),
    );
    fact(page, "with", &some(&said.ranges, shown));
    if said.versions > 0 {
        fact(page, "and", &format!("{} listed", count(said.versions, "version")));
    }
    match &said.answer {
        Says::Affected { range, event, low_confidence } => {
            fact(page, "affected by", &format!("{event} of {range}"));
            fact(page, "in doubt since", low_confidence.as_deref().unwrap_or_default());
        }
        Says::NotAffected => fact(page, "answer", "not affected"),
        Says::Undetermined { cause } => fact(page, "undetermined", cause),
    }
    fact(page, "read", &some(&said.references, shown));
    let lines = said.details.as_deref().unwrap_or_default().lines().filter(|line| !line.trim().is_empty());
    let most = if detail == Detail::Full { usize::MAX } else { LINES };
    for line in lines.take(most) {
        let line: String = line.chars().take(LINE_CHARS).collect();
        page.row(&[plain("    | ")], &[piece(Tint::Faint, line)]);
    }
}
