//! `text`: a few lines, for a person.

use crate::attestation::{Content, SignedBy, Verified, claims};
use crate::model::path::escape;
use crate::report::Style;

use super::{BundleFormat, BundleOutcome, JudgedBundle};

/// Characters of one foreign text; whatever is longer was made to bury the rest.
const TEXT: usize = 300;

/// The format `text`.
pub(super) struct Text;

impl BundleFormat for Text {
    fn id(&self) -> &'static str {
        "text"
    }

    fn summary(&self) -> &'static str {
        "a few lines, for a person"
    }

    fn bundle(&self, judged: &JudgedBundle<'_>, _: &Style) -> String {
        let (bundle, subject) = (foreign(judged.bundle), foreign(judged.subject));
        let mut lines = Vec::new();
        match judged.outcome {
            BundleOutcome::Accepted(verified) => {
                let kind =
                    if verified.is_signature() { "signature" } else { "attestation, and no signature" };
                lines.push(format!("verified ({kind}): {bundle} for {subject}"));
                told(verified, &mut lines);
            }
            BundleOutcome::Other(verified, rejection) => {
                lines.push(format!("refused ({}): {bundle} for {subject}", rejection.kind));
                lines.push(format!("  {}", foreign(&rejection.detail)));
                told(verified, &mut lines);
            }
            BundleOutcome::Refused(rejection, claimed) => {
                let word = if rejection.kind.is_undecided() { "undecided" } else { "refused" };
                lines.push(format!("{word} ({}): {bundle} for {subject}", rejection.kind));
                lines.push(format!("  {}", foreign(&rejection.detail)));
                if let Some(claimed) = claimed {
                    lines.push(format!("  as claimed, and not verified, signed by {}", claim(claimed)));
                }
            }
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

/// What is known of a verified bundle.
fn told(verified: &Verified, lines: &mut Vec<String>) {
    match &verified.signed_by {
        SignedBy::Certificate(signer) => {
            lines.push(format!("  signed by {}", foreign(signer.name.as_str())));
            let issuer = signer.issuer.as_deref().map_or("nobody that is named".to_owned(), foreign);
            lines.push(format!("  vouched for by {issuer}"));
            for (claim, text) in &signer.claims {
                lines.push(format!("    {claim}: {}", foreign(text)));
            }
        }
        SignedBy::Key(fingerprint) => lines.push(format!("  signed by the key {fingerprint}")),
    }
    lines.push(match &verified.content {
        Content::Message(digest) => format!("  a signature over {digest}"),
        Content::Statement { statement, .. } => {
            format!("  an attestation of type {}", foreign(&statement.predicate_type))
        }
        Content::SimpleSigning(payload) => format!("  a signature for {}", payload.digest),
    });
    for time in &verified.times {
        lines.push(format!("  at {time}"));
    }
    for entry in &verified.log_entries {
        let number = entry.index.map_or(String::new(), |index| format!(", entry {index}"));
        lines.push(format!("  in the log {}{number}", foreign(&entry.log)));
    }
    if let Some(root) = &verified.root {
        lines.push(format!("  by the trusted root {}", foreign(&root.to_string())));
    }
}

fn claim(claimed: &claims::SignedBy) -> String {
    match claimed {
        claims::SignedBy::Certificate(certificate) => {
            let names: Vec<String> = certificate.identities.iter().map(|name| foreign(name)).collect();
            let names = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
            match &certificate.issuer {
                Some(issuer) => format!("{names} ({})", foreign(issuer)),
                None => names,
            }
        }
        claims::SignedBy::Key(Some(hint)) => format!("a key with the hint {}", foreign(hint)),
        claims::SignedBy::Key(None) => "a key".to_owned(),
    }
}

fn foreign(text: &str) -> String {
    let mut cut: String = text.chars().take(TEXT).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    escape(cut.as_bytes()).to_string()
}
