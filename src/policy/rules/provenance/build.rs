//! What a statement says of a build.

use serde_json::Value;

use crate::model::predicate::{SLSA_V1, SLSA_V02};
use crate::policy::signed::quoted;

use super::source::{self, Source};

/// A build, as its provenance tells.
pub(super) struct Build<'v> {
    /// `builder.id`.
    pub(super) builder: &'v str,
    /// `buildType`.
    pub(super) kind: &'v str,
    pub(super) source: Source,
}

impl<'v> Build<'v> {
    /// Reads a predicate; none where its type is not SLSA provenance.
    ///
    /// # Errors
    /// What it does not say: what an attestation does, for a sentence that begins with it.
    pub(super) fn read(predicate_type: &str, predicate: &'v Value) -> Option<Result<Self, String>> {
        match predicate_type {
            SLSA_V1 => Some(read_v1(predicate)),
            SLSA_V02 => Some(read_v02(predicate)),
            _ => None,
        }
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// SLSA v1 (slsa.dev/spec/v1.0/provenance). The source is what the build was asked for, in `externalParameters`, and
/// no dependency: `resolvedDependencies` says of the source only at which commit it was.
fn read_v1(predicate: &Value) -> Result<Build<'_>, String> {
    let builder = text(predicate, "/runDetails/builder/id").ok_or(NO_BUILDER)?;
    let kind = text(predicate, "/buildDefinition/buildType").unwrap_or_default();
    let workflow = "/buildDefinition/externalParameters/workflow";
    let uri = text(predicate, &format!("{workflow}/repository")).ok_or(NO_SOURCE)?;
    let mut source = repository(uri)?;
    if let Some(reference) = text(predicate, &format!("{workflow}/ref")) {
        if source.reference.as_deref().is_some_and(|other| other != reference) {
            return Err(format!("names two refs, {} and one in its repository", quoted(reference)));
        }
        source.reference = Some(reference.to_owned());
    }
    let resolved = predicate.pointer("/buildDefinition/resolvedDependencies").and_then(Value::as_array);
    for dependency in resolved.into_iter().flatten() {
        let at = text(dependency, "/uri").and_then(source::parse);
        let is_source = at.is_some_and(|at| {
            at.repository == source.repository
                && (at.reference.is_none() || source.reference.is_none() || at.reference == source.reference)
        });
        let commit = commit(dependency.get("digest")).filter(|_| is_source);
        let Some(commit) = commit else { continue };
        // Attack: the commit that is wanted, beside the one that was built.
        if source.commit.as_ref().is_some_and(|other| *other != commit) {
            return Err(format!("names two commits of its source, {} and another", quoted(&commit)));
        }
        source.commit = Some(commit);
    }
    Ok(Build { builder, kind, source })
}

/// SLSA v0.2 (slsa.dev/spec/v0.2/provenance). What is only among the `materials` may be a dependency.
fn read_v02(predicate: &Value) -> Result<Build<'_>, String> {
    let builder = text(predicate, "/builder/id").ok_or(NO_BUILDER)?;
    let kind = text(predicate, "/buildType").unwrap_or_default();
    let uri = text(predicate, "/invocation/configSource/uri").ok_or(NO_SOURCE)?;
    let source =
        Source { commit: commit(predicate.pointer("/invocation/configSource/digest")), ..repository(uri)? };
    Ok(Build { builder, kind, source })
}

const NO_BUILDER: &str = "names no builder";
const NO_SOURCE: &str = "does not say of what source the image was built";

fn repository(uri: &str) -> Result<Source, String> {
    source::parse(uri).ok_or_else(|| format!("names the source {}, which is no repository", quoted(uri)))
}

/// The commit of a digest set: in-toto calls it `gitCommit`, older statements `sha1`.
fn commit(digests: Option<&Value>) -> Option<String> {
    let digests = digests?;
    ["gitCommit", "sha1"].iter().find_map(|algorithm| digests.get(algorithm)?.as_str()).map(str::to_owned)
}
