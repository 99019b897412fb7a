//! Where a zip archive's directory is, what it lists, and what stands before an entry's data.

use super::{Entry, slice};
use crate::model::path::escape;

/// Entries of one archive: 200,000; the largest real jars have 60,000.
const MAX_ENTRIES: usize = 200_000;

/// The end record without its comment, and the longest comment.
const END: u64 = 22;
const COMMENT: u64 = 0xffff;

/// The extra fields that are read: sizes of zip64, and the name in Unicode.
const ZIP64: u16 = 0x0001;
const UNICODE_NAME: u16 = 0x7075;

/// A directory that was found.
#[derive(Debug)]
pub(super) struct Directory {
    /// Where it starts in the file.
    pub(super) start: u64,
    end: u64,
    /// How many entries it says to have.
    count: u64,
    /// Whether that number has 16 bits only.
    short: bool,
    /// Bytes before the archive, which its offsets do not count: a launch script.
    prefix: u64,
}

/// Finds the directory of an archive, and names what is odd about its place.
pub(super) fn find(bytes: &[u8]) -> Result<(Directory, Option<String>), String> {
    let length = bytes.len() as u64;
    if bytes.is_empty() {
        return Err("an empty file".into());
    }
    let lowest = length.saturating_sub(END + COMMENT);
    let ends: Vec<u64> = (lowest..length)
        .rev()
        .filter(|at| slice(bytes, *at, 4).is_some_and(|magic| magic == b"PK\x05\x06"))
        .filter(|at| end_of(bytes, *at).is_some_and(|end| end <= length))
        .collect();
    let reaching: Vec<u64> = ends.iter().copied().filter(|at| end_of(bytes, *at) == Some(length)).collect();
    let (at, fault) = match (reaching.as_slice(), ends.first()) {
        ([at], _) => (*at, None),
        // Attack: a second archive in the comment of the first.
        ([_, _, ..], _) => return Err("it has two end records".into()),
        ([], Some(at)) => {
            let after = length.saturating_sub(end_of(bytes, *at).unwrap_or(length));
            (*at, Some(format!("{after} bytes stand after its end")))
        }
        ([], None) => return Err(no_zip(bytes)),
    };
    Directory::at(bytes, at).map(|directory| (directory, fault))
}

/// Where the end record there ends, with its comment.
fn end_of(bytes: &[u8], at: u64) -> Option<u64> {
    at.checked_add(END)?.checked_add(u64::from(u16_at(bytes, at.checked_add(20)?)?))
}

/// What a file is that has no end record.
fn no_zip(bytes: &[u8]) -> String {
    match bytes {
        [b'P', b'K', 3, 4, ..] => "a zip archive that is cut short",
        [b'R', b'a', b'r', b'!', ..] => "a RAR archive, no zip archive",
        [b'P', b'A', b'R', b'2', 0, ..] => "a parity file, no zip archive",
        [0xca, 0xfe, 0xd0, 0x0d, ..] => "a jar packed by pack200, no zip archive",
        _ => "no zip archive",
    }
    .into()
}

impl Directory {
    /// Reads the end record, and zip64's where there is one. The directory ends where the end record
    /// starts, as Java has it; what its offsets say beyond that is the length of what was put before.
    fn at(bytes: &[u8], at: u64) -> Result<Self, String> {
        let short = || "its end record is cut short".to_owned();
        let word = |offset: u64| u16_at(bytes, at + offset).map(u64::from).ok_or_else(short);
        let long = |offset: u64| u32_at(bytes, at + offset).map(u64::from).ok_or_else(short);
        let (disk, first_disk, here, count) = (word(4)?, word(6)?, word(8)?, word(10)?);
        let (size, offset) = (long(12)?, long(16)?);
        let (mut end, mut found) = (at, (disk, first_disk, here, count, size, offset));
        let zip64 = zip64_end(bytes, at)?;
        if let Some((start, record)) = zip64 {
            let agree = [
                (count, record.3, 0xffff),
                (here, record.2, 0xffff),
                (size, record.4, 0xffff_ffff),
                (offset, record.5, 0xffff_ffff),
            ];
            // Attack: two directories, one for readers of zip64 and one for the others.
            if agree.iter().any(|(short, long, unset)| short != unset && short != long) {
                return Err("its two end records differ".into());
            }
            (end, found) = (start, record);
        }
        let (disk, first_disk, here, count, size, offset) = found;
        let one_disk = disk == first_disk && here == count && matches!(disk, 0 | 0xffff);
        if !one_disk {
            return Err("part of an archive in several files".into());
        }
        let start = end.checked_sub(size).ok_or("its directory is larger than the file")?;
        let prefix = start.checked_sub(offset).ok_or("its directory is not where it says")?;
        Ok(Self { start, end, count, short: zip64.is_none(), prefix })
    }

