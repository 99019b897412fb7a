//! Scopes: overlays by place and by class of tag, and which one applies.

use std::sync::Arc;

use crate::attestation::{LogOfKey, PublicKey};
use crate::model::attestation::Attestation;
use crate::model::evidence::Evidence;
use crate::model::fact::Fact;

use super::document::{Policy, PolicyRule};
use super::error::{Errors, PolicyError};
use super::fields::Fields;
use super::pattern::Pattern;
use super::signed::By;
use super::yaml::Node;

/// A named class of tags: any of its patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TagClass {
    pub(crate) name: String,
    patterns: Vec<Pattern>,
}

impl TagClass {
    pub(crate) fn covers(&self, tag: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(tag.as_bytes()))
    }
}

/// The policy's classes of tags.
#[derive(Debug, Clone, Default)]
pub(crate) struct TagClasses(pub(crate) Vec<Arc<TagClass>>);

impl TagClasses {
    /// Reads `{name: pattern | [pattern]}`.
    pub(crate) fn read(node: &Node, errors: &mut Errors) -> Self {
        let mut classes = Vec::new();
        let expected = "classes of tags, such as `{release: semver}`";
        for entry in errors.keep(node.entries(expected)).unwrap_or_default() {
            let patterns = errors.keep(entry.value.one_or_more("a pattern of tags")).unwrap_or_default();
            let read = |node: &Node| node.read("a pattern of tags", Pattern::tag);
            let patterns = patterns.iter().filter_map(|node| errors.keep(read(node))).collect();
            classes.push(Arc::new(TagClass { name: entry.key.clone(), patterns }));
        }
        Self(classes)
    }

    /// The class that a policy names.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<TagClass>> {
        self.0.iter().find(|class| class.name == name)
    }

    /// A list of names of classes.
    pub(crate) fn read_names(
        &self,
        node: &Node,
        errors: &mut Errors,
    ) -> Result<Vec<Arc<TagClass>>, PolicyError> {
        let names: Vec<&str> = self.0.iter().map(|class| class.name.as_str()).collect();
        let mut found = Vec::new();
        for node in node.one_or_more("names of tag classes")? {
            let class = node.text("the name of a tag class").and_then(|name| {
                let error = || node.span.error(format!("the policy's `tags` have no class `{name}`"));
                self.find(name).cloned().ok_or_else(|| error().suggest(name, &names))
            });
            found.extend(errors.keep(class));
        }
        Ok(found)
    }
}

/// An overlay over the policy's rules.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) name: String,
    pub(crate) when: When,
    /// The classes of tags that may enter; any where none is stated.
    pub(crate) tags: Option<Vec<Arc<TagClass>>>,
    /// All rules of the policy, overlaid.
    pub(crate) rules: Vec<Arc<PolicyRule>>,
}

/// The conditions of a scope.
#[derive(Debug, Default)]
pub(crate) struct When {
    env: Vec<String>,
    namespaces: Vec<Pattern>,
    tags: Vec<Arc<TagClass>>,
}

impl When {
    /// Reads `{env, namespaces, tags}`.
    pub(crate) fn read(node: &Node, tags: &TagClasses, errors: &mut Errors) -> Option<Self> {
        let mut fields = errors.keep(Fields::of(node, "`when`"))?;
        let texts = |node: &Node, errors: &mut Errors, expected: &str| {
            let items = errors.keep(node.one_or_more(expected)).unwrap_or_default();
            let texts = items.iter().filter_map(|node| errors.keep(node.text(expected)));
            texts.map(str::to_owned).collect::<Vec<_>>()
        };
        let env = fields.optional("env").map(|node| texts(node, errors, "the name of an environment"));
        let namespaces =
            fields.optional("namespaces").map(|node| texts(node, errors, "a namespace, `*` allowed"));
        let classes = fields.optional("tags").map(|node| {
            let classes = tags.read_names(node, errors);
            errors.keep(classes).unwrap_or_default()
        });
        fields.finish_some(&[], errors);
        Some(Self {
            env: env.unwrap_or_default(),
            namespaces: namespaces.unwrap_or_default().iter().map(|text| Pattern::glob(text)).collect(),
            tags: classes.unwrap_or_default(),
        })
    }

    fn is_catch_all(&self) -> bool {
        self.env.is_empty() && self.namespaces.is_empty() && self.tags.is_empty()
    }

    /// Whether the conditions hold. All that are stated and can be checked must; a place is not checked
    /// where the door was told none, and at least one condition must have been.
    fn applies(&self, env: Option<&str>, tag: &TagFact<'_>) -> Applies {
        let states_place = !self.env.is_empty() || !self.namespaces.is_empty();
        let place = match env {
            Some(env) if states_place => Some(self.env.iter().any(|name| name == env)),
            Some(_) | None => None,
        };
        match (place, tag) {
            _ if self.is_catch_all() => Applies::Yes,
            (Some(false), _) => Applies::No,
            (Some(true), _) if self.tags.is_empty() => Applies::Yes,
            (None, _) if self.tags.is_empty() => Applies::No,
            (_, TagFact::Unknown) => Applies::Unknown,
            (_, TagFact::None) => Applies::No,
            (_, TagFact::Tag(tag)) if self.tags.iter().any(|class| class.covers(tag)) => Applies::Yes,
            (_, TagFact::Tag(_)) => Applies::No,
        }
    }
}

enum Applies {
    Yes,
    No,
    Unknown,
}

