//! dpkg's database: `status`, distroless' `status.d`, file lists and copyright files
//! (deb-control(5), dpkg-query(1); DEP-5 for copyright).

use std::collections::BTreeSet;

use crate::model::layer::{Facts, FoundPackage, MAX_OWNED, OwnedPaths, Requirement};
use crate::model::path::{ImagePath, escape};

use super::{Cataloger, Unreadable};

/// Catalogs the database wherever it lies under a `lib/dpkg`.
pub(super) struct Dpkg;

/// The longest name or version.
const WORD: usize = 1024;

/// Which file of the database a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part<'a> {
    Status,
    /// One stanza of an installed package.
    StatusD,
    /// `.list`: absolute paths of that package's files.
    List(&'a str),
    /// `.md5sums`: digests and relative paths.
    Md5sums(&'a str),
    Copyright(&'a str),
}

impl Cataloger for Dpkg {
    fn id(&self) -> &'static str {
        "dpkg"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        part(path).is_some()
    }

    /// 256 MiB (design §7); five thousand packages make 5.
    fn limit(&self) -> u64 {
        256 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        match part(path) {
            Some(Part::Status) => Ok(stanzas(bytes, true)),
            Some(Part::StatusD) => Ok(stanzas(bytes, false)),
            Some(Part::List(package)) => Ok(owned(package, bytes.split(|b| *b == b'\n'))),
            Some(Part::Md5sums(package)) => {
                // `digest`, two spaces, path.
                let lines = bytes.split(|b| *b == b'\n').filter_map(|line| line.get(34..));
                Ok(owned(package, lines))
            }
            Some(Part::Copyright(package)) => Ok(Facts {
                licenses: vec![(package.to_owned(), copyright_licenses(bytes))],
                ..Facts::default()
            }),
            None => Err(Unreadable("no file of dpkg's database".into())),
        }
    }
}

fn part(path: &ImagePath) -> Option<Part<'_>> {
    let text = path.to_str()?;
    if let Some(rest) = text.strip_prefix("usr/share/doc/") {
        return rest.strip_suffix("/copyright").filter(|name| !name.contains('/')).map(Part::Copyright);
    }
    let (before, rest) = text.rsplit_once("lib/dpkg/")?;
    if !(before.is_empty() || before.ends_with('/')) {
        return None;
    }
    match rest.split_once('/') {
        None if rest == "status" => Some(Part::Status),
        Some(("status.d", name)) if !name.contains('/') => {
            Some(name.strip_suffix(".md5sums").map_or(Part::StatusD, Part::Md5sums))
        }
        Some(("info", name)) if !name.contains('/') => name
            .strip_suffix(".list")
            .map(Part::List)
            .or_else(|| name.strip_suffix(".md5sums").map(Part::Md5sums)),
        Some(_) | None => None,
    }
}

pub(super) fn owned<'a>(package: &str, paths: impl Iterator<Item = &'a [u8]>) -> Facts {
    let (package, arch) = match package.split_once(':') {
        Some((package, arch)) => (package, Some(arch.to_owned())),
        None => (package, None),
    };
    let paths = paths
        .filter_map(|path| ImagePath::normalise(path).ok())
        .filter(|path| !path.is_root())
        .take(MAX_OWNED)
        .collect();
    Facts { owned: vec![OwnedPaths { package: package.to_owned(), arch, paths }], ..Facts::default() }
}

/// Reads deb822 stanzas. In `status` a package counts where its state says installed; a stanza of
/// `status.d` has no state and counts.
pub(super) fn stanzas(bytes: &[u8], needs_state: bool) -> Facts {
    let mut facts = Facts::default();
    let mut number = 0;
    let mut lines =
        bytes.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).peekable();
    while lines.peek().is_some() {
        let stanza: Vec<&[u8]> = lines.by_ref().take_while(|line| !line.trim_ascii().is_empty()).collect();
        if stanza.is_empty() {
            continue;
        }
        number += 1;
        let fields = Fields::of(&stanza);
        match fields.package(needs_state) {
            Ok(Some(package)) => facts.add(package),
            Ok(None) => {}
            Err(cause) => {
                let name = escape(fields.first("package").unwrap_or_default().as_bytes());
                facts.blame(format!("stanza {number} (`{name}`): {cause}"));
                continue;
            }
        }
        if let Some(fault) = &fields.fault {
            let name = escape(fields.first("package").unwrap_or_default().as_bytes());
            facts.blame(format!("stanza {number} (`{name}`): {fault}"));
        }
    }
    facts
}

