//! Node packages that yarn loads from its cache without unpacking them (yarnpkg.com, "Plug'n'Play").

use crate::model::layer::Facts;
use crate::model::path::ImagePath;

use super::egg::members;
use super::npm::Npm;
use super::{Cataloger, Unreadable};

/// Catalogs `.yarn/**/cache/*.zip`: the packages in it are read as if the archive were a directory.
pub(super) struct Yarn;

impl Cataloger for Yarn {
    fn id(&self) -> &'static str {
        "yarn"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        let mut above = path.components().rev().skip(1);
        path.file_name().ends_with(b".zip")
            && above.next() == Some(b"cache")
            && above.any(|directory| directory.ends_with(b".yarn"))
    }

    /// 256 MiB, as of other archives; the largest real ones have 60.
    fn limit(&self) -> u64 {
        256 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let facts = members(&Npm, path, bytes)?;
        if facts.packages.is_empty() && facts.unreadable.is_empty() {
            return Err(Unreadable("it has no node_modules/NAME/package.json".into()));
        }
        Ok(facts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inventory::archive::tests::zip;

    const PATH: &str = "srv/.yarn/cache/@acme-demo-npm-1.0.0-0123456789-0123456789.zip";

    #[test]
    fn the_packages_of_an_archive_are_listed() {
        let bytes = include_bytes!("../../testdata/inventory/yarn/demo.zip");
        let facts = Yarn.parse(&PATH.into(), bytes).unwrap();
        let found: Vec<_> = facts.packages.iter().map(|p| (p.name.as_str(), p.version.as_str())).collect();
        assert_eq!(found, [("@acme/demo", "1.0.0"), ("inner", "2")]);
        assert_eq!(
            facts.packages[0].location,
            Some(format!("{PATH}/node_modules/@acme/demo").as_str().into())
        );
        assert_eq!(facts.unreadable, [""; 0]);
    }

    #[test]
    fn only_archives_of_yarns_cache_are_wanted() {
        let wants = |path: &str| Yarn.wants(&path.into(), b"");
        assert!(wants(PATH) && wants("root/.yarn/berry/cache/a.zip"));
        assert!(!wants("srv/cache/a.zip") && !wants("srv/.yarn/a.zip") && !wants("srv/.yarn/cache/a.txt"));
    }

    #[test]
    fn an_archive_without_a_package_is_unreadable() {
        let cause = |bytes: &[u8]| Yarn.parse(&PATH.into(), bytes).unwrap_err().0;
        assert_eq!(cause(b""), "an empty file");
        assert_eq!(cause(&zip(&[("a.txt", "")])), "it has no node_modules/NAME/package.json");
        let broken = Yarn.parse(&PATH.into(), &zip(&[("node_modules/a/package.json", "{")])).unwrap();
        assert!(broken.unreadable[0].starts_with("`node_modules/a/package.json`: not a package.json"));
    }

    proptest! {
        #[test]
        fn a_mutated_archive_never_panics(at in 0..200_usize, byte in any::<u8>()) {
            let mut bytes = zip(&[("node_modules/a/package.json", r#"{"name":"a","version":"1"}"#)]);
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Yarn.parse(&PATH.into(), &bytes).is_ok();
        }
    }
}
