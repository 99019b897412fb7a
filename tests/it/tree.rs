//! `portcullis tree`: what hangs on an image, honest and not.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis::gate::tree;
use portcullis::image::limits::Limits;
use portcullis::model::digest::Digest;
use portcullis::model::tree::{ArtifactKind, ListedBy, Signer, Tree};
use portcullis::registry::Registry as Client;
use portcullis::report::{Detail, Style, TREE_FORMATS};
use rcgen::SanType;
use serde_json::{Value, json};

use crate::registry::settings;
use crate::support::cli::{Run, portcullis};
use crate::support::image::{image, layer, layout};
use crate::support::registry::{Entries, Fault, Hint, INDEX, MANIFEST, Referrers, Registry, Switches, on};
use crate::support::signatures::{
    BUNDLE, SIGN, SLSA, bundle, by_certificate, certificate, digest, legacy, pem, uri,
};

const APP: &str = "acme/app";
const SBOM: &str = "application/vnd.cyclonedx+json";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

fn look(reference: &str) -> Tree {
    let client = Client::new(settings()).unwrap();
    tree(&reference.parse().unwrap(), Some(&client), &Limits::default()).unwrap()
}

fn text(tree: &Tree) -> String {
    let style = Style { color: false, detail: Detail::Usual, width: 110 };
    TREE_FORMATS[0].tree(tree, &style)
}

/// Two platforms, one attested by BuildKit; the digests of the index and of the platforms.
fn image_on(registry: &Registry) -> [String; 4] {
    let mut built = layout();
    let amd64 = built.add(image("linux/amd64").layer(layer("COPY . .").file("a", "amd64")));
    let arm64 = built.add(image("linux/arm64").layer(layer("COPY . .").file("a", "arm64")));
    let attestation = built.attestation(&amd64);
    let index = built.index(vec![amd64.clone(), arm64.clone(), attestation.clone()]);
    built.tag("v1", index);
    [registry.push_layout(APP, "v1", &built), digest(&amd64), digest(&arm64), digest(&attestation)]
}

/// The text with names in place of digests, and without lengths.
fn masked(text: &str, names: &BTreeMap<String, &str>) -> String {
    let mut text = text.to_owned();
    for (digest, name) in names {
        text = text.replace(digest, name);
    }
    let words: Vec<&str> = text.split(' ').collect();
    let mut out: Vec<&str> = Vec::new();
    for (place, word) in words.iter().enumerate() {
        let is_length = words.get(place + 1).is_some_and(|next| next.starts_with("bytes"));
        out.push(if is_length { "N" } else { word });
    }
    out.join(" ")
}

#[test]
fn a_signed_image_is_drawn() {
    let registry = Registry::start(Switches::default());
    let [index, amd64, arm64, attestation] = image_on(&registry);
    let workflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
    let signature = registry.add_referrer(
        APP,
        &index,
        BUNDLE,
        &bundle(&by_certificate(&certificate(uri(workflow), ISSUER, false)), SIGN),
    );
    let provenance =
        registry.add_referrer(APP, &amd64, BUNDLE, &bundle(&json!({"publicKey": {"hint": "acme-1"}}), SLSA));
    let sbom = registry.add_referrer(APP, &amd64, SBOM, b"{}");
    let mail = vec![SanType::Rfc822Name("ci@acme.example".try_into().unwrap())];
    let pem = pem(&certificate(mail, "https://accounts.acme.example", true));
    let old =
        legacy(&registry, APP, &arm64, "sig", &[json!({"dev.sigstore.cosign/certificate": pem}), json!({})]);
    let tree = look(&registry.reference(APP, "v1"));
    assert!(tree.is_complete());
    let names = BTreeMap::from([
        (index, "INDEX"),
        (amd64, "AMD64"),
        (arm64, "ARM64"),
        (attestation, "BUILD"),
        (digest(&signature), "SIGNATURE"),
        (digest(&provenance), "PROVENANCE"),
        (digest(&sbom), "SBOM"),
        (old, "OLD"),
        (registry.address().to_owned(), "HOST"),
    ]);
    let expected = "\
HOST/acme/app:v1
index  INDEX  N bytes
├─ signature  SIGNATURE  N bytes, listed by the registry
│     signed by https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main, by \
https://token.actions.githubusercontent.com (claimed, not verified)
├─ linux/amd64  AMD64  N bytes
│  ├─ attestation of the build  BUILD  N bytes
│  ├─ attestation  PROVENANCE  N bytes, listed by the registry
│  │     https://slsa.dev/provenance/v1
│  │     signed by a key, hint acme-1 (claimed, not verified)
│  └─ application/vnd.cyclonedx+json  SBOM  N bytes, listed by the registry
└─ linux/arm64  ARM64  N bytes
   └─ signatures (.sig)  OLD  N bytes, by its tag
         signed by ci@acme.example, by https://accounts.acme.example (claimed, not verified)
         signed by a key (not verified)

Who signed is as claimed and not verified.
";
    assert_eq!(masked(&text(&tree), &names), expected);
}

