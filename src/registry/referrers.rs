//! What hangs on an image: the referrers API, and the fallback tag beside it (distribution-spec, "Listing
//! Referrers" and "Unavailable Referrers API").

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use reqwest::header::{ACCEPT, LOCATION};
use reqwest::{Method, StatusCode, Url};
use serde_json::{Map, Value};
use tokio::task::JoinSet;

use crate::image::document::{self, Document, INDEX_TYPES};
use crate::image::json;
use crate::model::descriptor::Descriptor;
use crate::model::digest::Digest;
use crate::model::path::escape;

use super::attach::Listed;
use super::budget::Budget;
use super::client::{Repository, Target};
use super::error::{Error, ErrorKind};
use super::http::{Answer, is_redirect};
use super::limits;
use super::link::Pages;

/// What old writers put for the artifact type of everything: the type of the empty configuration.
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// A manifest whose `subject` is the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrer {
    /// Where it is. Annotations are those of the manifest, where it was opened.
    pub descriptor: Descriptor,
    /// Its artifact type: `artifactType` of the manifest, else the type of its configuration.
    pub artifact_type: Option<String>,
    /// The manifest, where it was opened and is small. Its digest and subject are verified.
    pub manifest: Option<Vec<u8>>,
    /// The artifact type that the list states for it.
    pub stated_type: Option<String>,
    /// Who lists it; the registry itself where both do.
    pub listed: Listed,
}

/// An entry that is none: a cause for the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedReferrer {
    /// What the entry points to.
    pub digest: Digest,
    /// Why it does not count: a lowercase fragment.
    pub cause: String,
    /// The same for programs.
    pub why: Rejection,
}

/// Why an entry of a list of referrers does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// Its manifest is not there. What it said of the image nobody can tell.
    Gone,
    /// It cannot be read as a referrer. Whether it is one nobody can tell.
    Unreadable,
    /// It refers to nothing.
    NoSubject,
    /// It refers to another manifest.
    Subject(Digest),
}

/// Which lists of referrers of an image there are, and what they point to, right or wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lists {
    /// The registry's own; none where it has no such API, or did not answer.
    pub native: Option<BTreeSet<Digest>>,
    /// The fallback tag's; none where there is no such tag, or it could not be read.
    pub fallback: Option<BTreeSet<Digest>>,
    /// Why the fallback tag leads to something that is no list: a lowercase fragment.
    pub no_index: Option<String>,
}

/// All referrers that could be found. Nothing hangs on the image only where `entries` is empty and
/// nothing is `unknown`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Referrers {
    /// Those that are there, each once.
    pub entries: Vec<Referrer>,
    /// Entries that do not belong to the image, are not there any more, or cannot be read: see [`Rejection`].
    pub rejected: Vec<RejectedReferrer>,
    /// What could not be read: there may be more.
    pub unknown: Vec<Error>,
    /// The lists as they stand.
    pub lists: Lists,
}

/// A referrer's manifest as far as listing it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// `artifactType`, else the media type of its configuration.
    pub artifact_type: Option<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// The manifest that it refers to.
    pub subject: Option<StatedSubject>,
    /// `mediaType`.
    pub media_type: Option<String>,
}

impl Facts {
    /// Whether it refers to that manifest.
    #[must_use]
    pub fn refers_to(&self, subject: &Digest) -> bool {
        self.subject.as_ref().is_some_and(|own| own.digest == *subject)
    }
}

/// What a manifest says of the one that it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatedSubject {
    /// Its digest.
    pub digest: Digest,
    /// Its media type; none where none is stated.
    pub media_type: Option<String>,
    /// Its length; none where none is stated.
    pub size: Option<String>,
}

/// What became of opening one entry.
enum Opened {
    Referrer(Referrer),
    Rejected(RejectedReferrer),
}

/// An entry of a list of referrers as it stands there.
struct Entry {
    descriptor: Descriptor,
    artifact_type: Option<String>,
    listed: Listed,
}

impl Repository {
    /// Lists what hangs on `subject`: by the referrers API, and always by the fallback tag too, because
    /// writers that do not know the API, or wrote before the registry had it, leave their work there.
    /// `artifact_type` keeps one type.
    pub async fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Referrers {
        self.referrers_within(subject, artifact_type, &Budget::default()).await
    }

