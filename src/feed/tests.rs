use std::fs;
use std::io::Write as _;
use std::path::Path;

use super::*;
use crate::osv::segment::Segment;

struct Place {
    directory: tempfile::TempDir,
    cache: tempfile::TempDir,
}

fn now() -> Timestamp {
    "2026-11-27T00:00:00Z".parse().unwrap()
}

fn place() -> Place {
    Place { directory: tempfile::tempdir().unwrap(), cache: tempfile::tempdir().unwrap() }
}

impl Place {
    fn file(&self, path: &str, bytes: &[u8]) {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn store(&self) -> Store {
        Store::open(self.directory.path(), self.cache.path(), now()).unwrap()
    }

    fn cached(&self) -> Vec<PathBuf> {
        let below = fs::read_dir(self.cache.path().join("osv")).unwrap().next().unwrap().unwrap().path();
        let mut files: Vec<_> = fs::read_dir(below).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }
}

fn record(id: &str, name: &str) -> Vec<u8> {
    format!(
        r#"{{"id":"{id}","affected":[{{"package":{{"ecosystem":"npm","name":"{name}"}},"versions":["1"]}}]}}"#
    )
    .into_bytes()
}

fn zip(path: &Path, files: &[(&str, &[u8])]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = zip::ZipWriter::new(fs::File::create(path).unwrap());
    for (name, bytes) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap();
}

fn ids(mapped: &Mapped, name: &str) -> Vec<String> {
    let segment = Segment::open(mapped.bytes()).unwrap();
    segment.affecting("npm", name).unwrap().into_iter().map(|posting| posting.head.id.into()).collect()
}

#[test]
fn a_zip_and_a_directory_of_files_say_the_same() {
    let files = place();
    files.file("npm/A.json", &record("A", "x"));
    files.file("npm/B.json", &record("B", "x"));
    files.file("npm/notes.txt", b"no record");
    let zipped = place();
    zip(
        &zipped.directory.path().join("npm/all.zip"),
        &[("B.json", &record("B", "x")), ("A.json", &record("A", "x"))],
    );
    let (one, other) = (files.store().segment("npm").unwrap(), zipped.store().segment("npm").unwrap());
    assert_eq!(one.unwrap().bytes(), other.unwrap().bytes());
}

#[test]
fn an_ecosystem_that_is_not_there_is_none_and_a_broken_one_an_error() {
    let place = place();
    place.file("npm/A.json", &record("A", "x"));
    place.file("PyPI/all.zip", b"not a zip");
    let store = place.store();
    assert_eq!(store.ecosystems().unwrap(), ["PyPI", "npm"]);
    assert!(store.segment("Go").unwrap().is_none());
    assert_eq!(store.segment("PyPI").unwrap_err().kind, ErrorKind::NotASnapshot);
}

#[test]
fn an_empty_or_missing_directory_is_no_snapshot() {
    let place = place();
    let error = Store::open(place.directory.path(), place.cache.path(), now()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotASnapshot);
    assert!(error.to_string().contains("<Ecosystem>/all.zip"), "{error}");
    let missing = Store::open(&place.directory.path().join("x"), place.cache.path(), now()).unwrap_err();
    assert_eq!(missing.kind, ErrorKind::NotFound);
}

#[test]
fn a_source_is_compiled_once_and_again_when_it_changes() {
    let place = place();
    place.file("npm/A.json", &record("A", "x"));
    assert_eq!(ids(&place.store().segment("npm").unwrap().unwrap(), "x"), ["A"]);
    let first = place.cached();
    assert_eq!(ids(&place.store().segment("npm").unwrap().unwrap(), "x"), ["A"]);
    assert_eq!(place.cached(), first);
    place.file("npm/B.json", &record("B", "x"));
    assert_eq!(ids(&place.store().segment("npm").unwrap().unwrap(), "x"), ["A", "B"]);
    assert_ne!(place.cached(), first);
    assert_eq!(place.cached().len(), 2, "the old segment is gone: {:?}", place.cached());
    fs::remove_file(place.directory.path().join("npm/A.json")).unwrap();
    assert_eq!(ids(&place.store().segment("npm").unwrap().unwrap(), "x"), ["B"]);
}

#[test]
fn a_segment_that_was_tampered_with_is_compiled_anew() {
    let place = place();
    place.file("npm/A.json", &record("A", "x"));
    drop(place.store().segment("npm").unwrap());
    let segment = place.cached().into_iter().find(|path| path.extension().unwrap() == "segment").unwrap();
    // A record is hidden by another name; the file keeps its length.
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(5).position(|key| key == b"npm\0x").unwrap() + 4;
    bytes[at] = b'y';
    fs::write(&segment, bytes).unwrap();
    assert_eq!(ids(&place.store().segment("npm").unwrap().unwrap(), "x"), ["A"]);
}

#[test]
fn a_record_that_cannot_be_read_is_counted_and_named() {
    let place = place();
    place.file("npm/A.json", &record("A", "x"));
    place.file("npm/B.json", b"{ not json");
    let mapped = place.store().segment("npm").unwrap().unwrap();
    let meta = Segment::open(mapped.bytes()).unwrap().meta().clone();
    assert_eq!((meta.records, meta.unreadable), (1, 1));
    assert!(meta.unreadable_names[0].starts_with("B.json: "), "{:?}", meta.unreadable_names);
}

#[test]
fn an_entry_of_a_zip_with_a_wrong_checksum_is_unreadable() {
    let place = place();
    let path = place.directory.path().join("npm/all.zip");
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    writer.start_file("A.json", stored).unwrap();
    writer.write_all(&record("A", "x")).unwrap();
    writer.finish().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(3).position(|three| three == b"\"x\"").unwrap() + 1;
    bytes[at] = b'y';
    fs::write(&path, bytes).unwrap();
    let mapped = place.store().segment("npm").unwrap().unwrap();
    assert_eq!(Segment::open(mapped.bytes()).unwrap().meta().unreadable, 1);
}

#[test]
fn several_threads_compile_the_same_source_without_harm() {
    let place = place();
    for n in 0..50 {
        place.file(&format!("npm/A{n}.json"), &record(&format!("A{n}"), "x"));
    }
    let store = place.store();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(ids(&store.segment("npm").unwrap().unwrap(), "x").len(), 50));
        }
    });
    assert_eq!(place.cached().len(), 2);
}

