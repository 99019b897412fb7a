//! Tables of contents of layers that are pulled in parts: a runtime that believes one mounts what the table
//! says, while everybody else unpacks the archive.
//!
//! stargz-snapshotter `docs/estargz.md` (the table is the archive's last entry) and containers/storage
//! `docs/containers-storage-zstd-chunked.md` (it stands in a skippable frame at the blob's end). Runtimes take
//! a table only where the manifest's annotations state its digest; so do we, for each digest that they state.

mod compare;
mod pieces;
mod table;

use std::io::{self, Read};
use std::ops::Range;

use sha2::{Digest as _, Sha256};

use crate::image::limits::Limits;
use crate::image::resolve::{BlobName, LayerBlob};
use crate::image::tar::{self, Header, Kind};
use crate::model::digest::{Algorithm, Digest, Hasher};
use crate::model::observed::{Note, What};
use crate::model::path::ImagePath;

use super::tap::Tapped;
use compare::Comparison;
use pieces::Pieces;
use table::{Splitter, Stop};

/// The name of eStargz's table in the archive.
const NAME: &[u8] = b"stargz.index.json";

/// Bytes of a table, unpacked: 512 MiB; one of a million files has as many. Runtimes take no more than 150.
const TABLE: u64 = 512 << 20;

/// Stored bytes of a table in a frame of the blob: 64 MiB. They are held, since the frame may stand anywhere.
const FRAME: u64 = 64 << 20;

/// The largest window of a frame: 32 MiB, as a power of two. Writers of tables use a quarter.
const WINDOW: u32 = 25;

/// A table in a frame of the blob.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Frame {
    digest: Digest,
    at: Range<u64>,
}

/// A table being read.
struct Reading {
    splitter: Splitter,
    hasher: Hasher,
    size: u64,
}

/// Holds an archive against its tables of contents while it is read.
pub(super) struct Checker {
    /// Tables that the annotations promise in the blob.
    frames: Vec<Frame>,
    /// The digest of the table that they promise in the archive.
    inside: Option<Digest>,
    /// That table, once its entry came.
    read: Option<Reading>,
    comparison: Comparison,
    notes: Vec<Note>,
}

impl Checker {
    /// A checker, where the layer's annotations promise a table.
    pub(super) fn of(layer: &LayerBlob, limits: &Limits) -> Option<Self> {
        let BlobName::Descriptor(descriptor) = &layer.blob else { return None };
        let note = |key: &str| descriptor.annotations.get(key).map(String::as_str);
        let mut new = Self {
            frames: Vec::new(),
            inside: None,
            read: None,
            comparison: Comparison::new(limits),
            notes: Vec::new(),
        };
        let mut promised = false;
        // containers/storage has written the keys in two forms. Attack: an honest table under the one, and
        // another under the other, or of the other format.
        for prefix in ["io.github.containers", "io.containers"] {
            let key = |last: &str| format!("{prefix}.zstd-chunked.manifest-{last}");
            let Some(digest) = note(&key("checksum")) else { continue };
            promised = true;
            match frame(digest, note(&key("position"))) {
                Ok(frame) if new.frames.contains(&frame) => {}
                Ok(frame) => new.frames.push(frame),
                Err(what) => new.notes.push(of_all(what)),
            }
        }
        if let Some(digest) = note("containerd.io/snapshot/stargz/toc.digest") {
            promised = true;
            match digest.parse() {
                Ok(digest) => new.inside = Some(digest),
                Err(_) => new.notes.push(of_all(lie("the digest of its table of contents is none"))),
            }
        }
        promised.then_some(new)
    }

    /// Which bytes of the blob are tables.
    pub(super) fn frames(&self) -> Vec<Range<u64>> {
        self.frames.iter().map(|frame| frame.at.clone()).collect()
    }

