//! Reading a layer, against the physical limit in the same run: hashing the stored bytes, inflating,
//! hashing the uncompressed bytes and walking the archive, with nothing learnt from it.
//!
//! `cargo bench --bench layers`; the ratio of `cataloged` to `limit` is the figure.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark that fails may panic")]

use std::io::{Read, Write};

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use flate2::read::GzDecoder;
use portcullis::image::compression::Compression;
use portcullis::image::limits::Limits;
use portcullis::image::resolve::{BlobName, LayerBlob};
use portcullis::inventory::catalog_layer;
use portcullis::model::digest::{Algorithm, Digest, Hasher};

fn main() {
    divan::main();
}

/// A layer of 128 MiB in 4,000 files, compressible as real files are, with 400 Python and 400 node
/// packages among them.
struct Layer {
    blob: Vec<u8>,
    diff_id: Digest,
    size: usize,
}

fn layer() -> Layer {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: String, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, content).unwrap();
    };
    let mut state = 1u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33).to_le_bytes()
    };
    for n in 0..4_000 {
        // Two noisy bytes of eight deflate about as text and code do.
        let content: Vec<u8> =
            (0..4_096).flat_map(|_| [noise()[0], noise()[1], 0, b'a', b'b', b'c', 0, 1]).collect();
        add(format!("usr/lib/files/{n}"), &content);
        if n % 10 == 0 {
            let text = format!("Metadata-Version: 2.1\nName: package{n}\nVersion: 1.{n}\n\ntext\n");
            add(
                format!("usr/lib/python3/site-packages/package{n}-1.{n}.dist-info/METADATA"),
                text.as_bytes(),
            );
            let text = format!(r#"{{"name":"module{n}","version":"1.{n}.0","license":"MIT"}}"#);
            add(format!("srv/node_modules/module{n}/package.json"), text.as_bytes());
        }
    }
    let tar = tar.into_inner().unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(&tar).unwrap();
    Layer { blob: encoder.finish().unwrap(), diff_id: Digest::sha256(&tar), size: tar.len() }
}

#[divan::bench(sample_count = 10)]
fn limit(bencher: Bencher) {
    let layer = layer();
    bencher.counter(BytesCount::new(layer.size)).bench_local(|| {
        black_box(Digest::sha256(&layer.blob));
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut decoder = GzDecoder::new(layer.blob.as_slice());
        let mut buffer = vec![0; 1 << 16];
        // The header of every entry: 512 bytes, then its content in whole blocks.
        let (mut skip, mut header, mut entries) = (0usize, Vec::with_capacity(512), 0u32);
        loop {
            let read = decoder.read(&mut buffer).unwrap();
            if read == 0 {
                break;
            }
            let mut chunk = &buffer[..read];
            hasher.update(chunk);
            while !chunk.is_empty() {
                let passed = skip.min(chunk.len());
                skip -= passed;
                chunk = &chunk[passed..];
                let taken = (512 - header.len()).min(chunk.len());
                header.extend_from_slice(&chunk[..taken]);
                chunk = &chunk[taken..];
                if header.len() == 512 {
                    let octal = str::from_utf8(&header[124..135]).unwrap_or("0");
                    skip = usize::from_str_radix(octal, 8).unwrap_or(0).next_multiple_of(512);
                    entries += 1;
                    header.clear();
                }
            }
        }
        black_box((hasher.finish(), entries))
    });
}

#[divan::bench(sample_count = 10)]
fn cataloged(bencher: Bencher) {
    let layer = layer();
    let blob = LayerBlob {
        blob: BlobName::Member("layer".into()),
        compression: Some(Compression::Gzip),
        diff_id: layer.diff_id,
    };
    bencher.counter(BytesCount::new(layer.size)).bench_local(|| {
        catalog_layer(|| Ok(layer.blob.as_slice()), &blob, "layer 0", &Limits::default()).unwrap()
    });
}
