//! Tokens: fetched once for all who wait, kept until shortly before they expire, never doubted into
//! anonymous access (distribution, "Token Authentication Specification").

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use crate::net::Budget;

use super::challenge::Challenge;
use super::credentials::{self, Credential};
use super::error::{Error, ErrorKind};
use super::guard;
use super::http::{self, Host};
use super::limits;

/// How long a token works where its answer does not say (the specification's own default).
const LIFE: Duration = Duration::from_secs(60);

/// The longest that a token is kept, whatever it says.
const LONGEST_LIFE: Duration = Duration::from_secs(60 * 60);

/// How long after its time the search for credentials is given up: a file may be on a disk that hangs.
const GRACE: Duration = Duration::from_secs(5);

/// How a registry lets us in. Learned from its first answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scheme {
    /// It asked for nothing.
    Open,
    /// User and password with every request.
    Basic,
    /// A token from `realm`.
    Bearer { realm: Url, service: Option<String> },
}

/// What a request is allowed to do, as token services write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    /// The repository, for the choice of credentials.
    pub(super) repository: String,
    /// The scopes, sorted: `repository:acme/app:pull`.
    pub(super) scopes: Vec<String>,
}

impl Need {
    pub(super) fn new(repository: &str, actions: &str) -> Self {
        Self { repository: repository.to_owned(), scopes: vec![format!("repository:{repository}:{actions}")] }
    }

    /// The same, and the scope that a challenge names for this repository. Attack: a challenge that asks
    /// for a token on somebody else's repository.
    fn with(&self, scope: Option<&str>) -> Self {
        let mut need = self.clone();
        let own = format!("repository:{}:", self.repository);
        let named = scope.into_iter().flat_map(|scope| scope.split(' ')).filter(|s| s.starts_with(&own));
        need.scopes.extend(named.map(str::to_owned));
        need.scopes.sort();
        need.scopes.dedup();
        need
    }
}

/// The tokens and credentials of one registry.
#[derive(Debug, Default)]
pub(super) struct Access {
    /// Held by the first request until its answer is there: the others would only learn the same.
    pub(super) learned: tokio::sync::Mutex<Learned>,
    slots: Mutex<BTreeMap<Vec<String>, Arc<Slot>>>,
    credentials: Mutex<BTreeMap<String, Option<Credential>>>,
}

/// What is known of how a registry lets us in.
#[derive(Debug, Default)]
pub(super) struct Learned {
    pub(super) scheme: Option<Scheme>,
    /// When the last attempt at learning it failed, and how.
    pub(super) failed: Option<(Instant, Error)>,
}

type Slot = tokio::sync::Mutex<Option<Fetched>>;

/// How the last fetch of a token ended.
#[derive(Debug)]
struct Fetched {
    at: Instant,
    result: Result<Token, Error>,
}

#[derive(Debug, Clone)]
struct Token {
    header: HeaderValue,
    until: Instant,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Scheme {
    /// # Errors
    /// `Refused` or `Invalid` where the realm is no URL that may be asked.
    pub(super) fn of(challenge: &Challenge, at: &str) -> Result<Self, Error> {
        match challenge {
            Challenge::Basic => Ok(Self::Basic),
            Challenge::Bearer { realm, service, .. } => {
                let realm = Url::parse(realm)
                    .map_err(|_| Error::invalid(at, "the realm of the registry's challenge is no URL"))?;
                Ok(Self::Bearer { realm, service: service.clone() })
            }
        }
    }
}

impl Host {
    /// The value of `Authorization` for a request. `stale` is the one that was just refused.
    pub(super) async fn authorization(
        &self,
        scheme: &Scheme,
        need: &Need,
        asked: Option<&str>,
        stale: Option<&HeaderValue>,
        at: &str,
    ) -> Result<Option<HeaderValue>, Error> {
        match scheme {
            Scheme::Open => Ok(None),
            Scheme::Basic => {
                match self.credential(&need.repository, stale.is_some()).await? {
                    Some(Credential::Login(user, password)) => basic(&user, password.reveal(), at).map(Some),
                    Some(Credential::Identity(_)) => Err(self.unauthorized(
                        at,
                        "the registry wants a user and a password, and there is only an identity token",
                    )),
                    None => Err(self
                        .unauthorized(at, "the registry asks for a user and a password, and there are none")),
                }
            }
            Scheme::Bearer { realm, service } => {
                let need = need.with(asked.filter(|_| stale.is_some()));
                self.token(realm, service.as_deref(), &need, stale, at).await.map(Some)
            }
        }
    }

