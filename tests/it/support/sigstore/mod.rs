//! A Sigstore to test against: identity provider, Fulcio, Rekor v1 and v2, timestamp authority and TUF
//! repository on loopback, each with faults by script ([`Service::fail`]), lies by script ([`Service::lie`])
//! and a clock that can be wrong.
//!
//! ```
//! let sigstore = Sigstore::start();
//! let files = sigstore.write(folder);
//! let token = sigstore.token(&Claims::github("acme/app", "release.yml", "refs/tags/v1"));
//! sigstore.rekor.fail_times(3, Fault::bare(502));
//! sigstore.tsa.lie(Lie::Nonce);
//! …
//! assert_eq!(sigstore.certificates(), 1);
//! ```
//!
//! What it signs holds before strict clients: `tests/it/sigstore.rs` and `tests/it/judges.rs` prove that.

pub mod certificate;
pub mod der;
pub mod extensions;
pub mod fulcio;
pub mod keys;
pub mod log;
pub mod merkle;
pub mod oidc;
pub mod rekor;
pub mod rekor2;
pub mod service;
pub mod trust;
pub mod tsa;
pub mod tuf;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::registry::http::Threads;
use fulcio::Fulcio;
use keys::Key;
use oidc::Provider;
pub use oidc::{Claims, GITHUB, REQUEST_TOKEN};
use rekor::Shared;
pub use service::{Call, Lie, Service};
use service::{Journal, Place, lock, now};
pub use trust::Version;
use tsa::Stamper;
pub use tuf::{Repository, Role};

/// A running Sigstore; it ends when dropped.
pub struct Sigstore {
    pub oidc: Service,
    pub fulcio: Service,
    /// Version 1.
    pub rekor: Service,
    /// Version 2.
    pub rekor2: Service,
    pub tsa: Service,
    pub tuf: Service,
    /// What the TUF repository holds.
    pub repository: Arc<Repository>,
    /// Who signs in, who asks for tokens.
    pub provider: Arc<Provider>,
    authority: Arc<Fulcio>,
    stamper: Arc<Stamper>,
    log1: Shared,
    log2: Shared,
    journal: Journal,
    started: i64,
    _threads: Threads,
}

/// The kind of key with which Rekor v2 signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKey {
    Ed25519,
    P256,
}

/// Documents that [`Sigstore::write`] wrote.
pub struct Files {
    pub trusted_root: PathBuf,
    pub signing_config_v1: PathBuf,
    pub signing_config_v2: PathBuf,
    pub client_trust_v1: PathBuf,
    pub client_trust_v2: PathBuf,
}

impl Files {
    pub fn signing_config(&self, rekor: Version) -> &Path {
        match rekor {
            Version::V1 => &self.signing_config_v1,
            Version::V2 => &self.signing_config_v2,
        }
    }

    pub fn client_trust(&self, rekor: Version) -> &Path {
        match rekor {
            Version::V1 => &self.client_trust_v1,
            Version::V2 => &self.client_trust_v2,
        }
    }
}

impl Sigstore {
    pub fn start() -> Self {
        Self::with_log_key(LogKey::Ed25519)
    }

