//! Signed timestamps (RFC 3161 §3.4, over HTTP).

use reqwest::Url;
use sha2::{Digest as _, Sha256};

use super::error::Error;
use super::http::{Http, Question};

/// Bytes of an answer: 256 KiB; real ones have some thousands.
const ANSWER: u64 = 256 << 10;

/// A `TimeStampReq` (RFC 3161 §2.4.1) in DER up to the hash: version 1, SHA-256. What follows the hash is [`CERTIFICATE`].
/// There is no nonce: a signature is never made twice, so that there is no older timestamp over it to replay.
const REQUEST: [u8; 24] = [
    0x30, 0x39, 0x02, 0x01, 0x01, 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03,
    0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20,
];

/// `certReq`: the authority's certificate is to be in the answer.
const CERTIFICATE: [u8; 3] = [0x01, 0x01, 0xff];

/// A timestamp over the SHA-256 of a signature: the answer of the authority, DER. It is not verified yet.
pub(super) async fn stamp(http: &Http, tsa: &Url, signature: &[u8]) -> Result<Vec<u8>, Error> {
    let digest: [u8; 32] = Sha256::digest(signature).into();
    let body = [REQUEST.as_slice(), &digest, &CERTIFICATE].concat();
    let service = "the timestamp authority";
    let question = Question::post(service, tsa.clone(), "application/timestamp-query", body, ANSWER);
    let answer = http.ask(&question).await?;
    if answer.status.is_success() { Ok(answer.body) } else { Err(answer.refusal()) }
}
