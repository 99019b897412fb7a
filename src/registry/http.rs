//! One request to one registry: the guard before it, credentials with it, redirects, repetitions, and a
//! bounded answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Certificate, Client, Identity, Method, StatusCode, Url};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::net::Budget;

use super::challenge;
use super::error::{Error, ErrorKind};
use super::guard::{self, Guard, Resolver};
use super::limits;
use super::pace::Paces;
use super::settings::{HostSettings, Settings, read_bounded, settings};
use super::token::{Access, Need, Scheme};
use super::trace::{Note, Reply};

/// What we call ourselves.
const USER_AGENT: &str = concat!("portcullis/", env!("CARGO_PKG_VERSION"));

/// HTTP clients kept for one registry: itself, its token service, its hosts of blobs.
const CLIENTS: usize = 16;

/// How long the body of an answer that is an error is waited for: it only explains.
const ERROR_BODY_WAIT: Duration = Duration::from_secs(5);

/// A registry and everything that is known of it.
#[derive(Debug)]
pub(super) struct Host {
    /// As references name it.
    pub(super) registry: String,
    /// Where its requests go.
    pub(super) base: Url,
    pub(super) settings: Arc<Settings>,
    pub(super) own: HostSettings,
    pub(super) access: Access,
    /// Whether it has listed referrers once: from then on that it does not is no answer.
    pub(super) lists_referrers: AtomicBool,
    /// Streams of blobs are counted apart: whoever holds one while it asks for something else, as a copy
    /// does, would otherwise wait for itself.
    pub(super) streams: Arc<Semaphore>,
    /// Whether a request got no answer: a mirror is left alone from then on.
    pub(super) is_unreachable: AtomicBool,
    requests: Arc<Semaphore>,
    paces: Arc<Paces>,
    guard: Arc<Guard>,
    clients: Mutex<BTreeMap<(String, u16), Client>>,
}

/// A request, as it is sent and perhaps sent again.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) need: Need,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// What errors say it is about.
    pub(super) at: String,
    /// Whether redirects are followed; else they are an answer.
    pub(super) follow: bool,
    /// Whether it may be sent again when nobody knows what became of it.
    pub(super) repeatable: bool,
    /// Which attempt this is, for whoever watches.
    pub(super) attempt: u32,
}

impl Call {
    pub(super) fn new(method: Method, url: Url, need: Need, at: impl Into<String>) -> Self {
        Self {
            follow: matches!(method, Method::GET | Method::HEAD),
            method,
            url,
            need,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            at: at.into(),
            repeatable: true,
            attempt: 1,
        }
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Result<Self, Error> {
        let value = HeaderValue::from_str(value).map_err(|_| {
            Error::invalid(&self.at, format!("`{name}` has characters that no header may carry"))
        })?;
        self.headers.insert(name, value);
        Ok(self)
    }
}

/// An answer of success, or a redirect that was not to be followed.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Reply,
    pub(super) at: String,
    permit: Option<OwnedSemaphorePermit>,
}

impl Answer {
    /// Lets other requests go on while the body is read: for streams, which are counted apart.
    pub(super) fn release(&mut self) {
        self.permit = None;
    }

    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn header(&self, name: impl reqwest::header::AsHeaderName) -> Option<&str> {
        self.response.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// The media type of the body, in lower case and without parameters.
    pub(super) fn media_type(&self) -> Option<String> {
        media_type(&self.response)
    }

    /// # Errors
    /// `Invalid` where the answer is a web page, and `no_what` was asked for.
    pub(super) fn refuse_web_page(&self, no_what: &str) -> Result<(), Error> {
        refuse_web_page(&self.response, no_what, &self.at)
    }

    pub(super) async fn read(
        &mut self,
        limit: u64,
        what: &str,
        patience: Duration,
    ) -> Result<Vec<u8>, Error> {
        read_body(&mut self.response, limit, what, &self.at, patience).await
    }
}

impl Host {
    /// # Errors
    /// `Settings` where the name makes no URL.
    pub(super) fn new(registry: &str, settings: Arc<Settings>, paces: Arc<Paces>) -> Result<Self, Error> {
        // Docker's own registry answers under another name than its references say.
        let name = if registry == "docker.io" { "registry-1.docker.io" } else { registry };
        let parse = |scheme: &str| {
            Url::parse(&format!("{scheme}://{name}/"))
                .map_err(|_| self::settings(registry, "the registry's name is no host"))
        };
        let mut base = parse("https")?;
        let (host, port) = guard::authority(&base);
        // `http://host` without a port is port 80, and may be listed as such.
        let plain = parse("http")?;
        let plain_port = guard::authority(&plain).1;
        if settings.is_insecure(&host, port) || settings.is_insecure(&host, plain_port) {
            base = plain;
        }
        let own = settings.host(&host, guard::authority(&base).1).cloned().unwrap_or_default();
        Ok(Self {
            registry: registry.to_owned(),
            guard: Arc::new(Guard::new(&base, Arc::clone(&settings))),
            requests: Arc::new(Semaphore::new(own.concurrency())),
            streams: Arc::new(Semaphore::new(own.concurrency())),
            access: Access::default(),
            lists_referrers: AtomicBool::new(false),
            is_unreachable: AtomicBool::new(false),
            paces,
            clients: Mutex::default(),
            base,
            own,
            settings,
        })
    }

