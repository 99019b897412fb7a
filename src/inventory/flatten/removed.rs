//! What was removed: packages of lower layers that the final file system does not have.

use std::collections::{BTreeMap, HashMap};

use crate::inventory::purls;
use crate::model::fault::Gap;
use crate::model::inventory::{MAX_REMOVED, Package, Removed};
use crate::model::layer::{Distro, FoundPackage};
use crate::model::path::ImagePath;

use super::{Introduced, Key, SELF, State};

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
    let mut there: HashMap<(&str, &str), Vec<&Package>> = HashMap::new();
    for package in packages {
        there.entry((package.kind, package.name.as_str())).or_default().push(package);
    }
    let removed = gone.into_iter().map(|(key, (found, path, until))| {
        let same = there.get(&(found.kind, found.name.as_str())).into_iter().flatten();
        // Of a package that is installed in many directories, only the one in its place replaces it.
        let mut replaced_by: Vec<String> = same
            .filter(|package| key.location.is_none() || package.locations.contains(path))
            .filter(|package| package.arch == found.arch)
            .map(|package| package.version.clone())
            .collect();
        replaced_by.sort();
        replaced_by.dedup();
        Removed {
            purl: purls::purl(found, distro),
            name: found.name.clone(),
            version: found.version.clone(),
            kind: found.kind,
            location: path.clone(),
            layer: introduced.before(&key, until),
            removed_by: until,
            replaced_by,
        }
    });
    removed.collect()
}
