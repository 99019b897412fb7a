//! What signs in one run: a client with a runtime of its own, for threads that wait.

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use tokio::runtime::Runtime;

use crate::net::{Client, Proxies, Retry, Times};

use super::config::Services;
use super::error::{Error, ErrorKind};
use super::http::{Http, PATIENCE};
use super::sign::{Content, Credentials, Signer};

/// Signatures that are made at a time: 8. Each is one request to every log and authority.
const AT_ONCE: usize = 8;

/// Threads of the runtime.
const THREADS: usize = 2;

/// How the services are reached.
#[derive(Debug, Clone)]
pub struct Settings {
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

impl Default for Settings {
    fn default() -> Self {
        Self {
            proxies: Proxies::default(),
            ca: None,
            retry: PATIENCE,
            times: Times::default(),
            deadline: None,
        }
    }
}

impl Settings {
    /// A client of what is at a place, as errors name it.
    ///
    /// # Errors
    /// [`ErrorKind::Settings`] where a proxy or the authorities cannot be used.
    pub(super) fn client(&self, at: impl fmt::Display, kept: usize) -> Result<Client, Error> {
        let unusable = |cause: String| Error::new(ErrorKind::Settings, &at, cause);
        let ca = match &self.ca {
            Some(ca) => {
                Some(std::fs::read(ca).map_err(|error| unusable(format!("{}: {error}", ca.display())))?)
            }
            None => None,
        };
        Client::new(self.times, &self.proxies, ca.as_deref(), kept).map_err(unusable)
    }
}

/// A run: all that it signs is signed with one certificate. Its functions block.
pub struct Run {
    runtime: Option<Runtime>,
    signer: Signer,
    deadline: Option<Instant>,
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("services", &self.signer.services).finish_non_exhaustive()
    }
}

impl Run {
    /// A run by these services. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ErrorKind::Settings`] where a proxy or the authorities cannot be used, or the system gives no threads.
    pub fn new(
        settings: &Settings,
        services: Services,
        credentials: Credentials,
        clock: fn() -> Timestamp,
    ) -> Result<Self, Error> {
        let unusable = |cause: String| Error::new(ErrorKind::Settings, "the signing services", cause);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("sigstore")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        let client = settings.client("the signing services", AT_ONCE)?;
        let signer = Signer::new(Http::new(client, settings.retry), services, credentials, clock);
        let deadline = settings.deadline.and_then(|deadline| Instant::now().checked_add(deadline));
        Ok(Self { runtime: Some(runtime), signer, deadline })
    }

    /// Whether what it signs is entered into a transparency log.
    #[must_use]
    pub fn is_logged(&self) -> bool {
        !self.signer.services.logs.is_empty()
    }

    /// Signs each of several contents, several at a time; the bundles (JSON) are in order. They are not verified yet.
    ///
    /// # Errors
    /// The first that could not be signed. What was signed until then is in the logs, and nowhere else.
    pub fn sign(&self, contents: &[Content<'_>]) -> Result<Vec<Vec<u8>>, Error> {
        let all = stream::iter(contents).map(|content| self.signer.sign(*content)).buffered(AT_ONCE);
        self.wait(all.try_collect())
    }

    /// The certificate of the run (DER), asked for where there is none yet. Where a key signs there is none to be had.
    ///
    /// # Errors
    /// Why there is none.
    pub fn certificate(&self) -> Result<Vec<u8>, Error> {
        self.wait(self.signer.certificate())
    }

    fn wait<T>(&self, task: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let ended = |what: &str| Error::new(ErrorKind::Unavailable, "the signing services", what);
        let Some(runtime) = &self.runtime else { return Err(ended("shut down")) };
        runtime.block_on(async {
            match self.deadline {
                None => task.await,
                Some(deadline) => tokio::time::timeout_at(deadline.into(), task).await.unwrap_or_else(|_| {
                    let waiting = self.signer.http.waiting().join("; ");
                    let waiting = if waiting.is_empty() { waiting } else { format!(": {waiting}") };
                    Err(ended(&format!("the time for signing is over (see `--timeout`){waiting}")))
                }),
            }
        })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // A runtime that is dropped waits for its threads, and panics within another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
