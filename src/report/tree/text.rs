//! `text`: a drawn tree, for a person.

use crate::model::path::escape;
use crate::model::tree::{Artifact, ArtifactKind, BuildAttestation, Hangs, ListedBy, Node, Signer, Tree};
use crate::report::{Detail, Style};

use super::TreeFormat;

/// Characters of one foreign text; whatever is longer was made to bury the rest.
const TEXT: usize = 300;

/// Artifacts of one manifest, and signers of one artifact, that are drawn where not all are asked for.
const DRAWN: usize = 20;

/// The format `text`.
pub(super) struct Text;

impl TreeFormat for Text {
    fn id(&self) -> &'static str {
        "text"
    }

    fn summary(&self) -> &'static str {
        "a drawn tree, for a person"
    }

    fn tree(&self, tree: &Tree, style: &Style) -> String {
        let most = if style.detail == Detail::Full { usize::MAX } else { DRAWN };
        let root = branch_of_node(&tree.root, most);
        let mut out = format!("{}\n", foreign(&tree.reference));
        draw(&root, "", "", &mut out);
        let signed = signers(&tree.root);
        if signed {
            out.push_str("\nWho signed is as claimed and not verified.\n");
        }
        if !tree.is_complete() {
            out.push_str("\nNot all could be looked at: there may be more than is shown.\n");
        }
        out
    }
}

/// A line, the lines that continue it, and what is below it.
struct Branch {
    line: String,
    more: Vec<String>,
    below: Vec<Self>,
}

fn leaf(line: String) -> Branch {
    Branch { line, more: Vec::new(), below: Vec::new() }
}

fn draw(branch: &Branch, head: &str, indent: &str, out: &mut String) {
    out.push_str(&format!("{head}{}\n", branch.line));
    let bar = if branch.below.is_empty() { "" } else { "│" };
    for line in &branch.more {
        out.push_str(&format!("{indent}{bar:3}{line}\n"));
    }
    let last = branch.below.len().saturating_sub(1);
    for (place, below) in branch.below.iter().enumerate() {
        let (mark, bar) = if place == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        draw(below, &format!("{indent}{mark}"), &format!("{indent}{bar}"), out);
    }
}

fn branch_of_node(node: &Node, most: usize) -> Branch {
    let what = match &node.platform {
        Some(platform) => foreign(&platform.to_string()),
        None => short(&node.media_type).to_owned(),
    };
    let mut below: Vec<Branch> = node.build.iter().map(branch_of_build).collect();
    below.extend(branches(&node.hangs, most));
    below.extend(node.children.iter().map(|child| branch_of_node(child, most)));
    let more = node.unread.iter().map(|cause| format!("could not be read: {}", foreign(cause))).collect();
    let again = if node.again { " (as above)" } else { "" };
    Branch { line: format!("{what}  {}  {} bytes{again}", node.digest, node.size), more, below }
}

fn branch_of_build(build: &BuildAttestation) -> Branch {
    let mut more: Vec<String> = build.predicate_types.iter().map(|it| foreign(it)).collect();
    more.extend(
        build.astray.iter().map(|about| format!("about {}, which this index does not list", foreign(about))),
    );
    more.extend(build.unread.iter().map(|cause| format!("could not be read: {}", foreign(cause))));
    let line = format!("attestation of the build  {}  {} bytes", build.digest, build.size);
    Branch { line, more, below: Vec::new() }
}

fn branches(hangs: &Hangs, most: usize) -> Vec<Branch> {
    let mut branches: Vec<Branch> =
        hangs.artifacts.iter().take(most).map(|artifact| branch_of_artifact(artifact, most)).collect();
    if let Some(rest) = hangs.artifacts.len().checked_sub(most).filter(|rest| *rest > 0) {
        branches.push(leaf(format!("and {rest} more: `--verbose` draws them")));
    }
    branches.extend(
        hangs
            .rejected
            .iter()
            .map(|rejected| leaf(format!("refused  {}: {}", rejected.digest, foreign(&rejected.cause)))),
    );
    branches.extend(hangs.unknown.iter().map(|cause| leaf(format!("not known: {}", foreign(cause)))));
    branches
}

fn branch_of_artifact(artifact: &Artifact, most: usize) -> Branch {
    let kind = match artifact.kind {
        ArtifactKind::Signature => "signature",
        ArtifactKind::Attestation => "attestation",
        ArtifactKind::Bundle => "sigstore bundle",
        ArtifactKind::LegacySignature => "signatures (.sig)",
        ArtifactKind::LegacyAttestation => "attestations (.att)",
        ArtifactKind::LegacySbom => "SBOM (.sbom)",
        ArtifactKind::Other => artifact.artifact_type.as_deref().unwrap_or("artifact"),
    };
    let listed = match artifact.listed {
        ListedBy::Api => "listed by the registry",
        ListedBy::FallbackTag => "listed by the fallback tag",
        ListedBy::Index => "listed by index.json",
        ListedBy::Tag => "by its tag",
    };
    let line = format!("{}  {}  {} bytes, {listed}", foreign(kind), artifact.digest, artifact.size);
    let mut more: Vec<String> = artifact.predicate_types.iter().take(most).map(|it| foreign(it)).collect();
    more.extend(artifact.signers.iter().take(most).map(signer));
    if let Some(rest) = artifact.signers.len().checked_sub(most).filter(|rest| *rest > 0) {
        more.push(format!("and {rest} signers more"));
    }
    Branch { line, more, below: branches(&artifact.hangs, most) }
}

fn signer(signer: &Signer) -> String {
    match signer {
        Signer::Certificate { identities, issuer } => {
            let names = match identities.as_slice() {
                [] => "nobody that the certificate names".to_owned(),
                names => names.iter().map(|name| foreign(name)).collect::<Vec<_>>().join(", "),
            };
            let issuer = issuer.as_ref().map(|issuer| format!(", by {}", foreign(issuer)));
            format!("signed by {names}{} (claimed, not verified)", issuer.unwrap_or_default())
        }
        Signer::Key { hint: None } => "signed by a key (not verified)".to_owned(),
        Signer::Key { hint: Some(hint) } => {
            format!("signed by a key, hint {} (claimed, not verified)", foreign(hint))
        }
        Signer::Unreadable { cause } => format!("who signed cannot be read: {}", foreign(cause)),
    }
}

/// Whether a signer is named anywhere.
fn signers(node: &Node) -> bool {
    fn on(hangs: &Hangs) -> bool {
        hangs.artifacts.iter().any(|artifact| !artifact.signers.is_empty() || on(&artifact.hangs))
    }
    on(&node.hangs) || node.children.iter().any(signers)
}

/// What a media type is to a person.
fn short(media_type: &str) -> &'static str {
    if media_type.contains("index") || media_type.contains("list") { "index" } else { "manifest" }
}

/// Foreign text, safe to print and not too long.
fn foreign(text: &str) -> String {
    let mut shown: String = text.chars().take(TEXT).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    escape(shown.as_bytes())
}
