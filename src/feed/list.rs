//! `modified_id.csv`: which records an ecosystem has, and when each was last changed.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// Lines of a list: 5 million. All of OSV has well under one.
const MAX_LINES: usize = 5_000_000;

/// Bytes of a record's id: 256; real ones have up to forty.
const MAX_ID: usize = 256;

/// The records of an ecosystem, by id, each with the time of its last change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct List {
    pub(super) records: BTreeMap<String, Timestamp>,
    /// The newest change of all.
    pub(super) newest: Option<Timestamp>,
}

impl List {
    /// Reads a list, whole or not at all: a line that cannot be read may be the end of one that was cut, and what
    /// would have come after it must not count as deleted.
    ///
    /// # Errors
    /// What is wrong, with the line: a lowercase fragment.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "is no text".to_owned())?;
        if !text.is_empty() && !text.ends_with('\n') {
            return Err("its last line has no end: it was cut short".into());
        }
        let mut list = Self::default();
        for (number, line) in text.lines().enumerate() {
            if number >= MAX_LINES {
                return Err(format!("has more than the limit of {MAX_LINES} lines"));
            }
            let wrong = |what: &str| format!("line {}: {what}", number + 1);
            let (time, id) = line.split_once(',').ok_or_else(|| wrong("expected `TIME,ID`"))?;
            let time = parse_time(time).ok_or_else(|| wrong("its first part is no time"))?;
            if !is_id(id) {
                return Err(wrong("its second part is no id"));
            }
            list.newest = list.newest.max(Some(time));
            let known = list.records.entry(id.to_owned()).or_insert(time);
            *known = time.max(*known);
        }
        Ok(list)
    }
}

/// A time with or without its zone, which is UTC.
fn parse_time(text: &str) -> Option<Timestamp> {
    text.parse().or_else(|_| format!("{text}Z").parse()).ok()
}

/// An id becomes the last part of a URL, percent-encoded, and a name. Real ones have odd characters
/// (`ALPINE-CVE-????-?????`, and one that ends with a comma): a strange one must not keep all others out.
fn is_id(id: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b'\\');
    id.len() <= MAX_ID
        && id.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && id.bytes().all(allowed)
}

/// Whether a list says that a record was changed after the version that is there. One of the two may have lost its
/// fractions of a second.
pub(super) fn is_newer(listed: Timestamp, known: Option<Timestamp>) -> bool {
    let Some(known) = known else { return true };
    if listed.subsec_nanosecond() == 0 || known.subsec_nanosecond() == 0 {
        return listed.as_second() > known.as_second();
    }
    listed > known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_with_or_without_zones() {
        let list =
            List::parse(b"2026-01-02T00:00:00.5Z,A-1\n2026-01-01T00:00:00,B:2\n2026-01-01T00:00:00Z,A-1\n");
        let list = list.unwrap();
        assert_eq!(list.records.len(), 2);
        assert_eq!(list.newest, Some(list.records["A-1"]));
    }

    #[test]
    fn a_list_that_was_cut_is_none() {
        let whole = b"2026-01-02T00:00:00Z,A-10\n2026-01-01T00:00:00Z,B-2\n";
        let ends = [0, 26, whole.len()];
        for end in 0..=whole.len() {
            assert_eq!(List::parse(&whole[..end]).is_ok(), ends.contains(&end), "{end}");
        }
    }

    #[test]
    fn lines_of_another_kind_are_named() {
        for (text, want) in [
            ("2026-01-02T00:00:00Z,A\nx\n", "line 2: expected"),
            ("yesterday,A\n", "line 1: its first part"),
            ("2026-01-02T00:00:00Z,../A\n", "line 1: its second part"),
            ("2026-01-02T00:00:00Z,A/B\n", "line 1: its second part"),
            ("2026-01-02T00:00:00Z,A B\n", "line 1: its second part"),
            ("2026-01-02T00:00:00Z,\n", "line 1: its second part"),
            ("<html>\n", "line 1: expected"),
        ] {
            let error = List::parse(text.as_bytes()).unwrap_err();
            assert!(error.starts_with(want), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, lines in "([0-9TZ:.-]{0,20},?[A-Z?-]{0,9}\n){0,9}") {
            let _ = List::parse(&bytes);
            if let Ok(list) = List::parse(lines.as_bytes()) {
                proptest::prop_assert!(list.records.len() <= lines.lines().count());
            }
        }
    }

    #[test]
    fn fractions_count_where_both_have_them() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        assert!(!is_newer(time("2026-01-01T00:00:00.5Z"), Some(time("2026-01-01T00:00:00Z"))));
        assert!(is_newer(time("2026-01-01T00:00:00.5Z"), Some(time("2026-01-01T00:00:00.4Z"))));
        assert!(is_newer(time("2026-01-01T00:00:01Z"), Some(time("2026-01-01T00:00:00.4Z"))));
        assert!(is_newer(time("2026-01-01T00:00:00Z"), None));
    }
}
