//! `portcullis sign-bundle`: one file, one bundle. Its arguments are those of the Sigstore conformance suite
//! (sigstore/sigstore-conformance, docs/cli_protocol.md) and more.

use std::fs::File;
use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use sha2::{Digest as _, Sha256};

use crate::attestation::statement::SubjectDigest;
use crate::attestation::{Statement, Subject, verify};
use crate::model::digest::Digest;
use crate::sigstore::Content;

use super::signer::{SignerArgs, start};
use crate::cli::exit::Exit;
use crate::cli::input::read;
use crate::cli::output::write;
use crate::cli::trust::roots;
use crate::cli::{Context, Failure};

/// Bytes of a statement: 32 MiB, as many as an attestation may have (design §7).
const MAX_STATEMENT: u64 = 32 << 20;

/// Bytes of a file that are read at a time.
const PIECE: u64 = 1 << 20;

/// Options of `sign-bundle`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SignBundleArgs {
    /// The file is an in-toto statement, and is signed in a DSSE envelope
    #[arg(long, env = "PORTCULLIS_IN_TOTO", value_parser = crate::cli::args::switch())]
    in_toto: bool,
    /// Where the bundle is written to
    #[arg(long, env = "PORTCULLIS_BUNDLE", value_name = "FILE")]
    bundle: PathBuf,
    #[command(flatten)]
    signer: SignerArgs,
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// What is signed.
enum What {
    /// A statement, its JSON.
    Statement(Vec<u8>),
    /// A file of this SHA-256.
    Message([u8; 32]),
}

/// Signs a file. The bundle is written only once it is verified.
pub(in crate::cli) fn sign_bundle(
    args: &SignBundleArgs,
    context: &Context,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    if context.global.offline {
        return Err(Failure::usage("`--offline` and signing exclude each other"));
    }
    let (what, subject) = if args.in_toto { statement(&args.file) } else { message(&args.file) }?;
    let roots = roots(&args.signer.trust, context)?;
    let ready = start(&args.signer, context)?;
    let content = match &what {
        What::Statement(statement) => Content::Statement(statement),
        What::Message(sha256) => Content::Message(sha256),
    };
    let bundles = ready.run.sign(&[content]).map_err(|error| Failure::undecided(error.to_string()))?;
    let bundle = bundles.into_iter().next().ok_or_else(|| Failure::undecided("nothing was signed"))?;
    // Attack, or a slip: services that answer what no verifier will accept.
    let settled = roots.settle(&|message| context.complain(message));
    verify(&settled.trust, ready.whose(), &bundle, Subject::Digest(&subject)).map_err(|rejection| {
        Failure::undecided(format!(
            "what was made does not verify, and was not written: {rejection}; is `--trusted-root` that of these \
             services?"
        ))
    })?;
    write(&bundle, Some(&args.bundle), out).map_err(Failure::undecided)?;
    Ok(Exit::Admit)
}

/// A statement, which must be one that verifiers read, about something.
fn statement(path: &Path) -> Result<(What, Digest), Failure> {
    let bytes = read(path, MAX_STATEMENT)?;
    let unusable = |cause: &str| Failure::usage(format!("{}: no in-toto statement: {cause}", path.display()));
    let statement = Statement::read(&bytes).map_err(|cause| unusable(&cause))?;
    let mut known =
        statement.subjects.iter().flat_map(|subject| &subject.digests).filter_map(|digest| match digest {
            SubjectDigest::Known(digest) => Some(digest),
            SubjectDigest::Other { .. } => None,
        });
    let subject = known.next().ok_or_else(|| unusable("no subject has a digest by SHA-256 or SHA-512"))?;
    let subject = subject.clone();
    Ok((What::Statement(bytes), subject))
}

/// A file of any size, of which the digest is signed.
fn message(path: &Path) -> Result<(What, Digest), Failure> {
    let unread =
        |error: std::io::Error| Failure::undecided(format!("cannot read {}: {error}", path.display()));
    let mut file = File::open(path).map_err(unread)?;
    let mut hasher = Sha256::new();
    let mut piece = Vec::new();
    while (&mut file).take(PIECE).read_to_end(&mut piece).map_err(unread)? > 0 {
        hasher.update(&piece);
        piece.clear();
    }
    let sha256 = hasher.finalize().into();
    Ok((What::Message(sha256), Digest::from_sha256(&sha256)))
}
