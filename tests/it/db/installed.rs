//! What is installed, looked over: whole, damaged, newer, gone.

use std::fs;

use portcullis::feed::Installed;
use portcullis::osv::segment::Segment;

use super::{Place, files, place};

fn filled() -> Place {
    let place = place();
    place.bucket.fill("npm", 100);
    place.bucket.fill("PyPI", 100);
    place.update(&["--all"]).ended(0);
    place
}

fn segment(place: &Place, ecosystem: &str) -> std::path::PathBuf {
    let names = files(&place.directory());
    let name = names.iter().find(|name| name.starts_with(ecosystem) && name.ends_with(".segment")).unwrap();
    place.directory().join(name)
}

fn told(place: &Place, arguments: &[&str], words: &[&str]) {
    let run = place.db(arguments).ended(3);
    for word in words {
        assert!(run.err().contains(word), "`{word}` is not in: {}", run.err());
    }
}

#[test]
fn status_tells_age_counts_digests_and_origin() {
    let place = filled();
    let text = place.db(&["status", "--at", "2026-01-03T00:00:00Z"]).ended(0).out();
    for words in ["npm ", "PyPI", "100", "2026-01-01T00:00:00Z", "2 d", "sha256:", &place.bucket.url()] {
        assert!(text.contains(words), "{words} is not in:\n{text}");
    }
    let json = place.db(&["status", "--at", "2026-01-03T00:00:00Z", "-o", "json"]).ended(0).json();
    assert_eq!(json["schema"], "portcullis.dev/snapshot-status/v1");
    let npm = &json["ecosystems"]["npm"];
    assert_eq!((&npm["records"], &npm["ageSeconds"]), (&100.into(), &172_800.into()));
    let bytes = fs::read(segment(&place, "npm")).unwrap();
    assert_eq!(npm["digest"], portcullis::model::digest::Digest::sha256(&bytes).to_string());
    assert_eq!(npm["size"], bytes.len());
}

#[test]
fn every_byte_of_a_segment_counts() {
    let place = filled();
    place.db(&["verify"]).ended(0);
    let path = segment(&place, "npm");
    let sound = fs::read(&path).unwrap();
    for at in (0..sound.len()).step_by(sound.len() / 20) {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        told(&place, &["verify"], &[name, "not those that were installed", "db update"]);
        // The others are still there, and this one is not believed by anybody.
        let installed = Installed::open(&place.directory()).unwrap();
        assert!(installed.segment("npm").is_err());
        assert!(installed.segment("PyPI").unwrap().is_some());
    }
    fs::write(&path, &sound[..sound.len() / 2]).unwrap();
    told(&place, &["verify"], &["bytes", "were installed"]);
    fs::remove_file(&path).unwrap();
    told(&place, &["verify"], &["is gone"]);
    // An update mends it.
    let run = place.update(&[]).ended(0);
    assert!(run.out().contains("npm              fetched whole"), "{}{}", run.out(), run.err());
    place.db(&["verify"]).ended(0);
}

#[test]
fn a_document_that_is_cut_newer_or_strange_is_told_and_not_taken_for_none() {
    let place = filled();
    let path = place.directory().join("snapshot.json");
    let sound = fs::read_to_string(&path).unwrap();
    let newer = sound.replace("snapshot/v1", "snapshot/v2");
    for (text, words) in [
        (&sound[..sound.len() / 2], &["snapshot.json", "cut short"][..]),
        ("", &["snapshot.json", "cut short"]),
        (&newer, &["snapshot.json", "newer", "update portcullis"]),
        ("{\"schema\": \"other\"}", &["snapshot.json", "schema"]),
    ] {
        fs::write(&path, text).unwrap();
        for command in ["status", "verify"] {
            told(&place, &[command], words);
        }
        let run = place.update(&[]).ended(3);
        assert!(words.iter().all(|word| run.err().contains(word)), "{}", run.err());
        let gate =
            ["gate", "oci:testdata/demo/image", "--db", place.directory().to_str().unwrap(), "-o", "json"]
                .map(str::to_owned);
        let gate: Vec<&str> = gate.iter().map(String::as_str).collect();
        let run = crate::support::cli::portcullis(place.home.path(), &gate);
        assert_ne!(run.code(), 0);
        assert!(run.out().contains("snapshot.json"), "{}", run.out());
    }
}

