//! Names of licences and what they mean, one table a dialect.
//!
//! A row is here only if the name fits one licence and no other. Left out, among many: `apache` (no version),
//! `bsd` and `bsd license` (no kind), `gpl` (no version), `mit/x11` (two licences), `artistic`, `afl`, `psf`.
//! Keys are folded (`names::fold`) and sorted.

/// Sorted pairs of a name and an SPDX expression without operators.
pub(super) type Table = &'static [(&'static str, &'static str)];

/// What a name means.
pub(super) fn find(table: Table, name: &str) -> Option<&'static str> {
    let at = table.binary_search_by_key(&name, |(key, _)| key).ok()?;
    table.get(at).map(|(_, id)| *id)
}

/// What no law protects has no identifier in the SPDX list. It is one thing under its several names.
pub(super) const PUBLIC_DOMAIN: &str = "LicenseRef-public-domain";

/// Names that are the same everywhere.
pub(super) const GENERAL: Table = &[
    ("2-clause bsd", "BSD-2-Clause"),
    ("2-clause bsd license", "BSD-2-Clause"),
    ("3-clause bsd", "BSD-3-Clause"),
    ("3-clause bsd license", "BSD-3-Clause"),
    ("4-clause bsd license", "BSD-4-Clause"),
    ("apache 2", "Apache-2.0"),
    ("apache 2.0", "Apache-2.0"),
    ("apache 2.0 license", "Apache-2.0"),
    ("apache license 2", "Apache-2.0"),
    ("apache license apache-2.0", "Apache-2.0"),
    ("apache public license 2.0", "Apache-2.0"),
    ("apache software license 1.1", "Apache-1.1"),
    ("apache software license 2", "Apache-2.0"),
    ("apache software license 2.0", "Apache-2.0"),
    ("apache-2", "Apache-2.0"),
    ("apache-2.0 license", "Apache-2.0"),
    ("apache2", "Apache-2.0"),
    ("apache2.0", "Apache-2.0"),
    ("artistic 2.0", "Artistic-2.0"),
    ("asl 2.0", "Apache-2.0"),
    ("boost software license", "BSL-1.0"),
    ("bsd 2 clause", "BSD-2-Clause"),
    ("bsd 2-clause", "BSD-2-Clause"),
    ("bsd 2-clause license", "BSD-2-Clause"),
    ("bsd 3 clause", "BSD-3-Clause"),
    ("bsd 3-clause", "BSD-3-Clause"),
    ("bsd 3-clause license", "BSD-3-Clause"),
    ("bsd 4-clause", "BSD-4-Clause"),
    ("bsd license 2-clause", "BSD-2-Clause"),
    ("bsd license 3-clause", "BSD-3-Clause"),
    ("bsd-2-clause license", "BSD-2-Clause"),
    ("bsd-3-clause license", "BSD-3-Clause"),
    ("cc0", "CC0-1.0"),
    ("cc0 1.0", "CC0-1.0"),
    ("cc0 1.0 universal", "CC0-1.0"),
    ("cc0 1.0 universal cc0 1.0 public domain dedication", "CC0-1.0"),
    ("cddl 1.0", "CDDL-1.0"),
    ("cddl 1.1", "CDDL-1.1"),
    ("common development and distribution license cddl 1.0", "CDDL-1.0"),
    ("common development and distribution license cddl 1.1", "CDDL-1.1"),
    ("cpl 1.0", "CPL-1.0"),
    ("eclipse distribution license 1.0", "BSD-3-Clause"),
    ("eclipse public license epl 1.0", "EPL-1.0"),
    ("eclipse public license epl 2.0", "EPL-2.0"),
    ("edl 1.0", "BSD-3-Clause"),
    ("epl 1.0", "EPL-1.0"),
    ("epl 2.0", "EPL-2.0"),
    ("expat", "MIT"),
    ("expat license", "MIT"),
    ("isc license iscl", "ISC"),
    ("mit license mit", "MIT"),
    ("modified bsd", "BSD-3-Clause"),
    ("modified bsd license", "BSD-3-Clause"),
    ("mozilla public license 1.0 mpl", "MPL-1.0"),
    ("mozilla public license 1.1 mpl 1.1", "MPL-1.1"),
    ("mozilla public license 2", "MPL-2.0"),
    ("mozilla public license 2.0 mpl 2.0", "MPL-2.0"),
    ("mpl 1.0", "MPL-1.0"),
    ("mpl 1.1", "MPL-1.1"),
    ("mpl 2.0", "MPL-2.0"),
    ("mpl2.0", "MPL-2.0"),
    ("mplv1.0", "MPL-1.0"),
    ("mplv1.1", "MPL-1.1"),
    ("mplv2.0", "MPL-2.0"),
    ("new bsd", "BSD-3-Clause"),
    ("new bsd license", "BSD-3-Clause"),
    ("public domain", PUBLIC_DOMAIN),
    ("public-domain", PUBLIC_DOMAIN),
    ("revised bsd license", "BSD-3-Clause"),
    ("simplified bsd", "BSD-2-Clause"),
    ("simplified bsd license", "BSD-2-Clause"),
    ("unlicense unlicense", "Unlicense"),
    ("upl 1.0", "UPL-1.0"),
    ("zlib/libpng license", "Zlib"),
];

