//! From layers to packages: one cataloger a file, one row a cataloger.

mod apk;
mod archive;
mod bitnami;
mod cargo;
mod catalog;
mod chisel;
mod classify;
mod composer;
mod conda;
mod content;
mod databases;
mod dpkg;
mod egg;
mod filesystem;
mod flatten;
mod gem;
mod golang;
mod java;
mod jdk;
pub(crate) mod license;
mod links;
mod luarocks;
mod nix;
mod npm;
mod npm_root;
mod nuget;
mod numbers;
mod observe;
mod opkg;
mod os_release;
mod otp;
mod pacman;
mod pear;
mod portage;
mod program;
mod purls;
mod pypi;
mod r;
pub(crate) mod rpm;
pub(crate) mod secrets;
mod sqlite;
mod tap;
pub(crate) mod toc;
mod uncataloged;
mod watch;
mod wordpress;
mod words;
mod yarn;

pub use catalog::{ARCHIVE, NOT_EMPTY, catalog_aliases, catalog_layer, catalog_layer_watched};
pub use flatten::Merged;
pub use flatten::stored::Stored;
pub use program::{Mark, Program};
pub use watch::{Unwatched, Watch};

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

    /// Whether a file that it wants under both paths says the same under both: what it reads must not depend on
    /// more of a path than that. Attack: a package that is none by its own path, and one by that of a link.
    fn reads_alike(&self, _: &ImagePath, _: &ImagePath) -> bool {
        true
    }

    /// How much of a file it takes.
    fn reads(&self) -> Reads {
        Reads::Whole
    }

    /// What [`Reads::Program`] looks for in a file of that name.
    fn marks(&self, _: &ImagePath) -> Vec<Mark> {
        Vec::new()
    }

    /// Reads a program, where it [`Reads::Program`].
    ///
    /// # Errors
    /// As [`Self::parse`].
    fn program(&self, _: &ImagePath, _: &Program<'_>) -> Result<Facts, Unreadable> {
        Err(Unreadable(format!("{} reads no programs", self.id())))
    }
}

/// How much of a file a cataloger takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// All of it, up to its limit: [`Cataloger::parse`] is given the bytes.
    Whole,
    /// Nothing: that the file exists is all it needs. [`Cataloger::parse`] is given no bytes.
    Nothing,
    /// Parts of it, wherever they lie, and where its [`Cataloger::marks`] stand: [`Cataloger::program`] is
    /// given a file that need not be held. There are no facts where it finds nothing.
    Program,
}

/// How many first bytes of a file [`Cataloger::wants`] is shown.
pub const HEAD_LEN: usize = 16;

/// Why a file could not be read at all: a lowercase fragment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// Every cataloger. The order is the order in which several that want one file are asked.
pub static CATALOGERS: &[&dyn Cataloger] = &[
    &os_release::OsRelease,
    &apk::Apk,
    &dpkg::Dpkg,
    &pypi::Pypi,
    &npm::Npm,
    &npm_root::NpmRoot,
    &rpm::Rpm,
    &java::Java,
    &egg::Egg,
    &yarn::Yarn,
    &gem::Gem,
    &composer::Composer,
    &nuget::Nuget,
    &conda::Conda,
    &jdk::Jdk,
    &pacman::Pacman,
    &portage::Portage,
    &opkg::Opkg,
    &chisel::Chisel,
    &nix::Nix,
    &r::R,
    &otp::Otp,
    &luarocks::Luarocks,
    &pear::Pear,
    &wordpress::Wordpress,
    &uncataloged::OTHERS,
    &bitnami::Bitnami,
    &golang::Golang,
    &cargo::Cargo,
    &classify::Classify,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn ids_are_unique_and_kebab_case() {
        let ids: BTreeSet<_> = CATALOGERS.iter().map(|cataloger| cataloger.id()).collect();
        assert_eq!(ids.len(), CATALOGERS.len());
        assert!(ids.iter().all(|id| id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
    }

    #[test]
    fn every_cataloger_that_reads_has_test_data() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/inventory");
        for cataloger in CATALOGERS.iter().filter(|cataloger| cataloger.reads() != Reads::Nothing) {
            assert!(folder.join(cataloger.id()).is_dir(), "testdata/inventory/{} is missing", cataloger.id());
        }
    }
}
