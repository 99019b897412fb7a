//! Why something was not read or written, for the commands that only move and show.

use std::fmt;

use crate::model::fault::{Fault, FaultKind};
use crate::{layout, registry};

use super::source::Unread;

/// What happened, and whether it is a lie: bytes that contradict their digest, size or grammar.
#[derive(Debug)]
pub(super) struct Cause {
    pub(super) lies: bool,
    text: String,
}

impl Cause {
    /// The same; a lie where something else proved it.
    pub(super) fn or_lie(self, lies: bool) -> Self {
        Self { lies: self.lies || lies, ..self }
    }

    /// The same, of a place.
    pub(super) fn at(self, at: &str) -> Self {
        Self { text: format!("{at}: {}", self.text), ..self }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Self {
        Self { lies: false, text }
    }
}

impl From<Cause> for String {
    fn from(cause: Cause) -> Self {
        cause.text
    }
}

impl From<Fault> for Cause {
    fn from(fault: Fault) -> Self {
        Self { lies: fault.kind == FaultKind::Lie, text: fault.to_string() }
    }
}

impl From<Unread> for Cause {
    fn from(unread: Unread) -> Self {
        Self { lies: unread.lies.is_some(), text: unread.cause }
    }
}

impl From<registry::Error> for Cause {
    fn from(error: registry::Error) -> Self {
        Self { lies: error.kind == registry::ErrorKind::Mismatch, text: error.to_string() }
    }
}

impl From<layout::Error> for Cause {
    fn from(error: layout::Error) -> Self {
        Self { lies: error.kind == layout::ErrorKind::Mismatch, text: error.to_string() }
    }
}
