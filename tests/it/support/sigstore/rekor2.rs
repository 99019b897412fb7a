//! Rekor v2 (rekor-tiles).

use std::num::NonZeroU8;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::registry::http::{Reply, Request};
use super::keys::{Key, key_of_certificate, verifies_digest};
use super::log::{LogState, canonical};
use super::rekor::Shared;
use super::service::{Context, Lie, lock, refusal};

/// Hashes in a whole tile (C2SP tlog-tiles).
const TILE: usize = 256;

/// Its origin is the host without the port: so clients make it of the address.
pub fn state(key: Key) -> LogState {
    let state = LogState::new(key, "127.0.0.1".to_owned(), "127.0.0.1".to_owned());
    LogState { witness: Some(Key::ed25519()), ..state }
}

pub fn answer(log: &Shared, request: &Request, context: &Context<'_>) -> Reply {
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/api/v2/log/entries") => create(log, request, context),
        ("GET", "/api/v2/checkpoint") => Reply::new(200, lock(log).checkpoint().into_bytes()),
        ("GET", path) => {
            let tile = path.strip_prefix("/api/v2/tile/").and_then(|path| tile(&lock(log), path));
            tile.map_or_else(|| refusal(404, "Not Found"), |bytes| Reply::new(200, bytes))
        }
        _ => refusal(404, "Not Found"),
    }
}

/// As grpc-gateway words errors: 3 invalid argument, 6 already exists.
fn status(http: u16, code: u8, message: &str) -> Reply {
    Reply::json(http, &json!({"code": code, "message": message, "details": []}))
}

fn create(log: &Shared, request: &Request, context: &Context<'_>) -> Reply {
    let Ok(document) = serde_json::from_slice::<Value>(&request.body) else {
        return status(400, 3, "invalid JSON");
    };
    let Some(proposed) = document.get("hashedRekordRequestV002") else {
        return status(400, 3, "invalid type, must be hashedrekord");
    };
    let Some(body) = body(proposed) else {
        return status(400, 3, "invalid hashedrekord request");
    };
    let mut log = lock(log);
    if let Some(place) = log.find(&body) {
        let message = format!("an equivalent entry already exists in the log with index {place}");
        return status(409, 6, &message).with("x-log-index", place.to_string());
    }
    let lies = context.lies();
    let place = log.push(body, context.now);
    Reply::json(201, &entry(&log, place, &lies))
}

/// `TransparencyLogEntry`: no promise and no time.
fn entry(log: &LogState, place: usize, lies: &[Lie]) -> Value {
    let told = if lies.contains(&Lie::OtherEntry) { place.saturating_sub(1) } else { place };
    let proof = log.proof(told, lies);
    let mut document = json!({
        "logIndex": told.to_string(),
        "logId": {"keyId": STANDARD.encode(log.key_id())},
        "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
        "inclusionProof": {
            "logIndex": told.to_string(), "rootHash": STANDARD.encode(proof.root),
            "treeSize": proof.size.to_string(),
            "hashes": proof.hashes.iter().map(|hash| STANDARD.encode(hash)).collect::<Vec<_>>(),
            "checkpoint": {"envelope": proof.checkpoint},
        },
        "canonicalizedBody": STANDARD.encode(&log.entries[told].body),
    });
    if lies.contains(&Lie::NoProof) {
        document.as_object_mut().unwrap().remove("inclusionProof");
    }
    document
}

/// The body that is kept, once the signature is found right.
fn body(proposed: &Value) -> Option<Vec<u8>> {
    let bytes = |value: &Value| STANDARD.decode(value.as_str()?).ok();
    let digest = bytes(&proposed["digest"])?;
    let signature = bytes(&proposed["signature"]["content"])?;
    let verifier = &proposed["signature"]["verifier"];
    let details = verifier["keyDetails"].as_str().filter(|details| *details == "PKIX_ECDSA_P256_SHA_256")?;
    let (name, raw, key) = match (verifier.get("x509Certificate"), verifier.get("publicKey")) {
        (Some(certificate), None) => {
            let raw = bytes(&certificate["rawBytes"])?;
            let key = key_of_certificate(&raw)?;
            ("x509Certificate", raw, key)
        }
        (None, Some(key)) => ("publicKey", bytes(&key["rawBytes"])?, bytes(&key["rawBytes"])?),
        _ => return None,
    };
    verifies_digest(&key, &digest, &signature).then(|| {
        canonical(&json!({
            "apiVersion": "0.0.2", "kind": "hashedrekord",
            "spec": {"hashedRekordV002": {
                "data": {"algorithm": "SHA2_256", "digest": STANDARD.encode(digest)},
                "signature": {
                    "content": STANDARD.encode(signature),
                    "verifier": {"keyDetails": details, name: {"rawBytes": STANDARD.encode(raw)}},
                },
            }},
        }))
    })
}

/// `LEVEL/NNN[.p/W]` of hashes, `entries/NNN[.p/W]` of bodies; level 0 and 1, fewer than 1000 tiles.
fn tile(log: &LogState, path: &str) -> Option<Vec<u8>> {
    let (level, rest) = path.split_once('/')?;
    let (index, width) = match rest.split_once(".p/") {
        Some((index, width)) => (index, usize::from(width.parse::<NonZeroU8>().ok()?.get())),
        None => (rest, TILE),
    };
    let first = index.parse::<usize>().ok()? * TILE;
    let size = log.tree.len();
    match level {
        "entries" => {
            let bodies = log.entries.get(first..first + width)?;
            let prefixed = |body: &[u8]| [&u16::try_from(body.len()).unwrap().to_be_bytes(), body].concat();
            Some(bodies.iter().flat_map(|entry| prefixed(&entry.body)).collect())
        }
        "0" if first + width <= size => {
            Some((first..first + width).flat_map(|at| super::merkle::leaf(&log.entries[at].body)).collect())
        }
        _ => None,
    }
}
