//! A directory of the cache that nobody else writes into.

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Error;

/// Age after which a file that was not finished is nobody's any more.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// Beginning of the names of files that are not finished.
const UNFINISHED: &str = ".new-";

/// Such a directory. Its files are replaced in one step: who reads sees the old one or the new one.
#[derive(Debug)]
pub struct Private {
    directory: PathBuf,
    /// The user that its files belong to.
    own: u32,
}

impl Private {
    /// Opens the directory of this name in the cache; makes it where there is none.
    ///
    /// # Errors
    /// [`Error`] where there can be none, where it belongs to another, and where others may write into it.
    pub fn open(cache: &Path, name: &str) -> Result<Self, Error> {
        let directory = cache.join(name);
        let failed = |cause: String| Error { at: directory.clone(), cause };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .map_err(|error| failed(error.to_string()))?;
        let metadata = fs::metadata(&directory).map_err(|error| failed(error.to_string()))?;
        // Attack: another user of the machine, or another job, says what is in a layer, or whom to trust.
        others_may_not_write(&metadata).map_err(failed)?;
        // Attack: the same by a directory that belongs to another. Whose a new file is tells who we are; where none can be
        // made, as on a disk that was filled elsewhere and is mounted to be read, whose this process is.
        let own = tempfile::tempfile_in(&directory)
            .and_then(|file| file.metadata())
            .or_else(|error| fs::metadata("/proc/self").map_err(|_| error))
            .map_err(|error| failed(error.to_string()))?
            .uid();
        belongs_to(&metadata, own).map_err(failed)?;
        Ok(Self { directory, own })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// A file in it; none where there is none.
    ///
    /// # Errors
    /// [`Error`] where it cannot be opened, is none of the user's own, or is open to others.
    pub(super) fn file(&self, name: &str) -> Result<Option<File>, Error> {
        let path = self.directory.join(name);
        let failed = |cause: String| Error { at: path.clone(), cause };
        // A pipe would be waited for until somebody writes.
        if fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(failed("not a regular file".to_owned()));
        }
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
        };
        let metadata = file.metadata().map_err(|error| failed(error.to_string()))?;
        belongs_to(&metadata, self.own).and_then(|()| others_may_not_write(&metadata)).map_err(failed)?;
        Ok(Some(file))
    }

    /// The bytes of a file; none where there is none.
    ///
    /// # Errors
    /// [`Error`] where it has more bytes than the limit, cannot be read, or belongs to another.
    pub fn read(&self, name: &str, limit: usize) -> Result<Option<Vec<u8>>, Error> {
        let failed = |cause: String| Error { at: self.directory.join(name), cause };
        let Some(file) = self.file(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
        if bytes.len() > limit {
            return Err(failed(format!("larger than the limit of {limit} bytes")));
        }
        Ok(Some(bytes))
    }

    /// Writes a file, in one step.
    ///
    /// # Errors
    /// [`Error`]: what was there before is as it was.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let failed =
            |cause: std::io::Error| Error { at: self.directory.join(name), cause: cause.to_string() };
        let mut file =
            tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.directory).map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        file.persist(self.directory.join(name)).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// Takes away what others left behind that were killed while they wrote.
    pub fn tidy(&self, now: SystemTime) {
        let Ok(listed) = fs::read_dir(&self.directory) else { return };
        for entry in listed.flatten() {
            let age = || now.duration_since(entry.metadata().ok()?.modified().ok()?).ok();
            let unfinished = entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes());
            if unfinished && age().is_some_and(|age| age > ABANDONED) {
                // Another process may have been faster.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn others_may_not_write(metadata: &Metadata) -> Result<(), String> {
    let mode = metadata.mode();
    match mode & 0o022 {
        0 => Ok(()),
        _ => Err(format!("others may write into it (mode {:o})", mode & 0o777)),
    }
}

fn belongs_to(metadata: &Metadata, own: u32) -> Result<(), String> {
    match metadata.uid() {
        uid if uid == own => Ok(()),
        uid => Err(format!("it belongs to another user ({uid})")),
    }
}