    /// Sends a request, again where that may help, and answers success; a redirect only where `call` wants
    /// to see it.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, Error> {
        let mut budget = Budget::new(self.settings.retry);
        let mut call = call.clone();
        loop {
            let error = match self.attempt(&call).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // A refusal was not acted on. After silence or 5xx nobody knows.
            let refused = error.kind == ErrorKind::RateLimited;
            match error.wait(&mut budget) {
                Some(wait) if call.repeatable || refused => tokio::time::sleep(wait).await,
                Some(_) | None => return Err(error),
            }
            call.attempt += 1;
        }
    }

    async fn attempt(&self, call: &Call) -> Result<Answer, Error> {
        let permit = Arc::clone(&self.requests).acquire_owned().await;
        let permit = permit.map_err(|_| Error::new(ErrorKind::Unavailable, &call.at, "shut down"))?;
        let (mut response, authorization) = self.authorized(call).await?;
        let mut url = call.url.clone();
        let mut hops = 0;
        while call.follow && is_redirect(response.status()) {
            hops += 1;
            if hops > limits::REDIRECTS {
                let message = format!("more than {} redirects (limit `redirects`)", limits::REDIRECTS);
                return Err(Error::invalid(&call.at, message));
            }
            url = target(&url, &response, &call.at)?;
            // Attack: a redirect to another host that takes the token along. Only the registry itself sees it.
            let own = guard::is_same_origin(&url, &self.base);
            response = self.exchange(call, &url, authorization.as_ref().filter(|_| own)).await?;
        }
        let status = response.status();
        if status.is_success() || (!call.follow && is_redirect(status)) {
            return Ok(Answer { response, at: call.at.clone(), permit: Some(permit) });
        }
        let body = read_error_body(&mut response).await;
        let error = Error::of_answer(&call.at, &call.method, status, response.headers(), &body);
        // Else it is the answer of a host of blobs, which was shown nothing.
        let own = guard::is_same_origin(&url, &self.base);
        Err(if own { self.explained(error, &call.need, authorization.as_ref()).await } else { error })
    }

    /// Sends a request with what lets it in; learns that from the first answer, and once more where it is
    /// refused.
    async fn authorized(&self, call: &Call) -> Result<(Reply, Option<HeaderValue>), Error> {
        let began = Instant::now();
        let mut learned = self.access.learned.lock().await;
        if learned.scheme.is_none() {
            // Who waited while another tried in vain, has waited for the same answer.
            if let Some((_, error)) = learned.failed.as_ref().filter(|(at, _)| *at > began) {
                return Err(Error { at: call.at.clone(), ..error.clone() });
            }
            let response = match self.exchange(call, &call.url, None).await {
                Ok(response) => response,
                Err(error) => {
                    learned.failed = Some((Instant::now(), error.clone()));
                    return Err(error);
                }
            };
            let status = response.status();
            match challenge::parse(response.headers()) {
                Some(challenge) if status == StatusCode::UNAUTHORIZED => {
                    learned.scheme = Some(Scheme::of(&challenge, &call.at)?);
                }
                _ => {
                    // 429 or 502 say nothing of how the registry lets one in.
                    if status.is_success() || is_redirect(status) || status == StatusCode::NOT_FOUND {
                        learned.scheme = Some(Scheme::Open);
                    }
                    return Ok((response, None));
                }
            }
        }
        let scheme = learned.scheme.clone().unwrap_or(Scheme::Open);
        drop(learned);
        let first = self.authorization(&scheme, &call.need, None, None, &call.at).await?;
        let response = self.exchange(call, &call.url, first.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok((response, first));
        }
        let Some(challenge) = challenge::parse(response.headers()) else { return Ok((response, first)) };
        // The token expired early, was revoked, or is not enough; or only this repository asks for one.
        let scheme = Scheme::of(&challenge, &call.at)?;
        self.access.learned.lock().await.scheme = Some(scheme.clone());
        let asked = match &challenge {
            challenge::Challenge::Bearer { scope, .. } => scope.as_deref(),
            challenge::Challenge::Basic => None,
        };
        let again = self.authorization(&scheme, &call.need, asked, first.as_ref(), &call.at).await?;
        if again == first && matches!(scheme, Scheme::Basic) {
            return Ok((response, first));
        }
        let response = self.exchange(call, &call.url, again.as_ref()).await?;
        Ok((response, again))
    }

