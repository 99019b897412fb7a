//! Programs that no package manager installed, known by their name and by the version that stands in their
//! bytes: what official images build from source.

mod python;
mod table;

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::model::layer::{Facts, FoundPackage};
use crate::model::path::ImagePath;

use super::jdk;
use super::program::{self, Mark, Program};
use super::{Cataloger, Reads, Unreadable};

use table::{CLASSIFIERS, Classifier, Form, Pattern};

/// Guesses programs by [`CLASSIFIERS`]. What does not match says nothing: there is no gap.
pub(super) struct Classify;

/// Bytes that are looked at before and after a mark.
const BEFORE: u64 = 128;
const AFTER: u64 = 192;

/// The same for words that stand near a version: linkers sort the texts of one part of a program together.
const NEAR_BEFORE: u64 = 512;
const NEAR_AFTER: u64 = 1 << 10;

impl Cataloger for Classify {
    fn id(&self) -> &'static str {
        "classify"
    }

    /// By name; where the first bytes are known, only programs. Names of links are asked about without.
    fn wants(&self, path: &ImagePath, head: &[u8]) -> bool {
        let is_program = head.is_empty() || program::is_program(head);
        (is_program && (is_java(path) || named(path).next().is_some())) || is_go_version(path)
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
        let mut marks: Vec<Mark> = patterns.map(Pattern::wanted).collect();
        marks.extend(python::marks(path));
        if is_java(path) {
            marks.push(mark(jdk::BUILT.into()));
        }
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
        if is_java(path) {
            let package = first(program, jdk::BUILT, |before, after| jdk::of_library(path, before, after));
            package.into_iter().for_each(|package| facts.add(package));
            return Ok(facts);
        }
        for classifier in named(path) {
            let mut versions = classifier.patterns.iter().filter_map(|pattern| {
                if let Form::Near(words) = pattern.form {
                    return near(program, pattern.mark, words, classifier.suffixes);
                }
                first(program, pattern.mark, |before, after| {
                    read(pattern, classifier.suffixes, before, after)
                })
            });
            let by_name = || python::read(path, program).filter(|_| classifier.name == "python");
            if let Some(version) = versions.next().or_else(by_name) {
                facts.add(found(path, classifier.name, version, classifier.cpe));
            }
        }
        Ok(facts)
    }
}

impl Pattern {
    fn wanted(&self) -> Mark {
        match self.form {
            Form::Near(_) => Mark { bytes: self.mark.into(), before: NEAR_BEFORE, after: NEAR_AFTER },
            Form::After | Form::Before | Form::Named(_) | Form::Host => mark(self.mark.into()),
        }
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

/// The virtual machine of a Java runtime says which runtime it was built for. The launcher `java` has the
/// version too, beside nothing that tells it, and cannot run without the library.
fn is_java(path: &ImagePath) -> bool {
    path.file_name() == jdk::LIBRARY
}

/// Go's own distribution says its version in a text.
fn is_go_version(path: &ImagePath) -> bool {
    let mut parts = path.components().rev();
    let is_go = |folder: &[u8]| folder == b"go" || folder.starts_with(b"go-") || folder.starts_with(b"go1");
    parts.next() == Some(b"VERSION") && parts.next().is_some_and(is_go)
}

/// The first place of a mark whose surroundings give a version. They are split at the mark's first byte.
fn first<'a, T>(
    program: &Program<'a>,
    mark: &[u8],
    read: impl Fn(&'a [u8], &'a [u8]) -> Option<T>,
) -> Option<T> {
    program.places(mark).0.iter().find_map(|place| {
        let (before, after) = around(program, *place, BEFORE, AFTER)?;
        read(before, after)
    })
}

/// The bytes before a place, and those from it on.
fn around<'a>(program: &Program<'a>, place: u64, before: u64, after: u64) -> Option<(&'a [u8], &'a [u8])> {
    let before = place.min(before);
    let after = program.size().saturating_sub(place).min(after);
    program.get(place - before, before + after)?.split_at_checked(usize::try_from(before).ok()?)
}

/// The one version that begins behind the first byte of a mark, is a text of its own, and has one of these
/// words nearby. Two are one too many to know which it is.
fn near<'a>(program: &Program<'a>, mark: &[u8], words: &[&[u8]], suffixes: &[&str]) -> Option<&'a str> {
    let mut found = BTreeSet::new();
    for place in program.places(mark).0 {
        let (before, after) = around(program, *place, NEAR_BEFORE, NEAR_AFTER)?;
        let text = after.get(1..)?;
        let version = version(text, suffixes).filter(|version| text.get(version.len()) == Some(&0));
        let is_near =
            |word: &&[u8]| [before, after].iter().any(|side| memchr::memmem::find(side, word).is_some());
        found.extend(version.filter(|_| words.iter().any(is_near)));
    }
    found.pop_first().filter(|_| found.is_empty())
}

/// The version that a pattern finds.
fn read<'a>(pattern: &Pattern, suffixes: &[&str], before: &'a [u8], after: &'a [u8]) -> Option<&'a str> {
    match pattern.form {
        Form::After => version(after.get(pattern.mark.len()..)?, suffixes),
        Form::Before => last_version(before, suffixes),
        // Not by one place alone.
        Form::Near(_) => None,
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
