//! Our own document, `portcullis.dev/inventory/v1`: the inventory as it is, nothing translated.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::base::Base;
use crate::model::digest::Digest;
use crate::model::evidence::ImageIdentity;
use crate::model::fault::Gap;
use crate::model::inventory::{LayerRef, Package, Removed, SourcePackage};
use crate::model::layer::Distro;
use crate::model::path::ImagePath;
use crate::model::platform::Platform;
use crate::model::purl::Purl;

use super::facts::{Step, steps};
use super::{Format, Index, Listed, RenderError, Subject, json, license};

const SCHEMA: &str = "portcullis.dev/inventory/v1";
const INDEX_SCHEMA: &str = "portcullis.dev/inventory-index/v1";

/// `portcullis.dev/inventory/v1` (design §4). Names and versions are letter for letter those of the
/// metadata; paths are as [`ImagePath`] displays them, for a file name need not be text. It has no time:
/// what is in an image does not depend on when one looks.
pub(super) struct InventoryJson;

impl Format for InventoryJson {
    fn id(&self) -> &'static str {
        "inventory"
    }

    fn summary(&self) -> &'static str {
        "portcullis' own JSON: every fact of the inventory, and its gaps"
    }

    fn extension(&self) -> &'static str {
        "inventory.json"
    }

    fn render(&self, subject: &Subject<'_>) -> Result<Vec<u8>, RenderError> {
        json::document(&Document::of(subject)).map_err(|error| RenderError::new(self, error))
    }

    fn render_index(&self, index: &Index<'_>) -> Result<Vec<u8>, RenderError> {
        json::document(&IndexDocument::of(index)).map_err(|error| RenderError::new(self, error))
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    image: Image<'a>,
    /// What it was built upon, where that can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<&'a Base>,
    distro: Option<&'a Distro>,
    layers: Vec<Step<'a>>,
    packages: Vec<Row<'a>>,
    /// What a layer brought and a later one took away; its bytes are still there.
    removed: &'a [Removed],
    gaps: &'a [Gap],
    /// Oddities that hide no package.
    warnings: &'a [Gap],
}

/// An index: its platforms, and the documents that tell what is in them.
#[derive(Serialize)]
struct IndexDocument<'a> {
    schema: &'static str,
    image: &'a ImageIdentity,
    platforms: Vec<PlatformRow<'a>>,
}

#[derive(Serialize)]
struct PlatformRow<'a> {
    platform: &'a Platform,
    /// Digest of the platform's manifest.
    manifest: Option<&'a Digest>,
    /// How many packages and gaps its document has.
    packages: usize,
    gaps: usize,
    document: File<'a>,
}

#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    digest: Digest,
}

impl<'a> IndexDocument<'a> {
    fn of(index: &'a Index<'a>) -> Self {
        let row = |listed: &'a Listed<'a>| {
            let Subject { platform, inventory, .. } = listed.subject;
            PlatformRow {
                platform: &platform.platform,
                manifest: platform.digest.as_ref(),
                packages: inventory.packages.len(),
                gaps: inventory.gaps.len(),
                document: File { name: &listed.file, digest: Digest::sha256(&listed.document) },
            }
        };
        Self {
            schema: INDEX_SCHEMA,
            image: index.image,
            platforms: index.platforms.iter().map(row).collect(),
        }
    }
}

#[derive(Serialize)]
struct Image<'a> {
    /// What the user gave.
    reference: &'a str,
    /// Digest of what the reference led to: a manifest or an index.
    digest: Option<&'a Digest>,
    platform: &'a Platform,
    /// Digest of the platform's manifest, which is the other digest unless that is of an index. A
    /// docker-archive has no manifest; there both are of the config.
    manifest: Option<&'a Digest>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    purl: &'a Purl,
    name: &'a str,
    version: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    source: Option<&'a SourcePackage>,
    licenses: &'a [String],
    /// The SPDX expression that they are, where that is certain.
    license: Option<String>,
    layer: Layer<'a>,
    locations: &'a [ImagePath],
    #[serde(skip_serializing_if = "Option::is_none")]
    owned_by: Option<&'a Purl>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vendored_in: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    application: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    guessed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpe: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doubt: Option<&'a str>,
    /// Indexes into `packages`.
    #[serde(skip_serializing_if = "Option::is_none")]
    depends_on: Option<&'a BTreeSet<usize>>,
}

