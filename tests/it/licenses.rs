//! Licences of real images: how many are understood, and that what is said of them is SPDX.

use std::collections::{BTreeMap, BTreeSet};

use portcullis::model::inventory::{Inventory, Package};
use spdx::{Expression, ParseMode};

use crate::support::{evidence, shared};

/// Images, the package type that is looked at, and of how many in a hundred packages with licences all have to be
/// understood. What is not: Alpine 3.12's lists (nobody said what they mean), Debian's `Artistic`, `GPL` and names of
/// its own, Fedora's `BSD` and `with exceptions`.
const IMAGES: &[(&str, &str, usize)] = &[
    ("alpine-3.12-multiarch", "apk", 85),
    ("alpine-3.20", "apk", 100),
    ("debian-12-minbase", "deb", 41),
    ("distroless-debian12", "deb", 75),
    ("rpm-mariner-2.0-sqlite", "rpm", 75),
    ("rpm-sle15-bci-ndb", "rpm", 91),
    ("rpm-ubi8-bdb", "rpm", 72),
    ("rpm-rocky9-arm64", "rpm", 72),
    ("app-multi", "apk", 100),
    ("app-multi", "composer", 100),
    ("app-multi", "gem", 100),
    ("app-multi", "maven", 100),
    ("app-multi", "npm", 98),
    ("app-multi", "pypi", 45),
];

fn inventories(image: &str) -> Option<Vec<Inventory>> {
    let path = shared(&format!("data/images/{image}"))?;
    let evidence = evidence(&format!("oci:{}", path.display()));
    let platforms = evidence.platforms.known().unwrap();
    Some(platforms.iter().map(|platform| platform.inventory.known().unwrap().clone()).collect())
}

#[test]
fn most_licences_of_real_images_are_understood() {
    let mut unknown: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut short = Vec::new();
    for (image, kind, floor) in IMAGES {
        let Some(inventories) = inventories(image) else { return };
        let with_licenses = |package: &&Package| package.kind == *kind && !package.licenses.is_empty();
        let packages: Vec<&Package> =
            inventories.iter().flat_map(|inventory| &inventory.packages).filter(with_licenses).collect();
        assert!(!packages.is_empty(), "{image} {kind}");
        let (understood, rest): (Vec<&Package>, Vec<&Package>) =
            packages.iter().partition(|package| package.license.expression().is_some());
        for package in rest {
            let words = package.license.terms().iter().filter(|term| term.expression().is_none());
            unknown.entry(kind).or_default().extend(words.map(portcullis::model::license::Term::text));
        }
        let share = understood.len() * 100 / packages.len();
        println!("{image}: {kind}: {share} % ({} of {})", understood.len(), packages.len());
        if share < *floor {
            short.push(format!("{image} {kind}: {share}"));
        }
    }
    for (kind, words) in unknown {
        println!("{kind}: {words:?}");
    }
    assert_eq!(short, [""; 0]);
}

#[test]
fn every_expression_of_a_real_image_is_spdx() {
    let mut expressions = 0;
    let images: BTreeSet<&str> = IMAGES.iter().map(|(image, ..)| *image).collect();
    for image in images {
        let Some(inventories) = inventories(image) else { return };
        for package in inventories.iter().flat_map(|inventory| &inventory.packages) {
            if let Some(expression) = package.license.expression() {
                let mode = ParseMode { allow_deprecated: true, ..ParseMode::STRICT };
                assert!(Expression::parse_mode(&expression, mode).is_ok(), "{expression}");
                expressions += 1;
            }
        }
    }
    assert!(expressions > 400, "{expressions}");
}
