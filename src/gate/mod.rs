//! The only place that knows the order: open, read layers, flatten, find, evaluate.

mod inspect;
mod judge;
mod snapshot;
mod source;

pub use inspect::{Error, Opened, Progress, open};
pub use judge::{Request, gather, judge};
pub use snapshot::{EcosystemStatus, open_snapshot, status};
