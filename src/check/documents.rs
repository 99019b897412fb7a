//! The documents of an image, walked leniently: also what `image::resolve` refuses is looked at, so that
//! every fault of it can be named.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::image::compression::Compression;
use crate::image::document::CONFIG_TYPES;
use crate::image::limits::Limits;
use crate::model::descriptor::Descriptor;
use crate::model::digest::{Algorithm, Digest, Hasher};
use crate::model::platform::Platform;
use crate::model::violation::{Place, Unseen};

pub use super::json_scan::{Oddity, OddityKind};
use super::json_scan::{join, scan, shown};

/// Bytes of all documents: 64 MiB; they are held, parsed, while the image is checked.
const BYTES: u64 = 64 << 20;

/// JSON values of all documents: 500,000; the largest real images have some thousands. Attack: `[0,0,…]`,
/// which takes forty times its bytes once parsed.
const VALUES: usize = 500_000;

/// The documents of an image. A walk: whoever holds it asks [`Documents::next`] what to read, and tells it
/// by [`Documents::answer`] what came. Afterwards it is what the checks look at.
#[derive(Debug, Default)]
pub struct Documents {
    nodes: Vec<Node>,
    served: Served,
    limits: Limits,
    waiting: VecDeque<usize>,
    asked: Option<usize>,
    /// What was read already, by digest and whether as a config: it is not read again.
    read: HashMap<(Digest, bool), State>,
    bytes: u64,
    values: usize,
    unseen: Vec<Unseen>,
}

/// How the root was given. Nothing, for a local image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Served {
    /// `Content-Type` of the registry's answer, without parameters.
    pub content_type: Option<String>,
    /// The digest that the tag leads to by a second look, after everything was read.
    pub resolved: Option<Digest>,
}

/// What came of asking for a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Its bytes, as they came: unverified, and at most as many as were asked for.
    Bytes(Vec<u8>),
    /// It is certainly not there.
    Missing,
    /// It could not be had.
    Unseen(Unseen),
}

/// A place in the image where a document is listed.
#[derive(Debug, Clone)]
pub struct Node {
    /// The descriptor, as written.
    pub stated: Stated,
    /// What it is in the image.
    pub role: Role,
    /// The document that lists it, by its place in [`Documents::nodes`]; none for the root.
    pub parent: Option<usize>,
    /// JSON pointer of the descriptor in the parent.
    pub pointer: String,
    /// Indexes above it.
    pub depth: usize,
    /// What is known of it.
    pub state: State,
}

/// What a document is in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What was asked for.
    Root,
    /// A manifest or index that an index lists.
    Child,
    /// The configuration of a manifest.
    Config,
}

/// What is known of a document.
#[derive(Debug, Clone)]
pub enum State {
    /// It was read.
    Read(Arc<Content>),
    /// It is certainly not there.
    Missing,
    /// Not read; why is among [`Documents::unseen`].
    Unseen,
    /// Its digest is that of a document above it, whose content this is.
    Cycle(Arc<Content>),
}

/// A descriptor as written, which may be nonsense.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stated {
    /// Media type; none where it is missing or no string.
    pub media_type: Option<String>,
    /// Digest; none where it is missing or no string.
    pub digest: Option<String>,
    /// Length; none where it is missing or no unsigned 63-bit integer.
    pub size: Option<u64>,
    /// Platform; empty strings where parts are missing.
    pub platform: Option<Platform>,
    /// Annotations that are strings.
    pub annotations: BTreeMap<String, String>,
}

/// A document that was read.
#[derive(Debug)]
pub struct Content {
    /// Bytes that came.
    pub length: u64,
    /// Whether all of it came: else it is longer than the limit, and neither digested nor parsed.
    pub whole: bool,
    /// What parsers disagree on.
    pub oddities: Vec<Oddity>,
    /// The document, read leniently; none where it is no JSON to anybody, or a limit was reached.
    pub value: Option<Value>,
    digests: Vec<Digest>,
}

/// What kind of document it is, by its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A list of manifests.
    Index,
    /// A manifest of an image.
    Image,
    /// A manifest of something else, such as BuildKit's attestations.
    Artifact,
    /// A configuration.
    Config,
}

