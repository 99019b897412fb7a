use serde_json::{Value, json};

use super::*;
use crate::model::evidence::Evidence;
use crate::model::finding::Finding;
use crate::model::fixture::{IMAGE_DIGEST, evidence, finding};
use crate::model::vex::VexReport;

mod bom;
mod hung;
mod properties;

const CVE: &str = "CVE-2026-1";
const OPENSSL: &str = "pkg:deb/debian/openssl@3.0.11-1";

/// The time of evaluation and what clocks may differ.
fn latest() -> Timestamp {
    "2026-12-01T00:00:00Z".parse().unwrap()
}

fn document(value: &Value) -> Document {
    read(&serde_json::to_vec(value).unwrap(), "a.json").unwrap()
}

fn openvex(statements: &Value) -> Value {
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/vex/1", "author": "Acme",
        "timestamp": "2026-01-01T00:00:00Z", "version": 1, "statements": statements,
    })
}

/// A statement that sets aside.
fn cleared(product: &Value) -> Value {
    json!({
        "vulnerability": {"name": CVE}, "products": [product], "status": "not_affected",
        "justification": "vulnerable_code_not_in_execute_path",
    })
}

fn image() -> Value {
    json!({"@id": format!("pkg:oci/app@{}", IMAGE_DIGEST.replace(':', "%3A"))})
}

fn openssl_in(mut product: Value) -> Value {
    product["subcomponents"] = json!([{"@id": OPENSSL}]);
    product
}

/// What became of one finding under the documents.
fn applied(change: impl FnOnce(&mut Finding), documents: &[Value]) -> Evidence {
    let mut evidence = evidence();
    let mut one = finding(CVE);
    change(&mut one);
    evidence.platforms_mut()[0].findings_mut().findings.push(one);
    let documents: Vec<Document> = documents.iter().map(document).collect();
    apply(&mut evidence, &documents, latest());
    evidence
}

fn is_set_aside(evidence: &mut Evidence) -> bool {
    let findings = evidence.platforms_mut()[0].findings_mut();
    assert_eq!(findings.findings.len() + findings.suppressed.len(), 1, "nothing is lost");
    findings.suppressed.iter().any(|suppressed| suppressed.reason == "vex")
}

fn aside(statement: Value) -> bool {
    is_set_aside(&mut applied(|_| {}, &[openvex(&json!([statement]))]))
}

fn reasons(outcomes: &[VexOutcome]) -> Vec<&str> {
    outcomes.iter().filter_map(|outcome| outcome.reason.as_deref()).collect()
}

/// Why a statement about the finding was not applied.
fn refusal(statement: Value) -> String {
    let mut evidence = applied(|_| {}, &[openvex(&json!([statement]))]);
    assert!(!is_set_aside(&mut evidence));
    let refused = reasons(&evidence.vex.refused);
    assert_eq!(refused.len(), 1, "{:?}", evidence.vex);
    refused[0].to_owned()
}

/// The numbers of used, unused and refused statements.
fn counts(report: &VexReport) -> [usize; 3] {
    [report.used.len(), report.unused.len(), report.refused.len()]
}

