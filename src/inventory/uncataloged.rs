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

/// A kind of program known by what stands in its bytes.
pub(super) struct Program {
    id: &'static str,
    what: &'static str,
    markers: &'static [&'static [u8]],
}

/// Package databases of distributions that have no cataloger yet.
pub(super) static SYSTEM: Uncataloged = Uncataloged {
    id: "system-packages",
    what: "a package database of a distribution",
    wants: |path| {
        path.strip_prefix("var/db/pkg/").is_some_and(|rest| rest.ends_with("/CONTENTS"))
            || matches!(path, "nix/var/nix/db/db.sqlite" | "var/guix/db/db.sqlite")
    },
};

/// Go programs: the magic of their build information (`debug/buildinfo`).
pub(super) static GOLANG: Program =
    Program { id: "golang", what: "a Go program", markers: &[b"\xff Go buildinf:"] };

/// Rust programs built by cargo-auditable: the name of its section.
pub(super) static CARGO: Program =
    Program { id: "cargo", what: "a Rust program with an audit section", markers: &[b".dep-v0\0"] };

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

impl Cataloger for Program {
    fn id(&self) -> &'static str {
        self.id
    }

    /// ELF, PE and Mach-O (also universal) executables and libraries.
    fn wants(&self, _: &ImagePath, head: &[u8]) -> bool {
        matches!(
            head,
            [0x7f, b'E', b'L', b'F', ..]
                | [b'M', b'Z', ..]
                | [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..]
                | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..]
                | [0xca, 0xfe, 0xba, 0xbe, ..]
        )
    }

    /// Programs are searched, not held.
    fn limit(&self) -> u64 {
        u64::MAX
    }

    fn parse(&self, _: &ImagePath, _: &[u8]) -> Result<Facts, Unreadable> {
        Ok(Facts::default())
    }

    fn reads(&self) -> super::Reads {
        super::Reads::Markers(self.markers)
    }

    fn found(&self, _: &[u8]) -> String {
        missing(self.what)
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
        for path in ["var/db/pkg/sys-libs/zlib-1/CONTENTS", "nix/var/nix/db/db.sqlite"] {
            assert!(SYSTEM.wants(&path.into(), b""), "{path}");
            assert!(SYSTEM.parse(&path.into(), b"").is_err());
        }
        for path in ["var/db/pkg/sys-libs/zlib-1/USE", "srv/db.sqlite", "var/lib/rpm/Name"] {
            assert!(!SYSTEM.wants(&path.into(), b""), "{path}");
        }
    }

    #[test]
    fn a_source_below_a_name_that_is_no_utf8_is_seen() {
        let path = ImagePath::normalise(b"var/db/pkg/\xff/CONTENTS").unwrap();
        assert!(SYSTEM.wants(&path, b""));
    }

    #[test]
    fn programs_are_known_by_their_magic() {
        assert!(GOLANG.wants(&"usr/bin/x".into(), b"\x7fELF\x02\x01"));
        assert!(!GOLANG.wants(&"usr/bin/x".into(), b"#!/bin/sh"));
    }
}
