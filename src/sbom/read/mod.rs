//! SBOM documents read back: CycloneDX 1.3 to 1.6 and SPDX 2.2 and 2.3, both in JSON, from portcullis, Syft,
//! Trivy and others.
//!
//! A document is a claim: nothing in it can be verified, nor that it is by the tool that it names. What it does not say is not known: of a document of
//! another tool the whole has a gap, since nobody can tell what that tool did not look at; a package without
//! the facts that advisories are asked by has a doubt, and matching leaves it undetermined.
//!
//! What is lost even of our own documents: the base, the build step of each layer, and in SPDX the borders between several
//! licences of one package.

mod cyclonedx;
mod part;
mod purl;
mod spdx;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::model::digest::Digest;
use crate::model::fault::Gap;
use crate::model::inventory::{Inventory, MAX_REMOVED, Package, Removed};
use crate::model::layer::Distro;
use crate::model::path::{ImagePath, escape, unescape};
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::strict::{Bounds, check};

use self::part::{Part, Tool, plain};

/// Bytes of a document: 64 MiB. Syft's of an image with 3,000 packages has 4 MiB.
pub const MAX_BYTES: u64 = 64 << 20;

/// Components of a document, nested ones too: 250,000. The largest images have 10,000 packages.
pub(super) const MAX_COMPONENTS: usize = 250_000;

/// JSON values of a document: 3 million. In documents of Syft one takes 28 bytes and more, so that a document of
/// the largest size has as many.
pub(super) const MAX_VALUES: usize = 3_000_000;

/// What a document may hold, and the keys that decide what it lists and what its packages are.
const BOUNDS: Bounds = Bounds {
    document: "an SBOM",
    values: MAX_VALUES,
    items: MAX_COMPONENTS,
    item: "components",
    counted: &["components", "packages"],
    keys: &[
        "bomFormat",
        "specVersion",
        "metadata",
        "components",
        "dependencies",
        "bom-ref",
        "purl",
        "spdxVersion",
        "packages",
        "relationships",
        "externalRefs",
        "referenceType",
        "referenceLocator",
    ],
    folded: true,
};

/// Things that are named as unreadable: 1,000. The rest is one more.
const MAX_GAPS: usize = 1_000;

/// Id of the cataloger that gaps of a document name.
pub const CATALOGER: &str = "sbom";

/// What a document says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its format and version, such as `CycloneDX 1.6`.
    pub format: String,
    /// The reference of the image, where a document of ours names one.
    pub reference: Option<Reference>,
    /// Digest of the image: of what the reference led to, else of the platform's manifest.
    pub digest: Option<Digest>,
    /// Digest of the platform's manifest.
    pub manifest: Option<Digest>,
    /// The platform, where a document of ours names it.
    pub platform: Option<Platform>,
    /// The packages, with what the document does not say.
    pub inventory: Inventory,
    /// What others call the document, `SERIAL/VERSION` without `urn:uuid:` (CycloneDX BOM-Link), where it has a serial
    /// number.
    pub bom: Option<String>,
}

/// Why a document could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is larger than [`MAX_BYTES`].
    #[error("larger than {MAX_BYTES} bytes (limit `bytes of an SBOM`)")]
    TooLarge,
    /// It is not one JSON document, not one that all parsers read alike, or a limit was reached.
    #[error("not a JSON document that can be read: {0}")]
    Json(String),
    /// It is of another format or version.
    #[error("{0}")]
    Format(String),
}

