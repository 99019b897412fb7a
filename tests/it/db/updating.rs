//! `db update` on a bucket that does as it should.

use super::{leftovers, place};
use crate::support::bucket::record;
use crate::support::osv_corpus;

#[test]
fn the_first_update_fetches_the_archive_and_the_next_only_what_changed() {
    let place = place();
    place.bucket.fill("npm", 1000);
    place.bucket.fill("PyPI", 10);
    let run = place.update(&["--ecosystem", "npm"]).ended(0);
    assert!(run.out().contains("fetched whole"), "{}", run.out());
    assert_eq!(place.bucket.count("PyPI"), 0, "only what was named");
    assert_eq!(place.ids("npm").len(), 1000);
    let first = place.id();

    place.bucket.forget();
    let run = place.update(&[]).ended(0);
    assert!(run.out().contains("unchanged"), "{}", run.out());
    assert_eq!(place.bucket.requests().len(), 1, "one request, answered by 304");
    assert_eq!(place.bucket.requests()[0].status, 304);
    assert_eq!(place.id(), first);

    place.bucket.forget();
    place.bucket.touch("npm", 7, "2026-02-01T00:00:00Z", "2.0.0");
    let new = record("npm", "GHSA-new", "2026-02-02T00:00:00Z", "package-7", "3.0.0");
    place.bucket.put("npm", "GHSA-new", "2026-02-02T00:00:00Z", &new);
    place.bucket.remove("npm", "GHSA-00009");
    let run = place.update(&[]).ended(0);
    assert!(run.out().contains("2 records new or changed, 1 removed"), "{}", run.out());
    assert_eq!(place.bucket.count("all.zip"), 0);
    assert_eq!(place.bucket.requests().len(), 3, "the list, and two records");
    let fixed = place.fixed("npm", "package-7");
    assert_eq!(
        fixed.into_iter().collect::<Vec<_>>(),
        [("GHSA-00007".to_owned(), "2.0.0".to_owned()), ("GHSA-new".to_owned(), "3.0.0".to_owned())]
    );
    assert_eq!(place.ids("npm").len(), 1000);
    assert!(place.fixed("npm", "package-9").is_empty());
    assert_eq!(leftovers(&place.directory()), [""; 0]);
    place.db(&["verify"]).ended(0);
}

#[test]
fn a_delta_makes_the_bytes_that_a_fresh_fetch_makes() {
    let (delta, fresh) = (place(), place());
    for place in [&delta, &fresh] {
        place.bucket.fill("npm", 300);
    }
    delta.update(&["--ecosystem", "npm"]).ended(0);
    for place in [&delta, &fresh] {
        for number in 0..50 {
            place.bucket.touch("npm", number * 5, "2026-02-01T00:00:00Z", "4.0.0");
        }
        place.bucket.archive("npm");
    }
    delta.update(&[]).ended(0);
    fresh.update(&["--ecosystem", "npm"]).ended(0);
    assert_eq!(delta.bucket.count("all.zip"), 1);
    let digest = |place: &super::Place| place.status()["ecosystems"]["npm"]["digest"].clone();
    assert_eq!(digest(&delta), digest(&fresh));
}

#[test]
fn where_much_changed_the_archive_is_fetched_again() {
    let place = place();
    place.bucket.fill("npm", 1000);
    place.update(&["--ecosystem", "npm"]).ended(0);
    for number in 0..300 {
        place.bucket.touch("npm", number, "2026-02-01T00:00:00Z", "2.0.0");
    }
    place.bucket.archive("npm");
    place.bucket.forget();
    let run = place.update(&[]).ended(0);
    assert!(run.out().contains("fetched whole"), "{}", run.out());
    assert_eq!(place.bucket.count("GHSA"), 0);
    assert_eq!(place.fixed("npm", "package-299")["GHSA-00299"], "2.0.0");
}

#[test]
fn what_the_archive_lacks_is_made_up_by_the_list() {
    let place = place();
    place.bucket.fill("npm", 500);
    // Changed, and new, after the archive was made; and removed.
    place.bucket.touch("npm", 3, "2026-02-01T00:00:00Z", "9.0.0");
    let new = record("npm", "GHSA-new", "2026-02-02T00:00:00Z", "new", "3.0.0");
    place.bucket.put("npm", "GHSA-new", "2026-02-02T00:00:00Z", &new);
    // An id as Alpine has one.
    let odd = record("npm", "CVE-????-??%2f#,", "2026-02-02T00:00:00Z", "odd", "3.0.0");
    place.bucket.put("npm", "CVE-????-??%2f#,", "2026-02-02T00:00:00Z", &odd);
    place.bucket.remove("npm", "GHSA-00100");
    place.update(&["--ecosystem", "npm"]).ended(0);
    assert_eq!(place.fixed("npm", "package-3")["GHSA-00003"], "9.0.0");
    assert_eq!(place.fixed("npm", "new")["GHSA-new"], "3.0.0");
    assert_eq!(place.fixed("npm", "odd")["CVE-????-??%2f#,"], "3.0.0");
    // Either of the two may be the older one: nothing goes until a list says so alone.
    assert_eq!(place.ids("npm").len(), 502);
    place.update(&[]).ended(0);
    assert_eq!(place.ids("npm").len(), 501);
}

