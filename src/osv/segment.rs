//! A segment: the advisories of one ecosystem, compiled so that a look-up reads a few hundred bytes of a
//! mapped file. ARCHITECTURE.md describes the format; here is its reader, [`build`] writes it.
//!
//! Every read is checked against the bounds: a damaged segment gives [`Damaged`], never a wrong answer
//! and never a panic. That the bytes are those that were written is the store's business (`feed`).

pub mod build;
mod table;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::digest::Digest;

use super::record::{Affected, Head};
use table::Table;

/// First bytes of a segment.
const MAGIC: &[u8; 8] = b"PORTCSEG";

/// Version of the format. Another one is refused and compiled anew.
pub const FORMAT: u32 = 1;

/// Length of the header: magic, format version, and the ends of the five sections.
const HEADER: usize = 8 + 4 + SECTIONS * 8;

const SECTIONS: usize = 5;

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
    keys: Table<'a>,
    ids: Table<'a>,
    postings: &'a [u8],
    heads: &'a [u8],
}

/// A segment whose bytes are not what a writer makes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the advisory segment is damaged: {0}")]
pub struct Damaged(&'static str);

/// An advisory that says something of a package.
#[derive(Debug, Clone, PartialEq)]
pub struct Posting {
    /// The advisory.
    pub head: Head,
    /// What it says.
    pub affected: Affected,
}

impl<'a> Segment<'a> {
    /// Reads the header of a segment.
    ///
    /// # Errors
    /// [`Damaged`], also for another version of the format.
    pub fn open(bytes: &'a [u8]) -> Result<Self, Damaged> {
        let (header, body) = bytes.split_at_checked(HEADER).ok_or(Damaged("it is cut short"))?;
        let (magic, rest) = header.split_at_checked(MAGIC.len()).ok_or(Damaged("it is cut short"))?;
        let (format, mut ends) = rest.split_at_checked(4).ok_or(Damaged("it is cut short"))?;
        if magic != MAGIC || format != FORMAT.to_le_bytes() {
            return Err(Damaged("it is of another format"));
        }
        let mut start = 0;
        let mut section = || {
            let (end, more) = ends.split_first_chunk().ok_or(Damaged("it is cut short"))?;
            ends = more;
            let end =
                usize::try_from(u64::from_le_bytes(*end)).map_err(|_| Damaged("a section is too long"))?;
            let section = body.get(start..end).ok_or(Damaged("a section lies outside"))?;
            start = end;
            Ok(section)
        };
        let meta: Meta = serde_json::from_slice(section()?).map_err(|_| Damaged("its description"))?;
        let (keys, ids) = (Table::open(section()?)?, Table::open(section()?)?);
        Ok(Self { meta, keys, ids, postings: section()?, heads: section()? })
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
        self.meta.id.parse().map_err(|_| Damaged("its id"))
    }

    /// The advisories with an entry for exactly this ecosystem string and name, in the order of their
    /// ids. The name must be normalised as [`super::names::normalise`] does.
    ///
    /// # Errors
    /// [`Damaged`]: nothing is then known of the package.
    pub fn affecting(&self, ecosystem: &str, name: &str) -> Result<Vec<Posting>, Damaged> {
        let offsets = self.keys.get(&key(ecosystem, name))?;
        offsets.into_iter().map(|offset| self.posting(offset)).collect()
    }

    /// The advisory of an id, withdrawn ones left out.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn head(&self, id: &str) -> Result<Option<Head>, Damaged> {
        match self.ids.get(id.as_bytes())?.first() {
            Some(offset) => self.head_at(*offset).map(Some),
            None => Ok(None),
        }
    }

    fn posting(&self, offset: u32) -> Result<Posting, Damaged> {
        let mut bytes = from(self.postings, offset)?;
        let head = take_u32(&mut bytes)?;
        let unreadable = take_block(&mut bytes)?;
        let affected = take_block(&mut bytes)?;
        let mut affected: Affected = serde_json::from_slice(affected).map_err(|_| Damaged("an entry"))?;
        if !unreadable.is_empty() {
            affected.unreadable = Some(String::from_utf8_lossy(unreadable).into_owned());
        }
        Ok(Posting { head: self.head_at(head)?, affected })
    }

    fn head_at(&self, offset: u32) -> Result<Head, Damaged> {
        let mut bytes = from(self.heads, offset)?;
        serde_json::from_slice(take_block(&mut bytes)?).map_err(|_| Damaged("an advisory"))
    }
}

/// Key of the postings: a NUL stands in neither part of a sound record, and two keys never look alike.
fn key(ecosystem: &str, name: &str) -> Vec<u8> {
    [ecosystem.as_bytes(), b"\0", name.as_bytes()].concat()
}

fn from(section: &[u8], offset: u32) -> Result<&[u8], Damaged> {
    usize::try_from(offset)
        .ok()
        .and_then(|offset| section.get(offset..))
        .ok_or(Damaged("an offset lies outside"))
}

fn take_u32(bytes: &mut &[u8]) -> Result<u32, Damaged> {
    let (number, rest) = bytes.split_first_chunk().ok_or(Damaged("it is cut short"))?;
    *bytes = rest;
    Ok(u32::from_le_bytes(*number))
}

/// A block: its length, then its bytes.
fn take_block<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Damaged> {
    let length = usize::try_from(take_u32(bytes)?).map_err(|_| Damaged("a block is too long"))?;
    let (block, rest) = bytes.split_at_checked(length).ok_or(Damaged("a block lies outside"))?;
    *bytes = rest;
    Ok(block)
}

#[cfg(test)]
mod tests;
