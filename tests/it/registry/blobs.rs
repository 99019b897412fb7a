//! Streams of blobs that break, lie, and are too long.

use std::io::Read;
use std::time::{Duration, Instant};

use portcullis::registry::{Error, ErrorKind, Registry as Client, Repository};

use super::*;
use crate::support::registry::{Blobs, Fault, Registry, Switches, on};

fn read(client: &Client, repository: &Repository, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut read = Vec::new();
    let mut reader = client.blob(repository, &descriptor(bytes))?;
    reader.read_to_end(&mut read).map_err(|error| Error::of(&error).unwrap().clone())?;
    Ok(read)
}

#[test]
fn a_pull_that_is_cut_ten_times_reads_each_byte_once() {
    for (ranges, blobs) in [(true, Blobs::Inline), (true, Blobs::Redirected), (false, Blobs::Inline)] {
        let registry = Registry::start(Switches { ranges, blobs, ..Switches::default() });
        let bytes = noise(3_000_000);
        registry.put_blob(APP, &bytes);
        let (client, repository) = open(&registry, settings());
        for cut in 0..10_u64 {
            // Without ranges each answer begins at the start again: it must get further than the last.
            let after = if ranges { 1 + cut * 7919 } else { 100_003 * (cut + 1) };
            registry.script(on("GET", "/blobs/").skip(cut as usize), [Fault::Cut(after)]);
        }
        assert_eq!(read(&client, &repository, &bytes).unwrap(), bytes);
        if blobs == Blobs::Inline {
            assert_eq!(registry.count("GET", "/blobs/"), 11);
        }
        let asked: Vec<u64> = registry
            .requests()
            .iter()
            .filter_map(|seen| seen.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok())
            .collect();
        assert!(asked.is_sorted(), "{asked:?}");
    }
}

#[test]
fn a_blob_that_is_longer_than_its_descriptor() {
    let registry = Registry::start(Switches::default());
    let bytes = noise(10_000);
    let digest = Digest::sha256(&bytes).to_string();
    let (client, repository) = open(&registry, settings());
    let longer = [bytes.as_slice(), b"more"].concat();
    registry.put_blob_as(APP, &digest, longer);
    assert_eq!(read(&client, &repository, &bytes).unwrap_err().kind, ErrorKind::Mismatch);

    // Without a length: only the bytes can tell. No more than the size is handed out.
    registry.put_blob(APP, &bytes);
    registry.script(on("GET", "/blobs/").always(), [Fault::Endless]);
    let mut reader = client.blob(&repository, &descriptor(&bytes)).unwrap();
    let mut handed = Vec::new();
    let error = reader.read_to_end(&mut handed).unwrap_err();
    assert_eq!(Error::of(&error).unwrap().kind, ErrorKind::Mismatch);
    assert!(handed.len() <= bytes.len());
    // The error stays: no end is made of it.
    assert!(reader.read(&mut [0; 10]).is_err());
}

#[test]
fn a_blob_that_is_shorter_than_its_descriptor() {
    let registry = Registry::start(Switches::default());
    let bytes = noise(10_000);
    registry.put_blob_as(APP, &Digest::sha256(&bytes).to_string(), bytes[..9_999].to_vec());
    let (client, repository) = open(&registry, settings());
    assert_eq!(read(&client, &repository, &bytes).unwrap_err().kind, ErrorKind::Mismatch);
}

#[test]
fn a_connection_that_breaks_for_ever() {
    let registry = Registry::start(Switches::default());
    let bytes = noise(100_000);
    registry.put_blob(APP, &bytes);
    let (client, repository) = open(&registry, settings());
    registry.script(on("GET", "/blobs/").always(), [Fault::Cut(1)]);
    let error = read(&client, &repository, &bytes).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert!(registry.count("GET", "/blobs/") < 100);
}

