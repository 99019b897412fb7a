//! Platforms: `os/architecture[/variant]`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The platform an image runs on (OCI image-spec, image-index.md, "platform").
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Platform {
    /// Operating system, a Go `GOOS` value such as `linux`.
    pub os: String,
    /// Architecture, a Go `GOARCH` value such as `amd64`.
    pub architecture: String,
    /// Variant of the architecture, such as `v8`.
    pub variant: Option<String>,
}

impl Platform {
    /// Whether `self`, as asked for or as declared, means `other`, however each is written. A variant counts where
    /// both sides state one: `arm` without one, which containerd takes for `v7`, may be any here, as old images write
    /// it of all of theirs.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        let (own, other) = (self.normal(), other.normal());
        own.os == other.os
            && own.architecture == other.architecture
            && match (own.variant, other.variant) {
                (Some(a), Some(b)) => a == b,
                (None, _) | (_, None) => true,
            }
    }

    /// The platform as whoever runs images understands it (containerd, `platforms/database.go`). Attack: a child of an
    /// index for `Linux/x86_64`, which runs on `linux/amd64` and is passed over by whoever compares letters.
    fn normal(&self) -> Self {
        let os = match self.os.to_ascii_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            os => os.to_owned(),
        };
        let architecture = self.architecture.to_ascii_lowercase();
        let variant = self.variant.as_deref().unwrap_or_default().to_ascii_lowercase();
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("i386", _) => ("386", ""),
            ("x86_64" | "x86-64" | "amd64", "" | "v1" | "1") => ("amd64", ""),
            ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", "" | "8" | "v8.0") => ("arm64", "v8"),
            ("aarch64" | "arm64", "9" | "v9.0") => ("arm64", "v9"),
            ("aarch64" | "arm64", variant) => ("arm64", variant),
            ("armhf", _) => ("arm", "v7"),
            ("armel", _) => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "6") => ("arm", "v6"),
            ("arm", "7") => ("arm", "v7"),
            ("arm", "8") => ("arm", "v8"),
            (architecture, variant) => (architecture, variant),
        };
        let variant = (!variant.is_empty()).then(|| variant.to_owned());
        Self { os, architecture: architecture.to_owned(), variant }
    }

    /// Whether this is the `unknown/unknown` that BuildKit gives its attestation manifests.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }
}

/// A text that is no `os/architecture[/variant]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid platform `{0}`: expected `os/architecture[/variant]`, such as `linux/amd64`")]
pub struct InvalidPlatform(String);

impl FromStr for Platform {
    type Err = InvalidPlatform;

    fn from_str(text: &str) -> Result<Self, InvalidPlatform> {
        let plain = |part: &&str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        let parts: Vec<&str> = text.split('/').collect();
        if !parts.iter().all(plain) {
            return Err(InvalidPlatform(text.to_owned()));
        }
        match parts.as_slice() {
            [os, architecture] => {
                Ok(Self { os: (*os).into(), architecture: (*architecture).into(), variant: None })
            }
            [os, architecture, variant] => Ok(Self {
                os: (*os).into(),
                architecture: (*architecture).into(),
                variant: Some((*variant).into()),
            }),
            _ => Err(InvalidPlatform(text.to_owned())),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

impl Serialize for Platform {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Platform {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn arm64_without_a_variant_is_v8() {
        assert!(platform("linux/arm64").matches(&platform("linux/arm64/v8")));
        assert!(!platform("linux/arm64").matches(&platform("linux/arm64/v9")));
        assert!(!platform("linux/arm/v6").matches(&platform("linux/arm/v7")));
    }

    /// Attack: the image that runs, under a name that is not looked for.
    #[test]
    fn however_a_platform_is_written_it_is_the_one_that_runs() {
        for (asked, written) in [
            ("linux/amd64", "linux/x86_64"),
            ("linux/amd64", "linux/X86-64"),
            ("linux/amd64", "Linux/AMD64"),
            ("linux/amd64/v2", "linux/x86_64/V2"),
            ("linux/amd64", "linux/amd64/v1"),
            ("linux/arm64", "linux/aarch64"),
            ("linux/arm64", "linux/ARM64/8"),
            ("linux/386", "linux/i386"),
            ("linux/arm/v7", "linux/armhf"),
            ("linux/arm/v6", "linux/armel"),
            ("linux/arm/v7", "linux/arm/7"),
            ("linux/arm/v7", "linux/arm"),
            ("darwin/arm64", "macOS/aarch64"),
        ] {
            assert!(platform(asked).matches(&platform(written)), "{asked} {written}");
            assert!(platform(written).matches(&platform(asked)), "{written} {asked}");
        }
        for (asked, other) in [
            ("linux/amd64", "linux/i386"),
            ("linux/arm64", "linux/armhf"),
            ("linux/arm/v6", "linux/armhf"),
            ("linux/arm64", "linux/arm64/9"),
            ("linux/amd64", "darwin/x86_64"),
            ("linux/amd64/v2", "linux/x86_64/v3"),
        ] {
            assert!(!platform(asked).matches(&platform(other)), "{asked} {other}");
        }
        // What reports show stays as it is written.
        assert_eq!(platform("Linux/x86_64").to_string(), "Linux/x86_64");
    }

    #[test]
    fn a_platform_needs_two_or_three_plain_parts() {
        for bad in ["linux", "linux/", "/amd64", "a/b/c/d", "linux/am d64"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad}");
        }
    }
}
