//! CycloneDX JSON: 1.6, and older on request.
//!
//! Crate `cyclonedx-bom` is the model and the writer. It ends at 1.5, of which 1.6 takes every document
//! that is made here; so what it writes is given the newer version number, and the tests hold the result
//! against the published schema of 1.6.

mod index;

use std::collections::HashSet;

use cyclonedx_bom::models::component::{
    Classification, Component, ComponentEvidence, Components, Cpe, Occurrence, Occurrences, Scope,
};
use cyclonedx_bom::models::composition::{AggregateType, Composition, Compositions};
use cyclonedx_bom::models::dependency::{Dependencies, Dependency};
use cyclonedx_bom::models::license::{License as NamedLicense, LicenseChoice, Licenses};
use cyclonedx_bom::models::lifecycle::{Lifecycle, Lifecycles, Phase};
use cyclonedx_bom::models::metadata::Metadata;
use cyclonedx_bom::models::organization::OrganizationalEntity;
use cyclonedx_bom::models::property::{Properties, Property};
use cyclonedx_bom::models::tool::{Tool, Tools};
use cyclonedx_bom::prelude::{Bom, NormalizedString, SpecVersion};
use cyclonedx_bom::{external_models::date_time::DateTime, models::bom::BomReference};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::model::inventory::{Inventory, Package};
use crate::model::layer::{self as model, Distro};
use crate::model::path::escape;
use crate::model::purl::Purl;

use super::facts::Facts;
use super::license::{self, Kind};
use super::references::References;
use super::{Format, Index, RenderError, Subject, json, name};

/// CycloneDX: the image, one component a package, and how complete that is.
///
/// What is known beyond the specification stands in properties: see `facts.rs`. Licences are those that the
/// package declares.
///
/// Older versions are for readers that take no newer one, and leave out what they have no field for.
pub(super) struct CycloneDx {
    id: &'static str,
    summary: &'static str,
    version: &'static str,
    schema: &'static str,
}

pub(super) static V1_6: CycloneDx = CycloneDx {
    id: "cyclonedx",
    summary: "CycloneDX 1.6 JSON",
    version: "1.6",
    schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
};
pub(super) static V1_5: CycloneDx = CycloneDx {
    id: "cyclonedx-1.5",
    summary: "CycloneDX 1.5 JSON",
    version: "1.5",
    schema: "http://cyclonedx.org/schema/bom-1.5.schema.json",
};
pub(super) static V1_4: CycloneDx = CycloneDx {
    id: "cyclonedx-1.4",
    summary: "CycloneDX 1.4 JSON",
    version: "1.4",
    schema: "http://cyclonedx.org/schema/bom-1.4.schema.json",
};

/// The namespace of serial numbers, a UUID of our own (RFC 9562, 5.5): it only has to be always the same.
const NAMESPACE: Uuid = Uuid::from_u128(0x5e8c_1c0e_6d0b_4f0c_9a55_2f1d_8f3b_7a61);

impl Format for CycloneDx {
    fn id(&self) -> &'static str {
        self.id
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    fn extension(&self) -> &'static str {
        "cdx.json"
    }

    fn render(&self, subject: &Subject<'_>) -> Result<Vec<u8>, RenderError> {
        self.write(bom(subject).map_err(|error| RenderError::new(self, error))?)
    }

    fn render_index(&self, index: &Index<'_>) -> Result<Vec<u8>, RenderError> {
        self.write(index::bom(index).map_err(|error| RenderError::new(self, error))?)
    }
}

impl CycloneDx {
    fn write(&self, mut bom: Bom) -> Result<Vec<u8>, RenderError> {
        let mut written = Vec::new();
        if self.version == "1.4" {
            name_tools_as_before(&mut bom);
            bom.output_as_json_v1_4(&mut written).map_err(|error| RenderError::new(self, error))?;
        } else {
            bom.output_as_json_v1_5(&mut written).map_err(|error| RenderError::new(self, error))?;
        }
        let document = self.headed(&written).map_err(|error| RenderError::new(self, error))?;
        json::document(&document).map_err(|error| RenderError::new(self, error))
    }

    /// The document under its own version: 1.6 takes every one of 1.5. The serial number is a UUID of the
    /// content (version 5), so that the same image gives the same bytes.
    fn headed(&self, written: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
        let mut document = Map::new();
        document.insert("$schema".to_owned(), json!(self.schema));
        document.insert("bomFormat".to_owned(), json!("CycloneDX"));
        document.insert("specVersion".to_owned(), json!(self.version));
        let serial = Uuid::new_v5(&NAMESPACE, written).urn().to_string();
        document.insert("serialNumber".to_owned(), json!(serial));
        for (key, value) in serde_json::from_slice::<Map<String, Value>>(written)? {
            document.entry(key).or_insert(value);
        }
        Ok(document)
    }
}

