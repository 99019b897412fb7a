//! `attestation`: what must have been attested of the image, and by whom.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::model::attestation::{Attestation, Content, SignedBy};
use crate::model::predicate::predicate_type;
use crate::policy::fields::Fields;
use crate::policy::pattern::Pattern;
use crate::policy::quantity::{parse_duration, show_duration};
use crate::policy::rule::{Decided, Reading, Rule, Sealed, Settings, Subject};
use crate::policy::rules::age::CLOCK_SKEW;
use crate::policy::signed::{By, Fits, quoted};

/// The kind `attestation`.
pub(crate) struct AttestationRule;

impl Rule for AttestationRule {
    fn kind(&self) -> &'static str {
        "attestation"
    }

    fn summary(&self) -> &'static str {
        "whom the policy names has attested something of the image, such as a passed test"
    }

    /// `maxAge` looks at the time.
    fn timed(&self) -> bool {
        true
    }
}

#[derive(Debug)]
pub(crate) struct AttestationSettings {
    pub(crate) by: By,
    pub(crate) predicate_type: String,
    pub(crate) fields: Vec<(String, Pattern)>,
    pub(crate) max_age: Option<SignedDuration>,
}

impl Sealed for AttestationRule {
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>> {
        let errors = &mut *document.errors;
        let mut fields = errors.keep(Fields::of(document.node, "`attestation`"))?;
        let expected = "a predicate type: a URI, or a word such as `vuln`";
        let wanted = fields.need("type", errors, |node| node.read(expected, predicate_type));
        let by = By::read(&mut fields, &document.names.identities, errors);
        let expected = "fields of the predicate and patterns of their values, such as `{result: PASSED}`";
        let entries = fields.read("where", errors, |node| node.entries(expected)).unwrap_or_default();
        let mut patterns = Vec::new();
        for entry in entries {
            let value = errors.keep(entry.value.text("a pattern of the field's value"));
            patterns.extend(value.map(|text| (entry.key.clone(), Pattern::glob(text))));
        }
        let duration = "a duration such as `7d`";
        let max_age = fields.read("maxAge", errors, |node| node.read(duration, parse_duration));
        fields.finish_some(&[], errors);
        let settings = AttestationSettings { by: by?, predicate_type: wanted?, fields: patterns, max_age };
        Some(Box::new(settings))
    }
}

impl Settings for AttestationSettings {
    fn decide(&self, subject: &Subject<'_>) -> Decided {
        let what = format!("attestation of the type {}", self.predicate_type);
        self.by.decide(subject, &what, &|attestation, _| self.fits(attestation, subject.now))
    }

    fn signers(&self) -> Option<&By> {
        Some(&self.by)
    }
}

impl AttestationSettings {
    fn fits(&self, attestation: &Attestation, now: Timestamp) -> Fits {
        let Content::Statement { predicate_type, predicate } = &attestation.content else {
            return Fits::No(None);
        };
        if *predicate_type != self.predicate_type {
            return Fits::No(None);
        }
        for (path, pattern) in &self.fields {
            match text_at(predicate, path) {
                Some(value) if pattern.matches(value.as_bytes()) => {}
                Some(value) => {
                    let value = quoted(&value);
                    return Fits::No(Some(format!("says `{path}` is {value}, not `{}`", pattern.as_str())));
                }
                None => return Fits::No(Some(format!("says nothing of `{path}`"))),
            }
        }
        match self.max_age {
            Some(max) => young(attestation, max, now),
            None => Fits::Yes,
        }
    }
}

/// Whether something was signed so recently. Attack: a key that signs without anybody who says when: it is of any age.
pub(crate) fn young(attestation: &Attestation, max: SignedDuration, now: Timestamp) -> Fits {
    match attestation.times.first() {
        None => Fits::Unknown("when it was signed is not known".into()),
        Some(time) if now.duration_since(*time) > max => {
            Fits::No(Some(format!("was signed {time}, more than {} ago", show_duration(max))))
        }
        // Attack: what a key signed long ago, put into a log again by anybody. Of a certificate the log's time must lie
        // within its ten minutes; a key is valid for ever.
        Some(_) if matches!(attestation.signed_by, SignedBy::Key(_)) => {
            Fits::Unknown("a key signed it, and when is anybody's word".into())
        }
        Some(time) if *time > now.saturating_add(CLOCK_SKEW).unwrap_or(now) => {
            Fits::Unknown(format!("was signed {time}, which is to come"))
        }
        Some(_) => Fits::Yes,
    }
}

