//! A small good image for the tests of the families, to be broken one change at a time.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::model::descriptor::Descriptor;
use crate::model::digest::Digest;
use crate::model::reference::Reference;
use crate::model::violation::{CheckSeverity, Checked};

use super::documents::{Answer, Documents, Served};
use super::hanging::Hanging;
use super::{Expected, Subject, check};

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const NOW: &str = "2026-01-02T00:00:00Z";

/// Documents by digest, and how they are checked.
#[derive(Default)]
pub(super) struct Store {
    pub(super) blobs: HashMap<String, Vec<u8>>,
    pub(super) served: Served,
    pub(super) expected: Expected,
    pub(super) reference: Option<Reference>,
    pub(super) hanging: Hanging,
}

pub(super) fn config() -> Value {
    json!({
        "created": "2026-01-01T00:00:00Z", "architecture": "amd64", "os": "linux",
        "config": {
            "User": "1000", "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], "Entrypoint": ["/app"],
            "Healthcheck": {"Test": ["CMD", "/app", "ping"]},
            "Labels": {"org.opencontainers.image.title": "t", "org.opencontainers.image.description": "d",
                       "org.opencontainers.image.vendor": "v"}
        },
        "rootfs": {"type": "layers", "diff_ids": [digest("layer")]},
        "history": [{"created_by": "COPY app / # buildkit"}, {"created_by": "USER 1000", "empty_layer": true}]
    })
}

/// A manifest without its config.
pub(super) fn manifest() -> Value {
    json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest("gz"), "size": 2}]
    })
}

pub(super) fn digest(of: &str) -> String {
    Digest::sha256(of.as_bytes()).to_string()
}

/// Text with another one for a part of it, which must be there.
pub(super) fn with(text: &Value, from: &str, to: &str) -> String {
    let text = text.to_string();
    assert!(text.contains(from), "{from} in {text}");
    text.replacen(from, to, 1)
}

impl Store {
    /// Stores a document and answers a descriptor of it.
    pub(super) fn put(&mut self, media_type: &str, bytes: impl AsRef<[u8]>) -> Value {
        let bytes = bytes.as_ref().to_vec();
        let digest = Digest::sha256(&bytes).to_string();
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
        self.blobs.insert(digest, bytes);
        descriptor
    }

    /// Stores an image and answers a descriptor of its manifest.
    pub(super) fn image(&mut self, manifest: &Value, config: impl AsRef<[u8]>) -> Value {
        let mut manifest = manifest.clone();
        manifest["config"] = self.put(CONFIG, config);
        self.put(MANIFEST, manifest.to_string())
    }

    /// An index of amd64 and arm64, and of more.
    pub(super) fn index(&mut self, more: Vec<Value>) -> Value {
        let mut manifests = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let text = config().to_string().replace("amd64", architecture);
            let mut child = self.image(&manifest(), text);
            child["platform"] = json!({"os": "linux", "architecture": architecture});
            manifests.push(child);
        }
        manifests.extend(more);
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
    }

    pub(super) fn documents(&self, root: &Value) -> Documents {
        let root = Descriptor {
            media_type: root["mediaType"].as_str().unwrap().to_owned(),
            digest: root["digest"].as_str().unwrap().parse().unwrap(),
            size: root["size"].as_u64().unwrap(),
            platform: None,
            annotations: Default::default(),
        };
        let mut documents = Documents::new(&root, self.served.clone());
        for _ in 0..10_000 {
            let Some((descriptor, limit)) = documents.next() else { return documents };
            documents.answer(match self.blobs.get(&descriptor.digest.to_string()) {
                Some(bytes) => {
                    Answer::Bytes(bytes.iter().copied().take(usize::try_from(limit).unwrap()).collect())
                }
                None => Answer::Missing,
            });
        }
        panic!("the walk does not end");
    }

    pub(super) fn checked(&self, root: &Value) -> Checked {
        check(&Subject {
            reference: self.reference.as_ref(),
            documents: &self.documents(root),
            hanging: &self.hanging,
            images: &[],
            faults: &[],
            expected: &self.expected,
            now: NOW.parse().unwrap(),
        })
    }

    /// The ids that fire, each once, with the worst severity.
    pub(super) fn ids(&self, root: &Value) -> Vec<(&'static str, CheckSeverity)> {
        let mut ids: HashMap<&str, CheckSeverity> = HashMap::new();
        for violation in self.checked(root).violations {
            let severity = ids.entry(violation.check).or_insert(violation.severity);
            *severity = violation.severity.max(*severity);
        }
        let mut ids: Vec<_> = ids.into_iter().collect();
        ids.sort_unstable();
        ids
    }

    /// The ids that fire for a manifest as root.
    pub(super) fn root(&mut self, text: impl AsRef<[u8]>) -> Vec<(&'static str, CheckSeverity)> {
        let root = self.put(MANIFEST, text);
        self.ids(&root)
    }
}

/// A good manifest with its config stored.
pub(super) fn good(store: &mut Store) -> Value {
    let mut manifest = manifest();
    manifest["config"] = store.put(CONFIG, config().to_string());
    manifest
}

/// The ids that fire for the good image with another config.
pub(super) fn of_config(text: impl AsRef<[u8]>) -> Vec<(&'static str, CheckSeverity)> {
    let mut store = Store::default();
    let root = store.image(&manifest(), text);
    store.ids(&root)
}
