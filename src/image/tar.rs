//! A strict streaming reader of tar archives: POSIX ustar and pax (IEEE 1003.1, "pax"), and GNU's long
//! names and base-256 numbers. It reads forward only and keeps one header in memory.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::limits::Limits;

const BLOCK: usize = 512;

/// An entry's header, its extensions applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Name as written.
    pub name: Vec<u8>,
    /// What the entry is.
    pub kind: Kind,
    /// Length of the content that follows.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// User id of the owner; 0 where it cannot be read, which is then among the oddities.
    pub uid: u64,
    /// Group id of the owner; as `uid`.
    pub gid: u64,
    /// Time of the last change in whole seconds since 1970; none where it cannot be read.
    pub mtime: Option<i64>,
    /// What a [`Kind::Special`] is.
    pub node: Option<Node>,
    /// The value of the extended attribute `security.capability` (capabilities(7)), at most
    /// [`CAPABILITY`] bytes of it.
    pub capability: Option<Box<[u8]>>,
    /// Extended attributes by name, whole: the records `SCHILY.xattr.NAME` of a pax header.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What readers of archives may disagree on, and what is not refused for it: causes.
    pub oddities: Vec<&'static str>,
}

/// Bytes of a `security.capability` that are kept: 24 is the longest that Linux defines.
pub const CAPABILITY: usize = 24;

/// The oddity of an owner or a time that cannot be read.
pub const NO_NUMBER: &str = "an owner or a time that is no number";

/// A special file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Node {
    /// A character device, by major and minor number. 0 and 0 is how overlayfs writes a whiteout.
    Character(u64, u64),
    /// A block device, by major and minor number.
    Block(u64, u64),
    /// A FIFO.
    Fifo,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link to the target as written.
    Symlink(Vec<u8>),
    /// A hard link to the name as written.
    HardLink(Vec<u8>),
    /// A device or fifo.
    Special,
    /// A GNU sparse file: its stored bytes are not its content.
    Sparse,
    /// A type that no specification in use defines.
    Unknown(u8),
}

/// Why an archive cannot be read on: a lowercase fragment.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are no tar archive, or end inside an entry.
    #[error("{0}")]
    Grammar(String),
    /// A limit was reached.
    #[error("{0}")]
    Limit(String),
    /// The reader below failed.
    #[error("{0}")]
    Read(#[from] io::Error),
}

/// A source of archive bytes that can pass over some without delivering them.
pub trait Source: Read {
    /// Passes over `count` bytes; answers how many there were.
    ///
    /// # Errors
    /// Those of the reader.
    fn skip(&mut self, count: u64) -> io::Result<u64> {
        io::copy(&mut self.take(count), &mut io::sink())
    }
}

/// Reads an archive entry by entry.
pub struct Archive<R> {
    source: R,
    /// Content of the current entry that was not read yet.
    remaining: u64,
    /// Padding after it.
    padding: u64,
    entries: u64,
    limits: Limits,
    trailing: bool,
}

/// Extensions collected for the next entry.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    sparse: bool,
    /// The name that a sparse file really has; `path` is one for readers that know nothing of it.
    sparse_name: Option<Vec<u8>>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<i64>,
    capability: Option<Box<[u8]>>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    oddities: Vec<&'static str>,
    /// Kinds of extended headers seen: each may stand once, and the two families not together.
    seen: Vec<u8>,
}

impl<R: Source> Archive<R> {
    /// An archive about to be read.
    pub fn new(source: R, limits: &Limits) -> Self {
        Self { source, remaining: 0, padding: 0, entries: 0, limits: *limits, trailing: false }
    }

