//! Files seen under the names of links: a `node_modules` that is a link to elsewhere, a `package.json`
//! that is a hard link to a file of another name.

use std::collections::BTreeSet;

use crate::model::layer::Alias;
use crate::model::path::ImagePath;

use super::CATALOGERS;
use super::filesystem::{Content, FileSystem, Node};

/// How many files are looked at below linked directories: 1 million, so that links that multiply each
/// other cannot keep the reader busy for ever.
const BUDGET: usize = 1_000_000;

/// How deep linked directories are followed inside each other.
const DEPTH: usize = 8;

/// How deep a directory is looked into that a link enters again from inside: as deep as the longest end of
/// a path that makes a cataloger want it. What lies deeper is wanted under its own name already.
const AGAIN: usize = 4;

/// Bytes of the names of what is found: 64 MiB. Attack: a thousand packages below a thousand links.
const NAMES: usize = 64 << 20;

/// A file that a cataloger wants under the name of a link and not under its own, or reads otherwise there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sighting<'a> {
    pub(super) content: Content<'a>,
    pub(super) cataloger: &'static str,
    pub(super) seen_as: ImagePath,
    /// The layer since which it is seen so.
    pub(super) since: usize,
}

impl Sighting<'_> {
    pub(super) fn alias(&self) -> Alias {
        Alias {
            origin: self.content.origin.clone(),
            seen_as: self.seen_as.clone(),
            cataloger: self.cataloger,
        }
    }
}

/// All sightings, and a cause where the search had to end early.
pub(super) fn sightings<'a>(files: &FileSystem<'a>) -> (Vec<Sighting<'a>>, Option<String>) {
    let mut search = Search { files, budget: BUDGET, names: NAMES, cut: None, found: Vec::new() };
    for (path, node) in files.nodes() {
        match node {
            // Two hard links are two files: each installs what its own path says.
            Node::File { content, link: Some(layer) } => search.hard_link(path, *content, *layer),
            Node::Symlink { layer, .. } => search.symlink(path, *layer),
            Node::File { link: None, .. } | Node::Directory | Node::Special | Node::Overwritten => {}
        }
    }
    let cause = search.cause();
    let mut found = search.found;
    found.sort();
    // A symbolic link shows the same installed package once more: the first name is enough.
    let mut seen = BTreeSet::new();
    found.retain(|(is_symlink, sighting)| !is_symlink || seen.insert((sighting.content, sighting.cataloger)));
    (found.into_iter().map(|(_, sighting)| sighting).collect(), cause)
}

struct Search<'f, 'a> {
    files: &'f FileSystem<'a>,
    budget: usize,
    /// What is left of [`NAMES`].
    names: usize,
    /// The first link that was one too many inside each other.
    cut: Option<ImagePath>,
    found: Vec<(bool, Sighting<'a>)>,
}

impl<'a> Search<'_, 'a> {
    /// Why something may not have been found.
    fn cause(&self) -> Option<String> {
        if self.budget == 0 || self.names == 0 {
            return Some(format!(
                "links lead to more than {BUDGET} files, or names too long (limit `linked files`)"
            ));
        }
        let cut = self.cut.as_ref()?;
        Some(format!(
            "links to directories inside each other, more than {DEPTH}: `{cut}` (limit `linked directories`)"
        ))
    }

    fn hard_link(&mut self, path: &ImagePath, content: Content<'a>, since: usize) {
        for cataloger in CATALOGERS.iter().filter(|cataloger| cataloger.wants(path, &[])) {
            let cataloger = cataloger.id();
            self.found.push((false, Sighting { content, cataloger, seen_as: path.clone(), since }));
        }
    }

    fn symlink(&mut self, link: &ImagePath, layer: usize) {
        match self.files.resolve(link) {
            Some((real, Node::File { content, .. })) => self.file(link, &real, content, layer),
            Some((real, Node::Directory)) => {
                let holds_link = link.starts_with(&real);
                self.linked(link, &real, layer, &mut Vec::new(), holds_link);
            }
            Some((_, Node::Special | Node::Overwritten | Node::Symlink { .. })) | None => {}
        }
    }

