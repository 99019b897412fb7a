//! pacman's database of installed packages (libalpm, `be_local.c`).

use crate::model::layer::{Facts, FoundPackage, OwnedPaths};
use crate::model::path::ImagePath;

use super::words::{is_word, word};
use super::{Cataloger, Unreadable};

/// Catalogs `lib/pacman/local/NAME-VERSION-RELEASE/desc`, and `files` beside it for what is owned.
pub(super) struct Pacman;

impl Cataloger for Pacman {
    fn id(&self) -> &'static str {
        "pacman"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        let mut parts = path.components().rev();
        matches!(parts.next(), Some(b"desc" | b"files"))
            && parts.next().is_some()
            && [b"local".as_slice(), b"pacman", b"lib"].into_iter().all(|part| parts.next() == Some(part))
    }

    /// 64 MiB: the file list of the largest packages has a few.
    fn limit(&self) -> u64 {
        64 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        if path.file_name() == b"files" {
            return Ok(owned(path, bytes));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Unreadable("not UTF-8".into()))?;
        let one = |name| one(text, name);
        let names = |name| field(text, name).filter_map(plain).collect::<Vec<_>>();
        let package = FoundPackage {
            kind: "alpm",
            name: word("name", one("%NAME%")?).map_err(Unreadable)?,
            version: word("version", one("%VERSION%")?).map_err(Unreadable)?,
            arch: one("%ARCH%")?.filter(|arch| is_word(arch)).map(str::to_owned),
            source_name: one("%BASE%")?.filter(|base| is_word(base)).map(str::to_owned),
            licenses: field(text, "%LICENSE%").map(str::to_owned).collect(),
            supplier: one("%PACKAGER%")?.filter(|name| !name.contains(char::is_control)).map(str::to_owned),
            requires: Some(names("%DEPENDS%").into_iter().map(|name| vec![name]).collect()),
            provides: names("%PROVIDES%"),
            ..FoundPackage::default()
        };
        Ok(Facts { packages: vec![package], ..Facts::default() })
    }
}

/// The values of a field: the lines from its name to the next empty one.
fn field<'a>(text: &'a str, name: &'static str) -> impl Iterator<Item = &'a str> {
    let mut inside = false;
    text.lines().map(str::trim).filter(move |line| {
        let was = inside;
        inside = if inside { !line.is_empty() } else { *line == name };
        was && inside
    })
}

/// The value of a field. libalpm takes the last of a field that stands twice; two of these are refused.
fn one<'a>(text: &'a str, name: &'static str) -> Result<Option<&'a str>, Unreadable> {
    let mut values = field(text, name);
    let value = values.next();
    match values.next() {
        Some(_) => Err(Unreadable(format!("{name} has two values"))),
        None => Ok(value),
    }
}

/// A name without the version that it needs or gives: `glibc>=2.27`, `libz.so=1-64`.
fn plain(text: &str) -> Option<String> {
    let name = text.split(['<', '>', '=', ':']).next()?;
    is_word(name).then(|| name.to_owned())
}

/// The paths of `%FILES%`; the package's name is that of the directory, less version and release.
fn owned(path: &ImagePath, bytes: &[u8]) -> Facts {
    let directory = path.parent().unwrap_or_default();
    let name = String::from_utf8_lossy(directory.file_name());
    let Some((name, _)) = name.rsplit_once('-').and_then(|(name, _)| name.rsplit_once('-')) else {
        return Facts::default();
    };
    let lines = bytes.split(|byte| *byte == b'\n').skip_while(|line| *line != b"%FILES%").skip(1);
    let paths = lines
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.ends_with(b"/"))
        .filter_map(|line| ImagePath::normalise(line).ok())
        .collect();
    let mut facts = Facts::default();
    facts.own(OwnedPaths { package: name.to_owned(), arch: None, paths });
    facts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(file: &str, bytes: &[u8]) -> Result<Facts, Unreadable> {
        Pacman.parse(&format!("var/lib/pacman/local/lib-demo-1:1.2-3/{file}").as_str().into(), bytes)
    }

    #[test]
    fn a_description_names_its_package() {
        let found =
            parse("desc", include_bytes!("../../testdata/inventory/pacman/desc")).unwrap().packages.remove(0);
        assert_eq!((found.name.as_str(), found.version.as_str()), ("lib-demo", "1:1.2-3"));
        assert_eq!((found.arch.as_deref(), found.source_name.as_deref()), (Some("x86_64"), Some("demo")));
        assert_eq!(found.licenses, ["GPL-2.0-or-later", "custom:two words"]);
        assert_eq!(found.requires.unwrap().concat(), ["glibc", "sh"]);
        assert_eq!(found.provides, ["libdemo.so"]);
        assert_eq!(found.supplier.as_deref(), Some("A B <a@example.org>"));
    }

    #[test]
    fn a_file_list_says_what_is_owned() {
        let facts =
            parse("files", b"%FILES%\nusr/\nusr/bin/demo\n../x\n\n%BACKUP%\netc/demo\tabc\n").unwrap();
        assert_eq!(facts.owned[0].package, "lib-demo");
        assert_eq!(facts.owned[0].paths, ["usr/bin/demo".into()]);
    }

    #[test]
    fn a_description_without_name_or_version_is_unreadable() {
        let cause = |text: &str| parse("desc", text.as_bytes()).unwrap_err().0;
        assert_eq!(cause(""), "it has no name");
        assert_eq!(cause("%NAME%\na\n"), "it has no version");
        assert_eq!(cause("%NAME%\na b\n"), "its name is no word: `a b`");
        assert_eq!(cause("%NAME%\na\n\n%NAME%\nb\n"), "%NAME% has two values");
        assert_eq!(parse("desc", b"%NAME%\n\xff\n").unwrap_err().0, "not UTF-8");
    }

    #[test]
    fn only_files_of_the_database_are_wanted() {
        let wants = |path: &str| Pacman.wants(&path.into(), b"");
        assert!(wants("var/lib/pacman/local/a-1-1/desc") && wants("mnt/var/lib/pacman/local/a-1-1/files"));
        assert!(!wants("var/lib/pacman/local/ALPM_DB_VERSION") && !wants("var/lib/pacman/local/desc"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for file in ["desc", "files"] {
                let _ = parse(file, &bytes).is_ok();
            }
        }
    }
}
