//! Packages that PEAR or PECL installed (pear.php.net, "The PEAR registry"; php.net, `serialize`): one array of
//! PHP a file, as `package.xml` had it. It is read by its tokens, without recursion: nothing is made of it.

use crate::model::layer::{Facts, FoundPackage};
use crate::model::path::ImagePath;

use super::words::{is_word, word};
use super::{Cataloger, Unreadable};

/// Catalogs `.registry/NAME.reg` and `.registry/.channel.CHANNEL/NAME.reg`.
pub(super) struct Pear;

/// The channel of packages that name none.
const CHANNEL: &str = "pear.php.net";

/// The deepest nesting of arrays; the dependencies of a package have six.
const NESTING: usize = 128;

impl Cataloger for Pear {
    fn id(&self) -> &'static str {
        "pear"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        let mut parts = path.components().rev();
        let is_entry = parts.next().is_some_and(|name| name.ends_with(b".reg"));
        let is_registry = match parts.next() {
            Some(b".registry") => true,
            Some(channel) => channel.starts_with(b".channel.") && parts.next() == Some(b".registry"),
            None => false,
        };
        is_entry && is_registry
    }

    /// 16 MiB: an entry lists every file of its package.
    fn limit(&self) -> u64 {
        16 << 20
    }

    fn parse(&self, _: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let said = Said::of(bytes).map_err(Unreadable)?;
        let name = word("name", said.name.or(said.package).as_deref()).map_err(Unreadable)?;
        let channel = said.channel.filter(|channel| is_word(channel)).unwrap_or_else(|| CHANNEL.to_owned());
        let package = FoundPackage {
            kind: "pear",
            name: format!("{channel}/{name}"),
            version: word("version", said.version.as_deref()).map_err(Unreadable)?,
            licenses: said.license.into_iter().filter(|text| !text.is_empty()).collect(),
            ..FoundPackage::default()
        };
        Ok(Facts { packages: vec![package], ..Facts::default() })
    }
}

/// What an entry says of its package. `package.xml` 1 has the version itself, 2 has an array of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    name: Option<String>,
    package: Option<String>,
    channel: Option<String>,
    version: Option<String>,
    license: Option<String>,
}

/// A value of PHP's serialisation.
enum Value<'a> {
    Text(&'a [u8]),
    /// A number, a truth value or nothing.
    Plain,
    Open,
    Close,
}

/// The value at the front and what follows it.
fn value(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let until = |from: usize, end: u8| {
        let rest = bytes.get(from..)?;
        let at = memchr::memchr(end, rest.get(..24).unwrap_or(rest))?;
        Some((std::str::from_utf8(rest.get(..at)?).ok()?, rest.get(at + 1..)?))
    };
    match bytes.first()? {
        b'}' => Some((Value::Close, bytes.get(1..)?)),
        b'N' => Some((Value::Plain, bytes.strip_prefix(b"N;")?)),
        b'i' | b'b' | b'd' => {
            bytes.get(1..)?.strip_prefix(b":")?;
            let end = memchr::memchr(b';', bytes.get(..64).unwrap_or(bytes))?;
            Some((Value::Plain, bytes.get(end + 1..)?))
        }
        b'a' => {
            bytes.strip_prefix(b"a:")?;
            let (_, rest) = until(2, b':')?;
            Some((Value::Open, rest.strip_prefix(b"{")?))
        }
        b's' => {
            bytes.strip_prefix(b"s:")?;
            let (length, rest) = until(2, b':')?;
            let (text, rest) = rest.strip_prefix(b"\"")?.split_at_checked(length.parse().ok()?)?;
            Some((Value::Text(text), rest.strip_prefix(b"\";")?))
        }
        // An object has no place here. Attack: one whose making runs code.
        _ => None,
    }
}

