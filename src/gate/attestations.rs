//! What is signed of an image: everything that hangs on its manifests, verified.
//!
//! Referrers and cosign's tags are both looked at, always, and all of it once: what is found in one place says nothing
//! of the other. Nothing is chosen by what an unsigned descriptor says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use crate::attestation::legacy::{ENVELOPE, Layer, SIMPLE_SIGNING, verify_layer};
use crate::attestation::{
    self, LogOfKey, PublicKey, Rejection, RejectionKind, Subject, Trust, Verified, Whose, verify,
};
use crate::image::limits::Limits;
use crate::image::resolve::{Image, verify as verify_bytes};
use crate::model::attestation::{Attestation, Attested, Content, GONE, LogEntry, Place, Refused, SignedBy};
use crate::model::descriptor::{Descriptor, Manifest};
use crate::model::digest::Digest;
use crate::model::fact::Fact;
use crate::model::path::escape;
use crate::model::platform::Platform;
use crate::registry::{self, REFERRERS_LIMIT, RejectedReferrer, facts};
use crate::vex;

use super::artifact::{BUNDLES, LAYERS, manifest};
use super::hanging::{Hung, Lister, legacy_tag};
use super::inspect::Inspected;
use super::parallel::parallel;
use super::source::Source;

/// Listings and bundles at a time.
const AT_ONCE: usize = 8;

/// Bytes of one attestation: 32 MiB (design §7).
pub(super) const MAX_ATTESTATION: u64 = 32 << 20;

/// Layers of all referrers and tags of an image that are looked at: 5,000.
const MAX_LAYERS: u64 = 5_000;

/// Suffixes of cosign's tags under which something is signed. What is under `.sbom` nobody signs.
const SIGNED: &[&str] = &["sig", "att"];

/// What is trusted.
#[derive(Clone, Copy)]
pub struct Trusted<'t> {
    /// Whose predicates are read. Attack: attestations of anybody, of 30 MiB, each of which is a gigabyte once it is read:
    /// of who may not sign no more is known than that he did.
    pub reads: &'t (dyn Fn(&Attestation) -> bool + Sync),
    /// The roots.
    pub trust: &'t Trust,
    /// The keys, each by itself, and whether what it signs must be in a log.
    pub keys: &'t [(&'t PublicKey, LogOfKey)],
}

/// What is to be looked at.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// The manifest or index.
    pub(super) digest: Digest,
    /// Its platform, where it is one of several.
    pub(super) platform: Option<Platform>,
    /// What it leads to, where it is an index within the image's.
    pub(super) below: Option<BTreeSet<Digest>>,
}

/// Collects what is signed of manifests.
pub(super) fn collect(
    source: &Source,
    limits: &Limits,
    trusted: Trusted<'_>,
    wanted: &[Wanted],
) -> Vec<Attested> {
    let lister = Lister::new(source, limits);
    let (bytes, layers) = (AtomicU64::new(BUNDLES), AtomicU64::new(MAX_LAYERS));
    let collecting = Collecting { source, lister, trusted, bytes, layers };
    collecting.all(wanted)
}

impl Inspected {
    /// Looks for what is signed of the image and of each of its platforms.
    pub(super) fn attest(&mut self, limits: &Limits, trusted: Trusted<'_>) {
        self.evidence.attested = match &self.found {
            Some(found) => attest(&found.source, &found.image, limits, trusted),
            // Not the same as that nothing is signed: of the image that the document describes much may be.
            None if matches!(self.evidence.platforms, Fact::Known(_)) => {
                Fact::Unknown("nothing hangs on an SBOM document, only on an image".into())
            }
            None => Fact::Unknown("the image could not be read".into()),
        };
    }
}

/// What is signed of an image and of each of its platforms, where it can be found.
pub(super) fn attest(
    source: &Source,
    image: &Image,
    limits: &Limits,
    trusted: Trusted<'_>,
) -> Fact<Vec<Attested>> {
    // A docker-archive has no manifest that anything could refer to.
    let Some(digest) = &image.digest else { return Fact::Known(Vec::new()) };
    let mut wanted = vec![Wanted { digest: digest.clone(), platform: None, below: None }];
    // An index between the image's own and a platform may be signed as well, or denied by a failed verdict.
    for index in image.nested.iter().filter(|index| !index.manifests.is_empty()) {
        let below = Some(index.manifests.clone());
        wanted.push(Wanted { digest: index.digest.clone(), platform: None, below });
    }
    let mut seen: BTreeSet<Digest> = wanted.iter().map(|wanted| wanted.digest.clone()).collect();
    for image in image.platforms.iter().filter(|image| seen.insert(image.digest.clone())) {
        let platform = Some(image.platform.clone());
        wanted.push(Wanted { digest: image.digest.clone(), platform, below: None });
    }
    Fact::Known(collect(source, limits, trusted, &wanted))
}

