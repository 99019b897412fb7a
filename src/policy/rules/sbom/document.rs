//! What an attested SBOM document says of packages, as far as the rule asks. Nothing is kept of it but package URLs.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::model::predicate::{CYCLONEDX, SPDX};
use crate::policy::signed::quoted;

/// The formats of SBOM documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    CycloneDx,
    Spdx,
}

impl Format {
    pub(super) const ALL: [Self; 2] = [Self::CycloneDx, Self::Spdx];

    /// What it is called in policies.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::CycloneDx => "cyclonedx",
            Self::Spdx => "spdx",
        }
    }

    /// The format that a predicate type announces. Some tools write its version behind it (`…/Document/v2.3`).
    pub(super) fn of(predicate_type: &str) -> Option<Self> {
        let is = |uri: &str| {
            predicate_type
                .strip_prefix(uri)
                .is_some_and(|rest| rest.is_empty() || rest.strip_prefix("/v").is_some_and(is_version))
        };
        let format = |format: Self, uri| is(uri).then_some(format);
        format(Self::CycloneDx, CYCLONEDX).or_else(|| format(Self::Spdx, SPDX))
    }
}

/// `2.3`: digits and dots.
fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// What a document says.
#[derive(Debug, Default)]
pub(super) struct Document {
    /// How many packages it names, the image itself and its files not counted.
    pub(super) packages: usize,
    /// The package URLs of what is there, as they are written.
    pub(super) purls: Vec<String>,
}

impl Document {
    /// Reads a predicate.
    ///
    /// # Errors
    /// Why it is no document of the format: what an attestation does, for a sentence that begins with it.
    pub(super) fn read(format: Format, predicate: &Value) -> Result<Self, String> {
        match (format, predicate) {
            (Format::CycloneDx, _) => CycloneDx::deserialize(predicate)
                .map_err(|error| none(format, &error))
                .and_then(CycloneDx::read),
            // cosign's type `spdx`: the document as it stands in the file, JSON or tags.
            (Format::Spdx, Value::String(text)) if text.trim_start().starts_with('{') => {
                serde_json::from_str::<Spdx>(text).map_err(|error| none(format, &error)).and_then(Spdx::read)
            }
            (Format::Spdx, Value::String(text)) => tags(text).read(),
            (Format::Spdx, _) => {
                Spdx::deserialize(predicate).map_err(|error| none(format, &error)).and_then(Spdx::read)
            }
        }
    }

    fn add(&mut self, is_package: bool, purls: impl Iterator<Item = String>) {
        self.packages += usize::from(is_package);
        self.purls.extend(purls);
    }
}

fn none(format: Format, error: &serde_json::Error) -> String {
    format!("is no document of the format {}: {}", format.word(), quoted(&error.to_string()))
}

/// Null is as good as nothing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(source: D) -> Result<T, D::Error> {
    Option::deserialize(source).map(Option::unwrap_or_default)
}

/// The image is no package of its own.
fn is_image(purl: &str) -> bool {
    purl.starts_with("pkg:oci/") || purl.starts_with("pkg:docker/")
}

/// CycloneDX 1.x (cyclonedx.org/docs).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CycloneDx {
    bom_format: String,
    spec_version: String,
    #[serde(default, deserialize_with = "or_default")]
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    components: Vec<Component>,
}

#[derive(Deserialize, Default)]
struct Metadata {
    component: Option<Component>,
}

#[derive(Deserialize)]
struct Component {
    #[serde(rename = "type", default, deserialize_with = "or_default")]
    kind: String,
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    scope: String,
    purl: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    components: Vec<Self>,
}

/// Types of components that are packages though they have no package URL.
const PACKAGES: [&str; 4] = ["library", "application", "framework", "platform"];

impl CycloneDx {
    fn read(self) -> Result<Document, String> {
        if self.bom_format != "CycloneDX" {
            return Err(format!("has the `bomFormat` {}", quoted(&self.bom_format)));
        }
        if !self.spec_version.strip_prefix("1.").is_some_and(is_version) {
            return Err(format!("is of the unknown version {} of CycloneDX", quoted(&self.spec_version)));
        }
        let mut document = Document::default();
        // The image, or its own program.
        document.add(false, self.metadata.component.into_iter().filter_map(|component| component.purl));
        // Nesting was bounded when the bytes were parsed; here it is walked without.
        let mut left = self.components;
        while let Some(component) = left.pop() {
            left.extend(component.components);
            // Attack: a component that is said not to be part of what is delivered, and is.
            if component.scope == "excluded" {
                continue;
            }
            let is_package = match &component.purl {
                Some(purl) => !is_image(purl),
                None => PACKAGES.contains(&component.kind.as_str()) && !component.name.is_empty(),
            };
            document.add(is_package, component.purl.into_iter());
        }
        Ok(document)
    }
}