    /// The next entry; `None` at the archive's end. Content that was not read is passed over.
    ///
    /// # Errors
    /// [`Error`]; the archive cannot be read on after one.
    pub fn next_entry(&mut self) -> Result<Option<Header>, Error> {
        let mut extensions = Extensions::default();
        loop {
            self.finish_entry()?;
            let Some(block) = self.header_block()? else { return Ok(None) };
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(Error::Limit(format!(
                    "more than {} entries (limit `entries`)",
                    self.limits.entries
                )));
            }
            let size = number(field(&block, 124, 12), "size")?;
            let kind = byte(&block, 156);
            if let b'L' | b'K' | b'x' | b'g' = kind {
                self.begin_content(size);
                let content = self.extension(size)?;
                extensions.apply(kind, content)?;
                continue;
            }
            return self.entry(&block, kind, size, extensions).map(Some);
        }
    }

    /// Whether anything but zeros follows the end of the archive: runtimes do not read it, so what it
    /// is is unknown. Call after [`Archive::next_entry`] answered `None`; reads the source to its end.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn has_trailing_bytes(&mut self) -> Result<bool, Error> {
        let mut buffer = [0; 64 << 10];
        loop {
            let read = self.source.read(&mut buffer)?;
            if read == 0 {
                return Ok(self.trailing);
            }
            self.trailing |= buffer.iter().take(read).any(|byte| *byte != 0);
        }
    }

    /// The source, positioned behind what was read.
    pub fn into_source(self) -> R {
        self.source
    }

    fn entry(
        &mut self,
        block: &[u8; BLOCK],
        kind: u8,
        size: u64,
        mut extensions: Extensions,
    ) -> Result<Header, Error> {
        extensions.compare(block, size);
        let uid = extensions.uid.unwrap_or_else(|| extensions.owner(field(block, 108, 8)));
        let gid = extensions.gid.unwrap_or_else(|| extensions.owner(field(block, 116, 8)));
        let time = || number(field(block, 136, 12), "time").ok().and_then(|time| time.try_into().ok());
        let mtime = extensions.mtime.or_else(time);
        let size = extensions.size.unwrap_or(size);
        let plain = plain_name(block)?;
        let name = extensions.sparse_name.or(extensions.name).unwrap_or(plain);
        // Attack: a regular file whose name ends in a slash is a directory to old readers and a file to Go:
        // what is its content to the one are entries to the other.
        if matches!(kind, b'0' | b'7') && name.ends_with(b"/") && size > 0 {
            return Err(Error::Grammar("a file with content has the name of a directory".into()));
        }
        let link = extensions.link.unwrap_or_else(|| until_nul(field(block, 157, 100)).to_vec());
        let mode = u32::try_from(number(field(block, 100, 8), "mode")? & 0o7777).unwrap_or_default();
        let node = node(block, kind);
        let kind = match kind {
            _ if extensions.sparse => Kind::Sparse,
            b'0' | 0 | b'7' if name.ends_with(b"/") => Kind::Directory,
            b'0' | 0 | b'7' => Kind::File,
            b'1' => Kind::HardLink(link),
            b'2' => Kind::Symlink(link),
            b'3' | b'4' | b'6' => Kind::Special,
            b'5' => Kind::Directory,
            b'S' => {
                self.sparse_map(block)?;
                Kind::Sparse
            }
            other => Kind::Unknown(other),
        };
        // POSIX: links, devices and directories store no content, whatever their size field says.
        // GNU and Go read so, too; a reader that skipped `size` bytes would see other entries.
        let stored = match kind {
            Kind::File | Kind::Sparse | Kind::Unknown(_) => size,
            Kind::Directory | Kind::Symlink(_) | Kind::HardLink(_) | Kind::Special => 0,
        };
        self.begin_content(stored);
        let Extensions { capability, xattrs, mut oddities, .. } = extensions;
        if size > 0 && matches!(kind, Kind::Symlink(_) | Kind::HardLink(_) | Kind::Special) {
            oddities.push("a link or special file that states a size");
        }
        Ok(Header { name, kind, size: stored, mode, uid, gid, mtime, node, capability, xattrs, oddities })
    }

    fn begin_content(&mut self, size: u64) {
        self.remaining = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn finish_entry(&mut self) -> Result<(), Error> {
        let rest = self.remaining.saturating_add(self.padding);
        (self.remaining, self.padding) = (0, 0);
        if rest > 0 && self.source.skip(rest)? < rest {
            return Err(truncated());
        }
        Ok(())
    }

    /// The next header block; `None` at the end: a zero block (two are prescribed) or the end of the bytes.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>, Error> {
        let mut block = [0; BLOCK];
        let read = read_full(&mut self.source, &mut block)?;
        if read == 0 || block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        if read < BLOCK {
            return Err(truncated());
        }
        let stated = number(field(&block, 148, 8), "checksum")?;
        let sum = |signed: bool| {
            block.iter().enumerate().fold(0_i64, |sum, (i, byte)| {
                let byte = if (148..156).contains(&i) { b' ' } else { *byte };
                sum + if signed { i64::from(byte.cast_signed()) } else { i64::from(byte) }
            })
        };
        if i64::try_from(stated).is_ok_and(|stated| stated == sum(false) || stated == sum(true)) {
            Ok(Some(block))
        } else {
            Err(Error::Grammar("a tar header's checksum does not fit its bytes".into()))
        }
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        if size > self.limits.tar_extension {
            let limit = self.limits.tar_extension;
            return Err(Error::Limit(format!(
                "an extended header of {size} bytes (limit `tar extension`: {limit})"
            )));
        }
        let mut content = Vec::new();
        (&mut *self).take(size).read_to_end(&mut content)?;
        if content.len() as u64 == size { Ok(content) } else { Err(truncated()) }
    }

    /// Old GNU sparse headers: further blocks of the map follow while a flag says so.
    fn sparse_map(&mut self, block: &[u8; BLOCK]) -> Result<(), Error> {
        let mut more = byte(block, 482) != 0;
        for _ in 0..self.limits.tar_extension / BLOCK as u64 {
            if !more {
                return Ok(());
            }
            let mut next = [0; BLOCK];
            if read_full(&mut self.source, &mut next)? < BLOCK {
                return Err(truncated());
            }
            more = byte(&next, 504) != 0;
        }
        Err(Error::Limit("a sparse file's map is longer than the limit `tar extension`".into()))
    }
}

