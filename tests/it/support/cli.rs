//! The command itself, run as a user would.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A run that ended.
pub struct Run {
    output: Output,
}

/// Runs `portcullis` in an environment that has nothing of the user's: its home and cache are in `home`.
pub fn portcullis(home: &Path, arguments: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).env_clear().env("HOME", home).current_dir(env!("CARGO_MANIFEST_DIR"));
    // No test asks Sigstore: one that refreshes roots says so itself.
    command.env("PORTCULLIS_TRUST_REFRESH", "never");
    // No test asks the public bucket: nobody listens there.
    if !arguments.contains(&"--db-source") {
        command.env("PORTCULLIS_DB_SOURCE", "http://127.0.0.1:1");
    }
    Run { output: command.output().unwrap() }
}

/// The same with at most so many KiB of address space: memory beyond it makes the command fail.
pub fn portcullis_within(kib: u64, home: &Path, arguments: &[&str]) -> Run {
    let script = format!("ulimit -v {kib}; exec \"$0\" \"$@\"");
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_portcullis")).args(arguments);
    command.env_clear().env("HOME", home).env("PORTCULLIS_TRUST_REFRESH", "never");
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    Run { output: command.output().unwrap() }
}

impl Run {
    /// Runs a command that was put together elsewhere.
    pub fn of(command: &mut Command) -> Self {
        Self { output: command.output().unwrap() }
    }

    /// The exit code. A command that a signal ended has none, and fails the test.
    pub fn code(&self) -> i32 {
        self.output.status.code().unwrap_or_else(|| panic!("ended by a signal: {}", self.err()))
    }

    pub fn out(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).unwrap()
    }

    pub fn err(&self) -> String {
        String::from_utf8(self.output.stderr.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", self.out(), self.err()))
    }

    /// The same run, which must have ended with a code.
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{}{}", self.out(), self.err());
        self
    }
}
