//! An image, what it consists of, and what hangs on every part of it.

use std::collections::BTreeMap;
use std::io::Read as _;

use serde_json::Value;

use crate::image::document::{self, Document, MANIFEST_TYPES};
use crate::image::limits::Limits;
use crate::image::resolve;
use crate::model::descriptor::{Descriptor, Manifest};
use crate::model::digest::Digest;
use crate::model::evidence::ImageIdentity;
use crate::model::location::Location;
use crate::model::tree::{Leaf, LeafKind, Node, Signer, Tree};
use crate::registry::Registry;
use crate::signature;

use super::copy::CopyError;
use super::hanging::{self, Hanging};
use super::source::{Source, Unopened};

/// Bytes of a bundle or an envelope that is opened to see who signed it: 32 MiB (design §7, "attestation").
const BUNDLE: u64 = 32 << 20;

/// cosign's annotation with the certificate of a legacy signature.
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";

/// Sees what an image consists of and what hangs on it. Layers are not read.
///
/// # Errors
/// [`CopyError`] where the image itself cannot be read; what cannot be seen below it is in the tree.
pub fn tree(location: &Location, registry: Option<&Registry>, limits: &Limits) -> Result<Tree, CopyError> {
    if matches!(location, Location::DockerArchive { .. }) {
        return Err(CopyError::Usage("a docker-archive has no manifest for anything to hang on".to_owned()));
    }
    let (source, image) = match Source::open(location, None, registry, limits) {
        Ok(opened) => opened,
        Err(Unopened::Choice(error)) => return Err(CopyError::Usage(error.to_string())),
        Err(Unopened::Fault(fault)) => return Err(CopyError::Failed(fault.to_string())),
    };
    let root = image.root.ok_or_else(|| CopyError::Failed("the image has no manifest".to_owned()))?;
    let mut growing = Growing { source: &source, limits, unknown: Vec::new(), manifests: 0 };
    let node = growing.node(&root, 0);
    Ok(Tree {
        image: ImageIdentity { reference: location.to_string(), digest: Some(root.digest) },
        root: node,
        unknown: growing.unknown,
    })
}

struct Growing<'a> {
    source: &'a Source,
    limits: &'a Limits,
    unknown: Vec<String>,
    manifests: usize,
}

