//! `age`: how long ago the image was built.

use jiff::{SignedDuration, Timestamp};

use crate::model::fact::Fact;
use crate::model::path::escape;
use crate::policy::fields::Fields;
use crate::policy::quantity::{parse_duration, show_duration};
use crate::policy::rule::{Decided, Reading, Rule, Sealed, Settings, Subject};

/// The kind `age`.
pub(crate) struct AgeRule;

impl Rule for AgeRule {
    fn kind(&self) -> &'static str {
        "age"
    }

    fn summary(&self) -> &'static str {
        "the image was built recently, as its configuration says"
    }

    fn timed(&self) -> bool {
        true
    }
}

/// How far in the future a build may lie: clocks differ, but not by more.
pub(crate) const CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug)]
struct Age {
    max_since_build: SignedDuration,
}

impl Sealed for AgeRule {
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>> {
        let errors = &mut *document.errors;
        let mut fields = errors.keep(Fields::of(document.node, "`age`"))?;
        let duration = "a duration such as `90d`";
        let max = fields.need("maxSinceBuild", errors, |node| node.read(duration, parse_duration));
        fields.finish(&[], errors);
        Some(Box::new(Age { max_since_build: max? }))
    }
}

impl Settings for Age {
    fn decide(&self, subject: &Subject<'_>) -> Decided {
        let mut decided = Decided::default();
        for platform in subject.platforms(&mut decided) {
            let place = Some(&platform.platform);
            match &platform.config {
                Fact::Known(config) => match built(config.created.as_deref(), subject.now) {
                    Ok(built) if subject.now.duration_since(built) > self.max_since_build => decided.violate(
                        place,
                        format!("built {built}, more than {} ago", show_duration(self.max_since_build)),
                    ),
                    Ok(_) => {}
                    Err(cause) => decided.undecided(place, cause),
                },
                Fact::Absent => decided.undecided(place, "the image has no configuration"),
                Fact::Unknown(cause) => {
                    decided.undecided(place, format!("the image configuration could not be read: {cause}"));
                }
            }
        }
        decided
    }
}

/// When the image was built, or why that cannot be said.
pub(super) fn built(created: Option<&str>, now: Timestamp) -> Result<Timestamp, String> {
    let text = created.ok_or("the configuration does not say when the image was built")?;
    let time: Timestamp =
        text.parse().map_err(|_| format!("the build time `{}` is no date", escape(text.as_bytes())))?;
    // Go's zero time and the Unix epoch are what reproducible builds write for "not said".
    if time <= Timestamp::UNIX_EPOCH {
        return Err(format!("the build time {time} stands for none"));
    }
    if time.duration_since(now) > CLOCK_SKEW {
        return Err(format!("the build time {time} lies in the future"));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use crate::model::fact::Fact;
    use crate::model::verdict::Outcome::{self, Hold, Undecided, Violate};
    use crate::policy::fixture::{Case, on_first};

    fn judge(created: Option<&str>) -> Outcome {
        let created = created.map(str::to_owned);
        let change = on_first(move |p| {
            if let Fact::Known(config) = &mut p.0.config {
                config.created = created.clone();
            }
        });
        Case::rule("age: {maxSinceBuild: 90d}").at("2026-11-24T12:00:00Z").with(change).outcome()
    }

    #[test]
    fn an_image_may_be_as_old_as_the_limit() {
        assert_eq!(judge(Some("2026-08-26T12:00:00Z")), Hold);
        assert_eq!(judge(Some("2026-08-26T11:59:59Z")), Violate);
        assert_eq!(judge(Some("2026-11-24T14:00:00+02:00")), Hold);
    }

    #[test]
    fn a_build_time_that_says_nothing_is_undecided() {
        for created in
            [None, Some(""), Some("yesterday"), Some("1970-01-01T00:00:00Z"), Some("0001-01-01T00:00:00Z")]
        {
            assert_eq!(judge(created), Undecided, "{created:?}");
        }
    }

    #[test]
    fn a_build_in_the_future_is_not_fresh_forever() {
        assert_eq!(judge(Some("2026-11-25T11:00:00Z")), Hold, "clocks differ");
        assert_eq!(judge(Some("2026-11-25T12:00:01Z")), Undecided);
        assert_eq!(judge(Some("9999-01-01T00:00:00Z")), Undecided);
    }

    #[test]
    fn a_configuration_that_is_not_known_is_undecided() {
        for fact in [Fact::Absent, Fact::Unknown("x".to_owned())] {
            let case =
                Case::rule("age: {maxSinceBuild: 90d}").with(on_first(move |p| p.0.config = fact.clone()));
            assert_eq!(case.outcome(), Undecided);
        }
    }
}
