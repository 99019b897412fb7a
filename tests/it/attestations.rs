//! Attacks on attestations that the conformance suite has no vector for, made of its vectors.

use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis::attestation::legacy::{ENVELOPE, Layer, SIMPLE_SIGNING, verify_layer};
use portcullis::attestation::{
    Content, LogOfKey, Rejection, RejectionKind, Root, RootId, Subject, Trust, Verified, Whose, verify,
};
use portcullis::model::digest::Digest;
use serde_json::{Value, json};

use crate::support::shared;
use crate::support::vectors::{Vector, vectors};

fn named(name: &str) -> Option<Vector> {
    vectors()?.into_iter().find(|vector| vector.name == name)
}

fn root_of(name: &str) -> Value {
    let path = format!("data/sigstore/test/assets/bundle-verify/{name}/trusted_root.json");
    serde_json::from_slice(&fs::read(shared(&path).unwrap()).unwrap()).unwrap()
}

fn trust(id: RootId, root: &Value) -> Trust {
    Trust::new(Root::read(id, root.to_string().as_bytes()).unwrap())
}

fn kind(judged: Result<Verified, Rejection>) -> RejectionKind {
    judged.unwrap_err().kind
}

#[test]
fn a_log_is_waived_only_under_a_root_that_has_none() {
    let Some(vector) = named("rekor2-happy-path") else { return };
    let whole = root_of(&vector.name);
    let mut logless = whole.clone();
    (logless["tlogs"], logless["ctlogs"]) = (json!([]), json!([]));
    let mut unlogged: Value = serde_json::from_slice(&vector.bundle).unwrap();
    unlogged["verificationMaterial"]["tlogEntries"] = json!([]);
    let unlogged = unlogged.to_string().into_bytes();
    let ours = || RootId::Custom("ours".to_owned());
    let judge = |trust: &Trust, bundle: &[u8]| {
        verify(trust, Whose::Certificate, bundle, Subject::Bytes(&vector.artifact))
    };
    let accepted = judge(&trust(ours(), &logless), &unlogged).unwrap();
    assert!(accepted.log_entries.is_empty() && accepted.times.len() == 1);
    assert_eq!(kind(judge(&trust(ours(), &whole), &unlogged)), RejectionKind::LogMissing);
    // A root that lost its logs on the way is still that of an instance which has some.
    for id in [RootId::PublicGood, RootId::Staging] {
        assert_eq!(kind(judge(&trust(id, &logless), &unlogged)), RejectionKind::LogMissing);
    }
    // An entry that nobody can look at is not passed over.
    assert_eq!(kind(judge(&trust(ours(), &logless), &vector.bundle)), RejectionKind::UnknownLog);
    for missing in ["tlogs", "ctlogs"] {
        let mut half = whole.clone();
        half[missing] = json!([]);
        assert!(judge(&trust(ours(), &half), &unlogged).is_err());
        assert!(judge(&trust(ours(), &half), &vector.bundle).is_err(), "without {missing}");
    }
    // Without a timestamp nothing says when the certificate was used.
    let mut untimed: Value = serde_json::from_slice(&unlogged).unwrap();
    untimed["verificationMaterial"]["timestampVerificationData"] = json!({});
    let untimed = untimed.to_string();
    assert!(judge(&trust(ours(), &logless), untimed.as_bytes()).is_err());
}

#[test]
fn a_checkpoint_of_another_log_is_refused() {
    let Some(vectors) = vectors() else { return };
    let mut tried = 0;
    for vector in vectors.iter().filter(|vector| !vector.must_fail() && vector.name.starts_with("rekor2-")) {
        let mut bundle: Value = serde_json::from_slice(&vector.bundle).unwrap();
        let path = "/verificationMaterial/tlogEntries/0/logId/keyId";
        let own = bundle.pointer(path).unwrap().clone();
        for log in root_of(&vector.name)["tlogs"].as_array().unwrap() {
            let other = log["logId"]["keyId"].clone();
            if other == own {
                continue;
            }
            *bundle.pointer_mut(path).unwrap() = other;
            let judged = vector.verify(bundle.to_string().as_bytes(), Subject::Bytes(&vector.artifact));
            assert_eq!(kind(judged), RejectionKind::Checkpoint, "{}", vector.name);
            tried += 1;
        }
    }
    assert!(tried > 5, "{tried}");
}

