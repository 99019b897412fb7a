//! What cosign up to version 2 wrote (cosign, specs/SIGNATURE_SPEC.md): a layer a signature, the rest in the layer
//! descriptor's annotations. It is put into the form of a bundle v0.1 and verified as one.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::model::digest::Digest;
use crate::strict::{self, Bounds};

use super::certificate::CERTIFICATE;
use super::rejection::{Rejection, RejectionKind};
use super::trust::Trust;
use super::verify::{Content, Subject, Verified, Whose, unhex, verify};

/// The media type of a signature's layer.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The media type of an attestation's layer.
pub const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";

/// Bytes of a simple-signing payload: 1 MiB; it has 300.
pub const PAYLOAD: usize = 1 << 20;
/// Bytes of one annotation: 4 MiB. Of attestations the log once kept the whole envelope in it.
pub const ANNOTATION: usize = 4 << 20;
/// Certificates of a chain: 15, with the leaf as many as a bundle may have.
const CHAIN: usize = 15;

pub(super) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
pub(super) const CERTIFICATE_PEM: [&str; 2] =
    ["dev.sigstore.cosign/certificate", "dev.cosignproject.cosign/certificate"];
pub(super) const CHAIN_PEM: [&str; 2] = ["dev.sigstore.cosign/chain", "dev.cosignproject.cosign/chain"];
pub(super) const BUNDLE: &str = "dev.sigstore.cosign/bundle";
pub(super) const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";

/// What the payload must call itself.
pub(super) const TYPE: &str = "cosign container image signature";

const BOUNDS: Bounds = Bounds {
    document: "a legacy signature",
    values: 100_000,
    items: 1_000,
    item: "signatures",
    counted: &["signatures"],
    keys: &[],
    folded: true,
};

/// The payload of a legacy signature, verified. What else stands in it is no more than its signer's word.
#[derive(Debug, Clone, PartialEq)]
pub struct SimpleSigning {
    /// The manifest that was signed.
    pub digest: Digest,
    /// What the signer called the image: a tag may have moved since.
    pub reference: String,
    /// What `cosign sign -a KEY=VALUE` adds.
    pub annotations: Map<String, Value>,
}

/// One layer under a `.sig` or `.att` tag.
#[derive(Debug, Clone, Copy)]
pub struct Layer<'l> {
    /// Its media type.
    pub media_type: &'l str,
    /// Its bytes.
    pub payload: &'l [u8],
    /// The annotations of its descriptor.
    pub annotations: &'l BTreeMap<String, String>,
}

/// The annotation `dev.sigstore.cosign/bundle`.
#[derive(Deserialize)]
struct Logged {
    #[serde(rename = "SignedEntryTimestamp")]
    promise: String,
    #[serde(rename = "Payload")]
    payload: LoggedPayload,
}

#[derive(Deserialize)]
struct LoggedPayload {
    body: String,
    #[serde(rename = "integratedTime")]
    integrated: i64,
    #[serde(rename = "logIndex")]
    index: i64,
    #[serde(rename = "logID")]
    log: String,
}

/// What a log's entry calls itself.
#[derive(Deserialize)]
struct Body {
    kind: String,
    #[serde(rename = "apiVersion")]
    version: String,
}

