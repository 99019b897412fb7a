//! Databases of the stores of Nix and Guix: which paths are valid, and what each refers to (Nix manual, "Store
//! Path" and `src/libstore/schema.sql`, which Guix has in an older form). A path names its package by a
//! convention of Nixpkgs only, so that every package is a guess.

use std::collections::BTreeMap;

use crate::model::layer::{Facts, FoundPackage, MAX_PACKAGES, MAX_UNREADABLE};
use crate::model::path::{ImagePath, escape};

use super::sqlite::{Database, Table, columns, integer, text};
use super::words::is_word;
use super::{Cataloger, Unreadable};

/// Catalogs `var/nix/db/db.sqlite` and `var/guix/db/db.sqlite`. A store path without a version in its name is
/// no package: a script, a configuration, an environment.
pub(super) struct Nix;

/// The last columns differ between versions; those that are read come first.
const PATHS: Table = Table {
    name: "ValidPaths",
    created: |sql| {
        sql.starts_with(
            "createtablevalidpaths(idintegerprimarykeyautoincrementnotnull,pathtextuniquenotnull,hashtextnotnull,",
        ) && sql.contains("registrationtimeintegernotnull,derivertext,")
    },
};

const REFERENCES: Table = Table {
    name: "Refs",
    created: |sql| {
        sql.starts_with(
            "createtablerefs(referrerintegernotnull,referenceintegernotnull,primarykey(referrer,reference)",
        ) && !sql.ends_with("withoutrowid")
    },
};

/// Outputs that Nixpkgs gives to packages, where no derivation says it.
const OUTPUTS: &[&str] =
    &["bin", "data", "debug", "dev", "devdoc", "doc", "info", "lib", "man", "out", "static"];

/// Characters of the digest at the front of a store path's name.
const DIGEST: usize = 32;

/// References of a database: 300,000; a desktop has a third.
const MAX_REFERENCES: usize = 300_000;

impl Cataloger for Nix {
    fn id(&self) -> &'static str {
        "nix"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        let mut parts = path.components().rev();
        parts
            .next()
            .is_some_and(|name| matches!(name, b"db.sqlite" | b"db.sqlite-wal" | b"db.sqlite-journal"))
            && parts.next() == Some(b"db")
            && matches!(parts.next(), Some(b"nix" | b"guix"))
            && parts.next() == Some(b"var")
    }

    /// 256 MiB; a store of ten thousand paths has 20.
    fn limit(&self) -> u64 {
        256 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        if path.file_name() != b"db.sqlite" {
            // Empty where `SQLite` was closed in order. Attack: packages that stand only here.
            return match bytes {
                [] => Ok(Facts::default()),
                _ => Err(Unreadable("holds changes that are not yet in the store's database".into())),
            };
        }
        let (mut database, [paths, references]) = Database::open(bytes, [&PATHS, &REFERENCES])?;
        let mut facts = Facts::default();
        database.cut.take().into_iter().for_each(|cause| facts.blame(cause));
        let mut causes = Vec::new();
        let known = known(&mut database, paths, &mut causes);
        let needed = needed(&mut database, references, &mut causes);
        causes.into_iter().for_each(|cause| facts.blame(cause));
        let name = |key: &u64| known.get(key).map(|(name, _)| vec![name.clone()]);
        for (key, (_, package)) in &known {
            let Some(mut package) = package.clone() else { continue };
            package.requires = Some(needed.get(key).into_iter().flatten().filter_map(name).collect());
            facts.add(package);
        }
        Ok(facts)
    }
}

/// By the row's key: the name of the store path, and its package if it is one.
type Known = BTreeMap<u64, (String, Option<FoundPackage>)>;

fn known(database: &mut Database<'_>, root: u32, causes: &mut Vec<String>) -> Known {
    let mut known = Known::new();
    database.rows(root, &mut |row| {
        let read = row
            .and_then(|(key, row)| Ok((key, valid(&row).map_err(|cause| format!("path {key}: {cause}"))?)));
        match read {
            Ok((key, path)) if known.len() < MAX_PACKAGES => drop(known.insert(key, path)),
            Ok(_) => note(causes, format!("more than {MAX_PACKAGES} paths (limit `packages of a file`)")),
            Err(cause) => note(causes, cause),
        }
    });
    known
}

