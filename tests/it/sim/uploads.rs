//! Uploads as the specification has them, and what registries make of it.

use portcullis::model::digest::Digest;

use crate::support::registry::{Blobs, Location, Registry, Switches};
use crate::support::wire::{self, Answer};

const BLOB: &[u8] = b"0123456789";

fn open(registry: &Registry) -> Answer {
    wire::send(registry.address(), "POST", "/v2/acme/app/blobs/uploads/", &[], b"")
}

fn next(answer: &Answer) -> String {
    let location = answer.header("location").unwrap();
    location.strip_prefix("http://").map_or(location, |rest| &rest[rest.find('/').unwrap()..]).to_owned()
}

fn patch(registry: &Registry, target: &str, range: &str, bytes: &[u8]) -> Answer {
    wire::send(registry.address(), "PATCH", target, &[("content-range", range)], bytes)
}

fn digest() -> String {
    Digest::sha256(BLOB).to_string()
}

#[test]
fn a_blob_goes_up_in_chunks() {
    let registry = Registry::start(Switches::default());
    let opened = open(&registry).status(202);
    let first = patch(&registry, &next(&opened), "0-3", &BLOB[..4]).status(202);
    assert_eq!(first.header("range"), Some("0-3"));
    patch(&registry, &next(&opened), "4-9", &BLOB[4..]).status(404);
    let astray = patch(&registry, &next(&first), "5-9", &BLOB[5..]).status(416);
    assert_eq!(astray.header("range"), Some("0-3"));
    let asked = wire::get(registry.address(), next(&opened).split('?').next().unwrap()).status(204);
    let second = patch(&registry, &next(&asked), "4-9", &BLOB[4..]).status(202);
    let close = format!("{}&digest={}", next(&second), digest());
    let done = wire::send(registry.address(), "PUT", &close, &[], b"").status(201);
    assert_eq!(done.header("docker-content-digest"), Some(digest().as_str()));
    assert_eq!(registry.blob("acme/app", &digest()).unwrap(), BLOB);
}

#[test]
fn a_blob_goes_up_at_once_or_is_mounted() {
    let registry = Registry::start(Switches::default());
    let post = |repository: &str, query: &str, body: &[u8]| {
        let target = format!("/v2/{repository}/blobs/uploads/?{query}");
        wire::send(registry.address(), "POST", &target, &[], body)
    };
    post("acme/app", &format!("digest={}", digest()), BLOB).status(201);
    let wrong = post("acme/app", &format!("digest={}", digest()), b"other").status(400);
    assert_eq!(wrong.code(), "DIGEST_INVALID");
    let mount = format!("mount={}&from=acme/app", digest());
    post("acme/two", &mount, b"").status(201);
    assert_eq!(registry.blob("acme/two", &digest()).unwrap(), BLOB);
    registry.switch(|ways| (ways.mount, ways.single_post) = (false, false));
    post("acme/three", &mount, b"").status(202);
    let opened = post("acme/three", &format!("digest={}", digest()), BLOB).status(202);
    let close = format!("{}&digest={}", next(&opened), digest());
    wire::send(registry.address(), "PUT", &close, &[], BLOB).status(201);
    let dropped = next(&post("acme/three", "", b""));
    wire::send(registry.address(), "DELETE", &dropped, &[], b"").status(204);
    wire::get(registry.address(), &dropped).status(404);
}

#[test]
fn chunks_above_the_limit_are_refused() {
    let registry = Registry::start(Switches { upload_chunk_limit: Some(4), ..Switches::default() });
    let target = next(&open(&registry));
    let refused = patch(&registry, &target, "0-4", &BLOB[..5]).status(416);
    assert_eq!(refused.code(), "REQUESTED_RANGE_NOT_SATISFIABLE");
    patch(&registry, &target, "0-3", &BLOB[..4]).status(202);
}

#[test]
fn a_location_is_written_as_asked() {
    let registry = Registry::start(Switches::default());
    let written = |location| {
        registry.switch(|ways| ways.location = location);
        open(&registry).status(202).header("location").map(str::to_owned)
    };
    let host = format!("http://{}/v2/acme/app/blobs/uploads/upload-", registry.address());
    assert!(written(Location::Absolute).unwrap().starts_with(&host));
    assert!(written(Location::Path).unwrap().starts_with("/v2/acme/app/blobs/uploads/upload-"));
    assert!(written(Location::Relative).unwrap().starts_with("upload-"));
    assert_eq!(written(Location::Missing), None);
    let away = format!("http://{}/v2/", registry.elsewhere_address());
    assert!(written(Location::Elsewhere).unwrap().starts_with(&away));
}

#[test]
fn ranges_are_given_or_ignored() {
    let registry = Registry::start(Switches { blobs: Blobs::Inline, ..Switches::default() });
    let target = format!("/v2/acme/app/blobs/{}", registry.put_blob("acme/app", BLOB));
    let ask = |headers: &[(&str, &str)]| wire::send(registry.address(), "GET", &target, headers, b"");
    let part = ask(&[("range", "bytes=2-4")]).status(206);
    assert_eq!((part.body.as_slice(), part.header("content-range")), (&BLOB[2..5], Some("bytes 2-4/10")));
    assert_eq!(ask(&[("range", "bytes=7-")]).status(206).body, b"789");
    assert_eq!(ask(&[("range", "bytes=-2")]).status(206).body, b"89");
    let beyond = ask(&[("range", "bytes=10-")]).status(416);
    assert_eq!(beyond.header("content-range"), Some("bytes */10"));
    let etag = part.header("etag").unwrap();
    ask(&[("range", "bytes=7-"), ("if-range", etag)]).status(206);
    ask(&[("range", "bytes=7-"), ("if-range", "\"other\"")]).status(200);
    registry.switch(|ways| ways.ranges = false);
    assert_eq!(ask(&[("range", "bytes=7-")]).status(200).body, BLOB);
}