/// The current entry's content.
impl<R: Source> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.source.read(buffer.get_mut(..most).unwrap_or_default())?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends inside an entry"));
        }
        self.remaining -= read as u64;
        Ok(read)
    }
}

impl Extensions {
    fn apply(&mut self, kind: u8, content: Vec<u8>) -> Result<(), Error> {
        // Attack: a name stated twice, of which one reader takes the first and another the last; or a GNU
        // name beside a pax name, of which Go takes the one and pax readers the other.
        let gnu = |kind: &u8| matches!(kind, b'L' | b'K');
        let clash = |seen: &u8| *seen == kind || gnu(seen) != gnu(&kind);
        if kind != b'g' && self.seen.iter().any(clash) {
            return Err(Error::Grammar("an entry has several extended headers of a kind or of two".into()));
        }
        if kind != b'g' {
            self.seen.push(kind);
        }
        match kind {
            b'L' => self.name = Some(long_name(&content)?),
            b'K' => self.link = Some(long_name(&content)?),
            b'x' => self.apply_pax(&content)?,
            _ => refuse_global(&content)?,
        }
        Ok(())
    }

    fn apply_pax(&mut self, content: &[u8]) -> Result<(), Error> {
        for record in pax_records(content) {
            let (key, value) = record?;
            let is_name = matches!(key, b"path" | b"linkpath" | b"GNU.sparse.name");
            // Attack: a name that C readers cut at the NUL. Go refuses it.
            if is_name && value.contains(&0) {
                return Err(Error::Grammar("a name in an extended header holds a NUL".into()));
            }
            match key {
                // An empty value deletes the keyword (POSIX pax, "Extended header").
                b"path" => self.name = Some(value.to_vec()).filter(|name| !name.is_empty()),
                b"linkpath" => self.link = Some(value.to_vec()).filter(|link| !link.is_empty()),
                b"size" if value.is_empty() => self.size = None,
                b"size" => self.size = Some(decimal(value)?),
                b"uid" => self.uid = self.pax_number(value),
                b"gid" => self.gid = self.pax_number(value),
                // Fractions of a second are of no use here.
                b"mtime" => {
                    let whole = value.split(|b| *b == b'.').next().unwrap_or_default();
                    self.mtime = self.pax_number(whole);
                }
                b"GNU.sparse.name" if !value.is_empty() => {
                    self.sparse = true;
                    self.sparse_name = Some(value.to_vec());
                }
                key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                key => self.xattr(key, value),
            }
        }
        Ok(())
    }
}

