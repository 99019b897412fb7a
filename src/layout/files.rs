//! The files of a store: a directory, or the members of a tar archive, read where they lie.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::image::limits::Limits;
use crate::image::tar::{self, Archive, Kind};
use crate::model::location::Location;
use crate::model::path::{ImagePath, escape};

use super::{Error, ErrorKind};

/// How many links from member to member are followed; `docker save` makes one.
const LINKS: usize = 8;

/// Read access to files by name.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    /// The members, where the root is an archive.
    members: Option<BTreeMap<ImagePath, Member>>,
}

#[derive(Debug)]
enum Member {
    File { offset: u64, size: u64 },
    Link(ImagePath),
}

impl Files {
    pub(super) fn open(location: &Location, limits: &Limits) -> Result<Self, Error> {
        let (root, is_archive) = match location {
            Location::OciLayout { path, .. } => (path.clone(), false),
            Location::OciArchive { path, .. } | Location::DockerArchive { path, .. } => (path.clone(), true),
            Location::Registry(_) | Location::Sbom { .. } => {
                return Ok(Self { root: PathBuf::new(), members: Some(BTreeMap::new()) });
            }
        };
        let metadata = std::fs::metadata(&root).map_err(|error| io_error(&root, &error))?;
        match (is_archive, metadata.is_dir()) {
            (false, true) => Ok(Self { root, members: None }),
            (true, false) if metadata.is_file() => {
                let members = index(&root, limits)?;
                Ok(Self { root, members: Some(members) })
            }
            (false, _) => {
                Err(not_an_image(&root, "not a directory: an OCI layout in a file is `oci-archive:FILE`"))
            }
            (true, true) => {
                Err(not_an_image(&root, "a directory: an OCI layout in a directory is `oci:DIR`"))
            }
            (true, false) => Err(not_an_image(&root, "not a regular file")),
        }
    }

    /// The store's own name, for errors.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Names of all members of an archive; none for a directory.
    pub(super) fn contains(&self, name: &ImagePath) -> bool {
        match &self.members {
            Some(_) => self.member(name).is_some(),
            None => self.root.join(name.to_str().unwrap_or_default()).exists(),
        }
    }

    /// Opens a file. Only regular files are opened: a fifo would block for ever, a device never end.
    pub(super) fn open_file(&self, name: &ImagePath) -> Result<Box<dyn Read + Send>, Error> {
        let at = format!("{}: {name}", self.root.display());
        let missing =
            || Error { kind: ErrorKind::NotFound, at: at.clone(), message: "blob not found".into() };
        if self.members.is_some() {
            let (offset, size) = self.member(name).ok_or_else(missing)?;
            let mut file = File::open(&self.root).map_err(|error| io_error(&self.root, &error))?;
            file.seek(SeekFrom::Start(offset)).map_err(|error| io_error(&self.root, &error))?;
            return Ok(Box::new(file.take(size)));
        }
        let path = self.root.join(name.to_str().ok_or_else(missing)?);
        match std::fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => {
                Ok(Box::new(File::open(&path).map_err(|error| io_error(&path, &error))?))
            }
            Ok(_) => Err(Error { kind: ErrorKind::NotAnImage, at, message: "not a regular file".into() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing()),
            Err(error) => Err(io_error(&path, &error)),
        }
    }

    /// Reads a file whole, at most `limit` bytes and one more, so that a caller sees that it is longer.
    pub(super) fn read(&self, name: &ImagePath, limit: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let file = self.open_file(name)?;
        file.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| io_error(&self.root, &error))?;
        Ok(bytes)
    }

    fn member(&self, name: &ImagePath) -> Option<(u64, u64)> {
        let mut name = name.clone();
        for _ in 0..=LINKS {
            match self.members.as_ref()?.get(&name)? {
                Member::File { offset, size } => return Some((*offset, *size)),
                Member::Link(target) => name = target.clone(),
            }
        }
        None
    }
}

/// Finds the members of an archive by its headers alone.
fn index(path: &Path, limits: &Limits) -> Result<BTreeMap<ImagePath, Member>, Error> {
    let mut file = File::open(path).map_err(|error| io_error(path, &error))?;
    let length = file.metadata().map_err(|error| io_error(path, &error))?.len();
    let mut magic = [0; 4];
    let read = file.read(&mut magic).map_err(|error| io_error(path, &error))?;
    if matches!(magic.get(..read), Some([0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd])) {
        return Err(not_an_image(
            path,
            "a compressed archive: uncompress it first, so that it can be read in place",
        ));
    }
    file.rewind().map_err(|error| io_error(path, &error))?;
    let position = Cell::new(0);
    let mut archive = Archive::new(Seekable { file, position: &position, length }, limits);
    let mut members = BTreeMap::new();
    loop {
        let header = archive.next_entry().map_err(|error| archive_error(path, &error))?;
        let Some(header) = header else { break };
        let Ok(name) = ImagePath::normalise(&header.name) else { continue };
        let member = match header.kind {
            Kind::File => Member::File { offset: position.get(), size: header.size },
            Kind::HardLink(target) => match ImagePath::normalise(&target) {
                Ok(target) => Member::Link(target),
                Err(_) => continue,
            },
            Kind::Symlink(target) => {
                let base = name.parent().unwrap_or_default();
                match ImagePath::normalise(base.join(&target).as_bytes()) {
                    Ok(target) => Member::Link(target),
                    Err(_) => continue,
                }
            }
            Kind::Directory | Kind::Special | Kind::Sparse | Kind::Unknown(_) => continue,
        };
        // Attack: two `manifest.json`, of which one tool takes the first and another the last.
        if members.insert(name.clone(), member).is_some() {
            return Err(not_an_image(path, &format!("the archive has two members `{name}`")));
        }
    }
    // Attack: a second archive behind the end of the first, for a reader that goes on.
    if archive.has_trailing_bytes().map_err(|error| archive_error(path, &error))? {
        return Err(not_an_image(path, "bytes follow the end of the archive"));
    }
    Ok(members)
}

/// A file as a source of archive bytes: passing over content is a seek.
struct Seekable<'a> {
    file: File,
    position: &'a Cell<u64>,
    length: u64,
}

impl Read for Seekable<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.position.set(self.position.get() + read as u64);
        Ok(read)
    }
}

impl tar::Source for Seekable<'_> {
    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let count = count.min(self.length.saturating_sub(self.position.get()));
        self.position.set(self.position.get() + count);
        self.file.seek(SeekFrom::Start(self.position.get()))?;
        Ok(count)
    }
}

pub(super) fn not_an_image(path: &Path, message: &str) -> Error {
    Error { kind: ErrorKind::NotAnImage, at: path.display().to_string(), message: message.to_owned() }
}

fn archive_error(path: &Path, error: &tar::Error) -> Error {
    not_an_image(path, &format!("not a readable tar archive: {}", escape(error.to_string().as_bytes())))
}

fn io_error(path: &Path, error: &io::Error) -> Error {
    let (kind, message) = if error.kind() == io::ErrorKind::NotFound {
        (ErrorKind::NotFound, "no such file or directory".to_owned())
    } else {
        (ErrorKind::Io, error.to_string())
    };
    Error { kind, at: path.display().to_string(), message }
}
