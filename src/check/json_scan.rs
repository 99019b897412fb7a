//! JSON read leniently, with a list of all that makes parsers disagree on it. `image::json` stops at the
//! first of these and refuses; here the document is read on, so that its other faults can be named too.

use std::collections::HashSet;

use serde_json::{Map, Number, Value};

use crate::image::json::{FREE_MAPS, fold};

/// Oddities of each kind that are kept of a document: 20. More are not counted. Each kind by itself, so that
/// none can be hidden behind many of another.
const ODDITIES: usize = 20;

/// Nesting that no manifest needs: 32.
const DEEP: usize = 32;

/// Nesting that is not read: 128, where `serde_json` stops too. Attack: a megabyte of `[`, which overflows
/// the stack of a parser that recurses, and here would fill the memory.
const TOO_DEEP: usize = 128;

/// Bytes of a JSON pointer: 512. A longer one ends at the last part that fits.
const POINTER: usize = 512;

/// Characters of a key or number that are shown.
const SHOWN: usize = 80;

/// A document, read leniently.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Scan {
    /// The document, of two equal keys the last one; none where it is no JSON to anybody, or a limit was
    /// reached.
    pub(super) value: Option<Value>,
    /// What is odd, in the order of the bytes.
    pub(super) oddities: Vec<Oddity>,
    /// JSON values that were read.
    pub(super) values: usize,
}

/// Something that parsers disagree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oddity {
    /// What.
    pub kind: OddityKind,
    /// JSON pointer (RFC 6901) to where.
    pub pointer: String,
    /// The key, number or cause, cut short.
    pub text: String,
}

/// What is odd about a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OddityKind {
    /// It begins with a byte order mark (RFC 8259, section 8.1).
    ByteOrderMark,
    /// It is no JSON from some byte on.
    Malformed,
    /// Something follows the first value.
    Trailing,
    /// A string is no UTF-8.
    NotUtf8,
    /// A string holds half a surrogate pair.
    Surrogate,
    /// It is nested deeper than 32.
    Deep,
    /// It is nested deeper than 127, and was not read on.
    TooDeep,
    /// An object has a key twice.
    Duplicate,
    /// An object has two keys that differ only in case, which Go's parser takes for one.
    CaseTwin,
    /// A size or a schema version is no unsigned integer below 2^63; or a number is out of all range.
    Number,
    /// It has more values than may be kept, and was not read on.
    TooMany,
}

/// Reads a document of at most so many values. Never recurses.
pub(super) fn scan(bytes: &[u8], values: usize) -> Scan {
    let mut scanner =
        Scanner { bytes, at: 0, stack: Vec::new(), scan: Scan::default(), limit: values, deep: false };
    if bytes.starts_with(b"\xef\xbb\xbf") {
        scanner.at = 3;
        scanner.odd(OddityKind::ByteOrderMark, "");
    }
    match scanner.document() {
        Ok(value) => {
            scanner.stack.clear();
            scanner.scan.value = Some(value);
            scanner.space();
            if scanner.at < bytes.len() {
                scanner.odd(OddityKind::Trailing, &format!("from byte {} on", scanner.at));
            }
        }
        Err(Stop(kind, text)) => scanner.odd(kind, &text),
    }
    scanner.scan
}

/// A pointer with one more part, escaped; as it was where it would become too long.
pub(super) fn join(pointer: &str, part: &str) -> String {
    if pointer.len() + part.len() > POINTER {
        return pointer.to_owned();
    }
    format!("{pointer}/{}", part.replace('~', "~0").replace('/', "~1"))
}

/// A text, cut short.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Why reading ended early.
struct Stop(OddityKind, String);

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Open>,
    scan: Scan,
    limit: usize,
    deep: bool,
}

/// A list or object that is not closed yet.
enum Open {
    List(Vec<Value>),
    Object {
        map: Map<String, Value>,
        folded: HashSet<String>,
        /// The key whose value comes next.
        key: String,
        /// Whether its keys are free text.
        free: bool,
    },
}

