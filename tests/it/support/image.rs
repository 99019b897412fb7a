//! Builds images: layers entry by entry, OCI layouts in a directory. Same calls, same bytes.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use portcullis::model::digest::Digest;
use serde_json::{Value, json};

/// How a layer is stored.
#[derive(Clone, Copy)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
}

/// A layer in the making.
pub struct Layer {
    tar: tar::Builder<Vec<u8>>,
    created_by: String,
    packing: Packing,
}

pub fn layer(created_by: &str) -> Layer {
    Layer { tar: tar::Builder::new(Vec::new()), created_by: created_by.to_owned(), packing: Packing::Gzip }
}

impl Layer {
    pub fn packed(mut self, packing: Packing) -> Self {
        self.packing = packing;
        self
    }

    pub fn file(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.entry(path, tar::EntryType::Regular, content.as_ref(), None)
    }

    pub fn directory(self, path: &str) -> Self {
        self.entry(path, tar::EntryType::Directory, b"", None)
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(path, tar::EntryType::Symlink, b"", Some(target))
    }

    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(path, tar::EntryType::Link, b"", Some(target))
    }

    /// Hides `path` of lower layers.
    pub fn whiteout(self, path: &str) -> Self {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let name = format!("{directory}/.wh.{name}");
        self.file(name.trim_start_matches('/'), b"")
    }

    /// Hides what lower layers have in `directory`.
    pub fn opaque(self, directory: &str) -> Self {
        self.file(&format!("{directory}/.wh..wh..opq"), b"")
    }

    fn entry(mut self, path: &str, kind: tar::EntryType, content: &[u8], link: Option<&str>) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(if kind == tar::EntryType::Directory { 0o755 } else { 0o644 });
        header.set_mtime(0);
        if let Some(link) = link {
            if link.len() > 100 {
                self.tar.append_link(&mut header, path, link).unwrap();
                return self;
            }
            header.set_link_name_literal(link).unwrap();
        }
        self.tar.append_data(&mut header, path, content).unwrap();
        self
    }

    /// The archive, not stored in any way yet.
    pub fn tar(self) -> Vec<u8> {
        self.tar.into_inner().unwrap()
    }

    fn finish(self) -> Stored {
        let tar = self.tar.into_inner().unwrap();
        let (blob, media_type) = match self.packing {
            Packing::Plain => (tar.clone(), "application/vnd.oci.image.layer.v1.tar"),
            Packing::Gzip => (gzip(&tar), "application/vnd.oci.image.layer.v1.tar+gzip"),
            Packing::Zstd => {
                (zstd::encode_all(tar.as_slice(), 3).unwrap(), "application/vnd.oci.image.layer.v1.tar+zstd")
            }
        };
        Stored { blob, media_type, diff_id: Digest::sha256(&tar), created_by: self.created_by }
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

struct Stored {
    blob: Vec<u8>,
    media_type: &'static str,
    diff_id: Digest,
    created_by: String,
}

/// One platform's image in the making.
pub struct Image {
    platform: String,
    layers: Vec<Layer>,
    execution: Value,
    created: String,
}

pub fn image(platform: &str) -> Image {
    Image {
        platform: platform.into(),
        layers: Vec::new(),
        execution: json!({}),
        created: "2026-01-15T09:00:00Z".into(),
    }
}

impl Image {
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// The configuration's `config` object: user, labels, …
    pub fn execution(mut self, execution: Value) -> Self {
        self.execution = execution;
        self
    }

    pub fn created(mut self, created: &str) -> Self {
        self.created = created.to_owned();
        self
    }
}

/// An OCI layout in the making: its blobs and its index.
#[derive(Default)]
pub struct Layout {
    blobs: BTreeMap<Digest, Vec<u8>>,
    manifests: Vec<Value>,
}

pub fn layout() -> Layout {
    Layout::default()
}

impl Layout {
    /// Adds a blob; its descriptor.
    pub fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Value {
        let digest = Digest::sha256(&bytes);
        let descriptor = json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()});
        self.blobs.insert(digest, bytes);
        descriptor
    }

    /// Adds one platform's image; the descriptor of its manifest, platform included.
    pub fn add(&mut self, image: Image) -> Value {
        self.add_annotated(image, Value::Null)
    }

    /// The same with annotations in the manifest.
    pub fn add_annotated(&mut self, image: Image, annotations: Value) -> Value {
        let parts: Vec<&str> = image.platform.split('/').collect();
        let mut platform = json!({"os": parts[0], "architecture": parts[1]});
        if let Some(variant) = parts.get(2) {
            platform["variant"] = json!(variant);
        }
        let stored: Vec<Stored> = image.layers.into_iter().map(Layer::finish).collect();
        let mut config = platform.clone();
        config["created"] = json!(image.created);
        config["config"] = image.execution;
        config["rootfs"] = json!({"type": "layers", "diff_ids": stored.iter().map(|l| l.diff_id.to_string()).collect::<Vec<_>>()});
        config["history"] =
            stored.iter().map(|l| json!({"created": image.created, "created_by": l.created_by})).collect();
        let config = self.blob("application/vnd.oci.image.config.v1+json", bytes(&config));
        let layers: Vec<Value> = stored.into_iter().map(|l| self.blob(l.media_type, l.blob)).collect();
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config, "layers": layers,
        });
        if !annotations.is_null() {
            manifest["annotations"] = annotations;
        }
        let mut descriptor = self.blob("application/vnd.oci.image.manifest.v1+json", bytes(&manifest));
        descriptor["platform"] = platform;
        descriptor
    }

    /// Adds what BuildKit puts beside an image: an attestation manifest that refers to it.
    pub fn attestation(&mut self, of: &Value) -> Value {
        let config = self.blob("application/vnd.oci.image.config.v1+json", bytes(&json!({
            "architecture": "unknown", "os": "unknown", "config": {}, "rootfs": {"type": "layers", "diff_ids": []},
        })));
        let statement = self.blob("application/vnd.in-toto+json", bytes(&json!({
            "_type": "https://in-toto.io/Statement/v0.1", "predicateType": "https://slsa.dev/provenance/v0.2",
            "subject": [], "predicate": {},
        })));
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config, "layers": [statement],
        });
        let mut descriptor = self.blob("application/vnd.oci.image.manifest.v1+json", bytes(&manifest));
        descriptor["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        descriptor["annotations"] = json!({
            "vnd.docker.reference.digest": of["digest"], "vnd.docker.reference.type": "attestation-manifest",
        });
        descriptor
    }

    /// Adds a manifest with the configuration of one image and the layers of another.
    pub fn with_layers_of(&mut self, config: &Value, layers: &Value) -> Value {
        let read = |of: &Value| -> Value {
            let digest: Digest = of["digest"].as_str().unwrap().parse().unwrap();
            serde_json::from_slice(&self.blobs[&digest]).unwrap()
        };
        let mut manifest = read(config);
        manifest["layers"] = read(layers)["layers"].clone();
        let mut descriptor = self.blob("application/vnd.oci.image.manifest.v1+json", bytes(&manifest));
        descriptor["platform"] = config["platform"].clone();
        descriptor
    }

    /// Adds an index over the descriptors.
    pub fn index(&mut self, manifests: Vec<Value>) -> Value {
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests,
        });
        self.blob("application/vnd.oci.image.index.v1+json", bytes(&index))
    }

    /// Lists a manifest or an index in `index.json` under a tag.
    pub fn tag(&mut self, tag: &str, mut descriptor: Value) {
        descriptor["annotations"]["org.opencontainers.image.ref.name"] = json!(tag);
        self.manifests.push(descriptor);
    }

    /// Every file of the layout by its path.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::from([
            ("oci-layout".to_owned(), bytes(&json!({"imageLayoutVersion": "1.0.0"}))),
            (
                "index.json".to_owned(),
                bytes(&json!({
                    "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": self.manifests,
                })),
            ),
        ]);
        let blobs = self
            .blobs
            .iter()
            .map(|(digest, bytes)| (format!("blobs/sha256/{}", digest.hex()), bytes.clone()));
        files.extend(blobs);
        files
    }

    /// Writes the layout into a directory.
    pub fn write(&self, directory: &Path) {
        write_files(&self.files(), directory);
    }
}

pub fn write_files(files: &BTreeMap<String, Vec<u8>>, directory: &Path) {
    for (name, bytes) in files {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// A layout in `directory` that holds one image of one platform.
pub fn single(directory: &Path, image: Image) {
    let mut layout = layout();
    let manifest = layout.add(image);
    layout.tag("test", manifest);
    layout.write(directory);
}

fn bytes(document: &Value) -> Vec<u8> {
    serde_json::to_vec(document).unwrap()
}
