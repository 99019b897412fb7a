//! The archive of an ecosystem, fetched into a file that a later run goes on with.

use std::fs::{self, File};
use std::io::{BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use reqwest::StatusCode;
use reqwest::Url;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, IF_NONE_MATCH, IF_RANGE, RANGE};
use zip::ZipArchive;

use crate::net::{self, Budget};

use super::bucket::{Bucket, Failed, Inner, etag_of, header, insert};
use super::files::open_regular;
use super::update::{Step, Watch};
use super::{Error, ErrorKind};

/// Bytes of an archive: 8 GiB; the largest has a third of one.
const MAX_ARCHIVE: u64 = 8 << 30;

/// Bytes after which an attempt counts as progress, and the next one has the whole patience again: 1 MiB. Whoever cuts
/// more often is asked no longer than one who sends nothing.
const PROGRESS: u64 = 1 << 20;

/// How often a download is taken up again in one run, however far it came between: 64. Whoever cuts more often sends
/// a byte a connection.
const RESUMES: u32 = 64;

/// Bytes of the file with its `ETag`: 1 KiB.
const MAX_TAG: u64 = 1 << 10;

/// An archive as it came, or a part of it. It has two files: the bytes, and the `ETag` that they had. The second is
/// removed before the first is begun anew, so that the bytes of one version are never taken for those of another.
#[derive(Debug)]
pub(super) struct Partial {
    bytes: PathBuf,
    tag: PathBuf,
}

/// An archive that is whole.
#[derive(Debug)]
pub(super) struct Archive {
    pub(super) path: PathBuf,
    pub(super) etag: Option<String>,
    partial: Partial,
}

impl Archive {
    /// Removes the file.
    pub(super) fn discard(self) {
        self.partial.discard();
    }
}

impl Partial {
    pub(super) fn new(directory: &Path, ecosystem: &str) -> Self {
        Self {
            bytes: directory.join(format!(".download-{ecosystem}.zip")),
            tag: directory.join(format!(".download-{ecosystem}.etag")),
        }
    }

    /// What is there of it: how many bytes, and of which version.
    fn state(&self) -> Option<(u64, String)> {
        let mut etag = String::new();
        open_regular(&self.tag).ok()?.take(MAX_TAG).read_to_string(&mut etag).ok()?;
        let length = fs::metadata(&self.bytes).ok()?.len();
        (length > 0 && is_strong(&etag)).then_some((length, etag))
    }

    fn discard(&self) {
        // What is not there need not go; what cannot go is not resumed once its tag is gone.
        let _ = fs::remove_file(&self.tag);
        let _ = fs::remove_file(&self.bytes);
    }

    /// An empty file for a version.
    fn begin(&self, etag: Option<&str>) -> std::io::Result<File> {
        self.discard();
        let file = File::create(&self.bytes)?;
        if let Some(etag) = etag.filter(|etag| is_strong(etag)) {
            fs::write(&self.tag, etag)?;
        }
        Ok(file)
    }

    fn go_on(&self, from: u64) -> std::io::Result<File> {
        let mut file = File::options().write(true).open(&self.bytes)?;
        file.set_len(from)?;
        file.seek(SeekFrom::Start(from))?;
        Ok(file)
    }
}

/// Whether a tag promises the same bytes (RFC 9110 §13.1.5).
fn is_strong(etag: &str) -> bool {
    etag.starts_with('"')
}

/// A download in the works.
struct Download<'a> {
    inner: &'a Inner,
    url: Url,
    ecosystem: &'a str,
    /// The version that is installed.
    known: Option<&'a str>,
    partial: Partial,
    watch: &'a dyn Watch,
    /// How many bytes the last attempt brought.
    progress: u64,
}

/// What an attempt ended with.
enum Ended {
    /// It is still the version that is installed.
    Unmodified,
    /// All of it is here.
    Whole(Option<String>),
}

impl Bucket {
    /// Fetches `all.zip` of an ecosystem into `directory`; none where it still has the `ETag` that is `known`. Where
    /// an earlier run was interrupted, it goes on from there.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the bucket has none; whatever kept it from being whole. What has come stays for
    /// the next run.
    pub(super) fn archive(
        &self,
        ecosystem: &str,
        known: Option<&str>,
        directory: &Path,
        watch: &dyn Watch,
    ) -> Result<Option<Archive>, Error> {
        let mut download = Download {
            inner: &self.inner,
            url: self.inner.object(&[ecosystem, "all.zip"]),
            ecosystem,
            known,
            partial: Partial::new(directory, ecosystem),
            watch,
            progress: 0,
        };
        let ended = self.run(async { download.run().await })?;
        Ok(match ended {
            Ended::Unmodified => None,
            Ended::Whole(etag) => {
                let partial = download.partial;
                Some(Archive { path: partial.bytes.clone(), etag, partial })
            }
        })
    }
}

