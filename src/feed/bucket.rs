//! The public OSV bucket, or a mirror of it: one request at a time, asked again where that may help.
//!
//! What is asked for is a handful of objects below one base URL. No redirect is followed and no credential is sent,
//! so that nothing an answer says leads anywhere else.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use reqwest::{Response, StatusCode, Url};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::model::path::escape;
use crate::net::{self, Budget, Client, Proxies, Retry, Times};

use super::{Error, ErrorKind};

/// The public bucket of osv.dev.
pub const PUBLIC_BUCKET: &str = "https://osv-vulnerabilities.storage.googleapis.com";

/// Bytes of `ecosystems.txt`: 1 MiB; it has some forty lines.
const MAX_NAMES: u64 = 1 << 20;

/// Bytes of a `modified_id.csv`: 256 MiB, four million lines; all of OSV has under a million.
const MAX_LIST: u64 = 256 << 20;

/// Bytes of one record: 16 MiB (design §7, JSON metadata); the largest real ones have a few.
const MAX_RECORD: u64 = 16 << 20;

/// Bytes of the records of one update together: 1 GiB. A delta of two hundredths of the largest ecosystem has 20 MB.
const MAX_RECORDS: u64 = 1 << 30;

/// Bytes of an `ETag`: 256; real ones have forty. A longer one is as good as none.
const MAX_ETAG: usize = 256;

/// Requests for single records in flight: 32.
const IN_FLIGHT: usize = 32;

/// Records that failed and are named; beyond them the rest is not asked for.
const FAILURES: usize = 20;

/// Threads of the runtime: they move bytes, end TLS and parse records.
const THREADS: usize = 2;

/// How a bucket is reached.
#[derive(Debug, Clone)]
pub struct BucketSettings {
    /// Its base URL.
    pub url: String,
    /// Whether it may be asked without TLS. On this machine itself it always may.
    pub plain: bool,
    /// Proxies.
    pub proxies: Proxies,
    /// A PEM file with certificate authorities that are trusted beside the system's.
    pub ca: Option<PathBuf>,
    /// How often and how long is asked again.
    pub retry: Retry,
    /// How long is waited.
    pub times: Times,
    /// The end of everything, counted from when the client was made.
    pub deadline: Option<Duration>,
}

impl Default for BucketSettings {
    fn default() -> Self {
        Self {
            url: PUBLIC_BUCKET.to_owned(),
            plain: false,
            proxies: Proxies::default(),
            ca: None,
            retry: Retry::default(),
            times: Times::default(),
            deadline: None,
        }
    }
}

/// A bucket. Cheap to clone. Its functions block.
#[derive(Debug, Clone)]
pub struct Bucket {
    pub(super) inner: Arc<Inner>,
    /// The end of everything.
    deadline: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Inner {
    runtime: Option<Runtime>,
    pub(super) client: Client,
    base: Url,
    pub(super) retry: Retry,
}

/// Why one attempt failed, and whether another may help.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: Error,
    pub(super) temporary: bool,
    pub(super) hint: Option<Duration>,
}

impl Failed {
    pub(super) fn temporary(at: &Url, message: impl Into<String>) -> Self {
        Self { error: Error::at_url(at, message), temporary: true, hint: None }
    }

    pub(super) fn at(at: &Url, failed: net::Failed) -> Self {
        Self { temporary: failed.temporary, ..Self::temporary(at, failed.message) }
    }

    pub(super) fn lasting(at: &Url, message: impl Into<String>) -> Self {
        Self { temporary: false, ..Self::temporary(at, message) }
    }

    /// How long to wait before the next attempt; none where the error must be told.
    pub(super) fn wait(&self, budget: &mut Budget) -> Option<Duration> {
        budget.next(self.temporary, self.hint)
    }
}

/// A body that was read whole.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) bytes: Vec<u8>,
    pub(super) etag: Option<String>,
}

