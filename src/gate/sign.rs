//! Signatures and attestations made for an image in a registry, and pushed beside it.
//!
//! What was made is verified before it is pushed, and what was pushed is read back and verified through the ordinary
//! path. A run that was interrupted can be repeated: what is there already by the same signer is not made again.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::attestation::certificate::holder;
use crate::attestation::write::{
    EMPTY, EMPTY_CONFIG, Hook, MANIFEST, attestation_statement, referrer, signature_statement,
};
use crate::attestation::{LogOfKey, PublicKey, Subject, Trust, Whose, verify};
use crate::image::document::{self, Document};
use crate::image::limits::Limits;
use crate::model::attestation::{Attestation, Attested, Content as Signed, SignedBy};
use crate::model::descriptor::Descriptor;
use crate::model::digest::Digest;
use crate::model::location::Location;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::registry::{self, Artifact, BlobSource, Listed, Registry};
use crate::sigstore::{self, Content, Run};

use super::attestations::{Trusted, collect};
use super::hanging::document as fetch;
use super::source::{Source, Unopened};

/// What is to be signed of an image.
#[derive(Debug, Clone)]
pub enum What {
    /// The image itself: its index, and each platform's manifest where that is asked for.
    Signature {
        /// What `cosign sign -a KEY=VALUE` adds.
        annotations: BTreeMap<String, String>,
    },
    /// A statement about it.
    Attestation {
        /// What kind of claim it is.
        predicate_type: String,
        /// The claim.
        predicate: Value,
        /// Take those of the same type by the same signer away, once this one is there.
        replace: bool,
    },
}

/// How an image is signed.
#[derive(Debug, Clone, Copy)]
pub struct SignRequest<'a> {
    /// The image, in a registry.
    pub reference: &'a Reference,
    /// The registry.
    pub registry: &'a Registry,
    /// What is signed.
    pub what: &'a What,
    /// Whether the platforms' manifests below an index are signed as well.
    pub recursive: bool,
    /// The roots by which what was made is verified.
    pub trust: &'a Trust,
    /// The public key, where a key signs.
    pub key: Option<&'a PublicKey>,
    /// Bounds on what is read.
    pub limits: &'a Limits,
    /// When it is: annotations of manifests say so.
    pub now: Timestamp,
}

/// What became of one manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedManifest {
    /// The manifest or index.
    pub subject: Digest,
    /// Its platform; none of the image as a whole.
    pub platform: Option<Platform>,
    /// Digest of the referrer that was pushed; none where the same was there already.
    pub referrer: Option<Digest>,
    /// Who lists it: the registry itself, or the fallback tag.
    pub listed: Option<&'static str>,
    /// Referrers that were taken away because this one is in their place.
    pub replaced: Vec<Digest>,
}

/// Why nothing was signed, or not all.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The user must say something else.
    #[error("{0}")]
    Usage(String),
    /// The image could not be read.
    #[error("{0}")]
    Unread(String),
    /// What is there already could not be looked at: signing again might double it.
    #[error("what is signed already could not be looked at: {0}")]
    Unknown(String),
    /// The services did not sign.
    #[error("{0}")]
    Services(#[from] sigstore::Error),
    /// What the services gave is not accepted by the trusted root.
    #[error(
        "what was made does not verify, and was not pushed: {0}; is `--trusted-root` that of these services?"
    )]
    Unverified(String),
    /// It could not be pushed, or was not found where it was pushed.
    #[error("{0}")]
    Push(String),
}

impl From<registry::Error> for SignError {
    fn from(error: registry::Error) -> Self {
        Self::Push(error.to_string())
    }
}

/// A manifest to be signed.
struct Target {
    descriptor: Descriptor,
    platform: Option<Platform>,
}

/// Signs an image and hangs the signatures on it.
///
/// # Errors
/// [`SignError`]. What was pushed until then stays: the same call again goes on from there.
pub fn sign(request: &SignRequest<'_>, run: &Run) -> Result<Vec<SignedManifest>, SignError> {
    let location = Location::Registry(request.reference.clone());
    let opened = Source::root(&location, Some(request.registry), request.limits);
    let (source, root, bytes) = opened.map_err(|error| match error {
        Unopened::Choice(error) => SignError::Usage(error.to_string()),
        Unopened::Fault(fault) => SignError::Unread(fault.to_string()),
    })?;
    let targets = targets(request, &source, root, &bytes)?;
    let signing = Signing { request, source: &source, who: signer(run, request.key)? };
    signing.all(&targets, run)
}

