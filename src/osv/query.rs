//! From a package to the questions that are put to the advisories.

use std::collections::BTreeSet;

use crate::model::inventory::{EPOCH_UNSTATED, Inventory, Package};
use crate::model::layer::Distro;
use crate::model::path::escape;

use super::distro::{self, Feed, NamedBy, Release};
use super::names::{normalise, rebuilt};

/// How the packages of a language are asked about.
struct Language {
    /// purl type.
    kind: &'static str,
    /// OSV ecosystem.
    ecosystem: &'static str,
    /// The version as the ecosystem's records write it.
    version: fn(&Package) -> String,
}

const fn language(kind: &'static str, ecosystem: &'static str) -> Language {
    Language { kind, ecosystem, version: |package| package.version.clone() }
}

/// Language packages.
static LANGUAGES: &[Language] = &[
    Language { version: bitnami_version, ..language("bitnami", "Bitnami") },
    language("cargo", "crates.io"),
    language("composer", "Packagist"),
    language("cran", "CRAN"),
    Language { version: gem_version, ..language("gem", "RubyGems") },
    Language { version: go_version, ..language("golang", "Go") },
    language("hackage", "Hackage"),
    language("hex", "Hex"),
    language("maven", "Maven"),
    language("npm", "npm"),
    language("nuget", "NuGet"),
    language("pub", "Pub"),
    language("pypi", "PyPI"),
    language("swift", "SwiftURL"),
];

/// The doubt of a package whose name or version is a guess.
pub(super) const GUESSED: &str = "its name or version is a guess: no package manager states it";

/// How the advisories are asked about one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    /// Records of any of these ecosystems count.
    pub(super) releases: Vec<Release>,
    /// What the package is called there.
    pub(super) names: Vec<Named>,
    /// Why neither a match nor silence is certain: a lowercase fragment.
    pub(super) doubt: Option<String>,
    /// Why silence is not certain, while a record under the name would tell that the name is one.
    pub(super) doubt_of_silence: Option<String>,
}

/// A name under which records may speak of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// The name, normalised.
    pub(super) name: String,
    /// The version that goes with it: the source package's with the name of the source.
    pub(super) version: String,
    /// Whether the version has lost its epoch, so that it must be compared without.
    pub(super) epoch_lost: bool,
}

impl Named {
    /// Why the version cannot be compared whatever the order. Attack: `UNKNOWN` or `${project.version}` in place of a
    /// version: the orders of Maven and RPM take any word and put it below every number, so that no range would
    /// begin early enough.
    pub(super) fn no_version(&self) -> Option<String> {
        // What build tools write where they are not told a version: semantic-release, versioneer, setuptools-scm. Below
        // every `introduced`, such a package would be clean.
        const PLACEHOLDERS: [&str; 5] =
            ["0.0.0-development", "0.0.0-semantic", "0+unknown", "0+untagged", "0.0.0+unknown"];
        let version = self.version.trim_start_matches('v');
        let is_word = !version.is_empty()
            && (!version.bytes().any(|b| b.is_ascii_digit())
                || PLACEHOLDERS.iter().any(|placeholder| version.starts_with(placeholder)));
        is_word.then(|| format!("`{}` is no version", self.version))
    }
}

/// Whether packages of a purl type belong to an operating system: its distribution answers for them.
pub(super) fn is_of_system(kind: &str) -> bool {
    matches!(kind, "apk" | "deb" | "rpm")
}

/// Whether OSV has an ecosystem for packages of a purl type.
pub(super) fn has_advisories(kind: &str) -> bool {
    is_of_system(kind) || LANGUAGES.iter().any(|language| language.kind == kind)
}

impl Query {
    /// The questions about a package.
    ///
    /// # Errors
    /// Why none can be put: a lowercase fragment, the same words for the same cause.
    pub(super) fn about(package: &Package, distro: Option<&Distro>) -> Result<Self, String> {
        if let Some(language) = LANGUAGES.iter().find(|language| language.kind == package.kind) {
            return Self::of_language(package, language);
        }
        if !is_of_system(package.kind) {
            return Err(format!(
                "this version of portcullis knows no advisories for packages of type {}",
                package.kind
            ));
        }
        let mut feed = distro::feed(distro, package.kind)?;
        let release = || feed.releases.first().map_or_else(String::new, Release::to_string);
        match package.supplier.as_deref().filter(|vendor| !vendor.is_empty()) {
            Some(vendor) if !feed.speaks_of(vendor) => {
                let vendor = escape(vendor.as_bytes());
                return Err(format!(
                    "the advisories for {} do not speak of packages of `{vendor}`",
                    release()
                ));
            }
            // A distribution's own packages state their vendor. A document may leave it out.
            None if feed.has_vendors() && was_read(package) => {
                return Err(format!(
                    "it names no vendor: the advisories for {} may not speak of it",
                    release()
                ));
            }
            Some(_) | None => {}
        }
        if feed.releases.iter().any(Release::is_red_hat) && !is_of_enterprise_linux(&package.version) {
            return Err("which product of Red Hat it is of is not known".into());
        }
        if let Some(vendor) = rebuilt(&package.name) {
            let rebuilt: Vec<Release> = feed.releases.iter().flat_map(|own| own.rebuilt_by(vendor)).collect();
            feed.releases.extend(rebuilt);
        }
        Ok(Self::of_system(package, feed))
    }

