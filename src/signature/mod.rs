//! Signatures, as far as they tell who made them. Nothing is verified here: what is read are claims.

pub mod bundle;
pub mod certificate;
