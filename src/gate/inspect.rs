//! From a location to what is known of the image: its platforms, their inventories, and the faults.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::cache::LayerCache;
use crate::check::{LayerFacts, PlatformLayers};
use crate::feed::Step;
use crate::image::layer::Verified;
use crate::image::limits::Limits;
use crate::image::resolve::{BlobName, Image, LayerBlob, PlatformImage};
use crate::inventory::{Merged, Unwatched, Watch, catalog_aliases, catalog_layer_watched};
use crate::layout;
use crate::model::digest::Hasher;
use crate::model::evidence::{Evidence, ImageIdentity, LayerEvidence, PlatformEvidence};
use crate::model::fact::Fact;
use crate::model::fault::{Fault, FaultKind};
use crate::model::inventory::{Inventory, LayerRef};
use crate::model::layer::LayerInventory;
use crate::model::location::Location;
use crate::model::platform::Platform;
use crate::registry::{self, Registry};

use super::attestations::{Trusted, attest};
use super::digesting;
use super::document;
use super::source::{Blob, Lie, Source, Unopened};
use super::stopwatch::{Stopwatch, Took};

/// Is told how far the reading has come. Called from several threads.
pub trait Progress: Sync {
    /// Layers with so many stored bytes are about to be read.
    fn begin(&self, layers: usize, bytes: u64);
    /// So many more stored bytes were read.
    fn advance(&self, bytes: u64);
    /// One layer is about to be read: its number in its image, base 0, and its stored bytes, 0 where they are not
    /// known. What is answered is dropped when it was.
    fn layer(&self, _number: usize, _bytes: u64) -> Option<Box<dyn LayerProgress>> {
        None
    }
    /// All were read.
    fn finish(&self);
    /// The advisories of an ecosystem are about to be opened, which takes seconds where they must be
    /// compiled first.
    fn advisories(&self, ecosystem: &str);
    /// How far the advisories of an ecosystem are that are fetched.
    fn fetching(&self, _ecosystem: &str, _step: Step) {}
    /// Something is done that a person should know of.
    fn note(&self, _message: &str) {}
    /// Something went wrong that changes no answer.
    fn warn(&self, message: &str);
    /// Whether to measure what each cataloger does.
    fn measures(&self) -> bool {
        false
    }
    /// All layers were read: what it took, where it was measured.
    fn took(&self, _: &Took) {}
}

/// Is told how far the reading of one layer has come.
pub trait LayerProgress {
    /// So many more of its stored bytes were read.
    fn advance(&self, bytes: u64);
}

/// Why there is nothing to judge: the user must say something else.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The location names no single image.
    #[error("{0}")]
    Choice(layout::Error),
    /// The registry cannot be asked with these settings.
    #[error("{0}")]
    Settings(registry::Error),
    /// It is an SBOM document, where only an image will do.
    #[error(
        "{0} is an SBOM document: it says what is in an image, and is none (`gate`, `scan` and `sbom` take it)"
    )]
    Document(String),
    /// The SBOM document is not known to be of the platform that was asked for.
    #[error("{0}")]
    Platform(String),
}

/// An image, resolved to its platforms and not read yet. It is resolved once: a tag that moves meanwhile
/// changes nothing.
#[derive(Debug)]
pub struct Opened {
    evidence: Evidence,
    found: Option<(Source, Image)>,
}

/// Opens an image. `wanted` chooses platforms; `None` is all. Without a `registry` there is no network.
///
/// # Errors
/// [`Error`] only where the user must choose; what could not be read is told by [`Opened::inspect`].
pub fn open(
    location: &Location,
    wanted: Option<&Platform>,
    registry: Option<&Registry>,
    limits: &Limits,
) -> Result<Opened, Error> {
    if let Location::Sbom { path } = location {
        return Ok(Opened { evidence: document::open(location, path, wanted)?, found: None });
    }
    let reference = match location {
        Location::Registry(reference) => Fact::Known(reference.clone()),
        Location::OciLayout { .. }
        | Location::OciArchive { .. }
        | Location::DockerArchive { .. }
        | Location::Sbom { .. } => Fact::Absent,
    };
    let image = ImageIdentity { reference: location.to_string(), digest: None };
    let mut evidence = Evidence { reference, wanted: wanted.cloned(), ..Evidence::of(image) };
    let found = match Source::open(location, wanted, registry, limits) {
        Ok((source, image)) => {
            evidence.image.digest.clone_from(&image.digest);
            evidence.faults.clone_from(&image.faults);
            Some((source, image))
        }
        Err(Unopened::Choice(error)) => return Err(error),
        Err(Unopened::Fault(fault)) => {
            evidence.platforms = Fact::Unknown(fault.to_string());
            evidence.faults.push(fault);
            None
        }
    };
    Ok(Opened { evidence, found })
}