    /// Whether so many entries are what it says. Without zip64 the number is cut to 16 bits by old writers.
    pub(super) fn counts(&self, entries: usize) -> bool {
        let entries = entries as u64;
        entries == self.count || self.short && entries & 0xffff == self.count
    }

    /// What it lists.
    pub(super) fn entries<'a>(&self, bytes: &'a [u8]) -> Result<Vec<Entry<'a>>, String> {
        let mut entries = Vec::new();
        let mut at = self.start;
        while at < self.end {
            if entries.len() >= MAX_ENTRIES {
                return Err(format!("more than {MAX_ENTRIES} entries"));
            }
            let (entry, next) = self.entry(bytes, at).ok_or("its directory is damaged")??;
            if next > self.end {
                return Err("its directory is damaged".into());
            }
            entries.push(entry);
            at = next;
        }
        Ok(entries)
    }

    /// One entry, and where the next starts. None where the bytes end before it does.
    fn entry<'a>(&self, bytes: &'a [u8], at: u64) -> Option<Result<(Entry<'a>, u64), String>> {
        let word = |offset: u64| u16_at(bytes, at.checked_add(offset)?);
        let long = |offset: u64| u32_at(bytes, at.checked_add(offset)?).map(u64::from);
        if slice(bytes, at, 4)? != b"PK\x01\x02" {
            return None;
        }
        let (name, extra, comment) = (u64::from(word(28)?), u64::from(word(30)?), u64::from(word(32)?));
        let name_at = at.checked_add(46)?;
        let extra_at = name_at.checked_add(name)?;
        let next = extra_at.checked_add(extra)?.checked_add(comment)?;
        let (name, extra) = (slice(bytes, name_at, name)?, slice(bytes, extra_at, extra)?);
        let mut values = [long(24)?, long(20)?, long(42)?];
        if !widen(extra, &mut values) {
            let cause = format!("`{}` has no sizes", escape(name.get(..200).unwrap_or(name)));
            return Some(Err(cause));
        }
        // Attack: a second name, plain in both alphabets, that only some readers go by.
        let other = field(extra, UNICODE_NAME).and_then(|field| field.get(5..));
        if other.is_some_and(|other| other != name && other.is_ascii()) {
            return Some(Err(format!("`{}` has a second name", escape(name.get(..200).unwrap_or(name)))));
        }
        let [size, packed, offset] = values;
        let entry = Entry {
            name,
            flags: word(8)?,
            method: word(10)?,
            crc: u32_at(bytes, at.checked_add(16)?)?,
            packed,
            size,
            at: self.prefix.checked_add(offset)?,
            data: None,
        };
        Some(Ok((entry, next)))
    }
}

/// Disk, disk of the directory, entries here, entries, size and offset of the directory.
type Record = (u64, u64, u64, u64, u64, u64);

/// Zip64's end record and where it starts, if a locator of it stands before the end record.
fn zip64_end(bytes: &[u8], end: u64) -> Result<Option<(u64, Record)>, String> {
    let Some(locator) = end.checked_sub(20) else { return Ok(None) };
    if slice(bytes, locator, 4) != Some(b"PK\x06\x07") {
        return Ok(None);
    }
    let stated = u64_at(bytes, locator + 8);
    // It ends at its locator. The offset does not count what was put before the archive.
    let is_record = |at: &u64| {
        slice(bytes, *at, 4) == Some(b"PK\x06\x06")
            && at.checked_add(4).and_then(|at| u64_at(bytes, at)).and_then(|size| size.checked_add(12))
                == locator.checked_sub(*at)
    };
    let at = [locator.checked_sub(56), stated].into_iter().flatten().find(is_record);
    let at = at.ok_or("its zip64 end record is not where it says")?;
    let record = || {
        let long = |offset: u64| u32_at(bytes, at.checked_add(offset)?).map(u64::from);
        let wide = |offset: u64| u64_at(bytes, at.checked_add(offset)?);
        Some((long(16)?, long(20)?, wide(24)?, wide(32)?, wide(40)?, wide(48)?))
    };
    record().map(|record| Some((at, record))).ok_or_else(|| "its zip64 end record is cut short".into())
}

