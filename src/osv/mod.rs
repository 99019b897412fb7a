//! Matching packages against OSV advisories: records, their evaluation, and the compiled segments that
//! make a look-up cheap.

pub mod affected;
mod distro;
mod find;
#[cfg(test)]
mod fixture;
pub mod names;
mod query;
pub mod record;
pub mod segment;
mod severity;

pub use find::{Advisories, explain, find};
pub use query::ecosystems;
