//! Variables that are set to nothing, as CI systems set those that a job has no value for: they count as not set.
//!
//! For an option it makes a difference: an empty file name, number or pattern would be wrong usage, and an empty
//! list one that has an empty item. Where an option says what is demanded, or who is trusted, it stays wrong usage.

use std::ffi::{OsStr, OsString};

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, Command, CommandFactory as _, FromArgMatches as _};

use super::args::Cli;
use super::signatory::SignatoryArgs;

/// Variables that say what is demanded, or who is trusted. Attack, or a slip: a secret or variable that the job of a fork
/// is not given, so that less is demanded, or a private instance's signature goes to the public log.
const DECISIVE: &[&str] = &[
    "PORTCULLIS_CERTIFICATE_IDENTITY",
    "PORTCULLIS_CERTIFICATE_IDENTITY_GLOB",
    "PORTCULLIS_CERTIFICATE_IDENTITY_REGEXP",
    "PORTCULLIS_CERTIFICATE_OIDC_ISSUER",
    "PORTCULLIS_CERTIFICATE_OIDC_ISSUER_GLOB",
    "PORTCULLIS_CERTIFICATE_OIDC_ISSUER_REGEXP",
    "PORTCULLIS_ENV",
    "PORTCULLIS_FAIL_ON",
    "PORTCULLIS_IDENTITIES",
    "PORTCULLIS_IDENTITY",
    "PORTCULLIS_KEY",
    "PORTCULLIS_POLICY",
    "PORTCULLIS_REQUIRE",
    "PORTCULLIS_REQUIRE_PLATFORM",
    "PORTCULLIS_REVISION",
    "PORTCULLIS_SCOPE",
    "PORTCULLIS_SIGNING_CONFIG",
    "PORTCULLIS_SIGNING_KEY",
    "PORTCULLIS_SOURCE",
    "PORTCULLIS_TAGS",
    "PORTCULLIS_TRUSTED_ROOT",
    "PORTCULLIS_TRUST_REFRESH",
    "PORTCULLIS_TUF_MIRROR",
    "PORTCULLIS_TUF_ROOT",
];

/// The switch of `scan` for VEX that hangs on the image.
const ATTESTED_VEX: &str = "attested_vex";

/// What was typed, and what is to be told of variables: those that count as not set though somebody set them, which are
/// options that the command has and that were not typed either, and those that a scan does not use.
///
/// # Errors
/// What is typed wrongly, help that was asked for, or a [`DECISIVE`] variable that is empty.
pub(super) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(Cli, Vec<String>), clap::Error> {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let mut command = Cli::command();
    let matches = without(command.clone(), &is_empty).try_get_matches_from(arguments)?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    let mut told = Vec::new();
    // Attack, or a mistake: a policy that was meant to judge, and another one does without anybody being told.
    let empty = passed_over(&command, &matches, &is_empty);
    if let Some(name) = empty.iter().find(|name| DECISIVE.contains(&name.as_str())) {
        let text = format!("{name} is set to nothing: give it a value, or unset it");
        return Err(command.error(ErrorKind::InvalidValue, text));
    }
    if !empty.is_empty() {
        told.push(format!("empty in the environment, and as if it were not set: {}", empty.join(", ")));
    }
    let (typed, set) = unused(&command, &matches);
    if let Some(option) = typed.first() {
        let message =
            format!("{option} says whose VEX is believed: `scan` asks for that with --attested-vex");
        return Err(command.error(ErrorKind::MissingRequiredArgument, message));
    }
    if !set.is_empty() {
        told.push(format!("not used without --attested-vex: {}", set.join(", ")));
    }
    Ok((cli, told))
}

/// Who is named for a scan that asks for no VEX that hangs on the image: by options that were typed, and by variables.
fn unused(command: &Command, matches: &ArgMatches) -> (Vec<String>, Vec<String>) {
    let (mut typed, mut set) = (Vec::new(), Vec::new());
    let Some(("scan", matches)) = matches.subcommand() else { return (typed, set) };
    if matches.get_one::<bool>(ATTESTED_VEX).is_none_or(|asks| *asks) {
        return (typed, set);
    }
    let signatory = SignatoryArgs::augment_args(Command::new("signatory"));
    let scan = command.find_subcommand("scan").into_iter().flat_map(Command::get_arguments);
    for option in scan.filter(|option| signatory.get_arguments().any(|one| one.get_id() == option.get_id())) {
        match matches.value_source(option.get_id().as_str()) {
            Some(ValueSource::CommandLine) => {
                typed.extend(option.get_long().map(|name| format!("--{name}")));
            }
            Some(ValueSource::EnvVariable) => {
                set.extend(option.get_env().map(|name| name.to_string_lossy().into_owned()));
            }
            // A switch that is off is its default.
            Some(_) | None => {}
        }
    }
    (typed, set)
}

