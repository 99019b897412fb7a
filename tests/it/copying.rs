//! `portcullis copy`: images between registries and layouts, with everything that hangs on them.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::cli::{Run, portcullis};
use crate::support::docker_registry::DockerRegistry;
use crate::support::image::{Layout, image, layer, layout};
use crate::support::registry::{Entries, Fault, MANIFEST, Referrers, Registry, Switches, on};
use crate::support::skopeo::{Access, skopeo};

const APP: &str = "acme/app";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SBOM: &str = "application/vnd.cyclonedx+json";

fn copy(from: &str, to: &str, more: &[&str]) -> Run {
    let home = tempfile::tempdir().unwrap();
    portcullis(home.path(), &[&["copy", from, to, "--insecure-registry", "127.0.0.1"], more].concat())
}

/// Two platforms, one of them with BuildKit's attestation manifest.
fn two_platforms() -> Layout {
    let mut built = layout();
    let mut manifests: Vec<Value> = ["linux/amd64", "linux/arm64"]
        .map(|platform| built.add(image(platform).layer(layer("COPY . .").file("etc/motd", platform))))
        .to_vec();
    let attestation = built.attestation(&manifests[0]);
    manifests.push(attestation);
    let index = built.index(manifests);
    built.tag("v1", index);
    built
}

/// The digests of the platform manifests below an index.
fn children(registry: &Registry, digest: &str) -> Vec<String> {
    let (_, _, index) = registry.manifest(APP, digest).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let digests =
        index["manifests"].as_array().unwrap().iter().map(|child| child["digest"].as_str().unwrap());
    digests.map(str::to_owned).collect()
}

/// A registry with an image on which hang a bundle, a bundle on that bundle, an SBOM on one platform, and a
/// legacy signature.
fn signed(referrers: Referrers) -> (Registry, String, Vec<String>) {
    let registry = Registry::start(Switches { referrers, ..Switches::default() });
    let digest = registry.push_layout(APP, "v1", &two_platforms());
    let platform = children(&registry, &digest)[0].clone();
    let bundle = registry.add_referrer(APP, &digest, BUNDLE, b"bundle");
    let bundle_digest = bundle["digest"].as_str().unwrap().to_owned();
    let above = registry.add_referrer(APP, &bundle_digest, BUNDLE, b"of the bundle");
    let bom = registry.add_referrer(APP, &platform, SBOM, b"bom");
    if referrers == Referrers::Off {
        registry.set_fallback(APP, &digest, std::slice::from_ref(&bundle), Entries::Ghcr);
        registry.set_fallback(APP, &bundle_digest, std::slice::from_ref(&above), Entries::Bare);
        registry.set_fallback(APP, &platform, std::slice::from_ref(&bom), Entries::Faithful);
    }
    let payload = registry.put_blob(APP, b"signed");
    let config = registry.put_blob(APP, b"{\"config\":true}");
    let legacy = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 15},
        "layers": [{"mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": payload, "size": 6}],
    });
    let tag = format!("{}.sig", digest.replace(':', "-"));
    let legacy = registry.put_manifest(APP, Some(&tag), MANIFEST, &serde_json::to_vec(&legacy).unwrap());
    let text = |value: &Value| value["digest"].as_str().unwrap().to_owned();
    let hanging = vec![text(&bundle), text(&above), text(&bom), legacy];
    (registry, digest, hanging)
}

