//! The client, and the handle on one repository through which everything is done.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use reqwest::header::ACCEPT;
use reqwest::{Method, Url};
use serde::Deserialize;

use crate::model::digest::Digest;
use crate::model::reference::Reference;

use super::attach::Ledgers;
use super::error::{Error, ErrorKind};
use super::http::{Call, Host};
use super::limits;
use super::link::Pages;
use super::pace::Paces;
use super::settings::Settings;
use super::token::Need;

/// Repositories whose recent pushes are remembered, at most.
const REMEMBERED: usize = 10_000;

/// A client of registries. Cheap to clone; connections, tokens and limits are shared. It needs a tokio
/// runtime; [`super::Registry`] brings its own.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: Arc<Settings>,
    hosts: Mutex<BTreeMap<String, Arc<Host>>>,
    /// The same in the role of a mirror: with less patience, and left alone once they did not answer.
    mirrors: Mutex<BTreeMap<String, Arc<Host>>>,
    paces: Arc<Paces>,
    pushed: Mutex<BTreeMap<String, Instant>>,
    ledgers: Ledgers,
}

/// What a manifest is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// By tag: whatever it points to now.
    Tag(String),
    /// By digest.
    Digest(Digest),
}

impl Target {
    /// What a reference means: its digest, else its tag.
    #[must_use]
    pub fn of(reference: &Reference) -> Self {
        match &reference.digest {
            Some(digest) => Self::Digest(digest.clone()),
            None => Self::Tag(reference.tag.clone().unwrap_or_else(|| "latest".to_owned())),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl Client {
    /// A client. Nothing is asked yet.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            shared: Arc::new(Shared {
                settings: Arc::new(settings),
                hosts: Mutex::default(),
                mirrors: Mutex::default(),
                paces: Arc::default(),
                pushed: Mutex::default(),
                ledgers: Ledgers::default(),
            }),
        }
    }

    /// The repository of a reference.
    ///
    /// # Errors
    /// [`ErrorKind::Settings`] where the registry's name is no host.
    pub fn repository(&self, reference: &Reference) -> Result<Repository, Error> {
        self.open(&reference.registry, &reference.repository)
    }

    pub(super) fn open(&self, registry: &str, name: &str) -> Result<Repository, Error> {
        let settings = || Arc::clone(&self.shared.settings);
        let host = self.host(&self.shared.hosts, registry, settings)?;
        Ok(Repository { client: self.clone(), host, name: name.to_owned() })
    }

    fn host(
        &self,
        hosts: &Mutex<BTreeMap<String, Arc<Host>>>,
        registry: &str,
        settings: impl FnOnce() -> Arc<Settings>,
    ) -> Result<Arc<Host>, Error> {
        let mut hosts = hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let registry = registry.to_ascii_lowercase();
        if let Some(host) = hosts.get(&registry) {
            return Ok(Arc::clone(host));
        }
        let host = Arc::new(Host::new(&registry, settings(), Arc::clone(&self.shared.paces))?);
        hosts.insert(registry, Arc::clone(&host));
        Ok(host)
    }

    pub(super) fn ledgers(&self) -> &Ledgers {
        &self.shared.ledgers
    }
}

/// A repository in a registry: `ghcr.io/acme/app`.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(super) client: Client,
    pub(super) host: Arc<Host>,
    pub(super) name: String,
}

#[derive(Deserialize)]
struct Tags {
    tags: Option<Vec<String>>,
}

