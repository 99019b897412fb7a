//! The command line: what was typed, to `gate`, to a report and an exit code.

mod args;
mod clock;
pub mod compare_versions;
mod copy;
mod db;
mod environment;
pub mod exit;
mod explain;
mod gate;
mod images;
mod input;
mod output;
mod policy;
mod progress;
mod registries;
mod sbom;
mod scan;
mod signatory;
mod signing;
mod tree;
mod trust;
mod validate;
mod verify;
mod verify_bundle;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use crate::cache::LayerCache;
use crate::model::location::Location;
use crate::model::path::escape;
use crate::registry::{self, Registry};
use crate::report::{Detail, Style};
use crate::sigstore;

use args::{Color, Command, Global};
use exit::Exit;
use registries::Registries;

/// Columns of a report: a wider terminal is not filled, since long lines read badly.
const WIDTH: usize = 110;

/// Runs the command that was typed.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let (cli, told) = match environment::parse(arguments) {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version are asked for, and end with 0. A closed pipe is no reason to fail.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Admit };
        }
    };
    let context = Context { global: cli.global, registries: Registries::default() };
    for message in &told {
        context.complain(message);
    }
    let mut out = io::stdout().lock();
    let ended = match &cli.command {
        Command::Gate(args) => gate::run(args, &context, &mut out),
        Command::Sbom(args) => sbom::run(args, &context, &mut out),
        Command::Scan(args) => scan::run(args, &context, &mut out),
        Command::Validate(args) => validate::run(args, &context, &mut out),
        Command::Explain(args) => explain::run(args, &context, &mut out),
        Command::Copy(args) => copy::run(args, &context, &mut out),
        Command::Sign(args) => signing::sign(args, &context, &mut out),
        Command::Attest(args) => signing::attest(args, &context, &mut out),
        Command::GenerateKey(args) => signing::generate_key(args, &context, &mut out),
        Command::SignBundle(args) => signing::sign_bundle(args, &context, &mut out),
        Command::Verify(args) => verify::run(args, &context, &mut out),
        Command::Tree(args) => tree::run(args, &context, &mut out),
        Command::VerifyBundle(args) => verify_bundle::run(args, &context, &mut out),
        Command::Db(args) => db::run(args, &context, &mut out),
        Command::Policy(args) => policy::run(args, &context, &mut out),
        Command::CompareVersions(args) => compare(args, &mut out),
    };
    ended.unwrap_or_else(|failure| {
        context.complain(&failure.message);
        failure.exit
    })
}

/// Why a command could not do its work: a message for standard error and the exit code.
#[derive(Debug)]
struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// The user must type something else.
    fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into() }
    }

    /// Something could not be read or delivered.
    fn undecided(message: impl Into<String>) -> Self {
        Self { exit: Exit::Undecided, message: message.into() }
    }
}

/// What every command needs of the world.
#[derive(Debug)]
struct Context {
    global: Global,
    registries: Registries,
}

impl Context {
    /// Says something on standard error. Line by line, since names of foreign origin stand in it.
    fn complain(&self, message: &str) {
        let mut err = io::stderr().lock();
        for (number, line) in message.lines().enumerate() {
            let head = if number == 0 { "portcullis: " } else { "" };
            // Where even that fails, the exit code still tells.
            let _ = writeln!(err, "{head}{}", escape(line.as_bytes()));
        }
    }

    /// How a report for a person looks, on standard output or in a file.
    fn style(&self, in_file: bool) -> Style {
        let terminal = io::stdout().is_terminal() && !in_file;
        let color = match self.global.color {
            Color::Always => !in_file,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none(),
        };
        // Who types `-v` wins over a `PORTCULLIS_QUIET` that stands in the environment.
        let detail = match (self.global.verbose, self.global.quiet) {
            (true, _) => Detail::Full,
            (false, true) => Detail::Brief,
            (false, false) => Detail::Usual,
        };
        let columns = std::env::var_os("COLUMNS").and_then(|text| text.to_str()?.parse().ok());
        Style { color, detail, width: columns.unwrap_or(WIDTH).clamp(40, WIDTH) }
    }

    fn progress(&self) -> progress::Bar {
        progress::Bar::new(!self.global.no_progress, self.global.verbose, self.global.quiet)
    }

    /// The client of registries, where one of these images is in one and the network may be used.
    fn registry<'a>(
        &self,
        images: impl IntoIterator<Item = &'a Location>,
    ) -> Result<Option<&Registry>, Failure> {
        self.registries.client(&self.global, images)
    }

    /// What was read of layers before. Where it cannot be kept, every layer is read.
    fn layers(&self) -> Option<LayerCache> {
        if self.global.no_cache {
            return None;
        }
        let since_1970 = Duration::from_secs(clock::now().as_second().try_into().unwrap_or_default());
        LayerCache::open(&self.cache_dir().ok()?, UNIX_EPOCH + since_1970)
            .map_err(|error| self.complain(&format!("{error}: every layer is read")))
            .ok()
    }

    /// How the services of a Sigstore instance are asked: by what was typed, and the rest by `base`.
    fn services(&self, base: sigstore::Settings) -> sigstore::Settings {
        let environment = registry::Settings::from_environment(|name| std::env::var_os(name));
        sigstore::Settings {
            proxies: environment.proxies,
            ca: self.global.registry_ca.clone(),
            deadline: self.global.timeout,
            ..base
        }
    }

    fn cache_dir(&self) -> Result<PathBuf, Failure> {
        let usual = || user_directory("XDG_CACHE_HOME", ".cache");
        self.global.cache_dir.clone().or_else(usual).ok_or_else(|| {
            Failure::usage("there is no home directory to keep a cache in: name one with `--cache-dir DIR`")
        })
    }
}

/// The user's directory of portcullis (XDG Base Directory Specification).
fn user_directory(variable: &str, below_home: &str) -> Option<PathBuf> {
    let stated = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let base = stated.or_else(|| home().map(|home| home.join(below_home)));
    base.map(|base| base.join("portcullis"))
}

fn compare(args: &args::CompareArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    use compare_versions::{Answered, CompareVersionsError};
    let pair = match args.versions.as_slice() {
        [a, b] => Some((a.as_str(), b.as_str())),
        _ => None,
    };
    match compare_versions::run(&args.ecosystem, pair, &mut io::stdin().lock(), out) {
        Ok(Answered::Yes) => Ok(Exit::Admit),
        Ok(Answered::Unknown) => Ok(Exit::Undecided),
        Err(error @ CompareVersionsError::UnknownEcosystem { .. }) => Err(Failure::usage(error.to_string())),
        Err(error @ CompareVersionsError::Io(_)) => Err(Failure::undecided(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::args::Cli;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
