//! `portcullis gate` and its neighbours, run as a user would.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::cli::{Run, portcullis};
use crate::support::image::{image, layer, layout, single};
use crate::support::shared;

const DEMO: &str = "oci:testdata/demo/image";
const OSV: &str = "testdata/demo/osv";
const ACCEPTING: &str = "testdata/demo/accepting.yaml";
const AT: &str = "2026-02-01T00:00:00Z";

fn run(arguments: &[&str]) -> Run {
    let home = tempfile::tempdir().unwrap();
    portcullis(home.path(), arguments)
}

fn gate(more: &[&str]) -> Run {
    run(&[&["gate", DEMO, "--db", OSV, "--at", AT], more].concat())
}

fn rule<'v>(verdict: &'v Value, id: &str) -> &'v Value {
    verdict["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == id).unwrap()
}

fn strings(value: &Value, key: &str) -> Vec<String> {
    value.as_array().unwrap().iter().map(|one| one[key].as_str().unwrap().to_owned()).collect()
}

fn file(place: &TempDir, name: &str, text: &str) -> String {
    let path = place.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn the_demo_is_denied_for_good_reasons() {
    let verdict = gate(&["-o", "json"]).ended(1).json();
    assert_eq!(verdict["schema"], "portcullis.dev/verdict/v1");
    assert_eq!(verdict["decision"], "deny");
    assert_eq!(verdict["policy"]["name"], "baseline");
    let vulnerabilities = rule(&verdict, "vulnerabilities");
    assert_eq!(vulnerabilities["outcome"], "violate");
    assert_eq!(strings(&vulnerabilities["findings"], "id"), ["CVE-2021-23337", "CVE-2021-23337"]);
    let finding = &vulnerabilities["findings"][0];
    assert_eq!(finding["package"]["purl"], "pkg:npm/lodash@4.17.20");
    assert_eq!(finding["fixed"], serde_json::json!(["4.17.21"]));
    assert_eq!(finding["layer"]["index"], 2);
    assert_eq!(finding["layer"]["createdBy"], "RUN npm ci --omit=dev # buildkit");
    // minimist was removed, busybox has the fix, and six belongs to Alpine.
    for gone in ["CVE-2021-44906", "CVE-2022-30065"] {
        assert!(!verdict.to_string().contains(gone), "{gone}");
    }
}

#[test]
fn the_text_says_the_decision_first_and_then_what_to_do() {
    let text = gate(&[]).ended(1).out();
    assert!(text.starts_with("DENY"), "{text}");
    for part in ["lodash", "4.17.20", "4.17.21", "CVE-2021-23337", "npm ci --omit=dev", "linux/amd64"] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}

#[test]
fn a_second_policy_admits_the_demo_and_names_its_waivers() {
    let verdict = gate(&["--policy", ACCEPTING, "-o", "json"]).ended(0).json();
    assert_eq!(verdict["decision"], "admit");
    assert!(!verdict["waivers"]["used"].as_array().unwrap().is_empty());
    assert_eq!(verdict["waivers"]["unused"], serde_json::json!([]));
    // After its last day the waiver has no effect.
    let late = run(&[
        "gate",
        DEMO,
        "--db",
        OSV,
        "--at",
        "2028-01-01T00:00:00Z",
        "--policy",
        ACCEPTING,
        "-o",
        "json",
    ]);
    assert_eq!(late.ended(1).json()["waivers"]["expired"].as_array().unwrap().len(), 1);
}

#[test]
fn the_strict_policy_wants_a_pinned_reference() {
    let production = ["--policy", "policies/production.yaml", "-o", "json"];
    let without = gate(&production).ended(3).json();
    assert_eq!(rule(&without, "coverage")["outcome"], "undecided");
    let digest = without["image"]["digest"].as_str().unwrap().to_owned();
    let as_pinned = format!("ghcr.io/acme/app:v1.4.2@{digest}");
    let verdict =
        gate(&[&production[..], &["--as", &as_pinned, "--env", "production"]].concat()).ended(1).json();
    assert_eq!(verdict["policy"]["scope"], "production");
    for (id, outcome) in
        [("where", "hold"), ("arches", "hold"), ("runtime", "hold"), ("vulnerabilities", "violate")]
    {
        assert_eq!(rule(&verdict, id)["outcome"], outcome, "{id}");
    }
}

#[test]
fn a_reference_with_another_digest_is_undecided() {
    let other = format!("ghcr.io/acme/app:v1@sha256:{}", "0".repeat(64));
    let verdict = gate(&["--policy", ACCEPTING, "--as", &other, "-o", "json"]).ended(3).json();
    assert_eq!(rule(&verdict, "integrity")["outcome"], "undecided");
}

#[test]
fn the_same_run_twice_gives_the_same_bytes() {
    for arguments in [&["-o", "json"][..], &[], &["--policy", ACCEPTING, "-o", "json"]] {
        assert_eq!(gate(arguments).out(), gate(arguments).out(), "{arguments:?}");
    }
    for format in ["cyclonedx", "inventory", "text"] {
        let sbom = || run(&["sbom", DEMO, "--platform", "linux/arm64", "-o", format]).ended(0).out();
        assert_eq!(sbom(), sbom(), "{format}");
    }
}

#[test]
fn several_images_end_with_the_strictest_code() {
    let place = tempfile::tempdir().unwrap();
    let missing = format!("oci:{}/missing", place.path().display());
    let many = run(&["gate", DEMO, &missing, "--db", OSV, "--at", AT, "-o", "json"]).ended(3).json();
    assert_eq!(strings(&many["verdicts"], "decision"), ["deny", "undecided"]);
}

#[test]
fn reports_go_where_they_were_asked_to() {
    let place = tempfile::tempdir().unwrap();
    let json = place.path().join("verdict.json");
    let run = gate(&["-o", "text", "-o", &format!("json={}", json.display())]).ended(1);
    assert!(run.out().starts_with("DENY"));
    let written: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(written["decision"], "deny");
    // A verdict that could not be delivered is no admit.
    let nowhere = format!("json={}/missing/x.json", place.path().display());
    gate(&["--policy", ACCEPTING, "-o", &nowhere]).ended(3);
    gate(&["-o", "text", "-o", "json"]).ended(2);
    let unknown = gate(&["-o", "xml"]).ended(2);
    assert!(unknown.err().contains("text, json"), "{}", unknown.err());
}

#[test]
fn quiet_prints_no_more_than_the_decision_and_its_reasons() {
    let quiet = gate(&["--quiet"]).ended(1);
    assert!(quiet.out().lines().count() < gate(&[]).out().lines().count());
    assert_eq!(quiet.err(), "");
}

#[test]
fn nothing_is_printed_in_colour_or_as_progress_in_a_pipe() {
    let run = gate(&[]);
    assert!(!run.out().contains('\x1b') && !run.err().contains('\x1b'));
    assert!(gate(&["--color", "always"]).out().contains('\x1b'));
}

/// A test image with one Alpine package of a release that the demo's snapshot covers.
fn alpine(place: &Path) {
    let base = layer("ADD rootfs")
        .file("etc/os-release", "ID=alpine\nVERSION_ID=3.16.0\n")
        .file("lib/apk/db/installed", "P:musl\nV:1.2.3-r0\nA:x86_64\no:musl\nL:MIT\n\n");
    single(place, image("linux/amd64").layer(base));
}

#[test]
fn an_image_without_fault_is_admitted_by_the_baseline() {
    let place = tempfile::tempdir().unwrap();
    alpine(place.path());
    let location = format!("oci:{}", place.path().display());
    run(&["gate", &location, "--db", OSV, "--at", AT]).ended(0);
}

/// Runs that must not admit: what they are, and what they must say.
fn refused(arguments: &[&str], code: i32, words: &[&str]) {
    let run = run(arguments);
    assert_eq!(run.code(), code, "{arguments:?}\n{}{}", run.out(), run.err());
    let said = format!("{}{}", run.out(), run.err());
    for word in words {
        assert!(said.contains(word), "{arguments:?}: `{word}` is missing:\n{said}");
    }
}

#[test]
fn bad_input_gets_a_message_that_says_what_to_do() {
    let place = tempfile::tempdir().unwrap();
    alpine(place.path());
    let image = format!("oci:{}", place.path().display());
    let empty = tempfile::tempdir().unwrap();
    let empty_path = empty.path().display().to_string();
    let db = ["--db", OSV, "--at", AT];

    let missing = format!("oci:{empty_path}/missing");
    refused(&[&["gate", &missing], &db[..]].concat(), 3, &["missing", "o such file"]);
    let no_image = format!("oci:{empty_path}");
    refused(&[&["gate", &no_image], &db[..]].concat(), 3, &["index.json"]);
    refused(&["gate", &image, "--db", &format!("{empty_path}/missing"), "--at", AT], 3, &["o such file"]);
    refused(&["gate", &image, "--db", &empty_path, "--at", AT], 3, &["<Ecosystem>/all.zip"]);
    refused(&["gate", &image, "--at", AT, "--offline"], 3, &["--db DIR"]);
    refused(&["gate", &image, "--at", AT], 3, &["all.zip", "no connection"]);

    let typo = file(
        &empty,
        "typo.yaml",
        "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {name: a}\nrules:\n- id: v\n  vulnerabilites: {}\n",
    );
    refused(
        &[&["gate", &image, "--policy", &typo], &db[..]].concat(),
        2,
        &["typo.yaml:6:3", "did you mean `vulnerabilities`?"],
    );
    let none = file(
        &empty,
        "none.yaml",
        "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {name: a}\nrules: []\n",
    );
    refused(&[&["gate", &image, "--policy", &none], &db[..]].concat(), 2, &["none.yaml"]);
    refused(&[&["gate", &image, "--policy", "/no/such/policy"], &db[..]].concat(), 2, &["/no/such/policy"]);

    let old = file(
        &empty,
        "old.yaml",
        "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {name: a}\nrules:\n- id: v\n  vulnerabilities: {database: {maxAge: 1d}}\n",
    );
    refused(&[&["gate", &image, "--policy", &old], &db[..]].concat(), 3, &["2026-01-10", "ago"]);
    refused(&["gate", "oci:"], 2, &["path is empty"]);
    refused(&["gate"], 2, &["IMAGE"]);
    refused(&["frobnicate"], 2, &["frobnicate"]);
    refused(&[&["gate", &image, "--env", "production"], &db[..]].concat(), 0, &[]);
}

#[test]
fn an_image_without_any_package_database_is_undecided() {
    let place = tempfile::tempdir().unwrap();
    single(place.path(), image("linux/amd64").layer(layer("COPY app /app").file("app", "#!/bin/sh\n")));
    let location = format!("oci:{}", place.path().display());
    refused(&["gate", &location, "--db", OSV, "--at", AT], 3, &["no package database"]);
}

#[test]
fn a_layer_of_an_unknown_media_type_is_undecided() {
    let place = tempfile::tempdir().unwrap();
    let mut layout = layout();
    let manifest = layout.add(image("linux/amd64").layer(layer("ADD x").file("x", "")));
    layout.tag("test", manifest);
    layout.write(place.path());
    // The manifest is rewritten with a media type that nobody knows, and its digest with it.
    let index: Value =
        serde_json::from_slice(&std::fs::read(place.path().join("index.json")).unwrap()).unwrap();
    let blob = |digest: &str| place.path().join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap());
    let old = index["manifests"][0]["digest"].as_str().unwrap();
    let text = std::fs::read_to_string(blob(old)).unwrap().replace("layer.v1.tar+gzip", "layer.v9.tar+xz");
    let new = portcullis::model::digest::Digest::sha256(text.as_bytes()).to_string();
    std::fs::write(blob(&new), &text).unwrap();
    let mut index = index.clone();
    index["manifests"][0]["digest"] = new.into();
    index["manifests"][0]["size"] = text.len().into();
    std::fs::write(place.path().join("index.json"), index.to_string()).unwrap();
    let location = format!("oci:{}", place.path().display());
    refused(&["gate", &location, "--db", OSV, "--at", AT], 3, &["layer.v9.tar+xz"]);
}

