//! The trusted root of an instance, by The Update Framework (theupdateframework.github.io/specification, 1.0.31).
//!
//! What TUF demands is checked by `sigstore-tuf` alone: signatures, versions, expiry, lengths and digests. Here is what
//! it leaves to its caller: how a repository is asked, where trust in it begins, and what is kept between runs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Method, Request, StatusCode, Url};
use serde::{Deserialize, Serialize};
use sigstore_tuf::transport::FetchFuture;
use sigstore_tuf::{MetadataStore, Repository, Updater, UpdaterConfig};

use crate::model::digest::Digest;
use crate::net::{Budget, Client, Failed, Retry, Times, hint};

use super::client::Settings;
use super::config::is_safe;
use super::error::{Error, ErrorKind};

/// The target that is wanted.
const TRUSTED_ROOT: &str = "trusted_root.json";

/// Bytes of a trusted root: 4 MiB; the public-good instance's has 7 KiB.
const MAX_TARGET: u64 = 4 << 20;

/// Bytes of the root metadata that trust begins with: 512 KB, as `sigstore-tuf` takes of later ones.
pub const MAX_TUF_ROOT: u64 = 512_000;

/// New versions of the root metadata that one refresh follows: 64; the public-good instance had 16 in five years.
const ROTATIONS: u32 = 64;

/// Bytes of what is kept of an instance: 32 MiB; the public-good instance's has 40 KiB.
pub const MAX_KEPT: usize = 32 << 20;

/// The longest that a refresh takes: a minute.
const LONGEST: Duration = Duration::from_secs(60);

/// Connections that are kept to one host.
const CONNECTIONS: usize = 1;

/// When the roots that come with portcullis were the newest: when `sigstore-trust-root` 0.15.1 was published.
const EMBEDDED: &str = "2026-10-23T00:00:00Z";

/// Beginning of the names of the root metadata that led to the newest one.
const HISTORY: &str = "root_history/";

/// Schema of what is kept.
const SCHEMA: &str = "portcullis.dev/trust/v1";

/// The TUF repository of an instance, and the root metadata that trust in it begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TufRepository {
    url: Url,
    root: Vec<u8>,
    name: String,
    /// When a trusted root from elsewhere was as new as this repository's.
    embedded: Option<Timestamp>,
}

/// What a refresh brought, or was kept of one.
#[derive(Clone, PartialEq, Eq)]
pub struct Refreshed {
    /// `trusted_root.json`.
    pub trusted_root: Vec<u8>,
    /// When the repository was asked.
    pub checked: Timestamp,
    /// Versions of its root metadata and of its timestamp. New root metadata may let the latter begin anew.
    version: (u64, u64),
    files: BTreeMap<String, Vec<u8>>,
}

/// What is kept, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    schema: String,
    checked: Timestamp,
    /// Metadata and target, by their names in `sigstore-tuf`'s stores. All of them are JSON, and so UTF-8.
    files: BTreeMap<String, String>,
}

impl Settings {
    /// For refreshing roots: a verification waits for it, and has a root to go on with.
    #[must_use]
    pub fn refreshing() -> Self {
        Self {
            retry: Retry { attempts: 3, first: Duration::from_millis(300), longest: Duration::from_secs(10) },
            times: Times {
                connect: Duration::from_secs(5),
                answer: Duration::from_secs(10),
                idle: Duration::from_secs(10),
            },
            ..Self::default()
        }
    }
}

impl TufRepository {
    /// That of Sigstore's public-good instance.
    ///
    /// # Errors
    /// Those of [`TufRepository::new`], which a test rules out.
    pub fn public_good() -> Result<Self, Error> {
        let root = include_bytes!("tuf/public-good.root.json");
        Self::built_in("public-good", "https://tuf-repo-cdn.sigstore.dev", root)
    }

