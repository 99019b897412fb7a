//! Names of single licences.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::dialect::Dialect;
use super::tables::{self, Table};

/// Bytes of a name: 200; the longest full name of the SPDX list has 104.
const MAX_NAME: usize = 200;

/// The expression for one licence by the name that a dialect gives it: an identifier, one with `+`, one with its
/// exception, or `LicenseRef-…`.
pub(super) fn name(text: &str, dialect: &Dialect) -> Option<String> {
    if text.len() > MAX_NAME {
        return None;
    }
    if let Some(found) = identifier(text).or_else(|| reference(text)) {
        return Some(found);
    }
    if let Some((_, path)) = text.split_once("://") {
        return url(path);
    }
    let folded = fold(text)?;
    let listed = |table: Table| tables::find(table, &folded).map(str::to_owned);
    listed(dialect.names)
        .or_else(|| listed(tables::GENERAL))
        .or_else(|| full_names().get(folded.as_str()).copied().map(str::to_owned))
        .or_else(|| gnu(&folded, dialect.plain_is_only))
        .or_else(|| dialect.dot_zero.then(|| dotted(text)).flatten())
}

/// A licence with an exception.
pub(super) fn with(license: &str, exception: &str, dialect: &Dialect) -> Option<String> {
    if let Some(found) = name(&format!("{license} with {exception}"), dialect) {
        return Some(found);
    }
    let license = name(license, dialect).filter(|id| !id.contains(' ') && !id.starts_with("LicenseRef-"))?;
    let lower = exception.to_ascii_lowercase();
    let words = lower.strip_suffix(" exception").unwrap_or(&lower).replace(' ', "-");
    let by_name =
        || [words.clone(), format!("{words}-exception")].iter().find_map(|id| exceptions().get(id.as_str()));
    let found = tables::find(tables::EXCEPTIONS, &lower).or_else(|| by_name().copied())?;
    Some(format!("{license} WITH {found}"))
}

/// An identifier of the SPDX list in any case (2.3, D.2: they are matched so), the deprecated ones by those that
/// took their place.
fn identifier(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let current = |id: &'static str| tables::find(tables::DEPRECATED, id).unwrap_or(id);
    if let Some(id) = identifiers().get(lower.as_str()) {
        return Some(current(id).to_owned());
    }
    // The GNU licences have identifiers of their own for that.
    let id = identifiers().get(lower.strip_suffix('+')?)?;
    (current(id) == *id && !is_gnu(id)).then(|| format!("{id}+"))
}

fn is_gnu(id: &str) -> bool {
    spdx::license_id(id).is_none_or(|id| id.is_gnu())
}

/// `LicenseRef-…`: a name that the author of the metadata gave.
fn reference(text: &str) -> Option<String> {
    let name = text.strip_prefix("LicenseRef-")?;
    let is_name =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    is_name.then(|| text.to_owned())
}

/// `Apache-2` for `Apache-2.0`, `MPL-2+` for `MPL-2.0+`.
fn dotted(text: &str) -> Option<String> {
    let (name, plus) = text.strip_suffix('+').map_or((text, ""), |name| (name, "+"));
    let is_short = name.ends_with(|c: char| c.is_ascii_digit()) && !name.contains('.');
    is_short.then(|| identifier(&format!("{name}.0{plus}"))).flatten()
}

