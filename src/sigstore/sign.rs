//! Signing: one certificate for a run, an entry and a timestamp for every signature.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::{try_join, try_join_all};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use sigstore_verify::crypto::{KeyPair, parse_certificate_info};
use sigstore_verify::types::dsse::{DsseSignature, pae};
use sigstore_verify::types::{DerCertificate, DsseEnvelope, KeyId, PayloadBytes, Sha256Hash};

use super::ambient::Provider;
use super::config::{Log, Services};
use super::error::{Error, ErrorKind};
use super::http::Http;
use super::key::PrivateKey;
use super::person::Person;
use super::rekor::{self, Entry, LARGE, Signed, Verifier};
use super::token::Token;
use super::{fulcio, timestamp};

/// Media type of what is made (sigstore/protobuf-specs, `sigstore_bundle.proto`).
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// Media type of a statement inside of an envelope (in-toto attestation framework, "Envelope").
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// How long a certificate must still be valid for another signature to be made with it, in seconds. The log's time must lie
/// within, and a log may take a while.
const LEFT: i64 = 120;

/// How often another signature is made of the same, where a log took one and its answer was lost: 4.
const TRIES: u32 = 4;

/// Who signs.
#[derive(Clone)]
pub enum Credentials {
    /// Whoever has this identity token.
    Token(Token),
    /// The job of a CI system, which is asked for a token when one is needed.
    Ambient(Provider),
    /// Somebody who signs in when a token is needed.
    Person(Person),
    /// Whoever has this key.
    Key(PrivateKey),
}