    /// With this kind of key in Rekor v2.
    pub fn with_log_key(kind: LogKey) -> Self {
        let started = now();
        let (threads, journal) = (Threads::start(), Journal::default());
        let place = Place::new();
        let provider = Arc::new(Provider::new(&place.url));
        let own = provider.clone();
        let oidc = place.serve("oidc", &threads, &journal, move |r, c| oidc::answer(&own, r, c));
        let authority = Arc::new(Fulcio::new(provider.clone(), started));
        let own = authority.clone();
        let fulcio = Place::new().serve("fulcio", &threads, &journal, move |r, c| fulcio::answer(&own, r, c));
        let log1 = Arc::new(Mutex::new(rekor::state()));
        let own = log1.clone();
        let rekor = Place::new().serve("rekor", &threads, &journal, move |r, c| rekor::answer(&own, r, c));
        let key = match kind {
            LogKey::Ed25519 => Key::ed25519(),
            LogKey::P256 => Key::p256(),
        };
        let log2 = Arc::new(Mutex::new(rekor2::state(key)));
        let own = log2.clone();
        let rekor2 = Place::new().serve("rekor2", &threads, &journal, move |r, c| rekor2::answer(&own, r, c));
        let stamper = Arc::new(Stamper::new(started));
        let own = stamper.clone();
        let tsa = Place::new().serve("tsa", &threads, &journal, move |r, c| tsa::answer(&own, r, c));
        let repository = Arc::new(Repository::new(started));
        let own = repository.clone();
        let tuf = Place::new().serve("tuf", &threads, &journal, move |r, c| tuf::answer(&own, r, c));
        let sigstore = Self {
            oidc,
            fulcio,
            rekor,
            rekor2,
            tsa,
            tuf,
            repository,
            provider,
            authority,
            stamper,
            log1,
            log2,
            journal,
            started,
            _threads: threads,
        };
        for (name, document) in [
            ("trusted_root.json", sigstore.trusted_root()),
            ("signing_config.v0.2.json", sigstore.signing_config(Version::V1)),
            ("signing_config_rekor_v2.v0.2.json", sigstore.signing_config(Version::V2)),
        ] {
            sigstore.repository.publish(name, &serde_json::to_vec_pretty(&document).unwrap());
        }
        sigstore
    }

    /// Where timestamps are asked for.
    pub fn tsa_url(&self) -> String {
        format!("{}/api/v1/timestamp", self.tsa.url())
    }

    /// A token for Fulcio, without a request.
    pub fn token(&self, claims: &Claims) -> String {
        self.provider.token(claims, "sigstore", now(), &[])
    }

    /// A token that is wrong.
    pub fn wrong_token(&self, claims: &Claims, lie: Lie) -> String {
        self.provider.token(claims, "sigstore", now(), &[lie])
    }

    /// The environment of a job of GitHub.
    pub fn github_environment(&self) -> [(&'static str, String); 3] {
        [
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/github/token?api-version=2.0", self.oidc.url())),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN.to_owned()),
        ]
    }

    /// Every request so far, in the order of their answers.
    pub fn journal(&self) -> Vec<Call> {
        lock(&self.journal).clone()
    }

    pub fn forget(&self) {
        lock(&self.journal).clear();
    }

    /// Answers as it should from now on.
    pub fn mend(&self) {
        for service in [&self.oidc, &self.fulcio, &self.rekor, &self.rekor2, &self.tsa, &self.tuf] {
            service.mend();
        }
    }

    /// How many certificates were issued.
    pub fn certificates(&self) -> usize {
        self.authority.issued.load(Ordering::SeqCst)
    }

    /// The bodies in a log, in their order.
    pub fn entries(&self, rekor: Version) -> Vec<Value> {
        let log = match rekor {
            Version::V1 => lock(&self.log1),
            Version::V2 => lock(&self.log2),
        };
        log.entries.iter().map(|entry| serde_json::from_slice(&entry.body).unwrap()).collect()
    }

    /// Writes what clients read into a folder.
    pub fn write(&self, folder: &Path) -> Files {
        let write = |name: &str, document: Value| {
            let path = folder.join(name);
            std::fs::write(&path, serde_json::to_vec_pretty(&document).unwrap()).unwrap();
            path
        };
        Files {
            trusted_root: write("trusted_root.json", self.trusted_root()),
            signing_config_v1: write("signing_config.v0.2.json", self.signing_config(Version::V1)),
            signing_config_v2: write("signing_config_rekor_v2.v0.2.json", self.signing_config(Version::V2)),
            client_trust_v1: write("client_trust_config.json", self.client_trust_config(Version::V1)),
            client_trust_v2: write("client_trust_config_v2.json", self.client_trust_config(Version::V2)),
        }
    }
}
