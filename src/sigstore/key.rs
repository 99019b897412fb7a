//! Keys that somebody manages, in files as cosign writes them: `cosign.key`, a PKCS#8 key (RFC 5208) in a NaCl secretbox
//! whose key scrypt makes of a password (cosign, `pkg/cosign/keys.go`; go-securesystemslib, `encrypted`), and
//! `cosign.pub`.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_secretbox::aead::{Aead as _, KeyInit as _};
use crypto_secretbox::{Nonce, XSalsa20Poly1305};
use serde::{Deserialize, Serialize};
use sigstore_verify::crypto::KeyPair;
use zeroize::Zeroizing;

/// Bytes of a key's file: 64 KiB; real ones have 700.
pub const MAX_KEY: u64 = 64 << 10;

/// PEM labels: what cosign writes, what it wrote up to version 1, and PKCS#8 without a password.
const SIGSTORE: &str = "ENCRYPTED SIGSTORE PRIVATE KEY";
const COSIGN: &str = "ENCRYPTED COSIGN PRIVATE KEY";
const PLAIN: &str = "PRIVATE KEY";

const SCRYPT: &str = "scrypt";
const SECRETBOX: &str = "nacl/secretbox";

/// log2 of cosign's N; r and p are 8 and 1.
const COST: u8 = 16;
const BLOCK: u32 = 8;

/// What a file may demand of scrypt: 128 · N · r bytes of memory, at most 256 MiB, four times as many as cosign's, and
/// p at most 4. Attack: N = 2^40, and whoever opens the file runs out of memory.
const MEMORY: u64 = 256 << 20;
const PARALLEL: u32 = 4;

/// Bytes of a salt and of a nonce.
const SALT: usize = 32;
const NONCE: usize = 24;

/// A key that cannot be used: a lowercase fragment, with nothing of the key or the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no usable private key: {0}")]
pub struct UnusablePrivateKey(String);

/// A password. It is a secret.
#[derive(Clone)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// This text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text.into_bytes()))
    }

    /// Whether another is the same.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// A key that signs. It is a secret.
#[derive(Clone)]
pub struct PrivateKey {
    pub(super) pair: Arc<KeyPair>,
    public: String,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// The public key, PEM.
    #[must_use]
    pub fn public(&self) -> &str {
        &self.public
    }

    fn of_pkcs8(der: &[u8]) -> Result<Self, UnusablePrivateKey> {
        // What the library says of a key that it does not know is no help.
        let other = |_| unusable("it must be an ECDSA key on the curve P-256, as `generate-key` makes");
        let pair = KeyPair::from_pkcs8_der(der).map_err(other)?;
        let public = pair.public_key_der().map_err(|error| unusable(error.to_string()))?;
        let public = encode("PUBLIC KEY", public.as_bytes()).to_string();
        Ok(Self { pair: Arc::new(pair), public })
    }
}

/// A key as it stands in a file, its password not asked for yet.
pub struct KeyFile(Held);

enum Held {
    Plain(Zeroizing<Vec<u8>>),
    Sealed(Sealed),
}

/// What cosign seals a key in.
#[derive(Serialize, Deserialize)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Serialize, Deserialize)]
struct Kdf {
    name: String,
    params: Params,
    salt: String,
}

#[derive(Serialize, Deserialize)]
struct Params {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Serialize, Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_sealed() { "KeyFile(sealed)" } else { "KeyFile(plain)" })
    }
}

