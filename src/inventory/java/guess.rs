//! What an archive is that has no record of Maven's: a guess from its manifest and its file's name.

use std::collections::BTreeSet;

use crate::model::layer::FoundPackage;

use super::manifest::Manifest;
use super::{Coordinates, EXTENSIONS, is_coordinate, is_word};

/// What a file's name says: `NAME-VERSION[-CLASSIFIER].jar`, as repositories name their files.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// The name without extension, version and classifier.
    artifact: String,
    /// The version, where there is one.
    version: Option<String>,
}

/// Words between a version's numbers that are part of it.
const QUALIFIERS: &[&str] = &[
    "alpha",
    "beta",
    "build",
    "cr",
    "dev",
    "ea",
    "final",
    "ga",
    "hotfix",
    "incubating",
    "jbossorg",
    "jdk",
    "jre",
    "m",
    "milestone",
    "os",
    "patch",
    "pre",
    "preview",
    "r",
    "rc",
    "redhat",
    "rev",
    "snapshot",
    "sp",
];

/// What follows a version and is none: what the archive was built for or how.
const CLASSIFIERS: &[&str] = &[
    "-sources",
    "-javadoc",
    "-tests",
    "-test-sources",
    "-jar-with-dependencies",
    "-with-dependencies",
    "-all",
    "-shaded",
    "-uber",
    "-fat",
    "-exec",
    "-executable",
    "-standalone",
    "-runner",
    "-plain",
    "-linux-x86_64",
    "-linux-aarch_64",
    "-osx-x86_64",
    "-osx-aarch_64",
    "-windows-x86_64",
];

/// A file's name without an archive's extension, in whatever case.
pub(super) fn stem(name: &[u8]) -> Option<&[u8]> {
    let dot = name.iter().rposition(|b| *b == b'.')?;
    let (stem, extension) = (name.get(..dot)?, name.get(dot + 1..)?);
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known.as_bytes())).then_some(stem)
}

impl Name {
    pub(super) fn of(file: &[u8]) -> Self {
        let stem = String::from_utf8_lossy(stem(file).unwrap_or(file)).into_owned();
        let Some((artifact, version)) = version_at(&stem).and_then(|at| stem.split_at_checked(at)) else {
            return Self { artifact: stem, version: None };
        };
        let version = version.strip_prefix('-').unwrap_or(version);
        let plain = CLASSIFIERS.iter().find_map(|classifier| version.strip_suffix(classifier));
        Self { artifact: artifact.to_owned(), version: Some(plain.unwrap_or(version).to_owned()) }
    }

    /// Whether a record of Maven's in the archive is the archive's own, and not that of a library that was
    /// merged into it.
    pub(super) fn fits(&self, record: &Coordinates) -> bool {
        let plain = |name: &str| name.to_ascii_lowercase().replace(['.', '_'], "-");
        let (file, artifact) = (plain(&self.artifact), plain(&record.artifact));
        file == artifact
            || file.ends_with(&format!("-{artifact}"))
            || self.version.as_ref() == Some(&record.version)
    }
}

/// Where the version starts: at the first hyphen before a digit, unless a word of the name follows it and
/// another number after that (`log4j-1.2-api-2.17.1`).
fn version_at(stem: &str) -> Option<usize> {
    let starts = |at: &usize| *at > 0 && stem.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit);
    let hyphens: Vec<usize> = stem.match_indices('-').map(|(at, _)| at).collect();
    let first = hyphens.iter().copied().find(starts)?;
    let token = |at: usize| stem.get(at + 1..).and_then(|rest| rest.split('-').next()).unwrap_or_default();
    let is_name = |at: usize| {
        let word = token(at).to_ascii_lowercase();
        let letters = word.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        !letters.is_empty()
            && letters.starts_with(|c: char| c.is_ascii_alphabetic())
            && !QUALIFIERS.contains(&letters)
    };
    let later = hyphens.windows(2).rev().filter_map(|pair| match pair {
        [word, number] if *word > first && starts(number) && is_name(*word) => Some(*number),
        _ => None,
    });
    let is_dotted = |at: &usize| token(*at).contains('.');
    later.into_iter().find(is_dotted).or(Some(first))
}

