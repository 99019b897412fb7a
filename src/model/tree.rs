//! What hangs on an image: a tree for people and programs to look at. Nothing of it is verified.

use serde::Serialize;

use super::digest::Digest;
use super::platform::Platform;

/// An image and what hangs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// What the user named.
    pub reference: String,
    /// The manifest or index that it means.
    pub root: Node,
}

/// A manifest or an index of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its length in bytes.
    pub size: u64,
    /// The platform that the index above states for it.
    pub platform: Option<Platform>,
    /// What an index lists, in its order, without BuildKit's attestations.
    pub children: Vec<Self>,
    /// BuildKit's attestation manifests that name this manifest.
    pub build: Vec<BuildAttestation>,
    /// What refers to it.
    pub hangs: Hangs,
    /// Why it, or what it lists, could not be read; none where it could.
    pub unread: Option<String>,
    /// It stands in the tree before: what is below it is shown there.
    pub again: bool,
}

/// An attestation manifest that BuildKit put into the index (buildkit, docs/attestations).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildAttestation {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What it states: the predicate types of its layers.
    pub predicate_types: Vec<String>,
    /// The digest that it says it is about, where the index lists no such manifest.
    pub astray: Option<String>,
    /// Why it could not be read.
    pub unread: Option<String>,
}

/// What refers to a manifest. Nothing does only where all three are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hangs {
    /// Those that are there, by kind and digest.
    pub artifacts: Vec<Artifact>,
    /// What is listed and certainly does not belong.
    pub rejected: Vec<Rejected>,
    /// What could not be seen: there may be more.
    pub unknown: Vec<String>,
}

/// A manifest that refers to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// What it is.
    pub kind: ArtifactKind,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Its artifact type.
    pub artifact_type: Option<String>,
    /// Who lists it.
    pub listed: ListedBy,
    /// What it states, where it is an attestation.
    pub predicate_types: Vec<String>,
    /// Who is said to have signed.
    pub signers: Vec<Signer>,
    /// What refers to it in turn.
    pub hangs: Hangs,
}

/// What a referrer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactKind {
    /// A sigstore bundle that signs the image.
    Signature,
    /// A sigstore bundle that states something.
    Attestation,
    /// A sigstore bundle of which neither can be said.
    Bundle,
    /// Signatures under cosign's tag `.sig`.
    LegacySignature,
    /// Attestations under cosign's tag `.att`.
    LegacyAttestation,
    /// An SBOM under cosign's tag `.sbom`.
    LegacySbom,
    /// Anything else.
    Other,
}

/// Who lists a referrer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListedBy {
    /// The registry's referrers API.
    Api,
    /// The fallback tag beside it.
    FallbackTag,
    /// `index.json` of a layout.
    Index,
    /// A tag of its own, by cosign's scheme.
    Tag,
}

/// Who is said to have signed. A claim: anybody can write anything there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Signer {
    /// Whoever the certificate names.
    Certificate {
        /// Mail addresses, URIs and user names.
        identities: Vec<String>,
        /// Who is said to have vouched for them.
        issuer: Option<String>,
    },
    /// A key.
    Key {
        /// What stands beside it.
        hint: Option<String>,
    },
    /// It cannot be told.
    Unreadable {
        /// Why.
        cause: String,
    },
}

/// A manifest that is listed as referring to another and does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Rejected {
    /// Its digest.
    pub digest: Digest,
    /// Why it does not count.
    pub cause: String,
}

impl Tree {
    /// Whether everything could be looked at: only then is what is not shown not there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.root.is_complete()
    }
}

impl Node {
    fn is_complete(&self) -> bool {
        self.unread.is_none()
            && self.hangs.is_complete()
            && self.build.iter().all(|build| build.unread.is_none())
            && self.children.iter().all(Self::is_complete)
    }
}

impl Hangs {
    fn is_complete(&self) -> bool {
        self.unknown.is_empty() && self.artifacts.iter().all(|artifact| artifact.hangs.is_complete())
    }
}
