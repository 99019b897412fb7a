//! A hash table in a byte slice: from a key to a list of offsets.
//!
//! ```text
//! slots: u32 (a power of two), then that many u32: 0 is empty, else 1 + the offset of an item
//! items: u32 length of the key, the key, u32 number of values, the values (u32 each)
//! ```
//! Slots are chosen by the first bytes of the key's SHA-256, then one after another. Names of packages
//! are chosen by strangers: with a weaker hash they could all be made to fall into one place.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::build::TooLarge;
use super::{Damaged, take_block, take_u32};

/// A table, opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    slots: &'a [u8],
    items: &'a [u8],
    mask: u64,
}

impl<'a> Table<'a> {
    pub(super) fn open(mut section: &'a [u8]) -> Result<Self, Damaged> {
        let slots = take_u32(&mut section)?;
        if !slots.is_power_of_two() {
            return Err(Damaged("a table of odd size"));
        }
        let length = usize::try_from(u64::from(slots) * 4).map_err(|_| Damaged("a table is too long"))?;
        let (slots_bytes, items) = section.split_at_checked(length).ok_or(Damaged("a table is cut short"))?;
        Ok(Self { slots: slots_bytes, items, mask: u64::from(slots) - 1 })
    }

    /// The values of a key; none where the table has no such key.
    pub(super) fn get(&self, key: &[u8]) -> Result<Vec<u32>, Damaged> {
        let mut slot = hash(key) & self.mask;
        for _ in 0..=self.mask {
            let Some(mut item) = self.item(slot)? else { return Ok(Vec::new()) };
            if take_block(&mut item)? == key {
                let count = take_u32(&mut item)?;
                return (0..count).map(|_| take_u32(&mut item)).collect();
            }
            slot = (slot + 1) & self.mask;
        }
        // A writer leaves slots empty, and a search ends there. Without one the answer is not "no".
        Err(Damaged("a table without an empty slot"))
    }

    fn item(&self, slot: u64) -> Result<Option<&'a [u8]>, Damaged> {
        let start = usize::try_from(slot * 4).map_err(|_| Damaged("a table is too long"))?;
        let mut bytes = self.slots.get(start..).ok_or(Damaged("a table is cut short"))?;
        let Some(offset) = take_u32(&mut bytes)?.checked_sub(1) else { return Ok(None) };
        super::from(self.items, offset).map(Some)
    }
}

fn hash(key: &[u8]) -> u64 {
    let digest: [u8; 32] = Sha256::digest(key).into();
    digest.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

/// Writes a table.
pub(super) fn write(entries: &BTreeMap<Vec<u8>, Vec<u32>>) -> Result<Vec<u8>, TooLarge> {
    let slots = (entries.len() + entries.len() / 2 + 1).next_power_of_two();
    let mask = slots as u64 - 1;
    let mut places = vec![0u32; slots];
    let mut items = Vec::new();
    for (key, values) in entries {
        let mut slot = hash(key) & mask;
        let place = loop {
            let index = usize::try_from(slot).map_err(|_| TooLarge)?;
            match places.get_mut(index) {
                Some(place) if *place == 0 => break place,
                Some(_) => slot = (slot + 1) & mask,
                None => return Err(TooLarge),
            }
        };
        *place = u32::try_from(items.len() + 1).map_err(|_| TooLarge)?;
        items.extend(u32::try_from(key.len()).map_err(|_| TooLarge)?.to_le_bytes());
        items.extend(key);
        items.extend(u32::try_from(values.len()).map_err(|_| TooLarge)?.to_le_bytes());
        items.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
    let mut table = u32::try_from(slots).map_err(|_| TooLarge)?.to_le_bytes().to_vec();
    table.extend(places.iter().flat_map(|place| place.to_le_bytes()));
    table.extend(items);
    Ok(table)
}
