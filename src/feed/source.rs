//! Where the records of an ecosystem come from: a zip, or a directory of JSON files.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::model::digest::{Algorithm, Digest, Hasher};

use super::{Error, ErrorKind};

/// Files of a directory, or entries of a zip: 5 million. All of OSV has well under one.
pub(super) const MAX_RECORDS: usize = 5_000_000;

/// The records of one ecosystem.
#[derive(Debug)]
pub(super) enum Source {
    /// `all.zip`.
    Zip(PathBuf),
    /// A directory of JSON files, and the files, sorted.
    Files(PathBuf, Vec<PathBuf>),
}

/// What is in the root of a disk, and often for its owner alone. It holds no advisories.
const FOUND: &str = "lost+found";

/// The ecosystems of a snapshot directory: its subdirectories that hold a source.
pub(super) fn ecosystems(directory: &Path) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| Error::io(directory, &error))? {
        let entry = entry.map_err(|error| Error::io(directory, &error))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name != FOUND && entry.path().is_dir() && Source::find(directory, &name)?.is_some() {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

impl Source {
    /// The source of an ecosystem. The bucket has each record twice, in `all.zip` and alone: the zip is
    /// the one that is complete.
    pub(super) fn find(directory: &Path, ecosystem: &str) -> Result<Option<Self>, Error> {
        let below = directory.join(ecosystem);
        let zip = below.join("all.zip");
        if zip.try_exists().map_err(|error| Error::io(&zip, &error))? {
            return Ok(Some(Self::Zip(zip)));
        }
        if !below.try_exists().map_err(|error| Error::io(&below, &error))? {
            return Ok(None);
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(&below).map_err(|error| Error::io(&below, &error))? {
            let path = entry.map_err(|error| Error::io(&below, &error))?.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                files.push(path);
            }
            if files.len() > MAX_RECORDS {
                let message = format!("more than the limit of {MAX_RECORDS} records");
                return Err(Error::new(ErrorKind::TooLarge, &below, message));
            }
        }
        files.sort();
        Ok((!files.is_empty()).then_some(Self::Files(below, files)))
    }

    /// Changes whenever a file is written, replaced, added or removed. The inode and its change time are
    /// part of it: neither can be set back as the modification time can.
    pub(super) fn fingerprint(&self) -> Result<Digest, Error> {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let files = match self {
            Self::Zip(zip) => std::slice::from_ref(zip),
            Self::Files(_, files) => files,
        };
        for path in files {
            let metadata = fs::metadata(path).map_err(|error| Error::io(path, &error))?;
            hasher.update(path.as_os_str().as_encoded_bytes());
            hasher.update(format!("\0{}\n", stamp(&metadata)).as_bytes());
        }
        Ok(hasher.finish())
    }
}

/// What changes when a file does.
pub(super) fn stamp(metadata: &Metadata) -> String {
    format!(
        "{}:{}:{}:{}.{:09}:{}.{:09}",
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec()
    )
}
