//! Faults by script: which request meets them, and what then happens to the answer.

use std::sync::Arc;
use std::time::Duration;

use super::http::{Reply, Request};
use super::store::{INDEX, Store};

/// Which requests meet a fault.
pub struct On {
    method: String,
    contains: String,
    skip: usize,
    times: usize,
    met: usize,
}

/// The next request of a method (`*` is any) that has this text in its path and query.
pub fn on(method: &str, contains: &str) -> On {
    On { method: method.into(), contains: contains.into(), skip: 0, times: 1, met: 0 }
}

impl On {
    /// After so many others.
    pub fn skip(mut self, requests: usize) -> Self {
        self.skip = requests;
        self
    }

    /// So many requests on end.
    pub fn times(mut self, requests: usize) -> Self {
        self.times = requests;
        self
    }

    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }

    fn meets(&mut self, request: &Request) -> bool {
        let wanted =
            (self.method == "*" || self.method == request.method) && request.target.contains(&self.contains);
        self.met += usize::from(wanted);
        wanted && self.met > self.skip && self.met - self.skip <= self.times
    }
}

/// Changes what the registry holds.
pub type Hook = Arc<dyn Fn(&mut Store) + Send + Sync>;

/// What happens to an answer. Several may: `[Fault::Endless, Fault::Length(1 << 40)]`.
#[derive(Clone)]
pub enum Fault {
    /// Runs before the request is looked at: another writer wins, a tag moves.
    Before(Hook),
    /// An answer instead of the registry's own. The registry does nothing.
    Answer {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// The registry does as asked, and tells another status.
    Status(u16),
    Header(&'static str, String),
    NoHeader(&'static str),
    /// Other bytes; the headers stay, `Content-Length` fits.
    Body(Vec<u8>),
    /// Breaks the connection after so many bytes of the body.
    Cut(u64),
    /// Changes the byte at this place of the body.
    Corrupt(u64),
    /// So many bytes, then a pause, and so on.
    Slow {
        bytes: usize,
        pause: Duration,
    },
    /// After the body come spaces, for ever.
    Endless,
    /// Another `Content-Length`.
    Length(u64),
    Delay(Duration),
    /// Never answers.
    Hang,
    /// Closes the connection without an answer. The registry does as asked.
    Reset,
    /// 307 to where the request went.
    RedirectToItself,
    /// 200 with a page of HTML, as captive portals and proxies answer.
    Html,
    /// Too many requests.
    Throttled(Hint),
    /// A page of a list that lists nothing, of so many bytes, and a link to the next one, for ever.
    EmptyPages(usize),
}

/// How a throttling registry says when to come again.
#[derive(Clone)]
pub enum Hint {
    /// 429 without.
    None,
    /// 429, `Retry-After` in seconds.
    Seconds(u64),
    /// 429, `Retry-After` as a date so far away.
    Date(Duration),
    /// 429, a Go duration in the message alone, as GHCR: `1.16ms`.
    Message(&'static str),
    /// 403 with words about a secondary rate limit, as GHCR on pushes.
    Secondary,
}

impl Fault {
    /// An error as the distribution specification words it.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({"errors": [{"code": code, "message": message}]}).to_string();
        let headers = vec![("content-type", "application/json".to_owned())];
        Self::Answer { status, headers, body: body.into_bytes() }
    }

    /// A bare status with an empty body.
    pub fn bare(status: u16) -> Self {
        Self::Answer { status, headers: Vec::new(), body: Vec::new() }
    }

    pub fn redirect(status: u16, to: &str) -> Self {
        Self::Answer { status, headers: vec![("location", to.to_owned())], body: Vec::new() }
    }

    fn instead(&self, request: &Request) -> Option<Reply> {
        Some(match self {
            Self::Answer { status, headers, body } => {
                headers.iter().fold(Reply::new(*status, body.clone()), |r, (name, value)| r.with(name, value))
            }
            Self::RedirectToItself => Reply::empty(307).with("location", &request.target),
            Self::Html => {
                Reply::new(200, b"<!DOCTYPE html><title>Sign in</title><p>Please sign in.".to_vec())
                    .with("content-type", "text/html; charset=utf-8")
            }
            Self::Throttled(hint) => throttled(hint),
            Self::EmptyPages(bytes) => {
                let page: usize = request.parameter("page").and_then(|page| page.parse().ok()).unwrap_or(0);
                let path = request.target.split('?').next().unwrap_or_default();
                let body = format!(
                    "{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[]{}}}",
                    " ".repeat(*bytes)
                );
                let next = format!("<{path}?page={}>; rel=\"next\"", page + 1);
                Reply::new(200, body.into_bytes()).with("content-type", INDEX).with("link", next)
            }
            Self::Hang => {
                let mut reply = Reply::empty(200);
                reply.manner.hang = true;
                reply
            }
            Self::Before(_)
            | Self::Status(_)
            | Self::Header(..)
            | Self::NoHeader(_)
            | Self::Body(_)
            | Self::Cut(_)
            | Self::Corrupt(_)
            | Self::Slow { .. }
            | Self::Endless
            | Self::Length(_)
            | Self::Delay(_)
            | Self::Reset => return None,
        })
    }

    fn change(&self, mut reply: Reply) -> Reply {
        match self {
            Self::Status(status) => reply.status = *status,
            Self::Header(name, value) => reply = reply.with(name, value),
            Self::NoHeader(name) => reply = reply.without(name),
            Self::Body(bytes) => reply.body = bytes.clone().into(),
            Self::Cut(after) => reply.manner.cut = Some(*after),
            Self::Corrupt(place) => reply.manner.corrupt = Some(*place),
            Self::Slow { bytes, pause } => reply.manner.slow = Some((*bytes, *pause)),
            Self::Endless => reply.manner.endless = true,
            Self::Length(length) => reply.manner.declared = Some(*length),
            Self::Delay(delay) => reply.manner.delay += *delay,
            Self::Reset => reply.manner.reset = true,
            Self::Before(_)
            | Self::Answer { .. }
            | Self::Hang
            | Self::RedirectToItself
            | Self::Html
            | Self::Throttled(_)
            | Self::EmptyPages(_) => {}
        }
        reply
    }
}

fn throttled(hint: &Hint) -> Reply {
    let message = "too many requests";
    match hint {
        Hint::None => Reply::error(429, "TOOMANYREQUESTS", message),
        Hint::Seconds(seconds) => {
            Reply::error(429, "TOOMANYREQUESTS", message).with("retry-after", seconds.to_string())
        }
        Hint::Date(away) => {
            #[expect(clippy::disallowed_methods, reason = "a server knows what time it is")]
            let at = jiff::Timestamp::now() + *away;
            let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap();
            Reply::error(429, "TOOMANYREQUESTS", message).with("retry-after", date)
        }
        Hint::Message(duration) => {
            let message = format!("retry-after: {duration}, allowed: 44000/minute");
            Reply::error(429, "TOOMANYREQUESTS", &message)
        }
        Hint::Secondary => Reply::error(
            403,
            "DENIED",
            "You have exceeded a secondary rate limit. Please wait a few minutes.",
        ),
    }
}

/// The faults that are still to come.
#[derive(Default)]
pub struct Script(Vec<(On, Vec<Fault>)>);

impl Script {
    pub fn add(&mut self, on: On, faults: impl IntoIterator<Item = Fault>) {
        self.0.push((on, faults.into_iter().collect()));
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The faults that a request meets.
    pub fn meet(&mut self, request: &Request) -> Vec<Fault> {
        let met = self.0.iter_mut().filter_map(|(on, faults)| on.meets(request).then(|| faults.clone()));
        met.flatten().collect()
    }
}

/// The answer to a request that met faults; `own` is the registry's.
pub fn apply(faults: &[Fault], request: &Request, own: impl FnOnce() -> Reply) -> Reply {
    let instead = faults.iter().find_map(|fault| fault.instead(request));
    let reply = instead.unwrap_or_else(own);
    faults.iter().fold(reply, |reply, fault| fault.change(reply))
}
