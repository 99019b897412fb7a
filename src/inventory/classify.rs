//! Programs that no package manager installed, known by their name and by the version that stands in their
//! bytes: what official images build from source.

mod table;

use std::borrow::Cow;

use crate::model::layer::{Facts, FoundPackage};
use crate::model::path::ImagePath;

use super::program::{self, Mark, Program};
use super::{Cataloger, Reads, Unreadable};

use table::{CLASSIFIERS, Classifier, Form, Pattern};

/// Guesses programs by [`CLASSIFIERS`]. What does not match says nothing: there is no gap.
pub(super) struct Classify;

/// Bytes that are looked at before and after a mark.
const BEFORE: u64 = 128;
const AFTER: u64 = 192;

impl Cataloger for Classify {
    fn id(&self) -> &'static str {
        "classify"
    }

    /// By name; where the first bytes are known, only programs. Names of links are asked about without.
    fn wants(&self, path: &ImagePath, head: &[u8]) -> bool {
        let is_program = head.is_empty() || program::is_program(head);
        (is_program && named(path).next().is_some()) || is_go_version(path)
    }

    fn limit(&self) -> u64 {
        u64::MAX
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        program::parse(self, path, bytes)
    }

    fn reads(&self) -> Reads {
        Reads::Program
    }

    fn marks(&self, path: &ImagePath) -> Vec<Mark> {
        let patterns = named(path).flat_map(|classifier| classifier.patterns);
        let mut marks: Vec<Mark> = patterns.map(|pattern| mark(pattern.mark.into())).collect();
        marks.extend(python(path).map(|minor| mark(format!("\0{minor}.").into_bytes().into())));
        marks
    }

    fn program(&self, path: &ImagePath, program: &Program<'_>) -> Result<Facts, Unreadable> {
        let mut facts = Facts::default();
        if is_go_version(path) {
            let text = program.get(0, program.size().min(AFTER)).unwrap_or_default();
            let version = text.strip_prefix(b"go").and_then(|text| version(text, &["rc", "beta"]));
            if let Some(version) = version {
                facts.add(found(path, "go", version, "golang:go"));
            }
            return Ok(facts);
        }
        let head = program.get(0, program.size().min(16)).unwrap_or_default();
        if !program.ended() || !program::is_program(head) {
            return Ok(facts);
        }
        for classifier in named(path) {
            let mut versions = classifier.patterns.iter().filter_map(|pattern| {
                first(program, pattern.mark, |before, after| {
                    read(pattern, classifier.suffixes, before, after)
                })
            });
            let by_name = || {
                let minor = python(path).filter(|_| classifier.name == "python")?;
                first(program, format!("\0{minor}.").as_bytes(), |_, after| {
                    let text = after.get(1..)?;
                    let version = version(text, classifier.suffixes)?;
                    // The string is the version and nothing else.
                    (text.get(version.len()) == Some(&0)).then_some(version)
                })
            };
            if let Some(version) = versions.next().or_else(by_name) {
                facts.add(found(path, classifier.name, version, classifier.cpe));
            }
        }
        Ok(facts)
    }
}

fn mark(bytes: Cow<'static, [u8]>) -> Mark {
    Mark { bytes, before: BEFORE, after: AFTER }
}

/// The classifiers of a file name.
fn named(path: &ImagePath) -> impl Iterator<Item = &'static Classifier> {
    let name = path.to_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
    CLASSIFIERS.iter().filter(move |classifier| (classifier.wants)(&name))
}

/// Go's own distribution says its version in a text.
fn is_go_version(path: &ImagePath) -> bool {
    let mut parts = path.components().rev();
    let is_go = |folder: &[u8]| folder == b"go" || folder.starts_with(b"go-") || folder.starts_with(b"go1");
    parts.next() == Some(b"VERSION") && parts.next().is_some_and(is_go)
}

