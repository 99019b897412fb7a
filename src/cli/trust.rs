//! What signatures are verified by: `--trusted-root`, the repository of a private instance, or the roots of the instances
//! that everybody uses, which come with portcullis and are kept fresh.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::attestation::trust::ROOT;
use crate::attestation::{Root, RootId, UnusableRoot};
use crate::gate::{Refresh, Refreshing, Roots};
use crate::sigstore::{self, MAX_TUF_ROOT, TufRepository};

use super::input::read;
use super::{Context, Failure, clock};

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
    /// The TUF repository of a private Sigstore instance, which is trusted in place of the others
    #[arg(
        long,
        env = "PORTCULLIS_TUF_MIRROR",
        value_name = "URL",
        requires = "tuf_root",
        conflicts_with_all = ["trusted_root", "staging"]
    )]
    tuf_mirror: Option<String>,
    /// The root metadata (root.json) that trust in that repository begins with
    #[arg(long, env = "PORTCULLIS_TUF_ROOT", value_name = "FILE", requires = "tuf_mirror")]
    tuf_root: Option<PathBuf>,
    /// When roots are refreshed by TUF: beside the work where they are older than a day; always and first, and nothing is
    /// verified where that fails; never. Roots that are named, and without the network: never [default: background]
    #[arg(long, env = "PORTCULLIS_TRUST_REFRESH", value_name = "MODE")]
    trust_refresh: Option<Mode>,
}

/// When roots are refreshed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Background,
    Required,
    Never,
}

/// The roots. Those that are named replace those that come with portcullis: whoever names one wants no other. A refresh
/// begins here, where it is time for one.
pub(super) fn roots(args: &TrustArgs, context: &Context) -> Result<Roots, Failure> {
    let refresh = refresh(args, context)?;
    if let Some(named) = named(args)? {
        return Ok(named);
    }
    if let (Some(url), Some(root)) = (&args.tuf_mirror, &args.tuf_root) {
        let repository = TufRepository::new(url, read(root, MAX_TUF_ROOT)?)
            .map_err(|error| Failure::usage(error.to_string()))?;
        return of((RootId::Custom(url.clone()), repository), Vec::new(), refresh, context);
    }
    built_in(args, refresh, context)
}

/// Roots for what verifies nothing: none is refreshed.
pub(super) fn idle(args: &TrustArgs, context: &Context) -> Result<Roots, Failure> {
    refresh(args, context)?;
    match named(args)? {
        Some(named) => Ok(named),
        None => built_in(args, Refresh::Never, context),
    }
}

fn built_in(args: &TrustArgs, refresh: Refresh, context: &Context) -> Result<Roots, Failure> {
    let failed = |error: sigstore::Error| Failure::undecided(error.to_string());
    if args.staging {
        let staging = TufRepository::staging().map_err(failed)?;
        return of((RootId::Staging, staging), Vec::new(), refresh, context);
    }
    let public = (RootId::PublicGood, TufRepository::public_good().map_err(failed)?);
    let github = (RootId::GitHub, TufRepository::github().map_err(failed)?);
    of(public, vec![github], refresh, context)
}

fn of(
    first: (RootId, TufRepository),
    others: Vec<(RootId, TufRepository)>,
    refresh: Refresh,
    context: &Context,
) -> Result<Roots, Failure> {
    let settings = context.services(sigstore::Settings::refreshing());
    // Without a place to keep roots in they are refreshed in every run.
    let cache = context.cache_dir().ok();
    let how = Refreshing { refresh, settings: &settings, cache: cache.as_deref(), now: clock::now() };
    Roots::of(first, others, &how, &|message| context.complain(message)).map_err(Failure::undecided)
}

fn refresh(args: &TrustArgs, context: &Context) -> Result<Refresh, Failure> {
    let is_named = !args.trusted_root.is_empty();
    match args.trust_refresh {
        Some(Mode::Required) if context.global.offline => {
            Err(Failure::usage("`--offline` and `--trust-refresh required` exclude each other"))
        }
        Some(Mode::Required) if is_named => Err(Failure::usage(
            "`--trusted-root` names the root: `--trust-refresh required` could not refresh it",
        )),
        Some(Mode::Never) => Ok(Refresh::Never),
        Some(Mode::Background) | None if context.global.offline => Ok(Refresh::Never),
        Some(Mode::Background) | None => Ok(Refresh::Background),
        Some(Mode::Required) => Ok(Refresh::Required),
    }
}

/// The roots of `--trusted-root`.
fn named(args: &TrustArgs) -> Result<Option<Roots>, Failure> {
    let mut named = args.trusted_root.iter().map(|path| root(path));
    let Some(first) = named.next() else { return Ok(None) };
    Ok(Some(Roots::named(first?, named.collect::<Result<_, Failure>>()?)))
}

/// Whether whoever is trusted may be another instance than the one whose services are built in.
pub(super) fn is_private(args: &TrustArgs) -> Result<bool, Failure> {
    let id = if args.staging { RootId::Staging } else { RootId::PublicGood };
    let built_in = Root::embedded(id).map_err(unusable)?;
    let named = args.trusted_root.iter().map(|path| root(path)).collect::<Result<Vec<_>, _>>()?;
    Ok(args.tuf_mirror.is_some()
        || (!named.is_empty() && !named.iter().any(|root| root.shares_a_log(&built_in))))
}

fn root(path: &Path) -> Result<Root, Failure> {
    let bytes = read(path, ROOT as u64)?;
    Root::read(RootId::Custom(path.display().to_string()), &bytes).map_err(unusable)
}

fn unusable(error: UnusableRoot) -> Failure {
    Failure::undecided(error.to_string())
}
