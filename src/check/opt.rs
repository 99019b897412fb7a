//! OPT: size and hygiene, by what the layers store and what of it the final file system shows.

mod table;
mod tally;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::image::compression::Compression;
use crate::inventory::{Merged, Stored};
use crate::model::base::Base;
use crate::model::path::ImagePath;
use crate::model::violation::{CheckSeverity, Place, PlatformChecked, Violation};

use super::documents::Node;
use super::{Check, Family, Found, PlatformLayers, Subject, base};
use table::CHECKS;

/// The family.
pub(super) struct Size;

/// Bytes below which nothing is said of waste: 10 MiB.
const WASTE: u64 = 10 << 20;

/// Bytes from which on a file, or files of a kind, are worth a line: 1 MiB.
const WORTH: u64 = 1 << 20;

/// Hidden files that are named.
const TOP: usize = 10;

/// Layers beyond which some could merge: 40.
const LAYERS: usize = 40;

impl Family for Size {
    fn checks(&self) -> &'static [Check] {
        CHECKS
    }

    fn look(&self, subject: &Subject<'_>, found: &mut Found) {
        for image in subject.images {
            let inventories: Vec<_> = image.layers.iter().map(|layer| Arc::clone(&layer.inventory)).collect();
            let merged = Merged::new(&inventories);
            let stored = merged.stored();
            let mut at = At { image, stored: &stored, found };
            at.budget(subject.expected.size);
            let wasted = at.waste();
            at.kinds();
            at.again();
            at.copies();
            let base = at.base(subject, &merged);
            at.layers();
            at.times();
            found.platforms.push(PlatformChecked { platform: image.platform.clone(), base, wasted });
        }
        for unknown in &subject.expected.unknown_bases {
            found.unseen(unknown.at.clone(), unknown.cause.clone());
        }
        skew(subject, found);
    }
}

/// An image, being looked at.
struct At<'a, 'f> {
    image: &'a PlatformLayers,
    stored: &'a [Stored<'a>],
    found: &'f mut Found,
}

impl At<'_, '_> {
    fn add(&mut self, check: &'static Check, severity: CheckSeverity, place: Place, message: String) {
        self.found.push(Violation {
            check: check.id,
            severity,
            message,
            place,
            evidence: None,
            platform: Some(self.image.platform.clone()),
        });
    }

    /// A layer, or a file in it; the image where there is no such layer.
    fn place(&self, index: usize, path: Option<&ImagePath>) -> Place {
        self.image.layers.get(index).map_or(Place::Image, |layer| Place::Layer {
            index,
            digest: layer.verified.digest.clone(),
            path: path.cloned(),
            created_by: layer.created_by.clone(),
        })
    }

    fn step(&self, index: usize) -> String {
        let step = self.image.layers.get(index).and_then(|layer| layer.created_by.as_deref());
        let step = step.map(|step| format!(" ({})", step.chars().take(80).collect::<String>()));
        format!("layer {index}{}", step.unwrap_or_default())
    }

    fn budget(&mut self, budget: Option<u64>) {
        let size = compressed(self.image);
        if let Some(budget) = budget.filter(|budget| size > *budget) {
            let message =
                format!("{size} bytes of all layers as stored, more than the {budget} that are allowed");
            self.add(&table::BUDGET, CheckSeverity::Medium, Place::Image, message);
        }
    }

