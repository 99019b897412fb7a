//! Documents of real and of hostile images, against the inventories and the published schema.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use portcullis::model::evidence::{Evidence, PlatformEvidence};
use portcullis::model::inventory::Inventory;
use portcullis::model::path::is_printable;
use portcullis::sbom::{self, FORMATS, Subject};
use serde_json::Value;

use crate::support::image::{image, layer, single};
use crate::support::{evidence, python, shared};

/// Broken images that have to be accepted, with something odd in each.
const ACCEPTED: &[&str] = &[
    "15-symlink-loops",
    "16-invalid-utf8-names",
    "17-package-db-garbage",
    "18-rpmdb-garbage",
    "19-huge-and-deep-json",
    "24-odd-whiteouts",
    "30-no-layers",
];

fn demo() -> Evidence {
    let mut evidence = evidence(&format!("oci:{}", crate::demo::directory().join("image").display()));
    // The documents name the image, and where the checkout lies is nobody's business.
    evidence.image.reference = "oci:testdata/demo/image".to_owned();
    evidence
}

/// Every platform of an image whose packages are known.
fn platforms(evidence: &Evidence) -> Vec<(&PlatformEvidence, &Inventory)> {
    let platforms = evidence.platforms.known().unwrap().iter();
    platforms.map(|platform| (platform, platform.inventory.known().unwrap())).collect()
}

fn render(
    format: &str,
    evidence: &Evidence,
    (platform, inventory): (&PlatformEvidence, &Inventory),
) -> Vec<u8> {
    let reference = evidence.reference.known();
    let subject =
        Subject { image: &evidence.image, reference, platform, inventory, base: None, created: None };
    sbom::format(format).unwrap().render(&subject).unwrap()
}

fn cyclonedx(evidence: &Evidence, platform: (&PlatformEvidence, &Inventory)) -> Value {
    serde_json::from_slice(&render("cyclonedx", evidence, platform)).unwrap()
}

/// What [`read_shared_images`] reads, once for all tests.
fn shared_images() -> Option<&'static BTreeMap<String, Evidence>> {
    static IMAGES: OnceLock<BTreeMap<String, Evidence>> = OnceLock::new();
    let data = shared("data")?;
    Some(IMAGES.get_or_init(|| read_shared_images(&data)))
}

/// Everything in the shared data that has an inventory: the images of truth, those found in the wild as far
/// as they are consistent, and the broken ones that are accepted.
fn read_shared_images(data: &Path) -> BTreeMap<String, Evidence> {
    let images = data.join("images");
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(data.join("truth")).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        let wild = name.strip_prefix("tp-").map(|name| images.join("third-party").join(name));
        let path = wild.clone().unwrap_or_else(|| images.join(&name));
        let location = match path.is_dir() {
            true => format!("oci:{}", path.display()),
            false => format!("docker-archive:{}.tar", path.display()),
        };
        let evidence = evidence(&location);
        let consistent = |platforms: &Vec<PlatformEvidence>| {
            platforms.iter().all(|platform| platform.inventory.known().is_some())
        };
        if wild.is_none() || evidence.platforms.known().is_some_and(consistent) {
            found.insert(name, evidence);
        }
    }
    for name in ACCEPTED {
        let directory = images.join("broken").join(name);
        found.insert((*name).to_owned(), evidence(&format!("oci:{}", directory.display())));
    }
    assert!(found.keys().any(|name| name.starts_with("tp-")), "{:?}", found.keys());
    found
}

/// How often each purl stands somewhere.
fn count(purls: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut count = BTreeMap::new();
    for purl in purls {
        *count.entry(purl).or_default() += 1;
    }
    count
}

fn text<'v>(component: &'v Value, property: &str) -> Option<&'v str> {
    let properties = component["properties"].as_array()?.iter();
    properties.filter(|p| p["name"] == property).find_map(|p| p["value"].as_str())
}