/// Reads a document. `name` is the path that its gaps have.
///
/// # Errors
/// [`ReadError`] where it is none of the formats, or not sound as a whole. What is wrong with a component is a
/// gap.
pub fn read(bytes: &[u8], name: &ImagePath) -> Result<Document, ReadError> {
    if u64::try_from(bytes.len()).map_or(true, |length| length > MAX_BYTES) {
        return Err(ReadError::TooLarge);
    }
    refuse_other_formats(bytes)?;
    check(bytes, &BOUNDS).map_err(ReadError::Json)?;
    let head: Head = parse(bytes)?;
    let bom = head.bom();
    let raw = match head {
        Head { bom_format: Some(format), spec_version: Some(version), .. } if format == "CycloneDX" => {
            let newer = minor("CycloneDX", &version, 1, 3..=6)?;
            Raw { newer, ..cyclonedx::read(bytes, &version)? }
        }
        Head { spdx_version: Some(version), .. } => {
            let number = version.strip_prefix("SPDX-").unwrap_or(&version).to_owned();
            let newer = minor("SPDX", &number, 2, 2..=3)?;
            Raw { newer, ..spdx::read(bytes, &number)? }
        }
        Head { context: Some(context), .. } if context.get().contains("spdx.org/rdf/3") => {
            return Err(ReadError::Format("SPDX 3 is not read: write SPDX 2.3 or CycloneDX 1.6".to_owned()));
        }
        Head { .. } => {
            let message = "neither CycloneDX (`bomFormat`, `specVersion`) nor SPDX (`spdxVersion`)";
            return Err(ReadError::Format(message.to_owned()));
        }
    };
    // Attack: a document without packages, for an image that has some.
    if raw.image.as_ref().is_some_and(|image| image.fact("portcullis:platforms").is_some()) {
        let message = "it is about an index, and its packages stand in the documents of its platforms";
        return Err(ReadError::Format(message.to_owned()));
    }
    Ok(Document { bom, ..Reading { name, raw, gaps: Vec::new(), distro: None }.document() })
}

/// What tells the formats apart.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "bomFormat")]
    bom_format: Option<String>,
    #[serde(rename = "specVersion")]
    spec_version: Option<String>,
    #[serde(rename = "spdxVersion")]
    spdx_version: Option<String>,
    #[serde(rename = "@context")]
    context: Option<Box<RawValue>>,
    #[serde(rename = "serialNumber")]
    serial: Option<Box<RawValue>>,
    version: Option<Box<RawValue>>,
}

impl Head {
    fn bom(&self) -> Option<String> {
        let serial: String = serde_json::from_str(self.serial.as_ref()?.get()).ok()?;
        let version =
            self.version.as_ref().map_or(Some(1), |version| serde_json::from_str(version.get()).ok());
        let serial = serial.to_ascii_lowercase();
        Some(format!("{}/{}", serial.strip_prefix("urn:uuid:")?, version.unwrap_or(1_u64)))
    }
}

fn parse<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, ReadError> {
    serde_json::from_slice(bytes).map_err(|error| ReadError::Json(error.to_string()))
}

/// A field that some tools write as null where they mean nothing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// The same documents in another syntax, which people confuse.
fn refuse_other_formats(bytes: &[u8]) -> Result<(), ReadError> {
    let head = bytes.trim_ascii_start();
    let other = |what: &str| Err(ReadError::Format(format!("{what} is not read: write it as JSON")));
    if head.starts_with(b"<") {
        return other("an SBOM in XML");
    }
    if head.starts_with(b"SPDXVersion:") {
        return other("SPDX in tag-value form");
    }
    Ok(())
}

/// Whether a version is newer than those that are known. Minor versions add fields, and so a newer one can be
/// read; what the new fields say is not known.
///
/// # Errors
/// [`ReadError::Format`] for another major version, and for older ones.
fn minor(
    format: &str,
    version: &str,
    major: u32,
    known: std::ops::RangeInclusive<u32>,
) -> Result<Option<String>, ReadError> {
    let parts = version.split_once('.');
    let number = |text: &str| text.parse::<u32>().ok();
    let of_major = parts.filter(|(stated, _)| number(stated) == Some(major));
    match of_major.and_then(|(_, minor)| number(minor)) {
        Some(minor) if known.contains(&minor) => Ok(None),
        Some(minor) if minor > *known.end() => Ok(Some(format!(
            "{format} {major}.{minor} is newer than {major}.{}: what is new in it was not read",
            known.end()
        ))),
        Some(_) | None => Err(ReadError::Format(format!(
            "{format} {} is not read: only {major}.{} to {major}.{}",
            escape(version.chars().take(20).collect::<String>().as_bytes()),
            known.start(),
            known.end()
        ))),
    }
}

