use serde_json::{Value, json};

use super::*;
use crate::model::attestation::{RootOrigin, TrustedRoot};
use crate::model::fact::Fact;
use crate::model::fixture::{evidence, gap};
use crate::model::severity::Severity;
use crate::model::verdict::Outcome;
use crate::report::fixture::{STYLE, evidence_with, found, rule, verdict};

fn gate(verdict: &crate::model::verdict::Verdict, evidence: &Evidence) -> Value {
    serde_json::from_str(&Json.gate(&[Judged { verdict, evidence, published: None }], &STYLE)).unwrap()
}

fn scan(evidence: &Evidence) -> Value {
    serde_json::from_str(&Json.scan(&[evidence], &STYLE)).unwrap()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_verdict_has_the_keys_of_the_contract_and_what_a_replay_needs() {
    let mut verdict = verdict(Decision::Undecided);
    let mut vulnerabilities = rule("vulnerabilities", Outcome::Undecided);
    vulnerabilities.possible.push(found("CVE-2026-1", Severity::Unknown, "linux/amd64"));
    verdict.rules.push(vulnerabilities);
    let document = gate(&verdict, &evidence());
    assert_eq!(
        keys(&document),
        [
            "schema",
            "decision",
            "image",
            "policy",
            "snapshot",
            "exploits",
            "vex",
            "rules",
            "waivers",
            "faults",
            "gaps",
            "unknown",
            "inputs",
            "evaluatedAt",
            "attestations"
        ]
    );
    assert_eq!(document["schema"], "portcullis.dev/verdict/v1");
    assert_eq!(document["decision"], "undecided");
    assert_eq!(document["image"]["platforms"], json!(["linux/amd64", "linux/arm64"]));
    assert_eq!(document["rules"][1]["possibleFindings"][0]["id"], "CVE-2026-1");
    assert_eq!(document["evaluatedAt"], "2026-11-24T12:00:00Z");
    let inputs = &document["inputs"];
    assert_eq!(inputs["tool"], json!({"name": "portcullis", "version": env!("CARGO_PKG_VERSION")}));
    assert_eq!(inputs["reference"], "ghcr.io/acme/app:v1.2.3");
    assert_eq!(inputs["platforms"][0]["layers"][0], Digest::sha256(b"gz").to_string());
    assert_eq!(inputs["roots"], json!([]));
    assert_eq!(document["unknown"], json!([]));
}

#[test]
fn a_verdict_names_the_roots_it_rests_on() {
    let root = |name: &str, origin, not_refreshed: Option<&str>| TrustedRoot {
        name: name.into(),
        digest: Digest::sha256(name.as_bytes()),
        origin,
        not_refreshed: not_refreshed.map(str::to_owned),
    };
    let evidence = evidence_with(|evidence| {
        evidence.roots = vec![
            root("public-good", RootOrigin::Refreshed, None),
            root("github", RootOrigin::Embedded, Some("answers 503")),
            root("root.json", RootOrigin::Named, None),
        ];
    });
    let document = gate(&verdict(Decision::Admit), &evidence);
    let digest = |name: &str| Digest::sha256(name.as_bytes()).to_string();
    let wanted = json!([
        {"name": "public-good", "digest": digest("public-good"), "origin": "refreshed"},
        {
            "name": "github", "digest": digest("github"), "origin": "embedded",
            "notRefreshed": "answers 503",
        },
        {"name": "root.json", "digest": digest("root.json"), "origin": "named"},
    ]);
    assert_eq!(document["inputs"]["roots"], wanted);
}

#[test]
fn a_scan_has_the_keys_of_the_contract() {
    let document = scan(&evidence_with(|evidence| {
        let findings = evidence.platforms_mut()[0].findings_mut();
        findings.findings.push(found("CVE-2026-1", Severity::High, "linux/amd64"));
    }));
    assert_eq!(
        keys(&document),
        [
            "schema",
            "complete",
            "image",
            "snapshot",
            "exploits",
            "vex",
            "findings",
            "undetermined",
            "suppressed",
            "gaps",
            "endOfLife",
            "faults",
            "unknown"
        ]
    );
    assert_eq!(
        (&document["schema"], &document["complete"]),
        (&json!("portcullis.dev/scan/v1"), &json!(true))
    );
    let finding = &document["findings"][0];
    for key in [
        "id",
        "aliases",
        "platform",
        "package",
        "severity",
        "severitySource",
        "cvss",
        "fixed",
        "state",
        "layer",
        "locations",
        "evidence",
        "kev",
        "epss",
    ] {
        assert!(finding.get(key).is_some(), "{key}");
    }
    assert_eq!(keys(&finding["package"]), ["purl", "name", "version", "type", "source"]);
    assert_eq!(keys(&finding["layer"]), ["index", "digest", "diffId", "createdBy"]);
    assert_eq!(finding["state"], "fixed");
}

#[test]
fn what_is_unknown_is_never_an_empty_list() {
    for fact in [Fact::Absent, Fact::Unknown("x".to_owned())] {
        let document = scan(&evidence_with(|evidence| {
            evidence.snapshot = Fact::Absent;
            for platform in evidence.platforms_mut() {
                platform.findings = fact.clone();
            }
        }));
        assert_eq!(document["complete"], false);
        for list in ["findings", "undetermined", "suppressed"] {
            assert_eq!(document[list], Value::Null, "{list}");
        }
        let what: Vec<&Value> =
            document["unknown"].as_array().unwrap().iter().map(|unknown| &unknown["what"]).collect();
        assert_eq!(what, ["snapshot", "findings", "findings"]);
        assert_eq!(document["unknown"][1]["platform"], "linux/amd64");
    }
    let unread = evidence_with(|evidence| evidence.platforms = Fact::Unknown("no index".to_owned()));
    let cause = json!([{"what": "platforms", "platform": null, "cause": "no index"}]);
    for document in [scan(&unread), gate(&verdict(Decision::Undecided), &unread)] {
        assert_eq!(document["gaps"], Value::Null);
        assert_eq!(document["unknown"], cause);
    }
}

#[test]
fn findings_of_one_platform_do_not_hide_that_another_is_unknown() {
    let document = scan(&evidence_with(|evidence| {
        evidence.platforms_mut()[1].findings = Fact::Unknown("no blob".to_owned());
        evidence.platforms_mut()[1].inventory = Fact::Unknown("no blob".to_owned());
    }));
    assert_eq!((&document["findings"], &document["complete"]), (&json!([]), &json!(false)));
    let unknown = json!({"what": "packages", "platform": "linux/arm64", "cause": "no blob"});
    assert_eq!(document["unknown"][0], unknown);
}

#[test]
fn a_gap_says_on_which_platform() {
    let document = scan(&evidence_with(|evidence| {
        evidence.platforms_mut()[1].inventory_mut().gaps.push(gap("opt/app.jar", "java"));
    }));
    assert_eq!(document["gaps"][0]["platform"], "linux/arm64");
    assert_eq!(document["complete"], false);
}

#[test]
fn several_images_are_whole_documents_in_a_list() {
    let (verdict, evidence) = (verdict(Decision::Admit), evidence());
    let one = gate(&verdict, &evidence);
    let several = Json.gate(&[Judged { verdict: &verdict, evidence: &evidence, published: None }; 2], &STYLE);
    let several: Value = serde_json::from_str(&several).unwrap();
    assert_eq!(several, json!({"schema": "portcullis.dev/verdicts/v1", "verdicts": [&one, &one]}));
    let scans: Value = serde_json::from_str(&Json.scan(&[&evidence, &evidence], &STYLE)).unwrap();
    assert_eq!((keys(&scans), &scans["scans"][1]), (vec!["schema", "scans"], &scan(&evidence)));
}

#[test]
fn escaping_for_terminals_leaves_the_values_as_they_are() {
    let name = "a\u{9b}\u{202e}\u{e0041}\n\\u0041 é";
    let evidence = evidence_with(|evidence| evidence.image.reference = name.to_owned());
    let text = Json.scan(&[&evidence], &STYLE);
    assert!(text.contains(r"a\u009b\u202e\udb40\udc41\n\\u0041 é"), "{text}");
    assert_eq!(scan(&evidence)["image"]["reference"], name);
}
