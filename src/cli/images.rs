//! What `gate` and `scan` share: the images that were named, read one after another.

use std::path::PathBuf;

use crate::check::Expected;
use crate::feed::Store;
use crate::gate::{self, Request, known_bases, open_snapshot};
use crate::image::limits::Limits;
use crate::model::fact::Fact;
use crate::model::location::Location;
use crate::model::reference::Reference;

use super::args::{BaseArgs, BaseChoice, ImageArgs, SnapshotArgs};
use super::{Context, Failure, user_directory};

/// Opens the snapshot that was named, or the one in the usual place.
pub(super) fn snapshot(args: &SnapshotArgs, context: &Context) -> Result<Fact<Store>, Failure> {
    // The cache is asked for only where there is something to keep in it.
    Ok(match &args.db {
        Some(directory) => open_snapshot(directory, &context.cache_dir()?),
        None => match usual_snapshot().filter(|directory| directory.exists()) {
            Some(directory) => open_snapshot(&directory, &context.cache_dir()?),
            None => Fact::Absent,
        },
    })
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
    snapshot: &Fact<Store>,
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