/// The package that an archive seems to be. `record` is the directory of the one record of Maven's in it
/// that states no coordinates, `native` what it calls itself where it was built for GraalVM's native images. None where
/// nothing gives it a name and a version.
pub(super) fn package(
    name: &Name,
    manifest: &Manifest,
    record: Option<&(String, String, String)>,
    native: &BTreeSet<(String, String)>,
) -> Option<FoundPackage> {
    let version = version(name, manifest)?;
    let record = record.filter(|(group, artifact, _)| is_coordinate(group) && is_coordinate(artifact));
    let name = match record {
        Some((group, artifact, _)) => format!("{group}:{artifact}"),
        None => {
            let artifact = artifact(name, manifest)?;
            match group(manifest, &artifact).or_else(|| built(native, &artifact)) {
                Some(group) => format!("{group}:{artifact}"),
                None => artifact,
            }
        }
    };
    Some(FoundPackage { kind: "maven", name, version, guessed: true, ..FoundPackage::default() })
}

/// The file's own version is the repository's. A manifest's may be that of a specification, and a bundle's
/// is bent to OSGi's form (`30.1.0.jre`).
pub(super) fn version(name: &Name, manifest: &Manifest) -> Option<String> {
    let attributes = ["Implementation-Version", "Bundle-Version", "Specification-Version"];
    // `1.0 (build 3)` starts with the version.
    let stated = attributes.iter().filter_map(|attribute| manifest.get(attribute)?.split_whitespace().next());
    name.version.as_deref().into_iter().chain(stated).find(|version| is_word(version)).map(str::to_owned)
}

/// The file's name goes before what a bundle and a module are called: those are packages of Java, such as
/// `com.google.inject` of `guice.jar`.
fn artifact(name: &Name, manifest: &Manifest) -> Option<String> {
    let by_file = Some(name.artifact.as_str());
    [
        by_file.filter(|_| name.version.is_some()),
        manifest.get("Implementation-Title").filter(|title| is_identifier(title)),
        by_file,
        symbolic_name(manifest),
        manifest.get("Specification-Title").filter(|title| is_identifier(title)),
        manifest.get("Automatic-Module-Name"),
    ]
    .into_iter()
    .flatten()
    .find(|artifact| is_coordinate(artifact))
    .map(str::to_owned)
}

