//! Certificates of the services' authorities (RFC 5280).

use super::der::{bits, integer, number, octets, oid, sequence, set, tagged, tlv, utc, utf8, yes};
use super::keys::{Key, random, sha256};

const ECDSA_WITH_SHA256: &str = "1.2.840.10045.4.3.2";
pub const CODE_SIGNING: &str = "1.3.6.1.5.5.7.3.3";
pub const TIME_STAMPING: &str = "1.3.6.1.5.5.7.3.8";

/// A certificate that is to be signed.
pub struct Draft {
    /// A `Name`.
    pub subject: Vec<u8>,
    /// `SubjectPublicKeyInfo`.
    pub key: Vec<u8>,
    /// Seconds since 1970.
    pub not_before: i64,
    pub not_after: i64,
    /// Each a whole `Extension`.
    pub extensions: Vec<Vec<u8>>,
    serial: [u8; 16],
}

/// An authority: a certificate and its key.
pub struct Authority {
    pub der: Vec<u8>,
    pub subject: Vec<u8>,
    pub key: Key,
}

/// `AlgorithmIdentifier` of ECDSA over SHA-256.
pub fn ecdsa_with_sha256() -> Vec<u8> {
    sequence(&[oid(ECDSA_WITH_SHA256)])
}

/// A `Name` of an organization and a common name.
pub fn name(organization: &str, common: &str) -> Vec<u8> {
    let part = |kind: &str, text: &str| set(vec![sequence(&[oid(kind), utf8(text)])]);
    sequence(&[part("2.5.4.10", organization), part("2.5.4.3", common)])
}

pub fn extension(kind: &str, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { yes() } else { Vec::new() };
    sequence(&[oid(kind), critical, octets(value)])
}

/// `SubjectKeyIdentifier` of a key: the start of its SHA-256 (RFC 7093).
fn key_id(spki: &[u8]) -> Vec<u8> {
    sha256(spki)[..20].to_vec()
}

pub fn key_usage(critical_bits: u8) -> Vec<u8> {
    let unused = critical_bits.trailing_zeros() as u8;
    extension("2.5.29.15", true, &tlv(0x03, &[unused, critical_bits]))
}

pub fn extended_key_usage(critical: bool, usage: &str) -> Vec<u8> {
    extension("2.5.29.37", critical, &sequence(&[oid(usage)]))
}

impl Draft {
    pub fn new(subject: Vec<u8>, key: Vec<u8>, not_before: i64, not_after: i64) -> Self {
        let mut serial = random();
        serial[0] = serial[0] & 0x7f | 0x40;
        let identifier = extension("2.5.29.14", false, &octets(&key_id(&key)));
        Self { subject, key, not_before, not_after, extensions: vec![identifier], serial }
    }

    /// Says by whom it will be signed.
    pub fn issued_by(mut self, issuer: &Authority) -> Self {
        let id = sequence(&[tlv(0x80, &key_id(&issuer.key.spki()))]);
        self.extensions.push(extension("2.5.29.35", false, &id));
        self
    }

    pub fn with(mut self, extension: Vec<u8>) -> Self {
        self.extensions.push(extension);
        self
    }

    /// `TBSCertificate`.
    pub fn to_be_signed(&self, issuer: &[u8]) -> Vec<u8> {
        sequence(&[
            tagged(0, &number(2)),
            integer(&self.serial),
            ecdsa_with_sha256(),
            issuer.to_vec(),
            sequence(&[utc(self.not_before), utc(self.not_after)]),
            self.subject.clone(),
            self.key.clone(),
            tagged(3, &sequence(&self.extensions)),
        ])
    }

    pub fn signed(&self, issuer: &[u8], key: &Key) -> Vec<u8> {
        let body = self.to_be_signed(issuer);
        let signature = key.sign(&body);
        sequence(&[body, ecdsa_with_sha256(), bits(&signature)])
    }

    /// `IssuerAndSerialNumber` (RFC 5652, section 10.2.4).
    pub fn issuer_and_serial(&self, issuer: &[u8]) -> Vec<u8> {
        sequence(&[issuer.to_vec(), integer(&self.serial)])
    }
}

impl Authority {
    /// A root, valid for ten years from a day ago.
    pub fn root(subject: Vec<u8>, now: i64) -> Self {
        let key = Key::p256();
        let draft = Draft::new(subject.clone(), key.spki(), now - DAY, now + 3650 * DAY)
            .with(extension("2.5.29.19", true, &sequence(&[yes()])))
            .with(key_usage(CERTIFICATES));
        Self { der: draft.signed(&subject, &key), subject, key }
    }

    /// An authority below, which may sign certificates for this use.
    pub fn intermediate(&self, subject: Vec<u8>, usage: &str, now: i64) -> Self {
        let key = Key::p256();
        let draft = Draft::new(subject.clone(), key.spki(), now - DAY, now + 3650 * DAY)
            .issued_by(self)
            .with(extension("2.5.29.19", true, &sequence(&[yes(), number(0)])))
            .with(key_usage(CERTIFICATES))
            .with(extended_key_usage(false, usage));
        Self { der: draft.signed(&self.subject, &self.key), subject, key }
    }
}

pub const DAY: i64 = 86_400;
/// Key usage: `keyCertSign` and `cRLSign`.
const CERTIFICATES: u8 = 0x06;
/// Key usage: `digitalSignature`.
pub const SIGNATURES: u8 = 0x80;
