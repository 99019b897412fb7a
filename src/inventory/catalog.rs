//! One layer's bytes to that layer's facts, in one pass.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;

use crate::image::layer::{self, Digester, Verified};
use crate::image::limits::Limits;
use crate::image::resolve::LayerBlob;
use crate::image::tar::{self, Header, Kind};
use crate::model::fault::{Fault, Gap};
use crate::model::layer::{Alias, Entry, Facts, LayerInventory};
use crate::model::path::{ImagePath, escape};

use super::content::{self, Given};
use super::observe::{self, Observer};
use super::tap::Tapped;
use super::toc;
use super::{CATALOGERS, Cataloger, HEAD_LEN, Reads, Unwatched, Watch};
use crate::model::observed::{NameFault, What};

/// The id under which gaps of the archive itself are recorded.
pub const ARCHIVE: &str = "tar";

/// What is observed of a whiteout that has content.
pub const NOT_EMPTY: &str = "a whiteout that is no empty file";

/// Reads one layer and catalogs its files. `open` opens the blob: once, and once more where its table of
/// contents has files in pieces. `at` names the layer in faults.
///
/// # Errors
/// A [`Fault`] where the layer lies or could not be read whole: then nothing of it is known. Those of `open`.
pub fn catalog_layer<R: Read>(
    open: impl Fn() -> Result<R, Fault>,
    layer: &LayerBlob,
    at: &str,
    limits: &Limits,
) -> Result<(LayerInventory, Verified), Fault> {
    catalog_layer_watched(open, layer, at, limits, layer::at_once, &Unwatched)
}

/// The same; `digester` takes the digests, and `watch` is told what each cataloger does.
///
/// # Errors
/// As [`catalog_layer`].
pub fn catalog_layer_watched<R: Read>(
    open: impl Fn() -> Result<R, Fault>,
    layer: &LayerBlob,
    at: &str,
    limits: &Limits,
    digester: Digester,
    watch: &dyn Watch,
) -> Result<(LayerInventory, Verified), Fault> {
    let mut pass = Pass::new(limits, watch);
    let mut toc = toc::Checker::of(layer, limits);
    let mut reader = toc::Window::new(open()?, toc.as_ref().map(toc::Checker::frames).unwrap_or_default());
    let verified =
        layer::read_digested(&mut reader, layer, at, limits, digester, |header, bytes| match &mut toc {
            None => pass.entry(header, bytes),
            Some(toc) => toc.entry(header, bytes, |bytes| pass.entry(header, bytes)),
        })?;
    let mut inventory = pass.finish();
    if let Some(toc) = toc {
        let (notes, pieces) = toc.finish(reader.kept);
        inventory.observed.notes.extend(notes);
        if let Some(mut pieces) = pieces {
            layer::read(open()?, layer, at, limits, |header, bytes| pieces.entry(header, bytes))?;
            inventory.observed.notes.extend(pieces.finish());
        }
    }
    for cause in &verified.trailing {
        inventory.gaps.push(gap(ImagePath::root(), ARCHIVE, (*cause).to_owned()));
    }
    Ok((inventory, verified))
}

