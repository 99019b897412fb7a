//! OCI image layouts, written (image-spec, image-layout.md). A blob is in place only when its size and
//! digest agree, and `index.json` names it only after that: a copy that was cut short leaves no image that
//! is not whole.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::image::document::INDEX_TYPES;
use crate::image::json as strict;
use crate::image::limits::Limits;
use crate::model::descriptor::Descriptor;
use crate::model::digest::{Digest, Hasher};

use super::files::not_an_image;
use super::oci::{INDEX, REF_NAME};
use super::{Error, ErrorKind};

/// The file that says that a directory is a layout.
const MARKER: &str = "oci-layout";

/// Bytes copied at a time.
const PIECE: usize = 256 << 10;

/// A layout that is written to. Several may write at once, in this process and in others.
#[derive(Debug)]
pub struct Writer {
    root: PathBuf,
    limits: Limits,
}

/// An entry of `index.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it points to.
    pub descriptor: Descriptor,
    /// Its artifact type, where it has one.
    pub artifact_type: Option<String>,
    /// Its tag (`org.opencontainers.image.ref.name`).
    pub tag: Option<String>,
}

impl Writer {
    /// Opens a layout, or makes one in a directory that is empty or not there yet.
    ///
    /// # Errors
    /// [`ErrorKind::NotAnImage`] where the directory holds something else; nothing in it is touched.
    pub fn open(root: &Path, limits: &Limits) -> Result<Self, Error> {
        let writer = Self { root: root.to_owned(), limits: *limits };
        fs::create_dir_all(root).map_err(|error| failed(root, &error))?;
        let _alone = writer.lock()?;
        let mut entries = fs::read_dir(root).map_err(|error| failed(root, &error))?;
        if entries.next().is_none() {
            writer.replace(INDEX, &serde_json::to_vec(&empty_index()).unwrap_or_default())?;
            writer.replace(MARKER, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        } else {
            read_index(root, limits)?;
        }
        writer.folder(Path::new("blobs"))?;
        Ok(writer)
    }

    /// Whether a blob is there, its bytes read and compared: what lies in a directory may be anything.
    ///
    /// # Errors
    /// [`Error`] where it cannot be read.
    pub fn has_blob(&self, descriptor: &Descriptor) -> Result<bool, Error> {
        let path = self.blob(&descriptor.digest);
        let file = match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() && metadata.len() == descriptor.size => File::open(&path),
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(&path, &error)),
        };
        let mut file = file.map_err(|error| failed(&path, &error))?;
        let mut hasher = Hasher::new(descriptor.digest.algorithm());
        let mut piece = vec![0; PIECE];
        loop {
            match file.read(&mut piece).map_err(|error| failed(&path, &error))? {
                0 => return Ok(hasher.finish() == descriptor.digest),
                read => hasher.update(piece.get(..read).unwrap_or_default()),
            }
        }
    }

    /// Writes a blob. It takes its place only where size and digest agree.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] where they do not; [`ErrorKind::Io`] where reading or writing failed.
    pub fn put_blob(&self, descriptor: &Descriptor, mut source: impl Read) -> Result<(), Error> {
        let path = self.blob(&descriptor.digest);
        let folder = self.folder(&Path::new("blobs").join(descriptor.digest.algorithm().name()))?;
        let mut place = Temporary::new(&folder, &path)?;
        let mut hasher = Hasher::new(descriptor.digest.algorithm());
        let (mut piece, mut size) = (vec![0; PIECE], 0_u64);
        loop {
            let read = source.read(&mut piece).map_err(|error| failed(&path, &error))?;
            let read = piece.get(..read).unwrap_or_default();
            if read.is_empty() {
                break;
            }
            size += read.len() as u64;
            // Attack: an endless blob, to fill the disk.
            if size > descriptor.size {
                return Err(mismatch(descriptor, "more bytes than its descriptor says"));
            }
            hasher.update(read);
            place.file.write_all(read).map_err(|error| failed(&path, &error))?;
        }
        if size != descriptor.size {
            return Err(mismatch(descriptor, "fewer bytes than its descriptor says"));
        }
        let found = hasher.finish();
        if found != descriptor.digest {
            return Err(mismatch(descriptor, &format!("its bytes have the digest {found}")));
        }
        place.keep(&path)
    }

    /// Lists manifests in `index.json`, their blobs in place already: all of them at once or none. A tag is
    /// taken from the entry that had it; the same manifest under the same tag, or without one, stands once.
    ///
    /// # Errors
    /// [`Error`] where the file cannot be replaced, or would be longer than readers take.
    pub fn list(&self, entries: &[Entry]) -> Result<(), Error> {
        let _alone = self.lock()?;
        let mut index = read_index(&self.root, &self.limits)?;
        let mut listed = match index.remove("manifests") {
            Some(Value::Array(listed)) => listed,
            _ => Vec::new(),
        };
        for entry in entries {
            add(&mut listed, entry);
        }
        index.insert("manifests".into(), Value::Array(listed));
        let bytes = serde_json::to_vec(&index).unwrap_or_default();
        if bytes.len() as u64 > self.limits.manifest {
            let message = format!("would be larger than the limit of {} bytes", self.limits.manifest);
            return Err(not_an_image(&self.root.join(INDEX), &message));
        }
        self.replace(INDEX, &bytes)
    }

    /// The digest that a tag leads to now.
    ///
    /// # Errors
    /// [`Error`] where `index.json` cannot be read.
    pub fn tagged(&self, tag: &str) -> Result<Option<Digest>, Error> {
        let index = read_index(&self.root, &self.limits)?;
        let listed = index.get("manifests").and_then(Value::as_array);
        let mut named = listed.into_iter().flatten().filter(|entry| name(entry) == Some(tag));
        let digest = named.next().and_then(|entry| entry.get("digest")?.as_str()?.parse().ok());
        // Two entries of one name are nobody's image.
        Ok(digest.filter(|_| named.next().is_none()))
    }

    /// Keeps other writers out while it lives: two that each read `index.json`, add to it and write it lose
    /// one of the additions.
    fn lock(&self) -> Result<File, Error> {
        let folder = File::open(&self.root).map_err(|error| failed(&self.root, &error))?;
        match folder.lock() {
            Ok(()) => Ok(folder),
            // A file system without locks: one writer at a time is then up to the user.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(folder),
            Err(error) => Err(failed(&self.root, &error)),
        }
    }

    /// The manifest that a tag leads to now, where it is there and whole.
    ///
    /// # Errors
    /// [`Error`] where the layout cannot be read, or the tag leads to what is no manifest.
    pub fn manifest_tagged(&self, tag: &str) -> Result<Option<Vec<u8>>, Error> {
        let Some(digest) = self.tagged(tag)? else { return Ok(None) };
        let path = self.blob(&digest);
        let mut bytes = Vec::new();
        let file = match File::open(&path) {
            Ok(file) => file,
            // A broken layout: what is not there need not be kept.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&path, &error)),
        };
        file.take(self.limits.manifest + 1).read_to_end(&mut bytes).map_err(|error| failed(&path, &error))?;
        let mut hasher = Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        Ok((hasher.finish() == digest).then_some(bytes))
    }

    /// A folder of the layout, made where it is missing.
    fn folder(&self, name: &Path) -> Result<PathBuf, Error> {
        let path = self.root.join(name);
        match fs::create_dir(&path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(&path, &error)),
        }
        // Attack: a layout whose `blobs` is a link to a directory elsewhere, which would be written into.
        let metadata = fs::symlink_metadata(&path).map_err(|error| failed(&path, &error))?;
        if metadata.is_dir() {
            Ok(path)
        } else {
            Err(not_an_image(&path, "not a directory: nothing was written"))
        }
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        // Algorithm and digits are checked when a digest is parsed: no part of them leads elsewhere.
        self.root.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// Replaces a file of the layout at once: a reader sees the old or the new one whole.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let path = self.root.join(name);
        let mut place = Temporary::new(&self.root, &path)?;
        place.file.write_all(bytes).map_err(|error| failed(&path, &error))?;
        place.keep(&path)
    }
}

