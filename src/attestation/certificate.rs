//! Whom a signing certificate names. Nothing is verified here: anybody can make a certificate that says
//! anything, so what is read is a claim and fit for showing only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, Utf8StringRef};
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Bytes of a certificate: 64 KiB; Fulcio's have one.
pub const CERTIFICATE: usize = 64 << 10;

/// Names of one certificate that are kept: 16; Fulcio's have one.
const NAMES: usize = 16;

/// RFC 5280 §4.2.1.6, `subjectAltName`.
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// Fulcio's issuer as a DER string (fulcio, docs/oid-info.md).
const ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");
/// The same as bare bytes, in older certificates.
const OLD_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");
/// Fulcio's user name, an `otherName`.
const USER_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.7");

/// What a certificate claims.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claimed {
    /// Mail addresses, URIs and user names of `subjectAltName`.
    pub identities: Vec<String>,
    /// Who is said to have vouched for the identity, an OpenID Connect issuer.
    pub issuer: Option<String>,
}

/// Reads a certificate in DER.
///
/// # Errors
/// A lowercase fragment where the bytes are none, or too many.
pub fn read(der: &[u8]) -> Result<Claimed, String> {
    if der.len() > CERTIFICATE {
        return Err(format!("a certificate larger than the limit of {CERTIFICATE} bytes"));
    }
    let certificate = Certificate::from_der(der).map_err(|_| "no certificate".to_owned())?;
    let mut claimed = Claimed::default();
    let mut old_issuer = None;
    for extension in certificate.tbs_certificate().extensions().into_iter().flatten() {
        let value = extension.extn_value.as_bytes();
        if extension.extn_id == SUBJECT_ALT_NAME {
            let names = SubjectAltName::from_der(value)
                .map_err(|_| "a certificate whose names cannot be read".to_owned())?;
            claimed.identities.extend(names.0.iter().take(NAMES).filter_map(identity));
        } else if extension.extn_id == ISSUER {
            let issuer = Utf8StringRef::from_der(value)
                .map_err(|_| "a certificate whose issuer cannot be read".to_owned())?;
            claimed.issuer = Some(issuer.as_str().to_owned());
        } else if extension.extn_id == OLD_ISSUER {
            old_issuer = std::str::from_utf8(value).ok().map(str::to_owned);
        }
    }
    claimed.issuer = claimed.issuer.or(old_issuer);
    Ok(claimed)
}

/// Reads the first certificate of a text in PEM (RFC 7468 §5).
///
/// # Errors
/// As [`read`].
pub fn read_pem(pem: &str) -> Result<Claimed, String> {
    // Four characters stand for three bytes, and lines end.
    if pem.len() > CERTIFICATE * 4 {
        return Err(format!("a certificate larger than the limit of {CERTIFICATE} bytes"));
    }
    let body = pem
        .split_once("-----BEGIN CERTIFICATE-----")
        .and_then(|(_, rest)| rest.split_once("-----END CERTIFICATE-----"))
        .ok_or("no certificate in PEM")?
        .0;
    let digits: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    read(&STANDARD.decode(digits).map_err(|_| "no certificate in PEM")?)
}

fn identity(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::Rfc822Name(mail) => Some(mail.as_str().to_owned()),
        GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str().to_owned()),
        GeneralName::OtherName(other) if other.type_id == USER_NAME => {
            let der = other.value.to_der().ok()?;
            Some(Utf8StringRef::from_der(&der).ok()?.as_str().to_owned())
        }
        GeneralName::OtherName(_)
        | GeneralName::DnsName(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EdiPartyName(_)
        | GeneralName::IpAddress(_)
        | GeneralName::RegisteredId(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_is_no_certificate() {
        for bad in [&b""[..], b"\x30", b"\x30\x82\xff\xff", &[0x30; 70_000], b"\x30\x84\xff\xff\xff\xff\x00"]
        {
            assert!(read(bad).is_err());
        }
        for bad in
            ["", "-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nAA=\n-----END CERTIFICATE-----"]
        {
            assert!(read_pem(bad).is_err());
        }
    }
}
