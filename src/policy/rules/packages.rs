//! `packages`: which packages the image must not have, and which it must.

use std::cmp::Ordering;

use crate::model::inventory::Package;
use crate::model::path::escape;
use crate::model::purl::Purl;
use crate::policy::error::{Errors, PolicyError};
use crate::policy::fields::Fields;
use crate::policy::rule::{Decided, Reading, Rule, Sealed, Settings, Subject, list};
use crate::policy::waiver::read_purl;
use crate::policy::yaml::Node;
use crate::version::{Scheme, scheme};

/// The kind `packages`.
pub(crate) struct PackagesRule;

impl Rule for PackagesRule {
    fn kind(&self) -> &'static str {
        "packages"
    }

    fn summary(&self) -> &'static str {
        "the image has none of the denied packages and every required one"
    }

    /// The gaps that it may overlook are waived up to a date.
    fn timed(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Packages {
    deny: Vec<PackagePattern>,
    require: Vec<PackagePattern>,
}

impl Sealed for PackagesRule {
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>> {
        let errors = &mut *document.errors;
        let mut fields = errors.keep(Fields::of(document.node, "`packages`"))?;
        let deny = fields.optional("deny").map(|node| read_patterns(node, errors)).unwrap_or_default();
        let require = fields.optional("require").map(|node| read_patterns(node, errors)).unwrap_or_default();
        fields.finish_some(&[], errors);
        Some(Box::new(Packages { deny, require }))
    }
}

fn read_patterns(node: &Node, errors: &mut Errors) -> Vec<PackagePattern> {
    let items = errors.keep(node.one_or_more("package urls")).unwrap_or_default();
    items.iter().filter_map(|node| errors.keep(PackagePattern::read(node))).collect()
}

impl Settings for Packages {
    fn decide(&self, subject: &Subject<'_>) -> Decided {
        let mut decided = Decided::default();
        for platform in subject.platforms(&mut decided) {
            let place = Some(&platform.platform);
            let Some(inventory) = subject.inventory(platform, &mut decided) else { continue };
            // A gap may hide a denied package. A required one that was found stays found.
            if !self.deny.is_empty() {
                subject.check_gaps(&platform.platform, inventory, &mut decided);
            }
            for pattern in &self.deny {
                let found = pattern.find(&inventory.packages);
                if !found.matched.is_empty() {
                    let text = format!("`{}` is denied: {}", pattern.text, list(&found.matched));
                    decided.violate(place, text);
                } else if !found.unknown.is_empty() {
                    let text =
                        format!("whether `{}` is there is not known: {}", pattern.text, list(&found.unknown));
                    decided.undecided(place, text);
                }
            }
            for pattern in &self.require {
                let found = pattern.find(&inventory.packages);
                if !found.matched.is_empty() {
                    continue;
                }
                let text = format!("`{}` is required and was not found", pattern.text);
                match found.unknown.is_empty() && inventory.gaps.is_empty() {
                    true => decided.violate(place, text),
                    false => decided
                        .undecided(place, format!("{text}, but not everything could be read or compared")),
                }
            }
        }
        decided
    }
}

/// A package url whose version may be a range: `@1.2.3`, `@<2.17.1`, `@>=1.0,<1.4`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PackagePattern {
    text: String,
    /// The url without version.
    package: Purl,
    bounds: Vec<(Bound, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

const BOUNDS: [(&str, Bound); 5] = [
    ("<=", Bound::LessOrEqual),
    (">=", Bound::GreaterOrEqual),
    ("<", Bound::Less),
    (">", Bound::Greater),
    ("=", Bound::Equal),
];

#[derive(Default)]
struct Found {
    matched: Vec<String>,
    unknown: Vec<String>,
}

impl PackagePattern {
    fn read(node: &Node) -> Result<Self, PolicyError> {
        let text = node.text("a package url such as `pkg:npm/event-stream@3.3.6`")?.to_owned();
        let mut package = read_purl(node)?;
        let version = package.version.take();
        let mut bounds = Vec::new();
        for part in version.iter().flat_map(|version| version.split(',')) {
            let ranged = BOUNDS.iter().find_map(|(sign, bound)| Some((*bound, part.strip_prefix(sign)?)));
            let (bound, version) = ranged.unwrap_or((Bound::Equal, part));
            let version = version.trim();
            let plain = |c: char| !c.is_whitespace() && !"<>=*".contains(c);
            if version.is_empty() || !version.chars().all(plain) {
                let error = node.span.error(format!("`{part}` is no version and no range"));
                return Err(error.help("write `@1.2.3`, `@<2.17.1` or `@>=1.0,<1.4`"));
            }
            bounds.push((bound, version.to_owned()));
        }
        Ok(Self { text, package, bounds })
    }

    fn find(&self, packages: &[Package]) -> Found {
        let order = ecosystem(&self.package).and_then(scheme);
        let mut found = Found::default();
        for package in packages.iter().filter(|package| self.package.covers(&package.purl)) {
            let shown = escape(format!("{} {}", package.name, package.version).as_bytes());
            match self.bounds_hold(package, order) {
                Ok(true) => found.matched.push(shown),
                Ok(false) => {}
                Err(cause) => found.unknown.push(format!("{shown} ({cause})")),
            }
        }
        found
    }

    /// Whether the package's version is within every bound; an error where it cannot be compared. One
    /// bound that it is certainly outside of settles it.
    fn bounds_hold(&self, package: &Package, order: Option<&dyn Scheme>) -> Result<bool, String> {
        let mut unknown = None;
        for (bound, limit) in &self.bounds {
            match within(package, *bound, limit, order) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(cause) => unknown = Some(cause),
            }
        }
        unknown.map_or(Ok(true), Err)
    }
}

fn within(package: &Package, bound: Bound, limit: &str, order: Option<&dyn Scheme>) -> Result<bool, String> {
    let same = package.version == limit || package.purl.version.as_deref() == Some(limit);
    let ordering = match order {
        _ if same => Ordering::Equal,
        Some(order) => order.compare(&package.version, limit).map_err(|error| error.to_string())?,
        // Without an order only the text can be equal; that one version is asked for settles it.
        None if bound == Bound::Equal => return Ok(false),
        None => return Err("versions of this type cannot be compared".to_owned()),
    };
    Ok(match bound {
        Bound::Equal => ordering.is_eq(),
        Bound::Less => ordering.is_lt(),
        Bound::LessOrEqual => ordering.is_le(),
        Bound::Greater => ordering.is_gt(),
        Bound::GreaterOrEqual => ordering.is_ge(),
    })
}

/// The OSV ecosystem whose order the versions of a package follow.
fn ecosystem(purl: &Purl) -> Option<&'static str> {
    let name = match (purl.kind.as_str(), purl.namespace.as_deref()) {
        ("deb", Some("ubuntu")) => "Ubuntu",
        ("deb", _) => "Debian",
        ("apk", Some("wolfi")) => "Wolfi",
        ("apk", Some("chainguard")) => "Chainguard",
        ("apk", _) => "Alpine",
        ("rpm", Some("rocky")) => "Rocky Linux",
        ("rpm", Some("almalinux")) => "AlmaLinux",
        ("rpm", Some("opensuse")) => "openSUSE",
        ("rpm", Some("suse" | "sles")) => "SUSE",
        ("rpm", _) => "Red Hat",
        ("pypi", _) => "PyPI",
        ("npm", _) => "npm",
        ("cargo", _) => "crates.io",
        ("golang", _) => "Go",
        ("maven", _) => "Maven",
        ("gem", _) => "RubyGems",
        ("composer", _) => "Packagist",
        ("nuget", _) => "NuGet",
        ("hex", _) => "Hex",
        ("pub", _) => "Pub",
        _ => return None,
    };
    Some(name)
}

#[cfg(test)]
mod tests;