#[test]
fn a_segment_of_another_format_is_told_apart() {
    let place = filled();
    let path = segment(&place, "npm");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 99;
    // As another portcullis would have installed it: under its own digest.
    let digest = portcullis::model::digest::Digest::sha256(&bytes);
    let document = place.directory().join("snapshot.json");
    let text = fs::read_to_string(&document).unwrap();
    let old = path.file_stem().unwrap().to_str().unwrap().strip_prefix("npm-").unwrap().to_owned();
    fs::write(&document, text.replace(&old, digest.hex())).unwrap();
    fs::write(place.directory().join(format!("npm-{}.segment", digest.hex())), &bytes).unwrap();
    told(&place, &["verify"], &["npm-", "update portcullis"]);
    told(&place, &["status"], &["npm-", "update portcullis"]);
}

#[test]
fn an_open_snapshot_stays_what_it_was() {
    let place = filled();
    let installed = Installed::open(&place.directory()).unwrap();
    let before = installed.snapshot().id();
    for number in 0..5 {
        place.bucket.touch("npm", number, "2026-02-01T00:00:00Z", "2.0.0");
        place.bucket.touch("PyPI", number, "2026-02-01T00:00:00Z", "2.0.0");
    }
    place.update(&[]).ended(0);
    // Its files are gone by name; it has them all the same, of one moment.
    for ecosystem in ["npm", "PyPI"] {
        let mapped = installed.segment(ecosystem).unwrap().unwrap();
        let segment = Segment::open(mapped.bytes()).unwrap();
        let found = segment.affecting(ecosystem, "package-1").unwrap();
        assert!(serde_json::to_string(&found[0].affected).unwrap().contains("1.0.0"));
    }
    assert_eq!(installed.snapshot().id(), before);
    assert_ne!(Installed::open(&place.directory()).unwrap().snapshot().id(), before);
}

#[test]
fn readers_beside_a_writer_never_see_a_mixture() {
    let place = place();
    place.bucket.fill("npm", 50);
    place.bucket.fill("PyPI", 50);
    place.update(&["--all"]).ended(0);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut seen = 0;
                while !done.load(std::sync::atomic::Ordering::Relaxed) || seen == 0 {
                    let installed = Installed::open(&place.directory()).unwrap();
                    let versions = ["npm", "PyPI"].map(|ecosystem| {
                        let mapped = installed.segment(ecosystem).unwrap().unwrap();
                        let segment = Segment::open(mapped.bytes()).unwrap();
                        let found = segment.affecting(ecosystem, "package-1").unwrap();
                        serde_json::to_value(&found[0].affected).unwrap()["ranges"].to_string()
                    });
                    assert_eq!(versions[0], versions[1]);
                    seen += 1;
                }
            });
        }
        for round in 2..12 {
            let time = format!("2026-02-{round:02}T00:00:00Z");
            for ecosystem in ["npm", "PyPI"] {
                place.bucket.touch(ecosystem, 1, &time, &format!("{round}.0.0"));
            }
            place.update(&[]).ended(0);
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_snapshot_without_ecosystems_says_so() {
    let place = place();
    fs::create_dir_all(place.directory()).unwrap();
    let document = "{\"schema\": \"portcullis.dev/snapshot/v1\", \"ecosystems\": {}}\n";
    fs::write(place.directory().join("snapshot.json"), document).unwrap();
    let text = place.db(&["status"]).ended(0).out();
    assert!(text.contains("no ecosystem is installed"), "{text}");
}
