//! `json`: everything, for programs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::attestation::{Content, Rejection, SignedBy, Verified, claims};
use crate::model::attestation::TrustedRoot;
use crate::model::digest::Digest;
use crate::report::{Style, json};

use super::{BundleFormat, BundleOutcome, JudgedBundle};

/// The format `json`.
pub(super) struct Json;

impl BundleFormat for Json {
    fn id(&self) -> &'static str {
        "json"
    }

    fn summary(&self) -> &'static str {
        "everything, for programs"
    }

    fn bundle(&self, judged: &JudgedBundle<'_>, _: &Style) -> String {
        let (result, attestation, rejection, claimed) = match judged.outcome {
            BundleOutcome::Accepted(verified) => ("verified", Some(verified), None, None),
            BundleOutcome::Other(verified, rejection) => ("refused", Some(verified), Some(rejection), None),
            BundleOutcome::Refused(rejection, claimed) => {
                let word = if rejection.kind.is_undecided() { "undecided" } else { "refused" };
                (word, None, Some(rejection), claimed)
            }
        };
        json::write(&Document {
            schema: "portcullis.dev/bundle/v1",
            bundle: judged.bundle,
            subject: judged.subject,
            result,
            rejection: rejection.map(|Rejection { kind, detail }| Refused { kind: kind.id(), detail }),
            attestation: attestation.map(Attestation::new),
            claimed: claimed.map(Claimed::new),
            roots: judged.roots,
        })
    }
}

/// `portcullis.dev/bundle/v1`. `attestation` is verified, also where it is refused for its signer; `claimed` is
/// nobody's word but the bundle's.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    bundle: &'a str,
    subject: &'a str,
    result: &'static str,
    rejection: Option<Refused<'a>>,
    attestation: Option<Attestation<'a>>,
    claimed: Option<Claimed<'a>>,
    roots: &'a [TrustedRoot],
}

#[derive(Serialize)]
struct Refused<'a> {
    kind: &'static str,
    detail: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attestation<'a> {
    signed_by: Signed<'a>,
    is_signature: bool,
    content: Contained<'a>,
    times: &'a [Timestamp],
    log_entries: Vec<Logged<'a>>,
    trusted_root: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
enum Signed<'a> {
    #[serde(rename_all = "camelCase")]
    Certificate {
        name: &'a str,
        name_kind: &'static str,
        issuer: Option<&'a str>,
        claims: BTreeMap<&'static str, &'a str>,
    },
    Key {
        fingerprint: &'a Digest,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
enum Contained<'a> {
    Message {
        digest: &'a Digest,
    },
    #[serde(rename_all = "camelCase")]
    Statement {
        predicate_type: &'a str,
        subject: Option<&'a str>,
        predicate: Option<&'a RawValue>,
    },
    SimpleSigning {
        digest: &'a Digest,
        reference: &'a str,
    },
}

#[derive(Serialize)]
struct Logged<'a> {
    log: &'a str,
    index: Option<u64>,
    integrated: Option<Timestamp>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
enum Claimed<'a> {
    Certificate { names: &'a [String], issuer: Option<&'a str> },
    Key { hint: Option<&'a str> },
}

impl<'a> Attestation<'a> {
    fn new(verified: &'a Verified) -> Self {
        let signed_by = match &verified.signed_by {
            SignedBy::Certificate(signer) => Signed::Certificate {
                name: signer.name.as_str(),
                name_kind: signer.name.kind(),
                issuer: signer.issuer.as_deref(),
                claims: signer.claims.iter().map(|(claim, text)| (claim.name(), text.as_str())).collect(),
            },
            SignedBy::Key(fingerprint) => Signed::Key { fingerprint },
        };
        let content = match &verified.content {
            Content::Message(digest) => Contained::Message { digest },
            Content::Statement { statement, subject } => Contained::Statement {
                predicate_type: &statement.predicate_type,
                subject: statement.subjects.get(*subject).and_then(|subject| subject.name.as_deref()),
                predicate: statement.predicate.as_deref(),
            },
            Content::SimpleSigning(payload) => {
                Contained::SimpleSigning { digest: &payload.digest, reference: &payload.reference }
            }
        };
        let entries = verified.log_entries.iter();
        Self {
            signed_by,
            is_signature: verified.is_signature(),
            content,
            times: &verified.times,
            log_entries: entries
                .map(|entry| Logged { log: &entry.log, index: entry.index, integrated: entry.integrated })
                .collect(),
            trusted_root: verified.root.as_ref().map(ToString::to_string),
        }
    }
}

impl<'a> Claimed<'a> {
    fn new(claimed: &'a claims::SignedBy) -> Self {
        match claimed {
            claims::SignedBy::Certificate(certificate) => {
                Self::Certificate { names: &certificate.identities, issuer: certificate.issuer.as_deref() }
            }
            claims::SignedBy::Key(hint) => Self::Key { hint: hint.as_deref() },
        }
    }
}
