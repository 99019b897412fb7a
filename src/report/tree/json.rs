//! `json`: the tree, for programs.

use serde::Serialize;

use crate::model::tree::Tree;
use crate::report::{Style, json};

use super::TreeFormat;

/// The format `json`.
pub(super) struct Json;

/// `portcullis.dev/tree/v1`.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    /// Whether everything could be seen: only then does an empty list mean that nothing is there.
    complete: bool,
    #[serde(flatten)]
    tree: &'a Tree,
}

impl TreeFormat for Json {
    fn id(&self) -> &'static str {
        "json"
    }

    fn summary(&self) -> &'static str {
        "the tree, for programs"
    }

    fn tree(&self, tree: &Tree, _: &Style) -> String {
        json::write(&Document { schema: "portcullis.dev/tree/v1", complete: tree.unknown.is_empty(), tree })
    }
}
