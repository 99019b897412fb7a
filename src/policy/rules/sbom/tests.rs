use serde_json::{Value, json};

use super::*;
use crate::model::evidence::Evidence;
use crate::model::predicate::{CYCLONEDX, SPDX};
use crate::model::verdict::Outcome::{self, Hold, Undecided, Violate};
use crate::policy::fixture::{Case, attested, ci, gap, package, sbom, sec, signature};

const PURL: &str = "pkg:deb/debian/openssl@3.0.11-1?arch=amd64";

/// The same content attested of each platform.
fn each(content: &Content) -> impl FnOnce(&mut Evidence) {
    let content = content.clone();
    move |evidence| {
        let platforms = evidence.platforms_mut().iter();
        let all = platforms.map(|platform| attested(Some(platform), [(ci(), content.clone())])).collect();
        evidence.attested = Fact::Known(all);
    }
}

fn each_inventory(change: impl Fn(&mut Inventory)) -> impl FnOnce(&mut Evidence) {
    move |evidence| evidence.platforms_mut().iter_mut().for_each(|platform| change(platform.inventory_mut()))
}

fn cyclonedx(components: Value) -> Content {
    let predicate = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components});
    Content::Statement { predicate_type: CYCLONEDX.into(), predicate }
}

fn spdx(predicate: Value) -> Content {
    Content::Statement { predicate_type: SPDX.into(), predicate }
}

fn spdx_document(purls: &[&str]) -> Value {
    let refs = |purl: &&str| json!([{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}]);
    let packages =
        purls.iter().map(|purl| json!({"SPDXID": "SPDXRef-p", "name": "p", "externalRefs": refs(purl)}));
    let image = json!({"SPDXID": "SPDXRef-image", "name": "app", "primaryPackagePurpose": "CONTAINER"});
    json!({
        "spdxVersion": "SPDX-2.3",
        "SPDXID": "SPDXRef-DOCUMENT",
        "packages": packages.chain([image]).collect::<Vec<_>>(),
        "relationships": [{
            "spdxElementId": "SPDXRef-DOCUMENT",
            "relationshipType": "DESCRIBES",
            "relatedSpdxElement": "SPDXRef-image",
        }],
    })
}

fn tag_value(body: &str) -> Value {
    json!(format!(
        "SPDXVersion: SPDX-2.3\nSPDXID: SPDXRef-DOCUMENT\nDocumentComment: <text>PackageName: no\nExternalRef: X \
         purl {PURL}\n</text>\n\nPackageName: app\nSPDXID: SPDXRef-image\n{body}\n\
         Relationship: SPDXRef-DOCUMENT DESCRIBES SPDXRef-image\n"
    ))
}

fn plain() -> Case {
    Case::rule("sbom: {by: [ci]}")
}

fn complete() -> Case {
    Case::rule("sbom: {by: [ci], complete: true}")
}

fn outcome(case: &Case, content: &Content) -> Outcome {
    case.clone().with(each(content)).outcome()
}

#[test]
fn each_platform_has_an_sbom() {
    assert_eq!(plain().outcome(), Violate);
    assert_eq!(outcome(&plain(), &sbom()), Hold);
    assert_eq!(outcome(&plain(), &signature()), Violate);
    let first_only = plain().with(each(&sbom())).with(|evidence| {
        let Fact::Known(attested) = &mut evidence.attested else { panic!("not known") };
        attested[1].attestations.clear();
    });
    assert_eq!(first_only.outcome(), Violate);
    let stranger = plain().with(each(&sbom())).with(|evidence| {
        let Fact::Known(attested) = &mut evidence.attested else { panic!("not known") };
        attested.iter_mut().for_each(|one| one.attestations[0].signed_by = sec());
    });
    assert_eq!(stranger.outcome(), Violate);
    assert_eq!(plain().with(|e| e.attested = Fact::Unknown("x".into())).outcome(), Undecided);
}

#[test]
fn an_sbom_of_the_index_says_nothing_of_a_platform() {
    let index =
        |evidence: &mut Evidence| evidence.attested = Fact::Known(vec![attested(None, [(ci(), sbom())])]);
    assert_eq!(plain().with(index).outcome(), Violate);
    assert_eq!(Case::rule("sbom: {by: [ci], perPlatform: false}").with(index).outcome(), Hold);
}

