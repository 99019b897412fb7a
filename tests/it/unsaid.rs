//! What an SBOM document does not say of a package: matching leaves it undetermined and never clean. Each document
//! here names a package that a record affects, and leaves out or blurs one thing by which the record is found.

use std::collections::BTreeMap;

use portcullis::model::fact::Fact;
use portcullis::model::finding::Findings;
use portcullis::osv::segment::Segment;
use portcullis::osv::segment::build::{Builder, Compiled};
use portcullis::osv::{Advisories, find};
use portcullis::sbom::read;
use serde_json::{Value, json};

/// A record about one package: fixed in 9, introduced in 1 or at the start.
fn record(ecosystem: &str, name: &str, introduced: &str, fixed: &str) -> Value {
    json!({"id": "TEST-1", "modified": "2026-01-01T00:00:00Z", "affected": [{
        "package": {"ecosystem": ecosystem, "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": introduced}, {"fixed": fixed}]}],
    }]})
}

/// A CycloneDX document of a tool.
fn document(tool: &str, components: &Value) -> Value {
    json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "components": components,
        "metadata": {"tools": {"components": [{"type": "application", "name": tool}]}}})
}

fn system(id: &str, version: &str) -> Value {
    json!({"type": "operating-system", "name": id, "version": version})
}

fn library(name: &str, version: &str, purl: &str) -> Value {
    json!({"type": "library", "name": name, "version": version, "purl": purl})
}

fn matched(document: &Value, record: &Value) -> Findings {
    let stated = record["affected"][0]["package"]["ecosystem"].as_str().unwrap();
    let base = stated.split(':').next().unwrap();
    let mut builder = Builder::new(base);
    builder.add("test", Compiled::read(base, &serde_json::to_vec(record).unwrap()));
    let bytes = builder.finish().unwrap();
    let segment = Segment::open(&bytes).unwrap();
    assert_eq!(segment.meta().unreadable, 0);
    let bytes = serde_json::to_vec(document).unwrap();
    let read = read::read(&bytes, &"bom.json".into()).unwrap();
    let advisories = Advisories(BTreeMap::from([(base.to_owned(), Fact::Known(segment))]));
    find(&"linux/amd64".parse().unwrap(), &read.inventory, &advisories)
}

/// Raised, or undetermined: anything but clean.
fn is_not_clean(document: &Value, record: &Value) {
    let findings = matched(document, record);
    let said = !findings.findings.is_empty() || !findings.undetermined.is_empty();
    assert!(said, "taken for clean: {document:#}");
}

fn is_undetermined(document: &Value, record: &Value) {
    let findings = matched(document, record);
    assert!(!findings.undetermined.is_empty(), "{findings:#?} of {document:#}");
}

#[test]
fn a_whole_document_gives_its_finding() {
    let record = record("Debian:12", "openssl", "0", "3.0.11-1");
    for tool in ["syft", "trivy", "another"] {
        let openssl = library(
            "libssl3",
            "3.0.9-1",
            "pkg:deb/debian/libssl3@3.0.9-1?arch=amd64&distro=debian-12&upstream=openssl",
        );
        let findings = matched(&document(tool, &json!([system("debian", "12"), openssl])), &record);
        assert_eq!(findings.findings.len(), 1, "{tool}");
        assert_eq!(findings.undetermined, [], "{tool}");
    }
}

#[test]
fn no_release_of_the_distribution_is_undetermined() {
    for (system, purl, record) in [
        (None, "pkg:deb/debian/zlib1g@1.2?upstream=zlib", record("Debian:12", "zlib", "0", "1.3")),
        (
            Some(system("debian", "")),
            "pkg:deb/debian/zlib1g@1.2?upstream=zlib",
            record("Debian:12", "zlib", "0", "1.3"),
        ),
        (
            Some(system("alpine", "")),
            "pkg:apk/alpine/zlib@1.2-r0?upstream=zlib",
            record("Alpine:v3.20", "zlib", "0", "1.3-r0"),
        ),
        (
            Some(system("alpine", "3")),
            "pkg:apk/alpine/zlib@1.2-r0?upstream=zlib",
            record("Alpine:v3.20", "zlib", "0", "1.3-r0"),
        ),
        (
            None,
            "pkg:rpm/almalinux/zlib@1.2-3?upstream=zlib-1.2-3.src.rpm",
            record("AlmaLinux:9", "zlib", "0", "1.3-1"),
        ),
    ] {
        let zlib = json!({"type": "library", "name": purl.split(['/', '@']).nth(2), "purl": purl});
        let components: Vec<Value> = system.into_iter().chain([zlib]).collect();
        is_undetermined(&document("syft", &json!(components)), &record);
    }
}

