//! Portage's database of installed packages: a directory a package, a file a fact (Gentoo's Package Manager
//! Specification, "Names and Versions" and "Dependency Specification Format"; portage(5), `/var/db/pkg`).

use crate::model::layer::{Facts, FoundPackage, OwnedPaths, Requirement};
use crate::model::path::{ImagePath, escape};

use super::words::is_word;
use super::{Cataloger, Unreadable};

/// Catalogs `db/pkg/CATEGORY/NAME-VERSION/`: what is owned (`CONTENTS`), the licence, and what is needed at
/// run time. Each of the files states the package, so that none can be taken away to hide it.
pub(super) struct Portage;

const FILES: &[&[u8]] = &[b"CONTENTS", b"LICENSE", b"PF", b"RDEPEND"];

/// The longest licence expression: 64 KiB.
const LICENSE: usize = 64 << 10;

impl Cataloger for Portage {
    fn id(&self) -> &'static str {
        "portage"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        let mut parts = path.components().rev();
        parts.next().is_some_and(|file| FILES.contains(&file))
            && parts.next().is_some()
            && parts.next().is_some()
            && [b"pkg".as_slice(), b"db"].into_iter().all(|part| parts.next() == Some(part))
    }

    /// 64 MiB: the file list of a kernel's sources has ten.
    fn limit(&self) -> u64 {
        64 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let mut parts = path.components().rev().skip(1);
        let mut part = || parts.next().and_then(|part| std::str::from_utf8(part).ok()).unwrap_or_default();
        let (directory, category) = (part(), part());
        let shown = || escape(path.parent().unwrap_or_default().file_name());
        let (name, version) = split(directory).filter(|_| is_name(category, b"+_.-")).ok_or_else(|| {
            Unreadable(format!("its directory names no package and version: `{}`", shown()))
        })?;
        let name = format!("{category}/{name}");
        let mut package =
            FoundPackage { kind: "ebuild", name, version: version.to_owned(), ..FoundPackage::default() };
        let mut facts = Facts::default();
        match path.file_name() {
            b"CONTENTS" => owned(&package.name, bytes, &mut facts),
            b"LICENSE" => {
                let text = String::from_utf8_lossy(bytes.get(..LICENSE).unwrap_or(bytes));
                let license = text.split_whitespace().collect::<Vec<_>>().join(" ");
                let licenses = if license.is_empty() { vec![] } else { vec![license] };
                facts.licenses.push((package.name.clone(), licenses));
            }
            // Attack: a directory that was renamed, so that it names another version than the one installed.
            b"PF" if bytes.trim_ascii() != directory.as_bytes() => {
                let said = bytes.trim_ascii();
                let said = escape(said.get(..100).unwrap_or(said));
                facts.blame(format!("it says `{said}` in a directory named `{}`", shown()));
            }
            b"RDEPEND" => package.requires = Some(needed(&String::from_utf8_lossy(bytes))),
            _ => {}
        }
        facts.add(package);
        Ok(facts)
    }
}

/// The directory `db/pkg/CATEGORY/NAME-VERSION` that a path lies in, or is.
pub(super) fn directory(path: &ImagePath, is_directory: bool) -> Option<ImagePath> {
    let bytes = path.as_bytes();
    // Nearly every path of an image ends here.
    memchr::memmem::find(bytes, b"db/pkg/")?;
    let found = memchr::memmem::find_iter(bytes, b"db/pkg/").find_map(|at| {
        let is_start = at.checked_sub(1).is_none_or(|before| bytes.get(before) == Some(&b'/'));
        let below =
            std::str::from_utf8(bytes.get(at..)?.strip_prefix(b"db/pkg/").filter(|_| is_start)?).ok()?;
        let (category, rest) = below.split_once('/')?;
        let (name, is_below) = rest.split_once('/').map_or((rest, false), |(name, _)| (name, true));
        let is_package = is_name(category, b"+_.-") && split(name).is_some() && (is_below || is_directory);
        let end = bytes.len() - rest.len() + name.len();
        is_package.then(|| bytes.get(..end)).flatten()
    })?;
    ImagePath::normalise(found).ok()
}

/// Name and version of `NAME-VERSION`. A name does not end in something that looks like a version, so that
/// there is one way to split.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut splits = text
        .match_indices('-')
        .filter_map(|(at, _)| Some((text.get(..at)?, text.get(at + 1..)?)))
        .filter(|(_, version)| is_version(version));
    let (name, version) = splits.next()?;
    let ends_in_version = name.rsplit_once('-').is_some_and(|(_, end)| is_version(end));
    (is_name(name, b"+_-") && !ends_in_version).then_some((name, version)).filter(|_| is_word(text))
}

/// A category or name: letters, digits and `marks`, of which none but `_` begins it.
fn is_name(text: &str, marks: &[u8]) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || marks.contains(&b))
}

