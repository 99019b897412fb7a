//! Tests from outside, by door and by subject.
#![expect(unreachable_pub, reason = "one binary: everything is reachable by its modules alone")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that fails may panic anywhere"
)]

mod architecture;
mod attestations;
mod attesting;
mod broken;
mod conformance;
mod copying;
mod db;
mod demo;
mod documents;
mod enrich;
mod environment;
mod explain;
mod fuzzing;
mod gate;
mod github;
mod hanging;
mod judge;
mod judges;
mod labels;
mod layer_cache;
mod layer_checks;
mod layers;
mod licenses;
mod matching;
mod mutations;
mod once;
mod purls;
mod ranges;
mod reading;
mod registry;
mod relations;
mod remote;
mod sbom;
mod sbom_index;
mod signing;
mod sigstore;
mod sim;
mod support;
mod tree;
mod truth;
mod unsaid;
mod validate;
mod verify_bundle;
mod versions;
mod vex;
