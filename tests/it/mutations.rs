//! Every accepted conformance vector with every field removed, changed and swapped, and every region of every blob
//! flipped: refused, for a reason that fits the place, or at a place that nobody signs, where it changes nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis::attestation::RejectionKind::{
    self, Certificate, CertificateTime, Chain, Checkpoint, Entry, InclusionProof, IntegratedTime, LogMissing,
    Malformed, Material, NoTime, Promise, Sct, Signature, Statement, Subject as OtherSubject, Timestamp,
    UnknownLog, Unsupported, Version,
};
use portcullis::attestation::{Content, Rejection, Subject, Verified};
use serde_json::{Value, json};

use crate::support::corpus::in_parallel;
use crate::support::vectors::{Vector, vectors};

/// Regions of a blob, in each of which one byte is flipped.
const REGIONS: usize = 24;

/// What a place may lead to once something is changed there.
struct Place {
    /// Keys from the outside in; `[]` is any item.
    path: &'static str,
    /// Whether it is about Rekor v1, v2 or both: they sign different things.
    log: Log,
    /// The kinds that fit. Without any, nobody signs the place.
    kinds: &'static [RejectionKind],
    /// Why nobody signs it, or what else is to be known.
    why: &'static str,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Log {
    V1,
    V2,
    Both,
}

const fn signed(path: &'static str, log: Log, kinds: &'static [RejectionKind]) -> Place {
    Place { path, log, kinds, why: "" }
}

const fn free(path: &'static str, log: Log, why: &'static str) -> Place {
    Place { path, log, kinds: &[], why }
}

const ENTRY: &str = "/verificationMaterial/tlogEntries/[]";

/// Kinds that fit a change of the certificate.
const CERTIFICATE: &[RejectionKind] =
    &[Malformed, Material, Certificate, Chain, CertificateTime, Sct, Entry, Unsupported];

/// Kinds that fit a change of an entry of the log as a whole.
const LOGGED: &[RejectionKind] =
    &[Malformed, LogMissing, UnknownLog, Promise, Entry, Unsupported, CertificateTime, NoTime];

/// Every place of a bundle. `$` stands for an entry of the log.
const PLACES: &[Place] = &[
    // Where a whole subtree of another bundle stands, whatever comes first does not fit.
    signed(
        "/verificationMaterial",
        Log::Both,
        &[
            Malformed,
            Material,
            UnknownLog,
            Promise,
            Signature,
            Entry,
            CertificateTime,
            Timestamp,
            Chain,
            LogMissing,
        ],
    ),
    signed("/verificationMaterial/certificate", Log::Both, CERTIFICATE),
    signed("/verificationMaterial/x509CertificateChain", Log::Both, CERTIFICATE),
    free("/verificationMaterial/publicKey/hint", Log::Both, "a hint which key to try; the key is given"),
    signed("/verificationMaterial/publicKey", Log::Both, &[Malformed, Material]),
    signed("/verificationMaterial/tlogEntries", Log::Both, LOGGED),
    signed("$", Log::Both, LOGGED),
    signed("$/logIndex", Log::V1, &[Malformed, Promise]),
    signed("$/logIndex", Log::V2, &[Malformed, InclusionProof]),
    signed("$/logId", Log::Both, &[Malformed, UnknownLog, Promise, Checkpoint]),
    signed("$/kindVersion", Log::Both, &[Malformed, Unsupported, Entry, NoTime, InclusionProof]),
    signed("$/integratedTime", Log::V1, &[Malformed, Promise, NoTime, IntegratedTime, CertificateTime]),
    free("$/integratedTime", Log::V2, "a log of Rekor v2 gives no time, and none is read"),
    signed("$/inclusionPromise", Log::Both, &[Malformed, Promise, NoTime, LogMissing]),
    signed("$/canonicalizedBody", Log::Both, &[Malformed, Promise, InclusionProof, Entry]),
    signed("$/inclusionProof", Log::Both, &[Malformed, LogMissing, InclusionProof, Checkpoint]),
    signed("$/inclusionProof/checkpoint", Log::Both, &[Malformed, Checkpoint, InclusionProof]),
    signed("$/inclusionProof/hashes", Log::Both, &[Malformed, InclusionProof]),
    signed("$/inclusionProof/logIndex", Log::V1, &[Malformed, InclusionProof]),
    free("$/inclusionProof/logIndex", Log::V2, "said twice; the entry's is the one that is proved"),
    signed("$/inclusionProof/rootHash", Log::V1, &[Malformed, InclusionProof, Checkpoint]),
    free("$/inclusionProof/rootHash", Log::V2, "said twice; the checkpoint's is signed"),
    signed("$/inclusionProof/treeSize", Log::V1, &[Malformed, InclusionProof, Checkpoint]),
    free("$/inclusionProof/treeSize", Log::V2, "said twice; the checkpoint's is signed"),
    signed(
        "/verificationMaterial/timestampVerificationData",
        Log::Both,
        &[Malformed, Timestamp, NoTime, CertificateTime],
    ),
    free(
        "/mediaType",
        Log::Both,
        "the version is signed by nobody; what holds in two versions says the same in both",
    ),
    signed("/messageSignature", Log::Both, &[Malformed, Signature, Timestamp, Entry]),
    signed("/messageSignature/messageDigest", Log::Both, &[Malformed, OtherSubject, Unsupported, Signature]),
    signed("/dsseEnvelope", Log::Both, &[Malformed, Signature, Timestamp, Entry, Statement, OtherSubject]),
    signed(
        "/dsseEnvelope/payload",
        Log::Both,
        &[Malformed, Statement, OtherSubject, Signature, Timestamp, Entry],
    ),
    signed("/dsseEnvelope/payloadType", Log::Both, &[Malformed, Statement]),
    free("/dsseEnvelope/signatures/[]/keyid", Log::Both, "a hint which key to try"),
];