/// A document in the words of neither format.
#[derive(Debug, Default)]
struct Raw {
    format: String,
    tools: Vec<String>,
    newer: Option<String>,
    image: Option<Part>,
    systems: Vec<Part>,
    parts: Vec<Part>,
    relations: Vec<Relation>,
    /// Every name that a relation may lead to without it being a component, such as the image's.
    others: BTreeSet<String>,
}

/// What a component needs.
#[derive(Debug)]
struct Relation {
    of: String,
    /// Nothing, where it is stated that nothing is needed.
    needs: Vec<String>,
}

struct Reading<'a> {
    name: &'a ImagePath,
    raw: Raw,
    gaps: Vec<Gap>,
    distro: Option<Distro>,
}

impl Reading<'_> {
    fn document(mut self) -> Document {
        let tool = self.tool();
        if let Some(newer) = self.raw.newer.take() {
            self.blame(newer);
        }
        self.distro(tool);
        let diff_ids = self.diff_ids();
        let parts = std::mem::take(&mut self.raw.parts);
        let mut found: Vec<(Option<String>, Package)> = Vec::with_capacity(parts.len());
        let stated = parts.len();
        for part in parts {
            match part::package(&part, tool, &diff_ids) {
                Ok(package) => found.push((part.reference, package)),
                Err(cause) => self.blame(format!("{}: {cause}", part.label())),
            }
        }
        found.sort_by(|(_, a), (_, b)| {
            (a.kind, &a.name, &a.version, &a.locations).cmp(&(b.kind, &b.name, &b.version, &b.locations))
        });
        let (references, mut packages): (Vec<_>, Vec<Package>) = found.into_iter().unzip();
        self.relate(tool, &references, &mut packages);
        self.settle_distro(tool, &mut packages);
        let (reference, digest, manifest, platform) = self.subject(tool);
        let removed = if tool == Tool::Portcullis { self.removed() } else { Vec::new() };
        let warnings = self.own_gaps(tool, stated);
        self.gaps.sort();
        let distro = self.distro.take();
        let inventory = Inventory { distro, packages, removed, gaps: self.gaps, warnings };
        Document { format: self.raw.format, reference, digest, manifest, platform, inventory, bom: None }
    }

    /// A thing that the document does not say. What is beyond the limit is one gap.
    fn blame(&mut self, cause: String) {
        let cause = match self.gaps.len() {
            count if count < MAX_GAPS => cause,
            MAX_GAPS => format!("more than {MAX_GAPS} components that could not be read"),
            _ => return,
        };
        self.gaps.push(self.gap(cause));
    }

    fn gap(&self, cause: String) -> Gap {
        Gap { path: self.name.clone(), layer: 0, cataloger: CATALOGER.to_owned(), cause, platform: None }
    }

    /// Which tool made it. Ours says how many gaps there are; without that it is nobody's.
    fn tool(&self) -> Tool {
        let named = |name: &str| {
            self.raw.tools.iter().any(|tool| {
                let tool = tool.to_lowercase();
                tool == name || tool.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'))
            })
        };
        let counted = self.raw.image.as_ref().is_some_and(|image| image.fact("portcullis:gaps").is_some());
        // Attack: a document that says it is by several, to be believed what each leaves unsaid.
        match (named("portcullis"), named("syft"), named("trivy")) {
            (true, false, false) if counted && self.raw.tools.len() == 1 => Tool::Portcullis,
            (false, true, false) => Tool::Syft,
            (false, false, true) => Tool::Trivy,
            _ => Tool::Other,
        }
    }

    /// The distribution by the component that states it.
    fn distro(&mut self, tool: Tool) {
        let systems = std::mem::take(&mut self.raw.systems);
        let ours = tool == Tool::Portcullis;
        let mut stated = systems.iter().map(|part| {
            let (id, version) =
                (plain(&part.name, ours), plain(part.version.as_deref().unwrap_or_default(), ours));
            if !ours {
                return purl::release(&id, &version);
            }
            let fact = |name: &str| part.fact(name).map(|text| plain(text, true));
            Distro {
                id,
                version_id: version,
                pretty_name: fact("portcullis:distro:prettyName"),
                codename: fact("portcullis:distro:codename"),
            }
        });
        let first = stated.next();
        if stated.any(|other| Some(&other) != first.as_ref()) {
            self.blame("it states several operating systems".to_owned());
            return;
        }
        self.distro = first;
    }

    /// The distribution by the purls, where no component states it; and a doubt about each package whose purl
    /// says otherwise.
    fn settle_distro(&mut self, tool: Tool, packages: &mut [Package]) {
        if self.distro.is_none() && tool != Tool::Portcullis {
            let stated: BTreeSet<(String, String)> = packages
                .iter()
                .filter_map(purl::distro)
                .map(|distro| (distro.id, distro.version_id))
                .collect();
            match stated.into_iter().collect::<Vec<_>>().as_slice() {
                [] => {}
                [(id, version)] => self.distro = Some(purl::release(id, version)),
                [_, _, ..] => self.blame("its packages are of several distributions".to_owned()),
            }
        }
        let Some(distro) = &self.distro else { return };
        for package in packages {
            let other = purl::distro(package).is_some_and(|stated| !purl::may_be_one(distro, &stated));
            // Attack: a package of Ubuntu that is compared with Debian's advisories, which know nothing of it.
            if other || !purl::may_be_of(package, distro) {
                package.doubt.get_or_insert_with(|| {
                    "its purl names another distribution than the document".to_owned()
                });
            }
        }
    }

    /// Trivy lists the diff IDs of all layers, base first.
    fn diff_ids(&self) -> BTreeMap<Digest, usize> {
        let facts = self.raw.image.iter().flat_map(|image| &image.facts);
        let ids = facts.filter(|(key, _)| matches!(key.as_str(), "aquasecurity:trivy:DiffID" | "DiffID"));
        let mut places = BTreeMap::new();
        for (index, (_, value)) in ids.enumerate() {
            if let Ok(digest) = value.parse::<Digest>() {
                // Two layers may have the same bytes; the lower one brought them.
                places.entry(digest).or_insert(index);
            }
        }
        places
    }

    /// What needs what. Cycles are no matter: they are only indexes.
    fn relate(&mut self, tool: Tool, references: &[Option<String>], packages: &mut [Package]) {
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut twice = BTreeSet::new();
        for (index, reference) in references.iter().enumerate() {
            if let Some(reference) = reference.as_deref()
                && places.insert(reference, index).is_some()
            {
                twice.insert(reference);
            }
        }
        let mut nowhere = 0_usize;
        for relation in std::mem::take(&mut self.raw.relations) {
            let Some(package) = places.get(relation.of.as_str()).and_then(|index| packages.get_mut(*index))
            else {
                continue;
            };
            // Other tools list every component, also where they know nothing of what it needs.
            if relation.needs.is_empty() && tool != Tool::Portcullis {
                continue;
            }
            let needed = package.depends_on.get_or_insert_default();
            for need in relation.needs {
                match places.get(need.as_str()) {
                    Some(index) => drop(needed.insert(*index)),
                    None if self.raw.others.contains(&need) => {}
                    None => nowhere = nowhere.saturating_add(1),
                }
            }
        }
        for name in twice {
            self.blame(format!(
                "two components are called `{}`: which is needed cannot be told",
                label(name)
            ));
        }
        if nowhere > 0 {
            // Attack: a component taken out, whose name still stands in the relations.
            self.blame(format!("{nowhere} relations lead to components that it does not list"));
        }
    }

    /// The image that it is about, as far as it says so.
    fn subject(&self, tool: Tool) -> (Option<Reference>, Option<Digest>, Option<Digest>, Option<Platform>) {
        let Some(image) = &self.raw.image else { return (None, None, None, None) };
        let digest = |text: &str| text.parse::<Digest>().ok();
        let manifest = image.version.as_deref().and_then(digest);
        let manifest = manifest.or_else(|| {
            let purl: crate::model::purl::Purl = image.purl.as_deref()?.parse().ok()?;
            digest(purl.version.as_deref()?).filter(|_| purl.kind == "oci")
        });
        if tool != Tool::Portcullis {
            // Attack: several digests, of which the one that is asked about is taken.
            let repositories = ["aquasecurity:trivy:RepoDigest", "RepoDigest"];
            let stated: BTreeSet<Digest> = repositories
                .iter()
                .flat_map(|name| image.facts(name))
                .filter_map(|text| digest(text.rsplit_once('@')?.1))
                .chain(manifest.clone())
                .collect();
            let single = if stated.len() == 1 { stated.into_iter().next() } else { None };
            return (None, single, manifest, None);
        }
        let fact = |name: &str| image.fact(name);
        let reference = fact("portcullis:image:reference").and_then(|text| text.parse().ok());
        let platform: Option<Platform> = fact("portcullis:image:platform").and_then(|text| text.parse().ok());
        let own = fact("portcullis:image:digest").and_then(digest).or_else(|| manifest.clone());
        (reference, own, manifest, platform.filter(|platform| !platform.is_unknown()))
    }

    /// What was removed, as a document of ours states it.
    fn removed(&mut self) -> Vec<Removed> {
        let facts = self.raw.image.iter().flat_map(|image| image.facts("portcullis:removed"));
        let stated: Vec<Option<Removed>> = facts
            .take(MAX_REMOVED)
            .map(|text| serde_json::from_str::<StatedRemoved>(text).ok().and_then(StatedRemoved::removed))
            .collect();
        let whole = stated.len();
        let removed: Vec<Removed> = stated.into_iter().flatten().collect();
        if removed.len() < whole {
            self.blame("what it says was removed cannot be read".to_owned());
        }
        removed
    }

    /// Of a document of ours the gaps that it states, and its warnings; of another the one that nobody can tell
    /// what its tool did not look at.
    fn own_gaps(&mut self, tool: Tool, components: usize) -> Vec<Gap> {
        if tool != Tool::Portcullis {
            let cause =
                format!("a {} document of another tool: what it leaves out is not known", self.raw.format);
            let gap = self.gap(cause);
            self.gaps.push(gap);
            return Vec::new();
        }
        let Some(image) = self.raw.image.take() else { return Vec::new() };
        let mut bad = 0_usize;
        let mut read = |name: &str| -> Vec<Gap> {
            let all = image.facts(name).map(|text| serde_json::from_str::<StatedGap>(text).ok());
            let gaps: Vec<Option<Gap>> = all.map(|stated| stated.and_then(StatedGap::gap)).collect();
            bad = bad.saturating_add(gaps.iter().filter(|gap| gap.is_none()).count());
            gaps.into_iter().flatten().collect()
        };
        let (gaps, mut warnings) = (read("portcullis:gap"), read("portcullis:warning"));
        let count = |name: &str| image.fact(name).and_then(|text| text.parse::<usize>().ok());
        if bad > 0 || count("portcullis:gaps") != Some(gaps.len()) {
            self.blame("it has other gaps than it says: it was changed".to_owned());
        }
        // Attack: components taken out of a document that says that nothing is missing.
        if count("portcullis:packages") != Some(components) {
            self.blame("it has other components than it says: it was changed".to_owned());
        }
        self.gaps.extend(gaps);
        warnings.sort();
        warnings
    }
}