/// Adds an entry to those that are listed, in the place of the ones it makes void.
fn add(listed: &mut Vec<Value>, entry: &Entry) {
    let digest = entry.descriptor.digest.to_string();
    listed.retain(|other| {
        let same = other.get("digest").and_then(Value::as_str) == Some(&digest);
        match (entry.tag.as_deref(), name(other)) {
            (Some(tag), Some(other)) => tag != other,
            (None, None) => !same,
            (Some(_), None) | (None, Some(_)) => true,
        }
    });
    listed.push(written(entry, &digest));
}

/// The tag of an entry.
fn name(entry: &Value) -> Option<&str> {
    entry.get("annotations")?.get(REF_NAME)?.as_str()
}

/// An entry as it is written.
fn written(entry: &Entry, digest: &str) -> Value {
    let descriptor = &entry.descriptor;
    let mut value = json!({"mediaType": descriptor.media_type, "digest": digest, "size": descriptor.size});
    let mut annotations = descriptor.annotations.clone();
    annotations.remove(REF_NAME);
    annotations.extend(entry.tag.clone().map(|tag| (REF_NAME.to_owned(), tag)));
    if let Some(object) = value.as_object_mut() {
        object.extend(entry.artifact_type.clone().map(|kind| ("artifactType".to_owned(), kind.into())));
        if !annotations.is_empty() {
            object.insert("annotations".into(), json!(annotations));
        }
    }
    value
}

