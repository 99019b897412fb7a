//! Whether a version is affected: osv-schema, "Evaluation", to the letter.

use std::cmp::Ordering;
use std::collections::HashSet;

use smol_str::SmolStr;

use crate::version::{Scheme, SemVer};

use super::record::{Affected, Event, Range};

/// What an `affected` entry says of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Affected, and by what.
    Affected(Match),
    /// Not affected.
    NotAffected,
    /// It cannot be said: a lowercase fragment.
    Undetermined(String),
}

/// What made a version affected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The range with its events, or `versions`.
    pub range: String,
    /// The event that decided.
    pub event: String,
    /// Versions above the given one that are fixed, smallest first.
    pub fixed: Vec<String>,
    /// Whether nothing is said of a fix although there may be one: the entry lists single versions, or
    /// ends with the last affected version.
    pub fix_unstated: bool,
    /// Why the match is less than certain.
    pub low_confidence: Option<String>,
}

/// Evaluates one entry for one version. `scheme` orders the ecosystem's versions; without one only what
/// needs no order can be answered.
#[must_use]
pub fn evaluate(affected: &Affected, version: &str, scheme: Option<&dyn Scheme>) -> Answer {
    if let Some(cause) = &affected.unreadable {
        return Answer::Undetermined(format!("its entry could not be read: {cause}"));
    }
    if affected.versions.is_empty() && affected.ranges.is_empty() {
        return Answer::NotAffected;
    }
    // Where every version is affected it does not matter which it is, nor whether it is one.
    let every = affected.ranges.iter().filter(|range| range.kind != "GIT").find(|range| is_every(range));
    if let (Some(range), false) = (every, version.bytes().any(|b| b.is_ascii_digit())) {
        return in_range(range, version, scheme);
    }
    if version.is_empty() {
        return Answer::Undetermined("the package has no version".into());
    }
    let ranges: Vec<(&Range, Answer)> = affected
        .ranges
        .iter()
        // A GIT range speaks of commits. It is passed over and does not hide the ranges beside it.
        .filter(|range| range.kind != "GIT")
        .map(|range| (range, in_range(range, version, scheme)))
        .collect();
    let hit = ranges.iter().find_map(|(range, answer)| match answer {
        Answer::Affected(hit) => Some((*range, hit.clone())),
        Answer::NotAffected | Answer::Undetermined(_) => None,
    });
    if let Some((range, mut hit)) = hit {
        let own = fixes(std::slice::from_ref(range), version, scheme);
        let seen: HashSet<&String> = own.iter().collect();
        let others: Vec<String> =
            fixes(&affected.ranges, version, scheme).into_iter().filter(|fix| !seen.contains(fix)).collect();
        hit.fixed = own.into_iter().chain(others).collect();
        hit.fix_unstated = points(range).any(|(kind, _)| kind == Kind::LastAffected);
        return Answer::Affected(hit);
    }
    if let Some(listed) = listed(affected, version, scheme) {
        return Answer::Affected(Match {
            range: "versions".into(),
            event: format!("lists {listed}"),
            fixed: fixes(&affected.ranges, version, scheme),
            fix_unstated: true,
            low_confidence: None,
        });
    }
    let unknown = ranges.into_iter().find(|(_, answer)| matches!(answer, Answer::Undetermined(_)));
    match unknown {
        Some((_, answer)) => answer,
        None => unlisted(affected, version, scheme),
    }
}

/// The listed version that is this one: an exact spelling is a match whether or not it can be ordered; then
/// equality by the ecosystem's order.
fn listed<'l>(affected: &'l Affected, version: &str, scheme: Option<&dyn Scheme>) -> Option<&'l SmolStr> {
    let equal = |listed: &&SmolStr| {
        scheme.is_some_and(|scheme| {
            may_be_equal(listed, version) && scheme.compare(listed, version) == Ok(Ordering::Equal)
        })
    };
    affected
        .versions
        .iter()
        .find(|listed| *listed == version)
        .or_else(|| affected.versions.iter().find(equal))
}

