//! MAN: any manifest or index.

mod descriptor;
mod table;
mod urls;

use serde_json::Value;

use crate::image::document::{INDEX_TYPES, MANIFEST_TYPES};
use crate::image::limits::Limits;
use crate::model::digest::Digest;
use crate::model::violation::{CheckSeverity, Place};

use super::documents::{Kind, OddityKind, Role, State};
use super::keys::{self, Strange};
use super::look::{self, Look};
use super::{Check, Family, Found, Subject};
use table::*;

/// Bytes from which on a manifest is large: 1 MiB.
const LARGE: u64 = 1 << 20;

/// Layers that overlay file systems can still mount: 127; and that an image can do with: 40.
const MOST_LAYERS: usize = 127;
const MANY_LAYERS: usize = 40;

/// The family.
pub(super) struct Manifests;

impl Family for Manifests {
    fn checks(&self) -> &'static [Check] {
        CHECKS
    }

    fn look(&self, subject: &Subject<'_>, found: &mut Found) {
        for unseen in subject.documents.unseen() {
            found.unseen(&unseen.at, &unseen.cause);
        }
        reference(subject, found);
        look::each(subject.documents, found, |look| {
            odd(look);
            match look.node.role {
                Role::Config => return,
                Role::Root => root(look),
                Role::Child => {}
            }
            size(look);
            if look.value().is_some() {
                kind(look);
                shape(look);
                media_types(look);
                layers(look);
                descriptor::each(look);
            }
        });
    }
}

/// MAN-020: of references without a digest only.
fn reference(subject: &Subject<'_>, found: &mut Found) {
    let Some(reference) = subject.reference.filter(|reference| reference.digest.is_none()) else { return };
    if reference.tag.as_deref().is_none_or(|tag| tag == "latest") {
        found.add(&MAN_020, Place::Image, format!("{reference} is a tag that moves with every push"));
    }
}

/// MAN-006 and MAN-007, as the bytes show them. Equal keys of a configuration are CFG-014.
fn odd(look: &mut Look<'_, '_>) {
    let config = look.node.role == Role::Config;
    let Some(content) = look.node.state.content() else { return };
    for odd in &content.oddities {
        let text = &odd.text;
        let (check, message) = match odd.kind {
            OddityKind::Duplicate | OddityKind::CaseTwin if config => continue,
            OddityKind::Number if config => continue,
            OddityKind::TooMany => continue,
            OddityKind::Duplicate => (&MAN_006, format!("duplicate key `{text}`")),
            OddityKind::CaseTwin => (&MAN_006, format!("two keys that differ only in case: `{text}`")),
            OddityKind::ByteOrderMark => (&MAN_007, "begins with a byte order mark".to_owned()),
            OddityKind::Malformed => (&MAN_007, format!("not a valid JSON document: {text}")),
            OddityKind::Trailing => (&MAN_007, format!("more bytes follow the document, {text}")),
            OddityKind::NotUtf8 => (&MAN_007, text.clone()),
            OddityKind::Surrogate => (&MAN_007, format!("a string with {text}")),
            OddityKind::Deep | OddityKind::TooDeep => (&MAN_007, text.clone()),
            OddityKind::Number => (&MAN_007, format!("{text} is no unsigned integer below 2^63")),
        };
        look.say(check, &odd.pointer, message);
    }
}

