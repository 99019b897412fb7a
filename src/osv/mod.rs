//! Matching packages against OSV advisories: records, their evaluation, and the compiled segments that
//! make a look-up cheap.

pub mod affected;
pub mod record;
