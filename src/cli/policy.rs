//! `portcullis policy`: policies by hand.

use std::fs;
use std::io::Write;

use crate::policy::Policy;

use super::args::PolicyCommand;
use super::exit::Exit;
use super::{Context, Failure, output};

/// Runs a command on policies.
pub(super) fn run(command: &PolicyCommand, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let PolicyCommand::Check { files } = command;
    let mut exit = Exit::Admit;
    for file in files {
        let name = file.display().to_string();
        let checked = fs::read(file)
            .map_err(|error| format!("cannot read the policy {name}: {error}"))
            .and_then(|bytes| {
                Policy::parse(&bytes).map_err(|errors| {
                    let shown: String = errors.iter().map(|error| error.render(&bytes, &name)).collect();
                    format!("the policy is invalid\n{shown}")
                })
            });
        match checked {
            Ok(policy) => {
                let text = format!("{name}: {}\n", describe(&policy));
                output::write(text.as_bytes(), None, out).map_err(Failure::undecided)?;
            }
            Err(message) => {
                context.complain(&message);
                exit = Exit::Usage;
            }
        }
    }
    Ok(exit)
}

fn describe(policy: &Policy) -> String {
    let rules: Vec<String> = policy.rules().map(|(id, kind)| format!("{id} ({kind})")).collect();
    let scopes: Vec<&str> = policy.scopes().collect();
    let scopes = if scopes.is_empty() { String::new() } else { format!("; scopes: {}", scopes.join(", ")) };
    format!("valid; {}; rules: {}{scopes}", policy.digest(), rules.join(", "))
}
