//! The table `Packages` of an `SQLite` database (sqlite.org, "Database File Format"; rpm's
//! lib/backend/sqlite.c): a B-tree of pages, found through the schema in page 1. All numbers are big-endian.
//!
//! Files in WAL mode are read as they are: what is not yet in them is in another file, and a gap.

use std::borrow::Cow;

use super::{Each, Record, Unreadable, array, size, u16_be, u32_be};

/// Bytes of the file's header, which page 1 begins with.
const FILE_HEADER: usize = 100;

/// Page types.
const INTERIOR_TABLE: u8 = 5;
const LEAF_TABLE: u8 = 13;

/// What rpm creates the table with, in lower case and without quotes and white space. Attack: a view, or
/// other columns, so that rpm reads something else from it.
const TABLE: &str = "createtablepackages(hnumintegerprimarykeyautoincrement,blobblobnotnull)";

struct Db<'a> {
    bytes: &'a [u8],
    page_size: usize,
    /// Bytes of a page without those that extensions keep.
    usable: usize,
    /// Pages that were visited. Attack: a tree or a chain that is a circle.
    seen: Vec<bool>,
}

/// A column: its type (a serial type of the file format) and its bytes.
type Column<'c> = (u64, &'c [u8]);

/// What is answered for each row of a table: its key and payload, or why it cannot be read.
type EachRow<'a, 'e> = dyn FnMut(Result<(u64, Cow<'a, [u8]>), String>) + 'e;

pub(super) fn read(bytes: &[u8], each: &mut Each<'_>) -> Result<(), Unreadable> {
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
    let said =
        u32_be(bytes, 28).filter(|_| u32_be(bytes, 24) == u32_be(bytes, 92)).map(size).unwrap_or_default();
    if said > pages || !bytes.len().is_multiple_of(page_size) {
        each(Err(format!("it ends after {pages} pages and says it has {said}")));
    }
    let mut db = Db { bytes, page_size, usable, seen: vec![false; pages] };
    let mut roots = Vec::new();
    let mut causes = Vec::new();
    db.rows(1, &mut |row| match row.map(|(_, payload)| root(&payload)) {
        Ok(Some(found)) => roots.push(found),
        Ok(None) => {}
        Err(cause) => causes.push(cause),
    });
    if let Some(cause) = causes.first() {
        return Err(Unreadable(format!("an SQLite database whose schema cannot be read: {cause}")));
    }
    let root = match roots.as_slice() {
        [Ok(root)] => *root,
        [Err(cause)] => return error(cause),
        [] => return error("an SQLite database without the table `Packages`"),
        [..] => return error("an SQLite database with several tables `Packages`"),
    };
    db.rows(root, &mut |row| {
        each(row.and_then(|(key, payload)| {
            let header = header(payload).ok_or_else(|| format!("package {key}: a row that is no package"))?;
            Ok(Record { at: format!("package {key}"), header: header.into() })
        }));
    });
    Ok(())
}

/// The root page of the table, if this row of the schema is about it. Any object of that name is.
fn root(payload: &[u8]) -> Option<Result<u32, &'static str>> {
    let columns = columns(payload);
    let text = |index: usize| {
        let (kind, bytes) = columns.as_ref()?.get(index)?;
        (*kind >= 13 && kind % 2 == 1).then(|| String::from_utf8_lossy(bytes))
    };
    let (Some(kind), Some(name)) = (text(0), text(1)) else {
        return Some(Err("an SQLite database whose schema cannot be read"));
    };
    if !name.eq_ignore_ascii_case("Packages") {
        return None;
    }
    let is_plain = |sql: &str| {
        let plain = |c: &char| !c.is_ascii_whitespace() && !matches!(c, '\'' | '"' | '`' | '[' | ']');
        sql.chars().filter(plain).map(|c| c.to_ascii_lowercase()).eq(TABLE.chars())
    };
    if kind != "table" || !text(4).is_some_and(|sql| is_plain(&sql)) {
        return Some(Err("an SQLite database whose `Packages` is not RPM's table"));
    }
    let root = columns.as_ref().and_then(|columns| columns.get(3)).and_then(|column| integer(*column));
    Some(root.ok_or("an SQLite database whose table `Packages` has no page"))
}

/// The blob of a row: the key is that of the tree, and its column is null.
fn header(payload: Cow<'_, [u8]>) -> Option<Vec<u8>> {
    match columns(&payload)?.as_slice() {
        [(0, _), (12.., blob)] => Some(blob.to_vec()),
        _ => None,
    }
}

/// A column as a page number.
fn integer((kind, bytes): Column<'_>) -> Option<u32> {
    match kind {
        9 => Some(1),
        1..=4 => {
            bytes.iter().try_fold(0_u32, |number, byte| Some(number.checked_mul(256)? + u32::from(*byte)))
        }
        _ => None,
    }
}

/// The columns of a record; none where it is not sound, or has more than a schema has.
fn columns(payload: &[u8]) -> Option<Vec<Column<'_>>> {
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
        if columns.len() > 5 {
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

impl<'a> Db<'a> {
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
    fn rows(&mut self, root: u32, each: &mut EachRow<'a, '_>) {
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
    use crate::inventory::rpm::testing::{bash, header, second, sqlite, sqlite_with};

    fn names(bytes: &[u8]) -> (usize, Vec<String>) {
        let (mut found, mut causes) = (0, Vec::new());
        let read = read(bytes, &mut |record| match record {
            Ok(_) => found += 1,
            Err(cause) => causes.push(cause),
        });
        causes.extend(read.err().map(|error| error.0));
        (found, causes)
    }

    fn headers() -> [Vec<u8>; 2] {
        [header(&bash(), Some(3)), header(&second(), None)]
    }

    /// Page 1 the schema, 2 the root of the table, 3 and 4 its leaves, from 5 on the first package's rest.
    fn sample() -> Vec<u8> {
        sqlite(&headers())
    }

    fn page(number: usize) -> usize {
        (number - 1) * 512
    }

    #[test]
    fn rows_in_leaves_and_with_overflow_pages_are_read() {
        assert_eq!(names(&sample()), (2, vec![]));
    }

    #[test]
    fn a_file_made_by_sqlite_itself_is_read() {
        let bytes = include_bytes!("../../../testdata/inventory/rpm/rpmdb.sqlite");
        assert_eq!(names(bytes), (40, vec![]));
    }

    #[test]
    fn a_database_of_another_kind_is_refused() {
        for (at, byte) in [(0, 0), (16, 0), (16, 3), (19, 3), (20, 40), (59, 2)] {
            let mut bytes = sample();
            bytes[at] = byte;
            let (found, causes) = names(&bytes);
            assert_eq!((found, causes.len()), (0, 1), "{at}");
        }
    }

    #[test]
    fn only_rpms_own_table_is_read() {
        let table = "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)";
        for (kind, name, sql) in [
            ("view", "Packages", "CREATE VIEW Packages AS SELECT hnum, blob FROM Other"),
            ("table", "Packages", "CREATE TABLE Packages (decoy, hnum, blob)"),
            ("view", "PACKAGES", table),
            ("table", "Others", table),
        ] {
            let (found, causes) = names(&sqlite_with(&headers(), kind, name, sql));
            assert_eq!((found, causes.len()), (0, 1), "{kind} {name}");
        }
        assert_eq!(names(&sqlite_with(&headers(), "table", "packages", table)), (2, vec![]));
    }

    #[test]
    fn circles_and_pages_that_are_not_there_are_told() {
        for (at, byte) in [
            (page(2) + 11, 2),  // the root is its own child
            (page(2) + 11, 3),  // one child twice
            (page(2) + 11, 99), // beyond the end
            (page(3), 10),      // a leaf of an index
            (page(5) + 3, 5),   // an overflow page is its own next
            (page(5) + 3, 99),
            (31, 99), // more pages than there are
        ] {
            let mut bytes = sample();
            bytes[at] = byte;
            assert!(!names(&bytes).1.is_empty(), "{at}");
        }
    }

    #[test]
    fn cells_that_share_their_bytes_are_told() {
        let mut bytes = sample();
        let leaf = page(4);
        bytes[leaf + 4] = 100;
        let pointer = [bytes[leaf + 8], bytes[leaf + 9]];
        for index in 0..100 {
            bytes[leaf + 8 + index * 2..][..2].copy_from_slice(&pointer);
        }
        let (found, causes) = names(&bytes);
        assert!(found < 100 && !causes.is_empty(), "{found} {causes:?}");
    }

    #[test]
    fn numbers_of_all_lengths_are_read() {
        assert_eq!(varint(&[0x7f], 0), Some((127, 1)));
        assert_eq!(varint(&[0x81, 0x00], 0), Some((128, 2)));
        assert_eq!(varint(&[0xff; 9], 0), Some((u64::MAX, 9)));
        assert_eq!(varint(&[0xff; 8], 0), None);
    }
}
