//! A snapshot pulled from a registry, and installed by one rename.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::attestation::Trust;
use crate::feed::{Origin, Part, Snapshot, Watch, Writer};
use crate::gate::attestations::{Trusted, Wanted, collect};
use crate::gate::source::{Source, Unopened};
use crate::image::json as strict;
use crate::image::limits::Limits;
use crate::model::attestation::Attestation;
use crate::model::digest::{Algorithm, Digest, Hasher};
use crate::model::location::Location;
use crate::model::path::escape;
use crate::model::reference::Reference;
use crate::policy::{Missing, Signatories};
use crate::registry::{Registry, Repository, Target};

use super::{ARTIFACT, Blob, CONFIG, DbError, LAYER, Manifest, TITLE};

/// Bytes of the configuration: 4 MiB; fifty ecosystems take 40 KiB.
const MAX_CONFIG: u64 = 4 << 20;

/// Causes that are told where none of the signatures is accepted.
const CAUSES: usize = 5;

/// What is pulled, and where to.
#[derive(Debug, Clone, Copy)]
pub struct PullRequest<'a> {
    /// The reference: a digest pins it, a tag is resolved once, and needs who is to have signed.
    pub reference: &'a Reference,
    /// The client.
    pub registry: &'a Registry,
    /// Who must have signed it. Of what is pinned by a digest nobody need be named.
    pub by: Option<&'a Signatories>,
    /// The roots that signatures are verified by.
    pub trust: &'a Trust,
    /// The directory of the installed snapshot.
    pub directory: &'a Path,
    /// Take it also where an installed ecosystem has newer advisories, or twice as many.
    pub allow_older: bool,
    /// How long to wait for another process that writes.
    pub patience: Duration,
    /// When that is.
    pub now: Timestamp,
}

/// What was pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Digest of the artifact's manifest.
    pub digest: Digest,
    /// Digest over the ids of all that is installed now.
    pub snapshot: Digest,
    /// The ecosystems that came.
    pub ecosystems: Vec<String>,
    /// Installed ecosystems that the artifact does not have: they are as they were.
    pub kept: Vec<String>,
}

/// Pulls a snapshot and installs it.
///
/// # Errors
/// [`DbError`]: what was installed is as it was.
pub fn pull(request: &PullRequest<'_>, watch: &dyn Watch) -> Result<Pulled, DbError> {
    let PullRequest { reference, registry, .. } = *request;
    if request.by.is_none() && reference.digest.is_none() {
        return Err(DbError::Usage(format!(
            "{reference}: pull it by its digest, or say who is to have signed what the tag leads to: \
             --certificate-identity and --certificate-oidc-issuer, or --key, or --identities"
        )));
    }
    let repository = registry.repository(reference)?;
    let pulled = registry.run(repository.manifest(&Target::of(reference)))?;
    let at = format!("{}@{}", repository.name(), pulled.digest);
    let wrong = |cause: String| DbError::Failed(format!("{at}: {cause}"));
    check_signed(request, &pulled.digest).map_err(|unsigned| match unsigned {
        Unsigned::Certainly(cause) => DbError::Unsigned(format!("{at}: {cause}")),
        Unsigned::Maybe(cause) => wrong(cause),
    })?;
    let manifest = read_manifest(&pulled.bytes).map_err(&wrong)?;
    let bytes = registry.run(repository.blob_bytes(&manifest.config.descriptor(), MAX_CONFIG))?;
    let snapshot = Snapshot::parse(&bytes).map_err(|error| wrong(format!("its document {error}")))?;
    let layers = layers(&snapshot, manifest.layers).map_err(&wrong)?;
    let waiting = || watch.say("another process is writing the advisory snapshot: waiting for it");
    let mut writer = Writer::begin(request.directory, request.patience, waiting)?;
    let installed = writer.installed().snapshot().clone();
    if !request.allow_older {
        refuse_older(&installed, &snapshot).map_err(&wrong)?;
    }
    let origin = Origin { source: at.clone(), checked: request.now, etag: None, list_etag: None };
    for (ecosystem, (part, layer)) in &layers {
        let stream = Stream::open(registry, &repository, layer)?;
        let staged = stage(&writer, ecosystem, part, stream, &origin).map_err(&wrong)?;
        match request.allow_older {
            true => writer.put_older(ecosystem, staged),
            false => writer.put(ecosystem, staged)?,
        }
    }
    let kept = installed.ecosystems.keys().filter(|name| !layers.contains_key(*name)).cloned().collect();
    let ecosystems = layers.into_keys().collect();
    let snapshot = writer.commit()?.id();
    Ok(Pulled { digest: pulled.digest, snapshot, ecosystems, kept })
}

