//! YAML 1.2 as a tree with positions, without what a policy has no use for: anchors, aliases, tags,
//! several documents, keys that are no strings, the same key twice.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::error::{Errors, PolicyError};

/// The longest policy document, in bytes: real ones have a few KiB.
pub(crate) const MAX_BYTES: usize = 1 << 20;

/// The deepest nesting: the schema needs 7. It bounds every walk over the tree.
pub(crate) const MAX_DEPTH: usize = 32;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) value: Value,
    /// Where it is.
    pub(crate) span: Span,
}

/// What a [`Node`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// A scalar, as text; `plain` where it stands without quotes.
    Scalar {
        /// The text.
        text: String,
        /// Whether it is unquoted, so that `true` may mean the boolean.
        plain: bool,
    },
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the document; no key stands twice.
    Map(Vec<Entry>),
}

/// One field of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// Where the key is.
    pub(crate) span: Span,
    /// The value.
    pub(crate) value: Node,
}

/// A place in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    /// First byte.
    pub(crate) start: usize,
    /// Byte after the last.
    pub(crate) end: usize,
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column, from 1, in characters.
    pub(crate) column: usize,
}

impl Span {
    /// An error at this place.
    pub(crate) fn error(self, message: impl Into<String>) -> PolicyError {
        PolicyError {
            line: self.line,
            column: self.column,
            message: message.into(),
            help: None,
            span: self.start..self.end,
        }
    }
}

/// Reads one document.
pub(crate) fn parse(bytes: &[u8]) -> Result<Node, Vec<PolicyError>> {
    let mut errors = Errors::default();
    let root = errors.keep(decode(bytes)).and_then(|text| build(text, &mut errors));
    errors.finish(root)
}

fn decode(bytes: &[u8]) -> Result<&str, PolicyError> {
    let start = Span { line: 1, column: 1, ..Span::default() };
    if bytes.len() > MAX_BYTES {
        return Err(start
            .error(format!("the document has {} bytes, more than the limit of {MAX_BYTES}", bytes.len())));
    }
    let position = |at: usize| {
        let before = String::from_utf8_lossy(bytes.get(..at).unwrap_or_default());
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Span { start: at, end: at + 1, line, column }
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|error| position(error.valid_up_to()).error("the document is not utf-8"))?;
    // YAML 1.2.2 §5.1. The parser takes a NUL for the end of its input: what follows one, such as
    // the strictest rule, would be dropped in silence.
    let allowed = |at: usize, c: char| is_printable(c) || (at == 0 && c == '\u{feff}');
    match text.char_indices().find(|(at, c)| !allowed(*at, *c)) {
        Some((at, c)) => {
            Err(position(at)
                .error(format!("the character U+{:04X} may not stand in a document", u32::from(c))))
        }
        None => Ok(text),
    }
}

fn is_printable(c: char) -> bool {
    // Bidirectional controls (Trojan Source, CVE-2021-42574) make a reviewer read another rule.
    if matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
        return false;
    }
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}'
        | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

fn build(text: &str, errors: &mut Errors) -> Option<Node> {
    let mark = '\u{feff}';
    let body = text.strip_prefix(mark).unwrap_or(text);
    let base = text.len() - body.len();
    let mut offsets: Vec<usize> = body.char_indices().map(|(at, _)| at + base).collect();
    offsets.push(text.len());
    let mut builder = Builder { offsets, stack: Vec::new(), root: None, documents: 0 };
    for event in Parser::new_from_str(body) {
        let step = match event {
            Ok((event, span)) => {
                let span = builder.span(span.start, span.end);
                builder.accept(event, span, errors)
            }
            Err(error) => {
                Err(builder.span(*error.marker(), *error.marker()).error(format!("yaml: {}", error.info())))
            }
        };
        errors.keep(step)?;
    }
    let start = Span { line: 1, column: 1, ..Span::default() };
    let root = builder.root.filter(|root| root.value != Value::Null);
    errors.keep(root.ok_or_else(|| start.error("the document is empty")))
}

struct Builder {
    /// Byte offset of each character: the parser counts characters.
    offsets: Vec<usize>,
    stack: Vec<Frame>,
    root: Option<Node>,
    documents: usize,
}

