//! What a registry holds, and what of it can be seen already.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use portcullis::model::digest::Digest;
use serde_json::{Value, json};

use super::content::Content;

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Every repository. Digests are kept as they are claimed: a registry may lie.
#[derive(Default)]
pub struct Store {
    repositories: BTreeMap<String, Repository>,
}

#[derive(Default)]
pub struct Repository {
    pub blobs: BTreeMap<String, Content>,
    manifests: BTreeMap<String, Manifest>,
    /// What each tag pointed to from when on.
    tags: BTreeMap<String, Vec<(Instant, Option<String>)>>,
}

#[derive(Clone)]
pub struct Manifest {
    pub media_type: String,
    pub bytes: Vec<u8>,
    visible: Instant,
}

impl Manifest {
    /// The document, or null.
    pub fn document(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }
}

impl Store {
    pub fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }

    /// A repository that something was written to.
    pub fn find(&self, name: &str) -> Option<&Repository> {
        self.repositories.get(name)
    }
}

impl Repository {
    /// Adds a blob; its digest.
    pub fn put_blob(&mut self, bytes: &[u8]) -> String {
        let digest = Digest::sha256(bytes).to_string();
        self.blobs.insert(digest.clone(), bytes.to_vec().into());
        digest
    }

    /// Adds a manifest, seen at once; its digest.
    pub fn put_manifest(&mut self, media_type: &str, bytes: &[u8]) -> String {
        let digest = Digest::sha256(bytes).to_string();
        self.put_manifest_as(&digest, media_type, bytes, Duration::ZERO);
        digest
    }

    /// Adds a manifest under a digest that need not be its own, seen after a time.
    pub fn put_manifest_as(&mut self, digest: &str, media_type: &str, bytes: &[u8], lag: Duration) {
        let visible = self.manifests.get(digest).map_or_else(|| Instant::now() + lag, |known| known.visible);
        let manifest = Manifest { media_type: media_type.to_owned(), bytes: bytes.to_vec(), visible };
        self.manifests.insert(digest.to_owned(), manifest);
    }

    /// Lets a tag point to a digest, or to nothing, after a time.
    pub fn set_tag(&mut self, tag: &str, digest: Option<&str>, lag: Duration) {
        let from = Instant::now() + lag;
        self.tags.entry(tag.to_owned()).or_default().push((from, digest.map(str::to_owned)));
    }

    pub fn tag(&mut self, tag: &str, digest: &str) {
        self.set_tag(tag, Some(digest), Duration::ZERO);
    }

    /// What a tag points to, as readers see it.
    pub fn tagged(&self, tag: &str) -> Option<&str> {
        let now = Instant::now();
        self.tags.get(tag)?.iter().rev().find(|(from, _)| *from <= now)?.1.as_deref()
    }

    /// What a tag was last set to, whether that can be seen or not.
    pub fn newest(&self, tag: &str) -> Option<&str> {
        self.tags.get(tag)?.last()?.1.as_deref()
    }

    /// The tags that readers see, in their order.
    pub fn tags(&self) -> Vec<&str> {
        self.tags.keys().map(String::as_str).filter(|tag| self.tagged(tag).is_some()).collect()
    }

    /// The manifest behind a tag or digest, as readers see it, and its digest.
    pub fn manifest(&self, reference: &str) -> Option<(String, &Manifest)> {
        let digest = if reference.contains(':') { reference } else { self.tagged(reference)? };
        let manifest = self.manifests.get(digest)?;
        (manifest.visible <= Instant::now()).then(|| (digest.to_owned(), manifest))
    }

    /// The document of a manifest that was written, seen or not.
    pub fn written(&self, digest: &str) -> Option<Value> {
        self.manifests.get(digest).map(Manifest::document)
    }

    /// Whether a manifest was written, seen or not.
    pub fn has_manifest(&self, digest: &str) -> bool {
        self.manifests.contains_key(digest)
    }

    pub fn remove_manifest(&mut self, digest: &str) -> bool {
        let now = Instant::now();
        for history in self.tags.values_mut() {
            if history.last().is_some_and(|(_, newest)| newest.as_deref() == Some(digest)) {
                history.push((now, None));
            }
        }
        self.manifests.remove(digest).is_some()
    }

    /// Descriptors of the manifests that readers see whose subject is a digest, by their digests.
    pub fn referrers(&self, subject: &str) -> Vec<Value> {
        let now = Instant::now();
        let seen = self.manifests.iter().filter(|(_, manifest)| manifest.visible <= now);
        seen.filter(|(_, manifest)| manifest.document()["subject"]["digest"] == subject)
            .map(|(digest, manifest)| descriptor(digest, manifest))
            .collect()
    }

    /// What a manifest points to and is not here.
    pub fn missing(&self, document: &Value) -> Vec<String> {
        let listed = |key: &str| document[key].as_array().cloned().unwrap_or_default();
        let digest = |descriptor: &Value| descriptor["digest"].as_str().map(str::to_owned);
        let blobs = listed("layers").into_iter().chain(document.get("config").cloned());
        let local = blobs.filter(|descriptor| descriptor.get("urls").is_none());
        let blobs = local.filter_map(|d| digest(&d)).filter(|digest| !self.blobs.contains_key(digest));
        let children = listed("manifests").iter().filter_map(digest).collect::<BTreeSet<_>>();
        blobs.chain(children.into_iter().filter(|digest| !self.has_manifest(digest))).collect()
    }
}

/// A manifest's descriptor as the referrers API has it (distribution specification, "Listing Referrers").
pub fn descriptor(digest: &str, manifest: &Manifest) -> Value {
    let document = manifest.document();
    let mut descriptor =
        json!({"mediaType": manifest.media_type, "digest": digest, "size": manifest.bytes.len()});
    let kind = document["artifactType"].as_str().or_else(|| document["config"]["mediaType"].as_str());
    if let Some(kind) = kind {
        descriptor["artifactType"] = json!(kind);
    }
    if let Some(annotations) = document.get("annotations") {
        descriptor["annotations"] = annotations.clone();
    }
    descriptor
}