fn label(text: &str) -> String {
    escape(text.chars().take(100).collect::<String>().as_bytes())
}

/// A gap as a document of ours states it.
#[derive(Deserialize)]
struct StatedGap {
    path: String,
    layer: usize,
    cataloger: String,
    cause: String,
    platform: Option<Platform>,
}

impl StatedGap {
    fn gap(self) -> Option<Gap> {
        let Self { path, layer, cataloger, cause, platform } = self;
        let path = ImagePath::normalise(&unescape(&path)?).ok()?;
        Some(Gap { path, layer, cataloger, cause, platform })
    }
}

/// A package that was removed, as a document of ours states it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatedRemoved {
    purl: String,
    name: String,
    version: String,
    #[serde(rename = "type")]
    kind: String,
    location: String,
    layer: usize,
    removed_by: usize,
    #[serde(default)]
    replaced_by: Vec<String>,
}

impl StatedRemoved {
    fn removed(self) -> Option<Removed> {
        let Self { purl, name, version, kind, location, layer, removed_by, replaced_by } = self;
        Some(Removed {
            purl: purl.parse().ok()?,
            name,
            version,
            kind: purl::kind(&kind)?,
            location: ImagePath::normalise(&unescape(&location)?).ok()?,
            layer,
            removed_by,
            replaced_by,
        })
    }
}

#[cfg(test)]
mod tests;
