//! What everything that speaks HTTP has in common: a bounded request, patience, proxies, and words for a network that
//! fails.
//!
//! Whoever asks decides where a request may go, and what its answer means.

mod client;
mod failure;
mod proxies;
mod retry;

use std::time::Duration;

pub use client::Times;
pub(crate) use client::{Client, Failed, length};
pub(crate) use failure::Failure;
pub use proxies::Proxies;
pub use retry::Retry;
pub(crate) use retry::{Budget, hint, jitter};

/// A body must come faster than this many bytes a second on average, once [`PATIENCE`] was spent waiting.
pub(crate) const SLOWEST: u64 = 1024;

/// How long a body may be slower than [`SLOWEST`].
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a body of which so much came, after so much waiting, will not be waited for any longer.
pub(crate) fn is_too_slow(received: u64, waited: Duration) -> bool {
    waited > PATIENCE && received / waited.as_secs().max(1) < SLOWEST
}
