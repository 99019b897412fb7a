//! The table `Packages` of an `SQLite` database (rpm's lib/backend/sqlite.c).

use std::borrow::Cow;

use super::{Each, Record, Unreadable};
use crate::inventory::sqlite::{Database, Table, columns};

/// What rpm creates the table with.
const PACKAGES: Table = Table {
    name: "Packages",
    created: |sql| sql == "createtablepackages(hnumintegerprimarykeyautoincrement,blobblobnotnull)",
};

pub(super) fn read(bytes: &[u8], each: &mut Each<'_>) -> Result<(), Unreadable> {
    let (mut database, [root]) = Database::open(bytes, [&PACKAGES])?;
    if let Some(cause) = database.cut.take() {
        each(Err(cause));
    }
    database.rows(root, &mut |row| {
        each(row.and_then(|(key, payload)| {
            let header = header(payload).ok_or_else(|| format!("package {key}: a row that is no package"))?;
            Ok(Record { at: format!("package {key}"), header: header.into() })
        }));
    });
    Ok(())
}

/// The blob of a row: the key is that of the tree, and its column is null.
fn header(payload: Cow<'_, [u8]>) -> Option<Vec<u8>> {
    match columns(&payload)?.as_slice() {
        [(0, _), (12.., blob)] => Some(blob.to_vec()),
        _ => None,
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
}
