//! Rekor v1.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::registry::http::{Reply, Request};
use super::der;
use super::keys::{Key, hex, key_of_pem, sha256, unhex, verifies, verifies_digest};
use super::log::{LogState, canonical};
use super::merkle::leaf;
use super::service::{Context, Lie, lock, refusal};

/// The tree's id, which stands before the leaf's hash in an entry's id.
const TREE: u64 = 0x0108_e9a2_b3c4_d5f6;
/// Entries of older shards: an entry's index in the log is not its place in the tree.
const OLDER: usize = 1_000;

pub type Shared = Arc<Mutex<LogState>>;

/// Its checkpoints are signed by the host's name: the JavaScript client looks for it in the log's address.
pub fn state() -> LogState {
    LogState::new(Key::p256(), format!("127.0.0.1 - {TREE}"), "127.0.0.1".to_owned())
}

pub fn answer(log: &Shared, request: &Request, context: &Context<'_>) -> Reply {
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/api/v1/log/entries") => create(log, request, context),
        ("GET", "/api/v1/log/entries") => {
            let index = request.parameter("logIndex").and_then(|index| index.parse::<usize>().ok());
            found(&lock(log), index.and_then(|index| index.checked_sub(OLDER)), context)
        }
        ("GET", "/api/v1/log/publicKey") => {
            Reply::new(200, der::to_pem(&lock(log).key.spki(), "PUBLIC KEY").into_bytes())
                .with("content-type", "application/x-pem-file")
        }
        ("GET", "/api/v1/log") => {
            let log = lock(log);
            Reply::json(
                200,
                &json!({
                    "rootHash": hex(&log.tree.root(log.tree.len())), "treeSize": log.tree.len(),
                    "signedTreeHead": log.checkpoint(), "treeID": TREE.to_string(), "inactiveShards": [],
                }),
            )
        }
        ("POST", "/api/v1/index/retrieve") => search(&lock(log), request),
        ("GET", path) => match path.strip_prefix("/api/v1/log/entries/") {
            Some(uuid) => {
                let log = lock(log);
                // The last 64 digits are the leaf's hash.
                let wanted = uuid.get(uuid.len().saturating_sub(64)..).unwrap_or_default();
                let place = log.entries.iter().position(|entry| hex(&leaf(&entry.body)) == wanted);
                found(&log, place, context)
            }
            None => refusal(404, "path not found"),
        },
        _ => refusal(404, "path not found"),
    }
}

fn uuid(body: &[u8]) -> String {
    format!("{TREE:016x}{}", hex(&leaf(body)))
}

fn found(log: &LogState, place: Option<usize>, context: &Context<'_>) -> Reply {
    match place.filter(|place| *place < log.entries.len()) {
        Some(place) => Reply::json(200, &document(log, place, &context.lies())),
        None => refusal(404, "entry not found"),
    }
}

/// Takes an entry (openapi.yaml of rekor: `createLogEntry`).
fn create(log: &Shared, request: &Request, context: &Context<'_>) -> Reply {
    let body = match serde_json::from_slice(&request.body).map_err(|_| "not JSON").and_then(|v| body(&v)) {
        Ok(body) => body,
        Err(why) => return refusal(400, &format!("Error processing entry: {why}")),
    };
    let mut log = lock(log);
    if let Some(place) = log.find(&body) {
        let location = format!("/api/v1/log/entries/{}", uuid(&log.entries[place].body));
        let message = format!(
            "An equivalent entry already exists in the transparency log with UUID {}",
            uuid(&log.entries[place].body)
        );
        return refusal(409, &message).with("location", location);
    }
    let lies = context.lies();
    let place = log.push(body, context.now);
    let id = uuid(&log.entries[place].body);
    Reply::json(201, &document(&log, place, &lies))
        .with("location", format!("/api/v1/log/entries/{id}"))
        .with("etag", id)
}

/// An entry with its proofs (`LogEntry`).
fn document(log: &LogState, place: usize, lies: &[Lie]) -> Value {
    let told = if lies.contains(&Lie::OtherEntry) { place.saturating_sub(1) } else { place };
    let entry = &log.entries[told];
    let log_id = hex(&log.key_id());
    let signed = json!({
        "body": STANDARD.encode(&entry.body), "integratedTime": entry.time, "logID": log_id,
        "logIndex": told + OLDER,
    });
    let key = lies.contains(&Lie::SetKey).then(Key::p256);
    let promise = key.as_ref().unwrap_or(&log.key).sign(&canonical(&signed));
    let mut document = signed;
    if lies.contains(&Lie::IntegratedTime) {
        document["integratedTime"] = json!(entry.time - 1);
    }
    let proof = log.proof(told, lies);
    let mut verification = json!({
        "inclusionProof": {
            "logIndex": proof.place, "treeSize": proof.size, "rootHash": hex(&proof.root),
            "hashes": proof.hashes.iter().map(|hash| hex(hash)).collect::<Vec<_>>(),
            "checkpoint": proof.checkpoint,
        },
        "signedEntryTimestamp": STANDARD.encode(promise),
    });
    for (lie, field) in [(Lie::NoSet, "signedEntryTimestamp"), (Lie::NoProof, "inclusionProof")] {
        if lies.contains(&lie) {
            verification.as_object_mut().unwrap().remove(field);
        }
    }
    document["verification"] = verification;
    json!({ uuid(&entry.body): document })
}

