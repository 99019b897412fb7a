//! What an archive has, and what tables of contents say of it.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use crate::image::limits::Limits;
use crate::image::tar::{Header, Kind, NO_NUMBER, Node};
use crate::model::digest::{Algorithm, Digest};
use crate::model::observed::{Note, What};
use crate::model::path::ImagePath;

use super::pieces::{Piece, Pieces};
use super::table::{Listed, Sum, encoded, sum_of_xattrs};

/// Tables that a layer may be promised: one in the archive, and one in the blob under each of two keys.
pub(super) const TABLES: usize = 3;

/// Bytes of names that are held against a table: 64 MiB, half of what a layer may have.
const NAMES: usize = 64 << 20;

/// Contradictions of a table that are listed: 100. One is enough to refuse the layer.
pub(super) const LISTED: usize = 100;

/// An archive, and how it compares with each table.
#[derive(Debug)]
pub(super) struct Comparison {
    /// What the archive has.
    held: Archive,
    names: usize,
    /// Whether not all that the archive has is held.
    cut: bool,
    limits: Limits,
    tables: [Told; TABLES],
    pieces: Pieces,
    /// Why not all could be compared.
    unread: BTreeSet<&'static str>,
}

/// What one table says.
#[derive(Debug, Default)]
struct Told {
    entries: u64,
    notes: Vec<Note>,
    /// The last entry that was no piece, and the file that it is where it does not differ.
    last: Option<ImagePath>,
    file: Option<File>,
}

/// Entries by name; of several the last counts. A plain list: a map takes twice the memory.
#[derive(Debug, Default)]
struct Archive {
    entries: Vec<(ImagePath, Held)>,
    /// How many of them are in order, each name once.
    settled: usize,
}

#[derive(Debug)]
struct Held {
    item: Item,
    /// Whether tables may leave it out.
    optional: bool,
    states: [State; TABLES],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unseen,
    Same,
    Other(Difference),
}

/// In what a table differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Difference {
    Type,
    Size,
    Content,
    NoDigest,
    Pieces,
    Target,
    Device,
    Mode,
    Owner,
    Xattrs,
}

/// What a runtime makes of an entry.
#[derive(Debug, PartialEq, Eq)]
struct Item {
    kind: Type,
    mode: u16,
    /// None where it is not known.
    owner: Option<(u32, u32)>,
    /// Length of a file.
    size: i64,
    /// Of a file's content, a link's target, a device's numbers.
    sum: Sum,
    xattrs: Option<Box<Sum>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Directory,
    File,
    Symlink,
    HardLink,
    Character,
    Block,
    Fifo,
    /// What it is to a runtime is not known.
    Unread,
}

/// A file of a table, while its pieces come.
#[derive(Debug)]
struct File {
    size: i64,
    has_digest: bool,
    pieces: Vec<Piece>,
    /// Where the next piece has to begin; none where one was not where it had to be.
    next: Option<i64>,
    /// Whether the name stood in the table before.
    again: bool,
    /// Whether there are more pieces than are remembered.
    cut: bool,
}

/// A digest as a table has it.
#[derive(Debug, PartialEq, Eq)]
enum Stated {
    Absent,
    Sum(Sum),
    /// By another algorithm.
    Unread,
    Malformed,
}