#[test]
fn no_source_package_is_undetermined() {
    let record = record("Debian:12", "openssl", "0", "3.0.11-1");
    let openssl = library("libssl3", "3.0.9-1", "pkg:deb/debian/libssl3@3.0.9-1?distro=debian-12");
    for tool in ["trivy", "another", ""] {
        is_undetermined(&document(tool, &json!([system("debian", "12"), openssl])), &record);
    }
}

#[test]
fn an_epoch_that_may_have_been_lost_is_undetermined() {
    let record = record("AlmaLinux:9", "openssl-libs", "0", "1:3.0.7-27.el9");
    let openssl = library(
        "openssl-libs",
        "3.0.7-28.el9",
        "pkg:rpm/almalinux/openssl-libs@3.0.7-28.el9?distro=almalinux-9.4&upstream=openssl-3.0.7-28.el9.src.rpm",
    );
    is_undetermined(&document("another", &json!([system("almalinux", "9.4"), openssl])), &record);
}

/// Attack: a word in place of a version that the order of Maven, or RPM's, puts below every number.
#[test]
fn a_word_for_an_unknown_version_is_no_version() {
    for word in ["UNKNOWN", "unknown", "NOASSERTION", "null", "none", "*", "latest", "${project.version}"] {
        let log4j = json!({"type": "library", "group": "org.apache.logging.log4j", "name": "log4j-core",
            "version": word, "purl": format!("pkg:maven/org.apache.logging.log4j/log4j-core@{}",
                word.replace('$', "%24").replace('{', "%7B").replace('}', "%7D").replace('*', "%2A"))});
        let record = record("Maven", "org.apache.logging.log4j:log4j-core", "2.0-beta9", "2.15.0");
        is_not_clean(&document("syft", &json!([log4j])), &record);
        let record = self::record("AlmaLinux:9", "zlib", "1.0-1", "1.3-1");
        let purl = format!(
            "pkg:rpm/almalinux/zlib@{}?upstream=zlib-1.2-3.src.rpm&epoch=0",
            word.replace('$', "%24").replace('{', "%7B").replace('}', "%7D").replace('*', "%2A")
        );
        let zlib = library("zlib", word, &purl);
        is_not_clean(&document("syft", &json!([system("almalinux", "9.4"), zlib])), &record);
    }
}

