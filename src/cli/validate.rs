//! `portcullis validate`: checks of manifests, indexes, configurations and layers.

use std::io::Write;
use std::time::Duration;

use jiff::Timestamp;

use crate::check::Expected;
use crate::gate::{self, Inspected, open};
use crate::image::limits::Limits;
use crate::model::fact::Fact;
use crate::model::fault::FaultKind;
use crate::model::location::Location;
use crate::model::reference::Reference;
use crate::model::violation::{CheckSeverity, TagCheck, TagState};
use crate::report::{VALIDATE_FORMATS, Validated};

use super::args::ValidateArgs;
use super::exit::Exit;
use super::output::Plan;
use super::{Context, Failure, clock, images};

/// How long a registry may lag behind a push, where nothing is said.
const LAG: Duration = Duration::from_secs(60);

/// Validates every image and writes the reports, which are complete whatever the exit code.
pub(super) fn run(args: &ValidateArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let plan = Plan::new(&args.output, VALIDATE_FORMATS, |format| format.id()).map_err(Failure::usage)?;
    images::stands_for(args.image.stands_for.as_ref(), &args.image.images)?;
    let tags = tags(args)?;
    let expected = Expected {
        platforms: args.require_platform.clone(),
        source: args.source.clone(),
        revision: args.revision.clone(),
        size: args.max_size,
        ..images::bases(&args.bases, context)?
    };
    let now = args.at.unwrap_or_else(clock::now);
    let mut exit = Exit::Admit;
    let mut done: Vec<(Inspected, Vec<TagCheck>)> = Vec::new();
    for image in &args.image.images {
        match one(args, context, image, (&expected, now), &tags)? {
            Some(validated) => {
                exit = exit.max(ended(&validated.0, &validated.1));
                done.push(validated);
            }
            None => exit = Exit::Usage,
        }
    }
    if done.is_empty() {
        return Ok(exit);
    }
    let validated: Vec<Validated<'_>> =
        done.iter().map(|(inspected, tags)| Validated { evidence: &inspected.evidence, tags }).collect();
    Ok(plan.deliver(exit, context, out, |format, style| format.validate(&validated, style)))
}

/// One image, and its tags. None where the user must say more.
fn one(
    args: &ValidateArgs,
    context: &Context,
    image: &Location,
    (expected, now): (&Expected, Timestamp),
    tags: &[String],
) -> Result<Option<(Inspected, Vec<TagCheck>)>, Failure> {
    if matches!(image, Location::Sbom { .. }) {
        context.complain(&gate::Error::Document(image.to_string()).to_string());
        return Ok(None);
    }
    let limits = Limits::default();
    let registry = context.registry([image])?;
    let opened = match open(image, args.image.platform.0.as_ref(), registry, &limits) {
        Ok(opened) => opened,
        Err(error) => {
            context.complain(&error.to_string());
            return Ok(None);
        }
    };
    let bar = context.progress();
    let mut inspected = opened.inspect(&limits, None, &bar);
    drop(bar);
    if let Some(reference) = &args.image.stands_for {
        inspected.evidence.reference = Fact::Known(reference.clone());
    }
    inspected.check(expected, now);
    let tags = match registry {
        Some(registry) if !tags.is_empty() => inspected.check_tags(registry, tags, args.wait.unwrap_or(LAG)),
        // Without network nothing is known of a tag.
        None | Some(_) => tags
            .iter()
            .map(|tag| TagCheck {
                tag: tag.clone(),
                digest: None,
                state: TagState::Unknown,
                causes: vec!["`--offline` allows no network".to_owned()],
            })
            .collect(),
    };
    Ok(Some((inspected, tags)))
}

/// The tags to be looked at. They are those of the image's own repository.
fn tags(args: &ValidateArgs) -> Result<Vec<String>, Failure> {
    let tags: Vec<String> = args.tags.iter().filter(|tag| !tag.is_empty()).cloned().collect();
    match (tags.is_empty(), args.tags.is_empty()) {
        (true, true) => return Ok(tags),
        // A variable that is not set must not look as if tags had been checked.
        (true, false) => return Err(Failure::usage("`--tags` names no tag")),
        (false, _) => {}
    }
    let [Location::Registry(reference)] = args.image.images.as_slice() else {
        return Err(Failure::usage("`--tags` is for one image in a registry"));
    };
    for tag in &tags {
        let whole = format!("{}/{}:{tag}", reference.registry, reference.repository);
        if !whole.parse::<Reference>().is_ok_and(|parsed| parsed.tag.as_deref() == Some(tag)) {
            return Err(Failure::usage(format!(
                "`{tag}` is no tag: give tags alone, `--tags v1.2.3,latest`"
            )));
        }
    }
    Ok(tags)
}

/// How a validation ended (design §3): 1 from a violation of high on, where bytes lie or a tag is broken;
/// 3 where something could not be looked at. What is sure goes before a doubt.
fn ended(inspected: &Inspected, tags: &[TagCheck]) -> Exit {
    let evidence = &inspected.evidence;
    let (high, unseen) = match &evidence.checked {
        Fact::Known(checked) => (
            checked.violations.iter().any(|violation| violation.severity >= CheckSeverity::High),
            !checked.unseen.is_empty(),
        ),
        Fact::Absent | Fact::Unknown(_) => (false, true),
    };
    let lies = evidence.faults.iter().any(|fault| fault.kind == FaultKind::Lie);
    let unread = evidence.faults.iter().any(|fault| fault.kind == FaultKind::Unreadable);
    let tag = |state| tags.iter().any(|tag| tag.state == state);
    if high || lies || tag(TagState::Broken) {
        Exit::Deny
    } else if unseen || unread || tag(TagState::Unknown) {
        Exit::Undecided
    } else {
        Exit::Admit
    }
}
