use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SigningKey as _};
use sigstore_verify::types::pae;

use super::*;
use crate::attestation::trust::{PublicKey, Root, RootId};
use crate::attestation::verify::{LogOfKey, SignedBy};

fn trust() -> Trust {
    Trust::new(Root::embedded(RootId::PublicGood).unwrap())
}

fn image() -> Digest {
    Digest::sha256(b"manifest")
}

fn payload_for(digest: &Digest) -> Vec<u8> {
    format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"ghcr.io/acme/app"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"{TYPE}"}},"optional":{{"k":"v"}}}}"#
    )
    .into_bytes()
}

fn key(pair: &KeyPair) -> PublicKey {
    PublicKey::read_pem(pair.public_key_pem().as_bytes()).unwrap()
}

fn check(
    pair: &KeyPair,
    log: LogOfKey,
    media_type: &str,
    payload: &[u8],
    annotations: &[(&str, String)],
) -> Result<Verified, Rejection> {
    let annotations = annotations.iter().map(|(key, text)| ((*key).to_owned(), text.clone())).collect();
    let layer = Layer { media_type, payload, annotations: &annotations };
    verify_layer(&trust(), Whose::Key(&key(pair), log), layer, &image())
}

fn signed(pair: &KeyPair, payload: &[u8]) -> Vec<(&'static str, String)> {
    vec![(SIGNATURE, STANDARD.encode(pair.sign(payload).unwrap()))]
}

#[test]
fn a_key_s_signature_over_a_payload_is_verified() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
        let pair = KeyPair::generate_for(algorithm).unwrap();
        let payload = payload_for(&image());
        let annotations = signed(&pair, &payload);
        let verified = check(&pair, LogOfKey::NotDemanded, SIMPLE_SIGNING, &payload, &annotations).unwrap();
        assert!(verified.is_signature());
        assert_eq!(verified.signed_by, SignedBy::Key(key(&pair).fingerprint()));
        assert_eq!(verified.root, None);
        let Content::SimpleSigning(content) = verified.content else { panic!() };
        assert_eq!(
            (content.reference.as_str(), &content.annotations["k"]),
            ("ghcr.io/acme/app", &json!("v"))
        );
        // The log is waived by who asks, never by what is missing.
        let kind = |result: Result<Verified, Rejection>| result.unwrap_err().kind;
        let demanded = check(&pair, LogOfKey::Demanded, SIMPLE_SIGNING, &payload, &annotations);
        assert_eq!(kind(demanded), RejectionKind::LogMissing);
        let other = KeyPair::generate_for(algorithm).unwrap();
        let by_other = check(&other, LogOfKey::NotDemanded, SIMPLE_SIGNING, &payload, &annotations);
        assert_eq!(kind(by_other), RejectionKind::Signature);
    }
}

