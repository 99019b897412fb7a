//! One pass over JSON that builds nothing: whether all parsers read the same in it, and how much is in it.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// How much a document may hold, and which keys of it must be written exactly.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// What the document is, as limits name it, such as `an SBOM`.
    pub document: &'static str,
    /// JSON values of a document.
    pub values: usize,
    /// Items of all arrays under the keys in `counted`.
    pub items: usize,
    /// What such an item is, in the plural.
    pub item: &'static str,
    /// Keys of the arrays whose items are counted.
    pub counted: &'static [&'static str],
    /// Keys that decide what the document says.
    pub keys: &'static [&'static str],
    /// Whether keys that differ by case alone are one key, as they are to Go's parser of structures. Only where
    /// objects may be maps of anything, such as an environment with `http_proxy` and `HTTP_PROXY`, are they not.
    pub folded: bool,
}

/// Checks that the bytes are exactly one JSON document without a byte order mark, no object of which has a
/// key twice or (with `folded`) two that Go's parser takes for one, and that it is not larger than the bounds allow. Nesting
/// deeper than 128 is refused by the parser itself.
///
/// # Errors
/// What is wrong: a lowercase fragment.
pub fn check(bytes: &[u8], bounds: &Bounds) -> Result<(), String> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err("it begins with a byte order mark".to_owned());
    }
    let left = Left { bounds, values: Cell::new(bounds.values), items: Cell::new(bounds.items) };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Scan { left: &left, counted: false }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| error.to_string())
}

/// What is still allowed.
struct Left<'b> {
    bounds: &'b Bounds,
    values: Cell<usize>,
    items: Cell<usize>,
}

#[derive(Clone, Copy)]
struct Scan<'a> {
    left: &'a Left<'a>,
    /// Whether the items of an array count.
    counted: bool,
}

impl<'de> DeserializeSeed<'de> for Scan<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // Attack: a document of a few megabytes that takes gigabytes once it is parsed.
        match self.left.values.get().checked_sub(1) {
            Some(left) => self.left.values.set(left),
            None => {
                let Bounds { values, document, .. } = self.left.bounds;
                let message = format_args!("more than {values} values (limit `values of {document}`)");
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
        while items.next_element_seed(Scan { counted: false, ..self })?.is_some() {
            if self.counted {
                match self.left.items.get().checked_sub(1) {
                    Some(left) => self.left.items.set(left),
                    None => {
                        let Bounds { items, item, document, .. } = self.left.bounds;
                        let message = format_args!("more than {items} {item} (limit `{item} of {document}`)");
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
            let counted = self.left.bounds.counted.contains(&key.as_str());
            // Attack: two readers of one document see different things, because one takes the first of two
            // equal keys and the other the last, or folds case as Go does.
            let folded = key.to_lowercase().replace('\u{17f}', "s");
            if !seen.insert(if self.left.bounds.folded { folded.clone() } else { key.clone() }) {
                return Err(A::Error::custom(format_args!("the key {key:?} stands twice in one object")));
            }
            // Attack: `Components`, which Go's parser takes for `components` and others pass over.
            if self.left.bounds.keys.iter().any(|known| folded == known.to_lowercase() && key != *known) {
                return Err(A::Error::custom(format_args!("the key {key:?} is read by some parsers only")));
            }
            entries.next_value_seed(Scan { counted, ..self })?;
        }
        Ok(())
    }
}
