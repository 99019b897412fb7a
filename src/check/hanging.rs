//! What hangs on the manifests of an image, and what they hang on: facts for the checks.

use std::collections::BTreeSet;

use crate::model::digest::Digest;
use crate::model::tree::{ArtifactKind, Signer};
use crate::model::violation::Unseen;

/// What hangs on an image. Nothing, where nobody looked: [`Hanging::looked`] tells it.
#[derive(Debug, Clone, Default)]
pub struct Hanging {
    /// Whether it was looked for. A docker-archive has nothing that anything could hang on.
    pub looked: bool,
    /// By manifest.
    pub manifests: Vec<OnManifest>,
    /// Manifests that those of the image refer to.
    pub subjects: Vec<Subject>,
    /// What could not be seen.
    pub unseen: Vec<Unseen>,
}

/// What hangs on one manifest.
#[derive(Debug, Clone)]
pub struct OnManifest {
    /// The manifest.
    pub digest: Digest,
    /// What the registry's own list points to; none where there is none.
    pub native: Option<BTreeSet<Digest>>,
    /// What the fallback tag's list points to; none where there is none.
    pub fallback: Option<BTreeSet<Digest>>,
    /// Why the fallback tag leads to no list.
    pub no_index: Option<String>,
    /// What is listed and there, whatever it refers to.
    pub referrers: Vec<Referring>,
    /// What the artifacts on it are; under cosign's tags too.
    pub artifacts: Vec<Kind>,
    /// Whether all of it could be seen.
    pub complete: bool,
}

/// A manifest that is listed as a referrer.
#[derive(Debug, Clone)]
pub struct Referring {
    /// Its digest.
    pub digest: Digest,
    /// Whether it is in the fallback tag's list.
    pub by_fallback: bool,
    /// The artifact type that the list states.
    pub stated_type: Option<String>,
    /// Its own: `artifactType`, else the type of its configuration.
    pub artifact_type: Option<String>,
    /// What it refers to.
    pub subject: Option<Subject>,
}

/// A manifest as another one that refers to it states it.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The manifest that states it.
    pub of: Digest,
    /// Its digest.
    pub digest: Digest,
    /// Its media type, where stated.
    pub media_type: Option<String>,
    /// Its length as the manifest writes it, where stated: any JSON.
    pub size: Option<String>,
    /// What was found under the digest: media type and length. None where it is certainly not there, or
    /// was not looked for.
    pub found: Option<(Option<String>, u64)>,
    /// Whether it is certainly not there.
    pub missing: bool,
}

/// What an artifact is and who is said to have signed it.
#[derive(Debug, Clone)]
pub struct Kind {
    /// What it is.
    pub kind: ArtifactKind,
    /// What it states.
    pub predicate_types: Vec<String>,
    /// Who is said to have signed.
    pub signers: Vec<Signer>,
}
