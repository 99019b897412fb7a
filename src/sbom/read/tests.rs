use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::inventory::SourcePackage;
use crate::model::layer::Scope;
use crate::model::purl::Purl;
use crate::sbom::fixture::{Fixture, digest, gap, package};
use crate::sbom::format;

fn read_value(document: &Value) -> Document {
    read(document.to_string().as_bytes(), &"bom.json".into()).unwrap()
}

fn refused(text: &str) -> String {
    read(text.as_bytes(), &"bom.json".into()).unwrap_err().to_string()
}

/// A CycloneDX document of a tool.
fn bom(tool: &str, components: Value) -> Value {
    json!({
        "bomFormat": "CycloneDX", "specVersion": "1.6",
        "metadata": {"tools": {"components": [{"type": "application", "name": tool}]}},
        "components": components,
    })
}

fn debian(version: &str) -> Value {
    json!({"type": "operating-system", "name": "debian", "version": version})
}

fn causes(document: &Document) -> Vec<&str> {
    document.inventory.gaps.iter().map(|gap| gap.cause.as_str()).collect()
}

fn doubt(document: &Document) -> Option<&str> {
    document.inventory.packages[0].doubt.as_deref()
}

/// What the formats have of an inventory.
fn kept(inventory: &Inventory) -> Inventory {
    let mut inventory = inventory.clone();
    for package in &mut inventory.packages {
        package.layer.created_by = None;
        package.license = Default::default();
    }
    inventory
}

fn round_trip(fixture: &Fixture, format: &str) -> Document {
    let bytes = crate::sbom::format(format).unwrap().render(&fixture.subject()).unwrap();
    read(&bytes, &"bom.json".into()).unwrap()
}

#[test]
fn our_own_documents_read_back() {
    let mut fixture = Fixture::new();
    fixture.inventory.packages.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    let packages = &mut fixture.inventory.packages;
    packages[0].arch = Some("amd64".into());
    packages[0].depends_on = Some([1, 2].into());
    packages[1].depends_on = Some([0].into());
    packages[2].depends_on = Some([].into());
    packages[1].guessed = true;
    packages[2].scope = Scope::Build;
    packages[2].doubt = Some("not sure\u{1b}".into());
    packages[3].supplier = Some("Acme\u{1b}\\".into());
    packages[3].cpe = Some("cpe:2.3:a:b:c:1:*:*:*:*:*:*:*".into());
    fixture.inventory.gaps = vec![gap(b"a\x1b\xff", "no \"cataloger\"\nyet \u{202e}"), gap(b"b", "other")];
    fixture.inventory.warnings = vec![gap(b"w\n", "odd \u{200b}")];
    fixture.reference = Some("ghcr.io/acme/orders:1.4.2".parse().unwrap());
    for format in ["cyclonedx", "cyclonedx-1.5", "cyclonedx-1.4", "spdx"] {
        let document = round_trip(&fixture, format);
        assert_eq!(kept(&document.inventory), kept(&fixture.inventory), "{format}");
        assert_eq!(document.reference, fixture.reference);
        assert_eq!(document.digest, Some(digest("index")));
        assert_eq!(document.manifest, Some(digest("manifest")));
        assert_eq!(document.platform, "linux/amd64".parse().ok());
    }
    let licenses = |n: usize| round_trip(&fixture, "spdx").inventory.packages[n].licenses.clone();
    assert_eq!(licenses(0), ["Apache-2.0"]);
    assert_eq!(licenses(3), ["MIT", "Apache-2.0 OR MIT", "Expat"]);
}

#[test]
fn names_that_try_to_break_a_document_read_back_letter_for_letter() {
    let mut fixture = Fixture::hostile();
    fixture.inventory.gaps.sort();
    for source in fixture.inventory.packages.iter_mut().filter_map(|package| package.source.as_mut()) {
        // The last `@` divides, and no version order has one.
        source.version = source.version.replace('@', "-");
    }
    for format in ["cyclonedx", "spdx"] {
        let document = round_trip(&fixture, format);
        let twice = |gap: &&Gap| gap.cause.starts_with("two components");
        assert!(!document.inventory.gaps.iter().any(|gap| twice(&gap)));
        assert_eq!(kept(&document.inventory), kept(&fixture.inventory), "{format}");
    }
}

