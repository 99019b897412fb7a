//! A second implementation as judge: over every record of the corpus and every entry of it, `judge/spec.rs` and
//! `portcullis::osv` give the same answers, for versions at, just below and just above every event.

mod probes;
pub mod spec;

use std::collections::BTreeMap;
use std::path::Path;

use portcullis::osv::affected::{Answer, evaluate};
use portcullis::osv::names::{base, normalise};
use portcullis::osv::segment::Segment;
use portcullis::osv::segment::build::{Builder, Compiled};
use portcullis::version::{Scheme, SemVer, scheme};
use serde_json::Value;

use crate::support::corpus::{archives, in_parallel, records};
use crate::support::osv_corpus;
use spec::Ruling;

/// How often each answer was given, and what else shows that the run was no empty one.
#[derive(Debug, Default)]
struct Tally {
    records: usize,
    entries: usize,
    affected: usize,
    unaffected: usize,
    undetermined: usize,
    /// Events of which a probe is in fact below and one above.
    flanked: usize,
    events: usize,
    disagreements: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.records += other.records;
        self.entries += other.entries;
        self.affected += other.affected;
        self.unaffected += other.unaffected;
        self.undetermined += other.undetermined;
        self.flanked += other.flanked;
        self.events += other.events;
        self.disagreements.extend(other.disagreements);
    }

    fn answers(&self) -> usize {
        self.affected + self.unaffected + self.undetermined
    }
}

/// The entries that stand under one key of a segment, by the id of their record.
type Entries<'r> = BTreeMap<(String, String), Vec<(&'r str, &'r Value)>>;

/// The entries of the ecosystem that count: those of records that were not withdrawn.
fn entries<'r>(ecosystem: &str, records: &'r [Value]) -> Entries<'r> {
    let mut entries = Entries::new();
    for record in records.iter().filter(|record| record["withdrawn"].is_null()) {
        for entry in record["affected"].as_array().into_iter().flatten() {
            let package = &entry["package"];
            let (Some(stated), Some(name)) = (package["ecosystem"].as_str(), package["name"].as_str()) else {
                continue;
            };
            if base(stated) == ecosystem {
                let key = (stated.to_owned(), normalise(stated, name).into_owned());
                entries.entry(key).or_default().push((record["id"].as_str().unwrap(), entry));
            }
        }
    }
    entries
}

/// Asks both about every probe of every entry under one key.
fn examine(segment: &Segment<'_>, (stated, name): &(String, String), entries: &[(&str, &Value)]) -> Tally {
    let scheme = scheme(stated);
    let mut tally = Tally { entries: entries.len(), ..Tally::default() };
    let postings = segment.affecting(stated, name).unwrap();
    let mut expected = entries.to_vec();
    expected.sort_by_key(|(id, _)| *id);
    // Entries of one record keep their order in both.
    let found: Vec<&str> = postings.iter().map(|posting| posting.head.id.as_str()).collect();
    assert_eq!(found, expected.iter().map(|(id, _)| *id).collect::<Vec<_>>(), "{stated} {name}");
    for ((id, entry), posting) in expected.into_iter().zip(postings) {
        let probes = probes::probes(entry, scheme.map_or("", Scheme::id));
        for version in &probes {
            let answer = evaluate(&posting.affected, version, scheme);
            let ruling = spec::rule(entry, version, scheme);
            match answer {
                Answer::Affected(_) => tally.affected += 1,
                Answer::NotAffected => tally.unaffected += 1,
                Answer::Undetermined(_) => tally.undetermined += 1,
            }
            if !agree(&answer, ruling, entry, version, scheme) {
                let line = format!("{id} {stated} {name} `{version}`: {answer:?}, the judge: {ruling:?}");
                tally.disagreements.push(line);
            }
        }
        for event in probes::named(entry) {
            tally.events += 1;
            let scheme = scheme.unwrap_or(&SemVer);
            tally.flanked += usize::from(probes::is_flanked(event, scheme));
        }
    }
    tally
}

/// Whether the answer is what the ruling allows. What may be one or the other is a match that says so, or
/// undetermined; never "not affected".
fn agree(answer: &Answer, ruling: Ruling, entry: &Value, version: &str, scheme: Option<&dyn Scheme>) -> bool {
    match (answer, ruling) {
        (Answer::Affected(_), Ruling::Affected) | (Answer::NotAffected, Ruling::NotAffected) => true,
        // Without what could not be compared it is affected, and the match says that it could not.
        (Answer::Affected(hit), Ruling::Either { without }) => without && hit.low_confidence.is_some(),
        (Answer::Undetermined(_), Ruling::Either { .. }) => true,
        // Facts: a package without a version is undetermined; so is one at which a range ends and begins. What is no
        // version is undetermined also where a range holds no version at all (`introduced: 0`, `fixed: 0`).
        (Answer::Undetermined(_), Ruling::Affected | Ruling::NotAffected) => {
            let unaffected = ruling == Ruling::NotAffected;
            version.is_empty()
                || unaffected && (spec::reopens(entry, scheme) || !spec::readable(version, scheme))
        }
        (Answer::Affected(_), Ruling::NotAffected)
        | (Answer::NotAffected, Ruling::Affected | Ruling::Either { .. }) => false,
    }
}

fn judge(ecosystem: &str, archive: &Path) -> Tally {
    let files = records(archive);
    let mut builder = Builder::new(ecosystem);
    for compiled in in_parallel(&files, |bytes| Compiled::read(ecosystem, bytes)) {
        builder.add("corpus", compiled);
    }
    let segment = builder.finish().unwrap();
    let segment = Segment::open(&segment).unwrap();
    assert_eq!(segment.meta().unreadable, 0, "{:?}", segment.meta().unreadable_names);
    let values = in_parallel(&files, |bytes| serde_json::from_slice::<Value>(bytes).unwrap());
    let entries: Vec<_> = entries(ecosystem, &values).into_iter().collect();
    let parts = in_parallel(&entries, |(key, entries)| examine(&segment, key, entries));
    let mut tally = Tally { records: files.len(), ..Tally::default() };
    parts.into_iter().for_each(|part| tally.add(part));
    tally
}

#[test]
fn two_implementations_agree_on_every_record() {
    let Some(corpus) = osv_corpus() else { return };
    let mut all = Tally::default();
    println!("ecosystem        records  entries   affected unaffected undetermined  events flanked");
    for (ecosystem, archive) in archives(&corpus) {
        let tally = judge(&ecosystem, &archive);
        println!(
            "{ecosystem:15} {:8} {:8} {:10} {:10} {:12} {:7} {:7}",
            tally.records,
            tally.entries,
            tally.affected,
            tally.unaffected,
            tally.undetermined,
            tally.events,
            tally.flanked
        );
        all.add(tally);
    }
    let Tally { records, entries, affected, unaffected, undetermined, flanked, events, .. } = &all;
    println!(
        "{records} records, {entries} entries, {} answers: {affected} affected, {unaffected} not, {undetermined} undetermined; {flanked} of {events} events flanked",
        all.answers()
    );
    let mut first: Vec<&String> =
        all.disagreements.iter().step_by(all.disagreements.len() / 60 + 1).collect();
    first.sort();
    assert!(first.is_empty(), "{} disagreements: {first:#?}", all.disagreements.len());
    assert!(*records >= 114_000 && *entries >= 150_000, "the corpus is larger than that");
    assert!(*affected >= 500_000 && *unaffected >= 500_000, "an empty run proves nothing");
}
