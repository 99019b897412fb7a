//! Haskell's order (Cabal's `Version`): a list of numbers.

use std::cmp::Ordering;

use crate::version::natural::Natural;
use crate::version::{Incomparable, Scheme};

/// The order of Cabal's versions: number by number, a longer list above the one it begins with. It is a total
/// order of what Hackage takes, with numbers of any length. Tags (`1.0-beta`), which Cabal still reads and
/// ignores, Hackage takes no longer.
pub struct Hackage;

impl Scheme for Hackage {
    fn id(&self) -> &'static str {
        "hackage"
    }

    fn compare(&self, a: &str, b: &str) -> Result<Ordering, Incomparable> {
        let parse = |version| {
            numbers(version).ok_or_else(|| Incomparable { scheme: self.id(), version: version.to_owned() })
        };
        Ok(parse(a)?.cmp(&parse(b)?))
    }
}

fn numbers(text: &str) -> Option<Vec<Natural<'_>>> {
    text.split('.').map(number).collect()
}

/// Cabal refuses zeros in front.
fn number(text: &str) -> Option<Natural<'_>> {
    Natural::parse(text).filter(|_| text == "0" || !text.starts_with('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hackage_refuses_has_no_order() {
        for version in ["", "a", "1.", ".1", "1..2", "1.02", "00", "1.0-beta", "1-2", "v1", " 1", "1.٣"] {
            assert!(Hackage.compare(version, "1.0").is_err(), "{version:?}");
            assert!(Hackage.compare("1.0", version).is_err(), "{version:?}");
        }
    }
}
