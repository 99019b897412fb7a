//! Signatures, as far as they tell who made them. Nothing is verified here: what is read are claims.

mod claims;

pub use claims::{of_bundle, of_certificate_pem, predicate_of_bundle, predicate_of_envelope};
