//! Documents out of attestations: whose they are, where they hang, and what they leave to the rules.

use std::collections::BTreeSet;

use super::*;
use crate::model::attestation::{Attested, Place, Refused, SignedBy};
use crate::model::fact::Fact;
use crate::model::signer::{Name, Signer};
use crate::model::vex::{VexAnswer, VexAttestation, VexUnread};
use crate::vex::{Hung, apply_hung};

mod later;

const OPENVEX: &str = "https://openvex.dev/ns/v0.2.0";

fn signer(name: &str) -> SignedBy {
    SignedBy::Certificate(Signer { name: Name::Mail(name.into()), issuer: None, claims: [].into() })
}

/// Where a document hangs: on the image, or on one of its platforms.
fn origin(name: &str, platform: Option<usize>) -> VexAttestation {
    let evidence = evidence();
    let platform = platform.map(|number| evidence.platforms.known().unwrap()[number].clone());
    VexAttestation {
        at: Place::Referrer { digest: Digest::sha256(name.as_bytes()) },
        subject: platform.as_ref().map_or(IMAGE_DIGEST.parse().unwrap(), |one| one.digest.clone().unwrap()),
        platform: platform.map(|one| one.platform),
        below: None,
        signed_by: signer(name),
        logged: true,
    }
}

fn hung_on(platform: Option<usize>, name: &str, value: &Value) -> Document {
    let (document, unread) = read_attested(OPENVEX, Some(&value.to_string()), origin(name, platform), None);
    assert_eq!(unread, None);
    document.unwrap()
}

fn hung(name: &str, value: &Value) -> Document {
    hung_on(None, name, value)
}

/// A document with one statement on openssl, of a month.
fn stating(status: &str, month: u32) -> Value {
    let mut statement = cleared(&json!({"@id": OPENSSL}));
    statement["status"] = json!(status);
    let mut document = openvex(&json!([statement]));
    document["timestamp"] = json!(format!("2026-{month:02}-01T00:00:00Z"));
    document
}

/// One finding on the first platform, under documents of which those that are attested only claim.
fn claimed(change: impl FnOnce(&mut Finding), documents: &[Document]) -> Evidence {
    found(change, documents, false)
}

fn found(change: impl FnOnce(&mut Finding), documents: &[Document], settles: bool) -> Evidence {
    let mut evidence = evidence();
    let mut one = finding(CVE);
    change(&mut one);
    evidence.platforms_mut()[0].findings_mut().findings.push(one);
    apply_hung(&mut evidence, documents, latest(), Hung { settles, ..Hung::default() });
    evidence
}

/// What becomes of the one finding where these documents are believed.
fn answer(evidence: &mut Evidence, believed: &[usize]) -> VexAnswer {
    let findings = evidence.platforms_mut()[0].findings_mut();
    let all = findings.findings.iter().chain(findings.suppressed.iter().map(|one| &one.finding));
    let all: Vec<&Finding> = all.collect();
    assert_eq!(all.len(), 1, "nothing is lost");
    all[0].claims.answer(|document| believed.contains(&document))
}

/// The documents that set the finding aside where all, or some, are believed.
fn cleared_by(evidence: &mut Evidence, believed: &[usize]) -> Option<BTreeSet<usize>> {
    match answer(evidence, believed) {
        VexAnswer::Cleared(documents) => Some(documents),
        VexAnswer::Kept => None,
        VexAnswer::Doubted(cause) => panic!("{cause}"),
    }
}

fn set(documents: &[usize]) -> Option<BTreeSet<usize>> {
    Some(documents.iter().copied().collect())
}

#[test]
fn an_attested_document_claims_and_sets_nothing_aside_by_itself() {
    let mut evidence = claimed(|_| {}, &[hung("ci", &stating("not_affected", 1))]);
    assert!(!is_set_aside(&mut evidence));
    assert_eq!(cleared_by(&mut evidence, &[0]), set(&[0]));
    assert_eq!(cleared_by(&mut evidence, &[]), None, "nobody is believed");
    let stated = &evidence.platforms_mut()[0].findings_mut().findings[0].vex[0];
    assert_eq!(stated.signed_by, Some(signer("ci")));
    let bytes = stating("not_affected", 1).to_string();
    assert_eq!(stated.digest, Digest::sha256(bytes.as_bytes()), "of the predicate as it was signed");
    assert_eq!(stated.document, format!("referrer {}", Digest::sha256(b"ci")));
    assert_eq!(evidence.vex.documents[0].attested.as_ref().unwrap().signed_by, signer("ci"));
    assert_eq!(counts(&evidence.vex), [1, 0, 0]);
}