#[test]
fn a_component_taken_out_of_a_document_of_ours_is_missed() {
    for (name, list) in [("cyclonedx", "components"), ("spdx", "packages")] {
        let bytes = format(name).unwrap().render(&Fixture::new().subject()).unwrap();
        let mut document: Value = serde_json::from_slice(&bytes).unwrap();
        document[list].as_array_mut().unwrap().pop();
        let read = read_value(&document);
        assert!(causes(&read).contains(&"it has other components than it says: it was changed"), "{name}");
    }
}

#[test]
fn a_gap_taken_out_of_a_document_of_ours_is_missed() {
    let bytes = format("cyclonedx").unwrap().render(&Fixture::hostile().subject()).unwrap();
    let mut document: Value = serde_json::from_slice(&bytes).unwrap();
    let properties = document["metadata"]["component"]["properties"].as_array_mut().unwrap();
    let at = properties.iter().position(|property| property["name"] == "portcullis:gap").unwrap();
    properties.remove(at);
    assert!(causes(&read_value(&document)).contains(&"it has other gaps than it says: it was changed"));
}

#[test]
fn a_document_of_another_tool_has_a_gap_that_covers_what_it_leaves_out() {
    let read = read_value(&bom("syft", json!([])));
    assert_eq!(causes(&read), ["a CycloneDX 1.6 document of another tool: what it leaves out is not known"]);
    let gap = &read.inventory.gaps[0];
    assert_eq!((gap.path.to_string().as_str(), gap.cataloger.as_str()), ("bom.json", CATALOGER));
    // Our name alone does not make it ours, and neither does a second tool's.
    assert_eq!(causes(&read_value(&bom("portcullis", json!([])))).len(), 1);
}

#[test]
fn syft_leaves_out_a_source_package_of_the_same_name() {
    let component = json!({
        "type": "library", "name": "base-files", "version": "12.4+deb12u15", "bom-ref": "a",
        "purl": "pkg:deb/debian/base-files@12.4%2Bdeb12u15?arch=amd64&distro=debian-12",
        "properties": [
            {"name": "syft:location:0:layerID", "value": digest("tar").to_string()},
            {"name": "syft:location:0:path", "value": "/var/lib/dpkg/status"},
        ],
    });
    let source = |name: &str| Some(SourcePackage { name: name.into(), version: "12.4+deb12u15".into() });
    let read = read_value(&bom("syft", json!([component, debian("12")])));
    let package = &read.inventory.packages[0];
    assert_eq!((&package.source, &package.doubt), (&source("base-files"), &None));
    assert_eq!(package.arch.as_deref(), Some("amd64"));
    assert_eq!(package.layer.diff_id, Some(digest("tar")));
    assert_eq!((package.layer.index, &package.layer.digest), (None, &None));
    assert_eq!(package.locations, ["var/lib/dpkg/status".into()]);
    // Of another tool that silence says nothing.
    let read = read_value(&bom("other", json!([component, debian("12")])));
    assert_eq!(doubt(&read), Some("the SBOM document does not state its source package"));
}

#[test]
fn a_package_of_another_distribution_than_the_document_is_in_doubt() {
    let component =
        |purl: &str| json!({"type": "library", "name": "openssl", "version": "3.0.1-1", "purl": purl});
    for (purl, sure) in [
        ("pkg:deb/debian/openssl@3.0.1-1?distro=debian-12&upstream=openssl", true),
        ("pkg:deb/ubuntu/openssl@3.0.1-1", false),
        ("pkg:deb/ubuntu/openssl@3.0.1-1?distro=debian-12", false),
        ("pkg:rpm/redhat/openssl@3.0.1-1", false),
        ("pkg:apk/alpine/openssl@3.0.1-1", false),
    ] {
        let read = read_value(&bom("syft", json!([component(purl), debian("12")])));
        assert_eq!(doubt(&read).is_none(), sure, "{purl}: {:?}", doubt(&read));
    }
}

#[test]
fn a_component_that_has_a_package_s_purl_is_a_package_whatever_it_calls_itself() {
    let lodash = "pkg:npm/lodash@4.17.15";
    for kind in ["operating-system", "container", "file", "data"] {
        let component = json!({"type": kind, "name": "lodash", "version": "4.17.15", "purl": lodash});
        assert_eq!(read_value(&bom("syft", json!([component]))).inventory.packages.len(), 1, "{kind}");
    }
    for purpose in ["CONTAINER", "OPERATING-SYSTEM"] {
        let package = json!({"SPDXID": "SPDXRef-a", "name": "lodash", "versionInfo": "4.17.15",
            "primaryPackagePurpose": purpose, "externalRefs": purl_of(lodash)});
        let mut document = spdx("syft", json!([package]));
        document["documentDescribes"] = json!(["SPDXRef-a"]);
        assert_eq!(read_value(&document).inventory.packages.len(), 1, "{purpose}");
    }
}

