use sigstore_verify::trust_root::SigstoreInstance;

use super::*;

const NOW: &str = "2026-11-27T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn kept(checked: &str) -> Vec<u8> {
    serde_json::json!({"schema": SCHEMA, "checked": checked, "files": {}}).to_string().into_bytes()
}

#[test]
fn trust_begins_with_root_metadata_that_is_built_in() {
    let built_in = [TufRepository::public_good(), TufRepository::github(), TufRepository::staging()];
    let names: Vec<String> =
        built_in.into_iter().map(|built_in| built_in.unwrap().name().to_owned()).collect();
    assert_eq!(names, ["public-good", "github", "staging"]);
}

/// Where this fails, `sigstore-trust-root` was updated: take its `repository/tuf_*root.json` over, and the day it was
/// published as [`EMBEDDED`].
#[test]
fn the_roots_that_come_along_are_those_of_the_day_that_is_stated() {
    let digest = |instance: SigstoreInstance| {
        Digest::sha256(instance.embedded_trusted_root_json().as_bytes()).to_string()
    };
    assert_eq!(
        digest(SigstoreInstance::PublicGood),
        "sha256:6494e21ea73fa7ee769f85f57d5a3e6a08725eae1e38c755fc3517c9e6bc0b66"
    );
    assert_eq!(
        digest(SigstoreInstance::GitHub),
        "sha256:484cdfe1a7c65479c5ba2a22193d1be90f0020db1997de696ab207434c62fbb7"
    );
    assert_eq!(
        digest(SigstoreInstance::Staging),
        "sha256:44deb991d4bbf2150751ccee235d9810bce4434383c26d8898c1bcadbace6ed8"
    );
}

#[test]
fn what_was_kept_before_the_built_in_root_is_older() {
    let repository = TufRepository::public_good().unwrap();
    assert_eq!(repository.reread(&kept("2026-10-22T23:59:59Z"), now()).unwrap(), None);
    let empty = repository.reread(&kept("2026-11-26T00:00:00Z"), now()).unwrap_err();
    assert!(empty.message.contains("timestamp.json not found"), "{empty}");
    let future = repository.reread(&kept("2026-11-27T00:00:01Z"), now()).unwrap_err();
    assert!(future.message.contains("still to come"), "{future}");
}

#[test]
fn whatever_lies_in_the_cache_is_read_without_harm() {
    let repository = TufRepository::public_good().unwrap();
    for bytes in [&b""[..], b"{", b"[]", b"\xff", br#"{"schema":"x","checked":"now","files":{}}"#] {
        repository.reread(bytes, now()).unwrap_err();
    }
}

#[test]
fn a_repository_in_plain_sight_is_refused() {
    let root = include_bytes!("public-good.root.json");
    for url in
        ["http://tuf.example", "ftp://tuf.example", "tuf.example", "https://u@tuf.example", "https://a/?b"]
    {
        TufRepository::new(url, root.to_vec()).unwrap_err();
    }
    for url in ["https://tuf.example/a/b", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"] {
        TufRepository::new(url, root.to_vec()).unwrap();
    }
    let name = |url: &str| TufRepository::new(url, root.to_vec()).unwrap().name().to_owned();
    assert_ne!(name("https://tuf.example/a"), name("https://tuf.example/b"));
}

#[test]
fn only_metadata_has_a_version_before_its_name() {
    assert_eq!(unversioned("12.snapshot.json"), "snapshot.json");
    assert_eq!(unversioned("timestamp.json"), "timestamp.json");
    assert_eq!(unversioned("root_history/2.root.json"), "root_history/2.root.json");
}
