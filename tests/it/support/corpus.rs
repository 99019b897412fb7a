//! The records of the corpus, and all cores to work on them.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Every ecosystem of a snapshot with its archive, sorted.
pub fn archives(corpus: &Path) -> Vec<(String, PathBuf)> {
    let folders = corpus.read_dir().unwrap().map(|folder| folder.unwrap());
    let mut archives: Vec<_> = folders
        .map(|folder| (folder.file_name().into_string().unwrap(), folder.path().join("all.zip")))
        .filter(|(_, archive)| archive.is_file())
        .collect();
    archives.sort();
    archives
}

/// The files of an archive.
pub fn records(archive: &Path) -> Vec<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(File::open(archive).unwrap()).unwrap();
    let count = archive.len();
    let read = |index| {
        let mut bytes = Vec::new();
        archive.by_index(index).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    (0..count).map(read).collect()
}

/// What `work` makes of the items, on all cores, in the order of the items.
pub fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let turn = || {
        let mut mine = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(place) else { break };
            mine.push((place, work(item)));
        }
        results.lock().unwrap().extend(mine);
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().unwrap().get() {
            scope.spawn(turn);
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}