    /// The bytes that are hidden in the end.
    fn waste(&mut self) -> u64 {
        let total: u64 = self.stored.iter().map(|file| file.size).sum();
        let mut hidden: Vec<(&Stored<'_>, usize)> =
            self.stored.iter().filter_map(|file| Some((file, file.hidden_by?))).collect();
        let bytes: u64 = hidden.iter().map(|(file, _)| file.size).sum();
        if bytes < WASTE.max(total / 10) {
            return bytes;
        }
        let mut by_layer: BTreeMap<(usize, usize), u64> = BTreeMap::new();
        for (file, by) in &hidden {
            *by_layer.entry((file.layer, *by)).or_default() += file.size;
        }
        let mut by_layer: Vec<_> = by_layer.into_iter().collect();
        by_layer.sort_by_key(|(layers, bytes)| (std::cmp::Reverse(*bytes), *layers));
        let parts: Vec<String> = by_layer
            .iter()
            .take(3)
            .map(|((layer, by), bytes)| {
                format!("{} of {} hidden by {}", mib(*bytes), self.step(*layer), self.step(*by))
            })
            .collect();
        let message =
            format!("{} of {} cannot be seen in the end: {}", mib(bytes), mib(total), parts.join("; "));
        self.add(&table::WASTE, CheckSeverity::Medium, Place::Image, message);
        hidden.sort_by_key(|(file, by)| (std::cmp::Reverse(file.size), file.layer, file.path, *by));
        for (file, by) in hidden.into_iter().take(TOP).filter(|(file, _)| file.size >= WORTH) {
            let message = format!("{} that {} hides", mib(file.size), self.step(by));
            let place = self.place(file.layer, Some(file.path));
            self.add(&table::SHADOWED, CheckSeverity::Info, place, message);
        }
        bytes
    }

    /// What is visible of caches, tools, and documentation.
    fn kinds(&mut self) {
        let visible = self.stored.iter().filter(|file| file.hidden_by.is_none());
        for (kind, tally) in tally::tally(visible) {
            let (check, severity) = match kind {
                tally::Kind::Cache(_) if tally.bytes >= WORTH => (&table::CACHE, CheckSeverity::Low),
                tally::Kind::Tool => (&table::TOOLCHAIN, CheckSeverity::Medium),
                tally::Kind::Headers if tally.files >= tally::HEADERS => {
                    (&table::TOOLCHAIN, CheckSeverity::Medium)
                }
                tally::Kind::Extra(_) if tally.bytes >= WORTH => (&table::EXTRA, CheckSeverity::Info),
                tally::Kind::Cache(_) | tally::Kind::Headers | tally::Kind::Extra(_) => continue,
            };
            let message = format!(
                "{}: {} files, {}, such as `{}`",
                kind.word(),
                tally.files,
                mib(tally.bytes),
                tally.first
            );
            let place = self.place(tally.layer, Some(tally.first));
            self.add(check, severity, place, message);
        }
    }

    /// Layers that store again what a lower one has under the same path, of the same size.
    fn again(&mut self) {
        let mut held: Vec<BTreeMap<&ImagePath, u64>> = vec![BTreeMap::new(); self.image.layers.len()];
        for file in self.stored {
            if let Some(layer) = held.get_mut(file.layer) {
                layer.insert(file.path, file.size);
            }
        }
        let mut again: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
        for file in self.stored {
            let Some(by) = file.hidden_by.filter(|by| *by > file.layer) else { continue };
            if held.get(by).and_then(|layer| layer.get(file.path)) == Some(&file.size) {
                let (files, bytes) = again.entry(by).or_default();
                (*files, *bytes) = (*files + 1, *bytes + file.size);
            }
        }
        for (index, (files, bytes)) in again {
            let all: u64 = held.get(index).into_iter().flat_map(BTreeMap::values).sum();
            // Nine tenths: what else a step writes is small.
            if bytes >= WORTH && bytes >= all / 10 * 9 {
                let message = format!(
                    "stores {files} files of lower layers again ({}), of the same path and size, as a recursive \
                     chown or chmod does; the contents were not compared",
                    mib(bytes)
                );
                let place = self.place(index, None);
                self.add(&table::AGAIN, CheckSeverity::Low, place, message);
            }
        }
    }

    /// Large files that can be seen and have one content, by length and checksum.
    fn copies(&mut self) {
        let visible: HashSet<(usize, &ImagePath)> = self
            .stored
            .iter()
            .filter(|file| file.hidden_by.is_none())
            .map(|file| (file.layer, file.path))
            .collect();
        let image = self.image;
        // Of entries with one name the last counts.
        let mut sums: BTreeMap<(usize, &ImagePath), (u64, u32)> = BTreeMap::new();
        for (index, layer) in image.layers.iter().enumerate() {
            let of_layer = layer.inventory.observed.sums.iter();
            sums.extend(of_layer.map(|(path, size, sum)| ((index, path), (*size, *sum))));
        }
        let mut same: BTreeMap<(u64, u32), Vec<(usize, &ImagePath)>> = BTreeMap::new();
        for (place, sum) in sums.into_iter().filter(|(place, _)| visible.contains(place)) {
            same.entry(sum).or_default().push(place);
        }
        let mut same: Vec<_> = same.into_iter().filter(|(_, files)| files.len() > 1).collect();
        same.sort_by_key(|((size, _), files)| std::cmp::Reverse(size * (files.len() as u64 - 1)));
        for ((size, _), files) in same.into_iter().take(TOP) {
            let Some(((index, path), others)) = files.split_first() else { continue };
            let names: Vec<String> = others.iter().take(3).map(|(_, path)| format!("`/{path}`")).collect();
            let message = format!(
                "{} with the content of {} other files, such as {}",
                mib(size),
                others.len(),
                names.join(", ")
            );
            let place = self.place(*index, Some(path));
            self.add(&table::COPIES, CheckSeverity::Low, place, message);
        }
    }

    fn base(&mut self, subject: &Subject<'_>, merged: &Merged<'_>) -> Option<Base> {
        let distro = merged.distro();
        let digest = self.image.digest.to_string();
        let mut nodes = subject.documents.nodes().iter();
        let manifest = nodes.find(|node| node.stated.digest.as_ref() == Some(&digest)).and_then(Node::value);
        let claims = base::claims(&self.image.config, manifest);
        let base = base::base(self.image, distro.as_ref(), &subject.expected.bases, &claims);
        if let Some(newer) = base.as_ref().and_then(|base| base::newer(base, &subject.expected.bases)) {
            let digest = newer.root.as_ref().or(newer.digest.as_ref()).map(ToString::to_string);
            let now = digest.map_or_else(String::new, |digest| format!(", which is {digest} now"));
            let message = format!("it says that it was built on another image than {}{now}", newer.name);
            self.add(&table::BASE, CheckSeverity::Medium, Place::Image, message);
        }
        let Some(distro) = distro else { return base };
        let name =
            distro.pretty_name.clone().unwrap_or_else(|| format!("{} {}", distro.id, distro.version_id));
        let today = jiff::tz::TimeZone::UTC.to_datetime(subject.now).date();
        if let Some(end) = base.as_ref().and_then(|base| base.eol).filter(|end| *end < today) {
            let message = format!("{name} gets no free security updates since {end}");
            self.add(&table::BASE, CheckSeverity::High, Place::Image, message);
        }
        let is_minimal = matches!(distro.id.as_str(), "alpine" | "wolfi" | "chainguard")
            || distro.pretty_name.is_some_and(|name| name.contains("Distroless"));
        if !is_minimal {
            self.add(&table::MINIMAL, CheckSeverity::Info, Place::Image, format!("the base is {name}"));
        }
        base
    }

    fn layers(&mut self) {
        let count = self.image.layers.len();
        if count > LAYERS {
            let message = format!("{count} layers, more than {LAYERS}");
            self.add(&table::LAYERS, CheckSeverity::Low, Place::Image, message);
        }
        for (index, layer) in self.image.layers.iter().enumerate() {
            let compression = layer.media_type.as_deref().and_then(Compression::of_media_type);
            if compression == Some(Compression::None) && layer.verified.size >= WORTH {
                let message = format!("{} stored uncompressed", mib(layer.verified.size));
                let place = self.place(index, None);
                self.add(&table::PACKING, CheckSeverity::Info, place, message);
            }
        }
    }

    /// A build that sets every time to one that does not change has no file younger than its step, and none
    /// between: they are as old as their sources, or exactly as old as the step says.
    fn times(&mut self) {
        let image = self.image;
        let steps = image.config.layer_steps();
        let built = image.layers.iter().zip(&steps).enumerate().filter_map(|(index, (layer, step))| {
            let made: jiff::Timestamp = step.created.as_deref()?.parse().ok()?;
            let (newest, path) = layer.inventory.observed.newest.as_ref()?;
            let age = made.as_second().checked_sub(*newest)?;
            (age != 0 && (-BUILD..BUILD).contains(&age)).then_some((index, path))
        });
        let built: Vec<(usize, &ImagePath)> = built.collect();
        if let Some((index, path)) = built.first() {
            let message = format!(
                "{} of {} layers hold files that were changed while they were built",
                built.len(),
                image.layers.len()
            );
            let place = self.place(*index, Some(path));
            self.add(&table::REBUILD, CheckSeverity::Info, place, message);
        }
    }
}

/// Seconds before the end of a build step within which a file's time is that of the build: a day.
const BUILD: i64 = 24 * 60 * 60;

/// Bytes of all layers as stored.
fn compressed(image: &PlatformLayers) -> u64 {
    image.layers.iter().map(|layer| layer.verified.size).sum()
}

/// Platforms of one image that differ by more than a factor of two.
fn skew(subject: &Subject<'_>, found: &mut Found) {
    let sizes = || subject.images.iter().map(|image| (compressed(image), &image.platform));
    if let (Some((least, small)), Some((most, large))) = (sizes().min(), sizes().max())
        && most > least.saturating_mul(2)
        && most >= WORTH
    {
        let message = format!("{large} has {}, {small} only {}", mib(most), mib(least));
        found.add(&table::SKEW, Place::Image, message);
    }
}

/// `12.3 MiB`.
fn mib(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests;
