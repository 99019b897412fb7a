//! Which of the statements about one vulnerability of a finding count.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::vex::{VexClaim, VexLevel, VexStatus};

/// A statement that is about a finding, or may be.
#[derive(Clone)]
pub(super) struct Candidate {
    pub(super) number: usize,
    pub(super) product: String,
    pub(super) level: VexLevel,
    pub(super) time: Option<Timestamp>,
    /// The latest time at which an attested document certainly was of that opinion.
    pub(super) renewed: Option<Timestamp>,
    pub(super) status: VexStatus,
    /// Number of the attested document; none of a file.
    pub(super) attested: Option<usize>,
    /// Why it cannot be said whether it is about the finding: only of attested ones that keep it.
    pub(super) doubt: Option<String>,
}

impl Candidate {
    pub(super) fn clears(&self) -> bool {
        self.status.sets_aside()
    }

    /// What it says beside other documents. One that keeps the finding is as old as the document is that still says so.
    pub(super) fn claim(&self, question: usize) -> VexClaim {
        let time = if self.clears() { self.time } else { self.renewed };
        VexClaim { question, time, status: self.status, document: self.attested }
    }

    /// Its rank beside other documents.
    pub(super) fn rank(&self) -> (Option<Timestamp>, VexStatus) {
        self.claim(0).rank()
    }

    /// Its rank within its own attested document, which may tell how an opinion changed.
    fn rank_within(&self) -> (Option<Timestamp>, VexStatus) {
        VexClaim { time: self.time, ..self.claim(0) }.rank()
    }

    /// Its rank among the statements of files.
    fn rank_of_file(&self) -> (VexLevel, Option<Timestamp>, VexStatus) {
        (self.level, self.time, self.status)
    }
}

/// What was chosen of one question about a finding.
#[derive(Default)]
pub(super) struct Chosen {
    /// The statement that settles it.
    pub(super) settling: Option<Candidate>,
    /// What each attested document claims.
    pub(super) claims: Vec<Candidate>,
    /// The statement of a file that keeps the finding, whatever another one says.
    pub(super) kept: Option<Candidate>,
    /// What may be about the finding, and then would keep it.
    pub(super) doubts: Vec<Candidate>,
}

impl Chosen {
    /// Of files the nearest counts, of those the latest, and of one time the stricter; of each attested document the
    /// latest. `settles` says that attested ones settle the finding beside files, the latest of all; else they are
    /// claims.
    pub(super) fn of(candidates: &[Candidate], settles: bool) -> Self {
        let sure = || candidates.iter().filter(|one| one.doubt.is_none());
        let files = || sure().filter(|one| one.attested.is_none());
        let nearest = files().max_by_key(|one| one.rank_of_file());
        let kept = files().filter(|one| !one.clears()).max_by_key(|one| one.rank());
        let (mut claims, mut doubts): (Vec<&Candidate>, Vec<&Candidate>) = (Vec::new(), Vec::new());
        let documents: BTreeSet<usize> = candidates.iter().filter_map(|one| one.attested).collect();
        for document in documents {
            let own = |one: &&Candidate| one.attested == Some(document);
            let best = sure().filter(own).max_by_key(|one| one.rank_within());
            let unsure = candidates.iter().filter(own).filter(|one| one.doubt.is_some());
            let later = unsure.filter(|one| best.is_none_or(|best| one.rank_within() > best.rank_within()));
            doubts.extend(later.max_by_key(|one| one.rank_within()));
            claims.extend(best);
        }
        let mut settling = nearest;
        if settles {
            settling = nearest.into_iter().chain(claims.drain(..)).max_by_key(|one| one.rank());
            doubts.retain(|one| settling.is_some_and(|best| one.rank() > best.rank()));
        }
        Self {
            settling: settling.cloned(),
            claims: claims.into_iter().cloned().collect(),
            kept: kept.cloned(),
            doubts: doubts.into_iter().cloned().collect(),
        }
    }
}
