//! One request and its answer, bounded in time and in bytes. Where it may go, and what an answer means, is for whoever
//! asks to say: no redirect is followed and nothing is asked again here.

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, TRANSFER_ENCODING};
use reqwest::{Certificate, Request, Response};

use super::{Failure, Proxies, SLOWEST, is_too_slow};

/// How long is waited for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the head of an answer, once a request was sent.
    pub answer: Duration,
    /// For the next bytes of a body.
    pub idle: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(60),
            idle: Duration::from_secs(30),
        }
    }
}

/// Why one attempt failed, and whether another may help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    /// What happened and what to do: a lowercase fragment.
    pub(crate) message: String,
    /// Whether another attempt may help.
    pub(crate) temporary: bool,
}

impl Failed {
    pub(crate) fn temporary(message: impl Into<String>) -> Self {
        Self { message: message.into(), temporary: true }
    }

    pub(crate) fn lasting(message: impl Into<String>) -> Self {
        Self { message: message.into(), temporary: false }
    }

    fn of(error: &reqwest::Error) -> Self {
        let mut failure = Failure::of(error);
        if failure.is_tls {
            failure.message.push_str("; `--registry-ca FILE` names a certificate authority of your own");
        }
        Self { message: failure.message, temporary: !failure.is_tls }
    }
}

/// A client. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    inner: reqwest::Client,
    times: Times,
}

impl Client {
    /// A client with proxies, and certificate authorities (PEM) that are trusted beside the system's. So many
    /// connections to one host are kept.
    ///
    /// # Errors
    /// A lowercase fragment where a proxy is no URL, the PEM is none, or the system gives no certificates.
    pub(crate) fn new(
        times: Times,
        proxies: &Proxies,
        ca: Option<&[u8]>,
        kept: usize,
    ) -> Result<Self, String> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("portcullis/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(times.connect)
            .pool_max_idle_per_host(kept)
            .http1_only()
            .no_proxy();
        if let Some(pem) = ca {
            let certificates =
                Certificate::from_pem_bundle(pem).map_err(|error| format!("no PEM certificates: {error}"))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let builder = proxies.apply(builder).map_err(|error| format!("no client: {error}"))?;
        let inner = builder.build().map_err(|error| format!("no client: {error}"))?;
        Ok(Self { inner, times })
    }

    /// Sends a request and waits for the head of the answer, whatever its status.
    ///
    /// # Errors
    /// [`Failed`] where no answer came.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, Failed> {
        match tokio::time::timeout(self.times.answer, self.inner.execute(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Failed::of(&error)),
            Err(_) => Err(Failed::temporary("the host does not answer in time")),
        }
    }

    /// The body of an answer, a piece at a time.
    pub(crate) fn body(&self, response: Response) -> Body {
        Body { idle: self.times.idle, response, received: 0, waited: Duration::ZERO }
    }

    /// The body of an answer as a whole, of at most so many bytes.
    ///
    /// # Errors
    /// [`Failed`] where it is longer, does not say where it ends, or does not come.
    pub(crate) async fn whole(&self, response: Response, limit: u64) -> Result<Vec<u8>, Failed> {
        // A body that ends where the connection ends may have been cut anywhere.
        if !is_delimited(response.headers()) {
            return Err(Failed::lasting("the answer does not say how long it is"));
        }
        let too_large = || Failed::lasting(format!("is larger than the limit of {limit} bytes"));
        if length(response.headers()).is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut body = self.body(response);
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await? {
            // Attack: an endless answer.
            if bytes.len() as u64 + piece.len() as u64 > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}

/// A body, a piece at a time.
pub(crate) struct Body {
    idle: Duration,
    response: Response,
    received: u64,
    waited: Duration,
}

impl Body {
    /// The next piece; none at the end. A body that is shorter than its head says is an error of the library's.
    ///
    /// # Errors
    /// [`Failed`] where it does not come, or too slowly.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Failed> {
        let began = Instant::now();
        let received = tokio::time::timeout(self.idle, self.response.chunk()).await;
        self.waited += began.elapsed();
        // Attack: a byte every few seconds, for ever.
        if is_too_slow(self.received, self.waited) {
            return Err(Failed::temporary(format!("comes slower than {SLOWEST} bytes a second")));
        }
        match received {
            Ok(Ok(piece)) => {
                self.received += piece.as_ref().map_or(0, |piece| piece.len() as u64);
                Ok(piece)
            }
            Ok(Err(error)) => Err(Failed::of(&error)),
            Err(_) => Err(Failed::temporary("no further bytes come in time")),
        }
    }
}

/// The length that an answer states.
pub(crate) fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether an answer says where it ends (RFC 9112 §6.3).
pub(crate) fn is_delimited(headers: &HeaderMap) -> bool {
    let coding = headers.get(TRANSFER_ENCODING).and_then(|value| value.to_str().ok());
    let chunked = coding
        .is_some_and(|value| value.to_ascii_lowercase().split(',').any(|coding| coding.trim() == "chunked"));
    chunked || length(headers).is_some()
}
