//! Names by which the parts of a document refer to each other.

use std::collections::{HashMap, HashSet};

use crate::model::inventory::Package;
use crate::model::purl::Purl;

/// Gives every component a `bom-ref` of its own: the purl, and where that is installed in several places
/// the place as well. Two runs give the same, and so does an image to which a package was added elsewhere.
pub(super) struct References<'a> {
    installed: HashMap<&'a Purl, usize>,
    taken: HashSet<String>,
    /// How often a text was wanted that was taken.
    again: HashMap<String, usize>,
}

impl<'a> References<'a> {
    pub(super) fn new(packages: &'a [Package]) -> Self {
        let mut installed = HashMap::new();
        for package in packages {
            *installed.entry(&package.purl).or_default() += 1;
        }
        Self { installed, taken: HashSet::new(), again: HashMap::new() }
    }

    /// The name of a package.
    pub(super) fn of(&mut self, package: &Package) -> String {
        let several = self.installed.get(&package.purl).is_some_and(|times| *times > 1);
        match package.locations.first().filter(|_| several) {
            Some(location) => self.unique(&format!("{} at {location}", package.purl)),
            None => self.unique(&package.purl.to_string()),
        }
    }

    /// A name that nobody else has: `wanted`, else with a number. A database may have one package twice.
    pub(super) fn unique(&mut self, wanted: &str) -> String {
        let mut name = wanted.to_owned();
        while !self.taken.insert(name.clone()) {
            let times = self.again.entry(wanted.to_owned()).or_insert(1);
            *times += 1;
            name = format!("{wanted} ({times})");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sbom::fixture::package;

    #[test]
    fn a_purl_is_its_own_name_unless_it_is_installed_twice() {
        let packages = [
            package("npm", "ms", "2.1.3", "a/node_modules/ms"),
            package("npm", "ms", "2.1.3", "b/node_modules/ms"),
            package("npm", "ms", "2.1.3", "b/node_modules/ms"),
            package("npm", "ms", "2.0.0", "c/node_modules/ms"),
        ];
        let mut references = References::new(&packages);
        let names: Vec<String> = packages.iter().map(|package| references.of(package)).collect();
        assert_eq!(
            names,
            [
                "pkg:npm/ms@2.1.3 at a/node_modules/ms",
                "pkg:npm/ms@2.1.3 at b/node_modules/ms",
                "pkg:npm/ms@2.1.3 at b/node_modules/ms (2)",
                "pkg:npm/ms@2.0.0",
            ]
        );
    }

    #[test]
    fn a_name_that_looks_like_a_numbered_one_is_unique_as_well() {
        let mut references = References::new(&[]);
        let names = ["a", "a (2)", "a", "a", "a (2)"].map(|name| references.unique(name));
        assert_eq!(names, ["a", "a (2)", "a (3)", "a (4)", "a (2) (2)"]);
    }
}
