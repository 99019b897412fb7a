//! The layers merged into one file system, as a runtime would extract them (OCI layer.md,
//! "Applying Changesets"): whiteouts, opaque directories, replaced types, hard and symbolic links.
//! Nothing is extracted; a file is known by the layer and the name that hold its bytes.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::ops::Bound;
use std::sync::Arc;

use crate::model::layer::{Entry, LayerInventory};
use crate::model::path::ImagePath;

/// Where a file's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Content<'a> {
    /// Index of the layer.
    pub(super) layer: usize,
    /// Name in that layer's archive.
    pub(super) origin: &'a ImagePath,
}

/// What a path is in the merged file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node<'a> {
    Directory,
    /// A file; `link` is the layer in which a hard link gave it this name.
    File {
        content: Content<'a>,
        link: Option<usize>,
    },
    /// A symbolic link, made in that layer.
    Symlink {
        layer: usize,
        target: &'a [u8],
    },
    Special,
}

/// From which layer on a path had these contents; `None`: from which on it had none.
pub(super) type Event<'a> = (usize, Option<Content<'a>>);

/// The merged file system, with the history of the paths that a cataloger read.
#[derive(Debug)]
pub(super) struct FileSystem<'a> {
    /// The files that a cataloger read, of every layer.
    watched: HashSet<Content<'a>>,
    nodes: BTreeMap<Cow<'a, ImagePath>, Node<'a>>,
    history: BTreeMap<ImagePath, Vec<Event<'a>>>,
}

/// How many symbolic links a path may lead through: 40, as Linux (`path_resolution(7)`).
const LINKS: usize = 40;

impl<'a> FileSystem<'a> {
    /// Merges layers, base first.
    pub(super) fn merge(layers: &'a [Arc<LayerInventory>]) -> Self {
        let watched = layers.iter().enumerate().flat_map(|(layer, inventory)| {
            inventory.facts.keys().map(move |(origin, _)| Content { layer, origin })
        });
        let mut merged =
            Self { watched: watched.collect(), nodes: BTreeMap::new(), history: BTreeMap::new() };
        for (index, layer) in layers.iter().enumerate() {
            merged.apply(index, layer);
        }
        merged
    }

