//! What the checks of annotations are.

use crate::check::Check;
use crate::model::violation::CheckSeverity::{High, Low, Medium};

pub(super) const ANN_001: Check = Check::new(
    "ANN-001",
    High,
    "the source is missing, malformed, or another one",
    "`org.opencontainers.image.source` ties the image to its repository: GHCR gives it that \
     repository's permissions, and policies decide by it.",
    "set the label and annotation to the repository's https address",
);
pub(super) const ANN_002: Check = Check::new(
    "ANN-002",
    High,
    "the revision is missing, malformed, or another one",
    "`org.opencontainers.image.revision` says which commit was built. One that is no commit says \
     nothing.",
    "set it to the full commit id",
);
pub(super) const ANN_003: Check = Check::new(
    "ANN-003",
    Medium,
    "the version is not the tag's",
    "Whoever reads the label believes to run another version. Often it is inherited from the base \
     image.",
    "set `org.opencontainers.image.version` to the released version",
);
pub(super) const ANN_004: Check = Check::new(
    "ANN-004",
    Low,
    "a date is not RFC 3339",
    "`org.opencontainers.image.created` is compared by tools that parse it as RFC 3339 (OCI \
     annotations.md).",
    "write it as 2026-01-31T12:00:00Z",
);
pub(super) const ANN_005: Check = Check::new(
    "ANN-005",
    Low,
    "the licences are no SPDX expression",
    "OCI annotations.md asks for an SPDX expression; other words match no licence rule.",
    "write it as `MIT OR Apache-2.0`",
);
pub(super) const ANN_006: Check = Check::new(
    "ANN-006",
    Low,
    "the base image is named in part",
    "Name and digest of the base together tell whether it is out of date; one alone does not.",
    "set both `org.opencontainers.image.base.name` and `.base.digest`",
);
pub(super) const ANN_007: Check = Check::new(
    "ANN-007",
    Medium,
    "an annotation holds control characters or is very long",
    "Control and bidirectional characters make logs and terminals show something else than what is \
     there.",
    "remove them; attach long data as an artifact",
);
pub(super) const ANN_008: Check = Check::new(
    "ANN-008",
    Medium,
    "index, manifest and label contradict each other",
    "Tools read one of them and trust it: which source, commit or version it is depends on the tool.",
    "set them in one place: `docker/metadata-action` with `DOCKER_METADATA_ANNOTATIONS_LEVELS`",
);
pub(super) const ANN_009: Check = Check::new(
    "ANN-009",
    Low,
    "title, description or vendor is missing",
    "People who find the image in a registry cannot tell what it is or who answers for it.",
    "set the `org.opencontainers.image` annotations",
);

/// The family's checks.
pub(super) static CHECKS: &[Check] =
    &[ANN_001, ANN_002, ANN_003, ANN_004, ANN_005, ANN_006, ANN_007, ANN_008, ANN_009];
