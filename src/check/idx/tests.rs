use serde_json::{Value, json};

use crate::check::fixture::{INDEX, MANIFEST, Store, config, digest, manifest};
use crate::model::violation::CheckSeverity::{self, Critical, High, Low, Medium};

fn ids_of(change: impl FnOnce(&mut Store, &mut Value)) -> Vec<(&'static str, CheckSeverity)> {
    let mut store = Store::default();
    let mut index = store.index(Vec::new());
    change(&mut store, &mut index);
    let root = store.put(INDEX, index.to_string());
    store.ids(&root)
}

fn attestation(store: &mut Store, about: &str) -> Value {
    let text =
        r#"{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#;
    let mut manifest = manifest();
    manifest["layers"][0]["mediaType"] = json!("application/vnd.in-toto+json");
    let mut child = store.image(&manifest, text);
    child["platform"] = json!({"os": "unknown", "architecture": "unknown"});
    child["annotations"] =
        json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": about});
    child
}

#[test]
fn each_change_fires_its_own_check() {
    let missing = ids_of(|store, index| {
        store.blobs.remove(index["manifests"][0]["digest"].as_str().unwrap());
    });
    assert_eq!(missing, [("IDX-001", Critical)]);
    let other = ids_of(|store, index| {
        let key = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
        let text = String::from_utf8(store.blobs[&key].clone()).unwrap().replace("tar+gzip", "tar+zstd");
        store.blobs.insert(key, text.into_bytes());
    });
    assert_eq!(other, [("IDX-002", Critical)]);
    assert_eq!(ids_of(|_, index| index["manifests"][0]["size"] = json!(3)), [("IDX-002", Critical)]);
    let declared = ids_of(|_, index| index["manifests"][0]["mediaType"] = json!(INDEX));
    assert_eq!(declared, [("IDX-002", Critical)]);
    let twice = ids_of(|store, index| {
        let text = config().to_string().replace("amd64", "arm64").replace("1000", "1001");
        let mut child = store.image(&manifest(), text);
        child["platform"] = json!({"os": "linux", "architecture": "arm64", "variant": "v8"});
        index["manifests"].as_array_mut().unwrap().push(child);
    });
    assert_eq!(twice, [("IDX-004", High)]);
    let same = ids_of(|_, index| {
        let child = index["manifests"][0].clone();
        index["manifests"].as_array_mut().unwrap().push(child);
    });
    assert_eq!(same, [("IDX-004", Low)]);
    let elsewhere = ids_of(|_, index| {
        let mut child = index["manifests"][0].clone();
        child["platform"]["architecture"] = json!("riscv64");
        index["manifests"].as_array_mut().unwrap().push(child);
    });
    assert_eq!(elsewhere, [("CFG-005", High), ("IDX-005", High)]);
    let disagrees = ids_of(|_, index| index["manifests"][0]["platform"]["architecture"] = json!("s390x"));
    assert_eq!(disagrees, [("CFG-005", High), ("IDX-005", High)]);
    assert_eq!(ids_of(|_, index| index["manifests"] = json!([])), [("IDX-007", High)]);
    let unknown = json!({"os": "unknown", "architecture": "unknown"});
    assert_eq!(ids_of(|_, index| index["manifests"][0]["platform"] = unknown), [("IDX-009", Medium)]);
    assert_eq!(ids_of(|_, index| index["manifests"][1]["platform"]["variant"] = json!("v8")), []);
    let variant = ids_of(|_, index| index["manifests"][0]["platform"]["variant"] = json!("v9"));
    assert_eq!(variant, [("IDX-010", Low)]);
}