/// The tag of the reference.
enum TagFact<'a> {
    Tag(&'a str),
    /// The reference has none, only a digest.
    None,
    /// There is no reference, or it is not known.
    Unknown,
}

/// What a door was told of the place that the image is to enter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// `--scope`: the scope by its name, whatever its conditions.
    pub scope: Option<String>,
    /// `--env`: the environment that `when.env` of the scopes is compared with.
    pub env: Option<String>,
}

/// A selection that the policy has nothing for: a mistake on the command line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownScope {
    /// The policy has no scope of this name.
    #[error("the policy has no scope `{name}`{}", known(.scopes))]
    Scope {
        /// What was asked for.
        name: String,
        /// What the policy has.
        scopes: Vec<String>,
    },
    /// The policy's scopes go by environment, none names this one, and none is without conditions. To
    /// judge by the rules without overlay would let a misspelt `production` pass as no place at all.
    #[error("no scope of the policy is for the environment `{name}`{}", known(.environments))]
    Environment {
        /// What was asked for.
        name: String,
        /// What the policy has.
        environments: Vec<String>,
    },
}

fn known(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(": it has {}", names.join(", ")) }
}

/// A policy and the place to judge for.
#[derive(Debug)]
pub struct SelectedPolicy<'p> {
    pub(crate) policy: &'p Policy,
    named: Option<&'p Scope>,
    env: Option<String>,
}

impl Policy {
    /// Settles the place to judge for, before anything is read of the image.
    ///
    /// # Errors
    /// [`UnknownScope`] where the policy has nothing for the selection: a usage error.
    pub fn select(&self, selection: &Selection) -> Result<SelectedPolicy<'_>, UnknownScope> {
        let env = selection.env.clone();
        if let Some(name) = &selection.scope {
            let scopes = || self.scopes.iter().map(|scope| scope.name.clone()).collect();
            let named = self.scopes.iter().find(|scope| scope.name == *name);
            let named = named.ok_or_else(|| UnknownScope::Scope { name: name.clone(), scopes: scopes() })?;
            return Ok(SelectedPolicy { policy: self, named: Some(named), env });
        }
        if let Some(name) = &env {
            let environments: Vec<String> =
                self.scopes.iter().flat_map(|scope| scope.when.env.clone()).collect();
            let catch_all = self.scopes.iter().any(|scope| scope.when.is_catch_all());
            if !environments.is_empty() && !environments.contains(name) && !catch_all {
                return Err(UnknownScope::Environment { name: name.clone(), environments });
            }
        }
        Ok(SelectedPolicy { policy: self, named: None, env })
    }
}

impl<'p> SelectedPolicy<'p> {
    /// Whether a rule, in whatever scope, looks at what the checks of manifests and layers found.
    #[must_use]
    pub fn needs_checks(&self) -> bool {
        self.rules().any(|rule| rule.settings.needs_checks())
    }

    /// Whether a rule, in whatever scope, looks at what is signed.
    #[must_use]
    pub fn needs_attestations(&self) -> bool {
        self.signers().next().is_some()
    }

    /// The keys that may sign, by whatever rule, and whether what each signs must be in a log.
    pub fn keys(&self) -> impl Iterator<Item = (&'p PublicKey, LogOfKey)> {
        self.signers().flat_map(|by| &by.identities).filter_map(|identity| identity.key())
    }

    /// Whether somebody signed who may, by whatever rule.
    pub fn may_sign(&self, attestation: &Attestation) -> bool {
        self.signers().flat_map(|by| &by.identities).any(|identity| identity.check(attestation).is_ok())
    }

    /// Whether a rule, in whatever scope, looks at VEX that hangs on the image.
    #[must_use]
    pub fn needs_vex(&self) -> bool {
        self.rules().any(|rule| rule.settings.needs_vex())
    }

    /// Whether somebody signed whose VEX counts, by whatever rule.
    #[must_use]
    pub fn may_state_vex(&self, attestation: &Attestation) -> bool {
        let asked = self.rules().filter(|rule| rule.settings.needs_vex());
        let by = asked.filter_map(|rule| rule.settings.signers());
        by.flat_map(|by| &by.identities).any(|identity| identity.check(attestation).is_ok())
    }

    fn signers(&self) -> impl Iterator<Item = &'p By> + use<'p> {
        self.rules().filter_map(|rule| rule.settings.signers())
    }

    /// The rules of every scope.
    fn rules(&self) -> impl Iterator<Item = &'p PolicyRule> + use<'p> {
        let scoped = self.policy.scopes.iter().flat_map(|scope| &scope.rules);
        self.policy.rules.iter().chain(scoped).map(AsRef::as_ref)
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &'p Policy {
        self.policy
    }

    /// The scope that applies to the image: the first whose conditions hold. An error says which scope
    /// it cannot be said of.
    pub(crate) fn scope(&self, evidence: &Evidence) -> Result<Option<&'p Scope>, &'p str> {
        if let Some(scope) = self.named {
            return Ok(Some(scope));
        }
        let tag = match &evidence.reference {
            Fact::Known(reference) => reference.tag.as_deref().map_or(TagFact::None, TagFact::Tag),
            Fact::Absent | Fact::Unknown(_) => TagFact::Unknown,
        };
        for scope in &self.policy.scopes {
            match scope.when.applies(self.env.as_deref(), &tag) {
                Applies::Yes => return Ok(Some(scope)),
                Applies::No => {}
                // The scope may be the stricter one: to go on as if it did not apply would fail open.
                Applies::Unknown => return Err(&scope.name),
            }
        }
        Ok(None)
    }
}
