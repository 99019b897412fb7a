//! Where an image's bytes come from: one face over the stores of `layout` and `registry`.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use crate::image::limits::Limits;
use crate::image::resolve::{BlobName, Image};
use crate::layout;
use crate::model::descriptor::Descriptor;
use crate::model::digest::Digest;
use crate::model::fault::{Fault, FaultKind};
use crate::model::location::Location;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::registry::{self, Registry};

use super::inspect::Error;

/// A store, opened.
#[derive(Debug)]
pub(super) enum Source {
    /// On the disk.
    Layout(layout::Store),
    /// In a registry.
    Registry(registry::Store),
}

/// Why a source could not be opened.
pub(super) enum Unopened {
    /// The user must say something else.
    Choice(Error),
    /// It could not be read, or lies.
    Fault(Fault),
}

impl Source {
    /// Opens a store and resolves the image in it. Without a `registry` there is no network.
    pub(super) fn open(
        location: &Location,
        wanted: Option<&Platform>,
        registry: Option<&Registry>,
        limits: &Limits,
    ) -> Result<(Self, Image), Unopened> {
        let Location::Registry(reference) = location else {
            if matches!(location, Location::Sbom { .. }) {
                return Err(Unopened::Choice(Error::Document(location.to_string())));
            }
            return match layout::open(location, wanted, limits) {
                Ok((store, image)) => Ok((Self::Layout(store), image)),
                Err(error) if error.kind == layout::ErrorKind::Choice => {
                    Err(Unopened::Choice(Error::Choice(error)))
                }
                Err(error) => Err(Unopened::Fault(Fault::unreadable(error.at, error.message))),
            };
        };
        let registry = registry.ok_or_else(|| offline(reference))?;
        match registry::open(registry, reference, wanted, limits) {
            Ok((store, image)) => Ok((Self::Registry(store), image)),
            Err(error) => Err(unopened(error)),
        }
    }

    /// Opens a store and reads the image's manifest or index, and nothing below it. A docker-archive has none.
    pub(super) fn root(
        location: &Location,
        registry: Option<&Registry>,
        limits: &Limits,
    ) -> Result<(Self, Descriptor, Vec<u8>), Unopened> {
        match location {
            Location::OciLayout { .. } | Location::OciArchive { .. } | Location::DockerArchive { .. } => {
                match layout::root(location, limits) {
                    Ok((store, root, bytes)) => Ok((Self::Layout(store), root, bytes)),
                    Err(error) if error.kind == layout::ErrorKind::Choice => {
                        Err(Unopened::Choice(Error::Choice(error)))
                    }
                    Err(error) if error.kind == layout::ErrorKind::Mismatch => {
                        Err(Unopened::Fault(Fault::lie(error.at, error.message)))
                    }
                    Err(error) => Err(Unopened::Fault(Fault::unreadable(error.at, error.message))),
                }
            }
            Location::Sbom { .. } => Err(Unopened::Choice(Error::Document(location.to_string()))),
            Location::Registry(reference) => {
                let registry = registry.ok_or_else(|| offline(reference))?;
                match registry::root(registry, reference) {
                    Ok((store, root, bytes)) => Ok((Self::Registry(store), root, bytes)),
                    Err(error) => Err(unopened(error)),
                }
            }
        }
    }

    /// Whether bytes that lied may be right when they are asked for again: a proxy in between may have
    /// spoiled them. A disk gives the same bytes again.
    pub(super) fn may_mend(&self) -> bool {
        matches!(self, Self::Registry(_))
    }

    /// Opens a layer's blob.
    pub(super) fn blob(&self, name: &BlobName, at: &str) -> Result<Blob, Fault> {
        let lie = Lie::default();
        let inner = match self {
            Self::Layout(store) => store.blob(name).map_err(|error| Fault::unreadable(at, error.message))?,
            Self::Registry(store) => store.blob(name).map_err(|error| {
                let fault = registry::fault(&error, at.to_owned());
                if fault.kind == FaultKind::Lie { fault.breaks("LYR-002") } else { fault }
            })?,
        };
        Ok(Blob { inner, lie })
    }

    /// Opens a blob for a copy: errors keep what they are inside the [`io::Error`].
    pub(super) fn stream(&self, name: &BlobName) -> io::Result<Box<dyn Read + Send>> {
        match self {
            Self::Layout(store) => store.blob(name).map_err(io::Error::other),
            Self::Registry(store) => store.blob(name).map_err(io::Error::other),
        }
    }

    /// How a registry gave the root: its `Content-Type`, and where its tag leads by a second look.
    pub(super) fn served(&self) -> (Option<String>, Result<Option<Digest>, String>) {
        match self {
            Self::Layout(_) => (None, Ok(None)),
            Self::Registry(store) => {
                (store.content_type.clone(), store.look_again().map_err(|error| error.to_string()))
            }
        }
    }

    /// A manifest or a configuration, as it came.
    pub(super) fn document(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, Unread> {
        match self {
            Self::Layout(store) => store.document(descriptor, limit).map_err(|error| Unread {
                missing: error.kind == layout::ErrorKind::NotFound,
                lies: None,
                cause: error.message,
            }),
            Self::Registry(store) => store.document(descriptor, limit).map_err(|error| Unread {
                missing: error.kind == registry::ErrorKind::NotFound,
                lies: (error.kind == registry::ErrorKind::Mismatch).then_some(if error.stated {
                    "MAN-021"
                } else {
                    "MAN-001"
                }),
                cause: error.message,
            }),
        }
    }
}

fn offline(reference: &Reference) -> Unopened {
    let message = "is in a registry, and `--offline` allows no network";
    Unopened::Fault(Fault::unreadable(reference.to_string(), message))
}

fn unopened(error: registry::Error) -> Unopened {
    if error.kind == registry::ErrorKind::Settings {
        Unopened::Choice(Error::Settings(error))
    } else {
        Unopened::Fault(registry::fault(&error, error.at.clone()))
    }
}

/// Why a document was not read.
#[derive(Debug, Clone)]
pub(super) struct Unread {
    /// It is certainly not there.
    pub(super) missing: bool,
    /// The check that it breaks, where its bytes contradict their digest or size.
    pub(super) lies: Option<&'static str>,
    /// What happened.
    pub(super) cause: String,
}

/// What a registry's stream proved to be a lie. The layer pass sees only that its reader failed.
#[derive(Debug, Clone, Default)]
pub(super) struct Lie(Arc<Mutex<Option<String>>>);

impl Lie {
    /// The same fault; a lie where the stream was one.
    pub(super) fn explain(&self, fault: Fault) -> Fault {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match told {
            // Attack: a body longer than its descriptor, which ends as "could not be read" and not as a denial.
            Some(message) => {
                Fault { platform: fault.platform, ..Fault::lie(fault.at, message).breaks("LYR-002") }
            }
            None => fault,
        }
    }
}

/// A blob being read.
pub(super) struct Blob {
    inner: Box<dyn Read + Send>,
    /// What its stream proved.
    pub(super) lie: Lie,
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).inspect_err(|error| {
            if let Some(error) = registry::Error::of(error)
                && error.kind == registry::ErrorKind::Mismatch
            {
                *self.lie.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.message.clone());
            }
        })
    }
}
