//! An image copied with everything that hangs on it, byte for byte.
//!
//! The order is what makes it safe to break off: blobs, then the manifests that need them, then what hangs on
//! the image, and the tag last. Whoever sees the tag sees all of it.

mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::image::document::{self, Document};
use crate::image::limits::Limits;
use crate::image::resolve::BlobName;
use crate::model::descriptor::{Descriptor, Manifest};
use crate::model::digest::{Algorithm, Digest};
use crate::model::location::Location;
use crate::registry::{self, BlobPushed, REFERRERS_LIMIT, Registry};

use super::cause::Cause;
use super::hanging::{DEPTH, Hung, LEGACY, Lister, Listing, document, legacy_tag};
use super::inspect::{Error, Progress};
use super::parallel::parallel;
use super::source::{Source, Unopened};
use target::{Attachment, Target};

/// Blobs, referrers or listings at a time: 4. Registries throttle those who ask for more.
const AT_ONCE: usize = 4;

/// Blobs of one manifest: 1,001, a configuration and the thousand layers that cosign's tags may have.
const BLOBS: usize = 1_001;

/// What is to be copied where.
#[derive(Debug, Clone, Copy)]
pub struct CopyRequest<'a> {
    /// A registry, an OCI layout or one in an archive.
    pub source: &'a Location,
    /// A registry, or an OCI layout in a directory. Without tag and digest the image goes to a repository by
    /// its digest alone.
    pub destination: &'a Location,
    /// The client; without one there is no network.
    pub registry: Option<&'a Registry>,
    /// Whether what hangs on the image comes along.
    pub referrers: bool,
    /// Bounds.
    pub limits: &'a Limits,
}

/// Why nothing was copied under the destination's name. Blobs may have been.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The user must say something else.
    #[error("{0}")]
    Usage(String),
    /// Bytes contradict their digest, size or grammar.
    #[error("{0}")]
    Lie(String),
    /// Something could not be read or written.
    #[error("{0}")]
    Failed(String),
}

impl From<Cause> for CopyError {
    fn from(cause: Cause) -> Self {
        if cause.lies { Self::Lie(cause.to_string()) } else { Self::Failed(cause.to_string()) }
    }
}

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copied {
    /// Digest of the image, at the source as at the destination.
    pub digest: Option<Digest>,
    /// Manifests and indexes of the image itself.
    pub manifests: usize,
    /// Blobs that were sent.
    pub sent: usize,
    /// Bytes of these.
    pub bytes: u64,
    /// Blobs that were there.
    pub existed: usize,
    /// Blobs that the registry took from the source's repository by itself.
    pub mounted: usize,
    /// Manifests that refer to the image, or to what does.
    pub referrers: usize,
    /// Tags of cosign's older form.
    pub legacy: Vec<String>,
    /// What is listed as referring to the image and was not copied, because it certainly does not.
    pub rejected: Vec<String>,
    /// Layers that may not be distributed, and are not at the destination.
    pub omitted: Vec<String>,
    /// What may hang on the image and could not be seen or copied. The tag was not written then.
    pub problems: Vec<String>,
}

/// Copies an image.
///
/// # Errors
/// [`CopyError`] where the image itself was not copied.
pub fn copy(request: &CopyRequest<'_>, progress: &dyn Progress) -> Result<Copied, CopyError> {
    check(request)?;
    let opened = Source::root(request.source, request.registry, request.limits);
    let (source, root, bytes) = opened.map_err(|error| match error {
        Unopened::Choice(error) => CopyError::Usage(error.to_string()),
        Unopened::Fault(fault) => Cause::from(fault).into(),
    })?;
    if let Location::Registry(reference) = request.destination
        && let Some(digest) = reference.digest.as_ref().filter(|digest| **digest != root.digest)
    {
        return Err(CopyError::Usage(format!(
            "the destination is to have the digest {digest}, and the source has {}",
            root.digest
        )));
    }
    let target = Target::open(request.destination, request.source, request.registry, request.limits)?;
    let source = Arc::new(source);
    let copying = Copying {
        source: &source,
        target: &target,
        limits: request.limits,
        progress,
        state: Mutex::new(State {
            copied: Copied { digest: Some(root.digest.clone()), ..Copied::default() },
            entered: BTreeSet::from([root.digest.clone()]),
            ..State::default()
        }),
    };
    copying.image(&root, &bytes, 0)?;
    if request.referrers {
        copying.hanging();
    }
    if copying.state().copied.problems.is_empty() {
        target.finish(&root, &bytes)?;
    }
    let mut copied = copying.state.into_inner().unwrap_or_else(PoisonError::into_inner).copied;
    for list in [&mut copied.legacy, &mut copied.rejected, &mut copied.omitted, &mut copied.problems] {
        list.sort();
        list.dedup();
    }
    Ok(copied)
}