/// The manifests to be signed: the image's own, and those of its platforms.
fn targets(
    request: &SignRequest<'_>,
    source: &Source,
    root: Descriptor,
    bytes: &[u8],
) -> Result<Vec<Target>, SignError> {
    let at = format!("manifest {}", root.digest);
    let parsed = document::parse(bytes, Some(&root.media_type), &at);
    let parsed = parsed.map_err(|fault| SignError::Unread(fault.to_string()))?;
    let mut targets = vec![Target { descriptor: root, platform: None }];
    if let (Document::Index(index), true) = (parsed, request.recursive) {
        if index.manifests.len() > request.limits.index_children {
            let limit = request.limits.index_children;
            return Err(SignError::Unread(format!(
                "{at}: more than {limit} manifests (limit `index children`)"
            )));
        }
        for child in index.manifests {
            // BuildKit's attestation manifests are of no platform: nobody runs them.
            if child.platform.as_ref().is_some_and(Platform::is_unknown) {
                continue;
            }
            // What is signed must be there, and be what the index says.
            fetch(source, &child, request.limits).map_err(|cause| SignError::Unread(cause.to_string()))?;
            let platform = child.platform.clone();
            targets.push(Target { descriptor: child, platform });
        }
    }
    Ok(targets)
}

/// Who signs: whoever the certificate names, or the key.
fn signer(run: &Run, key: Option<&PublicKey>) -> Result<SignedBy, SignError> {
    match key {
        Some(key) => Ok(SignedBy::Key(key.fingerprint())),
        None => {
            let certificate = run.certificate()?;
            let unusable = |cause| SignError::Unverified(format!("the certificate: {cause}"));
            Ok(SignedBy::Certificate(holder(&certificate).map_err(unusable)?))
        }
    }
}

struct Signing<'a> {
    request: &'a SignRequest<'a>,
    source: &'a Source,
    who: SignedBy,
}

