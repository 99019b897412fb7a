//! `json`: the whole tree, for programs.

use serde::Serialize;

use crate::model::digest::Digest;
use crate::model::platform::Platform;
use crate::model::tree::{
    Artifact, ArtifactKind, BuildAttestation, Hangs, ListedBy, Node, Rejected, Signer, Tree,
};
use crate::report::{Style, json};

use super::TreeFormat;

/// The format `json`.
pub(super) struct Json;

impl TreeFormat for Json {
    fn id(&self) -> &'static str {
        "json"
    }

    fn summary(&self) -> &'static str {
        "the whole tree, for programs"
    }

    fn tree(&self, tree: &Tree, _: &Style) -> String {
        json::write(&Document {
            schema: "portcullis.dev/tree/v1",
            reference: &tree.reference,
            complete: tree.is_complete(),
            verified: false,
            root: Written::new(&tree.root),
        })
    }
}

/// `portcullis.dev/tree/v1`. Only where `complete` is true is what is not listed not there; `verified` is
/// false always: signers are as their certificates claim.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    reference: &'a str,
    complete: bool,
    verified: bool,
    root: Written<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    digest: &'a Digest,
    media_type: &'a str,
    size: u64,
    /// As text: what an index states need not be a platform's words.
    platform: Option<String>,
    unread: Option<&'a str>,
    /// It stands in the tree before, with what is below it.
    again: bool,
    children: Vec<Self>,
    build_attestations: &'a [BuildAttestation],
    #[serde(flatten)]
    hangs: Hanging<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Hanging<'a> {
    artifacts: Vec<Referrer<'a>>,
    rejected: &'a [Rejected],
    unknown: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Referrer<'a> {
    kind: ArtifactKind,
    digest: &'a Digest,
    size: u64,
    artifact_type: Option<&'a str>,
    listed: &'a ListedBy,
    predicate_types: &'a [String],
    claimed_signers: &'a [Signer],
    #[serde(flatten)]
    hangs: Hanging<'a>,
}

impl<'a> Written<'a> {
    fn new(node: &'a Node) -> Self {
        Self {
            digest: &node.digest,
            media_type: &node.media_type,
            size: node.size,
            platform: node.platform.as_ref().map(Platform::to_string),
            unread: node.unread.as_deref(),
            again: node.again,
            children: node.children.iter().map(Self::new).collect(),
            build_attestations: &node.build,
            hangs: Hanging::new(&node.hangs),
        }
    }
}

impl<'a> Hanging<'a> {
    fn new(hangs: &'a Hangs) -> Self {
        let referrer = |artifact: &'a Artifact| Referrer {
            kind: artifact.kind,
            digest: &artifact.digest,
            size: artifact.size,
            artifact_type: artifact.artifact_type.as_deref(),
            listed: &artifact.listed,
            predicate_types: &artifact.predicate_types,
            claimed_signers: &artifact.signers,
            hangs: Hanging::new(&artifact.hangs),
        };
        Self {
            artifacts: hangs.artifacts.iter().map(referrer).collect(),
            rejected: &hangs.rejected,
            unknown: &hangs.unknown,
        }
    }
}
