//! IDX: indexes and the manifests that they list.

mod table;

use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::model::digest::Digest;
use crate::model::platform::Platform;
use crate::model::tree::{ArtifactKind, Signer};
use crate::model::violation::{CheckSeverity, Place, Violation};

use super::documents::{Documents, Kind, Node, Role, State};
use super::look::{self, Look, own_platform};
use super::man::misdeclared;
use super::{Check, Family, Found, Subject};
use table::*;

/// Time between the builds of two platforms of one release: 24 hours.
const APART: SignedDuration = SignedDuration::from_hours(24);

/// The family.
pub(super) struct Indexes;

impl Family for Indexes {
    fn checks(&self) -> &'static [Check] {
        CHECKS
    }

    fn look(&self, subject: &Subject<'_>, found: &mut Found) {
        required(subject, found);
        together(subject.documents, found);
        signed(subject, found);
        look::each(subject.documents, found, |look| match look.node.role {
            Role::Root => index(look),
            Role::Child => {
                child(look);
                disguised(look);
                index(look);
            }
            Role::Config => disagrees(look),
        });
    }
}

/// IDX-012. Where it is not known of one whether it is signed, that is unseen already.
fn signed(subject: &Subject<'_>, found: &mut Found) {
    for index in subject.documents.nodes().iter().filter(|node| node.kind() == Kind::Index) {
        let children = subject.documents.nodes().iter().filter(|node| {
            let parent = subject.documents.parent(node);
            node.kind() == Kind::Image && parent.is_some_and(|parent| std::ptr::eq(parent, index))
        });
        let signed = |node: &&Node| {
            let on = subject
                .hanging
                .manifests
                .iter()
                .find(|on| Some(on.digest.to_string()) == node.stated.digest)?;
            let signature = |kind| matches!(kind, ArtifactKind::Signature | ArtifactKind::LegacySignature);
            let read = |signer: &Signer| !matches!(signer, Signer::Unreadable { .. });
            let is = on
                .artifacts
                .iter()
                .any(|artifact| signature(artifact.kind) && artifact.signers.iter().any(read));
            (is || on.complete).then_some(is)
        };
        let children: Vec<(&Node, bool)> = children.filter_map(|node| Some((node, signed(&node)?))).collect();
        if !children.iter().any(|(_, signed)| *signed) {
            continue;
        }
        for (node, _) in children.iter().filter(|(_, signed)| !signed) {
            found.push(Violation {
                check: IDX_012.id,
                severity: IDX_012.severity,
                message: "no signature hangs on it, and one does on another platform".to_owned(),
                place: node.place(""),
                evidence: None,
                platform: look::platform(subject.documents, node),
            });
        }
    }
}

/// IDX-003. Where something could not be read, a platform that was not found may be there.
fn required(subject: &Subject<'_>, found: &mut Found) {
    if subject.expected.platforms.is_empty() {
        return;
    }
    let nodes = subject.documents.nodes();
    let unread = |node: &&Node| node.value().is_none() && concerns_image(subject, node);
    let unknown =
        nodes.is_empty() || !subject.documents.unseen().is_empty() || nodes.iter().any(|node| unread(&node));
    let configs = nodes.iter().filter(|node| node.role == Role::Config && concerns_image(subject, node));
    let there: Vec<Platform> = configs.filter_map(|node| own_platform(node.value()?)).collect();
    for wanted in &subject.expected.platforms {
        if there.iter().any(|platform| wanted.matches(platform)) {
            continue;
        }
        if unknown {
            found.unseen("index", format!("whether it has {wanted}: a document of it was not read"));
        } else {
            found.add(&IDX_003, Place::Image, format!("the image has no platform {wanted}"));
        }
    }
}

/// Whether a document is part of an image, rather than of an artifact beside it.
fn concerns_image(subject: &Subject<'_>, node: &Node) -> bool {
    let manifest = if node.role == Role::Config { subject.documents.parent(node) } else { Some(node) };
    manifest.is_some_and(|manifest| manifest.kind() != Kind::Artifact)
}

/// IDX-008. Attack: an image that calls itself an attestation. Runtimes never choose it by platform, and by
/// its digest anybody can run it; its layers are not read.
fn disguised(look: &mut Look<'_, '_>) {
    if look.node.stated.is_attestation() && look.node.has_image_layers() {
        look.say(&IDX_008, "/layers", "calls itself an attestation, and has the layers of an image");
        let digest = look.node.stated.digest.clone().unwrap_or_default();
        look.found.unseen(format!("manifest {digest}"), "the layers of what calls itself an attestation");
    }
}

