//! Installed Python distributions (PyPA, "Recording installed projects" and "Core metadata").

use crate::model::layer::{Facts, FoundPackage, Requirement};
use crate::model::path::{ImagePath, escape};
use crate::model::purl::normalise_pypi;

use super::{Cataloger, Unreadable};

/// Catalogs `*.dist-info/METADATA`, `*.egg-info/PKG-INFO`, `*.egg-info` files and `*.egg/EGG-INFO/PKG-INFO`.
pub(super) struct Pypi;

/// The longest name or version.
const WORD: usize = 1024;

impl Cataloger for Pypi {
    fn id(&self) -> &'static str {
        "pypi"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        // importlib.metadata takes either file of either directory, and folds the directory's name.
        let mut parts = path.components().rev();
        let file = parts.next();
        let mut parts = parts.map(<[u8]>::to_ascii_lowercase);
        match (file, parts.next(), parts.next()) {
            (Some(b"METADATA" | b"PKG-INFO"), Some(directory), above) => {
                directory.ends_with(b".dist-info")
                    || directory.ends_with(b".egg-info")
                    || directory == b"egg-info" && above.is_some_and(|above| above.ends_with(b".egg"))
            }
            (Some(file), _, _) => {
                file.len() > b".egg-info".len() && file.to_ascii_lowercase().ends_with(b".egg-info")
            }
            (None, _, _) => false,
        }
    }

    /// 16 MiB (design §7); a long description makes one.
    fn limit(&self) -> u64 {
        16 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let headers = headers(bytes);
        let word = |field: &str| {
            let value = headers
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(field))
                .map(|(_, value)| value.as_str());
            match value {
                Some(value) if value.len() > WORD => {
                    Err(Unreadable(format!("its {field} has {} bytes", value.len())))
                }
                Some(value) if is_word(value) => Ok(value.to_owned()),
                Some(value) => {
                    Err(Unreadable(format!("its {field} is no word: `{}`", escape(value.as_bytes()))))
                }
                None => Err(Unreadable(format!("it has no {field}"))),
            }
        };
        let package = FoundPackage {
            kind: "pypi",
            name: word("Name")?,
            version: word("Version")?,
            licenses: licenses(&headers),
            requires: Some(requires(&headers)),
            location: Some(site(path)),
            vendored_in: carrier(&site(path)),
            ..FoundPackage::default()
        };
        Ok(Facts { packages: vec![package], ..Facts::default() })
    }
}