    /// That of GitHub's instance.
    ///
    /// # Errors
    /// As [`TufRepository::public_good`].
    pub fn github() -> Result<Self, Error> {
        Self::built_in("github", "https://tuf-repo.github.com", include_bytes!("tuf/github.root.json"))
    }

    /// That of Sigstore's staging instance.
    ///
    /// # Errors
    /// As [`TufRepository::public_good`].
    pub fn staging() -> Result<Self, Error> {
        let root = include_bytes!("tuf/staging.root.json");
        Self::built_in("staging", "https://tuf-repo-cdn.sigstage.dev", root)
    }

    fn built_in(name: &str, url: &str, root: &[u8]) -> Result<Self, Error> {
        let embedded = EMBEDDED.parse().map_err(|_| Error::invalid(name, "no time"))?;
        Ok(Self { name: name.to_owned(), embedded: Some(embedded), ..Self::new(url, root.to_vec())? })
    }

    /// One of a private instance: its address, and its root metadata, which somebody must have brought here safely.
    ///
    /// # Errors
    /// [`ErrorKind::Settings`] where the address is none that may be asked, or the metadata is none.
    pub fn new(url: &str, root: Vec<u8>) -> Result<Self, Error> {
        let parsed = Url::parse(url)
            .map_err(|_| Error::new(ErrorKind::Settings, "the TUF repository", "its address is no URL"))?;
        // Attack, or a slip: a password in the address, which would stand in a log of CI.
        let host = parsed.host_str().unwrap_or_default();
        let unusable = |cause: &str| Error::new(ErrorKind::Settings, host, cause);
        // Attack: nothing is read that TUF does not verify, and yet whoever is on the way could hold it back.
        if !is_safe(&parsed) {
            return Err(unusable("a TUF repository must be reached by https://"));
        }
        let is_plain =
            parsed.username().is_empty() && parsed.password().is_none() && parsed.query().is_none();
        if !is_plain || parsed.fragment().is_some() || parsed.cannot_be_a_base() {
            return Err(unusable("a TUF repository's address has no user, password, query or fragment"));
        }
        Updater::new(Files::default(), &root)
            .map_err(|error| unusable(&format!("its root metadata cannot be used: {}", words(&error))))?;
        // Attack: what was kept of one instance in place of another.
        let mut all = format!("{parsed}\n").into_bytes();
        all.extend_from_slice(&root);
        let name = format!("custom-{}", Digest::sha256(&all).hex());
        Ok(Self { url: parsed, root, name, embedded: None })
    }

    /// A name for what is kept of it, which has letters, digits and hyphens alone.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When the root that comes with portcullis was the newest of this repository; none where none comes.
    #[must_use]
    pub fn embedded_at(&self) -> Option<Timestamp> {
        self.embedded
    }

    /// Verifies what was kept as TUF verified it when it was fetched: from the root metadata that trust begins with to
    /// the target. None where the root that comes with portcullis is newer.
    ///
    /// Attack: a cache that somebody edited. The time that stands there decides when the repository is asked again, and
    /// it cannot be later than the signed expiry of what is kept.
    ///
    /// # Errors
    /// Why it is not used.
    pub fn reread(&self, bytes: &[u8], now: Timestamp) -> Result<Option<Refreshed>, Error> {
        let damaged = |cause: String| Error::invalid(&self.url, cause);
        let kept: Kept = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        if kept.schema != SCHEMA {
            return Err(damaged(format!("its schema is not `{SCHEMA}`")));
        }
        if kept.checked > now {
            return Err(damaged(format!("it was kept at {}, which is still to come", kept.checked)));
        }
        // Attack: an older root put back under a newer portcullis.
        if self.embedded.is_some_and(|embedded| kept.checked < embedded) {
            return Ok(None);
        }
        let files = kept.files.into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
        let files = Files(Arc::new(Mutex::new(files)));
        let task = self.update(Files(files.0.clone()), files, kept.checked);
        runtime(&self.url)?.block_on(task).map(Some)
    }

