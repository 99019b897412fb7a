//! Who a signature says made it: Sigstore bundles (protobuf-specs, `sigstore_bundle.proto`) and cosign's
//! legacy annotations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::{ObjectIdentifier, Utf8StringRef};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::model::tree::Signer;

/// Bytes of a certificate: 64 KiB; those of Fulcio have 1.
const CERTIFICATE: usize = 64 << 10;

/// Fulcio's "Issuer (V2)", a DER UTF8String (Fulcio oid-info.md, 1.3.6.1.4.1.57264.1.8).
const ISSUER_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");

/// The older one, raw bytes (1.3.6.1.4.1.57264.1.1).
const ISSUER_V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");

/// Who a bundle says signed it.
#[must_use]
pub fn of_bundle(bundle: &Value) -> Signer {
    let material = bundle.get("verificationMaterial");
    let text =
        |pointer: &str| material.and_then(|material| material.pointer(pointer)).and_then(Value::as_str);
    let certificate =
        text("/certificate/rawBytes").or_else(|| text("/x509CertificateChain/certificates/0/rawBytes"));
    match (certificate, material.and_then(|material| material.get("publicKey"))) {
        (Some(text), _) => of_certificate(text),
        (None, Some(_)) => Signer::Key { hint: text("/publicKey/hint").map(str::to_owned) },
        (None, None) => unknown("the bundle has neither a certificate nor a key"),
    }
}

/// Who a certificate in PEM names; cosign's legacy signatures have one in an annotation.
#[must_use]
pub fn of_certificate_pem(pem: &str) -> Signer {
    let body = pem
        .split_once("-----BEGIN CERTIFICATE-----")
        .and_then(|(_, rest)| rest.split_once("-----END CERTIFICATE-----"));
    match body {
        Some((body, _)) => of_certificate(&body.split_whitespace().collect::<String>()),
        None => unknown("the certificate is no PEM"),
    }
}

fn of_certificate(base64: &str) -> Signer {
    // Attack: a certificate of gigabytes.
    if base64.len() > CERTIFICATE / 3 * 4 {
        return unknown("the certificate is larger than 64 KiB");
    }
    let read = STANDARD.decode(base64).ok().and_then(|bytes| Certificate::from_der(&bytes).ok());
    match read {
        Some(certificate) => named(&certificate),
        None => unknown("the certificate cannot be read"),
    }
}