/// Names as Go's writers of JSON put them: each byte that is no UTF-8 becomes U+FFFD.
fn as_text(bytes: &[u8]) -> Option<String> {
    if std::str::from_utf8(bytes).is_ok() {
        return None;
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    Some(text)
}

/// The name under which a table can have an entry; none where it leads out of the image.
pub(super) fn listed_name(name: &[u8]) -> Option<ImagePath> {
    let text = as_text(name);
    ImagePath::normalise(text.as_ref().map_or(name, |text| text.as_bytes())).ok()
}

fn link(target: &[u8]) -> Sum {
    match ImagePath::normalise(target) {
        Ok(path) => Sha256::digest(path.as_bytes()).into(),
        Err(_) => Sha256::digest([target, b"\0"].concat()).into(),
    }
}

fn devices(major: i64, minor: i64) -> Sum {
    Sha256::digest([major.to_le_bytes(), minor.to_le_bytes()].concat()).into()
}

impl Comparison {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            held: Archive::default(),
            names: 0,
            cut: false,
            limits: *limits,
            tables: Default::default(),
            pieces: Pieces::default(),
            unread: BTreeSet::new(),
        }
    }

    /// Adds an entry of the archive. A table of contents need not list itself.
    pub(super) fn hold(&mut self, header: &Header, content: Sum, optional: bool) {
        let Some(path) = listed_name(&header.name) else { return };
        self.names = self.names.saturating_add(path.as_bytes().len());
        if self.names > NAMES {
            self.unread.insert("the names of entries have more than 64 MiB");
            self.cut = true;
            self.held = Archive::default();
            return;
        }
        let item = self.item(header, content);
        self.held.entries.push((path, Held { item, optional, states: [State::Unseen; TABLES] }));
    }

    fn item(&mut self, header: &Header, content: Sum) -> Item {
        let mut not_text = std::str::from_utf8(&header.name).is_err();
        let mut text = |bytes: &[u8]| {
            let text = as_text(bytes);
            not_text |= text.is_some();
            text.map_or_else(|| bytes.to_vec(), String::into_bytes)
        };
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let (kind, sum) = match (&header.kind, header.node) {
            (Kind::File, _) => (Type::File, content),
            (Kind::Directory, _) => (Type::Directory, Sum::default()),
            (Kind::Symlink(target), _) => (Type::Symlink, Sha256::digest(text(target)).into()),
            (Kind::HardLink(target), _) => (Type::HardLink, link(&text(target))),
            (Kind::Special, Some(Node::Character(major, minor))) => {
                (Type::Character, devices(number(major), number(minor)))
            }
            (Kind::Special, Some(Node::Block(major, minor))) => {
                (Type::Block, devices(number(major), number(minor)))
            }
            (Kind::Special, Some(Node::Fifo)) => (Type::Fifo, Sum::default()),
            (Kind::Special, None) | (Kind::Sparse | Kind::Unknown(_), _) => (Type::Unread, Sum::default()),
        };
        let xattrs = header.xattrs.iter().map(|(key, value)| {
            let key = String::from_utf8(text(key)).unwrap_or_default();
            (key, encoded(value))
        });
        let xattrs = sum_of_xattrs(&xattrs.collect()).map(Box::new);
        // What a table cannot say of them is no lie.
        if not_text {
            self.unread.insert("names in the archive are no UTF-8, and cannot stand in it");
        }
        if kind == Type::Unread {
            self.unread.insert("the archive has sparse files or entries of unknown types");
        }
        let owner = match (u32::try_from(header.uid), u32::try_from(header.gid)) {
            (Ok(uid), Ok(gid)) if !header.oddities.contains(&NO_NUMBER) => Some((uid, gid)),
            _ => None,
        };
        if owner.is_none() {
            self.unread.insert("owners in the archive are no numbers, or beyond 2^32");
        }
        let mode = u16::try_from(header.mode & 0o7777).unwrap_or_default();
        let size = if kind == Type::File { number(header.size) } else { 0 };
        Item { kind, mode, owner, size, sum, xattrs }
    }

    /// Forgets what a table said.
    pub(super) fn restart(&mut self, table: usize) {
        if let Some(told) = self.tables.get_mut(table) {
            *told = Told::default();
        }
    }

    /// Takes an entry of a table.
    pub(super) fn listed(&mut self, table: usize, entry: &Listed) {
        let Some(told) = self.tables.get_mut(table) else { return };
        told.entries += 1;
        if told.entries > self.limits.entries {
            self.unread.insert("it has more entries than a layer may have (limit `entries`)");
            return;
        }
        if self.cut || told.notes.len() >= LISTED {
            return;
        }
        let path = ImagePath::normalise(entry.name.as_bytes());
        let path = match path {
            Ok(path) if entry.name.len() <= self.limits.path => path,
            Ok(_) => {
                return told.note(ImagePath::root(), "its table of contents has a name that is too long");
            }
            Err(_) => {
                let text = "its table of contents has a name that leads out of the image";
                return told.note(ImagePath::root(), text);
            }
        };
        // Attack: `Digest` beside `digest`, or a digest twice: readers differ in which one counts.
        if entry.odd_keys {
            told.note(path.clone(), "its entry in the table of contents has keys on which readers disagree");
        }
        if entry.kind == "chunk" {
            self.piece(table, &path, entry);
            return;
        }
        self.close(table);
        self.entry(table, path, entry);
    }

    /// Takes an entry that is no piece.
    fn entry(&mut self, table: usize, path: ImagePath, entry: &Listed) {
        let Some(told) = self.tables.get_mut(table) else { return };
        told.last = Some(path.clone());
        let Some(held) = self.held.find(&path) else {
            return told.note(path, "the table of contents has it, and the archive has not");
        };
        let Some(state) = held.states.get_mut(table) else { return };
        let again = *state != State::Unseen;
        *state = held.item.compare(entry).map_or(State::Same, State::Other);
        // Of several entries of a name the last counts, but whose pieces do depends on the reader.
        if again && self.pieces.forget(&path, table) {
            self.unread.insert(TWICE);
        }
        if held.item.kind == Type::File && *state == State::Same {
            let digest = Stated::of(&entry.digest);
            if digest == Stated::Unread {
                self.unread.insert(ALGORITHM);
            }
            let has_digest = digest != Stated::Absent;
            let next = Some(0);
            let size = held.item.size;
            let mut file = File { size, has_digest, pieces: Vec::new(), next, again, cut: false };
            file.add(entry, &mut self.pieces, &mut self.unread);
            told.file = Some(file);
        }
    }

    /// A further piece of the file before it; both formats name it so.
    fn piece(&mut self, table: usize, path: &ImagePath, entry: &Listed) {
        let Some(told) = self.tables.get_mut(table) else { return };
        // Attack: a piece under another name, which stargz-snapshotter gives to the file before it.
        if told.last.as_ref() != Some(path) {
            return told.note(path.clone(), "the table of contents has a piece of it apart from the file");
        }
        match &mut told.file {
            Some(file) => file.add(entry, &mut self.pieces, &mut self.unread),
            None => {
                let held = self.held.find(path).map(|held| held.item.kind);
                if held.is_some_and(|kind| !matches!(kind, Type::File | Type::Unread)) {
                    told.note(path.clone(), "the table of contents has a piece of it, and it is no file");
                }
            }
        }
    }

    /// Judges the pieces of the last file, once all came.
    fn close(&mut self, table: usize) {
        let Some(told) = self.tables.get_mut(table) else { return };
        let (Some(file), Some(path)) = (told.file.take(), &told.last) else { return };
        let Some(held) = self.held.find(path) else { return };
        let Some(state) = held.states.get_mut(table) else { return };
        let one = if let [one] = file.pieces.as_slice() { Some(one) } else { None };
        // Attack: pieces that overlap, or leave a part out, of which every reader makes another file.
        if file.next != Some(file.size) {
            *state = State::Other(Difference::Pieces);
        } else if one.is_some_and(|one| one.digest.is_some_and(|digest| digest != held.item.sum)) {
            *state = State::Other(Difference::Content);
        } else if file.size > 0 && !file.has_digest && file.pieces.iter().any(|piece| piece.digest.is_none())
        {
            *state = State::Other(Difference::NoDigest);
        } else if file.size == 0 || file.cut || one.is_some_and(|one| !one.zeros) {
            // Nothing is left to be looked at.
        } else if file.again {
            self.unread.insert(TWICE);
        } else {
            self.pieces.plan(path.clone(), table, file.pieces);
        }
    }

    /// What a table contradicts. Of one that was not read to its end nothing is said of what it has not.
    pub(super) fn judge(&mut self, table: usize, whole: bool) -> Vec<Note> {
        self.close(table);
        let Some(told) = self.tables.get_mut(table) else { return Vec::new() };
        if self.cut || !whole || told.entries > self.limits.entries {
            return std::mem::take(&mut told.notes);
        }
        self.held.settle();
        for (path, held) in &self.held.entries {
            let text = match held.states.get(table) {
                Some(State::Unseen) if !held.optional && held.item.kind != Type::Unread => {
                    "the archive has it, and the table of contents has not".to_owned()
                }
                Some(State::Other(difference)) => difference.text(),
                Some(State::Unseen | State::Same) | None => continue,
            };
            if told.notes.len() >= LISTED {
                break;
            }
            told.note(path.clone(), &text);
        }
        std::mem::take(&mut told.notes)
    }

    /// The files whose pieces are still to be looked at, and why not all could be compared.
    pub(super) fn finish(self) -> (Pieces, BTreeSet<&'static str>) {
        (self.pieces, self.unread)
    }
}

