//! What the checks of manifests are.

use crate::check::Check;
use crate::model::violation::CheckSeverity::{Critical, High, Info, Medium};

pub(super) const MAN_001: Check = Check::new(
    "MAN-001",
    Critical,
    "the manifest's bytes do not have its digest",
    "Somebody replaced the bytes under the digest that was asked for, or they were damaged. The digest \
     is all that ties an image to what was built.",
    "fetch the image again from a registry that you trust; if it stays, build and push it anew",
);
pub(super) const MAN_002: Check = Check::new(
    "MAN-002",
    Critical,
    "the manifest's length is not the stated size",
    "A descriptor names bytes by digest and size (OCI descriptor.md). Where they disagree, somebody \
     lies or the bytes were cut.",
    "build and push the image anew",
);
pub(super) const MAN_003: Check = Check::new(
    "MAN-003",
    High,
    "the manifest is served or declared as another media type than its own",
    "Clients choose how to read a document by its Content-Type or descriptor, others by its mediaType: \
     they see two different images (CVE-2021-41190).",
    "push the manifest with the Content-Type that its mediaType field states",
);
pub(super) const MAN_004: Check = Check::new(
    "MAN-004",
    Critical,
    "it is not certain whether the document is a manifest or an index",
    "A document with config or layers and manifests is an image to one client and a list of other \
     images to the next (CVE-2021-41190): what was checked is not what runs. One with neither is no \
     image.",
    "build and push the image anew with a current tool",
);
pub(super) const MAN_005: Check = Check::new(
    "MAN-005",
    Medium,
    "mediaType is missing",
    "Without it only guessing tells a manifest from an index. OCI says SHOULD, and advises it against \
     CVE-2021-41190.",
    "build with a current tool, such as Buildx 0.10 or later",
);
pub(super) const MAN_006: Check = Check::new(
    "MAN-006",
    High,
    "two keys are equal, or are taken for one by some parsers",
    "Of two equal keys parsers take the first or the last, and Go takes `Layers` for `layers`: one \
     parser checks what another does not run.",
    "build and push the image anew; no honest tool writes such a document",
);
pub(super) const MAN_007: Check = Check::new(
    "MAN-007",
    High,
    "the JSON is read differently by different parsers, or is of the wrong shape",
    "A byte order mark, trailing bytes, invalid UTF-8, a size written as 2.0e0 or a string where a list \
     belongs are refused by one parser and accepted by another (RFC 8259, RFC 7493).",
    "build and push the image anew with a current tool",
);
pub(super) const MAN_008: Check = Check::new(
    "MAN-008",
    High,
    "schemaVersion is not 2",
    "Docker schema 1 is obsolete: its layers cannot be verified, and current runtimes refuse it. \
     Anything else is no manifest.",
    "push the image again with a current tool",
);
pub(super) const MAN_009: Check = Check::new(
    "MAN-009",
    High,
    "the manifest is too large",
    "Registries and clients may refuse more than 4 MiB (OCI distribution-spec); more than 1 MiB makes \
     every pull and admission slow.",
    "keep large data out of annotations: attach it as an artifact",
);
pub(super) const MAN_010: Check = Check::new(
    "MAN-010",
    High,
    "a digest is malformed or of an unregistered algorithm",
    "A digest becomes a cache key and a file name. `sha256:../..` leads out of the blobs, two spellings \
     of one digest are two keys, and nobody can verify an unknown algorithm.",
    "use lower-case sha256 digests",
);
pub(super) const MAN_011: Check = Check::new(
    "MAN-011",
    Medium,
    "a media type is malformed",
    "Media types follow RFC 6838; clients that parse them refuse others or read them differently.",
    "use `type/subtype` of letters, digits and `.+-_`",
);
pub(super) const MAN_012: Check = Check::new(
    "MAN-012",
    Medium,
    "Docker's and OCI's media types are mixed",
    "Strict clients refuse such a manifest, and converting it changes the digest that signatures are \
     for.",
    "build with one format: `--output type=image,oci-mediatypes=true`",
);
pub(super) const MAN_013: Check = Check::new(
    "MAN-013",
    Info,
    "the manifest is Docker schema 2, not OCI",
    "It has neither annotations nor a subject: nothing can be said about the image inside it.",
    "build with `oci-mediatypes=true`",
);
pub(super) const MAN_014: Check = Check::new(
    "MAN-014",
    Critical,
    "the data embedded in a descriptor is not what the descriptor says",
    "A client that trusts the embedded data sees other bytes than one that fetches the blob (OCI \
     descriptor.md, data).",
    "remove the data field, or embed the blob's own bytes",
);
pub(super) const MAN_015: Check = Check::new(
    "MAN-015",
    Critical,
    "a descriptor tells clients to fetch from an address",
    "A client that follows `urls` can be made to ask hosts inside the network that it stands in (as \
     with CVE-2020-15157, where credentials leaked). Only layers that must not be distributed have a \
     use for them.",
    "push the blob to the registry and remove urls",
);
pub(super) const MAN_016: Check = Check::new(
    "MAN-016",
    Medium,
    "a layer is declared as not distributable",
    "Such layers are fetched from elsewhere, or not at all: the registry does not hold the whole image. \
     OCI deprecates them.",
    "push the layer as an ordinary one, such as with `--allow-nondistributable-artifacts`",
);
pub(super) const MAN_017: Check = Check::new(
    "MAN-017",
    Info,
    "a layer is listed twice",
    "It is extracted twice for nothing; often it is the empty layer of a builder.",
    "squash or remove the repeated step",
);
pub(super) const MAN_018: Check = Check::new(
    "MAN-018",
    High,
    "the image has too many layers",
    "Overlay file systems of current kernels stop at about 127 layers, and each costs a request and \
     time.",
    "join steps, or copy the result of a build stage as one",
);
pub(super) const MAN_019: Check = Check::new(
    "MAN-019",
    Medium,
    "the tag moved while the image was read",
    "Whoever resolves the tag a moment later gets another image than the one that was checked.",
    "check and deploy by digest",
);
pub(super) const MAN_020: Check = Check::new(
    "MAN-020",
    Medium,
    "the reference can come to mean another image",
    "The tag `latest` moves with every push: what runs after the next restart is not what was checked.",
    "deploy by digest: `name@sha256:…`",
);
pub(super) const MAN_021: Check = Check::new(
    "MAN-021",
    Critical,
    "the registry states another digest than the bytes have",
    "Clients that trust the Docker-Content-Digest header pin or sign something else than what they \
     read.",
    "fetch the image again from a registry that you trust",
);

/// The family's checks.
pub(super) static CHECKS: &[Check] = &[
    MAN_001, MAN_002, MAN_003, MAN_004, MAN_005, MAN_006, MAN_007, MAN_008, MAN_009, MAN_010, MAN_011,
    MAN_012, MAN_013, MAN_014, MAN_015, MAN_016, MAN_017, MAN_018, MAN_019, MAN_020, MAN_021,
];
