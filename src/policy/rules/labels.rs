//! `labels`: what the image's labels must say and must not.

use crate::model::fact::Fact;
use crate::model::path::escape;
use crate::policy::error::Errors;
use crate::policy::fields::Fields;
use crate::policy::pattern::Pattern;
use crate::policy::rule::{Decided, Reading, Rule, Sealed, Settings, Subject};
use crate::policy::yaml::Node;

/// The kind `labels`.
pub(crate) struct LabelsRule;

impl Rule for LabelsRule {
    fn kind(&self) -> &'static str {
        "labels"
    }

    fn summary(&self) -> &'static str {
        "the image has the labels that are required and none that are denied"
    }

    fn timed(&self) -> bool {
        false
    }
}

/// A label's name and the pattern of its value. `*` alone is any value that is not empty.
type LabelPattern = (String, Pattern);

#[derive(Debug)]
struct Labels {
    require: Vec<LabelPattern>,
    deny: Vec<LabelPattern>,
}

impl Sealed for LabelsRule {
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>> {
        let errors = &mut *document.errors;
        let mut fields = errors.keep(Fields::of(document.node, "`labels`"))?;
        let require = fields.optional("require").map(|node| read_patterns(node, errors)).unwrap_or_default();
        let deny = fields.optional("deny").map(|node| read_patterns(node, errors)).unwrap_or_default();
        fields.finish_some(&[], errors);
        Some(Box::new(Labels { require, deny }))
    }
}

fn read_patterns(node: &Node, errors: &mut Errors) -> Vec<LabelPattern> {
    let expected = "labels and patterns of their values, such as `{team: '*'}`";
    let mut patterns = Vec::new();
    for entry in errors.keep(node.entries(expected)).unwrap_or_default() {
        let value = errors.keep(entry.value.text("a pattern of the label's value"));
        patterns.extend(value.map(|text| (entry.key.clone(), Pattern::glob(text))));
    }
    patterns
}

fn covers(pattern: &Pattern, value: &str) -> bool {
    match pattern.as_str() {
        "*" => !value.is_empty(),
        _ => pattern.matches(value.as_bytes()),
    }
}

impl Settings for Labels {
    fn decide(&self, subject: &Subject<'_>) -> Decided {
        let mut decided = Decided::default();
        for platform in subject.platforms(&mut decided) {
            let place = Some(&platform.platform);
            let config = match &platform.config {
                Fact::Known(config) => config,
                Fact::Absent => {
                    decided.undecided(place, "the image has no configuration");
                    continue;
                }
                Fact::Unknown(cause) => {
                    decided.undecided(place, format!("the image configuration could not be read: {cause}"));
                    continue;
                }
            };
            let labels = config.config.as_ref().and_then(|config| config.labels.as_ref());
            let value = |key: &String| labels.and_then(|labels| labels.get(key));
            for (key, pattern) in &self.require {
                match value(key) {
                    Some(value) if covers(pattern, value) => {}
                    Some(value) => decided.violate(
                        place,
                        format!(
                            "the label `{key}` is `{}`, not `{}`",
                            escape(value.as_bytes()),
                            pattern.as_str()
                        ),
                    ),
                    None => decided.violate(place, format!("the label `{key}` is missing")),
                }
            }
            for (key, pattern) in &self.deny {
                if let Some(value) = value(key).filter(|value| covers(pattern, value)) {
                    let value = escape(value.as_bytes());
                    decided.violate(place, format!("the label `{key}` is `{value}`, which is not allowed"));
                }
            }
        }
        decided
    }
}

#[cfg(test)]
mod tests {
    use crate::model::evidence::Evidence;
    use crate::model::fact::Fact;
    use crate::model::verdict::Outcome::{self, Hold, Undecided, Violate};
    use crate::policy::fixture::{Case, on_first};

    fn judge(rule: &str, value: Option<&str>) -> Outcome {
        let set = |evidence: &mut Evidence| {
            for platform in evidence.platforms_mut() {
                if let Fact::Known(config) = &mut platform.config {
                    let labels = value.map(|value| ("team".to_owned(), value.to_owned()));
                    config.config.get_or_insert_default().labels = Some(labels.into_iter().collect());
                }
            }
        };
        Case::rule(rule).with(set).outcome()
    }

    #[test]
    fn a_required_label_has_a_value_of_the_pattern() {
        let rule = "labels: {require: {team: 'core-*'}}";
        assert_eq!(judge(rule, Some("core-web")), Hold);
        assert_eq!(judge(rule, Some("other")), Violate);
        assert_eq!(judge(rule, None), Violate);
    }

    #[test]
    fn a_star_alone_is_any_value_but_an_empty_one() {
        let rule = "labels: {require: {team: '*'}}";
        assert_eq!(judge(rule, Some("https://a/b")), Hold);
        assert_eq!(judge(rule, Some("")), Violate);
    }

    #[test]
    fn a_denied_label_may_have_another_value_or_be_missing() {
        let rule = "labels: {deny: {team: 'evil'}}";
        assert_eq!(judge(rule, Some("evil")), Violate);
        assert_eq!(judge(rule, Some("good")), Hold);
        assert_eq!(judge(rule, None), Hold);
    }

    #[test]
    fn a_configuration_that_is_not_known_is_undecided() {
        for fact in [Fact::Absent, Fact::Unknown("x".to_owned())] {
            let case =
                Case::rule("labels: {deny: {team: x}}").with(on_first(move |p| p.0.config = fact.clone()));
            assert_eq!(case.outcome(), Undecided);
        }
    }

    #[test]
    fn one_platform_without_the_label_violates() {
        let case = Case::rule("labels: {require: {team: '*'}}");
        assert_eq!(case.outcome(), Violate, "the fixture's labels have no team");
        assert_eq!(case.texts(), ["the label `team` is missing"; 2]);
    }
}