impl Opened {
    /// Its platforms, as far as they could be resolved.
    pub fn platforms(&self) -> impl Iterator<Item = &Platform> {
        self.found.iter().flat_map(|(_, image)| &image.platforms).map(|image| &image.platform)
    }

    /// Leaves out every other platform, with the faults that concern it alone.
    pub fn narrow(&mut self, wanted: &Platform) {
        self.evidence.wanted = Some(wanted.clone());
        self.evidence.faults.retain(|fault| fault.platform.as_ref().is_none_or(|on| wanted.matches(on)));
        if let Some((_, image)) = &mut self.found {
            image.platforms.retain(|image| wanted.matches(&image.platform));
        }
    }

    /// Looks at what is signed of it, and reads no layer.
    #[must_use]
    pub fn attested(self, limits: &Limits, trusted: Trusted<'_>) -> Evidence {
        let Self { mut evidence, found } = self;
        let Some((source, image)) = found else { return evidence };
        let platforms = image.platforms.iter().map(|platform| PlatformEvidence {
            platform: platform.platform.clone(),
            digest: Some(platform.digest.clone()),
            config: Fact::Known(platform.config.clone()),
            layers: Fact::Absent,
            inventory: Fact::Absent,
            findings: Fact::Absent,
        });
        evidence.platforms = Fact::Known(platforms.collect());
        evidence.attested = attest(&source, &image, limits, trusted);
        evidence
    }

    /// Reads the layers, those apart that the cache knows. Findings and snapshot are left [`Fact::Absent`]:
    /// nobody looked for them yet. What could not be read is among the faults.
    #[must_use]
    pub fn inspect(self, limits: &Limits, cache: Option<&LayerCache>, progress: &dyn Progress) -> Inspected {
        let Self { mut evidence, found } = self;
        let Some((source, image)) = found else { return Inspected { evidence, found: None } };
        if image.platforms.is_empty() {
            let cause = match (evidence.faults.first(), &evidence.wanted) {
                (Some(fault), _) => fault.to_string(),
                (None, Some(wanted)) => format!("the image has no platform {wanted}"),
                (None, None) => "the image has no platform".to_owned(),
            };
            if evidence.faults.is_empty() {
                evidence.faults.push(Fault::unreadable("image", cause.clone()));
            }
            evidence.platforms = Fact::Unknown(cause);
            return Inspected { evidence, found: Some(Found { source, image, layers: Vec::new() }) };
        }
        let watch = progress.measures().then(Stopwatch::start);
        let reading = Reading { source: &source, limits, cache, watch: watch.as_ref(), progress };
        let (platforms, layers) = reading.platforms(&image, &mut evidence.faults);
        if let Some(watch) = watch {
            progress.took(&watch.stop());
        }
        evidence.platforms = Fact::Known(platforms);
        if let Some(cache) = cache {
            cache.tidy();
        }
        Inspected { evidence, found: Some(Found { source, image, layers }) }
    }
}

/// An image, read whole.
#[derive(Debug)]
pub struct Inspected {
    /// What is known of it.
    pub evidence: Evidence,
    pub(super) found: Option<Found>,
}

/// What the checks look at.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) source: Source,
    pub(super) image: Image,
    /// The platforms of which every layer was read.
    pub(super) layers: Vec<PlatformLayers>,
}

/// What was read of a layer, for every place that lists it.
type LayerRead = Result<(Arc<LayerInventory>, Verified), Fault>;

struct Reading<'a> {
    source: &'a Source,
    limits: &'a Limits,
    cache: Option<&'a LayerCache>,
    watch: Option<&'a Stopwatch>,
    progress: &'a dyn Progress,
}