impl Bucket {
    /// A client. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] for a URL that may not be used; [`ErrorKind::Io`] where the system gives no threads or
    /// no certificates.
    pub fn new(settings: &BucketSettings) -> Result<Self, Error> {
        let base = base(settings)?;
        let unusable = |error: String| Error::at_url(&base, format!("no client: {error}"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("bucket")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        let ca = match &settings.ca {
            Some(ca) => Some(std::fs::read(ca).map_err(|error| Error::io(ca, &error))?),
            None => None,
        };
        let client = Client::new(settings.times, &settings.proxies, ca.as_deref(), IN_FLIGHT);
        let client = client.map_err(|cause| Error::at_url(&base, cause))?;
        let deadline = settings.deadline.and_then(|deadline| Instant::now().checked_add(deadline));
        let retry = settings.retry;
        Ok(Self { inner: Arc::new(Inner { runtime: Some(runtime), client, base, retry }), deadline })
    }

    /// The same with an end that comes no later than this.
    pub(super) fn until(&self, end: Instant) -> Self {
        let deadline = Some(self.deadline.map_or(end, |own| own.min(end)));
        Self { inner: Arc::clone(&self.inner), deadline }
    }

    /// How much time is left; none where there is no end.
    pub(super) fn left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.inner.base.as_str().trim_end_matches('/').to_owned()
    }

    /// The base ecosystems that it has (`ecosystems.txt`), sorted.
    ///
    /// # Errors
    /// [`Error`] where it does not say.
    pub fn ecosystems(&self) -> Result<Vec<String>, Error> {
        let url = self.inner.object(&["ecosystems.txt"]);
        let fetched = self.run(self.inner.fetch(&url, None, MAX_NAMES))?;
        let text = fetched.map(|fetched| String::from_utf8(fetched.bytes));
        let Some(Ok(text)) = text else { return Err(Error::at_url(&url, "is no text")) };
        let mut names: Vec<String> = text
            .lines()
            .map(|line| line.trim().trim_end_matches('/'))
            // Names of another kind (`[EMPTY]`) hold no advisories for packages.
            .filter(|name| super::document::check_name(name).is_ok())
            .map(str::to_owned)
            .collect();
        names.sort();
        names.dedup();
        if names.is_empty() {
            return Err(Error::at_url(&url, "lists no ecosystem: is this an OSV bucket?"));
        }
        Ok(names)
    }

    /// A file that belongs to no ecosystem, whole: such as data on exploits, from where that is published.
    ///
    /// # Errors
    /// [`Error`] where it cannot be fetched, or has more bytes than `limit`.
    pub fn file(&self, name: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let url = self.inner.object(&[name]);
        let fetched = self.run(self.inner.fetch(&url, None, limit))?;
        fetched.map(|fetched| fetched.bytes).ok_or_else(|| Error::at_url(&url, "is not there"))
    }

    /// The list of an ecosystem's records (`modified_id.csv`); none where it is still the one with that `ETag`.
    pub(super) fn list(&self, ecosystem: &str, etag: Option<&str>) -> Result<Option<Fetched>, Error> {
        let url = self.inner.object(&[ecosystem, "modified_id.csv"]);
        self.run(self.inner.fetch(&url, etag, MAX_LIST))
    }

    /// Where the list of an ecosystem is.
    pub(super) fn list_url(&self, ecosystem: &str) -> Url {
        self.inner.object(&[ecosystem, "modified_id.csv"])
    }

    /// Single records, each given to `read` with its id; the answers are in no order.
    ///
    /// # Errors
    /// Each record that could not be fetched, at most [`FAILURES`] of them; the rest was then not asked for.
    pub(super) fn records<T: Send + 'static>(
        &self,
        ecosystem: &str,
        ids: &[String],
        read: impl Fn(&str, &[u8]) -> T + Clone + Send + 'static,
        done: impl Fn(usize),
    ) -> Result<Vec<T>, Vec<Error>> {
        let all = async {
            let mut tasks: JoinSet<Result<(T, u64), Error>> = JoinSet::new();
            let (mut answers, mut failures, mut bytes) = (Vec::new(), Vec::new(), 0u64);
            let mut waiting = ids.iter();
            loop {
                while tasks.len() < IN_FLIGHT && failures.len() < FAILURES {
                    let Some(id) = waiting.next().cloned() else { break };
                    let url = self.inner.object(&[ecosystem, &format!("{id}.json")]);
                    let (inner, read) = (Arc::clone(&self.inner), read.clone());
                    tasks.spawn(async move {
                        let fetched = inner.fetch(&url, None, MAX_RECORD).await?;
                        let fetched = fetched.ok_or_else(|| Error::at_url(&url, "is not there"))?;
                        let bytes = fetched.bytes;
                        Ok((read(&id, &bytes), bytes.len() as u64))
                    });
                }
                match tasks.join_next().await {
                    None => break,
                    Some(Ok(Ok((answer, length)))) => {
                        bytes += length;
                        answers.push(answer);
                    }
                    Some(Ok(Err(error))) => failures.push(error),
                    Some(Err(error)) => {
                        failures.push(Error::at_url(&self.inner.base, format!("a task failed: {error}")));
                    }
                }
                // Attack: ten thousand records of the largest size.
                if bytes > MAX_RECORDS {
                    let message = format!("the changed records have more than {MAX_RECORDS} bytes");
                    failures.push(Error::at_url(&self.inner.base, message));
                    break;
                }
                done(answers.len());
            }
            Ok(if failures.is_empty() { Ok(answers) } else { Err(failures) })
        };
        self.run(all).unwrap_or_else(|error| Err(vec![error]))
    }

