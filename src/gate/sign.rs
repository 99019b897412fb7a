//! Signatures and attestations made for an image in a registry, and pushed beside it.
//!
//! What was made is verified before it is pushed, and what was pushed is read back and verified through the ordinary
//! path. A run that was interrupted can be repeated: what is there already by the same signer is not made again.

mod engine;
mod legacy;
mod targets;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use crate::attestation::certificate::holder;
use crate::attestation::{LogOfKey, PublicKey, Trust};
use crate::image::limits::Limits;
use crate::model::attestation::{SignedBy, SignedManifest};
use crate::model::location::Location;
use crate::model::reference::Reference;
use crate::registry::{self, Registry};
use crate::sigstore::{self, Run};

pub(super) use engine::{Job, Signing};
pub(super) use targets::{Target, targets};

use super::source::{Source, Unopened};

/// What is to be signed of an image.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// The image itself: its index, and all manifests below it where that is asked for.
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
        /// Take the older ones of the same type by the same signer away, once this one is there: those that have the
        /// same values at these places (RFC 6901) of the predicate. None takes nothing away.
        replace: Option<&'static [&'static str]>,
    },
}

/// In which form signatures hang on an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Sigstore bundles as referrers.
    #[default]
    Bundle,
    /// Layers under cosign's tags `.sig` and `.att`, as cosign wrote them up to version 2.
    Legacy,
    /// Both.
    Both,
}

impl Format {
    /// Whether bundles are among it.
    #[must_use]
    pub fn bundle(self) -> bool {
        self != Self::Legacy
    }

    /// Whether cosign's tags are among it, which need a log of version 1.
    #[must_use]
    pub fn legacy(self) -> bool {
        self != Self::Bundle
    }
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
    /// In which form.
    pub format: Format,
    /// Whether all manifests and indexes below an index are signed as well.
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
    let targets = targets(&source, root, &bytes, request.recursive, request.limits)?;
    let job = |target| Job { target, what: request.what.clone() };
    let jobs: Vec<Job> = targets.into_iter().map(job).collect();
    let signing = Signing {
        source: &source,
        name: &request.reference.name(),
        format: request.format,
        who: signer(run, request.key)?,
        key: request.key,
        log: log_of_key(run),
        trust: request.trust,
        limits: request.limits,
        now: request.now,
    };
    signing.run(&jobs, run)
}

/// Who signs: whoever the certificate names, or the key.
pub(super) fn signer(run: &Run, key: Option<&PublicKey>) -> Result<SignedBy, SignError> {
    match key {
        Some(key) => Ok(SignedBy::Key(key.fingerprint())),
        None => {
            let certificate = run.certificate()?;
            let unusable = |cause| SignError::Unverified(format!("the certificate: {cause}"));
            Ok(SignedBy::Certificate(holder(&certificate).map_err(unusable)?))
        }
    }
}

/// Whether what a key signs must be in a log: where the run's services have one, as its verifiers demand then.
pub(super) fn log_of_key(run: &Run) -> LogOfKey {
    match run.is_logged() {
        true => LogOfKey::Demanded,
        false => LogOfKey::NotDemanded,
    }
}