#[test]
fn another_part_than_was_asked_for() {
    let registry = Registry::start(Switches::default());
    let bytes = noise(100_000);
    registry.put_blob(APP, &bytes);
    let (client, repository) = open(&registry, settings());
    registry.script(on("GET", "/blobs/"), [Fault::Cut(5_000)]);
    registry.script(
        on("GET", "/blobs/").skip(1),
        [Fault::Header("content-range", "bytes 1-99999/100000".into())],
    );
    let error = read(&client, &repository, &bytes).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
}

#[test]
fn a_byte_that_was_changed_on_the_way() {
    let registry = Registry::start(Switches::default());
    let bytes = noise(1_000);
    registry.put_blob(APP, &bytes);
    let (client, repository) = open(&registry, settings());
    registry.script(on("GET", "/blobs/"), [Fault::Corrupt(500)]);
    let error = client.run(repository.blob_bytes(&descriptor(&bytes), 1 << 20)).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Mismatch, "{error}");
    assert_eq!(
        client.run(repository.blob_bytes(&descriptor(&bytes), 10)).unwrap_err().kind,
        ErrorKind::TooLarge
    );
}

#[test]
fn a_blob_that_stands_still() {
    let registry = Registry::start(Switches::default());
    let bytes = noise(100_000);
    registry.put_blob(APP, &bytes);
    let mut hasty = settings();
    hasty.times.idle = Duration::from_millis(100);
    let (client, repository) = open(&registry, hasty);
    registry.script(on("GET", "/blobs/"), [Fault::Slow { bytes: 1000, pause: Duration::from_secs(30) }]);
    assert_eq!(read(&client, &repository, &bytes).unwrap(), bytes);
}

#[test]
fn a_blob_is_interrupted_while_it_is_read() {
    let registry = Registry::start(Switches::default());
    let bytes = noise(100_000);
    registry.put_blob(APP, &bytes);
    let (client, repository) = open(&registry, settings());
    registry.script(
        on("GET", "/blobs/").always(),
        [Fault::Slow { bytes: 10, pause: Duration::from_millis(500) }],
    );
    let mut reader = client.blob(&repository, &descriptor(&bytes)).unwrap();
    let began = Instant::now();
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        std::thread::sleep(Duration::from_millis(200));
        client.interrupt();
        assert!(reading.join().unwrap().is_err());
    });
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[test]
fn streams_do_not_keep_other_requests_waiting() {
    let registry = Registry::start(Switches::default());
    small_image(&registry);
    let bytes = noise(1_000_000);
    registry.put_blob(APP, &bytes);
    let mut one = settings();
    one.hosts.entry("127.0.0.1".into()).or_default().concurrency = Some(1);
    let (client, repository) = open(&registry, one);
    let mut reader = client.blob(&repository, &descriptor(&bytes)).unwrap();
    client.run(repository.manifest(&tag("v1"))).unwrap();
    assert_eq!(std::io::copy(&mut reader, &mut std::io::sink()).unwrap(), bytes.len() as u64);
}

#[test]
fn a_mirror_is_asked_for_digests_and_the_registry_for_tags() {
    let registry = Registry::start(Switches::default());
    let mirror = Registry::start(Switches::default());
    let digest = small_image(&registry);
    assert_eq!(small_image(&mirror), digest);
    let (there, only_here) = (noise(5_000), noise(6_000));
    mirror.put_blob(APP, &there);
    registry.put_blob(APP, &only_here);
    let mut settings = settings();
    let host = settings.hosts.entry(registry.address().to_owned()).or_default();
    (host.insecure, host.mirror) = (true, Some(mirror.address().to_owned()));
    let (client, repository) = open(&registry, settings);
    client.run(repository.manifest(&by(&digest))).unwrap();
    assert_eq!(read(&client, &repository, &there).unwrap(), there);
    assert_eq!(registry.requests().len(), 0);
    client.run(repository.manifest(&tag("v1"))).unwrap();
    assert_eq!(mirror.count("*", "/manifests/v1"), 0);
    assert_eq!(read(&client, &repository, &only_here).unwrap(), only_here);
}
