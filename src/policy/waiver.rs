//! Waivers: accepted risks, each with an end, a reason and an owner.

use jiff::civil::Date;

use crate::model::fault::Gap;
use crate::model::finding::Finding;
use crate::model::path::escape;
use crate::model::purl::{Purl, TYPES};
use crate::model::verdict::{WaiverReport, WaiverUse};

use super::error::{Errors, PolicyError};
use super::fields::Fields;
use super::pattern::Pattern;
use super::quantity::parse_date;
use super::yaml::Node;

/// What every waiver must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Terms {
    until: Date,
    reason: String,
    owner: String,
}

impl Terms {
    /// Reads the three fields that are required of every waiver.
    pub(crate) fn read(fields: &mut Fields<'_>, errors: &mut Errors) -> Option<Self> {
        let until = fields.need("until", errors, |node| node.read("a date such as `2027-01-31`", parse_date));
        let mut text =
            |key, expected| fields.need(key, errors, |node: &Node| node.text(expected).map(str::to_owned));
        let reason = text("reason", "the reason why the risk is accepted");
        let owner = text("owner", "who accepted the risk");
        Some(Self { until: until?, reason: reason?, owner: owner? })
    }

    /// Whether the waiver is in force: `until` is its last day, in UTC.
    pub(crate) fn in_force(&self, today: Date) -> bool {
        today <= self.until
    }
}

/// An accepted finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FindingWaiver {
    id: String,
    package: Option<Purl>,
    pub(crate) terms: Terms,
}

impl FindingWaiver {
    /// Reads `{id, package?, until, reason, owner}`.
    pub(crate) fn read(node: &Node, errors: &mut Errors) -> Option<Self> {
        let mut fields = errors.keep(Fields::of(node, "the waiver"))?;
        let id = fields.need("id", errors, |node| node.read("the id of an advisory", parse_id));
        let package = fields.read("package", errors, read_purl);
        let stated = fields.optional("package").is_some();
        let terms = Terms::read(&mut fields, errors);
        fields.finish(&[], errors);
        // A package that could not be read must not widen the waiver to every package.
        if stated && package.is_none() {
            return None;
        }
        Some(Self { id: id?, package, terms: terms? })
    }

    /// Whether it names the id.
    pub(crate) fn names(&self, id: &str) -> bool {
        id.eq_ignore_ascii_case(&self.id)
    }

    /// Whether it covers the finding: any id of the group counts.
    pub(crate) fn covers(&self, finding: &Finding) -> bool {
        let named = |id: &String| self.names(id);
        (named(&finding.id) || finding.aliases.iter().any(named))
            && self.package.as_ref().is_none_or(|package| package.covers(&finding.package.purl))
    }

    /// The waiver as the policy writes it.
    pub(crate) fn scope(&self) -> String {
        match &self.package {
            Some(package) => format!("{} in {package}", self.id),
            None => self.id.clone(),
        }
    }
}

/// A package that is accepted although it cannot be said which advisories apply to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackageWaiver {
    package: Purl,
    pub(crate) terms: Terms,
}

impl PackageWaiver {
    /// Reads `{package, until, reason, owner}`.
    pub(crate) fn read(node: &Node, errors: &mut Errors) -> Option<Self> {
        let mut fields = errors.keep(Fields::of(node, "the waiver"))?;
        let package = fields.need("package", errors, read_purl);
        let terms = Terms::read(&mut fields, errors);
        fields.finish(&[], errors);
        Some(Self { package: package?, terms: terms? })
    }

    /// Whether it names the package.
    pub(crate) fn covers(&self, package: &Purl) -> bool {
        self.package.covers(package)
    }

    /// The waiver as the policy writes it.
    pub(crate) fn scope(&self) -> String {
        format!("undetermined {}", self.package)
    }
}

/// An accepted gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapWaiver {
    path: Pattern,
    cataloger: Option<String>,
    pub(crate) terms: Terms,
}

