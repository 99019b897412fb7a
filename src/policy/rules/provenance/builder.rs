//! Builders: whether the one that a statement names is the one that signed it, and for which level of SLSA's build
//! track (slsa.dev/spec/v1.1/levels) it is trusted.
//!
//! | signer and `builder.id` | level |
//! |---|---|
//! | GitHub, a hosted runner, and a workflow of another repository than the source that did the build (such as slsa-github-generator's): what the source's own workflow does cannot reach it | 3 |
//! | GitHub, a hosted runner, one of the build types below (such as actions/attest-build-provenance's) | 2 |
//! | anything else: self-hosted runners, other providers, persons, keys | 1 |
//!
//! A policy may say more of builders that it knows.

use crate::model::attestation::SignedBy;
use crate::model::signer::{Claim, Name, Signer};
use crate::policy::identity::GITHUB;

use super::build::Build;

/// Ids of builders that are GitHub's runners, with the word for them in the certificate.
const RUNNERS: [(&str, &str); 2] = [
    ("https://github.com/actions/runner/github-hosted", HOSTED),
    ("https://github.com/actions/runner/self-hosted", "self-hosted"),
];

const HOSTED: &str = "github-hosted";

/// Types of builds of which GitHub's own words say everything that matters.
const TYPES: [&str; 2] = [
    "https://actions.github.io/buildtypes/workflow/v1",
    "https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1",
];

/// What ties the builder that a statement names to whoever signed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tie {
    /// The certificate names the very workflow.
    Workflow,
    /// The certificate says that it ran there.
    Run,
    /// Nothing: a key or a person signed, whose word it is.
    Word,
    /// The certificate is of something else.
    Contradicted,
}

/// What ties a builder to the signer. `builder.id` alone is but a word that anybody can write.
pub(super) fn tie(builder: &str, signed_by: &SignedBy) -> Tie {
    let SignedBy::Certificate(signer) = signed_by else { return Tie::Word };
    let claim = |claim: Claim| signer.claims.get(&claim).map(String::as_str);
    let is_name = matches!(&signer.name, Name::Uri(name) if name == builder);
    match claim(Claim::BuildSignerUri) {
        Some(workflow) if workflow == builder => return Tie::Workflow,
        // Attack: a certificate with the name of one workflow, given to another.
        Some(_) if is_name => return Tie::Contradicted,
        None if is_name => return Tie::Workflow,
        Some(_) | None => {}
    }
    let runner = RUNNERS.iter().find(|(id, _)| *id == builder).map(|(_, word)| *word);
    if signer.issuer.as_deref() == Some(GITHUB)
        && runner.is_some()
        && runner == claim(Claim::RunnerEnvironment)
    {
        return Tie::Run;
    }
    // buildkit names the run, with or without the number of the attempt.
    let is_run = claim(Claim::RunInvocationUri).and_then(|run| run.strip_prefix(builder));
    if is_run.is_some_and(|rest| rest.is_empty() || rest.starts_with("/attempts/")) {
        return Tie::Run;
    }
    if signer.claims.is_empty() { Tie::Word } else { Tie::Contradicted }
}

/// The level that a builder is trusted for by the table above.
pub(super) fn level(build: &Build<'_>, tie: Tie, signed_by: &SignedBy) -> u8 {
    let (SignedBy::Certificate(signer), Tie::Workflow | Tie::Run) = (signed_by, tie) else { return 1 };
    let is_hosted = signer.claims.get(&Claim::RunnerEnvironment).is_some_and(|runner| runner == HOSTED);
    if signer.issuer.as_deref() != Some(GITHUB) || !is_hosted {
        return 1;
    }
    if tie == Tie::Workflow && is_isolated(signer) {
        return 3;
    }
    if TYPES.contains(&build.kind) { 2 } else { 1 }
}

/// Whether the workflow that signed is of another repository than what was built and what called it. A workflow of the
/// same repository is written by whoever writes the build, and isolates it from nobody.
fn is_isolated(signer: &Signer) -> bool {
    let repository = |claim: Claim| signer.claims.get(&claim).and_then(|uri| github(uri));
    let own = repository(Claim::BuildSignerUri);
    let others = [repository(Claim::SourceRepository), repository(Claim::BuildConfigUri)];
    own.is_some() && others.iter().all(|other| other.is_some() && *other != own)
}

/// `owner/repository` of something at GitHub, in lower case: its names have no case.
fn github(uri: &str) -> Option<String> {
    let mut parts = uri.strip_prefix("https://github.com/")?.split('/');
    match (parts.next(), parts.next()) {
        (Some(owner), Some(name)) if !owner.is_empty() && !name.is_empty() => {
            Some(format!("{owner}/{name}").to_ascii_lowercase())
        }
        _ => None,
    }
}