/// What refers to what, by the rows' keys. What is beyond the limit is left out: it changes no verdict.
fn needed(database: &mut Database<'_>, root: u32, causes: &mut Vec<String>) -> BTreeMap<u64, Vec<u64>> {
    let mut needed: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    let mut count = 0_usize;
    database.rows(root, &mut |row| match row.map(|(_, row)| reference(&row)) {
        Ok(Some((from, to))) => {
            count += 1;
            if from != to && count <= MAX_REFERENCES {
                needed.entry(from).or_default().push(to);
            }
        }
        Ok(None) => note(causes, "a reference that is none".into()),
        Err(cause) => note(causes, cause),
    });
    needed
}

/// Adds a cause, as long as [`Facts::blame`] would.
fn note(causes: &mut Vec<String>, cause: String) {
    if causes.len() <= MAX_UNREADABLE && causes.last() != Some(&cause) {
        causes.push(cause);
    }
}

/// A row of `ValidPaths`: the name of the path, and the package that it is of.
fn valid(payload: &[u8]) -> Result<(String, Option<FoundPackage>), String> {
    let columns = columns(payload).ok_or("a row that is no path")?;
    let column = |index: usize| columns.get(index).and_then(|column| text(*column));
    let path = column(1).ok_or("a row that is no path")?;
    let shown = || escape(path.as_bytes().get(..200).unwrap_or(path.as_bytes()));
    let (directory, name) = path.rsplit_once('/').unwrap_or_default();
    let (digest, title) = name
        .split_at_checked(DIGEST)
        .filter(|(digest, _)| digest.bytes().all(|b| b.is_ascii_alphanumeric()))
        .and_then(|(digest, rest)| Some((digest, rest.strip_prefix('-')?)))
        .filter(|(_, title)| directory.ends_with("/store") && is_word(title))
        .ok_or_else(|| format!("no path of a store: `{}`", shown()))?;
    let deriver = column(4);
    let derivation = deriver.as_deref().and_then(|path| {
        let (_, name) = path.rsplit_once('/')?;
        name.get(DIGEST + 1..)?.strip_suffix(".drv")
    });
    let package = (!title.ends_with(".drv")).then(|| split(title, derivation)).flatten();
    let location =
        ImagePath::normalise(path.as_bytes()).map_err(|_| format!("it leads out: `{}`", shown()))?;
    let package = package.map(|(package, version, output)| FoundPackage {
        kind: "nix",
        name: package.to_owned(),
        version: version.to_owned(),
        location: Some(location),
        guessed: true,
        qualifiers: [("outputhash", digest), ("output", output)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key, value.to_owned()))
            .collect(),
        provides: vec![name.to_owned()],
        ..FoundPackage::default()
    });
    Ok((name.to_owned(), package))
}

/// Name, version and output: the version begins behind the first hyphen that no letter follows (Nix manual,
/// `builtins.parseDrvName`); the output stands behind the name of the derivation.
fn split<'t>(title: &'t str, derivation: Option<&str>) -> Option<(&'t str, &'t str, &'t str)> {
    let end = derivation.and_then(|derivation| title.strip_prefix(derivation));
    let (plain, output) = match end {
        Some("") => (title, ""),
        Some(rest) if rest.starts_with('-') => title.split_at_checked(title.len() - rest.len())?,
        Some(_) | None => match title.rsplit_once('-') {
            Some((plain, output)) if OUTPUTS.contains(&output) => (plain, output),
            Some(_) | None => (title, ""),
        },
    };
    let starts = |at: &usize| {
        plain.get(at + 1..).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphabetic()))
    };
    let at = plain.match_indices('-').map(|(at, _)| at).find(starts)?;
    let (name, version) = (plain.get(..at)?, plain.get(at + 1..)?);
    (!name.is_empty() && !version.is_empty()).then(|| (name, version, output.trim_start_matches('-')))
}

