//! Compressed layers, read as one stream of bytes with what follows the stream reported.

use std::io::{self, BufRead, Read};

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952), several members allowed.
    Gzip,
    /// Zstandard (RFC 8878), several frames and skippable frames allowed.
    Zstd,
}

impl Compression {
    /// What a layer's media type says; `None` for one that portcullis cannot read.
    /// OCI layer.md and Docker image manifest schema 2, foreign and non-distributable ones included.
    #[must_use]
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        match media_type {
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar" => Some(Self::None),
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip"
            | "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Some(Self::Gzip),
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// What the first bytes say.
    #[must_use]
    pub fn of_magic(head: &[u8]) -> Self {
        if head.starts_with(&[0x1f, 0x8b]) {
            Self::Gzip
        } else if is_zstd_frame(head) {
            Self::Zstd
        } else {
            Self::None
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::None => "uncompressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// RFC 8878 §3.1: a Zstandard frame, or a skippable one.
fn is_zstd_frame(head: &[u8]) -> bool {
    matches!(head, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// How much compressed input is buffered: large enough that system calls do not count.
const BUFFER: usize = 128 << 10;

/// A buffered reader that can look ahead across a buffer's edge.
struct Input<R> {
    inner: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<R: Read> Input<R> {
    fn new(inner: R) -> Self {
        Self { inner, buffer: vec![0; BUFFER].into_boxed_slice(), start: 0, end: 0 }
    }

    /// The next bytes, at least `count` of them unless the input ends before.
    fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        if self.end - self.start < count {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        while self.end < count {
            let read = self.inner.read(self.buffer.get_mut(self.end..).unwrap_or_default())?;
            if read == 0 {
                break;
            }
            self.end += read;
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }
}

impl<R: Read> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.peek(1)
    }

    fn consume(&mut self, amount: usize) {
        self.start = (self.start + amount).min(self.end);
    }
}

impl<R: Read> Read for Input<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.peek(1)?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

/// The uncompressed bytes of a layer. Reads the compressed stream to its very end.
pub struct Decompressed<R: Read> {
    state: State<R>,
    trailing: bool,
    members: u64,
}

#[expect(clippy::large_enum_variant, reason = "one exists a layer, and it is never moved in a loop")]
enum State<R: Read> {
    Plain(Input<R>),
    Gzip(flate2::bufread::GzDecoder<Input<R>>),
    Zstd(zstd::stream::read::Decoder<'static, Input<R>>),
    Done,
}

impl<R: Read> Decompressed<R> {
    /// Begins to decompress; `None` takes the compression that the first bytes show.
    ///
    /// # Errors
    /// Those of the reader, and [`io::ErrorKind::InvalidData`] where the first bytes are of another
    /// compression than the one given.
    pub fn new(reader: R, compression: Option<Compression>) -> io::Result<Self> {
        let mut input = Input::new(reader);
        let found = Compression::of_magic(input.peek(4)?);
        let compression = compression.unwrap_or(found);
        if compression != found {
            let message = format!("declared as {}, but its bytes are {}", compression.word(), found.word());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mut new = Self { state: State::Done, trailing: false, members: 0 };
        new.start(input, compression)?;
        Ok(new)
    }

    fn start(&mut self, mut input: Input<R>, compression: Compression) -> io::Result<()> {
        let is_skippable = matches!(input.peek(4)?, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
        self.members += u64::from(compression != Compression::None && !is_skippable);
        self.state = State::start(input, compression)?;
        Ok(())
    }

    /// How many gzip members or zstd frames with content were begun; 0 where nothing is compressed.
    pub fn members(&self) -> u64 {
        self.members
    }

    /// Whether bytes other than zero padding follow the last member or frame: no runtime reads them,
    /// so what they are is unknown. Complete once the stream has been read to its end.
    pub fn has_trailing_bytes(&self) -> bool {
        self.trailing
    }

    /// After a member's end: another member, zero padding, or bytes that are neither.
    fn next_member(&mut self) -> io::Result<()> {
        let (mut input, compression) = match std::mem::replace(&mut self.state, State::Done) {
            State::Gzip(decoder) => (decoder.into_inner(), Compression::Gzip),
            State::Zstd(decoder) => (decoder.finish(), Compression::Zstd),
            State::Plain(_) | State::Done => return Ok(()),
        };
        if Compression::of_magic(input.peek(4)?) == compression {
            return self.start(input, compression);
        }
        loop {
            let rest = input.fill_buf()?;
            if rest.is_empty() {
                return Ok(());
            }
            self.trailing |= rest.iter().any(|byte| *byte != 0);
            let length = rest.len();
            input.consume(length);
        }
    }
}

impl<R: Read> State<R> {
    fn start(input: Input<R>, compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain(input),
            Compression::Gzip => Self::Gzip(flate2::bufread::GzDecoder::new(input)),
            Compression::Zstd => Self::Zstd(zstd::stream::read::Decoder::with_buffer(input)?.single_frame()),
        })
    }
}

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let read = match &mut self.state {
                State::Plain(input) => return input.read(buffer),
                State::Gzip(decoder) => decoder.read(buffer)?,
                State::Zstd(decoder) => decoder.read(buffer)?,
                State::Done => return Ok(0),
            };
            if read > 0 {
                return Ok(read);
            }
            self.next_member()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8], compression: Option<Compression>) -> io::Result<(Vec<u8>, bool)> {
        let mut decompressed = Decompressed::new(bytes, compression)?;
        let mut out = Vec::new();
        decompressed.read_to_end(&mut out)?;
        Ok((out, decompressed.has_trailing_bytes()))
    }

    #[test]
    fn several_members_are_one_stream() {
        let two = [gzip(b"one "), gzip(b"two")].concat();
        assert_eq!(read(&two, Some(Compression::Gzip)).unwrap(), (b"one two".to_vec(), false));
        let frame = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
        let two = [frame(b"one "), skippable.to_vec(), frame(b"two")].concat();
        assert_eq!(read(&two, None).unwrap(), (b"one two".to_vec(), false));
    }

    #[test]
    fn members_are_counted() {
        let count = |bytes: &[u8]| {
            let mut decompressed = Decompressed::new(bytes, None).unwrap();
            io::copy(&mut decompressed, &mut io::sink()).unwrap();
            decompressed.members()
        };
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
        let frame = zstd::encode_all(&b"x"[..], 1).unwrap();
        assert_eq!(count(b"plain"), 0);
        assert_eq!(count(&gzip(b"x")), 1);
        assert_eq!(count(&[gzip(b"x"), gzip(b"y"), vec![0; 9]].concat()), 2);
        assert_eq!(count(&[&frame[..], &skippable, &frame].concat()), 2);
    }

    #[test]
    fn padding_may_follow_the_last_member_and_nothing_else() {
        assert!(!read(&[gzip(b"x"), vec![0; 600]].concat(), None).unwrap().1);
        assert!(read(&[gzip(b"x"), b"hidden".to_vec()].concat(), None).unwrap().1);
        assert!(read(&[gzip(b"x"), vec![0; 600], gzip(b"y")].concat(), None).unwrap().1);
        assert!(
            read(&[zstd::encode_all(&b"x"[..], 1).unwrap(), b"hidden".to_vec()].concat(), None).unwrap().1
        );
    }

    #[test]
    fn a_stream_that_is_cut_is_an_error() {
        for whole in [gzip(&[7; 5000]), zstd::encode_all(&[7; 5000][..], 1).unwrap()] {
            for cut in [whole.len() - 1, whole.len() / 2, 5] {
                assert!(read(&whole[..cut], None).is_err(), "{cut}");
            }
        }
    }

    #[test]
    fn a_layer_that_is_not_what_its_media_type_says_is_an_error() {
        let error = read(b"plain", Some(Compression::Gzip)).unwrap_err();
        assert_eq!(error.to_string(), "declared as gzip, but its bytes are uncompressed");
        assert!(read(&gzip(b"x"), Some(Compression::None)).is_err());
    }
}