#[test]
fn images_with_an_rpm_database_are_undecided() {
    let Some(data) = shared("data") else { return };
    for name in ["rpm-mariner-2.0-sqlite", "rpm-sle15-bci-ndb", "rpm-ubi8-bdb", "rpm-rocky9-arm64"] {
        let location = format!("oci:{}", data.join("images").join(name).display());
        let verdict = run(&["gate", &location, "--db", OSV, "--at", AT, "-o", "json"]).ended(3).json();
        assert!(!verdict["gaps"].as_array().unwrap().iter().any(|gap| gap["cataloger"] == "rpm"), "{name}");
    }
}

#[test]
fn a_scan_ends_as_it_was_asked_to() {
    let scan = |more: &[&str]| run(&[&["scan", DEMO, "--db", OSV], more].concat());
    let document = scan(&["-o", "json"]).ended(0).json();
    assert_eq!(document["schema"], "portcullis.dev/scan/v1");
    let ids: std::collections::BTreeSet<String> = strings(&document["findings"], "id").into_iter().collect();
    let want = ["CVE-2021-23337", "CVE-2022-2097", "CVE-2022-37434", "CVE-2023-32681", "CVE-2025-27516"];
    assert_eq!(ids.iter().map(String::as_str).collect::<Vec<_>>(), want);
    scan(&["--fail-on", "high"]).ended(1);
    // Nothing is critical, but the severity of Alpine's advisories is not known.
    scan(&["--fail-on", "critical"]).ended(3);
    scan(&["--fail-on", "unknown"]).ended(2);
    run(&["scan", DEMO]).ended(3);
}

