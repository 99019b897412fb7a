//! BerkeleyDB hash databases (`Packages`; Berkeley DB's `dbinc/db_page.h`): pages of one size, of which the
//! first describes the database. Its byte order is that of the machine that made it.
//!
//! All pages are walked, and not bucket by bucket: a page too many is a package too many. Pages that were freed
//! still hold what was deleted, and are of type `P_INVALID` (`__db_free`); on a page in use only what its index
//! names is there.

use super::{Each, Record, Unreadable, array, size};

/// `DB_HASHMAGIC`.
const MAGIC: u32 = 0x0006_1561;

/// Bytes before the entries of a page.
const PAGE_HEADER: usize = 26;

/// Page types.
const INVALID: u8 = 0;
const HASH_UNSORTED: u8 = 2;
const OVERFLOW: u8 = 7;
const HASH_META: u8 = 8;
const HASH: u8 = 13;

/// Item types.
const KEY_DATA: u8 = 1;
const OFF_PAGE: u8 = 3;

#[derive(Clone, Copy)]
struct Order {
    big: bool,
}

impl Order {
    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = array(bytes, at)?;
        Some(if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn u16(self, bytes: &[u8], at: usize) -> Option<usize> {
        let bytes = array(bytes, at)?;
        Some(usize::from(if self.big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }))
    }
}

struct Db<'a> {
    bytes: &'a [u8],
    page_size: usize,
    order: Order,
    /// Overflow pages that belong to an item already. Attack: many items with one chain, or a chain that
    /// is a circle.
    taken: Vec<bool>,
    found: u32,
}

pub(super) fn read(bytes: &[u8], each: &mut Each<'_>) -> Result<(), Unreadable> {
    let error = |cause: &str| Err(Unreadable(cause.to_owned()));
    let order = match array(bytes, 12) {
        Some(magic) if u32::from_le_bytes(magic) == MAGIC => Order { big: false },
        Some(magic) if u32::from_be_bytes(magic) == MAGIC => Order { big: true },
        Some(_) | None => return error("no BerkeleyDB hash database"),
    };
    let field = |at| order.u32(bytes, at).unwrap_or_default();
    let flag = |at: usize| bytes.get(at).copied().unwrap_or_default();
    let page_size = size(field(20));
    if !page_size.is_power_of_two() || !(512..=65536).contains(&page_size) || bytes.len() < page_size {
        return error("a BerkeleyDB database with an impossible page size");
    }
    if !(8..=10).contains(&field(16)) || flag(25) != HASH_META {
        return error("a BerkeleyDB database of an unknown version");
    }
    // Checksums move the entries; partitions are other files. RPM has none of these.
    if flag(24) != 0 || flag(26) != 0 || field(36) != 0 {
        return error("a BerkeleyDB database that is encrypted, partitioned or has checksums");
    }
    let pages = bytes.len() / page_size;
    if size(field(32)).checked_add(1).is_none_or(|said| said > pages)
        || !bytes.len().is_multiple_of(page_size)
    {
        each(Err(format!("it ends after {pages} pages and says it has {}", u64::from(field(32)) + 1)));
    }
    let mut db = Db { bytes, page_size, order, taken: vec![false; pages], found: 0 };
    for number in 1..pages {
        match db.page(number).and_then(|page| page.get(25)).copied() {
            Some(HASH | HASH_UNSORTED) => {
                if let Err(cause) = db.items(number, each) {
                    each(Err(format!("page {number}: {cause}")));
                }
            }
            Some(INVALID | OVERFLOW | HASH_META) => {}
            Some(kind) => each(Err(format!("page {number} is of unknown type {kind}"))),
            None => {}
        }
    }
    let said = field(88);
    if db.found < said {
        each(Err(format!("it says it has {said} entries, and {} were found", db.found)));
    }
    Ok(())
}

