//! The registry that tests run against is itself tested: every switch and fault does what its name says.

mod faulty;
mod peers;
mod tokens;
mod uploads;

use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::model::digest::Digest;
use serde_json::json;

use crate::support::image::{Layout, image, layer, layout};
use crate::support::registry::*;
use crate::support::wire::{self, Answer};

/// An index over two platforms and an attestation, tagged `v1`.
fn demo() -> Layout {
    let mut layout = layout();
    let amd = layout.add(image("linux/amd64").layer(layer("COPY app").file("app", "amd")));
    let arm = layout.add(image("linux/arm64").layer(layer("COPY app").file("app", "arm")));
    let attestation = layout.attestation(&amd);
    let index = layout.index(vec![amd, arm, attestation]);
    layout.tag("v1", index);
    layout
}

/// A registry with the demo image under `acme/app:v1`; the digest of its index.
fn loaded(switches: Switches) -> (Registry, String) {
    let registry = Registry::start(switches);
    let digest = registry.push_layout("acme/app", "v1", &demo());
    (registry, digest)
}

fn put_manifest(registry: &Registry, reference: &str, media_type: &str, bytes: &[u8]) -> Answer {
    let target = format!("/v2/acme/app/manifests/{reference}");
    wire::send(registry.address(), "PUT", &target, &[("content-type", media_type)], bytes)
}

fn index_of(manifests: &[serde_json::Value]) -> Vec<u8> {
    serde_json::to_vec(&json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})).unwrap()
}

#[test]
fn a_loaded_layout_is_read_by_tag_and_digest_down_to_its_blobs() {
    let (registry, digest) = loaded(Switches::default());
    let at = registry.address();
    let index = wire::get(at, "/v2/acme/app/manifests/v1").status(200);
    assert_eq!(index.header("docker-content-digest"), Some(digest.as_str()));
    assert_eq!(index.header("content-type"), Some(INDEX));
    assert_eq!(Digest::sha256(&index.body).to_string(), digest);
    let by_digest = wire::head(at, &format!("/v2/acme/app/manifests/{digest}")).status(200);
    assert_eq!(by_digest.header("content-length").unwrap(), index.body.len().to_string());
    assert!(by_digest.body.is_empty());
    for entry in index.json()["manifests"].as_array().unwrap() {
        let manifest = format!("/v2/acme/app/manifests/{}", entry["digest"].as_str().unwrap());
        let manifest = wire::get(at, &manifest).status(200).json();
        let config = manifest["config"]["digest"].as_str().unwrap();
        let blob = wire::get(at, &format!("/v2/acme/app/blobs/{config}")).status(200);
        assert_eq!(Digest::sha256(&blob.body).to_string(), config);
    }
    assert_eq!(wire::get(at, "/v2/acme/app/manifests/v2").status(404).code(), "MANIFEST_UNKNOWN");
    assert_eq!(wire::get(at, "/v2/acme/none/manifests/v1").status(404).code(), "NAME_UNKNOWN");
    assert_eq!(registry.count("GET", "/manifests/v1"), 2);
    assert_eq!(registry.requests()[1].method, "HEAD");
    assert_eq!(registry.reference("acme/app", "v1"), format!("{at}/acme/app:v1"));
    assert_eq!(registry.reference("acme/app", &digest), format!("{at}/acme/app@{digest}"));
}

#[test]
fn who_does_not_accept_a_manifest_finds_none() {
    let (registry, _) = loaded(Switches::default());
    let ask = |accept| {
        wire::send(registry.address(), "GET", "/v2/acme/app/manifests/v1", &[("accept", accept)], b"").status
    };
    assert_eq!((ask(MANIFEST), ask(INDEX), ask("*/*")), (404, 200, 200));
}

