//! What an image consists of and what hangs on it, as `portcullis tree` shows it.

use serde::Serialize;

use super::digest::Digest;
use super::evidence::ImageIdentity;
use super::platform::Platform;

/// An image with everything below and on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tree {
    /// The image.
    pub image: ImageIdentity,
    /// Its manifest or index.
    pub root: Node,
    /// What could not be seen: there may be more. Empty where the tree is whole.
    pub unknown: Vec<String>,
}

/// A manifest or an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its length.
    pub size: u64,
    /// The platform, where its index states one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Of BuildKit's attestation manifest: types of the predicates in it. It says so itself; nobody signed it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub predicates: Vec<String>,
    /// What hangs on it.
    pub referrers: Vec<Leaf>,
    /// What was listed as hanging on it and certainly does not: causes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<String>,
    /// What the index lists. An attestation manifest stands below the manifest that it is about.
    pub children: Vec<Node>,
}

/// One thing that hangs on a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Leaf {
    /// Digest of its manifest.
    pub digest: Digest,
    /// What it is.
    pub kind: LeafKind,
    /// Its artifact type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The tag, of cosign's legacy format.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Types of the predicates that it attests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub predicates: Vec<String>,
    /// Who signed it by its own word. **Nothing of it is verified.**
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub claimed_signers: Vec<Signer>,
    /// What hangs on it in turn.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub referrers: Vec<Self>,
}

/// What hangs there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LeafKind {
    /// A Sigstore bundle.
    Bundle,
    /// cosign's `.sig`.
    LegacySignature,
    /// cosign's `.att`.
    LegacyAttestation,
    /// cosign's `.sbom`, which is not signed.
    LegacySbom,
    /// Something else.
    Other,
}

/// Who a signature says made it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "by")]
pub enum Signer {
    /// A Fulcio certificate.
    Certificate {
        /// Its subject alternative name: an address or a URI.
        subject: String,
        /// Who told Fulcio so.
        #[serde(skip_serializing_if = "Option::is_none")]
        issuer: Option<String>,
    },
    /// A key.
    Key {
        /// Which one, by its own word.
        #[serde(skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// It cannot be told: the cause.
    Unknown {
        /// The cause.
        cause: String,
    },
}
