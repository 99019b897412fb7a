//! The policy: one document, one verdict.
