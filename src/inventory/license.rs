//! Licence texts of package metadata as SPDX expressions.
//!
//! **Nothing is guessed.** A text is translated where it says which licence it means: an identifier in any
//! case, the full name that the SPDX list itself gives it, a short name that the ecosystem's own rules define,
//! or a common name that fits one licence only (`tables.rs`). All else stays words: `BSD License` may be any
//! of a dozen, `GPLv2` by an author does not say whether later versions are allowed, `Apache` names no
//! version. What is translated is what the metadata *says*, which may be less exact than the licence itself:
//! Fedora's `MIT` and `LGPLv2+` were families once.
//!
//! What several texts of one package mean together is the ecosystem's to say: see [`Dialect`].

mod dialect;
mod names;
mod parse;
mod tables;

use crate::model::license::{Join, License, MAX_EXPRESSION, Piece, Term};

use dialect::Dialect;

/// Texts of one package that are joined to an expression: 1,000; a browser has two hundred.
const MAX_TEXTS: usize = 1_000;

/// What the licence texts of a package of that type say.
///
/// Texts of more than [`MAX_EXPRESSION`] bytes are licences in full and stay words, as do those with more
/// names or deeper parentheses than any that was ever written. Time and size are linear in the texts.
#[must_use]
pub(crate) fn read(kind: &str, texts: &[String]) -> License {
    let dialect = Dialect::of(kind);
    let mut terms = Vec::new();
    let mut is_list = texts.len() > MAX_TEXTS;
    for text in texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()) {
        let said = of_text(text, dialect);
        is_list |= said.len() > 1;
        terms.extend(said);
    }
    // Attack: an expression of a million licences, or one that says OR where a list inside of it says nothing.
    let unclear = is_list || dialect.all_or_none && terms.iter().any(|term| term.expression().is_none());
    License::new(terms, if unclear { Join::Unclear } else { dialect.join })
}

/// The terms of one text: several where it is a list of which nobody says how it is meant.
fn of_text(text: &str, dialect: &Dialect) -> Vec<Term> {
    if text.len() > MAX_EXPRESSION {
        return vec![Term::words(text)];
    }
    if let Some(found) = names::name(text, dialect) {
        return vec![known(found)];
    }
    if let Some(terms) = parse::terms(text, dialect) {
        return terms;
    }
    if dialect.blanks
        && let Some(terms) = listed(text, dialect)
    {
        return terms;
    }
    vec![Term::words(text)]
}

/// A translated name. Some are expressions: of a licence with an exception, never with an operator.
fn known(expression: String) -> Term {
    Term::new(vec![Piece::Spdx(expression)], None)
}

/// Names with blanks between them, of which at least one is known.
fn listed(text: &str, dialect: &Dialect) -> Option<Vec<Term>> {
    let is_operator = |word: &str| ["and", "or", "with"].iter().any(|op| word.eq_ignore_ascii_case(op));
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.len() < 2 || words.len() > parse::MAX_NAMES || words.iter().any(|word| is_operator(word)) {
        return None;
    }
    let names: Vec<Option<String>> = words.iter().map(|word| names::name(word, dialect)).collect();
    names.iter().any(Option::is_some).then(|| {
        let term = |(word, name): (&&str, Option<String>)| name.map_or_else(|| Term::words(word), known);
        words.iter().zip(names).map(term).collect()
    })
}

#[cfg(test)]
mod tests;
