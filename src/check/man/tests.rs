use serde_json::json;

use crate::check::fixture::{CONFIG, INDEX, MANIFEST, Store, digest, good, with};
use crate::model::violation::CheckSeverity::{self, Critical, High, Info, Medium};

type Ids = Vec<(&'static str, CheckSeverity)>;

#[test]
fn a_good_image_has_no_violation() {
    let mut store = Store::default();
    let manifest = good(&mut store);
    assert_eq!(store.root(manifest.to_string()), []);
    let index = store.index(Vec::new());
    let root = store.put(INDEX, index.to_string());
    assert_eq!(store.ids(&root), []);
    assert_eq!(store.checked(&root).unseen, []);
}

/// One change of a manifest's text, and all that fires.
#[test]
fn each_change_fires_its_own_check_alone() {
    let data = |data: &str| format!(r#""data":"{data}","digest""#);
    let urls = |url: &str| format!(r#""urls":["{url}"],"size":2"#);
    let foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    let layer = "application/vnd.oci.image.layer.v1.tar+gzip";
    let gz = digest("gz");
    let of_layer = format!(r#""digest":"{gz}","size":2"#);
    let docker_layer = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    let cases: Vec<(&str, String, Ids)> = vec![
        (
            r#""schemaVersion":2"#,
            r#""schemaVersion":2,"annotations":{"a":"1","a":"2"}"#.into(),
            vec![("MAN-006", High)],
        ),
        (r#""layers""#, r#""Layers":[],"layers""#.into(), vec![("MAN-006", High)]),
        (&of_layer, format!("{of_layer},\"\u{17f}ize\":3"), vec![("MAN-006", High)]),
        (r#""schemaVersion":2"#, r#""schemaVersion":2.0"#.into(), vec![("MAN-007", High), ("MAN-008", High)]),
        (r#""schemaVersion":2"#, r#""schemaVersion":1"#.into(), vec![("MAN-008", High)]),
        (r#""schemaVersion":2,"#, String::new(), vec![("MAN-008", High)]),
        (r#""size":2"#, r#""size":-2"#.into(), vec![("MAN-007", High)]),
        (r#""size":2"#, r#""size":"2""#.into(), vec![("MAN-007", High)]),
        (r#","size":2"#, String::new(), vec![("MAN-007", High)]),
        (r#""layers":["#, r#""annotations":{"a":1},"layers":["#.into(), vec![("MAN-007", High)]),
        (
            r#""layers":["#,
            r#""manifests":[],"layers":["#.into(),
            vec![("IDX-007", High), ("MAN-004", Critical)],
        ),
        (&gz, gz.to_uppercase().replace("SHA", "sha"), vec![("MAN-010", High)]),
        (&gz, "sha256:../../etc/passwd".into(), vec![("MAN-010", High)]),
        (&gz, format!("md5:{}", "0".repeat(32)), vec![("MAN-010", High)]),
        (&gz, format!("blake3:{}", "0".repeat(64)), vec![("MAN-010", Info)]),
        (&gz, format!("sha512:{}", "0".repeat(128)), vec![("MAN-010", Info)]),
        (layer, "no media type".into(), vec![("MAN-011", Medium)]),
        (layer, docker_layer.into(), vec![("MAN-012", Medium)]),
        (&of_layer, of_layer.replace(r#""digest""#, &data("Z3o=")), vec![]),
        (&of_layer, of_layer.replace(r#""digest""#, &data("Z3p6")), vec![("MAN-014", Critical)]),
        (&of_layer, of_layer.replace(r#""digest""#, &data("%%%%")), vec![("MAN-014", Critical)]),
        (r#""size":2"#, urls("https://example.com/l"), vec![("MAN-015", High)]),
        (r#""size":2"#, urls("http://example.com/l"), vec![("MAN-015", Critical)]),
        (r#""size":2"#, urls("https://169.254.169.254/l"), vec![("MAN-015", Critical)]),
        (layer, foreign.into(), vec![("MAN-016", Medium)]),
    ];
    for (from, to, want) in cases {
        let mut store = Store::default();
        let text = with(&good(&mut store), from, &to);
        assert_eq!(store.root(&text), want, "{text}");
    }
}

#[test]
fn the_bytes_around_the_document_count() {
    let mut store = Store::default();
    let text = good(&mut store).to_string();
    assert_eq!(store.root(format!("\u{feff}{text}")), [("MAN-007", High)]);
    assert_eq!(store.root(format!("{text}{{}}")), [("MAN-007", High)]);
    let deep = format!(r#"{},"x":{}{}}}"#, &text[..text.len() - 1], "[".repeat(40), "]".repeat(40));
    assert_eq!(store.root(deep), [("MAN-007", High)]);
    let root = store.put(MANIFEST, "{");
    assert_eq!(store.ids(&root), [("MAN-007", High)]);
    assert_eq!(store.checked(&root).unseen.len(), 1);
}

#[test]
fn a_root_that_is_not_what_was_asked_for_is_critical() {
    let mut store = Store::default();
    let text = good(&mut store).to_string();
    let root = store.put(MANIFEST, &text);
    let key = root["digest"].as_str().unwrap().to_owned();
    store.blobs.insert(key, text.replacen("tar+gzip", "tar+zstd", 1).into_bytes());
    assert_eq!(store.ids(&root), [("MAN-001", Critical)]);
    let mut root = store.put(MANIFEST, &text);
    root["size"] = json!(text.len() + 1);
    assert_eq!(store.ids(&root), [("MAN-002", Critical)]);
    root = store.put(MANIFEST, &text);
    root["mediaType"] = json!(INDEX);
    assert_eq!(store.ids(&root), [("MAN-003", High)]);
}

#[test]
fn what_the_registry_says_is_held_against_the_bytes() {
    let mut store = Store::default();
    let root = good(&mut store).to_string();
    let root = store.put(MANIFEST, root);
    let right = root["digest"].as_str().unwrap().to_owned();
    store.served.content_type = Some(MANIFEST.into());
    store.served.resolved = Some(right.parse().unwrap());
    assert_eq!(store.ids(&root), []);
    store.served.content_type = Some(INDEX.into());
    assert_eq!(store.ids(&root), [("MAN-003", High)]);
    store.served.content_type = None;
    store.served.resolved = Some(digest("earlier").parse().unwrap());
    assert_eq!(store.ids(&root), [("MAN-019", Medium)]);
}

#[test]
fn a_manifest_has_its_size_and_number_of_layers() {
    let mut store = Store::default();
    let mut manifest = good(&mut store);
    manifest["annotations"] = json!({"a": "x".repeat(60_000)});
    assert_eq!(store.root(manifest.to_string()), []);
    manifest["x"] = json!("x".repeat(1 << 20));
    assert_eq!(store.root(manifest.to_string()), [("MAN-009", Medium)]);
    manifest["x"] = json!("x".repeat(5 << 20));
    let mut root = store.put(MANIFEST, manifest.to_string());
    assert_eq!(store.ids(&root), [("MAN-009", High)]);
    assert_eq!(store.checked(&root).unseen.len(), 1);
    root["size"] = json!(100);
    assert_eq!(store.ids(&root), [("MAN-002", Critical), ("MAN-009", High)]);
    for (layers, severity) in [(41, Medium), (128, High)] {
        let mut manifest = good(&mut store);
        let layer = manifest["layers"][0].clone();
        manifest["layers"] = (0..layers).map(|_| layer.clone()).collect();
        let ids = store.root(manifest.to_string());
        assert_eq!(ids, [("CFG-003", High), ("MAN-017", Info), ("MAN-018", severity)]);
    }
}

#[test]
fn docker_and_untyped_manifests_and_moving_tags_are_told() {
    let mut store = Store::default();
    let mut manifest = good(&mut store);
    manifest.as_object_mut().unwrap().remove("mediaType");
    assert_eq!(store.root(manifest.to_string()), [("MAN-005", Medium)]);
    let text = good(&mut store)
        .to_string()
        .replace(MANIFEST, "application/vnd.docker.distribution.manifest.v2+json")
        .replace(CONFIG, "application/vnd.docker.container.image.v1+json")
        .replace("oci.image.layer.v1.tar+gzip", "docker.image.rootfs.diff.tar.gzip");
    let mut root = store.put("application/vnd.docker.distribution.manifest.v2+json", &text);
    assert_eq!(store.ids(&root), [("MAN-013", Info)]);
    root = store.put(MANIFEST, good(&mut Store::default()).to_string());
    for (reference, ids) in [("ghcr.io/a/b", 1), ("ghcr.io/a/b:v1", 0)] {
        store.reference = Some(reference.parse().unwrap());
        assert_eq!(store.ids(&root).len(), ids, "{reference}");
    }
    store.reference = Some(format!("ghcr.io/a/b:latest@{}", digest("x")).parse().unwrap());
    assert_eq!(store.ids(&root), []);
}
