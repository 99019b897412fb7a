//! What `sigstore-verify` leaves open about log entries: whether the log that is named is the one that signed.

use sigstore_verify::types::{KindVersion, MediaType, TransparencyLogEntry};

use super::rejection::{Rejection, RejectionKind};
use super::trust::{Log, Root};
use super::verify::{LogEntry, time};

/// The log of the root that an entry names.
fn named<'r>(root: &'r Root, entry: &TransparencyLogEntry) -> Result<&'r Log, Rejection> {
    let id = entry.log_id.key_id.as_bytes();
    root.logs.iter().find(|log| log.id == id).ok_or_else(|| {
        let detail =
            format!("the transparency log {} is not one of the root {}", entry.log_id.key_id, root.id);
        Rejection::new(RejectionKind::UnknownLog, detail)
    })
}

/// Whether an entry has something of a log of this root that can be verified, before anything is.
pub(super) fn can_vouch(
    root: &Root,
    entry: &TransparencyLogEntry,
    version: MediaType,
) -> Result<(), Rejection> {
    named(root, entry)?;
    let promise_is_enough = version == MediaType::Bundle0_1;
    // Attack: an entry with nothing of the log's, beside one that has.
    if entry.inclusion_proof.is_none() && !(promise_is_enough && entry.inclusion_promise.is_some()) {
        let detail = "a log entry without a proof that it is in the log";
        return Err(Rejection::new(RejectionKind::LogMissing, detail));
    }
    Ok(())
}

/// What a verified entry says; only what its log signed.
///
/// Attack: a checkpoint of another log. Any log of the root may have signed it as far as `sigstore-verify` is
/// concerned, so an entry could be shown as one of a log that never saw it.
pub(super) fn entry(root: &Root, entry: &TransparencyLogEntry) -> Result<LogEntry, Rejection> {
    let log = named(root, entry)?;
    if let Some(proof) = &entry.inclusion_proof {
        let checkpoint = proof.checkpoint.checkpoint();
        let signed = checkpoint.is_some_and(|checkpoint| {
            let text = checkpoint.signed_data();
            checkpoint.signatures().iter().any(|signature| log.key.verify(text, &signature.signature).is_ok())
        });
        if !signed {
            let detail = format!("the checkpoint is not signed by {}, the log that the entry names", log.url);
            return Err(Rejection::new(RejectionKind::Checkpoint, detail));
        }
    }
    let tiled = entry.kind_version == KindVersion::HashedRekordV002;
    // A log of Rekor v1 states the size twice, and a proof may hold for several sizes. (Of Rekor v2 only the
    // checkpoint's is read, and what stands beside it is nobody's word.)
    if let Some(proof) = entry.inclusion_proof.as_ref().filter(|_| !tiled)
        && proof.checkpoint.checkpoint().is_none_or(|checkpoint| checkpoint.tree_size() != proof.tree_size)
    {
        let detail = "the proof is for another size of the log than the checkpoint";
        return Err(Rejection::new(RejectionKind::InclusionProof, detail));
    }
    // The index is signed in a promise (with the time), or proved by a proof in which it is the one of the log.
    let promised = entry.inclusion_promise.is_some();
    let integrated = entry.integrated_time.filter(|_| promised && !tiled);
    Ok(LogEntry {
        log: log.url.clone(),
        index: Some(entry.log_index.get()).filter(|_| promised || tiled),
        integrated: integrated.map(|at| time(at.as_second())).transpose()?,
    })
}