#[test]
fn each_root_stands_alone_and_the_one_that_vouches_is_named() {
    let Some(vector) = named("happy-path-v0.3") else { return };
    let other = root_of("rekor2-happy-path");
    let roots = || Trust::new(Root::embedded(RootId::GitHub).unwrap());
    let judge =
        |trust: &Trust| verify(trust, Whose::Certificate, &vector.bundle, Subject::Bytes(&vector.artifact));
    let all = roots().and(Root::embedded(RootId::PublicGood).unwrap());
    assert_eq!(judge(&all).unwrap().root, Some(RootId::PublicGood));
    assert_eq!(kind(judge(&roots())), RejectionKind::UnknownLog);
    // Attack: one root lends its log to another's authority.
    let (mut without_logs, mut without_authorities) = (other.clone(), other);
    let good: Value = serde_json::from_slice(&fs::read(root_path()).unwrap()).unwrap();
    for key in ["tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities"] {
        let (with, without) = if key == "tlogs" {
            (&mut without_authorities, &mut without_logs)
        } else {
            (&mut without_logs, &mut without_authorities)
        };
        with[key] = good[key].clone();
        without[key] = json!([]);
    }
    let split = trust(RootId::Custom("a".into()), &without_logs)
        .and(Root::read(RootId::Custom("b".into()), without_authorities.to_string().as_bytes()).unwrap());
    assert!(judge(&split).is_err());
}

/// A root that is the public-good instance's, as a vector has it.
fn root_path() -> std::path::PathBuf {
    let path =
        "data/sigstore/test/assets/bundle-verify/trust-root-tlog-validity-end-inclusive/trusted_root.json";
    shared(path).unwrap()
}

/// The annotations that cosign v2 would have written for a bundle.
fn annotations(bundle: &Value, signature: &str) -> BTreeMap<String, String> {
    let material = &bundle["verificationMaterial"];
    let raw = material
        .pointer("/certificate/rawBytes")
        .or(material.pointer("/x509CertificateChain/certificates/0/rawBytes"));
    let entry = &material["tlogEntries"][0];
    let number = |key: &str| entry[key].as_str().unwrap().parse::<i64>().unwrap();
    let log = STANDARD.decode(entry["logId"]["keyId"].as_str().unwrap()).unwrap();
    let log: String = log.iter().map(|byte| format!("{byte:02x}")).collect();
    let logged = json!({
        "SignedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
        "Payload": {
            "body": entry["canonicalizedBody"], "logID": log,
            "integratedTime": number("integratedTime"), "logIndex": number("logIndex"),
        },
    });
    let mut annotations = BTreeMap::from([
        ("dev.cosignproject.cosign/signature".to_owned(), signature.to_owned()),
        ("dev.sigstore.cosign/bundle".to_owned(), logged.to_string()),
    ]);
    if let Some(raw) = raw.and_then(Value::as_str) {
        let pem = format!("-----BEGIN CERTIFICATE-----\n{raw}\n-----END CERTIFICATE-----\n");
        annotations.insert("dev.sigstore.cosign/certificate".to_owned(), pem);
    }
    annotations
}

#[test]
fn a_legacy_attestation_is_verified_by_its_log_s_promise() {
    let Some(vector) = named("happy-path-intoto-in-dsse-v3") else { return };
    let bundle: Value = serde_json::from_slice(&vector.bundle).unwrap();
    let payload = bundle["dsseEnvelope"].to_string().into_bytes();
    let mut annotations = annotations(&bundle, "");
    let digest = Digest::sha256(&vector.artifact);
    let trust = Trust::embedded().unwrap();
    let judge = |annotations: &BTreeMap<String, String>, digest: &Digest| {
        let layer = Layer { media_type: ENVELOPE, payload: &payload, annotations };
        verify_layer(&trust, Whose::Certificate, layer, digest)
    };
    let verified = judge(&annotations, &digest).unwrap();
    assert!(matches!(verified.content, Content::Statement { .. }) && !verified.is_signature());
    assert_eq!((verified.times.len(), verified.root), (1, Some(RootId::PublicGood)));
    assert_eq!(kind(judge(&annotations, &Digest::sha256(b"other"))), RejectionKind::Subject);
    let logged = annotations.remove("dev.sigstore.cosign/bundle").unwrap();
    assert_eq!(kind(judge(&annotations, &digest)), RejectionKind::LogMissing);
    let mut later: Value = serde_json::from_str(&logged).unwrap();
    later["Payload"]["integratedTime"] = json!(later["Payload"]["integratedTime"].as_i64().unwrap() + 1);
    annotations.insert("dev.sigstore.cosign/bundle".to_owned(), later.to_string());
    assert_eq!(kind(judge(&annotations, &digest)), RejectionKind::Promise);
}

