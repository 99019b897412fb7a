//! `text`: the tree, drawn.

use crate::model::tree::{Leaf, LeafKind, Node, Signer, Tree};
use crate::report::Style;
use crate::report::text::page::{Page, Piece, Tint, piece, plain};
use crate::report::text::words::{name, short};

use super::TreeFormat;

/// The format `text`.
pub(super) struct Text;

impl TreeFormat for Text {
    fn id(&self) -> &'static str {
        "text"
    }

    fn summary(&self) -> &'static str {
        "the tree, drawn"
    }

    fn tree(&self, tree: &Tree, style: &Style) -> String {
        let mut page = Page::new(style);
        page.line(&[piece(Tint::Strong, &tree.image.reference)]);
        let mut lines = Vec::new();
        below_node(&tree.root, &mut lines);
        let mut drawn = vec![Line { text: node_line(&tree.root), below: lines }];
        draw(&mut page, "", &mut drawn);
        if signed(&tree.root) {
            page.gap();
            page.row(
                &[],
                &[piece(
                    Tint::Doubt,
                    "Who signed is what each signature says of itself: nothing is verified.",
                )],
            );
        }
        for cause in &tree.unknown {
            page.row(&[piece(Tint::Doubt, "not seen: ")], &[plain(cause)]);
        }
        page.finish()
    }
}

/// A line of the drawing, with those below it.
struct Line {
    text: Vec<Piece>,
    below: Vec<Line>,
}

fn draw(page: &mut Page, indent: &str, lines: &mut Vec<Line>) {
    let count = lines.len();
    for (n, line) in lines.iter_mut().enumerate() {
        let last = n + 1 == count;
        let mut pieces = vec![piece(Tint::Faint, format!("{indent}{}", if last { "└─ " } else { "├─ " }))];
        pieces.append(&mut line.text);
        page.line(&pieces);
        draw(page, &format!("{indent}{}", if last { "   " } else { "│  " }), &mut line.below);
    }
}

fn node_line(node: &Node) -> Vec<Piece> {
    let what = match (&node.platform, node.predicates.is_empty()) {
        (_, false) => format!("BuildKit attestations, not signed: {}", list(&node.predicates)),
        (Some(platform), true) => name(&platform.to_string()),
        (None, true) if node.media_type.contains("index") || node.media_type.contains("list") => {
            "index".to_owned()
        }
        (None, true) => "manifest".to_owned(),
    };
    vec![piece(Tint::Strong, what), plain("  "), piece(Tint::Faint, short(&node.digest))]
}

fn below_node(node: &Node, lines: &mut Vec<Line>) {
    lines.extend(node.referrers.iter().map(leaf_line));
    for cause in &node.rejected {
        lines.push(Line {
            text: vec![piece(Tint::Bad, "does not belong here: "), plain(cause)],
            below: Vec::new(),
        });
    }
    for child in &node.children {
        let mut below = Vec::new();
        below_node(child, &mut below);
        lines.push(Line { text: node_line(child), below });
    }
}

fn leaf_line(leaf: &Leaf) -> Line {
    let what = match leaf.kind {
        LeafKind::Bundle if leaf.predicates.is_empty() => "signature (bundle)".to_owned(),
        LeafKind::Bundle => format!("attestation (bundle) {}", list(&leaf.predicates)),
        LeafKind::LegacySignature => "signature (legacy)".to_owned(),
        LeafKind::LegacyAttestation => format!("attestation (legacy) {}", list(&leaf.predicates)),
        LeafKind::LegacySbom => "SBOM (legacy, not signed)".to_owned(),
        LeafKind::Other => {
            format!("referrer {}", name(leaf.artifact_type.as_deref().unwrap_or("of unknown type")))
        }
    };
    let mut text = vec![plain(what.trim_end()), plain("  "), piece(Tint::Faint, short(&leaf.digest))];
    for signer in &leaf.claimed_signers {
        text.push(plain(format!("  {}", signer_words(signer))));
    }
    Line { text, below: leaf.referrers.iter().map(leaf_line).collect() }
}

fn signer_words(signer: &Signer) -> String {
    match signer {
        Signer::Certificate { subject, issuer: Some(issuer) } => format!("claims {subject} by {issuer}"),
        Signer::Certificate { subject, issuer: None } => format!("claims {subject}"),
        Signer::Key { hint: Some(hint) } => format!("claims a key {hint}"),
        Signer::Key { hint: None } => "claims a key".to_owned(),
        Signer::Unknown { cause } => format!("signer not known: {cause}"),
    }
}

fn list(things: &[String]) -> String {
    things.iter().map(|thing| name(thing)).collect::<Vec<_>>().join(", ")
}

/// Whether anything says who signed it.
fn signed(node: &Node) -> bool {
    node.referrers.iter().any(signed_leaf) || node.children.iter().any(signed)
}

fn signed_leaf(leaf: &Leaf) -> bool {
    !leaf.claimed_signers.is_empty() || leaf.referrers.iter().any(signed_leaf)
}
