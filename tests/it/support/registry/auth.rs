//! Who may do what, and tokens for it, after GHCR's rules.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::http::{Reply, Request, pairs};
use super::switches::{Auth, Bearer, Realm, TokenShape};

/// Tokens that were given out: what each is for, and how long it works.
#[derive(Default)]
pub struct Tokens {
    given: BTreeMap<String, Token>,
    count: usize,
}

struct Token {
    scopes: Vec<Scope>,
    until: Instant,
}

/// `repository:acme/app:pull,push`.
pub struct Scope {
    pub repository: String,
    pub actions: BTreeSet<String>,
}

impl Scope {
    fn parse(text: &str) -> Option<Self> {
        let (repository, actions) = text.strip_prefix("repository:")?.rsplit_once(':')?;
        let actions = actions.split(',').map(str::to_owned).collect();
        Some(Self { repository: repository.to_owned(), actions })
    }
}

/// What a request needs: an action on a repository, or just to be known.
pub struct Need<'a> {
    pub repository: Option<&'a str>,
    pub action: &'static str,
}

/// Where a registry and its second port are, `host:port`.
#[derive(Clone)]
pub struct Addresses {
    pub own: String,
    pub elsewhere: String,
}

/// The user and the password of a `Basic` header.
pub fn basic(request: &Request) -> Option<(String, String)> {
    let encoded = request.header("authorization")?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    decoded.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

impl Tokens {
    /// Makes every token given so far useless.
    pub fn revoke(&mut self) {
        self.given.clear();
    }

    /// Why a request may not pass.
    pub fn refuse(&self, auth: &Auth, at: &Addresses, request: &Request, need: &Need<'_>) -> Option<Reply> {
        match auth {
            Auth::None => None,
            Auth::Basic { user, password } => {
                let known = basic(request).is_some_and(|pair| pair == (user.clone(), password.clone()));
                let refusal = || {
                    Reply::error(401, "UNAUTHORIZED", "authentication required")
                        .with("www-authenticate", "Basic realm=\"registry\"")
                };
                (!known).then(refusal)
            }
            Auth::Bearer(bearer) => self.refuse_token(bearer, at, request, need),
        }
    }

    fn refuse_token(
        &self,
        bearer: &Bearer,
        at: &Addresses,
        request: &Request,
        need: &Need<'_>,
    ) -> Option<Reply> {
        let challenge = |error: &str| {
            let realm = match &bearer.realm {
                Realm::Own => format!("http://{}/token", at.own),
                Realm::Elsewhere => format!("http://{}/token", at.elsewhere),
                Realm::Url(url) => url.clone(),
            };
            // GHCR's scope on `/v2/` is a dummy.
            let repository = need.repository.unwrap_or("user/image");
            let actions = if need.action == "push" { "pull,push" } else { need.action };
            let header = format!(
                "Bearer realm=\"{realm}\",service=\"{}\",scope=\"repository:{repository}:{actions}\"{error}",
                at.own
            );
            Reply::error(401, "UNAUTHORIZED", "authentication required").with("www-authenticate", header)
        };
        let Some(header) = request.header("authorization") else { return Some(challenge("")) };
        let Some(token) = header.strip_prefix("Bearer ") else {
            return Some(Reply::error(403, "DENIED", "invalid token"));
        };
        match self.given.get(token).filter(|token| token.until > Instant::now()) {
            None => Some(challenge(",error=\"invalid_token\"")),
            Some(token) => {
                let enough = need.repository.is_none_or(|repository| {
                    token
                        .scopes
                        .iter()
                        .any(|scope| scope.repository == repository && scope.actions.contains(need.action))
                });
                (!enough).then(|| challenge(",error=\"insufficient_scope\""))
            }
        }
    }

    /// The token end point of a registry that gives opaque tokens.
    pub fn issue(&mut self, bearer: &Bearer, request: &Request) -> Reply {
        match grant(bearer, request) {
            Ok(scopes) => self.give(bearer, scopes),
            Err(refusal) => refusal,
        }
    }

    fn give(&mut self, bearer: &Bearer, scopes: Vec<Scope>) -> Reply {
        self.count += 1;
        let token = format!("opaque/{:08x}+{:08x}==", self.count, self.count.wrapping_mul(0x9e37_79b9));
        let (token, told) = match bearer.shape {
            TokenShape::Opaque | TokenShape::AccessToken | TokenShape::Missing => (token.clone(), token),
            TokenShape::WithNewline => (token.clone(), token.replacen('+', "+\n", 1)),
            TokenShape::Long(length) => {
                let long = format!("{token}{}", "x".repeat(length.saturating_sub(token.len())));
                (long.clone(), long)
            }
        };
        self.given.insert(token, Token { scopes, until: Instant::now() + bearer.works_for });
        let mut answer = match bearer.shape {
            TokenShape::AccessToken => json!({"access_token": told}),
            TokenShape::Missing => json!({}),
            TokenShape::Opaque | TokenShape::WithNewline | TokenShape::Long(_) => json!({"token": told}),
        };
        if let Some(seconds) = bearer.expires_in {
            answer["expires_in"] = json!(seconds);
        }
        Reply::json(200, &answer)
    }
}

/// What a request to a token end point is given: `GET` with `Basic` or without, and OAuth2's `POST`.
pub fn grant(bearer: &Bearer, request: &Request) -> Result<Vec<Scope>, Reply> {
    let form = if request.method == "POST" {
        pairs(&String::from_utf8_lossy(&request.body))
    } else {
        request.query.clone()
    };
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let asked = form.iter().filter(|(key, _)| key == "scope").flat_map(|(_, value)| value.split(' '));
    let mut scopes: Vec<Scope> = asked.filter_map(Scope::parse).collect();
    let known = match field("grant_type") {
        Some("refresh_token") => Some(
            bearer.identity_token.is_some() && field("refresh_token") == bearer.identity_token.as_deref(),
        ),
        Some("password") => {
            Some(field("username") == Some(&bearer.user) && field("password") == Some(&bearer.password))
        }
        Some(_) => return Err(Reply::error(400, "UNSUPPORTED", "unsupported grant_type")),
        None if request.header("authorization").is_some() => {
            Some(basic(request) == Some((bearer.user.clone(), bearer.password.clone())))
        }
        None => None,
    };
    match known {
        Some(true) => {}
        // A wrong or expired password.
        Some(false) => return Err(Reply::error(403, "DENIED", "requested access to the resource is denied")),
        None => {
            // Private and missing repositories cannot be told apart.
            if !scopes.iter().all(|scope| bearer.public.contains(&scope.repository)) {
                return Err(Reply::error(401, "UNAUTHORIZED", "authentication required"));
            }
            for scope in &mut scopes {
                scope.actions.retain(|action| action == "pull");
            }
        }
    }
    Ok(scopes)
}