/// Runs the validator of a format over documents; what it says, and whether it is content.
pub(crate) fn validate(format: &str, documents: &BTreeMap<String, Vec<u8>>) -> Option<(String, bool)> {
    let python = python()?;
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/schema/validate_{format}.py")));
    for (name, bytes) in documents {
        let path = directory.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        command.arg(path);
    }
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    Some((String::from_utf8(said).unwrap(), output.status.success()))
}

#[test]
fn the_demo_renders_in_every_format_and_twice_the_same() {
    let evidence = demo();
    for platform in platforms(&evidence) {
        for format in FORMATS {
            let document = render(format.id(), &evidence, platform);
            assert_eq!(document, render(format.id(), &demo(), platform), "{}", format.id());
        }
    }
}

#[test]
fn the_table_of_the_demo_is_for_a_person() {
    let evidence = demo();
    let table = String::from_utf8(render("text", &evidence, platforms(&evidence)[0])).unwrap();
    let (head, packages) = table.split_once("\n\n").unwrap();
    let lines: Vec<&str> = head.lines().collect();
    assert_eq!(lines[0], "image     oci:testdata/demo/image");
    assert_eq!(&lines[2..], ["platform  linux/amd64", "distro    Alpine Linux v3.16", "packages  11"]);
    let expected = "\
TYPE  NAME               VERSION     LICENSE       LAYER  LOCATION
apk   alpine-baselayout  3.2.0-r22   GPL-2.0-only  0      lib/apk/db/installed
apk   busybox            1.35.0-r17  GPL-2.0-only  0      lib/apk/db/installed
apk   libcrypto1.1       1.1.1o-r0   OpenSSL       0      lib/apk/db/installed
apk   musl               1.2.3-r0    MIT           0      lib/apk/db/installed
apk   py3-six            1.16.0-r1   MIT           0      lib/apk/db/installed
apk   zlib               1.2.12-r1   Zlib          0      lib/apk/db/installed
npm   lodash             4.17.20     MIT           2      srv/web/node_modules/lodash/package.json
npm   ms                 2.1.3       MIT           2      srv/web/node_modules/ms/package.json
pypi  Jinja2             3.1.4       BSD-3-Clause  1      usr/lib/python3.10/site-packages/Jinja2-3.1.4.dist-info/METADATA
pypi  requests           2.30.0      Apache-2.0    1      usr/lib/python3.10/site-packages/requests-2.30.0.dist-info/METADATA
pypi  six                1.16.0      MIT           0      usr/lib/python3.10/site-packages/six-1.16.0.dist-info/METADATA

1 REMOVED, still in the bytes of the image
  npm minimist 1.2.5: of layer 2, removed in layer 3
";
    assert_eq!(packages, expected);
}

#[test]
fn every_package_of_an_inventory_is_a_component_with_its_layer_and_no_other_is() {
    let Some(images) = shared_images() else { return };
    for (name, evidence) in images {
        for platform in platforms(evidence) {
            let document = cyclonedx(evidence, platform);
            let components = document["components"].as_array().unwrap().iter();
            let packages = components.filter(|component| component["type"] != "operating-system");
            let found = packages.map(|component| {
                let layer = text(component, "portcullis:layer:index").unwrap();
                format!("{} {layer}", component["purl"].as_str().unwrap())
            });
            let listed = platform.1.packages.iter();
            let expected = listed.map(|package| format!("{} {}", package.purl, package.layer.number()));
            assert_eq!(count(found), count(expected), "{name}");
        }
    }
}

#[test]
fn a_document_says_of_every_gap_what_the_inventory_says() {
    let Some(images) = shared_images() else { return };
    let mut with_gaps = 0;
    for (name, evidence) in images {
        for platform in platforms(evidence) {
            let document = cyclonedx(evidence, platform);
            let properties = document["metadata"]["component"]["properties"].as_array().unwrap().iter();
            let gaps = properties.filter(|property| property["name"] == "portcullis:gap");
            let found: Vec<Value> =
                gaps.map(|gap| serde_json::from_str(gap["value"].as_str().unwrap()).unwrap()).collect();
            assert_eq!(serde_json::to_value(&platform.1.gaps).unwrap(), Value::from(found), "{name}");
            let complete = &document["compositions"][0]["aggregate"];
            assert_eq!(complete, if platform.1.gaps.is_empty() { "unknown" } else { "incomplete" }, "{name}");
            with_gaps += usize::from(!platform.1.gaps.is_empty());
        }
    }
    assert!(with_gaps >= 4, "{with_gaps}");
}

