//! Real advisories against real and built images. What is expected of the application was chosen from a run
//! and then held against the records; the rest was read from the records first.

use std::collections::BTreeSet;
use std::path::Path;

use portcullis::gate::{Request, Supplements, gather, open_snapshot};
use portcullis::image::limits::Limits;
use portcullis::model::evidence::Evidence;
use portcullis::model::fact::Fact;
use portcullis::model::finding::{Finding, Findings};

use crate::support::image::{image, layer, single};
use crate::support::{Quiet, osv_corpus, shared};

fn scan(location: &str, corpus: &Path) -> Evidence {
    let cache = tempfile::tempdir().unwrap();
    let snapshot = open_snapshot(corpus, cache.path(), "2026-11-27T00:00:00Z".parse().unwrap());
    let request = Request {
        location: &location.parse().unwrap(),
        platform: None,
        stands_for: None,
        registry: None,
        snapshot: &snapshot,
        supplements: &Supplements::default(),
        limits: &Limits::default(),
        cache: None,
    };
    gather(&request, jiff::Timestamp::MAX, None, &Quiet).unwrap()
}

fn findings(evidence: &Evidence) -> &Findings {
    match &evidence.platforms.known().unwrap()[0].findings {
        Fact::Known(findings) => findings,
        other @ (Fact::Absent | Fact::Unknown(_)) => panic!("no findings: {other:?}"),
    }
}

/// `ID PACKAGE VERSION -> FIX`.
fn line(finding: &Finding) -> String {
    let fixed = finding.fixed.first().map_or("none", String::as_str);
    format!("{} {} {} -> {fixed}", finding.id, finding.package.name, finding.package.version)
}

fn lines(findings: &Findings) -> BTreeSet<String> {
    findings.findings.iter().map(line).collect()
}

fn contains(found: &BTreeSet<String>, wanted: &[&str]) {
    for line in wanted {
        assert!(found.contains(*line), "{line} is missing: {found:#?}");
    }
}

fn names_none(findings: &Findings, id: &str, package: &str) {
    let named = |finding: &Finding| {
        finding.package.name == package
            && (finding.id == id || finding.aliases.iter().any(|alias| alias == id))
    };
    assert!(!findings.findings.iter().any(named), "{id} does not apply to {package}");
}

#[test]
fn the_application_has_the_advisories_of_its_python_and_node_packages() {
    let (Some(data), Some(corpus)) = (shared("data"), osv_corpus()) else { return };
    let evidence = scan(&format!("oci:{}", data.join("images/app-multi").display()), &corpus);
    let findings = findings(&evidence);
    let found = lines(findings);
    contains(&found, APP_MULTI);
    for (id, package) in NOT_APP_MULTI {
        names_none(findings, id, package);
    }
    // Alpine v3.14 has no record in the corpus: its packages are undetermined, and the cause says so.
    let alpine: Vec<_> = findings.undetermined.iter().filter(|one| one.package.kind == "apk").collect();
    assert_eq!(alpine.len(), 11);
    assert!(alpine.iter().all(|one| one.cause == "the snapshot has no advisories for Alpine:v3.14"));
    assert!(!findings.findings.iter().any(|finding| finding.package.kind == "apk"));
}

/// Ten of its findings and more, chosen from a run, each then checked by hand against its record.
const APP_MULTI: &[&str] = &[
    // npm: one range, the second of several ranges, a scope, a record without a CVE.
    "CVE-2019-10742 axios 0.18.0 -> 0.18.1",
    "CVE-2022-24999 qs 6.5.1 -> 6.5.3",
    "CVE-2023-45133 @babel/traverse 7.20.0 -> 7.23.2",
    "GHSA-2pr6-76vf-7546 js-yaml 3.12.0 -> 3.13.0",
    "CVE-2019-19919 handlebars 4.0.11 -> 4.3.0",
    // PyPI: `introduced` equal to the version, several branches in one range, a pre-release as the fix,
    // a version that is a date, a package that another layer upgraded.
    "CVE-2019-19118 Django 2.2 -> 2.2.8",
    "CVE-2021-33203 Django 2.2 -> 2.2.24",
    "CVE-2019-20477 PyYAML 5.1 -> 5.2b1",
    "CVE-2022-23491 certifi 2018.10.15 -> 2022.12.7",
    "CVE-2024-35195 requests 2.31.0 -> 2.32.0",
    "CVE-2019-11324 urllib3 1.24 -> 1.24.2",
    "CVE-2019-14806 Werkzeug 0.14.1 -> 0.15.3",
];

