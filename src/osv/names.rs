//! Ecosystems and names of packages, as the keys of a segment have them.

use std::borrow::Cow;

use crate::model::purl::normalise_pypi;
use crate::version::inner;

/// The base of an ecosystem string: `Debian` of `Debian:11`.
#[must_use]
pub fn base(ecosystem: &str) -> &str {
    ecosystem.split_once(':').map_or(ecosystem, |(base, _)| base)
}

/// The vendor that rebuilt a package and gave it a name of its own, by that name: its records stand under
/// `Root:…` and `Seal:…` and speak of no other package.
pub(super) fn rebuilt(name: &str) -> Option<&'static str> {
    const FRONTS: &[(&str, &[&str])] = &[
        ("Root", &["rootio-", "rootio_", "@rootio/", "io.root."]),
        ("Seal", &["seal-", "@seal-security/", "sealsecurity.io/", "seal.sp"]),
    ];
    let by = |fronts: &[&str]| fronts.iter().any(|front| name.starts_with(front));
    FRONTS.iter().find(|(_, fronts)| by(fronts)).map(|(vendor, _)| *vendor)
}

/// The name under which a package of an ecosystem is looked up: what its registry takes for the same
/// name is the same key. Applied to the names in records and in images alike.
#[must_use]
pub fn normalise<'n>(ecosystem: &str, name: &'n str) -> Cow<'n, str> {
    match base(inner(ecosystem)) {
        // PEP 503.
        "PyPI" => Cow::Owned(normalise_pypi(name)),
        "NuGet" | "Packagist" | "Hex" | "Pub" => Cow::Owned(name.to_lowercase()),
        // crates.io refuses a name that differs from another in case or between `-` and `_` alone.
        "crates.io" => Cow::Owned(name.to_lowercase().replace('_', "-")),
        _ => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_folded_as_its_registry_does() {
        for (ecosystem, name, want) in [
            ("PyPI", "Zope.Interface", "zope-interface"),
            ("Root:PyPI", "rootio_requests", "rootio-requests"),
            ("NuGet", "Newtonsoft.Json", "newtonsoft.json"),
            ("Packagist:https://packages.drupal.org/8", "Drupal/Core", "drupal/core"),
            ("crates.io", "Serde_JSON", "serde-json"),
            ("npm", "JSONStream", "JSONStream"),
            ("Debian:11", "OpenSSL", "OpenSSL"),
        ] {
            assert_eq!(normalise(ecosystem, name), want, "{ecosystem}");
        }
    }
}
