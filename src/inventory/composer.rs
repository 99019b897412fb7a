//! PHP packages that Composer installed (getcomposer.org, "The composer.json schema"; the file itself is
//! `FilesystemRepository::write`).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::layer::{Facts, FoundPackage};
use crate::model::path::ImagePath;

use super::words::{is_word, json, texts, word};
use super::{Cataloger, Unreadable};

/// Catalogs `composer/installed.json`: a list (Composer 1) or an object with `packages` (Composer 2).
/// Packages for development count: they are there.
pub(super) struct Composer;

#[derive(Deserialize)]
struct Installed {
    packages: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Package {
    name: Option<String>,
    version: Option<String>,
    #[serde(default)]
    license: Value,
    require: Option<Links>,
    provide: Option<Links>,
    replace: Option<Links>,
}

/// Names and the versions that fit; PHP writes an empty object as a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Links {
    Some(BTreeMap<String, IgnoredAny>),
    None([IgnoredAny; 0]),
}

impl Links {
    /// Those of packages. PHP, its extensions and Composer itself are named without a slash.
    fn packages(self) -> impl Iterator<Item = String> {
        let links = match self {
            Self::Some(links) => links,
            Self::None([]) => BTreeMap::new(),
        };
        links.into_keys().filter(|name| name.contains('/') && is_word(name))
    }
}

impl Cataloger for Composer {
    fn id(&self) -> &'static str {
        "composer"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        let mut parts = path.components().rev();
        parts.next() == Some(b"installed.json") && parts.next() == Some(b"composer")
    }

    /// 64 MiB; hundreds of packages make one.
    fn limit(&self) -> u64 {
        64 << 20
    }

    fn parse(&self, _: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let what = "Composer's record of installed packages";
        let first = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start().first();
        let packages = if first == Some(&b'[') {
            json::<Vec<Box<RawValue>>>(what, bytes)?
        } else {
            json::<Installed>(what, bytes)?.packages
        };
        let mut facts = Facts::default();
        for (at, package) in packages.iter().enumerate() {
            match read(package) {
                Ok(package) => facts.add(package),
                Err(cause) => facts.blame(format!("package {}: {cause}", at.saturating_add(1))),
            }
        }
        Ok(facts)
    }
}

fn read(package: &RawValue) -> Result<FoundPackage, String> {
    let package: Package = serde_json::from_str(package.get()).map_err(|error| error.to_string())?;
    let name = word("name", package.name.as_deref())?;
    if !name.contains('/') {
        return Err(format!("its name has no vendor: `{name}`"));
    }
    let provides = [package.provide, package.replace].into_iter().flatten().flat_map(Links::packages);
    Ok(FoundPackage {
        kind: "composer",
        name,
        version: word("version", package.version.as_deref())?,
        licenses: texts(&package.license),
        requires: Some(
            package.require.into_iter().flat_map(Links::packages).map(|name| vec![name]).collect(),
        ),
        provides: provides.collect(),
        ..FoundPackage::default()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<Facts, Unreadable> {
        Composer.parse(&"srv/vendor/composer/installed.json".into(), bytes)
    }

    #[test]
    fn installed_packages_have_licences_and_edges_without_the_platform() {
        let facts = parse(include_bytes!("../../testdata/inventory/composer/installed.json")).unwrap();
        assert_eq!(facts.unreadable, [""; 0]);
        let [log, psr] = facts.packages.as_slice() else { panic!("{:?}", facts.packages) };
        assert_eq!((log.name.as_str(), log.version.as_str()), ("acme/log", "v1.2.0"));
        assert_eq!(log.licenses, ["MIT"]);
        assert_eq!(log.requires, Some(vec![vec!["psr/log".to_owned()]]));
        assert_eq!(log.provides, ["psr/log-implementation"]);
        assert_eq!(psr.requires, Some(vec![]));
    }

    #[test]
    fn the_list_of_composer_1_is_read() {
        let facts = parse(br#" [{"name":"a/b","version":"dev-main","require":[]}]"#).unwrap();
        assert_eq!((facts.packages[0].version.as_str(), facts.packages.len()), ("dev-main", 1));
        assert_eq!(parse(b"[]").unwrap(), Facts::default());
    }

    #[test]
    fn what_cannot_be_read_is_named_and_the_rest_kept() {
        let facts = parse(
            br#"{"packages":[{"name":"a/b"},{"name":"b","version":"1"},7,{"name":"z/z","version":"1"}]}"#,
        )
        .unwrap();
        assert_eq!(facts.packages.len(), 1);
        assert_eq!(facts.unreadable.len(), 3, "{:?}", facts.unreadable);
        assert_eq!(facts.unreadable[0], "package 1: it has no version");
        for bytes in
            [&b""[..], b"{}", b"7", b"{\"packages\":{}}", b"[\"\xff\"]", b"{\"packages\":[],\"packages\":[]}"]
        {
            assert!(parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn only_composers_own_record_is_wanted() {
        assert!(Composer.wants(&"vendor/composer/installed.json".into(), b""));
        assert!(!Composer.wants(&"installed.json".into(), b""));
        assert!(!Composer.wants(&"vendor/installed.json".into(), b""));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes).is_ok();
        }
    }
}