    /// Passes an entry on to `visit`, and remembers what it is.
    pub(super) fn entry(
        &mut self,
        header: &Header,
        bytes: &mut dyn Read,
        visit: impl FnOnce(&mut dyn Read) -> Result<(), tar::Error>,
    ) -> Result<(), tar::Error> {
        // The format has the table last; it was compared with what came before it.
        if self.read.is_some() && self.inside.is_some() {
            let path = ImagePath::normalise(&header.name).unwrap_or_default();
            self.add(path, lie("an entry of the archive that follows its table of contents"));
        }
        let is_table = header.name.strip_prefix(b"./").unwrap_or(&header.name) == NAME;
        // Attack: a table behind every entry, each to be compared with all before it. The second is a
        // contradiction already.
        let is_first = self.read.is_none();
        let mut reading = self
            .inside
            .as_ref()
            .filter(|_| is_table && is_first)
            .map(|digest| Reading::new(digest.algorithm()));
        if reading.is_some() {
            self.comparison.restart(0);
        }
        let is_file = header.kind == Kind::File;
        let mut hasher = Sha256::new();
        let comparison = &mut self.comparison;
        let mut tap = |read: &[u8]| {
            if let Some(reading) = &mut reading {
                reading.push(read, 0, comparison);
            }
            if is_file {
                hasher.update(read);
            }
        };
        let mut tapped = Tapped::new(bytes, &mut tap);
        visit(&mut tapped)?;
        tapped.drain()?;
        self.comparison.hold(header, hasher.finalize().into(), reading.is_some());
        self.read = reading.or(self.read.take());
        Ok(())
    }

    fn add(&mut self, path: ImagePath, what: What) {
        if self.notes.len() < compare::LISTED {
            self.notes.push(Note { path, what });
        }
    }

    /// What contradicts, and the files of which the pieces are to be looked at. `kept` holds the bytes of the
    /// blob that were asked for.
    pub(super) fn finish(mut self, kept: Vec<Vec<u8>>) -> (Vec<Note>, Option<Pieces>) {
        let mut inside = self.inside.take();
        for (index, (frame, kept)) in std::mem::take(&mut self.frames).into_iter().zip(kept).enumerate() {
            let algorithm = inside.as_ref().map_or(Algorithm::Sha256, Digest::algorithm);
            let mut reading = Reading::new(algorithm);
            let what = if kept.is_empty() {
                Some(lie(MISSING))
            } else if Digest::of(frame.digest.algorithm(), &kept) != frame.digest {
                // Attack: a table that is put in place of the one that the manifest names.
                Some(lie(REPLACED))
            } else {
                reading.unpack(&kept, index + 1, &mut self.comparison).err()
            };
            drop(kept);
            match what {
                Some(what) => self.notes.push(of_all(what)),
                None => {
                    // stargz-snapshotter states the digest of the same table, unpacked.
                    let unpacked = self.judge(reading, index + 1);
                    inside = inside.filter(|digest| self.read.is_some() || *digest != unpacked);
                }
            }
        }
        match (inside, self.read.take()) {
            (None, _) => {}
            // It may lie elsewhere: an external table.
            (Some(_), None) => self.notes.push(of_all(What::TableUnread("it is not in the layer".into()))),
            (Some(digest), Some(reading)) => {
                let before = self.notes.len();
                if self.judge(reading, 0) != digest {
                    self.notes.truncate(before);
                    self.notes.push(of_all(lie(REPLACED)));
                }
            }
        }
        let (pieces, unread) = self.comparison.finish();
        self.notes.extend(unread.into_iter().map(|why| of_all(What::TableUnread(why.into()))));
        // One contradiction is enough: the layer is not read again for more.
        let lies = self.notes.iter().any(|note| matches!(note.what, What::Table(_)));
        (self.notes, (!lies && !pieces.is_empty()).then_some(pieces))
    }

    /// Adds what a table contradicts; answers its digest.
    fn judge(&mut self, reading: Reading, table: usize) -> Digest {
        match reading.splitter.finish() {
            None => self.notes.extend(self.comparison.judge(table, true)),
            Some(Stop::Malformed) => self.notes.push(of_all(lie(UNREADABLE))),
            Some(Stop::Keys) => {
                self.notes.push(of_all(lie("its table of contents has keys on which readers disagree")))
            }
            Some(Stop::Limit(why)) => {
                self.notes.extend(self.comparison.judge(table, false));
                self.notes.push(of_all(What::TableUnread(why.into())));
            }
        }
        reading.hasher.finish()
    }
}

const MISSING: &str = "it is said to have a table of contents, and has none";
const REPLACED: &str = "its table of contents has another digest than its annotation states";
const UNREADABLE: &str = "its table of contents cannot be read";

fn lie(text: &str) -> What {
    What::Table(text.into())
}

/// A note of the layer and of no entry.
fn of_all(what: What) -> Note {
    Note { path: ImagePath::root(), what }
}