fn run(registry: &Registry, more: &[&str]) -> Run {
    let home = tempfile::tempdir().unwrap();
    let reference = registry.reference(APP, "v1");
    portcullis(home.path(), &[&["tree", &reference, "--insecure-registry", "127.0.0.1"], more].concat())
}

#[test]
fn the_same_tree_for_programs_and_from_a_fallback_tag() {
    let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
    let [index, ..] = image_on(&registry);
    let statement = bundle(&by_certificate(&certificate(uri("https://acme.example"), ISSUER, false)), SLSA);
    let listed = registry.add_referrer(APP, &index, BUNDLE, &statement);
    let on_it = registry.add_referrer(APP, &digest(&listed), SBOM, b"on the attestation");
    registry.set_fallback(APP, &index, std::slice::from_ref(&listed), Entries::Ghcr);
    registry.set_fallback(APP, &digest(&listed), std::slice::from_ref(&on_it), Entries::Bare);
    let first = run(&registry, &["-o", "json"]).ended(0);
    let document = first.json();
    assert_eq!(document["schema"], "portcullis.dev/tree/v1");
    assert_eq!((&document["complete"], &document["verified"]), (&json!(true), &json!(false)));
    let artifact = &document["root"]["artifacts"][0];
    assert_eq!((&artifact["kind"], &artifact["listed"]), (&json!("attestation"), &json!("fallback-tag")));
    assert_eq!(artifact["predicateTypes"], json!([SLSA]));
    let claimed = json!([{"certificate": {"identities": ["https://acme.example"], "issuer": ISSUER}}]);
    assert_eq!(artifact["claimedSigners"], claimed);
    assert_eq!(artifact["artifacts"][0]["digest"], on_it["digest"]);
    assert_eq!(document["root"]["children"].as_array().unwrap().len(), 2);
    assert_eq!(document["root"]["children"][0]["buildAttestations"].as_array().unwrap().len(), 1);
    assert_eq!(first.out(), run(&registry, &["-o", "json"]).ended(0).out());
}

#[test]
fn a_list_that_fails_is_not_known_and_ends_with_3() {
    for fault in [Fault::error(403, "DENIED", ""), Fault::Throttled(Hint::None), Fault::bare(500)] {
        for what in ["/referrers/", "/manifests/sha256-"] {
            let registry = Registry::start(Switches::default());
            image_on(&registry);
            registry.script(on("GET", what).always(), [fault.clone()]);
            let tree = look(&registry.reference(APP, "v1"));
            assert!(!tree.is_complete());
            let text = text(&tree);
            assert!(text.contains("not known: ") && text.contains("there may be more"), "{text}");
        }
    }
    let registry = Registry::start(Switches::default());
    image_on(&registry);
    registry.script(on("GET", "/referrers/").always(), [Fault::error(403, "DENIED", "")]);
    let document = run(&registry, &["-o", "json"]).ended(3).json();
    assert_eq!(document["complete"], false);
    assert!(!document["root"]["unknown"].as_array().unwrap().is_empty());
}

#[test]
fn a_manifest_that_is_gone_is_told() {
    let registry = Registry::start(Switches::default());
    let [_, amd64, _, attestation] = image_on(&registry);
    for gone in [attestation, amd64] {
        registry.remove_manifest(APP, &gone);
        assert!(run(&registry, &[]).ended(3).out().contains("could not be read: "));
    }
}

#[test]
fn a_referrer_of_another_image_is_shown_as_refused() {
    let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
    let [index, ..] = image_on(&registry);
    let other = Digest::sha256(b"another image").to_string();
    let foreign = registry.add_referrer(APP, &other, BUNDLE, b"signature of another image");
    registry.set_fallback(APP, &index, std::slice::from_ref(&foreign), Entries::Faithful);
    let tree = look(&registry.reference(APP, "v1"));
    assert!(tree.root.hangs.artifacts.is_empty());
    assert!(text(&tree).contains(&format!("refused  {}: its subject is {other}", digest(&foreign))));
}