impl<'a> Db<'a> {
    fn page(&self, number: usize) -> Option<&'a [u8]> {
        let start = number.checked_mul(self.page_size)?;
        self.bytes.get(start..start.checked_add(self.page_size)?)
    }

    /// Reads the pairs of keys and data of a page. An error is of the rest of the page.
    fn items(&mut self, number: usize, each: &mut Each<'_>) -> Result<(), String> {
        let page = self.page(number).ok_or("it is not there")?;
        if self.order.u32(page, 8).map(size) != Some(number) {
            return Err("it says it is another page".into());
        }
        let count = self.order.u16(page, 20).unwrap_or_default();
        if !count.is_multiple_of(2) {
            return Err("a key without data".into());
        }
        // Items lie one before the other from the end of the page on. Attack: thousands of entries that
        // are one and the same long item.
        let mut end = page.len();
        let mut item = |index: usize| {
            let start = self
                .order
                .u16(page, PAGE_HEADER + index * 2)
                .filter(|start| *start >= PAGE_HEADER + count * 2);
            let item = start.and_then(|start| page.get(start..end)).filter(|item| !item.is_empty());
            end = start.unwrap_or_default();
            item.ok_or_else(|| format!("entry {index} is not within the page"))
        };
        let mut pairs = Vec::with_capacity(count / 2);
        let mut broken = None;
        for pair in 0..count / 2 {
            match item(pair * 2).and_then(|key| Ok((key, item(pair * 2 + 1)?))) {
                Ok(read) => pairs.push(read),
                Err(cause) => {
                    broken = Some(cause);
                    break;
                }
            }
        }
        for (key, data) in pairs {
            let key = match key.split_first() {
                Some((&KEY_DATA, key)) => self.order.u32(key, 0).filter(|_| key.len() == 4),
                Some(_) | None => None,
            };
            self.found = self.found.saturating_add(1);
            match key {
                // The counter of the database itself.
                Some(0) => {}
                Some(key) => each(self.record(key, data).map_err(|cause| format!("package {key}: {cause}"))),
                None => each(Err(format!("page {number}: a key that is no number"))),
            }
        }
        broken.map_or(Ok(()), Err)
    }

    fn record(&mut self, key: u32, data: &'a [u8]) -> Result<Record<'a>, String> {
        let header = match data.split_first() {
            Some((&KEY_DATA, data)) => data.into(),
            Some((&OFF_PAGE, _)) => {
                let page = self.order.u32(data, 4).ok_or("its entry is too short")?;
                let length = self.order.u32(data, 8).map(size).ok_or("its entry is too short")?;
                self.chain(page, length)?.into()
            }
            Some((kind, _)) => return Err(format!("an entry of type {kind}")),
            None => return Err("an entry without content".into()),
        };
        Ok(Record { at: format!("package {key}"), header })
    }

    fn chain(&mut self, first: u32, length: usize) -> Result<Vec<u8>, String> {
        let mut data = Vec::new();
        let mut number = first;
        while number != 0 {
            let index = size(number);
            let page = self.page(index).ok_or_else(|| format!("page {number} is not there"))?;
            if page.get(25) != Some(&OVERFLOW) {
                return Err(format!("page {number} is no overflow page"));
            }
            match self.taken.get_mut(index) {
                Some(taken) if !*taken => *taken = true,
                Some(_) | None => return Err(format!("page {number} has two owners")),
            }
            let used = self.order.u16(page, 22).unwrap_or_default();
            let bytes = page.get(PAGE_HEADER..).and_then(|page| page.get(..used));
            data.extend_from_slice(bytes.ok_or_else(|| format!("page {number} is too full"))?);
            number = self.order.u32(page, 16).unwrap_or_default();
        }
        if data.len() == length { Ok(data) } else { Err(format!("it has {} bytes of {length}", data.len())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::rpm::testing::{bash, bdb, header, second};

    fn names(bytes: &[u8]) -> (usize, Vec<String>) {
        let (mut found, mut causes) = (0, Vec::new());
        let read = read(bytes, &mut |record| match record {
            Ok(_) => found += 1,
            Err(cause) => causes.push(cause),
        });
        causes.extend(read.err().map(|error| error.0));
        (found, causes)
    }

    /// Page 1 holds entries, pages 2 and 3 the first package, page 4 is free.
    fn sample(big: bool) -> Vec<u8> {
        bdb(&[header(&bash(), Some(3)), header(&second(), None)], big)
    }

    #[test]
    fn what_was_deleted_is_not_there() {
        const PAGE: usize = 512;
        for big in [false, true] {
            let number = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
            let mut bytes = sample(big);
            let last = bytes.len() / PAGE - 1;
            // Freed pages keep all but their type: those of entries, and those of a long header.
            let mut freed = bytes[PAGE..last * PAGE].to_vec();
            for (index, page) in freed.chunks_exact_mut(PAGE).enumerate() {
                page[8..12].copy_from_slice(&number((last + 1 + index) as u32));
                page[25] = INVALID;
            }
            let pages = freed.len() / PAGE;
            bytes.extend(freed);
            bytes[32..36].copy_from_slice(&number((last + pages) as u32));
            assert_eq!(names(&bytes), (2, vec![]), "{big}");
            // In use again as a page of entries, it has them again.
            bytes[(last + 1) * PAGE + 25] = HASH;
            assert_eq!(names(&bytes).0, 3, "{big}");
            bytes[(last + 1) * PAGE + 25] = INVALID;
            // The last pair of a page was deleted: its bytes stay, the index and the counts do not name it.
            let count = PAGE + 20;
            let entries = if big { count + 1 } else { count };
            bytes[entries] -= 2;
            bytes[88..92].copy_from_slice(&number(2));
            assert_eq!(names(&bytes), (1, vec![]), "{big}");
        }
    }

    #[test]
    fn both_byte_orders_and_both_places_of_data_are_read() {
        for big in [false, true] {
            assert_eq!(names(&sample(big)), (2, vec![]), "{big}");
        }
    }

    #[test]
    fn a_database_of_another_kind_is_refused() {
        for (at, byte) in [(12, 0), (16, 99), (20, 1), (22, 9), (24, 1), (25, 9), (26, 1), (36, 1)] {
            let mut bytes = sample(false);
            bytes[at] = byte;
            let (found, causes) = names(&bytes);
            assert_eq!((found, causes.len()), (0, 1), "{at}");
        }
    }

    #[test]
    fn fewer_entries_or_pages_than_stated_are_told() {
        for at in [32, 88] {
            let mut bytes = sample(false);
            bytes[at] = 99;
            let (found, causes) = names(&bytes);
            assert_eq!((found, causes.len()), (2, 1), "{at}: {causes:?}");
        }
    }

    #[test]
    fn chains_that_are_broken_are_told() {
        let page = |number: usize| number * 512;
        for (at, byte) in [
            (page(2) + 25, 13),  // no overflow page
            (page(3) + 16, 2),   // a circle
            (page(3) + 16, 200), // beyond the end
            (page(3) + 16, 4),   // a free page
            (page(2) + 16, 0),   // too short
            (page(2) + 23, 2),   // too full
        ] {
            let mut bytes = sample(false);
            bytes[at] = byte;
            let (found, causes) = names(&bytes);
            assert!(found < 2 && !causes.is_empty(), "{at}: {causes:?}");
        }
    }

    #[test]
    fn items_that_overlap_or_have_other_types_are_told() {
        let page = 512;
        for (at, bytes) in [
            (page + 25, &[99][..]),
            (page + 8, &[9]),
            (page + 20, &[3]),
            (page + 26, &[0, 0]),
            (page + 28, &[255, 1]),
            (page + 511 - 4, &[4]),
        ] {
            let mut broken = sample(false);
            broken[at..at + bytes.len()].copy_from_slice(bytes);
            assert!(!names(&broken).1.is_empty(), "{at}");
        }
    }
}
