//! Entries of transparency logs: Rekor v1 (`openapi.yaml`) and v2 (rekor-tiles, `CLIENTS.md`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::LOCATION;
use serde_json::{Map, Value, json};
use sigstore_verify::rekor::LogEntry;
use sigstore_verify::types::bundle::KindVersion;

use super::config::{Log, LogVersion};
use super::error::{Error, ErrorKind};
use super::fulcio::endpoint;
use super::http::{Answer, Http, Question};

/// Bytes of an answer: 48 MiB. An entry of kind `intoto` has the attestation in it, of which 32 MiB are allowed.
const ANSWER: u64 = 48 << 20;

/// From so many bytes on an envelope is not offered to a log of version 1 where there is another: 2 MiB. The public one
/// has been seen to refuse 3.5 MB (sigstore/cosign#3599).
pub(super) const LARGE: usize = 2 << 20;

/// What is entered into a log.
pub(super) struct Entry<'a> {
    pub(super) signed: Signed<'a>,
    pub(super) signature: &'a [u8],
    /// Who signed.
    pub(super) verifier: Verifier<'a>,
}

/// What was signed.
pub(super) enum Signed<'a> {
    /// A message of this SHA-256.
    Message(&'a [u8; 32]),
    /// A DSSE envelope: its JSON, and the SHA-256 over its pre-authentication encoding.
    Envelope(&'a str, &'a [u8; 32]),
}

/// The key that verifies.
#[derive(Clone, Copy)]
pub(super) enum Verifier<'a> {
    /// That of a certificate, DER and PEM.
    Certificate(&'a [u8], &'a str),
    /// A key of its own, DER and PEM.
    Key(&'a [u8], &'a str),
}

/// Enters into a log, and gives the entry as bundles have it (`TransparencyLogEntry`). What comes is not verified yet.
pub(super) async fn enter(http: &Http, log: &Log, entry: &Entry<'_>) -> Result<Value, Error> {
    match log.version {
        LogVersion::V1 => enter_v1(http, &log.url, entry).await,
        LogVersion::V2 => enter_v2(http, &log.url, entry).await,
    }
}

async fn enter_v1(http: &Http, base: &Url, entry: &Entry<'_>) -> Result<Value, Error> {
    let (Verifier::Certificate(_, pem) | Verifier::Key(_, pem)) = entry.verifier;
    let verifier = STANDARD.encode(pem);
    let body = match entry.signed {
        Signed::Message(digest) => json!({
            "apiVersion": "0.0.1", "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": hex(digest)}},
                "signature": {"content": STANDARD.encode(entry.signature), "publicKey": {"content": verifier}},
            },
        }),
        Signed::Envelope(envelope, _) => json!({
            "apiVersion": "0.0.1", "kind": "dsse",
            "spec": {"proposedContent": {"envelope": envelope, "verifiers": [verifier]}},
        }),
    };
    let url = endpoint(base, "api/v1/log/entries")?;
    let question = Question::post("Rekor", url, "application/json", body.to_string().into_bytes(), ANSWER);
    let answer = http.ask(&question).await?;
    let (answer, at) = match answer.status.as_u16() {
        200 | 201 => (answer, question.at()),
        // An entry of the same content is there: mostly our own, of which the answer was lost. That it is the same is
        // not taken on trust: the bundle that is made of it is verified like every other.
        409 => {
            let again = Question::get("Rekor", existing(base, &answer)?, ANSWER);
            let found = http.ask(&again).await?;
            (found, again.at())
        }
        _ => return Err(too_large(answer.refusal(), &answer)),
    };
    if !answer.status.is_success() {
        return Err(answer.refusal());
    }
    of_v1(&answer.json()?).map_err(|cause| Error::invalid(at, cause))
}

/// Rekor v1 answers 400 to what is too large for it.
fn too_large(error: Error, answer: &Answer) -> Error {
    let words = answer.words().to_ascii_lowercase();
    let is_size = ["too large", "exceeds", "body size"].iter().any(|word| words.contains(word));
    if error.kind == ErrorKind::Refused && is_size {
        Error { kind: ErrorKind::TooLarge, ..error }
    } else {
        error
    }
}

/// Where the entry is that an answer of 409 speaks of.
fn existing(base: &Url, answer: &Answer) -> Result<Url, Error> {
    let located = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let id = located.and_then(|location| location.rsplit('/').next()).unwrap_or_default();
    // Attack: a location that leads elsewhere. Of it no more is taken than the id (64 hexadecimal digits, and 16 for the
    // shard before them).
    let is_id = matches!(id.len(), 64 | 80) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id {
        let message = "says that the entry exists, and not which it is";
        return Err(Error::invalid(base, message));
    }
    endpoint(base, &format!("api/v1/log/entries/{id}"))
}

/// The entry of an answer `{ID: ENTRY}`, as bundles have it.
fn of_v1(answer: &Value) -> Result<Value, String> {
    let entries = answer.as_object().map(Map::values).into_iter().flatten().collect::<Vec<_>>();
    let [entry] = entries.as_slice() else {
        return Err(format!("the answer has {} entries", entries.len()));
    };
    let entry: LogEntry =
        serde_json::from_value((*entry).clone()).map_err(|error| format!("no log entry: {error}"))?;
    let body: Value = serde_json::from_slice(entry.body.as_bytes()).map_err(|_| "its body is no JSON")?;
    let kind: KindVersion =
        serde_json::from_value(json!({"kind": body.get("kind"), "version": body.get("apiVersion")}))
            .map_err(|error| format!("an entry of an unknown kind: {error}"))?;
    let entry = entry.to_bundle_entry(kind).map_err(|error| error.to_string())?;
    serde_json::to_value(entry).map_err(|error| error.to_string())
}

async fn enter_v2(http: &Http, base: &Url, entry: &Entry<'_>) -> Result<Value, Error> {
    let (Signed::Message(digest) | Signed::Envelope(_, digest)) = entry.signed;
    let details = "PKIX_ECDSA_P256_SHA_256";
    let verifier = match entry.verifier {
        Verifier::Certificate(der, _) => {
            json!({"keyDetails": details, "x509Certificate": {"rawBytes": STANDARD.encode(der)}})
        }
        Verifier::Key(der, _) => {
            json!({"keyDetails": details, "publicKey": {"rawBytes": STANDARD.encode(der)}})
        }
    };
    let body = json!({"hashedRekordRequestV002": {
        "digest": STANDARD.encode(digest),
        "signature": {"content": STANDARD.encode(entry.signature), "verifier": verifier},
    }});
    let url = endpoint(base, "api/v2/log/entries")?;
    let question = Question::post("Rekor", url, "application/json", body.to_string().into_bytes(), ANSWER);
    let answer = http.ask(&question).await?;
    // An entry of this very signature is there, and nothing says where: our own, of which the answer was lost.
    if answer.status.as_u16() == 409 {
        return Err(Error { kind: ErrorKind::Entered, ..answer.refusal() });
    }
    if !answer.status.is_success() {
        return Err(answer.refusal());
    }
    let entry = answer.json()?;
    if entry.get("inclusionProof").is_none() {
        return Err(Error::invalid(question.at(), "the answer is no log entry"));
    }
    Ok(entry)
}

fn hex(digest: &[u8; 32]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
