//! `platforms`: which platforms the image must have.

use crate::model::evidence::Evidence;
use crate::model::fault::FaultKind;
use crate::model::platform::Platform;
use crate::policy::fields::Fields;
use crate::policy::rule::{Decided, Reading, Rule, Sealed, Settings, Subject};
use crate::policy::yaml::Node;

/// The kind `platforms`.
pub(crate) struct PlatformsRule;

impl Rule for PlatformsRule {
    fn kind(&self) -> &'static str {
        "platforms"
    }

    fn summary(&self) -> &'static str {
        "the image has every platform that is required"
    }

    fn timed(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct Platforms {
    require: Vec<Platform>,
}

const LATER: &[&str] = &["uniform"];

impl Sealed for PlatformsRule {
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>> {
        let errors = &mut *document.errors;
        let mut fields = errors.keep(Fields::of(document.node, "`platforms`"))?;
        let expected = "platforms such as `linux/amd64`";
        let nodes = fields.need("require", errors, |node| node.one_or_more(expected));
        let read = |node: &Node| {
            node.read(expected, |text| {
                text.parse().map_err(|e: crate::model::platform::InvalidPlatform| e.to_string())
            })
        };
        let require = nodes.unwrap_or_default().iter().filter_map(|node| errors.keep(read(node))).collect();
        fields.later(LATER, errors);
        fields.finish(LATER, errors);
        Some(Box::new(Platforms { require }))
    }
}

impl Settings for Platforms {
    fn decide(&self, subject: &Subject<'_>) -> Decided {
        let mut decided = Decided::default();
        let platforms = subject.platforms(&mut decided);
        if platforms.is_empty() {
            return decided;
        }
        for required in &self.require {
            if platforms.iter().any(|platform| required.matches(&platform.platform)) {
                continue;
            }
            let asked = subject.evidence.wanted.as_ref();
            if let Some(asked) = asked.filter(|asked| !required.matches(asked)) {
                decided
                    .undecided(Some(required), format!("it was not looked at: only {asked} was asked for"));
            } else if could_not_be_read(required, subject.evidence) {
                decided.undecided(Some(required), "the platform could not be read");
            } else {
                decided.violate(Some(required), "the image does not have this platform");
            }
        }
        decided
    }
}

/// Whether the platform may be there, in a part of the image that could not be read.
fn could_not_be_read(required: &Platform, evidence: &Evidence) -> bool {
    evidence.faults.iter().any(|fault| {
        fault.kind == FaultKind::Unreadable
            && fault.platform.as_ref().is_none_or(|platform| required.matches(platform))
    })
}

#[cfg(test)]
mod tests {
    use crate::model::fact::Fact;
    use crate::model::fault::Fault;
    use crate::model::verdict::Outcome::{Hold, Undecided, Violate};
    use crate::policy::fixture::Case;

    const RULE: &str = "platforms: {require: [linux/amd64, linux/arm64]}";

    #[test]
    fn every_required_platform_must_be_there() {
        assert_eq!(Case::rule(RULE).outcome(), Hold);
        let case = Case::rule("platforms: {require: [linux/amd64, linux/s390x]}");
        assert_eq!(case.outcome(), Violate);
        assert_eq!(case.messages()[0].platform, Some("linux/s390x".parse().unwrap()));
    }

    #[test]
    fn a_platform_that_nobody_looked_at_is_not_called_missing() {
        let case = Case::rule("platforms: {require: [linux/s390x]}")
            .with(|e| e.wanted = Some("linux/amd64".parse().unwrap()));
        assert_eq!(case.outcome(), Undecided);
    }

    #[test]
    fn a_platform_that_could_not_be_read_is_not_called_missing() {
        let case = Case::rule("platforms: {require: [linux/s390x]}").with(|e| {
            e.faults.push(Fault::unreadable("manifest", "no blob").on(&"linux/s390x".parse().unwrap()))
        });
        assert_eq!(case.outcome(), Undecided);
        let other = Case::rule("platforms: {require: [linux/s390x]}").with(|e| {
            e.faults.push(Fault::unreadable("manifest", "no blob").on(&"linux/386".parse().unwrap()))
        });
        assert_eq!(other.outcome(), Violate);
    }

    #[test]
    fn unknown_or_no_platforms_are_undecided() {
        for fact in [Fact::Unknown("x".to_owned()), Fact::Absent, Fact::Known(Vec::new())] {
            assert_eq!(Case::rule(RULE).with(|e| e.platforms = fact.clone()).outcome(), Undecided);
        }
    }

    #[test]
    fn settings_are_checked() {
        assert!(Case::error("platforms: {require: []}").message.contains("empty list"));
        assert!(Case::error("platforms: {require: [linux]}").message.contains("invalid platform `linux`"));
        assert!(
            Case::error("platforms: {uniform: [x], require: [linux/arm64]}")
                .message
                .contains("not supported")
        );
        assert!(Case::error("platforms: {}").message.contains("has no `require`"));
    }
}