impl Download<'_> {
    async fn run(&mut self) -> Result<Ended, Error> {
        let mut budget = Budget::new(self.inner.retry);
        let mut resumes = 0;
        loop {
            self.progress = 0;
            let failed = match self.attempt().await {
                Ok(ended) => return Ok(ended),
                Err(failed) => failed,
            };
            resumes += 1;
            if self.progress >= PROGRESS {
                budget = Budget::new(self.inner.retry);
            }
            // Attack: a connection that breaks after every MiB.
            if resumes > RESUMES {
                let message =
                    format!("interrupted more than {RESUMES} times, the last time: {}", failed.error.message);
                return Err(Error { message, ..failed.error });
            }
            match failed.wait(&mut budget) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(failed.error),
            }
        }
    }

    async fn attempt(&mut self) -> Result<Ended, Failed> {
        let state = self.partial.state();
        let mut headers = HeaderMap::new();
        if let Some(known) = self.known {
            insert(&mut headers, IF_NONE_MATCH, known, &self.url)?;
        }
        if let Some((length, etag)) = &state {
            insert(&mut headers, RANGE, &format!("bytes={length}-"), &self.url)?;
            insert(&mut headers, IF_RANGE, etag, &self.url)?;
        }
        let response = self.inner.ask(&self.url, headers).await?;
        let (have, total, etag) = match (response.status(), state) {
            (StatusCode::NOT_MODIFIED, _) => {
                self.partial.discard();
                return Ok(Ended::Unmodified);
            }
            (StatusCode::PARTIAL_CONTENT, Some((have, etag))) => {
                let (first, total) = self.range(&response)?;
                // Attack, or a cache in between: bytes of another place or version than were asked for.
                let same = header(&response, ETAG).is_none_or(|now| now == etag);
                if first != have || !same {
                    self.partial.discard();
                    return Err(Failed::temporary(
                        &self.url,
                        "another part of the archive came than was asked for",
                    ));
                }
                (have, Some(total), Some(etag))
            }
            (StatusCode::OK, _) => (0, net::length(response.headers()), etag_of(&response)),
            // What is here is longer than what is there.
            _ => {
                self.partial.discard();
                return Err(Failed::temporary(&self.url, "the archive changed while it was fetched"));
            }
        };
        let too_large =
            || Failed::lasting(&self.url, format!("is larger than the limit of {MAX_ARCHIVE} bytes"));
        if total.is_some_and(|total| total > MAX_ARCHIVE) {
            return Err(too_large());
        }
        let disk = |error: std::io::Error| {
            let failed = Failed::lasting(&self.url, "");
            Failed { error: Error::new(ErrorKind::Io, &self.partial.bytes, error.to_string()), ..failed }
        };
        let file = if have > 0 { self.partial.go_on(have) } else { self.partial.begin(etag.as_deref()) };
        let mut file = file.map_err(disk)?;
        let url = self.url.clone();
        let mut body = self.inner.client.body(response);
        let mut received = have;
        while let Some(piece) = body.next().await.map_err(|failed| Failed::at(&url, failed))? {
            received += piece.len() as u64;
            if received > total.unwrap_or(MAX_ARCHIVE) {
                self.partial.discard();
                return Err(too_large());
            }
            file.write_all(&piece).map_err(disk)?;
            self.progress += piece.len() as u64;
            self.watch.step(self.ecosystem, Step::Archive { bytes: received, of: total });
        }
        if let Some(total) = total.filter(|total| received != *total) {
            let message = format!("the connection ended after {received} of {total} bytes");
            return Err(Failed::temporary(&self.url, message));
        }
        drop(file);
        // Attack, or a proxy: an archive without its end, with a length that fits.
        if let Err(cause) = readable(&self.partial.bytes) {
            self.partial.discard();
            self.progress = 0;
            return Err(Failed::temporary(&self.url, format!("no whole archive came: {cause}")));
        }
        Ok(Ended::Whole(etag))
    }

    /// First byte and length of the whole (RFC 9110 §14.4).
    fn range(&self, response: &reqwest::Response) -> Result<(u64, u64), Failed> {
        let text = header(response, CONTENT_RANGE).unwrap_or_default();
        let read = || {
            let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
            let (first, last) = range.split_once('-')?;
            let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
            let total: u64 = total.parse().ok()?;
            (last.checked_add(1) == Some(total)).then_some((first, total))
        };
        read().ok_or_else(|| {
            self.partial.discard();
            Failed::temporary(&self.url, "a part of the archive came without saying which")
        })
    }
}

/// Whether a file has the directory of a zip archive.
fn readable(path: &Path) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    ZipArchive::new(BufReader::new(file)).map(|_| ()).map_err(|error| error.to_string())
}