/// A name in small letters without what says nothing: punctuation around words, `the`, `version`, the `v` before
/// a number. Both sides of a look-up are folded, so `Apache License, Version 2.0` and `The Apache License v2.0`
/// are one. None where parentheses do not match: that is no name.
pub(super) fn fold(text: &str) -> Option<String> {
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    if depth > 0 {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let divides = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | ';' | '_' | '"' | '\'');
    let mut folded = String::new();
    for word in lower.split(divides) {
        let number = word.strip_prefix('v').map(|rest| rest.trim_start_matches('.'));
        let number = number.filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let word = match word {
            "" | "-" | "the" | "version" | "v" | "v." => continue,
            "licence" => "license",
            word => number.unwrap_or(word),
        };
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
    (!folded.is_empty()).then_some(folded)
}

/// How the GNU licences are named; the longest of several that fit comes first.
const FAMILIES: &[(&str, &str)] = &[
    ("gnu affero general public license", "AGPL"),
    ("gnu free documentation license", "GFDL"),
    ("gnu general public license", "GPL"),
    ("gnu lesser general public license", "LGPL"),
    ("gnu library general public license", "LGPL"),
    ("gnu agpl", "AGPL"),
    ("gnu lgpl", "LGPL"),
    ("gnu gpl", "GPL"),
    ("agpl", "AGPL"),
    ("gfdl-niv", "GFDL-NIV"),
    ("gfdl", "GFDL"),
    ("lgpl", "LGPL"),
    ("gpl", "GPL"),
];

/// `gplv2+`, `gpl-2.0 or later`, `gnu general public license 3 or later gplv3+`. Whether a version without more
/// is that version only is the dialect's to say.
fn gnu(folded: &str, plain_is_only: bool) -> Option<String> {
    let (family, rest) =
        FAMILIES.iter().find_map(|(name, family)| Some((*family, folded.strip_prefix(name)?)))?;
    let short = family.to_ascii_lowercase();
    let rest = rest.trim_start_matches([' ', '-']);
    let rest = rest.strip_prefix(short.as_str()).unwrap_or(rest).trim_start_matches([' ', '-']);
    let rest = rest.strip_prefix('v').unwrap_or(rest);
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (version, rest) = rest.split_at_checked(end)?;
    let version = match (family, version) {
        ("AGPL" | "GPL", "1" | "1.0") => "1.0",
        ("GPL" | "LGPL", "2" | "2.0") => "2.0",
        ("LGPL", "2.1") => "2.1",
        ("AGPL" | "GPL" | "LGPL", "3" | "3.0") => "3.0",
        ("GFDL" | "GFDL-NIV", "1.1" | "1.2" | "1.3") => version,
        _ => return None,
    };
    let rest = rest.trim_start_matches([' ', '-']);
    let later = ["+", "or later", "or newer", "or any later", "or-later", "or-newer"];
    let (which, rest) = match later.iter().find_map(|later| rest.strip_prefix(later)) {
        Some(rest) => ("or-later", rest),
        None if rest == "only" => ("only", ""),
        None if rest.is_empty() && plain_is_only => ("only", ""),
        None => return None,
    };
    let found = match family {
        "GFDL-NIV" => format!("GFDL-{version}-no-invariants-{which}"),
        family => format!("{family}-{version}-{which}"),
    };
    // The classifiers of PyPI name it twice.
    let again = rest.trim_start();
    (again.is_empty() || again.len() <= "agplv3.0+".len() && gnu(again, false).as_ref() == Some(&found))
        .then_some(found)
}

/// Where identifiers stand as the last part of a URL.
const PLACES: &[&str] =
    &["licenses.nuget.org/", "opensource.org/license/", "opensource.org/licenses/", "spdx.org/licenses/"];

/// A URL, after its scheme.
fn url(path: &str) -> Option<String> {
    let lower = path.to_ascii_lowercase();
    let path = lower.strip_prefix("www.").unwrap_or(&lower).trim_end_matches('/');
    let path = [".txt", ".html", ".php"].iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path);
    if let Some(found) = tables::find(tables::URLS, path) {
        return Some(found.to_owned());
    }
    let (place, id) = PLACES.iter().find_map(|place| Some((*place, path.strip_prefix(place)?)))?;
    let found = identifier(id)?;
    // The text of a GNU licence does not say whether later versions are allowed; an SPDX identifier does.
    let is_text = place.starts_with("opensource.org") && is_gnu(found.split(' ').next().unwrap_or_default());
    (!is_text).then_some(found)
}

