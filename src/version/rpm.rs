//! RPM's order (rpm-version(7)): `[epoch:]version[-release]`, `~` below everything, `^` below all but the end.

use std::cmp::Ordering;

use rpm_version::Evr;

use crate::version::{Incomparable, Scheme, are_alike};

/// The order of `rpm.vercmp`: epoch, version, release, each by `rpmvercmp`. A version without a release is
/// below the same with one. A missing epoch is zero here, as it is for rpm; whether it was lost on the way
/// into a document is not for an order to know. It is a total order of all versions that are not empty.
pub struct Rpm;

impl Scheme for Rpm {
    fn id(&self) -> &'static str {
        "rpm"
    }

    fn compare(&self, a: &str, b: &str) -> Result<Ordering, Incomparable> {
        let parse = |version| {
            Version::parse(version)
                .ok_or_else(|| Incomparable { scheme: self.id(), version: version.to_owned() })
        };
        Ok(parse(a)?.order(&parse(b)?))
    }

    fn comparable(&self, a: &str, b: &str) -> bool {
        are_alike(a, b) && self.compare(a, b).is_ok()
    }
}

struct Version<'a> {
    epoch: &'a str,
    version: &'a str,
    release: Option<&'a str>,
}

impl<'a> Version<'a> {
    /// As rpm's `parseEVR` cuts it; the crate's would take `a:1` for a version with an epoch `a`, and the
    /// first hyphen for that of the release.
    fn parse(text: &'a str) -> Option<Self> {
        let is_epoch = |(epoch, _): &(&str, &str)| epoch.bytes().all(|b| b.is_ascii_digit());
        let (epoch, rest) = text.split_once(':').filter(is_epoch).unwrap_or(("", text));
        let (version, release) = match rest.rsplit_once('-') {
            Some((version, release)) => (version, Some(release)),
            None => (rest, None),
        };
        // A spec file without a version does not build.
        (!version.is_empty()).then_some(Self { epoch, version, release })
    }

    fn order(&self, other: &Self) -> Ordering {
        let release = || match (self.release, other.release) {
            (Some(a), Some(b)) => rpmvercmp(a, b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        rpmvercmp(epoch(self), epoch(other))
            .then_with(|| rpmvercmp(self.version, other.version))
            .then_with(release)
    }
}

fn epoch<'a>(version: &Version<'a>) -> &'a str {
    if version.epoch.is_empty() { "0" } else { version.epoch }
}

/// The crate has it for a whole version only: one of which epoch and release are left out.
fn rpmvercmp(a: &str, b: &str) -> Ordering {
    Evr::new("", a, "").cmp(&Evr::new("", b, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_version_has_no_order() {
        for version in ["", "1:", "-1", "1:-1", ":"] {
            assert!(Rpm.compare(version, "1").is_err(), "{version:?}");
            assert!(Rpm.compare("1", version).is_err(), "{version:?}");
        }
    }

    #[test]
    fn an_epoch_is_a_number_and_what_else_has_a_colon_is_a_version() {
        assert_eq!(Rpm.compare("a:1", "a:2"), Ok(Ordering::Less));
        assert_eq!(Rpm.compare("99999999999999999999:1", "100000000000000000000:0"), Ok(Ordering::Less));
        assert_eq!(Rpm.compare(":1", "0:1"), Ok(Ordering::Equal));
    }

    #[test]
    fn the_release_stands_behind_the_last_hyphen() {
        assert_eq!(Rpm.compare("1-a-1", "1-a-2"), Ok(Ordering::Less));
        assert_eq!(Rpm.compare("1-9-1", "1-10"), Ok(Ordering::Greater));
    }

    #[test]
    fn a_module_s_build_and_a_distribution_s_suffix_count() {
        let release = "0:3.0.7-28.el9_4";
        assert_eq!(Rpm.compare("1:3.0.7-27.el9", release), Ok(Ordering::Greater));
        assert_eq!(Rpm.compare("3.0.7-27.el9", release), Ok(Ordering::Less));
    }
}
