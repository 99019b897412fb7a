//! What the services have in common: an address, a clock, faults by script, lies by script, and a journal.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;

use super::super::registry::faults::{Fault, On, Script, apply, on};
use super::super::registry::http::{Log, Reply, Request, Threads, listener};

/// What a service does wrong in an answer that looks like every other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lie {
    // The identity provider.
    /// The token ran out an hour ago.
    Expired,
    /// The token is for another service.
    Audience(&'static str),
    /// The token is signed by a key that the provider does not publish.
    TokenKey,
    /// Another issuer signs as this one.
    Issuer(&'static str),

    // The certificate authority.
    /// No SCT in the certificate.
    NoSct,
    /// The SCT is signed by a key that is not the log's, under the log's id.
    SctKey,
    /// The SCT is of another log.
    SctLog,
    /// The certificate's issuer is of another root with the same name.
    OtherRoot,
    /// The certificate is for another key than the one asked for.
    OtherSubjectKey,
    /// The certificate is not for signing code.
    NoCodeSigning,
    /// The SCT is beside the certificate and not in it.
    DetachedSct,

    // The logs.
    /// The checkpoint is signed by another key, with the log's key id.
    CheckpointKey,
    /// The checkpoint is another log's, signed by that log.
    OtherLog,
    /// The checkpoint tells another root, rightly signed.
    CheckpointRoot,
    /// The proof leads to the root of a smaller tree, and the checkpoint is today's.
    StaleProof,
    /// The proof is of another entry.
    OtherProof,
    /// No inclusion proof.
    NoProof,
    /// The signed entry timestamp is of another key.
    SetKey,
    /// No signed entry timestamp.
    NoSet,
    /// The time is not the one that was signed.
    IntegratedTime,
    /// The entry is of another signature.
    OtherEntry,

    // The timestamp authority.
    /// Another nonce.
    Nonce,
    /// A timestamp of something else.
    Imprint,
    /// Signed by a key that is not the authority's.
    TsaKey,
    /// Another policy.
    Policy,
    /// The request is rejected, with status 200 as RFC 3161 has it.
    Rejected,
    /// The time has a fraction that ends in zero, which is no DER.
    Fraction,

    // The TUF repository.
    /// Metadata is signed by keys of nobody.
    TufKey,
    /// A target whose bytes are not those listed.
    TargetBytes,
}

/// A request that a service got.
#[derive(Clone, Debug)]
pub struct Call {
    pub service: &'static str,
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// Bytes of the body.
    pub received: usize,
    /// The answer's status; 0 where the connection was closed or left hanging instead.
    pub status: u16,
}

pub type Journal = Arc<Mutex<Vec<Call>>>;

#[derive(Default)]
struct State {
    script: Mutex<Script>,
    lies: Mutex<Vec<(Lie, usize)>>,
    skew: AtomicI64,
    limit: AtomicUsize,
}

/// A running service; it ends when dropped with the [`Threads`].
pub struct Service {
    name: &'static str,
    url: String,
    state: Arc<State>,
    journal: Journal,
}

/// What a service knows while it answers.
pub struct Context<'a> {
    /// Its time, in seconds since 1970.
    pub now: i64,
    state: &'a State,
}

impl Context<'_> {
    /// The lies that this answer tells.
    pub fn lies(&self) -> Vec<Lie> {
        let mut lies = lock(&self.state.lies);
        let told = lies.iter().map(|(lie, _)| lie.clone()).collect();
        for (_, times) in lies.iter_mut() {
            *times = times.saturating_sub(1);
        }
        lies.retain(|(_, times)| *times > 0);
        told
    }

    /// Whether this answer tells one lie. Others stay for the answers that can tell them.
    pub fn tells(&self, lie: &Lie) -> bool {
        let mut lies = lock(&self.state.lies);
        let told = lies.iter_mut().find(|(other, _)| other == lie).map(|(_, times)| *times -= 1);
        lies.retain(|(_, times)| *times > 0);
        told.is_some()
    }
}

/// A service that is not served yet: what it is has to know its address.
pub struct Place {
    listener: std::net::TcpListener,
    pub url: String,
}

impl Place {
    pub fn new() -> Self {
        let (listener, port) = listener();
        Self { listener, url: format!("http://127.0.0.1:{port}") }
    }

    pub fn serve(
        self,
        name: &'static str,
        threads: &Threads,
        journal: &Journal,
        answer: impl Fn(&Request, &Context<'_>) -> Reply + Send + Sync + 'static,
    ) -> Service {
        let state = Arc::new(State::default());
        state.limit.store(usize::MAX, Ordering::SeqCst);
        let (own, written) = (state.clone(), journal.clone());
        let respond = move |request: &Request| {
            let faults = lock(&own.script).meet(request);
            let limit = own.limit.load(Ordering::SeqCst);
            let reply = apply(&faults, request, || {
                if request.body.len() > limit {
                    return refusal(413, "http: request body too large");
                }
                answer(request, &Context { now: now() + own.skew.load(Ordering::SeqCst), state: &own })
            });
            let silent = reply.manner.hang || reply.manner.reset;
            lock(&written).push(Call {
                service: name,
                method: request.method.clone(),
                target: request.target.clone(),
                received: request.body.len(),
                status: if silent { 0 } else { reply.status },
            });
            reply
        };
        threads.serve(self.listener, Arc::new(Log::default()), Arc::new(respond));
        Service { name, url: self.url, state, journal: journal.clone() }
    }
}

impl Service {
    /// Without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The next request meets this fault.
    pub fn fail(&self, fault: Fault) {
        self.fail_on(on("*", ""), [fault]);
    }

    /// So many requests on end meet this fault.
    pub fn fail_times(&self, times: usize, fault: Fault) {
        self.fail_on(on("*", "").times(times), [fault]);
    }

    /// Every request from now on meets this fault.
    pub fn down(&self, fault: Fault) {
        self.fail_on(on("*", "").always(), [fault]);
    }

    /// The requests that are meant meet these faults.
    pub fn fail_on(&self, on: On, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.state.script).add(on, faults);
    }

    /// The next answer that can tell this lie does.
    pub fn lie(&self, lie: Lie) {
        self.lie_times(1, lie);
    }

    pub fn lie_times(&self, times: usize, lie: Lie) {
        lock(&self.state.lies).push((lie, times));
    }

    /// Its clock is so many seconds ahead of the system's.
    pub fn skew(&self, seconds: i64) {
        self.state.skew.store(seconds, Ordering::SeqCst);
    }

    /// Refuses longer bodies with 413.
    pub fn limit(&self, bytes: usize) {
        self.state.limit.store(bytes, Ordering::SeqCst);
    }

    /// Answers as it should from now on.
    pub fn mend(&self) {
        lock(&self.state.script).clear();
        lock(&self.state.lies).clear();
        self.skew(0);
        self.limit(usize::MAX);
    }

    /// How many requests came so far.
    pub fn count(&self) -> usize {
        lock(&self.journal).iter().filter(|call| call.service == self.name).count()
    }
}

/// An error as these services word it.
pub fn refusal(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"code": status, "message": message}))
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since 1970.
pub fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a server knows what time it is")]
    jiff::Timestamp::now().as_second()
}
