//! `portcullis explain`: what a check is about, or why an advisory applies to an image.

use std::io::Write;

use crate::check::{self, Check, FAMILIES};
use crate::gate;
use crate::image::limits::Limits;
use crate::model::explanation::Explanation;
use crate::model::location::Location;
use crate::policy::RULES;
use crate::report::EXPLAIN_FORMATS;

use super::args::ExplainArgs;
use super::exit::Exit;
use super::output::Plan;
use super::{Context, Failure, images, output};

/// Explains a check, a kind of rule, or an advisory and an image; without an id, lists checks and rules.
pub(super) fn run(args: &ExplainArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let text = match (args.id.as_deref(), &args.image) {
        (Some(id), Some(image)) => return advisory(id, image, args, context, out),
        (None, _) => list(),
        (Some(id), None) => known(id)?,
    };
    output::write(text.as_bytes(), None, out).map_err(Failure::undecided)?;
    Ok(Exit::Admit)
}

fn known(id: &str) -> Result<String, Failure> {
    match (check::explain(id), RULES.iter().find(|rule| rule.kind() == id)) {
        (Some(check), _) => Ok(page(check)),
        (None, Some(rule)) => Ok(format!("{}, a rule of a policy: {}\n", rule.kind(), rule.summary())),
        (None, None) => Err(Failure::usage(format!(
            "nothing is known by the id `{id}`: `portcullis explain` lists checks and rules, and `--image IMAGE` \
             says why an advisory applies to an image"
        ))),
    }
}

/// Ends with 0 where all could be looked at, whether the advisory applies or not.
fn advisory(
    id: &str,
    location: &Location,
    args: &ExplainArgs,
    context: &Context,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let plan = Plan::new(&args.output, EXPLAIN_FORMATS, |format| format.id()).map_err(Failure::usage)?;
    let snapshot = images::snapshot(&args.snapshot, context)?;
    let cache = context.layers();
    let request = gate::Request {
        location,
        platform: args.platform.0.as_ref(),
        stands_for: None,
        registry: context.registry([location])?,
        snapshot: &snapshot,
        // What others state of the advisories changes none of them.
        supplements: &gate::Supplements::default(),
        limits: &Limits::default(),
        cache: cache.as_ref(),
    };
    let bar = context.progress();
    let answer = gate::explain(&request, id, &bar);
    drop(bar);
    let explanation = answer.map_err(|error| Failure::usage(error.to_string()))?;
    let exit = if is_complete(&explanation) { Exit::Admit } else { Exit::Undecided };
    Ok(plan.deliver(exit, context, out, |format, style| format.explanation(&explanation, style)))
}

fn is_complete(explanation: &Explanation) -> bool {
    explanation.unread.is_empty()
        && explanation.platforms.iter().all(|platform| platform.unasked.is_empty() && platform.gaps == 0)
}

fn page(check: &Check) -> String {
    let Check { id, severity, title, why, fix } = check;
    format!("{id}, {}\n{title}\n\nWhy: {why}\n\nFix: {fix}\n", severity.word())
}

fn list() -> String {
    let checks = FAMILIES.iter().flat_map(|family| family.checks());
    let checks = checks.map(|check| format!("{:9}{:10}{}\n", check.id, check.severity.word(), check.title));
    let rules = RULES.iter().map(|rule| format!("{:19}{}\n", rule.kind(), rule.summary()));
    checks.chain(rules).collect()
}
