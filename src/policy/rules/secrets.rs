//! `secrets`: no secret is in the image.

use crate::model::violation::{Place, Violation};
use crate::policy::checked::Threshold;
use crate::policy::fields::Fields;
use crate::policy::rule::{Decided, Reading, Rule, Sealed, Settings, Subject};

/// The kind `secrets`.
pub(crate) struct SecretsRule;

impl Rule for SecretsRule {
    fn kind(&self) -> &'static str {
        "secrets"
    }

    fn summary(&self) -> &'static str {
        "no secret is in a layer (deleted files included), in the environment or in the build's history"
    }

    /// Its waivers end.
    fn timed(&self) -> bool {
        true
    }
}

/// Where is looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum In {
    Layers,
    Env,
    History,
}

const PLACES: [(&str, In); 3] = [("layers", In::Layers), ("env", In::Env), ("history", In::History)];

#[derive(Debug)]
struct Secrets {
    places: Vec<In>,
    threshold: Threshold,
}

impl Sealed for SecretsRule {
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>> {
        let errors = &mut *document.errors;
        let mut fields = errors.keep(Fields::of(document.node, "`secrets`"))?;
        let nodes = fields.need("in", errors, |node| node.items("a list of: layers, env, history"));
        let places: Vec<In> =
            nodes.unwrap_or_default().iter().filter_map(|node| errors.keep(node.word(&PLACES))).collect();
        let threshold = Threshold::read(&mut fields, errors);
        fields.finish(&[], errors);
        Some(Box::new(Secrets { places, threshold }))
    }
}

/// The checks that find secrets: in the configuration, and in files.
const CONFIG: &str = "CFG-007";
const FILE: &str = "LYR-016";

impl Secrets {
    /// Whether a violation is a secret in a place that is looked at. Those beyond the limit of a list are
    /// counted without a place, and concern every rule.
    fn concerns(&self, violation: &Violation) -> bool {
        let place = match (violation.check, &violation.place) {
            (FILE, _) => In::Layers,
            (CONFIG, Place::Document { pointer, .. }) if pointer.starts_with("/history") => In::History,
            (CONFIG, Place::Document { .. } | Place::Layer { .. }) => In::Env,
            (CONFIG, Place::Image) => return self.places.iter().any(|place| *place != In::Layers),
            (_, _) => return false,
        };
        self.places.contains(&place)
    }
}

impl Settings for Secrets {
    fn decide(&self, subject: &Subject<'_>) -> Decided {
        self.threshold.judge(subject, |violation| self.concerns(violation))
    }

    fn needs_checks(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::digest::Digest;
    use crate::model::verdict::Outcome::{Hold, Violate, Waived};
    use crate::model::violation::CheckSeverity;
    use crate::policy::fixture::{Case, checked, violation};

    fn config(pointer: &str) -> Violation {
        let place = Place::Document { document: "config", digest: String::new(), pointer: pointer.into() };
        Violation { place, ..violation(CONFIG, CheckSeverity::High) }
    }

    fn file(path: &str) -> Violation {
        let place =
            Place::Layer { index: 3, digest: Digest::sha256(b""), path: Some(path.into()), created_by: None };
        Violation { place, ..violation(FILE, CheckSeverity::High) }
    }

    #[test]
    fn each_place_is_looked_at_where_it_is_named() {
        for (place, found) in [
            ("layers", file("root/.npmrc")),
            ("env", config("/config/Env/3")),
            ("env", config("/config/Labels/x")),
            ("history", config("/history/2/created_by")),
        ] {
            for (word, _) in PLACES {
                let case = Case::rule(&format!("secrets: {{in: [{word}]}}")).with(checked([found.clone()]));
                assert_eq!(case.outcome(), if word == place { Violate } else { Hold }, "{word} {found:?}");
            }
        }
    }

    #[test]
    fn another_violation_is_none_of_its_concern() {
        let other = violation("MAN-004", CheckSeverity::Critical);
        assert_eq!(
            Case::rule("secrets: {in: [layers, env, history]}").with(checked([other])).outcome(),
            Hold
        );
    }

    #[test]
    fn those_that_are_only_counted_count() {
        for (check, place) in [(FILE, "layers"), (CONFIG, "env"), (CONFIG, "history")] {
            let more = violation(check, CheckSeverity::High);
            let case = Case::rule(&format!("secrets: {{in: [{place}]}}")).with(checked([more]));
            assert_eq!(case.outcome(), Violate, "{check} {place}");
        }
    }

    #[test]
    fn a_waiver_for_a_path_covers_that_path_alone() {
        let rule = "secrets: {in: [layers], allow: [{check: LYR-016, path: 'opt/test/**', until: 2026-12-31, reason: x, owner: y}]}";
        assert_eq!(Case::rule(rule).with(checked([file("opt/test/key.pem")])).outcome(), Waived);
        assert_eq!(Case::rule(rule).with(checked([file("root/key.pem")])).outcome(), Violate);
        // What is only counted lies in no path.
        let more = violation(FILE, CheckSeverity::High);
        assert_eq!(Case::rule(rule).with(checked([file("opt/test/key.pem"), more])).outcome(), Violate);
    }

    #[test]
    fn a_place_that_does_not_exist_is_an_error() {
        assert!(Case::try_rule("secrets: {in: [files]}").is_err());
        assert!(Case::try_rule("secrets: {}").is_err());
    }
}
