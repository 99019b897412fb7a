//! `signature`: who must have signed the image.

use std::collections::BTreeMap;

use crate::model::attestation::{Attestation, Content};
use crate::policy::fields::Fields;
use crate::policy::pattern::Pattern;
use crate::policy::rule::{Decided, Reading, Rule, Sealed, Settings, Subject};
use crate::policy::signed::{By, Fits};

/// The kind `signature`.
pub(crate) struct SignatureRule;

impl Rule for SignatureRule {
    fn kind(&self) -> &'static str {
        "signature"
    }

    fn summary(&self) -> &'static str {
        "the image is signed by whom the policy names"
    }

    /// A certificate counts at the time of signing, whenever that is looked at.
    fn timed(&self) -> bool {
        false
    }
}

#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) by: By,
    pub(crate) annotations: BTreeMap<String, Pattern>,
}

impl Sealed for SignatureRule {
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>> {
        let errors = &mut *document.errors;
        let mut fields = errors.keep(Fields::of(document.node, "`signature`"))?;
        let by = By::read(&mut fields, &document.names.identities, errors);
        let expected = "annotations and patterns of their values, such as `{env: prod}`";
        let annotations = fields.read("annotations", errors, |node| node.entries(expected));
        let mut patterns = BTreeMap::new();
        for entry in annotations.unwrap_or_default() {
            let value = errors.keep(entry.value.text("a pattern of the annotation's value"));
            patterns.extend(value.map(|text| (entry.key.clone(), Pattern::glob(text))));
        }
        fields.finish_some(&[], errors);
        Some(Box::new(Signature { by: by?, annotations: patterns }))
    }
}

impl Settings for Signature {
    fn decide(&self, subject: &Subject<'_>) -> Decided {
        self.by.decide(subject, "signature", &|attestation, _| self.fits(attestation))
    }

    fn signers(&self) -> Option<&By> {
        Some(&self.by)
    }
}