#[test]
fn tags_come_in_pages_with_links() {
    let (registry, digest) = loaded(Switches { tag_page: 3, ..Switches::default() });
    for tag in ["a", "b", "c", "d", "e", "z"] {
        registry.tag("acme/app", tag, &digest);
    }
    let mut target = "/v2/acme/app/tags/list?n=9".to_owned();
    let mut pages = Vec::new();
    loop {
        let page = wire::get(registry.address(), &target).status(200);
        pages.push(page.json()["tags"].as_array().unwrap().len());
        let Some(link) = page.header("link") else { break };
        target = link.split_once('>').unwrap().0.trim_start_matches('<').to_owned();
    }
    assert_eq!(pages, [3, 3, 1]);
    assert_eq!(registry.tags("acme/app").len(), 7);
}

#[test]
fn a_push_by_digest_and_tag_is_checked() {
    let (registry, digest) = loaded(Switches::default());
    let (_, _, index) = registry.manifest("acme/app", "v1").unwrap();
    let pushed = put_manifest(&registry, "v2", INDEX, &index).status(201);
    assert_eq!(pushed.header("docker-content-digest"), Some(digest.as_str()));
    let wrong = format!("sha256:{}", "1".repeat(64));
    assert_eq!(put_manifest(&registry, &wrong, INDEX, &index).status(400).code(), "DIGEST_INVALID");
    assert_eq!(put_manifest(&registry, "v2", MANIFEST, &index).status(400).code(), "MANIFEST_INVALID");
    let lost = index_of(&[json!({"mediaType": MANIFEST, "digest": wrong, "size": 2})]);
    assert_eq!(put_manifest(&registry, "v2", INDEX, &lost).status(404).code(), "MANIFEST_BLOB_UNKNOWN");
    registry.switch(|ways| ways.manifest_limit = 10);
    put_manifest(&registry, "v2", INDEX, &index).status(413);
    registry.switch(|ways| (ways.manifest_limit, ways.checks_references) = (1 << 20, false));
    put_manifest(&registry, "v2", INDEX, &lost).status(201);
    let sha512 = sha512(&index);
    let pushed = put_manifest(&registry, &sha512, INDEX, &index).status(201);
    assert_eq!(pushed.header("docker-content-digest"), Some(sha512.as_str()));
    wire::get(registry.address(), &format!("/v2/acme/app/manifests/{sha512}")).status(200);
}

#[test]
fn delete_can_be_refused() {
    let (registry, digest) = loaded(Switches { delete: Delete::NotAllowed, ..Switches::default() });
    let target = format!("/v2/acme/app/manifests/{digest}");
    let delete = || wire::send(registry.address(), "DELETE", &target, &[], b"");
    assert_eq!(delete().status(405).code(), "UNSUPPORTED");
    registry.switch(|ways| ways.delete = Delete::Allowed);
    delete().status(202);
    delete().status(404);
    wire::get(registry.address(), "/v2/acme/app/manifests/v1").status(404);
    let blob = registry.put_blob("acme/app", b"blob");
    let target = format!("/v2/acme/app/blobs/{blob}");
    wire::send(registry.address(), "DELETE", &target, &[], b"").status(202);
    assert_eq!(registry.blob("acme/app", &blob), None);
}

#[test]
fn native_referrers_are_paged_and_filtered() {
    let (registry, subject) =
        loaded(Switches { referrers: Referrers::Native { page_size: 2 }, ..Switches::default() });
    for number in 0..5 {
        let kind = if number < 3 { "application/a+json" } else { "application/b" };
        registry.add_referrer("acme/app", &subject, kind, format!("{number}").as_bytes());
    }
    let walk = |query: &str| {
        let (mut found, mut pages) = (Vec::new(), 0);
        let mut target = format!("/v2/acme/app/referrers/{subject}{query}");
        loop {
            let page = wire::get(registry.address(), &target).status(200);
            assert_eq!(page.header("content-type"), Some(INDEX));
            found.extend(page.json()["manifests"].as_array().unwrap().clone());
            pages += 1;
            let Some(link) = page.header("link") else { return (found, pages, page) };
            target = link.split_once('>').unwrap().0.trim_start_matches('<').to_owned();
        }
    };
    let (all, pages, last) = walk("");
    assert_eq!((all.len(), pages, last.header("oci-filters-applied")), (5, 3, None));
    let (some, pages, last) = walk("?artifactType=application%2Fa%2Bjson");
    assert_eq!((some.len(), pages), (3, 2));
    assert_eq!(last.header("oci-filters-applied"), Some("artifactType"));
    registry.switch(|ways| ways.referrers = Referrers::Unfiltered { page_size: 2 });
    let (all, _, last) = walk("?artifactType=application%2Fb");
    assert_eq!((all.len(), last.header("oci-filters-applied")), (5, None));
    registry.remove_manifest("acme/app", all[0]["digest"].as_str().unwrap());
    assert_eq!(walk("").0.len(), 4);
    let none = format!("/v2/acme/app/referrers/sha256:{}", "0".repeat(64));
    assert_eq!(wire::get(registry.address(), &none).status(200).json()["manifests"], json!([]));
}

