//! Images that others are built upon, as far as recognising them needs: no layer is read.

use crate::image::limits::Limits;
use crate::image::resolve::BlobName;
use crate::model::base::KnownBase;
use crate::model::location::Location;
use crate::model::reference::Reference;
use crate::model::violation::Unseen;
use crate::registry::Registry;

use super::source::{Source, Unopened};

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
