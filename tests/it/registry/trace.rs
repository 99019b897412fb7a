//! What a trace says of the wire, and what it must not say.

use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use portcullis::registry::{Authorization, BlobSource, ErrorKind, Exchange, Trace};

use super::*;
use crate::support::registry::{Auth, Bearer, Fault, Registry, Switches, on};

/// The trace of every test here: all that any of them sent, as lines.
#[derive(Debug)]
pub struct Everything;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Trace for Everything {
    fn exchange(&self, exchange: &Exchange) {
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(exchange.to_string());
    }
}

/// What all tests of this process have sent so far.
pub fn lines() -> Vec<String> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The trace of one client.
#[derive(Debug, Default)]
pub struct Watch(Mutex<Vec<Exchange>>);

impl Watch {
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many exchanges there were with a host.
    pub fn count(&self, host: &str) -> usize {
        self.exchanges().iter().filter(|exchange| exchange.host == host).count()
    }
}

impl Trace for Watch {
    fn exchange(&self, exchange: &Exchange) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(exchange.clone());
    }
}

/// Settings whose exchanges are kept.
pub fn watched(settings: Settings) -> (Settings, Arc<Watch>) {
    let watch = Arc::new(Watch::default());
    (Settings { trace: Some(watch.clone()), ..settings }, watch)
}

/// Every secret that the tests of credentials use, and what it is turned into on the wire.
fn secrets() -> Vec<String> {
    let login = format!("{USER}:{PASSWORD}");
    let mut secrets: Vec<String> =
        [PASSWORD, "opaque/", "opaque%2F", "refresh", "sig=", "_state=", "of-no-use", "xxxxxxxx"]
            .map(str::to_owned)
            .to_vec();
    for plain in [login.as_str(), PASSWORD, "refresh"] {
        secrets.push(STANDARD.encode(plain).trim_end_matches('=').to_owned());
        secrets.push(URL_SAFE_NO_PAD.encode(plain));
    }
    secrets
}

#[test]
fn the_tests_of_credentials_leave_no_secret_in_the_trace() {
    for (_, test) in credentials::ALL {
        test();
    }
    let lines = lines();
    for kind in ["basic", "bearer", "none"] {
        let kind = format!(" authorization={kind} ");
        assert!(lines.iter().any(|line| line.contains(&kind)), "{kind}");
    }
    // The places where the secrets would stand are there.
    assert!(lines.iter().any(|line| line.contains("/blob/acme/app/") && line.contains("?*** ")));
    assert!(lines.iter().any(|line| line.contains("/token?service=")));
    for line in &lines {
        assert!(secrets().iter().all(|secret| !line.contains(secret.as_str())), "{line}");
        assert!(!line.contains(char::is_control), "{line:?}");
    }
}

#[test]
fn a_trace_says_what_was_asked_and_what_came_of_it() {
    let registry = Registry::start(Switches { auth: Auth::Bearer(Bearer::default()), ..Switches::default() });
    let digest = small_image(&registry);
    let at = registry.address();
    let (settings, watch) = watched(logged_in(&registry));
    let (client, repository) = open(&registry, settings);
    registry.script(on("GET", "/manifests/").skip(1), [Fault::bare(503)]);
    let pulled = client.run(repository.manifest(&by(&digest))).unwrap();
    let url = format!("http://{at}/v2/{APP}/manifests/{digest}");
    let lines: Vec<String> = watch.exchanges().iter().map(ToString::to_string).collect();
    let expected = [
        format!("GET {url} registry={at} host={at} authorization=none attempt=1 status=401 sent=0 received="),
        format!("GET http://{at}/token?service="),
        format!(
            "GET {url} registry={at} host={at} authorization=bearer attempt=1 status=503 sent=0 received=0"
        ),
        format!(
            "GET {url} registry={at} host={at} authorization=bearer attempt=2 status=200 sent=0 received={} ms=",
            pulled.bytes.len()
        ),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(&expected) {
        assert!(line.starts_with(expected), "{line}\n{expected}");
    }
    assert!(
        lines[1].contains(&format!("scope=repository%3Aacme%2Fapp%3Apull registry={at}")),
        "{}",
        lines[1]
    );
    assert!(lines[1].contains(" authorization=basic "), "{}", lines[1]);
}

#[test]
fn a_trace_tells_uploads_and_what_had_no_answer() {
    let registry = Registry::start(Switches::ghcr());
    let (settings, watch) =
        watched(Settings { retry: Retry { attempts: 1, ..settings().retry }, ..logged_in(&registry) });
    let (client, repository) = open(&registry, settings);
    let bytes = noise(5 << 20);
    let source = BlobSource::Bytes(bytes.clone().into());
    client.run(repository.push_blob(&descriptor(&bytes), source, None)).unwrap();
    let sent: u64 = watch.exchanges().iter().filter(|it| it.method == "PATCH").map(|it| it.sent).sum();
    assert_eq!(sent, 5 << 20);
    let puts: Vec<Exchange> = watch.exchanges().into_iter().filter(|it| it.method == "PUT").collect();
    assert_eq!(puts.len(), 1);
    let digest = descriptor(&bytes).digest.hex().to_owned();
    assert!(puts[0].url.ends_with(&format!("?***&digest=sha256%3A{digest}")), "{}", puts[0].url);
    registry.script(on("GET", "/manifests/").always(), [Fault::Reset]);
    client.run(repository.manifest(&tag("v1"))).unwrap_err();
    let last = watch.exchanges().pop().unwrap();
    assert_eq!((last.status, last.failure), (None, Some(ErrorKind::Unavailable)));
    assert_eq!(last.authorization, Authorization::Bearer);
    assert!(last.to_string().contains(" status=unreachable "), "{last}");
}