#[test]
fn a_statement_about_the_package_sets_its_finding_aside_with_the_evidence() {
    let mut evidence = applied(|_| {}, &[openvex(&json!([cleared(&json!({"@id": OPENSSL}))]))]);
    assert!(is_set_aside(&mut evidence));
    let suppressed = evidence.platforms_mut()[0].findings_mut().suppressed[0].clone();
    assert_eq!(
        suppressed.detail,
        "Acme states `not_affected` of pkg:deb/debian/openssl@3.0.11-1: \
         vulnerable_code_not_in_execute_path (a.json)"
    );
    let stated = &suppressed.finding.vex[0];
    assert_eq!((stated.statement.as_str(), stated.vulnerability.as_str()), ("statements[0]", CVE));
    assert_eq!(stated.timestamp.as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(stated.digest, evidence.vex.documents[0].digest);
    assert_eq!(counts(&evidence.vex), [1, 0, 0]);
    assert_eq!(evidence.vex.used[0].findings, [format!("{CVE} in {OPENSSL}?arch=amd64 (linux/amd64)")]);
}

#[test]
fn any_id_of_the_finding_may_be_named() {
    let named = |vulnerability: Value| {
        let mut statement = cleared(&json!({"@id": OPENSSL}));
        statement["vulnerability"] = vulnerability;
        aside(statement)
    };
    assert!(named(json!({"name": "cve-2026-1"})));
    assert!(named(json!({"name": "DSA-CVE-2026-1"})));
    assert!(named(json!({"name": "SNYK-1", "aliases": ["CVE-2026-1"]})));
    assert!(named(json!("CVE-2026-1")), "as 0.0.1 has it");
    assert!(!named(json!({"name": "CVE-2026-10"})));
    assert!(!named(json!({"name": "SNYK-1", "aliases": []})));
}

#[test]
fn purls_match_by_their_parts_and_only_narrow() {
    for (purl, want) in [
        ("pkg:deb/debian/openssl", true),
        ("pkg:deb/Debian/OpenSSL@3.0.11-1", true),
        ("pkg:deb/debian/openssl@3.0.11-1?arch=amd64", true),
        ("pkg:deb/debian/openssl@3.0.11-1?arch=arm64", false),
        ("pkg:deb/debian/openssl?distro=debian-12", false),
        ("pkg:deb/debian/openssl@3.0.11", false),
        ("pkg:deb/debian/openssl@3.0.11-1#usr/lib", false),
        ("pkg:deb/ubuntu/openssl@3.0.11-1", false),
        ("pkg:deb/openssl@3.0.11-1", false),
        ("pkg:apk/debian/openssl@3.0.11-1", false),
        ("pkg:deb/debian/libssl3", false),
    ] {
        assert_eq!(aside(cleared(&json!({"@id": purl}))), want, "{purl}");
        assert_eq!(aside(cleared(&json!({"identifiers": {"purl": purl}}))), want, "{purl}");
    }
    // Two identifiers that disagree are not certain.
    let both = json!({"@id": OPENSSL, "identifiers": {"purl": "pkg:deb/debian/zlib1g"}});
    assert!(!aside(cleared(&both)));
}

#[test]
fn the_epoch_of_an_rpm_is_a_part_of_its_version() {
    let rpm = |stated: &str| {
        let change = |finding: &mut Finding| {
            finding.package.purl = "pkg:rpm/rocky/openssl@3.0.7-27?epoch=1".parse().unwrap();
        };
        is_set_aside(&mut applied(change, &[openvex(&json!([cleared(&json!({"@id": stated}))]))]))
    };
    assert!(rpm("pkg:rpm/rocky/openssl@3.0.7-27?epoch=1"));
    assert!(rpm("pkg:rpm/rocky/openssl"));
    assert!(!rpm("pkg:rpm/rocky/openssl@3.0.7-27"));
}

#[test]
fn an_image_is_named_by_its_digest() {
    let manifest = Digest::sha256(b"linux/amd64").to_string();
    let other = Digest::sha256(b"another").to_string();
    let oci = |digest: &str, rest: &str| json!({"@id": format!("pkg:oci/app@{}{rest}", digest.replace(':', "%3A"))});
    let hex = IMAGE_DIGEST.strip_prefix("sha256:").unwrap();
    for (product, want) in [
        (image(), true),
        (oci(&manifest, "?repository_url=ghcr.io/acme/app&arch=amd64&tag=v1"), true),
        (oci(&manifest, "?arch=arm64"), false),
        (oci(&other, ""), false),
        (json!({"@id": format!("ghcr.io/acme/app@{IMAGE_DIGEST}")}), true),
        (json!({"@id": format!("oci://ghcr.io/acme/app:v1@{IMAGE_DIGEST}")}), true),
        (json!({"@id": format!("ghcr.io/acme/app@{other}")}), false),
        (json!({"hashes": {"sha-256": hex}}), true),
        (json!({"hashes": {"sha-256": hex.to_uppercase()}}), true),
        (json!({"@id": "https://acme.example/app", "hashes": {"sha-256": hex}}), true),
        (json!({"hashes": {"md5": "d41d8cd98f00b204e9800998ecf8427e"}}), false),
    ] {
        assert_eq!(aside(cleared(&product)), want, "{product}");
        assert_eq!(aside(cleared(&openssl_in(product.clone()))), want, "{product}");
    }
    let mut zlib = image();
    zlib["subcomponents"] = json!([{"@id": "pkg:deb/debian/zlib1g"}]);
    assert!(!aside(cleared(&zlib)));
}

#[test]
fn an_image_by_name_or_tag_is_not_certain() {
    for id in ["pkg:oci/app?repository_url=ghcr.io/acme/app&tag=v1.2.3", "pkg:docker/acme/app@v1.2.3"] {
        for product in [json!({"@id": id}), openssl_in(json!({"@id": id}))] {
            assert!(refusal(cleared(&product)).contains("names an image without its digest"), "{product}");
        }
    }
    assert!(
        refusal(cleared(&json!({"@id": "https://acme.example/app"}))).contains("names neither a package")
    );
    assert!(refusal(cleared(&json!({"@id": "ghcr.io/acme/app:v1.2.3"}))).contains("names neither a package"));
    assert!(refusal(cleared(&json!({"@id": "pkg:deb"}))).contains("invalid package url"));
    let odd = json!({"@id": format!("pkg:oci/app@{IMAGE_DIGEST}?flavour=x")});
    assert!(refusal(cleared(&odd)).contains("`flavour`"));
}

#[test]
fn a_part_of_another_package_is_not_the_part_of_this_image() {
    let inside = |carrier: &'static str, stated: &str| {
        let statement = cleared(&openssl_in(json!({"@id": stated})));
        let change = |finding: &mut Finding| finding.vendored_in = Some(carrier.to_owned());
        applied(change, &[openvex(&json!([statement]))])
    };
    assert!(is_set_aside(&mut inside("pkg:pypi/pip@24.0", "pkg:pypi/pip@24.0")));
    let mut other = inside("opt/x", "pkg:pypi/pip@24.0");
    assert!(!is_set_aside(&mut other));
    assert!(reasons(&other.vex.refused)[0].contains("inside of `pkg:pypi/pip@24.0`"));
}

