//! An identity provider: signed tokens, the flows by which people and machines get them.

use std::collections::BTreeMap;
use std::sync::Mutex;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::super::registry::http::{Reply, Request, pairs};
use super::keys::{hex, random, sha256};
use super::service::{Context, Lie, lock, refusal};

/// Issuer of tokens in GitHub's workflows.
pub const GITHUB: &str = "https://token.actions.githubusercontent.com";
pub const GITLAB: &str = "https://gitlab.com";
pub const BUILDKITE: &str = "https://agent.buildkite.com";
/// Issuer of tokens of CircleCI for an organization.
pub const CIRCLECI: &str = "https://oidc.circleci.com/org/6b0e6f0a-0000-4000-8000-000000000001";
/// Issuers whose tokens this provider signs too, as if it were they.
pub const OTHERS: &[&str] = &[GITHUB, GITLAB, BUILDKITE, CIRCLECI];

/// Who a token is for. Times and audience are the provider's.
#[derive(Clone)]
pub struct Claims(pub Map<String, Value>);

impl Claims {
    /// A person.
    pub fn email(address: &str) -> Self {
        let subject = format!("subject of {address}");
        Self(object(json!({"sub": subject, "email": address, "email_verified": true})))
    }

    /// A workflow of a repository on GitHub, after a push: `acme/app`, `release.yml`, `refs/tags/v1.0.0`.
    pub fn github(repository: &str, workflow: &str, reference: &str) -> Self {
        let owner = repository.split('/').next().unwrap();
        let path = format!("{repository}/.github/workflows/{workflow}@{reference}");
        let sha = hex(&sha256(reference.as_bytes()))[..40].to_owned();
        Self(object(json!({
            "iss": GITHUB, "sub": format!("repo:{repository}:ref:{reference}"), "event_name": "push",
            "sha": sha, "workflow": "Release", "repository": repository, "ref": reference,
            "job_workflow_ref": path,
            "job_workflow_sha": sha, "runner_environment": "github-hosted", "repository_id": "1234",
            "repository_owner": owner, "repository_owner_id": "56", "workflow_ref": path, "workflow_sha": sha,
            "run_id": "789", "run_attempt": "1", "repository_visibility": "public",
        })))
    }

    /// A job of a project on GitLab: `acme/app`, branch `main`.
    pub fn gitlab(project: &str, branch: &str) -> Self {
        let owner = project.split('/').next().unwrap();
        let sha = hex(&sha256(branch.as_bytes()))[..40].to_owned();
        Self(object(json!({
            "iss": GITLAB, "sub": format!("project_path:{project}:ref_type:branch:ref:{branch}"),
            "project_path": project, "project_id": "1234", "namespace_path": owner, "namespace_id": "56",
            "ref": branch, "ref_type": "branch", "sha": sha, "pipeline_source": "push", "job_id": "789",
            "ci_config_ref_uri": format!("gitlab.com/{project}//.gitlab-ci.yml@refs/heads/{branch}"),
            "ci_config_sha": sha, "runner_environment": "gitlab-hosted", "project_visibility": "public",
        })))
    }

    /// A job of a pipeline on Buildkite.
    pub fn buildkite(organization: &str, pipeline: &str) -> Self {
        Self(object(json!({
            "iss": BUILDKITE,
            "sub": format!("organization:{organization}:pipeline:{pipeline}:ref:refs/heads/main"),
            "organization_slug": organization, "pipeline_slug": pipeline, "build_number": 789, "job_id": "1",
        })))
    }

    /// A job of a project on CircleCI, whose subject is no more than itself.
    pub fn circleci(subject: &str) -> Self {
        Self(object(json!({"iss": CIRCLECI, "sub": subject})))
    }

    /// With one claim added or changed.
    pub fn with(mut self, claim: &str, value: impl Into<Value>) -> Self {
        self.0.insert(claim.to_owned(), value.into());
        self
    }
}

fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(map) = value { map } else { Map::new() }
}

/// A sign-in that waits for its code to be redeemed.
struct Pending {
    challenge: String,
    redirect: Option<String>,
    nonce: Option<String>,
    claims: Claims,
}

/// The provider.
pub struct Provider {
    pub url: String,
    key: EcdsaKeyPair,
    /// Who signs in at the browser, and who machines are.
    person: Mutex<Claims>,
    machine: Mutex<Claims>,
    codes: Mutex<BTreeMap<String, Pending>>,
    /// How often a device is still told to wait.
    waits: Mutex<usize>,
    devices: Mutex<BTreeMap<String, String>>,
}

