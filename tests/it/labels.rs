//! Human judgements on scanner matches (anchore/vulnerability-match-labels): an inventory is rebuilt for each image
//! from the packages that its labels name, matched against the corpus, and held against the labels.
//!
//! In: labels whose id is a record's (also by alias, upstream or related) that names the package. A package of the
//! distribution is told by the form of its version, its source by `sources.txt`, its release by `images.txt`. A
//! language package is one that the corpus names in a language of the image; a name that stands for several leaves
//! it undetermined. Where a language package lies, and so who owns it, labels do not say.

mod guess;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use portcullis::feed::{Mapped, Store};
use portcullis::model::fact::Fact;
use portcullis::model::finding::Findings;
use portcullis::model::inventory::{Inventory, Package};
use portcullis::model::purl::Purl;
use portcullis::osv::names::{base, normalise};
use portcullis::osv::record::Record;
use portcullis::osv::segment::Segment;
use portcullis::osv::{Advisories, ecosystems, find};
use portcullis::version::scheme;
use serde_json::Value;

use crate::judge::spec::{self, Ruling};
use crate::support::corpus::{archives, in_parallel, records};
use crate::support::{osv_corpus, shared};
use guess::{Image, Names, Sources, images, others, packages, sources};

/// One judgement.
#[derive(Debug, Clone)]
struct Label {
    /// First digits of the image's digest.
    image: String,
    true_positive: bool,
    ids: BTreeSet<String>,
    /// As labelled.
    vulnerability: String,
    name: String,
    version: String,
}

/// The labels that judge, each once. Left out are those that nobody decided, and those of one package and one
/// vulnerability, by either of its ids, of which one says true and another false.
fn labels(file: &Path) -> Vec<Label> {
    let text = fs::read_to_string(file).unwrap();
    let lines: BTreeSet<&str> = text.lines().collect();
    let labels: Vec<Label> = lines.into_iter().filter_map(label).collect();
    let mut packages: BTreeMap<[&str; 3], Vec<&Label>> = BTreeMap::new();
    for label in &labels {
        packages.entry([&label.image, &label.name, &label.version]).or_default().push(label);
    }
    let is_disputed = |label: &Label| {
        packages[&[label.image.as_str(), &label.name, &label.version]]
            .iter()
            .any(|other| other.true_positive != label.true_positive && !other.ids.is_disjoint(&label.ids))
    };
    let disputed: Vec<bool> = labels.iter().map(is_disputed).collect();
    println!("{} labels contradict another", disputed.iter().filter(|disputed| **disputed).count());
    labels.into_iter().zip(disputed).filter(|(_, disputed)| !disputed).map(|(label, _)| label).collect()
}

fn label(line: &str) -> Option<Label> {
    let label: Value = serde_json::from_str(line).unwrap();
    let text = |name: &str| label[name].as_str().map(str::to_owned);
    let (_, digest) = label["image"].as_str()?.split_once("sha256:")?;
    Some(Label {
        image: digest[..8].to_owned(),
        true_positive: match label["label"].as_str()? {
            "TP" => true,
            "FP" => false,
            _ => return None,
        },
        ids: ["vuln", "cve"].into_iter().filter_map(text).collect(),
        vulnerability: text("vuln")?,
        name: text("pkg")?,
        version: text("ver")?,
    })
}

/// The records of the corpus that a label's id leads to, and all names of the corpus.
#[derive(Default)]
struct Corpus {
    names: Names,
    records: Vec<Value>,
    by_id: BTreeMap<String, BTreeSet<usize>>,
}

impl Corpus {
    fn read(folder: &Path, wanted: &BTreeSet<String>) -> Self {
        let mut corpus = Self::default();
        for (_, archive) in archives(folder) {
            let files = records(&archive);
            let read = in_parallel(&files, |bytes| {
                let record = Record::parse(bytes).unwrap();
                let ids: BTreeSet<String> =
                    [vec![record.id], record.aliases, record.upstream, record.related]
                        .concat()
                        .into_iter()
                        .map(String::from)
                        .filter(|id| wanted.contains(id))
                        .collect();
                let names: Vec<_> = record.affected.into_iter().filter_map(|entry| entry.package).collect();
                let value = (!ids.is_empty()).then(|| serde_json::from_slice::<Value>(bytes).unwrap());
                (ids, names, value)
            });
            for (ids, names, value) in read {
                names.iter().for_each(|package| corpus.names.add(&package.ecosystem, &package.name));
                let Some(value) = value else { continue };
                for id in ids {
                    corpus.by_id.entry(id).or_default().insert(corpus.records.len());
                }
                corpus.records.push(value);
            }
        }
        corpus
    }

