use serde_json::json;

use crate::check::fixture::{INDEX, MANIFEST, Store, config, good, manifest};
use crate::model::violation::Unseen;

use super::{Answer, Documents, Kind, Role, State};

#[test]
fn a_document_that_is_not_answered_or_not_had_is_unseen() {
    let mut store = Store::default();
    let root = store.image(&manifest(), config().to_string());
    let descriptor = store.documents(&root).root().map(|node| node.stated.digest.clone().unwrap()).unwrap();
    let descriptor = crate::model::descriptor::Descriptor {
        media_type: MANIFEST.into(),
        digest: descriptor.parse().unwrap(),
        size: root["size"].as_u64().unwrap(),
        platform: None,
        annotations: Default::default(),
    };
    let mut silent = Documents::new(&descriptor, Default::default());
    assert!(silent.next().is_some() && silent.next().is_none());
    assert_eq!(silent.unseen().len(), 1);
    let mut refused = Documents::new(&descriptor, Default::default());
    refused.next();
    let unseen = Unseen { at: "it".into(), cause: "429".into() };
    refused.answer(Answer::Unseen(unseen.clone()));
    assert!(refused.next().is_none());
    assert_eq!(refused.unseen(), [unseen]);
}

#[test]
fn a_document_is_read_once_however_often_it_is_listed() {
    let mut store = Store::default();
    let child = store.image(&manifest(), config().to_string());
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [child, child]});
    let root = store.put(INDEX, index.to_string());
    let documents = store.documents(&root);
    let roles: Vec<Role> = documents.nodes().iter().map(|node| node.role).collect();
    assert_eq!(roles, [Role::Root, Role::Child, Role::Child, Role::Config, Role::Config]);
    assert!(documents.nodes().iter().all(|node| matches!(node.state, State::Read(_))));
}

#[test]
fn values_are_bounded_over_all_documents() {
    let mut store = Store::default();
    let mut children = Vec::new();
    for (at, count) in [300_000, 100_000, 300_000, 10].into_iter().enumerate() {
        children.push(store.put(MANIFEST, format!(r#"{{"x{at}":[{}0]}}"#, "0,".repeat(count))));
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children});
    let root = store.put(INDEX, index.to_string());
    let documents = store.documents(&root);
    let read: Vec<bool> = documents.nodes().iter().map(|node| node.value().is_some()).collect();
    assert_eq!(read, [true, true, true, false, false]);
    assert_eq!(documents.unseen().len(), 2);
}

#[test]
fn a_digest_that_is_none_is_not_asked_for() {
    let mut store = Store::default();
    let mut manifest = good(&mut store);
    manifest["config"]["digest"] = json!("sha256:../../etc/passwd");
    let root = store.put(MANIFEST, manifest.to_string());
    let documents = store.documents(&root);
    let config = documents.nodes().last().unwrap();
    assert!(matches!(config.state, State::Unseen) && config.kind() == Kind::Config);
    assert_eq!(documents.unseen().len(), 1);
}