#[test]
fn a_payload_about_another_image_or_of_another_type_is_refused() {
    let pair = KeyPair::generate().unwrap();
    let refused = |payload: &[u8]| {
        check(&pair, LogOfKey::NotDemanded, SIMPLE_SIGNING, payload, &signed(&pair, payload))
            .unwrap_err()
            .kind
    };
    assert_eq!(refused(&payload_for(&Digest::sha256(b"other"))), RejectionKind::Subject);
    let text = String::from_utf8(payload_for(&image())).unwrap();
    for (from, to) in [
        (TYPE, "atomic container signature"),
        ("docker-manifest-digest", "Docker-manifest-digest"),
        (r#""type""#, r#""type":"x","type""#),
        ("{\"critical\"", "[{\"critical\""),
    ] {
        assert_eq!(refused(text.replace(from, to).as_bytes()), RejectionKind::Payload, "{from}");
    }
}

#[test]
fn an_attestation_s_envelope_is_verified_by_its_subject() {
    let pair = KeyPair::generate().unwrap();
    let statement = |digest: &Digest| {
        format!(
            r#"{{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://cyclonedx.org/bom","subject":[{{"name":"a","digest":{{"sha256":"{}"}}}}],"predicate":{{}}}}"#,
            digest.hex()
        )
    };
    let envelope = |statement: &str| {
        let kind = "application/vnd.in-toto+json";
        let signature = STANDARD.encode(pair.sign(&pae(kind, statement.as_bytes())).unwrap());
        json!({"payloadType": kind, "payload": STANDARD.encode(statement), "signatures": [{"keyid": "", "sig": signature}]})
    };
    let layer = |envelope: &Value| {
        check(
            &pair,
            LogOfKey::NotDemanded,
            ENVELOPE,
            envelope.to_string().as_bytes(),
            &[(SIGNATURE, String::new())],
        )
    };
    let good = envelope(&statement(&image()));
    let verified = layer(&good).unwrap();
    assert!(!verified.is_signature(), "an SBOM attestation is no signature");
    assert!(matches!(verified.content, Content::Statement { subject: 0, .. }));
    let kind = |result: Result<Verified, Rejection>| result.unwrap_err().kind;
    assert_eq!(kind(layer(&envelope(&statement(&Digest::sha256(b"other"))))), RejectionKind::Subject);
    let mut twice = good.clone();
    let signature = twice["signatures"][0].clone();
    twice["signatures"].as_array_mut().unwrap().push(signature);
    assert_eq!(kind(layer(&twice)), RejectionKind::Malformed);
    let mut other = good.clone();
    other["payloadType"] = json!("text/plain");
    assert_eq!(kind(layer(&other)), RejectionKind::Statement);
    let mut changed = good;
    changed["payload"] = json!(STANDARD.encode(statement(&image()).replace("bom", "bop")));
    assert_eq!(kind(layer(&changed)), RejectionKind::Signature);
}

#[test]
fn annotations_that_cannot_be_read_are_a_reason_and_no_absence() {
    let pair = KeyPair::generate().unwrap();
    let payload = payload_for(&image());
    for (name, text) in [
        (BUNDLE, "{"),
        (
            BUNDLE,
            r#"{"SignedEntryTimestamp":"AA==","Payload":{"body":"!","integratedTime":1,"logIndex":1,"logID":"00"}}"#,
        ),
        (
            BUNDLE,
            r#"{"SignedEntryTimestamp":"AA==","Payload":{"body":"e30=","integratedTime":1,"logIndex":1,"logID":"0"}}"#,
        ),
        (TIMESTAMP, r#"{"SignedRFC3161Timestamp":1}"#),
        (TIMESTAMP, r#"{"SignedRFC3161Timestamp":"AA==","SignedRFC3161Timestamp":"AA=="}"#),
    ] {
        let mut annotations = signed(&pair, &payload);
        annotations.push((name, text.to_owned()));
        let refused =
            check(&pair, LogOfKey::NotDemanded, SIMPLE_SIGNING, &payload, &annotations).unwrap_err();
        assert_eq!(refused.kind, RejectionKind::Malformed, "{text}: {refused}");
    }
    let kind = |annotations: &[(&str, String)]| {
        check(&pair, LogOfKey::NotDemanded, SIMPLE_SIGNING, &payload, annotations).unwrap_err().kind
    };
    assert_eq!(kind(&[]), RejectionKind::Malformed);
    let mut stamped = signed(&pair, &payload);
    stamped.push((TIMESTAMP, r#"{"SignedRFC3161Timestamp":"AAAA"}"#.to_owned()));
    assert_eq!(kind(&stamped), RejectionKind::Timestamp);
    assert_eq!(kind(&[(SIGNATURE, "A".repeat(ANNOTATION + 1))]), RejectionKind::Limit);
}

#[test]
fn a_certificate_must_be_one_and_not_two() {
    let annotations = |list: &[(&str, &str)]| -> BTreeMap<String, String> {
        list.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
    };
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let payload = payload_for(&image());
    let kind = |list: &[(&str, &str)]| {
        let annotations = annotations(list);
        let layer = Layer { media_type: SIMPLE_SIGNING, payload: &payload, annotations: &annotations };
        verify_layer(&trust(), Whose::Certificate, layer, &image()).unwrap_err().kind
    };
    let signature = (SIGNATURE, "AAAA");
    assert_eq!(kind(&[signature]), RejectionKind::Material);
    assert_eq!(kind(&[signature, (CERTIFICATE_PEM[0], pem)]), RejectionKind::LogMissing);
    let two = pem.repeat(2);
    assert_eq!(kind(&[signature, (CERTIFICATE_PEM[0], &two)]), RejectionKind::Malformed);
    let other = pem.replace("AAAA", "BBBB");
    let both = [signature, (CERTIFICATE_PEM[0], pem), (CERTIFICATE_PEM[1], other.as_str())];
    assert_eq!(kind(&both), RejectionKind::Malformed);
    let long = pem.repeat(CHAIN + 1);
    let chain = [signature, (CERTIFICATE_PEM[0], pem), (CHAIN_PEM[0], long.as_str())];
    assert_eq!(kind(&chain), RejectionKind::Limit);
}
