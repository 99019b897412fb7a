//! Python's version, which stands alone in its programs, beside nothing that is always there.

use std::collections::BTreeSet;

use crate::inventory::program::{Mark, Program};
use crate::model::path::ImagePath;

use super::{first, mark, version};

const SUFFIXES: &[&str] = &["rc", "a", "b", "+"];

/// What an interpreter prints its version by. Only one that is linked statically has it beside a version.
const PRINTED: &[u8] = b"Python %s\n\0";

/// Libraries that have versions like Python's, and are in it where it is linked statically with everything.
const OTHERS: &[&[u8]] = &[b"SQLite format 3", b"\0OpenSSL "];

/// `unicodedata` says it of an old version of Unicode, in every interpreter.
const UNICODE: &str = "3.2.0";

/// The beginnings of versions where the name has none.
const BEGINNINGS: &[&[u8]] = &[b"\x003.", b"\x002.7."];

/// `3.11` of `python3.11` and `libpython3.11.so.1.0`.
fn minor(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("lib").unwrap_or(name).strip_prefix("python")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let minor = rest.get(..end)?.trim_end_matches('.');
    let (major, below) = minor.split_once('.')?;
    let digits = |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    (digits(major) && digits(below)).then_some(minor)
}

/// Bytes that a version of that minor version stands behind: nothing; and the folder it was built in or is
/// installed in, as linkers store a text that another ends in only once.
fn beginnings(minor: &str) -> [Vec<u8>; 3] {
    ["\0", "/Python-", "/versions/"].map(|before| format!("{before}{minor}.").into_bytes())
}

fn name(path: &ImagePath) -> &str {
    path.to_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default()
}

/// What is looked for in a program of that name.
pub(super) fn marks(path: &ImagePath) -> Vec<Mark> {
    match (minor(name(path)), name(path)) {
        (Some(minor), _) => beginnings(minor).into_iter().map(|bytes| mark(bytes.into())).collect(),
        (None, "python" | "python2" | "python3") => {
            let all = BEGINNINGS.iter().chain(OTHERS).chain([&PRINTED]);
            all.map(|bytes| mark((*bytes).into())).collect()
        }
        (None, _) => Vec::new(),
    }
}

/// The version of a program of that name.
pub(super) fn read<'a>(path: &ImagePath, program: &Program<'a>) -> Option<&'a str> {
    if let Some(minor) = minor(name(path)) {
        let behind = beginnings(minor);
        return behind.iter().find_map(|bytes| {
            first(program, bytes, |_, after| alone(after.get(bytes.len() - minor.len() - 1..)?))
        });
    }
    let stands = |bytes: &&[u8]| !program.places(bytes).0.is_empty();
    if !stands(&PRINTED) || OTHERS.iter().any(stands) {
        return None;
    }
    let mut found = BTreeSet::new();
    for bytes in BEGINNINGS {
        for place in program.places(bytes).0 {
            let text = program.get(place + 1, (program.size() - place - 1).min(32))?;
            found.extend(alone(text).filter(|text| text.matches('.').count() == 2 && *text != UNICODE));
        }
    }
    let major = name(path).strip_prefix("python")?;
    let version = found.pop_first().filter(|version| version.starts_with(major))?;
    // Two are one too many to know which is Python's.
    found.is_empty().then_some(version)
}

/// The version that is all of a text up to its end.
fn alone(text: &[u8]) -> Option<&str> {
    let version = version(text, SUFFIXES)?;
    (text.get(version.len()) == Some(&0)).then_some(version)
}
