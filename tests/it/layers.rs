//! Layers joined: what is hidden stays hidden, what a link shows is found, and who brought it is told.

use portcullis::model::evidence::Evidence;
use portcullis::model::fact::Fact;
use portcullis::model::inventory::Inventory;

use crate::support::evidence;
use crate::support::image::{self, Image, Layer, Packing, image, layer, layout, single};

fn npm(layer: Layer, path: &str, name: &str, version: &str) -> Layer {
    layer.file(path, format!(r#"{{"name":"{name}","version":"{version}"}}"#))
}

fn judged(image: Image) -> Evidence {
    let directory = tempfile::tempdir().unwrap();
    single(directory.path(), image);
    evidence(&format!("oci:{}", directory.path().display()))
}

pub(crate) fn inventory(image: Image) -> Inventory {
    let evidence = judged(image);
    assert_eq!(evidence.faults, []);
    match &evidence.platforms.known().unwrap()[0].inventory {
        Fact::Known(inventory) => inventory.clone(),
        other @ (Fact::Absent | Fact::Unknown(_)) => panic!("{other:?}"),
    }
}

/// `name@version in layer: locations` of every package.
pub(crate) fn listed(image: Image) -> Vec<String> {
    let packages = inventory(image).packages;
    let locations = |p: &portcullis::model::inventory::Package| {
        p.locations.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    packages
        .iter()
        .map(|p| format!("{}@{} in {}: {}", p.name, p.version, p.layer.number(), locations(p)))
        .collect()
}

const A: &str = "app/node_modules/a/package.json";
const B: &str = "app/node_modules/b/package.json";

#[test]
fn a_whiteout_hides_lower_layers_and_never_its_own() {
    let first = npm(npm(layer("0"), A, "a", "1"), B, "b", "1");
    let second = npm(layer("1").whiteout("app/node_modules/a"), A, "a", "2").whiteout("app/node_modules/b");
    assert_eq!(listed(image("linux/amd64").layer(first).layer(second)), [format!("a@2 in 1: {A}")]);
}

#[test]
fn an_opaque_directory_hides_what_lower_layers_put_there() {
    let first = npm(npm(layer("0"), A, "a", "1"), "other/node_modules/c/package.json", "c", "1");
    let second = npm(layer("1"), B, "b", "1").opaque("app/node_modules");
    let want = [format!("b@1 in 1: {B}"), "c@1 in 0: other/node_modules/c/package.json".to_owned()];
    assert_eq!(listed(image("linux/amd64").layer(first).layer(second)), want);
}

#[test]
fn a_file_replaces_a_directory_with_all_that_was_below() {
    let first = npm(layer("0"), A, "a", "1");
    let second = npm(layer("1").file("app", "now a file"), B, "b", "1");
    let third = layer("2").file("app/node_modules", "a file");
    assert_eq!(listed(image("linux/amd64").layer(first).layer(second).layer(third)), [""; 0]);
}

#[test]
fn a_version_is_told_by_the_layer_since_which_it_is_there() {
    let with = |name: &str, version| npm(layer(name), A, "a", version);
    let kept = image("linux/amd64").layer(with("0", "1")).layer(with("1", "1")).layer(with("2", "1"));
    assert_eq!(listed(kept), [format!("a@1 in 0: {A}")]);
    let gone = layer("1").whiteout("app");
    let back = image("linux/amd64").layer(with("0", "1")).layer(gone).layer(with("2", "1"));
    assert_eq!(listed(back), [format!("a@1 in 2: {A}")]);
    let updated = image("linux/amd64").layer(with("0", "1")).layer(with("1", "2")).layer(with("2", "1"));
    assert_eq!(listed(updated), [format!("a@1 in 2: {A}")]);
}

#[test]
fn a_database_that_moves_keeps_its_packages_layer() {
    let database = "P:musl\nV:1.2-r0\n\n";
    let first = layer("0").file("lib/apk/db/installed", database);
    let second = layer("1").whiteout("lib/apk").file("usr/lib/apk/db/installed", database);
    let want = ["musl@1.2-r0 in 0: usr/lib/apk/db/installed"];
    assert_eq!(listed(image("linux/amd64").layer(first).layer(second)), want);
}

#[test]
fn a_project_is_the_application_where_its_packages_are_installed() {
    let project = |name: &str| npm(layer(name), "srv/web/package.json", "web", "1.4.2");
    let alone = project("0");
    assert_eq!(listed(image("linux/amd64").layer(alone)), [""; 0]);
    let installed = npm(layer("1"), "srv/web/node_modules/a/package.json", "a", "1");
    let inventory = inventory(image("linux/amd64").layer(project("0")).layer(installed));
    let packages: Vec<_> = inventory.packages.iter().map(|p| (p.name.as_str(), p.application)).collect();
    assert_eq!(packages, [("a", false), ("web", true)]);
    assert_eq!(inventory.packages[1].layer.index, Some(0));
}

#[test]
fn a_package_under_a_linked_directory_is_found_once() {
    let store = npm(layer("0"), "opt/nm/a/package.json", "a", "1");
    let link =
        layer("1").symlink("app/node_modules", "/opt/nm").symlink("srv/node_modules", "../app/node_modules");
    let want = ["a@1 in 1: app/node_modules/a/package.json"];
    assert_eq!(listed(image("linux/amd64").layer(store).layer(link)), want);
}

#[test]
fn a_link_inside_a_linked_directory_is_followed() {
    let store = npm(layer("0"), "opt/store/a/package.json", "a", "1").symlink("opt/nm/a", "../store/a");
    let link = layer("1").symlink("app/node_modules", "/opt/nm");
    assert_eq!(
        listed(image("linux/amd64").layer(store).layer(link)),
        ["a@1 in 1: app/node_modules/a/package.json"]
    );
}

#[test]
fn a_manifest_that_is_a_link_to_another_name_is_found() {
    let hard = npm(layer("0"), "store/blob1", "a", "1").hard_link(A, "store/blob1");
    assert_eq!(listed(image("linux/amd64").layer(hard)), [format!("a@1 in 0: {A}")]);
    let lower = npm(layer("0"), "store/blob1", "a", "1");
    let upper = layer("1").hard_link(A, "store/blob1").whiteout("store");
    assert_eq!(listed(image("linux/amd64").layer(lower).layer(upper)), [format!("a@1 in 1: {A}")]);
    let symbolic = npm(layer("0"), "store/blob2", "b", "1").symlink(B, "../../../store/blob2");
    assert_eq!(listed(image("linux/amd64").layer(symbolic)), [format!("b@1 in 0: {B}")]);
}

#[test]
fn a_layer_writes_through_the_links_of_lower_ones() {
    let base = layer("0").directory("usr/lib").symlink("lib", "usr/lib");
    let upper = layer("1").file("lib/apk/db/installed", "P:musl\nV:1-r0\n\n");
    let want = ["musl@1-r0 in 1: usr/lib/apk/db/installed"];
    assert_eq!(listed(image("linux/amd64").layer(base).layer(upper)), want);
}

#[test]
fn links_in_circles_and_out_of_the_root_lead_nowhere() {
    let looped = npm(layer("0"), A, "a", "1")
        .symlink("x/node_modules", "../y/node_modules")
        .symlink("y/node_modules", "../x/node_modules")
        .symlink("app/node_modules/self", ".")
        .symlink("up", "../../../../..")
        .symlink("app/node_modules/out", "../../../../etc");
    assert_eq!(listed(image("linux/amd64").layer(looped)), [format!("a@1 in 0: {A}")]);
}

#[test]
fn a_python_package_of_the_distribution_names_its_owner() {
    let metadata = "usr/lib/python3.10/site-packages/six-1.16.0.dist-info/METADATA";
    let database = format!(
        "P:py3-six\nV:1.16.0-r1\nA:x86_64\nF:{}\nR:METADATA\n\n",
        metadata.trim_end_matches("/METADATA")
    );
    let base = layer("0")
        .file("usr/lib/os-release", "ID=alpine\nVERSION_ID=3.16.0\n")
        .symlink("etc/os-release", "../usr/lib/os-release")
        .file("lib/apk/db/installed", database)
        .file(metadata, "Name: six\nVersion: 1.16.0\n");
    let inventory = inventory(image("linux/amd64").layer(base));
    let six = inventory.packages.iter().find(|p| p.kind == "pypi").unwrap();
    let owner = six.owned_by.as_ref().unwrap().to_string();
    assert_eq!(owner, "pkg:apk/alpine/py3-six@1.16.0-r1?arch=x86_64&distro=alpine-3.16.0");
}

#[test]
fn a_package_of_gentoo_has_all_that_its_directory_says() {
    let directory = "var/db/pkg/dev-python/six-1.16.0-r1";
    let metadata = "usr/lib/python3.11/site-packages/six-1.16.0.dist-info/METADATA";
    let base = layer("0")
        .file("etc/os-release", "ID=gentoo\n")
        .file(&format!("{directory}/CONTENTS"), format!("dir /usr\nobj /{metadata} 00 1\n"))
        .file(&format!("{directory}/LICENSE"), "MIT\n")
        .file(&format!("{directory}/RDEPEND"), ">=dev-lang/python-3.11:3.11\n")
        .file("var/db/pkg/dev-lang/python-3.11.8/CONTENTS", "")
        .file(metadata, "Name: six\nVersion: 1.16.0\n");
    let inventory = inventory(image("linux/amd64").layer(base));
    assert_eq!(inventory.gaps, []);
    let purls: Vec<String> = inventory.packages.iter().map(|p| p.purl.to_string()).collect();
    let want =
        ["pkg:ebuild/dev-lang/python@3.11.8", "pkg:ebuild/dev-python/six@1.16.0-r1", "pkg:pypi/six@1.16.0"];
    assert_eq!(purls, want);
    let six = &inventory.packages[1];
    assert_eq!((six.licenses.concat(), six.locations.len()), ("MIT".to_owned(), 3));
    assert_eq!(six.depends_on.as_ref().unwrap().iter().collect::<Vec<_>>(), [&0]);
    assert_eq!(inventory.packages[2].owned_by.as_ref(), Some(&six.purl));
}

#[test]
fn a_directory_of_gentoo_that_says_nothing_is_a_gap() {
    let base = || {
        layer("0")
            .file("etc/os-release", "ID=gentoo\n")
            .file("var/db/pkg/dev-lang/python-3.11.8/CONTENTS", "")
            .file("var/db/pkg/dev-lang/perl-5.38/SLOT", "0\n")
            .file("var/db/pkg/dev-lang/.python-3.11.8.portage_lockfile", "")
            .file("var/db/pkg/dev-lang/-MERGING-go-1.21/SLOT", "0\n")
    };
    let upper = layer("1").whiteout("var/db/pkg/dev-lang/python-3.11.8/CONTENTS");
    let gaps = |image: Image| -> Vec<String> {
        let gaps = inventory(image).gaps;
        gaps.iter().map(|gap| format!("{} {}: {}", gap.cataloger, gap.path, gap.cause)).collect()
    };
    let says = "the directory of a package without a file that says what it is";
    let perl = format!("portage var/db/pkg/dev-lang/perl-5.38: {says}");
    assert_eq!(gaps(image("linux/amd64").layer(base())), [perl.as_str()]);
    let python = format!("portage var/db/pkg/dev-lang/python-3.11.8: {says}");
    let both = gaps(image("linux/amd64").layer(base()).layer(upper));
    assert_eq!(both, [perl, python]);
}

#[test]
fn a_store_without_its_database_is_a_gap() {
    let store = || npm(layer("0").file("nix/store/0123-a-1/bin/a", "x"), A, "a", "1");
    let database = include_bytes!("../../testdata/inventory/nix/db.sqlite");
    let gaps = |base: Layer| inventory(image("linux/amd64").layer(base)).gaps;
    assert!(gaps(store())[0].cause.contains("without its database"));
    assert_eq!(gaps(store().file("nix/var/nix/db/db.sqlite", database.as_slice())), []);
    assert_eq!(gaps(store().file("nix/var/nix/db/db.sqlite", "x")).len(), 1);
}

#[test]
fn a_vendored_distribution_names_its_carrier() {
    let site = "usr/lib/python3/site-packages";
    let base = layer("0")
        .file(&format!("{site}/pip-23.0.dist-info/METADATA"), "Name: pip\nVersion: 23.0\n")
        .file(&format!("{site}/pip/_vendor/rich-13.0.dist-info/METADATA"), "Name: rich\nVersion: 13.0\n");
    let packages = inventory(image("linux/amd64").layer(base)).packages;
    assert_eq!(packages[0].vendored_in, None);
    assert_eq!(packages[1].vendored_in.as_deref(), Some("pkg:pypi/pip@23.0"));
}

#[test]
fn a_gap_that_an_upper_layer_hides_is_none() {
    let jar = layer("0").file("app/old.jar", "PK");
    let gaps = |image: Image| inventory(image).gaps.iter().filter(|gap| gap.cataloger == "java").count();
    let base = || npm(layer("0").file("app/old.jar", "PK"), A, "a", "1");
    assert_eq!(gaps(image("linux/amd64").layer(jar)), 1);
    assert_eq!(gaps(image("linux/amd64").layer(base()).layer(layer("1").whiteout("app/old.jar"))), 0);
    let linked = layer("1").hard_link("opt/kept", "app/old.jar").whiteout("app/old.jar");
    assert_eq!(gaps(image("linux/amd64").layer(base()).layer(linked)), 1);
}

#[test]
fn a_program_that_names_its_modules_is_a_gap() {
    let plain = [b"\x7fELF".as_slice(), &[0; 200_000]].concat();
    let go = [plain.as_slice(), b"\xff Go buildinf:", &[0; 100]].concat();
    let gaps = inventory(image("linux/amd64").layer(npm(
        layer("0").file("plain", plain).file("go", go),
        A,
        "a",
        "1",
    )))
    .gaps;
    let shown: Vec<_> = gaps.iter().map(|gap| (gap.path.to_string(), gap.cataloger.as_str())).collect();
    assert_eq!(shown, [("go".to_owned(), "golang")]);
}

#[test]
fn files_without_any_package_database_are_a_gap() {
    let gaps = inventory(image("linux/amd64").layer(layer("0").file("data", "x"))).gaps;
    assert!(gaps[0].cause.contains("no package database"), "{}", gaps[0].cause);
    assert_eq!(inventory(image("linux/amd64")).gaps, []);
}

#[test]
fn a_missing_layer_leaves_the_inventory_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let mut layout = layout();
    let manifest =
        layout.add(image("linux/amd64").layer(npm(layer("0").packed(Packing::Plain), A, "a", "1")));
    layout.tag("test", manifest);
    let mut files = layout.files();
    let blob = files.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap().0.clone();
    files.remove(&blob);
    image::write_files(&files, directory.path());
    let evidence = evidence(&format!("oci:{}", directory.path().display()));
    assert!(evidence.faults[0].message.contains("blob not found"));
    assert!(matches!(evidence.platforms.known().unwrap()[0].inventory, Fact::Unknown(_)));
}

#[test]
fn an_image_of_two_platforms_keeps_them_apart() {
    let directory = tempfile::tempdir().unwrap();
    let mut layout = layout();
    let amd64 =
        layout.add(image("linux/amd64").created("2026-01-01T00:00:00Z").layer(npm(layer("0"), A, "a", "1")));
    let arm64 = layout.add(image("linux/arm64/v8").layer(npm(layer("0"), B, "b", "1")));
    let attestation = layout.attestation(&amd64);
    let index = layout.index(vec![amd64, attestation, arm64]);
    layout.tag("test", index);
    layout.write(directory.path());
    let evidence = evidence(&format!("oci:{}:test", directory.path().display()));
    let names: Vec<_> = evidence.platforms.known().unwrap().iter().map(|p| p.platform.to_string()).collect();
    assert_eq!(names, ["linux/amd64", "linux/arm64/v8"]);
}

#[test]
fn gaps_without_number_are_counted_and_no_waiver_for_a_path_covers_the_rest() {
    let links =
        (0..10_050).fold(layer("COPY"), |layer, n| layer.hard_link(&format!("links/{n}"), "../../out"));
    let inventory = inventory(image("linux/amd64").layer(links));
    let of_root: Vec<&str> =
        inventory.gaps.iter().filter(|gap| gap.path.is_root()).map(|gap| gap.cause.as_str()).collect();
    assert_eq!(of_root, ["50 more gaps than the limit of 10000"]);
    assert_eq!(inventory.gaps.len(), 10_001);
}

const DATABASE: &str = "lib/apk/db/installed";

fn alpine() -> Layer {
    layer("0")
        .file("etc/os-release", "ID=alpine\nVERSION_ID=3.16.0\n")
        .file(DATABASE, "P:musl\nV:1.2.3-r0\n\n")
}

#[test]
fn a_database_that_a_later_layer_deletes_or_empties_is_a_gap() {
    let app = |layer: Layer| npm(layer, A, "a", "1");
    let hiding = [
        layer("deleted").whiteout(DATABASE),
        layer("with its directory").whiteout("lib/apk/db"),
        layer("emptied").file(DATABASE, ""),
        layer("a line").file(DATABASE, "\n"),
        layer("and who it was").whiteout(DATABASE).whiteout("etc/os-release"),
        layer("another kind").whiteout(DATABASE).file("var/lib/dpkg/status", ""),
        layer("another root").whiteout(DATABASE).file("srv/lib/apk/db/installed", "P:a\nV:1\n\n"),
    ];
    for upper in hiding {
        let image = image("linux/amd64").layer(alpine()).layer(app(upper));
        let gaps = inventory(image).gaps;
        assert!(gaps.iter().any(|gap| gap.cause.contains("was deleted or emptied")), "{gaps:?}");
    }
    let moved = layer("moved").whiteout(DATABASE).file("usr/lib/apk/db/installed", "P:musl\nV:1.2.3-r0\n\n");
    assert_eq!(inventory(image("linux/amd64").layer(alpine()).layer(moved)).gaps, []);
}

#[test]
fn a_distribution_without_a_database_of_its_kind_is_a_gap() {
    let release = |id: &str| layer("0").file("etc/os-release", format!("ID={id}\nVERSION_ID=3.16.0\n"));
    for base in [
        npm(release("alpine"), A, "a", "1"),
        release("alpine").file(DATABASE, ""),
        release("debian").file(DATABASE, "P:musl\nV:1.2.3-r0\n\n"),
    ] {
        let gaps = inventory(image("linux/amd64").layer(base)).gaps;
        assert!(gaps.iter().any(|gap| gap.cause.contains("has no package database")), "{gaps:?}");
    }
}

#[test]
fn a_database_of_millions_is_read_to_its_limit() {
    let same = "P:a\nV:1\n\n".repeat(150_000);
    let noise = "X\n\n".repeat(150_000);
    for (database, limit) in [(same, "more than 100000 packages"), (noise, "more than 1000 parts")] {
        let base =
            layer("0").file("etc/os-release", "ID=alpine\nVERSION_ID=3.16.0\n").file(DATABASE, database);
        let inventory = inventory(image("linux/amd64").layer(base));
        assert!(inventory.packages.len() <= 1 && inventory.gaps.len() <= 1_002);
        assert!(inventory.gaps.iter().any(|gap| gap.cause.contains(limit)), "{limit}");
    }
}

#[test]
fn an_index_that_lists_an_index_over_and_over_is_refused_and_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let mut layout = layout();
    let manifest = layout.add(image("linux/amd64").layer(layer("0").file("x", "")));
    let inner: Vec<_> = (0..6).map(|n| layout.index(vec![manifest.clone(); 200 + n])).collect();
    let one = layout.index(vec![inner[0].clone(); 200]);
    layout.tag("one", one);
    let many = layout.index(inner);
    layout.tag("many", many);
    layout.write(directory.path());
    let evidence = |tag: &str| evidence(&format!("oci:{}:{tag}", directory.path().display()));
    let same = evidence("one");
    assert_eq!((same.faults.len(), same.platforms.known().unwrap().len()), (0, 1));
    let evidence = evidence("many");
    let messages: Vec<&str> = evidence.faults.iter().map(|fault| fault.message.as_str()).collect();
    assert_eq!(messages, ["more than 1024 manifests (limit `manifests`)"]);
}

#[test]
fn a_layer_that_is_listed_twice_counts_in_both_places() {
    let twice = || npm(layer("0"), A, "a", "1");
    let between = layer("1").whiteout("app/node_modules/a");
    let image = image("linux/amd64").layer(twice()).layer(between).layer(twice());
    assert_eq!(listed(image), [format!("a@1 in 2: {A}")]);
}

const CLEAN: &str = "P:musl\nV:1\n\n";
const EVIL: &str = "P:musl\nV:1\n\nP:zlib\nV:1\n\n";

/// The names of the packages, and the gaps of the whole image, each up to its colon.
fn names_and_root_gaps(lower: Layer, upper: Layer) -> (Vec<String>, Vec<String>) {
    let inventory = inventory(image("linux/amd64").layer(lower).layer(upper));
    let root = inventory.gaps.iter().filter(|gap| gap.path.is_root());
    let causes = root.map(|gap| gap.cause.split([':', '`']).next().unwrap().trim().to_owned());
    (inventory.packages.iter().map(|p| p.name.clone()).collect(), causes.collect())
}

#[test]
fn a_link_in_the_place_of_a_directory_of_its_layer_takes_its_files_away() {
    let upper = layer("1").file(&format!("a/{DATABASE}"), CLEAN).symlink("a", "/");
    let (names, gaps) = names_and_root_gaps(layer("0").file(DATABASE, EVIL), upper);
    assert_eq!((names, gaps), (vec!["musl".to_owned(), "zlib".to_owned()], vec![]));
}

#[test]
fn a_hard_link_keeps_what_its_target_was_when_the_link_was_made() {
    let replaced = || layer("1").hard_link(DATABASE, "Y").file("Y", CLEAN);
    let (names, gaps) = names_and_root_gaps(layer("0").file("Y", EVIL), replaced());
    assert_eq!((names, gaps), (vec!["musl".to_owned(), "zlib".to_owned()], vec![]));
    let within = layer("1").file("Y", EVIL).hard_link(DATABASE, "Y").file("Y", CLEAN);
    let (names, gaps) = names_and_root_gaps(npm(layer("0"), A, "a", "1"), within);
    assert_eq!(names, ["a"]);
    assert_eq!(gaps, ["a file whose name stands twice is kept as"]);
    let (names, gaps) = names_and_root_gaps(npm(layer("0"), A, "a", "1"), replaced());
    assert_eq!(names, ["musl", "a"]);
    assert_eq!(gaps, ["a hard link stands before the file that it names"]);
}

#[test]
fn a_whiteout_below_a_directory_in_the_place_of_a_link_hides_nothing() {
    let lower = || npm(layer("0"), A, "a", "1").symlink("x", "app/node_modules");
    let hides = |upper: Layer| names_and_root_gaps(lower(), upper);
    for upper in [layer("1").directory("x").whiteout("x/a"), layer("1").directory("x").opaque("x")] {
        assert_eq!(hides(upper), (vec!["a".to_owned()], vec![]));
    }
    for upper in [layer("1").whiteout("x/a"), layer("1").opaque("x")] {
        let gaps = vec!["a whiteout leads through a symbolic link".to_owned()];
        assert_eq!(hides(upper), (vec!["a".to_owned()], gaps));
    }
}

#[test]
fn layers_that_runtimes_unpack_differently_are_a_gap_of_the_image() {
    let lower = || npm(layer("0"), A, "a", "1").symlink("x", "app/node_modules").symlink("loop", "loop");
    for (upper, want) in [
        (
            layer("1").whiteout("app").directory("app"),
            "a whiteout hides a directory that its layer makes again",
        ),
        (layer("1").file("app", "").directory("app"), "a directory takes the place of another entry"),
        (layer("1").file("y", "").file("y/z", ""), "an entry stands below a file of its own layer"),
        (
            npm(layer("1"), "x/a/package.json", "b", "1"),
            "a package's file is replaced through a symbolic link",
        ),
        (layer("1").file("x/a", ""), "a package's file is replaced through a symbolic link"),
        (
            layer("1").symlink("y", "/app").whiteout("y"),
            "a whiteout stands after a symbolic link of its layer",
        ),
        (
            npm(layer("1"), "loop/node_modules/b/package.json", "b", "1"),
            "an entry's directory leads through links",
        ),
    ] {
        let (_, gaps) = names_and_root_gaps(lower(), upper);
        assert!(gaps.len() == 1 && gaps[0].starts_with(want), "{want}: {gaps:?}");
    }
}

#[test]
fn a_directory_in_the_place_of_a_link_is_no_gap() {
    let lower = npm(layer("0"), A, "a", "1").symlink("x", "app/node_modules");
    let upper =
        npm(layer("1").whiteout("x").directory("x").opaque("x"), "x/node_modules/b/package.json", "b", "1");
    assert_eq!(names_and_root_gaps(lower, upper), (vec!["a".to_owned(), "b".to_owned()], vec![]));
}

#[test]
fn paths_and_link_targets_that_no_runtime_can_make_are_a_gap_of_the_image() {
    let deep = "a/".repeat(257);
    let long = "b".repeat(4097);
    for (upper, want) in [
        (layer("1").file(&format!("{deep}f"), ""), "an entry's name has more than 256 components (limit"),
        (layer("1").file(&long, ""), "an entry's name is longer than 4096 bytes (limit"),
        (layer("1").symlink("l", &deep), "an entry's link target has more than 256 components (limit"),
        (layer("1").hard_link("l", &deep), "an entry's link target has more than 256 components (limit"),
    ] {
        let (_, gaps) = names_and_root_gaps(npm(layer("0"), A, "a", "1"), upper);
        assert_eq!(gaps, [want]);
    }
}

#[test]
fn links_into_deep_directories_end_in_a_gap_and_soon() {
    let deep = "d/".repeat(45);
    let base = layer("0").directory(&deep);
    let links = (0..39).fold(base, |layer, n| {
        let back = format!("{}{}", deep, "../".repeat(45)).repeat(2);
        layer.symlink(&format!("l{n}"), &format!("{back}l{}", n + 1))
    });
    let upper = (0..3000).fold(links, |layer, n| layer.file(&format!("l0/{n}/x"), ""));
    let start = std::time::Instant::now();
    let (_, gaps) = names_and_root_gaps(npm(layer("0"), A, "a", "1"), upper);
    assert!(start.elapsed().as_secs() < 20);
    assert!(gaps.iter().any(|gap| gap.starts_with("links lead too far and too often")), "{gaps:?}");
}

#[test]
fn a_link_to_a_directory_that_holds_it_shows_packages() {
    for (package, link, to) in [
        ("srv/a", "srv/node_modules", "."),
        ("srv/a", "srv/app/node_modules", ".."),
        ("a", "app/node_modules", "/"),
        ("store/real/a", "app/node_modules", "/store"),
    ] {
        let files = npm(layer("0"), &format!("{package}/package.json"), "a", "1");
        let files = files.directory("srv/app").symlink(link, to).symlink("store/a", "real/a");
        let want = [format!("a@1 in 0: {link}/a/package.json")];
        assert_eq!(listed(image("linux/amd64").layer(files)), want, "{link} → {to}");
    }
}

#[test]
fn a_database_behind_a_link_to_its_own_directory_is_read() {
    let files = layer("0").file("lib/apk/installed", CLEAN).symlink("lib/apk/db", ".");
    assert_eq!(listed(image("linux/amd64").layer(files)), [format!("musl@1 in 0: {DATABASE}")]);
}

#[test]
fn links_to_directories_inside_each_other_without_end_are_a_gap() {
    let links = (0..10).fold(npm(layer("0"), "d10/x/package.json", "a", "1"), |layer, n| {
        layer.symlink(&format!("d{n}/x"), &format!("/d{}", n + 1))
    });
    let (_, gaps) = names_and_root_gaps(links.symlink("node_modules", "/d0"), layer("1").file("f", ""));
    assert!(gaps[0].starts_with("links to directories inside each other"), "{gaps:?}");
}

#[test]
fn thousands_of_versions_that_thousands_replace_do_not_fill_the_memory() {
    let versions = |from: usize, to: usize| {
        (from..to).map(|version| format!("P:a\nV:{version}-r0\n\n")).collect::<String>()
    };
    let database = "lib/apk/db/installed";
    let first = layer("0").file(database, versions(0, 2000));
    let second = layer("1").file(database, versions(2000, 22_000));
    let inventory = inventory(image("linux/amd64").layer(first).layer(second));
    assert_eq!(inventory.removed.len(), 2000);
    assert!(inventory.removed.iter().all(|gone| gone.replaced_by.len() == 10));
}

#[test]
fn dependencies_that_are_nowhere_are_not_looked_for_without_end() {
    let names: Vec<String> = (0..1000).map(|n| format!(r#""absent{n}":"1""#)).collect();
    let mut deep = layer("0");
    for number in 0..50 {
        let path = format!("{}node_modules/p{number}/package.json", "d/".repeat(200));
        let text = format!(r#"{{"name":"p{number}","version":"1","dependencies":{{{}}}}}"#, names.join(","));
        deep = deep.file(&path, text);
    }
    let inventory = inventory(image("linux/amd64").layer(deep));
    assert_eq!(inventory.packages.len(), 50);
    assert!(inventory.packages.iter().any(|package| package.depends_on.is_none()), "not known");
}

#[test]
fn what_was_removed_is_told_with_the_layers_that_brought_it_and_took_it_away() {
    let apk = |names: &[&str]| names.iter().map(|name| format!("P:{name}\nV:1-r0\n\n")).collect::<String>();
    let database = "lib/apk/db/installed";
    let first = npm(npm(layer("0"), A, "a", "1"), B, "b", "1").file(database, apk(&["busy", "gone", "back"]));
    let second = npm(layer("1"), A, "a", "2").file(database, apk(&["busy", "gone"]));
    let third = layer("2").whiteout("app/node_modules/b").file(database, apk(&["busy", "back"]));
    let inventory = inventory(image("linux/amd64").layer(first).layer(second).layer(third));
    let removed: Vec<String> = inventory
        .removed
        .iter()
        .map(|gone| {
            let replaced = gone.replaced_by.join(" ");
            format!("{} {} {}-{} {replaced}", gone.name, gone.version, gone.layer, gone.removed_by)
        })
        .collect();
    assert_eq!(removed, ["gone 1-r0 0-2 ", "a 1 0-1 2", "b 1 0-2 "]);
}
