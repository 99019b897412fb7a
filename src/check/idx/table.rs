//! What the checks of indexes are.

use crate::check::Check;
use crate::model::violation::CheckSeverity::{Critical, High, Low, Medium};

pub(super) const IDX_001: Check = Check::new(
    "IDX-001",
    Critical,
    "a manifest that the index lists is missing",
    "Nodes of that platform cannot pull the image. Clean-up jobs that delete untagged manifests do \
     this.",
    "push the manifest again, and keep the children of every index",
);
pub(super) const IDX_002: Check = Check::new(
    "IDX-002",
    Critical,
    "a manifest is not what the index says",
    "Digest, size and media type in the index are what a client verifies by. Other bytes are somebody \
     else's image, and another type is read differently.",
    "make the index anew from the manifests",
);
pub(super) const IDX_003: Check = Check::new(
    "IDX-003",
    High,
    "a required platform is missing",
    "Nodes of that platform cannot run the image, or an emulated one is chosen for them.",
    "build with `--platform` for all that are required",
);
pub(super) const IDX_004: Check = Check::new(
    "IDX-004",
    High,
    "a platform is listed twice",
    "Some clients take the first and some the best match: which image runs depends on the client, and \
     only one may have been checked.",
    "list each platform once",
);
pub(super) const IDX_005: Check = Check::new(
    "IDX-005",
    High,
    "the index lists a manifest for another platform than its configuration states",
    "A node is given a program that it cannot run, or one that was meant for elsewhere.",
    "make the index anew; `docker buildx imagetools create` reads the platforms from the images",
);
pub(super) const IDX_006: Check = Check::new(
    "IDX-006",
    High,
    "an index lists an index",
    "Few clients follow nested indexes, and those that do choose differently; policies are applied to \
     one level.",
    "list all manifests in one index",
);
pub(super) const IDX_007: Check = Check::new(
    "IDX-007",
    High,
    "the index lists nothing",
    "Nothing can be run from it, and everything holds of all of its images.",
    "push the index with its manifests",
);
pub(super) const IDX_008: Check = Check::new(
    "IDX-008",
    High,
    "an attestation manifest belongs to no image of the index",
    "Tools that look for the SBOM or provenance of an image find none, or that of another.",
    "build the image with its attestations in one go: `--provenance --sbom`",
);
pub(super) const IDX_009: Check = Check::new(
    "IDX-009",
    Medium,
    "a manifest's platform is unknown/unknown and nothing says what it is",
    "Only BuildKit's attestations are listed so, and they say so by `vnd.docker.reference.type`.",
    "state the platform, or remove the manifest",
);
pub(super) const IDX_010: Check = Check::new(
    "IDX-010",
    Low,
    "a variant is missing or unusual",
    "Runtimes guess the variant of `arm`, and choose by the guess.",
    "state the variant: `linux/arm/v7`",
);
pub(super) const IDX_011: Check = Check::new(
    "IDX-011",
    Medium,
    "the platforms were not built together",
    "Built from different commits, or more than a day apart, they behave differently, and a fix may be \
     in one only.",
    "build all platforms in one run from one commit",
);
pub(super) const IDX_012: Check = Check::new(
    "IDX-012",
    Medium,
    "some platforms are signed and others are not",
    "A runtime that pulls a platform by its own digest finds no signature on the others: somebody signed one \
     build by hand, or a platform was replaced after the signing.",
    "sign the index and all platforms: `cosign sign --recursive`",
);
pub(super) const IDX_013: Check = Check::new(
    "IDX-013",
    Critical,
    "an index contains itself",
    "No honest index can hold its own digest. A client that follows it does not end.",
    "remove it; somebody made it by hand",
);

/// The family's checks.
pub(super) static CHECKS: &[Check] = &[
    IDX_001, IDX_002, IDX_003, IDX_004, IDX_005, IDX_006, IDX_007, IDX_008, IDX_009, IDX_010, IDX_011,
    IDX_012, IDX_013,
];
