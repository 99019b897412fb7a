//! The only place that knows the order: open, read layers, flatten, find, evaluate.

mod inspect;
mod judge;

pub use inspect::{Error, Progress, inspect, platforms};
pub use judge::{Request, gather, info, judge, open_snapshot};
