//! The walls of the house: who may use whom, who may touch the world, how long a file may grow.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every folder of `src/` with the modules it may use. Nothing else is allowed.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("image", &["model"]),
    ("inventory", &["model", "image"]),
    ("check", &["model", "image", "inventory"]),
    ("version", &["model"]),
    ("attestation", &["model", "strict"]),
    ("strict", &[]),
    ("sbom", &["model", "strict"]),
    ("vex", &["model", "version", "strict"]),
    ("enrich", &["model", "strict"]),
    ("osv", &["model", "version"]),
    ("policy", &["model", "version", "attestation"]),
    ("report", &["model", "sbom", "check", "attestation"]),
    ("net", &["model"]),
    ("layout", &["model", "image"]),
    ("registry", &["model", "image", "net"]),
    ("cache", &["model", "image"]),
    ("feed", &["model", "osv", "net"]),
    ("sigstore", &["model", "net"]),
    (
        "gate",
        &[
            "model",
            "image",
            "inventory",
            "check",
            "attestation",
            "sbom",
            "osv",
            "vex",
            "enrich",
            "policy",
            "layout",
            "registry",
            "cache",
            "feed",
            "sigstore",
        ],
    ),
    (
        "cli",
        &[
            "model",
            "gate",
            "image",
            "check",
            "sbom",
            "report",
            "policy",
            "version",
            "cache",
            "feed",
            "registry",
            "net",
            "sigstore",
            "attestation",
            "sigstore",
        ],
    ),
];

/// Modules that neither do I/O nor read the clock or the environment.
const PURE: &[&str] = &[
    "model",
    "image",
    "inventory",
    "check",
    "attestation",
    "version",
    "strict",
    "sbom",
    "osv",
    "vex",
    "enrich",
    "policy",
    "report",
];

/// Words that only adapters, gate and doors may say.
const WORLD: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time",
    "tokio",
    "reqwest",
    "async fn",
    "SystemTime",
    "Instant::now",
    "Timestamp::now",
    "memmap2",
];

/// Lines of a file before its tests.
const FILE_LINES: usize = 600;

fn source_files() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
    }
    assert!(files.len() > 20, "the sources were not found");
    files
}

/// The top-level module that a file belongs to: its folder below `src/`.
fn module(path: &Path) -> Option<String> {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let mut parts = below.components();
    let first = parts.next()?.as_os_str().to_str()?.to_owned();
    parts.next().map(|_| first)
}

/// A file without comments, and without the tests at its foot.
fn production(text: &str) -> String {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The modules named after `crate::`, nested groups included.
fn uses(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for (i, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && c.is_alphabetic() => {
                            found.push(word(&group[i..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            }
            None => found.push(word(rest)),
        }
    }
    found
}

#[test]
fn every_folder_has_a_row() {
    let rows: Vec<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
    for (path, _) in source_files() {
        if let Some(module) = module(&path) {
            assert!(rows.contains(&module.as_str()), "src/{module}/ has no row in ARROWS");
        }
    }
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    for (path, text) in source_files() {
        let Some(module) = module(&path) else { continue };
        for used in uses(&production(&text)) {
            let allowed = used == module || arrows[module.as_str()].contains(&used.as_str());
            assert!(allowed, "{}: `{module}` may not use `{used}`", path.display());
        }
        assert!(!text.contains("super::super"), "{}: write the path from `crate`", path.display());
    }
}

#[test]
fn pure_modules_do_not_touch_the_world() {
    for (path, text) in source_files() {
        let Some(module) = module(&path) else { continue };
        if PURE.contains(&module.as_str()) {
            let code = production(&text);
            for word in WORLD {
                assert!(!code.contains(word), "{}: `{word}` in a pure module", path.display());
            }
        }
    }
}

#[test]
fn tuf_is_asked_in_one_place() {
    for (path, text) in source_files() {
        let is_place = path.ends_with("src/sigstore/tuf.rs");
        assert!(is_place || !production(&text).contains("sigstore_tuf"), "{}", path.display());
    }
}

#[test]
fn files_stay_short() {
    for (path, text) in source_files() {
        let lines = text.split("#[cfg(test)]").next().unwrap_or_default().lines().count();
        assert!(lines <= FILE_LINES, "{}: {lines} lines, more than {FILE_LINES}", path.display());
    }
}

#[test]
fn the_checks_catch_what_they_are_for() {
    assert_eq!(uses("use crate::cli;"), ["cli"]);
    assert_eq!(uses("use crate::{cli::args, model::{digest, path}};"), ["cli", "model"]);
    assert_eq!(uses("fn f() { crate::feed::open() }"), ["feed"]);
    assert_eq!(production("use a; // std::fs\n#[cfg(test)]\nuse std::fs;").trim(), "use a;");
}
