//! What is trusted: roots with authorities and logs, and keys. Given as bytes by whoever knows where they come from.

use std::fmt;

use sigstore_verify::Verifier;
use sigstore_verify::crypto::{KeyAlgorithm, VerificationKey, validate_raw_public_key};
use sigstore_verify::trust_root::{SigstoreInstance, TrustedRoot};
use sigstore_verify::types::DerPublicKey;

use crate::model::digest::Digest;
use crate::strict::{self, Bounds};

/// Bytes of a trusted root: 4 MiB; the public-good instance's has 7 KiB.
pub const ROOT: usize = 4 << 20;

/// Bytes of a public key in PEM: 64 KiB; the largest that is supported has 3 KiB.
pub const KEY: usize = 64 << 10;

const MEDIA_TYPES: [&str; 2] = [
    "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "application/vnd.dev.sigstore.trustedroot.v0.1+json",
];

const BOUNDS: Bounds = Bounds {
    document: "a trusted root",
    values: 100_000,
    items: 1_000,
    item: "authorities and logs",
    counted: &["tlogs", "certificateAuthorities", "ctlogs", "timestampAuthorities"],
    keys: &[
        "mediaType",
        "tlogs",
        "certificateAuthorities",
        "ctlogs",
        "timestampAuthorities",
        "validFor",
        "rawBytes",
    ],
    folded: true,
};

/// Whose root it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RootId {
    /// Sigstore's public-good instance.
    PublicGood,
    /// GitHub's own instance, which private repositories use.
    GitHub,
    /// Sigstore's staging instance. Anybody may test with it: never among the defaults.
    Staging,
    /// One that the user named.
    Custom(String),
}

impl fmt::Display for RootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PublicGood => "public-good",
            Self::GitHub => "github",
            Self::Staging => "staging",
            Self::Custom(name) => name,
        })
    }
}

/// A trusted root that cannot be used: a lowercase fragment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("trusted root {root}: {cause}")]
pub struct UnusableRoot {
    root: RootId,
    cause: String,
}

/// A trusted root, its keys and certificates ready for use.
pub struct Root {
    pub(super) id: RootId,
    digest: Digest,
    pub(super) verifier: Verifier,
    pub(super) logs: Vec<Log>,
    logless: bool,
}

/// A transparency log of a root.
pub(super) struct Log {
    pub(super) id: Vec<u8>,
    pub(super) url: String,
    pub(super) key: VerificationKey,
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").field("id", &self.id).field("logless", &self.logless).finish_non_exhaustive()
    }
}

impl Root {
    /// Reads `trusted_root.json` (sigstore/protobuf-specs, `sigstore_trustroot.proto`). `id` says whose it is: a
    /// refreshed root of the public-good instance is read as [`RootId::PublicGood`].
    ///
    /// # Errors
    /// It is malformed, has a key that is not supported, or has nothing to trust.
    pub fn read(id: RootId, bytes: &[u8]) -> Result<Self, UnusableRoot> {
        let unusable = |cause: String| UnusableRoot { root: id.clone(), cause };
        if bytes.len() > ROOT {
            return Err(unusable(format!("larger than the limit of {ROOT} bytes")));
        }
        strict::check(bytes, &BOUNDS).map_err(&unusable)?;
        let root: TrustedRoot = serde_json::from_slice(bytes).map_err(|error| unusable(error.to_string()))?;
        if !MEDIA_TYPES.contains(&root.media_type.as_str()) {
            return Err(unusable(format!("the media type `{}` is not known", root.media_type)));
        }
        let verifier = Verifier::new(&root).map_err(|error| unusable(error.to_string()))?;
        let log = |log: &sigstore_verify::trust_root::TransparencyLog| {
            let key =
                VerificationKey::from_spki(&log.public_key.raw_bytes).map_err(|error| error.to_string())?;
            Ok(Log { id: log.log_id.key_id.as_bytes().to_vec(), url: log.base_url.clone(), key })
        };
        let logs = root.tlogs.iter().map(log).collect::<Result<Vec<_>, String>>().map_err(&unusable)?;
        if logs.is_empty() && root.certificate_authorities.is_empty() {
            return Err(unusable("it has neither an authority nor a log".to_owned()));
        }
        let logless = Self::is_logless(&id, &root);
        Ok(Self { id, digest: Digest::sha256(bytes), verifier, logs, logless })
    }

