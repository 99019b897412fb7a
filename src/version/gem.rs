//! RubyGems' order (`Gem::Version`): numbers and words, a word marking a pre-release.

use std::cmp::Ordering;

use crate::version::natural::{Natural, split_run};
use crate::version::{Incomparable, Scheme};

/// The order of `Gem::Version`; a hyphen is `.pre.`, as in every RubyGems that was released with it. It is a
/// total order of what RubyGems reads. RubyGems takes a version of nothing but white space for 0; here it has
/// no order, as in every scheme.
pub struct Gem;

impl Scheme for Gem {
    fn id(&self) -> &'static str {
        "gem"
    }

    fn compare(&self, a: &str, b: &str) -> Result<Ordering, Incomparable> {
        let parse = |version| {
            segments(version).ok_or_else(|| Incomparable { scheme: self.id(), version: version.to_owned() })
        };
        Ok(order(&parse(a)?, &parse(b)?))
    }
}

/// Words are below numbers, and byte by byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Segment<'a> {
    Word(&'a str),
    Number(Natural<'a>),
}

const ZERO: Segment<'static> = Segment::Number(Natural::ZERO);

/// `[0-9]+(\.[0-9a-zA-Z]+)*(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?`
fn is_version(text: &str) -> bool {
    let (release, behind) = match text.split_once('-') {
        Some((release, behind)) => (release, Some(behind)),
        None => (text, None),
    };
    let (first, rest) = split_run(release, |c| c.is_ascii_digit());
    let run = |part: &str, mark: &[u8]| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || mark.contains(&b))
    };
    let dotted = rest.is_empty() || rest.starts_with('.');
    !first.is_empty()
        && dotted
        && rest.split('.').skip(1).all(|part| run(part, b""))
        && behind.is_none_or(|behind| behind.split('.').all(|part| run(part, b"-")))
}

/// Without the zeros at the end, and without those in front of the first word.
fn segments(text: &str) -> Option<Vec<Segment<'_>>> {
    let text = text.trim_ascii();
    if !is_version(text) {
        return None;
    }
    let mut all = Vec::new();
    let mut released = true;
    for (nth, part) in text.split('-').enumerate() {
        if nth > 0 {
            push(&mut all, &mut released, Segment::Word("pre"));
        }
        for mut rest in part.split('.') {
            while !rest.is_empty() {
                let (digits, behind) = split_run(rest, |c| c.is_ascii_digit());
                let (word, behind) = split_run(behind, |c| !c.is_ascii_digit());
                if let Some(number) = Natural::parse(digits) {
                    push(&mut all, &mut released, Segment::Number(number));
                }
                if !word.is_empty() {
                    push(&mut all, &mut released, Segment::Word(word));
                }
                rest = behind;
            }
        }
    }
    drop_zeros(&mut all);
    Some(all)
}

fn push<'a>(all: &mut Vec<Segment<'a>>, released: &mut bool, segment: Segment<'a>) {
    if *released && matches!(segment, Segment::Word(_)) {
        drop_zeros(all);
        *released = false;
    }
    all.push(segment);
}

fn drop_zeros(segments: &mut Vec<Segment<'_>>) {
    while segments.last() == Some(&ZERO) {
        segments.pop();
    }
}

/// Segment by segment; where one list ends, zeros go on.
fn order(a: &[Segment<'_>], b: &[Segment<'_>]) -> Ordering {
    fn segment<'a>(list: &[Segment<'a>], nth: usize) -> Segment<'a> {
        list.get(nth).copied().unwrap_or(ZERO)
    }
    (0..a.len().max(b.len()))
        .map(|nth| segment(a, nth).cmp(&segment(b, nth)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rubygems_refuses_has_no_order() {
        let refused = [
            "", " ", "a", "1..2", ".1", "1.", "1a", "1-", "1-a..b", "1_2", "1.0\n2.0", "1+2", "1.é", "1.0 2",
        ];
        for version in refused {
            assert!(Gem.compare(version, "1").is_err(), "{version:?}");
            assert!(Gem.compare("1", version).is_err(), "{version:?}");
        }
    }

    #[test]
    fn a_date_longer_than_a_machine_integer_is_a_number() {
        assert_eq!(Gem.compare("1.4294967296", "1.5"), Ok(Ordering::Greater));
        assert_eq!(Gem.compare("1.20240101120000", "2"), Ok(Ordering::Less));
    }
}