#[derive(Deserialize)]
struct Stamped {
    #[serde(rename = "SignedRFC3161Timestamp")]
    token: String,
}

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
    optional: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Critical {
    identity: Option<PayloadIdentity>,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct PayloadIdentity {
    #[serde(rename = "docker-reference")]
    reference: Option<String>,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

/// Verifies a layer for the manifest with this digest.
///
/// # Errors
/// As [`verify`]; and where the payload is about another image, or none.
pub fn verify_layer(
    trust: &Trust,
    whose: Whose<'_>,
    layer: Layer<'_>,
    digest: &Digest,
) -> Result<Verified, Rejection> {
    match layer.media_type {
        SIMPLE_SIGNING => {
            if layer.payload.len() > PAYLOAD {
                let detail = format!("a payload larger than the limit of {PAYLOAD} bytes");
                return Err(Rejection::new(RejectionKind::Limit, detail));
            }
            let bundle = bundle(whose, layer, signature(layer)?)?;
            let verified = verify(trust, whose, &bundle, Subject::Bytes(layer.payload))?;
            // Attack: another image's signature under this one's tag.
            Ok(Verified { content: Content::SimpleSigning(payload(layer.payload, digest)?), ..verified })
        }
        ENVELOPE => {
            let bundle = bundle(whose, layer, envelope(layer)?)?;
            verify(trust, whose, &bundle, Subject::Digest(digest))
        }
        other => Err(Rejection::new(
            RejectionKind::Unsupported,
            format!("a layer of the unknown media type `{other}`"),
        )),
    }
}

/// Reads the payload of a signature and compares what it signs.
fn payload(bytes: &[u8], digest: &Digest) -> Result<SimpleSigning, Rejection> {
    let rejected =
        |cause: String| Rejection::new(RejectionKind::Payload, format!("no simple-signing payload: {cause}"));
    strict::check(bytes, &BOUNDS).map_err(rejected)?;
    let payload: Payload = serde_json::from_slice(bytes).map_err(|error| rejected(error.to_string()))?;
    let Critical { identity, image, kind } = payload.critical;
    if kind != TYPE {
        return Err(rejected(format!("it is a `{kind}`")));
    }
    let signed: Digest = image.digest.parse().map_err(|error| rejected(format!("{error}")))?;
    if signed != *digest {
        return Err(Rejection::new(RejectionKind::Subject, format!("it is about {signed}")));
    }
    Ok(SimpleSigning {
        digest: signed,
        reference: identity.and_then(|identity| identity.reference).unwrap_or_default(),
        annotations: payload.optional.unwrap_or_default(),
    })
}

/// The bundle of a layer, as JSON: what it signs and with what, and what logs and authorities say.
fn bundle(whose: Whose<'_>, layer: Layer<'_>, (key, signed): (&str, Value)) -> Result<Vec<u8>, Rejection> {
    let mut material = match whose {
        Whose::Certificate => json!({"x509CertificateChain": {"certificates": certificates(layer)?}}),
        // cosign writes a certificate beside a key's signature where it was given one; the key is what counts.
        Whose::Key(..) => json!({"publicKey": {"hint": ""}}),
    };
    let entries: Vec<Value> = annotation(layer, BUNDLE)?.map(log_entry).transpose()?.into_iter().collect();
    let version = if entries.is_empty() { "0.2" } else { "0.1" };
    let stamps: Vec<Value> = annotation(layer, TIMESTAMP)?.map(timestamp).transpose()?.into_iter().collect();
    if let Some(material) = material.as_object_mut() {
        material.insert("tlogEntries".to_owned(), Value::from(entries));
        material.insert("timestampVerificationData".to_owned(), json!({"rfc3161Timestamps": stamps}));
    }
    let bundle = json!({
        "mediaType": format!("application/vnd.dev.sigstore.bundle+json;version={version}"),
        "verificationMaterial": material,
        key: signed,
    });
    Ok(bundle.to_string().into_bytes())
}

fn signature(layer: Layer<'_>) -> Result<(&'static str, Value), Rejection> {
    let signature = annotation(layer, SIGNATURE)?.filter(|signature| !signature.is_empty());
    let signature = signature.ok_or_else(|| malformed("it has no signature"))?;
    // cosign hashes with SHA-256, whatever the key.
    let digest = unhex(Digest::sha256(layer.payload).hex());
    let digest = digest.ok_or_else(|| malformed("the digest of its payload has no bytes"))?;
    let digest = json!({"algorithm": "SHA2_256", "digest": STANDARD.encode(digest)});
    Ok(("messageSignature", json!({"messageDigest": digest, "signature": signature.trim()})))
}

fn envelope(layer: Layer<'_>) -> Result<(&'static str, Value), Rejection> {
    strict::check(layer.payload, &BOUNDS).map_err(|cause| malformed(&format!("no envelope: {cause}")))?;
    let envelope: Box<RawValue> =
        serde_json::from_slice(layer.payload).map_err(|error| malformed(&format!("no envelope: {error}")))?;
    let value =
        serde_json::to_value(&envelope).map_err(|error| malformed(&format!("no envelope: {error}")))?;
    Ok(("dsseEnvelope", value))
}

fn certificates(layer: Layer<'_>) -> Result<Vec<Value>, Rejection> {
    let leaf = first(layer, &CERTIFICATE_PEM)?.filter(|pem| !pem.trim().is_empty());
    let leaf = pems(leaf.ok_or_else(|| {
        Rejection::new(RejectionKind::Material, "it was signed with a key, and a certificate is expected")
    })?)?;
    let [leaf] = leaf.as_slice() else { return Err(malformed("not exactly one certificate")) };
    // cosign writes an empty chain where the authority gave it none.
    let chain = first(layer, &CHAIN_PEM)?.filter(|pem| !pem.trim().is_empty());
    let chain = chain.map(pems).transpose()?.unwrap_or_default();
    if chain.len() > CHAIN {
        let detail = format!("{} certificates of a chain, more than the limit of {CHAIN}", chain.len());
        return Err(Rejection::new(RejectionKind::Limit, detail));
    }
    Ok(std::iter::once(leaf).chain(&chain).map(|der| json!({"rawBytes": der})).collect())
}

/// The certificates of a text in PEM (RFC 7468 §5), each in base64 on one line.
fn pems(text: &str) -> Result<Vec<String>, Rejection> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("-----BEGIN CERTIFICATE-----") {
        let (body, after) = after
            .split_once("-----END CERTIFICATE-----")
            .filter(|_| before.trim().is_empty())
            .ok_or_else(|| malformed("no certificate in PEM"))?;
        let digits: String = body.chars().filter(|character| !character.is_ascii_whitespace()).collect();
        if digits.len() > CERTIFICATE * 2 {
            let detail = format!("a certificate larger than the limit of {CERTIFICATE} bytes");
            return Err(Rejection::new(RejectionKind::Limit, detail));
        }
        found.push(digits);
        rest = after;
    }
    if found.is_empty() || !rest.trim().is_empty() {
        return Err(malformed("no certificate in PEM"));
    }
    Ok(found)
}

fn log_entry(annotation: &str) -> Result<Value, Rejection> {
    let odd = |cause: &str| malformed(&format!("no log entry of cosign: {cause}"));
    let Logged { promise, payload } = parse(annotation)?;
    let log = unhex(&payload.log).ok_or_else(|| odd("the log's id is not hexadecimal"))?;
    let body = STANDARD.decode(&payload.body).map_err(|_| odd("the body is no base64"))?;
    strict::check(&body, &BOUNDS).map_err(|cause| odd(&cause))?;
    let Body { kind, version } = serde_json::from_slice(&body).map_err(|error| odd(&error.to_string()))?;
    Ok(json!({
        "logIndex": payload.index.to_string(),
        "logId": {"keyId": STANDARD.encode(log)},
        "kindVersion": {"kind": kind, "version": version},
        "integratedTime": payload.integrated.to_string(),
        "inclusionPromise": {"signedEntryTimestamp": promise},
        "canonicalizedBody": payload.body,
    }))
}

fn timestamp(annotation: &str) -> Result<Value, Rejection> {
    let Stamped { token } = parse(annotation)?;
    Ok(json!({"signedTimestamp": token}))
}

fn parse<'t, T: Deserialize<'t>>(annotation: &'t str) -> Result<T, Rejection> {
    let odd = |cause: String| malformed(&format!("an annotation of cosign that cannot be read: {cause}"));
    strict::check(annotation.as_bytes(), &BOUNDS).map_err(odd)?;
    serde_json::from_str(annotation).map_err(|error| odd(error.to_string()))
}

/// An annotation under either of its names: the specification has one, cosign writes the other.
fn first<'l>(layer: Layer<'l>, names: &[&str]) -> Result<Option<&'l str>, Rejection> {
    let mut found = None;
    for name in names {
        let text = annotation(layer, name)?;
        // Attack: two annotations for one thing, of which each reader takes another.
        if text.is_some() && found.is_some() && text != found {
            return Err(malformed("two annotations that contradict each other"));
        }
        found = found.or(text);
    }
    Ok(found)
}

fn annotation<'l>(layer: Layer<'l>, name: &str) -> Result<Option<&'l str>, Rejection> {
    match layer.annotations.get(name) {
        Some(text) if text.len() > ANNOTATION => {
            let detail = format!("the annotation {name} is larger than the limit of {ANNOTATION} bytes");
            Err(Rejection::new(RejectionKind::Limit, detail))
        }
        other => Ok(other.map(String::as_str)),
    }
}

fn malformed(detail: &str) -> Rejection {
    Rejection::new(RejectionKind::Malformed, detail)
}

#[cfg(test)]
mod tests;
