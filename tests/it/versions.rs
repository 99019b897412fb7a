//! The version tables of the ecosystems' own tools, and of others.

use std::cmp::Ordering;
use std::fs;
use std::time::{Duration, Instant};

use portcullis::version::{Incomparable, SCHEMES, Scheme, scheme};

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
    ("maven__ComparableVersionTest.txt", "Maven", true),
    ("scalibr__maven-versions-generated.txt", "Maven", false),
    ("scalibr__maven-versions.txt", "Maven", false),
    ("univers__maven_version_cmp.txt", "Maven", false),
    ("packaging__VERSIONS-ordered-pairs.txt", "PyPI", true),
    ("scalibr__pypi-versions-generated.txt", "PyPI", false),
    ("scalibr__pypi-versions.txt", "PyPI", false),
    ("scalibr__rubygems-versions-generated.txt", "RubyGems", false),
    ("scalibr__rubygems-versions.txt", "RubyGems", false),
    ("rpm__rpmvercmp.txt", "AlmaLinux", true),
    ("scalibr__redhat-versions.txt", "Red Hat", false),
    ("scalibr__nuget-versions.txt", "NuGet", false),
    ("univers__nuget_version_cmp.txt", "NuGet", false),
    ("osv.dev__packagist_test_cases.txt", "Packagist", false),
    ("scalibr__packagist-versions-generated.txt", "Packagist", false),
    ("scalibr__packagist-versions.txt", "Packagist", false),
    ("scalibr__pub-versions.txt", "Pub", false),
    ("scalibr__cran-versions-generated.txt", "CRAN", false),
    ("scalibr__cran-versions.txt", "CRAN", false),
    ("scalibr__hackage-versions.txt", "Hackage", false),
    ("scalibr__semver-versions.txt", "npm", false),
];

/// Versions in other tools' tables that the ecosystem's own tool refuses: the scheme, what marks their lines,
/// and why.
const REFUSED: &[(&str, &str, &str)] = &[
    ("apk", "p1", "apk-tools wants `_p1`"),
    ("apk", "1-r ", "apk-tools wants a number behind `-r`"),
    ("apk", "-r-", "apk-tools wants a number behind `-r`"),
    ("apk", "-ruff", "apk-tools wants a number behind `-r`"),
    ("apk", ".r2", "apk-tools wants `-r2`"),
    ("apk", "..", "apk-tools wants a number behind a dot"),
    ("apk", ".1 ", "apk-tools wants a number at the front"),
    ("apk", " .1", "apk-tools wants a number at the front"),
    ("apk", "a < b", "apk-tools wants a number at the front"),
    ("apk", "c = c", "apk-tools wants a number at the front"),
    ("apk", "0D", "apk-tools knows small letters only"),
    ("apk", "_blah", "apk-tools knows no such suffix"),
    ("apk", "_csv", "apk-tools knows no such suffix"),
    ("composer", ".#", "Composer knows no `#`"),
    ("composer", ".post", "Composer knows no such stability"),
    ("composer", "-test1", "Composer knows no such stability"),
    ("composer", ".dev100", "Composer takes no number behind `dev`"),
    ("composer", "4.3-2RC2", "Composer takes no number behind a hyphen"),
    ("composer", "dev-foo", "Composer does not compare a branch"),
    ("gem", "1gamma", "RubyGems wants `1.gamma`"),
    ("semver", "1.1.3.4.5", "node-semver refuses more than three numbers"),
];