    fn records(&self, label: &Label) -> Vec<&Value> {
        let places: BTreeSet<usize> =
            label.ids.iter().filter_map(|id| self.by_id.get(id)).flatten().copied().collect();
        places.into_iter().map(|place| &self.records[place]).collect()
    }
}

/// The names under which records may have a package.
fn called(ecosystem: &str, package: &Package) -> BTreeSet<String> {
    let source = package.source.as_ref().map(|source| source.name.clone());
    let names = [Some(package.name.clone()), source].into_iter().flatten();
    names.map(|name| normalise(ecosystem, &name).into_owned()).collect()
}

/// Entries of records about a package: of any release where `exactly` is none.
fn entries<'v>(
    records: &[&'v Value],
    names: &BTreeSet<String>,
    suits: impl Fn(&str) -> bool,
) -> Vec<&'v Value> {
    let all = records.iter().flat_map(|record| record["affected"].as_array().into_iter().flatten());
    all.filter(|entry| {
        let package = &entry["package"];
        let stated = package["ecosystem"].as_str().unwrap_or_default();
        package["name"].as_str().is_some_and(|name| names.contains(normalise(stated, name).as_ref()))
            && suits(stated)
    })
    .collect()
}

/// What matching says of a label's id and package.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Raised,
    SetAside(&'static str),
    Undetermined(String),
    Clear,
}

fn outcome(
    findings: &Findings,
    label: &Label,
    candidates: &[(String, Package)],
    related: &[&Value],
) -> Outcome {
    let mine = |purl: &Purl| candidates.iter().any(|(_, package)| package.purl == *purl);
    let same = |id: &String, aliases: &[String]| {
        label.ids.contains(id) || aliases.iter().any(|alias| label.ids.contains(alias))
    };
    let of_records: BTreeSet<&str> = related.iter().filter_map(|record| record["id"].as_str()).collect();
    let doubt = findings.undetermined.iter().find(|one| {
        mine(&one.package.purl)
            && (one.advisories.is_empty() || one.advisories.iter().any(|id| of_records.contains(id.as_str())))
    });
    if let Some(doubt) = doubt {
        return Outcome::Undetermined(doubt.cause.clone());
    }
    if findings.findings.iter().any(|one| mine(&one.package.purl) && same(&one.id, &one.aliases)) {
        return Outcome::Raised;
    }
    let aside = findings
        .suppressed
        .iter()
        .find(|one| mine(&one.finding.package.purl) && same(&one.finding.id, &one.finding.aliases));
    aside.map_or(Outcome::Clear, |one| Outcome::SetAside(one.reason))
}

/// Why a true positive was not raised, by the judge's reading of the same records.
fn why_missed(image: &Image, (ecosystem, package): &(String, Package), related: &[&Value]) -> &'static str {
    let standing: Vec<&Value> =
        related.iter().filter(|record| record["withdrawn"].is_null()).copied().collect();
    let system = package.kind == image.kind;
    let names = called(ecosystem, package);
    let plain = ecosystem.trim_end_matches(":LTS");
    let entries = entries(&standing, &names, |stated| stated == ecosystem || stated == plain);
    if entries.is_empty() {
        let release = "the records name the package, but not in this distribution's release";
        return if system { release } else { "every record of it was withdrawn" };
    }
    let version = package.source.as_ref().map_or(&package.version, |source| &source.version);
    let rulings = entries.iter().map(|entry| spec::rule(entry, version, scheme(ecosystem)));
    if rulings.into_iter().all(|ruling| ruling == Ruling::NotAffected) {
        "the records' ranges leave the version out"
    } else {
        "the records' ranges hold the version: a defect"
    }
}

#[derive(Debug, Default)]
struct Row {
    raised: usize,
    set_aside: usize,
    clear: usize,
    undetermined: usize,
}

