//! An installed snapshot brought up to date from a bucket: by single records where few changed, else whole.
//!
//! An ecosystem is updated wholly or not at all: where anything of it could not be fetched, it keeps the segment that
//! it has, and its age tells. A record that came and cannot be read is in the new segment as unreadable.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::net::Budget;
use crate::osv::segment::build::Builder;
use crate::osv::segment::{Damaged, Segment};

use super::bucket::{Bucket, Failed, Fetched};
use super::document::{Origin, Part, check_name};
use super::download::Archive;
use super::installed::{Installed, PATIENCE, Writer, open};
use super::list::{List, is_newer};
use super::source::Source;
use super::{Error, ErrorKind, compile};

/// Ecosystems that are fetched at a time.
const AT_ONCE: usize = 4;

/// Of so many records one may change before the archive is fetched instead: 2 %.
const FIFTIETH: usize = 50;

/// So many records are always fetched singly: an archive costs more than so few requests.
const FEW: usize = 200;

/// Told of what is done: a bar, or lines in a log.
pub trait Watch: Sync {
    /// How far an ecosystem is.
    fn step(&self, ecosystem: &str, step: Step);
    /// Something a person should know: a lowercase fragment.
    fn say(&self, message: &str);
}

/// How far an ecosystem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Bytes of its archive that are here, and how many there are where that is known.
    Archive {
        /// Here.
        bytes: u64,
        /// In all.
        of: Option<u64>,
    },
    /// Its records are compiled.
    Compiling,
    /// Single records that are here.
    Records {
        /// Here.
        done: usize,
        /// In all.
        of: usize,
    },
    /// It is done with, well or not.
    Ended,
}

/// Which ecosystems are updated: those that are installed, and these.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Base ecosystems that are to be there afterwards.
    pub named: Vec<String>,
    /// All that the bucket has.
    pub all: bool,
}

/// What became of an ecosystem.
#[derive(Debug)]
pub struct Updated {
    /// The base ecosystem.
    pub ecosystem: String,
    /// What changed, or why it is as it was.
    pub outcome: Result<Change, Error>,
    /// What a person should know of it.
    pub notes: Vec<String>,
    /// How many records of what is installed now could not be read.
    pub unreadable: u64,
    /// The first of them, each with its cause.
    pub unreadable_names: Vec<String>,
}

/// How an ecosystem changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Not at all.
    None,
    /// Single records.
    Records {
        /// New or changed.
        put: usize,
        /// Gone.
        removed: usize,
    },
    /// It was fetched whole.
    Whole,
}

/// Updates the snapshot in a directory, and installs what could be had by one rename. `now` is what the parts say of
/// when they were checked.
///
/// # Errors
/// [`Error`] where nothing could be begun or installed. What became of each ecosystem is in the answer.
pub fn update(
    directory: &Path,
    bucket: &Bucket,
    wanted: &Wanted,
    now: Timestamp,
    watch: &dyn Watch,
) -> Result<Vec<Updated>, Error> {
    for name in &wanted.named {
        check_name(name).map_err(|cause| Error::new(ErrorKind::Refused, directory, cause))?;
    }
    let patience = bucket.left().map_or(PATIENCE, |left| left.min(PATIENCE));
    let mut writer = Writer::begin(directory, patience, || watch.say(WAITING))?;
    let mut ecosystems: Vec<String> = writer.installed().snapshot().ecosystems.keys().cloned().collect();
    ecosystems.extend(wanted.named.iter().cloned());
    if wanted.all {
        ecosystems.extend(bucket.ecosystems()?);
    }
    ecosystems.sort();
    ecosystems.dedup();
    let compiling = Mutex::new(());
    let work = |ecosystem: &String| {
        let job = Job { bucket, writer: &writer, compiling: &compiling, now, watch, ecosystem };
        let done = job.run();
        watch.step(ecosystem, Step::Ended);
        done
    };
    let mut archives = Vec::new();
    let mut updated = Vec::new();
    for (ecosystem, done) in ecosystems.iter().zip(in_parallel(&ecosystems, work)) {
        let Done { outcome, notes, archive } = done;
        let mut unreadable = 0;
        let outcome = outcome.and_then(|(part, change)| {
            unreadable = part.unreadable;
            writer.put(ecosystem, part).map(|()| change)
        });
        // One that was refused is of no use to the next run either.
        let is_done = outcome.as_ref().map_or_else(|error| error.kind == ErrorKind::Refused, |_| true);
        archives.extend(archive.filter(|_| is_done));
        let unreadable_names = Vec::new();
        updated.push(Updated { ecosystem: ecosystem.clone(), outcome, notes, unreadable, unreadable_names });
    }
    if updated.iter().any(|updated| updated.outcome.is_ok()) {
        writer.commit()?;
    }
    archives.into_iter().for_each(Archive::discard);
    name_unreadable(directory, &mut updated)?;
    Ok(updated)
}

