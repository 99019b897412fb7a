//! Java archives, and the archives in them: Maven's own record where there is one (Maven Archiver,
//! "Maven Descriptor Files"), else a guess from the manifest (JAR File Specification) and the file's name.
//!
//! The archives of a runtime are guesses too: `rt.jar` and `jrt-fs.jar` have the version of their JDK. Its
//! `jmods` and `modules` are no archives of an application and are not read.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

use crate::model::layer::{Facts, FoundPackage};
use crate::model::path::{ImagePath, escape};

use super::archive::{Archive, Budget, Entry};
use super::{Cataloger, Unreadable};

mod guess;
mod manifest;
mod pom;
mod properties;

/// Catalogs Java archives by their extension.
pub(super) struct Java;

/// What Java's tools and servers take for an archive.
const EXTENSIONS: &[&str] =
    &["jar", "war", "ear", "par", "sar", "nar", "jpi", "hpi", "kar", "far", "lpkg", "rar", "zap"];

/// How deep archives nest: a jar in a jar in a war in an ear. Attack: an archive that holds itself.
const MAX_DEPTH: usize = 3;

/// The largest nested archive, which is held in memory while it is read: 128 MiB.
const MAX_NESTED: u64 = 128 << 20;

/// The largest `pom.properties`, which has three lines: 1 MiB.
const MAX_PROPERTIES: u64 = 1 << 20;

/// The largest `pom.xml` and manifest: 16 MiB. The manifest of a signed archive has a digest a file.
const MAX_TEXT: u64 = 16 << 20;

/// Artifacts that are looked at below `META-INF/native-image`: an archive with all its libraries has a dozen.
const MAX_NATIVE: usize = 1_000;

/// The longest name or version.
const WORD: usize = 256;

impl Cataloger for Java {
    fn id(&self) -> &'static str {
        "java"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        is_archive(path.file_name())
    }

    /// 256 MiB; a large application with all its libraries has 100.
    fn limit(&self) -> u64 {
        256 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let archive = Archive::open(bytes).map_err(Unreadable)?;
        let mut walk = Walk::default();
        walk.archive(&archive, &Place { path: path.clone(), inside: String::new(), depth: 0 });
        Ok(walk.facts)
    }
}

fn is_archive(name: &[u8]) -> bool {
    guess::stem(name).is_some()
}

/// Maven's coordinates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Coordinates {
    group: String,
    artifact: String,
    version: String,
}

/// Where an archive is.
struct Place {
    /// Its path, nesting shown: `opt/app.war!/WEB-INF/lib/a.jar`.
    path: ImagePath,
    /// How causes start that are about a nested archive; empty for the file itself.
    inside: String,
    depth: usize,
}

/// What an archive says of itself, and what it holds.
#[derive(Default)]
struct Claimed<'e, 'a> {
    /// `pom.properties` and `pom.xml`.
    records: Vec<&'e Entry<'a>>,
    poms: Vec<&'e Entry<'a>>,
    manifests: Vec<&'e Entry<'a>>,
    nested: Vec<&'e Entry<'a>>,
    /// Group and artifact by the directories below `META-INF/native-image`.
    native: BTreeSet<(String, String)>,
    has_class: bool,
}

/// What an archive is about, before it becomes packages.
#[derive(Default)]
struct Identity {
    /// Stated by Maven.
    certain: Vec<(Coordinates, pom::Pom)>,
    /// Directories of Maven's records that say no coordinates: group, artifact, cause.
    vague: Vec<(String, String, String)>,
}

#[derive(Default)]
struct Walk {
    facts: Facts,
    budget: Budget,
}

impl Walk {
    fn archive(&mut self, archive: &Archive<'_>, place: &Place) {
        for fault in &archive.faults {
            self.blame(place, None, fault);
        }
        let mut claimed = Claimed::default();
        for entry in &archive.entries {
            claimed.sort_in(entry);
        }
        let identity = self.identity(archive, &claimed, place);
        self.packages(archive, &claimed, &identity, place);
        for entry in claimed.nested {
            self.nested(archive, entry, place);
        }
    }

    fn nested(&mut self, archive: &Archive<'_>, entry: &Entry<'_>, place: &Place) {
        if place.depth >= MAX_DEPTH {
            return self.blame(place, Some(entry), &format!("archives nest deeper than {MAX_DEPTH}"));
        }
        // Attack: `../../lib/x.jar`, to stand for a file of the image.
        let Ok(name) = ImagePath::normalise(&entry.path()) else {
            return self.blame(place, Some(entry), "its name leads out of the archive");
        };
        let path = ImagePath::from_raw([place.path.as_bytes(), b"!/", name.as_bytes()].concat());
        let inside = format!("{}`{}`: ", place.inside, escape(name.as_bytes()));
        let place_of_it = Place { path, inside, depth: place.depth + 1 };
        let content = self
            .budget
            .archive()
            .and_then(|()| self.budget.take(place_of_it.path.as_bytes().len() as u64))
            .and_then(|()| archive.read(entry, MAX_NESTED, &mut self.budget));
        let opened = content.as_ref().map_err(Clone::clone).and_then(|content| Archive::open(content));
        match opened {
            Ok(nested) => self.archive(&nested, &place_of_it),
            Err(cause) => self.blame(place, Some(entry), &cause),
        }
    }

