//! What goes wrong between us and the services of a Sigstore instance.

use std::fmt;

use crate::model::path::escape;

/// What kind of failure it is: what a caller does about it depends on this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// There is no identity token, or the service does not accept it.
    Token,
    /// The service refuses what it was asked: asking again cannot help.
    Refused,
    /// The log has this very signature already, and does not say where. Another signature over the same is made.
    Entered,
    /// The certificate ran out while the log was waited for. Another one is asked for.
    RanOut,
    /// What was sent is larger than the service takes.
    TooLarge,
    /// The service could not be reached, or failed, for as long as we had patience.
    Unavailable,
    /// The answer is none that can be used.
    Invalid,
    /// What was configured cannot be used.
    Settings,
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What kind it is.
    pub kind: ErrorKind,
    /// The service, in words, and its address.
    pub at: String,
    /// What happened and what to do: a lowercase fragment.
    pub message: String,
}

impl Error {
    pub(super) fn new(kind: ErrorKind, at: impl fmt::Display, message: impl Into<String>) -> Self {
        Self { kind, at: at.to_string(), message: message.into() }
    }

    pub(super) fn invalid(at: impl fmt::Display, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, at, message)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", escape(self.at.as_bytes()), escape(self.message.as_bytes()))
    }
}

impl std::error::Error for Error {}
