//! Advisories brought in from the disk: a directory in the layout of the bucket, or one of its archives.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use jiff::Timestamp;

use crate::osv::names::base;
use crate::osv::record::Record;
use crate::osv::segment::build::{Builder, Compiled};

use super::document::{Origin, check_name};
use super::installed::Writer;
use super::source::{self, Source};
use super::update::{Step, WAITING, Watch};
use super::{Error, ErrorKind, compile};

/// What was brought in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The base ecosystem.
    pub ecosystem: String,
    /// How many records it has now.
    pub records: u64,
    /// How many could not be read.
    pub unreadable: u64,
}

/// Takes the segment of an ecosystem.
type Stage<'a> = &'a mut dyn FnMut(&str, &[u8]) -> Result<(), Error>;

/// What an archive is of.
enum Archive {
    /// One ecosystem's `all.zip`.
    One(String),
    /// The bucket's own, with records of many.
    All(BTreeSet<String>),
}

/// Brings advisories into the snapshot of a directory, by one rename: from a directory in the layout of the bucket, or
/// from a zip. Of a zip, `only` says which ecosystem it is of; without it its records do. Ecosystems that are not in
/// the source stay as they are.
///
/// # Errors
/// [`Error`]: nothing was changed then.
pub fn import(
    directory: &Path,
    from: &Path,
    only: Option<&str>,
    now: Timestamp,
    watch: &dyn Watch,
) -> Result<Vec<Imported>, Error> {
    let from = from.canonicalize().map_err(|error| Error::io(from, &error))?;
    let metadata = from.metadata().map_err(|error| Error::io(&from, &error))?;
    if let Some(name) = only {
        check_name(name).map_err(|cause| Error::new(ErrorKind::Refused, &from, cause))?;
    }
    let mut writer = Writer::begin(directory, || watch.say(WAITING))?;
    let origin = Origin { source: from.display().to_string(), checked: now, etag: None, list_etag: None };
    let mut staged = Vec::new();
    let mut stage = |ecosystem: &str, segment: &[u8]| -> Result<(), Error> {
        staged.push((ecosystem.to_owned(), writer.stage(ecosystem, segment, origin.clone())?));
        watch.step(ecosystem, Step::Ended);
        Ok(())
    };
    if metadata.is_dir() {
        for ecosystem in in_directory(&from, only)? {
            watch.step(&ecosystem, Step::Compiling);
            let Some(source) = Source::find(&from, &ecosystem)? else { continue };
            stage(&ecosystem, &compile::compile(&ecosystem, &source)?)?;
        }
    } else {
        from_zip(&from, only, watch, &mut stage)?;
    }
    let imported = staged
        .iter()
        .map(|(ecosystem, part)| Imported {
            ecosystem: ecosystem.clone(),
            records: part.records,
            unreadable: part.unreadable,
        })
        .collect();
    for (ecosystem, part) in staged {
        writer.put(&ecosystem, part);
    }
    writer.commit()?;
    Ok(imported)
}

/// The ecosystems of a directory.
fn in_directory(from: &Path, only: Option<&str>) -> Result<Vec<String>, Error> {
    let mut found = source::ecosystems(from)?;
    if let Some(only) = only {
        found.retain(|ecosystem| ecosystem == only);
    }
    if found.is_empty() {
        let what = only.map_or_else(|| "no advisories".to_owned(), |only| format!("nothing of {only}"));
        let message = format!(
            "holds {what}: expected the layout of the OSV bucket, `<Ecosystem>/all.zip` or `<Ecosystem>/*.json`"
        );
        return Err(Error::new(ErrorKind::NotASnapshot, from, message));
    }
    Ok(found)
}

