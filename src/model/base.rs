//! The image that an image was built upon.

use jiff::civil::Date;
use serde::Serialize;

use super::digest::Digest;

/// A base image, as far as it can be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Base {
    /// Its name: a reference, or the distribution's name and release.
    pub name: String,
    /// Further names of the same layers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// Digest of its manifest, where that is known or claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// How it was told.
    pub by: By,
    /// How many layers of the image are its layers; none where nobody compared them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers: Option<usize>,
    /// When it was built, as its own configuration says; none where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The last day on which its distribution's release gets security updates that are free for everybody;
    /// none where that is not known, or the release has no end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eol: Option<Date>,
    /// Whether its distribution has no releases that could end.
    pub rolling: bool,
}

/// How a base image was told, the most certain first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum By {
    /// Its layers are the first ones of the image, by diff ID.
    DiffIds,
    /// The image claims it, by annotation or label.
    Annotation,
    /// Its os-release is in the image.
    OsRelease,
}

/// An image whose layers are known, to be recognised as a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownBase {
    /// Its reference.
    pub name: String,
    /// Digest of its manifest.
    pub digest: Option<Digest>,
    /// Digest of what its reference leads to: the manifest, or the index that lists it.
    pub root: Option<Digest>,
    /// When it was built, RFC 3339, as its configuration says.
    pub created: Option<String>,
    /// Digests of its uncompressed layers, the first at the bottom. One without layers is no base.
    pub diff_ids: Vec<Digest>,
}