impl Signature {
    fn fits(&self, attestation: &Attestation) -> Fits {
        // Attack: an SBOM, or a failed verdict, by the right signer. Neither was meant to sign the image.
        let Content::Signature { annotations } = &attestation.content else { return Fits::No(None) };
        let wrong = self.annotations.iter().find(|(key, pattern)| {
            annotations.get(*key).is_none_or(|value| !pattern.matches(value.as_bytes()))
        });
        match wrong {
            Some((key, pattern)) => {
                Fits::No(Some(format!("has no annotation `{key}` that is `{}`", pattern.as_str())))
            }
            None => Fits::Yes,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::attestation::{Content, Place, Refused, SignedBy};
    use crate::model::digest::Digest;
    use crate::model::fact::Fact;
    use crate::model::signer::{Claim, Name, Signer};
    use crate::model::verdict::Outcome::{Hold, Undecided, Violate};
    use crate::policy::fixture::{Case, attested, ci, sec, signature, signed};

    fn by_ci() -> Case {
        Case::rule("signature: {by: [ci]}")
    }

    fn with(change: impl FnOnce(&mut Signer)) -> SignedBy {
        let SignedBy::Certificate(mut signer) = ci() else { panic!("no certificate") };
        change(&mut signer);
        SignedBy::Certificate(signer)
    }

    #[test]
    fn the_image_is_signed_by_whom_the_policy_names() {
        assert_eq!(by_ci().outcome(), Violate);
        assert_eq!(by_ci().with(signed([(ci(), signature())])).outcome(), Hold);
        assert_eq!(by_ci().with(signed([(sec(), signature())])).outcome(), Violate);
        assert!(by_ci().with(signed([(sec(), signature())])).texts()[0].contains("security@acme.example"));
    }

    #[test]
    fn no_other_attestation_counts_as_a_signature() {
        for predicate_type in ["https://cyclonedx.org/bom", "https://slsa.dev/verification_summary/v1"] {
            let content = Content::Statement {
                predicate_type: predicate_type.into(),
                predicate: serde_json::json!({}),
            };
            assert_eq!(by_ci().with(signed([(ci(), content)])).outcome(), Violate);
        }
    }

    #[test]
    fn a_workflow_that_others_call_signs_for_them_and_not_for_its_owner() {
        let called = with(|signer| {
            signer.claims.insert(Claim::SourceRepository, "https://github.com/evil/app".into());
        });
        assert_eq!(by_ci().with(signed([(called, signature())])).outcome(), Violate);
        let silent = with(|signer| signer.claims.clear());
        assert_eq!(by_ci().with(signed([(silent, signature())])).outcome(), Violate);
        let branch = with(|signer| {
            let name = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/evil";
            signer.name = Name::Uri(name.into());
        });
        assert_eq!(by_ci().with(signed([(branch, signature())])).outcome(), Violate);
    }

    #[test]
    fn any_all_or_some_of_several_must_have_signed() {
        for (rule, one, both) in [
            ("signature: {by: [ci, sec]}", Hold, Hold),
            ("signature: {by: [ci, sec], require: any}", Hold, Hold),
            ("signature: {by: [ci, sec], require: all}", Violate, Hold),
            ("signature: {by: [ci, sec], require: 2}", Violate, Hold),
        ] {
            let case = Case::rule(rule);
            assert_eq!(case.clone().with(signed([(ci(), signature())])).outcome(), one, "{rule}");
            // The same one twice is one.
            let twice = signed([(ci(), signature()), (ci(), signature())]);
            assert_eq!(case.clone().with(twice).outcome(), one, "{rule}");
            let two = signed([(ci(), signature()), (sec(), signature())]);
            assert_eq!(case.with(two).outcome(), both, "{rule}");
        }
    }

    #[test]
    fn what_could_not_be_looked_at_leaves_it_undecided_and_takes_nothing_away() {
        let throttled = |case: Case| {
            case.with(|evidence| {
                let Fact::Known(attested) = &mut evidence.attested else { panic!("not known") };
                attested[0].unknown.push("the registry answers 429".into());
            })
        };
        assert_eq!(throttled(by_ci().with(signed([]))).outcome(), Undecided);
        assert_eq!(throttled(by_ci().with(signed([(ci(), signature())]))).outcome(), Hold);
        assert_eq!(by_ci().with(|e| e.attested = Fact::Absent).outcome(), Undecided);
        assert_eq!(by_ci().with(|e| e.attested = Fact::Unknown("x".into())).outcome(), Undecided);
    }

    #[test]
    fn what_was_refused_is_told() {
        let case = by_ci().with(signed([])).with(|evidence| {
            let Fact::Known(attested) = &mut evidence.attested else { panic!("not known") };
            attested[0].refused.push(Refused {
                at: Place::Referrer { digest: Digest::sha256(b"r") },
                unjudged: false,
                kind: "sct",
                cause: "no SCT".into(),
            });
        });
        assert_eq!(case.outcome(), Violate);
        assert!(case.texts()[0].contains("sct: no SCT"), "{:?}", case.texts());
        let unjudged = case.with(|evidence| {
            let Fact::Known(attested) = &mut evidence.attested else { panic!("not known") };
            attested[0].refused[0].unjudged = true;
        });
        assert_eq!(unjudged.outcome(), Undecided, "a bundle of a version to come may be the signature");
    }

    #[test]
    fn each_platform_may_be_signed_by_itself() {
        let own = |number: usize| {
            move |evidence: &mut crate::model::evidence::Evidence| {
                let Fact::Known(platforms) = &evidence.platforms else { panic!("no platforms") };
                let signed = platforms.iter().take(number);
                let signed = signed.map(|platform| attested(Some(platform), [(ci(), signature())]));
                let all = signed.chain([attested(None, [])]).collect();
                evidence.attested = Fact::Known(all);
            }
        };
        assert_eq!(by_ci().with(own(2)).outcome(), Hold);
        assert_eq!(by_ci().with(own(1)).outcome(), Violate);
        let each = Case::rule("signature: {by: [ci], perPlatform: true}");
        assert_eq!(each.clone().with(own(2)).outcome(), Hold);
        assert_eq!(each.with(signed([(ci(), signature())])).outcome(), Violate);
    }

    #[test]
    fn annotations_must_be_as_the_policy_says() {
        let case = Case::rule("signature: {by: [ci], annotations: {env: 'prod-*'}}");
        for (value, want) in [(Some("prod-eu"), Hold), (Some("dev"), Violate), (None, Violate)] {
            let annotations = value.map(|value| ("env".to_owned(), value.to_owned()));
            let content = Content::Signature { annotations: annotations.into_iter().collect() };
            assert_eq!(case.clone().with(signed([(ci(), content)])).outcome(), want);
        }
    }

    #[test]
    fn a_rule_that_names_nobody_is_an_error() {
        for rule in [
            "signature: {}",
            "signature: {by: []}",
            "signature: {by: [nobody]}",
            "signature: {by: [ci, ci]}",
            "signature: {by: [ci], require: 0}",
            "signature: {by: [ci], require: 2}",
            "signature: {by: [ci], annotations: {}}",
        ] {
            assert!(Case::try_rule(rule).is_err(), "{rule}");
        }
    }
}
