//! Files that a reader sees whole or not at all.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use super::Error;

/// What the names of files begin with that are being written. Whoever is killed leaves one.
const UNFINISHED: &str = ".unfinished-";

/// Makes a directory that only its owner may write into: who can write there decides which advisories there
/// are.
pub(super) fn private_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// Writes a file under another name, flushes it to the disk, and renames it: a reader sees the old file or the
/// new one, also after the machine stopped.
pub(super) fn write_whole(
    directory: &Path,
    name: &str,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    // Several processes may write the same file; each has a name of its own until it is done. In two containers
    // they may have one number.
    let temporary = directory.join(format!("{UNFINISHED}{:016x}-{name}", fastrand::u64(..)));
    let created = File::options().write(true).create_new(true).open(&temporary);
    let written = created.and_then(|mut file| {
        write(&mut file)?;
        file.sync_all()?;
        fs::rename(&temporary, directory.join(name))
    });
    if written.is_err() {
        // The first error is the one to report; a leftover is harmless.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Opens a file for reading, where it is a regular one.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    // Attack: a pipe that nobody writes into, and opening it never ends.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("is no regular file"));
    }
    File::open(path)
}

/// Installs a file beside the snapshot: a reader sees the old one or the new one.
///
/// # Errors
/// [`Error`] where the disk fails: the old one is then still there.
pub fn install_file(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    private_directory(directory)
        .and_then(|()| write_whole(directory, name, |file| file.write_all(bytes)))
        .and_then(|()| sync_directory(directory))
        .map_err(|error| Error::io(&directory.join(name), &error))
}

/// Flushes the names of a directory to the disk.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Whether a file is a leftover of [`write_whole`], or one in the works.
pub(super) fn is_unfinished(name: &str) -> bool {
    name.starts_with(UNFINISHED)
}
