//! Variables that are set to nothing: every command does what it does where nobody set them, and says so, unless they say
//! what is demanded or who is trusted.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::support::cli::Run;

fn run(home: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(arguments).env_clear().env("HOME", home).current_dir(env!("CARGO_MANIFEST_DIR"));
    Run::of(command.envs(variables.iter().copied()))
}

/// The words after which a command has no further one, and the variables of all options that `--help` shows.
fn commands(home: &Path, words: &[String], found: &mut Vec<Vec<String>>, names: &mut BTreeSet<String>) {
    let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
    arguments.push("--help");
    let help = run(home, &arguments, &[]).ended(0).out();
    for part in help.split("[env: ").skip(1) {
        names.insert(part.split(['=', ']']).next().unwrap().to_owned());
    }
    let Some((_, list)) = help.split_once("\nCommands:\n") else { return found.push(words.to_vec()) };
    let lines = list.lines().take_while(|line| !line.is_empty()).filter(|line| line.starts_with("  "));
    for name in
        lines.filter(|line| !line.starts_with("   ")).map(|line| line.split_whitespace().next().unwrap())
    {
        if name != "help" {
            commands(home, &[words, &[name.to_owned()]].concat(), found, names);
        }
    }
}

#[test]
fn an_empty_variable_counts_as_not_set_for_every_option_of_every_command() {
    let home = tempfile::tempdir().unwrap();
    let (mut found, mut names) = (Vec::new(), BTreeSet::new());
    commands(home.path(), &[], &mut found, &mut names);
    assert!(found.len() >= 20 && names.len() >= 70, "{found:?} {names:?}");
    assert!(names.contains("PORTCULLIS_POLICY") && names.contains("PORTCULLIS_CERTIFICATE_IDENTITY"));
    let decisive = |name: &str| {
        DECISIVE
            .iter()
            .any(|(_, names)| names.iter().any(|own| name.strip_prefix("PORTCULLIS_") == Some(own)))
    };
    let names = names.iter().map(String::as_str).filter(|name| !decisive(name));
    let empty: Vec<(&str, &str)> = names.map(|name| (name, "")).collect();
    for command in &found {
        // As many arguments as it takes, of which none leads anywhere.
        let arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        for more in [&[][..], &["oci:nowhere"], &["oci:nowhere", "oci:nowhere-else"], &["127.0.0.1:1/a:b"]] {
            let arguments = [arguments.as_slice(), more].concat();
            let (without, with) = (run(home.path(), &arguments, &[]), run(home.path(), &arguments, &empty));
            assert_eq!(without.code(), with.code(), "{arguments:?}: {}", with.err());
            let note = "portcullis: empty in the environment";
            let told: Vec<String> =
                with.err().lines().filter(|line| !line.starts_with(note)).map(str::to_owned).collect();
            let before: Vec<String> = without.err().lines().map(str::to_owned).collect();
            assert_eq!(before, told, "{arguments:?}");
        }
    }
}

/// What says what is demanded, or who is trusted, without `PORTCULLIS_`: each with a command that has the option.
const DECISIVE: [(&str, &[&str]); 4] = [
    (
        "gate oci:x",
        &[
            "POLICY",
            "SCOPE",
            "ENV",
            "TRUSTED_ROOT",
            "TRUST_REFRESH",
            "TUF_MIRROR",
            "TUF_ROOT",
            "SIGNING_CONFIG",
            "SIGNING_KEY",
        ],
    ),
    ("scan oci:x", &["FAIL_ON"]),
    ("validate oci:x", &["TAGS", "SOURCE", "REVISION", "REQUIRE_PLATFORM"]),
    (
        "verify oci:x",
        &[
            "KEY",
            "REQUIRE",
            "IDENTITY",
            "IDENTITIES",
            "CERTIFICATE_IDENTITY",
            "CERTIFICATE_IDENTITY_GLOB",
            "CERTIFICATE_IDENTITY_REGEXP",
            "CERTIFICATE_OIDC_ISSUER",
            "CERTIFICATE_OIDC_ISSUER_GLOB",
            "CERTIFICATE_OIDC_ISSUER_REGEXP",
        ],
    ),
];

#[test]
fn less_is_demanded_by_no_empty_variable() {
    let home = tempfile::tempdir().unwrap();
    let of = |words: &'static str| words.split(' ').collect::<Vec<_>>();
    for (command, names) in DECISIVE {
        for name in names {
            let name = format!("PORTCULLIS_{name}");
            let refused = run(home.path(), &of(command), &[(&name, "")]).ended(2);
            assert!(refused.err().contains(&format!("{name} is set to nothing")), "{}", refused.err());
        }
    }
    // Nobody has an environment without a name, nor a scope.
    let demo = of("gate oci:testdata/demo/image --db testdata/demo/osv --policy policies/production.yaml");
    for option in ["--env", "--scope"] {
        run(home.path(), &[&demo[..], &[option, ""]].concat(), &[]).ended(2);
    }
}

#[test]
fn what_is_passed_over_is_said() {
    let home = tempfile::tempdir().unwrap();
    let demo = ["gate", "oci:testdata/demo/image", "--db", "testdata/demo/osv"];
    let usual = run(home.path(), &demo, &[]).ended(1);
    let variables = [("PORTCULLIS_VEX", ""), ("PORTCULLIS_QUIET", "")];
    let judged = run(home.path(), &demo, &variables).ended(1);
    assert_eq!(judged.out(), usual.out());
    let note = "portcullis: empty in the environment, and as if it were not set: PORTCULLIS_VEX\n";
    assert!(judged.err().contains(note) && !usual.err().contains("environment"), "{}", judged.err());
    // What is typed counts.
    let variables = [("PORTCULLIS_POLICY", ""), ("PORTCULLIS_DB", "")];
    let typed = [&demo[..], &["--policy", "testdata/demo/accepting.yaml"]].concat();
    let judged = run(home.path(), &typed, &variables).ended(0);
    assert!(!judged.err().contains("environment"), "{}", judged.err());
}
