//! Programs as their catalogers read them: held whole where they are small, else in the pieces that are
//! asked for, so that an image of huge programs takes little memory.

pub(super) mod kept;
pub(super) mod structure;
#[cfg(test)]
pub(super) mod testing;

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;

use memchr::memmem::Finder;

use crate::model::layer::Facts;
use crate::model::path::ImagePath;

use super::{Cataloger, Unreadable};

/// A program of at most 32 MiB is held whole: two layers that are read at once stay below 100 MiB.
pub(super) const WHOLE: u64 = 32 << 20;

/// Places of one mark that are remembered: 1,000. Attack: a program full of marks.
const PLACES: usize = 1_000;

/// Bytes to look for in a program, and how many before and after their first byte are wanted with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The bytes. They must not overlap themselves.
    pub bytes: Cow<'static, [u8]>,
    /// Bytes before; at most 512.
    pub before: u64,
    /// Bytes after, those of the mark included.
    pub after: u64,
}

/// Where a mark stands: offsets in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    mark: Cow<'static, [u8]>,
    offsets: Vec<u64>,
    /// Whether there are more than [`PLACES`].
    more: bool,
}

impl Places {
    fn of(mark: &Mark) -> Self {
        Self { mark: mark.bytes.clone(), offsets: Vec::new(), more: false }
    }

    /// Whether the place is remembered.
    fn add(&mut self, offset: u64) -> bool {
        self.more |= self.offsets.len() >= PLACES;
        if !self.more {
            self.offsets.push(offset);
        }
        !self.more
    }
}

/// A program. What is not at hand of it is noted when it is asked for, and is there in a second reading.
#[derive(Debug)]
pub struct Program<'a> {
    size: u64,
    pieces: Vec<(u64, &'a [u8])>,
    places: Cow<'a, [Places]>,
    ended: bool,
    wanted: RefCell<Vec<Range<u64>>>,
}

impl<'a> Program<'a> {
    /// A program that is held whole.
    pub(super) fn whole(bytes: &'a [u8], marks: &[Mark]) -> Self {
        Self {
            size: bytes.len() as u64,
            pieces: vec![(0, bytes)],
            places: Cow::Owned(search(bytes, marks)),
            ended: true,
            wanted: RefCell::default(),
        }
    }

    /// A program of which there are pieces, each with its offset.
    fn pieces(size: u64, pieces: Vec<(u64, &'a [u8])>, places: &'a [Places], ended: bool) -> Self {
        Self { size, pieces, places: Cow::Borrowed(places), ended, wanted: RefCell::default() }
    }

    /// Its length.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether all of it went by: only then is a mark that was not seen not there.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// `len` bytes from `offset` on. None where the file ends before, and where they are not at hand: then
    /// they are noted, and what the cataloger answers does not count.
    pub(super) fn get(&self, offset: u64, len: u64) -> Option<&'a [u8]> {
        let end = offset.checked_add(len).filter(|end| *end <= self.size)?;
        let found = self.pieces.iter().find_map(|(start, bytes)| {
            let from = usize::try_from(offset.checked_sub(*start)?).ok()?;
            bytes.get(from..from.checked_add(usize::try_from(len).ok()?)?)
        });
        if found.is_none() {
            self.wanted.borrow_mut().push(offset..end);
        }
        found
    }

    /// Where a mark stands, and whether it stands in more places than that.
    pub(super) fn places(&self, mark: &[u8]) -> (&[u64], bool) {
        let places = self.places.iter().find(|places| *places.mark == *mark);
        places.map_or((&[], false), |places| (&places.offsets, places.more))
    }

    /// What was asked for and is not at hand.
    pub(super) fn wanted(self) -> Vec<Range<u64>> {
        self.wanted.into_inner()
    }
}

/// Every place of the marks.
pub(super) fn search(bytes: &[u8], marks: &[Mark]) -> Vec<Places> {
    let of = |mark: &Mark| {
        let mut places = Places::of(mark);
        let finder = Finder::new(mark.bytes.as_ref());
        let _ = finder.find_iter(bytes).take_while(|at| places.add(*at as u64)).count();
        places
    };
    marks.iter().map(of).collect()
}

/// Reads a program that is held whole.
pub(super) fn parse(cataloger: &dyn Cataloger, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
    cataloger.program(path, &Program::whole(bytes, &cataloger.marks(path)))
}

/// Whether these first bytes are those of an executable or library: ELF, PE, Mach-O, also universal.
pub(super) fn is_program(head: &[u8]) -> bool {
    match head {
        [0x7f, b'E', b'L', b'F', ..]
        | [b'M', b'Z', ..]
        | [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..]
        | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] => true,
        // A Java class begins so too; there its format's version follows, 45 or more.
        [0xca, 0xfe, 0xba, 0xbe | 0xbf, 0, 0, 0, count, ..] => *count <= structure::ARCHITECTURES,
        _ => false,
    }
}

/// A name or version that can be put down: not empty, no white space, no control characters, at most 256
/// bytes.
pub(super) fn word(what: &str, value: &str) -> Result<String, String> {
    if value.is_empty() {
        return Err(format!("{what} is empty"));
    }
    if value.len() > 256 {
        return Err(format!("{what} has {} bytes", value.len()));
    }
    if value.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("{what} is no word: `{}`", crate::model::path::escape(value.as_bytes())));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests;
