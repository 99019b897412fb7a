//! What is known beyond what the formats have fields for: named facts, CycloneDX's properties and SPDX's
//! annotations.
//!
//! | fact | of | value |
//! |---|---|---|
//! | `portcullis:layer:index`, `…:digest`, `…:diffId` | a package | the layer that brought it, 0 = base |
//! | `portcullis:location` | a package, repeated | the path, the one that proves it first |
//! | `portcullis:source` | a package | `name@version` of its source package; the last `@` divides |
//! | `portcullis:license` | a package, repeated | the licence as the metadata writes it, where the document's own field has it otherwise |
//! | `portcullis:ownedBy` | a package | purl of the operating system package that owns its files |
//! | `portcullis:vendoredIn` | a package | purl or directory of the distribution that carries it |
//! | `portcullis:scope` | a package | `build`, where something was only built with it |
//! | `portcullis:guessed` | a package | `true`: its name or version is a guess |
//! | `portcullis:application` | a package | `true`: it is the image's own program |
//! | `portcullis:image:reference`, `…:digest`, `…:platform` | the image | what was asked for, and what of it this is |
//! | `portcullis:base` | the image | JSON: what it was built upon, and how that was told (`by`) |
//! | `portcullis:platforms` | an index | how many platforms it has; the document of an index has no packages |
//! | `portcullis:step` | the image, repeated | JSON: `{index, digest, diffId, size, createdBy}` of a layer |
//! | `portcullis:removed` | the image, repeated | JSON: a package that a later layer took away, as in `inventory` |
//! | `portcullis:doubt` | a package | why advisories cannot be asked about it for sure |
//! | `portcullis:distro:codename`, `…:prettyName` | the distribution | what the formats have no field for |
//! | `portcullis:packages` | the image | how many packages there are, so that one that is taken out is missed |
//! | `portcullis:gaps` | the image | how many gaps there are; 0 says that every known source was read |
//! | `portcullis:gap`, `portcullis:warning` | the image, repeated | JSON: `{path, layer, cataloger, cause}` |
//!
//! Names, versions and paths are escaped as [`escape`] does it; the purl has the name and the version
//! letter for letter.

use std::fmt::Display;

use serde::Serialize;

use crate::model::config::ImageConfig;
use crate::model::digest::Digest;
use crate::model::evidence::{ImageIdentity, LayerEvidence, PlatformEvidence};
use crate::model::inventory::{LayerRef, Package};
use crate::model::layer::Distro;
use crate::model::path::escape;
use crate::model::reference::Reference;

use super::{Index, Listed, Subject, json, license};

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
        let expression = license::of(package).expression();
        let is_said = |text: &String| package.licenses.len() == 1 && expression.as_ref() == Some(text);
        for text in package.licenses.iter().filter(|text| !is_said(text)) {
            facts.add("portcullis:license", escape(text.as_bytes()));
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

    /// Which image it is.
    fn of_identity(image: &ImageIdentity, reference: Option<&Reference>) -> Self {
        let mut facts = Self::default();
        facts.add_known("portcullis:image:reference", reference);
        facts.add_known("portcullis:image:digest", image.digest.as_ref());
        facts
    }

    /// What the document of an index knows of it.
    pub(super) fn of_index(index: &Index<'_>) -> Self {
        let mut facts = Self::of_identity(index.image, index.reference);
        facts.add("portcullis:platforms", index.platforms.len());
        facts
    }

    /// What the document of an index knows of a platform; the rest stands in the platform's own.
    pub(super) fn of_listed(listed: &Listed<'_>) -> Self {
        let Subject { platform, inventory, .. } = listed.subject;
        let mut facts = Self::default();
        facts.add("portcullis:image:platform", escape(platform.platform.to_string().as_bytes()));
        facts.add("portcullis:packages", inventory.packages.len());
        facts.add("portcullis:gaps", inventory.gaps.len());
        facts
    }

    /// What the document as a whole knows and does not know.
    pub(super) fn of_image(subject: &Subject<'_>) -> Result<Self, serde_json::Error> {
        let inventory = subject.inventory;
        let mut facts = Self::of_identity(subject.image, subject.reference);
        facts.add("portcullis:image:platform", escape(subject.platform.platform.to_string().as_bytes()));
        if let Some(base) = subject.base {
            facts.add("portcullis:base", json::line(base)?);
        }
        for step in steps(subject.platform) {
            facts.add("portcullis:step", json::line(&step)?);
        }
        for removed in &inventory.removed {
            facts.add("portcullis:removed", json::line(removed)?);
        }
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

/// A layer, and the build step that made it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Step<'a> {
    index: usize,
    digest: &'a Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff_id: Option<&'a Digest>,
    size: u64,
    /// Such as a Dockerfile line, where the history tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_by: Option<&'a str>,
}

/// The layers of a platform, base first; none where they are not known.
pub(super) fn steps(platform: &PlatformEvidence) -> Vec<Step<'_>> {
    let config = platform.config.known();
    let made = config.map(ImageConfig::layer_steps).unwrap_or_default();
    let layers = platform.layers.known().into_iter().flatten().enumerate();
    layers
        .map(|(index, LayerEvidence { digest, size })| Step {
            index,
            digest,
            diff_id: config.and_then(|config| config.rootfs.diff_ids.get(index)),
            size: *size,
            created_by: made.get(index).and_then(|step| step.created_by.as_deref()),
        })
        .collect()
}

impl IntoIterator for Facts {
    type Item = (&'static str, String);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
