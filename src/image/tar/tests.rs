use proptest::prelude::*;

use super::*;

struct Slice<'a>(&'a [u8]);

impl Read for Slice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Source for Slice<'_> {}

type Entry = (Vec<u8>, Kind, Vec<u8>);

fn entries(bytes: &[u8]) -> Result<(Vec<Entry>, bool), Error> {
    let mut archive = Archive::new(Slice(bytes), &Limits { path: 100, ..Limits::default() });
    let mut found = Vec::new();
    while let Some(header) = archive.next_entry()? {
        let mut content = Vec::new();
        archive.read_to_end(&mut content)?;
        found.push((header.name, header.kind, content));
    }
    let trailing = archive.has_trailing_bytes()?;
    Ok((found, trailing))
}

fn header(name: &str, size: u64, kind: tar::EntryType) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_path(name).unwrap();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_entry_type(kind);
    header.set_cksum();
    header
}

fn archive_of(names: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in names {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn long_names_of_both_kinds_are_read() {
    let long = "d/".repeat(150) + "file";
    let gnu = archive_of(&[(long.clone(), b"content".to_vec())]);
    assert_eq!(entries(&gnu).unwrap().0, [(long.clone().into_bytes(), Kind::File, b"content".to_vec())]);

    let record = format!(" path={long}\n");
    let record = format!("{}{record}", record.len() + 3);
    let mut builder = tar::Builder::new(Vec::new());
    let pax = header("pax", record.len() as u64, tar::EntryType::XHeader);
    builder.append(&pax, record.as_bytes()).unwrap();
    builder.append(&header("short", 1, tar::EntryType::Regular), &b"x"[..]).unwrap();
    let found = entries(&builder.into_inner().unwrap()).unwrap().0;
    assert_eq!(found, [(long.into_bytes(), Kind::File, b"x".to_vec())]);
}

#[test]
fn a_pax_size_overrides_the_header() {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header("pax", 10, tar::EntryType::XHeader), &b"10 size=2\n"[..]).unwrap();
    let mut bytes = builder.into_inner().unwrap();
    bytes.truncate(1024);
    bytes.extend(header("f", 0, tar::EntryType::Regular).as_bytes());
    bytes.extend(b"ok");
    bytes.resize(4096, 0);
    assert_eq!(entries(&bytes).unwrap().0, [(b"f".to_vec(), Kind::File, b"ok".to_vec())]);
}

#[test]
fn a_second_archive_after_the_end_is_reported() {
    let one = archive_of(&[("a".into(), vec![1])]);
    assert!(!entries(&one).unwrap().1);
    let (found, trailing) = entries(&[one.clone(), one].concat()).unwrap();
    assert_eq!((found.len(), trailing), (1, true));
}

#[test]
fn a_link_with_a_size_stores_no_content() {
    let mut bytes = header("link", 512, tar::EntryType::Symlink).as_bytes().to_vec();
    bytes.extend(header("next", 0, tar::EntryType::Regular).as_bytes());
    bytes.resize(4096, 0);
    let found = entries(&bytes).unwrap().0;
    assert_eq!(found.len(), 2);
    assert_eq!(found[1].0, b"next");
}

#[test]
fn a_sparse_file_is_marked_and_passed_over() {
    let mut sparse = header("sparse", 512, tar::EntryType::GNUSparse);
    sparse.as_mut_bytes()[482] = 1;
    sparse.set_cksum();
    let mut bytes = sparse.as_bytes().to_vec();
    bytes.resize(1024 + 512, 0); // one more block of the map, then the stored block
    bytes.extend(header("next", 0, tar::EntryType::Regular).as_bytes());
    bytes.resize(8192, 0);
    let found = entries(&bytes).unwrap().0;
    assert_eq!((&found[0].1, found[1].0.as_slice()), (&Kind::Sparse, b"next".as_slice()));
}

#[test]
fn malformed_headers_are_no_archive() {
    let good = archive_of(&[("a".into(), vec![1; 600])]);
    let broken = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        entries(&bytes)
    };
    assert!(matches!(broken(&|b| b[0] ^= 1), Err(Error::Grammar(_))), "checksum");
    assert!(matches!(broken(&|b| b.truncate(700)), Err(Error::Grammar(_) | Error::Read(_))), "cut content");
    assert!(matches!(broken(&|b| b.truncate(300)), Err(Error::Grammar(_))), "cut header");
    let mut negative = header("a", 0, tar::EntryType::Regular);
    negative.as_mut_bytes()[124..136].fill(0xff);
    negative.set_cksum();
    assert!(matches!(entries(negative.as_bytes()), Err(Error::Grammar(_))), "negative size");
    let global =
        [header("g", 10, tar::EntryType::XGlobalHeader).as_bytes().as_slice(), b"10 path=x\n"].concat();
    let global = [global, vec![0; 2048]].concat();
    assert!(matches!(entries(&global), Err(Error::Grammar(_))), "global path");
}

