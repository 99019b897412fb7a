//! The project that node packages are installed for: the `package.json` beside a `node_modules`
//! (docs.npmjs.com, "folders").

use serde::Deserialize;
use serde_json::Value;

use crate::model::layer::{Facts, FoundPackage};
use crate::model::path::ImagePath;

use super::npm::Npm;
use super::words::json;
use super::{Cataloger, Unreadable};

/// Catalogs `package.json` outside of any `node_modules`. Whether one is beside it is known when the layers
/// are merged: only then is it a project that can run.
pub(super) struct NpmRoot;

/// Its id.
pub(super) const ID: &str = "npm-root";

impl Cataloger for NpmRoot {
    fn id(&self) -> &'static str {
        ID
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        wanted(path)
    }

    fn limit(&self) -> u64 {
        Npm.limit()
    }

    /// No project need have a name or a version.
    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let Named { name, version } = json("a package.json", bytes)?;
        if !(name.is_string() && version.is_string()) {
            return Ok(Facts::default());
        }
        let mut facts = Npm.parse(path, bytes)?;
        facts.packages.iter_mut().for_each(|package: &mut FoundPackage| package.application = true);
        Ok(facts)
    }
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: Value,
    #[serde(default)]
    version: Value,
}

/// Whether a file may be a project's: what lies in a `node_modules` is a package of one.
pub(super) fn wanted(path: &ImagePath) -> bool {
    path.file_name() == b"package.json" && !path.components().any(|part| part == b"node_modules")
}

/// The directory that must be there for the file to be a project's.
pub(super) fn installed(path: &ImagePath) -> ImagePath {
    path.parent().unwrap_or_default().join(b"node_modules")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Facts {
        NpmRoot.parse(&"srv/web/package.json".into(), bytes).unwrap()
    }

    #[test]
    fn a_project_is_the_application() {
        let facts = parse(include_bytes!("../../testdata/inventory/npm-root/package.json"));
        let found = &facts.packages[0];
        assert_eq!((found.name.as_str(), found.version.as_str()), ("@acme/orders", "1.4.2"));
        assert!(found.application);
        assert_eq!(found.requires, Some(vec![vec!["demo".to_owned()]]));
        assert_eq!(found.location, Some("srv/web".into()));
    }

    #[test]
    fn what_names_no_project_is_none() {
        for text in [r#"{"type":"module"}"#, r#"{"name":"a"}"#, r#"{"name":1,"version":"1"}"#] {
            assert_eq!(parse(text.as_bytes()), Facts::default(), "{text}");
        }
        // That it is no project's gap is known where the layers are merged.
        for text in ["", "{\"name\":\"a\",", r#"{"name":"a b","version":"1"}"#] {
            assert!(NpmRoot.parse(&"srv/web/package.json".into(), text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn what_lies_in_node_modules_is_no_project() {
        let wants = |path: &str| NpmRoot.wants(&path.into(), b"");
        assert!(wants("package.json") && wants("srv/web/package.json"));
        assert!(!wants("srv/node_modules/a/package.json") && !wants("node_modules/a/lib/package.json"));
        assert!(!wants("srv/package-lock.json"));
    }
}
