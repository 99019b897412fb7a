use std::io::{Cursor, Write};

use proptest::prelude::*;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

/// A sound archive of deflated files.
pub(in crate::inventory) fn zip(members: &[(&str, &str)]) -> Vec<u8> {
    let members: Vec<_> = members.iter().map(|(name, content)| (*name, content.as_bytes())).collect();
    zip_with(SimpleFileOptions::default(), &members)
}

/// The same with other options and with any bytes.
pub(in crate::inventory) fn zip_with(options: SimpleFileOptions, members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// One stored file, byte by byte: what no sound writer writes.
#[derive(Clone)]
struct Raw {
    name: &'static str,
    local_name: &'static str,
    content: &'static [u8],
    flags: u16,
    method: u16,
    local_method: u16,
    crc: Option<u32>,
    /// Size in the directory and in the header.
    sizes: (u32, u32),
    /// Where the directory says that the header is, if elsewhere.
    at: Option<u32>,
    listed: bool,
}

fn raw(name: &'static str, content: &'static [u8]) -> Raw {
    let size = u32::try_from(content.len()).unwrap();
    Raw {
        name,
        local_name: name,
        content,
        flags: 0,
        method: 0,
        local_method: 0,
        crc: None,
        sizes: (size, size),
        at: None,
        listed: true,
    }
}

fn build(members: &[Raw]) -> Vec<u8> {
    let (mut bytes, mut directory, mut count) = (Vec::new(), Vec::new(), 0_u16);
    for member in members {
        let at = u32::try_from(bytes.len()).unwrap();
        let mut crc = Crc::new();
        crc.update(member.content);
        let crc = member.crc.unwrap_or(crc.sum());
        let packed = u32::try_from(member.content.len()).unwrap();
        let numbers = |method: u16, size: u32, name: &str| {
            let mut numbers = [20_u16, member.flags, method, 0, 0].map(u16::to_le_bytes).concat();
            numbers.extend([crc, packed, size].map(u32::to_le_bytes).concat());
            numbers.extend([u16::try_from(name.len()).unwrap(), 0].map(u16::to_le_bytes).concat());
            numbers
        };
        bytes.extend(b"PK\x03\x04");
        bytes.extend(numbers(member.local_method, member.sizes.1, member.local_name));
        bytes.extend(member.local_name.as_bytes());
        bytes.extend(member.content);
        if member.listed {
            count += 1;
            directory.extend(b"PK\x01\x02\x14\0");
            directory.extend(numbers(member.method, member.sizes.0, member.name));
            directory.extend([0; 10]);
            directory.extend(member.at.unwrap_or(at).to_le_bytes());
            directory.extend(member.name.as_bytes());
        }
    }
    let at = u32::try_from(bytes.len()).unwrap();
    let size = u32::try_from(directory.len()).unwrap();
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([count, count].map(u16::to_le_bytes).concat());
    bytes.extend([size, at].map(u32::to_le_bytes).concat());
    bytes.extend([0, 0]);
    bytes
}

/// Every entry with its content, or why not.
fn contents(bytes: &[u8]) -> Vec<(String, Result<String, String>)> {
    let archive = Archive::open(bytes).unwrap();
    let mut budget = Budget::default();
    let read = |entry| {
        archive.read(entry, 1 << 20, &mut budget).map(|content| String::from_utf8(content.into()).unwrap())
    };
    let names = archive.entries.iter().map(|entry| escape(entry.name));
    names.zip(archive.entries.iter().map(read)).collect()
}

fn faults(bytes: &[u8]) -> Vec<String> {
    Archive::open(bytes).map(|archive| archive.faults).unwrap_or_else(|cause| vec![format!("whole: {cause}")])
}

fn sound(name: &str, content: &str) -> Vec<(String, Result<String, String>)> {
    vec![(name.to_owned(), Ok(content.to_owned()))]
}

#[test]
fn sound_archives_are_read_in_every_form() {
    let long = "a".repeat(5_000);
    let deflated = zip(&[("a.txt", &long)]);
    let zip64 = zip_with(SimpleFileOptions::default().large_file(true), &[("a.txt", long.as_bytes())]);
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let stored = zip_with(options, &[("a.txt", long.as_bytes())]);
    let mut streamed = ZipWriter::new_stream(Vec::new());
    streamed.start_file("a.txt", SimpleFileOptions::default()).unwrap();
    streamed.write_all(long.as_bytes()).unwrap();
    let streamed = streamed.finish().unwrap().into_inner();
    assert!(streamed.windows(4).any(|magic| magic == b"PK\x07\x08"), "it has no descriptor");
    let script = [b"#!/bin/sh\nexec java -jar \"$0\"\n".as_slice(), &deflated].concat();
    for bytes in [deflated, zip64, stored, streamed, script] {
        assert_eq!(contents(&bytes), sound("a.txt", &long));
        assert_eq!(faults(&bytes), [""; 0]);
    }
    assert_eq!(contents(&zip(&[])), []);
}

/// The end of an archive in zip64's form, with the numbers of the old form unset.
fn zip64_end(bytes: &[u8], unset: bool, offset: u64) -> Vec<u8> {
    let (before, end) = bytes.split_at(bytes.len() - 22);
    let size = u64::from(u32::from_le_bytes(end[12..16].try_into().unwrap()));
    let mut made = before.to_vec();
    made.extend(b"PK\x06\x06");
    made.extend(44_u64.to_le_bytes());
    made.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let count = u64::from(u16::from_le_bytes(end[10..12].try_into().unwrap()));
    made.extend([count, count, size, offset].map(u64::to_le_bytes).concat());
    made.extend(b"PK\x06\x07\0\0\0\0");
    made.extend((before.len() as u64).to_le_bytes());
    made.extend([1, 0, 0, 0]);
    let mut end = end.to_vec();
    if unset {
        end[8..20].fill(0xff);
    }
    made.extend(end);
    made
}

#[test]
fn zip64_ends_are_read_and_compared() {
    let plain = zip(&[("a.txt", "hello")]);
    let at = u64::from(u32::from_le_bytes(plain[plain.len() - 6..plain.len() - 2].try_into().unwrap()));
    for unset in [true, false] {
        let bytes = zip64_end(&plain, unset, at);
        assert_eq!(contents(&bytes), sound("a.txt", "hello"));
        assert_eq!(faults(&[b"#!/bin/sh\n".as_slice(), &bytes].concat()), [""; 0]);
    }
    assert_eq!(faults(&zip64_end(&plain, false, at - 1)), ["whole: its two end records differ"]);
    assert_eq!(faults(&zip64_end(&plain, true, u64::MAX)), ["whole: its directory is not where it says"]);
    let mut lost = zip64_end(&plain, true, at);
    let record = lost.len() - 22 - 20 - 56;
    lost[record] = 0;
    assert_eq!(faults(&lost), ["whole: its zip64 end record is not where it says"]);
}

#[test]
fn what_is_no_archive_says_why() {
    let whole = zip(&[("a.txt", "hello")]);
    for (bytes, cause) in [
        (&b""[..], "an empty file"),
        (b"hello", "no zip archive"),
        (b"Rar!\x1a\x07\0", "a RAR archive, no zip archive"),
        (&whole[..whole.len() - 1], "a zip archive that is cut short"),
        (&whole[..40], "a zip archive that is cut short"),
    ] {
        assert_eq!(faults(bytes), [format!("whole: {cause}")]);
    }
}

#[test]
fn ends_that_readers_find_differently_are_faults() {
    let whole = zip(&[("a.txt", "hello")]);
    assert_eq!(faults(&[&whole, b"x".as_slice()].concat()), ["1 bytes stand after its end"]);
    let mut second = whole.clone();
    let end = second.len();
    second[end - 2..].copy_from_slice(&22_u16.to_le_bytes());
    second.extend(b"PK\x05\x06");
    second.extend([0; 18]);
    assert_eq!(faults(&second), ["whole: it has two end records"]);
    let concatenated = [whole.clone(), whole.clone()].concat();
    assert_eq!(faults(&concatenated), ["it holds an entry that its directory does not list"]);
    let mut counted = whole.clone();
    counted[end - 14..end - 10].copy_from_slice(&[9, 0, 9, 0]);
    assert_eq!(faults(&counted), ["its directory has more or fewer entries than it says"]);
    let mut disks = whole.clone();
    disks[end - 18] = 1;
    assert_eq!(faults(&disks), ["whole: part of an archive in several files"]);
    let mut wild = whole.clone();
    wild[end - 6..end - 2].fill(0xfe);
    assert_eq!(faults(&wild), ["whole: its directory is not where it says"]);
    let mut large = whole;
    large[end - 10..end - 6].fill(0xfe);
    assert_eq!(faults(&large), ["whole: its directory is larger than the file"]);
}

#[test]
fn two_entries_of_one_name_are_a_fault_and_both_are_read() {
    let bytes = build(&[raw("a", b"1"), raw("a", b"2")]);
    assert_eq!(faults(&bytes), ["two entries are named `a`"]);
    assert_eq!(contents(&bytes).len(), 2);
    assert_eq!(faults(&build(&[raw("a\0b", b"")])).len(), 1);
}

#[test]
fn a_header_that_differs_from_the_directory_is_a_fault() {
    let a = raw("a", b"hello");
    let states = |what: &str| vec![format!("`a`: its header states another {what} than the directory")];
    assert_eq!(faults(&build(std::slice::from_ref(&a))), [""; 0]);
    assert_eq!(faults(&build(&[Raw { local_name: "b", ..a.clone() }])), states("name"));
    assert_eq!(faults(&build(&[Raw { local_method: 8, ..a.clone() }])), states("method"));
    assert_eq!(faults(&build(&[Raw { sizes: (5, 4), ..a.clone() }])), states("size or checksum"));
    let missing = faults(&build(&[Raw { at: Some(1), ..a.clone() }]));
    assert!(missing.contains(&"`a`: its header is not where the directory says".to_owned()), "{missing:?}");
    for at in [u32::MAX - 1, u32::MAX] {
        assert_ne!(faults(&build(&[Raw { at: Some(at), ..a.clone() }])), [""; 0]);
    }
}

#[test]
fn entries_that_overlap_or_are_not_listed_are_faults() {
    let b = Raw { at: Some(0), local_name: "a", ..raw("a", b"hello") };
    assert!(faults(&build(&[raw("a", b"hello"), b])).contains(&"entries overlap".to_owned()));
    let hidden = Raw { listed: false, ..raw("b", b"evil") };
    let unlisted = ["it holds an entry that its directory does not list"];
    assert_eq!(faults(&build(&[raw("a", b"1"), hidden.clone(), raw("c", b"2")])), unlisted);
    assert_eq!(faults(&build(&[hidden.clone(), raw("c", b"2")])), unlisted);
    assert_eq!(faults(&build(&[raw("a", b"1"), hidden])), unlisted);
}

#[test]
fn content_that_is_not_as_stated_is_not_read() {
    let cause = |member: Raw| contents(&build(&[member])).remove(0).1.unwrap_err();
    let a = raw("a", b"hello");
    assert_eq!(cause(Raw { crc: Some(1), ..a.clone() }), "its checksum is wrong");
    assert_eq!(cause(Raw { sizes: (6, 6), ..a.clone() }), "it has another size than it says");
    assert_eq!(cause(Raw { flags: 1, ..a.clone() }), "encrypted");
    let method = |method| Raw { method, local_method: method, ..a.clone() };
    assert_eq!(cause(method(99)), "compressed by an unknown method (99)");
    assert!(cause(method(8)).starts_with("it does not inflate"));
    assert_eq!(
        cause(raw(Box::leak("n".repeat(1_025).into_boxed_str()), b"")),
        "its name is longer than 1024 bytes"
    );
    // Stored blocks, deflated: "hello" twice, and what is left behind the stream.
    let hello: &[u8] = b"\x01\x05\0\xfa\xffhello";
    let deflated = |content, size| Raw {
        method: 8,
        local_method: 8,
        sizes: (size, size),
        crc: Some(0x3610_a686),
        ..raw("a", content)
    };
    assert_eq!(contents(&build(&[deflated(hello, 5)])), sound("a", "hello"));
    for size in [0, 4, 6, 5_000, 1 << 20] {
        assert_eq!(cause(deflated(hello, size)), "it has another size than it says", "{size}");
    }
    assert_eq!(cause(deflated(b"\x01\x05\0\xfa\xffhellox", 5)), "it has another size than it says");
    assert!(cause(deflated(b"\x01\x05\0\xfa\xffhel", 5)).contains("cut short"));
}

#[test]
fn an_entry_that_is_encrypted_is_named() {
    let mut bytes = zip(&[("a", "hello")]);
    let directory = bytes.windows(4).position(|magic| magic == b"PK\x01\x02").unwrap();
    bytes[6] |= 1;
    bytes[directory + 8] |= 1;
    assert_eq!(contents(&bytes)[0].1, Err("encrypted".into()));
}

#[test]
fn a_budget_is_for_all_archives_of_a_file() {
    let bomb = vec![0; 4 << 20];
    let bytes = zip_with(SimpleFileOptions::default(), &[("a", &bomb)]);
    assert!(bytes.len() < 8_192);
    let archive = Archive::open(&bytes).unwrap();
    let mut budget = Budget { bytes: 6 << 20, archives: 1 };
    let mut read = |limit| archive.read(&archive.entries[0], limit, &mut budget).map(|content| content.len());
    assert_eq!(read(1 << 20), Err("4194304 bytes, larger than the limit of 1048576".into()));
    assert_eq!(read(4 << 20), Ok(4 << 20));
    assert_eq!(read(4 << 20), Err(format!("its archives hold more than {MAX_INFLATED} bytes in all")));
    assert_eq!((budget.archive(), budget.archive().is_err()), (Ok(()), true));
}

#[test]
fn entries_have_a_limit() {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let names: Vec<String> = (0..=200_000).map(|i| format!("{i}")).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
    assert_eq!(faults(&zip_with(options, &members)), ["whole: more than 200000 entries"]);
    assert_eq!(faults(&zip_with(options, &members[1..])), [""; 0]);
}

proptest! {
    #[test]
    fn a_mutated_archive_never_panics_and_reads_no_false_content(
        changes in prop::collection::vec((0..400_usize, any::<u8>()), 1..4),
        cut in 0..400_usize,
    ) {
        let mut bytes = zip(&[("a.txt", "hello"), ("b", &"x".repeat(100))]);
        bytes.truncate(bytes.len().max(cut));
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        if let Ok(archive) = Archive::open(&bytes) {
            for entry in &archive.entries {
                let content = archive.read(entry, 1 << 10, &mut Budget::default());
                prop_assert!(content.is_err() || content.unwrap().len() as u64 == entry.size);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Archive::open(&bytes).is_ok();
    }
}
