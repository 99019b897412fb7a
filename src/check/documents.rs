//! The documents of an image, walked leniently: also what `image::resolve` refuses is looked at, so that
//! every fault of it can be named.

use crate::model::descriptor::Descriptor;
use crate::model::violation::Unseen;

/// The documents of an image. A walk: whoever holds it asks [`Documents::next`] what to read, and tells it
/// by [`Documents::answer`] what came.
#[derive(Debug, Default)]
pub struct Documents {}

/// How the root was given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Served {
    /// `Content-Type` of the registry's answer, without parameters.
    pub content_type: Option<String>,
}

impl Documents {
    /// A walk that begins at `root`.
    #[must_use]
    pub fn new(root: &Descriptor, served: Served) -> Self {
        let _ = (root, served);
        Self {}
    }

    /// The document to be read next, at most so many bytes of it; `None` when the walk is over.
    pub fn next(&mut self) -> Option<(Descriptor, u64)> {
        None
    }

    /// What came of the document that [`Documents::next`] named last: its bytes, unverified; or why they
    /// could not be had. Certainly missing is [`Answer::Missing`].
    pub fn answer(&mut self, answer: Answer) {
        let _ = answer;
    }
}

/// What came of asking for a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Its bytes, as they came.
    Bytes(Vec<u8>),
    /// It is certainly not there.
    Missing,
    /// It could not be had.
    Unseen(Unseen),
}
