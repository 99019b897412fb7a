//! A segment: the advisories of one ecosystem, compiled so that a look-up reads a few hundred bytes of a
//! mapped file. ARCHITECTURE.md describes the format; here is its reader, [`build`] writes it.
//!
//! Every read is checked against the bounds: a damaged segment gives [`Damaged`], never a wrong answer
//! and never a panic. That the bytes are those that were written is the store's business (`feed`).

pub mod build;
mod check;
mod codec;
mod records;
mod strings;
mod table;
mod texts;
mod wire;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::digest::Digest;

use super::record::{Affected, Head, Reference};
use records::{Row, Rows};
use strings::Strings;
use table::{Hash, Table};
use texts::Texts;
use wire::Cursor;

/// First bytes of a segment.
const MAGIC: &[u8; 8] = b"PORTCSEG";

/// Version of the format. Another one is refused and compiled anew.
pub const FORMAT: u32 = 2;

/// Length of the header: magic, format version, and the ends of the sections.
const HEADER: usize = 8 + 4 + SECTIONS * 8;

const SECTIONS: usize = 9;

/// Bytes of strings that the answer to one look-up may have (256 MiB). The package with the most advisories
/// has a few megabytes of them. Attack: entries that name one long string over and over.
const MAX_ANSWER: usize = 256 << 20;

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Base ecosystem, without release suffix.
    pub ecosystem: String,
    /// Digest over the sorted pairs of record id and record digest: the same for the same records,
    /// whatever the layout.
    pub id: String,
    /// How many records there are.
    pub records: u64,
    /// The newest `modified` of the records, RFC 3339.
    pub generated: Option<String>,
    /// How many records could not be read.
    pub unreadable: u64,
    /// The first of them, each with its cause.
    pub unreadable_names: Vec<String>,
    /// Affected entries by exact ecosystem string: which releases the segment covers.
    pub releases: BTreeMap<String, u64>,
}

/// An opened segment.
#[derive(Debug, Clone)]
pub struct Segment<'a> {
    meta: Meta,
    unreadable: &'a [u8],
    strings: Strings<'a>,
    keys: Table<'a>,
    postings: &'a [u8],
    ids: Table<'a>,
    rows: Rows<'a>,
    texts: Texts<'a>,
}

/// Why the bytes of a segment cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    /// They are not what a writer makes.
    #[error("the advisory segment is damaged: {0}")]
    Bytes(&'static str),
    /// A later portcullis wrote them.
    #[error(
        "the advisory segment is of format {0}, which is newer than this portcullis, which reads format {FORMAT}: \
         update portcullis"
    )]
    Newer(u32),
    /// An earlier portcullis wrote them.
    #[error(
        "the advisory segment is of format {0}, which is older than what this portcullis reads, format {FORMAT}: \
         fetch or compile the advisories anew"
    )]
    Older(u32),
}

/// An advisory that says something of a package.
#[derive(Debug, Clone, PartialEq)]
pub struct Posting {
    /// The advisory.
    pub head: Head,
    /// What it says.
    pub affected: Affected,
}

/// A record of the segment, withdrawn or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Its id.
    pub id: &'a str,
    /// Digest of the record's bytes.
    pub digest: Digest,
    /// Its `modified`; none where it states none or no date.
    pub modified: Option<Timestamp>,
    /// Whether it was withdrawn: it then matches nothing.
    pub withdrawn: bool,
}

/// What only people read of an advisory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Display {
    /// The long text, Markdown.
    pub details: Option<String>,
    /// Where to read more.
    pub references: Vec<Reference>,
}

