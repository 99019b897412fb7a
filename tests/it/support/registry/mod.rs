//! A registry in this process, on loopback and in memory, with the ways and the faults a test asks for.
//!
//! ```
//! let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
//! let digest = registry.push_layout("acme/app", "v1", &layout);
//! registry.script(on("GET", "/manifests/").skip(1), [Fault::Throttled(Hint::Seconds(1))]);
//! …
//! assert_eq!(registry.count("GET", "/manifests/"), 3);
//! ```

pub mod auth;
mod content;
pub mod faults;
pub mod http;
mod routes;
mod store;
mod switches;
mod uploads;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

pub use self::content::{Content, Maker};
pub use self::faults::{Fault, Hint, Hook, On, on};
use self::http::{Log, Reply, Request, Seen, Threads, listener};
use self::routes::State;
pub use self::routes::sha512;
pub use self::store::{EMPTY, INDEX, MANIFEST, Repository, Store};
pub use self::switches::{
    Auth, Bearer, Blobs, ContentDigest, Delete, Location, PASSWORD, Realm, Referrers, Switches, TokenShape,
    USER,
};
use super::image::Layout;

/// A running registry; it ends when dropped.
pub struct Registry {
    state: Arc<Mutex<State>>,
    log: Arc<Log>,
    elsewhere: Arc<Log>,
    at: auth::Addresses,
    _threads: Threads,
}

/// How the entries of a fallback tag's index are written.
#[derive(Clone, Copy, PartialEq)]
pub enum Entries {
    /// The descriptors as given.
    Faithful,
    /// As they are found on GHCR: `artifactType` is that of the empty config, annotations are missing.
    Ghcr,
    /// Media type, digest and size alone.
    Bare,
}

impl Registry {
    pub fn start(switches: Switches) -> Self {
        let (own, port) = listener();
        let (second, other) = listener();
        let at =
            auth::Addresses { own: format!("127.0.0.1:{port}"), elsewhere: format!("127.0.0.1:{other}") };
        let state = Arc::new(Mutex::new(State {
            switches,
            store: Store::default(),
            tokens: auth::Tokens::default(),
            script: faults::Script::default(),
            uploads: BTreeMap::new(),
            opened: 0,
            at: at.clone(),
        }));
        let (log, elsewhere) = (Arc::new(Log::default()), Arc::new(Log::default()));
        let threads = Threads::start();
        let shared = state.clone();
        threads.serve(own, log.clone(), Arc::new(move |request: &Request| answer(&shared, request)));
        let shared = state.clone();
        threads.serve(second, elsewhere.clone(), Arc::new(move |request: &Request| stray(&shared, request)));
        Self { state, log, elsewhere, at, _threads: threads }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.at.own
    }

    /// `127.0.0.1:port` of the second port: the blob host, and where redirections and lies lead.
    pub fn elsewhere_address(&self) -> &str {
        &self.at.elsewhere
    }

    /// What a user writes: `127.0.0.1:port/acme/app:v1`, or `…@sha256:…` where a digest is given.
    pub fn reference(&self, repository: &str, tag_or_digest: &str) -> String {
        let mark = if tag_or_digest.contains(':') { '@' } else { ':' };
        format!("{}/{repository}{mark}{tag_or_digest}", self.at.own)
    }

    /// Other ways from now on.
    pub fn switch(&self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.state().switches);
    }

    /// Lets requests meet faults. Where several lines of the script meet one request all apply, in their order.
    pub fn script(&self, on: On, faults: impl IntoIterator<Item = Fault>) {
        self.state().script.add(on, faults);
    }

    /// Forgets the script.
    pub fn unscript(&self) {
        self.state().script.clear();
    }

    /// Makes every token given so far useless.
    pub fn revoke_tokens(&self) {
        self.state().tokens.revoke();
    }
}

/// What the registry saw.
impl Registry {
    /// Every request, in the order of arrival.
    pub fn requests(&self) -> Vec<Seen> {
        self.log.requests()
    }

    /// How many requests of a method (`*` is any) have this text in their path and query.
    pub fn count(&self, method: &str, contains: &str) -> usize {
        self.log.count(method, contains)
    }

    /// How often a token was asked for.
    pub fn token_calls(&self) -> usize {
        self.log.count("*", "/token")
    }

    pub fn most_at_once(&self) -> usize {
        self.log.most_at_once()
    }

    /// Every request to the second port.
    pub fn elsewhere(&self) -> Vec<Seen> {
        self.elsewhere.requests()
    }

    /// The requests to the second port that carried a credential.
    pub fn leaks(&self) -> Vec<Seen> {
        let carries = |seen: &Seen| {
            ["authorization", "cookie", "proxy-authorization"].iter().any(|name| seen.header(name).is_some())
        };
        self.elsewhere().into_iter().filter(carries).collect()
    }