/// Names what could not be read of the ecosystems that were updated.
fn name_unreadable(directory: &Path, updated: &mut [Updated]) -> Result<(), Error> {
    updated.iter_mut().filter(|one| one.outcome.is_err()).for_each(|one| one.unreadable = 0);
    if updated.iter().all(|one| one.unreadable == 0) {
        return Ok(());
    }
    let installed = Installed::open(directory)?;
    for one in updated.iter_mut().filter(|one| one.unreadable > 0) {
        let Some(mapped) = installed.segment(&one.ecosystem)? else { continue };
        one.unreadable_names = open(mapped.bytes(), directory)?.meta().unreadable_names.clone();
    }
    Ok(())
}

/// What is said while another process holds the lock.
pub(super) const WAITING: &str = "another process is writing the advisory snapshot: waiting for it";

/// How long whoever has an image to judge waits for another process that writes: 30 seconds.
const HASTE: Duration = Duration::from_secs(30);

/// Fetches one ecosystem that is not installed, or that this portcullis cannot read. Another process may have been
/// first: then nothing is done.
///
/// # Errors
/// [`ErrorKind::NotFound`] where the bucket certainly has no such ecosystem; else what kept it from being installed.
pub(super) fn fetch(
    directory: &Path,
    bucket: &Bucket,
    ecosystem: &str,
    now: Timestamp,
    watch: &dyn Watch,
) -> Result<Vec<String>, Error> {
    check_name(ecosystem).map_err(|cause| Error::new(ErrorKind::NotFound, directory, cause))?;
    let patience = bucket.left().map_or(HASTE, |left| left.min(HASTE));
    let mut writer = Writer::begin(directory, patience, || watch.say(WAITING))?;
    if matches!(writer.installed().segment(ecosystem), Ok(Some(_))) {
        return Ok(Vec::new());
    }
    let compiling = Mutex::new(());
    let job = Job { bucket, writer: &writer, compiling: &compiling, now, watch, ecosystem };
    let done = job.run();
    watch.step(ecosystem, Step::Ended);
    let (part, _) = done.outcome?;
    writer.put(ecosystem, part)?;
    writer.commit()?;
    done.archive.into_iter().for_each(Archive::discard);
    Ok(done.notes)
}

fn in_parallel<T: Send>(items: &[String], work: impl Fn(&String) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(place) else { return };
                    let answer = work(item);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((place, answer));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, answer)| answer).collect()
}

/// The update of one ecosystem.
struct Job<'a> {
    bucket: &'a Bucket,
    writer: &'a Writer,
    /// Compiling an archive takes all cores and much memory: one at a time. A delta takes one core and little.
    compiling: &'a Mutex<()>,
    now: Timestamp,
    watch: &'a dyn Watch,
    ecosystem: &'a str,
}

struct Done {
    outcome: Result<(Part, Change), Error>,
    notes: Vec<String>,
    archive: Option<Archive>,
}

/// What the list says, compared with what is there.
enum Listed {
    /// It is still the list that was consulted last.
    Same,
    /// Another one, and its `ETag`.
    New(List, Option<String>),
    /// The bucket has none: a mirror of archives alone.
    Missing,
}

/// What a list says of a segment.
#[derive(Debug, Default, PartialEq, Eq)]
struct Delta {
    /// Listed, and not there.
    unknown: Vec<String>,
    /// Listed with a newer change than that of the version that is there.
    newer: Vec<String>,
    /// There, and not listed.
    gone: Vec<String>,
    /// There, not listed, and changed after everything that is listed: the list is behind.
    ahead: usize,
    /// How many records are there.
    known: usize,
    /// How many are listed.
    listed: usize,
}

