//! From what is to be said of manifests to what hangs on them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::attestation::statement::COSIGN_SIGN;
use crate::attestation::write::legacy::simple_signing;
use crate::attestation::write::{
    BUNDLE, EMPTY, EMPTY_CONFIG, Hook, MANIFEST, attestation_statement, referrer, signature_statement,
};
use crate::attestation::{LogOfKey, PublicKey, Subject, Trust, Whose, verify};
use crate::image::limits::Limits;
use crate::model::attestation::{Attestation, Attested, Content as Signed, Place, SignedBy, SignedManifest};
use crate::model::descriptor::Descriptor;
use crate::model::digest::Digest;
use crate::model::signer::{Claim, Signer};
use crate::registry::{self, Artifact, BlobSource, Listed, Registry, Repository, Store};
use crate::sigstore::{Content, Run};

use super::legacy::tag;
use super::targets::Target;
use super::{Format, SignError, What};
use crate::gate::attestations::{MAX_ATTESTATION, Trusted, Wanted, collect};
use crate::gate::parallel::parallel;
use crate::gate::source::Source;

/// Manifests, and tags, that are written to at a time.
pub(super) const AT_ONCE: usize = 8;

/// The pause before the registry is looked at again that does not show what was pushed, at first; it doubles up to
/// [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between two looks.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Bytes of a bundle beside its predicate: 1 MiB, of which proofs, certificate and timestamps take some thousands.
const ENVELOPE: u64 = 1 << 20;

/// One thing that is to be said of one manifest.
#[derive(Debug, Clone)]
pub(in crate::gate) struct Job {
    pub(in crate::gate) target: Target,
    pub(in crate::gate) what: What,
}

/// What is signed for a job: of one job there may be two, where a signature is made in both forms.
pub(super) struct Piece<'j> {
    pub(super) job: &'j Job,
    pub(super) made: Made,
    /// Whether it is hung as a referrer.
    bundle: bool,
    /// Whether it is hung under cosign's tag.
    legacy: bool,
}

/// What the signature is over.
pub(super) enum Made {
    Statement(Vec<u8>),
    /// A simple-signing payload, and its SHA-256.
    Payload(Vec<u8>, [u8; 32]),
}

impl Made {
    fn content(&self) -> Content<'_> {
        match self {
            Self::Statement(statement) => Content::Statement(statement),
            Self::Payload(_, sha256) => Content::Message(sha256),
        }
    }
}

/// Makes signatures and hangs them on manifests.
pub(in crate::gate) struct Signing<'a> {
    pub(in crate::gate) source: &'a Source,
    /// What the statements call the image: its repository.
    pub(in crate::gate) name: &'a str,
    /// In which form they hang.
    pub(in crate::gate) format: Format,
    /// Who signs.
    pub(in crate::gate) who: SignedBy,
    /// The public key, where a key signs.
    pub(in crate::gate) key: Option<&'a PublicKey>,
    /// Whether what the key signs must be in a log.
    pub(in crate::gate) log: LogOfKey,
    /// The roots by which what was made is verified.
    pub(in crate::gate) trust: &'a Trust,
    pub(in crate::gate) limits: &'a Limits,
    pub(in crate::gate) now: Timestamp,
}