    /// Asks the repository, beginning where what was kept ends. It blocks.
    ///
    /// # Errors
    /// Why there is no newer root: [`ErrorKind::Unavailable`] where the repository could not be asked or what it gave
    /// is not to be trusted.
    pub fn refresh(
        &self,
        settings: &Settings,
        kept: Option<&Refreshed>,
        now: Timestamp,
    ) -> Result<Refreshed, Error> {
        let files = kept.map(|kept| kept.files.clone()).unwrap_or_default();
        let files = Files(Arc::new(Mutex::new(files)));
        let asked = Asked {
            client: settings.client(&self.url, CONNECTIONS)?,
            retry: settings.retry,
            base: self.url.clone(),
        };
        let runtime = runtime(&self.url)?;
        let limit = settings.deadline.unwrap_or(LONGEST).min(LONGEST);
        // Attack: answers that drip, each within its own patience.
        let ended = runtime.block_on(async {
            tokio::time::timeout(limit, self.update(asked, files, now)).await.unwrap_or_else(|_| {
                let message = format!("takes longer than {} ms", limit.as_millis());
                Err(Error::new(ErrorKind::Unavailable, &self.url, message))
            })
        });
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        ended
    }

    async fn update(
        &self,
        repository: impl Repository + 'static,
        files: Files,
        now: Timestamp,
    ) -> Result<Refreshed, Error> {
        let failed =
            |error: &sigstore_tuf::Error| Error::new(ErrorKind::Unavailable, &self.url, words(error));
        let mut config = UpdaterConfig::default();
        config.max_root_rotations = ROTATIONS;
        config.target_max_length = MAX_TARGET;
        // The crate has an older jiff.
        let at = now.to_string().parse().map_err(|_| Error::invalid(&self.url, "no time"))?;
        let updater = Updater::new(repository, &self.root).map_err(|error| failed(&error))?;
        let mut updater = updater.with_config(config).with_store(Files(files.0.clone()));
        updater.refresh(at).await.map_err(|error| failed(&error))?;
        let trusted_root = updater.get_target(TRUSTED_ROOT, at).await.map_err(|error| failed(&error))?;
        let trusted = updater.trusted();
        let version = (trusted.root().version, trusted.timestamp().map_or(0, |timestamp| timestamp.version));
        Ok(Refreshed { trusted_root, checked: now, version, files: files.take() })
    }
}

impl Refreshed {
    /// As it is kept.
    ///
    /// # Errors
    /// It is too large to be read again.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).map_err(|error| error.to_string());
        let files = self.files.iter().map(|(name, bytes)| Ok((name.clone(), text(bytes)?)));
        let files = files.collect::<Result<_, String>>()?;
        let kept = Kept { schema: SCHEMA.to_owned(), checked: self.checked, files };
        let bytes = serde_json::to_vec(&kept).map_err(|error| error.to_string())?;
        match bytes.len() {
            length if length <= MAX_KEPT => Ok(bytes),
            length => Err(format!("{length} bytes are more than the limit of {MAX_KEPT}")),
        }
    }

    /// Whether the repository had told more when this was fetched.
    #[must_use]
    pub fn is_ahead_of(&self, other: &Self) -> bool {
        self.version > other.version
    }
}

impl std::fmt::Debug for Refreshed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refreshed").field("checked", &self.checked).finish_non_exhaustive()
    }
}

fn runtime(at: &Url) -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| Error::new(ErrorKind::Settings, at, error.to_string()))
}

