//! CycloneDX JSON (cyclonedx.org/docs), as far as it tells of packages.

use serde::Deserialize;

use super::part::Part;
use super::{Raw, ReadError, Relation, or_default, parse};

#[derive(Deserialize)]
struct Bom {
    #[serde(default, deserialize_with = "or_default")]
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    components: Vec<Component>,
    #[serde(default, deserialize_with = "or_default")]
    dependencies: Vec<Dependency>,
    #[serde(default, deserialize_with = "or_default")]
    services: Vec<Service>,
}

#[derive(Deserialize, Default)]
struct Metadata {
    #[serde(default, deserialize_with = "or_default")]
    tools: Tools,
    component: Option<Component>,
}

/// Up to 1.4 a list, since then components and services.
#[derive(Deserialize)]
#[serde(untagged)]
enum Tools {
    List(Vec<Named>),
    Parts {
        #[serde(default, deserialize_with = "or_default")]
        components: Vec<Named>,
    },
}

impl Default for Tools {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Service {
    #[serde(rename = "bom-ref")]
    reference: Option<String>,
}

#[derive(Deserialize)]
struct Component {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(rename = "bom-ref")]
    reference: Option<String>,
    group: Option<String>,
    #[serde(default)]
    name: String,
    version: Option<String>,
    description: Option<String>,
    purl: Option<String>,
    cpe: Option<String>,
    supplier: Option<Named>,
    #[serde(default, deserialize_with = "or_default")]
    licenses: Vec<LicenseChoice>,
    #[serde(default, deserialize_with = "or_default")]
    properties: Vec<Property>,
    #[serde(default, deserialize_with = "or_default")]
    components: Vec<Self>,
}

#[derive(Deserialize)]
struct LicenseChoice {
    license: Option<License>,
    expression: Option<String>,
}

#[derive(Deserialize)]
struct License {
    id: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Property {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    value: String,
}

#[derive(Deserialize)]
struct Dependency {
    #[serde(rename = "ref")]
    of: String,
    #[serde(rename = "dependsOn", default, deserialize_with = "or_default")]
    needs: Vec<String>,
}

/// Reads a document that is known to be strict JSON.
///
/// # Errors
/// [`ReadError`] where a field that matters is of another type than the specification says.
pub(super) fn read(bytes: &[u8], version: &str) -> Result<Raw, ReadError> {
    let bom: Bom = parse(bytes)?;
    let mut raw = Raw { format: format!("CycloneDX {version}"), ..Raw::default() };
    let tools = match bom.metadata.tools {
        Tools::List(tools) | Tools::Parts { components: tools } => tools,
    };
    raw.tools = tools.into_iter().filter_map(|tool| tool.name).collect();
    raw.others.extend(bom.services.into_iter().filter_map(|service| service.reference));
    if let Some(mut image) = bom.metadata.component {
        sort_in(std::mem::take(&mut image.components), &mut raw);
        let (part, _, _) = image.part();
        raw.others.extend(part.reference.clone());
        // What the document is about may be a package itself. Attack: it in the one place where none is looked for.
        if part.purl.as_deref().is_some_and(|purl| !purl.starts_with("pkg:oci/")) {
            raw.parts.push(part.clone());
        }
        raw.image = Some(part);
    }
    sort_in(bom.components, &mut raw);
    raw.relations = bom
        .dependencies
        .into_iter()
        .map(|dependency| Relation { of: dependency.of, needs: dependency.needs })
        .collect();
    Ok(raw)
}

/// Puts components where they belong, those inside others too.
fn sort_in(components: Vec<Component>, raw: &mut Raw) {
    let mut waiting: Vec<Component> = components;
    waiting.reverse();
    while let Some(mut component) = waiting.pop() {
        waiting.extend(std::mem::take(&mut component.components).into_iter().rev());
        let (part, kind, description) = component.part();
        match kind.as_str() {
            // Attack: a package that calls itself a distribution, to be none.
            "operating-system" if part.purl.is_none() => {
                raw.others.extend(part.reference.clone());
                let mut part = part;
                part.facts.extend(description.map(|text| ("portcullis:distro:prettyName".to_owned(), text)));
                raw.systems.push(part);
            }
            // Files and data are no packages, and the lock files that Trivy lists as applications are none.
            "file" | "data" | "cryptographic-asset" | "machine-learning-model" if part.purl.is_none() => {
                raw.others.extend(part.reference);
            }
            "application" if part.purl.is_none() && part.fact("aquasecurity:trivy:Class").is_some() => {
                raw.others.extend(part.reference);
            }
            _ => raw.parts.push(part),
        }
    }
}

impl Component {
    /// The part, its type and its description.
    fn part(self) -> (Part, String, Option<String>) {
        let licenses = self.licenses.into_iter().filter_map(|choice| {
            let named = choice.license.and_then(|license| license.id.or(license.name));
            named.or(choice.expression)
        });
        let part = Part {
            reference: self.reference,
            group: self.group,
            name: self.name,
            version: self.version,
            purl: self.purl,
            cpe: self.cpe,
            supplier: self.supplier.and_then(|supplier| supplier.name),
            licenses: licenses.collect(),
            facts: self.properties.into_iter().map(|property| (property.name, property.value)).collect(),
            source_info: None,
        };
        (part, self.kind, self.description)
    }
}
