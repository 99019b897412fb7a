//! Fulcio: certificates of ten minutes for whoever has a token.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::super::registry::http::{Reply, Request};
use super::certificate::{
    Authority, CODE_SIGNING, Draft, SIGNATURES, TIME_STAMPING, extended_key_usage, extension, key_usage, name,
};
use super::der::{from_pem, octets, sequence, tlv, to_pem, utf8};
use super::extensions::{self, Subject};
use super::keys::{Key, key_of_pem, key_of_request, sha256, verifies};
use super::oidc::{OTHERS, Provider};
use super::service::{Context, Lie, refusal};

/// How long a certificate is valid, in seconds.
const LIFE: i64 = 600;
const AUDIENCE: &str = "sigstore";
/// The list of SCTs in a certificate (RFC 6962, section 3.3).
const SCT_LIST: &str = "1.3.6.1.4.1.11129.2.4.2";

/// The authority, its log and the provider that it trusts.
pub struct Fulcio {
    pub root: Authority,
    pub issuer: Authority,
    /// The key of the Certificate Transparency log.
    pub ct: Key,
    pub provider: Arc<Provider>,
    pub issued: AtomicUsize,
}

impl Fulcio {
    pub fn new(provider: Arc<Provider>, now: i64) -> Self {
        let root = Authority::root(name("sigstore.test", "sigstore"), now);
        let issuer = root.intermediate(name("sigstore.test", "sigstore-intermediate"), CODE_SIGNING, now);
        Self { root, issuer, ct: Key::p256(), provider, issued: AtomicUsize::new(0) }
    }

    /// Certificates above the leaf.
    pub fn chain(&self) -> [&[u8]; 2] {
        [&self.issuer.der, &self.root.der]
    }
}

pub fn answer(fulcio: &Fulcio, request: &Request, context: &Context<'_>) -> Reply {
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/api/v2/signingCert") => {
            issue(fulcio, request, context).unwrap_or_else(|(http, code, message)| {
                Reply::json(http, &json!({"code": code, "message": message, "details": []}))
            })
        }
        ("GET", "/api/v2/trustBundle") => {
            let chain = fulcio.chain().map(|der| to_pem(der, "CERTIFICATE"));
            Reply::json(200, &json!({"chains": [{"certificates": chain}]}))
        }
        ("GET", "/api/v2/configuration") => {
            let issuers: Vec<Value> = std::iter::once(fulcio.provider.url.as_str())
                .chain(OTHERS.iter().copied())
                .map(|url| json!({"issuerUrl": url, "audience": AUDIENCE, "challengeClaim": "sub"}))
                .collect();
            Reply::json(200, &json!({"issuers": issuers}))
        }
        _ => refusal(404, "Not Found"),
    }
}

