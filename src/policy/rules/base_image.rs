//! `baseImage`: which images may be built upon, and that their distribution is still kept up.

use jiff::SignedDuration;

use crate::model::base::{Base, By};
use crate::model::path::escape;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::policy::checked::checked;
use crate::policy::fields::Fields;
use crate::policy::pattern::Pattern;
use crate::policy::quantity::{parse_duration, show_duration};
use crate::policy::rule::{Decided, Reading, Rule, Sealed, Settings, Subject};

use super::age::built;

/// The kind `baseImage`.
pub(crate) struct BaseImageRule;

impl Rule for BaseImageRule {
    fn kind(&self) -> &'static str {
        "baseImage"
    }

    fn summary(&self) -> &'static str {
        "the base image is an allowed one, and its distribution's release gets security updates"
    }

    /// Releases end on a day.
    fn timed(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct BaseImage {
    allow: Vec<Pattern>,
    /// Whether a base that the image only claims counts for `allow`.
    claims_count: bool,
    eol_denied: bool,
    /// How long ago the base may have been built.
    max_age: Option<SignedDuration>,
}

impl Sealed for BaseImageRule {
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>> {
        let errors = &mut *document.errors;
        let mut fields = errors.keep(Fields::of(document.node, "`baseImage`"))?;
        let expected = "references, `*` and `**` allowed";
        let nodes = fields.read("allow", errors, |node| node.items(expected)).unwrap_or_default();
        let allow =
            nodes.iter().filter_map(|node| errors.keep(node.text(expected)).map(Pattern::glob)).collect();
        let words = [("accept", true), ("undecided", false)];
        let claims_count = fields.read("claimed", errors, |node| node.word(&words)).unwrap_or(false);
        let words = [("deny", true), ("allow", false)];
        let eol_denied = fields.read("eol", errors, |node| node.word(&words)).unwrap_or(false);
        let duration = "a duration such as `90d`";
        let max_age = fields.read("maxAge", errors, |node| node.read(duration, parse_duration));
        fields.finish_some(&[], errors);
        Some(Box::new(BaseImage { allow, claims_count, eol_denied, max_age }))
    }
}

impl Settings for BaseImage {
    fn decide(&self, subject: &Subject<'_>) -> Decided {
        let mut decided = Decided::default();
        let Some(checked) = checked(subject, &mut decided) else { return decided };
        for platform in subject.platforms(&mut decided) {
            let place = &platform.platform;
            let measured = checked.platforms.iter().find(|measured| measured.platform == *place);
            match measured.and_then(|measured| measured.base.as_ref()) {
                Some(base) => {
                    self.check_allowed(base, place, &mut decided);
                    self.check_end(base, subject, place, &mut decided);
                    self.check_age(base, subject, place, &mut decided);
                }
                None => decided.undecided(Some(place), "the base image cannot be told"),
            }
        }
        decided
    }

    fn needs_checks(&self) -> bool {
        true
    }
}

impl BaseImage {
    fn check_allowed(&self, base: &Base, place: &Platform, decided: &mut Decided) {
        if self.allow.is_empty() {
            return;
        }
        let name = escape(base.name.as_bytes());
        // `debian:12` and `docker.io/library/debian:12` are one name.
        let whole =
            |name: &String| name.parse::<Reference>().map_or_else(|_| name.clone(), |r| r.to_string());
        let mut names = std::iter::once(&base.name).chain(&base.also).map(whole);
        let allowed = names.any(|name| self.allow.iter().any(|pattern| pattern.matches(name.as_bytes())));
        match base.by {
            By::DiffIds | By::Annotation if !allowed => {
                decided.violate(Some(place), format!("the base image `{name}` is not allowed"));
            }
            // Attack: an annotation that claims an allowed base. Nothing of it is verified.
            By::Annotation if !self.claims_count => {
                let text =
                    format!("the image only claims to be built on `{name}`: `claimed: accept` believes it");
                decided.undecided(Some(place), text);
            }
            By::DiffIds | By::Annotation => {}
            By::OsRelease => {
                let text = format!("of the base image only its distribution is known: {name}");
                decided.undecided(Some(place), text);
            }
        }
    }

    fn check_age(&self, base: &Base, subject: &Subject<'_>, place: &Platform, decided: &mut Decided) {
        let Some(max) = self.max_age else { return };
        let name = escape(base.name.as_bytes());
        // When an image was built stands in its own configuration: only a base that was read has one.
        if base.by != By::DiffIds {
            let text = format!("when the base image {name} was built is not known: name it by `--base`");
            return decided.undecided(Some(place), text);
        }
        match built(base.created.as_deref(), subject.now) {
            Ok(built) if subject.now.duration_since(built) > max => {
                let text =
                    format!("the base image {name} was built {built}, more than {} ago", show_duration(max));
                decided.violate(Some(place), text);
            }
            Ok(_) => {}
            Err(cause) => decided.undecided(Some(place), format!("of the base image {name}: {cause}")),
        }
    }

    fn check_end(&self, base: &Base, subject: &Subject<'_>, place: &Platform, decided: &mut Decided) {
        if !self.eol_denied || base.rolling {
            return;
        }
        let name = escape(base.name.as_bytes());
        match base.eol {
            Some(end) if end < subject.today() => {
                let text = format!("{name} gets no free security updates since {end}");
                decided.violate(Some(place), text);
            }
            Some(_) => {}
            None => {
                decided
                    .undecided(Some(place), format!("until when {name} gets security updates is not known"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::evidence::Evidence;
    use crate::model::fact::Fact;
    use crate::model::verdict::Outcome::{Hold, Undecided, Violate};
    use crate::model::violation::{Checked, PlatformChecked};
    use crate::policy::fixture::Case;

    fn base(name: &str, by: By, eol: Option<&str>) -> Base {
        Base {
            name: name.into(),
            also: Vec::new(),
            digest: None,
            by,
            layers: None,
            created: None,
            eol: eol.map(|date| date.parse().unwrap()),
            rolling: false,
        }
    }

    fn on(base: Option<Base>) -> impl FnOnce(&mut Evidence) {
        move |evidence| {
            let platforms = evidence.platforms_mut().iter().map(|platform| platform.platform.clone());
            let platforms = platforms
                .map(|platform| PlatformChecked { platform, base: base.clone(), wasted: 0 })
                .collect();
            evidence.checked = Fact::Known(Checked { platforms, ..Checked::default() });
        }
    }

    #[test]
    fn an_allowed_base_is_one_that_is_known_by_its_layers() {
        let rule = "baseImage: {allow: ['docker.io/library/debian:*-slim']}";
        for (name, by, want) in [
            ("debian:12-slim", By::DiffIds, Hold),
            ("debian:12", By::DiffIds, Violate),
            ("debian:12-slim", By::Annotation, Undecided),
            ("ubuntu:24.04", By::Annotation, Violate),
            ("Debian GNU/Linux 12", By::OsRelease, Undecided),
        ] {
            assert_eq!(
                Case::rule(rule).with(on(Some(base(name, by, None)))).outcome(),
                want,
                "{name} {by:?}"
            );
        }
        let believing = "baseImage: {allow: ['docker.io/library/debian:*-slim'], claimed: accept}";
        let claimed = base("docker.io/library/debian:12-slim", By::Annotation, None);
        assert_eq!(Case::rule(believing).with(on(Some(claimed))).outcome(), Hold);
        assert_eq!(Case::rule(rule).with(on(None)).outcome(), Undecided);
        assert_eq!(Case::rule(rule).with(|e| e.checked = Fact::Absent).outcome(), Undecided);
        assert_eq!(
            Case::rule(rule).with(|e| e.checked = Fact::Known(Checked::default())).outcome(),
            Undecided
        );
    }

    #[test]
    fn a_release_that_ended_is_denied_from_the_day_after() {
        let case = Case::rule("baseImage: {eol: deny}");
        let ends = |end| on(Some(base("Alpine 3.12", By::OsRelease, end)));
        assert_eq!(case.clone().with(ends(Some("2026-11-24"))).outcome(), Hold);
        assert_eq!(case.clone().with(ends(Some("2026-11-23"))).outcome(), Violate);
        assert_eq!(case.clone().with(ends(None)).outcome(), Undecided);
        let rolling = Base { rolling: true, ..base("Wolfi", By::OsRelease, None) };
        assert_eq!(case.with(on(Some(rolling))).outcome(), Hold);
    }

    #[test]
    fn only_a_base_that_was_read_has_an_age() {
        let case = Case::rule("baseImage: {maxAge: 30d}").at("2026-11-24T12:00:00Z");
        let built = |by, created: Option<&str>| {
            on(Some(Base { created: created.map(str::to_owned), ..base("debian:12", by, None) }))
        };
        assert_eq!(case.clone().with(built(By::DiffIds, Some("2026-10-25T12:00:00Z"))).outcome(), Hold);
        assert_eq!(case.clone().with(built(By::DiffIds, Some("2026-10-25T11:59:59Z"))).outcome(), Violate);
        assert_eq!(case.clone().with(built(By::DiffIds, None)).outcome(), Undecided);
        assert_eq!(case.clone().with(built(By::Annotation, None)).outcome(), Undecided);
        assert_eq!(case.with(built(By::OsRelease, None)).outcome(), Undecided);
    }

    #[test]
    fn a_rule_that_checks_nothing_is_an_error() {
        for rule in
            ["baseImage: {}", "baseImage: {allow: []}", "baseImage: {maxAge: old}", "baseImage: {eol: warn}"]
        {
            assert!(Case::try_rule(rule).is_err(), "{rule}");
        }
    }
}
