//! VEX: what a publisher states of a vulnerability in a product, and what became of the statement here.

use serde::Serialize;

use super::digest::Digest;

/// The reason of a finding that a VEX statement set aside.
pub const VEX_REASON: &str = "vex";

/// What a statement says, in the words of OpenVEX. Ordered by strictness: the later words keep a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VexStatus {
    /// The vulnerability does not concern the product.
    NotAffected,
    /// This very version has the fix.
    Fixed,
    /// Nobody knows yet.
    UnderInvestigation,
    /// It concerns the product.
    Affected,
}

impl VexStatus {
    /// The word in JSON and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NotAffected => "not_affected",
            Self::Fixed => "fixed",
            Self::UnderInvestigation => "under_investigation",
            Self::Affected => "affected",
        }
    }

    /// Whether a finding that it is about is set aside.
    #[must_use]
    pub fn sets_aside(self) -> bool {
        match self {
            Self::NotAffected | Self::Fixed => true,
            Self::UnderInvestigation | Self::Affected => false,
        }
    }
}

/// A document of statements, as reports and verdicts name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VexDocument {
    /// Where its bytes come from: the name of a file.
    pub name: String,
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Format and version, such as `OpenVEX 0.2.0`.
    pub format: String,
    /// The id that it gives itself.
    pub id: Option<String>,
    /// Who says that they wrote it. Nothing is verified.
    pub author: Option<String>,
    /// When it says that it was issued, as written.
    pub timestamp: Option<String>,
    /// Statements in it, those that were refused included.
    pub statements: usize,
}

/// A statement that is about a finding: its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VexStatement {
    /// Name of the document.
    pub document: String,
    /// SHA-256 of the document's bytes.
    pub digest: Digest,
    /// Place in the document, such as `statements[3]`.
    pub statement: String,
    /// The id of the vulnerability as the statement writes it.
    pub vulnerability: String,
    /// The product, and the part of it, as the statement writes them.
    pub product: String,
    /// What it says.
    pub status: VexStatus,
    /// The same as the format words it, such as `false_positive`.
    pub stated: String,
    /// The label that says why the product is not affected.
    pub justification: Option<String>,
    /// The same in words, or notes on the status.
    pub text: Option<String>,
    /// What is to be done.
    pub action: Option<String>,
    /// Who says that they wrote it.
    pub author: Option<String>,
    /// When it was made, as written.
    pub timestamp: Option<String>,
}

/// What became of a statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VexOutcome {
    /// Name of the document.
    pub document: String,
    /// SHA-256 of the document's bytes.
    pub digest: Digest,
    /// Place in the document.
    pub statement: String,
    /// The id of the vulnerability as the statement writes it.
    pub vulnerability: String,
    /// The status as written.
    pub stated: String,
    /// Why it was not applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The findings that it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
}

/// All documents that were given and what became of their statements. Lists are in the order of the documents.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct VexReport {
    /// The documents.
    pub documents: Vec<VexDocument>,
    /// Statements that stand at a finding, kept or set aside.
    pub used: Vec<VexOutcome>,
    /// Statements about nothing that was found, or that a later one replaces.
    pub unused: Vec<VexOutcome>,
    /// Statements that were not applied although they name a vulnerability that was found, or are unsound.
    pub refused: Vec<VexOutcome>,
}
