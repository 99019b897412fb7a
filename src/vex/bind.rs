//! Whether a statement is about a finding: only where its product certainly is this image or this package.

use crate::model::digest::Digest;
use crate::model::finding::Finding;
use crate::model::platform::Platform;
use crate::model::purl::Purl;
use crate::model::vex::{VexLevel as Level, VexStatus};

use super::openvex::ABSENT;
use super::{Component, Identity, MAX_NAME, Statement, Target, VersionClaim, cut, vers};

/// The image that a finding is of.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    /// Digest of the manifest or index that was judged.
    pub(super) image: Option<&'a Digest>,
    /// Digest of the platform's manifest.
    pub(super) manifest: Option<&'a Digest>,
    pub(super) platform: &'a Platform,
    /// The SBOM document that is judged.
    pub(super) bom: Option<&'a str>,
    /// The indexes that lead to the platform, as far as somebody looked for what hangs on them.
    pub(super) above: &'a [Digest],
    /// What an attested document was attested of; none of a file.
    pub(super) attested: Option<&'a Digest>,
}

impl Place<'_> {
    /// Whether a digest is that of the image. Of attested documents, which are known to speak of the platform, it may be
    /// an index between as well. Attack: a statement that keeps a finding, attested of the index that its product names,
    /// and passed over as one on another image.
    fn is(&self, digest: &Digest) -> bool {
        let between = |subject| subject == digest || self.above.contains(digest);
        self.image == Some(digest) || self.manifest == Some(digest) || self.attested.is_some_and(between)
    }
}

/// Whether a statement is about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Bound {
    /// It is: how near, and the product as it is written.
    Yes(Level, String),
    No,
    /// It may be: why that cannot be said.
    Unsure(String),
}

/// Whether a component is a thing.
enum Is {
    Yes,
    No,
    Unsure(String),
}

/// Whether the statement, of which these targets may be about the package, is about the finding, whose vulnerability it
/// is known to name.
pub(super) fn bind<'a>(
    statement: &Statement,
    targets: impl Iterator<Item = &'a Target>,
    finding: &Finding,
    place: &Place<'_>,
) -> Bound {
    let mut unsure = None;
    let mut best: Option<(Level, String)> = None;
    for target in targets {
        match one(statement, target, finding, place) {
            Bound::Yes(level, text) => best = best.max(Some((level, text))),
            Bound::Unsure(reason) => unsure = unsure.or(Some(reason)),
            Bound::No => {}
        }
    }
    match (best, unsure) {
        (Some((level, text)), _) => Bound::Yes(level, text),
        (None, Some(reason)) => Bound::Unsure(reason),
        (None, None) => Bound::No,
    }
}

fn one(statement: &Statement, target: &Target, finding: &Finding, place: &Place<'_>) -> Bound {
    let bound = match target.parts.as_slice() {
        [] => whole(statement, target, finding, place),
        parts => part(&target.product, parts, finding, (statement.status, place)),
    };
    let Bound::Yes(level, text) = bound else { return bound };
    // The finding is proof that the component is there: the statement is about another image than it says, or wrong.
    if statement.status.sets_aside() && statement.justification.as_deref() == Some(ABSENT) {
        return Bound::Unsure(format!("it says `{ABSENT}`, but {} is in the image", finding.package.name));
    }
    match of_version(&target.versions, statement.status, finding) {
        Is::Yes => Bound::Yes(level, text),
        Is::No => Bound::No,
        Is::Unsure(reason) => Bound::Unsure(reason),
    }
}

/// A statement about a whole product: the image, or the package wherever it is.
fn whole(statement: &Statement, target: &Target, finding: &Finding, place: &Place<'_>) -> Bound {
    let product = &target.product;
    let text = product.text.clone();
    let is_ours = may_be_package(product, &finding.package.purl, (statement.status, place));
    match (is_image(product, place), is_ours) {
        (Is::Yes, _) => Bound::Yes(Level::Product, text),
        (Is::Unsure(reason), _) => Bound::Unsure(reason),
        (Is::No, Is::Yes) => {
            // A package of any version cannot have the fix: the one that was found has not.
            let names_version = product
                .names
                .iter()
                .any(|name| matches!(name, Identity::Purl(Purl { version: Some(_), .. })));
            if statement.status == VexStatus::Fixed && !names_version && target.versions.is_empty() {
                return Bound::Unsure(format!(
                    "`{}` of any version of {text}: it names none",
                    statement.stated
                ));
            }
            Bound::Yes(Level::Package, text)
        }
        (Is::No, Is::Unsure(reason)) => Bound::Unsure(reason),
        (Is::No, Is::No) => Bound::No,
    }
}

