//! What a labelled package was: labels give a name and a version, and neither type nor source nor place.

use std::collections::{BTreeMap, BTreeSet};

use portcullis::model::inventory::{LayerRef, Package, SourcePackage};
use portcullis::model::layer::Distro;
use portcullis::model::purl::Purl;
use portcullis::osv::names::{base, normalise};

/// An image of `images.txt`.
#[derive(Debug, Clone)]
pub struct Image {
    pub distro: Option<Distro>,
    /// The exact ecosystem string of its distribution's advisories.
    pub ecosystem: String,
    /// purl type of its distribution's packages.
    pub kind: &'static str,
    /// Language ecosystems of which it has packages, and whether packages of the distribution may own them.
    pub languages: Vec<(String, bool)>,
}

/// OSV ecosystem and purl type.
const TYPES: [(&str, &str); 7] = [
    ("Go", "golang"),
    ("Maven", "maven"),
    ("NuGet", "nuget"),
    ("PyPI", "pypi"),
    ("RubyGems", "gem"),
    ("crates.io", "cargo"),
    ("npm", "npm"),
];

pub fn images() -> BTreeMap<String, Image> {
    let rows = include_str!("images.txt").lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| image(&row.split(' ').collect::<Vec<_>>())).collect()
}

fn image(row: &[&str]) -> (String, Image) {
    let [digest, id, version, ecosystem, kind, languages] = row else { panic!("{row:?}") };
    let stated = |text: &str| if text == "-" { String::new() } else { text.to_owned() };
    let distro = Distro { id: (*id).to_owned(), version_id: stated(version), ..Distro::default() };
    let image = Image {
        distro: (*id != "-").then_some(distro),
        ecosystem: stated(ecosystem).replace('_', " "),
        kind: ["apk", "deb", "rpm", "-"].into_iter().find(|known| known == kind).unwrap(),
        languages: languages
            .split(',')
            .filter(|name| *name != "-")
            .map(|name| name.strip_suffix('?').map_or((name, false), |name| (name, true)))
            .map(|(name, owned)| (name.to_owned(), owned))
            .collect(),
    };
    ((*digest).to_owned(), image)
}

/// `sources.txt`: the source of a binary package, by type, release (or none) and name.
pub type Sources = BTreeMap<(String, String), String>;

pub fn sources() -> Sources {
    let mut sources = Sources::new();
    for line in include_str!("sources.txt").lines().filter(|line| !line.starts_with('#')) {
        let (head, binaries) = line.split_once(": ").unwrap();
        let (kind, source) = head.split_once(' ').unwrap();
        for binary in binaries.split(' ') {
            let known = sources.insert((kind.to_owned(), binary.to_owned()), source.to_owned());
            assert_eq!(known, None, "{line}");
        }
    }
    sources
}

/// Names that the corpus has in an ecosystem, under what labels call them: normalised, and Maven's artifact
/// without its group as well.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<(String, String), BTreeMap<String, usize>>);

impl Names {
    pub fn add(&mut self, ecosystem: &str, name: &str) {
        if !TYPES.iter().any(|(known, _)| *known == ecosystem) {
            return;
        }
        let full = normalise(ecosystem, name).into_owned();
        let mut short = BTreeSet::from([full.clone()]);
        if ecosystem == "Maven" {
            short.extend(full.split_once(':').map(|(_, artifact)| artifact.to_owned()));
        }
        for called in short {
            *self.0.entry((ecosystem.to_owned(), called)).or_default().entry(full.clone()).or_default() += 1;
        }
    }

    /// The name that most records have for it, and whether no other has half as many.
    fn full(&self, ecosystem: &str, called: &str) -> Option<(&str, bool)> {
        let names = self.0.get(&(ecosystem.to_owned(), normalise(ecosystem, called).into_owned()))?;
        let (name, most) = names.iter().max_by_key(|(_, count)| **count)?;
        let alone = names.iter().all(|(other, count)| other == name || count * 2 <= *most);
        Some((name, alone))
    }
}

