//! An installed snapshot: a directory with `snapshot.json` and one segment an ecosystem.
//!
//! `snapshot.json` is replaced by one rename, after every segment that it names is on the disk, and that rename
//! is the only thing that changes what is installed. A reader opens all segments at once, so that it has those of
//! one snapshot whatever is installed meanwhile; whoever writes holds the lock.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::model::digest::{Algorithm, Digest, Hasher};
use crate::osv::segment::{Damaged, Segment};

use super::document::{self, DocumentError, MAX_DOCUMENT, Origin, Part, Snapshot, file_name};
use super::files::{is_unfinished, open_regular, private_directory, sync_directory, write_whole};
use super::source::{self, stamp};
use super::{Error, ErrorKind, Mapped};

/// What an installed snapshot is known by.
const DOCUMENT: &str = "snapshot.json";

/// The file whose lock a writer holds.
const LOCK: &str = "lock";

/// How often a reader begins again because the segments it was about to open were replaced: 10. Each time
/// somebody installed another snapshot within microseconds.
const TRIES: usize = 10;

/// How long another process may write before a writer gives up who may wait: 30 minutes, a first download over a slow
/// line.
pub const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// How often a writer looks whether the other one is done.
const LOOK: Duration = Duration::from_millis(100);

/// Bytes of a segment: 16 GiB, more than its offsets reach.
pub const MAX_SEGMENT: u64 = 16 << 30;

/// An installed snapshot, opened: its segments are those of one moment.
#[derive(Debug)]
pub struct Installed {
    directory: PathBuf,
    snapshot: Snapshot,
    files: BTreeMap<String, File>,
}

impl Installed {
    /// Whether a directory holds an installed snapshot, readable or not.
    ///
    /// # Errors
    /// [`Error`] where the disk does not say.
    pub fn is_in(directory: &Path) -> Result<bool, Error> {
        let path = directory.join(DOCUMENT);
        path.try_exists().map_err(|error| Error::io(&path, &error))
    }

    /// Opens the snapshot of a directory. Where there is none yet, it has no ecosystem.
    ///
    /// # Errors
    /// [`ErrorKind::Newer`] where another portcullis wrote it; [`ErrorKind::Damaged`] where it is not whole.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let mut tries = 0;
        loop {
            let snapshot = read(directory)?;
            let mut files = BTreeMap::new();
            let mut gone = None;
            for (ecosystem, part) in &snapshot.ecosystems {
                let path = directory.join(&part.file);
                match open_regular(&path) {
                    Ok(file) => {
                        files.insert(ecosystem.clone(), file);
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => gone = Some(path),
                    Err(error) => return Err(Error::io(&path, &error)),
                }
            }
            let Some(gone) = gone else {
                return Ok(Self { directory: directory.to_owned(), snapshot, files });
            };
            tries += 1;
            // Another snapshot was installed in between, and this one's files were removed: the document is read
            // again. Where it is still the same, the file is really gone.
            if tries >= TRIES || read(directory)? == snapshot {
                let message = format!("is gone: {REINSTALL}");
                return Err(Error::new(ErrorKind::Damaged, &gone, message));
            }
        }
    }

    /// What it consists of.
    #[must_use]
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The segment of a base ecosystem. None where it is not installed.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] where its bytes are not those that were installed; [`ErrorKind::Newer`] and
    /// [`ErrorKind::Outdated`] where another version of portcullis wrote it.
    pub fn segment(&self, ecosystem: &str) -> Result<Option<Mapped>, Error> {
        self.map(ecosystem, false)
    }

    /// The same, with every byte read whatever the file looks like.
    ///
    /// # Errors
    /// As [`Installed::segment`].
    pub fn verified(&self, ecosystem: &str) -> Result<Option<Mapped>, Error> {
        self.map(ecosystem, true)
    }

    fn map(&self, ecosystem: &str, always: bool) -> Result<Option<Mapped>, Error> {
        let (Some(part), Some(file)) = (self.snapshot.ecosystems.get(ecosystem), self.files.get(ecosystem))
        else {
            return Ok(None);
        };
        let path = self.directory.join(&part.file);
        let mapped = map(&path, file, part, always)?;
        agree(ecosystem, part, &mapped, &path)?;
        Ok(Some(mapped))
    }
}

/// What to do about a file that is not what was installed.
const REINSTALL: &str = "install it again by `portcullis db update`, `db import` or `db pull`";

