//! The records of a segment: a row each, sorted by id, and their heads.
//!
//! ```text
//! row:  SHA-256 of the record; i64 seconds and u32 nanoseconds of `modified` (u32::MAX: none);
//!       u32 offset of the head; u32 block + 1 (0: none), u32 offset and u32 length of the display text
//! head: the id, a byte (0 withdrawn, 1 not), and unless it was withdrawn the block that matching needs
//! ```

use jiff::Timestamp;

use super::Damaged;
use super::build::NotBuilt;
use super::codec;
use super::texts::Place;
use super::wire::{Cursor, short, size};
use crate::osv::record::Head;

/// Bytes of a row.
const ROW: usize = 32 + 8 + 4 + 4 + 3 * 4;

/// In place of nanoseconds, where there is no date.
const NO_DATE: u32 = u32::MAX;

/// The records, opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rows<'a> {
    rows: &'a [u8],
    heads: &'a [u8],
}

/// One record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) id: &'a str,
    pub(super) digest: [u8; 32],
    /// Seconds and nanoseconds.
    pub(super) date: (i64, u32),
    pub(super) withdrawn: bool,
    /// The head behind the id and the byte.
    pub(super) body: &'a [u8],
    pub(super) text: Option<Place>,
}

impl<'a> Rows<'a> {
    pub(super) fn open(rows: &'a [u8], heads: &'a [u8]) -> Result<Self, Damaged> {
        if rows.len().is_multiple_of(ROW) {
            Ok(Self { rows, heads })
        } else {
            Err(Damaged::Bytes("the list of records is cut short"))
        }
    }

    pub(super) fn get(&self, number: u32) -> Result<Row<'a>, Damaged> {
        let row = self.rows.get(size(number).saturating_mul(ROW)..);
        self.read(Cursor(row.ok_or(Damaged::Bytes("a record lies outside"))?))
    }

    pub(super) fn iter(self) -> impl Iterator<Item = Result<Row<'a>, Damaged>> {
        self.rows.chunks_exact(ROW).map(move |row| self.read(Cursor(row)))
    }

    fn read(&self, mut row: Cursor<'a>) -> Result<Row<'a>, Damaged> {
        let digest = row.array()?;
        let date = (i64::from_le_bytes(row.array()?), row.u32()?);
        let mut head = Cursor::at(self.heads, row.u32()?)?;
        let (block, offset, length) = (row.u32()?, row.u32()?, row.u32()?);
        let id = head.text()?;
        let (withdrawn, body) = match head.byte()? {
            0 => (true, &[][..]),
            1 => (false, head.block()?),
            _ => return Err(Damaged::Bytes("a record that is neither withdrawn nor not")),
        };
        let text = block.checked_sub(1).map(|block| Place { block, offset, length });
        Ok(Row { id, digest, date, withdrawn, body, text })
    }
}

impl<'a> Row<'a> {
    pub(super) fn new(id: &'a str, digest: [u8; 32], modified: Option<Timestamp>) -> Self {
        let date = modified.map_or((0, NO_DATE), |time| {
            // A date before 1970 has both below zero; the format has nanoseconds above it.
            let (seconds, nanoseconds) = (time.as_second(), time.subsec_nanosecond());
            match u32::try_from(nanoseconds) {
                Ok(nanoseconds) => (seconds, nanoseconds),
                Err(_) => (seconds - 1, (1_000_000_000 + nanoseconds).unsigned_abs()),
            }
        });
        Self { id, digest, date, withdrawn: true, body: &[], text: None }
    }

    /// The record's `modified`.
    pub(super) fn modified(&self) -> Result<Option<Timestamp>, Damaged> {
        let (seconds, nanoseconds) = self.date;
        if nanoseconds == NO_DATE {
            return Ok(None);
        }
        let date = i32::try_from(nanoseconds).ok().and_then(|nanos| Timestamp::new(seconds, nanos).ok());
        date.map(Some).ok_or(Damaged::Bytes("a date"))
    }

    /// The head; none where the record was withdrawn.
    pub(super) fn head(&self) -> Result<Option<Head>, Damaged> {
        if self.withdrawn { Ok(None) } else { codec::head(self.id, Cursor(self.body)).map(Some) }
    }
}

/// Writes both sections.
#[derive(Default)]
pub(super) struct Writer {
    pub(super) rows: Vec<u8>,
    pub(super) heads: Vec<u8>,
}

impl Writer {
    pub(super) fn add(&mut self, row: &Row<'_>) -> Result<(), NotBuilt> {
        let (seconds, nanoseconds) = row.date;
        let text = row.text.map_or(Ok((0, 0, 0)), |place| {
            let block = place.block.checked_add(1).ok_or(NotBuilt::TooLarge)?;
            Ok::<_, NotBuilt>((block, place.offset, place.length))
        })?;
        self.rows.extend(row.digest);
        self.rows.extend(seconds.to_le_bytes());
        for number in [nanoseconds, short(self.heads.len())?, text.0, text.1, text.2] {
            self.rows.extend(number.to_le_bytes());
        }
        super::wire::put_block(&mut self.heads, row.id.as_bytes())?;
        self.heads.push(u8::from(!row.withdrawn));
        if !row.withdrawn {
            super::wire::put_block(&mut self.heads, row.body)?;
        }
        Ok(())
    }
}
