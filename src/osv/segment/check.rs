//! A segment read from end to end.

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
        for key in self.keys() {
            let (ecosystem, name) = key?;
            // No writer makes a key without an entry.
            if self.affecting(ecosystem, name)?.is_empty() {
                return Err(Damaged::Bytes("a package is not found by its name"));
            }
        }
        self.id().map(|_| ())
    }
}
