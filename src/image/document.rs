//! Manifests, indexes and configurations, parsed strictly from their bytes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::model::config::ImageConfig;
use crate::model::descriptor::{Descriptor, Index, Manifest};
use crate::model::digest::InvalidDigest;
use crate::model::fault::Fault;
use crate::model::platform::Platform;

use super::json;

/// Media types of manifests.
pub const MANIFEST_TYPES: &[&str] =
    &["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
/// Media types of indexes.
pub const INDEX_TYPES: &[&str] =
    &["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
/// Media types of image configurations.
pub const CONFIG_TYPES: &[&str] =
    &["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

/// A document that a descriptor of an index may point to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One platform's image.
    Manifest(Manifest),
    /// A list of images.
    Index(Index),
}

/// Parses a manifest or an index. `declared` is the media type that led here (a descriptor's or a
/// `Content-Type`), `at` names the document in faults.
///
/// # Errors
/// A [`Fault`]: a lie where the bytes contradict their grammar or `declared`, or could be read as two
/// kinds at once; unreadable where they are a kind that portcullis does not know.
pub fn parse(bytes: &[u8], declared: Option<&str>, at: &str) -> Result<Document, Fault> {
    let value = json::parse(bytes).map_err(|error| not_strict(at, &error))?;
    let object = value.as_object().ok_or_else(|| Fault::lie(at, "not a JSON object").breaks("MAN-007"))?;
    refuse_variants(Some(&value), DOCUMENT_KEYS, at)?;
    let has = |key: &str| object.contains_key(key);
    // Attack: one document that a registry takes for an index and a runtime for a manifest
    // (CVE-2021-41190). Its media type decides nothing, only its content does.
    if has("manifests") && (has("config") || has("layers")) {
        return Err(Fault::lie(
            at,
            "is both a manifest and an index: it has `manifests` beside `config` or `layers`",
        )
        .breaks("MAN-004"));
    }
    if object.get("schemaVersion").and_then(Value::as_u64) != Some(2) {
        return Err(schema_version(object, at).breaks("MAN-008"));
    }
    let own = text(object, "mediaType", at)?;
    if let (Some(own), Some(declared)) = (own, declared)
        && own != declared
    {
        let message = format!("its mediaType is `{own}`, but it is declared as `{declared}`");
        return Err(Fault::lie(at, message).breaks("MAN-003"));
    }
    let (fits, what, document) = if has("manifests") {
        (INDEX_TYPES, "an index", Document::Index(index(object, at)?))
    } else if has("layers") && has("config") {
        (MANIFEST_TYPES, "a manifest", Document::Manifest(manifest(object, at)?))
    } else {
        return Err(Fault::lie(at, "neither a manifest (`config` and `layers`) nor an index (`manifests`)"));
    };
    match own.or(declared) {
        Some(media_type) if INDEX_TYPES.contains(&media_type) || MANIFEST_TYPES.contains(&media_type) => {
            if fits.contains(&media_type) {
                Ok(document)
            } else {
                Err(Fault::lie(at, format!("its media type is `{media_type}`, but it is {what}")))
            }
        }
        Some(other) => Err(Fault::unreadable(at, format!("unsupported media type `{other}`"))),
        None => Ok(document),
    }
}

/// Parses an image configuration (OCI config.md).
///
/// # Errors
/// A [`Fault`] that says what contradicts the grammar.
pub fn parse_config(bytes: &[u8], at: &str) -> Result<ImageConfig, Fault> {
    let config = |fault: Fault| fault.breaks("CFG-014");
    let value = json::parse(bytes).map_err(|error| config(not_strict(at, &error)))?;
    refuse_config_variants(&value, at).map_err(config)?;
    let config: ImageConfig = serde_json::from_value(value)
        .map_err(|error| Fault::lie(at, format!("no image configuration: {error}")))?;
    if config.rootfs.kind != "layers" {
        let message = format!("rootfs.type is `{}`, not `layers`", config.rootfs.kind);
        return Err(Fault::lie(at, message).breaks("CFG-002"));
    }
    Ok(config)
}

/// What parsers disagree on, by the check that names it.
fn not_strict(at: &str, error: &json::NotStrict) -> Fault {
    Fault::lie(at, error.to_string()).breaks(if error.is_about_keys() { "MAN-006" } else { "MAN-007" })
}

fn schema_version(object: &Map<String, Value>, at: &str) -> Fault {
    match object.get("schemaVersion") {
        Some(Value::Number(n)) if n.as_u64() == Some(1) => Fault::unreadable(
            at,
            "Docker schema 1 is not supported: push the image again with a current tool",
        ),
        Some(other) => Fault::lie(at, format!("schemaVersion is {other}, not 2")),
        None => Fault::lie(at, "schemaVersion is missing"),
    }
}

/// Keys that are read of a manifest or an index.
const DOCUMENT_KEYS: &[&str] = &[
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
];

/// Keys that are read of a descriptor, and of its platform.
const DESCRIPTOR_KEYS: &[&str] =
    &["mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform"];
const PLATFORM_KEYS: &[&str] = &["os", "architecture", "variant"];

/// Keys that are read of a configuration, by the object that they stand in.
const CONFIG_KEYS: &[&str] = &["os", "architecture", "variant", "created", "config", "rootfs", "history"];
const EXECUTION_KEYS: &[&str] = &["User", "Env", "Entrypoint", "Cmd", "ExposedPorts", "Volumes", "Labels"];
const ROOTFS_KEYS: &[&str] = &["type", "diff_ids"];
const HISTORY_KEYS: &[&str] = &["created_by", "empty_layer"];

/// Attack: `Layers` beside nothing, or `u\u{17f}er` beside `User`. Go's parser takes them for `layers` and
/// `User`, others see an image without layers, or with another user.
fn refuse_variants(value: Option<&Value>, known: &[&str], at: &str) -> Result<(), Fault> {
    match value.and_then(Value::as_object) {
        Some(object) => json::refuse_variants(object, known).map_err(|error| not_strict(at, &error)),
        None => Ok(()),
    }
}

fn refuse_config_variants(config: &Value, at: &str) -> Result<(), Fault> {
    refuse_variants(Some(config), CONFIG_KEYS, at)?;
    refuse_variants(config.get("config"), EXECUTION_KEYS, at)?;
    refuse_variants(config.get("rootfs"), ROOTFS_KEYS, at)?;
    let history = config.get("history").and_then(Value::as_array);
    history.into_iter().flatten().try_for_each(|step| refuse_variants(Some(step), HISTORY_KEYS, at))
}

fn manifest(object: &Map<String, Value>, at: &str) -> Result<Manifest, Fault> {
    let config = object.get("config").ok_or_else(|| Fault::lie(at, "`config` is missing"))?;
    Ok(Manifest {
        config: descriptor(config, "config", at)?,
        layers: descriptors(object, "layers", at)?,
        annotations: annotations(object, at)?,
    })
}

fn index(object: &Map<String, Value>, at: &str) -> Result<Index, Fault> {
    Ok(Index { manifests: descriptors(object, "manifests", at)?, annotations: annotations(object, at)? })
}

fn descriptors(object: &Map<String, Value>, key: &str, at: &str) -> Result<Vec<Descriptor>, Fault> {
    match object.get(key) {
        Some(Value::Array(items)) => {
            items.iter().enumerate().map(|(i, item)| descriptor(item, &format!("{key}[{i}]"), at)).collect()
        }
        _ => Err(Fault::lie(at, format!("`{key}` is not a list"))),
    }
}

/// OCI descriptor.md, "Properties".
fn descriptor(value: &Value, pointer: &str, at: &str) -> Result<Descriptor, Fault> {
    let lie = |message: String| Fault::lie(at, format!("{pointer}: {message}"));
    let object = value.as_object().ok_or_else(|| lie("not an object".into()))?;
    refuse_variants(Some(value), DESCRIPTOR_KEYS, at)?;
    refuse_variants(object.get("platform"), PLATFORM_KEYS, at)?;
    let media_type = text(object, "mediaType", at)?.ok_or_else(|| lie("`mediaType` is missing".into()))?;
    let digest = text(object, "digest", at)?.ok_or_else(|| lie("`digest` is missing".into()))?;
    let digest = digest.parse().map_err(|error: InvalidDigest| match error {
        InvalidDigest::Syntax(_) => lie(error.to_string()).breaks("MAN-010"),
        InvalidDigest::Algorithm(_) => Fault::unreadable(at, format!("{pointer}: {error}")),
    })?;
    let size = object.get("size").and_then(Value::as_u64).filter(|size| i64::try_from(*size).is_ok());
    Ok(Descriptor {
        media_type: media_type.to_owned(),
        digest,
        size: size.ok_or_else(|| lie("`size` is no length in bytes".into()))?,
        platform: platform(object, pointer, at)?,
        annotations: annotations(object, at)?,
    })
}

fn platform(object: &Map<String, Value>, pointer: &str, at: &str) -> Result<Option<Platform>, Fault> {
    let Some(value) = object.get("platform") else { return Ok(None) };
    let object =
        value.as_object().ok_or_else(|| Fault::lie(at, format!("{pointer}: `platform` is not an object")))?;
    let part = |key: &str| text(object, key, at).map(|text| text.map(str::to_owned));
    Ok(Some(Platform {
        os: part("os")?.unwrap_or_default(),
        architecture: part("architecture")?.unwrap_or_default(),
        variant: part("variant")?.filter(|variant| !variant.is_empty()),
    }))
}

fn annotations(object: &Map<String, Value>, at: &str) -> Result<BTreeMap<String, String>, Fault> {
    match object.get("annotations") {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|_| Fault::lie(at, "`annotations` is not a map of strings")),
    }
}

fn text<'a>(object: &'a Map<String, Value>, key: &str, at: &str) -> Result<Option<&'a str>, Fault> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Fault::lie(at, format!("`{key}` is not a string"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fault::FaultKind;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn descriptor_text(media_type: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"{DIGEST}","size":2}}"#)
    }

    fn manifest_text() -> String {
        let config = descriptor_text(CONFIG_TYPES[0]);
        format!(r#"{{"schemaVersion":2,"mediaType":"{}","config":{config},"layers":[]}}"#, MANIFEST_TYPES[0])
    }

    fn fault(text: &str, declared: Option<&str>) -> (FaultKind, String) {
        let fault = parse(text.as_bytes(), declared, "it").unwrap_err();
        (fault.kind, fault.message)
    }

    #[test]
    fn a_manifest_and_an_index_are_told_apart_by_content() {
        assert!(matches!(parse(manifest_text().as_bytes(), None, "it"), Ok(Document::Manifest(_))));
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, descriptor_text(MANIFEST_TYPES[0]));
        assert!(matches!(parse(index.as_bytes(), None, "it"), Ok(Document::Index(_))));
    }

    #[test]
    fn a_document_that_is_both_is_a_lie() {
        let both = manifest_text().replace(r#""layers":[]"#, r#""layers":[],"manifests":[]"#);
        assert_eq!(fault(&both, None).0, FaultKind::Lie);
    }

    #[test]
    fn a_document_that_is_declared_otherwise_is_a_lie() {
        let (kind, message) = fault(&manifest_text(), Some(INDEX_TYPES[0]));
        assert_eq!(kind, FaultKind::Lie);
        assert!(message.contains("declared as"), "{message}");
        let untyped = manifest_text()
            .replace(&format!(r#""mediaType":"{}","config""#, MANIFEST_TYPES[0]), r#""config""#);
        assert_eq!(fault(&untyped, Some(INDEX_TYPES[0])).0, FaultKind::Lie);
    }

    #[test]
    fn a_digest_with_an_unknown_algorithm_is_unreadable_and_a_malformed_one_lies() {
        let unknown = manifest_text().replace(DIGEST, "blake3:00");
        assert_eq!(fault(&unknown, None).0, FaultKind::Unreadable);
        let traversal = manifest_text().replace(DIGEST, "sha256:../../etc/passwd");
        assert_eq!(fault(&traversal, None).0, FaultKind::Lie);
    }

    #[test]
    fn odd_documents_are_refused() {
        for (text, part) in [
            ("[]".to_owned(), "not a JSON object"),
            (manifest_text().replace(":2,", ":2.0e0,"), "schemaVersion"),
            (manifest_text().replace(r#""layers""#, r#""Layers""#), "some parsers take"),
            (manifest_text().replace(r#""size":2"#, r#""size":-2"#), "size"),
            (r#"{"schemaVersion":2}"#.to_owned(), "neither"),
        ] {
            let (_, message) = fault(&text, None);
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn a_config_needs_layers() {
        assert!(parse_config(br#"{"rootfs":{"type":"layers","diff_ids":[]},"history":null}"#, "it").is_ok());
        assert!(parse_config(br#"{"rootfs":{"type":"zip","diff_ids":[]}}"#, "it").is_err());
        assert!(parse_config(br#"{"rootfs":{"type":"layers","diff_ids":["x"]}}"#, "it").is_err());
    }

    #[test]
    fn a_key_that_go_takes_for_another_is_a_lie() {
        let lie = |result: Result<(), Fault>| result.unwrap_err().kind == FaultKind::Lie;
        let manifest =
            |from: &str, to: &str| parse(manifest_text().replace(from, to).as_bytes(), None, "m").map(|_| ());
        assert!(lie(manifest("\"layers\"", "\"layers\":[],\"layer\u{17f}\"")));
        assert!(lie(manifest("\"size\"", "\"\u{17f}ize\"")));
        let config = |config: &str| {
            let text =
                format!(r#"{{"os":"linux","architecture":"a","rootfs":{{"type":"layers"}},{config}}}"#);
            parse_config(text.as_bytes(), "c").map(|_| ())
        };
        assert_eq!(config(r#""config":{"User":"1000","WorkingDir":"/"}"#), Ok(()));
        for variant in [
            r#""config":{"env":["SECRET=1"]}"#,
            "\"config\":{\"User\":\"1000\",\"U\u{17f}er\":\"root\"}",
            r#""config":{"exposedports":{"22/tcp":{}}}"#,
            "\"rootf\u{17f}\":{\"type\":\"layers\"}",
            r#""history":[{"Created_By":"x"}]"#,
        ] {
            assert!(lie(config(variant)), "{variant}");
        }
    }
}
