//! The policy's identities: who may sign, by name.

use std::sync::Arc;

use crate::attestation::identity::{Field, Identity, InvalidPattern, Pattern};
use crate::attestation::{LogOfKey, PublicKey};
use crate::model::attestation::{Attestation, SignedBy};
use crate::model::signer::Claim;

use super::demand::Signatory;
use super::error::{Errors, PolicyError};
use super::fields::Fields;
use super::yaml::{self, Node, Value};

/// The issuer of GitHub's identity tokens.
pub(crate) const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// A named identity: any of its forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedIdentity {
    pub(crate) name: String,
    who: Who,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Who {
    /// Whoever has a certificate as one of these says.
    Certificate(Vec<Identity>),
    /// Whoever has this key.
    Key(Box<PublicKey>, LogOfKey),
}

impl NamedIdentity {
    pub(crate) fn new(name: String, signatory: Signatory) -> Self {
        let who = match signatory {
            Signatory::Identity(identity) => Who::Certificate(vec![identity]),
            Signatory::Key(key, log) => Who::Key(Box::new(key), log),
        };
        Self { name, who }
    }

    /// Whether it is who signed.
    ///
    /// # Errors
    /// In what they differ: a lowercase fragment.
    pub(crate) fn check(&self, attestation: &Attestation) -> Result<(), String> {
        self.check_signer(&attestation.signed_by, !attestation.logs.is_empty())
    }

    /// The same of who signed something, and whether it is in a log.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(crate) fn check_signer(&self, signed_by: &SignedBy, in_log: bool) -> Result<(), String> {
        match (&self.who, signed_by) {
            (Who::Certificate(identities), SignedBy::Certificate(signer)) => {
                let mut first = None;
                for identity in identities {
                    match identity.check(signer) {
                        Ok(()) => return Ok(()),
                        Err(mismatches) => {
                            let texts: Vec<String> = mismatches.iter().map(ToString::to_string).collect();
                            first.get_or_insert_with(|| texts.join("; "));
                        }
                    }
                }
                Err(first.unwrap_or_else(|| "nobody is named".to_owned()))
            }
            (Who::Key(key, log), SignedBy::Key(fingerprint)) if key.fingerprint() == *fingerprint => {
                // The same key may stand under another name, of which no log is demanded.
                match log {
                    LogOfKey::Demanded if !in_log => Err("it is in no log".to_owned()),
                    LogOfKey::Demanded | LogOfKey::NotDemanded => Ok(()),
                }
            }
            (Who::Key(key, _), _) => Err(format!("expected the key {}", key.fingerprint())),
            (Who::Certificate(_), SignedBy::Key(_)) => Err("a certificate is expected".to_owned()),
        }
    }

    /// Whether it is told by a certificate, and not by a key.
    pub(crate) fn has_certificate(&self) -> bool {
        matches!(self.who, Who::Certificate(_))
    }

    /// The key, where it is one, and whether what it signed must be in a log.
    pub(crate) fn key(&self) -> Option<(&PublicKey, LogOfKey)> {
        match &self.who {
            Who::Key(key, log) => Some((key, *log)),
            Who::Certificate(_) => None,
        }
    }
}

/// The policy's identities.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identities(Vec<Arc<NamedIdentity>>);

impl Identities {
    /// Reads `{name: identity}`.
    pub(crate) fn read(node: &Node, errors: &mut Errors) -> Self {
        let expected = "identities, such as `{ci: {github: acme/app}}`";
        let mut found = Vec::new();
        for entry in errors.keep(node.entries(expected)).unwrap_or_default() {
            let who = read_identity(&entry.value, errors);
            found.extend(who.map(|who| Arc::new(NamedIdentity { name: entry.key.clone(), who })));
        }
        Self(found)
    }