    fn of_language(package: &Package, language: &Language) -> Result<Self, String> {
        let Language { ecosystem, version, .. } = language;
        // A jar without a pom tells its artifact at best. Nothing is filed under that alone.
        if *ecosystem == "Maven" && !package.name.contains(':') {
            return Err("which group of Maven artifacts it is of is not known".into());
        }
        let name = normalise(ecosystem, &package.name).into_owned();
        let mut releases = vec![Release::Language((*ecosystem).to_owned())];
        // The name alone does not tell: anybody may call a package `seal-…`.
        releases.extend(rebuilt(&name).map(|vendor| Release::Exact(format!("{vendor}:{ecosystem}"))));
        let named = Named { name, version: version(package), epoch_lost: false };
        let cause = package.guessed.then(|| GUESSED.to_owned());
        // What an SBOM tool writes where it knows no group: `guava:guava`. There are artifacts named so.
        let doubled = language.kind == "maven"
            && package.name.split_once(':').is_some_and(|(group, artifact)| group == artifact);
        let (doubt, doubt_of_silence) = if doubled { (None, cause) } else { (cause, None) };
        Ok(Self { releases, names: vec![named], doubt, doubt_of_silence })
    }

    fn of_system(package: &Package, feed: Feed) -> Self {
        let epoch_lost = package.doubt.as_deref() == Some(EPOCH_UNSTATED);
        let own = Named { name: package.name.clone(), version: package.version.clone(), epoch_lost };
        let source = match &package.source {
            Some(source) => {
                let (version, lost) = match package.kind {
                    "rpm" => rpm_source_version(&package.version, &source.version),
                    _ => (source.version.clone(), false),
                };
                Named { name: source.name.clone(), version, epoch_lost: lost || epoch_lost }
            }
            None => own.clone(),
        };
        let mut doubt = None;
        // dpkg and apk leave the source out where it has the name of the binary; rpm states it always.
        if package.kind == "rpm" && package.source.is_none() && feed.by == NamedBy::Source {
            doubt = Some("its source package is not stated, which the advisories go by".to_owned());
        }
        let mut names = match feed.by {
            NamedBy::Source => vec![source],
            NamedBy::Binary => vec![own],
            NamedBy::SourceAndBinary => vec![own, source],
        };
        names.dedup_by(|second, first| second.name == first.name);
        Self { releases: feed.releases, names, doubt, doubt_of_silence: None }
    }
}

/// Whether a package was read from an image, and not from a document of another tool: its layer is wholly known.
fn was_read(package: &Package) -> bool {
    let layer = &package.layer;
    layer.index.is_some() && layer.digest.is_some() && layer.diff_id.is_some()
}

/// The base ecosystems whose advisories the packages of an image need.
#[must_use]
pub fn ecosystems(inventory: &Inventory) -> BTreeSet<String> {
    let queries =
        inventory.packages.iter().filter_map(|package| Query::about(package, inventory.distro.as_ref()).ok());
    queries
        .flat_map(|query| query.releases.iter().map(|release| release.base().to_owned()).collect::<Vec<_>>())
        .collect()
}

/// The version of an RPM's source, with the epoch of the binary where both have the same version and release: they
/// come from one spec file. `SOURCERPM` states no epoch, so that of another one is lost.
fn rpm_source_version(binary: &str, source: &str) -> (String, bool) {
    let without_epoch = binary.split_once(':').map_or(binary, |(_, rest)| rest);
    if source.contains(':') {
        (source.to_owned(), false)
    } else if without_epoch == source {
        (binary.to_owned(), false)
    } else {
        (source.to_owned(), true)
    }
}

/// Whether an RPM's release has the tag of the distribution alone: `.el8`, `.el8_10.2`, `.module+el8.5.0+…`. Builds of
/// other products have tags of their own (`.el8ost`, `.rhaos4.12.el8`), and records under other names.
fn is_of_enterprise_linux(version: &str) -> bool {
    let release = version.rsplit_once('-').map_or(version, |(_, release)| release);
    let Some(at) = release.rfind("el").filter(|at| *at > 0) else { return false };
    let (front, tag) = release.split_at(at);
    let digits = tag.get(2..).unwrap_or_default();
    let is_plain = digits.bytes().all(|b| b.is_ascii_digit() || b"._+".contains(&b));
    let is_module = front.ends_with(".module+") || front.ends_with(".module_");
    !front.contains("rhaos") && ((front.ends_with('.') && is_plain) || is_module)
}

/// Bitnami's own revision taken off: `1.2.3` of `1.2.3-4`, which its advisories do not count.
fn bitnami_version(package: &Package) -> String {
    let version = package.version.as_str();
    match version.rsplit_once('-') {
        Some((upstream, revision)) if revision.bytes().all(|b| b.is_ascii_digit()) => upstream.to_owned(),
        Some(_) | None => version.to_owned(),
    }
}

/// A gem's version without the platform that SBOM tools put behind it: `1.15.4` of `1.15.4-x86_64-linux`.
fn gem_version(package: &Package) -> String {
    package.version.split('-').next().unwrap_or_default().to_owned()
}

/// The toolchain's versions as Go's database writes them (`1.22.0-rc.1` of `1.22rc1`); those of modules as they are.
fn go_version(package: &Package) -> String {
    let version = package.version.as_str();
    // A main module is given a version since Go 1.24, which is a guess where the clone had no tags: every release
    // would look newer than it.
    if package.application && version.trim_start_matches('v').starts_with("0.0.0-") {
        return format!("(devel) {version}");
    }
    if !matches!(package.name.as_str(), "stdlib" | "toolchain") {
        return version.to_owned();
    }
    let version = version.trim_start_matches('v').trim_start_matches("go");
    let digit_end = |text: &str| text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (release, rest) = version.split_at(digit_end(version));
    let dots = release.matches('.').count();
    let release = format!("{release}{}", ".0".repeat(2usize.saturating_sub(dots)));
    let number = rest.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    match rest.strip_suffix(number) {
        Some(word @ ("rc" | "beta" | "alpha")) => format!("{release}-{word}.{number}"),
        _ => format!("{release}{rest}"),
    }
}

#[cfg(test)]
mod tests;