#[test]
fn more_entries_than_the_limit_are_refused() {
    let bytes = archive_of(&[("a".into(), vec![]), ("b".into(), vec![])]);
    let mut archive = Archive::new(Slice(&bytes), &Limits { entries: 1, ..Limits::default() });
    assert!(archive.next_entry().is_ok());
    assert!(matches!(archive.next_entry(), Err(Error::Limit(_))));
}

proptest! {
    #[test]
    fn what_the_tar_crate_writes_is_read_back(
        files in prop::collection::vec(("[a-z]{1,20}(/[a-z]{1,60}){0,6}", prop::collection::vec(any::<u8>(), 0..1500)), 0..8)
    ) {
        let want: Vec<_> = files.iter().map(|(n, c)| (n.clone().into_bytes(), Kind::File, c.clone())).collect();
        prop_assert_eq!(entries(&archive_of(&files)).unwrap(), (want, false));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        let _ = entries(&bytes).is_ok();
    }
}

/// A header block with raw fields: name, type, size, magic, and bytes from 345 on.
fn raw(name: &[u8], kind: u8, size: u64, magic: &[u8; 8], rest: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name);
    put(100, b"0000644\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(257, magic);
    put(345, rest);
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block.to_vec()
}

const POSIX: &[u8; 8] = b"ustar\x0000";
const GNU: &[u8; 8] = b"ustar  \0";