#[test]
fn attestations_are_understood_and_must_be_about_an_image_of_the_index() {
    let with = |about: Option<&str>| {
        ids_of(|store, index| {
            let amd64 = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
            let child = attestation(store, about.unwrap_or(&amd64));
            index["manifests"].as_array_mut().unwrap().push(child);
        })
    };
    assert_eq!(with(None), []);
    assert_eq!(with(Some(&digest("other"))), [("IDX-008", High)]);
    // An image that calls itself an attestation and has a platform is checked as what it is.
    let disguised = ids_of(|store, index| {
        let mut child = store.image(&manifest(), config().to_string().replace("1000", "root"));
        child["platform"] = json!({"os": "linux", "architecture": "riscv64"});
        child["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
        index["manifests"].as_array_mut().unwrap().push(child);
    });
    assert!(
        disguised.contains(&("CFG-008", Medium)) && disguised.contains(&("CFG-005", High)),
        "{disguised:?}"
    );
}

#[test]
fn windows_lists_a_platform_for_each_version() {
    let windows = |second: &str| {
        ids_of(|_, index| {
            for (at, version) in ["10.0.17763.1", second].into_iter().enumerate() {
                let platform = json!({"os": "linux", "architecture": "amd64", "os.version": version});
                index["manifests"][at]["platform"] = platform;
            }
        })
    };
    assert!(windows("10.0.17763.1").contains(&("IDX-004", High)));
    assert!(!windows("10.0.20348.2").iter().any(|(id, _)| *id == "IDX-004"));
}

#[test]
fn nested_indexes_and_cycles_end() {
    let mut store = Store::default();
    let index = store.index(Vec::new());
    let mut root = store.put(INDEX, index.to_string());
    let mut found = Vec::new();
    for _ in 0..6 {
        let outer = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [root]});
        root = store.put(INDEX, outer.to_string());
        found.push((store.ids(&root), store.checked(&root).unseen.len()));
    }
    assert_eq!(found[0], (vec![("IDX-006", Medium)], 0));
    assert_eq!(found[1], (vec![("IDX-006", High)], 0));
    assert_eq!((found[2].1, found[5].1), (0, 1));
    let own = digest("cycle");
    let text = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [
        {"mediaType": INDEX, "digest": own, "size": 1}]})
    .to_string();
    store.blobs.insert(own.clone(), text.clone().into_bytes());
    let root = json!({"mediaType": INDEX, "digest": own, "size": text.len()});
    let ids = store.ids(&root);
    let want = [("IDX-002", Critical), ("IDX-006", Medium), ("IDX-013", Critical), ("MAN-001", Critical)];
    assert_eq!(ids, want);
}

#[test]
fn a_required_platform_is_there_missing_or_unknown() {
    let mut store = Store::default();
    let index = store.index(Vec::new());
    let root = store.put(INDEX, index.to_string());
    store.expected.platforms = ["linux/amd64", "linux/arm64/v8"].map(|text| text.parse().unwrap()).to_vec();
    assert_eq!(store.ids(&root), []);
    store.expected.platforms.push("linux/s390x".parse().unwrap());
    assert_eq!(store.ids(&root), [("IDX-003", High)]);
    store.blobs.remove(index["manifests"][1]["digest"].as_str().unwrap());
    assert_eq!(store.ids(&root), [("IDX-001", Critical)]);
    assert_eq!(store.checked(&root).unseen.len(), 2);
}

#[test]
fn platforms_are_built_together() {
    let apart = |from: &str, to: &str| {
        ids_of(|store, index| {
            let mut child =
                store.image(&manifest(), config().to_string().replace("amd64", "arm64").replace(from, to));
            child["platform"] = json!({"os": "linux", "architecture": "arm64"});
            index["manifests"][1] = child;
        })
    };
    assert_eq!(apart("2026-01-01", "2025-12-30"), [("IDX-011", Medium)]);
    assert_eq!(apart("2026-01-01T00", "2026-01-01T23"), []);
    let label = |commit: &str| format!("\"Labels\":{{\"org.opencontainers.image.revision\":\"{commit}\",");
    assert_eq!(apart("\"Labels\":{", &label(&"a".repeat(40))), []);
    let different = ids_of(|store, index| {
        for (at, (architecture, commit)) in [("amd64", "a"), ("arm64", "b")].into_iter().enumerate() {
            let text = config().to_string().replace("amd64", architecture);
            let mut child =
                store.image(&manifest(), text.replace("\"Labels\":{", &label(&commit.repeat(40))));
            child["platform"] = json!({"os": "linux", "architecture": architecture});
            index["manifests"][at] = child;
        }
    });
    assert_eq!(different, [("IDX-011", Medium)]);
}

#[test]
fn an_index_is_walked_within_bounds() {
    let mut store = Store::default();
    let child = store.put(MANIFEST, "{}");
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": vec![child; 300]});
    let mut root = store.put(INDEX, index.to_string());
    assert_eq!(store.documents(&root).nodes().len(), 257);
    assert_eq!(store.documents(&root).unseen().len(), 1);
    // Each lists the one below 256 times: read once each, and never more than 1,024 places.
    for _ in 0..3 {
        let outer = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": vec![root; 256]});
        root = store.put(INDEX, outer.to_string());
    }
    assert!(store.documents(&root).nodes().len() <= 2048);
}
