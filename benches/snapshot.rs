//! Compiling, opening, asking and changing an advisory snapshot.
//!
//! `PORTCULLIS_BENCH_DB=DIR cargo bench --bench snapshot` takes a directory in the layout of the OSV bucket,
//! with zips; without it 20,000 records are made up. `PORTCULLIS_BENCH_RECORDS=N` multiplies the directory to
//! N records, each ecosystem by the same factor, the copies under other ids and package names. `parsed` is the
//! same bytes read as plain JSON values on one thread: the ratio of `compiled` to it is the figure.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails may panic")]
#![expect(clippy::indexing_slicing, reason = "a benchmark that fails may panic")]
#![expect(clippy::print_stdout, reason = "sizes are part of what it shows")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use portcullis::feed::{Mapped, Store};
use portcullis::model::digest::Digest;
use portcullis::model::fact::Fact;
use portcullis::model::inventory::{Inventory, LayerRef, Package};
use portcullis::model::layer::Distro;
use portcullis::model::purl::Purl;
use portcullis::osv::segment::Segment;
use portcullis::osv::segment::build::{Builder, Compiled};
use portcullis::osv::{Advisories, find};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The directory of records, and a cache in which it is compiled.
struct Place {
    directory: PathBuf,
    cache: PathBuf,
}

static PLACE: OnceLock<Place> = OnceLock::new();

fn main() {
    let temporary = tempfile::tempdir().unwrap();
    let records = std::env::var_os("PORTCULLIS_BENCH_RECORDS");
    let records = records.map(|text| text.to_str().unwrap().parse().unwrap());
    let directory = match (std::env::var_os("PORTCULLIS_BENCH_DB"), records) {
        (Some(directory), Some(records)) => multiply(Path::new(&directory), temporary.path(), records),
        (Some(directory), None) => directory.into(),
        (None, _) => make_up(temporary.path()),
    };
    let place = Place { directory, cache: temporary.path().join("cache") };
    let place = PLACE.get_or_init(|| place);
    for (ecosystem, mapped) in segments(place) {
        let (records, bytes) = (Segment::open(mapped.bytes()).unwrap().meta().records, mapped.bytes().len());
        println!("{ecosystem}: {records} records, {bytes} bytes");
    }
    divan::main();
}

fn place() -> &'static Place {
    PLACE.get().unwrap()
}

fn segments(place: &Place) -> BTreeMap<String, Mapped> {
    let store = Store::open(&place.directory, &place.cache, "2026-11-27T00:00:00Z".parse().unwrap()).unwrap();
    let ecosystems = store.ecosystems().unwrap().into_iter();
    ecosystems.map(|ecosystem| (ecosystem.clone(), store.segment(&ecosystem).unwrap().unwrap())).collect()
}

fn write_zip(path: &Path, records: impl Iterator<Item = (String, Vec<u8>)>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut zip = ZipWriter::new(BufWriter::new(File::create(path).unwrap()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (id, bytes) in records {
        zip.start_file(format!("{id}.json"), options.compression_level(Some(1))).unwrap();
        zip.write_all(&bytes).unwrap();
    }
    zip.finish().unwrap();
}

fn make_up(below: &Path) -> PathBuf {
    let record = |n: u32| {
        let record = json!({"id": format!("GHSA-{n}"), "modified": "2026-01-01T00:00:00Z",
            "aliases": [format!("CVE-2026-{n}")], "summary": "s", "details": "d".repeat(500),
            "affected": [{"package": {"ecosystem": "npm", "name": format!("package{}", n % 7_000)},
            "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": format!("1.{n}.0")}]}]}]});
        (format!("GHSA-{n}"), record.to_string().into_bytes())
    };
    write_zip(&below.join("bucket/npm/all.zip"), (0..20_000).map(record));
    below.join("bucket")
}

/// The records of each ecosystem of a bucket's directory.
fn read(directory: &Path) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let below = entry.unwrap().path();
        let Ok(file) = File::open(below.join("all.zip")) else { continue };
        let mut archive = ZipArchive::new(BufReader::new(file)).unwrap();
        let mut records = Vec::new();
        for index in 0..archive.len() {
            let mut bytes = Vec::new();
            archive.by_index(index).unwrap().read_to_end(&mut bytes).unwrap();
            records.push(bytes);
        }
        all.insert(below.file_name().unwrap().to_str().unwrap().to_owned(), records);
    }
    all
}