#[test]
fn a_fix_is_in_a_version() {
    let fixed =
        |product: &Value| json!({"vulnerability": {"name": CVE}, "products": [product], "status": "fixed"});
    assert!(aside(fixed(&json!({"@id": OPENSSL}))));
    assert!(aside(fixed(&image())));
    assert!(refusal(fixed(&json!({"@id": "pkg:deb/debian/openssl"}))).contains("of any version"));
}

#[test]
fn not_affected_must_say_why() {
    let said = |key: &str, value: &str| {
        let mut statement = cleared(&json!({"@id": OPENSSL}));
        statement.as_object_mut().unwrap().remove("justification");
        statement[key] = json!(value);
        statement
    };
    assert!(aside(said("impact_statement", "the parser is not linked")));
    assert!(refusal(said("justification", "trust_me")).contains("`trust_me` is no justification"));
    for (key, value) in [("status_notes", "x"), ("impact_statement", "  "), ("justification", "")] {
        assert!(refusal(said(key, value)).contains("without a justification"), "{key}");
    }
}

#[test]
fn a_component_that_was_found_is_not_absent() {
    let absent = |product: &Value| {
        let mut statement = cleared(product);
        statement["justification"] = json!("component_not_present");
        statement
    };
    for product in [openssl_in(image()), image(), json!({"@id": OPENSSL})] {
        assert!(refusal(absent(&product)).contains("openssl is in the image"), "{product}");
    }
    // Where it keeps the finding it need not be right.
    let mut kept = absent(&json!({"@id": OPENSSL}));
    kept["status"] = json!("affected");
    assert_eq!(counts(&applied(|_| {}, &[openvex(&json!([kept]))]).vex), [1, 0, 0]);
}

