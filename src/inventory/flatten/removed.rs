//! What was removed: packages of lower layers that the final file system does not have.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::inventory::purls;
use crate::model::fault::Gap;
use crate::model::inventory::{MAX_REMOVED, Package, Removed};
use crate::model::layer::{Distro, FoundPackage};
use crate::model::path::ImagePath;

use super::{Introduced, Key, SELF, State};

/// Versions of one package that are named as its replacement: 10. Attack: thousands of versions of one name, each
/// of which thousands of others replace.
const NAMED: usize = 10;

/// What is there, by what it could replace.
struct There<'a> {
    /// Packages of a database, by type, name and architecture.
    listed: HashMap<(&'a str, &'a str, Option<&'a str>), BTreeSet<&'a str>>,
    /// Others, by type, name and the file that proves them: of a package that is installed in many directories,
    /// only the one in its place replaces it.
    placed: HashMap<(&'a str, &'a str, &'a ImagePath), BTreeSet<&'a str>>,
}

impl<'a> There<'a> {
    fn of(packages: &'a [Package]) -> Self {
        let mut new = Self { listed: HashMap::new(), placed: HashMap::new() };
        let add = |versions: &mut BTreeSet<&'a str>, package: &'a Package| {
            if versions.len() < NAMED {
                versions.insert(&package.version);
            }
        };
        for package in packages {
            let (kind, name) = (package.kind, package.name.as_str());
            add(new.listed.entry((kind, name, package.arch.as_deref())).or_default(), package);
            for path in &package.locations {
                add(new.placed.entry((kind, name, path)).or_default(), package);
            }
        }
        new
    }

    /// Versions that are there instead of a package that was told by a file.
    fn instead(&self, key: &Key, path: &ImagePath) -> Vec<String> {
        let versions = match key.location {
            None => self.listed.get(&(key.kind, key.name.as_str(), key.arch.as_deref())),
            Some(_) => self.placed.get(&(key.kind, key.name.as_str(), path)),
        };
        versions.into_iter().flatten().map(|version| (*version).to_owned()).collect()
    }
}

/// The packages that were taken away. Where there are too many, a warning says how many more.
pub(super) fn of(
    states: &[State<'_, '_>],
    introduced: &Introduced,
    packages: &[Package],
    distro: Option<&Distro>,
    warnings: &mut Vec<Gap>,
) -> Vec<Removed> {
    let mut gone: BTreeMap<Key, (&FoundPackage, &ImagePath, usize)> = BTreeMap::new();
    let mut more = 0_usize;
    for state in states.iter().filter(|state| state.until < introduced.1) {
        for package in &state.facts.packages {
            let key = Key::of(package, state.path);
            if introduced.end(&key) != state.until || gone.contains_key(&key) {
                continue;
            }
            if gone.len() < MAX_REMOVED {
                gone.insert(key, (package, state.path, state.until));
            } else {
                more += 1;
            }
        }
    }
    if more > 0 {
        let layer = introduced.1.saturating_sub(1);
        let cause = format!("more than {MAX_REMOVED} packages were removed: at most {more} are not named");
        let (path, cataloger) = (ImagePath::root(), SELF.to_owned());
        warnings.push(Gap { path, layer, cataloger, cause, platform: None });
    }
    let there = There::of(packages);
    let removed = gone.into_iter().map(|(key, (found, path, until))| Removed {
        purl: purls::purl(found, distro),
        name: found.name.clone(),
        version: found.version.clone(),
        kind: found.kind,
        location: path.clone(),
        layer: introduced.before(&key, until),
        removed_by: until,
        replaced_by: there.instead(&key, path),
    });
    removed.collect()
}