impl GapWaiver {
    /// Reads `{path, cataloger?, until, reason, owner}`.
    pub(crate) fn read(node: &Node, errors: &mut Errors) -> Option<Self> {
        let mut fields = errors.keep(Fields::of(node, "the waiver"))?;
        let path = fields.need("path", errors, |node| {
            let text = node.text("a path, `*` and `**` allowed")?;
            Ok(Pattern::glob(text.trim_start_matches('/')))
        });
        let cataloger =
            fields.read("cataloger", errors, |node| node.text("the id of a cataloger").map(str::to_owned));
        let stated = fields.optional("cataloger").is_some();
        let terms = Terms::read(&mut fields, errors);
        fields.finish(&[], errors);
        if stated && cataloger.is_none() {
            return None;
        }
        Some(Self { path: path?, cataloger, terms: terms? })
    }

    /// Whether it covers the gap.
    pub(crate) fn covers(&self, gap: &Gap) -> bool {
        // The root stands for a whole layer: a `**` meant for files must not accept a layer that
        // nobody could read. It is waived as `/` only.
        let path = match gap.path.is_root() {
            true => self.path.as_str().is_empty(),
            false => self.path.matches(gap.path.as_bytes()),
        };
        path && self.cataloger.as_ref().is_none_or(|cataloger| *cataloger == gap.cataloger)
    }

    /// The waiver as the policy writes it.
    pub(crate) fn scope(&self) -> String {
        let path = if self.path.as_str().is_empty() { "/" } else { self.path.as_str() };
        match &self.cataloger {
            Some(cataloger) => format!("{path} ({cataloger})"),
            None => path.to_owned(),
        }
    }
}

fn parse_id(text: &str) -> Result<String, String> {
    if text.bytes().all(|b| b.is_ascii_graphic() && b != b'*') {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no id: a waiver names one advisory, without wildcards"))
}

/// Purl types whose packages always have a namespace. Without it a purl names nothing.
const NAMESPACED: &[(&str, &str)] = &[
    ("deb", "the distribution, such as `pkg:deb/debian/openssl`"),
    ("apk", "the distribution, such as `pkg:apk/alpine/openssl`"),
    ("rpm", "the distribution, such as `pkg:rpm/redhat/openssl`"),
    ("maven", "the group, such as `pkg:maven/org.apache.logging.log4j/log4j-core`"),
    ("composer", "the vendor, such as `pkg:composer/symfony/http-foundation`"),
];

/// A purl that names packages, by the parts it states. One that could never name any is an error: a
/// deny that is misspelt would deny nothing.
pub(crate) fn read_purl(node: &Node) -> Result<Purl, PolicyError> {
    let purl: Purl = node.read("a package url such as `pkg:npm/event-stream`", |text| {
        text.parse().map_err(|error: crate::model::purl::InvalidPurl| error.to_string())
    })?;
    if !TYPES.contains(&purl.kind.as_str()) {
        let error = node.span.error(format!("`{}` is no type of package urls", purl.kind));
        return Err(error.suggest(&purl.kind, TYPES));
    }
    if purl.name.contains('*') || purl.namespace.as_ref().is_some_and(|text| text.contains('*')) {
        return Err(node.span.error("a package url names one package, without wildcards"));
    }
    let namespaced = NAMESPACED.iter().find(|(kind, _)| *kind == purl.kind && purl.namespace.is_none());
    if let Some((_, missing)) = namespaced {
        return Err(node.span.error(format!("`{purl}` does not say {missing}")));
    }
    Ok(purl)
}

/// Adds a waiver to the report, by what became of it. `complete` says that everything it could have
/// covered was looked at; without that it cannot be called unused.
pub(crate) fn report_use(
    report: &mut WaiverReport,
    rule: &str,
    (scope, terms): (String, &Terms),
    (covered, today, complete): (Vec<String>, Date, bool),
) {
    let entry = WaiverUse {
        rule: rule.to_owned(),
        scope: escape(scope.as_bytes()),
        until: terms.until.to_string(),
        reason: terms.reason.clone(),
        owner: terms.owner.clone(),
        covered,
    };
    if !terms.in_force(today) {
        report.expired.push(entry);
    } else if !entry.covered.is_empty() {
        report.used.push(entry);
    } else if complete {
        report.unused.push(entry);
    }
}
