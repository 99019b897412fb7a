//! A TUF repository (specification 1.0.31) with consistent snapshots, whose roots rotate and whose metadata
//! expires as a test asks.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::super::registry::http::{Reply, Request};
use super::certificate::DAY;
use super::der::to_pem;
use super::keys::{Key, hex, sha256};
use super::service::{Context, Lie, lock, refusal};

/// The top-level roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    Root,
    Timestamp,
    Snapshot,
    Targets,
}

const ROLES: [Role; 4] = [Role::Root, Role::Timestamp, Role::Snapshot, Role::Targets];
const SPECIFICATION: &str = "1.0.31";

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Timestamp => "timestamp",
            Self::Snapshot => "snapshot",
            Self::Targets => "targets",
        }
    }
}

struct State {
    keys: BTreeMap<Role, Vec<Key>>,
    targets: BTreeMap<String, Vec<u8>>,
    /// When the metadata of a role expires, seconds since 1970.
    expires: BTreeMap<Role, i64>,
    /// Version of timestamp, snapshot and targets.
    version: u64,
    roots: u64,
    /// By path.
    files: BTreeMap<String, Vec<u8>>,
}

/// The repository behind the service.
pub struct Repository(Mutex<State>);

impl Repository {
    /// Empty, its metadata valid for thirty days.
    pub fn new(now: i64) -> Self {
        let state = State {
            keys: ROLES.into_iter().map(|role| (role, fresh(role))).collect(),
            targets: BTreeMap::new(),
            expires: ROLES.into_iter().map(|role| (role, now + 30 * DAY)).collect(),
            version: 0,
            roots: 0,
            files: BTreeMap::new(),
        };
        let repository = Self(Mutex::new(state));
        let mut state = lock(&repository.0);
        state.write_root(&[]);
        state.write();
        drop(state);
        repository
    }

    /// The root metadata of a version: the first is what a client is shipped with.
    pub fn root(&self, version: u64) -> Vec<u8> {
        lock(&self.0).files[&format!("/{version}.root.json")].clone()
    }

    /// Holds a target, in place of one of that name.
    pub fn publish(&self, name: &str, bytes: &[u8]) {
        let mut state = lock(&self.0);
        state.targets.insert(name.to_owned(), bytes.to_vec());
        state.write();
    }

    pub fn withdraw(&self, name: &str) {
        let mut state = lock(&self.0);
        state.targets.remove(name);
        state.write();
    }

    /// A new root with other keys for every role, signed by the keys of both.
    pub fn rotate(&self) {
        let mut state = lock(&self.0);
        let fresh = ROLES.into_iter().map(|role| (role, fresh(role))).collect();
        let before = std::mem::replace(&mut state.keys, fresh);
        state.write_root(&before[&Role::Root]);
        state.write();
    }

    /// The same, and the versions of all other metadata begin anew, as after an attack on their keys.
    pub fn recover(&self) {
        lock(&self.0).version = 0;
        self.rotate();
    }

    /// A new root with other keys, so many times.
    pub fn rotate_times(&self, times: usize) {
        (0..times).for_each(|_| self.rotate());
    }

    /// A new root with other keys that the keys of the old one did not sign.
    pub fn usurp(&self) {
        let mut state = lock(&self.0);
        state.keys = ROLES.into_iter().map(|role| (role, fresh(role))).collect();
        state.write_root(&[]);
        state.write();
    }

    /// Metadata of a role that expires at this time, in seconds since 1970.
    pub fn expire(&self, role: Role, at: i64) {
        let mut state = lock(&self.0);
        state.expires.insert(role, at);
        if role == Role::Root {
            state.write_root(&[]);
        }
        state.write();
    }

    /// What is there now, to be put back later.
    pub fn snapshot(&self) -> BTreeMap<String, Vec<u8>> {
        lock(&self.0).files.clone()
    }

    /// Serves older files again: an attacker's mirror.
    pub fn roll_back(&self, files: BTreeMap<String, Vec<u8>>) {
        lock(&self.0).files = files;
    }
}

/// Keys of a role: the root has two, one of each kind.
fn fresh(role: Role) -> Vec<Key> {
    match role {
        Role::Root => vec![Key::p256(), Key::ed25519()],
        Role::Timestamp | Role::Snapshot => vec![Key::p256()],
        Role::Targets => vec![Key::ed25519()],
    }
}

/// A key as the root lists it.
fn listed(key: &Key) -> Value {
    match key {
        Key::P256(_) => json!({
            "keytype": "ecdsa", "scheme": "ecdsa-sha2-nistp256",
            "keyval": {"public": to_pem(&key.spki(), "PUBLIC KEY")},
        }),
        Key::Ed25519(_) => json!({
            "keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": hex(key.public())},
        }),
    }
}