    /// Reads a file that has nothing but identities, in YAML of at most 1 MiB.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the document.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Vec<PolicyError>> {
        let root = yaml::parse(bytes)?;
        let mut errors = Errors::default();
        let identities = Self::read(&root, &mut errors);
        errors.finish(Some(identities))
    }

    /// Those with these names, in their order, or all where none is named. A name that stands twice is chosen twice:
    /// see [`distinct`].
    ///
    /// # Errors
    /// A name that is not there: a lowercase fragment.
    pub(crate) fn choose(&self, names: &[String]) -> Result<Vec<Arc<NamedIdentity>>, String> {
        if names.is_empty() {
            return Ok(self.0.clone());
        }
        let known = || self.0.iter().map(|identity| identity.name.as_str()).collect::<Vec<_>>().join(", ");
        let one = |name: &String| {
            let found = self.0.iter().find(|identity| identity.name == *name).cloned();
            found.ok_or_else(|| format!("there is no `{name}`, only {}", known()))
        };
        names.iter().map(one).collect()
    }

    /// A list of names of identities, at least one.
    pub(crate) fn read_names(
        &self,
        node: &Node,
        errors: &mut Errors,
    ) -> Result<Vec<Arc<NamedIdentity>>, PolicyError> {
        let names: Vec<&str> = self.0.iter().map(|identity| identity.name.as_str()).collect();
        let mut found: Vec<Arc<NamedIdentity>> = Vec::new();
        for node in node.one_or_more("names of identities")? {
            let identity = node.text("the name of an identity").and_then(|name| {
                let known = self.0.iter().find(|identity| identity.name == name).cloned();
                let error = || node.span.error(format!("the policy's `identities` have no `{name}`"));
                known.ok_or_else(|| error().suggest(name, &names))
            });
            if let Some(identity) = errors.keep(identity) {
                found.push(identity);
                if let Err(cause) = distinct(&found) {
                    errors.push(node.span.error(cause));
                }
            }
        }
        Ok(found)
    }
}

/// Whether the last of these is another than the ones before it. Two that are one would count twice towards a threshold.
///
/// # Errors
/// It is not: a lowercase fragment.
pub(crate) fn distinct(identities: &[Arc<NamedIdentity>]) -> Result<(), String> {
    match identities.split_last() {
        Some((last, others)) if others.iter().any(|other| other.who == last.who) => {
            Err(format!("`{}` is the same identity as another", last.name))
        }
        Some(_) | None => Ok(()),
    }
}

fn read_identity(node: &Node, errors: &mut Errors) -> Option<Who> {
    let mut fields = errors.keep(Fields::of(node, "the identity"))?;
    if let Some(key) = fields.optional("key") {
        let words = [("required", LogOfKey::Demanded), ("optional", LogOfKey::NotDemanded)];
        let log = fields.read("log", errors, |node| node.word(&words)).unwrap_or(LogOfKey::Demanded);
        fields.finish(&[], errors);
        let read = |text: &str| PublicKey::read_pem(text.as_bytes()).map_err(|error| error.to_string());
        let key = errors.keep(key.read("a public key in PEM", read))?;
        return Some(Who::Key(Box::new(key), log));
    }
    let github = fields.optional("github");
    let mut demands = Vec::new();
    for claim in Claim::ALL {
        let pattern = fields.read(claim.name(), errors, read_pattern);
        demands.extend(pattern.map(|pattern| (Field::Claim(*claim), pattern)));
    }
    let identities = match github {
        Some(github) => read_github(github, &mut fields, &demands, errors),
        None => {
            let issuer = fields.need("issuer", errors, read_pattern);
            let subject = fields.read("subject", errors, read_pattern);
            demands.extend(subject.map(|subject| (Field::Subject, subject)));
            let identity = Identity::new(issuer?, demands);
            let identity = identity.map_err(|error| node.span.error(error.to_string()));
            errors.keep(identity).map(|identity| vec![identity])
        }
    };
    fields.finish(&[], errors);
    identities.map(Who::Certificate)
}

