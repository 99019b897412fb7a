//! Compiled segments in the user's cache directory.
//!
//! An ecosystem has two files: `<Ecosystem>-<digest>.segment`, and `<Ecosystem>.json`, which says of which
//! source it was made. Both are written under another name and renamed, the description last: a reader
//! sees the old pair or the new one.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::model::digest::Digest;
use crate::osv::segment::{FORMAT, Segment};

use super::files::{open_regular, private_directory, write_whole};
use super::source::stamp;
use super::{Error, ErrorKind, Mapped};

/// What is known of a compiled segment.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    /// Which compiler made it.
    compiler: String,
    /// Fingerprint of the source.
    source: Digest,
    /// File name of the segment.
    file: String,
    /// Digest of its bytes.
    digest: Digest,
    /// What its file looked like when the digest was last found right: while it still does, the bytes are
    /// not read again.
    stamp: String,
}

/// Segments of another version are compiled anew: it may have read the records differently.
fn compiler() -> String {
    format!("portcullis {} format {FORMAT}", env!("CARGO_PKG_VERSION"))
}

/// Where the segments of a snapshot directory are kept.
pub(super) fn directory(cache: &Path, snapshot: &Path) -> PathBuf {
    let digest = Digest::sha256(snapshot.as_os_str().as_encoded_bytes());
    cache.join("osv").join(digest.hex())
}

/// The cached segment of a source. `None` where there is none, it is of another source, or its bytes are
/// not those that were written: it is then compiled anew.
pub(super) fn open(directory: &Path, ecosystem: &str, source: &Digest) -> Option<Mapped> {
    let bytes = fs::read(directory.join(format!("{ecosystem}.json"))).ok()?;
    let known: Description = serde_json::from_slice(&bytes).ok()?;
    if known.compiler != compiler() || known.source != *source || known.file.contains(['/', '\\']) {
        return None;
    }
    let file = open_regular(&directory.join(&known.file)).ok()?;
    let seen = stamp(&file.metadata().ok()?);
    let mapped = Mapped::of(&file).ok()?;
    if seen != known.stamp && Digest::sha256(mapped.bytes()) != known.digest {
        return None;
    }
    Segment::open(mapped.bytes()).ok()?;
    Some(mapped)
}

/// Writes a segment and its description, and maps it.
pub(super) fn install(
    directory: &Path,
    ecosystem: &str,
    source: &Digest,
    segment: &[u8],
) -> Result<Mapped, Error> {
    let failed = |error: io::Error| {
        let message = format!("cannot write the cache: {error}; `--cache-dir DIR` names another place");
        Error::new(ErrorKind::Io, directory, message)
    };
    private_directory(directory).map_err(failed)?;
    let digest = Digest::sha256(segment);
    let file = format!("{ecosystem}-{}.segment", digest.hex());
    write_whole(directory, &file, |target| target.write_all(segment)).map_err(failed)?;
    let opened = File::open(directory.join(&file)).map_err(failed)?;
    let stamp = stamp(&opened.metadata().map_err(failed)?);
    let mapped = Mapped::of(&opened).map_err(failed)?;
    // Read back: what a later run takes for verified was verified.
    if Digest::sha256(mapped.bytes()) != digest {
        return Err(Error::new(ErrorKind::Io, directory, "the cache holds other bytes than were written"));
    }
    let known = Description { compiler: compiler(), source: source.clone(), file, digest, stamp };
    let description = serde_json::to_vec(&known).map_err(|error| failed(error.into()))?;
    let name = format!("{ecosystem}.json");
    write_whole(directory, &name, |target| target.write_all(&description)).map_err(failed)?;
    remove_old(directory, ecosystem, &known.file);
    Ok(mapped)
}

/// Removes earlier segments of an ecosystem. Who has one mapped keeps it; what cannot be removed only
/// takes space.
fn remove_old(directory: &Path, ecosystem: &str, keep: &str) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let digest = name.strip_prefix(ecosystem).and_then(|rest| rest.strip_prefix('-'));
        let is_segment =
            digest.and_then(|rest| rest.strip_suffix(".segment")).is_some_and(|hex| hex.len() == 64);
        if is_segment && name != keep {
            let _ = fs::remove_file(directory.join(name));
        }
    }
}
