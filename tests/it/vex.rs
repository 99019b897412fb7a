//! VEX documents through the doors: on the demo, whose lodash has CVE-2021-23337.

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::cli::{Run, portcullis};
use crate::support::image::{image, layer, single};

const DEMO: &str = "oci:testdata/demo/image";
const OSV: &str = "testdata/demo/osv";
const AT: &str = "2026-02-01T00:00:00Z";
const LODASH: &str = "pkg:npm/lodash@4.17.20";

fn run(arguments: &[&str]) -> Run {
    let home = tempfile::tempdir().unwrap();
    portcullis(home.path(), arguments)
}

fn scan(more: &[&str]) -> Run {
    run(&[&["scan", DEMO, "--db", OSV, "--at", AT], more].concat())
}

fn gate(more: &[&str]) -> Run {
    run(&[&["gate", DEMO, "--db", OSV, "--at", AT], more].concat())
}

fn file(place: &TempDir, name: &str, text: &str) -> String {
    let path = place.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn openvex(statements: &Value) -> String {
    let document = json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/vex/1", "author": "Acme Security",
        "timestamp": "2026-01-20T00:00:00Z", "version": 1, "statements": statements,
    });
    document.to_string()
}

fn statement(product: &Value) -> Value {
    json!({
        "vulnerability": {"name": "CVE-2021-23337"}, "products": [product], "status": "not_affected",
        "justification": "vulnerable_code_not_in_execute_path",
    })
}