/// The place that a path is at, or in: the longest that fits.
fn place(path: &[String], log: Log) -> &'static Place {
    let path: String = path.iter().map(|key| format!("/{key}")).collect();
    let fits = |place: &&Place| {
        let known = place.path.replace('$', ENTRY);
        (path == known || path.starts_with(&format!("{known}/")))
            && (place.log == log || place.log == Log::Both)
    };
    let found = PLACES.iter().filter(fits).max_by_key(|place| place.path.replace('$', ENTRY).len());
    found.unwrap_or_else(|| panic!("no place is said of {path}"))
}

/// What is compared: everything that a caller is told.
fn told(verified: &Verified) -> String {
    let content = match &verified.content {
        Content::Statement { statement, subject } => {
            format!("{subject} {:?} {}", statement.subjects, statement.predicate_type)
        }
        other @ (Content::Message(_) | Content::SimpleSigning(_)) => format!("{other:?}"),
    };
    format!(
        "{:?} {content} {:?} {:?} {:?}",
        verified.signed_by, verified.times, verified.log_entries, verified.root
    )
}

/// Whether the second says nothing that the first does not: one witness of several less.
fn says_less(whole: &Verified, less: &Verified) -> bool {
    let same = |a: &Verified, b: &Verified| a.signed_by == b.signed_by && a.root == b.root;
    let entries = whole.log_entries.len() == less.log_entries.len()
        && whole.log_entries.iter().zip(&less.log_entries).all(|(whole, less)| {
            whole.log == less.log
                && (less.index.is_none() || less.index == whole.index)
                && (less.integrated.is_none() || less.integrated == whole.integrated)
        });
    same(whole, less) && entries && less.times.iter().all(|time| whole.times.contains(time))
}

/// Every path of a document, from the outside in.
fn paths(value: &Value, at: Vec<String>, found: &mut Vec<Vec<String>>) {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(n, value)| (n.to_string(), value)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    };
    for (key, child) in children {
        let path: Vec<String> = at.iter().cloned().chain([key]).collect();
        found.push(path.clone());
        paths(child, path, found);
    }
}

fn pointer(path: &[String]) -> String {
    path.iter().map(|key| format!("/{key}")).collect()
}

