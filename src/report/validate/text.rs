//! `text`: for a person: whether the image is sound, what is wrong, where, and what to do.

use std::collections::BTreeMap;

use crate::check::{Check, explain};
use crate::model::evidence::Evidence;
use crate::model::fact::Fact;
use crate::model::violation::{CheckSeverity, Checked, Place, TagCheck, TagState, Violation};
use crate::report::text::page::{Page, Piece, Tint, piece, plain};
use crate::report::text::words::{count, on, platforms, safe_path, short, step};
use crate::report::{Detail, Style};

use super::{ValidateFormat, Validated, counts, faults};

/// Places of one check that are shown before the report says how many more there are.
const SHOWN: usize = 5;

/// The format `text`.
pub(super) struct Text;

impl ValidateFormat for Text {
    fn id(&self) -> &'static str {
        "text"
    }

    fn summary(&self) -> &'static str {
        "for a person: what is wrong, where, and what to do"
    }

    fn validate(&self, validated: &[Validated<'_>], style: &Style) -> String {
        let mut page = Page::new(style);
        for validated in validated {
            page.gap();
            write(&mut page, *validated, style.detail);
        }
        page.finish()
    }
}

fn write(page: &mut Page, validated: Validated<'_>, detail: Detail) {
    let Validated { evidence, tags } = validated;
    title(page, evidence);
    for fault in faults(evidence) {
        let body = [
            piece(Tint::Bad, &fault.at),
            plain(format!(": {}", fault.message)),
            on(&platforms(&fault.platform)),
        ];
        page.row(&[plain("  ")], &body);
    }
    match &evidence.checked {
        Fact::Known(checked) => violations(page, checked, detail),
        Fact::Absent => {}
        Fact::Unknown(cause) if evidence.faults.is_empty() => {
            page.row(&[plain("  ")], &[piece(Tint::Doubt, "not looked at"), plain(format!(": {cause}"))]);
        }
        Fact::Unknown(_) => {}
    }
    for tag in tags {
        write_tag(page, tag);
    }
}

/// `image: 1 high, 3 low`.
fn title(page: &mut Page, evidence: &Evidence) {
    let counts: Vec<String> = counts(evidence)
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(severity, count)| format!("{count} {}", severity.word()))
        .collect();
    let text = match (&evidence.checked, counts.is_empty()) {
        (Fact::Known(_), true) => "nothing is wrong with what was looked at".to_owned(),
        (Fact::Known(_), false) => counts.join(", "),
        (Fact::Absent | Fact::Unknown(_), _) => "could not be looked at".to_owned(),
    };
    let image = &evidence.image;
    page.row(&[], &[piece(Tint::Strong, &image.reference), plain(": "), plain(text)]);
    if let Some(digest) = image.digest.as_ref().map(ToString::to_string)
        && !image.reference.contains(&digest)
    {
        page.row(&[plain("  ")], &[piece(Tint::Faint, digest)]);
    }
}

fn violations(page: &mut Page, checked: &Checked, detail: Detail) {
    for unseen in &checked.unseen {
        let body = [
            piece(Tint::Doubt, format!("{}, not looked at", unseen.at)),
            plain(format!(": {}", unseen.cause)),
        ];
        page.row(&[plain("  ")], &body);
    }
    let mut groups: BTreeMap<_, Vec<&Violation>> = BTreeMap::new();
    for violation in &checked.violations {
        groups.entry((std::cmp::Reverse(violation.severity), violation.check)).or_default().push(violation);
    }
    for ((std::cmp::Reverse(severity), id), violations) in groups {
        // Who asks for little wants what decides.
        if detail == Detail::Brief && severity < CheckSeverity::High {
            continue;
        }
        page.gap();
        let check = explain(id);
        let title = check.map_or("", |check| check.title);
        let lead =
            [piece(tint(severity), format!("{:8} ", severity.word())), piece(Tint::Strong, id), plain("  ")];
        page.row(&lead, &[plain(title)]);
        group(page, &violations, detail);
        advice(page, check, detail);
    }
}

/// The places of one check, the same message on several platforms once.
fn group(page: &mut Page, violations: &[&Violation], detail: Detail) {
    let mut rows: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for violation in violations {
        let key = (&violation.place, &violation.message, &violation.evidence);
        rows.entry(key).or_default().extend(&violation.platform);
    }
    let most = if detail == Detail::Full { usize::MAX } else { SHOWN };
    let all = rows.len();
    for ((place, message, evidence), on_platforms) in rows.into_iter().take(most) {
        let mut body = vec![plain(message)];
        if let Some(evidence) = evidence {
            body.extend([plain(": "), plain(evidence)]);
        }
        body.extend(where_it_is(place));
        body.push(on(&platforms(on_platforms)));
        page.row(&[plain("         ")], &body);
    }
    if let Some(more) = all.checked_sub(most).filter(|more| *more > 0) {
        let text = format!("and {}: `-v` shows all, `-o json` has them", count(more, "more place"));
        page.row(&[plain("         ")], &[piece(Tint::Faint, text)]);
    }
}

fn where_it_is(place: &Place) -> Vec<Piece> {
    let text = match place {
        Place::Image => return Vec::new(),
        Place::Document { document, digest, pointer } => {
            let digest: String = digest.chars().take(19).collect();
            match pointer.as_str() {
                "" => format!("{document} {digest}"),
                pointer => format!("{document} {digest} {pointer}"),
            }
        }
        Place::Layer { index, digest, path, created_by } => {
            let layer = format!("layer {index} ({})", short(digest));
            let file = path.as_ref().map_or(String::new(), |path| format!("{} in ", safe_path(path)));
            let made = created_by.as_ref().map_or(String::new(), |made| format!(", made by {}", step(made)));
            format!("{file}{layer}{made}")
        }
    };
    vec![plain("  "), piece(Tint::Faint, format!("[{text}]"))]
}

fn advice(page: &mut Page, check: Option<&Check>, detail: Detail) {
    let Some(check) = check else { return };
    if detail == Detail::Full {
        page.row(&[piece(Tint::Faint, "         why: ")], &[plain(check.why)]);
    }
    if detail > Detail::Brief {
        page.row(&[piece(Tint::Faint, "         fix: ")], &[plain(check.fix)]);
    }
}

fn write_tag(page: &mut Page, tag: &TagCheck) {
    let (tint, word) = match tag.state {
        TagState::Holds => (Tint::Good, "points to it"),
        TagState::Unknown => (Tint::Doubt, "could not be seen"),
        TagState::Broken => (Tint::Bad, "broken"),
    };
    let causes = if tag.causes.is_empty() { String::new() } else { format!(": {}", tag.causes.join("; ")) };
    page.row(
        &[plain("  tag "), piece(Tint::Strong, &tag.tag), plain("  ")],
        &[piece(tint, word), plain(causes)],
    );
}

fn tint(severity: CheckSeverity) -> Tint {
    match severity {
        CheckSeverity::Critical | CheckSeverity::High => Tint::Bad,
        CheckSeverity::Medium => Tint::Doubt,
        CheckSeverity::Low | CheckSeverity::Info => Tint::Plain,
    }
}
