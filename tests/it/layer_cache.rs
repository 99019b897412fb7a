//! What was read of layers is kept, and changes no answer.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::cli::{Run, portcullis};
use crate::support::image::{Layer, image, layer, layout, single};
use crate::support::registry::{Fault, Registry, Switches, on};

const MUSL: &str = "P:musl\nV:1.2.5-r0\nA:x86_64\n\n";

fn base() -> Layer {
    layer("FROM base")
        .file("usr/lib/os-release", "ID=alpine\nVERSION_ID=3.20.3\n")
        .symlink("lib", "usr/lib")
        .file("usr/lib/apk/db/installed", MUSL)
}

fn application(version: &str) -> Layer {
    let manifest = json!({"name": "left-pad", "version": version});
    layer("COPY app").file("app/node_modules/left-pad/package.json", manifest.to_string())
}

fn sbom(home: &Path, directory: &Path, options: &[&str]) -> Run {
    let place = format!("oci:{}", directory.display());
    portcullis(home, &[&["sbom", &place, "-o", "inventory"], options].concat())
}

/// The blobs of an image's layers, base first.
fn blobs(directory: &Path) -> Vec<PathBuf> {
    let read = |digest: &Value| {
        let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        directory.join("blobs/sha256").join(hex)
    };
    let json = |path: PathBuf| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let index = json(directory.join("index.json"));
    let manifest = json(read(&index["manifests"][0]["digest"]));
    manifest["layers"].as_array().unwrap().iter().map(|layer| read(&layer["digest"])).collect()
}

