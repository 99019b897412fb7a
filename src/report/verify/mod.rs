//! Reports of `verify`: what is signed of images, by whom, and whether that is what was asked for.

mod json;
mod text;

use crate::model::evidence::Evidence;
use crate::model::verdict::{Message, Outcome};

use super::Style;

/// An image that was looked at.
#[derive(Debug, Clone)]
pub struct VerifiedImage {
    /// What is signed of it.
    pub evidence: Evidence,
    /// Whether that is what was asked for.
    pub outcome: Outcome,
    /// Why not.
    pub messages: Vec<Message>,
}

/// A format of such reports. The same bytes for the same input, ending with a newline.
pub trait VerifyFormat: Sync {
    /// What the user writes after `-o`.
    fn id(&self) -> &'static str;

    /// One line on what it is for.
    fn summary(&self) -> &'static str;

    /// The images, in the order given.
    fn verified(&self, images: &[VerifiedImage], style: &Style) -> String;
}

/// Every format that this version has; the first is the default.
pub static VERIFY_FORMATS: &[&dyn VerifyFormat] = &[&text::Text, &json::Json];
