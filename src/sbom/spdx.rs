//! SPDX 2.3 JSON (spdx.github.io/spdx-spec/v2.3). The tests hold it against the SPDX project's own library.

mod index;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::model::digest::Digest;
use crate::model::inventory::Package;
use crate::model::layer::{Distro, Scope};
use crate::model::path::escape;
use crate::model::purl::Purl;

use super::facts::Facts;
use super::license;
use super::{Format, Index, RenderError, Subject, json as text, name};

/// SPDX 2.3 JSON: the image, the packages that it contains, and what needs what.
///
/// What is known beyond the specification stands in annotations, `NAME=VALUE` each: see `facts.rs`. The
/// namespace is made of the content, so that the same image gives the same bytes.
pub(super) struct Spdx;

/// The namespace of document namespaces, a UUID of our own (RFC 9562, 5.5).
const NAMESPACE: Uuid = Uuid::from_u128(0x2d0b_7c0a_36c3_4a0e_8f07_9d4c_51ae_0b92);

/// What a document without a time says: the format must have one.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

const NOTHING: &str = "NOASSERTION";

impl Format for Spdx {
    fn id(&self) -> &'static str {
        "spdx"
    }

    fn summary(&self) -> &'static str {
        "SPDX 2.3 JSON"
    }

    fn extension(&self) -> &'static str {
        "spdx.json"
    }

    fn render(&self, subject: &Subject<'_>) -> Result<Vec<u8>, RenderError> {
        document(subject).and_then(write).map_err(|error| RenderError::new(self, error))
    }

    fn render_index(&self, index: &Index<'_>) -> Result<Vec<u8>, RenderError> {
        index::document(index).and_then(write).map_err(|error| RenderError::new(self, error))
    }
}

