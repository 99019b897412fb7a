//! Reports of `validate`: violations, written for a person or a program. A format is one file and one row
//! of [`VALIDATE_FORMATS`].

mod json;
mod sarif;
mod text;

use crate::check::tells;
use crate::model::evidence::Evidence;
use crate::model::fault::Fault;
use crate::model::violation::{CheckSeverity, TagCheck};

use super::Style;

/// One image of `validate`.
#[derive(Debug, Clone, Copy)]
pub struct Validated<'a> {
    /// What is known of it, the violations among it.
    pub evidence: &'a Evidence,
    /// What each tag that was asked about points to.
    pub tags: &'a [TagCheck],
}

/// A format of reports. The same bytes for the same input, ending with a newline.
pub trait ValidateFormat: Sync {
    /// What the user writes after `-o`.
    fn id(&self) -> &'static str;

    /// One line on what it is for.
    fn summary(&self) -> &'static str;

    /// The images, in the order given.
    fn validate(&self, validated: &[Validated<'_>], style: &Style) -> String;
}

/// Every format that this version has; the first is the default.
pub static VALIDATE_FORMATS: &[&dyn ValidateFormat] = &[&text::Text, &json::Json, &sarif::Sarif];

/// The faults that no violation tells of.
fn faults(evidence: &Evidence) -> Vec<&Fault> {
    let violations = || evidence.checked.known().into_iter().flat_map(|checked| &checked.violations);
    let told = |fault: &&Fault| violations().any(|violation| tells(violation, fault));
    evidence.faults.iter().filter(|fault| !told(fault)).collect()
}

/// How many violations there are of each severity, the worst first.
fn counts(evidence: &Evidence) -> Vec<(CheckSeverity, usize)> {
    let violations = || evidence.checked.known().into_iter().flat_map(|checked| &checked.violations);
    let count = |severity| violations().filter(|violation| violation.severity == severity).count();
    CheckSeverity::ALL.into_iter().map(|severity| (severity, count(severity))).collect()
}

#[cfg(test)]
mod tests;
