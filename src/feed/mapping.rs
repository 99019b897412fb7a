//! A file of the cache, mapped into memory: the only `unsafe` of the project.

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// The bytes of a segment.
#[derive(Debug)]
pub struct Mapped(Mmap);

impl Mapped {
    /// Maps a file of the cache.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        // SAFETY: the bytes of a mapping must not change while they are borrowed. Files of the cache are
        // written under another name and renamed when complete; nothing of ours ever opens one for
        // writing, and an update unlinks the old file, which leaves its mappings as they are. Somebody
        // else who writes into the user's own cache directory could as well replace this program.
        #[expect(unsafe_code, reason = "a memory map is a borrow that the compiler cannot check")]
        let map = unsafe { Mmap::map(file) }?;
        Ok(Self(map))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}