/// Debian's copyright files: copyright-format 1.0, "License specification". The short names that the SPDX list has
/// under the same name are not repeated.
pub(super) const DEB: Table = &[
    ("gfdl-1.2+-no-invariant", "GFDL-1.2-no-invariants-or-later"),
    ("gfdl-1.3+-no-invariant", "GFDL-1.3-no-invariants-or-later"),
    ("zope-1.1", "ZPL-1.1"),
    ("zope-2.0", "ZPL-2.0"),
    ("zope-2.1", "ZPL-2.1"),
];

/// RPM: the short names of Fedora's list of good licences before SPDX that stood for one licence, and SUSE's.
pub(super) const RPM: Table = &[
    ("apsl 2.0", "APSL-2.0"),
    ("artistic clarified", "ClArtistic"),
    ("asl 1.0", "Apache-1.0"),
    ("asl 1.1", "Apache-1.1"),
    ("boost", "BSL-1.0"),
    ("bsd protection", "BSD-Protection"),
    ("bsd with advertising", "BSD-4-Clause"),
    ("bsd with attribution", "BSD-3-Clause-Attribution"),
    ("cpl", "CPL-1.0"),
    ("crystal stacker", "CrystalStacker"),
    ("ecl 1.0", "ECL-1.0"),
    ("ecl 2.0", "ECL-2.0"),
    ("eu datagrid", "EUDatagrid"),
    ("eupl 1.1", "EUPL-1.1"),
    ("gpl+", "GPL-1.0-or-later"),
    ("ibm", "IPL-1.0"),
    ("inner-net", "Inner-Net-2.0"),
    ("ofl", "OFL-1.1"),
    ("spl", "SPL-1.0"),
    ("suse-public-domain", PUBLIC_DOMAIN),
    ("zlib with acknowledgement", "zlib-acknowledgement"),
    ("zplv2.0", "ZPL-2.0"),
    ("zplv2.1", "ZPL-2.1"),
];

/// PyPI's classifiers, by their last part. PEP 639 ("Mapping License Classifiers to SPDX Identifiers") lists those
/// that name no version or variant, and forbids to infer one: they have no row.
pub(super) const TROVE: Table = &[
    ("blue oak model license blueoak-1.0.0", "BlueOak-1.0.0"),
    ("boost software license 1.0 bsl-1.0", "BSL-1.0"),
    ("cecill-b free software license agreement cecill-b", "CECILL-B"),
    ("cecill-c free software license agreement cecill-c", "CECILL-C"),
    ("cmu license mit-cmu", "MIT-CMU"),
    ("common development and distribution license 1.0 cddl-1.0", "CDDL-1.0"),
    ("common public license", "CPL-1.0"),
    ("eclipse public license 1.0 epl-1.0", "EPL-1.0"),
    ("eclipse public license 2.0 epl-2.0", "EPL-2.0"),
    ("european union public license 1.0 eupl 1.0", "EUPL-1.0"),
    ("european union public license 1.1 eupl 1.1", "EUPL-1.1"),
    ("european union public license 1.2 eupl 1.2", "EUPL-1.2"),
    ("historical permission notice and disclaimer hpnd", "HPND"),
    ("ibm public license", "IPL-1.0"),
    ("mit no attribution license mit-0", "MIT-0"),
    ("mulan permissive software license 2 mulanpsl-2.0", "MulanPSL-2.0"),
    ("open software license 3.0 osl-3.0", "OSL-3.0"),
    ("python license cnri python license", "CNRI-Python"),
    ("python software foundation license", "PSF-2.0"),
    ("sil open font license 1.1 ofl-1.1", "OFL-1.1"),
    ("sun public license", "SPL-1.0"),
    ("universal permissive license upl", "UPL-1.0"),
    ("w3c license", "W3C"),
    ("zero-clause bsd 0bsd", "0BSD"),
];