impl KeyFile {
    /// Reads a file: `ENCRYPTED SIGSTORE PRIVATE KEY`, `ENCRYPTED COSIGN PRIVATE KEY` or `PRIVATE KEY` in PEM
    /// (RFC 7468).
    ///
    /// # Errors
    /// It is none of these, or wants more of scrypt than is allowed.
    pub fn read(bytes: &[u8]) -> Result<Self, UnusablePrivateKey> {
        if bytes.len() as u64 > MAX_KEY {
            return Err(unusable(format!("it is larger than the limit of {MAX_KEY} bytes")));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| unusable("it is no text in PEM"))?;
        let (label, body) = pem(text)?;
        match label {
            PLAIN => Ok(Self(Held::Plain(body))),
            SIGSTORE | COSIGN => {
                let sealed: Sealed = serde_json::from_slice(&body)
                    .map_err(|_| unusable("what is in the PEM is not what cosign writes"))?;
                sealed.params()?;
                Ok(Self(Held::Sealed(sealed)))
            }
            "ENCRYPTED PRIVATE KEY" | "EC PRIVATE KEY" | "RSA PRIVATE KEY" | "OPENSSH PRIVATE KEY" => Err(
                unusable(format!("a `{label}` is not read: convert it to PKCS#8, `openssl pkcs8 -topk8`")),
            ),
            _ => Err(unusable("it is no private key")),
        }
    }

    /// Whether a password is needed.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        matches!(self.0, Held::Sealed(_))
    }

    /// The key. The password counts only where one is needed.
    ///
    /// # Errors
    /// The password is wrong or missing, or the key is of another kind than ECDSA on P-256.
    pub fn open(&self, password: Option<&Password>) -> Result<PrivateKey, UnusablePrivateKey> {
        match (&self.0, password) {
            (Held::Plain(der), _) => PrivateKey::of_pkcs8(der),
            (Held::Sealed(sealed), Some(password)) => PrivateKey::of_pkcs8(&sealed.open(password)?),
            (Held::Sealed(_), None) => Err(unusable("it needs a password")),
        }
    }
}

/// A key that was made.
pub struct Generated {
    /// The file `cosign.key`. It is a secret, though sealed.
    pub private: Zeroizing<String>,
    /// The file `cosign.pub`.
    pub public: String,
}

impl fmt::Debug for Generated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generated").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Makes a key, ECDSA on P-256, and seals it as cosign does.
///
/// # Errors
/// The system gives no random bytes.
pub fn generate(password: &Password) -> Result<Generated, UnusablePrivateKey> {
    let random = SystemRandom::new();
    let unavailable = |_| unusable("the system gives no random bytes");
    // Zeroized by the library when dropped.
    let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &random).map_err(unavailable)?;
    let public = PrivateKey::of_pkcs8(der.as_ref())?.public;
    let (mut salt, mut nonce) = ([0; SALT], [0; NONCE]);
    random.fill(&mut salt).and_then(|()| random.fill(&mut nonce)).map_err(unavailable)?;
    let params = Params { n: 1 << COST, r: BLOCK, p: 1 };
    let cipher = cipher(password, &salt, &params.checked()?)?;
    let sealed =
        cipher.encrypt(&Nonce::from(nonce), der.as_ref()).map_err(|_| unusable("it cannot be sealed"))?;
    let sealed = Sealed {
        kdf: Kdf { name: SCRYPT.to_owned(), params, salt: STANDARD.encode(salt) },
        cipher: Cipher { name: SECRETBOX.to_owned(), nonce: STANDARD.encode(nonce) },
        ciphertext: STANDARD.encode(sealed),
    };
    let body = serde_json::to_vec(&sealed).map_err(|error| unusable(error.to_string()))?;
    Ok(Generated { private: encode(SIGSTORE, &body), public })
}

/// PEM as Go writes it: lines of 64, each ended by one character.
fn encode(label: &str, bytes: &[u8]) -> Zeroizing<String> {
    let mut pem = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    for (place, character) in STANDARD.encode(bytes).chars().enumerate() {
        if place > 0 && place % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str(&format!("\n-----END {label}-----\n"));
    pem
}

impl Sealed {
    fn params(&self) -> Result<scrypt::Params, UnusablePrivateKey> {
        if self.kdf.name != SCRYPT || self.cipher.name != SECRETBOX {
            return Err(unusable(format!("it is not sealed with {SCRYPT} and {SECRETBOX}")));
        }
        self.kdf.params.checked()
    }

    fn open(&self, password: &Password) -> Result<Zeroizing<Vec<u8>>, UnusablePrivateKey> {
        let odd = || unusable("what is in the PEM is not what cosign writes");
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| odd());
        let nonce: [u8; NONCE] = decode(&self.cipher.nonce)?.try_into().map_err(|_| odd())?;
        let cipher = cipher(password, &decode(&self.kdf.salt)?, &self.params()?)?;
        let opened = cipher.decrypt(&Nonce::from(nonce), decode(&self.ciphertext)?.as_slice());
        opened.map(Zeroizing::new).map_err(|_| unusable("the password is wrong, or the file was changed"))
    }
}

