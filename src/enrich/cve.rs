//! CVE ids as numbers.

/// A CVE id: the year in the upper 16 bits, the number in the lower 48.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Cve(pub(super) u64);

impl Cve {
    /// `CVE-YYYY-NNNN`, with four digits of the number and up to fourteen (the CVE record format allows
    /// nineteen, of which nobody has used more than seven).
    pub(super) fn parse(id: &str) -> Option<Self> {
        let (prefix, rest) = (id.get(..4)?, id.get(4..)?);
        let (year, number) = rest.split_once('-')?;
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let sound = prefix.eq_ignore_ascii_case("CVE-")
            && year.len() == 4
            && (4..=14).contains(&number.len())
            && is_number(year)
            && is_number(number);
        let (year, number): (u64, u64) = (year.parse().ok()?, number.parse().ok()?);
        sound.then_some(Self(year << 48 | number))
    }
}

#[cfg(test)]
mod tests {
    use super::Cve;

    #[test]
    fn only_cve_ids_are_numbers_and_they_sort_by_year_and_number() {
        for bad in [
            "",
            "CVE-",
            "CVE-2021",
            "CVE-2021-1",
            "CVE-21-1234",
            "GHSA-1234-5678",
            "CVE-2021-+123",
            "CVE-2021-123456789012345",
        ] {
            assert_eq!(Cve::parse(bad), None, "{bad}");
        }
        let order = ["CVE-1999-0001", "CVE-2021-0999", "cve-2021-44228", "CVE-2021-100000", "CVE-2022-0001"];
        let parsed: Vec<Cve> = order.iter().map(|id| Cve::parse(id).unwrap()).collect();
        assert!(parsed.is_sorted_by(|a, b| a < b), "{parsed:?}");
    }
}