/// What does not apply to it, although the package is named in the advisory.
const NOT_APP_MULTI: &[(&str, &str)] = &[
    // The fix itself; the layer below had 2.20.
    ("CVE-2023-32681", "requests"),
    ("CVE-2018-18074", "requests"),
    // Only later versions are affected.
    ("CVE-2025-47278", "Flask"),
    ("CVE-2024-49767", "Werkzeug"),
    // Removed by a later layer, though two lockfiles still name it.
    ("CVE-2021-23337", "lodash"),
    // 1.2.8 is behind both branches' fixes; 0.0.8 was removed.
    ("CVE-2021-44906", "minimist"),
    // 2.6.9 and 4.4.3 are the fixes of two of its four branches, or behind them.
    ("CVE-2017-16137", "debug"),
];

fn alpine_block((name, version, origin): &(&str, &str, &str)) -> String {
    format!("P:{name}\nV:{version}\nA:x86_64\no:{origin}\nL:MIT\n\n")
}

fn alpine(release: &str, packages: &[(&str, &str, &str)], corpus: &Path) -> Evidence {
    let place = tempfile::tempdir().unwrap();
    let database: String = packages.iter().map(alpine_block).collect();
    let base = layer("ADD rootfs")
        .file("etc/os-release", format!("ID=alpine\nVERSION_ID={release}\n"))
        .file("lib/apk/db/installed", database);
    single(place.path(), image("linux/amd64").layer(base));
    scan(&format!("oci:{}", place.path().display()), corpus)
}

#[test]
fn alpine_packages_are_compared_by_their_origin() {
    let Some(corpus) = osv_corpus() else { return };
    let evidence = alpine(
        "3.16.0",
        &[
            // zlib 1.2.11-r3 is before the fix of CVE-2018-25032, 1.2.11-r4.
            ("zlib", "1.2.11-r3", "zlib"),
            // libcrypto1.1 is of the origin openssl: CVE-2022-0778 was fixed in 1.1.1n-r0.
            ("libcrypto1.1", "1.1.1m-r4", "openssl"),
            // expat 2.4.5-r0 is the fix itself, and busybox 1.35.0-r17 is behind all of them.
            ("expat", "2.4.5-r0", "expat"),
            ("busybox", "1.35.0-r17", "busybox"),
        ],
        &corpus,
    );
    let findings = findings(&evidence);
    let found = lines(findings);
    contains(
        &found,
        &["CVE-2018-25032 zlib 1.2.11-r3 -> 1.2.11-r4", "CVE-2022-0778 libcrypto1.1 1.1.1m-r4 -> 1.1.1n-r0"],
    );
    assert_eq!(found.len(), 2, "{found:#?}");
    assert_eq!(findings.undetermined, []);
    names_none(findings, "CVE-2022-25313", "expat");
    names_none(findings, "CVE-2022-28391", "busybox");
    names_none(findings, "CVE-2021-3711", "libcrypto1.1");
}