impl Signing<'_> {
    /// Does every job that is not done yet: all are signed before the first is pushed.
    pub(in crate::gate) fn run(&self, jobs: &[Job], run: &Run) -> Result<Vec<SignedManifest>, SignError> {
        let Source::Registry(store) = self.source else {
            return Err(SignError::Usage("only an image in a registry can be signed".into()));
        };
        let jobs = self.distinct(jobs)?;
        let before = self.collect(&jobs)?;
        let pieces: Vec<Piece<'_>> = jobs.iter().flat_map(|job| self.pieces(job, &before)).collect();
        let contents: Vec<Content<'_>> = pieces.iter().map(|piece| piece.made.content()).collect();
        let bundles = if contents.is_empty() { Vec::new() } else { run.sign(&contents)? };
        let (mut hung, mut hung_bundles, mut layers) = (Vec::new(), Vec::new(), Vec::new());
        for (piece, bundle) in pieces.iter().zip(bundles) {
            if piece.legacy {
                layers.push((tag(piece.job), self.layer(piece, &bundle)?));
            }
            if piece.bundle {
                self.check(&piece.job.target.descriptor.digest, &bundle)?;
                hung.push(piece.job);
                hung_bundles.push(bundle);
            }
        }
        let pushed = self.push_all(&hung, &hung_bundles)?;
        self.push_layers(store, layers)?;
        let mut answers: Vec<SignedManifest> =
            jobs.iter().map(|job| answer(job, &pieces, &hung, &pushed)).collect();
        let after = self.read_back(store, &jobs)?;
        for (job, answer) in jobs.iter().zip(&mut answers) {
            if let What::Attestation { replace: Some(alike), .. } = &job.what {
                self.replace(store, job, answer, &before, alike);
                self.replace_layers(store, job, answer, (&after, alike))?;
            }
        }
        Ok(answers)
    }

    /// What is signed of the manifests once all that was pushed can be seen. A registry may take a while to show it:
    /// whoever gives up at once and is called again signs everything twice.
    fn read_back(&self, store: &Store, jobs: &[Job]) -> Result<BTreeMap<Digest, Attested>, SignError> {
        let (begun, lag) = (Instant::now(), store.repository().lag());
        let mut pause = PAUSE;
        loop {
            let error = match self.collect(jobs) {
                Ok(found) => {
                    let is_missing = |job: &&Job| {
                        (self.format.bundle() && !self.is_done(job, &found, Hung::Referrer))
                            || (self.format.legacy() && !self.is_done(job, &found, Hung::Tag))
                    };
                    let Some(missing) = jobs.iter().find(is_missing) else { return Ok(found) };
                    let subject = &missing.target.descriptor.digest;
                    SignError::Push(format!("what was pushed is not found beside {subject}: try again"))
                }
                // What cannot be seen for a moment is waited for as well: all of it is signed and pushed by now.
                Err(SignError::Unknown(cause)) => SignError::Unknown(cause),
                Err(error) => return Err(error),
            };
            if begun.elapsed() >= lag {
                return Err(error);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Each job once, and none that is too large. Attack: an index that lists one manifest for two platforms, of which
    /// each job would take away what the other made.
    fn distinct(&self, jobs: &[Job]) -> Result<Vec<Job>, SignError> {
        let mut distinct: Vec<Job> = Vec::new();
        for job in jobs {
            let is_known = |other: &Job| {
                other.target.descriptor.digest == job.target.descriptor.digest && other.what == job.what
            };
            if distinct.iter().any(is_known) {
                continue;
            }
            if let What::Attestation { predicate, predicate_type, .. } = &job.what {
                // In Base64 it is a third longer. What is larger than any verifier takes must not get into a log.
                let size = predicate.to_string().len() as u64 / 3 * 4 + ENVELOPE;
                if size > MAX_ATTESTATION {
                    let message = format!(
                        "the attestation of type {predicate_type} is larger than the limit of {MAX_ATTESTATION} bytes"
                    );
                    return Err(SignError::Usage(message));
                }
            }
            distinct.push(job.clone());
        }
        Ok(distinct)
    }

    /// What is to be signed for a job, in the forms that are not there yet.
    fn pieces<'j>(&self, job: &'j Job, before: &BTreeMap<Digest, Attested>) -> Vec<Piece<'j>> {
        let bundle = self.format.bundle() && !self.is_done(job, before, Hung::Referrer);
        let legacy = self.format.legacy() && !self.is_done(job, before, Hung::Tag);
        let digest = &job.target.descriptor.digest;
        let mut pieces = Vec::new();
        match &job.what {
            What::Signature { annotations } => {
                if bundle {
                    let made = Made::Statement(signature_statement(digest, annotations));
                    pieces.push(Piece { job, made, bundle, legacy: false });
                }
                if legacy {
                    let payload = simple_signing(self.name, digest, annotations);
                    let sha256 = Sha256::digest(&payload).into();
                    let made = Made::Payload(payload, sha256);
                    pieces.push(Piece { job, made, bundle: false, legacy });
                }
            }
            What::Attestation { predicate_type, predicate, .. } if bundle || legacy => {
                let statement = attestation_statement(predicate_type, self.name, digest, predicate.clone());
                pieces.push(Piece { job, made: Made::Statement(statement), bundle, legacy });
            }
            What::Attestation { .. } => {}
        }
        pieces
    }

    /// What is signed of the manifests now, by their digests.
    pub(super) fn collect(&self, jobs: &[Job]) -> Result<BTreeMap<Digest, Attested>, SignError> {
        let mut seen = BTreeSet::new();
        let wanted = jobs.iter().map(|job| Wanted {
            digest: job.target.descriptor.digest.clone(),
            platform: job.target.platform.clone(),
            below: None,
        });
        let wanted: Vec<Wanted> = wanted.filter(|wanted| seen.insert(wanted.digest.clone())).collect();
        // Also what is in no log is looked at: it may be an older one that is to go.
        let keys: Vec<_> = self.key.iter().map(|key| (*key, LogOfKey::NotDemanded)).collect();
        let reads = |one: &Attestation| same_signer(&self.who, &one.signed_by);
        let trusted = Trusted { trust: self.trust, keys: &keys, reads: &reads };
        let found = collect(self.source, self.limits, trusted, &wanted);
        // What could not be looked at may be what is about to be made again.
        match found.iter().flat_map(|attested| &attested.unknown).next() {
            Some(cause) => Err(SignError::Unknown(cause.clone())),
            None => Ok(found.into_iter().map(|attested| (attested.subject.clone(), attested)).collect()),
        }
    }

    fn is_done(&self, job: &Job, found: &BTreeMap<Digest, Attested>, hung: Hung) -> bool {
        let attested = found.get(&job.target.descriptor.digest);
        let is_there = |one: &Attestation| Hung::of(&one.at) == hung && self.is_same(job, one);
        attested.is_some_and(|attested| attested.attestations.iter().any(is_there))
    }

    /// Whether something is what is about to be signed, by the same signer, and as good.
    pub(super) fn is_same(&self, job: &Job, attestation: &Attestation) -> bool {
        same_signer(&self.who, &attestation.signed_by)
            && self.is_logged(attestation)
            && match (&job.what, &attestation.content) {
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

    /// Whether it is in a log, as what is made would be. Attack: the log entry taken out of a key's signature, which no
    /// verifier accepts then, and which keeps its signer from making another one.
    fn is_logged(&self, attestation: &Attestation) -> bool {
        match (self.key, self.log) {
            (Some(_), LogOfKey::Demanded) => !attestation.logs.is_empty() && !attestation.times.is_empty(),
            (Some(_), LogOfKey::NotDemanded) | (None, _) => true,
        }
    }

    /// Verifies what the services gave. Attack, or a slip: services that answer with somebody else's certificate, or
    /// what no verifier will accept, of which the user would hear when the image is to enter.
    fn check(&self, subject: &Digest, bundle: &[u8]) -> Result<(), SignError> {
        verify(self.trust, self.whose(), bundle, Subject::Digest(subject))
            .map(|_| ())
            .map_err(|rejection| SignError::Unverified(rejection.to_string()))
    }

    pub(super) fn whose(&self) -> Whose<'_> {
        match self.key {
            Some(key) => Whose::Key(key, self.log),
            None => Whose::Certificate,
        }
    }

    /// Pushes bundles, those of one manifest together: the fallback tag is then written once for all. The answers are
    /// in order.
    fn push_all(&self, todo: &[&Job], bundles: &[Vec<u8>]) -> Result<Vec<registry::Attached>, SignError> {
        let Source::Registry(store) = self.source else {
            return Err(SignError::Usage("only an image in a registry can be signed".into()));
        };
        let (registry, repository) = (store.registry(), store.repository());
        let mut by_subject: BTreeMap<&Digest, Vec<usize>> = BTreeMap::new();
        for (place, job) in todo.iter().enumerate() {
            by_subject.entry(&job.target.descriptor.digest).or_default().push(place);
        }
        let by_subject: Vec<(&Digest, Vec<usize>)> = by_subject.into_iter().collect();
        let attach = |(subject, places): &(&Digest, Vec<usize>)| -> Result<_, SignError> {
            let mut artifacts = Vec::new();
            for (job, bundle) in
                places.iter().filter_map(|place| Some((todo.get(*place)?, bundles.get(*place)?)))
            {
                artifacts.push(self.artifact(job, bundle, registry, repository)?);
            }
            Ok(registry.run(repository.attach(subject, &artifacts))?)
        };
        // Several at a time: each fallback tag is looked at again after a while.
        let attached = parallel(&by_subject, AT_ONCE, attach);
        let mut pushed: BTreeMap<usize, registry::Attached> = BTreeMap::new();
        for ((_, places), attached) in by_subject.into_iter().zip(attached) {
            pushed.extend(places.into_iter().zip(attached?));
        }
        if pushed.len() < todo.len() {
            return Err(SignError::Push("not all was attached: try again".into()));
        }
        Ok(pushed.into_values().collect())
    }

    /// Pushes the blobs of a bundle; the manifest with which it hangs on its subject.
    fn artifact(
        &self,
        job: &Job,
        bundle: &[u8],
        registry: &Registry,
        repository: &Repository,
    ) -> Result<Artifact, SignError> {
        for (media_type, bytes) in [(EMPTY, EMPTY_CONFIG), (BUNDLE, bundle)] {
            let source = BlobSource::Bytes(Bytes::copy_from_slice(bytes));
            registry.run(repository.push_blob(&Descriptor::of(media_type, bytes), source, None))?;
        }
        let predicate_type = match &job.what {
            What::Signature { .. } => COSIGN_SIGN,
            What::Attestation { predicate_type, .. } => predicate_type,
        };
        let Descriptor { digest, media_type, size, .. } = &job.target.descriptor;
        let on = Hook { digest, media_type, size: *size };
        let manifest = referrer(on, bundle, Some(predicate_type), &self.now.to_string());
        Ok(Artifact { manifest, media_type: MANIFEST.to_owned() })
    }

    /// Takes the older ones by the same signer away that this one is in the place of. Only what was there before this run
    /// is older: two runs at a time must not take away what the other one makes. That one cannot be taken away, as where
    /// a registry lets nobody delete, changes nothing of what was signed.
    fn replace(
        &self,
        store: &Store,
        job: &Job,
        answer: &mut SignedManifest,
        before: &BTreeMap<Digest, Attested>,
        alike: &[&str],
    ) {
        let Some(attested) = before.get(&answer.subject) else { return };
        // Where nothing was pushed, one of those that say the same stays.
        let same = attested.attestations.iter().find(|one| {
            Hung::of(&one.at) == Hung::Referrer && answer.referrer.is_none() && self.is_same(job, one)
        });
        for one in &attested.attestations {
            let Place::Referrer { digest } = &one.at else { continue };
            let stays =
                same.is_some_and(|same| same.at == one.at) || answer.referrer.as_ref() == Some(digest);
            // A referrer with several bundles says more than this.
            let holds_more = attested.attestations.iter().filter(|other| other.at == one.at).count() > 1;
            if stays || holds_more || !self.is_older(job, one, alike) {
                continue;
            }
            match store.registry().run(store.repository().detach(&attested.subject, digest)) {
                Ok(detached) if detached.listed => {
                    let cause = "the registry deletes no manifests, and lists it still";
                    answer.left.push(format!("{digest}: {cause}"));
                }
                Ok(_) => answer.replaced.push(digest.clone()),
                Err(error) => answer.left.push(format!("{digest}: {error}")),
            }
        }
    }

    /// Whether a job's attestation is in the place of another one: of the same type, by the same signer, and with the
    /// same values at some places of the predicate, such as the verifier's id.
    pub(super) fn is_older(&self, job: &Job, other: &Attestation, alike: &[&str]) -> bool {
        let What::Attestation { predicate_type, predicate, .. } = &job.what else { return false };
        let Signed::Statement { predicate_type: other_type, predicate: other_claim } = &other.content else {
            return false;
        };
        predicate_type == other_type
            && same_signer(&self.who, &other.signed_by)
            && alike.iter().all(|place| predicate.pointer(place) == other_claim.pointer(place))
    }
}

/// Where something hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hung {
    Referrer,
    Tag,
}

