//! The nouns: plain data that every stage speaks, without I/O, clock or log.

pub mod attestation;
pub mod base;
pub mod config;
pub mod descriptor;
pub mod digest;
pub mod enrichment;
pub mod evidence;
pub mod explanation;
pub mod fact;
pub mod fault;
pub mod finding;
pub mod inventory;
pub mod layer;
pub mod license;
pub mod location;
pub mod observed;
pub mod path;
pub mod platform;
pub mod predicate;
pub mod purl;
pub mod reference;
pub mod severity;
pub mod signer;
pub mod tree;
pub mod verdict;
pub mod vex;
pub mod violation;
pub(crate) mod word;

#[cfg(test)]
pub(crate) mod fixture;
