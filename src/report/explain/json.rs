//! `json`: every record and every comparison, for programs.

use serde::Serialize;

use crate::model::evidence::{ImageIdentity, SnapshotInfo};
use crate::model::explanation::{Explanation, PlatformExplanation};
use crate::report::{Style, json};

use super::ExplainFormat;

/// The format `json`.
pub(super) struct Json;

impl ExplainFormat for Json {
    fn id(&self) -> &'static str {
        "json"
    }

    fn summary(&self) -> &'static str {
        "every record and every comparison, for programs"
    }

    fn explanation(&self, explanation: &Explanation, _: &Style) -> String {
        json::write(&Document {
            schema: "portcullis.dev/explanation/v1",
            id: &explanation.id,
            image: &explanation.image,
            snapshot: explanation.snapshot.as_ref(),
            platforms: &explanation.platforms,
            withdrawn: &explanation.withdrawn,
            unread: &explanation.unread,
        })
    }
}

/// `portcullis.dev/explanation/v1`. Only where `unread` is empty and no platform has `unasked` packages or gaps is
/// what is not listed not there.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    id: &'a str,
    image: &'a ImageIdentity,
    snapshot: Option<&'a SnapshotInfo>,
    platforms: &'a [PlatformExplanation],
    withdrawn: &'a [String],
    unread: &'a [String],
}
