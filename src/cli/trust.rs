//! What signatures are verified by: `--trusted-root`, or the roots that come with portcullis.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::attestation::trust::ROOT;
use crate::attestation::{Root, RootId, Trust, UnusableRoot};

use super::Failure;
use super::input::read;

/// Options of what verifies signatures.
#[derive(Debug, Args)]
pub(super) struct TrustArgs {
    /// A Sigstore trusted root (trusted_root.json) in place of those of the public-good instance and of GitHub, which
    /// come with portcullis; repeatable, each stands alone
    #[arg(long, env = "PORTCULLIS_TRUSTED_ROOT", value_name = "FILE", value_delimiter = ',')]
    trusted_root: Vec<PathBuf>,
    /// Trust Sigstore's staging instance, in which anybody may test, and no other
    #[arg(long, env = "PORTCULLIS_STAGING", conflicts_with = "trusted_root", value_parser = super::args::switch())]
    pub(super) staging: bool,
}

/// The roots. Those that are named replace those that come with portcullis: whoever names one wants no other.
pub(super) fn trust(args: &TrustArgs) -> Result<Trust, Failure> {
    if args.staging {
        return Root::embedded(RootId::Staging).map(Trust::new).map_err(unusable);
    }
    let mut named = args.trusted_root.iter().map(|path| root(path));
    let Some(first) = named.next() else { return Trust::embedded().map_err(unusable) };
    named.try_fold(Trust::new(first?), |trust, root| Ok(trust.and(root?)))
}

fn root(path: &Path) -> Result<Root, Failure> {
    let bytes = read(path, ROOT as u64)?;
    Root::read(RootId::Custom(path.display().to_string()), &bytes).map_err(unusable)
}

fn unusable(error: UnusableRoot) -> Failure {
    Failure::undecided(error.to_string())
}
