//! Tables of contents of layers that are pulled in parts: a runtime that believes one mounts what the table
//! says, while everybody else unpacks the archive.
//!
//! stargz-snapshotter `docs/estargz.md` (the table is the archive's last entry) and containers/storage
//! `docs/containers-storage-zstd-chunked.md` (it stands in a skippable frame at the blob's end). Runtimes take
//! a table only where the manifest's annotations state its digest; so do we.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Range;

use serde::Deserialize;

use crate::image::resolve::{BlobName, LayerBlob};
use crate::image::tar::{self, Header, Kind};
use crate::model::digest::{Digest, Hasher};
use crate::model::observed::{Note, What};
use crate::model::path::ImagePath;

use super::tap::Tapped;

/// The name of eStargz's table in the archive.
const NAME: &[u8] = b"stargz.index.json";

/// Bytes of a table, also unpacked: 64 MiB; a layer of a million files has more, and real ones have a tenth.
const TABLE: u64 = 64 << 20;

/// Bytes of names and link targets that are held against a table: 64 MiB.
const NAMES: usize = 64 << 20;

/// Contradictions that are listed: 100. One is enough to refuse the layer.
const LISTED: usize = 100;

/// Where a table is said to be, and its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Promise {
    digest: Digest,
    /// Its bytes in the blob; none where it is an entry of the archive.
    frame: Option<Range<u64>>,
}

/// Holds an archive against its table of contents while it is read.
#[derive(Debug)]
pub(super) struct Checker {
    /// What the annotations promise, or why they promise nothing that can be read.
    promise: Result<Promise, &'static str>,
    /// What the archive has; the last entry of a name counts.
    listed: BTreeMap<ImagePath, Item>,
    table: Vec<u8>,
    /// Bytes of names and link targets so far.
    names: usize,
    too_long: bool,
}

/// A path, as the archive or the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    Directory,
    File { size: u64, digest: Option<Digest> },
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
    Special,
}

#[derive(Deserialize)]
struct Table {
    entries: Vec<Listed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    link_name: String,
    #[serde(default)]
    digest: String,
}

impl Checker {
    /// A checker, where the layer's annotations promise a table.
    pub(super) fn of(layer: &LayerBlob) -> Option<Self> {
        let BlobName::Descriptor(descriptor) = &layer.blob else { return None };
        let note = |key: &str| descriptor.annotations.get(key).map(String::as_str);
        // containers/storage has written the key in two forms.
        let chunked = |key: &str| {
            ["io.github.containers", "io.containers"]
                .iter()
                .find_map(|prefix| note(&format!("{prefix}.zstd-chunked.{key}")))
        };
        let in_blob = chunked("manifest-checksum");
        let in_archive = note("containerd.io/snapshot/stargz/toc.digest");
        let promise = match (in_blob, in_archive) {
            (None, None) => return None,
            (Some(digest), _) => promised(digest, chunked("manifest-position")),
            (None, Some(digest)) => digest
                .parse()
                .map(|digest| Promise { digest, frame: None })
                .map_err(|_| "the digest of its table of contents is none"),
        };
        Some(Self { promise, listed: BTreeMap::new(), table: Vec::new(), names: 0, too_long: false })
    }

    /// Which bytes of the blob are the table.
    pub(super) fn frame(&self) -> Option<Range<u64>> {
        self.promise.as_ref().ok()?.frame.clone()
    }

    /// Passes an entry on to `visit`, and remembers what it is.
    pub(super) fn entry(
        &mut self,
        header: &Header,
        bytes: &mut dyn Read,
        visit: impl FnOnce(&mut dyn Read) -> Result<(), tar::Error>,
    ) -> Result<(), tar::Error> {
        let is_table = header.name.strip_prefix(b"./").unwrap_or(&header.name) == NAME;
        let algorithm = self.promise.as_ref().ok().map(|promise| promise.digest.algorithm());
        let mut hasher = algorithm.map(Hasher::new);
        let (table, too_long) = (&mut self.table, &mut self.too_long);
        if is_table {
            table.clear();
        }
        let mut tap = |read: &[u8]| {
            if let Some(hasher) = &mut hasher {
                hasher.update(read);
            }
            if is_table {
                *too_long |= (table.len() + read.len()) as u64 > TABLE;
                if !*too_long {
                    table.extend_from_slice(read);
                }
            }
        };
        let mut tapped = Tapped::new(bytes, &mut tap);
        visit(&mut tapped)?;
        tapped.drain()?;
        let Ok(path) = ImagePath::normalise(&header.name) else { return Ok(()) };
        let item = match &header.kind {
            Kind::File => Item::File { size: header.size, digest: hasher.map(Hasher::finish) },
            Kind::Directory => Item::Directory,
            Kind::Symlink(target) => Item::Symlink(target.clone()),
            Kind::HardLink(target) => Item::HardLink(target.clone()),
            Kind::Special | Kind::Sparse | Kind::Unknown(_) => Item::Special,
        };
        let target = match &item {
            Item::Symlink(target) | Item::HardLink(target) => target.len(),
            Item::Directory | Item::File { .. } | Item::Special => 0,
        };
        self.names = self.names.saturating_add(path.as_bytes().len() + target);
        self.too_long |= self.names > NAMES;
        if !is_table && !path.is_root() && !self.too_long {
            self.listed.insert(path, item);
        }
        Ok(())
    }