/// A file being written beside the one that it is to become; it goes when it is dropped.
struct Temporary {
    file: File,
    path: Option<PathBuf>,
}

impl Temporary {
    fn new(folder: &Path, target: &Path) -> Result<Self, Error> {
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Two processes may write the same blob: each has a file of its own.
        let path = folder.join(format!(".{name}.{}-{}", std::process::id(), fastrand::u64(..)));
        let file = File::options().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| failed(&path, &error))?;
        Ok(Self { file, path: Some(path) })
    }

    fn keep(mut self, target: &Path) -> Result<(), Error> {
        self.file.sync_all().map_err(|error| failed(target, &error))?;
        let Some(path) = self.path.take() else { return Ok(()) };
        fs::rename(&path, target).map_err(|error| {
            let _ = fs::remove_file(&path);
            failed(target, &error)
        })
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What cannot be removed is in nobody's way: no reader looks for it.
            let _ = fs::remove_file(path);
        }
    }
}

fn empty_index() -> Map<String, Value> {
    let media_type = INDEX_TYPES.first().copied().unwrap_or_default();
    let mut index = Map::new();
    index.insert("schemaVersion".into(), 2.into());
    index.insert("mediaType".into(), media_type.into());
    index.insert("manifests".into(), Value::Array(Vec::new()));
    index
}

/// The `index.json` of a directory that must be a layout: nothing else is written into.
fn read_index(root: &Path, limits: &Limits) -> Result<Map<String, Value>, Error> {
    let path = root.join(INDEX);
    if !root.join(MARKER).is_file() || !path.is_file() {
        return Err(not_an_image(root, "neither empty nor an OCI layout: nothing was written"));
    }
    let file = File::open(&path).map_err(|error| failed(&path, &error))?;
    let mut bytes = Vec::new();
    file.take(limits.manifest + 1).read_to_end(&mut bytes).map_err(|error| failed(&path, &error))?;
    if bytes.len() as u64 > limits.manifest {
        let message = format!("larger than the limit of {} bytes", limits.manifest);
        return Err(not_an_image(&path, &message));
    }
    match strict::parse(&bytes) {
        Ok(Value::Object(index)) if index.get("manifests").is_none_or(Value::is_array) => Ok(index),
        Ok(_) => Err(not_an_image(&path, "no index")),
        Err(error) => Err(not_an_image(&path, &error.to_string())),
    }
}

