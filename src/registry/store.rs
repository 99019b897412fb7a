//! An image in a registry, opened as `layout` opens one on the disk.

use std::io::Read;

use serde_json::Value;

use crate::image::document::{INDEX_TYPES, MANIFEST_TYPES};
use crate::image::limits::Limits;
use crate::image::resolve::{self, BlobName, Image};
use crate::model::descriptor::Descriptor;
use crate::model::digest::Digest;
use crate::model::fault::Fault;
use crate::model::platform::Platform;
use crate::model::reference::Reference;

use super::blocking::Registry;
use super::client::{Repository, Target};
use super::error::{Error, ErrorKind};
use super::manifest::Pulled;

/// An image in a registry, opened.
#[derive(Debug)]
pub struct Store {
    registry: Registry,
    repository: Repository,
    /// The digest that the reference had: everything read is below it, wherever a tag moves to.
    pub digest: Digest,
    /// `Content-Type` of the root, without parameters.
    pub content_type: Option<String>,
    /// What the root was asked for by.
    target: Target,
}

/// Opens an image and resolves it. `wanted` chooses platforms; `None` is all. A tag is read once: what is
/// judged is the digest that it had then.
///
/// # Errors
/// [`Error`] where the root could not be pulled. What is wrong below it is among the image's faults.
pub fn open(
    registry: &Registry,
    reference: &Reference,
    wanted: Option<&Platform>,
    limits: &Limits,
) -> Result<(Store, Image), Error> {
    let (store, top, bytes) = root(registry, reference)?;
    let image = resolve::resolve(&top, wanted, limits, &mut |descriptor, limit| {
        if *descriptor == top {
            return Ok(bytes.clone());
        }
        let read = store.document(descriptor, limit);
        read.map_err(|error| fault(&error, format!("blob {}", descriptor.digest)))
    });
    Ok((store, image))
}

/// Pulls what a reference means, a manifest or an index, and resolves nothing below it.
///
/// # Errors
/// [`Error`] where it could not be pulled.
pub fn root(registry: &Registry, reference: &Reference) -> Result<(Store, Descriptor, Vec<u8>), Error> {
    let repository = registry.repository(reference)?;
    let target = Target::of(reference);
    let pulled = twice(|| registry.run(repository.manifest(&target)))?;
    let content_type = pulled.media_type.clone();
    let (root, bytes) = described(pulled);
    let digest = root.digest.clone();
    Ok((Store { registry: registry.clone(), repository, digest, content_type, target }, root, bytes))
}

/// A manifest that was asked for by its name, with the descriptor that fits it.
fn described(pulled: Pulled) -> (Descriptor, Vec<u8>) {
    let root = Descriptor {
        media_type: pulled.media_type.unwrap_or_else(|| media_type(&pulled.bytes)),
        digest: pulled.digest,
        size: pulled.bytes.len() as u64,
        platform: None,
        annotations: Default::default(),
    };
    (root, pulled.bytes)
}

impl Store {
    /// What another tag of the repository leads to.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] only where the registry says that there is no such tag.
    pub fn tagged(&self, tag: &str) -> Result<(Descriptor, Vec<u8>), Error> {
        let target = Target::Tag(tag.to_owned());
        twice(|| self.registry.run(self.repository.manifest(&target))).map(described)
    }

    /// Where the tag leads now, by the registry's word; none where it was no tag, or the registry states no
    /// digest.
    ///
    /// # Errors
    /// [`Error`] where it does not say.
    pub fn look_again(&self) -> Result<Option<Digest>, Error> {
        match &self.target {
            Target::Tag(_) => Ok(self.registry.run(self.repository.head(&self.target))?.digest),
            Target::Digest(_) => Ok(None),
        }
    }

    /// The client that it was opened with.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The repository that it is in.
    #[must_use]
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Opens a layer's blob. The bytes are not verified here: whoever reads them does that
    /// (`image::layer::read`).
    ///
    /// # Errors
    /// [`Error`] where the blob is not there or could not be opened.
    pub fn blob(&self, name: &BlobName) -> Result<Box<dyn Read + Send>, Error> {
        match name {
            BlobName::Descriptor(descriptor) => {
                Ok(Box::new(twice(|| self.registry.blob(&self.repository, descriptor))?))
            }
            BlobName::Member(_) => Err(Error::invalid(self.repository.name(), "a registry has no members")),
        }
    }

    /// A manifest or a configuration, whole.
    ///
    /// # Errors
    /// [`Error`] where it could not be had.
    pub fn document(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, Error> {
        let target = Target::Digest(descriptor.digest.clone());
        let is_manifest = [MANIFEST_TYPES, INDEX_TYPES].concat().contains(&descriptor.media_type.as_str());
        twice(|| {
            if is_manifest {
                self.registry.run(self.repository.manifest(&target)).map(|pulled| pulled.bytes)
            } else {
                self.registry.run(self.repository.blob_bytes(descriptor, limit))
            }
        })
    }
}

/// What an error is to a verdict: bytes that contradict their digest or size lie, all else is unknown.
#[must_use]
pub fn fault(error: &Error, at: String) -> Fault {
    if error.kind == ErrorKind::Mismatch {
        let lie = Fault::lie(at, error.message.clone());
        if error.stated { lie.breaks("MAN-021") } else { lie }
    } else {
        Fault::unreadable(at, error.message.clone())
    }
}

/// Once more where bytes lied: a proxy in between may have spoiled them, and a verdict that denies for a
/// lie must not rest on it.
fn twice<T>(read: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    match read() {
        Err(error) if error.kind == ErrorKind::Mismatch => read(),
        other => other,
    }
}

/// The media type of a document whose answer did not say one.
fn media_type(bytes: &[u8]) -> String {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let types = if value.get("manifests").is_some() { INDEX_TYPES } else { MANIFEST_TYPES };
    let own = value.get("mediaType").and_then(Value::as_str);
    own.or(types.first().copied()).unwrap_or_default().to_owned()
}
