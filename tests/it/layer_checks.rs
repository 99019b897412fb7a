//! The checks of layers over real images and the faulty ones: what fires where it must, and nothing grave on
//! what is sound.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use portcullis::check::documents::Documents;
use portcullis::check::hanging::Hanging;
use portcullis::check::{Expected, LayerFacts, PlatformLayers, Subject, check};
use portcullis::image::compression::Compression;
use portcullis::image::limits::Limits;
use portcullis::image::resolve::{BlobName, LayerBlob};
use portcullis::inventory::{Merged, catalog_layer};
use portcullis::layout;
use portcullis::model::fault::Fault;
use portcullis::model::layer::Entry;
use portcullis::model::observed::Topic;
use portcullis::model::violation::CheckSeverity;

use crate::support::shared;
use crate::support::skopeo::skopeo;

/// Every platform of an image, with the faults of layers that could not be read.
fn read(location: &str) -> (Vec<PlatformLayers>, Vec<Fault>) {
    let limits = Limits::default();
    let (store, image) = layout::open(&location.parse().unwrap(), None, &limits).unwrap();
    let mut faults = image.faults;
    let mut platforms = Vec::new();
    for platform in image.platforms {
        let steps = platform.config.layer_steps();
        let mut layers = Vec::new();
        for (index, layer) in platform.layers.iter().enumerate() {
            let open =
                || store.blob(&layer.blob).map_err(|error| Fault::unreadable("layer", error.to_string()));
            let read = catalog_layer(open, layer, "layer", &limits);
            match read {
                Ok((inventory, verified)) => layers.push(LayerFacts {
                    media_type: media_type(layer),
                    verified,
                    diff_id: layer.diff_id.clone(),
                    created_by: steps.get(index).and_then(|step| step.created_by.clone()),
                    inventory: Arc::new(inventory),
                }),
                Err(fault) => faults.push(fault),
            }
        }
        let portcullis::image::resolve::PlatformImage { platform, digest, config, .. } = platform;
        platforms.push(PlatformLayers { platform, digest, config, layers });
    }
    (platforms, faults)
}

fn media_type(layer: &LayerBlob) -> Option<String> {
    match (&layer.blob, layer.compression) {
        (BlobName::Member(_), _) | (_, None) => None,
        (_, Some(Compression::None)) => Some("application/vnd.oci.image.layer.v1.tar".into()),
        (_, Some(Compression::Gzip)) => Some("application/vnd.oci.image.layer.v1.tar+gzip".into()),
        (_, Some(Compression::Zstd)) => Some("application/vnd.oci.image.layer.v1.tar+zstd".into()),
    }
}

/// `LYR-007 critical path: message` of every violation of a layer.
fn lines(images: &[PlatformLayers], faults: &[Fault]) -> Vec<(CheckSeverity, String)> {
    let subject = Subject {
        reference: None,
        documents: &Documents::default(),
        hanging: &Hanging::default(),
        images,
        faults,
        expected: &Expected::default(),
        now: "2026-11-25T00:00:00Z".parse().unwrap(),
    };
    let checked = check(&subject);
    let ours =
        checked.violations.into_iter().filter(|v| v.check.starts_with("LYR") || v.check.starts_with("OPT"));
    ours.map(|v| (v.severity, format!("{} {} {:?}: {}", v.check, v.severity.word(), v.place, v.message)))
        .collect()
}

/// The ids that fire with at least a severity.
fn ids(lines: &[(CheckSeverity, String)], least: CheckSeverity) -> BTreeSet<&str> {
    lines.iter().filter(|(severity, _)| *severity >= least).map(|(_, line)| &line[..7]).collect()
}

