use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::osv::segment::build::{Builder, Compiled};
use crate::osv::segment::{Listed, Segment};

/// What the files of a source hold, by id.
type Files = BTreeMap<String, Vec<u8>>;

fn compiled(files: &Files) -> Vec<u8> {
    let mut builder = Builder::new("PyPI");
    // Backwards: the order must not matter.
    for (id, bytes) in files.iter().rev() {
        builder.add(&format!("{id}.json"), Compiled::read("PyPI", bytes));
    }
    builder.finish().unwrap()
}

/// One file: a record of some packages and versions, a withdrawn one, or no record at all.
fn file(id: &str, (kind, package, version, text): (u8, u8, u8, u16)) -> Vec<u8> {
    let entry = |package: u8| {
        json!({"package": {"ecosystem": "PyPI", "name": format!("Package.{package}")},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": format!("1.{version}")}]}],
            "versions": (0..version % 7).map(|n| format!("0.{n}")).collect::<Vec<_>>()})
    };
    // Long texts, so that there are several blocks.
    let details: String = (0..text).map(|n| format!("{id} {} ", u32::from(n) * u32::from(version))).collect();
    let mut record = json!({"id": id, "modified": format!("20{:02}-01-01T00:00:00.5Z", 10 + version % 60),
        "aliases": [format!("CVE-2026-{version}")], "details": details,
        "affected": [entry(package), entry(package / 2)]});
    match kind {
        0 => return format!("{{ not json {version}").into_bytes(),
        1 => record["withdrawn"] = Value::from("2026-01-01T00:00:00Z"),
        2 => record["affected"] = json!([]),
        _ => {}
    }
    serde_json::to_vec(&record).unwrap()
}

fn content() -> impl Strategy<Value = (u8, u8, u8, u16)> {
    (0u8..12, 0u8..20, any::<u8>(), 0u16..2_000)
}

fn after(base: &Files, changes: &BTreeMap<u8, Option<(u8, u8, u8, u16)>>) -> (Files, Vec<u8>) {
    let old = compiled(base);
    let mut builder = Builder::from_segment(&Segment::open(&old).unwrap()).unwrap();
    let mut files = base.clone();
    for (number, change) in changes {
        let id = format!("PYSEC-{number}");
        match change {
            Some(content) => {
                let bytes = file(&id, *content);
                builder.put(&format!("{id}.json"), Compiled::read("PyPI", &bytes));
                files.insert(id, bytes);
            }
            None => {
                builder.remove(&id);
                files.remove(&id);
            }
        }
    }
    (files, builder.finish().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_delta_gives_the_bytes_that_all_records_give_at_once(
        base in proptest::collection::btree_map(any::<u8>(), content(), 0..60),
        changes in proptest::collection::btree_map(any::<u8>(), proptest::option::of(content()), 0..20),
    ) {
        let base = base.into_iter().map(|(number, content)| {
            let id = format!("PYSEC-{number}");
            let bytes = file(&id, content);
            (id, bytes)
        }).collect();
        let (files, bytes) = after(&base, &changes);
        prop_assert!(bytes == compiled(&files));
        // And what is in it is what the files say.
        let segment = Segment::open(&bytes).unwrap();
        let mut records = segment.records();
        let mut unreadable = 0;
        for (id, bytes) in &files {
            let Ok(record) = crate::osv::record::Record::parse(bytes) else { unreadable += 1; continue };
            let listed = records.next().unwrap().unwrap();
            let expected = Listed {
                id,
                digest: crate::model::digest::Digest::sha256(bytes),
                modified: record.modified.as_ref().map(|text| text.parse().unwrap()),
                withdrawn: record.withdrawn.is_some(),
            };
            prop_assert_eq!(listed, expected);
            let display = segment.display(id).unwrap();
            let details = record.details.filter(|_| record.withdrawn.is_none());
            prop_assert_eq!(display.and_then(|display| display.details), details);
        }
        prop_assert!(records.next().is_none());
        prop_assert_eq!(segment.unreadable().count(), unreadable);
        prop_assert_eq!(segment.meta().unreadable, unreadable as u64);
    }
}

fn one(id: &str, package: u8) -> Vec<u8> {
    file(id, (5, package, 3, 0))
}

#[test]
fn a_new_version_that_cannot_be_read_does_not_leave_the_old_one_believed() {
    let old = compiled(&Files::from([("A".into(), one("A", 4)), ("B".into(), one("B", 4))]));
    let mut builder = Builder::from_segment(&Segment::open(&old).unwrap()).unwrap();
    builder.put("A.json", Compiled::read("PyPI", b"{ cut"));
    // A file that says it is another one's record is believed as neither.
    builder.put("B.json", Compiled::read("PyPI", &one("A", 4)));
    let bytes = builder.finish().unwrap();
    let segment = Segment::open(&bytes).unwrap();
    assert_eq!(segment.affecting("PyPI", "package-4").unwrap(), []);
    let unreadable: Vec<_> = segment.unreadable().map(Result::unwrap).collect();
    assert_eq!(unreadable[0].0, "A.json");
    assert_eq!(unreadable[1], ("B.json", "it holds the record A"));
    // The next version can be read, and nothing is left of the complaint.
    let mut builder = Builder::from_segment(&segment).unwrap();
    builder.put("A.json", Compiled::read("PyPI", &one("A", 4)));
    builder.put("B.json", Compiled::read("PyPI", &one("B", 4)));
    assert_eq!(builder.finish().unwrap(), old);
}

#[test]
fn of_two_records_of_one_id_none_is_believed_in_whichever_order_they_come() {
    let files = [("x/A.json", one("A", 1)), ("y/A.json", one("A", 2)), ("z/A.json", one("A", 1))];
    let in_order = |order: [usize; 3]| {
        let mut builder = Builder::new("PyPI");
        for at in order {
            builder.add(files[at].0, Compiled::read("PyPI", &files[at].1));
        }
        builder.finish().unwrap()
    };
    let bytes = in_order([0, 1, 2]);
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(in_order(order), bytes);
    }
    let segment = Segment::open(&bytes).unwrap();
    assert_eq!(segment.head("A").unwrap(), None);
    let cause = "several files hold different records of this id";
    assert_eq!(segment.unreadable().collect::<Vec<_>>(), [Ok(("A.json", cause))]);
}

#[test]
fn a_file_with_the_record_of_another_is_unreadable_and_leaves_that_one_believed() {
    let mut builder = Builder::new("PyPI");
    builder.add("A.json", Compiled::read("PyPI", &one("A", 1)));
    builder.add("B.json", Compiled::read("PyPI", &one("A", 1)));
    builder.add("x/BA.json", Compiled::read("PyPI", &one("A", 1)));
    builder.add("x/C.json", Compiled::read("PyPI", &one("C", 1)));
    let bytes = builder.finish().unwrap();
    let segment = Segment::open(&bytes).unwrap();
    let ids: Vec<_> = segment.records().map(|record| record.unwrap().id).collect();
    assert_eq!(ids, ["A", "C"]);
    let cause = "it holds the record A";
    assert_eq!(segment.unreadable().collect::<Vec<_>>(), [Ok(("B.json", cause)), Ok(("x/BA.json", cause))]);
}

#[test]
fn a_record_says_when_it_was_withdrawn() {
    let withdrawn = Compiled::read("PyPI", &file("A", (1, 1, 1, 0))).unwrap().withdrawn();
    assert_eq!(withdrawn, Some("2026-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(Compiled::read("PyPI", &one("A", 1)).unwrap().withdrawn(), None);
}
