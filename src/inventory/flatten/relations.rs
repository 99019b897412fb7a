//! What needs what: the requirements of packages, resolved among those that are in the image.

use std::collections::{BTreeSet, HashMap};

use crate::inventory::filesystem::FileSystem;
use crate::model::layer::FoundPackage;
use crate::model::path::ImagePath;
use crate::model::purl::normalise_pypi;

/// A package as one file states it, and its place among the packages of the image.
pub(super) struct Stated<'a> {
    /// Its index in the inventory.
    pub(super) index: usize,
    /// The file that states it.
    pub(super) path: &'a ImagePath,
    /// What the file says.
    pub(super) found: &'a FoundPackage,
}

/// Within what a requirement's name means one package.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Realm {
    /// Everything of a type: the packages of an operating system.
    Image(&'static str),
    /// A directory, such as `site-packages`.
    Directory(&'static str, ImagePath),
    /// One file: a program, a list of what one application has.
    File(&'static str, ImagePath),
}

impl Realm {
    fn of(stated: &Stated<'_>) -> Self {
        let Stated { path, found, .. } = stated;
        let parent = || path.parent().unwrap_or_default();
        match found.kind {
            "apk" | "deb" | "rpm" | "alpm" | "opkg" | "ebuild" => Self::Image(found.kind),
            "pypi" | "cran" | "luarocks" | "otp" => {
                Self::Directory(found.kind, found.location.clone().unwrap_or_else(parent))
            }
            "gem" | "conda" => Self::Directory(found.kind, parent()),
            _ => Self::File(found.kind, (*path).clone()),
        }
    }
}

/// Components of the paths by which packages of node are looked for: 10 million in an image, ten times what
/// five thousand packages take. Attack: packages two hundred directories deep, each with thousands of
/// dependencies that are not there.
const STEPS: usize = 10_000_000;

/// Edges of an image: 1 million; the largest real images have a twentieth. Attack: thousands of packages of a few
/// bytes each that all need what all of them provide.
const EDGES: usize = 1_000_000;

/// What each package needs, by index; none where its file does not say. A requirement that nothing in the
/// image fulfils is left out, as those of optional features are.
pub(super) fn resolve(
    stated: &[Stated<'_>],
    files: &FileSystem<'_>,
    count: usize,
) -> Vec<Option<BTreeSet<usize>>> {
    let mut named: HashMap<(Realm, String), Vec<usize>> = HashMap::new();
    let mut placed: HashMap<&ImagePath, usize> = HashMap::new();
    for one in stated {
        if one.found.kind == "npm" {
            if let Some(place) = &one.found.location {
                placed.insert(place, one.index);
            }
            continue;
        }
        let realm = Realm::of(one);
        let version = format!("{}@{}", one.found.name, one.found.version);
        let own = match one.found.kind {
            "pypi" => normalise_pypi(&one.found.name),
            _ => one.found.name.clone(),
        };
        for name in [own, version].into_iter().chain(one.found.provides.iter().cloned()) {
            named.entry((realm.clone(), name)).or_default().push(one.index);
        }
    }
    let mut needs = vec![None; count];
    let (mut steps, mut edges) = (STEPS, EDGES);
    for one in stated {
        let Some(requires) = &one.found.requires else { continue };
        let Some(needed) = needs.get_mut(one.index) else { continue };
        let mut found: BTreeSet<usize> = needed.take().unwrap_or_default();
        let realm = Realm::of(one);
        let mut add = |index: &usize| {
            edges = edges.checked_sub(1)?;
            found.insert(*index);
            Some(())
        };
        let mut resolve = |any_of: &[String]| match (one.found.kind, &one.found.location) {
            ("npm", Some(place)) => {
                let index = any_of.iter().find_map(|name| loaded(name, place, &placed, files, &mut steps));
                index.as_ref().map_or(Some(()), &mut add)
            }
            _ => {
                let of = |name: &String| named.get(&(realm.clone(), name.clone()));
                any_of.iter().find_map(of).into_iter().flatten().try_for_each(&mut add)
            }
        };
        // Where the limit is reached it is not known what it needs.
        let whole = requires.iter().try_for_each(|any_of| resolve(any_of));
        if whole.is_some() && steps > 0 {
            found.remove(&one.index);
            *needed = Some(found);
        }
    }
    needs
}

/// What node loads by a name from a directory (nodejs.org, "Loading from node_modules folders"): the first
/// `node_modules/NAME` on the way up. That may be a link, as pnpm makes them.
fn loaded(
    name: &str,
    from: &ImagePath,
    placed: &HashMap<&ImagePath, usize>,
    files: &FileSystem<'_>,
    steps: &mut usize,
) -> Option<usize> {
    let mut directory = Some(from.clone());
    while let Some(here) = directory {
        directory = here.parent();
        // Each is walked to its end where a link may be on the way.
        let length = here.components().count() + 2;
        let Some(left) = steps.checked_sub(length) else {
            *steps = 0;
            return None;
        };
        *steps = left;
        // Node does not look into `node_modules/node_modules`.
        if here.file_name() == b"node_modules" {
            continue;
        }
        let wanted =
            ImagePath::normalise(&[here.as_bytes(), b"node_modules", name.as_bytes()].join(&b'/')).ok()?;
        if let Some(index) = placed.get(&wanted) {
            return Some(*index);
        }
        if let Some((place, _)) = files.resolve(&wanted)
            && let Some(index) = placed.get(&place)
        {
            return Some(*index);
        }
    }
    None
}