fn check(request: &CopyRequest<'_>) -> Result<(), CopyError> {
    if matches!(request.source, Location::DockerArchive { .. }) {
        return Err(CopyError::Usage(format!(
            "{} has no manifest to keep: load it and push it, or save it as an OCI layout (`oci-archive:FILE`)",
            request.source
        )));
    }
    if matches!(request.source, Location::Sbom { .. }) {
        return Err(CopyError::Usage(Error::Document(request.source.to_string()).to_string()));
    }
    Ok(())
}

#[derive(Default)]
struct State {
    copied: Copied,
    /// Manifests that are copied or being copied.
    entered: BTreeSet<Digest>,
    /// Those of the image itself.
    own: Vec<Digest>,
    /// Referrers that are attached or being attached; an index may list one as its child too.
    attached: BTreeSet<Digest>,
    /// Blobs that are at the destination.
    blobs: BTreeSet<(Digest, u64)>,
}

struct Copying<'a> {
    source: &'a Arc<Source>,
    target: &'a Target<'a>,
    limits: &'a Limits,
    progress: &'a dyn Progress,
    state: Mutex<State>,
}

impl Copying<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies a manifest or an index of the image, what it consists of before itself.
    fn image(&self, descriptor: &Descriptor, bytes: &[u8], depth: usize) -> Result<(), Cause> {
        self.state().own.push(descriptor.digest.clone());
        self.parts(descriptor, bytes, depth)?;
        self.target.manifest(descriptor, bytes)?;
        self.state().copied.manifests += 1;
        Ok(())
    }

    /// Copies what a manifest or an index consists of.
    fn parts(&self, descriptor: &Descriptor, bytes: &[u8], depth: usize) -> Result<(), Cause> {
        let at = format!("manifest {}", descriptor.digest);
        let parsed = document::parse(bytes, Some(&descriptor.media_type), &at);
        let index = match parsed? {
            Document::Manifest(manifest) => return self.blobs(&at, &manifest),
            Document::Index(index) => index,
        };
        // Attack: a chain of indexes, or one that lists another over and over.
        if depth >= self.limits.index_depth {
            let limit = self.limits.index_depth;
            return Err(format!("{at}: indexes nested deeper than {limit} (limit `index depth`)").into());
        }
        if index.manifests.len() > self.limits.index_children {
            let limit = self.limits.index_children;
            return Err(format!("{at}: more than {limit} manifests (limit `index children`)").into());
        }
        for child in &index.manifests {
            {
                let mut state = self.state();
                if !state.entered.insert(child.digest.clone()) {
                    continue;
                }
                if state.entered.len() > self.limits.manifests + REFERRERS_LIMIT {
                    return Err(format!("{at}: too many manifests in all (limit `manifests`)").into());
                }
            }
            let bytes = document(self.source, child, self.limits)?;
            self.image(child, &bytes, depth + 1)?;
        }
        Ok(())
    }

    fn blobs(&self, at: &str, manifest: &Manifest) -> Result<(), Cause> {
        let listed: Vec<&Descriptor> = std::iter::once(&manifest.config).chain(&manifest.layers).collect();
        if listed.len() > BLOBS {
            return Err(format!("{at}: more than {BLOBS} blobs").into());
        }
        let wanted: Vec<&Descriptor> = {
            let state = self.state();
            let mut seen = BTreeSet::new();
            let is_new = |blob: &&Descriptor| {
                let name = (blob.digest.clone(), blob.size);
                !state.blobs.contains(&name) && seen.insert(name)
            };
            listed.into_iter().filter(is_new).collect()
        };
        self.progress.begin(wanted.len(), wanted.iter().map(|blob| blob.size).sum());
        let failed = AtomicBool::new(false);
        let answers = parallel(&wanted, AT_ONCE, |blob| {
            if failed.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.blob(blob).inspect_err(|_| failed.store(true, Ordering::Relaxed))
        });
        self.progress.finish();
        answers.into_iter().collect()
    }

    fn blob(&self, blob: &Descriptor) -> Result<(), Cause> {
        let name = (blob.digest.clone(), blob.size);
        if is_restricted(&blob.media_type) {
            // Its `urls` lead where the image's author wants, and pushing it is not ours to allow.
            if !self.target.has_blob(blob)? {
                self.state().copied.omitted.push(format!("{} ({})", blob.digest, blob.media_type));
                return Ok(());
            }
            self.state().copied.existed += 1;
        } else {
            let lied = Arc::new(AtomicBool::new(false));
            let source = Lazy {
                source: Arc::clone(self.source),
                blob: blob.clone(),
                lied: Arc::clone(&lied),
                inner: None,
            };
            let pushed =
                self.target.blob(blob, source).map_err(|cause| cause.or_lie(lied.load(Ordering::Relaxed)))?;
            let mut state = self.state();
            match pushed {
                BlobPushed::Existed => state.copied.existed += 1,
                BlobPushed::Mounted => state.copied.mounted += 1,
                BlobPushed::Uploaded => {
                    state.copied.sent += 1;
                    state.copied.bytes += blob.size;
                }
            }
        }
        self.progress.advance(blob.size);
        self.state().blobs.insert(name);
        Ok(())
    }

    /// Copies what hangs on the image. What cannot be seen or copied is a problem, and the rest goes on, so
    /// that the user sees all of them.
    fn hanging(&self) {
        let lister = Lister::new(self.source, self.limits);
        let own = self.state().own.clone();
        let mut level = own.clone();
        let mut left = REFERRERS_LIMIT;
        for depth in 0..=DEPTH {
            let listings = parallel(&level, AT_ONCE, |subject| lister.list(subject));
            let mut found = self.sift(&level, listings);
            if found.is_empty() {
                break;
            }
            if depth == DEPTH {
                self.problem(format!(
                    "referrers of referrers go deeper than {DEPTH}: the rest was not copied"
                ));
                break;
            }
            if found.len() > left {
                self.problem(format!("more than {REFERRERS_LIMIT} referrers (limit `referrers`)"));
                found.truncate(left);
            }
            left -= found.len();
            level = self.referrers(&lister, found);
        }
        let tags: Vec<(&Digest, &str)> =
            own.iter().flat_map(|subject| LEGACY.iter().map(move |suffix| (subject, *suffix))).collect();
        for answer in parallel(&tags, AT_ONCE, |(subject, suffix)| self.legacy(&lister, subject, suffix)) {
            if let Err(cause) = answer {
                self.problem(cause);
            }
        }
    }

    fn problem(&self, cause: impl ToString) {
        self.state().copied.problems.push(cause.to_string());
    }

    /// What was found and is not copied yet; notes what was rejected and what could not be seen.
    fn sift(&self, subjects: &[Digest], listings: Vec<Listing>) -> Vec<(Digest, Hung)> {
        let mut state = self.state();
        let mut found = Vec::new();
        for (subject, listing) in subjects.iter().zip(listings) {
            let on = |cause: &String| format!("what hangs on {subject} is not known: {cause}");
            state.copied.problems.extend(listing.unknown.iter().map(on));
            let refused =
                listing.rejected.iter().map(|it| format!("{} on {subject}: {}", it.digest, it.cause));
            state.copied.rejected.extend(refused);
            for hung in listing.entries {
                if state.attached.insert(hung.descriptor.digest.clone()) {
                    found.push((subject.clone(), hung));
                }
            }
        }
        found
    }

    /// Copies referrers, and attaches them; the digests of those that are there now.
    fn referrers(&self, lister: &Lister<'_>, found: Vec<(Digest, Hung)>) -> Vec<Digest> {
        let copied = parallel(&found, AT_ONCE, |(subject, hung)| self.referrer(lister, subject, hung));
        let mut by_subject: BTreeMap<Digest, Vec<Attachment>> = BTreeMap::new();
        let mut digests = Vec::new();
        for ((subject, hung), copied) in found.into_iter().zip(copied) {
            match copied {
                Ok(attachment) => {
                    digests.push(hung.descriptor.digest);
                    by_subject.entry(subject).or_default().push(attachment);
                }
                Err(cause) => self.problem(cause),
            }
        }
        let batches: Vec<(Digest, Mutex<Vec<Attachment>>)> =
            by_subject.into_iter().map(|(subject, batch)| (subject, Mutex::new(batch))).collect();
        let answers = parallel(&batches, AT_ONCE, |(subject, batch)| {
            let batch = std::mem::take(&mut *batch.lock().unwrap_or_else(PoisonError::into_inner));
            let count = batch.len();
            self.target.attach(subject, batch).map(|()| count)
        });
        for answer in answers {
            match answer {
                Ok(count) => self.state().copied.referrers += count,
                Err(cause) => self.problem(cause),
            }
        }
        digests
    }

    fn referrer(&self, lister: &Lister<'_>, subject: &Digest, hung: &Hung) -> Result<Attachment, Cause> {
        let digest = &hung.descriptor.digest;
        // It is attached under the SHA-256 of its bytes, and would have another name then.
        if digest.algorithm() != Algorithm::Sha256 {
            return Err(format!("referrer {digest}: only sha256 can be attached").into());
        }
        let bytes = lister.open(subject, hung)?;
        self.parts(&hung.descriptor, &bytes, 0)?;
        Ok(Attachment { descriptor: hung.descriptor.clone(), bytes })
    }

    /// Copies what one of cosign's tags leads to.
    fn legacy(&self, lister: &Lister<'_>, subject: &Digest, suffix: &str) -> Result<(), Cause> {
        let tag = legacy_tag(subject, suffix);
        let unknown = |cause: Cause| format!("whether there is `{tag}` is not known: {cause}");
        let Some((descriptor, bytes)) = lister.legacy(subject, suffix).map_err(unknown)? else {
            return Ok(());
        };
        match self.target.tagged(&tag)? {
            Some(there) if there == bytes => {}
            Some(there) if !covers(&bytes, &there) => {
                return Err(format!(
                    "`{tag}` at the destination has signatures or attestations that the source has not: it was \
                     not overwritten"
                ).into());
            }
            Some(_) | None => {
                self.parts(&descriptor, &bytes, 0)?;
                self.target.tag(&tag, &descriptor, &bytes)?;
            }
        }
        self.state().copied.legacy.push(tag);
        Ok(())
    }
}