/// SPDX 2.x (spdx.github.io/spdx-spec/v2.3).
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Spdx {
    spdx_version: String,
    #[serde(default, deserialize_with = "or_default")]
    document_describes: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    packages: Vec<SpdxPackage>,
    #[serde(default, deserialize_with = "or_default")]
    relationships: Vec<Relationship>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct SpdxPackage {
    #[serde(rename = "SPDXID", default, deserialize_with = "or_default")]
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    primary_package_purpose: String,
    #[serde(default, deserialize_with = "or_default")]
    external_refs: Vec<External>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct External {
    #[serde(default, deserialize_with = "or_default")]
    reference_type: String,
    #[serde(default, deserialize_with = "or_default")]
    reference_locator: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    #[serde(default, deserialize_with = "or_default")]
    spdx_element_id: String,
    #[serde(default, deserialize_with = "or_default")]
    relationship_type: String,
    #[serde(default, deserialize_with = "or_default")]
    related_spdx_element: String,
}

const DOCUMENT: &str = "SPDXRef-DOCUMENT";

impl Spdx {
    fn read(self) -> Result<Document, String> {
        if !self.spdx_version.strip_prefix("SPDX-2.").is_some_and(is_version) {
            return Err(format!("is of the unknown version {} of SPDX", quoted(&self.spdx_version)));
        }
        let described = self.relationships.into_iter().filter_map(|relation| {
            match (relation.relationship_type.as_str(), relation.spdx_element_id.as_str()) {
                ("DESCRIBES", DOCUMENT) => Some(relation.related_spdx_element),
                ("DESCRIBED_BY", _) if relation.related_spdx_element == DOCUMENT => {
                    Some(relation.spdx_element_id)
                }
                _ => None,
            }
        });
        let described: BTreeSet<String> = self.document_describes.into_iter().chain(described).collect();
        let mut document = Document::default();
        for package in self.packages {
            let is_named = !package.name.is_empty() && !described.contains(&package.id);
            let is_other = ["CONTAINER", "FILE", "OPERATING-SYSTEM", "OPERATING_SYSTEM"]
                .contains(&package.primary_package_purpose.as_str());
            let purls: Vec<String> = package
                .external_refs
                .into_iter()
                .filter(|external| external.reference_type.rsplit('/').next() == Some("purl"))
                .map(|external| external.reference_locator)
                .collect();
            let is_package = match purls.as_slice() {
                [] => is_named && !is_other,
                purls => !purls.iter().all(|purl| is_image(purl)),
            };
            document.add(is_package, purls.into_iter());
        }
        Ok(document)
    }
}

/// SPDX as tags and values (SPDX 2.3, clause 4 and annex D): a line each, texts over several lines in `<text>`.
fn tags(text: &str) -> Spdx {
    let mut document = Spdx::default();
    // The package that lines are about; none in front of the first and behind the last.
    let mut open = false;
    let mut quoted = false;
    for line in text.lines() {
        // Attack: a package that stands in a comment.
        if quoted {
            quoted = !line.contains("</text>");
            continue;
        }
        let Some((tag, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        quoted = value.starts_with("<text>") && !value.contains("</text>");
        match tag.trim() {
            "SPDXVersion" if document.spdx_version.is_empty() => document.spdx_version = value.to_owned(),
            "PackageName" => {
                document.packages.push(SpdxPackage { name: value.to_owned(), ..SpdxPackage::default() });
                open = true;
            }
            "FileName" | "SnippetSPDXID" | "LicenseID" => open = false,
            "Relationship" => {
                let mut words = value.split_whitespace().map(str::to_owned);
                if let (Some(from), Some(kind), Some(to)) = (words.next(), words.next(), words.next()) {
                    document.relationships.push(Relationship {
                        spdx_element_id: from,
                        relationship_type: kind,
                        related_spdx_element: to,
                    });
                }
            }
            tag if open => package_tag(&mut document, tag, value),
            _ => {}
        }
    }
    document
}

fn package_tag(document: &mut Spdx, tag: &str, value: &str) {
    let Some(package) = document.packages.last_mut() else { return };
    match tag {
        "SPDXID" => package.id = value.to_owned(),
        "PrimaryPackagePurpose" => package.primary_package_purpose = value.to_owned(),
        "ExternalRef" => {
            let mut words = value.split_whitespace().skip(1).map(str::to_owned);
            if let (Some(reference_type), Some(reference_locator)) = (words.next(), words.next()) {
                package.external_refs.push(External { reference_type, reference_locator });
            }
        }
        _ => {}
    }
}
