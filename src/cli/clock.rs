//! The clock.

/// The evaluation time where none was given.
#[expect(clippy::disallowed_methods, reason = "a door reads the clock")]
pub(super) fn now() -> jiff::Timestamp {
    let now = jiff::Timestamp::now();
    // Whole seconds: nobody types a fraction into `--at` to judge again.
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now)
}
