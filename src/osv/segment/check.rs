//! A segment read from end to end.

use super::wire::Cursor;
use super::{Damaged, Segment};

impl Segment<'_> {
    /// Follows every entry, every record and every text, as look-ups would. What it answers with success can be
    /// looked up in whole.
    ///
    /// # Errors
    /// [`Damaged`].
    pub fn check(&self) -> Result<(), Damaged> {
        let mut records = 0u64;
        for record in self.records() {
            let record = record?;
            records += 1;
            // By its id it must be found, or a look-up misses it.
            if self.row(record.id)?.is_none_or(|row| row.id != record.id) {
                return Err(Damaged::Bytes("a record is not found by its id"));
            }
            self.head(record.id)?;
            self.display(record.id)?;
        }
        let mut unreadable = 0u64;
        for file in self.unreadable() {
            file?;
            unreadable += 1;
        }
        if (records, unreadable) != (self.meta.records, self.meta.unreadable) {
            return Err(Damaged::Bytes("its description counts otherwise"));
        }
        let mut left = Cursor(self.postings);
        while !left.is_empty() {
            let key = str::from_utf8(left.block()?).map_err(|_| Damaged::Bytes("a key is no UTF-8"))?;
            let (ecosystem, name) = key.split_once('\0').ok_or(Damaged::Bytes("a key has no name"))?;
            let entries = left.count()?;
            for _ in 0..entries {
                left.block()?;
            }
            if self.affecting(ecosystem, name)?.len() != entries {
                return Err(Damaged::Bytes("a package is not found by its name"));
            }
        }
        self.id().map(|_| ())
    }
}