/// Up to 1.4 tools are no components.
fn name_tools_as_before(bom: &mut Bom) {
    let tool = Tool {
        vendor: None,
        name: Some(NormalizedString::new("portcullis")),
        version: Some(NormalizedString::new(env!("CARGO_PKG_VERSION"))),
        hashes: None,
        external_references: None,
    };
    if let Some(metadata) = &mut bom.metadata {
        metadata.tools = Some(Tools::List(vec![tool]));
    }
}

fn bom(subject: &Subject<'_>) -> Result<Bom, serde_json::Error> {
    let inventory = subject.inventory;
    let mut references = References::new(&inventory.packages);
    let image = image(subject, &mut references)?;
    let distro = inventory.distro.as_ref().map(|distro| operating_system(distro, &mut references));
    let packages = inventory.packages.iter().map(|package| component(package, &mut references));
    let packages: Vec<Component> = packages.collect();
    let dependencies = dependencies(inventory, &packages);
    let components: Vec<Component> = distro.into_iter().chain(packages).collect();
    Ok(Bom {
        compositions: Some(compositions(inventory, &image, &components, &dependencies)),
        dependencies: Some(dependencies).filter(|stated| !stated.0.is_empty()),
        ..document(subject.timestamp(), image, components)
    })
}

/// A document of an image and its components.
fn document(timestamp: Option<String>, image: Component, components: Vec<Component>) -> Bom {
    Bom {
        version: 1,
        serial_number: None,
        metadata: Some(metadata(timestamp, image)),
        components: Some(Components(components)),
        services: None,
        external_references: None,
        dependencies: None,
        compositions: None,
        properties: None,
        vulnerabilities: None,
        signature: None,
        annotations: None,
        formulation: None,
        spec_version: SpecVersion::V1_5,
    }
}

fn metadata(timestamp: Option<String>, image: Component) -> Metadata {
    let mut portcullis =
        Component::new(Classification::Application, "portcullis", env!("CARGO_PKG_VERSION"), None);
    portcullis.description = Some(NormalizedString::new(env!("CARGO_PKG_DESCRIPTION")));
    Metadata {
        timestamp: timestamp.and_then(|time| DateTime::try_from(time).ok()),
        lifecycles: Some(Lifecycles(vec![Lifecycle::Phase(Phase::PostBuild)])),
        tools: Some(Tools::Object { services: None, components: Some(Components(vec![portcullis])) }),
        component: Some(image),
        ..Metadata::default()
    }
}

/// The image itself, with what the document as a whole knows and does not know.
fn image(subject: &Subject<'_>, references: &mut References<'_>) -> Result<Component, serde_json::Error> {
    let mut image = container(subject, references.unique("image"));
    image.properties = Some(properties(Facts::of_image(subject)?));
    Ok(image)
}

/// One platform's image.
fn container(subject: &Subject<'_>, bom_ref: String) -> Component {
    let digest = subject.platform.digest.as_ref().map(ToString::to_string).unwrap_or_default();
    let name = name(subject.reference, subject.image);
    let mut image = Component::new(Classification::Container, &name, &digest, Some(bom_ref));
    image.purl = subject.purl().as_ref().and_then(purl);
    image
}

fn operating_system(distro: &Distro, references: &mut References<'_>) -> Component {
    let bom_ref = references.unique("operating-system");
    let mut component =
        Component::new(Classification::OperatingSystem, &escape(distro.id.as_bytes()), "", Some(bom_ref));
    component.version = Some(distro.version_id.as_str()).filter(|text| !text.is_empty()).map(text);
    component.description = distro.pretty_name.as_deref().map(text);
    component.properties =
        Some(properties(Facts::of_distro(distro, false))).filter(|properties| !properties.0.is_empty());
    component
}

