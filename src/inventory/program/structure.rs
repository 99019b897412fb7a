//! Sections and segments of executables and libraries: ELF (gABI, "Object Files"), PE (Microsoft, "PE
//! Format") and Mach-O (`mach-o/loader.h`, `mach-o/fat.h`). Only what catalogers look up is read.

use super::Program;

/// Architectures of a universal Mach-O that are read: 42, so that no Java class is taken for one.
pub(super) const ARCHITECTURES: u8 = 42;

/// Entries of a table: 65,536. Compilers that make a section a function stay below.
const ENTRIES: u64 = 1 << 16;

/// Bytes of a table of names: 4 MiB.
const NAMES: u64 = 4 << 20;

/// Sections that somebody looks up.
const SECTIONS: &[&[u8]] = &[GO_ELF, GO_MACHO, b".dep-v0"];
const GO_ELF: &[u8] = b".go.buildinfo";
const GO_MACHO: &[u8] = b"__go_buildinfo";

/// A program's layout.
#[derive(Debug)]
pub(in crate::inventory) struct Structure {
    /// The sections that are looked up, or why the table of sections could not be read.
    pub(in crate::inventory) sections: Result<Vec<Section>, String>,
    /// What is loaded, in the table's order.
    pub(in crate::inventory) segments: Vec<Segment>,
    /// Address and size of the first writable segment that is data, as Go's reader chooses it.
    writable: Option<(u64, u64)>,
}

/// A named part of the file.
#[derive(Debug, Clone)]
pub(in crate::inventory) struct Section {
    pub(in crate::inventory) name: Vec<u8>,
    pub(in crate::inventory) offset: u64,
    /// Bytes in the file.
    pub(in crate::inventory) size: u64,
    address: u64,
}

/// A part of the file that is loaded.
#[derive(Debug, Clone)]
pub(in crate::inventory) struct Segment {
    pub(in crate::inventory) address: u64,
    pub(in crate::inventory) offset: u64,
    /// Bytes in the file.
    pub(in crate::inventory) size: u64,
}

impl Structure {
    fn empty() -> Self {
        Self { sections: Ok(Vec::new()), segments: Vec::new(), writable: None }
    }

    /// Where Go's build information is looked for: address and size (`debug/buildinfo`, `DataStart`).
    pub(in crate::inventory) fn go_data(&self) -> Option<(u64, u64)> {
        let named = self
            .sections
            .iter()
            .flatten()
            .find(|section| matches!(section.name.as_slice(), GO_ELF | GO_MACHO));
        named.map(|section| (section.address, section.size)).or(self.writable)
    }

    /// Offset of an address in the file, and how many bytes of its segment follow.
    pub(in crate::inventory) fn locate(&self, address: u64) -> Option<(u64, u64)> {
        self.segments.iter().find_map(|segment| {
            let into = address.checked_sub(segment.address).filter(|into| *into < segment.size)?;
            Some((segment.offset.checked_add(into)?, segment.size - into))
        })
    }
}

/// The layout of a program; of each architecture where it is universal.
///
/// # Errors
/// Why it could not be read: a lowercase fragment.
pub(in crate::inventory) fn read(program: &Program<'_>) -> Result<Vec<Structure>, String> {
    let magic = program.get(0, 4).ok_or("it is shorter than a header")?;
    match magic {
        [0x7f, b'E', b'L', b'F'] => Ok(vec![elf(program)?]),
        [b'M', b'Z', ..] => Ok(vec![pe(program)?]),
        [0xca, 0xfe, 0xba, 0xbe] => universal(program, false),
        [0xca, 0xfe, 0xba, 0xbf] => universal(program, true),
        _ => Ok(vec![macho(program, 0, program.size())?]),
    }
}

/// Integers of a header.
#[derive(Clone, Copy)]
struct Words {
    big: bool,
    /// Whether addresses have 8 bytes.
    wide: bool,
}

impl Words {
    fn int(self, bytes: &[u8], at: usize, len: usize) -> u64 {
        let bytes = bytes.get(at..at + len).unwrap_or_default();
        let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if self.big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }

    /// A field of the size of an address; its place in the narrow and in the wide form.
    fn address(self, bytes: &[u8], narrow: usize, wide: usize) -> u64 {
        if self.wide { self.int(bytes, wide, 8) } else { self.int(bytes, narrow, 4) }
    }

    fn pick(self, narrow: usize, wide: usize) -> usize {
        if self.wide { wide } else { narrow }
    }
}

/// A table of entries that are at least `least` bytes each.
fn table<'a>(
    program: &Program<'a>,
    what: &str,
    offset: u64,
    count: u64,
    entry: u64,
    least: usize,
) -> Result<std::slice::ChunksExact<'a, u8>, String> {
    if count > ENTRIES {
        return Err(format!("{count} {what} headers"));
    }
    let entry = usize::try_from(entry).unwrap_or(0);
    if count > 0 && (entry < least || entry > 1 << 10) {
        return Err(format!("{what} headers of {entry} bytes"));
    }
    let bytes = program.get(offset, count * entry as u64);
    Ok(bytes.ok_or_else(|| format!("its {what} headers lie outside of the file"))?.chunks_exact(entry.max(1)))
}

