//! Layers joined to one inventory: what is visible in the end, which layer brought it, who owns it.

mod relations;
mod removed;
pub(super) mod stored;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::model::fault::Gap;
use crate::model::inventory::{Inventory, LayerRef, Package, SourcePackage};
use crate::model::layer::{Alias, Distro, Facts, FoundPackage, LayerInventory};
use crate::model::path::ImagePath;
use crate::model::purl::{Purl, normalise_pypi};

use super::databases::Databases;
use super::filesystem::{Content, Event, FileSystem, Node};
use super::jdk;
use super::license;
use super::links::{self, Sighting};
use super::npm_root;
use super::portage;
use super::purls;
use super::{CATALOGERS, Reads};
use relations::Stated;

/// The layers of one platform's image, merged.
pub struct Merged<'a> {
    layers: &'a [Arc<LayerInventory>],
    files: FileSystem<'a>,
    sightings: Vec<Sighting<'a>>,
    link_gap: Option<String>,
}

/// The id under which gaps of the inventory itself are recorded.
const SELF: &str = "inventory";

impl<'a> Merged<'a> {
    /// Merges layers, base first.
    #[must_use]
    pub fn new(layers: &'a [Arc<LayerInventory>]) -> Self {
        let files = FileSystem::merge(layers);
        let (mut sightings, link_gap) = links::sightings(&files);
        // What was told under its own name is the same under another: no layer is read again for it. Hard links
        // alone are several files.
        sightings.retain(|sighting| {
            let Content { layer, origin } = sighting.content;
            let key = (origin.clone(), sighting.cataloger);
            let told = layers.get(layer).and_then(|layer| layer.facts.get(&key));
            let is_told = told.is_some_and(|facts| !facts.packages.is_empty());
            !(is_told && is_once(sighting))
        });
        Self { layers, files, sightings, link_gap }
    }

    /// Files that a cataloger wants only under the name of a link, and that were not read under it yet, and
    /// programs of which a part is lacking: by layer, what to read again.
    #[must_use]
    pub fn missing(&self) -> BTreeMap<usize, BTreeSet<Alias>> {
        let mut missing: BTreeMap<usize, BTreeSet<Alias>> = BTreeMap::new();
        for sighting in &self.sightings {
            let alias = sighting.alias();
            if self.aliased(sighting.content, &alias).is_none() {
                missing.entry(sighting.content.layer).or_default().insert(alias);
            }
        }
        for (index, layer) in self.layers.iter().enumerate() {
            for (origin, cataloger) in layer.again.keys() {
                let (origin, seen_as) = (origin.clone(), origin.clone());
                missing.entry(index).or_default().insert(Alias { origin, seen_as, cataloger });
            }
        }
        missing
    }

    /// The inventory. `layers` names each layer for the packages it introduced.
    #[must_use]
    pub fn flatten(&self, layers: &[LayerRef]) -> Inventory {
        let distro = self.distro();
        let states = self.states();
        let introduced = Introduced::of(&states, self.layers.len());
        let mut found: BTreeMap<Key, Package> = BTreeMap::new();
        for state in self.current(&states) {
            for package in &state.facts.packages {
                let key = Key::of(package, state.path);
                let Some(layer) = layers.get(introduced.layer(&key)) else { continue };
                let entry = found.entry(key);
                let known = entry.or_insert_with(|| assemble(package, distro.as_ref(), layer.clone()));
                known.locations.push(state.path.clone());
                complete(known, package);
            }
        }
        let mut keyed: Vec<(Key, Package)> = found.into_iter().collect();
        for (_, package) in &mut keyed {
            package.locations.sort();
            package.locations.dedup();
        }
        keyed.sort_by(|(_, a), (_, b)| {
            (a.kind, &a.name, &a.version, &a.locations).cmp(&(b.kind, &b.name, &b.version, &b.locations))
        });
        let (keys, mut packages): (Vec<Key>, Vec<Package>) = keyed.into_iter().unzip();
        self.add_licenses(&mut packages, &states);
        for package in &mut packages {
            package.license = license::read(package.kind, &package.licenses);
        }
        self.mark_owned(&mut packages, &states);
        mark_vendored(&mut packages);
        self.relate(&keys, &mut packages, &states);
        let (gaps, mut warnings) = self.gaps(&states, distro.as_ref());
        let removed = removed::of(&states, &introduced, &packages, distro.as_ref(), &mut warnings);
        Inventory { distro, packages, removed, gaps, warnings }
    }

