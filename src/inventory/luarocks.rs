//! Rocks that LuaRocks installed (luarocks.org, "Rockspec format" and "File locations"). A rockspec is a Lua
//! program, which is read by pattern: nothing is executed.

use crate::model::layer::{Facts, FoundPackage, Requirement};
use crate::model::path::{ImagePath, escape};

use super::words::{is_word, word};
use super::{Cataloger, Unreadable};

/// Catalogs `luarocks/rocks-LUA/NAME/VERSION/*.rockspec`. Name and version are those of the directories, by
/// which LuaRocks finds what is installed.
pub(super) struct Luarocks;

impl Cataloger for Luarocks {
    fn id(&self) -> &'static str {
        "luarocks"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        let mut parts = path.components().rev();
        parts.next().is_some_and(|name| name.ends_with(b".rockspec"))
            && parts.next().is_some()
            && parts.next().is_some()
            && parts.next().is_some_and(|rocks| rocks == b"rocks" || rocks.starts_with(b"rocks-"))
            && parts.next() == Some(b"luarocks")
    }

    /// 16 MiB; real ones have a few kilobytes.
    fn limit(&self) -> u64 {
        16 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let mut parts = path.components().rev().skip(1);
        let mut part = || parts.next().and_then(|part| std::str::from_utf8(part).ok());
        let (version, name) = (part(), part());
        let name = word("name", name).map_err(Unreadable)?;
        let version = word("version", version).map_err(Unreadable)?;
        let text = String::from_utf8_lossy(bytes);
        let mut facts = Facts::default();
        for (field, known) in [("package", &name), ("version", &version)] {
            // Attack: a directory that was renamed, so that it names another version than the one installed.
            if let Some(said) = assigned(&text, field).filter(|said| !said.eq_ignore_ascii_case(known)) {
                let said = escape(said.as_bytes().get(..100).unwrap_or(said.as_bytes()));
                facts.blame(format!("its {field} is `{said}` in the directory of `{known}`"));
            }
        }
        let rocks = path.parent().and_then(|version| version.parent()).and_then(|name| name.parent());
        facts.add(FoundPackage {
            kind: "luarocks",
            name,
            version,
            licenses: assigned(&text, "license").into_iter().map(str::to_owned).collect(),
            location: rocks,
            requires: Some(needed(&text)),
            ..FoundPackage::default()
        });
        Ok(facts)
    }
}

/// The text that is assigned to a name at the front of a line.
fn assigned<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let rest = line.trim_start().strip_prefix(name)?.trim_start().strip_prefix('=')?.trim_start();
        literal(rest).map(|(text, _)| text)
    })
}

/// The string literal at the start of a text, without escapes, and what follows it.
fn literal(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (said, rest) = text.get(1..)?.split_once(quote)?;
    (!said.contains(['\\', '\n'])).then_some((said, rest))
}

/// The names in `dependencies = { "lua >= 5.1", "lpeg" }`; Lua itself is no rock.
fn needed(text: &str) -> Vec<Requirement> {
    let list = text.match_indices("dependencies").find_map(|(at, word)| {
        let begins_line = text.get(..at)?.rsplit('\n').next()?.trim().is_empty();
        let rest = text.get(at + word.len()..)?.trim_start().strip_prefix('=')?.trim_start();
        rest.strip_prefix('{').filter(|_| begins_line)
    });
    let mut rest = list.and_then(|list| list.split('}').next()).unwrap_or_default();
    let mut names = Vec::new();
    while let Some(start) = rest.find(['"', '\'']) {
        let Some((said, after)) = rest.get(start..).and_then(literal) else { break };
        rest = after;
        let name = said.split([' ', '>', '<', '=', '~']).next().unwrap_or_default();
        if name != "lua" && is_word(name) {
            names.push(vec![name.to_owned()]);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATH: &str = "usr/local/lib/luarocks/rocks-5.1/demo/1.2-3/demo-1.2-3.rockspec";

    fn parse(bytes: &[u8]) -> Facts {
        Luarocks.parse(&PATH.into(), bytes).unwrap()
    }

    #[test]
    fn a_rock_is_named_by_its_directories() {
        let facts = parse(include_bytes!("../../testdata/inventory/luarocks/demo-1.2-3.rockspec"));
        assert_eq!(facts.unreadable, [""; 0]);
        let found = &facts.packages[0];
        assert_eq!((found.kind, found.name.as_str(), found.version.as_str()), ("luarocks", "demo", "1.2-3"));
        assert_eq!(found.licenses, ["MIT"]);
        assert_eq!(found.requires.clone().unwrap().concat(), ["lpeg", "luasocket"]);
    }

    #[test]
    fn a_rockspec_that_says_something_else_is_told() {
        let facts = parse(b"package = \"other\"\nversion = '1.0-1'\ndependencies = { \"a");
        assert_eq!(facts.packages.len(), 1);
        assert_eq!(
            facts.unreadable,
            [
                "its package is `other` in the directory of `demo`",
                "its version is `1.0-1` in the directory of `1.2-3`"
            ]
        );
        assert_eq!(parse(b"\xff").unreadable, [""; 0]);
        let path = ImagePath::normalise(b"luarocks/rocks/\xff/1/a.rockspec").unwrap();
        assert!(Luarocks.wants(&path, b"") && Luarocks.parse(&path, b"").is_err());
    }

    #[test]
    fn only_installed_rockspecs_are_wanted() {
        assert!(Luarocks.wants(&PATH.into(), b""));
        assert!(!Luarocks.wants(&"srv/demo-1.2-3.rockspec".into(), b""));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[a-z=\"'{}, \n\\\\é]{0,80}") {
            parse(&bytes);
            parse(format!("package = {text}\ndependencies = {{{text}").as_bytes());
        }
    }
}