/// The body that is kept of what was proposed, once its signature is found right.
fn body(proposed: &Value) -> Result<Vec<u8>, &'static str> {
    let spec = &proposed["spec"];
    match (proposed["kind"].as_str(), proposed["apiVersion"].as_str()) {
        (Some("hashedrekord"), Some("0.0.1")) => hashedrekord(spec),
        (Some("dsse"), Some("0.0.1")) => dsse(spec),
        _ => Err("kind or version is not supported"),
    }
}

fn hashedrekord(spec: &Value) -> Result<Vec<u8>, &'static str> {
    let hash = &spec["data"]["hash"];
    if hash["algorithm"] != "sha256" {
        return Err("hash algorithm is not supported");
    }
    let value = hash["value"].as_str().ok_or("no hash")?.to_ascii_lowercase();
    let digest = unhex(&value).filter(|digest| digest.len() == 32).ok_or("invalid hash")?;
    let signature = decode(&spec["signature"]["content"])?;
    let (pem, key) = verifier(&spec["signature"]["publicKey"]["content"])?;
    if !verifies_digest(&key, &digest, &signature) {
        return Err("verifying signature: invalid signature when validating ASN.1 encoded signature");
    }
    Ok(canonical(&json!({
        "apiVersion": "0.0.1", "kind": "hashedrekord",
        "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": value}},
            "signature": {
                "content": STANDARD.encode(signature), "publicKey": {"content": STANDARD.encode(pem)},
            },
        },
    })))
}

fn dsse(spec: &Value) -> Result<Vec<u8>, &'static str> {
    let proposed = &spec["proposedContent"];
    let text = proposed["envelope"].as_str().ok_or("no envelope")?;
    let envelope: Value = serde_json::from_str(text).map_err(|_| "envelope is not JSON")?;
    let payload = decode(&envelope["payload"])?;
    let kind = envelope["payloadType"].as_str().ok_or("no payload type")?;
    let signatures = envelope["signatures"].as_array().filter(|all| !all.is_empty()).ok_or("no signature")?;
    let verifiers = proposed["verifiers"].as_array().ok_or("no verifier")?;
    let verifiers = verifiers.iter().map(verifier).collect::<Result<Vec<_>, _>>()?;
    let message = pae(kind, &payload);
    let mut kept = Vec::new();
    for signature in signatures {
        let bytes = decode(&signature["sig"])?;
        let by = verifiers.iter().find(|(_, key)| verifies(key, &message, &bytes));
        let (pem, _) = by.ok_or("could not verify envelope")?;
        kept.push(json!({"signature": STANDARD.encode(bytes), "verifier": STANDARD.encode(pem)}));
    }
    let hash = |bytes: &[u8]| json!({"algorithm": "sha256", "value": hex(&sha256(bytes))});
    Ok(canonical(&json!({
        "apiVersion": "0.0.1", "kind": "dsse",
        "spec": {"envelopeHash": hash(text.as_bytes()), "payloadHash": hash(&payload), "signatures": kept},
    })))
}

/// Pre-authentication encoding of DSSE.
pub fn pae(kind: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// PEM written anew, and the key in it.
fn verifier(value: &Value) -> Result<(String, Vec<u8>), &'static str> {
    let pem = String::from_utf8(decode(value)?).map_err(|_| "key is not PEM")?;
    let key = key_of_pem(&pem).ok_or("key is neither certificate nor public key")?;
    let label = if pem.contains("BEGIN CERTIFICATE") { "CERTIFICATE" } else { "PUBLIC KEY" };
    let bytes = der::from_pem(&pem, label).ok_or("key is not PEM")?;
    Ok((der::to_pem(&bytes, label), key))
}

fn decode(value: &Value) -> Result<Vec<u8>, &'static str> {
    value.as_str().and_then(|text| STANDARD.decode(text).ok()).ok_or("not base64")
}

/// The ids of entries over what has this digest.
fn search(log: &LogState, request: &Request) -> Reply {
    let query: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let Some(digest) = query["hash"].as_str().and_then(|hash| hash.strip_prefix("sha256:")) else {
        return refusal(400, "only a search by sha256 is supported");
    };
    let quoted = format!("\"{digest}\"");
    let has = |body: &[u8]| String::from_utf8_lossy(body).contains(&quoted);
    let ids: Vec<String> = log.entries.iter().filter(|e| has(&e.body)).map(|e| uuid(&e.body)).collect();
    Reply::json(200, &json!(ids))
}
