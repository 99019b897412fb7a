//! Composer's order: what `VersionParser::normalize` makes of a version, compared by PHP's `version_compare`.

use std::cmp::Ordering;

use crate::version::natural::{Natural, split_run};
use crate::version::{Incomparable, Scheme};

/// The order of `composer/semver`. PHP's `version_compare` alone, by which osv.dev orders, is no order: any
/// number is equal to a `#`, and `1.0` is below `1.0.0`. Of what Composer normalises it is a total order, but
/// for branches (`dev-main`): what they hold only their commit says, and Composer compares them with nothing.
/// Accepted beyond Composer: a first number of any length.
pub struct Composer;

impl Scheme for Composer {
    fn id(&self) -> &'static str {
        "composer"
    }

    fn compare(&self, a: &str, b: &str) -> Result<Ordering, Incomparable> {
        let parse = |version| {
            tokens(version).ok_or_else(|| Incomparable { scheme: self.id(), version: version.to_owned() })
        };
        Ok(parse(a)?.cmp(&parse(b)?))
    }

    /// A branch (`4.4.x-dev`) is above every release of its line: which fixes it has its commit alone says.
    fn comparable(&self, a: &str, b: &str) -> bool {
        let is_branch = |text: &str| {
            let text = text.trim().to_ascii_lowercase();
            text.ends_with("x-dev") || text.starts_with("9999999")
        };
        [a, b].iter().all(|text| !is_branch(text) && tokens(text).is_some())
    }
}

/// What stands between dots, hyphens and changes from letters to digits, in the order of `version_compare`.
/// The end of a version has its place in it too: `1-RC1` < `1` < `1.0` < `1-patch1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Token<'a> {
    Dev,
    Alpha,
    Beta,
    Rc,
    End,
    Number(Natural<'a>),
    Patch,
}

/// Stands for `x` in the names of numeric branches: `1.x-dev`.
const ANY: &str = "9999999";

const STABILITIES: [(&str, Option<Token<'static>>); 9] = [
    ("stable", None),
    ("alpha", Some(Token::Alpha)),
    ("a", Some(Token::Alpha)),
    ("beta", Some(Token::Beta)),
    ("b", Some(Token::Beta)),
    ("rc", Some(Token::Rc)),
    ("patch", Some(Token::Patch)),
    ("pl", Some(Token::Patch)),
    ("p", Some(Token::Patch)),
];

fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    let text = without_build(without_stability(text.trim_ascii()));
    classical(text, 5)
        .or_else(|| dated(text))
        .or_else(|| numeric_branch(text))
        .or_else(|| classical(text, usize::MAX))
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// Without `@stable` and the like at the end.
fn without_stability(text: &str) -> &str {
    let flags = ["stable", "rc", "beta", "alpha", "dev"];
    match text.rsplit_once('@') {
        Some((version, flag)) if flags.iter().any(|known| known.eq_ignore_ascii_case(flag)) => version,
        Some(_) | None => text,
    }
}

/// `^([^,\s+]++)\+[^\s]++$`
fn without_build(text: &str) -> &str {
    match text.split_once('+') {
        Some((version, build))
            if !version.is_empty()
                && !version.contains(|c: char| c == ',' || c.is_ascii_whitespace())
                && !build.is_empty()
                && !build.contains(|c: char| c.is_ascii_whitespace()) =>
        {
            version
        }
        Some(_) | None => text,
    }
}

/// `1.2.3.4` with up to three numbers left out, and what makes it a pre-release or a patch. Composer's first
/// number has five digits at most; longer ones are dates first.
fn classical(text: &str, longest: usize) -> Option<Vec<Token<'_>>> {
    let (first, mut rest) = split_run(strip_prefix(text, "v").unwrap_or(text), |c| c.is_ascii_digit());
    let mut numbers = vec![Token::Number(Natural::parse(first).filter(|_| first.len() <= longest)?)];
    while numbers.len() < 4 {
        let number = rest.strip_prefix('.').map(|behind| split_run(behind, |c| c.is_ascii_digit()));
        let Some((number, behind)) = number.and_then(|(run, behind)| Some((Natural::parse(run)?, behind)))
        else {
            break;
        };
        numbers.push(Token::Number(number));
        rest = behind;
    }
    numbers.resize(4, Token::Number(Natural::ZERO));
    modified(numbers, rest)
}

