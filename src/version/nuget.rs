//! NuGet's order (NuGet.Versioning): up to four numbers, then a pre-release that knows no case.

use std::cmp::Ordering;

use crate::version::natural::{Natural, split_run};
use crate::version::{Incomparable, Scheme};

/// The order of `NuGetVersion`, in which build metadata does not count. It is a total order of what NuGet
/// reads and of versions like that with numbers of any length.
pub struct NuGet;

impl Scheme for NuGet {
    fn id(&self) -> &'static str {
        "nuget"
    }

    fn compare(&self, a: &str, b: &str) -> Result<Ordering, Incomparable> {
        let parse = |version| {
            Version::parse(version)
                .ok_or_else(|| Incomparable { scheme: self.id(), version: version.to_owned() })
        };
        Ok(parse(a)?.cmp(&parse(b)?))
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version<'a> {
    numbers: [Natural<'a>; 4],
    released: bool,
    labels: Vec<Label>,
}

/// NuGet takes for a number what fits 32 bits with a sign, and everything else for a word: `1-5` is `1--5`
/// and a bit more, and two dates of 14 digits compare as texts.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Number(i32),
    Word(String),
}

impl<'a> Version<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim_ascii();
        let (text, metadata) = match text.split_once('+') {
            Some((text, metadata)) => (text, Some(metadata)),
            None => (text, None),
        };
        labels(metadata)?;
        let (release, pre_release) = match text.split_once('-') {
            Some((release, pre_release)) => (release, Some(pre_release)),
            None => (text, None),
        };
        let mut numbers = [Natural::ZERO; 4];
        let mut slots = numbers.iter_mut();
        for part in release.split('.') {
            *slots.next()? = Natural::parse(part)?;
        }
        Some(Self { numbers, released: pre_release.is_none(), labels: labels(pre_release)? })
    }
}

/// The dot-separated labels, none of which may be empty.
fn labels(text: Option<&str>) -> Option<Vec<Label>> {
    text.iter().flat_map(|text| text.split('.')).map(label).collect()
}

fn label(text: &str) -> Option<Label> {
    let (plain, rest) = split_run(text, |c| c.is_ascii_alphanumeric() || c == '-');
    if plain.is_empty() || !rest.is_empty() {
        return None;
    }
    Some(plain.parse().map_or_else(|_| Label::Word(plain.to_ascii_lowercase()), Label::Number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nuget_refuses_has_no_order() {
        let refused = [
            "",
            " ",
            "v1",
            "1.",
            ".1",
            "1..2",
            "1.2.3.4.5",
            "1.0-",
            "1.0-a..b",
            "1.0+",
            "1.0beta",
            "1.0-ä",
            "x",
        ];
        for version in refused {
            assert!(NuGet.compare(version, "1").is_err(), "{version:?}");
            assert!(NuGet.compare("1", version).is_err(), "{version:?}");
        }
    }

    #[test]
    fn labels_beyond_32_bits_are_words_as_for_nuget() {
        assert_eq!(NuGet.compare("1.0-2147483648", "1.0-2147483647"), Ok(Ordering::Greater));
        assert_eq!(NuGet.compare("1.0-20240101120000", "1.0-3"), Ok(Ordering::Greater));
        assert_eq!(NuGet.compare("1.0--5", "1.0-0"), Ok(Ordering::Less));
    }
}