#[test]
fn it_is_of_a_format_that_the_policy_takes() {
    let both = [sbom(), spdx(spdx_document(&[PURL]))];
    for (formats, want) in
        [("[cyclonedx, spdx]", [Hold, Hold]), ("cyclonedx", [Hold, Violate]), ("[spdx]", [Violate, Hold])]
    {
        let case = Case::rule(&format!("sbom: {{by: [ci], formats: {formats}}}"));
        assert_eq!(both.clone().map(|content| outcome(&case, &content)), want, "{formats}");
    }
    let versioned =
        |uri: &str| Content::Statement { predicate_type: uri.into(), predicate: spdx_document(&[PURL]) };
    assert_eq!(outcome(&plain(), &versioned("https://spdx.dev/Document/v2.3")), Hold);
    assert_eq!(outcome(&plain(), &versioned("https://spdx.dev/DocumentX")), Violate);
    assert_eq!(outcome(&plain(), &versioned("https://spdx.dev/Document/vx")), Violate);
}

#[test]
fn what_only_says_that_it_is_an_sbom_is_none() {
    let of = |predicate: Value| Content::Statement { predicate_type: CYCLONEDX.into(), predicate };
    let component = json!([{"type": "library", "name": "x", "purl": PURL}]);
    for predicate in [
        Value::Null,
        json!("CycloneDX"),
        json!({"components": component}),
        json!({"bomFormat": "Other", "specVersion": "1.6", "components": component}),
        json!({"bomFormat": "CycloneDX", "components": component}),
        json!({"bomFormat": "CycloneDX", "specVersion": "2.0", "components": component}),
        json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": "x"}),
    ] {
        assert_eq!(outcome(&plain(), &of(predicate.clone())), Violate, "{predicate}");
    }
    let mut document = spdx_document(&[PURL]);
    for version in [Value::Null, json!("SPDX-3.0"), json!("2.3"), json!("SPDX-2.x")] {
        document["spdxVersion"] = version;
        assert_eq!(outcome(&plain(), &spdx(document.clone())), Violate);
    }
    assert_eq!(outcome(&plain(), &spdx(json!("{\"spdxVersion\": "))), Violate);
    assert_eq!(outcome(&plain(), &spdx(json!(""))), Violate);
    // Attack: one reader takes the first of two, another the last.
    let twice = format!("{{\"spdxVersion\": \"SPDX-2.3\", {}", &spdx_document(&[PURL]).to_string()[1..]);
    assert_eq!(outcome(&plain(), &spdx(json!(twice))), Violate);
}

#[test]
fn an_sbom_without_packages_is_none_where_the_layers_have_some() {
    let image = json!([
        {"type": "container", "name": "app", "purl": "pkg:oci/app@sha256%3A0"},
        {"type": "operating-system", "name": "debian"},
        {"type": "file", "name": "/bin/sh"},
        {"type": "library", "name": "openssl", "purl": PURL, "scope": "excluded"},
    ]);
    let empty = [
        cyclonedx(json!([])),
        cyclonedx(Value::Null),
        cyclonedx(image),
        spdx(spdx_document(&[])),
        spdx(spdx_document(&["pkg:oci/app"])),
        spdx(json!(spdx_document(&[]).to_string())),
        spdx(tag_value("")),
        spdx(tag_value("FileName: x\nExternalRef: PACKAGE-MANAGER purl pkg:npm/x@1")),
    ];
    for content in &empty {
        assert_eq!(outcome(&plain(), content), Violate, "{content:?}");
        let bare = plain().with(each(content)).with(each_inventory(|inventory| inventory.packages.clear()));
        assert_eq!(bare.outcome(), Hold, "{content:?}");
        let hidden = bare.clone().with(each_inventory(|inventory| inventory.gaps.push(gap("x", "npm"))));
        assert_eq!(hidden.outcome(), Undecided, "{content:?}");
        for unknown in [Fact::Unknown("x".into()), Fact::Absent] {
            let unknown = bare.clone().with(|e| {
                e.platforms_mut().iter_mut().for_each(|platform| platform.inventory = unknown.clone());
            });
            assert_eq!(unknown.outcome(), Undecided, "{content:?}");
        }
    }
}

