//! `portcullis tree`: what an image consists of, and what hangs on it.

use std::io::Write;

use crate::gate::{self, CopyError};
use crate::image::limits::Limits;
use crate::report::TREE_FORMATS;

use super::args::TreeArgs;
use super::exit::Exit;
use super::output::Plan;
use super::{Context, Failure};

/// Writes the tree. What could not be seen ends with 3: there may be more.
pub(super) fn run(args: &TreeArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let plan = Plan::new(&args.output, TREE_FORMATS, |format| format.id()).map_err(Failure::usage)?;
    let registry = context.registry([&args.image])?;
    let tree = gate::tree(&args.image, registry, &Limits::default()).map_err(|error| match error {
        CopyError::Usage(message) => Failure::usage(message),
        CopyError::Lie(message) => Failure { exit: Exit::Deny, message },
        CopyError::Failed(message) => Failure::undecided(message),
    })?;
    let exit = if tree.unknown.is_empty() { Exit::Admit } else { Exit::Undecided };
    Ok(plan.deliver(exit, context, out, |format, style| format.tree(&tree, style)))
}