impl Params {
    fn checked(&self) -> Result<scrypt::Params, UnusablePrivateKey> {
        let Self { n, r, p } = *self;
        let memory = n.checked_mul(u64::from(r)).and_then(|product| product.checked_mul(128));
        let is_allowed = memory.is_some_and(|memory| memory <= MEMORY) && p <= PARALLEL;
        if !is_allowed {
            return Err(unusable(format!(
                "it wants more of scrypt (N={n}, r={r}, p={p}) than the limit of {MEMORY} bytes and p={PARALLEL}"
            )));
        }
        let log = u8::try_from(n.trailing_zeros()).unwrap_or(u8::MAX);
        let params =
            scrypt::Params::new(log, r, p).ok().filter(|_| n > 1 && n.is_power_of_two() && r > 0 && p > 0);
        params.ok_or_else(|| unusable(format!("scrypt has no parameters N={n}, r={r}, p={p}")))
    }
}

fn cipher(
    password: &Password,
    salt: &[u8],
    params: &scrypt::Params,
) -> Result<XSalsa20Poly1305, UnusablePrivateKey> {
    let mut key = Zeroizing::new([0_u8; 32]);
    scrypt::scrypt(&password.0, salt, params, key.as_mut_slice())
        .map_err(|error| unusable(error.to_string()))?;
    XSalsa20Poly1305::new_from_slice(key.as_slice()).map_err(|error| unusable(error.to_string()))
}

/// The label and the bytes of the only block.
fn pem(text: &str) -> Result<(&str, Zeroizing<Vec<u8>>), UnusablePrivateKey> {
    let odd = || unusable("it is no text in PEM");
    // Attack: two keys in one file, of which each reader takes another.
    if text.matches("-----BEGIN").count() > 1 {
        return Err(unusable("more than one key in one file"));
    }
    let (_, rest) = text.split_once("-----BEGIN ").ok_or_else(odd)?;
    let (label, rest) = rest.split_once("-----").ok_or_else(odd)?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----")).ok_or_else(odd)?;
    let digits: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|character| !character.is_ascii_whitespace()).collect());
    let body = STANDARD.decode(digits.as_bytes()).map_err(|_| odd())?;
    Ok((label, Zeroizing::new(body)))
}

