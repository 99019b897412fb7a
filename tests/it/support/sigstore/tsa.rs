//! A timestamp authority (RFC 3161).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::registry::http::{Reply, Request};
use super::certificate::{
    Authority, DAY, Draft, SIGNATURES, TIME_STAMPING, ecdsa_with_sha256, extended_key_usage, key_usage, name,
};
use super::der::{
    INTEGER, OCTETS, OID, Reader, SEQUENCE, generalized, number, octets, oid, sequence, set, tagged, tlv,
    utc, utf8,
};
use super::keys::{Key, random, sha256};
use super::service::{Context, Lie, refusal};

const POLICY: &str = "1.3.6.1.4.1.57264.2";
const TST_INFO: &str = "1.2.840.113549.1.9.16.1.4";
const SHA256: &str = "2.16.840.1.101.3.4.2.1";
const MIB: usize = 1024 * 1024;

/// The authority's key and certificates.
pub struct Stamper {
    key: Key,
    /// `IssuerAndSerialNumber`.
    id: Vec<u8>,
    /// The leaf, its issuer, the root.
    pub chain: Vec<Vec<u8>>,
}

impl Stamper {
    pub fn new(now: i64) -> Self {
        let root = Authority::root(name("sigstore.test", "tsa root"), now);
        let issuer = root.intermediate(name("sigstore.test", "tsa intermediate"), TIME_STAMPING, now);
        let key = Key::p256();
        let draft = Draft::new(name("sigstore.test", "tsa"), key.spki(), now - DAY, now + 3650 * DAY)
            .issued_by(&issuer)
            .with(key_usage(SIGNATURES))
            .with(extended_key_usage(true, TIME_STAMPING));
        let leaf = draft.signed(&issuer.subject, &issuer.key);
        let id = draft.issuer_and_serial(&issuer.subject);
        Self { key, id, chain: vec![leaf, issuer.der, root.der] }
    }
}

/// What is asked for (`TimeStampReq`).
struct Query {
    /// `MessageImprint`, whole.
    imprint: Vec<u8>,
    /// `INTEGER`, whole.
    nonce: Vec<u8>,
    certificate: bool,
}

fn parse(bytes: &[u8]) -> Option<Query> {
    let mut fields = Reader(Reader(bytes).take(SEQUENCE)?.content);
    fields.take(INTEGER)?;
    let imprint = fields.take(SEQUENCE)?;
    let mut parts = Reader(imprint.content);
    let algorithm = Reader(parts.take(SEQUENCE)?.content).take(OID)?;
    let digest = parts.take(OCTETS)?;
    if algorithm.whole != oid(SHA256) || digest.content.len() != 32 {
        return None;
    }
    fields.optional(OID);
    let nonce = fields.optional(INTEGER).map(|nonce| nonce.whole.to_vec()).unwrap_or_default();
    let certificate = fields.optional(0x01).is_some_and(|asked| asked.content == [0xff]);
    Some(Query { imprint: imprint.whole.to_vec(), nonce, certificate })
}

/// The same as the authority's own JSON, which the JavaScript client sends.
fn parse_json(bytes: &[u8]) -> Option<Query> {
    let asked: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let digest = STANDARD.decode(asked["artifactHash"].as_str()?).ok().filter(|digest| digest.len() == 32)?;
    if asked["hashAlgorithm"] != "sha256" {
        return None;
    }
    let imprint = sequence(&[sequence(&[oid(SHA256)]), octets(&digest)]);
    let nonce = asked["nonce"].as_u64().map(number).unwrap_or_default();
    Some(Query { imprint, nonce, certificate: asked["certificates"] == true })
}