/// A text, which is meant exactly, or `{glob: …}`, or `{regexp: …}`.
fn read_pattern(node: &Node) -> Result<Pattern, PolicyError> {
    let expected = "a text, `{glob: …}` or `{regexp: …}`";
    let read = |node: &Node, pattern: fn(&str) -> Result<Pattern, InvalidPattern>| {
        node.read(expected, |text| pattern(text).map_err(|error| error.to_string()))
    };
    match &node.value {
        Value::Map(entries) => match entries.as_slice() {
            [entry] if entry.key == "glob" => read(&entry.value, Pattern::glob),
            [entry] if entry.key == "regexp" => read(&entry.value, Pattern::regexp),
            _ => Err(node.span.error(format!("expected {expected}"))),
        },
        Value::Null | Value::Scalar { .. } | Value::List(_) => read(node, Pattern::exact),
    }
}

/// `{github: acme/app, workflow: .github/workflows/release.yml, refs: [refs/heads/main]}`: one identity a ref.
fn read_github(
    node: &Node,
    fields: &mut Fields<'_>,
    demands: &[(Field, Pattern)],
    errors: &mut Errors,
) -> Option<Vec<Identity>> {
    let repository = errors.keep(node.read("a repository, such as `acme/app`", |text| {
        let text = plain(text, 2)?;
        // Attack: `acme*/app`, which the owner `acme-evil` is too; `*/app` is everybody.
        match text.split('/').next().is_some_and(|owner| owner.contains('*')) {
            true => Err(format!("the owner of `{text}` must be named in full")),
            false => Ok(text),
        }
    }));
    let workflow = fields
        .read("workflow", errors, |node| node.read("the path of a workflow's file", |text| plain(text, 3)));
    let refs = fields.optional("refs").map(|node| {
        let items = errors.keep(node.one_or_more("refs, such as `refs/heads/main`")).unwrap_or_default();
        items
            .iter()
            .filter_map(|node| errors.keep(node.read("a ref", |text| plain(text, 1))))
            .collect::<Vec<_>>()
    });
    let repository = repository?;
    let workflow = workflow.unwrap_or_else(|| ".github/workflows/*".to_owned());
    let refs = refs.unwrap_or_else(|| vec!["**".to_owned()]);
    let glob = |text: &str| Pattern::glob(text).map_err(|error| node.span.error(error.to_string()));
    let source = errors.keep(glob(&format!("https://github.com/{repository}")))?;
    let issuer = errors.keep(Pattern::exact(GITHUB).map_err(|error| node.span.error(error.to_string())))?;
    let mut identities = Vec::new();
    for reference in refs {
        let subject = format!("https://github.com/{repository}/{workflow}@{reference}");
        let mut demands = demands.to_vec();
        demands.push((Field::Subject, errors.keep(glob(&subject))?));
        // Attack: a workflow that others may call. The certificate then names the workflow, and is given to whoever
        // calls it, from a repository of his own.
        let is_stated = demands.iter().any(|(field, _)| *field == Field::Claim(Claim::SourceRepository));
        if !is_stated {
            demands.push((Field::Claim(Claim::SourceRepository), source.clone()));
        }
        // Attack: the same workflow, called from a branch that anybody may push. The certificate names the workflow's ref
        // in its subject, and the caller's in a claim.
        let has_ref = demands.iter().any(|(field, _)| *field == Field::Claim(Claim::SourceRepositoryRef));
        // Where another repository calls it, the refs are the workflow's own.
        if !is_stated && !has_ref && reference != "**" {
            demands.push((Field::Claim(Claim::SourceRepositoryRef), errors.keep(glob(&reference))?));
        }
        let identity =
            Identity::new(issuer.clone(), demands).map_err(|error| node.span.error(error.to_string()));
        identities.push(errors.keep(identity)?);
    }
    Some(identities)
}

/// Text that is put into a pattern for a URI: path segments, with `*` where any will do.
fn plain(text: &str, segments: usize) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+*/".contains(c);
    let parts: Vec<&str> = text.split('/').collect();
    if text.chars().all(is_plain) && parts.len() >= segments && parts.iter().all(|part| !part.is_empty()) {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is none: letters, digits and `._-+*` between slashes"))
}

#[cfg(test)]
mod tests;
