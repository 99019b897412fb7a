//! The only place that knows the order: open, read layers, flatten, find, evaluate.

mod inspect;
mod judge;
mod snapshot;

pub use inspect::{Error, Progress, inspect, platforms};
pub use judge::{Request, gather, judge};
pub use snapshot::{EcosystemStatus, open_snapshot, status};
