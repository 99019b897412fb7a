//! Tables of an `SQLite` database (sqlite.org, "Database File Format"): a B-tree of pages a table, found
//! through the schema in page 1. All numbers are big-endian.
//!
//! Files in WAL mode are read as they are: what is not yet in them is in another file, and a gap.

use std::borrow::Cow;

use super::Unreadable;
use super::numbers::{array, size, u16_be, u32_be};

/// Bytes of the file's header, which page 1 begins with.
const FILE_HEADER: usize = 100;

/// Page types.
const INTERIOR_TABLE: u8 = 5;
const LEAF_TABLE: u8 = 13;

/// The most columns of a row that is read. Attack: a row of a million columns without bytes.
const COLUMNS: usize = 16;

/// A table that is wanted.
pub(super) struct Table {
    /// Its name, as messages write it.
    pub(super) name: &'static str,
    /// Whether it is created by this statement, given in lower case and without quotes and white space.
    /// Attack: a view, or other columns, so that others read something else from it.
    pub(super) created: fn(&str) -> bool,
}

/// A database in memory.
pub(super) struct Database<'a> {
    bytes: &'a [u8],
    page_size: usize,
    /// Bytes of a page without those that extensions keep.
    usable: usize,
    /// Pages that were visited. Attack: a tree or a chain that is a circle.
    seen: Vec<bool>,
    /// Why not all of it is there.
    pub(super) cut: Option<String>,
}

/// A column: its type (a serial type of the file format) and its bytes.
pub(super) type Column<'c> = (u64, &'c [u8]);

/// What is answered for each row of a table: its key and payload, or why it cannot be read.
pub(super) type EachRow<'a, 'e> = dyn FnMut(Result<(u64, Cow<'a, [u8]>), String>) + 'e;

/// A column as a number that is not negative, such as that of a page.
pub(super) fn integer((kind, bytes): Column<'_>) -> Option<u32> {
    match kind {
        8 => Some(0),
        9 => Some(1),
        1..=4 => {
            bytes.iter().try_fold(0_u32, |number, byte| Some(number.checked_mul(256)? + u32::from(*byte)))
        }
        _ => None,
    }
}

/// The columns of a record; none where it is not sound, or has more than [`COLUMNS`].
pub(super) fn columns(payload: &[u8]) -> Option<Vec<Column<'_>>> {
    let (length, at) = varint(payload, 0)?;
    let (mut kinds, mut rest) = payload.split_at_checked(usize::try_from(length).ok()?)?;
    kinds = kinds.get(at..)?;
    let mut columns = Vec::new();
    while !kinds.is_empty() {
        let (kind, length) = varint(kinds, 0)?;
        kinds = kinds.get(length..)?;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind,
            5 => 6,
            6 | 7 => 8,
            10 | 11 => return None,
            12.. => (kind - 12) / 2,
        };
        let (column, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        rest = after;
        columns.push((kind, column));
        if columns.len() > COLUMNS {
            return None;
        }
    }
    Some(columns)
}

/// A number of one to nine bytes and where the next begins.
fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let mut number = 0_u64;
    for index in 0..9 {
        let byte = *bytes.get(at.checked_add(index)?)?;
        if index == 8 {
            return Some((number << 8 | u64::from(byte), at + 9));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            return Some((number, at + index + 1));
        }
    }
    None
}

