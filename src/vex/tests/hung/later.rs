//! The later word of the same signer that keeps a finding: however it is written, the older one that clears it does not
//! stand.

use super::*;
use crate::model::digest::Digest;

/// A document that keeps the finding, of a month, about a product.
fn keeping(product: Value, month: u32) -> Value {
    let mut document = stating("affected", month);
    document["statements"][0]["products"] = json!([product]);
    document
}

fn analysis(reference: &str, analysis: Value) -> Value {
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
        "components": [{"type": "library", "bom-ref": "x", "name": "openssl", "purl": OPENSSL}],
        "vulnerabilities": [{"id": CVE, "affects": [{"ref": reference}], "analysis": analysis}],
    })
}

fn cyclonedx(value: &Value) -> Document {
    let kind = "https://cyclonedx.org/bom";
    let (document, unread) = read_attested(kind, Some(&value.to_string()), origin("ci", None), None);
    assert_eq!(unread, None);
    document.unwrap()
}

/// What becomes of the finding where `ci` clears it in a month, and states something else as well.
fn beside(month: u32, other: Document) -> VexAnswer {
    let documents = [hung("ci", &stating("not_affected", month)), other];
    let mut evidence = claimed(|_| {}, &documents);
    assert_eq!(cleared_by(&mut evidence, &[0]), set(&[0]), "whoever does not believe the other");
    let answer = answer(&mut evidence, &[0, 1]);
    // A scan believes both.
    let mut scan = scanned(&documents, |_| {}, Vec::new());
    assert_eq!(is_set_aside(&mut scan), matches!(answer, VexAnswer::Cleared(_)));
    let finding = scan.platforms_mut()[0].findings_mut().findings.first();
    let doubted = finding.is_some_and(|finding| finding.vex_doubt.is_some());
    assert_eq!(doubted, matches!(answer, VexAnswer::Doubted(_)));
    answer
}

fn cleared_alone() -> VexAnswer {
    VexAnswer::Cleared([0].into())
}

/// The findings' reports name the document, the place in it, and why it is not clear.
fn is_doubted(answer: &VexAnswer, cause: &str) {
    let VexAnswer::Doubted(text) = answer else { panic!("{answer:?}, not in doubt: {cause}") };
    assert!(text.contains(cause) && text.contains("referrer sha256:"), "{text}");
}

#[test]
fn a_later_statement_that_keeps_a_finding_leaves_it_in_doubt_where_its_product_is_unclear() {
    let purl = |purl: &str| json!({"@id": purl});
    let tag = "pkg:oci/app?tag=v1";
    for (product, cause) in [
        (purl("pkg:oci/app"), "without its digest"),
        (openssl_in(purl(tag)), "without its digest"),
        (purl("https://acme.example/app"), "names neither a package"),
        (openssl_in(purl("https://acme.example/app")), "names neither a package"),
        (purl(&format!("{OPENSSL}?distro=trixie")), "by another name"),
        (purl("pkg:deb/debian/openssl@v3.0.11-1"), "by another name"),
        (openssl_in(purl("pkg:deb/debian/other@1")), "not known to be"),
    ] {
        is_doubted(&beside(1, hung("ci", &keeping(product.clone(), 2))), cause);
        // Of one time the stricter, and what is older is replaced.
        is_doubted(&beside(2, hung("ci", &keeping(product.clone(), 2))), cause);
        assert_eq!(beside(3, hung("ci", &keeping(product.clone(), 2))), cleared_alone(), "{product}");
        // One that clears changes nothing where it is not clear.
        let mut clearing = keeping(product, 2);
        clearing["statements"][0]["status"] = json!("not_affected");
        assert_eq!(beside(1, hung("ci", &clearing)), cleared_alone());
    }
    for state in ["exploitable", "in_triage"] {
        let link = "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#x";
        let keeps = analysis(link, json!({"state": state, "lastUpdated": "2026-02-01T00:00:00Z"}));
        is_doubted(&beside(1, cyclonedx(&keeps)), "leads into another BOM");
        assert_eq!(beside(3, cyclonedx(&keeps)), cleared_alone());
    }
    // What is certainly of something else raises no doubt, and neither does a file, whose author nobody knows.
    let other = format!("pkg:oci/app@sha256:{}", "0".repeat(64));
    let mut curl = purl(tag);
    curl["subcomponents"] = json!([{"@id": "pkg:deb/debian/curl@8"}]);
    for product in [purl(&other), curl, purl("pkg:deb/debian/openssl@3.0.12-1"), purl("pkg:npm/openssl")] {
        assert_eq!(beside(1, hung("ci", &keeping(product, 2))), cleared_alone());
    }
    assert_eq!(beside(1, document(&keeping(purl("pkg:oci/app"), 2))), cleared_alone());
}

