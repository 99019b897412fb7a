//! From layers to packages: one cataloger a file, one row a cataloger.

mod catalog;
mod content;
mod filesystem;
mod flatten;
mod links;
mod purls;

pub use catalog::{catalog_aliases, catalog_layer};
pub use flatten::Merged;

use crate::model::layer::Facts;
use crate::model::path::ImagePath;

/// Reads one packaging format. It never opens, walks or fails: the layer pass gives it the bytes of
/// the files it wants, and it answers facts; what it cannot read it names in [`Facts::unreadable`] or
/// answers [`Unreadable`].
pub trait Cataloger: Sync {
    /// Its id: file name, testdata folder, docs anchor and name in gaps, such as `apk`.
    fn id(&self) -> &'static str;

    /// Whether it reads this file. By path alone; `head` holds the first bytes of the file (at most
    /// [`HEAD_LEN`], fewer where the file is shorter) for formats known by their magic number.
    fn wants(&self, path: &ImagePath, head: &[u8]) -> bool;

    /// The most bytes of a file that it reads; a longer file is a gap.
    fn limit(&self) -> u64;

    /// Reads one file.
    ///
    /// # Errors
    /// [`Unreadable`] where nothing of the file could be read; it becomes a gap.
    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable>;

    /// Byte strings that it looks for anywhere in the file. Where there are any the file is searched as
    /// it streams by and not held in memory: [`Cataloger::found`] is asked instead of
    /// [`Cataloger::parse`], and [`Cataloger::limit`] does not count.
    fn markers(&self) -> &'static [&'static [u8]] {
        &[]
    }

    /// What a marker that was found means: the cause of a gap.
    fn found(&self, marker: &[u8]) -> String {
        format!("holds {}", crate::model::path::escape(marker))
    }
}

/// How many first bytes of a file [`Cataloger::wants`] is shown.
pub const HEAD_LEN: usize = 16;

/// Why a file could not be read at all: a lowercase fragment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// Every cataloger. The order is the order in which several that want one file are asked.
pub static CATALOGERS: &[&dyn Cataloger] = &[];
