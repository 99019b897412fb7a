//! Whether a bundle is a true attestation about a subject.

use jiff::Timestamp;
use sigstore_verify::crypto::{parse_certificate_info, sha384, verify_signature, verify_signature_prehashed};
use sigstore_verify::types::{
    Artifact, Bundle, HashAlgorithm, MessageDigest, SignatureContent, VerificationMaterialContent,
};
use sigstore_verify::{
    CertificateError, Error, PublicKeyVerificationPolicy, TransparencyLogError, VerificationPolicy,
    VerificationResult,
};

use crate::model::digest::{Algorithm, Digest};
use crate::model::signer::{Name, Signer};

use super::bundle;
use super::certificate::holder;
use super::legacy::SimpleSigning;
use super::log;
use super::rejection::{Rejection, RejectionKind};
use super::statement::{PAYLOAD_TYPE, Statement};
use super::trust::{PublicKey, Root, RootId, Trust};

/// What an attestation is to be about.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'s> {
    /// These bytes.
    Bytes(&'s [u8]),
    /// Whatever has this digest. A message signed with Ed25519 cannot be verified by it.
    Digest(&'s Digest),
}

/// Whose signature it is to be. Who exactly may hold the certificate is asked afterwards ([`super::identity`]).
#[derive(Debug, Clone, Copy)]
pub enum Whose<'k> {
    /// That of anybody with a certificate of a trusted authority.
    Certificate,
    /// That of whoever has the key.
    Key(&'k PublicKey, LogOfKey),
}

/// Whether a signature by a key must be in a transparency log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogOfKey {
    /// It must, as cosign demands.
    Demanded,
    /// It need not: nobody will notice when the key is misused, and nothing says when it signed. What is in the
    /// bundle of logs and times must be true all the same.
    NotDemanded,
}

/// An attestation: a bundle that was verified for a subject.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Who signed.
    pub signed_by: SignedBy,
    /// What was signed.
    pub content: Content,
    /// When it was signed, as logs and authorities for timestamps say that are trusted; the certificate was valid
    /// at each. Empty only where a key signed and no log is demanded.
    pub times: Vec<Timestamp>,
    /// The entries in transparency logs.
    pub log_entries: Vec<LogEntry>,
    /// The root that vouches for it; `None` where a key signed and neither log nor time is in the bundle.
    pub root: Option<RootId>,
}

impl Verified {
    /// Whether it counts as a signature: a `sign/v1` statement, a simple-signing payload, or a signature over the
    /// subject's own bytes, whose signer can have meant nothing else. No other attestation does (facts: cosign
    /// counts an SBOM).
    #[must_use]
    pub fn is_signature(&self) -> bool {
        match &self.content {
            Content::Message(_) | Content::SimpleSigning(_) => true,
            Content::Statement { statement, .. } => statement.is_signature(),
        }
    }

    /// The statement, where it is one.
    #[must_use]
    pub fn statement(&self) -> Option<&Statement> {
        match &self.content {
            Content::Statement { statement, .. } => Some(statement),
            Content::Message(_) | Content::SimpleSigning(_) => None,
        }
    }
}

/// Who signed, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedBy {
    /// The holder of a certificate.
    Certificate(Signer),
    /// The holder of the key with this fingerprint.
    Key(Digest),
}

/// What was signed, and how it speaks of the subject.
#[derive(Debug, Clone)]
pub enum Content {
    /// The subject's bytes, which have this digest.
    Message(Digest),
    /// A statement about it.
    Statement {
        /// The statement.
        statement: Statement,
        /// The place of the subject that was asked for among the statement's.
        subject: usize,
    },
    /// cosign's legacy payload about it.
    SimpleSigning(SimpleSigning),
}

/// An entry in a transparency log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// URL of the log, from the trusted root.
    pub log: String,
    /// Its number in the log; `None` where the log does not vouch for the number in the bundle.
    pub index: Option<u64>,
    /// When the log took it; `None` where the log does not vouch for it.
    pub integrated: Option<Timestamp>,
}

/// Verifies a bundle (v0.1 to v0.3, a message signature or a DSSE envelope) for a subject.
///
/// Every root is tried by itself, and the first that vouches for the bundle ends it.
///
/// # Errors
/// Why it is not accepted. With several roots, the reason of the one that knows most of it.
pub fn verify(
    trust: &Trust,
    whose: Whose<'_>,
    bundle: &[u8],
    subject: Subject<'_>,
) -> Result<Verified, Rejection> {
    verify_read(trust, whose, &bundle::read(bundle)?, subject)
}

