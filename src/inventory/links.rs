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

/// A file that a cataloger wants under the name of a link and not under its own.
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
    let mut search = Search { files, budget: BUDGET, found: Vec::new() };
    for (path, node) in files.nodes() {
        match node {
            // Two hard links are two files: each installs what its own path says.
            Node::File { content, link: Some(layer) } => search.hard_link(path, *content, *layer),
            Node::Symlink { layer, .. } => search.symlink(path, *layer),
            Node::File { link: None, .. } | Node::Directory | Node::Special | Node::Overwritten => {}
        }
    }
    let exhausted = search.budget == 0;
    let mut found = search.found;
    found.sort();
    // A symbolic link shows the same installed package once more: the first name is enough.
    let mut seen = BTreeSet::new();
    found.retain(|(is_symlink, sighting)| !is_symlink || seen.insert((sighting.content, sighting.cataloger)));
    let cause = exhausted.then(|| format!("links lead to more than {BUDGET} files (limit `linked files`)"));
    (found.into_iter().map(|(_, sighting)| sighting).collect(), cause)
}

struct Search<'f, 'a> {
    files: &'f FileSystem<'a>,
    budget: usize,
    found: Vec<(bool, Sighting<'a>)>,
}

impl<'a> Search<'_, 'a> {
    fn hard_link(&mut self, path: &ImagePath, content: Content<'a>, since: usize) {
        for cataloger in CATALOGERS.iter().filter(|cataloger| cataloger.wants(path, &[])) {
            let cataloger = cataloger.id();
            self.found.push((false, Sighting { content, cataloger, seen_as: path.clone(), since }));
        }
    }

    fn symlink(&mut self, link: &ImagePath, layer: usize) {
        match self.files.resolve(link) {
            Some((real, Node::File { content, .. })) => self.file(link, &real, content, layer),
            // A link to a directory that holds the link shows nothing new.
            Some((real, Node::Directory)) if !link.starts_with(&real) => {
                self.directory(link, &real, layer, &mut vec![real.clone()]);
            }
            Some((_, Node::Directory | Node::Special | Node::Overwritten | Node::Symlink { .. })) | None => {}
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
                            let again =
                                stack.iter().any(|on| on.starts_with(&target) || target.starts_with(on));
                            if !again && stack.len() < DEPTH {
                                stack.push(target.clone());
                                self.directory(&name, &target, since, stack);
                                stack.pop();
                            }
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
            if cataloger.wants(seen_as, &[]) && !cataloger.wants(real, &[]) {
                let since = layer.max(content.layer);
                let seen_as = seen_as.clone();
                self.found.push((true, Sighting { content, cataloger: cataloger.id(), seen_as, since }));
            }
        }
    }
}
