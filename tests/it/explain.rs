//! `explain ID --image IMAGE`, run as an auditor would.

use serde_json::Value;

use crate::support::cli::{Run, portcullis};

fn explain(arguments: &[&str]) -> Run {
    let home = tempfile::tempdir().unwrap();
    let mut all = vec!["explain"];
    all.extend(arguments);
    all.extend(["--db", "testdata/demo/osv"]);
    portcullis(home.path(), &all)
}

const DEMO: &str = "oci:testdata/demo/image";

#[test]
fn a_finding_is_explained_down_to_the_segment_that_made_it() {
    let text = explain(&["cve-2025-27516", "--image", DEMO]).ended(0).out();
    // Jinja2 3.1.2 of the demo, by the record of GitHub that the demo ships.
    let document = explain(&["CVE-2025-27516", "--image", DEMO, "-o", "json"]).ended(0).json();
    assert_eq!(document["schema"], "portcullis.dev/explanation/v1");
    let platforms = document["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), 2);
    for platform in platforms {
        let packages = platform["packages"].as_array().unwrap();
        assert_eq!(packages.len(), 1, "{platform:#}");
        let record = &packages[0]["records"][0];
        assert_eq!(
            (&record["answer"], &record["ecosystem"]),
            (&Value::from("affected"), &Value::from("PyPI"))
        );
        let finding = &packages[0]["finding"];
        assert_eq!(finding["id"], "CVE-2025-27516");
        for part in ["segment", "range", "event"] {
            assert!(record[part].is_string());
            assert_eq!(finding["evidence"][part], record[part], "{part}");
        }
        let segment = record["segment"].as_str().unwrap();
        assert_eq!(document["snapshot"]["ecosystems"]["PyPI"]["id"], segment);
        assert!(text.contains(segment));
        assert!(text.contains(record["event"].as_str().unwrap()));
    }
}

#[test]
fn what_does_not_apply_is_explained_as_well() {
    let run = explain(&["CVE-2022-30065", "--image", DEMO]);
    let text = run.ended(0).out();
    assert!(text.contains("busybox 1.35.0-r17: not affected"), "{text}");
    let text = explain(&["CVE-1999-0001", "--image", DEMO]).ended(0).out();
    assert!(text.contains("no record about it names a package of this image"), "{text}");
}

#[test]
fn what_could_not_be_asked_ends_as_undecided() {
    let home = tempfile::tempdir().unwrap();
    let none =
        portcullis(home.path(), &["explain", "CVE-1-1", "--image", DEMO, "--db", "testdata/inventory"]);
    assert_eq!(none.code(), 3, "{}", none.out());
    let gone = explain(&["CVE-1-1", "--image", "oci:no-such-directory"]);
    assert_eq!(gone.code(), 3, "{}", gone.out());
    assert!(gone.out().contains("could not be read"), "{}", gone.out());
    let id = portcullis(home.path(), &["explain", "CVE-2025-27516"]).ended(2);
    assert!(id.err().contains("--image"), "{}", id.err());
}
