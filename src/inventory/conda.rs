//! conda's record of each installed package (docs.conda.io, "conda-meta"; `PrefixRecord`).

use serde::Deserialize;

use crate::model::layer::{Facts, FoundPackage};
use crate::model::path::ImagePath;

use super::words::{is_word, json, word};
use super::{Cataloger, Unreadable};

/// Catalogs `conda-meta/NAME-VERSION-BUILD.json`. Python packages inside keep their own entries without
/// an owner: advisories know them by their names at PyPI only.
pub(super) struct Conda;

#[derive(Deserialize)]
struct Record {
    name: Option<String>,
    version: Option<String>,
    build: Option<String>,
    build_string: Option<String>,
    channel: Option<String>,
    subdir: Option<String>,
    #[serde(rename = "fn")]
    file: Option<String>,
    license: Option<String>,
    depends: Option<Vec<String>>,
}

impl Cataloger for Conda {
    fn id(&self) -> &'static str {
        "conda"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        let mut parts = path.components().rev();
        parts.next().is_some_and(|name| name.ends_with(b".json")) && parts.next() == Some(b"conda-meta")
    }

    /// 64 MiB: a record lists every file of its package.
    fn limit(&self) -> u64 {
        64 << 20
    }

    fn parse(&self, _: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let record: Record = json("conda's record of a package", bytes)?;
        let channel =
            record.channel.as_deref().map(|channel| channel_name(channel, record.subdir.as_deref()));
        let file = record.file.as_deref().unwrap_or_default();
        let form = ["tar.bz2", "conda"].into_iter().find(|form| file.ends_with(&format!(".{form}")));
        let qualifiers = [
            ("build", record.build.or(record.build_string)),
            ("channel", channel.map(str::to_owned)),
            ("subdir", record.subdir.clone()),
            ("type", form.map(str::to_owned)),
        ];
        let stated = |(key, value): (_, Option<String>)| {
            value.filter(|value| is_word(value)).map(|value| (key, value))
        };
        let package = FoundPackage {
            kind: "conda",
            name: word("name", record.name.as_deref()).map_err(Unreadable)?,
            version: word("version", record.version.as_deref()).map_err(Unreadable)?,
            licenses: record.license.into_iter().filter(|license| !license.is_empty()).collect(),
            qualifiers: qualifiers.into_iter().filter_map(stated).collect(),
            requires: record.depends.map(|depends| depends.iter().filter_map(|text| needed(text)).collect()),
            ..FoundPackage::default()
        };
        Ok(Facts { packages: vec![package], ..Facts::default() })
    }
}

/// `https://HOST/CHANNEL/SUBDIR` or `CHANNEL`: its last name. A URL may have a token before it, which goes
/// nowhere.
fn channel_name<'a>(channel: &'a str, subdir: Option<&str>) -> &'a str {
    let mut parts = channel.trim_end_matches('/').rsplit('/');
    let last = parts.next().unwrap_or_default();
    let name = if Some(last) == subdir { parts.next().unwrap_or_default() } else { last };
    if name.starts_with('<') { "" } else { name }
}

/// The name of a match specification such as `python >=3.8`; `__glibc` and the like are the machine's.
fn needed(text: &str) -> Option<Vec<String>> {
    let end = text
        .find(|c: char| c.is_whitespace() || matches!(c, '=' | '<' | '>' | '!' | '~' | '['))
        .unwrap_or(text.len());
    let name = text.get(..end)?;
    (is_word(name) && !name.starts_with("__")).then(|| vec![name.to_owned()])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<FoundPackage, Unreadable> {
        Conda
            .parse(&"opt/conda/conda-meta/demo-1.0-py39_0.json".into(), bytes)
            .map(|mut facts| facts.packages.remove(0))
    }

    #[test]
    fn a_record_names_its_package_and_where_it_came_from() {
        let found = parse(include_bytes!("../../testdata/inventory/conda/demo-1.0-py39_0.json")).unwrap();
        assert_eq!((found.name.as_str(), found.version.as_str()), ("demo", "1.0"));
        let qualifiers: Vec<_> = found.qualifiers.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let want =
            [("build", "py39_0"), ("channel", "conda-forge"), ("subdir", "linux-64"), ("type", "conda")];
        assert_eq!(qualifiers, want);
        assert_eq!(found.requires.unwrap().concat(), ["python", "libgcc-ng"]);
        assert_eq!(found.licenses, ["BSD-3-Clause"]);
    }

    #[test]
    fn a_channel_is_told_without_tokens() {
        assert_eq!(channel_name("https://host/t/secret/acme/linux-64", Some("linux-64")), "acme");
        assert_eq!(channel_name("defaults", None), "defaults");
        assert_eq!(channel_name("<unknown>", None), "");
    }

    #[test]
    fn a_record_without_name_or_version_is_unreadable() {
        assert_eq!(parse(br#"{"name":"a"}"#).unwrap_err().0, "it has no version");
        assert_eq!(parse(br#"{"name":"","version":"1"}"#).unwrap_err().0, "its name is no word: ``");
        for bytes in [
            &b""[..],
            b"[]",
            br#"{"name":"a","name":"b","version":"1"}"#,
            b"{\"name\":\"\xff\",\"version\":\"1\"}",
        ] {
            assert!(parse(bytes).is_err());
        }
    }

    #[test]
    fn only_records_are_wanted() {
        assert!(Conda.wants(&"opt/conda/envs/a/conda-meta/b-1-0.json".into(), b""));
        assert!(
            !Conda.wants(&"opt/conda/conda-meta/history".into(), b"") && !Conda.wants(&"a.json".into(), b"")
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,40}") {
            let _ = parse(&bytes).is_ok();
            let _ = (needed(&text), channel_name(&text, Some("a")));
        }
    }
}