impl Reading<'_> {
    fn platforms(
        &self,
        image: &Image,
        faults: &mut Vec<Fault>,
    ) -> (Vec<PlatformEvidence>, Vec<PlatformLayers>) {
        let mut layers = self.layers(&image.platforms).into_iter();
        let mut whole = Vec::new();
        let platforms = image.platforms.iter().map(|platform| {
            let read = layers.by_ref().take(platform.layers.len()).collect();
            let (evidence, layers) = self.platform(platform, read, faults);
            whole.extend(layers);
            evidence
        });
        (platforms.collect(), whole)
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
            let place = *places.entry(layer.identity()).or_insert_with(|| {
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
        self.progress.begin(work.len(), work.iter().map(|(_, layer)| stored(layer)).sum());
        // The largest first: read last, it would keep one core waiting for the other.
        let mut order: Vec<(usize, &(usize, &LayerBlob))> = work.iter().enumerate().collect();
        order.sort_by_key(|(_, (_, layer))| Reverse(stored(layer)));
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, LayerRead)>> = Mutex::new(Vec::with_capacity(work.len()));
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(work.len());
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let Some((place, (index, layer))) = order.get(next.fetch_add(1, Ordering::Relaxed))
                        else {
                            return;
                        };
                        let read = self.layer(*index, layer);
                        done.lock().unwrap_or_else(PoisonError::into_inner).push((*place, read));
                    }
                });
            }
        });
        self.progress.finish();
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(place, _)| *place);
        done.into_iter().map(|(_, read)| read).collect()
    }

    /// Takes a layer from the cache, or reads it. One that lies is read once more where that may help: a verdict that denies for a lie
    /// must not rest on a proxy that spoiled a byte.
    fn layer(&self, index: usize, layer: &LayerBlob) -> LayerRead {
        if let Some((inventory, verified)) = self.known(index, layer) {
            self.progress.advance(verified.size);
            self.count(true);
            return Ok((Arc::new(inventory), verified));
        }
        let read = match self.layer_once(index, layer) {
            Err(fault) if fault.kind == FaultKind::Lie && self.source.may_mend() => {
                self.layer_once(index, layer)
            }
            read => read,
        }?;
        self.count(false);
        self.keep(layer, &read.0, &read.1);
        Ok(read)
    }

    /// What the cache knows of a layer. Attack: a blob on this disk that was changed since it was read: its bytes
    /// are hashed again, which costs little. A registry's are not asked for: who pulls them verifies them.
    fn known(&self, index: usize, layer: &LayerBlob) -> Option<(LayerInventory, Verified)> {
        let known = self.cache?.get(layer, self.limits)?;
        let is_sound = self.source.may_mend() || self.is_sound(index, layer);
        is_sound.then_some(known)
    }

    /// Whether a blob has the size and the digest that it is listed with.
    fn is_sound(&self, index: usize, layer: &LayerBlob) -> bool {
        let BlobName::Descriptor(descriptor) = &layer.blob else { return false };
        let Ok(blob) = self.source.blob(&layer.blob, &name(index, layer)) else { return false };
        let mut hasher = Hasher::new(descriptor.digest.algorithm());
        let mut reader = BufReader::with_capacity(256 << 10, blob.take(descriptor.size.saturating_add(1)));
        let mut size = 0;
        loop {
            let Ok(bytes) = reader.fill_buf() else { return false };
            if bytes.is_empty() {
                return size == descriptor.size && hasher.finish() == descriptor.digest;
            }
            hasher.update(bytes);
            size += bytes.len() as u64;
            let count = bytes.len();
            reader.consume(count);
        }
    }

    fn count(&self, cached: bool) {
        if let Some(watch) = self.watch {
            watch.layer(cached);
        }
    }

    /// Keeps what was read for the next time. That it cannot be kept changes no answer.
    fn keep(&self, layer: &LayerBlob, inventory: &LayerInventory, verified: &Verified) {
        let kept = self.cache.map(|cache| cache.put(layer, self.limits, inventory, verified));
        if let Some(Err(error)) = kept {
            self.progress.warn(&error.to_string());
        }
    }

    fn layer_once(&self, index: usize, layer: &LayerBlob) -> LayerRead {
        let at = name(index, layer);
        // Of the reader that was opened last: the others were read to their end.
        let lie = RefCell::new(Lie::default());
        let open = || {
            let reader = self.open(index, &at, layer)?;
            *lie.borrow_mut() = reader.lie();
            Ok(reader)
        };
        let watch: &dyn Watch = match self.watch {
            Some(watch) => watch,
            None => &Unwatched,
        };
        let read = catalog_layer_watched(open, layer, &at, self.limits, digesting::apart, watch);
        let (inventory, verified) = read.map_err(|fault| lie.borrow().explain(fault))?;
        Ok((Arc::new(inventory), verified))
    }

    fn open(&self, index: usize, at: &str, layer: &LayerBlob) -> Result<Counted<'_>, Fault> {
        let inner = self.source.blob(&layer.blob, at)?;
        Ok(Counted { inner, progress: self.progress, layer: self.progress.layer(index, stored(layer)) })
    }

    fn platform(
        &self,
        image: &PlatformImage,
        read: Vec<LayerRead>,
        faults: &mut Vec<Fault>,
    ) -> (PlatformEvidence, Option<PlatformLayers>) {
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
        let layers =
            verified.iter().map(|facts| LayerEvidence { digest: facts.digest.clone(), size: facts.size });
        let layers = layers.collect();
        let (inventory, whole) = match first_fault {
            Some(cause) => (Fact::Unknown(cause), None),
            None => match self.inventory(image, inventories, verified) {
                Ok((inventory, layers)) => (Fact::Known(inventory), Some(layers)),
                Err(fault) => {
                    let fault = fault.on(&image.platform);
                    let cause = fault.to_string();
                    faults.push(fault);
                    (Fact::Unknown(cause), None)
                }
            },
        };
        let evidence = PlatformEvidence {
            platform: image.platform.clone(),
            digest: Some(image.digest.clone()),
            config: Fact::Known(image.config.clone()),
            layers: Fact::Known(layers),
            inventory,
            findings: Fact::Absent,
        };
        (evidence, whole)
    }

    fn inventory(
        &self,
        image: &PlatformImage,
        mut layers: Vec<Arc<LayerInventory>>,
        verified: Vec<Verified>,
    ) -> Result<(Inventory, PlatformLayers), Fault> {
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
            let reader = self.open(*index, &at, layer)?;
            let lie = reader.lie();
            catalog_aliases(reader, layer, &at, self.limits, aliases, Arc::make_mut(inventory))
                .map_err(|fault| lie.explain(fault))?;
            if let Some(verified) = verified.get(*index) {
                self.keep(layer, inventory, verified);
            }
        }
        let steps = image.config.layer_steps();
        let references: Vec<LayerRef> = verified
            .iter()
            .zip(&image.layers)
            .enumerate()
            .map(|(index, (facts, layer))| LayerRef {
                index: Some(index),
                digest: Some(facts.digest.clone()),
                diff_id: Some(layer.diff_id.clone()),
                created_by: steps.get(index).and_then(|step| step.created_by.clone()),
            })
            .collect();
        let inventory = Merged::new(&layers).flatten(&references);
        let layers = layers.into_iter().zip(verified).zip(&image.layers).zip(references).map(
            |(((inventory, verified), layer), reference)| LayerFacts {
                media_type: match &layer.blob {
                    BlobName::Descriptor(descriptor) => Some(descriptor.media_type.clone()),
                    BlobName::Member(_) => None,
                },
                verified,
                diff_id: layer.diff_id.clone(),
                created_by: reference.created_by,
                inventory,
            },
        );
        let layers = PlatformLayers {
            platform: image.platform.clone(),
            digest: image.digest.clone(),
            config: image.config.clone(),
            layers: layers.collect(),
        };
        Ok((inventory, layers))
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

/// Stored bytes of a layer; 0 where they are not known.
fn stored(layer: &LayerBlob) -> u64 {
    match &layer.blob {
        BlobName::Descriptor(descriptor) => descriptor.size,
        BlobName::Member(_) => 0,
    }
}

/// A blob whose bytes are reported to the progress as they are read.
struct Counted<'a> {
    inner: Blob,
    progress: &'a dyn Progress,
    layer: Option<Box<dyn LayerProgress>>,
}

impl Counted<'_> {
    fn lie(&self) -> Lie {
        self.inner.lie.clone()
    }
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.progress.advance(read as u64);
        if let Some(layer) = &self.layer {
            layer.advance(read as u64);
        }
        Ok(read)
    }
}
