//! Advisories brought in from the disk: a directory in the layout of the bucket, or one of its archives.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::osv::names::base;
use crate::osv::record::Record;
use crate::osv::segment::build::Builder;

use super::document::{Origin, check_name};
use super::installed::Writer;
use super::source::{self, Source};
use super::update::{Step, WAITING, Watch};
use super::{Error, ErrorKind, compile};

/// What is brought in, and how.
#[derive(Debug, Clone, Copy)]
pub struct Import<'a> {
    /// A directory in the layout of the bucket, or a zip.
    pub from: &'a Path,
    /// Only this ecosystem. Without it, what the directory has, or what the records of the zip are for.
    pub only: Option<&'a str>,
    /// Take it also where it [goes back](super::Part::goes_back) from what is installed.
    pub allow_older: bool,
    /// How long to wait for another process that writes.
    pub patience: Duration,
    /// When that is.
    pub now: Timestamp,
}

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

/// Brings advisories into the snapshot of a directory, by one rename. Ecosystems that are not in the source stay as they
/// are.
///
/// # Errors
/// [`Error`]: nothing was changed then.
pub fn import(directory: &Path, request: &Import<'_>, watch: &dyn Watch) -> Result<Vec<Imported>, Error> {
    let Import { from, only, allow_older, patience, now } = *request;
    let from = from.canonicalize().map_err(|error| Error::io(from, &error))?;
    let metadata = from.metadata().map_err(|error| Error::io(&from, &error))?;
    if let Some(name) = only {
        check_name(name).map_err(|cause| Error::new(ErrorKind::Refused, &from, cause))?;
    }
    let mut writer = Writer::begin(directory, patience, || watch.say(WAITING))?;
    let origin = Origin { source: from.display().to_string(), checked: now, etag: None, list_etag: None };
    let mut staged = Vec::new();
    let mut stage = |ecosystem: &str, segment: &[u8]| -> Result<(), Error> {
        staged.push((ecosystem.to_owned(), writer.stage(ecosystem, segment, origin.clone())?));
        watch.step(ecosystem, Step::Ended);
        Ok(())
    };
    if metadata.is_dir() {
        for ecosystem in in_directory(&from, only, watch)? {
            watch.step(&ecosystem, Step::Compiling);
            let Some(source) = Source::find(&from, &ecosystem)? else { continue };
            stage(&ecosystem, &compile::compile(&ecosystem, &source, now)?)?;
        }
    } else {
        from_zip(&from, only, now, watch, &mut stage)?;
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
        match allow_older {
            true => writer.put_older(&ecosystem, part),
            false => writer.put(&ecosystem, part)?,
        }
    }
    writer.commit()?;
    Ok(imported)
}

/// The ecosystems of a directory.
fn in_directory(from: &Path, only: Option<&str>, watch: &dyn Watch) -> Result<Vec<String>, Error> {
    let mut found = source::ecosystems(from)?;
    if let Some(only) = only {
        found.retain(|ecosystem| ecosystem == only);
    }
    // The bucket has folders for releases (`Debian:12`), whose records `Debian` has too, and `[EMPTY]`.
    found.retain(|ecosystem| match check_name(ecosystem) {
        Ok(()) => true,
        Err(cause) => {
            watch.say(&format!("{cause}: its folder is left out"));
            false
        }
    });
    if found.is_empty() {
        let what = only.map_or_else(|| "no advisories".to_owned(), |only| format!("nothing of {only}"));
        let message = format!(
            "holds {what}: expected the layout of the OSV bucket, `<Ecosystem>/all.zip` or `<Ecosystem>/*.json`"
        );
        return Err(Error::new(ErrorKind::NotASnapshot, from, message));
    }
    Ok(found)
}

fn from_zip(
    path: &Path,
    only: Option<&str>,
    now: Timestamp,
    watch: &dyn Watch,
    stage: Stage<'_>,
) -> Result<(), Error> {
    let archive = match only {
        Some(only) => Archive::One(only.to_owned()),
        None => survey(path, watch)?,
    };
    let wanted = match archive {
        Archive::One(ecosystem) => {
            watch.step(&ecosystem, Step::Compiling);
            let segment = compile::compile(&ecosystem, &Source::Zip(path.to_owned()), now)?;
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
            Ok(meant.map(|one| (one.clone(), compile::record(one, &bytes, now))).collect::<Vec<_>>())
        });
        (name, records)
    };
    let mut builders: BTreeMap<String, Builder<'static>> =
        wanted.iter().map(|ecosystem| (ecosystem.clone(), Builder::new(ecosystem))).collect();
    let mut take = |(name, records): (String, Result<Vec<_>, String>)| match records {
        Ok(records) => {
            for (ecosystem, record) in records {
                if let Some(builder) = builders.get_mut(&ecosystem) {
                    builder.add(&name, record);
                }
            }
        }
        // Nobody knows of which ecosystem it is: it is missing in every one.
        Err(cause) => builders.values_mut().for_each(|builder| builder.add(&name, Err(cause.clone()))),
    };
    compile::read_zip(path, read, &mut take)?;
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
    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    let mut records = 0usize;
    // What cannot be read says nothing of whose archive it is; it is named when the archive is compiled.
    let read =
        |_, bytes: Result<Vec<u8>, String>| bytes.and_then(|bytes| ecosystems_of(&bytes)).unwrap_or_default();
    compile::read_zip(path, read, &mut |named: BTreeSet<String>| {
        records += usize::from(!named.is_empty());
        for ecosystem in named {
            *all.entry(ecosystem).or_default() += 1;
        }
    })?;
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
