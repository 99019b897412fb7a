//! An entry of `deny`: conditions that a finding fulfils, does not, or may.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::model::finding::{Finding, FixState};
use crate::model::severity::Severity;
use crate::policy::error::{Errors, PolicyError};
use crate::policy::fields::Fields;
use crate::policy::quantity::{parse_duration, show_duration};
use crate::policy::rules::age::CLOCK_SKEW;
use crate::policy::yaml::Node;

/// What a finding of which something is not stated means to an entry that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenUnknown {
    /// It counts as bad enough.
    Deny,
    /// It leaves the rule undecided.
    Undecided,
    /// It counts as not bad enough: the policy's author accepts the risk.
    Ignore,
}

/// What the rule says of what is not stated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unknowns {
    /// No severity.
    pub(super) severity: WhenUnknown,
    /// No score, although the scores are at hand.
    pub(super) epss: WhenUnknown,
}

/// One entry: all its conditions must hold.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DenyEntry {
    /// This or worse. A malicious package is worse than all.
    pub(super) severity: Option<Severity>,
    fixed: Option<bool>,
    grace: Option<SignedDuration>,
    kev: Option<bool>,
    epss: Option<Epss>,
    malicious: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Epss {
    least: f64,
    exclusive: bool,
}

/// Whether an entry is about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// It would be, were the advisory older.
    InGrace,
    /// It may be: what is not known.
    Unknown(&'static str),
}

const SEVERITIES: [(&str, Severity); 5] = [
    ("critical", Severity::Critical),
    ("high", Severity::High),
    ("medium", Severity::Medium),
    ("low", Severity::Low),
    ("none", Severity::None),
];

impl DenyEntry {
    /// Reads `{severity, fixed, grace, kev, epss, malicious}`, each optional, one required.
    pub(super) fn read(node: &Node, errors: &mut Errors) -> Option<Self> {
        let mut fields = errors.keep(Fields::of(node, "the entry of `deny`"))?;
        let duration = "a duration such as `3d`";
        let entry = Self {
            severity: fields.read("severity", errors, read_severity),
            fixed: fields.read("fixed", errors, Node::boolean),
            grace: fields.read("grace", errors, |node| node.read(duration, parse_duration)),
            kev: fields.read("kev", errors, Node::boolean),
            epss: fields.read("epss", errors, |node| node.read("a bound such as `\">=0.5\"`", parse_epss)),
            malicious: fields.read("malicious", errors, Node::boolean),
        };
        fields.finish_some(&[], errors);
        Some(entry)
    }

    /// Whether the entry is about the finding at a time. A condition that does not hold settles it
    /// whatever is unknown of the others.
    pub(super) fn matches(&self, finding: &Finding, unknowns: Unknowns, now: Timestamp) -> Match {
        let conditions = [
            self.severity_holds(finding, unknowns.severity),
            self.fix_holds(finding),
            self.malicious.map_or(Match::Yes, |wanted| holds(wanted == finding.malicious)),
            self.kev.map_or(Match::Yes, |wanted| match finding.kev {
                Some(listed) => holds(listed == wanted),
                None => Match::Unknown("no data on known exploits"),
            }),
            self.epss_holds(finding, unknowns.epss),
            self.grace_is_over(finding, now),
        ];
        let unknown = || conditions.iter().find(|condition| matches!(condition, Match::Unknown(_)));
        if conditions.contains(&Match::No) {
            Match::No
        } else if conditions.contains(&Match::InGrace) {
            Match::InGrace
        } else {
            unknown().copied().unwrap_or(Match::Yes)
        }
    }

    fn severity_holds(&self, finding: &Finding, unknown: WhenUnknown) -> Match {
        let Some(least) = self.severity else { return Match::Yes };
        // What was made to harm is worse than any defect; its advisories state no severity.
        if finding.malicious {
            return Match::Yes;
        }
        match (finding.severity, unknown) {
            (Severity::Unknown, WhenUnknown::Deny) => Match::Yes,
            (Severity::Unknown, WhenUnknown::Undecided) => Match::Unknown("no severity is stated"),
            (Severity::Unknown, WhenUnknown::Ignore) => Match::No,
            (severity, _) => holds(severity >= least),
        }
    }

    fn fix_holds(&self, finding: &Finding) -> Match {
        let Some(wanted) = self.fixed else { return Match::Yes };
        match finding.state {
            FixState::Fixed => holds(wanted),
            FixState::NotFixed | FixState::WontFix => holds(!wanted),
            FixState::Unknown => Match::Unknown("whether there is a fix is not stated"),
        }
    }

    fn epss_holds(&self, finding: &Finding, unknown: WhenUnknown) -> Match {
        let Some(bound) = self.epss else { return Match::Yes };
        let score: Option<f64> = finding.epss.as_ref().and_then(|text| text.parse().ok());
        match (score.filter(|score| (0.0..=1.0).contains(score)), unknown) {
            (Some(score), _) if score > bound.least || (!bound.exclusive && score >= bound.least) => {
                Match::Yes
            }
            (Some(_), _) if !finding.epss_partial => Match::No,
            (_, WhenUnknown::Deny) => Match::Yes,
            (_, WhenUnknown::Ignore) => Match::No,
            (Some(_), WhenUnknown::Undecided) => {
                Match::Unknown("one of its CVEs has no exploit prediction score")
            }
            (None, WhenUnknown::Undecided) => Match::Unknown("no exploit prediction score"),
        }
    }

    /// Grace counts from `published`. Without that date there is none, and none for a date in the
    /// future: a record dated 2099 would be tolerated for as long.
    fn grace_is_over(&self, finding: &Finding, now: Timestamp) -> Match {
        let (Some(grace), Some(published)) = (self.grace, finding.published) else { return Match::Yes };
        let age = now.duration_since(published);
        if age >= grace || -age > CLOCK_SKEW { Match::Yes } else { Match::InGrace }
    }
}

fn holds(condition: bool) -> Match {
    if condition { Match::Yes } else { Match::No }
}

fn read_severity(node: &Node) -> Result<Severity, PolicyError> {
    if matches!(node.text("a severity"), Ok("unknown")) {
        let error = node.span.error("`unknown` is no severity to deny");
        return Err(error.help("`unknownSeverity` beside `deny` says what an unknown one means"));
    }
    node.word(&SEVERITIES)
}

fn parse_epss(text: &str) -> Result<Epss, String> {
    let invalid = || format!("expected a bound from `>=0` to `>=1`, such as `\">=0.5\"`, found `{text}`");
    let (exclusive, number) = match text.strip_prefix(">=") {
        Some(number) => (false, number),
        None => (true, text.strip_prefix('>').ok_or_else(invalid)?),
    };
    let least: f64 = number.trim().parse().map_err(|_| invalid())?;
    if (0.0..=1.0).contains(&least) { Ok(Epss { least, exclusive }) } else { Err(invalid()) }
}

impl fmt::Display for DenyEntry {
    /// The conditions as the policy writes them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions = [
            self.severity.map(|severity| format!("severity: {}", severity.word())),
            self.fixed.map(|fixed| format!("fixed: {fixed}")),
            self.grace.map(|grace| format!("grace: {}", show_duration(grace))),
            self.kev.map(|kev| format!("kev: {kev}")),
            self.epss.map(|Epss { least, exclusive }| {
                format!("epss: {}{least}", if exclusive { ">" } else { ">=" })
            }),
            self.malicious.map(|malicious| format!("malicious: {malicious}")),
        ];
        let conditions: Vec<String> = conditions.into_iter().flatten().collect();
        f.write_str(&conditions.join(", "))
    }
}
