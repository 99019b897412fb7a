//! Compiling the records of an ecosystem into a segment, on all cores: parsing dominates.

use std::fs::File;
use std::io::{BufReader, Read, Seek as _, SeekFrom};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use zip::ZipArchive;

use crate::model::path::escape;
use crate::osv::segment::build::{Builder, Compiled};

use super::source::{MAX_RECORDS, Source};
use super::{Error, ErrorKind};

/// Bytes of one record: 16 MiB (design §7, JSON metadata); the largest real ones have a few.
const MAX_RECORD: u64 = 16 << 20;

/// One file's name and what it says.
type Parsed = (String, Result<Compiled, String>);

/// The segment of an ecosystem. A record that cannot be read is counted in it and named, and its
/// ecosystem is then not wholly known; a source that cannot be read at all is an error.
pub(super) fn compile(ecosystem: &str, source: &Source) -> Result<Vec<u8>, Error> {
    let (at, records) = match source {
        Source::Zip(zip) => (zip, from_zip(ecosystem, zip)?),
        Source::Files(directory, files) => (directory, from_files(ecosystem, files)),
    };
    let mut builder = Builder::new(ecosystem);
    for (name, record) in records {
        builder.add(&name, record);
    }
    builder.finish().map_err(|error| Error::new(ErrorKind::TooLarge, at, error.to_string()))
}

fn from_files(ecosystem: &str, files: &[PathBuf]) -> Vec<Parsed> {
    in_parallel(files.len(), || {
        |index: usize| {
            let path = files.get(index)?;
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            Some(read(ecosystem, escape(name), || File::open(path)))
        }
    })
}

fn from_zip(ecosystem: &str, path: &Path) -> Result<Vec<Parsed>, Error> {
    read_zip(path, |name, bytes| (name, bytes.and_then(|bytes| Compiled::read(ecosystem, &bytes))))
}

/// Reads every record of a zip, on all cores; the answers are in no order. `read` is given each member's name, and its
/// bytes or why there are none.
pub(super) fn read_zip<T: Send>(
    path: &Path,
    read: impl Fn(String, Result<Vec<u8>, String>) -> T + Sync,
) -> Result<Vec<T>, Error> {
    let unreadable = |cause: String| Error::new(ErrorKind::NotASnapshot, path, cause);
    let open = || {
        let file = File::open(path).map_err(|error| Error::io(path, &error))?;
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
    Ok(in_parallel(count, || {
        // Each thread reads the file on its own: an archive has one position.
        let mut archive = open();
        let read = &read;
        move |index: usize| {
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
                    Some(read(name, bytes))
                }
                Err(cause) => {
                    Some(read(format!("entry {index}"), Err(format!("cannot be read from the zip: {cause}"))))
                }
            }
        }
    }))
}

/// How many members the central directory of a zip lists (APPNOTE.TXT, 4.3.12).
fn listed_members(path: &Path, start: u64) -> Result<usize, Error> {
    const HEADER: usize = 46;
    let failed = |error: std::io::Error| Error::io(path, &error);
    let mut file = BufReader::new(File::open(path).map_err(failed)?);
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

/// Reads one record.
fn read<R: Read>(ecosystem: &str, name: String, open: impl FnOnce() -> std::io::Result<R>) -> Parsed {
    (name, bytes_of(open).and_then(|bytes| Compiled::read(ecosystem, &bytes)))
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

/// Runs `0..count` over all cores; each thread makes a worker of its own. Answers in no order.
fn in_parallel<T: Send, W: FnMut(usize) -> Option<T>>(count: usize, worker: impl Fn() -> W + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(count.max(1));
    thread::scope(|scope| {
        let run = || {
            let mut work = worker();
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return done;
                }
                done.extend(work(index));
            }
        };
        let handles: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        handles
            .into_iter()
            .flat_map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
