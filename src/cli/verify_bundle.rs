//! `portcullis verify-bundle`: one bundle, one artifact. Its arguments are those of the Sigstore conformance suite
//! (sigstore/sigstore-conformance, docs/cli_protocol.md) and more.

use std::fs::File;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

use clap::{ArgAction, Args};

use crate::attestation::identity::{Field, Identity, Pattern};
use crate::attestation::{
    LogOfKey, PublicKey, Rejection, RejectionKind, Root, RootId, SignedBy, Subject, Trust, Verified, Whose,
    claims, trust, verify,
};
use crate::model::digest::{Algorithm, Digest, Hasher};
use crate::report::{BUNDLE_FORMATS, BundleOutcome, JudgedBundle};

use super::exit::Exit;
use super::output::{Output, Plan};
use super::{Context, Failure};

/// Bytes of an artifact that is held in memory: 256 MiB. Of a larger one only the digest is taken, with which all
/// can be verified but a message signed with Ed25519.
const HELD: u64 = 256 << 20;

/// Options of `verify-bundle`.
#[derive(Debug, Args)]
pub(super) struct VerifyBundleArgs {
    /// The bundle
    #[arg(long, env = "PORTCULLIS_BUNDLE", value_name = "FILE")]
    bundle: PathBuf,
    #[command(flatten)]
    identity: IdentityArgs,
    /// The public key in PEM that signed, in place of an identity
    #[arg(long, env = "PORTCULLIS_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
    /// With --key: a signature in no transparency log is enough. Nobody notices then when the key is misused
    #[arg(long, env = "PORTCULLIS_KEY_WITHOUT_LOG", requires = "key", value_parser = super::args::switch())]
    key_without_log: bool,
    /// Trust Sigstore's staging instance, in which anybody may test, and no other
    #[arg(long, env = "PORTCULLIS_STAGING", conflicts_with = "trusted_root", value_parser = super::args::switch())]
    staging: bool,
    /// The trusted root, in place of those of Sigstore and GitHub; repeatable, each stands alone
    #[arg(long, env = "PORTCULLIS_TRUSTED_ROOT", value_name = "FILE", action = ArgAction::Append)]
    trusted_root: Vec<PathBuf>,
    /// A report: text, json; repeatable, =FILE writes it there [default: text]
    #[arg(short, long = "output", env = "PORTCULLIS_OUTPUT", value_name = "FORMAT[=FILE]", action = ArgAction::Append)]
    output: Vec<Output>,
    /// The artifact, or its digest, sha256:…
    #[arg(value_name = "FILE_OR_DIGEST")]
    subject: String,
}

/// Who may sign. Patterns must match the whole text.
#[derive(Debug, Args)]
struct IdentityArgs {
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
}

/// How a pattern is made of what was typed.
type Make = fn(&str) -> Result<Pattern, crate::attestation::identity::InvalidPattern>;