#[test]
fn unsound_statements_are_refused_one_by_one() {
    let with = |key: &str, value: Value| {
        let mut statement = cleared(&json!({"@id": OPENSSL}));
        statement[key] = value;
        statement
    };
    for (statement, want) in [
        (with("status", json!("ignored")), "no status of OpenVEX"),
        (with("vulnerability", json!({})), "names no vulnerability"),
        (with("vulnerability", json!({"name": 7})), "cannot be read"),
        (with("products", json!([])), "names no product"),
        (with("timestamp", json!("yesterday")), "no time as in RFC 3339"),
        (with("products", json!([{}])), "no identifier"),
    ] {
        assert!(refusal(statement.clone()).contains(want), "{statement}");
    }
    let good = cleared(&json!({"@id": OPENSSL}));
    let mut evidence = applied(|_| {}, &[openvex(&json!([7, good]))]);
    assert!(is_set_aside(&mut evidence), "a sound statement stands beside it");
    assert_eq!((counts(&evidence.vex), evidence.vex.documents[0].statements), ([1, 0, 1], 2));
}

#[test]
fn a_statement_that_keeps_a_finding_stands_at_it() {
    for status in ["affected", "under_investigation"] {
        let statement = json!({
            "vulnerability": {"name": CVE}, "products": [{"@id": OPENSSL}], "status": status,
            "action_statement": "upgrade",
        });
        let mut evidence = applied(|_| {}, &[openvex(&json!([statement]))]);
        assert!(!is_set_aside(&mut evidence));
        let stated = &evidence.platforms_mut()[0].findings_mut().findings[0].vex;
        assert_eq!((stated[0].stated.as_str(), stated[0].action.as_deref()), (status, Some("upgrade")));
        assert_eq!(counts(&evidence.vex), [1, 0, 0]);
    }
}

#[test]
fn the_later_statement_counts_whatever_document_it_is_in() {
    let at = |time: &str, status: &str| {
        let mut statement = cleared(&json!({"@id": OPENSSL}));
        statement["status"] = json!(status);
        statement["timestamp"] = json!(time);
        statement
    };
    let (old, new) = ("2026-02-01T00:00:00+02:00", "2026-02-01T00:00:00Z");
    for (first, second, want) in [
        (at(old, "affected"), at(new, "not_affected"), true),
        (at(new, "affected"), at(old, "not_affected"), false),
        // Of one time: the stricter.
        (at(new, "affected"), at(new, "not_affected"), false),
        (at(new, "under_investigation"), at(new, "fixed"), false),
    ] {
        for documents in [
            vec![openvex(&json!([first.clone(), second.clone()]))],
            vec![openvex(&json!([second])), openvex(&json!([first]))],
        ] {
            let mut evidence = applied(|_| {}, &documents);
            assert_eq!(is_set_aside(&mut evidence), want, "{documents:?}");
            assert_eq!(counts(&evidence.vex), [1, 1, 0]);
            assert_eq!(reasons(&evidence.vex.unused), ["a nearer or later statement is in its place"]);
        }
    }
    let mut updated = at("2026-01-01T00:00:00Z", "affected");
    updated["last_updated"] = json!("2026-03-01T00:00:00Z");
    assert!(!is_set_aside(&mut applied(|_| {}, &[openvex(&json!([updated, at(new, "not_affected")]))])));
}

