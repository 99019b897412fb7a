//! What Fulcio writes into certificates of the claims of tokens (docs/oid-info.md, config/identity).

use serde_json::{Map, Value};

use super::oidc::{BUILDKITE, GITHUB, GITLAB};

/// The subject alternative name.
pub enum Subject {
    Email(String),
    Uri(String),
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// Who a certificate is for.
pub fn subject(claims: &Map<String, Value>) -> Option<Subject> {
    let claim = |name: &str| text(claims, name);
    if let Some(address) = claim("email") {
        return Some(Subject::Email(address.to_owned()));
    }
    Some(Subject::Uri(match claim("iss")? {
        GITHUB => format!("https://github.com/{}", claim("job_workflow_ref")?),
        GITLAB => format!("https://{}", claim("ci_config_ref_uri")?),
        BUILDKITE => {
            format!("https://buildkite.com/{}/{}", claim("organization_slug")?, claim("pipeline_slug")?)
        }
        _ => claim("sub")?.to_owned(),
    }))
}

/// The number below 1.3.6.1.4.1.57264.1, whether the value stands there as bare bytes, the value.
type Fact = (u8, bool, String);

/// Fulcio's own extensions.
pub fn of(claims: &Map<String, Value>) -> Option<Vec<Fact>> {
    let issuer = text(claims, "iss")?;
    let mut facts = vec![(1, true, issuer.to_owned()), (8, false, issuer.to_owned())];
    facts.extend(match issuer {
        GITHUB => github(claims),
        GITLAB => gitlab(claims),
        _ => Vec::new(),
    });
    Some(facts)
}

fn given(facts: impl IntoIterator<Item = (u8, Option<String>)>, raw: bool) -> Vec<Fact> {
    facts.into_iter().filter_map(|(number, value)| Some((number, raw, value?))).collect()
}

fn github(claims: &Map<String, Value>) -> Vec<Fact> {
    let claim = |name: &str| text(claims, name);
    let plain = |name: &str| claim(name).map(str::to_owned);
    let page = |name: &str| claim(name).map(|value| format!("https://github.com/{value}"));
    let run = || {
        let (repository, run) = (claim("repository")?, claim("run_id")?);
        let attempt = claim("run_attempt")?;
        Some(format!("https://github.com/{repository}/actions/runs/{run}/attempts/{attempt}"))
    };
    let old = [(2, "event_name"), (3, "sha"), (4, "workflow"), (5, "repository"), (6, "ref")];
    let old = given(old.map(|(number, name)| (number, plain(name))), true);
    let new = [
        (9, page("job_workflow_ref")),
        (10, plain("job_workflow_sha")),
        (11, plain("runner_environment")),
        (12, page("repository")),
        (13, plain("sha")),
        (14, plain("ref")),
        (15, plain("repository_id")),
        (16, page("repository_owner")),
        (17, plain("repository_owner_id")),
        (18, page("workflow_ref")),
        (19, plain("workflow_sha")),
        (20, plain("event_name")),
        (21, run()),
        (22, plain("repository_visibility")),
        (23, plain("environment")),
        (24, plain("sub")),
    ];
    [old, given(new, false)].concat()
}

fn gitlab(claims: &Map<String, Value>) -> Vec<Fact> {
    let claim = |name: &str| text(claims, name);
    let plain = |name: &str| claim(name).map(str::to_owned);
    let page = |name: &str| claim(name).map(|value| format!("{GITLAB}/{value}"));
    let config = || claim("ci_config_ref_uri").map(|value| format!("https://{value}"));
    let reference = || {
        let folder = if claim("ref_type")? == "branch" { "heads" } else { "tags" };
        Some(format!("refs/{folder}/{}", claim("ref")?))
    };
    let job = || Some(format!("{GITLAB}/{}/-/jobs/{}", claim("project_path")?, claim("job_id")?));
    given(
        [
            (9, config()),
            (10, plain("ci_config_sha")),
            (11, plain("runner_environment")),
            (12, page("project_path")),
            (13, plain("sha")),
            (14, reference()),
            (15, plain("project_id")),
            (16, page("namespace_path")),
            (17, plain("namespace_id")),
            (18, config()),
            (19, plain("ci_config_sha")),
            (20, plain("pipeline_source")),
            (21, job()),
            (22, plain("project_visibility")),
        ],
        false,
    )
}
