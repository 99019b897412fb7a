//! Numbers inside versions.

/// A natural number of any length, ordered by its value. Versions carry dates and build numbers that no
/// machine integer holds, and a malicious one carries a number that wraps around to a small one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Natural<'a> {
    // The derived order looks at the length first; without leading zeros that is the order of the values.
    length: usize,
    digits: &'a str,
}

impl<'a> Natural<'a> {
    /// Zero: what a left-out number stands for.
    pub(super) const ZERO: Self = Self { length: 0, digits: "" };

    /// Reads ASCII digits; `None` where there is none, or anything else.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let digits = text.trim_start_matches('0');
        Some(Self { length: digits.len(), digits })
    }
}

/// Splits at the first character that `belongs` does not take.
pub(super) fn split_run(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_beyond_machine_integers_keep_their_order() {
        let natural = |text| Natural::parse(text).unwrap();
        assert!(natural("18446744073709551616") > natural("18446744073709551615"));
        assert!(natural("9") < natural("10"));
        assert_eq!(natural("007"), natural("7"));
        assert_eq!(natural("000"), Natural::ZERO);
    }

    #[test]
    fn only_ascii_digits_are_a_number() {
        for text in ["", "-1", "1a", " 1", "٣"] {
            assert_eq!(Natural::parse(text), None, "{text}");
        }
    }
}
