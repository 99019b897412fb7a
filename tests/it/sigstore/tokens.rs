//! The flows by which people and machines get tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Form, try_sign};
use crate::support::registry::http::pairs;
use crate::support::sigstore::keys::sha256;
use crate::support::sigstore::{Claims, Lie, REQUEST_TOKEN, Sigstore, Version};
use crate::support::wire::{Answer, get, send};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters";

fn address(sigstore: &Sigstore) -> String {
    sigstore.oidc.url().strip_prefix("http://").unwrap().to_owned()
}

fn post(sigstore: &Sigstore, path: &str, form: &str) -> Answer {
    send(&address(sigstore), "POST", path, &[FORM], form.as_bytes())
}

fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(sha256(VERIFIER.as_bytes()))
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

#[test]
fn a_job_is_given_one() {
    let sigstore = Sigstore::start();
    let [_, (_, url), _] = sigstore.github_environment();
    let target = url.strip_prefix(sigstore.oidc.url()).unwrap();
    get(&address(&sigstore), target).status(401);
    let bearer = format!("Bearer {REQUEST_TOKEN}");
    let ask = |audience: &str| {
        let target = format!("{target}&audience={audience}");
        let answer = send(&address(&sigstore), "GET", &target, &[("authorization", &bearer)], b"");
        answer.status(200).json()["value"].as_str().unwrap().to_owned()
    };
    try_sign(&sigstore, &ask("sigstore"), Form::Message, Version::V1).unwrap();
    try_sign(&sigstore, &ask("other"), Form::Message, Version::V1).unwrap_err();
    sigstore.oidc.lie(Lie::Expired);
    try_sign(&sigstore, &ask("sigstore"), Form::Message, Version::V1).unwrap_err();
    sigstore.provider.set_machine(Claims::github("acme/other", "ci.yml", "refs/heads/main"));
    assert_eq!(claims(&ask("sigstore"))["repository"], "acme/other");
}

#[test]
fn a_person_signs_in_at_the_browser() {
    let sigstore = Sigstore::start();
    let configuration = get(&address(&sigstore), "/.well-known/openid-configuration").status(200).json();
    assert_eq!(configuration["issuer"], sigstore.oidc.url());
    assert_eq!(get(&address(&sigstore), "/keys").status(200).json()["keys"][0]["crv"], "P-256");
    sigstore.provider.set_person(Claims::email("other@example.com"));
    let authorize = |redirect: &str| {
        let target = format!(
            "/auth?response_type=code&client_id=sigstore&code_challenge_method=S256&code_challenge={}&nonce=7\
             &state=a%26b&redirect_uri={redirect}",
            challenge()
        );
        get(&address(&sigstore), &target)
    };
    let redirected = authorize("http%3A%2F%2Flocalhost%3A1%2Fcallback").status(303);
    let location = redirected.header("location").unwrap();
    let query = pairs(location.strip_prefix("http://localhost:1/callback?").unwrap());
    assert_eq!(query[1], ("state".to_owned(), "a&b".to_owned()));
    let redeem = |code: &str, verifier: &str, redirect: &str| {
        let form = format!(
            "grant_type=authorization_code&client_id=sigstore&code={code}&code_verifier={verifier}\
             &redirect_uri={redirect}"
        );
        post(&sigstore, "/token", &form)
    };
    let callback = "http%3A%2F%2Flocalhost%3A1%2Fcallback";
    let token = redeem(&query[0].1, VERIFIER, callback).status(200).json()["id_token"].clone();
    let told = claims(token.as_str().unwrap());
    assert_eq!(
        (&told["email"], &told["nonce"], &told["aud"]),
        (&json!("other@example.com"), &json!("7"), &json!("sigstore"))
    );
    // A code is good once, and for whoever asked for it.
    redeem(&query[0].1, VERIFIER, callback).status(400);
    let out_of_band = "urn%3Aietf%3Awg%3Aoauth%3A2.0%3Aoob";
    let code = String::from_utf8(authorize(out_of_band).status(200).body).unwrap();
    redeem(&code, "another", out_of_band).status(400);
    let code = String::from_utf8(authorize(out_of_band).status(200).body).unwrap();
    redeem(&code, VERIFIER, out_of_band).status(200);
}

#[test]
fn a_device_waits_until_it_is_let_in() {
    let sigstore = Sigstore::start();
    sigstore.provider.set_waits(2);
    let asked = format!(
        "client_id=sigstore&scope=openid+email&code_challenge_method=S256&code_challenge={}",
        challenge()
    );
    let device = post(&sigstore, "/device/code", &asked).status(200).json();
    let form = format!(
        "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&client_id=sigstore&device_code={}\
         &code_verifier={VERIFIER}",
        device["device_code"].as_str().unwrap()
    );
    for _ in 0..2 {
        assert_eq!(post(&sigstore, "/token", &form).status(400).json()["error"], "authorization_pending");
    }
    let token = post(&sigstore, "/token", &form).status(200).json()["id_token"].clone();
    try_sign(&sigstore, token.as_str().unwrap(), Form::Message, Version::V1).unwrap();
}