fn entries(home: &Path) -> Vec<PathBuf> {
    let layers = home.join(".cache/portcullis/layers");
    fs::read_dir(layers).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_second_run_takes_all_layers_from_the_cache_and_says_the_same() {
    let (home, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    single(place.path(), image("linux/amd64").layer(base()).layer(application("1.0.0")));
    let first = sbom(home.path(), place.path(), &[]).ended(0).out();
    assert!(first.contains("pkg:apk/alpine/musl@1.2.5-r0"), "{first}");
    let second = sbom(home.path(), place.path(), &["-v"]).ended(0);
    assert_eq!(second.out(), first);
    assert!(second.err().starts_with("0 layers read, 2 from the cache"), "{}", second.err());
    let without = sbom(home.path(), place.path(), &["-v", "--no-cache"]).ended(0);
    assert_eq!(without.out(), first);
    assert!(without.err().starts_with("2 layers read, 0 from the cache"), "{}", without.err());
}

#[test]
fn a_blob_that_was_changed_or_removed_since_it_was_read_is_not_taken_from_the_cache() {
    let (home, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    single(place.path(), image("linux/amd64").layer(base()));
    sbom(home.path(), place.path(), &[]).ended(0);
    let blob = blobs(place.path()).remove(0);
    let mut bytes = fs::read(&blob).unwrap();
    bytes[20] ^= 1;
    fs::write(&blob, &bytes).unwrap();
    assert!(sbom(home.path(), place.path(), &[]).ended(3).err().contains("digest mismatch"));
    fs::remove_file(&blob).unwrap();
    sbom(home.path(), place.path(), &[]).ended(3);
}

#[test]
fn a_registry_is_not_asked_for_a_layer_that_is_known() {
    let home = tempfile::tempdir().unwrap();
    let registry = Registry::start(Switches::default());
    let mut built = layout();
    let only = built.add(image("linux/amd64").layer(base()).layer(application("1.0.0")));
    built.tag("v1", only);
    registry.push_layout("acme/app", "v1", &built);
    let reference = registry.reference("acme/app", "v1");
    let run = || {
        let arguments = ["sbom", &reference, "--insecure-registry", "127.0.0.1", "-o", "inventory"];
        portcullis(home.path(), &arguments).ended(0).out()
    };
    let first = run();
    registry.script(on("GET", "/blobs/").skip(1).always(), [Fault::bare(500)]);
    assert_eq!(run(), first, "the configuration is fetched, and no layer");
}

#[test]
fn an_image_with_one_new_layer_has_that_layer_read_only() {
    let (home, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    single(place.path(), image("linux/amd64").layer(base()).layer(application("1.0.0")));
    sbom(home.path(), place.path(), &[]).ended(0);
    let next = tempfile::tempdir().unwrap();
    single(next.path(), image("linux/amd64").layer(base()).layer(application("2.0.0")));
    let whole = sbom(home.path(), next.path(), &["--no-cache"]).ended(0).out();
    let run = sbom(home.path(), next.path(), &["-v"]).ended(0);
    assert_eq!(run.out(), whole);
    assert!(run.err().starts_with("1 layers read, 1 from the cache"), "{}", run.err());
    assert!(whole.contains("pkg:npm/left-pad@2.0.0"), "{whole}");
}

#[test]
fn without_cache_nothing_is_kept() {
    let (home, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    single(place.path(), image("linux/amd64").layer(base()));
    sbom(home.path(), place.path(), &["--no-cache"]).ended(0);
    assert!(!home.path().join(".cache").exists());
}

#[test]
fn what_a_link_from_another_layer_leads_to_is_kept_too() {
    let (home, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let manifest = json!({"name": "left-pad", "version": "1.0.0"}).to_string();
    let store = || layer("COPY store").file("store/1", &manifest);
    let link = layer("RUN ln").hard_link("app/node_modules/left-pad/package.json", "store/1");
    single(place.path(), image("linux/amd64").layer(store()).layer(link));
    let first = sbom(home.path(), place.path(), &[]).ended(0).out();
    assert!(first.contains("pkg:npm/left-pad@1.0.0"), "{first}");
    let second = sbom(home.path(), place.path(), &["-v"]).ended(0);
    assert_eq!(second.out(), first);
    assert!(second.err().starts_with("0 layers read, 2 from the cache"), "{}", second.err());
}

#[test]
fn a_gap_under_a_link_of_one_image_is_none_of_another_with_the_same_layer() {
    let home = tempfile::tempdir().unwrap();
    let store = || layer("COPY store").file("store/1", "no JSON");
    let (linked, plain) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let link = layer("RUN ln").hard_link("app/node_modules/left-pad/package.json", "store/1");
    single(linked.path(), image("linux/amd64").layer(store()).layer(link));
    single(plain.path(), image("linux/amd64").layer(store()));
    let gaps = |directory: &Path| sbom(home.path(), directory, &[]).ended(0).json()["gaps"].clone();
    let paths = |gaps: &Value| -> Vec<Value> {
        gaps.as_array().unwrap().iter().map(|gap| gap["path"].clone()).collect()
    };
    let before = gaps(plain.path());
    assert!(paths(&gaps(linked.path())).contains(&json!("app/node_modules/left-pad/package.json")));
    assert_eq!(gaps(plain.path()), before);
}

#[test]
fn an_entry_that_was_changed_is_not_believed() {
    let (home, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    single(place.path(), image("linux/amd64").layer(base()));
    let first = sbom(home.path(), place.path(), &[]).ended(0).out();
    let [entry] = entries(home.path()).try_into().unwrap();
    let sound = fs::read(&entry).unwrap();
    let mut changed = sound.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&entry, changed).unwrap();
    assert_eq!(sbom(home.path(), place.path(), &[]).ended(0).out(), first);
    assert_eq!(fs::read(&entry).unwrap(), sound, "written anew");
}

#[test]
fn the_diff_id_of_a_known_layer_is_no_pass_for_other_bytes() {
    let home = tempfile::tempdir().unwrap();
    let (clean, claims) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    single(clean.path(), image("linux/amd64").layer(base()));
    sbom(home.path(), clean.path(), &[]).ended(0);
    let mut layout = layout();
    let honest = layout.add(image("linux/amd64").layer(base()));
    let other = layout.add(image("linux/amd64").layer(application("1.0.0")));
    let lying = layout.with_layers_of(&honest, &other);
    layout.tag("test", lying);
    layout.write(claims.path());
    let run = sbom(home.path(), claims.path(), &[]).ended(3);
    assert!(run.err().contains("diff ID mismatch"), "{}", run.err());
    assert_eq!(entries(home.path()).len(), 1, "what lies is not kept");
}

#[test]
fn a_cache_that_others_may_write_into_is_not_used_and_that_is_said() {
    let (home, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    single(place.path(), image("linux/amd64").layer(base()));
    sbom(home.path(), place.path(), &[]).ended(0);
    let layers = home.path().join(".cache/portcullis/layers");
    fs::set_permissions(layers, fs::Permissions::from_mode(0o777)).unwrap();
    let run = sbom(home.path(), place.path(), &["-v"]).ended(0);
    assert!(run.err().contains("others may write into it"), "{}", run.err());
    assert!(run.err().contains("1 layers read, 0 from the cache"), "{}", run.err());
}

#[test]
fn many_processes_share_one_cache() {
    let (home, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    single(place.path(), image("linux/amd64").layer(base()).layer(application("1.0.0")));
    let outputs: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> =
            (0..8).map(|_| scope.spawn(|| sbom(home.path(), place.path(), &[]).ended(0).out())).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(outputs.iter().all(|output| *output == outputs[0]));
    assert_eq!(entries(home.path()).len(), 2);
}

#[test]
fn validate_judges_the_bytes_that_are_there_and_not_what_was_kept() {
    let (home, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    single(place.path(), image("linux/amd64").layer(base()));
    sbom(home.path(), place.path(), &[]).ended(0);
    fs::write(&blobs(place.path())[0], "spoiled").unwrap();
    let run = portcullis(home.path(), &["validate", &format!("oci:{}", place.path().display())]).ended(1);
    assert!(run.out().contains("LYR-00"), "{}", run.out());
}

#[test]
fn a_verbose_run_says_what_each_cataloger_did_and_what_came_from_the_cache() {
    let (home, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    single(place.path(), image("linux/amd64").layer(base()).layer(application("1.0.0")));
    let first = sbom(home.path(), place.path(), &["-v"]).ended(0).err();
    assert!(first.starts_with("2 layers read, 0 from the cache, in "), "{first}");
    let words = |line: &str| line.split_whitespace().take(5).map(str::to_owned).collect::<Vec<_>>();
    let lines: Vec<Vec<String>> = first.lines().map(words).collect();
    assert!(lines.contains(&["apk", "1", "files", "1", "packages"].map(str::to_owned).to_vec()), "{first}");
    let second = sbom(home.path(), place.path(), &["-v"]).ended(0).err();
    assert!(second.starts_with("0 layers read, 2 from the cache, in "), "{second}");
    assert_eq!(sbom(home.path(), place.path(), &[]).ended(0).err(), "");
}
