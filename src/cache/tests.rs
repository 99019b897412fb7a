use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::image::compression::Compression;
use crate::model::descriptor::Descriptor;
use crate::model::fault::Gap;
use crate::model::layer::{Alias, Distro, Entry, Facts, FoundPackage, OwnedPaths};
use crate::model::observed::{NameFault, Note, Observed, Topic, What};
use crate::model::path::ImagePath;

fn layer(content: &[u8]) -> LayerBlob {
    LayerBlob {
        blob: BlobName::Descriptor(Descriptor {
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip".into(),
            digest: Digest::sha256(content),
            size: content.len() as u64,
            platform: None,
            annotations: BTreeMap::new(),
        }),
        compression: Some(Compression::Gzip),
        diff_id: Digest::sha256(b"tar"),
    }
}

fn verified(layer: &LayerBlob) -> Verified {
    let BlobName::Descriptor(descriptor) = &layer.blob else { panic!("a descriptor") };
    Verified {
        digest: descriptor.digest.clone(),
        size: descriptor.size,
        trailing: vec!["bytes follow the end of the archive"],
        members: 1,
    }
}

/// A layer with something of everything.
fn inventory() -> LayerInventory {
    let path = |name: &str| ImagePath::from(name);
    let gap = |path: ImagePath| Gap {
        path,
        layer: 0,
        cataloger: "apk".into(),
        cause: "no version".into(),
        platform: None,
    };
    let odd = ImagePath::normalise(b"a/\xff\x1b[2J").unwrap();
    let facts = Facts {
        packages: vec![FoundPackage {
            kind: "apk",
            name: "musl".into(),
            version: "1.2.5-r0".into(),
            qualifiers: [("rpmmod", "a:b".to_owned())].into(),
            requires: Some(vec![vec!["so:libc.so".into()], vec![]]),
            vendored_in: Some(odd.clone()),
            ..FoundPackage::default()
        }],
        owned: vec![OwnedPaths { package: "musl".into(), arch: None, paths: vec![path("lib/libc.so")] }],
        licenses: vec![("musl".into(), vec!["MIT".into()])],
        distro: Some(Distro { id: "alpine".into(), codename: Some("x".into()), ..Distro::default() }),
        unreadable: vec!["half of it".into()],
        owned_paths: 1,
    };
    LayerInventory {
        entries: vec![
            (path("lib"), Entry::Directory),
            (odd.clone(), Entry::Symlink { target: (*b"../\xfe").into() }),
            (path("lib/b"), Entry::HardLink { target: odd.clone() }),
            (path("lib/c"), Entry::File { size: u64::MAX }),
            (path("lib/d"), Entry::Whiteout),
        ],
        gapped: [odd.clone()].into(),
        facts: [((path("lib/apk/db/installed"), "apk"), facts.clone())].into(),
        aliased: [(Alias { origin: odd.clone(), seen_as: path("e"), cataloger: "npm" }, facts)].into(),
        again: [((path("lib/c"), "golang"), vec![0..7, 9..u64::MAX])].into(),
        gaps: vec![gap(odd.clone()), gap(ImagePath::root())],
        warnings: vec![gap(path("lib"))],
        observed: Observed {
            notes: vec![
                Note { path: path("x"), what: What::Name(NameFault::Parent, (*b"\x00").into()) },
                Note { path: path("x"), what: What::Device("a FIFO") },
                Note { path: path("x"), what: What::Secret { kind: "a private key", sample: true } },
                Note { path: path("x"), what: What::Account("no password", "root".into()) },
            ],
            more: [(Topic::Secret, 7)].into(),
            sums: vec![(path("lib/c"), 1 << 20, 0xdead_beef)],
            newest: Some((-1, path("lib"))),
        },
    }
}

fn cache(directory: &Path) -> LayerCache {
    LayerCache::open(directory, SystemTime::UNIX_EPOCH).unwrap()
}