impl Row {
    fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Raised => self.raised += 1,
            Outcome::SetAside(_) => self.set_aside += 1,
            Outcome::Clear => self.clear += 1,
            Outcome::Undetermined(_) => self.undetermined += 1,
        }
    }
}

#[derive(Debug, Default)]
struct Report {
    /// By ecosystem: true positives, false positives.
    rows: BTreeMap<String, (Row, Row)>,
    causes: BTreeMap<String, usize>,
    missed: BTreeMap<&'static str, Vec<String>>,
    raised_false: Vec<String>,
    out: BTreeMap<&'static str, usize>,
}

impl Report {
    fn image(&mut self, digest: &str, image: &Image, labels: &[&Label], known: &Known<'_>) {
        let others = others();
        let guessed: Vec<(&Label, Vec<(String, Package)>)> = labels
            .iter()
            .map(|label| {
                let named = (label.name.as_str(), label.version.as_str());
                let candidates = packages(image, named, known.sources, &known.corpus.names);
                let other = others.contains(format!("{digest} {} {}", label.name, label.version).as_str());
                (*label, if other { Vec::new() } else { candidates })
            })
            .collect();
        let mut inventory = Inventory { distro: image.distro.clone(), ..Inventory::default() };
        for (_, package) in guessed.iter().flat_map(|(_, candidates)| candidates) {
            if !inventory.packages.contains(package) {
                inventory.packages.push(package.clone());
            }
        }
        let findings = known.find(&inventory);
        for (label, candidates) in guessed {
            self.label(digest, image, label, &candidates, &findings, known);
        }
    }

    fn label(
        &mut self,
        digest: &str,
        image: &Image,
        label: &Label,
        candidates: &[(String, Package)],
        findings: &Findings,
        known: &Known<'_>,
    ) {
        let related = known.corpus.records(label);
        let named = candidates.iter().any(|(ecosystem, package)| {
            let system = package.kind == image.kind;
            let names = called(ecosystem, package);
            !entries(&related, &names, |stated| system || base(stated) == ecosystem).is_empty()
        });
        let out = if related.is_empty() {
            Some("no record of that id")
        } else if candidates.is_empty() {
            Some("no package of that name in a language of the image")
        } else {
            (!named).then_some("the records of that id do not name the package")
        };
        if let Some(out) = out {
            *self.out.entry(out).or_default() += 1;
            return;
        }
        let of = if candidates[0].0.is_empty() {
            let distro = image.distro.as_ref().unwrap();
            format!("({} {})", distro.id, distro.version_id)
        } else {
            candidates[0].0.clone()
        };
        let outcome = outcome(findings, label, candidates, &related);
        let (truths, falsehoods) = self.rows.entry(of).or_default();
        if label.true_positive { truths } else { falsehoods }.add(&outcome);
        let line = format!("{digest} {} {} {}", label.vulnerability, label.name, label.version);
        match (label.true_positive, outcome) {
            (false, Outcome::Raised) => self.raised_false.push(line),
            (true, Outcome::Clear) => {
                let why = candidates.iter().map(|candidate| why_missed(image, candidate, &related)).max();
                self.missed.entry(why.unwrap()).or_default().push(line);
            }
            (_, Outcome::Undetermined(cause)) => *self.causes.entry(cause).or_default() += 1,
            (_, Outcome::Raised | Outcome::SetAside(_) | Outcome::Clear) => {}
        }
    }

    fn print(&self) {
        println!("left out: {:#?}", self.out);
        println!("{:22}{:^32}  {:^32}", "", "true positives", "false positives");
        let heads = ["raised", "aside", "clear", "undet."];
        let row = |cells: [String; 4]| cells.map(|cell| format!("{cell:>8}")).concat();
        println!("{:22}{}  {}", "", row(heads.map(str::to_owned)), row(heads.map(str::to_owned)));
        let mut sum = [[0; 4]; 2];
        for (of, (truths, falsehoods)) in &self.rows {
            let cells =
                [truths, falsehoods].map(|row| [row.raised, row.set_aside, row.clear, row.undetermined]);
            for (sum, cells) in sum.iter_mut().zip(cells) {
                sum.iter_mut().zip(cells).for_each(|(sum, cell)| *sum += cell);
            }
            let [truths, falsehoods] = cells.map(|cells| row(cells.map(|cell| cell.to_string())));
            println!("{of:22}{truths}  {falsehoods}");
        }
        let [truths, falsehoods] = sum.map(|cells| row(cells.map(|cell| cell.to_string())));
        println!("{:22}{truths}  {falsehoods}", "all");
        println!("undetermined because: {:#?}", self.causes);
        for (why, lines) in &self.missed {
            println!("not raised, {}: {why}; such as {:#?}", lines.len(), &lines[..lines.len().min(8)]);
        }
    }
}

