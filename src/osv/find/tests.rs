use serde_json::{Value, json};

use super::*;
use crate::model::finding::FixState;
use crate::model::severity::Severity;
use crate::osv::fixture::{find_in, from_source, package, segment};

fn record(id: &str, ecosystem: &str, name: &str, fixed: &str, rest: Value) -> Value {
    let mut record = json!({"id": id, "modified": "2026-01-01T00:00:00Z", "affected": [{
        "package": {"ecosystem": ecosystem, "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
    }]});
    record.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    record
}

fn ids(findings: &Findings) -> Vec<&str> {
    findings.findings.iter().map(|finding| finding.id.as_str()).collect()
}

#[test]
fn records_of_one_vulnerability_make_one_finding_with_every_id() {
    let pypi = segment(
        "PyPI",
        &[
            record("GHSA-1", "PyPI", "Jinja2", "3.1.6", json!({"aliases": ["CVE-2025-1"]})),
            record(
                "PYSEC-1",
                "PyPI",
                "jinja2",
                "3.1.7",
                json!({"aliases": ["CVE-2025-1"], "database_specific": {"severity": "HIGH"}}),
            ),
            record("PYSEC-2", "PyPI", "jinja2", "4", json!({})),
        ],
    );
    let found = find_in("debian 11", vec![package("pypi jinja2 3.1.4")], &[&pypi]);
    assert_eq!(ids(&found), ["CVE-2025-1", "PYSEC-2"]);
    let first = &found.findings[0];
    assert_eq!(first.aliases, ["GHSA-1", "PYSEC-1"]);
    assert_eq!(
        (first.severity, first.severity_source.as_deref()),
        (Severity::High, Some("database_specific"))
    );
    assert_eq!(first.fixed, ["3.1.6", "3.1.7"]);
    assert_eq!(found.undetermined, []);
}

#[test]
fn an_erratum_about_several_cves_makes_a_finding_of_each() {
    let debian = segment(
        "Debian",
        &[
            record(
                "DSA-1-1",
                "Debian:11",
                "curl",
                "7.74.0-1.3+deb11u2",
                json!({"upstream": ["CVE-2022-1", "DEBIAN-CVE-2022-1", "CVE-2022-2"]}),
            ),
            record(
                "DEBIAN-CVE-2022-2",
                "Debian:11",
                "curl",
                "7.74.0-1.3+deb11u2",
                json!({"upstream": ["CVE-2022-2"]}),
            ),
        ],
    );
    let libcurl = from_source(package("deb libcurl4 7.74.0-1.3+deb11u1"), "curl", "7.74.0-1.3+deb11u1");
    let found = find_in("debian 11", vec![libcurl], &[&debian]);
    assert_eq!(ids(&found), ["CVE-2022-1", "CVE-2022-2"]);
    assert_eq!(found.findings[0].aliases, ["DSA-1-1"]);
    assert_eq!(found.findings[1].aliases, ["DEBIAN-CVE-2022-2", "DSA-1-1"]);
    assert_eq!(found.findings[0].evidence.name, "curl");
    assert_eq!(found.findings[0].severity, Severity::Unknown);
}

#[test]
fn the_source_packages_version_is_compared() {
    let debian = segment("Debian", &[record("DSA-1", "Debian:11", "src", "2.0", json!({}))]);
    let binary = from_source(package("deb bin 5.0+b1"), "src", "1.0");
    assert_eq!(ids(&find_in("debian 11", vec![binary], &[&debian])), ["DSA-1"]);
    let fixed = from_source(package("deb bin 1.0"), "src", "2.0");
    assert_eq!(ids(&find_in("debian 11", vec![fixed], &[&debian])), [""; 0]);
}

#[test]
fn a_release_without_records_is_undetermined_and_not_clean() {
    let alpine = segment("Alpine", &[record("A-1", "Alpine:v3.16", "zlib", "1.2.12-r2", json!({}))]);
    let found = find_in("alpine 3.14.10", vec![package("apk zlib 1.2.11-r3")], &[&alpine]);
    assert_eq!(found.findings, []);
    assert_eq!(found.undetermined[0].cause, "the snapshot has no advisories for Alpine:v3.14");
    let none = find_in("alpine 3.16.0", vec![package("apk zlib 1.2.12-r0")], &[]);
    assert_eq!(none.undetermined[0].cause, "the snapshot has no advisories for Alpine");
}

#[test]
fn a_package_that_nothing_is_known_of_is_undetermined() {
    let found = find_in("debian 11", vec![package("gem rails 7"), package("apk zlib 1")], &[]);
    let causes: Vec<&str> = found.undetermined.iter().map(|one| one.cause.as_str()).collect();
    assert_eq!(
        causes,
        [
            "apk packages do not belong to debian 11",
            "this version of portcullis knows no advisories for packages of type gem",
        ]
    );
}

#[test]
fn a_version_that_cannot_be_compared_names_the_advisories_that_might_apply() {
    let alpine = segment("Alpine", &[record("A-1", "Alpine:v3.16", "zlib", "1.2.12-r2", json!({}))]);
    let found = find_in("alpine 3.16.0", vec![package("apk zlib not-a-version")], &[&alpine]);
    assert_eq!(found.undetermined[0].advisories, ["A-1"]);
    assert_eq!(found.undetermined[0].cause, "`not-a-version` is no apk version");
}

#[test]
fn an_entry_that_could_not_be_read_leaves_its_package_undetermined() {
    let broken =
        json!({"id": "X-1", "affected": [{"package": {"ecosystem": "npm", "name": "a"}, "ranges": 7}]});
    let npm = segment("npm", &[broken, record("X-2", "npm", "b", "9", json!({}))]);
    let found = find_in("debian 11", vec![package("npm a 1.0.0"), package("npm b 1.0.0")], &[&npm]);
    assert_eq!(ids(&found), ["X-2"]);
    assert_eq!(found.undetermined[0].advisories, ["X-1"]);
}

#[test]
fn a_withdrawn_record_matches_nothing() {
    let withdrawn = json!({"withdrawn": "2025-01-01T00:00:00Z"});
    let npm = segment(
        "npm",
        &[record("X-1", "npm", "a", "9", withdrawn), record("X-2", "npm", "b", "9", json!({}))],
    );
    let found = find_in("debian 11", vec![package("npm a 1.0.0")], &[&npm]);
    assert_eq!((found.findings, found.undetermined), (vec![], vec![]));
}

#[test]
fn a_severity_is_borrowed_from_another_record_of_the_vulnerability() {
    let lent = record("GHSA-1", "PyPI", "other", "2", json!({"database_specific": {"severity": "CRITICAL"}}));
    let pypi = segment("PyPI", &[lent, record("PYSEC-1", "PyPI", "a", "2", json!({"aliases": ["GHSA-1"]}))]);
    let found = find_in("debian 11", vec![package("pypi a 1")], &[&pypi]);
    assert_eq!(found.findings[0].severity, Severity::Critical);
    assert_eq!(found.findings[0].severity_source.as_deref(), Some("alias:GHSA-1"));
}

#[test]
fn the_state_says_whether_a_fix_is_known() {
    let entry = |events: Value, specific: Value| {
        json!([{
            "package": {"ecosystem": "Debian:11", "name": "a"}, "ecosystem_specific": specific,
            "ranges": [{"type": "ECOSYSTEM", "events": events}],
        }])
    };
    for (affected, want) in [
        (entry(json!([{"introduced": "0"}, {"fixed": "2"}]), json!({})), FixState::Fixed),
        (entry(json!([{"introduced": "0"}]), json!({})), FixState::NotFixed),
        (entry(json!([{"introduced": "0"}, {"last_affected": "2"}]), json!({})), FixState::Unknown),
        (entry(json!([{"introduced": "0"}]), json!({"urgency": "end-of-life"})), FixState::WontFix),
    ] {
        let debian = segment("Debian", &[json!({"id": "X", "affected": affected})]);
        let found = find_in("debian 11", vec![package("deb a 1")], &[&debian]);
        assert_eq!(found.findings[0].state, want);
    }
}

#[test]
fn a_language_package_that_the_distribution_answers_for_is_suppressed_with_the_reason() {
    let pypi = segment(
        "PyPI",
        &[
            record("GHSA-1", "PyPI", "six", "2", json!({"aliases": ["CVE-2024-1"]})),
            record("GHSA-2", "PyPI", "six", "2", json!({"aliases": ["CVE-2024-2"]})),
        ],
    );
    let alpine = segment(
        "Alpine",
        &[record(
            "ALPINE-CVE-2024-1",
            "Alpine:v3.16",
            "py3-six",
            "1.16.0-r1",
            json!({"upstream": ["CVE-2024-1"]}),
        )],
    );
    let owner = package("apk py3-six 1.16.0-r1");
    let mut six = package("pypi six 1.16.0");
    six.owned_by = Some(owner.purl.clone());
    let found = find_in("alpine 3.16.0", vec![owner.clone(), six.clone()], &[&pypi, &alpine]);
    assert_eq!(ids(&found), ["CVE-2024-2"]);
    assert!(found.findings[0].evidence.low_confidence.as_ref().unwrap().contains("do not speak of it"));
    assert_eq!(found.suppressed[0].finding.id, "CVE-2024-1");
    assert_eq!(found.suppressed[0].reason, "owned-by");
    assert!(found.suppressed[0].detail.contains("ALPINE-CVE-2024-1"), "{}", found.suppressed[0].detail);
    // A distribution whose release is not covered answers for nothing.
    let uncovered = find_in("alpine 3.14.0", vec![owner, six], &[&pypi, &alpine]);
    assert_eq!((uncovered.findings.len(), uncovered.suppressed.len()), (2, 0));
}

#[test]
fn a_malicious_package_is_never_set_aside() {
    let pypi = segment("PyPI", &[record("MAL-2024-1", "PyPI", "six", "2", json!({}))]);
    let alpine = segment("Alpine", &[record("MAL-2024-1", "Alpine:v3.16", "py3-six", "0", json!({}))]);
    let owner = package("apk py3-six 1.16.0-r1");
    let mut six = package("pypi six 1.16.0");
    six.owned_by = Some(owner.purl.clone());
    let found = find_in("alpine 3.16.0", vec![owner, six], &[&pypi, &alpine]);
    assert_eq!(ids(&found), ["MAL-2024-1"]);
    assert!(found.findings[0].malicious);
}

#[test]
fn the_kernels_headers_are_suppressed() {
    let debian = segment("Debian", &[record("DSA-9", "Debian:11", "linux", "9", json!({}))]);
    let headers = from_source(package("deb linux-libc-dev 5.10.1-1"), "linux", "5.10.1-1");
    let image = from_source(package("deb linux-image-amd64 5.10.1-1"), "linux", "5.10.1-1");
    let found = find_in("debian 11", vec![headers, image], &[&debian]);
    assert_eq!(found.findings[0].package.name, "linux-image-amd64");
    assert_eq!(found.suppressed[0].reason, "kernel-not-in-container");
}

#[test]
fn an_ubuntu_record_that_lists_binaries_is_about_those_only() {
    let with = json!([{
        "package": {"ecosystem": "Ubuntu:22.04:LTS", "name": "x"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2"}]}],
        "ecosystem_specific": {"binaries": [{"binary_name": "libx", "binary_version": "2"}]},
    }]);
    let ubuntu = segment("Ubuntu", &[json!({"id": "USN-1", "affected": with})]);
    let libx = from_source(package("deb libx 1"), "x", "1");
    let doc = from_source(package("deb x-doc 1"), "x", "1");
    let found = find_in("ubuntu 22.04", vec![libx, doc], &[&ubuntu]);
    assert_eq!(found.findings[0].package.name, "libx");
    assert_eq!(found.suppressed[0].reason, "binary-not-listed");
}

#[test]
fn a_kernel_with_thousands_of_records_is_grouped_at_once() {
    let records: Vec<Value> = (0..5000)
        .map(|n| {
            record(&format!("D-{n}"), "Debian:11", "linux", "9", json!({"upstream": [format!("CVE-1-{n}")]}))
        })
        .collect();
    let debian = segment("Debian", &records);
    let image = from_source(package("deb linux-image 5"), "linux", "5");
    assert_eq!(find_in("debian 11", vec![image], &[&debian]).findings.len(), 5000);
}

#[test]
fn what_was_only_built_with_and_programs_of_owned_files_are_not_asked_about() {
    let pypi = segment("PyPI", &[record("GHSA-1", "PyPI", "jinja2", "9", json!({}))]);
    let build = Package { scope: Scope::Build, ..package("pypi jinja2 3.1.4") };
    let found = find_in("debian 11", vec![build], &[&pypi]);
    assert_eq!((ids(&found).len(), found.undetermined.len()), (0, 0));
    let program = package("generic busybox 1.35.0");
    let found = find_in("debian 11", vec![program.clone()], &[&pypi]);
    assert_eq!(found.undetermined.len(), 1, "nobody answers for it");
    let owned = Package { owned_by: Some(package("deb busybox 1:1.35.0-4").purl), ..program };
    assert_eq!(find_in("debian 11", vec![owned], &[&pypi]).undetermined, []);
}

#[test]
fn a_package_in_doubt_is_undetermined_whatever_else_is_found() {
    let pypi = segment("PyPI", &[record("GHSA-1", "PyPI", "jinja2", "3.1.6", json!({}))]);
    let cause = "the SBOM document does not state its source package";
    let in_doubt = |version: &str| {
        let mut package = package(&format!("pypi jinja2 {version}"));
        package.doubt = Some(cause.into());
        find_in("debian 11", vec![package], &[&pypi])
    };
    let affected = in_doubt("3.1.4");
    assert_eq!(ids(&affected), ["GHSA-1"]);
    assert_eq!(affected.findings[0].evidence.low_confidence.as_deref(), Some(cause));
    for found in [affected, in_doubt("3.1.6")] {
        assert_eq!(found.undetermined[0].cause, cause);
    }
}