/// Identifiers in small letters.
fn identifiers() -> &'static HashMap<String, &'static str> {
    static IDS: OnceLock<HashMap<String, &'static str>> = OnceLock::new();
    IDS.get_or_init(|| {
        let listed = spdx::identifiers::LICENSES.iter().filter(|license| license.name != "NOASSERTION");
        listed.map(|license| (license.name.to_ascii_lowercase(), license.name)).collect()
    })
}

/// The full names of the SPDX list, folded. Those of deprecated identifiers also stand for newer ones, or name
/// no choice between a version and later ones.
fn full_names() -> &'static HashMap<String, &'static str> {
    static NAMES: OnceLock<HashMap<String, &'static str>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let is_current = |name: &str| {
            let is_old = tables::find(tables::DEPRECATED, name).is_some();
            !is_old && spdx::license_id(name).is_some_and(|id| !id.is_deprecated())
        };
        let listed = spdx::identifiers::LICENSES
            .iter()
            .filter(|license| license.name != "NOASSERTION" && is_current(license.name));
        listed.filter_map(|license| Some((fold(license.full_name)?, license.name))).collect()
    })
}

/// Exceptions in small letters.
fn exceptions() -> &'static HashMap<String, &'static str> {
    static IDS: OnceLock<HashMap<String, &'static str>> = OnceLock::new();
    IDS.get_or_init(|| {
        let listed = spdx::identifiers::EXCEPTIONS.iter();
        listed.map(|exception| (exception.name.to_ascii_lowercase(), exception.name)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_identifiers_and_no_two_full_names_are_one_when_folded() {
        let current = spdx::identifiers::LICENSES.iter().filter(|license| {
            let is_old = tables::find(tables::DEPRECATED, license.name).is_some();
            let id = spdx::license_id(license.name).filter(|id| !is_old && !id.is_deprecated());
            license.name != "NOASSERTION" && id.is_some()
        });
        assert_eq!(identifiers().len() + 1, spdx::identifiers::LICENSES.len());
        assert_eq!(full_names().len(), current.count());
        assert_eq!(exceptions().len(), spdx::identifiers::EXCEPTIONS.len());
    }

    #[test]
    fn folding_keeps_what_tells_licences_apart() {
        let folded = |text: &str| fold(text).unwrap();
        assert_eq!(folded("The Apache Software License, Version 2.0"), "apache software license 2.0");
        assert_eq!(folded("Eclipse Public License - v 1.0"), "eclipse public license 1.0");
        assert_eq!(
            folded("BSD 3-Clause \"New\" or \"Revised\" License"),
            "bsd 3-clause new or revised license"
        );
        assert_eq!(folded("GPLv2"), "gplv2");
        assert_ne!(folded("GPL-2"), folded("GPL-2+"));
        assert_eq!((fold("(MIT"), fold("MIT)("), fold(", ()")), (None, None, None));
    }

    #[test]
    fn versions_of_the_gnu_licences_say_what_they_say() {
        let loose = |text: &str| gnu(&fold(text).unwrap(), false);
        for (text, want) in [
            ("GPLv2+", "GPL-2.0-or-later"),
            ("GPL 3 or later", "GPL-3.0-or-later"),
            ("GNU LGPL v2.1 only", "LGPL-2.1-only"),
            ("GNU General Public License (GPL) version 2, or any later version", "GPL-2.0-or-later"),
            ("GNU Lesser General Public License v3 or later (LGPLv3+)", "LGPL-3.0-or-later"),
            ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
        ] {
            assert_eq!(loose(text).as_deref(), Some(want), "{text}");
        }
        for text in
            ["GPL", "GPLv2", "LGPL 3", "GPL-4+", "AGPL-2+", "GPL-2+ or later (GPLv3+)", "GPL+", "gplus"]
        {
            assert_eq!(loose(text), None, "{text}");
        }
        assert_eq!(gnu("gplv2", true).as_deref(), Some("GPL-2.0-only"));
        assert_eq!(gnu("lgplv2.1", true).as_deref(), Some("LGPL-2.1-only"));
    }
}
