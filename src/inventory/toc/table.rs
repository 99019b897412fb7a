//! The text of a table of contents, read as it streams by: entry by entry, and never held whole.
//!
//! Bytes are pushed, since those of a table in the archive are on their way to the catalogers too. What cuts
//! the text needs to know of JSON only where strings and brackets are: each entry, and what is left without
//! them, is then read by a parser.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use sha2::{Digest as _, Sha256};

use crate::image::json;

/// Bytes of one entry: 2 MiB. It has a path and extended attributes, which in a tar header have half of it.
const ENTRY: usize = 2 << 20;

/// Bytes of a table beside its entries: 64 KiB; real ones have a hundred.
const FRAME: usize = 64 << 10;

/// A SHA-256.
pub(super) type Sum = [u8; 32];

/// Why a table is not read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// It is no JSON, or not of a table's shape.
    Malformed,
    /// Its readers take different things from it.
    Keys,
    /// A limit was reached.
    Limit(&'static str),
}

/// Keys of an entry: stargz-snapshotter `estargz/types.go`, containers/storage
/// `pkg/chunked/internal/minimal/compression.go`.
const KEYS: [&str; 23] = [
    "type",
    "name",
    "size",
    "linkName",
    "mode",
    "uid",
    "gid",
    "devMajor",
    "devMinor",
    "xattrs",
    "digest",
    "chunkOffset",
    "chunkSize",
    "chunkDigest",
    "chunkType",
    "modtime",
    "accesstime",
    "changetime",
    "userName",
    "groupName",
    "offset",
    "innerOffset",
    "endOffset",
];

/// An entry of a table. What is absent is empty or 0, as Go's writers leave such out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) size: i64,
    pub(super) link_name: String,
    pub(super) mode: i64,
    pub(super) uid: i64,
    pub(super) gid: i64,
    pub(super) device: (i64, i64),
    pub(super) xattrs: Option<Sum>,
    pub(super) digest: String,
    pub(super) chunk_offset: i64,
    pub(super) chunk_size: i64,
    pub(super) chunk_digest: String,
    pub(super) chunk_type: String,
    /// Whether it has a key twice, or one that only some readers take for one of the format.
    pub(super) odd_keys: bool,
}

/// One value for all extended attributes; none where there are none. In tables their values are base64.
pub(super) fn sum_of_xattrs(xattrs: &BTreeMap<String, String>) -> Option<Sum> {
    let mut hasher = Sha256::new();
    for text in xattrs.iter().flat_map(|(key, value)| [key, value]) {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text);
    }
    (!xattrs.is_empty()).then(|| hasher.finalize().into())
}

/// An extended attribute's value as a table has it.
pub(super) fn encoded(value: &[u8]) -> String {
    STANDARD.encode(value)
}

/// Cuts a table into its entries.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    place: Place,
    /// How many brackets are open, those of an entry alone while in one.
    depth: usize,
    in_string: bool,
    escaped: bool,
    entry: Vec<u8>,
    /// The table without its entries.
    rest: Vec<u8>,
    /// Where in `rest` the last string of the outermost object is.
    key: (usize, usize),
    stop: Option<Stop>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Place {
    /// Anywhere but in the list of entries.
    #[default]
    Rest,
    /// In the list, before its first entry, behind a comma, or behind an entry.
    First,
    Comma,
    Behind,
    Entry,
}

impl Splitter {
    /// Takes the next bytes, and gives every entry that they end.
    pub(super) fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(Listed)) {
        let mut rest = bytes;
        while let Some((byte, behind)) = rest.split_first() {
            if self.stop.is_some() {
                return;
            }
            match self.place {
                Place::Entry => {
                    rest = self.entry(rest, each);
                    continue;
                }
                Place::Rest => self.rest(*byte),
                Place::First | Place::Comma | Place::Behind => self.between(*byte),
            }
            rest = behind;
        }
    }

    /// Reads no further, for a limit.
    pub(super) fn stop(&mut self, why: &'static str) {
        self.stop.get_or_insert(Stop::Limit(why));
    }

    fn rest(&mut self, byte: u8) {
        if self.rest.len() == FRAME {
            self.stop = Some(Stop::Limit("beside its entries it has more than 64 KiB"));
            return;
        }
        self.rest.push(byte);
        if self.in_string {
            if !self.string(byte) && self.depth == 1 {
                self.key.1 = self.rest.len();
            }
            return;
        }
        match byte {
            b'"' => {
                self.in_string = true;
                if self.depth == 1 {
                    self.key.0 = self.rest.len() - 1;
                }
            }
            b'[' if self.depth == 1 && self.is_entries() => self.place = Place::First,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    /// Whether a reader may take the last key for that of the entries: which do is judged in the end.
    fn is_entries(&self) -> bool {
        let key = self.rest.get(self.key.0..self.key.1).unwrap_or_default();
        serde_json::from_slice::<String>(key).is_ok_and(|key| json::fold(&key) == "entries")
    }

    /// Moves on in a string; whether it goes on.
    fn string(&mut self, byte: u8) -> bool {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.in_string = false,
            _ => {}
        }
        self.in_string
    }

    fn between(&mut self, byte: u8) {
        match (byte, self.place) {
            (b' ' | b'\t' | b'\n' | b'\r', _) => {}
            (b'{', Place::First | Place::Comma) => {
                self.place = Place::Entry;
                (self.entry, self.depth) = (std::mem::take(&mut self.entry), 1);
                self.entry.clear();
                self.entry.push(byte);
            }
            (b',', Place::Behind) => self.place = Place::Comma,
            (b']', Place::First | Place::Behind) => {
                (self.place, self.depth) = (Place::Rest, 1);
                self.rest.push(byte);
            }
            _ => self.stop = Some(Stop::Malformed),
        }
    }

    /// Takes what is left of an entry; answers what is behind.
    fn entry<'a>(&mut self, bytes: &'a [u8], each: &mut dyn FnMut(Listed)) -> &'a [u8] {
        let mut end = bytes.len();
        for (at, byte) in bytes.iter().enumerate() {
            if self.in_string {
                self.string(*byte);
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.place = Place::Behind;
                        end = at + 1;
                        break;
                    }
                }
                _ => {}
            }
        }
        let (ours, behind) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
        // Attack: an entry of half a gigabyte.
        if self.entry.len() + ours.len() > ENTRY {
            self.stop = Some(Stop::Limit("an entry has more than 2 MiB"));
            return &[];
        }
        self.entry.extend_from_slice(ours);
        if self.place == Place::Behind {
            match serde_json::from_slice(&self.entry) {
                Ok(listed) => each(listed),
                Err(_) => self.stop = Some(Stop::Malformed),
            }
        }
        behind
    }

    /// Why the table was not read to its end, or is none.
    pub(super) fn finish(self) -> Option<Stop> {
        if self.stop.is_some() {
            return self.stop;
        }
        let value = match json::parse(&self.rest) {
            Ok(value) if self.place == Place::Rest => value,
            Err(error) if error.is_about_keys() => return Some(Stop::Keys),
            Ok(_) | Err(_) => return Some(Stop::Malformed),
        };
        let Some(object) = value.as_object() else { return Some(Stop::Malformed) };
        // Attack: `Entries`, which Go takes for `entries`; an empty key, at which old readers stop.
        let odd = json::refuse_variants(object, &["version", "entries", "tarSplitDigest"]).is_err();
        if odd || object.contains_key("") {
            return Some(Stop::Keys);
        }
        let is_list = object.get("entries").is_none_or(|entries| entries.is_array() || entries.is_null());
        (!is_list).then_some(Stop::Malformed)
    }
}

