//! A reader that shows somebody what is read of it.

use std::io::{self, Read};

/// Reads from another reader, and shows each piece.
pub(super) struct Tapped<'a> {
    inner: &'a mut dyn Read,
    tap: &'a mut dyn FnMut(&[u8]),
}

impl<'a> Tapped<'a> {
    pub(super) fn new(inner: &'a mut dyn Read, tap: &'a mut dyn FnMut(&[u8])) -> Self {
        Self { inner, tap }
    }

    /// Reads what is left.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(|_| ())
    }
}

impl Read for Tapped<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        (self.tap)(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
