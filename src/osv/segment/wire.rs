//! The smallest parts of the format: numbers, blocks and texts, each checked against the bytes that are left.

use super::Damaged;
use super::build::NotBuilt;

/// Bytes that are read from the front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

/// A u32 as a length or index. Where `usize` is shorter, no slice is as long as the largest one.
pub(super) fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl<'a> Cursor<'a> {
    /// What lies at an offset of a section.
    pub(super) fn at(section: &'a [u8], offset: u32) -> Result<Self, Damaged> {
        section.get(size(offset)..).map(Self).ok_or(Damaged::Bytes("an offset lies outside"))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Damaged::Bytes("it is cut short"))?;
        self.0 = rest;
        Ok(*array)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Damaged> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// Four bytes, little-endian.
    pub(super) fn u32(&mut self) -> Result<u32, Damaged> {
        self.array().map(u32::from_le_bytes)
    }

    /// LEB128: seven bits a byte, the lowest first; at most five bytes.
    pub(super) fn varint(&mut self) -> Result<u32, Damaged> {
        let mut number = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            let bits = u32::from(byte & 0x7F);
            if shift == 28 && bits > 0x0F {
                return Err(Damaged::Bytes("a number is too long"));
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Damaged::Bytes("a number is too long"))
    }

    /// How many items follow. Attack: a count that reserves gigabytes; each item takes a byte at least.
    pub(super) fn count(&mut self) -> Result<usize, Damaged> {
        let count = size(self.varint()?);
        if count > self.0.len() { Err(Damaged::Bytes("a list is cut short")) } else { Ok(count) }
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Damaged> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Damaged::Bytes("a block lies outside"))?;
        self.0 = rest;
        Ok(bytes)
    }

    /// A block: its length, then its bytes.
    pub(super) fn block(&mut self) -> Result<&'a [u8], Damaged> {
        let length = size(self.varint()?);
        self.bytes(length)
    }

    /// A block of UTF-8.
    pub(super) fn text(&mut self) -> Result<&'a str, Damaged> {
        str::from_utf8(self.block()?).map_err(|_| Damaged::Bytes("a text is no UTF-8"))
    }
}

pub(super) fn put_varint(to: &mut Vec<u8>, mut number: u32) {
    while let Some(rest) = Some(number >> 7).filter(|rest| *rest > 0) {
        to.push((number & 0x7F) as u8 | 0x80);
        number = rest;
    }
    to.push(number as u8);
}

pub(super) fn put_count(to: &mut Vec<u8>, count: usize) -> Result<(), NotBuilt> {
    put_varint(to, short(count)?);
    Ok(())
}

pub(super) fn put_block(to: &mut Vec<u8>, block: &[u8]) -> Result<(), NotBuilt> {
    put_count(to, block.len())?;
    to.extend_from_slice(block);
    Ok(())
}

/// A length or offset as the format has it.
pub(super) fn short(length: usize) -> Result<u32, NotBuilt> {
    u32::try_from(length).map_err(|_| NotBuilt::TooLarge)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_reads_as_it_was_written(number: u32) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            let mut cursor = Cursor(&bytes);
            prop_assert_eq!(cursor.varint(), Ok(number));
            prop_assert!(cursor.is_empty());
        }
    }

    #[test]
    fn a_number_of_more_than_32_bits_and_a_count_beyond_the_bytes_are_damage() {
        assert!(Cursor(&[0xFF, 0xFF, 0xFF, 0xFF, 0x1F]).varint().is_err());
        assert!(Cursor(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]).varint().is_err());
        assert!(Cursor(&[3, 1, 1]).count().is_err());
        assert!(Cursor(&[2, 1, 1]).count().is_ok());
    }
}
