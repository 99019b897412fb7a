//! Copies between programs of other people: Debian's docker-registry, and skopeo as the reader.

use portcullis::registry::fallback_tag;

use super::*;
use crate::support::docker_registry::DockerRegistry;
use crate::support::skopeo::{Access, skopeo};

#[test]
fn skopeo_reads_what_was_copied_to_docker_registry() {
    let (Some(skopeo), Some(to)) = (skopeo(), DockerRegistry::plain()) else { return };
    let from = Registry::start(Switches::default());
    let signed = signed(&from);
    let copied = all(&from.reference(APP, "v1"), &to.reference(COPY, "v1"));
    assert_eq!((copied.manifests, copied.referrers, copied.legacy.len()), (5, 3, 2));
    let access = Access::default();
    let (_, _, bytes) = from.manifest(APP, "v1").unwrap();
    assert_eq!(skopeo.inspect_raw(&to.reference(COPY, "v1"), &access), bytes);
    assert_eq!(skopeo.inspect_raw(&to.reference(COPY, &signed.platform), &access).len(), {
        from.manifest(APP, &signed.platform).unwrap().2.len()
    });
    // It lists no referrers by itself: they are under the fallback tag, for every reader.
    let subject: Digest = signed.index.parse().unwrap();
    let index = skopeo.inspect_raw(&to.reference(COPY, &fallback_tag(&subject)), &access);
    let index: Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(index["manifests"][0]["digest"], signed.hanging[0].1);
    assert_eq!(index["manifests"][0]["artifactType"], BUNDLE);
    // And back out of it.
    let place = tempfile::tempdir().unwrap();
    let layout = format!("oci:{}/made:v1", place.path().display());
    assert_eq!(all(&to.reference(COPY, "v1"), &layout).referrers, 3);
    let back = Registry::start(Switches::default());
    all(&layout, &back.reference(COPY, "v1"));
    check(&from, &back, &signed);
}

#[test]
fn skopeo_reads_every_platform_of_a_layout_that_was_written() {
    let (Some(skopeo), Some(to)) = (skopeo(), DockerRegistry::plain()) else { return };
    let from = Registry::start(Switches::default());
    let mut built = layout();
    let platforms = ["linux/amd64", "linux/arm64"]
        .map(|platform| built.add(image(platform).layer(layer("COPY . .").file("etc/motd", platform))));
    let index = built.index(platforms.to_vec());
    built.tag("v1", index);
    let digest = from.push_layout(APP, "v1", &built);
    from.add_referrer(APP, &digest, BUNDLE, b"signature");
    let place = tempfile::tempdir().unwrap();
    all(&from.reference(APP, "v1"), &format!("oci:{}:v1", place.path().display()));
    skopeo.push(place.path(), "v1", &to.reference(COPY, "v1"), &Access::default());
    let bytes = skopeo.inspect_raw(&to.reference(COPY, "v1"), &Access::default());
    assert_eq!(Digest::sha256(&bytes).to_string(), digest);
}
