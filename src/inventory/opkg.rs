//! opkg's database: deb822 as dpkg has it (openwrt.org, "Opkg package manager").

use crate::model::layer::Facts;
use crate::model::path::ImagePath;

use super::{Cataloger, Unreadable, dpkg};

/// Catalogs `lib/opkg/status`, and `lib/opkg/info/NAME.list` for what is owned.
pub(super) struct Opkg;

impl Cataloger for Opkg {
    fn id(&self) -> &'static str {
        "opkg"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        let mut parts = path.components().rev();
        let is_database = match parts.next() {
            Some(b"status") => true,
            Some(file) => file.ends_with(b".list") && parts.next() == Some(b"info"),
            None => false,
        };
        is_database && [b"opkg".as_slice(), b"lib"].into_iter().all(|part| parts.next() == Some(part))
    }

    /// 256 MiB, as for dpkg.
    fn limit(&self) -> u64 {
        256 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let package = path.to_str().and_then(|path| path.rsplit('/').next()?.strip_suffix(".list"));
        match package {
            Some(package) => return Ok(dpkg::owned(package, bytes.split(|byte| *byte == b'\n'))),
            None if path.file_name() != b"status" => {
                return Err(Unreadable("a file list without a name".into()));
            }
            None => {}
        }
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
    fn a_file_list_says_what_is_owned() {
        let facts =
            Opkg.parse(&"usr/lib/opkg/info/libdemo1.list".into(), b"/usr/lib/libdemo.so.1\n").unwrap();
        assert_eq!((facts.owned[0].package.as_str(), facts.packages.len()), ("libdemo1", 0));
        assert_eq!(facts.owned[0].paths, ["usr/lib/libdemo.so.1".into()]);
        let path = ImagePath::normalise(b"lib/opkg/info/\xff.list").unwrap();
        assert!(Opkg.wants(&path, b"") && Opkg.parse(&path, b"").is_err());
    }

    #[test]
    fn a_broken_stanza_is_named() {
        assert_eq!(parse(b"Package: a\nVersion: 1\n").unreadable, ["stanza 1 (`a`): it has no status"]);
    }

    #[test]
    fn only_the_database_is_wanted() {
        let wants = |path: &str| Opkg.wants(&path.into(), b"");
        assert!(wants("usr/lib/opkg/status") && wants("var/lib/opkg/status"));
        assert!(!wants("var/lib/dpkg/status") && wants("lib/opkg/info/a.list") && !wants("lib/opkg/a.list"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes);
        }
    }
}
