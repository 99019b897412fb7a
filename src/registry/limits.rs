//! Bounds on what a registry may send and make the client do. An error that a limit causes names it.

use std::time::Duration;

/// Bytes of an answer of a token service: 64 KiB; real tokens have up to 4 KiB.
pub(super) const TOKEN: u64 = 64 << 10;

/// Bytes read of the body of an answer that is an error: 64 KiB; what is beyond is not looked at.
pub(super) const ERROR_BODY: u64 = 64 << 10;

/// Bytes of a manifest, of an index, and of a page of tags or referrers: 4 MiB, as the distribution
/// specification asks registries to take (spec.md, "Pushing Manifests").
pub const MANIFEST: u64 = 4 << 20;

/// Braces, brackets, commas and colons of a manifest: 200,000. One of 4 MiB that is full of descriptors has
/// 160,000; parsed they take 16 MiB.
pub(super) const STRUCTURE: usize = 200_000;

/// Bytes of a piece of an upload: 4 MiB. GHCR answers 416 to more in one `PATCH`.
pub(super) const CHUNK: usize = 4 << 20;

/// Bytes of a piece that a registry may ask for by `OCI-Chunk-Min-Length`: 32 MiB, held in memory once.
pub(super) const LARGEST_CHUNK: usize = 32 << 20;

/// Redirects followed for one request: 5; a pull needs one.
pub(super) const REDIRECTS: usize = 5;

/// How long a connection to a mirror may take: 3 seconds; it is there to be nearer than the registry.
pub(super) const MIRROR_CONNECT: Duration = Duration::from_secs(3);

/// How long a mirror may think before it answers: 10 seconds.
pub(super) const MIRROR_ANSWER: Duration = Duration::from_secs(10);

/// Pages of a listing: 1,000.
pub(super) const PAGES: usize = 1000;

/// Tags of a repository: 200,000; the largest known have 135,000.
pub(super) const TAGS: usize = 200_000;

/// Referrers of one subject: 1,000 (design §7).
pub const REFERRERS: usize = 1000;

/// Requests for what hangs on an image, all its manifests together: 10,000. Each of 1,024 manifests takes a page of
/// referrers, a fallback tag and cosign's tags, and each of 1,000 referrers a few.
pub(super) const HANGING_REQUESTS: u64 = 10_000;

/// Bytes of the lists, manifests and tags that hang on an image, all its manifests together: 128 MiB. A list of
/// 1,000 referrers has one, as has a tag of 300 signatures.
pub(super) const HANGING_BYTES: u64 = 128 << 20;

/// Referrers whose manifests are opened at a time.
pub(super) const OPENED_AT_ONCE: usize = 8;

/// Bytes of a referrer's manifest that is kept after it was opened: 64 KiB, so that 1,000 of them stay
/// below 64 MiB. Larger ones are fetched again where they are needed.
pub(super) const KEPT_MANIFEST: usize = 64 << 10;

/// How often the stream of one blob is taken up again, however far it came between: 64. Whoever cuts more
/// often sends a byte a connection.
pub(super) const RESUMES: u32 = 64;

/// Characters of a registry's own message that an error repeats.
pub(super) const MESSAGE: usize = 300;

/// Bytes of a credentials file or of the settings file: 1 MiB.
pub(super) const CONFIG_FILE: u64 = 1 << 20;

/// Bytes that a credential helper may print: 64 KiB, as a token.
pub(super) const HELPER: u64 = 64 << 10;

/// Tokens kept for one registry: 1,000 repositories and what was wanted of them.
pub(super) const TOKENS: usize = 1000;