    /// One round trip, past the guard.
    pub(super) async fn exchange(
        &self,
        call: &Call,
        url: &Url,
        authorization: Option<&HeaderValue>,
    ) -> Result<Reply, Error> {
        let at = call.at.as_str();
        self.guard.check(url).map_err(|blocked| Error::new(ErrorKind::Refused, at, blocked.to_string()))?;
        let mut request = reqwest::Request::new(call.method.clone(), url.clone());
        *request.headers_mut() = call.headers.clone();
        request.headers_mut().remove(AUTHORIZATION);
        if let Some(authorization) = authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        if !call.body.is_empty() {
            *request.body_mut() = Some(call.body.clone().into());
        } else if matches!(call.method, Method::PUT | Method::POST | Method::PATCH) {
            // Some registries and proxies answer 411 to a PUT without a length.
            request.headers_mut().insert(reqwest::header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let client = self.client(url)?;
        let (host, port) = guard::authority(url);
        if let Some((name, rate)) = self.settings.rate(&host, port) {
            self.paces.of(name, rate).wait().await;
        }
        let mut note = self.settings.trace.as_ref().map(|trace| {
            let what = (&call.method, url, *url != call.url);
            let counts = (call.attempt, call.body.len());
            Note::new(Arc::clone(trace), &self.registry, what, authorization, counts)
        });
        let sent = client.execute(request);
        let error = match tokio::time::timeout(self.settings.times.answer, sent).await {
            Ok(Ok(response)) => return Ok(Reply::new(response, note)),
            Ok(Err(error)) => Error::of_network(at, error),
            Err(_) => Error::late(at, self.settings.times.answer),
        };
        if let Some(note) = &mut note {
            note.failed(error.kind);
        }
        self.is_unreachable.store(true, Ordering::Relaxed);
        Err(error)
    }

    /// The HTTP client for the host of a URL: each has its own certificates.
    fn client(&self, url: &Url) -> Result<Client, Error> {
        let target = guard::authority(url);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&target) {
            return Ok(client.clone());
        }
        let client = self.build_client(&target)?;
        // Attack: redirects to ever new hosts.
        if clients.len() >= CLIENTS {
            clients.clear();
        }
        clients.insert(target, client.clone());
        Ok(client)
    }

    fn build_client(&self, (host, port): &(String, u16)) -> Result<Client, Error> {
        let at = format!("the settings of `{host}`");
        let unusable = |error: reqwest::Error| settings(&at, format!("no TLS client: {error}"));
        let own = self.settings.host(host, *port).cloned().unwrap_or_default();
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .connect_timeout(self.settings.times.connect)
            .dns_resolver(Arc::new(Resolver(Arc::clone(&self.guard))))
            // One connection a stream: parallel layers do not share a window, and the client has no HTTP/2
            // for a hostile server to play with.
            .http1_only()
            .no_proxy();
        if let Some(ca) = &self.settings.ca {
            builder = builder.tls_certs_merge(certificates(ca)?);
        }
        if let Some(ca) = &own.ca {
            builder = builder.tls_certs_only(certificates(ca)?);
        }
        if let (Some(certificate), Some(key)) = (&own.client_cert, &own.client_key) {
            let mut pem = required(key)?;
            pem.push(b'\n');
            pem.extend(required(certificate)?);
            builder = builder.identity(Identity::from_pem(&pem).map_err(unusable)?);
        }
        builder = self.settings.proxies.apply(builder).map_err(unusable)?;
        // A client that cannot be as it was asked for is an error, never one with default roots.
        builder.build().map_err(unusable)
    }
}

fn required(path: &std::path::Path) -> Result<Vec<u8>, Error> {
    read_bounded(path)?.ok_or_else(|| settings(path.display().to_string(), "no such file"))
}

fn certificates(path: &std::path::Path) -> Result<Vec<Certificate>, Error> {
    let at = path.display().to_string();
    let found = Certificate::from_pem_bundle(&required(path)?)
        .map_err(|error| settings(&at, format!("no PEM certificates: {error}")))?;
    // An empty list would mean "no further roots": what was meant is not what would happen.
    if found.is_empty() { Err(settings(at, "it holds no PEM certificate")) } else { Ok(found) }
}

fn media_type(response: &Reply) -> Option<String> {
    let value = response.headers().get(reqwest::header::CONTENT_TYPE)?.to_str().ok()?;
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    (!media_type.is_empty()).then_some(media_type)
}

/// Attack, or a login page in between: 200 with HTML, for clients that look at the status alone.
pub(super) fn refuse_web_page(response: &Reply, no_what: &str, at: &str) -> Result<(), Error> {
    match media_type(response).filter(|media_type| media_type.contains("html")) {
        None => Ok(()),
        Some(other) => {
            let message = format!(
                "the answer is a web page (`{}`) and {no_what}: a proxy or a login page stands in between; \
                 check the registry's name and the proxy",
                crate::model::path::escape(other.as_bytes())
            );
            Err(Error::invalid(at, message))
        }
    }
}

pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect leads.
fn target(from: &Url, response: &Reply, at: &str) -> Result<Url, Error> {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| Error::invalid(at, "a redirect without a target"))?;
    from.join(location).map_err(|_| Error::invalid(at, "a redirect whose target is no URL"))
}