struct Collecting<'a> {
    source: &'a Source,
    lister: Lister<'a>,
    trusted: Trusted<'a>,
    /// Bytes that may still be fetched.
    bytes: AtomicU64,
    /// Layers that may still be looked at.
    layers: AtomicU64,
}

/// A piece of the work: one referrer, or one of the tags, of the manifest at a place of the list.
enum Piece {
    Referrer(usize, Box<Hung>),
    Tag(usize, &'static str),
}

/// What became of a piece.
#[derive(Default)]
struct Found {
    attestations: Vec<Attestation>,
    refused: Vec<Refused>,
    unknown: Vec<String>,
}

impl Found {
    fn unknown(cause: impl Into<String>) -> Self {
        Self { unknown: vec![cause.into()], ..Self::default() }
    }

    fn refused(at: Place, rejection: Rejection) -> Self {
        let unjudged = rejection.kind.is_undecided();
        let refused = Refused { at, unjudged, kind: rejection.kind.id(), cause: rejection.detail };
        Self { refused: vec![refused], ..Self::default() }
    }

    fn add(&mut self, other: Self) {
        self.attestations.extend(other.attestations);
        self.refused.extend(other.refused);
        self.unknown.extend(other.unknown);
    }
}

impl Collecting<'_> {
    fn all(&self, wanted: &[Wanted]) -> Vec<Attested> {
        let listings = parallel(wanted, AT_ONCE, |wanted| self.lister.list(&wanted.digest));
        let mut left = REFERRERS_LIMIT;
        let mut found: Vec<Found> = Vec::new();
        let mut work = Vec::new();
        for (place, listing) in listings.into_iter().enumerate() {
            let mut own = Found { unknown: listing.unknown, ..Found::default() };
            own.refused.extend(listing.rejected.into_iter().map(rejected));
            let mut entries = listing.entries;
            // Attack: a thousand referrers, behind which the one that counts is not seen. Not seen is unknown.
            if entries.len() > left {
                own.unknown.push(format!("more than {REFERRERS_LIMIT} referrers (limit `referrers`)"));
                entries.truncate(left);
            }
            left -= entries.len();
            work.extend(entries.into_iter().map(|hung| Piece::Referrer(place, Box::new(hung))));
            work.extend(SIGNED.iter().map(|suffix| Piece::Tag(place, suffix)));
            found.push(own);
        }
        let done = parallel(&work, AT_ONCE, |piece| self.piece(piece, wanted));
        for (piece, done) in work.iter().zip(done) {
            let (Piece::Referrer(place, _) | Piece::Tag(place, _)) = piece;
            if let Some(found) = found.get_mut(*place) {
                found.add(done);
            }
        }
        wanted.iter().zip(found).map(|(wanted, found)| attested(wanted, found)).collect()
    }

    fn piece(&self, piece: &Piece, wanted: &[Wanted]) -> Found {
        let (Piece::Referrer(place, _) | Piece::Tag(place, _)) = piece;
        let Some(Wanted { digest: subject, .. }) = wanted.get(*place) else { return Found::default() };
        match piece {
            Piece::Referrer(_, hung) => self.referrer(subject, hung),
            Piece::Tag(_, suffix) => self.tag(subject, suffix),
        }
    }

    /// What a referrer says. The list states a type for it, which anybody may have written: the manifest is opened.
    fn referrer(&self, subject: &Digest, hung: &Hung) -> Found {
        let at = Place::Referrer { digest: hung.descriptor.digest.clone() };
        let bytes = match self.lister.open(subject, hung) {
            Ok(bytes) => bytes,
            Err(cause) => return Found::unknown(cause.to_string()),
        };
        let manifest = match manifest(&bytes, &hung.descriptor.digest) {
            Ok(manifest) => manifest,
            Err(cause) => return Found::refused(at, Rejection::new(RejectionKind::Malformed, cause)),
        };
        let mut found = Found::default();
        if manifest.layers.len() > LAYERS {
            found
                .unknown
                .push(format!("{}: more than {LAYERS} layers (limit `signatures`)", hung.descriptor.digest));
        }
        // What cannot be said of its type cannot be said of what it signs.
        let is_said_signed = match facts(&bytes) {
            Ok(facts) => facts.artifact_type.is_some_and(|kind| resembles_signed(&kind)),
            Err(_) => true,
        };
        for layer in manifest.layers.iter().take(LAYERS) {
            if attestation::claims::is_bundle(&layer.media_type) {
                found.add(self.bundle(subject, &at, layer));
            } else if is_legacy(&layer.media_type) {
                found.add(self.layer(subject, &at, layer));
            } else if is_said_signed || resembles_signed(&layer.media_type) {
                // Attack: a failed verdict whose media type is written in capitals, which other verifiers read and
                // which would be passed over here in silence.
                let media_type = escape(layer.media_type.as_bytes());
                let digest = &hung.descriptor.digest;
                found.unknown.push(format!(
                    "referrer {digest}: a layer of the media type `{media_type}`, of which it is not known what it signs"
                ));
            }
        }
        if is_said_signed && manifest.layers.is_empty() {
            found.unknown.push(format!("referrer {}: a bundle without a layer", hung.descriptor.digest));
        }
        found
    }