fn elf(program: &Program<'_>) -> Result<Structure, String> {
    let ident = program.get(0, 16).unwrap_or_default();
    let words = match (ident.get(4), ident.get(5)) {
        (Some(class @ 1..=2), Some(order @ 1..=2)) => Words { big: *order == 2, wide: *class == 2 },
        _ => return Err("no ELF class and byte order".into()),
    };
    let header = program.get(0, words.pick(52, 64) as u64).ok_or("an ELF header that is cut")?;
    let half = |narrow, wide| words.int(header, words.pick(narrow, wide), 2);
    let (segments_at, sections_at) = (words.address(header, 28, 32), words.address(header, 32, 40));
    let (mut segments_count, section_entry) = (half(44, 56), half(46, 58));
    let (mut sections_count, mut names_index) = (half(48, 60), half(50, 62));
    // gABI: numbers too large for the header stand in the first section's.
    let first = (sections_at > 0
        && (sections_count == 0 || names_index == 0xffff || segments_count == 0xffff))
        .then(|| program.get(sections_at, words.pick(40, 64) as u64))
        .flatten();
    if let Some(first) = first {
        if sections_count == 0 {
            sections_count = words.address(first, 20, 32);
        }
        if names_index == 0xffff {
            names_index = words.int(first, words.pick(24, 40), 4);
        }
        if segments_count == 0xffff {
            segments_count = words.int(first, words.pick(28, 44), 4);
        }
    }
    let mut structure = Structure::empty();
    for entry in table(program, "program", segments_at, segments_count, half(42, 54), words.pick(32, 56))? {
        if words.int(entry, 0, 4) != 1 {
            continue;
        }
        let segment = Segment {
            address: words.address(entry, 8, 16),
            offset: words.address(entry, 4, 8),
            size: words.address(entry, 16, 32),
        };
        let flags = words.int(entry, words.pick(24, 4), 4);
        // Writable and not executable.
        if flags & 0b11 == 0b10 && structure.writable.is_none() {
            structure.writable = Some((segment.address, words.address(entry, 20, 40)));
        }
        structure.segments.push(segment);
    }
    let least = words.pick(40, 64);
    structure.sections = if sections_at == 0 {
        Ok(Vec::new())
    } else {
        table(program, "section", sections_at, sections_count, section_entry, least)
            .and_then(|table| elf_sections(program, words, table, names_index))
    };
    Ok(structure)
}

fn elf_sections(
    program: &Program<'_>,
    words: Words,
    mut table: std::slice::ChunksExact<'_, u8>,
    names: u64,
) -> Result<Vec<Section>, String> {
    if names == 0 || table.len() == 0 {
        return Ok(Vec::new());
    }
    let entries = table.clone();
    let names = usize::try_from(names).ok().and_then(|at| table.nth(at)).ok_or("no section names")?;
    let (offset, size) = (words.address(names, 16, 24), words.address(names, 20, 32));
    if size > NAMES {
        return Err(format!("section names of {size} bytes"));
    }
    let names = program.get(offset, size).ok_or("its section names lie outside of the file")?;
    let mut sections = Vec::new();
    for entry in entries {
        let name = usize::try_from(words.int(entry, 0, 4)).ok().and_then(|at| names.get(at..));
        let Some(name) = name.and_then(looked_up) else { continue };
        // SHT_NOBITS has a size and no bytes.
        let size = if words.int(entry, 4, 4) == 8 { 0 } else { words.address(entry, 20, 32) };
        sections.push(Section {
            name,
            offset: words.address(entry, 16, 24),
            size,
            address: words.address(entry, 12, 16),
        });
    }
    Ok(sections)
}

/// The name at the front of these bytes, which a NUL ends, where somebody looks it up.
fn looked_up(bytes: &[u8]) -> Option<Vec<u8>> {
    let name = bytes.get(..bytes.iter().take(32).position(|byte| *byte == 0).unwrap_or(bytes.len()))?;
    SECTIONS.contains(&name).then(|| name.to_vec())
}

