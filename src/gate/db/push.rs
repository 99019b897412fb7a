//! A snapshot pushed to a registry: the same snapshot gives the same artifact, wherever it was made.

use std::fs::File;
use std::io::{self, Seek as _, Write};
use std::path::Path;

use bytes::Bytes;

use crate::feed::{Installed, Mapped};
use crate::model::descriptor::Descriptor;
use crate::model::digest::{Algorithm, Digest, Hasher};
use crate::model::reference::Reference;
use crate::registry::{BlobPushed, BlobSource, Registry, Target};

use super::{ARTIFACT, Blob, CONFIG, DbError, LAYER, MANIFEST, Manifest, TITLE};

/// How hard segments are packed. The level is a part of what makes two pushes the same; a higher one takes three times
/// as long for a twentieth less.
const LEVEL: i32 = 6;

/// What was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Digest of the artifact's manifest.
    pub digest: Digest,
    /// Digest over the ids of the segments.
    pub snapshot: Digest,
    /// How many segments it has.
    pub segments: usize,
    /// How many of them were sent; the registry had the others.
    pub sent: usize,
    /// Bytes of all of them, packed.
    pub bytes: u64,
}

/// Pushes an installed snapshot under a reference. Packed segments stand in `scratch` while they are sent.
///
/// `signed` is called with the digest under which it is there, before the tag is written: a tag never leads to what is
/// not signed yet, and stays where it is when signing fails.
///
/// # Errors
/// [`DbError`]: no tag was written then.
pub fn push(
    installed: &Installed,
    reference: &Reference,
    registry: &Registry,
    scratch: &Path,
    signed: impl FnOnce(&Digest) -> Result<(), DbError>,
) -> Result<Pushed, DbError> {
    let snapshot = installed.snapshot().portable();
    if snapshot.ecosystems.is_empty() {
        return Err(DbError::Failed("there is nothing to push: run `portcullis db update` first".into()));
    }
    let repository = registry.repository(reference)?;
    let mut layers = Vec::new();
    let (mut sent, mut bytes) = (0, 0);
    for (ecosystem, part) in &snapshot.ecosystems {
        // Every byte is read: what is damaged here must not be spread.
        let mapped = installed.verified(ecosystem)?;
        let mapped = mapped.ok_or_else(|| DbError::Failed(format!("{ecosystem} is gone")))?;
        let failed = |error: io::Error| DbError::Failed(format!("cannot pack {}: {error}", part.file));
        let (file, mut blob) = pack(&mapped, scratch).map_err(failed)?;
        blob.annotations.insert(TITLE.to_owned(), part.file.clone());
        let source = BlobSource::Reader(Box::new(file));
        let pushed = registry.run(repository.push_blob(&blob.descriptor(), source, None))?;
        sent += usize::from(pushed == BlobPushed::Uploaded);
        bytes += blob.size;
        layers.push(blob);
    }
    let json = |error: serde_json::Error| DbError::Failed(error.to_string());
    let document = snapshot.to_bytes().map_err(json)?;
    let config = Blob {
        media_type: CONFIG.to_owned(),
        digest: Digest::sha256(&document),
        size: document.len() as u64,
        annotations: Default::default(),
    };
    let descriptor: Descriptor = config.descriptor();
    registry.run(repository.push_blob(&descriptor, BlobSource::Bytes(Bytes::from(document)), None))?;
    let segments = layers.len();
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST.to_owned(),
        artifact_type: ARTIFACT.to_owned(),
        config,
        layers,
    };
    let manifest = serde_json::to_vec(&manifest).map_err(json)?;
    let digest = Digest::sha256(&manifest);
    // Whoever names a digest means this snapshot. Nothing is pushed or signed that is another one.
    if let Some(named) = reference.digest.as_ref().filter(|named| **named != digest) {
        return Err(DbError::Usage(format!(
            "the installed snapshot would have the digest {digest}, and not {named}: it was neither pushed nor signed; \
             push it to a tag"
        )));
    }
    registry.run(repository.push_manifest(&Target::Digest(digest.clone()), &manifest, MANIFEST))?;
    signed(&digest)?;
    registry.run(repository.push_manifest(&Target::of(reference), &manifest, MANIFEST))?;
    Ok(Pushed { digest, snapshot: snapshot.id(), segments, sent, bytes })
}

/// Packs a segment into a file without a name.
fn pack(segment: &Mapped, scratch: &Path) -> io::Result<(File, Blob)> {
    std::fs::create_dir_all(scratch)?;
    let file = tempfile::tempfile_in(scratch)?;
    let counted = Counted { file, hasher: Hasher::new(Algorithm::Sha256), bytes: 0 };
    let mut encoder = zstd::Encoder::new(counted, LEVEL)?;
    encoder.set_pledged_src_size(Some(segment.bytes().len() as u64))?;
    encoder.write_all(segment.bytes())?;
    let Counted { mut file, hasher, bytes } = encoder.finish()?;
    file.rewind()?;
    let blob = Blob {
        media_type: LAYER.to_owned(),
        digest: hasher.finish(),
        size: bytes,
        annotations: Default::default(),
    };
    Ok((file, blob))
}

/// A file whose bytes are counted and hashed as they are written.
struct Counted {
    file: File,
    hasher: Hasher,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