/// What a machine shows to be given a token.
pub const REQUEST_TOKEN: &str = "request-token-of-a-job";
const MINUTES: i64 = 60;

impl Provider {
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            person: Mutex::new(Claims::email("signer@example.com")),
            machine: Mutex::new(Claims::github("acme/app", "release.yml", "refs/tags/v1.0.0")),
            codes: Mutex::default(),
            waits: Mutex::new(1),
            devices: Mutex::default(),
        }
    }

    /// Who signs in at the browser from now on.
    pub fn set_person(&self, claims: Claims) {
        *lock(&self.person) = claims;
    }

    /// Who asks for tokens as a job from now on.
    pub fn set_machine(&self, claims: Claims) {
        *lock(&self.machine) = claims;
    }

    /// How often a device is told to wait before it is let in.
    pub fn set_waits(&self, times: usize) {
        *lock(&self.waits) = times;
    }

    /// A token, valid for ten minutes.
    pub fn token(&self, claims: &Claims, audience: &str, now: i64, lies: &[Lie]) -> String {
        let mut all = claims.0.clone();
        let mut put = |name: &str, value: Value| {
            all.entry(name.to_owned()).or_insert(value);
        };
        let end = if lies.contains(&Lie::Expired) { now - 60 * MINUTES } else { now + 10 * MINUTES };
        put("iss", json!(self.url));
        put("aud", json!(audience));
        put("exp", json!(end));
        put("iat", json!(end - 10 * MINUTES));
        put("nbf", json!(end - 10 * MINUTES));
        for lie in lies {
            if let Lie::Audience(other) = lie {
                all.insert("aud".to_owned(), json!(other));
            }
            if let Lie::Issuer(other) = lie {
                all.insert("iss".to_owned(), json!(other));
            }
        }
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": self.key_id()});
        let part = |value: &[u8]| URL_SAFE_NO_PAD.encode(value);
        let signed = format!(
            "{}.{}",
            part(header.to_string().as_bytes()),
            part(Value::Object(all).to_string().as_bytes())
        );
        let other = lies.contains(&Lie::TokenKey);
        let other = other.then(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
        let key = other.as_ref().unwrap_or(&self.key);
        let signature = key.sign(&aws_lc_rs::rand::SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", part(signature.as_ref()))
    }

    /// The claims of a token, where its signature is this provider's.
    pub fn claims_of(&self, token: &str) -> Option<Map<String, Value>> {
        let (signed, signature) = token.rsplit_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref());
        key.verify(signed.as_bytes(), &signature).ok()?;
        let (header, payload) = signed.split_once('.')?;
        let json = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
        (json(header)?["alg"] == "ES256").then_some(())?;
        Some(object(json(payload)?))
    }

    fn key_id(&self) -> String {
        hex(&sha256(self.key.public_key().as_ref()))[..16].to_owned()
    }

    /// JWKS (RFC 7517).
    fn keys(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"keys": [{
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.key_id(),
            "x": number(&point[1..33]), "y": number(&point[33..]),
        }]})
    }

    fn configuration(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.url);
        json!({
            "issuer": self.url, "authorization_endpoint": at("/auth"), "token_endpoint": at("/token"),
            "device_authorization_endpoint": at("/device/code"), "jwks_uri": at("/keys"),
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"], "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "email"],
            "grant_types_supported": ["authorization_code", DEVICE_GRANT],
        })
    }
}

const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub fn answer(provider: &Provider, request: &Request, context: &Context<'_>) -> Reply {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/.well-known/openid-configuration") => Reply::json(200, &provider.configuration()),
        ("GET", "/keys") => Reply::json(200, &provider.keys()),
        ("GET", "/github/token") => ambient(provider, request, context),
        ("GET", "/auth") => authorize(provider, request),
        ("POST", "/token") => redeem(provider, request, context),
        ("POST", "/device/code") => device(provider, request),
        _ => refusal(404, "not found"),
    }
}

/// As a runner of GitHub asks: `ACTIONS_ID_TOKEN_REQUEST_URL`, and `audience`.
fn ambient(provider: &Provider, request: &Request, context: &Context<'_>) -> Reply {
    if request.header("authorization") != Some(&format!("Bearer {REQUEST_TOKEN}")) {
        return refusal(401, "the request token is missing or wrong");
    }
    let audience = request.parameter("audience").unwrap_or("https://github.com/acme");
    let claims = lock(&provider.machine).clone();
    let token = provider.token(&claims, audience, context.now, &context.lies());
    Reply::json(200, &json!({"count": token.len(), "value": token}))
}

