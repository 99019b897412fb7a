//! Range containment as others have written it down: `vers:` ranges of npm and PyPI, and Debian's order, all of them
//! put to the evaluation of OSV entries.

use std::cmp::Ordering;
use std::fs;
use std::path::Path;

use portcullis::osv::affected::{Answer, evaluate};
use portcullis::osv::record::Affected;
use portcullis::version::{Scheme, scheme};
use serde_json::{Value, json};

use crate::support::shared;

/// Cases that portcullis answers differently: the file, a part of the case, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// One comparator of a `vers:` range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparator {
    Below,
    UpTo,
    From,
    Above,
    Equal,
}

/// Of the version scheme's name what OSV calls the ecosystem.
fn ecosystem(of: &str) -> &'static str {
    match of {
        "pypi" => "PyPI",
        "npm" => "npm",
        "deb" => "Debian:12",
        "maven" => "Maven",
        _ => "an ecosystem of which nobody has an order",
    }
}

fn comparator(text: &str) -> (Comparator, &str) {
    let signs = [
        ("<=", Comparator::UpTo),
        (">=", Comparator::From),
        ("<", Comparator::Below),
        (">", Comparator::Above),
        ("=", Comparator::Equal),
    ];
    let signed = signs.into_iter().find_map(|(sign, kind)| text.strip_prefix(sign).map(|rest| (kind, rest)));
    signed.unwrap_or((Comparator::Equal, text))
}

/// An OSV entry of one range, and one that is taken out of it: OSV has no "above" but as the end of a range.
#[derive(Debug)]
struct Translated {
    within: Value,
    without: Option<Value>,
}

fn range(events: &[Value]) -> Value {
    json!({"package": {"ecosystem": "x", "name": "x"}, "ranges": [{"type": "ECOSYSTEM", "events": events}]})
}

/// The intervals of a `vers:` range, whose comparators are sorted by version: a lower bound belongs to the
/// upper one that follows.
fn translate(vers: &str) -> (&'static str, Vec<Translated>) {
    let (kind, list) = vers.strip_prefix("vers:").and_then(|rest| rest.split_once('/')).unwrap();
    let ecosystem = ecosystem(kind);
    if list == "*" {
        return (ecosystem, vec![Translated { within: range(&[json!({"introduced": "0"})]), without: None }]);
    }
    let mut intervals = Vec::new();
    // The lower bound that waits for its upper one: where it starts, and what is taken out below.
    let mut open: Option<(String, Option<Value>)> = None;
    for text in list.split('|') {
        match comparator(text) {
            (Comparator::Equal, at) => intervals.push(Translated {
                within: json!({"package": {"ecosystem": "x", "name": "x"}, "versions": [at]}),
                without: None,
            }),
            (Comparator::From, at) => open = Some((at.to_owned(), None)),
            (Comparator::Above, at) => {
                let without = range(&[json!({"introduced": "0"}), json!({"last_affected": at})]);
                open = Some(("0".to_owned(), Some(without)));
            }
            (end @ (Comparator::Below | Comparator::UpTo), at) => {
                let (start, without) = open.take().unwrap_or_else(|| ("0".to_owned(), None));
                let word = if end == Comparator::Below { "fixed" } else { "last_affected" };
                let within = range(&[json!({"introduced": start}), json!({word: at})]);
                intervals.push(Translated { within, without });
            }
        }
    }
    if let Some((start, without)) = open {
        intervals.push(Translated { within: range(&[json!({"introduced": start})]), without });
    }
    (ecosystem, intervals)
}

/// Whether an entry affects a version; none where it cannot be said.
fn affects(entry: &Value, version: &str, scheme: Option<&dyn Scheme>) -> Option<bool> {
    let affected: Affected = serde_json::from_value(entry.clone()).unwrap();
    match evaluate(&affected, version, scheme) {
        Answer::Affected(_) => Some(true),
        Answer::NotAffected => Some(false),
        Answer::Undetermined(_) => None,
    }
}

fn contains(vers: &str, version: &str) -> Option<bool> {
    let (ecosystem, intervals) = translate(vers);
    let scheme = scheme(ecosystem);
    let mut inside = false;
    for Translated { within, without } in &intervals {
        let out = match without {
            Some(without) => affects(without, version, scheme)?,
            None => false,
        };
        inside |= affects(within, version, scheme)? && !out;
    }
    Some(inside)
}

fn order(scheme: &dyn Scheme, a: &str, b: &str) -> Option<Ordering> {
    scheme.compare(a, b).ok()
}

/// A sorted list holds where each is below the next: for the order, and for an entry that the next one fixes.
fn sorted(scheme: &dyn Scheme, case: &Value) -> bool {
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let (mut given, expected) = (texts(&case["input"]["versions"]), texts(&case["expected_output"]));
    given.sort_by(|a, b| order(scheme, a, b).unwrap());
    let fixed_by_the_next = |pair: &[String]| {
        let entry = range(&[json!({"introduced": "0"}), json!({"fixed": pair[1]})]);
        affects(&entry, &pair[0], Some(scheme)) == Some(true)
            && affects(&entry, &pair[1], Some(scheme)) == Some(false)
    };
    given == expected && given.windows(2).all(fixed_by_the_next)
}

fn holds(case: &Value) -> bool {
    let input = &case["input"];
    let scheme = input["input_scheme"].as_str().and_then(|kind| scheme(ecosystem(kind)));
    match case["test_type"].as_str().unwrap() {
        "containment" => {
            let (vers, version) = (input["vers"].as_str().unwrap(), input["version"].as_str().unwrap());
            contains(vers, version) == case["expected_output"].as_bool()
        }
        "comparison" => sorted(scheme.unwrap(), case),
        "equality" => {
            let (a, b) = (input["versions"][0].as_str().unwrap(), input["versions"][1].as_str().unwrap());
            (order(scheme.unwrap(), a, b) == Some(Ordering::Equal)) == case["expected_output"]
        }
        other => panic!("a kind of case that nobody has looked at: {other}"),
    }
}

fn cases(file: &Path) -> Vec<Value> {
    let suite: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    suite.as_array().unwrap().clone()
}

#[test]
fn ranges_contain_what_their_authors_say() {
    let Some(folder) = shared("data/ranges") else { return };
    let (mut used, mut failed, mut total) = (Vec::new(), Vec::new(), 0);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let cases = cases(&file);
        let wrong: Vec<_> = cases.iter().filter(|case| !holds(case)).map(Value::to_string).collect();
        println!("{name}: {} of {} right", cases.len() - wrong.len(), cases.len());
        total += cases.len();
        for case in wrong {
            let reason = EXCEPTIONS.iter().position(|(of, mark, _)| *of == name && case.contains(mark));
            used.extend(reason);
            if reason.is_none() {
                failed.push(format!("{name}: {case}"));
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(total >= 15, "{total}");
    for (index, exception) in EXCEPTIONS.iter().enumerate() {
        assert!(used.contains(&index), "no longer an exception: {exception:?}");
    }
}
