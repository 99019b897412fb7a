//! Files that a table of contents has in several pieces. The table comes after the files: the layer is read
//! once more for them.

use std::collections::BTreeMap;
use std::io::Read;

use sha2::{Digest as _, Sha256};

use crate::image::tar::{self, Header, Kind};
use crate::model::observed::{Note, What};
use crate::model::path::ImagePath;

use super::compare::{LISTED, listed_name};
use super::table::Sum;
use crate::inventory::tap::Tapped;

/// Pieces of a layer that are remembered: 524,288. zstd:chunked makes one of 64 KiB on the average, eStargz
/// of 4 MiB, so that a layer of 16 GiB has half of them.
const PIECES: usize = 1 << 19;

/// A piece of a file; each begins where the one before it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) size: u64,
    pub(super) digest: Option<Sum>,
    /// Whether runtimes make it a hole and read nothing.
    pub(super) zeros: bool,
}

/// Files to be read again, by name and by table.
#[derive(Debug)]
pub(in crate::inventory) struct Pieces {
    files: BTreeMap<ImagePath, Vec<(usize, Vec<Piece>)>>,
    /// Whether the last entry of a name so far is as every table has it.
    same: BTreeMap<ImagePath, bool>,
    left: usize,
}

impl Default for Pieces {
    fn default() -> Self {
        Self { files: BTreeMap::new(), same: BTreeMap::new(), left: PIECES }
    }
}

impl Pieces {
    /// Counts a piece that is to be remembered; whether it may be.
    pub(super) fn count(&mut self) -> bool {
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }

    pub(super) fn plan(&mut self, path: ImagePath, table: usize, pieces: Vec<Piece>) {
        let plans = self.files.entry(path).or_default();
        // Two tables mostly say the same.
        if plans.iter().all(|(_, known)| *known != pieces) {
            plans.push((table, pieces));
        }
    }

    /// Takes back what a table said of a file; whether there was something.
    pub(super) fn forget(&mut self, path: &ImagePath, table: usize) -> bool {
        let Some(plans) = self.files.get_mut(path) else { return false };
        let before = plans.len();
        plans.retain(|(of, _)| *of != table);
        plans.len() < before
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.values().all(Vec::is_empty)
    }

    /// Reads an entry of the archive, if it is to be read again.
    pub(in crate::inventory) fn entry(
        &mut self,
        header: &Header,
        bytes: &mut dyn Read,
    ) -> Result<(), tar::Error> {
        let Some(path) = listed_name(&header.name) else { return Ok(()) };
        let Some(plans) = self.files.get(&path) else { return Ok(()) };
        if header.kind != Kind::File {
            self.same.remove(&path);
            return Ok(());
        }
        let mut cursors: Vec<_> = plans.iter().map(|(_, pieces)| Cursor::new(pieces)).collect();
        let mut tap = |read: &[u8]| cursors.iter_mut().for_each(|cursor| cursor.read(read));
        Tapped::new(bytes, &mut tap).drain()?;
        // Of several entries of a name the last counts.
        self.same.insert(path, cursors.iter().all(|cursor| cursor.same));
        Ok(())
    }

    /// What contradicts.
    pub(in crate::inventory) fn finish(self) -> Vec<Note> {
        let others = self.same.into_iter().filter(|(_, same)| !same).take(LISTED);
        let text = "the table of contents has a piece of it with other content than the archive";
        others.map(|(path, _)| Note { path, what: What::Table(text.into()) }).collect()
    }
}

/// A file being read, piece by piece.
struct Cursor<'a> {
    pieces: std::slice::Iter<'a, Piece>,
    piece: Option<&'a Piece>,
    left: u64,
    hasher: Sha256,
    same: bool,
}

impl<'a> Cursor<'a> {
    fn new(pieces: &'a [Piece]) -> Self {
        let mut pieces = pieces.iter();
        let piece = pieces.next();
        let left = piece.map_or(0, |piece| piece.size);
        Self { pieces, piece, left, hasher: Sha256::new(), same: true }
    }

    fn read(&mut self, mut bytes: &[u8]) {
        while let (Some(piece), false) = (self.piece, bytes.is_empty()) {
            let most = usize::try_from(self.left).unwrap_or(usize::MAX);
            let (ours, behind) = bytes.split_at_checked(most).unwrap_or((bytes, &[]));
            bytes = behind;
            self.left -= ours.len() as u64;
            self.hasher.update(ours);
            // Attack: a program whose middle is a hole where the table is believed.
            self.same &= !piece.zeros || ours.iter().all(|byte| *byte == 0);
            if self.left == 0 {
                let sum: Sum = self.hasher.finalize_reset().into();
                self.same &= piece.digest.is_none_or(|digest| digest == sum);
                self.piece = self.pieces.next();
                self.left = self.piece.map_or(0, |piece| piece.size);
            }
        }
    }
}