/// A layer without the step that made it: that would stand once a package, and the image's config has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Layer<'a> {
    index: Option<usize>,
    digest: Option<&'a Digest>,
    diff_id: Option<&'a Digest>,
}

impl<'a> Document<'a> {
    fn of(subject: &Subject<'a>) -> Self {
        let inventory = subject.inventory;
        Self {
            schema: SCHEMA,
            image: Image {
                reference: &subject.image.reference,
                digest: subject.image.digest.as_ref(),
                platform: &subject.platform.platform,
                manifest: subject.platform.digest.as_ref(),
            },
            base: subject.base,
            distro: inventory.distro.as_ref(),
            layers: steps(subject.platform),
            packages: inventory.packages.iter().map(Row::of).collect(),
            removed: &inventory.removed,
            gaps: &inventory.gaps,
            warnings: &inventory.warnings,
        }
    }
}

impl<'a> Row<'a> {
    fn of(package: &'a Package) -> Self {
        let LayerRef { index, digest, diff_id, created_by: _ } = &package.layer;
        Self {
            purl: &package.purl,
            name: &package.name,
            version: &package.version,
            kind: package.kind,
            source: package.source.as_ref(),
            licenses: &package.licenses,
            license: license::of(package).expression(),
            layer: Layer { index: *index, digest: digest.as_ref(), diff_id: diff_id.as_ref() },
            locations: &package.locations,
            owned_by: package.owned_by.as_ref(),
            vendored_in: package.vendored_in.as_deref(),
            scope: package.scope.name(),
            application: package.application,
            guessed: package.guessed,
            cpe: package.cpe.as_deref(),
            supplier: package.supplier.as_deref(),
            doubt: package.doubt.as_deref(),
            depends_on: package.depends_on.as_ref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::sbom::fixture::{Fixture, digest};

    fn render(fixture: &Fixture) -> Value {
        serde_json::from_slice(&InventoryJson.render(&fixture.subject()).unwrap()).unwrap()
    }

    #[test]
    fn a_package_has_the_fields_of_the_contract() {
        let document = render(&Fixture::new());
        assert_eq!(
            document["packages"][0],
            json!({
                "purl": "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12", "name": "libssl3",
                "version": "3.0.11-1", "type": "deb", "source": {"name": "openssl", "version": "3.0.11-1"},
                "licenses": ["Apache-2.0"], "license": "Apache-2.0",
                "layer": {"index": 0, "digest": digest("blob 0").to_string(), "diffId": digest("tar 0").to_string()},
                "locations": ["var/lib/dpkg/status"],
            })
        );
        let marks = |n: usize| {
            let package = document["packages"][n].as_object().unwrap();
            package.keys().skip(9).map(String::as_str).collect::<Vec<_>>()
        };
        assert_eq!(document["packages"][1]["license"], Value::Null);
        assert_eq!(marks(1), ["vendoredIn"]);
        assert_eq!(marks(2), ["ownedBy"]);
        assert_eq!(marks(3), ["application"]);
    }

    #[test]
    fn the_head_names_the_image_and_its_platform() {
        let document = render(&Fixture::new());
        let keys: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["schema", "image", "distro", "layers", "packages", "removed", "gaps", "warnings"]);
        assert_eq!(document["schema"], "portcullis.dev/inventory/v1");
        assert_eq!(document["image"]["reference"], "oci:demo");
        assert_eq!(document["image"]["digest"], digest("index").to_string());
        assert_eq!(document["image"]["platform"], "linux/amd64");
        assert_eq!(document["image"]["manifest"], digest("manifest").to_string());
        assert_eq!(document["distro"]["id"], "debian");
    }

    #[test]
    fn gaps_say_where_who_and_why() {
        let document = render(&Fixture::hostile());
        assert_eq!(
            document["gaps"][0],
            json!({"path": "a\\u{1b}\\xff", "layer": 1, "cataloger": "rpm", "cause": "no \"cataloger\"\nyet \u{202e}"})
        );
    }

    #[test]
    fn names_are_letter_for_letter_those_of_the_metadata() {
        let document = render(&Fixture::hostile());
        assert_eq!(document["packages"][0]["name"], "we\u{1b}ird\r\n\u{202e}\\name");
    }
}
