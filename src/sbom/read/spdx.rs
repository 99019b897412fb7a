//! SPDX 2.2 and 2.3 JSON (spdx.github.io/spdx-spec/v2.3), as far as it tells of packages.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::part::Part;
use super::{Raw, ReadError, Relation, or_default, parse};

#[derive(Deserialize)]
struct Bom {
    #[serde(rename = "creationInfo", default, deserialize_with = "or_default")]
    creation: Creation,
    #[serde(rename = "documentDescribes", default, deserialize_with = "or_default")]
    describes: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    packages: Vec<Described>,
    #[serde(default, deserialize_with = "or_default")]
    files: Vec<Named>,
    #[serde(default, deserialize_with = "or_default")]
    relationships: Vec<Relationship>,
    #[serde(rename = "hasExtractedLicensingInfos", default, deserialize_with = "or_default")]
    licenses: Vec<Extracted>,
}

#[derive(Deserialize, Default)]
struct Creation {
    #[serde(default, deserialize_with = "or_default")]
    creators: Vec<String>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "SPDXID")]
    id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    #[serde(rename = "SPDXID", default)]
    id: String,
    #[serde(default)]
    name: String,
    version_info: Option<String>,
    supplier: Option<String>,
    license_declared: Option<String>,
    source_info: Option<String>,
    primary_package_purpose: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    external_refs: Vec<External>,
    #[serde(default, deserialize_with = "or_default")]
    annotations: Vec<Annotation>,
    #[serde(default, deserialize_with = "or_default")]
    attribution_texts: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct External {
    #[serde(default)]
    reference_type: String,
    #[serde(default)]
    reference_locator: String,
}

#[derive(Deserialize)]
struct Annotation {
    #[serde(default, deserialize_with = "or_default")]
    comment: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: String,
    related_spdx_element: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Extracted {
    license_id: String,
    extracted_text: Option<String>,
}

/// Reads a document that is known to be strict JSON.
///
/// # Errors
/// [`ReadError`] where a field that matters is of another type than the specification says.
pub(super) fn read(bytes: &[u8], version: &str) -> Result<Raw, ReadError> {
    let bom: Bom = parse(bytes)?;
    let mut raw = Raw { format: format!("SPDX {version}"), ..Raw::default() };
    let tools = bom.creation.creators.iter().filter_map(|creator| creator.strip_prefix("Tool:"));
    raw.tools = tools.map(|tool| tool.trim().to_owned()).collect();
    raw.others.extend(bom.files.into_iter().filter_map(|file| file.id));
    let mut described: BTreeSet<String> = bom.describes.into_iter().collect();
    for relation in bom.relationships {
        relate(relation, &mut raw, &mut described);
    }
    let licenses: BTreeMap<String, String> = bom
        .licenses
        .into_iter()
        .filter_map(|license| Some((license.license_id, license.extracted_text?)))
        .collect();
    for package in bom.packages {
        // Attack: a package that calls itself the image, or the distribution, to be no package.
        let is_package = package.external("purl").is_some_and(|purl| !purl.starts_with("pkg:oci/"));
        let is_image = !is_package && described.contains(&package.id) && package.is_image();
        let (system, listed) = (!is_package && package.is_system(), package.is_list());
        // Attack: a second purl, that of the package that it really is. Each is one, and contradicts the name or not.
        let mut purls = package.purls();
        let first = purls.next().map(str::to_owned);
        let others: BTreeSet<String> =
            purls.filter(|purl| Some(*purl) != first.as_deref()).map(str::to_owned).collect();
        let part = package.part(&licenses);
        let more = others.into_iter().map(|purl| Part { purl: Some(purl), reference: None, ..part.clone() });
        raw.parts.extend(more);
        if is_image || system || listed {
            raw.others.extend(part.reference.clone());
        }
        if is_image && raw.image.is_none() {
            raw.image = Some(part);
        } else if system {
            raw.systems.push(part);
        } else if !listed {
            raw.parts.push(part);
        }
    }
    Ok(raw)
}

/// Takes over what says of two packages that one needs the other, in either direction.
fn relate(relation: Relationship, raw: &mut Raw, described: &mut BTreeSet<String>) {
    let Relationship { spdx_element_id: from, relationship_type: kind, related_spdx_element: to } = relation;
    match (kind.as_str(), to.as_str()) {
        ("DESCRIBES", _) => drop(described.insert(to)),
        ("DEPENDS_ON", "NOASSERTION") => {}
        ("DEPENDS_ON", "NONE") => raw.relations.push(Relation { of: from, needs: Vec::new() }),
        ("DEPENDS_ON", _) => raw.relations.push(Relation { of: from, needs: vec![to] }),
        ("DEPENDENCY_OF" | "RUNTIME_DEPENDENCY_OF", _) => {
            raw.relations.push(Relation { of: to, needs: vec![from] });
        }
        _ => {}
    }
}

impl Described {
    fn purpose(&self, purpose: &str) -> bool {
        self.primary_package_purpose.as_deref() == Some(purpose)
    }