/// A title is often a sentence; an artifact has letters, digits and few marks.
fn is_identifier(title: &str) -> bool {
    title.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn symbolic_name(manifest: &Manifest) -> Option<&str> {
    manifest.get("Bundle-SymbolicName")?.split(';').next().map(str::trim).filter(|name| !name.is_empty())
}

/// The group under which GraalVM is told of the artifact. Attack: several, of which one is that of another.
fn built(native: &BTreeSet<(String, String)>, artifact: &str) -> Option<String> {
    let mut groups = native.iter().filter(|(_, of)| of == artifact).map(|(group, _)| group);
    groups.next().filter(|_| groups.next().is_none()).cloned()
}

/// The group, only where the manifest can hardly mean another: advisories are looked up by it, and a wrong
/// one finds none. `org.apache` is the vendor of `commons-beanutils`, whose group is no part of its
/// symbolic name `org.apache.commons.commons-beanutils` either. Hence a vendor of three parts, or one that
/// the symbolic name joins with this artifact.
fn group(manifest: &Manifest, artifact: &str) -> Option<String> {
    let vendor = manifest.get("Implementation-Vendor-Id")?;
    let is_group = is_identifier(vendor) && !vendor.split('.').any(str::is_empty);
    let joined = symbolic_name(manifest) == Some(&format!("{vendor}.{artifact}"));
    (is_group && is_coordinate(vendor) && (vendor.split('.').count() >= 3 || joined))
        .then(|| vendor.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(file: &str) -> (String, Option<String>) {
        let name = Name::of(file.as_bytes());
        (name.artifact, name.version)
    }

    #[test]
    fn a_files_name_is_artifact_and_version() {
        for (file, artifact, version) in [
            ("guava-30.1-jre.jar", "guava", Some("30.1-jre")),
            ("log4j-1.2-api-2.17.1.jar", "log4j-1.2-api", Some("2.17.1")),
            ("level-3-jar.JAR", "level", Some("3-jar")),
            ("a-1.0-beta-2.1.war", "a", Some("1.0-beta-2.1")),
            ("a-1.0-20200101.120000-3.jar", "a", Some("1.0-20200101.120000-3")),
            ("netty-epoll-4.1.50.Final-linux-x86_64.jar", "netty-epoll", Some("4.1.50.Final")),
            ("jackson-module-scala_2.12-2.9.8.jar", "jackson-module-scala_2.12", Some("2.9.8")),
            ("a-1.0-sources.jar", "a", Some("1.0")),
            ("a-all-1.0.jar", "a-all", Some("1.0")),
            ("rt.jar", "rt", None),
            ("-1.jar", "-1", None),
            ("a-.jar", "a-", None),
        ] {
            assert_eq!(name(file), (artifact.to_owned(), version.map(str::to_owned)), "{file}");
        }
    }

    #[test]
    fn a_record_of_another_library_does_not_fit() {
        let record = |artifact: &str, version: &str| Coordinates {
            group: "g".into(),
            artifact: artifact.into(),
            version: version.into(),
        };
        let file = Name::of(b"org.apache.commons.lang3-3.12.jar");
        assert!(file.fits(&record("commons-lang3", "3.12.0")) && file.fits(&record("other", "3.12")));
        assert!(!file.fits(&record("asm", "9")) && !file.fits(&record("ang3", "9")));
    }

    fn guess(file: &str, manifest: &str) -> Option<(String, String)> {
        package(&Name::of(file.as_bytes()), &Manifest::parse(manifest.as_bytes()), None, &BTreeSet::new())
            .inspect(|package| assert!(package.guessed))
            .map(|package| (package.name, package.version))
    }

    #[test]
    fn the_repositorys_name_goes_before_the_manifest() {
        let manifest = "Implementation-Title: Apache Tomcat\nImplementation-Version: 9.0.63\n\
            Bundle-SymbolicName: org.apache.tomcat-embed-el;singleton:=true\nBundle-Version: 9.0.63.0\n";
        for (file, version) in [("tomcat-embed-el-9.0.64.jar", "9.0.64"), ("tomcat-embed-el.jar", "9.0.63")] {
            assert_eq!(guess(file, manifest), Some(("tomcat-embed-el".into(), version.into())));
        }
        let rt = "Implementation-Title: Java Runtime Environment\nImplementation-Version: 1.8.0_292\n";
        assert_eq!(guess("rt.jar", rt), Some(("rt".into(), "1.8.0_292".into())));
        let own = "Implementation-Title: orders\nImplementation-Version: 1.0 (build 3)\n";
        assert_eq!(guess("app.jar", own), Some(("orders".into(), "1.0".into())));
        let module = "Automatic-Module-Name: org.a.b\nSpecification-Version: 2\n";
        assert_eq!(guess("app.jar", module), Some(("app".into(), "2".into())));
        assert_eq!(guess("a b.jar", module), Some(("org.a.b".into(), "2".into())));
        assert_eq!(guess("app.jar", "Implementation-Version: ${v}\n"), None);
        assert_eq!(guess("a b-1.jar", ""), None);
    }

    #[test]
    fn a_group_is_named_only_where_it_is_hardly_another() {
        let of = |vendor: &str, symbolic: &str| {
            let text = format!("Implementation-Vendor-Id: {vendor}\nBundle-SymbolicName: {symbolic}\n");
            guess("a-b-1.jar", &text).unwrap().0
        };
        assert_eq!(of("org.apache.x", ""), "org.apache.x:a-b");
        assert_eq!(of("org.yaml", "org.yaml.a-b"), "org.yaml:a-b");
        assert_eq!(of("org.apache", "org.apache.commons.a-b"), "a-b");
        assert_eq!(of("org..apache", ""), "a-b");
        assert_eq!(of("The Apache Foundation", ""), "a-b");
    }
}