#[test]
fn a_signature_over_bytes_that_are_no_payload_is_no_legacy_signature() {
    let Some(vector) = named("happy-path-v0.1") else { return };
    let bundle: Value = serde_json::from_slice(&vector.bundle).unwrap();
    let signature = bundle["messageSignature"]["signature"].as_str().unwrap();
    let annotations = annotations(&bundle, signature);
    let trust = Trust::embedded().unwrap();
    let judge = |payload: &[u8]| {
        let layer = Layer { media_type: SIMPLE_SIGNING, payload, annotations: &annotations };
        kind(verify_layer(&trust, Whose::Certificate, layer, &Digest::sha256(&vector.artifact)))
    };
    // All of the cryptography holds: what is signed is another thing.
    assert_eq!(judge(&vector.artifact), RejectionKind::Payload);
    assert_eq!(judge(b"other"), RejectionKind::Signature);
}

#[test]
fn a_key_s_legacy_signature_is_verified_with_its_log_entry() {
    let Some(vector) = named("managed-key-and-trusted-root") else { return };
    let bundle: Value = serde_json::from_slice(&vector.bundle).unwrap();
    let signature = bundle["messageSignature"]["signature"].as_str().unwrap();
    let key = vector.key.as_ref().unwrap().as_ref().unwrap();
    let trust = vector.trust.as_ref().unwrap();
    let mut annotations = annotations(&bundle, signature);
    let judge = |annotations: &BTreeMap<String, String>, log: LogOfKey| {
        let layer = Layer { media_type: SIMPLE_SIGNING, payload: &vector.artifact, annotations };
        kind(verify_layer(trust, Whose::Key(key, log), layer, &Digest::sha256(&vector.artifact)))
    };
    // What is signed is no payload: that is asked once all of the cryptography holds.
    assert_eq!(judge(&annotations, LogOfKey::Demanded), RejectionKind::Payload);
    let logged = annotations["dev.sigstore.cosign/bundle"].clone();
    let mut later: Value = serde_json::from_str(&logged).unwrap();
    later["Payload"]["logIndex"] = json!(later["Payload"]["logIndex"].as_i64().unwrap() + 1);
    annotations.insert("dev.sigstore.cosign/bundle".to_owned(), later.to_string());
    // What is there must be true, also where it is not demanded.
    for log in [LogOfKey::Demanded, LogOfKey::NotDemanded] {
        assert_eq!(judge(&annotations, log), RejectionKind::Promise);
    }
    annotations.remove("dev.sigstore.cosign/bundle");
    assert_eq!(judge(&annotations, LogOfKey::Demanded), RejectionKind::LogMissing);
    assert_eq!(judge(&annotations, LogOfKey::NotDemanded), RejectionKind::Payload);
}

#[test]
fn alternatives_and_doublets_in_a_bundle_are_refused() {
    let Some(vector) = named("happy-path-v0.3") else { return };
    let text = String::from_utf8(vector.bundle.clone()).unwrap();
    let bundle: Value = serde_json::from_str(&text).unwrap();
    let judge = |bundle: &str| kind(vector.verify(bundle.as_bytes(), Subject::Bytes(&vector.artifact)));
    let with = |pointer: &str, key: &str, value: Value| {
        let mut bundle = bundle.clone();
        bundle.pointer_mut(pointer).unwrap()[key] = value;
        bundle.to_string()
    };
    let envelope = json!({"payload": "", "payloadType": "x", "signatures": [{"sig": ""}]});
    assert_eq!(judge(&with("", "dsseEnvelope", envelope)), RejectionKind::Malformed);
    assert_eq!(
        judge(&with("/verificationMaterial", "publicKey", json!({"hint": ""}))),
        RejectionKind::Malformed
    );
    // cosign v1 logged attestations so; such an entry does not hold the signature.
    let kind_version = json!({"kind": "intoto", "version": "0.0.1"});
    let unknown = with("/verificationMaterial/tlogEntries/0", "kindVersion", kind_version);
    assert_eq!(judge(&unknown), RejectionKind::Unsupported);
    let twice = text.replacen("\"mediaType\"", "\"mediaType\": \"x\", \"mediaType\"", 1);
    assert_eq!(judge(&twice), RejectionKind::Malformed);
    let folded = text.replacen("\"mediaType\"", "\"MediaType\"", 1);
    assert_eq!(judge(&folded), RejectionKind::Malformed);
    let entry = bundle["verificationMaterial"]["tlogEntries"][0].clone();
    let many = with("/verificationMaterial", "tlogEntries", json!(vec![entry; 17]));
    assert_eq!(judge(&many), RejectionKind::Limit);
    let stamps = json!({"rfc3161Timestamps": vec![json!({"signedTimestamp": "AAAA"}); 17]});
    assert_eq!(
        judge(&with("/verificationMaterial", "timestampVerificationData", stamps)),
        RejectionKind::Limit
    );
    assert_eq!(judge(&format!("\u{feff}{text}")), RejectionKind::Malformed);
    assert_eq!(judge(&" ".repeat((32 << 20) + 1)), RejectionKind::Limit);
}