/// Lines of other tools' tables that the ecosystem's own tool orders otherwise: the scheme, what marks the
/// lines, and why.
const DISPUTED: &[(&str, &str, &str)] = &[
    ("composer", "1.0.0 > 1.0", "Composer fills up to four numbers"),
    ("composer", "v3.0 < v3.0.0-beta", "Composer fills up to four numbers"),
    ("composer", "v3.4 < v3.4.0-alpha", "Composer fills up to four numbers"),
    ("composer", "v6.6 < v6.6.0-beta", "Composer fills up to four numbers"),
    ("composer", "v1.9.0-BETA.1 < v1.9.0-ALPHA.2", "Composer knows no case"),
    ("maven", "2-1 <= 2.0.a", "Maven's table has `2.0.a < 2-1`"),
    ("maven", "2-1 <= 2.0.0.a", "Maven's table has `2.0.a < 2-1`"),
    ("maven", "1-1 = 1-ga-1", "Maven 4 reads `ga-1` as one word, which is below a number"),
    ("maven", "1-1.foo-bar-1-baz-0.1 =", "Maven 4 has `0.1` in a list of its own, `.1` in none"),
    ("maven", "3.2.0rc2 < 3.2.0-rc.1", "Maven 4 has `rc2` above `rc`"),
    ("maven", "1.0.0-beta11 < 1.0.0-beta.6", "Maven 4 has `beta11` above `beta`"),
    ("maven", "1.0.0-RC16 < 1.0.0.RC8-beta", "Maven 4 has `.RC8` as `-RC8`"),
    ("maven", "1.0.0-gradle-rework-beta3 < 1.0.0.RC7-3", "Maven 4 has `.RC7` as `-RC7`"),
    ("maven", "2.9.0-1 < 2.9.0.RC1", "Maven 4 has `.RC1` as `-RC1`"),
    ("maven", "6.1.12.rc5 < 6.1.12rc1", "Maven 4 has `.rc5` as `-rc5`"),
    ("maven", "1.0.0rc0 < 1.0.beta8", "Maven 4 has `.beta8` as `-beta8`"),
    ("maven", "3.5.0-CR-2 < 3.5.0.Beta-1", "Maven 4 has `.Beta-1` as `-Beta-1`"),
    ("maven", "1.1.0-01-glassfish < 1.1.0.Beta1", "Maven 4 has `.Beta1` as `-Beta1`"),
    ("maven", "_noneautotype", "Maven 4 has `.sec10` as `-sec10`"),
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
    let (mut unknown, mut wrong) = (Vec::new(), Vec::new());
    for (name, ecosystem, own) in TABLES {
        let table = fs::read_to_string(folder.join(name)).unwrap();
        let scheme = scheme(ecosystem).unwrap();
        let score = Score::of(&table, scheme);
        let Score { right, unknown: refused, wrong: disputed } = score;
        println!("{name}: {right} right, {} refused, {} disputed", refused.len(), disputed.len());
        assert!(right > 0, "{name}");
        assert!(!own || refused.is_empty() && disputed.is_empty(), "{name}: {refused:?} {disputed:?}");
        unknown.extend(refused.into_iter().map(|line| (scheme.id(), line)));
        wrong.extend(disputed.into_iter().map(|line| (scheme.id(), line)));
    }
    assert_listed("refused", &unknown, REFUSED);
    assert_listed("disputed", &wrong, DISPUTED);
}

/// Every line has its reason, and every reason its line.
fn assert_listed(what: &str, lines: &[(&str, String)], reasons: &[(&str, &str, &str)]) {
    let covers = |(scheme, line): &(&str, String), (of, mark, _): &(&str, &str, &str)| {
        scheme == of && line.contains(mark)
    };
    let bare: Vec<_> =
        lines.iter().filter(|line| !reasons.iter().any(|reason| covers(line, reason))).collect();
    assert!(bare.is_empty(), "{what} without a reason: {bare:#?}");
    for reason in reasons {
        assert!(lines.iter().any(|line| covers(line, reason)), "no longer {what}: {reason:?}");
    }
}

/// Attack: a version of which every comparison takes minutes. What takes the square of the length fails
/// here by far; what takes a hundred times its length does not.
#[test]
fn long_versions_are_compared_in_no_time() {
    const LENGTH: usize = 10_000;
    const PIECES: [&str; 27] = [
        "1", "0", "a", "9", ".", "-", "~", "^", "+", "_", "#", ":", "1.", "0.", "a.", "1a", "0a", "-1", "-a",
        "1-", ".0-", "a-1", "-0", "alpha", "pre.", "_p1", "é",
    ];
    let long = |piece: &str| piece.repeat(LENGTH / piece.len());
    let mut versions: Vec<String> = PIECES.iter().map(|piece| long(piece)).collect();
    versions.extend(PIECES.iter().map(|piece| format!("1{}", long(piece))));
    versions.extend(PIECES.iter().map(|piece| format!("1.0-{}z", long(piece))));
    for (scheme, _) in SCHEMES {
        let start = Instant::now();
        for version in &versions {
            let other = format!("{version}1");
            let _ = scheme.compare(version, version);
            let _ = scheme.compare(version, &other);
            let _ = scheme.compare(&other, version);
        }
        assert!(start.elapsed() < Duration::from_secs(10), "{}: {:?}", scheme.id(), start.elapsed());
    }
}
