//! Whom a signing certificate names. Nothing is verified here: anybody can make a certificate that says
//! anything, so what is read is a claim and fit for showing only.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, Utf8StringRef};
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::model::signer::{Claim, Name, Signer};

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
/// The object identifier below which Fulcio's claims are.
const FULCIO: [u32; 8] = [1, 3, 6, 1, 4, 1, 57_264, 1];
/// Fulcio's user name, an `otherName`.
const USER_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.7");

const UNREADABLE_ISSUER: &str = "a certificate whose issuer cannot be read";

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
    let certificate = parse(der)?;
    let mut claimed = Claimed::default();
    let (mut old_issuer, mut seen) = (None, Vec::new());
    for extension in certificate.tbs_certificate().extensions().into_iter().flatten() {
        // Attack: an issuer twice, of which the one is shown that nobody verified.
        if seen.contains(&extension.extn_id) {
            return Err(format!("a certificate with the extension {} twice", extension.extn_id));
        }
        seen.push(extension.extn_id);
        if extension.extn_id == SUBJECT_ALT_NAME {
            let names = names(extension)?;
            let known = names.0.iter().take(NAMES).filter_map(identity);
            claimed.identities.extend(known.map(|name| name.as_str().to_owned()));
        } else if extension.extn_id == ISSUER {
            claimed.issuer = Some(issuer(extension)?);
        } else if extension.extn_id == OLD_ISSUER {
            // Attack: an issuer that is no text, shown as if nobody had vouched.
            old_issuer = Some(bare(extension.extn_value.as_bytes()).ok_or(UNREADABLE_ISSUER)?);
        }
    }
    claimed.issuer = one_issuer(claimed.issuer, old_issuer)?;
    Ok(claimed)
}

/// Reads of a certificate in DER whom it was issued to. Stricter than [`read`], since something is concluded from
/// it: one name, no extension twice, and every claim of Fulcio legible.
///
/// # Errors
/// A lowercase fragment.
pub fn holder(der: &[u8]) -> Result<Signer, String> {
    let certificate = parse(der)?;
    let mut seen = Vec::new();
    let (mut name, mut new_issuer, mut old_issuer, mut claims) = (None, None, None, BTreeMap::new());
    for extension in certificate.tbs_certificate().extensions().into_iter().flatten() {
        // Attack: a claim twice, of which two readers take one each.
        if seen.contains(&extension.extn_id) {
            return Err(format!("a certificate with the extension {} twice", extension.extn_id));
        }
        seen.push(extension.extn_id);
        let bytes = extension.extn_value.as_bytes();
        if extension.extn_id == SUBJECT_ALT_NAME {
            // Attack: a second name beside the one that was proved. Fulcio writes one.
            let [only] = names(extension)?.0.try_into().map_err(|names: Vec<GeneralName>| {
                format!("a certificate with {} names, where one is expected", names.len())
            })?;
            name = Some(identity(&only).ok_or("a certificate whose name is of no kind that Fulcio writes")?);
        } else if extension.extn_id == ISSUER {
            new_issuer = Some(issuer(extension)?);
        } else if extension.extn_id == OLD_ISSUER {
            old_issuer = Some(bare(bytes).ok_or(UNREADABLE_ISSUER)?);
        } else if let Some(claim) = claim_of(&extension.extn_id) {
            let bare_string = claim.number() < 8;
            let text = if bare_string { bare(bytes) } else { utf8(bytes) };
            let text = text.ok_or_else(|| format!("a certificate whose claim `{claim}` cannot be read"))?;
            claims.insert(claim, text);
        }
    }
    let name = name.ok_or("a certificate that names nobody")?;
    Ok(Signer { name, issuer: one_issuer(new_issuer, old_issuer)?, claims })
}

/// The issuer of both extensions, which must not differ.
///
/// Attack: one issuer for readers of the old extension, another for those of the new.
fn one_issuer(new: Option<String>, old: Option<String>) -> Result<Option<String>, String> {
    match (&new, &old) {
        (Some(new), Some(old)) if new != old => Err("a certificate with two issuers".to_owned()),
        _ => Ok(new.or(old)),
    }
}

fn parse(der: &[u8]) -> Result<Certificate, String> {
    if der.len() > CERTIFICATE {
        return Err(format!("a certificate larger than the limit of {CERTIFICATE} bytes"));
    }
    Certificate::from_der(der).map_err(|_| "no certificate".to_owned())
}

fn names(extension: &Extension) -> Result<SubjectAltName, String> {
    SubjectAltName::from_der(extension.extn_value.as_bytes())
        .map_err(|_| "a certificate whose names cannot be read".to_owned())
}

fn issuer(extension: &Extension) -> Result<String, String> {
    utf8(extension.extn_value.as_bytes()).ok_or_else(|| UNREADABLE_ISSUER.to_owned())
}