    /// Waits for a task, until the deadline.
    pub(super) fn run<T>(&self, task: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let ended = |what: &str| Error::at_url(&self.inner.base, what);
        let Some(runtime) = &self.inner.runtime else { return Err(ended("shut down")) };
        runtime.block_on(async {
            match self.deadline {
                None => task.await,
                Some(deadline) => tokio::time::timeout_at(deadline.into(), task)
                    .await
                    .unwrap_or_else(|_| Err(ended("the time for fetching advisories is over"))),
            }
        })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A runtime that is dropped waits for its threads, and panics within another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The base URL, where it may be used.
fn base(settings: &BucketSettings) -> Result<Url, Error> {
    let refused = |cause: &str| Error {
        kind: ErrorKind::Refused,
        at: escape(settings.url.as_bytes()),
        message: format!("is no URL of a bucket: {cause}"),
    };
    let mut url = Url::parse(&settings.url).map_err(|error| refused(&error.to_string()))?;
    // What stands here is written into the snapshot and shown to whoever asks.
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("it may carry no user and no password"));
    }
    if url.query().is_some() || url.fragment().is_some() || url.cannot_be_a_base() {
        return Err(refused("a base URL has no query and no fragment"));
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let is_here = host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => {}
        // Attack: advisories that anybody on the way may leave out.
        "http" if is_here || settings.plain => {}
        "http" => return Err(refused("without TLS it must be named by `--from`")),
        _ => return Err(refused("it begins with neither https:// nor http://")),
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

impl Inner {
    /// The URL of an object.
    pub(super) fn object(&self, parts: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        url
    }

    /// Sends one request and gives an answer of success, or 304 where `etag` was asked about, or 416 where a range
    /// was.
    pub(super) async fn ask(&self, url: &Url, headers: HeaderMap) -> Result<Response, Failed> {
        let conditional = headers.contains_key(IF_NONE_MATCH);
        let ranged = headers.contains_key(reqwest::header::RANGE);
        let mut request = reqwest::Request::new(reqwest::Method::GET, url.clone());
        *request.headers_mut() = headers;
        let response = self.client.send(request).await.map_err(|failed| Failed::at(url, failed))?;
        let status = response.status();
        match status {
            StatusCode::OK => Ok(response),
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if ranged => Ok(response),
            StatusCode::NOT_MODIFIED if conditional => Ok(response),
            other => Err(refusal(url, other, response.headers())),
        }
    }

    /// Fetches a small object whole; none where it is still the one with that `ETag`.
    pub(super) async fn fetch(
        &self,
        url: &Url,
        etag: Option<&str>,
        limit: u64,
    ) -> Result<Option<Fetched>, Error> {
        let mut budget = Budget::new(self.retry);
        loop {
            let failed = match self.attempt(url, etag, limit).await {
                Ok(fetched) => return Ok(fetched),
                Err(failed) => failed,
            };
            match failed.wait(&mut budget) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(failed.error),
            }
        }
    }

    async fn attempt(&self, url: &Url, etag: Option<&str>, limit: u64) -> Result<Option<Fetched>, Failed> {
        let mut headers = HeaderMap::new();
        if let Some(etag) = etag {
            insert(&mut headers, IF_NONE_MATCH, etag, url)?;
        }
        let response = self.ask(url, headers).await?;
        if response.status() == StatusCode::NOT_MODIFIED {
            let unasked =
                || Failed::lasting(url, "is said to be unchanged, though no earlier version was named");
            return if etag.is_some() { Ok(None) } else { Err(unasked()) };
        }
        let etag = etag_of(&response);
        let bytes = self.client.whole(response, limit).await.map_err(|failed| Failed::at(url, failed))?;
        Ok(Some(Fetched { bytes, etag }))
    }
}

/// Sets a header that another answer or a file of ours gave.
pub(super) fn insert(
    headers: &mut HeaderMap,
    name: HeaderName,
    value: &str,
    url: &Url,
) -> Result<(), Failed> {
    let value = HeaderValue::from_str(value)
        .map_err(|_| Failed::lasting(url, format!("`{name}` has characters that no header may carry")))?;
    headers.insert(name, value);
    Ok(())
}

pub(super) fn header(response: &Response, name: HeaderName) -> Option<String> {
    response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The `ETag` of an answer, where it is worth keeping.
pub(super) fn etag_of(response: &Response) -> Option<String> {
    // Attack: tags of a megabyte, after which the document of the snapshot cannot be read any more.
    header(response, ETAG).filter(|etag| etag.len() <= MAX_ETAG)
}

/// The error of an answer that is none of those that were asked for.
fn refusal(url: &Url, status: StatusCode, headers: &HeaderMap) -> Failed {
    let number = status.as_u16();
    match number {
        404 => {
            let failed = Failed::lasting(url, "the bucket has no such object");
            Failed { error: Error { kind: ErrorKind::NotFound, ..failed.error }, ..failed }
        }
        301 | 302 | 303 | 307 | 308 => {
            let message =
                "the bucket sends us to another place, which is not followed: name that place by `--from`";
            Failed::lasting(url, message)
        }
        408 | 425 | 429 | 499 | 500..=599 => {
            let failed = Failed::temporary(url, format!("the bucket answers {number}: try again later"));
            Failed { hint: net::hint(headers, ""), ..failed }
        }
        _ => Failed::lasting(url, format!("the bucket answers {number}: check its URL and the proxy")),
    }
}
