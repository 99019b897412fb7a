//! Version orders of the ecosystems: one scheme a file, one row a scheme.

mod apk;
mod composer;
mod cran;
mod dpkg;
mod gem;
mod hackage;
mod maven;
mod natural;
mod nuget;
mod pep440;
mod r#pub;
mod rpm;
mod semver;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

pub use apk::Apk;
pub use composer::Composer;
pub use cran::Cran;
pub use dpkg::Dpkg;
pub use gem::Gem;
pub use hackage::Hackage;
pub use maven::Maven;
pub use nuget::NuGet;
pub use pep440::Pep440;
pub use r#pub::Pub;
pub use rpm::Rpm;
pub use semver::SemVer;

/// Orders the versions of one ecosystem.
pub trait Scheme: Sync {
    /// Its id: file name, testdata folder and docs anchor, such as `apk`.
    fn id(&self) -> &'static str;

    /// Compares two versions as the ecosystem's own tool does.
    ///
    /// # Errors
    /// [`Incomparable`] where the tool would refuse one of them: the answer is unknown, never equal.
    fn compare(&self, a: &str, b: &str) -> Result<Ordering, Incomparable>;

    /// Whether the order of two texts means anything: both are versions, and not words that the ecosystem's tool
    /// puts somewhere because it must. Matching goes by no other order. Attack: `UNKNOWN` as a version, or as a fix.
    fn comparable(&self, a: &str, b: &str) -> bool {
        self.compare(a, a).is_ok() && self.compare(b, b).is_ok()
    }
}

/// For orders that take every text: whether both texts have a number, and begin alike, with a digit or with a letter
/// (`r09` and `r10`, `Finchley.SR2`).
fn are_alike(a: &str, b: &str) -> bool {
    let number = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    let begins =
        |text: &str| text.bytes().next().map(|byte| (byte.is_ascii_digit(), byte.is_ascii_alphabetic()));
    number(a) && number(b) && begins(a) == begins(b) && begins(a) != Some((false, false))
}

/// Two versions of which it cannot be said which is the greater.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{version}` is no {scheme} version")]
pub struct Incomparable {
    /// Id of the scheme.
    pub scheme: &'static str,
    /// The version that does not parse.
    pub version: String,
}

/// Every scheme and the OSV ecosystems (base names, without release suffix) that it orders.
pub static SCHEMES: &[(&dyn Scheme, &[&str])] = &[
    (&Apk, &["Alpaquita", "Alpine", "BellSoft Hardened Containers", "Chainguard", "MinimOS", "Wolfi"]),
    (&Composer, &["Packagist"]),
    (&Cran, &["CRAN"]),
    (&Dpkg, &["Debian", "Echo", "Ubuntu"]),
    (&Gem, &["RubyGems"]),
    (&Hackage, &["Hackage"]),
    (&Maven, &["Maven"]),
    (&NuGet, &["NuGet"]),
    (&Pep440, &["PyPI"]),
    (&Pub, &["Pub"]),
    (
        &Rpm,
        &[
            "AlmaLinux",
            "Azure Linux",
            "Mageia",
            "Photon OS",
            "Red Hat",
            "Rocky Linux",
            "SUSE",
            "openEuler",
            "openSUSE",
        ],
    ),
    (&SemVer, &["Bitnami", "Go", "Hex", "SwiftURL", "crates.io", "npm"]),
];

/// Vendors that rebuild packages of another ecosystem, and name that one behind their own:
/// `Root:Alpine:3.18`, `Seal:PyPI`.
const REBUILDERS: &[&str] = &["Root", "Seal"];

/// The ecosystem whose packages an ecosystem holds: `Alpine:3.18` of `Root:Alpine:3.18`, else itself.
#[must_use]
pub fn inner(ecosystem: &str) -> &str {
    match ecosystem.split_once(':') {
        Some((vendor, inner)) if REBUILDERS.contains(&vendor) => inner,
        Some(_) | None => ecosystem,
    }
}

/// The scheme of an OSV ecosystem; a release suffix (`Debian:12`) does not matter. `None` where
/// portcullis has no order for it: its packages are undetermined.
#[must_use]
pub fn scheme(ecosystem: &str) -> Option<&'static dyn Scheme> {
    let inner = inner(ecosystem);
    let base = inner.split_once(':').map_or(inner, |(base, _)| base);
    SCHEMES.iter().find(|(_, ecosystems)| ecosystems.contains(&base)).map(|(scheme, _)| *scheme)
}
