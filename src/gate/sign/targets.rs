//! The manifests of an image: all that its indexes lead to, each once.

use std::collections::{BTreeMap, BTreeSet};

use crate::image::document::{self, Document};
use crate::image::limits::Limits;
use crate::model::descriptor::{Descriptor, Index};
use crate::model::digest::Digest;
use crate::model::platform::Platform;

use super::SignError;
use crate::gate::hanging::document as fetch;
use crate::gate::source::Source;

/// A manifest to be signed.
#[derive(Debug, Clone)]
pub(in crate::gate) struct Target {
    pub(in crate::gate) descriptor: Descriptor,
    /// Its platform, as the index has it; none of the image as a whole, and of an index within it.
    pub(in crate::gate) platform: Option<Platform>,
    /// Of an index, the manifests that it leads to, whatever number of indexes are between.
    pub(in crate::gate) below: Option<BTreeSet<Digest>>,
}

/// The manifests to be signed: the image's own, and where that is asked for all below it, indexes too. Every one of them
/// was read: what is signed must be there, and be what the index says.
///
/// # Errors
/// [`SignError::Unread`] where one cannot be read, or there are more or deeper ones than the limits allow: nothing is
/// signed then.
pub(in crate::gate) fn targets(
    source: &Source,
    root: Descriptor,
    bytes: &[u8],
    recursive: bool,
    limits: &Limits,
) -> Result<Vec<Target>, SignError> {
    let mut walk = Walk {
        source,
        limits,
        targets: Vec::new(),
        entered: BTreeMap::new(),
        listed: 0,
        read: bytes.len() as u64,
    };
    match recursive {
        true => walk.enter(root, bytes, 0).map(drop)?,
        false => {
            parse(&root, bytes)?;
            walk.targets.push(Target { descriptor: root, platform: None, below: None });
        }
    }
    Ok(walk.targets)
}

fn parse(descriptor: &Descriptor, bytes: &[u8]) -> Result<Document, SignError> {
    let at = format!("manifest {}", descriptor.digest);
    let parsed = document::parse(bytes, Some(&descriptor.media_type), &at);
    parsed.map_err(|fault| SignError::Unread(fault.to_string()))
}

struct Walk<'a> {
    source: &'a Source,
    limits: &'a Limits,
    targets: Vec<Target>,
    /// What was looked at, and the manifests at and below it.
    entered: BTreeMap<Digest, BTreeSet<Digest>>,
    listed: usize,
    /// Bytes of the documents so far.
    read: u64,
}

impl Walk<'_> {
    /// Adds what a descriptor leads to; the manifests at and below it.
    fn enter(
        &mut self,
        descriptor: Descriptor,
        bytes: &[u8],
        depth: usize,
    ) -> Result<BTreeSet<Digest>, SignError> {
        let digest = descriptor.digest.clone();
        let parsed = parse(&descriptor, bytes)?;
        let place = self.targets.len();
        let platform = descriptor.platform.clone();
        self.targets.push(Target { descriptor, platform, below: None });
        let below = match parsed {
            Document::Manifest(_) => BTreeSet::from([digest.clone()]),
            Document::Index(index) => {
                let below = self.children(&digest, &index, depth)?;
                if let Some(target) = self.targets.get_mut(place) {
                    target.below = Some(below.clone());
                }
                below
            }
        };
        self.entered.insert(digest, below.clone());
        Ok(below)
    }

    fn children(&mut self, of: &Digest, index: &Index, depth: usize) -> Result<BTreeSet<Digest>, SignError> {
        let Limits { index_depth, index_children, manifests, documents, .. } = *self.limits;
        let many = |what: String| Err(SignError::Unread(format!("manifest {of}: {what}")));
        // Attack: a chain of indexes. What is not looked at is not signed, and the user hears of it now.
        if depth >= index_depth {
            return many(format!("indexes nested deeper than {index_depth} (limit `index depth`)"));
        }
        if index.manifests.len() > index_children {
            return many(format!("more than {index_children} manifests (limit `index children`)"));
        }
        let mut below = BTreeSet::new();
        for child in &index.manifests {
            // Nobody runs these.
            if child.is_build_attestation() {
                continue;
            }
            // Attack: indexes that list one another over and over.
            self.listed += 1;
            if self.listed > manifests {
                return many(format!("more than {manifests} manifests in all (limit `manifests`)"));
            }
            if let Some(known) = self.entered.get(&child.digest) {
                below.extend(known.iter().cloned());
                continue;
            }
            let bytes = fetch(self.source, child, self.limits);
            let bytes = bytes.map_err(|cause| SignError::Unread(cause.to_string()))?;
            self.read = self.read.saturating_add(bytes.len() as u64);
            if self.read > documents {
                return many(format!("manifests of more than {documents} bytes in all (limit `documents`)"));
            }
            below.extend(self.enter(child.clone(), &bytes, depth + 1)?);
        }
        Ok(below)
    }
}
