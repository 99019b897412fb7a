//! The suite of the purl specification.

use std::fs;

use portcullis::model::purl::Purl;
use serde_json::Value;

use crate::support::shared;

/// Cases that portcullis answers differently: type, a part of the input, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("chrome-extension", "", "a pattern of one type that portcullis does not report"),
    ("cpan", "URI::PackageURL", "a pattern of one type that portcullis does not report"),
    ("git", "forgejo", "a name of several segments, in one type that portcullis does not report"),
    ("git", "purl-Spec", "the type's definition says case-sensitive"),
    ("mlflow", "databricks", "case that depends on a qualifier, in one type that portcullis does not report"),
    ("gem", "?Platform", "how-to-parse and the recommended case write such a key in lower case"),
    ("rpm", "?Arch", "how-to-parse and the recommended case write such a key in lower case"),
];

/// What the input, a text or parts, becomes; `None` where it is refused.
fn answer(case: &Value) -> Option<Purl> {
    let input = &case["input"];
    match input.as_str() {
        Some(text) => text.parse().ok(),
        None => built(input).filter(|purl| purl.check().is_ok()),
    }
}

fn built(parts: &Value) -> Option<Purl> {
    let text = |key: &str| parts[key].as_str();
    let mut purl = Purl::new(text("type")?, text("namespace"), text("name")?, text("version"));
    for (key, value) in parts["qualifiers"].as_object().into_iter().flatten() {
        purl = purl.with(key, value.as_str()?);
    }
    purl.subpath = text("subpath").map(str::to_owned);
    Some(purl)
}

fn holds(case: &Value) -> bool {
    let answer = answer(case);
    if case["expected_failure"] == true {
        return answer.is_none();
    }
    let expected = &case["expected_output"];
    match expected.as_str() {
        Some(text) => answer.is_some_and(|purl| purl.to_string() == text),
        None => answer.is_some() && answer == raw(expected),
    }
}

/// The expected parts as they stand, not normalised.
fn raw(parts: &Value) -> Option<Purl> {
    let text = |key: &str| parts[key].as_str().map(str::to_owned);
    Some(Purl {
        kind: text("type")?,
        namespace: text("namespace"),
        name: text("name")?,
        version: text("version"),
        qualifiers: built(parts)?.qualifiers,
        subpath: text("subpath"),
    })
}

fn excepted(kind: &str, case: &Value) -> Option<usize> {
    let input = case["input"].to_string();
    EXCEPTIONS.iter().position(|(of, mark, _)| *of == kind && input.contains(mark))
}

#[test]
fn the_specification_s_suite_passes() {
    let Some(folder) = shared("data/purl") else { return };
    let (mut passed, mut failed, mut used) = (0, Vec::new(), Vec::new());
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let suite: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let kind = file.file_name().unwrap().to_string_lossy().replace("-test.json", "");
        for case in suite["tests"].as_array().unwrap() {
            match (holds(case), excepted(&kind, case)) {
                (true, _) => passed += 1,
                (false, Some(exception)) => used.push(exception),
                (false, None) => failed.push(format!("{kind}: {case}")),
            }
        }
    }
    println!("purl suite: {passed} passed, {} excepted", used.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(passed >= 350, "{passed}");
    for (index, (kind, mark, reason)) in EXCEPTIONS.iter().enumerate() {
        let count = used.iter().filter(|one| **one == index).count();
        println!("excepted: {count} of {kind} with `{mark}`: {reason}");
        assert!(count > 0, "no longer an exception: {kind} {mark} ({reason})");
    }
}
