//! Reports of `explain`: why a vulnerability is found in an image, or is not. A format is one file and one row of
//! [`EXPLAIN_FORMATS`].

mod json;
#[cfg(test)]
mod tests;
mod text;

use crate::model::explanation::Explanation;

use super::Style;

/// A format of explanations. The same bytes for the same input, ending with a newline.
pub trait ExplainFormat: Sync {
    /// What the user writes after `-o`.
    fn id(&self) -> &'static str;

    /// One line on what it is for.
    fn summary(&self) -> &'static str;

    /// One explanation.
    fn explanation(&self, explanation: &Explanation, style: &Style) -> String;
}

/// Every format that this version has; the first is the default.
pub static EXPLAIN_FORMATS: &[&dyn ExplainFormat] = &[&text::Text, &json::Json];
