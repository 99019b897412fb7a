//! A bundle in the form of cosign up to version 2 (cosign, specs/SIGNATURE_SPEC.md): the layer of a `.sig` or `.att` tag,
//! and the configuration that lists the layers.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::attestation::legacy::{
    BUNDLE, CERTIFICATE_PEM, CHAIN_PEM, ENVELOPE, SIGNATURE, SIMPLE_SIGNING, TIMESTAMP, TYPE,
};
use crate::model::digest::Digest;

/// Media type of the configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// The annotation that says of an attestation what it claims. Nobody signs it.
const PREDICATE_TYPE: &str = "predicateType";

/// Characters of a line in PEM (RFC 7468 §2).
const LINE: usize = 64;

/// A layer of a legacy tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyLayer {
    /// Its media type.
    pub media_type: &'static str,
    /// Its bytes: what was signed, or the envelope.
    pub payload: Vec<u8>,
    /// The annotations of its descriptor.
    pub annotations: BTreeMap<String, String>,
}

impl LegacyLayer {
    /// Whether a descriptor's digest and annotations are those of this layer: payloads alone are alike for all signers.
    #[must_use]
    pub fn is(&self, digest: &str, annotations: Option<&Value>) -> bool {
        let signature = annotations.and_then(|annotations| annotations.get(SIGNATURE)?.as_str());
        Digest::sha256(&self.payload).to_string() == digest
            && signature.unwrap_or_default()
                == self.annotations.get(SIGNATURE).map(String::as_str).unwrap_or_default()
    }

    /// Its descriptor.
    #[must_use]
    pub fn descriptor(&self) -> Value {
        json!({
            "mediaType": self.media_type,
            "size": self.payload.len(),
            "digest": Digest::sha256(&self.payload),
            "annotations": self.annotations,
        })
    }
}

/// The payload of a legacy signature: the bytes to be signed. `name` is the image's repository.
#[must_use]
pub fn simple_signing(name: &str, digest: &Digest, annotations: &BTreeMap<String, String>) -> Vec<u8> {
    let optional = if annotations.is_empty() { Value::Null } else { json!(annotations) };
    let payload = json!({
        "critical": {
            "identity": {"docker-reference": name},
            "image": {"docker-manifest-digest": digest.to_string()},
            "type": TYPE,
        },
        "optional": optional,
    });
    payload.to_string().into_bytes()
}

/// The layer of a signature: its payload, and the bundle that was made of it.
///
/// # Errors
/// As [`attestation_layer`].
pub fn signature_layer(bundle: &[u8], payload: Vec<u8>) -> Result<LegacyLayer, String> {
    let bundle = read(bundle)?;
    let signature = text(&bundle, "/messageSignature/signature")?.to_owned();
    let mut annotations = material(&bundle)?;
    annotations.insert(SIGNATURE.to_owned(), signature);
    Ok(LegacyLayer { media_type: SIMPLE_SIGNING, payload, annotations })
}

/// The layer of an attestation, of the bundle that was made of it.
///
/// # Errors
/// The bundle is not of the form that is made here, or its log entry is not one of Rekor v1, which alone has a promise: a
/// legacy annotation has no place for anything else.
pub fn attestation_layer(bundle: &[u8], predicate_type: &str) -> Result<LegacyLayer, String> {
    let bundle = read(bundle)?;
    // The very text that was entered: what its log entry has is a digest over it.
    let envelope = bundle.get("dsseEnvelope").ok_or("the bundle has no envelope")?;
    let payload = envelope.to_string().into_bytes();
    let mut annotations = material(&bundle)?;
    annotations.insert(SIGNATURE.to_owned(), String::new());
    annotations.insert(PREDICATE_TYPE.to_owned(), predicate_type.to_owned());
    Ok(LegacyLayer { media_type: ENVELOPE, payload, annotations })
}

/// The configuration over layers, as cosign writes it: nothing of it is compressed, so the layers' digests are their diff
/// IDs.
#[must_use]
pub fn config(layers: &[String]) -> Vec<u8> {
    let never = "0001-01-01T00:00:00Z";
    let history: Vec<Value> = layers.iter().map(|_| json!({"created": never})).collect();
    let config = json!({
        "architecture": "", "created": never, "history": history, "os": "",
        "rootfs": {"type": "layers", "diff_ids": layers}, "config": {},
    });
    config.to_string().into_bytes()
}

/// Who signed and when, as annotations.
fn material(bundle: &Value) -> Result<BTreeMap<String, String>, String> {
    let mut annotations = BTreeMap::new();
    if let Some(der) = bundle.pointer("/verificationMaterial/certificate/rawBytes").and_then(Value::as_str) {
        let [certificate, _] = CERTIFICATE_PEM;
        let [chain, _] = CHAIN_PEM;
        annotations.insert(certificate.to_owned(), pem(der));
        // As cosign does where the authority gave it no chain: verifiers have it in their trusted root.
        annotations.insert(chain.to_owned(), String::new());
    }
    if let Some(entry) = bundle.pointer("/verificationMaterial/tlogEntries/0") {
        annotations.insert(BUNDLE.to_owned(), logged(entry)?);
    }
    let stamp = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";
    if let Some(stamp) = bundle.pointer(stamp).and_then(Value::as_str) {
        annotations.insert(TIMESTAMP.to_owned(), json!({"SignedRFC3161Timestamp": stamp}).to_string());
    }
    Ok(annotations)
}

/// The annotation of a log entry, which has what Rekor v1 promises.
fn logged(entry: &Value) -> Result<String, String> {
    let promise = text(entry, "/inclusionPromise/signedEntryTimestamp");
    let promise =
        promise.map_err(|_| "its log entry is not one of Rekor v1, and the legacy format has no other")?;
    let number = |pointer: &str| -> Result<i64, String> {
        let value = entry.pointer(pointer);
        let number = value.and_then(|value| value.as_i64().or_else(|| value.as_str()?.parse().ok()));
        number.ok_or_else(|| format!("the log entry has no number at {pointer}"))
    };
    let id = STANDARD.decode(text(entry, "/logId/keyId")?).map_err(|_| "the log's id is no base64")?;
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let logged = json!({
        "SignedEntryTimestamp": promise,
        "Payload": {
            "body": text(entry, "/canonicalizedBody")?,
            "integratedTime": number("/integratedTime")?,
            "logIndex": number("/logIndex")?,
            "logID": id,
        },
    });
    Ok(logged.to_string())
}

fn pem(der: &str) -> String {
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = der;
    while let Some((line, after)) = rest.split_at_checked(rest.len().min(LINE)).filter(|_| !rest.is_empty()) {
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

fn read(bundle: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bundle).map_err(|error| format!("no bundle: {error}"))
}

fn text<'v>(value: &'v Value, pointer: &str) -> Result<&'v str, String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.ok_or_else(|| format!("the bundle has nothing at {pointer}"))
}