    /// A token: one fetch for all who ask for the same.
    async fn token(
        &self,
        realm: &Url,
        service: Option<&str>,
        need: &Need,
        stale: Option<&HeaderValue>,
        at: &str,
    ) -> Result<HeaderValue, Error> {
        let asked = Instant::now();
        let slot = self.access.slot(&need.scopes);
        let mut slot = slot.lock().await;
        match slot.as_ref() {
            Some(Fetched { result: Ok(token), .. })
                if token.until > Instant::now() && Some(&token.header) != stale =>
            {
                return Ok(token.header.clone());
            }
            // Who waited while the fetch failed, hears of it; a herd would only fail again.
            Some(Fetched { at, result: Err(error) }) if *at > asked => return Err(error.clone()),
            Some(_) | None => {}
        }
        let result = self.fetch_token(realm, service, need, stale.is_some(), at).await;
        *slot = Some(Fetched { at: Instant::now(), result: result.clone() });
        result.map(|token| token.header)
    }

    async fn fetch_token(
        &self,
        realm: &Url,
        service: Option<&str>,
        need: &Need,
        fresh: bool,
        at: &str,
    ) -> Result<Token, Error> {
        let credential = self.credential(&need.repository, fresh).await?;
        if credential.is_some() && !guard::may_have_credentials(realm, &self.base, &self.own.token_hosts) {
            // Attack: a challenge that has the password sent to somebody else.
            let (host, _) = guard::authority(realm);
            let message = format!(
                "the registry wants the credentials sent to `{host}`, which is another host: if that is its \
                 token service, list it in the settings of `{}` as `token-hosts`",
                self.registry
            );
            return Err(Error::new(ErrorKind::Refused, at, message));
        }
        let mut call = token_call(realm, service, need, credential.as_ref(), at)?;
        let mut budget = Budget::new(self.settings.retry);
        loop {
            let error = match self.ask_token(&call, credential.as_ref()).await {
                Ok(token) => return Ok(token),
                Err(error) => error,
            };
            match error.wait(&mut budget) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(error),
            }
            call.attempt += 1;
        }
    }

    async fn ask_token(&self, call: &http::Call, shown: Option<&Credential>) -> Result<Token, Error> {
        let asked = Instant::now();
        let at = call.at.as_str();
        let mut response = self.exchange(call, &call.url, call.headers.get(AUTHORIZATION)).await?;
        let status = response.status();
        if status != StatusCode::OK {
            let body = http::read_error_body(&mut response).await;
            let mut error = Error::of_answer(at, &Method::GET, status, response.headers(), &body);
            error.message = match error.kind {
                ErrorKind::Unauthorized | ErrorKind::Denied => match shown {
                    Some(credential) => self.rejected(credential, status),
                    None => self.private_or_missing(),
                },
                // 404 of a token service says nothing of an image.
                ErrorKind::NotFound => {
                    return Err(Error {
                        kind: ErrorKind::Invalid,
                        message: "there is no token service where the registry says (404): check the \
                                  registry's name"
                            .into(),
                        ..error
                    });
                }
                ErrorKind::RateLimited
                | ErrorKind::Unavailable
                | ErrorKind::Mismatch
                | ErrorKind::Invalid
                | ErrorKind::TooLarge
                | ErrorKind::Refused
                | ErrorKind::Unsupported
                | ErrorKind::Settings => format!("the token service: {}", error.message),
            };
            return Err(error);
        }
        http::refuse_web_page(&response, "no token", at)?;
        let bytes =
            http::read_body(&mut response, limits::TOKEN, "the token", at, self.settings.times.document)
                .await?;
        let answer: Answer = serde_json::from_slice(&bytes)
            .map_err(|_| Error::invalid(at, "the token service answers no JSON object with a token"))?;
        let text = answer.token.or(answer.access_token).filter(|token| !token.is_empty());
        let text = text.ok_or_else(|| Error::invalid(at, "the token service answers without a token"))?;
        let life = answer.expires_in.map_or(LIFE, Duration::from_secs).min(LONGEST_LIFE);
        // A tenth earlier: the token must still work when the request arrives.
        Ok(Token { header: bearer(&text, at)?, until: asked + life.mul_f64(0.9) })
    }