/// `OFFSET:LENGTH:UNPACKED:TYPE`; type 1 is a table as eStargz has it.
fn frame(digest: &str, position: Option<&str>) -> Result<Frame, What> {
    let digest = digest.parse().map_err(|_| lie("the digest of its table of contents is none"))?;
    let mut numbers = position.unwrap_or_default().split(':').map(str::parse::<u64>);
    match (numbers.next(), numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(at)), Some(Ok(length)), Some(Ok(_)), Some(Ok(1)), None) => {
            let end = at.checked_add(length).ok_or_else(|| lie("its table of contents lies nowhere"))?;
            if length > FRAME {
                return Err(What::TableUnread("it has more than 64 MiB, packed".into()));
            }
            Ok(Frame { digest, at: at..end })
        }
        _ => Err(lie("where its table of contents lies cannot be understood")),
    }
}

impl Reading {
    fn new(algorithm: Algorithm) -> Self {
        Self { splitter: Splitter::default(), hasher: Hasher::new(algorithm), size: 0 }
    }

    fn push(&mut self, bytes: &[u8], table: usize, comparison: &mut Comparison) {
        self.hasher.update(bytes);
        self.size = self.size.saturating_add(bytes.len() as u64);
        if self.size > TABLE {
            self.splitter.stop("it has more than 512 MiB");
        }
        self.splitter.push(bytes, &mut |entry| comparison.listed(table, &entry));
    }

    /// Reads a table out of its zstd frame.
    fn unpack(&mut self, frame: &[u8], table: usize, comparison: &mut Comparison) -> Result<(), What> {
        let mut buffer = vec![0; 64 << 10];
        let unreadable = |error: io::Error| {
            // As for layers: a window beyond the limit is no lie.
            if error.to_string().contains("too much memory") {
                What::TableUnread("its zstd window is larger than 32 MiB".into())
            } else {
                lie(UNREADABLE)
            }
        };
        let mut decoder = zstd::stream::read::Decoder::new(frame).map_err(unreadable)?;
        decoder.window_log_max(WINDOW).map_err(unreadable)?;
        loop {
            let count = decoder.read(&mut buffer).map_err(unreadable)?;
            // Attack: a frame that unpacks to terabytes.
            if count == 0 || self.size > TABLE {
                return Ok(());
            }
            self.push(buffer.get(..count).unwrap_or_default(), table, comparison);
        }
    }
}

/// For the fuzz target: what is no JSON is not taken for a table, and a table is the same in pieces.
pub(crate) fn fuzz(bytes: &[u8]) {
    #[derive(serde::Deserialize)]
    struct Entries {
        entries: Option<Vec<serde::de::IgnoredAny>>,
    }
    let read = |length: usize| {
        let (mut splitter, mut entries) = (Splitter::default(), Vec::new());
        for piece in bytes.chunks(length) {
            splitter.push(piece, &mut |entry| entries.push(entry));
        }
        (splitter.finish(), entries)
    };
    let whole = read(bytes.len().max(1));
    assert_eq!(read(1), whole);
    if whole.0.is_none() {
        match serde_json::from_slice::<Entries>(bytes) {
            Ok(read) => assert_eq!(read.entries.map_or(0, |all| all.len()), whole.1.len()),
            // An entry is nested less deeply by itself.
            Err(error) => assert!(error.to_string().contains("recursion"), "{error}"),
        }
    }
    let mut comparison = Comparison::new(&Limits::default());
    for entry in &whole.1 {
        comparison.listed(0, entry);
    }
    let _ = comparison.judge(0, true);
}

/// A reader that keeps some of the bytes that go by.
pub(super) struct Window<R> {
    inner: R,
    at: u64,
    wanted: Vec<Range<u64>>,
    /// The bytes that were wanted, each range by itself.
    pub(super) kept: Vec<Vec<u8>>,
}

impl<R> Window<R> {
    pub(super) fn new(inner: R, wanted: Vec<Range<u64>>) -> Self {
        Self { inner, at: 0, kept: vec![Vec::new(); wanted.len()], wanted }
    }
}

impl<R: Read> Read for Window<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        for (wanted, kept) in self.wanted.iter().zip(&mut self.kept) {
            let from = wanted.start.saturating_sub(self.at).min(count as u64);
            let to = wanted.end.saturating_sub(self.at).min(count as u64);
            let (from, to) = (usize::try_from(from).unwrap_or(count), usize::try_from(to).unwrap_or(count));
            kept.extend_from_slice(buffer.get(from..to).unwrap_or_default());
        }
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