#[test]
fn a_doubt_is_as_good_as_the_statement_that_it_is_of() {
    let clear = || hung("ci", &stating("not_affected", 1));
    let unclear = || hung("ci", &keeping(json!({"@id": "pkg:oci/app"}), 3));
    // What certainly keeps the finding says more, and nothing is cleared that nobody clears.
    let mut kept = claimed(|_| {}, &[clear(), hung("ci", &stating("affected", 2)), unclear()]);
    assert_eq!(answer(&mut kept, &[0, 1, 2]), VexAnswer::Kept);
    assert_eq!(answer(&mut claimed(|_| {}, &[unclear()]), &[0]), VexAnswer::Kept);
    // In one document as well.
    let mut both = stating("not_affected", 1);
    let mut second = keeping(json!({"@id": "pkg:oci/app"}), 1)["statements"][0].clone();
    for (month, doubted) in [("2025-12", false), ("2026-01", true), ("2026-02", true)] {
        second["timestamp"] = json!(format!("{month}-01T00:00:00Z"));
        both["statements"] = json!([both["statements"][0], second]);
        let mut evidence = claimed(|_| {}, &[hung("ci", &both)]);
        assert_eq!(matches!(answer(&mut evidence, &[0]), VexAnswer::Doubted(_)), doubted, "{month}");
    }
    // Of several CVEs one that is in doubt is enough.
    let two = |finding: &mut Finding| finding.aliases = vec!["CVE-2026-2".into()];
    let of = |mut value: Value, cve: &str| {
        value["statements"][0]["vulnerability"]["name"] = json!(cve);
        hung("ci", &value)
    };
    let unclear = || keeping(json!({"@id": "pkg:oci/app"}), 3);
    let clears = [of(stating("not_affected", 1), CVE), of(stating("not_affected", 1), "CVE-2026-2")];
    for (cve, doubted) in [(CVE, true), ("CVE-2026-2", true), ("CVE-2026-3", false), ("GHSA-x", false)] {
        let documents = [&clears[..], &[of(unclear(), cve)]].concat();
        let mut evidence = claimed(two, &documents);
        assert_eq!(matches!(answer(&mut evidence, &[0, 1, 2]), VexAnswer::Doubted(_)), doubted, "{cve}");
    }
}

#[test]
fn what_keeps_a_finding_without_a_time_is_newer_than_what_clears_it() {
    let undated = analysis("x", json!({"state": "exploitable"}));
    assert_eq!(beside(11, cyclonedx(&undated)), VexAnswer::Kept);
    is_doubted(
        &beside(11, cyclonedx(&analysis("urn:cdx:a/1#b", json!({"state": "exploitable"})))),
        "another BOM",
    );
    // One that clears without a time is older than all.
    let clears = analysis("x", json!({"state": "not_affected", "detail": "x"}));
    let keeps = hung("ci", &stating("affected", 1));
    assert_eq!(answer(&mut claimed(|_| {}, &[keeps, cyclonedx(&clears)]), &[0, 1]), VexAnswer::Kept);
}

