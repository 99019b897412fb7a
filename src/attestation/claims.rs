//! What a sigstore bundle says of itself: what it states and who is said to have signed it. Nothing is
//! verified here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::certificate::{self, Claimed};

/// Bytes of a bundle: 32 MiB (design §7).
pub const BUNDLE: u64 = 32 << 20;

/// Media types of the versions that can be verified (sigstore/protobuf-specs, `sigstore_bundle.proto`).
pub const VERSIONS: [&str; 4] = [
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle.v0.3+json",
];

/// Who is said to have signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedBy {
    /// Whoever the certificate names.
    Certificate(Claimed),
    /// A key, with the hint that stands beside it.
    Key(Option<String>),
}

/// What a bundle claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Who signed; a cause where that cannot be read.
    pub signer: Result<SignedBy, String>,
    /// `predicateType` of the signed in-toto statement.
    pub predicate_type: Option<String>,
    /// Whether it signs bytes, and no statement (`messageSignature`).
    pub is_message: bool,
}

/// Whether a media type is a bundle's, of any version.
#[must_use]
pub fn is_bundle(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.dev.sigstore.bundle.v")
        || media_type.starts_with("application/vnd.dev.sigstore.bundle+json;version=")
}

/// Reads a bundle (sigstore/protobuf-specs, `sigstore_bundle.proto`).
///
/// # Errors
/// A lowercase fragment where the bytes are no JSON object.
pub fn read(bytes: &[u8]) -> Result<Bundle, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| "no sigstore bundle: no JSON")?;
    let material =
        value.get("verificationMaterial").ok_or("no sigstore bundle: it has no `verificationMaterial`")?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let raw = material
        .pointer("/certificate/rawBytes")
        .or_else(|| material.pointer("/x509CertificateChain/certificates/0/rawBytes"));
    let signer = match (raw, material.get("publicKey")) {
        (Some(raw), _) => raw
            .as_str()
            .filter(|raw| raw.len() <= certificate::CERTIFICATE * 2)
            .and_then(|text| STANDARD.decode(text).ok())
            .ok_or_else(|| "a certificate that cannot be read".to_owned())
            .and_then(|der| certificate::read(&der))
            .map(SignedBy::Certificate),
        (None, Some(key)) => Ok(SignedBy::Key(text(key.get("hint")).filter(|hint| !hint.is_empty()))),
        (None, None) => Err("it has neither a certificate nor a key".to_owned()),
    };
    let payload = value
        .pointer("/dsseEnvelope/payload")
        .and_then(Value::as_str)
        .and_then(|text| STANDARD.decode(text).ok());
    let statement: Option<Value> = payload.and_then(|payload| serde_json::from_slice(&payload).ok());
    Ok(Bundle {
        signer,
        predicate_type: statement.and_then(|statement| text(statement.get("predicateType"))),
        is_message: value.get("messageSignature").is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_a_statement() {
        // {"predicateType":"a"}
        let text = r#"{"verificationMaterial":{"publicKey":{"hint":"k"}},
            "dsseEnvelope":{"payload":"eyJwcmVkaWNhdGVUeXBlIjoiYSJ9"}}"#;
        let bundle = read(text.as_bytes()).unwrap();
        assert_eq!(bundle.signer, Ok(SignedBy::Key(Some("k".into()))));
        assert_eq!((bundle.predicate_type.as_deref(), bundle.is_message), (Some("a"), false));
    }

    #[test]
    fn garbage_is_told_and_no_signer() {
        for bad in ["", "[]", "{}"] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
        for bad in [r#"{}"#, r#"{"certificate":{"rawBytes":"!"}}"#, r#"{"certificate":{"rawBytes":"AAAA"}}"#]
        {
            let bundle = read(format!(r#"{{"verificationMaterial":{bad}}}"#).as_bytes()).unwrap();
            assert!(bundle.signer.is_err(), "{bad}");
        }
    }
}