/// An error and its causes.
fn words(error: &sigstore_tuf::Error) -> String {
    if let sigstore_tuf::Error::Transport { message, source: None } = error {
        return message.clone();
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

/// Metadata and target that TUF verified, by name.
#[derive(Default)]
struct Files(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl Files {
    fn take(self) -> BTreeMap<String, Vec<u8>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn get(&self, name: &str) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

/// A name without the version that stands before it where snapshots are consistent.
fn unversioned(name: &str) -> &str {
    match name.split_once('.') {
        Some((version, rest)) if version.parse::<u64>().is_ok() => rest,
        Some(_) | None => name,
    }
}

impl MetadataStore for Files {
    fn load(&self, name: &str) -> sigstore_tuf::Result<Option<Vec<u8>>> {
        Ok(self.get(name))
    }

    fn store(&self, name: &str, bytes: &[u8]) -> sigstore_tuf::Result<()> {
        // The newest is kept under its name without a version too, and the chain of roots apart.
        if name.starts_with(HISTORY) || unversioned(name) == name {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), bytes.to_vec());
        }
        Ok(())
    }
}

/// What was kept, in place of a repository.
impl Repository for Files {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max: u64) -> FetchFuture<'a> {
        // The chain of roots was followed already, in the store.
        let found = if name.ends_with(".root.json") { None } else { self.get(unversioned(name)) };
        Box::pin(async move { Ok(found.filter(|bytes| bytes.len() as u64 <= max)) })
    }

    fn fetch_target<'a>(&'a self, _: &'a str, _: u64) -> FetchFuture<'a> {
        // What was kept is the very target that is listed, or it is none.
        Box::pin(async { Ok(None) })
    }
}

/// A repository that is asked.
struct Asked {
    client: Client,
    retry: Retry,
    base: Url,
}

impl Repository for Asked {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max: u64) -> FetchFuture<'a> {
        Box::pin(async move { self.get(&[name], max).await.map_err(sigstore_tuf::Error::transport) })
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max: u64) -> FetchFuture<'a> {
        Box::pin(
            async move { self.get(&["targets", path], max).await.map_err(sigstore_tuf::Error::transport) },
        )
    }
}

impl Asked {
    /// A file of the repository; none where it says that there is none.
    async fn get(&self, path: &[&str], max: u64) -> Result<Option<Vec<u8>>, String> {
        let mut url = self.base.clone();
        // Attack: a name that leads to another host. Here it can be but a path.
        url.path_segments_mut()
            .map_err(|()| "no path".to_owned())?
            .pop_if_empty()
            .extend(path.iter().flat_map(|part| part.split('/')));
        let mut budget = Budget::new(self.retry);
        loop {
            let (failed, hint) = match self.attempt(&url, max).await {
                Ok(Answer::File(bytes)) => return Ok(Some(bytes)),
                Ok(Answer::None) => return Ok(None),
                Ok(Answer::Later(failed, hint)) => (failed, hint),
                Err(failed) => (failed, None),
            };
            let name = path.last().copied().unwrap_or_default();
            match budget.next(failed.temporary, hint) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(format!("{name}: {}", failed.message)),
            }
        }
    }

    async fn attempt(&self, url: &Url, max: u64) -> Result<Answer, Failed> {
        let response = self.client.send(Request::new(Method::GET, url.clone())).await?;
        let status = response.status();
        match status.as_u16() {
            200 => {}
            // Object stores answer 403 for what is not there. It is asked of the next root metadata alone, and whoever
            // hides one thereby holds back what expires.
            404 => return Ok(Answer::None),
            403 if url.path().ends_with(".root.json") => return Ok(Answer::None),
            408 | 425 | 429 | 500..=599 => {
                let failed = Failed::temporary(format!("answers {}", status.as_u16()));
                return Ok(Answer::Later(failed, hint(response.headers(), "")));
            }
            _ => return Err(refused(status)),
        }
        self.client.whole(response, max).await.map(Answer::File)
    }
}

fn refused(status: StatusCode) -> Failed {
    let advice =
        if status.is_redirection() { ": it sends us to another place, which is not followed" } else { "" };
    Failed::lasting(format!("answers {}{advice}", status.as_u16()))
}

/// What a repository answers.
enum Answer {
    File(Vec<u8>),
    None,
    /// Nothing now; asking again may help, and when it wants to be asked.
    Later(Failed, Option<Duration>),
}

#[cfg(test)]
mod tests;