#[test]
fn no_name_of_an_image_commands_the_terminal() {
    let Some(images) = shared_images() else { return };
    for (name, evidence) in images {
        for platform in platforms(evidence) {
            for format in FORMATS {
                let document = String::from_utf8(render(format.id(), evidence, platform)).unwrap();
                let obeyed = document.chars().find(|c| !is_printable(*c) && *c != '\n');
                assert_eq!(obeyed, None, "{name} {}", format.id());
            }
        }
    }
}

/// An image with every licence identifier of the list, one a package.
fn every_licence(directory: &Path) -> Evidence {
    let mut packages = layer("every licence");
    for id in spdx::identifiers::LICENSES {
        let package = serde_json::json!({"name": id.name, "version": "1", "license": id.name});
        let path = format!("srv/node_modules/{}/package.json", id.name);
        packages = packages.file(&path, package.to_string());
        let several =
            serde_json::json!({"name": id.name, "version": "2", "licenses": [id.name, "MIT", "words"]});
        let path = format!("opt/node_modules/{}/package.json", id.name);
        packages = packages.file(&path, several.to_string());
    }
    single(directory, image("linux/amd64").layer(packages));
    evidence(&format!("oci:{}", directory.display()))
}

#[test]
fn documents_are_valid_by_the_published_schema() {
    let directory = tempfile::tempdir().unwrap();
    let mut images = BTreeMap::from([("demo".to_owned(), demo())]);
    images.insert("licences".to_owned(), every_licence(directory.path()));
    images.extend(shared_images().cloned().unwrap_or_default());
    let mut named = demo();
    named.reference = portcullis::model::fact::Fact::Known("ghcr.io/acme/orders:1.4.2".parse().unwrap());
    images.insert("named".to_owned(), named);
    let formats = FORMATS.iter().map(|format| (format.id(), format.extension()));
    for (format, extension) in formats.filter(|(_, extension)| extension.ends_with("dx.json")) {
        let mut documents = BTreeMap::new();
        // The library for SPDX has a licence list of its own, which is older than ours.
        for (name, evidence) in images.iter().filter(|(name, _)| format != "spdx" || *name != "licences") {
            for (n, platform) in platforms(evidence).into_iter().enumerate() {
                documents.insert(format!("{name}-{n}.{extension}"), render(format, evidence, platform));
            }
        }
        let kind = format.split('-').next().unwrap();
        let Some((said, valid)) = validate(kind, &documents) else { return };
        assert!(valid, "{said}");
    }
}

#[test]
fn the_validator_refuses_what_is_not_valid() {
    let evidence = demo();
    let platform = platforms(&evidence)[0];
    let mut unknown_licence = cyclonedx(&evidence, platform);
    unknown_licence["components"][1]["licenses"] =
        serde_json::json!([{"license": {"id": "no such licence"}}]);
    let mut same_name = cyclonedx(&evidence, platform);
    same_name["components"][1]["bom-ref"] = same_name["components"][2]["bom-ref"].clone();
    for document in [unknown_licence, same_name] {
        let documents = BTreeMap::from([("bad.json".to_owned(), serde_json::to_vec(&document).unwrap())]);
        let Some((said, valid)) = validate("cyclonedx", &documents) else { return };
        assert!(!valid && said.contains("bad.json"), "{said}");
    }
    let mut nowhere: Value = serde_json::from_slice(&render("spdx", &evidence, platform)).unwrap();
    nowhere["relationships"][1]["relatedSpdxElement"] = "SPDXRef-nobody".into();
    let documents = BTreeMap::from([("bad.spdx.json".to_owned(), serde_json::to_vec(&nowhere).unwrap())]);
    let Some((said, valid)) = validate("spdx", &documents) else { return };
    assert!(!valid && said.contains("bad.spdx.json"), "{said}");
}
