//! What several files of an image say is listed once, and what a file says of itself alone hides nothing.

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
    let vendor = release("1.8.0_1") + "IMPLEMENTOR=\"Azul Systems\"\n";
    let lying = "azul/zulu@1.8.0_1 in 0: opt/jdk/release".to_owned();
    assert_eq!(one(library().file("opt/jdk/release", vendor)), [lying, by_library.clone()]);
    // It is there since its library is.
    let later =
        image("linux/amd64").layer(library()).layer(layer("1").file("opt/jdk/release", release("1.8.0_1")));
    assert_eq!(listed(later), [by_release]);
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

/// Attack: a file of a name that some cataloger asks for, to be taken for a word on what packages there are.
#[test]
fn one_file_of_a_known_name_does_not_make_unknown_programs_known() {
    for (path, text) in [
        ("x/DESCRIPTION", "hello"),
        ("x/release", "hello"),
        ("app/themes/a/style.css", "x"),
        ("app/plugins/a/a.php", "x"),
        ("opt/bitnami/.bitnami_components.json", "{}"),
        ("lib/apk/db/installed", ""),
        ("var/lib/dpkg/status", ""),
        ("srv/package.json", "{}"),
        ("srv/vendor/composer/installed.json", "[]"),
    ] {
        let layer = layer("0").file("usr/bin/tool", "\x7fELF").file(path, text);
        let inventory = inventory(image("linux/amd64").layer(layer));
        assert_eq!(inventory.packages.len(), 0, "{path}");
        assert!(inventory.gaps.iter().any(|gap| gap.cause.contains("no package database")), "{path}");
    }
}

/// Attack: a package that is none by its own path, in a library by that of a link.
#[test]
fn a_package_of_r_is_one_by_the_name_of_a_link() {
    let text = "Package: evil\nVersion: 1\n";
    for (link, target) in [("usr/lib/R/library/evil", "/opt/r/evil"), ("usr/lib/R/library", "/opt/r")] {
        let layer = layer("0").file("opt/r/evil/DESCRIPTION", text).symlink(link, target);
        let want = ["evil@1 in 0: usr/lib/R/library/evil/DESCRIPTION"];
        assert_eq!(listed(image("linux/amd64").layer(layer)), want, "{link}");
    }
    // What says by itself that it was installed is listed once.
    let built = text.to_owned() + "Built: R 4.2\n";
    let layer =
        layer("0").file("opt/r/evil/DESCRIPTION", built).symlink("usr/lib/R/library/evil", "/opt/r/evil");
    assert_eq!(listed(image("linux/amd64").layer(layer)), ["evil@1 in 0: opt/r/evil/DESCRIPTION"]);
}

#[test]
fn a_broken_package_json_is_a_gap_where_it_is_a_project() {
    let gaps = |place: &str| {
        let installed = "srv/node_modules/a/package.json";
        let layer = layer("0").file(installed, r#"{"name":"a","version":"1"}"#).file(place, "{\"name\":");
        let inventory = inventory(image("linux/amd64").layer(layer));
        inventory.gaps.iter().map(|gap| format!("{} {}", gap.cataloger, gap.path)).collect::<Vec<_>>()
    };
    assert_eq!(gaps("srv/package.json"), ["npm-root srv/package.json"]);
    assert_eq!(gaps("opt/package.json"), [""; 0]);
    // A package that has packages of its own is no project.
    let nested = layer("0")
        .file("srv/node_modules/a/package.json", r#"{"name":"a","version":"1"}"#)
        .file("srv/node_modules/a/node_modules/b/package.json", r#"{"name":"b","version":"1"}"#)
        .symlink("opt/a", "/srv/node_modules/a");
    let inventory = inventory(image("linux/amd64").layer(nested));
    assert!(inventory.packages.iter().all(|package| !package.application), "{:?}", inventory.packages);
}