/// MAN-001, MAN-002, MAN-003 and MAN-019: the root against what led to it. MAN-021 is a fault: the client
/// refuses such an answer.
fn root(look: &mut Look<'_, '_>) {
    let node = look.node;
    let served = look.documents.served();
    if matches!(node.state, State::Missing) {
        look.found.unseen("image", "its manifest is not there");
    }
    let Some(content) = node.state.content() else { return };
    if let Some(digest) = node.stated.digest.as_deref().and_then(|text| text.parse::<Digest>().ok())
        && let Some(found) = content.digest_like(&digest)
        && *found != digest
    {
        look.say(&MAN_001, "", format!("digest mismatch: its bytes have {found}, not {digest}"));
    }
    if let Some(size) = node.stated.size.filter(|size| *size != content.length) {
        let length = content.length;
        let least = if content.whole { "" } else { "at least " };
        look.say(&MAN_002, "", format!("size mismatch: {least}{length} bytes, not {size}"));
    }
    let declared = [(&served.content_type, "served"), (&node.stated.media_type, "declared")];
    for (declared, how) in
        declared.into_iter().filter_map(|(declared, how)| Some((declared.as_deref()?, how)))
    {
        if let Some(message) = misdeclared(look, declared, how) {
            look.say(&MAN_003, "/mediaType", message);
            break;
        }
    }
    if let (Some(resolved), Some(read)) = (&served.resolved, &node.stated.digest)
        && resolved.to_string() != *read
    {
        look.say(&MAN_019, "", format!("the tag led to {resolved}, and a moment later to {read}"));
    }
}

/// How a document contradicts the media type that it is declared as, by its own field or by its content.
pub(super) fn misdeclared(look: &Look<'_, '_>, declared: &str, how: &str) -> Option<String> {
    let value = look.value()?;
    match value.get("mediaType").and_then(Value::as_str) {
        Some(own) if own != declared => {
            Some(format!("its mediaType is `{own}`, but it is {how} as `{declared}`"))
        }
        Some(_) => None,
        None => {
            let index = value.get("manifests").is_some();
            let manifest = value.get("config").is_some() || value.get("layers").is_some();
            let wrong = if index { MANIFEST_TYPES } else { INDEX_TYPES };
            let content = if index { "an index" } else { "a manifest" };
            (index != manifest && wrong.contains(&declared))
                .then(|| format!("its content is {content}, but it is {how} as `{declared}`"))
        }
    }
}

/// MAN-009.
fn size(look: &mut Look<'_, '_>) {
    let limit = Limits::default().manifest;
    let read = look.node.state.content().map(|content| content.length);
    let Some(size) = read.max(look.node.stated.size) else { return };
    if size > limit {
        look.say(&MAN_009, "", format!("{size} bytes or more, larger than {limit}"));
    } else if let Some(size) = read.filter(|size| *size > LARGE) {
        look.say_as(&MAN_009, CheckSeverity::Medium, "", format!("{size} bytes, larger than {LARGE}"));
    }
}

/// MAN-004, MAN-005 and MAN-008.
fn kind(look: &mut Look<'_, '_>) {
    let Some(object) = look.value().and_then(Value::as_object) else {
        return look.say(&MAN_007, "", "not a JSON object");
    };
    let has = |key: &str| object.contains_key(key);
    if has("manifests") && (has("config") || has("layers")) {
        let message = "is both a manifest and an index: it has `manifests` beside `config` or `layers`";
        look.say(&MAN_004, "/manifests", message);
    } else if !has("manifests") && (!has("config") || !has("layers")) {
        look.say(&MAN_004, "", "neither a manifest (`config` and `layers`) nor an index (`manifests`)");
    }
    for key in ["config", "layers", "manifests"] {
        if object.get(key).is_some_and(Value::is_null) {
            look.say(&MAN_007, &format!("/{key}"), format!("`{key}` is null"));
        }
    }
    match object.get("mediaType").and_then(Value::as_str) {
        None => look.say(&MAN_005, "", "mediaType is missing"),
        Some(own) => {
            let (index, manifest) = (INDEX_TYPES.contains(&own), MANIFEST_TYPES.contains(&own));
            let lies = (index && !has("manifests")) || (manifest && has("manifests"));
            if lies && has("manifests") != (has("config") || has("layers")) {
                let content = if has("manifests") { "an index" } else { "a manifest" };
                look.say(&MAN_004, "/mediaType", format!("its media type is `{own}`, but it is {content}"));
            }
        }
    }
    match object.get("schemaVersion") {
        Some(version) if version.as_u64() == Some(2) => {}
        Some(version) if version.as_u64() == Some(1) => {
            look.say(&MAN_008, "/schemaVersion", "Docker schema 1");
        }
        Some(version) => {
            let text = version.to_string();
            look.show(&MAN_008, MAN_008.severity, "/schemaVersion", "schemaVersion is not 2", Some(&text));
        }
        None => look.say(&MAN_008, "", "schemaVersion is missing"),
    }
}

