use super::*;
use crate::model::explanation::{Explained, PlatformExplanation, Said, Says};
use crate::model::fixture::finding;
use crate::report::Detail;

fn explanation() -> Explanation {
    let finding = finding("CVE-2024-1");
    let says = |record: &str, answer: Says| Said {
        record: record.into(),
        ids: vec!["CVE-2024-1".into()],
        summary: Some("evil\u{1b}[31m".into()),
        ecosystem: "PyPI".into(),
        name: "jinja2".into(),
        version: "3.1.4".into(),
        ranges: vec!["ECOSYSTEM introduced=0 fixed=3.1.6".into()],
        versions: 2,
        answer,
        segment: crate::model::digest::Digest::sha256(b"segment"),
        details: Some("first\n\nsecond".into()),
        references: vec!["https://example.org/1".into()],
    };
    let affected = Says::Affected {
        range: "ECOSYSTEM introduced=0 fixed=3.1.6".into(),
        event: "introduced 0 <= 3.1.4".into(),
        low_confidence: None,
    };
    let package = Explained {
        package: finding.package.clone(),
        layer: finding.layer.clone(),
        locations: finding.locations.clone(),
        records: vec![says("GHSA-1", affected), says("PYSEC-1", Says::NotAffected)],
        finding: Some(finding),
        suppressed: None,
    };
    Explanation {
        id: "CVE-2024-1".into(),
        image: crate::model::evidence::ImageIdentity { reference: "oci:x".into(), digest: None },
        snapshot: None,
        platforms: vec![PlatformExplanation {
            platform: "linux/amd64".parse().unwrap(),
            packages: vec![package],
            unasked: [("the snapshot has no advisories for Alpine:v3.14".to_owned(), 11)].into(),
            gaps: 1,
        }],
        withdrawn: vec!["PyPI PYSEC-2".into()],
        unread: vec!["npm: damaged".into()],
    }
}

#[test]
fn a_person_is_told_record_range_event_and_segment_and_what_is_not_known() {
    let style = Style { color: false, detail: Detail::Usual, width: usize::MAX };
    let text = text::Text.explanation(&explanation(), &style);
    for wanted in [
        "CVE-2024-1 in oci:x",
        "could not be read: npm: damaged",
        "withdrawn, and so without effect: PyPI PYSEC-2",
        "record        GHSA-1 (CVE-2024-1)",
        "affected by   introduced 0 <= 3.1.4 of ECOSYSTEM introduced=0 fixed=3.1.6",
        "answer        not affected",
        "compared      PyPI jinja2 3.1.4",
        "not asked about: 11 packages: the snapshot has no advisories for Alpine:v3.14",
        "packages may hide in what could not be read: 1 gap",
        "| second",
    ] {
        assert!(text.contains(wanted), "{wanted} is missing:\n{text}");
    }
    assert!(text.contains(&crate::model::digest::Digest::sha256(b"segment").to_string()));
    assert!(!text.contains('\u{1b}'), "foreign text is escaped");
}

#[test]
fn a_program_is_told_the_same() {
    let style = Style { color: false, detail: Detail::Usual, width: 80 };
    let document: serde_json::Value =
        serde_json::from_str(&json::Json.explanation(&explanation(), &style)).unwrap();
    assert_eq!(document["schema"], "portcullis.dev/explanation/v1");
    let records = &document["platforms"][0]["packages"][0]["records"];
    assert_eq!(records[0]["answer"], "affected");
    assert_eq!(records[0]["event"], "introduced 0 <= 3.1.4");
    assert_eq!(records[1]["answer"], "not-affected");
    assert_eq!(document["platforms"][0]["gaps"], 1);
}
