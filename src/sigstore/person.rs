//! A person signs in: in a browser (RFC 6749 §4.1 with PKCE, RFC 7636, and a listener on the loopback interface, RFC 8252
//! §7.3), or on another device by a code (RFC 8628).

use std::fmt;
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::config::is_safe;
use super::error::{Error, ErrorKind};
use super::fulcio::endpoint;
use super::http::{Answer, Http, Question};
use super::token::{AUDIENCE, MAX_TOKEN, Token};

/// How long a person has to sign in: five minutes, or as long as a device's code is valid, at most fifteen.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
const LONGEST: u64 = 15 * 60;

/// How long a browser may take to say what it wants of the listener. Some connect early and say nothing.
const REQUEST: Duration = Duration::from_secs(3);

/// Bytes of a request to the listener.
const HEAD: usize = 16 << 10;

/// Bytes of an answer.
const ANSWER: u64 = 4 * MAX_TOKEN as u64;

/// Between two questions whether the person has signed in on the device: what the provider says, in these bounds, and
/// so much longer each time it says that this is too often (RFC 8628 §3.5).
const INTERVAL: std::ops::RangeInclusive<u64> = 1..=60;
const SLOWER: u64 = 5;

const CALLBACK: &str = "/auth/callback";
const SCOPE: &str = "openid email";
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
const FORM: &str = "application/x-www-form-urlencoded";
const AT: &str = "the identity provider";

/// How a person signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignIn {
    /// In a browser on this machine.
    Browser,
    /// In one elsewhere, with a code.
    Device,
}

/// What the person is told.
#[derive(Debug, Clone, Copy)]
pub struct Invitation<'a> {
    /// Where to sign in.
    pub url: &'a str,
    /// The code to type there; none where a browser on this machine is meant.
    pub code: Option<&'a str>,
}

/// A person who is to sign in.
#[derive(Clone)]
pub struct Person {
    issuer: Url,
    how: SignIn,
    show: fn(&Invitation<'_>),
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person")
            .field("issuer", &self.issuer.as_str())
            .field("how", &self.how)
            .finish_non_exhaustive()
    }
}

/// OpenID Connect Discovery 1.0 §3, and RFC 8628 §4.
#[derive(Deserialize)]
struct Discovered {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    device_authorization_endpoint: Option<String>,
}

