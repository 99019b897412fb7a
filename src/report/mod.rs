//! Reports: verdicts or scans, written for a person or a program.
//!
//! A format is one file and one row of [`FORMATS`]. Everything that comes from an image, an advisory or a
//! policy is foreign: no format lets a control character or a bidirectional override through, and no
//! format shows a fact that is unknown as an empty list.

mod bundle;
mod explain;
mod json;
mod text;
mod tree;
mod unknown;
mod validate;
mod verify;

pub use bundle::{BUNDLE_FORMATS, BundleFormat, BundleOutcome, JudgedBundle};
pub use explain::{EXPLAIN_FORMATS, ExplainFormat};
pub use tree::{TREE_FORMATS, TreeFormat};
pub use validate::{VALIDATE_FORMATS, ValidateFormat, Validated};
pub use verify::{VERIFY_FORMATS, VerifiedImage, VerifyFormat};

use crate::model::attestation::Published;
use crate::model::evidence::Evidence;
use crate::model::verdict::Verdict;

/// One image of `gate`: what was decided, and on what.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// The verdict.
    pub verdict: &'a Verdict,
    /// The evidence that it was reached on.
    pub evidence: &'a Evidence,
    /// What became of its attestations; none where none were asked for.
    pub published: Option<&'a Published>,
}

/// How a report for a person is to look. Formats for programs do not change with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Whether terminal colours may be used.
    pub color: bool,
    /// How much is shown.
    pub detail: Detail,
    /// Columns of a line. Prose is wrapped to it and tables are fitted; `usize::MAX` does neither.
    pub width: usize,
}

/// How much a report for a person shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// The decision and the counted reasons: `--quiet`.
    Brief,
    /// What is needed to act; long lists are cut, and say so.
    Usual,
    /// Everything, nothing cut: `--verbose`.
    Full,
}

/// A format of reports. Both functions give the whole document, ending with a newline, and the same
/// bytes for the same input.
pub trait Format: Sync {
    /// What the user writes after `-o`.
    fn id(&self) -> &'static str;

    /// One line on what it is for.
    fn summary(&self) -> &'static str;

    /// The verdicts of `gate`, one an image, in the order given.
    fn gate(&self, judged: &[Judged<'_>], style: &Style) -> String;

    /// The findings of `scan`, one evidence an image, in the order given.
    fn scan(&self, scanned: &[&Evidence], style: &Style) -> String;
}

/// Every format that this version has; the first is the default.
pub static FORMATS: &[&dyn Format] = &[&text::Text, &json::Json];

/// The format of an id; `None` where there is none.
#[must_use]
pub fn format(id: &str) -> Option<&'static dyn Format> {
    FORMATS.iter().copied().find(|format| format.id() == id)
}

#[cfg(test)]
mod fixture;

#[cfg(test)]
mod tests;
