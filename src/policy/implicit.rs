//! The rules that every policy has. They cannot be left out, waived or levelled down.

use crate::model::evidence::Evidence;
use crate::model::fact::Fact;
use crate::model::fault::FaultKind;
use crate::model::path::escape;

use super::document::Policy;
use super::rule::{Decided, Subject};
use super::scope::Scope;

/// Id, kind and summary of each.
pub const IMPLICIT: &[(&str, &str, &str)] = &[
    (
        "integrity",
        "integrity",
        "the image could be read, and no byte of it contradicts its digest or grammar",
    ),
    ("coverage", "images", "the policy is meant for this image"),
    ("scope", "scope", "it is known which scope applies, and the scope lets the tag in"),
];

/// Whether the bytes are what they claim to be, all of them.
pub(crate) fn integrity(subject: &Subject<'_>) -> Decided {
    let mut decided = Decided::default();
    for fault in &subject.evidence.faults {
        let text = escape(fault.to_string().as_bytes());
        match fault.kind {
            FaultKind::Lie => decided.violate(fault.platform.as_ref(), text),
            FaultKind::Unreadable => decided.undecided(fault.platform.as_ref(), text),
        }
    }
    subject.platforms(&mut decided);
    if subject.evidence.image.digest.is_none() {
        decided.undecided(None, "the image's digest is not known: nothing says what was judged");
    }
    decided
}

/// Whether the policy is meant for the image.
pub(crate) fn coverage(policy: &Policy, evidence: &Evidence) -> Decided {
    let mut decided = Decided::default();
    if policy.images.iter().any(|pattern| pattern.is_anything()) {
        return decided;
    }
    let patterns: Vec<&str> = policy.images.iter().map(|pattern| pattern.as_str()).collect();
    let patterns = patterns.join(", ");
    match &evidence.reference {
        Fact::Known(reference) => {
            let name = reference.name();
            if !policy.images.iter().any(|pattern| pattern.matches(name.as_bytes())) {
                decided.undecided(
                    None,
                    format!("the policy is for {patterns}, not for `{name}`; `--as REF` says which reference a local image stands for"),
                );
            }
        }
        Fact::Absent => decided.undecided(
            None,
            format!("the policy is for {patterns}, and the image has no reference: say which one it stands for with `--as REF`"),
        ),
        Fact::Unknown(cause) => decided.undecided(
            None,
            format!("the policy is for {patterns}, and the image's reference is not known: {cause}; `--as REF` gives one"),
        ),
    }
    decided
}

/// Whether the scope is known, and lets the tag in. `None` where the policy's scopes play no part.
pub(crate) fn scope(subject: &Subject<'_>, chosen: Result<Option<&Scope>, &str>) -> Option<Decided> {
    let mut decided = Decided::default();
    let classes = match chosen {
        Err(name) => {
            let text = format!(
                "whether the scope `{name}` applies depends on the tag, and there is no reference: give one with `--as REF`, or choose with `--scope` or `--env`"
            );
            decided.undecided(None, text);
            return Some(decided);
        }
        Ok(scope) => scope?.tags.as_ref()?,
    };
    let reference = subject.reference(&mut decided);
    let Some(reference) = reference else { return Some(decided) };
    let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
    let names = names.join(", ");
    match &reference.tag {
        Some(tag) if classes.iter().any(|class| class.covers(tag)) => {}
        Some(tag) => decided.violate(None, format!("the tag `{tag}` is of none of the classes {names}")),
        None => decided.undecided(
            None,
            format!("only tags of the classes {names} may enter, and the reference has none: write `name:tag@digest`"),
        ),
    }
    Some(decided)
}
