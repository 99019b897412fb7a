//! A page of text: lines of coloured pieces, wrapped to a width, with nothing on it that a terminal obeys
//! but the page's own colours.

use crate::model::path::is_printable;
use crate::report::Style;

/// Characters of one piece. Messages and reasons are prose; whatever is longer was made to bury the rest.
const PIECE_CHARS: usize = 1_000;

/// Columns that wrapped text has at least, however narrow the terminal.
const BODY_COLUMNS: usize = 30;

/// The colour of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Tint {
    /// As the terminal has it.
    Plain,
    /// Bold: what the eye should find.
    Strong,
    /// Dim: what can be skipped.
    Faint,
    /// Green.
    Good,
    /// Yellow.
    Doubt,
    /// Bold red.
    Bad,
}

impl Tint {
    /// ECMA-48, "SGR".
    fn code(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Strong => Some("1"),
            Self::Faint => Some("2"),
            Self::Good => Some("1;32"),
            Self::Doubt => Some("33"),
            Self::Bad => Some("1;31"),
        }
    }
}

/// A piece of a line. Its text is made safe when it is made, so that no caller can forget to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::report) struct Piece {
    tint: Tint,
    text: String,
}

/// A piece of text in a colour.
pub(in crate::report) fn piece(tint: Tint, text: impl AsRef<str>) -> Piece {
    Piece { tint, text: safe(text.as_ref(), PIECE_CHARS) }
}

/// A piece of text as the terminal has it.
pub(in crate::report) fn plain(text: impl AsRef<str>) -> Piece {
    piece(Tint::Plain, text)
}

/// Foreign text made safe to print and cut to so many characters, `…` at the end. Text that is safe and
/// short enough stays as it is, so that what a message has escaped is not escaped twice.
pub(in crate::report) fn safe(text: &str, limit: usize) -> String {
    let mut out = String::new();
    let mut left = limit;
    for c in text.chars() {
        let shown = if is_printable(c) { c.to_string() } else { c.escape_unicode().to_string() };
        let Some(rest) = left.checked_sub(shown.chars().count()) else {
            // Room for the mark: what was cut must not look whole.
            while out.chars().count() >= limit {
                out.pop();
            }
            out.push('…');
            break;
        };
        left = rest;
        out.push_str(&shown);
    }
    out
}

/// The report as it is written.
pub(in crate::report) struct Page {
    text: String,
    color: bool,
    width: usize,
}

impl Page {
    /// An empty page.
    pub(in crate::report) fn new(style: &Style) -> Self {
        Self { text: String::new(), color: style.color, width: style.width }
    }

    /// The page's text.
    pub(in crate::report) fn finish(self) -> String {
        self.text
    }

    /// How much is written: whether anything was added.
    pub(in crate::report) fn written(&self) -> usize {
        self.text.len()
    }

    /// The width that the page is to have.
    pub(in crate::report) fn width(&self) -> usize {
        self.width
    }

    /// An empty line, unless the page is empty or ends with one already.
    pub(in crate::report) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// A line that is not wrapped.
    pub(in crate::report) fn line(&mut self, pieces: &[Piece]) {
        for piece in pieces {
            self.push(piece.tint, &piece.text);
        }
        self.end_line();
    }

    /// A line that begins with `lead`, and whose `body` is wrapped at spaces below its own beginning.
    pub(in crate::report) fn row(&mut self, lead: &[Piece], body: &[Piece]) {
        let hang: usize = lead.iter().map(|piece| piece.text.chars().count()).sum();
        let width = self.width.max(hang.saturating_add(BODY_COLUMNS));
        for piece in lead {
            self.push(piece.tint, &piece.text);
        }
        let mut column = hang;
        for (number, word) in words(body).iter().enumerate() {
            let length: usize = word.iter().map(|(_, text)| text.chars().count()).sum();
            if number > 0 && column.saturating_add(length + 1) > width {
                self.end_line();
                self.push(Tint::Plain, &" ".repeat(hang));
                column = hang;
            } else if number > 0 {
                self.text.push(' ');
                column += 1;
            }
            for (tint, text) in word {
                self.push(*tint, text);
            }
            column += length;
        }
        self.end_line();
    }

    fn push(&mut self, tint: Tint, text: &str) {
        match tint.code().filter(|_| self.color && !text.is_empty()) {
            Some(code) => self.text.push_str(&format!("\x1b[{code}m{text}\x1b[0m")),
            None => self.text.push_str(text),
        }
    }

    fn end_line(&mut self) {
        self.text.truncate(self.text.trim_end_matches(' ').len());
        self.text.push('\n');
    }
}

/// The words of a text, each of one or more pieces: `a` and `b,` beside each other are one word.
fn words(pieces: &[Piece]) -> Vec<Vec<(Tint, &str)>> {
    let mut words: Vec<Vec<(Tint, &str)>> = vec![Vec::new()];
    for piece in pieces {
        for (number, part) in piece.text.split(' ').enumerate() {
            if number > 0 {
                words.push(Vec::new());
            }
            if let Some(word) = words.last_mut().filter(|_| !part.is_empty()) {
                word.push((piece.tint, part));
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Detail;

    fn page(color: bool, width: usize) -> Page {
        Page::new(&Style { color, width, detail: Detail::Usual })
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_what_is_safe_stays() {
        assert_eq!(safe("a\x1b[31m\r\n\u{202e}\u{9b}b", 99), r"a\u{1b}[31m\u{d}\u{a}\u{202e}\u{9b}b");
        assert_eq!(safe(r"C:\dir \u{1b} é 包", 99), r"C:\dir \u{1b} é 包");
    }

    #[test]
    fn long_text_is_cut_and_says_so() {
        assert_eq!(safe("abcdef", 6), "abcdef");
        assert_eq!(safe("abcdefg", 6), "abcde…");
        assert_eq!(safe("abcde\x1b", 6), "abcde…");
        assert_eq!(piece(Tint::Bad, "a".repeat(100_000)).text.chars().count(), PIECE_CHARS);
    }

    #[test]
    fn text_is_wrapped_below_its_own_beginning() {
        let mut page = page(false, 40);
        page.row(&[plain("why  ")], &[plain("one two three four five six seven eight nine ten")]);
        assert_eq!(page.finish(), "why  one two three four five six seven\n     eight nine ten\n");
    }

    #[test]
    fn pieces_beside_each_other_are_one_word_and_colours_end_where_they_began() {
        let mut page = page(true, 40);
        page.row(&[], &[piece(Tint::Bad, "DENY"), plain(", it says")]);
        assert_eq!(page.finish(), "\x1b[1;31mDENY\x1b[0m, it says\n");
    }

    #[test]
    fn no_width_is_too_small_or_too_large() {
        for width in [0, 1, usize::MAX] {
            let mut page = page(false, width);
            page.row(&[plain("lead ")], &[plain("some words that go on and on and on")]);
            assert!(page.finish().starts_with("lead some words"), "{width}");
        }
    }
}
