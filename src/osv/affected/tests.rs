use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::version::{SCHEMES, scheme};

fn entry(text: &str) -> Affected {
    serde_json::from_str(text).unwrap()
}

fn range(kind: &str, events: &str) -> Affected {
    entry(&format!(r#"{{"ranges":[{{"type":"{kind}","events":{events}}}]}}"#))
}

fn answer(affected: &Affected, version: &str, ecosystem: &str) -> Answer {
    evaluate(affected, version, scheme(ecosystem))
}

fn is_affected(affected: &Affected, version: &str, ecosystem: &str) -> bool {
    matches!(answer(affected, version, ecosystem), Answer::Affected(_))
}

#[test]
fn a_range_reaches_from_introduced_to_before_fixed() {
    let one = range("ECOSYSTEM", r#"[{"introduced":"1.2"},{"fixed":"1.10"}]"#);
    for (version, want) in [("1.1", false), ("1.2", true), ("1.9", true), ("1.10", false), ("2", false)] {
        assert_eq!(is_affected(&one, version, "PyPI"), want, "{version}");
    }
}

#[test]
fn introduced_zero_is_before_every_version() {
    let all = range("ECOSYSTEM", r#"[{"introduced":"0"},{"fixed":"1"}]"#);
    assert!(is_affected(&all, "0~beta", "Debian:11"));
    assert!(is_affected(&all, "0_alpha1", "Alpine:v3.16"));
}

#[test]
fn fixed_zero_means_never_affected() {
    let never = range("ECOSYSTEM", r#"[{"introduced":"0"},{"fixed":"0"}]"#);
    for version in ["0_alpha", "1.0-r0"] {
        assert_eq!(answer(&never, version, "Alpine:v3.16"), Answer::NotAffected, "{version}");
    }
}

#[test]
fn events_count_in_the_order_of_their_versions() {
    let shuffled =
        range("ECOSYSTEM", r#"[{"fixed":"3"},{"introduced":"2"},{"fixed":"1"},{"introduced":"0"}]"#);
    for (version, want) in [("0.5", true), ("1", false), ("1.5", false), ("2", true), ("3", false)] {
        assert_eq!(is_affected(&shuffled, version, "PyPI"), want, "{version}");
    }
    let both = range("ECOSYSTEM", r#"[{"introduced":"1"},{"fixed":"1"}]"#);
    assert_eq!(answer(&both, "1", "PyPI"), Answer::NotAffected);
}

#[test]
fn a_fix_at_which_the_range_goes_on_is_no_sure_fix() {
    let goes_on =
        range("ECOSYSTEM", r#"[{"introduced":"0"},{"fixed":"4"},{"introduced":"4"},{"fixed":"5"}]"#);
    assert!(matches!(answer(&goes_on, "4.5", "PyPI"), Answer::Undetermined(_)));
    assert!(is_affected(&goes_on, "3", "PyPI"));
    assert_eq!(answer(&goes_on, "5", "PyPI"), Answer::NotAffected);
}

#[test]
fn last_affected_is_itself_affected() {
    let last = range("ECOSYSTEM", r#"[{"introduced":"1"},{"last_affected":"2"}]"#);
    assert!(is_affected(&last, "2", "PyPI") && !is_affected(&last, "2.0.1", "PyPI"));
    let Answer::Affected(hit) = answer(&last, "2", "PyPI") else { panic!() };
    assert!(hit.fix_unstated);
}

#[test]
fn a_limit_bounds_what_the_range_speaks_of() {
    let limited = range("ECOSYSTEM", r#"[{"introduced":"0"},{"limit":"2"}]"#);
    assert!(is_affected(&limited, "1.9", "PyPI") && !is_affected(&limited, "2", "PyPI"));
    assert!(is_affected(&range("ECOSYSTEM", r#"[{"introduced":"0"},{"limit":"*"}]"#), "9", "PyPI"));
}

#[test]
fn a_git_range_does_not_hide_the_one_beside_it() {
    let mixed = entry(
        r#"{"ranges":[{"type":"GIT","events":[{"introduced":"0"},{"fixed":"abc"}]},
            {"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"2"}]}]}"#,
    );
    assert!(is_affected(&mixed, "1", "PyPI") && !is_affected(&mixed, "2", "PyPI"));
    let git = entry(r#"{"ranges":[{"type":"GIT","events":[{"introduced":"0"}]}]}"#);
    assert_eq!(answer(&git, "1", "PyPI"), Answer::NotAffected);
}

#[test]
fn versions_match_by_spelling_and_by_order() {
    let listed = entry(r#"{"versions":["1.0","weird"]}"#);
    assert!(is_affected(&listed, "1.0", "PyPI") && is_affected(&listed, "1.0.0", "PyPI"));
    assert!(!is_affected(&listed, "1.0.1", "PyPI"));
    assert!(matches!(evaluate(&listed, "weird", None), Answer::Affected(_)));
    assert!(matches!(evaluate(&listed, "other", None), Answer::Undetermined(_)));
}

#[test]
fn an_entry_without_ranges_and_versions_affects_nothing() {
    assert_eq!(answer(&entry("{}"), "1", "PyPI"), Answer::NotAffected);
}

#[test]
fn a_version_that_cannot_be_compared_is_undetermined() {
    let one = range("ECOSYSTEM", r#"[{"introduced":"0"},{"fixed":"1.0-r1"}]"#);
    assert!(matches!(answer(&one, "not a version", "Alpine:v3.16"), Answer::Undetermined(_)));
    assert!(matches!(answer(&one, "", "Alpine:v3.16"), Answer::Undetermined(_)));
    assert!(matches!(answer(&one, "1.0", "OSS-Fuzz"), Answer::Undetermined(_)));
}

#[test]
fn a_range_without_introduced_or_an_unreadable_entry_is_undetermined() {
    for events in ["[]", r#"[{"fixed":"2"}]"#] {
        assert!(matches!(answer(&range("ECOSYSTEM", events), "1", "PyPI"), Answer::Undetermined(_)));
    }
    let unreadable = Affected { unreadable: Some("cut short".into()), ..Affected::default() };
    assert!(matches!(answer(&unreadable, "1", "PyPI"), Answer::Undetermined(_)));
}

#[test]
fn what_affects_every_version_needs_no_order() {
    let all = range("ECOSYSTEM", r#"[{"introduced":"0"}]"#);
    assert!(is_affected(&all, "whatever", "OSS-Fuzz"));
}

#[test]
fn an_event_that_cannot_be_compared_leaves_a_doubt() {
    let odd_fix = range("ECOSYSTEM", r#"[{"introduced":"0"},{"fixed":"?"}]"#);
    let Answer::Affected(hit) = answer(&odd_fix, "1.0-r0", "Alpine:v3.16") else { panic!() };
    assert_eq!(hit.low_confidence.as_deref(), Some("its event fixed ? could not be compared"));
    let odd_start = range("ECOSYSTEM", r#"[{"introduced":"?"},{"fixed":"2"}]"#);
    assert!(matches!(answer(&odd_start, "1.0-r0", "Alpine:v3.16"), Answer::Undetermined(_)));
}

#[test]
fn the_proposed_fix_is_the_smallest_above_in_the_same_range() {
    let two = entry(
        r#"{"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.5"}]},
            {"type":"ECOSYSTEM","events":[{"introduced":"2.0"},{"fixed":"2.3"}]}]}"#,
    );
    let Answer::Affected(hit) = answer(&two, "2.1", "PyPI") else { panic!() };
    assert_eq!(hit.fixed, ["2.3"]);
    assert_eq!(hit.event, "introduced 2.0 <= 2.1");
    let Answer::Affected(hit) = answer(&two, "1.0", "PyPI") else { panic!() };
    assert_eq!(hit.fixed, ["1.5", "2.3"]);
}

proptest! {
    /// What is passed over without being compared is not equal, by any scheme.
    #[test]
    fn equal_versions_have_the_same_numbers(
        parts in vec(select(&PARTS[..]), 1..8),
        changed in vec((0usize..8, select(&SAME[..])), 0..4),
    ) {
        let a = parts.concat();
        let mut b = parts.clone();
        for (place, (from, to)) in changed {
            if let Some(part) = b.get_mut(place).filter(|part| **part == from) {
                *part = to;
            }
        }
        let b = b.concat();
        for (scheme, _) in SCHEMES {
            if scheme.compare(&a, &b) == Ok(Ordering::Equal) {
                prop_assert!(may_be_equal(&a, &b), "{}: {a} = {b}", scheme.id());
            }
        }
    }
}

/// Pieces of versions of all schemes.
const PARTS: [&str; 30] = [
    "0", "1", "2", "01", "10", "00", ".", "-", "+", "~", "^", "_", "!", ":", "a", "b", "alpha", "beta", "rc",
    "p", "-r", "_p", "_rc", "post", "dev", "final", "ga", "v", "c0ffee", "sp",
];

/// Pieces that are the same to some of them.
const SAME: [(&str, &str); 12] = [
    ("1", "01"),
    ("0", "00"),
    ("0", ""),
    ("alpha", "a"),
    ("beta", "b"),
    (".", "-"),
    ("_", "."),
    ("v", ""),
    ("rc", "c"),
    ("final", ""),
    ("ga", "final"),
    ("10", "010"),
];
