//! How bad an advisory says it is, and where it says so.

use std::str::FromStr as _;

use crate::model::finding::Cvss;
use crate::model::severity::Severity;

use super::record::{Affected, Head, Score};

/// A severity with its source, as findings name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stated {
    /// How bad.
    pub(super) severity: Severity,
    /// Where that stands: `cvss:CVSS_V3`, `database_specific`, …
    pub(super) source: String,
}

/// What a record says of its severity, for one of its packages: the first that there is of the CVSS
/// scores (the highest; the package's own before the record's), the database's word, Ubuntu's word,
/// Debian's urgency, and the word at the front of the summary.
pub(super) fn stated(head: &Head, affected: Option<&Affected>) -> Option<Stated> {
    let own = affected.map(|affected| affected.severity.as_slice()).unwrap_or_default();
    let specific = affected.and_then(|affected| affected.ecosystem_specific.as_ref());
    let urgency = specific.and_then(|fields| fields.urgency.as_ref()?.as_str());
    let specific = specific.and_then(|fields| fields.severity.as_ref()?.as_str());
    let by = |source: &'static str| move |severity| Stated { severity, source: source.to_owned() };
    cvss_severity(own)
        .or_else(|| cvss_severity(&head.severity))
        .or_else(|| word(head.database_severity.as_deref()?).map(by("database_specific")))
        .or_else(|| word(specific?).map(by("ecosystem_specific")))
        .or_else(|| ubuntu(own).or_else(|| ubuntu(&head.severity)).map(by("ubuntu")))
        .or_else(|| debian(urgency?).map(by("debian:urgency")))
        .or_else(|| summary(head.summary.as_deref()?).map(by("summary")))
}

/// The CVSS vectors of a list of scores that can be scored, with their base scores.
pub(super) fn vectors(scores: &[Score]) -> Vec<Cvss> {
    let scored = scores.iter().filter_map(|score| Some((score, base_score(&score.score)?)));
    scored
        .map(|(score, value)| Cvss { vector: score.score.to_string(), score: format!("{value:.1}") })
        .collect()
}

fn cvss_severity(scores: &[Score]) -> Option<Stated> {
    let scored = scores.iter().filter_map(|score| Some((base_score(&score.score)?, &score.kind)));
    let (value, kind) = scored.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    Some(Stated { severity: of_score(value), source: format!("cvss:{kind}") })
}

/// The qualitative scale of CVSS v3 and v4 ("Qualitative Severity Rating Scale"), used for v2 as well.
fn of_score(score: f64) -> Severity {
    match score {
        s if s >= 9.0 => Severity::Critical,
        s if s >= 7.0 => Severity::High,
        s if s >= 4.0 => Severity::Medium,
        s if s > 0.0 => Severity::Low,
        _ => Severity::None,
    }
}

/// Prefix of a vector, and the metrics that its base score needs.
const BASE: &[(&str, &[&str])] = &[
    ("CVSS:4.0/", &["AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA"]),
    ("CVSS:3.1/", &["AV", "AC", "PR", "UI", "S", "C", "I", "A"]),
    ("CVSS:3.0/", &["AV", "AC", "PR", "UI", "S", "C", "I", "A"]),
    ("", &["AV", "AC", "Au", "C", "I", "A"]),
];

/// The base score of a vector; none where it is no vector or lacks a metric. Only the base metrics are
/// given to the scorer: it takes absent ones for harmless, and threat metrics would lower the score.
fn base_score(vector: &str) -> Option<f64> {
    let (prefix, metrics) = BASE.iter().find(|(prefix, _)| vector.starts_with(prefix))?;
    let stated: Vec<(&str, &str)> =
        vector.get(prefix.len()..)?.split('/').filter_map(|part| part.split_once(':')).collect();
    let base = metrics.iter().map(|metric| {
        let mut values = stated.iter().filter(|(name, _)| name == metric);
        let value = values.next().filter(|_| values.next().is_none())?;
        Some(format!("{metric}:{}", value.1))
    });
    let base: Vec<String> = base.collect::<Option<_>>()?;
    let vector = cvss::Cvss::from_str(&format!("{prefix}{}", base.join("/"))).ok()?;
    Some(vector.score()).filter(|score| (0.0..=10.0).contains(score))
}

/// GHSA's words and the common ones.
fn word(text: &str) -> Option<Severity> {
    match text.to_ascii_lowercase().as_str() {
        "critical" => Some(Severity::Critical),
        "high" | "important" => Some(Severity::High),
        "moderate" | "medium" => Some(Severity::Medium),
        "low" => Some(Severity::Low),
        "none" => Some(Severity::None),
        _ => None,
    }
}

