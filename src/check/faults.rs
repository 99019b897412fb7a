//! Faults as violations: what `image` found on its way through an image, where that is what a check finds.

use crate::model::fault::Fault;
use crate::model::violation::{Place, Violation};

use super::{Found, explain};

/// Adds those faults that name a check, unless the check found the same by itself.
pub(super) fn add(faults: &[Fault], found: &mut Found) {
    for fault in faults {
        let Some(check) = fault.check.and_then(explain) else { continue };
        let place = place(&fault.at);
        let known = |violation: &Violation| tells(violation, fault);
        if !found.violations.iter().any(known) {
            found.push(Violation {
                check: check.id,
                severity: check.severity,
                message: fault.message.clone(),
                place,
                evidence: None,
                platform: fault.platform.clone(),
            });
        }
    }
}

/// Whether a violation says what a fault does: the same check at the same place and platform, no milder.
#[must_use]
pub fn tells(violation: &Violation, fault: &Fault) -> bool {
    let Some(check) = fault.check.and_then(explain) else { return false };
    let platform = fault.platform.is_none() || violation.platform == fault.platform;
    violation.check == check.id
        && violation.severity >= check.severity
        && platform
        && same(&violation.place, &place(&fault.at))
}

/// Whether both are in the same document or layer.
fn same(a: &Place, b: &Place) -> bool {
    match (a, b) {
        (Place::Document { digest: a, .. }, Place::Document { digest: b, .. }) => a == b,
        (Place::Layer { digest: a, .. }, Place::Layer { digest: b, .. }) => a == b,
        (Place::Image, Place::Image) => true,
        (Place::Image | Place::Document { .. } | Place::Layer { .. }, _) => false,
    }
}

/// The place that [`Fault::at`] names: `layer 3 (sha256:…)`, `manifest sha256:…`, `config sha256:…`.
fn place(at: &str) -> Place {
    if let Some((index, digest)) = at.strip_prefix("layer ").and_then(|rest| rest.split_once(" ("))
        && let (Ok(index), Ok(digest)) = (index.parse(), digest.trim_end_matches(')').parse())
    {
        return Place::Layer { index, digest, path: None, created_by: None };
    }
    for document in ["manifest", "index", "config"] {
        if let Some(digest) = at.strip_prefix(document).and_then(|rest| rest.strip_prefix(' ')) {
            return Place::Document { document, digest: digest.to_owned(), pointer: String::new() };
        }
    }
    Place::Image
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;

    #[test]
    fn a_fault_is_placed_where_it_says() {
        let digest = Digest::sha256(b"x");
        assert_eq!(
            place(&format!("layer 3 ({digest})")),
            Place::Layer { index: 3, digest: digest.clone(), path: None, created_by: None }
        );
        assert!(matches!(place(&format!("config {digest}")), Place::Document { document: "config", .. }));
        assert_eq!(place("layer 3 (member)"), Place::Image);
        assert_eq!(place("image"), Place::Image);
    }
}