    /// Forgets the requests seen so far.
    pub fn forget(&self) {
        self.log.clear();
        self.elsewhere.clear();
    }
}

/// What the registry holds. These go past switches, lag and checks.
impl Registry {
    /// Changes a repository.
    pub fn with<T>(&self, repository: &str, change: impl FnOnce(&mut Repository) -> T) -> T {
        change(self.state().store.repository(repository))
    }

    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        self.with(repository, |holds| holds.put_blob(bytes))
    }

    /// Adds a blob under a digest that need not be its own: other bytes, or [`Content::made`] ones.
    pub fn put_blob_as(&self, repository: &str, digest: &str, content: impl Into<Content>) {
        self.with(repository, |holds| holds.blobs.insert(digest.to_owned(), content.into()));
    }

    /// Adds a manifest, and a tag that points to it; its digest.
    pub fn put_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        media_type: &str,
        bytes: &[u8],
    ) -> String {
        self.with(repository, |holds| {
            let digest = holds.put_manifest(media_type, bytes);
            if let Some(tag) = tag {
                holds.tag(tag, &digest);
            }
            digest
        })
    }

    pub fn tag(&self, repository: &str, tag: &str, digest: &str) {
        self.with(repository, |holds| holds.tag(tag, digest));
    }

    /// The digest, media type and bytes behind a tag or a digest, as readers see them.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<(String, String, Vec<u8>)> {
        self.with(repository, |holds| {
            let (digest, manifest) = holds.manifest(reference)?;
            Some((digest, manifest.media_type.clone(), manifest.bytes.clone()))
        })
    }

    /// What a tag was last set to, whether readers see that already or not.
    pub fn newest(&self, repository: &str, tag: &str) -> Option<String> {
        self.with(repository, |holds| holds.newest(tag).map(str::to_owned))
    }

    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        self.with(repository, |holds| holds.blobs.get(digest).map(Content::bytes))
    }

    pub fn tags(&self, repository: &str) -> Vec<String> {
        self.with(repository, |holds| holds.tags().into_iter().map(str::to_owned).collect())
    }

    /// Puts the image of a layout under a tag, with everything it consists of; the digest of its manifest.
    pub fn push_layout(&self, repository: &str, tag: &str, layout: &Layout) -> String {
        self.push_files(repository, tag, &layout.files())
    }

    /// The same for a layout in a directory, however broken.
    pub fn push_directory(&self, repository: &str, tag: &str, layout: &Path) -> String {
        let mut files = BTreeMap::new();
        for name in ["oci-layout", "index.json"] {
            files.insert(name.to_owned(), std::fs::read(layout.join(name)).unwrap_or_default());
        }
        for algorithm in std::fs::read_dir(layout.join("blobs")).unwrap() {
            let algorithm = algorithm.unwrap();
            for blob in std::fs::read_dir(algorithm.path()).unwrap() {
                let blob = blob.unwrap();
                let (kind, name) = (algorithm.file_name(), blob.file_name());
                let path = format!("blobs/{}/{}", kind.display(), name.display());
                files.insert(path, std::fs::read(blob.path()).unwrap());
            }
        }
        self.push_files(repository, tag, &files)
    }

    /// The same for a layout's files by their paths. The entry of `index.json` with this tag is taken, else the
    /// first. Blobs are held under the digests that their names claim; what is not there is left out.
    pub fn push_files(&self, repository: &str, tag: &str, files: &BTreeMap<String, Vec<u8>>) -> String {
        let index: Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let entries = index["manifests"].as_array().unwrap();
        let named = |entry: &&Value| entry["annotations"]["org.opencontainers.image.ref.name"] == tag;
        let root = entries.iter().find(named).or(entries.first()).unwrap();
        let mut state = self.state();
        let holds = state.store.repository(repository);
        let (mut open, mut done) = (vec![root.clone()], BTreeSet::new());
        while let Some(descriptor) = open.pop() {
            let Some(digest) = descriptor["digest"].as_str() else { continue };
            let Some(bytes) = files.get(&format!("blobs/{}", digest.replacen(':', "/", 1))) else { continue };
            if !done.insert(digest.to_owned()) {
                continue;
            }
            let document: Value = serde_json::from_slice(bytes).unwrap_or_default();
            let media_type = descriptor["mediaType"].as_str().or(document["mediaType"].as_str());
            holds.put_manifest_as(digest, media_type.unwrap_or(MANIFEST), bytes, std::time::Duration::ZERO);
            open.extend(document["manifests"].as_array().cloned().unwrap_or_default());
        }
        for (path, bytes) in files {
            if let Some(digest) = path.strip_prefix("blobs/").map(|name| name.replacen('/', ":", 1))
                && !done.contains(&digest)
            {
                holds.blobs.insert(digest, bytes.clone().into());
            }
        }
        let digest = root["digest"].as_str().unwrap();
        holds.tag(tag, digest);
        digest.to_owned()
    }

    /// Adds a manifest about a subject, with one blob; its descriptor as the referrers API lists it.
    pub fn add_referrer(&self, repository: &str, subject: &str, kind: &str, payload: &[u8]) -> Value {
        let (media_type, size) = match self.manifest(repository, subject) {
            Some((_, media_type, bytes)) => (media_type, bytes.len()),
            None => (MANIFEST.to_owned(), 2),
        };
        let empty = self.put_blob(repository, b"{}");
        let blob = self.put_blob(repository, payload);
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind,
            "config": {"mediaType": EMPTY, "digest": empty, "size": 2},
            "layers": [{"mediaType": kind, "digest": blob, "size": payload.len()}],
            "subject": {"mediaType": media_type, "digest": subject, "size": size},
            "annotations": {"org.opencontainers.image.created": "2026-01-15T09:00:00Z"},
        });
        let manifest = serde_json::to_vec(&manifest).unwrap();
        self.with(repository, |holds| {
            let digest = holds.put_manifest(MANIFEST, &manifest);
            let (_, manifest) = holds.manifest(&digest).unwrap();
            store::descriptor(&digest, manifest)
        })
    }

    pub fn remove_manifest(&self, repository: &str, digest: &str) {
        self.with(repository, |holds| holds.remove_manifest(digest));
    }

    /// Lists descriptors under the fallback tag of a subject (`sha256-…`), in place of what was there.
    pub fn set_fallback(&self, repository: &str, subject: &str, listed: &[Value], entries: Entries) {
        let write = |descriptor: &Value| match entries {
            Entries::Faithful => descriptor.clone(),
            Entries::Ghcr | Entries::Bare => {
                let mut entry = json!({
                    "mediaType": descriptor["mediaType"], "digest": descriptor["digest"], "size": descriptor["size"],
                });
                if entries == Entries::Ghcr {
                    entry["artifactType"] = json!(EMPTY);
                }
                entry
            }
        };
        let listed: Vec<Value> = listed.iter().map(write).collect();
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed});
        let index = serde_json::to_vec(&index).unwrap();
        self.put_manifest(repository, Some(&fallback_tag(subject)), INDEX, &index);
    }

    /// The descriptors under the fallback tag of a subject, as last written.
    pub fn fallback(&self, repository: &str, subject: &str) -> Vec<Value> {
        let newest = self.newest(repository, &fallback_tag(subject));
        let index = newest.and_then(|digest| self.with(repository, |holds| holds.written(&digest)));
        index.and_then(|index| index["manifests"].as_array().cloned()).unwrap_or_default()
    }
}