impl Documents {
    /// A walk that begins at `root`: a manifest, an index, or the configuration alone (docker-archive).
    #[must_use]
    pub fn new(root: &Descriptor, served: Served) -> Self {
        let alone = CONFIG_TYPES.contains(&root.media_type.as_str());
        let stated = Stated {
            media_type: Some(root.media_type.clone()).filter(|media_type| !media_type.is_empty()),
            digest: Some(root.digest.to_string()),
            size: Some(root.size),
            platform: root.platform.clone(),
            annotations: root.annotations.clone(),
        };
        let mut documents = Self { served, ..Self::default() };
        documents.list(Node {
            stated,
            role: if alone { Role::Config } else { Role::Root },
            parent: None,
            pointer: String::new(),
            depth: 0,
            state: State::Unseen,
        });
        documents
    }

    /// The document to be read next, and how many bytes of it at most (one more than it may have, so that
    /// a longer one shows); `None` when the walk is over. The size of the descriptor is as stated, 0 where
    /// it states none: read the document nevertheless.
    #[expect(clippy::should_implement_trait, reason = "an iterator could not be told the answers")]
    pub fn next(&mut self) -> Option<(Descriptor, u64)> {
        self.give_up_asked();
        loop {
            let Some(at) = self.waiting.pop_front() else {
                self.read.clear();
                return None;
            };
            if let Some(asked) = self.ask(at) {
                self.asked = Some(at);
                return Some(asked);
            }
        }
    }

    /// What came of the document that [`Documents::next`] named last: its bytes, unverified; or why they
    /// could not be had. Certainly missing is [`Answer::Missing`].
    pub fn answer(&mut self, answer: Answer) {
        let Some(at) = self.asked.take() else { return };
        let state = match answer {
            Answer::Bytes(bytes) => State::Read(Arc::new(self.content(at, &bytes))),
            Answer::Missing => State::Missing,
            Answer::Unseen(unseen) => {
                self.unseen.push(unseen);
                State::Unseen
            }
        };
        let Some(node) = self.nodes.get_mut(at) else { return };
        node.state = state.clone();
        if let Some(Ok(digest)) = node.stated.digest.as_deref().map(str::parse) {
            self.read.insert((digest, node.role == Role::Config), state);
        }
        self.follow(at, true);
    }

    /// Every place that lists a document, from the root down.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The root; none where there are no documents (docker-archive).
    #[must_use]
    pub fn root(&self) -> Option<&Node> {
        self.nodes.first()
    }

    /// The document that lists another.
    #[must_use]
    pub fn parent(&self, node: &Node) -> Option<&Node> {
        self.nodes.get(node.parent?)
    }

    /// Says that something beside the documents could not be looked at.
    pub fn unseen_at(&mut self, at: impl Into<String>, cause: impl Into<String>) {
        self.unseen.push(Unseen { at: at.into(), cause: cause.into() });
    }

    /// How the root was given.
    #[must_use]
    pub fn served(&self) -> &Served {
        &self.served
    }

    /// What was not read, and why.
    #[must_use]
    pub fn unseen(&self) -> &[Unseen] {
        &self.unseen
    }

    fn give_up_asked(&mut self) {
        if let Some(node) = self.asked.take().and_then(|at| self.nodes.get(at)) {
            self.unseen.push(Unseen { at: node.name(), cause: "was not read".to_owned() });
        }
    }

    fn list(&mut self, node: Node) {
        self.waiting.push_back(self.nodes.len());
        self.nodes.push(node);
    }

    fn refuse(&mut self, at: usize, cause: String) -> Option<(Descriptor, u64)> {
        let at = self.nodes.get(at).map(Node::name).unwrap_or_default();
        self.unseen.push(Unseen { at, cause });
        None
    }

    /// What is to be read for a place; none where that is known already, or not to be read.
    fn ask(&mut self, at: usize) -> Option<(Descriptor, u64)> {
        let node = self.nodes.get(at)?;
        let config = node.role == Role::Config;
        let digest = match node.stated.digest.as_deref().map(str::parse::<Digest>) {
            Some(Ok(digest)) => digest,
            Some(Err(error)) => return self.refuse(at, error.to_string()),
            None => return self.refuse(at, "its descriptor states no digest".to_owned()),
        };
        if let Some(content) = self.above(node) {
            if let Some(node) = self.nodes.get_mut(at) {
                node.state = State::Cycle(content);
            }
            return None;
        }
        if let Some(known) = self.read.get(&(digest.clone(), config)).cloned() {
            if let Some(node) = self.nodes.get_mut(at) {
                node.state = known;
            }
            // Attack: one manifest listed again for another platform than its configuration's.
            self.follow(at, false);
            return None;
        }
        let limit = if config { self.limits.config } else { self.limits.manifest };
        let size = node.stated.size.unwrap_or(0);
        let descriptor = Descriptor {
            media_type: node.stated.media_type.clone().unwrap_or_default(),
            digest,
            size,
            platform: node.stated.platform.clone(),
            annotations: node.stated.annotations.clone(),
        };
        if size > limit {
            return self.refuse(at, format!("{size} bytes, larger than the limit of {limit}"));
        }
        if self.bytes.saturating_add(size.max(1)) > BYTES {
            return self.refuse(at, format!("more than {BYTES} bytes of documents (limit `documents`)"));
        }
        Some((descriptor, limit.min(BYTES - self.bytes) + 1))
    }