impl Delta {
    fn of(segment: &Segment<'_>, list: &List) -> Result<Self, Damaged> {
        let mut delta = Self { listed: list.records.len(), ..Self::default() };
        let mut known = BTreeMap::new();
        for record in segment.records() {
            let record = record?;
            delta.known += 1;
            known.insert(record.id, record.modified);
            if !list.records.contains_key(record.id) {
                // A list out of a cache says nothing of what came after it.
                if record.modified > list.newest {
                    delta.ahead += 1;
                } else {
                    delta.gone.push(record.id.to_owned());
                }
            }
        }
        for unreadable in segment.unreadable() {
            let (name, _) = unreadable?;
            let id = name.strip_suffix(".json").filter(|id| !list.records.contains_key(*id));
            delta.gone.extend(id.map(str::to_owned));
        }
        for (id, listed) in &list.records {
            match known.get(id.as_str()) {
                // A record that could not be read is none that is there.
                None => delta.unknown.push(id.clone()),
                Some(modified) if is_newer(*listed, *modified) => delta.newer.push(id.clone()),
                Some(_) => {}
            }
        }
        Ok(delta)
    }

    /// Whether single requests are cheaper than the archive.
    fn is_small(&self) -> bool {
        let changed = self.unknown.len() + self.newer.len() + self.gone.len();
        changed <= FEW.max(self.known / FIFTIETH)
    }
}

