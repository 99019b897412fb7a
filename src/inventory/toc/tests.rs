use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::image::compression::Compression;
use crate::image::limits::Limits;
use crate::image::resolve::{BlobName, LayerBlob};
use crate::inventory::catalog_layer;
use crate::model::descriptor::Descriptor;
use crate::model::digest::{Algorithm, Digest};
use crate::model::observed::What;

use super::table::{Listed, Splitter};

/// A layer with a file, a link, a directory and more, without the table's entry.
fn builder() -> tar::Builder<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    add(&mut tar, b"etc/", tar::EntryType::Directory, b"", "");
    add(&mut tar, b"etc/motd", tar::EntryType::Regular, b"hello", "");
    add(&mut tar, b"etc/empty", tar::EntryType::Regular, b"", "");
    add(&mut tar, b"motd", tar::EntryType::Symlink, b"", "etc/motd");
    add(&mut tar, b"hard", tar::EntryType::Link, b"", "etc/motd");
    add(&mut tar, b"null", tar::EntryType::Char, b"", "");
    let caps: &[u8] = b"\x01\0\0\x02";
    tar.append_pax_extensions([("SCHILY.xattr.security.capability", caps)]).unwrap();
    add(&mut tar, b"app", tar::EntryType::Regular, b"abcdefgh\0\0", "");
    tar
}

fn add(tar: &mut tar::Builder<Vec<u8>>, name: &[u8], kind: tar::EntryType, content: &[u8], link: &str) {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(content.len() as u64);
    header.set_mode(0o100_644);
    header.set_uid(7);
    header.set_gid(8);
    if kind == tar::EntryType::Char {
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
    }
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

fn archive(table: Option<&str>) -> Vec<u8> {
    let mut tar = builder();
    if let Some(table) = table {
        add(&mut tar, b"stargz.index.json", tar::EntryType::Regular, table.as_bytes(), "");
    }
    tar.into_inner().unwrap()
}

fn sum(bytes: &[u8]) -> String {
    Digest::sha256(bytes).to_string()
}

fn table() -> Value {
    let mut table = json!({"version": 1, "entries": [
        {"type": "dir", "name": "etc/"},
        {"type": "reg", "name": "etc/motd", "size": 5, "digest": sum(b"hello"), "chunkDigest": sum(b"hello")},
        {"type": "reg", "name": "etc/empty"},
        {"type": "symlink", "name": "motd", "linkName": "etc/motd"},
        {"type": "hardlink", "name": "hard", "linkName": "etc/motd"},
        {"type": "char", "name": "null", "devMajor": 1, "devMinor": 3},
        {"type": "reg", "name": "app", "size": 10, "digest": sum(b"abcdefgh\0\0"), "chunkSize": 4,
         "chunkDigest": sum(b"abcd"), "xattrs": {"security.capability": "AQAAAg=="}},
        {"type": "chunk", "name": "app", "chunkOffset": 4, "chunkSize": 4, "chunkDigest": sum(b"efgh")},
        {"type": "chunk", "name": "app", "chunkOffset": 8, "chunkDigest": sum(b"\0\0"), "chunkType": "zeros"},
    ]});
    for entry in table["entries"].as_array_mut().unwrap() {
        if entry["type"] != "chunk" {
            entry["mode"] = json!(0o100_644);
            entry["uid"] = json!(7);
            entry["gid"] = json!(8);
        }
    }
    table
}

/// `PATH: what contradicts`; `unread: why` where it was not compared.
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
    let limits = Limits { entries: 1_000, ..Limits::default() };
    let (inventory, _) = catalog_layer(|| Ok(blob), &layer, "layer", &limits).unwrap();
    let notes = inventory.observed.notes.iter();
    notes
        .filter_map(|note| {
            if let What::TableUnread(why) = &note.what {
                return Some(format!("unread: {why}"));
            }
            let What::Table(text) = &note.what else { return None };
            Some(format!("{}: {text}", note.path))
        })
        .collect()
}

const INSIDE: &str = "containerd.io/snapshot/stargz/toc.digest";

fn estargz(table: &str, digest: &Digest) -> Vec<String> {
    let tar = archive(Some(table));
    found(&tar, &tar, Compression::None, &[(INSIDE, digest.to_string())])
}

/// A layer whose table is as it should be, and whose archive is another.
fn of_archive(tar: tar::Builder<Vec<u8>>, table: &Value) -> Vec<String> {
    let (mut tar, text) = (tar, table.to_string());
    add(&mut tar, b"stargz.index.json", tar::EntryType::Regular, text.as_bytes(), "");
    let tar = tar.into_inner().unwrap();
    found(&tar, &tar, Compression::None, &[(INSIDE, sum(text.as_bytes()))])
}

