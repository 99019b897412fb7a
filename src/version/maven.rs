//! Maven's order (maven.apache.org/pom.html, "Version Order Specification"): numbers and words, in lists
//! inside lists wherever a hyphen stands or digits and letters meet.

use std::cmp::Ordering;
use std::slice::Iter;

use crate::version::natural::Natural;
use crate::version::{Incomparable, Scheme, are_alike};

/// The order of Maven's `ComparableVersion` as its main branch has it in autumn 2026. It is a total order of
/// what it reads: all triples of 9,331 short versions hold. That of Maven 3 and the first 4 is none (`1` < `1-1` <
/// `1.0-0-alpha` < `1`), and differs where a word such as `ga` has a number or a list behind it.
///
/// Maven takes every text for a version. Refused here are the empty one, and digits outside ASCII where Maven
/// fails or reads half of them.
pub struct Maven;

impl Scheme for Maven {
    fn id(&self) -> &'static str {
        "maven"
    }

    fn compare(&self, a: &str, b: &str) -> Result<Ordering, Incomparable> {
        let refused = |version: &str| Incomparable { scheme: self.id(), version: version.to_owned() };
        let (lower_a, lower_b) = (a.to_lowercase(), b.to_lowercase());
        let left = Reader::read(&lower_a).ok_or_else(|| refused(a))?;
        let right = Reader::read(&lower_b).ok_or_else(|| refused(b))?;
        Ok(order(&left, &right))
    }

    fn comparable(&self, a: &str, b: &str) -> bool {
        are_alike(a, b) && self.compare(a, b).is_ok()
    }
}

/// A list's items. The list inside it is its last item always: here it is the next one instead. Attack: a
/// list inside a list for each of ten thousand hyphens costs no recursion.
type List<'a> = Vec<Item<'a>>;

#[derive(Debug, Clone, Copy)]
enum Item<'a> {
    Number(Natural<'a>),
    Word(Qualifier<'a>),
    /// A word and the number at its end, with or without a hyphen between them: `rc1`, `rc-1`.
    Pair(Qualifier<'a>, Natural<'a>),
}

/// What a word says about the release it stands behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Qualifier<'a> {
    Alpha,
    Beta,
    Milestone,
    Rc,
    Snapshot,
    /// Nothing: it is the release.
    Release,
    Sp,
    Other(Utf16<'a>),
}

impl<'a> Qualifier<'a> {
    fn of(word: &'a str) -> Self {
        match word {
            "alpha" => Self::Alpha,
            "beta" => Self::Beta,
            "milestone" => Self::Milestone,
            "rc" | "cr" => Self::Rc,
            "snapshot" => Self::Snapshot,
            "ga" | "final" | "release" => Self::Release,
            "sp" => Self::Sp,
            other => Self::Other(Utf16(other)),
        }
    }

    fn before_number(word: &'a str) -> Self {
        match word {
            "a" => Self::Alpha,
            "b" => Self::Beta,
            "m" => Self::Milestone,
            other => Self::of(other),
        }
    }
}

/// A text in the order of Java's `String.compareTo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Utf16<'a>(&'a str);

impl Ord for Utf16<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.encode_utf16().cmp(other.0.encode_utf16())
    }
}

