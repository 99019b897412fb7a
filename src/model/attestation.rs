//! What is signed of an image: everything that hangs on it and was verified, and everything that was refused.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::digest::Digest;
use super::platform::Platform;
use super::signer::Signer;

/// A root that signatures are verified by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustedRoot {
    /// Whose it is, as attestations name it: `public-good`, a file, the address of a TUF repository.
    pub name: String,
    /// SHA-256 of its `trusted_root.json`.
    pub digest: Digest,
    /// Where it comes from.
    pub origin: RootOrigin,
    /// Why it is no newer one, where a refresh failed or what was kept could not be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_refreshed: Option<String>,
}

/// Where a root comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RootOrigin {
    /// It came with portcullis.
    Embedded,
    /// From its instance's TUF repository, now or before.
    Refreshed,
    /// The user named it.
    Named,
}

/// What is signed of one manifest. Nothing is signed only where all three lists are empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attested {
    /// The manifest or index.
    pub subject: Digest,
    /// Its platform; none of the image as a whole, and of an index within it.
    pub platform: Option<Platform>,
    /// The platforms' manifests that it leads to, where it is an index within the image's; none of the image as a whole,
    /// which leads to all, and of a platform's manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<BTreeSet<Digest>>,
    /// What was verified. Who may sign is not asked yet.
    pub attestations: Vec<Attestation>,
    /// What is there and was not accepted.
    pub refused: Vec<Refused>,
    /// What could not be seen: there may be more.
    pub unknown: Vec<String>,
}

impl Attested {
    /// Whether it is an index that leads to a platform's manifest: the image's own, or one between. Whoever signs an
    /// index signs the digests that it lists. Attack: an index that leads elsewhere, signed, beside a platform that
    /// nobody has signed.
    #[must_use]
    pub fn leads_to(&self, manifest: Option<&Digest>) -> bool {
        leads_to(self.platform.as_ref(), self.below.as_ref(), manifest)
    }

    /// Whether it is a platform's manifest itself.
    #[must_use]
    pub fn is_of(&self, manifest: Option<&Digest>) -> bool {
        manifest == Some(&self.subject)
    }

    /// Whether what is signed of it speaks of a platform: it is the platform's manifest, or leads to it.
    #[must_use]
    pub fn concerns(&self, manifest: Option<&Digest>) -> bool {
        self.is_of(manifest) || self.leads_to(manifest)
    }
}

/// Whether what is of this platform and has these manifests below leads to a platform's manifest; both as of
/// [`Attested`].
pub(super) fn leads_to(
    platform: Option<&Platform>,
    below: Option<&BTreeSet<Digest>>,
    manifest: Option<&Digest>,
) -> bool {
    match below {
        Some(below) => manifest.is_some_and(|manifest| below.contains(manifest)),
        None => platform.is_none(),
    }
}

/// One signature or attestation, verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attestation {
    /// Where it was found.
    pub at: Place,
    /// Who signed.
    pub signed_by: SignedBy,
    /// What is signed.
    pub content: Content,
    /// When it was signed, by the clocks of logs and timestamp authorities, the earliest first. Empty only where a key
    /// signed and no log was demanded.
    pub times: Vec<Timestamp>,
    /// The logs that have it.
    pub logs: Vec<LogEntry>,
    /// The trusted root that vouches for it; none where only a key does.
    pub root: Option<String>,
    /// The predicate as it was signed, where it may be VEX that is read, until it was.
    #[serde(skip)]
    pub signed_predicate: Option<Box<str>>,
}

/// Where something signed was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Place {
    /// A referrer: a manifest that names the subject.
    Referrer {
        /// Digest of its manifest.
        digest: Digest,
    },
    /// A layer under one of cosign's tags.
    Tag {
        /// The tag.
        tag: String,
        /// The layer's place, from 0; none of the manifest as a whole.
        layer: Option<usize>,
    },
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SignedBy {
    /// The holder of a certificate.
    Certificate(Signer),
    /// The holder of the key with this fingerprint: the SHA-256 of its `SubjectPublicKeyInfo`.
    Key(Digest),
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Content {
    /// A signature of the manifest: whoever made it meant nothing but to sign it.
    Signature {
        /// What the signer added (`cosign sign -a KEY=VALUE`).
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        annotations: BTreeMap<String, String>,
    },
    /// A statement about it. It is as true as its signer.
    Statement {
        /// What kind of claim it is.
        #[serde(rename = "predicateType")]
        predicate_type: String,
        /// The claim; null where there is none.
        #[serde(serialize_with = "left_out")]
        predicate: Value,
    },
}

/// Predicates may have megabytes: reports name them and do not repeat them.
fn left_out<S: Serializer>(_: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_unit()
}

/// An entry in a transparency log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// URL of the log, from the trusted root.
    pub log: String,
    /// Its number in the log, where the log vouches for it.
    pub index: Option<u64>,
    /// When the log took it, where the log vouches for that.
    pub integrated: Option<Timestamp>,
}

/// Something that looks signed, and was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// Where it is.
    pub at: Place,
    /// Whether that could not be judged: it may be true.
    pub unjudged: bool,
    /// Why, in a word for programs.
    pub kind: &'static str,
    /// Why, for people: a lowercase fragment, which may have foreign text in it.
    pub cause: String,
}

/// The word for what is listed and not there any more, in [`Refused::kind`].
pub const GONE: &str = "gone";

/// The words for what is no bundle, no statement and no payload, in [`Refused::kind`].
const ILLEGIBLE: &[&str] = &["malformed", "statement", "payload"];

impl Refused {
    /// Whether it may be a statement that somebody meant and nobody could read. Attack: a statement that speaks against
    /// the others, signed with a key twice in it or in its bundle, so that it is refused before anybody asks who signed.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.unjudged || ILLEGIBLE.contains(&self.kind)
    }
}

impl Place {
    /// The place in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Referrer { digest } => format!("referrer {digest}"),
            Self::Tag { tag, layer: Some(layer) } => format!("tag {tag}, layer {layer}"),
            Self::Tag { tag, layer: None } => format!("tag {tag}"),
        }
    }
}

impl SignedBy {
    /// Who signed, in words: the certificate's name, or the key.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Certificate(signer) => signer.name.as_str().to_owned(),
            Self::Key(key) => format!("the key {key}"),
        }
    }
}

impl Content {
    /// Whether it counts as a signature. Attack: an SBOM or a failed verdict by the right signer, offered as one.
    #[must_use]
    pub fn is_signature(&self) -> bool {
        matches!(self, Self::Signature { .. })
    }
}

/// What became of one manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedManifest {
    /// The manifest or index.
    pub subject: Digest,
    /// Its platform; none of the image as a whole, and of an index within it.
    pub platform: Option<Platform>,
    /// What kind of claim was made; null of a signature.
    pub predicate_type: Option<String>,
    /// Digest of the referrer that was pushed; none where the same was there already.
    pub referrer: Option<Digest>,
    /// Who lists it: the registry itself, or the fallback tag.
    pub listed: Option<&'static str>,
    /// cosign's tag that a layer was added to; none where the form was not asked for, or the same was there already.
    pub tag: Option<String>,
    /// Referrers, and layers of cosign's tag, that were taken away because this one is in their place.
    pub replaced: Vec<Digest>,
    /// Older ones that could not be taken away, each with the reason.
    pub left: Vec<String>,
}

/// What became of the attestations of a verdict.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// Each attestation, on each manifest.
    pub attestations: Vec<SignedManifest>,
    /// Why they are not all there; null where they are.
    pub error: Option<String>,
}
