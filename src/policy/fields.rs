//! Reading typed values out of the tree, so that a misspelt field is an error with its place.

use super::error::{Errors, PolicyError};
use super::yaml::{Entry, Node, Value};

impl Node {
    fn described(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    fn mismatch(&self, expected: &str) -> PolicyError {
        self.span.error(format!("expected {expected}, found {}", self.described()))
    }

    /// The text of a scalar; `expected` says in an error what should stand here.
    pub(crate) fn text(&self, expected: &str) -> Result<&str, PolicyError> {
        match &self.value {
            Value::Scalar { text, .. } if !text.trim().is_empty() => Ok(text),
            Value::Scalar { .. } => Err(self.span.error(format!("expected {expected}, found an empty text"))),
            Value::Null | Value::List(_) | Value::Map(_) => Err(self.mismatch(expected)),
        }
    }

    /// A scalar read by `parse`, whose error is a lowercase fragment.
    pub(crate) fn read<T>(
        &self,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, PolicyError> {
        parse(self.text(expected)?).map_err(|cause| self.span.error(cause))
    }

    /// `true` or `false`, without quotes: YAML 1.2 has no `yes` and `no`.
    pub(crate) fn boolean(&self) -> Result<bool, PolicyError> {
        match &self.value {
            Value::Scalar { text, plain: true } if text == "true" => Ok(true),
            Value::Scalar { text, plain: true } if text == "false" => Ok(false),
            Value::Scalar { text, .. } => {
                Err(self.span.error(format!("expected `true` or `false`, found `{text}`")))
            }
            Value::Null | Value::List(_) | Value::Map(_) => Err(self.mismatch("`true` or `false`")),
        }
    }

    /// One of the given words.
    pub(crate) fn word<T: Copy>(&self, choices: &[(&str, T)]) -> Result<T, PolicyError> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let expected = format!("one of: {}", words.join(", "));
        let text = self.text(&expected)?;
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(*value),
            None => {
                Err(self.span.error(format!("expected {expected}; found `{text}`")).suggest(text, &words))
            }
        }
    }

    /// The items of a list that has some: an empty one in a rule checks nothing.
    pub(crate) fn items(&self, expected: &str) -> Result<&[Self], PolicyError> {
        match &self.value {
            Value::List(items) if !items.is_empty() => Ok(items),
            Value::List(_) => Err(self.span.error(format!("expected {expected}, found an empty list"))),
            Value::Null | Value::Scalar { .. } | Value::Map(_) => Err(self.mismatch(expected)),
        }
    }

    /// The items of a list, or a single value as a list of one.
    pub(crate) fn one_or_more(&self, expected: &str) -> Result<&[Self], PolicyError> {
        match &self.value {
            Value::Scalar { .. } => Ok(std::slice::from_ref(self)),
            Value::Null | Value::List(_) | Value::Map(_) => self.items(expected),
        }
    }

    /// The fields of a mapping that has some.
    pub(crate) fn entries(&self, expected: &str) -> Result<&[Entry], PolicyError> {
        match &self.value {
            Value::Map(entries) if !entries.is_empty() => Ok(entries),
            Value::Map(_) => Err(self.span.error(format!("expected {expected}, found an empty mapping"))),
            Value::Null | Value::Scalar { .. } | Value::List(_) => Err(self.mismatch(expected)),
        }
    }
}

/// The fields of one mapping. Every field that is asked for is known; [`Fields::finish`] reports the
/// others: a field that is silently ignored is a rule that silently does not apply.
pub(crate) struct Fields<'n> {
    what: &'n str,
    node: &'n Node,
    entries: &'n [Entry],
    known: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// The fields of `node`; `what` names the mapping in errors, such as `the rule`.
    pub(crate) fn of(node: &'n Node, what: &'n str) -> Result<Self, PolicyError> {
        match &node.value {
            Value::Map(entries) => Ok(Self { what, node, entries, known: Vec::new() }),
            Value::Null | Value::Scalar { .. } | Value::List(_) => {
                Err(node.mismatch(&format!("{what} as a mapping")))
            }
        }
    }

    /// The field, where it stands.
    pub(crate) fn optional(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }

    /// The field; an error where it does not stand.
    pub(crate) fn required(&mut self, key: &'static str) -> Result<&'n Node, PolicyError> {
        let missing = self.node.span.error(format!("{} has no `{key}`", self.what));
        self.optional(key).ok_or(missing)
    }

    /// An optional field, read. `None` where it does not stand or cannot be read; the latter is noted.
    pub(crate) fn read<T>(
        &mut self,
        key: &'static str,
        errors: &mut Errors,
        read: impl FnOnce(&'n Node) -> Result<T, PolicyError>,
    ) -> Option<T> {
        let node = self.optional(key)?;
        errors.keep(read(node))
    }

    /// A required field, read.
    pub(crate) fn need<T>(
        &mut self,
        key: &'static str,
        errors: &mut Errors,
        read: impl FnOnce(&'n Node) -> Result<T, PolicyError>,
    ) -> Option<T> {
        let node = self.required(key);
        errors.keep(node.and_then(read))
    }

    /// Fields of the schema that this version does not have: refused, because to ignore one would
    /// fail open.
    pub(crate) fn later(&mut self, keys: &[&str], errors: &mut Errors) {
        for entry in self.entries.iter().filter(|entry| keys.contains(&entry.key.as_str())) {
            let error = entry.span.error(format!("`{}` is not supported by this version", entry.key));
            errors.push(error.help("take it out; to ignore it would let images in unchecked"));
        }
    }

    /// Reports every field that nobody asked for, `later` ones excepted.
    pub(crate) fn finish(self, later: &[&str], errors: &mut Errors) {
        for entry in self.entries {
            let key = entry.key.as_str();
            if !self.known.contains(&key) && !later.contains(&key) {
                let error = entry.span.error(format!("unknown field `{key}` in {}", self.what));
                errors.push(error.suggest(key, &self.known));
            }
        }
    }

    /// As [`Fields::finish`], and an empty mapping is an error too: it would check nothing.
    pub(crate) fn finish_some(self, later: &[&str], errors: &mut Errors) {
        if self.entries.is_empty() {
            let error = self.node.span.error(format!("{} is empty: it checks nothing", self.what));
            errors.push(error.help(format!("it may have: {}", self.known.join(", "))));
        }
        self.finish(later, errors);
    }
}