#[test]
fn a_statement_of_the_future_sets_nothing_aside() {
    let at = |time: &str, status: &str| {
        let mut statement = cleared(&json!({"@id": OPENSSL}));
        statement["status"] = json!(status);
        statement["timestamp"] = json!(time);
        statement
    };
    assert!(aside(at("2026-12-01T00:00:00Z", "not_affected")));
    for time in ["2026-12-01T00:00:01Z", "9999-01-01T00:00:00Z"] {
        assert!(refusal(at(time, "not_affected")).contains("lies in the future"), "{time}");
        // A true one stands in spite of it, whatever it says.
        let now = "2026-11-01T00:00:00Z";
        for (status, want) in [("affected", false), ("fixed", true)] {
            let statements = json!([at(time, "not_affected"), at(now, status)]);
            let mut evidence = applied(|_| {}, &[openvex(&statements)]);
            assert_eq!((is_set_aside(&mut evidence), counts(&evidence.vex)), (want, [1, 0, 1]), "{status}");
        }
        // A wrong clock makes no vulnerability go away.
        let mut kept = applied(|_| {}, &[openvex(&json!([at(time, "affected"), at(now, "fixed")]))]);
        assert!(!is_set_aside(&mut kept));
    }
    let mut document = openvex(&json!([cleared(&json!({"@id": OPENSSL}))]));
    document["timestamp"] = json!("2027-01-01T00:00:00Z");
    let mut evidence = applied(|_| {}, &[document]);
    assert!(!is_set_aside(&mut evidence), "the time of the document is that of its statements");
}

#[test]
fn what_is_narrowed_or_contradicts_itself_is_not_applied() {
    let hex = IMAGE_DIGEST.strip_prefix("sha256:").unwrap();
    let hashes = json!({"sha-256": hex});
    for id in ["pkg:npm/other@1", OPENSSL] {
        let product = json!({"@id": id, "hashes": hashes});
        assert!(refusal(cleared(&product)).contains("a package and an image at once"), "{id}");
        let reason = refusal(cleared(&openssl_in(product)));
        assert!(reason.contains("a package and an image at once"), "{id}");
    }
    let foreign = format!("ghcr.io/acme/app@{}", Digest::sha256(b"another"));
    let product = json!({"@id": foreign, "identifiers": {"purl": OPENSSL}});
    assert!(refusal(cleared(&product)).contains("a package and an image at once"));
    let other = json!({"@id": OPENSSL, "hashes": {"sha-256": "0".repeat(64)}});
    assert!(aside(cleared(&other)), "the hash of a package is no image's");
    let mut nested = image();
    nested["subcomponents"] =
        json!([{"@id": OPENSSL, "subcomponents": [{"@id": "pkg:generic/fips-provider@1"}]}]);
    assert!(refusal(cleared(&nested)).contains("about parts of the part `pkg:deb/debian/openssl@3.0.11-1`"));
    let mut old = cleared(&image());
    old["subcomponents"] = nested["subcomponents"].clone();
    assert!(refusal(old).contains("about parts of the part"));
}

#[test]
fn a_statement_about_the_image_goes_before_one_about_the_package() {
    let mut kept = cleared(&openssl_in(image()));
    kept["status"] = json!("affected");
    let mut wide = cleared(&json!({"@id": "pkg:deb/debian/openssl"}));
    wide["timestamp"] = json!("2026-06-01T00:00:00Z");
    assert!(!is_set_aside(&mut applied(|_| {}, &[openvex(&json!([kept, wide]))])));
}

#[test]
fn one_of_several_cves_does_not_clear_the_others() {
    let two = |finding: &mut Finding| finding.aliases = vec!["CVE-2026-2".into(), "GHSA-1".into()];
    let about = |ids: &[&str]| {
        let mut statement = cleared(&json!({"@id": OPENSSL}));
        statement["vulnerability"] = json!({"name": ids[0], "aliases": &ids[1..]});
        statement
    };
    let of = |statements: &[Value]| applied(two, &[openvex(&json!(statements))]);
    let mut half = of(&[about(&[CVE])]);
    assert!(!is_set_aside(&mut half));
    assert_eq!(reasons(&half.vex.refused), ["the finding joins several CVEs, and the others remain"]);
    let mut other = of(&[about(&["GHSA-1"])]);
    assert!(!is_set_aside(&mut other));
    assert_eq!(reasons(&other.vex.refused), ["the finding joins several CVEs, and it names none of them"]);
    assert!(is_set_aside(&mut of(&[about(&[CVE]), about(&["CVE-2026-2"])])));
    assert!(is_set_aside(&mut of(&[about(&[CVE, "CVE-2026-2"])])));
}

