//! Images of layers made entry by entry, for the tests of checks.

use std::sync::Arc;

use crate::image::compression::Compression;
use crate::image::limits::Limits;
use crate::image::resolve::{BlobName, LayerBlob};
use crate::inventory::catalog_layer;
use crate::model::config::ImageConfig;
use crate::model::digest::Digest;
use crate::model::violation::{Checked, Violation};

use super::documents::Documents;
use super::hanging::Hanging;
use super::{Expected, Family, Found, LayerFacts, PlatformLayers, Subject};

/// A layer in the making.
pub(super) struct Layer(tar::Builder<Vec<u8>>);

pub(super) fn layer() -> Layer {
    Layer(tar::Builder::new(Vec::new()))
}

impl Layer {
    /// An entry with a name as given, whatever it is, and a header changed by `change`.
    pub(super) fn entry(
        mut self,
        name: &str,
        kind: tar::EntryType,
        content: &[u8],
        change: impl FnOnce(&mut tar::Header),
    ) -> Self {
        let mut header = tar::Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        change(&mut header);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    pub(super) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(name, tar::EntryType::Regular, content.as_ref(), |_| {})
    }

    pub(super) fn directory(self, name: &str) -> Self {
        self.entry(name, tar::EntryType::Directory, b"", |_| {})
    }

    pub(super) fn link(self, kind: tar::EntryType, name: &str, target: &str) -> Self {
        self.entry(name, kind, b"", |header| {
            header.as_mut_bytes()[157..157 + target.len()].copy_from_slice(target.as_bytes());
        })
    }

    pub(super) fn symlink(self, name: &str, target: &str) -> Self {
        self.link(tar::EntryType::Symlink, name, target)
    }

    pub(super) fn facts(self, created_by: &str) -> LayerFacts {
        let bytes = self.0.into_inner().unwrap();
        let blob = LayerBlob {
            blob: BlobName::Member("layer".into()),
            compression: Some(Compression::None),
            diff_id: Digest::sha256(&bytes),
        };
        let (inventory, verified) =
            catalog_layer(|| Ok(bytes.as_slice()), &blob, "layer", &Limits::default()).unwrap();
        LayerFacts {
            media_type: Some("application/vnd.oci.image.layer.v1.tar".into()),
            verified,
            diff_id: blob.diff_id,
            created_by: Some(created_by.into()),
            inventory: Arc::new(inventory),
        }
    }
}

pub(super) fn image(layers: impl IntoIterator<Item = Layer>) -> PlatformLayers {
    let layers: Vec<_> =
        layers.into_iter().enumerate().map(|(i, layer)| layer.facts(&format!("RUN step {i}"))).collect();
    PlatformLayers {
        platform: "linux/amd64".parse().unwrap(),
        digest: Digest::sha256(b"manifest"),
        config: ImageConfig::default(),
        layers,
    }
}

pub(super) fn checked(family: &dyn Family, images: &[PlatformLayers], expected: &Expected) -> Checked {
    let mut found = Found::default();
    let subject = Subject {
        reference: None,
        documents: &Documents::default(),
        hanging: &Hanging::default(),
        images,
        faults: &[],
        expected,
        now: "2026-01-15T00:00:00Z".parse().unwrap(),
    };
    family.look(&subject, &mut found);
    found.finish()
}

/// `LYR-007 high: message`, for every violation.
pub(super) fn lines(violations: &[Violation]) -> Vec<String> {
    violations.iter().map(|v| format!("{} {}: {}", v.check, v.severity.word(), v.message)).collect()
}