/// Whether two spellings may be of one version: their numbers before any `+` are the same, zeros left out. Records
/// list hundreds of versions, and to read them all as versions is most of what matching takes.
fn may_be_equal(a: &str, b: &str) -> bool {
    fn numbers(text: &str) -> impl Iterator<Item = &str> {
        let text = text.split('+').next().unwrap_or_default();
        let runs = text.split(|c: char| !c.is_ascii_digit());
        runs.map(|run| run.trim_start_matches('0')).filter(|run| !run.is_empty())
    }
    numbers(a).eq(numbers(b))
}

/// A version that stands in no list. Where it or the list cannot be ordered, another spelling of it might.
fn unlisted(affected: &Affected, version: &str, scheme: Option<&dyn Scheme>) -> Answer {
    let comparable = scheme.is_some_and(|scheme| scheme.comparable(version, version));
    if affected.versions.is_empty() || comparable {
        Answer::NotAffected
    } else {
        Answer::Undetermined(incomparable(version, scheme))
    }
}

fn incomparable(version: &str, scheme: Option<&dyn Scheme>) -> String {
    match scheme {
        Some(scheme) => format!("`{version}` is no {} version", scheme.id()),
        None => "this version of portcullis has no version order for its ecosystem".into(),
    }
}

/// Kinds of events in the order in which they count where their versions are equal: so that `fixed: 0`
/// means "never affected".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Introduced,
    LastAffected,
    Fixed,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Introduced => "introduced",
            Self::LastAffected => "last_affected",
            Self::Fixed => "fixed",
        }
    }
}

/// An event's version: `0` is minus infinity and not the version 0, since `0~beta` is below that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At<'a> {
    Start,
    Version(&'a str),
}

/// Whether a range begins before all versions and never ends.
fn is_every(range: &Range) -> bool {
    matches!(range.events.as_slice(),
        [Event { introduced: Some(zero), fixed: None, last_affected: None, limit: None }] if zero == "0")
}

fn in_range(range: &Range, version: &str, scheme: Option<&dyn Scheme>) -> Answer {
    let shown = describe(range);
    if is_every(range) {
        return affected_by(shown, "introduced 0, every version".into(), None);
    }
    let scheme = match (range.kind.as_str(), scheme) {
        ("SEMVER", None) => &SemVer as &dyn Scheme,
        (_, Some(scheme)) => scheme,
        (_, None) => return Answer::Undetermined(incomparable(version, None)),
    };
    if !scheme.comparable(version, version) {
        return Answer::Undetermined(incomparable(version, Some(scheme)));
    }
    // The schema demands an `introduced`. A range without one says nothing that could be relied upon.
    if !points(range).any(|(kind, _)| kind == Kind::Introduced) {
        return Answer::Undetermined("its range has no event `introduced`".into());
    }
    let mut skipped = Vec::new();
    let mut events = Vec::new();
    for (place, (kind, text)) in points(range).enumerate() {
        if text == "0" && kind != Kind::LastAffected {
            events.push((At::Start, kind, place));
        } else if scheme.comparable(version, text) && scheme.compare(version, text).is_ok() {
            events.push((At::Version(text), kind, place));
        } else {
            skipped.push((kind, text));
        }
    }
    events.sort_by(|a, b| order(a.0, b.0, scheme).then(a.1.cmp(&b.1)));
    if !below_limits(range, version, scheme) {
        return Answer::NotAffected;
    }
    let decided = walk(&events, version, scheme);
    // At one version the schema counts `fixed` last. Where the record lists them the other way round and
    // that makes a difference, it may mean that the range goes on: neither answer is sure.
    let mut listed = events.clone();
    listed.sort_by(|a, b| order(a.0, b.0, scheme).then(a.2.cmp(&b.2)));
    if decided.is_none() && walk(&listed, version, scheme).is_some_and(|(at, _)| at != At::Start) {
        return Answer::Undetermined("its range fixes and introduces at the same version".into());
    }
    let doubt =
        skipped.first().map(|(kind, text)| format!("its event {} {text} could not be compared", kind.word()));
    match (decided, doubt) {
        (Some((at, kind)), doubt) => {
            let text = if let At::Version(text) = at { text } else { "0" };
            affected_by(shown, format!("{} {text} <= {version}", kind.word()), doubt)
        }
        // An event that could not be read may have been the one that introduced it.
        (None, Some(doubt)) if skipped.iter().any(|(kind, _)| *kind == Kind::Introduced) => {
            Answer::Undetermined(doubt)
        }
        (None, _) => Answer::NotAffected,
    }
}

