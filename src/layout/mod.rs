//! Images on the local disk: OCI layouts in a directory or an archive, and what `docker save` writes.

mod docker;
mod files;
mod oci;
mod write;

use std::io::Read;

pub use write::{Entry, Writer};

use crate::image::limits::Limits;
use crate::image::resolve::{BlobName, Image};
use crate::model::descriptor::Descriptor;
use crate::model::location::Location;
use crate::model::platform::Platform;

/// A local image store, opened.
#[derive(Debug)]
pub struct Store {
    files: files::Files,
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{at}: {message}")]
pub struct Error {
    /// What callers branch on.
    pub kind: ErrorKind,
    /// The file or directory.
    pub at: String,
    /// What happened and what to do: a lowercase fragment.
    pub message: String,
}

/// What kind of [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The file or directory does not exist.
    NotFound,
    /// It exists and is no image of the kind that the location says.
    NotAnImage,
    /// It holds several images, or not the one that was named: the user must choose.
    Choice,
    /// Bytes contradict the digest or size that they should have.
    Mismatch,
    /// The disk failed.
    Io,
}

/// Opens a store and resolves the image in it. `wanted` chooses platforms; `None` is all.
///
/// # Errors
/// [`Error`] where there is no such image to speak of. What is wrong inside the image is among its faults.
pub fn open(
    location: &Location,
    wanted: Option<&Platform>,
    limits: &Limits,
) -> Result<(Store, Image), Error> {
    let files = files::Files::open(location, limits)?;
    let image = match location {
        Location::OciLayout { tag, .. } | Location::OciArchive { tag, .. } => {
            oci::resolve(&files, tag.as_deref(), wanted, limits)?
        }
        Location::DockerArchive { selector, .. } => {
            docker::resolve(&files, selector.as_ref(), wanted, limits)?
        }
        Location::Registry(reference) => {
            let message = "is in a registry, not on the disk".to_owned();
            return Err(Error { kind: ErrorKind::NotAnImage, at: reference.to_string(), message });
        }
        Location::Sbom { .. } => {
            let message = "is an SBOM document: it says what is in an image, and is none".to_owned();
            return Err(Error { kind: ErrorKind::Choice, at: location.to_string(), message });
        }
    };
    Ok((Store { files }, image))
}

/// Opens an OCI layout and reads the manifest or index of the image that is meant, and nothing below it.
///
/// # Errors
/// [`Error`] where there is no such image, its bytes are not what the layout says, or it is no OCI layout.
pub fn root(location: &Location, limits: &Limits) -> Result<(Store, Descriptor, Vec<u8>), Error> {
    let (Location::OciLayout { tag, .. } | Location::OciArchive { tag, .. }) = location else {
        let message = "not an OCI layout".to_owned();
        return Err(Error { kind: ErrorKind::NotAnImage, at: location.to_string(), message });
    };
    let files = files::Files::open(location, limits)?;
    let (root, bytes) = oci::root(&files, tag.as_deref(), limits)?;
    Ok((Store { files }, root, bytes))
}

impl Store {
    /// What `index.json` lists; nothing in a docker-archive.
    ///
    /// # Errors
    /// [`Error`] where it cannot be read, or is no index.
    pub fn entries(&self, limits: &Limits) -> Result<Vec<Entry>, Error> {
        oci::entries(&self.files, limits)
    }

    /// A manifest or a configuration, as stored: at most one byte more than `limit`.
    ///
    /// # Errors
    /// [`Error`] where it is not there or could not be read.
    pub fn document(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, Error> {
        self.files.read(&oci::blob_path(&descriptor.digest), limit)
    }

    /// Opens a layer's blob. The bytes are not verified here: whoever reads them does that
    /// (`image::layer::read`).
    ///
    /// # Errors
    /// [`Error`] where the blob is not there or could not be opened.
    pub fn blob(&self, name: &BlobName) -> Result<Box<dyn Read + Send>, Error> {
        match name {
            BlobName::Descriptor(descriptor) => self.files.open_file(&oci::blob_path(&descriptor.digest)),
            BlobName::Member(member) => self.files.open_file(&member.as_str().into()),
        }
    }
}
