//! Zip archives held in memory (PKWARE APPNOTE 6.3.10): jars, eggs, yarn's cache.
//!
//! Readers of zip archives disagree wherever the format says a thing twice: in the directory at the end
//! and in the header before the data. An archive can so show one content to a scanner and another to the
//! program that runs it. All that is read here goes by the directory, as Java, Python and yarn do, and
//! every disagreement is a fault. The crate `zip` keeps entries by name, which hides the second of two,
//! and does not compare the headers: hence an own reader, over a byte slice.

use std::borrow::Cow;
use std::collections::HashSet;

use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::model::path::escape;

mod directory;

#[cfg(test)]
pub(super) mod tests;

/// Bytes that are read out of one file's archives in all, nested ones too: 512 MiB. The largest real
/// images of one file have 300 MB. Attack: a bomb in layers, each of which keeps the limits of one.
const MAX_INFLATED: u64 = 512 << 20;

/// Archives in one file: 10,000; an application server has some hundreds. Attack: a million of 100 bytes.
const MAX_ARCHIVES: usize = 10_000;

/// The longest name of an entry that is read: 1 KiB. Attack: 64 KiB in every path that shows a nesting.
const MAX_NAME: usize = 1 << 10;

/// Faults of one archive that are named: 20. The archive is spoiled by the first.
const MAX_FAULTS: usize = 20;

/// What deflate can shrink at most, 1:1032 (zlib, "Maximum Compression Factor"), and a few bytes.
const MAX_RATIO: u64 = 1_040;

/// One archive's directory.
pub(super) struct Archive<'a> {
    bytes: &'a [u8],
    /// Its entries, in the order of the directory.
    pub(super) entries: Vec<Entry<'a>>,
    /// What readers could disagree on: causes. Its entries can be read all the same.
    pub(super) faults: Vec<String>,
}

/// One file in an archive, as the directory has it.
pub(super) struct Entry<'a> {
    /// Its name, as it is written.
    pub(super) name: &'a [u8],
    flags: u16,
    method: u16,
    crc: u32,
    /// Length of its data in the archive.
    packed: u64,
    /// Length of its content.
    size: u64,
    /// Where its header starts in the file.
    at: u64,
    /// Where its data starts, if its header could be read.
    data: Option<u64>,
}

/// What may still be read of one file of the image.
pub(super) struct Budget {
    bytes: u64,
    archives: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: MAX_INFLATED, archives: MAX_ARCHIVES }
    }
}

impl Budget {
    /// Takes bytes from the budget.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), String> {
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.unwrap_or(0);
        left.map(|_| ()).ok_or_else(|| format!("its archives hold more than {MAX_INFLATED} bytes in all"))
    }

    /// Counts one archive.
    pub(super) fn archive(&mut self) -> Result<(), String> {
        let left = self.archives.checked_sub(1);
        self.archives = left.unwrap_or(0);
        left.map(|_| ()).ok_or_else(|| format!("more than {MAX_ARCHIVES} archives in it"))
    }
}

impl Entry<'_> {
    /// Its name with `/` between the parts. Archives made on Windows have backslashes, which some readers
    /// take for the same.
    pub(super) fn path(&self) -> Cow<'_, [u8]> {
        if self.name.contains(&b'\\') {
            let folded = self.name.iter().map(|b| if *b == b'\\' { b'/' } else { *b });
            return Cow::Owned(folded.collect());
        }
        Cow::Borrowed(self.name)
    }

    fn shown(&self) -> String {
        escape(self.name.get(..200).unwrap_or(self.name))
    }

    fn has_descriptor(&self) -> bool {
        self.flags & 8 != 0
    }
}

