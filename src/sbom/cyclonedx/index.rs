//! The document of an index: a component a platform, with a BOM-Link to the document that tells what is in it
//! (cyclonedx.org/capabilities/bomlink).

use cyclonedx_bom::external_models::uri::Uri as Url;
use cyclonedx_bom::models::bom::BomReference;
use cyclonedx_bom::models::component::{Classification, Component};
use cyclonedx_bom::models::composition::{AggregateType, Composition, Compositions};
use cyclonedx_bom::models::external_reference::{
    BomLink, ExternalReference, ExternalReferenceType, ExternalReferences, Uri,
};
use cyclonedx_bom::models::hash::{Hash, HashAlgorithm, HashValue, Hashes};
use cyclonedx_bom::prelude::Bom;
use serde::Deserialize;

use crate::model::digest::Digest;

use super::{container, document, properties, purl};
use crate::sbom::facts::Facts;
use crate::sbom::references::References;
use crate::sbom::{Index, Listed, name};

/// The part of a written document that links lead to.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    serial_number: String,
}

pub(super) fn bom(index: &Index<'_>) -> Result<Bom, serde_json::Error> {
    let mut references = References::new(&[]);
    let digest = index.image.digest.as_ref().map(ToString::to_string).unwrap_or_default();
    let bom_ref = references.unique("image");
    let name = name(index.reference, index.image);
    let mut image = Component::new(Classification::Container, &name, &digest, Some(bom_ref));
    image.purl = index.purl().as_ref().and_then(purl);
    image.properties = Some(properties(Facts::of_index(index)));
    let listed = index.platforms.iter().map(|listed| platform(listed, &mut references));
    let platforms: Vec<Component> = listed.collect::<Result<_, _>>()?;
    let parts = std::iter::once(&image).chain(&platforms).filter_map(|part| part.bom_ref.as_deref());
    let compositions = Compositions(vec![Composition {
        bom_ref: None,
        // What the platforms consist of stands elsewhere: nobody may take this for all there is.
        aggregate: AggregateType::Incomplete,
        assemblies: Some(parts.map(BomReference::new).collect()),
        dependencies: None,
        vulnerabilities: None,
        signature: None,
    }]);
    Ok(Bom { compositions: Some(compositions), ..document(index.timestamp(), image, platforms) })
}

fn platform(listed: &Listed<'_>, references: &mut References<'_>) -> Result<Component, serde_json::Error> {
    let Written { serial_number } = serde_json::from_slice(&listed.document)?;
    let serial = serial_number.trim_start_matches("urn:uuid:");
    let digest = Digest::sha256(&listed.document);
    let hash = Hash { alg: HashAlgorithm::SHA_256, content: HashValue(digest.hex().to_owned()) };
    let reference = |url: Uri| ExternalReference {
        external_reference_type: ExternalReferenceType::Bom,
        url,
        comment: None,
        hashes: Some(Hashes(vec![hash.clone()])),
    };
    let link = Uri::BomLink(BomLink(format!("urn:cdx:{serial}/1")));
    let file = Uri::Url(Url::new(&listed.file));
    let mut component =
        container(&listed.subject, references.unique(&listed.subject.platform.platform.to_string()));
    component.external_references = Some(ExternalReferences(vec![reference(link), reference(file)]));
    component.properties = Some(properties(Facts::of_listed(listed)));
    Ok(component)
}