/// The same for a bundle that is read.
pub(super) fn verify_read(
    trust: &Trust,
    whose: Whose<'_>,
    bundle: &Bundle,
    subject: Subject<'_>,
) -> Result<Verified, Rejection> {
    let content = content(bundle, subject)?;
    suits(whose, bundle)?;
    if let Whose::Key(key, LogOfKey::NotDemanded) = whose
        && bundle.verification_material.tlog_entries.is_empty()
        && bundle.verification_material.timestamp_verification_data.rfc3161_timestamps.is_empty()
    {
        by_key_alone(key, bundle, subject)?;
        let signed_by = SignedBy::Key(key.fingerprint());
        return Ok(Verified { signed_by, content, times: Vec::new(), log_entries: Vec::new(), root: None });
    }
    let mut reason: Option<Rejection> = None;
    for root in trust.roots() {
        match under(root, whose, bundle, subject) {
            Ok((signed_by, times, log_entries)) => {
                let root = Some(root.id.clone());
                return Ok(Verified { signed_by, content, times, log_entries, root });
            }
            Err(rejection) => {
                // A root that does not know the bundle's log says less than one that does.
                if reason.as_ref().is_none_or(|before| before.kind.insight() < rejection.kind.insight()) {
                    reason = Some(rejection);
                }
            }
        }
    }
    Err(reason.unwrap_or_else(|| Rejection::new(RejectionKind::Chain, "there is no trusted root")))
}

type Vouched = (SignedBy, Vec<Timestamp>, Vec<LogEntry>);

/// What one root vouches for.
fn under(root: &Root, whose: Whose<'_>, bundle: &Bundle, subject: Subject<'_>) -> Result<Vouched, Rejection> {
    let entries = &bundle.verification_material.tlog_entries;
    let demanded = match whose {
        Whose::Certificate => !root.logless(),
        Whose::Key(_, log) => log == LogOfKey::Demanded,
    };
    // Attack: a bundle without a log entry, which nobody who watches the log will see.
    if demanded && entries.is_empty() {
        return Err(Rejection::new(RejectionKind::LogMissing, "it is in no transparency log"));
    }
    for entry in entries {
        log::can_vouch(root, entry, bundle.media_type())?;
    }
    let artifact = artifact(subject)?;
    // Logs are skipped only where there is no entry, so that whatever entry there is must be true.
    let skipped = !demanded && entries.is_empty();
    let (signed_by, result) = match whose {
        Whose::Certificate => {
            let policy = VerificationPolicy::any_identity();
            let policy = if skipped { policy.skip_tlog_unsafe().skip_sct() } else { policy };
            let result = root.verifier.verify(artifact, bundle, &policy);
            let result = result.map_err(|error| why(error, root, bundle, subject))?;
            (SignedBy::Certificate(signer(bundle, &result)?), result)
        }
        Whose::Key(key, _) => {
            let policy = PublicKeyVerificationPolicy::new(key.der.clone());
            let policy = if skipped { policy.skip_tlog_unsafe() } else { policy };
            let result = root.verifier.verify(artifact, bundle, &policy);
            (SignedBy::Key(key.fingerprint()), result.map_err(|error| why(error, root, bundle, subject))?)
        }
    };
    let times =
        result.verified_timestamps().iter().map(|at| time(at.as_second())).collect::<Result<Vec<_>, _>>()?;
    // Attack: a key's signature whose promise or timestamp was taken away, so that it has no age.
    if times.is_empty() && !matches!(whose, Whose::Key(_, LogOfKey::NotDemanded)) {
        return Err(Rejection::new(RejectionKind::NoTime, "nobody who is trusted says when it was signed"));
    }
    let log_entries = entries.iter().map(|entry| log::entry(root, entry)).collect::<Result<Vec<_>, _>>()?;
    // Attack: one entry or timestamp twice, to count as two.
    Ok((signed_by, distinct(times), distinct(log_entries)))
}

fn distinct<T: PartialEq>(items: Vec<T>) -> Vec<T> {
    let mut found = Vec::with_capacity(items.len());
    for item in items {
        if !found.contains(&item) {
            found.push(item);
        }
    }
    found
}

