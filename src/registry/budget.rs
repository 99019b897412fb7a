//! What one look at all that hangs on an image may cost, whatever number of manifests the image has.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::{Error, ErrorKind};
use super::limits;

/// Requests and bytes that are left. Cheap to clone; the clones share what is left.
#[derive(Debug, Clone)]
pub struct Budget {
    left: Arc<Left>,
}

#[derive(Debug)]
struct Left {
    requests: AtomicU64,
    bytes: AtomicU64,
    /// What there was in all, for messages.
    in_all: (u64, u64),
}

impl Default for Budget {
    /// 10,000 requests and 128 MiB: what an image with all that may hang on it takes.
    fn default() -> Self {
        Self::of(limits::HANGING_REQUESTS, limits::HANGING_BYTES)
    }
}

impl Budget {
    /// So many requests and bytes.
    #[must_use]
    pub fn of(requests: u64, bytes: u64) -> Self {
        let left = Left {
            requests: AtomicU64::new(requests),
            bytes: AtomicU64::new(bytes),
            in_all: (requests, bytes),
        };
        Self { left: Arc::new(left) }
    }

    /// Takes one request, for `at`.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] where no request is left, or no byte for an answer.
    pub fn request(&self, at: &str) -> Result<(), Error> {
        self.bytes_left(at)?;
        let (requests, _) = self.left.in_all;
        let one_less = |left: u64| left.checked_sub(1);
        if self.left.requests.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err() {
            let message = format!(
                "more than {requests} requests for what hangs on an image (limit `hanging requests`)"
            );
            return Err(Error::new(ErrorKind::TooLarge, at, message));
        }
        Ok(())
    }

    /// Sees to it that there are bytes left, for `at`.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] where there are none.
    pub fn bytes_left(&self, at: &str) -> Result<(), Error> {
        let (_, bytes) = self.left.in_all;
        // Attack: lists of long pages without an entry, of which each is below the limit, for each of 256 platforms.
        if self.left.bytes.load(Ordering::Relaxed) > 0 {
            return Ok(());
        }
        let message = format!("more than {bytes} bytes of what hangs on an image (limit `hanging bytes`)");
        Err(Error::new(ErrorKind::TooLarge, at, message))
    }

    /// Notes that so many bytes came. What is asked for at the same time may go beyond the limit, by one document each.
    pub fn spent(&self, bytes: usize) {
        let less = |left: u64| Some(left.saturating_sub(bytes as u64));
        // It never fails: there is always a next value.
        let _ = self.left.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_bytes_run_out_for_all_who_share() {
        let budget = Budget::of(2, 10);
        let other = budget.clone();
        budget.request("a").unwrap();
        other.request("b").unwrap();
        let error = budget.request("c").unwrap_err();
        assert_eq!(error.kind, ErrorKind::TooLarge);
        assert!(error.to_string().contains("limit `hanging requests`"), "{error}");
        let budget = Budget::of(100, 10);
        budget.spent(9);
        budget.request("a").unwrap();
        budget.clone().spent(1000);
        assert!(budget.request("b").unwrap_err().to_string().contains("limit `hanging bytes`"));
    }
}
