//! The main section of a manifest (JAR File Specification, "JAR Manifest").

/// Its attributes, in their order.
#[derive(Debug, Default)]
pub(super) struct Manifest(Vec<(String, String)>);

impl Manifest {
    /// Reads up to the first empty line. What is no attribute is left out: it states nothing.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        // A character may be cut in two by the limit of 72 bytes a line: joined before it is decoded.
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let mut rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        while !rest.is_empty() {
            let end = rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len());
            let (line, ending) = rest.split_at(end);
            rest = ending.strip_prefix(b"\r\n").or_else(|| ending.get(1..)).unwrap_or_default();
            match (line.split_first(), lines.last_mut()) {
                (None, _) => break,
                (Some((b' ', more)), Some(last)) => last.extend_from_slice(more),
                _ => lines.push(line.to_vec()),
            }
        }
        let attribute = |line: &Vec<u8>| {
            let line = String::from_utf8_lossy(line);
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        };
        Self(lines.iter().filter_map(attribute).collect())
    }

    /// An attribute that says something; of two the last, as `Attributes.read` has it.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.0.iter().rev().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        all.next().map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The licences of an OSGi bundle (OSGi Core, "Bundle-License"): names or addresses, without attributes.
    pub(super) fn licenses(&self) -> Vec<String> {
        let stated = self.get("Bundle-License").unwrap_or_default();
        let mut quoted = false;
        let clauses = stated.split(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        let names =
            clauses.filter_map(|clause| clause.split(';').next()).map(|name| name.trim().trim_matches('"'));
        let is_name = |name: &&str| {
            !name.is_empty()
                && name.len() <= MAX_LICENSE
                && *name != "<<EXTERNAL>>"
                && !name.contains(char::is_control)
        };
        names.filter(is_name).take(MAX_LICENSES).map(str::to_owned).collect()
    }
}

/// Bytes of a licence's name, and licences of a bundle.
const MAX_LICENSE: usize = 200;
const MAX_LICENSES: usize = 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_main_section_is_read_with_continued_lines() {
        let manifest = Manifest::parse(
            b"Manifest-Version: 1.0\r\nbundle-symbolicname: org.a\r\n .b;x=1\r\nName-\xc3\r\n \xa4: 1\r\n\
              no attribute\r\nTwice: 1\rTwice: 2\nEmpty:\n\nTwice: 3\n",
        );
        assert_eq!(manifest.get("Bundle-SymbolicName"), Some("org.a.b;x=1"));
        assert_eq!(manifest.get("Name-\u{e4}"), Some("1"));
        assert_eq!(manifest.get("Twice"), Some("2"));
        assert_eq!((manifest.get("Empty"), manifest.get("no attribute")), (None, None));
    }

    #[test]
    fn the_licences_of_a_bundle_have_no_attributes() {
        let of = |text: &str| Manifest::parse(format!("Bundle-License: {text}\n").as_bytes()).licenses();
        assert_eq!(
            of("https://www.apache.org/licenses/LICENSE-2.0.txt"),
            ["https://www.apache.org/licenses/LICENSE-2.0.txt"]
        );
        assert_eq!(
            of("Apache-2.0;link=\"https://a.example/?a,b\";description=x, \"MIT\" ,"),
            ["Apache-2.0", "MIT"]
        );
        assert_eq!(of("<<EXTERNAL>>"), [""; 0]);
        assert_eq!(of(&"a,".repeat(100)).len(), MAX_LICENSES);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Manifest::parse(&bytes).get("a");
        }
    }
}
