//! Go programs: the build information that the linker writes (Go's `debug/buildinfo` and
//! `runtime/debug`, `ParseBuildInfo`).

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::model::layer::{Facts, FoundPackage, MAX_PACKAGES};
use crate::model::path::{ImagePath, escape};

use super::program::structure::{self, Structure};
use super::program::{self, Mark, Program, word};
use super::{Cataloger, Reads, Unreadable};

/// Catalogs the modules of Go programs, and Go's standard library in them.
pub(super) struct Golang;

/// What the build information begins with, at an address that 16 divides.
const MAGIC: &[u8] = b"\xff Go buildinf:";

/// Bytes of the header.
const HEADER: u64 = 32;

/// Bytes of one string: 16 MiB. Programs of a thousand modules have 0.1.
const STRING: u64 = 16 << 20;

impl Cataloger for Golang {
    fn id(&self) -> &'static str {
        "golang"
    }

    fn wants(&self, _: &ImagePath, head: &[u8]) -> bool {
        program::is_program(head)
    }

    /// Programs are searched, and read in pieces where they are large.
    fn limit(&self) -> u64 {
        u64::MAX
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        program::parse(self, path, bytes)
    }

    fn reads(&self) -> Reads {
        Reads::Program
    }

    fn marks(&self, _: &ImagePath) -> Vec<Mark> {
        // The strings follow the header since Go 1.18.
        vec![Mark { bytes: Cow::Borrowed(MAGIC), before: 0, after: 64 << 10 }]
    }

    fn program(&self, path: &ImagePath, program: &Program<'_>) -> Result<Facts, Unreadable> {
        // Attack: a program packed so that nothing of it can be seen.
        if program.get(0, program.size().min(4 << 10)).is_some_and(is_packed) {
            return Err(Unreadable("a program packed by UPX: what it holds is unknown".into()));
        }
        let (places, more) = program.places(MAGIC);
        if program.ended() && places.is_empty() {
            return Ok(Facts::default());
        }
        let unreadable = |cause| Unreadable(format!("a Go program whose modules are unknown: {cause}"));
        if more {
            return Err(unreadable(format!(
                "the mark of its build information stands in {} places",
                places.len()
            )));
        }
        let mut facts = Facts::default();
        let mut seen = BTreeSet::new();
        for structure in structure::read(program).map_err(unreadable)? {
            match find(program, &structure, places).map_err(unreadable)? {
                Some(found) => modules(path, &found, &mut seen, &mut facts),
                // A mark that the headers do not lead to is a string in some data; but what could not be
                // read might have led to it.
                None => structure.sections.map(drop).map_err(unreadable)?,
            }
        }
        Ok(facts)
    }
}

fn is_packed(head: &[u8]) -> bool {
    memchr::memmem::find(head, b"UPX!").is_some()
}

/// Go's version and the text about modules.
struct BuildInfo<'a> {
    version: &'a [u8],
    modules: &'a [u8],
}

/// The build information that the headers lead to.
fn find<'a>(
    program: &Program<'a>,
    structure: &Structure,
    places: &[u64],
) -> Result<Option<BuildInfo<'a>>, String> {
    let Some((start, size)) = structure.go_data() else { return Ok(None) };
    let end = start.checked_add(size).ok_or("its data ends nowhere")?;
    // The first place by address counts, as for Go's own reader.
    let addresses = structure.segments.iter().flat_map(|segment| {
        places.iter().filter_map(move |place| {
            let into = place.checked_sub(segment.offset).filter(|into| *into < segment.size)?;
            segment.address.checked_add(into).filter(|address| {
                let is_data =
                    start <= *address && address.checked_add(HEADER).is_some_and(|header| header <= end);
                is_data && address % 16 == 0 && structure.locate(*address).is_some_and(|(at, _)| at == *place)
            })
        })
    });
    let Some(address) = addresses.min() else { return Ok(None) };
    let header = read(program, structure, address, HEADER).ok_or("its build information is cut")?;
    let (size, flags) = (header.get(14).copied().unwrap_or(0), header.get(15).copied().unwrap_or(0));
    let (version, modules) = if flags & 2 != 0 {
        let at = address.saturating_add(HEADER);
        let (version, next) = inline(program, structure, at)?;
        (version, inline(program, structure, next)?.0)
    } else {
        let pointers = Pointers { size: size.into(), big: flags & 1 != 0 };
        if !matches!(size, 4 | 8) {
            return Err(format!("pointers of {size} bytes"));
        }
        let string = |at: u64| {
            let at = pointers.read(header, at)?;
            // Null where the program has none.
            if at == 0 { Some(&[][..]) } else { pointers.string(program, structure, at) }
        };
        // Both are asked for before one is answered for, so that one more reading is enough.
        let (version, modules) = (string(16), string(16 + u64::from(size)));
        (
            version.ok_or("its Go version lies outside of the file")?,
            modules.ok_or("its build information lies outside of the file")?,
        )
    };
    if version.is_empty() {
        return Err("its build information has no Go version".into());
    }
    // The text stands between two marks of 16 bytes each (`cmd/go/internal/modload`).
    let framed = modules.len().checked_sub(17).and_then(|at| modules.get(at)) == Some(&b'\n');
    let text = if framed { modules.get(16..modules.len() - 16) } else { None };
    Ok(Some(BuildInfo { version, modules: text.unwrap_or_default() }))
}

