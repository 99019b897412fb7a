//! Bytes that a registry hands out: held in memory, or made when they are asked for.

use std::sync::Arc;

use hyper::body::Bytes;

/// Makes so many bytes from an offset on.
pub type Maker = Arc<dyn Fn(u64, usize) -> Vec<u8> + Send + Sync>;

/// A body, or a part of one.
#[derive(Clone)]
pub struct Content {
    source: Source,
    start: u64,
    length: u64,
}

#[derive(Clone)]
enum Source {
    Held(Bytes),
    Made(Maker),
}

impl Content {
    /// A body of `length` bytes that are never all in memory.
    pub fn made(length: u64, maker: Maker) -> Self {
        Self { source: Source::Made(maker), start: 0, length }
    }

    pub fn len(&self) -> u64 {
        self.length
    }

    /// The part from `start` on.
    pub fn part(&self, start: u64, length: u64) -> Self {
        Self { source: self.source.clone(), start: self.start + start, length }
    }

    /// At most `wanted` bytes from `at` on; none beyond the end.
    pub fn read(&self, at: u64, wanted: usize) -> Vec<u8> {
        let left = usize::try_from(self.length.saturating_sub(at)).unwrap_or(usize::MAX);
        let (from, wanted) = (self.start + at, wanted.min(left));
        match &self.source {
            Source::Held(bytes) => {
                let from = usize::try_from(from).unwrap().min(bytes.len());
                bytes[from..bytes.len().min(from + wanted)].to_vec()
            }
            Source::Made(_) if wanted == 0 => Vec::new(),
            Source::Made(maker) => maker(from, wanted),
        }
    }

    /// All of it.
    pub fn bytes(&self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let part = self.read(all.len() as u64, 1024 * 1024);
            if part.is_empty() {
                return all;
            }
            all.extend(part);
        }
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self { start: 0, length: bytes.len() as u64, source: Source::Held(bytes) }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}