/// The path with `[]` for numbers.
fn general(path: &[String]) -> Vec<String> {
    path.iter().map(|key| if key.parse::<usize>().is_ok() { "[]".to_owned() } else { key.clone() }).collect()
}

fn removed(bundle: &Value, path: &[String]) -> Value {
    let mut bundle = bundle.clone();
    let (last, outer) = path.split_last().unwrap();
    match bundle.pointer_mut(&pointer(outer)).unwrap() {
        Value::Object(members) => drop(members.shift_remove(last)),
        Value::Array(items) => drop(items.remove(last.parse().unwrap())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => unreachable!(),
    }
    bundle
}

fn replaced(bundle: &Value, path: &[String], by: Value) -> Value {
    let mut bundle = bundle.clone();
    *bundle.pointer_mut(&pointer(path)).unwrap() = by;
    bundle
}

/// Other values of the same type, and of another.
fn changed(value: &Value) -> Vec<Value> {
    match value {
        Value::String(text) => {
            let number = text.parse::<u64>().ok().map(|number| json!((number + 1).to_string()));
            let mut other = text.clone();
            other.push('A');
            number.into_iter().chain([json!(other), json!(""), json!(7), Value::Null]).collect()
        }
        Value::Array(items) => {
            let twice: Vec<Value> = items.iter().chain(items.first()).cloned().collect();
            vec![json!([]), json!(twice), json!("x")]
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            vec![json!({}), json!("x"), Value::Null]
        }
    }
}

/// The same blob with one byte flipped in every region, low bits and high bits by turns.
fn flipped(text: &str) -> Vec<Value> {
    let Ok(bytes) = STANDARD.decode(text) else { return Vec::new() };
    if bytes.len() < 4 {
        return Vec::new();
    }
    let regions = REGIONS.min(bytes.len());
    let flip = |region: usize| {
        let mut bytes = bytes.clone();
        let at = region * bytes.len() / regions + (region * 7) % (bytes.len() / regions).max(1);
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= if region.is_multiple_of(2) { 0x01 } else { 0x80 };
        json!(STANDARD.encode(bytes))
    };
    (0..regions).map(flip).collect()
}

/// A text that is no base64 with one byte of each line changed: checkpoints.
fn scratched(text: &str) -> Vec<(Value, bool)> {
    let body = text.find("\n\n").unwrap_or(text.len());
    let mut start = 0;
    let mut found = Vec::new();
    for line in text.split_inclusive('\n') {
        let at = start + line.trim_end().len() / 2;
        if line.trim().is_empty() || !text.is_char_boundary(at) {
            start += line.len();
            continue;
        }
        let mut bytes = text.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        if let Ok(text) = String::from_utf8(bytes) {
            found.push((json!(text), at < body));
        }
        start += line.len();
    }
    found
}

/// What came of the mutations of one vector.
#[derive(Default)]
struct Tally {
    refused: usize,
    unchanged: usize,
    weaker: usize,
    wrong: Vec<String>,
}

/// What may become of a mutation beside being refused.
#[derive(Clone, Copy, PartialEq)]
enum May {
    /// Nothing.
    Nothing,
    /// It says the same: nothing that counts has changed.
    SayTheSame,
    /// It says less: it takes a whole witness away, of which there may be others.
    SayLess,
}

struct Trial<'v> {
    vector: &'v Vector,
    original: Verified,
    log: Log,
    tally: Tally,
}