/// The tag that stands in for the referrers API: at most 128 characters, the digest cut at 64 after the first dash
/// (distribution specification, "Referrers Tag Schema").
pub fn fallback_tag(subject: &str) -> String {
    let (algorithm, hex) = subject.split_once(':').unwrap();
    format!("{}-{}", &algorithm[..algorithm.len().min(32)], &hex[..hex.len().min(64)])
}

fn answer(state: &Mutex<State>, request: &Request) -> Reply {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let faults = state.script.meet(request);
    for fault in &faults {
        if let Fault::Before(hook) = fault {
            hook(&mut state.store);
        }
    }
    let mut reply = faults::apply(&faults, request, || state.answer(request));
    reply.manner.delay += state.switches.latency;
    reply
}

/// The second port: a blob host that wants no credential, a token end point that takes any, a page for people that
/// is throttled, and for everything else success.
fn stray(state: &Mutex<State>, request: &Request) -> Reply {
    let state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((repository, digest)) = request.path.strip_prefix("/blob/").and_then(|p| p.rsplit_once('/')) {
        if request.header("authorization").is_some() {
            return Reply::new(400, b"<Error><Code>InvalidArgument</Code></Error>".to_vec())
                .with("content-type", "application/xml");
        }
        let blob = state.store.find(repository).and_then(|holds| holds.blobs.get(digest));
        return match blob {
            Some(blob) => uploads::deliver(request, digest, blob, state.switches.ranges),
            None => Reply::empty(404),
        };
    }
    match request.path.as_str() {
        "/token" => Reply::json(200, &json!({"token": "of-no-use", "expires_in": 300})),
        path if path.starts_with("/-/") => Reply::new(429, b"Too Many Requests".to_vec()),
        _ => Reply::empty(201),
    }
}