    /// What cosign's tag leads to: a layer a signature.
    fn tag(&self, subject: &Digest, suffix: &str) -> Found {
        let tag = legacy_tag(subject, suffix);
        let (descriptor, bytes) = match self.lister.legacy(subject, suffix) {
            Ok(Some(found)) => found,
            Ok(None) => return Found::default(),
            Err(cause) => return Found::unknown(format!("tag {tag}: {cause}")),
        };
        let manifest: Manifest = match manifest(&bytes, &descriptor.digest) {
            Ok(manifest) => manifest,
            Err(cause) => {
                let at = Place::Tag { tag, layer: None };
                return Found::refused(at, Rejection::new(RejectionKind::Malformed, cause));
            }
        };
        let mut found = Found::default();
        if manifest.layers.len() > LAYERS {
            found.unknown.push(format!("tag {tag}: more than {LAYERS} layers (limit `signatures`)"));
        }
        for (number, layer) in manifest.layers.iter().take(LAYERS).enumerate() {
            let at = Place::Tag { tag: tag.clone(), layer: Some(number) };
            found.add(self.layer(subject, &at, layer));
        }
        found
    }

    fn bundle(&self, subject: &Digest, at: &Place, layer: &Descriptor) -> Found {
        self.verified(at, layer, |bytes, whose| {
            verify(self.trusted.trust, whose, bytes, Subject::Digest(subject))
        })
    }

    fn layer(&self, subject: &Digest, at: &Place, layer: &Descriptor) -> Found {
        self.verified(at, layer, |payload, whose| {
            let layer = Layer { media_type: &layer.media_type, payload, annotations: &layer.annotations };
            verify_layer(self.trusted.trust, whose, layer, subject)
        })
    }

    /// Fetches a blob and verifies it: by a certificate, else by each of the keys.
    fn verified(
        &self,
        at: &Place,
        layer: &Descriptor,
        verify: impl Fn(&[u8], Whose<'_>) -> Result<Verified, Rejection>,
    ) -> Found {
        let bytes = match self.bytes(layer) {
            Ok(bytes) => bytes,
            Err(cause) => return Found::unknown(cause),
        };
        let mut answer = verify(&bytes, Whose::Certificate);
        for (key, log) in self.trusted.keys {
            if answer.is_ok() {
                break;
            }
            let by_key = verify(&bytes, Whose::Key(key, *log));
            let is_better = match (&answer, &by_key) {
                (_, Ok(_)) => true,
                // Of one that was made with a certificate the first answer says more; what could not be judged by one
                // key is not refused because it is not by another.
                (Err(before), Err(now)) => now.kind != RejectionKind::Material && !before.kind.is_undecided(),
                (Ok(_), Err(_)) => false,
            };
            if is_better {
                answer = by_key;
            }
        }
        match answer.and_then(|verified| attestation_of(at, verified, self.trusted.reads)) {
            Ok(attestation) => Found { attestations: vec![attestation], ..Found::default() },
            Err(rejection) => Found::refused(at.clone(), rejection),
        }
    }

    fn bytes(&self, layer: &Descriptor) -> Result<Vec<u8>, String> {
        let at = format!("blob {}", layer.digest);
        if layer.size > MAX_ATTESTATION {
            return Err(format!(
                "{at}: larger than the limit of {MAX_ATTESTATION} bytes (limit `attestation`)"
            ));
        }
        // Attack: a thousand referrers with a thousand layers each, all of them one and the same byte.
        let one_less = |left: u64| left.checked_sub(1);
        if self.layers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err() {
            return Err(format!("{at}: more than {MAX_LAYERS} signed layers (limit `signed layers`)"));
        }
        let take = |left: u64| left.checked_sub(layer.size);
        // Attack: a thousand attestations of the largest size, for one verdict.
        if self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return Err(format!(
                "{at}: attestations of more than {BUNDLES} bytes in all (limit `attestations`)"
            ));
        }
        let bytes =
            self.source.document(layer, MAX_ATTESTATION).map_err(|error| format!("{at}: {}", error.cause))?;
        verify_bytes(&bytes, layer, &at).map_err(|fault| fault.to_string())?;
        Ok(bytes)
    }
}

