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
    let found = find_in("debian 11", vec![package("conda numpy 1"), package("apk zlib 1")], &[]);
    let causes: Vec<&str> = found.undetermined.iter().map(|one| one.cause.as_str()).collect();
    assert_eq!(
        causes,
        [
            "apk packages do not belong to debian 11",
            "this version of portcullis knows no advisories for packages of type conda",
        ]
    );
}

#[test]
fn a_version_that_cannot_be_compared_names_the_advisories_that_might_apply() {
    let alpine = segment("Alpine", &[record("A-1", "Alpine:v3.16", "zlib", "1.2.12-r2", json!({}))]);
    let found = find_in("alpine 3.16.0", vec![package("apk zlib 1.a.b")], &[&alpine]);
    assert_eq!(found.undetermined[0].cause, "`1.a.b` is no apk version");
    let found = find_in("alpine 3.16.0", vec![package("apk zlib not-a-version")], &[&alpine]);
    assert_eq!(found.undetermined[0].advisories, ["A-1"]);
    assert_eq!(found.undetermined[0].cause, "`not-a-version` is no version");
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

/// A package of an RPM database with the label of its module.
fn of_module(text: &str, label: &str) -> Package {
    let package = package(text);
    Package { purl: package.purl.clone().with("rpmmod", label), ..package }
}

#[test]
fn the_fix_of_one_module_stream_says_nothing_of_another() {
    let fixed = "1:12.21.0-1.module_el8.3.0+2165+af250afe";
    let summary = json!({"summary": "Important: nodejs:12 security update", "related": ["CVE-2021-1"]});
    let alma = segment("AlmaLinux", &[record("ALSA-2021:1", "AlmaLinux:8", "nodejs", fixed, summary)]);
    let version = "1:10.24.0-1.module_el8.3.0+2047+b07ac28e";
    let found = |package| find_in("almalinux 8.5", vec![package], &[&alma]);
    let text = format!("rpm nodejs {version}");
    let own = found(of_module(&text, "nodejs:12:8030020210304194546:229f0a1c"));
    assert_eq!((ids(&own), own.suppressed.len()), (vec!["CVE-2021-1"], 0));
    assert_eq!(own.findings[0].evidence.low_confidence, None);
    let other = found(of_module(&text, "nodejs:10:8030020210304194546:229f0a1c"));
    assert_eq!((ids(&other).len(), other.suppressed[0].reason), (0, "other-module-stream"));
    let outside = found(package("rpm nodejs 1:10.24.0-1.el8"));
    assert_eq!((ids(&outside).len(), outside.suppressed[0].reason), (0, "other-module-stream"));
    // The label is lost: the match stays, and says so.
    let unlabelled = found(package(&text));
    assert_eq!(ids(&unlabelled), ["CVE-2021-1"]);
    assert!(unlabelled.findings[0].evidence.low_confidence.as_ref().unwrap().contains("stream"));
}

#[test]
fn an_erratum_without_a_vulnerability_is_none() {
    let entry = |id: &str, related: Value| record(id, "AlmaLinux:9", "bash", "5.1.8-9.el9", related);
    let alma = segment(
        "AlmaLinux",
        &[entry("ALBA-2023:1", json!({})), entry("ALEA-2023:2", json!({"related": ["CVE-2023-7"]}))],
    );
    let found = find_in("almalinux 9.3", vec![package("rpm bash 5.1.8-6.el9")], &[&alma]);
    assert_eq!(ids(&found), ["CVE-2023-7"]);
}

#[test]
fn a_lost_epoch_is_taken_to_be_that_of_the_advisory() {
    let rocky = segment(
        "Rocky Linux",
        &[
            record("RLSA-1", "Rocky Linux:9", "openssl", "1:3.0.7-25.el9", json!({"related": ["CVE-1"]})),
            record("RLSA-2", "Rocky Linux:9", "openssl", "1:3.0.1-1.el9", json!({"related": ["CVE-2"]})),
        ],
    );
    let libs = from_source(package("rpm openssl-libs 9-1"), "openssl", "3.0.7-24.el9");
    let found = find_in("rocky 9.3", vec![libs], &[&rocky]);
    assert_eq!(ids(&found), ["CVE-1"]);
    assert!(found.findings[0].evidence.low_confidence.as_ref().unwrap().contains("epoch"));
}

#[test]
fn red_hats_repositories_count_together_and_those_of_other_streams_do_not() {
    let red_hat = segment(
        "Red Hat",
        &[
            record(
                "RHSA-1",
                "Red Hat:enterprise_linux:8::appstream",
                "git",
                "2-1",
                json!({"upstream": ["CVE-1"]}),
            ),
            record(
                "RHSA-2",
                "Red Hat:enterprise_linux:8::baseos",
                "git",
                "2-1",
                json!({"upstream": ["CVE-2"]}),
            ),
            record("RHSA-3", "Red Hat:rhel_aus:8.6::appstream", "git", "2-1", json!({"upstream": ["CVE-3"]})),
        ],
    );
    let found = find_in("rhel 8.9", vec![package("rpm git 1-1.el8")], &[&red_hat]);
    assert_eq!(ids(&found), ["CVE-1", "CVE-2"]);
    let none = find_in("rhel 9.2", vec![package("rpm git 1-1.el8")], &[&red_hat]);
    assert_eq!(none.undetermined[0].cause, "the snapshot has no advisories for Red Hat:enterprise_linux:9");
}

#[test]
fn a_fix_for_subscribers_counts_where_there_is_no_other() {
    let entry = |ecosystem: &str, fixed: &str, availability: &str| {
        json!({
            "package": {"ecosystem": ecosystem, "name": "x"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
            "ecosystem_specific": {"availability": availability},
        })
    };
    let (pro, free) = ("Available with Ubuntu Pro: https://ubuntu.com/pro", "No subscription required");
    let ubuntu = segment(
        "Ubuntu",
        &[
            json!({"id": "UBUNTU-CVE-1", "upstream": ["CVE-1"], "affected": [
                entry("Ubuntu:22.04:LTS", "2", free), entry("Ubuntu:Pro:22.04:LTS", "3+esm1", pro)]}),
            json!({"id": "UBUNTU-CVE-2", "upstream": ["CVE-2"], "affected": [entry("Ubuntu:Pro:22.04:LTS", "3+esm1", pro)]}),
        ],
    );
    let found = |version: &str| {
        let found = find_in("ubuntu 22.04", vec![package(&format!("deb x {version}"))], &[&ubuntu]);
        found.findings.into_iter().map(|one| (one.id, one.fixed, one.fix_note)).collect::<Vec<_>>()
    };
    let subscribers = ("CVE-2".to_owned(), vec!["3+esm1".to_owned()], Some(pro.to_owned()));
    assert_eq!(found("1"), [("CVE-1".to_owned(), vec!["2".to_owned()], None), subscribers.clone()]);
    assert_eq!(found("2"), [subscribers]);
    assert_eq!(found("3+esm1"), []);
}

#[test]
fn a_suse_record_that_lists_binaries_is_about_those_only() {
    let suse = "SUSE:Linux Enterprise Module for Basesystem 15 SP3";
    let affected = json!([{
        "package": {"ecosystem": suse, "name": "openssl"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2-1"}]}],
        "ecosystem_specific": {"binaries": [{"libopenssl1_1": "2-1"}]},
    }]);
    let suse = segment("SUSE", &[json!({"id": "SUSE-SU-1", "affected": affected})]);
    let of = |name: &str| from_source(package(&format!("rpm {name} 1-1")), "openssl", "1-1");
    let found = find_in("sles 15.3", vec![of("libopenssl1_1"), of("openssl-doc")], &[&suse]);
    assert_eq!((ids(&found), found.findings[0].package.name.as_str()), (vec!["SUSE-SU-1"], "libopenssl1_1"));
    assert_eq!(found.suppressed[0].reason, "binary-not-listed");
}

#[test]
fn languages_are_compared_in_the_order_of_their_own_tools() {
    for (ecosystem, fixed, affected, fine) in [
        ("crates.io", "0.2.0", "cargo x 0.2.0-rc.1", "cargo x 0.2.0"),
        ("Go", "1.22.0-rc.2", "golang x 1.22.0-rc.1", "golang x v1.22.0"),
        ("Go", "1.22.0-rc.2", "golang stdlib 1.22rc1", "golang stdlib 1.22"),
        ("Maven", "24.1", "maven g:x 24.1-rc1", "maven g:x 24.1-jre"),
        ("NuGet", "1.0.0.1", "nuget X 1.0", "nuget X 1.0.0.1"),
        ("RubyGems", "2.0.0.rc2", "gem x 2.0.0.rc1", "gem x 2.0.0"),
        ("Packagist", "5.4.0", "composer v/x v5.4.0-beta1", "composer v/x v5.4.0"),
        ("Hex", "1.2.0", "hex x 1.1.9", "hex x 1.2.0"),
        ("Pub", "1.2.0", "pub x 1.1.9", "pub x 1.2.0"),
        ("CRAN", "1.2-1", "cran x 1.2.0", "cran x 1.2.1"),
        ("Hackage", "1.10", "hackage x 1.9", "hackage x 1.10.0"),
        ("Bitnami", "7.2.3", "bitnami x 7.2.2-9", "bitnami x 7.2.3-1"),
    ] {
        let name = affected.split(' ').nth(1).unwrap();
        let bytes = segment(ecosystem, &[record("X-1", ecosystem, name, fixed, json!({}))]);
        let found = find_in("debian 12", vec![package(affected), package(fine)], &[&bytes]);
        let versions: Vec<&str> = found.findings.iter().map(|one| one.package.version.as_str()).collect();
        assert_eq!(versions, [affected.split(' ').nth(2).unwrap()], "{ecosystem}");
        assert_eq!(found.undetermined, [], "{ecosystem}");
    }
}

#[test]
fn a_guess_is_undetermined_and_still_matched() {
    let maven = segment("Maven", &[record("X-1", "Maven", "g:x", "2", json!({}))]);
    let guessed = |version: &str| Package { guessed: true, ..package(&format!("maven g:x {version}")) };
    let found = find_in("debian 12", vec![guessed("1")], &[&maven]);
    assert_eq!(ids(&found), ["X-1"]);
    assert!(found.findings[0].evidence.low_confidence.is_some());
    assert_eq!(find_in("debian 12", vec![guessed("3")], &[&maven]).undetermined.len(), 1);
}

#[test]
fn a_word_is_no_version() {
    let maven = segment("Maven", &[record("X-1", "Maven", "g:x", "2", json!({}))]);
    for word in ["UNKNOWN", "${project.version}", "*"] {
        let found = find_in("debian 12", vec![package(&format!("maven g:x {word}"))], &[&maven]);
        assert_eq!((found.findings.len(), found.undetermined.len()), (0, 1), "{word}");
    }
}

#[test]
fn what_only_an_epoch_could_clear_is_undetermined() {
    let alma = segment(
        "AlmaLinux",
        &[
            record("ALSA-1", "AlmaLinux:9", "openssl", "1:3.0.7-25.el9", json!({"related": ["CVE-1"]})),
            record("ALSA-2", "AlmaLinux:9", "openssl", "1:3.0.1-1.el9", json!({"related": ["CVE-2"]})),
        ],
    );
    let lost = crate::model::inventory::EPOCH_UNSTATED.to_owned();
    let openssl = Package { doubt: Some(lost), ..package("rpm openssl 3.0.7-24.el9") };
    let found = find_in("almalinux 9.3", vec![openssl], &[&alma]);
    assert_eq!(ids(&found), ["CVE-1"]);
    let named = found.undetermined.iter().find(|one| !one.advisories.is_empty()).unwrap();
    assert_eq!(named.advisories, ["ALSA-2"]);
}

#[test]
fn a_group_that_a_tool_may_have_made_up_is_in_doubt_where_no_record_confirms_it() {
    let maven = segment("Maven", &[record("X-1", "Maven", "junit:junit", "2", json!({}))]);
    let guessed = |text: &str| Package { guessed: true, ..package(text) };
    let found = find_in(
        "debian 12",
        vec![guessed("maven junit:junit 3"), guessed("maven guava:guava 20")],
        &[&maven],
    );
    let names: Vec<&str> = found.undetermined.iter().map(|one| one.package.name.as_str()).collect();
    assert_eq!(names, ["guava:guava"]);
}

#[test]
fn a_fix_that_is_no_version_clears_nothing() {
    for (ecosystem, fixed, text) in [
        ("PyPI", "0.2.0-n653", "pypi x 0.1.9"),
        ("Maven", "unreleased", "maven g:x 1.0"),
        ("Maven", "${x}", "maven g:x 1.0"),
        ("AlmaLinux:9", "<unfixed>", "rpm x 1.0-1.el9"),
    ] {
        let name = text.split(' ').nth(1).unwrap();
        let base = ecosystem.split(':').next().unwrap();
        let bytes = segment(base, &[record("X-1", ecosystem, name, fixed, json!({}))]);
        let found = find_in("almalinux 9.3", vec![package(text)], &[&bytes]);
        assert_eq!(ids(&found), ["X-1"], "{ecosystem} {fixed}");
        assert!(found.findings[0].evidence.low_confidence.is_some(), "{ecosystem} {fixed}");
    }
}

#[test]
fn versions_that_only_look_like_some_are_undetermined() {
    for (ecosystem, fixed, text) in [
        ("Packagist", "4.4.50", "composer v/x 4.4.x-dev"),
        ("npm", "2.0.0", "npm x 0.0.0-development"),
        ("PyPI", "2.0", "pypi x 0+unknown"),
        ("Maven", "2.17", "maven g:x dev-1"),
        ("Maven", "2.17", "maven g:x [2.0,3)"),
    ] {
        let mut record = record("X-1", ecosystem, text.split(' ').nth(1).unwrap(), fixed, json!({}));
        record["affected"][0]["ranges"][0]["events"][0] = json!({"introduced": "1.0"});
        let bytes = segment(ecosystem, &[record]);
        let found = find_in("debian 12", vec![package(text)], &[&bytes]);
        assert_eq!(found.undetermined.len(), 1, "{text}: {found:#?}");
    }
}

#[test]
fn a_package_that_was_made_to_harm_needs_no_version() {
    let malicious = json!({"id": "MAL-1", "affected": [{"package": {"ecosystem": "npm", "name": "x"},
        "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}]}]});
    let npm = segment("npm", &[malicious]);
    assert_eq!(ids(&find_in("debian 12", vec![package("npm x latest")], &[&npm])), ["MAL-1"]);
}

#[test]
fn another_package_under_the_name_of_kernel_headers_is_not_set_aside() {
    let debian = segment("Debian", &[record("DSA-1", "Debian:12", "openssl", "9", json!({}))]);
    let hidden = from_source(package("deb linux-x-headers-y 1"), "openssl", "1");
    assert_eq!(ids(&find_in("debian 12", vec![hidden], &[&debian])), ["DSA-1"]);
}

#[test]
fn a_label_on_a_package_of_no_module_changes_nothing() {
    let record = record("ALSA-1", "AlmaLinux:9", "openssl", "3.0.7-1.el9", json!({"related": ["CVE-1"]}));
    let alma = segment("AlmaLinux", &[record]);
    let labelled = of_module("rpm openssl 3.0.1-1.el9", "a:b:1");
    assert_eq!(ids(&find_in("almalinux 9.2", vec![labelled], &[&alma])), ["CVE-1"]);
}

#[test]
fn an_owner_answers_with_records_of_its_own_build_only() {
    let fixed = "1:16.20.0-1.module_el8.7.0+1+a";
    let other = json!({"summary": "Important: nodejs:16 security update", "related": ["CVE-1"]});
    let alma = segment("AlmaLinux", &[record("ALSA-1", "AlmaLinux:8", "nodejs", fixed, other)]);
    let npm = segment("npm", &[record("GHSA-1", "npm", "undici", "5.0.0", json!({"aliases": ["CVE-1"]}))]);
    let owner = of_module("rpm nodejs 1:12.1.0-1.module_el8.3.0+1+b", "nodejs:12:1");
    let undici = Package { owned_by: Some(owner.purl.clone()), ..package("npm undici 4.0.0") };
    let found = find_in("almalinux 8.5", vec![owner, undici], &[&alma, &npm]);
    assert_eq!(found.findings[0].package.name, "undici");
}

#[test]
fn a_guess_stays_one_where_advisories_do_not_know_its_owner() {
    let maven = segment("Maven", &[record("X-1", "Maven", "g:x", "2", json!({}))]);
    let debian = segment("Debian", &[record("DSA-1", "Debian:12", "libx-java", "1", json!({}))]);
    let owned = |owner: &Package| Package {
        guessed: true,
        owned_by: Some(owner.purl.clone()),
        ..package("maven g:x 3")
    };
    let undetermined = |owner: Package| {
        let guessed = owned(&owner);
        find_in("debian 12", vec![owner, guessed], &[&maven, &debian]).undetermined.len()
    };
    assert_eq!(undetermined(package("deb myapp 1")), 1);
    assert_eq!(undetermined(package("deb libx-java 1")), 0);
}

#[test]
fn aliases_count_beside_upstream() {
    let ids_of = |rest: Value| {
        let npm = segment("npm", &[record("GHSA-1", "npm", "x", "2", rest)]);
        let finding = find_in("debian 12", vec![package("npm x 1.0.0")], &[&npm]).findings.remove(0);
        (finding.id, finding.malicious)
    };
    let both = json!({"aliases": ["CVE-2024-5000", "MAL-2024-9"], "upstream": ["GHSA-z"]});
    assert_eq!(ids_of(both), ("CVE-2024-5000".to_owned(), true));
    let several = json!({"aliases": ["MAL-2024-9"], "upstream": ["CVE-1", "CVE-2"]});
    assert!(ids_of(several).1);
}

#[test]
fn findings_beyond_the_limit_leave_the_rest_undetermined() {
    let records: Vec<Value> =
        (0..300).map(|n| record(&format!("X-{n}"), "npm", "x", "9", json!({}))).collect();
    let npm = segment("npm", &records);
    let packages = (0..200).map(|n| package(&format!("npm x 1.0.{n}"))).collect();
    let found = find_in("debian 12", packages, &[&npm]);
    assert!(found.findings.len() < MAX_FINDINGS + 300);
    assert!(found.undetermined[0].cause.contains("limit `findings of a platform`"));
}