/// A column as text; what is no UTF-8 in it is replaced.
pub(super) fn text((kind, bytes): Column<'_>) -> Option<Cow<'_, str>> {
    (kind >= 13 && kind % 2 == 1).then(|| String::from_utf8_lossy(bytes))
}

/// The root page of a table, if this row of the schema is about it. Any object of that name is.
fn root(payload: &[u8], table: &Table) -> Option<Result<u32, String>> {
    let columns = columns(payload);
    let text = |index: usize| text(*columns.as_ref()?.get(index)?);
    let name = table.name;
    let (Some(kind), Some(found)) = (text(0), text(1)) else {
        return Some(Err("an SQLite database whose schema cannot be read".into()));
    };
    if !found.eq_ignore_ascii_case(name) {
        return None;
    }
    let plain = |c: &char| !c.is_ascii_whitespace() && !matches!(c, '\'' | '"' | '`' | '[' | ']');
    let squeezed = |sql: &str| sql.chars().filter(plain).map(|c| c.to_ascii_lowercase()).collect::<String>();
    if kind != "table" || !text(4).is_some_and(|sql| (table.created)(&squeezed(&sql))) {
        return Some(Err(format!("an SQLite database whose `{name}` is not the table that it should be")));
    }
    let root = columns.as_ref().and_then(|columns| columns.get(3)).and_then(|column| integer(*column));
    Some(root.ok_or_else(|| format!("an SQLite database whose table `{name}` has no page")))
}

impl<'a> Database<'a> {
    /// Opens a database and finds the root pages of the tables that are wanted.
    ///
    /// # Errors
    /// [`Unreadable`] where it is no such database, or one of the tables is not there or twice.
    pub(super) fn open<const N: usize>(
        bytes: &'a [u8],
        tables: [&Table; N],
    ) -> Result<(Self, [u32; N]), Unreadable> {
        let error = |cause: &str| Err(Unreadable(cause.to_owned()));
        if !bytes.starts_with(b"SQLite format 3\0") {
            return error("no SQLite database");
        }
        let page_size = match u16_be(bytes, 16) {
            Some(1) => 65536,
            Some(number) => usize::from(number),
            None => 0,
        };
        let usable = page_size.saturating_sub(usize::from(bytes.get(20).copied().unwrap_or_default()));
        if !page_size.is_power_of_two() || page_size < 512 || usable < 480 {
            return error("an SQLite database with an impossible page size");
        }
        if !matches!(bytes.get(19), Some(1 | 2)) || u32_be(bytes, 56) != Some(1) {
            return error("an SQLite database of an unknown version, or not in UTF-8");
        }
        let pages = bytes.len() / page_size;
        // The size is only stated where the last writer knew of it.
        let is_stated = u32_be(bytes, 24) == u32_be(bytes, 92);
        let said = u32_be(bytes, 28).filter(|_| is_stated).map(size).unwrap_or_default();
        let is_cut = said > pages || !bytes.len().is_multiple_of(page_size);
        let cut = is_cut.then(|| format!("it ends after {pages} pages and says it has {said}"));
        let mut database = Self { bytes, page_size, usable, seen: vec![false; pages], cut };
        let roots = database.roots(tables)?;
        Ok((database, roots))
    }

    fn roots<const N: usize>(&mut self, tables: [&Table; N]) -> Result<[u32; N], Unreadable> {
        let mut found: [Vec<Result<u32, String>>; N] = [const { Vec::new() }; N];
        let mut broken = None;
        self.rows(1, &mut |row| match row {
            Ok((_, payload)) => {
                for (found, table) in found.iter_mut().zip(tables) {
                    found.extend(root(&payload, table).filter(|_| found.len() < 2));
                }
            }
            Err(cause) => drop(broken.get_or_insert(cause)),
        });
        if let Some(cause) = broken {
            return Err(Unreadable(format!("an SQLite database whose schema cannot be read: {cause}")));
        }
        let mut roots = [0; N];
        for ((root, found), table) in roots.iter_mut().zip(found).zip(tables) {
            let name = table.name;
            *root = match found.as_slice() {
                [Ok(root)] => *root,
                [Err(cause)] => return Err(Unreadable(cause.clone())),
                [] => return Err(Unreadable(format!("an SQLite database without the table `{name}`"))),
                [..] => return Err(Unreadable(format!("an SQLite database with several tables `{name}`"))),
            };
        }
        Ok(roots)
    }

    /// A page by its number, which counts from 1, once.
    fn page(&mut self, number: u32) -> Result<&'a [u8], String> {
        let index = size(number).checked_sub(1);
        let start = index.and_then(|index| index.checked_mul(self.page_size));
        let page = start.and_then(|start| self.bytes.get(start..start.checked_add(self.page_size)?));
        let page = page.ok_or_else(|| format!("page {number} is not there"))?;
        match index.and_then(|index| self.seen.get_mut(index)) {
            Some(seen) if !*seen => *seen = true,
            Some(_) | None => return Err(format!("page {number} is in two places")),
        }
        page.get(..self.usable).ok_or_else(|| format!("page {number} is not there"))
    }

    /// Every row of a table: its key and payload, or why some cannot be read.
    pub(super) fn rows(&mut self, root: u32, each: &mut EachRow<'a, '_>) {
        let mut pages = vec![root];
        while let Some(number) = pages.pop() {
            let walked = self.page(number).and_then(|page| self.cells(number, page, &mut pages, each));
            if let Err(cause) = walked {
                each(Err(cause));
            }
        }
    }

    /// Reads a page of the tree. An error is of the rest of the page.
    fn cells(
        &mut self,
        number: u32,
        page: &'a [u8],
        pages: &mut Vec<u32>,
        each: &mut EachRow<'a, '_>,
    ) -> Result<(), String> {
        let start = if number == 1 { FILE_HEADER } else { 0 };
        let broken = |what: &str| format!("page {number}: {what}");
        let count = usize::from(u16_be(page, start + 3).ok_or_else(|| broken("too short"))?);
        let interior = match page.get(start) {
            Some(&INTERIOR_TABLE) => true,
            Some(&LEAF_TABLE) => false,
            Some(_) | None => return Err(broken("no page of a table")),
        };
        let pointers = start + if interior { 12 } else { 8 };
        let cell = |index: usize| {
            let at = u16_be(page, pointers + index * 2).map(usize::from);
            at.filter(|at| *at >= pointers + count * 2).ok_or_else(|| broken("a cell outside of the page"))
        };
        if interior {
            let right = u32_be(page, start + 8).ok_or_else(|| broken("too short"))?;
            // A pointer and a cell have 7 bytes together. Attack: pages of pointers to one cell.
            if count > page.len() / 7 {
                return Err(broken("cells that overlap"));
            }
            // From the stack they come in the order of their keys.
            pages.push(right);
            for index in (0..count).rev() {
                pages.push(u32_be(page, cell(index)?).ok_or_else(|| broken("a cell outside of the page"))?);
            }
            return Ok(());
        }
        let mut room = page.len();
        for index in 0..count {
            let at = cell(index)?;
            let (length, key_at) = varint(page, at).ok_or_else(|| broken("a cell that is cut off"))?;
            let (key, data_at) = varint(page, key_at).ok_or_else(|| broken("a cell that is cut off"))?;
            let length = usize::try_from(length).ok().filter(|length| *length <= self.bytes.len());
            let length = length.ok_or_else(|| broken("a row longer than the file"))?;
            let local = self.local(length);
            let data = data_at.checked_add(local).and_then(|end| page.get(data_at..end));
            let data = data.ok_or_else(|| broken("a cell that is cut off"))?;
            // Attack: thousands of pointers to one long cell.
            room = room.checked_sub(data_at - at + local).ok_or_else(|| broken("cells that overlap"))?;
            if local == length {
                each(Ok((key, data.into())));
                continue;
            }
            let next = u32_be(page, data_at + local);
            let next = next.ok_or_else(|| broken("a cell that is cut off"))?;
            let whole = self.overflow(data.to_vec(), length, next);
            each(whole.map(|whole| (key, whole.into())).map_err(|cause| format!("row {key}: {cause}")));
        }
        Ok(())
    }

    /// How much of a payload is in the page itself ("Cell Payload Overflow Pages").
    fn local(&self, length: usize) -> usize {
        let most = self.usable - 35;
        if length <= most {
            return length;
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let some = least + (length - least) % (self.usable - 4);
        if some <= most { some } else { least }
    }

    fn overflow(&mut self, mut data: Vec<u8>, length: usize, first: u32) -> Result<Vec<u8>, String> {
        let mut next = first;
        while data.len() < length {
            let page = self.page(next)?;
            next = array(page, 0).map(u32::from_be_bytes).unwrap_or_default();
            let rest = page.get(4..).unwrap_or_default();
            data.extend_from_slice(rest.get(..length - data.len()).unwrap_or(rest));
        }
        if next == 0 { Ok(data) } else { Err("it has more pages than it says".into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_lengths_are_read() {
        assert_eq!(varint(&[0x7f], 0), Some((127, 1)));
        assert_eq!(varint(&[0x81, 0x00], 0), Some((128, 2)));
        assert_eq!(varint(&[0xff; 9], 0), Some((u64::MAX, 9)));
        assert_eq!(varint(&[0xff; 8], 0), None);
    }
}
