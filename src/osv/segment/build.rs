//! Writing a segment: from records, or from another segment and what has changed.

mod write;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::model::path::escape;

use super::codec::{self, Reading, Shaped};
use super::strings::Interner;
use super::texts::{MAX_TEXT, Text, Texts};
use super::wire::{Cursor, short, size};
use super::{Damaged, Segment, key};
use crate::osv::names::{base, normalise};
use crate::osv::record::{AffectedPackage, Record};

/// How many unreadable records the description names. All of them stand in a section of their own.
const NAMED: usize = 20;

/// Bytes of a cause: what a record says of itself may be in it.
const MAX_CAUSE: usize = 500;

/// Gathers the records of one ecosystem.
///
/// A segment that is made of another one and what has changed since is byte for byte the one that all the
/// records give at once, provided that files have the names of the bucket, `ID.json`.
#[derive(Debug)]
pub struct Builder<'a> {
    ecosystem: String,
    /// Number of each id's record in `slots`.
    records: BTreeMap<Cow<'a, str>, u32>,
    slots: Vec<Slot<'a>>,
    entries: Vec<Entry<'a>>,
    /// Strings of the entries, by number; an entry has a range of them.
    numbers: Vec<u32>,
    strings: Interner<'a>,
    keys: Interner<'a>,
    /// Display texts that slots refer to.
    texts: Option<Texts<'a>>,
    /// Causes by file name.
    unreadable: BTreeMap<String, BTreeSet<String>>,
    /// Ids of which there were several records.
    disputed: BTreeSet<String>,
    /// What went wrong while records were added.
    failed: Option<NotBuilt>,
}

/// One record, read and ready to be written. Made apart from the builder, so that many threads can.
#[derive(Debug)]
pub struct Compiled {
    id: String,
    digest: [u8; 32],
    modified: Option<Timestamp>,
    withdrawn: Option<Timestamp>,
    /// None where the record was withdrawn.
    body: Option<Body>,
}

#[derive(Debug)]
struct Body {
    head: Vec<u8>,
    text: Vec<u8>,
    entries: Vec<(String, Shaped)>,
}

/// A record while a segment is built.
#[derive(Debug)]
struct Slot<'a> {
    digest: [u8; 32],
    modified: Option<Timestamp>,
    /// None where the record was withdrawn.
    head: Option<Cow<'a, [u8]>>,
    text: Option<Text>,
}

/// An entry while a segment is built. That of a record which was replaced stays and is not written.
#[derive(Debug)]
struct Entry<'a> {
    key: u32,
    slot: u32,
    numbers: Range<usize>,
    shape: Cow<'a, [u8]>,
}

/// Why there is no segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotBuilt {
    /// It would outgrow its offsets (4 GiB a section).
    #[error("the advisories are too many for one segment")]
    TooLarge,
    /// The one to start from is damaged.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// The builder contradicts itself. A segment without what it lost would take advisories away in silence.
    #[error("the advisories could not be put together: report this as a bug of portcullis")]
    Inconsistent,
}

impl Compiled {
    /// Reads a record and takes what a segment of the base ecosystem has of it.
    ///
    /// # Errors
    /// Why it is no record.
    pub fn read(ecosystem: &str, bytes: &[u8]) -> Result<Self, String> {
        let record = Record::parse(bytes)?;
        // What was withdrawn matches nothing and lends nothing; it counts for the segment's id alone. A
        // withdrawal without a date would take an advisory away on nobody's word.
        let withdrawn = record.withdrawn.as_deref().map(str::parse::<Timestamp>);
        let withdrawn = withdrawn.transpose().map_err(|_| "its `withdrawn` is no date".to_owned())?;
        let body = match withdrawn {
            None => Some(Body::of(ecosystem, &record)?),
            Some(_) => None,
        };
        Ok(Self {
            digest: Sha256::digest(bytes).into(),
            modified: record.modified.as_deref().and_then(|text| text.parse().ok()),
            id: record.id.into(),
            withdrawn,
            body,
        })
    }

    /// The record's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its `modified`; none where it states none or no date.
    #[must_use]
    pub fn modified(&self) -> Option<Timestamp> {
        self.modified
    }

    /// When it was withdrawn; none where it was not. Whoever has a clock refuses one that is still to come.
    #[must_use]
    pub fn withdrawn(&self) -> Option<Timestamp> {
        self.withdrawn
    }
}