#[test]
fn a_group_that_contradicts_the_purl_is_a_doubt() {
    let doubtful = |group: &str, name: &str, purl: &str| {
        let component =
            json!({"type": "library", "group": group, "name": name, "version": "1", "purl": purl});
        doubt(&read_value(&bom("syft", json!([component])))).is_some()
    };
    assert!(!doubtful("org.apache", "log4j", "pkg:maven/org.apache/log4j@1"));
    assert!(!doubtful("", "log4j", "pkg:maven/org.apache/log4j@1"));
    assert!(!doubtful("@angular", "core", "pkg:npm/%40angular/core@1"));
    assert!(!doubtful("@angular", "@angular/core", "pkg:npm/%40angular/core@1"));
    assert!(doubtful("org.apache", "log4j", "pkg:maven/com.harmless/log4j@1"));
    assert!(doubtful("@angular", "core", "pkg:npm/core@1"));
}

#[test]
fn a_key_that_only_some_parsers_read_refuses_the_document() {
    let mut document = bom("syft", json!([]));
    document["Components"] = json!([{"type": "library", "name": "a"}]);
    document.as_object_mut().unwrap().remove("components");
    let refused = read(&serde_json::to_vec(&document).unwrap(), &"bom.json".into()).unwrap_err();
    assert!(refused.to_string().contains("`Components`") || refused.to_string().contains("\"Components\""));
}

#[test]
fn trivy_states_source_layer_and_a_point_release() {
    let component = json!({
        "type": "library", "name": "bash", "version": "1:5.2.15-2+b2", "bom-ref": "a",
        "purl": "pkg:deb/debian/bash@5.2.15-2%2Bb2?arch=amd64&distro=debian-12.5&epoch=1",
        "properties": [
            {"name": "aquasecurity:trivy:SrcName", "value": "bash"},
            {"name": "aquasecurity:trivy:SrcVersion", "value": "5.2.15"},
            {"name": "aquasecurity:trivy:SrcRelease", "value": "2"},
            {"name": "aquasecurity:trivy:SrcEpoch", "value": "1"},
            {"name": "aquasecurity:trivy:LayerDiffID", "value": digest("tar 1").to_string()},
            {"name": "aquasecurity:trivy:LayerDigest", "value": digest("blob 1").to_string()},
        ],
    });
    let lock = json!({
        "type": "application", "name": "srv/package-lock.json", "bom-ref": "lock",
        "properties": [{"name": "aquasecurity:trivy:Class", "value": "lang-pkgs"}],
    });
    let mut document = bom("trivy", json!([component, debian("12.5"), lock]));
    document["dependencies"] = json!([{"ref": "a", "dependsOn": ["lock"]}]);
    document["metadata"]["component"] = json!({"type": "container", "name": "x", "properties": [
        {"name": "aquasecurity:trivy:RepoDigest", "value": format!("x@{}", digest("index"))},
        {"name": "aquasecurity:trivy:DiffID", "value": digest("tar 0").to_string()},
        {"name": "aquasecurity:trivy:DiffID", "value": digest("tar 1").to_string()},
    ]});
    let read = read_value(&document);
    assert_eq!(causes(&read).len(), 1);
    assert_eq!(read.digest, Some(digest("index")));
    let distro = read.inventory.distro.unwrap();
    assert_eq!((distro.id.as_str(), distro.version_id.as_str()), ("debian", "12"));
    let package = &read.inventory.packages[0];
    assert_eq!(package.source, Some(SourcePackage { name: "bash".into(), version: "1:5.2.15-2".into() }));
    assert_eq!((package.version.as_str(), &package.doubt), ("1:5.2.15-2+b2", &None));
    assert_eq!(package.layer.index, Some(1));
    assert_eq!(package.layer.digest, Some(digest("blob 1")));
}

fn spdx(tool: &str, packages: Value) -> Value {
    json!({
        "spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT",
        "creationInfo": {"creators": [format!("Tool: {tool}"), "Organization: x"]},
        "packages": packages,
    })
}

