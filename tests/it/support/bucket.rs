//! A stand-in of the public OSV bucket on loopback: archives, lists and records with `ETag`s and ranges, and answers
//! that are changed on request.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis::model::digest::Digest;

use super::registry::http::{Log, Reply, Request, Seen, Threads, listener};

/// Changes an answer, or replaces it.
pub type Change = Arc<dyn Fn(Reply) -> Reply + Send + Sync>;

struct Rule {
    contains: String,
    /// How many requests meet it before this many.
    skip: usize,
    times: usize,
    met: usize,
    change: Change,
}

#[derive(Default)]
struct State {
    /// By ecosystem and id: when it was modified, and its bytes.
    records: BTreeMap<String, BTreeMap<String, (String, Vec<u8>)>>,
    /// Archives as they were last made.
    archives: BTreeMap<String, Vec<u8>>,
    rules: Vec<Rule>,
}

/// A running stand-in; it ends when dropped.
pub struct Bucket {
    state: Arc<Mutex<State>>,
    log: Arc<Log>,
    address: String,
    _threads: Threads,
}

/// A record of one package, which is affected below `fixed`.
pub fn record(ecosystem: &str, id: &str, modified: &str, package: &str, fixed: &str) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({
        "schema_version": "1.7.0",
        "id": id,
        "modified": modified,
        "published": "2025-01-01T00:00:00Z",
        "summary": format!("a flaw in {package}"),
        "affected": [{
            "package": {"ecosystem": ecosystem, "name": package},
            "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
        }],
    }))
    .unwrap()
}

/// A zip archive of files.
pub fn zip<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

impl Bucket {
    pub fn start() -> Self {
        let (listener, port) = listener();
        let (state, log, threads) = (Arc::<Mutex<State>>::default(), Arc::<Log>::default(), Threads::start());
        let own = state.clone();
        threads.serve(listener, log.clone(), Arc::new(move |request| answer(&own, request)));
        Self { state, log, address: format!("127.0.0.1:{port}"), _threads: threads }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds a record, alone and in the list. The archive has it once it was [made](Bucket::archive).
    pub fn put(&self, ecosystem: &str, id: &str, modified: &str, bytes: &[u8]) {
        let record = (modified.to_owned(), bytes.to_vec());
        self.lock().records.entry(ecosystem.to_owned()).or_default().insert(id.to_owned(), record);
    }

    /// Holds so many records of as many packages, all of one time, and their archive.
    pub fn fill(&self, ecosystem: &str, count: usize) {
        let time = "2026-01-01T00:00:00Z";
        for number in 0..count {
            let id = format!("GHSA-{number:05}");
            let package = format!("package-{number}");
            self.put(ecosystem, &id, time, &record(ecosystem, &id, time, &package, "1.0.0"));
        }
        self.archive(ecosystem);
    }

    /// Changes a record of [`Bucket::fill`], in the list and alone.
    pub fn touch(&self, ecosystem: &str, number: usize, modified: &str, fixed: &str) {
        let id = format!("GHSA-{number:05}");
        let package = format!("package-{number}");
        self.put(ecosystem, &id, modified, &record(ecosystem, &id, modified, &package, fixed));
    }

    pub fn remove(&self, ecosystem: &str, id: &str) {
        self.lock().records.get_mut(ecosystem).unwrap().remove(id).unwrap();
    }

    /// Makes the archive anew of what is there.
    pub fn archive(&self, ecosystem: &str) {
        let mut state = self.lock();
        let records = &state.records[ecosystem];
        let names: Vec<String> = records.keys().map(|id| format!("{id}.json")).collect();
        let files = names.iter().map(String::as_str).zip(records.values().map(|(_, bytes)| bytes.as_slice()));
        let archive = zip(files);
        state.archives.insert(ecosystem.to_owned(), archive);
    }

    /// Changes the answers to the next `times` requests whose path has this text, after so many others.
    pub fn change(
        &self,
        contains: &str,
        skip: usize,
        times: usize,
        change: impl Fn(Reply) -> Reply + Send + Sync + 'static,
    ) {
        let rule = Rule { contains: contains.to_owned(), skip, times, met: 0, change: Arc::new(change) };
        self.lock().rules.push(rule);
    }

    /// Answers as it should from now on.
    pub fn mend(&self) {
        self.lock().rules.clear();
    }

    pub fn requests(&self) -> Vec<Seen> {
        self.log.requests()
    }

    /// How many requests had this text in their path.
    pub fn count(&self, contains: &str) -> usize {
        self.log.count("*", contains)
    }

    pub fn forget(&self) {
        self.log.clear();
    }

    /// The bytes of the list.
    pub fn list(&self, ecosystem: &str) -> Vec<u8> {
        list(&self.lock().records[ecosystem])
    }
}

fn list(records: &BTreeMap<String, (String, Vec<u8>)>) -> Vec<u8> {
    let mut lines: Vec<String> =
        records.iter().map(|(id, (modified, _))| format!("{modified},{id}\n")).collect();
    lines.sort();
    lines.reverse();
    lines.concat().into_bytes()
}

fn answer(state: &Mutex<State>, request: &Request) -> Reply {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let found = object(&state, &request.path);
    let mut reply = match found {
        None => Reply::new(404, b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
        Some(bytes) => conditional(bytes, request),
    };
    for rule in &mut state.rules {
        if !request.path.contains(&rule.contains) {
            continue;
        }
        rule.met += 1;
        if rule.met > rule.skip && rule.met - rule.skip <= rule.times {
            reply = (rule.change)(reply);
        }
    }
    reply
}

fn object(state: &State, path: &str) -> Option<Vec<u8>> {
    if path == "/ecosystems.txt" {
        let names: Vec<String> = state.records.keys().map(|name| format!("{name}\n")).collect();
        return Some(format!("[EMPTY]/\n{}", names.concat()).into_bytes());
    }
    let (ecosystem, name) = path.strip_prefix('/')?.split_once('/')?;
    match name {
        "all.zip" => state.archives.get(ecosystem).cloned(),
        "modified_id.csv" => state.records.get(ecosystem).map(list),
        _ => Some(state.records.get(ecosystem)?.get(name.strip_suffix(".json")?)?.1.clone()),
    }
}

/// RFC 9110 §13 and §14, as far as the bucket has them.
fn conditional(bytes: Vec<u8>, request: &Request) -> Reply {
    let etag = format!("\"{}\"", &Digest::sha256(&bytes).hex()[..16]);
    if request.header("if-none-match") == Some(&etag) {
        return Reply::empty(304).with("etag", etag);
    }
    let range =
        request.header("range").filter(|_| request.header("if-range").is_none_or(|wanted| wanted == etag));
    let first =
        range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match first {
        None => Reply::new(200, bytes).with("etag", etag),
        Some(first) if first >= bytes.len() => {
            Reply::empty(416).with("content-range", format!("bytes */{}", bytes.len()))
        }
        Some(first) => {
            let range = format!("bytes {first}-{}/{}", bytes.len() - 1, bytes.len());
            Reply::new(206, bytes[first..].to_vec()).with("content-range", range).with("etag", etag)
        }
    }
}
