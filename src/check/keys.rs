//! The keys that manifests, indexes and configurations have by their specifications, and what kind of value
//! stands behind each.

use serde_json::Value;

use crate::image::json::fold;

use super::json_scan::{join, shown};

/// Strange keys and values of a document that are listed: 100.
const LISTED: usize = 100;

/// What may stand behind a key.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// Anything: it is not read.
    Any,
    /// A string.
    Text,
    /// `true` or `false`.
    Flag,
    /// A number.
    Number,
    /// A map with free keys and any values.
    Free,
    /// A map of strings.
    Texts,
    /// A list of such.
    List(&'static Self),
    /// An object with these keys.
    Object(&'static [(&'static str, Self)]),
}

/// Something that a shape does not foresee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Strange {
    /// A key that Go's parser takes for `known`.
    Variant { pointer: String, key: String, known: &'static str },
    /// A key that no specification has.
    Unknown { pointer: String, key: String },
    /// A value of another kind than `expected`.
    Kind { pointer: String, expected: &'static str },
}

use Shape::{Any, Flag, Free, List, Number, Object, Text, Texts};

/// OCI manifest.md and image-index.md, Docker schema 2.
pub(super) static DOCUMENT: Shape = Object(&[
    ("schemaVersion", Any),
    ("mediaType", Text),
    ("artifactType", Text),
    ("config", DESCRIPTOR),
    ("layers", List(&DESCRIPTOR)),
    ("manifests", List(&DESCRIPTOR)),
    ("blobs", List(&DESCRIPTOR)),
    ("subject", DESCRIPTOR),
    ("annotations", Texts),
]);

/// OCI descriptor.md.
const DESCRIPTOR: Shape = Object(&[
    ("mediaType", Text),
    ("digest", Text),
    ("size", Number),
    ("urls", List(&Text)),
    ("annotations", Texts),
    ("data", Text),
    ("artifactType", Text),
    ("platform", PLATFORM),
]);

/// OCI image-index.md, `platform`.
const PLATFORM: Shape = Object(&[
    ("architecture", Text),
    ("os", Text),
    ("os.version", Text),
    ("os.features", List(&Text)),
    ("variant", Text),
    ("features", List(&Text)),
]);

/// OCI config.md, and what Docker and BuildKit add.
pub(super) static CONFIG: Shape = Object(&[
    ("created", Text),
    ("author", Text),
    ("architecture", Text),
    ("os", Text),
    ("os.version", Text),
    ("os.features", List(&Text)),
    ("variant", Text),
    ("config", EXECUTION),
    ("rootfs", Object(&[("type", Text), ("diff_ids", List(&Text)), ("base_layer", Any)])),
    ("history", List(&HISTORY)),
    ("id", Any),
    ("parent", Any),
    ("comment", Any),
    ("container", Any),
    ("container_config", Any),
    ("docker_version", Any),
    ("Size", Any),
    ("throwaway", Any),
]);

const HISTORY: Shape = Object(&[
    ("created", Any),
    ("author", Any),
    ("created_by", Text),
    ("comment", Any),
    ("empty_layer", Flag),
]);

const EXECUTION: Shape = Object(&[
    ("User", Text),
    ("ExposedPorts", Free),
    ("Env", List(&Text)),
    ("Entrypoint", List(&Text)),
    ("Cmd", List(&Text)),
    ("Volumes", Free),
    ("WorkingDir", Any),
    ("Labels", Texts),
    ("StopSignal", Any),
    ("ArgsEscaped", Any),
    ("Memory", Any),
    ("MemorySwap", Any),
    ("CpuShares", Any),
    ("Healthcheck", Any),
    ("Hostname", Any),
    ("Domainname", Any),
    ("AttachStdin", Any),
    ("AttachStdout", Any),
    ("AttachStderr", Any),
    ("Tty", Any),
    ("OpenStdin", Any),
    ("StdinOnce", Any),
    ("Image", Any),
    ("OnBuild", Any),
    ("NetworkDisabled", Any),
    ("MacAddress", Any),
    ("StopTimeout", Any),
    ("Shell", Any),
    ("PublishService", Any),
    ("PortSpecs", Any),
    ("Dns", Any),
    ("VolumesFrom", Any),
    ("VolumeDriver", Any),
    ("Cpuset", Any),
]);

/// Everything in a document that its shape does not foresee. Recurses as deep as the shape, no deeper.
pub(super) fn strange(value: &Value, shape: &Shape) -> Vec<Strange> {
    let mut found = Strangers::default();
    look(value, shape, "", &mut found);
    found.wrong.append(&mut found.unknown);
    found.wrong
}

/// Counted apart. Attack: a hundred unknown keys before the one that Go takes for `User`.
#[derive(Default)]
struct Strangers {
    wrong: Vec<Strange>,
    unknown: Vec<Strange>,
}

impl Strangers {
    fn push(&mut self, strange: Strange) {
        let list = match strange {
            Strange::Unknown { .. } => &mut self.unknown,
            Strange::Variant { .. } | Strange::Kind { .. } => &mut self.wrong,
        };
        if list.len() < LISTED {
            list.push(strange);
        }
    }

    fn full(&self) -> bool {
        self.wrong.len() >= LISTED
    }
}

fn look(value: &Value, shape: &Shape, pointer: &str, found: &mut Strangers) {
    // Go takes `null` for absent whatever is expected, and so do we.
    match (shape, value) {
        (Any, _)
        | (_, Value::Null)
        | (Text, Value::String(_))
        | (Flag, Value::Bool(_))
        | (Number, Value::Number(_))
        | (Free, Value::Object(_)) => {}
        (List(item), Value::Array(items)) => {
            for (index, value) in items.iter().enumerate() {
                if found.full() {
                    return;
                }
                let at = join(pointer, &index.to_string());
                // In a list `null` is an element, not an absence.
                if value.is_null() {
                    mismatch(item, &at, found);
                }
                look(value, item, &at, found);
            }
        }
        (Texts, Value::Object(texts)) => {
            for (key, _) in texts.iter().filter(|(_, value)| !value.is_string()).take(LISTED) {
                mismatch(&Text, &join(pointer, key), found);
            }
        }
        (Object(keys), Value::Object(object)) => {
            for (key, value) in object {
                if found.full() {
                    return;
                }
                if let Some((_, below)) = keys.iter().find(|(known, _)| known == key) {
                    look(value, below, &join(pointer, key), found);
                    continue;
                }
                let folded = fold(key);
                let variant = keys.iter().find(|(known, _)| known.eq_ignore_ascii_case(&folded));
                if variant.is_none() && found.unknown.len() >= LISTED {
                    continue;
                }
                let at = join(pointer, key);
                found.push(match variant {
                    Some((known, _)) => Strange::Variant { pointer: at, key: shown(key), known },
                    None => Strange::Unknown { pointer: at, key: shown(key) },
                });
            }
        }
        (Text | Flag | Number | Free | Texts | List(_) | Object(_), _) => mismatch(shape, pointer, found),
    }
}

fn mismatch(shape: &Shape, pointer: &str, found: &mut Strangers) {
    let expected = match shape {
        Any => return,
        Text => "a string",
        Flag => "true or false",
        Number => "a number",
        Free => "a map",
        Texts => "a map of strings",
        List(_) => "a list",
        Object(_) => "an object",
    };
    found.push(Strange::Kind { pointer: pointer.to_owned(), expected });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, shape: &Shape) -> Vec<Strange> {
        strange(&serde_json::from_str(text).unwrap(), shape)
    }

    #[test]
    fn known_keys_are_no_news() {
        let config = r#"{"os":"linux","created":null,"config":{"Labels":null,"Env":["A=1"],"OnBuild":null},
            "rootfs":{"type":"layers","diff_ids":[]},"history":[{"created_by":"x","empty_layer":true}]}"#;
        assert_eq!(found(config, &CONFIG), []);
    }

    #[test]
    fn variants_unknown_keys_and_other_kinds_are_found() {
        let manifest = "{\"layers\":[{\"\u{17f}ize\":1,\"size\":\"1\",\"x\":0}],\"annotations\":{\"a\":1}}";
        assert_eq!(
            found(manifest, &DOCUMENT),
            [
                Strange::Variant {
                    pointer: "/layers/0/\u{17f}ize".into(),
                    key: "\u{17f}ize".into(),
                    known: "size"
                },
                Strange::Kind { pointer: "/layers/0/size".into(), expected: "a number" },
                Strange::Kind { pointer: "/annotations/a".into(), expected: "a string" },
                Strange::Unknown { pointer: "/layers/0/x".into(), key: "x".into() },
            ]
        );
        assert_eq!(found(r#"{"layers":[null]}"#, &DOCUMENT).len(), 1);
        assert_eq!(found("[]", &DOCUMENT).len(), 1);
        let many = format!(
            r#"{{"config":{{{}"z":0}}}}"#,
            (0..500).map(|i| format!("\"k{i}\":0,")).collect::<String>()
        );
        assert_eq!(found(&many, &CONFIG).len(), LISTED);
        let hidden = many.replace("\"z\"", "\"user\"");
        assert!(matches!(found(&hidden, &CONFIG).first(), Some(Strange::Variant { known: "User", .. })));
    }
}
