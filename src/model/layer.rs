//! What one layer holds: a pure function of the layer's bytes and of the catalogers.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::fault::Gap;
use super::observed::Observed;
use super::path::ImagePath;
use super::word;

/// Everything that later stages need of one layer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LayerInventory {
    /// What the archive says, in its order: a runtime replays it entry by entry, and what comes of it
    /// depends on the order. Attack: a package database and a link that takes its directory's place.
    pub entries: Vec<(ImagePath, Entry)>,
    /// Files that have a gap of their own: where the file is hidden, so is the gap.
    pub gapped: BTreeSet<ImagePath>,
    /// What each cataloger read from the files it claimed, by path and cataloger id. A file that could
    /// not be read whole has its facts and a gap, or only the gap.
    #[serde(deserialize_with = "word::by_pair")]
    pub facts: BTreeMap<(ImagePath, &'static str), Facts>,
    /// The same for files that are only wanted under the name of a link to them.
    pub aliased: BTreeMap<Alias, Facts>,
    /// Ranges of large programs that a cataloger lacks, by path and cataloger id: the layer is read again for
    /// them. Until then each has a gap.
    #[serde(deserialize_with = "word::by_pair")]
    pub again: BTreeMap<(ImagePath, &'static str), Vec<Range<u64>>>,
    /// What could not be read; `layer` is filled in by whoever knows the layer's index.
    #[serde(with = "gaps")]
    pub gaps: Vec<Gap>,
    /// Oddities that hide no package, such as a whiteout without a name.
    #[serde(with = "gaps")]
    pub warnings: Vec<Gap>,
    /// What the checks of layers judge.
    pub observed: Observed,
}

/// A file that a cataloger wants under another name than the one it has in its layer's archive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Alias {
    /// Its name in the layer's archive.
    pub origin: ImagePath,
    /// The name of the hard or symbolic link, or a name below a linked directory.
    pub seen_as: ImagePath,
    /// Id of the cataloger.
    #[serde(deserialize_with = "word::word")]
    pub cataloger: word::Word,
}

/// What a path is in a layer's archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A regular file.
    File {
        /// Length of its content.
        size: u64,
    },
    /// A directory.
    Directory,
    /// A symbolic link; the target as written.
    Symlink {
        /// Target, relative to the link's directory unless it starts with `/`.
        target: Box<[u8]>,
    },
    /// A second name of another entry of this layer or of a lower one.
    HardLink {
        /// Target, relative to the image's root.
        target: ImagePath,
    },
    /// A device, fifo or socket: listed, never opened.
    Special,
    /// A regular file whose name a later entry of the archive has again: what catalogers read from it
    /// was not kept. It may still be there, under the name of a hard link.
    Overwritten {
        /// Length of its content.
        size: u64,
    },
    /// Hides that path of lower layers.
    Whiteout,
    /// Hides what lower layers have in that directory.
    Opaque,
}

/// What a cataloger read from one file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// Packages that the file states to be installed.
    pub packages: Vec<FoundPackage>,
    /// Paths that a package owns, by the package's name as in [`FoundPackage::name`].
    pub owned: Vec<OwnedPaths>,
    /// Licences of a package of the same database, by its name: dpkg keeps them in files of their own.
    pub licenses: Vec<(String, Vec<String>)>,
    /// The distribution, from an os-release file.
    #[serde(with = "distro")]
    pub distro: Option<Distro>,
    /// Parts of the file that could not be read, such as a stanza without a version: causes.
    pub unreadable: Vec<String>,
    /// How many paths `owned` has in all.
    pub(crate) owned_paths: usize,
}

/// Packages that one file may state: 100,000. The largest databases of distributions have ten thousand.
/// Attack: a database of millions that deflates to kilobytes.
pub const MAX_PACKAGES: usize = 100_000;

/// Parts of one file that are named as unreadable: 1,000.
pub const MAX_UNREADABLE: usize = 1_000;

/// Paths that one file may give owners to: 1 million, half of what a layer may have.
pub const MAX_OWNED: usize = 1_000_000;

/// Bytes of what one package requires and provides: 1 MiB; a kernel with all its modules has a quarter.
/// Beyond it its relations are not known. Attack: a package.json of a million dependencies.
pub const MAX_RELATIONS: usize = 1 << 20;

impl Facts {
    /// Adds a package. One too many is unreadable.
    pub fn add(&mut self, mut package: FoundPackage) {
        if package.relation_bytes() > MAX_RELATIONS {
            package.forget_relations();
        }
        if self.packages.len() < MAX_PACKAGES {
            self.packages.push(package);
        } else {
            self.blame(format!("more than {MAX_PACKAGES} packages (limit `packages of a file`)"));
        }
    }

    /// Adds a part that could not be read. What is beyond the limit is one part.
    pub fn blame(&mut self, cause: String) {
        if self.unreadable.last() == Some(&cause) {
            return;
        }
        match self.unreadable.len() {
            MAX_UNREADABLE => self.unreadable.push(format!("more than {MAX_UNREADABLE} parts")),
            count if count < MAX_UNREADABLE => self.unreadable.push(cause),
            _ => {}
        }
    }

    /// Adds what a package owns. Beyond the limit nothing is added: who has no owner is judged by itself.
    pub fn own(&mut self, owned: OwnedPaths) {
        let count = self.owned_paths.saturating_add(owned.paths.len());
        if count <= MAX_OWNED {
            self.owned_paths = count;
            self.owned.push(owned);
        }
    }
}