fn ids(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

fn digest_of_demo() -> String {
    scan(&["-o", "json"]).json()["image"]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_scan_sets_aside_what_a_statement_clears_and_keeps_it_as_evidence() {
    let place = tempfile::tempdir().unwrap();
    let vex = file(&place, "acme.vex.json", &openvex(&json!([statement(&json!({"@id": LODASH}))])));
    let before = scan(&["-o", "json"]).ended(0).json();
    assert_eq!(before["vex"], Value::Null);
    let after = scan(&["-o", "json", "--vex", &vex]).ended(0).json();
    assert!(!ids(&after["findings"]).contains(&"CVE-2021-23337".to_owned()));
    assert_eq!(
        ids(&before["findings"]).len() + ids(&before["suppressed"]).len(),
        ids(&after["findings"]).len() + ids(&after["suppressed"]).len(),
        "nothing is lost"
    );
    let suppressed = after["suppressed"].as_array().unwrap();
    let aside: Vec<&Value> = suppressed.iter().filter(|one| one["reason"] == "vex").collect();
    assert_eq!(aside.len(), 2, "one on each platform");
    let stated = &aside[0]["vex"][0];
    let bytes = std::fs::read(&vex).unwrap();
    let digest = portcullis::model::digest::Digest::sha256(&bytes).to_string();
    assert_eq!(
        *stated,
        json!({
            "document": "acme.vex.json", "digest": digest, "statement": "statements[0]",
            "vulnerability": "CVE-2021-23337", "product": LODASH, "status": "not_affected", "stated": "not_affected",
            "justification": "vulnerable_code_not_in_execute_path", "text": null, "action": null,
            "author": "Acme Security", "timestamp": "2026-01-20T00:00:00Z",
        })
    );
    assert_eq!(after["vex"]["used"][0]["findings"].as_array().unwrap().len(), 2);
    assert_eq!((&after["vex"]["unused"], &after["vex"]["refused"]), (&json!([]), &json!([])));
    let text = scan(&["--vex", &vex]).out();
    for part in
        ["(vex): CVE-2021-23337 in lodash", "acme.vex.json", "Acme Security", "1 statement used, 0 not"]
    {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}

#[test]
fn the_gate_admits_what_vex_clears_unless_the_policy_ignores_vex() {
    let place = tempfile::tempdir().unwrap();
    let vex = file(&place, "acme.vex.json", &openvex(&json!([statement(&json!({"@id": LODASH}))])));
    let policy = |vex: &str| {
        let text = format!(
            "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {{name: t}}\nimages: ['**']\nrules:\n\
             - id: v\n  vulnerabilities: {{deny: [{{severity: high}}], unknownSeverity: ignore{vex}}}\n"
        );
        file(&place, "policy.yaml", &text)
    };
    gate(&["--policy", &policy("")]).ended(1);
    let admitted = gate(&["--policy", &policy(""), "--vex", &vex, "-o", "json"]).ended(0).json();
    let bytes = std::fs::read(&vex).unwrap();
    let digest = portcullis::model::digest::Digest::sha256(&bytes).to_string();
    assert_eq!(admitted["inputs"]["vex"], json!([digest]));
    assert_eq!(admitted["vex"]["documents"][0]["author"], "Acme Security");
    let messages = admitted["rules"].to_string();
    assert!(messages.contains("1 finding set aside by VEX: CVE-2021-23337 in lodash 4.17.20"), "{messages}");
    let ignored = gate(&["--policy", &policy(", vex: ignore"), "--vex", &vex, "-o", "json"]).ended(1).json();
    let rule = ignored["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == "v").unwrap();
    assert_eq!(rule["findings"][0]["id"], "CVE-2021-23337");
    assert_eq!(rule["findings"][0]["vex"][0]["statement"], "statements[0]");
}

#[test]
fn a_statement_about_the_image_binds_by_its_digest_and_not_by_its_name() {
    let place = tempfile::tempdir().unwrap();
    let clears = |id: &str| {
        let product = json!({"@id": id, "subcomponents": [{"@id": LODASH}]});
        let vex = file(&place, "image.vex.json", &openvex(&json!([statement(&product)])));
        let document = scan(&["-o", "json", "--vex", &vex]).ended(0).json();
        let text = scan(&["--vex", &vex]).out();
        (!ids(&document["findings"]).contains(&"CVE-2021-23337".to_owned()), document["vex"].clone(), text)
    };
    let digest = digest_of_demo();
    let (cleared, report, _) = clears(&format!("pkg:oci/app@{digest}?repository_url=ghcr.io/acme/app"));
    assert!(cleared, "{report}");
    let (cleared, report, _) = clears(&format!("pkg:oci/app@sha256%3A{}", "0".repeat(64)));
    assert!(!cleared);
    assert_eq!((report["unused"].as_array().unwrap().len(), &report["refused"]), (1, &json!([])));
    let (cleared, report, text) = clears("pkg:oci/app?repository_url=ghcr.io/acme/app&tag=v1.4.2");
    assert!(!cleared);
    let reason = report["refused"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("names an image without its digest"), "{reason}");
    assert!(text.contains("not applied") && text.contains("image.vex.json"), "{text}");
}

#[test]
fn cyclonedx_is_read_as_well_and_a_kept_finding_carries_its_statement() {
    let place = tempfile::tempdir().unwrap();
    let document = |state: &str| {
        json!({
            "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
            "metadata": {"timestamp": "2026-01-20T00:00:00Z"},
            "components": [{"type": "library", "bom-ref": "x", "name": "lodash", "purl": LODASH}],
            "vulnerabilities": [{
                "id": "GHSA-35jh-r3h4-6jhm", "affects": [{"ref": "x"}],
                "analysis": {"state": state, "detail": "templates are ours", "response": ["will_not_fix"]},
            }],
        })
        .to_string()
    };
    let scan = |state: &str| {
        let vex = file(&place, "cdx.json", &document(state));
        scan(&["-o", "json", "--vex", &vex]).ended(0).json()
    };
    let cleared = scan("not_affected");
    assert!(!ids(&cleared["findings"]).contains(&"CVE-2021-23337".to_owned()));
    let kept = scan("exploitable");
    let findings = kept["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["id"] == "CVE-2021-23337").unwrap();
    assert_eq!(
        (&finding["vex"][0]["status"], &finding["vex"][0]["stated"]),
        (&json!("affected"), &json!("exploitable"))
    );
    assert_eq!(finding["vex"][0]["text"], "templates are ours");
    let vex = file(&place, "cdx.json", &document("exploitable"));
    let text = gate(&["--vex", &vex]).ended(1).out();
    assert!(text.contains("VEX states `exploitable`"), "{text}");
}

#[test]
fn a_document_that_cannot_be_read_is_wrong_usage_and_nothing_is_judged() {
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("missing.json").display().to_string();
    let twice = file(&place, "twice.json", "{\"@context\":\"https://openvex.dev/ns\",\"@context\":\"x\"}");
    let other = file(&place, "other.json", "{}");
    let directory = place.path().display().to_string();
    for (path, want) in [
        (missing.as_str(), "o such file"),
        (&twice, "stands twice"),
        (&other, "neither OpenVEX"),
        (&directory, "not a regular file"),
        ("/dev/zero", "not a regular file"),
    ] {
        for command in ["gate", "scan"] {
            let run = run(&[command, DEMO, "--db", OSV, "--vex", path]).ended(2);
            assert!(run.err().contains(want) && run.err().contains(path), "{}", run.err());
            assert_eq!(run.out(), "", "{command}");
        }
    }
}

#[test]
fn the_same_documents_give_the_same_bytes() {
    let place = tempfile::tempdir().unwrap();
    let one = file(&place, "a.json", &openvex(&json!([statement(&json!({"@id": LODASH}))])));
    let two = file(&place, "b.json", &openvex(&json!([statement(&json!({"@id": "pkg:npm/lodash"}))])));
    let bytes = || gate(&["--vex", &one, "--vex", &two, "-o", "json"]).out();
    assert_eq!(bytes(), bytes());
}

/// An image with one npm package, and advisories that call it malicious.
fn malicious(place: &Path) {
    let package = json!({"name": "evil", "version": "1.0.0"});
    let base = layer("ADD rootfs")
        .file("etc/os-release", "ID=alpine\nVERSION_ID=3.16.0\n")
        .file("lib/apk/db/installed", "P:musl\nV:1.2.3-r0\nA:x86_64\no:musl\nL:MIT\n\n")
        .file("srv/node_modules/evil/package.json", package.to_string())
        .file("srv/node_modules/bad/package.json", json!({"name": "bad", "version": "1.0.0"}).to_string());
    single(&place.join("image"), image("linux/amd64").layer(base));
    let record = |id: &str, name: &str, more: Value| {
        let mut record = json!({
            "id": id, "modified": "2026-01-10T00:00:00Z", "published": "2026-01-10T00:00:00Z",
            "affected": [{"package": {"ecosystem": "npm", "name": name}, "versions": ["1.0.0"]}],
        });
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        std::fs::create_dir_all(place.join("osv/npm")).unwrap();
        std::fs::write(place.join(format!("osv/npm/{id}.json")), record.to_string()).unwrap();
    };
    record("MAL-2026-1", "evil", json!({}));
    let cvss =
        json!({"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]});
    record("CVE-2026-7", "bad", cvss);
    let alpine = json!({
        "id": "ALPINE-CVE-2026-8", "modified": "2026-01-10T00:00:00Z",
        "affected": [{"package": {"ecosystem": "Alpine:v3.16", "name": "musl"}, "ranges": [
            {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.0.0-r0"}]},
        ]}],
    });
    std::fs::create_dir_all(place.join("osv/Alpine")).unwrap();
    std::fs::write(place.join("osv/Alpine/A.json"), alpine.to_string()).unwrap();
}

#[test]
fn a_malicious_package_stands_first_reaches_any_severity_and_no_vex_clears_it() {
    let place = tempfile::tempdir().unwrap();
    malicious(place.path());
    let location = format!("oci:{}", place.path().join("image").display());
    let osv = place.path().join("osv").display().to_string();
    let product = json!({"@id": "pkg:npm/evil"});
    let mut clears = statement(&product);
    clears["vulnerability"]["name"] = json!("MAL-2026-1");
    let vex = file(&place, "mal.vex.json", &openvex(&json!([clears])));
    let db = ["--db", osv.as_str(), "--at", AT, "--vex", &vex];
    let scan = |more: &[&str]| run(&[&["scan", &location], &db[..], more].concat());
    let document = scan(&["-o", "json"]).ended(0).json();
    assert_eq!(ids(&document["findings"]), ["MAL-2026-1", "CVE-2026-7"], "though `bad` is before `evil`");
    assert_eq!(document["findings"][0]["malicious"], true);
    let refused = document["vex"]["refused"][0]["reason"].as_str().unwrap();
    assert_eq!(refused, "a malicious package is never set aside");
    let text = scan(&[]).out();
    assert!(text.contains("1 malicious, 1 critical"), "{text}");
    let (evil, bad) = (text.find("MAL-2026-1").unwrap(), text.find("CVE-2026-7").unwrap());
    assert!(evil < bad, "{text}");
    scan(&["--fail-on", "critical"]).ended(1);
    let verdict = run(&[&["gate", &location], &db[..], &["-o", "json"]].concat()).ended(1).json();
    let rule =
        verdict["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == "vulnerabilities").unwrap();
    assert_eq!(ids(&rule["findings"]), ["MAL-2026-1"]);
    // Alone, without any severity stated.
    std::fs::remove_file(place.path().join("osv/npm/CVE-2026-7.json")).unwrap();
    scan(&["--fail-on", "critical"]).ended(1);
}

#[test]
fn a_scan_says_that_a_release_is_past_its_end_of_life() {
    let scan = |at: &str, more: &[&str]| run(&[&["scan", DEMO, "--db", OSV, "--at", at], more].concat());
    let document = scan(AT, &["-o", "json"]).ended(0).json();
    let ended = document["endOfLife"].as_array().unwrap();
    assert_eq!(ended.len(), 2, "{document}");
    assert_eq!(
        ended[0],
        json!({"platform": "linux/amd64", "release": "alpine 3.16.0", "endOfLife": "2024-05-23"})
    );
    let text = scan(AT, &[]).out();
    assert!(text.contains("alpine 3.16.0 is past its end of life, 2024-05-23"), "{text}");
    assert_eq!(scan("2024-05-23T12:00:00Z", &["-o", "json"]).json()["endOfLife"], json!([]));
}

#[test]
fn a_link_into_an_sbom_document_of_ours_leads_to_its_package() {
    let place = tempfile::tempdir().unwrap();
    let sbom = place.path().join("app.cdx.json").display().to_string();
    run(&["sbom", DEMO, "--platform", "linux/amd64", "-o", &format!("cyclonedx={sbom}")]).ended(0);
    let document: Value = serde_json::from_slice(&std::fs::read(&sbom).unwrap()).unwrap();
    let serial = document["serialNumber"].as_str().unwrap().strip_prefix("urn:uuid:").unwrap();
    let components = document["components"].as_array().unwrap();
    let lodash = components.iter().find(|component| component["name"] == "lodash").unwrap();
    let reference = lodash["bom-ref"].as_str().unwrap();
    let clears = |version: u32| {
        let vex = json!({
            "bomFormat": "CycloneDX", "specVersion": "1.6", "metadata": {"timestamp": "2026-01-20T00:00:00Z"},
            "vulnerabilities": [{
                "id": "CVE-2021-23337", "analysis": {"state": "not_affected", "justification": "code_not_reachable"},
                "affects": [{"ref": format!("urn:cdx:{serial}/{version}#{reference}")}],
            }],
        });
        let vex = file(&place, "vex.cdx.json", &vex.to_string());
        let location = format!("sbom:{sbom}");
        let document = run(&["scan", &location, "--db", OSV, "--vex", &vex, "-o", "json"]).ended(0).json();
        !ids(&document["findings"]).contains(&"CVE-2021-23337".to_owned())
    };
    let version = document["version"].as_u64().unwrap();
    assert!(clears(u32::try_from(version).unwrap()));
    assert!(!clears(99), "another version of the document");
}
