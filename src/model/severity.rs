//! Severity of advisories.

use serde::{Deserialize, Serialize};

/// How bad an advisory says it is, the qualitative scale of CVSS. Ordered: `None` < … < `Critical`;
/// [`Severity::Unknown`] is lowest in the order only so that lists sort, a rule must treat it by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// No source states one: the common case for distributions.
    Unknown,
    /// Stated to be of no consequence (Debian `unimportant`, Ubuntu `negligible`, CVSS 0.0).
    None,
    /// CVSS 0.1–3.9.
    Low,
    /// CVSS 4.0–6.9.
    Medium,
    /// CVSS 7.0–8.9.
    High,
    /// CVSS 9.0–10.0.
    Critical,
}

impl Severity {
    /// Lower-case word, as in policies and JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity a lower-case word names; `None` for another word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Unknown, Self::None, Self::Low, Self::Medium, Self::High, Self::Critical]
            .into_iter()
            .find(|severity| severity.word() == word)
    }
}