/// `1.2.3b_rc4_p5-r6`: numbers, a letter, suffixes, a revision.
fn is_version(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let text = match text.rsplit_once("-r") {
        Some((version, revision)) if digits(revision) => version,
        Some(_) | None => text,
    };
    let mut parts = text.split('_');
    let numbers = parts.next().unwrap_or_default();
    let numbers = numbers.strip_suffix(|c: char| c.is_ascii_lowercase()).unwrap_or(numbers);
    let suffixes = ["alpha", "beta", "pre", "rc", "p"];
    numbers.split('.').all(digits)
        && parts.all(|part| {
            let number = suffixes.iter().find_map(|suffix| part.strip_prefix(suffix));
            number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
        })
}

/// `obj PATH MD5 TIME`, `sym PATH -> TARGET TIME`, and `dir`, `fif` and `dev`, which have no content. Paths
/// may have blanks.
fn owned(package: &str, bytes: &[u8], facts: &mut Facts) {
    let mut paths = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty()) {
        let (kind, rest) = line.split_at_checked(4).unwrap_or((line, b""));
        let path = match kind {
            b"obj " => rest.rsplitn(3, |byte| *byte == b' ').nth(2),
            b"sym " => memchr::memmem::find(rest, b" -> ").and_then(|at| rest.get(..at)),
            b"dir " | b"fif " | b"dev " => continue,
            _ => None,
        };
        match path.and_then(|path| ImagePath::normalise(path).ok()).filter(|path| !path.is_root()) {
            Some(path) => paths.push(path),
            None => facts.blame(format!("line {}: it is no file of a package", index.saturating_add(1))),
        }
    }
    facts.own(OwnedPaths { package: package.to_owned(), arch: None, paths });
}

/// What a dependency specification needs. Of `|| ( a b )` any; a group under a condition is left out, as
/// Portage evaluates conditions before it writes the file.
fn needed(text: &str) -> Vec<Requirement> {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Group {
        All,
        Any,
        Conditional,
    }
    let (mut groups, mut next) = (Vec::new(), Group::All);
    let (mut needed, mut any): (Vec<Requirement>, Requirement) = (Vec::new(), Vec::new());
    for token in text.split_whitespace() {
        match token {
            "||" | "^^" | "??" => next = Group::Any,
            "(" => groups.push(std::mem::replace(&mut next, Group::All)),
            ")" => {
                groups.pop();
                if !groups.contains(&Group::Any) && !any.is_empty() {
                    needed.push(std::mem::take(&mut any));
                }
            }
            token if token.ends_with('?') => next = Group::Conditional,
            _ if groups.contains(&Group::Conditional) => {}
            token if groups.contains(&Group::Any) => any.extend(atom(token)),
            token => needed.extend(atom(token).map(|name| vec![name])),
        }
    }
    needed
}

