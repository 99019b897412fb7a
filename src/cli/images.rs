//! What `gate` and `scan` share: the images that were named, read one after another.

use std::path::PathBuf;
use std::time::Duration;

use crate::check::Expected;
use crate::feed::{Bucket, BucketSettings, Installed, PUBLIC_BUCKET, Store, is_layout};
use crate::gate::{
    self, Request, SupplementFiles, Supplements, fetching_snapshot, known_bases, open_snapshot,
};
use crate::image::limits::Limits;
use crate::model::fact::Fact;
use crate::model::location::Location;
use crate::model::reference::Reference;
use crate::net::{Retry, Times};
use crate::registry;

use super::args::{BaseArgs, BaseChoice, ImageArgs, SnapshotArgs, SupplementArgs};
use super::{Context, Failure, clock, user_directory};

/// The patience while an image waits to be judged: what fails is undecided and says so, and `db update` has more.
const HASTY: Retry =
    Retry { attempts: 3, first: Duration::from_millis(300), longest: Duration::from_secs(10) };

/// Opens the snapshot that was named, or the one in the usual place. The latter fetches what it lacks, unless there is
/// to be no network.
pub(super) fn snapshot(args: &SnapshotArgs, context: &Context) -> Result<Fact<Store>, Failure> {
    // The cache is asked for only where there is something to keep in it.
    if let Some(directory) = &args.db {
        return Ok(open_snapshot(directory, &context.cache_dir()?, clock::now()));
    }
    let Some(directory) = usual_snapshot() else { return Ok(Fact::Absent) };
    // An empty directory is one that nothing was installed into yet. What cannot be told is told where it is opened.
    let is_layout = || is_layout(&directory).unwrap_or(true);
    if directory.exists() && !Installed::is_in(&directory).unwrap_or(true) && is_layout() {
        return Ok(open_snapshot(&directory, &context.cache_dir()?, clock::now()));
    }
    if context.global.offline {
        return Ok(match directory.exists() {
            true => open_snapshot(&directory, &context.cache_dir()?, clock::now()),
            false => Fact::Absent,
        });
    }
    let bucket = bucket(None, args.db_source.as_deref(), HASTY, context)?;
    Ok(fetching_snapshot(&directory, bucket, clock::now()))
}

/// The bucket that was named, or the public one. Only one that is named by `from` may be without TLS.
pub(super) fn bucket(
    from: Option<&str>,
    source: Option<&str>,
    retry: Retry,
    context: &Context,
) -> Result<Bucket, Failure> {
    let environment = registry::Settings::from_environment(|name| std::env::var_os(name));
    // A variable that a CI system sets to nothing is not set.
    let source = source.filter(|source| !source.is_empty());
    let settings = BucketSettings {
        url: from.or(source).unwrap_or(PUBLIC_BUCKET).to_owned(),
        plain: from.is_some(),
        proxies: environment.proxies,
        ca: context.global.registry_ca.clone(),
        retry,
        times: Times::default(),
        deadline: context.global.timeout,
    };
    Bucket::new(&settings).map_err(|error| Failure::usage(error.to_string()))
}

/// Reads what stands beside the advisories. A file that was named and cannot be read is a usage error, before
/// anything is fetched: without it less would be judged by than was asked for.
pub(super) fn supplements(
    args: &SupplementArgs,
    snapshot: &SnapshotArgs,
    context: &Context,
) -> Result<Supplements, Failure> {
    let directory = snapshot.db.clone().or_else(usual_snapshot);
    // The cache saves time alone: without a place for it the scores are read anew in every run.
    let cache = if context.global.no_cache { None } else { context.cache_dir().ok() };
    let files = SupplementFiles {
        vex: &args.vex,
        kev: args.kev.as_deref(),
        epss: args.epss.as_deref(),
        snapshot: directory.as_deref(),
        cache: cache.as_deref(),
    };
    Supplements::read(&files).map_err(Failure::usage)
}

/// The images that others are built upon, as `--base` names them. One that could not be read is an unknown.
pub(super) fn bases(args: &BaseArgs, context: &Context) -> Result<Expected, Failure> {
    let limits = Limits::default();
    let mut expected = Expected::default();
    for BaseChoice { name, location } in &args.bases {
        match known_bases(location, name.as_ref(), context.registry([location])?, &limits) {
            Ok(bases) => expected.bases.extend(bases),
            Err(unknown) => expected.unknown_bases.push(unknown),
        }
    }
    Ok(expected)
}

/// `portcullis/osv` in the user's data directory.
pub(super) fn usual_snapshot() -> Option<PathBuf> {
    user_directory("XDG_DATA_HOME", ".local/share").map(|directory| directory.join("osv"))
}

/// Does the same with every image. An image of which the user must say more is a usage error; the others
/// are still done, and the answer for it is `None`.
pub(super) fn each<T>(
    args: &ImageArgs,
    (snapshot, supplements): (&Fact<Store>, &Supplements),
    context: &Context,
    read: impl Fn(&Request<'_>, &super::progress::Bar) -> Result<T, gate::Error>,
) -> Result<Vec<Option<T>>, Failure> {
    stands_for(args.stands_for.as_ref(), &args.images)?;
    let limits = Limits::default();
    let registry = context.registry(&args.images)?;
    let cache = context.layers();
    let one = |location: &Location| {
        let request = Request {
            location,
            platform: args.platform.0.as_ref(),
            stands_for: args.stands_for.as_ref(),
            registry,
            snapshot,
            supplements,
            limits: &limits,
            cache: cache.as_ref(),
        };
        let bar = context.progress();
        let answer = read(&request, &bar);
        drop(bar);
        answer.map_err(|error| context.complain(&error.to_string())).ok()
    };
    Ok(args.images.iter().map(one).collect())
}

/// `--as` gives one local image a name. One in a registry has its own: a policy for another must not judge it.
pub(super) fn stands_for(reference: Option<&Reference>, images: &[Location]) -> Result<(), Failure> {
    match (reference, images) {
        (None, _) => Ok(()),
        (Some(_), [Location::Registry(own)]) => {
            Err(Failure::usage(format!("`--as` is for a local image: this one is {own}")))
        }
        (Some(_), [_]) => Ok(()),
        (Some(_), _) => Err(Failure::usage("`--as` says what one image stands for: name the others apart")),
    }
}
