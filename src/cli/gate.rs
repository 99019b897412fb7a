//! `portcullis gate`: the main job.

use std::fs;
use std::io::Write;

use crate::gate::judge;
use crate::policy::{BASELINE, Policy, Selection};
use crate::report::{self, Judged};

use super::args::GateArgs;
use super::exit::Exit;
use super::output::{self, Plan};
use super::{Context, Failure, images};

/// Judges every image and writes the reports, which are complete whatever the exit code.
pub(super) fn run(args: &GateArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let plan = Plan::new(&args.output, report::FORMATS, |format| format.id()).map_err(Failure::usage)?;
    if args.image.stands_for.is_some() && args.image.images.len() > 1 {
        return Err(Failure::usage("`--as` says what one image stands for: gate the others apart"));
    }
    let policy = read_policy(args, context)?;
    let selection = Selection { scope: args.scope.clone(), env: args.env.clone() };
    let selected = policy.select(&selection).map_err(|error| Failure::usage(error.to_string()))?;
    let snapshot = images::snapshot(&args.snapshot, context)?;
    let now = args.at.unwrap_or_else(now);
    let answers = images::each(&args.image, &snapshot, context, |request, progress| {
        judge(request, &selected, now, progress)
    });
    let judged: Vec<Judged<'_>> =
        answers.iter().flatten().map(|(evidence, verdict)| Judged { verdict, evidence }).collect();
    let mut exit = answers
        .iter()
        .map(|answer| answer.as_ref().map_or(Exit::Usage, |(_, verdict)| verdict.decision.into()))
        .max()
        .unwrap_or(Exit::Undecided);
    if judged.is_empty() {
        return Ok(exit);
    }
    for (format, file) in plan.iter() {
        let style = context.style(file.is_some());
        if let Err(message) = output::write(format.gate(&judged, &style).as_bytes(), file, out) {
            // A verdict that nobody can read must not count as one that lets the image in.
            context.complain(&message);
            exit = exit.max(Exit::Undecided);
        }
    }
    Ok(exit)
}

/// The policy that was named, or the built-in one.
fn read_policy(args: &GateArgs, context: &Context) -> Result<Policy, Failure> {
    let (bytes, name) = match &args.policy {
        None => {
            if !context.global.quiet {
                context.complain("no --policy given: judging by the built-in baseline");
            }
            (BASELINE.as_bytes().to_vec(), "built-in baseline".to_owned())
        }
        Some(path) => {
            let bytes = fs::read(path).map_err(|error| {
                Failure::usage(format!("cannot read the policy {}: {error}", path.display()))
            })?;
            (bytes, path.display().to_string())
        }
    };
    Policy::parse(&bytes).map_err(|errors| {
        let shown: String = errors.iter().map(|error| error.render(&bytes, &name)).collect();
        Failure::usage(format!("the policy is invalid\n{shown}"))
    })
}

#[expect(clippy::disallowed_methods, reason = "a door reads the clock")]
fn now() -> jiff::Timestamp {
    let now = jiff::Timestamp::now();
    // Whole seconds: nobody types a fraction into `--at` to judge again.
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now)
}
