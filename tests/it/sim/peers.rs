//! skopeo at the test registries: what it pushes comes back with the same digests.

use std::collections::BTreeMap;
use std::path::Path;

use portcullis::model::digest::Digest;

use super::{demo, loaded};
use crate::support::docker_registry::{DockerRegistry, PUBLIC};
use crate::support::registry::*;
use crate::support::skopeo::{Access, Skopeo, skopeo};
use crate::support::wire;

fn password() -> Option<String> {
    Some(format!("{USER}:{PASSWORD}"))
}

/// The blobs of a layout by their names.
fn blobs(layout: &Path) -> BTreeMap<String, Vec<u8>> {
    let folder = std::fs::read_dir(layout.join("blobs/sha256")).unwrap();
    let blob = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    folder.map(|entry| blob(entry.unwrap())).collect()
}

/// Pushes the demo image, reads it back by tag and by digest, and copies it out again; the digest of its index.
fn round_trip(skopeo: &Skopeo, reference: &dyn Fn(&str) -> String, access: &Access) -> String {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    demo().write(from.path());
    skopeo.push(from.path(), "v1", &reference("v1"), access);
    let index = skopeo.inspect_raw(&reference("v1"), access);
    let digest = Digest::sha256(&index).to_string();
    assert_eq!(skopeo.inspect_raw(&reference(&digest), access), index);
    skopeo.pull(&reference(&digest), access, to.path(), "v1");
    assert_eq!(blobs(to.path()), blobs(from.path()));
    digest
}

#[test]
fn skopeo_pushes_to_the_simulator_and_reads_back() {
    let Some(skopeo) = skopeo() else { return };
    for (ways, access) in [
        (Switches::default(), Access::default()),
        (Switches::ghcr(), Access { password: password(), ..Access::default() }),
        (
            Switches {
                location: Location::Relative,
                auth: Auth::Basic { user: USER.into(), password: PASSWORD.into() },
                ..Switches::default()
            },
            Access { password: password(), ..Access::default() },
        ),
    ] {
        let registry = Registry::start(ways);
        let digest = round_trip(&skopeo, &|what| registry.reference("acme/app", what), &access);
        assert_eq!(registry.newest("acme/app", "v1"), Some(digest));
        assert!(registry.leaks().is_empty());
    }
}

#[test]
fn skopeo_reads_what_was_loaded() {
    let Some(skopeo) = skopeo() else { return };
    let (registry, digest) = loaded(Switches::default());
    let raw = skopeo.inspect_raw(&registry.reference("acme/app", &digest), &Access::default());
    assert_eq!(Digest::sha256(&raw).to_string(), digest);
}

#[test]
fn skopeo_pushes_to_docker_registry_and_reads_back() {
    let (Some(skopeo), Some(registry)) = (skopeo(), DockerRegistry::plain()) else { return };
    let digest = round_trip(&skopeo, &|what| registry.reference("acme/app", what), &Access::default());
    let target = format!("/v2/acme/app/manifests/{digest}");
    wire::send(registry.address(), "DELETE", &target, &[], b"").status(202);
    wire::get(registry.address(), &format!("/v2/acme/app/referrers/{digest}")).status(404);
}

#[test]
fn docker_registry_is_entered_by_tls_and_password() {
    let (Some(skopeo), Some(registry)) = (skopeo(), DockerRegistry::tls()) else { return };
    let access = Access { password: password(), certificates: registry.certificates() };
    round_trip(&skopeo, &|what| registry.reference("acme/app", what), &access);
    let empty = tempfile::tempdir().unwrap();
    for (access, why) in [
        (Access { password: None, ..access.clone() }, "authentication required"),
        (Access { password: Some(format!("{USER}:wrong")), ..access.clone() }, "authentication required"),
        (Access { certificates: Some(empty.path().to_owned()), ..access }, "x509"),
    ] {
        let refused = skopeo.run(&inspect(&registry.reference("acme/app", "v1"), &access));
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(why), "{said}");
    }
}

#[test]
fn docker_registry_asks_clients_for_a_certificate() {
    let (Some(skopeo), Some(registry)) = (skopeo(), DockerRegistry::mutual_tls()) else { return };
    let access = Access { password: None, certificates: registry.certificates() };
    round_trip(&skopeo, &|what| registry.reference("acme/app", what), &access);
    let without = tempfile::tempdir().unwrap();
    std::fs::copy(registry.certificates().unwrap().join("ca.crt"), without.path().join("ca.crt")).unwrap();
    let access = Access { certificates: Some(without.path().to_owned()), ..access };
    let refused = skopeo.run(&inspect(&registry.reference("acme/app", "v1"), &access));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("certificate"), "{said}");
}

fn inspect(reference: &str, access: &Access) -> Vec<String> {
    let mut arguments = vec!["inspect".to_owned(), format!("docker://{reference}")];
    arguments.extend(access.password.iter().map(|password| format!("--creds={password}")));
    let folder = access.certificates.iter().map(|folder| format!("--cert-dir={}", folder.display()));
    arguments.extend(folder);
    arguments
}

#[test]
fn docker_registry_takes_tokens() {
    let (Some(skopeo), Some(registry)) = (skopeo(), DockerRegistry::token()) else { return };
    let known = Access { password: password(), ..Access::default() };
    round_trip(&skopeo, &|what| registry.reference("acme/app", what), &known);
    round_trip(&skopeo, &|what| registry.reference(PUBLIC, what), &known);
    let calls = registry.token_calls();
    assert!(calls > 0);
    skopeo.inspect_raw(&registry.reference(PUBLIC, "v1"), &Access::default());
    let refused = skopeo.run(&[
        "inspect".into(),
        "--tls-verify=false".into(),
        format!("docker://{}", registry.reference("acme/app", "v1")),
    ]);
    assert!(!refused.status.success());
    assert!(registry.token_calls() > calls);
}
