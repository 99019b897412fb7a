//! From a root descriptor to the platforms' images: index, manifests and configurations.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::model::config::ImageConfig;
use crate::model::descriptor::Descriptor;
use crate::model::digest::{Digest, Hasher};
use crate::model::fault::Fault;
use crate::model::platform::Platform;

use super::compression::Compression;
use super::document::{self, Document, INDEX_TYPES};
use super::limits::Limits;

/// An image, resolved to its platforms. Its layers are not read yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// Digest of the root manifest or index; a docker-archive's config digest.
    pub digest: Option<Digest>,
    /// What led to the root manifest or index; none for a docker-archive.
    pub root: Option<Descriptor>,
    /// Every platform that could be resolved, in the order of the index.
    pub platforms: Vec<PlatformImage>,
    /// The indexes within the index, as far as they could be read, in the order of their digests.
    pub nested: Vec<Nested>,
    /// What lies or could not be read on the way.
    pub faults: Vec<Fault>,
    /// The documents that were read on the way, by the digest that led to them; those among the faults are
    /// here too, as they came.
    pub documents: BTreeMap<Digest, Vec<u8>>,
}

/// An index within an image's index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nested {
    /// Its digest.
    pub digest: Digest,
    /// The platforms' manifests that it leads to, whatever number of indexes are between.
    pub manifests: BTreeSet<Digest>,
}

/// One platform's image, its configuration read and its layers named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformImage {
    /// The platform, as the configuration states it.
    pub platform: Platform,
    /// Digest of the manifest; a docker-archive's config digest.
    pub digest: Digest,
    /// The configuration.
    pub config: ImageConfig,
    /// The layers, base first.
    pub layers: Vec<LayerBlob>,
}

/// A layer as the manifest and the configuration describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerBlob {
    /// Where the bytes are.
    pub blob: BlobName,
    /// How they are compressed; none where only the bytes can tell (docker-archive).
    pub compression: Option<Compression>,
    /// Digest that the uncompressed bytes must have.
    pub diff_id: Digest,
}

impl LayerBlob {
    /// What makes two listed layers the same: stored bytes, how they are packed, what they must unpack to, and
    /// what the manifest promises of them.
    #[must_use]
    pub fn identity(&self) -> String {
        let Self { blob, compression, diff_id } = self;
        match blob {
            // Attack: one layer listed twice, the second time with a table of contents for lazy runtimes.
            BlobName::Descriptor(Descriptor { digest, size, annotations, media_type: _, platform: _ }) => {
                format!("{digest} {size} {compression:?} {diff_id} {annotations:?}")
            }
            BlobName::Member(member) => format!("member {compression:?} {diff_id} {member}"),
        }
    }
}

/// How a store finds a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobName {
    /// By descriptor: digest and size must agree.
    Descriptor(Descriptor),
    /// A member of a docker-archive, which states neither digest nor size.
    Member(String),
}

/// Fetches a document whole. Given the limit in bytes; answers a fault where it cannot.
pub type Fetch<'a> = dyn FnMut(&Descriptor, u64) -> Result<Vec<u8>, Fault> + 'a;

/// Resolves an image: follows indexes, reads manifests and configurations, verifies each by digest and
/// size. BuildKit's attestation manifests are passed over. `wanted` chooses platforms; `None` is all.
pub fn resolve(
    root: &Descriptor,
    wanted: Option<&Platform>,
    limits: &Limits,
    fetch: &mut Fetch<'_>,
) -> Image {
    let mut resolution = Resolution {
        image: Image { digest: Some(root.digest.clone()), root: Some(root.clone()), ..Image::default() },
        wanted,
        limits,
        fetch,
        entered: HashSet::new(),
        children: BTreeMap::new(),
        listed: 0,
        read: 0,
    };
    resolution.descend(root, 0);
    resolution.image.nested = resolution.nested(&root.digest);
    resolution.image
}

/// Checks bytes against the descriptor that led to them.
///
/// # Errors
/// A lie, where the size or the digest disagrees.
pub fn verify(bytes: &[u8], descriptor: &Descriptor, at: &str) -> Result<(), Fault> {
    if bytes.len() as u64 != descriptor.size {
        let found = bytes.len();
        return Err(Fault::lie(
            at,
            format!("size mismatch: {found} bytes, the descriptor says {}", descriptor.size),
        ));
    }
    let mut hasher = Hasher::new(descriptor.digest.algorithm());
    hasher.update(bytes);
    let found = hasher.finish();
    if found == descriptor.digest {
        Ok(())
    } else {
        Err(Fault::lie(at, format!("digest mismatch: its bytes have {found}")))
    }
}

