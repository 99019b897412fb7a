//! What hangs on a manifest, wherever the image is: referrers, and the tags that cosign used before there
//! were any.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::image::document::{self, Document};
use crate::image::limits::Limits;
use crate::image::resolve::verify;
use crate::layout;
use crate::model::descriptor::Descriptor;
use crate::model::digest::Digest;
use crate::registry::{self, Budget, Facts, Listed, Lists, RejectedReferrer, Rejection, facts, fallback_tag};

use super::cause::Cause;
use super::source::{Source, Unread};

/// How deep referrers of referrers are followed: 3; a signature on an attestation is 2.
pub(super) const DEPTH: usize = 3;

/// Entries of a layout's `index.json` that are opened to see what they refer to: 10,000.
const ENTRIES: usize = 10_000;

/// Entries of fallback tags in a layout that are opened, of all manifests of an image: 10,000. Attack: one long
/// list under the tag of every platform.
const OPENED: usize = 10_000;

/// Entries that could not be read and are named one by one: 10. Attack: a thousand of them, told again of each
/// platform.
const NAMED: usize = 10;

/// Suffixes of cosign's tags (cosign SPEC.md, "Storage"): signatures, attestations, an SBOM.
pub(super) const LEGACY: &[&str] = &["sig", "att", "sbom"];

/// The tag under which cosign keeps something of a manifest: `sha256-HEX.sig`.
pub(super) fn legacy_tag(subject: &Digest, suffix: &str) -> String {
    format!("{}-{}.{suffix}", subject.algorithm().name(), subject.hex())
}

/// A manifest that refers to another.
#[derive(Debug, Clone)]
pub(super) struct Hung {
    /// Where it is.
    pub(super) descriptor: Descriptor,
    /// Its artifact type.
    pub(super) artifact_type: Option<String>,
    /// The artifact type that the list states for it.
    pub(super) stated_type: Option<String>,
    /// Who lists it; none where a layout's `index.json` does.
    pub(super) listed: Option<Listed>,
    manifest: Option<Vec<u8>>,
}

/// What hangs on one manifest by reference. Nothing does only where all three are empty.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// What certainly refers to it.
    pub(super) entries: Vec<Hung>,
    /// What is listed and does not.
    pub(super) rejected: Vec<RejectedReferrer>,
    /// What could not be seen: there may be more.
    pub(super) unknown: Vec<String>,
    /// The lists as they stand. A layout's `index.json` is no list of referrers.
    pub(super) lists: Lists,
}

/// Lists what hangs on the manifests of one image.
#[derive(Debug)]
pub(super) struct Lister<'a> {
    source: &'a Source,
    limits: &'a Limits,
    /// What the entries of a layout's `index.json` are; read at the first question.
    local: OnceLock<Local>,
    /// Entries of fallback tags that may still be opened.
    left: AtomicUsize,
    /// What all of it may cost.
    budget: Budget,
}

/// The entries of an `index.json`.
#[derive(Debug, Default)]
struct Local {
    by_subject: BTreeMap<Digest, Vec<Hung>>,
    by_tag: BTreeMap<String, Descriptor>,
    /// Tags that lead to several manifests.
    doubled: BTreeSet<String>,
    unknown: Vec<String>,
}

impl<'a> Lister<'a> {
    pub(super) fn new(source: &'a Source, limits: &'a Limits) -> Self {
        let left = AtomicUsize::new(OPENED);
        Self { source, limits, local: OnceLock::new(), left, budget: Budget::default() }
    }

    /// What refers to `subject`.
    pub(super) fn list(&self, subject: &Digest) -> Listing {
        match self.source {
            Source::Registry(store) => remote(store, subject, &self.budget),
            Source::Layout(store) => self.on_disk(self.local(store), subject),
        }
    }

