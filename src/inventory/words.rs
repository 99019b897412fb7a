//! What catalogers ask alike of the words and the JSON of a package's metadata.

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};

use crate::model::path::escape;

use super::Unreadable;

/// The longest name or version in bytes: npm allows 214.
const WORD: usize = 256;

/// The deepest nesting that is read: 128, as `serde_json` has it for values. npm itself would overflow
/// its stack on more.
const NESTING: usize = 128;

/// A name or version: not empty, without white space and control characters, at most [`WORD`] bytes.
///
/// # Errors
/// Why it is none: a lowercase fragment.
pub(super) fn word(field: &str, value: Option<&str>) -> Result<String, String> {
    match value {
        Some(value) if value.len() > WORD => Err(format!("its {field} has {} bytes", value.len())),
        Some(value) if is_word(value) => Ok(value.to_owned()),
        Some(value) => Err(format!("its {field} is no word: `{}`", escape(value.as_bytes()))),
        None => Err(format!("it has no {field}")),
    }
}

/// Whether a text can be a name: as [`word`] has it.
pub(super) fn is_word(text: &str) -> bool {
    (1..=WORD).contains(&text.len()) && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Reads a JSON document; a byte order mark before it is skipped. `what` names it in the cause.
///
/// # Errors
/// [`Unreadable`] where it is no such document or is nested deeper than [`NESTING`].
pub(super) fn json<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, Unreadable> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Attack: a million brackets, to overflow the stack.
    if nesting(bytes) > NESTING {
        return Err(Unreadable(format!("nested deeper than {NESTING}")));
    }
    serde_json::from_slice(bytes).map_err(|error| Unreadable(format!("not {what}: {error}")))
}

/// An object's members in their order, with what stands twice. Attack: a name twice, of which one reader
/// takes the first and another the last.
pub(super) struct Pairs<T>(pub(super) Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Members(std::marker::PhantomData))
    }
}

/// How deep brackets nest outside of strings.
fn nesting(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A text, or the texts of a list; anything else is none.
pub(super) fn texts(value: &serde_json::Value) -> Vec<String> {
    let one = |value: &serde_json::Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    value
        .as_array()
        .map_or_else(|| one(value).into_iter().collect(), |list| list.iter().filter_map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_short_and_without_blanks() {
        assert_eq!(word("name", Some("a-1")), Ok("a-1".into()));
        assert_eq!(word("name", None), Err("it has no name".into()));
        assert_eq!(word("name", Some(&"a".repeat(257))), Err("its name has 257 bytes".into()));
        for text in ["", "a b", "a\u{0}", "a\u{2003}"] {
            assert!(word("name", Some(text)).is_err() && !is_word(text), "{text:?}");
        }
    }

    #[test]
    fn brackets_in_strings_do_not_nest() {
        let nested = |depth: usize| format!("{}\"[[\\\"[\"{}", "[".repeat(depth), "]".repeat(depth));
        assert!(json::<serde_json::Value>("a list", nested(100).as_bytes()).is_ok());
        let deep = json::<serde_json::Value>("a list", nested(200_000).as_bytes()).unwrap_err();
        assert_eq!(deep.0, "nested deeper than 128");
        assert!(json::<String>("a text", b"\xef\xbb\xbf\"a\"").is_ok());
    }
}