/// `3.11` of `python3.11` and `libpython3.11.so.1.0`: its bytes name the version nowhere else.
fn python(path: &ImagePath) -> Option<&str> {
    let name = path.to_str()?.rsplit('/').next()?;
    let rest = name.strip_prefix("lib").unwrap_or(name).strip_prefix("python")?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let minor = rest.get(..end)?.trim_end_matches('.');
    let (major, below) = minor.split_once('.')?;
    let digits = |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    (digits(major) && digits(below)).then_some(minor)
}

/// The first place of a mark whose surroundings give a version. They are split at the mark's first byte.
fn first<'a>(
    program: &Program<'a>,
    mark: &[u8],
    read: impl Fn(&'a [u8], &'a [u8]) -> Option<&'a str>,
) -> Option<&'a str> {
    program.places(mark).0.iter().find_map(|place| {
        let before = (*place).min(BEFORE);
        let after = program.size().saturating_sub(*place).min(AFTER);
        let around = program.get(place - before, before + after)?;
        let (before, after) = around.split_at_checked(usize::try_from(before).ok()?)?;
        read(before, after)
    })
}

/// The version that a pattern finds.
fn read<'a>(pattern: &Pattern, suffixes: &[&str], before: &'a [u8], after: &'a [u8]) -> Option<&'a str> {
    match pattern.form {
        Form::After => version(after.get(pattern.mark.len()..)?, suffixes),
        Form::Before => last_version(before, suffixes),
        Form::Named(word) => {
            let start = memchr::memmem::rfind(before, word)? + word.len();
            version(before.get(start..)?, suffixes)
        }
        Form::Host => {
            // A container's name, twelve characters, then the seconds since 1970, ten digits or more.
            let seconds = after.get(1..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (before, host) = before.split_at_checked(before.len().checked_sub(12)?)?;
            let is_host = host.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if seconds >= 10 && is_host { last_version(before, suffixes) } else { None }
        }
    }
}

/// The version at the front: two to four numbers, and a suffix where it is one of those known. A letter or
/// two count as one where `[a-z]` is known.
fn version<'a>(text: &'a [u8], suffixes: &[&str]) -> Option<&'a str> {
    let digits = |from: usize| {
        text.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count()
    };
    let mut end = digits(0);
    let mut numbers = usize::from(end > 0);
    while numbers > 0 && numbers < 4 && text.get(end) == Some(&b'.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
        numbers += 1;
    }
    // Attack: a number of a thousand digits.
    if end == 0 || end > 32 {
        return None;
    }
    let rest = text.get(end..)?;
    let suffix = suffixes.iter().find_map(|suffix| {
        if *suffix == "[a-z]" {
            let letters = rest.iter().take_while(|byte| byte.is_ascii_lowercase()).count();
            return (1..=2).contains(&letters).then_some(letters);
        }
        rest.starts_with(suffix.as_bytes()).then(|| suffix.len() + digits(end + suffix.len()))
    });
    // One number is a version only with a suffix: `15beta4`, and else a mention.
    if numbers < 2 && suffix.is_none() {
        return None;
    }
    std::str::from_utf8(text.get(..end + suffix.unwrap_or(0))?).ok().filter(|version| version.len() <= 64)
}

/// The version at the end, which begins behind something that is no part of one.
fn last_version<'a>(text: &'a [u8], suffixes: &[&str]) -> Option<&'a str> {
    let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let core = text.iter().rev().take_while(|byte| is_part(byte)).count();
    let found = version(text.get(text.len() - core..)?, suffixes)?;
    (found.len() == core).then_some(found)
}

fn found(path: &ImagePath, name: &str, version: &str, cpe: &str) -> FoundPackage {
    // CPE 2.3 (NISTIR 7695, 6.2): what is no letter, digit, dot or underscore is quoted.
    let quoted = version.replace('-', "\\-").replace('+', "\\+");
    FoundPackage {
        kind: "generic",
        name: name.to_owned(),
        version: version.to_owned(),
        location: Some(path.clone()),
        guessed: true,
        cpe: Some(format!("cpe:2.3:a:{cpe}:{quoted}:*:*:*:*:*:*:*")),
        ..FoundPackage::default()
    }
}

#[cfg(test)]
mod tests;
