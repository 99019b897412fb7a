use serde_json::json;

use crate::check::fixture::{INDEX, Store, config, good};
use crate::model::violation::CheckSeverity::{self, High, Low, Medium};

type Ids = Vec<(&'static str, CheckSeverity)>;

/// An image with one annotation.
fn ids(store: &mut Store, key: &str, value: &str) -> Ids {
    let mut manifest = good(store);
    manifest["annotations"] = json!({format!("org.opencontainers.image.{key}"): value});
    store.root(manifest.to_string())
}

#[test]
fn each_annotation_fires_its_own_check() {
    let commit = "0cc7fea5828303fa14d754bab4f9161a8cac4ba1";
    let cases: Vec<(&str, &str, Ids)> = vec![
        ("source", "https://github.com/acme/app", vec![]),
        ("source", "git@github.com:acme/app.git", vec![("ANN-001", Medium)]),
        ("revision", commit, vec![]),
        ("revision", "0cc7fea", vec![("ANN-002", Medium)]),
        ("created", "2026-01-01T00:00:00.123Z", vec![]),
        ("created", "1 January", vec![("ANN-004", Low)]),
        ("licenses", "MIT OR Apache-2.0", vec![]),
        ("licenses", "Apache 2", vec![("ANN-005", Low)]),
        ("base.name", "docker.io/library/alpine:3", vec![("ANN-006", Low)]),
        ("base.digest", "sha256:0", vec![("ANN-006", Low)]),
        ("title", "a\u{202e}b", vec![("ANN-007", Medium)]),
        ("title", "a\u{1b}[31m", vec![("ANN-007", Medium)]),
        ("description", "two\nlines", vec![]),
    ];
    for (key, value, want) in cases {
        assert_eq!(ids(&mut Store::default(), key, value), want, "{key}={value}");
    }
}

#[test]
fn what_is_required_must_be_there_and_agree() {
    let commit = "0cc7fea5828303fa14d754bab4f9161a8cac4ba1";
    let mut store = Store::default();
    store.expected.source = Some("https://github.com/acme/app".into());
    assert_eq!(ids(&mut store, "source", "https://github.com/Acme/app.git"), []);
    assert_eq!(ids(&mut store, "source", "https://github.com/evil/app"), [("ANN-001", High)]);
    assert_eq!(ids(&mut store, "title", "x"), [("ANN-001", High)]);
    let mut store = Store::default();
    store.expected.revision = Some(commit.into());
    assert_eq!(ids(&mut store, "revision", commit), []);
    assert_eq!(ids(&mut store, "revision", &commit.replace('0', "1")), [("ANN-002", High)]);
    assert_eq!(ids(&mut store, "title", "x"), [("ANN-002", High)]);
    let manifest = good(&mut store);
    store.blobs.clear();
    let root = store.put(crate::check::fixture::MANIFEST, manifest.to_string());
    let checked = store.checked(&root);
    assert!(
        checked.violations.iter().all(|v| v.check != "ANN-002") && checked.unseen.len() == 1,
        "{checked:?}"
    );
}

#[test]
fn a_version_fits_the_tag() {
    let fits = |tag: &str, version: &str| {
        let reference = format!("ghcr.io/a/b:{tag}").parse().unwrap();
        let mut store = Store { reference: Some(reference), ..Store::default() };
        ids(&mut store, "version", version).is_empty()
    };
    for (tag, version) in [
        ("v1.2.3", "1.2.3"),
        ("1.2", "1.2.3"),
        ("1.2.3-alpine", "v1.2.3"),
        ("main-0cc7fea", "1.2.3"),
        ("v1", "1.2.3"),
        ("1.2.3_b1", "1.2.3+b1"),
    ] {
        assert!(fits(tag, version), "{tag} {version}");
    }
    assert!(!fits("v1.2.3", "1.2.4") && !fits("1.2.30", "1.2.3") && !fits("1.2.3", "22.04"));
}

#[test]
fn contradictions_and_missing_words_are_told() {
    let mut store = Store::default();
    let mut index = store.index(Vec::new());
    index["annotations"] = json!({"org.opencontainers.image.version": "1"});
    let key = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let mut manifest: serde_json::Value = serde_json::from_slice(&store.blobs[&key]).unwrap();
    manifest["annotations"] = json!({"org.opencontainers.image.version": "2"});
    let mut child = store.put(crate::check::fixture::MANIFEST, manifest.to_string());
    child["platform"] = index["manifests"][0]["platform"].clone();
    index["manifests"][0] = child;
    let root = store.put(INDEX, index.to_string());
    assert_eq!(store.ids(&root), [("ANN-008", Medium)]);
    let mut bare = config();
    bare["config"]["Labels"] = json!(null);
    assert_eq!(crate::check::fixture::of_config(bare.to_string()), [("ANN-009", Low)]);
}
