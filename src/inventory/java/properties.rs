//! `pom.properties`, in the grammar of `java.util.Properties`.

use super::Coordinates;

/// The coordinates that it states.
pub(super) fn coordinates(bytes: &[u8]) -> Result<Coordinates, String> {
    let (mut group, mut artifact, mut version) = (None, None, None);
    for line in lines(bytes) {
        let (key, value) = split(&line);
        let field = match unescape(key)?.as_str() {
            "groupId" => &mut group,
            "artifactId" => &mut artifact,
            "version" => &mut version,
            _ => continue,
        };
        // Of a key that stands twice the last counts, as `Properties.load` has it.
        *field = Some(unescape(value)?.trim_end().to_owned());
    }
    Coordinates::new(group, artifact, version)
}

/// Its logical lines: ISO 8859-1, comments and blank lines left out, continued lines joined.
fn lines(bytes: &[u8]) -> Vec<String> {
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    let mut lines: Vec<String> = Vec::new();
    let mut continues = false;
    for line in text.replace("\r\n", "\n").split(['\n', '\r']) {
        let line = line.trim_start_matches([' ', '\t', '\u{c}']);
        if !continues && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        // An odd number of backslashes at its end escapes the end of the line.
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        let ends_escaped = backslashes % 2 == 1;
        let kept = if ends_escaped { line.get(..line.len() - 1).unwrap_or_default() } else { line };
        match lines.last_mut() {
            Some(last) if continues => last.push_str(kept),
            _ => lines.push(kept.to_owned()),
        }
        continues = ends_escaped;
    }
    lines
}

/// Key and value, still escaped: the key ends at the first `=`, `:` or white space that is not escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c| {
        let ends = !escaped && matches!(c, '=' | ':' | ' ' | '\t' | '\u{c}');
        escaped = !escaped && c == '\\';
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let blank = [' ', '\t', '\u{c}'];
    let rest = rest.trim_start_matches(blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, value.trim_start_matches(blank))
}

fn unescape(text: &str) -> Result<String, String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            units.extend(c.encode_utf16(&mut [0; 2]).iter());
            continue;
        }
        let unit = match chars.next() {
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let is_hex = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                let unit = is_hex.then(|| u16::from_str_radix(&digits, 16).ok()).flatten();
                unit.ok_or("a malformed \\u escape")?
            }
            Some('t') => u16::from(b'\t'),
            Some('n') => u16::from(b'\n'),
            Some('r') => u16::from(b'\r'),
            Some('f') => 0xc,
            Some(other) => {
                units.extend(other.encode_utf16(&mut [0; 2]).iter());
                continue;
            }
            None => break,
        };
        units.push(unit);
    }
    String::from_utf16(&units).map_err(|_| "half of a character".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<(String, String, String), String> {
        let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        coordinates(&bytes).map(|c| (c.group, c.artifact, c.version))
    }

    #[test]
    fn the_grammar_of_properties_is_read() {
        let want = Ok(("org.a".to_owned(), "b".to_owned(), "1.0".to_owned()));
        for text in [
            "groupId=org.a\nartifactId=b\nversion=1.0\n",
            "#Generated\r\n  version = 1.0\r\ngroupId:org.a\r\n\r\nartifactId b\r\n",
            "! x \\\ngroupId=org.\\\n   a\nartifactId=\\u0062\nversion=1\\.0",
            "version=0\nversion=1.0\rgroupId=org.a\rartifactId=b\nx\\=y=groupId\\",
            "vers\\\n  ion=1.0 \ngroup\\u0049d=org.a\nartifactId\\=c=c\nartifactId\t=\tb",
        ] {
            assert_eq!(read(text), want, "{text:?}");
        }
    }

    #[test]
    fn what_is_missing_or_unresolved_is_named() {
        let cause = |text: &str| read(text).unwrap_err();
        assert_eq!(cause("groupId=a\nartifactId=b\n"), "it has no version");
        assert_eq!(cause("groupId=a\nartifactId=b\nversion=\n"), "its version is no word: ``");
        assert_eq!(cause("groupId=a\nartifactId=b\nversion=${v}"), "its version is no word: `${v}`");
        assert_eq!(cause("groupId=a:c\nartifactId=b\nversion=1"), "its groupId is no word: `a:c`");
        assert_eq!(cause("groupId=\\u00g0\n"), "a malformed \\u escape");
        assert_eq!(cause("groupId=\\ud800\n"), "half of a character");
        assert!(cause(&format!("groupId=a\nartifactId=b\nversion={}", "1".repeat(257))).contains("257"));
        // A comment is not continued, and a continued line is no comment.
        assert_eq!(cause("groupId=a\nartifactId=b\nx=\\\n#version=1"), "it has no version");
        assert_eq!(
            cause("groupId=a\nartifactId=b\n#\\\nversion=1\\u000a2"),
            "its version is no word: `1\\u{a}2`"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = coordinates(&bytes).is_ok();
        }
    }
}
