//! What is kept of a program that is too large to be held, while it streams by.

use std::ops::Range;

use memchr::memmem::Finder;

use super::{Mark, Places, Program};

/// The first bytes: the headers of all formats.
const HEAD: u64 = 64 << 10;

/// The last bytes: linkers put the section headers and their names there.
const TAIL: u64 = 1 << 20;

/// What is kept of one program: 64 MiB (design §7).
const LIMIT: u64 = 64 << 20;

/// What is kept around marks, of these: 8 MiB.
const AROUND: u64 = 8 << 20;

/// How often catalogers are asked while a program streams by.
const ROUNDS: usize = 16;

/// What went by last and can still be kept.
const CARRY: usize = 1 << 10;

/// Keeps pieces of a program.
pub(in crate::inventory) struct Kept {
    size: u64,
    pieces: Vec<Piece>,
    places: Vec<Places>,
    marks: Vec<(Mark, Finder<'static>)>,
    /// The last bytes that went by, at most [`CARRY`].
    carry: Vec<u8>,
    /// Bytes that went by.
    position: u64,
    /// Bytes of all pieces, and of those around marks.
    total: u64,
    around: u64,
    rounds: usize,
    /// Whether a piece was completed since catalogers were asked last.
    news: bool,
}

struct Piece {
    range: Range<u64>,
    bytes: Vec<u8>,
}

impl Piece {
    fn is_whole(&self) -> bool {
        self.bytes.len() as u64 >= self.range.end - self.range.start
    }

    /// Takes what it lacks from bytes that start at `at`; whether it is whole since.
    fn feed(&mut self, at: u64, bytes: &[u8]) -> bool {
        if self.is_whole() {
            return false;
        }
        let next = self.range.start + self.bytes.len() as u64;
        let (Some(from), Some(until)) = (next.checked_sub(at), self.range.end.checked_sub(at)) else {
            return false;
        };
        let len = bytes.len() as u64;
        let index = |offset: u64| usize::try_from(offset.min(len)).unwrap_or(bytes.len());
        self.bytes.extend_from_slice(bytes.get(index(from)..index(until)).unwrap_or_default());
        self.is_whole()
    }
}

impl Kept {
    /// For a program of that size. `again` is what an earlier reading lacked.
    pub(in crate::inventory) fn new(size: u64, marks: Vec<Mark>, again: &[Range<u64>]) -> Self {
        let places = marks.iter().map(Places::of).collect();
        let with_finder = |mark: Mark| {
            let finder = Finder::new(mark.bytes.as_ref()).into_owned();
            (mark, finder)
        };
        let mut kept = Self {
            size,
            pieces: Vec::new(),
            places,
            marks: marks.into_iter().map(with_finder).collect(),
            carry: Vec::new(),
            position: 0,
            total: 0,
            around: 0,
            rounds: 0,
            news: false,
        };
        kept.keep(0..HEAD.min(size));
        kept.keep(size.saturating_sub(TAIL)..size);
        for range in again {
            kept.keep(range.clone());
        }
        kept
    }

    /// Lets bytes go by.
    pub(in crate::inventory) fn feed(&mut self, bytes: &[u8]) {
        for piece in &mut self.pieces {
            self.news |= piece.feed(self.position, bytes);
        }
        let carried = self.carry.len();
        self.carry.extend_from_slice(bytes);
        let start = self.position.saturating_sub(carried as u64);
        self.position = self.position.saturating_add(bytes.len() as u64);
        let mut around = Vec::new();
        for ((mark, finder), places) in self.marks.iter().zip(&mut self.places) {
            for at in finder.find_iter(&self.carry).filter(|at| at + mark.bytes.len() > carried) {
                let offset = start.saturating_add(at as u64);
                if !places.add(offset) {
                    break;
                }
                let end = offset.saturating_add(mark.after).min(self.size);
                around.push(offset.saturating_sub(mark.before)..end);
            }
        }
        for range in around {
            let len = range.end.saturating_sub(range.start);
            // Attack: marks in thousands, to fill the memory. What is not kept is read again if need be.
            if self.around.saturating_add(len) <= AROUND {
                self.around += len;
                self.keep(range);
            }
        }
        let over = self.carry.len().saturating_sub(CARRY);
        self.carry.drain(..over);
    }

    /// Whether catalogers may know by now what else they want.
    pub(in crate::inventory) fn due(&self) -> bool {
        self.news && self.rounds < ROUNDS && self.position >= HEAD
    }

    /// Takes what they want, as far as it is still to come.
    pub(in crate::inventory) fn want(&mut self, wanted: Vec<Range<u64>>) {
        self.rounds += 1;
        self.news = false;
        for range in wanted {
            self.keep(range);
        }
    }

    fn keep(&mut self, range: Range<u64>) {
        let len = range.end.saturating_sub(range.start);
        let behind = self.position.saturating_sub(self.carry.len() as u64);
        let known = self.pieces.iter().any(|p| p.range.start <= range.start && range.end <= p.range.end);
        let total = self.total.saturating_add(len);
        if len == 0 || range.start < behind || known || total > LIMIT {
            return;
        }
        self.total = total;
        let mut piece = Piece { range, bytes: Vec::new() };
        self.news |= piece.feed(behind, &self.carry);
        self.pieces.push(piece);
    }

    /// The program as far as it went by.
    pub(in crate::inventory) fn program(&self, ended: bool) -> Program<'_> {
        let pieces = self.pieces.iter().map(|piece| (piece.range.start, piece.bytes.as_slice())).collect();
        Program::pieces(self.size, pieces, &self.places, ended)
    }
}
