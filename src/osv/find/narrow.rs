//! What a record says of the builds it means, beyond name and range. It can only set a match aside, and what
//! is set aside stays visible.

use std::collections::BTreeSet;

use crate::model::inventory::Package;
use crate::osv::record::{Affected, Head};

use super::Hit;

/// Why a match is set aside: class and words.
pub(super) type Reason = (&'static str, String);

/// Errata that name their CVEs as `related`: those of AlmaLinux, Rocky Linux and Red Hat, bug fixes and enhancements
/// that have one included.
pub(super) fn is_erratum(id: &str) -> bool {
    ["ALSA-", "RHSA-", "RLSA-", "RXSA-"].iter().chain(&NO_ADVISORIES).any(|prefix| id.starts_with(prefix))
}

/// Bug fixes and enhancements: no vulnerabilities, unless they name one.
const NO_ADVISORIES: [&str; 6] = ["ALBA-", "ALEA-", "RLBA-", "RLEA-", "RHBA-", "RHEA-"];

/// Whether a record is an erratum without a vulnerability: a bug fix (ALBA) or an enhancement (ALEA) of AlmaLinux or
/// Rocky Linux that names no CVE.
pub(super) fn is_no_vulnerability(head: &Head) -> bool {
    let names_cve =
        || [&head.aliases, &head.upstream, &head.related].into_iter().flatten().any(|id| id.contains("CVE-"));
    NO_ADVISORIES.iter().any(|prefix| head.id.starts_with(prefix)) && !names_cve()
}

/// Why a hit does not mean this package, where its record says so.
pub(super) fn leaves_out(hit: &Hit, package: &Package) -> Option<Reason> {
    record_leaves_out((&hit.head, &hit.affected), &hit.ecosystem, package)
}

/// The same of an entry that need not affect the package.
pub(super) fn record_leaves_out(
    record: (&Head, &Affected),
    ecosystem: &str,
    package: &Package,
) -> Option<Reason> {
    binary_not_listed(record, ecosystem, package).or_else(|| other_stream(record, package))
}

/// Whether a record of Ubuntu or SUSE lists the affected binary packages and leaves this one out. Other
/// distributions use the field for other things.
fn binary_not_listed(
    (head, affected): (&Head, &Affected),
    ecosystem: &str,
    package: &Package,
) -> Option<Reason> {
    let narrows = ["Ubuntu:", "SUSE:", "openSUSE:"].iter().any(|front| ecosystem.starts_with(front));
    let binaries = affected.ecosystem_specific.as_ref().map(|fields| fields.binaries.as_slice())?;
    let is_listed = || binaries.iter().any(|binary| binary.binary_name == package.name);
    (narrows && !binaries.is_empty() && !is_listed()).then(|| {
        let detail = format!("{} lists the affected binary packages, without {}", head.id, package.name);
        ("binary-not-listed", detail)
    })
}

/// A module of an RPM distribution has several streams, each with versions of its own: the fix of `nodejs:12` says
/// nothing of `nodejs:10`, and that of a module nothing of the package outside of modules.
fn other_stream((head, affected): (&Head, &Affected), package: &Package) -> Option<Reason> {
    if package.kind != "rpm" {
        return None;
    }
    let fixed_in = build(affected)?;
    // Attack: a label on a package that was not built for a module. The version tells.
    if !is_modular(&package.version) {
        let detail = format!("{} is about builds of a module, and {} is none", head.id, package.version);
        return is_modular(fixed_in).then_some(("other-module-stream", detail));
    }
    // Built for a module whose label is lost: of which stream it is cannot be told.
    let label = package.purl.qualifiers.get("rpmmod")?;
    if !is_modular(fixed_in) {
        let detail = format!("{} is about builds outside of modules, and this one is of {label}", head.id);
        return Some(("other-module-stream", detail));
    }
    let mut parts = label.split(':');
    let (module, stream) = (parts.next()?, parts.next()?);
    let named = streams(head);
    // Only what the record says of this very module: a label of another one may be made up.
    let mut of_module = named.iter().filter(|(name, _)| *name == module).peekable();
    (of_module.peek().is_some() && !of_module.any(|(_, own)| *own == stream)).then(|| {
        let named: Vec<String> = named.iter().map(|(module, stream)| format!("{module}:{stream}")).collect();
        let detail = format!("{} is about {}, and this one is of {label}", head.id, named.join(", "));
        ("other-module-stream", detail)
    })
}

/// Why a hit on a package of a module is less than certain.
pub(super) fn stream_doubt(hit: &Hit, package: &Package) -> Option<String> {
    let modular =
        package.kind == "rpm" && is_modular(&package.version) && build(&hit.affected).is_some_and(is_modular);
    let label = package.purl.qualifiers.get("rpmmod");
    let own = label.and_then(|label| label.split(':').next());
    if !modular {
        None
    } else if own.is_none() {
        Some("of which module stream it is is not stated".into())
    } else if !streams(&hit.head).iter().any(|(module, _)| Some(*module) == own) {
        Some("the record does not say of which stream of its module it speaks".into())
    } else {
        None
    }
}

/// The first build that an entry names.
fn build(affected: &Affected) -> Option<&str> {
    let mut events = affected.ranges.iter().flat_map(|range| &range.events);
    events.find_map(|event| event.fixed.as_deref().or(event.last_affected.as_deref()))
}

/// `1:10.24.0-1.module_el8.3.0+2047+b07ac28e`, `….module+el8.5.0+10613+59a13ec4`.
fn is_modular(version: &str) -> bool {
    version.contains(".module_el") || version.contains(".module+el")
}

/// The streams that a record names, such as `nodejs:12` of `Important: nodejs:12 security update`: OSV has no
/// field for them.
fn streams(head: &Head) -> BTreeSet<(&str, &str)> {
    let words = head.summary.as_deref().unwrap_or_default().split_whitespace();
    words
        .filter_map(|word| word.trim_matches([',', '.', '(', ')']).split_once(':'))
        // No addresses (`https://…`).
        .filter(|(module, stream)| !module.is_empty() && !stream.is_empty() && !stream.contains([':', '/']))
        .collect()
}