#[test]
fn a_push_with_a_subject_is_confirmed_only_by_the_referrers_api() {
    let (registry, subject) = loaded(Switches::default());
    let added = registry.add_referrer("acme/app", &subject, "application/a", b"1");
    let digest = added["digest"].as_str().unwrap();
    let (_, _, manifest) = registry.manifest("acme/app", digest).unwrap();
    let pushed = put_manifest(&registry, digest, MANIFEST, &manifest).status(201);
    assert_eq!(pushed.header("oci-subject"), Some(subject.as_str()));
    registry.switch(|ways| ways.referrers = Referrers::Off);
    let pushed = put_manifest(&registry, digest, MANIFEST, &manifest).status(201);
    assert_eq!(pushed.header("oci-subject"), None);
    let target = format!("/v2/acme/app/referrers/{subject}");
    assert_eq!(wire::get(registry.address(), &target).status(404).code(), "MANIFEST_UNKNOWN");
    registry.switch(|ways| ways.referrers = Referrers::RedirectElsewhere);
    let away = wire::get(registry.address(), &target).status(303);
    let away = away.header("location").unwrap().strip_prefix("http://").unwrap();
    let (host, path) = away.split_once('/').unwrap();
    assert_eq!(host, registry.elsewhere_address());
    wire::get(host, &format!("/{path}")).status(429);
}

#[test]
fn the_fallback_tag_has_the_odd_types_of_ghcr() {
    let (registry, subject) = loaded(Switches::ghcr());
    let added = registry.add_referrer("acme/app", &subject, "application/a", b"1");
    registry.set_fallback("acme/app", &subject, std::slice::from_ref(&added), Entries::Ghcr);
    let listed = registry.fallback("acme/app", &subject);
    assert_eq!((&listed[0]["artifactType"], &listed[0]["digest"]), (&json!(EMPTY), &added["digest"]));
    assert_eq!(listed[0].get("annotations"), None);
    registry.set_fallback("acme/app", &subject, std::slice::from_ref(&added), Entries::Bare);
    assert_eq!(registry.fallback("acme/app", &subject)[0].get("artifactType"), None);
    registry.set_fallback("acme/app", &subject, std::slice::from_ref(&added), Entries::Faithful);
    assert_eq!(registry.fallback("acme/app", &subject), [added]);
    assert_eq!(fallback_tag(&format!("sha512:{}", "a".repeat(128))).len(), 7 + 64);
}

#[test]
fn after_a_write_readers_see_the_old_for_a_while() {
    let lag = Duration::from_millis(400);
    let (registry, old) = loaded(Switches { read_after_write_lag: lag, ..Switches::default() });
    let new = index_of(&[]);
    let began = Instant::now();
    put_manifest(&registry, "v1", INDEX, &new).status(201);
    put_manifest(&registry, "v2", INDEX, &new).status(201);
    let read = |reference: &str| {
        let answer = wire::get(registry.address(), &format!("/v2/acme/app/manifests/{reference}"));
        answer.header("docker-content-digest").map(str::to_owned)
    };
    let digest = Digest::sha256(&new).to_string();
    let seen = (read("v1"), read("v2"), read(&digest));
    assert!(began.elapsed() > lag || seen == (Some(old), None, None), "{seen:?}");
    assert_eq!(registry.newest("acme/app", "v1").unwrap(), digest);
    std::thread::sleep(lag);
    assert_eq!((read("v1"), read("v2")), (Some(digest.clone()), Some(digest)));
}