/// The text, number or truth value at a path of names and numbers with dots between.
pub(crate) fn text_at(value: &Value, path: &str) -> Option<String> {
    let at = path.split('.').try_fold(value, |value, step| match value {
        Value::Object(fields) => fields.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })?;
    match at {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::fact::Fact;
    use crate::model::verdict::Outcome::{Hold, Undecided, Violate};
    use crate::policy::fixture::{Case, ci, sec, signature, signed};

    const TEST: &str = "https://in-toto.io/attestation/test-result/v0.1";

    fn statement(predicate: Value) -> Content {
        Content::Statement { predicate_type: TEST.into(), predicate }
    }

    #[test]
    fn somebody_who_is_named_attested_it() {
        let case = Case::rule(&format!("attestation: {{type: '{TEST}', by: [ci]}}"));
        assert_eq!(case.clone().with(signed([(ci(), statement(json!({})))])).outcome(), Hold);
        assert_eq!(case.clone().with(signed([(sec(), statement(json!({})))])).outcome(), Violate);
        assert_eq!(case.clone().with(signed([(ci(), signature())])).outcome(), Violate);
        let other =
            Content::Statement { predicate_type: "https://acme.example/x".into(), predicate: json!({}) };
        assert_eq!(case.clone().with(signed([(ci(), other)])).outcome(), Violate);
        assert_eq!(case.with(|e| e.attested = Fact::Unknown("x".into())).outcome(), Undecided);
    }

    #[test]
    fn its_predicate_says_what_the_policy_wants() {
        let rule =
            format!("attestation: {{type: '{TEST}', by: [ci], where: {{result: PASSED, runs.0.id: '7*'}}}}");
        let case = Case::rule(&rule);
        for (predicate, want) in [
            (json!({"result": "PASSED", "runs": [{"id": 77}]}), Hold),
            (json!({"result": "FAILED", "runs": [{"id": 77}]}), Violate),
            (json!({"result": "PASSED", "runs": []}), Violate),
            (json!({"result": ["PASSED"], "runs": [{"id": 77}]}), Violate),
            (json!("PASSED"), Violate),
            (Value::Null, Violate),
        ] {
            assert_eq!(
                case.clone().with(signed([(ci(), statement(predicate.clone()))])).outcome(),
                want,
                "{predicate}"
            );
        }
        // One that passed is enough, whatever else was tried before.
        let both = [
            (ci(), statement(json!({"result": "FAILED"}))),
            (ci(), statement(json!({"result": "PASSED", "runs": [{"id": "7"}]}))),
        ];
        assert_eq!(case.with(signed(both)).outcome(), Hold);
    }

    #[test]
    fn an_old_one_does_not_count_and_one_without_a_time_is_undecided() {
        let case = Case::rule(&format!("attestation: {{type: '{TEST}', by: [ci], maxAge: 7d}}"));
        let at = |times: &'static [&'static str]| {
            move |evidence: &mut crate::model::evidence::Evidence| {
                let Fact::Known(attested) = &mut evidence.attested else { panic!("not known") };
                attested[0].attestations[0].times = times.iter().map(|time| time.parse().unwrap()).collect();
            }
        };
        let signed = || case.clone().with(signed([(ci(), statement(json!({})))]));
        assert_eq!(signed().with(at(&["2026-11-18T12:00:00Z"])).outcome(), Hold);
        assert_eq!(signed().with(at(&["2026-11-17T11:59:59Z"])).outcome(), Violate);
        assert_eq!(signed().with(at(&["2026-11-01T00:00:00Z", "2026-11-24T00:00:00Z"])).outcome(), Violate);
        assert_eq!(signed().with(at(&[])).outcome(), Undecided);
    }

    #[test]
    fn a_type_that_is_none_is_an_error() {
        for rule in [
            "attestation: {by: [ci]}",
            "attestation: {type: nonsense, by: [ci]}",
            "attestation: {type: vuln}",
            "attestation: {type: vuln, by: [ci], where: \"predicate.result == 'PASSED'\"}",
        ] {
            assert!(Case::try_rule(rule).is_err(), "{rule}");
        }
        assert!(Case::try_rule("attestation: {type: vuln, by: [ci]}").is_ok());
    }
}
