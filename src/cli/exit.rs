//! Exit codes (design §3): the contract with whoever calls portcullis. Nothing else is ever returned; a
//! panic has Rust's own 101 and never looks like an admit.

use std::process::ExitCode;

use crate::model::verdict::Decision;

/// The image may enter; the command did what it was asked.
pub const ADMIT: u8 = 0;
/// The image may not enter, or `--fail-on` was reached.
pub const DENY: u8 = 1;
/// Wrong usage, or a policy that is none.
pub const USAGE: u8 = 2;
/// It could not be decided, read or delivered. Treat it as a no.
pub const UNDECIDED: u8 = 3;

/// How a command ended. Ordered by what several images together end with: the last wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// [`ADMIT`].
    Admit,
    /// [`DENY`].
    Deny,
    /// [`UNDECIDED`].
    Undecided,
    /// [`USAGE`].
    Usage,
}

impl Exit {
    /// The number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Admit => ADMIT,
            Self::Deny => DENY,
            Self::Undecided => UNDECIDED,
            Self::Usage => USAGE,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

impl From<Decision> for Exit {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Admit => Self::Admit,
            Decision::Deny => Self::Deny,
            Decision::Undecided => Self::Undecided,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_of_several_is_usage_then_undecided_then_deny() {
        let ends = [Exit::Deny, Exit::Usage, Exit::Admit, Exit::Undecided];
        assert_eq!(ends.iter().max(), Some(&Exit::Usage));
        assert!(Exit::Undecided > Exit::Deny && Exit::Deny > Exit::Admit);
        assert_eq!(ends.map(Exit::code), [1, 2, 0, 3]);
    }

    #[test]
    fn only_admit_ends_with_zero() {
        for decision in [Decision::Deny, Decision::Undecided] {
            assert_ne!(Exit::from(decision).code(), 0);
        }
        assert_eq!(Exit::from(Decision::Admit).code(), 0);
    }
}
