//! The version tables of the ecosystems' own tools, and of others.

use std::cmp::Ordering;
use std::fs;

use portcullis::version::{Incomparable, Scheme, scheme};

use crate::support::shared;

/// A table, the ecosystem that it is about, and whether it is that ecosystem's own.
const TABLES: &[(&str, &str, bool)] = &[
    ("apk-tools__version.data.txt", "Alpine", true),
    ("scalibr__alpine-versions-generated.txt", "Alpine", false),
    ("scalibr__alpine-versions.txt", "Alpine", false),
    ("univers__alpine_version_cmp.txt", "Alpine", false),
    ("dpkg__Dpkg_Version.txt", "Debian", true),
    ("scalibr__debian-versions-generated.txt", "Debian", false),
    ("scalibr__debian-versions.txt", "Debian", false),
    ("packaging__VERSIONS-ordered-pairs.txt", "PyPI", true),
    ("scalibr__pypi-versions-generated.txt", "PyPI", false),
    ("scalibr__pypi-versions.txt", "PyPI", false),
    ("scalibr__semver-versions.txt", "npm", false),
];

/// Versions in other tools' tables that the ecosystem's own tool refuses: what marks their lines, and why.
const REFUSED: &[(&str, &str)] = &[
    ("p1", "apk-tools wants `_p1`"),
    ("1-r ", "apk-tools wants a number behind `-r`"),
    ("-r-", "apk-tools wants a number behind `-r`"),
    ("-ruff", "apk-tools wants a number behind `-r`"),
    (".r2", "apk-tools wants `-r2`"),
    ("..", "apk-tools wants a number behind a dot"),
    (".1 ", "apk-tools wants a number at the front"),
    (" .1", "apk-tools wants a number at the front"),
    ("a < b", "apk-tools wants a number at the front"),
    ("c = c", "apk-tools wants a number at the front"),
    ("0D", "apk-tools knows small letters only"),
    ("_blah", "apk-tools knows no such suffix"),
    ("_csv", "apk-tools knows no such suffix"),
    ("1.1.3.4.5", "node-semver refuses more than three numbers"),
];

/// What became of the lines of one table.
#[derive(Default)]
struct Score {
    right: usize,
    /// An order was claimed that the table denies, or there and back contradict each other.
    wrong: Vec<String>,
    /// No order was claimed.
    unknown: Vec<String>,
}

impl Score {
    fn of(table: &str, scheme: &dyn Scheme) -> Self {
        let mut score = Self::default();
        for line in table.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                [a, sign, b] => score.add_comparison(line, sign, scheme.compare(a, b), scheme.compare(b, a)),
                // apk-tools: `A` is a version, `!A` is none.
                [version] => {
                    let (text, valid) =
                        version.strip_prefix('!').map_or((version, true), |text| (text, false));
                    score.add(line, scheme.compare(text, text).is_ok() == valid);
                }
                _ => score.wrong.push(line.to_owned()),
            }
        }
        score
    }

    fn add_comparison(&mut self, line: &str, sign: &str, there: Order, back: Order) {
        let expected: &[Ordering] = match sign {
            "<" => &[Ordering::Less],
            ">" => &[Ordering::Greater],
            "=" => &[Ordering::Equal],
            "<=" => &[Ordering::Less, Ordering::Equal],
            "!=" => &[Ordering::Less, Ordering::Greater],
            // apk's fuzzy match of dependencies (`~`) is no order.
            _ => return,
        };
        match (there, back) {
            (Ok(there), Ok(back)) => self.add(line, expected.contains(&there) && back == there.reverse()),
            (Err(_), Err(_)) => self.unknown.push(line.to_owned()),
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => self.wrong.push(line.to_owned()),
        }
    }

    fn add(&mut self, line: &str, right: bool) {
        if right {
            self.right += 1;
        } else {
            self.wrong.push(line.to_owned());
        }
    }
}

type Order = Result<Ordering, Incomparable>;

#[test]
fn the_version_tables_hold() {
    let Some(folder) = shared("data/versions") else { return };
    let mut unknown = Vec::new();
    for (name, ecosystem, own) in TABLES {
        let table = fs::read_to_string(folder.join(name)).unwrap();
        let score = Score::of(&table, scheme(ecosystem).unwrap());
        println!("{name}: {} right, {} unknown", score.right, score.unknown.len());
        assert!(score.right > 0 && score.wrong.is_empty(), "{name}: {:?}", score.wrong);
        assert!(!own || score.unknown.is_empty(), "{name}: {:?}", score.unknown);
        unknown.extend(score.unknown);
    }
    for line in &unknown {
        assert!(REFUSED.iter().any(|(mark, _)| line.contains(mark)), "without an order: {line}");
    }
    for (mark, reason) in REFUSED {
        assert!(unknown.iter().any(|line| line.contains(mark)), "no longer refused: {mark} ({reason})");
    }
}
