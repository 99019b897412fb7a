//! The faulty images of `../shared`: each is refused, carries a gap, or is one of the six that are valid.

use std::path::Path;

use serde_json::Value;

use crate::support::cli::{Run, portcullis_within};
use crate::support::shared;

/// Valid, however odd: an SBOM is given.
const VALID: &[&str] = &["14", "15", "16", "24", "26", "30"];

/// Bytes that contradict their digest, size, diff ID or grammar: denied whatever the policy.
const LIES: &[&str] = &["01", "02", "03", "04", "07", "08", "09", "23", "29"];

/// Address space of the command, in KiB: 512 MiB (design §8 asks for memory as bounded as §7 says).
const MEMORY: u64 = 512 * 1024;

fn each(data: &Path, mut check: impl FnMut(&str, &str)) {
    let mut names: Vec<String> = std::fs::read_dir(data.join("images/broken"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "expected.json")
        .collect();
    names.sort();
    assert_eq!(names.len(), 30);
    for name in names {
        check(&name[..2], &format!("oci:{}", data.join("images/broken").join(&name).display()));
    }
}

fn run(arguments: &[&str]) -> Run {
    let home = tempfile::tempdir().unwrap();
    let run = portcullis_within(MEMORY, home.path(), arguments);
    assert!(!run.err().contains("panicked"), "{arguments:?}: {}", run.err());
    run
}

fn gaps(inventory: &Value) -> usize {
    inventory["gaps"].as_array().unwrap().len()
}

#[test]
fn valid_images_have_an_sbom_and_the_others_none_or_one_with_gaps() {
    let Some(data) = shared("data") else { return };
    each(&data, |number, image| {
        let run = run(&["sbom", image, "-o", "inventory"]);
        match run.code() {
            0 => {
                let inventory = run.json();
                assert!(VALID.contains(&number) || gaps(&inventory) > 0, "{image} comes out clean");
            }
            3 => {
                assert!(!VALID.contains(&number), "{image}: {}", run.err());
                assert!(!run.err().is_empty() && run.out().is_empty(), "{image}: {}", run.err());
            }
            other => panic!("{image}: exit code {other}: {}", run.err()),
        }
    });
}

#[test]
fn a_lie_is_denied_and_nothing_else_that_is_broken_is_admitted() {
    let Some(data) = shared("data") else { return };
    let osv = format!("{}/testdata/demo/osv", env!("CARGO_MANIFEST_DIR"));
    each(&data, |number, image| {
        let run = run(&["gate", image, "--db", &osv, "-o", "json", "--at", "2026-11-24T00:00:00Z"]);
        let verdict = run.json();
        let want = if LIES.contains(&number) { ("deny", 1) } else { ("undecided", 3) };
        // It has no file at all, so nothing about it is unknown.
        let want = if number == "30" { ("admit", 0) } else { want };
        assert_eq!((verdict["decision"].as_str().unwrap(), run.code()), want, "{image}: {verdict:#}");
    });
}

/// What the packages of the valid ones are, as `expected.json` says.
#[test]
fn the_packages_of_the_valid_ones_are_the_expected() {
    let Some(data) = shared("data") else { return };
    let want = |number: &str| match number {
        "14" | "16" | "26" => Some(("apk", 14)),
        "15" => Some(("npm", 1)),
        "24" | "30" => Some(("apk", 0)),
        _ => None,
    };
    each(&data, |number, image| {
        let Some((kind, count)) = want(number) else { return };
        let inventory = run(&["sbom", image, "-o", "inventory"]).ended(0).json();
        let packages = inventory["packages"].as_array().unwrap();
        let of_kind = packages.iter().filter(|package| package["type"] == kind).count();
        assert_eq!(of_kind, count, "{image}: {packages:#?}");
    });
}