struct Frame {
    span: Span,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, keys: BTreeMap<String, usize>, pending: Option<(String, Span)> },
}

impl Builder {
    fn span(&self, start: Marker, end: Marker) -> Span {
        let byte =
            |index: usize| self.offsets.get(index).or(self.offsets.last()).copied().unwrap_or_default();
        let first = byte(start.index());
        Span {
            start: first,
            end: byte(end.index()).max(first),
            line: start.line().max(1),
            column: start.col() + 1,
        }
    }

    /// Takes the next event. An error here ends the reading.
    fn accept(&mut self, event: Event<'_>, span: Span, errors: &mut Errors) -> Result<(), PolicyError> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(span.error("a policy is one document, and here begins another"));
                }
                Ok(())
            }
            // An alias that names a list of aliases, a few levels deep, unfolds to gigabytes.
            Event::Alias(_) => Err(span.error("aliases are not allowed").help("write the value out")),
            Event::Scalar(text, style, anchor, tag) => {
                check_plain(anchor, tag.is_some(), span, errors);
                self.scalar(text.into_owned(), style == ScalarStyle::Plain, span, errors)
            }
            Event::SequenceStart(anchor, tag) => {
                check_plain(anchor, tag.is_some(), span, errors);
                self.open(Content::List(Vec::new()), span)
            }
            Event::MappingStart(anchor, tag) => {
                check_plain(anchor, tag.is_some(), span, errors);
                let content = Content::Map { entries: Vec::new(), keys: BTreeMap::new(), pending: None };
                self.open(content, span)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.close(span, errors);
                Ok(())
            }
        }
    }

    fn open(&mut self, content: Content, span: Span) -> Result<(), PolicyError> {
        if let Some(Frame { content: Content::Map { pending: None, .. }, .. }) = self.stack.last() {
            return Err(span.error("a key must be a string"));
        }
        if self.stack.len() >= MAX_DEPTH {
            return Err(span.error(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.stack.push(Frame { span, content });
        Ok(())
    }

    fn close(&mut self, end: Span, errors: &mut Errors) {
        if let Some(frame) = self.stack.pop() {
            let value = match frame.content {
                Content::List(items) => Value::List(items),
                Content::Map { entries, .. } => Value::Map(entries),
            };
            let span = Span { end: end.end.max(frame.span.end), ..frame.span };
            self.place(Node { value, span }, errors);
        }
    }

    fn scalar(
        &mut self,
        text: String,
        plain: bool,
        span: Span,
        errors: &mut Errors,
    ) -> Result<(), PolicyError> {
        // An escape such as "\e" may stand for a character that the document itself may not have.
        if let Some(c) = text.chars().find(|c| !is_printable(*c)) {
            errors.push(span.error(format!("the character U+{:04X} may not stand in a text", u32::from(c))));
        }
        if let Some(Frame { content: Content::Map { pending: pending @ None, .. }, .. }) =
            self.stack.last_mut()
        {
            if text.is_empty() {
                return Err(span.error("a key must be a string, and this one is empty"));
            }
            *pending = Some((text, span));
            return Ok(());
        }
        let null = plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
        let value = if null { Value::Null } else { Value::Scalar { text, plain } };
        self.place(Node { value, span }, errors);
        Ok(())
    }

    fn place(&mut self, node: Node, errors: &mut Errors) {
        match self.stack.last_mut().map(|frame| &mut frame.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map { entries, keys, pending }) => {
                let Some((key, span)) = pending.take() else { return };
                // Other parsers keep the last one: a second `rules:` further down would replace the first.
                match keys.get(&key) {
                    Some(first) => {
                        let error = span.error(format!("the key `{key}` stands twice"));
                        errors.push(error.help(format!("it stands first in line {first}")));
                    }
                    None => {
                        keys.insert(key.clone(), span.line);
                        entries.push(Entry { key, span, value: node });
                    }
                }
            }
        }
    }
}

fn check_plain(anchor: usize, tagged: bool, span: Span, errors: &mut Errors) {
    if anchor > 0 {
        errors.push(span.error("anchors are not allowed").help("write the value out where it is needed"));
    }
    if tagged {
        errors.push(span.error("tags (`!…`) are not allowed").help("leave the tag out"));
    }
}

#[cfg(test)]
mod tests;
