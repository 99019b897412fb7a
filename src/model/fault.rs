//! Faults: why an image, or a part of it, could not be used.

use serde::Serialize;

use super::path::ImagePath;
use super::platform::Platform;

/// Something wrong with an image that keeps a verdict from being an admit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Whether the bytes lie or merely could not be read.
    pub kind: FaultKind,
    /// Where: the document or layer, such as `layer 3 (sha256:…)` or `manifest sha256:…`.
    pub at: String,
    /// What is wrong: a lowercase fragment.
    pub message: String,
    /// The platform it belongs to; none where it concerns the whole image.
    pub platform: Option<Platform>,
    /// Id of the check of `portcullis validate` that it breaks, such as `LYR-001`, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<&'static str>,
}

/// Lies are not unknowns (design §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultKind {
    /// Could not be read: a blob is missing, a media type is not supported, a limit was reached.
    /// Undecided.
    Unreadable,
    /// The bytes certainly contradict their digest, size, diff ID or grammar. Denies whatever the policy.
    Lie,
}

impl Fault {
    /// A lie: see [`FaultKind::Lie`].
    pub fn lie(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Lie, at: at.into(), message: message.into(), platform: None, check: None }
    }

    /// Something that could not be read: see [`FaultKind::Unreadable`].
    pub fn unreadable(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            kind: FaultKind::Unreadable,
            at: at.into(),
            message: message.into(),
            platform: None,
            check: None,
        }
    }

    /// The same fault, known to be what a check finds.
    #[must_use]
    pub fn breaks(self, check: &'static str) -> Self {
        Self { check: Some(check), ..self }
    }

    /// The same fault, said of one platform.
    #[must_use]
    pub fn on(self, platform: &Platform) -> Self {
        Self { platform: Some(platform.clone()), ..self }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

/// A file claimed by a cataloger and not read whole, or a known source that has no cataloger: its
/// packages are unknown. It makes undecided the rules that it could change.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Gap {
    /// The file; the image's root where the whole layer is concerned.
    pub path: ImagePath,
    /// 0-based index of the layer.
    pub layer: usize,
    /// Id of the cataloger that claimed it (`apk`, `dpkg`, …), or `tar` for the layer's archive itself.
    pub cataloger: String,
    /// What happened: a lowercase fragment.
    pub cause: String,
    /// The platform, where the document it stands in covers several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Gap {
    /// How a verdict says that a waiver covered this gap of a platform. Two gaps of one file by two
    /// catalogers differ in it: the waiver of one must not hide the other.
    #[must_use]
    pub fn label(&self, platform: &Platform) -> String {
        format!("{} ({}, {platform})", self.path, self.cataloger)
    }
}
