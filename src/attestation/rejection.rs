//! Why a bundle was not accepted: a closed list that callers and tests can tell apart.

use std::fmt;

use sigstore_verify::bundle::Error as BundleError;
use sigstore_verify::{CertificateError, Error, TimestampError, TransparencyLogError};

macro_rules! kinds {
    ($($variant:ident $id:literal $doc:literal;)*) => {
        /// Why.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum RejectionKind {
            $(#[doc = $doc] $variant,)*
        }

        impl RejectionKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word for it in reports.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Self::$variant => $id),* }
            }
        }
    };
}

kinds! {
    Limit "limit" "It is larger than a named limit.";
    Malformed "malformed" "It is no bundle, or none that all readers understand alike.";
    Version "version" "It is a bundle of a version that is not known.";
    Unsupported "unsupported" "It has a key, an entry or content of a kind that cannot be verified.";
    Material "material" "It was made with a certificate where a key is expected, or the other way round.";
    Statement "statement" "What is signed is no in-toto statement.";
    Payload "payload" "What is signed is no simple-signing payload.";
    Subject "subject" "It is about something else than what it was offered for.";
    Signature "signature" "The signature is not over this content by this key.";
    Certificate "certificate" "The certificate cannot be read, or says what no certificate of Fulcio says.";
    Chain "chain" "The certificate was issued by nobody who is trusted.";
    CertificateTime "certificateTime" "The certificate was not valid when it was used.";
    Sct "sct" "The certificate is not proved to be in a certificate transparency log.";
    LogMissing "logMissing" "No transparency log vouches for it.";
    UnknownLog "unknownLog" "A log vouches for it that is not trusted.";
    InclusionProof "inclusionProof" "The entry is not proved to be in the log.";
    Checkpoint "checkpoint" "The log's checkpoint is missing, malformed, or not signed by that log.";
    Promise "promise" "The log's promise (signed entry timestamp) is not the log's, or for something else.";
    Entry "entry" "The log's entry is about another signature, key or content, or cannot be read.";
    IntegratedTime "integratedTime" "The log's time lies in the future or outside the certificate's validity.";
    Timestamp "timestamp" "A timestamp is not by a trusted authority, or not about this signature.";
    NoTime "noTime" "Nobody who is trusted says when it was signed.";
    Identity "identity" "It is verified, and signed by somebody else than who may sign.";
    Type "type" "It is verified, and something else than what is asked for.";
}

impl fmt::Display for RejectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl RejectionKind {
    /// Whether it may still be true: nobody could tell. Everything else is known to be wrong. Neither is accepted.
    #[must_use]
    pub fn is_undecided(self) -> bool {
        matches!(self, Self::Version | Self::UnknownLog | Self::Unsupported | Self::Limit)
    }

    /// How much the root knew of the bundle that gave this reason: of several roots the one that knew most is heard.
    pub(super) fn insight(self) -> u8 {
        match self {
            Self::UnknownLog | Self::LogMissing => 0,
            Self::Chain | Self::Sct | Self::Timestamp | Self::NoTime => 1,
            Self::Limit
            | Self::Malformed
            | Self::Version
            | Self::Unsupported
            | Self::Material
            | Self::Statement
            | Self::Payload
            | Self::Subject
            | Self::Signature
            | Self::Certificate
            | Self::CertificateTime
            | Self::InclusionProof
            | Self::Checkpoint
            | Self::Promise
            | Self::Entry
            | Self::IntegratedTime
            | Self::Identity
            | Self::Type => 2,
        }
    }
}

/// Characters of a reason.
const DETAIL: usize = 1_000;

/// A bundle that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Rejection {
    /// Why, for a program.
    pub kind: RejectionKind,
    /// Why, for a person: a lowercase fragment, which may have foreign text in it.
    pub detail: String,
}

impl Rejection {
    /// A rejection.
    #[must_use]
    pub fn new(kind: RejectionKind, detail: impl Into<String>) -> Self {
        let detail: String = detail.into();
        // Attack: a media type of eight megabytes, told again in every report.
        let detail = match detail.char_indices().nth(DETAIL) {
            Some((end, _)) => format!("{}…", detail.get(..end).unwrap_or_default()),
            None => detail,
        };
        Self { kind, detail }
    }
}

/// What `sigstore-verify` says, by its variants and never by its words.
impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Certificate(error) => of_certificate(error),
            Error::TransparencyLog(error) => of_log(error),
            Error::Timestamp(error) => of_timestamp(error),
            Error::Bundle(error) => of_bundle(error),
            Error::SignatureInvalid(_) => RejectionKind::Signature,
            Error::ArtifactMismatch(_) => RejectionKind::Subject,
            Error::IdentityMismatch { .. } | Error::IssuerMismatch { .. } => RejectionKind::Identity,
            Error::InvalidBundle(_) | Error::Types(_) => RejectionKind::Malformed,
            Error::TrustRoot(_) | Error::InvalidTrustRoot(_) | Error::TrustedCertificate(_) => {
                RejectionKind::Chain
            }
            Error::UnsupportedArtifact(_)
            | Error::UnsupportedBundle(_)
            | Error::Crypto(_)
            | Error::ArtifactRead(_)
            | _ => RejectionKind::Unsupported,
        };
        Self::new(kind, error.to_string())
    }
}

fn of_certificate(error: &CertificateError) -> RejectionKind {
    match error {
        CertificateError::ChainInvalid(_) | CertificateError::NoValidAuthority { .. } => RejectionKind::Chain,
        CertificateError::NotYetValid { .. } | CertificateError::Expired { .. } => {
            RejectionKind::CertificateTime
        }
        CertificateError::Sct(_) => RejectionKind::Sct,
        CertificateError::Malformed(_) | _ => RejectionKind::Certificate,
    }
}

fn of_log(error: &TransparencyLogError) -> RejectionKind {
    match error {
        TransparencyLogError::UnknownLog { .. } => RejectionKind::UnknownLog,
        TransparencyLogError::InclusionProof(_) => RejectionKind::InclusionProof,
        TransparencyLogError::Checkpoint(_) => RejectionKind::Checkpoint,
        TransparencyLogError::InclusionPromise(_) => RejectionKind::Promise,
        TransparencyLogError::IntegratedTime(_) => RejectionKind::IntegratedTime,
        TransparencyLogError::EntryMismatch(_) | TransparencyLogError::MalformedEntry(_) | _ => {
            RejectionKind::Entry
        }
    }
}

fn of_timestamp(error: &TimestampError) -> RejectionKind {
    match error {
        TimestampError::NoVerifiedTimestamp(_) => RejectionKind::NoTime,
        TimestampError::Invalid(_) | TimestampError::OutsideAuthorityValidity { .. } | _ => {
            RejectionKind::Timestamp
        }
    }
}

fn of_bundle(error: &BundleError) -> RejectionKind {
    match error {
        BundleError::UnsupportedMediaType(_) => RejectionKind::Version,
        BundleError::UnsupportedVerificationMaterial => RejectionKind::Unsupported,
        BundleError::MissingInclusionPromise(_)
        | BundleError::MissingInclusionProof(_)
        | BundleError::MissingSigningTimeEvidence => RejectionKind::LogMissing,
        BundleError::MissingTimestamp => RejectionKind::NoTime,
        BundleError::MissingCheckpoint | BundleError::CheckpointRootMismatch => RejectionKind::Checkpoint,
        BundleError::LogIndexOutOfRange { .. } => RejectionKind::InclusionProof,
        BundleError::CertificateChainNotAllowed(_) | _ => RejectionKind::Malformed,
    }
}
