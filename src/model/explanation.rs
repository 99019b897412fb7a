//! Why an advisory applies to the packages of an image, or does not: record by record, so that an auditor can
//! follow the comparison with the same segments and without portcullis.

use std::collections::BTreeMap;

use serde::Serialize;

use super::digest::Digest;
use super::evidence::{ImageIdentity, SnapshotInfo};
use super::finding::{Finding, PackageRef, Suppressed};
use super::inventory::LayerRef;
use super::path::ImagePath;
use super::platform::Platform;

/// What the advisories say of one vulnerability and one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The id that was asked about.
    pub id: String,
    /// The image.
    pub image: ImageIdentity,
    /// The advisories that were consulted.
    pub snapshot: Option<SnapshotInfo>,
    /// The platforms that were read.
    pub platforms: Vec<PlatformExplanation>,
    /// Records of the id that were withdrawn: they match nothing. Each as `ECOSYSTEM ID`.
    pub withdrawn: Vec<String>,
    /// What could not be read, each with its cause.
    pub unread: Vec<String>,
}

/// What the advisories say of one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlatformExplanation {
    /// The platform.
    pub platform: Platform,
    /// The packages that a record about the vulnerability names, in the inventory's order.
    pub packages: Vec<Explained>,
    /// Packages of which no advisory could be asked, counted by cause: a record about them would not be known.
    pub unasked: BTreeMap<String, usize>,
    /// Gaps of the inventory: packages that are not known of.
    pub gaps: usize,
}

/// One package that a record about the vulnerability names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The package.
    pub package: PackageRef,
    /// The layer that brought it.
    pub layer: LayerRef,
    /// Where it is.
    pub locations: Vec<ImagePath>,
    /// What each record says of it.
    pub records: Vec<Said>,
    /// The finding of the vulnerability that comes of it.
    pub finding: Option<Finding>,
    /// The finding that was set aside.
    pub suppressed: Option<Suppressed>,
}

/// What one entry of a record says of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// Id of the record.
    pub record: String,
    /// Its other ids and those that it is about, sorted.
    pub ids: Vec<String>,
    /// Its one line.
    pub summary: Option<String>,
    /// Ecosystem string and name of its entry.
    pub ecosystem: String,
    /// The name that matched.
    pub name: String,
    /// The version that was compared.
    pub version: String,
    /// The ranges of the entry with their events.
    pub ranges: Vec<String>,
    /// How many single versions the entry lists.
    pub versions: usize,
    /// The answer.
    #[serde(flatten)]
    pub answer: Says,
    /// Digest of the segment that holds the record.
    pub segment: Digest,
    /// The record's long text, where it has one.
    pub details: Option<String>,
    /// Where to read more.
    pub references: Vec<String>,
}

/// Whether an entry says that a version is affected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "answer", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Says {
    /// Affected.
    Affected {
        /// The range, or `versions`.
        range: String,
        /// The event that decided, with the comparison.
        event: String,
        /// Why that is less than certain.
        #[serde(skip_serializing_if = "Option::is_none")]
        low_confidence: Option<String>,
    },
    /// Not affected.
    NotAffected,
    /// It cannot be said.
    Undetermined {
        /// Why: a lowercase fragment.
        cause: String,
    },
}
