//! An image copied with everything that hangs on it: manifests byte for byte, children before parents, what
//! hangs on it before its tag.

use std::collections::BTreeSet;

use crate::image::document::{self, Document, INDEX_TYPES, MANIFEST_TYPES};
use crate::image::limits::Limits;
use crate::layout::{self, Entry};
use crate::model::descriptor::Descriptor;
use crate::model::digest::Digest;
use crate::model::location::Location;
use crate::registry::{self, Artifact, BlobSource, Registry, Repository, Target};

use super::hanging::{self, Hanging};
use super::source::{Source, Unopened, Unread};

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Digest of the image, at both ends.
    pub digest: Digest,
    /// Manifests and indexes of the image.
    pub manifests: usize,
    /// Blobs that were sent; the others were there.
    pub blobs: usize,
    /// What hung on it: referrers and legacy tags.
    pub hanging: usize,
    /// What was not copied because it certainly does not belong to the image: causes.
    pub rejected: Vec<String>,
    /// What could not be seen: there may be more that hangs on the image. Empty where the copy is whole.
    pub unknown: Vec<String>,
}

/// Why nothing, or not all, was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The user must say something else.
    #[error("{0}")]
    Usage(String),
    /// Bytes contradict their digest or size.
    #[error("{0}")]
    Lie(String),
    /// Something could not be read or written.
    #[error("{0}")]
    Failed(String),
}

/// Copies an image. `with_hanging` takes along what hangs on it.
///
/// # Errors
/// [`CopyError`]; the destination's tag is written last, and not at all where something failed before.
pub fn copy(
    from: &Location,
    to: &Location,
    registry: Option<&Registry>,
    with_hanging: bool,
    limits: &Limits,
) -> Result<Copied, CopyError> {
    if matches!(from, Location::DockerArchive { .. }) {
        let message = "a docker-archive has no manifest to copy: convert it, for example with `skopeo copy`";
        return Err(CopyError::Usage(message.to_owned()));
    }
    let (source, image) = match Source::open(from, None, registry, limits) {
        Ok(opened) => opened,
        Err(Unopened::Choice(error)) => return Err(CopyError::Usage(error.to_string())),
        Err(Unopened::Fault(fault)) => return Err(CopyError::Failed(fault.to_string())),
    };
    let root = image.root.ok_or_else(|| CopyError::Failed("the image has no manifest".to_owned()))?;
    let mut collecting =
        Collecting { source: &source, limits, seen: BTreeSet::new(), parts: Vec::new(), bytes: 0 };
    collecting.collect(&root, 0)?;
    let parts = collecting.parts;
    let mut end = End::open(to, registry, &root.digest, limits)?;
    let mut copied = Copied {
        digest: root.digest.clone(),
        manifests: parts.len(),
        blobs: 0,
        hanging: 0,
        rejected: Vec::new(),
        unknown: Vec::new(),
    };
    let transfer = Transfer { source: &source, from: from_repository(from) };
    for part in &parts {
        copied.blobs += transfer.blobs(&mut end, &part.blobs)?;
        end.put_manifest(&part.descriptor, &part.bytes)?;
    }
    if with_hanging {
        for part in &parts {
            let found = hanging::of(&source, &part.descriptor.digest, limits);
            copied.rejected.extend(found.rejected);
            copied.unknown.extend(found.unknown);
            for hanging in found.entries {
                copied.blobs += transfer.hang(&mut end, &hanging, limits)?;
                copied.hanging += 1;
            }
        }
    }
    let bytes = parts.last().map(|part| part.bytes.as_slice()).unwrap_or_default();
    end.tag(&root, bytes)?;
    Ok(copied)
}

fn from_repository(from: &Location) -> Option<(String, String)> {
    match from {
        Location::Registry(reference) => Some((reference.registry.clone(), reference.repository.clone())),
        Location::OciLayout { .. } | Location::OciArchive { .. } | Location::DockerArchive { .. } => None,
    }
}

/// A manifest or index with the blobs that it needs.
struct Part {
    descriptor: Descriptor,
    bytes: Vec<u8>,
    blobs: Vec<Descriptor>,
}

/// Reads every manifest below the root.
struct Collecting<'a> {
    source: &'a Source,
    limits: &'a Limits,
    seen: BTreeSet<Digest>,
    /// Children before parents.
    parts: Vec<Part>,
    bytes: u64,
}

