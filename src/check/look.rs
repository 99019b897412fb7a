//! What a family says of one document.

use serde_json::Value;

use crate::model::platform::Platform;
use crate::model::violation::{CheckSeverity, Violation};

use super::documents::{Documents, Kind, Node, Role};
use super::json_scan::shown;
use super::{Check, Found};

/// A document that is looked at, and where what is found goes.
pub(super) struct Look<'a, 'f> {
    pub(super) documents: &'a Documents,
    pub(super) node: &'a Node,
    pub(super) found: &'f mut Found,
    platform: Option<Platform>,
}

/// Calls `look` with every document.
pub(super) fn each<'a>(documents: &'a Documents, found: &mut Found, mut look: impl FnMut(&mut Look<'a, '_>)) {
    for node in documents.nodes() {
        look(&mut Look { documents, node, found, platform: platform(documents, node) });
    }
}

impl<'a> Look<'a, '_> {
    /// Says that a check fires, with the check's own severity.
    pub(super) fn say(&mut self, check: &'static Check, pointer: &str, message: impl Into<String>) {
        self.say_as(check, check.severity, pointer, message);
    }

    /// Says that a check fires, with another severity.
    pub(super) fn say_as(
        &mut self,
        check: &'static Check,
        severity: CheckSeverity,
        pointer: &str,
        message: impl Into<String>,
    ) {
        self.show(check, severity, pointer, message, None);
    }

    /// Says that a check fires, and shows what of.
    pub(super) fn show(
        &mut self,
        check: &'static Check,
        severity: CheckSeverity,
        pointer: &str,
        message: impl Into<String>,
        evidence: Option<&str>,
    ) {
        self.found.push(Violation {
            check: check.id,
            severity,
            message: message.into(),
            place: self.node.place(pointer),
            evidence: evidence.map(shown),
            platform: self.platform.clone(),
        });
    }

    /// The document.
    pub(super) fn value(&self) -> Option<&'a Value> {
        self.node.value()
    }

    /// The text at a JSON pointer.
    pub(super) fn text(&self, pointer: &str) -> Option<&'a str> {
        self.value()?.pointer(pointer)?.as_str()
    }

    /// The items of a list at a JSON pointer.
    pub(super) fn list(&self, pointer: &str) -> &'a [Value] {
        let list = self.value().and_then(|value| value.pointer(pointer)).and_then(Value::as_array);
        list.map(Vec::as_slice).unwrap_or_default()
    }
}

/// The platform that a document belongs to, where it states one in plain words.
pub(super) fn platform(documents: &Documents, node: &Node) -> Option<Platform> {
    let plain = |platform: Platform| {
        platform.to_string().parse::<Platform>().ok().filter(|parsed| *parsed == platform)
    };
    let above = if node.role == Role::Config { documents.parent(node) } else { None };
    let stated = [Some(node), above].into_iter().flatten().find_map(|node| node.stated.platform.clone());
    match (stated, node.kind()) {
        (Some(platform), _) => plain(platform).filter(|platform| !platform.is_unknown()),
        (None, Kind::Config) => plain(own_platform(node.value()?)?),
        (None, Kind::Index | Kind::Image | Kind::Artifact) => None,
    }
}

/// The platform that a configuration states; none where a part of it is missing.
pub(super) fn own_platform(config: &Value) -> Option<Platform> {
    let part = |key: &str| config.get(key).and_then(Value::as_str).filter(|part| !part.is_empty());
    Some(Platform {
        os: part("os")?.to_owned(),
        architecture: part("architecture")?.to_owned(),
        variant: part("variant").map(str::to_owned),
    })
}