/// A row of `Refs`: who refers to whom.
fn reference(payload: &[u8]) -> Option<(u64, u64)> {
    match columns(payload)?.as_slice() {
        [from, to] => Some((u64::from(integer(*from)?), u64::from(integer(*to)?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DATABASE: &[u8] = include_bytes!("../../testdata/inventory/nix/db.sqlite");

    fn parse(bytes: &[u8]) -> Result<Facts, Unreadable> {
        Nix.parse(&"nix/var/nix/db/db.sqlite".into(), bytes)
    }

    #[test]
    fn valid_paths_are_packages_with_what_they_refer_to() {
        let facts = parse(DATABASE).unwrap();
        assert_eq!(facts.unreadable, [""; 0]);
        let found: Vec<_> = facts
            .packages
            .iter()
            .map(|p| (p.name.as_str(), p.version.as_str(), p.qualifiers.get("output").map(String::as_str)))
            .collect();
        let want = [
            ("demo-lib", "1.2.3", None),
            ("demo-lib", "1.2.3", Some("dev")),
            ("tool", "2.34-210", Some("bin")),
        ];
        assert_eq!(found, want);
        assert!(facts.packages.iter().all(|package| package.guessed && package.kind == "nix"));
        assert_eq!(facts.packages[0].qualifiers["outputhash"], "0123456789abcdfghijklmnpqrsvwxyz");
        assert_eq!(facts.packages[2].requires, Some(vec![facts.packages[0].provides.clone()]));
        assert_eq!(
            facts.packages[0].location,
            Some("nix/store/0123456789abcdfghijklmnpqrsvwxyz-demo-lib-1.2.3".into())
        );
    }

    #[test]
    fn names_are_split_as_nix_does() {
        assert_eq!(split("perl5.36-Some-Module-1.0", None), Some(("perl5.36-Some-Module", "1.0", "")));
        assert_eq!(split("x-2.0-custom", Some("x-2.0")), Some(("x", "2.0", "custom")));
        assert_eq!(split("x-2.0-custom", None), Some(("x", "2.0-custom", "")));
        assert_eq!(split("x-unstable-2023-01-02-doc", None), Some(("x-unstable", "2023-01-02", "doc")));
        for title in ["setup-hook.sh", "profile", "-1", "x-"] {
            assert_eq!(split(title, None), None, "{title}");
        }
    }

    #[test]
    fn a_database_that_is_none_or_cut_is_no_empty_one() {
        for bytes in [&b""[..], b"SQLite format 3\0", &[0; 4096]] {
            assert!(parse(bytes).is_err());
        }
        for length in [512, 1024, DATABASE.len() - 512, DATABASE.len() - 1] {
            let read = parse(&DATABASE[..length]);
            assert!(read.is_err() || !read.unwrap().unreadable.is_empty(), "{length}");
        }
        // A path stands in the table and in the index of its column.
        let swap = |from: &[u8], to: &[u8]| {
            let mut bytes = DATABASE.to_vec();
            for at in memchr::memmem::find_iter(DATABASE, from) {
                bytes[at..at + to.len()].copy_from_slice(to);
            }
            bytes
        };
        assert!(parse(&swap(b"path             text", b"decoy            text")).is_err());
        let facts = parse(&swap(b"/nix/store/3123456789", b"/nix/store/31234/6789")).unwrap();
        assert_eq!((facts.packages.len(), facts.unreadable.len()), (2, 1));
    }

    #[test]
    fn changes_beside_the_database_cannot_be_read() {
        for file in ["db.sqlite-wal", "db.sqlite-journal"] {
            let path = ImagePath::from(format!("var/guix/db/{file}").as_str());
            assert!(Nix.wants(&path, b""));
            assert_eq!(Nix.parse(&path, b""), Ok(Facts::default()));
            assert!(Nix.parse(&path, b"x").is_err());
        }
    }

    #[test]
    fn only_databases_of_stores_are_wanted() {
        assert!(
            Nix.wants(&"nix/var/nix/db/db.sqlite".into(), b"")
                && Nix.wants(&"var/guix/db/db.sqlite".into(), b"")
        );
        assert!(!Nix.wants(&"srv/db/db.sqlite".into(), b"") && !Nix.wants(&"var/nix/db.sqlite".into(), b""));
    }

    proptest! {
        #[test]
        fn flipped_bytes_never_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12), title in "[a-z0-9.-]{0,30}") {
            let mut bytes = DATABASE.to_vec();
            for (at, byte) in flips {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = parse(&bytes).is_ok();
            let _ = (split(&title, None), split(&title, Some("a-1")));
        }
    }
}