/// RFC 8628 §3.2.
#[derive(Deserialize)]
struct Offered {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

impl Person {
    /// Somebody who signs in at this provider, once `show` has said where.
    #[must_use]
    pub fn new(issuer: Url, how: SignIn, show: fn(&Invitation<'_>)) -> Self {
        Self { issuer, how, show }
    }

    /// A token, once the person has signed in.
    pub(super) async fn token(&self, http: &Http) -> Result<Token, Error> {
        let discovered = self.discover(http).await?;
        let token = match self.how {
            SignIn::Browser => self.by_browser(http, &discovered).await?,
            SignIn::Device => self.by_device(http, &discovered).await?,
        };
        // Attack: a token that another provider gave, or gave to somebody else, in place of this one's.
        if !is_same(token.issuer(), self.issuer.as_str()) {
            return Err(failed("gave a token of another issuer"));
        }
        Ok(token)
    }

    async fn discover(&self, http: &Http) -> Result<Discovered, Error> {
        let url = endpoint(&self.issuer, ".well-known/openid-configuration")?;
        let answer = http.ask(&Question::get(AT, url, ANSWER)).await?;
        if !answer.status.is_success() {
            return Err(failed(&format!(
                "answers {} where it should describe itself",
                answer.status.as_u16()
            )));
        }
        let discovered: Discovered = serde_json::from_slice(&answer.body)
            .map_err(|_| failed("describes itself in no way that is understood"))?;
        // Attack: a description of another provider (Discovery §4.3).
        if !is_same(&discovered.issuer, self.issuer.as_str()) {
            return Err(failed("describes itself as another issuer"));
        }
        Ok(discovered)
    }

    async fn by_browser(&self, http: &Http, discovered: &Discovered) -> Result<Token, Error> {
        let unusable =
            |error: std::io::Error| failed(&format!("cannot be answered on this machine: {error}"));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(unusable)?;
        let port = listener.local_addr().map_err(unusable)?.port();
        let redirect = format!("http://localhost:{port}{CALLBACK}");
        let (state, nonce, verifier) = (random()?, random()?, random()?);
        let mut url = address(&discovered.authorization_endpoint)?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", AUDIENCE)
            .append_pair("redirect_uri", &redirect)
            .append_pair("scope", SCOPE)
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &challenge(&verifier))
            .append_pair("code_challenge_method", "S256");
        (self.show)(&Invitation { url: url.as_str(), code: None });
        let code = timeout(PATIENCE, code(&listener, &state)).await;
        let code = code.map_err(|_| failed("had nobody sign in for five minutes"))??;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &redirect),
            ("client_id", AUDIENCE),
            ("code_verifier", &verifier),
        ];
        let answer = post(http, &discovered.token_endpoint, &fields).await?;
        let token = token(&answer)?;
        // Attack: somebody else's code, redeemed here: what is signed would be in that person's name.
        if token.nonce() != Some(nonce.as_str()) {
            return Err(failed("gave a token that is not for this sign-in"));
        }
        Ok(token)
    }

    async fn by_device(&self, http: &Http, discovered: &Discovered) -> Result<Token, Error> {
        let endpoint = discovered.device_authorization_endpoint.as_deref();
        let endpoint = endpoint.ok_or_else(|| failed("lets no devices sign in: use `--interactive`"))?;
        let verifier = random()?;
        let challenge = challenge(&verifier);
        let fields = [
            ("client_id", AUDIENCE),
            ("scope", SCOPE),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let answer = post(http, endpoint, &fields).await?;
        let offered: Option<Offered> = serde_json::from_slice(&answer.body).ok();
        let offered = offered.ok_or_else(|| refused(&answer))?;
        let shown = address(offered.verification_uri_complete.as_ref().unwrap_or(&offered.verification_uri))?;
        (self.show)(&Invitation { url: shown.as_str(), code: Some(&offered.user_code) });
        let mut interval = offered.interval.unwrap_or(SLOWER);
        let end = Instant::now() + Duration::from_secs(offered.expires_in.min(LONGEST));
        let fields = [
            ("grant_type", DEVICE),
            ("device_code", offered.device_code.as_str()),
            ("client_id", AUDIENCE),
            ("code_verifier", &verifier),
        ];
        loop {
            interval = interval.clamp(*INTERVAL.start(), *INTERVAL.end());
            let waited = timeout_at(end, sleep(Duration::from_secs(interval))).await;
            waited.map_err(|_| failed("had nobody sign in before the code expired"))?;
            let answer = post(http, &discovered.token_endpoint, &fields).await?;
            match error_of(&answer).as_deref() {
                Some("authorization_pending") => {}
                Some("slow_down") => interval = interval.saturating_add(SLOWER),
                Some(_) | None => return token(&answer),
            }
        }
    }
}

/// Waits for the browser to come back with a code.
async fn code(listener: &TcpListener, state: &str) -> Result<String, Error> {
    loop {
        let accepted = listener.accept().await;
        let (stream, _) =
            accepted.map_err(|error| failed(&format!("cannot be answered on this machine: {error}")))?;
        // Whoever connects and says nothing is not waited for long.
        let Ok(Some(target)) = timeout(REQUEST, head(&stream)).await else { continue };
        let (page, answer) = match returned(&target, state) {
            None => (page("404 Not Found", "There is nothing here."), None),
            // Attack: another page of the browser that brings a code of its own. The right one may still come.
            Some(Returned::Foreign) => {
                (page("400 Bad Request", "This is not the sign-in that was begun."), None)
            }
            Some(Returned::Code(code)) => {
                (page("200 OK", "Signed in. You may close this window."), Some(Ok(code)))
            }
            Some(Returned::Refused(error)) => {
                let error: String = error.chars().filter(char::is_ascii_graphic).take(60).collect();
                let error = failed(&format!("did not let anybody sign in ({error})"));
                (page("200 OK", "Not signed in. You may close this window."), Some(Err(error)))
            }
        };
        let _ = timeout(REQUEST, write(&stream, page.as_bytes())).await;
        if let Some(answer) = answer {
            return answer;
        }
    }
}

/// What a browser came back with.
#[derive(Debug, PartialEq, Eq)]
enum Returned {
    Code(String),
    Refused(String),
    /// What was not begun here.
    Foreign,
}

/// What a request's target says; nothing where it is about something else.
fn returned(target: &str, state: &str) -> Option<Returned> {
    let url = Url::parse("http://localhost").ok()?.join(target).ok()?;
    if url.path() != CALLBACK {
        return None;
    }
    let value = |name: &str| {
        let mut values =
            url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        // Attack: a parameter twice, of which the browser's page and we take different ones.
        values.next().filter(|_| values.next().is_none())
    };
    if value("state").as_deref() != Some(state) {
        return Some(Returned::Foreign);
    }
    Some(match (value("code"), value("error")) {
        (Some(code), None) => Returned::Code(code),
        (None, Some(error)) => Returned::Refused(error),
        (Some(_), Some(_)) | (None, None) => Returned::Foreign,
    })
}