/// IDX-001, IDX-002, IDX-006 and IDX-013: a child against what the index says of it.
fn child(look: &mut Look<'_, '_>) {
    let node = look.node;
    if let State::Cycle(_) = node.state {
        look.say(&IDX_013, "", "the index lists a document that lists it");
    }
    if matches!(node.state, State::Missing) {
        return look.say(&IDX_001, "", "the index lists it, and it is not there");
    }
    let Some(content) = node.state.content() else { return };
    if let Some(Ok(digest)) = node.stated.digest.as_deref().map(str::parse::<Digest>)
        && let Some(found) = content.digest_like(&digest)
        && *found != digest
    {
        look.say(&IDX_002, "", format!("digest mismatch: its bytes have {found}"));
    }
    if let Some(size) = node.stated.size.filter(|size| *size != content.length) {
        let length = content.length;
        let least = if content.whole { "" } else { "at least " };
        look.say(&IDX_002, "", format!("size mismatch: {least}{length} bytes, the index says {size}"));
    }
    let declared = node.stated.media_type.as_deref();
    if let Some(message) = declared.and_then(|declared| misdeclared(look, declared, "listed")) {
        look.say(&IDX_002, "/mediaType", message);
    }
    if node.kind() == Kind::Index {
        let severity = if node.depth > 1 { IDX_006.severity } else { CheckSeverity::Medium };
        look.say_as(&IDX_006, severity, "", format!("an index, {} below another", node.depth));
    }
}

/// IDX-004 and IDX-007 to IDX-010: an index by itself.
fn index(look: &mut Look<'_, '_>) {
    if look.node.kind() != Kind::Index {
        return;
    }
    let children = look.list("/manifests");
    let is_list = look.value().and_then(|value| value.get("manifests")).is_some_and(Value::is_array);
    if children.is_empty() && is_list {
        look.say(&IDX_007, "/manifests", "it lists no manifest");
    }
    let images = children.iter().filter(|child| !is_attestation(child));
    let images: HashSet<&str> = images.filter_map(|child| child.get("digest")?.as_str()).collect();
    let mut listed: BTreeMap<String, (usize, Option<&str>)> = BTreeMap::new();
    for (at, child) in children.iter().enumerate() {
        let pointer = format!("/manifests/{at}");
        let digest = child.get("digest").and_then(Value::as_str);
        let Some(platform) = child.get("platform").filter(|platform| platform.is_object()) else {
            attestation(look, child, &images, &pointer);
            continue;
        };
        let part = |key: &str| platform.get(key).and_then(Value::as_str).unwrap_or_default();
        if part("os") == "unknown" && part("architecture") == "unknown" {
            let kind = child.pointer("/annotations/vnd.docker.reference.type").and_then(Value::as_str);
            if kind.is_none() && child.get("artifactType").is_none() {
                look.say(
                    &IDX_009,
                    &format!("{pointer}/platform"),
                    "platform unknown/unknown, and no reference type",
                );
            }
            attestation(look, child, &images, &pointer);
            continue;
        }
        variant(look, part("architecture"), part("variant"), &pointer);
        let key = identity(platform);
        match listed.insert(key.clone(), (at, digest)) {
            Some((first, same)) if same == digest && digest.is_some() => {
                let message = format!("manifest {first} is listed again");
                look.say_as(&IDX_004, CheckSeverity::Low, &pointer, message);
            }
            Some((first, _)) => {
                look.say(&IDX_004, &pointer, format!("{key} is also the platform of manifest {first}"));
            }
            None => {}
        }
    }
}

/// A platform as it is chosen by: Windows also by version, arm64 is v8.
fn identity(platform: &Value) -> String {
    let part = |key: &str| platform.get(key).and_then(Value::as_str).unwrap_or_default();
    let variant = match (part("architecture"), part("variant")) {
        ("arm64", "v8" | "8") | ("amd64", "v1") => "",
        (_, variant) => variant,
    };
    let mut features: Vec<&str> = platform
        .get("os.features")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    features.sort_unstable();
    let parts =
        [part("os"), part("architecture"), variant, part("os.version"), &features.join(",")].join("/");
    parts.trim_end_matches('/').to_owned()
}