#[test]
fn certificates_that_are_garbage_are_told() {
    let registry = Registry::start(Switches::default());
    let [index, ..] = image_on(&registry);
    let honest = certificate(uri("https://acme.example"), ISSUER, false);
    let mut garbage: Vec<Vec<u8>> = vec![
        b"not JSON".to_vec(),
        b"{}".to_vec(),
        bundle(&json!({}), SIGN),
        bundle(&json!({"certificate": {"rawBytes": "%%%"}}), SIGN),
        bundle(&json!({"certificate": {"rawBytes": STANDARD.encode([0x30; 80_000])}}), SIGN),
        bundle(&json!({"x509CertificateChain": {"certificates": []}}), SIGN),
    ];
    garbage.extend((0..honest.len()).step_by(17).map(|end| bundle(&by_certificate(&honest[..end]), SIGN)));
    let count = garbage.len();
    for payload in garbage {
        registry.add_referrer(APP, &index, BUNDLE, &payload);
    }
    legacy(&registry, APP, &index, "sig", &[json!({"dev.sigstore.cosign/certificate": "garbage"})]);
    let tree = look(&registry.reference(APP, "v1"));
    let artifacts = &tree.root.hangs.artifacts;
    assert_eq!(artifacts.len(), count + 1);
    let unread = |signers: &[Signer]| matches!(signers, [Signer::Unreadable { .. }]);
    assert!(artifacts.iter().all(|artifact| unread(&artifact.signers)), "{artifacts:?}");
}

#[test]
fn foreign_text_does_not_reach_the_terminal_raw() {
    let registry = Registry::start(Switches::default());
    let [index, ..] = image_on(&registry);
    let evil = "\u{1b}[2J\u{202e}\nsigned by the president";
    registry.add_referrer(APP, &index, evil, b"{}");
    registry.add_referrer(APP, &index, BUNDLE, &bundle(&json!({"publicKey": {"hint": evil}}), evil));
    legacy(&registry, APP, &index, "att", &[json!({"predicateType": evil})]);
    let tree = look(&registry.reference(APP, "v1"));
    let text = text(&tree);
    let raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!text.contains(raw) && text.contains("\\u{1b}[2J"), "{text}");
    assert!(!text.lines().any(|line| line.trim_start().starts_with("signed by the president")), "{text}");
    let json = TREE_FORMATS[1].tree(&tree, &Style { color: false, detail: Detail::Usual, width: 110 });
    assert!(!json.contains(raw), "{json}");
}

#[test]
fn a_thousand_referrers_and_one_more() {
    let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
    let [index, ..] = image_on(&registry);
    let mut listed: Vec<Value> =
        (0..1_000).map(|n| registry.add_referrer(APP, &index, SBOM, format!("{n}").as_bytes())).collect();
    registry.set_fallback(APP, &index, &listed, Entries::Ghcr);
    let tree = look(&registry.reference(APP, "v1"));
    assert_eq!((tree.root.hangs.artifacts.len(), tree.is_complete()), (1_000, true));
    assert!(text(&tree).lines().count() < 40);
    assert!(text(&tree).contains("and 980 more"));
    listed.push(registry.add_referrer(APP, &index, SBOM, b"one more"));
    registry.set_fallback(APP, &index, &listed, Entries::Ghcr);
    let tree = look(&registry.reference(APP, "v1"));
    assert!(!tree.is_complete());
    assert!(tree.root.hangs.unknown[0].contains("limit `referrers`"), "{:?}", tree.root.hangs.unknown);
}

