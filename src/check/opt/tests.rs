use super::*;
use crate::check::Expected;
use crate::check::layer_fixture::{Layer, checked, image, layer, lines};
use crate::model::config::History;

fn found(layers: impl IntoIterator<Item = Layer>) -> Vec<String> {
    lines(&checked(&Size, &[image(layers)], &Expected::default()).violations)
        .into_iter()
        .filter(|line| !line.starts_with("OPT-011"))
        .collect()
}

const MIB: usize = 1 << 20;

#[test]
fn bytes_that_cannot_be_seen_are_told_with_both_steps() {
    let big = vec![0; 12 * MIB];
    let gone = [layer().file("a/big", &big).file("b", "x"), layer().file("a/.wh.big", "")];
    assert_eq!(
        found(gone),
        [
            "OPT-002 medium: 12.0 MiB of 12.0 MiB cannot be seen in the end: 12.0 MiB of layer 0 (RUN step 0) hidden by layer 1 (RUN step 1)",
            "OPT-003 info: 12.0 MiB that layer 1 (RUN step 1) hides",
        ]
    );
    let small = [layer().file("a", vec![0; 9 * MIB]), layer().file(".wh.a", "")];
    assert_eq!(found(small), [""; 0]);
}

#[test]
fn a_file_with_a_second_name_is_visible_until_both_are_gone() {
    let base = || layer().file("a", vec![0; 11 * MIB]).link(tar::EntryType::Link, "b", "a");
    assert_eq!(found([base(), layer().file(".wh.a", "")]), [""; 0]);
    let gone = found([base(), layer().file(".wh.a", ""), layer().file(".wh.b", "")]);
    assert!(gone[0].ends_with("hidden by layer 2 (RUN step 2)"), "{gone:?}");
}

#[test]
fn a_layer_that_stores_files_again_is_told() {
    let tree = || layer().file("a", vec![0; MIB]).file("b", vec![1; MIB]);
    assert_eq!(
        found([tree(), tree()]),
        [
            "OPT-007 low: stores 2 files of lower layers again (2.0 MiB), of the same path and size, as a recursive \
             chown or chmod does; the contents were not compared"
        ]
    );
    assert_eq!(found([tree(), tree().file("c", vec![0; 2 * MIB])]), [""; 0]);
}

#[test]
fn caches_tools_and_documentation_are_told() {
    let layer = layer()
        .file("var/lib/apt/lists/x", vec![0; MIB])
        .file("usr/local/go/bin/go", "x")
        .file("usr/share/doc/x", vec![1; MIB])
        .file("usr/share/man/x", "small")
        .file("app.js.map", "small");
    assert_eq!(
        found([layer]),
        [
            "OPT-006 medium: compilers and build tools: 1 files, 0.0 MiB, such as `usr/local/go/bin/go`",
            "OPT-005 low: apt's package lists: 1 files, 1.0 MiB, such as `var/lib/apt/lists/x`",
            "OPT-013 info: documentation: 2 files, 1.0 MiB, such as `usr/share/doc/x`",
        ]
    );
}

#[test]
fn a_base_past_its_end_is_high_and_an_unknown_one_is_not() {
    let release =
        |id: &str, version: &str| layer().file("etc/os-release", format!("ID={id}\nVERSION_ID={version}\n"));
    assert_eq!(
        found([release("alpine", "3.12.1")]),
        ["OPT-008 high: alpine 3.12.1 gets no free security updates since 2022-05-01"]
    );
    assert_eq!(found([release("alpine", "3.20.1")]), [""; 0]);
    assert_eq!(found([release("plan9", "4")]), ["OPT-009 info: the base is plan9 4"]);
    assert_eq!(found([layer().file("a", "x")]), [""; 0]);
}

#[test]
fn sizes_are_held_against_the_budget_and_each_other() {
    let small = image([layer().file("a", "x")]);
    let large = image([layer().file("a", vec![0; 2 * MIB])]);
    let expected = Expected { size: Some(MIB as u64), ..Expected::default() };
    let found = lines(&checked(&Size, &[small, large], &expected).violations);
    assert!(found[0].starts_with("OPT-001 medium: 209"), "{found:?}");
    assert!(found[1].starts_with("OPT-014 low: linux/amd64 has 2.0 MiB"), "{found:?}");
    assert!(found[2].starts_with("OPT-011 info: 2.0 MiB stored uncompressed"), "{found:?}");
}

#[test]
fn many_layers_are_told() {
    let found = found((0..=LAYERS).map(|_| layer()));
    assert_eq!(found, ["OPT-010 low: 41 layers, more than 40"]);
}

#[test]
fn files_with_the_time_of_their_build_cannot_be_built_again() {
    let told = |mtime: u64, made: &str| {
        let dated = layer().entry("a", tar::EntryType::Regular, b"x", |header| header.set_mtime(mtime));
        let mut image = image([dated]);
        image.config.rootfs.diff_ids = vec![image.layers[0].diff_id.clone()];
        let step = History { created: Some(made.into()), ..History::default() };
        image.config.history = Some(vec![step]);
        let checked = checked(&Size, &[image], &Expected::default());
        checked.violations.iter().any(|violation| violation.check == "OPT-012")
    };
    let noon = 1_767_268_800;
    assert!(told(noon - 5, "2026-01-01T12:00:00.5Z"));
    assert!(told(noon + 5, "2026-01-01T12:00:00Z"), "clocks differ");
    assert!(!told(noon, "2026-01-01T12:00:00Z"), "every time was set to one");
    assert!(!told(0, "2026-01-01T12:00:00Z"));
    assert!(!told(noon, "1970-01-01T00:00:00Z"));
    assert!(!told(noon, "yesterday"));
}

#[test]
fn large_files_with_one_content_are_told_once() {
    let big = vec![1; 2 * MIB];
    let mut other = big.clone();
    other[MIB] = 2;
    let twice =
        layer().file("a", &big).file("b", &other).file("opt/a", &big).file("small", "x").file("tiny", "x");
    let told = found([twice]);
    assert_eq!(told, ["OPT-004 low: 2.0 MiB with the content of 1 other files, such as `/opt/a`"]);
    let linked = layer().file("a", &big).link(tar::EntryType::Link, "b", "a");
    assert_eq!(found([linked]), [""; 0]);
    assert_eq!(found([layer().file("a", &big), layer().file("b", &big).file(".wh.a", "")]), [""; 0]);
}
