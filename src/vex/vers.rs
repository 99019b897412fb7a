//! Version ranges as CycloneDX writes them (purl-spec, VERSION-RANGE-SPEC: `vers:npm/>=1.0|<2.0`).

use std::cmp::Ordering;

use crate::version::{Scheme, scheme};

/// Constraints of a range: 1,000. Each is compared with every other once.
const MAX_CONSTRAINTS: usize = 1_000;

/// purl types, the schemes of `vers` for them, and the ecosystem whose order they have.
const ORDERS: &[(&str, &[&str], &str)] = &[
    ("apk", &["apk", "alpine"], "Alpine"),
    ("cargo", &["cargo", "semver"], "crates.io"),
    ("composer", &["composer"], "Packagist"),
    ("deb", &["deb"], "Debian"),
    ("gem", &["gem"], "RubyGems"),
    ("golang", &["golang", "semver"], "Go"),
    ("hex", &["hex", "semver"], "Hex"),
    ("maven", &["maven"], "Maven"),
    ("npm", &["npm", "semver"], "npm"),
    ("nuget", &["nuget"], "NuGet"),
    ("pub", &["pub"], "Pub"),
    ("pypi", &["pypi"], "PyPI"),
    ("rpm", &["rpm"], "Red Hat"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Comparators, the longer ones first. A version alone stands for an equal one.
const COMPARATORS: &[(&str, Comparator)] = &[
    ("!=", Comparator::NotEqual),
    ("<=", Comparator::LessOrEqual),
    (">=", Comparator::GreaterOrEqual),
    ("<", Comparator::Less),
    (">", Comparator::Greater),
    ("=", Comparator::Equal),
];

/// Whether the range contains a version of a package of a purl type. `None` where that cannot be said.
pub(super) fn contains(range: &str, kind: &str, version: &str) -> Option<bool> {
    let (written, rest) = range.trim().strip_prefix("vers:")?.split_once('/')?;
    let (_, schemes, ecosystem) = ORDERS.iter().find(|(of, _, _)| *of == kind)?;
    if !schemes.contains(&written) {
        return None;
    }
    if rest.trim() == "*" {
        return Some(true);
    }
    let scheme = scheme(ecosystem)?;
    let parts: Vec<&str> = rest.split('|').map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() || parts.len() > MAX_CONSTRAINTS || parts.contains(&"*") {
        return None;
    }
    let mut bounds = Vec::new();
    let mut excluded = false;
    for part in parts {
        let (comparator, bound) = split(part);
        let bound = percent_encoding::percent_decode_str(bound.trim()).decode_utf8().ok()?;
        let order = scheme.compare(version, &bound).ok()?;
        match comparator {
            Comparator::Equal if order == Ordering::Equal => return Some(true),
            Comparator::NotEqual => excluded |= order == Ordering::Equal,
            Comparator::Equal => {}
            Comparator::Less | Comparator::LessOrEqual | Comparator::Greater | Comparator::GreaterOrEqual => {
                bounds.push((comparator, bound.into_owned(), order))
            }
        }
    }
    if excluded {
        return Some(false);
    }
    within(bounds, scheme)
}

fn split(part: &str) -> (Comparator, &str) {
    let found =
        COMPARATORS.iter().find_map(|(text, comparator)| Some((*comparator, part.strip_prefix(text)?)));
    found.unwrap_or((Comparator::Equal, part))
}

/// Whether the version lies in one of the intervals that the sorted bounds make. The order of the version and
/// a bound stands beside the bound. Bounds that are not in turn upper and lower mean nothing.
fn within(mut bounds: Vec<(Comparator, String, Ordering)>, scheme: &dyn Scheme) -> Option<bool> {
    let mut comparable = true;
    bounds.sort_by(|(_, a, _), (_, b, _)| {
        scheme.compare(a, b).unwrap_or_else(|_| {
            comparable = false;
            Ordering::Equal
        })
    });
    if !comparable {
        return None;
    }
    let is_lower =
        |comparator: Comparator| matches!(comparator, Comparator::Greater | Comparator::GreaterOrEqual);
    let alternates = bounds.windows(2).all(|pair| match pair {
        [(a, _, _), (b, _, _)] => is_lower(*a) != is_lower(*b),
        _ => true,
    });
    if !alternates {
        return None;
    }
    let holds = |(comparator, _, order): &(Comparator, String, Ordering)| match comparator {
        Comparator::Less => order.is_lt(),
        Comparator::LessOrEqual => order.is_le(),
        Comparator::Greater => order.is_gt(),
        Comparator::GreaterOrEqual => order.is_ge(),
        Comparator::Equal | Comparator::NotEqual => false,
    };
    // An interval begins with a lower bound or with nothing, and ends with an upper one or with nothing.
    let mut lower = true;
    for bound in &bounds {
        if is_lower(bound.0) {
            lower = holds(bound);
        } else if lower && holds(bound) {
            return Some(true);
        } else {
            lower = false;
        }
    }
    Some(lower && bounds.last().is_some_and(|last| is_lower(last.0)))
}

#[cfg(test)]
mod tests {
    use super::contains;

    #[test]
    fn a_version_is_in_a_range_by_the_order_of_its_ecosystem() {
        for (range, kind, version, want) in [
            ("vers:npm/>=1.0.0|<2.0.0", "npm", "1.10.0", Some(true)),
            ("vers:npm/>=1.0.0|<2.0.0", "npm", "2.0.0", Some(false)),
            ("vers:npm/<2.0.0|>=1.0.0", "npm", "0.9.0", Some(false)),
            ("vers:npm/<1.0.0|>=2.0.0|<3.0.0", "npm", "0.1.0", Some(true)),
            ("vers:npm/<1.0.0|>=2.0.0|<3.0.0", "npm", "1.5.0", Some(false)),
            ("vers:npm/<1.0.0|>=2.0.0|<3.0.0", "npm", "2.5.0", Some(true)),
            ("vers:npm/>1.0.0", "npm", "1.0.0", Some(false)),
            ("vers:npm/>1.0.0", "npm", "9.0.0", Some(true)),
            ("vers:npm/1.2.3|=1.2.4", "npm", "1.2.4", Some(true)),
            ("vers:npm/>=1.0.0|!=1.2.3", "npm", "1.2.3", Some(false)),
            ("vers:npm/!=1.2.3", "npm", "1.2.4", Some(false)),
            ("vers:deb/<1:2.0", "deb", "9.0", Some(true)),
            ("vers:alpine/<1.2.3-r4", "apk", "1.2.3-r3", Some(true)),
            ("vers:npm/*", "npm", "1.0.0", Some(true)),
        ] {
            assert_eq!(contains(range, kind, version), want, "{range} {version}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_not_known() {
        for (range, kind) in [
            ("vers:generic/<2.0", "npm"),
            ("vers:deb/<2.0", "npm"),
            ("<2.0.0", "npm"),
            ("vers:npm/", "npm"),
            ("vers:npm/>1.0.0|>2.0.0", "npm"),
            ("vers:npm/>1.0.0|*", "npm"),
            ("vers:npm/<not a version", "npm"),
            ("vers:conan/<2.0.0", "conan"),
        ] {
            assert_eq!(contains(range, kind, "1.5.0"), None, "{range}");
        }
    }
}