pub fn answer(stamper: &Stamper, request: &Request, context: &Context<'_>) -> Reply {
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/api/v1/timestamp") => {
            let query = match request.header("content-type") {
                Some("application/timestamp-query") => parse(&request.body),
                Some("application/json") => parse_json(&request.body),
                _ => return refusal(415, "unsupported media type"),
            };
            let Some(query) = query.filter(|_| request.body.len() < MIB) else {
                return refusal(400, "Error generating timestamp response: bad request");
            };
            Reply::new(201, respond(stamper, query, context))
                .with("content-type", "application/timestamp-reply")
        }
        ("GET", "/api/v1/timestamp/certchain") => {
            let chain: Vec<String> =
                stamper.chain.iter().map(|der| super::der::to_pem(der, "CERTIFICATE")).collect();
            Reply::new(200, chain.concat().into_bytes())
                .with("content-type", "application/pem-certificate-chain")
        }
        _ => refusal(404, "path not found"),
    }
}

/// `TimeStampResp`.
fn respond(stamper: &Stamper, mut query: Query, context: &Context<'_>) -> Vec<u8> {
    let lies = context.lies();
    if lies.contains(&Lie::Rejected) {
        return sequence(&[sequence(&[number(2), sequence(&[utf8("the authority does not want to")])])]);
    }
    if lies.contains(&Lie::Nonce) {
        query.nonce = super::der::integer(&random::<8>());
    }
    if lies.contains(&Lie::Imprint) {
        query.imprint = sequence(&[sequence(&[oid(SHA256)]), octets(&sha256(b"another signature"))]);
    }
    let policy = if lies.contains(&Lie::Policy) { "1.3.6.1.4.1.57264.3" } else { POLICY };
    let time = if lies.contains(&Lie::Fraction) {
        let whole = generalized(context.now);
        let text = String::from_utf8(whole[2..whole.len() - 1].to_vec()).unwrap();
        tlv(0x18, format!("{text}.120Z").as_bytes())
    } else {
        generalized(context.now)
    };
    let info = sequence(&[
        number(1),
        oid(policy),
        query.imprint,
        super::der::integer(&random::<12>()),
        time,
        sequence(&[number(1)]),
        query.nonce,
    ]);
    let key = lies.contains(&Lie::TsaKey).then(Key::p256);
    let certificates: &[Vec<u8>] = if query.certificate { &stamper.chain[..1] } else { &[] };
    let token = signed_data(stamper, key.as_ref().unwrap_or(&stamper.key), &info, certificates, context.now);
    sequence(&[sequence(&[number(0)]), token])
}

/// `ContentInfo` of `SignedData` (RFC 5652, sections 3 and 5).
fn signed_data(stamper: &Stamper, key: &Key, info: &[u8], certificates: &[Vec<u8>], now: i64) -> Vec<u8> {
    let attribute = |kind: &str, value: Vec<u8>| sequence(&[oid(kind), set(vec![value])]);
    let certificate = sequence(&[sequence(&[sequence(&[octets(&sha256(&stamper.chain[0]))])])]);
    let attributes = set(vec![
        attribute("1.2.840.113549.1.9.3", oid(TST_INFO)),
        attribute("1.2.840.113549.1.9.5", utc(now)),
        attribute("1.2.840.113549.1.9.4", octets(&sha256(info))),
        attribute("1.2.840.113549.1.9.16.2.47", certificate),
    ]);
    let signature = key.sign(&attributes);
    let digest = sequence(&[oid(SHA256)]);
    // Signed as a SET, sent as [0].
    let content = Reader(&attributes).next().unwrap().content;
    let signer = sequence(&[
        number(1),
        stamper.id.clone(),
        digest.clone(),
        tagged(0, content),
        ecdsa_with_sha256(),
        octets(&signature),
    ]);
    let certificates = if certificates.is_empty() { Vec::new() } else { tagged(0, &certificates.concat()) };
    let data = sequence(&[
        number(3),
        set(vec![digest]),
        sequence(&[oid(TST_INFO), tagged(0, &octets(info))]),
        certificates,
        set(vec![signer]),
    ]);
    sequence(&[oid("1.2.840.113549.1.7.2"), tagged(0, &data)])
}
