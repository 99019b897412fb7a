//! Applications of Erlang/OTP (erlang.org, "app(4)"): one Erlang term a file. It is read by its tokens: nothing
//! is evaluated.

use crate::model::layer::{Facts, FoundPackage};
use crate::model::path::ImagePath;

use super::words::{is_word, word};
use super::{Cataloger, Unreadable};

/// Catalogs `ebin/NAME.app`.
pub(super) struct Otp;

/// The deepest nesting of a term; `{application, A, [{env, [{k, [v]}]}]}` is usual.
const NESTING: usize = 128;

impl Cataloger for Otp {
    fn id(&self) -> &'static str {
        "otp"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        let mut parts = path.components().rev();
        parts.next().is_some_and(|name| name.ends_with(b".app")) && parts.next() == Some(b"ebin")
    }

    /// 16 MiB; the largest has a hundred kilobytes.
    fn limit(&self) -> u64 {
        16 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let text = String::from_utf8_lossy(bytes);
        let said = Said::of(&text).map_err(Unreadable)?;
        // Where it is installed: `lib` of `lib/NAME-VERSION/ebin/NAME.app`.
        let library = path.parent().and_then(|ebin| ebin.parent()).and_then(|own| own.parent());
        let needs = said.applications.into_iter().filter(|name| is_word(name)).map(|name| vec![name]);
        let package = FoundPackage {
            kind: "otp",
            name: word("name", said.name.as_deref()).map_err(Unreadable)?,
            version: word("version", said.version.as_deref()).map_err(Unreadable)?,
            location: library,
            requires: Some(needs.collect()),
            ..FoundPackage::default()
        };
        Ok(Facts { packages: vec![package], ..Facts::default() })
    }
}

/// A token of a term. Numbers, variables and the like are atoms: where one would matter it is no word.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Open(char),
    Close,
    Comma,
    Atom(String),
    Text(String),
    /// The end of the term.
    Dot,
}

/// Tokens of an Erlang term, without comments.
struct Tokens<'a>(&'a str);

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Result<Option<Token>, String> {
        loop {
            self.0 = self.0.trim_start();
            match self.0.strip_prefix('%') {
                Some(rest) => self.0 = rest.split_once('\n').unwrap_or_default().1,
                None => break,
            }
        }
        // `=>` and `->` divide as a comma does, `<<` and `>>` are brackets, `$c` is a character.
        for (text, token) in [
            ("=>", Token::Comma),
            (":=", Token::Comma),
            ("->", Token::Comma),
            ("<<", Token::Open('<')),
            (">>", Token::Close),
        ] {
            if let Some(rest) = self.0.strip_prefix(text) {
                self.0 = rest;
                return Ok(Some(token));
            }
        }
        if let Some(rest) = self.0.strip_prefix('$') {
            let mut letters = rest.chars();
            if letters.next() == Some('\\') {
                letters.next();
            }
            self.0 = letters.as_str();
            return Ok(Some(Token::Atom("$".to_owned())));
        }
        let Some(first) = self.0.chars().next() else { return Ok(None) };
        let rest = self.0.get(first.len_utf8()..).unwrap_or_default();
        let token = match first {
            '{' | '[' | '(' => Token::Open(first),
            '}' | ']' | ')' => Token::Close,
            ',' | '|' => Token::Comma,
            '.' => Token::Dot,
            '"' => return self.quoted(rest, '"').map(|text| Some(Token::Text(text))),
            '\'' => return self.quoted(rest, '\'').map(|text| Some(Token::Atom(text))),
            _ => {
                let end = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '@' | '#' | '-' | '+' | '/'));
                let length = self.0.find(end).unwrap_or(self.0.len()).max(first.len_utf8());
                let (atom, rest) = self.0.split_at_checked(length).unwrap_or_default();
                self.0 = rest;
                return Ok(Some(Token::Atom(atom.to_owned())));
            }
        };
        self.0 = rest;
        Ok(Some(token))
    }

    /// What stands up to the closing quote.
    fn quoted(&mut self, text: &'a str, quote: char) -> Result<String, String> {
        let (mut said, mut escaped) = (String::new(), false);
        for (at, c) in text.char_indices() {
            match c {
                // `\x{32}` is a 2: what is written so is not taken for a name or a version.
                _ if escaped => {
                    said.push('\\');
                    said.push(c);
                    escaped = false;
                }
                '\\' => escaped = true,
                c if c == quote => {
                    self.0 = text.get(at + c.len_utf8()..).unwrap_or_default();
                    return Ok(said);
                }
                c => said.push(c),
            }
        }
        Err("a quote that is not closed".into())
    }
}

/// What the term says: `{application, NAME, [{vsn, VERSION}, {applications, [NAME, …]}, …]}.`
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    name: Option<String>,
    version: Option<String>,
    applications: Vec<String>,
}