impl Job<'_> {
    fn run(&self) -> Done {
        let mut notes = Vec::new();
        let mut archive = None;
        let outcome = self.outcome(&mut notes, &mut archive);
        Done { outcome, notes, archive }
    }

    fn outcome(
        &self,
        notes: &mut Vec<String>,
        archive: &mut Option<Archive>,
    ) -> Result<(Part, Change), Error> {
        let installed = self.writer.installed();
        let part = installed.snapshot().ecosystems.get(self.ecosystem);
        let old = installed.segment(self.ecosystem).unwrap_or_else(|error| {
            notes.push(format!("{error}; it is fetched anew"));
            None
        });
        // Tags of another source say nothing of this one.
        let origin = part.and_then(|part| part.origin.as_ref());
        let origin = origin.filter(|origin| origin.source == self.bucket.url());
        let (Some(part), Some(old)) = (part, &old) else { return self.whole(None, None, notes, archive) };
        let known = origin.and_then(|origin| origin.etag.as_deref());
        let (list, list_etag) = match self.list(origin.and_then(|origin| origin.list_etag.as_deref()))? {
            Listed::Same => return Ok((self.checked(part, origin), Change::None)),
            Listed::Missing => return self.whole(Some((part, old.bytes())), known, notes, archive),
            Listed::New(list, etag) => (list, etag),
        };
        let segment = open(old.bytes(), self.writer.directory())?;
        let delta = Delta::of(&segment, &list).map_err(|error| self.damaged(error))?;
        self.check_size(&delta)?;
        if !delta.is_small() {
            return self.whole(Some((part, old.bytes())), known, notes, archive);
        }
        let origin = Origin { etag: known.map(str::to_owned), ..self.origin() };
        let fetched = [delta.unknown.as_slice(), &delta.newer].concat();
        let (put, removed) = (fetched.len(), delta.gone.len());
        let (bytes, stale) = self.apply(&segment, &list, &fetched, &delta.gone)?;
        let is_settled = self.note_rest(&Delta { ahead: delta.ahead, ..Delta::default() }, stale, notes);
        let origin = Origin { list_etag: list_etag.filter(|_| is_settled), ..origin };
        let part = match bytes {
            Some(bytes) => self.writer.stage(self.ecosystem, &bytes, origin)?,
            None => Part { origin: Some(origin), ..part.clone() },
        };
        let change = if put + removed == 0 { Change::None } else { Change::Records { put, removed } };
        Ok((part, change))
    }

    /// Fetches the archive, where it is another one than that of `old`, and makes up by the list for what it lacks.
    fn whole(
        &self,
        old: Option<(&Part, &[u8])>,
        known: Option<&str>,
        notes: &mut Vec<String>,
        archive: &mut Option<Archive>,
    ) -> Result<(Part, Change), Error> {
        let known = known.filter(|_| old.is_some());
        let fetched = self.bucket.archive(self.ecosystem, known, self.writer.directory(), self.watch);
        let fetched = fetched.map_err(|error| match error.kind {
            ErrorKind::NotFound => {
                let message = "the bucket has no such object, and `ecosystems.txt` there says what it has";
                Error { message: message.into(), ..error }
            }
            ErrorKind::NotASnapshot
            | ErrorKind::Damaged
            | ErrorKind::Newer
            | ErrorKind::Outdated
            | ErrorKind::Network
            | ErrorKind::Refused
            | ErrorKind::TooLarge
            | ErrorKind::Io => error,
        })?;
        let etag = fetched.as_ref().map_or(known.map(str::to_owned), |archive| archive.etag.clone());
        let compiled = match &fetched {
            Some(archive) => {
                let _turn = self.compiling.lock().unwrap_or_else(PoisonError::into_inner);
                self.watch.step(self.ecosystem, Step::Compiling);
                Some(compile::compile(self.ecosystem, &Source::Zip(archive.path.clone()), self.now)?)
            }
            None => None,
        };
        *archive = fetched;
        let base: &[u8] = match (&compiled, old) {
            (Some(bytes), _) => bytes,
            (None, Some((_, bytes))) => bytes,
            (None, None) => {
                let message = "the bucket says that an archive is unchanged which was never fetched";
                return Err(Error::at_url(&self.bucket.list_url(self.ecosystem), message));
            }
        };
        let segment = open(base, self.writer.directory())?;
        let mut origin = Origin { etag, ..self.origin() };
        let mut updated = None;
        match self.list(None)? {
            Listed::Same | Listed::Missing => notes.push("the bucket has no list of its records".into()),
            Listed::New(list, list_etag) => {
                let mut delta = Delta::of(&segment, &list).map_err(|error| self.damaged(error))?;
                self.check_size(&delta)?;
                let most = FEW.max(delta.known / FIFTIETH);
                // The archive is made less often than the list: a few records are missing, never many.
                if delta.unknown.len() > most {
                    let message = format!(
                        "the archive lacks {} of the {} records that are listed: try again later",
                        delta.unknown.len(),
                        delta.listed
                    );
                    return Err(Error::at_url(&self.bucket.list_url(self.ecosystem), message));
                }
                let mut fetched = std::mem::take(&mut delta.unknown);
                if delta.newer.len() <= most {
                    fetched.append(&mut delta.newer);
                }
                // Nothing is removed here: either of the two may be the older one, and the next list will tell.
                let stale;
                (updated, stale) = self.apply(&segment, &list, &fetched, &[])?;
                let is_settled = self.note_rest(&delta, stale, notes);
                origin.list_etag = list_etag.filter(|_| is_settled);
            }
        }
        let part = match (updated.or(compiled), old) {
            (Some(bytes), _) => self.writer.stage(self.ecosystem, &bytes, origin)?,
            (None, Some((part, _))) => Part { origin: Some(origin), ..part.clone() },
            (None, None) => {
                return Err(Error::new(ErrorKind::Io, self.writer.directory(), "nothing to install"));
            }
        };
        Ok((part, Change::Whole))
    }

    /// Says what the list and the records disagree on; whether it was nothing. Where it was something, the list is
    /// read again the next time, changed or not.
    fn note_rest(&self, rest: &Delta, stale: usize, notes: &mut Vec<String>) -> bool {
        let behind = rest.newer.len() + stale;
        if behind > 0 {
            notes.push(format!("{behind} records are older than the list says: the next update asks again"));
        }
        if !rest.gone.is_empty() {
            let gone = rest.gone.len();
            notes.push(format!("{gone} records are not listed, and are kept until the next update"));
        }
        behind == 0 && rest.gone.is_empty() && rest.ahead == 0
    }

    /// The segment with records fetched and others removed; none where there is nothing to change. And how many of
    /// those that came are older than their list says.
    fn apply(
        &self,
        segment: &Segment<'_>,
        list: &List,
        fetched: &[String],
        removed: &[String],
    ) -> Result<(Option<Vec<u8>>, usize), Error> {
        if fetched.is_empty() && removed.is_empty() {
            return Ok((None, 0));
        }
        let ecosystem = self.ecosystem.to_owned();
        let now = self.now;
        let read = move |id: &str, bytes: &[u8]| (id.to_owned(), compile::record(&ecosystem, bytes, now));
        let of = fetched.len();
        let done = |done| self.watch.step(self.ecosystem, Step::Records { done, of });
        let records = self.bucket.records(self.ecosystem, fetched, read, done).map_err(|failures| {
            let names: Vec<String> = failures.iter().map(ToString::to_string).collect();
            let message = format!(
                "{} of {of} changed records could not be fetched, and none is taken:\n{}",
                failures.len(),
                names.join("\n")
            );
            Error::at_url(&self.bucket.list_url(self.ecosystem), message)
        })?;
        self.watch.step(self.ecosystem, Step::Compiling);
        let mut builder = Builder::from_segment(segment).map_err(|error| self.damaged(error))?;
        let mut known = BTreeMap::new();
        for record in segment.records() {
            let record = record.map_err(|error| self.damaged(error))?;
            known.insert(record.id, record.modified);
        }
        let mut stale = 0;
        for (id, record) in records {
            if let Ok(record) = &record {
                // Attack, or a cache in between: an older version, which lacks what the newer one says.
                let is_older = record.id() == id
                    && known.get(id.as_str()).is_some_and(|known| record.modified() < *known);
                let listed = list.records.get(&id);
                let is_behind = listed.is_some_and(|listed| is_newer(*listed, record.modified()));
                stale += usize::from(is_older || is_behind);
                if is_older {
                    continue;
                }
            }
            builder.put(&format!("{id}.json"), record);
        }
        for id in removed {
            builder.remove(id);
        }
        let bytes = builder
            .finish()
            .map_err(|error| Error::new(ErrorKind::TooLarge, self.writer.directory(), error.to_string()))?;
        Ok((Some(bytes), stale))
    }

    /// The list of the bucket, asked for again where it came cut.
    fn list(&self, etag: Option<&str>) -> Result<Listed, Error> {
        let mut budget = Budget::new(self.bucket.inner.retry);
        loop {
            let Fetched { bytes, etag } = match self.bucket.list(self.ecosystem, etag) {
                Ok(Some(fetched)) => fetched,
                Ok(None) => return Ok(Listed::Same),
                Err(error) if error.kind == ErrorKind::NotFound => return Ok(Listed::Missing),
                Err(error) => return Err(error),
            };
            let cause = match List::parse(&bytes) {
                Ok(list) => return Ok(Listed::New(list, etag)),
                Err(cause) => cause,
            };
            let failed = Failed::temporary(&self.bucket.list_url(self.ecosystem), cause);
            match failed.wait(&mut budget) {
                Some(wait) => std::thread::sleep(wait),
                None => return Err(failed.error),
            }
        }
    }

    /// Refuses a list that has lost most of what was there. Attack, or a bucket that is being filled anew: an empty
    /// list, after which no advisory would be left.
    fn check_size(&self, delta: &Delta) -> Result<(), Error> {
        if delta.listed.saturating_mul(2) >= delta.known {
            return Ok(());
        }
        let message = format!(
            "lists {} records where there are {}: it is not believed that so many were deleted; try again later",
            delta.listed, delta.known
        );
        Err(Error {
            kind: ErrorKind::Refused,
            ..Error::at_url(&self.bucket.list_url(self.ecosystem), message)
        })
    }

    fn damaged(&self, error: Damaged) -> Error {
        let message = format!("{}: {error}", self.ecosystem);
        Error::new(ErrorKind::Damaged, self.writer.directory(), message)
    }

    /// The same part, compared with its source now.
    fn checked(&self, part: &Part, origin: Option<&Origin>) -> Part {
        let origin = origin.map(|origin| Origin { checked: self.now, ..origin.clone() });
        Part { origin: Some(origin.unwrap_or_else(|| self.origin())), ..part.clone() }
    }

    fn origin(&self) -> Origin {
        Origin { source: self.bucket.url(), checked: self.now, etag: None, list_etag: None }
    }
}
