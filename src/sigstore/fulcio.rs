//! Certificates for an identity (fulcio, `fulcio.proto`, `CreateSigningCertificate`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use serde_json::{Value, json};
use sigstore_verify::crypto::KeyPair;
use sigstore_verify::types::DerCertificate;

use super::error::{Error, ErrorKind};
use super::http::{Http, Question};
use super::token::Token;

/// Bytes of an answer: 256 KiB; a chain has three certificates of a thousand.
const ANSWER: u64 = 256 << 10;

/// Certificates of a chain: 8.
const CHAIN: usize = 8;

/// A certificate and what leads from it to the root, the leaf first.
pub(super) async fn certificate(
    http: &Http,
    ca: &Url,
    token: &Token,
    key: &KeyPair,
) -> Result<Vec<DerCertificate>, Error> {
    let url = endpoint(ca, "api/v2/signingCert")?;
    let unusable = |cause: String| Error::new(ErrorKind::Settings, "the signing key", cause);
    let public = key.public_key_der().map_err(|error| unusable(error.to_string()))?.to_pem();
    // Whoever cannot sign the identity does not hold the key: nobody gets a certificate for a key of others.
    let proof = key.sign(token.identity().as_bytes()).map_err(|error| unusable(error.to_string()))?;
    let body = json!({
        "credentials": {"oidcIdentityToken": token.secret()},
        "publicKeyRequest": {
            "publicKey": {"algorithm": "", "content": public},
            "proofOfPossession": STANDARD.encode(proof.as_bytes()),
        },
    });
    let mut question =
        Question::post("Fulcio", url, "application/json", body.to_string().into_bytes(), ANSWER);
    question.secret = Some(token.secret().to_owned());
    let answer = http.ask(&question).await?;
    if !answer.status.is_success() {
        return Err(answer.refusal());
    }
    chain(&answer.json()?).map_err(|cause| Error::invalid(question.at(), cause))
}

fn chain(answer: &Value) -> Result<Vec<DerCertificate>, String> {
    // Without a signed certificate timestamp inside, no verifier takes the certificate.
    let Some(listed) = answer.pointer("/signedCertificateEmbeddedSct/chain/certificates") else {
        return Err("the answer has no certificate with a signed certificate timestamp".into());
    };
    let listed = listed.as_array().map(Vec::as_slice).unwrap_or_default();
    if listed.is_empty() || listed.len() > CHAIN {
        return Err(format!("the chain has {} certificates", listed.len()));
    }
    let read = |pem: &Value| {
        let pem = pem.as_str().ok_or("the chain has something that is no certificate")?;
        DerCertificate::from_pem(pem).map_err(|error| format!("the chain cannot be read: {error}"))
    };
    listed.iter().map(read).collect()
}

/// A path below the base URL of a service.
pub(super) fn endpoint(base: &Url, path: &str) -> Result<Url, Error> {
    let mut url = base.clone();
    let failed = || Error::new(ErrorKind::Settings, base, "is no URL of a service");
    url.path_segments_mut().map_err(|()| failed())?.pop_if_empty().extend(path.split('/'));
    Ok(url)
}
