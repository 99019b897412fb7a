use serde_json::json;

use crate::check::fixture::{MANIFEST, Store};
use crate::model::violation::CheckSeverity::{High, Medium};

use super::{EMPTY_DIGEST, EMPTY_TYPE};

#[test]
fn an_artifact_says_what_it_is_and_its_empty_blob_is_empty() {
    let mut store = Store::default();
    let empty = store.put(EMPTY_TYPE, "{}");
    assert_eq!(empty["digest"], EMPTY_DIGEST);
    let mut artifact = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example.x",
        "config": empty, "layers": [empty]
    });
    assert_eq!(store.root(artifact.to_string()), []);
    artifact["layers"][0]["size"] = json!(3);
    assert_eq!(store.root(artifact.to_string()), [("ART-007", Medium)]);
    artifact["layers"] = json!([]);
    artifact["config"] = store.put(EMPTY_TYPE, "{ }");
    assert_eq!(store.root(artifact.to_string()), [("ART-007", Medium)]);
    artifact["config"] = empty;
    artifact.as_object_mut().unwrap().remove("artifactType");
    assert_eq!(store.root(artifact.to_string()), [("ART-001", High)]);
}

#[test]
fn the_config_of_an_artifact_need_not_be_json() {
    let mut store = Store::default();
    let config = store.put("application/vnd.example.config", b"\xff\x00");
    let artifact = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.example.x",
        "config": config, "layers": []
    });
    let root = store.put(MANIFEST, artifact.to_string());
    assert_eq!(store.ids(&root), []);
    assert_eq!(store.checked(&root).unseen, []);
}
