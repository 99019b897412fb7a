//! ANN: annotations and labels (OCI annotations.md).

mod table;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use spdx::{Expression, ParseMode};

use crate::model::digest::Digest;
use crate::model::violation::CheckSeverity;

use super::documents::{Documents, Kind, Node, Role};
use super::json_scan::join;
use super::look::{self, Look};
use super::{Check, Family, Found, Subject};
use table::*;

/// Prefix of the keys that annotations.md defines.
const PREFIX: &str = "org.opencontainers.image.";

/// Bytes of an annotation's value from which on it is long: 64 KiB; buildpacks' labels have some.
const LONG: usize = 64 << 10;

/// Bytes of a licence expression that are looked at.
const EXPRESSION: usize = 1_000;

/// Keys that must say the same wherever they stand.
const AGREEING: &[&str] = &["source", "revision", "version"];

/// The family.
pub(super) struct Annotations;

impl Family for Annotations {
    fn checks(&self) -> &'static [Check] {
        CHECKS
    }

    fn look(&self, subject: &Subject<'_>, found: &mut Found) {
        look::each(subject.documents, found, |look| {
            let Some(at) = map(look.documents, look.node) else { return };
            each_value(look, at);
            source(look, at, subject.expected.source.as_deref());
            revision(look, at, subject.expected.revision.as_deref());
            version(look, at, subject);
            words(look, at);
            agreement(look, at);
        });
        missing(subject, found);
    }
}

/// Where a document that belongs to an image has annotations or labels.
fn map(documents: &Documents, node: &Node) -> Option<&'static str> {
    match node.kind() {
        Kind::Index | Kind::Image => Some("/annotations"),
        Kind::Config => {
            documents.parent(node).filter(|manifest| manifest.kind() == Kind::Image).map(|_| "/config/Labels")
        }
        Kind::Artifact => None,
    }
}

fn text<'a>(look: &Look<'a, '_>, at: &str, key: &str) -> Option<&'a str> {
    look.value()?.pointer(at)?.get(format!("{PREFIX}{key}"))?.as_str()
}

fn place(at: &str, key: &str) -> String {
    join(at, &format!("{PREFIX}{key}"))
}

/// ANN-007.
fn each_value(look: &mut Look<'_, '_>, at: &str) {
    let maps = look.value().and_then(|value| value.pointer(at)).and_then(Value::as_object);
    let mut maps: Vec<(String, _)> = maps.map(|map| (at.to_owned(), map)).into_iter().collect();
    for list in ["layers", "manifests"] {
        for (index, item) in look.list(&format!("/{list}")).iter().enumerate() {
            let map = item.get("annotations").and_then(Value::as_object);
            maps.extend(map.map(|map| (format!("/{list}/{index}/annotations"), map)));
        }
    }
    for (at, map) in maps {
        for (key, value) in map {
            let value = value.as_str().unwrap_or_default();
            let message = if key.chars().any(is_control) || value.chars().any(is_control) {
                "holds control or bidirectional characters".to_owned()
            } else if value.len() > LONG {
                format!("{} bytes, longer than {LONG}", value.len())
            } else {
                continue;
            };
            look.show(&ANN_007, ANN_007.severity, &join(&at, key), message, Some(key));
        }
    }
}