    /// Reads Maven's records.
    fn identity(&mut self, archive: &Archive<'_>, claimed: &Claimed<'_, '_>, place: &Place) -> Identity {
        let mut identity = Identity::default();
        // Attack: a hundred thousand of either, each looked for among all of the other.
        let poms: HashMap<Vec<u8>, &Entry<'_>> =
            claimed.poms.iter().map(|entry| (directory(entry), *entry)).collect();
        let mut stated = HashSet::new();
        for entry in &claimed.records {
            let Some(text) = self.read(archive, entry, MAX_PROPERTIES, place) else { continue };
            let directory = directory(entry);
            let beside = poms.get(&directory);
            match properties::coordinates(&text) {
                Ok(coordinates) => {
                    let pom = beside.and_then(|pom| self.read(archive, pom, MAX_TEXT, place));
                    let pom = pom.and_then(|text| pom::parse(&text).ok()).unwrap_or_default();
                    identity.certain.push((coordinates, pom));
                    stated.insert(directory);
                }
                // The project file beside it may say.
                Err(_) if beside.is_some() => {}
                Err(cause) => identity.vague.push(vague(entry, cause)),
            }
        }
        for entry in claimed.poms.iter().filter(|pom| !stated.contains(&directory(pom))) {
            let Some(text) = self.read(archive, entry, MAX_TEXT, place) else { continue };
            match pom::parse(&text).and_then(|pom| Ok((pom.coordinates()?, pom))) {
                Ok(found) => identity.certain.push(found),
                Err(cause) => identity.vague.push(vague(entry, cause)),
            }
        }
        identity
    }

    fn packages(
        &mut self,
        archive: &Archive<'_>,
        claimed: &Claimed<'_, '_>,
        identity: &Identity,
        place: &Place,
    ) {
        let name = guess::Name::of(place.path.file_name());
        let own = identity.certain.iter().position(|(coordinates, _)| name.fits(coordinates));
        // A project inherits its licence from a parent that is not here; the manifest has it.
        let silent = |at: &usize| identity.certain.get(*at).is_some_and(|(_, pom)| pom.licenses.is_empty());
        let manifest = match own {
            Some(at) if !silent(&at) => manifest::Manifest::default(),
            Some(_) | None => self.manifest(archive, claimed, place),
        };
        for (at, (coordinates, pom)) in identity.certain.iter().enumerate() {
            let inherited = own == Some(at) && silent(&at);
            let licenses = if inherited { manifest.licenses() } else { pom.licenses.clone() };
            self.add(place, coordinates, pom, licenses);
        }
        if own.is_some() {
            return self.blame_vague(place, &identity.vague);
        }
        // The records of libraries merged into this one do not say what it is itself.
        let version = guess::version(&name, &manifest);
        if identity.certain.iter().any(|(coordinates, _)| version.as_ref() == Some(&coordinates.version)) {
            return self.blame_vague(place, &identity.vague);
        }
        let (record, rest) = match identity.vague.as_slice() {
            [only] if identity.certain.is_empty() => (Some(only), &[][..]),
            vague => (None, vague),
        };
        self.blame_vague(place, rest);
        match guess::package(&name, &manifest, record, &claimed.native) {
            Some(mut package) => {
                package.location = Some(place.path.clone());
                package.licenses = manifest.licenses();
                self.found(place, package);
            }
            // What only wraps other archives is said by them.
            None if identity.certain.is_empty() && (claimed.has_class || claimed.nested.is_empty()) => {
                self.blame(place, None, "neither its metadata nor its name says what it is");
            }
            None => {}
        }
    }

    fn manifest(
        &mut self,
        archive: &Archive<'_>,
        claimed: &Claimed<'_, '_>,
        place: &Place,
    ) -> manifest::Manifest {
        let mut manifest = manifest::Manifest::default();
        for entry in &claimed.manifests {
            if let Some(text) = self.read(archive, entry, MAX_TEXT, place) {
                manifest = manifest::Manifest::parse(&text);
            }
        }
        manifest
    }

    fn add(&mut self, place: &Place, coordinates: &Coordinates, pom: &pom::Pom, licenses: Vec<String>) {
        let package = FoundPackage {
            kind: "maven",
            name: format!("{}:{}", coordinates.group, coordinates.artifact),
            version: coordinates.version.clone(),
            licenses,
            requires: pom.requires(coordinates),
            location: Some(place.path.clone()),
            ..FoundPackage::default()
        };
        self.found(place, package);
    }

    /// Attack: a hundred thousand packages, each with a path of kilobytes.
    fn found(&mut self, place: &Place, package: FoundPackage) {
        match self.budget.take(place.path.as_bytes().len() as u64) {
            Ok(()) => self.facts.add(package),
            Err(cause) => self.blame(place, None, &cause),
        }
    }

