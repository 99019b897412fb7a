//! Signatures as cosign leaves them beside an image, in both formats. Nobody could verify them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType};
use serde_json::{Value, json};

use super::registry::{MANIFEST, Registry};

/// Media type of a bundle.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// Predicate type of what `cosign sign` makes.
pub const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";
pub const SLSA: &str = "https://slsa.dev/provenance/v1";

/// A certificate in DER as Fulcio makes them.
pub fn certificate(names: Vec<SanType>, issuer: &str, old: bool) -> Vec<u8> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = names;
    let (last, content) = if old {
        (1, issuer.as_bytes().to_vec())
    } else {
        (8, [&[0x0c, u8::try_from(issuer.len()).unwrap()], issuer.as_bytes()].concat())
    };
    let oid = [1, 3, 6, 1, 4, 1, 57264, 1, last];
    params.custom_extensions.push(CustomExtension::from_oid_content(&oid, content));
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().der().to_vec()
}

pub fn uri(text: &str) -> Vec<SanType> {
    vec![SanType::URI(text.try_into().unwrap())]
}

/// A bundle over a statement.
pub fn bundle(material: &Value, predicate: &str) -> Vec<u8> {
    let statement =
        json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": predicate, "subject": []});
    json!({
        "mediaType": BUNDLE, "verificationMaterial": material,
        "dsseEnvelope": {"payload": STANDARD.encode(statement.to_string()), "signatures": []},
    })
    .to_string()
    .into_bytes()
}

pub fn by_certificate(der: &[u8]) -> Value {
    json!({"certificate": {"rawBytes": STANDARD.encode(der)}})
}

pub fn digest(descriptor: &Value) -> String {
    descriptor["digest"].as_str().unwrap().to_owned()
}

/// Puts a manifest of cosign's older form under its tag; its digest.
pub fn legacy(
    registry: &Registry,
    repository: &str,
    subject: &str,
    suffix: &str,
    layers: &[Value],
) -> String {
    let config = registry.put_blob(repository, b"{}");
    let payload = registry.put_blob(repository, b"payload");
    let layers: Vec<Value> = layers
        .iter()
        .map(|annotations| {
            json!({
                "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": payload, "size": 7,
                "annotations": annotations,
            })
        })
        .collect();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "layers": layers,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
    });
    let tag = format!("{}.{suffix}", subject.replace(':', "-"));
    registry.put_manifest(repository, Some(&tag), MANIFEST, manifest.to_string().as_bytes())
}

pub fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
