//! Segments and inventories for tests.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::digest::Digest;
use crate::model::fact::Fact;
use crate::model::finding::Findings;
use crate::model::inventory::{Inventory, LayerRef, Package, SourcePackage};
use crate::model::layer::Distro;
use crate::model::purl::{Purl, TYPES};

use super::names::base;
use super::segment::Segment;
use super::segment::build::{Builder, Compiled};
use super::{Advisories, find};

/// A segment of records.
pub(super) fn segment(ecosystem: &str, records: &[Value]) -> Vec<u8> {
    let mut builder = Builder::new(ecosystem);
    for record in records {
        let bytes = serde_json::to_vec(record).unwrap();
        let name = format!("{}.json", record["id"].as_str().unwrap_or_default());
        builder.add(&name, Compiled::read(ecosystem, &bytes));
    }
    builder.finish().unwrap()
}

/// An installed package of `TYPE NAME VERSION`. An RPM is as of a document that states no vendor and no layer.
pub(super) fn package(text: &str) -> Package {
    let parts: Vec<&str> = text.split(' ').collect();
    let kind = TYPES.iter().find(|kind| **kind == parts[0]).unwrap();
    let layer = Digest::sha256(b"layer");
    let layer =
        LayerRef { index: Some(0), digest: Some(layer.clone()), diff_id: Some(layer), created_by: None };
    let layer = if *kind == "rpm" { LayerRef::default() } else { layer };
    Package::new(Purl::new(kind, None, parts[1], Some(parts[2])), kind, parts[1], parts[2], layer)
}

/// The same package built from a source package.
pub(super) fn from_source(package: Package, name: &str, version: &str) -> Package {
    Package { source: Some(SourcePackage { name: name.into(), version: version.into() }), ..package }
}

/// Finds what applies to packages of an image of a distribution (`debian 11`).
pub(super) fn find_in(distro: &str, packages: Vec<Package>, segments: &[&[u8]]) -> Findings {
    let (id, version) = distro.split_once(' ').unwrap();
    let distro = Distro { id: id.into(), version_id: version.into(), ..Distro::default() };
    let inventory = Inventory { distro: Some(distro), packages, ..Inventory::default() };
    let opened: BTreeMap<_, _> = segments
        .iter()
        .map(|bytes| Segment::open(bytes).unwrap())
        .map(|segment| (base(&segment.meta().ecosystem).to_owned(), Fact::Known(segment)))
        .collect();
    find(&"linux/amd64".parse().unwrap(), &inventory, &Advisories(opened))
}
