//! What a sigstore bundle says of itself: what it states and who is said to have signed it. Nothing is
//! verified here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::strict;

use super::certificate::{self, Claimed};
use super::statement::PAYLOAD_TYPE;
use super::{bundle, statement};

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
    // Attack: a certificate or a payload twice, of which whoever looks is shown the one that is not verified.
    strict::check(bytes, &bundle::BOUNDS).map_err(|cause| format!("no sigstore bundle: {cause}"))?;
    let value: Value = serde_json::from_slice(bytes).map_err(|_| "no sigstore bundle: no JSON")?;
    let material =
        value.get("verificationMaterial").ok_or("no sigstore bundle: it has no `verificationMaterial`")?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let there = |key: &&str| material.get(*key).is_some_and(|value| !value.is_null());
    let kinds = ["certificate", "x509CertificateChain", "publicKey"];
    // Attack: a certificate beside the key that signed. Whoever verifies refuses both; whoever looks is shown a name.
    if kinds.iter().filter(|kind| there(kind)).count() > 1 {
        return Err("no sigstore bundle: it has more than one of certificate, chain and key".to_owned());
    }
    if ["messageSignature", "dsseEnvelope"].iter().all(|key| value.get(key).is_some_and(|it| !it.is_null())) {
        return Err("no sigstore bundle: it has both `messageSignature` and `dsseEnvelope`".to_owned());
    }
    let raw = material
        .pointer("/certificate/rawBytes")
        .or_else(|| material.pointer("/x509CertificateChain/certificates/0/rawBytes"));
    let signer = match (raw, material.get("publicKey").filter(|key| !key.is_null())) {
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
    let envelope = value.get("dsseEnvelope");
    let is_statement = |envelope: &&Value| {
        envelope.get("payloadType").and_then(Value::as_str).is_none_or(|kind| kind == PAYLOAD_TYPE)
    };
    let predicate_type = envelope.filter(is_statement).map(stated).transpose()?.flatten();
    Ok(Bundle { signer, predicate_type, is_message: value.get("messageSignature").is_some() })
}

/// The predicate type of the statement in an envelope.
fn stated(envelope: &Value) -> Result<Option<String>, String> {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "predicateType")]
        predicate_type: Option<String>,
    }
    let odd = |cause: String| format!("its statement cannot be read: {cause}");
    let payload = envelope.get("payload").and_then(Value::as_str);
    let payload = payload.ok_or_else(|| odd("its envelope has no payload".to_owned()))?;
    let payload = STANDARD.decode(payload).map_err(|_| odd("no base64".to_owned()))?;
    strict::check(&payload, &statement::BOUNDS).map_err(odd)?;
    let typed: Typed = serde_json::from_slice(&payload).map_err(|error| odd(error.to_string()))?;
    Ok(typed.predicate_type)
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

    /// Attack: what one reader takes for an SBOM's attestation and another for a signature.
    #[test]
    fn what_two_readers_read_differently_is_shown_as_neither() {
        let bundle = |material: &str, envelope: &str| {
            read(format!(r#"{{"verificationMaterial":{material},"dsseEnvelope":{envelope}}}"#).as_bytes())
        };
        let payload = |text: &str| format!(r#"{{"payload":"{}"}}"#, STANDARD.encode(text));
        let (key, good) = (r#"{"publicKey":{"hint":"k"}}"#, payload(r#"{"predicateType":"a"}"#));
        assert_eq!(bundle(key, &good).unwrap().predicate_type.as_deref(), Some("a"));
        for (material, envelope) in [
            (r#"{"publicKey":{"hint":"k"},"publicKey":{"hint":"l"}}"#, good.clone()),
            (r#"{"publicKey":{"hint":"k","Hint":"l"}}"#, good.clone()),
            (key, payload(r#"{"predicateType":"a","predicateType":"b"}"#)),
            (key, payload(r#"{"predicateType":7}"#)),
            (key, payload("{")),
            (key, r#"{"payload":"!"}"#.to_owned()),
            (key, format!(r#"{{"payload":"","payload":{:?}}}"#, STANDARD.encode("{}"))),
            (r#"{"publicKey":{"hint":"k"},"certificate":{"rawBytes":"AAAA"}}"#, good.clone()),
            (r#"{"publicKey":{"hint":"k"},"x509CertificateChain":{"certificates":[]}}"#, good.clone()),
            (key, format!(r#"{good},"messageSignature":{{}}"#)),
        ] {
            assert!(bundle(material, &envelope).is_err(), "{material} {envelope}");
        }
        // What is no statement has no type to be shown.
        let other = bundle(key, r#"{"payload":"AAAA","payloadType":"text/plain"}"#).unwrap();
        assert_eq!(other.predicate_type, None);
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
