//! `portcullis verify-bundle`: one bundle, one artifact. Its arguments are those of the Sigstore conformance suite
//! (sigstore/sigstore-conformance, docs/cli_protocol.md) and more.

use std::fs::File;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

use clap::{ArgAction, Args};

use crate::attestation::{Rejection, RejectionKind, SignedBy, Subject, Verified, Whose, claims, verify};
use crate::model::digest::{Algorithm, Digest, Hasher};
use crate::policy::Signatory;
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
    #[command(flatten)]
    trust: TrustArgs,
    /// A report: text, json; repeatable, =FILE writes it there [default: text]
    #[arg(short, long = "output", env = "PORTCULLIS_OUTPUT", value_name = "FORMAT[=FILE]", action = ArgAction::Append)]
    output: Vec<Output>,
    /// The artifact, or its digest, sha256:…
    #[arg(value_name = "FILE_OR_DIGEST")]
    subject: String,
}

/// Verifies the bundle. It ends with 0 where it is true and by who may sign, with 1 where it is not, and with 3 where
/// that cannot be told.
pub(super) fn run(args: &VerifyBundleArgs, context: &Context, out: &mut dyn Write) -> Result<Exit, Failure> {
    let plan = Plan::new(&args.output, BUNDLE_FORMATS, |format| format.id()).map_err(Failure::usage)?;
    let [expected] = args
        .signatory
        .signatories()?
        .try_into()
        .map_err(|_| Failure::usage("a bundle has one signature: name one key"))?;
    let roots = roots(&args.trust, context)?;
    let bundle = read(&args.bundle, claims::BUNDLE)?;
    let artifact = Artifact::open(&args.subject)?;
    let whose = match &expected {
        Signatory::Identity(_) => Whose::Certificate,
        Signatory::Key(key, log) => Whose::Key(key, *log),
    };
    let settled = roots.settle(&|message| context.complain(message));
    let judged = verify(&settled.trust, whose, &bundle, artifact.subject());
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
    let judged = JudgedBundle { bundle: &name, subject: &args.subject, outcome, roots: &settled.roots };
    Ok(plan.deliver(exit, context, out, |format, style| format.bundle(&judged, style)))
}

fn may_sign(expected: &Signatory, verified: &Verified) -> Result<(), Rejection> {
    let refused = |detail: String| Rejection::new(RejectionKind::Identity, detail);
    match (expected, &verified.signed_by) {
        (Signatory::Key(..), SignedBy::Key(_)) => Ok(()),
        (Signatory::Identity(identity), SignedBy::Certificate(signer)) => {
            identity.check(signer).map_err(|mismatches| {
                let told: Vec<String> = mismatches.iter().map(ToString::to_string).collect();
                refused(told.join("; "))
            })
        }
        (Signatory::Key(..), SignedBy::Certificate(_)) | (Signatory::Identity(_), SignedBy::Key(_)) => {
            Err(refused("it was not signed with what is expected".to_owned()))
        }
    }
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