    fn read<'a>(
        &mut self,
        archive: &Archive<'a>,
        entry: &Entry<'a>,
        limit: u64,
        place: &Place,
    ) -> Option<Cow<'a, [u8]>> {
        match archive.read(entry, limit, &mut self.budget) {
            Ok(content) => Some(content),
            Err(cause) => {
                self.blame(place, Some(entry), &cause);
                None
            }
        }
    }

    fn blame_vague(&mut self, place: &Place, vague: &[(String, String, String)]) {
        for (group, artifact, cause) in vague {
            let shown = escape(format!("{group}/{artifact}").as_bytes());
            self.blame(place, None, &format!("Maven's record of `{shown}`: {cause}"));
        }
    }

    fn blame(&mut self, place: &Place, entry: Option<&Entry<'_>>, cause: &str) {
        let entry = entry.map(|entry| escape(entry.name.get(..200).unwrap_or(entry.name)));
        let entry = entry.map_or_else(String::new, |name| format!("`{name}`: "));
        self.facts.blame(format!("{}{entry}{cause}", place.inside));
    }
}

impl<'e, 'a> Claimed<'e, 'a> {
    fn sort_in(&mut self, entry: &'e Entry<'a>) {
        let path = entry.path();
        let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        // `JarFile` takes the manifest in any case.
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
        // Attack: a hundred thousand of them, which would be looked through for nothing.
        if let Some(named) = native(&path).filter(|_| self.native.len() < MAX_NATIVE) {
            self.native.insert(named);
        }
        if name.ends_with(b".class") {
            self.has_class = true;
        } else if is("pom.properties") && is_maven(&path) {
            self.records.push(entry);
        } else if is("pom.xml") && is_maven(&path) {
            self.poms.push(entry);
        } else if path.eq_ignore_ascii_case(b"META-INF/MANIFEST.MF") {
            self.manifests.push(entry);
        } else if is_archive(name) {
            self.nested.push(entry);
        }
    }
}

/// `META-INF/native-image/GROUP/ARTIFACT/…` (GraalVM Native Image, "Build Configuration"): who built the archive
/// for it named itself.
fn native(path: &[u8]) -> Option<(String, String)> {
    let rest = path.strip_prefix(b"META-INF/native-image/")?;
    let mut parts = rest.split(|b| *b == b'/').map(|part| str::from_utf8(part).ok());
    let (group, artifact) = (parts.next()??, parts.next()??);
    // What lies right there is a file of no artifact.
    parts.next()?;
    (is_coordinate(group) && is_coordinate(artifact)).then(|| (group.to_owned(), artifact.to_owned()))
}

/// Whether it lies below a `META-INF/maven`, be it that of the classes in a war.
fn is_maven(path: &[u8]) -> bool {
    let parts: Vec<&[u8]> = path.split(|b| *b == b'/').collect();
    parts.windows(2).any(
        |pair| matches!(pair, [meta, maven] if meta.eq_ignore_ascii_case(b"META-INF") && *maven == b"maven"),
    )
}

fn directory(entry: &Entry<'_>) -> Vec<u8> {
    let path = entry.path();
    let end = path.iter().rposition(|b| *b == b'/').unwrap_or(0);
    path.get(..end).unwrap_or_default().to_vec()
}

/// Group and artifact as the directory of a record has them.
fn vague(entry: &Entry<'_>, cause: String) -> (String, String, String) {
    let directory = directory(entry);
    let mut parts = directory.rsplit(|b| *b == b'/').map(|part| String::from_utf8_lossy(part).into_owned());
    let artifact = parts.next().unwrap_or_default();
    (parts.next().unwrap_or_default(), artifact, cause)
}

/// Whether a name or version can be one: no white space, no control characters, nothing that Maven left
/// to be filled in.
fn is_word(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= WORD
        && !value.contains(|c: char| c.is_whitespace() || c.is_control())
        && !value.contains("${")
        && !value.contains('@')
}

/// The same of a group or artifact, which the name joins with a colon.
fn is_coordinate(value: &str) -> bool {
    is_word(value) && !value.contains([':', '/'])
}

impl Coordinates {
    /// Coordinates that can be some.
    fn new(group: Option<String>, artifact: Option<String>, version: Option<String>) -> Result<Self, String> {
        let part = |what: &str, value: Option<String>, is: fn(&str) -> bool| match value {
            Some(value) if is(&value) => Ok(value),
            Some(value) if value.len() > WORD => Err(format!("its {what} has {} bytes", value.len())),
            Some(value) => Err(format!("its {what} is no word: `{}`", escape(value.as_bytes()))),
            None => Err(format!("it has no {what}")),
        };
        Ok(Self {
            group: part("groupId", group, is_coordinate)?,
            artifact: part("artifactId", artifact, is_coordinate)?,
            version: part("version", version, is_word)?,
        })
    }
}

#[cfg(test)]
mod tests;
