//! What went over the wire, for a person who looks for a fault: a line an exchange, and no secret in it.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::HeaderValue;
use reqwest::{Method, Response, Url};

use super::error::ErrorKind;

/// Parameters of a query that hold no secret where a registry or its token service is asked
/// (distribution-spec, "Endpoints"; distribution, "Token Authentication Specification").
const HARMLESS: &[&str] = &["n", "last", "digest", "mount", "from", "scope", "service", "artifactType"];

/// What stands for whatever might be a secret.
const HIDDEN: &str = "***";

/// Is told of every exchange with a registry, when it is over. It is called by the tasks that wait for the
/// registry: it must not block for long. What becomes of the lines is the door's choice.
pub trait Trace: fmt::Debug + Send + Sync {
    /// An exchange is over.
    fn exchange(&self, exchange: &Exchange);
}

/// A request and its answer, without anything that could be a secret: no header, no body, and of queries
/// only what is known to be harmless. `Display` is one line without a line break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// On behalf of which registry, as references name it.
    pub registry: String,
    /// Which host was asked: the registry itself, its token service, or where a redirect led.
    pub host: String,
    /// The method.
    pub method: String,
    /// The URL. Of its query there are the names and values that hold no secret; the rest is `***`.
    pub url: String,
    /// What kind of `Authorization` was sent.
    pub authorization: Authorization,
    /// Which attempt at the same request, from 1 on. Redirects and the request that a challenge answers
    /// belong to the same attempt.
    pub attempt: u32,
    /// Status of the answer; none where there was no answer.
    pub status: Option<u16>,
    /// Why there was no answer; none where there was one, or nobody waited for it any more.
    pub failure: Option<ErrorKind>,
    /// Bytes of the request's body.
    pub sent: u64,
    /// Bytes of the answer's body that were read: fewer than it has where reading was given up.
    pub received: u64,
    /// From the request until its answer was read, or given up.
    pub duration: Duration,
}

/// The kind of a request's `Authorization`. Its value is nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Authorization {
    /// There was none. An identity token goes to the token service in a body, without this header.
    None,
    /// User and password (RFC 7617).
    Basic,
    /// A token (RFC 6750).
    Bearer,
}

impl fmt::Display for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Basic => "basic",
            Self::Bearer => "bearer",
        })
    }
}

impl Authorization {
    fn of(header: Option<&HeaderValue>) -> Self {
        match header {
            None => Self::None,
            Some(value) if value.as_bytes().starts_with(b"Basic ") => Self::Basic,
            Some(_) => Self::Bearer,
        }
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { registry, host, method, url, authorization, attempt, sent, received, .. } = self;
        write!(f, "{method} {url} registry={registry} host={host} authorization={authorization}")?;
        write!(f, " attempt={attempt} status=")?;
        match (self.status, self.failure) {
            (Some(status), _) => write!(f, "{status}")?,
            (None, Some(ErrorKind::Unavailable)) => f.write_str("unreachable")?,
            (None, Some(failure)) => f.write_str(&failure.to_string().replace(' ', "-"))?,
            (None, None) => f.write_str("abandoned")?,
        }
        write!(f, " sent={sent} received={received} ms={}", self.duration.as_millis())
    }
}

/// An exchange that goes on; it is told when this is dropped, however that comes about.
#[derive(Debug)]
pub(super) struct Note {
    trace: Arc<dyn Trace>,
    began: Instant,
    exchange: Exchange,
}

impl Note {
    /// `led` says that a redirect led to the URL.
    pub(super) fn new(
        trace: Arc<dyn Trace>,
        registry: &str,
        (method, url, led): (&Method, &Url, bool),
        authorization: Option<&HeaderValue>,
        (attempt, sent): (u32, usize),
    ) -> Self {
        let exchange = Exchange {
            registry: registry.to_owned(),
            host: host(url),
            method: method.to_string(),
            url: redacted(url, led),
            authorization: Authorization::of(authorization),
            attempt,
            status: None,
            failure: None,
            sent: sent as u64,
            received: 0,
            duration: Duration::ZERO,
        };
        Self { trace, began: Instant::now(), exchange }
    }

    pub(super) fn failed(&mut self, kind: ErrorKind) {
        self.exchange.failure = Some(kind);
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.exchange.duration = self.began.elapsed();
        self.trace.exchange(&self.exchange);
    }
}

/// An answer whose bytes are counted.
#[derive(Debug)]
pub(super) struct Reply {
    response: Response,
    note: Option<Note>,
}

impl Reply {
    pub(super) fn new(response: Response, mut note: Option<Note>) -> Self {
        if let Some(note) = &mut note {
            note.exchange.status = Some(response.status().as_u16());
        }
        Self { response, note }
    }

    /// The next bytes of the body; none at its end.
    pub(super) async fn chunk(&mut self) -> reqwest::Result<Option<Bytes>> {
        let chunk = self.response.chunk().await;
        if let (Some(note), Ok(Some(bytes))) = (&mut self.note, &chunk) {
            note.exchange.received += bytes.len() as u64;
        }
        chunk
    }
}

impl Deref for Reply {
    type Target = Response;

    fn deref(&self) -> &Response {
        &self.response
    }
}

impl DerefMut for Reply {
    fn deref_mut(&mut self) -> &mut Response {
        &mut self.response
    }
}

/// A URL without user, password, fragment and what of its query might be a secret. Where a redirect led the
/// whole query is hidden: a signature may stand under any name there, and a registry that knows our token
/// might write it where we would print it.
fn redacted(url: &Url, led: bool) -> String {
    let mut text = format!("{}://{}{}", url.scheme(), host(url), url.path());
    let pairs = url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    for (place, pair) in pairs.enumerate() {
        text.push(if place == 0 { '?' } else { '&' });
        let harmless = !led && pair.split_once('=').is_some_and(|(name, _)| HARMLESS.contains(&name));
        // As it stands there: percent-encoded, so no line break and no escape of a terminal.
        text.push_str(if harmless { pair } else { HIDDEN });
    }
    text
}

fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_query_only_what_is_harmless_is_told() {
        for (url, led, want) in [
            (
                "https://r.example/v2/a/blobs/uploads/u?_state=SECRET&digest=sha256:00",
                false,
                "https://r.example/v2/a/blobs/uploads/u?***&digest=sha256:00",
            ),
            (
                "https://r.example/token?service=r.example&scope=repository%3Aa%3Apull&account=SECRET",
                false,
                "https://r.example/token?service=r.example&scope=repository%3Aa%3Apull&***",
            ),
            ("https://b.example:8443/x?digest=SECRET&n=SECRET", true, "https://b.example:8443/x?***&***"),
            ("https://r.example/x?SECRET", false, "https://r.example/x?***"),
            ("https://r.example/x?%6e=1&&last=a%0Ab#SECRET", false, "https://r.example/x?***&last=a%0Ab"),
            ("https://SECRET:SECRET@r.example/x", false, "https://r.example/x"),
        ] {
            assert_eq!(redacted(&Url::parse(url).unwrap(), led), want);
        }
    }
}
