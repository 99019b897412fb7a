//! The checks of layers.

use crate::check::Check;
use crate::model::violation::CheckSeverity::{self, Critical, High, Low, Medium};

const fn check(
    id: &'static str,
    severity: CheckSeverity,
    title: &'static str,
    why: &'static str,
    fix: &'static str,
) -> Check {
    Check { id, severity, title, why, fix }
}

const REBUILD: &str =
    "build and push the image anew; if it persists, the registry or a mirror alters what it stores";
const TOOL: &str = "build the layer with a tool that writes plain archives, such as BuildKit or GNU tar";

pub(super) const DIGEST: Check = check(
    "LYR-001",
    Critical,
    "a layer's bytes do not have the digest that names them",
    "The digest is what was signed and approved: other bytes are another image.",
    REBUILD,
);
pub(super) const SIZE: Check = check(
    "LYR-002",
    Critical,
    "a layer's blob is longer or shorter than its descriptor says",
    "OCI descriptor.md: a blob of another size is not to be processed; an endless one fills the disk.",
    REBUILD,
);
pub(super) const DIFF_ID: Check = check(
    "LYR-003",
    Critical,
    "a layer's uncompressed bytes do not have the diff ID of the configuration",
    "OCI config.md: runtimes that trust the diff ID and those that trust the manifest run different files.",
    REBUILD,
);
pub(super) const MAGIC: Check = check(
    "LYR-004",
    High,
    "a layer is compressed otherwise than its media type says",
    "Readers that believe the media type fail or see nothing where those that look at the bytes see files.",
    "state the media type that fits the bytes, or compress the layer as stated",
);
pub(super) const STREAM: Check = check(
    "LYR-005",
    High,
    "a layer's stream is cut, has several parts, or is followed by other bytes",
    "Readers differ on what follows the first member, frame or end marker: files can be hidden from scanners there.",
    "compress the layer as one member with nothing behind it",
);
pub(super) const BOMB: Check = check(
    "LYR-006",
    Critical,
    "a layer unpacks to more than any real one does",
    "A decompression bomb fills the disk of every node that pulls the image.",
    "do not use the image; a layer of zeros has no use",
);
pub(super) const NAME: Check = check(
    "LYR-007",
    Critical,
    "an entry's name is absolute, has `..`, or is too long",
    "A name that leads out of the image overwrites files of the host in runtimes that follow it (CVE-2018-8115).",
    TOOL,
);
pub(super) const LINK: Check = check(
    "LYR-008",
    High,
    "a link leads out of the image or to nothing, or is written through",
    "A file below a link that leads out of the root lands on the host in runtimes that follow it (CVE-2019-14271).",
    "make links inside the image only, and put files below real directories",
);
pub(super) const DEVICE: Check = check(
    "LYR-009",
    High,
    "a layer brings a device or a FIFO",
    "A device node gives whoever may open it the disk or the memory of the host; runtimes make the few that are needed.",
    "remove it: runtimes populate /dev",
);
pub(super) const SET_ID: Check = check(
    "LYR-010",
    High,
    "a file runs with the rights of its owner or group (setuid, setgid)",
    "It lets a process that dropped its rights take them back; one that everybody may write is root for everybody.",
    "remove the bit (`chmod u-s,g-s`) where nothing needs it, and run with `no-new-privileges`",
);
pub(super) const CAPABILITY: Check = check(
    "LYR-011",
    Medium,
    "a file has capabilities",
    "It gives whoever runs it a part of root's rights (capabilities(7)).",
    "remove them (`setcap -r`) and add the capability to the container that needs it",
);
pub(super) const TWICE: Check = check(
    "LYR-012",
    High,
    "a path stands twice in a layer, as two kinds of entry",
    "Runtimes keep the one or the other: what was scanned need not be what runs.",
    TOOL,
);
pub(super) const WHITEOUT: Check = check(
    "LYR-013",
    Low,
    "a whiteout hides nothing or is malformed",
    "OCI layer.md: runtimes differ on such whiteouts, so that a file may come back that was to be gone.",
    TOOL,
);
pub(super) const HEADER: Check = check(
    "LYR-014",
    Medium,
    "a header says what readers of archives disagree on",
    "Sparse files, sizes stated twice and mixed formats are read differently by Go, Python and C.",
    TOOL,
);
pub(super) const OWNER: Check = check(
    "LYR-015",
    Low,
    "an owner is beyond 2^31, or a time lies in the future",
    "Runtimes with user namespaces cannot map such ids; a time of the future defeats caches and tells of a wrong clock.",
    "set owner and time when the layer is built (`--chown`, `SOURCE_DATE_EPOCH`)",
);
pub(super) const SECRET: Check = check(
    "LYR-016",
    High,
    "a layer holds a secret",
    "Whoever can pull the image has it, also where a later layer deletes the file: the bytes stay in the blob.",
    "revoke the secret, and give it to the build as `RUN --mount=type=secret`",
);
pub(super) const ACCOUNT: Check = check(
    "LYR-017",
    High,
    "an account has no password, or a second one has uid 0",
    "Whoever gets a shell becomes that user by `su` (CVE-2019-5021: root of Alpine's images).",
    "lock the account (`passwd -l`), and give every user a uid of its own",
);
pub(super) const CONTENTS: Check = check(
    "LYR-018",
    High,
    "a layer's table of contents contradicts its archive",
    "A runtime that pulls lazily (eStargz, zstd:chunked) mounts what the table says; a scanner that unpacks the \
     archive sees something else.",
    "build the layer anew, or leave the annotations of lazy pulling out",
);
pub(super) const CASE: Check = check(
    "LYR-019",
    Low,
    "paths of a layer differ only in case",
    "On a file system without case one overwrites the other (CVE-2021-21300).",
    "rename them where the image is to be unpacked on macOS or Windows",
);

/// Every one, in the order of their ids. The first four, LYR-006, and a stream that is cut come as faults of
/// the layer pass.
pub(super) static CHECKS: &[Check] = &[
    DIGEST, SIZE, DIFF_ID, MAGIC, STREAM, BOMB, NAME, LINK, DEVICE, SET_ID, CAPABILITY, TWICE, WHITEOUT,
    HEADER, OWNER, SECRET, ACCOUNT, CONTENTS, CASE,
];
