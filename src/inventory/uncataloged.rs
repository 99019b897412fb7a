//! Sources that are known and have no cataloger yet. Each is a gap: an image that has one is not clean
//! because nobody looked. A row leaves this table when its cataloger comes.

use crate::model::layer::Facts;
use crate::model::path::ImagePath;

use super::{Cataloger, Unreadable};

/// A source known by its path.
pub(super) struct Uncataloged {
    id: &'static str,
    what: &'static str,
    wants: fn(&str) -> bool,
}

/// Package databases of distributions that have no cataloger yet.
pub(super) static SYSTEM: Uncataloged = Uncataloged {
    id: "system-packages",
    what: "a package database of a distribution",
    wants: |path| matches!(path, "nix/var/nix/db/db.sqlite" | "var/guix/db/db.sqlite"),
};

impl Cataloger for Uncataloged {
    fn id(&self) -> &'static str {
        self.id
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        path.to_str().is_some_and(self.wants) || (path.to_str().is_none() && (self.wants)(&path.to_string()))
    }

    /// Nothing of the file is read.
    fn limit(&self) -> u64 {
        u64::MAX
    }

    fn parse(&self, _: &ImagePath, _: &[u8]) -> Result<Facts, Unreadable> {
        Err(Unreadable(missing(self.what)))
    }

    fn reads(&self) -> super::Reads {
        super::Reads::Nothing
    }
}

fn missing(what: &str) -> String {
    format!("{what}: this version has no cataloger for it, so its packages are unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sources_are_wanted_by_path() {
        for path in ["var/guix/db/db.sqlite", "nix/var/nix/db/db.sqlite"] {
            assert!(SYSTEM.wants(&path.into(), b""), "{path}");
            assert!(SYSTEM.parse(&path.into(), b"").is_err());
        }
        for path in ["nix/var/nix/db/schema", "srv/db.sqlite", "var/lib/rpm/Name"] {
            assert!(!SYSTEM.wants(&path.into(), b""), "{path}");
        }
    }
}