#[test]
fn each_rule_believes_whom_it_names_and_the_last_word_of_those() {
    let clears = hung("ci", &stating("not_affected", 1));
    let keeps = hung("sec", &stating("affected", 2));
    for documents in [[clears.clone(), keeps.clone()], [keeps, clears]] {
        let ci =
            documents.iter().position(|one| one.info.attested.as_ref().unwrap().signed_by == signer("ci"));
        let ci = ci.unwrap();
        let mut evidence = claimed(|_| {}, &documents);
        assert_eq!(cleared_by(&mut evidence, &[ci]), set(&[ci]));
        assert_eq!(cleared_by(&mut evidence, &[1 - ci]), None);
        assert_eq!(cleared_by(&mut evidence, &[0, 1]), None);
    }
    let mut evidence =
        claimed(|_| {}, &[hung("ci", &stating("affected", 1)), hung("sec", &stating("not_affected", 2))]);
    assert_eq!(cleared_by(&mut evidence, &[0, 1]), set(&[1]), "what is later replaces");
}

#[test]
fn an_older_document_of_the_same_signer_is_replaced_wherever_it_hangs() {
    let older = stating("not_affected", 1);
    for (old, new) in [(None, None), (Some(0), None), (None, Some(0))] {
        let newer = hung_on(new, "ci", &stating("affected", 2));
        let mut evidence = claimed(|_| {}, &[hung_on(old, "ci", &older), newer]);
        assert_eq!(cleared_by(&mut evidence, &[0, 1]), None);
        assert_eq!(evidence.vex.used.len(), 1, "the later one alone stands at the finding");
        assert_eq!(reasons(&evidence.vex.unused), ["a nearer or later statement is in its place"]);
    }
    // Of one time the stricter.
    let both = [hung("ci", &stating("affected", 1)), hung("ci", &older)];
    assert_eq!(cleared_by(&mut claimed(|_| {}, &both), &[0, 1]), None);
}

#[test]
fn what_hangs_on_one_platform_says_nothing_of_another() {
    for (on, want) in [(None, set(&[0])), (Some(0), set(&[0])), (Some(1), None)] {
        let mut evidence = claimed(|_| {}, &[hung_on(on, "ci", &stating("not_affected", 1))]);
        assert_eq!(cleared_by(&mut evidence, &[0]), want, "{on:?}");
        let mut scanned = found(|_| {}, &[hung_on(on, "ci", &stating("not_affected", 1))], true);
        assert_eq!(is_set_aside(&mut scanned), want.is_some());
    }
    // And what keeps a finding of the other is none of this one's business.
    let documents =
        [hung("ci", &stating("not_affected", 1)), hung_on(Some(1), "ci", &stating("affected", 2))];
    assert_eq!(cleared_by(&mut claimed(|_| {}, &documents), &[0, 1]), set(&[0]));
}

#[test]
fn the_product_must_be_this_image_wherever_the_document_hangs() {
    let other = json!({"@id": format!("pkg:oci/app@sha256:{}", "0".repeat(64))});
    for (product, want) in [(other, None), (image(), set(&[0]))] {
        let document = hung("ci", &openvex(&json!([cleared(&openssl_in(product))])));
        assert_eq!(cleared_by(&mut claimed(|_| {}, &[document]), &[0]), want);
    }
    let unclear = hung("ci", &openvex(&json!([cleared(&json!({"@id": "pkg:oci/app"}))])));
    let mut evidence = claimed(|_| {}, &[unclear]);
    assert_eq!(cleared_by(&mut evidence, &[0]), None);
    assert!(reasons(&evidence.vex.refused)[0].contains("without its digest"), "{:?}", evidence.vex);
}

