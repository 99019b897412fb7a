//! What hangs on an image, gathered for looking at. Nothing is verified and nothing is concluded from it.

use std::collections::{BTreeMap, BTreeSet};

use crate::image::document::{self, Document};
use crate::image::limits::Limits;
use crate::model::descriptor::{Descriptor, Index, Manifest};
use crate::model::digest::Digest;
use crate::model::location::Location;
use crate::model::tree::{Artifact, BuildAttestation, Hangs, Node, Rejected, Tree};
use crate::registry::{REFERRERS_LIMIT, Registry};

use super::artifact::{LAYERS, Reader, manifest, under_tag};
use super::hanging::{DEPTH, Hung, LEGACY, Lister, document};
use super::inspect::Error;
use super::parallel::parallel;
use super::source::{Source, Unopened};

/// Listings and bundles at a time.
const AT_ONCE: usize = 4;

/// Annotation of the layers of BuildKit's attestation manifests.
const IN_TOTO: &str = "in-toto.io/predicate-type";

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The user must say something else.
    #[error("{0}")]
    Usage(String),
    /// The image could not be read.
    #[error("{0}")]
    Unread(String),
}

/// Looks at an image. What could not be seen below it stands in the tree.
///
/// # Errors
/// [`TreeError`] where the image itself could not be read.
pub fn tree(location: &Location, registry: Option<&Registry>, limits: &Limits) -> Result<Tree, TreeError> {
    if matches!(location, Location::DockerArchive { .. }) {
        let message = format!("{location} has no manifest that anything could refer to");
        return Err(TreeError::Usage(message));
    }
    let (source, root, bytes) = Source::root(location, registry, limits).map_err(|error| match error {
        Unopened::Choice(
            error @ (Error::Choice(_) | Error::Settings(_) | Error::Document(_) | Error::Platform(_)),
        ) => TreeError::Usage(error.to_string()),
        Unopened::Fault(fault) => TreeError::Unread(fault.to_string()),
    })?;
    let mut growing = Growing { source: &source, limits, manifests: 0, subjects: Vec::new() };
    let mut root = growing.node(&root, || Ok(bytes), 0);
    let lister = Lister::new(&source, limits);
    let mut found =
        Looking { lister, reader: Reader::new(&source), left: REFERRERS_LIMIT, found: BTreeMap::new() };
    found.look(&growing.subjects);
    hang(&mut root, &mut found.found);
    Ok(Tree { reference: location.to_string(), root })
}

/// The image's own manifests.
struct Growing<'a> {
    source: &'a Source,
    limits: &'a Limits,
    manifests: usize,
    subjects: Vec<Digest>,
}

impl Growing<'_> {
    fn node(
        &mut self,
        descriptor: &Descriptor,
        bytes: impl FnOnce() -> Result<Vec<u8>, String>,
        depth: usize,
    ) -> Node {
        let mut node = Node {
            digest: descriptor.digest.clone(),
            media_type: descriptor.media_type.clone(),
            size: descriptor.size,
            platform: descriptor.platform.clone(),
            children: Vec::new(),
            build: Vec::new(),
            hangs: Hangs::default(),
            unread: None,
            again: self.subjects.contains(&descriptor.digest),
        };
        // Attack: an index that lists one signed manifest a thousand times, which would be a million lines.
        if node.again {
            return node;
        }
        self.subjects.push(descriptor.digest.clone());
        let at = format!("manifest {}", descriptor.digest);
        let parsed = bytes().and_then(|bytes| {
            document::parse(&bytes, Some(&descriptor.media_type), &at).map_err(|fault| fault.to_string())
        });
        match parsed {
            Ok(Document::Manifest(_)) => {}
            Ok(Document::Index(index)) => node.unread = self.children(&mut node, &index, depth).err(),
            Err(cause) => node.unread = Some(cause),
        }
        node
    }

    fn children(&mut self, node: &mut Node, index: &Index, depth: usize) -> Result<(), String> {
        // Attack: a chain of indexes, or one that lists another over and over.
        if depth >= self.limits.index_depth {
            return Err(format!(
                "indexes nested deeper than {} (limit `index depth`)",
                self.limits.index_depth
            ));
        }
        if index.manifests.len() > self.limits.index_children {
            let limit = self.limits.index_children;
            return Err(format!("more than {limit} manifests (limit `index children`)"));
        }
        let mut build = Vec::new();
        for child in &index.manifests {
            self.manifests += 1;
            if self.manifests > self.limits.manifests {
                let limit = self.limits.manifests;
                return Err(format!("more than {limit} manifests in all (limit `manifests`)"));
            }
            let (source, limits) = (self.source, self.limits);
            let bytes = || document(source, child, limits).map_err(String::from);
            match about(child) {
                Some(about) => build.push((about, attestation(child, bytes()))),
                None => node.children.push(self.node(child, bytes, depth + 1)),
            }
        }
        for (about, mut attestation) in build {
            let sibling = node.children.iter_mut().find(|child| child.digest.to_string() == about);
            match sibling {
                Some(sibling) => sibling.build.push(attestation),
                None => {
                    attestation.astray = Some(about);
                    node.build.push(attestation);
                }
            }
        }
        Ok(())
    }
}

/// The digest that one of BuildKit's attestation manifests is about; none where it is no such manifest.
fn about(child: &Descriptor) -> Option<String> {
    let about = || child.annotations.get("vnd.docker.reference.digest").cloned().unwrap_or_default();
    child.is_build_attestation().then(about)
}