    fn aliased(&self, content: Content<'_>, alias: &Alias) -> Option<&'a Facts> {
        self.layers.get(content.layer)?.aliased.get(alias)
    }

    /// What every cataloged file said, and while which layers were the topmost it could be seen.
    fn states(&self) -> Vec<State<'a, '_>> {
        let mut states = Vec::new();
        for (path, events) in self.files.history() {
            for (i, (from, content)) in events.iter().enumerate() {
                let until = events.get(i + 1).map_or(self.layers.len(), |(next, _): &Event<'_>| *next);
                let Some(content) = content else { continue };
                let Some(layer) = self.layers.get(content.layer) else { continue };
                let of_file = layer.facts.range((content.origin.clone(), "")..);
                for ((_, cataloger), facts) in of_file.take_while(|((origin, _), _)| origin == content.origin)
                {
                    states.push(State { path, from: *from, until, content: *content, cataloger, facts });
                }
            }
        }
        for sighting in &self.sightings {
            let alias = sighting.alias();
            if let Some(facts) = self.aliased(sighting.content, &alias) {
                states.push(State {
                    path: &sighting.seen_as,
                    from: sighting.since,
                    until: self.layers.len(),
                    content: sighting.content,
                    cataloger: sighting.cataloger,
                    facts,
                });
            }
        }
        states.retain(|state| {
            state.cataloger != npm_root::ID
                || npm_root::wanted(state.content.origin) && self.is_project(state.path)
        });
        once(&mut states);
        states
    }

    /// Whether packages are installed beside a `package.json`: else it is anything, such as a test's.
    fn is_project(&self, path: &ImagePath) -> bool {
        matches!(self.files.resolve(&npm_root::installed(path)), Some((_, Node::Directory)))
    }

    /// os-release(5): `/etc/os-release` takes precedence. Either may be a link, and in another layer
    /// than the package database.
    #[must_use]
    pub fn distro(&self) -> Option<Distro> {
        ["etc/os-release", "usr/lib/os-release"].into_iter().find_map(|name| {
            let (_, Node::File { content, .. }) = self.files.resolve(&name.into())? else { return None };
            let layer = self.layers.get(content.layer)?;
            let direct = layer.facts.range((content.origin.clone(), "")..);
            let direct =
                direct.take_while(|((origin, _), _)| origin == content.origin).map(|(_, facts)| facts);
            let aliased = layer
                .aliased
                .iter()
                .filter(|(alias, _)| alias.origin == *content.origin)
                .map(|(_, facts)| facts);
            direct.chain(aliased).find_map(|facts| facts.distro.clone())
        })
    }

    /// Says of each package what it needs.
    fn relate(&self, keys: &[Key], packages: &mut [Package], states: &[State<'_, '_>]) {
        let index: HashMap<&Key, usize> = keys.iter().enumerate().map(|(index, key)| (key, index)).collect();
        let mut stated = Vec::new();
        for state in self.current(states) {
            for found in &state.facts.packages {
                if let Some(index) = index.get(&Key::of(found, state.path)) {
                    stated.push(Stated { index: *index, path: state.path, found });
                }
            }
        }
        let needs = relations::resolve(&stated, &self.files, packages.len());
        for (package, needs) in packages.iter_mut().zip(needs) {
            package.depends_on = needs;
        }
    }

    fn add_licenses(&self, packages: &mut [Package], states: &[State<'_, '_>]) {
        let current = self.current(states).into_iter();
        let stated: HashMap<&str, &Vec<String>> = current
            .flat_map(|state| {
                state.facts.licenses.iter().map(|(package, licenses)| (package.as_str(), licenses))
            })
            .collect();
        for package in packages
            .iter_mut()
            .filter(|package| matches!(package.kind, "deb" | "ebuild") && package.licenses.is_empty())
        {
            if let Some(licenses) = stated.get(package.name.as_str()) {
                package.licenses.clone_from(licenses);
            }
        }
    }

    /// A language package whose files belong to an operating system package is listed once, with its
    /// owner.
    fn mark_owned(&self, packages: &mut [Package], states: &[State<'_, '_>]) {
        let is_system = |package: &Package| is_system(package.kind);
        // Attack: a hundred thousand files that are owned, each looked for among as many packages.
        let names: HashSet<&[u8]> = packages
            .iter()
            .filter(|package| !is_system(package))
            .flat_map(|package| &package.locations)
            .map(|path| path.file_name())
            .collect();
        if names.is_empty() {
            return;
        }
        let mut owners: HashMap<ImagePath, (&str, Option<&str>)> = HashMap::new();
        let current = self.current(states).into_iter();
        for owned in current.flat_map(|state| &state.facts.owned) {
            for path in &owned.paths {
                // A database may name a file by a path that leads through a link (`/lib` → `/usr/lib`).
                if !names.contains(path.file_name()) {
                    continue;
                }
                let place = self.files.resolve(path).map_or_else(|| path.clone(), |(place, _)| place);
                owners.insert(place, (owned.package.as_str(), owned.arch.as_deref()));
            }
        }
        let system: HashMap<(String, Option<String>), Purl> = packages
            .iter()
            .filter(|package| is_system(package))
            .flat_map(|package| {
                let name = package.name.clone();
                [
                    ((name.clone(), package.arch.clone()), package.purl.clone()),
                    ((name, None), package.purl.clone()),
                ]
            })
            .collect();
        for package in packages.iter_mut().filter(|package| !is_system(package)) {
            let owner = package.locations.iter().find_map(|path| owners.get(path));
            package.owned_by = owner.and_then(|(name, arch)| {
                let exact = system.get(&((*name).to_owned(), arch.map(str::to_owned)));
                exact.or_else(|| system.get(&((*name).to_owned(), None))).cloned()
            });
        }
    }

    /// The states of the final file system.
    fn current<'f, 's>(&self, states: &'f [State<'a, 's>]) -> Vec<&'f State<'a, 's>> {
        states.iter().filter(|state| state.until == self.layers.len()).collect()
    }

    /// Gaps of what can still be seen: a file that an upper layer hides is none. What concerns a whole
    /// layer stays.
    fn gaps(&self, states: &[State<'_, '_>], distro: Option<&Distro>) -> (Vec<Gap>, Vec<Gap>) {
        let visible: HashSet<Content<'_>> = self
            .files
            .nodes()
            .filter_map(|(_, node)| match node {
                Node::File { content, .. } => Some(*content),
                Node::Directory | Node::Symlink { .. } | Node::Special | Node::Overwritten => None,
            })
            .collect();
        let seen = |layer: usize, path: &ImagePath| {
            let of_file = self.layers.get(layer).is_some_and(|l| l.gapped.contains(path));
            !of_file || visible.contains(&Content { layer, origin: path })
        };
        let mut gaps = Vec::new();
        let mut warnings = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let here = |gap: &Gap| Gap { layer: index, ..gap.clone() };
            let counts = |gap: &&Gap| {
                seen(index, &gap.path) && (gap.cataloger != npm_root::ID || self.is_project(&gap.path))
            };
            gaps.extend(layer.gaps.iter().filter(counts).map(here));
            warnings.extend(layer.warnings.iter().map(here));
        }
        for state in self.current(states) {
            let here =
                |cause: &String| gap(state.path.clone(), state.content.layer, state.cataloger, cause.clone());
            gaps.extend(state.facts.unreadable.iter().map(here));
        }
        let last = self.layers.len().saturating_sub(1);
        let whole = |cause: String| gap(ImagePath::root(), last, SELF, cause);
        gaps.extend(self.unnamed(states, &gaps));
        gaps.extend(self.files.gaps().map(|(layer, cause)| Gap { layer, ..whole(cause) }));
        gaps.extend(self.link_gap.clone().map(whole));
        let databases = Databases::of(states, self.layers, &gaps);
        gaps.extend(databases.missing(distro, visible.len()).map(whole));
        let is_stored = |path: &ImagePath| {
            let mut parts = path.components();
            matches!(parts.next(), Some(b"nix" | b"gnu"))
                && parts.next() == Some(b"store")
                && parts.next().is_some()
        };
        let has_store = self.files.nodes().any(|(path, _)| is_stored(path));
        gaps.extend(databases.storeless(has_store).map(whole));
        gaps.sort();
        gaps.dedup();
        warnings.sort();
        warnings.dedup();
        (gaps, warnings)
    }

    /// Gaps of packages that Portage takes for installed, as their directory is there, and of which no file says
    /// anything. Attack: a directory that is left with no file that is read, to hide the package.
    fn unnamed(&self, states: &[State<'_, '_>], gaps: &[Gap]) -> Vec<Gap> {
        let of_directory = self.files.nodes().filter_map(|(path, node)| {
            let is_directory = matches!(node, Node::Directory);
            portage::directory(path, is_directory)
        });
        let directories: BTreeSet<ImagePath> = of_directory.collect();
        if directories.is_empty() {
            return Vec::new();
        }
        let of_states = self.current(states).into_iter().map(|state| (state.cataloger, state.path));
        let of_gaps = gaps.iter().map(|gap| (gap.cataloger.as_str(), &gap.path));
        let read = of_states.chain(of_gaps).filter(|(cataloger, _)| *cataloger == PORTAGE);
        let known: HashSet<ImagePath> = read.filter_map(|(_, path)| path.parent()).collect();
        let last = self.layers.len().saturating_sub(1);
        let mut silent = directories.into_iter().filter(|directory| !known.contains(directory));
        let cause = || "the directory of a package without a file that says what it is".to_owned();
        let mut found: Vec<Gap> =
            silent.by_ref().take(UNNAMED).map(|path| gap(path, last, PORTAGE, cause())).collect();
        let more = silent.count();
        if more > 0 {
            let cause = format!("{more} more directories of packages without a file that says what they are");
            found.push(gap(ImagePath::root(), last, PORTAGE, cause));
        }
        found
    }
}

/// Directories of packages that are named one by one: 1,000. Attack: a million of them, each with a gap of its own.
const UNNAMED: usize = 1_000;

/// The cataloger of Portage's database.
const PORTAGE: &str = "portage";

fn gap(path: ImagePath, layer: usize, cataloger: &str, cause: String) -> Gap {
    Gap { path, layer, cataloger: cataloger.to_owned(), cause, platform: None }
}

/// Leaves out what a Java runtime's library says where its `release` says it; the runtime is there since the first
/// of them.
fn once(states: &mut Vec<State<'_, '_>>) {
    let mut releases: HashMap<&ImagePath, Vec<(usize, &FoundPackage)>> = HashMap::new();
    for (at, state) in states.iter().enumerate().filter(|(_, state)| state.cataloger == "jdk") {
        for package in &state.facts.packages {
            let Some(root) = &package.location else { continue };
            releases.entry(root).or_default().push((at, package));
        }
    }
    let mut told: HashMap<usize, usize> = HashMap::new();
    for (at, state) in states.iter().enumerate() {
        if state.cataloger != "classify" || state.path.file_name() != jdk::LIBRARY {
            continue;
        }
        let by = |library: &FoundPackage| {
            let releases = jdk::roots(library).into_iter().filter_map(|root| releases.get(&root)).flatten();
            let mut covering = releases.filter(|(release, _)| {
                states.get(*release).is_some_and(|it| it.from < state.until && state.until <= it.until)
            });
            covering.find(|(_, release)| jdk::same(release, library)).map(|(release, _)| *release)
        };
        if let Some(release) = state.facts.packages.iter().find_map(by) {
            told.insert(at, release);
        }
    }
    for (library, release) in &told {
        let since = states.get(*library).map_or(usize::MAX, |state| state.from);
        if let Some(state) = states.get_mut(*release) {
            state.from = state.from.min(since);
        }
    }
    let mut at = 0;
    states.retain(|_| {
        at += 1;
        !told.contains_key(&(at - 1))
    });
}

/// Whether a file that has told its packages is not to be told once more by another name: programs say the same
/// under every one, and so does what is read differently only where it says nothing.
fn is_once(sighting: &Sighting<'_>) -> bool {
    let cataloger = CATALOGERS.iter().find(|cataloger| cataloger.id() == sighting.cataloger);
    cataloger.is_some_and(|cataloger| {
        cataloger.reads() == Reads::Program
            || !cataloger.reads_alike(sighting.content.origin, &sighting.seen_as)
    })
}

/// Whether packages of that type are those of an operating system.
fn is_system(kind: &str) -> bool {
    matches!(kind, "alpm" | "apk" | "deb" | "ebuild" | "opkg" | "rpm")
}

/// What one cataloger read from one file, and from which layer on, until before which, it was there.
pub(super) struct State<'a, 's> {
    pub(super) path: &'s ImagePath,
    pub(super) from: usize,
    pub(super) until: usize,
    pub(super) content: Content<'a>,
    pub(super) cataloger: &'static str,
    pub(super) facts: &'a Facts,
}

/// What makes two mentions of a package the same installed package. A database's package is the same
/// wherever the database lies, and a component of Bitnami wherever it is stated; other packages are one an
/// installation directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    kind: &'static str,
    name: String,
    version: String,
    arch: Option<String>,
    location: Option<ImagePath>,
}

impl Key {
    fn of(package: &FoundPackage, path: &ImagePath) -> Self {
        let location = match package.kind {
            kind if is_system(kind) || kind == "bitnami" => None,
            _ => Some(package.location.clone().unwrap_or_else(|| path.clone())),
        };
        Self {
            kind: package.kind,
            name: package.name.clone(),
            version: package.version.clone(),
            arch: package.arch.clone(),
            location,
        }
    }
}

/// For every package, since which layer it has been there without a break up to the last.
struct Introduced(HashMap<Key, BTreeSet<(usize, usize)>>, usize);

impl Introduced {
    fn of(states: &[State<'_, '_>], layers: usize) -> Self {
        let mut spans: HashMap<Key, BTreeSet<(usize, usize)>> = HashMap::new();
        for state in states {
            for package in &state.facts.packages {
                // Attack: a package listed a million times in one database. It is one span.
                spans.entry(Key::of(package, state.path)).or_default().insert((state.until, state.from));
            }
        }
        Self(spans, layers)
    }

