//! What a record says of the builds it means, beyond name and range. It can only set a match aside, and what
//! is set aside stays visible.

use std::collections::BTreeSet;

use crate::model::inventory::Package;
use crate::osv::record::{Affected, Head};

use super::Hit;

/// Why a match is set aside: class and words.
pub(super) type Reason = (&'static str, String);

/// Whether a record is an erratum without a vulnerability: a bug fix (ALBA) or an enhancement (ALEA) of AlmaLinux or
/// Rocky Linux that names no CVE.
pub(super) fn is_no_vulnerability(head: &Head) -> bool {
    const ERRATA: [&str; 6] = ["ALBA-", "ALEA-", "RLBA-", "RLEA-", "RHBA-", "RHEA-"];
    let names_cve =
        || [&head.aliases, &head.upstream, &head.related].into_iter().flatten().any(|id| id.contains("CVE-"));
    ERRATA.iter().any(|prefix| head.id.starts_with(prefix)) && !names_cve()
}

/// Why a hit does not mean this package, where its record says so.
pub(super) fn leaves_out(hit: &Hit, package: &Package) -> Option<Reason> {
    binary_not_listed(hit, package).or_else(|| other_stream(hit, package))
}

/// Whether a record of Ubuntu or SUSE lists the affected binary packages and leaves this one out. Other
/// distributions use the field for other things.
fn binary_not_listed(hit: &Hit, package: &Package) -> Option<Reason> {
    let narrows = ["Ubuntu:", "SUSE:", "openSUSE:"].iter().any(|front| hit.ecosystem.starts_with(front));
    let binaries = hit.affected.ecosystem_specific.as_ref().map(|fields| fields.binaries.as_slice())?;
    let is_listed = || binaries.iter().any(|binary| binary.binary_name == package.name);
    (narrows && !binaries.is_empty() && !is_listed()).then(|| {
        let detail = format!("{} lists the affected binary packages, without {}", hit.head.id, package.name);
        ("binary-not-listed", detail)
    })
}

/// A module of an RPM distribution has several streams, each with versions of its own: the fix of `nodejs:12` says
/// nothing of `nodejs:10`, and that of a module nothing of the package outside of modules.
fn other_stream(hit: &Hit, package: &Package) -> Option<Reason> {
    if package.kind != "rpm" {
        return None;
    }
    let fixed_in = build(&hit.affected)?;
    let Some(label) = package.purl.qualifiers.get("rpmmod") else {
        // Built for a module whose label is lost: of which stream it is cannot be told.
        if is_modular(&package.version) || !is_modular(fixed_in) {
            return None;
        }
        let detail = format!("{} is about builds of a module, and {} is none", hit.head.id, package.version);
        return Some(("other-module-stream", detail));
    };
    let mut parts = label.split(':');
    let own = (parts.next()?, parts.next()?);
    if !is_modular(fixed_in) {
        let detail =
            format!("{} is about builds outside of modules, and this one is of {label}", hit.head.id);
        return Some(("other-module-stream", detail));
    }
    let streams = streams(&hit.head);
    (!streams.is_empty() && !streams.contains(&own)).then(|| {
        let named: Vec<String> =
            streams.iter().map(|(module, stream)| format!("{module}:{stream}")).collect();
        let detail = format!("{} is about {}, and this one is of {label}", hit.head.id, named.join(", "));
        ("other-module-stream", detail)
    })
}

/// Why a hit on a package of a module is less than certain.
pub(super) fn stream_doubt(hit: &Hit, package: &Package) -> Option<String> {
    let modular =
        package.kind == "rpm" && is_modular(&package.version) && build(&hit.affected).is_some_and(is_modular);
    let unlabelled = !package.purl.qualifiers.contains_key("rpmmod");
    if modular && unlabelled {
        Some("of which module stream it is is not stated".into())
    } else if modular && streams(&hit.head).is_empty() {
        Some("the record does not say of which module stream it speaks".into())
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
        .filter(|(module, stream)| !module.is_empty() && !stream.is_empty() && !stream.contains(':'))
        .collect()
}