fn component(package: &Package, references: &mut References<'_>) -> Component {
    let classification =
        if package.application { Classification::Application } else { Classification::Library };
    let (group, name) = group_and_name(package);
    let bom_ref = references.of(package);
    let mut component = Component::new(classification, "", "", Some(bom_ref));
    component.group = group.map(text);
    component.name = text(name);
    component.version = Some(text(&package.version));
    component.licenses = licenses(package);
    component.purl = purl(&package.purl);
    // What was only built with is not there.
    component.scope = (package.scope == model::Scope::Build).then_some(Scope::Excluded);
    component.cpe = package.cpe.as_deref().map(Cpe::new);
    component.supplier =
        package.supplier.as_deref().map(|name| OrganizationalEntity::new(&escape(name.as_bytes())));
    component.properties = Some(properties(Facts::of_package(package)));
    let occurrences = package.locations.iter().map(|path| Occurrence::new(&path.to_string()));
    component.evidence = Some(ComponentEvidence {
        occurrences: Some(Occurrences(occurrences.collect())),
        licenses: None,
        copyright: None,
        callstack: None,
        identity: None,
    });
    component
}

/// What the ecosystem itself divides: npm's scope, Composer's vendor, Maven's group. A Go module's path is
/// its name.
fn group_and_name(package: &Package) -> (Option<&str>, &str) {
    let divided = match package.kind {
        "npm" | "composer" => package.name.rsplit_once('/'),
        "maven" => package.name.split_once(':'),
        _ => None,
    };
    divided.map_or((None, package.name.as_str()), |(group, name)| (Some(group), name))
}

fn properties(facts: Facts) -> Properties {
    Properties(facts.into_iter().map(|(name, value)| Property::new(name, &value)).collect())
}

/// The specification takes either one expression or a list of licences without expressions. A list is what is
/// only known by words, and several licences of which nobody says whether all of them apply.
fn licenses(package: &Package) -> Option<Licenses> {
    let id = |id: &str| LicenseChoice::License(NamedLicense::license_id(id));
    let named = |name: &str| LicenseChoice::license(&escape(name.as_bytes()));
    let license = license::of(package);
    if let Some(expression) = license.expression() {
        let choice = match Kind::of(&expression) {
            Kind::Id => id(&expression),
            Kind::Expression => LicenseChoice::expression(&expression),
        };
        return Some(Licenses(vec![choice]));
    }
    let choices = license.terms().iter().map(|term| match term.expression() {
        Some(expression) if Kind::of(&expression) == Kind::Id => id(&expression),
        Some(_) | None => named(&term.text()),
    });
    Some(Licenses(choices.collect())).filter(|licenses| !licenses.0.is_empty())
}

/// What needs what, of the packages whose metadata says it.
fn dependencies(inventory: &Inventory, components: &[Component]) -> Dependencies {
    let reference = |index: &usize| components.get(*index)?.bom_ref.clone();
    let stated = inventory.packages.iter().enumerate().filter_map(|(index, package)| {
        let needs = package.depends_on.as_ref()?;
        let dependencies = needs.iter().filter_map(reference).collect();
        Some(Dependency { dependency_ref: reference(&index)?, dependencies })
    });
    Dependencies(stated.collect())
}

/// How complete the document is.
///
/// With gaps, the parts of the image are `incomplete`. Without, they are `unknown`: every source that is
/// known was read, and yet a program may have been copied in that no source tells of. What a component
/// needs is `unknown` where its metadata does not say: that none is stated does not mean there is none.
fn compositions(
    inventory: &Inventory,
    image: &Component,
    components: &[Component],
    stated: &Dependencies,
) -> Compositions {
    let reference = |component: &Component| component.bom_ref.as_deref().map(BomReference::new);
    let of = |aggregate, assemblies, dependencies| Composition {
        bom_ref: None,
        aggregate,
        assemblies,
        dependencies,
        vulnerabilities: None,
        signature: None,
    };
    let parts = if inventory.gaps.is_empty() { AggregateType::Unknown } else { AggregateType::Incomplete };
    let stated: HashSet<&str> =
        stated.0.iter().map(|dependency| dependency.dependency_ref.as_str()).collect();
    let is_unknown = |component: &&Component| {
        component.bom_ref.as_deref().is_some_and(|reference| !stated.contains(reference))
    };
    let unknown = std::iter::once(image).chain(components).filter(is_unknown).filter_map(reference).collect();
    Compositions(vec![
        of(parts, reference(image).map(|image| vec![image]), None),
        of(AggregateType::Unknown, None, Some(unknown)),
    ])
}

/// Foreign text. [`NormalizedString`] alone would make a line break a blank, and two names one.
fn text(text: &str) -> NormalizedString {
    NormalizedString::new(&escape(text.as_bytes()))
}

/// None where the parts make no purl: a reader would refuse the whole document.
fn purl(purl: &Purl) -> Option<cyclonedx_bom::prelude::Purl> {
    purl.check().ok()?;
    purl.to_string().parse().ok()
}

#[cfg(test)]
mod tests;
