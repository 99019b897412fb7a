//! What the layers store, and what of it can be seen in the end.

use std::collections::HashSet;

use crate::model::layer::Entry;
use crate::model::path::ImagePath;

use super::{Content, Merged, Node};

/// A file as a layer stores it: each once, whatever names links give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<'a> {
    /// Index of the layer that has its bytes.
    pub layer: usize,
    /// Its name in that layer's archive.
    pub path: &'a ImagePath,
    /// Bytes.
    pub size: u64,
    /// The layer that took its last name away, its own included; `None` where the final file system shows it.
    pub hidden_by: Option<usize>,
}

impl<'a> Merged<'a> {
    /// Every file of every layer, in the order of the layers and of their archives.
    #[must_use]
    pub fn stored(&self) -> Vec<Stored<'a>> {
        let content = |node: &Node<'a>| match node {
            Node::File { content, .. } => Some(*content),
            Node::Directory | Node::Symlink { .. } | Node::Special | Node::Overwritten => None,
        };
        let visible: HashSet<Content<'a>> =
            self.files.nodes().filter_map(|(_, node)| content(node)).collect();
        let mut stored = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            for (path, entry) in &layer.entries {
                let content = Content { layer: index, origin: path };
                let (size, hidden_by) = match entry {
                    Entry::File { size } if visible.contains(&content) => (*size, None),
                    // What never got a name was lost in its own layer.
                    Entry::File { size } => (*size, Some(self.files.removed(content).unwrap_or(index))),
                    Entry::Overwritten { size } => (*size, Some(index)),
                    Entry::Directory
                    | Entry::Symlink { .. }
                    | Entry::HardLink { .. }
                    | Entry::Special
                    | Entry::Whiteout
                    | Entry::Opaque => continue,
                };
                stored.push(Stored { layer: index, path, size, hidden_by });
            }
        }
        stored
    }

    /// Hard links to what is not there: layer and path.
    #[must_use]
    pub fn dangling(&self) -> &[(usize, &'a ImagePath)] {
        self.files.dangling()
    }

    /// Whiteouts of what no lower layer has: layer and path.
    #[must_use]
    pub fn idle_whiteouts(&self) -> &[(usize, &'a ImagePath)] {
        self.files.idle()
    }
}
