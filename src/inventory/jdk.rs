//! Java runtimes: the `release` file at the root of a JDK or JRE (JEP 223; written by the JDK's build).

use std::collections::BTreeMap;

use crate::model::layer::{Facts, FoundPackage};
use crate::model::path::ImagePath;

use super::words::word;
use super::{Cataloger, Unreadable};

/// Catalogs a file called `release` that has a Java version; any other of that name is no package.
pub(super) struct Jdk;

impl Cataloger for Jdk {
    fn id(&self) -> &'static str {
        "jdk"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        path.file_name() == b"release"
    }

    /// 16 MiB; real ones have two kilobytes.
    fn limit(&self) -> u64 {
        16 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let fields: BTreeMap<&[u8], &[u8]> = lines.filter_map(field).collect();
        let text = |key: &str| {
            let value = fields.get(key.as_bytes()).map(|value| std::str::from_utf8(value));
            value.transpose().map_err(|_| Unreadable(format!("{key} is not text")))
        };
        let (runtime, java) = (text("JAVA_RUNTIME_VERSION")?, text("JAVA_VERSION")?);
        if runtime.is_none() && java.is_none() {
            return Ok(Facts::default());
        }
        let major = |version: &str| version.split('.').next().unwrap_or_default().to_owned();
        // Of OpenJ9 the full version may be that of the virtual machine.
        let full = text("FULL_VERSION")?.filter(|full| java.is_none_or(|java| major(full) == major(java)));
        let version = word("version", runtime.or(full).or(java)).map_err(Unreadable)?;
        let implementor = text("IMPLEMENTOR")?;
        let (vendor, product) = product(implementor.unwrap_or_default(), path, text("IMAGE_TYPE")?);
        let source = text("SOURCE_REPO")?.or(text("BUILD_SOURCE_REPO")?);
        let source = source.filter(|url| url.starts_with("https://") && super::words::is_word(url));
        let package = FoundPackage {
            kind: "generic",
            name: format!("{vendor}/{product}"),
            cpe: cpe(vendor, product, &version),
            version,
            location: path.parent(),
            supplier: implementor
                .filter(|name| !name.is_empty() && !name.contains(char::is_control))
                .map(str::to_owned),
            qualifiers: source.map(|url| ("repository_url", url.to_owned())).into_iter().collect(),
            ..FoundPackage::default()
        };
        Ok(Facts { packages: vec![package], ..Facts::default() })
    }
}

/// What stands before the version of the runtime in `libjvm.so`:
/// `OpenJDK 64-Bit Server VM (17.0.2+8-86) for linux-amd64 JRE (17.0.2+8-86), built on …`.
pub(super) const BUILT: &[u8] = b" JRE (";

/// The file that says so.
pub(super) const LIBRARY: &[u8] = b"libjvm.so";

/// The runtime of a virtual machine, by what stands before and from [`BUILT`] on. Its `release` may have been
/// taken away.
pub(super) fn of_library(path: &ImagePath, before: &[u8], after: &[u8]) -> Option<FoundPackage> {
    let start = memchr::memmem::rfind(before, b" VM (")?;
    let text = after.get(BUILT.len()..)?;
    let said = std::str::from_utf8(text.get(..memchr::memmem::find(text, b"),")?)?).ok()?;
    // `Zulu 8.52.0.23-CA-linux64) (1.8.0_282-b08`: that of the distribution stands first.
    let version = said.rsplit_once(") (").map_or(said, |(_, version)| version);
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    if !version.starts_with(|c: char| c.is_ascii_digit()) || !version.bytes().all(is_part) {
        return None;
    }
    let is_oracle = memchr::memmem::find(before.get(..start)?, b"Java HotSpot(TM)").is_some();
    let implementor = match said {
        said if said.starts_with("Zulu") => "azul",
        _ if is_oracle => "oracle",
        _ => "",
    };
    let (vendor, product) = product(implementor, path, None);
    Some(FoundPackage {
        kind: "generic",
        name: format!("{vendor}/{product}"),
        cpe: cpe(vendor, product, version),
        version: word("version", Some(version)).ok()?,
        location: Some(root(path)),
        guessed: true,
        ..FoundPackage::default()
    })
}

/// The runtime of `ROOT/lib/server/libjvm.so` and, in old ones, `ROOT/lib/amd64/server/libjvm.so`.
fn root(path: &ImagePath) -> ImagePath {
    let mut above = std::iter::successors(path.parent(), ImagePath::parent).skip(1).take(2);
    let root = above.find(|place| place.file_name() == b"lib").and_then(|lib| lib.parent());
    root.or_else(|| path.parent()).unwrap_or_default()
}

/// Where the `release` of a library's runtime may lie: JDK 8 has its runtime in a folder.
pub(super) fn roots(library: &FoundPackage) -> Vec<ImagePath> {
    let root = library.location.clone();
    let above = root.as_ref().filter(|root| root.file_name() == b"jre").and_then(ImagePath::parent);
    root.into_iter().chain(above).collect()
}

