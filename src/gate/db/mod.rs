//! The advisory snapshot as a whole: looked over, and moved through registries as an OCI artifact.

mod pull;
mod push;

use serde::{Deserialize, Serialize};

use crate::feed::Store;
use crate::model::digest::Digest;
use crate::osv::segment::Segment;
use crate::registry::{self, ErrorKind};

use super::inspect::Progress;

pub use pull::{PullRequest, Pulled, pull};
pub use push::{Pushed, push};

/// The artifact type of a snapshot.
const ARTIFACT: &str = "application/vnd.portcullis.snapshot.v1";

/// Media type of its configuration: the snapshot document without what belongs to one machine.
const CONFIG: &str = "application/vnd.portcullis.snapshot.config.v1+json";

/// Media type of its layers: a segment each, packed.
const LAYER: &str = "application/vnd.portcullis.segment.v1+zstd";

/// OCI image-spec, manifest.md.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The annotation that names a layer's file.
const TITLE: &str = "org.opencontainers.image.title";

/// Why a snapshot was not moved. What was installed is as it was.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The user must say something else.
    #[error("{0}")]
    Usage(String),
    /// It is certain that it is not signed by those who must have.
    #[error("{0}")]
    Unsigned(String),
    /// Something could not be read or written, or is not what it should be.
    #[error("{0}")]
    Failed(String),
}

impl From<registry::Error> for DbError {
    fn from(error: registry::Error) -> Self {
        if error.kind == ErrorKind::Settings {
            Self::Usage(error.to_string())
        } else {
            Self::Failed(error.to_string())
        }
    }
}

impl From<crate::feed::Error> for DbError {
    fn from(error: crate::feed::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The manifest of a snapshot (OCI image-spec, manifest.md).
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: String,
    artifact_type: String,
    config: Blob,
    layers: Vec<Blob>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Blob {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    annotations: std::collections::BTreeMap<String, String>,
}

impl Blob {
    fn descriptor(&self) -> crate::model::descriptor::Descriptor {
        crate::model::descriptor::Descriptor {
            media_type: self.media_type.clone(),
            digest: self.digest.clone(),
            size: self.size,
            platform: None,
            annotations: self.annotations.clone(),
        }
    }
}

/// Reads every byte of a snapshot and follows every entry of it. What is wrong, each with its name; nothing where all
/// is right.
#[must_use]
pub fn verify(store: &Store, progress: &dyn Progress) -> Vec<String> {
    let ecosystems = match store.ecosystems() {
        Ok(ecosystems) => ecosystems,
        Err(error) => return vec![error.to_string()],
    };
    let check = |ecosystem: &String| {
        progress.advisories(ecosystem);
        let mapped = match store.installed() {
            Some(installed) => installed.verified(ecosystem),
            None => store.segment(ecosystem),
        };
        let mapped = mapped.map_err(|error| error.to_string())?;
        let mapped = mapped.ok_or_else(|| format!("{ecosystem} is gone"))?;
        let damaged = |error: crate::osv::segment::Damaged| format!("{ecosystem}: {error}");
        let segment = Segment::open(mapped.bytes()).map_err(damaged)?;
        segment.check().map_err(damaged)
    };
    ecosystems.iter().filter_map(|ecosystem| check(ecosystem).err()).collect()
}
