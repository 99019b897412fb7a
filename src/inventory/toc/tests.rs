use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::image::compression::Compression;
use crate::image::limits::Limits;
use crate::image::resolve::{BlobName, LayerBlob};
use crate::inventory::catalog_layer;
use crate::model::descriptor::Descriptor;
use crate::model::digest::Digest;
use crate::model::observed::What;

/// A layer with a file, a link and a directory, and a table of them before it is changed.
fn archive(table: Option<&str>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, kind, content: &[u8], link: Option<&str>| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        if let Some(link) = link {
            header.set_link_name(link).unwrap();
        }
        tar.append_data(&mut header, name, content).unwrap();
    };
    add("etc/", tar::EntryType::Directory, b"", None);
    add("etc/motd", tar::EntryType::Regular, b"hello", None);
    add("etc/empty", tar::EntryType::Regular, b"", None);
    add("motd", tar::EntryType::Symlink, b"", Some("etc/motd"));
    add("hard", tar::EntryType::Link, b"", Some("etc/motd"));
    if let Some(table) = table {
        add("stargz.index.json", tar::EntryType::Regular, table.as_bytes(), None);
    }
    tar.into_inner().unwrap()
}

fn table() -> Value {
    json!({"version": 1, "entries": [
        {"type": "dir", "name": "etc/"},
        {"type": "reg", "name": "etc/motd", "size": 5, "digest": Digest::sha256(b"hello").to_string(), "chunkDigest": "x"},
        {"type": "chunk", "name": "etc/motd", "chunkOffset": 3},
        {"type": "reg", "name": "etc/empty"},
        {"type": "symlink", "name": "motd", "linkName": "etc/motd"},
        {"type": "hardlink", "name": "hard", "linkName": "etc/motd"},
    ]})
}

/// `PATH: what contradicts`.
fn found(blob: &[u8], tar: &[u8], compression: Compression, annotations: &[(&str, String)]) -> Vec<String> {
    let annotations: BTreeMap<String, String> =
        annotations.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    let descriptor = Descriptor {
        media_type: String::new(),
        digest: Digest::sha256(blob),
        size: blob.len() as u64,
        platform: None,
        annotations,
    };
    let layer = LayerBlob {
        blob: BlobName::Descriptor(descriptor),
        compression: Some(compression),
        diff_id: Digest::sha256(tar),
    };
    let (inventory, _) = catalog_layer(blob, &layer, "layer", &Limits::default()).unwrap();
    let notes = inventory.observed.notes.iter();
    notes
        .filter_map(|note| {
            let What::Table(text) = &note.what else { return None };
            Some(format!("{}: {text}", note.path))
        })
        .collect()
}

fn estargz(table: &str, digest: &Digest) -> Vec<String> {
    let tar = archive(Some(table));
    let note = ("containerd.io/snapshot/stargz/toc.digest", digest.to_string());
    found(&tar, &tar, Compression::None, &[note])
}

fn chunked(table: &str, position: Option<&str>) -> Vec<String> {
    let [new, old] =
        ["io.github.containers", "io.containers"].map(|prefix| chunked_by(prefix, table, position));
    assert_eq!(new, old, "both keys");
    new
}

fn chunked_by(prefix: &str, table: &str, position: Option<&str>) -> Vec<String> {
    let tar = archive(None);
    let frame = zstd::encode_all(table.as_bytes(), 1).unwrap();
    let mut blob = zstd::encode_all(tar.as_slice(), 1).unwrap();
    blob.extend([0x50, 0x2a, 0x4d, 0x18]);
    blob.extend(u32::try_from(frame.len()).unwrap().to_le_bytes());
    let at = format!("{}:{}:{}:1", blob.len(), frame.len(), table.len());
    blob.extend(&frame);
    let key = |last: &str| format!("{prefix}.zstd-chunked.manifest-{last}");
    let (checksum, place) = (key("checksum"), key("position"));
    let notes = [
        (checksum.as_str(), Digest::sha256(&frame).to_string()),
        (place.as_str(), position.map_or(at, str::to_owned)),
    ];
    found(&blob, &tar, Compression::Zstd, &notes)
}

fn honest(table: &Value) -> Vec<String> {
    let text = table.to_string();
    let first = estargz(&text, &Digest::sha256(text.as_bytes()));
    assert_eq!(first, chunked(&text, None), "both formats say the same");
    first
}

#[test]
fn a_table_that_says_what_the_archive_has_is_no_contradiction() {
    assert_eq!(honest(&table()), [""; 0]);
}

#[test]
fn every_way_to_say_something_else_is_told() {
    let other = "the table of contents says something else of it than the archive";
    type Change = fn(&mut Vec<Value>);
    let cases: [(Change, &str); 7] = [
        (|all| all[1]["digest"] = json!(Digest::sha256(b"evil!").to_string()), &format!("etc/motd: {other}")),
        (|all| all[1]["size"] = json!(6), &format!("etc/motd: {other}")),
        (|all| drop(all[1].as_object_mut().unwrap().remove("digest")), &format!("etc/motd: {other}")),
        (|all| all[4]["linkName"] = json!("etc/shadow"), &format!("motd: {other}")),
        (|all| all[5]["type"] = json!("symlink"), &format!("hard: {other}")),
        (|all| drop(all.remove(3)), "etc/empty: the archive has it, and the table of contents has not"),
        (
            |all| all.push(json!({"type": "reg", "name": "usr/bin/evil", "size": 0})),
            "usr/bin/evil: the table of contents has it, and the archive has not",
        ),
    ];
    for (change, want) in cases {
        let mut table = table();
        change(table["entries"].as_array_mut().unwrap());
        assert_eq!(honest(&table), [want]);
    }
}

#[test]
fn a_promise_that_is_not_kept_is_told() {
    let text = table().to_string();
    assert_eq!(
        estargz(&text, &Digest::sha256(b"another")),
        [": its table of contents has another digest than its annotation states"]
    );
    let tar = archive(None);
    let note = ("containerd.io/snapshot/stargz/toc.digest", Digest::sha256(b"").to_string());
    let found = found(&tar, &tar, Compression::None, &[note]);
    assert_eq!(found, [": it is said to have a table of contents, and has none"]);
    for position in ["", "1:2", "1:2:3:4", "1:99999999999:3:1", "18446744073709551615:1:1:1"] {
        assert_eq!(chunked(&text, Some(position)).len(), 1, "{position}");
    }
    assert_eq!(chunked("no JSON", None), [": its table of contents cannot be read"]);
}

#[test]
fn without_an_annotation_nobody_believes_a_table() {
    let tar = archive(Some("nonsense"));
    assert_eq!(found(&tar, &tar, Compression::None, &[]), [""; 0]);
}
