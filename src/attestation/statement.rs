//! The in-toto statement: what is claimed about which subjects (in-toto/attestation, spec/v1/statement.md; v0.1 is
//! what `cosign attest` still writes).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::model::digest::Digest;
use crate::strict::{self, Bounds};

/// The payload type of a statement in a DSSE envelope.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// The predicate type of what `cosign sign` makes (cosign, `pkg/types`): the only statement that is a signature.
pub const COSIGN_SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

const V1: &str = "https://in-toto.io/Statement/v1";
const V01: &str = "https://in-toto.io/Statement/v0.1";

/// Subjects of a statement: 10,000.
const SUBJECTS: usize = 10_000;

pub(super) const BOUNDS: Bounds = Bounds {
    document: "a statement",
    // As many as an SBOM may have, and the statement around it.
    values: 3_100_000,
    items: SUBJECTS,
    item: "subjects",
    counted: &["subject"],
    // A predicate may have whatever keys it likes, so those of the statement are looked at alone.
    keys: &[],
    folded: false,
};

/// A statement. It is as true as whoever signed it: what was verified says [`super::Verified`].
#[derive(Debug, Clone)]
pub struct Statement {
    /// What it is about, at least one.
    pub subjects: Vec<StatementSubject>,
    /// What kind of claim it is.
    pub predicate_type: String,
    /// The claim, as it was signed. cosign 3.0.0 to 3.0.4 wrote none (sigstore/cosign#4634).
    pub predicate: Option<Box<RawValue>>,
}

/// One subject of a statement.
#[derive(Debug, Clone, PartialEq)]
pub struct StatementSubject {
    /// Its name, where it has one: for an image the repository.
    pub name: Option<String>,
    /// Its digests by algorithm.
    pub digests: Vec<SubjectDigest>,
    /// What `cosign sign -a KEY=VALUE` adds.
    pub annotations: Map<String, Value>,
}

/// One digest of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectDigest {
    /// One that portcullis can compute.
    Known(Digest),
    /// One by another algorithm, which matches nothing.
    Other {
        /// The algorithm.
        algorithm: String,
        /// What stands there.
        value: String,
    },
}

/// The statement's own keys, which must be written exactly where they stand.
const KEYS: [&str; 4] = ["_type", "subject", "predicateType", "predicate"];
/// The same of a subject.
const SUBJECT_KEYS: [&str; 3] = ["name", "digest", "annotations"];

#[derive(Deserialize)]
struct Written {
    #[serde(rename = "_type")]
    version: String,
    subject: Vec<WrittenSubject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct WrittenSubject {
    name: Option<String>,
    digest: BTreeMap<String, String>,
    annotations: Option<Map<String, Value>>,
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

impl Statement {
    /// Reads a statement.
    ///
    /// # Errors
    /// A lowercase fragment: it is none, has no subject, or a digest that is none by its algorithm.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        strict::check(bytes, &BOUNDS)?;
        let written: Written = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if ![V1, V01].contains(&written.version.as_str()) {
            return Err(format!("a statement of the unknown version `{}`", written.version));
        }
        if written.predicate_type.is_empty() {
            return Err("its `predicateType` is empty".to_owned());
        }
        if written.subject.is_empty() {
            return Err("it has no subject".to_owned());
        }
        let keys: BTreeMap<String, IgnoredAny> =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        exact(keys.keys(), &KEYS)?;
        let subjects = written.subject.into_iter().map(subject).collect::<Result<_, _>>()?;
        Ok(Self { subjects, predicate_type: written.predicate_type, predicate: written.predicate })
    }

    /// The place of the first subject with this digest.
    #[must_use]
    pub fn about(&self, digest: &Digest) -> Option<usize> {
        let known = |subject: &StatementSubject| {
            subject.digests.iter().any(|one| matches!(one, SubjectDigest::Known(known) if known == digest))
        };
        self.subjects.iter().position(known)
    }

    /// Whether it says no more than that somebody signed.
    #[must_use]
    pub fn is_signature(&self) -> bool {
        // Attack: an SBOM or a failed verdict by an accepted identity, offered as that identity's signature.
        self.predicate_type == COSIGN_SIGN
    }
}

/// Attack: `Predicate`, which Go's parser takes for `predicate` and others pass over.
fn exact<'k>(mut keys: impl Iterator<Item = &'k String>, known: &[&str]) -> Result<(), String> {
    let odd = |key: &str| known.iter().any(|known| known.eq_ignore_ascii_case(key) && *known != key);
    match keys.find(|key| odd(key)) {
        Some(key) => Err(format!("the key {key:?} is read by some parsers only")),
        None => Ok(()),
    }
}

fn subject(written: WrittenSubject) -> Result<StatementSubject, String> {
    let typed = |(algorithm, value): (String, String)| match algorithm.as_str() {
        // in-toto, spec/v1/digest_set.md: lower-case hexadecimal digits; some write upper case.
        "sha256" | "sha512" => format!("{algorithm}:{}", value.to_ascii_lowercase())
            .parse()
            .map(SubjectDigest::Known)
            .map_err(|error| format!("a subject's digest: {error}")),
        _ => Ok(SubjectDigest::Other { algorithm, value }),
    };
    exact(written.others.keys(), &SUBJECT_KEYS)?;
    if written.digest.is_empty() {
        return Err("a subject without a digest".to_owned());
    }
    Ok(StatementSubject {
        name: written.name.filter(|name| !name.is_empty()),
        digests: written.digest.into_iter().map(typed).collect::<Result<_, String>>()?,
        annotations: written.annotations.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests;