fn attestation(child: &Descriptor, bytes: Result<Vec<u8>, String>) -> BuildAttestation {
    let manifest = bytes.and_then(|bytes| manifest(&bytes, &child.digest));
    let predicates = |manifest: &Manifest| {
        let layers = manifest.layers.iter().take(LAYERS);
        layers.filter_map(|layer| layer.annotations.get(IN_TOTO).cloned()).collect()
    };
    BuildAttestation {
        digest: child.digest.clone(),
        size: child.size,
        predicate_types: manifest.as_ref().map(predicates).unwrap_or_default(),
        astray: None,
        unread: manifest.err(),
    }
}

/// What refers to manifests, level by level.
struct Looking<'a> {
    lister: Lister<'a>,
    reader: Reader<'a>,
    left: usize,
    found: BTreeMap<Digest, Hangs>,
}

impl Looking<'_> {
    fn look(&mut self, subjects: &[Digest]) {
        let mut seen = BTreeSet::new();
        let mut level = subjects.to_vec();
        for depth in 0..=DEPTH {
            let mut next = Vec::new();
            for (subject, hangs) in self.level(&level, depth) {
                // The same manifest may hang on several; what hangs on it is looked for once.
                let digests = hangs.artifacts.iter().map(|artifact| artifact.digest.clone());
                next.extend(digests.filter(|digest| seen.insert(digest.clone())));
                self.found.insert(subject, hangs);
            }
            if next.is_empty() {
                return;
            }
            level = next;
        }
    }

    fn level(&mut self, level: &[Digest], depth: usize) -> Vec<(Digest, Hangs)> {
        let listings = parallel(level, AT_ONCE, |subject| self.lister.list(subject));
        let mut work = Vec::new();
        let mut answers = Vec::new();
        for (subject, listing) in level.iter().zip(listings) {
            let mut hangs = Hangs {
                artifacts: Vec::new(),
                rejected: listing
                    .rejected
                    .into_iter()
                    .map(|rejected| Rejected { digest: rejected.digest, cause: rejected.cause })
                    .collect(),
                unknown: listing.unknown,
            };
            hangs.rejected.sort();
            let mut entries = listing.entries;
            if depth == DEPTH && !entries.is_empty() {
                hangs.unknown.push(format!("more hangs here: referrers are followed {DEPTH} deep"));
                entries.clear();
            }
            if entries.len() > self.left {
                hangs.unknown.push(format!("more than {REFERRERS_LIMIT} referrers (limit `referrers`)"));
                entries.truncate(self.left);
            }
            self.left -= entries.len();
            work.extend(entries.into_iter().map(|hung| (answers.len(), subject.clone(), hung)));
            answers.push((subject.clone(), hangs));
        }
        let artifacts = parallel(&work, AT_ONCE, |(_, subject, hung)| self.artifact(subject, hung));
        for ((place, _, _), artifact) in work.iter().zip(artifacts) {
            if let Some((_, hangs)) = answers.get_mut(*place) {
                match artifact {
                    Ok(artifact) => hangs.artifacts.push(artifact),
                    Err(cause) => hangs.unknown.push(cause),
                }
            }
        }
        if depth == 0 {
            self.legacy(&mut answers);
        }
        for (_, hangs) in &mut answers {
            hangs.artifacts.sort_by(|a, b| (a.kind, &a.digest).cmp(&(b.kind, &b.digest)));
        }
        answers
    }

    fn artifact(&self, subject: &Digest, hung: &Hung) -> Result<Artifact, String> {
        let bytes = self.lister.open(subject, hung)?;
        Ok(self.reader.artifact(hung, &bytes))
    }

    /// Adds what cosign's tags lead to.
    fn legacy(&self, answers: &mut [(Digest, Hangs)]) {
        let tags: Vec<(usize, &Digest, &str)> = answers
            .iter()
            .enumerate()
            .flat_map(|(place, (subject, _))| LEGACY.iter().map(move |suffix| (place, subject, *suffix)))
            .collect();
        let found = parallel(&tags, AT_ONCE, |(_, subject, suffix)| self.lister.legacy(subject, suffix));
        let found: Vec<(usize, &str, _)> =
            tags.iter().zip(found).map(|((place, _, suffix), found)| (*place, *suffix, found)).collect();
        for (place, suffix, found) in found {
            let Some((_, hangs)) = answers.get_mut(place) else { continue };
            match found {
                Ok(Some((descriptor, bytes))) => hangs.artifacts.push(under_tag(suffix, &descriptor, &bytes)),
                Ok(None) => {}
                Err(cause) => hangs.unknown.push(cause.into()),
            }
        }
    }
}

/// Puts what was found where it belongs.
fn hang(node: &mut Node, found: &mut BTreeMap<Digest, Hangs>) {
    if node.again {
        return;
    }
    node.hangs = found.get(&node.digest).cloned().unwrap_or_default();
    on_artifacts(&mut node.hangs, found, DEPTH);
    for child in &mut node.children {
        hang(child, found);
    }
}

fn on_artifacts(hangs: &mut Hangs, found: &BTreeMap<Digest, Hangs>, left: usize) {
    let Some(left) = left.checked_sub(1) else { return };
    for artifact in &mut hangs.artifacts {
        artifact.hangs = found.get(&artifact.digest).cloned().unwrap_or_default();
        on_artifacts(&mut artifact.hangs, found, left);
    }
}
