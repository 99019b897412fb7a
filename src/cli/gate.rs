//! `portcullis gate`: the main job.

use std::io::Write;

use crate::check::Expected;
use crate::gate::{Judging, judge};
use crate::policy::{BASELINE, Policy, Selection};
use crate::report::{self, Judged};

use super::args::GateArgs;
use super::exit::Exit;
use super::output::Plan;
use super::{Context, Failure, clock, images, policy, trust};

/// Judges every image and writes the reports, which are complete whatever the exit code.
pub(super) fn run(args: &GateArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let plan = Plan::new(&args.output, report::FORMATS, |format| format.id()).map_err(Failure::usage)?;
    let document = read_policy(args, context)?;
    // A variable that a CI system sets to nothing is not set.
    let stated = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let selection = Selection { scope: stated(&args.scope), env: stated(&args.env) };
    let selected = document.select(&selection).map_err(|error| Failure::usage(error.to_string()))?;
    let supplements = images::supplements(&args.supplements, &args.snapshot, context)?;
    let snapshot = images::snapshot(&args.snapshot, context)?;
    let now = args.at.unwrap_or_else(clock::now);
    let expected = match selected.needs_checks() {
        true => images::bases(&args.bases, context)?,
        false => Expected::default(),
    };
    let trust = trust::trust(&args.trust)?;
    let by = Judging { policy: &selected, expected: &expected, trust: &trust, now };
    let answers = images::each(&args.image, (&snapshot, &supplements), context, |request, progress| {
        judge(request, &by, progress)
    })?;
    let judged: Vec<Judged<'_>> =
        answers.iter().flatten().map(|(evidence, verdict)| Judged { verdict, evidence }).collect();
    let exit = answers
        .iter()
        .map(|answer| answer.as_ref().map_or(Exit::Usage, |(_, verdict)| verdict.decision.into()))
        .max()
        .unwrap_or(Exit::Undecided);
    if judged.is_empty() {
        return Ok(exit);
    }
    Ok(plan.deliver(exit, context, out, |format, style| format.gate(&judged, style)))
}

/// The policy that was named, or the built-in one.
fn read_policy(args: &GateArgs, context: &Context) -> Result<Policy, Failure> {
    let read = match &args.policy {
        Some(path) => policy::read(path),
        None => {
            if !context.global.quiet {
                context.complain("no --policy given: judging by the built-in baseline");
            }
            policy::parse(BASELINE.as_bytes(), "built-in baseline")
        }
    };
    read.map_err(Failure::usage)
}
