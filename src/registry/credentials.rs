//! Who we are to a registry: Docker's and podman's files, their helpers, and `GITHUB_TOKEN`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use serde_json::{Map, Value};

use super::error::Error;
use super::helper;
use super::settings::{read_bounded, settings};

/// The host whose packages `GITHUB_TOKEN` opens. It is given to no other.
const GITHUB: &str = "ghcr.io";

/// The name under which Docker keeps the credentials of its own registry.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Takes a text as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, to be sent to whom it is for.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where credentials are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file in the format of Docker's `config.json`, as podman's `auth.json` is; helpers that it names
    /// are run. A file that is not there has no credentials.
    File(PathBuf),
    /// The same as text, such as a pull secret of Kubernetes. Helpers that it names are not run: whoever
    /// may write a secret must not choose a program.
    Text(Secret),
    /// `GITHUB_TOKEN`, for `ghcr.io` alone.
    GithubToken(Secret),
    /// User and password for one registry, `host` or `host:port`.
    Login {
        /// The registry.
        registry: String,
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
}

/// What is shown to a registry or to its token service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credential {
    /// User and password.
    Login(String, Secret),
    /// A refresh token (OAuth2), which Docker calls identity token.
    Identity(Secret),
}

/// Finds the credentials for a repository. Runs programs, each no longer than `patience`, and reads files:
/// it blocks.
///
/// # Errors
/// `Settings` where a file or helper fails: a credential that could not be had is an error, and never
/// becomes anonymous access.
pub(super) fn find(
    sources: &[Source],
    registry: &str,
    repository: &str,
    patience: Duration,
) -> Result<Option<Credential>, Error> {
    for source in sources {
        let found = match source {
            Source::File(path) => match read_bounded(path)? {
                Some(bytes) => {
                    let at = path.display().to_string();
                    in_config(&bytes, registry, repository, Some(patience), &at)?
                }
                None => None,
            },
            Source::Text(text) => {
                in_config(text.reveal().as_bytes(), registry, repository, None, "the pull secret")?
            }
            Source::GithubToken(token) => {
                (registry == GITHUB).then(|| Credential::Login("x-access-token".to_owned(), token.clone()))
            }
            Source::Login { registry: of, user, password } => {
                (of == registry).then(|| Credential::Login(user.clone(), password.clone()))
            }
        };
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// Looks into one document. Podman's keys may name a repository or a part of its path: the longest that
/// fits is meant (containers-auth.json(5)). `docker_credential` knows hosts only and takes any key of the
/// host, so it is shown the one that was chosen. Helpers are run here, as Docker does: that of the registry
/// before everything else, the store of all after it. None are run without `helpers`.
fn in_config(
    bytes: &[u8],
    registry: &str,
    repository: &str,
    helpers: Option<Duration>,
    at: &str,
) -> Result<Option<Credential>, Error> {
    let malformed = || settings(at, "not a file of credentials: it is no JSON object");
    let value: Value = serde_json::from_slice(bytes).map_err(|_| malformed())?;
    let mut config = value.as_object().cloned().ok_or_else(malformed)?;
    let server = if registry == "docker.io" { DOCKER_HUB } else { registry };
    let named = |helper: Option<&Value>| {
        helper.and_then(Value::as_str).filter(|name| !name.is_empty()).map(str::to_owned)
    };
    let of_registry = config.get("credHelpers").and_then(Value::as_object);
    let of_registry = named(of_registry.and_then(|all| all.get(server).or_else(|| all.get(registry))));
    let of_all = named(config.get("credsStore"));
    if let (Some(patience), Some(name)) = (helpers, of_registry) {
        return helper::ask(&name, server, patience, at);
    }
    let auths = config.get("auths").and_then(Value::as_object);
    let chosen = auths.and_then(|auths| choose(auths, registry, repository));
    let mut only = Map::new();
    only.extend(chosen.map(|entry| (server.to_owned(), entry.clone())));
    config.insert("auths".to_owned(), Value::Object(only));
    config.remove("credHelpers");
    config.remove("credsStore");
    let config = serde_json::to_vec(&Value::Object(config)).map_err(|_| malformed())?;
    match docker_credential::get_credential_from_reader(config.as_slice(), server) {
        Ok(DockerCredential::IdentityToken(token)) => Ok(Some(Credential::Identity(Secret(token)))),
        Ok(DockerCredential::UsernamePassword(user, password)) => {
            Ok(Some(Credential::Login(user, Secret(password))))
        }
        Err(CredentialRetrievalError::NoCredentialConfigured) => match (helpers, of_all) {
            (Some(patience), Some(name)) => helper::ask(&name, server, patience, at),
            (None, _) | (_, None) => Ok(None),
        },
        Err(error) => Err(settings(at, format!("credentials for `{server}`: {error}"))),
    }
}

/// The entry whose key fits best: the longest prefix of `registry/repository` that ends at a slash.
fn choose<'a>(auths: &'a Map<String, Value>, registry: &str, repository: &str) -> Option<&'a Value> {
    let name = format!("{registry}/{repository}");
    let fits = |key: &str| {
        let key = if key == DOCKER_HUB { "docker.io" } else { plain(key) };
        name.strip_prefix(key).filter(|rest| rest.is_empty() || rest.starts_with('/')).map(|_| key.len())
    };
    let fitting = auths.iter().filter_map(|(key, entry)| fits(key).map(|length| (length, entry)));
    fitting.max_by_key(|(length, _)| *length).map(|(_, entry)| entry)
}