fn chunked(table: &str, position: Option<&str>) -> Vec<String> {
    let [new, old] =
        ["io.github.containers", "io.containers"].map(|prefix| chunked_by(prefix, table, position));
    assert_eq!(new, old, "both keys");
    new
}

fn chunked_by(prefix: &str, table: &str, position: Option<&str>) -> Vec<String> {
    let (blob, mut notes) = chunked_layer(prefix, table, &archive(None));
    if let (Some(position), Some((_, place))) = (position, notes.last_mut()) {
        *place = position.to_owned();
    }
    let notes: Vec<_> = notes.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    found(&blob, &archive(None), Compression::Zstd, &notes)
}

/// A blob with a table in a frame, and its annotations: the digest, and where it is.
fn chunked_layer(prefix: &str, table: &str, tar: &[u8]) -> (Vec<u8>, Vec<(String, String)>) {
    let frame = zstd::encode_all(table.as_bytes(), 1).unwrap();
    let mut blob = zstd::encode_all(tar, 1).unwrap();
    blob.extend([0x50, 0x2a, 0x4d, 0x18]);
    blob.extend(u32::try_from(frame.len()).unwrap().to_le_bytes());
    let at = format!("{}:{}:{}:1", blob.len(), frame.len(), table.len());
    blob.extend(&frame);
    let key = |last: &str| format!("{prefix}.zstd-chunked.manifest-{last}");
    (blob, vec![(key("checksum"), sum(&frame)), (key("position"), at)])
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

type Change = fn(&mut Vec<Value>);

/// Both formats say so of a table that was changed.
fn changed(change: Change) -> Vec<String> {
    let mut table = table();
    change(table["entries"].as_array_mut().unwrap());
    honest(&table)
}

fn differs(path: &str, what: &str) -> String {
    format!("{path}: the table of contents says something else of it than the archive: {what}")
}

#[test]
fn every_way_to_say_something_else_is_told() {
    let cases: [(Change, String); 9] = [
        (|all| all[1]["digest"] = json!(sum(b"evil!")), differs("etc/motd", "its content")),
        (|all| all[1]["size"] = json!(6), differs("etc/motd", "its size")),
        (|all| all[4]["linkName"] = json!("etc/shadow"), differs("hard", "the link's target")),
        (|all| all[3]["linkName"] = json!("etc/shadow"), differs("motd", "the link's target")),
        (|all| all[4]["type"] = json!("symlink"), differs("hard", "its type")),
        (
            |all| drop(all.remove(2)),
            "etc/empty: the archive has it, and the table of contents has not".into(),
        ),
        (
            |all| all.push(json!({"type": "reg", "name": "usr/bin/evil", "size": 0})),
            "usr/bin/evil: the table of contents has it, and the archive has not".into(),
        ),
        (
            |all| {
                all[1].as_object_mut().unwrap().retain(|key, _| !key.to_lowercase().ends_with("digest"));
            },
            "etc/motd: the table of contents has no digest of it".into(),
        ),
        (
            |all| all[1]["name"] = json!("../etc/motd"),
            ": its table of contents has a name that leads out of the image".into(),
        ),
    ];
    for (change, want) in cases {
        assert_eq!(changed(change).first(), Some(&want));
    }
}

#[test]
fn another_mode_owner_device_or_capability() {
    let cases: [(Change, String); 8] = [
        (|all| all[1]["mode"] = json!(0o4755), differs("etc/motd", "its mode")),
        (|all| drop(all[0].as_object_mut().unwrap().remove("mode")), differs("etc", "its mode")),
        (|all| all[1]["uid"] = json!(0), differs("etc/motd", "its owner")),
        (|all| drop(all[4].as_object_mut().unwrap().remove("gid")), differs("hard", "its owner")),
        (|all| all[5]["devMinor"] = json!(1), differs("null", "its device numbers")),
        (|all| all[5]["type"] = json!("block"), differs("null", "its type")),
        (
            |all| all[1]["xattrs"] = json!({"security.capability": "AQAAAg=="}),
            differs("etc/motd", "its extended attributes"),
        ),
        (
            |all| drop(all[6].as_object_mut().unwrap().remove("xattrs")),
            differs("app", "its extended attributes"),
        ),
    ];
    for (change, want) in cases {
        assert_eq!(changed(change), [want]);
    }
    // The kind of a file among the bits of its mode, and nothing said, are no other mode or owner.
    assert_eq!(changed(|all| all[1]["mode"] = json!(0o644)), [""; 0]);
    assert_eq!(changed(|all| all[2]["xattrs"] = json!(null)), [""; 0]);
}

#[test]
fn the_digest_of_the_only_piece_is_another() {
    assert_eq!(
        changed(|all| all[1]["chunkDigest"] = json!(sum(b"evil!"))),
        [differs("etc/motd", "its content")]
    );
    assert_eq!(changed(|all| all[1]["chunkDigest"] = json!("x")).len(), 1);
    assert_eq!(
        changed(|all| drop(all[1].as_object_mut().unwrap().remove("digest"))),
        [""; 0],
        "one is enough"
    );
}

#[test]
fn pieces_have_other_content() {
    let want = ["app: the table of contents has a piece of it with other content than the archive"];
    assert_eq!(changed(|all| all[6]["chunkDigest"] = json!(sum(b"evil"))), want);
    assert_eq!(changed(|all| all[7]["chunkDigest"] = json!(sum(b"evil"))), want);
    assert_eq!(changed(|all| all[8]["chunkDigest"] = json!(sum(b"\0"))), want);
    // Runtimes make it a hole, and read nothing.
    assert_eq!(changed(|all| all[7]["chunkType"] = json!("zeros")), want);
    assert_eq!(changed(|all| drop(all[7].as_object_mut().unwrap().remove("chunkDigest"))), [""; 0]);
    let hole: Change = |all| all[1]["chunkType"] = json!("zeros");
    assert_eq!(changed(hole), [want[0].replace("app", "etc/motd")]);
}

#[test]
fn pieces_overlap_or_leave_something_out() {
    let want = [differs("app", "the pieces that it consists of")];
    assert_eq!(changed(|all| all[7]["chunkOffset"] = json!(3)), want);
    assert_eq!(changed(|all| all[8]["chunkOffset"] = json!(9)), want);
    assert_eq!(changed(|all| all[8]["chunkSize"] = json!(1)), want);
    assert_eq!(changed(|all| all[8]["chunkSize"] = json!(i64::MAX)), want);
    assert_eq!(changed(|all| all[6]["chunkOffset"] = json!(-1)), want);
    assert_eq!(changed(|all| drop(all[6].as_object_mut().unwrap().remove("chunkSize"))), want);
    assert_eq!(changed(|all| drop(all.remove(7))), want);
    assert_eq!(changed(|all| all.swap(7, 8)), want);
    assert_eq!(changed(|all| all.truncate(7)), want);
}

#[test]
fn a_piece_belongs_to_another_file() {
    let apart = "the table of contents has a piece of it apart from the file";
    assert_eq!(changed(|all| all[8]["name"] = json!("etc/motd"))[0], format!("etc/motd: {apart}"));
    assert_eq!(changed(|all| all.swap(0, 8))[0], format!("app: {apart}"));
    let piece: Change = |all| all.insert(1, json!({"type": "chunk", "name": "etc", "chunkOffset": 1}));
    assert_eq!(changed(piece), ["etc: the table of contents has a piece of it, and it is no file"]);
}

#[test]
fn a_name_twice_and_the_last_counts() {
    let mut tar = builder();
    add(&mut tar, b"etc/motd", tar::EntryType::Regular, b"other", "");
    let (mut first, mut last) = (table(), table());
    let mut again = first["entries"][1].clone();
    again["digest"] = json!(sum(b"other"));
    again["chunkDigest"] = json!(sum(b"other"));
    last["entries"].as_array_mut().unwrap().push(again.clone());
    assert_eq!(of_archive(tar, &last), [""; 0]);
    first["entries"].as_array_mut().unwrap().insert(0, again);
    let mut tar = builder();
    add(&mut tar, b"etc/motd", tar::EntryType::Regular, b"other", "");
    assert_eq!(of_archive(tar, &first), [differs("etc/motd", "its content")]);
    // Which pieces count depends on the reader.
    let twice: Change = |all| all.extend_from_within(6..);
    assert_eq!(changed(twice), ["unread: files of several pieces stand twice in it"]);
}

#[test]
fn keys_twice_or_in_another_case() {
    let text = table().to_string();
    let of_all = [": its table of contents has keys on which readers disagree"];
    let both = |text: &str| {
        let first = estargz(text, &Digest::sha256(text.as_bytes()));
        assert_eq!(first, chunked(text, None), "both formats say the same: {text}");
        first
    };
    for lie in [
        r#""Entries":[]"#,
        r#""entries":[]"#,
        r#""entrie\u017f":[]"#,
        "\"entrie\u{17f}\":[{}]",
        r#""VERSION":1"#,
        r#""":0"#,
    ] {
        assert_eq!(both(&text.replacen('{', &format!("{{{lie},"), 1)), of_all, "{lie}");
        assert_eq!(both(&format!("{},{lie}}}", text.strip_suffix('}').unwrap())), of_all, "{lie}");
    }
    assert_eq!(both(&text.replace(r#""entries""#, r#""Entries""#)), of_all);
    let of_entry = ["etc: its entry in the table of contents has keys on which readers disagree"];
    for lie in [
        r#""name":"etc/""#,
        r#""Digest":"x""#,
        "\"lin\u{212a}Name\":\"x\"",
        "\"\u{17f}ize\":5",
        r#""\u017fize":5"#,
        r#""":0"#,
        r#""xattrs":{"a":"","a":""}"#,
    ] {
        let text = text.replacen(r#""name":"etc/""#, &format!(r#""name":"etc/",{lie}"#), 1);
        assert_eq!(both(&text)[..1], of_entry, "{lie}");
    }
    let harmless = text.replacen(r#""name":"etc/""#, r#""name":"etc/","new":{"a":[{}]},"neW":null"#, 1);
    assert_eq!(both(&harmless), [""; 0]);
}

#[test]
fn an_honest_table_beside_another() {
    let honest = table().to_string();
    let lie = honest.replacen(&sum(b"hello"), &sum(b"evil!"), 1);
    let want = [differs("etc/motd", "its content")];
    for (inside, framed) in [(&honest, &lie), (&lie, &honest)] {
        let tar = archive(Some(inside));
        let (blob, notes) = chunked_layer("io.containers", framed, &tar);
        let mut notes: Vec<_> = notes.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
        notes.push((INSIDE, sum(inside.as_bytes())));
        assert_eq!(found(&blob, &tar, Compression::Zstd, &notes), want);
    }
    let tar = archive(None);
    let (mut blob, mut notes) = chunked_layer("io.containers", &honest, &tar);
    let (other, more) = chunked_layer("io.github.containers", &lie, b"");
    let at = other.windows(4).position(|bytes| bytes == [0x50, 0x2a, 0x4d, 0x18]).unwrap() + 8;
    let place = format!("{}:{}:1:1", blob.len() + 8, other.len() - at);
    blob.extend(&other[at - 8..]);
    notes.extend([more[0].clone(), (more[1].0.clone(), place)]);
    let notes: Vec<_> = notes.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    assert_eq!(found(&blob, &tar, Compression::Zstd, &notes), want);
}

#[test]
fn one_table_with_both_annotations_is_honest() {
    // nerdctl states the digest of the table in the frame for stargz-snapshotter too, unpacked.
    let (text, tar) = (table().to_string(), archive(None));
    let (blob, notes) = chunked_layer("io.github.containers", &text, &tar);
    let mut notes: Vec<_> = notes.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    notes.push((INSIDE, sum(text.as_bytes())));
    assert_eq!(found(&blob, &tar, Compression::Zstd, &notes), [""; 0]);
}

#[test]
fn an_entry_behind_the_table() {
    let text = table().to_string();
    let mut tar = builder();
    add(&mut tar, b"stargz.index.json", tar::EntryType::Regular, text.as_bytes(), "");
    add(&mut tar, b"usr/bin/evil", tar::EntryType::Regular, b"evil", "");
    let tar = tar.into_inner().unwrap();
    let found = found(&tar, &tar, Compression::None, &[(INSIDE, sum(text.as_bytes()))]);
    assert_eq!(found[0], "usr/bin/evil: an entry of the archive that follows its table of contents");
}

#[test]
fn a_promise_that_is_not_kept_is_told() {
    let text = table().to_string();
    assert_eq!(
        estargz(&text, &Digest::sha256(b"another")),
        [": its table of contents has another digest than its annotation states"]
    );
    for position in ["", "1:2", "1:2:3:4", "99999999999:1:3:1", "18446744073709551615:1:1:1"] {
        let found = chunked(&text, Some(position));
        assert!(found.len() == 1 && found[0].starts_with(": "), "{position}: {found:?}");
    }
    let unreadable = [": its table of contents cannot be read"];
    for text in [
        "no JSON",
        "",
        "{}{}",
        "[]",
        r#"{"entries":{}}"#,
        r#"{"entries":[{}"#,
        r#"{"entries":[{},]}"#,
        r#"{"entries":[{}{}]}"#,
        r#"{"entries":[,{}]}"#,
        r#"{"entries":[1]}"#,
        r#"{"entries":[{"size":1.0}]}"#,
        r#"{"entries":[{"name":]}"#,
        r#"{"entries":[{"name":"\ud800"}]}"#,
        r#"{"entries" []}"#,
        r#"{"entries":[]]"#,
    ] {
        assert_eq!(chunked(text, None), unreadable, "{text}");
    }
}

#[test]
fn what_is_no_lie_is_not_called_one() {
    let (text, tar) = (table().to_string(), archive(None));
    let external = found(&tar, &tar, Compression::None, &[(INSIDE, sum(b""))]);
    assert_eq!(external, ["unread: it is not in the layer"]);
    assert_eq!(chunked(&text, Some("1:99999999999:3:1")), ["unread: it has more than 64 MiB, packed"]);
    let long = format!(r#"{{"x":"{}","entries":[]}}"#, "x".repeat(70_000));
    assert_eq!(chunked(&long, None), ["unread: beside its entries it has more than 64 KiB"]);
    let long = format!(r#"{{"entries":[{{"x":"{}"}}]}}"#, "x".repeat(3 << 20));
    assert_eq!(chunked(&long, None), ["unread: an entry has more than 2 MiB"]);
    assert_eq!(
        changed(|all| all.extend(vec![all[0].clone(); 1_000])),
        ["unread: it has more entries than a layer may have (limit `entries`)"]
    );
    // What is a lie stays one.
    let found = changed(|all| {
        all[1]["name"] = json!("evil");
        all.extend(vec![all[0].clone(); 1_000]);
    });
    let evil = "evil: the table of contents has it, and the archive has not";
    assert_eq!(found, [evil, "unread: it has more entries than a layer may have (limit `entries`)"]);
    let longer: Change = |all| all[1]["digest"] = json!(Digest::of(Algorithm::Sha512, b"hello").to_string());
    assert_eq!(changed(longer), ["unread: it has digests that are no SHA-256"]);
}

#[test]
fn names_that_are_no_text_are_compared_as_go_writes_them() {
    let mut tar = builder();
    add(&mut tar, b"caf\xe9\xe2\x82", tar::EntryType::Regular, b"x", "");
    let mut table = table();
    let mut entry = table["entries"][1].clone();
    let (name, digest) = ("caf\u{fffd}\u{fffd}\u{fffd}", sum(b"x"));
    entry["name"] = json!(name);
    entry["size"] = json!(1);
    entry["digest"] = json!(digest);
    entry["chunkDigest"] = json!(digest);
    table["entries"].as_array_mut().unwrap().push(entry);
    let unread = "unread: names in the archive are no UTF-8, and cannot stand in it";
    assert_eq!(of_archive(tar, &table), [unread]);
    let mut tar = builder();
    add(&mut tar, b"caf\xe9\xe2\x82", tar::EntryType::Regular, b"y", "");
    assert_eq!(of_archive(tar, &table), [differs(name, "its content"), unread.into()]);
}

#[test]
fn contradictions_are_listed_up_to_a_limit() {
    let many: Change = |all| {
        all.extend((0..900).map(|at| json!({"type": "reg", "name": format!("evil/{at}")})));
    };
    assert_eq!(changed(many).len(), super::compare::LISTED);
}

#[test]
fn a_table_is_the_same_however_it_streams_by() {
    let text = table().to_string();
    let whole = read_in_pieces(&text, text.len());
    assert_eq!(whole.len(), 9);
    for length in [1, 2, 3, 7, 100] {
        assert_eq!(read_in_pieces(&text, length), whole);
    }
    let spaced = serde_json::to_string_pretty(&table()).unwrap();
    assert_eq!(read_in_pieces(&spaced, 5), whole);
}

fn read_in_pieces(text: &str, length: usize) -> Vec<Listed> {
    let (mut splitter, mut entries) = (Splitter::default(), Vec::new());
    for piece in text.as_bytes().chunks(length) {
        splitter.push(piece, &mut |entry| entries.push(entry));
    }
    assert_eq!(splitter.finish(), None);
    entries
}

#[test]
fn without_an_annotation_nobody_believes_a_table() {
    let tar = archive(Some("nonsense"));
    assert_eq!(found(&tar, &tar, Compression::None, &[]), [""; 0]);
}