/// Whether a library is of the vendor and version that a `release` names, or of a build of it. Attack: a `release`
/// that names another.
pub(super) fn same(release: &FoundPackage, library: &FoundPackage) -> bool {
    let vendor = |package: &FoundPackage| package.name.split('/').next().map(str::to_owned);
    let build = library.version.strip_prefix(release.version.as_str());
    let is_version = build.is_some_and(|build| build.is_empty() || build.starts_with(['+', '-']));
    is_version && vendor(release) == vendor(library)
}

/// `KEY="VALUE"`, or without quotes.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, value) = line.split_at_checked(line.iter().position(|byte| *byte == b'=')?)?;
    let value = value.get(1..)?;
    let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    Some((key, quoted.unwrap_or(value)))
}

/// Vendor and product as advisories name them (NVD): builds of OpenJDK are all Oracle's `openjdk`.
fn product(implementor: &str, path: &ImagePath, image: Option<&str>) -> (&'static str, &'static str) {
    let implementor = implementor.to_ascii_lowercase();
    let place = path.to_string();
    let is_jre = image.is_some_and(|image| image.eq_ignore_ascii_case("jre"));
    let edition = if is_jre { "jre" } else { "jdk" };
    if implementor.contains("azul") || place.contains("zulu") {
        ("azul", "zulu")
    } else if implementor.starts_with("sun ") {
        ("sun", edition)
    } else if implementor.contains("oracle") || place.contains("oracle") {
        ("oracle", edition)
    } else {
        ("oracle", "openjdk")
    }
}

/// CPE 2.3 (NISTIR 7695 §6.2): `1.8.0_422-b05` is version `1.8.0`, update `update422`; `17.0.2+8` is
/// `17.0.2`.
fn cpe(vendor: &str, product: &str, version: &str) -> Option<String> {
    let (version, update) = match version.split_once('_') {
        Some((version, update)) => {
            let update = update.split(['-', '+']).next().unwrap_or_default().trim_start_matches('0');
            (version, format!("update{update}"))
        }
        None => (version.split('+').next().unwrap_or_default(), "*".to_owned()),
    };
    let fits = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-*".contains(&b))
    };
    let version = (fits(version) && !version.contains('*')).then(|| version.replace('-', "\\-"))?;
    fits(&update).then(|| format!("cpe:2.3:a:{vendor}:{product}:{version}:{update}:*:*:*:*:*:*"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<Facts, Unreadable> {
        Jdk.parse(&"opt/java/openjdk/release".into(), bytes)
    }

    fn one(text: &str) -> FoundPackage {
        parse(text.as_bytes()).unwrap().packages.remove(0)
    }

    #[test]
    fn a_runtime_names_its_version_and_vendor() {
        let found = one(include_str!("../../testdata/inventory/jdk/release"));
        assert_eq!((found.name.as_str(), found.version.as_str()), ("oracle/openjdk", "17.0.2+8"));
        assert_eq!(found.cpe.as_deref(), Some("cpe:2.3:a:oracle:openjdk:17.0.2:*:*:*:*:*:*:*"));
        assert_eq!(found.supplier.as_deref(), Some("Eclipse Adoptium"));
        assert_eq!(found.location, Some("opt/java/openjdk".into()));
    }

    #[test]
    fn versions_and_vendors_of_all_ages_are_told() {
        let found =
            one("JAVA_VERSION=\"1.8.0_422\"\nFULL_VERSION=\"1.8.0_422-b05\"\r\nIMPLEMENTOR=\"Azul Systems\"");
        assert_eq!((found.name.as_str(), found.version.as_str()), ("azul/zulu", "1.8.0_422-b05"));
        assert_eq!(found.cpe.as_deref(), Some("cpe:2.3:a:azul:zulu:1.8.0:update422:*:*:*:*:*:*"));
        let found = one("JAVA_VERSION=\"22-ea\"\nIMPLEMENTOR=\"Oracle Corporation\"\nIMAGE_TYPE=\"JRE\"");
        assert_eq!(found.cpe.as_deref(), Some("cpe:2.3:a:oracle:jre:22\\-ea:*:*:*:*:*:*:*"));
        assert_eq!(one("JAVA_VERSION=11\nFULL_VERSION=0.35\n").version, "11");
    }

    #[test]
    fn another_file_of_that_name_is_no_package_and_a_broken_one_unreadable() {
        for text in ["", "1.0\n", "VERSION=1\n\u{0}", "# JAVA_VERSION=\"17\""] {
            assert_eq!(parse(text.as_bytes()).unwrap(), Facts::default(), "{text}");
        }
        assert!(parse(b"JAVA_VERSION=\"\"").is_err());
        assert!(parse(b"JAVA_VERSION=\"1 7\"").is_err());
        assert_eq!(parse(b"JAVA_VERSION=\"\xff\"").unwrap_err().0, "JAVA_VERSION is not text");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), version in ".{0,30}") {
            let _ = parse(&bytes).is_ok();
            let _ = parse(format!("JAVA_VERSION=\"{version}\"").as_bytes()).is_ok();
        }
    }
}