#[test]
fn where_no_cve_is_among_the_ids_any_of_them_names_the_vulnerability() {
    let of = |aliases: &[&str]| {
        let change = |finding: &mut Finding| {
            finding.id = "GHSA-2".into();
            finding.aliases = aliases.iter().map(|id| (*id).to_owned()).collect();
        };
        let mut statement = cleared(&json!({"@id": OPENSSL}));
        statement["vulnerability"] = json!({"name": "GHSA-1"});
        is_set_aside(&mut applied(change, &[openvex(&json!([statement]))]))
    };
    assert!(of(&["GHSA-1"]));
    assert!(!of(&["GHSA-3"]));
    assert!(!of(&["CVE-2026-1", "CVE-2026-2", "GHSA-1"]));
}

#[test]
fn an_advisory_on_two_cves_does_not_clear_one_by_a_statement_on_the_other() {
    // The finding is CVE-2026-1 and has the id of DSA-CVE-2026-1, which speaks of CVE-2026-2 as well.
    let about = |name: &str, aliases: &[&str]| {
        let mut statement = cleared(&json!({"@id": OPENSSL}));
        statement["vulnerability"] = json!({"name": name, "aliases": aliases});
        aside(statement)
    };
    assert!(!about("CVE-2026-2", &["DSA-CVE-2026-1"]));
    assert!(about("CVE-2026-1", &["DSA-CVE-2026-1", "CVE-2026-2"]));
    assert!(about("DSA-CVE-2026-1", &[]));
}

#[test]
fn a_malicious_package_is_never_set_aside() {
    let change = |finding: &mut Finding| finding.malicious = true;
    let mut evidence = applied(change, &[openvex(&json!([cleared(&json!({"@id": OPENSSL}))]))]);
    assert!(!is_set_aside(&mut evidence));
    assert_eq!(reasons(&evidence.vex.refused), ["a malicious package is never set aside"]);
}

#[test]
fn an_undetermined_package_stays_undetermined() {
    let mut evidence = evidence();
    let unknown = crate::model::fixture::undetermined("no advisories");
    evidence.platforms_mut()[0].findings_mut().undetermined.push(unknown.clone());
    apply(&mut evidence, &[document(&openvex(&json!([cleared(&json!({"@id": OPENSSL}))])))], latest());
    assert_eq!(evidence.platforms_mut()[0].findings_mut().undetermined, [unknown]);
    assert_eq!(counts(&evidence.vex), [0, 1, 0]);
}

#[test]
fn a_document_must_be_one() {
    let cause = |bytes: &[u8]| read(bytes, "a.json").unwrap_err().to_string();
    let text = openvex(&json!([])).to_string();
    for (from, to, want) in [
        ("v0.2.0", "v0.3.0", "version of OpenVEX that is not known"),
        ("\"author\"", "\"auteur\"", "without `author`"),
        ("\"timestamp\"", "\"date\"", "without `timestamp`"),
        ("2026-01-01T", "soon", "no time as in RFC 3339"),
        ("\"statements\"", "\"Statements\"", "read by some parsers only"),
        ("\"version\":1", "\"author\":\"b\"", "stands twice"),
        ("https://openvex.dev/ns", "https://example.org/ns", "neither OpenVEX"),
    ] {
        assert!(text.contains(from), "{text}");
        let cause = cause(text.replace(from, to).as_bytes());
        assert!(cause.contains(want), "{to}: {cause}");
    }
    assert!(read(text.as_bytes(), "a.json").is_ok(), "one that states nothing is one");
    assert!(cause(b"{").contains("EOF"));
    assert!(cause("[".repeat(1_000).as_bytes()).contains("recursion"));
    assert!(cause(format!("[{}0]", "0,".repeat(1_000_000)).as_bytes()).contains("values of a VEX document"));
    let many = vec![json!("a"); 200_001];
    let mut wide = cleared(&json!({"@id": OPENSSL}));
    wide["products"] = json!(many);
    assert!(cause(openvex(&json!([wide])).to_string().as_bytes()).contains("entries of a VEX document"));
    assert_eq!(read(&vec![b' '; (16 << 20) + 1], "a"), Err(ReadError::TooLarge));
}

