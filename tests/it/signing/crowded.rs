//! Lists of referrers that never end, on every manifest of an image.

use super::{APP, Stage, message};
use crate::support::image::{image, layer, layout};
use crate::support::registry::{Fault, Referrers, on};
use crate::support::sigstore::Version;

/// Bytes of a page: nearly as many as a page may have.
const PAGE: usize = 4_000_000;

/// Each list is within its own limits. All together cost what one image may, and what was not seen is unknown.
#[test]
fn endless_lists_on_every_platform_are_bounded_together_and_unknown() {
    let mut built = layout();
    let platforms: Vec<_> = (0..12)
        .map(|n| built.add(image(&format!("linux/arm/v{n}")).layer(layer("x").file("x", ""))))
        .collect();
    let index = built.index(platforms);
    built.tag("many", index);
    let mut stage = Stage::set(Referrers::Native { page_size: 100 });
    let digest = stage.registry.push_layout(APP, "many", &built);
    stage.image = stage.registry.reference(APP, &digest);
    stage.sign().ended(0);
    stage.gate("signature: {by: [ci]}").ended(0);
    let entries = stage.sigstore.entries(Version::V1).len();
    stage.registry.script(on("GET", "/referrers/").always(), [Fault::EmptyPages(PAGE)]);
    stage.registry.forget();
    let judged = stage.gate("signature: {by: [ci]}").ended(3);
    assert!(message(&judged).contains("limit `hanging bytes`"), "{}", message(&judged));
    let pages = stage.registry.count("GET", "/referrers/");
    // 128 MiB, and what was asked for at the same time.
    assert!((30..50).contains(&pages), "{pages}");
    // Nothing is signed where it cannot be seen what is there.
    let run = stage.sign().ended(3);
    assert!(run.err().contains("limit `hanging bytes`"), "{}", run.err());
    assert_eq!(stage.sigstore.entries(Version::V1).len(), entries);
}
