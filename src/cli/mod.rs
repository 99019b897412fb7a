//! placeholder

pub mod compare_versions;
