//! Identity tokens that a CI system gives to its jobs.

use std::fmt;
use std::process::Command;

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde_json::json;

use super::error::{Error, ErrorKind};
use super::http::{Http, Question};
use super::token::{AUDIENCE, MAX_TOKEN, Token};

/// A CI system that has tokens.
#[derive(Clone, PartialEq, Eq)]
pub enum Provider {
    /// GitHub Actions: a service that is asked with the job's own secret.
    GitHub {
        /// Where to ask.
        url: String,
        /// The job's secret.
        secret: String,
    },
    /// A variable that has the token: GitLab's `id_tokens`, with `aud: sigstore` under `SIGSTORE_ID_TOKEN`.
    Variable(String),
    /// Buildkite's agent.
    Buildkite,
    /// CircleCI's tool.
    CircleCi,
}

impl fmt::Debug for Provider {
    /// Which system it is, and nothing of its secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GitHub { .. } => "GitHub",
            Self::Variable(_) => "Variable",
            Self::Buildkite => "Buildkite",
            Self::CircleCi => "CircleCi",
        })
    }
}

impl Provider {
    /// The CI system that the environment shows.
    ///
    /// # Errors
    /// [`ErrorKind::Token`] where there is one, and it is not set up to give tokens: with what to write where.
    pub fn find(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Error> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let is = |name: &str| set(name).is_some_and(|value| value == "true");
        let failed = |at: &str, message: &str| Err(Error::new(ErrorKind::Token, at, message));
        // What somebody set by hand goes before what is there anyway.
        if let Some(token) = set("SIGSTORE_ID_TOKEN") {
            return Ok(Some(Self::Variable(token)));
        }
        if is("GITHUB_ACTIONS") {
            let (url, secret) = (set("ACTIONS_ID_TOKEN_REQUEST_URL"), set("ACTIONS_ID_TOKEN_REQUEST_TOKEN"));
            return match (url, secret) {
                (Some(url), Some(secret)) => Ok(Some(Self::GitHub { url, secret })),
                _ => failed(
                    "GitHub Actions",
                    "gives this job no identity token: write `permissions: id-token: write`",
                ),
            };
        }
        if is("GITLAB_CI") {
            let message =
                "gives this job no identity token: write `id_tokens: SIGSTORE_ID_TOKEN: aud: sigstore`";
            return failed("GitLab", message);
        }
        if is("BUILDKITE") {
            return Ok(Some(Self::Buildkite));
        }
        Ok(is("CIRCLECI").then_some(Self::CircleCi))
    }

    /// A token that is valid now.
    pub(super) async fn token(&self, http: &Http) -> Result<Token, Error> {
        match self {
            Self::GitHub { url, secret } => github(http, url, secret).await,
            Self::Variable(token) => Token::parse(token),
            Self::Buildkite => {
                run("buildkite-agent", &["oidc", "request-token", "--audience", AUDIENCE]).await
            }
            Self::CircleCi => {
                let claims = json!({"aud": AUDIENCE}).to_string();
                run("circleci", &["run", "oidc", "get", "--root-issuer", "--claims", &claims]).await
            }
        }
    }
}

/// The token service of GitHub Actions (docs.github.com, "OpenID Connect reference").
async fn github(http: &Http, url: &str, secret: &str) -> Result<Token, Error> {
    const AT: &str = "GitHub's token service";
    let failed = |message: &str| Error::new(ErrorKind::Token, AT, message);
    let mut url = Url::parse(url).map_err(|_| failed("its address is no URL"))?;
    url.query_pairs_mut().append_pair("audience", AUDIENCE);
    let mut question = Question::get(AT, url, 2 * MAX_TOKEN as u64);
    let mut value = HeaderValue::from_str(&format!("Bearer {secret}"))
        .map_err(|_| failed("the job's secret has characters that no header may carry"))?;
    value.set_sensitive(true);
    question.headers.insert(AUTHORIZATION, value);
    question.secret = Some(secret.to_owned());
    let answer = http.ask(&question).await?;
    if !answer.status.is_success() {
        // What such a service answers may repeat what it was asked with.
        return Err(failed(&format!("answers {}: does the job still run?", answer.status.as_u16())));
    }
    let body = answer.json().map_err(|_| failed("answers what is no JSON"))?;
    let token = body.get("value").and_then(|value| value.as_str());
    Token::parse(token.ok_or_else(|| failed("answers without a token"))?)
}

/// The token that a tool of the CI system prints.
async fn run(tool: &'static str, arguments: &[&str]) -> Result<Token, Error> {
    let mut command = Command::new(tool);
    command.args(arguments).stdin(std::process::Stdio::null());
    let failed = |message: String| Error::new(ErrorKind::Token, format!("`{tool}`"), message);
    let output = tokio::task::spawn_blocking(move || command.output()).await;
    let output = output.map_err(|error| failed(error.to_string()))?;
    let output = output.map_err(|error| failed(format!("cannot be run: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said: String = said.trim().chars().take(300).collect();
        return Err(failed(format!("gives no identity token: {said}")));
    }
    Token::parse(&String::from_utf8_lossy(&output.stdout))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(variables: &[(&str, &str)]) -> Result<Option<Provider>, Error> {
        Provider::find(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn each_system_is_known_by_its_variables() {
        assert!(find(&[]).unwrap().is_none());
        let github = [
            ("GITHUB_ACTIONS", "true"),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://tokens.example/?a=b"),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "s"),
        ];
        assert!(matches!(find(&github).unwrap(), Some(Provider::GitHub { .. })));
        assert!(matches!(find(&[("SIGSTORE_ID_TOKEN", "t")]).unwrap(), Some(Provider::Variable(_))));
        assert!(matches!(find(&[("BUILDKITE", "true")]).unwrap(), Some(Provider::Buildkite)));
        assert!(matches!(find(&[("CIRCLECI", "true")]).unwrap(), Some(Provider::CircleCi)));
    }

    #[test]
    fn a_job_without_the_permission_is_told_what_to_write() {
        assert!(find(&github_only()).unwrap_err().message.contains("id-token: write"));
        assert!(find(&[("GITLAB_CI", "true")]).unwrap_err().message.contains("id_tokens"));
    }

    fn github_only() -> [(&'static str, &'static str); 1] {
        [("GITHUB_ACTIONS", "true")]
    }
}