impl Scanner<'_> {
    fn document(&mut self) -> Result<Value, Stop> {
        loop {
            self.space();
            let Some(mut done) = self.value()? else { continue };
            loop {
                let list = match self.stack.last_mut() {
                    None => return Ok(done),
                    Some(Open::List(items)) => {
                        items.push(done);
                        true
                    }
                    Some(Open::Object { map, key, .. }) => {
                        map.insert(std::mem::take(key), done);
                        false
                    }
                };
                self.space();
                match (self.take(), list) {
                    (Some(b','), true) => break,
                    (Some(b','), false) => {
                        self.key()?;
                        break;
                    }
                    (Some(b']'), true) | (Some(b'}'), false) => done = self.close(),
                    _ => return Err(self.malformed("expected `,` or the end of the list or object")),
                }
            }
        }
    }

    /// A whole value; none where a list or object was opened whose first value comes next.
    fn value(&mut self) -> Result<Option<Value>, Stop> {
        self.scan.values += 1;
        if self.scan.values > self.limit {
            return Err(Stop(OddityKind::TooMany, format!("more than {} values", self.limit)));
        }
        match self.peek() {
            Some(b'{') => {
                let free = matches!(self.stack.last(), Some(Open::Object { key, .. })
                    if FREE_MAPS.contains(&key.as_str()));
                self.open(Open::Object {
                    map: Map::new(),
                    folded: HashSet::new(),
                    key: String::new(),
                    free,
                })?;
                if self.peek() == Some(b'}') {
                    self.at += 1;
                    return Ok(Some(self.close()));
                }
                self.key()?;
                Ok(None)
            }
            Some(b'[') => {
                self.open(Open::List(Vec::new()))?;
                if self.peek() == Some(b']') {
                    self.at += 1;
                    return Ok(Some(self.close()));
                }
                Ok(None)
            }
            Some(b'"') => self.string().map(|text| Some(Value::String(text))),
            Some(b'-' | b'0'..=b'9') => self.number().map(Some),
            Some(b't') => self.word(b"true", Value::Bool(true)),
            Some(b'f') => self.word(b"false", Value::Bool(false)),
            Some(b'n') => self.word(b"null", Value::Null),
            Some(_) => Err(self.malformed("expected a value")),
            None => Err(self.malformed("it ends where a value is expected")),
        }
    }

    fn open(&mut self, open: Open) -> Result<(), Stop> {
        self.at += 1;
        if self.stack.len() + 1 >= TOO_DEEP {
            return Err(Stop(OddityKind::TooDeep, format!("nested deeper than {}", TOO_DEEP - 1)));
        }
        if self.stack.len() >= DEEP && !self.deep {
            self.deep = true;
            self.odd(OddityKind::Deep, &format!("nested deeper than {DEEP}"));
        }
        self.stack.push(open);
        self.space();
        Ok(())
    }

    fn close(&mut self) -> Value {
        match self.stack.pop() {
            Some(Open::List(items)) => Value::Array(items),
            Some(Open::Object { map, .. }) => Value::Object(map),
            None => Value::Null,
        }
    }

    fn key(&mut self) -> Result<(), Stop> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.malformed("expected a key"));
        }
        let name = self.string()?;
        self.space();
        if self.take() != Some(b':') {
            return Err(self.malformed("expected `:` after a key"));
        }
        let Some(Open::Object { map, folded, key, free }) = self.stack.last_mut() else { return Ok(()) };
        let kind = if map.contains_key(&name) {
            Some(OddityKind::Duplicate)
        } else if !*free && !folded.insert(fold(&name)) {
            Some(OddityKind::CaseTwin)
        } else {
            None
        };
        key.clone_from(&name);
        if let Some(kind) = kind {
            self.odd(kind, &name);
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8], value: Value) -> Result<Option<Value>, Stop> {
        if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.malformed("expected a value"));
        }
        self.at += word.len();
        Ok(Some(value))
    }

    /// RFC 8259, section 6.
    fn number(&mut self) -> Result<Value, Stop> {
        let start = self.at;
        let sign = usize::from(self.peek() == Some(b'-'));
        self.at += sign;
        let whole = self.digits();
        let leading_zero = whole > 1 && self.bytes.get(start + sign) == Some(&b'0');
        let mut sound = whole > 0 && !leading_zero;
        if self.peek() == Some(b'.') {
            self.at += 1;
            sound &= self.digits() > 0;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            sound &= self.digits() > 0;
        }
        let text =
            self.bytes.get(start..self.at).and_then(|raw| std::str::from_utf8(raw).ok()).unwrap_or_default();
        if !sound {
            return Err(self.malformed("invalid number"));
        }
        let number: Option<Number> = text.parse().ok();
        let counts = matches!(self.stack.last(), Some(Open::Object { key, free: false, .. })
            if key == "size" || key == "schemaVersion");
        let plain = text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<i64>().is_ok();
        // Attack: `2.0e0` or `1e3`, an integer to one parser and refused or rounded by another; a size
        // that wraps where it is kept in 63 bits.
        if number.is_none() || (counts && !plain) {
            self.odd(OddityKind::Number, text);
        }
        Ok(number.map_or(Value::Null, Value::Number))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    /// RFC 8259, section 7. What is no UTF-8, or half a surrogate pair, becomes U+FFFD, as in Go.
    fn string(&mut self) -> Result<String, Stop> {
        self.at += 1;
        let mut raw = Vec::new();
        let mut halves = false;
        loop {
            match self.take() {
                Some(b'"') => break,
                Some(b'\\') => {
                    let decoded = self.escape()?;
                    halves |= decoded.is_none();
                    let mut buffer = [0; 4];
                    let decoded = decoded.unwrap_or(char::REPLACEMENT_CHARACTER);
                    raw.extend_from_slice(decoded.encode_utf8(&mut buffer).as_bytes());
                }
                Some(byte) if byte >= 0x20 => raw.push(byte),
                Some(_) => return Err(self.malformed("a control character in a string")),
                None => return Err(self.malformed("it ends in a string")),
            }
        }
        if halves {
            self.odd(OddityKind::Surrogate, "half a surrogate pair");
        }
        Ok(String::from_utf8(raw).unwrap_or_else(|error| {
            self.odd(OddityKind::NotUtf8, "a string that is no UTF-8");
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        }))
    }

    /// The character behind a backslash; none for half a surrogate pair.
    fn escape(&mut self) -> Result<Option<char>, Stop> {
        Ok(Some(match self.take() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.hex()?;
                if !(0xd800..0xdc00).contains(&first) {
                    return Ok(char::from_u32(first));
                }
                let back = self.at;
                if self.take() != Some(b'\\') || self.take() != Some(b'u') {
                    self.at = back;
                    return Ok(None);
                }
                let second = self.hex()?;
                if !(0xdc00..0xe000).contains(&second) {
                    self.at = back;
                    return Ok(None);
                }
                return Ok(char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)));
            }
            _ => return Err(self.malformed("invalid escape in a string")),
        }))
    }

    fn hex(&mut self) -> Result<u32, Stop> {
        let mut value = 0;
        for _ in 0..4 {
            match self.take().and_then(|byte| char::from(byte).to_digit(16)) {
                Some(digit) => value = value * 16 + digit,
                None => return Err(self.malformed("invalid escape in a string")),
            }
        }
        Ok(value)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn malformed(&self, cause: &str) -> Stop {
        Stop(OddityKind::Malformed, format!("{cause}, near byte {}", self.at))
    }

    fn odd(&mut self, kind: OddityKind, text: &str) {
        if self.scan.oddities.iter().filter(|odd| odd.kind == kind).count() < ODDITIES {
            let pointer = self.pointer();
            self.scan.oddities.push(Oddity { kind, pointer, text: shown(text) });
        }
    }

    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for open in &self.stack {
            let part = match open {
                Open::List(items) => items.len().to_string(),
                Open::Object { key, .. } => key.clone(),
            };
            let longer = join(&pointer, &part);
            if longer == pointer {
                break;
            }
            pointer = longer;
        }
        pointer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::json;

    fn kinds(bytes: &[u8]) -> Vec<(OddityKind, String)> {
        scan(bytes, 10_000).oddities.into_iter().map(|odd| (odd.kind, odd.pointer)).collect()
    }

    #[test]
    fn a_sound_document_is_read_as_the_strict_parser_reads_it() {
        for text in [
            r#"{"a":[1,-2,2.5,null,true,false,"x\n\u00e9\ud83d\ude00"],"b":{"c":{}},"":[]}"#,
            " [ ] ",
            "0",
            r#"{"Labels":{"Foo":"1","foo":"2"},"n":18446744073709551615,"m":-0,"big":1e300}"#,
        ] {
            let scan = scan(text.as_bytes(), 100);
            assert_eq!(scan.oddities, [], "{text}");
            assert_eq!(scan.value, Some(json::parse(text.as_bytes()).unwrap()), "{text}");
        }
    }

    #[test]
    fn every_oddity_is_found_where_it_stands() {
        use OddityKind::*;
        let cases: &[(&[u8], OddityKind, &str)] = &[
            (b"\xef\xbb\xbf{}", ByteOrderMark, ""),
            (b"{} {}", Trailing, ""),
            (b"{\"a\":[0,\"\xff\"]}", NotUtf8, "/a/1"),
            (br#"{"a":"\ud800x"}"#, Surrogate, "/a"),
            (br#"{"a":"\ud800\u0041"}"#, Surrogate, "/a"),
            (br#"{"a":"\udc00"}"#, Surrogate, "/a"),
            (br#"{"a":{"x/y~":1,"x/y~":2}}"#, Duplicate, "/a/x~1y~0"),
            (br#"{"annotations":{"x":"1","x":"2"}}"#, Duplicate, "/annotations/x"),
            (br#"{"layers":[],"Layers":[]}"#, CaseTwin, "/Layers"),
            ("{\"key\":1,\"\u{212a}ey\":2}".as_bytes(), CaseTwin, "/\u{212a}ey"),
            ("{\"layers\":1,\"layer\u{17f}\":2}".as_bytes(), CaseTwin, "/layer\u{17f}"),
            (br#"{"schemaVersion":2.0e0}"#, Number, "/schemaVersion"),
            (br#"[{"size":-2}]"#, Number, "/0/size"),
            (br#"[{"size":9223372036854775808}]"#, Number, "/0/size"),
            (br#"[1e999]"#, Number, "/0"),
            (br#"{"a":01}"#, Malformed, "/a"),
            (br#"{"a":tru}"#, Malformed, "/a"),
            (b"{\"a\":\"\n\"}", Malformed, "/a"),
            (br#"{"a":1,}"#, Malformed, "/a"),
            (b"", Malformed, ""),
        ];
        for (bytes, kind, pointer) in cases {
            let text = String::from_utf8_lossy(bytes);
            let found = kinds(bytes);
            assert!(found.iter().any(|(k, _)| k == kind), "{text}: {found:?}");
            if *kind != Malformed {
                assert_eq!(found, [(*kind, (*pointer).to_owned())], "{text}");
            }
        }
    }

    #[test]
    fn all_oddities_are_listed_and_the_last_of_two_keys_wins() {
        let text = br#"{"a":1,"a":2,"b":{"size":1.5},"A":3} x"#;
        let scan = scan(text, 100);
        assert_eq!(scan.oddities.len(), 4);
        assert_eq!(scan.value.unwrap().get("a"), Some(&Value::from(2)));
    }

    #[test]
    fn nesting_and_number_of_values_are_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth)).into_bytes();
        assert_eq!(kinds(&nested(32)), []);
        assert_eq!(kinds(&nested(33)).len(), 1);
        assert!(json::parse(&nested(127)).is_ok() && scan(&nested(127), 1_000).value.is_some());
        assert!(json::parse(&nested(128)).is_err() && scan(&nested(128), 1_000).value.is_none());
        assert!(scan("[".repeat(1 << 20).as_bytes(), usize::MAX).value.is_none());
        let many = format!("[{}0]", "0,".repeat(50));
        let stopped = scan(many.as_bytes(), 20);
        assert_eq!((stopped.value, stopped.oddities[0].kind), (None, OddityKind::TooMany));
        let twins = format!("{{{}\"a\":0", "\"a\":0,".repeat(500));
        let scan = scan(twins.as_bytes(), 10_000);
        assert_eq!(scan.oddities.len(), ODDITIES + 1);
        assert_eq!(scan.oddities.last().unwrap().kind, OddityKind::Malformed);
    }
}
