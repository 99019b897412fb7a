//! `portcullis explain`: what a check is about.

use std::io::Write;

use crate::check::{self, Check, FAMILIES};
use crate::policy::RULES;

use super::exit::Exit;
use super::{Failure, output};

/// Explains a check or a kind of rule; without an id, lists all.
pub(super) fn run(id: Option<&str>, out: &mut dyn Write) -> Result<Exit, Failure> {
    let text = match id {
        None => list(),
        Some(id) => match (check::explain(id), RULES.iter().find(|rule| rule.kind() == id)) {
            (Some(check), _) => page(check),
            (None, Some(rule)) => format!("{}, a rule of a policy: {}\n", rule.kind(), rule.summary()),
            (None, None) => {
                let text = format!("nothing is known by the id `{id}`: `portcullis explain` lists all");
                return Err(Failure::usage(text));
            }
        },
    };
    output::write(text.as_bytes(), None, out).map_err(Failure::undecided)?;
    Ok(Exit::Admit)
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
