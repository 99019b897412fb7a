//! `json`: schema `portcullis.dev/verified/v1`.

use serde::Serialize;

use crate::model::attestation::{Attested, TrustedRoot};
use crate::model::evidence::ImageIdentity;
use crate::model::fact::Fact;
use crate::model::fault::Fault;
use crate::model::verdict::{Message, Outcome};
use crate::report::Style;
use crate::report::json::write;

use super::{VerifiedImage, VerifyFormat};

/// The format `json`.
pub(super) struct Json;

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    images: Vec<One<'a>>,
}

#[derive(Serialize)]
struct One<'a> {
    image: &'a ImageIdentity,
    outcome: Outcome,
    messages: &'a [Message],
    /// Null where it is not known.
    attested: Option<&'a [Attested]>,
    roots: &'a [TrustedRoot],
    faults: &'a [Fault],
}

impl<'a> One<'a> {
    fn of(verified: &'a VerifiedImage) -> Self {
        Self {
            image: &verified.evidence.image,
            outcome: verified.outcome,
            messages: &verified.messages,
            attested: match &verified.evidence.attested {
                Fact::Known(attested) => Some(attested),
                Fact::Absent | Fact::Unknown(_) => None,
            },
            roots: &verified.evidence.roots,
            faults: &verified.evidence.faults,
        }
    }
}

impl VerifyFormat for Json {
    fn id(&self) -> &'static str {
        "json"
    }

    fn summary(&self) -> &'static str {
        "everything that was found, for programs"
    }

    fn verified(&self, images: &[VerifiedImage], _: &Style) -> String {
        let document =
            Document { schema: "portcullis.dev/verified/v1", images: images.iter().map(One::of).collect() };
        write(&document)
    }
}
