//! `portcullis policy`: policies by hand, and how every command reads one.

use std::fs::File;
use std::io::{Read as _, Write};
use std::path::Path;

use crate::policy::Policy;

use super::args::PolicyCommand;
use super::exit::Exit;
use super::{Context, Failure, output};

/// Bytes that are read of a policy file: one more than a policy may have, so that `/dev/zero` ends, too.
const LIMIT: u64 = (1 << 20) + 1;

/// Reads a policy from a file. An error is ready to be shown: every mistake with its line.
pub(super) fn read(path: &Path) -> Result<Policy, String> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LIMIT).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read the policy {name}: {error}"))?;
    parse(&bytes, &name)
}

/// Reads a policy from its bytes.
pub(super) fn parse(bytes: &[u8], name: &str) -> Result<Policy, String> {
    Policy::parse(bytes).map_err(|errors| {
        let shown: String = errors.iter().map(|error| error.render(bytes, name)).collect();
        format!("the policy is invalid\n{shown}")
    })
}

/// Runs a command on policies.
pub(super) fn run(command: &PolicyCommand, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let PolicyCommand::Check { files } = command;
    let mut exit = Exit::Admit;
    for file in files {
        match read(file) {
            Ok(policy) => {
                let text = format!("{}: {}\n", file.display(), describe(&policy));
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