    /// What cosign's tag of a manifest leads to; none where there is certainly no such tag.
    pub(super) fn legacy(
        &self,
        subject: &Digest,
        suffix: &str,
    ) -> Result<Option<(Descriptor, Vec<u8>)>, Cause> {
        let tag = legacy_tag(subject, suffix);
        match self.source {
            // A tag has 128 characters at most: a SHA-512 leaves no room for one.
            Source::Registry(_) if tag.len() > 128 => Ok(None),
            Source::Registry(store) => {
                self.budget.request(&format!("tag {tag}"))?;
                match store.tagged(&tag) {
                    Ok(found) => {
                        self.budget.spent(found.1.len());
                        Ok(Some(found))
                    }
                    Err(error) if error.kind == registry::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
            Source::Layout(store) => match self.local(store).tagged(&tag)? {
                Some(descriptor) => Ok(Some((descriptor.clone(), self.document(descriptor)?))),
                None => Ok(None),
            },
        }
    }

    /// The manifest of a referrer: it has its digest and names `subject`.
    pub(super) fn open(&self, subject: &Digest, hung: &Hung) -> Result<Vec<u8>, Cause> {
        let (bytes, found) = self.look(hung)?;
        // Attack: a registry that lists the signature of another image.
        if found.refers_to(subject) {
            Ok(bytes)
        } else {
            let at = &hung.descriptor.digest;
            Err(format!("referrer {at}: its subject is not {subject}").into())
        }
    }

    /// The manifest of a referrer, whatever it refers to, and what it says of itself.
    pub(super) fn look(&self, hung: &Hung) -> Result<(Vec<u8>, Facts), Cause> {
        let bytes = match &hung.manifest {
            Some(manifest) => manifest.clone(),
            None => self.document(&hung.descriptor)?,
        };
        let at = &hung.descriptor.digest;
        let found = facts(&bytes).map_err(|cause| format!("referrer {at}: {cause}"))?;
        Ok((bytes, found))
    }

    /// A manifest, whole and verified.
    pub(super) fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Cause> {
        self.afford(&descriptor.digest)?;
        let bytes = document(self.source, descriptor, self.limits)?;
        self.budget.spent(bytes.len());
        Ok(bytes)
    }

    /// What refers elsewhere: the manifest that a descriptor leads to, however it is described.
    pub(super) fn above(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Unread> {
        self.afford(&descriptor.digest).map_err(|error| Unread {
            missing: false,
            lies: None,
            cause: error.to_string(),
        })?;
        let bytes = self.source.document(descriptor, self.limits.manifest)?;
        self.budget.spent(bytes.len());
        Ok(bytes)
    }

    /// Takes a request for a manifest. What a layout's `index.json` and fallback tags list is counted apart.
    fn afford(&self, digest: &Digest) -> Result<(), registry::Error> {
        match self.source {
            Source::Registry(_) => self.budget.request(&format!("manifest {digest}")),
            Source::Layout(_) => self.budget.bytes_left(&format!("manifest {digest}")),
        }
    }

    fn local(&self, store: &layout::Store) -> &Local {
        self.local.get_or_init(|| self.read_index(store))
    }

    fn read_index(&self, store: &layout::Store) -> Local {
        let mut local = Local::default();
        let entries = match store.entries(self.limits) {
            Ok(entries) => entries,
            Err(error) => {
                local.unknown.push(error.to_string());
                return local;
            }
        };
        if entries.len() > ENTRIES {
            local.unknown.push(format!("index.json lists more than {ENTRIES} manifests"));
        }
        for entry in entries.into_iter().take(ENTRIES) {
            match self.document(&entry.descriptor) {
                Ok(bytes) => local.add(entry.descriptor.clone(), &bytes),
                Err(cause) => local.unknown.push(cause.to_string()),
            }
            if let Some(tag) = entry.tag {
                local.name(tag, entry.descriptor);
            }
        }
        if let Some(more) = local.unknown.len().checked_sub(NAMED).filter(|more| *more > 0) {
            local.unknown.truncate(NAMED);
            local.unknown.push(format!("index.json: {more} more entries that could not be read"));
        }
        local
    }

    /// Referrers are entries of `index.json` themselves; some tools keep the registries' fallback tag there.
    fn on_disk(&self, local: &Local, subject: &Digest) -> Listing {
        let mut listing = Listing {
            entries: local.by_subject.get(subject).cloned().unwrap_or_default(),
            rejected: Vec::new(),
            unknown: local.unknown.clone(),
            lists: Lists::default(),
        };
        let at = fallback_tag(subject);
        let fallback = match local.tagged(&at) {
            Ok(Some(fallback)) => fallback,
            Ok(None) => return listing,
            Err(cause) => {
                listing.unknown.push(cause);
                return listing;
            }
        };
        let parsed = self
            .document(fallback)
            .and_then(|bytes| Ok(document::parse(&bytes, Some(&fallback.media_type), &at)?));
        let index = match parsed {
            Ok(Document::Index(index)) => index,
            Ok(Document::Manifest(_)) => {
                let cause = "a manifest, where a list of referrers should be";
                listing.unknown.push(format!("{at}: {cause}"));
                listing.lists.no_index = Some(cause.to_owned());
                return listing;
            }
            Err(cause) => {
                listing.unknown.push(cause.to_string());
                return listing;
            }
        };
        listing.lists.fallback = Some(index.manifests.iter().map(|entry| entry.digest.clone()).collect());
        let mut seen: BTreeSet<Digest> =
            listing.entries.iter().map(|hung| hung.descriptor.digest.clone()).collect();
        for descriptor in index.manifests {
            if !seen.insert(descriptor.digest.clone()) {
                continue;
            }
            let take = |left: usize| left.checked_sub(1);
            if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
                listing.unknown.push(format!("{at}: more than {OPENED} referrers in all (limit `opened`)"));
                break;
            }
            match self.document(&descriptor) {
                Ok(bytes) => {
                    let (cause, why) = match referrer(descriptor.clone(), &bytes) {
                        Ok(Some((own, hung))) if own == *subject => {
                            listing.entries.push(Hung { listed: Some(Listed::FallbackTag), ..hung });
                            continue;
                        }
                        Ok(Some((own, _))) => {
                            (format!("its subject is not {subject}"), Rejection::Subject(own))
                        }
                        Ok(None) => (format!("its subject is not {subject}"), Rejection::NoSubject),
                        Err(cause) => (cause, Rejection::Unreadable),
                    };
                    listing.rejected.push(RejectedReferrer { digest: descriptor.digest, cause, why });
                }
                Err(cause) => listing.unknown.push(cause.to_string()),
            }
        }
        listing
    }
}

impl Local {
    fn name(&mut self, tag: String, descriptor: Descriptor) {
        match self.by_tag.get(&tag) {
            Some(first) if first.digest != descriptor.digest => {
                self.doubled.insert(tag);
            }
            Some(_) => {}
            None => {
                self.by_tag.insert(tag, descriptor);
            }
        }
    }

    /// What a tag leads to; none where there is certainly no such tag. Attack: a second entry with the tag of the
    /// signatures, which leads to fewer of them.
    fn tagged(&self, tag: &str) -> Result<Option<&Descriptor>, String> {
        match self.doubled.contains(tag) {
            true => Err(format!("index.json lists several manifests under the tag {tag}")),
            false => Ok(self.by_tag.get(tag)),
        }
    }

    fn add(&mut self, descriptor: Descriptor, bytes: &[u8]) {
        let at = descriptor.digest.clone();
        match referrer(descriptor, bytes) {
            Ok(Some((subject, hung))) => {
                let hanging = self.by_subject.entry(subject).or_default();
                // The same manifest may be listed under a tag too.
                if hanging.iter().all(|other| other.descriptor.digest != hung.descriptor.digest) {
                    hanging.push(hung);
                }
            }
            Ok(None) => {}
            // Attack: a signature with one annotation too odd to parse, which is then neither seen nor copied.
            Err(cause) => self.unknown.push(format!("manifest {at}: {cause}")),
        }
    }
}

/// A manifest as a referrer, with its subject; none where it has no subject.
fn referrer(mut descriptor: Descriptor, bytes: &[u8]) -> Result<Option<(Digest, Hung)>, String> {
    let found = facts(bytes)?;
    descriptor.annotations = found.annotations;
    descriptor.platform = None;
    let artifact_type = found.artifact_type;
    let hung = Hung { descriptor, artifact_type, stated_type: None, listed: None, manifest: None };
    Ok(found.subject.map(|subject| (subject.digest, hung)))
}

fn remote(store: &registry::Store, subject: &Digest, budget: &Budget) -> Listing {
    let repository = store.repository();
    let listed = async { Ok(repository.referrers_within(subject, None, budget).await) };
    let found = store.registry().run(listed);
    let found = match found {
        Ok(found) => found,
        Err(error) => return Listing { unknown: vec![error.to_string()], ..Listing::default() },
    };
    let hung = |referrer: registry::Referrer| Hung {
        descriptor: referrer.descriptor,
        artifact_type: referrer.artifact_type,
        stated_type: referrer.stated_type,
        listed: Some(referrer.listed),
        manifest: referrer.manifest,
    };
    Listing {
        entries: found.entries.into_iter().map(hung).collect(),
        rejected: found.rejected,
        unknown: found.unknown.iter().map(ToString::to_string).collect(),
        lists: found.lists,
    }
}

/// A manifest, whole and verified.
pub(super) fn document(source: &Source, descriptor: &Descriptor, limits: &Limits) -> Result<Vec<u8>, Cause> {
    let at = format!("manifest {}", descriptor.digest);
    if descriptor.size > limits.manifest {
        return Err(format!("{at}: larger than the limit of {} bytes", limits.manifest).into());
    }
    let bytes = source.document(descriptor, limits.manifest).map_err(|error| Cause::from(error).at(&at))?;
    verify(&bytes, descriptor, &at)?;
    Ok(bytes)
}
