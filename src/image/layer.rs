//! One pass over a layer: bytes → digest of the blob → decompression → diff ID → tar entries, all in
//! one stream with bounded memory. A result is only given once every byte was read and both digests
//! agree.

use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read};

use serde::{Deserialize, Serialize};

use crate::model::digest::{Algorithm, Digest, Hasher};
use crate::model::fault::Fault;
use crate::model::word;

use super::compression::Decompressed;
use super::limits::Limits;
use super::resolve::{BlobName, LayerBlob};
use super::tar::{self, Archive, Header, Source};

/// How many uncompressed bytes are made at a time: decoders are slow in small pieces, and this fits the
/// second-level cache.
const CHUNK: usize = 256 << 10;

/// What a pass over a layer verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Digest of the blob as stored.
    pub digest: Digest,
    /// Length of the blob as stored.
    pub size: u64,
    /// Whether bytes follow the compressed stream or the archive that no runtime reads: causes.
    #[serde(deserialize_with = "word::words")]
    pub trailing: Vec<&'static str>,
    /// How many gzip members or zstd frames with content there are; 0 where nothing is compressed.
    pub members: u64,
}

/// Takes the digest of a stream that goes by.
pub trait Digesting {
    /// Adds the next bytes.
    fn update(&mut self, bytes: &[u8]);

    /// The digest of all bytes.
    ///
    /// # Errors
    /// Where it was not taken: then nothing is verified.
    fn finish(self: Box<Self>) -> io::Result<Digest>;
}

impl Digesting for Hasher {
    fn update(&mut self, bytes: &[u8]) {
        Self::update(self, bytes);
    }

    fn finish(self: Box<Self>) -> io::Result<Digest> {
        Ok(Self::finish(*self))
    }
}

/// Who takes digests: whoever has threads may take them on another.
pub type Digester = fn(Algorithm) -> Box<dyn Digesting>;

/// Takes digests at once.
#[must_use]
pub fn at_once(algorithm: Algorithm) -> Box<dyn Digesting> {
    Box::new(Hasher::new(algorithm))
}

/// Reads a layer once, calling `visit` for every entry, and verifies size, digest and diff ID. `at`
/// names the layer in faults.
///
/// # Errors
/// As [`read_digested`].
pub fn read<R: Read>(
    reader: R,
    layer: &LayerBlob,
    at: &str,
    limits: &Limits,
    visit: impl FnMut(&Header, &mut dyn Read) -> Result<(), tar::Error>,
) -> Result<Verified, Fault> {
    read_digested(reader, layer, at, limits, at_once, visit)
}

/// The same; the digests are taken by `digester`.
///
/// # Errors
/// A [`Fault`]: a lie where the bytes contradict size, digest, diff ID or the grammar of their
/// compression or archive; unreadable where the reader failed or a limit was reached. Whatever `visit`
/// collected must then be thrown away.
pub fn read_digested<R: Read>(
    reader: R,
    layer: &LayerBlob,
    at: &str,
    limits: &Limits,
    digester: Digester,
    mut visit: impl FnMut(&Header, &mut dyn Read) -> Result<(), tar::Error>,
) -> Result<Verified, Fault> {
    let (algorithm, size) = match &layer.blob {
        BlobName::Descriptor(descriptor) => (descriptor.digest.algorithm(), Some(descriptor.size)),
        BlobName::Member(_) => (Algorithm::Sha256, None),
    };
    let compressed = Cell::new(0);
    let mut blob = Blob { reader, hasher: digester(algorithm), read: &compressed, size };
    let walked = walk(&mut blob, layer, &compressed, limits, digester, &mut visit);
    // The rest counts for the digest even where the walk failed: a wrong digest explains a broken
    // stream, and is the graver fact.
    let drained = io::copy(&mut blob, &mut io::sink());
    let lost = |error: io::Error| Fault::unreadable(at, format!("its digest was not taken: {error}"));
    let (found_size, digest) = (compressed.get(), blob.hasher.finish().map_err(lost)?);
    if let (Ok(_), BlobName::Descriptor(descriptor)) = (&drained, &layer.blob) {
        if found_size != descriptor.size {
            let (more, stated) =
                (if found_size > descriptor.size { "more" } else { "fewer" }, descriptor.size);
            let message = format!("size mismatch: {more} bytes than the descriptor's {stated}");
            return Err(Fault::lie(at, message).breaks("LYR-002"));
        }
        if digest != descriptor.digest {
            return Err(Fault::lie(at, format!("digest mismatch: its bytes have {digest}")).breaks("LYR-001"));
        }
    }
    let (diff_id, trailing, members) = walked.map_err(|error| fault_of(error, at))?;
    drained.map_err(|error| fault_of(error.into(), at))?;
    if diff_id != layer.diff_id {
        let stated = &layer.diff_id;
        let message = format!("diff ID mismatch: the config says {stated}, its bytes have {diff_id}");
        return Err(Fault::lie(at, message).breaks("LYR-003"));
    }
    Ok(Verified { digest, size: found_size, trailing, members })
}