#[test]
fn a_list_out_of_a_cache_takes_nothing_away() {
    let place = place();
    place.bucket.fill("npm", 500);
    place.update(&["--ecosystem", "npm"]).ended(0);
    let old = place.bucket.list("npm");
    let new = record("npm", "GHSA-new", "2026-02-02T00:00:00Z", "new", "3.0.0");
    place.bucket.put("npm", "GHSA-new", "2026-02-02T00:00:00Z", &new);
    place.update(&[]).ended(0);
    let bytes = old.clone();
    place.bucket.change("modified_id.csv", 0, usize::MAX, move |mut reply| {
        reply.status = 200;
        reply.body = bytes.clone().into();
        reply.with("etag", "\"old\"")
    });
    place.update(&[]).ended(0);
    assert_eq!(place.fixed("npm", "new").len(), 1);
}

#[test]
fn all_means_all_and_an_unknown_name_is_told() {
    let place = place();
    for ecosystem in ["npm", "PyPI", "Rocky Linux", "crates.io", "Julia"] {
        place.bucket.fill(ecosystem, 20);
    }
    place.update(&["--all"]).ended(0);
    let status = place.status();
    let names: Vec<&String> = status["ecosystems"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["Julia", "PyPI", "Rocky Linux", "crates.io", "npm"]);
    let run = place.update(&["--ecosystem", "Nowhere"]).ended(3);
    assert!(
        run.err().contains("Nowhere: not updated") && run.err().contains("no such object"),
        "{}",
        run.err()
    );
    assert!(run.out().contains("npm"), "the others are updated: {}", run.out());
    for wrong in ["Debian:12", "../npm", "a/b"] {
        let run = place.update(&["--ecosystem", wrong]).ended(2);
        assert!(run.err().contains("no name of an ecosystem"), "{}", run.err());
    }
}

#[test]
fn what_to_install_must_be_said_once() {
    let place = place();
    let run = place.update(&[]).ended(2);
    assert!(run.err().contains("--ecosystem") && run.err().contains("--all"), "{}", run.err());
    let run = place.db(&["update", "--offline", "--ecosystem", "npm"]).ended(3);
    assert!(run.err().contains("--offline") && run.err().contains("db import"), "{}", run.err());
    assert!(place.bucket.requests().is_empty());
}

#[test]
fn a_bucket_without_tls_must_be_named_by_hand() {
    let place = place();
    for url in ["http://bucket.example", "ftp://x", "http://u:p@127.0.0.1", "nonsense", "https://x/?q"] {
        let run = place.db(&["update", "--ecosystem", "npm", "--db-source", url]).ended(2);
        assert!(run.err().contains("no URL of a bucket"), "{}", run.err());
    }
}

#[test]
fn a_hundred_changes_of_the_largest_ecosystem_are_applied_in_a_moment() {
    let Some(corpus) = osv_corpus() else { return };
    let place = place();
    let archive = std::fs::read(corpus.join("npm/all.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(archive)).unwrap();
    let mut ids = Vec::new();
    for index in 0..archive.len() {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut archive.by_index(index).unwrap(), &mut bytes).unwrap();
        let Ok(record) = serde_json::from_slice::<serde_json::Value>(&bytes) else { continue };
        let (id, modified) = (record["id"].as_str().unwrap(), record["modified"].as_str().unwrap());
        place.bucket.put("npm", id, modified, &bytes);
        ids.push((id.to_owned(), record));
    }
    place.bucket.archive("npm");
    place.update(&["--ecosystem", "npm"]);
    let before = place.ids("npm").len();
    assert_eq!(before, ids.len());
    let step = ids.len() / 100;
    for (id, record) in ids.iter_mut().step_by(step).take(100) {
        record["modified"] = "2029-01-01T00:00:00Z".into();
        place.bucket.put("npm", id, "2029-01-01T00:00:00Z", record.to_string().as_bytes());
    }
    place.bucket.forget();
    let began = std::time::Instant::now();
    let run = place.update(&[]);
    let took = began.elapsed();
    println!("100 changes of {before} records in {took:?}");
    assert!(run.out().contains("100 records new or changed, 0 removed"), "{}{}", run.out(), run.err());
    assert_eq!((place.bucket.requests().len(), place.ids("npm").len()), (101, before));
}
