//! Components of Bitnami's images: the SPDX 2 documents that they carry (spdx.github.io, "SPDX 2.3", JSON), and
//! the list of components that older ones have, or both.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::layer::{Facts, FoundPackage};
use crate::model::path::{ImagePath, escape};
use crate::model::purl::Purl;

use super::words::{Pairs, is_word, json, word};
use super::{Cataloger, Unreadable};

/// Catalogs `opt/bitnami/**/.spdx-NAME.spdx`. What a component contains is listed too, as it is built
/// into it and often stands nowhere else; a package that another cataloger finds as well is there twice,
/// in two places. `opt/bitnami/.bitnami_components.json` lists the components alone; one that a document states
/// too is the same.
pub(super) struct Bitnami;

const COMPONENTS: &[u8] = b".bitnami_components.json";

/// Types of packages that are listed, as purls name them.
const KINDS: &[&str] = &[
    "bitnami", "cargo", "composer", "conan", "conda", "cran", "gem", "generic", "github", "golang", "hex",
    "luarocks", "maven", "npm", "nuget", "pypi",
];

/// A component of the list.
#[derive(Deserialize)]
struct Component {
    version: Option<String>,
    arch: Option<String>,
    distro: Option<String>,
}

#[derive(Deserialize)]
struct Document {
    packages: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    name: Option<String>,
    version_info: Option<String>,
    license_declared: Option<String>,
    license_concluded: Option<String>,
    #[serde(default)]
    external_refs: Vec<Reference>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    reference_type: String,
    reference_locator: String,
}

impl Cataloger for Bitnami {
    fn id(&self) -> &'static str {
        "bitnami"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        let (name, mut parts) = (path.file_name(), path.components());
        let is_document = name.starts_with(b".spdx-") && name.ends_with(b".spdx");
        (is_document || name == COMPONENTS)
            && parts.next() == Some(b"opt")
            && parts.next() == Some(b"bitnami")
    }

    /// 64 MiB.
    fn limit(&self) -> u64 {
        64 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let mut facts = Facts::default();
        if path.file_name() == COMPONENTS {
            let list: Pairs<Box<RawValue>> = json("a list of components", bytes)?;
            for (name, component) in list.0 {
                match listed(&name, &component) {
                    Ok(package) => facts.add(package),
                    Err(cause) => {
                        let shown = escape(name.as_bytes().get(..100).unwrap_or(name.as_bytes()));
                        facts.blame(format!("component `{shown}`: {cause}"));
                    }
                }
            }
            return Ok(facts);
        }
        let document: Document = json("an SPDX document", bytes)?;
        for (at, package) in document.packages.iter().enumerate() {
            match read(package, path) {
                Ok(Some(package)) => facts.add(package),
                Ok(None) => {}
                Err(cause) => facts.blame(format!("package {}: {cause}", at.saturating_add(1))),
            }
        }
        Ok(facts)
    }
}

/// A component of the list. Its folder is not told: several lie in one called `common`.
fn listed(name: &str, component: &RawValue) -> Result<FoundPackage, String> {
    let component: Component = serde_json::from_str(component.get()).map_err(|error| error.to_string())?;
    let qualifiers = [("arch", component.arch), ("distro", component.distro)];
    let stated = |(key, value): (&'static str, Option<String>)| {
        let value = value.filter(|value| is_word(value))?;
        Some((key, value))
    };
    Ok(FoundPackage {
        kind: "bitnami",
        name: word("name", Some(name))?,
        version: word("version", component.version.as_deref())?,
        qualifiers: qualifiers.into_iter().filter_map(stated).collect(),
        ..FoundPackage::default()
    })
}

/// A package by its purl; without one, by its name and version. None for a group that has neither purl nor
/// version, such as the files of one program.
fn read(package: &RawValue, path: &ImagePath) -> Result<Option<FoundPackage>, String> {
    let package: Package = serde_json::from_str(package.get()).map_err(|error| error.to_string())?;
    let reference = |kind: &str| {
        let mut references =
            package.external_refs.iter().filter(|reference| reference.reference_type == kind);
        references.next().map(|reference| reference.reference_locator.as_str())
    };
    let declared = [&package.license_concluded, &package.license_declared].into_iter().flatten();
    let license = declared.filter(|license| !matches!(license.as_str(), "" | "NOASSERTION" | "NONE")).take(1);
    let mut found = match reference("purl") {
        Some(purl) => of_purl(purl)?,
        None => {
            let Some(version) = package.version_info.as_deref().filter(|text| *text != "NOASSERTION") else {
                return Ok(None);
            };
            FoundPackage {
                kind: "generic",
                name: word("name", package.name.as_deref())?,
                version: word("version", Some(version))?,
                guessed: true,
                ..FoundPackage::default()
            }
        }
    };
    found.licenses = license.cloned().collect();
    found.cpe =
        reference("cpe23Type").filter(|cpe| cpe.starts_with("cpe:2.3:") && is_word(cpe)).map(str::to_owned);
    found.location = path.parent();
    Ok(Some(found))
}

