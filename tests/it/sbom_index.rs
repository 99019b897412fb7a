//! The document of an index, which leads to those of its platforms, and what an image was built upon.

use std::collections::BTreeMap;
use std::path::Path;

use portcullis::model::digest::Digest;
use serde_json::Value;

use crate::sbom::validate;
use crate::support::cli::{Run, portcullis};
use crate::support::image::{image, layer, layout};

const DEMO: &str = "oci:testdata/demo/image";
const FILES: [&str; 2] = ["linux-amd64", "linux-arm64-v8"];

fn run(arguments: &[&str]) -> Run {
    let home = tempfile::tempdir().unwrap();
    portcullis(home.path(), arguments)
}

/// Documents of the demo's index and platforms, by file name.
fn documents(format: &str, directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let output = format!("{format}={}/", directory.display());
    let named = ["--as", "ghcr.io/acme/orders:1.4.2"];
    run(&[&["sbom", DEMO, "--platform", "all", "-o", &output], named.as_slice()].concat()).ended(0);
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect()
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn digest_of(index: &str) -> String {
    let index = json(&std::fs::read(Path::new(index).join("index.json")).unwrap());
    index["manifests"][0]["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_cyclonedx_index_leads_to_the_documents_of_its_platforms() {
    for format in ["cyclonedx", "cyclonedx-1.5", "cyclonedx-1.4"] {
        let place = tempfile::tempdir().unwrap();
        let documents = documents(format, place.path());
        let index = json(&documents["index.cdx.json"]);
        let digest = digest_of("testdata/demo/image");
        let image = &index["metadata"]["component"];
        assert_eq!(image["version"], *digest);
        let purl = format!("pkg:oci/orders@{digest}?repository_url=ghcr.io%2Facme%2Forders&tag=1.4.2");
        assert_eq!(image["purl"], *purl);
        let platforms = index["components"].as_array().unwrap();
        assert_eq!(platforms.len(), FILES.len());
        for (platform, file) in platforms.iter().zip(FILES) {
            let file = format!("{file}.cdx.json");
            let document = json(&documents[&file]);
            let serial = document["serialNumber"].as_str().unwrap().strip_prefix("urn:uuid:").unwrap();
            let references = platform["externalReferences"].as_array().unwrap();
            assert_eq!(references[0]["url"], *format!("urn:cdx:{serial}/1"));
            assert_eq!(references[1]["url"], *file);
            let hash = Digest::sha256(&documents[&file]);
            assert_eq!(references[0]["hashes"][0]["content"], *hash.hex());
            assert_eq!(platform["version"], document["metadata"]["component"]["version"]);
            assert_eq!(platform["purl"], document["metadata"]["component"]["purl"]);
        }
        assert_eq!(index["compositions"][0]["aggregate"], "incomplete");
        let Some((said, valid)) = validate("cyclonedx", &documents) else { return };
        assert!(valid, "{said}");
    }
}

#[test]
fn an_spdx_index_refers_to_the_documents_of_its_platforms() {
    let place = tempfile::tempdir().unwrap();
    let documents = documents("spdx", place.path());
    let index = json(&documents["index.spdx.json"]);
    let references = index["externalDocumentRefs"].as_array().unwrap();
    assert_eq!(references.len(), FILES.len());
    for (number, (reference, file)) in references.iter().zip(FILES).enumerate() {
        let bytes = &documents[&format!("{file}.spdx.json")];
        assert_eq!(reference["spdxDocument"], json(bytes)["documentNamespace"]);
        assert_eq!(reference["checksum"]["checksumValue"], *Digest::sha256(bytes).hex());
        let relations = index["relationships"].as_array().unwrap();
        let from = format!("SPDXRef-Platform-{number}");
        let of = |kind: &str, to: &str| {
            relations.iter().any(|relation| {
                relation["spdxElementId"] == *from
                    && relation["relationshipType"] == *kind
                    && relation["relatedSpdxElement"] == *to
            })
        };
        assert!(of("VARIANT_OF", "SPDXRef-Image"));
        assert!(of("DESCRIBED_BY", &format!("DocumentRef-{number}:SPDXRef-DOCUMENT")));
    }
    let Some((said, valid)) = validate("spdx", &documents) else { return };
    assert!(valid, "{said}");
}

#[test]
fn our_own_index_and_the_table_name_digests_and_counts() {
    let place = tempfile::tempdir().unwrap();
    let written = documents("inventory", place.path());
    let index = json(&written["index.inventory.json"]);
    assert_eq!(index["schema"], "portcullis.dev/inventory-index/v1");
    assert_eq!(index["image"]["digest"], *digest_of("testdata/demo/image"));
    for (platform, file) in index["platforms"].as_array().unwrap().iter().zip(FILES) {
        let file = format!("{file}.inventory.json");
        assert_eq!(platform["document"]["name"], *file);
        assert_eq!(platform["document"]["digest"], *Digest::sha256(&written[&file]).to_string());
        let packages = json(&written[&file])["packages"].as_array().unwrap().len();
        assert_eq!((&platform["packages"], &platform["gaps"]), (&packages.into(), &0.into()));
    }
    let place = tempfile::tempdir().unwrap();
    let written = documents("text", place.path());
    let table = String::from_utf8(written["index.txt"].clone()).unwrap();
    assert!(table.starts_with("image     ghcr.io/acme/orders:1.4.2\ndigest    sha256:"), "{table}");
    assert!(
        table.ends_with("platform  linux/arm64/v8: 11 packages and 0 gaps, in linux-arm64-v8.txt\n"),
        "{table}"
    );
}

/// Attack: the document of the index in place of an image's: it has no packages, and so no vulnerabilities.
#[test]
fn a_document_of_an_index_is_not_taken_for_an_image_without_packages() {
    for (format, file) in [("cyclonedx", "index.cdx.json"), ("spdx", "index.spdx.json")] {
        let place = tempfile::tempdir().unwrap();
        let bytes = documents(format, place.path()).remove(file).unwrap();
        let location = |text: &str| {
            let path = place.path().join("given.json");
            std::fs::write(&path, text).unwrap();
            format!("sbom:{}", path.display())
        };
        let text = String::from_utf8(bytes).unwrap();
        for command in ["sbom", "scan", "gate"] {
            let run = run(&[command, &location(&text), "--db", "testdata/demo/osv"]
                [..if command == "sbom" { 2 } else { 4 }]);
            let run = run.ended(3);
            assert!((run.out() + &run.err()).contains("about an index"), "{}{}", run.out(), run.err());
        }
        // Without the word that it is one, it is a document that says of nothing how complete it is.
        let unmarked = text.replace("portcullis:platforms", "portcullis:plat");
        run(&["gate", &location(&unmarked), "--db", "testdata/demo/osv"]).ended(3);
    }
}

/// An image on top of a base of two layers, in a layout each.
fn built_upon(place: &Path) -> (String, String) {
    let base = || {
        image("linux/amd64")
            .layer(layer("FROM scratch").file("etc/os-release", "ID=alpine\nVERSION_ID=3.20.1\n"))
            .layer(layer("RUN apk add").file("etc/two", "2"))
    };
    let images = [("base", base()), ("app", base().layer(layer("COPY app").file("srv/app", "3")))];
    let locations = images.map(|(name, image)| {
        let mut layout = layout();
        let manifest = layout.add(image);
        layout.tag("test", manifest);
        layout.write(&place.join(name));
        format!("oci:{}", place.join(name).display())
    });
    let [base, app] = locations;
    (base, app)
}

#[test]
fn a_document_names_the_base_that_was_recognised_and_how() {
    let place = tempfile::tempdir().unwrap();
    let (base, app) = built_upon(place.path());
    let known = format!("ghcr.io/acme/base:1={base}");
    let document = run(&["sbom", &app, "--base", &known, "-o", "inventory"]).ended(0).json();
    assert_eq!(document["base"]["name"], "ghcr.io/acme/base:1");
    assert_eq!((&document["base"]["by"], &document["base"]["layers"]), (&"diffIds".into(), &2.into()));
    let table = run(&["sbom", &app, "--base", &known, "-o", "text"]).ended(0).out();
    assert!(table.contains("\nbase      ghcr.io/acme/base:1, 2 layers of it\n"), "{table}");
    let cyclonedx = run(&["sbom", &app, "--base", &known]).ended(0).out();
    assert!(cyclonedx.contains("\\\"by\\\":\\\"diffIds\\\",\\\"layers\\\":2"), "{cyclonedx}");
    // Without a known base there is a guess, and it is marked as one.
    let document = run(&["sbom", &app, "-o", "inventory"]).ended(0).json();
    assert_eq!(
        (&document["base"]["name"], &document["base"]["by"]),
        (&"alpine 3.20.1".into(), &"osRelease".into())
    );
}

#[test]
fn a_base_that_cannot_be_read_is_told_and_the_document_is_there() {
    let place = tempfile::tempdir().unwrap();
    let (_, app) = built_upon(place.path());
    let missing = format!("oci:{}/nowhere", place.path().display());
    let run = run(&["sbom", &app, "--base", &missing, "-o", "inventory"]).ended(3);
    assert!(run.err().contains("the base image oci:"), "{}", run.err());
    assert_eq!(run.json()["base"]["by"], "osRelease");
}

#[test]
fn a_platform_that_is_listed_twice_has_two_documents() {
    let place = tempfile::tempdir().unwrap();
    let mut layout = layout();
    let manifests = ["1", "2"].map(|version| {
        let package = format!(r#"{{"name":"a","version":"{version}"}}"#);
        layout.add(image("linux/amd64").layer(layer("COPY").file("node_modules/a/package.json", package)))
    });
    let index = layout.index(manifests.to_vec());
    layout.tag("test", index);
    layout.write(&place.path().join("image"));
    let location = format!("oci:{}/image", place.path().display());
    let output = format!("inventory={}/out/", place.path().display());
    run(&["sbom", &location, "--platform", "all", "-o", &output]).ended(0);
    let mut versions: Vec<String> = manifests
        .iter()
        .map(|manifest| {
            let digest = manifest["digest"].as_str().unwrap().replace("sha256:", "");
            let path = place.path().join(format!("out/linux-amd64-{digest}.inventory.json"));
            json(&std::fs::read(path).unwrap())["packages"][0]["version"].as_str().unwrap().to_owned()
        })
        .collect();
    versions.sort();
    assert_eq!(versions, ["1", "2"]);
}