impl Said {
    fn of(bytes: &[u8]) -> Result<Self, String> {
        let mut said = Self::default();
        // Of each open array: the key at which it is, once that was read.
        let mut open: Vec<Option<Vec<u8>>> = Vec::new();
        let mut rest = bytes;
        loop {
            let at = bytes.len().saturating_sub(rest.len());
            let (value, after) = value(rest).ok_or_else(|| format!("byte {at}: no value of PHP"))?;
            rest = after;
            if open.is_empty() && !matches!(value, Value::Open) {
                return Err("no array of PHP".into());
            }
            match value {
                // Attack: a million arrays inside each other.
                Value::Open if open.len() == NESTING => return Err(format!("nested deeper than {NESTING}")),
                Value::Open if open.last().is_some_and(Option::is_none) => {
                    return Err("an array in the place of a key".into());
                }
                Value::Open => open.push(None),
                Value::Close => {
                    open.pop();
                    match open.last_mut() {
                        Some(key) => *key = None,
                        None => return Ok(said),
                    }
                }
                Value::Plain | Value::Text(_) => {
                    let text = if let Value::Text(text) = value { text } else { b"" };
                    let is_key = open.last().is_some_and(Option::is_none);
                    if !is_key {
                        said.take(&open, text)?;
                    }
                    if let Some(key) = open.last_mut() {
                        *key = is_key.then(|| text.get(..64).unwrap_or(text).to_vec());
                    }
                }
            }
        }
    }

    /// Takes a text by the keys that lead to it.
    fn take(&mut self, open: &[Option<Vec<u8>>], text: &[u8]) -> Result<(), String> {
        let keys: Vec<&[u8]> = open.iter().take(3).map(|key| key.as_deref().unwrap_or_default()).collect();
        let field = match keys.as_slice() {
            [b"name"] => &mut self.name,
            [b"package"] => &mut self.package,
            [b"channel"] => &mut self.channel,
            [b"version"] | [b"version", b"release"] => &mut self.version,
            [b"license"] | [b"license", b"_content"] => &mut self.license,
            _ => return Ok(()),
        };
        // Attack: a key twice, of which one reader takes the first and another the last.
        match field.replace(String::from_utf8_lossy(text).into_owned()) {
            Some(_) => Err("a key stands twice".into()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<FoundPackage, Unreadable> {
        let path = "usr/local/lib/php/.registry/.channel.pecl.php.net/demo.reg";
        Pear.parse(&path.into(), bytes).map(|mut facts| facts.packages.remove(0))
    }

    #[test]
    fn an_entry_names_its_package_and_channel() {
        let found = parse(include_bytes!("../../testdata/inventory/pear/demo.reg")).unwrap();
        assert_eq!((found.name.as_str(), found.version.as_str()), ("pecl.php.net/demo", "3.2.0"));
        assert_eq!(found.licenses, ["PHP"]);
        let old = parse(br#"a:2:{s:7:"package";s:4:"Demo";s:7:"version";s:3:"1.0";}"#).unwrap();
        assert_eq!((old.name.as_str(), old.version.as_str()), ("pear.php.net/Demo", "1.0"));
    }

    #[test]
    fn what_is_no_entry_is_unreadable() {
        let cause = |bytes: &[u8]| parse(bytes).unwrap_err().0;
        assert_eq!(cause(b""), "byte 0: no value of PHP");
        assert_eq!(cause(b"i:1;"), "no array of PHP");
        assert_eq!(cause(b"a:0:{}"), "it has no name");
        assert_eq!(cause(br#"a:1:{s:4:"name";s:1:"a";}"#), "it has no version");
        assert_eq!(cause(br#"a:1:{s:4:"name";s:9:"a";}"#), "byte 16: no value of PHP");
        assert_eq!(cause(br#"a:1:{s:4:"name";O:1:"A":0:{}}"#), "byte 16: no value of PHP");
        assert_eq!(
            cause(br#"a:1:{s:4:"name";s:3:"a b";s:7:"version";s:1:"1";}"#),
            "its name is no word: `a b`"
        );
        assert_eq!(cause(br#"a:2:{s:4:"name";s:1:"a";s:4:"name";s:1:"b";}"#), "a key stands twice");
        assert_eq!(cause(b"a:1:{a:0:{}}"), "an array in the place of a key");
        assert_eq!(cause("a:1:{i:0;".repeat(100_000).as_bytes()), "nested deeper than 128");
    }

    #[test]
    fn only_entries_of_the_registry_are_wanted() {
        let wants = |path: &str| Pear.wants(&path.into(), b"");
        assert!(wants("usr/share/php/.registry/pear.reg") && wants("php/.registry/.channel.a/b.reg"));
        assert!(!wants("srv/a.reg") && !wants(".registry/.channel.a/c/b.reg") && !wants(".registry/a.txt"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[aisNbd:;{}\"0-9]{0,80}") {
            let _ = parse(&bytes).is_ok();
            let _ = parse(format!("a:1:{{{text}").as_bytes()).is_ok();
        }
    }
}