/// The document of a directory; an empty one where there is none.
fn read(directory: &Path) -> Result<Snapshot, Error> {
    let path = directory.join(DOCUMENT);
    let mut bytes = Vec::new();
    match open_regular(&path).and_then(|file| file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Snapshot::default()),
        Err(error) => return Err(Error::io(&path, &error)),
    }
    if bytes.len() as u64 > MAX_DOCUMENT {
        let message = format!("is larger than the limit of {MAX_DOCUMENT} bytes");
        return Err(Error::new(ErrorKind::Damaged, &path, message));
    }
    Snapshot::parse(&bytes).map_err(|error| match error {
        DocumentError::Newer(_) => Error::new(ErrorKind::Newer, &path, error.to_string()),
        DocumentError::Invalid(_) => {
            let message = format!("{error}; remove it and install the snapshot again");
            Error::new(ErrorKind::Damaged, &path, message)
        }
    })
}

/// Maps the file of a part. Its bytes are read where the file does not look as it did when they were last read.
fn map(path: &Path, file: &File, part: &Part, always: bool) -> Result<Mapped, Error> {
    let metadata = file.metadata().map_err(|error| Error::io(path, &error))?;
    let damaged = |cause: String| Error::new(ErrorKind::Damaged, path, format!("{cause}: {REINSTALL}"));
    if metadata.len() != part.size {
        return Err(damaged(format!("has {} bytes, {} were installed", metadata.len(), part.size)));
    }
    let mapped = Mapped::of(file).map_err(|error| Error::io(path, &error))?;
    let is_known = part.stamp.as_ref() == Some(&stamp(&metadata));
    // Attack: a segment that was edited where it lies.
    if (always || !is_known) && Digest::sha256(mapped.bytes()) != part.digest {
        return Err(damaged("its bytes are not those that were installed".into()));
    }
    Ok(mapped)
}

/// Refuses a segment that does not say of itself what the document says of it.
fn agree(ecosystem: &str, part: &Part, mapped: &Mapped, path: &Path) -> Result<(), Error> {
    let segment = open(mapped.bytes(), path)?;
    let meta = segment.meta();
    let newest = newest(&segment);
    let same = meta.ecosystem == ecosystem
        && meta.id == part.id.to_string()
        && (meta.records, meta.unreadable, newest) == (part.records, part.unreadable, part.newest);
    if same {
        return Ok(());
    }
    let message = format!("is another segment than {DOCUMENT} says: {REINSTALL}");
    Err(Error::new(ErrorKind::Damaged, path, message))
}

/// Opens a segment; what is wrong with it is told in the words of its file.
pub(super) fn open<'a>(bytes: &'a [u8], path: &Path) -> Result<Segment<'a>, Error> {
    Segment::open(bytes).map_err(|damaged| match damaged {
        Damaged::Bytes(_) => Error::new(ErrorKind::Damaged, path, format!("{damaged}: {REINSTALL}")),
        Damaged::Newer(_) => Error::new(ErrorKind::Newer, path, damaged.to_string()),
        Damaged::Older(_) => Error::new(ErrorKind::Outdated, path, damaged.to_string()),
    })
}

fn newest(segment: &Segment<'_>) -> Option<jiff::Timestamp> {
    segment.meta().generated.as_deref().and_then(|text| text.parse().ok())
}

/// A change to an installed snapshot, in the works. Nothing of it is seen until [`Writer::commit`].
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    /// Unlocked when it is closed, also by a process that is killed.
    lock: File,
    installed: Installed,
    next: Snapshot,
}

