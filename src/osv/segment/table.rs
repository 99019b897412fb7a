//! A hash table in a byte slice: from a key to the place where it stands.
//!
//! ```text
//! slots: u32 (a power of two), then that many pairs of u32: 0 is empty, else 1 + the place; a tag
//! ```
//! Slots are chosen by the first bytes of the key's SHA-256, then one after another; the tag is the next
//! four bytes of it, so that a search that passes another key need not read that one. Names of packages are
//! chosen by strangers: with a weaker hash they could all be made to fall into one place.

use sha2::{Digest as _, Sha256};

use super::Damaged;
use super::build::NotBuilt;
use super::wire::{Cursor, short, size};

/// Bytes of a slot.
const SLOT: usize = 8;

/// A table, opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    slots: &'a [u8],
    mask: u32,
}

/// Where a search starts, and the tag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hash {
    start: u32,
    tag: u32,
}

impl Hash {
    /// Of a key that is given in parts.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        let digest: [u8; 32] = hasher.finalize().into();
        let mut digest = Cursor(&digest);
        let mut next = || digest.u32().unwrap_or_default();
        Self { start: next(), tag: next() }
    }
}

impl<'a> Table<'a> {
    pub(super) fn open(section: &'a [u8]) -> Result<Self, Damaged> {
        let mut cursor = Cursor(section);
        let count = cursor.u32()?;
        if !count.is_power_of_two() {
            return Err(Damaged::Bytes("a table of odd size"));
        }
        if size(count).checked_mul(SLOT) != Some(cursor.0.len()) {
            return Err(Damaged::Bytes("a table is cut short"));
        }
        Ok(Self { slots: cursor.0, mask: count - 1 })
    }

    /// Looks a key up: `read` says what stands at a place, and nothing where that is another key's.
    pub(super) fn find<T>(
        &self,
        hash: Hash,
        mut read: impl FnMut(u32) -> Result<Option<T>, Damaged>,
    ) -> Result<Option<T>, Damaged> {
        for step in 0..=self.mask {
            let (place, tag) = self.slot(hash.start.wrapping_add(step) & self.mask)?;
            let Some(place) = place.checked_sub(1) else { return Ok(None) };
            if tag == hash.tag
                && let Some(found) = read(place)?
            {
                return Ok(Some(found));
            }
        }
        // A writer leaves slots empty, and a search ends there. Without one the answer is not "no".
        Err(Damaged::Bytes("a table without an empty slot"))
    }

    fn slot(&self, slot: u32) -> Result<(u32, u32), Damaged> {
        let start = size(slot).saturating_mul(SLOT);
        let mut cursor = Cursor(self.slots.get(start..).unwrap_or_default());
        Ok((cursor.u32()?, cursor.u32()?))
    }
}

/// Writes a table. No key may stand twice; the same keys in the same order give the same bytes.
pub(super) fn write(entries: &[(Hash, u32)]) -> Result<Vec<u8>, NotBuilt> {
    let count = short((entries.len() + entries.len() / 2 + 1).next_power_of_two())?;
    let mask = count - 1;
    let mut slots = vec![(0u32, 0u32); size(count)];
    for (hash, place) in entries {
        let mut step = 0u32;
        loop {
            let at = size(hash.start.wrapping_add(step) & mask);
            match slots.get_mut(at) {
                Some(slot) if slot.0 == 0 => {
                    *slot = (place.checked_add(1).ok_or(NotBuilt::TooLarge)?, hash.tag);
                    break;
                }
                Some(_) => step += 1,
                None => return Err(NotBuilt::TooLarge),
            }
        }
    }
    let mut table = Vec::with_capacity(4 + slots.len() * SLOT);
    table.extend(count.to_le_bytes());
    for (place, tag) in slots {
        table.extend(place.to_le_bytes());
        table.extend(tag.to_le_bytes());
    }
    Ok(table)
}