#[test]
fn files_and_attestations_weaken_each_other_by_time_alone() {
    let file = |status, month| document(&stating(status, month));
    let clears = |month| hung("ci", &stating("not_affected", month));
    for (file, attested, want) in [
        (file("affected", 2), clears(1), None),
        (file("affected", 1), clears(1), None),
        (file("under_investigation", 2), clears(1), None),
        (file("affected", 1), clears(2), set(&[1])),
        (file("not_affected", 2), clears(1), set(&[1])),
        // A file's own later word clears nothing that only a signer may clear.
        (file("not_affected", 2), hung("ci", &stating("affected", 1)), None),
        (
            file("not_affected", 2),
            hung(
                "ci",
                &json!({
                    "@context": OPENVEX, "author": "x", "timestamp": "2026-01-01T00:00:00Z", "statements": [],
                }),
            ),
            None,
        ),
    ] {
        assert_eq!(cleared_by(&mut claimed(|_| {}, &[file, attested]), &[1]), want);
    }
    // Whatever is attested, the file's word is what counts where attestations are not asked.
    let mut evidence = claimed(|_| {}, &[file("not_affected", 1), hung("ci", &stating("affected", 2))]);
    assert!(is_set_aside(&mut evidence));
    let two =
        [&stating("affected", 2), &stating("not_affected", 3)].map(|value| value["statements"][0].clone());
    let mut twice = openvex(&json!(two));
    twice["statements"][0]["timestamp"] = json!("2026-02-01T00:00:00Z");
    twice["statements"][1]["timestamp"] = json!("2026-03-01T00:00:00Z");
    assert_eq!(cleared_by(&mut claimed(|_| {}, &[document(&twice), clears(1)]), &[1]), None);
}

#[test]
fn each_of_several_cves_must_be_cleared_by_somebody_who_is_believed() {
    let of = |name: &str, cve: &str| {
        let mut statement = cleared(&json!({"@id": OPENSSL}));
        statement["vulnerability"]["name"] = json!(cve);
        hung(name, &openvex(&json!([statement])))
    };
    let two = |finding: &mut Finding| finding.aliases = vec!["CVE-2026-2".into()];
    let mut evidence = claimed(two, &[of("ci", CVE), of("sec", "CVE-2026-2")]);
    assert_eq!(cleared_by(&mut evidence, &[0]), None);
    assert_eq!(cleared_by(&mut evidence, &[1]), None);
    assert_eq!(cleared_by(&mut evidence, &[0, 1]), set(&[0, 1]));
    let evidence = claimed(two, &[of("ci", CVE)]);
    assert_eq!(reasons(&evidence.vex.refused), ["the finding joins several CVEs, and the others remain"]);
}

#[test]
fn a_malicious_package_has_no_claims() {
    let mut evidence = claimed(|f| f.malicious = true, &[hung("ci", &stating("not_affected", 1))]);
    assert_eq!(cleared_by(&mut evidence, &[0]), None);
    assert_eq!(reasons(&evidence.vex.refused), ["a malicious package is never set aside"]);
}

#[test]
fn a_statement_dated_after_it_was_signed_clears_nothing() {
    let text = stating("not_affected", 6).to_string();
    for (signed, want) in [("2026-05-01T00:00:00Z", None), ("2026-06-02T00:00:00Z", set(&[0]))] {
        let signed = Some(signed.parse().unwrap());
        let (document, _) = read_attested(OPENVEX, Some(&text), origin("ci", None), signed);
        let mut evidence = claimed(|_| {}, &[document.unwrap()]);
        assert_eq!(cleared_by(&mut evidence, &[0]), want);
        let told = reasons(&evidence.vex.refused).iter().any(|reason| reason.contains("signed before that"));
        assert_eq!(told, want.is_none());
    }
}

/// What cannot be read of a predicate, if anything.
fn unread(kind: &str, predicate: Option<&str>) -> Option<String> {
    let (_, unread) = read_attested(kind, predicate, origin("ci", None), None);
    unread.map(|unread| unread.cause)
}