fn mismatch(descriptor: &Descriptor, message: &str) -> Error {
    let at = format!("blob {}", descriptor.digest);
    Error { kind: ErrorKind::Mismatch, at, message: message.to_owned() }
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error { kind: ErrorKind::Io, at: path.display().to_string(), message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(bytes: &[u8]) -> Descriptor {
        Descriptor {
            media_type: "application/octet-stream".into(),
            digest: Digest::sha256(bytes),
            size: bytes.len() as u64,
            platform: None,
            annotations: Default::default(),
        }
    }

    fn entry(bytes: &[u8], tag: Option<&str>) -> Entry {
        Entry { descriptor: descriptor(bytes), artifact_type: None, tag: tag.map(str::to_owned) }
    }

    fn listed(root: &Path) -> Vec<(String, Option<String>)> {
        let index: Value = serde_json::from_slice(&fs::read(root.join(INDEX)).unwrap()).unwrap();
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let entries = index["manifests"].as_array().unwrap();
        entries
            .iter()
            .map(|entry| (text(&entry["digest"]).unwrap(), text(&entry["annotations"][REF_NAME])))
            .collect()
    }

    #[test]
    fn a_blob_takes_its_place_only_where_size_and_digest_agree() {
        let place = tempfile::tempdir().unwrap();
        let writer = Writer::open(place.path(), &Limits::default()).unwrap();
        let wanted = descriptor(b"hello");
        for (bytes, part) in [(&b"hellp"[..], "digest"), (b"hell", "fewer"), (b"hello!", "more")] {
            let error = writer.put_blob(&wanted, bytes).unwrap_err();
            assert!(error.kind == ErrorKind::Mismatch && error.message.contains(part), "{error}");
            assert!(!writer.has_blob(&wanted).unwrap());
        }
        writer.put_blob(&wanted, &b"hello"[..]).unwrap();
        assert!(writer.has_blob(&wanted).unwrap());
        // No temporary file stays behind.
        assert_eq!(fs::read_dir(place.path().join("blobs/sha256")).unwrap().count(), 1);
    }

    #[test]
    fn a_blob_that_is_not_what_its_name_says_is_written_again() {
        let place = tempfile::tempdir().unwrap();
        let writer = Writer::open(place.path(), &Limits::default()).unwrap();
        let wanted = descriptor(b"hello");
        writer.put_blob(&wanted, &b"hello"[..]).unwrap();
        fs::write(writer.blob(&wanted.digest), b"jello").unwrap();
        assert!(!writer.has_blob(&wanted).unwrap());
        writer.put_blob(&wanted, &b"hello"[..]).unwrap();
        assert!(writer.has_blob(&wanted).unwrap());
    }

    #[test]
    fn a_tag_is_taken_over_and_other_images_stay() {
        let place = tempfile::tempdir().unwrap();
        let digest = |bytes: &[u8]| Digest::sha256(bytes).to_string();
        let writer = Writer::open(place.path(), &Limits::default()).unwrap();
        for (bytes, tag) in
            [(b"a", Some("v1")), (b"b", Some("v2")), (b"a", None), (b"a", None), (b"c", Some("v1"))]
        {
            writer.list(&[entry(bytes, tag)]).unwrap();
        }
        drop(writer);
        let again = Writer::open(place.path(), &Limits::default()).unwrap();
        again.list(&[entry(b"d", Some("v3"))]).unwrap();
        assert_eq!(again.tagged("v1").unwrap(), Some(Digest::sha256(b"c")));
        assert_eq!(again.tagged("v9").unwrap(), None);
        let tag = |tag: &str| Some(tag.to_owned());
        assert_eq!(
            listed(place.path()),
            [
                (digest(b"b"), tag("v2")),
                (digest(b"a"), None),
                (digest(b"c"), tag("v1")),
                (digest(b"d"), tag("v3"))
            ]
        );
    }

    #[test]
    fn a_directory_that_holds_something_else_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("notes.txt"), "mine").unwrap();
        let error = Writer::open(place.path(), &Limits::default()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotAnImage);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_a_layout_is_not_followed_out_of_it() {
        let (place, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        drop(Writer::open(place.path(), &Limits::default()).unwrap());
        std::os::unix::fs::symlink(elsewhere.path(), place.path().join("blobs/sha256")).unwrap();
        let writer = Writer::open(place.path(), &Limits::default()).unwrap();
        let error = writer.put_blob(&descriptor(b"hello"), &b"hello"[..]).unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotAnImage, "{error}");
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn many_that_list_at_once_lose_nothing() {
        let place = tempfile::tempdir().unwrap();
        drop(Writer::open(place.path(), &Limits::default()).unwrap());
        std::thread::scope(|scope| {
            for n in 0..8_u8 {
                let place = place.path();
                scope.spawn(move || {
                    let writer = Writer::open(place, &Limits::default()).unwrap();
                    writer.list(&[entry(&[n], Some(&format!("v{n}")))]).unwrap();
                });
            }
        });
        assert_eq!(listed(place.path()).len(), 8);
    }
}