/// IDX-008: BuildKit names the manifest that an attestation is about.
fn attestation(look: &mut Look<'_, '_>, child: &Value, images: &HashSet<&str>, pointer: &str) {
    if !is_attestation(child) {
        return;
    }
    let at = format!("{pointer}/annotations");
    let about = child.get("annotations").and_then(|a| a.get("vnd.docker.reference.digest")?.as_str());
    match about {
        None => look.say(&IDX_008, &at, "vnd.docker.reference.digest is missing"),
        Some(about) if !images.contains(about) => {
            let message = "vnd.docker.reference.digest is no image of this index";
            look.show(&IDX_008, IDX_008.severity, &at, message, Some(about));
        }
        Some(_) => {}
    }
}

fn is_attestation(child: &Value) -> bool {
    let kind = child.get("annotations").and_then(|a| a.get("vnd.docker.reference.type")?.as_str());
    kind == Some("attestation-manifest")
}

/// IDX-010.
fn variant(look: &mut Look<'_, '_>, architecture: &str, variant: &str, pointer: &str) {
    let usual = match architecture {
        "arm" if variant.is_empty() => {
            return look.say(&IDX_010, &format!("{pointer}/platform"), "arm without a variant");
        }
        "arm" => &["v5", "v6", "v7", "v8"][..],
        "arm64" => &["", "v8", "v9"],
        "amd64" => &["", "v1", "v2", "v3", "v4"],
        _ => return,
    };
    // Minor versions such as `v8.2` are containerd's.
    let known = usual.contains(&variant)
        || variant
            .split_once('.')
            .is_some_and(|(major, minor)| usual.contains(&major) && minor.parse::<u8>().is_ok());
    if !known {
        let message = format!("{architecture} has no such variant");
        look.show(&IDX_010, IDX_010.severity, &format!("{pointer}/platform/variant"), message, Some(variant));
    }
}

/// IDX-005: a configuration against the index that lists its manifest.
fn disagrees(look: &mut Look<'_, '_>) {
    let Some(manifest) = look.documents.parent(look.node).filter(|manifest| manifest.role == Role::Child)
    else {
        return;
    };
    if manifest.kind() != Kind::Image {
        return;
    }
    let (Some(listed), Some(own)) = (&manifest.stated.platform, look.value().and_then(own_platform)) else {
        return;
    };
    if !listed.os.is_empty()
        && !listed.is_unknown()
        && !listed.matches(&own)
        && let Some(index) = look.documents.parent(manifest)
    {
        let pointer = format!("{}/platform", manifest.pointer);
        let message = format!("listed as {listed}, but its configuration says {own}");
        look.found.add(&IDX_005, index.place(&pointer), message);
    }
}

/// IDX-011: the images of the root index against each other.
fn together(documents: &Documents, found: &mut Found) {
    let Some(root) = documents.root().filter(|root| root.kind() == Kind::Index) else { return };
    let mut revisions: BTreeMap<String, String> = BTreeMap::new();
    let mut dates: Vec<(Timestamp, String)> = Vec::new();
    for config in documents.nodes().iter().filter(|node| node.role == Role::Config) {
        let Some(manifest) = documents.parent(config).filter(|manifest| manifest.kind() == Kind::Image)
        else {
            continue;
        };
        let Some(value) = config.value() else { continue };
        let Some(platform) = look::platform(documents, config) else { continue };
        let key = "org.opencontainers.image.revision";
        let of = |value: Option<&Value>, at: &str| {
            value
                .and_then(|v| v.pointer(at))
                .and_then(|m| m.get(key))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        if let Some(revision) =
            of(manifest.value(), "/annotations").or_else(|| of(Some(value), "/config/Labels"))
        {
            revisions.entry(revision).or_insert_with(|| platform.to_string());
        }
        let created =
            value.get("created").and_then(Value::as_str).and_then(|text| text.parse::<Timestamp>().ok());
        if let Some(created) = created.filter(|created| *created > Timestamp::UNIX_EPOCH) {
            dates.push((created, platform.to_string()));
        }
    }
    if revisions.len() > 1 {
        let each: Vec<String> =
            revisions.iter().map(|(revision, platform)| format!("{platform}: {revision}")).collect();
        found.add(&IDX_011, root.place(""), format!("built of different revisions ({})", each.join(", ")));
    }
    if let (Some((first, a)), Some((last, b))) = (dates.iter().min(), dates.iter().max())
        && last.duration_since(*first) > APART
    {
        let message = format!("built more than a day apart ({a}: {first}, {b}: {last})");
        found.add(&IDX_011, root.place(""), message);
    }
}

#[cfg(test)]
mod tests;
