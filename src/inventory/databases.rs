//! Package databases that must be there: an image whose database was deleted, emptied or replaced holds
//! packages that nobody sees, and is not clean because of that.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::fault::Gap;
use crate::model::layer::{Distro, LayerInventory};
use crate::model::path::{ImagePath, escape};

use super::flatten::State;

/// Catalogers of operating systems' package databases.
const SYSTEM: &[&str] = &["apk", "dpkg", "rpm", "pacman", "portage", "opkg", "chisel", "nix"];

/// Distributions and the catalogers of their databases. Others may have any.
const KINDS: &[(&str, &[&str])] = &[
    ("almalinux", &["rpm"]),
    ("alpine", &["apk"]),
    ("amzn", &["rpm"]),
    ("arch", &["pacman"]),
    ("azurelinux", &["rpm"]),
    ("centos", &["rpm"]),
    ("chainguard", &["apk"]),
    ("debian", &["dpkg"]),
    ("fedora", &["rpm"]),
    ("gentoo", &["portage"]),
    ("guix", &["nix"]),
    ("mariner", &["rpm"]),
    ("nixos", &["nix"]),
    ("ol", &["rpm"]),
    ("opensuse-leap", &["rpm"]),
    ("opensuse-tumbleweed", &["rpm"]),
    ("rhel", &["rpm"]),
    ("rocky", &["rpm"]),
    ("sles", &["rpm"]),
    ("ubuntu", &["dpkg", "chisel"]),
    ("wolfi", &["apk"]),
];

/// A database: its cataloger and the root that it is the database of.
type Database = (String, Vec<u8>);

/// The package databases of an image.
pub(super) struct Databases {
    /// Those that list packages, or cannot be read, at the end.
    now: BTreeSet<Database>,
    /// Those that a layer had.
    ever: BTreeSet<Database>,
    /// Whether anything at all says which packages there are, or that it cannot be said.
    anything: bool,
}

impl Databases {
    /// Looks at all states, the layers' own gaps, and the gaps that can still be seen.
    pub(super) fn of(states: &[State<'_, '_>], layers: &[Arc<LayerInventory>], gaps: &[Gap]) -> Self {
        let listing =
            |state: &&State<'_, '_>| SYSTEM.contains(&state.cataloger) && !state.facts.packages.is_empty();
        let database = |state: &State<'_, '_>| (state.cataloger.to_owned(), root(state.path));
        let of_gap = |gap: &Gap| (gap.cataloger.clone(), root(&gap.path));
        let is_system = |gap: &&Gap| SYSTEM.contains(&gap.cataloger.as_str());
        let current = || states.iter().filter(|state| state.until == layers.len());
        let now = current().filter(listing).map(database).chain(gaps.iter().filter(is_system).map(of_gap));
        let ever = states.iter().filter(listing).map(database);
        let unread = layers.iter().flat_map(|layer| &layer.gaps).filter(is_system).map(of_gap);
        // Attack: one file of a name that a cataloger asks for, or an empty database, in an image of programs
        // that nobody knows.
        let says = |state: &State<'_, '_>| !state.facts.packages.is_empty();
        Self {
            now: now.collect(),
            ever: ever.chain(unread).collect(),
            anything: current().any(says) || !gaps.is_empty(),
        }
    }

    /// Why a store of Nix or Guix holds what nobody knows: images that Nix builds have one without database.
    pub(super) fn storeless(&self, has_store: bool) -> Option<String> {
        let known = self.now.iter().any(|(cataloger, _)| cataloger == "nix");
        (has_store && !known)
            .then(|| "a store of Nix or Guix without its database: what it holds is unknown".into())
    }

    /// Why an image of so many files must have packages that nobody saw.
    pub(super) fn missing(&self, distro: Option<&Distro>, files: usize) -> Option<String> {
        if let Some((cataloger, root)) = self.ever.difference(&self.now).next() {
            let root = escape(root);
            return Some(format!(
                "the {cataloger} database of `/{root}` was deleted or emptied: what it listed may still be there"
            ));
        }
        let Some(distro) = distro else {
            let nothing = !self.anything && files > 0;
            return nothing.then(|| {
                format!("no package database in an image of {files} files: what they are is unknown")
            });
        };
        let kinds = KINDS.iter().find(|(id, _)| *id == distro.id).map(|(_, kinds)| *kinds);
        let fits = |(cataloger, _): &Database| kinds.is_none_or(|kinds| kinds.contains(&cataloger.as_str()));
        if self.now.iter().any(fits) {
            return None;
        }
        let name = escape(distro.pretty_name.as_deref().unwrap_or(&distro.id).as_bytes());
        Some(format!("the image says it is {name} and has no package database: what it holds is unknown"))
    }
}

/// The root that a database belongs to: what stands before `lib/apk`, `var/lib/dpkg` and the like. A
/// database that moves within its root (`/lib` to `/usr/lib`) is the same.
fn root(path: &ImagePath) -> Vec<u8> {
    let parts: Vec<&[u8]> = path.components().collect();
    let is_store = |part: &&[u8]| {
        matches!(
            *part,
            b"apk"
                | b"dpkg"
                | b"rpm"
                | b"rpmmanifest"
                | b"pacman"
                | b"pkg"
                | b"opkg"
                | b"chisel"
                | b"nix"
                | b"guix"
        )
    };
    let end = parts.iter().rposition(is_store).unwrap_or(0);
    let before = parts.get(..end).unwrap_or_default();
    let is_system = |part: &&[u8]| matches!(*part, b"db" | b"lib" | b"var" | b"usr" | b"share" | b"sysimage");
    let kept = before.iter().rposition(|part| !is_system(part)).map_or(0, |last| last + 1);
    before.get(..kept).unwrap_or_default().join(&b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_belongs_to_the_root_it_lies_in() {
        for (path, want) in [
            ("lib/apk/db/installed", ""),
            ("usr/lib/apk/db/installed", ""),
            ("var/lib/dpkg/status", ""),
            ("var/lib/dpkg/status.d/base", ""),
            ("usr/lib/sysimage/rpm/Packages.db", ""),
            ("var/lib/chisel/manifest.wall", ""),
            ("var/db/pkg/app-shells/bash-5.2/CONTENTS", ""),
            ("var/guix/db/db.sqlite", ""),
            ("srv/jail/var/lib/pacman/local/a-1-1/desc", "srv/jail"),
            ("srv/jail/usr/lib/apk/db/installed", "srv/jail"),
        ] {
            assert_eq!(root(&path.into()), want.as_bytes(), "{path}");
        }
    }
}