fn claim_of(id: &ObjectIdentifier) -> Option<Claim> {
    let mut arcs = id.arcs();
    let below_fulcio = FULCIO.iter().all(|arc| arcs.next() == Some(*arc));
    let number = arcs.next().filter(|_| below_fulcio && arcs.next().is_none())?;
    Claim::ALL.iter().copied().find(|claim| claim.number() == number)
}

/// A text in DER, as extensions from `.8` on have it.
fn utf8(der: &[u8]) -> Option<String> {
    Utf8StringRef::from_der(der).ok().map(|text| text.as_str().to_owned())
}

/// A text without anything around it, as the deprecated extensions have it.
fn bare(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
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

fn identity(name: &GeneralName) -> Option<Name> {
    match name {
        GeneralName::Rfc822Name(mail) => Some(Name::Mail(mail.as_str().to_owned())),
        GeneralName::UniformResourceIdentifier(uri) => Some(Name::Uri(uri.as_str().to_owned())),
        GeneralName::OtherName(other) if other.type_id == USER_NAME => {
            utf8(&other.value.to_der().ok()?).map(Name::User)
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
    use rcgen::{CertificateParams, CustomExtension, KeyPair, SanType};

    use super::*;

    /// A certificate with these names, and these extensions of Fulcio.
    fn issued(names: &[SanType], extensions: &[(u64, &[u8])]) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names.to_vec();
        for (number, content) in extensions {
            let oid = [1, 3, 6, 1, 4, 1, 57264, 1, *number];
            params.custom_extensions.push(CustomExtension::from_oid_content(&oid, content.to_vec()));
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    #[test]
    fn a_holder_has_its_name_issuer_and_claims() {
        let der = issued(&[uri("u:r")], &[(1, b"i"), (6, b"main"), (8, b"\x0c\x01i"), (20, b"\x0c\x04push")]);
        let read = holder(&der).unwrap();
        assert_eq!((read.name, read.issuer.as_deref()), (Name::Uri("u:r".into()), Some("i")));
        let claims = [(Claim::GithubWorkflowRef, "main".into()), (Claim::BuildTrigger, "push".into())];
        assert_eq!(read.claims, BTreeMap::from(claims));
        let mail = issued(&[SanType::Rfc822Name("a@b.c".try_into().unwrap())], &[(1, b"i")]);
        assert_eq!(holder(&mail).unwrap().name, Name::Mail("a@b.c".into()));
    }

    #[test]
    fn a_certificate_that_two_readers_may_read_differently_names_nobody() {
        let dns = SanType::DnsName("a.example".try_into().unwrap());
        for (names, extensions) in [
            (&[][..], &[][..]),
            (&[uri("u:a"), uri("u:b")], &[]),
            (&[uri("u:a"), dns.clone()], &[]),
            (&[dns], &[]),
            (&[uri("u:a")], &[(20, &b"\x0c\x01a"[..]), (20, b"\x0c\x01b")]),
            (&[uri("u:a")], &[(20, b"push")]),
            (&[uri("u:a")], &[(6, b"\xff")]),
            (&[uri("u:a")], &[(8, b"i")]),
            (&[uri("u:a")], &[(1, b"i"), (8, b"\x0c\x01j")]),
        ] {
            assert!(holder(&issued(names, extensions)).is_err(), "{names:?} {extensions:?}");
        }
    }

    #[test]
    fn an_issuer_that_is_no_text_or_two_makes_a_certificate_malformed() {
        let issuer = |extensions: &[(u64, &[u8])]| read(&issued(&[uri("u:a")], extensions));
        assert_eq!(issuer(&[(1, b"i")]).unwrap().issuer.as_deref(), Some("i"));
        assert_eq!(issuer(&[]).unwrap().issuer, None);
        for extensions in [
            &[(1, &b"\xff"[..])][..],
            &[(1, b"\xff"), (8, b"\x0c\x01i")],
            &[(8, b"\x0c\x01\xff")],
            &[(1, b"i"), (8, b"\x0c\x01j")],
            &[(8, b"\x0c\x01i"), (8, b"\x0c\x01j")],
        ] {
            assert!(issuer(extensions).is_err(), "{extensions:?}");
            assert!(holder(&issued(&[uri("u:a")], extensions)).is_err(), "{extensions:?}");
        }
    }

    #[test]
    fn every_claim_is_found_by_its_number_and_its_name() {
        for claim in Claim::ALL {
            let id = ObjectIdentifier::new(&format!("1.3.6.1.4.1.57264.1.{}", claim.number())).unwrap();
            assert_eq!(claim_of(&id), Some(*claim));
            assert_eq!(claim.name().parse(), Ok(*claim));
        }
        for other in ["1.3.6.1.4.1.57264.1", "1.3.6.1.4.1.57264.1.20.1", "1.3.6.1.4.1.57264.2.20", "1.3.6"] {
            assert_eq!(claim_of(&ObjectIdentifier::new(other).unwrap()), None, "{other}");
        }
    }

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
