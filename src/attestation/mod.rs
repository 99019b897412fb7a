//! Signatures, as far as they tell who made them. Nothing is verified here: what is read are claims.

pub mod certificate;
pub mod claims;
