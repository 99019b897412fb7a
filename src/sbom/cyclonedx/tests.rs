use std::collections::BTreeSet;

use super::*;
use crate::model::license::{Join, License, Operator, Piece, Term};
use crate::sbom::fixture::{Fixture, digest, gap, package};

fn render(fixture: &Fixture) -> Value {
    serde_json::from_slice(&V1_6.render(&fixture.subject()).unwrap()).unwrap()
}

fn values<'v>(component: &'v Value, name: &str) -> Vec<&'v str> {
    let properties = component["properties"].as_array().unwrap().iter();
    properties.filter(|p| p["name"] == name).map(|p| p["value"].as_str().unwrap()).collect()
}

#[test]
fn the_head_says_what_made_it_of_what_and_when() {
    let document = render(&Fixture::new());
    let keys: Vec<&str> = document.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "$schema",
            "bomFormat",
            "specVersion",
            "serialNumber",
            "version",
            "metadata",
            "components",
            "compositions"
        ]
    );
    assert_eq!(document["specVersion"], "1.6");
    let metadata = &document["metadata"];
    assert_eq!(metadata["timestamp"], "2026-01-15T09:00:00Z");
    assert_eq!(metadata["tools"]["components"][0]["name"], "portcullis");
    assert_eq!(metadata["tools"]["components"][0]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(metadata["component"]["type"], "container");
    assert_eq!(metadata["component"]["name"], "oci:demo");
    assert_eq!(metadata["component"]["version"], digest("manifest").to_string());
    assert_eq!(metadata["component"].get("purl"), None);
    assert_eq!(values(&metadata["component"], "portcullis:image:digest"), [digest("index").to_string()]);
    assert_eq!(values(&metadata["component"], "portcullis:image:platform"), ["linux/amd64"]);
}

#[test]
fn an_image_with_a_reference_has_a_purl() {
    let mut fixture = Fixture::new();
    fixture.reference = Some("ghcr.io/acme/orders:1.4.2".parse().unwrap());
    let image = &render(&fixture)["metadata"]["component"];
    assert_eq!(image["name"], "ghcr.io/acme/orders");
    assert_eq!(
        image["purl"],
        format!(
            "pkg:oci/orders@{}?arch=amd64&repository_url=ghcr.io%2Facme%2Forders&tag=1.4.2",
            digest("manifest")
        )
    );
    assert_eq!(values(image, "portcullis:image:reference"), ["ghcr.io/acme/orders:1.4.2"]);
}

#[test]
fn the_digest_of_a_config_is_no_version_of_an_image() {
    let mut fixture = Fixture::new();
    fixture.reference = Some("ghcr.io/acme/orders:1.4.2".parse().unwrap());
    fixture.image.reference = "docker-archive:orders.tar".into();
    assert_eq!(
        render(&fixture)["metadata"]["component"]["purl"],
        "pkg:oci/orders?arch=amd64&repository_url=ghcr.io%2Facme%2Forders&tag=1.4.2"
    );
}

#[test]
fn the_distribution_is_a_component() {
    let document = render(&Fixture::new());
    assert_eq!(
        document["components"][0],
        json!({
            "type": "operating-system", "bom-ref": "operating-system", "name": "debian", "version": "12",
            "description": "Debian GNU/Linux 12 (bookworm)",
            "properties": [{"name": "portcullis:distro:codename", "value": "bookworm"}],
        })
    );
}

#[test]
fn a_package_is_a_component_with_layer_and_places() {
    let document = render(&Fixture::new());
    assert_eq!(
        document["components"][1],
        json!({
            "type": "library", "bom-ref": "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12",
            "name": "libssl3", "version": "3.0.11-1", "licenses": [{"license": {"id": "Apache-2.0"}}],
            "purl": "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12",
            "properties": [
                {"name": "portcullis:layer:index", "value": "0"},
                {"name": "portcullis:layer:digest", "value": digest("blob 0").to_string()},
                {"name": "portcullis:layer:diffId", "value": digest("tar 0").to_string()},
                {"name": "portcullis:location", "value": "var/lib/dpkg/status"},
                {"name": "portcullis:source", "value": "openssl@3.0.11-1"},
            ],
            "evidence": {"occurrences": [{"location": "var/lib/dpkg/status"}]},
        })
    );
}

