//! From a location to what is known of the image: its platforms, their inventories, and the faults.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::image::layer::Verified;
use crate::image::limits::Limits;
use crate::image::resolve::{BlobName, Image, LayerBlob, PlatformImage};
use crate::inventory::{Merged, catalog_aliases, catalog_layer};
use crate::layout::{self, ErrorKind, Store};
use crate::model::evidence::{Evidence, ImageIdentity, LayerEvidence, PlatformEvidence};
use crate::model::fact::Fact;
use crate::model::fault::Fault;
use crate::model::inventory::{Inventory, LayerRef};
use crate::model::layer::LayerInventory;
use crate::model::location::Location;
use crate::model::platform::Platform;

/// Is told how far the reading has come. Called from several threads.
pub trait Progress: Sync {
    /// Layers with so many stored bytes are about to be read.
    fn begin(&self, layers: usize, bytes: u64);
    /// So many more stored bytes were read.
    fn advance(&self, bytes: u64);
    /// All were read.
    fn finish(&self);
    /// The advisories of an ecosystem are about to be opened, which takes seconds where they must be
    /// compiled first.
    fn advisories(&self, ecosystem: &str);
}

/// Why there is nothing to judge: the user must say something else.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The location names no single image.
    #[error("{0}")]
    Choice(layout::Error),
}

/// The platforms of an image, without reading its layers. None where the image cannot be read: reading
/// it whole will say why.
///
/// # Errors
/// As [`inspect`].
pub fn platforms(location: &Location, limits: &Limits) -> Result<Vec<Platform>, Error> {
    match layout::open(location, None, limits) {
        Ok((_, image)) => Ok(image.platforms.into_iter().map(|image| image.platform).collect()),
        Err(error) if error.kind == ErrorKind::Choice => Err(Error::Choice(error)),
        Err(_) => Ok(Vec::new()),
    }
}

/// Reads an image whole. Findings and snapshot are left [`Fact::Absent`]: nobody looked for them yet.
/// `wanted` chooses platforms; `None` is all.
///
/// # Errors
/// [`Error`] only where the user must choose; what could not be read is among the faults.
pub fn inspect(
    location: &Location,
    wanted: Option<&Platform>,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<Evidence, Error> {
    let mut evidence = Evidence {
        image: ImageIdentity { reference: location.to_string(), digest: None },
        reference: Fact::Absent,
        wanted: wanted.cloned(),
        platforms: Fact::Absent,
        snapshot: Fact::Absent,
        faults: Vec::new(),
    };
    let (store, image) = match layout::open(location, wanted, limits) {
        Ok(opened) => opened,
        Err(error) if error.kind == ErrorKind::Choice => return Err(Error::Choice(error)),
        Err(error) => {
            evidence.platforms = Fact::Unknown(error.to_string());
            evidence.faults.push(Fault::unreadable(error.at, error.message));
            return Ok(evidence);
        }
    };
    evidence.image.digest.clone_from(&image.digest);
    evidence.faults.clone_from(&image.faults);
    if image.platforms.is_empty() {
        let cause = match (image.faults.first(), wanted) {
            (Some(fault), _) => fault.to_string(),
            (None, Some(wanted)) => format!("the image has no platform {wanted}"),
            (None, None) => "the image has no platform".to_owned(),
        };
        if image.faults.is_empty() {
            evidence.faults.push(Fault::unreadable("image", cause.clone()));
        }
        evidence.platforms = Fact::Unknown(cause);
        return Ok(evidence);
    }
    let reading = Reading { store: &store, limits, progress };
    let platforms = reading.platforms(&image, &mut evidence.faults);
    evidence.platforms = Fact::Known(platforms);
    Ok(evidence)
}

/// What was read of a layer, for every place that lists it.
type LayerRead = Result<(Arc<LayerInventory>, Verified), Fault>;

struct Reading<'a> {
    store: &'a Store,
    limits: &'a Limits,
    progress: &'a dyn Progress,
}

