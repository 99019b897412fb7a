//! When to ask again, and how long to wait before.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The longest wait that a hint may name: a day. What is beyond is no hint.
const LONGEST_HINT: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest single pause between two attempts, without a hint: whoever waits for minutes notices soon that the other
/// side is there again.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The patience with failing requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts at one request, the first one included.
    pub attempts: u32,
    /// The first pause; each next is up to twice as long.
    pub first: Duration,
    /// The longest that one request waits between its attempts, together.
    pub longest: Duration,
}

impl Default for Retry {
    /// Five attempts within a minute: beyond it a pipeline should say what is wrong.
    fn default() -> Self {
        Self { attempts: 5, first: Duration::from_millis(300), longest: Duration::from_secs(60) }
    }
}

/// What is left of the patience with one request.
#[derive(Debug)]
pub(crate) struct Budget {
    policy: Retry,
    failures: u32,
    waited: Duration,
}

impl Budget {
    pub(crate) fn new(policy: Retry) -> Self {
        Self { policy, failures: 0, waited: Duration::ZERO }
    }

    /// How long to wait before the next attempt; none where the error must be told. `temporary` says whether
    /// asking again may help, `hint` when the other side wants to be asked again.
    pub(crate) fn next(&mut self, temporary: bool, hint: Option<Duration>) -> Option<Duration> {
        self.failures += 1;
        if !temporary || self.failures >= self.policy.attempts {
            return None;
        }
        let pause = self.pause();
        // A hint is a lower bound. Jitter stands on top of it: a hundred clients were told the same.
        let wait = hint.map_or(pause, |hint| hint.saturating_add(pause / 4));
        self.waited = self.waited.saturating_add(wait);
        // Attack: `Retry-After: 4294967295` to hang whoever is polite.
        (self.waited <= self.policy.longest).then_some(wait)
    }

    /// Full jitter over a doubling ceiling: clients that failed together do not come back together.
    fn pause(&self) -> Duration {
        let doubled = self.policy.first.saturating_mul(1 << self.failures.saturating_sub(1).min(10));
        jitter(doubled.min(LONGEST_PAUSE))
    }
}

/// A duration between a half and the whole of `ceiling`.
pub(crate) fn jitter(ceiling: Duration) -> Duration {
    ceiling.mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// When an answer says to ask again: `Retry-After` (RFC 9110 §10.2.3) in seconds or as a date, else a
/// duration in the message, as GHCR writes it.
pub(crate) fn hint(headers: &HeaderMap, message: &str) -> Option<Duration> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let stated = header(RETRY_AFTER).and_then(|value| match value.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            // Counted from the answer's own `Date`: our clock and theirs may differ.
            let (at, from) = (http_date(value)?, http_date(header(DATE)?)?);
            u64::try_from(at.saturating_sub(from)).ok().map(Duration::from_secs)
        }
    });
    stated.or_else(|| in_message(message)).filter(|hint| *hint <= LONGEST_HINT)
}

/// Seconds since 1970 of an HTTP date.
fn http_date(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp().as_second())
}

/// The duration after `retry-after:` in a message.
fn in_message(message: &str) -> Option<Duration> {
    let lower = message.to_ascii_lowercase();
    let (_, rest) = lower.split_once("retry-after:")?;
    let text: &str = rest.trim_start().split([',', ' ', ';']).next()?;
    go_duration(text)
}

/// A duration as Go prints it (`time.Duration.String`): `1.16ms`, `880.092µs`, `1m30s`.
fn go_duration(text: &str) -> Option<Duration> {
    const UNITS: &[(&str, f64)] = &[
        ("ns", 1e-9),
        ("us", 1e-6),
        ("µs", 1e-6),
        ("μs", 1e-6),
        ("ms", 1e-3),
        ("h", 3600.0),
        ("m", 60.0),
        ("s", 1.0),
    ];
    let mut rest = text;
    let mut seconds = 0.0;
    if rest.is_empty() || rest.len() > 40 {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(digits)?;
        let (unit, factor) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit))?;
        seconds += number.parse::<f64>().ok()? * factor;
        rest = tail.strip_prefix(unit)?;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint_of(pairs: &[(&'static str, &str)], message: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        hint(&headers, message)
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        assert_eq!(hint_of(&[("retry-after", "7")], ""), Some(Duration::from_secs(7)));
        let dates =
            [("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT"), ("date", "Sun, 06 Nov 1994 08:49:07 GMT")];
        assert_eq!(hint_of(&dates, ""), Some(Duration::from_secs(30)));
    }

    #[test]
    fn ghcrs_hint_in_the_message_is_read() {
        let told = |text: &str| hint_of(&[], &format!("retry-after: {text}, allowed: 44000/minute"));
        assert_eq!(told("1.16ms"), Some(Duration::from_nanos(1_160_000)));
        assert_eq!(told("880.092us"), Some(Duration::from_nanos(880_092)));
        assert_eq!(told("880.092µs"), Some(Duration::from_nanos(880_092)));
        assert_eq!(told("1m30s"), Some(Duration::from_secs(90)));
    }

    #[test]
    fn a_hint_that_makes_no_sense_is_none() {
        for value in ["-1", "soon", "99999999999999999999", "4294967295", "Sun, 06 Nov 1994 08:49:37 GMT"] {
            assert_eq!(hint_of(&[("retry-after", value)], ""), None, "{value}");
        }
        for text in ["", "ms", "1", "1.2.3s", "1e9h", "1xs", "999999999h"] {
            assert_eq!(hint_of(&[], &format!("retry-after: {text}")), None, "{text}");
        }
    }

    #[test]
    fn the_budget_ends_by_attempts_and_by_time() {
        let policy = Retry { attempts: 3, first: Duration::from_millis(10), longest: Duration::from_secs(1) };
        let mut budget = Budget::new(policy);
        assert!(budget.next(true, None).is_some_and(|wait| wait <= Duration::from_millis(10)));
        assert!(budget.next(true, None).is_some());
        assert_eq!(budget.next(true, None), None);
        let hint = Some(Duration::from_secs(5));
        assert_eq!(Budget::new(policy).next(true, hint), None, "longer than the budget");
        assert_eq!(Budget::new(policy).next(false, None), None);
    }
}