/// The target of the request that a browser sends.
async fn head(stream: &TcpStream) -> Option<String> {
    let mut held = Vec::new();
    let mut piece = [0_u8; 2048];
    while !held.windows(4).any(|end| end == b"\r\n\r\n") {
        stream.readable().await.ok()?;
        match stream.try_read(&mut piece) {
            Ok(0) => return None,
            Ok(read) => held.extend_from_slice(piece.get(..read)?),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
        if held.len() > HEAD {
            return None;
        }
    }
    let text = std::str::from_utf8(&held).ok()?;
    let mut words = text.lines().next()?.split(' ');
    match (words.next(), words.next()) {
        (Some("GET"), Some(target)) if target.starts_with('/') => Some(target.to_owned()),
        (Some(_), _) | (None, _) => None,
    }
}

async fn write(stream: &TcpStream, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        if stream.writable().await.is_err() {
            return;
        }
        match stream.try_write(rest) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

fn page(status: &str, text: &str) -> String {
    let body = format!("<!DOCTYPE html><meta charset=\"utf-8\"><title>portcullis</title><p>{text}</p>\n");
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nCache-Control: \
         no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

async fn post(http: &Http, url: &str, fields: &[(&str, &str)]) -> Result<Answer, Error> {
    let url = address(url)?;
    let mut form = url.clone();
    form.set_query(None);
    form.query_pairs_mut().extend_pairs(fields);
    let body = form.query().unwrap_or_default().as_bytes().to_vec();
    http.ask(&Question::post(AT, url, FORM, body, ANSWER)).await
}

/// The token of an answer. What else stands there is shown to nobody.
fn token(answer: &Answer) -> Result<Token, Error> {
    let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let text = body.as_ref().and_then(|body| body.get("id_token")?.as_str());
    match text.filter(|_| answer.status.is_success()) {
        Some(text) => Token::parse(text),
        None => Err(refused(answer)),
    }
}

fn refused(answer: &Answer) -> Error {
    let error: String = error_of(answer).unwrap_or_default();
    let error: String = error.chars().filter(char::is_ascii_graphic).take(60).collect();
    failed(&format!("answers {} and gives no token ({error})", answer.status.as_u16()))
}

/// RFC 6749 §5.2.
fn error_of(answer: &Answer) -> Option<String> {
    let body: Value = serde_json::from_slice(&answer.body).ok()?;
    Some(body.get("error")?.as_str()?.to_owned())
}

/// An address that secrets may be sent to, or a browser opened at.
fn address(text: &str) -> Result<Url, Error> {
    let url = Url::parse(text).ok().filter(is_safe);
    url.ok_or_else(|| failed("names an address that is not reached by https://"))
}

fn is_same(a: &str, b: &str) -> bool {
    a.trim_end_matches('/') == b.trim_end_matches('/')
}

/// 256 random bits.
fn random() -> Result<String, Error> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| failed("cannot be asked: there are no random bytes"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// RFC 7636 §4.2.
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

fn failed(message: &str) -> Error {
    Error::new(ErrorKind::Token, AT, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sign_in_that_was_begun_counts() {
        let state = "s";
        let of = |target: &str| returned(target, state);
        assert_eq!(of("/auth/callback?code=c&state=s"), Some(Returned::Code("c".into())));
        assert_eq!(
            of("/auth/callback?state=s&error=access_denied"),
            Some(Returned::Refused("access_denied".into()))
        );
        for foreign in [
            "/auth/callback?code=c",
            "/auth/callback?code=c&state=t",
            "/auth/callback?code=c&state=s&state=t",
            "/auth/callback?code=c&code=d&state=s",
            "/auth/callback?code=c&error=e&state=s",
            "/auth/callback",
        ] {
            assert_eq!(of(foreign), Some(Returned::Foreign), "{foreign}");
        }
        for other in ["/favicon.ico", "/", "//elsewhere.example/", "/auth/callback/x?state=s&code=c"] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn the_challenge_is_that_of_the_specification() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert_ne!(random().unwrap(), random().unwrap());
    }

    #[test]
    fn a_browser_is_sent_to_no_file_and_no_plain_host() {
        for bad in ["file:///etc/passwd", "http://idp.example/auth", "javascript:alert(1)", "x"] {
            assert!(address(bad).is_err(), "{bad}");
        }
        assert!(address("https://idp.example/auth").is_ok());
    }
}
