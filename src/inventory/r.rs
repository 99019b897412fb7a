//! Packages in libraries of R (R-exts, "The DESCRIPTION file"; R-admin, "Add-on packages").

use crate::model::layer::{Facts, FoundPackage, Requirement};
use crate::model::path::{ImagePath, escape};

use super::words::{is_word, word};
use super::{Cataloger, Unreadable};

/// Catalogs `NAME/DESCRIPTION`: in a library whatever is there, as R loads it without looking here; elsewhere
/// where the field `Built` says that it was installed.
pub(super) struct R;

impl Cataloger for R {
    fn id(&self) -> &'static str {
        "r"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        path.file_name() == b"DESCRIPTION" && path.parent().is_some_and(|parent| !parent.is_root())
    }

    fn reads_alike(&self, a: &ImagePath, b: &ImagePath) -> bool {
        is_library(a) == is_library(b)
    }

    /// 16 MiB; real ones have a few kilobytes.
    fn limit(&self) -> u64 {
        16 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        // Old packages name their authors in Latin-1. Names and versions are ASCII, or are refused.
        let text = String::from_utf8_lossy(bytes);
        let is_installed = !field(&text, "Built").is_empty() && !field(&text, "Package").is_empty();
        if !is_installed && !is_library(path) {
            return Ok(Facts::default());
        }
        let one = |name: &'static str| match field(&text, name).as_slice() {
            // Attack: a field twice, of which one reader takes the first and another the last.
            [_, _, ..] => Err(Unreadable(format!("field `{name}` stands twice"))),
            values => Ok(values.first().cloned()),
        };
        let needs = ["Depends", "Imports", "LinkingTo"].into_iter().flat_map(|name| field(&text, name));
        let package = FoundPackage {
            kind: "cran",
            name: word("name", one("Package")?.as_deref()).map_err(Unreadable)?,
            version: word("version", one("Version")?.as_deref()).map_err(Unreadable)?,
            licenses: field(&text, "License").into_iter().filter(|text| !text.is_empty()).collect(),
            location: path.parent().and_then(|package| package.parent()),
            requires: Some(needs.flat_map(|list| needed(&list)).collect()),
            ..FoundPackage::default()
        };
        let folder = path.parent().unwrap_or_default();
        let mut facts = Facts::default();
        // R loads a package by its folder's name, and only where `Meta/package.rds`, or this file where there is
        // none, has the same (`find.package`). Attack: a description that says it is another package. Elsewhere it
        // may be a file that a package's tests read.
        if is_library(path) && folder.file_name() != package.name.as_bytes() {
            let shown = escape(folder.file_name());
            facts.blame(format!("it says it is `{}` in a folder named `{shown}`", package.name));
        }
        facts.add(package);
        Ok(facts)
    }
}

/// Whether a path is `R/library/NAME/DESCRIPTION` or `R/site-library/NAME/DESCRIPTION`.
fn is_library(path: &ImagePath) -> bool {
    let mut parts = path.components().rev().skip(2);
    matches!(parts.next(), Some(b"library" | b"site-library")) && parts.next() == Some(b"R")
}

/// The values of a field; lines that begin with a blank continue it.
fn field(text: &str, name: &str) -> Vec<String> {
    let mut values: Vec<String> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            if let Some(value) = values.last_mut().filter(|_| inside) {
                value.push(' ');
                value.push_str(line.trim());
            }
            continue;
        }
        let value = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(':'));
        inside = value.is_some();
        values.extend(value.map(|value| value.trim().to_owned()));
    }
    values
}

/// `R (>= 3.5), methods, rlang (>= 1.0)`; R itself is no package of its libraries.
fn needed(list: &str) -> Vec<Requirement> {
    let names = list.split(',').filter_map(|item| item.split(['(', ' ', '\t']).find(|name| !name.is_empty()));
    names.filter(|name| *name != "R" && is_word(name)).map(|name| vec![name.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATH: &str = "usr/lib/R/site-library/demo/DESCRIPTION";

    fn parse(path: &str, bytes: &[u8]) -> Result<Facts, Unreadable> {
        R.parse(&path.into(), bytes)
    }

    #[test]
    fn a_description_names_its_package() {
        let bytes = include_bytes!("../../testdata/inventory/r/DESCRIPTION");
        for path in [PATH, "opt/renv/demo/DESCRIPTION"] {
            let found = parse(path, bytes).unwrap().packages.remove(0);
            assert_eq!((found.kind, found.name.as_str(), found.version.as_str()), ("cran", "demo", "1.2-3"));
            assert_eq!(found.licenses, ["MIT + file LICENSE"]);
            assert_eq!(found.requires.unwrap().concat(), ["methods", "rlang", "vctrs"]);
        }
    }

    #[test]
    fn only_libraries_have_packages_that_were_not_built() {
        let text = b"Package: a\nVersion: 1\n";
        assert_eq!(parse("srv/a/DESCRIPTION", text), Ok(Facts::default()));
        assert_eq!(parse("srv/a/DESCRIPTION", b"Built: by hand\n"), Ok(Facts::default()));
        let in_library = "R/library/a/DESCRIPTION";
        let facts = parse(in_library, text).unwrap();
        assert_eq!((facts.packages.len(), facts.unreadable.len()), (1, 0));
    }

    #[test]
    fn a_folder_of_another_name_is_told() {
        let facts = parse(PATH, b"Package: other\nVersion: 1\n").unwrap();
        assert_eq!(facts.packages[0].name, "other");
        assert_eq!(facts.unreadable, ["it says it is `other` in a folder named `demo`"]);
        let facts = parse("srv/demo/DESCRIPTION", b"Package: other\nVersion: 1\nBuilt: R 4.2\n").unwrap();
        assert_eq!((facts.packages.len(), facts.unreadable.len()), (1, 0));
    }

    #[test]
    fn a_description_without_name_or_version_is_unreadable() {
        let cause = |text: &str| parse(PATH, text.as_bytes()).unwrap_err().0;
        assert_eq!(cause(""), "it has no name");
        assert_eq!(cause("Package: a\n"), "it has no version");
        assert_eq!(cause("Package: a\n b\nVersion: 1\n"), "its name is no word: `a b`");
        assert_eq!(cause("Package: a\nPackage: b\nVersion: 1\n"), "field `Package` stands twice");
        assert!(parse(PATH, b"Package: \xff \nVersion: \x07").is_err());
    }

    #[test]
    fn only_descriptions_are_wanted() {
        assert!(R.wants(&PATH.into(), b""));
        assert!(!R.wants(&"DESCRIPTION".into(), b"") && !R.wants(&"a/DESCRIPTION.rst".into(), b""));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,40}") {
            let _ = parse(PATH, &bytes).is_ok();
            let _ = parse(PATH, format!("Package: a\nVersion: {text}\nDepends: {text}").as_bytes()).is_ok();
        }
    }
}