    /// The credentials for a repository, looked up once. `again` where they were just refused: a helper
    /// may have newer ones.
    async fn credential(&self, repository: &str, again: bool) -> Result<Option<Credential>, Error> {
        let known = || {
            let kept = self.access.credentials.lock().unwrap_or_else(PoisonError::into_inner);
            kept.get(repository).cloned()
        };
        if !again && let Some(credential) = known() {
            return Ok(credential);
        }
        let (settings, registry) = (Arc::clone(&self.settings), self.registry.clone());
        let wanted = repository.to_owned();
        let patience = self.settings.times.helper;
        let finding = tokio::task::spawn_blocking(move || {
            credentials::find(&settings.credentials, &registry, &wanted, patience)
        });
        let found = match tokio::time::timeout(patience + GRACE, finding).await {
            Ok(Ok(found)) => found?,
            Ok(Err(_)) => {
                return Err(Error::new(
                    ErrorKind::Settings,
                    &self.registry,
                    "the search for credentials failed",
                ));
            }
            Err(_) => {
                return Err(Error::new(
                    ErrorKind::Settings,
                    &self.registry,
                    "the search for credentials does not end",
                ));
            }
        };
        let mut kept = self.access.credentials.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= limits::TOKENS {
            kept.clear();
        }
        kept.insert(repository.to_owned(), found.clone());
        Ok(found)
    }

    /// An error of a registry, with what can be done where it is one of who we are.
    pub(super) async fn explained(
        &self,
        error: Error,
        need: &Need,
        authorization: Option<&HeaderValue>,
    ) -> Error {
        if error.kind != ErrorKind::Unauthorized {
            return error;
        }
        let message = match (authorization, self.credential(&need.repository, false).await) {
            (Some(_), Ok(None)) => self.private_or_missing(),
            (Some(header), Ok(Some(credential))) if header.as_bytes().starts_with(b"Basic ") => {
                self.rejected(&credential, StatusCode::UNAUTHORIZED)
            }
            (Some(_), Ok(Some(_))) => format!(
                "`{}` refuses the token that its token service just gave (401): the token has expired, or the \
                 account may not do this, or the repository does not exist; check the name and the account, \
                 log in anew, or compare the clocks of the two",
                self.registry
            ),
            (None, _) | (_, Err(_)) => return error,
        };
        Error { message, ..error }
    }

    fn unauthorized(&self, at: &str, what: &str) -> Error {
        let message = format!("{what}: {}", self.log_in());
        Error { status: Some(401), ..Error::new(ErrorKind::Unauthorized, at, message) }
    }

    fn log_in(&self) -> String {
        format!("log in with `docker login {}`", self.registry)
    }

    /// GHCR answers the same for what is private and for what is not there.
    fn private_or_missing(&self) -> String {
        format!(
            "the repository is private or does not exist: `{}` does not say which; {}, or check the name",
            self.registry,
            self.log_in()
        )
    }

