//! The distribution, from os-release(5).

use crate::model::layer::{Distro, Facts};
use crate::model::path::ImagePath;

use super::{Cataloger, Unreadable};

/// Catalogs `/etc/os-release` and `/usr/lib/os-release`.
pub(super) struct OsRelease;

impl Cataloger for OsRelease {
    fn id(&self) -> &'static str {
        "os-release"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        matches!(path.as_bytes(), b"etc/os-release" | b"usr/lib/os-release")
    }

    /// 64 KiB: real ones have less than one.
    fn limit(&self) -> u64 {
        64 << 10
    }

    fn parse(&self, _: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let text = std::str::from_utf8(bytes).map_err(|_| Unreadable("not utf-8".into()))?;
        let value = |key: &str| {
            // A later assignment overrides an earlier one, as in a shell.
            let lines = text.lines().rev().filter_map(|line| line.trim().split_once('='));
            lines
                .filter(|(name, _)| *name == key)
                .map(|(_, value)| unquote(value))
                .find(|value| !value.is_empty())
        };
        let id = value("ID").ok_or_else(|| Unreadable("it has no ID".into()))?.to_lowercase();
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !plain(&id) {
            return Err(Unreadable("its ID is not letters, digits, `.`, `_` and `-`".into()));
        }
        let distro = Distro {
            id,
            version_id: value("VERSION_ID").unwrap_or_default(),
            pretty_name: value("PRETTY_NAME"),
            codename: value("VERSION_CODENAME"),
        };
        Ok(Facts { distro: Some(distro), ..Facts::default() })
    }
}

/// os-release(5): shell-like quotes, with backslash escapes inside double ones.
fn unquote(value: &str) -> String {
    let value = value.trim();
    if let Some(inner) = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        return inner.to_owned();
    }
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distro(text: &str) -> Result<Distro, Unreadable> {
        OsRelease.parse(&"etc/os-release".into(), text.as_bytes()).map(|facts| facts.distro.unwrap())
    }

    #[test]
    fn quotes_and_comments_are_understood() {
        let text = include_str!("../../testdata/inventory/os-release/quoted");
        let found = distro(text).unwrap();
        assert_eq!((found.id.as_str(), found.version_id.as_str()), ("debian", "12"));
        assert_eq!(found.pretty_name.as_deref(), Some("A \"Demo\" Linux"));
    }

    #[test]
    fn a_file_without_an_id_is_unreadable() {
        assert!(distro("NAME=x\n").is_err());
        assert!(distro("ID=\"a b\"\n").is_err());
        assert!(OsRelease.parse(&"etc/os-release".into(), b"ID=\xff").is_err());
    }
}