/// What the run has at hand.
struct Known<'a> {
    corpus: &'a Corpus,
    sources: &'a Sources,
    segments: &'a BTreeMap<String, Mapped>,
}

impl Known<'_> {
    fn find(&self, inventory: &Inventory) -> Findings {
        let mut advisories = Advisories::default();
        for ecosystem in ecosystems(inventory) {
            let segment = self.segments.get(&ecosystem);
            let segment =
                segment.map_or(Fact::Absent, |bytes| Fact::Known(Segment::open(bytes.bytes()).unwrap()));
            advisories.0.insert(ecosystem, segment);
        }
        find(&"linux/amd64".parse().unwrap(), inventory, &advisories)
    }
}

/// False positives that are raised all the same: `IMAGE ID PACKAGE VERSION: reason`, where `*` stands for any.
fn exceptions() -> Vec<(Vec<&'static str>, &'static str)> {
    let lines = include_str!("labels/exceptions.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (label, reason) = line.split_once(": ").unwrap();
            (label.split(' ').collect(), reason)
        })
        .collect()
}

fn is_excepted(line: &str, exception: &[&str]) -> bool {
    let parts: Vec<&str> = line.splitn(4, ' ').collect();
    exception.len() == 4
        && exception.iter().zip(parts).all(|(wanted, part)| *wanted == "*" || *wanted == part)
}

#[test]
fn the_labels_of_people_are_met() {
    let (Some(file), Some(folder)) = (shared("data/match-labels/labels.jsonl"), osv_corpus()) else { return };
    let labels = labels(&file);
    let wanted = labels.iter().flat_map(|label| label.ids.iter().cloned()).collect();
    let corpus = Corpus::read(&folder, &wanted);
    let cache = tempfile::tempdir().unwrap();
    let store = Store::open(&folder, cache.path(), "2026-11-27T00:00:00Z".parse().unwrap()).unwrap();
    let segments = store.ecosystems().unwrap().into_iter().map(|name| {
        let segment = store.segment(&name).unwrap().unwrap();
        (name, segment)
    });
    let segments = segments.collect();
    let sources = sources();
    let known = Known { corpus: &corpus, sources: &sources, segments: &segments };
    let mut report = Report::default();
    for (digest, image) in images() {
        let of_image: Vec<&Label> = labels.iter().filter(|label| label.image == digest).collect();
        assert!(!of_image.is_empty(), "no label is of {digest}");
        report.image(&digest, &image, &of_image, &known);
    }
    report.print();
    let sum = |pick: fn(&(Row, Row)) -> usize| report.rows.values().map(pick).sum::<usize>();
    let raised = sum(|(truths, _)| truths.raised);
    let decided = raised + sum(|(truths, _)| truths.clear) + sum(|(_, falsehoods)| falsehoods.clear);
    println!("{} labels, {decided} decided, {raised} true positives raised", labels.len());
    let exceptions = exceptions();
    let bare: Vec<_> = report
        .raised_false
        .iter()
        .filter(|line| !exceptions.iter().any(|(exception, _)| is_excepted(line, exception)))
        .collect();
    assert!(bare.is_empty(), "{} findings that people call false: {bare:#?}", bare.len());
    for (exception, reason) in &exceptions {
        let used = report.raised_false.iter().any(|line| is_excepted(line, exception));
        assert!(used, "no longer an exception: {exception:?} ({reason})");
    }
    let defects = report.missed.get("the records' ranges hold the version: a defect");
    assert!(defects.is_none(), "true positives that were missed: {defects:#?}");
    assert!(decided >= 200 && raised >= 100, "a run that decides nothing shows nothing");
}