impl<'a> Archive<'a> {
    /// Reads the directory and compares it with the headers of the entries.
    ///
    /// # Errors
    /// Why there is no directory, or none that two readers would read alike: a lowercase fragment.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, String> {
        let mut archive = Self { bytes, entries: Vec::new(), faults: Vec::new() };
        let (directory, fault) = directory::find(bytes)?;
        archive.faults.extend(fault);
        archive.entries = directory.entries(bytes)?;
        if !directory.counts(archive.entries.len()) {
            archive.fault("its directory has more or fewer entries than it says".into());
        }
        archive.compare(directory.start);
        Ok(archive)
    }

    fn fault(&mut self, cause: String) {
        if self.faults.len() < MAX_FAULTS && !self.faults.contains(&cause) {
            self.faults.push(cause);
        }
    }

    /// Compares every entry with its header, and looks for what the directory does not list.
    fn compare(&mut self, directory: u64) {
        let mut names = HashSet::new();
        let mut spans = Vec::new();
        let mut faults = Vec::new();
        for entry in &mut self.entries {
            // Attack: the second entry of a name is the one that the program loads.
            if !names.insert(entry.name) {
                faults.push(format!("two entries are named `{}`", entry.shown()));
            }
            if entry.name.contains(&0) {
                faults.push(format!("a name with a zero byte, which cuts it short: `{}`", entry.shown()));
            }
            match directory::header(self.bytes, entry, directory) {
                Ok((start, fault)) => {
                    entry.data = Some(start);
                    faults.extend(fault.map(|fault| format!("`{}`: {fault}", entry.shown())));
                    spans.push((entry.at, start.saturating_add(entry.packed), entry.has_descriptor()));
                }
                Err(fault) => faults.push(format!("`{}`: {fault}", entry.shown())),
            }
            if faults.len() > MAX_FAULTS {
                break;
            }
        }
        faults.into_iter().for_each(|fault| self.fault(fault));
        spans.sort_unstable();
        self.gaps(&spans, directory);
    }

    /// Attack: entries that share data, so that a small archive has a huge content; and an entry between
    /// two listed ones, which a reader of streams sees and a reader of directories does not.
    fn gaps(&mut self, spans: &[(u64, u64, bool)], directory: u64) {
        let mut before = (0, false);
        for (start, end, has_descriptor) in spans.iter().copied().chain([(directory, directory, false)]) {
            let (from, descriptor) = before;
            if start < from {
                self.fault("entries overlap".into());
            }
            let skips: &[u64] = if descriptor { &[0, 12, 16, 20, 24] } else { &[0] };
            let hidden = skips
                .iter()
                .map(|skip| from.saturating_add(*skip))
                .any(|at| at < start && slice(self.bytes, at, 4).is_some_and(|magic| magic == b"PK\x03\x04"));
            if hidden {
                self.fault("it holds an entry that its directory does not list".into());
            }
            before = (end.max(from), has_descriptor);
        }
    }

    /// The content of an entry of at most `limit` bytes.
    ///
    /// # Errors
    /// Why it could not be read: a lowercase fragment.
    pub(super) fn read(
        &self,
        entry: &Entry<'a>,
        limit: u64,
        budget: &mut Budget,
    ) -> Result<Cow<'a, [u8]>, String> {
        if entry.name.len() > MAX_NAME {
            return Err(format!("its name is longer than {MAX_NAME} bytes"));
        }
        // Bits 0, 6 and 13: encrypted, strongly so, and the headers masked.
        if entry.flags & 0x2041 != 0 {
            return Err("encrypted".into());
        }
        if entry.size > limit {
            return Err(format!("{} bytes, larger than the limit of {limit}", entry.size));
        }
        budget.take(entry.size)?;
        let start = entry.data.ok_or("its header could not be read")?;
        let data = slice(self.bytes, start, entry.packed).ok_or("its data is cut short")?;
        let content = match entry.method {
            0 if entry.packed == entry.size => Cow::Borrowed(data),
            0 => return Err("it has another size than it says".into()),
            8 => Cow::Owned(inflate(data, entry.size)?),
            method => return Err(format!("compressed by an unknown method ({method})")),
        };
        let mut crc = Crc::new();
        crc.update(&content);
        if crc.sum() != entry.crc {
            return Err("its checksum is wrong".into());
        }
        Ok(content)
    }
}

/// Inflates what must become `size` bytes and must use all of `data`.
fn inflate(data: &[u8], size: u64) -> Result<Vec<u8>, String> {
    // Attack: 128 MiB asked for by an entry of ten bytes, ten thousand times.
    if size / MAX_RATIO > data.len() as u64 {
        return Err("it has another size than it says".into());
    }
    let mut content = Vec::new();
    let room = usize::try_from(size).ok().and_then(|size| size.checked_add(1));
    room.and_then(|room| content.try_reserve_exact(room).ok()).ok_or("no memory for it")?;
    let mut inflater = Decompress::new(false);
    loop {
        let (read, written) = (inflater.total_in(), inflater.total_out());
        let rest = usize::try_from(read).ok().and_then(|read| data.get(read..)).unwrap_or_default();
        let status = inflater
            .decompress_vec(rest, &mut content, FlushDecompress::None)
            .map_err(|error| format!("it does not inflate: {error}"))?;
        if status == Status::StreamEnd {
            break;
        }
        if content.len() as u64 > size {
            return Err("it has another size than it says".into());
        }
        if (read, written) == (inflater.total_in(), inflater.total_out()) {
            return Err("it does not inflate: cut short".into());
        }
    }
    // Attack: a size that one reader believes and another does not.
    if content.len() as u64 != size || inflater.total_in() != data.len() as u64 {
        return Err("it has another size than it says".into());
    }
    Ok(content)
}

/// That many bytes from there on, where the file has them.
fn slice(bytes: &[u8], at: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(at).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    bytes.get(start..end)
}
