//! The manifest of images that chisel cut from Ubuntu packages: a jsonwall (one JSON object a line, the
//! first a header with the count of lines), compressed by Zstandard (canonical/chisel, `public/manifest`).

use std::collections::BTreeMap;
use std::io::Read;

use serde::Deserialize;

use crate::model::layer::{Facts, FoundPackage, OwnedPaths};
use crate::model::path::ImagePath;

use super::words::{is_word, json, word};
use super::{Cataloger, Unreadable};

/// Catalogs `lib/chisel/manifest.wall`.
pub(super) struct Chisel;

/// The most bytes of a manifest once decompressed: 64 MiB; real ones have one.
const INFLATED: u64 = 64 << 20;

/// The largest window that a frame may ask for: 2 to this power bytes, 8 MiB, which every decoder allows
/// (RFC 8878 §3.1.1.1.2).
const WINDOW: u32 = 23;

#[derive(Deserialize)]
struct Header {
    jsonwall: String,
    count: u64,
}

#[derive(Deserialize)]
struct Line {
    kind: String,
    name: Option<String>,
    version: Option<String>,
    arch: Option<String>,
    slice: Option<String>,
    path: Option<String>,
}

impl Cataloger for Chisel {
    fn id(&self) -> &'static str {
        "chisel"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        let mut parts = path.components().rev();
        [b"manifest.wall".as_slice(), b"chisel", b"lib"].into_iter().all(|part| parts.next() == Some(part))
    }

    /// 64 MiB.
    fn limit(&self) -> u64 {
        64 << 20
    }

    fn parse(&self, _: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let text = inflate(bytes)?;
        let mut lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        let header: Header = json("a jsonwall's header", lines.next().unwrap_or_default())?;
        if !header.jsonwall.starts_with("1.") {
            return Err(Unreadable("a jsonwall of another version than 1".into()));
        }
        let mut facts = Facts::default();
        let mut count = 1_u64;
        let mut paths = BTreeMap::new();
        for line in lines {
            count = count.saturating_add(1);
            match read(line, &mut paths) {
                Ok(Some(package)) => facts.add(package),
                Ok(None) => {}
                Err(cause) => facts.blame(format!("line {count}: {cause}")),
            }
        }
        for (package, paths) in paths {
            facts.own(OwnedPaths { package, arch: None, paths });
        }
        // Attack: a manifest cut short.
        if count != header.count {
            facts.blame(format!("it has {count} lines and states {}", header.count));
        }
        Ok(facts)
    }
}

/// The text, up to [`INFLATED`] bytes.
fn inflate(bytes: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let unreadable = |error: std::io::Error| Unreadable(format!("not compressed by Zstandard: {error}"));
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(unreadable)?;
    decoder.window_log_max(WINDOW).map_err(unreadable)?;
    let mut text = Vec::new();
    decoder.take(INFLATED.saturating_add(1)).read_to_end(&mut text).map_err(unreadable)?;
    // Attack: gigabytes of one letter that deflate to kilobytes.
    if text.len() as u64 > INFLATED {
        return Err(Unreadable(format!("larger than {INFLATED} bytes once decompressed")));
    }
    Ok(text)
}

/// Paths by package.
type Paths = BTreeMap<String, Vec<ImagePath>>;

/// The package of a line; a line of content adds to what a package owns. Other kinds are slices and paths.
fn read(line: &[u8], paths: &mut Paths) -> Result<Option<FoundPackage>, String> {
    let line: Line = json("a line of a manifest", line).map_err(|Unreadable(cause)| cause)?;
    if line.kind == "content" {
        let package = line.slice.as_deref().and_then(|slice| slice.split_once('_'));
        let path = line.path.filter(|path| !path.ends_with('/'));
        let path = path.and_then(|path| ImagePath::normalise(path.as_bytes()).ok());
        if let (Some((package, _)), Some(path)) = (package, path) {
            paths.entry(package.to_owned()).or_default().push(path);
        }
    }
    if line.kind != "package" {
        return Ok(None);
    }
    Ok(Some(FoundPackage {
        kind: "deb",
        name: word("name", line.name.as_deref())?,
        version: word("version", line.version.as_deref())?,
        arch: line.arch.filter(|arch| is_word(arch)),
        ..FoundPackage::default()
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &[u8]) -> Result<Facts, Unreadable> {
        Chisel.parse(&"var/lib/chisel/manifest.wall".into(), &zstd::encode_all(text, 1).unwrap())
    }

    #[test]
    fn packages_are_listed_and_the_rest_is_not() {
        let facts = parse(include_bytes!("../../testdata/inventory/chisel/manifest.jsonwall")).unwrap();
        assert_eq!(facts.unreadable, [""; 0]);
        let found: Vec<_> =
            facts.packages.iter().map(|p| (p.name.as_str(), p.version.as_str(), p.arch.as_deref())).collect();
        assert_eq!(found, [("libdemo1", "2.39-0ubuntu8", Some("amd64"))]);
        assert_eq!(
            (facts.owned[0].package.as_str(), facts.owned[0].paths.as_slice()),
            ("libdemo1", &["usr/lib/libdemo.so.1".into()][..])
        );
    }

    #[test]
    fn what_is_missing_or_broken_is_named() {
        let facts =
            parse(b"{\"jsonwall\":\"1.0\",\"count\":5}\n{\"kind\":\"package\",\"name\":\"a\"}\n{\n").unwrap();
        assert_eq!(facts.unreadable.len(), 3, "{:?}", facts.unreadable);
        assert_eq!(facts.unreadable[0], "line 2: it has no version");
        assert_eq!(facts.unreadable[2], "it has 3 lines and states 5");
        for text in [&b""[..], b"{}", b"{\"jsonwall\":\"2.0\",\"count\":1}"] {
            assert!(parse(text).is_err());
        }
        assert!(Chisel.parse(&"manifest.wall".into(), b"{}").is_err());
    }

    #[test]
    fn a_bomb_is_unreadable() {
        let cause = parse(&vec![b' '; INFLATED as usize + 1]).unwrap_err().0;
        assert_eq!(cause, "larger than 67108864 bytes once decompressed");
    }

    #[test]
    fn only_the_manifest_is_wanted() {
        assert!(Chisel.wants(&"var/lib/chisel/manifest.wall".into(), b""));
        assert!(!Chisel.wants(&"chisel/manifest.wall".into(), b""));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes).is_ok();
            let _ = Chisel.parse(&"manifest.wall".into(), &bytes).is_ok();
        }
    }
}