impl<'a> Segment<'a> {
    /// Reads the header of a segment.
    ///
    /// # Errors
    /// [`Damaged`], also for another version of the format.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Damaged> {
        let mut header = Cursor(bytes);
        if header.array()? != *MAGIC {
            return Err(Damaged::Bytes("it does not begin as one"));
        }
        match header.u32()? {
            FORMAT => {}
            other if other > FORMAT => return Err(Damaged::Newer(other)),
            other => return Err(Damaged::Older(other)),
        }
        let body = bytes.get(HEADER..).ok_or(Damaged::Bytes("it is cut short"))?;
        let mut start = 0;
        let mut section = || {
            let end = usize::try_from(u64::from_le_bytes(header.array()?))
                .map_err(|_| Damaged::Bytes("a section is too long"))?;
            let section = body.get(start..end).ok_or(Damaged::Bytes("a section lies outside"))?;
            start = end;
            Ok(section)
        };
        let meta: Meta = serde_json::from_slice(section()?).map_err(|_| Damaged::Bytes("its description"))?;
        let segment = Self {
            meta,
            unreadable: section()?,
            strings: Strings::open(section()?)?,
            keys: Table::open(section()?)?,
            postings: section()?,
            ids: Table::open(section()?)?,
            rows: Rows::open(section()?, section()?)?,
            texts: Texts::open(section()?)?,
        };
        if start == body.len() { Ok(segment) } else { Err(Damaged::Bytes("there are bytes behind its end")) }
    }

    /// What it says of itself.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Its id as a digest.
    ///
    /// # Errors
    /// [`Damaged`] where it is none.
    pub fn id(&self) -> Result<Digest, Damaged> {
        self.meta.id.parse().map_err(|_| Damaged::Bytes("its id"))
    }

    /// The advisories with an entry for exactly this ecosystem string and name, in the order of their
    /// ids. The name must be normalised as [`super::names::normalise`] does.
    ///
    /// # Errors
    /// [`Damaged`]: nothing is then known of the package.
    pub fn affecting(&self, ecosystem: &str, name: &str) -> Result<Vec<Posting>, Damaged> {
        let Some(entries) = self.entries(ecosystem, name)? else { return Ok(Vec::new()) };
        let mut budget = MAX_ANSWER;
        let mut postings = Vec::with_capacity(entries.len());
        for entry in entries {
            let entry = entry?;
            let affected = entry.affected_within(&mut budget)?;
            postings.push(Posting { head: entry.head()?, affected });
        }
        Ok(postings)
    }

    /// The entries of [`Self::affecting`], found and not decoded yet; none where there is no such key.
    ///
    /// # Errors
    /// [`Damaged`]: nothing is then known of the package.
    pub fn entries<'q>(&self, ecosystem: &'q str, name: &'q str) -> Result<Option<Entries<'a, 'q>>, Damaged> {
        let parts = [ecosystem.as_bytes(), b"\0", name.as_bytes()];
        self.keys.find(Hash::of(&parts), |place| {
            let mut item = Cursor::at(self.postings, place)?;
            let key = item.block()?;
            let rest = key.strip_prefix(ecosystem.as_bytes()).and_then(|rest| rest.strip_prefix(b"\0"));
            if rest != Some(name.as_bytes()) {
                return Ok(None);
            }
            let left = item.count()?;
            Ok(Some(Entries { strings: self.strings, rows: self.rows, key: (ecosystem, name), left, item }))
        })
    }

    /// The advisory of an id, withdrawn ones left out.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn head(&self, id: &str) -> Result<Option<Head>, Damaged> {
        match self.row(id)? {
            Some(row) => row.head(),
            None => Ok(None),
        }
    }

    /// What only people read of the advisory of an id; none where there is no such advisory, it was
    /// withdrawn, or it has nothing of the kind. Unpacks up to 16 MiB.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn display(&self, id: &str) -> Result<Option<Display>, Damaged> {
        let Some(place) = self.row(id)?.and_then(|row| row.text) else { return Ok(None) };
        codec::display(Cursor(&self.texts.read(place)?)).map(Some)
    }

    /// Every record, sorted by id: also withdrawn ones and those without an entry.
    pub fn records(&self) -> impl Iterator<Item = Result<Listed<'a>, Damaged>> + use<'a> {
        self.rows.iter().map(|row| {
            let row = row?;
            Ok(Listed {
                id: row.id,
                digest: Digest::from_sha256(&row.digest),
                modified: row.modified()?,
                withdrawn: row.withdrawn,
            })
        })
    }

    /// Every pair of ecosystem string and name that [`Self::affecting`] answers, sorted.
    pub fn keys(&self) -> impl Iterator<Item = Result<(&'a str, &'a str), Damaged>> + use<'a> {
        let mut left = Cursor(self.postings);
        std::iter::from_fn(move || {
            if left.is_empty() {
                return None;
            }
            let key = next_key(&mut left);
            if key.is_err() {
                left = Cursor(&[]);
            }
            Some(key)
        })
    }

    /// Every file that could not be read, sorted: its name and the cause. Where several files hold
    /// different records of one id, that stands under the name that the record should have.
    pub fn unreadable(&self) -> impl Iterator<Item = Result<(&'a str, &'a str), Damaged>> + use<'a> {
        let mut left = Cursor(self.unreadable);
        std::iter::from_fn(move || {
            if left.is_empty() {
                return None;
            }
            let pair = left.text().and_then(|name| Ok((name, left.text()?)));
            if pair.is_err() {
                left = Cursor(&[]);
            }
            Some(pair)
        })
    }

    fn row(&self, id: &str) -> Result<Option<Row<'a>>, Damaged> {
        self.ids.find(Hash::of(&[id.as_bytes()]), |place| {
            let row = self.rows.get(place)?;
            Ok((row.id == id).then_some(row))
        })
    }
}

/// Entries of a key, in the order of their advisories' ids.
#[derive(Debug, Clone)]
pub struct Entries<'a, 'q> {
    strings: Strings<'a>,
    rows: Rows<'a>,
    key: (&'q str, &'q str),
    left: usize,
    item: Cursor<'a>,
}

/// One entry, not decoded yet.
#[derive(Debug, Clone)]
pub struct Entry<'a, 'q> {
    key: (&'q str, &'q str),
    record: Row<'a>,
    reading: codec::Reading<'a>,
}

impl<'a, 'q> Iterator for Entries<'a, 'q> {
    type Item = Result<Entry<'a, 'q>, Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = self.item.block().and_then(|entry| {
            let (row, reading) = codec::Reading::open(Cursor(entry), self.strings)?;
            Ok(Entry { key: self.key, record: self.rows.get(row)?, reading })
        });
        if entry.is_err() {
            self.left = 0;
        }
        Some(entry)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Entries<'_, '_> {}

impl<'a> Entry<'a, '_> {
    /// The advisory's id.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.record.id
    }

    /// The advisory.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn head(&self) -> Result<Head, Damaged> {
        self.record.head()?.ok_or(Damaged::Bytes("an entry of what was withdrawn"))
    }

    /// What it says of the package.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn affected(&self) -> Result<Affected, Damaged> {
        let mut budget = MAX_ANSWER;
        self.affected_within(&mut budget)
    }

    fn affected_within(&self, budget: &mut usize) -> Result<Affected, Damaged> {
        self.reading.clone().affected(self.key, budget)
    }
}

/// The next key of the postings; passes its entries.
fn next_key<'a>(left: &mut Cursor<'a>) -> Result<(&'a str, &'a str), Damaged> {
    let key = left.text()?.split_once('\0').ok_or(Damaged::Bytes("a key"))?;
    for _ in 0..left.count()? {
        left.block()?;
    }
    Ok(key)
}

/// Key of the postings: a NUL stands in neither part of a sound record, and two keys never look alike.
fn key(ecosystem: &str, name: &str) -> String {
    [ecosystem, "\0", name].concat()
}

#[cfg(test)]
mod tests;
