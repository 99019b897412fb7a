//! `text`: for a person who has twenty seconds. The decision first, then why, then what to do.

mod gate;
mod lists;
pub(super) mod page;
mod scan;
mod table;
mod upgrades;
pub(super) mod words;

use std::collections::BTreeMap;

use crate::model::evidence::Evidence;
use crate::model::verdict::Decision;

use self::page::{Page, piece, plain};
use super::{Detail, Format, Judged, Style};

/// The format `text`.
pub(super) struct Text;

impl Format for Text {
    fn id(&self) -> &'static str {
        "text"
    }

    fn summary(&self) -> &'static str {
        "for a person: the decision, why, and what to do"
    }

    fn gate(&self, judged: &[Judged<'_>], style: &Style) -> String {
        let mut page = Page::new(style);
        for judged in judged {
            if style.detail > Detail::Brief {
                page.gap();
            }
            gate::write(&mut page, *judged, style.detail);
        }
        if judged.len() != 1 {
            page.gap();
            total(&mut page, judged);
        }
        page.finish()
    }

    fn scan(&self, scanned: &[&Evidence], style: &Style) -> String {
        let mut page = Page::new(style);
        for evidence in scanned {
            if style.detail > Detail::Brief {
                page.gap();
            }
            scan::write(&mut page, evidence, style.detail);
        }
        if scanned.is_empty() {
            page.line(&[plain("no image was scanned")]);
        }
        page.finish()
    }
}

/// How many images got which decision.
fn total(page: &mut Page, judged: &[Judged<'_>]) {
    let mut counts: BTreeMap<Decision, usize> = BTreeMap::new();
    for judged in judged {
        *counts.entry(judged.verdict.decision).or_default() += 1;
    }
    let mut pieces = vec![plain(words::count(judged.len(), "image"))];
    for (decision, number) in counts.into_iter().rev() {
        let (word, tint) = gate::decision(decision);
        let mark = if pieces.len() == 1 { ": " } else { ", " };
        pieces.extend([plain(mark), piece(tint, format!("{number} {word}"))]);
    }
    page.line(&pieces);
}

#[cfg(test)]
mod tests;
