//! Compiling the records of an ecosystem into a segment, on all cores: parsing dominates.

use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use jiff::{SignedDuration, Timestamp};
use zip::ZipArchive;

use crate::model::path::escape;
use crate::osv::segment::build::{Builder, Compiled};

use super::files::open_regular;
use super::source::{MAX_RECORDS, Source};
use super::{Error, ErrorKind};

/// Bytes of one record: 16 MiB (design §7, JSON metadata); the largest real ones have a few.
const MAX_RECORD: u64 = 16 << 20;

/// Bytes of all records of a zip: 16 GiB; those of the whole bucket have a third of it.
const MAX_UNPACKED: u64 = 16 << 30;

/// How many bytes of records one byte of a zip may stand for, beyond [`UNPACKED`]: 50. Real archives have up to 16.
const RATIO: u64 = 50;

/// Bytes that any zip may unpack to: 64 MiB.
const UNPACKED: u64 = 64 << 20;

/// Records that were read and wait to be taken: 32. One of the largest takes some ten megabytes.
const READ_AHEAD: usize = 32;

/// How far a clock may be behind that of whoever withdrew a record: a day.
const CLOCKS: SignedDuration = SignedDuration::from_hours(24);

/// One file's name and what it says.
type Parsed = (String, Result<Compiled, String>);

/// The segment of an ecosystem. A record that cannot be read is counted in it and named, and its
/// ecosystem is then not wholly known; a source that cannot be read at all is an error.
pub(super) fn compile(ecosystem: &str, source: &Source, now: Timestamp) -> Result<Vec<u8>, Error> {
    let mut builder = Builder::new(ecosystem);
    let mut add = |(name, record): Parsed| builder.add(&name, record);
    let at = match source {
        Source::Zip(zip) => {
            let read = |name, bytes: Result<Vec<u8>, String>| {
                (name, bytes.and_then(|bytes| record(ecosystem, &bytes, now)))
            };
            read_zip(zip, read, &mut add)?;
            zip
        }
        Source::Files(directory, files) => {
            from_files(ecosystem, files, now, &mut add);
            directory
        }
    };
    builder.finish().map_err(|error| Error::new(ErrorKind::TooLarge, at, error.to_string()))
}

/// One record, as it is known at a time.
///
/// # Errors
/// Why it is none, or not to be believed.
pub(super) fn record(ecosystem: &str, bytes: &[u8], now: Timestamp) -> Result<Compiled, String> {
    let record = Compiled::read(ecosystem, bytes)?;
    // Attack, or a slip: an advisory that counts as taken back before it is.
    let is_to_come = |time: Timestamp| time.duration_since(now) > CLOCKS;
    match record.withdrawn() {
        Some(time) if is_to_come(time) => Err("its `withdrawn` is still to come".into()),
        Some(_) | None => Ok(record),
    }
}

fn from_files(ecosystem: &str, files: &[PathBuf], now: Timestamp, take: &mut dyn FnMut(Parsed)) {
    let read = |path: &PathBuf| {
        let name = escape(path.file_name().unwrap_or_default().as_encoded_bytes());
        let bytes = bytes_of(|| open_regular(path));
        (name, bytes.and_then(|bytes| record(ecosystem, &bytes, now)))
    };
    in_parallel(files.len(), || |index: usize| files.get(index).map(read), take);
}

