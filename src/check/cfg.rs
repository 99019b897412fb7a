//! CFG: the configuration of an image.

mod build;
mod execution;
mod table;

use jiff::{Timestamp, ToSpan};
use serde_json::Value;

use crate::model::config::ImageConfig;
use crate::model::digest::Digest;
use crate::model::platform::Platform;
use crate::model::violation::CheckSeverity;

use super::documents::{Kind, OddityKind, Role, State};
use super::keys::{self, Strange};
use super::look::{self, Look, own_platform};
use super::{Check, Family, Found, Subject};
use table::*;

/// The family.
pub(super) struct Configs;

impl Family for Configs {
    fn checks(&self) -> &'static [Check] {
        CHECKS
    }

    fn look(&self, subject: &Subject<'_>, found: &mut Found) {
        look::each(subject.documents, found, |look| {
            if look.node.role != Role::Config {
                return;
            }
            bytes(look);
            let Some(manifest) = look.documents.parent(look.node) else { return };
            if manifest.kind() != Kind::Image || look.value().is_none() {
                return;
            }
            shape(look);
            root_fs(look, manifest.value());
            platform(look, manifest.stated.platform.as_ref());
            created(look, subject.now);
            execution::look(look);
            build::look(look);
        });
    }
}

/// CFG-001: also of what is no image. What the manifest says of an index's child is for `idx`.
fn bytes(look: &mut Look<'_, '_>) {
    let node = look.node;
    if matches!(node.state, State::Missing) {
        return look.say(&CFG_001, "", "the configuration is missing");
    }
    let Some(content) = node.state.content() else { return };
    if let Some(size) = node.stated.size.filter(|size| *size != content.length) {
        let length = content.length;
        let least = if content.whole { "" } else { "at least " };
        look.say(&CFG_001, "", format!("size mismatch: {least}{length} bytes, the manifest says {size}"));
    }
    if let Some(Ok(digest)) = node.stated.digest.as_deref().map(str::parse::<Digest>)
        && let Some(found) = content.digest_like(&digest)
        && *found != digest
    {
        look.say(&CFG_001, "", format!("digest mismatch: its bytes have {found}"));
    }
}

/// CFG-014; and CFG-002 and CFG-003 where the wrong kind of value stands there.
fn shape(look: &mut Look<'_, '_>) {
    let (Some(value), Some(content)) = (look.value(), look.node.state.content()) else { return };
    for odd in &content.oddities {
        let message = match odd.kind {
            OddityKind::Duplicate => format!("duplicate key `{}`", odd.text),
            OddityKind::CaseTwin => format!("two keys that differ only in case: `{}`", odd.text),
            OddityKind::ByteOrderMark
            | OddityKind::Malformed
            | OddityKind::Trailing
            | OddityKind::NotUtf8
            | OddityKind::Surrogate
            | OddityKind::Deep
            | OddityKind::TooDeep
            | OddityKind::Number
            | OddityKind::TooMany => continue,
        };
        look.say(&CFG_014, &odd.pointer, message);
    }
    let strange = keys::strange(value, &keys::CONFIG);
    let mut wrong = false;
    for strange in &strange {
        match strange {
            Strange::Variant { pointer, key, known } => {
                look.say(&CFG_014, pointer, format!("some parsers take the key `{key}` for `{known}`"));
            }
            Strange::Kind { pointer, expected } => {
                wrong = true;
                look.say(&CFG_014, pointer, format!("not {expected}"));
            }
            // BuildKit keeps its caches and build information under keys of its own.
            Strange::Unknown { key, .. } if key.starts_with("moby.buildkit.") => {}
            Strange::Unknown { pointer, key } => {
                let message = format!("unknown field `{key}`");
                look.say_as(&CFG_014, CheckSeverity::Medium, pointer, message);
            }
        }
    }
    let diff_ids = value.pointer("/rootfs/diff_ids").and_then(Value::as_array).into_iter().flatten();
    wrong |= diff_ids.filter_map(Value::as_str).any(|id| id.parse::<Digest>().is_err());
    wrong |= value.get("rootfs").is_none_or(|rootfs| !rootfs.is_object());
    // Whatever else the strict reader refuses. Its message may quote a secret, and is not shown.
    if !wrong && serde_json::from_value::<ImageConfig>(value.clone()).is_err() {
        look.say(&CFG_014, "", "no image configuration: a field is of the wrong kind");
    }
}

/// CFG-002, CFG-003 and CFG-004.
fn root_fs(look: &mut Look<'_, '_>, manifest: Option<&Value>) {
    match look.value().and_then(|value| value.pointer("/rootfs/type")) {
        Some(Value::String(kind)) if kind == "layers" => {}
        Some(kind) => {
            let kind = kind.to_string();
            look.show(&CFG_002, CFG_002.severity, "/rootfs/type", "rootfs.type is not `layers`", Some(&kind));
        }
        None => look.say(&CFG_002, "/rootfs", "rootfs.type is missing"),
    }
    let ids = look.list("/rootfs/diff_ids");
    for (index, id) in ids.iter().enumerate() {
        if let Some(Err(error)) = id.as_str().map(str::parse::<Digest>) {
            look.say(&CFG_003, &format!("/rootfs/diff_ids/{index}"), error.to_string());
        }
    }
    let layers = manifest.and_then(|manifest| manifest.get("layers")).and_then(Value::as_array);
    if let Some(layers) = layers.map(Vec::len).filter(|layers| *layers != ids.len()) {
        let message = format!("the manifest has {layers} layers, the config {} diff IDs", ids.len());
        look.say(&CFG_003, "/rootfs/diff_ids", message);
    }
    let history = look.list("/history");
    let steps = history.iter().filter(|step| step.get("empty_layer") != Some(&Value::Bool(true))).count();
    if !history.is_empty() && steps != ids.len() {
        let message =
            format!("{steps} steps of the history make a layer, and there are {} diff IDs", ids.len());
        look.say(&CFG_004, "/history", message);
    }
}

/// CFG-005.
fn platform(look: &mut Look<'_, '_>, listed: Option<&Platform>) {
    for key in ["os", "architecture"] {
        if look.text(&format!("/{key}")).is_none_or(str::is_empty) {
            look.say(&CFG_005, &format!("/{key}"), format!("`{key}` is missing"));
        }
    }
    let Some(own) = look.value().and_then(own_platform) else { return };
    // It becomes part of file names and of what a terminal shows.
    if own.to_string().parse::<Platform>().as_ref() != Ok(&own) {
        look.say(&CFG_005, "/os", "the platform is not made of plain words");
    }
    let listed = listed.filter(|listed| !listed.os.is_empty() && !listed.is_unknown());
    if let Some(listed) = listed.filter(|listed| !listed.matches(&own)) {
        look.say(&CFG_005, "/architecture", format!("its platform is {own}, but it is listed as {listed}"));
    }
}

/// CFG-006.
fn created(look: &mut Look<'_, '_>, now: Timestamp) {
    let Some(text) = look.text("/created").filter(|text| !text.is_empty()) else { return };
    let Ok(created) = text.parse::<Timestamp>() else {
        return look.show(&CFG_006, CFG_006.severity, "/created", "the date is not RFC 3339", Some(text));
    };
    // Clocks of builders differ a little.
    let soon = now.checked_add(5.minutes()).unwrap_or(now);
    if created > soon {
        look.show(&CFG_006, CFG_006.severity, "/created", "the date is in the future", Some(text));
    } else if created <= Timestamp::UNIX_EPOCH {
        look.show(&CFG_006, CheckSeverity::Info, "/created", "the date is no date of a build", Some(text));
    }
}

#[cfg(test)]
mod tests;
