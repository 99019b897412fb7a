//! What a client of the TUF repository sees.

use sigstore_tuf::{FileStore, HttpRepository, Updater};

use super::{block_on, chain};
use crate::support::sigstore::service::now;
use crate::support::sigstore::{Lie, Role, Sigstore};

/// Fetches a target as a client that was shipped with this root, and remembers in this folder.
fn fetch(
    sigstore: &Sigstore,
    root: &[u8],
    memory: &std::path::Path,
    target: &str,
) -> Result<Vec<u8>, String> {
    // The crate has another version of jiff.
    let now = jiff::Timestamp::from_second(now()).unwrap().to_string();
    let fetched = block_on(async {
        let repository = HttpRepository::new(sigstore.tuf.url())?;
        let mut updater = Updater::new(repository, root)?.with_store(FileStore::new(memory));
        updater.refresh(now.parse().unwrap()).await?;
        updater.get_target(target, now.parse().unwrap()).await
    });
    fetched.map_err(|error: sigstore_tuf::Error| chain(&error))
}

#[test]
fn the_trusted_root_is_fetched_and_rotates() {
    let sigstore = Sigstore::start();
    let first = sigstore.repository.root(1);
    let fresh =
        |root: &[u8], target: &str| fetch(&sigstore, root, tempfile::tempdir().unwrap().path(), target);
    for name in ["trusted_root.json", "signing_config.v0.2.json", "signing_config_rekor_v2.v0.2.json"] {
        assert!(!fresh(&first, name).unwrap().is_empty());
    }
    sigstore.repository.rotate();
    sigstore.repository.rotate();
    let root = fresh(&first, "trusted_root.json").unwrap();
    assert_eq!(serde_json::from_slice::<super::Value>(&root).unwrap(), sigstore.trusted_root());
    sigstore.repository.withdraw("trusted_root.json");
    fresh(&first, "trusted_root.json").unwrap_err();
    sigstore.repository.usurp();
    fresh(&first, "signing_config.v0.2.json").unwrap_err();
}

#[test]
fn what_is_forged_expired_or_older_is_refused() {
    let sigstore = Sigstore::start();
    let memory = tempfile::tempdir().unwrap();
    let first = sigstore.repository.root(1);
    let fresh = || fetch(&sigstore, &first, tempfile::tempdir().unwrap().path(), "trusted_root.json");
    for lie in [Lie::TufKey, Lie::TargetBytes] {
        sigstore.tuf.lie(lie.clone());
        assert!(fresh().is_err(), "{lie:?}");
        fresh().unwrap();
    }
    let before = sigstore.repository.snapshot();
    sigstore.repository.publish("more.json", b"{}");
    fetch(&sigstore, &first, memory.path(), "more.json").unwrap();
    sigstore.repository.roll_back(before);
    fetch(&sigstore, &first, memory.path(), "trusted_root.json").expect_err("an older timestamp");
    for role in [Role::Timestamp, Role::Snapshot, Role::Targets, Role::Root] {
        let sigstore = Sigstore::start();
        sigstore.repository.expire(role, 1_000_000_000);
        let root = sigstore.repository.root(1);
        let place = tempfile::tempdir().unwrap();
        let refused = fetch(&sigstore, &root, place.path(), "trusted_root.json").unwrap_err();
        assert!(refused.contains("expired"), "{role:?}: {refused}");
    }
}