fn unusable(cause: impl Into<String>) -> UnusablePrivateKey {
    UnusablePrivateKey(cause.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::new(text.to_owned())
    }

    /// What stands in the PEM, changed, in PEM again.
    fn changed(private: &str, change: impl FnOnce(&mut serde_json::Value)) -> String {
        let (label, body) = pem(private).unwrap();
        let mut value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        change(&mut value);
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(value.to_string()))
    }

    #[test]
    fn a_key_is_opened_by_its_password_alone() {
        let made = generate(&password("secret")).unwrap();
        let file = KeyFile::read(made.private.as_bytes()).unwrap();
        assert!(file.is_sealed());
        assert_eq!(file.open(Some(&password("secret"))).unwrap().public(), made.public);
        for wrong in [None, Some(&password("Secret")), Some(&password(""))] {
            file.open(wrong).unwrap_err();
        }
        let older = made.private.replace("SIGSTORE", "COSIGN");
        assert!(KeyFile::read(older.as_bytes()).unwrap().open(Some(&password("secret"))).is_ok());
        // No two are alike, not even of one password.
        assert_ne!(generate(&password("secret")).unwrap().public, made.public);
    }

    #[test]
    fn the_form_is_cosign_s() {
        let made = generate(&password("")).unwrap();
        let (label, body) = pem(&made.private).unwrap();
        assert_eq!(label, SIGSTORE);
        let text = std::str::from_utf8(&body).unwrap();
        let head = r#"{"kdf":{"name":"scrypt","params":{"N":65536,"r":8,"p":1},"salt":""#;
        assert!(text.starts_with(head), "{text}");
        assert!(made.private.lines().all(|line| line.len() <= 64));
        assert!(made.public.starts_with("-----BEGIN PUBLIC KEY-----\n"));
    }

    #[test]
    fn parameters_that_take_a_machine_s_memory_are_refused_before_they_are_used() {
        let made = generate(&password("secret")).unwrap();
        for (n, r, p) in [
            (1_u64 << 40, 8, 1),
            (1 << 63, 8, 1),
            (1 << 19, 8, 1),
            (1 << 16, 1 << 30, 1),
            (1 << 16, 8, 1 << 20),
            (65_537, 8, 1),
            (0, 8, 1),
            (1, 8, 1),
            (1 << 16, 0, 1),
            (1 << 16, 8, 0),
        ] {
            let text = changed(&made.private, |value| {
                value["kdf"]["params"] = serde_json::json!({"N": n, "r": r, "p": p});
            });
            let error = KeyFile::read(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("scrypt"), "{n} {r} {p}: {error}");
        }
    }

    #[test]
    fn a_file_that_was_changed_is_refused() {
        let made = generate(&password("secret")).unwrap();
        let flip = |text: &str| {
            let mut bytes = STANDARD.decode(text).unwrap();
            bytes[0] ^= 1;
            serde_json::Value::from(STANDARD.encode(bytes))
        };
        type Change<'a> = &'a dyn Fn(&mut serde_json::Value);
        let changes: [Change<'_>; 5] = [
            &|value| value["ciphertext"] = flip(value["ciphertext"].as_str().unwrap()),
            &|value| value["cipher"]["nonce"] = flip(value["cipher"]["nonce"].as_str().unwrap()),
            &|value| value["kdf"]["salt"] = flip(value["kdf"]["salt"].as_str().unwrap()),
            &|value| value["cipher"]["nonce"] = "AAAA".into(),
            &|value| value["ciphertext"] = "".into(),
        ];
        for change in changes {
            let file = KeyFile::read(changed(&made.private, change).as_bytes()).unwrap();
            file.open(Some(&password("secret"))).unwrap_err();
        }
        for (path, word) in [("kdf", "argon2"), ("cipher", "aes")] {
            let text = changed(&made.private, |value| value[path]["name"] = word.into());
            KeyFile::read(text.as_bytes()).unwrap_err();
        }
    }

    #[test]
    fn a_key_without_a_password_is_read_and_others_are_named() {
        let der =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
        let text = |label: &str, der: &[u8]| {
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
        };
        let plain = text(PLAIN, der.as_ref());
        let file = KeyFile::read(plain.as_bytes()).unwrap();
        assert!(!file.is_sealed());
        file.open(None).unwrap();
        let curve = &aws_lc_rs::signature::ECDSA_P384_SHA384_ASN1_SIGNING;
        let other = EcdsaKeyPair::generate_pkcs8(curve, &SystemRandom::new()).unwrap();
        let error = KeyFile::read(text(PLAIN, other.as_ref()).as_bytes()).unwrap().open(None).unwrap_err();
        assert!(error.to_string().contains("P-256"), "{error}");
        for bad in [
            String::new(),
            "secret".to_owned(),
            text("EC PRIVATE KEY", der.as_ref()),
            text("PUBLIC KEY", der.as_ref()),
            format!("{plain}{plain}"),
            plain.replace("-----END", "----END"),
        ] {
            let error = KeyFile::read(bad.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn neither_keys_nor_passwords_are_shown() {
        let made = generate(&password("hunter2")).unwrap();
        let file = KeyFile::read(made.private.as_bytes()).unwrap();
        let opened = file.open(Some(&password("hunter2"))).unwrap();
        let shown = format!("{:?} {file:?} {opened:?} {made:?}", password("hunter2"));
        assert!(!shown.contains("hunter2") && !shown.contains("SIGSTORE") && !shown.contains("ciphertext"));
    }
}
