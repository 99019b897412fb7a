//! A bundle's JSON, read such that no two readers see different things in it.

use serde::Deserialize;
use serde::de::IgnoredAny;
use sigstore_verify::types::{Bundle, VerificationMaterialContent};

use crate::strict::{self, Bounds};

use super::claims::{self, BUNDLE};
use super::rejection::{Rejection, RejectionKind};

/// Log entries of a bundle: 16; there is one.
const ENTRIES: usize = 16;
/// Timestamps of a bundle: 16; there are one or two. Each is tried against each authority.
const TIMESTAMPS: usize = 16;
/// Certificates of a bundle: 16; there are one to three.
const CERTIFICATES: usize = 16;
/// Hashes of an inclusion proof: 64, as many as a log of 2^64 entries takes.
const HASHES: usize = 64;

pub(super) const BOUNDS: Bounds = Bounds {
    document: "a bundle",
    values: 10_000,
    items: 2_000,
    item: "entries",
    counted: &["tlogEntries", "rfc3161Timestamps", "certificates", "hashes", "signatures"],
    keys: &[
        "mediaType",
        "verificationMaterial",
        "certificate",
        "x509CertificateChain",
        "publicKey",
        "tlogEntries",
        "timestampVerificationData",
        "messageSignature",
        "dsseEnvelope",
        "payload",
        "payloadType",
        "signatures",
        "sig",
        "signature",
        "messageDigest",
        "canonicalizedBody",
        "integratedTime",
        "inclusionProof",
        "inclusionPromise",
        "rawBytes",
    ],
    folded: true,
};

/// Which alternatives a bundle holds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    media_type: Option<String>,
    verification_material: Option<Material>,
    message_signature: Option<IgnoredAny>,
    dsse_envelope: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    certificate: Option<IgnoredAny>,
    #[serde(rename = "x509CertificateChain")]
    chain: Option<IgnoredAny>,
    public_key: Option<IgnoredAny>,
    tlog_entries: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    kind_version: Option<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: String,
    version: String,
}

/// Kinds of log entries that can be verified.
const KINDS: [(&str, &str); 4] =
    [("hashedrekord", "0.0.1"), ("hashedrekord", "0.0.2"), ("dsse", "0.0.1"), ("intoto", "0.0.2")];

/// Reads a bundle (sigstore/protobuf-specs, `sigstore_bundle.proto`) of version 0.1, 0.2 or 0.3.
pub(super) fn read(bytes: &[u8]) -> Result<Bundle, Rejection> {
    if u64::try_from(bytes.len()).map_or(true, |length| length > BUNDLE) {
        return Err(Rejection::new(RejectionKind::Limit, format!("larger than the limit of {BUNDLE} bytes")));
    }
    let malformed = |cause: String| Rejection::new(RejectionKind::Malformed, format!("no bundle: {cause}"));
    strict::check(bytes, &BOUNDS).map_err(malformed)?;
    let shape: Shape = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    let media_type = shape.media_type.ok_or_else(|| malformed("it has no `mediaType`".to_owned()))?;
    if !claims::VERSIONS.contains(&media_type.as_str()) {
        let detail = format!("a bundle of the unknown version `{media_type}`");
        return Err(Rejection::new(RejectionKind::Version, detail));
    }
    let material = shape
        .verification_material
        .ok_or_else(|| malformed("it has no `verificationMaterial`".to_owned()))?;
    // Attack: two alternatives at once, of which one is verified and the other shown.
    let keys = [material.certificate, material.chain, material.public_key];
    if keys.iter().flatten().count() != 1 {
        return Err(malformed("it has not exactly one of certificate, chain and key".to_owned()));
    }
    if [shape.message_signature, shape.dsse_envelope].iter().flatten().count() != 1 {
        return Err(malformed("it has not exactly one of `messageSignature` and `dsseEnvelope`".to_owned()));
    }
    let kinds = material.tlog_entries.iter().flatten().filter_map(|entry| entry.kind_version.as_ref());
    if let Some(Kind { kind, version }) =
        kinds.into_iter().find(|known| !KINDS.contains(&(known.kind.as_str(), known.version.as_str())))
    {
        // It has a hash of the envelope's bytes as they were uploaded, and no signature (see ARCHITECTURE.md, Choices).
        let old = if (kind.as_str(), version.as_str()) == ("intoto", "0.0.1") {
            ": it is of cosign before version 2; have it attested anew"
        } else {
            ""
        };
        let detail = format!("a log entry of the kind `{kind}` {version}, which cannot be verified{old}");
        return Err(Rejection::new(RejectionKind::Unsupported, detail));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
    let bundle = Bundle::from_json(text).map_err(|error| malformed(error.to_string()))?;
    bounded(&bundle)?;
    Ok(bundle)
}

/// Attack: thousands of entries, timestamps or certificates, each of which costs a signature to verify.
fn bounded(bundle: &Bundle) -> Result<(), Rejection> {
    let material = &bundle.verification_material;
    let certificates = match &material.content {
        VerificationMaterialContent::X509CertificateChain { certificates } => certificates.len(),
        VerificationMaterialContent::Certificate(_) | VerificationMaterialContent::PublicKey(_) | _ => 1,
    };
    let proofs = material.tlog_entries.iter().filter_map(|entry| entry.inclusion_proof.as_ref());
    let counts = [
        (material.tlog_entries.len(), ENTRIES, "log entries"),
        (material.timestamp_verification_data.rfc3161_timestamps.len(), TIMESTAMPS, "timestamps"),
        (certificates, CERTIFICATES, "certificates"),
        (proofs.map(|proof| proof.hashes.len()).max().unwrap_or(0), HASHES, "hashes of one proof"),
    ];
    match counts.iter().find(|(count, limit, _)| count > limit) {
        Some((count, limit, what)) => Err(Rejection::new(
            RejectionKind::Limit,
            format!("{count} {what}, more than the limit of {limit}"),
        )),
        None => Ok(()),
    }
}
