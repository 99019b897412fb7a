//! Compiling the records of an ecosystem into a segment, on all cores: parsing dominates.

use std::fs::File;
use std::io::{BufReader, Read};
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
    drop(first);
    Ok(in_parallel(count, || {
        // Each thread reads the file on its own: an archive has one position.
        let mut archive = open();
        move |index: usize| {
            let entry = match &mut archive {
                Ok(archive) => archive.by_index(index).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match entry {
                Ok(entry) if !entry.is_file() => None,
                Ok(entry) => {
                    let name = escape(entry.name_raw());
                    name.ends_with(".json").then(|| read(ecosystem, name, || Ok(entry)))
                }
                Err(cause) => {
                    let cause = Err(format!("cannot be read from the zip: {cause}"));
                    Some((format!("entry {index}"), cause))
                }
            }
        }
    }))
}

/// Reads one record.
fn read<R: Read>(ecosystem: &str, name: String, open: impl FnOnce() -> std::io::Result<R>) -> Parsed {
    let mut bytes = Vec::new();
    let result = open().and_then(|reader| reader.take(MAX_RECORD + 1).read_to_end(&mut bytes));
    let record = match result {
        Err(error) => Err(error.to_string()),
        Ok(_) if bytes.len() as u64 > MAX_RECORD => Err(format!("more than the limit of {MAX_RECORD} bytes")),
        Ok(_) => Compiled::read(ecosystem, &bytes),
    };
    (name, record)
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