fn named(certificate: &Certificate) -> Signer {
    let tbs = certificate.tbs_certificate();
    let names = tbs.get_extension::<SubjectAltName>().ok().flatten();
    let subject = names.iter().flat_map(|(_, names)| &names.0).find_map(|name| match name {
        GeneralName::Rfc822Name(text) => Some(text.as_str().to_owned()),
        GeneralName::UniformResourceIdentifier(text) => Some(text.as_str().to_owned()),
        GeneralName::DnsName(text) => Some(text.as_str().to_owned()),
        GeneralName::OtherName(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EdiPartyName(_)
        | GeneralName::IpAddress(_)
        | GeneralName::RegisteredId(_) => None,
    });
    let extension = |id: ObjectIdentifier| {
        let extensions = tbs.extensions().map(Vec::as_slice).unwrap_or_default();
        extensions
            .iter()
            .find(|extension| extension.extn_id == id)
            .map(|extension| extension.extn_value.as_bytes())
    };
    let issuer = extension(ISSUER_V2)
        .and_then(|der| Utf8StringRef::from_der(der).ok())
        .map(|text| text.as_str().to_owned())
        .or_else(|| {
            extension(ISSUER_V1).and_then(|bytes| std::str::from_utf8(bytes).ok()).map(str::to_owned)
        });
    match subject {
        Some(subject) => Signer::Certificate { subject, issuer },
        None => unknown("the certificate names nobody"),
    }
}

/// The type of the predicate that a bundle attests; none for a signature over bytes.
#[must_use]
pub fn predicate_of_bundle(bundle: &Value) -> Option<String> {
    predicate_of_envelope(bundle.get("dsseEnvelope")?)
}

/// The type of the predicate in a DSSE envelope around an in-toto statement.
#[must_use]
pub fn predicate_of_envelope(envelope: &Value) -> Option<String> {
    let payload = STANDARD.decode(envelope.get("payload")?.as_str()?).ok()?;
    let statement: Value = serde_json::from_slice(&payload).ok()?;
    statement.get("predicateType")?.as_str().map(str::to_owned)
}

fn unknown(cause: &str) -> Signer {
    Signer::Unknown { cause: cause.to_owned() }
}

#[cfg(test)]
mod tests {
    use rcgen::string::Ia5String;
    use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType};
    use serde_json::json;

    use super::*;

    const URI: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
    const ISSUER: &str = "https://token.actions.githubusercontent.com";

    fn certificate(san: SanType, issuer: &[u64], value: Vec<u8>) -> rcgen::Certificate {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![san];
        params.custom_extensions = vec![CustomExtension::from_oid_content(issuer, value)];
        params.self_signed(&KeyPair::generate().unwrap()).unwrap()
    }

    fn utf8(text: &str) -> Vec<u8> {
        [&[0x0c, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    }

    fn bundle(certificate: &[u8]) -> Value {
        json!({"verificationMaterial": {"certificate": {"rawBytes": STANDARD.encode(certificate)}}})
    }

    #[test]
    fn a_workflow_and_its_issuer_are_read() {
        let uri = SanType::URI(Ia5String::try_from(URI).unwrap());
        let made = certificate(uri, &[1, 3, 6, 1, 4, 1, 57264, 1, 8], utf8(ISSUER));
        let want = Signer::Certificate { subject: URI.into(), issuer: Some(ISSUER.into()) };
        assert_eq!(of_bundle(&bundle(made.der())), want);
        assert_eq!(of_certificate_pem(&made.pem()), want);
        let chain = json!({"verificationMaterial": {"x509CertificateChain": {"certificates": [
            {"rawBytes": STANDARD.encode(made.der())}
        ]}}});
        assert_eq!(of_bundle(&chain), want);
    }

    #[test]
    fn an_address_and_the_older_issuer_are_read() {
        let mail = SanType::Rfc822Name(Ia5String::try_from("me@acme.example").unwrap());
        let made = certificate(mail, &[1, 3, 6, 1, 4, 1, 57264, 1, 1], b"https://accounts.example".to_vec());
        let want = Signer::Certificate {
            subject: "me@acme.example".into(),
            issuer: Some("https://accounts.example".into()),
        };
        assert_eq!(of_bundle(&bundle(made.der())), want);
    }

    #[test]
    fn a_key_is_a_key_and_garbage_is_unknown() {
        let key = json!({"verificationMaterial": {"publicKey": {"hint": "abc"}}});
        assert_eq!(of_bundle(&key), Signer::Key { hint: Some("abc".into()) });
        for garbage in [json!({}), json!([]), bundle(b"x"), bundle(&[0x30; 200]), bundle(&vec![0; 200_000])] {
            assert!(matches!(of_bundle(&garbage), Signer::Unknown { .. }), "{garbage:.100}");
        }
        assert!(matches!(of_certificate_pem("no pem"), Signer::Unknown { .. }));
    }

    #[test]
    fn the_predicate_of_an_attestation_is_read() {
        let statement = json!({"_type": "x", "predicateType": "https://slsa.dev/provenance/v1"}).to_string();
        let bundle = json!({"dsseEnvelope": {"payload": STANDARD.encode(statement)}});
        assert_eq!(predicate_of_bundle(&bundle).as_deref(), Some("https://slsa.dev/provenance/v1"));
        assert_eq!(predicate_of_bundle(&json!({"messageSignature": {}})), None);
        assert_eq!(predicate_of_bundle(&json!({"dsseEnvelope": {"payload": "!"}})), None);
    }
}
