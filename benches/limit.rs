//! The physical limit of reading an image: every layer's stored bytes hashed, inflated, hashed again and walked
//! as tar, with two threads and nothing learnt. It uses none of portcullis' readers.
//!
//! `cargo bench --bench limit -- DIR` with the directory of an OCI layout prints the least seconds of three runs.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark that fails may panic")]
#![expect(clippy::print_stdout, reason = "what it prints is its result")]

use std::cmp::Reverse;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const THREADS: usize = 2;
const RUNS: usize = 3;
const CHUNK: usize = 256 << 10;

fn main() {
    // `cargo bench` says `--bench`; `cargo test --all-targets` names no directory.
    let Some(directory) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')) else {
        return;
    };
    let mut layers = layers(Path::new(&directory));
    layers.sort_by_key(|(_, size)| Reverse(*size));
    let least = (0..RUNS).map(|_| run(&layers)).fold(f64::INFINITY, f64::min);
    println!("{least:.3}");
}

/// The layers of every platform and their stored sizes, each once.
fn layers(directory: &Path) -> Vec<(PathBuf, u64)> {
    let path = |digest: &Value| directory.join("blobs").join(digest.as_str().unwrap().replace(':', "/"));
    let read = |path: PathBuf| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let mut left = vec![read(directory.join("index.json"))];
    let mut layers = Vec::new();
    while let Some(document) = left.pop() {
        for manifest in document["manifests"].as_array().into_iter().flatten() {
            left.push(read(path(&manifest["digest"])));
        }
        for layer in document["layers"].as_array().into_iter().flatten() {
            layers.push((path(&layer["digest"]), layer["size"].as_u64().unwrap()));
        }
    }
    layers.sort();
    layers.dedup();
    layers
}

fn run(layers: &[(PathBuf, u64)]) -> f64 {
    let began = Instant::now();
    let left = Mutex::new(layers.iter());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some((path, _)) = left.lock().unwrap().next() else { return };
                    walk(path);
                }
            });
        }
    });
    began.elapsed().as_secs_f64()
}

fn walk(path: &Path) {
    let stored = Hashed { inner: File::open(path).unwrap(), hasher: Sha256::new() };
    let unpacked =
        Hashed { inner: MultiGzDecoder::new(BufReader::with_capacity(CHUNK, stored)), hasher: Sha256::new() };
    let mut source = BufReader::with_capacity(CHUNK, unpacked);
    let mut block = [0; 512];
    let mut entries = 0_u64;
    while source.read_exact(&mut block).is_ok() {
        if block[0] == 0 {
            continue;
        }
        entries += 1;
        let size = block[124..136].iter().filter(|digit| matches!(digit, b'0'..=b'7'));
        let size = size.fold(0_u64, |size, digit| size * 8 + u64::from(digit - b'0'));
        io::copy(&mut (&mut source).take(size.next_multiple_of(512)), &mut io::sink()).unwrap();
    }
    let unpacked = source.into_inner();
    std::hint::black_box((
        entries,
        unpacked.hasher.finalize(),
        unpacked.inner.into_inner().into_inner().hasher.finalize(),
    ));
}

struct Hashed<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}
