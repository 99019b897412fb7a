//! Statements in CycloneDX documents.

use super::*;

fn cyclonedx(vulnerability: Value) -> Value {
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 2,
        "serialNumber": "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
        "metadata": {"timestamp": "2026-01-01T00:00:00Z", "authors": [{"name": "Acme"}]},
        "components": [
            {"type": "library", "bom-ref": "a", "name": "openssl", "version": "3.0.11-1", "purl": "pkg:deb/debian/openssl"},
            {"type": "library", "bom-ref": "nameless", "name": "openssl", "version": "3.0.11-1"},
            {"type": "application", "bom-ref": "app", "name": "app", "components": [
                {"type": "library", "bom-ref": "nested b", "name": "openssl", "purl": OPENSSL},
            ]},
        ],
        "vulnerabilities": [vulnerability],
    })
}

fn analysed(state: &str, reference: &str) -> Value {
    json!({
        "id": CVE, "analysis": {"state": state, "justification": "code_not_reachable"},
        "affects": [{"ref": reference}],
    })
}

#[test]
fn the_states_of_cyclonedx_are_those_of_vex() {
    for (state, want) in [
        ("not_affected", true),
        ("false_positive", true),
        ("resolved", true),
        ("resolved_with_pedigree", true),
        ("exploitable", false),
        ("in_triage", false),
    ] {
        let mut evidence = applied(|_| {}, &[cyclonedx(analysed(state, "a"))]);
        assert_eq!(is_set_aside(&mut evidence), want, "{state}");
        assert_eq!(counts(&evidence.vex), [1, 0, 0], "{state}");
    }
    let mut unknown = applied(|_| {}, &[cyclonedx(analysed("fine", "a"))]);
    assert!(!is_set_aside(&mut unknown));
    assert_eq!(reasons(&unknown.vex.refused), ["`fine` is no state of CycloneDX"]);
    let mut bare = analysed("not_affected", "a");
    bare["analysis"] = json!({"state": "not_affected"});
    let bare = applied(|_| {}, &[cyclonedx(bare)]);
    assert_eq!(reasons(&bare.vex.refused), ["`not_affected` without a justification or a detail"]);
    let mut silent = analysed("x", "a");
    silent["analysis"] = json!({"detail": "looked at"});
    assert_eq!(counts(&applied(|_| {}, &[cyclonedx(silent)]).vex), [0, 0, 0], "an advisory is no statement");
}

#[test]
fn references_lead_to_components_links_or_purls() {
    let link = "urn:cdx:3E671687-395b-41f5-a30f-a58921a69b79/2#nested%20b";
    for reference in ["a", "nested b", link, OPENSSL] {
        let mut evidence = applied(|_| {}, &[cyclonedx(analysed("not_affected", reference))]);
        assert!(is_set_aside(&mut evidence), "{reference}");
    }
    for (reference, want) in [
        ("nameless", "names neither a package"),
        ("nowhere", "no component of the document"),
        ("urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1#a", "leads into another BOM"),
        ("urn:cdx:00000000-395b-41f5-a30f-a58921a69b79/2#a", "leads into another BOM"),
    ] {
        let mut evidence = applied(|_| {}, &[cyclonedx(analysed("not_affected", reference))]);
        assert!(!is_set_aside(&mut evidence), "{reference}");
        assert!(reasons(&evidence.vex.refused)[0].contains(want), "{:?}", evidence.vex);
    }
    let mut twice = cyclonedx(analysed("not_affected", "a"));
    twice["components"][1]["bom-ref"] = json!("a");
    let twice = applied(|_| {}, &[twice]);
    assert!(reasons(&twice.vex.refused)[0].contains("two components have the reference `a`"));
}

