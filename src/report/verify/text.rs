//! `text`: what hangs on each manifest, for a person.

use crate::model::attestation::{Attestation, Attested, Content, Place, SignedBy};
use crate::model::fact::Fact;
use crate::model::path::escape;
use crate::model::verdict::Outcome;
use crate::report::Style;

use super::{VerifiedImage, VerifyFormat};

/// Characters of one foreign text; whatever is longer was made to bury the rest.
const TEXT: usize = 300;

/// The format `text`.
pub(super) struct Text;

impl VerifyFormat for Text {
    fn id(&self) -> &'static str {
        "text"
    }

    fn summary(&self) -> &'static str {
        "what is signed and by whom, for a person"
    }

    fn verified(&self, images: &[VerifiedImage], _: &Style) -> String {
        let mut lines = Vec::new();
        for image in images {
            self.image(image, &mut lines);
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

impl Text {
    fn image(&self, image: &VerifiedImage, lines: &mut Vec<String>) {
        let word = match image.outcome {
            Outcome::Hold | Outcome::Waived => "verified",
            Outcome::Violate => "not verified",
            Outcome::Undecided => "undecided",
        };
        lines.push(format!("{word}: {}", foreign(&image.evidence.image.reference)));
        for message in &image.messages {
            let platform =
                message.platform.as_ref().map_or(String::new(), |platform| format!("{platform}: "));
            lines.push(format!("  {platform}{}", foreign(&message.text)));
        }
        match &image.evidence.attested {
            Fact::Known(attested) => attested.iter().for_each(|one| manifest(one, lines)),
            Fact::Unknown(cause) => lines.push(format!("  what is signed is not known: {}", foreign(cause))),
            Fact::Absent => lines.push("  nothing was looked at".to_owned()),
        }
    }
}

fn manifest(attested: &Attested, lines: &mut Vec<String>) {
    let whole = if attested.below.is_some() { "index" } else { "image" };
    let platform = attested.platform.as_ref().map_or_else(|| whole.to_owned(), ToString::to_string);
    lines.push(format!("  {platform} {}", attested.subject));
    if attested.attestations.is_empty() && attested.refused.is_empty() && attested.unknown.is_empty() {
        lines.push("    nothing is signed".to_owned());
    }
    attested.attestations.iter().for_each(|one| lines.push(format!("    {}", told(one))));
    for refused in &attested.refused {
        let word = if refused.unjudged { "undecided" } else { "refused" };
        let (at, kind) = (place(&refused.at), refused.kind);
        lines.push(format!("    {word} ({kind}): {at}: {}", foreign(&refused.cause)));
    }
    for cause in &attested.unknown {
        lines.push(format!("    not looked at: {}", foreign(cause)));
    }
}

fn told(one: &Attestation) -> String {
    let what = match &one.content {
        Content::Signature { .. } => "signed".to_owned(),
        Content::Statement { predicate_type, .. } => format!("attested {}", foreign(predicate_type)),
    };
    let who = match &one.signed_by {
        SignedBy::Certificate(signer) => {
            let issuer = signer.issuer.as_deref().map_or("nobody".to_owned(), foreign);
            format!("{} ({issuer})", foreign(signer.name.as_str()))
        }
        SignedBy::Key(key) => format!("the key {key}"),
    };
    let when = one.times.first().map_or(String::new(), |time| format!(" at {time}"));
    let log = one.logs.first().map_or(String::new(), |entry| {
        let number = entry.index.map_or(String::new(), |index| format!(" {index}"));
        format!(", log {}{number}", foreign(&entry.log))
    });
    format!("{what} by {who}{when}{log}")
}

fn place(at: &Place) -> String {
    match at {
        Place::Referrer { digest } => format!("referrer {digest}"),
        Place::Tag { tag, layer: Some(layer) } => format!("tag {tag}, layer {layer}"),
        Place::Tag { tag, layer: None } => format!("tag {tag}"),
    }
}

/// Foreign text, made harmless and of a bearable length.
fn foreign(text: &str) -> String {
    let cut: String = text.chars().take(TEXT).collect();
    escape(cut.as_bytes())
}