/// What is compared and remembered, and never refused.
impl Extensions {
    fn xattr(&mut self, key: &[u8], value: &[u8]) {
        let Some(name) = key.strip_prefix(b"SCHILY.xattr.") else { return };
        if name == b"security.capability" && !value.is_empty() {
            self.capability = Some(value.get(..CAPABILITY).unwrap_or(value).into());
        }
        self.xattrs.insert(name.to_vec(), value.to_vec());
    }

    fn pax_number<T: std::str::FromStr>(&mut self, value: &[u8]) -> Option<T> {
        if value.is_empty() {
            return None;
        }
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        if number.is_none() {
            self.oddities.push(NO_NUMBER);
        }
        number
    }

    fn owner(&mut self, field: &[u8]) -> u64 {
        if is_needless_base_256(field) {
            self.oddities.push(NEEDLESS);
        }
        number(field, "owner").unwrap_or_else(|_| {
            self.oddities.push(NO_NUMBER);
            0
        })
    }

    /// Compares a header with what extends it.
    fn compare(&mut self, block: &[u8; BLOCK], size: u64) {
        if is_needless_base_256(field(block, 124, 12)) {
            self.oddities.push(NEEDLESS);
        }
        // Writers leave 0 where the size does not fit the field. Attack: another size, so that readers
        // without pax see other entries.
        if self.size.is_some_and(|stated| stated != size && size != 0) {
            self.oddities.push("an extended header that states another size than the header");
        }
        if self.seen.contains(&b'x') && field(block, 257, 8) == b"ustar  \0" {
            self.oddities.push("a pax header before an entry in GNU's format");
        }
    }
}

const NEEDLESS: &str = "a number in base-256 that octal digits would hold";

/// Whether a number field is in base-256 although its value fits octal digits, which no writer does.
fn is_needless_base_256(field: &[u8]) -> bool {
    let Some((first, rest)) = field.split_first() else { return false };
    // A digit has three bits, and the last byte of the field is no digit.
    let most = 1_u64.checked_shl(u32::try_from(rest.len() * 3).unwrap_or(u32::MAX)).unwrap_or(u64::MAX);
    first & 0xc0 == 0x80 && number(field, "number").is_ok_and(|value| value < most)
}

fn node(block: &[u8; BLOCK], kind: u8) -> Option<Node> {
    // A number that cannot be read is not that of a whiteout.
    let device = |at| number(field(block, at, 8), "device").unwrap_or(u64::MAX);
    match kind {
        b'3' => Some(Node::Character(device(329), device(337))),
        b'4' => Some(Node::Block(device(329), device(337))),
        b'6' => Some(Node::Fifo),
        _ => None,
    }
}

/// Attack: a global header that renames all entries, which some readers apply and others ignore.
fn refuse_global(content: &[u8]) -> Result<(), Error> {
    for record in pax_records(content) {
        let (key, _) = record?;
        if matches!(key, b"path" | b"linkpath" | b"size") || key.starts_with(b"GNU.sparse.") {
            let key = String::from_utf8_lossy(key).into_owned();
            return Err(Error::Grammar(format!(
                "a global extended header sets `{key}`, on which readers disagree"
            )));
        }
    }
    Ok(())
}

type PaxRecord<'a> = (&'a [u8], &'a [u8]);