impl PartialOrd for Utf16<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Item<'_> {
    fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.cmp(&b),
            (Self::Number(_), Self::Word(_) | Self::Pair(..)) => Ordering::Greater,
            (Self::Word(_) | Self::Pair(..), Self::Number(_)) => Ordering::Less,
            (Self::Word(a), Self::Word(b)) => a.cmp(&b),
            (Self::Pair(a, m), Self::Pair(b, n)) => a.cmp(&b).then(m.cmp(&n)),
            (Self::Pair(a, number), Self::Word(b)) => a.cmp(&b).then(Self::beyond_word(a, number)),
            (Self::Word(a), Self::Pair(b, number)) => a.cmp(&b).then(Self::beyond_word(b, number).reverse()),
        }
    }

    /// `rc0` is above `rc`, but `ga0` is just the release.
    fn beyond_word(word: Qualifier<'_>, number: Natural<'_>) -> Ordering {
        match word == Qualifier::Release {
            true => number.cmp(&Natural::ZERO),
            false => Ordering::Greater,
        }
    }

    /// The order against nothing at all.
    fn beside_nothing(&self) -> Ordering {
        match *self {
            Self::Number(number) => number.cmp(&Natural::ZERO),
            Self::Word(word) => word.cmp(&Qualifier::Release),
            Self::Pair(word, number) => word.cmp(&Qualifier::Release).then(number.cmp(&Natural::ZERO)),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    lists: Vec<List<'a>>,
    /// Where the item begins that is being read.
    start: usize,
    /// Whether the last digit or letter was a digit; dots and hyphens do not change it.
    digits: bool,
    pair: bool,
}

impl<'a> Reader<'a> {
    /// Reads a version in lower case.
    fn read(text: &'a str) -> Option<Vec<List<'a>>> {
        let mut reader = Self { text, lists: vec![List::new()], start: 0, digits: false, pair: false };
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '.' => {
                    reader.add(at)?;
                    reader.begin(at + 1);
                }
                '-' => {
                    let number = chars.peek().is_some_and(|(_, next)| next.is_numeric());
                    if at > reader.start && !reader.digits && number {
                        reader.pair = true;
                        continue;
                    }
                    reader.add(at)?;
                    reader.begin(at + 1);
                    reader.open();
                }
                '0'..='9' => {
                    if !reader.digits && at > reader.start {
                        reader.pair = true;
                        reader.open();
                    }
                    reader.digits = true;
                }
                // Maven cuts a surrogate pair in the middle here, and fails.
                _ if reader.digits && c.len_utf16() > 1 => return None,
                _ => {
                    if reader.digits && at > reader.start {
                        reader.add(at)?;
                        reader.begin(at);
                        reader.open();
                    }
                    reader.digits = false;
                }
            }
        }
        if text.len() > reader.start {
            if !reader.digits {
                reader.open();
            }
            reader.add(text.len())?;
        }
        (!text.is_empty()).then(|| normalised(reader.lists))
    }

    fn begin(&mut self, start: usize) {
        (self.start, self.pair) = (start, false);
    }

    fn open(&mut self) {
        if self.lists.last().is_some_and(|list| !list.is_empty()) {
            self.lists.push(List::new());
        }
    }

    /// Ends the item that is being read; an empty one is a zero.
    fn add(&mut self, end: usize) -> Option<()> {
        let text = self.text.get(self.start..end)?;
        let item = match () {
            () if text.is_empty() => Item::Number(Natural::ZERO),
            () if self.pair => pair(text)?,
            () if self.digits => Item::Number(Natural::parse(text)?),
            () => Item::Word(Qualifier::of(text)),
        };
        self.lists.last_mut()?.push(item);
        Some(())
    }
}

/// Maven takes digits of other scripts for the number where they are a pair's, and for letters elsewhere.
fn pair(text: &str) -> Option<Item<'_>> {
    let (word, number) = text.split_at(text.find(|c: char| c.is_ascii_digit())?);
    let word = word.strip_suffix('-').unwrap_or(word);
    let plain = !word.chars().any(char::is_numeric);
    plain.then_some(Item::Pair(Qualifier::before_number(word), Natural::parse(number)?))
}