impl Hung {
    fn of(place: &Place) -> Self {
        match place {
            Place::Referrer { .. } => Self::Referrer,
            Place::Tag { .. } => Self::Tag,
        }
    }
}

fn answer(job: &Job, pieces: &[Piece<'_>], hung: &[&Job], pushed: &[registry::Attached]) -> SignedManifest {
    let tagged = pieces.iter().any(|piece| piece.legacy && std::ptr::eq(piece.job, job));
    let place = hung.iter().position(|other| std::ptr::eq(*other, job));
    let pushed = place.and_then(|place| pushed.get(place));
    SignedManifest {
        subject: job.target.descriptor.digest.clone(),
        platform: job.target.platform.clone(),
        predicate_type: match &job.what {
            What::Signature { .. } => None,
            What::Attestation { predicate_type, .. } => Some(predicate_type.clone()),
        },
        referrer: pushed.map(|pushed| pushed.digest.clone()),
        listed: pushed.map(|pushed| match pushed.listed {
            Listed::Native => "api",
            Listed::FallbackTag => "fallbackTag",
        }),
        tag: tagged.then(|| tag(job)),
        replaced: Vec::new(),
        left: Vec::new(),
    }
}

/// Whether two signed as the same: by name and issuer, whatever run it was.
fn same_signer(a: &SignedBy, b: &SignedBy) -> bool {
    match (a, b) {
        (SignedBy::Certificate(a), SignedBy::Certificate(b)) => {
            let source = |signer: &Signer| signer.claims.get(&Claim::SourceRepository).cloned();
            // Attack: our workflow, called from another repository: its certificate has our name.
            a.name == b.name && a.issuer == b.issuer && source(a) == source(b)
        }
        (SignedBy::Key(a), SignedBy::Key(b)) => a == b,
        (SignedBy::Certificate(_), SignedBy::Key(_)) | (SignedBy::Key(_), SignedBy::Certificate(_)) => false,
    }
}