/// Tools write purls of npm and Go in lower case, as older rules demanded; the records' names have their own case.
#[test]
fn a_name_whose_case_the_purl_lost_is_still_found() {
    for (ecosystem, name, purl) in [
        ("npm", "JSONStream", "pkg:npm/jsonstream@1.0.0"),
        ("Go", "github.com/Azure/go-autorest", "pkg:golang/github.com/azure/go-autorest@v1.0.0"),
        ("Go", "github.com/BurntSushi/toml", "pkg:golang/github.com/burntsushi/toml@v1.0.0"),
    ] {
        let record = record(ecosystem, name, "0", "2.0.0");
        let version = purl.rsplit_once('@').unwrap().1;
        for tool in ["syft", "trivy", "another"] {
            is_not_clean(&document(tool, &json!([library(name, version, purl)])), &record);
        }
        let spdx = json!({"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "x",
            "creationInfo": {"creators": ["Tool: syft-1.18.1"]},
            "packages": [{"SPDXID": "SPDXRef-a", "name": name, "versionInfo": version,
                "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                    "referenceLocator": purl}]}]});
        is_not_clean(&spdx, &record);
    }
}

/// Which content sets are enabled stands in no document: the records of all of them count.
#[test]
fn a_release_without_its_content_sets_is_not_clean() {
    let openssl = library(
        "openssl-libs",
        "1:3.0.7-1.el9",
        "pkg:rpm/redhat/openssl-libs@3.0.7-1.el9?epoch=1&distro=rhel-9.4&upstream=openssl-3.0.7-1.el9.src.rpm",
    );
    let record = record("Red Hat:enterprise_linux:9::appstream", "openssl-libs", "0", "1:3.0.7-27.el9");
    is_not_clean(&document("syft", &json!([system("rhel", "9.4"), openssl])), &record);
}

/// Of which stream a module's package is no document of another tool need state. The fix of the package's own stream is
/// among those of all streams: a match with any of them is raised, and says that it may be of another.
#[test]
fn a_module_without_its_stream_is_not_clean() {
    let version = "1:16.18.1-3.module_el8.7.0+3370+8df66cd5";
    let purl = format!(
        "pkg:rpm/almalinux/nodejs@{}?epoch=1&distro=almalinux-8.7&upstream=nodejs-{}.src.rpm",
        version.trim_start_matches("1:").replace('+', "%2B"),
        version.trim_start_matches("1:").replace('+', "%2B"),
    );
    let record = record("AlmaLinux:8", "nodejs", "0", "1:18.14.2-2.module_el8.7.0+3497+cbd3fce8");
    let components = json!([system("almalinux", "8.7"), library("nodejs", version, &purl)]);
    let findings = matched(&document("syft", &components), &record);
    let doubts = findings.findings.iter().filter_map(|finding| finding.evidence.low_confidence.as_ref());
    assert!(doubts.count() > 0 || !findings.undetermined.is_empty(), "{findings:#?}");
}

/// Syft takes an artifact's name for its group where a jar does not state one.
#[test]
fn a_group_that_was_guessed_is_not_clean() {
    let record = record("Maven", "com.google.guava:guava", "0", "32.0.0");
    for purl in ["pkg:maven/guava/guava@20.0", "pkg:maven/guava@20.0"] {
        is_not_clean(&document("syft", &json!([library("guava", "20.0", purl)])), &record);
    }
}

/// Attack: the package in the one place of a document where no package is looked for.
#[test]
fn what_a_document_is_about_is_a_package_too() {
    let record = record("npm", "a", "0", "2.0.0");
    let mut about = document("another", &json!([]));
    about["metadata"]["component"] =
        json!({"type": "application", "name": "a", "version": "1.0.0", "purl": "pkg:npm/a@1.0.0"});
    is_not_clean(&about, &record);
}

/// Attack: two purls in one SPDX package, of which a reader takes the first.
#[test]
fn every_purl_of_a_package_counts() {
    let record = record("npm", "a", "0", "2.0.0");
    let purl = |purl: &str| json!({"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl});
    let document = json!({"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "x",
        "dataLicense": "CC0-1.0", "documentNamespace": "https://example.org/x",
        "creationInfo": {"created": "2026-01-01T00:00:00Z", "creators": ["Tool: another"]},
        "packages": [{"SPDXID": "SPDXRef-a", "name": "zz", "versionInfo": "1.0.0", "downloadLocation": "NOASSERTION",
            "externalRefs": [purl("pkg:npm/zz@1.0.0"), purl("pkg:npm/a@1.0.0")]}]});
    is_not_clean(&document, &record);
}

/// Attack: the rest of a Go module's path in the purl's subpath, so that another module is looked up.
#[test]
fn a_go_module_is_looked_up_by_its_whole_path() {
    let record = record("Go", "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", "0", "0.44.0");
    let purl = "pkg:golang/go.opentelemetry.io/contrib/instrumentation@v0.40.0#net/http/otelhttp";
    let name = "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp";
    let findings = matched(&document("syft", &json!([library(name, "v0.40.0", purl)])), &record);
    assert_eq!(findings.findings.len(), 1, "{findings:#?}");
}
