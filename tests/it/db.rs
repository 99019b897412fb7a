//! `portcullis db` and what it installs, run as a user would.

mod artifact;
mod faults;
mod fetching;
mod imports;
mod installed;
mod killed;
mod updating;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portcullis::feed::Installed;
use portcullis::osv::segment::Segment;
use serde_json::Value;
use tempfile::TempDir;

use crate::support::bucket::Bucket;
use crate::support::cli::{Run, portcullis};

/// A home, a directory for the snapshot in it, and a bucket.
struct Place {
    home: TempDir,
    bucket: Bucket,
}

fn place() -> Place {
    Place { home: tempfile::tempdir().unwrap(), bucket: Bucket::start() }
}

impl Place {
    fn directory(&self) -> PathBuf {
        self.home.path().join("db")
    }

    /// `portcullis db COMMAND …` on the directory.
    fn db(&self, arguments: &[&str]) -> Run {
        let directory = self.directory();
        portcullis(self.home.path(), &[&["db"], arguments, &["--db", directory.to_str().unwrap()]].concat())
    }

    fn update(&self, more: &[&str]) -> Run {
        self.db(&[&["update", "--from", &self.bucket.url()], more].concat())
    }

    fn status(&self) -> Value {
        self.db(&["status", "-o", "json"]).json()
    }

    /// What identifies the whole snapshot.
    fn id(&self) -> String {
        self.status()["id"].as_str().unwrap().to_owned()
    }

    /// Versions in which a package is fixed, by the ids of its advisories.
    fn fixed(&self, ecosystem: &str, package: &str) -> BTreeMap<String, String> {
        fixed(&self.directory(), ecosystem, package)
    }

    /// The ids of all records.
    fn ids(&self, ecosystem: &str) -> Vec<String> {
        let installed = Installed::open(&self.directory()).unwrap();
        let mapped = installed.segment(ecosystem).unwrap().unwrap();
        let segment = Segment::open(mapped.bytes()).unwrap();
        segment.records().map(|record| record.unwrap().id.to_owned()).collect()
    }
}

fn fixed(directory: &Path, ecosystem: &str, package: &str) -> BTreeMap<String, String> {
    let installed = Installed::open(directory).unwrap();
    let mapped = installed.segment(ecosystem).unwrap().unwrap();
    let segment = Segment::open(mapped.bytes()).unwrap();
    let found = segment.affecting(ecosystem, package).unwrap();
    found
        .into_iter()
        .map(|posting| {
            let text = serde_json::to_value(&posting.affected).unwrap().to_string();
            let fixed = text.split("\"fixed\":\"").nth(1).unwrap_or_default().split('"').next().unwrap();
            (posting.head.id.into(), fixed.to_owned())
        })
        .collect()
}

/// The files of a directory, sorted.
fn files(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Which of the files are neither the document, nor the lock, nor a segment that the document names.
fn leftovers(directory: &Path) -> Vec<String> {
    let document = std::fs::read_to_string(directory.join("snapshot.json")).unwrap();
    let named = |name: &String| {
        ["snapshot.json", "lock"].contains(&name.as_str()) || document.contains(name.as_str())
    };
    files(directory).into_iter().filter(|name| !named(name)).collect()
}

/// A record as [`Bucket::fill`] makes it.
fn record_of(id: &str) -> Vec<u8> {
    let number: usize = id.rsplit('-').next().unwrap().parse().unwrap();
    let time = "2026-01-01T00:00:00Z";
    crate::support::bucket::record("npm", id, time, &format!("package-{number}"), "1.0.0")
}
