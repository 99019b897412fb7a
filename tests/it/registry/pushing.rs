//! Blobs and manifests pushed to registries that answer as they like.

use portcullis::image::document::MANIFEST_TYPES;
use portcullis::registry::{BlobPushed, BlobSource, Error, ErrorKind, Registry as Client, Repository};

use super::*;
use crate::support::registry::{ContentDigest, Fault, Location, Registry, Switches, on};

fn push(client: &Client, repository: &Repository, bytes: &[u8]) -> Result<BlobPushed, Error> {
    let source = BlobSource::Reader(Box::new(std::io::Cursor::new(bytes.to_vec())));
    client.run(repository.push_blob(&descriptor(bytes), source, None))
}

/// A manifest that points to two blobs that are there.
fn manifest(registry: &Registry) -> Vec<u8> {
    let digest = small_image(registry);
    registry.manifest(APP, &digest).unwrap().2
}

#[test]
fn uploads_go_on_wherever_the_registry_says() {
    for location in [Location::Absolute, Location::Path, Location::Relative] {
        for size in [0, 1, 5_000_000] {
            let registry = Registry::start(Switches { location, ..Switches::default() });
            let (client, repository) = open(&registry, settings());
            let bytes = noise(size);
            assert_eq!(push(&client, &repository, &bytes).unwrap(), BlobPushed::Uploaded, "{size}");
            assert_eq!(registry.blob(APP, &Digest::sha256(&bytes).to_string()).unwrap(), bytes);
        }
    }
}

#[test]
fn an_upload_without_a_location() {
    let registry = Registry::start(Switches { location: Location::Missing, ..Switches::default() });
    let (client, repository) = open(&registry, settings());
    assert_eq!(push(&client, &repository, b"bytes").unwrap_err().kind, ErrorKind::Invalid);
}

#[test]
fn locations_that_are_no_urls() {
    for location in ["http://[", "//", "\u{1}", "mailto:a@b", ""] {
        let registry = Registry::start(Switches::default());
        let (client, repository) = open(&registry, settings());
        registry.script(on("POST", "/uploads/").always(), [Fault::Header("location", location.into())]);
        // Resolved against the request an odd path may still be one of this host: then it is asked and fails.
        assert!(push(&client, &repository, b"bytes").is_err(), "{location:?}");
    }
}

#[test]
fn a_blob_of_ten_mebibytes_goes_up_in_pieces_that_ghcr_takes() {
    let registry = Registry::start(Switches::ghcr());
    let (client, repository) = open(&registry, logged_in(&registry));
    let bytes = noise(10 << 20);
    assert_eq!(push(&client, &repository, &bytes).unwrap(), BlobPushed::Uploaded);
    let sizes = registry
        .requests()
        .iter()
        .filter(|seen| seen.method == "PATCH")
        .map(|seen| seen.received)
        .collect::<Vec<_>>();
    assert_eq!(sizes, [4 << 20, 4 << 20, 2 << 20]);
    registry.forget();
    assert_eq!(push(&client, &repository, &bytes).unwrap(), BlobPushed::Existed);
    assert_eq!(registry.count("*", ""), 1, "a look, and no more");
}

#[test]
fn a_piece_whose_answer_is_lost() {
    for fault in [Fault::Reset, Fault::bare(500)] {
        let registry = Registry::start(Switches::default());
        let (client, repository) = open(&registry, settings());
        let bytes = noise(9 << 20);
        registry.script(on("PATCH", "").skip(1), [fault]);
        assert_eq!(push(&client, &repository, &bytes).unwrap(), BlobPushed::Uploaded);
        assert_eq!(registry.blob(APP, &Digest::sha256(&bytes).to_string()).unwrap(), bytes);
    }
}

#[test]
fn the_answer_to_the_last_piece_is_lost() {
    let registry = Registry::start(Switches::default());
    let (client, repository) = open(&registry, settings());
    registry.script(on("PUT", "/uploads/"), [Fault::Reset]);
    push(&client, &repository, b"bytes").unwrap();
}

