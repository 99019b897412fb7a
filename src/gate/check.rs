//! From an image that was read to the violations in it.

use jiff::Timestamp;

use crate::check::documents::{Answer, Documents, Served};
use crate::check::{Expected, Subject, check};
use crate::model::fact::Fact;
use crate::model::violation::Unseen;

use super::inspect::{Found, Inspected};

impl Inspected {
    /// Runs the checks of manifests and layers. Documents that the resolution had no use for, such as
    /// attestation manifests, are read now.
    pub fn check(&mut self, expected: &Expected, now: Timestamp) {
        let Some(found) = &self.found else {
            let cause = self
                .evidence
                .faults
                .first()
                .map_or_else(|| "the image could not be opened".to_owned(), ToString::to_string);
            self.evidence.checked = Fact::Unknown(cause);
            return;
        };
        let documents = documents(found);
        let subject = Subject {
            reference: self.evidence.reference.known(),
            documents: &documents,
            images: &found.layers,
            faults: &self.evidence.faults,
            expected,
            now,
        };
        self.evidence.checked = Fact::Known(check(&subject));
    }
}

/// Walks all documents below the root.
fn documents(found: &Found) -> Documents {
    let Some(root) = &found.image.root else { return Documents::default() };
    let served = Served { content_type: found.source.content_type() };
    let mut documents = Documents::new(root, served);
    while let Some((descriptor, limit)) = documents.next() {
        let known = found.image.documents.get(&descriptor.digest);
        let answer = match known {
            Some(bytes) => Answer::Bytes(bytes.clone()),
            None => match found.source.document(&descriptor, limit) {
                Ok(bytes) => Answer::Bytes(bytes),
                Err(unread) if unread.missing => Answer::Missing,
                Err(unread) => Answer::Unseen(Unseen {
                    at: format!("document {}", descriptor.digest),
                    cause: unread.cause,
                }),
            },
        };
        documents.answer(answer);
    }
    documents
}