    /// The same within a budget, which several manifests may share. What it does not reach to is unknown.
    pub async fn referrers_within(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
        budget: &Budget,
    ) -> Referrers {
        let mut found = Referrers::default();
        let mut entries = Vec::new();
        match self.native(subject, artifact_type, budget).await {
            Ok(Some(native)) => {
                found.lists.native = Some(digests(&native));
                for entry in native {
                    let stated = entry.artifact_type.as_deref().filter(|stated| *stated != EMPTY);
                    match (stated, artifact_type) {
                        // The registry read the manifest for it.
                        (Some(stated), Some(wanted)) if stated != wanted => {}
                        (Some(_), _) => found.entries.push(Referrer {
                            descriptor: entry.descriptor,
                            stated_type: entry.artifact_type.clone(),
                            artifact_type: entry.artifact_type,
                            manifest: None,
                            listed: Listed::Native,
                        }),
                        (None, _) => entries.push(entry),
                    }
                }
            }
            Ok(None) => {}
            Err(error) => found.unknown.push(error),
        }
        match self.fallback(subject, budget).await {
            Ok(None) => {}
            Ok(Some(Err(error))) => {
                found.lists.no_index = Some(error.message.clone());
                found.unknown.push(error);
            }
            Ok(Some(Ok(fallback))) => {
                found.lists.fallback = Some(digests(&fallback));
                let known = |entry: &Entry| {
                    found.entries.iter().any(|referrer| referrer.descriptor.digest == entry.descriptor.digest)
                };
                let new: Vec<Entry> = fallback.into_iter().filter(|entry| !known(entry)).collect();
                entries.extend(new);
            }
            Err(error) => found.unknown.push(error),
        }
        let mut seen = BTreeSet::new();
        entries.retain(|entry| seen.insert(entry.descriptor.digest.clone()));
        self.open_all((subject, budget), entries, artifact_type, &mut found).await;
        found
    }

    /// Opens an entry: its manifest must be there, have its digest, and name `subject`.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] where the manifest has another subject; else as [`Repository::manifest`].
    pub async fn open_referrer(&self, subject: &Digest, referrer: &Referrer) -> Result<Vec<u8>, Error> {
        if let Some(manifest) = &referrer.manifest {
            return Ok(manifest.clone());
        }
        let target = Target::Digest(referrer.descriptor.digest.clone());
        let pulled = self.manifest(&target).await?;
        let facts = facts(&pulled.bytes).map_err(|cause| Error::invalid(self.at(&target), cause))?;
        match wrong_subject(&facts, subject) {
            Some(cause) => Err(Error::new(ErrorKind::Mismatch, self.at(&target), cause)),
            None => Ok(pulled.bytes),
        }
    }

    /// Whether the registry lists a referrer by itself.
    pub(super) async fn lists(&self, subject: &Digest, referrer: &Digest) -> Result<bool, Error> {
        let native = self.native(subject, None, &Budget::default()).await?;
        Ok(native.unwrap_or_default().iter().any(|entry| entry.descriptor.digest == *referrer))
    }

    /// The entries that the registry lists by itself; none where it has no such API.
    async fn native(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
        budget: &Budget,
    ) -> Result<Option<Vec<Entry>>, Error> {
        let mut url = self.url(&format!("referrers/{subject}"));
        if let Some(artifact_type) = artifact_type {
            url.query_pairs_mut().append_pair("artifactType", artifact_type);
        }
        let at = format!("{}@{subject} (referrers)", self.name());
        let mut pages = Pages::new(&url);
        let mut entries = Vec::new();
        loop {
            let Some(mut answer) = self.page(&url, budget, &at).await? else { return self.without_api(&at) };
            let patience = self.host.settings.times.document;
            let bytes = answer.read(limits::MANIFEST, "a page of referrers", patience).await?;
            budget.spent(bytes.len());
            let before = entries.len();
            entries.extend(parse_index(&bytes, Listed::Native, &at)?);
            // From the first page on it has the API. Attack: a later page that is answered as if it had not, after which
            // what stood on the first is forgotten.
            self.host.lists_referrers.store(true, Ordering::Relaxed);
            check_count(entries.len(), &at)?;
            let applied = answer.header("oci-filters-applied").unwrap_or_default();
            if artifact_type.is_some() && applied.split(',').any(|name| name.trim() == "artifactType") {
                // The registry has read each manifest for it: what its descriptor says is no second filter.
                for entry in entries.iter_mut().skip(before) {
                    entry.artifact_type = artifact_type.map(str::to_owned);
                }
            }
            match pages.next(&url, answer.response.headers(), &at)? {
                Some(next) => url = next,
                None => return Ok(Some(entries)),
            }
        }
    }