/// The authorization endpoint with PKCE (RFC 6749 section 4.1.1, RFC 7636). Nobody is asked: all are let in.
fn authorize(provider: &Provider, request: &Request) -> Reply {
    let (Some("code"), Some("S256"), Some(challenge), Some(redirect)) = (
        request.parameter("response_type"),
        request.parameter("code_challenge_method"),
        request.parameter("code_challenge"),
        request.parameter("redirect_uri"),
    ) else {
        return oauth_error("invalid_request");
    };
    let code = hex(&random::<16>());
    let out_of_band = redirect == "urn:ietf:wg:oauth:2.0:oob";
    let pending = Pending {
        challenge: challenge.to_owned(),
        redirect: Some(redirect.to_owned()),
        nonce: request.parameter("nonce").map(str::to_owned),
        claims: lock(&provider.person).clone(),
    };
    lock(&provider.codes).insert(code.clone(), pending);
    if out_of_band {
        return Reply::new(200, code.into_bytes()).with("content-type", "text/plain");
    }
    let state = request.parameter("state").unwrap_or_default();
    let state = percent_encoding::utf8_percent_encode(state, percent_encoding::NON_ALPHANUMERIC);
    Reply::empty(303).with("location", format!("{redirect}?code={code}&state={state}"))
}

fn oauth_error(error: &str) -> Reply {
    Reply::json(400, &json!({"error": error}))
}

/// The token endpoint.
fn redeem(provider: &Provider, request: &Request, context: &Context<'_>) -> Reply {
    let form = pairs(&String::from_utf8_lossy(&request.body));
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let code = match field("grant_type") {
        Some("authorization_code") => field("code").map(str::to_owned),
        Some(DEVICE_GRANT) => {
            let known = field("device_code").and_then(|code| lock(&provider.devices).get(code).cloned());
            let mut waits = lock(&provider.waits);
            if known.is_some() && *waits > 0 {
                *waits -= 1;
                return oauth_error("authorization_pending");
            }
            known
        }
        _ => return oauth_error("unsupported_grant_type"),
    };
    let Some(pending) = code.and_then(|code| lock(&provider.codes).remove(&code)) else {
        return oauth_error("invalid_grant");
    };
    let verifier = field("code_verifier").unwrap_or_default();
    let challenge = URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()));
    if challenge != pending.challenge || field("redirect_uri") != pending.redirect.as_deref() {
        return oauth_error("invalid_grant");
    }
    let mut claims = pending.claims;
    if let Some(nonce) = pending.nonce {
        claims = claims.with("nonce", nonce);
    }
    // The provider's audience is the client that asks.
    let client = field("client_id").map_or_else(|| client_of_basic(request), str::to_owned);
    let token = provider.token(&claims, &client, context.now, &context.lies());
    Reply::json(
        200,
        &json!({"access_token": "none", "token_type": "bearer", "expires_in": 600, "id_token": token}),
    )
}

/// The client's name in HTTP basic authentication.
fn client_of_basic(request: &Request) -> String {
    let basic = request.header("authorization").and_then(|value| value.strip_prefix("Basic "));
    let pair = basic.and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    let pair = String::from_utf8(pair.unwrap_or_default()).unwrap_or_default();
    pair.split(':').next().unwrap_or_default().to_owned()
}

/// Device authorization (RFC 8628), with PKCE as Sigstore's clients send it.
fn device(provider: &Provider, request: &Request) -> Reply {
    let form = pairs(&String::from_utf8_lossy(&request.body));
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let (code, device) = (hex(&random::<16>()), hex(&random::<16>()));
    let pending = Pending {
        // Without a challenge that of no verifier.
        challenge: field("code_challenge").map_or_else(|| URL_SAFE_NO_PAD.encode(sha256(b"")), str::to_owned),
        redirect: None,
        nonce: field("nonce").map(str::to_owned),
        claims: lock(&provider.person).clone(),
    };
    lock(&provider.codes).insert(code.clone(), pending);
    lock(&provider.devices).insert(device.clone(), code);
    let verify = format!("{}/device", provider.url);
    Reply::json(
        200,
        &json!({
            "device_code": device, "user_code": "WXYZ-ABCD", "verification_uri": verify,
            "verification_uri_complete": format!("{verify}?user_code=WXYZ-ABCD"),
            "expires_in": 300, "interval": 1,
        }),
    )
}
