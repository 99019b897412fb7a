//! Versions with which an entry is asked: what it names, what lies just below and just above that in the
//! notation of its ecosystem, and a few that have nothing to do with it.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use portcullis::version::Scheme;
use serde_json::Value;

/// The version with its last number one less or one more.
fn step(version: &str, up: bool) -> Option<String> {
    let end = version.rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = version[..end]
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |place| place + version[place..].chars().next().map_or(1, char::len_utf8));
    let number: u64 = version[start..end].parse().ok()?;
    let number = if up { number.checked_add(1)? } else { number.checked_sub(1)? };
    Some(format!("{}{number}{}", &version[..start], &version[end..]))
}

/// What a notation puts behind a version to be just below it, and just above it.
fn suffixes(scheme: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match scheme {
        "dpkg" => (&["~", "~rc1"], &["+b1", ".0.1"]),
        "rpm" => (&["~", "~rc1"], &["^", ".0.1"]),
        "pep440" => (&[".dev0", "rc1"], &[".post1", "+local.1", ".0.1"]),
        "maven" => (&["-SNAPSHOT", "-rc-1"], &["-1", ".0.1", ".Final"]),
        "gem" => (&[".pre", ".rc1"], &[".0.1"]),
        "nuget" => (&["-0", "-rc.1"], &[".0.1", "+build"]),
        "composer" => (&["-alpha1", "-RC1"], &["-p1", ".0.1"]),
        "apk" => (&["_rc1"], &["_p1", ".0.1"]),
        "pub" => (&["-0", "-rc.1"], &["+1", ".1"]),
        "cran" | "hackage" => (&[], &[".0.1", ".0"]),
        _ => (&["-0", "-rc.1"], &["+build.1", ".1"]),
    }
}

/// The version itself, below it and above it.
pub fn around(version: &str, scheme: &str, probes: &mut BTreeSet<String>) {
    probes.insert(version.to_owned());
    // What counts for nothing stands behind what a suffix would belong to, and so does apk's revision.
    let (front, rest) = match scheme {
        "apk" => version.rfind("-r").map_or((version, ""), |place| version.split_at(place)),
        "dpkg" | "rpm" => (version, ""),
        _ => version.find('+').map_or((version, ""), |place| version.split_at(place)),
    };
    for whole in [version, front] {
        probes.extend(step(whole, false));
        probes.extend(step(whole, true));
    }
    let (below, above) = suffixes(scheme);
    for suffix in below.iter().chain(above) {
        probes.insert(format!("{front}{suffix}{}", if scheme == "apk" { rest } else { "" }));
    }
}

/// The versions that an entry's events name, without `0` and `*`.
pub fn named(entry: &Value) -> BTreeSet<&str> {
    let ranges = entry["ranges"].as_array().into_iter().flatten().filter(|range| range["type"] != "GIT");
    let events = ranges.flat_map(|range| range["events"].as_array().into_iter().flatten());
    let texts = events.flat_map(|event| event.as_object().into_iter().flat_map(|event| event.values()));
    texts.filter_map(Value::as_str).filter(|text| !matches!(*text, "0" | "*")).collect()
}

/// Whether what is made of a version is in fact below it and above it.
pub fn is_flanked(version: &str, scheme: &dyn Scheme) -> bool {
    let mut probes = BTreeSet::new();
    around(version, scheme.id(), &mut probes);
    let beside = |side| probes.iter().any(|probe| scheme.compare(probe, version) == Ok(side));
    beside(Ordering::Less) && beside(Ordering::Greater)
}

/// Everything that an entry is asked with.
pub fn probes(entry: &Value, scheme: &str) -> BTreeSet<String> {
    let strange = ["", "0", "99999999.0.0", "not a version"];
    let mut probes: BTreeSet<String> = strange.into_iter().map(str::to_owned).collect();
    for version in named(entry) {
        around(version, scheme, &mut probes);
    }
    let listed: Vec<&str> =
        entry["versions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    // The neighbours of the first, the last and the one between; of the others the spelling alone.
    for place in [0, listed.len() / 2, listed.len().saturating_sub(1)] {
        if let Some(version) = listed.get(place) {
            around(version, scheme, &mut probes);
        }
    }
    probes.extend(listed.into_iter().map(str::to_owned));
    probes
}
