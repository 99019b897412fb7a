//! Rust programs built by cargo-auditable: their section of compressed JSON (cargo-auditable,
//! `cargo-auditable.schema.json` and `PARSING.md`).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Read;

use flate2::read::ZlibDecoder;
use serde::Deserialize;

use crate::model::layer::{Facts, FoundPackage, Scope};
use crate::model::path::ImagePath;

use super::program::structure::{self, Section};
use super::program::{self, Mark, Program, word};
use super::{Cataloger, Reads, Unreadable};

/// Catalogs the crates that the section `.dep-v0` lists.
pub(super) struct Cargo;

/// The section's name as tables of names write it.
const MARK: &[u8] = b".dep-v0\0";

/// Bytes of the section: 8 MiB, and as many inflated, as cargo-auditable's own reader has it.
const LIMIT: u64 = 8 << 20;

/// Dependencies of all crates: 100,000. Programs of a thousand crates have five thousand.
const EDGES: usize = 100_000;

#[derive(Deserialize)]
struct Audit {
    packages: Vec<Crate>,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    dependencies: Vec<usize>,
    #[serde(default)]
    root: bool,
}

impl Cataloger for Cargo {
    fn id(&self) -> &'static str {
        "cargo"
    }

    fn wants(&self, _: &ImagePath, head: &[u8]) -> bool {
        program::is_program(head)
    }

    /// Programs are searched, and read in pieces where they are large.
    fn limit(&self) -> u64 {
        u64::MAX
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        program::parse(self, path, bytes)
    }

    fn reads(&self) -> Reads {
        Reads::Program
    }

    fn marks(&self, _: &ImagePath) -> Vec<Mark> {
        vec![Mark { bytes: Cow::Borrowed(MARK), before: 0, after: 8 }]
    }

    fn program(&self, path: &ImagePath, program: &Program<'_>) -> Result<Facts, Unreadable> {
        if program.ended() && program.places(MARK).0.is_empty() {
            return Ok(Facts::default());
        }
        let unreadable = |cause| Unreadable(format!("a Rust program whose crates are unknown: {cause}"));
        let mut facts = Facts::default();
        // A universal program names the same once an architecture.
        let mut seen = BTreeSet::new();
        for structure in structure::read(program).map_err(unreadable)? {
            let sections = structure.sections.map_err(unreadable)?;
            for section in sections.iter().filter(|section| section.name == b".dep-v0") {
                let audit = audit(program, section).map_err(unreadable)?;
                for package in crates(path, &audit).map_err(unreadable)? {
                    if seen.insert((package.name.clone(), package.version.clone(), package.scope)) {
                        facts.add(package);
                    }
                }
            }
        }
        Ok(facts)
    }
}

fn audit(program: &Program<'_>, section: &Section) -> Result<Audit, String> {
    if section.size > LIMIT {
        return Err(format!("a section of {} bytes, more than {LIMIT}", section.size));
    }
    let bytes = program.get(section.offset, section.size).ok_or("its section lies outside of the file")?;
    let mut json = Vec::new();
    // Attack: a section that inflates without end.
    let inflated = ZlibDecoder::new(bytes).take(LIMIT + 1).read_to_end(&mut json);
    inflated.map_err(|error| format!("its section could not be inflated: {error}"))?;
    if json.len() as u64 > LIMIT {
        return Err(format!("its section inflates to more than {LIMIT} bytes"));
    }
    serde_json::from_slice(&json).map_err(|error| format!("its section is no audit data: {error}"))
}

fn crates(path: &ImagePath, audit: &Audit) -> Result<Vec<FoundPackage>, String> {
    let mut names = Vec::with_capacity(audit.packages.len());
    for package in &audit.packages {
        names.push((word("a name", &package.name)?, word("a version", &package.version)?));
    }
    let mut found = Vec::with_capacity(audit.packages.len());
    let mut edges = 0_usize;
    for (package, (name, version)) in audit.packages.iter().zip(&names) {
        // Attack: every crate needs every other a thousand times.
        edges = edges.saturating_add(package.dependencies.len());
        if edges > EDGES {
            return Err(format!("more than {EDGES} dependencies"));
        }
        let needs = package.dependencies.iter().map(|at| {
            let (name, version) = names.get(*at).ok_or_else(|| format!("no package has the index {at}"))?;
            Ok(vec![format!("{name}@{version}")])
        });
        found.push(FoundPackage {
            kind: "cargo",
            name: name.clone(),
            version: version.clone(),
            location: Some(path.clone()),
            application: package.root,
            scope: if package.kind.as_deref() == Some("build") { Scope::Build } else { Scope::Runtime },
            requires: Some(needs.collect::<Result<_, String>>()?),
            ..FoundPackage::default()
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
