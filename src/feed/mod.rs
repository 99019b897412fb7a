//! Advisory snapshots on the local disk, and where they come from.
//!
//! An installed snapshot is kept up to date from a bucket ([`update()`]), from the disk ([`import()`]) or from whoever
//! hands over segments ([`Writer`]). A directory in the layout of the bucket (`<Ecosystem>/all.zip` or
//! `<Ecosystem>/*.json`) serves as it is, each ecosystem compiled once into the cache.

mod bucket;
mod cache;
mod compile;
mod document;
mod download;
mod files;
mod import;
mod installed;
mod list;
mod mapping;
mod source;
mod update;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::Url;

pub use bucket::{Bucket, BucketSettings, PUBLIC_BUCKET};
pub use document::{DocumentError, MAX_ECOSYSTEMS, Origin, Part, SCHEMA, Snapshot, id_of};
pub use files::install_file;
pub use import::{Import, Imported, import};
pub use installed::{Installed, MAX_SEGMENT, PATIENCE, Writer};
pub use mapping::Mapped;
pub use update::{Change, Step, Updated, Wanted, Watch, update};

use source::Source;

/// A snapshot, opened.
#[derive(Debug)]
pub struct Store(Kind);

#[derive(Debug)]
enum Kind {
    /// A directory in the layout of the bucket, where its compiled segments are kept, and the time now.
    Layout { directory: PathBuf, cache: PathBuf, now: Timestamp },
    /// An installed snapshot.
    Installed { directory: PathBuf, installed: Installed, fetching: Option<Fetching> },
}

/// The snapshot in which a fetched ecosystem is installed; none where the bucket does not have it.
type Fetched = Result<Option<Arc<Installed>>, Error>;

/// Where an installed snapshot gets what it lacks.
#[derive(Debug)]
struct Fetching {
    bucket: Bucket,
    now: Timestamp,
    /// What was asked for before, by ecosystem: what failed once in a run is not tried for every image.
    fetched: Mutex<BTreeMap<String, Fetched>>,
    /// When all of it must be done, from when the first was asked for.
    end: OnceLock<Instant>,
}

/// How long an image that is to be judged waits for advisories, all of its ecosystems together: 5 minutes, over 3 Mbit/s
/// for what most images need. `db update` has all the time.
const FETCHING: Duration = Duration::from_secs(5 * 60);

/// Why advisories could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// There is no such directory, or no such object in the bucket.
    NotFound,
    /// It is no snapshot, or holds no ecosystem.
    NotASnapshot,
    /// Its bytes are not those that were written.
    Damaged,
    /// A newer portcullis wrote it.
    Newer,
    /// An older portcullis wrote it.
    Outdated,
    /// The bucket, or the way to it, did not give what was asked.
    Network,
    /// It may not be used: a URL, a name, or bytes that are others than promised.
    Refused,
    /// It grew beyond a limit.
    TooLarge,
    /// The disk failed.
    Io,
}

impl Error {
    fn new(kind: ErrorKind, at: &Path, message: impl Into<String>) -> Self {
        Self { kind, at: at.display().to_string(), message: message.into() }
    }

    fn at_url(at: &Url, message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Network, at: at.to_string(), message: message.into() }
    }

    fn io(at: &Path, error: &std::io::Error) -> Self {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let kind = if missing { ErrorKind::NotFound } else { ErrorKind::Io };
        Self::new(kind, at, error.to_string())
    }
}

impl Store {
    /// Opens a snapshot: an installed one, or a directory in the layout of the bucket. `cache` is the user's cache
    /// directory, where the latter is compiled; it is made where it is missing. A record that says that it was withdrawn
    /// after `now` is not believed.
    ///
    /// # Errors
    /// [`Error`] where there is no such directory, it holds no ecosystem, or what is installed cannot be read.
    pub fn open(directory: &Path, cache: &Path, now: Timestamp) -> Result<Self, Error> {
        let canonical = directory.canonicalize().map_err(|error| Error::io(directory, &error))?;
        if Installed::is_in(&canonical)? {
            let installed = Installed::open(&canonical)?;
            return Ok(Self(Kind::Installed { directory: canonical, installed, fetching: None }));
        }
        let cache = cache::directory(cache, &canonical);
        let store = Self(Kind::Layout { directory: canonical, cache, now });
        if store.ecosystems()?.is_empty() {
            let message = "holds no advisories: expected an installed snapshot (`portcullis db update`) or the layout \
                           of the OSV bucket, `<Ecosystem>/all.zip` or `<Ecosystem>/*.json`";
            return Err(Error::new(ErrorKind::NotASnapshot, directory, message));
        }
        Ok(store)
    }

    /// Opens an installed snapshot that fetches what it lacks from a bucket. Where there is none yet it is made when
    /// the first ecosystem is fetched. `now` is what it says of when that was.
    ///
    /// # Errors
    /// [`Error`] where what is installed cannot be read.
    pub fn fetching(directory: &Path, bucket: Bucket, now: Timestamp) -> Result<Self, Error> {
        let installed = Installed::open(directory)?;
        let fetching = Fetching { bucket, now, fetched: Mutex::default(), end: OnceLock::new() };
        Ok(Self(Kind::Installed { directory: directory.to_owned(), installed, fetching: Some(fetching) }))
    }