fn pe(program: &Program<'_>) -> Result<Structure, String> {
    let words = Words { big: false, wide: false };
    let dos = program.get(0, 64).ok_or("a DOS header that is cut")?;
    let at = words.int(dos, 0x3c, 4);
    let header = program.get(at, 24).filter(|header| header.starts_with(b"PE\0\0")).ok_or("no PE header")?;
    let (count, optional) = (words.int(header, 6, 2), words.int(header, 20, 2));
    let base = match program.get(at + 24, optional.min(32)).unwrap_or_default() {
        optional if words.int(optional, 0, 2) == 0x10b => words.int(optional, 28, 4),
        optional if words.int(optional, 0, 2) == 0x20b => words.int(optional, 24, 8),
        _ => 0,
    };
    let mut structure = Structure::empty();
    let mut sections = Vec::new();
    for entry in table(program, "section", at + 24 + optional, count, 40, 40)? {
        let address = words.int(entry, 12, 4).saturating_add(base);
        let (offset, size) = (words.int(entry, 20, 4), words.int(entry, 16, 4));
        structure.segments.push(Segment { address, offset, size });
        // Initialised data, readable and writable; the bits of alignment do not count.
        let is_data = words.int(entry, 36, 4) & !0x0060_0000 == 0xc000_0040;
        if is_data && structure.writable.is_none() && size > 0 && words.int(entry, 12, 4) > 0 {
            structure.writable = Some((address, words.int(entry, 8, 4)));
        }
        let name = entry.get(..8).unwrap_or_default();
        if let Some(name) = looked_up(name) {
            // The file's bytes are padded, the section's own are `VirtualSize`.
            let own = words.int(entry, 8, 4);
            sections.push(Section {
                name,
                offset,
                size: if own == 0 { size } else { size.min(own) },
                address,
            });
        }
    }
    structure.sections = Ok(sections);
    Ok(structure)
}

fn universal(program: &Program<'_>, wide: bool) -> Result<Vec<Structure>, String> {
    let words = Words { big: true, wide };
    let count = words.int(program.get(4, 4).unwrap_or_default(), 0, 4);
    if count == 0 || count > u64::from(ARCHITECTURES) {
        return Err(format!("{count} architectures"));
    }
    let entry = words.pick(20, 32);
    let table = table(program, "architecture", 8, count, entry as u64, entry)?;
    // All are asked for before one is answered for, so that one more reading is enough.
    let read: Vec<_> =
        table.map(|entry| macho(program, words.address(entry, 8, 8), words.address(entry, 12, 16))).collect();
    read.into_iter().collect()
}

/// A Mach-O file at `base`, which has `len` bytes.
fn macho(program: &Program<'_>, base: u64, len: u64) -> Result<Structure, String> {
    let words = match program.get(base, 4) {
        Some([0xfe, 0xed, 0xfa, kind @ (0xce | 0xcf)]) => Words { big: true, wide: *kind == 0xcf },
        Some([kind @ (0xce | 0xcf), 0xfa, 0xed, 0xfe]) => Words { big: false, wide: *kind == 0xcf },
        _ => return Err("no Mach-O header".into()),
    };
    if base.checked_add(len).is_none_or(|end| end > program.size()) {
        return Err("an architecture that lies outside of the file".into());
    }
    let start = words.pick(28, 32) as u64;
    let header = program.get(base, start).ok_or("a Mach-O header that is cut")?;
    let (count, size) = (words.int(header, 16, 4), words.int(header, 20, 4));
    if count > ENTRIES || size > NAMES {
        return Err(format!("{count} load commands of {size} bytes"));
    }
    let mut commands = program.get(base + start, size).ok_or("its load commands lie outside of the file")?;
    let mut structure = Structure::empty();
    let mut sections = Vec::new();
    for _ in 0..count {
        let len = usize::try_from(words.int(commands, 4, 4)).unwrap_or(0);
        let Some((command, rest)) = (len >= 8).then(|| commands.split_at_checked(len)).flatten() else {
            return Err("a load command that is cut".into());
        };
        commands = rest;
        if words.int(command, 0, 4) == words.pick(0x1, 0x19) as u64 {
            segment(command, words, base, &mut structure, &mut sections)?;
        }
    }
    structure.sections = Ok(sections);
    Ok(structure)
}

/// `LC_SEGMENT` and `LC_SEGMENT_64`.
fn segment(
    command: &[u8],
    words: Words,
    base: u64,
    structure: &mut Structure,
    sections: &mut Vec<Section>,
) -> Result<(), String> {
    let fixed = words.pick(56, 72);
    if command.len() < fixed {
        return Err("a segment that is cut".into());
    }
    let (address, size) = (words.address(command, 24, 24), words.address(command, 36, 48));
    let offset = base.saturating_add(words.address(command, 32, 40));
    let protection = |narrow, wide| words.int(command, words.pick(narrow, wide), 4);
    // Readable and writable, and never more than that.
    let is_data = address > 0 && size > 0 && protection(44, 60) == 3 && protection(40, 56) == 3;
    if is_data && structure.writable.is_none() {
        structure.writable = Some((address, words.address(command, 28, 32)));
    }
    if !command.get(8..).unwrap_or_default().starts_with(b"__PAGEZERO\0") {
        structure.segments.push(Segment { address, offset, size });
    }
    let count = usize::try_from(words.int(command, words.pick(48, 64), 4)).unwrap_or(usize::MAX);
    let entry = words.pick(68, 80);
    let table = command.get(fixed..).unwrap_or_default().chunks_exact(entry);
    if table.len() < count {
        return Err("sections that are cut".into());
    }
    for entry in table.take(count) {
        if let Some(name) = looked_up(entry.get(..16).unwrap_or_default()) {
            let offset = base.saturating_add(words.int(entry, words.pick(40, 48), 4));
            let address = words.address(entry, 32, 32);
            sections.push(Section { name, offset, size: words.address(entry, 36, 40), address });
        }
    }
    Ok(())
}