#[test]
fn a_complete_one_names_every_package_of_the_layers() {
    let named = [
        sbom(),
        cyclonedx(json!([{"type": "x", "components": [{"components": [{"purl": PURL}]}]}])),
        spdx(spdx_document(&["pkg:npm/y@1", PURL])),
        spdx(json!(spdx_document(&[PURL]).to_string())),
        spdx(tag_value(&format!("PackageName: openssl\nExternalRef: PACKAGE-MANAGER purl {PURL}"))),
    ];
    for content in &named {
        assert_eq!(outcome(&complete(), content), Hold, "{content:?}");
    }
    for other in [
        "pkg:deb/debian/openssl@3.0.11-2",
        "pkg:deb/ubuntu/openssl@3.0.11-1",
        "pkg:rpm/debian/openssl@3.0.11-1",
        "pkg:deb/debian/openssl",
        "pkg:deb/debian/libssl@3.0.11-1",
        "openssl 3.0.11-1",
    ] {
        let content = cyclonedx(json!([{"type": "library", "name": "openssl", "purl": other}]));
        assert_eq!(outcome(&complete(), &content), Violate, "{other}");
        assert_eq!(outcome(&plain(), &content), Hold, "{other}");
    }
    let excluded = cyclonedx(json!([
        {"type": "library", "name": "x", "purl": "pkg:npm/x@1"},
        {"type": "library", "name": "openssl", "purl": PURL, "scope": "excluded"},
    ]));
    assert_eq!(outcome(&complete(), &excluded), Violate);
}

#[test]
fn what_is_missing_is_listed() {
    let more = complete().with(each(&sbom())).with(each_inventory(|inventory| {
        inventory.packages.push(package("pkg:npm/%40acme/left-pad", "1.3.0"));
        inventory.packages.push(package("pkg:npm/%40acme/left-pad", "1.3.0"));
    }));
    assert_eq!(more.outcome(), Violate);
    assert!(
        more.texts()[0].contains("lacks 1 package of the layers: pkg:npm/%40acme/left-pad@1.3.0"),
        "{:?}",
        more.texts()
    );
    let build = complete().with(each(&sbom())).with(each_inventory(|inventory| {
        inventory.packages.push(Package { scope: Scope::Build, ..package("pkg:npm/webpack", "1") });
    }));
    assert_eq!(build.outcome(), Hold, "it was built with that, and does not run with it");
    let guessed = complete().with(each(&sbom())).with(each_inventory(|inventory| {
        inventory.packages.push(Package { guessed: true, ..package("pkg:npm/guess", "1") });
    }));
    assert_eq!(guessed.outcome(), Undecided);
}

#[test]
fn what_could_not_be_listed_cannot_be_compared() {
    let open =
        complete().with(each(&sbom())).with(each_inventory(|inventory| inventory.gaps.push(gap("x", "npm"))));
    assert_eq!(open.outcome(), Undecided);
    for unknown in [Fact::Unknown("x".into()), Fact::Absent] {
        let change = |e: &mut Evidence| {
            e.platforms_mut().iter_mut().for_each(|platform| platform.inventory = unknown.clone());
        };
        assert_eq!(complete().with(each(&sbom())).with(change).outcome(), Undecided);
        assert_eq!(plain().with(each(&sbom())).with(change).outcome(), Hold);
    }
    let none = complete().with(each(&sbom())).with(|e| e.platforms = Fact::Unknown("x".into()));
    assert_eq!(none.outcome(), Undecided);
    assert_eq!(none.texts().len(), 1, "once is enough");
}

#[test]
fn an_old_one_does_not_count() {
    let case = Case::rule("sbom: {by: [ci], maxAge: 7d}").with(each(&sbom()));
    assert_eq!(case.outcome(), Hold);
    assert_eq!(case.clone().at("2026-12-02T12:00:00Z").outcome(), Violate);
    let timeless = case.with(|evidence| {
        let Fact::Known(attested) = &mut evidence.attested else { panic!("not known") };
        attested.iter_mut().for_each(|one| one.attestations[0].times.clear());
    });
    assert_eq!(timeless.outcome(), Undecided);
}

#[test]
fn settings_that_say_nothing_are_errors() {
    for bad in [
        "{}",
        "{by: []}",
        "{by: [ci], formats: []}",
        "{by: [ci], formats: syft}",
        "{by: [ci], complete: all}",
    ] {
        assert!(Case::try_rule(&format!("sbom: {bad}")).is_err(), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn tags_and_values_of_any_kind_are_read(text in "(SPDXVersion|PackageName|ExternalRef|SPDXID|<text>|:| |a|\\n|é){0,40}") {
        let read = Document::read(Format::Spdx, &Value::String(text));
        if let Ok(document) = read {
            proptest::prop_assert!(document.purls.is_empty() || document.packages <= 40);
        }
    }
}