impl Growing<'_> {
    fn node(&mut self, descriptor: &Descriptor, depth: usize) -> Node {
        let mut node = Node {
            digest: descriptor.digest.clone(),
            media_type: descriptor.media_type.clone(),
            size: descriptor.size,
            platform: descriptor.platform.clone(),
            predicates: Vec::new(),
            referrers: Vec::new(),
            rejected: Vec::new(),
            children: Vec::new(),
        };
        self.manifests += 1;
        // Attack: an index that lists another 256 times, and that one another.
        if self.manifests > self.limits.manifests {
            if self.manifests == self.limits.manifests + 1 {
                self.unknown
                    .push(format!("more than {} manifests (limit `manifests`)", self.limits.manifests));
            }
            return node;
        }
        match self.document(descriptor) {
            Some(Document::Manifest(manifest)) => node.predicates = buildkit(&manifest),
            Some(Document::Index(_)) if depth >= self.limits.index_depth => {
                let limit = self.limits.index_depth;
                self.unknown.push(format!(
                    "{}: indexes nested deeper than {limit} (limit `index depth`)",
                    node.digest
                ));
            }
            Some(Document::Index(index)) => {
                let children = index.manifests.iter().map(|child| (child, self.node(child, depth + 1)));
                node.children = nested(children.collect());
            }
            None => {}
        }
        let found = hanging::of(self.source, &descriptor.digest, self.limits);
        node.rejected = found.rejected;
        self.unknown.extend(found.unknown);
        node.referrers = self.leaves(&descriptor.digest, &found.entries);
        node
    }

    fn document(&mut self, descriptor: &Descriptor) -> Option<Document> {
        let at = format!("manifest {}", descriptor.digest);
        let read = self.source.manifest(descriptor, self.limits).map_err(|unread| unread.cause);
        let parsed = read.and_then(|bytes| {
            document::parse(&bytes, Some(&descriptor.media_type), &at).map_err(|fault| fault.to_string())
        });
        parsed.map_err(|cause| self.unknown.push(cause)).ok()
    }

    /// What hangs on a subject, and on that in turn.
    fn leaves(&mut self, subject: &Digest, all: &[Hanging]) -> Vec<Leaf> {
        let own = all.iter().filter(|hanging| hanging.subject == *subject);
        own.map(|hanging| {
            let mut leaf = self.leaf(hanging);
            // Attack: two that name each other as subject. The depth of the listing ends that.
            let above: Vec<Hanging> =
                all.iter().filter(|other| other.depth > hanging.depth).cloned().collect();
            leaf.referrers = self.leaves(&hanging.descriptor.digest, &above);
            leaf
        })
        .collect()
    }

    fn leaf(&mut self, hanging: &Hanging) -> Leaf {
        let kind = match (&hanging.tag, &hanging.artifact_type) {
            (Some(tag), _) if tag.ends_with(".sig") => LeafKind::LegacySignature,
            (Some(tag), _) if tag.ends_with(".att") => LeafKind::LegacyAttestation,
            (Some(_), _) => LeafKind::LegacySbom,
            (None, Some(kind)) if kind.starts_with("application/vnd.dev.sigstore.bundle") => LeafKind::Bundle,
            (None, _) => LeafKind::Other,
        };
        let mut leaf = Leaf {
            digest: hanging.descriptor.digest.clone(),
            kind,
            artifact_type: hanging.artifact_type.clone(),
            tag: hanging.tag.clone(),
            predicates: Vec::new(),
            claimed_signers: Vec::new(),
            referrers: Vec::new(),
        };
        let at = format!("manifest {}", leaf.digest);
        let parsed = document::parse(&hanging.manifest, Some(&hanging.descriptor.media_type), &at);
        let manifest = match parsed {
            Ok(Document::Manifest(manifest)) => manifest,
            Ok(Document::Index(_)) => return leaf,
            Err(fault) => {
                self.unknown.push(fault.to_string());
                return leaf;
            }
        };
        for layer in manifest.layers.iter().take(self.limits.layers) {
            match kind {
                LeafKind::Bundle => self.bundle(layer, &mut leaf),
                LeafKind::LegacySignature => leaf.claimed_signers.push(annotated(layer)),
                LeafKind::LegacyAttestation => {
                    leaf.claimed_signers.push(annotated(layer));
                    leaf.predicates.extend(layer.annotations.get("predicateType").cloned());
                }
                LeafKind::LegacySbom | LeafKind::Other => {}
            }
        }
        leaf.claimed_signers.sort();
        leaf.claimed_signers.dedup();
        leaf
    }

    fn bundle(&mut self, layer: &Descriptor, leaf: &mut Leaf) {
        match self.blob(layer) {
            Ok(bundle) => {
                leaf.claimed_signers.push(signature::of_bundle(&bundle));
                leaf.predicates.extend(signature::predicate_of_bundle(&bundle));
            }
            Err(cause) => leaf.claimed_signers.push(Signer::Unknown { cause }),
        }
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Value, String> {
        if descriptor.size > BUNDLE {
            return Err(format!("larger than {BUNDLE} bytes (limit `attestation`)"));
        }
        let reader = self.source.raw(descriptor).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        reader.take(BUNDLE + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        resolve::verify(&bytes, descriptor, "the bundle").map_err(|fault| fault.to_string())?;
        serde_json::from_slice(&bytes).map_err(|_| "no JSON".to_owned())
    }
}

/// Types of the predicates in BuildKit's attestation manifest.
fn buildkit(manifest: &Manifest) -> Vec<String> {
    let predicate = |layer: &Descriptor| layer.annotations.get("in-toto.io/predicate-type").cloned();
    manifest.layers.iter().filter_map(predicate).collect()
}

/// Who a layer of a legacy signature says signed it.
fn annotated(layer: &Descriptor) -> Signer {
    match layer.annotations.get(CERTIFICATE).filter(|pem| !pem.is_empty()) {
        Some(pem) => signature::of_certificate_pem(pem),
        None => Signer::Key { hint: None },
    }
}

/// Puts attestation manifests below the manifests that they are about.
fn nested(children: Vec<(&Descriptor, Node)>) -> Vec<Node> {
    let mut about: BTreeMap<String, Vec<Node>> = BTreeMap::new();
    let mut nodes = Vec::new();
    let known: Vec<String> = children.iter().map(|(child, _)| child.digest.to_string()).collect();
    for (child, node) in children {
        let of = child.annotations.get("vnd.docker.reference.digest").filter(|of| known.contains(of));
        match of.filter(|of| {
            **of != child.digest.to_string() && MANIFEST_TYPES.contains(&child.media_type.as_str())
        }) {
            Some(of) => about.entry(of.clone()).or_default().push(node),
            None => nodes.push(node),
        }
    }
    for node in &mut nodes {
        node.children.extend(about.remove(&node.digest.to_string()).unwrap_or_default());
    }
    // Of attestations of attestations nothing is lost.
    nodes.extend(about.into_values().flatten());
    nodes
}
