//! The policy: one document, one verdict.
//!
//! [`Policy::parse`] reads the document, [`Policy::select`] settles which of its scopes may apply, and
//! [`evaluate()`] judges evidence by it. A kind of rule is one file in `rules/` and one row of [`RULES`].

mod checked;
mod demand;
mod document;
mod error;
mod evaluate;
mod fields;
mod identity;
mod implicit;
mod pattern;
mod quantity;
mod rule;
mod rules;
mod scope;
mod signed;
mod waiver;
mod yaml;

#[cfg(test)]
mod fixture;

pub use demand::{Demand, NamedIdentities, Signatories, Signatory};
pub use document::{OnUnknown, Policy};
pub use error::PolicyError;
pub use evaluate::evaluate;
pub use implicit::IMPLICIT;
pub use rule::{RULES, Rule};
pub(crate) use rules::age::CLOCK_SKEW;
pub use scope::{SelectedPolicy, Selection, UnknownScope};
pub use signed::{Missing, Require};

/// The built-in policy, used where no other is given.
pub const BASELINE: &str = include_str!("../../policies/baseline.yaml");

/// The shipped example of a strict policy, to start one's own from.
pub const PRODUCTION: &str = include_str!("../../policies/production.yaml");
