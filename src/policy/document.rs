//! The policy document, `portcullis.dev/v1`.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;

use crate::model::digest::Digest;
use crate::model::verdict::Level;

use super::error::{Errors, PolicyError};
use super::fields::Fields;
use super::identity::Identities;
use super::implicit;
use super::pattern::{Pattern, repository_glob};
use super::quantity::parse_date;
use super::rule::{LATER_KINDS, Names, RULES, Reading, Rule, Settings, day_of};
use super::scope::{Scope, TagClasses, When};
use super::yaml::{self, Entry, Node, Value};

/// The only `apiVersion`.
const API_VERSION: &str = "portcullis.dev/v1";

/// The most rules. Each scope has all of them, so that this times [`MAX_SCOPES`] bounds the memory.
const MAX_RULES: usize = 1_000;

/// The most scopes.
const MAX_SCOPES: usize = 200;

/// A policy, read and checked whole: every rule of every scope.
#[derive(Debug)]
pub struct Policy {
    digest: Digest,
    name: String,
    on_unknown: OnUnknown,
    pub(crate) images: Vec<Pattern>,
    pub(crate) rules: Vec<Arc<PolicyRule>>,
    pub(crate) scopes: Vec<Scope>,
}

/// What the webhook answers the API server for an undecided verdict. It changes no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnknown {
    /// Deny: the default.
    #[default]
    Deny,
    /// Let the object in with a warning.
    Warn,
}

/// One rule of a policy.
#[derive(Debug)]
pub(crate) struct PolicyRule {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    level: Level,
    effective: Option<Date>,
    pub(crate) why: Option<String>,
    pub(crate) settings: Arc<dyn Settings>,
}

impl PolicyRule {
    /// What the rule counts for at a time: before its `effective` date at most a warning.
    pub(crate) fn level(&self, now: Timestamp) -> Level {
        match self.effective {
            Some(date) if day_of(now) < date => self.level.min(Level::Warn),
            Some(_) | None => self.level,
        }
    }
}

impl Policy {
    /// Reads a policy document: YAML of at most 1 MiB.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the document.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<PolicyError>> {
        let root = yaml::parse(bytes)?;
        let mut errors = Errors::default();
        let policy = read_policy(&root, Digest::sha256(bytes), &mut errors);
        errors.finish(policy)
    }

    /// Digest of the document's bytes.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// `metadata.name`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the webhook answers for an undecided verdict.
    #[must_use]
    pub fn on_unknown(&self) -> OnUnknown {
        self.on_unknown
    }

    /// Id and kind of every rule, in the order of the document.
    pub fn rules(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.rules.iter().map(|rule| (rule.id.as_str(), rule.kind))
    }

    /// Names of the scopes, in the order of the document.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().map(|scope| scope.name.as_str())
    }
}

const LATER_FIELDS: &[&str] = &["tests"];

fn read_policy(root: &Node, digest: Digest, errors: &mut Errors) -> Option<Policy> {
    let mut fields = errors.keep(Fields::of(root, "the policy"))?;
    fields.need("apiVersion", errors, |node| node.word(&[(API_VERSION, ())]));
    fields.need("kind", errors, |node| node.word(&[("Policy", ())]));
    let metadata = fields.required("metadata");
    let name = errors.keep(metadata).and_then(|node| read_name(node, errors));
    let images = fields.optional("images").map(|node| read_images(node, errors));
    let tags = fields.optional("tags").map(|node| TagClasses::read(node, errors)).unwrap_or_default();
    let identities = fields.optional("identities").map(|node| Identities::read(node, errors));
    let names = Names { tags, identities: identities.unwrap_or_default() };
    let verdicts = [("deny", OnUnknown::Deny), ("warn", OnUnknown::Warn)];
    let on_unknown = fields.read("onUnknown", errors, |node| node.word(&verdicts)).unwrap_or_default();
    let rules = fields.need("rules", errors, |node| at_most(MAX_RULES, "a list of rules", node));
    let rules = read_rules(rules.unwrap_or_default(), &names, errors);
    let scopes = fields.read("scopes", errors, |node| at_most(MAX_SCOPES, "a list of scopes", node));
    let scopes = read_scopes(scopes.unwrap_or_default(), &rules, &names, errors);
    fields.later(LATER_FIELDS, errors);
    fields.finish(LATER_FIELDS, errors);
    Some(Policy {
        digest,
        name: name?,
        on_unknown,
        images: images.unwrap_or_else(|| vec![Pattern::glob("**")]),
        rules: rules.into_iter().map(|draft| draft.rule).collect::<Option<_>>()?,
        scopes,
    })
}

fn at_most<'n>(limit: usize, expected: &str, node: &'n Node) -> Result<&'n [Node], PolicyError> {
    let items = node.items(expected)?;
    if items.len() > limit {
        return Err(node.span.error(format!("{} items, more than the limit of {limit}", items.len())));
    }
    Ok(items)
}

