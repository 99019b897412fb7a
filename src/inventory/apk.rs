//! Alpine's package database (apk-tools, `apk_db_read`; apk-package(5)).

use crate::model::layer::{Facts, FoundPackage, MAX_OWNED, OwnedPaths};
use crate::model::path::{ImagePath, escape};

use super::{Cataloger, Unreadable};

/// Catalogs `lib/apk/db/installed` and its new place below `usr/`, wherever they lie.
pub(super) struct Apk;

/// The longest line that is read: 64 KiB; the longest real ones are dependency lists of a few.
const LINE: usize = 64 << 10;
/// The longest name or version.
const WORD: usize = 1024;

impl Cataloger for Apk {
    fn id(&self) -> &'static str {
        "apk"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        // Also below another root: what is in a root of its own is in the image.
        let before = path.as_bytes().strip_suffix(b"lib/apk/db/installed");
        before.is_some_and(|before| before.is_empty() || before.ends_with(b"/"))
    }

    /// 256 MiB (design §7); ten thousand packages make 30.
    fn limit(&self) -> u64 {
        256 << 20
    }

    fn parse(&self, _: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let mut facts = Facts::default();
        let mut block = Block::default();
        let mut number = 1;
        for line in bytes.split(|byte| *byte == b'\n') {
            if line.is_empty() {
                number += usize::from(block.finish(number, &mut facts));
                block = Block::default();
            } else {
                block.line(line);
            }
        }
        block.finish(number, &mut facts);
        Ok(facts)
    }
}

/// The words of a list; bytes that are no text match no name.
fn words(list: &[u8]) -> impl Iterator<Item = String> {
    list.split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
}

/// A dependency's name (apk-package(5), "depend").
fn without_version(word: &str) -> &str {
    word.split(['<', '>', '=', '~']).next().unwrap_or(word)
}

/// One package's lines.
#[derive(Default)]
struct Block {
    package: FoundPackage,
    directory: Vec<u8>,
    paths: Vec<ImagePath>,
    fault: Option<String>,
    seen: Vec<u8>,
}

impl Block {
    fn line(&mut self, line: &[u8]) {
        let (Some((key, rest)), true) = (line.split_first(), line.len() <= LINE) else {
            return self.blame(format!("a line of {} bytes", line.len()));
        };
        let Some(value) = rest.strip_prefix(b":") else {
            return self
                .blame(format!("a line that is no `X:value`: `{}`", escape(line.get(..40).unwrap_or(line))));
        };
        match key {
            b'P' | b'V' | b'A' | b'o' | b'L' => self.word(*key, value),
            b'D' => {
                // `!name` is a conflict; `name>=1`, `name~2` and `so:libc.so.1=1.2` name a version.
                let names = words(value).filter(|word| !word.starts_with('!'));
                let requires = self.package.requires.get_or_insert_default();
                requires.extend(names.map(|name| vec![without_version(&name).to_owned()]));
            }
            b'p' => {
                let names = words(value).map(|name| without_version(&name).to_owned());
                self.package.provides.extend(names);
            }
            b'F' => self.directory = value.to_vec(),
            b'R' => {
                let name = [self.directory.as_slice(), value].join(&b'/');
                match ImagePath::normalise(&name) {
                    Ok(path) if self.paths.len() <= MAX_OWNED => self.paths.push(path),
                    // Whoever owns more than a layer may hold owns nothing: see `Facts::own`.
                    Ok(_) => {}
                    Err(error) => self.blame(format!("`{}`: {error}", escape(&name))),
                }
            }
            _ => {}
        }
    }

    fn word(&mut self, key: u8, value: &[u8]) {
        let field = char::from(key);
        // Attack: a field twice, of which one reader takes the first and apk the last.
        if self.seen.contains(&key) {
            return self.blame(format!("field `{field}` stands twice"));
        }
        self.seen.push(key);
        let text = match std::str::from_utf8(value) {
            Ok(text) if !text.chars().any(char::is_control) => text,
            Ok(_) | Err(_) => return self.blame(format!("field `{field}` is not text")),
        };
        if key != b'L' && text.len() > WORD {
            return self.blame(format!("field `{field}` has {} bytes", text.len()));
        }
        match key {
            b'P' => self.package.name = text.to_owned(),
            b'V' => self.package.version = text.to_owned(),
            b'A' => self.package.arch = Some(text.to_owned()),
            b'o' => self.package.source_name = Some(text.to_owned()),
            _ => self.package.licenses = vec![text.to_owned()],
        }
    }

    fn blame(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    /// Ends the block; whether there was one.
    fn finish(&mut self, number: usize, facts: &mut Facts) -> bool {
        let mut package = std::mem::take(&mut self.package);
        // apk writes no line where nothing is needed.
        package.requires.get_or_insert_default();
        if self.seen.is_empty() && self.fault.is_none() {
            return false;
        }
        for (what, value) in [("name", &package.name), ("version", &package.version)] {
            if value.is_empty() || value.contains(' ') {
                self.fault.get_or_insert(format!("no {what}"));
            }
        }
        if let Some(fault) = &self.fault {
            let name = escape(package.name.as_bytes());
            facts.blame(format!("block {number} (`{name}`): {fault}"));
            return true;
        }
        package.kind = "apk";
        package.source_name.get_or_insert_with(|| package.name.clone());
        package.licenses.retain(|license| !license.is_empty());
        let (name, paths) = (package.name.clone(), std::mem::take(&mut self.paths));
        facts.own(OwnedPaths { package: name, arch: package.arch.clone(), paths });
        facts.add(package);
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Facts {
        Apk.parse(&"lib/apk/db/installed".into(), bytes).unwrap()
    }

    #[test]
    fn packages_have_origin_licence_and_files() {
        let facts = parse(include_bytes!("../../testdata/inventory/apk/installed"));
        assert!(facts.unreadable.is_empty(), "{:?}", facts.unreadable);
        let names: Vec<_> = facts.packages.iter().map(|p| (p.name.as_str(), p.version.as_str())).collect();
        assert_eq!(names, [("libdemo", "1.2.3-r4"), ("demo-tools", "0.9_rc1-r0")]);
        assert_eq!(facts.packages[0].source_name.as_deref(), Some("demo"));
        assert_eq!(facts.packages[1].source_name.as_deref(), Some("demo-tools"));
        assert_eq!(facts.packages[0].licenses, ["MIT AND Zlib"]);
        let paths: Vec<_> = facts.owned[0].paths.iter().map(ToString::to_string).collect();
        assert_eq!(paths, ["lib/libdemo.so.1", "rootfile"]);
    }

    #[test]
    fn a_broken_block_is_named_and_the_others_are_kept() {
        let facts = parse(
            b"P:a\nV:1\n\nP:b\n\nV:2\n\nP:c\nP:d\nV:1\n\nP:e\x00\nV:1\n\nP:f\nV:1\nnonsense\n\nP:z\nV:2",
        );
        let names: Vec<_> = facts.packages.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["a", "z"]);
        assert_eq!(facts.unreadable.len(), 5);
        assert_eq!(facts.unreadable[0], "block 2 (`b`): no version");
        assert!(facts.unreadable[2].contains("twice"));
    }

    #[test]
    fn a_version_of_100_kilobytes_is_not_taken() {
        let facts = parse(format!("P:a\nV:{}\n\n", "1".repeat(60_000)).as_bytes());
        assert!(facts.packages.is_empty());
        assert!(facts.unreadable[0].contains("60000 bytes"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes);
        }
    }
}
