//! R's order (`numeric_version`): numbers between dots and hyphens.

use std::cmp::Ordering;

use crate::version::natural::Natural;
use crate::version::{Incomparable, Scheme};

/// The order of R's `compareVersion`: number by number, a longer list above the one it begins with. It is a
/// total order of what R reads, with numbers of any length.
pub struct Cran;

impl Scheme for Cran {
    fn id(&self) -> &'static str {
        "cran"
    }

    fn compare(&self, a: &str, b: &str) -> Result<Ordering, Incomparable> {
        let parse = |version| {
            numbers(version).ok_or_else(|| Incomparable { scheme: self.id(), version: version.to_owned() })
        };
        Ok(parse(a)?.cmp(&parse(b)?))
    }
}

fn numbers(text: &str) -> Option<Vec<Natural<'_>>> {
    text.split(['.', '-']).map(Natural::parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_r_refuses_has_no_order() {
        for version in ["", "a", "1.", ".1", "1..2", "1.2-", "1.2a", "v1.2", " 1.2", "1_2", "1.٣"] {
            assert!(Cran.compare(version, "1.0").is_err(), "{version:?}");
            assert!(Cran.compare("1.0", version).is_err(), "{version:?}");
        }
    }
}