type Visit<'a> = dyn FnMut(&Header, &mut dyn Read) -> Result<(), tar::Error> + 'a;

fn walk<R: Read>(
    blob: &mut Blob<'_, R>,
    layer: &LayerBlob,
    compressed: &Cell<u64>,
    limits: &Limits,
    digester: Digester,
    visit: &mut Visit<'_>,
) -> Result<(Digest, Vec<&'static str>, u64), tar::Error> {
    let hasher = digester(layer.diff_id.algorithm());
    let inner = Decompressed::new(blob, layer.compression)?;
    let source = Uncompressed { inner, hasher, written: 0, compressed, limits };
    let mut archive = Archive::new(BufReader::with_capacity(CHUNK, source), limits);
    while let Some(header) = archive.next_entry()? {
        visit(&header, &mut archive)?;
    }
    let mut trailing = Vec::new();
    if archive.has_trailing_bytes()? {
        trailing.push(
            "bytes follow the end of the archive; runtimes do not read them, so neither were they read here",
        );
    }
    // What the buffer held was hashed when it was filled.
    let source = archive.into_source().into_inner();
    if source.inner.has_trailing_bytes() {
        trailing.push("bytes follow the end of the compressed stream; no reader of layers takes them");
    }
    let members = source.inner.members();
    let diff_id =
        source.hasher.finish().map_err(|error| tar::Error::Read(io::Error::other(Cause::Store(error))))?;
    Ok((diff_id, trailing, members))
}

/// The blob as stored: counted, hashed, and never read beyond its size.
struct Blob<'a, R> {
    reader: R,
    hasher: Box<dyn Digesting>,
    read: &'a Cell<u64>,
    size: Option<u64>,
}

impl<R: Read> Read for Blob<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Attack: an endless blob. One byte beyond the stated size proves the lie; no more is read.
        let most = self.size.map_or(u64::MAX, |size| size.saturating_add(1).saturating_sub(self.read.get()));
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..most).unwrap_or_default();
        let read =
            self.reader.read(buffer).map_err(|error| io::Error::new(error.kind(), Cause::Store(error)))?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        self.read.set(self.read.get() + read as u64);
        Ok(read)
    }
}

/// The layer's tar: counted, hashed, and bounded in size and in ratio to what is stored.
struct Uncompressed<'a, R> {
    inner: R,
    hasher: Box<dyn Digesting>,
    written: u64,
    compressed: &'a Cell<u64>,
    limits: &'a Limits,
}

impl<R: Read> Read for Uncompressed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        self.written += read as u64;
        let Limits { layer, ratio, ratio_floor, .. } = *self.limits;
        // Attack: a decompression bomb.
        if self.written > layer {
            return Err(limit(format!("more than {layer} bytes uncompressed (limit `layer`)")));
        }
        if self.written > ratio_floor && self.written / ratio > self.compressed.get() {
            let message = format!("more than {ratio} uncompressed bytes for one stored (limit `ratio`)");
            return Err(limit(message));
        }
        Ok(read)
    }
}

/// Passes over what lies in the buffer without copying it.
impl<R: Read> Source for BufReader<R> {
    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let mut left = count;
        while left > 0 {
            let buffered = self.fill_buf()?.len();
            if buffered == 0 {
                break;
            }
            let passed = usize::try_from(left).map_or(buffered, |left| left.min(buffered));
            self.consume(passed);
            left -= passed as u64;
        }
        Ok(count - left)
    }
}

fn limit(message: String) -> io::Error {
    io::Error::other(Cause::Limit(message))
}

/// Marks errors that are no contradiction of the bytes' grammar on their way through the decoders.
#[derive(Debug)]
enum Cause {
    Store(io::Error),
    Limit(String),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => write!(f, "could not be read: {error}"),
            Self::Limit(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Cause {}

fn fault_of(error: tar::Error, at: &str) -> Fault {
    match error {
        tar::Error::Grammar(message) => Fault::lie(at, message).breaks("LYR-005"),
        tar::Error::Limit(message) => Fault::unreadable(at, message),
        tar::Error::Read(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<Cause>()) {
            Some(Cause::Limit(message)) => Fault::unreadable(at, message).breaks("LYR-006"),
            Some(cause @ Cause::Store(_)) => Fault::unreadable(at, cause.to_string()),
            None if error.kind() == io::ErrorKind::UnexpectedEof => {
                Fault::lie(at, format!("its bytes end too early: {error}")).breaks("LYR-005")
            }
            // A valid frame may ask for a window beyond zstd's limit of 128 MiB: a limit, and no lie.
            None if error.to_string().contains("too much memory") => {
                Fault::unreadable(at, "its zstd window is larger than 128 MiB (limit of the decoder)")
            }
            None => Fault::lie(at, format!("its bytes are malformed: {error}")).breaks("LYR-005"),
        },
    }
}

#[cfg(test)]
mod tests;