fn only_entry(directory: &Path) -> PathBuf {
    let entries: Vec<PathBuf> =
        fs::read_dir(directory.join("layers")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(entries.len(), 1);
    entries[0].clone()
}

#[test]
fn what_was_kept_comes_back_to_the_letter() {
    let home = tempfile::tempdir().unwrap();
    let (limits, layer) = (Limits::default(), layer(b"1"));
    assert_eq!(cache(home.path()).get(&layer, &limits), None);
    cache(home.path()).put(&layer, &limits, &inventory(), &verified(&layer)).unwrap();
    assert_eq!(cache(home.path()).get(&layer, &limits), Some((inventory(), verified(&layer))));
}

#[test]
fn nothing_is_found_for_a_layer_that_differs_in_anything() {
    let home = tempfile::tempdir().unwrap();
    let (limits, known) = (Limits::default(), layer(b"1"));
    cache(home.path()).put(&known, &limits, &inventory(), &verified(&known)).unwrap();
    // Attack: a config that claims the diff ID of a layer that is known to be clean.
    let mut claims = layer(b"2");
    assert_eq!(cache(home.path()).get(&claims, &limits), None);
    claims = LayerBlob { diff_id: Digest::sha256(b"other"), ..known.clone() };
    assert_eq!(cache(home.path()).get(&claims, &limits), None);
    claims = LayerBlob { compression: Some(Compression::None), ..known.clone() };
    assert_eq!(cache(home.path()).get(&claims, &limits), None);
    claims = known.clone();
    if let BlobName::Descriptor(descriptor) = &mut claims.blob {
        descriptor.annotations.insert("containerd.io/snapshot/stargz/toc.digest".into(), "x".into());
    }
    assert_eq!(cache(home.path()).get(&claims, &limits), None);
    assert_eq!(cache(home.path()).get(&known, &Limits { entries: 1, ..limits }), None);
}

#[test]
fn an_entry_with_any_byte_changed_is_as_good_as_none() {
    let home = tempfile::tempdir().unwrap();
    let (limits, layer) = (Limits::default(), layer(b"1"));
    cache(home.path()).put(&layer, &limits, &inventory(), &verified(&layer)).unwrap();
    let entry = only_entry(home.path());
    let sound = fs::read(&entry).unwrap();
    for at in 0..sound.len() {
        let mut changed = sound.clone();
        changed[at] ^= 1;
        fs::write(&entry, changed).unwrap();
        assert_eq!(cache(home.path()).get(&layer, &limits), None, "byte {at}");
        fs::write(&entry, &sound[..at]).unwrap();
        assert_eq!(cache(home.path()).get(&layer, &limits), None, "cut at {at}");
    }
}

#[test]
fn an_entry_under_the_name_of_another_layer_is_none() {
    let home = tempfile::tempdir().unwrap();
    let (limits, clean, other) = (Limits::default(), layer(b"1"), layer(b"2"));
    cache(home.path()).put(&clean, &limits, &inventory(), &verified(&clean)).unwrap();
    fs::rename(
        only_entry(home.path()),
        home.path().join("layers").join(name(&key(&other, &limits).unwrap())),
    )
    .unwrap();
    assert_eq!(cache(home.path()).get(&other, &limits), None);
}

#[test]
fn a_member_of_a_docker_archive_is_not_kept() {
    let home = tempfile::tempdir().unwrap();
    let layer = LayerBlob { blob: BlobName::Member("1/layer.tar".into()), ..layer(b"1") };
    let verified = Verified { digest: Digest::sha256(b"1"), size: 1, trailing: Vec::new(), members: 0 };
    cache(home.path()).put(&layer, &Limits::default(), &inventory(), &verified).unwrap();
    assert_eq!(fs::read_dir(home.path().join("layers")).unwrap().count(), 0);
}

#[test]
fn a_directory_that_others_may_write_into_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    cache(home.path());
    let layers = home.path().join("layers");
    fs::set_permissions(&layers, fs::Permissions::from_mode(0o770)).unwrap();
    let refused = LayerCache::open(home.path(), SystemTime::UNIX_EPOCH).unwrap_err();
    assert!(refused.to_string().contains("others may write into it (mode 770)"), "{refused}");
}

#[test]
fn a_directory_that_belongs_to_another_is_refused() {
    let home = tempfile::tempdir().unwrap();
    cache(home.path());
    // Only root may give a directory away.
    if std::os::unix::fs::chown(home.path().join("layers"), Some(65_534), None).is_ok() {
        let refused = LayerCache::open(home.path(), SystemTime::UNIX_EPOCH).unwrap_err();
        assert!(refused.to_string().contains("it belongs to another user (65534)"), "{refused}");
    }
}

#[test]
fn the_entries_that_were_used_last_stay() {
    let home = tempfile::tempdir().unwrap();
    let limits = Limits::default();
    let at = |seconds| {
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        LayerCache::open(home.path(), now).unwrap()
    };
    let layers: Vec<LayerBlob> = (0..4).map(|number| layer(&[number])).collect();
    for (layer, seconds) in layers.iter().zip(1..) {
        at(seconds).put(layer, &limits, &inventory(), &verified(layer)).unwrap();
        assert!(at(seconds).get(layer, &limits).is_some());
    }
    assert!(at(9).get(&layers[0], &limits).is_some());
    let size = fs::metadata(home.path().join("layers").join(name(&key(&layers[0], &limits).unwrap())))
        .unwrap()
        .len();
    at(9).tidy_to(2 * size + size / 2);
    let there: Vec<bool> = layers.iter().map(|layer| at(9).get(layer, &limits).is_some()).collect();
    assert_eq!(there, [true, false, false, true]);
}

#[test]
fn an_entry_that_says_it_is_enormous_takes_no_memory() {
    let mut bytes = [MAGIC.as_slice(), &FORMAT.to_le_bytes(), &u64::MAX.to_le_bytes()].concat();
    bytes.extend_from_slice(&digest(u64::MAX, b""));
    assert_eq!(unpack(&bytes), None);
}

#[test]
fn what_was_not_finished_goes_after_an_hour() {
    let home = tempfile::tempdir().unwrap();
    let place = Private::open(home.path(), "trust").unwrap();
    place.write("kept", b"1").unwrap();
    place.write("kept", b"2").unwrap();
    assert_eq!(place.read("kept", 1).unwrap().unwrap(), b"2");
    assert_eq!(place.read("other", 1).unwrap(), None);
    assert!(place.read("kept", 0).unwrap_err().to_string().contains("larger than the limit"));
    let at = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    for (name, seconds) in [(".new-old", 0), (".new-young", 100), ("kept", 0)] {
        let path = place.path().join(name);
        let file = fs::File::options().create(true).append(true).open(path).unwrap();
        file.set_modified(at(seconds)).unwrap();
    }
    place.tidy(at(3_650));
    let there = |name: &str| place.path().join(name).exists();
    assert_eq!([".new-old", ".new-young", "kept"].map(there), [false, true, true]);
}