/// Every stored byte is either seen in the end or hidden, and none is both.
fn bytes_add_up(images: &[PlatformLayers]) {
    for image in images {
        let layers: Vec<_> = image.layers.iter().map(|layer| Arc::clone(&layer.inventory)).collect();
        let all: u64 = layers
            .iter()
            .flat_map(|layer| &layer.entries)
            .map(|(_, entry)| match entry {
                Entry::File { size } | Entry::Overwritten { size } => *size,
                Entry::Directory
                | Entry::Symlink { .. }
                | Entry::HardLink { .. }
                | Entry::Special
                | Entry::Whiteout
                | Entry::Opaque => 0,
            })
            .sum();
        let merged = Merged::new(&layers);
        let (hidden, visible): (Vec<_>, Vec<_>) =
            merged.stored().into_iter().partition(|file| file.hidden_by.is_some());
        let sum =
            |files: &[portcullis::inventory::Stored<'_>]| files.iter().map(|file| file.size).sum::<u64>();
        assert_eq!(sum(&hidden) + sum(&visible), all);
        assert!(hidden.iter().all(|file| file.hidden_by >= Some(file.layer)));
    }
}

/// Where something grave fires on a sound image, and why that is right.
const GRAVE: &[(&str, &str, &str)] = &[];

/// Fires on every image whose distribution has ended, which is right and says nothing of its layers.
const ENDED: &str = "OPT-008";

/// Nothing verifies their layers, or they have none: there is nothing to look at.
const UNREADABLE: &[&str] = &["busybox-official", "dockergoof.tar", "nginx-compressed-layers.tar"];

fn sound(data: &Path, folder: &str) {
    let mut names: Vec<String> = std::fs::read_dir(data.join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "broken" && name != "third-party")
        .collect();
    names.sort();
    for name in names {
        let path = data.join(folder).join(&name);
        let kind = match (path.is_dir(), name.contains(".docker.") || folder.contains("third")) {
            (true, _) => "oci",
            (false, true) if name == "node-removed.tar" => "oci-archive",
            (false, true) => "docker-archive",
            (false, false) => continue,
        };
        // It is itself compressed, and is not opened.
        if name == "nginx-with-buildinfo.tar" {
            continue;
        }
        let (images, faults) = read(&format!("{kind}:{}", path.display()));
        if UNREADABLE.contains(&name.as_str()) {
            assert!(images.is_empty() && !faults.is_empty(), "{name}");
            continue;
        }
        assert_eq!(faults, [], "{name}");
        assert!(!images.is_empty(), "{name}");
        bytes_add_up(&images);
        let lines = lines(&images, &faults);
        let mut grave = ids(&lines, CheckSeverity::High);
        assert!(grave.remove(ENDED) || !name.starts_with("alpine-3.12"), "{name}");
        let want: BTreeSet<&str> =
            GRAVE.iter().filter(|(image, ..)| *image == name).map(|(_, id, _)| *id).collect();
        println!("{name}: {:?}", ids(&lines, CheckSeverity::Info));
        assert_eq!(grave, want, "{name}: {lines:#?}");
    }
}

#[test]
fn sound_images_have_nothing_grave_but_what_is_listed() {
    let Some(data) = shared("data") else { return };
    sound(&data, "images");
}

#[test]
fn images_of_other_builders_have_nothing_grave_but_what_is_listed() {
    let Some(data) = shared("data") else { return };
    sound(&data, "images/third-party");
}

#[test]
fn what_is_broken_fires() {
    let Some(data) = shared("data") else { return };
    for (image, want, grave) in [
        ("11-path-traversal", &["LYR-007", "LYR-008"][..], true),
        ("13-sparse-1TiB", &["LYR-014"], false),
        ("14-tar-100k-empty-entries", &[], false),
        ("15-symlink-loops", &[], false),
        ("16-invalid-utf8-names", &[], true),
        ("24-odd-whiteouts", &["LYR-013"], true),
        ("26-gzip-two-members", &["LYR-005"], false),
        ("27-gzip-trailing-garbage", &["LYR-005"], true),
        ("28-tar-after-end-marker", &["LYR-005"], true),
    ] {
        let (images, faults) = read(&format!("oci:{}", data.join("images/broken").join(image).display()));
        assert_eq!(faults, [], "{image}");
        bytes_add_up(&images);
        let lines = lines(&images, &faults);
        println!("{image}: {:?}", ids(&lines, CheckSeverity::Info));
        for id in want {
            assert!(ids(&lines, CheckSeverity::Info).contains(id), "{image}: {lines:#?}");
        }
        let found = ids(&lines, CheckSeverity::High).iter().any(|id| *id != ENDED);
        assert_eq!(found, grave, "{image}: {lines:#?}");
    }
}

#[test]
fn a_table_of_contents_by_another_tool_contradicts_nothing() {
    let Some(skopeo) = skopeo() else { return };
    let directory = tempfile::tempdir().unwrap();
    let copy = format!("oci:{}:v1", directory.path().join("chunked").display());
    let options =
        ["copy", "--dest-compress", "--dest-compress-format=zstd:chunked", "oci:testdata/demo/image:1.4.2"];
    let arguments: Vec<String> =
        options.iter().map(|text| (*text).to_owned()).chain([copy.clone()]).collect();
    assert!(skopeo.run(&arguments).status.success());
    let (store, image) = layout::open(&copy.parse().unwrap(), None, &Limits::default()).unwrap();
    for (index, layer) in image.platforms[0].layers.iter().enumerate() {
        let BlobName::Descriptor(descriptor) = &layer.blob else {
            panic!("a layout's layer has a descriptor")
        };
        assert!(descriptor.annotations.keys().any(|key| key.ends_with("zstd-chunked.manifest-checksum")));
        let open = || Ok(store.blob(&layer.blob).unwrap());
        let (inventory, _) = catalog_layer(open, layer, "layer", &Limits::default()).unwrap();
        let notes = &inventory.observed.notes;
        assert!(notes.iter().all(|note| note.what.topic() != Topic::Table), "layer {index}: {notes:?}");
    }
}