/// The reason of `sigstore-verify`, where its own kind says less than is known here.
fn why(error: Error, root: &Root, bundle: &Bundle, subject: Subject<'_>) -> Rejection {
    let expired = matches!(&error, Error::Certificate(CertificateError::ChainInvalid(_)))
        && was_invalid_when_used(root, bundle, subject);
    let entry = matches!(&error, Error::ArtifactMismatch(_));
    let mut rejection = Rejection::from(error);
    if expired {
        rejection.kind = RejectionKind::CertificateTime;
    } else if entry {
        // What the bundle itself says of the subject was compared before: the log's entry is left.
        rejection.kind = RejectionKind::Entry;
    }
    rejection
}

/// Whether a certificate that no chain leads to was used outside its validity: a chain fails for that too.
fn was_invalid_when_used(root: &Root, bundle: &Bundle, subject: Subject<'_>) -> bool {
    // Only the reason of a rejection depends on this.
    let policy = VerificationPolicy::any_identity().skip_certificate_chain();
    let (Ok(artifact), Some(certificate)) = (artifact(subject), bundle.signing_certificate()) else {
        return false;
    };
    match (root.verifier.verify(artifact, bundle, &policy), parse_certificate_info(certificate)) {
        (Ok(result), Ok(info)) => {
            let times = result.verified_timestamps();
            times.iter().any(|time| *time < info.not_before || *time > info.not_after)
        }
        (Err(Error::TransparencyLog(TransparencyLogError::IntegratedTime(_))), _) => true,
        (Ok(_) | Err(_), _) => false,
    }
}

/// Whether it was made with what is expected.
fn suits(whose: Whose<'_>, bundle: &Bundle) -> Result<(), Rejection> {
    let by_key = matches!(bundle.verification_material.content, VerificationMaterialContent::PublicKey(_));
    let detail = match (whose, by_key) {
        (Whose::Certificate, true) => "it was signed with a key, and a certificate is expected",
        (Whose::Key(..), false) => "it was signed with a certificate, and a key is expected",
        (Whose::Certificate, false) | (Whose::Key(..), true) => return Ok(()),
    };
    Err(Rejection::new(RejectionKind::Material, detail))
}

/// What the bundle says of the subject. Nothing of it is verified yet.
fn content(bundle: &Bundle, subject: Subject<'_>) -> Result<Content, Rejection> {
    let SignatureContent::DsseEnvelope(envelope) = &bundle.content else {
        if let SignatureContent::MessageSignature(message) = &bundle.content
            && let Some(digest) = &message.message_digest
        {
            matches_digest(digest, subject)?;
        }
        let digest = match subject {
            Subject::Bytes(bytes) => Digest::sha256(bytes),
            Subject::Digest(digest) => digest.clone(),
        };
        return Ok(Content::Message(digest));
    };
    let rejected = |detail: String| Rejection::new(RejectionKind::Statement, detail);
    if envelope.payload_type != PAYLOAD_TYPE {
        return Err(rejected(format!("the payload type `{}` is not known", envelope.payload_type)));
    }
    let statement = Statement::read(envelope.payload.as_bytes())
        .map_err(|cause| rejected(format!("no statement: {cause}")))?;
    let place = match subject {
        Subject::Digest(digest) => statement.about(digest),
        Subject::Bytes(bytes) => [Algorithm::Sha256, Algorithm::Sha512]
            .into_iter()
            .find_map(|algorithm| statement.about(&Digest::of(algorithm, bytes))),
    };
    // Attack: a signature moved to another digest.
    let subject = place.ok_or_else(|| {
        Rejection::new(RejectionKind::Subject, "it is about something else: no subject has the digest")
    })?;
    Ok(Content::Statement { statement, subject })
}

fn artifact(subject: Subject<'_>) -> Result<Artifact<'_>, Rejection> {
    let digest = match subject {
        Subject::Bytes(bytes) => return Ok(Artifact::from_blob(bytes)),
        Subject::Digest(digest) => digest,
    };
    let unsupported = |detail: String| Rejection::new(RejectionKind::Unsupported, detail);
    let bytes = unhex(digest.hex()).ok_or_else(|| unsupported(format!("no digest: {digest}")))?;
    let algorithm = match digest.algorithm() {
        Algorithm::Sha256 => HashAlgorithm::Sha2256,
        Algorithm::Sha512 => HashAlgorithm::Sha2512,
    };
    let digest = sigstore_verify::types::ArtifactDigest::new(algorithm, bytes)
        .map_err(|error| unsupported(error.to_string()))?;
    Ok(Artifact::from_digest(digest))
}

/// The bytes that hexadecimal digits stand for.
pub(super) fn unhex(digits: &str) -> Option<Vec<u8>> {
    let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some((nibble(*high)? << 4) | nibble(*low)?),
            _ => None,
        })
        .collect()
}

