//! How often a host is asked: a bucket of tokens that all tasks of a client share.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The buckets of a client, by the name under which a host stands in the settings: as many as stand there.
#[derive(Debug, Default)]
pub(super) struct Paces(Mutex<BTreeMap<String, Arc<Pace>>>);

impl Paces {
    /// The bucket of a host that may be asked `rate` times a second.
    pub(super) fn of(&self, name: &str, rate: NonZeroU32) -> Arc<Pace> {
        let mut paces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(paces.entry(name.to_owned()).or_insert_with(|| Arc::new(Pace::new(rate))))
    }
}

/// A bucket that holds the tokens of one second, and is full at first: a burst after a pause is what
/// registries count too. Whoever finds it empty waits for a token of his own, in the order of asking.
#[derive(Debug)]
pub(super) struct Pace {
    /// Between two tokens.
    every: Duration,
    /// When the bucket will be full again, as if nobody came in between.
    full: Mutex<Option<Instant>>,
}

impl Pace {
    fn new(rate: NonZeroU32) -> Self {
        Self { every: Duration::from_secs(1) / rate.get(), full: Mutex::default() }
    }

    /// Waits for a token. How many wait is bounded by the host's concurrency.
    pub(super) async fn wait(&self) {
        let wait = self.take(Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Takes a token; how long it takes until there is one.
    fn take(&self, now: Instant) -> Duration {
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let next = full.unwrap_or(now).max(now) + self.every;
        *full = Some(next);
        next.saturating_duration_since(now).saturating_sub(Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_gives_as_many_tokens_as_the_rate_says_after_the_first_bucket() {
        let pace = Pace::new(NonZeroU32::new(4).unwrap());
        let began = Instant::now();
        let waits: Vec<u128> = (0..8).map(|_| pace.take(began).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 250, 500, 750, 1000]);
        // After a long pause the bucket holds no more than it did at first.
        let later = began + Duration::from_secs(60);
        let waits: Vec<u128> = (0..5).map(|_| pace.take(later).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 250]);
    }

    #[test]
    fn hosts_under_one_name_share_a_bucket() {
        let (paces, rate) = (Paces::default(), NonZeroU32::MIN);
        assert!(Arc::ptr_eq(&paces.of("a", rate), &paces.of("a", rate)));
        assert!(!Arc::ptr_eq(&paces.of("a", rate), &paces.of("b", rate)));
    }
}
