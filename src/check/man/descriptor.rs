//! The descriptors in a manifest or index (OCI descriptor.md).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::check::look::Look;
use crate::model::digest::{Digest, Hasher, InvalidDigest};
use crate::model::violation::CheckSeverity;

use super::table::{MAN_007, MAN_010, MAN_011, MAN_014, MAN_015};
use super::urls::{self, Fetched};

/// Bytes of embedded data that are too many for a manifest: 256 KiB.
const DATA: usize = 256 << 10;

/// Looks at every descriptor of a document, and at the document's own media types.
pub(super) fn each(look: &mut Look<'_, '_>) {
    let Some(value) = look.value() else { return };
    for key in ["mediaType", "artifactType"] {
        media_type(look, value, key, "");
    }
    for key in ["config", "subject"] {
        if let Some(value) = value.get(key).filter(|value| value.is_object()) {
            descriptor(look, value, &format!("/{key}"));
        }
    }
    for key in ["layers", "manifests", "blobs"] {
        for (index, value) in look.list(&format!("/{key}")).iter().enumerate() {
            if value.is_object() {
                descriptor(look, value, &format!("/{key}/{index}"));
            }
        }
    }
}

fn descriptor(look: &mut Look<'_, '_>, value: &Value, at: &str) {
    if value.get("mediaType").is_none_or(Value::is_null) {
        look.say(&MAN_007, at, "its mediaType is missing");
    }
    media_type(look, value, "mediaType", at);
    media_type(look, value, "artifactType", at);
    match value.get("size") {
        None | Some(Value::Null) => look.say(&MAN_007, at, "its size is missing"),
        // What is written oddly is found in the bytes.
        Some(_) => {}
    }
    let digest = value.get("digest").and_then(Value::as_str);
    match digest.map(str::parse::<Digest>) {
        None => look.say(&MAN_010, at, "its digest is missing"),
        Some(Ok(digest)) => {
            if digest.algorithm().name() != "sha256" {
                let message = "not every client can verify this algorithm";
                look.show(
                    &MAN_010,
                    CheckSeverity::Info,
                    &format!("{at}/digest"),
                    message,
                    Some(&digest.to_string()),
                );
            }
        }
        Some(Err(error)) => bad_digest(look, &format!("{at}/digest"), digest.unwrap_or_default(), &error),
    }
    data(look, value, at);
    addresses(look, value, at);
}

fn bad_digest(look: &mut Look<'_, '_>, at: &str, text: &str, error: &InvalidDigest) {
    // BLAKE3 is registered by the image specification's main branch.
    let blake3 = text
        .strip_prefix("blake3:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    let (severity, message) = match error {
        InvalidDigest::Algorithm(_) if blake3 => {
            (CheckSeverity::Info, "few clients can verify this algorithm, and portcullis cannot")
        }
        InvalidDigest::Algorithm(_) => (MAN_010.severity, "the digest's algorithm is not registered"),
        InvalidDigest::Syntax(_) => (MAN_010.severity, "invalid digest syntax"),
    };
    look.show(&MAN_010, severity, at, message, Some(text));
}

/// MAN-011: RFC 6838, section 4.2.
fn media_type(look: &mut Look<'_, '_>, value: &Value, key: &str, at: &str) {
    let Some(text) = value.get(key).and_then(Value::as_str) else { return };
    let name = |name: &str| {
        name.len() <= 127
            && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    if !text.split_once('/').is_some_and(|(kind, sub)| name(kind) && name(sub)) {
        let message = format!("{key} is no media type");
        look.show(&MAN_011, MAN_011.severity, &format!("{at}/{key}"), message, Some(text));
    }
}

/// MAN-014.
fn data(look: &mut Look<'_, '_>, value: &Value, at: &str) {
    let Some(text) = value.get("data").and_then(Value::as_str) else { return };
    let at = format!("{at}/data");
    let Ok(bytes) = STANDARD.decode(text) else {
        return look.say(&MAN_014, &at, "the embedded data is no base64");
    };
    let (length, size) = (bytes.len(), value.get("size").and_then(Value::as_u64));
    if size.is_some_and(|size| size != length as u64) {
        look.say(&MAN_014, &at, format!("{length} bytes are embedded, the descriptor says otherwise"));
    }
    if let Some(Ok(digest)) = value.get("digest").and_then(Value::as_str).map(str::parse::<Digest>) {
        let mut hasher = Hasher::new(digest.algorithm());
        hasher.update(&bytes);
        let found = hasher.finish();
        if found != digest {
            look.say(&MAN_014, &at, format!("digest mismatch: the embedded bytes have {found}"));
        }
    }
    if length > DATA {
        let message = format!("{length} bytes are embedded, more than {DATA}");
        look.say_as(&MAN_014, CheckSeverity::Medium, &at, message);
    }
}

/// MAN-015.
fn addresses(look: &mut Look<'_, '_>, value: &Value, at: &str) {
    let foreign = value.get("mediaType").and_then(Value::as_str).is_some_and(is_foreign);
    let urls = value.get("urls").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for (index, url) in urls.iter().enumerate() {
        let Some(url) = url.as_str() else { continue };
        let (severity, message) = match urls::fetched(url) {
            Fetched::Insecurely => (CheckSeverity::Critical, "an address that is not https"),
            Fetched::Inside => (CheckSeverity::Critical, "an address inside the client's own network"),
            Fetched::Outside if foreign => continue,
            Fetched::Outside => (CheckSeverity::High, "an address for a blob that the registry should hold"),
        };
        look.show(
            &MAN_015,
            severity,
            &format!("{at}/urls/{index}"),
            message,
            Some(&urls::without_secrets(url)),
        );
    }
}

/// Layers that may not be distributed (OCI layer.md, "Non-Distributable Layers"; Docker's foreign layers).
pub(super) fn is_foreign(media_type: &str) -> bool {
    media_type.starts_with("application/vnd.oci.image.layer.nondistributable.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.foreign.")
}
