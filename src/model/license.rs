//! What the licence texts of a package say, in the words of SPDX (SPDX 2.3, annex D).

use std::collections::HashSet;

use spdx::{Expression, ParseMode};

/// Bytes of a text that [`License::of_spdx`] looks at: 8 KiB. The longest expressions of distributions have
/// half of it; what is longer is a licence in full and no name of one.
pub const MAX_EXPRESSION: usize = 8 << 10;

/// SPDX as documents have it: identifiers letter for letter, the deprecated ones among them.
const MODE: ParseMode =
    ParseMode { allow_deprecated: true, allow_postfix_plus_on_gpl: true, ..ParseMode::STRICT };

/// The licences of a package: one term a text, or several where a text is a list.
///
/// Nothing in it is guessed. What is not certain stays in it as words, and there is then no expression.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct License {
    terms: Vec<Term>,
    join: Join,
}

/// What it means that several licences are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Join {
    /// All of them apply.
    All,
    /// One may choose.
    Any,
    /// Nobody says.
    #[default]
    Unclear,
}

/// The operator of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `AND`.
    And,
    /// `OR`.
    Or,
}

impl Operator {
    /// As an expression writes it, with its blanks.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::And => " AND ",
            Self::Or => " OR ",
        }
    }
}

/// One licence, or several of which the text itself says how they belong together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Term {
    pieces: Vec<Piece>,
    operator: Option<Operator>,
}

/// A part of a term.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Piece {
    /// Part of an SPDX expression: identifiers, operators, parentheses.
    Spdx(String),
    /// A licence that is only known by words, where an expression has an identifier.
    Words(String),
}

impl Term {
    /// A text of which nothing is understood.
    #[must_use]
    pub fn words(text: &str) -> Self {
        Self { pieces: vec![Piece::Words(text.to_owned())], operator: None }
    }

    /// Pieces that make an expression once an identifier stands for each [`Piece::Words`]. `operator` is the
    /// outermost one, none for a single licence.
    #[must_use]
    pub fn new(pieces: Vec<Piece>, operator: Option<Operator>) -> Self {
        Self { pieces, operator }
    }

    /// The expression, where all of it is understood.
    #[must_use]
    pub fn expression(&self) -> Option<String> {
        self.render(&mut |_| None)
    }

    /// What it says, the words among it as they are: for a person, no expression.
    #[must_use]
    pub fn text(&self) -> String {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Spdx(text) | Piece::Words(text) => text.as_str(),
            })
            .collect()
    }

    fn render(&self, refer: &mut dyn FnMut(&str) -> Option<String>) -> Option<String> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Spdx(text) => out.push_str(text),
                Piece::Words(text) => out.push_str(&refer(text)?),
            }
        }
        Some(out)
    }
}

impl License {
    /// Licences, and what it means that there are several.
    #[must_use]
    pub fn new(terms: Vec<Term>, join: Join) -> Self {
        Self { terms, join }
    }

    /// Texts of a document that writes licences as SPDX has them. Anything else is words, and so is
    /// `NOASSERTION`, by which nobody says anything.
    #[must_use]
    pub fn of_spdx(texts: &[String], join: Join) -> Self {
        let term = |text: &String| {
            let is_expression = text.len() <= MAX_EXPRESSION
                && Expression::parse_mode(text, MODE).is_ok_and(|parsed| {
                    parsed.requirements().all(|part| part.req.license.to_string() != "NOASSERTION")
                });
            match is_expression {
                true => Term::new(vec![Piece::Spdx(text.clone())], outermost(text)),
                false => Term::words(text),
            }
        };
        Self { terms: texts.iter().filter(|text| !text.is_empty()).map(term).collect(), join }
    }

    /// What is said, each once a text or an entry of a list.
    #[must_use]
    pub fn terms(&self) -> &[Term] {
        &self.terms
    }

    /// The SPDX expression of all of it; none where there are no licences, where part of it is only known by
    /// words, and where it is unclear whether all of a list apply.
    #[must_use]
    pub fn expression(&self) -> Option<String> {
        self.render(&mut |_| None)
    }