/// A key without what `docker login` may put around the host.
fn plain(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::error::ErrorKind;

    fn text(json: &str) -> Vec<Source> {
        vec![Source::Text(Secret::new(json))]
    }

    fn user(sources: &[Source], registry: &str, repository: &str) -> Option<String> {
        match find(sources, registry, repository, Duration::ZERO).unwrap()? {
            Credential::Login(user, _) => Some(user),
            Credential::Identity(token) => Some(format!("token {}", token.reveal())),
        }
    }

    #[test]
    fn the_longest_key_of_podmans_file_is_taken() {
        let sources = text(
            r#"{"auths": {"quay.io": {"auth": "YTp4"}, "quay.io/acme": {"auth": "Yjp4"},
                "https://index.docker.io/v1/": {"auth": "Yzp4"}, "tok.example": {"identitytoken": "t"}}}"#,
        );
        assert_eq!(user(&sources, "quay.io", "other/app").as_deref(), Some("a"));
        assert_eq!(user(&sources, "quay.io", "acme/app").as_deref(), Some("b"));
        assert_eq!(user(&sources, "quay.io", "acmeother/app").as_deref(), Some("a"));
        assert_eq!(user(&sources, "docker.io", "library/alpine").as_deref(), Some("c"));
        assert_eq!(user(&sources, "tok.example", "a").as_deref(), Some("token t"));
        assert_eq!(user(&sources, "quay.io.evil.example", "acme/app"), None);
        assert_eq!(user(&sources, "io", "a"), None);
    }

    #[test]
    fn the_github_token_is_for_ghcr_alone_and_comes_last() {
        let mut sources = text(r#"{"auths": {"ghcr.io": {"auth": "YTp4"}}}"#);
        sources.push(Source::GithubToken(Secret::new("ghs_x")));
        assert_eq!(user(&sources, "ghcr.io", "acme/app").as_deref(), Some("a"));
        assert_eq!(user(&sources[1..], "ghcr.io", "acme/app").as_deref(), Some("x-access-token"));
        for other in ["ghcr.io:443", "ghcr.io.evil.example", "evil.example", "GHCR.IO"] {
            assert_eq!(user(&sources[1..], other, "acme/app"), None, "{other}");
        }
    }

    #[test]
    fn a_secret_that_names_a_helper_runs_none() {
        let sources = text(r#"{"credsStore": "evil", "credHelpers": {"ghcr.io": "evil"}}"#);
        assert_eq!(user(&sources, "ghcr.io", "acme/app"), None);
    }

    #[test]
    fn credentials_that_cannot_be_read_are_an_error_and_not_anonymous() {
        for json in ["", "[]", "{", r#"{"auths": {"ghcr.io": {"auth": "%%%"}}}"#] {
            assert_eq!(
                find(&text(json), "ghcr.io", "a", Duration::ZERO).unwrap_err().kind,
                ErrorKind::Settings,
                "{json}"
            );
        }
    }
}
