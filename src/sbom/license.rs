//! What an SPDX expression is in a document: an identifier that its schema lists, or an expression.

use std::borrow::Cow;

use crate::model::inventory::Package;
use crate::model::license::{Join, License};

/// Identifiers that crate `spdx` knows and the licence list in the published CycloneDX schemas (SPDX list
/// 3.28.0) does not: as `license.id` they would make the document invalid. A test holds the rest against
/// the schema.
const NOT_IN_SCHEMA: &[&str] = &[
    "BSD-2-Clause-pos-unchanged",
    "BSD-3-Clause-OpenWebUI",
    "BSD-Source-Code-no-disclaimer",
    "BSD-Source-alt-GPL",
    "BSD-ask-to-endorse",
    "Brian-Gladman-3-Clause-no-conversion",
    "Bugroff",
    "CC-BY-NC-3.0-IGO",
    "FDK-MPEG-H",
    "GFDL-1.1-invariants",
    "GFDL-1.1-no-invariants",
    "GFDL-1.2-invariants",
    "GFDL-1.2-no-invariants",
    "GFDL-1.3-invariants",
    "GFDL-1.3-no-invariants",
    "Hippocratic-3.0-core",
    "Informatica",
    "MVT-1.1",
    "NOASSERTION",
    "atc-game",
];

/// An expression, as documents tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One identifier of the schema's list.
    Id,
    /// Anything else.
    Expression,
}

impl Kind {
    pub(super) fn of(expression: &str) -> Self {
        let is_listed = spdx::license_id(expression).is_some_and(|id| id.name == expression);
        if is_listed && !NOT_IN_SCHEMA.contains(&expression) { Self::Id } else { Self::Expression }
    }
}

/// What a package's licences say. Where nobody has looked at them they are taken for SPDX, as in a document that
/// was read.
pub(super) fn of(package: &Package) -> Cow<'_, License> {
    if package.license.terms().is_empty() {
        Cow::Owned(License::of_spdx(&package.licenses, Join::Unclear))
    } else {
        Cow::Borrowed(&package.license)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_and_expressions_are_told_apart() {
        for id in ["MIT", "GPL-2.0", "GPL-2.0-only", "Zlib"] {
            assert_eq!(Kind::of(id), Kind::Id);
        }
        for expression in ["MIT AND Zlib", "(MIT OR Apache-2.0)", "LicenseRef-x", "atc-game", "Apache-2.0+"] {
            assert_eq!(Kind::of(expression), Kind::Expression);
        }
    }

    #[test]
    fn the_exceptions_to_the_list_are_on_the_list() {
        for id in NOT_IN_SCHEMA {
            assert!(spdx::license_id(id).is_some(), "{id} is no longer an exception");
        }
    }
}