fn purl_of(purl: &str) -> Value {
    json!([{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}])
}

#[test]
fn spdx_of_syft_and_trivy_says_it_in_other_places() {
    let read = read_value(&spdx(
        "syft-1.18.1",
        json!([{
            "SPDXID": "SPDXRef-Package-apk-ssl", "name": "ssl_client", "versionInfo": "1.33.1-r8",
            "sourceInfo": "acquired package info from APK DB: /lib/apk/db/installed",
            "externalRefs": purl_of("pkg:apk/alpine/ssl_client@1.33.1-r8?distro=alpine-3.14.10&upstream=busybox"),
        }]),
    ));
    assert_eq!(read.inventory.packages[0].source.as_ref().unwrap().name, "busybox");
    assert_eq!(read.inventory.packages[0].locations, ["lib/apk/db/installed".into()]);
    assert_eq!(read.inventory.distro.unwrap().version_id, "3.14.10");
    let read = read_value(&spdx(
        "trivy-0.50.0",
        json!([
            {"SPDXID": "SPDXRef-OperatingSystem-1", "name": "redhat", "versionInfo": "8.3"},
            {"SPDXID": "SPDXRef-Application-1", "name": "bundler"},
            {
                "SPDXID": "SPDXRef-Package-1", "name": "binutils", "versionInfo": "2.30-93.el8",
                "sourceInfo": "built package from: binutils 2.30-93.el8",
                "attributionTexts": ["PkgID: x", format!("LayerDiffID: {}", digest("tar"))],
                "externalRefs": purl_of("pkg:rpm/redhat/binutils@2.30-93.el8?arch=aarch64&distro=redhat-8.3"),
            },
        ]),
    ));
    assert_eq!(read.inventory.distro.unwrap().id, "rhel");
    let package = &read.inventory.packages[0];
    assert_eq!(package.source.as_ref().unwrap().version, "2.30-93.el8");
    assert_eq!((&package.layer.diff_id, &package.doubt), (&Some(digest("tar")), &None));
}

#[test]
fn relations_of_spdx_stand_in_both_directions() {
    let package = |id: &str| {
        json!({
            "SPDXID": id, "name": id, "versionInfo": "1",
            "externalRefs": purl_of(&format!("pkg:npm/{id}@1")),
        })
    };
    let mut document = spdx("syft-1", json!([package("a"), package("b"), package("c")]));
    let relation = |from: &str, kind: &str, to: &str| json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to});
    document["relationships"] = json!([
        relation("a", "DEPENDENCY_OF", "b"),
        relation("b", "DEPENDS_ON", "c"),
        relation("c", "DEPENDS_ON", "b"),
        relation("c", "DEPENDS_ON", "gone"),
        relation("a", "CONTAINS", "b"),
    ]);
    let read = read_value(&document);
    let needs: Vec<_> = read.inventory.packages.iter().map(|package| package.depends_on.clone()).collect();
    assert_eq!(needs, [None, Some([0, 2].into()), Some([1].into())]);
    assert!(causes(&read).contains(&"1 relations lead to components that it does not list"));
}

#[test]
fn what_a_component_does_not_say_is_a_gap_that_names_it() {
    let read = read_value(&bom(
        "syft",
        json!([
            {"type": "library", "name": "nameless"},
            {"type": "library", "name": "a", "purl": "pkg:npm/a"},
            {"type": "library", "name": "b", "version": "1", "purl": "pkg:npm/b%ff@1"},
            {"type": "library", "name": "c", "version": "1", "purl": "pkg:unheard-of/c@1"},
            {"type": "file", "name": "/bin/sh"},
        ]),
    ));
    assert_eq!(read.inventory.packages, []);
    let causes = causes(&read);
    assert_eq!(causes.len(), 5, "{causes:?}");
    for part in
        ["`nameless`: it has no purl", "`a`: it has no version", "`b`: its purl cannot", "`unheard-of`"]
    {
        assert!(causes.iter().any(|cause| cause.contains(part)), "{part} in {causes:?}");
    }
}

