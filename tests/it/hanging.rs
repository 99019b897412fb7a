//! What hangs on an image, as `portcullis validate` judges it: honest lists, broken ones and lies.

use portcullis::model::digest::Digest;
use serde_json::{Value, json};

use crate::support::cli::{Run, portcullis};
use crate::support::image::{image, layer, layout};
use crate::support::registry::{Entries, Fault, INDEX, MANIFEST, Referrers, Registry, Switches, on};
use crate::support::signatures::{
    BUNDLE, SIGN, SLSA, bundle, by_certificate, certificate, digest, legacy, pem, uri,
};

const APP: &str = "acme/app";
const SBOM: &str = "application/vnd.cyclonedx+json";
const ISSUER: &str = "https://token.actions.githubusercontent.com";
const NATIVE: Referrers = Referrers::Native { page_size: 100 };

fn validate(registry: &Registry, reference: &str) -> Run {
    let home = tempfile::tempdir().unwrap();
    let image = registry.reference(APP, reference);
    let options = ["--insecure-registry", "127.0.0.1", "--at", "2026-11-01T00:00:00Z", "-o", "json"];
    portcullis(home.path(), &[&["validate", image.as_str()], &options[..]].concat())
}

/// The ids of ART and IDX that fire, with their severity.
fn ids(document: &Value) -> Vec<String> {
    let violations = document["violations"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut ids: Vec<String> = violations
        .filter(|violation| {
            !matches!(&violation["check"].as_str().unwrap()[..3], "ANN" | "CFG" | "MAN" | "OPT")
        })
        .map(|violation| format!("{} {}", text(&violation["check"]), text(&violation["severity"])))
        .collect();
    ids.sort();
    ids.dedup();
    ids
}

fn found(registry: &Registry) -> Vec<String> {
    ids(&validate(registry, "v1").json())
}

/// Two platforms; the digests of the index and of both.
fn on_registry(referrers: Referrers) -> (Registry, [String; 3]) {
    let registry = Registry::start(Switches { referrers, ..Switches::default() });
    let mut built = layout();
    let platforms = ["linux/amd64", "linux/arm64"]
        .map(|platform| built.add(image(platform).layer(layer("COPY . .").file("etc/motd", platform))));
    let index = built.index(platforms.to_vec());
    built.tag("v1", index);
    let index = registry.push_layout(APP, "v1", &built);
    let [amd64, arm64] = platforms.map(|platform| digest(&platform));
    (registry, [index, amd64, arm64])
}

fn signature(name: &str) -> Vec<u8> {
    bundle(&by_certificate(&certificate(uri(name), ISSUER, false)), SIGN)
}

#[test]
fn an_honest_list_is_no_violation() {
    let (registry, [index, ..]) = on_registry(NATIVE);
    registry.add_referrer(APP, &index, BUNDLE, &signature("https://acme.example"));
    registry.add_referrer(APP, &index, SBOM, b"{}");
    assert_eq!(found(&registry), [""; 0]);
    let (registry, [index, ..]) = on_registry(Referrers::Off);
    let listed = registry.add_referrer(APP, &index, BUNDLE, &signature("https://acme.example"));
    registry.set_fallback(APP, &index, std::slice::from_ref(&listed), Entries::Bare);
    assert_eq!(found(&registry), [""; 0]);
    registry.set_fallback(APP, &index, &[listed], Entries::Ghcr);
    assert_eq!(found(&registry), ["ART-006 low"]);
}

#[test]
fn a_fallback_tag_that_is_no_list_or_lists_what_belongs_elsewhere() {
    let (registry, [index, ..]) = on_registry(Referrers::Off);
    let other = Digest::sha256(b"another image").to_string();
    let foreign = registry.add_referrer(APP, &other, BUNDLE, b"signature of another image");
    registry.set_fallback(APP, &index, &[foreign], Entries::Faithful);
    let run = validate(&registry, "v1").ended(1);
    assert_eq!(ids(&run.json()), ["ART-005 critical"]);
    let empty = registry.put_blob(APP, b"{}");
    let aimless = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": SBOM, "layers": [],
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2},
    })
    .to_string();
    let digest = registry.put_manifest(APP, None, MANIFEST, aimless.as_bytes());
    let entry = json!({"mediaType": MANIFEST, "digest": digest, "size": aimless.len()});
    registry.set_fallback(APP, &index, &[entry], Entries::Faithful);
    assert_eq!(ids(&validate(&registry, "v1").ended(1).json()), ["ART-004 high"]);
    let tag = index.replace(':', "-");
    registry.put_manifest(APP, Some(&tag), MANIFEST, aimless.as_bytes());
    assert_eq!(ids(&validate(&registry, "v1").ended(1).json()), ["ART-004 high"]);
}

#[test]
fn a_list_that_cannot_be_had_is_unseen() {
    let (registry, _) = on_registry(NATIVE);
    registry.script(on("GET", "/referrers/").always(), [Fault::error(403, "DENIED", "")]);
    let document = validate(&registry, "v1").ended(3).json();
    assert!(document["unseen"].to_string().contains("what hangs on sha256:"), "{}", document["unseen"]);
}

