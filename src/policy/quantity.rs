//! Durations, sizes and dates as policies write them.

use jiff::SignedDuration;
use jiff::civil::Date;

/// The longest duration, in days: a century. It keeps sums with timestamps within their range.
const MAX_DAYS: i64 = 36_525;

/// A duration: a whole number and `m`, `h`, `d` or `w`, such as `24h`.
pub(crate) fn parse_duration(text: &str) -> Result<SignedDuration, String> {
    let invalid = || format!("expected a duration such as `30m`, `24h`, `3d` or `2w`, found `{text}`");
    let (number, unit) = split_number(text);
    let seconds = match unit {
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return Err(invalid()),
    };
    let number: i64 = number.parse().map_err(|_| invalid())?;
    let limit = MAX_DAYS * 86_400;
    let total = number.checked_mul(seconds).filter(|total| *total <= limit);
    total.map(SignedDuration::from_secs).ok_or_else(|| format!("`{text}` is longer than a century"))
}

/// A duration in the largest unit that it is a whole number of.
pub(crate) fn show_duration(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    let fits = [(86_400, "d"), (3_600, "h")].into_iter().find(|(unit, _)| seconds % unit == 0);
    let (unit, suffix) = fits.unwrap_or((60, "m"));
    format!("{}{suffix}", seconds / unit)
}

/// A size in bytes: a whole number and `B`, `kB`, `MB`, `GB` (powers of 1000), `KiB`, `MiB` or `GiB`.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let invalid = || format!("expected a size such as `400MiB` or `1GB`, found `{text}`");
    let (number, unit) = split_number(text);
    let factor: u64 = match unit {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(invalid()),
    };
    let number: u64 = number.parse().map_err(|_| invalid())?;
    number.checked_mul(factor).ok_or_else(|| format!("`{text}` is too large"))
}

/// A size for a person, rounded up to a tenth of a MiB where it has one: a size over a limit never
/// looks like the limit.
pub(crate) fn show_size(bytes: u64) -> String {
    if bytes < 1 << 20 {
        return format!("{bytes} B");
    }
    let tenths = (u128::from(bytes) * 10).div_ceil(1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// A date, `YYYY-MM-DD`.
pub(crate) fn parse_date(text: &str) -> Result<Date, String> {
    let shape = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let date = shape.then(|| text.parse::<Date>().ok()).flatten();
    date.ok_or_else(|| format!("expected a date such as `2027-01-31`, found `{text}`"))
}

/// A whole number.
pub(crate) fn parse_count(text: &str) -> Result<u64, String> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| format!("expected a whole number, found `{text}`"))
}

fn split_number(text: &str) -> (&str, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at_checked(digits).unwrap_or((text, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown() {
        for (text, shown) in [("3d", "3d"), ("24h", "1d"), ("36h", "36h"), ("30m", "30m"), ("2w", "14d")] {
            assert_eq!(show_duration(parse_duration(text).unwrap()), shown);
        }
        for bad in ["", "3", "d", "-3d", "3 d", "1.5h", "3days", "99999999999999999999d", "40000d", "+3d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes) in [("400MiB", 400 << 20), ("1GB", 1_000_000_000), ("0B", 0), ("2KiB", 2048)] {
            assert_eq!(parse_size(text), Ok(bytes));
        }
        for bad in ["", "400", "400M", "400mib", "-1B", "1.5GB", "99999999999GiB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        assert_eq!(show_size((400 << 20) + 1), "400.1 MiB");
        assert_eq!(show_size(512), "512 B");
        assert_eq!(show_size(u64::MAX), "17592186044416.0 MiB");
    }

    #[test]
    fn a_date_is_a_day_that_exists() {
        assert!(parse_date("2027-01-31").is_ok());
        for bad in ["2027-02-30", "2027-1-1", "20270131", "tomorrow", "2027-01-31T00:00:00Z", "-00270131"] {
            assert!(parse_date(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_count_has_digits_only() {
        assert_eq!(parse_count("40"), Ok(40));
        assert!(parse_count("+40").is_err());
    }
}
