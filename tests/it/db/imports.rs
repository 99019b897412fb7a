//! `db import`, and what stands in a directory instead of a bucket.

use std::fs;

use portcullis::feed::{Installed, Store};

use super::{leftovers, place};
use crate::support::bucket::{record, zip};
use crate::support::cli::portcullis;
use crate::support::osv_corpus;

const OSV: &str = "testdata/demo/osv";
const TIME: &str = "2026-01-01T00:00:00Z";

#[test]
fn a_directory_is_imported_and_judges_as_it_did_itself() {
    let place = place();
    let run = place.db(&["import", OSV]).ended(0);
    assert!(run.out().contains("Alpine") && run.out().contains("npm"), "{}", run.out());
    assert_eq!(leftovers(&place.directory()), [""; 0]);
    place.db(&["verify"]).ended(0);
    let directory = place.directory();
    let gate = |db: &str| {
        let arguments =
            ["gate", "oci:testdata/demo/image", "--db", db, "--at", "2026-02-01T00:00:00Z", "-o", "json"];
        portcullis(place.home.path(), &arguments).ended(1).json()
    };
    assert_eq!(gate(directory.to_str().unwrap()), gate(OSV));
}

#[test]
fn one_ecosystem_of_a_directory_leaves_the_others_as_they_are() {
    let place = place();
    place.bucket.fill("PyPI", 10);
    place.update(&["--ecosystem", "PyPI"]).ended(0);
    place.db(&["import", OSV, "--ecosystem", "npm"]).ended(0);
    let status = place.status();
    let names: Vec<&String> = status["ecosystems"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["PyPI", "npm"]);
    assert_eq!(status["ecosystems"]["PyPI"]["records"], 10);
    let run = place.db(&["import", OSV, "--ecosystem", "Nowhere"]).ended(3);
    assert!(run.err().contains("nothing of Nowhere"), "{}", run.err());
}

#[test]
fn an_archive_of_one_ecosystem_is_not_taken_for_all_of_another() {
    let place = place();
    let both = br#"{"id":"B","modified":"2026-01-01T00:00:00Z","affected":[
        {"package":{"ecosystem":"npm","name":"b"},"versions":["1"]},
        {"package":{"ecosystem":"Maven","name":"b:b"},"versions":["1"]}]}"#;
    let a = record("npm", "A", TIME, "a", "1.0.0");
    let path = place.home.path().join("all.zip");
    fs::write(&path, zip([("A.json", a.as_slice()), ("B.json", both)])).unwrap();
    let run = place.db(&["import", path.to_str().unwrap()]).ended(0);
    assert!(run.out().contains("npm") && !run.out().contains("Maven"), "{}", run.out());
    assert_eq!(place.ids("npm"), ["A", "B"]);
    // Where it might be either, it must be said, or the folder's name says it.
    fs::write(&path, zip([("B.json", &both[..])])).unwrap();
    let run = place.db(&["import", path.to_str().unwrap()]).ended(3);
    assert!(run.err().contains("Maven, npm") && run.err().contains("--ecosystem"), "{}", run.err());
    place.db(&["import", path.to_str().unwrap(), "--ecosystem", "Maven"]).ended(0);
    assert_eq!(place.ids("Maven"), ["B"]);
}

#[test]
fn the_archive_of_the_whole_bucket_is_cut_by_its_records() {
    let place = place();
    let (a, b) = (record("npm", "A", TIME, "a", "1.0.0"), record("PyPI", "B", TIME, "b", "1.0.0"));
    let odd = record("npm ", "C", TIME, "c", "1.0.0");
    let path = place.home.path().join("all.zip");
    let members: [(&str, &[u8]); 4] = [("A.json", &a), ("B.json", &b), ("C.json", &odd), ("D.json", b"{")];
    fs::write(&path, zip(members)).unwrap();
    // What cannot be read may be of any ecosystem, and is missing in each.
    let run = place.db(&["import", path.to_str().unwrap()]).ended(3);
    assert!(run.err().contains("could not be read"), "{}", run.err());
    let status = place.db(&["status", "-o", "json"]).ended(3).json();
    let counts = |name: &str| {
        let one = &status["ecosystems"][name];
        (one["records"].as_u64().unwrap(), one["unreadable"].as_u64().unwrap())
    };
    assert_eq!((counts("npm"), counts("PyPI")), ((1, 2), (1, 1)));
}

