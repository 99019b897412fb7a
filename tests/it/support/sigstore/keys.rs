//! Keys of the services, and the look at signatures and keys of their clients.

use aws_lc_rs::digest::{Digest, SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    UnparsedPublicKey,
};

use super::der::{self, Reader, SEQUENCE};

/// What precedes the point in the `SubjectPublicKeyInfo` of a P-256 key (RFC 5480).
const P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The same of an Ed25519 key (RFC 8410).
const ED25519: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key of a service.
pub enum Key {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Key {
    pub fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    pub fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    /// The point of P-256, the 32 bytes of Ed25519.
    pub fn public(&self) -> &[u8] {
        match self {
            Self::P256(pair) => pair.public_key().as_ref(),
            Self::Ed25519(pair) => pair.public_key().as_ref(),
        }
    }

    /// `SubjectPublicKeyInfo`.
    pub fn spki(&self) -> Vec<u8> {
        let head = match self {
            Self::P256(_) => P256,
            Self::Ed25519(_) => ED25519,
        };
        [head, self.public()].concat()
    }

    /// As the trusted root names its kind.
    pub fn details(&self) -> &'static str {
        match self {
            Self::P256(_) => "PKIX_ECDSA_P256_SHA_256",
            Self::Ed25519(_) => "PKIX_ED25519",
        }
    }

    /// ECDSA over SHA-256 in DER, or Ed25519.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256(pair) => {
                pair.sign(&aws_lc_rs::rand::SystemRandom::new(), message).unwrap().as_ref().to_vec()
            }
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().unwrap()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

/// Whether an ECDSA signature of P-256 over this message is right.
pub fn verifies(spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    verifies_digest(spki, &sha256(message), signature)
}

/// Whether an ECDSA signature of P-256 over what has this SHA-256 is right.
pub fn verifies_digest(spki: &[u8], sha256: &[u8], signature: &[u8]) -> bool {
    let point = spki.strip_prefix(P256);
    let digest = Digest::import_less_safe(sha256, &SHA256).ok();
    point.zip(digest).is_some_and(|(point, digest)| {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify_digest(&digest, signature).is_ok()
    })
}

/// The key of a PEM document: a certificate's, or the key itself.
pub fn key_of_pem(pem: &str) -> Option<Vec<u8>> {
    match der::from_pem(pem, "CERTIFICATE") {
        Some(certificate) => key_of_certificate(&certificate),
        None => der::from_pem(pem, "PUBLIC KEY"),
    }
}

/// The `SubjectPublicKeyInfo` of a certificate (RFC 5280, section 4.1).
pub fn key_of_certificate(certificate: &[u8]) -> Option<Vec<u8>> {
    let outer = Reader(certificate).take(SEQUENCE)?;
    let mut fields = Reader(Reader(outer.content).take(SEQUENCE)?.content);
    fields.optional(0xa0);
    // Serial number, algorithm, issuer, validity, subject.
    for _ in 0..5 {
        fields.next()?;
    }
    Some(fields.take(SEQUENCE)?.whole.to_vec())
}

/// The key of a certificate request that it signed itself (RFC 2986).
pub fn key_of_request(request: &[u8]) -> Option<Vec<u8>> {
    let mut outer = Reader(Reader(request).take(SEQUENCE)?.content);
    let information = outer.take(SEQUENCE)?;
    outer.take(SEQUENCE)?;
    let signature = outer.take(0x03)?.content.get(1..)?;
    let mut fields = Reader(information.content);
    fields.next()?;
    fields.next()?;
    let key = fields.take(SEQUENCE)?.whole;
    verifies(key, information.whole, signature).then(|| key.to_vec())
}

/// Unforeseeable bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).unwrap();
    bytes
}