    /// The content of a document above this one that has the same digest. Such a thing cannot be built
    /// honestly, but whoever serves the bytes may say so, and the walk must end.
    fn above(&self, node: &Node) -> Option<Arc<Content>> {
        let mut above = self.parent(node);
        while let Some(ancestor) = above {
            if ancestor.stated.digest == node.stated.digest {
                return ancestor.state.content().cloned();
            }
            above = self.parent(ancestor);
        }
        None
    }

    fn content(&mut self, at: usize, bytes: &[u8]) -> Content {
        let node = self.nodes.get(at);
        let config = node.is_some_and(|node| node.role == Role::Config);
        let limit = if config { self.limits.config } else { self.limits.manifest };
        let length = bytes.len() as u64;
        let whole = length <= limit.min(BYTES.saturating_sub(self.bytes));
        self.bytes = self.bytes.saturating_add(length);
        let mut content = Content { length, whole, oddities: Vec::new(), value: None, digests: Vec::new() };
        let name = node.map(Node::name).unwrap_or_default();
        if !whole {
            let cause = format!("more than {limit} bytes: not read whole");
            self.unseen.push(Unseen { at: name, cause });
            return content;
        }
        content.digests.push(Digest::sha256(bytes));
        let stated = node.and_then(|node| node.stated.digest.as_deref());
        if stated.is_some_and(|text| text.starts_with("sha512:")) {
            let mut hasher = Hasher::new(Algorithm::Sha512);
            hasher.update(bytes);
            content.digests.push(hasher.finish());
        }
        // The config of an artifact may be anything; only its digest counts.
        if config && !node.is_some_and(Node::is_image_config) {
            return content;
        }
        let scan = scan(bytes, VALUES.saturating_sub(self.values));
        self.values += scan.values.min(VALUES);
        content.oddities = scan.oddities;
        content.value = scan.value;
        if content.value.is_none() {
            let cause = content.oddities.last().map(|odd| odd.text.clone()).unwrap_or_default();
            self.unseen.push(Unseen { at: name, cause });
        }
        content
    }

    /// Lists what a document leads to: its config at each place, its children at the first only.
    fn follow(&mut self, at: usize, first: bool) {
        let Some(node) = self.nodes.get(at) else { return };
        let Some(content) = node.state.content().cloned() else { return };
        let Some(object) = content.value.as_ref().and_then(Value::as_object) else { return };
        if node.role == Role::Config {
            return;
        }
        let (depth, name) = (node.depth, node.name());
        let lead = |value: &Value, role, pointer: String, depth| Node {
            stated: Stated::of(value),
            role,
            parent: Some(at),
            pointer,
            depth,
            state: State::Unseen,
        };
        if let Some(config) = object.get("config").filter(|config| config.is_object()) {
            self.list(lead(config, Role::Config, "/config".to_owned(), depth));
        }
        let Some(children) = object.get("manifests").and_then(Value::as_array).filter(|_| first) else {
            return;
        };
        // Attack: a chain of indexes, each holding only the next.
        if depth > self.limits.index_depth && !children.is_empty() {
            let cause =
                format!("indexes nested deeper than {} (limit `index depth`)", self.limits.index_depth);
            return self.unseen.push(Unseen { at: name, cause });
        }
        for (index, child) in children.iter().enumerate() {
            // Attack: an index that lists another 256 times, and that one another.
            let limit = if index >= self.limits.index_children {
                Some(("index children", self.limits.index_children))
            } else if self.manifests() >= self.limits.manifests {
                Some(("manifests", self.limits.manifests))
            } else {
                None
            };
            if let Some((limit, most)) = limit {
                let cause = format!("more than {most} manifests (limit `{limit}`)");
                return self.unseen.push(Unseen { at: name, cause });
            }
            self.list(lead(child, Role::Child, join("/manifests", &index.to_string()), depth + 1));
        }
    }

    fn manifests(&self) -> usize {
        self.nodes.iter().filter(|node| node.role != Role::Config).count()
    }
}