impl Collecting<'_> {
    fn collect(&mut self, descriptor: &Descriptor, depth: usize) -> Result<(), CopyError> {
        if !self.seen.insert(descriptor.digest.clone()) {
            return Ok(());
        }
        if self.seen.len() > self.limits.manifests {
            let message = format!("more than {} manifests (limit `manifests`)", self.limits.manifests);
            return Err(CopyError::Failed(message));
        }
        let bytes = self.source.manifest(descriptor, self.limits)?;
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
        if self.bytes > self.limits.documents {
            let message =
                format!("manifests of more than {} bytes (limit `documents`)", self.limits.documents);
            return Err(CopyError::Failed(message));
        }
        let at = format!("manifest {}", descriptor.digest);
        let parsed = document::parse(&bytes, Some(&descriptor.media_type), &at);
        let blobs = match parsed.map_err(|fault| CopyError::Lie(fault.to_string()))? {
            Document::Manifest(manifest) => {
                let mut blobs = manifest.layers;
                blobs.push(manifest.config);
                blobs
            }
            Document::Index(_) if depth >= self.limits.index_depth => {
                let message = format!(
                    "{at}: indexes nested deeper than {} (limit `index depth`)",
                    self.limits.index_depth
                );
                return Err(CopyError::Failed(message));
            }
            Document::Index(index) => {
                for child in &index.manifests {
                    self.collect(child, depth + 1)?;
                }
                Vec::new()
            }
        };
        self.parts.push(Part { descriptor: descriptor.clone(), bytes, blobs });
        Ok(())
    }
}

/// Where the copy goes.
enum End<'a> {
    Layout { writer: layout::Writer, tag: Option<String> },
    Registry { registry: &'a Registry, repository: Repository, target: Target, name: (String, String) },
}

impl<'a> End<'a> {
    fn open(
        to: &Location,
        registry: Option<&'a Registry>,
        digest: &Digest,
        limits: &Limits,
    ) -> Result<Self, CopyError> {
        match to {
            Location::OciLayout { path, tag } => {
                let writer = layout::Writer::open(path, limits)?;
                Ok(Self::Layout { writer, tag: tag.clone() })
            }
            Location::OciArchive { .. } | Location::DockerArchive { .. } => {
                let message = "the destination is a registry or `oci:DIR[:TAG]`: archives are not written";
                Err(CopyError::Usage(message.to_owned()))
            }
            Location::Registry(reference) => {
                let registry = registry.ok_or_else(|| {
                    CopyError::Failed(format!("{reference}: `--offline` allows no network"))
                })?;
                if let Some(stated) = reference.digest.as_ref().filter(|stated| *stated != digest) {
                    let message = format!("the destination names {stated}, but the image is {digest}");
                    return Err(CopyError::Usage(message));
                }
                let target = match &reference.tag {
                    Some(tag) => Target::Tag(tag.clone()),
                    None => Target::of(reference),
                };
                let repository = registry.repository(reference)?;
                let name = (reference.registry.clone(), reference.repository.clone());
                Ok(Self::Registry { registry, repository, target, name })
            }
        }
    }

    fn put_manifest(&mut self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), CopyError> {
        match self {
            Self::Layout { writer, .. } => Ok(writer.put_blob(descriptor, bytes)?),
            Self::Registry { registry, repository, .. } => {
                let target = Target::Digest(descriptor.digest.clone());
                registry.run(repository.push_manifest(&target, bytes, &descriptor.media_type))?;
                Ok(())
            }
        }
    }

    /// Names the image, and looks whether the name leads to it.
    fn tag(&mut self, root: &Descriptor, bytes: &[u8]) -> Result<(), CopyError> {
        match self {
            Self::Layout { writer, tag } => {
                Ok(writer.list(&Entry { descriptor: root.clone(), artifact_type: None, tag: tag.clone() })?)
            }
            Self::Registry { registry, repository, target, .. } => {
                registry.run(repository.push_manifest(target, bytes, &root.media_type))?;
                let back = registry.run(repository.manifest(target))?;
                if back.digest == root.digest {
                    return Ok(());
                }
                let message =
                    format!("{target} leads to {} after the push, not to {}", back.digest, root.digest);
                Err(CopyError::Failed(message))
            }
        }
    }
}

/// Moves blobs, and what hangs on the image.
struct Transfer<'a> {
    source: &'a Source,
    /// Registry and repository of the source.
    from: Option<(String, String)>,
}