    fn layer(&self, key: &Key) -> usize {
        self.before(key, self.1)
    }

    /// The layer before which it was taken away for good; the number of layers where it is there.
    fn end(&self, key: &Key) -> usize {
        self.0.get(key).and_then(BTreeSet::last).map_or(self.1, |(until, _)| *until)
    }

    /// Since which layer it was there without a break up to one.
    fn before(&self, key: &Key, end: usize) -> usize {
        let spans = self.0.get(key).into_iter().flatten().rev();
        let mut since = end;
        for (until, from) in spans {
            if *until < since {
                break;
            }
            since = since.min(*from);
        }
        since
    }
}

fn assemble(found: &FoundPackage, distro: Option<&Distro>, layer: LayerRef) -> Package {
    let source = found.source_name.clone().map(|name| SourcePackage {
        name,
        version: found.source_version.clone().unwrap_or_else(|| found.version.clone()),
    });
    Package {
        arch: found.arch.clone(),
        source,
        licenses: found.licenses.clone(),
        vendored_in: found.vendored_in.as_ref().map(|carrier| format!("/{carrier}")),
        application: found.application,
        scope: found.scope,
        guessed: found.guessed,
        cpe: found.cpe.clone(),
        supplier: found.supplier.clone(),
        ..Package::new(purls::purl(found, distro), found.kind, &found.name, &found.version, layer)
    }
}

/// Adds what one mention of a package says and those before it did not.
fn complete(known: &mut Package, found: &FoundPackage) {
    if known.licenses.is_empty() {
        known.licenses.clone_from(&found.licenses);
    }
    known.cpe = known.cpe.take().or_else(|| found.cpe.clone());
    known.supplier = known.supplier.take().or_else(|| found.supplier.clone());
    known.guessed &= found.guessed;
}

/// Names the carrier of a vendored distribution by its purl where it is itself in the inventory.
fn mark_vendored(packages: &mut [Package]) {
    let carriers: HashMap<(ImagePath, String), String> = packages
        .iter()
        .filter(|package| package.kind == "pypi" && package.vendored_in.is_none())
        .filter_map(|package| {
            // The evidence is `site-packages/NAME.dist-info/METADATA`.
            let site = package.locations.first()?.parent()?.parent()?;
            Some(((site, normalise_pypi(&package.name)), package.purl.to_string()))
        })
        .collect();
    for package in packages {
        let Some(carrier) = package.vendored_in.as_deref() else { continue };
        let path = ImagePath::from(carrier);
        let name = normalise_pypi(&String::from_utf8_lossy(path.file_name()));
        if let Some(purl) = path.parent().and_then(|site| carriers.get(&(site, name))) {
            package.vendored_in = Some(purl.clone());
        }
    }
}
