//! opkg's database: deb822 as dpkg has it (openwrt.org, "Opkg package manager").

use crate::model::layer::Facts;
use crate::model::path::ImagePath;

use super::{Cataloger, Unreadable, dpkg};

/// Catalogs `lib/opkg/status`.
pub(super) struct Opkg;

impl Cataloger for Opkg {
    fn id(&self) -> &'static str {
        "opkg"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        let mut parts = path.components().rev();
        [b"status".as_slice(), b"opkg", b"lib"].into_iter().all(|part| parts.next() == Some(part))
    }

    /// 256 MiB, as for dpkg.
    fn limit(&self) -> u64 {
        256 << 20
    }

    fn parse(&self, _: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let mut facts = dpkg::stanzas(bytes, true);
        for package in &mut facts.packages {
            package.kind = "opkg";
        }
        Ok(facts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Facts {
        Opkg.parse(&"usr/lib/opkg/status".into(), bytes).unwrap()
    }

    #[test]
    fn installed_packages_are_listed() {
        let facts = parse(include_bytes!("../../testdata/inventory/opkg/status"));
        assert_eq!(facts.unreadable, [""; 0]);
        let found: Vec<_> =
            facts.packages.iter().map(|p| (p.kind, p.name.as_str(), p.version.as_str())).collect();
        assert_eq!(found, [("opkg", "libdemo1", "1.2-r3")]);
    }

    #[test]
    fn a_broken_stanza_is_named() {
        assert_eq!(parse(b"Package: a\nVersion: 1\n").unreadable, ["stanza 1 (`a`): it has no status"]);
    }

    #[test]
    fn only_the_database_is_wanted() {
        let wants = |path: &str| Opkg.wants(&path.into(), b"");
        assert!(wants("usr/lib/opkg/status") && wants("var/lib/opkg/status"));
        assert!(!wants("var/lib/dpkg/status") && !wants("lib/opkg/info/a.list"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes);
        }
    }
}
