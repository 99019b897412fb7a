//! Paths inside an image.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A path inside an image: relative to the image's root, `/`-separated, without empty, `.` or `..`
/// components. The bytes are kept as they are (a file name need not be UTF-8); [`fmt::Display`]
/// escapes what could not be printed safely, one to one, so that two paths never look the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ImagePath(Box<[u8]>);

/// A name that leads out of the image's root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the path leads out of the image's root")]
pub struct EscapesRoot;

impl ImagePath {
    /// The root itself, an empty path.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// Normalises a name as it stands in a tar header or a link: absolute names and `./` are
    /// relative to the root.
    ///
    /// # Errors
    /// [`EscapesRoot`] where `..` leads above the root: the attack is to write or read a file outside.
    pub fn normalise(name: &[u8]) -> Result<Self, EscapesRoot> {
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in name.split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    parts.pop().ok_or(EscapesRoot)?;
                }
                part => parts.push(part),
            }
        }
        Ok(Self(parts.join(&b'/').into_boxed_slice()))
    }

    /// Bytes taken as they are, for bounds of a range of paths.
    pub(crate) fn from_raw(bytes: Vec<u8>) -> Self {
        Self(bytes.into_boxed_slice())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path as text, where it is UTF-8.
    #[must_use]
    pub fn to_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Whether this is the root.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components, outermost first. The root has none.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|b| *b == b'/').filter(|part| !part.is_empty())
    }

    /// The last component; empty for the root.
    #[must_use]
    pub fn file_name(&self) -> &[u8] {
        self.components().next_back().unwrap_or_default()
    }

    /// The path without its last component; `None` for the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Some(Self(self.0.get(..end).unwrap_or_default().into()))
    }

    /// This path followed by one more component, or by several joined with `/`. The caller vouches
    /// that `name` is normalised.
    #[must_use]
    pub fn join(&self, name: &[u8]) -> Self {
        if self.is_root() {
            return Self(name.into());
        }
        Self([&self.0, name].join(&b'/').into_boxed_slice())
    }

    /// Whether this path is `ancestor` or lies below it.
    #[must_use]
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        ancestor.is_root()
            || match self.0.strip_prefix(ancestor.as_bytes()) {
                Some(rest) => rest.is_empty() || rest.starts_with(b"/"),
                None => false,
            }
    }
}

impl From<&str> for ImagePath {
    /// For names known at compile time and tests; a name that escapes the root becomes the root.
    fn from(name: &str) -> Self {
        Self::normalise(name.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(&self.0, f)
    }
}

/// Escaped in documents, as [`fmt::Display`] has it; the bytes themselves in binary formats.
impl Serialize for ImagePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

/// From binary formats only: in a document a path is for people.
impl<'de> Deserialize<'de> for ImagePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <&[u8]>::deserialize(deserializer)?;
        let path = Self::normalise(bytes).map_err(D::Error::custom)?;
        if *path.0 != *bytes {
            return Err(D::Error::custom("a path that is not normalised"));
        }
        Ok(path)
    }
}

/// Foreign bytes made safe to print: control characters, bidirectional overrides and bytes that are
/// no UTF-8 become `\xNN` or `\u{N}`, a backslash becomes `\\`. It stops terminal escapes and
/// right-to-left tricks in file names and package names.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    struct Escaped<'a>(&'a [u8]);
    impl fmt::Display for Escaped<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_escaped(self.0, f)
        }
    }
    Escaped(bytes).to_string()
}

fn write_escaped(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use std::fmt::Write as _;
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                c if !is_printable(c) => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        for byte in chunk.invalid() {
            write!(f, "\\x{byte:02x}")?;
        }
    }
    Ok(())
}

/// The bytes that [`escape`] was given; none for a text that it does not write.
#[must_use]
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (plain, escaped) = rest.split_at(at);
        bytes.extend_from_slice(plain.as_bytes());
        let escaped = escaped.strip_prefix('\\')?;
        rest = if let Some(rest) = escaped.strip_prefix('\\') {
            bytes.push(b'\\');
            rest
        } else if let Some(rest) = escaped.strip_prefix("u{") {
            let (code, rest) = rest.split_once('}')?;
            let c = char::from_u32(u32::from_str_radix(code, 16).ok()?)?;
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            rest
        } else {
            let code = escaped.strip_prefix('x')?;
            bytes.push(u8::from_str_radix(code.get(..2)?, 16).ok()?);
            code.get(2..)?
        };
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}

/// Whether a character shows itself and changes nothing around it. Where a document has its own way to
/// write the others (JSON's `\uNNNN`), that is to be used in place of [`escape`].
#[must_use]
pub fn is_printable(c: char) -> bool {
    !c.is_control() && !is_format_character(c)
}

/// Characters that change how their neighbours are shown: zero-width, bidirectional, line separators.
fn is_format_character(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_to_the_root() {
        for (name, want) in [("/etc//passwd", "etc/passwd"), ("./a/./b/", "a/b"), ("a/../b", "b"), (".", "")]
        {
            assert_eq!(ImagePath::normalise(name.as_bytes()).unwrap().to_string(), want);
        }
    }

    #[test]
    fn a_name_that_leads_out_of_the_root_is_refused() {
        for name in ["..", "../x", "a/../../x", "/../x"] {
            assert_eq!(ImagePath::normalise(name.as_bytes()), Err(EscapesRoot), "{name}");
        }
    }

    #[test]
    fn terminal_escapes_and_foreign_bytes_are_shown_escaped() {
        assert_eq!(escape(b"a\x1b[31m\xff\\\n\xe2\x80\xae"), r"a\u{1b}[31m\xff\\\u{a}\u{202e}");
    }

    #[test]
    fn what_was_escaped_reads_back() {
        for bytes in [&b"a\x1b[31m\xff\\\n\xe2\x80\xae"[..], b"", b"\\", b"\\u{1b}", "ü\u{e0041}".as_bytes()]
        {
            assert_eq!(unescape(&escape(bytes)).as_deref(), Some(bytes));
        }
        for text in ["\\", "\\q", "\\u{110000}", "\\u{1", "\\xf", "\\xü"] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }

    #[test]
    fn a_sibling_with_the_same_prefix_is_not_below() {
        assert!(ImagePath::from("a/b").starts_with(&"a".into()));
        assert!(!ImagePath::from("ab").starts_with(&"a".into()));
        assert_eq!(ImagePath::from("a/b").parent(), Some("a".into()));
        assert_eq!(ImagePath::from("a").parent(), Some(ImagePath::root()));
    }
}
