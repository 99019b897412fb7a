//! From a package to the questions that are put to the advisories.

use std::collections::BTreeSet;

use crate::model::inventory::{Inventory, Package};
use crate::model::layer::Distro;

use super::distro::{self, NamedBy};
use super::names::{base, normalise};

/// Language packages: purl type and ecosystem.
const LANGUAGES: &[(&str, &str)] = &[("npm", "npm"), ("pypi", "PyPI")];

/// How the advisories are asked about one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    /// Exact ecosystem strings. Records of any of them count.
    pub(super) ecosystems: Vec<String>,
    /// Names, normalised; the first is the one that reports show.
    pub(super) names: Vec<String>,
    /// The version that the records speak of: the source package's where they go by source.
    pub(super) version: String,
}

impl Query {
    /// The questions about a package.
    ///
    /// # Errors
    /// Why none can be put: a lowercase fragment, the same words for the same cause.
    pub(super) fn about(package: &Package, distro: Option<&Distro>) -> Result<Self, String> {
        if let Some((_, ecosystem)) = LANGUAGES.iter().find(|(kind, _)| *kind == package.kind) {
            return Ok(Self {
                ecosystems: vec![(*ecosystem).to_owned()],
                names: vec![normalise(ecosystem, &package.name).into_owned()],
                version: package.version.clone(),
            });
        }
        if !matches!(package.kind, "apk" | "deb") {
            return Err(format!(
                "this version of portcullis knows no advisories for packages of type {}",
                package.kind
            ));
        }
        let feed = distro::feed(distro, package.kind)?;
        let (source, version) = match &package.source {
            Some(source) => (&source.name, &source.version),
            None => (&package.name, &package.version),
        };
        let mut names = vec![source.clone()];
        if feed.by == NamedBy::SourceAndBinary && package.name != *source {
            names.push(package.name.clone());
        }
        Ok(Self { ecosystems: feed.ecosystems, names, version: version.clone() })
    }
}

/// The base ecosystems whose advisories the packages of an image need.
#[must_use]
pub fn ecosystems(inventory: &Inventory) -> BTreeSet<String> {
    let queries =
        inventory.packages.iter().filter_map(|package| Query::about(package, inventory.distro.as_ref()).ok());
    queries.flat_map(|query| query.ecosystems).map(|ecosystem| base(&ecosystem).to_owned()).collect()
}