/// What is to be signed.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// An in-toto statement, its JSON.
    Statement(&'a [u8]),
    /// Bytes of this SHA-256.
    Message(&'a [u8; 32]),
}

/// Makes signatures.
pub(super) struct Signer {
    pub(super) http: Http,
    pub(super) services: Services,
    pub(super) credentials: Credentials,
    pub(super) clock: fn() -> Timestamp,
    /// The key and the certificate of the run.
    certified: tokio::sync::Mutex<Option<Certified>>,
}

/// A key, and the certificate for it.
#[derive(Clone)]
struct Certified {
    key: Arc<KeyPair>,
    certificate: DerCertificate,
    /// Seconds since 1970.
    not_after: i64,
}

/// Who made a signature, as logs and bundles name it.
struct Maker {
    key: Arc<KeyPair>,
    /// DER and PEM of the certificate, or of the public key where there is none.
    der: Vec<u8>,
    pem: String,
    is_certificate: bool,
    /// Until when the certificate is valid, in seconds since 1970.
    not_after: Option<i64>,
}

/// A signature that was made and is in no log yet.
struct Made {
    signature: Vec<u8>,
    /// The envelope; none of a message.
    envelope: Option<DsseEnvelope>,
    /// SHA-256 of what was signed.
    digest: [u8; 32],
}

impl Credentials {
    async fn token(&self, http: &Http) -> Result<Token, Error> {
        match self {
            Self::Token(token) => Ok(token.clone()),
            Self::Ambient(provider) => provider.token(http).await,
            Self::Person(person) => person.token(http).await,
            Self::Key(_) => {
                let message = "a key of one's own needs no identity token";
                Err(Error::new(ErrorKind::Token, "the identity token", message))
            }
        }
    }
}

impl Signer {
    pub(super) fn new(
        http: Http,
        services: Services,
        credentials: Credentials,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self { http, services, credentials, clock, certified: tokio::sync::Mutex::new(None) }
    }

    /// Signs, enters the signature into every log and has it stamped. The bundle, JSON; it is not verified yet.
    pub(super) async fn sign(&self, content: Content<'_>) -> Result<Vec<u8>, Error> {
        for _ in 1..TRIES {
            match self.sign_once(content).await {
                Err(error) if matches!(error.kind, ErrorKind::Entered | ErrorKind::RanOut) => {}
                done => return done,
            }
        }
        self.sign_once(content).await
    }

    async fn sign_once(&self, content: Content<'_>) -> Result<Vec<u8>, Error> {
        let maker = self.maker().await?;
        let signed = self.sign_as(&maker, content).await?;
        // A log that was down for a while took the entry too late: no verifier would accept it.
        if maker.not_after.is_some_and(|not_after| not_after <= (self.clock)().as_second()) {
            let message = "ran out before the log had taken the entry: try again when the log answers";
            return Err(Error::new(ErrorKind::RanOut, "the certificate", message));
        }
        Ok(signed)
    }

    async fn sign_as(&self, maker: &Maker, content: Content<'_>) -> Result<Vec<u8>, Error> {
        let made = make(&maker.key, content)?;
        let envelope = made.envelope.as_ref().map(serde_json::to_string).transpose();
        let envelope = envelope.map_err(|error| Error::invalid("the envelope", error.to_string()))?;
        let entries = self.enter(maker, &made, envelope.as_deref());
        let tsas = &self.services.tsas;
        let stamps = tsas.iter().map(|tsa| timestamp::stamp(&self.http, tsa, &made.signature));
        let (entries, stamps) = try_join(entries, try_join_all(stamps)).await?;
        let stamps: Vec<Value> =
            stamps.iter().map(|stamp| json!({"signedTimestamp": STANDARD.encode(stamp)})).collect();
        bundle(maker, &made, &entries, &stamps)
    }

    /// Enters a signature into the logs; into those that take anything where it is too large for the others.
    async fn enter(&self, maker: &Maker, made: &Made, envelope: Option<&str>) -> Result<Vec<Value>, Error> {
        let Services { logs, large, .. } = &self.services;
        let is_large = envelope.is_some_and(|envelope| envelope.len() > LARGE);
        if is_large && !large.is_empty() {
            return self.enter_all(large, maker, made, envelope).await;
        }
        match self.enter_all(logs, maker, made, envelope).await {
            Err(error) if error.kind == ErrorKind::TooLarge && !large.is_empty() => {
                self.enter_all(large, maker, made, envelope).await
            }
            Err(error) if error.kind == ErrorKind::TooLarge => {
                let message = format!(
                    "{}: a log of version 2 takes it; name a signing configuration that has one",
                    error.message
                );
                Err(Error { message, ..error })
            }
            entered => entered,
        }
    }

    async fn enter_all(
        &self,
        logs: &[Log],
        maker: &Maker,
        made: &Made,
        envelope: Option<&str>,
    ) -> Result<Vec<Value>, Error> {
        let entry = Entry {
            signed: match envelope {
                Some(envelope) => Signed::Envelope(envelope, &made.digest),
                None => Signed::Message(&made.digest),
            },
            signature: &made.signature,
            verifier: if maker.is_certificate {
                Verifier::Certificate(&maker.der, &maker.pem)
            } else {
                Verifier::Key(&maker.der, &maker.pem)
            },
        };
        try_join_all(logs.iter().map(|log| rekor::enter(&self.http, log, &entry))).await
    }

    /// The key to sign with. Keyless, all signatures of a run are made with one certificate, until it runs out.
    async fn maker(&self) -> Result<Maker, Error> {
        let keyless = match &self.credentials {
            Credentials::Key(key) => return key_maker(&key.pair),
            keyless @ (Credentials::Token(_) | Credentials::Ambient(_) | Credentials::Person(_)) => keyless,
        };
        let mut held = self.certified.lock().await;
        let is_fresh = |held: &Certified| held.not_after - (self.clock)().as_second() >= LEFT;
        let certified = match held.as_ref().filter(|held| is_fresh(held)) {
            Some(certified) => certified.clone(),
            None => {
                let token = keyless.token(&self.http).await?;
                token.check_time((self.clock)())?;
                let certified = self.certify(&token).await?;
                *held = Some(certified.clone());
                certified
            }
        };
        let Certified { key, certificate, not_after } = certified;
        let (der, pem) = (certificate.as_bytes().to_vec(), certificate.to_pem());
        Ok(Maker { key, der, pem, is_certificate: true, not_after: Some(not_after) })
    }

    /// The certificate of the run, DER.
    pub(super) async fn certificate(&self) -> Result<Vec<u8>, Error> {
        let maker = self.maker().await?;
        if maker.is_certificate {
            return Ok(maker.der);
        }
        Err(Error::new(ErrorKind::Settings, "the signing key", "a key of one's own has no certificate"))
    }

    async fn certify(&self, token: &Token) -> Result<Certified, Error> {
        let failed =
            |error: &dyn ToString| Error::new(ErrorKind::Settings, "the signing key", error.to_string());
        let key = KeyPair::generate_ecdsa_p256().map_err(|error| failed(&error))?;
        let chain = fulcio::certificate(&self.http, &self.services.ca, token, &key).await?;
        let invalid = |cause: &str| Error::invalid(&self.services.ca, cause);
        let certificate = chain.into_iter().next().ok_or_else(|| invalid("the chain is empty"))?;
        let info = parse_certificate_info(&certificate)
            .map_err(|error| invalid(&format!("the certificate cannot be read: {error}")))?;
        let own = key.public_key_der().map_err(|error| failed(&error))?;
        // Attack, or a proxy that mixes up answers: a certificate for another key.
        if info.public_key != own {
            return Err(invalid("the certificate is for another key"));
        }
        Ok(Certified { key: Arc::new(key), certificate, not_after: info.not_after.as_second() })
    }
}

fn key_maker(key: &Arc<KeyPair>) -> Result<Maker, Error> {
    let public = key.public_key_der();
    let public =
        public.map_err(|error| Error::new(ErrorKind::Settings, "the signing key", error.to_string()))?;
    let (der, pem) = (public.as_bytes().to_vec(), public.to_pem());
    Ok(Maker { key: Arc::clone(key), der, pem, is_certificate: false, not_after: None })
}

/// Signs, with nobody else.
fn make(key: &KeyPair, content: Content<'_>) -> Result<Made, Error> {
    let failed = |error: &dyn ToString| Error::new(ErrorKind::Settings, "the signing key", error.to_string());
    match content {
        Content::Message(digest) => {
            let signature = key.sign_digest(&Sha256Hash::from(*digest)).map_err(|error| failed(&error))?;
            Ok(Made { signature: signature.into_bytes(), envelope: None, digest: *digest })
        }
        Content::Statement(statement) => {
            let encoded = pae(PAYLOAD_TYPE, statement);
            let signature = key.sign(&encoded).map_err(|error| failed(&error))?;
            let signed = DsseSignature::new(signature.clone(), KeyId::default());
            let envelope = DsseEnvelope::new(PAYLOAD_TYPE, PayloadBytes::from_bytes(statement), signed);
            let digest = Sha256::digest(&encoded).into();
            Ok(Made { signature: signature.into_bytes(), envelope: Some(envelope), digest })
        }
    }
}

/// The bundle of a signature (`sigstore_bundle.proto`).
fn bundle(maker: &Maker, made: &Made, entries: &[Value], stamps: &[Value]) -> Result<Vec<u8>, Error> {
    let (key, value) = if maker.is_certificate {
        ("certificate", json!({"rawBytes": STANDARD.encode(&maker.der)}))
    } else {
        // As cosign does: verifiers find the key by it, and trust nothing of it.
        ("publicKey", json!({"hint": STANDARD.encode(Sha256::digest(&maker.der))}))
    };
    let mut material = Map::from_iter([(key.to_owned(), value), ("tlogEntries".to_owned(), entries.into())]);
    if !stamps.is_empty() {
        material.insert("timestampVerificationData".to_owned(), json!({"rfc3161Timestamps": stamps}));
    }
    let invalid = |error: serde_json::Error| Error::invalid("the bundle", error.to_string());
    let (key, content) = match &made.envelope {
        Some(envelope) => ("dsseEnvelope", serde_json::to_value(envelope).map_err(invalid)?),
        None => (
            "messageSignature",
            json!({
                "messageDigest": {"algorithm": "SHA2_256", "digest": STANDARD.encode(made.digest)},
                "signature": STANDARD.encode(&made.signature),
            }),
        ),
    };
    let bundle = json!({"mediaType": BUNDLE, "verificationMaterial": material, key: content});
    serde_json::to_vec(&bundle).map_err(invalid)
}
