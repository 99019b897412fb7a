//! NDB databases (`Packages.db`; rpm's lib/backend/ndb/rpmpkg.c): pages of slots, each of which names the
//! blob of one package. All numbers are little-endian, and blobs are counted in blocks of 16 bytes.

use super::{Each, Record, Unreadable, size, u32_le};

const PAGE: usize = 4096;
const BLOCK: usize = 16;
const SLOT: usize = 16;

/// The header takes the place of two slots.
const FIRST_SLOT: usize = 2;

/// Before and after the data of a blob.
const HEAD: usize = 16;
const TAIL: usize = 12;

pub(super) fn read(bytes: &[u8], each: &mut Each<'_>) -> Result<(), Unreadable> {
    if !bytes.starts_with(b"RpmP") || u32_le(bytes, 4) != Some(0) {
        return Err(Unreadable("no NDB database".into()));
    }
    let pages = u32_le(bytes, 12).map(size).unwrap_or_default();
    let slots = pages.checked_mul(PAGE).filter(|_| pages > 0).and_then(|end| bytes.get(..end));
    let Some(slots) = slots else {
        return Err(Unreadable("an NDB database that ends within its slots".into()));
    };
    // Attack: a million slots with one blob.
    let mut left = (bytes.len() - slots.len()) / BLOCK;
    for (number, slot) in slots.chunks_exact(SLOT).enumerate().skip(FIRST_SLOT) {
        let field = |at| u32_le(slot, at).unwrap_or_default();
        let (key, start, blocks) = (field(4), size(field(8)), size(field(12)));
        if !slot.starts_with(b"Slot") {
            each(Err(format!("slot {number} is none")));
            continue;
        }
        // A slot that is free.
        if start == 0 {
            continue;
        }
        if blocks > left {
            each(Err(format!("package {key}: more blobs than the file has room for")));
            continue;
        }
        left -= blocks;
        each(match blob(bytes, slots.len(), key, start, blocks) {
            Ok(header) => Ok(Record { at: format!("package {key}"), header: header.into() }),
            Err(cause) => Err(format!("package {key}: {cause}")),
        });
    }
    Ok(())
}

fn blob(bytes: &[u8], after: usize, key: u32, start: usize, blocks: usize) -> Result<&[u8], String> {
    let start = start.checked_mul(BLOCK).filter(|start| *start >= after);
    let end = blocks.checked_mul(BLOCK).and_then(|length| start?.checked_add(length));
    let whole = start.zip(end).and_then(|(start, end)| bytes.get(start..end));
    let whole = whole.ok_or("its blob is not within the file")?;
    if !whole.starts_with(b"BlbS") || u32_le(whole, 4) != Some(key) {
        return Err("its blob is another one".into());
    }
    let length = u32_le(whole, 12).map(size).unwrap_or(usize::MAX);
    let needed = length.checked_add(HEAD + TAIL).map(|needed| needed.div_ceil(BLOCK));
    if needed != Some(blocks) {
        return Err(format!("its blob of {blocks} blocks says it has {length} bytes"));
    }
    let (summed, tail) = whole.split_at_checked(whole.len() - TAIL).ok_or("its blob is too short")?;
    if u32_le(tail, 4).map(size) != Some(length) || tail.get(8..) != Some(b"BlbE") {
        return Err("its blob has no end".into());
    }
    if u32_le(tail, 0) != Some(adler32(summed)) {
        return Err("its blob has another checksum".into());
    }
    summed.get(HEAD..).and_then(|data| data.get(..length)).ok_or_else(|| "its blob is too short".into())
}

/// Adler-32 (RFC 1950).
pub(super) fn adler32(bytes: &[u8]) -> u32 {
    const BASE: u32 = 65521;
    let (mut a, mut b) = (1_u32, 0_u32);
    // As many bytes as cannot overflow the sums.
    for chunk in bytes.chunks(5552) {
        for byte in chunk {
            a += u32::from(*byte);
            b += a;
        }
        a %= BASE;
        b %= BASE;
    }
    b << 16 | a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::rpm::testing::{bash, header, ndb, second};

    fn names(bytes: &[u8]) -> (usize, Vec<String>) {
        let (mut found, mut causes) = (0, Vec::new());
        let read = read(bytes, &mut |record| match record {
            Ok(_) => found += 1,
            Err(cause) => causes.push(cause),
        });
        causes.extend(read.err().map(|error| error.0));
        (found, causes)
    }

    fn sample() -> Vec<u8> {
        ndb(&[header(&bash(), Some(3)), header(&second(), None)])
    }

    #[test]
    fn the_blobs_of_the_slots_are_read() {
        assert_eq!(names(&sample()), (2, vec![]));
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn each_broken_slot_or_blob_is_told_and_the_rest_is_read() {
        // The slot of the first package, its blob, and something in the middle of it.
        for at in [32, 36, 40, 44, 4096, 4100, 4108, 4096 + 100] {
            let mut bytes = sample();
            bytes[at] ^= 0x55;
            let (found, causes) = names(&bytes);
            assert_eq!((found, causes.len()), (1, 1), "{at}: {causes:?}");
        }
        let bytes = sample();
        let (found, causes) = names(&bytes[..bytes.len() - 16]);
        assert_eq!((found, causes.len()), (1, 1));
    }

    #[test]
    fn a_header_that_is_none_is_refused() {
        for (at, byte) in [(0, 0), (4, 1), (12, 0), (12, 99)] {
            let mut bytes = sample();
            bytes[at] = byte;
            assert_eq!(names(&bytes).0, 0, "{at}");
            assert_eq!(names(&bytes).1.len(), 1, "{at}");
        }
    }

    #[test]
    fn slots_cannot_share_a_blob_without_end() {
        let mut bytes = sample();
        let slot = bytes[32..48].to_vec();
        for at in (64..4096).step_by(16) {
            bytes[at..at + 16].copy_from_slice(&slot);
        }
        let (found, causes) = names(&bytes);
        assert!(found < 5 && !causes.is_empty());
    }
}