#[test]
fn what_cannot_be_read_is_told_and_not_passed_over() {
    let cyclonedx =
        json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "vulnerabilities": []}).to_string();
    let good = stating("not_affected", 1);
    let mut odd = good.clone();
    odd["statements"][0]["status"] = json!("afected");
    let mut timeless = good.clone();
    timeless["statements"][0]["timestamp"] = json!("yesterday");
    timeless["statements"][0]["status"] = json!("affected");
    let mut unjustified = good.clone();
    unjustified["statements"][0]["justification"] = Value::Null;
    let (good, odd) = (good.to_string(), odd.to_string());
    let twice = good.replacen("\"author\"", "\"author\":\"x\",\"author\"", 1);
    for (kind, predicate, want) in [
        (OPENVEX, Some(good.as_str()), None),
        ("https://openvex.dev/ns", Some(&good), None),
        ("https://cyclonedx.org/bom/v1.6", Some(&cyclonedx), None),
        // It says that it clears: that it does not is told where it is refused.
        (OPENVEX, Some(&unjustified.to_string()), None),
        (OPENVEX, None, Some("no predicate")),
        ("http://openvex.dev/ns/v0.2.0", Some(&good), Some("none of VEX")),
        ("https://cyclonedx.org/vex", Some(&cyclonedx), Some("none of VEX")),
        (OPENVEX, Some("{}"), Some("neither OpenVEX")),
        (OPENVEX, Some(&twice), Some("stands twice")),
        (OPENVEX, Some(&cyclonedx), Some("CycloneDX 1.6 under the predicate type")),
        ("https://cyclonedx.org/bom", Some(&good), Some("OpenVEX 0.2.0 under")),
        (OPENVEX, Some(&odd), Some("`afected` is no status")),
        (OPENVEX, Some(&timeless.to_string()), Some("is no time")),
    ] {
        match (unread(kind, predicate), want) {
            (None, None) => {}
            (Some(cause), Some(want)) => assert!(cause.contains(want), "{cause}"),
            (cause, want) => panic!("{kind} {predicate:?}: {cause:?}, not {want:?}"),
        }
    }
    let large = format!("{good}{}", " ".repeat(MAX_BYTES as usize));
    assert!(unread(OPENVEX, Some(&large)).unwrap().contains("limit `bytes of a VEX document`"));
}

#[test]
fn only_an_analysis_makes_vex_of_an_sbom() {
    let bom = |vulnerabilities: Value| json!({"bomFormat": "CycloneDX", "vulnerabilities": vulnerabilities});
    let analysed = json!([{"id": "CVE-1"}, {"id": CVE, "analysis": {"state": "not_affected"}}]);
    for (kind, predicate, want) in [
        ("https://cyclonedx.org/bom", json!({"bomFormat": "CycloneDX"}), false),
        ("https://cyclonedx.org/bom", bom(Value::Null), false),
        ("https://cyclonedx.org/bom", bom(json!([])), false),
        ("https://cyclonedx.org/bom", bom(json!([{"id": CVE}])), false),
        ("https://cyclonedx.org/bom", bom(analysed.clone()), true),
        ("https://cyclonedx.org/bom/v1.5", bom(analysed.clone()), true),
        // What some parsers read is looked at, and then it is refused.
        ("https://cyclonedx.org/bom", json!({"Vulnerabilities": analysed}), true),
        ("https://cyclonedx.org/bom", bom(json!({})), true),
        ("https://cyclonedx.org/bom", json!("<bom/>"), true),
        // Of a type that is none of VEX, and looked at all the same.
        ("https://cyclonedx.org/bomb", bom(analysed.clone()), true),
        ("https://cyclonedx.org/bomb", bom(json!([])), false),
        ("https://cyclonedx.org/vex", json!({}), true),
        ("https://spdx.dev/Document", bom(analysed.clone()), true),
        ("https://spdx.dev/Document", json!({"vulnerabilities": analysed}), false),
        ("https://acme.example/x", json!({"@context": "https://openvex.dev/ns/v0.2.0"}), true),
        ("https://acme.example/x", json!({"@context": ["https://openvex.dev/ns"]}), true),
        ("https://acme.example/x", json!({"@context": "https://acme.example"}), false),
        ("https://openvex.dev/nsx", json!({}), true),
        ("http://openvex.dev/ns/v0.2.0", json!({}), true),
        ("https://openvex.dev/ns#v0.2.0", json!({}), true),
        ("https://OpenVEX.dev/ns", json!({}), true),
        ("https://openvex.dev/ns", Value::Null, true),
        ("https://openvex.dev/ns/v0.2.0", json!({}), true),
    ] {
        assert_eq!(states(kind, &predicate), want, "{kind} {predicate}");
    }
}

/// What hangs on the image, and on each platform: nothing that is signed, all of it seen.
fn seen(evidence: &mut Evidence) {
    let empty = |subject: Digest, platform| Attested {
        subject,
        platform,
        below: None,
        attestations: Vec::new(),
        refused: Vec::new(),
        unknown: Vec::new(),
    };
    let platforms = evidence.platforms_mut().iter();
    let mut all: Vec<Attested> =
        platforms.map(|one| empty(one.digest.clone().unwrap(), Some(one.platform.clone()))).collect();
    all.push(empty(IMAGE_DIGEST.parse().unwrap(), None));
    evidence.attested = Fact::Known(all);
}