struct Resolution<'a, 'f> {
    image: Image,
    wanted: Option<&'a Platform>,
    limits: &'a Limits,
    fetch: &'a mut Fetch<'f>,
    /// Manifests by digest and stated platform: the same one again adds nothing.
    entered: HashSet<(Digest, Option<Platform>)>,
    /// What each index that was read lists and was entered: as many in all as may be listed.
    children: BTreeMap<Digest, BTreeSet<Digest>>,
    listed: usize,
    /// Bytes of the documents so far.
    read: u64,
}

impl Resolution<'_, '_> {
    fn descend(&mut self, descriptor: &Descriptor, depth: usize) {
        self.listed += 1;
        match self.listed.cmp(&(self.limits.manifests + 1)) {
            Ordering::Less => {}
            Ordering::Equal => {
                let message = format!("more than {} manifests (limit `manifests`)", self.limits.manifests);
                return self.image.faults.push(Fault::unreadable("index", message));
            }
            Ordering::Greater => return,
        }
        if !self.entered.insert((descriptor.digest.clone(), descriptor.platform.clone())) {
            return;
        }
        if let Err(fault) = self.enter(descriptor, depth) {
            let fault = match &descriptor.platform {
                Some(platform) if !platform.is_unknown() => fault.on(platform),
                _ => fault,
            };
            self.image.faults.push(fault);
        }
    }

    fn enter(&mut self, descriptor: &Descriptor, depth: usize) -> Result<(), Fault> {
        let at = format!("manifest {}", descriptor.digest);
        let bytes = self.document(descriptor, self.limits.manifest, &at)?;
        match document::parse(&bytes, Some(&descriptor.media_type), &at)? {
            Document::Manifest(manifest) => {
                let image = self.platform_image(descriptor, &manifest, &at)?;
                // Also a manifest that no index describes is asked what it is for.
                if self.wanted.is_none_or(|wanted| wanted.matches(&image.platform)) {
                    self.image.platforms.push(image);
                }
                Ok(())
            }
            // Attack: a chain of indexes, each holding only the next, to overflow the stack.
            Document::Index(_) if depth >= self.limits.index_depth => Err(Fault::unreadable(
                at,
                format!("indexes nested deeper than {} (limit `index depth`)", self.limits.index_depth),
            )),
            Document::Index(index) if index.manifests.len() > self.limits.index_children => {
                Err(Fault::unreadable(
                    at,
                    format!("more than {} manifests (limit `index children`)", self.limits.index_children),
                ))
            }
            Document::Index(index) => {
                self.children.entry(descriptor.digest.clone()).or_default();
                for child in &index.manifests {
                    if !self.is_wanted(child) {
                        continue;
                    }
                    if self.listed <= self.limits.manifests {
                        let children = self.children.entry(descriptor.digest.clone()).or_default();
                        children.insert(child.digest.clone());
                    }
                    self.descend(child, depth + 1);
                }
                Ok(())
            }
        }
    }

    /// BuildKit's attestation manifests are no platform. A child without a platform may be any, and so may an index,
    /// whatever is said of it. Attack: an index that leads to the wanted platform under the name of another, so that what
    /// hangs on it and speaks against the platform is not seen.
    fn is_wanted(&self, child: &Descriptor) -> bool {
        match (&child.platform, self.wanted) {
            (Some(_), _) if child.is_build_attestation() => false,
            (Some(_), _) if INDEX_TYPES.contains(&child.media_type.as_str()) => true,
            (Some(platform), Some(wanted)) if !platform.os.is_empty() => wanted.matches(platform),
            (Some(_) | None, _) => true,
        }
    }

    /// The indexes below the root, each with the platforms' manifests that it leads to.
    fn nested(&self, root: &Digest) -> Vec<Nested> {
        let platforms: BTreeSet<&Digest> = self.image.platforms.iter().map(|image| &image.digest).collect();
        let below = |index: &Digest| {
            let mut seen = BTreeSet::new();
            let mut open: Vec<&Digest> = self.children.get(index).into_iter().flatten().collect();
            while let Some(digest) = open.pop() {
                if seen.insert(digest) {
                    open.extend(self.children.get(digest).into_iter().flatten());
                }
            }
            seen.intersection(&platforms).map(|digest| (*digest).clone()).collect()
        };
        let nested = self.children.keys().filter(|digest| *digest != root);
        nested.map(|digest| Nested { digest: digest.clone(), manifests: below(digest) }).collect()
    }