#[test]
fn each_release_of_alpine_has_its_own_fixes() {
    let Some(corpus) = osv_corpus() else { return };
    let musl = |release, version| {
        let evidence = alpine(release, &[("musl", version, "musl")], &corpus);
        lines(findings(&evidence))
    };
    // CVE-2019-14697: fixed in 1.1.22-r3 of v3.10.
    contains(&musl("3.10.9", "1.1.22-r2"), &["CVE-2019-14697 musl 1.1.22-r2 -> 1.1.22-r3"]);
    assert_eq!(musl("3.10.9", "1.1.22-r3"), BTreeSet::new());
    // v3.16 has it fixed in 1.1.23-r2, and CVE-2020-28928 in 1.2.2_pre2-r0, which is before 1.2.2-r0.
    contains(&musl("3.16.0", "1.2.1-r0"), &["CVE-2020-28928 musl 1.2.1-r0 -> 1.2.2_pre2-r0"]);
    assert_eq!(musl("3.16.0", "1.2.2-r0"), BTreeSet::new());
}

fn debian(release: &str, status: &str, corpus: &Path) -> Evidence {
    let place = tempfile::tempdir().unwrap();
    let base = layer("ADD rootfs")
        .file("etc/os-release", format!("ID=debian\nVERSION_ID=\"{release}\"\n"))
        .file("var/lib/dpkg/status", status);
    single(place.path(), image("linux/amd64").layer(base));
    scan(&format!("oci:{}", place.path().display()), corpus)
}

#[test]
fn debian_packages_are_compared_by_their_source_and_its_version() {
    let Some(corpus) = osv_corpus() else { return };
    let status = "\
Package: zlib1g
Status: install ok installed
Architecture: amd64
Source: zlib
Version: 1:1.2.11.dfsg-2

Package: libssl1.1
Status: install ok installed
Architecture: amd64
Source: openssl
Version: 1.1.1n-0+deb11u3

Package: libxml2
Status: install ok installed
Architecture: amd64
Source: libxml2 (2.9.10+dfsg-6.7+deb11u3)
Version: 2.9.10+dfsg-6.7+deb11u3+b1

Package: curl
Status: deinstall ok config-files
Architecture: amd64
Version: 7.74.0-1.3
";
    let evidence = debian("11", status, &corpus);
    let findings = findings(&evidence);
    let found = lines(findings);
    contains(
        &found,
        &[
            "CVE-2018-25032 zlib1g 1:1.2.11.dfsg-2 -> 1:1.2.11.dfsg-2+deb11u1",
            "CVE-2022-37434 zlib1g 1:1.2.11.dfsg-2 -> 1:1.2.11.dfsg-2+deb11u2",
            "CVE-2023-0286 libssl1.1 1.1.1n-0+deb11u3 -> 1.1.1n-0+deb11u4",
        ],
    );
    names_none(findings, "CVE-2022-2068", "libssl1.1");
    names_none(findings, "CVE-2022-40303", "libxml2");
    assert!(!findings.findings.iter().any(|finding| finding.package.name == "curl"), "it was removed");
    assert_eq!(findings.undetermined, []);
    let zlib = findings.findings.iter().find(|finding| finding.id == "CVE-2018-25032").unwrap();
    assert_eq!(
        (zlib.evidence.record.as_str(), zlib.evidence.ecosystem.as_str()),
        ("DSA-5111-1", "Debian:11")
    );
}

#[test]
fn each_release_of_debian_has_its_own_fixes() {
    let Some(corpus) = osv_corpus() else { return };
    let zlib = |release, version| {
        let status = format!(
            "Package: zlib1g\nStatus: install ok installed\nSource: zlib\nArchitecture: amd64\nVersion: {version}\n"
        );
        lines(findings(&debian(release, &status, &corpus)))
    };
    assert_eq!(
        zlib("10", "1:1.2.11.dfsg-1+deb10u1"),
        BTreeSet::from([
            "CVE-2022-37434 zlib1g 1:1.2.11.dfsg-1+deb10u1 -> 1:1.2.11.dfsg-1+deb10u2".to_owned()
        ])
    );
    assert_eq!(zlib("10", "1:1.2.11.dfsg-1+deb10u2"), BTreeSet::new());
    // The same version is before every fix of Debian 11.
    assert_eq!(zlib("11", "1:1.2.11.dfsg-1+deb10u2").len(), 2);
}
