//! `provenance`: of which source the image was built, by which builder, and how much that builder guards against
//! (SLSA provenance 0.2 and 1).

use jiff::{SignedDuration, Timestamp};

use crate::model::attestation::{Attestation, Content};
use crate::policy::error::{Errors, PolicyError};
use crate::policy::fields::Fields;
use crate::policy::pattern::Pattern;
use crate::policy::quantity::parse_duration;
use crate::policy::rule::{Decided, Reading, Rule, Sealed, Settings, Subject};
use crate::policy::signed::{By, Fits, quoted};
use crate::policy::yaml::{Entry, Node};

use super::attestation::young;
use build::Build;
use builder::{Tie, level, tie};
use source::{Certified, Source};

mod build;
mod builder;
mod source;

/// The kind `provenance`.
pub(crate) struct ProvenanceRule;

impl Rule for ProvenanceRule {
    fn kind(&self) -> &'static str {
        "provenance"
    }

    fn summary(&self) -> &'static str {
        "the image was built of the source and by the builder that the policy names (SLSA provenance)"
    }

    /// `maxAge` looks at the time.
    fn timed(&self) -> bool {
        true
    }
}

/// The highest level of SLSA's build track.
const HIGHEST: u8 = 3;

#[derive(Debug)]
struct Provenance {
    by: By,
    source: Pattern,
    builder: Option<Pattern>,
    /// Any of them; none where any ref will do.
    refs: Vec<Pattern>,
    commit: Option<Pattern>,
    min_level: Option<u8>,
    /// The policy's own trust in builders, by the pattern of their ids.
    builders: Vec<(Pattern, u8)>,
    max_age: Option<SignedDuration>,
}

impl Sealed for ProvenanceRule {
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>> {
        let errors = &mut *document.errors;
        let mut fields = errors.keep(Fields::of(document.node, "`provenance`"))?;
        let by = By::read(&mut fields, &document.names.identities, errors);
        let expected = "a repository, such as `github.com/acme/app`";
        let source = fields.need("sourceRepo", errors, |node| node.read(expected, source::pattern));
        let glob = |what: &'static str| move |node: &Node| node.text(what).map(Pattern::glob);
        let builder = fields.read("builder", errors, glob("a pattern of the builder's id"));
        let expected = "patterns of refs, such as `refs/tags/v*`";
        let nodes = fields.read("refs", errors, |node| node.one_or_more(expected)).unwrap_or_default();
        let refs = nodes.iter().filter_map(|node| errors.keep(node.text(expected))).map(Pattern::glob);
        let refs = refs.collect();
        let commit = fields.read("commit", errors, glob("a pattern of the commit"));
        let min_level = fields.read("minBuildLevel", errors, read_level);
        let builders = fields.optional("builders").map(|node| read_builders(node, min_level, errors));
        let duration = "a duration such as `90d`";
        let max_age = fields.read("maxAge", errors, |node| node.read(duration, parse_duration));
        fields.finish(&[], errors);
        let builders = builders.unwrap_or_default();
        let (by, source) = (by?, source?);
        Some(Box::new(Provenance { by, source, builder, refs, commit, min_level, builders, max_age }))
    }
}

fn read_level(node: &Node) -> Result<u8, PolicyError> {
    node.read("a level of SLSA's build track: 1, 2 or 3", |text| match text.parse::<u8>() {
        Ok(level) if (1..=HIGHEST).contains(&level) => Ok(level),
        Ok(_) | Err(_) => Err(format!("expected a level of SLSA's build track, 1, 2 or 3, found `{text}`")),
    })
}

fn read_builders(node: &Node, min_level: Option<u8>, errors: &mut Errors) -> Vec<(Pattern, u8)> {
    let expected = "patterns of builders' ids and their levels";
    let entries = errors.keep(node.entries(expected)).unwrap_or_default();
    if min_level.is_none() && !entries.is_empty() {
        errors.push(node.span.error("`builders` says nothing without `minBuildLevel`"));
    }
    let level = |entry: &Entry| Some((Pattern::glob(&entry.key), errors.keep(read_level(&entry.value))?));
    entries.iter().filter_map(level).collect()
}