fn of_purl(text: &str) -> Result<FoundPackage, String> {
    let shown = || escape(text.as_bytes().get(..100).unwrap_or(text.as_bytes()));
    let purl: Purl = text.parse().map_err(|_| format!("no package url: `{}`", shown()))?;
    let kind = KINDS.iter().copied().find(|kind| *kind == purl.kind);
    let kind = kind.ok_or_else(|| format!("a package of a type that is not read: `{}`", shown()))?;
    let name = match purl.namespace.as_deref() {
        Some(group) if kind == "maven" => format!("{group}:{}", purl.name),
        Some(namespace) => format!("{namespace}/{}", purl.name),
        None => purl.name,
    };
    let of_system = ["arch", "distro"].into_iter().filter(|_| kind == "bitnami");
    let qualifiers = of_system.filter_map(|key| Some((key, purl.qualifiers.get(key)?.clone())));
    Ok(FoundPackage {
        kind,
        name: word("name", Some(&name))?,
        version: word("version", purl.version.as_deref())?,
        qualifiers: qualifiers.collect(),
        ..FoundPackage::default()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATH: &str = "opt/bitnami/demo/.spdx-demo.spdx";
    const LIST: &str = "opt/bitnami/.bitnami_components.json";

    fn parse(bytes: &[u8]) -> Result<Facts, Unreadable> {
        Bitnami.parse(&PATH.into(), bytes)
    }

    #[test]
    fn a_component_and_what_it_contains_are_listed() {
        let facts = parse(include_bytes!("../../testdata/inventory/bitnami/.spdx-demo.spdx")).unwrap();
        assert_eq!(facts.unreadable, [""; 0]);
        let found: Vec<_> =
            facts.packages.iter().map(|p| (p.kind, p.name.as_str(), p.version.as_str(), p.guessed)).collect();
        let want = [
            ("bitnami", "demo", "7.4.0-0", false),
            ("golang", "example.org/a/b", "v1.2.3", false),
            ("maven", "org.acme:demo", "2", false),
            ("generic", "bundled", "3", true),
        ];
        assert_eq!(found, want);
        let demo = &facts.packages[0];
        assert_eq!(demo.qualifiers.get("distro").map(String::as_str), Some("debian-12"));
        assert_eq!(demo.cpe.as_deref(), Some("cpe:2.3:*:demo:demo:7.4.0:*:*:*:*:*:*:*"));
        assert_eq!(demo.licenses, ["MIT"]);
        assert_eq!(demo.location, Some("opt/bitnami/demo".into()));
    }

    #[test]
    fn a_list_names_components_as_documents_do() {
        let bytes = include_bytes!("../../testdata/inventory/bitnami/.bitnami_components.json");
        let facts = Bitnami.parse(&LIST.into(), bytes).unwrap();
        assert_eq!(facts.unreadable, [""; 0]);
        let found: Vec<_> =
            facts.packages.iter().map(|p| (p.kind, p.name.as_str(), p.version.as_str(), p.guessed)).collect();
        assert_eq!(found, [("bitnami", "demo", "7.4.0-0", false), ("bitnami", "gosu", "1.14.0-1", false)]);
        let document = parse(include_bytes!("../../testdata/inventory/bitnami/.spdx-demo.spdx")).unwrap();
        assert_eq!(facts.packages[0].qualifiers, document.packages[0].qualifiers);
    }

    #[test]
    fn components_that_cannot_be_read_are_named_and_the_rest_kept() {
        let text = br#"{"a":{"version":"1"},"a":{"version":"2"},"b":{},"c":7,"d e":{"version":"1"}}"#;
        let facts = Bitnami.parse(&LIST.into(), text).unwrap();
        let versions: Vec<_> = facts.packages.iter().map(|p| p.version.as_str()).collect();
        assert_eq!((versions, facts.unreadable.len()), (vec!["1", "2"], 3), "{:?}", facts.unreadable);
        assert_eq!(facts.unreadable[0], "component `b`: it has no version");
        for bytes in [&b""[..], b"[]", b"{\"a\":", b"7"] {
            assert!(Bitnami.parse(&LIST.into(), bytes).is_err());
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_and_the_rest_kept() {
        let purl = |purl: &str| {
            format!(r#"{{"externalRefs":[{{"referenceType":"purl","referenceLocator":"{purl}"}}]}}"#)
        };
        let text = format!(
            r#"{{"packages":[{},{},{},7,{{"name":"a b","versionInfo":"1"}},{}]}}"#,
            purl("no purl"),
            purl("pkg:deb/debian/a@1"),
            purl("pkg:bitnami/a"),
            purl("pkg:bitnami/z@1")
        );
        let facts = parse(text.as_bytes()).unwrap();
        assert_eq!((facts.packages.len(), facts.unreadable.len()), (1, 5), "{:?}", facts.unreadable);
        assert_eq!(facts.unreadable[2], "package 3: it has no version");
        for bytes in [&b""[..], b"{}", b"[]", b"{\"packages\":{}}", b"{\"packages\":[\"\xff\"]}"] {
            assert!(parse(bytes).is_err());
        }
    }

    #[test]
    fn only_documents_of_components_are_wanted() {
        let wants = |path: &str| Bitnami.wants(&path.into(), b"");
        assert!(wants(LIST) && !wants("srv/.bitnami_components.json"));
        assert!(wants(PATH) && !wants("srv/.spdx-demo.spdx") && !wants("opt/bitnami/demo.spdx"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), purl in "pkg:[a-z/@?=%.:0-9-]{0,40}") {
            let _ = parse(&bytes).is_ok();
            let _ = of_purl(&purl).is_ok();
            let _ = Bitnami.parse(&LIST.into(), &bytes).is_ok();
            let _ = Bitnami.parse(&LIST.into(), format!("{{\"{purl}\":{{\"version\":\"{purl}\"}}}}").as_bytes());
        }
    }
}
