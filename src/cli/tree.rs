//! `portcullis tree`: what hangs on an image.

use std::io::Write;

use crate::gate::{TreeError, tree};
use crate::image::limits::Limits;
use crate::report::TREE_FORMATS;

use super::args::TreeArgs;
use super::exit::Exit;
use super::output::Plan;
use super::{Context, Failure};

/// Shows the tree. It ends with 0 where everything could be looked at.
pub(super) fn run(args: &TreeArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let plan = Plan::new(&args.output, TREE_FORMATS, |format| format.id()).map_err(Failure::usage)?;
    let registry = context.registry([&args.image])?;
    let tree = tree(&args.image, registry, &Limits::default()).map_err(|error| match error {
        TreeError::Usage(message) => Failure::usage(message),
        TreeError::Unread(message) => Failure::undecided(message),
    })?;
    let exit = if tree.is_complete() { Exit::Admit } else { Exit::Undecided };
    Ok(plan.deliver(exit, context, out, |format, style| format.tree(&tree, style)))
}
