//! What a licence text of a package's metadata is: an SPDX identifier, an SPDX expression or just words.

use spdx::{Expression, ParseMode};

/// Bytes of a licence text that are looked at. Longer ones are licences in full, not names of licences.
const EXPRESSION_BYTES: usize = 1000;

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

/// Deprecated identifiers (`GPL-2.0`, `GPL-2.0+`) are valid SPDX and frequent in old metadata. Nothing is
/// guessed beyond that: `Apache 2` stays words, for the package did not say which licence that is.
const MODE: ParseMode =
    ParseMode { allow_deprecated: true, allow_postfix_plus_on_gpl: true, ..ParseMode::STRICT };

/// A licence as the metadata states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum License<'a> {
    /// An identifier of the SPDX licence list.
    Id(&'a str),
    /// An SPDX expression of several identifiers, or of one that is not in the schema's list.
    Expression(&'a str),
    /// Words.
    Name(&'a str),
}

impl<'a> License<'a> {
    /// Reads a text; the text itself is kept, letter for letter.
    pub(super) fn of(text: &'a str) -> Self {
        if text.len() > EXPRESSION_BYTES {
            return Self::Name(text);
        }
        let listed = |text: &str| spdx::license_id(text).is_some_and(|id| id.name == text);
        if listed(text) && !NOT_IN_SCHEMA.contains(&text) {
            Self::Id(text)
        } else if Expression::parse_mode(text, MODE).is_ok() {
            Self::Expression(text)
        } else {
            Self::Name(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_expressions_and_words_are_told_apart() {
        for id in ["MIT", "GPL-2.0", "GPL-2.0-only", "Zlib"] {
            assert_eq!(License::of(id), License::Id(id));
        }
        for expression in ["MIT AND Zlib", "(MIT OR Apache-2.0)", "GPL-2.0+", "LicenseRef-x", "atc-game"] {
            assert_eq!(License::of(expression), License::Expression(expression));
        }
        for words in ["", "Expat", "mit", "Apache 2", "MIT Zlib", "MIT/Apache-2.0", "((((", "\0", "GPL-2+"] {
            assert_eq!(License::of(words), License::Name(words));
        }
    }

    #[test]
    fn a_whole_licence_is_no_expression() {
        let text = format!("MIT{}", " OR MIT".repeat(EXPRESSION_BYTES));
        assert!(matches!(License::of(&text), License::Name(_)));
    }

    #[test]
    fn the_exceptions_to_the_list_are_on_the_list() {
        for id in NOT_IN_SCHEMA {
            assert!(spdx::license_id(id).is_some(), "{id} is no longer an exception");
        }
    }
}