fn read_name(metadata: &Node, errors: &mut Errors) -> Option<String> {
    let mut fields = errors.keep(Fields::of(metadata, "`metadata`"))?;
    let name = fields.need("name", errors, |node| node.text("the policy's name").map(str::to_owned));
    fields.read("description", errors, |node| node.text("a description").map(|_| ()));
    fields.finish(&[], errors);
    name
}

fn read_images(node: &Node, errors: &mut Errors) -> Vec<Pattern> {
    let expected = "patterns of repositories, such as `ghcr.io/acme/**`";
    let items = errors.keep(node.one_or_more(expected)).unwrap_or_default();
    items.iter().filter_map(|node| errors.keep(node.read(expected, repository_glob))).collect()
}

/// A rule together with its place in the document, from which scopes overlay it.
struct Draft<'n> {
    id: &'n str,
    kind: &'static dyn Rule,
    common: Common,
    settings: &'n Node,
    rule: Option<Arc<PolicyRule>>,
}

#[derive(Clone)]
struct Common {
    level: Level,
    effective: Option<Date>,
    why: Option<String>,
}

fn read_rules<'n>(nodes: &'n [Node], names: &Names, errors: &mut Errors) -> Vec<Draft<'n>> {
    let mut drafts: Vec<Draft<'n>> = Vec::new();
    for node in nodes {
        let Some(draft) = read_rule(node, names, errors) else { continue };
        // Two rules of one id: an overlay, a waiver report or a reader could mean either.
        if drafts.iter().any(|other| other.id == draft.id) {
            errors.push(node.span.error(format!("the rule id `{}` stands twice", draft.id)));
        }
        drafts.push(draft);
    }
    drafts
}

fn read_rule<'n>(node: &'n Node, names: &Names, errors: &mut Errors) -> Option<Draft<'n>> {
    let mut fields = errors.keep(Fields::of(node, "the rule"))?;
    let id = fields.need("id", errors, read_id);
    let common = read_common(&mut fields, errors);
    let mut kinds: Vec<(&'static dyn Rule, &'n Node)> = Vec::new();
    for rule in RULES {
        kinds.extend(fields.optional(rule.kind()).map(|settings| (*rule, settings)));
    }
    let before = errors.count();
    let later: Vec<&str> = LATER_KINDS.iter().copied().chain(["when"]).collect();
    fields.later(&later, errors);
    fields.finish(&later, errors);
    let (kind, settings) = match kinds.as_slice() {
        [(kind, settings)] => (*kind, *settings),
        // Where a field was refused already, that was most likely the kind.
        [] if errors.count() > before => return None,
        [] => {
            let known: Vec<&str> = RULES.iter().map(|rule| rule.kind()).collect();
            let error = node.span.error("the rule has no kind: it checks nothing");
            errors.push(error.help(format!("give it one of: {}", known.join(", "))));
            return None;
        }
        [(first, _), (second, other), ..] => {
            let text = format!("the rule has two kinds, `{}` and `{}`", first.kind(), second.kind());
            errors.push(other.span.error(text).help("make two rules of it"));
            return None;
        }
    };
    let read = kind.settings(&mut Reading { node: settings, names, errors });
    let id = id?;
    let rule = read.map(|settings| common.clone().rule(id, kind, settings.into()));
    Some(Draft { id, kind, common, settings, rule })
}

fn read_id(node: &Node) -> Result<&str, PolicyError> {
    let id = node.text("an id")?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if id.len() > 100 || !id.bytes().all(plain) {
        return Err(node.span.error(format!("the id `{id}` is not letters, digits, `.`, `_` and `-`")));
    }
    if implicit::IMPLICIT.iter().any(|(implicit, _, _)| *implicit == id) {
        return Err(node.span.error(format!("the id `{id}` is that of a rule every policy has")));
    }
    Ok(id)
}

const LEVELS: [(&str, Level); 3] = [("deny", Level::Deny), ("warn", Level::Warn), ("info", Level::Info)];

fn read_common(fields: &mut Fields<'_>, errors: &mut Errors) -> Common {
    Common {
        level: fields.read("level", errors, |node| node.word(&LEVELS)).unwrap_or(Level::Deny),
        effective: fields
            .read("effective", errors, |node| node.read("a date such as `2027-01-31`", parse_date)),
        why: fields.read("why", errors, |node| node.text("the reason for the rule").map(str::to_owned)),
    }
}

impl Common {
    fn rule(self, id: &str, kind: &'static dyn Rule, settings: Arc<dyn Settings>) -> Arc<PolicyRule> {
        let Self { level, effective, why } = self;
        Arc::new(PolicyRule { id: id.to_owned(), kind: kind.kind(), level, effective, why, settings })
    }
}

