//! Verification in process: a trusted root read, and a bundle of each kind parsed and verified.
//!
//! `PORTCULLIS_SHARED=DIR cargo bench --bench verify` with the shared test data; without it nothing is measured.
#![expect(clippy::unwrap_used, reason = "a benchmark that fails may panic")]
#![expect(clippy::print_stderr, reason = "it says why it measures nothing")]

use std::fs;
use std::path::{Path, PathBuf};

use divan::Bencher;
use portcullis::attestation::{LogOfKey, PublicKey, Root, RootId, Subject, Trust, Whose, verify};

/// Rekor v1 and v2, messages and statements, and a key.
const VECTORS: [&str; 5] = [
    "happy-path-v0.3",
    "happy-path-intoto-in-dsse-v3",
    "rekor2-happy-path",
    "rekor2-dsse-happy-path",
    "managed-key-happy-path",
];

fn folder() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("PORTCULLIS_SHARED").map_or_else(beside, PathBuf::from);
    let folder = shared.join("data/sigstore/test/assets/bundle-verify");
    folder.exists().then_some(folder)
}

fn main() {
    if folder().is_none() {
        eprintln!("nothing is measured without the shared test data");
        return;
    }
    divan::main();
}

fn root(folder: &Path) -> Root {
    match fs::read(folder.join("trusted_root.json")) {
        Ok(bytes) => Root::read(RootId::Custom("its own".to_owned()), &bytes).unwrap(),
        Err(_) => Root::embedded(RootId::PublicGood).unwrap(),
    }
}

#[divan::bench]
fn read_public_good_root(bencher: Bencher<'_, '_>) {
    bencher.bench(|| Root::embedded(RootId::PublicGood).unwrap());
}

#[divan::bench(args = VECTORS)]
fn parse_and_verify(bencher: Bencher<'_, '_>, name: &str) {
    let folder = folder().unwrap().join(name);
    let bundle = fs::read(folder.join("bundle.sigstore.json")).unwrap();
    let artifact = fs::read(folder.join("../../a.txt")).unwrap();
    let trust = Trust::new(root(&folder));
    let key = fs::read(folder.join("key.pub")).ok().map(|pem| PublicKey::read_pem(&pem).unwrap());
    let whose = key.as_ref().map_or(Whose::Certificate, |key| Whose::Key(key, LogOfKey::Demanded));
    bencher.bench(|| verify(&trust, whose, &bundle, Subject::Bytes(&artifact)).unwrap());
}
