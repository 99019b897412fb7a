//! Referrers pushed, and the fallback tag that several writers share.

use portcullis::registry::{
    Artifact, BlobSource, ErrorKind, Listed, Registry as Client, Repository, fallback_tag,
};
use serde_json::json;

use super::*;
use crate::support::registry::{Delete, EMPTY, Fault, Hint, MANIFEST, Referrers, Registry, Switches, on};

const KIND: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// An artifact on `subject`; its empty config is pushed.
pub fn artifact(client: &Client, repository: &Repository, subject: &str, name: &str) -> Artifact {
    let empty = Digest::sha256(b"{}");
    client.run(repository.push_blob(&descriptor(b"{}"), BlobSource::Bytes("{}".into()), None)).unwrap();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": KIND,
        "config": {"mediaType": EMPTY, "digest": empty, "size": 2},
        "layers": [{"mediaType": EMPTY, "digest": empty, "size": 2}],
        "subject": {"mediaType": MANIFEST, "digest": subject, "size": 500},
        "annotations": {"name": name},
    });
    Artifact { manifest: manifest.to_string().into_bytes(), media_type: MANIFEST.into() }
}

#[test]
fn a_registry_that_lists_referrers_needs_no_fallback_tag() {
    let registry = Registry::start(Switches::default());
    let subject = small_image(&registry);
    let (client, repository) = open(&registry, settings());
    let one = artifact(&client, &repository, &subject, "one");
    let subject: Digest = subject.parse().unwrap();
    let attached = client.run(repository.attach(&subject, &[one])).unwrap();
    assert_eq!(attached[0].listed, Listed::Native);
    assert_eq!(registry.count("*", "/manifests/sha256-"), 0);
    let found = client.run(async { Ok(repository.referrers(&subject, Some(KIND)).await) }).unwrap();
    assert_eq!(found.entries[0].descriptor.digest, attached[0].digest);
}

#[test]
fn a_registry_that_does_not_gets_a_fallback_tag_with_types_and_annotations() {
    let registry = Registry::start(Switches::ghcr());
    let subject = small_image(&registry);
    let (client, repository) = open(&registry, logged_in(&registry));
    let two = ["one", "two"].map(|name| artifact(&client, &repository, &subject, name));
    let parsed: Digest = subject.parse().unwrap();
    let attached = client.run(repository.attach(&parsed, &two)).unwrap();
    assert_eq!(attached[1].listed, Listed::FallbackTag);
    let entries = registry.fallback(APP, &subject);
    assert_eq!(entries.len(), 2);
    assert!(
        entries.iter().all(|entry| entry["artifactType"] == KIND && entry["annotations"]["name"].is_string())
    );
    let found = client.run(async { Ok(repository.referrers(&parsed, Some(KIND)).await) }).unwrap();
    assert_eq!(found.entries.len(), 2);
    // Once more changes nothing, and writes nothing.
    registry.forget();
    client.run(repository.attach(&parsed, &two)).unwrap();
    assert_eq!(registry.count("PUT", "/manifests/sha256-"), 0);
}

#[test]
fn what_others_wrote_into_the_fallback_tag_stays() {
    let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
    let subject = small_image(&registry);
    let (client, repository) = open(&registry, settings());
    let odd = json!({
        "schemaVersion": 2, "mediaType": crate::support::registry::INDEX, "annotations": {"a": "b"},
        "manifests": [{"mediaType": MANIFEST, "digest": subject, "size": 3, "x-own": [1]}],
    });
    let tag = fallback_tag(&subject.parse().unwrap());
    registry.put_manifest(APP, Some(&tag), crate::support::registry::INDEX, odd.to_string().as_bytes());
    let one = artifact(&client, &repository, &subject, "one");
    client.run(repository.attach(&subject.parse().unwrap(), &[one])).unwrap();
    let (_, _, bytes) = registry.manifest(APP, &tag).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(index["annotations"]["a"], "b");
    assert_eq!(index["manifests"][0]["x-own"], json!([1]));
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
}

