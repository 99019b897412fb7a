//! Who may have signed, as it is typed: an identity, or keys, or identities of a file, and how many of them must.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args};

use crate::attestation::identity::{Field, Identity, InvalidPattern, Pattern};
use crate::attestation::trust::KEY;
use crate::attestation::{LogOfKey, PublicKey};
use crate::policy::{NamedIdentities, Require, Signatories, Signatory};

use super::Failure;
use super::input::read;

/// Bytes of a file with identities: 1 MiB, as many as a policy may have.
const IDENTITIES: u64 = 1 << 20;

/// Who may sign. Patterns must match the whole text.
#[derive(Debug, Args)]
pub(super) struct SignatoryArgs {
    /// The name in the certificate, exactly
    #[arg(long, env = "PORTCULLIS_CERTIFICATE_IDENTITY", value_name = "IDENTITY")]
    certificate_identity: Option<String>,
    /// The same as a glob: * stops at a slash, ** does not
    #[arg(long, env = "PORTCULLIS_CERTIFICATE_IDENTITY_GLOB", value_name = "GLOB")]
    certificate_identity_glob: Option<String>,
    /// The same as a regular expression
    #[arg(long, env = "PORTCULLIS_CERTIFICATE_IDENTITY_REGEXP", value_name = "REGEXP")]
    certificate_identity_regexp: Option<String>,
    /// The OpenID Connect issuer that vouches for it, exactly
    #[arg(long, env = "PORTCULLIS_CERTIFICATE_OIDC_ISSUER", value_name = "URL")]
    certificate_oidc_issuer: Option<String>,
    /// The same as a glob
    #[arg(long, env = "PORTCULLIS_CERTIFICATE_OIDC_ISSUER_GLOB", value_name = "GLOB")]
    certificate_oidc_issuer_glob: Option<String>,
    /// The same as a regular expression
    #[arg(long, env = "PORTCULLIS_CERTIFICATE_OIDC_ISSUER_REGEXP", value_name = "REGEXP")]
    certificate_oidc_issuer_regexp: Option<String>,
    /// What else the certificate must say, exactly, such as sourceRepositoryRef=refs/heads/main; repeatable
    #[arg(long, value_name = "CLAIM=TEXT", action = ArgAction::Append)]
    certificate_claim: Vec<String>,
    /// The same as a glob; repeatable
    #[arg(long, value_name = "CLAIM=GLOB", action = ArgAction::Append)]
    certificate_claim_glob: Vec<String>,
    /// The same as a regular expression; repeatable
    #[arg(long, value_name = "CLAIM=REGEXP", action = ArgAction::Append)]
    certificate_claim_regexp: Vec<String>,
    /// A YAML file with who may sign, by name, as `identities` of a policy has them: in place of an identity or a key
    #[arg(long, env = "PORTCULLIS_IDENTITIES", value_name = "FILE")]
    identities: Option<PathBuf>,
    /// One of --identities, by its name; repeatable [default: all of them]
    #[arg(
        long,
        env = "PORTCULLIS_IDENTITY",
        value_name = "NAME",
        value_delimiter = ',',
        requires = "identities"
    )]
    identity: Vec<String>,
    /// How many of those who are named must have signed, each by himself: any (one of them), all, or a number
    /// [default: any]
    #[arg(long, env = "PORTCULLIS_REQUIRE", value_name = "any|all|N")]
    require: Option<Require>,
    /// A public key in PEM that signs, in place of an identity; repeatable
    #[arg(long, env = "PORTCULLIS_KEY", value_name = "FILE", value_delimiter = ',')]
    key: Vec<PathBuf>,
    /// With --key: a signature in no transparency log is enough. Nobody notices then when the key is misused
    #[arg(long, env = "PORTCULLIS_KEY_WITHOUT_LOG", requires = "key", value_parser = super::args::switch())]
    key_without_log: bool,
}

/// The identities of a file. One that is wrong is wrong usage, as a policy is.
fn from_file(file: &Path) -> Result<NamedIdentities, Failure> {
    let bytes = read(file, IDENTITIES)?;
    NamedIdentities::parse(&bytes).map_err(|errors| {
        let name = file.display().to_string();
        let shown: String = errors.iter().map(|error| error.render(&bytes, &name)).collect();
        Failure::usage(format!("the identities are invalid\n{shown}"))
    })
}

/// How a pattern is made of what was typed.
type Make = fn(&str) -> Result<Pattern, InvalidPattern>;

