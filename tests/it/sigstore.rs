//! The Sigstore of the tests before strict clients: what it signs they accept, and its lies they see.

mod tokens;
mod tuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sigstore_oidc::IdentityToken;
use sigstore_sign::{Attestation, SigningContext, SigningServices};
use sigstore_trust_root::{SigningConfig, TrustedRoot};
use sigstore_types::{Bundle, Sha256Hash};
use sigstore_verify::{VerificationPolicy, Verifier};

use super::support::registry::faults::Fault;
use super::support::sigstore::{Claims, GITHUB, Lie, LogKey, Sigstore, Version};
use super::support::wire::{get, send};

const ARTIFACT: &[u8] = b"what is signed";
const SIGNER: &str = "signer@example.com";
const BOTH: [Version; 2] = [Version::V1, Version::V2];

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// What is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Message,
    Dsse,
}

fn digest() -> Sha256Hash {
    Sha256Hash::from_hex(portcullis::model::digest::Digest::sha256(ARTIFACT).hex()).unwrap()
}

/// Signs with the crate of Sigstore.
fn try_sign(sigstore: &Sigstore, token: &str, form: Form, rekor: Version) -> Result<Bundle, String> {
    let config = SigningConfig::from_json(&sigstore.signing_config(rekor).to_string()).unwrap();
    let services = SigningServices::from_signing_config(&config).unwrap();
    let signer = SigningContext::new(services).signer(IdentityToken::from_jwt(token).unwrap());
    let signed = block_on(async {
        match form {
            Form::Message => signer.sign(ARTIFACT).await,
            Form::Dsse => {
                let statement =
                    Attestation::new("https://slsa.dev/provenance/v1", json!({"buildType": "test"}));
                signer.sign_attestation(statement.add_subject("app", digest())).await
            }
        }
    });
    signed.map_err(|error| chain(&error))
}