#[test]
fn what_keeps_a_finding_is_as_new_as_the_document_that_still_says_so() {
    let date = |month: u32| json!(format!("2026-{month:02}-01T00:00:00Z"));
    let mut updated = stating("affected", 1);
    updated["last_updated"] = date(3);
    let mut own = stating("affected", 3);
    own["statements"][0]["timestamp"] = date(1);
    let mut both =
        analysis("x", json!({"state": "exploitable", "firstIssued": date(3), "lastUpdated": date(1)}));
    let mut issued = both.clone();
    issued["vulnerabilities"][0]["analysis"]["firstIssued"] = date(1);
    issued["metadata"] = json!({"timestamp": date(3)});
    both["metadata"] = json!({"timestamp": date(1)});
    for keeps in [hung("ci", &updated), hung("ci", &own), cyclonedx(&both), cyclonedx(&issued)] {
        assert_eq!(beside(2, keeps.clone()), VexAnswer::Kept, "{keeps:?}");
        assert_eq!(beside(4, keeps), cleared_alone());
    }
    // What clears is only as new as it says of itself.
    let mut clears = stating("not_affected", 1);
    clears["last_updated"] = date(3);
    let documents = [hung("ci", &stating("affected", 2)), hung("ci", &clears)];
    assert_eq!(answer(&mut claimed(|_| {}, &documents), &[0, 1]), VexAnswer::Kept);
    // A document that tells how the opinion changed is taken as it tells it.
    let mut told = stating("affected", 4);
    let mut after = stating("not_affected", 1)["statements"][0].clone();
    (told["statements"][0]["timestamp"], after["timestamp"]) = (date(1), date(2));
    told["statements"].as_array_mut().unwrap().push(after);
    assert_eq!(cleared_by(&mut claimed(|_| {}, &[hung("ci", &told)]), &[0]), set(&[0]));
    // Unless what keeps the finding came with the last change.
    told["statements"][0].as_object_mut().unwrap().remove("timestamp");
    (told["timestamp"], told["last_updated"]) = (date(1), date(4));
    assert_eq!(cleared_by(&mut claimed(|_| {}, &[hung("ci", &told)]), &[0]), None);
    told["last_updated"] = json!("lately");
    assert!(unread(OPENVEX, Some(&told.to_string())).unwrap().contains("`last_updated`"));
}

#[test]
fn an_older_word_on_the_image_does_not_go_before_a_later_one_on_the_package() {
    let on_image = |status: &str, month: u32| {
        let mut document = stating(status, month);
        document["statements"][0]["products"] = json!([image()]);
        document
    };
    let clears = || hung("ci", &on_image("not_affected", 1));
    for (other, want) in [
        (hung("ci", &stating("affected", 2)), None),
        (hung("ci", &stating("affected", 1)), None),
        (document(&stating("affected", 2)), None),
    ] {
        assert_eq!(cleared_by(&mut claimed(|_| {}, &[clears(), other.clone()]), &[0, 1]), want);
        assert!(!is_set_aside(&mut scanned(&[clears(), other], |_| {}, Vec::new())));
    }
    // In one document too.
    let mut both = on_image("not_affected", 1);
    both["statements"].as_array_mut().unwrap().push(stating("affected", 1)["statements"][0].clone());
    assert_eq!(cleared_by(&mut claimed(|_| {}, &[hung("ci", &both)]), &[0]), None);
    let older = hung("ci", &on_image("affected", 1));
    let newer = hung("ci", &stating("not_affected", 2));
    assert_eq!(cleared_by(&mut claimed(|_| {}, &[older, newer]), &[0, 1]), set(&[1]));
    // Among files the nearest counts, whatever is attested beside them.
    let files = [document(&on_image("affected", 1)), document(&stating("not_affected", 2))];
    for attested in [stating("affected", 1), stating("under_investigation", 3)] {
        let all = [&files[..], &[hung("ci", &attested)]].concat();
        assert!(!is_set_aside(&mut scanned(&all, |_| {}, Vec::new())));
    }
}

#[test]
fn what_keeps_a_finding_of_several_cves_may_name_it_by_any_of_its_ids() {
    let of = |status: &str, month: u32, vulnerability: Value| {
        let mut document = stating(status, month);
        document["statements"][0]["vulnerability"] = vulnerability;
        document
    };
    let two = |f: &mut Finding| f.aliases = vec!["CVE-2026-2".into(), "GHSA-aaaa-bbbb-cccc".into()];
    let clears = [CVE, "CVE-2026-2"].map(|cve| of("not_affected", 1, json!({"name": cve})));
    for (status, month, vulnerability, want) in [
        ("affected", 2, json!({"name": "GHSA-aaaa-bbbb-cccc"}), false),
        ("under_investigation", 1, json!({"name": "ghsa-aaaa-bbbb-cccc"}), false),
        ("affected", 2, json!({"name": "X-1", "aliases": [" GHSA-aaaa-bbbb-cccc "]}), false),
        ("affected", 2, json!({"name": "CVE-2026-2"}), false),
        ("affected", 2, json!({"name": " CVE-2026-2"}), false),
        // It is replaced by what came later, and it is about another one where it says so.
        ("affected", 1, json!({"name": "GHSA-0"}), true),
        ("affected", 2, json!({"name": "GHSA-aaaa-bbbb-cccc", "aliases": ["CVE-2026-9"]}), true),
        ("not_affected", 2, json!({"name": "GHSA-aaaa-bbbb-cccc"}), true),
    ] {
        let keeps = of(status, month, vulnerability.clone());
        let all = [clears[0].clone(), clears[1].clone(), keeps.clone()];
        let attested: Vec<Document> = all.iter().map(|one| hung("ci", one)).collect();
        let cleared = cleared_by(&mut claimed(two, &attested), &[0, 1, 2]);
        assert_eq!(cleared, set(&[0, 1]).filter(|_| want), "{vulnerability}");
        assert_eq!(is_set_aside(&mut applied(two, &all)), want, "files: {vulnerability}");
        let files: Vec<Document> =
            [document(&keeps)].into_iter().chain(attested[..2].iter().cloned()).collect();
        assert_eq!(cleared_by(&mut claimed(two, &files), &[1, 2]).is_some(), want, "{vulnerability}");
    }
    let mut older = claimed(
        two,
        &[
            hung("ci", &of("affected", 1, json!({"name": "GHSA-aaaa-bbbb-cccc"}))),
            hung("ci", &of("not_affected", 2, json!({"name": CVE}))),
            hung("ci", &of("not_affected", 2, json!({"name": "CVE-2026-2"}))),
        ],
    );
    assert_eq!(cleared_by(&mut older, &[0, 1, 2]), set(&[1, 2]));
}