#[test]
fn marks_of_a_package_are_properties_and_its_type() {
    let document = render(&Fixture::new());
    let [vendored, owned, application] = [2, 3, 4].map(|n| &document["components"][n]);
    assert_eq!(values(vendored, "portcullis:vendoredIn"), ["pkg:pypi/pip@23.0"]);
    assert_eq!(
        values(owned, "portcullis:ownedBy"),
        ["pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12"]
    );
    assert_eq!(application["type"], "application");
    assert_eq!((&application["group"], &application["name"]), (&json!("@acme"), &json!("orders")));
}

#[test]
fn one_expression_stands_alone_and_several_licences_are_a_list() {
    let document = render(&Fixture::new());
    assert_eq!(document["components"][3]["licenses"], json!([{"expression": "MIT OR Apache-2.0"}]));
    assert_eq!(
        document["components"][2]["licenses"],
        json!([
            {"license": {"id": "MIT"}}, {"license": {"name": "Apache-2.0 OR MIT"}}, {"license": {"name": "Expat"}},
        ])
    );
    assert_eq!(values(&document["components"][2], "portcullis:license").len(), 3);
    assert_eq!(values(&document["components"][3], "portcullis:license"), [""; 0]);
    assert_eq!(document["components"][4].get("licenses"), None);
}

#[test]
fn what_the_metadata_wrote_stands_beside_its_translation() {
    let mut fixture = Fixture::new();
    let packages = &mut fixture.inventory.packages;
    packages[0].licenses = vec!["Expat".into(), "public-domain".into()];
    let texts = ["MIT".to_owned(), "LicenseRef-public-domain".to_owned()];
    packages[0].license = License::of_spdx(&texts, Join::All);
    packages[1].licenses = vec!["GPLv2+ and Artistic".into()];
    let pieces = vec![Piece::Spdx("GPL-2.0-or-later AND ".into()), Piece::Words("Artistic".into())];
    packages[1].license = License::new(vec![Term::new(pieces, Some(Operator::And))], Join::Unclear);
    let document = render(&fixture);
    let first = &document["components"][1];
    assert_eq!(first["licenses"], json!([{"expression": "MIT AND LicenseRef-public-domain"}]));
    assert_eq!(values(first, "portcullis:license"), ["Expat", "public-domain"]);
    let second = &document["components"][2];
    assert_eq!(second["licenses"], json!([{"license": {"name": "GPL-2.0-or-later AND Artistic"}}]));
    assert_eq!(values(second, "portcullis:license"), ["GPLv2+ and Artistic"]);
}

#[test]
fn gaps_make_the_image_incomplete_and_read_back_letter_for_letter() {
    let mut fixture = Fixture::hostile();
    let document = render(&fixture);
    let compositions = document["compositions"].as_array().unwrap();
    assert_eq!(compositions[0], json!({"aggregate": "incomplete", "assemblies": ["image"]}));
    let image = &document["metadata"]["component"];
    assert_eq!(values(image, "portcullis:gaps"), ["2"]);
    let read: Vec<Value> =
        values(image, "portcullis:gap").iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    assert_eq!(
        read[0],
        json!({"path": "a\\u{1b}\\xff", "layer": 1, "cataloger": "rpm", "cause": "no \"cataloger\"\nyet \u{202e}"})
    );
    assert_eq!(values(image, "portcullis:warning").len(), 1);

    fixture.inventory.gaps.clear();
    let document = render(&fixture);
    assert_eq!(document["compositions"][0], json!({"aggregate": "unknown", "assemblies": ["image"]}));
    assert_eq!(values(&document["metadata"]["component"], "portcullis:gaps"), ["0"]);
}

#[test]
fn no_component_claims_to_depend_on_nothing() {
    let document = render(&Fixture::new());
    assert_eq!(document.get("dependencies"), None);
    assert_eq!(document["compositions"][1]["aggregate"], "unknown");
    let listed = document["compositions"][1]["dependencies"].as_array().unwrap();
    assert_eq!(listed.len(), 1 + document["components"].as_array().unwrap().len());
}