    /// A page of the registry's list; none where the registry says that it has no such API.
    async fn page(&self, url: &Url, budget: &Budget, at: &str) -> Result<Option<Answer>, Error> {
        budget.request(at)?;
        let index_type = INDEX_TYPES.first().copied().unwrap_or_default();
        let mut call =
            self.call(Method::GET, url.clone(), "pull", at.to_owned()).header(ACCEPT, index_type)?;
        call.follow = false;
        let mut asked = self.host.send(&call).await;
        if let Ok(answer) = &asked
            && is_redirect(answer.status())
        {
            if leads_to_ghcr_page(answer.status(), answer.header(LOCATION)) {
                return Ok(None);
            }
            budget.request(at)?;
            call.follow = true;
            asked = self.host.send(&call).await;
        }
        let answer = match asked {
            Ok(answer) => answer,
            // Registries without the API answer 404, some 400 or 405 for the odd path.
            Err(error) if matches!(error.status, Some(400 | 404 | 405 | 406 | 501)) => return Ok(None),
            Err(error) => return Err(error),
        };
        // Attack, or a proxy that puts its log-in page in between: taken for a registry without the API, so that nothing
        // hangs on the image but what the fallback tag lists.
        answer.refuse_web_page("no list of referrers")?;
        let media_type = answer.media_type();
        if answer.status() == StatusCode::OK && media_type.as_deref() == Some(index_type) {
            return Ok(Some(answer));
        }
        let shown = media_type.map_or_else(
            || "without a media type".to_owned(),
            |found| format!("of the media type `{}`", escape(found.as_bytes())),
        );
        let status = answer.status().as_u16();
        let message = format!(
            "asked for referrers it answers {status} {shown}, neither a list nor that it has none: check whether a \
             proxy stands in between"
        );
        Err(Error::invalid(at, message))
    }

    /// An answer of a registry that has no referrers API. Attack, or a proxy that fails: the same answer of
    /// a registry that has it would hide what is listed there.
    fn without_api(&self, at: &str) -> Result<Option<Vec<Entry>>, Error> {
        if self.host.lists_referrers.load(Ordering::Relaxed) {
            return Err(Error::invalid(
                at,
                "the registry listed referrers before, and now answers as if it could not",
            ));
        }
        Ok(None)
    }