fn sign(sigstore: &Sigstore, form: Form, rekor: Version) -> Bundle {
    try_sign(sigstore, &sigstore.token(&Claims::email(SIGNER)), form, rekor).unwrap()
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

fn verify(sigstore: &Sigstore, bundle: &Bundle, identity: &str, issuer: &str) -> Result<(), String> {
    let root = TrustedRoot::from_json(&sigstore.trusted_root().to_string()).unwrap();
    let policy = VerificationPolicy::new(identity, issuer);
    Verifier::new(&root).unwrap().verify(ARTIFACT, bundle, &policy).map(|_| ()).map_err(|error| chain(&error))
}

fn check(sigstore: &Sigstore, bundle: &Bundle) -> Result<(), String> {
    verify(sigstore, bundle, SIGNER, sigstore.oidc.url())
}

#[test]
fn what_is_signed_is_accepted() {
    for key in [LogKey::Ed25519, LogKey::P256] {
        let sigstore = Sigstore::with_log_key(key);
        for rekor in BOTH {
            // Enough for proofs of several hashes.
            for form in [Form::Message, Form::Dsse, Form::Message, Form::Dsse, Form::Message] {
                let bundle = sign(&sigstore, form, rekor);
                check(&sigstore, &bundle)
                    .unwrap_or_else(|error| panic!("{key:?} {rekor:?} {form:?}: {error}"));
                let other = verify(&sigstore, &bundle, "other@example.com", sigstore.oidc.url());
                assert!(other.unwrap_err().contains("other@example.com"), "{rekor:?} {form:?}");
            }
            assert_eq!(sigstore.entries(rekor).len(), 5);
        }
        assert_eq!(sigstore.certificates(), 10);
        let stranger = Sigstore::start();
        let bundle = sign(&sigstore, Form::Message, Version::V1);
        check(&stranger, &bundle).unwrap_err();
    }
}

#[test]
fn a_workflow_has_every_claim_in_its_certificate() {
    let sigstore = Sigstore::start();
    let claims =
        Claims::github("acme/app", "release.yml", "refs/tags/v1.0.0").with("environment", "production");
    let bundle = try_sign(&sigstore, &sigstore.token(&claims), Form::Dsse, Version::V1).unwrap();
    let workflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.0.0";
    let root = TrustedRoot::from_json(&sigstore.trusted_root().to_string()).unwrap();
    let policy = VerificationPolicy::new(workflow, GITHUB);
    let verified = Verifier::new(&root).unwrap().verify(ARTIFACT, &bundle, &policy).unwrap();
    let said = format!("{:?}", verified.certificate().unwrap());
    for value in [
        "https://github.com/acme/app",
        "https://github.com/acme",
        "github-hosted",
        "refs/tags/v1.0.0",
        "https://github.com/acme/app/actions/runs/789/attempts/1",
        "production",
        "push",
        "public",
        "1234",
        "repo:acme/app:ref:refs/tags/v1.0.0",
    ] {
        assert!(said.contains(&format!("{value:?}")), "{value} in {said}");
    }
}

#[test]
fn jobs_elsewhere_have_certificates_too() {
    let sigstore = Sigstore::start();
    for (claims, identity, words) in [
        (
            Claims::gitlab("acme/app", "main"),
            "https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main",
            &["https://gitlab.com/acme/app", "refs/heads/main", "https://gitlab.com/acme/app/-/jobs/789"][..],
        ),
        (Claims::buildkite("acme", "app"), "https://buildkite.com/acme/app", &[]),
        (Claims::circleci("https://circleci.com/acme/app"), "https://circleci.com/acme/app", &[]),
    ] {
        let issuer = claims.0["iss"].as_str().unwrap().to_owned();
        let bundle = try_sign(&sigstore, &sigstore.token(&claims), Form::Message, Version::V1).unwrap();
        let root = TrustedRoot::from_json(&sigstore.trusted_root().to_string()).unwrap();
        let policy = VerificationPolicy::new(identity, issuer.as_str());
        let verified = Verifier::new(&root).unwrap().verify(ARTIFACT, &bundle, &policy).unwrap();
        let said = format!("{:?}", verified.certificate().unwrap());
        for word in words {
            assert!(said.contains(&format!("{word:?}")), "{word} in {said}");
        }
    }
}

/// Who lies.
#[derive(Clone, Copy)]
enum Of {
    Fulcio,
    Rekor,
    Tsa,
}

/// Lies that a client sees when it signs, or whoever verifies afterwards, each with a word of what they say.
const LIES: &[(Of, Lie, Version, &str)] = &[
    (Of::Fulcio, Lie::NoSct, Version::V1, "SCT"),
    (Of::Fulcio, Lie::SctKey, Version::V1, "SCT"),
    (Of::Fulcio, Lie::SctLog, Version::V1, "SCT"),
    (Of::Fulcio, Lie::DetachedSct, Version::V1, "SCT"),
    (Of::Fulcio, Lie::OtherRoot, Version::V1, "certificate"),
    (Of::Fulcio, Lie::NoCodeSigning, Version::V1, "certificate"),
    (Of::Fulcio, Lie::OtherSubjectKey, Version::V1, "signature"),
    (Of::Rekor, Lie::CheckpointKey, Version::V1, "signature found on checkpoint"),
    (Of::Rekor, Lie::CheckpointKey, Version::V2, "signature found on checkpoint"),
    (Of::Rekor, Lie::OtherLog, Version::V1, "No matching Rekor key"),
    (Of::Rekor, Lie::OtherLog, Version::V2, "No matching Rekor key"),
    (Of::Rekor, Lie::CheckpointRoot, Version::V1, "root hash does not match"),
    (Of::Rekor, Lie::CheckpointRoot, Version::V2, "inclusion proof"),
    (Of::Rekor, Lie::StaleProof, Version::V1, "inclusion proof"),
    (Of::Rekor, Lie::StaleProof, Version::V2, "inclusion proof"),
    (Of::Rekor, Lie::OtherProof, Version::V1, "inclusion proof"),
    (Of::Rekor, Lie::OtherProof, Version::V2, "inclusion proof"),
    (Of::Rekor, Lie::NoProof, Version::V1, "inclusion proof"),
    (Of::Rekor, Lie::NoProof, Version::V2, "inclusion proof"),
    (Of::Rekor, Lie::SetKey, Version::V1, "SET verification failed"),
    (Of::Rekor, Lie::IntegratedTime, Version::V1, "SET verification failed"),
    (Of::Rekor, Lie::OtherEntry, Version::V1, ""),
    (Of::Rekor, Lie::OtherEntry, Version::V2, ""),
    (Of::Tsa, Lie::Nonce, Version::V2, "nonce"),
    (Of::Tsa, Lie::Imprint, Version::V2, "imprint"),
    (Of::Tsa, Lie::TsaKey, Version::V2, "signature"),
    (Of::Tsa, Lie::Rejected, Version::V2, "not granted"),
    (Of::Tsa, Lie::Fraction, Version::V2, ""),
];

#[test]
fn every_lie_is_seen() {
    let sigstore = Sigstore::start();
    for rekor in BOTH {
        for _ in 0..3 {
            sign(&sigstore, Form::Message, rekor);
        }
    }
    for (of, lie, rekor, word) in LIES {
        let service = match of {
            Of::Fulcio => &sigstore.fulcio,
            Of::Tsa => &sigstore.tsa,
            Of::Rekor if *rekor == Version::V1 => &sigstore.rekor,
            Of::Rekor => &sigstore.rekor2,
        };
        service.lie(lie.clone());
        let token = sigstore.token(&Claims::email(SIGNER));
        let seen = try_sign(&sigstore, &token, Form::Message, *rekor).and_then(|b| check(&sigstore, &b));
        let seen = seen.expect_err(&format!("{lie:?} {rekor:?}"));
        assert!(seen.contains(word), "{lie:?} {rekor:?}: {seen}");
        // It is told once.
        let bundle = sign(&sigstore, Form::Message, *rekor);
        check(&sigstore, &bundle).unwrap_or_else(|error| panic!("after {lie:?} {rekor:?}: {error}"));
    }
}

#[test]
fn a_token_that_is_not_good_gets_no_certificate() {
    let sigstore = Sigstore::start();
    let claims = Claims::email(SIGNER);
    for lie in [Lie::Expired, Lie::Audience("other"), Lie::TokenKey, Lie::Issuer("https://other.example")] {
        let token = sigstore.wrong_token(&claims, lie.clone());
        let refused = try_sign(&sigstore, &token, Form::Message, Version::V1).unwrap_err();
        assert!(refused.contains("401"), "{lie:?}: {refused}");
    }
    let unverified = sigstore.token(&claims.clone().with("email_verified", false));
    try_sign(&sigstore, &unverified, Form::Message, Version::V1).unwrap_err();
    // An hour later by its clock the token is too old.
    sigstore.fulcio.skew(3600);
    try_sign(&sigstore, &sigstore.token(&claims), Form::Message, Version::V1).unwrap_err();
    assert_eq!(sigstore.certificates(), 0);
    sigstore.mend();
    sign(&sigstore, Form::Message, Version::V1);
}

#[test]
fn faults_come_where_they_are_written_and_are_counted() {
    let sigstore = Sigstore::start();
    let token = sigstore.token(&Claims::email(SIGNER));
    let attempt = || try_sign(&sigstore, &token, Form::Message, Version::V1);
    sigstore.rekor.fail_times(2, Fault::bare(502));
    for _ in 0..2 {
        assert!(attempt().unwrap_err().contains("502"));
    }
    attempt().unwrap();
    sigstore.fulcio.fail(Fault::Reset);
    attempt().unwrap_err();
    sigstore.tsa.fail(Fault::Body(b"<html>".to_vec()));
    attempt().unwrap_err();
    sigstore.rekor.limit(100);
    assert!(attempt().unwrap_err().contains("413"));
    sigstore.mend();
    attempt().unwrap();
    let calls: Vec<(&str, u16)> = sigstore.journal().iter().map(|call| (call.service, call.status)).collect();
    assert_eq!(
        calls,
        [
            ("fulcio", 200),
            ("rekor", 502),
            ("fulcio", 200),
            ("rekor", 502),
            ("fulcio", 200),
            ("rekor", 201),
            ("tsa", 201),
            ("fulcio", 0),
            ("fulcio", 200),
            ("rekor", 201),
            ("tsa", 201),
            ("fulcio", 200),
            ("rekor", 413),
            ("fulcio", 200),
            ("rekor", 201),
            ("tsa", 201),
        ]
    );
    assert_eq!(sigstore.fulcio.count(), 7);
    assert!(sigstore.journal().iter().all(|call| call.method == "POST" && call.received > 0));
    sigstore.forget();
    sigstore.fulcio.down(Fault::bare(503));
    for _ in 0..3 {
        attempt().unwrap_err();
    }
    let call = &sigstore.journal()[2];
    assert_eq!((call.target.as_str(), call.status), ("/api/v2/signingCert", 503));
}

/// What strict clients need not see, and others must.
#[test]
fn other_lies_are_in_what_is_answered() {
    let sigstore = Sigstore::start();
    let sent =
        |version| serde_json::from_str::<Value>(&sign(&sigstore, Form::Message, version).to_json().unwrap());
    let entry = |bundle: &Value| bundle["verificationMaterial"]["tlogEntries"][0].clone();
    assert!(entry(&sent(Version::V1).unwrap()).get("inclusionPromise").is_some());
    sigstore.rekor.lie(Lie::NoSet);
    assert!(entry(&sent(Version::V1).unwrap()).get("inclusionPromise").is_none());
    let policy = |bundle: &Value| {
        let stamps = &bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"];
        STANDARD.decode(stamps[0]["signedTimestamp"].as_str().unwrap()).unwrap()
    };
    // 1.3.6.1.4.1.57264.2, and 3.
    let has = |stamp: &[u8], last: u8| {
        let oid = [6, 9, 0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, last];
        stamp.windows(oid.len()).any(|window| window == oid)
    };
    assert!(has(&policy(&sent(Version::V2).unwrap()), 2));
    sigstore.tsa.lie(Lie::Policy);
    assert!(has(&policy(&sent(Version::V2).unwrap()), 3));
}

/// What the logs tell beside their entries.
#[test]
fn logs_can_be_read() {
    let sigstore = Sigstore::start();
    let address = |url: &str| url.strip_prefix("http://").unwrap().to_owned();
    for version in BOTH {
        sign(&sigstore, Form::Message, version);
        sign(&sigstore, Form::Message, version);
    }
    let log = address(sigstore.rekor.url());
    assert_eq!(get(&log, "/api/v1/log").status(200).json()["treeSize"], 2);
    assert!(get(&log, "/api/v1/log/publicKey").status(200).body.starts_with(b"-----BEGIN PUBLIC KEY-----"));
    let query = json!({"hash": format!("sha256:{}", digest().to_hex())}).to_string();
    let found = send(&log, "POST", "/api/v1/index/retrieve", &[], query.as_bytes()).status(200).json();
    assert_eq!(found.as_array().unwrap().len(), 2);
    let one = get(&log, "/api/v1/log/entries?logIndex=1001").status(200).json();
    assert!(one.get(found[1].as_str().unwrap()).is_some());
    let log = address(sigstore.rekor2.url());
    let checkpoint = String::from_utf8(get(&log, "/api/v2/checkpoint").status(200).body).unwrap();
    assert!(checkpoint.starts_with("127.0.0.1\n2\n"), "{checkpoint}");
    assert_eq!(get(&log, "/api/v2/tile/0/000.p/2").status(200).body.len(), 64);
    let bodies = get(&log, "/api/v2/tile/entries/000.p/2").status(200).body;
    let length = usize::from(u16::from_be_bytes([bodies[0], bodies[1]]));
    let first: Value = serde_json::from_slice(&bodies[2..2 + length]).unwrap();
    assert_eq!(first, sigstore.entries(Version::V2)[0]);
    let tsa = address(sigstore.tsa.url());
    let chain = get(&tsa, "/api/v1/timestamp/certchain").status(200).body;
    assert_eq!(String::from_utf8(chain).unwrap().matches("BEGIN CERTIFICATE").count(), 3);
    let fulcio = address(sigstore.fulcio.url());
    let bundle = get(&fulcio, "/api/v2/trustBundle").status(200).json();
    assert_eq!(bundle["chains"][0]["certificates"].as_array().unwrap().len(), 2);
    assert_eq!(get(&fulcio, "/api/v2/configuration").status(200).json()["issuers"][1]["issuerUrl"], GITHUB);
}

/// A clock that is wrong makes what a verifier refuses.
#[test]
fn clocks_are_wrong_on_request() {
    let sigstore = Sigstore::start();
    for (service, version) in [(&sigstore.rekor, Version::V1), (&sigstore.tsa, Version::V2)] {
        for skew in [-3600, 3600] {
            service.skew(skew);
            let bundle = sign(&sigstore, Form::Message, version);
            let refused = check(&sigstore, &bundle).unwrap_err();
            assert!(refused.contains("time") || refused.contains("valid"), "{version:?} {skew}: {refused}");
        }
        sigstore.mend();
        check(&sigstore, &sign(&sigstore, Form::Message, version)).unwrap();
    }
}

/// A log whose answer is lost has the entry all the same: whoever asks again is told so.
#[test]
fn a_lost_answer_leaves_its_entry() {
    let other = Sigstore::start();
    sign(&other, Form::Message, Version::V1);
    let body = other.entries(Version::V1)[0].to_string();
    for fault in [Fault::Reset, Fault::Status(502)] {
        let sigstore = Sigstore::start();
        let log = sigstore.rekor.url().strip_prefix("http://").unwrap();
        let post = || send(log, "POST", "/api/v1/log/entries", &[], body.as_bytes());
        sigstore.rekor.fail(fault);
        assert_ne!(post().status, 201);
        assert_eq!(sigstore.entries(Version::V1).len(), 1);
        post().status(409);
    }
    // Where the log never took it, it is not there.
    let sigstore = Sigstore::start();
    let log = sigstore.rekor.url().strip_prefix("http://").unwrap();
    sigstore.rekor.fail(Fault::bare(502));
    send(log, "POST", "/api/v1/log/entries", &[], body.as_bytes()).status(502);
    send(log, "POST", "/api/v1/log/entries", &[], body.as_bytes()).status(201);
}

/// Without logs: what GitHub signs for private repositories is accepted by its own root alone.
#[test]
fn a_private_instance_has_no_logs() {
    let sigstore = Sigstore::start();
    sigstore.fulcio.lie(Lie::NoSct);
    let mut bundle: Value =
        serde_json::from_str(&sign(&sigstore, Form::Dsse, Version::V1).to_json().unwrap()).unwrap();
    bundle["verificationMaterial"]["tlogEntries"] = json!([]);
    let bundle = Bundle::from_json(&bundle.to_string());
    let root = TrustedRoot::from_json(&sigstore.private_trusted_root().to_string()).unwrap();
    let policy = VerificationPolicy::new(SIGNER, sigstore.oidc.url());
    let verifier = Verifier::new(&root).unwrap();
    let verify = |policy| verifier.verify(ARTIFACT, bundle.as_ref().unwrap(), &policy);
    verify(policy.clone().skip_tlog_unsafe().skip_sct()).unwrap();
    verify(policy).unwrap_err();
}

/// An entry that is there already is told by its place, and can be fetched there.
#[test]
fn an_entry_is_taken_once() {
    let sigstore = Sigstore::start();
    let address = |url: &str| url.strip_prefix("http://").unwrap().to_owned();
    let bundle: Value =
        serde_json::from_str(&sign(&sigstore, Form::Message, Version::V1).to_json().unwrap()).unwrap();
    let log = address(sigstore.rekor.url());
    let body = &sigstore.entries(Version::V1)[0];
    let again = send(&log, "POST", "/api/v1/log/entries", &[], body.to_string().as_bytes()).status(409);
    let found = get(&log, again.header("location").unwrap()).status(200).json();
    let entry = found.as_object().unwrap().values().next().unwrap();
    assert_eq!(entry["body"], bundle["verificationMaterial"]["tlogEntries"][0]["canonicalizedBody"]);
    assert_eq!(sigstore.entries(Version::V1).len(), 1);
    let mut forged = body.clone();
    forged["spec"]["data"]["hash"]["value"] = json!("00".repeat(32));
    send(&log, "POST", "/api/v1/log/entries", &[], forged.to_string().as_bytes()).status(400);
    get(&log, &format!("/api/v1/log/entries/{}", "0".repeat(80))).status(404);

    sign(&sigstore, Form::Dsse, Version::V2);
    let log = address(sigstore.rekor2.url());
    let spec = sigstore.entries(Version::V2)[0]["spec"]["hashedRekordV002"].clone();
    let request = json!({"hashedRekordRequestV002": {
        "digest": spec["data"]["digest"], "signature": spec["signature"],
    }});
    let again = send(&log, "POST", "/api/v2/log/entries", &[], request.to_string().as_bytes()).status(409);
    assert_eq!(again.header("x-log-index"), Some("0"));
    let other = json!({"dsseRequestV002": {}}).to_string();
    send(&log, "POST", "/api/v2/log/entries", &[], other.as_bytes()).status(400);
}