#[test]
fn a_link_into_the_document_that_is_judged_leads_to_its_package() {
    let serial = "00000000-395b-41f5-a30f-a58921a69b79";
    let of = |bom: Option<&str>, purl: &str| {
        let mut document = cyclonedx(analysed("not_affected", &format!("urn:cdx:{serial}/2#{purl}")));
        document["metadata"]["component"] = json!({"type": "application", "name": "notes"});
        let mut evidence = evidence();
        evidence.bom = bom.map(str::to_owned);
        evidence.platforms_mut()[0].findings_mut().findings.push(finding(CVE));
        apply(&mut evidence, &[self::document(&document)], latest());
        (is_set_aside(&mut evidence), evidence.vex)
    };
    let named = "pkg:deb/debian/openssl@3.0.11-1%3Farch=amd64%26package-id=0123456789abcdef";
    let judged = format!("{serial}/2");
    assert!(of(Some(&judged), named).0);
    for (bom, purl, refused) in [
        (None, named, 1),
        (Some("00000000-395b-41f5-a30f-a58921a69b79/1"), named, 1),
        (Some(judged.as_str()), "pkg:deb/debian/zlib1g@1", 0),
        (Some(&judged), "16e3a5f2-trivy", 1),
    ] {
        let (aside, report) = of(bom, purl);
        assert_eq!((aside, report.refused.len()), (false, refused), "{purl} {report:?}");
    }
}

#[test]
fn a_bom_speaks_of_its_own_product_alone() {
    let of = |product: Value| {
        let mut document = cyclonedx(analysed("not_affected", "a"));
        document["metadata"]["component"] = product;
        applied(|_| {}, &[document])
    };
    let this = json!({"type": "container", "name": "app", "version": IMAGE_DIGEST});
    assert!(is_set_aside(&mut of(this)));
    let hashed = json!({"type": "container", "name": "app", "hashes": [
        {"alg": "SHA-256", "content": IMAGE_DIGEST.strip_prefix("sha256:").unwrap()},
    ]});
    assert!(is_set_aside(&mut of(hashed)));
    let mut other = of(json!({"type": "container", "name": "app", "purl": "pkg:oci/app", "version": "1"}));
    assert!(!is_set_aside(&mut other));
    assert!(reasons(&other.vex.refused)[0].contains("without its digest"), "{:?}", other.vex);
    let mut named = of(json!({"type": "application", "name": "shop", "version": "1"}));
    assert!(!is_set_aside(&mut named));
    assert!(reasons(&named.vex.refused)[0].contains("`shop 1` names neither"), "{:?}", named.vex);
    let mut document = cyclonedx(analysed("not_affected", "me"));
    document["metadata"]["component"] =
        json!({"type": "library", "bom-ref": "me", "name": "openssl", "purl": OPENSSL});
    assert!(is_set_aside(&mut applied(|_| {}, &[document])));
}

#[test]
fn listed_versions_must_clear_this_one() {
    let with = |state: &str, versions: Value| {
        let mut vulnerability = analysed(state, "pkg:deb/debian/openssl");
        vulnerability["affects"][0]["versions"] = versions;
        applied(|_| {}, &[cyclonedx(vulnerability)])
    };
    let clear = |version: Value| with("not_affected", json!([version]));
    assert!(is_set_aside(&mut clear(json!({"version": "3.0.11-1", "status": "unaffected"}))));
    assert!(is_set_aside(&mut clear(json!({"range": "vers:deb/>=3.0.10|<3.0.12", "status": "unaffected"}))));
    let fixed = json!([
        {"range": "vers:deb/<3.0.11", "status": "affected"},
        {"range": "vers:deb/>=3.0.11", "status": "unaffected"},
    ]);
    assert!(is_set_aside(&mut with("resolved", fixed)));
    for (version, refused) in [
        (json!({"version": "3.0.10-1", "status": "unaffected"}), false),
        (json!({"range": "vers:deb/<3.0.11", "status": "unaffected"}), false),
        (json!({"version": "3.0.11-1", "status": "affected"}), true),
        (json!({"version": "3.0.11-1"}), true),
        (json!({"range": "vers:generic/<4", "status": "unaffected"}), true),
        (json!({"status": "unaffected"}), true),
    ] {
        let mut evidence = clear(version.clone());
        assert!(!is_set_aside(&mut evidence), "{version}");
        assert_eq!(!evidence.vex.refused.is_empty(), refused, "{version}");
    }
}