/// Why a snapshot is not taken for its signatures.
enum Unsigned {
    /// It is certain that not enough of those who were named have signed it.
    Certainly(String),
    /// Not all could be looked at.
    Maybe(String),
}

/// Refuses what those who were named have not signed.
///
/// Attack: whoever may move the tag leaves out the advisories for what he is about to push.
fn check_signed(request: &PullRequest<'_>, digest: &Digest) -> Result<(), Unsigned> {
    let Some(by) = request.by else { return Ok(()) };
    let reference = Reference { tag: None, digest: Some(digest.clone()), ..request.reference.clone() };
    let (limits, location) = (Limits::default(), Location::Registry(reference));
    let opened = Source::root(&location, Some(request.registry), &limits);
    let (source, _, _) = opened.map_err(|error| match error {
        Unopened::Choice(error) => Unsigned::Maybe(error.to_string()),
        Unopened::Fault(fault) => Unsigned::Maybe(format!("who signed it could not be looked for: {fault}")),
    })?;
    let keys: Vec<_> = by.keys().collect();
    let trusted = Trusted { reads: &|_| false, trust: request.trust, keys: &keys };
    let wanted = Wanted { digest: digest.clone(), platform: None, below: None };
    let found = collect(&source, &limits, trusted, &[wanted]);
    let attestations = found.iter().flat_map(|attested| &attested.attestations);
    let signatures: Vec<&Attestation> = attestations.filter(|one| one.content.is_signature()).collect();
    // Where enough have signed, what could not be read beside that is of no matter.
    let Err(Missing { headline, mut others }) = by.signed(&signatures) else { return Ok(()) };
    let mut unknown: Vec<String> = found.iter().flat_map(|attested| attested.unknown.clone()).collect();
    for refused in found.iter().flat_map(|attested| &attested.refused) {
        match refused.unjudged {
            true => unknown.push(refused.cause.clone()),
            false => drop(others.insert(refused.cause.clone())),
        }
    }
    // What was not seen is told before what was: a heap of others' signatures must not hide it.
    if !unknown.is_empty() {
        let unknown = listed(unknown.into_iter());
        return Err(Unsigned::Maybe(format!("who signed it cannot all be told: {unknown}")));
    }
    Err(Unsigned::Certainly(match (others.is_empty() && signatures.is_empty(), by.needed()) {
        (true, _) => "nobody has signed it".into(),
        (false, 1) => format!("none of those who were named has signed it: {}", listed(others.into_iter())),
        (false, _) if others.is_empty() => headline,
        (false, _) => format!("{headline}; {}", listed(others.into_iter())),
    }))
}

/// The first causes, and how many more there are.
fn listed(causes: impl ExactSizeIterator<Item = String>) -> String {
    let more = causes.len().saturating_sub(CAUSES);
    let first: Vec<String> = causes.take(CAUSES).collect();
    let text = escape(first.join("; ").as_bytes());
    if more > 0 { format!("{text}; and {more} more") } else { text }
}

fn read_manifest(bytes: &[u8]) -> Result<Manifest, String> {
    let value = strict::parse(bytes).map_err(|error| error.to_string())?;
    let artifact = value.get("artifactType").and_then(serde_json::Value::as_str).unwrap_or_default();
    if artifact != ARTIFACT {
        let newer = artifact.starts_with("application/vnd.portcullis.snapshot.v");
        return Err(match newer {
            true => format!(
                "is a snapshot of a newer form (`{}`): update portcullis",
                escape(artifact.as_bytes())
            ),
            false => format!("is no advisory snapshot (its `artifactType` is not `{ARTIFACT}`)"),
        });
    }
    let manifest: Manifest =
        serde_json::from_value(value).map_err(|error| format!("is no manifest of a snapshot: {error}"))?;
    if manifest.config.media_type != CONFIG {
        return Err(format!("its configuration is not of type `{CONFIG}`"));
    }
    Ok(manifest)
}