/// Reads every record of a zip, on all cores. `read` is given each member's name, and its bytes or why there are none;
/// its answers are given to `take` as they come, in no order.
pub(super) fn read_zip<T: Send>(
    path: &Path,
    read: impl Fn(String, Result<Vec<u8>, String>) -> T + Sync,
    take: &mut dyn FnMut(T),
) -> Result<(), Error> {
    let unreadable = |cause: String| Error::new(ErrorKind::NotASnapshot, path, cause);
    let open = || {
        let file = open_regular(path).map_err(|error| Error::io(path, &error))?;
        ZipArchive::new(BufReader::new(file))
            .map_err(|error| unreadable(format!("cannot be read as a zip: {error}")))
    };
    let first = open()?;
    if first.len() > MAX_RECORDS {
        return Err(unreadable(format!("more than the limit of {MAX_RECORDS} records")));
    }
    let count = first.len();
    // Attack: two members of one name, of which the library keeps one and another reader the other.
    let listed = listed_members(path, first.central_directory_start())?;
    if listed != count {
        return Err(unreadable(format!("its directory lists {listed} members, under {count} names")));
    }
    drop(first);
    let packed = path.metadata().map_err(|error| Error::io(path, &error))?.len();
    let limit = MAX_UNPACKED.min(packed.saturating_mul(RATIO).saturating_add(UNPACKED));
    let unpacked = AtomicU64::new(0);
    let member = || {
        // Each thread reads the file on its own: an archive has one position.
        let mut archive = open();
        let read = &read;
        let unpacked = &unpacked;
        move |index: usize| {
            // Attack: a zip of kilobytes that unpacks to gigabytes.
            if unpacked.load(Ordering::Relaxed) > limit {
                return None;
            }
            let name = archive.as_ref().ok().and_then(|archive| name_of(archive, index));
            let entry = match &mut archive {
                Ok(archive) => archive.by_index(index).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match entry {
                Ok(entry) if entry.is_dir() && entry.size() == 0 => None,
                Ok(entry) => {
                    // The bucket's zips hold records and nothing else: what is named otherwise is one that
                    // nobody would read.
                    let name = escape(entry.name_raw());
                    let is_record = entry.is_file() && name.ends_with(".json");
                    let bytes =
                        if is_record { bytes_of(|| Ok(entry)) } else { Err("is no JSON file".into()) };
                    let length = bytes.as_ref().map_or(MAX_RECORD, |bytes| bytes.len() as u64);
                    unpacked.fetch_add(if is_record { length } else { 0 }, Ordering::Relaxed);
                    Some(read(name, bytes))
                }
                Err(cause) => {
                    let name = name.unwrap_or_else(|| format!("entry {index}"));
                    Some(read(name, Err(format!("cannot be read from the zip: {cause}"))))
                }
            }
        }
    };
    in_parallel(count, member, take);
    if unpacked.into_inner() > limit {
        let message =
            format!("its records have more than the limit of {limit} bytes for {packed} bytes of zip");
        return Err(Error::new(ErrorKind::TooLarge, path, message));
    }
    Ok(())
}

/// The name of a member as the directory of the zip has it, also where the member itself cannot be read.
fn name_of<R: Read + std::io::Seek>(archive: &ZipArchive<R>, index: usize) -> Option<String> {
    archive.name_for_index(index)?.ok().map(|name| escape(name.as_bytes()))
}

/// How many members the central directory of a zip lists (APPNOTE.TXT, 4.3.12).
fn listed_members(path: &Path, start: u64) -> Result<usize, Error> {
    const HEADER: usize = 46;
    let failed = |error: std::io::Error| Error::io(path, &error);
    let mut file = BufReader::new(open_regular(path).map_err(failed)?);
    file.seek(SeekFrom::Start(start)).map_err(failed)?;
    for count in 0..=MAX_RECORDS {
        let mut header = [0; HEADER];
        let whole = file.read_exact(&mut header).is_ok() && header.starts_with(b"PK\x01\x02");
        let length = |at: usize| match header.get(at..at + 2) {
            Some([low, high]) => i64::from(u16::from_le_bytes([*low, *high])),
            _ => 0,
        };
        if !whole {
            return Ok(count);
        }
        file.seek_relative(length(28) + length(30) + length(32)).map_err(failed)?;
    }
    Ok(MAX_RECORDS + 1)
}

/// The bytes of one record.
fn bytes_of<R: Read>(open: impl FnOnce() -> std::io::Result<R>) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    match open().and_then(|reader| reader.take(MAX_RECORD + 1).read_to_end(&mut bytes)) {
        Err(error) => Err(error.to_string()),
        Ok(_) if bytes.len() as u64 > MAX_RECORD => Err(format!("more than the limit of {MAX_RECORD} bytes")),
        Ok(_) => Ok(bytes),
    }
}

/// Runs `0..count` over all cores; each thread makes a worker of its own. Answers are taken as they come, in no order.
fn in_parallel<T: Send, W: FnMut(usize) -> Option<T>>(
    count: usize,
    worker: impl Fn() -> W + Sync,
    take: &mut dyn FnMut(T),
) {
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(count.max(1));
    let (sender, receiver) = mpsc::sync_channel(READ_AHEAD);
    let run = |sender: mpsc::SyncSender<T>| {
        let mut work = worker();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return;
            }
            // Nobody takes any more where whoever did has panicked.
            if work(index).is_some_and(|done| sender.send(done).is_err()) {
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            let sender = sender.clone();
            scope.spawn(|| run(sender));
        }
        drop(sender);
        receiver.into_iter().for_each(take);
    });
}
