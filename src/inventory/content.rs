//! A file's content as catalogers take it: held whole up to their limit, or searched as it streams by.

use std::collections::BTreeSet;
use std::io::{self, Read};

use crate::model::layer::Facts;
use crate::model::path::ImagePath;

use super::{Cataloger, Reads};

/// How many bytes are searched at a time.
const CHUNK: usize = 64 << 10;

/// What was kept of a file.
pub(super) struct Content {
    whole: Vec<u8>,
    markers: BTreeSet<&'static [u8]>,
}

/// Reads the rest of a file for the catalogers that want it; `head` was read already. At least the first
/// `keep` bytes are kept.
pub(super) fn read(
    content: &mut dyn Read,
    size: u64,
    head: &[u8],
    wanting: &[&'static dyn Cataloger],
    keep: usize,
) -> io::Result<Content> {
    let whole = wanting.iter().filter(|cataloger| cataloger.reads() == Reads::Whole);
    let hold = whole.map(|cataloger| cataloger.limit()).max().is_some_and(|limit| size <= limit);
    let markers: Vec<&'static [u8]> =
        wanting.iter().flat_map(|cataloger| markers(*cataloger)).copied().collect();
    let mut kept = Content { whole: Vec::new(), markers: BTreeSet::new() };
    if hold || keep > 0 {
        kept.whole.extend_from_slice(head);
    }
    let overlap = markers.iter().map(|marker| marker.len()).max().unwrap_or(1) - 1;
    let mut window = head.to_vec();
    let mut chunk = vec![0; CHUNK];
    while hold || kept.whole.len() < keep || kept.markers.len() < markers.len() {
        let read = content.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        let bytes = chunk.get(..read).unwrap_or_default();
        let wanted = if hold { bytes.len() } else { keep.saturating_sub(kept.whole.len()).min(bytes.len()) };
        kept.whole.extend_from_slice(bytes.get(..wanted).unwrap_or_default());
        if !markers.is_empty() {
            window.extend_from_slice(bytes);
            kept.markers.extend(markers.iter().filter(|marker| contains(&window, marker)));
            window.drain(..window.len().saturating_sub(overlap));
        }
    }
    Ok(kept)
}

impl Content {
    /// The first bytes of the file, as many as were asked for, or more.
    pub(super) fn first(&self) -> &[u8] {
        &self.whole
    }

    /// What a cataloger says of the file, or why it cannot.
    pub(super) fn give(
        &self,
        cataloger: &dyn Cataloger,
        path: &ImagePath,
        size: u64,
    ) -> Result<Facts, String> {
        if let Reads::Markers(markers) = cataloger.reads() {
            let found = markers.iter().find(|marker| self.markers.contains(*marker));
            return found.map_or(Ok(Facts::default()), |found| Err(cataloger.found(found)));
        }
        if size > cataloger.limit() {
            return Err(format!("{size} bytes, larger than the limit of {}", cataloger.limit()));
        }
        cataloger.parse(path, &self.whole).map_err(|unreadable| unreadable.to_string())
    }
}

fn markers(cataloger: &'static dyn Cataloger) -> &'static [&'static [u8]] {
    match cataloger.reads() {
        Reads::Markers(markers) => markers,
        Reads::Whole | Reads::Nothing => &[],
    }
}

/// Whether `needle` stands in `haystack`.
fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else { return true };
    let mut from = haystack;
    while let Some(at) = from.iter().position(|byte| byte == first) {
        let Some(after) = from.get(at + 1..) else { return false };
        if after.starts_with(rest) {
            return true;
        }
        from = after;
    }
    false
}