fn is_legacy(media_type: &str) -> bool {
    [SIMPLE_SIGNING, ENVELOPE].contains(&media_type)
}

/// Whether a media type says that something is signed, if in other letters or of another version than what is read.
fn resembles_signed(media_type: &str) -> bool {
    let folded = media_type.trim().to_ascii_lowercase();
    folded.starts_with("application/vnd.dev.sigstore.bundle")
        || [SIMPLE_SIGNING, ENVELOPE].iter().any(|known| folded.starts_with(known))
}

/// What is listed and was not accepted as a referrer. Attack: the newest verdict, which says that the image did not
/// pass, deleted or made illegible where it is listed, so that an older one counts. Only what names another subject,
/// or none, certainly says nothing of the image.
fn rejected(entry: RejectedReferrer) -> Refused {
    let RejectedReferrer { digest, cause, why } = entry;
    let (unjudged, kind, cause) = match why {
        registry::Rejection::NoSubject | registry::Rejection::Subject(_) => {
            (false, RejectionKind::Subject.id(), cause)
        }
        registry::Rejection::Unreadable => {
            (true, RejectionKind::Malformed.id(), format!("referrer {digest}: {cause}"))
        }
        registry::Rejection::Gone => {
            let cause = format!(
                "referrer {digest} is listed, and {cause}: where it was deleted on purpose, take its entry out of the \
                 fallback tag"
            );
            (true, GONE, cause)
        }
    };
    Refused { at: Place::Referrer { digest }, unjudged, kind, cause }
}

fn attested(wanted: &Wanted, found: Found) -> Attested {
    let Wanted { digest: subject, platform, below } = wanted.clone();
    let Found { mut attestations, mut refused, mut unknown } = found;
    attestations.sort_by(|a, b| a.at.cmp(&b.at));
    refused.sort_by(|a, b| (&a.at, &a.cause).cmp(&(&b.at, &b.cause)));
    unknown.sort();
    Attested { subject, platform, below, attestations, refused, unknown }
}

/// A verified bundle as evidence.
fn attestation_of(
    at: &Place,
    verified: Verified,
    reads: &dyn Fn(&Attestation) -> bool,
) -> Result<Attestation, Rejection> {
    let mut claim = None;
    let is_signature = verified.is_signature();
    let content = match verified.content {
        attestation::Content::Message(_) => Content::Signature { annotations: BTreeMap::new() },
        attestation::Content::SimpleSigning(payload) => {
            Content::Signature { annotations: texts(&payload.annotations) }
        }
        attestation::Content::Statement { statement, subject } if is_signature => {
            let subject = statement.subjects.get(subject);
            Content::Signature {
                annotations: subject.map(|subject| texts(&subject.annotations)).unwrap_or_default(),
            }
        }
        attestation::Content::Statement { statement, .. } => Content::Statement {
            predicate_type: statement.predicate_type,
            predicate: {
                claim = statement.predicate;
                Value::Null
            },
        },
    };
    let mut times = verified.times;
    times.sort();
    let log = |entry: attestation::LogEntry| LogEntry {
        log: entry.log,
        index: entry.index,
        integrated: entry.integrated,
    };
    let mut attestation = Attestation {
        at: at.clone(),
        signed_by: match verified.signed_by {
            attestation::SignedBy::Certificate(signer) => SignedBy::Certificate(signer),
            attestation::SignedBy::Key(fingerprint) => SignedBy::Key(fingerprint),
        },
        content,
        times,
        logs: verified.log_entries.into_iter().map(log).collect(),
        root: verified.root.map(|root| root.to_string()),
        signed_predicate: None,
    };
    if let (Content::Statement { predicate, .. }, Some(claim)) = (&attestation.content, claim)
        && predicate.is_null()
        && reads(&attestation)
    {
        let parsed = serde_json::from_str(claim.get())
            .map_err(|error| Rejection::new(RejectionKind::Statement, error.to_string()))?;
        if let Content::Statement { predicate, predicate_type } = &mut attestation.content {
            // Its bytes are kept where it is VEX, of which they are the evidence. Those of an SBOM would be megabytes.
            let is_kept = vex::states(predicate_type, &parsed) && claim.get().len() as u64 <= vex::MAX_BYTES;
            *predicate = parsed;
            attestation.signed_predicate = is_kept.then(|| claim.get().into());
        }
    }
    Ok(attestation)
}

/// Annotations whose values are texts. Others match nothing that is asked for.
fn texts(annotations: &serde_json::Map<String, Value>) -> BTreeMap<String, String> {
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    annotations.iter().filter_map(text).collect()
}
