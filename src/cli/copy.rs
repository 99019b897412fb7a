//! `portcullis copy`: an image with everything that hangs on it.

use std::io::Write;

use crate::gate::{Copied, CopyError, CopyRequest, copy};
use crate::image::limits::Limits;
use crate::model::location::Location;

use super::args::{CopyArgs, Destination};
use super::exit::Exit;
use super::{Context, Failure, output};

/// Problems told on standard error; a registry that fails fails for each of a thousand referrers.
const TOLD: usize = 20;

/// Copies, and says what was copied. It ends with 0 only where all of it is at the destination.
pub(super) fn run(args: &CopyArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let destination = settle(&args.source, &args.destination);
    let registry = context.registry([&args.source, &destination])?;
    let request = CopyRequest {
        source: &args.source,
        destination: &destination,
        registry,
        referrers: !args.no_referrers,
        limits: &Limits::default(),
    };
    let bar = context.progress();
    let copied = copy(&request, &bar).map_err(|error| match error {
        CopyError::Usage(message) => Failure::usage(message),
        CopyError::Lie(message) => {
            Failure { exit: Exit::Deny, message: format!("not copied, and no tag was written\n{message}") }
        }
        CopyError::Failed(message) => {
            Failure::undecided(format!("not copied, and no tag was written\n{message}"))
        }
    })?;
    drop(bar);
    let exit = told(&copied, context);
    if copied.problems.is_empty() {
        let text = summary(&copied, &request, context.global.quiet);
        if let Err(message) = output::write(text.as_bytes(), None, out) {
            context.complain(&message);
            return Ok(Exit::Undecided);
        }
    }
    Ok(exit)
}

/// An image that is named by its digest goes to a repository without a tag by its digest.
fn settle(source: &Location, destination: &Destination) -> Location {
    let by_digest = matches!(source, Location::Registry(it) if it.digest.is_some() && it.tag.is_none());
    match &destination.location {
        Location::Registry(reference) if by_digest && !destination.tagged => {
            let mut reference = reference.clone();
            reference.tag = None;
            Location::Registry(reference)
        }
        Location::Registry(_)
        | Location::OciLayout { .. }
        | Location::OciArchive { .. }
        | Location::DockerArchive { .. }
        | Location::Sbom { .. } => destination.location.clone(),
    }
}

/// Says what the user must know, on standard error.
fn told(copied: &Copied, context: &Context) -> Exit {
    let list = |head: &str, items: &[String]| {
        let more = items.len().saturating_sub(TOLD);
        let mut lines: Vec<String> = items.iter().take(TOLD).map(|item| format!("  {item}")).collect();
        if more > 0 {
            lines.push(format!("  and {more} more"));
        }
        context.complain(&format!("{head}\n{}", lines.join("\n")));
    };
    let mut exit = Exit::Admit;
    if !copied.rejected.is_empty() {
        list("listed as hanging on the image, and not copied, because it does not:", &copied.rejected);
    }
    if !copied.omitted.is_empty() {
        list("layers that may not be distributed, and are not at the destination:", &copied.omitted);
        exit = Exit::Undecided;
    }
    if !copied.problems.is_empty() {
        let head = "not all that hangs on the image was copied, and the tag was not written; \
                    `--no-referrers` copies the image alone:";
        list(head, &copied.problems);
        exit = Exit::Undecided;
    }
    exit
}

fn summary(copied: &Copied, request: &CopyRequest<'_>, quiet: bool) -> String {
    let digest = copied.digest.as_ref().map(ToString::to_string).unwrap_or_default();
    if quiet {
        return format!("{digest}\n");
    }
    let hanging = if request.referrers {
        let legacy = copied.legacy.iter().map(|tag| format!("              {tag}\n")).collect::<String>();
        format!("  referrers   {}, and {} tags of cosign's\n{legacy}", copied.referrers, copied.legacy.len())
    } else {
        "  referrers   not looked for (--no-referrers)\n".to_owned()
    };
    format!(
        "copied {} to {}\n  digest      {digest}\n  manifests   {}\n  blobs       {} sent ({} bytes), {} there \
         already, {} mounted\n{hanging}",
        request.source,
        request.destination,
        copied.manifests,
        copied.sent,
        copied.bytes,
        copied.existed,
        copied.mounted,
    )
}