/// A statement about parts of a product: what is true of a part in one product need not be so in another.
fn part(
    product: &Component,
    parts: &[Component],
    finding: &Finding,
    (status, place): (VexStatus, &Place<'_>),
) -> Bound {
    let mut unsure = None;
    let mut named = None;
    for part in parts {
        match may_be_package(part, &finding.package.purl, (status, place)) {
            Is::Yes => named = Some(part),
            Is::Unsure(reason) => unsure = Some(reason),
            Is::No => {}
        }
    }
    let within = match (is_image(product, place), carries(product, finding, place)) {
        (Is::Unsure(reason), _) => Is::Unsure(reason),
        (Is::Yes, _) | (Is::No, Some(true)) => Is::Yes,
        (Is::No, Some(false)) => {
            let (name, product) = (&finding.package.name, &product.text);
            Is::Unsure(format!("it is about {name} inside of `{product}`, which this one is not known to be"))
        }
        (Is::No, None) => Is::No,
    };
    match (named, within, unsure) {
        (Some(part), Is::Yes, _) => {
            Bound::Yes(Level::Product, cut(&format!("{} in {}", part.text, product.text), MAX_NAME))
        }
        (Some(_), Is::Unsure(reason), _) => Bound::Unsure(reason),
        (None, Is::Yes | Is::Unsure(_), Some(reason)) => Bound::Unsure(reason),
        (Some(_), Is::No, _) | (None, _, _) => Bound::No,
    }
}

/// Whether the product is what carries the package inside. `None` where it is no package.
fn carries(product: &Component, finding: &Finding, place: &Place<'_>) -> Option<bool> {
    let is_purl = |name: &Identity| matches!(name, Identity::Purl(purl) if !is_image_type(purl));
    if !product.names.iter().any(is_purl) {
        return None;
    }
    let carrier = finding.vendored_in.as_ref().and_then(|carrier| carrier.parse::<Purl>().ok());
    Some(carrier.is_some_and(|carrier| matches!(is_package(product, &carrier, place), Is::Yes)))
}

pub(super) fn is_image_type(purl: &Purl) -> bool {
    matches!(purl.kind.as_str(), "oci" | "docker")
}

/// Whether a component is the image. A name or a tag may lead to any other image tomorrow: only a digest tells.
fn is_image(component: &Component, place: &Place<'_>) -> Is {
    if let Some(problem) = &component.problem {
        return Is::Unsure(problem.clone());
    }
    let is_ours = |digest: &Digest| place.is(digest);
    let mut proven = false;
    let mut package = false;
    let mut unsure = None;
    for name in &component.names {
        match name {
            Identity::Purl(purl) if is_image_type(purl) => {
                match purl.version.as_ref().and_then(|version| version.parse::<Digest>().ok()) {
                    Some(digest) if is_ours(&digest) => match qualified(purl, place.platform) {
                        Is::Yes => proven = true,
                        Is::No => return Is::No,
                        Is::Unsure(reason) => unsure = Some(reason),
                    },
                    Some(_) => return Is::No,
                    None => {
                        let text = &component.text;
                        unsure =
                            Some(format!("`{text}` names an image without its digest: it may be another"));
                    }
                }
            }
            Identity::Reference(digest) if is_ours(digest) => proven = true,
            Identity::Reference(_) => return Is::No,
            Identity::Hash(digest) => proven |= is_ours(digest),
            Identity::Purl(_) | Identity::Link(_, _) => package = true,
        }
    }
    // Attack: any package with the digest of this image beside it, for a statement on all that is in the image.
    if proven && package {
        return Is::Unsure(both(component));
    }
    match (proven, unsure) {
        (true, _) => Is::Yes,
        (false, Some(reason)) => Is::Unsure(reason),
        (false, None) => Is::No,
    }
}

/// Whether the qualifiers of an image's purl hold (purl-spec, type `oci`). Where the bytes came from does not
/// matter once their digest is known.
fn qualified(purl: &Purl, platform: &Platform) -> Is {
    for (key, value) in &purl.qualifiers {
        let holds = match key.as_str() {
            "repository_url" | "tag" => true,
            "arch" => *value == platform.architecture,
            "os" => *value == platform.os,
            _ => return Is::Unsure(format!("the qualifier `{}` of its image is not known", cut(key, 60))),
        };
        if !holds {
            return Is::No;
        }
    }
    Is::Yes
}

/// As [`is_package`], and of what keeps a finding and is attested: whether it may be the package. Attack: a qualifier of the
/// writer's own, by which a later word that keeps the finding is passed over as of another package.
fn may_be_package(component: &Component, package: &Purl, (status, place): (VexStatus, &Place<'_>)) -> Is {
    let like = |name: &Identity| match name {
        Identity::Purl(purl) | Identity::Link(_, purl) => may_name(purl, package),
        Identity::Reference(_) | Identity::Hash(_) => false,
    };
    match is_package(component, package, place) {
        Is::No if place.attested.is_some() && !status.sets_aside() && component.names.iter().any(like) => {
            Is::Unsure(format!("`{}` may be {package} by another name", cut(&component.text, 200)))
        }
        is @ (Is::Yes | Is::No | Is::Unsure(_)) => is,
    }
}

/// Whether a component is the package. Every purl that it has must name it.
fn is_package(component: &Component, package: &Purl, place: &Place<'_>) -> Is {
    if let Some(problem) = &component.problem {
        return Is::Unsure(problem.clone());
    }
    let mut proven = false;
    let mut image = false;
    for name in &component.names {
        match name {
            Identity::Purl(purl) if names(purl, package) => proven = true,
            Identity::Purl(_) => return Is::No,
            Identity::Link(_, purl) if !names(purl, package) => return Is::No,
            Identity::Link(bom, _) if place.bom == Some(bom.as_str()) => proven = true,
            Identity::Link(_, _) => {
                return Is::Unsure(format!("`{}` leads into another BOM", cut(&component.text, 200)));
            }
            Identity::Reference(_) => image = true,
            Identity::Hash(digest) => image |= place.is(digest),
        }
    }
    match (proven, image) {
        (true, true) => Is::Unsure(both(component)),
        (true, false) => Is::Yes,
        (false, _) => Is::No,
    }
}

fn both(component: &Component) -> String {
    format!("`{}` names a package and an image at once", cut(&component.text, 200))
}

/// Whether a purl of a statement names a package: one without a version names all of them, and each qualifier
/// narrows. An RPM's epoch is a part of its version, and one that is not stated is 0.
fn names(stated: &Purl, package: &Purl) -> bool {
    let epoch = |purl: &Purl| purl.qualifiers.get("epoch").cloned().unwrap_or_else(|| "0".to_owned());
    stated.covers(package)
        && (stated.subpath.is_none() || stated.subpath == package.subpath)
        && (stated.version.is_none() || epoch(stated) == epoch(package))
}

/// Whether a purl may name a package, but for its qualifiers and a `v` before the version.
fn may_name(stated: &Purl, package: &Purl) -> bool {
    let bare =
        |purl: &Purl| purl.version.as_deref().map(|version| version.trim_start_matches('v').to_owned());
    let mut likened = stated.clone();
    likened.qualifiers.clear();
    likened.version = None;
    !names(stated, package)
        && likened.covers(package)
        && (stated.version.is_none() || bare(stated) == bare(package))
}

/// Whether the versions that a statement lists have the package's. One that keeps a finding need not be certain.
fn of_version(claims: &[VersionClaim], status: VexStatus, finding: &Finding) -> Is {
    let package = &finding.package;
    let mut listed = false;
    for VersionClaim { version, range, status: stated } in claims {
        let bare = |text: &str| match status.sets_aside() {
            true => text.to_owned(),
            false => text.trim_start_matches('v').to_owned(),
        };
        let ours = [Some(package.version.as_str()), package.purl.version.as_deref()];
        let is_ours = |text: &String| ours.iter().flatten().any(|version| bare(version) == bare(text));
        let covers = match (version, range) {
            (Some(version), _) => Some(is_ours(version)),
            (None, Some(range)) => vers::contains(range, &package.purl.kind, &package.version),
            (None, None) => None,
        };
        match covers {
            Some(false) => continue,
            Some(true) => listed = true,
            None if !status.sets_aside() => listed = true,
            None => return Is::Unsure("its range of versions cannot be compared".to_owned()),
        }
        if status.sets_aside() && stated.as_deref() != Some("unaffected") {
            let stated = cut(stated.as_deref().unwrap_or("affected"), 60);
            return Is::Unsure(format!("it lists {} among its versions as `{stated}`", package.version));
        }
    }
    if listed || claims.is_empty() { Is::Yes } else { Is::No }
}