    /// The same with an identifier of the document, `LicenseRef-…`, for everything only known by words:
    /// `refer` gives it. None where there are no licences or where it is unclear what a list means.
    #[must_use]
    pub fn expression_with(&self, mut refer: impl FnMut(&str) -> String) -> Option<String> {
        self.render(&mut |words| Some(refer(words)))
    }

    fn render(&self, refer: &mut dyn FnMut(&str) -> Option<String>) -> Option<String> {
        let mut seen = HashSet::new();
        let terms: Vec<&Term> = self.terms.iter().filter(|term| seen.insert(*term)).collect();
        let operator = match (self.join, terms.as_slice()) {
            (_, []) => return None,
            (_, [one]) => return one.render(refer),
            (Join::Unclear, _) => return None,
            (Join::All, _) => Operator::And,
            (Join::Any, _) => Operator::Or,
        };
        let mut out = String::new();
        for term in terms {
            if !out.is_empty() {
                out.push_str(operator.text());
            }
            let text = term.render(refer)?;
            match term.operator {
                Some(own) if own != operator => out.extend(["(", &text, ")"]),
                Some(_) | None => out.push_str(&text),
            }
        }
        Some(out)
    }
}

/// The operator outside of all parentheses that binds least.
fn outermost(expression: &str) -> Option<Operator> {
    let mut depth = 0_usize;
    let mut found = None;
    for word in expression.split_whitespace() {
        let inside = depth > 0;
        depth = depth.saturating_add(word.matches('(').count()).saturating_sub(word.matches(')').count());
        match word {
            "OR" | "or" if !inside => return Some(Operator::Or),
            "AND" | "and" if !inside => found = Some(Operator::And),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str], join: Join) -> License {
        License::of_spdx(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), join)
    }

    #[test]
    fn a_list_is_joined_as_its_ecosystem_means_it() {
        let joined = |join| of(&["MIT", "ISC OR Zlib", "X11 AND 0BSD", "MIT"], join).expression();
        assert_eq!(joined(Join::All).as_deref(), Some("MIT AND (ISC OR Zlib) AND X11 AND 0BSD"));
        assert_eq!(joined(Join::Any).as_deref(), Some("MIT OR ISC OR Zlib OR (X11 AND 0BSD)"));
        assert_eq!(joined(Join::Unclear), None);
        assert_eq!(of(&["MIT", "MIT"], Join::Unclear).expression().as_deref(), Some("MIT"));
        assert_eq!(of(&[""], Join::All).expression(), None);
    }

    #[test]
    fn words_have_no_expression_but_may_be_referred_to() {
        let license = of(&["MIT", "do as you like"], Join::All);
        assert_eq!(license.expression(), None);
        let referred = license.expression_with(|words| format!("LicenseRef-{}", words.len()));
        assert_eq!(referred.as_deref(), Some("MIT AND LicenseRef-14"));
        let unclear = of(&["MIT", "do as you like"], Join::Unclear);
        assert_eq!(unclear.expression_with(|_| panic!("nothing is to be referred to")), None);
        assert_eq!(unclear.terms()[1].text(), "do as you like");
    }

    #[test]
    fn only_what_spdx_defines_is_an_expression() {
        for expression in [
            "MIT",
            "GPL-2.0+",
            "(MIT OR ISC) AND Zlib",
            "LicenseRef-x",
            "GPL-2.0-only WITH GCC-exception-2.0",
        ] {
            assert_eq!(of(&[expression], Join::All).expression().as_deref(), Some(expression));
        }
        for words in ["mit", "NOASSERTION", "MIT OR NOASSERTION", "NONE", "MIT/ISC", "((((", "MIT ISC", "\0"]
        {
            assert_eq!(of(&[words], Join::All).expression(), None, "{words}");
        }
        let endless = format!("MIT{}", " OR MIT".repeat(MAX_EXPRESSION));
        assert_eq!(of(&[&endless], Join::All).expression(), None);
    }

    #[test]
    fn the_outermost_operator_decides_on_parentheses() {
        assert_eq!(outermost("(A OR B) AND C"), Some(Operator::And));
        assert_eq!(outermost("A AND B OR C"), Some(Operator::Or));
        assert_eq!(outermost("(A OR B)"), None);
        assert_eq!(outermost("A WITH B"), None);
    }
}