/// RubyGems.
pub(super) const GEM: Table = &[("ruby s", "Ruby"), ("same as ruby", "Ruby"), ("same as ruby s", "Ruby")];

/// Maven: names as projects write them.
pub(super) const MAVEN: Table = &[
    ("gnu general public license 2 with classpath exception", "GPL-2.0-only WITH Classpath-exception-2.0"),
    (
        "gnu general public license 2 with gnu classpath exception",
        "GPL-2.0-only WITH Classpath-exception-2.0",
    ),
    ("gpl2 w/ cpe", "GPL-2.0-only WITH Classpath-exception-2.0"),
    ("public domain per creative commons cc0", "CC0-1.0"),
];

/// Exceptions whose words are not those of their identifier.
pub(super) const EXCEPTIONS: Table = &[
    ("bison-2.2 exception", "Bison-exception-2.2"),
    ("classpath exception", "Classpath-exception-2.0"),
    ("font exception", "Font-exception-2.0"),
    ("gnu classpath exception", "Classpath-exception-2.0"),
];

/// Deprecated identifiers and what the SPDX list says to write instead. Those without a row have no successor.
/// `GFDL-1.1-invariants` and its like are crate `spdx`'s alone.
pub(super) const DEPRECATED: Table = &[
    ("AGPL-1.0", "AGPL-1.0-only"),
    ("AGPL-3.0", "AGPL-3.0-only"),
    ("GFDL-1.1", "GFDL-1.1-only"),
    ("GFDL-1.1-invariants", "GFDL-1.1-invariants-only"),
    ("GFDL-1.1-no-invariants", "GFDL-1.1-no-invariants-only"),
    ("GFDL-1.2", "GFDL-1.2-only"),
    ("GFDL-1.2-invariants", "GFDL-1.2-invariants-only"),
    ("GFDL-1.2-no-invariants", "GFDL-1.2-no-invariants-only"),
    ("GFDL-1.3", "GFDL-1.3-only"),
    ("GFDL-1.3-invariants", "GFDL-1.3-invariants-only"),
    ("GFDL-1.3-no-invariants", "GFDL-1.3-no-invariants-only"),
    ("GPL-1.0", "GPL-1.0-only"),
    ("GPL-1.0+", "GPL-1.0-or-later"),
    ("GPL-2.0", "GPL-2.0-only"),
    ("GPL-2.0+", "GPL-2.0-or-later"),
    ("GPL-2.0-with-GCC-exception", "GPL-2.0-only WITH GCC-exception-2.0"),
    ("GPL-2.0-with-autoconf-exception", "GPL-2.0-only WITH Autoconf-exception-2.0"),
    ("GPL-2.0-with-bison-exception", "GPL-2.0-only WITH Bison-exception-2.2"),
    ("GPL-2.0-with-classpath-exception", "GPL-2.0-only WITH Classpath-exception-2.0"),
    ("GPL-2.0-with-font-exception", "GPL-2.0-only WITH Font-exception-2.0"),
    ("GPL-3.0", "GPL-3.0-only"),
    ("GPL-3.0+", "GPL-3.0-or-later"),
    ("GPL-3.0-with-GCC-exception", "GPL-3.0-only WITH GCC-exception-3.1"),
    ("GPL-3.0-with-autoconf-exception", "GPL-3.0-only WITH Autoconf-exception-3.0"),
    ("LGPL-2.0", "LGPL-2.0-only"),
    ("LGPL-2.0+", "LGPL-2.0-or-later"),
    ("LGPL-2.1", "LGPL-2.1-only"),
    ("LGPL-2.1+", "LGPL-2.1-or-later"),
    ("LGPL-3.0", "LGPL-3.0-only"),
    ("LGPL-3.0+", "LGPL-3.0-or-later"),
    ("StandardML-NJ", "SMLNJ"),
    ("eCos-2.0", "GPL-2.0-or-later WITH eCos-exception-2.0"),
    ("wxWindows", "LGPL-2.0-or-later WITH WxWindows-exception-3.1"),
];