impl IdentityArgs {
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
    fn identity(&self) -> Result<Identity, Failure> {
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

/// Who is to have signed.
enum Expected {
    Identity(Identity),
    Key(PublicKey, LogOfKey),
}

/// Verifies the bundle. It ends with 0 where it is true and by who may sign, with 1 where it is not, and with 3 where
/// that cannot be told.
pub(super) fn run(args: &VerifyBundleArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let plan = Plan::new(&args.output, BUNDLE_FORMATS, |format| format.id()).map_err(Failure::usage)?;
    let expected = expected(args)?;
    let trust = trusted(args)?;
    let bundle = read(&args.bundle, claims::BUNDLE)?;
    let artifact = Artifact::open(&args.subject)?;
    let whose = match &expected {
        Expected::Identity(_) => Whose::Certificate,
        Expected::Key(key, log) => Whose::Key(key, *log),
    };
    let judged = verify(&trust, whose, &bundle, artifact.subject());
    let claimed = claims::read(&bundle).ok().and_then(|bundle| bundle.signer.ok());
    let name = args.bundle.display().to_string();
    let (exit, other);
    let outcome = match &judged {
        Ok(verified) => match may_sign(&expected, verified) {
            Ok(()) => {
                exit = Exit::Admit;
                BundleOutcome::Accepted(verified)
            }
            Err(rejection) => {
                exit = Exit::Deny;
                other = rejection;
                BundleOutcome::OtherSigner(verified, &other)
            }
        },
        Err(rejection) => {
            exit = if rejection.kind.is_undecided() { Exit::Undecided } else { Exit::Deny };
            advise(rejection.kind, context);
            BundleOutcome::Refused(rejection, claimed.as_ref())
        }
    };
    let judged = JudgedBundle { bundle: &name, subject: &args.subject, outcome };
    Ok(plan.deliver(exit, context, out, |format, style| format.bundle(&judged, style)))
}

fn expected(args: &VerifyBundleArgs) -> Result<Expected, Failure> {
    match (&args.key, args.identity.any()) {
        (None, true) => Ok(Expected::Identity(args.identity.identity()?)),
        (Some(file), false) => {
            let bytes = read(file, trust::KEY.try_into().unwrap_or(u64::MAX))?;
            let key = PublicKey::read_pem(&bytes)
                .map_err(|error| Failure::undecided(format!("{}: {error}", file.display())))?;
            let log = if args.key_without_log { LogOfKey::NotDemanded } else { LogOfKey::Demanded };
            Ok(Expected::Key(key, log))
        }
        // Attack: a bundle that anybody signed, taken for one that somebody in particular did.
        (None, false) => Err(Failure::usage(
            "say who is to have signed: --certificate-identity and --certificate-oidc-issuer, or --key",
        )),
        (Some(_), true) => Err(Failure::usage("a key and an identity: say one of them")),
    }
}

fn may_sign(expected: &Expected, verified: &Verified) -> Result<(), Rejection> {
    let refused = |detail: String| Rejection::new(RejectionKind::Identity, detail);
    match (expected, &verified.signed_by) {
        (Expected::Key(..), SignedBy::Key(_)) => Ok(()),
        (Expected::Identity(identity), SignedBy::Certificate(signer)) => {
            identity.check(signer).map_err(|mismatches| {
                let told: Vec<String> = mismatches.iter().map(ToString::to_string).collect();
                refused(told.join("; "))
            })
        }
        (Expected::Key(..), SignedBy::Certificate(_)) | (Expected::Identity(_), SignedBy::Key(_)) => {
            Err(refused("it was not signed with what is expected".to_owned()))
        }
    }
}

fn trusted(args: &VerifyBundleArgs) -> Result<Trust, Failure> {
    let unusable = |error: crate::attestation::UnusableRoot| Failure::undecided(error.to_string());
    if args.staging {
        return Root::embedded(RootId::Staging).map(Trust::new).map_err(unusable);
    }
    let mut trust: Option<Trust> = None;
    for file in &args.trusted_root {
        let bytes = read(file, trust::ROOT.try_into().unwrap_or(u64::MAX))?;
        let root = Root::read(RootId::Custom(file.display().to_string()), &bytes).map_err(unusable)?;
        trust = Some(match trust {
            Some(trust) => trust.and(root),
            None => Trust::new(root),
        });
    }
    trust.map_or_else(|| Trust::embedded().map_err(unusable), Ok)
}

/// What to do about a bundle that could not be judged.
fn advise(kind: RejectionKind, context: &Context) {
    let advice = if kind == RejectionKind::Version {
        "a newer portcullis may know this version of bundles"
    } else if kind == RejectionKind::UnknownLog {
        "name the trusted root that has the log with --trusted-root FILE"
    } else {
        return;
    };
    context.complain(advice);
}

/// What is to be verified.
enum Artifact {
    Held(Vec<u8>),
    Digest(Digest),
}

impl Artifact {
    /// A digest is what begins with `sha256:`, has as many digits, and is no file (docs/cli_protocol.md).
    fn open(text: &str) -> Result<Self, Failure> {
        let path = Path::new(text);
        match text.parse::<Digest>() {
            Ok(digest) if digest.algorithm() == Algorithm::Sha256 && !path.exists() => {
                return Ok(Self::Digest(digest));
            }
            Ok(_) | Err(_) => {}
        }
        let unread = |error: std::io::Error| Failure::undecided(format!("cannot read {text}: {error}"));
        let file = File::open(path).map_err(unread)?;
        let mut held = Vec::new();
        (&file).take(HELD + 1).read_to_end(&mut held).map_err(unread)?;
        if u64::try_from(held.len()).is_ok_and(|length| length <= HELD) {
            return Ok(Self::Held(held));
        }
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(&held);
        loop {
            held.clear();
            if (&file).take(1 << 20).read_to_end(&mut held).map_err(unread)? == 0 {
                return Ok(Self::Digest(hasher.finish()));
            }
            hasher.update(&held);
        }
    }

    fn subject(&self) -> Subject<'_> {
        match self {
            Self::Held(bytes) => Subject::Bytes(bytes),
            Self::Digest(digest) => Subject::Digest(digest),
        }
    }
}

/// Reads a file that may not be larger than a limit.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let failed = |cause: String| Failure::undecided(format!("cannot read {}: {cause}", path.display()));
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    if u64::try_from(bytes.len()).map_or(true, |length| length > limit) {
        return Err(failed(format!("it is larger than the limit of {limit} bytes")));
    }
    Ok(bytes)
}