/// Whether a manifest of cosign's has every layer that another has, annotations included: they hold the
/// signatures.
fn covers(bytes: &[u8], other: &[u8]) -> bool {
    let layers = |bytes: &[u8]| match document::parse(bytes, None, "manifest") {
        Ok(Document::Manifest(manifest)) => Some(manifest.layers),
        Ok(Document::Index(_)) | Err(_) => None,
    };
    match (layers(bytes), layers(other)) {
        (Some(own), Some(other)) => other.iter().all(|layer| own.contains(layer)),
        _ => false,
    }
}

/// Media types of layers that may not be distributed (image-spec, layer.md, "Non-Distributable Layers";
/// Docker's foreign layers).
fn is_restricted(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
}

/// A blob that is opened when it is first read: what is at the destination already is not asked for.
struct Lazy {
    source: Arc<Source>,
    blob: Descriptor,
    /// Set where the stream proves that its bytes are not those of the blob: whoever writes them sees only
    /// that it failed.
    lied: Arc<AtomicBool>,
    inner: Option<Box<dyn Read + Send>>,
}

impl Lazy {
    fn note(&self, error: &io::Error) {
        if registry::Error::of(error).is_some_and(|error| error.kind == registry::ErrorKind::Mismatch) {
            self.lied.store(true, Ordering::Relaxed);
        }
    }
}

impl Read for Lazy {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.inner.is_none() {
            let opened = self.source.stream(&BlobName::Descriptor(self.blob.clone()));
            self.inner = Some(opened.inspect_err(|error| self.note(error))?);
        }
        let read = match &mut self.inner {
            Some(inner) => inner.read(buffer),
            None => Ok(0),
        };
        read.inspect_err(|error| self.note(error))
    }
}
