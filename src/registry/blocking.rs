//! The same client for threads that may block: the gate and its layer passes.
//!
//! The client is asynchronous, because the webhook is. The layer pass reads a `Read` on a thread of its
//! own. Between the two stands a small runtime: a reader's thread drives its own stream, piece by piece,
//! and what is not read is not asked for. Nothing of a blob is kept but the piece in hand.

use std::future::Future;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::model::descriptor::Descriptor;
use crate::model::reference::Reference;

use super::blob::BlobStream;
use super::client::{Client, Repository};
use super::error::{Error, ErrorKind};
use super::settings::{Settings, settings};

/// Threads of the runtime: they move bytes and end TLS; hashing and inflating is done by the readers.
const THREADS: usize = 2;

/// A client with a runtime of its own. Cheap to clone. Its functions block: a task of another runtime must
/// call them within `spawn_blocking`, or use [`Client`].
#[derive(Debug, Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    runtime: Option<Runtime>,
    client: Client,
    interrupt: watch::Sender<bool>,
    deadline: Option<Instant>,
}

impl Registry {
    /// A client. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ErrorKind::Settings`] where the system gives no threads.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("registry")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| self::settings("the network", format!("no threads: {error}")))?;
        let deadline = settings.times.deadline.and_then(|deadline| Instant::now().checked_add(deadline));
        let client = Client::new(settings);
        let inner = Inner { runtime: Some(runtime), client, interrupt: watch::Sender::new(false), deadline };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The repository of a reference.
    ///
    /// # Errors
    /// As [`Client::repository`].
    pub fn repository(&self, reference: &Reference) -> Result<Repository, Error> {
        self.inner.client.repository(reference)
    }

    /// Waits for what a [`Repository`] does: `registry.run(repository.tags())`.
    ///
    /// # Errors
    /// Those of the task; [`ErrorKind::Unavailable`] where it was interrupted or the deadline passed.
    pub fn run<T>(&self, task: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let ended = |what: &str| Error {
            lasting: true,
            ..Error::new(ErrorKind::Unavailable, "the registry", what.to_owned())
        };
        let Some(runtime) = &self.inner.runtime else { return Err(ended("shut down")) };
        let mut interrupt = self.inner.interrupt.subscribe();
        let deadline = self.inner.deadline;
        runtime.block_on(async {
            let ending = async {
                let interrupted = async {
                    // An error means that the sender is gone, and with it whoever could interrupt.
                    if interrupt.wait_for(|interrupted| *interrupted).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                match deadline {
                    None => interrupted.await,
                    Some(deadline) => {
                        if tokio::time::timeout_at(deadline.into(), interrupted).await.is_err() {
                            return "the time-out for the whole run is over";
                        }
                    }
                }
                "interrupted"
            };
            let mut task = std::pin::pin!(task);
            let mut ending = std::pin::pin!(ending);
            // Not a macro of tokio's: that is a crate more.
            std::future::poll_fn(|context| {
                if let std::task::Poll::Ready(what) = ending.as_mut().poll(context) {
                    return std::task::Poll::Ready(Err(ended(what)));
                }
                task.as_mut().poll(context)
            })
            .await
        })
    }

    /// Ends everything that runs and everything that is begun later, at once: for Ctrl-C.
    pub fn interrupt(&self) {
        self.inner.interrupt.send_replace(true);
    }

    /// Opens a blob for reading. The bytes are not verified: whoever reads them does that.
    ///
    /// # Errors
    /// As [`Repository::blob`].
    pub fn blob(&self, repository: &Repository, descriptor: &Descriptor) -> Result<BlobReader, Error> {
        let stream = self.run(repository.blob(descriptor))?;
        Ok(BlobReader { registry: self.clone(), stream, piece: Bytes::new() })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A runtime that is dropped waits for its threads, of which one may be in a helper that hangs, and
        // panics within another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A blob as a reader. Errors are [`Error`]s inside [`io::Error`]: see [`Error::of`].
#[derive(Debug)]
pub struct BlobReader {
    registry: Registry,
    stream: BlobStream,
    piece: Bytes,
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.piece.is_empty() {
            match self.registry.run(self.stream.chunk()).map_err(io::Error::other)? {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let piece = self.piece.split_to(buffer.len().min(self.piece.len()));
        if let Some(place) = buffer.get_mut(..piece.len()) {
            place.copy_from_slice(&piece);
        }
        Ok(piece.len())
    }
}