/// Reads the header before an entry's data: where the data starts, and what differs from the directory.
pub(super) fn header(
    bytes: &[u8],
    entry: &Entry<'_>,
    directory: u64,
) -> Result<(u64, Option<String>), String> {
    let found = local(bytes, entry.at).ok_or("its header is not where the directory says")?;
    if found.data.checked_add(entry.packed).is_none_or(|end| end > directory) {
        return Err("its data is cut short".into());
    }
    let [size, packed, crc] = found.values;
    let stated = [(size, entry.size), (packed, entry.packed), (crc, u64::from(entry.crc))];
    // Behind a descriptor's flag the header's numbers are not set yet, and no reader goes by them.
    let is_same = |(here, there): &(u64, u64)| here == there || entry.has_descriptor();
    let differs = if found.name != entry.name {
        Some("name")
    } else if found.method != entry.method {
        Some("method")
    } else if (found.flags ^ entry.flags) & 0x0009 != 0 {
        Some("kind")
    } else if !stated.iter().all(is_same) {
        Some("size or checksum")
    } else {
        None
    };
    let fault = differs.map(|what| format!("its header states another {what} than the directory"));
    Ok((found.data, fault))
}

struct Local<'a> {
    name: &'a [u8],
    flags: u16,
    method: u16,
    /// Size, packed size and checksum.
    values: [u64; 3],
    data: u64,
}

fn local(bytes: &[u8], at: u64) -> Option<Local<'_>> {
    let word = |offset: u64| u16_at(bytes, at.checked_add(offset)?);
    let long = |offset: u64| u32_at(bytes, at.checked_add(offset)?).map(u64::from);
    if slice(bytes, at, 4)? != b"PK\x03\x04" {
        return None;
    }
    let (name, extra) = (u64::from(word(26)?), u64::from(word(28)?));
    let name_at = at.checked_add(30)?;
    let extra_at = name_at.checked_add(name)?;
    let mut sizes = [long(22)?, long(18)?];
    widen(slice(bytes, extra_at, extra)?, &mut sizes);
    let [size, packed] = sizes;
    Some(Local {
        name: slice(bytes, name_at, name)?,
        flags: word(6)?,
        method: word(8)?,
        values: [size, packed, long(14)?],
        data: extra_at.checked_add(extra)?,
    })
}

/// Replaces numbers that do not fit 32 bits by those of the zip64 field, in their order. False where
/// there is none.
fn widen(extra: &[u8], values: &mut [u64]) -> bool {
    let mut wide = field(extra, ZIP64).unwrap_or_default();
    for value in values.iter_mut().filter(|value| **value == 0xffff_ffff) {
        let Some((first, rest)) = wide.split_first_chunk() else { return false };
        *value = u64::from_le_bytes(*first);
        wide = rest;
    }
    true
}

/// An extra field's content.
fn field(mut extra: &[u8], wanted: u16) -> Option<&[u8]> {
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let [a, b, c, d] = *head;
        let (content, next) = rest.split_at_checked(usize::from(u16::from_le_bytes([c, d])))?;
        if u16::from_le_bytes([a, b]) == wanted {
            return Some(content);
        }
        extra = next;
    }
    None
}

fn u16_at(bytes: &[u8], at: u64) -> Option<u16> {
    slice(bytes, at, 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: u64) -> Option<u32> {
    slice(bytes, at, 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: u64) -> Option<u64> {
    slice(bytes, at, 8)?.try_into().ok().map(u64::from_le_bytes)
}
