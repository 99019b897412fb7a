//! The order of Dart's and Flutter's packages (pub_semver): SemVer in which build metadata counts.

use std::cmp::Ordering;

use crate::version::natural::{Natural, split_run};
use crate::version::{Incomparable, Scheme};

/// The order of `pub_semver`. It is a total order of what pub reads; accepted beyond that, as by osv.dev: a
/// `v` in front, and numbers of any length.
pub struct Pub;

impl Scheme for Pub {
    fn id(&self) -> &'static str {
        "pub"
    }

    fn compare(&self, a: &str, b: &str) -> Result<Ordering, Incomparable> {
        let parse = |version| {
            Version::parse(version)
                .ok_or_else(|| Incomparable { scheme: self.id(), version: version.to_owned() })
        };
        Ok(parse(a)?.cmp(&parse(b)?))
    }
}

/// No pre-release is above every one, no build below every one.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version<'a> {
    numbers: [Natural<'a>; 3],
    released: bool,
    pre_release: Vec<Identifier<'a>>,
    build: Vec<Identifier<'a>>,
}

/// Dart takes for a number what fits 64 bits with a sign, and everything else for a word.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identifier<'a> {
    Number(i64),
    Word(&'a str),
}

impl<'a> Version<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (text, build) = match text.split_once('+') {
            Some((text, build)) => (text, Some(build)),
            None => (text, None),
        };
        let (release, pre_release) = match text.split_once('-') {
            Some((release, pre_release)) => (release, Some(pre_release)),
            None => (text, None),
        };
        let mut parts = release.strip_prefix('v').unwrap_or(release).split('.').map(Natural::parse);
        let numbers = [parts.next()??, parts.next()??, parts.next()??];
        let released = pre_release.is_none();
        let (pre_release, build) = (identifiers(pre_release)?, identifiers(build)?);
        parts.next().is_none().then_some(Self { numbers, released, pre_release, build })
    }
}

/// The dot-separated identifiers, none of which may be empty.
fn identifiers(text: Option<&str>) -> Option<Vec<Identifier<'_>>> {
    text.iter().flat_map(|text| text.split('.')).map(identifier).collect()
}

fn identifier(text: &str) -> Option<Identifier<'_>> {
    let (plain, rest) = split_run(text, |c| c.is_ascii_alphanumeric() || c == '-');
    // `0x10` is 16 for Dart's own machine; what a number beyond its integers is, depends on the machine.
    let unsigned = plain.strip_prefix('-').unwrap_or(plain);
    let hexadecimal = unsigned.starts_with("0x") || unsigned.starts_with("0X");
    if plain.is_empty() || !rest.is_empty() || hexadecimal {
        return None;
    }
    Some(plain.parse().map_or(Identifier::Word(plain), Identifier::Number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pub_refuses_has_no_order() {
        let refused = [
            "",
            "1",
            "1.2",
            "1.2.3.4",
            "1.2.3-",
            "1.2.3+",
            "1.2.3-a..b",
            "1.2.3beta",
            " 1.2.3",
            "1.2.3-é",
            "1..3",
        ];
        for version in refused {
            assert!(Pub.compare(version, "1.0.0").is_err(), "{version:?}");
            assert!(Pub.compare("1.0.0", version).is_err(), "{version:?}");
        }
    }

    #[test]
    fn a_hexadecimal_identifier_has_no_order() {
        assert!(Pub.compare("1.0.0-0x10", "1.0.0-16").is_err());
        assert_eq!(Pub.compare("1.0.0--5", "1.0.0-0"), Ok(Ordering::Less));
    }
}