#[test]
fn a_subject_that_is_described_wrongly_or_not_there() {
    let (registry, [index, ..]) = on_registry(Referrers::Off);
    let artifact = |subject: Value| {
        let empty = registry.put_blob(APP, b"{}");
        json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": SBOM, "subject": subject, "layers": [],
            "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty, "size": 2},
        })
        .to_string()
    };
    let (_, _, bytes) = registry.manifest(APP, &index).unwrap();
    let honest = json!({"mediaType": INDEX, "digest": index, "size": bytes.len()});
    let mut small = honest.clone();
    small["size"] = json!(7);
    let mut other_type = honest.clone();
    other_type["mediaType"] = json!(MANIFEST);
    let mut text_size = honest.clone();
    text_size["size"] = json!(bytes.len().to_string());
    for (subject, want) in [
        (&honest, &[][..]),
        (&small, &["ART-003 high"]),
        (&text_size, &["ART-003 high"]),
        (&other_type, &["ART-003 high"]),
    ] {
        let text = artifact(subject.clone());
        let digest = registry.put_manifest(APP, Some("artifact"), MANIFEST, text.as_bytes());
        assert_eq!(ids(&validate(&registry, "artifact").json()), want, "as the root: {subject}");
        let entry =
            json!({"mediaType": MANIFEST, "digest": digest, "size": text.len(), "artifactType": SBOM});
        registry.set_fallback(APP, &index, &[entry], Entries::Faithful);
        assert_eq!(found(&registry), want, "as a referrer: {subject}");
    }
    let gone = json!({"mediaType": INDEX, "digest": Digest::sha256(b"deleted").to_string(), "size": 7});
    registry.put_manifest(APP, Some("artifact"), MANIFEST, artifact(gone).as_bytes());
    assert_eq!(ids(&validate(&registry, "artifact").json()), ["ART-002 medium"]);
    registry.script(on("GET", "/manifests/sha256:").always(), [Fault::error(403, "DENIED", "")]);
    let document = validate(&registry, "artifact").ended(3).json();
    assert!(document["unseen"].to_string().contains("the subject of sha256:"), "{}", document["unseen"]);
}

#[test]
fn both_formats_of_cosign_are_compared() {
    let (registry, [index, ..]) = on_registry(NATIVE);
    let der = certificate(uri("https://acme.example"), ISSUER, false);
    registry.add_referrer(APP, &index, BUNDLE, &bundle(&by_certificate(&der), SIGN));
    let annotations = |der: &[u8]| json!({"dev.sigstore.cosign/certificate": pem(der)});
    legacy(&registry, APP, &index, "sig", &[annotations(&der)]);
    assert_eq!(found(&registry), [""; 0]);
    let other = certificate(uri("https://evil.example"), ISSUER, false);
    legacy(&registry, APP, &index, "sig", &[annotations(&other)]);
    assert_eq!(found(&registry), ["ART-008 medium"]);
    legacy(&registry, APP, &index, "sig", &[annotations(&der)]);
    registry.add_referrer(APP, &index, BUNDLE, &bundle(&by_certificate(&der), SLSA));
    let mut stated = annotations(&der);
    let mut sbom = stated.clone();
    sbom["predicateType"] = json!("https://spdx.dev/Document");
    legacy(&registry, APP, &index, "att", std::slice::from_ref(&sbom));
    assert_eq!(found(&registry), [""; 0], "two tools, each with an attestation of its own");
    stated["predicateType"] = json!(SLSA);
    legacy(&registry, APP, &index, "att", &[stated.clone(), sbom]);
    assert_eq!(found(&registry), ["ART-008 medium"]);
    legacy(&registry, APP, &index, "att", &[stated]);
    assert_eq!(found(&registry), [""; 0]);
}

#[test]
fn the_registrys_list_and_the_fallback_tag_are_compared() {
    let (registry, [index, ..]) = on_registry(NATIVE);
    let first = registry.add_referrer(APP, &index, SBOM, b"1");
    registry.set_fallback(APP, &index, std::slice::from_ref(&first), Entries::Faithful);
    assert_eq!(found(&registry), [""; 0]);
    registry.add_referrer(APP, &index, SBOM, b"2");
    assert_eq!(found(&registry), ["ART-009 medium"]);
}

#[test]
fn a_platform_without_the_signature_of_its_sibling() {
    let (registry, [_, amd64, arm64]) = on_registry(NATIVE);
    registry.add_referrer(APP, &amd64, BUNDLE, &signature("https://acme.example"));
    let document = validate(&registry, "v1").json();
    assert_eq!(ids(&document), ["IDX-012 medium"]);
    let violations = document["violations"].as_array().unwrap();
    let one = violations.iter().find(|violation| violation["check"] == "IDX-012").unwrap();
    assert_eq!((&one["where"]["digest"], &one["platform"]), (&json!(arm64), &json!("linux/arm64")));
    legacy(&registry, APP, &arm64, "sig", &[json!({})]);
    assert_eq!(found(&registry), [""; 0]);
}

