//! Alpine's order (apk-package(5), "Package version"):
//! `number{.number}[letter]{_suffix[number]}[~commit][-rnumber]`.

use std::cmp::Ordering;

use crate::version::natural::{Natural, split_run};
use crate::version::{Incomparable, Scheme};

/// The order of `apk version -t`: the first part in which two versions differ decides, and what follows
/// it is not looked at. A version whose deciding part is malformed has no order; apk-tools would call two
/// malformed ones equal and any well-formed one smaller, which is no ground to admit an image on.
pub struct Apk;

impl Scheme for Apk {
    fn id(&self) -> &'static str {
        "apk"
    }

    fn compare(&self, a: &str, b: &str) -> Result<Ordering, Incomparable> {
        let malformed = |version: &str| Incomparable { scheme: self.id(), version: version.to_owned() };
        let (mut left, mut right) = (Parts::of(a), Parts::of(b));
        loop {
            let x = left.next().ok_or_else(|| malformed(a))?;
            let y = right.next().ok_or_else(|| malformed(b))?;
            match x.cmp(&y) {
                Ordering::Equal if x == Part::End => return Ok(Ordering::Equal),
                Ordering::Equal => {}
                decided @ (Ordering::Less | Ordering::Greater) => return Ok(decided),
            }
        }
    }
}

/// One part of a version. The order of the variants says which version is the greater where the two go
/// on differently: `1_rc1` < `1` < `1-r1` < `1~c0ffee` < `1_p1` < `1a` < `1.1`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    PreSuffix(PreSuffix),
    End,
    Revision(Natural<'a>),
    Commit(&'a str),
    SuffixNumber(Natural<'a>),
    PostSuffix(PostSuffix),
    Letter(u8),
    Component(Component<'a>),
    First(Natural<'a>),
}

/// A number behind a dot. As Gentoo rules, one with a leading zero counts as text: `1.01` < `1.1`, and
/// as its first character is the least of all, it is below every number without.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Component<'a> {
    Padded(&'a str),
    Plain(Natural<'a>),
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PreSuffix {
    Alpha,
    Beta,
    Pre,
    Rc,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PostSuffix {
    Cvs,
    Svn,
    Git,
    Hg,
    P,
}

/// Which part was read last: a part may not come before one that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Start,
    Number,
    Letter,
    Suffix,
    SuffixNumber,
    Commit,
    Revision,
}

struct Parts<'a> {
    rest: &'a str,
    stage: Stage,
}

impl<'a> Parts<'a> {
    fn of(version: &'a str) -> Self {
        Self { rest: version, stage: Stage::Start }
    }

    /// The next part, [`Part::End`] behind the last; `None` where the version is malformed.
    fn next(&mut self) -> Option<Part<'a>> {
        if self.stage == Stage::Start {
            return self.number(Stage::Number).and_then(Natural::parse).map(Part::First);
        }
        let Some(mark) = self.rest.chars().next() else {
            return Some(Part::End);
        };
        match mark {
            'a'..='z' if self.stage <= Stage::Number => self.letter(),
            '.' if self.stage <= Stage::Number => {
                self.skip(".")?;
                self.number(Stage::Number).and_then(component).map(Part::Component)
            }
            '0'..='9' if self.stage == Stage::Suffix => {
                self.number(Stage::SuffixNumber).and_then(Natural::parse).map(Part::SuffixNumber)
            }
            '_' if self.stage <= Stage::SuffixNumber => {
                self.skip("_")?;
                suffix(self.take(Stage::Suffix, |c| c.is_ascii_lowercase()))
            }
            '~' if self.stage < Stage::Commit => {
                self.skip("~")?;
                let commit = self.take(Stage::Commit, |c| matches!(c, '0'..='9' | 'a'..='f'));
                (!commit.is_empty()).then_some(Part::Commit(commit))
            }
            '-' if self.stage < Stage::Revision => {
                self.skip("-r")?;
                self.number(Stage::Revision).and_then(Natural::parse).map(Part::Revision)
            }
            _ => None,
        }
    }

    fn skip(&mut self, mark: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(mark)?;
        Some(())
    }

    fn take(&mut self, stage: Stage, belongs: impl Fn(char) -> bool) -> &'a str {
        let (run, rest) = split_run(self.rest, belongs);
        (self.rest, self.stage) = (rest, stage);
        run
    }

    fn number(&mut self, stage: Stage) -> Option<&'a str> {
        Some(self.take(stage, |c| c.is_ascii_digit())).filter(|digits| !digits.is_empty())
    }

    fn letter(&mut self) -> Option<Part<'a>> {
        let (letter, rest) = self.rest.as_bytes().first().copied().zip(self.rest.get(1..))?;
        (self.rest, self.stage) = (rest, Stage::Letter);
        Some(Part::Letter(letter))
    }
}

fn component(digits: &str) -> Option<Component<'_>> {
    if digits.starts_with('0') {
        return Some(Component::Padded(digits));
    }
    Natural::parse(digits).map(Component::Plain)
}

fn suffix(word: &str) -> Option<Part<'_>> {
    let part = match word {
        "alpha" => Part::PreSuffix(PreSuffix::Alpha),
        "beta" => Part::PreSuffix(PreSuffix::Beta),
        "pre" => Part::PreSuffix(PreSuffix::Pre),
        "rc" => Part::PreSuffix(PreSuffix::Rc),
        "cvs" => Part::PostSuffix(PostSuffix::Cvs),
        "svn" => Part::PostSuffix(PostSuffix::Svn),
        "git" => Part::PostSuffix(PostSuffix::Git),
        "hg" => Part::PostSuffix(PostSuffix::Hg),
        "p" => Part::PostSuffix(PostSuffix::P),
        _ => return None,
    };
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_part_that_decides_leaves_the_order_unknown() {
        for version in ["", "a", "-r1", "1_foo", "1.", "1..2", "1bc", "1-r", "1-r1-r2", "1~", "1p1", "1.2é"]
        {
            assert!(Apk.compare(version, version).is_err(), "{version:?}");
        }
        assert_eq!(Apk.compare("1.0", "1.0_foo").unwrap_err().version, "1.0_foo");
    }

    #[test]
    fn a_malformed_part_behind_the_deciding_one_does_not_matter() {
        assert_eq!(Apk.compare("23_foo", "4_beta"), Ok(Ordering::Greater));
    }

    #[test]
    fn a_date_longer_than_a_machine_integer_keeps_its_order() {
        assert_eq!(
            Apk.compare("1.0_pre99999999999999999999-r0", "1.0_pre100000000000000000000-r0"),
            Ok(Ordering::Less)
        );
    }
}