/// Without the zeros that stand at the end of a list or in front of a word, and without the lists that are
/// empty then.
fn normalised(lists: Vec<List<'_>>) -> Vec<List<'_>> {
    let mut kept: Vec<List<'_>> = Vec::new();
    for list in lists.into_iter().rev() {
        let mut items = List::new();
        for item in list.into_iter().rev() {
            let falls_away = match (items.last(), kept.last().and_then(|inner| inner.first())) {
                (Some(next), _) => matches!(next, Item::Word(_)),
                (None, Some(inner)) => matches!(inner, Item::Word(_) | Item::Pair(..)),
                (None, None) => true,
            };
            if !(falls_away && matches!(item, Item::Number(Natural::ZERO))) {
                items.push(item);
            }
        }
        if !items.is_empty() {
            items.reverse();
            kept.push(items);
        }
    }
    kept.reverse();
    kept
}

/// What comes next in a list.
enum Element<'a> {
    Item(Item<'a>),
    Inner,
    End,
}

struct Cursor<'l, 'a> {
    list: Iter<'l, Item<'a>>,
    inner: Iter<'l, List<'a>>,
}

impl<'l, 'a> Cursor<'l, 'a> {
    fn of(lists: &'l [List<'a>]) -> Self {
        let mut cursor = Self { list: Iter::default(), inner: lists.iter() };
        cursor.enter();
        cursor
    }

    fn next(&mut self) -> Element<'a> {
        match self.list.next() {
            Some(item) => Element::Item(*item),
            None if self.inner.len() > 0 => Element::Inner,
            None => Element::End,
        }
    }

    fn enter(&mut self) {
        self.list = self.inner.next().map(|list| list.iter()).unwrap_or_default();
    }

    /// Reads to the end.
    fn rest_beside_nothing(&mut self) -> Ordering {
        let lists = std::mem::take(&mut self.inner).flatten();
        let items = std::mem::take(&mut self.list).chain(lists);
        items.map(Item::beside_nothing).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// The list inside against an item: less than a number; else its first item decides, then the rest.
    fn inner_beside(&mut self, item: Item<'_>) -> Ordering {
        if matches!(item, Item::Number(_)) {
            return Ordering::Less;
        }
        self.enter();
        let first = self.list.next().map_or(item.beside_nothing().reverse(), |first| first.order(item));
        first.then_with(|| self.rest_beside_nothing())
    }
}

fn order(left: &[List<'_>], right: &[List<'_>]) -> Ordering {
    let (mut left, mut right) = (Cursor::of(left), Cursor::of(right));
    loop {
        let order = match (left.next(), right.next()) {
            (Element::End, Element::End) => return Ordering::Equal,
            (Element::Item(a), Element::Item(b)) => a.order(b),
            (Element::Item(a), Element::End) => a.beside_nothing(),
            (Element::End, Element::Item(b)) => b.beside_nothing().reverse(),
            (Element::Inner, Element::Inner) => {
                left.enter();
                right.enter();
                Ordering::Equal
            }
            (Element::Inner, Element::End) => left.rest_beside_nothing(),
            (Element::End, Element::Inner) => right.rest_beside_nothing().reverse(),
            (Element::Inner, Element::Item(b)) => left.inner_beside(b),
            (Element::Item(a), Element::Inner) => right.inner_beside(a).reverse(),
        };
        if order.is_ne() {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_maven_fails_at_has_no_order() {
        for version in ["", "a-٣b", "a-٣", "1𝟤", "1.𝟤"] {
            assert!(Maven.compare(version, "1").is_err(), "{version:?}");
            assert!(Maven.compare("1", version).is_err(), "{version:?}");
        }
    }

    #[test]
    fn letters_and_digits_of_other_scripts_are_letters() {
        assert_eq!(Maven.compare("1", "𝟤"), Ok(Ordering::Greater));
        assert_eq!(Maven.compare("9", "٨"), Ok(Ordering::Greater));
        assert_eq!(Maven.compare("1.é", "1.É"), Ok(Ordering::Equal));
        assert_eq!(Maven.compare("\u{10000}", "\u{ffff}"), Ok(Ordering::Less), "as UTF-16 has them");
    }

    #[test]
    fn what_was_a_circle_is_a_line() {
        for (a, b) in [
            ("1.0-0-alpha", "1"),
            ("1", "1-1"),
            ("1.0-0-alpha", "1-1"),
            ("1-ga", "1-ga1"),
            ("1-ga1", "1-ga2"),
        ] {
            assert_eq!(Maven.compare(a, b), Ok(Ordering::Less), "{a} {b}");
        }
    }
}
