//! HTTP/1.1 as test servers speak it on loopback: whole requests in, answers that may lie out.

use std::convert::Infallible;
use std::net::{Ipv4Addr, TcpListener as Listener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::service::service_fn;
use percent_encoding::percent_decode_str;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::content::Content;

/// How long sent bytes are given to leave before a connection is broken.
const FLUSH: Duration = Duration::from_millis(50);

/// A request whose body was read whole.
pub struct Request {
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// The path, percent-decoded.
    pub path: String,
    pub query: Vec<(String, String)>,
    /// In their order, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The first value of a query parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        find(&self.query, name)
    }

    async fn read(request: hyper::Request<Incoming>) -> Result<Self, hyper::Error> {
        let (head, mut incoming) = request.into_parts();
        let mut body = Vec::new();
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut incoming).poll_frame(cx)).await {
            if let Some(data) = frame?.data_ref() {
                body.extend_from_slice(data);
            }
        }
        let text =
            |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Ok(Self {
            method: head.method.to_string(),
            target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            path: percent_decode_str(head.uri.path()).decode_utf8_lossy().into_owned(),
            query: pairs(head.uri.query().unwrap_or_default()),
            headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: body.into(),
        })
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// The pairs of a query or of a form.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let split = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    };
    text.split('&').filter(|pair| !pair.is_empty()).map(split).collect()
}

/// An answer, and the manner in which it is sent.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Content,
    pub manner: Manner,
}

/// What is done to an answer on its way.
#[derive(Default)]
pub struct Manner {
    /// Waits before the first byte.
    pub delay: Duration,
    /// Breaks the connection after so many bytes of the body.
    pub cut: Option<u64>,
    /// Changes the byte at this place of the body.
    pub corrupt: Option<u64>,
    /// At most so many bytes at once, and how long to wait after them.
    pub slow: Option<(usize, Duration)>,
    /// Goes on with spaces after the body, for ever.
    pub endless: bool,
    /// The `Content-Length` that is told.
    pub declared: Option<u64>,
    /// Never answers.
    pub hang: bool,
    /// Closes the connection instead of an answer.
    pub reset: bool,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Content>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), manner: Manner::default() }
    }

    pub fn empty(status: u16) -> Self {
        Self::new(status, Vec::new())
    }

    pub fn json(status: u16, document: &serde_json::Value) -> Self {
        Self::new(status, serde_json::to_vec(document).unwrap()).with("content-type", "application/json")
    }

    /// An error as the distribution specification words it.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Self::json(status, &serde_json::json!({"errors": [{"code": code, "message": message}]}))
    }

    /// The same with a header, in place of one of that name.
    pub fn with(self, name: &str, value: impl Into<String>) -> Self {
        let mut reply = self.without(name);
        reply.headers.push((name.to_owned(), value.into()));
        reply
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self
    }
}

/// A request as a server saw it, for assertions.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// In their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Bytes of its body.
    pub received: usize,
    /// The status of the answer; 0 while there is none, and for a connection closed without one.
    pub status: u16,
    sent: Arc<AtomicU64>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Bytes of the answer's body handed to the connection so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }
}

/// What a server saw.
#[derive(Default)]
pub struct Log {
    seen: Mutex<Vec<Seen>>,
    open: AtomicUsize,
    most: AtomicUsize,
}

impl Log {
    /// Every request, in the order of arrival.
    pub fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests of a method (`*` is any) have this text in their path and query.
    pub fn count(&self, method: &str, contains: &str) -> usize {
        let wanted =
            |seen: &&Seen| (method == "*" || seen.method == method) && seen.target.contains(contains);
        self.requests().iter().filter(wanted).count()
    }

