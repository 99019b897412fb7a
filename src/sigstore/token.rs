//! An identity token (OpenID Connect Core 1.0, §2), as far as whoever sends it must look into it. Whether it is true is
//! for the certificate authority to say.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;

use super::error::{Error, ErrorKind};

/// Whom the tokens are for: Fulcio's client name in every public instance.
pub const AUDIENCE: &str = "sigstore";

/// Bytes of a token: 64 KiB; GitHub's have three thousand.
pub(super) const MAX_TOKEN: usize = 64 << 10;

/// How long a token must still be valid: a request takes that long.
const LEFT: i64 = 5;

/// A token. It is a secret: whoever has it can sign in its owner's name.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    text: String,
    claims: Claims,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    #[serde(default)]
    aud: Option<Audience>,
    exp: i64,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: Option<Truth>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Some providers write `"true"`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Truth {
    Value(bool),
    Word(String),
}

impl fmt::Debug for Token {
    /// Whose it is, and never what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("iss", &self.claims.iss)
            .field("sub", &self.claims.sub)
            .finish_non_exhaustive()
    }
}

impl Token {
    /// Reads a token (RFC 7519 §3, in the compact form of RFC 7515).
    ///
    /// # Errors
    /// [`ErrorKind::Token`] where it is none, or for somebody else than a Sigstore instance. The message has nothing of
    /// the token.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let failed = |cause: &str| Error::new(ErrorKind::Token, "the identity token", cause);
        let mut parts = text.split('.');
        let (Some(_), Some(body), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(failed("is no JSON Web Token"));
        };
        if text.len() > MAX_TOKEN {
            return Err(failed(&format!("is larger than the limit of {MAX_TOKEN} bytes")));
        }
        let body =
            URL_SAFE_NO_PAD.decode(body.trim_end_matches('=')).map_err(|_| failed("is no JSON Web Token"))?;
        let claims: Claims = serde_json::from_slice(&body)
            .map_err(|_| failed("lacks a claim that every identity token has (`iss`, `sub`, `exp`)"))?;
        let is_ours = match &claims.aud {
            Some(Audience::One(audience)) => audience == AUDIENCE,
            Some(Audience::Many(audiences)) => audiences.iter().any(|audience| audience == AUDIENCE),
            None => false,
        };
        if !is_ours {
            return Err(failed(&format!("is for another audience: ask for one with audience `{AUDIENCE}`")));
        }
        if claims.email.is_some() && !claims.is_verified() {
            return Err(failed("names a mail address that the provider has not verified"));
        }
        Ok(Self { text: text.to_owned(), claims })
    }

    /// Refuses a token that has expired, or will before it can be used.
    ///
    /// # Errors
    /// [`ErrorKind::Token`].
    pub fn check_time(&self, now: Timestamp) -> Result<(), Error> {
        let left = self.claims.exp.saturating_sub(now.as_second());
        if left >= LEFT {
            return Ok(());
        }
        let message = format!("has expired (it was valid until {} seconds ago): ask for a new one", -left);
        Err(Error::new(ErrorKind::Token, "the identity token", message))
    }

    /// The token as it is sent.
    pub(super) fn secret(&self) -> &str {
        &self.text
    }

    /// What whoever asked for it called the sign-in.
    pub(super) fn nonce(&self) -> Option<&str> {
        self.claims.nonce.as_deref()
    }

    /// Who vouches for the identity.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.claims.iss
    }

    /// What a certificate request proves its key with (fulcio, docs/certificate-issuance.md): the mail address, where
    /// there is one, else the subject.
    #[must_use]
    pub fn identity(&self) -> &str {
        self.claims.email.as_deref().unwrap_or(&self.claims.sub)
    }
}

impl Claims {
    fn is_verified(&self) -> bool {
        match &self.email_verified {
            Some(Truth::Value(verified)) => *verified,
            Some(Truth::Word(word)) => word == "true",
            None => false,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn jwt(claims: &serde_json::Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn claims() -> serde_json::Value {
        serde_json::json!({"iss": "https://issuer.example", "sub": "repo:acme/app", "aud": "sigstore", "exp": 2_000})
    }

    fn with(key: &str, value: serde_json::Value) -> Result<Token, Error> {
        let mut claims = claims();
        claims[key] = value;
        Token::parse(&jwt(&claims))
    }

    #[test]
    fn the_identity_is_the_verified_mail_address_or_the_subject() {
        assert_eq!(Token::parse(&jwt(&claims())).unwrap().identity(), "repo:acme/app");
        let mut mail = claims();
        mail["email"] = "a@acme.example".into();
        assert!(Token::parse(&jwt(&mail)).is_err());
        mail["email_verified"] = "true".into();
        assert_eq!(Token::parse(&jwt(&mail)).unwrap().identity(), "a@acme.example");
        mail["email_verified"] = false.into();
        assert!(Token::parse(&jwt(&mail)).is_err());
    }

    #[test]
    fn a_token_for_somebody_else_is_not_sent() {
        assert!(with("aud", "sts.amazonaws.com".into()).unwrap_err().message.contains("audience"));
        assert!(with("aud", serde_json::Value::Null).is_err());
        assert!(with("aud", serde_json::json!(["x", "sigstore"])).is_ok());
    }

    #[test]
    fn a_token_that_has_expired_says_since_when() {
        let token = Token::parse(&jwt(&claims())).unwrap();
        assert!(token.check_time(Timestamp::from_second(1_990).unwrap()).is_ok());
        let late = token.check_time(Timestamp::from_second(2_060).unwrap()).unwrap_err();
        assert!(late.message.contains("60 seconds"), "{late}");
        assert!(token.check_time(Timestamp::from_second(1_997).unwrap()).is_err());
    }

    #[test]
    fn neither_an_error_nor_the_debug_form_shows_the_token() {
        let text = jwt(&claims());
        let token = Token::parse(&text).unwrap();
        let body = text.split('.').nth(1).unwrap();
        assert!(!format!("{token:?}").contains(body));
        for bad in ["", "secret", "a.secret", "a.secret.c.d", "a.!secret!.c"] {
            assert!(!Token::parse(bad).unwrap_err().to_string().contains("secret"), "{bad}");
        }
    }
}
