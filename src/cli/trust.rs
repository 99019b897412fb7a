//! What signatures are verified by: `--trusted-root`, or the roots that come with portcullis.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::attestation::trust::ROOT;
use crate::attestation::{Root, RootId, Trust};

use super::Failure;

/// Options of what verifies signatures.
#[derive(Debug, Args)]
pub(super) struct TrustArgs {
    /// A Sigstore trusted root (trusted_root.json) in place of those of the public-good instance and of GitHub, which
    /// come with portcullis; repeatable
    #[arg(long, env = "PORTCULLIS_TRUSTED_ROOT", value_name = "FILE", value_delimiter = ',')]
    pub(super) trusted_root: Vec<PathBuf>,
}

/// The roots. Those that are named replace those that come with portcullis: whoever names one wants no other.
pub(super) fn trust(args: &TrustArgs) -> Result<Trust, Failure> {
    let mut named = args.trusted_root.iter().map(|path| root(path));
    let Some(first) = named.next() else {
        return Trust::embedded().map_err(|error| Failure::usage(error.to_string()));
    };
    named.try_fold(Trust::new(first?), |trust, root| Ok(trust.and(root?)))
}

fn root(path: &Path) -> Result<Root, Failure> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(ROOT as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| Failure::usage(format!("trusted root {}: {error}", path.display())))?;
    let name = path.display().to_string();
    Root::read(RootId::Custom(name), &bytes).map_err(|error| Failure::usage(error.to_string()))
}
