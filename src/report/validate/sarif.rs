//! `sarif`: SARIF 2.1.0 (OASIS), as GitHub code scanning takes it: rules with help, a stable fingerprint a
//! result, a category an image. Results stay far below its limit of 25,000: `check` lists at most 200 of
//! each check.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::check::{Check, FAMILIES, explain};
use crate::model::digest::Digest;
use crate::model::fault::{Fault, FaultKind};
use crate::model::violation::{CheckSeverity, Place, TagCheck, TagState, Violation};
use crate::report::{Style, json as document};

use super::{ValidateFormat, Validated, faults};

/// The format `sarif`.
pub(super) struct Sarif;

/// GitHub shows a result only at a file of the repository: what is wrong with an image is mended in the
/// file that it is built from.
const FILE: &str = "Dockerfile";

/// Rule of what contradicts its digest, size or grammar and belongs to no check.
const LIE: &str = "integrity";

/// Rule of what could not be read.
const UNREADABLE: &str = "unreadable";

/// Rule of a tag that is broken.
const TAG: &str = "tag";

impl ValidateFormat for Sarif {
    fn id(&self) -> &'static str {
        "sarif"
    }

    fn summary(&self) -> &'static str {
        "SARIF 2.1.0, for code scanning"
    }

    fn validate(&self, validated: &[Validated<'_>], _: &Style) -> String {
        let runs: Vec<Value> = validated.iter().map(|validated| run(*validated)).collect();
        document::write(&json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": runs,
        }))
    }
}

fn run(validated: Validated<'_>) -> Value {
    let evidence = validated.evidence;
    let mut results: Vec<Value> = faults(evidence).into_iter().map(fault).collect();
    let checked = evidence.checked.known();
    results.extend(checked.into_iter().flat_map(|checked| &checked.violations).map(violation));
    results.extend(checked.into_iter().flat_map(|checked| &checked.unseen).map(|unseen| {
        let message = format!("{}: {}", unseen.at, unseen.cause);
        result(UNREADABLE, "warning", &message, &unseen.at, Map::new())
    }));
    results.extend(validated.tags.iter().filter_map(tag));
    let complete = results.iter().all(|result| result["ruleId"] != UNREADABLE) && checked.is_some();
    json!({
        "tool": {"driver": {
            "name": env!("CARGO_PKG_NAME"),
            "semanticVersion": env!("CARGO_PKG_VERSION"),
            "rules": rules(),
        }},
        "automationDetails": {"id": format!("portcullis/validate/{}/", evidence.image.reference)},
        // Attack: an upload that looks clean because nothing could be read.
        "invocations": [{"executionSuccessful": complete}],
        "results": results,
    })
}

/// A tag that does not hold.
fn tag(tag: &TagCheck) -> Option<Value> {
    let (rule, level) = match tag.state {
        TagState::Holds => return None,
        TagState::Unknown => (UNREADABLE, "warning"),
        TagState::Broken => (TAG, "error"),
    };
    let message = format!("tag {}: {}", tag.tag, tag.causes.join("; "));
    Some(result(rule, level, &message, &format!("tag {}", tag.tag), Map::new()))
}

fn rules() -> Vec<Value> {
    let mut rules: Vec<Value> = FAMILIES.iter().flat_map(|family| family.checks()).map(rule).collect();
    for (id, text, severity) in [
        (LIE, "Bytes contradict their digest, size, diff ID or grammar", CheckSeverity::Critical),
        (TAG, "A tag does not point to the image, or something below it is missing", CheckSeverity::High),
        (UNREADABLE, "Something could not be read: of it nothing is known", CheckSeverity::Medium),
    ] {
        rules.push(json!({
            "id": id,
            "shortDescription": {"text": text},
            "defaultConfiguration": {"level": level(severity)},
            "properties": {"security-severity": score(severity)},
        }));
    }
    rules
}

fn rule(check: &Check) -> Value {
    json!({
        "id": check.id,
        "shortDescription": {"text": check.title},
        "fullDescription": {"text": check.why},
        "help": {
            "text": format!("{} {}", check.why, check.fix),
            "markdown": format!("{}\n\n**Fix:** {}", check.why, check.fix),
        },
        "defaultConfiguration": {"level": level(check.severity)},
        "properties": {"precision": "high", "security-severity": score(check.severity), "tags": ["security"]},
    })
}

fn fault(fault: &Fault) -> Value {
    let (rule, level) = match fault.kind {
        FaultKind::Lie => (LIE, "error"),
        FaultKind::Unreadable => (UNREADABLE, "warning"),
    };
    let on = fault.platform.as_ref().map_or(String::new(), |platform| format!(" ({platform})"));
    result(rule, level, &format!("{fault}{on}"), &format!("{}{on}", fault.at), Map::new())
}

fn violation(violation: &Violation) -> Value {
    let mut properties = Map::new();
    properties.insert("severity".into(), violation.severity.word().into());
    properties.insert("where".into(), serde_json::to_value(&violation.place).unwrap_or_default());
    if let Some(platform) = &violation.platform {
        properties.insert("platform".into(), platform.to_string().into());
    }
    let evidence = violation.evidence.as_ref().map_or(String::new(), |evidence| format!(": {evidence}"));
    let fix = explain(violation.check).map_or("", |check| check.fix);
    let message = format!("{}{evidence}{}. {fix}", violation.message, described(&violation.place));
    // Not by digest: a rebuilt image has the same finding again.
    let stable = match &violation.place {
        Place::Image => String::new(),
        Place::Document { document, pointer, .. } => format!("{document} {pointer}"),
        Place::Layer { path, .. } => path.as_ref().map(ToString::to_string).unwrap_or_default(),
    };
    let on = violation.platform.as_ref().map(ToString::to_string).unwrap_or_default();
    let key = format!("{} {stable} {on}", violation.check);
    result(violation.check, level(violation.severity), &message, &key, properties)
}

fn described(place: &Place) -> String {
    match place {
        Place::Image => String::new(),
        Place::Document { document, digest, pointer } => {
            format!(" in {document} {digest} {pointer}").trim_end().to_owned()
        }
        Place::Layer { index, digest, path: None, .. } => format!(" in layer {index} ({digest})"),
        Place::Layer { index, digest, path: Some(path), .. } => {
            format!(" in {path} of layer {index} ({digest})")
        }
    }
}

fn result(rule: &str, level: &str, message: &str, key: &str, properties: Map<String, Value>) -> Value {
    let mut fingerprints = BTreeMap::new();
    fingerprints.insert(
        "primaryLocationLineHash",
        Digest::sha256(format!("{rule} {key}").as_bytes()).hex().to_owned(),
    );
    json!({
        "ruleId": rule,
        "level": level,
        "message": {"text": message},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": FILE},
            "region": {"startLine": 1},
        }}],
        "partialFingerprints": fingerprints,
        "properties": properties,
    })
}

fn level(severity: CheckSeverity) -> &'static str {
    match severity {
        CheckSeverity::Critical | CheckSeverity::High => "error",
        CheckSeverity::Medium => "warning",
        CheckSeverity::Low | CheckSeverity::Info => "note",
    }
}

/// GitHub's bands: over 9.0 critical, over 7.0 high, over 4.0 medium.
fn score(severity: CheckSeverity) -> &'static str {
    match severity {
        CheckSeverity::Critical => "9.5",
        CheckSeverity::High => "8.0",
        CheckSeverity::Medium => "5.5",
        CheckSeverity::Low => "2.0",
        CheckSeverity::Info => "0.0",
    }
}
