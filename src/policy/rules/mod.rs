//! The kinds of rules, one a file.

pub(crate) mod age;
pub(crate) mod attestation;
pub(crate) mod base_image;
pub(crate) mod config;
pub(crate) mod gaps;
pub(crate) mod labels;
pub(crate) mod manifest;
pub(crate) mod packages;
pub(crate) mod platforms;
pub(crate) mod provenance;
pub(crate) mod reference;
pub(crate) mod sbom;
pub(crate) mod secrets;
pub(crate) mod signature;
pub(crate) mod size;
pub(crate) mod verdict;
pub(crate) mod vulnerabilities;