impl Body {
    fn of(ecosystem: &str, record: &Record) -> Result<Self, String> {
        let failed = |error: NotBuilt| error.to_string();
        let mut entries = Vec::new();
        for affected in &record.affected {
            // Records about commits alone name no package.
            let Some(package) = &affected.package else { continue };
            check_names(ecosystem, package)?;
            if base(&package.ecosystem) != ecosystem {
                continue;
            }
            let name = normalise(&package.ecosystem, &package.name);
            let shaped = Shaped::of(affected, &name).map_err(failed)?;
            entries.push((key(&package.ecosystem, &name), shaped));
        }
        let text = codec::put_display(record.details.as_deref(), &record.references).map_err(failed)?;
        if text.len() > MAX_TEXT {
            return Err(format!("its text is longer than the limit of {MAX_TEXT} bytes"));
        }
        let mut head = Vec::new();
        codec::put_head(&mut head, &record.head()).map_err(failed)?;
        Ok(Self { head, text, entries })
    }
}

/// Refuses an entry that is meant for this ecosystem and could never be found: one that nobody looks up
/// would take its advisory away in silence.
fn check_names(ecosystem: &str, package: &AffectedPackage) -> Result<(), String> {
    let stated = package.ecosystem.as_str();
    if stated.is_empty() || package.name.is_empty() || package.name.trim() != package.name {
        return Err("an entry names no ecosystem or no package".into());
    }
    let (base, release) = (base(stated), stated.split_once(':').map(|(_, release)| release));
    let meant = base.trim().eq_ignore_ascii_case(ecosystem);
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let known = match (ecosystem, release) {
        ("Debian", Some(release)) => number(release) || matches!(release, "sid" | "unstable"),
        ("Alpine", Some(release)) => release == "edge" || release.strip_prefix('v').is_some_and(number),
        ("Debian" | "Alpine" | "Ubuntu", None) => false,
        (_, release) => release.is_none_or(|release| release.trim() == release),
    };
    if meant && (base != ecosystem || !known) {
        return Err(format!(
            "an entry is for `{}`, which is no release of {ecosystem}",
            escape(stated.as_bytes())
        ));
    }
    Ok(())
}

/// Whether a file may hold the record of an id.
fn is_file_of(name: &str, id: &str) -> bool {
    let own = escape(format!("{id}.json").as_bytes());
    let folder = name.strip_suffix(&own);
    !name.ends_with(".json") || folder.is_some_and(|folder| folder.is_empty() || folder.ends_with('/'))
}

fn of_another(id: &str) -> String {
    format!("it holds the record {}", escape(id.as_bytes()))
}

impl<'a> Builder<'a> {
    /// An empty segment of a base ecosystem.
    #[must_use]
    pub fn new(ecosystem: &str) -> Self {
        Self {
            ecosystem: ecosystem.to_owned(),
            records: BTreeMap::new(),
            slots: Vec::new(),
            entries: Vec::new(),
            numbers: Vec::new(),
            strings: Interner::default(),
            keys: Interner::default(),
            texts: None,
            unreadable: BTreeMap::new(),
            disputed: BTreeSet::new(),
            failed: None,
        }
    }

    /// Everything that a segment has, to be changed. Nothing of it is parsed: records that stay are copied.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn from_segment(segment: &Segment<'a>) -> Result<Self, Damaged> {
        let mut builder = Self::new(&segment.meta.ecosystem);
        builder.strings = Interner::of(&segment.strings)?;
        builder.texts = Some(segment.texts);
        let mut ids: Vec<(Cow<'a, str>, u32)> = Vec::new();
        for (number, row) in (0u32..).zip(segment.rows.iter()) {
            let row = row?;
            if ids.last().is_some_and(|(last, _)| last.as_ref() >= row.id) {
                return Err(Damaged::Bytes("the records are in no order"));
            }
            ids.push((Cow::Borrowed(row.id), number));
            builder.slots.push(Slot {
                digest: row.digest,
                modified: row.modified()?,
                head: (!row.withdrawn).then_some(Cow::Borrowed(row.body)),
                text: row.text.map(Text::Old),
            });
        }
        builder.records = ids.into_iter().collect();
        let mut left = Cursor(segment.postings);
        while !left.is_empty() {
            let key = str::from_utf8(left.block()?).map_err(|_| Damaged::Bytes("a key is no UTF-8"))?;
            let key = builder.keys.number(key).map_err(|_| Damaged::Bytes("its keys"))?;
            for _ in 0..left.count()? {
                builder.take_entry(segment, key, Cursor(left.block()?))?;
            }
        }
        for unreadable in segment.unreadable() {
            let (name, cause) = unreadable?;
            builder.list(name.to_owned(), cause);
        }
        Ok(builder)
    }