/// Ubuntu's priorities; `negligible` is of no consequence by its own definition.
fn ubuntu(scores: &[Score]) -> Option<Severity> {
    let priority = scores.iter().find(|score| score.kind == "Ubuntu")?;
    if priority.score == "negligible" { Some(Severity::None) } else { word(&priority.score) }
}

/// Debian's urgencies; `not yet assigned` and `end-of-life` say nothing of it.
fn debian(urgency: &str) -> Option<Severity> {
    match urgency.trim_end_matches('*') {
        "unimportant" => Some(Severity::None),
        "low" => Some(Severity::Low),
        "medium" => Some(Severity::Medium),
        "high" => Some(Severity::High),
        _ => None,
    }
}

/// AlmaLinux and Red Hat write `Important: bind security update`.
fn summary(text: &str) -> Option<Severity> {
    match text.split_once(':')?.0 {
        "Critical" => Some(Severity::Critical),
        "Important" => Some(Severity::High),
        "Moderate" => Some(Severity::Medium),
        "Low" => Some(Severity::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(of: &[(&str, &str)]) -> Vec<Score> {
        of.iter().map(|(kind, score)| Score { kind: (*kind).into(), score: (*score).into() }).collect()
    }

    fn head(database: Option<&str>, summary: Option<&str>, of: &[(&str, &str)]) -> Head {
        Head {
            database_severity: database.map(Into::into),
            summary: summary.map(Into::into),
            severity: scores(of),
            ..Head::default()
        }
    }

    fn of(head: &Head, affected: Option<&Affected>) -> Option<(Severity, String)> {
        stated(head, affected).map(|stated| (stated.severity, stated.source))
    }

    const V3: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
    const V4: &str = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:L/SC:N/SI:N/SA:N";

    #[test]
    fn the_highest_score_of_a_record_counts() {
        let both = head(Some("LOW"), None, &[("CVSS_V4", V4), ("CVSS_V3", V3)]);
        assert_eq!(of(&both, None), Some((Severity::Critical, "cvss:CVSS_V3".into())));
        let found: Vec<String> = vectors(&both.severity).into_iter().map(|cvss| cvss.score).collect();
        assert_eq!(found, ["6.9", "9.8"]);
    }

    #[test]
    fn the_packages_own_score_goes_before_the_records() {
        let affected = Affected { severity: scores(&[("CVSS_V4", V4)]), ..Affected::default() };
        let stated = of(&head(None, None, &[("CVSS_V3", V3)]), Some(&affected));
        assert_eq!(stated, Some((Severity::Medium, "cvss:CVSS_V4".into())));
    }

    #[test]
    fn a_vector_that_lacks_or_repeats_a_metric_has_no_score() {
        for vector in [
            "",
            "CVSS:4.0/",
            "CVSS:4.0/AV:N",
            "CVSS:3.1/AV:N/AC:L",
            "CVSS:3.1/AV:N/AV:P/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
            "CVSS:9.9/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
            "AV:N/AC:L",
        ] {
            assert_eq!(base_score(vector), None, "{vector}");
        }
        assert_eq!(base_score("AV:N/AC:L/Au:N/C:P/I:P/A:P"), Some(7.5));
    }

    #[test]
    fn threat_metrics_do_not_lower_the_base_score() {
        assert_eq!(base_score(&format!("{V3}/E:U/RL:O/RC:U")), Some(9.8));
    }

    #[test]
    fn words_stand_in_where_there_is_no_score() {
        let ghsa = head(Some("MODERATE"), Some("Critical: x"), &[]);
        assert_eq!(of(&ghsa, None), Some((Severity::Medium, "database_specific".into())));
        let alma = head(None, Some("Important: bind security update"), &[]);
        assert_eq!(of(&alma, None), Some((Severity::High, "summary".into())));
        let ubuntu = head(None, None, &[("Ubuntu", "negligible")]);
        assert_eq!(of(&ubuntu, None), Some((Severity::None, "ubuntu".into())));
        let entry = r#"{"ecosystem_specific":{"urgency":"unimportant"}}"#;
        let debian: Affected = serde_json::from_str(entry).unwrap();
        let stated = of(&head(None, None, &[]), Some(&debian));
        assert_eq!(stated, Some((Severity::None, "debian:urgency".into())));
        assert_eq!(of(&head(Some("?"), Some("no: such"), &[]), None), None);
    }
}