    /// The root of an instance as it was when `sigstore-trust-root` was published.
    ///
    /// # Errors
    /// As [`Root::read`]; none for [`RootId::Custom`] is embedded.
    pub fn embedded(id: RootId) -> Result<Self, UnusableRoot> {
        let instance = match &id {
            RootId::PublicGood => SigstoreInstance::PublicGood,
            RootId::GitHub => SigstoreInstance::GitHub,
            RootId::Staging => SigstoreInstance::Staging,
            RootId::Custom(_) => {
                return Err(UnusableRoot { root: id, cause: "no such root is embedded".to_owned() });
            }
        };
        Self::read(id, instance.embedded_trusted_root_json().as_bytes())
    }

    /// Whose it is.
    #[must_use]
    pub fn id(&self) -> &RootId {
        &self.id
    }

    /// The SHA-256 of the `trusted_root.json` that it was read from.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Whether it is of an instance without transparency logs, of which neither an entry nor an SCT can be
    /// demanded and a timestamp must be.
    ///
    /// Attack: a bundle without a log entry, offered to a root that has logs. So logs are waived only where the
    /// root has none of any kind and an authority for timestamps instead, and never for the instances that are
    /// known to have logs, whatever their refreshed root says.
    fn is_logless(id: &RootId, root: &TrustedRoot) -> bool {
        let may_be = match id {
            RootId::PublicGood | RootId::Staging => false,
            RootId::GitHub | RootId::Custom(_) => true,
        };
        may_be && root.tlogs.is_empty() && root.ctlogs.is_empty() && !root.timestamp_authorities.is_empty()
    }

    /// Whether it and another know one log, as a later root of an instance does and that of another instance does not.
    #[must_use]
    pub fn shares_a_log(&self, other: &Self) -> bool {
        self.logs.iter().any(|log| other.logs.iter().any(|known| known.id == log.id))
    }

    pub(super) fn logless(&self) -> bool {
        self.logless
    }
}

/// The roots that may each vouch for a bundle, alone: nothing of one counts for what another has begun. Never
/// empty.
#[derive(Debug)]
pub struct Trust {
    first: Root,
    others: Vec<Root>,
}

impl Trust {
    /// Trusts one root.
    #[must_use]
    pub fn new(root: Root) -> Self {
        Self { first: root, others: Vec::new() }
    }

    /// Trusts another one beside.
    #[must_use]
    pub fn and(mut self, root: Root) -> Self {
        self.others.push(root);
        self
    }

    /// The embedded roots of the public-good instance and of GitHub's.
    ///
    /// # Errors
    /// An embedded root cannot be used, which a test rules out.
    pub fn embedded() -> Result<Self, UnusableRoot> {
        Ok(Self::new(Root::embedded(RootId::PublicGood)?).and(Root::embedded(RootId::GitHub)?))
    }

    /// The roots, in the order given.
    pub fn roots(&self) -> impl Iterator<Item = &Root> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// A public key that cannot be used: a lowercase fragment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no usable public key: {0}")]
pub struct UnusableKey(String);

/// A public key that somebody manages, such as `cosign.pub`: ECDSA on P-256 or P-384, Ed25519, RSA of 2,048 to
/// 8,192 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub(super) der: DerPublicKey,
    pub(super) algorithm: KeyAlgorithm,
}

impl PublicKey {
    /// Reads a key in PEM (RFC 7468 §13).
    ///
    /// # Errors
    /// It is none, or of a kind that is not supported.
    pub fn read_pem(bytes: &[u8]) -> Result<Self, UnusableKey> {
        if bytes.len() > KEY {
            return Err(UnusableKey(format!("larger than the limit of {KEY} bytes")));
        }
        let pem = std::str::from_utf8(bytes).map_err(|_| UnusableKey("no text".to_owned()))?;
        // Attack: two keys in one file, of which each reader takes another.
        if pem.matches("-----BEGIN").count() > 1 {
            return Err(UnusableKey("more than one key in one file".to_owned()));
        }
        let der = DerPublicKey::from_pem(pem).map_err(|error| UnusableKey(error.to_string()))?;
        let algorithm = KeyAlgorithm::from_spki(&der).map_err(|error| UnusableKey(error.to_string()))?;
        let key = VerificationKey::from_spki(&der).map_err(|error| UnusableKey(error.to_string()))?;
        validate_raw_public_key(key.scheme(), key.as_bytes())
            .map_err(|error| UnusableKey(error.to_string()))?;
        Ok(Self { der, algorithm })
    }

    /// The SHA-256 of its `SubjectPublicKeyInfo` in DER, which tells keys apart.
    #[must_use]
    pub fn fingerprint(&self) -> Digest {
        Digest::sha256(self.der.as_bytes())
    }
}

#[cfg(test)]
mod tests;