fn padded(content: &[u8]) -> Vec<u8> {
    let mut bytes = content.to_vec();
    bytes.resize(content.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn pax(key: &str, value: &str) -> Vec<u8> {
    let tail = format!(" {key}={value}\n");
    let length = (1..).find(|length: &usize| length.to_string().len() + tail.len() == *length).unwrap();
    let record = format!("{length}{tail}").into_bytes();
    [raw(b"pax", b'x', record.len() as u64, POSIX, b""), padded(&record)].concat()
}

fn long(kind: u8, name: &[u8]) -> Vec<u8> {
    [raw(b"././@LongLink", kind, name.len() as u64, GNU, b""), padded(name)].concat()
}

#[test]
fn names_that_readers_disagree_on_are_refused() {
    let file = |name: &[u8]| raw(name, b'0', 0, POSIX, b"");
    let star = [&[b'p'; 140][..], &[0; 15 + 8], b"tar\0"].concat();
    let cases: &[(&str, Vec<u8>)] = &[
        ("gnu name, then pax name", [long(b'L', b"evil\0"), pax("path", "decoy"), file(b"a")].concat()),
        ("two pax headers", [pax("path", "decoy"), pax("mtime", "1"), file(b"evil")].concat()),
        ("two gnu names", [long(b'L', b"a\0"), long(b'L', b"b\0"), file(b"c")].concat()),
        ("an empty gnu name", [long(b'L', b"\0"), file(b"evil")].concat()),
        ("a NUL in a pax name", [pax("path", "evil\0x"), file(b"a")].concat()),
        ("a star prefix", raw(b"name", b'0', 0, POSIX, &star)),
        ("a prefix in GNU's format", raw(b"name", b'0', 0, GNU, b"app/node_modules/lodash")),
        ("a file that is a directory", [raw(b"a/", b'0', 512, POSIX, b""), vec![0; BLOCK]].concat()),
    ];
    for (what, archive) in cases {
        assert!(matches!(entries(archive), Err(Error::Grammar(_))), "{what}: {:?}", entries(archive));
    }
}

fn headers(bytes: &[u8]) -> Vec<Header> {
    let mut archive = Archive::new(Slice(bytes), &Limits::default());
    std::iter::from_fn(|| archive.next_entry().unwrap()).collect()
}

#[test]
fn owner_time_device_and_capability_are_told() {
    let mut device = tar::Header::new_gnu();
    device.set_path("dev/null").unwrap();
    device.set_entry_type(tar::EntryType::Char);
    device.set_mode(0o4755);
    device.set_uid(7);
    device.set_gid(8);
    device.set_mtime(9);
    device.set_size(0);
    device.set_device_major(1).unwrap();
    device.set_device_minor(3).unwrap();
    device.set_cksum();
    let found = &headers(device.as_bytes())[0];
    assert_eq!((found.uid, found.gid, found.mtime, found.mode), (7, 8, Some(9), 0o4755));
    assert_eq!((found.node, &found.oddities), (Some(Node::Character(1, 3)), &vec![]));

    let records =
        [("uid", "3000000000"), ("mtime", "-5.5"), ("SCHILY.xattr.security.capability", "\u{1}caps")];
    for (key, value) in records {
        let found = headers(&[pax(key, value), raw(b"f", b'0', 0, POSIX, b"")].concat()).remove(0);
        assert_eq!(found.uid == 3_000_000_000, key == "uid");
        assert_eq!(found.mtime, Some(if key == "mtime" { -5 } else { 0 }));
        assert_eq!(found.capability.is_some_and(|bytes| *bytes == *b"\x01caps"), key.starts_with("SCHILY"));
        let xattr = found.xattrs.get(&b"security.capability"[..]);
        assert_eq!(xattr.is_some_and(|bytes| bytes == b"\x01caps"), key.starts_with("SCHILY"));
        assert_eq!(found.oddities, [""; 0], "{key}");
    }
}

#[test]
fn what_readers_may_disagree_on_is_told() {
    let mut needless = header("f", 0, tar::EntryType::Regular);
    needless.as_mut_bytes()[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 1]);
    needless.set_cksum();
    let mut needed = header("f", 0, tar::EntryType::Regular);
    needed.as_mut_bytes()[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0x80, 0, 0, 0]);
    needed.set_cksum();
    assert_eq!(headers(needed.as_bytes())[0].uid, 1 << 31);
    let link = header("l", 9, tar::EntryType::Link);
    let file = |size: u64, magic| [raw(b"f", b'0', size, magic, b""), vec![0; 1024]].concat();
    let cases: &[(&[u8], &[&str])] = &[
        (needed.as_bytes(), &[]),
        (needless.as_bytes(), &[NEEDLESS]),
        (&[pax("size", "2"), file(0, POSIX)].concat(), &[]),
        (
            &[pax("size", "2"), file(1, POSIX)].concat(),
            &["an extended header that states another size than the header"],
        ),
        (&[pax("mtime", "2"), file(1, GNU)].concat(), &["a pax header before an entry in GNU's format"]),
        (&[pax("gid", "root"), file(1, POSIX)].concat(), &["an owner or a time that is no number"]),
        (link.as_bytes(), &["a link or special file that states a size"]),
    ];
    for (archive, want) in cases {
        assert_eq!(headers(archive)[0].oddities, *want);
    }
}

#[test]
fn a_sparse_file_has_its_own_name() {
    let archive = [pax("GNU.sparse.name", "evil"), raw(b"decoy", b'0', 0, POSIX, b"")].concat();
    assert_eq!(entries(&archive).unwrap().0[0].0, b"evil");
}
