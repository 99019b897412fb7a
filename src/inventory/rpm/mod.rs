//! RPM's database in its three containers, and the manifest that Mariner's images have in its place.
//! The containers hold the same thing: one header blob a package (see `header.rs`).

mod bdb;
mod header;
mod manifest;
mod ndb;
mod package;
mod sqlite;
#[cfg(test)]
mod testing;

use std::borrow::Cow;

use crate::model::layer::Facts;
use crate::model::path::ImagePath;

use super::numbers::{array, size, u32_be, u32_le};
use super::{Cataloger, Unreadable};
use package::Collector;

/// Catalogs the files of a directory `rpm` wherever it lies: `/var/lib/rpm`, `/usr/lib/sysimage/rpm`,
/// `/usr/share/rpm` and those of nested roots.
pub(super) struct Rpm;

/// Which file of the database a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// BerkeleyDB, RPM 4.15 and older.
    Packages,
    /// NDB, SUSE.
    PackagesDb,
    /// `SQLite`, RPM 4.16 and newer.
    Sqlite,
    /// Changes that `SQLite` has not written into the database.
    WriteAhead,
    /// What `SQLite` has to take back from the database.
    Journal,
    Manifest,
}

/// A header blob in a container, and where it stands, for causes.
struct Record<'a> {
    at: String,
    header: Cow<'a, [u8]>,
}

/// What a container's reader answers for each of its records: the record, or why it cannot be read.
type Each<'e> = dyn FnMut(Result<Record<'_>, String>) + 'e;

impl Cataloger for Rpm {
    fn id(&self) -> &'static str {
        "rpm"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        part(path).is_some()
    }

    /// 256 MiB (design §7); a database of two thousand packages has 150.
    fn limit(&self) -> u64 {
        256 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let read: fn(&[u8], &mut Each<'_>) -> Result<(), Unreadable> = match part(path) {
            // Empty where `SQLite` was closed in order.
            Some(Part::WriteAhead | Part::Journal) if bytes.is_empty() => return Ok(Facts::default()),
            // Attack: packages that stand only here, or that a journal takes back.
            Some(Part::WriteAhead) => {
                return Err(Unreadable("holds changes that are not yet in the RPM database".into()));
            }
            Some(Part::Journal) => {
                return Err(Unreadable("a hot journal: the RPM database was not left in order".into()));
            }
            Some(Part::Manifest) => return Ok(manifest::read(bytes)),
            Some(Part::Packages) => bdb::read,
            Some(Part::PackagesDb) => ndb::read,
            Some(Part::Sqlite) => sqlite::read,
            None => return Err(Unreadable("no file of RPM's database".into())),
        };
        let mut collector = Collector::default();
        read(bytes, &mut |record| collector.add(record))?;
        Ok(collector.finish())
    }
}

fn part(path: &ImagePath) -> Option<Part> {
    let text = path.to_string();
    let (directory, name) = text.rsplit_once('/')?;
    let below = |wanted: &str| directory.split('/').any(|part| part == wanted);
    let part = match name {
        "container-manifest-2" => return below("rpmmanifest").then_some(Part::Manifest),
        "Packages" => Part::Packages,
        "Packages.db" => Part::PackagesDb,
        "rpmdb.sqlite" => Part::Sqlite,
        "rpmdb.sqlite-wal" => Part::WriteAhead,
        "rpmdb.sqlite-journal" => Part::Journal,
        _ => return None,
    };
    below("rpm").then_some(part)
}

/// The readers on arbitrary bytes, for the fuzzer: the first byte chooses the container.
pub(crate) fn fuzz(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let path = match choice % 5 {
        0 => "var/lib/rpm/Packages",
        1 => "var/lib/rpm/Packages.db",
        2 => "var/lib/rpm/rpmdb.sqlite",
        3 => "var/lib/rpmmanifest/container-manifest-2",
        _ => {
            let mut collector = Collector::default();
            collector.add(Ok(Record { at: "fuzz".into(), header: bytes.into() }));
            return;
        }
    };
    if let Ok(path) = ImagePath::normalise(path.as_bytes()) {
        let _ = Rpm.parse(&path, bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(path: &str, bytes: &[u8]) -> Result<Facts, Unreadable> {
        Rpm.parse(&path.into(), bytes)
    }

    /// No tool here writes these formats any more. They are seeds of the fuzzer.
    #[test]
    fn the_samples_in_testdata_are_what_the_writers_make() {
        let [(_, bdb), (_, ndb), _, _] = testing::samples().try_into().unwrap();
        assert!(bdb == include_bytes!("../../../testdata/inventory/rpm/Packages"));
        assert!(ndb == include_bytes!("../../../testdata/inventory/rpm/Packages.db"));
    }

    #[test]
    fn files_of_the_database_are_wanted_wherever_it_lies() {
        for path in [
            "var/lib/rpm/Packages",
            "usr/lib/sysimage/rpm/Packages.db",
            "usr/share/rpm/rpmdb.sqlite",
            "srv/jail/var/lib/rpm/rpmdb.sqlite",
            "rpm/Packages",
            "var/lib/rpm/rpmdb.sqlite-wal",
            "var/lib/rpm/rpmdb.sqlite-journal",
            "var/lib/rpmmanifest/container-manifest-2",
        ] {
            assert!(Rpm.wants(&path.into(), b""), "{path}");
        }
        assert!(Rpm.wants(&ImagePath::normalise(b"opt/\xff/rpm/Packages").unwrap(), b""));
        for path in [
            "var/lib/rpm/Name",
            "var/lib/rpm/rpmdb.sqlite-shm",
            "srv/Packages",
            "Packages",
            "lib/xrpm/Packages",
        ] {
            assert!(!Rpm.wants(&path.into(), b""), "{path}");
        }
    }

    #[test]
    fn a_database_without_content_is_not_empty_but_unreadable() {
        for path in ["var/lib/rpm/Packages", "var/lib/rpm/Packages.db", "var/lib/rpm/rpmdb.sqlite"] {
            for bytes in [&b""[..], b"garbage", &[0; 8192]] {
                assert!(parse(path, bytes).is_err(), "{path}");
            }
        }
    }

    #[test]
    fn changes_beside_the_database_cannot_be_read() {
        for path in ["var/lib/rpm/rpmdb.sqlite-wal", "var/lib/rpm/rpmdb.sqlite-journal"] {
            assert_eq!(parse(path, b""), Ok(Facts::default()));
            assert!(parse(path, b"x").is_err());
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            fuzz(&bytes);
        }

        #[test]
        fn flipped_bytes_never_panic(
            which in 0..4_usize,
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        ) {
            let (path, mut bytes) = testing::samples().swap_remove(which);
            for (at, byte) in flips {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = parse(path, &bytes);
        }

        #[test]
        fn a_file_that_was_cut_never_passes_for_whole(which in 0..3_usize, at in any::<prop::sample::Index>()) {
            let (path, bytes) = testing::samples().swap_remove(which);
            let cut = at.index(bytes.len());
            if let Ok(facts) = parse(path, &bytes[..cut]) {
                prop_assert!(!facts.unreadable.is_empty(), "{path} cut at {cut}");
            }
        }
    }
}
