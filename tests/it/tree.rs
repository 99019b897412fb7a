//! `portcullis tree`: what an image consists of, and what hangs on it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::string::Ia5String;
use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType};
use serde_json::{Value, json};

use crate::support::cli::{Run, portcullis};
use crate::support::image::{image, layer, layout};
use crate::support::registry::{Entries, Fault, MANIFEST, Referrers, Registry, Switches, on};

const APP: &str = "acme/app";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const WORKFLOW: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

fn tree(reference: &str, more: &[&str]) -> Run {
    let home = tempfile::tempdir().unwrap();
    portcullis(home.path(), &[&["tree", reference, "--insecure-registry", "127.0.0.1"], more].concat())
}

/// A certificate as Fulcio makes them, of nobody's authority.
fn certificate() -> rcgen::Certificate {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(WORKFLOW).unwrap())];
    let issuer = [&[0x0c, u8::try_from(ISSUER.len()).unwrap()], ISSUER.as_bytes()].concat();
    params.custom_extensions =
        vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, 8], issuer)];
    params.self_signed(&KeyPair::generate().unwrap()).unwrap()
}

fn bundle(predicate: Option<&str>) -> Vec<u8> {
    let mut bundle =
        json!({"verificationMaterial": {"certificate": {"rawBytes": STANDARD.encode(certificate().der())}}});
    match predicate {
        Some(kind) => {
            let statement =
                json!({"_type": "https://in-toto.io/Statement/v1", "predicateType": kind}).to_string();
            bundle["dsseEnvelope"] = json!({"payload": STANDARD.encode(statement)});
        }
        None => bundle["messageSignature"] = json!({}),
    }
    serde_json::to_vec(&bundle).unwrap()
}

fn signed(referrers: Referrers) -> (Registry, String) {
    let registry = Registry::start(Switches { referrers, ..Switches::default() });
    let mut built = layout();
    let only = built.add(image("linux/amd64").layer(layer("COPY . .").file("etc/motd", "hello")));
    let attestation = built.attestation(&only);
    let index = built.index(vec![only, attestation]);
    built.tag("v1", index);
    let digest = registry.push_layout(APP, "v1", &built);
    let signature = registry.add_referrer(APP, &digest, BUNDLE, &bundle(None));
    let provenance =
        registry.add_referrer(APP, &digest, BUNDLE, &bundle(Some("https://slsa.dev/provenance/v1")));
    if referrers == Referrers::Off {
        registry.set_fallback(APP, &digest, &[signature, provenance], Entries::Ghcr);
    }
    let payload = registry.put_blob(APP, b"signed");
    let config = registry.put_blob(APP, b"{\"config\":true}");
    let legacy = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 15},
        "layers": [{
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": payload, "size": 6,
            "annotations": {"dev.sigstore.cosign/certificate": certificate().pem()},
        }],
    });
    let tag = format!("{}.sig", digest.replace(':', "-"));
    registry.put_manifest(APP, Some(&tag), MANIFEST, &serde_json::to_vec(&legacy).unwrap());
    (registry, digest)
}

#[test]
fn everything_on_an_image_is_drawn_with_who_claims_to_have_signed() {
    for referrers in [Referrers::Native { page_size: 1 }, Referrers::Off] {
        let (registry, digest) = signed(referrers);
        let text = tree(&registry.reference(APP, "v1"), &[]).ended(0).out();
        for part in [
            "└─ index",
            &digest[..19],
            "signature (bundle)",
            "attestation (bundle) https://slsa.dev/provenance/v1",
            "signature (legacy)",
            &format!("claims {WORKFLOW} by {ISSUER}"),
            "linux/amd64",
            "nothing is verified",
        ] {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
    }
}

#[test]
fn programs_get_the_same_as_json() {
    let (registry, digest) = signed(Referrers::Native { page_size: 10 });
    let json = tree(&registry.reference(APP, "v1"), &["-o", "json"]).ended(0).json();
    assert_eq!((&json["schema"], &json["complete"]), (&json!("portcullis.dev/tree/v1"), &json!(true)));
    assert_eq!(json["image"]["digest"], digest);
    let kinds: Vec<&Value> =
        json["root"]["referrers"].as_array().unwrap().iter().map(|leaf| &leaf["kind"]).collect();
    assert_eq!(kinds, ["bundle", "bundle", "legacy-signature"]);
    let signer = &json["root"]["referrers"][0]["claimedSigners"][0];
    assert_eq!((&signer["subject"], &signer["issuer"]), (&json!(WORKFLOW), &json!(ISSUER)));
    // The attestation manifest stands below what it is about.
    let child = &json["root"]["children"][0];
    assert_eq!(child["platform"], "linux/amd64");
    assert_eq!(child["children"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_listing_that_fails_is_not_seen_and_never_nothing() {
    for fault in [Fault::bare(403), Fault::error(429, "TOOMANYREQUESTS", "later"), Fault::Html] {
        let (registry, digest) = signed(Referrers::Off);
        let fallback = format!("/manifests/{}", digest.replace(':', "-"));
        registry.script(on("GET", &fallback).times(usize::MAX), [fault]);
        let run = tree(&registry.reference(APP, "v1"), &["--timeout", "6s"]).ended(3);
        assert!(run.out().contains("not seen: "), "{}", run.out());
    }
}

#[test]
fn a_referrer_of_another_image_does_not_belong_there() {
    let (registry, digest) = signed(Referrers::Off);
    let other = registry.put_manifest(APP, None, MANIFEST, br#"{"schemaVersion":2}"#);
    let stray = registry.add_referrer(APP, &other, BUNDLE, &bundle(None));
    registry.set_fallback(APP, &digest, &[stray], Entries::Faithful);
    let run = tree(&registry.reference(APP, "v1"), &[]).ended(0);
    assert!(run.out().contains("does not belong here: "), "{}", run.out());
    assert!(!run.out().contains("signature (bundle)"), "{}", run.out());
}

#[test]
fn garbage_for_a_bundle_is_no_signer_and_no_escape_gets_through() {
    let (registry, digest) = signed(Referrers::Native { page_size: 10 });
    registry.add_referrer(APP, &digest, BUNDLE, b"\x1b[2J no json");
    registry.add_referrer(APP, &digest, "application/x\u{1b}[31m", b"x");
    let run = tree(&registry.reference(APP, "v1"), &[]);
    assert!([0, 3].contains(&run.code()), "{}", run.err());
    assert!(run.out().contains("signer not known: no JSON"), "{}", run.out());
    assert!(!run.out().contains('\u{1b}'));
}

#[test]
fn a_layout_has_a_tree_too() {
    let run = tree("oci:testdata/demo/image", &[]).ended(0);
    assert!(run.out().contains("linux/amd64"), "{}", run.out());
    tree("docker-archive:x.tar", &[]).ended(2);
}