/// Reads a layer again for files that are wanted under other names only, and for programs of which more is
/// wanted than was kept, and adds what they say to `inventory`.
///
/// # Errors
/// As [`catalog_layer`].
pub fn catalog_aliases(
    reader: impl Read,
    layer: &LayerBlob,
    at: &str,
    limits: &Limits,
    aliases: &BTreeSet<Alias>,
    inventory: &mut LayerInventory,
) -> Result<(), Fault> {
    layer::read(reader, layer, at, limits, |header, bytes| {
        let Ok(path) = ImagePath::normalise(&header.name) else { return Ok(()) };
        let here: Vec<&Alias> = aliases.iter().filter(|alias| alias.origin == path).collect();
        if here.is_empty() || header.kind != Kind::File {
            return Ok(());
        }
        let named = |alias: &&Alias| CATALOGERS.iter().copied().find(|c| c.id() == alias.cataloger);
        let wanting: Vec<(&'static dyn Cataloger, &ImagePath)> =
            here.iter().filter_map(|alias| Some((named(alias)?, &alias.seen_as))).collect();
        let lacking = inventory.again.iter().filter(|((origin, _), _)| *origin == path);
        let again: Vec<_> = lacking.flat_map(|(_, ranges)| ranges).cloned().collect();
        let read = content::read(bytes, header.size, &[], &wanting, 0, &again)?;
        for alias in here {
            let Some(cataloger) = named(&alias) else { continue };
            let key = (path.clone(), cataloger.id());
            // Its own name: a program of which a part was lacking.
            let own = alias.seen_as == path;
            if own {
                forget_unread(inventory, &key);
            }
            let unread = match read.give(cataloger, &alias.seen_as, header.size) {
                Given::Facts(facts) => {
                    if own {
                        inventory.facts.insert(key, facts);
                    } else {
                        inventory.aliased.insert(alias.clone(), facts);
                    }
                    continue;
                }
                Given::Gap(cause) => cause,
                Given::Again(_) => {
                    "what it says of itself lies scattered all over it (limit `pieces`)".to_owned()
                }
            };
            if own {
                inventory.gapped.insert(path.clone());
                inventory.gaps.push(gap(path.clone(), alias.cataloger, unread));
            } else {
                // A gap of that name and not of the layer: another image may have the layer without the link.
                let mut facts = Facts::default();
                facts.blame(unread);
                inventory.aliased.insert(alias.clone(), facts);
            }
        }
        Ok(())
    })?;
    inventory.again.retain(|(origin, cataloger), _| {
        let alias = Alias { origin: origin.clone(), seen_as: origin.clone(), cataloger };
        !aliases.contains(&alias)
    });
    Ok(())
}

/// Why a program that has to be read again has a gap until it is.
const UNREAD: &str = "a large program that was not read a second time";

/// Takes away the gap of a program that is read again.
fn forget_unread(inventory: &mut LayerInventory, (path, cataloger): &(ImagePath, &'static str)) {
    inventory.gaps.retain(|gap| gap.path != *path || gap.cataloger != *cataloger || gap.cause != UNREAD);
    if !inventory.gaps.iter().any(|gap| gap.path == *path) {
        inventory.gapped.remove(path);
    }
}

/// Gaps of a layer that are named one by one: 10,000. Attack: a million entries, each with a gap of its
/// own, to fill the memory.
const MAX_GAPS: usize = 10_000;

/// Packages of a layer: 500,000; the largest real images have a tenth. Attack: a million package.json of
/// a few bytes each, which deflate to nothing.
const MAX_PACKAGES: usize = 500_000;

/// Bytes of what the packages of a layer require and provide: 64 MiB; two thousand RPMs have two. Attack:
/// thousands of package.json with as many dependencies as fit.
const RELATIONS: usize = 64 << 20;

/// Bytes from which on a file has a checksum: 1 MiB. Smaller ones are not worth a line where they stand twice.
const LARGE: u64 = 1 << 20;

/// Warnings of a layer: 1,000. They change no verdict.
const MAX_WARNINGS: usize = 1_000;

struct Pass<'a> {
    inventory: LayerInventory,
    /// Where each name stands last among the entries.
    last: HashMap<ImagePath, usize>,
    /// By path: a later entry of the same name takes those of the earlier away.
    gaps: BTreeMap<ImagePath, Vec<Gap>>,
    named: usize,
    unnamed: usize,
    packages: usize,
    /// Bytes of what packages require and provide so far.
    relations: usize,
    /// Bytes of names and link targets so far.
    names: usize,
    observer: Observer,
    limits: &'a Limits,
    watch: &'a dyn Watch,
}

impl<'a> Pass<'a> {
    fn new(limits: &'a Limits, watch: &'a dyn Watch) -> Self {
        Self {
            inventory: LayerInventory::default(),
            last: HashMap::new(),
            gaps: BTreeMap::new(),
            named: 0,
            unnamed: 0,
            packages: 0,
            relations: 0,
            names: 0,
            observer: Observer::default(),
            limits,
            watch,
        }
    }

    fn finish(self) -> LayerInventory {
        // Only a file's gap is hidden with the file. Attack: a hard link that cannot be read, named as a
        // symbolic link before it.
        let is_file = |path: &&ImagePath| matches!(self.last_of(path), Some(Entry::File { .. }));
        let gapped = self.gaps.keys().filter(is_file).cloned().collect();
        let mut inventory = self.inventory;
        inventory.gapped = gapped;
        inventory.observed = self.observer.finish();
        inventory.gaps = self.gaps.into_values().flatten().collect();
        if self.unnamed > 0 {
            let cause = format!("{} more gaps than the limit of {MAX_GAPS}", self.unnamed);
            inventory.gaps.push(gap(ImagePath::root(), ARCHIVE, cause));
        }
        inventory
    }

    /// Records a gap. What is beyond the limit is one gap of the whole layer, which no waiver for a path
    /// covers.
    fn gap(&mut self, path: ImagePath, cataloger: &str, cause: String) {
        if self.named < MAX_GAPS {
            self.named += 1;
            self.gaps.entry(path.clone()).or_default().push(gap(path, cataloger, cause));
        } else {
            self.unnamed += 1;
        }
    }

    fn entry(&mut self, header: &Header, bytes: &mut dyn Read) -> Result<(), tar::Error> {
        let shown = || escape(header.name.get(..200).unwrap_or(&header.name));
        if let Some(cause) = self.too_long(header) {
            self.observer.name(NameFault::TooLong, header);
            self.archive_gap(format!("{cause}: `{}`", shown()));
            return Ok(());
        }
        // Attack: a name with `..`, to write or to be read outside of the image.
        let Ok(path) = ImagePath::normalise(&header.name) else {
            self.observer.name(NameFault::LeadsOut, header);
            if header.name.rsplit(|b| *b == b'/').next().is_some_and(|name| name.starts_with(b".wh.")) {
                self.observer.note(
                    &ImagePath::root(),
                    What::Whiteout("a whiteout outside of the image hides nothing"),
                );
                let cause = format!("a whiteout outside of the image hides nothing: `{}`", shown());
                self.odd(&ImagePath::root(), &cause);
                return Ok(());
            }
            self.archive_gap(format!("an entry's name leads out of the image: `{}`", shown()));
            return Ok(());
        };
        self.observer.header(&path, header);
        if let Some(name) = path.file_name().strip_prefix(b".wh.") {
            if header.kind != Kind::File || header.size > 0 {
                self.observer.note(&path, What::Whiteout(NOT_EMPTY));
            }
            self.whiteout(&path, name);
            return Ok(());
        }
        let entry = match &header.kind {
            Kind::File => Entry::File { size: header.size },
            Kind::Directory => Entry::Directory,
            Kind::Symlink(target) => Entry::Symlink { target: target.as_slice().into() },
            Kind::HardLink(target) => match ImagePath::normalise(target) {
                Ok(target) => Entry::HardLink { target },
                Err(_) => {
                    self.observer.note(&path, What::LinkOut(observe::cut(target)));
                    let cause = format!("a hard link to `{}`, which leads out of the image", escape(target));
                    self.gap(path, ARCHIVE, cause);
                    return Ok(());
                }
            },
            Kind::Special => Entry::Special,
            Kind::Sparse => {
                // Of the root: a later entry of this name, or an upper layer, must not take it away.
                self.archive_gap(format!("a sparse file, whose content was not read: `{}`", shown()));
                Entry::File { size: header.size }
            }
            Kind::Unknown(kind) => {
                let kind = char::from(*kind);
                self.archive_gap(format!("an entry of unknown type {kind:?}: `{}`", shown()));
                return Ok(());
            }
        };
        if path.is_root() {
            if entry != Entry::Directory {
                self.archive_gap("an entry that is no directory has the name of the root".into());
            }
            return Ok(());
        }
        self.forget_earlier(&path, &entry);
        if header.kind == Kind::File {
            self.file(&path, header.size, bytes)?;
        }
        self.last.insert(path.clone(), self.inventory.entries.len());
        self.inventory.entries.push((path, entry));
        Ok(())
    }

    /// The last entry of that name so far.
    fn last_of(&self, path: &ImagePath) -> Option<&Entry> {
        self.inventory.entries.get(*self.last.get(path)?).map(|(_, entry)| entry)
    }

    /// Why an entry's names are not to be remembered: they fill the memory, or no runtime can make them.
    fn too_long(&mut self, header: &Header) -> Option<String> {
        let Limits { path, components, names, .. } = *self.limits;
        // Attack: a link to `a/a/…`, half a megabyte of it, that every path below the link leads through.
        let target: &[u8] = match &header.kind {
            Kind::Symlink(target) | Kind::HardLink(target) => target,
            Kind::File | Kind::Directory | Kind::Special | Kind::Sparse | Kind::Unknown(_) => b"",
        };
        for (what, name) in [("name", header.name.as_slice()), ("link target", target)] {
            if name.len() > path {
                return Some(format!("an entry's {what} is longer than {path} bytes (limit `path`)"));
            }
            if name.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b".")).count() > components {
                return Some(format!(
                    "an entry's {what} has more than {components} components (limit `components`)"
                ));
            }
        }
        self.names = self.names.saturating_add(header.name.len() + target.len());
        (self.names > names)
            .then(|| format!("the names of entries have more than {names} bytes (limit `names`)"))
    }

    /// OCI layer.md, "Whiteouts". Names that runtimes disagree on hide nothing: a package too many is
    /// on the safe side.
    fn whiteout(&mut self, path: &ImagePath, name: &[u8]) {
        let directory = path.parent().unwrap_or_default();
        match name {
            b".wh..opq" => self.inventory.entries.push((directory, Entry::Opaque)),
            b"" | b"." | b".." => self.odd_whiteout(path, "a whiteout without a name hides nothing"),
            name if name.starts_with(b".wh.") => self.odd_whiteout(path, "a leftover of aufs, ignored"),
            name => self.inventory.entries.push((directory.join(name), Entry::Whiteout)),
        }
    }

    fn odd_whiteout(&mut self, path: &ImagePath, cause: &'static str) {
        self.observer.note(path, What::Whiteout(cause));
        self.odd(path, cause);
    }

    /// Of entries with one name the last wins, as at runtimes.
    fn forget_earlier(&mut self, path: &ImagePath, entry: &Entry) {
        let earlier = self.last.get(path).and_then(|at| self.inventory.entries.get_mut(*at));
        match earlier {
            None => return,
            Some((_, Entry::Directory)) if *entry == Entry::Directory => return,
            Some((_, earlier)) => {
                if let Entry::File { size } = *earlier {
                    *earlier = Entry::Overwritten { size };
                }
            }
        }
        self.odd(path, "stands twice in the archive; the last one counts");
        let facts = self.inventory.facts.range((path.clone(), "")..).map(|(key, _)| key);
        let stale: Vec<_> = facts.take_while(|(origin, _)| origin == path).cloned().collect();
        for key in stale {
            self.inventory.facts.remove(&key);
        }
        self.inventory.again.retain(|(origin, _), _| origin != path);
        // What lies in the archive twice is gone; the root stands for the archive itself.
        if let Some(gone) = self.gaps.remove(path) {
            self.named -= gone.len();
        }
    }

    /// A regular file; a large one gets a checksum on the way.
    fn file(&mut self, path: &ImagePath, size: u64, bytes: &mut dyn Read) -> Result<(), tar::Error> {
        if size < LARGE {
            return self.catalog(path, size, bytes);
        }
        let mut sum = crc32fast::Hasher::new();
        let mut tap = |read: &[u8]| sum.update(read);
        let mut tapped = Tapped::new(bytes, &mut tap);
        self.catalog(path, size, &mut tapped)?;
        tapped.drain()?;
        self.observer.sum(path, size, sum.finalize());
        Ok(())
    }

    fn catalog(&mut self, path: &ImagePath, size: u64, bytes: &mut dyn Read) -> Result<(), tar::Error> {
        let mut head = Vec::with_capacity(HEAD_LEN);
        (&mut *bytes).take(HEAD_LEN as u64).read_to_end(&mut head)?;
        let wanting: Vec<&'static dyn Cataloger> =
            CATALOGERS.iter().copied().filter(|cataloger| cataloger.wants(path, &head)).collect();
        let watch = observe::watch(path);
        if wanting.is_empty() && watch.is_none() {
            return Ok(());
        }
        let keep = watch.map_or(0, observe::Watch::keep);
        let named: Vec<_> = wanting.iter().map(|cataloger| (*cataloger, path)).collect();
        let read = content::read(bytes, size, &head, &named, keep, &[])?;
        if let Some(watch) = watch {
            self.observer.content(path, watch, read.first(), size);
        }
        for cataloger in wanting {
            let began = self.watch.now();
            let given = read.give(cataloger, path, size);
            let found = match &given {
                Given::Facts(facts) => facts.packages.len(),
                Given::Gap(_) | Given::Again(_) => 0,
            };
            self.watch.cataloged(cataloger.id(), self.watch.now().saturating_sub(began), found);
            match given {
                // That a program says nothing is nothing to remember.
                Given::Facts(facts) if cataloger.reads() != Reads::Whole && facts == Facts::default() => {}
                Given::Facts(mut facts) => {
                    self.bound_relations(&mut facts);
                    self.packages = self.packages.saturating_add(facts.packages.len());
                    if self.packages > MAX_PACKAGES {
                        let cause = format!("more than {MAX_PACKAGES} packages in a layer");
                        self.gap(path.clone(), cataloger.id(), cause);
                        continue;
                    }
                    self.inventory.facts.insert((path.clone(), cataloger.id()), facts);
                }
                Given::Gap(cause) => self.gap(path.clone(), cataloger.id(), cause),
                Given::Again(ranges) => {
                    self.inventory.again.insert((path.clone(), cataloger.id()), ranges);
                    self.gap(path.clone(), cataloger.id(), UNREAD.to_owned());
                }
            }
        }
        Ok(())
    }

    /// Beyond the limit it is not known what a package needs: that changes no verdict.
    fn bound_relations(&mut self, facts: &mut Facts) {
        for package in &mut facts.packages {
            self.relations = self.relations.saturating_add(package.relation_bytes());
            if self.relations > RELATIONS {
                package.forget_relations();
            }
        }
    }

    fn archive_gap(&mut self, cause: String) {
        self.gap(ImagePath::root(), ARCHIVE, cause);
    }

    fn odd(&mut self, path: &ImagePath, cause: &str) {
        if self.inventory.warnings.len() < MAX_WARNINGS {
            self.inventory.warnings.push(gap(path.clone(), ARCHIVE, cause.to_owned()));
        }
    }
}

fn gap(path: ImagePath, cataloger: &str, cause: String) -> Gap {
    Gap { path, layer: 0, cataloger: cataloger.to_owned(), cause, platform: None }
}
