//! What several files of an image say is listed once.

use crate::layers::{inventory, listed};
use crate::support::image::{Layer, image, layer};

#[test]
fn a_java_runtime_is_listed_once_and_by_its_library_where_nothing_else_tells() {
    const LIBRARY: &str = "opt/jdk/jre/lib/amd64/server/libjvm.so";
    let text = "\x7fELF OpenJDK 64-Bit Server VM (25.1-b01) for linux-amd64 JRE (1.8.0_1-b01), built on";
    let library = || layer("0").file(LIBRARY, text);
    let release = |version: &str| format!("JAVA_VERSION=\"{version}\"\n");
    let one = |layer: Layer| listed(image("linux/amd64").layer(layer));
    let by_library = format!("oracle/openjdk@1.8.0_1-b01 in 0: {LIBRARY}");
    let by_release = "oracle/openjdk@1.8.0_1 in 0: opt/jdk/release".to_owned();
    assert_eq!(one(library()), [by_library.as_str()]);
    assert_eq!(one(library().file("opt/jdk/release", release("1.8.0_1"))), [by_release.as_str()]);
    // A text that lies of another version, or in another place, hides nothing.
    let wrong = "oracle/openjdk@17 in 0: opt/jdk/release".to_owned();
    assert_eq!(one(library().file("opt/jdk/release", release("17"))), [by_library.clone(), wrong]);
    let elsewhere = "oracle/openjdk@1.8.0_1 in 0: opt/release".to_owned();
    let listed_both = one(library().file("opt/release", release("1.8.0_1")));
    assert_eq!(listed_both, [elsewhere, by_library.clone()]);
    // A text that a later layer takes away leaves the library to tell.
    let lower = library().file("opt/jdk/release", release("1.8.0_1"));
    let upper = layer("1").whiteout("opt/jdk/release");
    assert_eq!(listed(image("linux/amd64").layer(lower).layer(upper)), [by_library]);
}

#[test]
fn a_component_of_bitnami_is_listed_once_with_all_that_is_said_of_it() {
    let list = "opt/bitnami/.bitnami_components.json";
    let document = "opt/bitnami/common/.spdx-demo.spdx";
    let base =
        layer("0").file(list, include_str!("../../testdata/inventory/bitnami/.bitnami_components.json"));
    let upper = layer("1").file(document, include_str!("../../testdata/inventory/bitnami/.spdx-demo.spdx"));
    let inventory = inventory(image("linux/amd64").layer(base).layer(upper));
    assert_eq!(inventory.gaps, []);
    let components: Vec<_> = inventory.packages.iter().filter(|p| p.kind == "bitnami").collect();
    assert_eq!(components.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["demo", "gosu"]);
    let demo = components[0];
    let locations: Vec<String> = demo.locations.iter().map(ToString::to_string).collect();
    assert_eq!(locations, [list, document]);
    assert_eq!((demo.layer.number().as_str(), demo.licenses.concat().as_str()), ("0", "MIT"));
    assert_eq!(demo.cpe.as_deref(), Some("cpe:2.3:*:demo:demo:7.4.0:*:*:*:*:*:*:*"));
    assert_eq!(demo.purl.to_string(), "pkg:bitnami/demo@7.4.0-0?arch=amd64&distro=debian-12");
}
