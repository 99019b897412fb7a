//! What is known of a thing: the type that keeps "looked, and it is not there" apart from "could not look".

use serde::Serialize;

/// One fact about an image. A rule that needs an [`Fact::Unknown`] one is undecided; undecided never
/// becomes admit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Fact<T> {
    /// The fact, as read from verified bytes.
    Known(T),
    /// Looked, and certainly not there.
    Absent,
    /// Could not look: the cause, a lowercase fragment for a person.
    Unknown(String),
}

impl<T> Fact<T> {
    /// The same state of knowledge, borrowing what is known.
    pub fn as_ref(&self) -> Fact<&T> {
        match self {
            Self::Known(value) => Fact::Known(value),
            Self::Absent => Fact::Absent,
            Self::Unknown(cause) => Fact::Unknown(cause.clone()),
        }
    }

    /// What is known, if it is, to add to it.
    pub fn known_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Unknown(_) => None,
        }
    }

    /// What is known, if it is. For reports; a rule matches on all three states.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Unknown(_) => None,
        }
    }
}