#[test]
fn a_fallback_tag_that_could_not_be_read_is_not_overwritten() {
    for fault in [Fault::Throttled(Hint::None), Fault::bare(500), Fault::Html, Fault::bare(404)] {
        let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
        let subject = small_image(&registry);
        let (client, repository) = open(&registry, settings());
        let one = artifact(&client, &repository, &subject, "one");
        registry.script(on("GET", "/manifests/sha256-").always(), [fault]);
        client.run(repository.attach(&subject.parse().unwrap(), &[one])).unwrap_err();
        assert_eq!(registry.count("PUT", "/manifests/sha256-"), 0);
    }
    let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
    let subject = small_image(&registry);
    let (client, repository) = open(&registry, settings());
    let one = artifact(&client, &repository, &subject, "one");
    registry.tag(APP, &fallback_tag(&subject.parse().unwrap()), &subject);
    let error = client.run(repository.attach(&subject.parse().unwrap(), &[one])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
}

#[test]
fn an_artifact_of_another_subject_is_not_attached() {
    let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
    let subject = small_image(&registry);
    let (client, repository) = open(&registry, settings());
    let one = artifact(&client, &repository, &Digest::sha256(b"other").to_string(), "one");
    assert!(client.run(repository.attach(&subject.parse().unwrap(), &[one])).is_err());
    assert_eq!(registry.count("PUT", "/manifests/"), 0);
}

/// `writers` clients, each with several tasks, write to one fallback tag. How many entries are there in the
/// end, of how many.
fn race(switches: Switches, writers: usize, each: usize) -> (usize, usize) {
    let registry = Registry::start(switches);
    let subject = small_image(&registry);
    let parsed: Digest = subject.parse().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let (client, repository) = open(&registry, settings());
            let (subject, parsed) = (&subject, &parsed);
            scope.spawn(move || {
                std::thread::scope(|scope| {
                    for n in 0..each {
                        let (client, repository) = (&client, &repository);
                        scope.spawn(move || {
                            let one = artifact(client, repository, subject, &format!("{writer}-{n}"));
                            client.run(repository.attach(parsed, &[one])).unwrap();
                        });
                    }
                });
            });
        }
    });
    (registry.fallback(APP, &subject).len(), writers * each)
}

#[test]
fn many_writers_of_one_fallback_tag_lose_nothing() {
    for (etag, lag) in [(true, 0), (false, 0), (false, 150), (true, 150)] {
        let read_after_write_lag = Duration::from_millis(lag);
        let (found, wanted) = race(
            Switches { referrers: Referrers::Off, etag, read_after_write_lag, ..Switches::default() },
            2,
            50,
        );
        assert_eq!(found, wanted, "etag {etag}, lag {lag} ms");
    }
}

#[test]
fn a_writer_that_is_overwritten_writes_again() {
    let registry =
        Registry::start(Switches { referrers: Referrers::Off, etag: false, ..Switches::default() });
    let subject = small_image(&registry);
    let tag = fallback_tag(&subject.parse().unwrap());
    let (client, repository) = open(&registry, settings());
    let one = artifact(&client, &repository, &subject, "one");
    // After our first write and the look at it another writer puts a list of its own in its place.
    let empty = json!({"schemaVersion": 2, "mediaType": crate::support::registry::INDEX, "manifests": []});
    let hook: crate::support::registry::Hook = Arc::new(move |store| {
        let repository = store.repository(APP);
        let digest = repository.put_manifest(crate::support::registry::INDEX, empty.to_string().as_bytes());
        repository.tag(&tag, &digest);
    });
    registry.script(on("GET", "/manifests/sha256-").skip(2), [Fault::Before(hook)]);
    client.run(repository.attach(&subject.parse().unwrap(), &[one])).unwrap();
    assert_eq!(registry.fallback(APP, &subject).len(), 1);
    assert_eq!(registry.count("PUT", "/manifests/sha256-"), 2);
}

#[test]
fn a_referrer_that_is_deleted_is_taken_out_of_the_fallback_tag() {
    for (delete, lag) in [(Delete::Allowed, 0), (Delete::Allowed, 150), (Delete::NotAllowed, 0)] {
        let read_after_write_lag = Duration::from_millis(lag);
        let registry = Registry::start(Switches {
            referrers: Referrers::Off,
            delete,
            read_after_write_lag,
            ..Switches::default()
        });
        let subject = small_image(&registry);
        let (client, repository) = open(&registry, settings());
        let three = ["one", "two", "three"].map(|name| artifact(&client, &repository, &subject, name));
        let parsed: Digest = subject.parse().unwrap();
        let attached = client.run(repository.attach(&parsed, &three)).unwrap();
        let two = attached[1].digest.clone();
        let detached = client.run(repository.detach(&parsed, &two)).unwrap();
        assert_eq!(detached.deleted, delete == Delete::Allowed);
        let found = client.run(async { Ok(repository.referrers(&parsed, None).await) }).unwrap();
        let digests: Vec<_> = found.entries.iter().map(|entry| &entry.descriptor.digest).collect();
        assert!(digests.len() == 2 && !digests.contains(&&two), "{digests:?}");
        assert!(found.rejected.is_empty() && found.unknown.is_empty(), "{found:?}");
        // Once more changes nothing, and writes nothing.
        registry.forget();
        client.run(repository.detach(&parsed, &two)).unwrap();
        assert_eq!(registry.count("PUT", ""), 0);
        // What was taken off may be hung on again.
        client.run(repository.attach(&parsed, &three[1..2])).unwrap();
        assert_eq!(registry.fallback(APP, &subject).len(), 3);
    }
}