impl Reading<'_> {
    fn platforms(&self, image: &Image, faults: &mut Vec<Fault>) -> Vec<PlatformEvidence> {
        let mut layers = self.layers(&image.platforms).into_iter();
        let platforms = image.platforms.iter().map(|platform| {
            let read = layers.by_ref().take(platform.layers.len()).collect();
            self.platform(platform, read, faults)
        });
        platforms.collect()
    }

    /// Reads every layer of every platform, several at a time; the answers are in order. A layer that
    /// several platforms or one several times list is read once.
    fn layers(&self, platforms: &[PlatformImage]) -> Vec<LayerRead> {
        let listed: Vec<(usize, &LayerBlob)> =
            platforms.iter().flat_map(|platform| platform.layers.iter().enumerate()).collect();
        let mut work: Vec<(usize, &LayerBlob)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut answers = Vec::with_capacity(listed.len());
        for (index, layer) in listed {
            let place = *places.entry(identity(layer)).or_insert_with(|| {
                work.push((index, layer));
                work.len() - 1
            });
            answers.push((index, layer, place));
        }
        let read = self.read(&work);
        answers
            .into_iter()
            .map(|(index, layer, place)| match read.get(place) {
                Some(Ok(read)) => Ok(read.clone()),
                // Named by its own place in the image, not by that of the first that lists it.
                Some(Err(fault)) => Err(Fault { at: name(index, layer), ..fault.clone() }),
                None => Err(Fault::unreadable(name(index, layer), "was not read")),
            })
            .collect()
    }

    /// Reads layers on all cores; the answers are in order.
    fn read(&self, work: &[(usize, &LayerBlob)]) -> Vec<LayerRead> {
        let stored = |layer: &LayerBlob| match &layer.blob {
            BlobName::Descriptor(descriptor) => descriptor.size,
            BlobName::Member(_) => 0,
        };
        self.progress.begin(work.len(), work.iter().map(|(_, layer)| stored(layer)).sum());
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, LayerRead)>> = Mutex::new(Vec::with_capacity(work.len()));
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(work.len());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let place = next.fetch_add(1, Ordering::Relaxed);
                        let Some((index, layer)) = work.get(place) else { return };
                        let read = self.layer(*index, layer);
                        done.lock().unwrap_or_else(PoisonError::into_inner).push((place, read));
                    }
                });
            }
        });
        self.progress.finish();
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(place, _)| *place);
        done.into_iter().map(|(_, read)| read).collect()
    }

    fn layer(&self, index: usize, layer: &LayerBlob) -> LayerRead {
        let at = name(index, layer);
        let (inventory, verified) = catalog_layer(self.open(&at, layer)?, layer, &at, self.limits)?;
        Ok((Arc::new(inventory), verified))
    }

    fn open(&self, at: &str, layer: &LayerBlob) -> Result<Counted<'_>, Fault> {
        let inner = self.store.blob(&layer.blob).map_err(|error| Fault::unreadable(at, error.message))?;
        Ok(Counted { inner, progress: self.progress })
    }

    fn platform(
        &self,
        image: &PlatformImage,
        read: Vec<LayerRead>,
        faults: &mut Vec<Fault>,
    ) -> PlatformEvidence {
        let mut inventories = Vec::new();
        let mut verified = Vec::new();
        let mut first_fault = None;
        for layer in read {
            match layer {
                Ok((inventory, facts)) => {
                    inventories.push(inventory);
                    verified.push(facts);
                }
                Err(fault) => {
                    let fault = fault.on(&image.platform);
                    first_fault.get_or_insert_with(|| fault.to_string());
                    faults.push(fault);
                }
            }
        }
        let inventory = match first_fault {
            Some(cause) => Fact::Unknown(cause),
            None => self.inventory(image, inventories, &verified).unwrap_or_else(|fault| {
                let fault = fault.on(&image.platform);
                let cause = fault.to_string();
                faults.push(fault);
                Fact::Unknown(cause)
            }),
        };
        let layers =
            verified.into_iter().map(|facts| LayerEvidence { digest: facts.digest, size: facts.size });
        PlatformEvidence {
            platform: image.platform.clone(),
            digest: image.digest.clone(),
            config: Fact::Known(image.config.clone()),
            layers: layers.collect(),
            inventory,
            findings: Fact::Absent,
        }
    }

    fn inventory(
        &self,
        image: &PlatformImage,
        mut layers: Vec<Arc<LayerInventory>>,
        verified: &[Verified],
    ) -> Result<Fact<Inventory>, Fault> {
        let (entries, limit) =
            (layers.iter().map(|layer| layer.entries.len()).sum(), self.limits.image_entries);
        if limit < entries {
            let message =
                format!("{entries} entries in all layers, more than {limit} (limit `image entries`)");
            return Err(Fault::unreadable("image", message));
        }
        let missing = Merged::new(&layers).missing();
        for (index, aliases) in &missing {
            let (Some(layer), Some(inventory)) = (image.layers.get(*index), layers.get_mut(*index)) else {
                continue;
            };
            let at = name(*index, layer);
            let reader = self.open(&at, layer)?;
            catalog_aliases(reader, layer, &at, self.limits, aliases, Arc::make_mut(inventory))?;
        }
        let steps = image.config.layer_steps();
        let references: Vec<LayerRef> = verified
            .iter()
            .zip(&image.layers)
            .enumerate()
            .map(|(index, (facts, layer))| LayerRef {
                index,
                digest: facts.digest.clone(),
                diff_id: layer.diff_id.clone(),
                created_by: steps.get(index).cloned().flatten(),
            })
            .collect();
        Ok(Fact::Known(Merged::new(&layers).flatten(&references)))
    }
}

/// What makes two listed layers the same: stored bytes, how they are packed, and what they must unpack to.
fn identity(layer: &LayerBlob) -> String {
    let LayerBlob { blob, compression, diff_id } = layer;
    match blob {
        BlobName::Descriptor(descriptor) => {
            format!("{} {} {compression:?} {diff_id}", descriptor.digest, descriptor.size)
        }
        BlobName::Member(member) => format!("member {compression:?} {diff_id} {member}"),
    }
}

/// How faults name a layer.
fn name(index: usize, layer: &LayerBlob) -> String {
    match &layer.blob {
        BlobName::Descriptor(descriptor) => format!("layer {index} ({})", descriptor.digest),
        BlobName::Member(member) => {
            format!("layer {index} ({})", crate::model::path::escape(member.as_bytes()))
        }
    }
}

/// A blob whose bytes are reported to the progress as they are read.
struct Counted<'a> {
    inner: Box<dyn Read + Send>,
    progress: &'a dyn Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.progress.advance(read as u64);
        Ok(read)
    }
}