    fn take_entry(&mut self, segment: &Segment<'a>, key: u32, entry: Cursor<'a>) -> Result<(), Damaged> {
        let (slot, reading) = Reading::open(entry, segment.strings)?;
        let (mut numbers, start) = (reading.numbers, self.numbers.len());
        while !numbers.is_empty() {
            let number = numbers.varint()?;
            if size(number) >= self.strings.len() {
                return Err(Damaged::Bytes("a string lies outside"));
            }
            self.numbers.push(number);
        }
        if size(slot) >= self.slots.len() {
            return Err(Damaged::Bytes("a record lies outside"));
        }
        let numbers = start..self.numbers.len();
        self.entries.push(Entry { key, slot, numbers, shape: Cow::Borrowed(reading.shape.0) });
        Ok(())
    }

    /// Adds what one file of a source says: a record, or why there is none. `name` is the file's, escaped,
    /// for the report; one that ends in `.json` must be `ID.json`, in whatever folder. Of two records of one
    /// id neither is known to be the right one: both are unreadable, under the name that the id's file
    /// should have. The order in which files are added does not matter.
    pub fn add(&mut self, name: &str, record: Result<Compiled, String>) {
        let record = record.and_then(|record| match is_file_of(name, &record.id) {
            true => Ok(record),
            // Attack: a file with a copy of another one's record, after which its own is missing in silence.
            false => Err(of_another(&record.id)),
        });
        let record = match record {
            Ok(record) => record,
            Err(cause) => return self.list(name.to_owned(), &cause),
        };
        let known = self.records.get(record.id.as_str()).and_then(|slot| self.slots.get(size(*slot)));
        if known.is_some_and(|known| known.digest != record.digest) {
            self.records.remove(record.id.as_str());
            let cause = "several files hold different records of this id";
            self.list(escape(format!("{}.json", record.id).as_bytes()), cause);
            self.disputed.insert(record.id);
        } else if known.is_none() && !self.disputed.contains(&record.id) {
            self.insert(record);
        }
    }

    /// What the file `name` (`ID.json`) of the source says now, in place of what it said before. A new
    /// version that cannot be read does not leave the old one believed: the file is listed as unreadable.
    pub fn put(&mut self, name: &str, record: Result<Compiled, String>) {
        let id = name.strip_suffix(".json").unwrap_or(name);
        self.remove(id);
        let record = record.and_then(|record| match record.id == id {
            true => Ok(record),
            // Attack: a file that takes the place of another one's record.
            false => Err(of_another(&record.id)),
        });
        match record {
            Ok(record) => self.insert(record),
            Err(cause) => self.list(escape(name.as_bytes()), &cause),
        }
    }

    /// The source has no record of this id any more.
    pub fn remove(&mut self, id: &str) {
        self.records.remove(id);
        self.disputed.remove(id);
        self.unreadable.remove(&escape(format!("{id}.json").as_bytes()));
    }

    fn list(&mut self, name: String, cause: &str) {
        let cause = cause
            .char_indices()
            .find(|(at, _)| *at >= MAX_CAUSE)
            .map_or(cause, |(at, _)| cause.get(..at).unwrap_or_default());
        self.unreadable.entry(name).or_default().insert(cause.to_owned());
    }

    fn insert(&mut self, record: Compiled) {
        if let Err(error) = self.try_insert(record) {
            self.failed = Some(error);
        }
    }

    fn try_insert(&mut self, record: Compiled) -> Result<(), NotBuilt> {
        let Compiled { id, digest, modified, withdrawn: _, body } = record;
        let slot = short(self.slots.len())?;
        let (mut head, mut text) = (None, None);
        if let Some(body) = body {
            for (key, Shaped { shape, strings }) in body.entries {
                let (key, start) = (self.keys.number_of_copy(&key)?, self.numbers.len());
                for string in strings.iter() {
                    let number = self.strings.number_of_copy(string)?;
                    self.numbers.push(number);
                }
                let numbers = start..self.numbers.len();
                self.entries.push(Entry { key, slot, numbers, shape: Cow::Owned(shape) });
            }
            head = Some(Cow::Owned(body.head));
            text = Some(body.text).filter(|text| !text.is_empty()).map(Text::New);
        }
        self.slots.push(Slot { digest, modified, head, text });
        self.records.insert(Cow::Owned(id), slot);
        Ok(())
    }
}