/// What a label's package may have been: one package, or several of which one is right.
pub fn packages(
    image: &Image,
    (name, version): (&str, &str),
    sources: &Sources,
    names: &Names,
) -> Vec<(String, Package)> {
    if let Some(package) = system(image, name, version, sources) {
        return vec![(image.ecosystem.clone(), package)];
    }
    let known: Vec<_> = image
        .languages
        .iter()
        .filter_map(|(ecosystem, owned)| {
            let (full, sure) = names.full(ecosystem, name)?;
            Some((ecosystem.clone(), language(ecosystem, full, version), sure, *owned))
        })
        .collect();
    let several = known.len() > 1;
    let doubted = |(ecosystem, mut package, sure, owned): (String, Package, bool, bool)| {
        if several || !sure {
            package.doubt = Some("a label's name stands for several packages".into());
        } else if owned {
            package.doubt = Some("a label does not say whether the distribution's packages own it".into());
        }
        (ecosystem, package)
    };
    known.into_iter().map(doubted).collect()
}

/// `others.txt`: packages that are of no ecosystem, as `IMAGE NAME VERSION`.
pub fn others() -> BTreeSet<&'static str> {
    let lines = include_str!("others.txt").lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(": ").map_or(line, |(package, _)| package)).collect()
}

/// A package of the distribution, told by the form of its version.
fn system(image: &Image, name: &str, version: &str, sources: &Sources) -> Option<Package> {
    let distro = image.distro.as_ref()?;
    let purl = Purl::new(image.kind, Some(&distro.id), name, Some(version));
    let package = Package::new(purl, image.kind, name, version, LayerRef::default());
    match image.kind {
        "apk" => {
            let (_, revision) = version.rsplit_once("-r")?;
            let is_apk = !revision.is_empty() && revision.bytes().all(|b| b.is_ascii_digit());
            is_apk.then(|| from_source(package, source(distro, "apk", name, sources), version.to_owned()))
        }
        "deb" => {
            let source = source(distro, "deb", name, sources);
            let native = matches!(source, Some("apt" | "dpkg"));
            let is_deb = version.contains("ubuntu") || source.is_some() && (native || version.contains('-'));
            is_deb.then(|| from_source(package, source, source_version(name, version)))
        }
        // RPM's records name what is installed; a release ends with the distribution's mark.
        "rpm" => {
            let marks = [".el", "+el", "module_el", ".amzn", ".cm2"];
            let is_rpm = distro.id == "sles" || marks.iter().any(|mark| version.contains(mark));
            is_rpm.then_some(package)
        }
        _ => None,
    }
}

fn source<'s>(distro: &Distro, kind: &str, name: &str, sources: &'s Sources) -> Option<&'s str> {
    let own = (format!("{kind}/{}", distro.version_id), name.to_owned());
    let any = (kind.to_owned(), name.to_owned());
    sources.get(&own).or_else(|| sources.get(&any)).map(String::as_str)
}

/// Without the epoch that only these binary packages have, and without the mark of a rebuild.
fn source_version(name: &str, version: &str) -> String {
    let version = match name {
        "bsdutils" | "libgcc1" => version.split_once(':').map_or(version, |(_, rest)| rest),
        _ => version,
    };
    let rebuilt = version.rsplit_once("+b");
    let front = rebuilt.filter(|(_, count)| count.bytes().all(|b| b.is_ascii_digit()));
    front.map_or(version, |(front, _)| front).to_owned()
}

fn from_source(mut package: Package, source: Option<&str>, version: String) -> Package {
    match source {
        Some(name) => package.source = Some(SourcePackage { name: name.to_owned(), version }),
        None => package.doubt = Some("a label does not state the source package".into()),
    }
    package
}

fn language(ecosystem: &str, full: &str, version: &str) -> Package {
    let kind = TYPES.iter().find(|(name, _)| *name == base(ecosystem)).map(|(_, kind)| *kind).unwrap();
    let (namespace, name) = match kind {
        "maven" => full.split_once(':').map_or((None, full), |(group, name)| (Some(group), name)),
        "golang" | "npm" => full.rsplit_once('/').map_or((None, full), |(space, name)| (Some(space), name)),
        _ => (None, full),
    };
    // As the cataloger writes it, the toolchain's version is without its `go`.
    let version = if full == "stdlib" { version.trim_start_matches("go") } else { version };
    let purl = Purl::new(kind, namespace, name, Some(version));
    Package::new(purl, kind, full, version, LayerRef::default())
}
