//! The verdict: what a policy says of an image, and why.

use jiff::Timestamp;
use serde::Serialize;

use super::digest::Digest;
use super::evidence::{ImageIdentity, SnapshotInfo};
use super::fault::{Fault, Gap};
use super::finding::{Finding, Undetermined};
use super::platform::Platform;

/// The answer. Ordered by strictness; the strictest wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// The image may enter.
    Admit,
    /// It could not be decided: callers treat it as deny.
    Undecided,
    /// The image may not enter.
    Deny,
}

/// What one rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It holds.
    Hold,
    /// It would be violated, but waivers cover all of it.
    Waived,
    /// A fact it needs is unknown.
    Undecided,
    /// It is violated.
    Violate,
}

/// What a rule's outcome counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Shown, does not count.
    Info,
    /// Shown as a warning, does not count.
    Warn,
    /// Counts towards the decision.
    Deny,
}

/// The record of one evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The answer.
    pub decision: Decision,
    /// The image.
    pub image: ImageIdentity,
    /// Platforms that were judged.
    pub platforms: Vec<Platform>,
    /// The policy.
    pub policy: PolicyIdentity,
    /// The advisories consulted; none where no snapshot was given or it could not be read.
    pub snapshot: Option<SnapshotInfo>,
    /// Lies and unreadable parts of the image.
    pub faults: Vec<Fault>,
    /// Every rule, in the order of the policy.
    pub rules: Vec<RuleResult>,
    /// What became of the policy's waivers.
    pub waivers: WaiverReport,
    /// Gaps of all platforms, waived ones included.
    pub gaps: Vec<Gap>,
    /// The evaluation time.
    pub evaluated_at: Timestamp,
}

/// Which policy judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyIdentity {
    /// Digest of the policy's bytes.
    pub digest: Digest,
    /// `metadata.name`.
    pub name: String,
    /// The scope that applied, if one did.
    pub scope: Option<String>,
}

/// One rule's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleResult {
    /// The rule's id in the policy.
    pub id: String,
    /// The rule's kind, such as `vulnerabilities`.
    pub kind: &'static str,
    /// What it says.
    pub outcome: Outcome,
    /// What that counts for now, `effective` date applied.
    pub level: Level,
    /// Why, each a sentence for a person.
    pub messages: Vec<Message>,
    /// The findings that violate it.
    pub findings: Vec<Finding>,
    /// The findings of which it cannot be said whether they violate it, such as one without a severity.
    #[serde(rename = "possibleFindings")]
    pub possible: Vec<Finding>,
    /// The packages that leave it undecided.
    pub undetermined: Vec<Undetermined>,
    /// The policy author's reason for the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A reason of a rule's outcome.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Message {
    /// The platform it is about; none where it concerns the whole image.
    pub platform: Option<Platform>,
    /// Whether this message stands for a violation, an undecided fact or a mere note.
    pub outcome: Outcome,
    /// The reason: a lowercase fragment.
    pub text: String,
    /// The same without the things that it names the first of, for reports that list them all.
    #[serde(skip)]
    pub headline: Option<String>,
}

/// What became of the waivers. Each is named as the policy writes it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct WaiverReport {
    /// Waivers that covered something.
    pub used: Vec<WaiverUse>,
    /// Waivers in force that matched nothing: to be removed.
    pub unused: Vec<WaiverUse>,
    /// Waivers past their `until`: without effect.
    pub expired: Vec<WaiverUse>,
}

/// A waiver: an accepted risk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct WaiverUse {
    /// Id of the rule it belongs to.
    pub rule: String,
    /// What it covers, such as `CVE-2026-12345 in pkg:deb/debian/libxml2` or a gap's path.
    pub scope: String,
    /// Last day on which it is in force, `YYYY-MM-DD`.
    pub until: String,
    /// Why the risk is accepted.
    pub reason: String,
    /// Who accepted it.
    pub owner: String,
    /// What it covered.
    pub covered: Vec<String>,
}