impl Trial<'_> {
    /// Judges one mutation at a path, and what may become of it beside being refused.
    fn judge(&mut self, path: &[String], what: &str, mutant: &Value, may: May) {
        let bytes = mutant.to_string().into_bytes();
        let judgement = self.vector.verify(&bytes, Subject::Bytes(&self.vector.artifact));
        let place = place(&general(path), self.log);
        let described = format!("{} {} {what}", self.vector.name, pointer(path));
        match judgement {
            Err(Rejection { kind, .. }) if place.kinds.contains(&kind) => self.tally.refused += 1,
            // A value of the wrong type is refused wherever it stands; a version that is none has its own kind.
            Err(Rejection { kind: Malformed | Version, .. }) if place.kinds.is_empty() => {
                self.tally.refused += 1;
            }
            Err(Rejection { kind, .. }) if path == ["mediaType"] && kind == LogMissing => {
                self.tally.refused += 1
            }
            Err(Rejection { kind, detail }) => {
                self.tally.wrong.push(format!("{described}: {kind} does not fit: {detail}"));
            }
            Ok(verified) if place.kinds.is_empty() && told(&verified) == told(&self.original) => {
                assert!(!place.why.is_empty(), "{}", place.path);
                self.tally.unchanged += 1;
            }
            Ok(verified) if may == May::SayTheSame && told(&verified) == told(&self.original) => {
                self.tally.unchanged += 1;
            }
            Ok(verified) if may == May::SayLess && says_less(&self.original, &verified) => {
                self.tally.weaker += 1
            }
            Ok(verified) => {
                self.tally.wrong.push(format!("{described}: accepted, {}", told(&verified)));
            }
        }
    }
}

/// Witnesses of which a bundle may have several, so that one may go and the rest still proves what it says; and what
/// is said of the message beside its signature.
fn is_spare(path: &[String]) -> bool {
    let path = general(path).join("/");
    [
        "verificationMaterial/timestampVerificationData",
        "verificationMaterial/timestampVerificationData/rfc3161Timestamps",
        "verificationMaterial/timestampVerificationData/rfc3161Timestamps/[]",
        "verificationMaterial/tlogEntries/[]/inclusionPromise",
        "verificationMaterial/tlogEntries/[]/inclusionProof",
        "messageSignature/messageDigest",
    ]
    .contains(&path.as_str())
}

/// Whether nobody signs anything in an object.
fn is_hint(path: &[String], log: Log, value: &Value) -> bool {
    let Some(members) = value.as_object() else { return false };
    let inside = |key: &String| {
        let path: Vec<String> = path.iter().chain([key]).cloned().collect();
        place(&general(&path), log).kinds.is_empty()
    };
    !members.is_empty() && members.keys().all(inside)
}

/// Places where bytes of a timestamp token may change and it still is the same token: RFC 3161's status around it,
/// and in CMS the certificates and the lists of algorithms, which its signature does not cover. Its imprint, its time
/// and its signature are not among them: see `a_token_s_imprint_and_time_are_signed`.
fn is_token(path: &[String]) -> bool {
    path.last().is_some_and(|key| key == "signedTimestamp")
}

fn mutate(vector: &Vector, others: &[Value]) -> Tally {
    let bundle: Value = serde_json::from_slice(&vector.bundle).unwrap();
    let original = vector.verify(&vector.bundle, Subject::Bytes(&vector.artifact)).unwrap();
    let version = bundle.pointer("/verificationMaterial/tlogEntries/0/kindVersion");
    let log = match version.map(|version| (version["kind"].as_str(), version["version"].as_str())) {
        Some((Some("hashedrekord"), Some("0.0.2"))) => Log::V2,
        _ => Log::V1,
    };
    let mut trial = Trial { vector, original, log, tally: Tally::default() };
    let mut all = Vec::new();
    paths(&bundle, Vec::new(), &mut all);
    for path in &all {
        let value = bundle.pointer(&pointer(path)).unwrap();
        let spare = if is_spare(path) { May::SayLess } else { May::Nothing };
        // What stands for the default may as well not stand there, and an object of hints alone is a hint.
        let empty = *value == json!("0") || *value == json!([]) || is_hint(path, log, value);
        let removal = if empty { May::SayTheSame } else { spare };
        trial.judge(path, "removed", &removed(&bundle, path), removal);
        for other in changed(value).into_iter().filter(|other| other != value) {
            let emptied = other.is_null() || other == json!([]) || other == json!({});
            let doubled = other.as_array().is_some_and(|items| items.len() > 1);
            let may = match (emptied, doubled) {
                (true, _) => removal,
                // Twice the same witness is one.
                (_, true) => May::SayTheSame,
                (false, false) => May::Nothing,
            };
            let short: String = other.to_string().chars().take(60).collect();
            trial.judge(path, &format!("changed to {short}"), &replaced(&bundle, path, other), may);
        }
        for other in others {
            let body = "/verificationMaterial/tlogEntries/0/canonicalizedBody";
            // Some vectors are one bundle with several checkpoints, each of which proves it.
            let twin = other.pointer(body) == bundle.pointer(body);
            let may = if twin { May::SayTheSame } else { May::Nothing };
            if let Some(swapped) = other.pointer(&pointer(path)).filter(|other| *other != value) {
                trial.judge(path, "swapped", &replaced(&bundle, path, swapped.clone()), may);
            }
        }
        let Some(text) = value.as_str() else {
            if value.is_object() {
                let mut mutant = bundle.clone();
                mutant.pointer_mut(&pointer(path)).unwrap()["x-unknown"] = json!(1);
                let same = vector.verify(mutant.to_string().as_bytes(), Subject::Bytes(&vector.artifact));
                assert_eq!(told(&same.unwrap()), told(&trial.original), "an unknown field in {path:?}");
                trial.tally.unchanged += 1;
            }
            continue;
        };
        for (region, other) in flipped(text).into_iter().enumerate() {
            let mutant = replaced(&bundle, path, other);
            let may = if is_token(path) { May::SayTheSame } else { May::Nothing };
            trial.judge(path, &format!("flipped in region {region}"), &mutant, may);
        }
        if path.last().is_some_and(|key| key == "envelope") {
            for (other, in_body) in scratched(text) {
                // Signatures of witnesses and of the log's other keys are beside the one that counts.
                let may = if in_body { May::Nothing } else { May::SayTheSame };
                trial.judge(path, "scratched", &replaced(&bundle, path, other), may);
            }
        }
    }
    trial.tally
}

