//! Where a copy goes: a repository or a layout.

use std::io::Read;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::gate::cause::Cause;
use crate::image::limits::Limits;
use crate::layout::{self, Entry, Writer};
use crate::model::descriptor::Descriptor;
use crate::model::digest::Digest;
use crate::model::location::Location;
use crate::registry::{
    Artifact, BlobPushed, BlobSource, ErrorKind, Registry, Repository, Target as Place, facts,
};

use super::CopyError;

/// How often a tag that was written is looked at before it is believed to lead elsewhere.
const LOOKS: u32 = 12;

/// The pause before the second look; it grows with each, to a minute in all.
const PAUSE: Duration = Duration::from_millis(800);

/// Bytes of manifests that are attached by one write of the fallback tag.
const BATCH: usize = 16 << 20;

/// A manifest that refers to another, to be attached to it.
pub(super) struct Attachment {
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Vec<u8>,
}

/// A destination, opened.
pub(super) enum Target<'a> {
    Registry {
        registry: &'a Registry,
        repository: Repository,
        tag: Option<String>,
        /// The source's repository, where it is in the same registry.
        mount: Option<String>,
    },
    Layout {
        writer: Writer,
        tag: Option<String>,
        /// Entries of `index.json`, which are written at the end, all at once.
        pending: Mutex<Vec<Entry>>,
    },
}

impl<'a> Target<'a> {
    /// Opens a destination; nothing is sent yet.
    ///
    /// # Errors
    /// [`CopyError::Usage`] where the user must name another place.
    pub(super) fn open(
        destination: &Location,
        source: &Location,
        registry: Option<&'a Registry>,
        limits: &Limits,
    ) -> Result<Self, CopyError> {
        match destination {
            Location::Registry(to) => {
                let offline = || format!("{to}: is in a registry, and `--offline` allows no network");
                let registry = registry.ok_or_else(|| CopyError::Failed(offline()))?;
                let repository =
                    registry.repository(to).map_err(|error| CopyError::Usage(error.to_string()))?;
                let mount = match source {
                    Location::Registry(from) if from.registry.eq_ignore_ascii_case(&to.registry) => {
                        Some(from.repository.clone())
                    }
                    Location::Registry(_)
                    | Location::OciLayout { .. }
                    | Location::OciArchive { .. }
                    | Location::DockerArchive { .. }
                    | Location::Sbom { .. } => None,
                };
                Ok(Self::Registry { registry, repository, tag: to.tag.clone(), mount })
            }
            Location::OciLayout { path, tag } => match Writer::open(path, limits) {
                Ok(writer) => Ok(Self::Layout { writer, tag: tag.clone(), pending: Mutex::default() }),
                Err(error) if error.kind == layout::ErrorKind::NotAnImage => {
                    Err(CopyError::Usage(error.to_string()))
                }
                Err(error) => Err(Cause::from(error).into()),
            },
            Location::Sbom { .. } => Err(CopyError::Usage(format!("{destination} is no place for an image"))),
            Location::OciArchive { .. } | Location::DockerArchive { .. } => Err(CopyError::Usage(format!(
                "{destination} is an archive, which cannot be written to: copy to `oci:DIR` and pack that with tar"
            ))),
        }
    }

    /// Whether a blob is there.
    pub(super) fn has_blob(&self, descriptor: &Descriptor) -> Result<bool, Cause> {
        match self {
            Self::Registry { registry, repository, .. } => {
                registry.run(repository.has_blob(&descriptor.digest)).map_err(Cause::from)
            }
            Self::Layout { writer, .. } => writer.has_blob(descriptor).map_err(Cause::from),
        }
    }

    /// Writes a blob where it is not there yet. The source is read only then.
    pub(super) fn blob(
        &self,
        descriptor: &Descriptor,
        source: impl Read + Send + 'static,
    ) -> Result<BlobPushed, Cause> {
        match self {
            Self::Registry { registry, repository, mount, .. } => {
                let source = BlobSource::Reader(Box::new(source));
                let pushed = registry.run(repository.push_blob(descriptor, source, mount.as_deref()));
                pushed.map_err(Cause::from)
            }
            Self::Layout { writer, .. } => {
                if writer.has_blob(descriptor).map_err(Cause::from)? {
                    return Ok(BlobPushed::Existed);
                }
                writer.put_blob(descriptor, source).map_err(Cause::from)?;
                Ok(BlobPushed::Uploaded)
            }
        }
    }