/// The event that makes the version affected; none where it is not.
fn walk<'a>(events: &[(At<'a>, Kind, usize)], version: &str, scheme: &dyn Scheme) -> Option<(At<'a>, Kind)> {
    let mut decided = None;
    for (at, kind, _) in events {
        let reached = match at {
            At::Start => Ordering::Greater,
            At::Version(text) => scheme.compare(version, text).unwrap_or(Ordering::Less),
        };
        match kind {
            Kind::Introduced if reached.is_ge() => decided = Some((*at, *kind)),
            Kind::Fixed if reached.is_ge() => decided = None,
            Kind::LastAffected if reached.is_gt() => decided = None,
            Kind::Introduced | Kind::Fixed | Kind::LastAffected => {}
        }
    }
    decided
}

fn affected_by(range: String, event: String, low_confidence: Option<String>) -> Answer {
    Answer::Affected(Match { range, event, fixed: Vec::new(), fix_unstated: false, low_confidence })
}

fn points(range: &Range) -> impl Iterator<Item = (Kind, &str)> {
    range.events.iter().flat_map(|event| {
        [
            event.introduced.as_deref().map(|text| (Kind::Introduced, text)),
            event.last_affected.as_deref().map(|text| (Kind::LastAffected, text)),
            event.fixed.as_deref().map(|text| (Kind::Fixed, text)),
        ]
        .into_iter()
        .flatten()
    })
}

fn order(a: At<'_>, b: At<'_>, scheme: &dyn Scheme) -> Ordering {
    match (a, b) {
        (At::Start, At::Start) => Ordering::Equal,
        (At::Start, At::Version(_)) => Ordering::Less,
        (At::Version(_), At::Start) => Ordering::Greater,
        (At::Version(a), At::Version(b)) => scheme.compare(a, b).unwrap_or(Ordering::Equal),
    }
}

/// Where there are limits the version must be below one of them. One that cannot be compared bounds
/// nothing: a match too many is on the safe side.
fn below_limits(range: &Range, version: &str, scheme: &dyn Scheme) -> bool {
    let mut limits = range.events.iter().filter_map(|event| event.limit.as_deref()).peekable();
    limits.peek().is_none()
        || limits.any(|limit| {
            limit == "*" || !matches!(scheme.compare(version, limit), Ok(Ordering::Equal | Ordering::Greater))
        })
}

/// The fixed versions above a version, smallest first.
fn fixes(ranges: &[Range], version: &str, scheme: Option<&dyn Scheme>) -> Vec<String> {
    let fixed = ranges.iter().filter(|range| range.kind != "GIT").flat_map(points);
    let mut fixed: Vec<&str> = fixed.filter(|(kind, _)| *kind == Kind::Fixed).map(|(_, text)| text).collect();
    fixed.retain(|fix| scheme.is_none_or(|scheme| scheme.compare(fix, version) != Ok(Ordering::Less)));
    fixed.sort_by(|a, b| scheme.and_then(|scheme| scheme.compare(a, b).ok()).unwrap_or_else(|| a.cmp(b)));
    fixed.dedup();
    fixed.into_iter().filter(|fix| *fix != "0").map(str::to_owned).collect()
}

pub(super) fn describe(range: &Range) -> String {
    let event = |event: &Event| {
        let part = |word: &str, text: &Option<SmolStr>| text.as_ref().map(|text| format!("{word}={text}"));
        [
            part("introduced", &event.introduced),
            part("fixed", &event.fixed),
            part("last_affected", &event.last_affected),
            part("limit", &event.limit),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
    };
    let events: Vec<String> = range.events.iter().map(event).collect();
    format!("{} {}", range.kind, events.join(" "))
}

#[cfg(test)]
mod tests;