    fn rejected(&self, credential: &Credential, status: StatusCode) -> String {
        let (registry, status, log_in) = (&self.registry, status.as_u16(), self.log_in());
        match credential {
            Credential::Login(..) => format!(
                "the credentials for `{registry}` are rejected ({status}): the password or token is wrong or \
                 expired, or has no access to this repository; {log_in} again, or check the name"
            ),
            Credential::Identity(_) => format!(
                "the identity token for `{registry}` is rejected ({status}): it has expired or was revoked; \
                 {log_in} again"
            ),
        }
    }
}

impl Access {
    fn slot(&self, scopes: &[String]) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= limits::TOKENS && !slots.contains_key(scopes) {
            slots.clear();
        }
        Arc::clone(slots.entry(scopes.to_vec()).or_default())
    }
}

/// The request for a token: `GET` with or without user and password, or OAuth2's `POST` for an identity
/// token.
fn token_call(
    realm: &Url,
    service: Option<&str>,
    need: &Need,
    credential: Option<&Credential>,
    at: &str,
) -> Result<http::Call, Error> {
    let mut url = realm.clone();
    let mut headers = HeaderMap::new();
    let mut body = Vec::new();
    let mut method = Method::GET;
    if let Some(Credential::Identity(token)) = credential {
        // Only the encoding of a query is wanted; it is sent as the body.
        let mut form = Url::parse("form:").map_err(|_| Error::invalid(at, "no form"))?;
        form.query_pairs_mut()
            .append_pair("grant_type", "refresh_token")
            .append_pair("client_id", "portcullis")
            .append_pair("service", service.unwrap_or_default())
            .append_pair("scope", &need.scopes.join(" "))
            .append_pair("refresh_token", token.reveal());
        body = form.query().unwrap_or_default().as_bytes().to_vec();
        method = Method::POST;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    } else {
        let mut query = url.query_pairs_mut();
        query.extend_pairs(service.map(|service| ("service", service)));
        query.extend_pairs(need.scopes.iter().map(|scope| ("scope", scope)));
    }
    if let Some(Credential::Login(user, password)) = credential {
        headers.insert(AUTHORIZATION, basic(user, password.reveal(), at)?);
    }
    Ok(http::Call { headers, body: body.into(), ..http::Call::new(method, url, need.clone(), at) })
}

/// Attack: a token with a line break, which ends the header and begins another one. GHCR's tokens have no
/// promised length or alphabet, but a header field must be able to carry them (RFC 9110 §5.5).
fn bearer(token: &str, at: &str) -> Result<HeaderValue, Error> {
    let odd = || Error::new(ErrorKind::Invalid, at, "the token has characters that no header may carry");
    if !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(odd());
    }
    sensitive(&format!("Bearer {token}")).ok_or_else(odd)
}

/// RFC 7617 §2.
fn basic(user: &str, password: &str, at: &str) -> Result<HeaderValue, Error> {
    if user.contains(':') {
        return Err(Error::new(ErrorKind::Settings, at, "a user name for a registry has no `:`"));
    }
    let encoded = STANDARD.encode(format!("{user}:{password}"));
    sensitive(&format!("Basic {encoded}"))
        .ok_or_else(|| Error::new(ErrorKind::Settings, at, "the credentials cannot be sent"))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_with_odd_characters_is_refused() {
        assert!(bearer("opaque/0001+==", "it").is_ok());
        assert!(bearer(&"x".repeat(5000), "it").is_ok());
        for bad in ["a\nb", "a\r\nHost: evil", "a b", "a\u{e9}", "a\0", "a\u{7f}"] {
            assert_eq!(bearer(bad, "it").unwrap_err().kind, ErrorKind::Invalid, "{bad:?}");
        }
    }

    #[test]
    fn a_challenge_cannot_ask_for_another_repository() {
        let need = Need::new("acme/app", "pull");
        let wider = need.with(Some("repository:acme/app:pull,push repository:other/app:pull registry:*:*"));
        assert_eq!(wider.scopes, ["repository:acme/app:pull", "repository:acme/app:pull,push"]);
        assert_eq!(need.with(Some("repository:user/image:pull")), need);
    }
}