#[test]
fn what_buildkit_states_stands_below_the_platform_that_it_names() {
    let registry = Registry::start(Switches::default());
    let [_, amd64, ..] = image_on(&registry);
    let (_, _, platform) = registry.manifest(APP, &amd64).unwrap();
    let statement = registry.put_blob(APP, b"statement");
    let config = registry.put_blob(APP, b"{}");
    let layers = ["https://spdx.dev/Document", SLSA].map(|predicate| {
        json!({"mediaType": "application/vnd.in-toto+json", "digest": statement, "size": 9,
            "annotations": {"in-toto.io/predicate-type": predicate}})
    });
    let attestation = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "layers": layers,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
    })
    .to_string();
    let stored = registry.put_manifest(APP, None, MANIFEST, attestation.as_bytes());
    let entry = |about: &str| {
        json!({
            "mediaType": MANIFEST, "digest": stored, "size": attestation.len(),
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": about,
            },
        })
    };
    let own = json!({
        "mediaType": MANIFEST, "digest": amd64, "size": platform.len(),
        "platform": {"os": "linux", "architecture": "amd64"},
    });
    let put = |about: &str| {
        // The attestation may stand before its platform.
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry(about), own]});
        registry.put_manifest(APP, Some("v1"), INDEX, index.to_string().as_bytes());
        look(&registry.reference(APP, "v1"))
    };
    let tree = put(&amd64);
    assert_eq!(tree.root.children[0].build[0].predicate_types, ["https://spdx.dev/Document", SLSA]);
    assert!(tree.root.build.is_empty() && tree.root.children.len() == 1);
    let other = Digest::sha256(b"another").to_string();
    let tree = put(&other);
    assert_eq!(tree.root.build[0].astray.as_deref(), Some(other.as_str()));
    assert!(text(&tree).contains(&format!("about {other}, which this index does not list")));
}

#[test]
fn an_index_that_lists_a_manifest_over_and_over() {
    let registry = Registry::start(Switches::default());
    let [index, amd64, ..] = image_on(&registry);
    registry.add_referrer(APP, &amd64, SBOM, b"{}");
    let (_, _, bytes) = registry.manifest(APP, &amd64).unwrap();
    let entry = json!({"mediaType": MANIFEST, "digest": amd64, "size": bytes.len()});
    let many = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": vec![entry; 200]});
    registry.put_manifest(APP, Some("v1"), INDEX, many.to_string().as_bytes());
    registry.forget();
    let tree = look(&registry.reference(APP, "v1"));
    assert_eq!(tree.root.children.len(), 200);
    assert_eq!(tree.root.children.iter().filter(|child| child.again).count(), 199);
    assert_eq!(tree.root.children.iter().map(|child| child.hangs.artifacts.len()).sum::<usize>(), 1);
    assert!(registry.count("*", "") < 30, "{}", registry.count("*", ""));
    assert!(!index.is_empty());
}

#[test]
fn the_tree_of_a_layout() {
    let registry = Registry::start(Switches::default());
    let [index, ..] = image_on(&registry);
    registry.add_referrer(APP, &index, BUNDLE, &bundle(&json!({"publicKey": {}}), SIGN));
    legacy(&registry, APP, &index, "sig", &[json!({})]);
    let (home, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let layout = format!("oci:{}/made:v1", place.path().display());
    let source = registry.reference(APP, "v1");
    portcullis(home.path(), &["copy", &source, &layout, "--insecure-registry", "127.0.0.1"]).ended(0);
    let tree = tree(&layout.parse().unwrap(), None, &Limits::default()).unwrap();
    assert!(tree.is_complete());
    let kinds: Vec<(ArtifactKind, &ListedBy)> =
        tree.root.hangs.artifacts.iter().map(|artifact| (artifact.kind, &artifact.listed)).collect();
    assert_eq!(
        kinds,
        [(ArtifactKind::Signature, &ListedBy::Index), (ArtifactKind::LegacySignature, &ListedBy::Tag)]
    );
    portcullis(home.path(), &["tree", "docker-archive:x.tar"]).ended(2);
}

/// Attack: what stands beside a bundle that no verifier reads, shown as what it is.
#[test]
fn a_bundle_that_cannot_be_read_is_not_what_its_annotations_say() {
    let registry = Registry::start(Switches::default());
    let [index, ..] = image_on(&registry);
    let listed = registry.add_referrer(APP, &index, BUNDLE, b"{}");
    let (_, _, bytes) = registry.manifest(APP, listed["digest"].as_str().unwrap()).unwrap();
    let mut manifest: Value = serde_json::from_slice(&bytes).unwrap();
    manifest["annotations"] = json!({"dev.sigstore.bundle.predicateType": SLSA});
    registry.remove_manifest(APP, listed["digest"].as_str().unwrap());
    registry.put_manifest(APP, None, MANIFEST, manifest.to_string().as_bytes());
    let drawn = text(&look(&registry.reference(APP, "v1")));
    assert!(!drawn.contains(SLSA) && drawn.contains("no sigstore bundle"), "{drawn}");
}
