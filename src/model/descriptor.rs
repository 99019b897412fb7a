//! Descriptors, manifests and indexes as the OCI image specification 1.1 and Docker image manifest
//! schema 2 define them. `image::manifest` parses them strictly; here is only their shape.

use std::collections::BTreeMap;

use super::digest::Digest;
use super::platform::Platform;

/// OCI descriptor.md: what identifies a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Media type of the bytes.
    pub media_type: String,
    /// Digest of the bytes.
    pub digest: Digest,
    /// Length of the bytes.
    pub size: u64,
    /// Platform, where the descriptor stands in an index and states one.
    pub platform: Option<Platform>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// OCI manifest.md, or Docker schema 2: one platform's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The image configuration.
    pub config: Descriptor,
    /// The layers, base first.
    pub layers: Vec<Descriptor>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// OCI image-index.md, or a Docker manifest list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The manifests and nested indexes it lists.
    pub manifests: Vec<Descriptor>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}