/// Bytes at an address, all in one segment.
fn read<'a>(program: &Program<'a>, structure: &Structure, address: u64, len: u64) -> Option<&'a [u8]> {
    let (offset, follow) = structure.locate(address)?;
    if len > follow || len > STRING { None } else { program.get(offset, len) }
}

/// A string that stands behind its length, and the address behind it.
fn inline<'a>(program: &Program<'a>, structure: &Structure, at: u64) -> Result<(&'a [u8], u64), String> {
    let follow = structure.locate(at).map_or(0, |(_, follow)| follow);
    let bytes = read(program, structure, at, follow.min(10)).unwrap_or_default();
    let (len, taken) = varint(bytes).ok_or("its build information is cut")?;
    if len > STRING {
        return Err(format!("build information of {len} bytes"));
    }
    let start = at.checked_add(taken).ok_or("its build information is cut")?;
    if len == 0 {
        return Ok((&[], start));
    }
    let string = read(program, structure, start, len).ok_or("its build information is cut")?;
    Ok((string, start.saturating_add(len)))
}

/// An unsigned LEB128 integer and how many bytes it has.
fn varint(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut value = 0_u64;
    for (taken, byte) in (1..=10).zip(bytes) {
        let part = u64::from(byte & 0x7f);
        let shift = 7 * (taken - 1);
        value |= part.checked_shl(shift).filter(|shifted| shifted >> shift == part)?;
        if byte & 0x80 == 0 {
            return Some((value, taken.into()));
        }
    }
    None
}

/// How addresses are written.
#[derive(Clone, Copy)]
struct Pointers {
    size: u64,
    big: bool,
}

impl Pointers {
    fn read(self, bytes: &[u8], at: u64) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let bytes = bytes.get(at..at.checked_add(usize::try_from(self.size).ok()?)?)?;
        let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Some(if self.big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }

    /// A Go string: the address of its bytes and their number.
    fn string<'a>(self, program: &Program<'a>, structure: &Structure, at: u64) -> Option<&'a [u8]> {
        let header = read(program, structure, at, self.size.checked_mul(2)?)?;
        let (data, len) = (self.read(header, 0)?, self.read(header, self.size)?);
        if len == 0 { Some(&[]) } else { read(program, structure, data, len) }
    }
}

/// Adds what the build information says. A universal program names the same once an architecture: what was
/// `seen` is not added again.
fn modules(
    path: &ImagePath,
    found: &BuildInfo<'_>,
    seen: &mut BTreeSet<(String, String)>,
    facts: &mut Facts,
) {
    let package = |name: String, version: String| FoundPackage {
        kind: "golang",
        name,
        version,
        location: Some(path.clone()),
        ..FoundPackage::default()
    };
    let mut add = |package: FoundPackage, facts: &mut Facts| {
        if seen.insert((package.name.clone(), package.version.clone())) {
            facts.add(package);
        }
    };
    let mut needs = Vec::new();
    match toolchain(found.version) {
        Ok(version) => {
            needs.push(vec![format!("stdlib@{version}")]);
            add(package("stdlib".into(), version), facts);
        }
        Err(cause) => facts.blame(cause),
    }
    let text = Text::of(found.modules, facts);
    for line in text.modules.iter().filter(|line| !line.main) {
        needs.push(vec![format!("{}@{}", line.name, line.version)]);
        add(
            FoundPackage { guessed: line.guessed, ..package(line.name.clone(), line.version.clone()) },
            facts,
        );
    }
    let has_main = text.modules.iter().any(|line| line.main);
    for line in text.modules.iter().filter(|line| line.main) {
        let main = package(line.name.clone(), line.version.clone());
        add(FoundPackage { application: true, requires: Some(needs.clone()), ..main }, facts);
    }
    // Go's own commands have no modules. Attack: a program built without modules (`GO111MODULE=off`), whose
    // libraries nothing names.
    let of_go = text.path.as_deref().is_some_and(|path| path == "cmd" || path.starts_with("cmd/"));
    if !has_main && text.modules.is_empty() && !text.refused && !of_go {
        facts.blame("a Go program that names no modules: which it was built from is unknown".into());
    }
}

