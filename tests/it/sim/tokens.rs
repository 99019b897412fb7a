//! Who may do what: passwords, and tokens after GHCR's rules.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::loaded;
use crate::support::registry::*;
use crate::support::wire::{self, Answer};

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

fn guarded(bearer: Bearer) -> Registry {
    loaded(Switches { auth: Auth::Bearer(bearer), ..Switches::default() }).0
}

fn manifest(registry: &Registry, authorization: &str) -> Answer {
    let headers = [("authorization", authorization)];
    wire::send(registry.address(), "GET", "/v2/acme/app/manifests/v1", &headers, b"")
}

fn token(registry: &Registry, scope: &str, authorization: Option<&str>) -> Answer {
    let headers: Vec<_> = authorization.map(|value| ("authorization", value)).into_iter().collect();
    wire::send(registry.address(), "GET", &format!("/token?service=x&scope={scope}"), &headers, b"")
}

fn given(answer: Answer) -> String {
    answer.status(200).json()["token"].as_str().unwrap().to_owned()
}

#[test]
fn a_password_is_asked_for() {
    let auth = Auth::Basic { user: "ci".into(), password: "s3cret".into() };
    let (registry, _) = loaded(Switches { auth, ..Switches::default() });
    let refused = wire::get(registry.address(), "/v2/").status(401);
    assert_eq!(refused.header("www-authenticate"), Some("Basic realm=\"registry\""));
    manifest(&registry, &basic("ci", "wrong")).status(401);
    manifest(&registry, &basic("ci", "s3cret")).status(200);
}

#[test]
fn a_token_is_for_its_scope() {
    let registry = guarded(Bearer::default());
    let refused = wire::get(registry.address(), "/v2/acme/app/manifests/v1").status(401);
    let challenge = refused.header("www-authenticate").unwrap();
    assert!(challenge.contains(&format!("Bearer realm=\"http://{}/token\"", registry.address())));
    assert!(challenge.contains("scope=\"repository:acme/app:pull\""), "{challenge}");
    let token = given(token(&registry, "repository:acme/app:pull", Some(&basic("ci", "s3cret"))));
    let bearer = format!("Bearer {token}");
    manifest(&registry, &bearer).status(200);
    let headers = [("authorization", bearer.as_str())];
    let push = wire::send(registry.address(), "POST", "/v2/acme/app/blobs/uploads/", &headers, b"");
    let challenge = push.status(401);
    let challenge = challenge.header("www-authenticate").unwrap();
    assert!(challenge.contains("pull,push") && challenge.contains("insufficient_scope"), "{challenge}");
    wire::send(registry.address(), "GET", "/v2/", &headers, b"").status(200);
    assert_eq!(registry.token_calls(), 1);
    registry.script(on("GET", "/token"), [Fault::bare(500)]);
    self::token(&registry, "repository:acme/app:pull", None).status(500);
    registry.revoke_tokens();
    manifest(&registry, &bearer).status(401);
}

#[test]
fn private_and_missing_are_told_alike() {
    let registry = guarded(Bearer { public: vec!["acme/app".into()], ..Bearer::default() });
    let anonymous = given(token(&registry, "repository:acme/app:pull,push", None));
    manifest(&registry, &format!("Bearer {anonymous}")).status(200);
    token(&registry, "repository:acme/private:pull", None).status(401);
    token(&registry, "repository:acme/missing:pull", None).status(401);
    let wrong = token(&registry, "repository:acme/app:pull", Some(&basic("ci", "wrong")));
    assert_eq!(wrong.status(403).code(), "DENIED");
    assert_eq!(manifest(&registry, &basic("ci", "s3cret")).status(403).code(), "DENIED");
}

#[test]
fn tokens_end_and_have_odd_shapes() {
    let registry = guarded(Bearer {
        works_for: Duration::from_millis(50),
        expires_in: None,
        shape: TokenShape::WithNewline,
        ..Bearer::default()
    });
    let scope = "repository:acme/app:pull";
    let password = basic("ci", "s3cret");
    let answer = token(&registry, scope, Some(&password));
    assert_eq!(answer.json().get("expires_in"), None);
    let broken = given(answer);
    assert!(broken.contains('\n'));
    let whole = format!("Bearer {}", broken.replace('\n', ""));
    std::thread::sleep(Duration::from_millis(60));
    assert!(
        manifest(&registry, &whole).status(401).header("www-authenticate").unwrap().contains("invalid_token")
    );
    let reshape = |shape| {
        let bearer = Bearer { shape, realm: Realm::Elsewhere, ..Bearer::default() };
        registry.switch(|ways| ways.auth = Auth::Bearer(bearer));
        token(&registry, scope, Some(&password)).json()
    };
    assert_eq!(reshape(TokenShape::Long(5000))["token"].as_str().unwrap().len(), 5000);
    assert!(reshape(TokenShape::AccessToken)["access_token"].is_string());
    let missing = reshape(TokenShape::Missing);
    assert!(missing.get("token").is_none() && missing.get("access_token").is_none());
    let realm = format!("realm=\"http://{}/token\"", registry.elsewhere_address());
    assert!(manifest(&registry, "Bearer x").header("www-authenticate").unwrap().contains(&realm));
    wire::send(registry.elsewhere_address(), "GET", "/token", &[("authorization", &password)], b"")
        .status(200);
    assert_eq!(registry.leaks().len(), 1);
    let realm = Realm::Url("http://169.254.169.254/token".into());
    registry.switch(|ways| ways.auth = Auth::Bearer(Bearer { realm, ..Bearer::default() }));
    let refused = manifest(&registry, "Bearer x");
    assert!(refused.header("www-authenticate").unwrap().contains("realm=\"http://169.254.169.254/token\""));
}

#[test]
fn an_identity_token_is_exchanged_by_post() {
    let registry = guarded(Bearer { identity_token: Some("idt".into()), ..Bearer::default() });
    let post = |form: &str| wire::send(registry.address(), "POST", "/token", &[], form.as_bytes());
    let scope = "scope=repository%3Aacme%2Fapp%3Apull";
    let token = given(post(&format!("grant_type=refresh_token&refresh_token=idt&{scope}")));
    manifest(&registry, &format!("Bearer {token}")).status(200);
    post(&format!("grant_type=refresh_token&refresh_token=other&{scope}")).status(403);
    given(post(&format!("grant_type=password&username=ci&password=s3cret&{scope}")));
    post(&format!("grant_type=device&{scope}")).status(400);
}