#[test]
fn an_sbom_is_of_one_platform() {
    let place = tempfile::tempdir().unwrap();
    let all = format!("inventory={}/", place.path().display());
    run(&["sbom", DEMO, "--platform", "all", "-o", &all]).ended(0);
    let mut names: Vec<String> = std::fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["index.inventory.json", "linux-amd64.inventory.json", "linux-arm64-v8.inventory.json"]
    );
    run(&["sbom", DEMO, "--platform", "all"]).ended(2);
    refused(&["sbom", DEMO, "--platform", "linux/s390x"], 2, &["linux/amd64", "linux/arm64/v8"]);
    let document = run(&["sbom", DEMO, "--platform", "linux/arm64"]).ended(0).json();
    assert_eq!(
        (document["bomFormat"].as_str(), document["specVersion"].as_str()),
        (Some("CycloneDX"), Some("1.6"))
    );
}

#[test]
fn policies_are_checked_with_every_error() {
    run(&["policy", "check", "policies/baseline.yaml", "policies/production.yaml", ACCEPTING]).ended(0);
    let place = tempfile::tempdir().unwrap();
    let bad = file(
        &place,
        "bad.yaml",
        "apiVersion: v2\nkind: Policy\nmetadata: {nam: a}\nrules:\n- id: a\n  gaps: {alow: []}\n",
    );
    refused(
        &["policy", "check", &bad],
        2,
        &["bad.yaml:1:13", "bad.yaml:3:12", "did you mean `name`?", "did you mean `allow`?"],
    );
}

#[test]
fn the_snapshot_says_what_it_has() {
    let text = run(&["db", "status", "--db", OSV]).ended(0).out();
    let first: Vec<&str> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(first, ["ecosystem", "Alpine", "PyPI", "npm", "snapshot"]);
    refused(&["db", "status"], 3, &["--db DIR"]);
}

#[test]
fn versions_are_compared() {
    assert_eq!(run(&["compare-versions", "--ecosystem", "Debian", "1.0~rc1", "1.0"]).ended(0).out(), "<\n");
    assert_eq!(run(&["compare-versions", "--ecosystem", "Alpine", "x", "1"]).ended(3).out(), "?\n");
    run(&["compare-versions", "--ecosystem", "Nowhere", "1", "2"]).ended(2);
}
