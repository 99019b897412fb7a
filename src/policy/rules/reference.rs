//! `reference`: where the image comes from and how it is named.

use std::sync::Arc;

use crate::model::fact::Fact;
use crate::model::reference::Reference;
use crate::policy::error::Errors;
use crate::policy::fields::Fields;
use crate::policy::pattern::{Pattern, repository_glob};
use crate::policy::rule::{Decided, Names, Reading, Rule, Sealed, Settings, Subject};
use crate::policy::scope::{TagClass, TagClasses};
use crate::policy::yaml::Node;

/// The kind `reference`.
pub(crate) struct ReferenceRule;

impl Rule for ReferenceRule {
    fn kind(&self) -> &'static str {
        "reference"
    }

    fn summary(&self) -> &'static str {
        "the reference names an allowed registry, tag and digest"
    }

    fn timed(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct ReferenceSettings {
    registries: Option<Vec<Pattern>>,
    deny_tags: Vec<Pattern>,
    deny_classes: Vec<Arc<TagClass>>,
    digest_required: bool,
    tags: Option<Vec<Arc<TagClass>>>,
}

impl Sealed for ReferenceRule {
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>> {
        let Reading { node, names: Names { tags, .. }, errors } = document;
        let mut fields = errors.keep(Fields::of(node, "`reference`"))?;
        let registries = fields.optional("registries").map(|node| read_registries(node, errors));
        let denied = fields.read("denyTags", errors, |node| node.one_or_more("tags")).unwrap_or_default();
        let (deny_tags, deny_classes) = read_denied(denied, tags, errors);
        let digests = [("required", true), ("optional", false)];
        let digest_required = fields.read("digest", errors, |node| node.word(&digests)).unwrap_or(false);
        let classes = fields.optional("tags").map(|node| {
            let names = tags.read_names(node, errors);
            errors.keep(names).unwrap_or_default()
        });
        fields.finish_some(&[], errors);
        let settings =
            ReferenceSettings { registries, deny_tags, deny_classes, digest_required, tags: classes };
        Some(Box::new(settings))
    }
}

/// A pattern without `/` is a whole registry.
fn read_registries(node: &Node, errors: &mut Errors) -> Vec<Pattern> {
    let expected = "patterns of repositories, such as `ghcr.io/acme/**`";
    let parse = |text: &str| match text {
        "**" => repository_glob(text),
        host if !host.contains('/') => repository_glob(&format!("{host}/**")),
        _ => repository_glob(text),
    };
    let items = errors.keep(node.one_or_more(expected)).unwrap_or_default();
    items.iter().filter_map(|node| errors.keep(node.read(expected, parse))).collect()
}

/// Tags, and classes by their names: a class that were taken for a tag would deny nothing.
fn read_denied(nodes: &[Node], tags: &TagClasses, errors: &mut Errors) -> (Vec<Pattern>, Vec<Arc<TagClass>>) {
    let patterns = nodes.iter().filter_map(|node| errors.keep(node.read("a tag", Pattern::tag))).collect();
    let classes = nodes.iter().filter_map(|node| tags.find(node.text("a tag").ok()?).cloned()).collect();
    (patterns, classes)
}

impl Settings for ReferenceSettings {
    fn decide(&self, subject: &Subject<'_>) -> Decided {
        let mut decided = Decided::default();
        if let Some(reference) = subject.reference(&mut decided) {
            self.check_registry(reference, &mut decided);
            self.check_tag(reference, &mut decided);
            if self.digest_required {
                check_digest(reference, subject, &mut decided);
            }
        }
        decided
    }
}

impl ReferenceSettings {
    fn check_registry(&self, reference: &Reference, decided: &mut Decided) {
        let Some(registries) = &self.registries else { return };
        let name = reference.name();
        if !registries.iter().any(|pattern| pattern.matches(name.as_bytes())) {
            let allowed: Vec<&str> = registries.iter().map(Pattern::as_str).collect();
            decided.violate(None, format!("`{name}` is not in {}", allowed.join(", ")));
        }
    }

    fn check_tag(&self, reference: &Reference, decided: &mut Decided) {
        let Some(tag) = &reference.tag else {
            if self.tags.is_some() {
                let text = "the reference has no tag whose class could be checked: write `name:tag@digest`";
                decided.undecided(None, text);
            }
            return;
        };
        let denied = self.deny_tags.iter().any(|pattern| pattern.matches(tag.as_bytes()))
            || self.deny_classes.iter().any(|class| class.covers(tag));
        if denied {
            decided.violate(None, format!("the tag `{tag}` is not allowed"));
        }
        if let Some(classes) = &self.tags
            && !classes.iter().any(|class| class.covers(tag))
        {
            let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
            decided.violate(None, format!("the tag `{tag}` is of none of the classes {}", names.join(", ")));
        }
    }
}

/// A digest that is required must be that of the image that was judged: another one, made up, would
/// pin something that nobody looked at.
fn check_digest(reference: &Reference, subject: &Subject<'_>, decided: &mut Decided) {
    let Some(digest) = &reference.digest else {
        decided.violate(None, "the reference has no digest: pin it as `name:tag@sha256:…`");
        return;
    };
    let judged = match &subject.evidence.platforms {
        Fact::Known(platforms) => platforms.iter().any(|platform| platform.digest.as_ref() == Some(digest)),
        Fact::Absent | Fact::Unknown(_) => false,
    };
    match &subject.evidence.image.digest {
        Some(image) if image == digest || judged => {}
        Some(image) => {
            decided.undecided(None, format!("the reference names {digest}, but {image} was judged"));
        }
        None => decided.undecided(None, "the digest of the image is not known"),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::fact::Fact;
    use crate::model::verdict::Outcome::{self, Hold, Undecided, Violate};
    use crate::policy::fixture::{Case, IMAGE_DIGEST};

    fn judge(rule: &str, reference: &str) -> Outcome {
        let reference = reference.replace("DIGEST", IMAGE_DIGEST);
        Case::rule(rule).with(|e| e.reference = Fact::Known(reference.parse().unwrap())).outcome()
    }

    #[test]
    fn the_registry_must_be_one_of_the_allowed() {
        let rule = "reference: {registries: ['ghcr.io/acme/**', quay.io]}";
        assert_eq!(judge(rule, "ghcr.io/acme/app:1.0.0"), Hold);
        assert_eq!(judge(rule, "quay.io/any/thing:1"), Hold);
        assert_eq!(judge(rule, "ghcr.io/evil/app:1.0.0"), Violate);
        assert_eq!(judge(rule, "quay.io.evil.example/any/thing:1"), Violate);
    }

    #[test]
    fn denied_tags_are_tags_patterns_or_classes() {
        let rule = "reference: {denyTags: [latest, 'tmp-*', release]}";
        assert_eq!(judge(rule, "ghcr.io/acme/app"), Violate);
        assert_eq!(judge(rule, "ghcr.io/acme/app:tmp-1"), Violate);
        assert_eq!(judge(rule, "ghcr.io/acme/app:v1.2.3"), Violate, "the fixture has the class `release`");
        assert_eq!(judge(rule, "ghcr.io/acme/app:main"), Hold);
        assert_eq!(judge(rule, "ghcr.io/acme/app@DIGEST"), Hold);
    }

    #[test]
    fn a_required_digest_must_be_that_of_the_image() {
        let rule = "reference: {digest: required}";
        assert_eq!(judge(rule, "ghcr.io/acme/app:1.0.0"), Violate);
        assert_eq!(judge(rule, "ghcr.io/acme/app:1.0.0@DIGEST"), Hold);
        let other = crate::model::digest::Digest::sha256(b"other").to_string();
        assert_eq!(judge(rule, &format!("ghcr.io/acme/app@{other}")), Undecided);
        assert_eq!(judge("reference: {digest: optional}", "ghcr.io/acme/app:1"), Hold);
    }

    #[test]
    fn a_tag_must_be_of_one_of_the_classes() {
        let rule = "reference: {tags: [release]}";
        assert_eq!(judge(rule, "ghcr.io/acme/app:v1.2.3"), Hold);
        assert_eq!(judge(rule, "ghcr.io/acme/app:latest"), Violate);
        assert_eq!(judge(rule, "ghcr.io/acme/app@DIGEST"), Undecided);
    }

    #[test]
    fn without_a_reference_it_is_undecided() {
        let case = Case::rule("reference: {registries: ['ghcr.io/**']}");
        let absent = case.clone().with(|e| e.reference = Fact::Absent);
        assert_eq!(absent.outcome(), Undecided);
        assert!(absent.texts()[0].contains("--as"), "{:?}", absent.texts());
        assert_eq!(case.with(|e| e.reference = Fact::Unknown("x".into())).outcome(), Undecided);
    }
}