/// POSIX pax: `"%d %s=%s\n", <length>, <keyword>, <value>`.
fn pax_records(mut content: &[u8]) -> impl Iterator<Item = Result<PaxRecord<'_>, Error>> {
    let mut failed = false;
    std::iter::from_fn(move || {
        if content.is_empty() || failed {
            return None;
        }
        let record = pax_record(&mut content);
        failed = record.is_none();
        Some(record.ok_or_else(|| Error::Grammar("a malformed extended header".into())))
    })
}

fn pax_record<'a>(content: &mut &'a [u8]) -> Option<PaxRecord<'a>> {
    let space = content.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(content.get(..space)?).ok()?).ok()?;
    let record = content.get(space + 1..length)?.strip_suffix(b"\n")?;
    *content = content.get(length..)?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((record.get(..equals)?, record.get(equals + 1..)?))
}

fn decimal(text: &[u8]) -> Result<u64, Error> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::Grammar("a number in an extended header is malformed".into()))
}

/// A number field: octal, or base-256 where the first bit is set (GNU).
fn number(field: &[u8], what: &str) -> Result<u64, Error> {
    let malformed = || Error::Grammar(format!("a tar header's {what} is malformed"));
    if let Some((first, rest)) = field.split_first()
        && first & 0x80 != 0
    {
        if first & 0x40 != 0 {
            return Err(Error::Grammar(format!("a tar header's {what} is negative")));
        }
        let start = u64::from(first & 0x3f);
        let value = rest
            .iter()
            .try_fold(start, |value, byte| value.checked_mul(256).map(|value| value | u64::from(*byte)));
        return value.filter(|value| i64::try_from(*value).is_ok()).ok_or_else(malformed);
    }
    let digits = field.trim_ascii_start();
    let end = digits.iter().position(|b| matches!(b, 0 | b' ')).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(end).unwrap_or((digits, &[]));
    if !rest.iter().all(|b| matches!(b, 0 | b' ')) {
        return Err(malformed());
    }
    digits.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'7' => {
            value.checked_mul(8).map(|value| value + u64::from(digit - b'0')).ok_or_else(malformed)
        }
        _ => Err(malformed()),
    })
}

/// ustar splits a long name into prefix and name; star has a shorter prefix with times behind it, and
/// GNU's own format uses the prefix's bytes for times and more.
fn plain_name(block: &[u8; BLOCK]) -> Result<Vec<u8>, Error> {
    let disagreement =
        |what: &str| Error::Grammar(format!("a tar header's {what}, on which readers disagree"));
    let name = until_nul(field(block, 0, 100));
    match field(block, 257, 6) {
        b"ustar\0" => {
            let is_star = field(block, 508, 4) == b"tar\0";
            let prefix = until_nul(field(block, 345, 155));
            // Attack: a prefix that star readers cut at 131 bytes.
            if is_star && prefix.len() > 131 {
                return Err(disagreement("prefix is longer than star's"));
            }
            Ok(if prefix.is_empty() { name.to_vec() } else { [prefix, name].join(&b'/') })
        }
        // Attack: a prefix in GNU's format, which Go takes for one where the times there are no numbers.
        b"ustar "
            if number(field(block, 345, 12), "time").and(number(field(block, 357, 12), "time")).is_err() =>
        {
            Err(disagreement("times are no numbers"))
        }
        _ => Ok(name.to_vec()),
    }
}

/// The content of a GNU long name. Attack: an empty one, which some readers ignore.
fn long_name(content: &[u8]) -> Result<Vec<u8>, Error> {
    match until_nul(content) {
        b"" => Err(Error::Grammar("a long name is empty".into())),
        name => Ok(name.to_vec()),
    }
}

fn field(block: &[u8; BLOCK], start: usize, length: usize) -> &[u8] {
    block.get(start..start + length).unwrap_or_default()
}

fn byte(block: &[u8; BLOCK], at: usize) -> u8 {
    block.get(at).copied().unwrap_or_default()
}

fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn truncated() -> Error {
    Error::Grammar("the archive ends inside an entry".into())
}

fn read_full(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