fn multiply(directory: &Path, below: &Path, wanted: usize) -> PathBuf {
    let all = read(directory);
    let total: usize = all.values().map(Vec::len).sum();
    for (ecosystem, records) in &all {
        let copies = (0..records.len() * wanted / total).map(|n| {
            let (copy, mut record) = (n / records.len(), records[n % records.len()].clone());
            let mut value: Value = serde_json::from_slice(&record).unwrap();
            if copy > 0 {
                value["id"] = format!("{}-copy{copy}", value["id"].as_str().unwrap()).into();
                for affected in value["affected"].as_array_mut().into_iter().flatten() {
                    if let Some(Value::String(name)) = affected.pointer_mut("/package/name") {
                        name.push_str(&format!("-copy{copy}"));
                    }
                }
                record = serde_json::to_vec(&value).unwrap();
            }
            (value["id"].as_str().unwrap().to_owned(), record)
        });
        write_zip(&below.join("bucket").join(ecosystem).join("all.zip"), copies);
    }
    below.join("bucket")
}

fn compile(cache: &Path) -> u64 {
    let place = Place { directory: place().directory.clone(), cache: cache.to_owned() };
    let opened = |mapped: &Mapped| Segment::open(mapped.bytes()).unwrap().meta().records;
    segments(&place).values().map(opened).sum()
}

#[divan::bench(sample_count = 3, sample_size = 1)]
fn compiled(bencher: Bencher) {
    let records = compile(&place().cache);
    bencher
        .counter(ItemsCount::new(records))
        .with_inputs(|| tempfile::tempdir().unwrap())
        .bench_local_values(|cache| compile(cache.path()));
}

#[divan::bench(sample_count = 1, sample_size = 1)]
fn parsed(bencher: Bencher) {
    bencher.counter(ItemsCount::new(compile(&place().cache))).bench_local(|| {
        for records in read(&place().directory).into_values() {
            for record in records {
                drop(black_box(serde_json::from_slice::<Value>(&record)));
            }
        }
    });
}

/// Ecosystem string and name of every key, by ecosystem.
fn keys(segments: &BTreeMap<String, Mapped>) -> Vec<(&str, String, String)> {
    let mut keys = Vec::new();
    for (base, mapped) in segments {
        for key in Segment::open(mapped.bytes()).unwrap().keys() {
            let (ecosystem, name) = key.unwrap();
            keys.push((base.as_str(), ecosystem.to_owned(), name.to_owned()));
        }
    }
    keys
}

/// A cached segment is found, its source's fingerprint compared, mapped, opened, and asked once.
#[divan::bench]
fn opened_with_the_first_look_up(bencher: Bencher) {
    let segments = segments(place());
    let (_, largest) = segments.iter().map(|(base, mapped)| (mapped.bytes().len(), base)).max().unwrap();
    let keys = keys(&segments);
    let (base, ecosystem, name) = keys.iter().find(|(base, ..)| base == largest).unwrap();
    let store =
        Store::open(&place().directory, &place().cache, "2026-11-27T00:00:00Z".parse().unwrap()).unwrap();
    bencher.bench_local(|| {
        let mapped = store.segment(base).unwrap().unwrap();
        let segment = Segment::open(mapped.bytes()).unwrap();
        segment.affecting(ecosystem, name).unwrap().len()
    });
}

/// Every key once, and as many that are not there, in random order over all ecosystems.
fn asked<'s>(
    segments: &'s BTreeMap<String, Mapped>,
    opened: &'s BTreeMap<&str, Segment<'s>>,
) -> Vec<(&'s Segment<'s>, String, String)> {
    let mut asked = Vec::new();
    for (base, ecosystem, name) in keys(segments) {
        asked.push((&opened[base], ecosystem.clone(), format!("{name}~")));
        asked.push((&opened[base], ecosystem, name));
    }
    fastrand::Rng::with_seed(1).shuffle(&mut asked);
    asked
}

fn opened(segments: &BTreeMap<String, Mapped>) -> BTreeMap<&str, Segment<'_>> {
    let mut opened = BTreeMap::new();
    for (base, mapped) in segments {
        opened.insert(base.as_str(), Segment::open(mapped.bytes()).unwrap());
    }
    opened
}

/// The key is hashed and found or not, every entry and its record are found and their lengths checked, and
/// the advisory's id is read.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn looked_up(bencher: Bencher) {
    let segments = segments(place());
    let opened = opened(&segments);
    let asked = asked(&segments, &opened);
    bencher.counter(ItemsCount::new(asked.len())).bench_local(|| {
        let ask = |(segment, ecosystem, name): &(&Segment<'_>, String, String)| {
            let entries = segment.entries(ecosystem, name).unwrap();
            entries.into_iter().flatten().map(|entry| entry.unwrap().id().len()).sum::<usize>()
        };
        asked.iter().map(ask).sum::<usize>()
    });
}

