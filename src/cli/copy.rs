//! `portcullis copy`: an image with everything that hangs on it.

use std::io::Write;

use crate::gate::{self, CopyError};
use crate::image::limits::Limits;

use super::args::CopyArgs;
use super::exit::Exit;
use super::{Context, Failure, output};

/// Copies, and says what was copied. What could not be seen ends with 3: there may be more.
pub(super) fn run(args: &CopyArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let registry = context.registry([&args.from, &args.to])?;
    let copied = gate::copy(&args.from, &args.to, registry, !args.no_referrers, &Limits::default());
    let copied = copied.map_err(|error| match error {
        CopyError::Usage(message) => Failure::usage(message),
        CopyError::Lie(message) => Failure { exit: Exit::Deny, message },
        CopyError::Failed(message) => Failure::undecided(message),
    })?;
    for cause in &copied.rejected {
        context.complain(&format!("not copied, since it does not belong to the image: {cause}"));
    }
    for cause in &copied.unknown {
        context.complain(&format!("there may be more that hangs on the image: {cause}"));
    }
    if !context.global.quiet {
        let text = format!(
            "{}: {} manifests, {} blobs sent, {} signatures, attestations and other referrers\n",
            copied.digest, copied.manifests, copied.blobs, copied.hanging
        );
        output::write(text.as_bytes(), None, out).map_err(Failure::undecided)?;
    }
    Ok(if copied.unknown.is_empty() { Exit::Admit } else { Exit::Undecided })
}
