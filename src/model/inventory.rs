//! The inventory of one platform's image: all packages, and the gaps.

use std::collections::BTreeSet;

use serde::Serialize;

use super::digest::Digest;
use super::fault::Gap;
use super::layer::{Distro, Scope};
use super::license::License;
use super::path::ImagePath;
use super::purl::Purl;

/// All packages of an image, with what could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    /// The distribution, where an os-release was found.
    pub distro: Option<Distro>,
    /// Packages, sorted by type, name, version and location.
    pub packages: Vec<Package>,
    /// Packages that a layer brought and a later one took away, at most [`MAX_REMOVED`], sorted as the others.
    pub removed: Vec<Removed>,
    /// What could not be read, sorted.
    pub gaps: Vec<Gap>,
    /// Oddities that hide no package, sorted.
    pub warnings: Vec<Gap>,
}

/// Packages named as removed: 10,000; of how many more there are, a warning tells.
pub const MAX_REMOVED: usize = 10_000;

/// A package that is not there any more. Its bytes still are: in the layer that brought it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// Its package URL.
    pub purl: Purl,
    /// Name as the metadata writes it.
    pub name: String,
    /// The version that was there.
    pub version: String,
    /// The purl type.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Where it was: the file that proved it.
    pub location: ImagePath,
    /// 0-based index of the layer that brought it.
    pub layer: usize,
    /// 0-based index of the layer that took it away.
    pub removed_by: usize,
    /// Versions of the same package that are there instead, at most ten: it was replaced.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replaced_by: Vec<String>,
}

/// One installed package: name, version and ecosystem as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its package URL: the key.
    pub purl: Purl,
    /// The purl type: `apk`, `deb`, `pypi`, `npm`, …
    pub kind: &'static str,
    /// Name as the metadata writes it; npm names with their scope. The purl's is normalised.
    pub name: String,
    /// Version as installed.
    pub version: String,
    /// Architecture, where the package states one.
    pub arch: Option<String>,
    /// Source package.
    pub source: Option<SourcePackage>,
    /// Licences as the metadata writes them.
    pub licenses: Vec<String>,
    /// What they say in the words of SPDX; empty where nobody has looked at them yet.
    pub license: License,
    /// The layer in which this version first appears and from which on it is present.
    pub layer: LayerRef,
    /// Where it is: the file that proves it first.
    pub locations: Vec<ImagePath>,
    /// The purl of the operating system package that owns its files.
    pub owned_by: Option<Purl>,
    /// The purl, or else the directory, of the distribution that carries it inside.
    pub vendored_in: Option<String>,
    /// Whether it is the image's own program.
    pub application: bool,
    /// What it is there for.
    pub scope: Scope,
    /// Whether its name or version is a guess and no package manager's statement.
    pub guessed: bool,
    /// Its CPE 2.3 name, where known.
    pub cpe: Option<String>,
    /// Who supplies it.
    pub supplier: Option<String>,
    /// The packages that it needs, as indexes into [`Inventory::packages`]; none where its metadata does
    /// not say.
    pub depends_on: Option<BTreeSet<usize>>,
    /// Why it cannot be said for sure which advisories apply to it, such as a source package that an SBOM
    /// document does not state. None for a package of an image that was read.
    pub doubt: Option<String>,
}

impl Package {
    /// A package of which only this is known.
    #[must_use]
    pub fn new(purl: Purl, kind: &'static str, name: &str, version: &str, layer: LayerRef) -> Self {
        Self {
            purl,
            kind,
            name: name.to_owned(),
            version: version.to_owned(),
            arch: None,
            source: None,
            licenses: Vec::new(),
            license: License::default(),
            layer,
            locations: Vec::new(),
            owned_by: None,
            vendored_in: None,
            application: false,
            scope: Scope::Runtime,
            guessed: false,
            cpe: None,
            supplier: None,
            depends_on: None,
            doubt: None,
        }
    }
}

/// The doubt of an RPM package whose version may have lost its epoch: `1:3.0-1` and `3.0-1` are far apart.
pub const EPOCH_UNSTATED: &str = "the SBOM document does not state whether its version has an epoch";

/// The source package that a binary package was built from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct SourcePackage {
    /// Name.
    pub name: String,
    /// Version: the binary's, unless the database states another.
    pub version: String,
}

/// A layer, as a package or a finding names it. Of an image that was read all is known but perhaps the build
/// step; an SBOM document may say less, and then the rest is none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerRef {
    /// 0-based index, base first.
    pub index: Option<usize>,
    /// Digest of the blob as stored.
    pub digest: Option<Digest>,
    /// Digest of the uncompressed tar.
    pub diff_id: Option<Digest>,
    /// The build step that made it, such as a Dockerfile line, where the history tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
}

impl LayerRef {
    /// Its number for a person; `?` where it is not known.
    #[must_use]
    pub fn number(&self) -> String {
        self.index.map_or_else(|| "?".to_owned(), |index| index.to_string())
    }
}
