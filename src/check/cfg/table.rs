//! What the checks of configurations are.

use crate::check::Check;
use crate::model::violation::CheckSeverity::{Critical, High, Info, Low, Medium};

pub(super) const CFG_001: Check = Check::new(
    "CFG-001",
    Critical,
    "the configuration is missing, or its bytes are not what the manifest says",
    "The configuration decides what runs and which layers are verified by what. Other bytes than those \
     that were named are somebody else's.",
    "build and push the image anew",
);
pub(super) const CFG_002: Check = Check::new(
    "CFG-002",
    High,
    "rootfs.type is not `layers`",
    "OCI config.md allows nothing else: a runtime refuses it or guesses how the file system is made.",
    "build with a current tool",
);
pub(super) const CFG_003: Check = Check::new(
    "CFG-003",
    High,
    "the diff IDs do not fit the layers",
    "The diff IDs are what the uncompressed layers are verified by, one each. Where they do not fit, a \
     layer is extracted that nothing vouches for.",
    "build and push the image anew",
);
pub(super) const CFG_004: Check = Check::new(
    "CFG-004",
    Medium,
    "the history does not fit the layers",
    "Tools name the Dockerfile's line behind a layer by counting. Where the counts differ they blame \
     the wrong line.",
    "build with a current tool; do not edit the history by hand",
);
pub(super) const CFG_005: Check = Check::new(
    "CFG-005",
    High,
    "the platform is missing, or is not the one that the image is listed for",
    "An index that offers one platform under the name of another runs the wrong, perhaps unchecked, \
     program.",
    "build each platform with its own `--platform`, and make the index anew",
);
pub(super) const CFG_006: Check = Check::new(
    "CFG-006",
    Low,
    "the date of creation is odd",
    "Age rules trust it: a date in the future keeps an old image young. The epoch says that the build \
     is reproducible.",
    "set the builder's clock, or SOURCE_DATE_EPOCH to the date of the commit",
);
pub(super) const CFG_007: Check = Check::new(
    "CFG-007",
    High,
    "a secret stands in the configuration",
    "Whoever can pull the image can read its environment, labels and build history, also what a later \
     step unset.",
    "revoke the secret, then pass it at run time, or to the build with `RUN --mount=type=secret`",
);
pub(super) const CFG_008: Check = Check::new(
    "CFG-008",
    Medium,
    "the image runs as root",
    "A process that breaks out of its container, or writes to a mounted volume, does so as root.",
    "add `USER` with a number above 0",
);
pub(super) const CFG_009: Check = Check::new(
    "CFG-009",
    Medium,
    "a sensitive path is a volume, or the SSH port is exposed",
    "A volume over a system path or the container engine's socket hands the host over; an SSH server in \
     a container is a second way in that nobody patches.",
    "remove the `VOLUME` or `EXPOSE`",
);
pub(super) const CFG_010: Check = Check::new(
    "CFG-010",
    Info,
    "there is no health check",
    "Docker cannot tell that the program hangs. Kubernetes has probes of its own and ignores it.",
    "add `HEALTHCHECK`, or probes in the deployment",
);
pub(super) const CFG_011: Check = Check::new(
    "CFG-011",
    Medium,
    "a build step is careless",
    "What is fetched without being verified can be replaced on the way; rights that everybody has are \
     rights that an intruder has.",
    "verify downloads by digest, join `apt-get update` and `install`, and give files to the user who \
     needs them",
);
pub(super) const CFG_012: Check = Check::new(
    "CFG-012",
    Info,
    "the image starts a bare shell",
    "An image whose program is a shell is a tool for whoever gets in.",
    "make the program itself the entry point",
);
pub(super) const CFG_013: Check = Check::new(
    "CFG-013",
    High,
    "a search path leads to where others can write",
    "A relative, empty or world-writable element of PATH or LD_LIBRARY_PATH, or such a file in \
     LD_PRELOAD, runs a program that anybody in the container has put there.",
    "use absolute paths that only root can write to",
);
pub(super) const CFG_014: Check = Check::new(
    "CFG-014",
    High,
    "fields are unknown, or can be read in two ways",
    "Go takes `user` for `User`, and of two equal keys the last: the user or environment that was \
     checked is not the one that runs. Unknown fields may mean something to another runtime.",
    "build with a current tool; do not edit the configuration by hand",
);

/// The family's checks.
pub(super) static CHECKS: &[Check] = &[
    CFG_001, CFG_002, CFG_003, CFG_004, CFG_005, CFG_006, CFG_007, CFG_008, CFG_009, CFG_010, CFG_011,
    CFG_012, CFG_013, CFG_014,
];