    /// The most requests that were in the works at one time, until the last byte of their answers.
    pub fn most_at_once(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    /// Forgets what was seen so far.
    pub fn clear(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.most.store(0, Ordering::SeqCst);
    }

    fn begin(self: &Arc<Self>, request: &Request) -> Entry {
        let sent = Arc::new(AtomicU64::new(0));
        let seen = Seen {
            method: request.method.clone(),
            target: request.target.clone(),
            headers: request.headers.clone(),
            received: request.body.len(),
            status: 0,
            sent: sent.clone(),
        };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
        self.most.fetch_max(self.open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        Entry { log: self.clone(), sent }
    }
}

/// A request in the works.
struct Entry {
    log: Arc<Log>,
    sent: Arc<AtomicU64>,
}

impl Entry {
    fn answered(&self, status: u16) {
        let mut all = self.log.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = all.iter_mut().find(|seen| Arc::ptr_eq(&seen.sent, &self.sent)) {
            seen.status = status;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.log.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Answers one request.
pub type Answer = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// Threads on which servers run; dropping them ends every connection.
pub struct Threads(Option<Runtime>);

impl Threads {
    pub fn start() -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        Self(Some(builder.worker_threads(2).enable_all().build().unwrap()))
    }

    /// Serves on a listener of [`listener`].
    pub fn serve(&self, listener: Listener, log: Arc<Log>, answer: Answer) {
        let runtime = self.0.as_ref().unwrap();
        let _inside = runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, answer) = (log.clone(), answer.clone());
                tokio::spawn(async move {
                    let service =
                        service_fn(|request: hyper::Request<Incoming>| serve_one(request, &log, &answer));
                    let io = hyper_util::rt::TokioIo::new(stream);
                    // A connection that the client or a fault broke is no news.
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
                });
            }
        });
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A listener on a free loopback port, and the port.
pub fn listener() -> (Listener, u16) {
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

type Broken = Box<dyn std::error::Error + Send + Sync>;

async fn serve_one(
    request: hyper::Request<Incoming>,
    log: &Arc<Log>,
    answer: &Answer,
) -> Result<hyper::Response<Sending>, Broken> {
    let request = Request::read(request).await?;
    let entry = log.begin(&request);
    let reply = answer(&request);
    tokio::time::sleep(reply.manner.delay).await;
    if reply.manner.hang {
        std::future::pending::<Infallible>().await;
    }
    if reply.manner.reset {
        return Err("closed without an answer".into());
    }
    entry.answered(reply.status);
    let mut response = hyper::Response::builder().status(reply.status);
    let told = reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    let length = reply.manner.declared.or((!reply.manner.endless).then_some(reply.body.len()));
    if let Some(length) = length.filter(|_| !told && reply.status != 204) {
        response = response.header("content-length", length);
    }
    let (sender, receiver) = mpsc::channel(1);
    if request.method != "HEAD" {
        tokio::spawn(send(reply.body, reply.manner, sender, entry));
    }
    Ok(response.body(Sending(receiver))?)
}

async fn send(body: Content, manner: Manner, to: mpsc::Sender<Result<Bytes, Broken>>, entry: Entry) {
    let (most, pause) = manner.slow.unwrap_or((64 * 1024, Duration::ZERO));
    let end = if manner.endless { u64::MAX } else { body.len() };
    let stop = manner.cut.map_or(end, |cut| cut.min(end));
    let mut at = 0;
    while at < stop {
        let wanted = usize::try_from(stop - at).unwrap_or(usize::MAX).min(most);
        let mut part = body.read(at, wanted);
        if manner.endless && part.is_empty() {
            part = vec![b' '; wanted];
        }
        let place = manner.corrupt.and_then(|place| usize::try_from(place.checked_sub(at)?).ok());
        if let Some(byte) = place.and_then(|place| part.get_mut(place)) {
            *byte ^= 0x20;
        }
        let length = part.len() as u64;
        if to.send(Ok(part.into())).await.is_err() {
            return;
        }
        entry.sent.fetch_add(length, Ordering::SeqCst);
        at += length;
        tokio::time::sleep(pause).await;
    }
    if stop < end || manner.declared.is_some() {
        tokio::time::sleep(FLUSH).await;
    }
    if stop < end {
        let _ = to.send(Err("cut".into())).await;
    }
}

/// A body that another task sends.
struct Sending(mpsc::Receiver<Result<Bytes, Broken>>);

impl Body for Sending {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        self.0.poll_recv(cx).map(|next| next.map(|part| part.map(Frame::data)))
    }
}
