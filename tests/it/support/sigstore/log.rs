//! What both versions of Rekor are inside: entries in a tree, and checkpoints over it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::keys::{Key, sha256};
use super::merkle::Tree;
use super::service::Lie;

/// An entry of a log.
pub struct Entry {
    /// Canonical JSON.
    pub body: Vec<u8>,
    /// Seconds since 1970.
    pub time: i64,
}

/// A log.
pub struct LogState {
    pub key: Key,
    /// First line of its checkpoints.
    pub origin: String,
    /// Who signs its checkpoints.
    pub signer: String,
    /// Signs the checkpoints too, and nobody is told of it: as the witnesses of Rekor v2.
    pub witness: Option<Key>,
    pub entries: Vec<Entry>,
    pub tree: Tree,
}

/// A proof that an entry is in the log.
pub struct Proof {
    pub place: usize,
    pub size: usize,
    pub root: [u8; 32],
    pub hashes: Vec<[u8; 32]>,
    pub checkpoint: String,
}

impl LogState {
    pub fn new(key: Key, origin: String, signer: String) -> Self {
        Self { key, origin, signer, witness: None, entries: Vec::new(), tree: Tree::default() }
    }

    /// The id of a key that signs notes: C2SP's for Ed25519, for ECDSA the hash of `SubjectPublicKeyInfo`.
    pub fn key_id(&self) -> [u8; 32] {
        note_key_id(&self.signer, &self.key)
    }

    /// The place of an entry with this body.
    pub fn find(&self, body: &[u8]) -> Option<usize> {
        self.entries.iter().position(|entry| entry.body == body)
    }

    pub fn push(&mut self, body: Vec<u8>, time: i64) -> usize {
        let place = self.tree.push(&body);
        self.entries.push(Entry { body, time });
        place
    }

    /// A checkpoint over the whole tree.
    pub fn checkpoint(&self) -> String {
        self.signed_checkpoint(self.tree.len(), self.tree.root(self.tree.len()), &self.key)
    }

    fn signed_checkpoint(&self, size: usize, root: [u8; 32], key: &Key) -> String {
        let mut checkpoint = note(&self.origin, size, &root, &self.signer, &self.key_id(), key);
        if let Some(witness) = &self.witness {
            let (name, id) = ("witness.example", note_key_id("witness.example", witness));
            let cosigned = note(&self.origin, size, &root, name, &id, witness);
            checkpoint.push_str(cosigned.split("\n\n").nth(1).unwrap());
        }
        checkpoint
    }

    /// The proof of an entry in the whole tree, as the lies have it.
    pub fn proof(&self, place: usize, lies: &[Lie]) -> Proof {
        let size = self.tree.len();
        let root = self.tree.root(size);
        let mut proof = Proof {
            place,
            size,
            root,
            hashes: self.tree.proof(place, size),
            checkpoint: self.signed_checkpoint(size, root, &self.key),
        };
        if lies.contains(&Lie::CheckpointKey) {
            proof.checkpoint = self.signed_checkpoint(size, root, &Key::p256());
        }
        if lies.contains(&Lie::OtherLog) {
            let (key, name) = (Key::p256(), "other.example");
            let origin = format!("{name} - 1");
            proof.checkpoint = note(&origin, size, &root, name, &note_key_id(name, &key), &key);
        }
        if lies.contains(&Lie::CheckpointRoot) {
            proof.checkpoint = self.signed_checkpoint(size, sha256(b"another tree"), &self.key);
        }
        if lies.contains(&Lie::StaleProof) {
            assert!(size > 1, "a stale proof needs an entry before");
            // The path before the last entry came: of this one, or of the one before where this is the last.
            let place = place.min(size - 2);
            proof.hashes = self.tree.proof(place, size - 1);
        }
        if lies.contains(&Lie::OtherProof) {
            assert!(size > 1, "a proof of another entry needs an entry before");
            proof.hashes = self.tree.proof((place + 1) % size, size);
        }
        proof
    }
}

fn note_key_id(name: &str, key: &Key) -> [u8; 32] {
    match key {
        Key::P256(_) => sha256(&key.spki()),
        Key::Ed25519(_) => sha256(&[name.as_bytes(), b"\n\x01", key.public()].concat()),
    }
}

/// A signed note (C2SP) over a tree.
fn note(origin: &str, size: usize, root: &[u8; 32], signer: &str, id: &[u8; 32], key: &Key) -> String {
    let text = format!("{origin}\n{size}\n{}\n", STANDARD.encode(root));
    let signature = [&id[..4], &key.sign(text.as_bytes())].concat();
    format!("{text}\n\u{2014} {signer} {}\n", STANDARD.encode(signature))
}

/// Canonical JSON (RFC 8785) of documents whose numbers are whole: keys sorted, no spaces.
pub fn canonical(value: &serde_json::Value) -> Vec<u8> {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    serde_json::to_vec(&sorted).unwrap()
}
