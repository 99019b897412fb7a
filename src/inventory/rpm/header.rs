//! RPM's header blob (rpm's docs/manual/format_header.md; lib/header.c): two numbers, an index of 16 bytes an
//! entry, and data. All numbers are big-endian. In the database it has no magic before it.

use std::collections::BTreeMap;

use super::{array, size, u32_be};

/// Entries of a header: rpm's own limit is 65,535.
const MAX_ENTRIES: usize = 0xffff;

/// Elements of one tag: 1 million; the largest packages have 50,000 files. Attack: a tag of 200 million
/// empty strings.
const MAX_ELEMENTS: usize = 1_000_000;

/// Tags (rpm's include/rpm/rpmtag.h).
pub(super) mod tag {
    pub(in crate::inventory::rpm) const NAME: u32 = 1000;
    pub(in crate::inventory::rpm) const VERSION: u32 = 1001;
    pub(in crate::inventory::rpm) const RELEASE: u32 = 1002;
    pub(in crate::inventory::rpm) const EPOCH: u32 = 1003;
    pub(in crate::inventory::rpm) const VENDOR: u32 = 1011;
    pub(in crate::inventory::rpm) const LICENSE: u32 = 1014;
    pub(in crate::inventory::rpm) const ARCH: u32 = 1022;
    /// Whole paths, before RPM 4.
    pub(in crate::inventory::rpm) const OLDFILENAMES: u32 = 1027;
    pub(in crate::inventory::rpm) const FILEFLAGS: u32 = 1037;
    pub(in crate::inventory::rpm) const SOURCERPM: u32 = 1044;
    pub(in crate::inventory::rpm) const PROVIDENAME: u32 = 1047;
    pub(in crate::inventory::rpm) const REQUIREFLAGS: u32 = 1048;
    pub(in crate::inventory::rpm) const REQUIRENAME: u32 = 1049;
    pub(in crate::inventory::rpm) const DIRINDEXES: u32 = 1116;
    pub(in crate::inventory::rpm) const BASENAMES: u32 = 1117;
    pub(in crate::inventory::rpm) const DIRNAMES: u32 = 1118;
    pub(in crate::inventory::rpm) const MODULARITYLABEL: u32 = 5096;
}

const TAGS: &[u32] = &[
    tag::NAME,
    tag::VERSION,
    tag::RELEASE,
    tag::EPOCH,
    tag::VENDOR,
    tag::LICENSE,
    tag::ARCH,
    tag::OLDFILENAMES,
    tag::FILEFLAGS,
    tag::SOURCERPM,
    tag::PROVIDENAME,
    tag::REQUIREFLAGS,
    tag::REQUIRENAME,
    tag::DIRINDEXES,
    tag::BASENAMES,
    tag::DIRNAMES,
    tag::MODULARITYLABEL,
];

/// Tags of the region that was signed: image, signatures, immutable.
const REGIONS: std::ops::RangeInclusive<u32> = 61..=63;

const INT32: u32 = 4;
const STRING: u32 = 6;
const BIN: u32 = 7;
const STRING_ARRAY: u32 = 8;
const I18N_STRING: u32 = 9;

/// Bytes of an index entry.
const ENTRY: usize = 16;

#[derive(Clone, Copy)]
struct Entry {
    kind: u32,
    offset: usize,
    count: usize,
    /// Added after the package was built: it stands in place of the region's.
    added: bool,
}

