//! Referrers pushed and deleted, and the fallback tag kept for registries that do not list them.
//!
//! A tag can only be replaced whole. Two writers that read the same index, each add an entry and write it
//! back, lose one of them. Three things stand against it: a conditional write where the registry has
//! `ETag`; writing back whatever was seen and is gone; and a look some time after the last write. Without
//! conditional writes a window remains: a writer that reads before our write and writes after our last
//! look. [`Times::recheck`](super::Times::recheck) says how wide it is.
//!
//! An entry is taken out in the same way. There the third of these works against us: a writer elsewhere
//! that saw the entry before it was taken out may put it back. It then points to a manifest that is gone,
//! and no reader counts it; where the registry refuses it for that, the writer leaves it out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::image::document::{self, Document, INDEX_TYPES, MANIFEST_TYPES};
use crate::image::json as strict;
use crate::model::digest::Digest;
use crate::net::jitter;

use super::client::{Repository, Target};
use super::error::{Error, ErrorKind};
use super::limits;
use super::manifest::{Precondition, is_missing_part};
use super::referrers::{facts, fallback_tag};

/// How often a fallback tag is written anew before the writer gives up. Each round one writer wins, and
/// carries along what it saw of the others.
const WRITES: u32 = 30;

/// The pause after a write that lost, at first; it doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(50);

/// The longest pause between two writes or looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A manifest to hang on an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its bytes; their `subject` is the image.
    pub manifest: Vec<u8>,
    /// Its media type, as `mediaType` says it.
    pub media_type: String,
}

/// How an artifact hangs on its image now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// Digest of its manifest.
    pub digest: Digest,
    /// Where it is listed.
    pub listed: Listed,
}

/// What became of a referrer that was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detached {
    /// Its manifest is gone. If not, the registry has no deleting (GHCR).
    pub deleted: bool,
    /// It is still listed: by a registry that lists referrers itself and deletes none. Where a fallback tag lists them
    /// it is taken out there.
    pub listed: bool,
}

/// Who lists a referrer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// The registry itself (`OCI-Subject`).
    Native,
    /// The fallback tag, where it was seen again some time after it was written.
    FallbackTag,
}

/// The fallback tags that this process writes to: its own writers do not race with each other.
#[derive(Debug, Default)]
pub(super) struct Ledgers(Mutex<BTreeMap<String, Arc<Ledger>>>);

#[derive(Debug, Default)]
struct Ledger {
    /// Entries that are to be listed, by digest.
    wanted: Mutex<BTreeMap<String, Value>>,
    /// Held while somebody writes for all.
    writing: tokio::sync::Mutex<()>,
}

/// A fallback tag as it was read.
struct Current {
    index: Map<String, Value>,
    entries: Vec<Value>,
    digest: Option<Digest>,
    etag: Option<String>,
}

/// Our last write to a fallback tag.
struct Written {
    before: Option<Digest>,
    after: Digest,
    at: Instant,
}

impl Repository {
    /// Pushes artifacts that refer to `subject`, and sees to it that they are listed. Their blobs must be
    /// there. Several at once are listed by one write.
    ///
    /// # Errors
    /// [`Error`] where one could not be pushed, or is not listed in the end: it is in the registry then,
    /// and nobody finds it.
    pub async fn attach(&self, subject: &Digest, artifacts: &[Artifact]) -> Result<Vec<Attached>, Error> {
        let mut attached = Vec::new();
        let mut unlisted = BTreeMap::new();
        for artifact in artifacts {
            let digest = Digest::sha256(&artifact.manifest);
            let target = Target::Digest(digest.clone());
            let entry =
                entry(artifact, subject, &digest).map_err(|cause| Error::invalid(self.at(&target), cause))?;
            let pushed = self.push_manifest(&target, &artifact.manifest, &artifact.media_type).await?;
            let native = pushed.subject.as_ref() == Some(subject);
            if !native {
                unlisted.insert(digest.to_string(), entry);
            }
            attached
                .push(Attached { digest, listed: if native { Listed::Native } else { Listed::FallbackTag } });
        }
        if !unlisted.is_empty() {
            self.list(&fallback_tag(subject), unlisted).await?;
        }
        Ok(attached)
    }