impl Settings for Provenance {
    fn decide(&self, subject: &Subject<'_>) -> Decided {
        self.by.decide(subject, "SLSA provenance", &|attestation, _| self.fits(attestation, subject.now))
    }

    fn signers(&self) -> Option<&By> {
        Some(&self.by)
    }
}

impl Provenance {
    fn fits(&self, attestation: &Attestation, now: Timestamp) -> Fits {
        let Content::Statement { predicate_type, predicate } = &attestation.content else {
            return Fits::No(None);
        };
        let Some(build) = Build::read(predicate_type, predicate) else { return Fits::No(None) };
        // Each statement is judged by itself: none lends another its builder, its source or its level.
        match build.and_then(|build| self.check(&build, attestation)) {
            Ok(()) => self.max_age.map_or(Fits::Yes, |max| young(attestation, max, now)),
            Err(cause) => Fits::No(Some(cause)),
        }
    }

    fn check(&self, build: &Build<'_>, attestation: &Attestation) -> Result<(), String> {
        let signed_by = &attestation.signed_by;
        let certified = Certified::of(signed_by)?;
        let source = agreed(&build.source, &certified)?;
        if !self.source.matches(source.repository.as_bytes()) {
            return Err(format!("is of the source {}", quoted(&source.repository)));
        }
        if !self.refs.is_empty() && !any(&self.refs, source.reference.as_deref()) {
            return Err(format!("is of {}", stated("ref", source.reference.as_deref())));
        }
        if let Some(commit) = &self.commit
            && !any(std::slice::from_ref(commit), source.commit.as_deref())
        {
            return Err(format!("is of {}", stated("commit", source.commit.as_deref())));
        }
        let tie = tie(build.builder, signed_by);
        // Attack: a workflow that writes the id of a better builder into what it signs itself.
        if tie == Tie::Contradicted {
            return Err(format!("names the builder {}, and another one signed it", quoted(build.builder)));
        }
        if self.builder.as_ref().is_some_and(|pattern| !pattern.matches(build.builder.as_bytes())) {
            return Err(format!("is of the builder {}", quoted(build.builder)));
        }
        let Some(wanted) = self.min_level else { return Ok(()) };
        let own = self.builders.iter().filter(|(pattern, _)| pattern.matches(build.builder.as_bytes()));
        // Attack: somebody else's reusable workflow, which anybody may call. It isolates the build from its caller, and
        // whether from its owner as well only the policy knows: it must name the builder.
        let highest = if self.builder.is_some() { HIGHEST } else { HIGHEST - 1 };
        let reached =
            own.map(|(_, level)| *level).min().unwrap_or_else(|| level(build, tie, signed_by).min(highest));
        if reached < wanted {
            let builder = quoted(build.builder);
            return Err(format!(
                "is of the builder {builder}, which is trusted for the build level {reached} only"
            ));
        }
        Ok(())
    }
}

/// The source that the statement and the certificate agree on.
///
/// Attack: a statement that names the wanted repository, signed in the build of another. The certificate's claims are
/// those of the identity provider, and the statement is the word of the build.
fn agreed(said: &Source, certified: &Certified) -> Result<Source, String> {
    let differ = |what: &str, said: &str, certified: &str| {
        format!("names the {what} {}, and its certificate {}", quoted(said), quoted(certified))
    };
    if let Some(repository) = &certified.repository
        && *repository != said.repository
    {
        return Err(differ("source", &said.repository, repository));
    }
    let both = |what: &str, said: &Option<String>, certified: &Option<String>| match (said, certified) {
        (Some(said), Some(certified)) if said != certified => Err(differ(what, said, certified)),
        (said, certified) => Ok(certified.clone().or_else(|| said.clone())),
    };
    Ok(Source {
        repository: said.repository.clone(),
        reference: both("ref", &said.reference, &certified.reference)?,
        commit: both("commit", &said.commit, &certified.commit)?,
    })
}

fn any(patterns: &[Pattern], text: Option<&str>) -> bool {
    text.is_some_and(|text| patterns.iter().any(|pattern| pattern.matches(text.as_bytes())))
}

fn stated(what: &str, text: Option<&str>) -> String {
    text.map_or_else(
        || format!("a {what} that it does not state"),
        |text| format!("the {what} {}", quoted(text)),
    )
}

#[cfg(test)]
mod tests;