#[test]
fn a_referrer_is_taken_off_where_the_registry_lists_it_itself() {
    let registry = Registry::start(Switches::default());
    let subject = small_image(&registry);
    let (client, repository) = open(&registry, settings());
    let one = artifact(&client, &repository, &subject, "one");
    let subject: Digest = subject.parse().unwrap();
    let attached = client.run(repository.attach(&subject, &[one])).unwrap();
    assert!(client.run(repository.detach(&subject, &attached[0].digest)).unwrap().deleted);
    let found = client.run(async { Ok(repository.referrers(&subject, None).await) }).unwrap();
    assert!(found.entries.is_empty() && found.rejected.is_empty() && found.unknown.is_empty(), "{found:?}");
    assert_eq!(registry.count("PUT", "/manifests/sha256-"), 0);
}

#[test]
fn what_does_not_hang_on_the_image_is_not_deleted() {
    let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
    let subject = small_image(&registry);
    let (client, repository) = open(&registry, settings());
    let other = Digest::sha256(b"another image");
    let foreign = registry.add_referrer(APP, &other.to_string(), KIND, b"its signature");
    let parsed: Digest = subject.parse().unwrap();
    for victim in [&subject, foreign["digest"].as_str().unwrap()] {
        let error = client.run(repository.detach(&parsed, &victim.parse().unwrap())).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
        assert!(registry.manifest(APP, victim).is_some());
    }
    registry.script(on("GET", "/manifests/").always(), [Fault::bare(500)]);
    let victim = foreign["digest"].as_str().unwrap().parse().unwrap();
    client.run(repository.detach(&other, &victim)).unwrap_err();
    assert_eq!(registry.count("DELETE", ""), 0);
}

#[test]
fn a_writer_takes_an_entry_out_while_another_adds_one() {
    let registry =
        Registry::start(Switches { referrers: Referrers::Off, etag: false, ..Switches::default() });
    let subject = small_image(&registry);
    let parsed: Digest = subject.parse().unwrap();
    let (client, repository) = open(&registry, settings());
    let (other, other_repository) = open(&registry, settings());
    let mut artifacts: Vec<Artifact> =
        (0..20).map(|n| artifact(&client, &repository, &subject, &n.to_string())).collect();
    let late = artifacts.split_off(10);
    let attached = client.run(repository.attach(&parsed, &artifacts)).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for gone in &attached {
                client.run(repository.detach(&parsed, &gone.digest)).unwrap();
            }
        });
        for one in &late {
            other.run(other_repository.attach(&parsed, std::slice::from_ref(one))).unwrap();
        }
    });
    let found = client.run(async { Ok(repository.referrers(&parsed, None).await) }).unwrap();
    let mut digests: Vec<_> = found.entries.iter().map(|entry| entry.descriptor.digest.clone()).collect();
    let mut wanted: Vec<_> = late.iter().map(|one| Digest::sha256(&one.manifest)).collect();
    digests.sort_by_key(ToString::to_string);
    wanted.sort_by_key(ToString::to_string);
    assert_eq!(digests, wanted);
    // The other writer may have put an entry back that it had seen: its manifest is gone, and it does not count.
    assert!(found.unknown.is_empty(), "{found:?}");
}

#[test]
fn an_entry_whose_manifest_is_gone_keeps_nobody_from_adding_another() {
    let registry = Registry::start(Switches { referrers: Referrers::Off, ..Switches::default() });
    let subject = small_image(&registry);
    let parsed: Digest = subject.parse().unwrap();
    let (client, repository) = open(&registry, settings());
    let two = ["one", "two"].map(|name| artifact(&client, &repository, &subject, name));
    let attached = client.run(repository.attach(&parsed, &two[..1])).unwrap();
    // A cleanup that knows nothing of referrers.
    registry.remove_manifest(APP, &attached[0].digest.to_string());
    let (client, repository) = open(&registry, settings());
    client.run(repository.attach(&parsed, &two[1..])).unwrap();
    let entries = registry.fallback(APP, &subject);
    let digests: Vec<_> = entries.iter().map(|entry| entry["digest"].as_str().unwrap()).collect();
    assert_eq!(digests, [Digest::sha256(&two[1].manifest).to_string()]);
}