#[test]
fn a_purl_that_contradicts_name_version_or_distribution_leaves_a_doubt() {
    let with = |name: &str, version: &str, purl: &str| {
        let component = json!({"type": "library", "name": name, "version": version, "purl": purl});
        let document = read_value(&bom("trivy", json!([component, debian("12")])));
        document.inventory.packages[0].doubt.clone()
    };
    assert!(with("openssl", "1.0.0", "pkg:npm/harmless@1.0.0").unwrap().contains("name"));
    assert!(with("a", "1.0.0", "pkg:npm/a@2.0.0").unwrap().contains("version"));
    let deb = "pkg:deb/debian/a@1?distro=debian-11&upstream=a";
    assert!(with("a", "1", deb).unwrap().contains("distribution"));
    for (name, version, purl) in [
        ("Zope.Interface", "5.0", "pkg:pypi/zope-interface@5.0"),
        ("core", "1", "pkg:npm/%40babel/core@1"),
        ("@babel/core", "1", "pkg:npm/%40babel/core@1"),
        ("org.a:b", "1", "pkg:maven/org.a/b@1"),
        ("b", "1", "pkg:maven/org.a/b@1"),
        ("stdlib", "go1.19.8", "pkg:golang/stdlib@1.19.8"),
        ("github.com/a/b/c", "v1", "pkg:golang/github.com/a/b@v1#c"),
    ] {
        assert_eq!(with(name, version, purl), None, "{purl}");
    }
}

#[test]
fn an_rpm_has_its_epoch_in_front_wherever_it_stood() {
    let with = |tool: &str, version: &str, purl: &str| {
        let component = json!({"type": "library", "name": "gmp", "version": version, "purl": purl});
        read_value(&bom(tool, json!([component]))).inventory.packages[0].clone()
    };
    let purl = "pkg:rpm/rocky/gmp@6.2.0-13.el9?epoch=1&upstream=gmp-6.2.0-13.el9.src.rpm";
    for version in ["1:6.2.0-13.el9", "6.2.0-13.el9"] {
        let package = with("syft", version, purl);
        assert_eq!((package.version.as_str(), package.doubt), ("1:6.2.0-13.el9", None));
        assert_eq!(package.source.unwrap().version, "6.2.0-13.el9");
    }
    let silent = "pkg:rpm/rocky/gmp@6.2.0-13.el9?upstream=gmp-6.2.0-13.el9.src.rpm";
    assert_eq!(with("syft", "6.2.0-13.el9", silent).doubt, None);
    assert!(with("other", "6.2.0-13.el9", silent).doubt.unwrap().contains("epoch"));
}

#[test]
fn two_distributions_are_none() {
    let read = read_value(&bom("trivy", json!([debian("12"), debian("11")])));
    assert_eq!(read.inventory.distro, None);
    let deb = |version: &str| {
        let purl = format!("pkg:deb/debian/a@1?distro=debian-{version}");
        json!({"type": "library", "name": "a", "version": "1", "purl": purl})
    };
    let read = read_value(&bom("syft", json!([deb("12"), deb("11")])));
    assert_eq!(read.inventory.distro, None);
    assert!(causes(&read).contains(&"its packages are of several distributions"));
}

#[test]
fn a_name_that_two_components_have_is_a_gap() {
    let npm = |name: &str| json!({"type": "library", "bom-ref": "same", "name": name, "version": "1", "purl": format!("pkg:npm/{name}@1")});
    let read = read_value(&bom("syft", json!([npm("a"), npm("b")])));
    assert_eq!(read.inventory.packages.len(), 2);
    assert!(causes(&read).iter().any(|cause| cause.contains("two components are called `same`")));
}

#[test]
fn components_inside_components_count_and_excluded_ones_too() {
    let inner = json!({"type": "library", "name": "inner", "version": "1", "purl": "pkg:npm/inner@1", "scope": "excluded"});
    let outer = json!({"type": "framework", "name": "outer", "version": "1", "purl": "pkg:npm/outer@1", "components": [inner]});
    let read = read_value(&bom("syft", json!([outer])));
    let names: Vec<&str> = read.inventory.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ["inner", "outer"]);
    // Attack: everything marked as excluded, to be left out of matching.
    assert!(read.inventory.packages.iter().all(|package| package.scope == Scope::Runtime));
}

#[test]
fn gaps_of_a_document_are_bounded() {
    let components = vec![json!({"type": "library", "name": "a"}); 3_000];
    assert_eq!(causes(&read_value(&bom("syft", json!(components)))).len(), MAX_GAPS + 2);
}

