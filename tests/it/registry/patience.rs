//! How often hosts are asked, and mirrors that are not there.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use portcullis::registry::Repository;

use super::trace::{Watch, watched};
use super::*;
use crate::support::registry::http::listener;
use crate::support::registry::{Fault, Registry, Switches, on};

#[test]
fn a_rate_is_kept_by_all_tasks_of_a_client() {
    let registry = Registry::start(Switches::default());
    small_image(&registry);
    let mut settings = settings();
    let host = settings.hosts.entry(registry.address().to_owned()).or_default();
    (host.insecure, host.rate) = (true, NonZeroU32::new(5));
    let (client, repository) = open(&registry, settings);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..3 {
                    client.run(repository.manifest(&tag("v1"))).unwrap();
                }
            });
        }
    });
    // Five are in the bucket at first, and the other seven come five a second.
    assert!(began.elapsed() > Duration::from_millis(1300), "{:?}", began.elapsed());
    assert_eq!(registry.count("*", ""), 12);
    assert!(registry.most_at_once() <= 8);
}

/// A registry with an image, and a client that asks `mirror` first.
fn mirrored(registry: &Registry, mirror: &str) -> (Client, Repository, Arc<Watch>) {
    let (mut settings, watch) = watched(settings());
    let host = settings.hosts.entry(registry.address().to_owned()).or_default();
    (host.insecure, host.mirror) = (true, Some(mirror.to_owned()));
    let (client, repository) = open(registry, settings);
    (client, repository, watch)
}

/// A port at which nobody listens.
fn closed() -> String {
    format!("127.0.0.1:{}", listener().1)
}

#[test]
fn a_mirror_that_is_not_there_is_tried_once() {
    let registry = Registry::start(Switches::default());
    let digest = small_image(&registry);
    let bytes = noise(10_000);
    registry.put_blob(APP, &bytes);
    let hanging = Registry::start(Switches::default());
    hanging.script(on("*", "").always(), [Fault::Reset]);
    for mirror in [closed(), hanging.address().to_owned()] {
        let (client, repository, watch) = mirrored(&registry, &mirror);
        for _ in 0..5 {
            client.run(repository.manifest(&by(&digest))).unwrap();
            client.run(repository.blob_bytes(&descriptor(&bytes), 1 << 20)).unwrap();
        }
        assert_eq!((watch.count(&mirror), watch.count(registry.address())), (1, 10));
        // A host is left alone as a mirror only: who names it himself gets its own answer, with all patience.
        let itself = client.repository(&format!("{mirror}/{APP}:v1").parse().unwrap()).unwrap();
        client.run(itself.manifest(&tag("v1"))).unwrap_err();
        assert_eq!(watch.count(&mirror), 1 + settings().retry.attempts as usize);
    }
}

#[test]
fn a_mirror_that_answers_errors_gets_one_attempt_at_each() {
    let registry = Registry::start(Switches::default());
    let digest = small_image(&registry);
    let mirror = Registry::start(Switches::default());
    small_image(&mirror);
    mirror.script(on("*", "").times(3), [Fault::bare(503)]);
    let (client, repository, watch) = mirrored(&registry, mirror.address());
    for _ in 0..5 {
        client.run(repository.manifest(&by(&digest))).unwrap();
    }
    assert_eq!((watch.count(mirror.address()), watch.count(registry.address())), (5, 3));
}

#[test]
fn a_mirror_that_breaks_off_leaves_the_rest_to_the_registry() {
    let registry = Registry::start(Switches::default());
    let mirror = Registry::start(Switches::default());
    let bytes = noise(1_000_000);
    registry.put_blob(APP, &bytes);
    mirror.put_blob(APP, &bytes);
    mirror.script(on("GET", "/blobs/").always(), [Fault::Cut(400_000)]);
    let (client, repository, watch) = mirrored(&registry, mirror.address());
    assert_eq!(client.run(repository.blob_bytes(&descriptor(&bytes), 1 << 20)).unwrap(), bytes);
    assert_eq!((watch.count(mirror.address()), watch.count(registry.address())), (1, 1));
    let range = registry.requests()[0].header("range").map(str::to_owned).unwrap();
    assert!(range != "bytes=0-" && range.starts_with("bytes="), "{range}");
}