/// MAN-006 and MAN-007, as the keys and kinds of values show them.
fn shape(look: &mut Look<'_, '_>) {
    let Some(value) = look.value() else { return };
    for strange in keys::strange(value, &keys::DOCUMENT) {
        match strange {
            Strange::Variant { pointer, key, known } => {
                look.say(&MAN_006, &pointer, format!("some parsers take the key `{key}` for `{known}`"));
            }
            Strange::Kind { pointer, expected } => {
                look.say(&MAN_007, &pointer, format!("not {expected}"));
            }
            Strange::Unknown { .. } => {}
        }
    }
}

/// MAN-012 and MAN-013.
fn media_types(look: &mut Look<'_, '_>) {
    let own = look.text("/mediaType").or(look.node.stated.media_type.as_deref());
    let Some(own) = own else { return };
    let Some(docker) = is_docker(own) else { return };
    if docker {
        look.say(&MAN_013, "/mediaType", "Docker schema 2 media types");
    }
    let mut below = vec![("/config/mediaType".to_owned(), look.text("/config/mediaType"))];
    for list in ["layers", "manifests"] {
        for (index, item) in look.list(&format!("/{list}")).iter().enumerate() {
            let media_type = item.get("mediaType").and_then(Value::as_str);
            below.push((format!("/{list}/{index}/mediaType"), media_type));
        }
    }
    let other = below
        .into_iter()
        .find_map(|(at, media_type)| media_type.filter(|m| is_docker(m) == Some(!docker)).map(|m| (at, m)));
    if let Some((pointer, other)) = other {
        look.say(&MAN_012, &pointer, format!("`{other}` in a document of type `{own}`"));
    }
}

/// Whether a media type is Docker's (true) or OCI's (false); none where it is neither.
fn is_docker(media_type: &str) -> Option<bool> {
    let of_image =
        |rest: &str| ["image.", "distribution.", "container."].iter().any(|part| rest.starts_with(part));
    if let Some(rest) = media_type.strip_prefix("application/vnd.docker.") {
        return of_image(rest).then_some(true);
    }
    media_type.strip_prefix("application/vnd.oci.").filter(|rest| of_image(rest)).map(|_| false)
}

/// MAN-016, MAN-017 and MAN-018.
fn layers(look: &mut Look<'_, '_>) {
    let layers = look.list("/layers");
    let mut seen = std::collections::HashMap::new();
    for (index, layer) in layers.iter().enumerate() {
        let text = |key: &str| layer.get(key).and_then(Value::as_str);
        if let Some(media_type) = text("mediaType").filter(|m| descriptor::is_foreign(m)) {
            let message = format!("layer {index} is of type `{media_type}`");
            look.say(&MAN_016, &format!("/layers/{index}/mediaType"), message);
        }
        if let Some(first) = text("digest").and_then(|digest| seen.insert(digest, index)) {
            let message = format!("layer {index} is layer {first} again");
            look.say(&MAN_017, &format!("/layers/{index}/digest"), message);
        }
    }
    if look.node.kind() == Kind::Image && layers.len() > MANY_LAYERS {
        let (severity, most) = if layers.len() > MOST_LAYERS {
            (MAN_018.severity, MOST_LAYERS)
        } else {
            (CheckSeverity::Medium, MANY_LAYERS)
        };
        look.say_as(&MAN_018, severity, "/layers", format!("{} layers, more than {most}", layers.len()));
    }
}

#[cfg(test)]
mod tests;