/// The fields of a stanza that matter here, and the first thing wrong with it.
#[derive(Default)]
struct Fields {
    values: Vec<(String, String)>,
    fault: Option<String>,
    double: Option<&'static str>,
}

const FIELDS: &[&str] = &[
    "package",
    "status",
    "version",
    "source",
    "architecture",
    "maintainer",
    "depends",
    "pre-depends",
    "provides",
];

/// Fields that say nothing of which package it is: one that is odd makes nothing else unreadable.
const MINOR: &[&str] = &["maintainer", "depends", "pre-depends", "provides"];

impl Fields {
    fn of(stanza: &[&[u8]]) -> Self {
        let mut fields = Self::default();
        let mut first = true;
        for line in stanza {
            let continues = line.starts_with(b" ") || line.starts_with(b"\t");
            if first || !continues {
                fields.line(line);
            }
            first = false;
        }
        fields
    }

    fn line(&mut self, line: &[u8]) {
        let split = line.iter().position(|byte| *byte == b':').and_then(|at| line.split_at_checked(at));
        let Some((name, value)) =
            split.filter(|(name, _)| name.iter().all(|b| b.is_ascii_graphic()) && !name.is_empty())
        else {
            let shown = escape(line.get(..40).unwrap_or(line));
            self.fault.get_or_insert(format!("a line that is no field: `{shown}`"));
            return;
        };
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        let Some(known) = FIELDS.iter().find(|known| **known == name) else { return };
        if MINOR.contains(known) {
            let text = String::from_utf8_lossy(value.get(1..).unwrap_or_default());
            self.values.push((name, text.trim().to_owned()));
            return;
        }
        if self.first(known).is_some() {
            self.double.get_or_insert(known);
        }
        match std::str::from_utf8(value.get(1..).unwrap_or_default()) {
            Ok(text) if !text.trim().chars().any(char::is_control) => {
                self.values.push((name, text.trim().to_owned()));
            }
            Ok(_) | Err(_) => {
                self.fault.get_or_insert(format!("field `{known}` is not text"));
            }
        }
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The package; none where it is not installed.
    fn package(&self, needs_state: bool) -> Result<Option<FoundPackage>, String> {
        // Attack: a field twice, of which one reader takes the first and another the last.
        if let Some(double) = self.double {
            return Err(format!("field `{double}` stands twice"));
        }
        match self.first("status") {
            // deb-control: want, flag, state. `rc` has its configuration files left and is no package.
            Some(status) => match status.split_whitespace().collect::<Vec<_>>().as_slice() {
                [_, _, "config-files" | "not-installed"] => return Ok(None),
                [
                    _,
                    _,
                    "installed" | "unpacked" | "half-configured" | "half-installed" | "triggers-awaited"
                    | "triggers-pending",
                ] => {}
                _ => return Err(format!("its status is `{}`", escape(status.as_bytes()))),
            },
            None if needs_state => return Err("it has no status".into()),
            None => {}
        }
        let word = |field: &str| match self.first(field) {
            Some(text) if text.len() > WORD => Err(format!("its {field} has {} bytes", text.len())),
            Some(text) if text.is_empty() || text.contains(char::is_whitespace) => {
                Err(format!("its {field} is no word"))
            }
            Some(text) => Ok(text.to_owned()),
            None => Err(format!("it has no {field}")),
        };
        let name = word("package")?;
        let version = word("version")?;
        let (source_name, source_version) = match self.first("source") {
            // `Source: name (version)` where the source's version differs from the binary's.
            Some(source) => match source.split_once('(') {
                Some((name, version)) => {
                    (name.trim().to_owned(), Some(version.trim_end_matches(')').trim().to_owned()))
                }
                None => (source.to_owned(), None),
            },
            None => (name.clone(), None),
        };
        let arch = self.first("architecture").map(str::to_owned);
        let source_name = Some(source_name);
        let requires =
            ["pre-depends", "depends"].iter().filter_map(|field| self.first(field)).flat_map(relations);
        let provides = self.first("provides").into_iter().flat_map(relations).flatten();
        let supplier = self.first("maintainer").filter(|text| !text.chars().any(char::is_control));
        Ok(Some(FoundPackage {
            kind: "deb",
            name,
            version,
            arch,
            source_name,
            source_version,
            supplier: supplier.map(str::to_owned),
            // A stanza without the field needs nothing.
            requires: Some(requires.collect()),
            provides: provides.collect(),
            ..FoundPackage::default()
        }))
    }
}

/// The names of a relation field (deb-control, "Syntax of relationship fields"): `a (>= 1) | b:any, c`.
fn relations(field: &str) -> impl Iterator<Item = Requirement> {
    field.split(',').filter(|one| !one.trim().is_empty()).map(|one| {
        let name =
            |text: &str| text.trim().split([' ', '(', ':', '[', '<']).next().unwrap_or_default().to_owned();
        one.split('|').map(name).collect()
    })
}

/// copyright-format 1.0: the short names after `License:`; a copyright file in prose states none.
///
/// A stand-alone paragraph gives the text of a licence that paragraphs of files name, and says nothing more: behind
/// `License: GPL-2+ or Artistic` the text of each does not take the choice away. One that is named nowhere counts.
fn copyright_licenses(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let machine_readable = text.lines().take(5).any(|line| line.starts_with("Format:"));
    let (mut of_files, mut alone) = (BTreeSet::new(), BTreeSet::new());
    let mut is_first = true;
    for line in text.lines().filter(|_| machine_readable) {
        if let Some(license) = line.strip_prefix("License:").map(str::trim) {
            let is_short = !license.is_empty() && license.len() <= 200;
            let licenses = if is_first { &mut alone } else { &mut of_files };
            licenses.extend(is_short.then(|| license.to_owned()));
        }
        is_first = line.trim().is_empty() || is_first && line.starts_with('#');
    }
    let named: BTreeSet<String> = of_files.iter().flat_map(|license| alternatives(license)).collect();
    of_files.extend(alone.into_iter().filter(|license| !named.contains(&license.to_ascii_lowercase())));
    of_files.into_iter().collect()
}

/// The short names of a licence's first line, in small letters: they may be written in either.
fn alternatives(license: &str) -> impl Iterator<Item = String> {
    let lower = license.to_ascii_lowercase().replace(',', " ");
    let mut names = vec![String::new()];
    for word in lower.split_whitespace() {
        match (word, names.last_mut()) {
            ("and" | "or" | "and/or", _) | (_, None) => names.push(String::new()),
            (word, Some(name)) if name.is_empty() => name.push_str(word),
            (word, Some(name)) => name.extend([" ", word]),
        }
    }
    names.into_iter()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(path: &str, bytes: &[u8]) -> Facts {
        Dpkg.parse(&path.into(), bytes).unwrap()
    }

    #[test]
    fn installed_packages_have_their_source() {
        let facts = parse("var/lib/dpkg/status", include_bytes!("../../testdata/inventory/dpkg/status"));
        assert!(facts.unreadable.is_empty(), "{:?}", facts.unreadable);
        let found: Vec<_> = facts
            .packages
            .iter()
            .map(|p| {
                (p.name.as_str(), p.version.as_str(), p.source_name.as_deref(), p.source_version.as_deref())
            })
            .collect();
        let want = [
            ("demo", "1:2.0-1", Some("demo"), None),
            ("libdemo2", "2.0-1+b2", Some("demo"), Some("2.0-1")),
            ("half-way", "0.1", Some("half-way"), None),
        ];
        assert_eq!(found, want);
    }

    #[test]
    fn a_stanza_of_status_d_needs_no_state() {
        assert_eq!(parse("var/lib/dpkg/status.d/tz", b"Package: tz\nVersion: 1\n").packages.len(), 1);
        let facts = parse("var/lib/dpkg/status", b"Package: tz\nVersion: 1\n");
        assert_eq!(facts.unreadable, ["stanza 1 (`tz`): it has no status"]);
    }

    #[test]
    fn a_broken_stanza_is_named_and_the_others_are_kept() {
        let state = "Status: install ok installed\n";
        let text = format!(
            "Package: a\n{state}Version: 1\n\nPackage: b\n{state}\nPackage: c\n{state}Version: 1\nVersion: 2\n\n\
             Package: d\n{state}Version: 1\nstray line\n\nPackage: e\nStatus: what\nVersion: 1\n\n\
             Package: z\n{state}Version: 3"
        );
        let facts = parse("var/lib/dpkg/status", text.as_bytes());
        let names: Vec<_> = facts.packages.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["a", "d", "z"]);
        assert_eq!(facts.unreadable.len(), 4, "{:?}", facts.unreadable);
    }