/// A header whose index is sound. Values are read, and can be unreadable, one by one.
pub(super) struct Header<'a> {
    entries: BTreeMap<u32, Entry>,
    data: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads the index.
    pub(super) fn parse(blob: &'a [u8]) -> Result<Self, String> {
        let (count, length) = match (u32_be(blob, 0), u32_be(blob, 4)) {
            (Some(count), Some(length)) => (size(count), size(length)),
            (None, _) | (_, None) => return Err("a header of fewer than 8 bytes".into()),
        };
        if count == 0 || count > MAX_ENTRIES {
            return Err(format!("a header with {count} entries"));
        }
        let index_end = 8 + count * ENTRY;
        // rpm refuses a header that is longer or shorter than it says.
        if index_end.checked_add(length) != Some(blob.len()) {
            return Err(format!("a header of {} bytes that says otherwise", blob.len()));
        }
        let (index, data) =
            (blob.get(8..index_end).unwrap_or_default(), blob.get(index_end..).unwrap_or_default());
        let mut header = Self { entries: BTreeMap::new(), data };
        let in_region = header.region(index)?;
        for (number, entry) in index.chunks_exact(ENTRY).enumerate() {
            header.enter(entry, number >= in_region)?;
        }
        Ok(header)
    }

    /// How many entries belong to the region. Before RPM 4 there was none, and all are equal.
    fn region(&self, index: &[u8]) -> Result<usize, String> {
        let all = index.len() / ENTRY;
        let (Some(tag), Some(kind)) = (u32_be(index, 0), u32_be(index, 4)) else { return Ok(all) };
        if !REGIONS.contains(&tag) {
            return Ok(all);
        }
        // The data of a region is an entry like the others, whose offset is minus the length of the index.
        let trailer = u32_be(index, 8).map(size).and_then(|at| array::<ENTRY>(self.data, at));
        let back = trailer.as_ref().and_then(|trailer| array(trailer, 8)).map(i32::from_be_bytes);
        let length = back.and_then(i32::checked_neg).and_then(|length| usize::try_from(length).ok());
        match length {
            Some(length) if kind == BIN && length % ENTRY == 0 && (1..=all).contains(&(length / ENTRY)) => {
                Ok(length / ENTRY)
            }
            Some(_) | None => Err("a header whose region cannot be read".into()),
        }
    }

    fn enter(&mut self, entry: &[u8], added: bool) -> Result<(), String> {
        let number = |at| u32_be(entry, at).unwrap_or_default();
        let tag = number(0);
        if !TAGS.contains(&tag) {
            return Ok(());
        }
        let entry = Entry { kind: number(4), offset: size(number(8)), count: size(number(12)), added };
        // Attack: a second name or version, that rpm may read and this does not, or the other way round.
        if self.entries.insert(tag, entry).is_some_and(|before| before.added == added) {
            return Err(format!("a header with tag {tag} twice"));
        }
        Ok(())
    }

    pub(super) fn has(&self, tag: u32) -> bool {
        self.entries.contains_key(&tag)
    }

    /// The strings of a tag, none where the header has no such tag.
    pub(super) fn strings(&self, tag: u32) -> Result<Option<Vec<&'a [u8]>>, String> {
        let Some(entry) = self.entries.get(&tag) else { return Ok(None) };
        let fits = match entry.kind {
            STRING => entry.count == 1,
            STRING_ARRAY | I18N_STRING => (1..=MAX_ELEMENTS).contains(&entry.count),
            _ => false,
        };
        if !fits {
            return Err(format!("tag {tag} has {} values of type {}", entry.count, entry.kind));
        }
        let mut rest = self.data.get(entry.offset..).unwrap_or_default();
        let mut strings = Vec::new();
        for _ in 0..entry.count {
            let Some(end) = rest.iter().position(|byte| *byte == 0) else {
                return Err(format!("tag {tag} runs beyond the header's end"));
            };
            let (string, after) = rest.split_at(end);
            strings.push(string);
            rest = after.get(1..).unwrap_or_default();
        }
        Ok(Some(strings))
    }

    /// The only string of a tag, or the first in several languages.
    pub(super) fn string(&self, tag: u32) -> Result<Option<&'a [u8]>, String> {
        if self.entries.get(&tag).is_some_and(|entry| entry.kind == STRING_ARRAY && entry.count != 1) {
            return Err(format!("tag {tag} is a list"));
        }
        Ok(self.strings(tag)?.and_then(|strings| strings.first().copied()))
    }

    /// The numbers of a tag, none where the header has no such tag.
    pub(super) fn numbers(&self, tag: u32) -> Result<Option<Vec<u32>>, String> {
        let Some(entry) = self.entries.get(&tag) else { return Ok(None) };
        if entry.kind != INT32 || !(1..=MAX_ELEMENTS).contains(&entry.count) {
            return Err(format!("tag {tag} has {} values of type {}", entry.count, entry.kind));
        }
        let end = entry.offset.checked_add(entry.count * 4);
        let Some(bytes) = end.and_then(|end| self.data.get(entry.offset..end)) else {
            return Err(format!("tag {tag} runs beyond the header's end"));
        };
        Ok(Some(bytes.chunks_exact(4).filter_map(|chunk| u32_be(chunk, 0)).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::rpm::testing::{Value, header};

    fn name(blob: &[u8]) -> Result<Option<&[u8]>, String> {
        Header::parse(blob)?.string(tag::NAME)
    }

    #[test]
    fn headers_with_and_without_a_region_are_read() {
        let values = [(tag::NAME, Value::Text("bash")), (tag::EPOCH, Value::Numbers(&[7, 8]))];
        for region in [None, Some(2), Some(1)] {
            let blob = header(&values, region);
            assert_eq!(name(&blob), Ok(Some(&b"bash"[..])));
            assert_eq!(Header::parse(&blob).unwrap().numbers(tag::EPOCH), Ok(Some(vec![7, 8])));
        }
    }

    #[test]
    fn what_was_added_stands_in_place_of_the_regions() {
        let values = [(tag::NAME, Value::Text("old")), (tag::NAME, Value::Text("new"))];
        assert_eq!(name(&header(&values, Some(1))), Ok(Some(&b"new"[..])));
        assert!(name(&header(&values, Some(2))).is_err());
        assert!(name(&header(&values, None)).is_err());
    }

    #[test]
    fn a_header_that_lies_of_its_length_is_refused() {
        let blob = header(&[(tag::NAME, Value::Text("bash"))], Some(1));
        assert!(name(&blob[..blob.len() - 1]).is_err());
        assert!(name(&[&blob[..], b"x"].concat()).is_err());
        for (at, value) in [(0, 0), (0, 0xffff_ffff), (0, 3), (4, 0xffff_ffff), (4, 0)] {
            let mut broken = blob.clone();
            broken[at..at + 4].copy_from_slice(&u32::to_be_bytes(value));
            assert!(name(&broken).is_err(), "{value} at {at}");
        }
    }

    #[test]
    fn values_beyond_the_end_or_of_another_type_are_refused() {
        let blob = header(&[(tag::NAME, Value::Text("bash"))], None);
        for (at, value) in [(12, INT32), (16, 5), (16, 0xffff_ffff), (20, 0), (20, 2)] {
            let mut broken = blob.clone();
            broken[at..at + 4].copy_from_slice(&u32::to_be_bytes(value));
            assert!(name(&broken).is_err(), "{value} at {at}");
        }
        let blob = header(&[(tag::EPOCH, Value::Numbers(&[1]))], None);
        for (at, value) in [(12, STRING), (16, 1), (20, 2), (20, 0xffff_ffff)] {
            let mut broken = blob.clone();
            broken[at..at + 4].copy_from_slice(&u32::to_be_bytes(value));
            assert!(Header::parse(&broken).unwrap().numbers(tag::EPOCH).is_err(), "{value} at {at}");
        }
    }
}
