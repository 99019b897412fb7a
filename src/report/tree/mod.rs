//! Reports of `tree`: what hangs on an image, written for a person or a program. A format is one file and
//! one row of [`TREE_FORMATS`]. Every format says that signers are claims.

mod json;
mod text;

use crate::model::tree::Tree;

use super::Style;

/// A format of trees. The same bytes for the same input, ending with a newline.
pub trait TreeFormat: Sync {
    /// What the user writes after `-o`.
    fn id(&self) -> &'static str;

    /// One line on what it is for.
    fn summary(&self) -> &'static str;

    /// One tree.
    fn tree(&self, tree: &Tree, style: &Style) -> String;
}

/// Every format that this version has; the first is the default.
pub static TREE_FORMATS: &[&dyn TreeFormat] = &[&text::Text, &json::Json];
