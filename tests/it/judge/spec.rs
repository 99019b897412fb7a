//! osv-schema 1.7.5, section "Evaluation", written down once more: plain, slow, over bare JSON, and without a
//! line of `portcullis::osv`. Of portcullis it uses the version orders alone.

use std::cmp::Ordering;

use portcullis::version::{Scheme, SemVer};
use serde_json::Value;

/// What an entry says of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ruling {
    /// However the incomparable parts may lie.
    Affected,
    /// However the incomparable parts may lie.
    NotAffected,
    /// One or the other, depending on what could not be compared.
    Either {
        /// What the comparable parts alone say.
        without: bool,
    },
}

/// The schema's `IncludedInVersions(v, affected.versions) || IncludedInRanges(v, affected.ranges)`.
pub fn rule(entry: &Value, version: &str, scheme: Option<&dyn Scheme>) -> Ruling {
    let ranges = list(entry, "ranges").filter(|range| range["type"] != "GIT");
    let mut rulings: Vec<Ruling> = ranges.map(|range| in_range(range, version, scheme)).collect();
    rulings.push(in_versions(entry, version, scheme));
    if rulings.contains(&Ruling::Affected) {
        return Ruling::Affected;
    }
    let open = |wanted: bool| rulings.contains(&Ruling::Either { without: wanted });
    if open(true) || open(false) { Ruling::Either { without: open(true) } } else { Ruling::NotAffected }
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value[name].as_array().into_iter().flatten()
}

/// Whether an order can read a version.
pub fn readable(version: &str, scheme: Option<&dyn Scheme>) -> bool {
    scheme.is_some_and(|scheme| scheme.comparable(version, version))
}

/// Two versions of which both can be read: an order may tell two apart before it has read the rest of one.
fn compare(a: &str, b: &str, scheme: Option<&dyn Scheme>) -> Option<Ordering> {
    if scheme?.comparable(a, b) { scheme?.compare(a, b).ok() } else { None }
}

fn in_versions(entry: &Value, version: &str, scheme: Option<&dyn Scheme>) -> Ruling {
    let mut any = false;
    for listed in list(entry, "versions").filter_map(Value::as_str) {
        any = true;
        // Two versions are equal when all of both was read.
        let equal = || scheme.is_some_and(|scheme| scheme.compare(version, listed) == Ok(Ordering::Equal));
        if listed == version || equal() {
            return Ruling::Affected;
        }
    }
    // Unequal as text, and no order says whether it is another spelling of one that is listed.
    if any && !readable(version, scheme) { Ruling::Either { without: false } } else { Ruling::NotAffected }
}

/// The order of the kinds is that in which events of one version are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Introduced,
    LastAffected,
    Fixed,
}

const KINDS: [(&str, Kind); 3] =
    [("introduced", Kind::Introduced), ("last_affected", Kind::LastAffected), ("fixed", Kind::Fixed)];

/// One event that could be compared.
#[derive(Debug)]
struct Event<'v> {
    kind: Kind,
    at: &'v str,
    /// The version that is asked about against it: above, at or below.
    version: Ordering,
}

/// `introduced: 0` and `fixed: 0` are before every version; `last_affected: 0` is the version 0.
fn is_start(kind: Kind, at: &str) -> bool {
    at == "0" && kind != Kind::LastAffected
}

/// The order of a range: that of its ecosystem, and of SemVer where it has none of its own and the type says so.
fn order<'s>(range: &Value, scheme: Option<&'s dyn Scheme>) -> Option<&'s dyn Scheme> {
    scheme.or_else(|| (range["type"] == "SEMVER").then_some(&SemVer as &dyn Scheme))
}

fn in_range(range: &Value, version: &str, scheme: Option<&dyn Scheme>) -> Ruling {
    let scheme = order(range, scheme);
    let relation = |kind, at: &str| match is_start(kind, at) {
        true => Some(Ordering::Greater),
        false => compare(version, at, scheme),
    };
    let (mut events, mut unread, mut limits) = (Vec::new(), Vec::new(), Vec::new());
    for event in list(range, "events") {
        for (name, kind) in KINDS {
            let Some(at) = event[name].as_str() else { continue };
            match relation(kind, at) {
                Some(version) => events.push(Event { kind, at, version }),
                None => unread.push(kind),
            }
        }
        limits.extend(event["limit"].as_str().map(|limit| match limit {
            "*" => Some(Ordering::Less),
            limit => compare(version, limit, scheme),
        }));
    }
    insertion_sort(&mut events, scheme);
    let vulnerable = walk(&events);
    let below = limits.is_empty() || limits.contains(&Some(Ordering::Less));
    if !below && !limits.contains(&None) {
        return Ruling::NotAffected;
    }
    // An event that cannot be compared may lie right below the version or far above it.
    let could_be = vulnerable || unread.contains(&Kind::Introduced);
    let could_not_be = !vulnerable || !below || unread.iter().any(|kind| *kind != Kind::Introduced);
    match (could_be, could_not_be) {
        (true, true) => Ruling::Either { without: vulnerable && below },
        (true, false) => Ruling::Affected,
        (false, _) => Ruling::NotAffected,
    }
}

/// The schema's loop over the sorted events.
fn walk(events: &[Event<'_>]) -> bool {
    let mut vulnerable = false;
    for Event { kind, version, .. } in events {
        match kind {
            Kind::Introduced if version.is_ge() => vulnerable = true,
            Kind::Fixed if version.is_ge() => vulnerable = false,
            Kind::LastAffected if version.is_gt() => vulnerable = false,
            Kind::Introduced | Kind::Fixed | Kind::LastAffected => {}
        }
    }
    vulnerable
}

/// Whether a range fixes and introduces at one version other than 0, and lists the fix first: sorted as the
/// schema says it ends there, read as it is written it goes on.
pub fn reopens(entry: &Value, scheme: Option<&dyn Scheme>) -> bool {
    list(entry, "ranges").filter(|range| range["type"] != "GIT").any(|range| {
        let events: Vec<&Value> = list(range, "events").collect();
        let order = order(range, scheme);
        let same = |a: &str, b: &str| compare(a, b, order) == Some(Ordering::Equal);
        events.iter().enumerate().any(|(place, event)| {
            event["fixed"].as_str().is_some_and(|fixed| {
                let later = events.iter().skip(place + 1).filter_map(|later| later["introduced"].as_str());
                later.into_iter().any(|introduced| introduced != "0" && same(fixed, introduced))
            })
        })
    })
}

fn insertion_sort(events: &mut [Event<'_>], scheme: Option<&dyn Scheme>) {
    let before = |a: &Event<'_>, b: &Event<'_>| {
        let order = match (is_start(a.kind, a.at), is_start(b.kind, b.at)) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => {
                scheme.and_then(|scheme| scheme.compare(a.at, b.at).ok()).unwrap_or(Ordering::Equal)
            }
        };
        order.then(a.kind.cmp(&b.kind)) == Ordering::Less
    };
    for end in 1..events.len() {
        let mut place = end;
        while place > 0 && before(&events[place], &events[place - 1]) {
            events.swap(place, place - 1);
            place -= 1;
        }
    }
}
