//! Signatures and attestations: what they claim, and whether it is true.
//!
//! [`claims`] and [`certificate`] read what is said, for showing. [`verify`](verify()) says what holds: the
//! cryptography is that of `sigstore-verify`, behind this module alone; what it leaves open (which log signed a
//! checkpoint, whose key counts, which subject is meant) is decided here. An attestation is a bundle that was
//! verified *for a subject*; before that it is a bundle. Who may sign is another question, answered afterwards by
//! [`identity`] from what was verified.
//!
//! No network and no disk: what is trusted ([`Trust`]) is given. One thing is not given: `sigstore-verify` reads
//! the clock itself, to refuse times of the future. It can only refuse by it, never accept.

pub mod certificate;
pub mod claims;
pub mod identity;
pub mod legacy;
pub mod predicate;
pub mod statement;
pub mod trust;
pub mod write;

mod bundle;
mod log;
mod rejection;
mod verify;

pub use rejection::{Rejection, RejectionKind};
pub use statement::Statement;
pub use trust::{PublicKey, Root, RootId, Trust, UnusableKey, UnusableRoot};
pub use verify::{Content, LogEntry, LogOfKey, SignedBy, Subject, Verified, Whose, verify};
