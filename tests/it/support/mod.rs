//! What several tests need: built images, the shared data, the command itself.

pub mod bucket;
pub mod cli;
pub mod corpus;
pub mod docker_registry;
pub mod image;
pub mod judges;
pub mod registry;
pub mod signatures;
pub mod sigstore;
pub mod skopeo;
pub mod vectors;
pub mod wire;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use portcullis::gate::{Progress, open};
use portcullis::image::limits::Limits;
use portcullis::model::evidence::Evidence;

/// A path in the shared test data, which is no part of the project: below `PORTCULLIS_SHARED`, else below
/// `../shared` beside the checkout. Where it is not there the test says so and returns; with
/// `PORTCULLIS_REQUIRE_SHARED` set it fails instead.
pub fn shared(what: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let path = std::env::var_os("PORTCULLIS_SHARED").map_or_else(beside, PathBuf::from).join(what);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("PORTCULLIS_REQUIRE_SHARED").is_none(), "{what} needs ../shared");
    println!("skipped: {what} needs ../shared");
    None
}

/// The advisories of `../shared`, laid out as the public OSV bucket, unpacked once.
pub fn osv_corpus() -> Option<PathBuf> {
    static CORPUS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let unpack = || {
        let script = shared("data/unpack-osv")?;
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("osv");
        let ended = Command::new(script).arg(&place).status().unwrap();
        assert!(ended.success(), "unpack-osv needs bash, tar, zstd and python3");
        Some(place)
    };
    CORPUS.get_or_init(unpack).clone()
}

/// The Python interpreter that has `tests/requirements.txt`: `PORTCULLIS_PYTHON`. Where that is not set the
/// test says so and returns; with `PORTCULLIS_REQUIRE_TOOLS` set it fails instead.
pub fn python() -> Option<PathBuf> {
    let python = std::env::var_os("PORTCULLIS_PYTHON").map(PathBuf::from);
    if python.is_none() {
        let required = std::env::var_os("PORTCULLIS_REQUIRE_TOOLS").is_some();
        assert!(!required, "PORTCULLIS_PYTHON is to name a python with tests/requirements.txt");
        println!("skipped: PORTCULLIS_PYTHON names no python with tests/requirements.txt");
    }
    python
}

/// A program on `PATH`. Where it is not there the test says so and returns; with `PORTCULLIS_REQUIRE_TOOLS` set it
/// fails instead.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var_os("PORTCULLIS_REQUIRE_TOOLS").is_none(), "{name} is to be installed");
        println!("skipped: {name} is not installed");
    }
    found
}

/// Progress that nobody watches.
pub struct Quiet;

impl Progress for Quiet {
    fn begin(&self, _: usize, _: u64) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
    fn advisories(&self, _: &str) {}
    fn warn(&self, message: &str) {
        panic!("{message}");
    }
}

/// Everything known of an image, all platforms.
pub fn evidence(location: &str) -> Evidence {
    let limits = Limits::default();
    open(&location.parse().unwrap(), None, None, &limits).unwrap().inspect(&limits, None, &Quiet).evidence
}