/// A document under a namespace that is made of its content.
fn write(mut document: Document) -> Result<Vec<u8>, serde_json::Error> {
    let id = Uuid::new_v5(&NAMESPACE, &serde_json::to_vec(&document)?);
    document.document_namespace = format!("https://portcullis.dev/spdx/{id}");
    text::document(&document)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_document_refs: Vec<Value>,
    document_describes: [&'static str; 1],
    packages: Vec<Described>,
    relationships: Vec<Relationship>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<Value>,
}

/// A package in the words of the format.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    #[serde(rename = "SPDXID")]
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_info: Option<String>,
    supplier: String,
    download_location: &'static str,
    files_analyzed: bool,
    license_concluded: &'static str,
    license_declared: String,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_package_purpose: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";
const SYSTEM: &str = "SPDXRef-OperatingSystem";

fn document(subject: &Subject<'_>) -> Result<Document, serde_json::Error> {
    let maker = Maker::new(subject.timestamp());
    let inventory = subject.inventory;
    let mut licenses = Licenses::default();
    let mut packages = vec![image(subject, IMAGE, maker.notes(Facts::of_image(subject)?))];
    packages.extend(inventory.distro.as_ref().map(|distro| Described {
        annotations: maker.notes(Facts::of_distro(distro, true)),
        ..system(distro)
    }));
    let ids: Vec<String> = inventory.packages.iter().enumerate().map(id).collect();
    for (package, id) in inventory.packages.iter().zip(&ids) {
        packages.push(described(package, id, &mut licenses, maker.notes(Facts::of_package(package))));
    }
    let name = escape(subject.image.reference.as_bytes());
    let name = format!("{name} {}", escape(subject.platform.platform.to_string().as_bytes()));
    Ok(Document {
        packages,
        relationships: relationships(subject, &ids),
        has_extracted_licensing_infos: licenses.extracted(),
        ..maker.document(name)
    })
}

/// What made a document, and when.
struct Maker {
    tool: String,
    created: String,
}

impl Maker {
    fn new(timestamp: Option<String>) -> Self {
        let created = timestamp.unwrap_or_else(|| NO_TIME.to_owned());
        // The format knows whole seconds only.
        let created = match created.split_once('.') {
            Some((seconds, _)) => format!("{seconds}Z"),
            None => created,
        };
        Self { tool: format!("Tool: portcullis-{}", env!("CARGO_PKG_VERSION")), created }
    }

    fn notes(&self, facts: Facts) -> Vec<Value> {
        let note = |(name, value)| {
            json!({
                "annotationDate": self.created, "annotationType": "OTHER", "annotator": self.tool,
                "comment": format!("{name}={value}"),
            })
        };
        facts.into_iter().map(note).collect()
    }

    /// A document about an image, with nothing in it yet.
    fn document(&self, name: String) -> Document {
        Document {
            spdx_version: "SPDX-2.3",
            data_license: "CC0-1.0",
            id: DOCUMENT,
            name,
            document_namespace: String::new(),
            creation_info: json!({"created": self.created, "creators": [self.tool]}),
            external_document_refs: Vec::new(),
            document_describes: [IMAGE],
            packages: Vec::new(),
            relationships: Vec::new(),
            has_extracted_licensing_infos: Vec::new(),
        }
    }
}

/// Letters, digits, dots and hyphens are all that an identifier may have. The number keeps two packages
/// apart; the name is for the reader.
fn id((index, package): (usize, &Package)) -> String {
    let word = |text: &str| -> String {
        text.chars().take(60).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
    };
    format!("SPDXRef-Package-{index}-{}-{}", package.kind, word(&package.name))
}

fn relationships(subject: &Subject<'_>, ids: &[String]) -> Vec<Relationship> {
    let mut relations = vec![relation(DOCUMENT, "DESCRIBES", IMAGE)];
    relations.extend(subject.inventory.distro.as_ref().map(|_| relation(IMAGE, "CONTAINS", SYSTEM)));
    for (package, id) in subject.inventory.packages.iter().zip(ids) {
        relations.push(match package.scope {
            Scope::Runtime => relation(IMAGE, "CONTAINS", id),
            Scope::Build => relation(id, "BUILD_DEPENDENCY_OF", IMAGE),
        });
        match &package.depends_on {
            // That nothing is stated does not mean that nothing is needed.
            None => relations.push(relation(id, "DEPENDS_ON", NOTHING)),
            Some(needs) if needs.is_empty() => relations.push(relation(id, "DEPENDS_ON", "NONE")),
            Some(needs) => {
                let needed = needs.iter().filter_map(|index| ids.get(*index));
                relations.extend(needed.map(|needed| relation(id, "DEPENDS_ON", needed)));
            }
        }
    }
    relations
}

fn relation(from: &str, kind: &'static str, to: &str) -> Relationship {
    Relationship {
        spdx_element_id: from.to_owned(),
        relationship_type: kind,
        related_spdx_element: to.to_owned(),
    }
}

fn plain(id: &str, name: String, version: Option<String>, purpose: Option<&'static str>) -> Described {
    Described {
        id: id.to_owned(),
        name,
        version_info: version,
        supplier: NOTHING.to_owned(),
        download_location: NOTHING,
        files_analyzed: false,
        license_concluded: NOTHING,
        license_declared: NOTHING.to_owned(),
        copyright_text: NOTHING,
        primary_package_purpose: purpose,
        external_refs: Vec::new(),
        annotations: Vec::new(),
    }
}

/// One platform's image.
fn image(subject: &Subject<'_>, id: &str, annotations: Vec<Value>) -> Described {
    let name = name(subject.reference, subject.image);
    container(id, name, subject.platform.digest.as_ref(), subject.purl(), annotations)
}

/// An image, or an index.
fn container(
    id: &str,
    name: String,
    digest: Option<&Digest>,
    purl: Option<Purl>,
    annotations: Vec<Value>,
) -> Described {
    let purl = purl.filter(|purl| purl.check().is_ok());
    Described {
        external_refs: purl.iter().map(|purl| external("purl", &purl.to_string())).collect(),
        annotations,
        ..plain(id, name, digest.map(ToString::to_string), Some("CONTAINER"))
    }
}

fn system(distro: &Distro) -> Described {
    let version = Some(escape(distro.version_id.as_bytes())).filter(|version| !version.is_empty());
    plain(SYSTEM, escape(distro.id.as_bytes()), version, Some("OPERATING-SYSTEM"))
}

fn described(package: &Package, id: &str, licenses: &mut Licenses, annotations: Vec<Value>) -> Described {
    let purpose = if package.application { "APPLICATION" } else { "LIBRARY" };
    let purl = Some(&package.purl).filter(|purl| purl.check().is_ok());
    let references = purl.map(|purl| external("purl", &purl.to_string())).into_iter();
    let cpe = package.cpe.as_deref().map(|cpe| external("cpe23Type", cpe));
    let supplier = package.supplier.as_deref().map(|name| escape(name.as_bytes()));
    Described {
        supplier: supplier.map_or_else(|| NOTHING.to_owned(), |name| format!("Organization: {name}")),
        license_declared: licenses.declare(package),
        external_refs: references.chain(cpe).collect(),
        annotations,
        ..plain(id, escape(package.name.as_bytes()), Some(escape(package.version.as_bytes())), Some(purpose))
    }
}

fn external(kind: &str, locator: &str) -> Value {
    let category = if kind == "purl" { "PACKAGE-MANAGER" } else { "SECURITY" };
    json!({"referenceCategory": category, "referenceType": kind, "referenceLocator": locator})
}

/// Licences that are not on the list, which the document must explain itself: text by reference.
#[derive(Default)]
struct Licenses(BTreeMap<String, String>);

impl Licenses {
    /// The expression, with a reference for what is only known by words. Several licences of which nobody says
    /// whether all of them apply are one reference: an expression would have to say it.
    fn declare(&mut self, package: &Package) -> String {
        let license = license::of(package);
        let declared = license.expression_with(|words| self.refer(words));
        let Some(declared) = declared else {
            let texts: Vec<&str> =
                package.licenses.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
            return if texts.is_empty() { NOTHING.to_owned() } else { self.refer(&texts.join("; ")) };
        };
        // The metadata's own references are to be explained as well (2.3, 10.1), and there is no more to say.
        for word in declared.split([' ', '(', ')']).filter(|word| word.starts_with("LicenseRef-")) {
            self.0.entry(word.to_owned()).or_insert_with(|| match word {
                "LicenseRef-public-domain" => "Public domain".to_owned(),
                word => word.to_owned(),
            });
        }
        declared
    }

    fn refer(&mut self, name: &str) -> String {
        let word: String = name
            .chars()
            .take(40)
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
            .collect();
        // Two texts may look the same after that.
        let digest = Digest::sha256(name.as_bytes());
        let id = format!("LicenseRef-{word}-{}", digest.hex().get(..12).unwrap_or_default());
        self.0.entry(id.clone()).or_insert_with(|| escape(name.as_bytes()));
        id
    }

    fn extracted(self) -> Vec<Value> {
        let info =
            |(id, text): (String, String)| json!({"licenseId": id, "extractedText": text, "name": text});
        self.0.into_iter().map(info).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::license::{Join, License};
    use crate::sbom::fixture::{Fixture, digest};

    fn render(fixture: &Fixture) -> Value {
        serde_json::from_slice(&Spdx.render(&fixture.subject()).unwrap()).unwrap()
    }

    fn notes(package: &Value, name: &str) -> Vec<String> {
        let annotations = package["annotations"].as_array().unwrap().iter();
        let comments = annotations.filter_map(|note| note["comment"].as_str()?.split_once('='));
        comments.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).collect()
    }

    #[test]
    fn the_head_says_what_made_it_of_what_and_when() {
        let document = render(&Fixture::new());
        assert_eq!(document["spdxVersion"], "SPDX-2.3");
        assert_eq!(document["name"], "oci:demo linux/amd64");
        assert_eq!(document["creationInfo"]["created"], "2026-01-15T09:00:00Z");
        assert!(document["documentNamespace"].as_str().unwrap().starts_with("https://portcullis.dev/spdx/"));
        let image = &document["packages"][0];
        assert_eq!((&image["SPDXID"], &image["primaryPackagePurpose"]), (&json!(IMAGE), &json!("CONTAINER")));
        assert_eq!(image["versionInfo"], digest("manifest").to_string());
        assert_eq!(notes(image, "portcullis:gaps"), ["0"]);
    }

    #[test]
    fn a_document_without_a_time_says_so_by_one_that_is_none() {
        let mut fixture = Fixture::new();
        fixture.created("");
        assert_eq!(render(&fixture)["creationInfo"]["created"], NO_TIME);
        fixture.created("2026-01-15T09:00:00.123Z");
        assert_eq!(render(&fixture)["creationInfo"]["created"], "2026-01-15T09:00:00Z");
    }

    #[test]
    fn a_package_has_its_facts_its_licence_and_what_it_needs() {
        let mut fixture = Fixture::new();
        fixture.inventory.packages[0].depends_on = Some([2].into());
        fixture.inventory.packages[1].depends_on = Some([].into());
        fixture.inventory.packages[3].scope = Scope::Build;
        let document = render(&fixture);
        // The image and the distribution come first.
        let package = |index: usize| &document["packages"][index + 2];
        assert_eq!(package(0)["licenseDeclared"], "Apache-2.0");
        assert_eq!(notes(package(0), "portcullis:source"), ["openssl@3.0.11-1"]);
        assert_eq!(notes(package(0), "portcullis:layer:index"), ["0"]);
        assert!(
            package(0)["externalRefs"][0]["referenceLocator"]
                .as_str()
                .unwrap()
                .starts_with("pkg:deb/debian/")
        );
        let words = package(1)["licenseDeclared"].as_str().unwrap();
        assert!(words.starts_with("LicenseRef-MIT--Apache-2.0-OR-MIT--Expat-"), "{words}");
        let id = |index: usize| package(index)["SPDXID"].as_str().unwrap();
        let relations: Vec<String> = document["relationships"]
            .as_array()
            .unwrap()
            .iter()
            .map(|relation| {
                let text = |key: &str| relation[key].as_str().unwrap();
                format!(
                    "{} {} {}",
                    text("spdxElementId"),
                    text("relationshipType"),
                    text("relatedSpdxElement")
                )
            })
            .collect();
        assert!(relations.contains(&format!("{} DEPENDS_ON {}", id(0), id(2))));
        assert!(relations.contains(&format!("{} DEPENDS_ON NONE", id(1))));
        assert!(relations.contains(&format!("{} DEPENDS_ON NOASSERTION", id(2))));
        assert!(relations.contains(&format!("{} BUILD_DEPENDENCY_OF {IMAGE}", id(3))));
    }

    #[test]
    fn every_reference_to_a_licence_is_explained() {
        let mut fixture = Fixture::new();
        let texts = ["MIT".to_owned(), "LicenseRef-public-domain".to_owned(), "do \u{1b} it".to_owned()];
        fixture.inventory.packages[0].license = License::of_spdx(&texts, Join::All);
        fixture.inventory.packages[0].licenses = vec!["as they wrote it".to_owned()];
        fixture.inventory.packages[1].licenses = vec!["LicenseRef-Acme OR MIT".to_owned()];
        fixture.inventory.packages[2].licenses = Vec::new();
        let document = render(&fixture);
        let declared = |index: usize| document["packages"][index + 2]["licenseDeclared"].as_str().unwrap();
        assert!(declared(0).starts_with("MIT AND LicenseRef-public-domain AND LicenseRef-do---it-"));
        assert_eq!((declared(1), declared(2)), ("LicenseRef-Acme OR MIT", NOTHING));
        let explained = document["hasExtractedLicensingInfos"].as_array().unwrap();
        let of = |id: &str| {
            let found = explained.iter().find(|info| info["licenseId"].as_str().unwrap().starts_with(id));
            found.unwrap()["extractedText"].as_str().unwrap()
        };
        assert_eq!(of("LicenseRef-public-domain"), "Public domain");
        assert_eq!(of("LicenseRef-Acme"), "LicenseRef-Acme");
        assert_eq!(of("LicenseRef-do"), "do \\u{1b} it");
        assert_eq!(explained.len(), 3);
        assert_eq!(notes(&document["packages"][2], "portcullis:license"), ["as they wrote it"]);
    }

    #[test]
    fn what_is_not_known_stands_in_the_document() {
        let document = render(&Fixture::hostile());
        let gaps = notes(&document["packages"][0], "portcullis:gap");
        assert_eq!(gaps.len(), 2);
        assert_eq!(serde_json::from_str::<Value>(&gaps[0]).unwrap()["path"], "a\\u{1b}\\xff");
    }
}