    /// Writes a manifest by its digest; everything that it points to is there.
    pub(super) fn manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), Cause> {
        match self {
            Self::Registry { registry, repository, .. } => {
                let place = Place::Digest(descriptor.digest.clone());
                let pushed = registry.run(repository.push_manifest(&place, bytes, &descriptor.media_type));
                pushed.map(|_| ()).map_err(Cause::from)
            }
            Self::Layout { writer, .. } => match writer.has_blob(descriptor) {
                Ok(true) => Ok(()),
                Ok(false) => writer.put_blob(descriptor, bytes).map_err(Cause::from),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Writes manifests that refer to `subject`, and sees to it that they are listed.
    pub(super) fn attach(&self, subject: &Digest, attachments: Vec<Attachment>) -> Result<(), Cause> {
        match self {
            Self::Registry { registry, repository, .. } => {
                let send = |artifacts: &[Artifact]| {
                    registry.run(repository.attach(subject, artifacts)).map_err(Cause::from)
                };
                let (mut batch, mut size) = (Vec::new(), 0);
                for Attachment { descriptor, bytes } in attachments {
                    size += bytes.len();
                    batch.push(Artifact { manifest: bytes, media_type: descriptor.media_type });
                    if size >= BATCH {
                        send(&batch)?;
                        (batch, size) = (Vec::new(), 0);
                    }
                }
                if batch.is_empty() { Ok(()) } else { send(&batch).map(|_| ()) }
            }
            Self::Layout { pending, .. } => {
                for Attachment { descriptor, bytes } in attachments {
                    self.manifest(&descriptor, &bytes)?;
                    let found = facts(&bytes)?;
                    let descriptor = Descriptor { annotations: found.annotations, ..descriptor };
                    let entry = Entry { descriptor, artifact_type: found.artifact_type, tag: None };
                    pending.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
                }
                Ok(())
            }
        }
    }

    /// What a tag leads to at the destination; none where there is certainly no such tag.
    pub(super) fn tagged(&self, tag: &str) -> Result<Option<Vec<u8>>, Cause> {
        match self {
            Self::Registry { registry, repository, .. } => {
                match registry.run(repository.manifest(&Place::Tag(tag.to_owned()))) {
                    Ok(pulled) => Ok(Some(pulled.bytes)),
                    Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(error.into()),
                }
            }
            Self::Layout { writer, .. } => writer.manifest_tagged(tag).map_err(Cause::from),
        }
    }

    /// Lets a tag beside the image's own lead to a manifest.
    pub(super) fn tag(&self, tag: &str, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), Cause> {
        match self {
            Self::Registry { registry, repository, .. } => {
                let place = Place::Tag(tag.to_owned());
                let pushed = registry.run(repository.push_manifest(&place, bytes, &descriptor.media_type));
                pushed.map(|_| ()).map_err(Cause::from)
            }
            Self::Layout { pending, .. } => {
                self.manifest(descriptor, bytes)?;
                pending.lock().unwrap_or_else(PoisonError::into_inner).push(entry(descriptor, Some(tag)));
                Ok(())
            }
        }
    }

    /// Ends the copy: the tag leads to the image now, and is read back.
    pub(super) fn finish(&self, root: &Descriptor, bytes: &[u8]) -> Result<(), Cause> {
        match self {
            Self::Registry { tag: None, registry, repository, .. } => {
                let place = Place::Digest(root.digest.clone());
                registry.run(repository.manifest(&place)).map(|_| ()).map_err(Cause::from)
            }
            Self::Registry { tag: Some(tag), .. } => {
                self.tag(tag, root, bytes)?;
                for look in 1..=LOOKS {
                    match self.tagged(tag)? {
                        Some(found) if found == bytes => return Ok(()),
                        // A registry may show the old tag for some seconds more.
                        Some(_) | None if look < LOOKS => std::thread::sleep(PAUSE * look),
                        Some(_) | None => {}
                    }
                }
                Err(format!(
                    "the tag `{tag}` was written, and does not lead to {} when it is read",
                    root.digest
                )
                .into())
            }
            Self::Layout { writer, tag, pending } => {
                let mut entries = pending.lock().unwrap_or_else(PoisonError::into_inner).clone();
                entries.push(entry(root, tag.as_deref()));
                writer.list(&entries).map_err(Cause::from)?;
                let Some(tag) = tag else { return Ok(()) };
                match writer.tagged(tag).map_err(Cause::from)? {
                    Some(found) if found == root.digest => Ok(()),
                    Some(_) | None => Err(format!("the tag `{tag}` does not lead to {}", root.digest).into()),
                }
            }
        }
    }
}

fn entry(descriptor: &Descriptor, tag: Option<&str>) -> Entry {
    let descriptor = Descriptor { annotations: Default::default(), platform: None, ..descriptor.clone() };
    Entry { descriptor, artifact_type: None, tag: tag.map(str::to_owned) }
}
