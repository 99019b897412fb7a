//! The layers merged into one file system, as a runtime would extract them (OCI layer.md,
//! "Applying Changesets"): whiteouts, opaque directories, replaced types, hard and symbolic links.
//! Nothing is extracted; a file is known by the layer and the name that hold its bytes.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
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
    /// A file of which nothing is known: a later entry of its layer's archive has its name.
    Overwritten,
}

/// A node and the layer that made it, or that named the directory again.
#[derive(Debug, Clone, Copy)]
struct Placed<'a> {
    node: Node<'a>,
    layer: usize,
}

/// From which layer on a path had these contents; `None`: from which on it had none.
pub(super) type Event<'a> = (usize, Option<Content<'a>>);

/// The merged file system, with the history of the paths that a cataloger read.
#[derive(Debug)]
pub(super) struct FileSystem<'a> {
    /// The files that a cataloger read, of every layer.
    watched: HashSet<Content<'a>>,
    nodes: BTreeMap<Cow<'a, ImagePath>, Placed<'a>>,
    history: BTreeMap<ImagePath, Vec<Event<'a>>>,
    /// What could not be replayed for certain, by layer, each with the first path that it befell.
    doubts: BTreeMap<(usize, &'static str), ImagePath>,
    /// The parent directory of the last entry and where it leads: entries mostly come sorted. Forgotten
    /// when a symbolic link comes or goes.
    parent: Option<(ImagePath, Option<ImagePath>)>,
    /// The directories whose lower content the layer at hand has hidden already.
    hidden: HashSet<ImagePath>,
    /// The directories of lower layers that the layer at hand has hidden themselves.
    gone: HashSet<ImagePath>,
    /// In which layer each content last lost a name.
    removed: HashMap<Content<'a>, usize>,
    /// Hard links to nothing, and whiteouts that hide nothing, by layer.
    dangling: Vec<(usize, &'a ImagePath)>,
    idle: Vec<(usize, &'a ImagePath)>,
    /// What is left of [`WORK`].
    work: Cell<usize>,
    /// What is left of [`MADE`].
    made: usize,
}

/// Layers on which runtimes disagree (those that unpack onto the lower layers, and those that unpack
/// beside them and overlay), or which they refuse. Each is a gap of the whole image.
mod doubt {
    pub(super) const LOST: &str = "an entry's directory leads through links to nowhere";
    pub(super) const THROUGH: &str = "a whiteout leads through a symbolic link";
    pub(super) const OWN_LINK: &str = "a whiteout stands after a symbolic link of its layer, which it names";
    pub(super) const BELOW_FILE: &str = "an entry stands below a file of its own layer";
    pub(super) const TWO_KINDS: &str = "a directory takes the place of another entry of its own layer";
    pub(super) const OVERWRITES: &str = "a package's file is replaced through a symbolic link";
    pub(super) const BACK: &str = "a whiteout hides a directory that its layer makes again";
    pub(super) const MADE: &str =
        "too many directories are left out, or names lead through links (limit `made paths`)";
    pub(super) const LATE: &str = "a hard link stands before the file that it names";
}

/// How many symbolic links a path may lead through: 40, as Linux (`path_resolution(7)`).
const LINKS: usize = 40;

/// How many components are still to be followed at a link.
const COMPONENTS: usize = 1024;

/// Bytes of a path that links lead to: `PATH_MAX` of Linux.
const PATH: usize = 4096;

/// Bytes of paths that are looked up on behalf of links: 1 GiB; real images need a hundredth. Attack: a
/// million names below links to links to deep directories.
const WORK: usize = 1 << 30;

/// Bytes of paths that no archive names, of directories left out and of entries below links: 256 MiB.
/// Attack: a thousand short names below a link to a directory with a long one.
const MADE: usize = 256 << 20;

impl<'a> FileSystem<'a> {
    /// Merges layers, base first.
    pub(super) fn merge(layers: &'a [Arc<LayerInventory>]) -> Self {
        let watched = layers.iter().enumerate().flat_map(|(layer, inventory)| {
            inventory.facts.keys().map(move |(origin, _)| Content { layer, origin })
        });
        let mut merged = Self {
            watched: watched.collect(),
            nodes: BTreeMap::new(),
            history: BTreeMap::new(),
            doubts: BTreeMap::new(),
            parent: None,
            hidden: HashSet::new(),
            gone: HashSet::new(),
            removed: HashMap::new(),
            dangling: Vec::new(),
            idle: Vec::new(),
            work: Cell::new(WORK),
            made: MADE,
        };
        for (index, layer) in layers.iter().enumerate() {
            merged.apply(index, layer);
        }
        merged
    }

    /// Every path and what it is, sorted.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&ImagePath, &Node<'a>)> {
        self.nodes.iter().map(|(path, placed)| (path.as_ref(), &placed.node))
    }

    /// What lies below a directory, sorted, without following links.
    pub(super) fn below(&self, directory: &ImagePath) -> impl Iterator<Item = (&ImagePath, &Node<'a>)> {
        let (from, to) = below_range(directory);
        self.nodes
            .range::<ImagePath, _>((from.as_ref(), to.as_ref()))
            .map(|(path, placed)| (path.as_ref(), &placed.node))
    }

    /// What lies in a directory itself, sorted; what lies deeper is passed over at once.
    pub(super) fn children(&self, directory: &ImagePath) -> Vec<(ImagePath, Node<'a>)> {
        let (mut from, to) = below_range(directory);
        let skipped = if directory.is_root() { 0 } else { directory.as_bytes().len() + 1 };
        let mut children = Vec::new();
        while let Some((path, placed)) = self.nodes.range::<ImagePath, _>((from.as_ref(), to.as_ref())).next()
        {
            let rest = path.as_bytes().get(skipped..).unwrap_or_default();
            from = match rest.iter().position(|b| *b == b'/') {
                None => {
                    children.push((path.as_ref().clone(), placed.node));
                    Bound::Excluded(path.as_ref().clone())
                }
                Some(end) => {
                    let child = path.as_bytes().get(..skipped + end).unwrap_or_default();
                    Bound::Included(ImagePath::from_raw([child, &[b'/' + 1]].concat()))
                }
            };
        }
        children
    }

    /// By layer, why what is seen here may not be what runs.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (usize, String)> {
        let doubts = self.doubts.iter().map(|((layer, what), path)| (*layer, format!("{what}: `{path}`")));
        // Attack: a package database under the name of a hard link, and then another file in the place
        // of the one that the link names.
        let overwritten = self.nodes.iter().filter(|(_, placed)| placed.node == Node::Overwritten);
        let first: BTreeMap<usize, String> = overwritten
            .rev()
            .map(|(path, placed)| {
                (placed.layer, format!("a file whose name stands twice is kept as `{path}`"))
            })
            .collect();
        let spent = (self.work.get() == 0)
            .then(|| (0, "links lead too far and too often (limit `link work`)".to_owned()));
        doubts.chain(first).chain(spent)
    }

    /// The layer in which a content last lost a name; `None` where it never had one.
    pub(super) fn removed(&self, content: Content<'a>) -> Option<usize> {
        self.removed.get(&content).copied()
    }

    /// Hard links to what no layer has by then: layer and path.
    pub(super) fn dangling(&self) -> &[(usize, &'a ImagePath)] {
        &self.dangling
    }

    /// Whiteouts of what no lower layer has: layer and path.
    pub(super) fn idle(&self) -> &[(usize, &'a ImagePath)] {
        &self.idle
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
        let node = self.node(&resolved)?;
        Some((resolved, node))
    }

    fn node(&self, path: &ImagePath) -> Option<Node<'a>> {
        self.nodes.get(path).map(|placed| placed.node)
    }

    /// The path with its links followed; the last component's only if `last`. A missing component is
    /// kept as it is, so that a new file's place can be told.
    fn follow(&self, path: &ImagePath, last: bool) -> Option<ImagePath> {
        let mut resolved = ImagePath::root();
        let mut rest: Vec<&[u8]> = path.components().rev().collect();
        let mut links = 0;
        while let Some(component) = rest.pop() {
            if links > 0 && !self.spend(resolved.as_bytes().len()) {
                return None;
            }
            if component == b".." {
                // As at runtimes, `..` at the root stays there: a link cannot lead out of the image.
                resolved = resolved.parent().unwrap_or_default();
                continue;
            }
            let next = resolved.join(component);
            match self.node(&next) {
                Some(Node::Symlink { target, .. }) if last || !rest.is_empty() => {
                    links += 1;
                    // Attack: links that point at each other, to keep the reader busy for ever.
                    if links > LINKS || rest.len() > COMPONENTS {
                        return None;
                    }
                    if target.starts_with(b"/") {
                        resolved = ImagePath::root();
                    }
                    let parts = target.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b"."));
                    rest.extend(parts.rev());
                }
                _ if next.as_bytes().len() > PATH => return None,
                _ => resolved = next,
            }
        }
        Some(resolved)
    }

    /// Counts the work of following links; whether there may be more of it.
    fn spend(&self, bytes: usize) -> bool {
        let left = self.work.get().saturating_sub(bytes + 32);
        self.work.set(left);
        left > 0
    }

    /// Replays a layer in its archive's order, as a runtime does.
    fn apply(&mut self, index: usize, layer: &'a LayerInventory) {
        self.hidden.clear();
        self.gone.clear();
        let mut late = Vec::new();
        for (path, entry) in &layer.entries {
            let node = match entry {
                Entry::HardLink { target } => {
                    if !self.hard_link(path, target, index) {
                        late.push((path, target));
                    }
                    continue;
                }
                Entry::Whiteout => {
                    self.whiteout(path, index);
                    continue;
                }
                Entry::Opaque => {
                    self.opaque(path, index);
                    continue;
                }
                Entry::File { .. } => {
                    Node::File { content: Content { layer: index, origin: path }, link: None }
                }
                Entry::Directory => Node::Directory,
                Entry::Symlink { target } => Node::Symlink { layer: index, target },
                Entry::Special => Node::Special,
                Entry::Overwritten { .. } => Node::Overwritten,
            };
            self.add(path, node, index);
        }
        self.late_links(late, index);
    }

    fn add(&mut self, path: &'a ImagePath, node: Node<'a>, index: usize) {
        let Some(place) = self.place(path) else { return self.doubt(doubt::LOST, path, index) };
        // What is replaced is gone afterwards: no second look at it.
        if *place != *path && node != Node::Directory && self.is_watched_of_lower(&place, index) {
            self.doubt(doubt::OVERWRITES, path, index);
        }
        self.insert(place.clone(), node, index);
        if let Node::File { content, .. } = node
            && self.watched.contains(&content)
        {
            self.record(&place, index, Some(content));
        }
    }

    /// Whether the hard link's target is there by now.
    fn hard_link(&mut self, path: &'a ImagePath, target: &'a ImagePath, index: usize) -> bool {
        let node = match self.place(target).and_then(|target| self.node(&target)) {
            Some(Node::File { content, .. }) => Node::File { content, link: Some(index) },
            Some(other) => other,
            None => return false,
        };
        self.add(path, node, index);
        true
    }

    /// Hard links to what stands later in the archive. A runtime refuses them; what they would show is
    /// shown all the same.
    fn late_links(&mut self, mut late: Vec<(&'a ImagePath, &'a ImagePath)>, index: usize) {
        for _ in 0..LINKS {
            let before = late.len();
            late.retain(|(path, target)| {
                let made = self.hard_link(path, target, index);
                if made {
                    self.doubt(doubt::LATE, path, index);
                }
                !made
            });
            if late.len() == before {
                break;
            }
        }
        self.dangling.extend(late.iter().map(|(path, _)| (index, *path)));
    }

    /// Hides a path of lower layers, never an entry of this layer, whatever their order (OCI layer.md).
    fn whiteout(&mut self, path: &'a ImagePath, index: usize) {
        let Some(place) = self.place(path) else { return self.doubt(doubt::LOST, path, index) };
        if !self.nodes.contains_key(&*place) && !self.hidden.contains(&*place) {
            self.idle.push((index, path));
        }
        let Some(own) = self.own_below(&place, index, path) else { return };
        let own_link = matches!(self.nodes.get(&*place), Some(Placed { node: Node::Symlink { .. }, layer }) if *layer == index);
        if own_link || own.links {
            self.doubt(doubt::OWN_LINK, path, index);
        }
        self.remove_lower_below(&place, index, &own);
        if self.nodes.get(&*place).is_some_and(|placed| placed.layer < index) && own.parents.is_empty() {
            if self.node(&place) == Some(Node::Directory) {
                self.gone.insert(place.clone().into_owned());
            }
            self.remove(&place, index);
        }
    }

    /// Hides what lower layers have below a directory.
    fn opaque(&mut self, path: &ImagePath, index: usize) {
        let Some(place) = self.follow(path, true) else { return self.doubt(doubt::LOST, path, index) };
        let Some(own) = self.own_below(&place, index, path) else { return };
        if own.links_in_directories {
            self.doubt(doubt::OWN_LINK, path, index);
        }
        self.remove_lower_below(&place, index, &own);
    }

    /// What this layer has made below a directory whose lower content is to be hidden; `None` where
    /// there is nothing to hide.
    ///
    /// Attack: a whiteout through a link of a lower layer. Where layers are overlaid it hides nothing, and
    /// neither where this layer puts a directory in the link's place.
    fn own_below(&mut self, place: &ImagePath, index: usize, named: &ImagePath) -> Option<Own> {
        if !self.hidden.insert(place.clone()) {
            return None;
        }
        if place != named {
            let nothing = !self.nodes.contains_key(place) && self.below(place).next().is_none();
            if !nothing {
                self.doubt(doubt::THROUGH, named, index);
            }
            return None;
        }
        let (from, to) = below_range(place);
        let mut own = Own::default();
        for (path, placed) in self.nodes.range::<ImagePath, _>((from.as_ref(), to.as_ref())) {
            if placed.layer < index {
                continue;
            }
            let is_link = matches!(placed.node, Node::Symlink { .. });
            let mut parent = path.parent();
            own.links |= is_link;
            own.links_in_directories |= is_link && parent.as_ref() != Some(place);
            while let Some(directory) = parent.filter(|directory| directory.starts_with(place)) {
                parent = directory.parent();
                if !own.parents.insert(directory) {
                    break;
                }
            }
        }
        Some(own)
    }

    fn remove_lower_below(&mut self, directory: &ImagePath, index: usize, own: &Own) {
        let (from, to) = below_range(directory);
        let lower = self
            .nodes
            .range::<ImagePath, _>((from.as_ref(), to.as_ref()))
            .filter(|(path, placed)| placed.layer < index && !own.parents.contains(path.as_ref()));
        let lower: Vec<ImagePath> = lower.map(|(path, _)| path.as_ref().clone()).collect();
        for path in lower {
            self.remove_node(&path, index);
        }
    }

    /// Whether a path, or what lies below it, is what a cataloger read of lower layers.
    fn is_watched_of_lower(&self, place: &ImagePath, index: usize) -> bool {
        let watched = |node: &Node<'_>| matches!(node, Node::File { content, .. } if content.layer < index && self.watched.contains(content));
        self.node(place).is_some_and(|node| watched(&node))
            || self.below(place).any(|(_, node)| watched(node))
    }

    /// Where an entry of that name lands: the links of its parent directories followed. This is how a
    /// layer writes through a symbolic link of a lower one.
    fn place(&mut self, path: &'a ImagePath) -> Option<Cow<'a, ImagePath>> {
        let parent = path.parent()?;
        if self.parent.as_ref().is_none_or(|(last, _)| *last != parent) {
            let followed = self.follow(&parent, true);
            self.parent = Some((parent, followed));
        }
        let (parent, followed) = self.parent.as_ref()?;
        let followed = followed.as_ref()?;
        Some(if followed == parent {
            Cow::Borrowed(path)
        } else {
            Cow::Owned(followed.join(path.file_name()))
        })
    }

    fn insert(&mut self, path: Cow<'a, ImagePath>, node: Node<'a>, layer: usize) {
        if let Some(there) = self.nodes.get_mut(path.as_ref()) {
            if node == Node::Directory && there.node == Node::Directory {
                there.layer = layer;
                return;
            }
            // Overlaid, the directory shows what a lower layer has in it; the other entry hid that.
            if node == Node::Directory && there.layer == layer {
                self.doubt(doubt::TWO_KINDS, &path, layer);
            }
            self.remove(&path, layer);
        }
        if matches!(node, Node::Symlink { .. }) {
            self.parent = None;
        }
        self.make_parents(&path, layer);
        self.place_node(path, node, layer);
    }

    /// Directories that an archive leaves out exist all the same; a file in their place is replaced.
    fn make_parents(&mut self, path: &ImagePath, layer: usize) {
        let mut parent = path.parent();
        while let Some(directory) = parent.filter(|directory| !directory.is_root()) {
            match self.nodes.get(&directory) {
                Some(Placed { node: Node::Directory, .. }) => return,
                Some(there) => {
                    if there.layer == layer {
                        self.doubt(doubt::BELOW_FILE, path, layer);
                    }
                    self.remove(&directory, layer);
                }
                None => {}
            }
            parent = directory.parent();
            self.place_node(Cow::Owned(directory), Node::Directory, layer);
        }
    }

    fn place_node(&mut self, path: Cow<'a, ImagePath>, node: Node<'a>, layer: usize) {
        // Overlaid, a directory that takes a whiteout's place shows what the whiteout was to hide.
        if node == Node::Directory && self.gone.contains(path.as_ref()) {
            self.doubt(doubt::BACK, &path, layer);
        }
        if let Cow::Owned(path) = &path {
            let Some(left) = self.made.checked_sub(path.as_bytes().len() + 64) else {
                return self.doubt(doubt::MADE, path, layer);
            };
            self.made = left;
        }
        self.nodes.insert(path, Placed { node, layer });
    }

    fn remove(&mut self, path: &ImagePath, layer: usize) {
        if self.node(path) == Some(Node::Directory) {
            let below: Vec<ImagePath> = self.below(path).map(|(path, _)| path.clone()).collect();
            for path in below {
                self.remove_node(&path, layer);
            }
        }
        self.remove_node(path, layer);
    }

    fn remove_node(&mut self, path: &ImagePath, layer: usize) {
        let Some(gone) = self.nodes.remove(path) else { return };
        if matches!(gone.node, Node::Symlink { .. }) {
            self.parent = None;
        }
        if let Node::File { content, .. } = gone.node {
            self.removed.insert(content, layer);
        }
        if self.history.contains_key(path) {
            self.record(path, layer, None);
        }
    }

    fn record(&mut self, path: &ImagePath, layer: usize, content: Option<Content<'a>>) {
        let events = self.history.entry(path.clone()).or_default();
        if events.last().is_some_and(|(last, _)| *last == layer) {
            events.pop();
        }
        events.push((layer, content));
    }

    fn doubt(&mut self, what: &'static str, path: &ImagePath, layer: usize) {
        self.doubts.entry((layer, what)).or_insert_with(|| path.clone());
    }
}

/// What the layer at hand has made below a directory.
#[derive(Debug, Default)]
struct Own {
    /// The directories, up to the one asked for, that hold an entry of this layer.
    parents: BTreeSet<ImagePath>,
    /// Whether any of it is a symbolic link, and whether one is not in the directory itself.
    links: bool,
    links_in_directories: bool,
}

/// Everything below a directory, as bounds: `dir/` up to `dir0`, since `0` follows `/`.
fn below_range(directory: &ImagePath) -> (Bound<ImagePath>, Bound<ImagePath>) {
    if directory.is_root() {
        return (Bound::Excluded(ImagePath::root()), Bound::Unbounded);
    }
    let with = |byte: u8| ImagePath::from_raw([directory.as_bytes(), &[byte]].concat());
    (Bound::Excluded(with(b'/')), Bound::Excluded(with(b'/' + 1)))
}
