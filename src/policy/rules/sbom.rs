//! `sbom`: an SBOM document is attested of each platform, and says what its layers have.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use crate::model::attestation::{Attestation, Content};
use crate::model::evidence::PlatformEvidence;
use crate::model::fact::Fact;
use crate::model::inventory::{Inventory, Package};
use crate::model::layer::Scope;
use crate::model::path::escape;
use crate::model::purl::Purl;
use crate::policy::fields::Fields;
use crate::policy::quantity::parse_duration;
use crate::policy::rule::{Decided, Reading, Rule, Sealed, Settings, Subject, count, list};
use crate::policy::signed::{By, Fits};

use super::attestation::young;
use document::{Document, Format};

mod document;

/// The kind `sbom`.
pub(crate) struct SbomRule;

impl Rule for SbomRule {
    fn kind(&self) -> &'static str {
        "sbom"
    }

    fn summary(&self) -> &'static str {
        "an SBOM of each platform is attested, and names what its layers have"
    }

    /// `maxAge` looks at the time, and waivers of gaps end.
    fn timed(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Sbom {
    by: By,
    formats: Vec<Format>,
    complete: bool,
    max_age: Option<SignedDuration>,
}

impl Sealed for SbomRule {
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>> {
        let errors = &mut *document.errors;
        let mut fields = errors.keep(Fields::of(document.node, "`sbom`"))?;
        // An SBOM of the index says nothing of a platform.
        let by = By::read_or(&mut fields, &document.names.identities, true, errors);
        let words = Format::ALL.map(|format| (format.word(), format));
        let nodes = fields.read("formats", errors, |node| node.one_or_more("formats of SBOM documents"));
        let formats =
            nodes.map(|nodes| nodes.iter().filter_map(|node| errors.keep(node.word(&words))).collect());
        let complete = fields.read("complete", errors, |node| node.boolean()).unwrap_or(false);
        let duration = "a duration such as `90d`";
        let max_age = fields.read("maxAge", errors, |node| node.read(duration, parse_duration));
        fields.finish(&[], errors);
        let formats = formats.unwrap_or_else(|| Format::ALL.to_vec());
        Some(Box::new(Sbom { by: by?, formats, complete, max_age }))
    }
}

impl Settings for Sbom {
    fn decide(&self, subject: &Subject<'_>) -> Decided {
        let words: Vec<&str> = self.formats.iter().map(|format| format.word()).collect();
        let what = format!("SBOM ({})", words.join(" or "));
        let mut decided = self
            .by
            .decide(subject, &what, &|attestation, platform| self.fits(attestation, platform, subject));
        if let (true, Fact::Known(platforms)) = (self.complete, &subject.evidence.platforms) {
            for platform in platforms {
                // What a gap hides may be missing from the SBOM too.
                if let Some(inventory) = subject.inventory(platform, &mut decided) {
                    subject.check_gaps(&platform.platform, inventory, &mut decided);
                }
            }
        }
        decided
    }

    fn signers(&self) -> Option<&By> {
        Some(&self.by)
    }
}

impl Sbom {
    fn fits(&self, attestation: &Attestation, platform: &PlatformEvidence, subject: &Subject<'_>) -> Fits {
        let Content::Statement { predicate_type, predicate } = &attestation.content else {
            return Fits::No(None);
        };
        let Some(format) = Format::of(predicate_type).filter(|format| self.formats.contains(format)) else {
            return Fits::No(None);
        };
        let document = match Document::read(format, predicate) {
            Ok(document) => document,
            Err(cause) => return Fits::No(Some(cause)),
        };
        if document.packages == 0 {
            match may_be_empty(platform) {
                Fits::Yes => {}
                other @ (Fits::No(_) | Fits::Unknown(_)) => return other,
            }
        }
        if let (true, Fact::Known(inventory)) = (self.complete, &platform.inventory) {
            match covers(&document, inventory) {
                Fits::Yes => {}
                other @ (Fits::No(_) | Fits::Unknown(_)) => return other,
            }
        }
        self.max_age.map_or(Fits::Yes, |max| young(attestation, max, subject.now))
    }
}

/// What the image runs with, and not what it was built with.
fn runs(package: &&Package) -> bool {
    package.scope != Scope::Build
}

/// Attack: an SBOM without packages, which no advisory ever matches.
fn may_be_empty(platform: &PlatformEvidence) -> Fits {
    let inventory = match &platform.inventory {
        Fact::Known(inventory) => inventory,
        Fact::Absent => return Fits::Unknown("an SBOM is empty, and the image has no inventory".into()),
        Fact::Unknown(cause) => {
            return Fits::Unknown(format!("an SBOM is empty, and the packages could not be listed: {cause}"));
        }
    };
    match inventory.packages.iter().filter(runs).count() {
        // No waiver helps here: a platform of gaps alone has packages.
        0 if !inventory.gaps.is_empty() => {
            Fits::Unknown("an SBOM is empty, and not all packages could be listed".into())
        }
        0 => Fits::Yes,
        number => {
            Fits::No(Some(format!("names no package, and the layers have {}", count(number, "package"))))
        }
    }
}

/// A package by its type, namespace, name and version: tools differ in the qualifiers.
type Key<'a> = (&'a str, Option<&'a str>, &'a str, Option<&'a str>);

fn key(purl: &Purl) -> Key<'_> {
    (&purl.kind, purl.namespace.as_deref(), &purl.name, purl.version.as_deref())
}

/// Whether a document names every package of the layers. The document may be large and the inventory is bounded: it is
/// the inventory that is kept, and the document's package URLs go by one after the other.
fn covers(document: &Document, inventory: &Inventory) -> Fits {
    let packages: Vec<&Package> = inventory.packages.iter().filter(runs).collect();
    let mut numbers: BTreeMap<Key<'_>, usize> = BTreeMap::new();
    for package in &packages {
        let next = numbers.len();
        numbers.entry(key(&package.purl)).or_insert(next);
    }
    let mut named = BTreeSet::new();
    for text in &document.purls {
        if let Ok(purl) = text.parse::<Purl>() {
            named.extend(numbers.get(&key(&purl)).copied());
        }
    }
    let is_missing =
        |package: &&&Package| numbers.get(&key(&package.purl)).is_none_or(|number| !named.contains(number));
    let (guessed, missing): (Vec<&Package>, Vec<&Package>) =
        packages.iter().filter(is_missing).copied().partition(|package| package.guessed);
    let shown = |packages: Vec<&Package>| {
        let shown: BTreeSet<String> =
            packages.iter().map(|package| escape(package.purl.to_string().as_bytes())).collect();
        shown.into_iter().collect::<Vec<_>>()
    };
    let (missing, guessed) = (shown(missing), shown(guessed));
    if !missing.is_empty() {
        let text = format!("lacks {} of the layers: {}", count(missing.len(), "package"), list(&missing));
        return Fits::No(Some(text));
    }
    if !guessed.is_empty() {
        let text = format!("whether an SBOM lacks what is only guessed is not known: {}", list(&guessed));
        return Fits::Unknown(text);
    }
    Fits::Yes
}

#[cfg(test)]
mod tests;