/// A key of an entry.
enum Key {
    /// One of [`KEYS`], and its place there.
    Known(usize, &'static str),
    /// One that some readers take for a known one, or at which they stop.
    Odd,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, text: &str) -> Result<Key, E> {
                if let Some((at, key)) = KEYS.iter().enumerate().find(|(_, key)| **key == text) {
                    return Ok(Key::Known(at, key));
                }
                let folded = if text.is_ascii() { None } else { Some(json::fold(text)) };
                let text = folded.as_deref().unwrap_or(text);
                let odd = text.is_empty() || KEYS.iter().any(|key| key.eq_ignore_ascii_case(text));
                Ok(if odd { Key::Odd } else { Key::Other })
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Extended attributes: their sum, and whether a name stands twice.
struct Xattrs(Option<Sum>, bool);

impl<'de> Deserialize<'de> for Xattrs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Xattrs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("extended attributes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Xattrs, A::Error> {
                let (mut all, mut twice) = (BTreeMap::new(), false);
                while let Some((key, value)) = map.next_entry::<String, Option<String>>()? {
                    twice |= all.insert(key, value.unwrap_or_default()).is_some();
                }
                Ok(Xattrs(sum_of_xattrs(&all), twice))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entry;
        impl<'de> Visitor<'de> for Entry {
            type Value = Listed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an entry")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Listed, A::Error> {
                let (mut entry, mut seen) = (Listed::default(), 0_u32);
                while let Some(key) = map.next_key::<Key>()? {
                    let (at, key) = match key {
                        Key::Known(at, key) => (at, key),
                        Key::Odd => {
                            entry.odd_keys = true;
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                        Key::Other => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    // Attack: a digest twice, of which one reader takes the first and another the last.
                    entry.odd_keys |= seen >> at & 1 == 1;
                    seen |= 1 << at;
                    entry.field(key, &mut map)?;
                }
                Ok(entry)
            }
        }
        deserializer.deserialize_map(Entry)
    }
}

impl Listed {
    /// Reads the value of one of [`KEYS`]. Go takes a null for nothing said.
    fn field<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let text = match key {
            "type" => &mut self.kind,
            "name" => &mut self.name,
            "linkName" => &mut self.link_name,
            "digest" => &mut self.digest,
            "chunkDigest" => &mut self.chunk_digest,
            "chunkType" => &mut self.chunk_type,
            _ => return self.number(key, map),
        };
        *text = map.next_value::<Option<String>>()?.unwrap_or_default();
        Ok(())
    }

    fn number<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let number = match key {
            "size" => &mut self.size,
            "mode" => &mut self.mode,
            "uid" => &mut self.uid,
            "gid" => &mut self.gid,
            "devMajor" => &mut self.device.0,
            "devMinor" => &mut self.device.1,
            "chunkOffset" => &mut self.chunk_offset,
            "chunkSize" => &mut self.chunk_size,
            "xattrs" => {
                if let Some(Xattrs(sum, twice)) = map.next_value()? {
                    self.xattrs = sum;
                    self.odd_keys |= twice;
                }
                return Ok(());
            }
            // Times and where bytes lie in the blob: what is read there is held against the digests.
            _ => return map.next_value::<IgnoredAny>().map(|_| ()),
        };
        *number = map.next_value::<Option<i64>>()?.unwrap_or_default();
        Ok(())
    }
}