impl State {
    /// What was read.
    #[must_use]
    pub fn content(&self) -> Option<&Arc<Content>> {
        match self {
            Self::Read(content) | Self::Cycle(content) => Some(content),
            Self::Missing | Self::Unseen => None,
        }
    }
}

impl Stated {
    fn of(value: &Value) -> Self {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let platform = value.get("platform").filter(|platform| platform.is_object()).map(|platform| {
            let part = |key: &str| platform.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let variant = Some(part("variant")).filter(|variant| !variant.is_empty());
            Platform { os: part("os"), architecture: part("architecture"), variant }
        });
        let size = value.get("size").and_then(Value::as_u64);
        Self {
            media_type: text("mediaType"),
            digest: text("digest"),
            size: size.filter(|size| i64::try_from(*size).is_ok()),
            platform,
            annotations: texts(value.get("annotations")),
        }
    }

    /// Whether it is BuildKit's attestation manifest, which no runtime ever chooses: only with a platform
    /// of unknown/unknown. Attack: an image that calls itself an attestation to escape the checks.
    #[must_use]
    pub fn is_attestation(&self) -> bool {
        self.platform.as_ref().is_some_and(Platform::is_unknown)
            && self.annotations.get("vnd.docker.reference.type").is_some_and(|t| t == "attestation-manifest")
    }
}

/// The strings of a map.
pub(super) fn texts(map: Option<&Value>) -> BTreeMap<String, String> {
    let entries = map.and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

impl Content {
    /// The digest of its bytes by the algorithm of another; none where it was not read whole, or that
    /// algorithm was not asked for.
    #[must_use]
    pub fn digest_like(&self, other: &Digest) -> Option<&Digest> {
        self.digests.iter().find(|digest| digest.algorithm() == other.algorithm())
    }
}

impl Node {
    /// The document, read leniently.
    #[must_use]
    pub fn value(&self) -> Option<&Value> {
        self.state.content().and_then(|content| content.value.as_ref())
    }

    /// What kind of document it is: by its content where that is known, else by how it is declared.
    #[must_use]
    pub fn kind(&self) -> Kind {
        if self.role == Role::Config {
            return Kind::Config;
        }
        let declared = || self.stated.media_type.as_deref().is_some_and(is_index_type);
        let has = |key: &str| self.value().is_some_and(|value| value.get(key).is_some());
        if has("manifests") || (!has("config") && !has("layers") && declared()) {
            return Kind::Index;
        }
        let config =
            self.value().and_then(|value| value.pointer("/config/mediaType")).and_then(Value::as_str);
        let foreign = config.is_some_and(|media_type| !CONFIG_TYPES.contains(&media_type));
        let attestation = self.stated.is_attestation() && !self.has_image_layers();
        if foreign || attestation { Kind::Artifact } else { Kind::Image }
    }

    /// Whether it has layers that a runtime would unpack. Attack: an image that calls itself an attestation,
    /// so that nobody looks at it.
    #[must_use]
    pub fn has_image_layers(&self) -> bool {
        let layers = self.value().and_then(|value| value.get("layers")).and_then(Value::as_array);
        layers.into_iter().flatten().any(|layer| {
            let media_type = layer.get("mediaType").and_then(Value::as_str).unwrap_or_default();
            Compression::of_media_type(media_type).is_some() || media_type.contains(".rootfs.")
        })
    }

    /// Where a violation is that concerns a part of this document.
    #[must_use]
    pub fn place(&self, pointer: &str) -> Place {
        let document = match self.kind() {
            Kind::Index => "index",
            Kind::Image | Kind::Artifact => "manifest",
            Kind::Config => "config",
        };
        Place::Document { document, digest: self.digest(), pointer: pointer.to_owned() }
    }

    fn is_image_config(&self) -> bool {
        self.stated.media_type.as_deref().is_none_or(|media_type| CONFIG_TYPES.contains(&media_type))
    }

    /// The digest that leads here as written, cut short where it is none.
    fn digest(&self) -> String {
        let text = self.stated.digest.as_deref().unwrap_or_default();
        if text.parse::<Digest>().is_ok() { text.to_owned() } else { shown(text) }
    }

    fn name(&self) -> String {
        let what = if self.role == Role::Config { "config" } else { "manifest" };
        format!("{what} {}", self.digest())
    }
}

fn is_index_type(media_type: &str) -> bool {
    crate::image::document::INDEX_TYPES.contains(&media_type)
}

#[cfg(test)]
mod tests;