/// Reads a body whole.
///
/// # Errors
/// `TooLarge` as soon as it is longer than `limit`: one byte more is read, no matter how many there are.
pub(super) async fn read_body(
    response: &mut Reply,
    limit: u64,
    what: &str,
    at: &str,
    patience: Duration,
) -> Result<Vec<u8>, Error> {
    let too_large = || Error::too_large(at, what, limit);
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let reading = async {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| Error::of_network(at, error))? {
            // Attack: an endless manifest.
            if bytes.len() as u64 + chunk.len() as u64 > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    // Attack: a manifest that comes a byte a minute.
    tokio::time::timeout(patience, reading).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Unavailable, at, format!("{what} does not come in time")))
    })
}

/// The beginning of the body of an answer that is an error; what can be had of it.
pub(super) async fn read_error_body(response: &mut Reply) -> Vec<u8> {
    let mut bytes = Vec::new();
    let reading = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = usize::try_from(limits::ERROR_BODY).unwrap_or(usize::MAX).saturating_sub(bytes.len());
            bytes.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
            if room <= chunk.len() {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(ERROR_BODY_WAIT, reading).await;
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks `url` on behalf of a registry somewhere in the internet.
    fn ask(url: &str) -> Error {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let host = Host::new("registry.example", Arc::default(), Arc::default()).unwrap();
            let need = Need::new("acme/app", "pull");
            let call = Call::new(Method::GET, Url::parse(url).unwrap(), need, "it");
            host.exchange(&call, &call.url, None).await.unwrap_err()
        })
    }

    #[test]
    fn a_name_is_judged_by_what_it_resolves_to() {
        // The name is no address and its scheme is right: only its address tells.
        let error = ask("https://localhost:1/token");
        assert_eq!(error.kind, ErrorKind::Refused, "{error}");
        assert!(error.message.contains("this machine"), "{error}");
    }

    #[test]
    fn a_registry_is_asked_by_tls_unless_it_is_listed() {
        let mut settings = Settings::default();
        settings.allow_insecure("a.example:5000");
        let settings = Arc::new(settings);
        for (registry, want) in [
            ("a.example:5000", "http://a.example:5000/"),
            ("a.example", "https://a.example/"),
            ("a.example:5001", "https://a.example:5001/"),
            ("docker.io", "https://registry-1.docker.io/"),
        ] {
            assert_eq!(
                Host::new(registry, Arc::clone(&settings), Arc::default()).unwrap().base.as_str(),
                want
            );
        }
    }
}
