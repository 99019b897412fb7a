//! JSON read so that no two parsers could differ on it (RFC 8259, I-JSON RFC 7493): exactly one
//! document, no byte order mark, valid UTF-8, no key twice.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why bytes are not one strict JSON document: a lowercase fragment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotStrict(String);

impl NotStrict {
    /// Whether two keys are equal, or are taken for one by some parsers; else the text itself is at fault.
    pub(crate) fn is_about_keys(&self) -> bool {
        self.0.contains(" key `") || self.0.contains(" key \"") || self.0.contains(" keys ")
    }
}

/// Objects whose keys are free text, so that `Foo` and `foo` may stand side by side.
pub(crate) const FREE_MAPS: &[&str] = &["annotations", "Labels", "labels", "Volumes", "ExposedPorts"];

/// A key as Go's `encoding/json` compares it: it folds case by Unicode's simple folding, in which the long
/// s (U+017F) is an `s` and the Kelvin sign (U+212A) a `k`.
pub(crate) fn fold(key: &str) -> String {
    key.to_lowercase().replace('\u{17f}', "s")
}

/// Refuses a key that Go's parser takes for one of `known` although it is written otherwise.
///
/// # Errors
/// [`NotStrict`] that names both.
pub(crate) fn refuse_variants(object: &Map<String, Value>, known: &[&str]) -> Result<(), NotStrict> {
    let variant = |key: &String| {
        let taken = known.iter().find(|known| fold(key) == fold(known));
        taken.filter(|taken| key != *taken && !known.contains(&key.as_str()))
    };
    match object.keys().find_map(|key| variant(key).map(|taken| (key, taken))) {
        Some((key, taken)) => {
            Err(NotStrict(format!("has the key `{key}`, which some parsers take for `{taken}`")))
        }
        None => Ok(()),
    }
}

/// Reads one JSON document.
///
/// # Errors
/// [`NotStrict`] for anything that parsers disagree on: a byte order mark, a second value, invalid
/// UTF-8, an object with a key twice or (outside maps of annotations and labels) with two keys that
/// differ only in case, which Go's parser takes for one; and for nesting deeper than 128.
pub fn parse(bytes: &[u8]) -> Result<Value, NotStrict> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(NotStrict("begins with a byte order mark".into()));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { free: false }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value))
        .map_err(|error| NotStrict(format!("not a single valid JSON document: {error}")))?;
    Ok(value)
}

struct Strict {
    free: bool,
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(Self { free: false })? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        let mut folded = BTreeSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            // Attack: two readers of one document see different layers, because one takes the first
            // of two equal keys and the other the last, or folds case as Go does.
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("duplicate key \"{key}\"")));
            }
            if !self.free && !folded.insert(fold(&key)) {
                return Err(A::Error::custom(format_args!("keys that differ only in case: \"{key}\"")));
            }
            let free = FREE_MAPS.contains(&key.as_str());
            let value = entries.next_value_seed(Self { free })?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_document_is_read_as_it_stands() {
        let text = r#"{"a":[1,-2,2.5,null,true],"b":{"c":"d"}}"#;
        assert_eq!(parse(text.as_bytes()).unwrap().to_string(), text);
    }

    #[test]
    fn a_key_twice_is_refused_at_any_depth() {
        assert!(cause(r#"{"layers":[],"layers":[]}"#).contains("duplicate key \"layers\""));
        assert!(cause(r#"{"a":[{"annotations":{"x":"1","x":"2"}}]}"#).contains("duplicate key \"x\""));
        assert!(cause(r#"{"layers":[],"Layers":[]}"#).contains("differ only in case"));
        assert!(cause("{\"layers\":[],\"layer\u{17f}\":[]}").contains("differ only in case"));
        assert!(cause("{\"key\":1,\"\u{212a}ey\":2}").contains("differ only in case"));
    }

    #[test]
    fn labels_may_differ_in_case_only() {
        assert!(parse(br#"{"Labels":{"Foo":"1","foo":"2"}}"#).is_ok());
        assert!(parse(br#"{"Volumes":{"/Data":{},"/data":{}}}"#).is_ok());
    }

    #[test]
    fn what_parsers_disagree_on_is_refused() {
        assert!(cause("\u{feff}{}").contains("byte order mark"));
        assert!(cause("{} {}").contains("trailing characters"));
        assert!(cause(r#"{"a":"\ud800"}"#).contains("JSON"));
        assert!(parse(b"{\"a\":\"\xff\"}").is_err());
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    }
}
