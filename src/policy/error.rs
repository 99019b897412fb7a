//! What is wrong with a policy document, and where.

use std::fmt::Write as _;
use std::ops::Range;

use crate::model::path::escape;

/// One thing wrong with a policy document. A document with any of them is not a policy: to go on
/// without the part that could not be read would let images in unchecked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct PolicyError {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What is wrong: a lowercase fragment.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// The bytes of the document that it is about.
    pub span: Range<usize>,
}

/// How many characters of a long line are shown on either side of the error.
const CONTEXT: usize = 60;

impl PolicyError {
    /// The same error with advice.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// The same error with the candidate that is spelt most like `word` as advice, else with the list.
    #[must_use]
    pub fn suggest(self, word: &str, candidates: &[&str]) -> Self {
        match closest(word, candidates) {
            Some(candidate) => self.help(format!("did you mean `{candidate}`?")),
            None if candidates.is_empty() => self,
            None => self.help(format!("one of: {}", candidates.join(", "))),
        }
    }

    /// The error for a person: position, message, the line of `source` with a caret below, advice.
    /// `source` is the document that was parsed; `file_name` is shown as it is. Ends with a newline.
    #[must_use]
    pub fn render(&self, source: &[u8], file_name: &str) -> String {
        let mut out = format!("{file_name}:{}:{}: {}\n", self.line, self.column, self.message);
        let line = source.split(|b| *b == b'\n').nth(self.line.saturating_sub(1)).unwrap_or_default();
        let line = String::from_utf8_lossy(line);
        let skipped = self.column.saturating_sub(1).saturating_sub(CONTEXT);
        let shown: String = line.trim_end().chars().skip(skipped).take(2 * CONTEXT).collect();
        // A tab is one column and control characters are none of the reader's business.
        let shown = shown.replace('\t', " ");
        let shown: String = shown.chars().map(|c| if escape_needed(c) { '.' } else { c }).collect();
        let indent = self.column.saturating_sub(1).saturating_sub(skipped);
        let length = String::from_utf8_lossy(source.get(self.span.clone()).unwrap_or_default())
            .chars()
            .take_while(|c| *c != '\n' && *c != '\r')
            .count();
        let length = length.clamp(1, shown.chars().count().saturating_sub(indent).max(1));
        let gutter = self.line.to_string();
        let blank = " ".repeat(gutter.len());
        let _ = writeln!(out, "{blank} |\n{gutter} | {shown}");
        let _ = writeln!(out, "{blank} | {}{}", " ".repeat(indent), "^".repeat(length));
        if let Some(help) = &self.help {
            let _ = writeln!(out, "{blank} = help: {help}");
        }
        out
    }
}

fn escape_needed(c: char) -> bool {
    c != '\\' && escape(c.encode_utf8(&mut [0; 4]).as_bytes()).starts_with('\\')
}

/// The candidate that `word` is most likely a misspelling of.
fn closest<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let distance = |candidate: &str| {
        strsim::damerau_levenshtein(&word.to_ascii_lowercase(), &candidate.to_ascii_lowercase())
    };
    let (distance, candidate) = candidates.iter().map(|c| (distance(c), *c)).min()?;
    (distance <= (word.chars().count() / 3).max(1)).then_some(candidate)
}

/// Errors gathered while a document is read: a person wants to see all of them at once.
#[derive(Debug, Default)]
pub(crate) struct Errors(Vec<PolicyError>);

impl Errors {
    /// Adds one.
    pub(crate) fn push(&mut self, error: PolicyError) {
        self.0.push(error);
    }

    /// The value, or its error noted down.
    pub(crate) fn keep<T>(&mut self, result: Result<T, PolicyError>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// How many there are so far.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// `value` where there are none, else all of them in the order of the document.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<T, Vec<PolicyError>> {
        self.0.sort_by_key(|error| (error.line, error.column));
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            Some(_) | None => Err(self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: usize, column: usize, span: Range<usize>) -> PolicyError {
        PolicyError { line, column, message: "unknown field `severty`".into(), help: None, span }
    }

    #[test]
    fn an_error_shows_its_line_and_points_at_the_column() {
        let source = "rules:\n- {severty: high}\n";
        let shown = error(2, 4, 10..17).suggest("severty", &["severity", "fixed"]);
        assert_eq!(
            shown.render(source.as_bytes(), "p.yaml"),
            "p.yaml:2:4: unknown field `severty`\n  |\n2 | - {severty: high}\n  |    ^^^^^^^\n  \
             = help: did you mean `severity`?\n"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_error() {
        let source = format!("{}x{}", "a".repeat(5_000), "b".repeat(5_000));
        let shown = error(1, 5_001, 5_000..5_001).render(source.as_bytes(), "p");
        assert!(shown.lines().all(|line| line.len() < 200), "{shown}");
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[2].find('x'), lines[3].find('^'));
    }

    #[test]
    fn terminal_escapes_of_the_document_are_not_printed() {
        let shown = error(1, 1, 0..1).render(b"\x1b[31mred\tx", "p");
        assert!(!shown.contains(['\x1b', '\t']), "{shown:?}");
    }

    #[test]
    fn a_position_outside_the_document_does_not_panic() {
        let _ = error(99, 99, 500..600).render(b"a", "p");
    }

    #[test]
    fn a_word_unlike_any_candidate_gets_the_list() {
        let shown = error(1, 1, 0..0).suggest("zzz", &["size", "age"]);
        assert_eq!(shown.help.as_deref(), Some("one of: size, age"));
    }
}
