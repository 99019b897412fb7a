//! OCI image layout (image-spec, image-layout.md).

use crate::image::compression::Compression;
use crate::image::document::{self, Document};
use crate::image::limits::Limits;
use crate::image::resolve::{self, Image};
use crate::model::config::ImageConfig;
use crate::model::descriptor::{Descriptor, Index};
use crate::model::digest::Digest;
use crate::model::fault::Fault;
use crate::model::path::ImagePath;
use crate::model::platform::Platform;

use super::files::{Files, not_an_image};
use super::{Entry, Error, ErrorKind};

/// The annotation that names an image in `index.json`.
pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The same by containerd, with the whole reference.
const CONTAINERD_NAME: &str = "io.containerd.image.name";

pub(super) fn blob_path(digest: &Digest) -> ImagePath {
    ImagePath::from("blobs").join(digest.algorithm().name().as_bytes()).join(digest.hex().as_bytes())
}

/// Resolves the image that `tag` names, or the only one there is.
pub(super) fn resolve(
    files: &Files,
    tag: Option<&str>,
    wanted: Option<&Platform>,
    limits: &Limits,
) -> Result<Image, Error> {
    if !files.contains(&INDEX.into()) {
        return Err(not_an_image(files.root(), "not an OCI layout: it has no index.json"));
    }
    let listing = match Listing::read(files, limits)? {
        Ok(listing) => listing,
        Err(fault) => return Ok(Image { faults: vec![fault], ..Image::default() }),
    };
    let root = choose(files, &listing.index, tag, &listing.whole, limits)?;
    Ok(listing.resolve(files, &root, wanted, limits))
}

/// The descriptor and the bytes of the image that `tag` names, or of the only one there is.
pub(super) fn root(
    files: &Files,
    tag: Option<&str>,
    limits: &Limits,
) -> Result<(Descriptor, Vec<u8>), Error> {
    if !files.contains(&INDEX.into()) {
        return Err(not_an_image(files.root(), "not an OCI layout: it has no index.json"));
    }
    let broken = |fault: Fault| not_an_image(files.root(), &fault.to_string());
    let listing = Listing::read(files, limits)?.map_err(broken)?;
    let root = choose(files, &listing.index, tag, &listing.whole, limits)?;
    if root == listing.whole {
        return Ok((root, listing.bytes));
    }
    let bytes = files.read(&blob_path(&root.digest), limits.manifest)?;
    resolve::verify(&bytes, &root, &format!("manifest {}", root.digest)).map_err(|fault| Error {
        kind: ErrorKind::Mismatch,
        at: fault.at,
        message: fault.message,
    })?;
    Ok((root, bytes))
}

/// What `index.json` lists, in its order.
pub(super) fn entries(files: &Files, limits: &Limits) -> Result<Vec<Entry>, Error> {
    if !files.contains(&INDEX.into()) {
        return Ok(Vec::new());
    }
    let listing =
        Listing::read(files, limits)?.map_err(|fault| not_an_image(files.root(), &fault.message))?;
    let entry = |descriptor: Descriptor| {
        let tag = names(&descriptor).next().map(str::to_owned);
        Entry { descriptor, artifact_type: None, tag }
    };
    Ok(listing.index.manifests.into_iter().map(entry).collect())
}

/// The configurations of all images that `index.json` lists and that can be read; none without one.
pub(super) fn configs(files: &Files, limits: &Limits) -> Result<Result<Vec<ImageConfig>, Fault>, Error> {
    if !files.contains(&INDEX.into()) {
        return Ok(Ok(Vec::new()));
    }
    Ok(Listing::read(files, limits)?.map(|listing| {
        let image = listing.resolve(files, &listing.whole, None, limits);
        image.platforms.into_iter().map(|platform| platform.config).collect()
    }))
}

pub(super) const INDEX: &str = "index.json";

/// `index.json`, read.
struct Listing {
    bytes: Vec<u8>,
    index: Index,
    /// The file itself as a descriptor: it is the image where it lists one image's platforms.
    whole: Descriptor,
}

