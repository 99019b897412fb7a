//! Reports of `verify-bundle`: whether a bundle is a true attestation, by whom, and if not why.

mod json;
mod text;

use crate::attestation::{Rejection, Verified, claims};
use crate::model::attestation::TrustedRoot;

use super::Style;

/// A bundle that was judged.
#[derive(Debug, Clone, Copy)]
pub struct JudgedBundle<'a> {
    /// What the user called it.
    pub bundle: &'a str,
    /// What it was offered for: a file or a digest, as the user wrote it.
    pub subject: &'a str,
    /// What came of it.
    pub outcome: BundleOutcome<'a>,
    /// The roots that were asked.
    pub roots: &'a [TrustedRoot],
}

/// What came of a bundle.
#[derive(Debug, Clone, Copy)]
pub enum BundleOutcome<'a> {
    /// It is true, and by who may sign.
    Accepted(&'a Verified),
    /// It is true, and by somebody else, or not what is asked for.
    Other(&'a Verified, &'a Rejection),
    /// It is not true, or that cannot be told. What it claims of its signer, where that can be read, is a claim.
    Refused(&'a Rejection, Option<&'a claims::SignedBy>),
}

/// A format of judged bundles. The same bytes for the same input, ending with a newline.
pub trait BundleFormat: Sync {
    /// What the user writes after `-o`.
    fn id(&self) -> &'static str;

    /// One line on what it is for.
    fn summary(&self) -> &'static str;

    /// One bundle.
    fn bundle(&self, judged: &JudgedBundle<'_>, style: &Style) -> String;
}

/// Every format that this version has; the first is the default.
pub static BUNDLE_FORMATS: &[&dyn BundleFormat] = &[&text::Text, &json::Json];