impl Said {
    fn of(text: &str) -> Result<Self, String> {
        let mut tokens = Tokens(text);
        let mut said = Self::default();
        let (mut depth, mut index, mut key) = (0_usize, 0_usize, String::new());
        let mut is_first = true;
        while let Some(token) = tokens.next()? {
            if is_first && token != Token::Open('{') {
                return Err("no Erlang term of an application".into());
            }
            is_first = false;
            match (token, depth) {
                (Token::Dot, 0) => return Ok(said),
                (Token::Dot, _) => {}
                // Attack: a million brackets.
                (Token::Open(_), NESTING) => return Err(format!("nested deeper than {NESTING}")),
                (Token::Open(_), _) => {
                    depth += 1;
                    if depth == 3 {
                        key.clear();
                    }
                }
                (Token::Close, _) => depth = depth.checked_sub(1).ok_or("a bracket that nothing opens")?,
                (Token::Comma, 1) => index += 1,
                (Token::Comma, _) => {}
                (Token::Atom(atom), 1) if index == 0 && atom != "application" => {
                    return Err("no Erlang term of an application".into());
                }
                (Token::Atom(atom), 1) if index == 1 => said.name = Some(atom),
                (Token::Atom(atom), 3) if key.is_empty() => key = atom,
                (Token::Text(text), 3) if key == "vsn" => {
                    // Attack: a key twice, of which one reader takes the first and another the last.
                    if said.version.replace(text).is_some() {
                        return Err("`vsn` stands twice".into());
                    }
                }
                (Token::Atom(atom), 4)
                    if matches!(key.as_str(), "applications" | "included_applications") =>
                {
                    said.applications.push(atom);
                }
                (Token::Atom(_) | Token::Text(_), _) => {}
            }
        }
        Err("it ends within its term".into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<Facts, Unreadable> {
        Otp.parse(&"usr/lib/erlang/lib/demo-1.2.3/ebin/demo.app".into(), bytes)
    }

    #[test]
    fn a_term_names_its_application() {
        let found =
            parse(include_bytes!("../../testdata/inventory/otp/demo.app")).unwrap().packages.remove(0);
        assert_eq!((found.kind, found.name.as_str(), found.version.as_str()), ("otp", "demo", "1.2.3"));
        assert_eq!(found.requires.unwrap().concat(), ["kernel", "stdlib", "cowlib"]);
        assert_eq!(found.location, Some("usr/lib/erlang/lib".into()));
    }

    #[test]
    fn maps_binaries_and_characters_are_terms_too() {
        let text =
            r#"{application, a, [{env, [{m, #{k => "}", v := <<"x">>}}, {c, $"}, {d, $\]}]}, {vsn, "1"}]}."#;
        assert_eq!(parse(text.as_bytes()).unwrap().packages[0].version, "1");
        // What it means written so is not looked into: it is no version then.
        assert!(parse(br#"{application, a, [{vsn, "1.\x{32} "}]}."#).is_err());
    }

    #[test]
    fn what_is_no_application_is_unreadable() {
        let cause = |text: &str| parse(text.as_bytes()).unwrap_err().0;
        assert_eq!(cause(""), "it ends within its term");
        assert_eq!(cause("[]."), "no Erlang term of an application");
        assert_eq!(cause("{release, a, []}."), "no Erlang term of an application");
        assert_eq!(cause("{application, a, []}."), "it has no version");
        assert_eq!(cause("{application, a, [{vsn, git}]}."), "it has no version");
        assert_eq!(cause("{application, a, [{vsn, \"1 2\"}]}."), "its version is no word: `1 2`");
        assert_eq!(cause("{application, a, [{vsn, \"1\"}, {vsn, \"2\"}]}."), "`vsn` stands twice");
        assert_eq!(cause("{application, a, [{vsn, \"1"), "a quote that is not closed");
        assert_eq!(cause("{application, a, [{vsn, \"1\"}]}"), "it ends within its term");
        assert_eq!(cause("{application, a}}"), "a bracket that nothing opens");
        assert_eq!(cause(&"{".repeat(1_000_000)), "nested deeper than 128");
    }

    #[test]
    fn what_only_looks_like_a_key_is_none() {
        let text = "% {vsn, \"0\"}\n{application, 'a', [{description, \"{vsn, \\\"9\\\"}\"}, {env, [{vsn, \"8\"}]}, {vsn, \"1\"}]}.";
        let found = parse(text.as_bytes()).unwrap().packages.remove(0);
        assert_eq!((found.name.as_str(), found.version.as_str()), ("a", "1"));
    }

    #[test]
    fn only_applications_are_wanted() {
        assert!(
            Otp.wants(&"app/lib/a-1/ebin/a.app".into(), b"")
                && Otp.wants(&"elixir/ebin/elixir.app".into(), b"")
        );
        assert!(!Otp.wants(&"a.app".into(), b"") && !Otp.wants(&"src/a.app".into(), b""));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[{}\\[\\],.a-z\"'%<> \n\\\\]{0,80}") {
            let _ = parse(&bytes).is_ok();
            let _ = parse(format!("{{application, a, [{text}").as_bytes()).is_ok();
        }
    }
}
