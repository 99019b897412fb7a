//! What is known beyond what the formats have fields for: named facts, CycloneDX's properties and SPDX's
//! annotations.
//!
//! | fact | of | value |
//! |---|---|---|
//! | `portcullis:layer:index`, `…:digest`, `…:diffId` | a package | the layer that brought it, 0 = base |
//! | `portcullis:location` | a package, repeated | the path, the one that proves it first |
//! | `portcullis:source` | a package | `name@version` of its source package; the last `@` divides |
//! | `portcullis:ownedBy` | a package | purl of the operating system package that owns its files |
//! | `portcullis:vendoredIn` | a package | purl or directory of the distribution that carries it |
//! | `portcullis:scope` | a package | `build`, where something was only built with it |
//! | `portcullis:guessed` | a package | `true`: its name or version is a guess |
//! | `portcullis:application` | a package | `true`: it is the image's own program |
//! | `portcullis:image:reference`, `…:digest`, `…:platform` | the image | what was asked for, and what of it this is |
//! | `portcullis:doubt` | a package | why advisories cannot be asked about it for sure |
//! | `portcullis:distro:codename`, `…:prettyName` | the distribution | what the formats have no field for |
//! | `portcullis:packages` | the image | how many packages there are, so that one that is taken out is missed |
//! | `portcullis:gaps` | the image | how many gaps there are; 0 says that every known source was read |
//! | `portcullis:gap`, `portcullis:warning` | the image, repeated | JSON: `{path, layer, cataloger, cause}` |
//!
//! Names, versions and paths are escaped as [`escape`] does it; the purl has the name and the version
//! letter for letter.

use std::fmt::Display;

use crate::model::inventory::{LayerRef, Package};
use crate::model::layer::Distro;
use crate::model::path::escape;

use super::{Subject, json};

/// Facts in the making.
#[derive(Default)]
pub(super) struct Facts(Vec<(&'static str, String)>);

impl Facts {
    fn add(&mut self, name: &'static str, value: impl Display) {
        self.0.push((name, value.to_string()));
    }

    fn add_known(&mut self, name: &'static str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }

    /// What is known of a package.
    pub(super) fn of_package(package: &Package) -> Self {
        let mut facts = Self::default();
        let LayerRef { index, digest, diff_id, created_by: _ } = &package.layer;
        facts.add_known("portcullis:layer:index", index.as_ref());
        facts.add_known("portcullis:layer:digest", digest.as_ref());
        facts.add_known("portcullis:layer:diffId", diff_id.as_ref());
        for location in &package.locations {
            facts.add("portcullis:location", location);
        }
        if let Some(source) = &package.source {
            let source = format!("{}@{}", source.name, source.version);
            facts.add("portcullis:source", escape(source.as_bytes()));
        }
        if let Some(owner) = &package.owned_by {
            facts.add("portcullis:ownedBy", owner);
        }
        if let Some(carrier) = &package.vendored_in {
            facts.add("portcullis:vendoredIn", escape(carrier.as_bytes()));
        }
        if let Some(scope) = package.scope.name() {
            facts.add("portcullis:scope", scope);
        }
        if package.guessed {
            facts.add("portcullis:guessed", true);
        }
        if package.application {
            facts.add("portcullis:application", true);
        }
        if let Some(doubt) = &package.doubt {
            facts.add("portcullis:doubt", escape(doubt.as_bytes()));
        }
        facts
    }

    /// What is known of the distribution and has no field; CycloneDX has one for its pretty name.
    pub(super) fn of_distro(distro: &Distro, pretty: bool) -> Self {
        let mut facts = Self::default();
        let known = |text: &Option<String>| text.as_deref().map(|text| escape(text.as_bytes()));
        facts.add_known("portcullis:distro:codename", known(&distro.codename));
        facts.add_known("portcullis:distro:prettyName", known(&distro.pretty_name).filter(|_| pretty));
        facts
    }

    /// What the document as a whole knows and does not know.
    pub(super) fn of_image(subject: &Subject<'_>) -> Result<Self, serde_json::Error> {
        let inventory = subject.inventory;
        let mut facts = Self::default();
        if let Some(reference) = subject.reference {
            facts.add("portcullis:image:reference", reference);
        }
        if let Some(digest) = &subject.image.digest {
            facts.add("portcullis:image:digest", digest);
        }
        facts.add("portcullis:image:platform", escape(subject.platform.platform.to_string().as_bytes()));
        facts.add("portcullis:packages", inventory.packages.len());
        facts.add("portcullis:gaps", inventory.gaps.len());
        for gap in &inventory.gaps {
            facts.add("portcullis:gap", json::line(gap)?);
        }
        for warning in &inventory.warnings {
            facts.add("portcullis:warning", json::line(warning)?);
        }
        Ok(facts)
    }
}

impl IntoIterator for Facts {
    type Item = (&'static str, String);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
