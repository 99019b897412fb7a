//! Installed node packages: `package.json` of the package roots below a `node_modules`
//! (docs.npmjs.com, "folders" and "package.json").

use serde::Deserialize;

use crate::model::layer::{Facts, FoundPackage, Requirement};
use crate::model::path::ImagePath;

use super::words::{json, word};
use super::{Cataloger, Unreadable};

/// Catalogs `node_modules/NAME/package.json` and `node_modules/@SCOPE/NAME/package.json`.
pub(super) struct Npm;

#[derive(Deserialize)]
struct PackageJson {
    name: Option<String>,
    version: Option<String>,
    #[serde(default)]
    license: serde_json::Value,
    #[serde(default)]
    licenses: serde_json::Value,
    #[serde(default)]
    dependencies: serde_json::Value,
    #[serde(default, rename = "optionalDependencies")]
    optional_dependencies: serde_json::Value,
    #[serde(default, rename = "peerDependencies")]
    peer_dependencies: serde_json::Value,
}

impl PackageJson {
    /// The names under which it loads other packages. Which ones those are is told by where it lies.
    fn requires(&self) -> Vec<Requirement> {
        [&self.dependencies, &self.optional_dependencies, &self.peer_dependencies]
            .into_iter()
            .filter_map(serde_json::Value::as_object)
            .flat_map(|names| names.keys().map(|name| vec![name.clone()]))
            .collect()
    }
}

impl Cataloger for Npm {
    fn id(&self) -> &'static str {
        "npm"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        let mut parts = path.components().rev();
        if parts.next() != Some(b"package.json") {
            return false;
        }
        // Node loads a package by any name; npm alone refuses those with a dot or a lone scope.
        let is_name = |name: &[u8]| name != b"node_modules";
        match (parts.next(), parts.next(), parts.next()) {
            (Some(name), Some(b"node_modules"), _) => is_name(name),
            (Some(name), Some(scope), Some(b"node_modules")) => scope.starts_with(b"@") && is_name(name),
            _ => false,
        }
    }

    /// 16 MiB (design §7); real ones have a few kilobytes.
    fn limit(&self) -> u64 {
        16 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let package: PackageJson = json("a package.json", bytes)?;
        let directory = path.parent().unwrap_or_default();
        let is_tools = directory.file_name().starts_with(b".") || directory.file_name().starts_with(b"@");
        if is_tools && (package.name.is_none() || package.version.is_none()) {
            // `.vite`, `.cache` and the like are directories of tools, where this file says no package.
            return Ok(Facts::default());
        }
        let word = |field: &str, value: &Option<String>| word(field, value.as_deref()).map_err(Unreadable);
        let package = FoundPackage {
            kind: "npm",
            name: word("name", &package.name)?,
            version: word("version", &package.version)?,
            requires: Some(package.requires()),
            // The older list is a choice; beside the newer field it says nothing that is sure.
            licenses: match licenses(&package.license) {
                stated if stated.is_empty() => licenses(&package.licenses),
                stated => stated,
            },
            location: path.parent(),
            ..FoundPackage::default()
        };
        Ok(Facts { packages: vec![package], ..Facts::default() })
    }
}

/// An SPDX expression, or the older `{type}` and lists of either.
fn licenses(value: &serde_json::Value) -> Vec<String> {
    let one = |value: &serde_json::Value| {
        value
            .as_str()
            .or_else(|| value.get("type")?.as_str())
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    value
        .as_array()
        .map_or_else(|| one(value).into_iter().collect(), |list| list.iter().filter_map(one).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATH: &str = "srv/node_modules/@acme/demo/package.json";

    fn parse(bytes: &[u8]) -> Result<FoundPackage, Unreadable> {
        Npm.parse(&PATH.into(), bytes).map(|mut facts| facts.packages.remove(0))
    }

    #[test]
    fn a_package_root_names_its_package() {
        let found = parse(include_bytes!("../../testdata/inventory/npm/package.json")).unwrap();
        assert_eq!((found.name.as_str(), found.version.as_str()), ("@acme/demo", "2.0.0-beta.1"));
        assert_eq!(found.licenses, ["MIT", "Apache-2.0"]);
        assert_eq!(found.location, Some("srv/node_modules/@acme/demo".into()));
    }

    #[test]
    fn a_name_that_npm_would_refuse_is_loaded_all_the_same() {
        for path in ["a/node_modules/.lodash/package.json", "a/node_modules/@lodash/package.json"] {
            assert!(Npm.wants(&path.into(), b""));
            let facts = Npm.parse(&path.into(), br#"{"name":"lodash","version":"4.17.20"}"#).unwrap();
            assert_eq!(facts.packages.len(), 1);
            assert_eq!(Npm.parse(&path.into(), br#"{"type":"module"}"#).unwrap(), Facts::default());
        }
    }

    #[test]
    fn only_package_roots_are_wanted() {
        let wants = |path: &str| Npm.wants(&path.into(), b"");
        assert!(
            wants("node_modules/a/package.json") && wants("x/node_modules/a/node_modules/b/package.json")
        );
        assert!(wants(PATH));
        for path in [
            "package.json",
            "node_modules/package.json",
            "node_modules/a/lib/package.json",
            "node_modules/a/package-lock.json",
            "node_modules/.store/a/package.json",
        ] {
            assert!(!wants(path), "{path}");
        }
    }

    #[test]
    fn a_root_without_name_or_version_is_unreadable() {
        assert_eq!(parse(br#"{"name":"a"}"#).unwrap_err().0, "it has no version");
        assert_eq!(parse(br#"{"version":"1"}"#).unwrap_err().0, "it has no name");
        assert!(parse(br#"{"name":"a\u0000","version":"1"}"#).is_err());
        assert!(parse(br#"{"name":"\ud800","version":"1"}"#).is_err());
        assert!(parse(br#"{"name":1,"version":"1"}"#).is_err());
    }

    #[test]
    fn json_nested_without_end_is_unreadable() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            parse(format!(r#"{{"name":"a","version":"1","x":{open}"[{{"{close}}}"#).as_bytes())
        };
        assert!(nested(100).is_ok());
        assert_eq!(nested(200_000).unwrap_err().0, "nested deeper than 128");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes).is_ok();
        }
    }
}