#[test]
fn a_zip_with_one_name_twice_or_with_other_files_is_not_wholly_read() {
    let place = place();
    let path = place.directory.path().join("npm/all.zip");
    zip(&path, &[("A.json", &record("A", "x")), ("B.json", &record("B", "x"))]);
    let mut bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() - 6 {
        if &bytes[at..at + 6] == b"B.json" {
            bytes[at] = b'A';
        }
    }
    fs::write(&path, bytes).unwrap();
    let error = place.store().segment("npm").unwrap_err();
    assert!(error.message.contains("lists 2 members, under 1 names"), "{error}");
    zip(&path, &[("A.json", &record("A", "x")), ("B.JSON", &record("B", "x")), ("C", &record("C", "x"))]);
    let mapped = place.store().segment("npm").unwrap().unwrap();
    assert_eq!(Segment::open(mapped.bytes()).unwrap().meta().unreadable, 2);
}

fn pipe(path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_pipe_is_no_source_and_is_not_waited_for() {
    let place = place();
    place.file("npm/A.json", &record("A", "x"));
    pipe(&place.directory.path().join("npm/B.json"));
    pipe(&place.directory.path().join("PyPI/all.zip"));
    let store = place.store();
    let mapped = store.segment("npm").unwrap().unwrap();
    let names = Segment::open(mapped.bytes()).unwrap().meta().unreadable_names.clone();
    assert_eq!(names, ["B.json: is no regular file"]);
    assert!(store.segment("PyPI").unwrap_err().message.contains("no regular file"));
    for name in ["snapshot.json", "lock"] {
        let installed = tempfile::tempdir().unwrap();
        pipe(&installed.path().join(name));
        let error = Writer::begin(installed.path(), PATIENCE, || {}).unwrap_err();
        assert!(error.to_string().contains(&format!("{name}: is no regular file")), "{error}");
    }
}

#[test]
fn a_withdrawal_that_is_still_to_come_is_not_believed() {
    let place = place();
    let record = |id: &str, withdrawn: &str| format!(r#"{{"id":"{id}","withdrawn":"{withdrawn}"}}"#);
    place.file("npm/A.json", record("A", "2020-01-01T00:00:00Z").as_bytes());
    place.file("npm/B.json", record("B", "2999-01-01T00:00:00Z").as_bytes());
    let mapped = place.store().segment("npm").unwrap().unwrap();
    let meta = Segment::open(mapped.bytes()).unwrap().meta().clone();
    assert_eq!((meta.records, meta.unreadable), (1, 1));
    assert_eq!(meta.unreadable_names, ["B.json: its `withdrawn` is still to come"]);
}

#[test]
fn a_record_of_more_values_than_any_has_is_unreadable() {
    let place = place();
    let many = format!(r#"{{"id":"A","affected":[{}{{}}]}}"#, "{},".repeat(400_001));
    place.file("npm/A.json", many.as_bytes());
    let mapped = place.store().segment("npm").unwrap().unwrap();
    let meta = Segment::open(mapped.bytes()).unwrap().meta().clone();
    assert_eq!(meta.unreadable_names, ["A.json: it has more than the limit of 400000 values"]);
}

#[test]
fn a_zip_that_unpacks_to_far_more_than_it_is_is_refused() {
    let place = place();
    let path = place.directory.path().join("npm/all.zip");
    let long = |id: &str| format!(r#"{{"id":"{id}","affected":[]}}{}"#, " ".repeat(15 << 20)).into_bytes();
    let names: Vec<String> = (0..6).map(|number| format!("A{number}")).collect();
    let files: Vec<(String, Vec<u8>)> = names.iter().map(|id| (format!("{id}.json"), long(id))).collect();
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    zip(&path, &files[..3]);
    let mapped = place.store().segment("npm").unwrap().unwrap();
    assert_eq!(Segment::open(mapped.bytes()).unwrap().meta().records, 3);
    zip(&path, &files);
    let error = place.store().segment("npm").unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
    assert!(error.message.contains("bytes of zip"), "{error}");
}

#[test]
fn a_member_of_a_zip_that_cannot_be_read_has_its_name() {
    let place = place();
    let path = place.directory.path().join("npm/all.zip");
    zip(&path, &[("A.json", &record("A", "x")), ("B.json", &record("B", "x"))]);
    let mut bytes = fs::read(&path).unwrap();
    let second = bytes.windows(4).rposition(|four| four == b"PK\x03\x04").unwrap();
    assert!(second > 0);
    bytes[second] = b'X';
    fs::write(&path, bytes).unwrap();
    let mapped = place.store().segment("npm").unwrap().unwrap();
    let segment = Segment::open(mapped.bytes()).unwrap();
    let unreadable: Vec<_> = segment.unreadable().map(|one| one.unwrap().0).collect();
    assert_eq!((unreadable, segment.meta().records), (vec!["B.json"], 1));
}

#[test]
fn two_writers_of_one_file_do_not_meet() {
    let place = place();
    let directory = place.directory.path();
    // Of one process and one thread, as the first processes of two containers are of one number.
    files::write_whole(directory, "x", |outer| {
        files::write_whole(directory, "x", |inner| inner.write_all(b"inner"))?;
        outer.write_all(b"outer")
    })
    .unwrap();
    assert_eq!(fs::read(directory.join("x")).unwrap(), b"outer");
    assert_eq!(fs::read_dir(directory).unwrap().count(), 1);
}

#[test]
fn the_wait_for_the_lock_has_an_end() {
    let place = place();
    let held = Writer::begin(place.directory.path(), PATIENCE, || {}).unwrap();
    let (began, mut told) = (Instant::now(), false);
    let error =
        Writer::begin(place.directory.path(), Duration::from_millis(300), || told = true).unwrap_err();
    assert!(told && error.message.contains("another process"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(60));
    drop(held);
    Writer::begin(place.directory.path(), Duration::ZERO, || {}).unwrap();
}

#[test]
fn a_bucket_with_an_end_asks_nothing_after_it() {
    let settings = BucketSettings { url: "http://127.0.0.1:1".into(), ..BucketSettings::default() };
    let bucket = Bucket::new(&settings).unwrap();
    assert_eq!(bucket.left(), None);
    let ended = bucket.until(Instant::now());
    assert_eq!(ended.left(), Some(Duration::ZERO));
    let error = ended.ecosystems().unwrap_err();
    assert!(error.message.contains("the time for fetching advisories is over"), "{error}");
    let later = Instant::now() + Duration::from_secs(1000);
    assert_eq!(ended.until(later).left(), Some(Duration::ZERO), "an end is not put off");
}

#[test]
fn a_document_that_could_not_be_read_again_is_not_written() {
    let place = place();
    let source = place.directory.path().join("source");
    fs::create_dir_all(source.join("npm")).unwrap();
    fs::write(source.join("npm/A.json"), record("A", "x")).unwrap();
    let segment = place_of(&source);
    let installed = place.directory.path().join("installed");
    let mut writer = Writer::begin(&installed, PATIENCE, || {}).unwrap();
    let origin = Origin {
        source: "x".repeat(5 << 20),
        checked: "2026-01-01T00:00:00Z".parse().unwrap(),
        etag: None,
        list_etag: None,
    };
    let part = writer.stage("npm", segment.bytes(), origin).unwrap();
    writer.put("npm", part).unwrap();
    assert_eq!(writer.commit().unwrap_err().kind, ErrorKind::TooLarge);
    assert!(!installed.join("snapshot.json").exists());
}

/// The segment of npm of a directory in the layout of the bucket.
fn place_of(source: &Path) -> Mapped {
    let cache = tempfile::tempdir().unwrap();
    Store::open(source, cache.path(), now()).unwrap().segment("npm").unwrap().unwrap()
}