/// The same, and every entry and its advisory is decoded into values of its own.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn looked_up_and_decoded(bencher: Bencher) {
    let segments = segments(place());
    let opened = opened(&segments);
    let asked = asked(&segments, &opened);
    bencher.counter(ItemsCount::new(asked.len())).bench_local(|| {
        let ask = |(segment, ecosystem, name): &(&Segment<'_>, String, String)| {
            segment.affecting(ecosystem, name).unwrap().len()
        };
        asked.iter().map(ask).sum::<usize>()
    });
}

/// Details and references of one advisory.
#[divan::bench]
fn shown(bencher: Bencher) {
    let segments = segments(place());
    let (_, mapped) = segments.iter().max_by_key(|(_, mapped)| mapped.bytes().len()).unwrap();
    let segment = Segment::open(mapped.bytes()).unwrap();
    let ids: Vec<&str> = segment.records().map(|record| record.unwrap().id).collect();
    let mut random = fastrand::Rng::with_seed(1);
    bencher.bench_local(|| segment.display(ids[random.usize(..ids.len())]).unwrap());
}

/// A hundred changed records over all ecosystems: read, put into their segments, and those written and
/// hashed, four segments at a time as an update does.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn changed_a_hundred(bencher: Bencher) {
    let segments = segments(place());
    let all = read(&place().directory);
    let mut random = fastrand::Rng::with_seed(1);
    let mut records: Vec<(&String, &Vec<u8>)> =
        all.iter().flat_map(|(base, records)| records.iter().map(move |record| (base, record))).collect();
    random.shuffle(&mut records);
    let mut changed: BTreeMap<&String, Vec<(String, Vec<u8>)>> = BTreeMap::new();
    for (base, record) in records.into_iter().take(100) {
        let mut value: Value = serde_json::from_slice(record).unwrap();
        value["summary"] = "changed".into();
        let name = format!("{}.json", value["id"].as_str().unwrap());
        changed.entry(base).or_default().push((name, serde_json::to_vec(&value).unwrap()));
    }
    bencher.with_inputs(|| tempfile::tempdir().unwrap()).bench_local_values(|directory| {
        let left = Mutex::new(changed.iter());
        let work = || {
            loop {
                let Some((base, records)) = left.lock().unwrap().next() else { return };
                let segment = Segment::open(segments[*base].bytes()).unwrap();
                let mut builder = Builder::from_segment(&segment).unwrap();
                for (name, bytes) in records {
                    builder.put(name, Compiled::read(base, bytes));
                }
                let bytes = builder.finish().unwrap();
                let mut file = File::create(directory.path().join(Digest::sha256(&bytes).hex())).unwrap();
                file.write_all(&bytes).unwrap();
                file.sync_all().unwrap();
            }
        };
        std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(work))));
    });
}

fn package(kind: &'static str, name: &str, version: &str) -> Package {
    let layer = LayerRef { index: Some(0), digest: None, diff_id: None, created_by: None };
    Package::new(Purl::new(kind, None, name, Some(version)), kind, name, version, layer)
}

/// 2,974 packages: a third each of npm, PyPI and the distribution. `known` ones have advisories all; of
/// `usual` ones one in ten has, as in real images.
#[divan::bench(args = ["debian 11 known", "debian 11 usual", "alpine 3.16 known", "alpine 3.16 usual"])]
fn matched(bencher: Bencher, image: &str) {
    let segments = segments(place());
    let words: Vec<&str> = image.split(' ').collect();
    let (release, kind) = match words[0] {
        "debian" => (format!("Debian:{}", words[1]), "deb"),
        _ => (format!("Alpine:v{}", words[1]), "apk"),
    };
    let keys = keys(&segments);
    let mut packages = Vec::new();
    for (wanted, kind, version) in
        [("npm", "npm", "1.2.3"), ("PyPI", "pypi", "1.2.3"), (&release, kind, "1.2.3-r1")]
    {
        let names: Vec<&String> =
            keys.iter().filter(|(_, ecosystem, _)| ecosystem == wanted).map(|(.., name)| name).collect();
        let number = if kind == "npm" { 992 } else { 991 };
        for n in 0..number {
            let Some(name) = names.get(n * names.len() / number) else { continue };
            let hit = words[2] == "known" || n % 10 == 0;
            packages.push(if hit {
                package(kind, name, version)
            } else {
                package(kind, &format!("{name}~"), version)
            });
        }
    }
    let distro = Distro { id: words[0].into(), version_id: words[1].into(), ..Distro::default() };
    let inventory = Inventory { distro: Some(distro), packages, ..Inventory::default() };
    let opened = segments.iter();
    let opened =
        opened.map(|(base, mapped)| (base.clone(), Fact::Known(Segment::open(mapped.bytes()).unwrap())));
    let advisories = Advisories(opened.collect());
    let platform = "linux/amd64".parse().unwrap();
    bencher
        .counter(ItemsCount::new(inventory.packages.len()))
        .bench_local(|| find(&platform, &inventory, &advisories));
}
