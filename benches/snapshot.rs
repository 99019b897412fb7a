//! Compiling, opening and asking an advisory snapshot.
//!
//! `PORTCULLIS_BENCH_DB=DIR cargo bench --bench snapshot` takes a directory in the layout of the OSV
//! bucket; without it 20,000 records are made up. `parsed` is the same bytes read as plain JSON values on
//! one thread: the ratio of `compiled` to it is the figure.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails may panic")]

use std::path::{Path, PathBuf};

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use portcullis::feed::Store;
use portcullis::osv::segment::Segment;

fn main() {
    divan::main();
}

struct Place {
    directory: PathBuf,
    cache: tempfile::TempDir,
    _made_up: Option<tempfile::TempDir>,
}

fn place() -> Place {
    let cache = tempfile::tempdir().unwrap();
    if let Some(directory) = std::env::var_os("PORTCULLIS_BENCH_DB") {
        return Place { directory: directory.into(), cache, _made_up: None };
    }
    let made_up = tempfile::tempdir().unwrap();
    let below = made_up.path().join("npm");
    std::fs::create_dir(&below).unwrap();
    for n in 0..20_000 {
        let record = format!(
            r#"{{"id":"GHSA-{n}","modified":"2026-01-01T00:00:00Z","aliases":["CVE-2026-{n}"],"summary":"s","details":"{}",
            "affected":[{{"package":{{"ecosystem":"npm","name":"package{}"}},"ranges":[{{"type":"SEMVER",
            "events":[{{"introduced":"0"}},{{"fixed":"1.{n}.0"}}]}}]}}]}}"#,
            "d".repeat(500),
            n % 7_000
        );
        std::fs::write(below.join(format!("GHSA-{n}.json")), record).unwrap();
    }
    Place { directory: made_up.path().to_owned(), cache, _made_up: Some(made_up) }
}

fn compile(directory: &Path, cache: &Path) -> u64 {
    let store = Store::open(directory, cache).unwrap();
    let mut records = 0;
    for ecosystem in store.ecosystems().unwrap() {
        let mapped = store.segment(&ecosystem).unwrap().unwrap();
        records += Segment::open(mapped.bytes()).unwrap().meta().records;
    }
    records
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn compiled(bencher: Bencher) {
    let place = place();
    let records = compile(&place.directory, place.cache.path());
    bencher
        .counter(ItemsCount::new(records))
        .with_inputs(|| tempfile::tempdir().unwrap())
        .bench_local_values(|cache| compile(&place.directory, cache.path()));
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn parsed(bencher: Bencher) {
    let place = place();
    bencher.counter(ItemsCount::new(compile(&place.directory, place.cache.path()))).bench_local(|| {
        for ecosystem in std::fs::read_dir(&place.directory).unwrap() {
            let below = ecosystem.unwrap().path();
            let parse = |bytes: &[u8]| drop(black_box(serde_json::from_slice::<serde_json::Value>(bytes)));
            if let Ok(file) = std::fs::File::open(below.join("all.zip")) {
                let mut archive = zip::ZipArchive::new(std::io::BufReader::new(file)).unwrap();
                for index in 0..archive.len() {
                    let mut bytes = Vec::new();
                    std::io::copy(&mut archive.by_index(index).unwrap(), &mut bytes).unwrap();
                    parse(&bytes);
                }
            } else if below.is_dir() {
                for record in std::fs::read_dir(below).unwrap() {
                    parse(&std::fs::read(record.unwrap().path()).unwrap());
                }
            }
        }
    });
}

#[divan::bench]
fn opened_with_the_first_look_up(bencher: Bencher) {
    let place = place();
    compile(&place.directory, place.cache.path());
    let store = Store::open(&place.directory, place.cache.path()).unwrap();
    bencher.bench_local(|| {
        let mapped = store.segment("npm").unwrap().unwrap();
        let segment = Segment::open(mapped.bytes()).unwrap();
        segment.affecting("npm", "package1").unwrap()
    });
}

#[divan::bench(args = ["package1", "lodash", "no-such-package"])]
fn looked_up(bencher: Bencher, name: &str) {
    let place = place();
    compile(&place.directory, place.cache.path());
    let store = Store::open(&place.directory, place.cache.path()).unwrap();
    let mapped = store.segment("npm").unwrap().unwrap();
    let segment = Segment::open(mapped.bytes()).unwrap();
    bencher.bench_local(|| segment.affecting("npm", black_box(name)).unwrap());
}