#[test]
fn a_signature_that_cannot_be_fetched_is_neither_there_nor_missing() {
    let (registry, [_, amd64, _]) = on_registry(NATIVE);
    let listed = registry.add_referrer(APP, &amd64, BUNDLE, &signature("https://acme.example"));
    let (_, _, manifest) = registry.manifest(APP, listed["digest"].as_str().unwrap()).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let blob = format!("/blobs/{}", manifest["layers"][0]["digest"].as_str().unwrap());
    registry.script(on("GET", &blob).always(), [Fault::error(403, "DENIED", "")]);
    let document = validate(&registry, "v1").ended(3).json();
    assert_eq!(ids(&document), [""; 0]);
}

/// A layout with one image and whatever else `index.json` lists.
fn on_disk(others: &[Value]) -> (tempfile::TempDir, Value) {
    let place = tempfile::tempdir().unwrap();
    let mut built = layout();
    let platform = built.add(image("linux/amd64").layer(layer("COPY . .").file("etc/motd", "x")));
    built.tag("v1", platform.clone());
    for (number, other) in others.iter().enumerate() {
        let mut other = other.clone();
        if other["subject"] == "the image" {
            other["subject"] = platform.clone();
        }
        let manifest = built.blob(MANIFEST, other.to_string().into_bytes());
        built.tag(&format!("other-{number}"), manifest);
    }
    built.write(place.path());
    (place, platform)
}

fn local(place: &tempfile::TempDir) -> Run {
    let home = tempfile::tempdir().unwrap();
    let location = format!("oci:{}:v1", place.path().display());
    portcullis(home.path(), &["validate", &location, "--at", "2026-11-01T00:00:00Z", "-o", "json"])
}

fn referrer(subject: &Value, annotations: &Value) -> Value {
    json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": SBOM, "layers": [], "subject": subject,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2,
            "digest": Digest::sha256(b"{}").to_string()},
        "annotations": annotations,
    })
}

#[test]
fn a_referrer_in_a_layout_that_is_too_odd_to_parse_is_not_overlooked() {
    let (place, _) = on_disk(&[referrer(&json!("the image"), &json!({}))]);
    assert_eq!(ids(&local(&place).ended(0).json()), [""; 0]);
    let (place, _) = on_disk(&[referrer(&json!("the image"), &json!({"x": 5}))]);
    let document = local(&place).ended(3).json();
    assert!(document["unseen"].to_string().contains("`annotations` is not a map"), "{document}");
    let home = tempfile::tempdir().unwrap();
    let (from, to) = (
        format!("oci:{}:v1", place.path().display()),
        format!("oci:{}:v1", home.path().join("to").display()),
    );
    portcullis(home.path(), &["copy", &from, &to]).ended(3);
}

#[test]
fn a_subject_of_null_is_none() {
    let (place, _) = on_disk(&[referrer(&Value::Null, &json!({}))]);
    local(&place).ended(0);
}

#[test]
fn a_digest_header_that_lies_is_told_as_such() {
    let (registry, _) = on_registry(NATIVE);
    registry.switch(|ways| ways.content_digest = crate::support::registry::ContentDigest::Wrong);
    assert_eq!(found_all(&validate(&registry, "v1").ended(1).json()), ["MAN-021"]);
}

fn found_all(document: &Value) -> Vec<&str> {
    document["violations"].as_array().unwrap().iter().map(|it| it["check"].as_str().unwrap()).collect()
}

/// Attack: a second entry with the tag of the signatures, which leads to none of them.
#[test]
fn a_tag_of_signatures_that_a_layout_lists_twice_is_unknown() {
    let place = |others: &[&str]| {
        let place = tempfile::tempdir().unwrap();
        let mut built = layout();
        let platform = built.add(image("linux/amd64").layer(layer("COPY . .").file("etc/motd", "x")));
        built.tag("v1", platform.clone());
        let subject = digest(&platform).replace(':', "-");
        for (number, suffix) in others.iter().enumerate() {
            let config = json!({"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2,
                "digest": Digest::sha256(b"{}").to_string()});
            let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "config": config,
                "annotations": {"number": number.to_string()}});
            let manifest = built.blob(MANIFEST, manifest.to_string().into_bytes());
            built.tag(&format!("{subject}{suffix}"), manifest);
        }
        built.write(place.path());
        place
    };
    local(&place(&[".sig"])).ended(0);
    let document = local(&place(&[".sig", ".sig"])).ended(3).json();
    assert!(document["unseen"].to_string().contains("several manifests under the tag"), "{document}");
    let document = local(&place(&["", ""])).ended(3).json();
    assert!(document["unseen"].to_string().contains("several manifests under the tag"), "{document}");
}
