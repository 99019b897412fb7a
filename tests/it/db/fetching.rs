//! `gate` and `scan` fetch what the installed snapshot lacks.

use std::path::PathBuf;

use serde_json::Value;

use super::{Place, place};
use crate::support::bucket::record;
use crate::support::cli::{Run, portcullis};

const DEMO: &str = "oci:testdata/demo/image";

/// The usual place of the snapshot in a home.
fn usual(place: &Place) -> PathBuf {
    place.home.path().join(".local/share/portcullis/osv")
}

fn scan(place: &Place, more: &[&str]) -> Run {
    let url = place.bucket.url();
    portcullis(place.home.path(), &[&["scan", DEMO, "-o", "json", "--db-source", &url], more].concat())
}

fn filled() -> Place {
    let place = place();
    for ecosystem in ["npm", "PyPI"] {
        place.bucket.fill(ecosystem, 10);
    }
    let lodash = record("npm", "GHSA-lodash", "2026-02-01T00:00:00Z", "lodash", "4.17.21");
    place.bucket.put("npm", "GHSA-lodash", "2026-02-01T00:00:00Z", &lodash);
    let busybox = br#"{"id":"ALPINE-1","modified":"2026-01-01T00:00:00Z","affected":[{"package":
        {"ecosystem":"Alpine:v3.20","name":"busybox"},"versions":["0"]}]}"#;
    place.bucket.put("Alpine", "ALPINE-1", "2026-01-01T00:00:00Z", busybox);
    for ecosystem in ["npm", "Alpine"] {
        place.bucket.archive(ecosystem);
    }
    place
}

fn findings(scan: &Value) -> String {
    scan.to_string()
}

#[test]
fn what_an_image_needs_is_fetched_once_and_said() {
    let place = filled();
    let run = scan(&place, &[]).ended(0);
    assert!(findings(&run.json()).contains("GHSA-lodash"), "{}", run.out());
    assert!(run.err().contains("npm are not installed: fetching them from"), "{}", run.err());
    assert!(usual(&place).join("snapshot.json").exists());
    place.bucket.forget();
    let again = scan(&place, &[]).ended(0);
    assert_eq!(again.out(), run.out());
    assert_eq!((again.err(), place.bucket.requests().len()), (String::new(), 0));
    // The same without a network, and from the directory by its name.
    assert_eq!(scan(&place, &["--offline"]).ended(0).out(), run.out());
    let directory = usual(&place);
    assert_eq!(scan(&place, &["--db", directory.to_str().unwrap()]).ended(0).out(), run.out());
    assert_eq!(scan(&filled(), &["-q"]).ended(0).err(), "");
}

#[test]
fn offline_fetches_nothing() {
    let place = filled();
    let run = scan(&place, &["--offline"]).ended(3);
    assert!(!usual(&place).exists(), "{}", run.err());
    assert!(place.bucket.requests().is_empty());
}

#[test]
fn a_directory_that_was_named_is_not_added_to() {
    let place = filled();
    let run = scan(&place, &["--db", "testdata/demo/osv"]).ended(0);
    assert!(place.bucket.requests().is_empty(), "{}", run.err());
    place.update(&["--ecosystem", "PyPI"]).ended(0);
    place.bucket.forget();
    let directory = place.directory();
    scan(&place, &["--db", directory.to_str().unwrap()]);
    assert!(place.bucket.requests().is_empty());
}

#[test]
fn what_cannot_be_fetched_is_undecided_with_the_cause() {
    let place = filled();
    place.bucket.change("npm/all.zip", 0, usize::MAX, |_| {
        crate::support::registry::http::Reply::new(403, b"no".to_vec())
    });
    let policy = place.home.path().join("policy.yaml");
    let rule = "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {name: any}\nrules:\n  - id: only\n    \
                vulnerabilities: {deny: [{severity: critical}], unknownSeverity: ignore}\n";
    std::fs::write(&policy, rule).unwrap();
    let url = place.bucket.url();
    let arguments = [
        "gate",
        DEMO,
        "-o",
        "json",
        "--db-source",
        &url,
        "--policy",
        policy.to_str().unwrap(),
        "--at",
        "2026-02-02T00:00:00Z",
    ];
    let run = portcullis(place.home.path(), &arguments).ended(3);
    assert!(
        run.out().contains("npm/all.zip") && run.out().contains("answers 403"),
        "{}{}",
        run.out(),
        run.err()
    );
    // What the bucket certainly does not have is not covered, as ever, and no failure.
    place.bucket.mend();
    let place = super::place();
    place.bucket.fill("npm", 10);
    let run = scan(&place, &[]).ended(0);
    assert!(run.err().contains("has no advisories for Alpine"), "{}", run.err());
}

#[test]
fn the_root_of_a_disk_is_no_layout_of_the_bucket() {
    let place = filled();
    let folder = usual(&place).join("lost+found");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("A.json"), b"{}").unwrap();
    let run = scan(&place, &[]).ended(0);
    assert!(findings(&run.json()).contains("GHSA-lodash"), "{}{}", run.out(), run.err());
    assert!(usual(&place).join("snapshot.json").exists());
}