/// Each part of the document with the layer that holds it.
fn layers(snapshot: &Snapshot, layers: Vec<Blob>) -> Result<BTreeMap<String, (Part, Blob)>, String> {
    let mut by_title = BTreeMap::new();
    for layer in layers {
        let Some(title) = layer.annotations.get(TITLE).cloned() else {
            return Err("a layer has no title, and so belongs to no ecosystem".into());
        };
        if layer.media_type != LAYER || by_title.insert(title, layer).is_some() {
            return Err(format!("two layers have one title, or one is not of type `{LAYER}`"));
        }
    }
    let mut paired = BTreeMap::new();
    for (ecosystem, part) in &snapshot.ecosystems {
        let layer = by_title.remove(&part.file).ok_or_else(|| format!("has no layer for {ecosystem}"))?;
        paired.insert(ecosystem.clone(), (part.clone(), layer));
    }
    match by_title.is_empty() {
        true => Ok(paired),
        false => Err("has a layer that its document does not name".into()),
    }
}

/// Attack: an old snapshot under a tag that moved back, in which the newest advisories are not yet.
fn refuse_older(installed: &Snapshot, pulled: &Snapshot) -> Result<(), String> {
    let mut older = Vec::new();
    for (ecosystem, part) in &pulled.ecosystems {
        let Some(own) = installed.ecosystems.get(ecosystem) else { continue };
        older.extend(part.goes_back(own).map(|cause| format!("{ecosystem} {cause}")));
    }
    if older.is_empty() {
        return Ok(());
    }
    Err(format!(
        "is older or smaller than what is installed ({}): `--allow-older` takes it nevertheless",
        older.join("; ")
    ))
}

/// A layer as it comes: counted and hashed on the way.
struct Stream<'a> {
    inner: Box<dyn Read + 'a>,
    hasher: Hasher,
    layer: &'a Blob,
}

impl<'a> Stream<'a> {
    fn open(registry: &Registry, repository: &Repository, layer: &'a Blob) -> Result<Self, DbError> {
        let inner = registry.blob(repository, &layer.descriptor())?;
        Ok(Self { inner: Box::new(inner), hasher: Hasher::new(layer.digest.algorithm()), layer })
    }

    /// Reads what is left, and says whether all of it was what its digest says.
    fn finish(mut self) -> Result<(), String> {
        io::copy(&mut self, &mut io::sink()).map_err(|error| error.to_string())?;
        let found = self.hasher.finish();
        match found == self.layer.digest {
            true => Ok(()),
            false => Err(format!("digest mismatch: the layer {} has {found}", self.layer.digest)),
        }
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// Unpacks a layer into the snapshot's directory. The document says how large it is and which digest it has: a bomb
/// ends there.
fn stage(
    writer: &Writer,
    ecosystem: &str,
    part: &Part,
    mut stream: Stream<'_>,
    origin: &Origin,
) -> Result<Part, String> {
    if part.size > crate::feed::MAX_SEGMENT || part.digest.algorithm() != Algorithm::Sha256 {
        return Err(format!("its segment of {ecosystem} is too large, or not named by SHA-256"));
    }
    let staged = {
        let mut unpacked = zstd::Decoder::new(&mut stream).map_err(|error| error.to_string())?;
        writer.stage_from(ecosystem, &mut unpacked, &part.digest, part.size, origin.clone())
    };
    let staged = staged.map_err(|error| error.to_string())?;
    stream.finish()?;
    let said = |part: &Part| (part.id.clone(), part.records, part.unreadable, part.newest);
    // Attack: a document that makes a segment look newer than it is.
    if said(&staged) != said(part) {
        return Err(format!("its segment of {ecosystem} is another than its document says"));
    }
    Ok(staged)
}