impl Signing<'_> {
    fn all(&self, targets: &[Target], run: &Run) -> Result<Vec<SignedManifest>, SignError> {
        let before = self.collect(targets)?;
        let todo: Vec<&Target> = targets
            .iter()
            .zip(&before)
            .filter(|(_, attested)| !attested.attestations.iter().any(|one| self.is_same(one)))
            .map(|(target, _)| target)
            .collect();
        let statements: Vec<Vec<u8>> =
            todo.iter().map(|target| self.statement(&target.descriptor.digest)).collect();
        let contents: Vec<Content<'_>> =
            statements.iter().map(|statement| Content::Statement(statement)).collect();
        let bundles = run.sign(&contents)?;
        for (target, bundle) in todo.iter().zip(&bundles) {
            self.check(&target.descriptor.digest, bundle)?;
        }
        let mut done = BTreeMap::new();
        for (target, bundle) in todo.iter().zip(&bundles) {
            done.insert(target.descriptor.digest.clone(), self.push(target, bundle)?);
        }
        let mut answers: Vec<SignedManifest> = targets
            .iter()
            .map(|target| {
                let pushed = done.get(&target.descriptor.digest);
                SignedManifest {
                    subject: target.descriptor.digest.clone(),
                    platform: target.platform.clone(),
                    referrer: pushed.map(|pushed| pushed.digest.clone()),
                    listed: pushed.map(|pushed| match pushed.listed {
                        Listed::Native => "api",
                        Listed::FallbackTag => "fallbackTag",
                    }),
                    replaced: Vec::new(),
                }
            })
            .collect();
        let after = self.read_back(targets)?;
        if matches!(self.request.what, What::Attestation { replace: true, .. }) {
            for (answer, attested) in answers.iter_mut().zip(&after) {
                self.replace(answer, attested)?;
            }
        }
        Ok(answers)
    }

    /// What is signed of the manifests now. What could not be looked at may be what is about to be made again.
    fn collect(&self, targets: &[Target]) -> Result<Vec<Attested>, SignError> {
        let wanted: Vec<_> = targets
            .iter()
            .map(|target| (target.descriptor.digest.clone(), target.platform.clone()))
            .collect();
        let keys: Vec<_> = self.request.key.iter().map(|key| (*key, LogOfKey::NotDemanded)).collect();
        let trusted = Trusted { trust: self.request.trust, keys: &keys };
        let found = collect(self.source, self.request.limits, trusted, &wanted);
        match found.iter().flat_map(|attested| &attested.unknown).next() {
            Some(cause) => Err(SignError::Unknown(cause.clone())),
            None => Ok(found),
        }
    }

    /// Whether something is what is about to be signed, by the same signer.
    fn is_same(&self, attestation: &Attestation) -> bool {
        same_signer(&self.who, &attestation.signed_by)
            && match (self.request.what, &attestation.content) {
                (What::Signature { annotations: wanted }, Signed::Signature { annotations }) => {
                    wanted == annotations
                }
                (
                    What::Attestation { predicate_type: wanted, predicate: claim, .. },
                    Signed::Statement { predicate_type, predicate },
                ) => wanted == predicate_type && claim == predicate,
                (What::Signature { .. }, Signed::Statement { .. })
                | (What::Attestation { .. }, Signed::Signature { .. }) => false,
            }
    }

    fn statement(&self, digest: &Digest) -> Vec<u8> {
        match self.request.what {
            What::Signature { annotations } => signature_statement(digest, annotations),
            What::Attestation { predicate_type, predicate, .. } => {
                let name = self.request.reference.name();
                attestation_statement(predicate_type, &name, digest, predicate.clone())
            }
        }
    }

    /// Verifies what the services gave. Attack, or a slip: services that answer with somebody else's certificate, or
    /// that no verifier will accept, of which the user would hear when the image is to enter.
    fn check(&self, subject: &Digest, bundle: &[u8]) -> Result<(), SignError> {
        let whose = match self.request.key {
            Some(key) => Whose::Key(key, LogOfKey::NotDemanded),
            None => Whose::Certificate,
        };
        verify(self.request.trust, whose, bundle, Subject::Digest(subject))
            .map(|_| ())
            .map_err(|rejection| SignError::Unverified(rejection.to_string()))
    }

    fn push(&self, target: &Target, bundle: &[u8]) -> Result<registry::Attached, SignError> {
        let Source::Registry(store) = self.source else {
            return Err(SignError::Usage("only an image in a registry can be signed".into()));
        };
        let (registry, repository) = (store.registry(), store.repository());
        let predicate_type = match self.request.what {
            What::Signature { .. } => crate::attestation::statement::COSIGN_SIGN,
            What::Attestation { predicate_type, .. } => predicate_type,
        };
        let on = Hook {
            digest: &target.descriptor.digest,
            media_type: &target.descriptor.media_type,
            size: target.descriptor.size,
        };
        let created = self.request.now.to_string();
        let manifest = referrer(on, bundle, Some(predicate_type), &created);
        for (media_type, bytes) in [(EMPTY, EMPTY_CONFIG), (crate::attestation::write::BUNDLE, bundle)] {
            let descriptor = Descriptor {
                media_type: media_type.to_owned(),
                digest: Digest::sha256(bytes),
                size: bytes.len() as u64,
                platform: None,
                annotations: BTreeMap::new(),
            };
            let source = BlobSource::Bytes(Bytes::copy_from_slice(bytes));
            registry.run(repository.push_blob(&descriptor, source, None))?;
        }
        let artifact = Artifact { manifest, media_type: MANIFEST.to_owned() };
        let attached = registry.run(repository.attach(&target.descriptor.digest, &[artifact]))?;
        attached.into_iter().next().ok_or_else(|| SignError::Push("nothing was attached".into()))
    }

    /// Reads what was pushed, as whoever judges the image will.
    fn read_back(&self, targets: &[Target]) -> Result<Vec<Attested>, SignError> {
        let after = self.collect(targets)?;
        for attested in &after {
            if !attested.attestations.iter().any(|one| self.is_same(one)) {
                let subject = &attested.subject;
                return Err(SignError::Push(format!(
                    "what was pushed is not found beside {subject}: try again"
                )));
            }
        }
        Ok(after)
    }

    /// Takes the older ones of the same type by the same signer away.
    fn replace(&self, answer: &mut SignedManifest, attested: &Attested) -> Result<(), SignError> {
        let Source::Registry(store) = self.source else { return Ok(()) };
        let What::Attestation { predicate_type: wanted, .. } = self.request.what else { return Ok(()) };
        let mut kept = answer.referrer.clone();
        for one in &attested.attestations {
            let crate::model::attestation::Place::Referrer { digest } = &one.at else { continue };
            let is_of_type =
                matches!(&one.content, Signed::Statement { predicate_type, .. } if predicate_type == wanted);
            if !is_of_type || !same_signer(&self.who, &one.signed_by) {
                continue;
            }
            // Where nothing was pushed, one of those that say the same stays.
            if kept.is_none() && self.is_same(one) {
                kept = Some(digest.clone());
            }
            if kept.as_ref() != Some(digest) {
                store.registry().run(store.repository().detach(&attested.subject, digest))?;
                answer.replaced.push(digest.clone());
            }
        }
        Ok(())
    }
}

/// Whether two signed as the same: by name and issuer, whatever run it was.
fn same_signer(a: &SignedBy, b: &SignedBy) -> bool {
    match (a, b) {
        (SignedBy::Certificate(a), SignedBy::Certificate(b)) => a.name == b.name && a.issuer == b.issuer,
        (SignedBy::Key(a), SignedBy::Key(b)) => a == b,
        (SignedBy::Certificate(_), SignedBy::Key(_)) | (SignedBy::Key(_), SignedBy::Certificate(_)) => false,
    }
}
