//! Semantic Versioning 2.0.0, section 11, read with the tolerances of npm's `semver.parse(…, {loose: true})`.

use std::cmp::Ordering;

use crate::version::natural::{Natural, split_run};
use crate::version::{Incomparable, Scheme};

/// SemVer's order; build metadata does not count. Accepted beyond the letter of the specification: white
/// space, `v` and `=` in front, left-out minor and patch numbers, zeros in front of numbers, a pre-release
/// without its hyphen (`1.2.3beta`), and numbers of any length. It is a total order of what it reads.
///
/// Bitnami's images put a revision behind a version (`1.2.3-4`). It is a pre-release here, as for osv.dev, and
/// above `1.2.3` for Bitnami's own tool; advisories speak of `1.2.3`. Who matches them has to take it off.
pub struct SemVer;

impl Scheme for SemVer {
    fn id(&self) -> &'static str {
        "semver"
    }

    fn compare(&self, a: &str, b: &str) -> Result<Ordering, Incomparable> {
        let parse = |version| {
            Version::parse(version)
                .ok_or_else(|| Incomparable { scheme: self.id(), version: version.to_owned() })
        };
        Ok(parse(a)?.cmp(&parse(b)?))
    }
}

/// The derived order is that of section 11: the three numbers, then a pre-release below its release, then
/// the pre-release's identifiers one by one, a longer list above the one it begins with.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version<'a> {
    numbers: [Natural<'a>; 3],
    released: bool,
    pre_release: Vec<Identifier<'a>>,
}

/// Section 11.4: numbers by value, below words; words byte by byte.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier<'a> {
    Number(Natural<'a>),
    Word(&'a str),
}

impl<'a> Version<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim_ascii().trim_start_matches(['v', 'V', '=', ' ']);
        let (text, build) = match text.split_once('+') {
            Some((text, build)) => (text, Some(build)),
            None => (text, None),
        };
        identifiers(build)?;
        let (release, rest) = split_run(text, |c| c.is_ascii_digit() || c == '.');
        // `1.2.-beta` and `1.2.beta` are refused: the empty number behind the last dot is none.
        let mut parts = release.split('.');
        let first = parts.next().and_then(Natural::parse)?;
        let mut numbers = [first, Natural::ZERO, Natural::ZERO];
        let mut slots = numbers.iter_mut().skip(1);
        for part in parts {
            *slots.next()? = Natural::parse(part)?;
        }
        let pre_release = (!rest.is_empty()).then(|| rest.strip_prefix('-').unwrap_or(rest));
        Some(Self { numbers, released: pre_release.is_none(), pre_release: identifiers(pre_release)? })
    }
}

/// The dot-separated identifiers; none of them may be empty (section 9).
fn identifiers(text: Option<&str>) -> Option<Vec<Identifier<'_>>> {
    let identifier = |part| Natural::parse(part).map(Identifier::Number).or_else(|| word(part));
    text.iter().flat_map(|text| text.split('.')).map(identifier).collect()
}

fn word(text: &str) -> Option<Identifier<'_>> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (!text.is_empty() && text.bytes().all(plain)).then_some(Identifier::Word(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_semantic_version_has_no_order() {
        let refused =
            ["", "v", "x", "1.", "1..2", "1.2.3.4", "1.2.3-", "1.2.3-a..b", "1.2.3+", "1.2.3 4", "1.2é"];
        for version in refused {
            assert!(SemVer.compare(version, version).is_err(), "{version:?}");
        }
    }

    #[test]
    fn a_fourth_number_is_refused_rather_than_cut_off() {
        assert_eq!(SemVer.compare("1.2.3.4", "1.2.3").unwrap_err().version, "1.2.3.4");
    }
}
