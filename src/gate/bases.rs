//! Images that others are built upon, as far as recognising them needs: no layer is read.

use serde_json::Value;

use crate::check::base;
use crate::image::limits::Limits;
use crate::image::resolve::BlobName;
use crate::model::base::{Base, KnownBase};
use crate::model::evidence::PlatformEvidence;
use crate::model::location::Location;
use crate::model::reference::Reference;
use crate::model::violation::Unseen;
use crate::registry::Registry;

use super::inspect::Inspected;
use super::source::{Source, Unopened};

impl Inspected {
    /// What a platform was built upon, by its layers where a known base fits, else by what it says itself. None
    /// where that cannot be told, or not every layer was read.
    #[must_use]
    pub fn base(&self, platform: &PlatformEvidence, bases: &[KnownBase]) -> Option<Base> {
        let found = self.found.as_ref()?;
        let digest = platform.digest.as_ref()?;
        let image = found.layers.iter().find(|image| image.digest == *digest)?;
        let manifest = found.image.documents.get(digest);
        let manifest: Option<Value> = manifest.and_then(|bytes| serde_json::from_slice(bytes).ok());
        let distro = platform.inventory.known().and_then(|inventory| inventory.distro.as_ref());
        base::base(image, distro, bases, &base::claims(&image.config, manifest.as_ref()))
    }
}

/// The platforms of an image, each as a base. `name` is what a local one stands for.
///
/// # Errors
/// What could not be read of it: what is built upon it would not be recognised.
pub fn known_bases(
    location: &Location,
    name: Option<&Reference>,
    registry: Option<&Registry>,
    limits: &Limits,
) -> Result<Vec<KnownBase>, Unseen> {
    let unseen = |cause: String| Unseen { at: format!("the base image {location}"), cause };
    let (_, image) = Source::open(location, None, registry, limits).map_err(|error| match error {
        Unopened::Choice(error) => unseen(error.to_string()),
        Unopened::Fault(fault) => unseen(fault.to_string()),
    })?;
    if let Some(fault) = image.faults.first() {
        return Err(unseen(fault.to_string()));
    }
    let bases = image.platforms.iter().map(|platform| KnownBase {
        name: match (name, location) {
            (Some(reference), _) | (None, Location::Registry(reference)) => reference.to_string(),
            (
                None,
                Location::OciLayout { .. }
                | Location::OciArchive { .. }
                | Location::DockerArchive { .. }
                | Location::Sbom { .. },
            ) => location.to_string(),
        },
        // A docker-archive has no manifest.
        digest: platform
            .layers
            .iter()
            .all(|layer| matches!(layer.blob, BlobName::Descriptor(_)))
            .then(|| platform.digest.clone()),
        root: image.digest.clone(),
        created: platform.config.created.clone(),
        diff_ids: platform.config.rootfs.diff_ids.clone(),
    });
    Ok(bases.collect())
}