#[test]
fn a_write_on_condition_fails_when_another_was_first() {
    let (registry, _) = loaded(Switches::default());
    let read = wire::get(registry.address(), "/v2/acme/app/manifests/v1");
    let etag = read.header("etag").unwrap();
    let write = |condition: (&str, &str), tag: &str, bytes: &[u8]| {
        let headers = [("content-type", INDEX), condition];
        let target = format!("/v2/acme/app/manifests/{tag}");
        wire::send(registry.address(), "PUT", &target, &headers, bytes).status
    };
    assert_eq!(write(("if-none-match", "*"), "v1", &index_of(&[])), 412);
    assert_eq!(write(("if-match", etag), "v1", &index_of(&[])), 201);
    assert_eq!(write(("if-match", etag), "v1", &index_of(&[])), 412);
    assert_eq!(write(("if-none-match", "*"), "v9", &index_of(&[])), 201);
    registry.switch(|ways| ways.etag = false);
    assert_eq!(write(("if-match", etag), "v1", &index_of(&[])), 201);
    assert_eq!(wire::get(registry.address(), "/v2/acme/app/manifests/v1").header("etag"), None);
}

#[test]
fn blobs_from_another_host_want_no_credential() {
    let (registry, _) = loaded(Switches { blobs: Blobs::Redirected, ..Switches::default() });
    let blob = registry.put_blob("acme/app", b"0123456789");
    let away = wire::get(registry.address(), &format!("/v2/acme/app/blobs/{blob}")).status(307);
    let target = away.header("location").unwrap().strip_prefix("http://").unwrap().to_owned();
    let (host, target) = target.split_once('/').unwrap();
    let ask = |header| wire::send(host, "GET", &format!("/{target}"), &[header], b"");
    assert_eq!(ask(("range", "bytes=4-")).status(206).body, b"456789");
    assert!(registry.leaks().is_empty());
    ask(("authorization", "Bearer secret")).status(400);
    assert_eq!(registry.leaks().len(), 1);
    assert_eq!(registry.elsewhere().len(), 2);
}

#[test]
fn a_blob_may_be_larger_than_memory() {
    let registry = Registry::start(Switches::default());
    let size: u64 = 1 << 33;
    let maker: Maker = Arc::new(|at, wanted| vec![u8::try_from(at % 251).unwrap(); wanted]);
    let digest = format!("sha256:{}", "2".repeat(64));
    registry.put_blob_as("acme/app", &digest, Content::made(size, maker));
    let target = format!("/v2/acme/app/blobs/{digest}");
    let head = wire::head(registry.address(), &target).status(200);
    assert_eq!(head.header("content-length").unwrap(), size.to_string());
    let range = format!("bytes={}-", size - 3);
    let tail = wire::send(registry.address(), "GET", &target, &[("range", &range)], b"").status(206);
    assert_eq!(tail.body, [u8::try_from((size - 3) % 251).unwrap(); 3]);
}

#[test]
fn a_broken_layout_is_held_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    demo().write(directory.path());
    let victim = std::fs::read_dir(directory.path().join("blobs/sha256")).unwrap().next().unwrap().unwrap();
    std::fs::write(victim.path(), b"other bytes").unwrap();
    let registry = Registry::start(Switches::default());
    let digest = registry.push_directory("acme/app", "latest", directory.path());
    assert_eq!(registry.tags("acme/app"), ["latest"]);
    assert_eq!(registry.newest("acme/app", "latest"), Some(digest));
    let claimed = format!("sha256:{}", victim.file_name().display());
    let held = registry.manifest("acme/app", &claimed).map(|(_, _, bytes)| bytes);
    assert_eq!(held.or(registry.blob("acme/app", &claimed)).unwrap(), b"other bytes");
}