    /// Every path and what it is, sorted.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&ImagePath, &Node<'a>)> {
        self.nodes.iter().map(|(path, node)| (path.as_ref(), node))
    }

    /// What lies below a directory, sorted, without following links.
    pub(super) fn below(&self, directory: &ImagePath) -> impl Iterator<Item = (&ImagePath, &Node<'a>)> {
        let (from, to) = below_range(directory);
        self.nodes
            .range::<ImagePath, _>((from.as_ref(), to.as_ref()))
            .map(|(path, node)| (path.as_ref(), node))
    }

    /// Paths that a cataloger read in some layer, with their events in layer order.
    pub(super) fn history(&self) -> impl Iterator<Item = (&ImagePath, &[Event<'a>])> {
        self.history.iter().map(|(path, events)| (path, events.as_slice()))
    }

    /// Follows every symbolic link on a path, inside the image's root: where it leads and what is there.
    /// `None` for a path that leads nowhere, round in circles, or out of the root.
    pub(super) fn resolve(&self, path: &ImagePath) -> Option<(ImagePath, Node<'a>)> {
        let resolved = self.follow(path, true)?;
        if resolved.is_root() {
            return Some((resolved, Node::Directory));
        }
        let node = *self.nodes.get(&resolved)?;
        Some((resolved, node))
    }

    /// The path with its links followed; the last component's only if `last`. A missing component is
    /// kept as it is, so that a new file's place can be told.
    fn follow(&self, path: &ImagePath, last: bool) -> Option<ImagePath> {
        let mut resolved = ImagePath::root();
        let mut rest: Vec<Box<[u8]>> = path.components().rev().map(Into::into).collect();
        let mut links = 0;
        while let Some(component) = rest.pop() {
            if &*component == b".." {
                // As at runtimes, `..` at the root stays there: a link cannot lead out of the image.
                resolved = resolved.parent().unwrap_or_default();
                continue;
            }
            let next = resolved.join(&component);
            match self.nodes.get(&next) {
                Some(Node::Symlink { target, .. }) if last || !rest.is_empty() => {
                    links += 1;
                    // Attack: links that point at each other, to keep the reader busy for ever.
                    if links > LINKS || rest.len() > 4096 {
                        return None;
                    }
                    if target.starts_with(b"/") {
                        resolved = ImagePath::root();
                    }
                    let parts = target.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b"."));
                    rest.extend(parts.rev().map(Into::into));
                }
                _ => resolved = next,
            }
        }
        Some(resolved)
    }

    fn apply(&mut self, index: usize, layer: &'a LayerInventory) {
        // A hard link to a file of a lower layer keeps the file, also where this layer hides its old name.
        let kept: Vec<Option<Node<'a>>> =
            hard_links(layer).map(|(_, to)| self.node_of_lower(layer, to)).collect();
        self.hide(index, layer);
        self.add(index, layer);
        // Hard links last: their targets may stand anywhere in this layer.
        for ((path, target), kept) in hard_links(layer).zip(kept) {
            let node = match kept.or_else(|| self.nodes.get(&self.place(target)?).copied()) {
                Some(Node::File { content, .. }) => Node::File { content, link: Some(index) },
                Some(other) => other,
                None => continue,
            };
            if let Some(place) = self.place(path) {
                self.insert(Cow::Owned(place), node, index);
            }
        }
    }

    fn hide(&mut self, index: usize, layer: &LayerInventory) {
        // Whiteouts hide what lower layers have, never an entry of this layer, whatever their order.
        for path in &layer.whiteouts {
            if let Some(place) = self.place(path) {
                self.remove(&place, index);
            }
        }
        for path in &layer.opaque {
            if let Some((directory, _)) = self.resolve(path) {
                self.remove_below(&directory, index);
            }
        }
    }

    fn add(&mut self, index: usize, layer: &'a LayerInventory) {
        let mut parent = (ImagePath::root(), Some(ImagePath::root()));
        for (path, entry) in &layer.entries {
            let node = match entry {
                Entry::HardLink { .. } => continue,
                Entry::File { .. } => {
                    Node::File { content: Content { layer: index, origin: path }, link: None }
                }
                Entry::Directory => Node::Directory,
                Entry::Symlink { target } => Node::Symlink { layer: index, target },
                Entry::Special => Node::Special,
            };
            let Some(place) = self.place_cached(path, &mut parent) else { continue };
            self.insert(place.clone(), node, index);
            if let Node::File { content, .. } = node
                && self.watched.contains(&content)
            {
                self.record(&place, index, Some(content));
            }
        }
    }

    /// The node that a hard link names where it is none of this layer's own entries.
    fn node_of_lower(&self, layer: &LayerInventory, target: &ImagePath) -> Option<Node<'a>> {
        if layer.entries.contains_key(target) { None } else { self.nodes.get(&self.place(target)?).copied() }
    }

    /// Where an entry of that name lands: the links of its parent directories followed. This is how a
    /// layer writes through a symbolic link of a lower one.
    fn place(&self, path: &ImagePath) -> Option<ImagePath> {
        self.follow(path, false).filter(|place| !place.is_root())
    }

    /// [`FileSystem::place`], with the last parent directory remembered: entries come sorted.
    fn place_cached(
        &self,
        path: &'a ImagePath,
        last: &mut (ImagePath, Option<ImagePath>),
    ) -> Option<Cow<'a, ImagePath>> {
        let parent = path.parent()?;
        if last.0 != parent {
            let followed = self.follow(&parent, true);
            *last = (parent, followed);
        }
        let place = last.1.as_ref()?;
        Some(if *place == last.0 { Cow::Borrowed(path) } else { Cow::Owned(place.join(path.file_name())) })
    }

    fn insert(&mut self, path: Cow<'a, ImagePath>, node: Node<'a>, layer: usize) {
        let keeps_directory =
            node == Node::Directory && self.nodes.get(path.as_ref()) == Some(&Node::Directory);
        if keeps_directory {
            return;
        }
        if self.nodes.contains_key(path.as_ref()) {
            self.remove(&path, layer);
        }
        self.make_parents(&path, layer);
        self.nodes.insert(path, node);
    }

    /// Directories that an archive leaves out exist all the same; a file in their place is replaced.
    fn make_parents(&mut self, path: &ImagePath, layer: usize) {
        let mut parent = path.parent();
        while let Some(directory) = parent.filter(|directory| !directory.is_root()) {
            match self.nodes.get(&directory) {
                Some(Node::Directory) => return,
                Some(Node::File { .. } | Node::Symlink { .. } | Node::Special) => {
                    self.remove(&directory, layer)
                }
                None => {}
            }
            parent = directory.parent();
            self.nodes.insert(Cow::Owned(directory), Node::Directory);
        }
    }

    fn remove(&mut self, path: &ImagePath, layer: usize) {
        if self.nodes.get(path) == Some(&Node::Directory) {
            self.remove_below(path, layer);
        }
        if self.nodes.remove(path).is_some() && self.history.contains_key(path) {
            self.record(path, layer, None);
        }
    }

    fn remove_below(&mut self, directory: &ImagePath, layer: usize) {
        let hidden: Vec<ImagePath> = self.below(directory).map(|(path, _)| path.clone()).collect();
        for path in hidden {
            self.nodes.remove(&path);
            if self.history.contains_key(&path) {
                self.record(&path, layer, None);
            }
        }
    }

    fn record(&mut self, path: &ImagePath, layer: usize, content: Option<Content<'a>>) {
        let events = self.history.entry(path.clone()).or_default();
        if events.last().is_some_and(|(last, _)| *last == layer) {
            events.pop();
        }
        events.push((layer, content));
    }
}

/// The hard links of a layer, each with what it names; a link to a link names what that one does.
fn hard_links(layer: &LayerInventory) -> impl Iterator<Item = (&ImagePath, &ImagePath)> {
    layer.entries.iter().filter_map(|(path, entry)| {
        let Entry::HardLink { target } = entry else { return None };
        let mut target = target;
        for _ in 0..LINKS {
            match layer.entries.get(target) {
                Some(Entry::HardLink { target: next }) => target = next,
                Some(Entry::File { .. } | Entry::Directory | Entry::Symlink { .. } | Entry::Special)
                | None => break,
            }
        }
        Some((path, target))
    })
}

/// Everything below a directory, as bounds: `dir/` up to `dir0`, since `0` follows `/`.
fn below_range(directory: &ImagePath) -> (Bound<ImagePath>, Bound<ImagePath>) {
    if directory.is_root() {
        return (Bound::Excluded(ImagePath::root()), Bound::Unbounded);
    }
    let with = |byte: u8| ImagePath::from_raw([directory.as_bytes(), &[byte]].concat());
    (Bound::Excluded(with(b'/')), Bound::Excluded(with(b'/' + 1)))
}