impl Archive {
    fn settle(&mut self) {
        if self.settled == self.entries.len() {
            return;
        }
        // Equal names stay in the order of the archive.
        self.entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.entries.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        self.settled = self.entries.len();
    }

    fn find(&mut self, path: &ImagePath) -> Option<&mut Held> {
        self.settle();
        let at = self.entries.binary_search_by(|(name, _)| name.cmp(path)).ok()?;
        self.entries.get_mut(at).map(|(_, held)| held)
    }
}

const TWICE: &str = "files of several pieces stand twice in it";

const ALGORITHM: &str = "it has digests that are no SHA-256";

impl Told {
    fn note(&mut self, path: ImagePath, text: &str) {
        if self.notes.len() < LISTED {
            self.notes.push(Note { path, what: What::Table(text.into()) });
        }
    }
}

impl File {
    fn add(&mut self, entry: &Listed, pieces: &mut Pieces, unread: &mut BTreeSet<&'static str>) {
        let (digest, zeros) = (Stated::of(&entry.chunk_digest), entry.chunk_type == "zeros");
        let from = entry.chunk_offset;
        // A piece without a size goes to the file's end.
        let to = match entry.chunk_size {
            0 => Some(self.size),
            size => from.checked_add(size).filter(|to| size > 0 && *to <= self.size),
        };
        self.next = to.filter(|to| self.next == Some(from) && (from < *to || self.size == 0));
        if digest == Stated::Malformed {
            self.next = None;
        }
        if digest == Stated::Unread {
            unread.insert(ALGORITHM);
        }
        let Some(size) = self.next.and_then(|to| u64::try_from(to - from).ok()) else { return };
        if !self.pieces.is_empty() && !pieces.count() {
            self.cut = true;
            unread.insert("files have more pieces than are remembered");
            return;
        }
        let digest = if let Stated::Sum(sum) = digest { Some(sum) } else { None };
        self.pieces.push(Piece { size, digest, zeros });
    }
}

