//! From header blobs to packages.

use std::collections::BTreeSet;

use crate::model::layer::{Facts, FoundPackage, OwnedPaths};
use crate::model::path::{ImagePath, escape};

use super::Record;
use super::header::{Header, tag};

/// The longest name or version.
const WORD: usize = 256;

/// The longest licence or vendor: 64 KiB; that of a distribution's firmware has 4.
const TEXT: usize = 64 << 10;

/// The longest path or capability.
const NAME: usize = 4096;

/// Capabilities of one file: 2 million, of 128 MiB in all; 5,000 packages have a fifth.
const MAX_CAPABILITIES: usize = 2_000_000;
const MAX_CAPABILITY_BYTES: usize = 128 << 20;

/// Bytes of all owned paths of one file: 256 MiB. Attack: directories of 4096 bytes, each with thousands
/// of files of one letter.
const MAX_PATH_BYTES: usize = 256 << 20;

/// `RPMSENSE_MISSINGOK`: a hint, from before there were tags for those.
const MISSING_OK: u32 = 1 << 19;

/// `RPMFILE_GHOST`: a path that the package claims and does not fill.
const GHOST: u32 = 1 << 6;

/// `RPMSENSE_RPMLIB`: rpm itself must have a feature.
const RPMLIB: u32 = 1 << 24;

/// Facts as they come, record by record.
#[derive(Default)]
pub(super) struct Collector {
    facts: Facts,
    capabilities: usize,
    capability_bytes: usize,
    path_bytes: usize,
}

impl Collector {
    pub(super) fn add(&mut self, record: Result<Record<'_>, String>) {
        let read = record.and_then(|Record { at, header }| {
            let header = Header::parse(&header).map_err(|cause| format!("{at}: {cause}"))?;
            self.package(&header).map_err(|cause| format!("{at}: {cause}"))
        });
        if let Err(cause) = read {
            self.facts.blame(cause);
        }
    }

    pub(super) fn finish(self) -> Facts {
        self.facts
    }

    fn package(&mut self, header: &Header<'_>) -> Result<(), String> {
        let name = required(header, tag::NAME, "name")?;
        let files = header.has(tag::BASENAMES) || header.has(tag::OLDFILENAMES);
        // A key that signatures are checked with, entered as if it were a package: it installs nothing, and
        // no peer lists it. Attack: a package of that name; it has files.
        if name == "gpg-pubkey" && !files && !header.has(tag::ARCH) {
            return Ok(());
        }
        let version = required(header, tag::VERSION, "version")?;
        let release = required(header, tag::RELEASE, "release")?;
        let epoch = match header.numbers(tag::EPOCH)?.as_deref() {
            None => None,
            Some([epoch]) => Some(*epoch),
            Some(_) => return Err("it has several epochs".into()),
        };
        let mut package = FoundPackage {
            kind: "rpm",
            version: join(epoch, &version, &release)?,
            arch: optional(header, tag::ARCH, "architecture")?,
            ..FoundPackage::default()
        };
        let mut causes = Vec::new();
        // What identifies nothing may be unreadable by itself: the package is there all the same.
        let mut kept = |read: Result<Option<String>, String>| {
            read.unwrap_or_else(|cause| {
                causes.push(cause);
                None
            })
        };
        let source = kept(optional(header, tag::SOURCERPM, "source package"));
        package.licenses = kept(text(header, tag::LICENSE, "licence")).into_iter().collect();
        package.supplier = kept(text(header, tag::VENDOR, "vendor"));
        if let Some(label) = kept(optional(header, tag::MODULARITYLABEL, "module")) {
            package.qualifiers.insert("rpmmod", label);
        }
        if let Some(source) = source {
            match split_source(&source) {
                Some((name, version)) => {
                    package.source_name = Some(name.to_owned());
                    package.source_version = Some(version.to_owned());
                }
                None => causes.push(format!("`{}` is no source package", escape(source.as_bytes()))),
            }
        }
        match self.provides(header) {
            Ok(provides) => package.provides = provides,
            Err(cause) => causes.push(cause),
        }
        match self.requires(header) {
            Ok(requires) => package.requires = Some(requires),
            Err(cause) => causes.push(cause),
        }
        match self.paths(header) {
            Ok(paths) if paths.is_empty() => {}
            Ok(paths) => {
                let arch = package.arch.clone();
                self.facts.own(OwnedPaths { package: name.clone(), arch, paths });
            }
            Err(cause) => causes.push(cause),
        }
        for cause in causes {
            self.facts.blame(format!("package `{name}`: {cause}"));
        }
        package.name = name;
        self.facts.add(package);
        Ok(())
    }

