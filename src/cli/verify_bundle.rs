//! `portcullis verify-bundle`: one bundle, one artifact. Its arguments are those of the Sigstore conformance suite
//! (sigstore/sigstore-conformance, docs/cli_protocol.md) and more.

use std::fs::File;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{ArgAction, Args};

use crate::attestation::{Rejection, RejectionKind, Subject, Trust, Verified, Whose, claims, verify};
use crate::model::digest::{Algorithm, Digest, Hasher};
use crate::model::predicate::predicate_type;
use crate::policy::Signatories;
use crate::report::{BUNDLE_FORMATS, BundleOutcome, JudgedBundle};

use super::exit::Exit;
use super::input::read;
use super::output::{Output, Plan};
use super::signatory::SignatoryArgs;
use super::trust::{TrustArgs, roots};
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
    signatory: SignatoryArgs,
    /// What it must be: `signature`, over the artifact or of cosign's type sign/v1, or an attestation of a type such as
    /// cyclonedx, slsaprovenance1 or a URI [default: either, and the report says which]
    #[arg(long = "type", value_name = "TYPE")]
    wanted: Option<Wanted>,
    #[command(flatten)]
    trust: TrustArgs,
    /// A report: text, json; repeatable, =FILE writes it there [default: text]
    #[arg(short, long = "output", env = "PORTCULLIS_OUTPUT", value_name = "FORMAT[=FILE]", action = ArgAction::Append)]
    output: Vec<Output>,
    /// The artifact, or its digest, sha256:…
    #[arg(value_name = "FILE_OR_DIGEST")]
    subject: String,
}

/// What a bundle must be.
#[derive(Debug, Clone)]
enum Wanted {
    /// A signature, and nothing more.
    Signature,
    /// A statement of this predicate type.
    Predicate(String),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "signature" => Ok(Self::Signature),
            other => predicate_type(other)
                .map(Self::Predicate)
                .map_err(|cause| format!("{cause}; `signature` is what is none of them")),
        }
    }
}

/// Verifies the bundle. It ends with 0 where it is true, by who may sign and what is asked for, with 1 where it is not, and with 3 where
/// that cannot be told.
pub(super) fn run(args: &VerifyBundleArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let plan = Plan::new(&args.output, BUNDLE_FORMATS, |format| format.id()).map_err(Failure::usage)?;
    let by = args.signatory.signatories()?;
    if by.needed() > 1 {
        let message = format!("a bundle has one signature, and `--require` asks for {}", by.needed());
        return Err(Failure::usage(message));
    }
    let roots = roots(&args.trust, context)?;
    let bundle = read(&args.bundle, claims::BUNDLE)?;
    let artifact = Artifact::open(&args.subject)?;
    let settled = roots.settle(&|message| context.complain(message));
    let judged = judge(&by, &settled.trust, &bundle, artifact.subject());
    // What no strict reader takes is not looked into further. Attack: a bundle of millions of values.
    let is_sound = judged
        .as_ref()
        .err()
        .is_none_or(|rejection| !matches!(rejection.kind, RejectionKind::Malformed | RejectionKind::Limit));
    let claimed = is_sound.then(|| claims::read(&bundle).ok()).flatten();
    let claimed = claimed.and_then(|bundle| bundle.signer.ok());
    let name = args.bundle.display().to_string();
    let (exit, other);
    let outcome = match &judged {
        Ok(verified) => match wanted(&by, args.wanted.as_ref(), verified) {
            Ok(()) => {
                exit = Exit::Admit;
                BundleOutcome::Accepted(verified)
            }
            Err(rejection) => {
                exit = Exit::Deny;
                other = rejection;
                BundleOutcome::Other(verified, &other)
            }
        },
        Err(rejection) => {
            exit = if rejection.kind.is_undecided() { Exit::Undecided } else { Exit::Deny };
            advise(rejection.kind, context);
            BundleOutcome::Refused(rejection, claimed.as_ref())
        }
    };
    let judged = JudgedBundle { bundle: &name, subject: &args.subject, outcome, roots: &settled.roots };
    Ok(plan.deliver(exit, context, out, |format, style| format.bundle(&judged, style)))
}

/// Verifies the bundle by a certificate, where one of those who are named has one, else by each of the keys.
fn judge(
    by: &Signatories,
    trust: &Trust,
    bundle: &[u8],
    subject: Subject<'_>,
) -> Result<Verified, Rejection> {
    let certificate = by.have_certificates().then_some(Whose::Certificate);
    let keys = by.keys().map(|(key, log)| Whose::Key(key, log));
    let nobody = Rejection::new(RejectionKind::Material, "nobody is named who could have signed it");
    let mut answer = nobody;
    for (number, whose) in certificate.into_iter().chain(keys).enumerate() {
        match verify(trust, whose, bundle, subject) {
            Ok(verified) => return Ok(verified),
            // Of a certificate where a key is expected, or the other way round, the other answer says more; what could not
            // be judged by one key is not refused because it is not by another.
            Err(now)
                if number == 0 || (now.kind != RejectionKind::Material && !answer.kind.is_undecided()) =>
            {
                answer = now;
            }
            Err(_) => {}
        }
    }
    Err(answer)
}

/// Whether what was verified is by one of those who may sign, and of the type that is asked for.
fn wanted(by: &Signatories, wanted: Option<&Wanted>, verified: &Verified) -> Result<(), Rejection> {
    by.check(verified).map_err(|cause| Rejection::new(RejectionKind::Identity, cause))?;
    let found = verified.statement().map(|statement| statement.predicate_type.as_str());
    let detail = match (wanted, found) {
        (None, _) => return Ok(()),
        // Attack: an SBOM or a failed test of the file, offered as its signature.
        (Some(Wanted::Signature), _) if verified.is_signature() => return Ok(()),
        (Some(Wanted::Predicate(wanted)), Some(found)) if wanted == found => return Ok(()),
        (Some(Wanted::Signature), found) => {
            format!("it is no signature, but an attestation of type `{}`", found.unwrap_or_default())
        }
        (Some(Wanted::Predicate(wanted)), Some(found)) => {
            format!("it is an attestation of type `{found}`, expected `{wanted}`")
        }
        (Some(Wanted::Predicate(wanted)), None) => {
            format!("it is a signature, and no attestation of type `{wanted}`")
        }
    };
    Err(Rejection::new(RejectionKind::Type, detail))
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