    /// What contradicts. `frame` holds the bytes of the blob that were asked for.
    pub(super) fn finish(mut self, frame: Vec<u8>) -> Vec<Note> {
        let whole = |what: &str| vec![Note { path: ImagePath::root(), what: What::Table(what.into()) }];
        let promise = match self.promise {
            Ok(promise) => promise,
            Err(cause) => return whole(cause),
        };
        let in_blob = promise.frame.is_some();
        if in_blob {
            self.table = frame;
        }
        if self.too_long {
            return vec![Note { path: ImagePath::root(), what: What::Unsearched }];
        }
        if self.table.is_empty() {
            return whole("it is said to have a table of contents, and has none");
        }
        // Attack: a table that is put in place of the one that the manifest names.
        if Digest::of(promise.digest.algorithm(), &self.table) != promise.digest {
            return whole("its table of contents has another digest than its annotation states");
        }
        let text = if in_blob { unpacked(&self.table) } else { Some(std::mem::take(&mut self.table)) };
        let Some(Ok(table)) = text.map(|text| serde_json::from_slice::<Table>(&text)) else {
            return whole("its table of contents cannot be read");
        };
        compare(&self.listed, table)
    }
}

/// `OFFSET:LENGTH:UNPACKED:TYPE`; type 1 is a table as eStargz has it.
fn promised(digest: &str, position: Option<&str>) -> Result<Promise, &'static str> {
    let digest = digest.parse().map_err(|_| "the digest of its table of contents is none")?;
    let mut numbers = position.unwrap_or_default().split(':').map(str::parse::<u64>);
    match (numbers.next(), numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(at)), Some(Ok(length)), Some(Ok(_)), Some(Ok(1)), None) if length <= TABLE => {
            let end = at.checked_add(length).ok_or("its table of contents lies nowhere")?;
            Ok(Promise { digest, frame: Some(at..end) })
        }
        _ => Err("where its table of contents lies cannot be understood"),
    }
}

/// A table out of its zstd frame; none where it is none, or too long.
fn unpacked(frame: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let decoder = zstd::stream::read::Decoder::new(frame).ok()?;
    decoder.take(TABLE + 1).read_to_end(&mut text).ok()?;
    (text.len() as u64 <= TABLE).then_some(text)
}

fn compare(archive: &BTreeMap<ImagePath, Item>, table: Table) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |path: &ImagePath, text: &str| {
        if notes.len() < LISTED {
            notes.push(Note { path: path.clone(), what: What::Table(text.into()) });
        }
    };
    let mut seen: BTreeMap<ImagePath, Item> = BTreeMap::new();
    for entry in table.entries {
        let Ok(path) = ImagePath::normalise(entry.name.as_bytes()) else {
            note(&ImagePath::root(), "its table of contents has a name that leads out of the image");
            continue;
        };
        let item = match entry.kind.as_str() {
            // A further piece of the file before it; both formats name it so.
            "chunk" => continue,
            "dir" => Item::Directory,
            "reg" => Item::File { size: entry.size, digest: entry.digest.parse().ok() },
            "symlink" => Item::Symlink(entry.link_name.into_bytes()),
            "hardlink" => Item::HardLink(entry.link_name.into_bytes()),
            _ => Item::Special,
        };
        if !path.is_root() {
            seen.insert(path, item);
        }
    }
    for (path, listed) in &seen {
        match archive.get(path) {
            None => note(path, "the table of contents has it, and the archive has not"),
            Some(held) if !same(held, listed) => {
                note(path, "the table of contents says something else of it than the archive");
            }
            Some(_) => {}
        }
    }
    for path in archive.keys().filter(|path| !seen.contains_key(*path)) {
        note(path, "the archive has it, and the table of contents has not");
    }
    notes
}

/// Whether both mean the same. An empty file needs no digest; another without one is whatever its pieces are.
fn same(held: &Item, listed: &Item) -> bool {
    let link = |target: &[u8]| ImagePath::normalise(target).ok();
    match (held, listed) {
        (Item::File { size, digest }, Item::File { size: stated, digest: Some(stated_digest) }) => {
            size == stated && digest.as_ref() == Some(stated_digest)
        }
        (Item::File { size: 0, .. }, Item::File { size: 0, digest: None }) => true,
        (Item::HardLink(held), Item::HardLink(listed)) => link(held).is_some() && link(held) == link(listed),
        (Item::File { .. }, _) => false,
        (held, listed) => held == listed,
    }
}

/// A reader that keeps some of the bytes that go by.
pub(super) struct Window<R> {
    inner: R,
    at: u64,
    wanted: Range<u64>,
    /// The bytes that were wanted.
    pub(super) kept: Vec<u8>,
}

impl<R> Window<R> {
    pub(super) fn new(inner: R, wanted: Option<Range<u64>>) -> Self {
        Self { inner, at: 0, wanted: wanted.unwrap_or(0..0), kept: Vec::new() }
    }
}

impl<R: Read> Read for Window<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let from = self.wanted.start.saturating_sub(self.at).min(count as u64);
        let to = self.wanted.end.saturating_sub(self.at).min(count as u64);
        let (from, to) = (usize::try_from(from).unwrap_or(count), usize::try_from(to).unwrap_or(count));
        self.kept.extend_from_slice(buffer.get(from..to).unwrap_or_default());
        self.at = self.at.saturating_add(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
