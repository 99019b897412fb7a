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

impl Descriptor {
    /// The descriptor of a blob of one's own.
    #[must_use]
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: Digest::sha256(bytes),
            size: bytes.len() as u64,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Whether it is BuildKit's attestation manifest, which no runtime ever chooses: only with a platform of
    /// unknown/unknown. Attack: an image that calls itself an attestation, to be neither judged nor signed.
    #[must_use]
    pub fn is_build_attestation(&self) -> bool {
        let kind = self.annotations.get("vnd.docker.reference.type");
        self.platform.as_ref().is_some_and(Platform::is_unknown)
            && kind.is_some_and(|kind| kind == "attestation-manifest")
    }
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