impl SignatoryArgs {
    /// The same, and none where nobody is named.
    ///
    /// # Errors
    /// As [`Self::signatories`].
    pub(super) fn named(&self) -> Result<Option<Signatories>, Failure> {
        let is_anybody = self.identities.is_some() || !self.key.is_empty() || self.any();
        // Attack: nobody is asked for, where so many were required.
        if is_anybody || self.require.is_some() { self.signatories().map(Some) } else { Ok(None) }
    }

    /// Who may sign, and how many of them must: the identity, or the keys, or those of the file.
    ///
    /// # Errors
    /// A failure where nobody is named, or in two ways, or too many are required, or a file cannot be read.
    pub(super) fn signatories(&self) -> Result<Signatories, Failure> {
        let require = self.require.unwrap_or(Require::Any);
        let wrong = |cause: String| Failure::usage(format!("those who must have signed: {cause}"));
        let named = match (self.key.as_slice(), self.any(), &self.identities) {
            ([], true, None) => vec![Signatory::Identity(self.typed()?)],
            (keys @ [_, ..], false, None) => {
                keys.iter().map(|file| self.key(file)).collect::<Result<_, _>>()?
            }
            ([], false, Some(file)) => {
                return from_file(file)?.choose(&self.identity, require).map_err(wrong);
            }
            // Attack: what anybody signed, taken for what somebody in particular did.
            ([], false, None) => {
                return Err(Failure::usage(
                    "say who is to have signed: --certificate-identity and --certificate-oidc-issuer, or --key, \
                     or --identities",
                ));
            }
            // A variable that was forgotten in the environment must not let a second party in.
            (_, _, _) => {
                return Err(Failure::usage(
                    "a key, an identity, a file with identities: say one of them (a file may have keys and identities)",
                ));
            }
        };
        Signatories::new(named, require).map_err(wrong)
    }

    fn key(&self, file: &Path) -> Result<Signatory, Failure> {
        let bytes = read(file, KEY as u64)?;
        let key = PublicKey::read_pem(&bytes)
            .map_err(|error| Failure::undecided(format!("{}: {error}", file.display())))?;
        let log = if self.key_without_log { LogOfKey::NotDemanded } else { LogOfKey::Demanded };
        Ok(Signatory::Key(key, log))
    }

    /// Whether anything of an identity was typed.
    fn any(&self) -> bool {
        self.subjects().iter().chain(&self.issuers()).any(|(text, _)| text.is_some())
            || self.claims().iter().any(|(texts, _)| !texts.is_empty())
    }

    fn subjects(&self) -> [(Option<&String>, Make); 3] {
        [
            (self.certificate_identity.as_ref(), Pattern::exact),
            (self.certificate_identity_glob.as_ref(), Pattern::glob),
            (self.certificate_identity_regexp.as_ref(), Pattern::regexp),
        ]
    }

    fn issuers(&self) -> [(Option<&String>, Make); 3] {
        [
            (self.certificate_oidc_issuer.as_ref(), Pattern::exact),
            (self.certificate_oidc_issuer_glob.as_ref(), Pattern::glob),
            (self.certificate_oidc_issuer_regexp.as_ref(), Pattern::regexp),
        ]
    }

    fn claims(&self) -> [(&[String], Make); 3] {
        [
            (&self.certificate_claim, Pattern::exact),
            (&self.certificate_claim_glob, Pattern::glob),
            (&self.certificate_claim_regexp, Pattern::regexp),
        ]
    }

    /// The identity that was typed. All of it must hold.
    fn typed(&self) -> Result<Identity, Failure> {
        let make = |what: &str, text: &str, make: Make| {
            make(text).map_err(|error| Failure::usage(format!("the {what} `{text}`: {error}")))
        };
        let issuers = self.issuers();
        let mut issuers = issuers.iter().filter_map(|(text, how)| text.map(|text| (text, *how)));
        let (Some((issuer, how)), None) = (issuers.next(), issuers.next()) else {
            return Err(Failure::usage("say who vouches for the identity: one --certificate-oidc-issuer"));
        };
        let issuer = make("issuer", issuer, how)?;
        let mut others = Vec::new();
        for (text, how) in self.subjects() {
            if let Some(text) = text {
                others.push((Field::Subject, make("identity", text, how)?));
            }
        }
        for (texts, how) in self.claims() {
            for text in texts {
                let (name, text) = text
                    .split_once('=')
                    .ok_or_else(|| Failure::usage(format!("expected CLAIM=TEXT, found `{text}`")))?;
                let field: Field = name.parse().map_err(Failure::usage)?;
                others.push((field, make(name, text, how)?));
            }
        }
        Identity::new(issuer, others).map_err(|error| Failure::usage(error.to_string()))
    }
}