    fn provides(&mut self, header: &Header<'_>) -> Result<Vec<String>, String> {
        let names: BTreeSet<&[u8]> =
            header.strings(tag::PROVIDENAME)?.unwrap_or_default().into_iter().collect();
        names.into_iter().map(|name| self.capability(name)).collect()
    }

    /// Requirements by name. Those on a version state a range, which the resolver of rpm has met.
    fn requires(&mut self, header: &Header<'_>) -> Result<Vec<Vec<String>>, String> {
        let names = header.strings(tag::REQUIRENAME)?.unwrap_or_default();
        let flags = header.numbers(tag::REQUIREFLAGS)?.unwrap_or_default();
        let is_of_packages = |(number, name): &(usize, &[u8])| {
            let flags = flags.get(*number).copied().unwrap_or_default();
            flags & (MISSING_OK | RPMLIB) == 0 && !name.starts_with(b"rpmlib(")
        };
        let names: BTreeSet<&[u8]> =
            names.into_iter().enumerate().filter(is_of_packages).map(|(_, name)| name).collect();
        names.into_iter().map(|name| Ok(vec![self.capability(name)?])).collect()
    }

    fn capability(&mut self, name: &[u8]) -> Result<String, String> {
        self.capabilities += 1;
        self.capability_bytes = self.capability_bytes.saturating_add(name.len());
        if self.capabilities > MAX_CAPABILITIES || self.capability_bytes > MAX_CAPABILITY_BYTES {
            return Err(format!(
                "more than {MAX_CAPABILITIES} requirements (limit `capabilities of a file`)"
            ));
        }
        match std::str::from_utf8(name) {
            Ok(text) if (1..=NAME).contains(&text.len()) && !text.contains(char::is_control) => {
                Ok(text.to_owned())
            }
            Ok(_) | Err(_) => Err("a requirement that is no name".into()),
        }
    }

    fn paths(&mut self, header: &Header<'_>) -> Result<Vec<ImagePath>, String> {
        let mut paths = Vec::new();
        let flags = header.numbers(tag::FILEFLAGS)?.unwrap_or_default();
        // Attack: a program under a name that a package reserves for logs or caches: it is nobody's.
        let is_filled = |at: usize| flags.get(at).is_none_or(|flags| flags & GHOST == 0);
        let old = header.strings(tag::OLDFILENAMES)?.unwrap_or_default();
        for (_, path) in old.into_iter().enumerate().filter(|(at, _)| is_filled(*at)) {
            self.path(&mut paths, path, b"");
        }
        let names = header.strings(tag::BASENAMES)?.unwrap_or_default();
        let directories = header.strings(tag::DIRNAMES)?.unwrap_or_default();
        let indexes = header.numbers(tag::DIRINDEXES)?.unwrap_or_default();
        if names.len() != indexes.len() {
            return Err(format!("{} file names in {} directories", names.len(), indexes.len()));
        }
        for (at, (name, index)) in names.into_iter().zip(indexes).enumerate() {
            let directory = directories.get(super::size(index));
            let directory = directory.ok_or("a file in a directory that is not there")?;
            if is_filled(at) {
                self.path(&mut paths, directory, name);
            }
        }
        Ok(paths)
    }

    /// Adds a path. Beyond the limit nothing is added: who has no owner is judged by itself.
    fn path(&mut self, paths: &mut Vec<ImagePath>, directory: &[u8], name: &[u8]) {
        let length = directory.len().saturating_add(name.len());
        self.path_bytes = self.path_bytes.saturating_add(length);
        if length > NAME || self.path_bytes > MAX_PATH_BYTES {
            return;
        }
        let path = ImagePath::normalise(&[directory, name].concat());
        paths.extend(path.ok().filter(|path| !path.is_root()));
    }
}

