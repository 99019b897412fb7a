//! Inventories of real images against what the package managers themselves report of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use portcullis::model::evidence::PlatformEvidence;
use portcullis::model::fact::Fact;
use portcullis::model::inventory::{Inventory, Package};
use serde_json::Value;

use crate::support::{evidence, shared};

/// Images, where they are, and the package types whose catalogers exist.
const IMAGES: &[(&str, &str, &[&str])] = &[
    ("alpine-3.12-multiarch", "oci:", &["apk"]),
    ("alpine-3.20", "oci:", &["apk"]),
    ("alpine-3.20-schema2", "oci:", &["apk"]),
    ("debian-12-minbase", "oci:", &["deb"]),
    ("distroless-debian12", "oci:", &["deb"]),
    ("rpm-mariner-2.0-sqlite", "oci:", &["rpm"]),
    ("rpm-sle15-bci-ndb", "oci:", &["rpm"]),
    ("rpm-ubi8-bdb", "oci:", &["rpm"]),
    ("rpm-rocky9-arm64", "oci:", &["rpm"]),
    ("app-multi", "oci:", &["apk", "pypi", "npm", "gem", "composer", "maven", "golang", "cargo"]),
    ("app-multi-zstd", "oci:", &["apk", "pypi", "npm", "gem", "composer", "maven", "golang", "cargo"]),
    ("app-multi-plain", "oci:", &["apk", "pypi", "npm", "gem", "composer", "maven", "golang", "cargo"]),
    (
        "app-multi.docker",
        "docker-archive:",
        &["apk", "pypi", "npm", "gem", "composer", "maven", "golang", "cargo"],
    ),
    ("tp-containerd-alpine", "oci-archive:", &["apk"]),
    ("tp-java-uberjar", "docker-archive:", &["maven"]),
    ("tp-war-with-3-level-jar", "docker-archive:", &["maven"]),
];

/// How often a package of that type, name, version and introducing layer stands somewhere.
type Count = BTreeMap<(String, String, String, u64), usize>;

fn location(data: &Path, name: &str, transport: &str) -> String {
    // Images as found in the wild have a folder of their own.
    let name = name.strip_prefix("tp-").map_or(name.to_owned(), |name| format!("third-party/{name}"));
    let file = if transport == "oci:" { name } else { format!("{name}.tar") };
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
        if kinds.contains(&text("type").as_str()) {
            // Truth has RPM's epoch apart.
            let epoch = package.get("epoch").and_then(Value::as_u64);
            let version = epoch.map_or_else(String::new, |epoch| format!("{epoch}:")) + &text("version");
            let key = (text("type"), text("name"), version, package["layer"].as_u64().unwrap());
            *count.entry(key).or_default() += 1;
        }
    }
    count
}

/// Truth knows no group of an archive without Maven's record, where we may have found one elsewhere.
fn name(package: &Package) -> String {
    let artifact = package.name.split_once(':').filter(|_| package.guessed && package.kind == "maven");
    artifact.map_or(&*package.name, |(_, artifact)| artifact).to_owned()
}

/// What is listed. What is marked, as carried inside another, as the image's own program, or as a program in
/// a file of an operating system package, may be more than the truth has.
fn found(inventory: &Inventory, expected: &Count) -> Count {
    let key = |package: &Package| {
        let layer = package.layer.index.unwrap() as u64;
        (package.kind.to_owned(), name(package), package.version.clone(), layer)
    };
    let is_marked = |package: &&Package| {
        let named_twice = package.kind == "generic" && package.owned_by.is_some();
        package.vendored_in.is_some() || package.application || named_twice
    };
    let mut count = Count::new();
    let (marked, plain): (Vec<&Package>, Vec<&Package>) = inventory.packages.iter().partition(is_marked);
    for package in plain {
        *count.entry(key(package)).or_default() += 1;
    }
    for package in marked {
        let key = key(package);
        let listed = count.get(&key).copied().unwrap_or_default();
        if expected.get(&key).is_some_and(|wanted| *wanted > listed) {
            count.insert(key, listed + 1);
        }
    }
    count
}

/// Jars that do not say themselves which of Maven's projects they are.
fn uncertain(image: &Value) -> BTreeSet<String> {
    let packages = image["packages"].as_array().unwrap().iter();
    let uncertain = packages.filter(|package| package["group_certain"] == false);
    uncertain.map(|package| package["name"].as_str().unwrap().to_owned()).collect()
}

fn guesses(inventory: &Inventory) -> BTreeSet<String> {
    let packages = inventory.packages.iter().filter(|package| package.guessed && package.kind == "maven");
    packages.map(name).collect()
}

/// Name, version, and the layers that brought it and took it away.
type Gone = BTreeSet<(String, String, u64, u64)>;

fn removed(inventory: &Inventory) -> Gone {
    let each = inventory.removed.iter();
    each.map(|gone| (gone.name.clone(), gone.version.clone(), gone.layer as u64, gone.removed_by as u64))
        .collect()
}

fn removed_of(truth: &Value, kinds: &[&str]) -> Gone {
    let removed = truth["removed"].as_array().unwrap().iter();
    removed
        .filter(|gone| kinds.contains(&gone["type"].as_str().unwrap()))
        .map(|gone| {
            let text = |key: &str| gone[key].as_str().unwrap().to_owned();
            let epoch = gone.get("epoch").and_then(Value::as_u64);
            let version = epoch.map_or_else(String::new, |epoch| format!("{epoch}:")) + &text("version");
            let layer = |key: &str| gone[key].as_u64().unwrap();
            (text("name"), version, layer("layer_introduced"), layer("layer_removed"))
        })
        .collect()
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
            let expected = expected(image, kinds);
            assert_eq!(found(inventory(platform), &expected), expected, "{name} {}", platform.platform);
            assert_eq!(guesses(inventory(platform)), uncertain(image), "{name} {}", platform.platform);
            let gaps: Vec<String> = inventory(platform).gaps.iter().map(|gap| gap.path.to_string()).collect();
            // shfmt was built without modules: of what, nobody can tell, `go version -m` neither.
            let known = if name.starts_with("app-multi") { &["usr/local/bin/shfmt"][..] } else { &[] };
            assert_eq!(gaps, known, "{name} {}", platform.platform);
        }
        if platforms.len() == 1 {
            assert_eq!(removed(inventory(&platforms[0])), removed_of(&truth, kinds), "{name}");
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