/// A scan that believes what `ci` attested.
fn scanned(documents: &[Document], change: impl FnOnce(&mut Evidence), unread: Vec<VexUnread>) -> Evidence {
    let mut evidence = evidence();
    evidence.platforms_mut()[0].findings_mut().findings.push(finding(CVE));
    seen(&mut evidence);
    change(&mut evidence);
    apply_hung(&mut evidence, documents, latest(), Hung { unread, settles: true });
    evidence
}

#[test]
fn a_scan_sets_aside_what_those_attest_who_are_believed() {
    let clears = hung("ci", &stating("not_affected", 1));
    let mut evidence = scanned(std::slice::from_ref(&clears), |_| {}, Vec::new());
    assert!(is_set_aside(&mut evidence));
    let detail = &evidence.platforms_mut()[0].findings_mut().suppressed[0].detail;
    assert!(detail.ends_with(", signed by ci)"), "{detail}");
    for other in [hung("ci", &stating("affected", 2)), document(&stating("affected", 2))] {
        assert!(!is_set_aside(&mut scanned(&[clears.clone(), other], |_| {}, Vec::new())));
    }
}

#[test]
fn a_scan_sets_nothing_aside_where_not_all_could_be_seen() {
    let refused = |unjudged, kind| Refused {
        at: Place::Tag { tag: "x".into(), layer: None },
        unjudged,
        kind,
        cause: "x".into(),
    };
    let unread =
        |platform| VexUnread { document: "x".into(), attested: origin("ci", platform), cause: "x".into() };
    // The first platform, the second, and the image.
    let (own, other, image) = (0, 1, 2);
    let listing = |attested: &mut Attested| attested.unknown.push("429".into());
    let unjudged = |attested: &mut Attested| attested.refused.push(refused(true, "version"));
    let statement = |attested: &mut Attested| attested.refused.push(refused(false, "statement"));
    let wrong = |attested: &mut Attested| attested.refused.push(refused(false, "signature"));
    type Case<'c> = (usize, &'c dyn Fn(&mut Attested), bool);
    let cases: [Case<'_>; 8] = [
        (own, &listing, false),
        (image, &listing, false),
        (other, &listing, true),
        (image, &unjudged, false),
        (own, &statement, false),
        (other, &statement, true),
        (own, &wrong, true),
        (image, &wrong, true),
    ];
    let clears = [hung("ci", &stating("not_affected", 1))];
    for (number, (place, change, want)) in cases.into_iter().enumerate() {
        let change = |evidence: &mut Evidence| change(&mut evidence.attested.known_mut().unwrap()[place]);
        let mut evidence = scanned(&clears, change, Vec::new());
        assert_eq!(is_set_aside(&mut evidence), want, "{number}");
        let finding = evidence.platforms_mut()[0].findings_mut().findings.first();
        assert_eq!(finding.is_some_and(|finding| finding.vex_doubt.is_some()), !want, "{number}");
    }
    for (platform, want) in [(None, false), (Some(own), false), (Some(other), true)] {
        assert_eq!(is_set_aside(&mut scanned(&clears, |_| {}, vec![unread(platform)])), want);
    }
    for attested in [Fact::Absent, Fact::Unknown("x".into())] {
        assert!(!is_set_aside(&mut scanned(&clears, |e| e.attested = attested.clone(), Vec::new())));
    }
    // What was not listed was not seen.
    for number in [own, image] {
        let lost = |evidence: &mut Evidence| drop(evidence.attested.known_mut().unwrap().remove(number));
        assert!(!is_set_aside(&mut scanned(&clears, lost, Vec::new())));
    }
    // A file's word too may be the older one.
    let file = [document(&stating("not_affected", 1))];
    let unlisted = |evidence: &mut Evidence| listing(&mut evidence.attested.known_mut().unwrap()[image]);
    assert!(!is_set_aside(&mut scanned(&file, unlisted, Vec::new())));
    assert!(is_set_aside(&mut scanned(&file, |_| {}, Vec::new())));
}

#[test]
fn claims_that_were_not_compared_are_unknown() {
    let mut evidence = many_findings(3);
    let documents = [hung("ci", &stating("not_affected", 1))];
    seen(&mut evidence);
    apply::apply_within(&mut evidence, &documents, latest(), 30);
    assert!(evidence.vex.exhausted);
    let platform = evidence.platforms.known().unwrap()[0].clone();
    let unseen = evidence.unseen_vex(&platform, |_| false);
    assert!(unseen[0].contains("limit `steps of VEX`"), "{unseen:?}");
}