fn from_zip(path: &Path, only: Option<&str>, watch: &dyn Watch, stage: Stage<'_>) -> Result<(), Error> {
    let archive = match only {
        Some(only) => Archive::One(only.to_owned()),
        None => survey(path, watch)?,
    };
    let wanted = match archive {
        Archive::One(ecosystem) => {
            watch.step(&ecosystem, Step::Compiling);
            let segment = compile::compile(&ecosystem, &Source::Zip(path.to_owned()))?;
            return stage(&ecosystem, &segment);
        }
        Archive::All(wanted) => wanted,
    };
    let read = |name: String, bytes: Result<Vec<u8>, String>| {
        let records = bytes.and_then(|bytes| {
            let named = ecosystems_of(&bytes)?;
            // Attack: an entry for `npm ` or `NPM`, which would be found under no name. It is refused by that of npm.
            let meant = |wanted: &&String| named.iter().any(|name| name.trim().eq_ignore_ascii_case(wanted));
            let meant = wanted.iter().filter(meant);
            Ok(meant.map(|one| (one.clone(), Compiled::read(one, &bytes))).collect::<Vec<_>>())
        });
        (name, records)
    };
    let records = compile::read_zip(path, read)?;
    let mut builders: BTreeMap<String, Builder<'static>> =
        wanted.iter().map(|ecosystem| (ecosystem.clone(), Builder::new(ecosystem))).collect();
    for (name, records) in records {
        match records {
            Ok(records) => {
                for (ecosystem, record) in records {
                    if let Some(builder) = builders.get_mut(&ecosystem) {
                        builder.add(&name, record);
                    }
                }
            }
            // Nobody knows of which ecosystem it is: it is missing in every one.
            Err(cause) => builders.values_mut().for_each(|builder| builder.add(&name, Err(cause.clone()))),
        }
    }
    for (ecosystem, builder) in builders {
        watch.step(&ecosystem, Step::Compiling);
        let segment =
            builder.finish().map_err(|error| Error::new(ErrorKind::TooLarge, path, error.to_string()))?;
        stage(&ecosystem, &segment)?;
    }
    Ok(())
}

/// The base ecosystems that the entries of a record are for.
fn ecosystems_of(bytes: &[u8]) -> Result<BTreeSet<String>, String> {
    let record = Record::parse(bytes)?;
    let packages = record.affected.iter().filter_map(|affected| affected.package.as_ref());
    Ok(packages.map(|package| base(&package.ecosystem).to_owned()).collect())
}

/// Finds out what an archive is of. In the archive of one ecosystem every record is for that one; some are for others
/// too, of which it has a few records only.
fn survey(path: &Path, watch: &dyn Watch) -> Result<Archive, Error> {
    let named = compile::read_zip(path, |_, bytes| bytes.and_then(|bytes| ecosystems_of(&bytes)).ok())?;
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    let mut records = 0usize;
    for named in named.into_iter().flatten().filter(|named| !named.is_empty()) {
        records += 1;
        for ecosystem in named {
            *all.entry(ecosystem).or_default() += 1;
        }
    }
    let common: Vec<&String> =
        all.iter().filter(|(_, count)| **count == records).map(|(ecosystem, _)| ecosystem).collect();
    let unsure = |cause: String| Error::new(ErrorKind::NotASnapshot, path, cause);
    match common.as_slice() {
        [] if records == 0 => Err(unsure("holds no record that names an ecosystem".into())),
        // Attack: three records of Maven in an archive of npm, taken for all that there is of Maven.
        [one] => {
            check_name(one).map_err(unsure)?;
            Ok(Archive::One((*one).clone()))
        }
        [] => {
            let (known, unknown): (BTreeSet<String>, BTreeSet<String>) =
                all.into_keys().partition(|ecosystem| check_name(ecosystem).is_ok());
            for cause in unknown.iter().filter_map(|name| check_name(name).err()) {
                watch.say(&format!("{cause}: entries for it are left out"));
            }
            Ok(Archive::All(known))
        }
        several => {
            let folder = path.parent().and_then(Path::file_name).and_then(OsStr::to_str);
            match several.iter().find(|ecosystem| Some(ecosystem.as_str()) == folder) {
                Some(ecosystem) => Ok(Archive::One((**ecosystem).clone())),
                None => {
                    let names: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
                    let message = format!(
                        "may be the archive of any of {}: say which by `--ecosystem`",
                        names.join(", ")
                    );
                    Err(unsure(message))
                }
            }
        }
    }
}
