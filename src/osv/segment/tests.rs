mod delta;

use proptest::prelude::*;
use serde_json::json;

use super::build::Builder;
use super::*;
use crate::osv::fixture::segment;

fn sample() -> Vec<u8> {
    let entry = |ecosystem: &str, name: &str| json!({"package": {"ecosystem": ecosystem, "name": name}, "versions": ["1"]});
    segment(
        "PyPI",
        &[
            json!({"id": "A", "modified": "2026-01-02T00:00:00Z", "details": "long", "affected": [entry("PyPI", "Foo.Bar"), entry("npm", "foo")]}),
            json!({"id": "B", "modified": "2026-01-01T00:00:00Z", "summary": "b", "affected": [entry("PyPI", "foo-bar")]}),
            json!({"id": "C", "withdrawn": "2026-01-01T00:00:00Z", "affected": [entry("PyPI", "foo-bar")]}),
        ],
    )
}

#[test]
fn what_was_written_is_found_by_exact_ecosystem_and_folded_name() {
    let bytes = sample();
    let segment = Segment::open(&bytes).unwrap();
    let ids: Vec<String> = segment
        .affecting("PyPI", "foo-bar")
        .unwrap()
        .into_iter()
        .map(|posting| posting.head.id.into())
        .collect();
    assert_eq!(ids, ["A", "B"]);
    assert_eq!(segment.affecting("PyPI", "foo").unwrap(), []);
    assert_eq!(segment.affecting("npm", "foo").unwrap(), []);
    assert_eq!(segment.head("B").unwrap().unwrap().summary.as_deref(), Some("b"));
    assert_eq!(segment.head("C").unwrap(), None);
}

#[test]
fn a_segment_lists_its_keys_and_records() {
    let bytes = sample();
    let segment = Segment::open(&bytes).unwrap();
    assert_eq!(segment.keys().collect::<Vec<_>>(), [Ok(("PyPI", "foo-bar"))]);
    let records: Vec<_> = segment.records().map(|record| record.unwrap()).collect();
    assert_eq!(
        records.iter().map(|record| (record.id, record.withdrawn)).collect::<Vec<_>>(),
        [("A", false), ("B", false), ("C", true)]
    );
    assert_eq!(records[0].modified, Some("2026-01-02T00:00:00Z".parse().unwrap()));
    assert_eq!(segment.display("A").unwrap().unwrap().details.as_deref(), Some("long"));
    assert_eq!(segment.display("B").unwrap(), None);
}

#[test]
fn a_segment_says_what_it_covers() {
    let bytes = sample();
    let segment = Segment::open(&bytes).unwrap();
    let meta = segment.meta();
    assert_eq!((meta.records, meta.unreadable), (3, 0));
    assert_eq!(meta.generated.as_deref(), Some("2026-01-02T00:00:00Z"));
    assert_eq!(meta.releases, BTreeMap::from([("PyPI".to_owned(), 2)]));
}

#[test]
fn the_id_is_that_of_the_records_and_not_of_their_order() {
    let records = [json!({"id": "A", "affected": []}), json!({"id": "B", "affected": []})];
    let [there, back] = [segment("npm", &records), segment("npm", &[records[1].clone(), records[0].clone()])];
    assert_eq!(there, back);
    let other = segment("npm", &[records[0].clone(), json!({"id": "B", "affected": [], "x": 1})]);
    assert_ne!(Segment::open(&there).unwrap().id().unwrap(), Segment::open(&other).unwrap().id().unwrap());
}

#[test]
fn two_records_of_one_id_are_not_both_believed() {
    let bytes =
        segment("npm", &[json!({"id": "A", "affected": []}), json!({"id": "A", "affected": [], "x": 1})]);
    assert_eq!(Segment::open(&bytes).unwrap().meta().unreadable, 1);
    let same = segment("npm", &[json!({"id": "A", "affected": []}), json!({"id": "A", "affected": []})]);
    assert_eq!(Segment::open(&same).unwrap().meta().unreadable, 0);
}

#[test]
fn an_entry_that_nobody_could_look_up_makes_its_record_unreadable() {
    let unreadable = |ecosystem: &str, stated: &str, name: &str| {
        let affected = json!([{"package": {"ecosystem": stated, "name": name}, "versions": ["1"]}]);
        let bytes = segment(ecosystem, &[json!({"id": "A", "affected": affected})]);
        Segment::open(&bytes).unwrap().meta().unreadable
    };
    for (ecosystem, stated, name) in [
        ("npm", "NPM", "a"),
        ("npm", "npm ", "a"),
        ("npm", "npm", ""),
        ("npm", "", "a"),
        ("Debian", "debian:11", "a"),
        ("Debian", "Debian:11 ", "a"),
        ("Debian", "Debian", "a"),
        ("Debian", "Debian:bullseye", "a"),
        ("Alpine", "Alpine:3.16", "a"),
    ] {
        assert_eq!(unreadable(ecosystem, stated, name), 1, "{stated}");
    }
    for (ecosystem, stated) in [("Debian", "Debian:3.1"), ("Alpine", "Alpine:edge"), ("npm", "PyPI")] {
        assert_eq!(unreadable(ecosystem, stated, "a"), 0, "{stated}");
    }
}

#[test]
fn only_a_date_withdraws_a_record() {
    for withdrawn in ["", "no", "true"] {
        let bytes = segment("npm", &[json!({"id": "A", "withdrawn": withdrawn, "affected": []})]);
        assert_eq!(Segment::open(&bytes).unwrap().meta().unreadable, 1, "{withdrawn}");
    }
}

#[test]
fn another_format_is_refused_and_says_which_way_to_go() {
    let mut bytes = sample();
    bytes[8] = 99;
    let newer = Segment::open(&bytes).unwrap_err();
    assert_eq!(newer, Damaged::Newer(99));
    assert!(
        newer.to_string().ends_with("newer than this portcullis, which reads format 2: update portcullis")
    );
    bytes[8] = 1;
    assert_eq!(Segment::open(&bytes).unwrap_err(), Damaged::Older(1));
}

#[test]
fn a_segment_cut_anywhere_is_damaged_or_tells_the_truth() {
    let bytes = sample();
    for length in 0..bytes.len() {
        let Ok(segment) = Segment::open(&bytes[..length]) else { continue };
        // Whatever can still be opened must not answer "nothing" where something was.
        assert!(segment.affecting("PyPI", "foo-bar").is_err() || length == bytes.len());
    }
}

proptest! {
    #[test]
    fn damage_never_panics(place in 0usize..10_000, value: u8) {
        let mut bytes = sample();
        let place = place % bytes.len();
        bytes[place] = value;
        if let Ok(segment) = Segment::open(&bytes) {
            let _ = (segment.affecting("PyPI", "foo-bar"), segment.head("A"), segment.id());
            let _ = (segment.display("A"), segment.keys().count(), segment.records().count(), segment.unreadable().count());
            if let Ok(mut builder) = Builder::from_segment(&segment) {
                builder.remove("A");
                let _ = builder.finish();
            }
        }
    }
}
