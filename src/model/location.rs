//! Where an image is, in the syntax of containers-transports(5).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::reference::{InvalidReference, Reference};

/// The IMAGE argument of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// `oci:DIR[:TAG]`: an OCI layout in a directory.
    OciLayout {
        /// The directory.
        path: PathBuf,
        /// `org.opencontainers.image.ref.name` to choose by.
        tag: Option<String>,
    },
    /// `oci-archive:FILE[:TAG]`: an OCI layout in a tar file.
    OciArchive {
        /// The file.
        path: PathBuf,
        /// `org.opencontainers.image.ref.name` to choose by.
        tag: Option<String>,
    },
    /// `docker-archive:FILE[:TAG|@N]`: what `docker save` writes.
    DockerArchive {
        /// The file.
        path: PathBuf,
        /// Which of its images.
        selector: Option<ArchiveSelector>,
    },
    /// `registry/repository[:tag][@digest]`.
    Registry(Reference),
    /// `sbom:FILE`: what an SBOM document says of an image, and not the image. A colon is part of the name.
    Sbom {
        /// The file.
        path: PathBuf,
    },
}

/// Which image of a docker-archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveSelector {
    /// By `RepoTags`.
    Tag(String),
    /// By position, 0-based.
    Position(usize),
}

impl FromStr for Location {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let split = |rest: &str| match rest.split_once(':') {
            Some((path, tag)) if !tag.is_empty() => (PathBuf::from(path), Some(tag.to_owned())),
            Some((path, _)) => (PathBuf::from(path), None),
            None => (PathBuf::from(rest), None),
        };
        let location = match text.split_once(':') {
            Some(("oci", rest)) => {
                let (path, tag) = split(rest);
                Self::OciLayout { path, tag }
            }
            Some(("oci-archive", rest)) => {
                let (path, tag) = split(rest);
                Self::OciArchive { path, tag }
            }
            Some(("docker-archive", rest)) => {
                let (path, selector) = match rest.rsplit_once(":@") {
                    Some((path, n)) => match n.parse() {
                        Ok(position) => (PathBuf::from(path), Some(ArchiveSelector::Position(position))),
                        Err(_) => return Err(InvalidReference::new(text, "`:@` is followed by no number")),
                    },
                    None => {
                        let (path, tag) = split(rest);
                        (path, tag.map(ArchiveSelector::Tag))
                    }
                };
                Self::DockerArchive { path, selector }
            }
            Some(("sbom", rest)) => Self::Sbom { path: PathBuf::from(rest) },
            _ => return text.parse().map(Self::Registry),
        };
        let path = match &location {
            Self::OciLayout { path, .. }
            | Self::OciArchive { path, .. }
            | Self::DockerArchive { path, .. }
            | Self::Sbom { path } => path,
            Self::Registry(_) => return Ok(location),
        };
        if path.as_os_str().is_empty() {
            return Err(InvalidReference::new(text, "the path is empty"));
        }
        Ok(location)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = |f: &mut fmt::Formatter<'_>, kind: &str, path: &PathBuf, rest: Option<String>| {
            write!(f, "{kind}:{}", path.display())?;
            rest.map_or(Ok(()), |rest| write!(f, ":{rest}"))
        };
        match self {
            Self::OciLayout { path, tag } => local(f, "oci", path, tag.clone()),
            Self::OciArchive { path, tag } => local(f, "oci-archive", path, tag.clone()),
            Self::DockerArchive { path, selector } => {
                let rest = selector.as_ref().map(|selector| match selector {
                    ArchiveSelector::Tag(tag) => tag.clone(),
                    ArchiveSelector::Position(n) => format!("@{n}"),
                });
                local(f, "docker-archive", path, rest)
            }
            Self::Registry(reference) => reference.fmt(f),
            Self::Sbom { path } => local(f, "sbom", path, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_and_written_back() {
        for text in [
            "oci:dir",
            "oci:a/b:1.0",
            "oci-archive:x.tar:latest",
            "docker-archive:x.tar",
            "docker-archive:x.tar:docker.io/acme/orders:1.4.2",
            "docker-archive:x.tar:@1",
            "ghcr.io/acme/app:1",
            "sbom:a/b:c.json",
        ] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_empty_path_or_a_bad_position_is_refused() {
        for text in ["oci:", "oci::tag", "sbom:", "docker-archive:x.tar:@one"] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }
}
