//! What holds for every scheme.

use std::cmp::Ordering;

use proptest::prelude::*;

use super::{SCHEMES, Scheme, scheme};

/// One table for each scheme: `A < B` and `A = B` a line, `! A` for what has no order.
const TABLES: &[(&str, &str)] = &[
    ("apk", include_str!("../../testdata/version/apk.txt")),
    ("composer", include_str!("../../testdata/version/composer.txt")),
    ("cran", include_str!("../../testdata/version/cran.txt")),
    ("dpkg", include_str!("../../testdata/version/dpkg.txt")),
    ("gem", include_str!("../../testdata/version/gem.txt")),
    ("hackage", include_str!("../../testdata/version/hackage.txt")),
    ("maven", include_str!("../../testdata/version/maven.txt")),
    ("nuget", include_str!("../../testdata/version/nuget.txt")),
    ("pep440", include_str!("../../testdata/version/pep440.txt")),
    ("pub", include_str!("../../testdata/version/pub.txt")),
    ("rpm", include_str!("../../testdata/version/rpm.txt")),
    ("semver", include_str!("../../testdata/version/semver.txt")),
];

fn assert_line(scheme: &dyn Scheme, line: &str) {
    if let Some(version) = line.strip_prefix("! ") {
        assert!(scheme.compare(version, version).is_err(), "{}: {line}", scheme.id());
        return;
    }
    let parts: Vec<&str> = line.split(' ').collect();
    let [a, sign, b] = parts[..] else { panic!("{}: {line}", scheme.id()) };
    let expected = match sign {
        "<" => Ordering::Less,
        "=" => Ordering::Equal,
        _ => panic!("{}: {line}", scheme.id()),
    };
    assert_eq!(scheme.compare(a, b), Ok(expected), "{}: {line}", scheme.id());
    assert_eq!(scheme.compare(b, a), Ok(expected.reverse()), "{}: {line}, reversed", scheme.id());
}

#[test]
fn every_scheme_keeps_its_table_forwards_and_backwards() {
    for (scheme, _) in SCHEMES {
        let (_, table) = TABLES.iter().find(|(id, _)| *id == scheme.id()).expect("a table for every scheme");
        let lines: Vec<&str> = table.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() >= 25, "{}", scheme.id());
        lines.iter().for_each(|line| assert_line(*scheme, line));
    }
}

#[test]
fn an_ecosystem_has_one_scheme_whatever_its_release() {
    let id = |ecosystem| scheme(ecosystem).map(Scheme::id);
    assert_eq!(id("Debian:12"), Some("dpkg"));
    assert_eq!(id("Ubuntu:Pro:18.04:LTS"), Some("dpkg"));
    assert_eq!(id("Root:Alpine:3.18"), Some("apk"));
    assert_eq!(id("Root:PyPI"), Some("pep440"));
    assert_eq!(id("Red Hat:enterprise_linux:9::baseos"), Some("rpm"));
    for unknown in ["", "debian", "Root", "Root:Root:npm", "hackage", "Debian 12"] {
        assert_eq!(id(unknown), None, "{unknown}");
    }
    let mut names: Vec<&str> = SCHEMES.iter().flat_map(|(_, names)| *names).copied().collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "an ecosystem stands in two rows");
}

/// `1` and `1.0.0`, and up to three or two pieces behind them.
fn short_versions() -> Vec<String> {
    const PIECES: [&str; 7] = ["0", "1", ".", "-", "a", "rc", "ga"];
    let mut all = Vec::new();
    for (first, count) in [("1", 3), ("1.0.0", 2)] {
        let mut newest = vec![first.to_owned()];
        for _ in 0..count {
            all.extend(newest.iter().cloned());
            newest = newest.iter().flat_map(|text| PIECES.map(|piece| format!("{text}{piece}"))).collect();
        }
        all.extend(newest);
    }
    all
}

