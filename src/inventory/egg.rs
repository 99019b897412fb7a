//! Python distributions in one file (setuptools, "The Internal Structure of Python Eggs").

use crate::model::layer::Facts;
use crate::model::path::{ImagePath, escape};

use super::archive::{Archive, Budget};
use super::pypi::Pypi;
use super::{Cataloger, Unreadable};

/// Catalogs `*.egg` files: the metadata in them is read as if the egg were a directory.
pub(super) struct Egg;

impl Cataloger for Egg {
    fn id(&self) -> &'static str {
        "egg"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        path.file_name().to_ascii_lowercase().ends_with(b".egg")
    }

    /// 256 MiB, as of other archives; real ones have some megabytes.
    fn limit(&self) -> u64 {
        256 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let facts = members(&Pypi, path, bytes)?;
        // Attack: metadata in a place where only Python finds it.
        if facts.packages.is_empty() && facts.unreadable.is_empty() {
            return Err(Unreadable("it has no EGG-INFO/PKG-INFO".into()));
        }
        Ok(facts)
    }
}

/// What a cataloger of single files says of those in an archive, whose name stands for a directory.
pub(super) fn members(of: &dyn Cataloger, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
    let archive = Archive::open(bytes).map_err(Unreadable)?;
    let mut facts = Facts::default();
    let mut budget = Budget::default();
    archive.faults.iter().for_each(|fault| facts.blame(fault.clone()));
    for entry in &archive.entries {
        let shown = || escape(entry.name.get(..200).unwrap_or(entry.name));
        let Ok(name) = ImagePath::normalise(&entry.path()) else {
            facts.blame(format!("`{}`: its name leads out of the archive", shown()));
            continue;
        };
        let member = path.join(name.as_bytes());
        if name.is_root() || !of.wants(&member, b"") {
            continue;
        }
        // Attack: a hundred thousand packages, each with a path of kilobytes.
        let read = budget
            .take(member.as_bytes().len() as u64)
            .and_then(|()| archive.read(entry, of.limit(), &mut budget))
            .and_then(|content| of.parse(&member, &content).map_err(|unreadable| unreadable.0));
        match read {
            Ok(found) => {
                found.packages.into_iter().for_each(|package| facts.add(package));
                found.unreadable.into_iter().for_each(|cause| facts.blame(cause));
            }
            Err(cause) => facts.blame(format!("`{}`: {cause}", shown())),
        }
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inventory::archive::tests::zip;

    const PATH: &str = "usr/lib/python3/site-packages/demo-1.0-py3.8.egg";

    #[test]
    fn an_egg_is_read_as_the_directory_it_stands_for() {
        let bytes = include_bytes!("../../testdata/inventory/egg/demo.egg");
        let facts = Egg.parse(&PATH.into(), bytes).unwrap();
        let found: Vec<_> = facts.packages.iter().map(|p| (p.name.as_str(), p.version.as_str())).collect();
        assert_eq!(found, [("Demo", "1.0"), ("six", "1.0")]);
        assert_eq!(facts.packages[0].location, Some("usr/lib/python3/site-packages".into()));
        assert!(facts.packages[0].vendored_in.is_none() && facts.packages[1].vendored_in.is_some());
        assert_eq!(facts.unreadable, [""; 0]);
    }

    #[test]
    fn only_files_named_egg_are_wanted() {
        assert!(Egg.wants(&PATH.into(), b"") && Egg.wants(&"x/A.EGG".into(), b""));
        assert!(!Egg.wants(&"x/a.egg-info".into(), b"") && !Egg.wants(&"a.egg/x".into(), b""));
    }

    #[test]
    fn an_egg_that_does_not_say_what_it_is_is_unreadable() {
        let cause = |bytes: &[u8]| Egg.parse(&PATH.into(), bytes).unwrap_err().0;
        assert_eq!(cause(b""), "an empty file");
        assert_eq!(cause(b"#!/usr/bin/python"), "no zip archive");
        assert_eq!(cause(&zip(&[("demo/__init__.py", "")])), "it has no EGG-INFO/PKG-INFO");
        let broken = zip(&[("EGG-INFO/PKG-INFO", "Name: a\n"), ("../x", "")]);
        assert_eq!(
            Egg.parse(&PATH.into(), &broken).unwrap().unreadable,
            ["`EGG-INFO/PKG-INFO`: it has no Version", "`../x`: its name leads out of the archive"]
        );
    }

    proptest! {
        #[test]
        fn a_mutated_egg_never_panics(at in 0..200_usize, byte in any::<u8>()) {
            let mut bytes = zip(&[("EGG-INFO/PKG-INFO", "Name: a\nVersion: 1\n")]);
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Egg.parse(&PATH.into(), &bytes).is_ok();
        }
    }
}
