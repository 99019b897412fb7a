//! Findings: advisory × package, with the range that matched.

use jiff::Timestamp;
use serde::Serialize;

use super::digest::Digest;
use super::inventory::{LayerRef, SourcePackage};
use super::path::ImagePath;
use super::platform::Platform;
use super::purl::Purl;
use super::severity::Severity;
use super::vex::{VexClaims, VexStatement};

/// What matching an inventory against a snapshot gives. All lists are sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Findings {
    /// Advisories that apply.
    pub findings: Vec<Finding>,
    /// Packages of which it cannot be said.
    pub undetermined: Vec<Undetermined>,
    /// Advisories that would apply but for a stated reason; never dropped in silence.
    pub suppressed: Vec<Suppressed>,
}

/// One package instance affected by one group of aliased advisories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Display id: the CVE if the group has one, else the GHSA, else the record's id.
    pub id: String,
    /// Every other id of the group, sorted.
    pub aliases: Vec<String>,
    /// Platform of the image that has the package.
    pub platform: Platform,
    /// The package.
    pub package: PackageRef,
    /// How bad.
    pub severity: Severity,
    /// Where `severity` comes from, such as `cvss:CVSS_V3`, `database_specific`, `alias:GHSA-…`.
    pub severity_source: Option<String>,
    /// CVSS vectors of the group with their base scores.
    pub cvss: Vec<Cvss>,
    /// Versions that fix it, the proposed one first: the smallest above the installed one.
    pub fixed: Vec<String>,
    /// What the fix takes besides an upgrade, such as a subscription, in the words of the record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix_note: Option<String>,
    /// Whether there is a fix.
    pub state: FixState,
    /// One line on what it is.
    pub summary: Option<String>,
    /// When the first record of the group was published.
    pub published: Option<Timestamp>,
    /// Whether a record of the group says that the package itself is malicious (`MAL-`).
    pub malicious: bool,
    /// The layer that brought the package.
    pub layer: LayerRef,
    /// Where the package is.
    pub locations: Vec<ImagePath>,
    /// The distribution that carries the package inside, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendored_in: Option<String>,
    /// What made the match.
    pub evidence: MatchEvidence,
    /// Whether CISA lists one of its CVEs as known exploited; null without that data. False where it has no CVE:
    /// the list has nothing else.
    pub kev: Option<bool>,
    /// FIRST's exploit prediction score, 0 to 1, as written, the highest of its CVEs; null without that data and
    /// where no CVE has a score.
    pub epss: Option<String>,
    /// Whether a CVE of it has no score, so that `epss` may be too low.
    #[serde(rename = "epssPartial", skip_serializing_if = "std::ops::Not::not")]
    pub epss_partial: bool,
    /// VEX statements about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vex: Vec<VexStatement>,
    /// Why it cannot be said whether VEX sets it aside, where a scan believes attested documents.
    #[serde(rename = "vexDoubt", skip_serializing_if = "Option::is_none")]
    pub vex_doubt: Option<String>,
    /// What attested documents claim of it. Each rule believes whom it names.
    #[serde(skip)]
    pub claims: VexClaims,
}

/// A package as a finding names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageRef {
    /// Package URL.
    pub purl: Purl,
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// purl type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Source package, where advisories are about sources.
    pub source: Option<SourcePackage>,
}

/// A CVSS vector.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cvss {
    /// The vector as written.
    pub vector: String,
    /// Base score with one decimal, such as `9.8`.
    pub score: String,
}

/// Whether an advisory has a fix for the matched package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FixState {
    /// A fixed version is named.
    Fixed,
    /// None is named.
    NotFixed,
    /// The distribution says that it will not fix it.
    WontFix,
    /// The record lists affected versions only.
    Unknown,
}

/// Record, range, event and comparison that made a match, enough to replay it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MatchEvidence {
    /// Id of the record.
    pub record: String,
    /// Digest of the advisory segment that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<Digest>,
    /// Ecosystem string that the record's entry has, such as `Debian:11`.
    pub ecosystem: String,
    /// Name that matched.
    pub name: String,
    /// The version that was compared: the source package's for distributions that go by source.
    pub version: String,
    /// The range, such as `ECOSYSTEM introduced=0 fixed=1.2.3`, or `versions`.
    pub range: String,
    /// The event that decided, such as `introduced 0 <= 1.0.0`, or the listed version.
    pub event: String,
    /// Why the match is less than certain, such as an event that could not be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low_confidence: Option<String>,
}

/// A package of which it cannot be said whether advisories apply. Unknown, so never clean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Undetermined {
    /// Platform.
    pub platform: Platform,
    /// The package.
    pub package: PackageRef,
    /// Why: a lowercase fragment, the same words for the same cause, so that reports can group by it.
    pub cause: String,
    /// Ids of advisories that might apply, where some are known.
    pub advisories: Vec<String>,
}

/// A finding set aside for a reason that the report shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Suppressed {
    /// The finding.
    #[serde(flatten)]
    pub finding: Finding,
    /// Class of the reason: `owned-by`, `kernel-not-in-container`, …
    pub reason: &'static str,
    /// The reason in words, with its evidence.
    pub detail: String,
}
