//! What the entries of a layer tell by themselves: paths that stand twice, links that climb out, names that
//! differ only in case.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::check::{Found, PlatformLayers};
use crate::model::layer::Entry;
use crate::model::path::{ImagePath, escape};
use crate::model::violation::CheckSeverity;

use super::{At, table};

/// Collisions that are named in one violation.
const EXAMPLES: usize = 3;

/// Bytes of directory names that are compared with links: 256 MiB. Attack: hundreds of thousands of names,
/// each hundreds of directories deep.
const WORK: usize = 256 << 20;

pub(super) fn look(at: &mut At<'_, '_>) {
    twice(at);
    case(at);
    climbing(at);
}

/// What an entry makes of its path.
fn kind(entry: &Entry) -> Option<&'static str> {
    match entry {
        Entry::File { .. } | Entry::Overwritten { .. } => Some("a file"),
        Entry::Directory => Some("a directory"),
        Entry::Symlink { .. } => Some("a symbolic link"),
        Entry::HardLink { .. } => Some("a hard link"),
        Entry::Special => Some("a special file"),
        Entry::Whiteout | Entry::Opaque => None,
    }
}

fn twice(at: &mut At<'_, '_>) {
    let mut seen: HashMap<&ImagePath, &'static str> = HashMap::new();
    for (path, entry) in &at.layer.inventory.entries {
        let Some(kind) = kind(entry) else { continue };
        if let Some(before) = seen.insert(path, kind)
            && before != kind
        {
            at.add(&table::TWICE, CheckSeverity::High, path, format!("first {before}, then {kind}"));
        }
    }
}

fn folded(path: &ImagePath) -> u64 {
    let mut hasher = DefaultHasher::new();
    match path.to_str() {
        Some(text) => text.chars().flat_map(char::to_lowercase).for_each(|c| c.hash(&mut hasher)),
        None => path.as_bytes().to_ascii_lowercase().hash(&mut hasher),
    }
    hasher.finish()
}

/// One violation a layer: file systems of terminals and kernels have hundreds.
fn case(at: &mut At<'_, '_>) {
    let mut seen: HashMap<u64, &ImagePath> = HashMap::new();
    let mut examples: Vec<String> = Vec::new();
    let mut count = 0_usize;
    for (path, entry) in &at.layer.inventory.entries {
        if kind(entry).is_none() {
            continue;
        }
        let other = *seen.entry(folded(path)).or_insert(path);
        // What lies below two such directories need not be named as well.
        if other != path && other.parent() == path.parent() {
            count += 1;
            if examples.len() < EXAMPLES {
                examples.push(format!("`{other}` and `{path}`"));
            }
        }
    }
    if count > 0 {
        let message =
            format!("{count} paths differ from another only in case, such as {}", examples.join(", "));
        at.add(&table::CASE, CheckSeverity::Low, &ImagePath::root(), message);
    }
}

/// Whether a symbolic link's target climbs above the root. An absolute target is one inside the image.
fn climbs(path: &ImagePath, target: &[u8]) -> bool {
    let mut depth = if target.starts_with(b"/") { 0 } else { path.components().count().saturating_sub(1) };
    for part in target.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if depth == 0 => return true,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

fn climbing(at: &mut At<'_, '_>) {
    for (path, entry) in &at.layer.inventory.entries {
        if let Entry::Symlink { target } = entry
            && climbs(path, target)
        {
            let shown = escape(target.get(..200).unwrap_or(target));
            let message = format!("a symbolic link to `{shown}`, which climbs above the image's root");
            at.add(&table::LINK, CheckSeverity::Medium, path, message);
        }
    }
}

/// Entries below a symbolic link that leads out, whichever layer made it, and below one of their own layer.
/// Below other links of lower layers entries are usual (`/lib` of Debian).
pub(super) fn written_through(image: &PlatformLayers, found: &mut Found) {
    let mut out: HashSet<&ImagePath> = HashSet::new();
    let mut seen = HashSet::new();
    let mut work = 0_usize;
    for (index, layer) in image.layers.iter().enumerate() {
        if !seen.insert((&layer.verified.digest, &layer.diff_id)) {
            continue;
        }
        let mut own: HashSet<&ImagePath> = HashSet::new();
        for (path, entry) in &layer.inventory.entries {
            if let Entry::Symlink { target } = entry {
                own.insert(path);
                if climbs(path, target) {
                    out.insert(path);
                }
            } else if kind(entry).is_some() {
                own.remove(path);
                out.remove(path);
            }
            if own.is_empty() && out.is_empty() {
                continue;
            }
            let mut parent = path.parent();
            while let Some(directory) = parent.filter(|directory| !directory.is_root()) {
                work = work.saturating_add(directory.as_bytes().len());
                if work > WORK {
                    let cause = format!("more than {WORK} bytes of names below links (limit `work`)");
                    return found.unseen(format!("image {}", image.platform), cause);
                }
                let is_out = out.contains(&directory);
                if is_out || own.contains(&directory) {
                    let whither = if is_out { ", which leads out of the image" } else { " of its own layer" };
                    At::of(image, index, found, |at| {
                        let message = format!("written through the symbolic link `{directory}`{whither}");
                        at.add(&table::LINK, CheckSeverity::High, path, message);
                    });
                    break;
                }
                parent = directory.parent();
            }
        }
    }
}