const LATER_SCOPE_FIELDS: &[&str] = &["admission"];

fn read_scopes(nodes: &[Node], rules: &[Draft<'_>], names: &Names, errors: &mut Errors) -> Vec<Scope> {
    let mut scopes: Vec<Scope> = Vec::new();
    for node in nodes {
        let Some(scope) = read_scope(node, rules, names, errors) else { continue };
        if scopes.iter().any(|other| other.name == scope.name) {
            errors.push(node.span.error(format!("the scope `{}` stands twice", scope.name)));
        }
        scopes.push(scope);
    }
    scopes
}

fn read_scope(node: &Node, rules: &[Draft<'_>], names: &Names, errors: &mut Errors) -> Option<Scope> {
    let mut fields = errors.keep(Fields::of(node, "the scope"))?;
    let name = fields.need("name", errors, |node| node.text("the scope's name").map(str::to_owned));
    let when = fields.optional("when").map(|node| When::read(node, &names.tags, errors));
    let classes = fields.optional("tags").map(|node| {
        let classes = names.tags.read_names(node, errors);
        errors.keep(classes).unwrap_or_default()
    });
    let overlays = fields.optional("set").map(|node| read_overlays(node, rules, errors)).unwrap_or_default();
    fields.later(LATER_SCOPE_FIELDS, errors);
    fields.finish(LATER_SCOPE_FIELDS, errors);
    let overlaid = |draft: &Draft<'_>, errors: &mut Errors| match overlays
        .iter()
        .find(|overlay| overlay.key == draft.id)
    {
        Some(overlay) => overlay_rule(draft, &overlay.value, names, errors),
        None => draft.rule.clone(),
    };
    let rules: Option<Vec<_>> = rules.iter().map(|draft| overlaid(draft, errors)).collect();
    Some(Scope {
        name: name?,
        when: when.unwrap_or_else(|| Some(When::default()))?,
        tags: classes,
        rules: rules?,
    })
}

/// The fields of `set`, each naming a rule. An empty `set` is fine: the rules as they are.
fn read_overlays<'n>(node: &'n Node, rules: &[Draft<'_>], errors: &mut Errors) -> &'n [Entry] {
    let Value::Map(entries) = &node.value else {
        errors.push(node.span.error("expected a mapping from rule ids to what changes"));
        return &[];
    };
    let ids: Vec<&str> = rules.iter().map(|draft| draft.id).collect();
    for entry in entries.iter().filter(|entry| !ids.contains(&entry.key.as_str())) {
        let error = entry.span.error(format!("there is no rule `{}` to overlay", entry.key));
        errors.push(error.suggest(&entry.key, &ids));
    }
    entries
}

const COMMON_FIELDS: [&str; 3] = ["level", "effective", "why"];

/// The rule with the overlay's fields in place of its own: common fields and settings stand beside each
/// other there. The result is read as any rule is, so an overlay cannot smuggle in what a rule may not say.
fn overlay_rule(
    draft: &Draft<'_>,
    overlay: &Node,
    names: &Names,
    errors: &mut Errors,
) -> Option<Arc<PolicyRule>> {
    let entries = errors.keep(overlay.entries("what changes in the rule"))?;
    let (common, settings): (Vec<Entry>, Vec<Entry>) =
        entries.iter().cloned().partition(|entry| COMMON_FIELDS.contains(&entry.key.as_str()));
    let common = Node { value: Value::Map(common), span: overlay.span };
    let mut fields = errors.keep(Fields::of(&common, "the overlay"))?;
    let read = read_common(&mut fields, errors);
    let stated = |key| fields_has(&common, key);
    let common = Common {
        level: if stated("level") { read.level } else { draft.common.level },
        effective: if stated("effective") { read.effective } else { draft.common.effective },
        why: read.why.or_else(|| draft.common.why.clone()),
    };
    let base = draft.rule.as_ref()?;
    if settings.is_empty() {
        return Some(common.rule(draft.id, draft.kind, Arc::clone(&base.settings)));
    }
    let node = merge(draft.settings, settings);
    let settings = draft.kind.settings(&mut Reading { node: &node, names, errors })?;
    Some(common.rule(draft.id, draft.kind, settings.into()))
}

fn fields_has(node: &Node, key: &str) -> bool {
    matches!(&node.value, Value::Map(entries) if entries.iter().any(|entry| entry.key == key))
}

fn merge(base: &Node, overlay: Vec<Entry>) -> Node {
    let mut merged = match &base.value {
        Value::Map(entries) => entries.clone(),
        Value::Null | Value::Scalar { .. } | Value::List(_) => Vec::new(),
    };
    merged.retain(|entry| overlay.iter().all(|new| new.key != entry.key));
    merged.extend(overlay);
    Node { value: Value::Map(merged), span: base.span }
}

#[cfg(test)]
mod tests;
