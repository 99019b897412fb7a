//! The document of an index: a package a platform, described by another document (2.3, 6.6 and 11.1).

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::digest::Digest;
use crate::model::path::escape;

use super::{DOCUMENT, Document, IMAGE, Maker, container, image, relation};
use crate::sbom::facts::Facts;
use crate::sbom::{Index, Listed, name};

/// The part of a written document that references lead to.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    document_namespace: String,
}

pub(super) fn document(index: &Index<'_>) -> Result<Document, serde_json::Error> {
    let maker = Maker::new(index.timestamp());
    let digest = index.image.digest.as_ref();
    let notes = maker.notes(Facts::of_index(index));
    let mut packages =
        vec![container(IMAGE, name(index.reference, index.image), digest, index.purl(), notes)];
    let mut relationships = vec![relation(DOCUMENT, "DESCRIBES", IMAGE)];
    let mut references = Vec::new();
    for (number, listed) in index.platforms.iter().enumerate() {
        let (id, document) = (format!("SPDXRef-Platform-{number}"), format!("DocumentRef-{number}"));
        packages.push(image(&listed.subject, &id, maker.notes(Facts::of_listed(listed))));
        relationships.push(relation(&id, "VARIANT_OF", IMAGE));
        relationships.push(relation(&id, "DESCRIBED_BY", &format!("{document}:{DOCUMENT}")));
        references.push(external(&document, listed)?);
    }
    Ok(Document {
        external_document_refs: references,
        packages,
        relationships,
        ..maker.document(escape(index.image.reference.as_bytes()))
    })
}

fn external(id: &str, listed: &Listed<'_>) -> Result<Value, serde_json::Error> {
    let Written { document_namespace } = serde_json::from_slice(&listed.document)?;
    let checksum = Digest::sha256(&listed.document);
    Ok(json!({
        "externalDocumentId": id,
        "spdxDocument": document_namespace,
        "checksum": {"algorithm": "SHA256", "checksumValue": checksum.hex()},
    }))
}
