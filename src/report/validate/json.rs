//! `json`: everything, for programs.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::check::explain;
use crate::model::digest::Digest;
use crate::model::fact::Fact;
use crate::model::fault::Fault;
use crate::model::platform::Platform;
use crate::model::violation::{TagCheck, Unseen, Violation};
use crate::report::{Style, json};

use super::{ValidateFormat, Validated, counts, faults};

/// The format `json`.
pub(super) struct Json;

impl ValidateFormat for Json {
    fn id(&self) -> &'static str {
        "json"
    }

    fn summary(&self) -> &'static str {
        "everything that was found, for programs"
    }

    fn validate(&self, validated: &[Validated<'_>], _: &Style) -> String {
        match validated {
            [one] => json::write(&Document::new(*one)),
            several => json::write(&Documents {
                schema: "portcullis.dev/validations/v1",
                validations: several.iter().map(|validated| Document::new(*validated)).collect(),
            }),
        }
    }
}

/// Several images, each a whole document.
#[derive(Serialize)]
struct Documents<'a> {
    schema: &'static str,
    validations: Vec<Document<'a>>,
}

/// `portcullis.dev/validation/v1`. `violations` is null where the image could not be looked at; `complete`
/// says whether everything was, and only then does an empty list mean that nothing is wrong.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema: &'static str,
    complete: bool,
    image: Image<'a>,
    summary: BTreeMap<&'static str, usize>,
    violations: Option<Vec<Explained<'a>>>,
    faults: Vec<&'a Fault>,
    unseen: &'a [Unseen],
    #[serde(skip_serializing_if = "<[TagCheck]>::is_empty")]
    tags: &'a [TagCheck],
}

#[derive(Serialize)]
struct Image<'a> {
    reference: &'a str,
    digest: Option<&'a Digest>,
    platforms: Vec<&'a Platform>,
}

/// A violation, with what its check says of every one.
#[derive(Serialize)]
struct Explained<'a> {
    #[serde(flatten)]
    violation: &'a Violation,
    title: &'static str,
    fix: &'static str,
}

impl<'a> Document<'a> {
    fn new(validated: Validated<'a>) -> Self {
        let Validated { evidence, tags } = validated;
        let platforms = evidence.platforms.known().into_iter().flatten();
        let checked = evidence.checked.known();
        let explained = |violation: &'a Violation| Explained {
            violation,
            title: explain(violation.check).map_or("", |check| check.title),
            fix: explain(violation.check).map_or("", |check| check.fix),
        };
        Self {
            schema: "portcullis.dev/validation/v1",
            complete: complete(validated),
            image: Image {
                reference: &evidence.image.reference,
                digest: evidence.image.digest.as_ref(),
                platforms: platforms.map(|platform| &platform.platform).collect(),
            },
            summary: counts(evidence).into_iter().map(|(severity, count)| (severity.word(), count)).collect(),
            violations: checked.map(|checked| checked.violations.iter().map(explained).collect()),
            faults: faults(evidence),
            unseen: checked.map(|checked| checked.unseen.as_slice()).unwrap_or_default(),
            tags,
        }
    }
}

/// Whether everything could be looked at.
fn complete(validated: Validated<'_>) -> bool {
    use crate::model::fault::FaultKind;
    use crate::model::violation::TagState;
    let evidence = validated.evidence;
    let seen = matches!(&evidence.checked, Fact::Known(checked) if checked.unseen.is_empty());
    let unread = evidence.faults.iter().any(|fault| fault.kind == FaultKind::Unreadable);
    // Of layers that lie nothing was looked at.
    let read = evidence
        .platforms
        .known()
        .is_some_and(|platforms| platforms.iter().all(|platform| platform.inventory.known().is_some()));
    seen && read && !unread && validated.tags.iter().all(|tag| tag.state != TagState::Unknown)
}
