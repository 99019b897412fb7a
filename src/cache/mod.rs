//! What was read of layers, kept in the user's cache directory: a rescan reads only layers never seen. Beside it
//! [`Private`], a directory that nobody else writes into, for whatever is kept.
//!
//! What a layer holds is a pure function of its bytes and of the readers, so an entry is named by both: by the
//! digest and the diff ID that were verified when it was read, and by the sources of the readers. An image
//! that only *claims* a diff ID finds nothing under it, for the blob's own digest stands beside it.
//!
//! Entries are written under another name and renamed; any number of processes may read and write at once. An
//! entry that is not whole, or not what its name says, is as good as none: the layer is read again.

mod private;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::image::layer::Verified;
use crate::image::limits::Limits;
use crate::image::resolve::{BlobName, LayerBlob};
use crate::model::digest::Digest;
use crate::model::layer::LayerInventory;

pub use private::Private;

/// The first bytes of an entry.
const MAGIC: &[u8; 8] = b"PORTCLYR";

/// Version of the entries' form. Another one is as good as none.
const FORMAT: u32 = 1;

/// The sources of the readers, as the build script names them.
const READERS: &str = env!("PORTCULLIS_READERS");

/// Bytes of what is kept of one layer, unpacked: 128 MiB; the largest real layers have a tenth. A layer of
/// which more is to be said is read each time.
const ENTRY: usize = 128 << 20;

/// Bytes that all entries may take on the disk: 1 GiB, some thousand layers. The oldest go first.
const TOTAL: u64 = 1 << 30;

/// Bytes before the packed part: magic, format, unpacked length, digest of both.
const HEADER: usize = 8 + 4 + 8 + 32;

/// A place in the cache that cannot be used, or an entry that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the cache {}: {cause}", .at.display())]
pub struct Error {
    at: PathBuf,
    cause: String,
}

/// A cache of layers in a directory.
#[derive(Debug)]
pub struct LayerCache {
    place: Private,
    now: SystemTime,
}

#[derive(Serialize)]
struct Kept<'a> {
    key: &'a str,
    verified: &'a Verified,
    inventory: &'a LayerInventory,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Found {
    key: String,
    verified: Verified,
    inventory: LayerInventory,
}

impl LayerCache {
    /// Opens the cache of layers in the user's cache directory; makes it where there is none. What is used is
    /// marked with the time `now`.
    ///
    /// # Errors
    /// [`Error`] where there can be none, or where others may write into it.
    pub fn open(cache: &Path, now: SystemTime) -> Result<Self, Error> {
        Ok(Self { place: Private::open(cache, "layers")?, now })
    }

    /// What was read of a layer by the same readers within the same limits. None where nothing is known.
    #[must_use]
    pub fn get(&self, layer: &LayerBlob, limits: &Limits) -> Option<(LayerInventory, Verified)> {
        let key = key(layer, limits)?;
        let mut bytes = Vec::new();
        let file = self.place.file(&name(&key)).ok()??;
        (&file).take((HEADER + ENTRY) as u64).read_to_end(&mut bytes).ok()?;
        let Found { key: kept, verified, inventory } = unpack(&bytes)?;
        // Attack: an entry of one layer under the name of another.
        if kept != key {
            return None;
        }
        // That it was used counts when the oldest go. Where it cannot be said, it goes sooner.
        let _ = file.set_modified(self.now);
        Some((inventory, verified))
    }

    /// Keeps what was read of a layer. One whose bytes have no digest of their own, or of which there is too
    /// much to say, is not kept.
    ///
    /// # Errors
    /// [`Error`] where the entry could not be written; the cache is as it was.
    pub fn put(
        &self,
        layer: &LayerBlob,
        limits: &Limits,
        inventory: &LayerInventory,
        verified: &Verified,
    ) -> Result<(), Error> {
        let Some(key) = key(layer, limits) else { return Ok(()) };
        let failed = |cause: String| Error { at: self.place.path().to_owned(), cause };
        let kept = Kept { key: &key, verified, inventory };
        let Some(bytes) = pack(&kept).map_err(failed)? else { return Ok(()) };
        self.place.write(&name(&key), &bytes)
    }

    /// Takes the oldest entries away where all together take more than the limit.
    pub fn tidy(&self) {
        self.tidy_to(TOTAL);
    }

    fn tidy_to(&self, total: u64) {
        let Ok(listed) = fs::read_dir(self.place.path()) else { return };
        // What a process left behind that was killed while it wrote is an entry like the others.
        let mut entries: Vec<_> = listed
            .flatten()
            .filter_map(|entry| {
                let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                Some((metadata.modified().ok()?, metadata.len(), entry.path()))
            })
            .collect();
        let mut taken: u64 = entries.iter().map(|(_, size, _)| size).sum();
        entries.sort();
        for (_, size, path) in entries {
            if taken <= total {
                return;
            }
            // Another process may have been faster.
            let _ = fs::remove_file(path);
            taken -= size;
        }
    }
}

/// Name of the file with an entry.
fn name(key: &str) -> String {
    Digest::sha256(key.as_bytes()).hex().to_string()
}

/// What an entry is about. None for a member of a docker-archive: only reading it tells what it is.
fn key(layer: &LayerBlob, limits: &Limits) -> Option<String> {
    match &layer.blob {
        BlobName::Descriptor(_) => Some(format!("{} {limits:?} {READERS}", layer.identity())),
        BlobName::Member(_) => None,
    }
}

/// An entry. None where it would be too large.
fn pack(kept: &Kept<'_>) -> Result<Option<Vec<u8>>, String> {
    let plain = postcard::to_stdvec(kept).map_err(|error| error.to_string())?;
    if plain.len() > ENTRY {
        return Ok(None);
    }
    let packed = zstd::bulk::compress(&plain, 1).map_err(|error| error.to_string())?;
    let mut bytes = Vec::with_capacity(HEADER + packed.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&(plain.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&digest(plain.len() as u64, &packed));
    bytes.extend_from_slice(&packed);
    Ok(Some(bytes))
}

/// Digest of an entry's length and packed part.
fn digest(length: u64, packed: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(length.to_le_bytes()).chain_update(packed).finalize().into()
}

/// What an entry says. None where it is not whole.
fn unpack(bytes: &[u8]) -> Option<Found> {
    let (magic, rest) = bytes.split_first_chunk::<8>()?;
    let (format, rest) = rest.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let (digest, packed) = rest.split_first_chunk::<32>()?;
    let length = u64::from_le_bytes(*length);
    if magic != MAGIC || u32::from_le_bytes(*format) != FORMAT || self::digest(length, packed) != *digest {
        return None;
    }
    let capacity = usize::try_from(length).ok().filter(|length| *length <= ENTRY)?;
    let plain = zstd::bulk::decompress(packed, capacity).ok()?;
    postcard::from_bytes(&plain).ok()
}

/// For the fuzzer: whatever lies in the cache, reading it ends, and says the same when it is written again.
pub(crate) fn reread(bytes: &[u8]) {
    if let Ok(found) = postcard::from_bytes::<Found>(bytes) {
        let Found { key, verified, inventory } = &found;
        let again = postcard::to_stdvec(&Kept { key, verified, inventory });
        assert!(again.is_ok_and(|again| postcard::from_bytes(&again) == Ok(found)));
    }
}

#[cfg(test)]
mod tests;