    fn document(&mut self, descriptor: &Descriptor, limit: u64, at: &str) -> Result<Vec<u8>, Fault> {
        if descriptor.size > limit {
            let size = descriptor.size;
            return Err(Fault::unreadable(at, format!("{size} bytes, larger than the limit of {limit}")));
        }
        let bytes = (self.fetch)(descriptor, limit)?;
        // What came, not what the descriptor says. Attack: a thousand descriptors that say 2 bytes each.
        self.read = self.read.saturating_add(bytes.len() as u64);
        if self.read > self.limits.documents {
            let most = self.limits.documents;
            let message = format!("documents of more than {most} bytes in all (limit `documents`)");
            return Err(Fault::unreadable(at, message));
        }
        self.image.documents.insert(descriptor.digest.clone(), bytes.clone());
        verify(&bytes, descriptor, at)?;
        Ok(bytes)
    }

    fn platform_image(
        &mut self,
        descriptor: &Descriptor,
        manifest: &crate::model::descriptor::Manifest,
        at: &str,
    ) -> Result<PlatformImage, Fault> {
        if !document::CONFIG_TYPES.contains(&manifest.config.media_type.as_str()) {
            let found = &manifest.config.media_type;
            return Err(Fault::unreadable(at, format!("not an image: its config has media type `{found}`")));
        }
        if manifest.layers.len() > self.limits.layers {
            return Err(Fault::unreadable(
                at,
                format!("more than {} layers (limit `layers`)", self.limits.layers),
            ));
        }
        let blobs = manifest.layers.iter().enumerate().map(|(i, layer)| layer_compression(i, layer));
        let compressions = blobs.collect::<Result<Vec<_>, _>>()?;
        let config_at = format!("config {}", manifest.config.digest);
        let bytes = self.document(&manifest.config, self.limits.config, &config_at)?;
        let config = document::parse_config(&bytes, &config_at)?;
        let platform = platform_of(&config, descriptor.platform.as_ref(), &config_at)?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            let (layers, ids) = (manifest.layers.len(), config.rootfs.diff_ids.len());
            let message = format!(
                "the manifest has {layers} layers, the config {ids} diff IDs: nothing to verify them by"
            );
            return Err(Fault::unreadable(config_at, message).breaks("CFG-003"));
        }
        let layers = manifest.layers.iter().zip(compressions).zip(&config.rootfs.diff_ids);
        let layers = layers.map(|((layer, compression), diff_id)| LayerBlob {
            blob: BlobName::Descriptor(layer.clone()),
            compression: Some(compression),
            diff_id: diff_id.clone(),
        });
        Ok(PlatformImage { platform, digest: descriptor.digest.clone(), layers: layers.collect(), config })
    }
}

fn layer_compression(index: usize, layer: &Descriptor) -> Result<Compression, Fault> {
    let at = format!("layer {index} ({})", layer.digest);
    Compression::of_media_type(&layer.media_type)
        .ok_or_else(|| Fault::unreadable(at, format!("unsupported layer media type `{}`", layer.media_type)))
}

/// The configuration's platform, which is what runs; it must not contradict the index.
fn platform_of(config: &ImageConfig, declared: Option<&Platform>, at: &str) -> Result<Platform, Fault> {
    let own = Platform {
        os: config.os.clone(),
        architecture: config.architecture.clone(),
        variant: config.variant.clone().filter(|variant| !variant.is_empty()),
    };
    let platform = match declared.filter(|platform| !platform.os.is_empty() && !platform.is_unknown()) {
        Some(declared) if own.os.is_empty() || own.architecture.is_empty() => Ok(declared.clone()),
        // Attack: an index that offers a harmless platform under the name of another.
        Some(declared) if !declared.matches(&own) => {
            let message = format!("its platform is {own}, but the index lists it as {declared}");
            Err(Fault::unreadable(at, message).breaks("CFG-005"))
        }
        Some(declared) if own.variant.is_none() => Ok(declared.clone()),
        Some(_) => Ok(own),
        None if own.os.is_empty() || own.architecture.is_empty() => {
            Err(Fault::unreadable(at, "neither the config nor the index states a platform"))
        }
        None => Ok(own),
    }?;
    // Attack: an `os` of `../..`, which becomes part of a file name, or one with terminal escapes. What is
    // read back must be the same: `../..` before `amd64` reads as an os, an architecture and a variant.
    match platform.to_string().parse::<Platform>() {
        Ok(read) if read == platform => Ok(platform),
        Ok(_) | Err(_) => Err(Fault::unreadable(at, "its platform is not made of plain words")),
    }
}
