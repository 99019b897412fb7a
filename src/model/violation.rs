//! Violations: where a manifest, an index, a configuration or a layer breaks a format rule.

use serde::Serialize;

use super::base::Base;
use super::digest::Digest;
use super::path::ImagePath;
use super::platform::Platform;

/// A broken rule of `check`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Violation {
    /// Id of the check, such as `MAN-004`.
    pub check: &'static str,
    /// How bad it is.
    pub severity: CheckSeverity,
    /// What is wrong: a lowercase fragment. May hold text of foreign origin: escape it before a terminal.
    pub message: String,
    /// Where.
    #[serde(rename = "where")]
    pub place: Place,
    /// The text that shows it, cut short and without the value of a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// The platform, where it concerns one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// How bad a violation is. Ordered; from [`CheckSeverity::High`] on an image is not to be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckSeverity {
    /// Worth knowing.
    Info,
    /// A blemish.
    Low,
    /// To be mended soon.
    Medium,
    /// Dangerous, or read in two ways.
    High,
    /// The bytes lie, or cannot be what they say.
    Critical,
}

impl CheckSeverity {
    /// Every severity, the worst first.
    pub const ALL: [Self; 5] = [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Info];

    /// Lower-case word, as in policies and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity that a lower-case word names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.word() == word)
    }
}

/// Where a violation is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum Place {
    /// The image as a whole, or its reference.
    Image,
    /// A document of the image.
    Document {
        /// What it is: `manifest`, `index` or `config`.
        document: &'static str,
        /// Digest that led to it, as written.
        digest: String,
        /// JSON pointer (RFC 6901) into it; empty for the document itself.
        pointer: String,
    },
    /// A layer, or a file in it.
    Layer {
        /// 0-based.
        index: usize,
        /// Digest of the blob.
        digest: Digest,
        /// The file; none where the layer itself is meant.
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<ImagePath>,
        /// The build step that made the layer, usually the Dockerfile's line.
        #[serde(skip_serializing_if = "Option::is_none")]
        created_by: Option<String>,
    },
}

/// What was found in an image, and what could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Checked {
    /// What is broken, the worst first.
    pub violations: Vec<Violation>,
    /// What was measured of each platform whose layers were read whole.
    pub platforms: Vec<PlatformChecked>,
    /// What a check should have looked at and could not: of it nothing is known.
    pub unseen: Vec<Unseen>,
}

/// What was measured of a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformChecked {
    /// The platform.
    pub platform: Platform,
    /// The base image; none where it cannot be told.
    pub base: Option<Base>,
    /// Bytes of files that the final file system does not show.
    pub wasted: u64,
}

/// Something that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unseen {
    /// What: a document, layer or list.
    pub at: String,
    /// Why: a lowercase fragment.
    pub cause: String,
}

/// Whether a tag, fetched afresh, points to the image that was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TagCheck {
    /// The tag.
    pub tag: String,
    /// The digest that it points to; null where it could not be had.
    pub digest: Option<Digest>,
    /// What came of it.
    pub state: TagState,
    /// What is wrong or could not be seen: lowercase fragments.
    pub causes: Vec<String>,
}

/// What came of looking at a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TagState {
    /// It points to the digest, and everything below it is there.
    Holds,
    /// It could not be seen.
    Unknown,
    /// It certainly points elsewhere, or something below it is certainly missing.
    Broken,
}