/// URLs without scheme, `www.` and ending that are the text of one licence.
pub(super) const URLS: Table = &[
    ("apache.org/licenses/license-1.1", "Apache-1.1"),
    ("apache.org/licenses/license-2.0", "Apache-2.0"),
    ("boost.org/license_1_0", "BSL-1.0"),
    ("creativecommons.org/licenses/by-sa/4.0", "CC-BY-SA-4.0"),
    ("creativecommons.org/licenses/by/4.0", "CC-BY-4.0"),
    ("creativecommons.org/publicdomain/zero/1.0", "CC0-1.0"),
    ("eclipse.org/legal/epl-2.0", "EPL-2.0"),
    ("eclipse.org/legal/epl-v10", "EPL-1.0"),
    ("eclipse.org/legal/epl-v20", "EPL-2.0"),
    ("eclipse.org/org/documents/edl-v10", "BSD-3-Clause"),
    ("json.org/license", "JSON"),
    ("mozilla.org/en-us/mpl/2.0", "MPL-2.0"),
    ("mozilla.org/mpl/2.0", "MPL-2.0"),
    ("mozilla.org/mpl/mpl-1.1", "MPL-1.1"),
    ("opensource.org/licenses/apache2.0", "Apache-2.0"),
    ("opensource.org/licenses/isc-license", "ISC"),
    ("opensource.org/licenses/mit-license", "MIT"),
    ("unlicense.org", "Unlicense"),
];

#[cfg(test)]
mod tests {
    use spdx::{Expression, ParseMode};

    use super::*;
    use crate::inventory::license::names::fold;

    const BY_NAME: &[(&str, Table)] =
        &[("general", GENERAL), ("deb", DEB), ("rpm", RPM), ("trove", TROVE), ("gem", GEM), ("maven", MAVEN)];

    #[test]
    fn every_table_is_sorted_without_a_name_twice() {
        let all = BY_NAME.iter().map(|(_, table)| *table).chain([EXCEPTIONS, DEPRECATED, URLS]);
        for table in all {
            for pair in table.windows(2) {
                assert!(pair[0].0 < pair[1].0, "{} and {}", pair[0].0, pair[1].0);
            }
        }
    }

    #[test]
    fn every_meaning_is_a_licence_of_the_list_and_no_deprecated_one() {
        let tables = BY_NAME.iter().map(|(_, table)| *table).chain([DEPRECATED, URLS]);
        for (name, meaning) in tables.flatten() {
            assert!(Expression::parse_mode(meaning, ParseMode::STRICT).is_ok(), "{name}: {meaning}");
            assert!(![" AND ", " OR "].iter().any(|operator| meaning.contains(operator)), "{name}");
        }
        for (name, meaning) in EXCEPTIONS {
            assert!(spdx::exception_id(meaning).is_some_and(|id| !id.is_deprecated()), "{name}");
        }
    }

    #[test]
    fn every_name_is_folded_and_means_one_thing() {
        for (dialect, table) in BY_NAME {
            for (name, meaning) in *table {
                assert_eq!(fold(name).as_deref(), Some(*name), "{dialect}");
                // An identifier says what it says, whatever a table makes of it.
                let is_id = spdx::identifiers::LICENSES.iter().any(|id| id.name.eq_ignore_ascii_case(name));
                assert!(!is_id, "{dialect}: {name} is an identifier");
                let general = find(GENERAL, name).unwrap_or(meaning);
                assert_eq!(general, *meaning, "{dialect}: {name}");
                let full = spdx::identifiers::LICENSES
                    .iter()
                    .filter(|id| fold(id.full_name).as_deref() == Some(*name));
                for id in full {
                    assert_eq!(id.name, *meaning, "{dialect}: {name} is a full name");
                }
            }
        }
    }

    #[test]
    fn every_deprecated_identifier_has_a_successor_or_none_in_the_list() {
        let none = ["BSD-2-Clause-FreeBSD", "BSD-2-Clause-NetBSD", "Net-SNMP", "Nunit", "bzip2-1.0.5"];
        for license in spdx::identifiers::LICENSES {
            let is_deprecated = spdx::license_id(license.name).is_some_and(|id| id.is_deprecated());
            let has_successor = find(DEPRECATED, license.name).is_some();
            let is_old = is_deprecated || license.name.ends_with("invariants");
            assert_eq!(is_old, has_successor || none.contains(&license.name), "{}", license.name);
        }
    }
}
