//! Debian's order (deb-version(7)): `[epoch:]upstream[-revision]`, `~` below everything.

use std::cmp::Ordering;

use crate::version::{Incomparable, Scheme};

/// The order of `dpkg --compare-versions`.
pub struct Dpkg;

impl Scheme for Dpkg {
    fn id(&self) -> &'static str {
        "dpkg"
    }

    fn compare(&self, a: &str, b: &str) -> Result<Ordering, Incomparable> {
        let check = |version| {
            accepted(version).ok_or_else(|| Incomparable { scheme: self.id(), version: version.to_owned() })
        };
        Ok(deb_version::compare_versions(check(a)?, check(b)?))
    }
}

/// The version without surrounding white space, where dpkg's `parseversion` reads it at all. The crate
/// itself takes everything: it would order an empty version, and split a character outside ASCII in the
/// middle, which is a panic. What dpkg only warns of (odd characters, no digit at the front) passes.
fn accepted(version: &str) -> Option<&str> {
    let version = version.trim_ascii();
    if !version.is_ascii() || version.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control()) {
        return None;
    }
    let rest = match version.split_once(':') {
        Some((epoch, rest)) => is_epoch(epoch).then_some(rest)?,
        None => version,
    };
    let (upstream, revision) = match rest.rsplit_once('-') {
        Some((upstream, revision)) => (upstream, Some(revision)),
        None => (rest, None),
    };
    (!upstream.is_empty() && revision != Some("")).then_some(version)
}

/// dpkg holds the epoch in an `int` and refuses a greater one.
fn is_epoch(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<i32>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dpkg_refuses_has_no_order() {
        let refused =
            ["", " ", "1:", ":1", "a:1", "-1:1", "+1:1", "2147483648:1", "1 2", "1-", "-1", "1.0é", "1:-1"];
        for version in refused {
            assert!(Dpkg.compare(version, "1").is_err(), "{version:?}");
            assert!(Dpkg.compare("1", version).is_err(), "{version:?}");
        }
    }

    #[test]
    fn what_dpkg_only_warns_of_is_ordered() {
        assert_eq!(Dpkg.compare("1.0_1", "1.0_2"), Ok(Ordering::Less));
        assert_eq!(Dpkg.compare("beta", "1"), Ok(Ordering::Greater));
        assert_eq!(Dpkg.compare(" 1.0 ", "1.0"), Ok(Ordering::Equal));
    }
}