impl Stated {
    fn of(text: &str) -> Self {
        if text.is_empty() {
            return Self::Absent;
        }
        let Ok(digest) = text.parse::<Digest>() else { return Self::Malformed };
        if digest.algorithm() != Algorithm::Sha256 {
            return Self::Unread;
        }
        let mut sum = Sum::default();
        for (byte, pair) in sum.iter_mut().zip(digest.hex().as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
        }
        Self::Sum(sum)
    }
}

impl Item {
    /// In what an entry of a table differs.
    fn compare(&self, entry: &Listed) -> Option<Difference> {
        let kind = match entry.kind.as_str() {
            "dir" => Type::Directory,
            "reg" => Type::File,
            "symlink" => Type::Symlink,
            "hardlink" => Type::HardLink,
            "char" => Type::Character,
            "block" => Type::Block,
            "fifo" => Type::Fifo,
            _ => Type::Unread,
        };
        if self.kind == Type::Unread {
            return None;
        }
        let content = |sum: Sum, difference| (sum != self.sum).then_some(difference);
        let special = match kind {
            _ if kind != self.kind => Some(Difference::Type),
            Type::File if entry.size != self.size => Some(Difference::Size),
            Type::File => match Stated::of(&entry.digest) {
                Stated::Sum(sum) => content(sum, Difference::Content),
                Stated::Malformed => Some(Difference::Content),
                // What its pieces are is looked at.
                Stated::Absent | Stated::Unread => None,
            },
            Type::Symlink => content(Sha256::digest(&entry.link_name).into(), Difference::Target),
            Type::HardLink => content(link(entry.link_name.as_bytes()), Difference::Target),
            Type::Character | Type::Block => {
                content(devices(entry.device.0, entry.device.1), Difference::Device)
            }
            Type::Directory | Type::Fifo | Type::Unread => None,
        };
        // Attack: what is a plain program in the archive runs as root where the table is believed.
        let mode = (entry.mode & 0o7777 != i64::from(self.mode)).then_some(Difference::Mode);
        let owner = self.owner.map(|(uid, gid)| (i64::from(uid), i64::from(gid)));
        let owner = owner.is_some_and(|owner| owner != (entry.uid, entry.gid)).then_some(Difference::Owner);
        let xattrs = (entry.xattrs != self.xattrs.as_deref().copied()).then_some(Difference::Xattrs);
        special.or(mode).or(owner).or(xattrs)
    }
}

impl Difference {
    fn text(self) -> String {
        let what = match self {
            Self::NoDigest => return "the table of contents has no digest of it".to_owned(),
            Self::Type => "its type",
            Self::Size => "its size",
            Self::Content => "its content",
            Self::Pieces => "the pieces that it consists of",
            Self::Target => "the link's target",
            Self::Device => "its device numbers",
            Self::Mode => "its mode",
            Self::Owner => "its owner",
            Self::Xattrs => "its extended attributes",
        };
        format!("the table of contents says something else of it than the archive: {what}")
    }
}
