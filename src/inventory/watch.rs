//! What catalogers do, for whoever wants to know. The layer pass has no clock of its own.

use core::time::Duration;

/// Is told what each cataloger did. Called from several threads.
pub trait Watch: Sync {
    /// The time since any beginning.
    fn now(&self) -> Duration;

    /// A cataloger read a file: how long it took, and how many packages it found.
    fn cataloged(&self, cataloger: &'static str, took: Duration, packages: usize);
}

/// Nobody wants to know.
pub struct Unwatched;

impl Watch for Unwatched {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn cataloged(&self, _: &'static str, _: Duration, _: usize) {}
}