fn id(key: &Key) -> String {
    hex(&sha256(&canonical(&listed(key))))
}

fn signed<'a>(body: &Value, keys: impl IntoIterator<Item = &'a Key>) -> Vec<u8> {
    let bytes = canonical(body);
    let signatures: Vec<Value> =
        keys.into_iter().map(|key| json!({"keyid": id(key), "sig": hex(&key.sign(&bytes))})).collect();
    serde_json::to_vec(&json!({"signatures": signatures, "signed": body})).unwrap()
}

/// OLPC's canonical JSON: as RFC 8785, but a text escapes nothing beside quotes and backslashes.
fn canonical(value: &Value) -> Vec<u8> {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            let pairs = sorted.into_iter().map(|(key, value)| [text(key), canonical(value)].join(&b':'));
            [b"{".as_slice(), &pairs.collect::<Vec<_>>().join(&b','), b"}"].concat()
        }
        Value::Array(all) => {
            let all: Vec<Vec<u8>> = all.iter().map(canonical).collect();
            [b"[".as_slice(), &all.join(&b','), b"]"].concat()
        }
        Value::String(value) => text(value),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string().into_bytes(),
    }
}

fn text(value: &str) -> Vec<u8> {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")).into_bytes()
}

impl State {
    fn head(&self, role: Role, version: u64) -> Value {
        let expires = jiff::Timestamp::from_second(self.expires[&role]).unwrap().to_string();
        json!({
            "_type": role.name(), "spec_version": SPECIFICATION, "version": version, "expires": expires,
        })
    }

    /// The next root, signed by its own keys and by those of the one before.
    fn write_root(&mut self, before: &[Key]) {
        self.roots += 1;
        let mut body = self.head(Role::Root, self.roots);
        body["consistent_snapshot"] = json!(true);
        body["keys"] = self.keys.values().flatten().map(|key| (id(key), listed(key))).collect();
        let role = |(role, keys): (&Role, &Vec<Key>)| {
            let ids: Vec<String> = keys.iter().map(id).collect();
            (role.name().to_owned(), json!({"keyids": ids, "threshold": keys.len()}))
        };
        body["roles"] = self.keys.iter().map(role).collect();
        let bytes = signed(&body, self.keys[&Role::Root].iter().chain(before));
        self.files.insert(format!("/{}.root.json", self.roots), bytes);
    }

    /// Targets, snapshot and timestamp anew.
    fn write(&mut self) {
        self.version += 1;
        let version = self.version;
        let mut body = self.head(Role::Targets, version);
        let entry = |bytes: &[u8]| json!({"length": bytes.len(), "hashes": {"sha256": hex(&sha256(bytes))}});
        body["targets"] = self.targets.iter().map(|(name, bytes)| (name.clone(), entry(bytes))).collect();
        for (name, bytes) in &self.targets {
            self.files.insert(format!("/targets/{}.{name}", hex(&sha256(bytes))), bytes.clone());
        }
        let targets = signed(&body, &self.keys[&Role::Targets]);
        let mut listed = entry(&targets);
        listed["version"] = json!(version);
        self.files.insert(format!("/{version}.targets.json"), targets);
        let mut body = self.head(Role::Snapshot, version);
        body["meta"] = json!({"targets.json": listed});
        let snapshot = signed(&body, &self.keys[&Role::Snapshot]);
        let mut listed = entry(&snapshot);
        listed["version"] = json!(version);
        self.files.insert(format!("/{version}.snapshot.json"), snapshot);
        let mut body = self.head(Role::Timestamp, version);
        body["meta"] = json!({"snapshot.json": listed});
        let timestamp = signed(&body, &self.keys[&Role::Timestamp]);
        self.files.insert("/timestamp.json".to_owned(), timestamp);
    }
}

pub fn answer(repository: &Repository, request: &Request, context: &Context<'_>) -> Reply {
    let state = lock(&repository.0);
    let Some(bytes) = state.files.get(&request.path).filter(|_| request.method == "GET") else {
        return refusal(404, "not found");
    };
    let mut bytes = bytes.clone();
    if request.path.starts_with("/targets/") {
        if context.tells(&Lie::TargetBytes) {
            // As long as before.
            bytes.reverse();
        }
    } else if context.tells(&Lie::TufKey) {
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        bytes = forged(document);
    }
    Reply::new(200, bytes).with("content-type", "application/json")
}

/// The same metadata, its signatures by keys that are not the ones they name.
fn forged(mut document: Value) -> Vec<u8> {
    let bytes = canonical(&document["signed"]);
    for signature in document["signatures"].as_array_mut().unwrap() {
        signature["sig"] = json!(hex(&Key::p256().sign(&bytes)));
    }
    serde_json::to_vec(&document).unwrap()
}