impl Writer {
    /// Begins to change the snapshot of a directory, which is made where there is none. Waits so long for another
    /// process that is at it, and calls `waiting` once before.
    ///
    /// # Errors
    /// [`Error`] where the directory cannot be written, what is there cannot be read, or the other process does not
    /// come to an end.
    pub fn begin(directory: &Path, patience: Duration, waiting: impl FnOnce()) -> Result<Self, Error> {
        let failed = |error: io::Error| {
            let message = format!("cannot be written: {error}; `--db DIR` names another place");
            Error::new(ErrorKind::Io, directory, message)
        };
        private_directory(directory).map_err(failed)?;
        if !Installed::is_in(directory)? && !source::ecosystems(directory)?.is_empty() {
            let message = "is a directory in the layout of the OSV bucket, which serves as it is; `--db DIR` names \
                           another one to install into, `db import` takes advisories from this one";
            return Err(Error::new(ErrorKind::NotASnapshot, directory, message));
        }
        let lock = directory.join(LOCK);
        // Attack: a pipe in its place, and opening it never ends.
        if fs::metadata(&lock).is_ok_and(|there| !there.is_file()) {
            return Err(Error::new(ErrorKind::Io, &lock, "is no regular file: remove it"));
        }
        let lock = File::options().create(true).truncate(false).write(true).open(lock).map_err(failed)?;
        wait_for(&lock, directory, patience, waiting)?;
        let installed = Installed::open(directory).or_else(|error| match error.kind {
            // What is to be replaced may be damaged, as long as the document says what there is.
            ErrorKind::Damaged => {
                let snapshot = read(directory)?;
                let files = snapshot.ecosystems.iter().filter_map(|(ecosystem, part)| {
                    Some((ecosystem.clone(), open_regular(&directory.join(&part.file)).ok()?))
                });
                Ok(Installed { directory: directory.to_owned(), files: files.collect(), snapshot })
            }
            ErrorKind::NotFound
            | ErrorKind::NotASnapshot
            | ErrorKind::TooLarge
            | ErrorKind::Newer
            | ErrorKind::Outdated
            | ErrorKind::Network
            | ErrorKind::Refused
            | ErrorKind::Io => Err(error),
        })?;
        let next = installed.snapshot.clone();
        Ok(Self { directory: directory.to_owned(), lock, installed, next })
    }

    /// What is installed now.
    #[must_use]
    pub fn installed(&self) -> &Installed {
        &self.installed
    }

    /// The directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Brings a segment onto the disk: flushed, under the name of its digest, and read back. It is a part of the
    /// snapshot once it was [put](Writer::put) and committed.
    ///
    /// # Errors
    /// [`Error`] where it could not be written, or is no segment of this ecosystem.
    pub fn stage(&self, ecosystem: &str, segment: &[u8], origin: Origin) -> Result<Part, Error> {
        self.stage_from(ecosystem, &mut &*segment, &Digest::sha256(segment), segment.len() as u64, origin)
    }

    /// The same from a stream of which digest and size are known beforehand. At most `size` bytes and one more are
    /// read.
    ///
    /// # Errors
    /// As [`Writer::stage`]; [`ErrorKind::Refused`] where the bytes are others than promised.
    pub fn stage_from(
        &self,
        ecosystem: &str,
        stream: &mut dyn Read,
        digest: &Digest,
        size: u64,
        origin: Origin,
    ) -> Result<Part, Error> {
        document::check_name(ecosystem)
            .map_err(|cause| Error::new(ErrorKind::Refused, &self.directory, cause))?;
        let old = self.installed.snapshot.ecosystems.get(ecosystem).filter(|part| part.digest == *digest);
        if let Some(old) = old.filter(|_| matches!(self.installed.verified(ecosystem), Ok(Some(_)))) {
            return Ok(Part { origin: Some(origin), ..old.clone() });
        }
        let file = file_name(ecosystem, digest);
        let path = self.directory.join(&file);
        let failed =
            |error: io::Error| Error::new(ErrorKind::Io, &path, format!("cannot be written: {error}"));
        let mut refused = None;
        let written = write_whole(&self.directory, &file, |target| {
            refused = copy(stream, target, digest, size)?;
            match &refused {
                Some(_) => Err(io::Error::other("refused")),
                None => Ok(()),
            }
        });
        if let Some(message) = refused {
            return Err(Error::new(ErrorKind::Refused, &path, message));
        }
        written.map_err(failed)?;
        let opened = File::open(&path).map_err(failed)?;
        let stamp = stamp(&opened.metadata().map_err(failed)?);
        let mapped = Mapped::of(&opened).map_err(failed)?;
        // Read back: what a later run takes for verified was verified.
        if Digest::sha256(mapped.bytes()) != *digest {
            return Err(Error::new(ErrorKind::Io, &path, "the disk holds other bytes than were written"));
        }
        let segment = open(mapped.bytes(), &path)?;
        let meta = segment.meta();
        if meta.ecosystem != ecosystem {
            let message = format!("is a segment of another ecosystem than {ecosystem}");
            return Err(Error::new(ErrorKind::Refused, &path, message));
        }
        Ok(Part {
            file,
            digest: digest.clone(),
            size,
            id: segment.id().map_err(|damaged| Error::new(ErrorKind::Damaged, &path, damaged.to_string()))?,
            records: meta.records,
            unreadable: meta.unreadable,
            newest: newest(&segment),
            origin: Some(origin),
            stamp: Some(stamp),
        })
    }