/// Characters that make a terminal or an editor show something else; line breaks and tabs do not.
fn is_control(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// ANN-001.
fn source(look: &mut Look<'_, '_>, at: &str, expected: Option<&str>) {
    let Some(source) = text(look, at, "source") else { return };
    let pointer = place(at, "source");
    let plain = |url: &str| url.trim_end_matches('/').trim_end_matches(".git").to_ascii_lowercase();
    match expected {
        Some(expected) if plain(expected) != plain(source) => {
            look.show(
                &ANN_001,
                ANN_001.severity,
                &pointer,
                format!("the source is not {expected}"),
                Some(source),
            );
        }
        Some(_) => {}
        None => {
            let host = source.strip_prefix("https://").and_then(|rest| rest.split('/').next());
            let sound = host.is_some_and(|host| !host.is_empty() && !host.contains(char::is_whitespace));
            if !sound && !source.is_empty() {
                let severity = CheckSeverity::Medium;
                look.show(&ANN_001, severity, &pointer, "the source is no https address", Some(source));
            }
        }
    }
}

/// ANN-002.
fn revision(look: &mut Look<'_, '_>, at: &str, expected: Option<&str>) {
    let Some(revision) = text(look, at, "revision") else { return };
    let pointer = place(at, "revision");
    let commit = matches!(revision.len(), 40 | 64) && revision.bytes().all(|b| b.is_ascii_hexdigit());
    match expected {
        Some(expected) if !expected.eq_ignore_ascii_case(revision) => {
            let message = format!("the revision is not {expected}");
            look.show(&ANN_002, ANN_002.severity, &pointer, message, Some(revision));
        }
        None if !commit && !revision.is_empty() => {
            let message = "the revision is no full commit id";
            look.show(&ANN_002, CheckSeverity::Medium, &pointer, message, Some(revision));
        }
        Some(_) | None => {}
    }
}

/// ANN-003. Tags such as `v1` or `1.2` move within a version, and `1.2.3-alpine` is a flavour of one.
fn version(look: &mut Look<'_, '_>, at: &str, subject: &Subject<'_>) {
    let tag = subject.reference.and_then(|reference| reference.tag.as_deref());
    let (Some(tag), Some(version)) = (tag, text(look, at, "version")) else { return };
    let plain = |text: &str| text.strip_prefix('v').unwrap_or(text).replace('+', "_");
    let (tag, version) = (plain(tag), plain(version));
    let numbered = tag.starts_with(|c: char| c.is_ascii_digit()) && tag.contains('.');
    let part = |whole: &str, part: &str| {
        whole.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_']))
    };
    if numbered && !version.is_empty() && !part(&version, &tag) && !part(&tag, &version) {
        let message = format!("the version is not that of the tag `{tag}`");
        look.show(&ANN_003, ANN_003.severity, &place(at, "version"), message, Some(&version));
    }
}

/// ANN-004, ANN-005 and ANN-006.
fn words(look: &mut Look<'_, '_>, at: &str) {
    if let Some(created) = text(look, at, "created").filter(|created| created.parse::<Timestamp>().is_err()) {
        let message = "the date is not RFC 3339";
        look.show(&ANN_004, ANN_004.severity, &place(at, "created"), message, Some(created));
    }
    if let Some(licenses) = text(look, at, "licenses").filter(|licenses| !is_expression(licenses)) {
        let message = "no SPDX expression";
        look.show(&ANN_005, ANN_005.severity, &place(at, "licenses"), message, Some(licenses));
    }
    let (name, digest) = (text(look, at, "base.name"), text(look, at, "base.digest"));
    match (name, digest) {
        (Some(_), None) => look.say(&ANN_006, &place(at, "base.name"), "the base's digest is missing"),
        (None, Some(_)) => look.say(&ANN_006, &place(at, "base.digest"), "the base's name is missing"),
        (None, None) | (Some(_), Some(_)) => {}
    }
    if let Some(digest) = digest.filter(|digest| digest.parse::<Digest>().is_err()) {
        let message = "the base's digest is none";
        look.show(&ANN_006, ANN_006.severity, &place(at, "base.digest"), message, Some(digest));
    }
}

fn is_expression(text: &str) -> bool {
    let mode = ParseMode { allow_deprecated: true, allow_postfix_plus_on_gpl: true, ..ParseMode::STRICT };
    text.len() <= EXPRESSION && (text == "NOASSERTION" || Expression::parse_mode(text, mode).is_ok())
}

/// ANN-008: against the documents above.
fn agreement(look: &mut Look<'_, '_>, at: &str) {
    for key in AGREEING {
        let Some(own) = text(look, at, key) else { continue };
        let mut above = look.documents.parent(look.node);
        while let Some(node) = above {
            let name = format!("{PREFIX}{key}");
            let stated = node.value().and_then(|value| value.get("annotations")?.get(&name)?.as_str());
            if let Some(stated) = stated.filter(|stated| *stated != own) {
                let what = if node.kind() == Kind::Index { "index" } else { "manifest" };
                let message = format!(
                    "{key} is another than the {what}'s, which is `{}`",
                    super::json_scan::shown(stated)
                );
                look.show(&ANN_008, ANN_008.severity, &place(at, key), message, Some(own));
                break;
            }
            above = look.documents.parent(node);
        }
    }
}

/// ANN-009; and ANN-001 and ANN-002 where a value is asked for that is nowhere. What was not read may hold
/// it.
fn missing(subject: &Subject<'_>, found: &mut Found) {
    let documents = subject.documents;
    let Some(root) = documents.root() else { return };
    let mut said: BTreeMap<&str, bool> = BTreeMap::new();
    let nodes = documents.nodes();
    let relevant: Vec<&Node> = nodes.iter().filter(|node| map(documents, node).is_some()).collect();
    if !documents.unseen().is_empty() || relevant.iter().any(|node| node.value().is_none()) {
        for (key, wanted) in [("source", &subject.expected.source), ("revision", &subject.expected.revision)]
        {
            if wanted.is_some() {
                found.unseen(
                    "annotations",
                    format!("whether `{PREFIX}{key}` is there: a document was not read"),
                );
            }
        }
        return;
    }
    // Each platform's image has it, by its manifest, its labels or an index above.
    let images: Vec<&Node> = nodes.iter().filter(|node| node.kind() == Kind::Image).collect();
    for key in ["source", "revision", "title", "description", "vendor"] {
        said.insert(key, !images.is_empty() && images.iter().all(|image| has(documents, image, key)));
    }
    let lacks = |key: &str| said.get(key) == Some(&false);
    for (key, check, wanted) in
        [("source", &ANN_001, &subject.expected.source), ("revision", &ANN_002, &subject.expected.revision)]
    {
        if wanted.is_some() && lacks(key) {
            found.add(check, root.place(""), format!("`{PREFIX}{key}` is missing"));
        }
    }
    let lacking: Vec<&str> =
        ["title", "description", "vendor"].into_iter().filter(|key| lacks(key)).collect();
    if !lacking.is_empty() && !images.is_empty() {
        found.add(&ANN_009, root.place(""), format!("without {}", lacking.join(", ")));
    }
}

fn has(documents: &Documents, image: &Node, key: &str) -> bool {
    let name = format!("{PREFIX}{key}");
    let text = |node: &Node, at: &str| {
        node.value()
            .and_then(|value| value.pointer(at)?.get(&name)?.as_str())
            .is_some_and(|text| !text.is_empty())
    };
    let config = documents.nodes().iter().find(|node| {
        node.role == Role::Config
            && documents.parent(node).is_some_and(|manifest| std::ptr::eq(manifest, image))
    });
    if config.is_some_and(|config| text(config, "/config/Labels")) {
        return true;
    }
    let mut above = Some(image);
    while let Some(node) = above {
        if text(node, "/annotations") {
            return true;
        }
        above = documents.parent(node);
    }
    false
}

#[cfg(test)]
mod tests;