/// An order in which three versions go round in a circle has no place for them in one line.
#[test]
fn short_versions_stand_in_one_line() {
    let all = short_versions();
    for (scheme, _) in SCHEMES {
        let ordered: Vec<&String> = all.iter().filter(|text| scheme.compare(text, text).is_ok()).collect();
        let row = |a: &String| ordered.iter().map(|b| scheme.compare(a, b).unwrap()).collect::<Vec<_>>();
        let rows: Vec<Vec<Ordering>> = ordered.iter().map(|a| row(a)).collect();
        let places: Vec<usize> =
            rows.iter().map(|row| row.iter().filter(|order| order.is_gt()).count()).collect();
        assert!(ordered.len() >= 10, "{}", scheme.id());
        for ((a, row), place) in ordered.iter().zip(&rows).zip(&places) {
            let expected: Vec<Ordering> = places.iter().map(|other| place.cmp(other)).collect();
            let odd = ordered.iter().zip(row.iter().zip(&expected)).find(|(_, (x, y))| x != y);
            assert!(odd.is_none(), "{}: {a} {odd:?}", scheme.id());
        }
    }
}

/// Short strings over the characters that mean something to one scheme or another.
fn version_like() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[0-9]{1,2}",
        "0{1,3}[0-9]?",
        "[a-c]",
        "[.:~+_!^-]",
        "\\.[0-9]",
        "-r[0-9]",
        "_(alpha|beta|pre|rc|cvs|git|p)[0-9]?",
        "(a|b|rc|dev|post|\\.dev|\\.post|-final|-pre)[0-9]?",
        "[-.]?(RC|beta|pl|stable|dev|x-dev)[0-2]?",
        "-(sp|ga|rc|SNAPSHOT|x|1|0)[0-2]?",
        Just("18446744073709551616".to_owned()),
    ];
    ("[0-9]{1,2}", proptest::collection::vec(piece, 0..6)).prop_map(|(first, rest)| first + &rest.concat())
}

fn assert_order(a: &str, b: &str, c: &str) {
    for (scheme, _) in SCHEMES {
        let id = scheme.id();
        let (ab, bc, ac) = (scheme.compare(a, b), scheme.compare(b, c), scheme.compare(a, c));
        assert_eq!(ab, scheme.compare(a, b), "{id}: {a:?} {b:?}");
        match (&ab, scheme.compare(b, a)) {
            (Ok(there), Ok(back)) => assert_eq!(*there, back.reverse(), "{id}: {a:?} {b:?}"),
            (Err(_), Err(_)) => {}
            (there, back) => panic!("{id}: {a:?} {b:?}: {there:?}, back {back:?}"),
        }
        if let Ok(itself) = scheme.compare(a, a) {
            assert_eq!(itself, Ordering::Equal, "{id}: {a:?}");
        }
        let (Ok(ab), Ok(bc), Ok(ac)) = (ab, bc, ac) else { continue };
        if ab == bc || ab.is_eq() {
            assert_eq!(ac, bc, "{id}: {a:?} {b:?} {c:?}");
        } else if bc.is_eq() {
            assert_eq!(ac, ab, "{id}: {a:?} {b:?} {c:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_strings_are_ordered_without_contradiction_or_panic(a in ".{0,12}", b in ".{0,12}", c in ".{0,12}") {
        assert_order(&a, &b, &c);
    }

    #[test]
    fn versions_are_ordered_without_contradiction(
        a in version_like(), b in version_like(), c in version_like(), short in "[0-2][.~a-]{0,2}[0-2]?",
    ) {
        assert_order(&a, &b, &c);
        assert_order(&short, &a, &b);
        assert_order(&a, &format!("{a}{short}"), &b);
    }

    #[test]
    fn an_empty_version_has_no_order(a in ".{0,12}") {
        for (scheme, _) in SCHEMES {
            prop_assert!(scheme.compare("", &a).is_err() && scheme.compare(&a, "").is_err());
        }
    }
}
