//! Builders of small programs for tests.

use std::borrow::Cow;

/// Where the first byte of the file is loaded.
pub(in crate::inventory) const BASE: u64 = 0x40_0000;

/// An ELF file: its header, a loaded segment a section, the sections, their names and their headers.
#[derive(Clone)]
pub(in crate::inventory) struct Elf {
    pub(in crate::inventory) big: bool,
    pub(in crate::inventory) wide: bool,
    /// Name, bytes and how many zeros stand before it.
    pub(in crate::inventory) sections: Vec<(&'static str, Cow<'static, [u8]>, usize)>,
    /// Zeros between the names of sections and the end.
    pub(in crate::inventory) tail: usize,
}

impl Elf {
    pub(in crate::inventory) fn new() -> Self {
        Self { big: false, wide: true, sections: Vec::new(), tail: 0 }
    }

    pub(in crate::inventory) fn section(mut self, name: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        self.sections.push((name, Cow::Owned(bytes.into()), 0));
        self
    }

    /// Zeros before the next section.
    pub(in crate::inventory) fn gap(mut self, zeros: usize) -> Self {
        self.sections.push(("", Cow::Borrowed(b""), zeros));
        self
    }

    fn put(&self, to: &mut Vec<u8>, value: u64, len: usize) {
        let bytes = value.to_be_bytes();
        let mut bytes = bytes[8 - len..].to_vec();
        if !self.big {
            bytes.reverse();
        }
        to.extend(bytes);
    }

    /// Offset of the first section's bytes.
    pub(in crate::inventory) fn first(&self) -> u64 {
        let (header, segment) = if self.wide { (64, 56) } else { (52, 32) };
        (header + self.named().count() as u64 * segment).next_multiple_of(16)
    }

    fn named(&self) -> impl Iterator<Item = &(&'static str, Cow<'static, [u8]>, usize)> {
        self.sections.iter().filter(|(name, ..)| !name.is_empty())
    }

    pub(in crate::inventory) fn build(&self) -> Vec<u8> {
        let word = if self.wide { 8 } else { 4 };
        let (header, segment, section) = if self.wide { (64, 56, 64) } else { (52, 32, 40) };
        let mut body = vec![0; usize::try_from(self.first()).unwrap()];
        let mut places = Vec::new();
        let mut names = vec![0];
        for (name, bytes, zeros) in &self.sections {
            body.resize((body.len() + zeros).next_multiple_of(16), 0);
            if !name.is_empty() {
                places.push((names.len() as u64, body.len() as u64, bytes.len() as u64));
                names.extend(name.as_bytes());
                names.push(0);
                body.extend_from_slice(bytes);
            }
        }
        let names_at = body.len() as u64;
        let own = names.len() as u64;
        names.extend(b".shstrtab\0");
        body.extend(&names);
        body.resize(body.len() + self.tail, 0);
        let sections_at = body.len() as u64;
        for field in [0_u64; 1].iter().chain(&vec![0; if self.wide { 7 } else { 9 }]) {
            self.put(&mut body, *field, if self.wide { 8 } else { 4 });
        }
        let strings = (own, names_at, names.len() as u64);
        for ((name, at, len), kind) in places.iter().map(|place| (*place, 1)).chain([(strings, 3)]) {
            self.put(&mut body, name, 4);
            self.put(&mut body, kind, 4);
            self.put(&mut body, if kind == 1 { 3 } else { 0 }, word);
            self.put(&mut body, if kind == 1 { BASE + at } else { 0 }, word);
            self.put(&mut body, at, word);
            self.put(&mut body, len, word);
            self.put(&mut body, 0, 8);
            self.put(&mut body, 16, word);
            self.put(&mut body, 0, word);
        }
        let mut head = b"\x7fELF".to_vec();
        head.extend([if self.wide { 2 } else { 1 }, if self.big { 2 } else { 1 }, 1]);
        head.resize(16, 0);
        for (value, len) in [(2, 2), (62, 2), (1, 4), (0, word), (header, word), (sections_at, word), (0, 4)]
        {
            self.put(&mut head, value, len);
        }
        let count = places.len() as u64;
        for value in [header, segment, count, section, count + 2, count + 1] {
            self.put(&mut head, value, 2);
        }
        for (_, at, len) in places {
            self.put(&mut head, 1, 4);
            if self.wide {
                self.put(&mut head, 6, 4);
            }
            for value in [at, BASE + at, BASE + at, len, len] {
                self.put(&mut head, value, word);
            }
            if !self.wide {
                self.put(&mut head, 6, 4);
            }
            self.put(&mut head, 16, word);
        }
        body[..head.len()].copy_from_slice(&head);
        body
    }
}