fn is_word(value: &str) -> bool {
    !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// The headers of the first block, continuation lines joined (RFC 822, as core metadata has it).
fn headers(bytes: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(bytes);
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines().take_while(|line| !line.trim().is_empty()) {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push(' ');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    headers
}

/// `License-Expression` (PEP 639), else `License` where it is a name and not a text, else the trove
/// classifiers.
fn licenses(headers: &[(String, String)]) -> Vec<String> {
    let all = |field: &'static str| {
        headers
            .iter()
            .filter(move |(name, _)| name.eq_ignore_ascii_case(field))
            .map(|(_, value)| value.as_str())
    };
    let stated = |value: &&str| !value.is_empty() && *value != "UNKNOWN" && value.len() <= 200;
    if let Some(license) = all("License-Expression").chain(all("License")).find(stated) {
        return vec![license.to_owned()];
    }
    let classifiers = all("Classifier").filter_map(|value| value.strip_prefix("License ::"));
    classifiers.filter_map(|value| value.rsplit("::").next()).map(|name| name.trim().to_owned()).collect()
}

/// The names of `Requires-Dist` (PEP 508). What only an extra needs is needed by nobody yet; other markers
/// are not evaluated: a distribution that is there and may be needed is taken for needed.
fn requires(headers: &[(String, String)]) -> Vec<Requirement> {
    let stated = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Requires-Dist"));
    stated
        .filter(|(_, value)| !value.split_once(';').is_some_and(|(_, marker)| marker.contains("extra")))
        .map(|(_, value)| {
            let name = value.split([' ', '\t', ';', '[', '(', '<', '>', '=', '!', '~', '@']).next();
            vec![normalise_pypi(name.unwrap_or_default())]
        })
        .collect()
}

/// The directory that holds the distribution: `site-packages`.
fn site(path: &ImagePath) -> ImagePath {
    let directory = path.parent().unwrap_or_default();
    let above = || directory.parent().unwrap_or_default();
    match directory.file_name().to_ascii_lowercase().as_slice() {
        b"egg-info" => above().parent().unwrap_or_default(),
        name if name.ends_with(b"-info") => above(),
        _ => directory,
    }
}

/// The package that carries a distribution found below one of its own directories, such as
/// `pip/_vendor`: the outermost directory below the `site-packages` or `dist-packages` on the way.
fn carrier(site: &ImagePath) -> Option<ImagePath> {
    let parts: Vec<&[u8]> = site.components().collect();
    let is_site = |part: &&[u8]| matches!(*part, b"site-packages" | b"dist-packages");
    let last_site = parts.iter().rposition(is_site);
    let vendor =
        parts.iter().rposition(|part| matches!(*part, b"_vendor" | b"_vendored" | b"vendor" | b"vendored"));
    let end = match (last_site, vendor) {
        (Some(at), _) if at + 1 < parts.len() => at + 2,
        (None, Some(vendor)) if vendor > 0 => vendor,
        (Some(_) | None, _) => return None,
    };
    ImagePath::normalise(&parts.get(..end)?.join(&b'/')).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(path: &str, bytes: &[u8]) -> Result<FoundPackage, Unreadable> {
        Pypi.parse(&path.into(), bytes).map(|mut facts| facts.packages.remove(0))
    }

    const PATH: &str = "usr/lib/python3/site-packages/Demo-1.0.dist-info/METADATA";

    #[test]
    fn the_first_headers_name_the_distribution() {
        let found = parse(PATH, include_bytes!("../../testdata/inventory/pypi/METADATA")).unwrap();
        assert_eq!((found.name.as_str(), found.version.as_str()), ("Demo.Package", "1.0.post1"));
        assert_eq!(found.licenses, ["MIT License", "Apache Software License"]);
        assert_eq!(found.location, Some("usr/lib/python3/site-packages".into()));
        assert_eq!(found.vendored_in, None);
    }

    #[test]
    fn a_distribution_inside_another_names_its_carrier() {
        let carrier =
            |path: &str| parse(path, b"Name: a\nVersion: 1\n").unwrap().vendored_in.map(|p| p.to_string());
        let pip = "usr/lib/python3/site-packages/pip/_vendor/a-1.dist-info/METADATA";
        assert_eq!(carrier(pip).as_deref(), Some("usr/lib/python3/site-packages/pip"));
        assert_eq!(carrier("opt/tool/_vendor/a-1.dist-info/METADATA").as_deref(), Some("opt/tool"));
        assert_eq!(carrier("opt/tool/a-1.dist-info/METADATA"), None);
        assert_eq!(carrier("usr/lib/python3/dist-packages/a-1.egg-info"), None);
        assert_eq!(carrier("usr/lib/python3/site-packages/a-1-py3.8.egg/EGG-INFO/PKG-INFO"), None);
    }

    #[test]
    fn metadata_without_name_or_version_is_unreadable() {
        assert_eq!(parse(PATH, b"Version: 1\n").unwrap_err().0, "it has no Name");
        assert_eq!(parse(PATH, b"Name: a\n\nVersion: 1\n").unwrap_err().0, "it has no Version");
        assert!(parse(PATH, b"Name: a\x1b[31m\nVersion: 1\n").is_err());
    }

    #[test]
    fn only_the_metadata_files_are_wanted() {
        let wants = |path: &str| Pypi.wants(&path.into(), b"");
        assert!(wants(PATH) && wants("x/a.egg-info/PKG-INFO") && wants("x/a-1.egg-info"));
        assert!(wants("x/a-1-py3.8.egg/EGG-INFO/PKG-INFO") && !wants("EGG-INFO/PKG-INFO"));
        for read_by_importlib in ["x/a.DIST-INFO/METADATA", "x/a.dist-info/PKG-INFO", "x/a.egg-info/METADATA"]
        {
            assert!(wants(read_by_importlib), "{read_by_importlib}");
        }
        assert!(
            !wants("x/a.dist-info/RECORD")
                && !wants("METADATA")
                && !wants("x/PKG-INFO")
                && !wants("x/.egg-info")
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(PATH, &bytes).is_ok();
        }
    }
}