#[test]
fn a_blob_is_mounted_where_the_registry_can_and_sent_where_it_declines() {
    for (mount, want) in [(true, BlobPushed::Mounted), (false, BlobPushed::Uploaded)] {
        let registry = Registry::start(Switches { mount, ..Switches::default() });
        let bytes = noise(5000);
        registry.put_blob("acme/base", &bytes);
        let (client, repository) = open(&registry, settings());
        let source = BlobSource::Bytes(bytes.clone().into());
        let pushed = client.run(repository.push_blob(&descriptor(&bytes), source, Some("acme/base")));
        assert_eq!(pushed.unwrap(), want);
        assert_eq!(registry.count("POST", "/uploads/"), 1, "the upload that stands in for a mount is used");
        assert_eq!(registry.blob(APP, &Digest::sha256(&bytes).to_string()).unwrap(), bytes);
    }
}

#[test]
fn a_source_with_other_bytes_is_not_finished() {
    for (stated, real) in [(&b"12345"[..], &b"12346"[..]), (b"12345", b"1234"), (b"12345", b"123456")] {
        let registry = Registry::start(Switches::default());
        let (client, repository) = open(&registry, settings());
        let source = BlobSource::Bytes(real.to_vec().into());
        let error = client.run(repository.push_blob(&descriptor(stated), source, None)).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Mismatch);
        assert_eq!(registry.count("PUT", ""), 0);
        assert_eq!(registry.blob(APP, &Digest::sha256(stated).to_string()), None);
    }
}

#[test]
fn a_manifest_is_pushed_by_tag_and_by_digest_without_a_location() {
    for location in [Location::Missing, Location::Relative, Location::Elsewhere] {
        let registry = Registry::start(Switches { location, ..Switches::default() });
        let bytes = manifest(&registry);
        let digest = Digest::sha256(&bytes);
        let (client, repository) = open(&registry, settings());
        for target in [tag("v2"), Target::Digest(digest.clone())] {
            let pushed = client.run(repository.push_manifest(&target, &bytes, MANIFEST_TYPES[0])).unwrap();
            assert_eq!(pushed.digest, digest);
        }
        assert_eq!(client.run(repository.manifest(&tag("v2"))).unwrap().digest, digest);
    }
}

#[test]
fn a_registry_that_states_another_digest_for_a_push() {
    let registry = Registry::start(Switches::default());
    let bytes = manifest(&registry);
    registry.switch(|ways| ways.content_digest = ContentDigest::Wrong);
    let (client, repository) = open(&registry, settings());
    let error = client.run(repository.push_manifest(&tag("v2"), &bytes, MANIFEST_TYPES[0])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Mismatch, "{error}");
    let other = Target::Digest(Digest::sha256(b"other"));
    let error = client.run(repository.push_manifest(&other, &bytes, MANIFEST_TYPES[0])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Mismatch, "{error}");
    let large = vec![b' '; (4 << 20) + 1];
    let error = client.run(repository.push_manifest(&tag("v2"), &large, MANIFEST_TYPES[0])).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
}

#[test]
fn what_we_pushed_is_waited_for_and_what_others_lack_is_not() {
    let lag = Duration::from_millis(700);
    let registry = Registry::start(Switches { read_after_write_lag: lag, ..Switches::default() });
    let bytes = manifest(&registry);
    let (client, repository) = open(&registry, settings());
    client.run(repository.push_manifest(&tag("v2"), &bytes, MANIFEST_TYPES[0])).unwrap();
    assert_eq!(client.run(repository.manifest(&tag("v2"))).unwrap().bytes, bytes);
    assert!(registry.count("GET", "/manifests/v2") > 1);
    registry.forget();
    assert_eq!(client.run(repository.manifest(&tag("v3"))).unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(registry.count("*", ""), 1);
}

#[test]
fn deleting_works_where_it_is_offered() {
    let registry = Registry::start(Switches::default());
    let digest = small_image(&registry);
    let (client, repository) = open(&registry, settings());
    client.run(repository.delete_manifest(&by(&digest))).unwrap();
    let error = client.run(repository.delete_manifest(&by(&digest))).unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound);
    let registry = Registry::start(Switches::ghcr());
    let digest = small_image(&registry);
    let (client, repository) = open(&registry, logged_in(&registry));
    let error = client.run(repository.delete_manifest(&by(&digest))).unwrap_err();
    assert_eq!((error.kind, error.status), (ErrorKind::Unsupported, Some(405)));
}
