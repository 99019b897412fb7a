//! The checks of size and hygiene.

use crate::check::Check;
use crate::model::violation::CheckSeverity::{self, High, Info, Low, Medium};

const fn check(
    id: &'static str,
    severity: CheckSeverity,
    title: &'static str,
    why: &'static str,
    fix: &'static str,
) -> Check {
    Check { id, severity, title, why, fix }
}

pub(super) const BUDGET: Check = check(
    "OPT-001",
    Medium,
    "the layers are larger than allowed",
    "Every node that starts the image pulls all of it.",
    "remove what the image does not need, or raise the budget",
);
pub(super) const WASTE: Check = check(
    "OPT-002",
    Medium,
    "a tenth of the stored bytes or more cannot be seen in the end",
    "Files that a later layer deletes or replaces are pulled and stored, and never used.",
    "delete files in the step that makes them, or build in one stage and copy into another",
);
pub(super) const SHADOWED: Check = check(
    "OPT-003",
    Info,
    "a large file that a later layer hides",
    "It is one of the largest among the bytes that cannot be seen in the end.",
    "do not put it into the image, or delete it in the step that makes it",
);
pub(super) const COPIES: Check = check(
    "OPT-004",
    Low,
    "files stand twice",
    "A large file with a second copy of the same content, which no link shares, is pulled and stored twice.",
    "keep one, and link to it",
);
pub(super) const CACHE: Check = check(
    "OPT-005",
    Low,
    "the cache of a package manager",
    "Nothing in a running container reads it.",
    "delete it in the step that fills it, or use `RUN --mount=type=cache`",
);
pub(super) const TOOLCHAIN: Check = check(
    "OPT-006",
    Medium,
    "a compiler or a build tool",
    "It helps whoever breaks in, and brings vulnerabilities of its own.",
    "build in a stage of its own and copy only the result",
);
pub(super) const AGAIN: Check = check(
    "OPT-007",
    Low,
    "a layer stores files of lower layers again",
    "A recursive chown or chmod copies every file into a new layer.",
    "set owner and mode when files are copied (`COPY --chown`, `--chmod`)",
);
pub(super) const BASE: Check = check(
    "OPT-008",
    High,
    "the base is past its end of life, or its name leads to another image now",
    "Vulnerabilities found from then on are not mended here, and advisories do not name them.",
    "build again upon a base that is kept up",
);
pub(super) const MINIMAL: Check = check(
    "OPT-009",
    Info,
    "the base is not a minimal one",
    "What is not there needs no update.",
    "where the program allows it, build upon distroless, Wolfi or Alpine",
);
pub(super) const LAYERS: Check = check(
    "OPT-010",
    Low,
    "many layers",
    "Runtimes have a limit of 127 or so, and each layer costs a request.",
    "join steps that belong together",
);
pub(super) const PACKING: Check = check(
    "OPT-011",
    Info,
    "a layer is stored uncompressed",
    "It takes longer to pull than to unpack.",
    "push it with gzip or zstd",
);
pub(super) const REBUILD: Check = check(
    "OPT-012",
    Info,
    "layers carry the time of their build",
    "Files that were changed by the build have its time: the same sources built again give other digests, and \
     nobody can check what an image was made of by building it.",
    "build with SOURCE_DATE_EPOCH and BuildKit's `rewrite-timestamp=true`",
);
pub(super) const EXTRA: Check = check(
    "OPT-013",
    Info,
    "documentation, tests or source maps",
    "Nothing in a running container reads them.",
    "leave them out when packages are installed",
);
pub(super) const SKEW: Check = check(
    "OPT-014",
    Low,
    "a platform is more than twice as large as another",
    "It may hold something that the others do not, such as debug symbols or a wrong base.",
    "compare how the platforms are built",
);

/// Every one, in the order of their ids.
pub(super) static CHECKS: &[Check] = &[
    BUDGET, WASTE, SHADOWED, COPIES, CACHE, TOOLCHAIN, AGAIN, BASE, MINIMAL, LAYERS, PACKING, REBUILD, EXTRA,
    SKEW,
];