#[test]
fn thousands_of_refused_statements_name_a_bounded_number_of_findings() {
    let statement = cleared(&json!({"@id": "https://acme.example/app"}));
    let document = document(&openvex(&json!(vec![statement; 2_000])));
    let mut evidence = evidence();
    evidence.platforms_mut()[0].findings_mut().findings = vec![finding(CVE); 100];
    apply(&mut evidence, &[document], latest());
    let named: usize = evidence.vex.refused.iter().map(|outcome| outcome.findings.len()).sum();
    assert_eq!((evidence.vex.refused.len(), named), (2_000, 10_000));
}

/// Statements on one vulnerability that many packages have, of so many products.
fn wide(products: impl Iterator<Item = String>) -> Document {
    let products: Vec<Value> = products.map(|id| json!({"@id": id})).collect();
    let mut statement = cleared(&json!({}));
    statement["products"] = json!(products);
    document(&openvex(&json!([statement])))
}

fn many_findings(of: usize) -> Evidence {
    let mut evidence = evidence();
    evidence.platforms_mut()[0].findings_mut().findings = vec![finding(CVE); of];
    evidence
}

#[test]
fn products_of_other_packages_are_not_looked_at() {
    let others = (0..100_000).map(|number| format!("pkg:deb/debian/p{number}@1"));
    let document = wide(others.chain([OPENSSL.to_owned()]));
    let mut evidence = many_findings(1_000);
    // 100 million pairs, and a few steps for each finding.
    apply::apply_within(&mut evidence, &[document], latest(), 10_000);
    let findings = evidence.platforms_mut()[0].findings_mut();
    assert_eq!((findings.findings.len(), findings.suppressed.len()), (0, 1_000));
    assert_eq!(counts(&evidence.vex), [1, 0, 0]);
}

#[test]
fn what_is_too_much_to_compare_sets_nothing_more_aside() {
    let all =
        || (0..1_000).map(|number| format!("pkg:deb/debian/openssl@{number}")).chain([OPENSSL.to_owned()]);
    let mut evidence = many_findings(100);
    apply::apply_within(&mut evidence, &[wide(all())], latest(), 50_000);
    let findings = evidence.platforms_mut()[0].findings_mut();
    let aside = findings.suppressed.len();
    assert_eq!(findings.findings.len() + aside, 100, "nothing is lost");
    assert!((1..50).contains(&aside), "{aside}");
    assert!(reasons(&evidence.vex.refused)[0].contains("limit `steps of VEX`"), "{:?}", evidence.vex);
    // Attack: a document that uses the steps up, so that the statement that keeps a finding is not seen.
    let mut kept = cleared(&json!({"@id": OPENSSL}));
    kept["status"] = json!("affected");
    kept["timestamp"] = json!("2026-06-01T00:00:00Z");
    let kept = document(&openvex(&json!([kept])));
    for steps in [0, 100, 1_000, 4_010, 4_020, 5_000, 50_000] {
        let mut evidence = many_findings(3);
        apply::apply_within(&mut evidence, &[wide(all()), kept.clone()], latest(), steps);
        assert!(evidence.platforms_mut()[0].findings_mut().suppressed.is_empty(), "{steps}");
    }
}