    /// The image: what the document describes, where it says so. 2.2 has no field for that.
    fn is_image(&self) -> bool {
        let purl = self.external("purl");
        self.purpose("CONTAINER")
            || purl.is_some_and(|purl| purl.starts_with("pkg:oci/"))
            || (purl.is_none() && self.id.contains("Image"))
    }

    fn is_system(&self) -> bool {
        self.purpose("OPERATING-SYSTEM")
            || (self.external("purl").is_none() && self.id.starts_with("SPDXRef-OperatingSystem"))
    }

    /// A lock file that Trivy lists as an application.
    fn is_list(&self) -> bool {
        self.external("purl").is_none()
            && self.version_info.is_none()
            && self.id.starts_with("SPDXRef-Application-")
    }

    fn purls(&self) -> impl Iterator<Item = &str> {
        let purls = self.external_refs.iter().filter(|external| external.reference_type == "purl");
        purls.map(|external| external.reference_locator.as_str())
    }

    fn external(&self, kind: &str) -> Option<&str> {
        let found = self.external_refs.iter().find(|external| external.reference_type == kind);
        found.map(|external| external.reference_locator.as_str())
    }

    fn part(self, licenses: &BTreeMap<String, String>) -> Part {
        let notes = self.annotations.iter().map(|note| note.comment.as_str());
        let notes = notes.chain(self.attribution_texts.iter().map(String::as_str));
        // Ours are `NAME=VALUE`, Trivy's `NAME: VALUE`.
        let facts = notes.filter_map(|note| {
            let divided =
                if note.starts_with("portcullis:") { note.split_once('=') } else { note.split_once(": ") };
            divided.map(|(name, value)| (name.to_owned(), value.to_owned()))
        });
        let facts: Vec<(String, String)> = facts.collect();
        let supplier = self.supplier.as_deref().and_then(|text| {
            text.strip_prefix("Organization: ").or_else(|| text.strip_prefix("Person: ")).map(str::to_owned)
        });
        Part {
            purl: self.external("purl").map(str::to_owned),
            cpe: self.external("cpe23Type").map(str::to_owned),
            licenses: self
                .license_declared
                .as_deref()
                .and_then(|text| declared(text, licenses))
                .into_iter()
                .collect(),
            reference: Some(self.id),
            group: None,
            name: self.name,
            version: self.version_info,
            supplier,
            facts,
            source_info: self.source_info,
        }
    }
}

/// What a declaration says: an expression as it stands, or the words that its one reference stands for.
fn declared(text: &str, licenses: &BTreeMap<String, String>) -> Option<String> {
    match text {
        "" | "NOASSERTION" | "NONE" => None,
        _ => Some(licenses.get(text).cloned().unwrap_or_else(|| text.to_owned())),
    }
}