#[test]
fn what_cannot_be_imported_changes_nothing() {
    let place = place();
    place.db(&["import", OSV]).ended(0);
    let before = place.id();
    let home = place.home.path();
    fs::write(home.join("cut.zip"), &zip([("A.json", &b"{}"[..])])[..30]).unwrap();
    fs::write(home.join("empty.zip"), zip([])).unwrap();
    fs::create_dir(home.join("empty")).unwrap();
    for (name, words) in [
        ("cut.zip", "cannot be read as a zip"),
        ("empty.zip", "no record"),
        ("empty", "holds no advisories"),
        ("missing", "o such file"),
    ] {
        let run = place.db(&["import", home.join(name).to_str().unwrap()]).ended(3);
        assert!(run.err().contains(words), "{}", run.err());
    }
    assert_eq!(place.id(), before);
    // A directory in the layout of the bucket is no place to install into.
    let layout = home.join("layout");
    fs::create_dir_all(layout.join("npm")).unwrap();
    fs::write(layout.join("npm/A.json"), record("npm", "A", TIME, "a", "1.0.0")).unwrap();
    let run = portcullis(home, &["db", "import", OSV, "--db", layout.to_str().unwrap()]).ended(3);
    assert!(run.err().contains("layout of the OSV bucket"), "{}", run.err());
    assert!(!layout.join("snapshot.json").exists());
    // Neither is a file.
    let file = home.join("cut.zip");
    portcullis(home, &["db", "import", OSV, "--db", file.to_str().unwrap()]).ended(3);
}

#[test]
fn an_ecosystem_of_the_corpus_is_imported_whole() {
    let Some(corpus) = osv_corpus() else { return };
    let place = place();
    // Its archive alone tells of which ecosystem it is.
    for (ecosystem, from) in [("npm", "npm/all.zip"), ("Alpine", "Alpine/all.zip"), ("Go", "")] {
        let from = corpus.join(from);
        let mut arguments = vec!["import", from.to_str().unwrap()];
        if from == corpus {
            arguments.extend(["--ecosystem", ecosystem]);
        }
        place.db(&arguments);
        let (installed, cache) = (Installed::open(&place.directory()).unwrap(), tempfile::tempdir().unwrap());
        let imported = installed.snapshot().ecosystems[ecosystem].digest.clone();
        let compiled = Store::open(&corpus, cache.path(), "2026-11-27T00:00:00Z".parse().unwrap())
            .unwrap()
            .segment(ecosystem)
            .unwrap()
            .unwrap();
        assert_eq!(portcullis::model::digest::Digest::sha256(compiled.bytes()), imported, "{ecosystem}");
    }
    place.db(&["verify"]).ended(0);
}

#[test]
fn what_is_older_or_smaller_than_what_is_installed_is_imported_only_when_asked_for() {
    let place = place();
    place.bucket.fill("npm", 10);
    place.update(&["--ecosystem", "npm"]).ended(0);
    let before = place.id();
    let (old, few) = (place.home.path().join("old"), place.home.path().join("few"));
    for (directory, count, time) in [(&old, 10, "2025-12-01T00:00:00Z"), (&few, 4, TIME)] {
        fs::create_dir_all(directory.join("npm")).unwrap();
        for number in 0..count {
            let id = format!("GHSA-{number:05}");
            let bytes = record("npm", &id, time, "x", "1.0.0");
            fs::write(directory.join(format!("npm/{id}.json")), bytes).unwrap();
        }
    }
    for (directory, words) in [(&old, "ends at 2025-12-01T00:00:00Z"), (&few, "has 4 records")] {
        let directory = directory.to_str().unwrap();
        let run = place.db(&["import", directory]).ended(3);
        assert!(run.err().contains(words) && run.err().contains("--allow-older"), "{}", run.err());
        assert_eq!(place.id(), before);
    }
    for directory in [&old, &few] {
        place.db(&["import", directory.to_str().unwrap(), "--allow-older"]).ended(0);
    }
    assert_eq!(place.ids("npm").len(), 4);
}

#[test]
fn folders_of_a_mirror_that_are_no_ecosystem_are_left_out() {
    let place = place();
    let mirror = place.home.path().join("mirror");
    let bytes = record("npm", "A", TIME, "a", "1.0.0");
    for folder in ["npm", "Debian:12", "[EMPTY]", "lost+found"] {
        fs::create_dir_all(mirror.join(folder)).unwrap();
        fs::write(mirror.join(folder).join("A.json"), &bytes).unwrap();
    }
    let run = place.db(&["import", mirror.to_str().unwrap()]).ended(0);
    assert!(run.err().contains("`Debian:12` is no name of an ecosystem"), "{}", run.err());
    assert!(run.err().contains("[EMPTY]"), "{}", run.err());
    let status = place.status();
    assert_eq!(status["ecosystems"].as_object().unwrap().keys().collect::<Vec<_>>(), ["npm"]);
}
