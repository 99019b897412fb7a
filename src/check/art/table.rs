//! The checks of artifacts.

use crate::check::Check;
use crate::model::violation::CheckSeverity::{Critical, High, Low, Medium};

pub(super) const ART_001: Check = Check::new(
    "ART-001",
    High,
    "an artifact does not say what it is",
    "With the empty config only `artifactType` tells what a manifest is (OCI manifest.md, \"Guidelines for \
     Artifact Usage\"): without it registries refuse it, and clients guess.",
    "push it with an artifact type, such as `oras push --artifact-type`",
);
pub(super) const ART_002: Check = Check::new(
    "ART-002",
    Medium,
    "a manifest refers to one that is not there",
    "An artifact without its subject is found by nobody: usually the image was deleted, and what was said of \
     it was left behind.",
    "delete the artifact, or push the image that it is about",
);
pub(super) const ART_003: Check = Check::new(
    "ART-003",
    High,
    "an artifact describes its subject wrongly",
    "`subject` is a descriptor: its size and media type are those of the manifest that it names (OCI \
     manifest.md). Registries differ in which part they believe.",
    "attach the artifact anew with a current tool",
);
pub(super) const ART_004: Check = Check::new(
    "ART-004",
    High,
    "the fallback tag is no list of what refers to the image",
    "Where a registry has no referrers API, the tag `sha256-…` lists the image's signatures (distribution-spec, \
     \"Unavailable Referrers API\"). Anybody who may push can write it; an entry that does not refer back to \
     the image proves nothing.",
    "repair the tag: attach the artifacts again with a current tool",
);
pub(super) const ART_005: Check = Check::new(
    "ART-005",
    Critical,
    "what is listed as hanging on the image belongs to another",
    "A list that puts the signature of one image on another is how a client that does not look is fooled.",
    "find out who wrote the list; delete the entry",
);
pub(super) const ART_006: Check = Check::new(
    "ART-006",
    Low,
    "a list states another artifact type than the manifest",
    "Clients that choose by the list miss it. GHCR's lists state one type for all; the manifest counts.",
    "nothing, on GHCR; elsewhere attach the artifact again",
);
pub(super) const ART_007: Check = Check::new(
    "ART-007",
    Medium,
    "the empty blob is not `{}`",
    "The empty descriptor is one fixed blob (OCI manifest.md): another one under its media type hides data \
     that no client looks at.",
    "use the empty descriptor as the specification has it",
);
pub(super) const ART_008: Check = Check::new(
    "ART-008",
    Medium,
    "cosign's older and newer signatures disagree",
    "Old verifiers take the tag `.sig` or `.att`, new ones the bundles: they would trust different signers.",
    "sign again in both formats, or delete the older one",
);
pub(super) const ART_009: Check = Check::new(
    "ART-009",
    Medium,
    "the registry's list and the fallback tag disagree",
    "Clients ask one or the other, and see different signatures.",
    "attach again what is missing, or delete the fallback tag once the registry lists everything",
);

/// The family's checks.
pub(super) static CHECKS: &[Check] =
    &[ART_001, ART_002, ART_003, ART_004, ART_005, ART_006, ART_007, ART_008, ART_009];