/// `[epoch:]version-release`, as rpm writes it; an epoch of 0 that is stated stays.
pub(super) fn join(epoch: Option<u32>, version: &str, release: &str) -> Result<String, String> {
    let version = epoch.map_or_else(String::new, |epoch| format!("{epoch}:")) + version + "-" + release;
    if version.len() > WORD { Err(format!("its version has {} bytes", version.len())) } else { Ok(version) }
}

/// `bash-4.4-19.6.1.src.rpm` is `bash` of version `4.4-19.6.1`: neither a version nor a release has a dash.
pub(super) fn split_source(file: &str) -> Option<(&str, &str)> {
    let stem = file.strip_suffix(".src.rpm").or_else(|| file.strip_suffix(".nosrc.rpm"))?;
    let (at, _) = stem.rmatch_indices('-').nth(1)?;
    let (name, version) = (stem.get(..at)?, stem.get(at + 1..)?);
    let whole = !name.is_empty() && version.split('-').all(|part| !part.is_empty());
    whole.then_some((name, version))
}

/// What rpm prints for a tag that a header does not have, and what some tools write into headers.
pub(super) const NONE: &str = "(none)";

/// A word of at most 256 bytes.
pub(super) fn word(what: &str, value: &[u8]) -> Result<String, String> {
    if value.len() > WORD {
        return Err(format!("its {what} has {} bytes", value.len()));
    }
    match std::str::from_utf8(value) {
        Ok(text) if !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            Ok(text.to_owned())
        }
        Ok(_) | Err(_) => Err(format!("its {what} is no word: `{}`", escape(value))),
    }
}

fn required(header: &Header<'_>, tag: u32, what: &str) -> Result<String, String> {
    word(what, header.string(tag)?.ok_or_else(|| format!("it has no {what}"))?)
}

fn optional(header: &Header<'_>, tag: u32, what: &str) -> Result<Option<String>, String> {
    header.string(tag)?.filter(|value| is_some(value)).map(|value| word(what, value)).transpose()
}

fn text(header: &Header<'_>, tag: u32, what: &str) -> Result<Option<String>, String> {
    match header.string(tag)?.filter(|value| is_some(value)) {
        Some(value) if value.len() > TEXT => Err(format!("its {what} has {} bytes", value.len())),
        value => Ok(value.map(|value| String::from_utf8_lossy(value).into_owned())),
    }
}