/// `CATEGORY/NAME` of an atom such as `>=dev-libs/openssl-3.0:0/3=[ssl]`; a blocker needs nothing.
fn atom(token: &str) -> Option<String> {
    let text = token.split([':', '[']).next()?;
    let plain = text.trim_start_matches(['>', '<', '=', '~']);
    let (category, name) = plain.split_once('/')?;
    let name = if plain.len() < text.len() { split(name.trim_end_matches('*'))?.0 } else { name };
    (is_name(category, b"+_.-") && is_name(name, b"+_-")).then(|| format!("{category}/{name}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DIRECTORY: &str = "var/db/pkg/dev-libs/demo-lib-1.2_rc3-r4";

    fn parse(file: &str, bytes: &[u8]) -> Result<Facts, Unreadable> {
        Portage.parse(&format!("{DIRECTORY}/{file}").as_str().into(), bytes)
    }

    #[test]
    fn every_file_states_the_package_of_its_directory() {
        for (file, bytes) in [
            ("CONTENTS", include_bytes!("../../testdata/inventory/portage/CONTENTS").as_slice()),
            ("LICENSE", b"|| ( GPL-2 BSD )\n"),
            ("PF", b"demo-lib-1.2_rc3-r4\n"),
            ("RDEPEND", b""),
        ] {
            let facts = parse(file, bytes).unwrap();
            assert_eq!(facts.unreadable, [""; 0], "{file}");
            let found = &facts.packages[0];
            assert_eq!(
                (found.kind, found.name.as_str(), found.version.as_str()),
                ("ebuild", "dev-libs/demo-lib", "1.2_rc3-r4")
            );
        }
        let facts = parse("LICENSE", b"|| ( GPL-2\n BSD )\n").unwrap();
        assert_eq!(facts.licenses, [("dev-libs/demo-lib".into(), vec!["|| ( GPL-2 BSD )".to_owned()])]);
    }

    #[test]
    fn contents_say_what_is_owned() {
        let facts = parse("CONTENTS", include_bytes!("../../testdata/inventory/portage/CONTENTS")).unwrap();
        assert_eq!(facts.owned[0].package, "dev-libs/demo-lib");
        assert_eq!(
            facts.owned[0].paths,
            ["usr/lib/libdemo.so.1".into(), "usr/share/two words.txt".into(), "usr/lib/libdemo.so".into()]
        );
        let facts = parse("CONTENTS", b"obj /a\nobj ../x 0 0\nsym /a\nnew /a 0 0\nob").unwrap();
        assert_eq!((facts.unreadable.len(), facts.packages.len()), (5, 1), "{:?}", facts.unreadable);
    }

    #[test]
    fn dependencies_are_atoms_without_versions_and_conditions() {
        let text = ">=dev-libs/openssl-3.0.1-r2:0/3=[-bindist(-)] app-shells/bash:0 !a/b !!<a/c-1 =a/g-1*
            || ( a/d ( a/e a/f ) ) ssl? ( a/h ) nonsense >=a/i";
        assert_eq!(
            needed(text),
            [vec!["dev-libs/openssl"], vec!["app-shells/bash"], vec!["a/g"], vec!["a/d", "a/e", "a/f"]]
        );
        assert_eq!(needed(") ) ( || ("), [[""; 0]; 0]);
    }

    #[test]
    fn names_and_versions_are_split_in_one_way() {
        assert_eq!(split("bash-5.2_p26-r3"), Some(("bash", "5.2_p26-r3")));
        assert_eq!(split("font-adobe-100dpi-1.0.3"), Some(("font-adobe-100dpi", "1.0.3")));
        assert_eq!(split("libstdc++-3.3"), Some(("libstdc++", "3.3")));
        assert_eq!(split("openssl-1.1.1w"), Some(("openssl", "1.1.1w")));
        for text in
            ["bash", "bash-", "-1.0", "a-1-1.2", "a-1.", "a-1_x", "a b-1", "-MERGING-a-1", "a-1-r", ""]
        {
            assert_eq!(split(text), None, "{text}");
        }
    }

    #[test]
    fn a_directory_that_names_no_package_is_unreadable() {
        for path in ["db/pkg/a/b/CONTENTS", "db/pkg/-a/b-1/CONTENTS", "db/pkg/sys-libs/-MERGING-zlib-1/PF"] {
            let cause = Portage.parse(&path.into(), b"").unwrap_err().0;
            assert!(cause.starts_with("its directory names no package and version"), "{cause}");
        }
        let path = ImagePath::normalise(b"db/pkg/\xff/a-1/CONTENTS").unwrap();
        assert!(Portage.wants(&path, b"") && Portage.parse(&path, b"").is_err());
    }

    #[test]
    fn a_renamed_directory_is_told() {
        let facts = parse("PF", b"demo-lib-1.0\n").unwrap();
        assert_eq!(facts.unreadable, ["it says `demo-lib-1.0` in a directory named `demo-lib-1.2_rc3-r4`"]);
    }

    #[test]
    fn only_files_of_the_database_are_wanted() {
        let wants = |path: &str| Portage.wants(&path.into(), b"");
        assert!(wants("var/db/pkg/a/b-1/CONTENTS") && wants("mnt/var/db/pkg/a/b-1/RDEPEND"));
        for path in ["var/db/pkg/a/b-1/USE", "var/db/pkg/a/CONTENTS", "var/lib/pkg/a/b-1/CONTENTS"] {
            assert!(!wants(path), "{path}");
        }
    }

    #[test]
    fn a_path_is_or_lies_in_the_directory_of_a_package() {
        let found = |path: &str, is_directory| {
            directory(&path.into(), is_directory)
                .map(|path| String::from_utf8(path.as_bytes().to_vec()).unwrap())
        };
        for path in ["var/db/pkg/a/b-1", "db/pkg/a/b-1", "srv/db/pkg/x/var/db/pkg/a/b-1"] {
            assert_eq!(found(&format!("{path}/SLOT"), false).as_deref(), Some(path));
            assert_eq!(found(&format!("{path}/new/folder"), true).as_deref(), Some(path));
            assert_eq!((found(path, true).as_deref(), found(path, false)), (Some(path), None));
        }
        // Portage takes none of these for a package.
        for path in ["var/db/pkg/a/b", "var/db/pkg/a/-MERGING-b-1/SLOT", "var/db/pkg", "xdb/pkg/a/b-1/SLOT"] {
            assert_eq!(found(path, true), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_paths_never_panic(text in "[a-z0-9/._ -]{0,20}db/pkg/[a-z0-9/._ -]{0,30}") {
            if let Ok(path) = ImagePath::normalise(text.as_bytes()) {
                let of = directory(&path, true);
                prop_assert!(of.is_none_or(|of| path.as_bytes().starts_with(of.as_bytes())));
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[a-z0-9/|()?!<>=~:\\[ _.*+-]{0,80}") {
            for file in ["CONTENTS", "LICENSE", "PF", "RDEPEND"] {
                let _ = parse(file, &bytes).is_ok();
                let _ = parse(file, text.as_bytes()).is_ok();
            }
            let _ = (split(&text), needed(&text));
        }
    }
}
