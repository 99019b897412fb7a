//! The only place that knows the order: open, read layers, flatten, find, evaluate.

mod inspect;

pub use inspect::{Error, Progress, inspect};
