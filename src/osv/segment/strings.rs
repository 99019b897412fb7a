//! The string table: versions and names, each once, the most frequent first so that their numbers are
//! short.
//!
//! ```text
//! u32 number of strings, u32 end of each (counted from the first one's start), the strings
//! ```

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;

use super::Damaged;
use super::build::NotBuilt;
use super::wire::{Cursor, short, size};

/// A string table, opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strings<'a> {
    ends: &'a [u8],
    texts: &'a [u8],
}

impl<'a> Strings<'a> {
    pub(super) fn open(section: &'a [u8]) -> Result<Self, Damaged> {
        let mut cursor = Cursor(section);
        let length = size(cursor.u32()?).saturating_mul(4);
        Ok(Self { ends: cursor.bytes(length)?, texts: cursor.0 })
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len() / 4
    }

    pub(super) fn get(&self, number: u32) -> Result<&'a str, Damaged> {
        let end = |number: usize| {
            Cursor(self.ends.get(number.saturating_mul(4)..).unwrap_or_default()).u32().map(size)
        };
        let number = size(number);
        let start = if number == 0 { 0 } else { end(number - 1)? };
        let text = self.texts.get(start..end(number)?).ok_or(Damaged::Bytes("a string lies outside"))?;
        str::from_utf8(text).map_err(|_| Damaged::Bytes("a string is no UTF-8"))
    }
}

/// Strings one after another, in two pieces of memory: an entry may have thousands, and another thread reads them than
/// the one that takes and frees them.
#[derive(Debug, Default)]
pub(super) struct Joined {
    text: String,
    ends: Vec<usize>,
}

impl Joined {
    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(start, end)| self.text.get(*start..*end).unwrap_or_default())
    }
}

impl<T: AsRef<str>> Extend<T> for Joined {
    fn extend<I: IntoIterator<Item = T>>(&mut self, texts: I) {
        texts.into_iter().for_each(|text| self.push(text.as_ref()));
    }
}

/// Strings while a segment is built: each has a number of its own.
#[derive(Debug, Default)]
pub(super) struct Interner<'a> {
    numbers: HashMap<Cow<'a, str>, u32>,
    texts: Vec<Cow<'a, str>>,
}

impl<'a> Interner<'a> {
    /// Those of a table, under their numbers there.
    pub(super) fn of(strings: &Strings<'a>) -> Result<Self, Damaged> {
        let mut interner = Self::default();
        for number in 0..u32::try_from(strings.len()).unwrap_or(u32::MAX) {
            if interner.number(strings.get(number)?) != Ok(number) {
                return Err(Damaged::Bytes("a string stands twice"));
            }
        }
        Ok(interner)
    }

    /// The number of a string; a new one where it has none.
    pub(super) fn number(&mut self, text: &'a str) -> Result<u32, NotBuilt> {
        match self.numbers.get(text) {
            Some(number) => Ok(*number),
            None => self.add(Cow::Borrowed(text)),
        }
    }

    /// The same of a string that is copied where it is new.
    pub(super) fn number_of_copy(&mut self, text: &str) -> Result<u32, NotBuilt> {
        match self.numbers.get(text) {
            Some(number) => Ok(*number),
            None => self.add(Cow::Owned(text.to_owned())),
        }
    }

    fn add(&mut self, text: Cow<'a, str>) -> Result<u32, NotBuilt> {
        let number = short(self.texts.len())?;
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        Ok(number)
    }

    pub(super) fn len(&self) -> usize {
        self.texts.len()
    }

    /// All of them, by number.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(AsRef::as_ref)
    }

    /// Writes the table of the strings that are used. `uses` has a count for each number; the answer has
    /// the number in the table for each number here.
    pub(super) fn write(&self, uses: &[u32]) -> Result<(Vec<u8>, Vec<u32>), NotBuilt> {
        let mut order: Vec<(Reverse<u32>, &str, usize)> = uses
            .iter()
            .zip(&self.texts)
            .enumerate()
            .filter(|(_, (uses, _))| **uses > 0)
            .map(|(number, (uses, text))| (Reverse(*uses), text.as_ref(), number))
            .collect();
        order.sort_unstable();
        let mut numbers = vec![0; self.texts.len()];
        let (mut table, mut end) = (short(order.len())?.to_le_bytes().to_vec(), 0);
        for (place, (_, text, number)) in order.iter().enumerate() {
            end += text.len();
            table.extend(short(end)?.to_le_bytes());
            if let Some(slot) = numbers.get_mut(*number) {
                *slot = short(place)?;
            }
        }
        table.extend(order.iter().flat_map(|(_, text, _)| text.bytes()));
        Ok((table, numbers))
    }
}
