//! Python's order: PEP 440, and below it the order that setuptools gave to versions older than PEP 440.

use std::cmp::Ordering;
use std::str::FromStr;

use pep440_rs::Version;

use crate::version::natural::{Natural, split_run};
use crate::version::{Incomparable, Scheme};

/// PEP 440's order. A version that it does not read is below every version that it reads, as
/// `packaging` (before 22) had it, so that every two names of a release compare.
pub struct Pep440;

impl Scheme for Pep440 {
    fn id(&self) -> &'static str {
        "pep440"
    }

    fn compare(&self, a: &str, b: &str) -> Result<Ordering, Incomparable> {
        let parse = |version| {
            Release::parse(version)
                .ok_or_else(|| Incomparable { scheme: self.id(), version: version.to_owned() })
        };
        Ok(parse(a)?.cmp(&parse(b)?))
    }

    /// What is below PEP 440 has an order among its like, and says nothing of those above: `0.2.0-n653` would be
    /// below 0.1.
    fn comparable(&self, a: &str, b: &str) -> bool {
        [a, b].iter().all(|text| matches!(Release::parse(text), Some(Release::Standard(_))))
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Release<'a> {
    Legacy(Vec<Part<'a>>),
    Standard(Version),
}

impl<'a> Release<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        if let Ok(version) = Version::from_str(text) {
            return Some(Self::Standard(version));
        }
        // The crate's numbers end at 2^64, PEP 440's do not. Such a version must not pass for a legacy
        // one: below all others, it would be older than every fix and newer than none.
        if Version::from_str(&with_short_numbers(text)).is_ok() {
            return None;
        }
        Some(Self::Legacy(legacy(text)))
    }
}

/// The text with each run of digits replaced by `1`: what is left is its form.
fn with_short_numbers(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (plain, digits) = split_run(rest, |c| !c.is_ascii_digit());
        let (number, behind) = split_run(digits, |c| c.is_ascii_digit());
        out.push_str(plain);
        out.extend((!number.is_empty()).then_some('1'));
        rest = behind;
    }
    out
}

/// A part of a legacy version: words are in lower case, and below numbers.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Word(String),
    Number(Natural<'a>),
}

/// What stands at the end of every legacy version: words below it mark a pre-release.
const FINAL: &str = "final";
/// What a hyphen stands for: just above the end, so that `1.0-1` is above `1.0`.
const HYPHEN: &str = "final-";

/// `pkg_resources.LegacyVersion`'s key: numbers and words; hyphens in front of a pre-release word and
/// zeros in front of any word fall away.
fn legacy(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for part in pieces(text).filter_map(part).chain([Part::Word(FINAL.to_owned())]) {
        if let Part::Word(word) = &part {
            let hyphens = |last: &Part<'_>| matches!(last, Part::Word(text) if text == HYPHEN);
            while word.as_str() < FINAL && parts.last().is_some_and(hyphens) {
                parts.pop();
            }
            while parts.last() == Some(&Part::Number(Natural::ZERO)) {
                parts.pop();
            }
        }
        parts.push(part);
    }
    parts
}

/// Runs of digits, runs of ASCII letters, single dots and hyphens, and runs of what is left.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let kind = kind_of(first);
        let (piece, behind) = match kind {
            Kind::Mark => rest.split_at(first.len_utf8()),
            Kind::Digit | Kind::Letter | Kind::Other => split_run(rest, |c| kind_of(c) == kind),
        };
        rest = behind;
        Some(piece)
    })
}

#[derive(PartialEq, Eq)]
enum Kind {
    Digit,
    Letter,
    Mark,
    Other,
}

fn kind_of(c: char) -> Kind {
    match c {
        '0'..='9' => Kind::Digit,
        'a'..='z' | 'A'..='Z' => Kind::Letter,
        '.' | '-' => Kind::Mark,
        _ => Kind::Other,
    }
}

fn part(piece: &str) -> Option<Part<'_>> {
    if let Some(number) = Natural::parse(piece) {
        return Some(Part::Number(number));
    }
    let word = piece.to_lowercase();
    let word = match word.as_str() {
        "." => return None,
        "-" => HYPHEN,
        "dev" => "@",
        "pre" | "preview" | "rc" => "c",
        other => other,
    };
    Some(Part::Word(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_version_has_no_order() {
        for version in ["", "  ", "\t"] {
            assert!(Pep440.compare(version, "1").is_err());
            assert!(Pep440.compare(version, version).is_err());
        }
    }

    #[test]
    fn a_number_too_great_is_unknown_and_not_legacy() {
        for version in ["18446744073709551616.0", "1!99999999999999999999999", "1.0.post99999999999999999999"]
        {
            assert!(Pep440.compare(version, "1.0").is_err(), "{version}");
        }
    }

    #[test]
    fn what_pep_440_does_not_read_is_below_what_it_reads() {
        for version in ["2004d-foo", "1.0-charmander", "garbage", "*", "é"] {
            assert_eq!(Pep440.compare(version, "0.dev0"), Ok(Ordering::Less), "{version}");
        }
    }
}