/// `[._-]?(?:(stable|beta|b|RC|alpha|a|patch|pl|p)((?:[.-]?\d+)*+)?)?([.-]?dev)?$`
fn modified<'a>(mut tokens: Vec<Token<'a>>, text: &'a str) -> Option<Vec<Token<'a>>> {
    let text = text.strip_prefix(['.', '_', '-']).unwrap_or(text);
    let stability = STABILITIES.iter().find_map(|(name, token)| Some((token, strip_prefix(text, name)?)));
    let Some((token, mut rest)) = stability else {
        return ended(tokens, text);
    };
    let mut numbers = Vec::new();
    loop {
        let (run, behind) = split_run(rest.strip_prefix(['.', '-']).unwrap_or(rest), |c| c.is_ascii_digit());
        let Some(number) = Natural::parse(run) else { break };
        numbers.push(Token::Number(number));
        rest = behind;
    }
    let Some(token) = token else {
        // Composer looks at nothing else where it says `stable`.
        ended(Vec::new(), rest)?;
        tokens.push(Token::End);
        return Some(tokens);
    };
    tokens.push(token.clone());
    tokens.extend(numbers);
    ended(tokens, rest)
}

/// `([.-]?dev)?$`
fn ended<'a>(mut tokens: Vec<Token<'a>>, text: &'a str) -> Option<Vec<Token<'a>>> {
    if !text.is_empty() {
        let word = text.strip_prefix(['.', '-']).unwrap_or(text);
        if !word.eq_ignore_ascii_case("dev") {
            return None;
        }
        tokens.push(Token::Dev);
    }
    tokens.push(Token::End);
    Some(tokens)
}

/// `\d{4}(?:[.:-]?\d{2}){1,6}(?:[.:-]?\d{1,3}){0,2}`, and what makes it a pre-release or a patch.
fn dated(text: &str) -> Option<Vec<Token<'_>>> {
    let text = strip_prefix(text, "v").unwrap_or(text);
    let mut ends = vec![digits(text, 0, 4)?];
    let mut all = Vec::new();
    for _ in 0..6 {
        ends = ends
            .iter()
            .flat_map(|end| behind_separator(text, *end))
            .filter_map(|at| digits(text, at, 2))
            .collect();
        all.extend(&ends);
    }
    for _ in 0..2 {
        let more = all.iter().flat_map(|end| behind_separator(text, *end));
        let more = more.flat_map(|at| (1..=3).filter_map(move |count| digits(text, at, count)));
        let more: Vec<usize> = more.collect();
        all.extend(more);
        all.sort_unstable();
        all.dedup();
    }
    all.iter().rev().find_map(|end| {
        let (date, rest) = text.split_at_checked(*end)?;
        let numbers = date.split(|c: char| !c.is_ascii_digit()).map(Natural::parse);
        modified(numbers.map(|number| number.map(Token::Number)).collect::<Option<_>>()?, rest)
    })
}

/// The places where an optional separator at a place leads.
fn behind_separator(text: &str, at: usize) -> impl Iterator<Item = usize> {
    let separated = text.as_bytes().get(at).is_some_and(|b| matches!(b, b'.' | b':' | b'-'));
    std::iter::once(at).chain(separated.then_some(at + 1))
}

/// The end of so many digits, if they stand there.
fn digits(text: &str, at: usize, count: usize) -> Option<usize> {
    let run = text.as_bytes().get(at..at + count)?;
    run.iter().all(u8::is_ascii_digit).then_some(at + count)
}

/// `1.x-dev`: the greatest that a branch of numbers can hold.
fn numeric_branch(text: &str) -> Option<Vec<Token<'_>>> {
    let (name, dev) = text.split_at_checked(text.len().checked_sub(3)?)?;
    if !dev.eq_ignore_ascii_case("dev") {
        return None;
    }
    let name = name.strip_suffix(['.', '-']).unwrap_or(name).trim_ascii();
    let mut parts = strip_prefix(name, "v").unwrap_or(name).split('.');
    let mut tokens = vec![Token::Number(Natural::parse(parts.next()?)?)];
    for part in parts {
        let part = if ["x", "X", "*"].contains(&part) { ANY } else { part };
        tokens.push(Token::Number(Natural::parse(part)?));
    }
    if tokens.len() > 4 {
        return None;
    }
    tokens.resize(4, Token::Number(Natural::parse(ANY)?));
    tokens.extend([Token::Dev, Token::End]);
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_composer_refuses_has_no_order() {
        let refused = [
            "",
            " ",
            "v",
            "a",
            "1.0foo",
            "1.0.0.0.0",
            "1.0-5",
            "1.2.3.#",
            "foo-dev",
            "1.0 as 2.0",
            "1.0,2.0",
            "^1.0",
            "1.0-beta.x",
            "dev-",
            "dev-main",
            "DEV-1.0",
            "master",
            "dev-main",
            "master",
            "1.x",
            "1.0é",
            "2010-1",
            "1.2.3.4.x-dev",
        ];
        for version in refused {
            assert!(Composer.compare(version, "1").is_err(), "{version:?}");
            assert!(Composer.compare("1", version).is_err(), "{version:?}");
            assert!(Composer.compare(version, version).is_err(), "{version:?}");
        }
    }
}
