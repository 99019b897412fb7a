//! References: `registry/repository[:tag][@digest]`, normalised as Docker does.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::digest::Digest;

/// A reference to an image in a registry (distribution-spec, "Pulling manifests"; grammar of
/// distribution/reference).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Host and optional port.
    pub registry: String,
    /// Repository path.
    pub repository: String,
    /// Tag. A reference with neither tag nor digest means the tag `latest`.
    pub tag: Option<String>,
    /// Digest.
    pub digest: Option<Digest>,
}

/// A text that is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid image `{text}`: {cause}")]
pub struct InvalidReference {
    text: String,
    cause: String,
}

impl InvalidReference {
    pub(crate) fn new(text: &str, cause: impl Into<String>) -> Self {
        Self { text: text.to_owned(), cause: cause.into() }
    }
}

impl Reference {
    /// `registry/repository`, as policies match it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        let invalid = |cause: &str| InvalidReference::new(text, cause);
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                let digest =
                    digest.parse::<Digest>().map_err(|e| InvalidReference::new(text, e.to_string()))?;
                (rest, Some(digest))
            }
            None => (text, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(invalid("a tag is 1 to 128 letters, digits, `_`, `.` or `-`"));
        }
        let (registry, repository) = match path.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (first, rest.to_owned())
            }
            Some(_) => ("docker.io", path.to_owned()),
            None => ("docker.io", format!("library/{path}")),
        };
        if !is_host(registry) {
            return Err(invalid("the registry is no host name with an optional port"));
        }
        let plain = |part: &str| {
            let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
            let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            part.bytes().all(inner) && edge(part.bytes().next()) && edge(part.bytes().last())
        };
        if repository.len() > 255 || !repository.split('/').all(plain) {
            return Err(invalid(
                "a repository is lower-case letters and digits, `.`, `_` and `-` between them",
            ));
        }
        let tag = match (tag, &digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, Some(_)) => None,
            (None, None) => Some("latest".to_owned()),
        };
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn is_host(registry: &str) -> bool {
    let (host, port) = registry.split_once(':').unwrap_or((registry, "0"));
    let label = |label: &str| {
        let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
        label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && edge(label.bytes().next())
            && edge(label.bytes().last())
    };
    host.split('.').all(label) && port.parse::<u16>().is_ok()
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.as_ref().map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_mean_docker_hub_and_latest() {
        for (text, want) in [
            ("alpine", "docker.io/library/alpine:latest"),
            ("acme/app:1", "docker.io/acme/app:1"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("ghcr.io/acme/app:v1", "ghcr.io/acme/app:v1"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), want);
        }
    }

    #[test]
    fn a_digest_needs_no_tag() {
        let text = "ghcr.io/acme/app@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.tag, None);
        assert_eq!(reference.to_string(), text);
    }

    #[test]
    fn odd_references_are_refused() {
        for bad in [
            "",
            "UPPER/case",
            "ghcr.io/",
            "ghcr.io/a//b",
            "a:b c",
            "ghcr.io:x/a",
            "ghcr.io/a@sha256:0",
            "../a",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