/// Status, code of gRPC, message.
type Refused = (u16, u8, &'static str);

const BAD_TOKEN: Refused = (401, 16, "There was an error processing the identity token");
const BAD_PROOF: Refused = (400, 3, "The signature supplied in the request could not be verified");
const BAD_KEY: Refused = (400, 3, "The public key supplied in the request could not be parsed");

fn issue(fulcio: &Fulcio, request: &Request, context: &Context<'_>) -> Result<Reply, Refused> {
    let body: Value = serde_json::from_slice(&request.body).map_err(|_| (400, 3, "invalid JSON"))?;
    let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    let token = body["credentials"]["oidcIdentityToken"].as_str().or(bearer).ok_or(BAD_TOKEN)?;
    let claims = identity(fulcio, token, context.now).ok_or(BAD_TOKEN)?;
    let key = requested_key(&body, &claims)?;
    let lies = context.lies();
    let key = if lies.contains(&Lie::OtherSubjectKey) { Key::p256().spki() } else { key };
    let draft = draft(key, &claims, context.now, &lies).ok_or(BAD_TOKEN)?;
    let (leaf, sct) = certify(fulcio, draft, context.now, &lies);
    fulcio.issued.fetch_add(1, Ordering::SeqCst);
    let chain: Vec<String> = std::iter::once(leaf.as_slice())
        .chain(fulcio.chain())
        .map(|der| to_pem(der, "CERTIFICATE"))
        .collect();
    let chain = json!({"certificates": chain});
    let answer = if lies.contains(&Lie::DetachedSct) {
        json!({"signedCertificateDetachedSct": {
            "chain": chain, "signedCertificateTimestamp": STANDARD.encode(sct),
        }})
    } else {
        json!({"signedCertificateEmbeddedSct": {"chain": chain}})
    };
    Ok(Reply::json(200, &answer))
}

/// The claims of a token that is good for a certificate now.
fn identity(fulcio: &Fulcio, token: &str, now: i64) -> Option<Map<String, Value>> {
    let claims = fulcio.provider.claims_of(token)?;
    let issuer = claims.get("iss")?.as_str()?;
    let audience = claims.get("aud")?;
    let audience =
        audience == AUDIENCE || audience.as_array().is_some_and(|all| all.contains(&json!(AUDIENCE)));
    let known = issuer == fulcio.provider.url || OTHERS.contains(&issuer);
    let begun = claims.get("nbf").and_then(Value::as_i64).is_none_or(|begin| begin <= now + 60);
    let verified = !claims.contains_key("email") || claims.get("email_verified") == Some(&json!(true));
    (known && audience && begun && verified && claims.get("exp")?.as_i64()? > now).then_some(claims)
}

/// The key in the request, whose holder proved to hold it.
fn requested_key(body: &Value, claims: &Map<String, Value>) -> Result<Vec<u8>, Refused> {
    if let Some(request) = body["certificateSigningRequest"].as_str() {
        let pem = STANDARD.decode(request).ok().and_then(|pem| String::from_utf8(pem).ok()).ok_or(BAD_KEY)?;
        let der = from_pem(&pem, "CERTIFICATE REQUEST").ok_or(BAD_KEY)?;
        return key_of_request(&der).ok_or(BAD_PROOF);
    }
    let asked = &body["publicKeyRequest"];
    let key = asked["publicKey"]["content"].as_str().and_then(key_of_pem).ok_or(BAD_KEY)?;
    let proof = asked["proofOfPossession"].as_str().and_then(|text| STANDARD.decode(text).ok());
    // What is signed is the address of a person, the subject of anything else.
    let challenge = claims.get("email").or(claims.get("sub")).and_then(Value::as_str).ok_or(BAD_TOKEN)?;
    if !verifies(&key, challenge.as_bytes(), &proof.ok_or(BAD_PROOF)?) {
        return Err(BAD_PROOF);
    }
    Ok(key)
}

/// The certificate without an SCT.
fn draft(key: Vec<u8>, claims: &Map<String, Value>, now: i64, lies: &[Lie]) -> Option<Draft> {
    // [1] is a mail address, [6] a URI.
    let (tag, subject) = match extensions::subject(claims)? {
        Subject::Email(address) => (0x81, address),
        Subject::Uri(uri) => (0x86, uri),
    };
    let usage = if lies.contains(&Lie::NoCodeSigning) { TIME_STAMPING } else { CODE_SIGNING };
    let mut draft = Draft::new(sequence(&[]), key, now, now + LIFE)
        .with(key_usage(SIGNATURES))
        .with(extended_key_usage(false, usage))
        .with(extension("2.5.29.17", true, &sequence(&[tlv(tag, subject.as_bytes())])));
    for (number, raw, value) in extensions::of(claims)? {
        let content = if raw { value.into_bytes() } else { utf8(&value) };
        draft = draft.with(extension(&format!("1.3.6.1.4.1.57264.1.{number}"), false, &content));
    }
    Some(draft)
}

/// The signed certificate, and its SCT.
fn certify(fulcio: &Fulcio, draft: Draft, now: i64, lies: &[Lie]) -> (Vec<u8>, Vec<u8>) {
    let other = lies.contains(&Lie::OtherRoot).then(|| {
        let root = Authority::root(fulcio.root.subject.clone(), now);
        root.intermediate(fulcio.issuer.subject.clone(), CODE_SIGNING, now)
    });
    let issuer = other.as_ref().unwrap_or(&fulcio.issuer);
    let draft = draft.issued_by(issuer);
    let sct = sct(fulcio, issuer, &draft, now, lies);
    if lies.contains(&Lie::NoSct) || lies.contains(&Lie::DetachedSct) {
        return (draft.signed(&issuer.subject, &issuer.key), sct);
    }
    let list = [&length(sct.len() + 2), length(sct.len()).as_slice(), &sct].concat();
    let draft = draft.with(extension(SCT_LIST, false, &octets(&list)));
    (draft.signed(&issuer.subject, &issuer.key), sct)
}

fn length(bytes: usize) -> [u8; 2] {
    u16::try_from(bytes).unwrap().to_be_bytes()
}

/// `SignedCertificateTimestamp` over the certificate without it (RFC 6962, section 3.2).
fn sct(fulcio: &Fulcio, issuer: &Authority, draft: &Draft, now: i64, lies: &[Lie]) -> Vec<u8> {
    let other = (lies.contains(&Lie::SctKey) || lies.contains(&Lie::SctLog)).then(Key::p256);
    let named = other.as_ref().filter(|_| lies.contains(&Lie::SctLog)).unwrap_or(&fulcio.ct);
    let body = draft.to_be_signed(&issuer.subject);
    let time = (now as u64 * 1000).to_be_bytes();
    let signed = [
        &[0, 0],
        time.as_slice(),
        &[0, 1],
        &sha256(&issuer.key.spki()),
        &(body.len() as u32).to_be_bytes()[1..],
        &body,
        &[0, 0],
    ]
    .concat();
    let signature = other.as_ref().unwrap_or(&fulcio.ct).sign(&signed);
    [
        &[0],
        sha256(&named.spki()).as_slice(),
        &time,
        &[0, 0],
        // SHA-256, ECDSA.
        &[4, 3],
        &length(signature.len()),
        &signature,
    ]
    .concat()
}