impl Transfer<'_> {
    /// Sees to it that blobs are at the end; how many were sent.
    fn blobs(&self, end: &mut End<'_>, blobs: &[Descriptor]) -> Result<usize, CopyError> {
        let mut sent = 0;
        for blob in blobs {
            sent += usize::from(self.blob(end, blob)?);
        }
        Ok(sent)
    }

    fn blob(&self, end: &mut End<'_>, descriptor: &Descriptor) -> Result<bool, CopyError> {
        match end {
            End::Layout { writer, .. } => {
                if writer.has_blob(descriptor)? {
                    return Ok(false);
                }
                writer.put_blob(descriptor, self.source.raw(descriptor)?)?;
            }
            End::Registry { registry, repository, name, .. } => {
                if registry.run(repository.has_blob(&descriptor.digest))? {
                    return Ok(false);
                }
                // Between repositories of one registry nothing needs to be sent.
                let mount = self.from.as_ref().filter(|from| from.0 == name.0).map(|from| from.1.as_str());
                let reader = BlobSource::Reader(self.source.raw(descriptor)?);
                registry.run(repository.push_blob(descriptor, reader, mount))?;
            }
        }
        Ok(true)
    }

    /// Copies one thing that hangs on the image, blobs first; how many blobs were sent.
    fn hang(&self, end: &mut End<'_>, hanging: &Hanging, limits: &Limits) -> Result<usize, CopyError> {
        let at = format!("manifest {}", hanging.descriptor.digest);
        let parsed = document::parse(&hanging.manifest, Some(&hanging.descriptor.media_type), &at);
        let mut sent = 0;
        match parsed.map_err(|fault| CopyError::Lie(fault.to_string()))? {
            Document::Manifest(manifest) => {
                if manifest.layers.len() > limits.layers {
                    return Err(CopyError::Failed(format!(
                        "{at}: more than {} layers (limit `layers`)",
                        limits.layers
                    )));
                }
                sent += self.blobs(end, &manifest.layers)?;
                sent += self.blobs(end, &[manifest.config])?;
            }
            Document::Index(_) => {
                return Err(CopyError::Failed(format!(
                    "{at}: an index that hangs on an image is not copied"
                )));
            }
        }
        match end {
            End::Layout { writer, .. } => {
                writer.put_blob(&hanging.descriptor, hanging.manifest.as_slice())?;
                let (descriptor, tag) = (hanging.descriptor.clone(), hanging.tag.clone());
                writer.list(&Entry { descriptor, artifact_type: hanging.artifact_type.clone(), tag })?;
            }
            End::Registry { registry, repository, .. } => match &hanging.tag {
                Some(tag) => {
                    let target = Target::Tag(tag.clone());
                    let media_type = &hanging.descriptor.media_type;
                    registry.run(repository.push_manifest(&target, &hanging.manifest, media_type))?;
                }
                None => {
                    let artifact = Artifact {
                        manifest: hanging.manifest.clone(),
                        media_type: hanging.descriptor.media_type.clone(),
                    };
                    registry.run(repository.attach(&hanging.subject, &[artifact]))?;
                }
            },
        }
        Ok(sent)
    }
}

impl From<Unread> for CopyError {
    fn from(unread: Unread) -> Self {
        if unread.lies { Self::Lie(unread.cause) } else { Self::Failed(unread.cause) }
    }
}

impl From<registry::Error> for CopyError {
    fn from(error: registry::Error) -> Self {
        match error.kind {
            registry::ErrorKind::Mismatch => Self::Lie(error.to_string()),
            registry::ErrorKind::Settings => Self::Usage(error.to_string()),
            registry::ErrorKind::NotFound
            | registry::ErrorKind::Unauthorized
            | registry::ErrorKind::Denied
            | registry::ErrorKind::RateLimited
            | registry::ErrorKind::Unavailable
            | registry::ErrorKind::Invalid
            | registry::ErrorKind::TooLarge
            | registry::ErrorKind::Refused
            | registry::ErrorKind::Unsupported => Self::Failed(error.to_string()),
        }
    }
}

impl From<layout::Error> for CopyError {
    fn from(error: layout::Error) -> Self {
        match error.kind {
            layout::ErrorKind::Mismatch => Self::Lie(error.to_string()),
            layout::ErrorKind::NotAnImage | layout::ErrorKind::Choice => Self::Usage(error.to_string()),
            layout::ErrorKind::NotFound | layout::ErrorKind::Io => Self::Failed(error.to_string()),
        }
    }
}

/// Whether a media type is that of a manifest or an index.
pub(super) fn is_manifest(media_type: &str) -> bool {
    MANIFEST_TYPES.contains(&media_type) || INDEX_TYPES.contains(&media_type)
}