/// A PE file with one section at `0x1000`.
pub(in crate::inventory) fn pe(name: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut file = b"MZ".to_vec();
    file.resize(0x3c, 0);
    file.extend(64_u32.to_le_bytes());
    file.extend(b"PE\0\0\x64\x86\x01\0");
    file.extend([0; 12]);
    file.extend(32_u16.to_le_bytes());
    file.extend([0; 2]);
    file.extend(0x20b_u16.to_le_bytes());
    file.extend([0; 22]);
    file.extend(BASE.to_le_bytes());
    let mut header = name.to_vec();
    header.resize(8, 0);
    let len = u32::try_from(bytes.len()).unwrap();
    for field in [len, 0x1000, len.next_multiple_of(512), 512, 0, 0, 0, 0xc000_0040_u32] {
        header.extend(field.to_le_bytes());
    }
    file.extend(header);
    file.resize(512, 0);
    file.extend(bytes);
    file.resize(file.len().next_multiple_of(512), 0);
    file
}

/// A Mach-O file with one section.
pub(in crate::inventory) fn macho(name: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0xcf, 0xfa, 0xed, 0xfe];
    for field in [7_u32, 3, 2, 1, 152, 0, 0, 0x19, 152] {
        file.extend(field.to_le_bytes());
    }
    let mut segment = b"__DATA".to_vec();
    segment.resize(16, 0);
    file.extend(&segment);
    let len = bytes.len() as u64;
    for field in [BASE, len, 256, len] {
        file.extend(field.to_le_bytes());
    }
    for field in [3_u32, 3, 1, 0] {
        file.extend(field.to_le_bytes());
    }
    let mut section = name.to_vec();
    section.resize(16, 0);
    section.extend(segment);
    file.extend(section);
    file.extend(BASE.to_le_bytes());
    file.extend(len.to_le_bytes());
    file.extend(256_u32.to_le_bytes());
    file.resize(256, 0);
    file.extend(bytes);
    file
}

/// A universal file of Mach-O files.
pub(in crate::inventory) fn universal(files: &[Vec<u8>]) -> Vec<u8> {
    let mut file = vec![0xca, 0xfe, 0xba, 0xbe];
    file.extend(u32::try_from(files.len()).unwrap().to_be_bytes());
    let mut at = 4096_usize;
    for part in files {
        for field in [7, 3, at, part.len(), 12] {
            file.extend(u32::try_from(field).unwrap().to_be_bytes());
        }
        at = (at + part.len()).next_multiple_of(4096);
    }
    for part in files {
        file.resize(file.len().next_multiple_of(4096), 0);
        file.extend(part);
    }
    file
}

/// Go's build information with its strings inside. `modules` gets the frame.
pub(in crate::inventory) fn go(version: &str, modules: &str) -> Vec<u8> {
    let mut info = b"\xff Go buildinf:\x08\x02".to_vec();
    info.resize(32, 0);
    for string in [version.as_bytes().to_vec(), framed(modules)] {
        let mut len = string.len();
        while len >= 0x80 {
            info.push(u8::try_from(len & 0x7f).unwrap() | 0x80);
            len >>= 7;
        }
        info.push(u8::try_from(len).unwrap());
        info.extend(string);
    }
    info
}

/// The same with pointers, as before Go 1.18; it stands at `address`.
pub(in crate::inventory) fn old_go(elf: &Elf, address: u64, version: &str, modules: &str) -> Vec<u8> {
    let word = if elf.wide { 8 } else { 4 };
    let mut info = b"\xff Go buildinf:".to_vec();
    info.extend([u8::try_from(word).unwrap(), u8::from(elf.big)]);
    let strings = address + 32;
    let bytes = strings + 4 * word as u64;
    let (version, modules) = (version.as_bytes().to_vec(), framed(modules));
    elf.put(&mut info, strings, word);
    elf.put(&mut info, strings + 2 * word as u64, word);
    info.resize(32, 0);
    elf.put(&mut info, bytes, word);
    elf.put(&mut info, version.len() as u64, word);
    elf.put(&mut info, bytes + version.len() as u64, word);
    elf.put(&mut info, modules.len() as u64, word);
    info.extend(version);
    info.extend(modules);
    info
}

fn framed(modules: &str) -> Vec<u8> {
    if modules.is_empty() {
        return Vec::new();
    }
    [&[b'<'; 16][..], modules.as_bytes(), b"\n", &[b'>'; 16]].concat()
}

/// The section of a program that was built by cargo-auditable.
pub(in crate::inventory) fn audit(json: &str) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(json.as_bytes()).unwrap();
    encoder.finish().unwrap()
}
