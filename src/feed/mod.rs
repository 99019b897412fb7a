//! Advisory snapshots on the local disk: a directory in the layout of the public OSV bucket
//! (`<Ecosystem>/all.zip` or `<Ecosystem>/*.json`), each ecosystem compiled once into the cache.

mod cache;
mod compile;
mod mapping;
mod source;

use std::path::{Path, PathBuf};

pub use mapping::Mapped;

use source::Source;

/// A snapshot directory, opened, and where its compiled segments are kept.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    cache: PathBuf,
}

/// Why advisories could not be had.
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
    /// There is no such directory.
    NotFound,
    /// It is not in the layout of the OSV bucket, or holds no ecosystem.
    NotASnapshot,
    /// It grew beyond a limit.
    TooLarge,
    /// The disk failed.
    Io,
}

impl Error {
    fn new(kind: ErrorKind, at: &Path, message: impl Into<String>) -> Self {
        Self { kind, at: at.display().to_string(), message: message.into() }
    }

    fn io(at: &Path, error: &std::io::Error) -> Self {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let kind = if missing { ErrorKind::NotFound } else { ErrorKind::Io };
        Self::new(kind, at, error.to_string())
    }
}

impl Store {
    /// Opens a snapshot directory. `cache` is the user's cache directory; it is made where it is missing.
    ///
    /// # Errors
    /// [`Error`] where there is no such directory or it holds no ecosystem.
    pub fn open(directory: &Path, cache: &Path) -> Result<Self, Error> {
        let canonical = directory.canonicalize().map_err(|error| Error::io(directory, &error))?;
        let store = Self { cache: cache::directory(cache, &canonical), directory: canonical };
        if store.ecosystems()?.is_empty() {
            let message = "holds no advisories: expected the layout of the OSV bucket, \
                           `<Ecosystem>/all.zip` or `<Ecosystem>/*.json`";
            return Err(Error::new(ErrorKind::NotASnapshot, directory, message));
        }
        Ok(store)
    }

    /// The base ecosystems that the directory has, sorted.
    ///
    /// # Errors
    /// [`Error`] where the disk fails.
    pub fn ecosystems(&self) -> Result<Vec<String>, Error> {
        source::ecosystems(&self.directory)
    }

    /// The segment of a base ecosystem: from the cache, or compiled now where the source has changed.
    /// `None` where the directory has nothing of the ecosystem.
    ///
    /// # Errors
    /// [`Error`] where the source is there and cannot be read or compiled, or the cache cannot be written.
    pub fn segment(&self, ecosystem: &str) -> Result<Option<Mapped>, Error> {
        let Some(source) = Source::find(&self.directory, ecosystem)? else { return Ok(None) };
        let fingerprint = source.fingerprint()?;
        if let Some(cached) = cache::open(&self.cache, ecosystem, &fingerprint) {
            return Ok(Some(cached));
        }
        let segment = compile::compile(ecosystem, &source)?;
        // The source must not have changed meanwhile: half of the old and half of the new is neither.
        if source.fingerprint()? != fingerprint {
            let message = "changed while it was read: try again";
            return Err(Error::new(ErrorKind::Io, &self.directory.join(ecosystem), message));
        }
        cache::install(&self.cache, ecosystem, &fingerprint, &segment).map(Some)
    }
}

#[cfg(test)]
mod tests;