/// What the registry lists as hanging on a digest, natively or by fallback tag.
fn listed(registry: &Registry, subject: &str) -> Vec<String> {
    let entries = registry.fallback(APP, subject);
    entries.iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_image_goes_from_registry_to_registry_with_everything_on_it() {
    for from in [Referrers::Native { page_size: 2 }, Referrers::Off] {
        let (source, digest, hanging) = signed(from);
        let destination = Registry::start(Switches::ghcr());
        destination.switch(|switches| switches.auth = crate::support::registry::Auth::None);
        let run = copy(&source.reference(APP, "v1"), &destination.reference(APP, "v2"), &[]).ended(0);
        assert!(run.out().contains("4 manifests") && run.out().contains("4 signatures"), "{}", run.out());
        assert_eq!(destination.manifest(APP, "v2").unwrap().0, digest);
        for digest in [children(&source, &digest), hanging.clone()].concat() {
            let (at_source, at_end) = (source.manifest(APP, &digest), destination.manifest(APP, &digest));
            assert_eq!(at_source.unwrap(), at_end.unwrap(), "{digest}");
        }
        // GHCR lists nothing by itself: readers find them by the fallback tag.
        assert_eq!(listed(&destination, &digest), [hanging[0].clone()]);
        assert_eq!(listed(&destination, &hanging[0]), [hanging[1].clone()]);
        assert_eq!(listed(&destination, &children(&source, &digest)[0]), [hanging[2].clone()]);
        let legacy = format!("{}.sig", digest.replace(':', "-"));
        assert_eq!(destination.newest(APP, &legacy), Some(hanging[3].clone()));
    }
}

#[test]
fn a_layout_keeps_what_hangs_on_an_image_and_gives_it_back() {
    let (source, digest, hanging) = signed(Referrers::Native { page_size: 50 });
    let place = tempfile::tempdir().unwrap();
    let folder = format!("oci:{}:v1", place.path().join("layout").display());
    copy(&source.reference(APP, &digest), &folder, &[]).ended(0);
    // The same again changes nothing.
    let index = std::fs::read(place.path().join("layout/index.json")).unwrap();
    let again = copy(&source.reference(APP, &digest), &folder, &[]).ended(0);
    assert!(again.out().contains(" 0 blobs sent"), "{}", again.out());
    let entries = |bytes: &[u8]| {
        let index: Value = serde_json::from_slice(bytes).unwrap();
        let text = |entry: &Value| (entry["digest"].to_string(), entry["annotations"].to_string());
        index["manifests"].as_array().unwrap().iter().map(text).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(entries(&index), entries(&std::fs::read(place.path().join("layout/index.json")).unwrap()));
    let destination = Registry::start(Switches::default());
    let run = copy(&folder, &destination.reference(APP, "v1"), &[]).ended(0);
    assert!(run.out().contains("4 signatures"), "{}", run.out());
    assert_eq!(destination.newest(APP, "v1"), Some(digest));
    for digest in hanging {
        assert_eq!(source.manifest(APP, &digest), destination.manifest(APP, &digest));
    }
}

#[test]
fn skopeo_reads_what_was_copied() {
    let (Some(skopeo), Some(registry)) = (skopeo(), DockerRegistry::plain()) else { return };
    let (source, digest, _) = signed(Referrers::Native { page_size: 50 });
    let reference = registry.reference(APP, "v1");
    copy(&source.reference(APP, "v1"), &reference, &[]).ended(0);
    let place = tempfile::tempdir().unwrap();
    skopeo.pull(&reference, &Access::default(), place.path(), "v1");
    let index: Value =
        serde_json::from_slice(&std::fs::read(place.path().join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"][0]["digest"], digest);
    for child in children(&source, &digest) {
        let name = place.path().join("blobs").join(child.replace(':', "/"));
        assert_eq!(std::fs::read(name).unwrap(), source.manifest(APP, &child).unwrap().2);
    }
    // And back, from a registry that we did not write.
    let folder = format!("oci:{}:v1", place.path().join("back").display());
    let run = copy(&reference, &folder, &[]).ended(0);
    assert!(run.out().starts_with(&digest) && run.out().contains("4 signatures"), "{}", run.out());
}

#[test]
fn blobs_are_mounted_within_one_registry() {
    let (registry, digest, _) = signed(Referrers::Native { page_size: 50 });
    registry.forget();
    copy(&registry.reference(APP, "v1"), &registry.reference("acme/other", "v1"), &[]).ended(0);
    assert_eq!(registry.newest("acme/other", "v1"), Some(digest));
    assert_eq!(registry.count("PATCH", "") + registry.count("PUT", "/blobs/"), 0);
    assert!(registry.count("POST", "mount=") > 0);
}

#[test]
fn a_listing_that_fails_is_never_nothing() {
    for fault in [Fault::bare(403), Fault::bare(500), Fault::error(429, "TOOMANYREQUESTS", "later")] {
        let (source, digest, _) = signed(Referrers::Off);
        source.script(
            on("GET", &format!("/manifests/{}", digest.replace(':', "-"))).times(usize::MAX),
            [fault],
        );
        let destination = Registry::start(Switches::default());
        let (from, to) = (source.reference(APP, "v1"), destination.reference(APP, "v1"));
        let run = copy(&from, &to, &["--timeout", "8s"]);
        assert_eq!(run.code(), 3, "{}{}", run.out(), run.err());
    }
}

#[test]
fn without_referrers_only_the_image_goes() {
    let (source, digest, hanging) = signed(Referrers::Native { page_size: 50 });
    let destination = Registry::start(Switches::default());
    copy(&source.reference(APP, "v1"), &destination.reference(APP, "v1"), &["--no-referrers"]).ended(0);
    assert_eq!(destination.newest(APP, "v1"), Some(digest));
    assert!(hanging.iter().all(|digest| destination.manifest(APP, digest).is_none()));
}

#[test]
fn bytes_that_lie_are_refused_and_nothing_is_tagged() {
    for (part, code) in [("layers", 1), ("config", 1)] {
        let (source, digest, _) = signed(Referrers::Off);
        let child = children(&source, &digest)[1].clone();
        let manifest: Value = serde_json::from_slice(&source.manifest(APP, &child).unwrap().2).unwrap();
        let blob = if part == "layers" { &manifest["layers"][0] } else { &manifest["config"] };
        let wanted = blob["digest"].as_str().unwrap();
        let bytes = vec![b'x'; usize::try_from(blob["size"].as_u64().unwrap()).unwrap()];
        source.put_blob_as(APP, wanted, bytes);
        let destination = Registry::start(Switches::default());
        let place = tempfile::tempdir().unwrap();
        for to in [destination.reference(APP, "v1"), format!("oci:{}:v1", place.path().join("l").display())] {
            let run = copy(&source.reference(APP, "v1"), &to, &[]);
            assert_eq!(run.code(), code, "{part} to {to}: {}", run.err());
            assert!(run.err().contains(wanted), "{}", run.err());
        }
        assert_eq!(destination.newest(APP, "v1"), None);
        assert!(!place.path().join("l/index.json").exists());
    }
}

#[test]
fn a_blob_that_is_missing_is_named() {
    let mut files: BTreeMap<String, Vec<u8>> = two_platforms().files();
    let name = files.keys().find(|name| files[*name].starts_with(&[0x1f, 0x8b])).unwrap().clone();
    files.remove(&name);
    let place = tempfile::tempdir().unwrap();
    crate::support::image::write_files(&files, place.path());
    let destination = Registry::start(Switches::default());
    let run =
        copy(&format!("oci:{}:v1", place.path().display()), &destination.reference(APP, "v1"), &[]).ended(3);
    assert!(run.err().contains(name.rsplit('/').next().unwrap()), "{}", run.err());
    assert_eq!(destination.newest(APP, "v1"), None);
}

#[test]
fn what_cannot_be_copied_is_said_with_the_next_step() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("mine"), "x").unwrap();
    let occupied = format!("oci:{}", place.path().display());
    for (from, to, part) in [
        ("docker-archive:x.tar", "oci:y", "convert it"),
        ("oci:testdata/demo/image", "oci-archive:y.tar", "archives are not written"),
        ("oci:testdata/demo/image", occupied.as_str(), "nothing was written"),
    ] {
        let run = copy(from, to, &[]).ended(2);
        assert!(run.err().contains(part), "{}", run.err());
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    let wrong = format!("127.0.0.1:1/acme/app@sha256:{}", "0".repeat(64));
    let run = copy("oci:testdata/demo/image", &wrong, &[]).ended(2);
    assert!(run.err().contains("but the image is"), "{}", run.err());
    assert!(!Path::new("y.tar").exists());
}