#[test]
fn an_id_with_spaces_beside_it_is_the_id() {
    let named = |name: &str| {
        let mut keeps = stating("affected", 2);
        keeps["statements"][0]["vulnerability"]["name"] = json!(name);
        beside(1, hung("ci", &keeps))
    };
    assert_eq!(named(&format!("\t{CVE} ")), VexAnswer::Kept);
    let mut keeps = analysis("x", json!({"state": "exploitable"}));
    keeps["vulnerabilities"][0]["id"] = json!(format!(" {CVE}\n"));
    assert_eq!(beside(1, cyclonedx(&keeps)), VexAnswer::Kept);
}

/// An index between the image's own and its platforms, which leads to the first one or the second.
fn between(number: usize) -> VexAttestation {
    let below = evidence().platforms.known().unwrap()[number].digest.clone();
    VexAttestation {
        subject: Digest::sha256(b"between"),
        below: Some(below.into_iter().collect()),
        ..origin("ci", None)
    }
}

#[test]
fn what_is_attested_of_an_index_between_speaks_of_what_it_leads_to() {
    let [first, second] = [0, 1].map(|number| evidence().platforms.known().unwrap()[number].digest.clone());
    for (number, own, other) in [(0, &first, &second), (1, &second, &first)] {
        assert!(between(number).concerns(own.as_ref()));
        assert!(!between(number).concerns(other.as_ref()) && !between(number).concerns(None));
    }
    let on = |number: usize, value: &Value| {
        read_attested(OPENVEX, Some(&value.to_string()), between(number), None).0.unwrap()
    };
    let named = json!({"@id": format!("pkg:oci/app@{}", Digest::sha256(b"between"))});
    let on_product = |status: &str, month: u32, product: Value| {
        let mut document = stating(status, month);
        document["statements"][0]["products"] = json!([product]);
        document
    };
    for product in [json!({"@id": OPENSSL}), image(), named.clone(), openssl_in(named.clone())] {
        let clears = on_product("not_affected", 1, product.clone());
        assert_eq!(cleared_by(&mut claimed(|_| {}, &[on(0, &clears)]), &[0]), set(&[0]), "{product}");
        assert_eq!(cleared_by(&mut claimed(|_| {}, &[on(1, &clears)]), &[0]), None);
        let keeps = on_product("affected", 2, product);
        assert_eq!(beside(1, on(0, &keeps)), VexAnswer::Kept);
        assert_eq!(beside(1, on(1, &keeps)), cleared_alone());
    }
    // Attested of the image, and of the index between by its name: where that leads is known once it was listed.
    let listed = |evidence: &mut Evidence| {
        let VexAttestation { subject, below, .. } = between(0);
        let mut middle = evidence.attested.known().unwrap()[0].clone();
        (middle.subject, middle.platform, middle.below) = (subject, None, below);
        evidence.attested.known_mut().unwrap().push(middle);
    };
    let documents =
        [hung("ci", &stating("not_affected", 1)), hung("ci", &on_product("affected", 2, named.clone()))];
    assert!(!is_set_aside(&mut scanned(&documents, listed, Vec::new())));
    // A file is about the image or the platform alone.
    assert!(!is_set_aside(&mut scanned(
        &[document(&on_product("not_affected", 1, named))],
        listed,
        Vec::new()
    )));
}
