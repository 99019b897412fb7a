//! VEX: what a publisher states of a vulnerability in a product, and what became of the statement here.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::attestation::{Place, SignedBy, leads_to};
use super::digest::Digest;
use super::platform::Platform;

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

/// How near a statement is to a finding. One about the product that carries a package goes before one about the package
/// wherever it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VexLevel {
    /// About the package, wherever it is.
    Package,
    /// About the image, or the package in what carries it.
    Product,
}

/// The attestation that a document was read out of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VexAttestation {
    /// Where it was found.
    pub at: Place,
    /// The manifest or index that it was attested of.
    pub subject: Digest,
    /// The platform of that manifest; none of the image as a whole, and of an index within it.
    pub platform: Option<Platform>,
    /// The platforms' manifests that it leads to, where it is an index within the image's.
    #[serde(skip)]
    pub below: Option<BTreeSet<Digest>>,
    /// Who signed it.
    pub signed_by: SignedBy,
    /// Whether a transparency log has it.
    #[serde(skip)]
    pub logged: bool,
}

impl VexAttestation {
    /// Whether it speaks of a platform, whose manifest has this digest. Attack: what was attested of one platform,
    /// applied to the findings of another.
    #[must_use]
    pub fn concerns(&self, manifest: Option<&Digest>) -> bool {
        manifest == Some(&self.subject) || leads_to(self.platform.as_ref(), self.below.as_ref(), manifest)
    }
}

/// A document out of an attestation that says something nobody can read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VexUnread {
    /// Where it was found, in words.
    pub document: String,
    /// The attestation.
    pub attested: VexAttestation,
    /// Why it cannot be read: a lowercase fragment, which may have foreign text in it.
    pub cause: String,
}

/// What a document says of a finding: the one of its statements that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VexClaim {
    /// Of which vulnerability, where a finding joins several, from 0.
    pub question: usize,
    /// When it was made, where that is stated.
    pub time: Option<Timestamp>,
    /// What it says.
    pub status: VexStatus,
    /// Number of the attested document in the report; none of a file, of which only what keeps a finding is noted.
    pub document: Option<usize>,
}

impl VexClaim {
    /// Which of several counts: the latest, and of one time the stricter. How near a claim is does not matter. Attack: an
    /// old word on the image, which would go before every later one on the package.
    #[must_use]
    pub fn rank(&self) -> (Option<Timestamp>, VexStatus) {
        let time = match self.time {
            // Attack: the time left out, so that what keeps a finding is older than what clears it.
            None if !self.status.sets_aside() => Some(Timestamp::MAX),
            time => time,
        };
        (time, self.status)
    }
}

/// A claim that keeps a finding, and of which it cannot be said whether it is about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VexDoubt {
    /// The claim, of an attested document.
    pub claim: VexClaim,
    /// Why that cannot be said: a lowercase fragment, escaped.
    pub cause: String,
}

/// Whether a finding is set aside by those who are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VexAnswer {
    /// It is not.
    Kept,
    /// It is, by these attested documents.
    Cleared(BTreeSet<usize>),
    /// It is, and a later statement of one who is believed may keep it: why that cannot be said.
    Doubted(String),
}

/// What is claimed of a finding, for rules that choose whom they believe.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VexClaims {
    /// Vulnerabilities that the finding joins, each of which must be cleared; 0 where nobody claims anything.
    pub questions: usize,
    /// The claims.
    pub claims: Vec<VexClaim>,
    /// What may be about it, and then keeps it.
    pub doubts: Vec<VexDoubt>,
}

impl VexClaims {
    /// Whether the finding is set aside where these attested documents are believed. The latest claim counts, and of one
    /// time the stricter. What a file says counts only where it keeps the finding.
    pub fn answer(&self, is_believed: impl Fn(usize) -> bool) -> VexAnswer {
        let mut by = BTreeSet::new();
        let mut doubt = None;
        for question in 0..self.questions {
            let counts =
                |claim: &VexClaim| claim.question == question && claim.document.is_none_or(&is_believed);
            let best = self.claims.iter().filter(|claim| counts(claim)).max_by_key(|claim| claim.rank());
            match best.and_then(|best| Some((best, best.document?))) {
                Some((best, document)) if best.status.sets_aside() => {
                    by.insert(document);
                    // Attack: the later word that keeps it, about a product of which nobody can say what it is.
                    let mut later = self
                        .doubts
                        .iter()
                        .filter(|doubt| counts(&doubt.claim) && doubt.claim.rank() > best.rank());
                    doubt = doubt.or_else(|| later.next().map(|later| later.cause.clone()));
                }
                Some(_) | None => return VexAnswer::Kept,
            }
        }
        match doubt {
            _ if by.is_empty() => VexAnswer::Kept,
            Some(cause) => VexAnswer::Doubted(cause),
            None => VexAnswer::Cleared(by),
        }
    }
}

/// A document of statements, as reports and verdicts name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VexDocument {
    /// Where its bytes come from: the name of a file, or where the attestation was found.
    pub name: String,
    /// SHA-256 of its bytes; out of an attestation those of the predicate as they were signed.
    pub digest: Digest,
    /// Format and version, such as `OpenVEX 0.2.0`.
    pub format: String,
    /// The id that it gives itself.
    pub id: Option<String>,
    /// Who says that they wrote it. Nothing is verified; who signed it stands in `attested`.
    pub author: Option<String>,
    /// When it says that it was issued, as written.
    pub timestamp: Option<String>,
    /// Statements in it, those that were refused included.
    pub statements: usize,
    /// The attestation that it was read out of; none of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attested: Option<VexAttestation>,
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
    /// Who signed the document; none of a file, of which nothing is verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<SignedBy>,
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
    /// Attested documents that could not be read, of those who are believed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<VexUnread>,
    /// Whether attestations were looked through for documents.
    #[serde(skip)]
    pub sought: bool,
    /// Whether a limit was reached before every statement was compared.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exhausted: bool,
}
