//! What is signed, and how it hangs on an image: statements, and the manifests of referrers.

pub mod legacy;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::digest::Digest;

use super::statement::COSIGN_SIGN;

/// Media type of a bundle as a referrer.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Media type of the manifest of a referrer.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Media type of the empty configuration (image-spec, "Guidance for an Empty Descriptor").
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// The empty configuration.
pub const EMPTY_CONFIG: &[u8] = b"{}";

/// The statement of a signature, as `cosign sign` writes it since version 3.
#[must_use]
pub fn signature_statement(digest: &Digest, annotations: &BTreeMap<String, String>) -> Vec<u8> {
    let subject = match annotations.is_empty() {
        true => json!({"digest": digests(digest)}),
        false => json!({"digest": digests(digest), "annotations": annotations}),
    };
    statement(COSIGN_SIGN, subject, json!({}))
}

/// The statement of an attestation about one manifest; `name` is its repository.
#[must_use]
pub fn attestation_statement(predicate_type: &str, name: &str, digest: &Digest, predicate: Value) -> Vec<u8> {
    statement(predicate_type, json!({"name": name, "digest": digests(digest)}), predicate)
}

/// in-toto/attestation, spec/v1/statement.md.
fn statement(predicate_type: &str, subject: Value, predicate: Value) -> Vec<u8> {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [subject],
        "predicateType": predicate_type,
        "predicate": predicate,
    });
    statement.to_string().into_bytes()
}

fn digests(digest: &Digest) -> Value {
    json!({digest.algorithm().name(): digest.hex()})
}

/// What a bundle is hung on.
#[derive(Debug, Clone, Copy)]
pub struct Hook<'s> {
    /// Digest of the manifest or index.
    pub digest: &'s Digest,
    /// Its media type.
    pub media_type: &'s str,
    /// Its length in bytes.
    pub size: u64,
}

/// The manifest with which a bundle hangs on an image (cosign, `pkg/oci/remote/write.go`). `created` is RFC 3339.
#[must_use]
pub fn referrer(on: Hook<'_>, bundle: &[u8], predicate_type: Option<&str>, created: &str) -> Vec<u8> {
    let content = if predicate_type.is_some() { "dsse-envelope" } else { "message-signature" };
    let mut annotations = BTreeMap::from([
        ("dev.sigstore.bundle.content", content),
        ("org.opencontainers.image.created", created),
    ]);
    annotations
        .extend(predicate_type.map(|predicate_type| ("dev.sigstore.bundle.predicateType", predicate_type)));
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BUNDLE,
        "config": {
            "mediaType": EMPTY,
            "digest": Digest::sha256(EMPTY_CONFIG).to_string(),
            "size": EMPTY_CONFIG.len(),
        },
        "layers": [{
            "mediaType": BUNDLE,
            "digest": Digest::sha256(bundle).to_string(),
            "size": bundle.len(),
        }],
        "subject": {"mediaType": on.media_type, "digest": on.digest.to_string(), "size": on.size},
        "annotations": annotations,
    });
    manifest.to_string().into_bytes()
}