    /// Takes a referrer off `subject`: deletes its manifest, and then its entry under the fallback tag, where
    /// there is one (distribution-spec, "Deleting Manifests"). Whoever is stopped in between leaves an entry
    /// that no reader counts; the same call again takes it out. Blobs stay: others may need them.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] where the manifest has another subject: nothing is touched then. Else what kept
    /// it from being read, deleted or taken out of the list.
    pub async fn detach(&self, subject: &Digest, referrer: &Digest) -> Result<Detached, Error> {
        let target = Target::Digest(referrer.clone());
        let deleted = match self.manifest(&target).await {
            Ok(pulled) => {
                let facts = facts(&pulled.bytes).map_err(|cause| Error::invalid(self.at(&target), cause))?;
                // Attack: a list that names the image itself, or what hangs on another one, to have it deleted.
                if !facts.refers_to(subject) {
                    let message = format!("it does not hang on {subject}: it is not deleted");
                    return Err(Error::invalid(self.at(&target), message));
                }
                match self.delete_manifest(&target).await {
                    Ok(()) => true,
                    Err(error) if error.kind == ErrorKind::NotFound => true,
                    Err(error) if error.kind == ErrorKind::Unsupported => false,
                    Err(error) => return Err(error),
                }
            }
            Err(error) if error.kind == ErrorKind::NotFound => true,
            Err(error) => return Err(error),
        };
        let tag = fallback_tag(subject);
        let unwanted = BTreeSet::from([referrer.to_string()]);
        let ledger = self.client.ledgers().of(&format!("{}:{tag}", self.name()));
        let _writing = ledger.writing.lock().await;
        ledger
            .wanted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|digest, _| !unwanted.contains(digest));
        self.settle(&tag, &BTreeMap::new(), &unwanted).await?;
        let listed = !deleted && self.lists(subject, referrer).await?;
        Ok(Detached { deleted, listed })
    }

    /// Sees to it that entries are listed under a fallback tag, together with those of other tasks of this
    /// process.
    async fn list(&self, tag: &str, entries: BTreeMap<String, Value>) -> Result<(), Error> {
        let ledger = self.client.ledgers().of(&format!("{}:{tag}", self.name()));
        let own: Vec<String> = entries.keys().cloned().collect();
        let lock = || ledger.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        lock().extend(entries);
        let _writing = ledger.writing.lock().await;
        let wanted = lock().clone();
        // Another task has listed them while this one waited.
        if !own.iter().any(|digest| wanted.contains_key(digest)) {
            return Ok(());
        }
        let listed = self.settle(tag, &wanted, &BTreeSet::new()).await;
        // Whoever waits and finds its entries here still, tries again and tells its own error.
        if listed.is_ok() {
            lock().retain(|digest, _| !wanted.contains_key(digest));
        } else {
            lock().retain(|digest, _| !own.contains(digest));
        }
        listed
    }

    /// Reads, merges and writes the index until it holds everything wanted and nothing unwanted, also some
    /// time later.
    async fn settle(
        &self,
        tag: &str,
        wanted: &BTreeMap<String, Value>,
        unwanted: &BTreeSet<String>,
    ) -> Result<(), Error> {
        let mut kept = wanted.clone();
        let mut unwanted = unwanted.clone();
        let mut written: Option<Written> = None;
        let mut writes = 0;
        let mut pause = PAUSE;
        let mut lag = Duration::ZERO;
        let mut looked_again = false;
        loop {
            let current = self.read_index(tag).await?;
            if let Some(last) = &written {
                if current.digest == last.before && last.at.elapsed() < self.host.settings.times.lag {
                    // What was there before our write: the registry lags, or somebody put exactly that back,
                    // which is the same to us once the lag cannot explain it any more.
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    tokio::time::sleep(jitter(pause)).await;
                    continue;
                }
                if current.digest.as_ref() == Some(&last.after) && !looked_again {
                    lag = lag.max(last.at.elapsed());
                }
            }
            let held: Vec<&str> = current.entries.iter().filter_map(digest_of).collect();
            let is_right = !held.iter().any(|digest| unwanted.contains(*digest));
            let missing: Vec<Value> = kept
                .iter()
                .filter(|(digest, _)| !held.contains(&digest.as_str()))
                .map(|(_, v)| v.clone())
                .collect();
            // Another writer that does not see this entry for its lag must not lose it: it is written back.
            let seen = current.entries.iter().filter_map(|e| Some((digest_of(e)?.to_owned(), e.clone())));
            kept.extend(seen.filter(|(digest, _)| !unwanted.contains(digest)).collect::<Vec<_>>());
            if missing.is_empty() && is_right {
                if written.is_none() || looked_again {
                    return Ok(());
                }
                looked_again = true;
                let recheck = self.host.settings.times.recheck.max(lag * 2);
                tokio::time::sleep(recheck + jitter(recheck / 4)).await;
                continue;
            }
            looked_again = false;
            writes += 1;
            if writes > WRITES {
                return Err(lost(self.at(&Target::Tag(tag.to_owned())), &missing, &unwanted));
            }
            let before = current.digest.clone();
            match self.write_index(tag, current, missing, &unwanted).await {
                Ok(after) => written = Some(Written { before, after, at: Instant::now() }),
                // Another writer was first, and the registry said so.
                Err(error) if error.status == Some(412) => {}
                Err(error) if is_missing_part(&error) => {
                    let others = kept.keys().filter(|digest| !wanted.contains_key(*digest));
                    let gone = self.gone(others).await?;
                    if gone.is_empty() {
                        if !self.was_just_pushed(None) {
                            return Err(error);
                        }
                        // What was pushed a moment ago is not seen yet.
                        self.wait_for_lag().await;
                        writes -= 1;
                    }
                    kept.retain(|digest, _| !gone.contains(digest));
                    unwanted.extend(gone);
                }
                Err(error) => return Err(error),
            }
            pause = PAUSE;
            tokio::time::sleep(jitter(PAUSE * writes.min(10))).await;
        }
    }

    /// Which of these manifests are certainly not there any more. Registries that look at what an index
    /// points to take none with such an entry: whoever deletes a referrer and leaves its entry would keep
    /// everybody from adding another one.
    async fn gone(&self, digests: impl Iterator<Item = &String>) -> Result<BTreeSet<String>, Error> {
        let mut gone = BTreeSet::new();
        for digest in digests {
            let Ok(parsed) = digest.parse() else { continue };
            match self.head(&Target::Digest(parsed)).await {
                Ok(_) => {}
                Err(error) if error.kind == ErrorKind::NotFound => {
                    gone.insert(digest.clone());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(gone)
    }

    async fn read_index(&self, tag: &str) -> Result<Current, Error> {
        let target = Target::Tag(tag.to_owned());
        let pulled = match self.manifest(&target).await {
            Ok(pulled) => pulled,
            // Only certain absence: whatever else would be overwritten.
            Err(error) if error.kind == ErrorKind::NotFound => {
                return Ok(Current { index: Map::new(), entries: Vec::new(), digest: None, etag: None });
            }
            Err(error) => return Err(error),
        };
        let at = self.at(&target);
        match document::parse(&pulled.bytes, None, &at) {
            Ok(Document::Index(_)) => {}
            Ok(Document::Manifest(_)) => {
                return Err(Error::invalid(
                    at,
                    "the fallback tag is a manifest and no index: it is not overwritten",
                ));
            }
            Err(fault) => {
                let message = format!("the fallback tag is not overwritten: {}", fault.message);
                return Err(Error::invalid(at, message));
            }
        }
        let value = strict::parse(&pulled.bytes).map_err(|error| Error::invalid(&at, error.to_string()))?;
        let Value::Object(mut index) = value else { return Err(Error::invalid(at, "not a JSON object")) };
        let Some(Value::Array(entries)) = index.remove("manifests") else {
            return Err(Error::invalid(at, "`manifests` is not a list"));
        };
        Ok(Current { index, entries, digest: Some(pulled.digest), etag: pulled.etag })
    }

    async fn write_index(
        &self,
        tag: &str,
        current: Current,
        missing: Vec<Value>,
        unwanted: &BTreeSet<String>,
    ) -> Result<Digest, Error> {
        let target = Target::Tag(tag.to_owned());
        let Current { mut index, mut entries, digest, etag } = current;
        entries.retain(|entry| !digest_of(entry).is_some_and(|digest| unwanted.contains(digest)));
        entries.extend(missing);
        if entries.len() > limits::REFERRERS {
            let message = format!("more than {} referrers (limit `referrers`)", limits::REFERRERS);
            return Err(Error::new(ErrorKind::TooLarge, self.at(&target), message));
        }
        let media_type = INDEX_TYPES.first().copied().unwrap_or_default();
        index.insert("schemaVersion".to_owned(), json!(2));
        index.insert("mediaType".to_owned(), json!(media_type));
        index.insert("manifests".to_owned(), Value::Array(entries));
        let bytes = Value::Object(index).to_string().into_bytes();
        let precondition = match (&digest, &etag) {
            (Some(_), Some(etag)) => Precondition::Is(etag),
            (None, _) => Precondition::Absent,
            (Some(_), None) => Precondition::None,
        };
        self.put_manifest(&target, &bytes, media_type, precondition).await.map(|pushed| pushed.digest)
    }
}

impl Ledgers {
    fn of(&self, name: &str) -> Arc<Ledger> {
        let mut ledgers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody holds are done.
        ledgers.retain(|_, ledger| Arc::strong_count(ledger) > 1);
        Arc::clone(ledgers.entry(name.to_owned()).or_default())
    }
}

fn lost(at: String, missing: &[Value], unwanted: &BTreeSet<String>) -> Error {
    let digests =
        |digests: Vec<&str>| if digests.is_empty() { "nothing".to_owned() } else { digests.join(", ") };
    let message = format!(
        "other writers kept replacing the list of referrers: after {WRITES} attempts it lacks {}, and was to \
         lose {}; try again when they are done",
        digests(missing.iter().filter_map(digest_of).collect()),
        digests(unwanted.iter().map(String::as_str).collect())
    );
    Error::new(ErrorKind::Unavailable, at, message)
}

fn digest_of(entry: &Value) -> Option<&str> {
    entry.get("digest").and_then(Value::as_str)
}

/// The descriptor of an artifact in an index: artifact type and annotations are carried up from its
/// manifest, so that readers can choose without opening it.
fn entry(artifact: &Artifact, subject: &Digest, digest: &Digest) -> Result<Value, String> {
    let facts = facts(&artifact.manifest)?;
    if !facts.refers_to(subject) {
        return Err("the artifact to attach has another subject".to_owned());
    }
    if facts.media_type.is_some_and(|own| own != artifact.media_type) {
        return Err("the artifact to attach has another media type".to_owned());
    }
    if ![MANIFEST_TYPES, INDEX_TYPES].concat().contains(&artifact.media_type.as_str()) {
        return Err("the artifact to attach is no manifest".to_owned());
    }
    let mut entry = Map::new();
    entry.insert("mediaType".to_owned(), json!(artifact.media_type));
    entry.insert("digest".to_owned(), json!(digest));
    entry.insert("size".to_owned(), json!(artifact.manifest.len()));
    entry.extend(facts.artifact_type.map(|it| ("artifactType".to_owned(), json!(it))));
    if !facts.annotations.is_empty() {
        entry.insert("annotations".to_owned(), json!(facts.annotations));
    }
    Ok(Value::Object(entry))
}
