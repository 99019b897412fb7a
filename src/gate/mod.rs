//! The only place that knows the order: open, read layers, flatten, find, evaluate.

mod check;
mod copy;
mod hanging;
mod inspect;
mod judge;
mod snapshot;
mod source;
mod tags;
mod tree;

pub use copy::{Copied, CopyError, copy};
pub use inspect::{Error, Inspected, Opened, Progress, open};
pub use judge::{Request, gather, judge};
pub use snapshot::{EcosystemStatus, open_snapshot, status};
pub use tree::tree;
