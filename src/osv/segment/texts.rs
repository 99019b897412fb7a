//! Display texts: compressed in blocks, and read only for what is shown.
//!
//! ```text
//! u32 number of blocks; for each u32 length unpacked and u32 end (counted from the first one's start)
//! the blocks, each a zstd frame over the texts of records whose ids follow each other
//! ```
//! Where a block ends depends on the texts in it and on the last one's id alone, not on what goes before:
//! after a change the blocks soon end where they did, and a delta takes the rest over as it is.

use std::borrow::Cow;

use super::Damaged;
use super::build::NotBuilt;
use super::wire::{Cursor, short, size};

/// From this length on a block may end (32 KiB): shorter ones compress badly, and longer ones cost more to
/// read one text of.
const LEAST: usize = 32 << 10;

/// From there on a block ends behind an id whose checksum is a multiple of this.
const EVERY: u32 = 8;

/// No block is longer (256 KiB) unless by a single text. Attack: ids chosen so that no block ever ends.
const MOST: usize = 256 << 10;

/// Length of one text (16 MiB): that of the largest record.
pub(super) const MAX_TEXT: usize = 16 << 20;

/// zstd's level: the default. Higher ones make a compilation slower and save a tenth.
const LEVEL: i32 = 3;

/// Bytes that describe a block.
const ROW: usize = 8;

/// Where a text lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) block: u32,
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// The texts of a segment, opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Texts<'a> {
    rows: &'a [u8],
    frames: &'a [u8],
}

/// A block as it is stored.
#[derive(Debug, Clone, Copy)]
struct Block<'a> {
    unpacked: u32,
    frame: &'a [u8],
}

impl<'a> Texts<'a> {
    pub(super) fn open(section: &'a [u8]) -> Result<Self, Damaged> {
        let mut cursor = Cursor(section);
        let length = size(cursor.u32()?).saturating_mul(ROW);
        Ok(Self { rows: cursor.bytes(length)?, frames: cursor.0 })
    }

    fn block(&self, number: u32) -> Result<Block<'a>, Damaged> {
        let row = |number: usize| -> Result<(u32, usize), Damaged> {
            let mut cursor = Cursor(self.rows.get(number.saturating_mul(ROW)..).unwrap_or_default());
            Ok((cursor.u32()?, size(cursor.u32()?)))
        };
        let number = size(number);
        let start = if number == 0 { 0 } else { row(number - 1)?.1 };
        let (unpacked, end) = row(number)?;
        let frame = self.frames.get(start..end).ok_or(Damaged::Bytes("a block lies outside"))?;
        Ok(Block { unpacked, frame })
    }

    /// Unpacks a block.
    fn unpack(&self, number: u32) -> Result<Vec<u8>, Damaged> {
        let block = self.block(number)?;
        let length = size(block.unpacked);
        // Attack: a frame of kilobytes that unpacks to gigabytes. No more is reserved than a writer makes,
        // and no more is unpacked than was reserved.
        if length > MAX_TEXT.max(MOST) {
            return Err(Damaged::Bytes("a block is too long"));
        }
        let bytes = zstd::bulk::decompress(block.frame, length)
            .map_err(|_| Damaged::Bytes("a block cannot be unpacked"))?;
        if bytes.len() == length { Ok(bytes) } else { Err(Damaged::Bytes("a block is shorter than it says")) }
    }

    /// One text.
    pub(super) fn read(&self, place: Place) -> Result<Vec<u8>, Damaged> {
        cut(&self.unpack(place.block)?, place).map(<[u8]>::to_vec)
    }
}

fn cut(block: &[u8], place: Place) -> Result<&[u8], Damaged> {
    let start = size(place.offset);
    let end = start.saturating_add(size(place.length));
    block.get(start..end).ok_or(Damaged::Bytes("a text lies outside"))
}

/// A text while a segment is built.
#[derive(Debug)]
pub(super) enum Text {
    New(Vec<u8>),
    /// In the segment that the builder started from.
    Old(Place),
}

impl Text {
    fn len(&self) -> usize {
        match self {
            Self::New(bytes) => bytes.len(),
            Self::Old(place) => size(place.length),
        }
    }
}

/// Writes the section.
pub(super) struct Writer<'a> {
    old: Option<Texts<'a>>,
    /// The block of `old` that was unpacked last.
    unpacked: Option<(u32, Vec<u8>)>,
    open: Vec<&'a Text>,
    length: usize,
    rows: Vec<u8>,
    frames: Vec<u8>,
}

impl<'a> Writer<'a> {
    pub(super) fn new(old: Option<Texts<'a>>) -> Self {
        Self { old, unpacked: None, open: Vec::new(), length: 0, rows: Vec::new(), frames: Vec::new() }
    }

    /// Takes the next text, in the order of the ids.
    pub(super) fn add(&mut self, id: &str, text: &'a Text) -> Result<Place, NotBuilt> {
        if self.length + text.len() > MOST {
            self.close()?;
        }
        let block = short(self.rows.len() / ROW)?;
        let place = Place { block, offset: short(self.length)?, length: short(text.len())? };
        self.open.push(text);
        self.length += text.len();
        if self.length >= LEAST && crc32fast::hash(id.as_bytes()).is_multiple_of(EVERY) {
            self.close()?;
        }
        Ok(place)
    }

    /// The section.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, NotBuilt> {
        self.close()?;
        let mut section = short(self.rows.len() / ROW)?.to_le_bytes().to_vec();
        section.extend(self.rows);
        section.extend(self.frames);
        Ok(section)
    }

    fn close(&mut self) -> Result<(), NotBuilt> {
        if self.open.is_empty() {
            return Ok(());
        }
        let open = std::mem::take(&mut self.open);
        let length = short(std::mem::take(&mut self.length))?;
        let frame = match self.unchanged(&open, length)? {
            Some(block) => Cow::Borrowed(block.frame),
            None => {
                let mut bytes = Vec::with_capacity(size(length));
                for text in open {
                    self.append(text, &mut bytes)?;
                }
                Cow::Owned(zstd::bulk::compress(&bytes, LEVEL).map_err(|_| NotBuilt::TooLarge)?)
            }
        };
        self.frames.extend_from_slice(&frame);
        self.rows.extend(length.to_le_bytes());
        self.rows.extend(short(self.frames.len())?.to_le_bytes());
        Ok(())
    }

    /// The old block that has exactly these texts.
    fn unchanged(&self, texts: &[&Text], length: u32) -> Result<Option<Block<'a>>, NotBuilt> {
        let (Some(old), Some(Text::Old(first))) = (&self.old, texts.first()) else { return Ok(None) };
        let mut offset = 0;
        for text in texts {
            match text {
                Text::Old(place) if place.block == first.block && place.offset == offset => {
                    offset = offset.saturating_add(place.length);
                }
                Text::Old(_) | Text::New(_) => return Ok(None),
            }
        }
        let block = old.block(first.block)?;
        Ok((block.unpacked == length).then_some(block))
    }

    fn append(&mut self, text: &Text, to: &mut Vec<u8>) -> Result<(), NotBuilt> {
        let place = match text {
            Text::New(bytes) => {
                to.extend_from_slice(bytes);
                return Ok(());
            }
            Text::Old(place) => *place,
        };
        let old = self.old.ok_or(Damaged::Bytes("a text without a block"))?;
        if self.unpacked.as_ref().is_none_or(|(number, _)| *number != place.block) {
            self.unpacked = Some((place.block, old.unpack(place.block)?));
        }
        if let Some((_, block)) = &self.unpacked {
            to.extend_from_slice(cut(block, place)?);
        }
        Ok(())
    }
}