/// The command, and none of its options may be taken from a variable that is empty.
fn without(command: Command, is_empty: &dyn Fn(&OsStr) -> bool) -> Command {
    command
        .mut_args(|arg| match arg.get_env() {
            Some(name) if is_empty(name) => arg.env(Resettable::Reset),
            Some(_) | None => arg,
        })
        .mut_subcommands(|command| without(command, is_empty))
}

/// The variables of the command that runs, by name.
fn passed_over(root: &Command, matches: &ArgMatches, is_empty: &dyn Fn(&OsStr) -> bool) -> Vec<String> {
    let (mut command, mut matches) = (root, matches);
    let mut options: Vec<&clap::Arg> = root.get_arguments().collect();
    while let Some((name, below)) = matches.subcommand() {
        let Some(next) = command.find_subcommand(name) else { break };
        options.extend(next.get_arguments());
        (command, matches) = (next, below);
    }
    let mut names: Vec<String> = options
        .into_iter()
        // A switch that is empty is off, as it is where nobody set it.
        .filter(|option| option.get_action().takes_values())
        .filter(|option| matches.value_source(option.get_id().as_str()) != Some(ValueSource::CommandLine))
        .filter_map(|option| option.get_env().filter(|name| is_empty(name)))
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every option of every command that has a variable.
    fn variables(command: &Command) -> Vec<String> {
        let own = command.get_arguments().filter_map(|option| option.get_env());
        let own = own.map(|name| name.to_string_lossy().into_owned());
        own.chain(command.get_subcommands().flat_map(variables)).collect()
    }

    #[test]
    fn no_option_of_any_command_is_taken_from_an_empty_variable() {
        let all = variables(&Cli::command());
        assert!(all.len() > 100, "{}", all.len());
        assert_eq!(variables(&without(Cli::command(), &|_| true)), [""; 0]);
        assert_eq!(variables(&without(Cli::command(), &|_| false)), all);
        let but_one = variables(&without(Cli::command(), &|name| name != "PORTCULLIS_POLICY"));
        assert_eq!(but_one, ["PORTCULLIS_POLICY"]);
    }

    #[test]
    fn every_decisive_variable_is_one_of_an_option() {
        let all = variables(&Cli::command());
        assert!(DECISIVE.iter().all(|name| all.iter().any(|known| known == name)));
    }

    #[test]
    fn who_is_named_for_nothing_in_a_scan_is_told() {
        let typed = |arguments: &[&str]| {
            let command = Cli::command();
            let all = [&["portcullis", "scan", "oci:x"], arguments].concat();
            let matches = without(command.clone(), &|_| true).try_get_matches_from(all).unwrap();
            unused(&command, &matches).0
        };
        let key = ["--key", "k.pub", "--key-without-log"];
        assert_eq!(typed(&key), ["--key", "--key-without-log"]);
        assert_eq!(typed(&["--require", "all"]), ["--require"]);
        assert_eq!(typed(&["--certificate-claim", "a=b"]), ["--certificate-claim"]);
        assert_eq!(typed(&[&key[..], &["--attested-vex"]].concat()), [""; 0]);
        assert_eq!(typed(&["--fail-on", "high"]), [""; 0]);
    }

    #[test]
    fn what_is_passed_over_is_named_unless_it_was_typed() {
        let told = |arguments: &[&str]| {
            let command = Cli::command();
            let matches = without(command.clone(), &|_| true);
            let matches = matches.try_get_matches_from(arguments).unwrap();
            passed_over(&command, &matches, &|name| {
                ["PORTCULLIS_POLICY", "PORTCULLIS_CACHE_DIR", "PORTCULLIS_QUIET", "PORTCULLIS_FAIL_ON"]
                    .iter()
                    .any(|known| name == *known)
            })
        };
        let both = ["PORTCULLIS_CACHE_DIR", "PORTCULLIS_POLICY"];
        assert_eq!(told(&["portcullis", "gate", "oci:x"]), both);
        assert_eq!(told(&["portcullis", "gate", "oci:x", "--policy", "p"]), both[..1]);
        assert_eq!(told(&["portcullis", "--cache-dir", "d", "gate", "oci:x", "--policy", "p"]), [""; 0]);
        assert_eq!(told(&["portcullis", "db", "status"]), both[..1]);
    }
}
