//! Digests taken on threads of their own, while the bytes are unpacked and read: a layer that is the only one, or
//! the last, keeps two cores busy.

use std::io;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};

use crate::image::layer::{Digesting, at_once};
use crate::model::digest::{Algorithm, Digest, Hasher};

/// Bytes that are handed over at a time: small pieces would cost more than they save.
const PIECE: usize = 128 << 10;

/// Pieces on their way to the thread. When they are full, the reader waits for the hasher.
const AHEAD: usize = 4;

/// Takes a digest on a thread of its own, or at once where there is none to be had.
pub(super) fn apart(algorithm: Algorithm) -> Box<dyn Digesting> {
    match Apart::start(algorithm) {
        Ok(apart) => Box::new(apart),
        Err(_) => at_once(algorithm),
    }
}

struct Apart {
    piece: Vec<u8>,
    to: SyncSender<Vec<u8>>,
    /// Pieces that were hashed, to be filled again.
    back: Receiver<Vec<u8>>,
    thread: JoinHandle<Digest>,
}

impl Apart {
    fn start(algorithm: Algorithm) -> io::Result<Self> {
        let (to, pieces) = mpsc::sync_channel::<Vec<u8>>(AHEAD);
        let (used, back) = mpsc::channel();
        let thread = thread::Builder::new().name("digest".to_owned()).spawn(move || {
            let mut hasher = Hasher::new(algorithm);
            for piece in pieces {
                hasher.update(&piece);
                // Nobody wants it back once all were handed over.
                let _ = used.send(piece);
            }
            hasher.finish()
        })?;
        Ok(Self { piece: Vec::new(), to, back, thread })
    }

    /// That a thread which is gone takes no more is told by [`Digesting::finish`].
    fn hand_over(&mut self) {
        let mut next = self.back.try_recv().unwrap_or_else(|_| Vec::with_capacity(PIECE));
        next.clear();
        let _ = self.to.send(std::mem::replace(&mut self.piece, next));
    }
}

impl Digesting for Apart {
    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = PIECE.saturating_sub(self.piece.len()).min(bytes.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.piece.extend_from_slice(now);
            bytes = later;
            if self.piece.len() >= PIECE {
                self.hand_over();
            }
        }
    }

    fn finish(mut self: Box<Self>) -> io::Result<Digest> {
        self.hand_over();
        let Self { to, thread, .. } = *self;
        drop(to);
        thread.join().map_err(|_| io::Error::other("the thread that takes it ended"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(pieces: &[&[u8]], algorithm: Algorithm) -> Digest {
        let mut digesting = apart(algorithm);
        pieces.iter().for_each(|piece| digesting.update(piece));
        digesting.finish().unwrap()
    }

    #[test]
    fn nothing_and_much_have_the_digest_that_a_hasher_takes() {
        assert_eq!(digest(&[], Algorithm::Sha256), Digest::sha256(b""));
        let much: Vec<u8> = (0..3 * PIECE + 7).map(|n| n as u8).collect();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            assert_eq!(digest(&[&much], algorithm), Digest::of(algorithm, &much));
            assert_eq!(digest(&[&much[..PIECE], &much[PIECE..]], algorithm), Digest::of(algorithm, &much));
        }
    }

    #[test]
    fn one_that_is_dropped_ends_its_thread() {
        let mut digesting = Apart::start(Algorithm::Sha256).unwrap();
        digesting.update(b"a");
        let Apart { to, thread, back, .. } = digesting;
        drop((to, back));
        thread.join().unwrap();
    }

    proptest! {
        #[test]
        fn however_it_is_cut_it_is_the_same(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90_000), 0..8)) {
            let cut: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(digest(&cut, Algorithm::Sha256), Digest::sha256(&pieces.concat()));
        }
    }
}