fn is_some(value: &[u8]) -> bool {
    !value.is_empty() && value != NONE.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::rpm::testing::{Value, bash, header, with};

    fn collect(header: &[u8]) -> Facts {
        let mut collector = Collector::default();
        collector.add(Ok(Record { at: "key 1".into(), header: header.into() }));
        collector.finish()
    }

    #[test]
    fn a_header_says_all_of_its_package() {
        let facts = collect(&header(&bash(), Some(3)));
        assert_eq!(facts.unreadable, [""; 0]);
        let found = &facts.packages[0];
        assert_eq!(
            (found.kind, found.name.as_str(), found.version.as_str()),
            ("rpm", "bash", "1:4.4-19.6.1")
        );
        assert_eq!(found.arch.as_deref(), Some("x86_64"));
        assert_eq!(found.source_name.as_deref(), Some("bash-src"));
        assert_eq!(found.source_version.as_deref(), Some("4.4-19.6.1"));
        assert_eq!(found.licenses, ["GPL-3.0-or-later"]);
        assert_eq!(found.supplier.as_deref(), Some("Acme <https://acme.example/>"));
        assert_eq!(found.qualifiers["rpmmod"], "shell:1:2:3");
        assert_eq!(
            found.requires,
            Some(vec![vec!["/bin/sh".to_owned()], vec!["libc.so.6()(64bit)".to_owned()]])
        );
        assert_eq!(found.provides, ["bash", "sh"]);
        let owned = &facts.owned[0];
        assert_eq!((owned.package.as_str(), owned.arch.as_deref()), ("bash", Some("x86_64")));
        assert_eq!(owned.paths, ["usr/bin/bash".into(), "etc/bashrc".into()]);
    }

    #[test]
    fn an_epoch_of_zero_stays_and_none_is_none() {
        let version = |values: &[(u32, Value)]| collect(&header(values, None)).packages[0].version.clone();
        assert_eq!(version(&with(tag::EPOCH, Some(Value::Numbers(&[0])))), "0:4.4-19.6.1");
        assert_eq!(version(&with(tag::EPOCH, None)), "4.4-19.6.1");
    }

    #[test]
    fn a_package_without_identity_is_unreadable() {
        for (tag, value) in [
            (tag::NAME, None),
            (tag::NAME, Some(Value::Text(""))),
            (tag::NAME, Some(Value::Text("a b"))),
            (tag::NAME, Some(Value::Texts(&["a", "b"]))),
            (tag::VERSION, None),
            (tag::VERSION, Some(Value::Text("1\n2"))),
            (tag::RELEASE, None),
            (tag::EPOCH, Some(Value::Text("1"))),
            (tag::EPOCH, Some(Value::Numbers(&[1, 2]))),
            (tag::ARCH, Some(Value::Text("x y"))),
        ] {
            let facts = collect(&header(&with(tag, value), None));
            assert_eq!(facts.packages, [], "{tag}");
            assert_eq!(facts.unreadable.len(), 1, "{tag}");
        }
        let long = "x".repeat(WORD + 1);
        assert_eq!(collect(&header(&with(tag::NAME, Some(Value::Text(&long))), None)).packages, []);
    }

    #[test]
    fn a_package_of_which_something_else_is_unreadable_is_listed() {
        for (tag, value) in [
            (tag::SOURCERPM, Value::Text("bash.rpm")),
            (tag::REQUIRENAME, Value::Numbers(&[1])),
            (tag::PROVIDENAME, Value::Texts(&["a", ""])),
            (tag::DIRINDEXES, Value::Numbers(&[0])),
            (tag::DIRINDEXES, Value::Numbers(&[0, 9])),
        ] {
            let facts = collect(&header(&with(tag, Some(value)), None));
            assert_eq!((facts.packages.len(), facts.unreadable.len()), (1, 1), "{tag}");
        }
    }

    #[test]
    fn a_key_is_no_package_but_what_has_files_is() {
        let key = [
            (tag::NAME, Value::Text("gpg-pubkey")),
            (tag::VERSION, Value::Text("fd431d51")),
            (tag::RELEASE, Value::Text("4ae0493b")),
        ];
        assert_eq!(collect(&header(&key, None)), Facts::default());
        let facts = collect(&header(&with(tag::NAME, Some(Value::Text("gpg-pubkey"))), None));
        assert_eq!(facts.packages.len(), 1);
    }

    #[test]
    fn the_source_package_is_named_by_its_file() {
        assert_eq!(split_source("a-b-1.2-3.el9.src.rpm"), Some(("a-b", "1.2-3.el9")));
        assert_eq!(split_source("a-1-2.nosrc.rpm"), Some(("a", "1-2")));
        for file in ["a-1.src.rpm", "-1-2.src.rpm", "a--2.src.rpm", "a-1-2.rpm", ".src.rpm"] {
            assert_eq!(split_source(file), None, "{file}");
        }
        let facts = collect(&header(&with(tag::SOURCERPM, Some(Value::Text(NONE))), None));
        assert_eq!((facts.packages[0].source_name.as_deref(), facts.unreadable.len()), (None, 0));
    }

    #[test]
    fn a_path_that_is_only_reserved_has_no_owner() {
        let owned = |flags: &[u32]| {
            let facts = collect(&header(&with(tag::FILEFLAGS, Some(Value::Numbers(flags))), None));
            (
                facts.unreadable.len(),
                facts.owned.into_iter().flat_map(|owned| owned.paths).collect::<Vec<_>>(),
            )
        };
        assert_eq!(owned(&[1, 64 | 1]), (0, vec!["usr/bin/bash".into()]));
        assert_eq!(owned(&[64, 64]), (0, vec![]));
        assert_eq!(owned(&[64]), (0, vec!["etc/bashrc".into()]));
    }

    #[test]
    fn paths_beyond_the_limits_have_no_owner() {
        let mut collector = Collector { path_bytes: MAX_PATH_BYTES - 5, ..Collector::default() };
        let mut paths = Vec::new();
        collector.path(&mut paths, &vec![b'a'; NAME + 1], b"");
        collector.path_bytes = MAX_PATH_BYTES - 5;
        collector.path(&mut paths, b"/a/", b"b");
        collector.path(&mut paths, b"/a/", b"c");
        assert_eq!(paths, ["a/b".into()]);
    }
}