impl Repository {
    /// `registry/repository`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.host.registry, self.name)
    }

    /// How long after a push the registry may not show it yet.
    #[must_use]
    pub fn lag(&self) -> std::time::Duration {
        self.host.settings.times.lag
    }

    /// How errors name something in this repository.
    pub(super) fn at(&self, target: &Target) -> String {
        match target {
            Target::Tag(tag) => format!("{}:{tag}", self.name()),
            Target::Digest(digest) => format!("{}@{digest}", self.name()),
        }
    }

    /// The URL of an end point (distribution-spec, "Endpoints").
    pub(super) fn url(&self, end_point: &str) -> Url {
        let mut url = self.host.base.clone();
        url.set_path(&format!("/v2/{}/{end_point}", self.name));
        url
    }

    pub(super) fn call(&self, method: Method, url: Url, actions: &str, at: String) -> Call {
        Call::new(method, url, Need::new(&self.name, actions), at)
    }

    /// All tags, in the registry's order (distribution-spec, "Listing Tags").
    ///
    /// # Errors
    /// [`Error`] where any page could not be had: half a list is none.
    pub async fn tags(&self) -> Result<Vec<String>, Error> {
        let mut url = self.url("tags/list");
        // GHCR's page is 100 where nothing is asked for; registries cut what is too much for them.
        url.query_pairs_mut().append_pair("n", "1000");
        let mut pages = Pages::new(&url);
        let mut seen = std::collections::BTreeSet::new();
        let mut tags = Vec::new();
        loop {
            let call = self.call(Method::GET, url.clone(), "pull", self.name());
            let mut answer = self.host.send(&call.header(ACCEPT, "application/json")?).await?;
            let at = answer.at.clone();
            answer.refuse_web_page("no list of tags")?;
            let patience = self.host.settings.times.document;
            let bytes = answer.read(limits::MANIFEST, "the list of tags", patience).await?;
            let page: Tags = serde_json::from_slice(&bytes)
                .map_err(|_| Error::invalid(&at, "the list of tags is no JSON object with `tags`"))?;
            let before = tags.len();
            for tag in page.tags.unwrap_or_default() {
                if !is_tag(&tag) {
                    return Err(Error::invalid(&at, "the list of tags holds what is no tag"));
                }
                if seen.insert(tag.clone()) {
                    tags.push(tag);
                }
            }
            if tags.len() > limits::TAGS {
                let message = format!("more than {} tags (limit `tags`)", limits::TAGS);
                return Err(Error::new(ErrorKind::TooLarge, at, message));
            }
            let Some(next) = pages.next(&url, answer.response.headers(), &at)? else { return Ok(tags) };
            // Attack: ever new links, with always the same tags behind them.
            if tags.len() == before {
                return Err(Error::invalid(&at, "the list of tags goes on without a further tag"));
            }
            url = next;
        }
    }

    /// The mirror that is asked first for what has a digest; none once it did not answer.
    pub(super) fn mirror(&self) -> Option<Self> {
        let mirror = self.host.own.mirror.as_deref()?;
        let shared = &self.client.shared;
        let settings = || Arc::new(shared.settings.for_mirror());
        let host = self.client.host(&shared.mirrors, mirror, settings).ok()?;
        let usable = host.base != self.host.base && !host.is_unreachable.load(Ordering::Relaxed);
        usable.then(|| Self { client: self.client.clone(), host, name: self.name.clone() })
    }

    /// Remembers that we pushed something, so that its absence may be the registry's lag.
    pub(super) fn remember_push(&self, what: &str) {
        let mut pushed = self.client.shared.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        if pushed.len() >= REMEMBERED {
            let lag = self.host.settings.times.lag;
            pushed.retain(|_, at| at.elapsed() < lag);
        }
        pushed.insert(format!("{} {what}", self.name()), Instant::now());
        pushed.insert(self.name(), Instant::now());
    }

    /// Forgets a push: what we deleted is gone, and no lag.
    pub(super) fn forget_push(&self, what: &str) {
        let mut pushed = self.client.shared.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        pushed.remove(&format!("{} {what}", self.name()));
    }

    /// Whether we pushed `what` (or anything to this repository) so recently that a 404 may be lag.
    pub(super) fn was_just_pushed(&self, what: Option<&str>) -> bool {
        let pushed = self.client.shared.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        let key = match what {
            Some(what) => format!("{} {what}", self.name()),
            None => self.name(),
        };
        pushed.get(&key).is_some_and(|at| at.elapsed() < self.host.settings.times.lag)
    }
}

/// Distribution-spec, "Pulling manifests": `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub(super) fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}