/// Paths that an operating system package owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedPaths {
    /// Name of the package.
    pub package: String,
    /// Architecture, where the database is by name and architecture (dpkg multi-arch).
    pub arch: Option<String>,
    /// The paths.
    pub paths: Vec<ImagePath>,
}

/// A distribution, as os-release(5) names it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Distro {
    /// `ID`, lower case, such as `debian`.
    pub id: String,
    /// `VERSION_ID`, such as `12` or `3.20.3`; empty for rolling distributions.
    pub version_id: String,
    /// `PRETTY_NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pretty_name: Option<String>,
    /// `VERSION_CODENAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codename: Option<String>,
}

/// A package as one file states it, before the layers are joined.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FoundPackage {
    /// The purl type: `apk`, `deb`, `pypi`, `npm`, …
    #[serde(deserialize_with = "word::word")]
    pub kind: word::Word,
    /// Name as the ecosystem writes it (PyPI: as in the metadata; purls normalise).
    pub name: String,
    /// Version.
    pub version: String,
    /// Architecture.
    pub arch: Option<String>,
    /// Name of the source package (dpkg `Source`, apk `o:`), where it is stated or equals the name.
    pub source_name: Option<String>,
    /// Version of the source package, where it differs from the binary's.
    pub source_version: Option<String>,
    /// Licences, as the metadata writes them.
    pub licenses: Vec<String>,
    /// Where the package lives, if other than the file: the directory of a Python distribution or of
    /// a node package. Packages of one database share the database's path.
    pub location: Option<ImagePath>,
    /// Whether it is the image's own program: a root project that no package manager installed.
    pub application: bool,
    /// Directory of the distribution that carries this one inside (`pip` for `pip/_vendor/…`).
    pub vendored_in: Option<ImagePath>,
    /// What it is there for.
    pub scope: Scope,
    /// Whether its name or version is a guess, from a file's name or a pattern in a program, and not the
    /// statement of a package manager or of a build tool.
    pub guessed: bool,
    /// Further qualifiers of its purl, such as `rpmmod` or a gem's `platform`.
    #[serde(deserialize_with = "word::by_word")]
    pub qualifiers: BTreeMap<&'static str, String>,
    /// Its CPE 2.3 name, where the cataloger knows it.
    pub cpe: Option<String>,
    /// Who supplies it, as the metadata writes it: RPM's vendor, Debian's maintainer.
    pub supplier: Option<String>,
    /// What it needs. None where the file does not say; empty where it says nothing is needed.
    pub requires: Option<Vec<Requirement>>,
    /// What requirements call it, besides its name and `NAME@VERSION`: apk's and RPM's capabilities, the
    /// virtual packages of dpkg.
    pub provides: Vec<String>,
}

impl FoundPackage {
    /// Bytes that its relations take.
    pub(crate) fn relation_bytes(&self) -> usize {
        let names = self.requires.iter().flatten().flatten().chain(&self.provides);
        names.map(|name| name.len() + size_of::<String>()).sum()
    }

    /// Leaves out what it requires and provides: then it is not known.
    pub(crate) fn forget_relations(&mut self) {
        self.requires = None;
        self.provides = Vec::new();
    }
}

/// One thing that a package needs: any of these names, in the words of its ecosystem. A version is part
/// of it only as `NAME@VERSION`, where the file states which one exactly.
pub type Requirement = Vec<String>;

/// What a package is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Scope {
    /// It may run.
    #[default]
    Runtime,
    /// Something was built with it: it is named in the result and is not there itself.
    Build,
}

impl Scope {
    /// Its name in documents; none for the usual one.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Runtime => None,
            Self::Build => Some("build"),
        }
    }
}

/// Gaps of one layer in binary formats: neither the layer's index nor the platform is known yet, and documents
/// leave out what is not.
mod gaps {
    use super::{Deserialize, Gap, ImagePath, Serialize};

    type Written<'a> = Vec<(&'a ImagePath, &'a str, &'a str)>;

    pub(super) fn serialize<S: serde::Serializer>(gaps: &[Gap], serializer: S) -> Result<S::Ok, S::Error> {
        let written: Written<'_> =
            gaps.iter().map(|gap| (&gap.path, gap.cataloger.as_str(), gap.cause.as_str())).collect();
        written.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Gap>, D::Error> {
        let read = Vec::<(ImagePath, String, String)>::deserialize(deserializer)?;
        let gap = |(path, cataloger, cause)| Gap { path, layer: 0, cataloger, cause, platform: None };
        Ok(read.into_iter().map(gap).collect())
    }
}

/// A distribution in binary formats: documents leave out what is not known.
mod distro {
    use super::{Deserialize, Distro, Serialize};

    pub(super) fn serialize<S: serde::Serializer>(
        distro: &Option<Distro>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let written = distro
            .as_ref()
            .map(|Distro { id, version_id, pretty_name, codename }| (id, version_id, pretty_name, codename));
        written.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Distro>, D::Error> {
        let read = Option::<(String, String, Option<String>, Option<String>)>::deserialize(deserializer)?;
        Ok(read.map(|(id, version_id, pretty_name, codename)| Distro {
            id,
            version_id,
            pretty_name,
            codename,
        }))
    }
}