/// Whom the certificate names that was verified. It is read once more here, strictly; where `sigstore-verify`
/// read something else in it, the certificate means different things to different readers.
fn signer(bundle: &Bundle, result: &VerificationResult) -> Result<Signer, Rejection> {
    let rejected = |detail: String| Rejection::new(RejectionKind::Certificate, detail);
    let certificate =
        bundle.signing_certificate().ok_or_else(|| rejected("it has no certificate".to_owned()))?;
    let signer = holder(certificate.as_bytes()).map_err(rejected)?;
    let name = match &signer.name {
        Name::Mail(name) | Name::Uri(name) => Some(name.as_str()),
        Name::User(_) => None,
    };
    if result.identity().map(|name| name.as_str()) != name || result.issuer() != signer.issuer.as_deref() {
        return Err(rejected("a certificate that is read in two ways".to_owned()));
    }
    Ok(signer)
}

/// A signature of which there is nothing but the key.
fn by_key_alone(key: &PublicKey, bundle: &Bundle, subject: Subject<'_>) -> Result<(), Rejection> {
    let unsupported = |detail: String| Rejection::new(RejectionKind::Unsupported, detail);
    let scheme = key.algorithm.default_signing_scheme();
    let verified = match &bundle.content {
        SignatureContent::DsseEnvelope(envelope) => {
            verify_signature(&key.der, &envelope.pae(), &envelope.signature.sig, scheme)
        }
        SignatureContent::MessageSignature(message) => {
            let scheme = match &message.message_digest {
                None => scheme,
                Some(digest) => {
                    let scheme = key.algorithm.resolve_signing_scheme(digest.algorithm);
                    scheme.map_err(|error| unsupported(error.to_string()))?
                }
            };
            match subject {
                Subject::Bytes(bytes) => verify_signature(&key.der, bytes, &message.signature, scheme),
                Subject::Digest(digest) if digest_of(digest) == scheme.hash_algorithm() => {
                    let bytes =
                        unhex(digest.hex()).ok_or_else(|| unsupported(format!("no digest: {digest}")))?;
                    verify_signature_prehashed(&key.der, &bytes, &message.signature, scheme)
                }
                Subject::Digest(digest) => {
                    return Err(unsupported(format!("{} cannot be verified by {digest}", scheme.name())));
                }
            }
        }
        _ => return Err(unsupported("content of an unknown kind".to_owned())),
    };
    verified.map_err(|error| Rejection::new(RejectionKind::Signature, error.to_string()))
}

fn digest_of(digest: &Digest) -> Option<HashAlgorithm> {
    Some(match digest.algorithm() {
        Algorithm::Sha256 => HashAlgorithm::Sha2256,
        Algorithm::Sha512 => HashAlgorithm::Sha2512,
    })
}

/// Whether the digest that stands in the bundle is the subject's.
fn matches_digest(stated: &MessageDigest, subject: Subject<'_>) -> Result<(), Rejection> {
    let computed = match (stated.algorithm, subject) {
        (HashAlgorithm::Sha2256, Subject::Bytes(bytes)) => unhex(Digest::sha256(bytes).hex()),
        (HashAlgorithm::Sha2384, Subject::Bytes(bytes)) => Some(sha384(bytes).as_bytes().to_vec()),
        (HashAlgorithm::Sha2512, Subject::Bytes(bytes)) => unhex(Digest::of(Algorithm::Sha512, bytes).hex()),
        (_, Subject::Digest(digest)) if digest_of(digest) == Some(stated.algorithm) => unhex(digest.hex()),
        _ => {
            let detail = format!("a digest by {} cannot be compared", stated.algorithm);
            return Err(Rejection::new(RejectionKind::Unsupported, detail));
        }
    };
    if computed.as_deref() == Some(stated.digest.as_bytes()) {
        return Ok(());
    }
    Err(Rejection::new(RejectionKind::Subject, "the digest in it is not the subject's"))
}

/// A time in seconds since 1970: `sigstore-verify` has an older `jiff`. Fractions, which some authorities give, are
/// dropped.
pub(super) fn time(seconds: i64) -> Result<Timestamp, Rejection> {
    Timestamp::from_second(seconds)
        .map_err(|error| Rejection::new(RejectionKind::Unsupported, error.to_string()))
}