    /// Looks into a directory that a link leads to.
    ///
    /// Attack: `node_modules` as a link to a directory that holds it shows every directory there as a
    /// package, and nothing of it has such a name of its own.
    fn linked(
        &mut self,
        seen_as: &ImagePath,
        real: &ImagePath,
        layer: usize,
        stack: &mut Vec<ImagePath>,
        holds_link: bool,
    ) {
        if holds_link || stack.iter().any(|on| on.starts_with(real)) {
            self.again(seen_as, real, layer, AGAIN);
        } else if stack.len() < DEPTH {
            stack.push(real.clone());
            self.directory(seen_as, real, layer, stack);
            stack.pop();
        } else {
            self.cut.get_or_insert_with(|| seen_as.clone());
            self.again(seen_as, real, layer, AGAIN);
        }
    }

    /// Looks at what lies at most `depth` below `real`: so often, links can lead in circles.
    fn again(&mut self, seen_as: &ImagePath, real: &ImagePath, layer: usize, depth: usize) {
        if depth == 0 || self.budget == 0 {
            return;
        }
        for (path, node) in self.files.children(real) {
            if self.budget == 0 {
                return;
            }
            self.budget -= 1;
            let name = seen_as.join(path.file_name());
            let (target, node, since) = match node {
                Node::Symlink { layer: made, .. } => match self.files.resolve(&path) {
                    Some((target, node)) => (target, node, layer.max(made)),
                    None => continue,
                },
                Node::Directory | Node::File { .. } | Node::Special | Node::Overwritten => {
                    (path, node, layer)
                }
            };
            match node {
                Node::File { content, .. } => self.file(&name, &target, content, since),
                Node::Directory => self.again(&name, &target, since, depth - 1),
                Node::Symlink { .. } | Node::Special | Node::Overwritten => {}
            }
        }
    }

    /// Looks at what lies below `real` under names that begin with `seen_as`. `stack` holds the real
    /// directories on the way: none is entered inside itself.
    fn directory(&mut self, seen_as: &ImagePath, real: &ImagePath, layer: usize, stack: &mut Vec<ImagePath>) {
        let files = self.files;
        for (path, node) in files.below(real) {
            if self.budget == 0 {
                return;
            }
            self.budget -= 1;
            let Some(rest) = path.as_bytes().get(real.as_bytes().len()..) else { continue };
            let name = seen_as.join(rest.strip_prefix(b"/").unwrap_or(rest));
            match node {
                Node::File { content, .. } => self.file(&name, path, *content, layer.max(content.layer)),
                Node::Symlink { layer: made, .. } => {
                    let since = layer.max(*made);
                    match files.resolve(path) {
                        Some((target, Node::File { content, .. })) => {
                            self.file(&name, &target, content, since)
                        }
                        Some((target, Node::Directory)) => {
                            self.linked(&name, &target, since, stack, false);
                        }
                        Some((_, Node::Special | Node::Overwritten | Node::Symlink { .. })) | None => {}
                    }
                }
                Node::Directory | Node::Special | Node::Overwritten => {}
            }
        }
    }

    fn file(&mut self, seen_as: &ImagePath, real: &ImagePath, content: Content<'a>, layer: usize) {
        for cataloger in CATALOGERS {
            let is_new = !cataloger.wants(real, &[]) || !cataloger.reads_alike(real, seen_as);
            if is_new && cataloger.wants(seen_as, &[]) {
                self.names = self.names.saturating_sub(seen_as.as_bytes().len() + 64);
                if self.names == 0 {
                    return;
                }
                let since = layer.max(content.layer);
                let seen_as = seen_as.clone();
                self.found.push((true, Sighting { content, cataloger: cataloger.id(), seen_as, since }));
            }
        }
    }
}