#[test]
fn every_change_of_an_accepted_bundle_is_refused_or_changes_nothing() {
    let Some(vectors) = vectors() else { return };
    let accepted: Vec<&Vector> = vectors.iter().filter(|vector| !vector.must_fail()).collect();
    assert!(accepted.len() >= 21, "{}", accepted.len());
    let bundles: Vec<Value> =
        accepted.iter().map(|vector| serde_json::from_slice(&vector.bundle).unwrap()).collect();
    let tallies = in_parallel(&accepted, |vector| mutate(vector, &bundles));
    let sum = |count: fn(&Tally) -> usize| tallies.iter().map(count).sum::<usize>();
    println!(
        "mutations: {} refused, {} at places that nobody signs and without effect, {} with a witness less",
        sum(|tally| tally.refused),
        sum(|tally| tally.unchanged),
        sum(|tally| tally.weaker)
    );
    let wrong: Vec<&String> = tallies.iter().flat_map(|tally| &tally.wrong).collect();
    assert!(wrong.is_empty(), "{} wrong: {:#?}", wrong.len(), wrong);
    assert!(sum(|tally| tally.refused) > 5_000);
}

/// Where the second begins in the first.
fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

#[test]
fn a_token_s_imprint_and_time_are_signed() {
    let Some(vectors) = vectors() else { return };
    let mut flips = 0;
    for vector in vectors.iter().filter(|vector| !vector.must_fail()) {
        let bundle: Value = serde_json::from_slice(&vector.bundle).unwrap();
        let path = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";
        let Some(token) = bundle.pointer(path).and_then(Value::as_str) else { continue };
        let token = STANDARD.decode(token).unwrap();
        // TSTInfo begins with version 1 and a policy; its content type stands before it (RFC 3161 §2.4.2).
        let content_type = [0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];
        let start = find(&token, &content_type).unwrap() + content_type.len() + 4;
        for at in (start..start + 60).step_by(5) {
            let mut token = token.clone();
            token[at] ^= 1;
            let mut mutant = bundle.clone();
            *mutant.pointer_mut(path).unwrap() = json!(STANDARD.encode(token));
            let refused =
                vector.verify(mutant.to_string().as_bytes(), Subject::Bytes(&vector.artifact)).unwrap_err();
            assert!([Timestamp, Malformed].contains(&refused.kind), "{} byte {at}: {refused}", vector.name);
            flips += 1;
        }
    }
    assert!(flips > 100, "{flips}");
}
