//! Predicates that portcullis makes: a verdict as a SLSA verification summary, and the record of a scan.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::model::attestation::{Attestation, Place};
use crate::model::digest::Digest;
use crate::model::evidence::SnapshotInfo;
use crate::model::finding::Findings;
use crate::model::verdict::{Decision, Outcome, PolicyIdentity, Verdict};

/// What portcullis calls itself as a verifier, unless somebody says otherwise. Whoever relies on a summary pins this
/// together with the signer (slsa.dev, "Verification Summary Attestation").
pub const VERIFIER: &str = "https://portcullis.dev/gate";

/// The field of a summary with what SLSA has none for; consumers ignore what they do not know.
pub const EXTENSION: &str = "https://portcullis.dev/verdict/v1";

/// What a summary says beside the verdict.
#[derive(Debug, Clone, Copy)]
pub struct Summary<'a> {
    /// The verdict.
    pub verdict: &'a Verdict,
    /// Who verified.
    pub verifier: &'a str,
    /// The image as whoever pulls it names it: `registry/repository@digest`.
    pub resource: &'a str,
    /// Its repository, before which digests of what hangs beside it stand.
    pub repository: &'a str,
    /// What the verdict rests on that was verified beside the image.
    pub inputs: &'a [&'a Attestation],
    /// Whether the answer of a kind of rule depends on the time or the advisories.
    pub timed: fn(&str) -> bool,
}

/// A verdict as a SLSA verification summary (slsa.dev/spec/v1.1/verification_summary). None of one that is undecided:
/// nobody could rely on it.
#[must_use]
pub fn summary(of: &Summary<'_>) -> Option<Value> {
    let verdict = of.verdict;
    let result = match verdict.decision {
        Decision::Admit => "PASSED",
        Decision::Deny => "FAILED",
        Decision::Undecided => return None,
    };
    let (mut timeless, mut timed) = (Map::new(), Map::new());
    let mut levels = Vec::new();
    for rule in &verdict.rules {
        let is_timed = (of.timed)(rule.kind);
        let outcome = serde_json::to_value(rule.outcome).unwrap_or_default();
        if is_timed { &mut timed } else { &mut timeless }.insert(rule.id.clone(), outcome);
        // A level lasts as long as the image: what holds today alone is none.
        if !is_timed && rule.outcome == Outcome::Hold && verdict.decision == Decision::Admit {
            levels.push(format!("PORTCULLIS_RULE_{}", rule.id));
        }
    }
    if verdict.decision == Decision::Deny {
        levels.push("FAILED".to_owned());
    }
    let policy = &verdict.policy;
    let snapshot = verdict.snapshot.as_ref();
    let extension = json!({
        "timeless": timeless,
        "timed": timed,
        "policy": policy.name,
        "scope": policy.scope,
        "snapshot": snapshot.map(|one| json!({"id": one.id.to_string(), "generated": one.generated})),
    });
    Some(json!({
        "verifier": {"id": of.verifier, "version": {"portcullis": env!("CARGO_PKG_VERSION")}},
        "timeVerified": verdict.evaluated_at.to_string(),
        "resourceUri": of.resource,
        "policy": {
            "uri": policy_uri(policy),
            "digest": digests(&policy.digest),
        },
        "inputAttestations": inputs(of),
        "verificationResult": result,
        "verifiedLevels": levels,
        "slsaVersion": "1.1",
        EXTENSION: extension,
    }))
}

/// The policy by its name, and the scope of it that judged: its digest is the same for every scope.
fn policy_uri(policy: &PolicyIdentity) -> String {
    match &policy.scope {
        Some(scope) => format!("https://portcullis.dev/policy/{}#{scope}", policy.name),
        None => format!("https://portcullis.dev/policy/{}", policy.name),
    }
}

/// What was verified beside the image, by its manifests. What is under a tag has no digest to be named by.
fn inputs(of: &Summary<'_>) -> Vec<Value> {
    let input = |at: &Place| match at {
        Place::Referrer { digest } => {
            Some(json!({"uri": format!("{}@{digest}", of.repository), "digest": digests(digest)}))
        }
        Place::Tag { .. } => None,
    };
    of.inputs.iter().filter_map(|attestation| input(&attestation.at)).collect()
}

fn digests(digest: &Digest) -> Value {
    json!({digest.algorithm().name(): digest.hex()})
}

/// What advisories say of one platform, as cosign's record of a scan (cosign, specs/COSIGN_VULN_ATTESTATION_SPEC.md).
#[must_use]
pub fn scan(findings: &Findings, snapshot: &SnapshotInfo, at: Timestamp) -> Value {
    json!({
        "invocation": {"parameters": [], "uri": "", "event_id": "", "builder.id": ""},
        "scanner": {
            "uri": "https://portcullis.dev/scan",
            "version": env!("CARGO_PKG_VERSION"),
            "db": {
                "uri": "https://osv.dev",
                "version": snapshot.id.to_string(),
                "lastUpdate": snapshot.generated,
            },
            "result": {
                "schema": "portcullis.dev/findings/v1",
                "findings": findings.findings,
                "undetermined": findings.undetermined,
                "suppressed": findings.suppressed,
            },
        },
        "metadata": {"scanStartedOn": at.to_string(), "scanFinishedOn": at.to_string()},
    })
}