/// The version of `stdlib`: `1.21.5` of `go1.21.5 X:loopvar`.
fn toolchain(version: &[u8]) -> Result<String, String> {
    let odd = || {
        format!(
            "a Go program built by an unknown version of Go: `{}`",
            escape(version.get(..100).unwrap_or(version))
        )
    };
    let text = std::str::from_utf8(version).map_err(|_| odd())?;
    // `go/version` ignores what vendors add: `go1.21.0-bigcorp`.
    let release = text.split([' ', '-', '+']).next().unwrap_or_default().strip_prefix("go");
    let release =
        release.filter(|release| release.starts_with(|c: char| c.is_ascii_digit())).ok_or_else(odd)?;
    if release.contains(|c: char| !c.is_ascii_alphanumeric() && c != '.') {
        return Err(odd());
    }
    word("the version of Go", release)
}

/// A module as a line names it.
struct Module {
    name: String,
    version: String,
    main: bool,
    guessed: bool,
}

/// The lines about modules.
#[derive(Default)]
struct Text {
    path: Option<String>,
    modules: Vec<Module>,
    /// Whether a line about a module could not be read.
    refused: bool,
}

impl Text {
    fn of(text: &[u8], facts: &mut Facts) -> Self {
        let mut read = Self::default();
        // Whether the module of the line before was taken: a replacement speaks of it.
        let mut replaceable = false;
        let mut has_main = false;
        for line in text.split(|byte| *byte == b'\n') {
            let mut fields = line.split(|byte| *byte == b'\t');
            let kind = fields.next().unwrap_or_default();
            let fields: Vec<&[u8]> = fields.collect();
            let result = match kind {
                b"path" => {
                    read.path = fields.first().map(|path| String::from_utf8_lossy(path).into_owned());
                    Ok(())
                }
                // Attack: a thousand main modules that each need a thousand others.
                b"mod" if has_main => Err("a second main module".into()),
                b"mod" | b"dep" if read.modules.len() >= MAX_PACKAGES => {
                    facts.blame(format!("more than {MAX_PACKAGES} modules"));
                    break;
                }
                b"mod" | b"dep" => module(&fields, kind == b"mod").map(|module| read.modules.push(module)),
                b"=>" if replaceable => replacement(&fields).map(|new| read.replace(new)),
                b"=>" => Err("it replaces no module".into()),
                _ => continue,
            };
            has_main |= kind == b"mod";
            replaceable = result.is_ok() && matches!(kind, b"mod" | b"dep");
            if let Err(cause) = result {
                read.refused = true;
                let line = escape(line.get(..200).unwrap_or(line));
                facts.blame(format!("a line of a Go program's build information: {cause}: `{line}`"));
            }
        }
        read
    }

    /// A replacement takes the place of the module before: its code is what was built. One of a directory
    /// has no version; what it replaces is the best guess of what it is.
    fn replace(&mut self, new: Option<Module>) {
        if let Some(module) = self.modules.last_mut() {
            let main = module.main;
            match new {
                Some(new) => *module = Module { main, ..new },
                None => module.guessed = true,
            }
        }
    }
}

/// `PATH VERSION [SUM]`.
fn module(fields: &[&[u8]], main: bool) -> Result<Module, String> {
    let text = |at: usize| {
        std::str::from_utf8(fields.get(at).copied().unwrap_or_default())
            .map_err(|_| "it is no text".to_owned())
    };
    let version = match text(1)? {
        // Before Go 1.18 a main module without a version had none.
        "" if main => "(devel)",
        version => version,
    };
    Ok(Module {
        name: word("the path", text(0)?)?,
        version: word("the version", version)?,
        main,
        guessed: false,
    })
}

/// None for a directory.
fn replacement(fields: &[&[u8]]) -> Result<Option<Module>, String> {
    match fields.first().copied().unwrap_or_default() {
        path if path.starts_with(b".") || path.starts_with(b"/") => Ok(None),
        // `C:\src`.
        [_, b':', b'\\' | b'/', ..] => Ok(None),
        _ => module(fields, false).map(Some),
    }
}

#[cfg(test)]
mod tests;