#[test]
fn a_component_that_contradicts_its_purl_is_not_applied() {
    let of = |component: Value| {
        let mut document = cyclonedx(analysed("not_affected", "a"));
        document["components"][0] = component;
        document["components"][0]["bom-ref"] = json!("a");
        let mut evidence = applied(|_| {}, &[document]);
        (is_set_aside(&mut evidence), reasons(&evidence.vex.refused).join(", "))
    };
    for (component, want) in [
        (json!({"name": "openssl", "version": "3.0.10-1", "purl": OPENSSL}), "its version `3.0.10-1`"),
        (json!({"name": "libfoo", "version": "3.0.11-1", "purl": OPENSSL}), "its name `libfoo`"),
        (json!({"name": "libfoo", "purl": "pkg:deb/debian/openssl"}), "its name `libfoo`"),
        (json!({"name": "ssl", "purl": OPENSSL}), "its name `ssl`"),
    ] {
        let (aside, reason) = of(component.clone());
        assert!(!aside && reason.contains(want) && reason.contains("of its purl"), "{component}: {reason}");
    }
    for component in [
        json!({"name": "openssl", "version": "3.0.11-1", "purl": OPENSSL}),
        json!({"name": "OpenSSL", "version": "0:3.0.11-1", "purl": OPENSSL}),
        json!({"name": "debian/openssl", "purl": OPENSSL}),
    ] {
        assert_eq!(of(component.clone()), (true, String::new()), "{component}");
    }
}

#[test]
fn the_names_and_versions_of_tools_are_those_of_their_purls() {
    let of = |name: &str, version: &str, purl: &str| {
        let raw = json!({"name": name, "version": version, "purl": purl, "bom-ref": "a"});
        let document = cyclonedx(analysed("not_affected", "a"));
        let mut document = document;
        document["components"] = json!([raw]);
        let read = self::document(&document);
        read.statements[0].targets[0].product.problem.clone()
    };
    for (name, version, purl) in [
        ("@babel/core", "7.0.0", "pkg:npm/%40babel/core@7.0.0"),
        ("core", "7.0.0", "pkg:npm/%40babel/core@7.0.0"),
        ("org.slf4j:slf4j-api", "2.0", "pkg:maven/org.slf4j/slf4j-api@2.0"),
        ("github.com/BurntSushi/toml", "1.2.0", "pkg:golang/github.com/burntsushi/toml@v1.2.0"),
        ("github.com/a/b/cmd", "v1", "pkg:golang/github.com/a/b@v1#cmd"),
        ("Typing_Extensions", "4.0", "pkg:pypi/typing-extensions@4.0"),
        ("openssl", "1:3.0.7-27", "pkg:rpm/rocky/openssl@3.0.7-27?epoch=1"),
        ("ghcr.io/acme/app:v1", "v1", "pkg:oci/app@sha256%3A00?tag=v1"),
    ] {
        assert_eq!(of(name, version, purl), None, "{name} {version} {purl}");
    }
    for (name, version, purl) in [
        ("cmd", "v1", "pkg:golang/github.com/a/b@v1#cmd"),
        ("openssl", "2:3.0.7-27", "pkg:rpm/rocky/openssl@3.0.7-27?epoch=1"),
        ("a", "v1", "pkg:npm/a@1"),
        ("x/core", "7.0.0", "pkg:npm/%40babel/core@7.0.0"),
    ] {
        assert!(of(name, version, purl).is_some(), "{name} {version} {purl}");
    }
}

#[test]
fn the_time_is_that_of_the_analysis_and_not_of_the_record() {
    let at = |times: Value, updated: &str| {
        let mut vulnerability = analysed("not_affected", "a");
        vulnerability["analysis"].as_object_mut().unwrap().extend(times.as_object().unwrap().clone());
        vulnerability["updated"] = json!(updated);
        let read = document(&cyclonedx(vulnerability));
        read.statements[0].time.unwrap().to_string()
    };
    let (first, last) = ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z");
    let record = "2026-06-01T00:00:00Z";
    assert_eq!(at(json!({"firstIssued": first, "lastUpdated": last}), record), last);
    assert_eq!(at(json!({"firstIssued": first}), record), first);
    assert_eq!(at(json!({}), record), "2026-01-01T00:00:00Z");
    assert_eq!(at(json!({}), "soon"), "2026-01-01T00:00:00Z");
}

#[test]
fn cyclonedx_must_state_something_of_vulnerabilities() {
    let cause = |document: &Value| read(document.to_string().as_bytes(), "a").unwrap_err().to_string();
    let mut old = cyclonedx(analysed("not_affected", "a"));
    old["specVersion"] = json!("1.3");
    assert!(cause(&old).contains("1.4 to 1.7"));
    let mut silent = cyclonedx(Value::Null);
    silent.as_object_mut().unwrap().remove("vulnerabilities");
    assert!(cause(&silent).contains("without `vulnerabilities`"));
}
