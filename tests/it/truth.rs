//! Inventories of real images against what the package managers themselves report of them.

use std::collections::BTreeMap;
use std::path::Path;

use portcullis::model::evidence::PlatformEvidence;
use portcullis::model::fact::Fact;
use portcullis::model::inventory::{Inventory, Package};
use portcullis::model::layer::Scope;
use serde_json::Value;

use crate::support::{evidence, shared};

/// The types of the application's packages whose catalogers exist.
const APP: &[&str] = &["apk", "pypi", "npm", "golang", "cargo"];

/// Images, where they are, and the package types whose catalogers exist.
const IMAGES: &[(&str, &str, &[&str])] = &[
    ("alpine-3.12-multiarch", "oci:", &["apk"]),
    ("alpine-3.20", "oci:", &["apk"]),
    ("alpine-3.20-schema2", "oci:", &["apk"]),
    ("debian-12-minbase", "oci:", &["deb"]),
    ("distroless-debian12", "oci:", &["deb"]),
    ("app-multi", "oci:", APP),
    ("app-multi-zstd", "oci:", APP),
    ("app-multi-plain", "oci:", APP),
    ("app-multi.docker", "docker-archive:", APP),
];

/// How often a package of that type, name, version and introducing layer stands somewhere.
type Count = BTreeMap<(String, String, String, u64), usize>;

fn location(data: &Path, name: &str, transport: &str) -> String {
    let file = if transport == "oci:" { name.to_owned() } else { format!("{name}.tar") };
    format!("{transport}{}", data.join("images").join(file).display())
}

fn truth(data: &Path, name: &str) -> Value {
    let path = data.join("truth").join(format!("{name}.json"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn inventory(platform: &PlatformEvidence) -> &Inventory {
    match &platform.inventory {
        Fact::Known(inventory) => inventory,
        other @ (Fact::Absent | Fact::Unknown(_)) => panic!("no inventory: {other:?}"),
    }
}

fn expected(image: &Value, kinds: &[&str]) -> Count {
    let mut count = Count::new();
    for package in image["packages"].as_array().unwrap() {
        let text = |key: &str| package[key].as_str().unwrap().to_owned();
        // The image's own programs are no packages that somebody installed; they are marked.
        let own = package["kind"] == "mod" || package["root"] == true;
        if kinds.contains(&text("type").as_str()) && !own {
            let key = (text("type"), text("name"), text("version"), package["layer"].as_u64().unwrap());
            *count.entry(key).or_default() += 1;
        }
    }
    count
}

fn found(inventory: &Inventory) -> Count {
    let mut count = Count::new();
    let counts =
        |package: &&Package| package.vendored_in.is_none() && !package.application && !package.guessed;
    for package in inventory.packages.iter().filter(counts) {
        let layer = package.layer.index as u64;
        let key = (package.kind.to_owned(), package.name.clone(), package.version.clone(), layer);
        *count.entry(key).or_default() += 1;
    }
    count
}

#[test]
fn every_package_of_truth_is_listed_with_its_layer_and_none_besides() {
    let Some(data) = shared("data") else { return };
    for (name, transport, kinds) in IMAGES {
        let evidence = evidence(&location(&data, name, transport));
        assert_eq!(evidence.faults, [], "{name}");
        let truth = truth(&data, name);
        let platforms = evidence.platforms.known().unwrap();
        let images = truth["images"].as_array().unwrap();
        assert_eq!(platforms.len(), images.len(), "{name}");
        for (platform, image) in platforms.iter().zip(images) {
            assert_eq!(found(inventory(platform)), expected(image, kinds), "{name} {}", platform.platform);
        }
        for removed in truth["removed"].as_array().unwrap() {
            let (gone, version) = (removed["name"].as_str().unwrap(), removed["version"].as_str().unwrap());
            for platform in platforms {
                let listed =
                    inventory(platform).packages.iter().any(|p| p.name == gone && p.version == version);
                assert!(!listed, "{name} lists {gone} {version}, which was removed");
            }
        }
    }
}

#[test]
fn programs_are_marked_as_the_image_s_own_and_say_what_they_need() {
    let Some(data) = shared("data") else { return };
    let evidence = evidence(&location(&data, "app-multi", "oci:"));
    let inventory = inventory(&evidence.platforms.known().unwrap()[0]);
    let own = inventory.packages.iter().filter(|package| matches!(package.kind, "golang" | "cargo"));
    let own: Vec<_> = own
        .filter(|package| package.application)
        .map(|package| {
            (package.purl.to_string(), package.locations.iter().map(ToString::to_string).collect())
        })
        .collect();
    let expected: [(&str, &[&str]); 2] = [
        ("pkg:cargo/price-feed@0.3.1", &["usr/local/bin/pf", "usr/local/bin/price-feed"]),
        ("pkg:golang/example.com/acme/ledger@%28devel%29", &["usr/local/bin/ledger"]),
    ];
    let expected: Vec<(String, Vec<String>)> = expected
        .iter()
        .map(|(purl, paths)| ((*purl).to_owned(), paths.iter().map(|path| (*path).to_owned()).collect()))
        .collect();
    assert_eq!(own, expected);
    let truth = truth(&data, "app-multi");
    let builds = inventory.packages.iter().filter(|package| package.scope == Scope::Build);
    let builds: Vec<&str> = builds.map(|package| package.name.as_str()).collect();
    let packages = truth["images"][0]["packages"].as_array().unwrap().iter();
    let expected = packages.filter(|package| package["kind"] == "build");
    assert_eq!(builds, expected.map(|package| package["name"].as_str().unwrap()).collect::<Vec<_>>());
    // Built without modules: nobody knows which libraries it has.
    let gaps: Vec<_> = inventory.gaps.iter().filter(|gap| gap.cataloger == "golang").collect();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0].path.to_string(), "usr/local/bin/shfmt");
}

#[test]
fn images_whose_sources_all_have_catalogers_have_no_gap() {
    let Some(data) = shared("data") else { return };
    for (name, transport, _) in IMAGES.iter().filter(|(name, ..)| !name.starts_with("app-multi")) {
        for platform in evidence(&location(&data, name, transport)).platforms.known().unwrap() {
            assert_eq!(inventory(platform).gaps, [], "{name}");
        }
    }
}

#[test]
fn an_image_packed_four_ways_has_one_inventory() {
    let Some(data) = shared("data") else { return };
    let variants = IMAGES.iter().filter(|(name, ..)| name.starts_with("app-multi"));
    let inventories: Vec<Inventory> = variants
        .map(|(name, transport, _)| {
            let evidence = evidence(&location(&data, name, transport));
            let mut inventory = inventory(&evidence.platforms.known().unwrap()[0]).clone();
            for package in &mut inventory.packages {
                package.layer.digest = package.layer.diff_id.clone();
            }
            inventory
        })
        .collect();
    assert_eq!(inventories.len(), 4);
    for other in &inventories[1..] {
        assert_eq!(*other, inventories[0]);
    }
}

#[test]
fn an_image_with_an_rpm_database_has_a_gap() {
    let Some(data) = shared("data") else { return };
    for name in ["rpm-mariner-2.0-sqlite", "rpm-sle15-bci-ndb", "rpm-ubi8-bdb", "rpm-rocky9-arm64"] {
        let evidence = evidence(&location(&data, name, "oci:"));
        let platforms = evidence.platforms.known().unwrap();
        assert!(inventory(&platforms[0]).gaps.iter().any(|gap| gap.cataloger == "rpm"), "{name}");
    }
}
