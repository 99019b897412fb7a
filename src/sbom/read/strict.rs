//! One pass over JSON that builds nothing: whether all parsers read the same in it, and how much is in it.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::{MAX_COMPONENTS, MAX_VALUES};

/// Keys that decide what a document lists, and what its packages are.
const KEYS: &[&str] = &[
    "bomFormat",
    "specVersion",
    "metadata",
    "components",
    "dependencies",
    "bom-ref",
    "purl",
    "spdxVersion",
    "packages",
    "relationships",
    "externalRefs",
    "referenceType",
    "referenceLocator",
];

/// Checks that the bytes are exactly one JSON document without a byte order mark, no object of which has a
/// key twice or two that Go's parser takes for one, and that it is not larger than [`MAX_VALUES`] and
/// [`MAX_COMPONENTS`] allow. Nesting deeper than 128 is refused by the parser itself.
///
/// # Errors
/// What is wrong: a lowercase fragment.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err("it begins with a byte order mark".to_owned());
    }
    let left = Left { values: Cell::new(MAX_VALUES), components: Cell::new(MAX_COMPONENTS) };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Scan { left: &left, component: false }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| error.to_string())
}

/// What is still allowed.
struct Left {
    values: Cell<usize>,
    components: Cell<usize>,
}

#[derive(Clone, Copy)]
struct Scan<'a> {
    left: &'a Left,
    /// Whether the items of an array count as components.
    component: bool,
}

impl<'de> DeserializeSeed<'de> for Scan<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // Attack: a document of a few megabytes that takes gigabytes once it is parsed.
        match self.left.values.get().checked_sub(1) {
            Some(left) => self.left.values.set(left),
            None => {
                let message = format_args!("more than {MAX_VALUES} values (limit `values of an SBOM`)");
                return Err(D::Error::custom(message));
            }
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scan<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Scan { component: false, ..self })?.is_some() {
            if self.component {
                match self.left.components.get().checked_sub(1) {
                    Some(left) => self.left.components.set(left),
                    None => {
                        let message = format_args!(
                            "more than {MAX_COMPONENTS} components (limit `components of an SBOM`)"
                        );
                        return Err(A::Error::custom(message));
                    }
                }
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            let component = matches!(key.as_str(), "components" | "packages");
            // Attack: two readers of one document see different components, because one takes the first of two
            // equal keys and the other the last, or folds case as Go does.
            let folded = key.to_lowercase().replace('\u{17f}', "s");
            if !seen.insert(folded.clone()) {
                return Err(A::Error::custom(format_args!("the key {key:?} stands twice in one object")));
            }
            // Attack: `Components`, which Go's parser takes for `components` and others pass over.
            if KEYS.iter().any(|known| folded == known.to_lowercase() && key != *known) {
                return Err(A::Error::custom(format_args!("the key {key:?} is read by some parsers only")));
            }
            entries.next_value_seed(Scan { component, ..self })?;
        }
        Ok(())
    }
}