    /// The entries of the fallback tag; none where there is certainly no such tag, and an error of its own
    /// where it leads to no list.
    async fn fallback(
        &self,
        subject: &Digest,
        budget: &Budget,
    ) -> Result<Option<Result<Vec<Entry>, Error>>, Error> {
        let target = Target::Tag(fallback_tag(subject));
        budget.request(&self.at(&target))?;
        let pulled = match self.manifest(&target).await {
            Ok(pulled) => pulled,
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        budget.spent(pulled.bytes.len());
        let at = self.at(&target);
        let entries = match parse_index(&pulled.bytes, Listed::FallbackTag, &at) {
            Ok(entries) => entries,
            Err(error) => return Ok(Some(Err(error))),
        };
        check_count(entries.len(), &at)?;
        Ok(Some(Ok(entries)))
    }

    /// Opens entries, several at a time: what stands in a fallback index was written by anybody, and GHCR's
    /// say the same artifact type for all.
    async fn open_all(
        &self,
        (subject, budget): (&Digest, &Budget),
        entries: Vec<Entry>,
        wanted: Option<&str>,
        found: &mut Referrers,
    ) {
        let mut waiting = entries.into_iter().enumerate();
        let mut tasks = JoinSet::new();
        let mut opened = BTreeMap::new();
        loop {
            while tasks.len() < limits::OPENED_AT_ONCE
                && let Some((place, entry)) = waiting.next()
            {
                let (repository, subject, budget) = (self.clone(), subject.clone(), budget.clone());
                tasks.spawn(async move { (place, repository.open_entry(&subject, entry, &budget).await) });
            }
            match tasks.join_next().await {
                None => break,
                Some(Ok((place, result))) => {
                    opened.insert(place, result);
                }
                Some(Err(_)) => {
                    found.unknown.push(Error::new(ErrorKind::Unavailable, self.name(), "a task ended early"));
                }
            }
        }
        for result in opened.into_values() {
            match result {
                Ok(Opened::Referrer(referrer)) => {
                    if wanted.is_none() || wanted == referrer.artifact_type.as_deref() {
                        found.entries.push(referrer);
                    }
                }
                Ok(Opened::Rejected(rejected)) => found.rejected.push(rejected),
                Err(error) => found.unknown.push(error),
            }
        }
    }

    async fn open_entry(&self, subject: &Digest, entry: Entry, budget: &Budget) -> Result<Opened, Error> {
        let Entry { mut descriptor, listed, artifact_type: stated_type } = entry;
        let reject = |digest: &Digest, cause: String, why: Rejection| {
            Ok(Opened::Rejected(RejectedReferrer { digest: digest.clone(), cause, why }))
        };
        let target = Target::Digest(descriptor.digest.clone());
        budget.request(&self.at(&target))?;
        let pulled = match self.manifest(&target).await {
            Ok(pulled) => pulled,
            Err(error) if error.kind == ErrorKind::NotFound => {
                let cause = "the manifest is not there any more".to_owned();
                return reject(&descriptor.digest, cause, Rejection::Gone);
            }
            Err(error) => return Err(error),
        };
        budget.spent(pulled.bytes.len());
        let facts = match facts(&pulled.bytes) {
            Ok(facts) => facts,
            Err(cause) => return reject(&descriptor.digest, cause, Rejection::Unreadable),
        };
        // Attack: an entry that lists the signature of another image.
        if let Some(cause) = wrong_subject(&facts, subject) {
            let why =
                facts.subject.map_or(Rejection::NoSubject, |subject| Rejection::Subject(subject.digest));
            return reject(&descriptor.digest, cause, why);
        }
        descriptor.size = pulled.bytes.len() as u64;
        descriptor.annotations = facts.annotations;
        let manifest = (pulled.bytes.len() <= limits::KEPT_MANIFEST).then_some(pulled.bytes);
        let artifact_type = facts.artifact_type;
        Ok(Opened::Referrer(Referrer { descriptor, artifact_type, manifest, stated_type, listed }))
    }
}

/// Whether a redirect is GHCR's, which has no referrers API: at times it answers 303 to a page of github.com, which then
/// answers 429.
fn leads_to_ghcr_page(status: StatusCode, location: Option<&str>) -> bool {
    let url = location.and_then(|location| Url::parse(location).ok());
    status == StatusCode::SEE_OTHER
        && url.is_some_and(|url| url.path().starts_with("/-/v2/packages/container/"))
}

/// The tag under which referrers are listed where there is no API: algorithm and digits, cut to 32 and 64
/// characters, so that SHA-512 fits into a tag (distribution-spec, "Referrers Tag Schema").
#[must_use]
pub fn fallback_tag(subject: &Digest) -> String {
    let digits: String = subject.hex().chars().take(64).collect();
    format!("{}-{digits}", subject.algorithm().name())
}

fn check_count(count: usize, at: &str) -> Result<(), Error> {
    if count <= limits::REFERRERS {
        return Ok(());
    }
    let message = format!("more than {} referrers (limit `referrers`)", limits::REFERRERS);
    Err(Error::new(ErrorKind::TooLarge, at, message))
}

/// Reads an index strictly; the artifact types stand beside what `image::document` keeps.
fn parse_index(bytes: &[u8], listed: Listed, at: &str) -> Result<Vec<Entry>, Error> {
    let index = match document::parse(bytes, None, at) {
        Ok(Document::Index(index)) => index,
        Ok(Document::Manifest(_)) => {
            return Err(Error::invalid(at, "a manifest, where a list of referrers should be"));
        }
        Err(fault) => return Err(Error::invalid(at, format!("no list of referrers: {}", fault.message))),
    };
    let value = json::parse(bytes).map_err(|error| Error::invalid(at, error.to_string()))?;
    let raw = value.get("manifests").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let types = raw.iter().map(|entry| entry.get("artifactType").and_then(Value::as_str).map(str::to_owned));
    let entries = index.manifests.into_iter().zip(types);
    Ok(entries.map(|(descriptor, artifact_type)| Entry { descriptor, artifact_type, listed }).collect())
}

fn digests(entries: &[Entry]) -> BTreeSet<Digest> {
    entries.iter().map(|entry| entry.descriptor.digest.clone()).collect()
}

/// Why a manifest does not hang on `subject`.
fn wrong_subject(facts: &Facts, subject: &Digest) -> Option<String> {
    match &facts.subject {
        Some(own) if own.digest == *subject => None,
        Some(other) => Some(format!("its subject is {}", other.digest)),
        None => Some("it has no subject".to_owned()),
    }
}

/// Reads what makes a manifest a referrer (image-spec, manifest.md, "subject" and "artifactType").
///
/// # Errors
/// A lowercase fragment where the bytes are no JSON object, or their subject is none.
pub fn facts(bytes: &[u8]) -> Result<Facts, String> {
    let value = json::parse(bytes).map_err(|error| error.to_string())?;
    let object = value.as_object().ok_or("not a JSON object")?;
    let text =
        |object: &Map<String, Value>, key: &str| object.get(key).and_then(Value::as_str).map(str::to_owned);
    let config = object.get("config").and_then(Value::as_object);
    let subject = match object.get("subject") {
        None | Some(Value::Null) => None,
        Some(subject) => {
            let digest = subject.get("digest").and_then(Value::as_str).ok_or("its subject has no digest")?;
            Some(StatedSubject {
                digest: digest.parse().map_err(|_| "its subject's digest is none".to_owned())?,
                media_type: subject.get("mediaType").and_then(Value::as_str).map(str::to_owned),
                size: subject.get("size").map(Value::to_string),
            })
        }
    };
    let annotations = match object.get("annotations") {
        None | Some(Value::Null) => BTreeMap::new(),
        Some(annotations) => serde_json::from_value(annotations.clone())
            .map_err(|_| "`annotations` is not a map of strings".to_owned())?,
    };
    let artifact_type = text(object, "artifactType").filter(|it| !it.is_empty());
    Ok(Facts {
        artifact_type: artifact_type.or_else(|| text(config?, "mediaType")),
        annotations,
        subject,
        media_type: text(object, "mediaType"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fallback_tag_fits_into_a_tag() {
        let sha256 = Digest::sha256(b"");
        assert_eq!(fallback_tag(&sha256), format!("sha256-{}", sha256.hex()));
        let sha512: Digest = format!("sha512:{}", "ab".repeat(64)).parse().unwrap();
        assert_eq!(fallback_tag(&sha512), format!("sha512-{}", "ab".repeat(32)));
        assert!(crate::registry::client::is_tag(&fallback_tag(&sha512)));
    }

    #[test]
    fn the_artifact_type_is_the_manifests_own_and_else_that_of_its_config() {
        let of = |text: &str| facts(text.as_bytes()).unwrap().artifact_type;
        let config = r#""config":{"mediaType":"application/vnd.oci.empty.v1+json"}"#;
        assert_eq!(of(&format!(r#"{{"artifactType":"a/b",{config}}}"#)).as_deref(), Some("a/b"));
        assert_eq!(of(&format!("{{{config}}}")).as_deref(), Some(EMPTY));
        assert_eq!(of(r#"{"artifactType":""}"#), None);
    }

    #[test]
    fn a_subject_that_is_none_is_told() {
        for bad in [r#"{"subject":{}}"#, r#"{"subject":{"digest":"sha256:00"}}"#, r#"{"subject":"x"}"#, "[]"]
        {
            assert!(facts(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
