//! Tests from outside, by door and by subject.
#![expect(unreachable_pub, reason = "one binary: everything is reachable by its modules alone")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that fails may panic anywhere")]

mod architecture;
mod demo;
mod support;
mod truth;
mod versions;
