//! `manifest`: manifests, indexes, configurations and layers are sound.

use crate::policy::checked::Threshold;
use crate::policy::fields::Fields;
use crate::policy::rule::{Decided, Reading, Rule, Sealed, Settings, Subject};

/// The kind `manifest`.
pub(crate) struct ManifestRule;

impl Rule for ManifestRule {
    fn kind(&self) -> &'static str {
        "manifest"
    }

    fn summary(&self) -> &'static str {
        "no check of `portcullis validate` finds something as severe as the policy denies"
    }

    /// Some checks look at dates, and waivers end.
    fn timed(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Manifest(Threshold);

impl Sealed for ManifestRule {
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>> {
        let errors = &mut *document.errors;
        let mut fields = errors.keep(Fields::of(document.node, "`manifest`"))?;
        let strict = fields.read("strict", errors, crate::policy::yaml::Node::boolean);
        if strict == Some(false) {
            let error = document.node.span.error("`strict: false` checks nothing");
            errors.push(error.help("say what is denied, such as `deny: critical`"));
        }
        let threshold = Threshold::read(&mut fields, errors);
        fields.finish_some(&[], errors);
        Some(Box::new(Manifest(threshold)))
    }
}

impl Settings for Manifest {
    fn decide(&self, subject: &Subject<'_>) -> Decided {
        self.0.judge(subject, |_| true)
    }

    fn needs_checks(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::model::fact::Fact;
    use crate::model::verdict::Outcome::{Hold, Undecided, Violate, Waived};
    use crate::model::violation::{CheckSeverity, Checked, Unseen};
    use crate::policy::fixture::{Case, checked, on_first, violation};

    const STRICT: &str = "manifest: {strict: true}";
    const WAIVING: &str =
        "manifest: {deny: medium, allow: [{check: cfg-008, until: 2026-12-31, reason: x, owner: y}]}";

    #[test]
    fn it_denies_from_a_severity_on() {
        let medium = violation("CFG-008", CheckSeverity::Medium);
        assert_eq!(Case::rule(STRICT).with(checked([medium.clone()])).outcome(), Hold);
        let case = Case::rule("manifest: {deny: medium}").with(checked([medium]));
        assert_eq!(case.outcome(), Violate);
        assert_eq!(case.texts(), ["CFG-008: something is wrong"]);
        let high = violation("MAN-006", CheckSeverity::High);
        assert_eq!(Case::rule(STRICT).with(checked([high])).outcome(), Violate);
    }

    #[test]
    fn what_was_not_checked_leaves_it_undecided() {
        assert_eq!(Case::rule(STRICT).with(|e| e.checked = Fact::Absent).outcome(), Undecided);
        assert_eq!(Case::rule(STRICT).with(|e| e.checked = Fact::Unknown("x".into())).outcome(), Undecided);
        let unseen = Unseen { at: "document".into(), cause: "500".into() };
        let part = Checked { unseen: vec![unseen], ..Checked::default() };
        assert_eq!(Case::rule(STRICT).with(|e| e.checked = Fact::Known(part)).outcome(), Undecided);
        let layers = on_first(|p| p.0.inventory = Fact::Unknown("500".into()));
        assert_eq!(Case::rule(STRICT).with(checked([])).with(layers).outcome(), Undecided);
    }

    #[test]
    fn a_waiver_covers_one_check_until_its_day() {
        let user = violation("CFG-008", CheckSeverity::Medium);
        let case = Case::rule(WAIVING).with(checked([user.clone()]));
        assert_eq!(case.outcome(), Waived);
        assert_eq!(case.verdict().waivers.used[0].covered, ["CFG-008: something is wrong"]);
        assert_eq!(case.at("2027-01-01T00:00:00Z").outcome(), Violate);
        let other = violation("CFG-009", CheckSeverity::Medium);
        assert_eq!(Case::rule(WAIVING).with(checked([user, other])).outcome(), Violate);
        assert_eq!(Case::rule(WAIVING).with(checked([])).verdict().waivers.unused.len(), 1);
    }

    #[test]
    fn a_rule_that_checks_nothing_or_names_nothing_is_an_error() {
        for rule in [
            "manifest: {}",
            "manifest: {strict: false}",
            "manifest: {deny: harsh}",
            "manifest: {allow: [{check: CFG, until: 2026-12-31, reason: x, owner: y}]}",
        ] {
            assert!(Case::try_rule(rule).is_err(), "{rule}");
        }
    }
}
