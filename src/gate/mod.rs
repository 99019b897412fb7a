//! The only place that knows the order: open, read layers, flatten, find, evaluate.

mod artifact;
mod attest;
mod attestations;
mod attested_vex;
mod bases;
mod cause;
mod check;
mod copy;
mod db;
mod digesting;
mod document;
mod explain;
mod hanging;
mod inspect;
mod judge;
mod parallel;
mod sign;
mod snapshot;
mod source;
mod stopwatch;
mod supplements;
mod survey;
mod tags;
mod tree;
mod trust;

pub use attest::{AttestRequest, attest};
pub use attestations::Trusted;
pub use bases::known_bases;
pub use copy::{Copied, CopyError, CopyRequest, copy};
pub use db::{DbError, PullRequest, Pulled, Pushed, pull, push, verify};
pub use explain::explain;
pub use inspect::{Error, Inspected, LayerProgress, Opened, Progress, open};
pub use judge::{Believing, Judging, Request, gather, judge};
pub use sign::{Format, SignError, SignRequest, What, sign};
pub use snapshot::{EcosystemStatus, fetching_snapshot, open_snapshot, status};
pub use stopwatch::{Tally, Took};
pub use supplements::{
    ExploitFile, PUBLIC_EPSS, PUBLIC_KEV, SupplementFiles, Supplements, fetch_exploits, note_end_of_life,
};
pub use tree::{TreeError, tree};
pub use trust::{Refresh, Refreshing, Roots, Settled};