#[test]
fn references_are_unique_even_where_one_package_stands_twice() {
    let document = render(&Fixture::hostile());
    let components = document["components"].as_array().unwrap();
    let references: BTreeSet<&str> = components.iter().map(|c| c["bom-ref"].as_str().unwrap()).collect();
    assert_eq!(references.len(), components.len());
    assert!(!references.contains(""));
}

#[test]
fn two_names_that_differ_in_a_control_character_stay_two() {
    let mut fixture = Fixture::empty();
    fixture.inventory.packages =
        ["a b", "a\tb", "a\nb", "a\\nb"].map(|name| package("npm", name, "1", name)).into();
    let document = render(&fixture);
    let names: Vec<&Value> = (0..4).map(|n| &document["components"][n]["name"]).collect();
    assert_eq!(names, ["a b", r"a\u{9}b", r"a\u{a}b", r"a\\nb"]);
}

#[test]
fn parts_that_make_no_purl_give_none() {
    let mut fixture = Fixture::empty();
    fixture.inventory.packages = vec![package("npm", "/", "1", "a")];
    let component = &render(&fixture)["components"][0];
    assert_eq!(component.get("purl"), None);
    assert_eq!(component["bom-ref"], "pkg:npm/@1");
}

#[test]
fn the_serial_number_is_that_of_the_content() {
    let serial = |fixture: &Fixture| render(fixture)["serialNumber"].as_str().unwrap().to_owned();
    let fixture = Fixture::new();
    assert_eq!(serial(&fixture), serial(&fixture));
    assert!(serial(&fixture).starts_with("urn:uuid:"));
    assert_eq!(serial(&fixture).as_bytes()["urn:uuid:".len() + 14], b'5');
    let mut other = Fixture::new();
    other.inventory.gaps = vec![gap(b"a", "b")];
    assert_ne!(serial(&fixture), serial(&other));
}

#[test]
fn an_image_without_packages_has_an_empty_list_of_components() {
    assert_eq!(render(&Fixture::empty())["components"], json!([]));
}

#[test]
fn what_is_stated_to_be_needed_is_a_dependency_and_the_rest_is_unknown() {
    let mut fixture = Fixture::new();
    fixture.inventory.packages[0].depends_on = Some([2].into());
    fixture.inventory.packages[2].depends_on = Some(BTreeSet::new());
    let document = render(&fixture);
    // The distribution comes first.
    let reference = |index: usize| document["components"][index + 1]["bom-ref"].clone();
    assert_eq!(
        document["dependencies"],
        json!([
            {"ref": reference(0), "dependsOn": [reference(2)]},
            {"ref": reference(2)},
        ])
    );
    let unknown = document["compositions"][1]["dependencies"].as_array().unwrap();
    assert!(!unknown.contains(&reference(0)) && !unknown.contains(&reference(2)));
    assert!(unknown.contains(&reference(1)) && unknown.contains(&reference(3)));
}

#[test]
fn a_guess_and_what_was_only_built_with_are_marked() {
    let mut fixture = Fixture::new();
    let package = &mut fixture.inventory.packages[0];
    package.guessed = true;
    package.scope = model::Scope::Build;
    package.supplier = Some("Acme\u{1b}".into());
    package.cpe = Some("cpe:2.3:a:openssl:openssl:3.0.11:*:*:*:*:*:*:*".into());
    let component = &render(&fixture)["components"][1];
    assert_eq!(values(component, "portcullis:guessed"), ["true"]);
    assert_eq!(values(component, "portcullis:scope"), ["build"]);
    assert_eq!(
        (&component["scope"], &component["supplier"]["name"]),
        (&json!("excluded"), &json!("Acme\\u{1b}"))
    );
    assert_eq!(component["cpe"], "cpe:2.3:a:openssl:openssl:3.0.11:*:*:*:*:*:*:*");
}

#[test]
fn an_older_version_says_which_it_is() {
    for (format, version) in [(&V1_5, "1.5"), (&V1_4, "1.4")] {
        let document: Value =
            serde_json::from_slice(&format.render(&Fixture::new().subject()).unwrap()).unwrap();
        assert_eq!(document["specVersion"], version);
        assert_eq!(values(&document["components"][1], "portcullis:layer:index"), ["0"]);
    }
}