    /// What is installed; none where it is a directory in the layout of the bucket.
    #[must_use]
    pub fn installed(&self) -> Option<&Installed> {
        match &self.0 {
            Kind::Layout { .. } => None,
            Kind::Installed { installed, .. } => Some(installed),
        }
    }

    /// The base ecosystems that are there, sorted.
    ///
    /// # Errors
    /// [`Error`] where the disk fails.
    pub fn ecosystems(&self) -> Result<Vec<String>, Error> {
        match &self.0 {
            Kind::Layout { directory, .. } => source::ecosystems(directory),
            Kind::Installed { installed, .. } => {
                Ok(installed.snapshot().ecosystems.keys().cloned().collect())
            }
        }
    }

    /// The segment of a base ecosystem: installed, from the cache, or compiled now where the source has changed.
    /// `None` where nothing of the ecosystem is there.
    ///
    /// # Errors
    /// [`Error`] where it is there and cannot be read or compiled, or the cache cannot be written.
    pub fn segment(&self, ecosystem: &str) -> Result<Option<Mapped>, Error> {
        match &self.0 {
            Kind::Layout { directory, cache, now } => compiled(directory, cache, ecosystem, *now),
            Kind::Installed { installed, .. } => installed.segment(ecosystem),
        }
    }

    /// The same; what is not installed, or cannot be read by this version, is fetched first where the snapshot may do
    /// that. `None` where the bucket certainly has no such ecosystem either.
    ///
    /// # Errors
    /// As [`Store::segment`]; [`ErrorKind::Network`] and others where it could not be fetched.
    pub fn segment_or_fetch(&self, ecosystem: &str, watch: &dyn Watch) -> Result<Option<Mapped>, Error> {
        let here = self.segment(ecosystem);
        let Kind::Installed { directory, fetching: Some(fetching), .. } = &self.0 else { return here };
        match &here {
            Ok(None) => {}
            Err(error) if error.kind == ErrorKind::Outdated => {}
            Ok(Some(_)) | Err(_) => return here,
        }
        match fetching.fetch(directory, ecosystem, watch)? {
            Some(installed) => installed.segment(ecosystem),
            None => Ok(None),
        }
    }
}

impl Fetching {
    /// The snapshot in which an ecosystem is installed now; none where the bucket does not have it.
    fn fetch(
        &self,
        directory: &Path,
        ecosystem: &str,
        watch: &dyn Watch,
    ) -> Result<Option<Arc<Installed>>, Error> {
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = fetched.get(ecosystem) {
            return known.clone();
        }
        watch.say(&format!(
            "the advisories for {ecosystem} are not installed: fetching them from {}",
            self.bucket.url()
        ));
        // Attack: an archive that comes just fast enough, for hours, and a pipeline that waits for it.
        let began = Instant::now();
        let bucket =
            self.bucket.until(*self.end.get_or_init(|| began.checked_add(FETCHING).unwrap_or(began)));
        let done = match update::fetch(directory, &bucket, ecosystem, self.now, watch) {
            Ok(notes) => {
                notes.iter().for_each(|note| watch.say(&format!("{ecosystem}: {note}")));
                Installed::open(directory).map(|installed| Some(Arc::new(installed)))
            }
            // Certain only where the bucket lists its ecosystems, and this one is not among them.
            Err(error) if error.kind == ErrorKind::NotFound => match bucket.ecosystems() {
                Ok(all) if !all.iter().any(|one| one == ecosystem) => {
                    watch.say(&format!("{} has no advisories for {ecosystem}", self.bucket.url()));
                    Ok(None)
                }
                Ok(_) | Err(_) => Err(error),
            },
            Err(error) => Err(error),
        };
        fetched.insert(ecosystem.to_owned(), done.clone());
        done
    }
}

/// Whether a directory is in the layout of the bucket: it has a folder with advisories.
///
/// # Errors
/// [`Error`] where the disk does not say.
pub fn is_layout(directory: &Path) -> Result<bool, Error> {
    Ok(!source::ecosystems(directory)?.is_empty())
}

/// The segment of an ecosystem of a directory in the layout of the bucket.
fn compiled(
    directory: &Path,
    cache: &Path,
    ecosystem: &str,
    now: Timestamp,
) -> Result<Option<Mapped>, Error> {
    let Some(source) = Source::find(directory, ecosystem)? else { return Ok(None) };
    let fingerprint = source.fingerprint()?;
    if let Some(cached) = cache::open(cache, ecosystem, &fingerprint) {
        return Ok(Some(cached));
    }
    let segment = compile::compile(ecosystem, &source, now)?;
    // The source must not have changed meanwhile: half of the old and half of the new is neither.
    if source.fingerprint()? != fingerprint {
        let message = "changed while it was read: try again";
        return Err(Error::new(ErrorKind::Io, &directory.join(ecosystem), message));
    }
    cache::install(cache, ecosystem, &fingerprint, &segment).map(Some)
}

#[cfg(test)]
mod tests;