    #[test]
    fn file_lists_of_both_kinds_say_what_is_owned() {
        let list = parse("var/lib/dpkg/info/libx:amd64.list", b"/.\n/usr\n/usr/lib/x.so\n");
        assert_eq!((list.owned[0].package.as_str(), list.owned[0].arch.as_deref()), ("libx", Some("amd64")));
        assert_eq!(list.owned[0].paths, ["usr".into(), "usr/lib/x.so".into()]);
        let sums = parse("var/lib/dpkg/status.d/x.md5sums", b"d41d8cd98f00b204e9800998ecf8427e  usr/bin/x\n");
        assert_eq!(sums.owned[0].paths, ["usr/bin/x".into()]);
    }

    #[test]
    fn licences_come_from_machine_readable_copyright_files_only() {
        let facts =
            parse("usr/share/doc/demo/copyright", include_bytes!("../../testdata/inventory/dpkg/copyright"));
        assert_eq!(facts.licenses, [("demo".to_owned(), vec!["Expat".to_owned(), "GPL-2+".to_owned()])]);
        assert_eq!(parse("usr/share/doc/demo/copyright", b"License: GPL\n").licenses[0].1, [""; 0]);
    }

    #[test]
    fn the_text_of_a_licence_is_no_further_licence() {
        let text = b"Format: x\nUpstream-Name: a\n\nFiles: *\nCopyright: b\nLicense: GPL-2+ or Artistic, and Expat\n\n\
            License: GPL-2+\n Text.\n .\n More.\n\nLicense: artistic\n Text.\n\nLicense: Zlib\n Named nowhere.\n\n\
            Files: x\nLicense: GPL-2+\n";
        let found = parse("usr/share/doc/a/copyright", text).licenses.remove(0).1;
        assert_eq!(found, ["GPL-2+", "GPL-2+ or Artistic, and Expat", "Zlib"]);
        // A blank line too many before the licence of files.
        let text = b"Format: x\n\nFiles: *\n\nLicense: Expat\n";
        assert_eq!(parse("usr/share/doc/a/copyright", text).licenses.remove(0).1, ["Expat"]);
    }

    #[test]
    fn only_files_of_the_database_are_wanted() {
        let wants = |path: &str| Dpkg.wants(&path.into(), b"");
        assert!(wants("var/lib/dpkg/status") && wants("opt/root/var/lib/dpkg/status.d/base"));
        assert!(
            !wants("var/lib/dpkg/status-old")
                && !wants("var/mylib/dpkg/status")
                && !wants("usr/share/doc/a/b/copyright")
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for path in ["var/lib/dpkg/status", "var/lib/dpkg/info/a.list", "var/lib/dpkg/info/a.md5sums", "usr/share/doc/a/copyright"] {
                parse(path, &bytes);
            }
        }
    }
}