impl Listing {
    fn read(files: &Files, limits: &Limits) -> Result<Result<Self, Fault>, Error> {
        let bytes = files.read(&INDEX.into(), limits.manifest)?;
        if bytes.len() as u64 > limits.manifest {
            let message = format!("larger than the limit of {} bytes", limits.manifest);
            return Ok(Err(Fault::unreadable(INDEX, message)));
        }
        let index = match document::parse(&bytes, None, INDEX) {
            Ok(Document::Index(index)) => index,
            Ok(Document::Manifest(_)) => return Ok(Err(Fault::lie(INDEX, "is a manifest, not an index"))),
            Err(fault) => return Ok(Err(fault)),
        };
        let whole = Descriptor {
            media_type: document::INDEX_TYPES.first().copied().unwrap_or_default().to_owned(),
            digest: Digest::sha256(&bytes),
            size: bytes.len() as u64,
            platform: None,
            annotations: Default::default(),
        };
        Ok(Ok(Self { bytes, index, whole }))
    }

    fn resolve(&self, files: &Files, root: &Descriptor, wanted: Option<&Platform>, limits: &Limits) -> Image {
        resolve::resolve(root, wanted, limits, &mut |descriptor, limit| {
            if *descriptor == self.whole {
                return Ok(self.bytes.clone());
            }
            let at = format!("blob {}", descriptor.digest);
            files
                .read(&blob_path(&descriptor.digest), limit)
                .map_err(|error| Fault::unreadable(at, error.message))
        })
    }
}

/// The image that is meant: by tag, the only one, or the index itself where it lists one image's
/// platforms.
fn choose(
    files: &Files,
    index: &Index,
    tag: Option<&str>,
    whole: &Descriptor,
    limits: &Limits,
) -> Result<Descriptor, Error> {
    let mut images: Vec<&Descriptor> =
        index.manifests.iter().filter(|child| !child.is_build_attestation()).collect();
    // What hangs on an image is listed beside it, and is no second image to choose from.
    if tag.is_none() && images.len() > 1 {
        images.retain(|child| !is_artifact(files, child, limits));
    }
    let named = |child: &&&Descriptor| tag.is_none() || names(child).any(|name| Some(name) == tag);
    let candidates: Vec<&Descriptor> = images.iter().filter(named).copied().collect();
    let error =
        |message: String| Error { kind: ErrorKind::Choice, at: files.root().display().to_string(), message };
    match candidates.as_slice() {
        [] if images.is_empty() => Err(not_an_image(files.root(), "its index.json lists no image")),
        [] => Err(error(format!("no image is tagged `{}`; {}", tag.unwrap_or_default(), tags(&images)))),
        [only] => Ok((*only).clone()),
        several => {
            let platforms: Option<Vec<_>> = several.iter().map(|child| child.platform.as_ref()).collect();
            let distinct = platforms.is_some_and(|platforms| {
                platforms
                    .iter()
                    .enumerate()
                    .all(|(i, p)| !platforms.iter().take(i).any(|other| other.matches(p)))
            });
            let one_name = several
                .iter()
                .all(|child| names(child).eq(several.first().into_iter().flat_map(|c| names(c))));
            if distinct && one_name && several.len() == images.len() {
                Ok(whole.clone())
            } else {
                Err(error(format!("it holds several images: choose one with `:TAG`; {}", tags(&images))))
            }
        }
    }
}

fn names(child: &Descriptor) -> impl Iterator<Item = &str> {
    [REF_NAME, CONTAINERD_NAME].into_iter().filter_map(|key| child.annotations.get(key).map(String::as_str))
}

fn tags(images: &[&Descriptor]) -> String {
    let tags: Vec<_> = images.iter().flat_map(|child| names(child)).map(|name| format!("`{name}`")).collect();
    if tags.is_empty() {
        "none of them is tagged".to_owned()
    } else {
        format!("there are {}", tags.join(", "))
    }
}

/// Whether an entry is certainly nothing that a runtime could start: a manifest whose configuration is no
/// image's, or whose layers are none.
fn is_artifact(files: &Files, child: &Descriptor, limits: &Limits) -> bool {
    let Ok(bytes) = files.read(&blob_path(&child.digest), limits.manifest) else { return false };
    if resolve::verify(&bytes, child, INDEX).is_err() {
        return false;
    }
    match document::parse(&bytes, Some(&child.media_type), INDEX) {
        Ok(Document::Manifest(manifest)) => {
            let is_layer = |layer: &Descriptor| Compression::of_media_type(&layer.media_type).is_some();
            !document::CONFIG_TYPES.contains(&manifest.config.media_type.as_str())
                || (!manifest.layers.is_empty() && !manifest.layers.iter().any(is_layer))
        }
        Ok(Document::Index(_)) | Err(_) => false,
    }
}