    /// Makes a staged segment the next one of its ecosystem, where it does not [go back](Part::goes_back) from the
    /// installed one. What is installed is known by the document, also where its segment cannot be read.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] where it goes back.
    pub fn put(&mut self, ecosystem: &str, part: Part) -> Result<(), Error> {
        let back = self.installed.snapshot.ecosystems.get(ecosystem).and_then(|old| part.goes_back(old));
        if let Some(cause) = back {
            let message = format!(
                "{ecosystem} {cause}: it is not believed that so much was taken back; `db import` and `db pull` take it \
                 with `--allow-older`"
            );
            return Err(Error::new(ErrorKind::Refused, &self.directory, message));
        }
        self.put_older(ecosystem, part);
        Ok(())
    }

    /// The same on the word of the user: whatever is installed.
    pub fn put_older(&mut self, ecosystem: &str, part: Part) {
        self.next.ecosystems.insert(ecosystem.to_owned(), part);
    }

    /// Installs what was put, by one rename; what is not named any more is removed after it.
    ///
    /// # Errors
    /// [`Error`] where the disk fails: the snapshot is then the old one.
    pub fn commit(self) -> Result<Snapshot, Error> {
        let path = self.directory.join(DOCUMENT);
        let failed =
            |error: io::Error| Error::new(ErrorKind::Io, &path, format!("cannot be written: {error}"));
        let bytes = self.next.to_bytes().map_err(|error| failed(error.into()))?;
        // It could not be read again, and nothing could be installed over it.
        if bytes.len() as u64 > MAX_DOCUMENT {
            let message = format!("would be larger than the limit of {MAX_DOCUMENT} bytes");
            return Err(Error::new(ErrorKind::TooLarge, &path, message));
        }
        // The segments' names must be on the disk before the document that speaks of them.
        sync_directory(&self.directory).map_err(failed)?;
        write_whole(&self.directory, DOCUMENT, |file| file.write_all(&bytes)).map_err(failed)?;
        sync_directory(&self.directory).map_err(failed)?;
        self.sweep();
        Ok(self.next)
    }

    /// Removes segments that the snapshot does not name, and what killed writers left: nobody else writes while the
    /// lock is held. Who has a segment mapped keeps it; what cannot be removed only takes space.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        let named = |name: &str| self.next.ecosystems.values().any(|part| part.file == name);
        for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            let is_segment = name.strip_suffix(".segment").is_some_and(|stem| {
                stem.rsplit_once('-').is_some_and(|(_, hex)| hex.len() == Digest::sha256(b"").hex().len())
            });
            if (is_segment && !named(&name)) || is_unfinished(&name) {
                let _ = fs::remove_file(self.directory.join(name));
            }
        }
        // Not before here: another writer would take files for leftovers that this one is about to name.
        let _ = self.lock.unlock();
    }
}

/// Copies a stream; why it is refused, where it is not what was promised.
fn copy(stream: &mut dyn Read, target: &mut File, digest: &Digest, size: u64) -> io::Result<Option<String>> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut stream = stream.take(size.saturating_add(1));
    let mut buffer = vec![0; 1 << 20];
    let mut copied = 0u64;
    loop {
        let read = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Ok(Some(format!("cannot be read: {error}"))),
        };
        let piece = buffer.get(..read).unwrap_or_default();
        copied += read as u64;
        if copied > size {
            break;
        }
        hasher.update(piece);
        target.write_all(piece)?;
    }
    if copied != size {
        let what = if copied > size { "more" } else { "fewer" };
        return Ok(Some(format!("has {what} bytes than the {size} that were promised")));
    }
    let found = hasher.finish();
    Ok((found != *digest).then(|| format!("digest mismatch: its bytes have {found}")))
}

fn wait_for(lock: &File, directory: &Path, patience: Duration, waiting: impl FnOnce()) -> Result<(), Error> {
    let began = Instant::now();
    let mut waiting = Some(waiting);
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if began.elapsed() < patience => {
                if let Some(waiting) = waiting.take() {
                    waiting();
                }
                std::thread::sleep(LOOK);
            }
            Err(TryLockError::WouldBlock) => {
                let message = format!(
                    "another process has been writing it for {} seconds: see whether it hangs, and try again",
                    patience.as_secs()
                );
                return Err(Error::new(ErrorKind::Io, directory, message));
            }
            Err(TryLockError::Error(error)) => {
                let message = format!("cannot be locked: {error}; a disk without locks holds no snapshot");
                return Err(Error::new(ErrorKind::Io, directory, message));
            }
        }
    }
}