#[test]
fn a_newer_minor_version_is_read_with_a_gap_and_another_major_one_is_refused() {
    let mut document = bom("trivy", json!([]));
    document["specVersion"] = "1.7".into();
    assert!(causes(&read_value(&document)).iter().any(|cause| cause.contains("1.7 is newer than 1.6")));
    for version in ["2.0", "1.2", "1", "1.x", "", "0.9"] {
        document["specVersion"] = version.into();
        assert!(refused(&document.to_string()).contains("only 1.3 to 1.6"), "{version}");
    }
    let mut document = spdx("syft-1", json!([]));
    document["spdxVersion"] = "SPDX-2.2".into();
    assert_eq!(read_value(&document).format, "SPDX 2.2");
    document["spdxVersion"] = "SPDX-2.1".into();
    assert!(refused(&document.to_string()).contains("only 2.2 to 2.3"));
}

#[test]
fn other_documents_are_refused_by_name() {
    for (text, cause) in [
        ("<?xml version='1.0'?><bom/>", "XML"),
        ("SPDXVersion: SPDX-2.3\n", "tag-value"),
        (r#"{"@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld", "@graph": []}"#, "SPDX 3"),
        ("{}", "neither"),
        (r#"{"bomFormat": "CycloneDX"}"#, "neither"),
        ("[]", "JSON"),
        ("", "JSON"),
        ("not json", "JSON"),
        ("\u{feff}{}", "byte order mark"),
        (r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"#, "EOF"),
        (r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[],"components":[]}"#, "twice"),
        (r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[],"Components":[]}"#, "twice"),
        (r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":5}]}"#, "invalid type"),
        (r#"{"bomFormat":"CycloneDX","specVersion":"1.6"} {}"#, "trailing"),
    ] {
        assert!(refused(text).contains(cause), "{text}: {}", refused(text));
    }
}

#[test]
fn deep_and_long_documents_are_bounded() {
    let head = r#"{"bomFormat":"CycloneDX","specVersion":"1.6","components":["#;
    assert!(refused(&format!("{head}{}", r#"{"components":["#.repeat(10_000))).contains("recursion"));
    let one_line = format!(
        "{head}{}{{}}]}}",
        "{\"name\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"},".repeat(200_000)
    );
    assert_eq!(read(one_line.as_bytes(), &"x".into()).unwrap().inventory.gaps.len(), MAX_GAPS + 2);
    let many = format!("{head}{}{{}}]}}", "{},".repeat(MAX_COMPONENTS));
    assert!(refused(&many).contains("components of an SBOM"));
    let values =
        format!(r#"{{"bomFormat":"CycloneDX","specVersion":"1.6","x":[{}0]}}"#, "0,".repeat(MAX_VALUES));
    assert!(refused(&values).contains("values of an SBOM"));
    let spaces = " ".repeat(usize::try_from(MAX_BYTES).unwrap());
    assert_eq!(read(format!("{spaces}{{}}").as_bytes(), &"x".into()), Err(ReadError::TooLarge));
}

proptest! {
    #[test]
    fn whatever_is_in_an_inventory_reads_back(
        name in "[a-zA-Z\\\\\u{1b}\u{202e}.@_-]{1,8}", version in ".{1,8}", path in any::<Vec<u8>>(), cause in ".{0,8}",
        text in ".{1,8}", flags in any::<[bool; 4]>(), needs in prop::option::of(prop::collection::btree_set(0_usize..2, 0..3)),
    ) {
        prop_assume!(Purl::new("npm", None, &name, Some(&version)).check().is_ok());
        let mut one = package("npm", &name, &version, "a");
        one.locations = vec![ImagePath::normalise(&path).unwrap_or_default()];
        (one.guessed, one.application) = (flags[0], flags[1]);
        one.vendored_in = flags[2].then(|| text.clone());
        one.source = flags[3].then(|| SourcePackage { name: text.clone(), version: version.clone() });
        prop_assume!(!version.contains('@'));
        one.depends_on = needs;
        let mut fixture = Fixture::empty();
        fixture.inventory.packages = vec![one, package("pypi", "z", "1", "z")];
        fixture.inventory.gaps = vec![gap(&path, &cause)];
        for format in ["cyclonedx", "spdx"] {
            let read = round_trip(&fixture, format);
            prop_assert_eq!(kept(&read.inventory), kept(&fixture.inventory));
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in any::<Vec<u8>>()) {
        let _ = read(&bytes, &"x".into());
    }
}
