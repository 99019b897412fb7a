//! The conformance vectors, each by file and by digest.

use portcullis::attestation::Subject;
use portcullis::model::digest::Digest;

use crate::support::vectors::vectors;

/// Folders of the suite as it was read; more may come, fewer may not.
const FOLDERS: usize = 70;

#[test]
fn every_conformance_vector_is_judged_right_by_file_and_by_digest() {
    let Some(vectors) = vectors() else { return };
    let (mut right, mut judged, mut wrong) = (0, 0, Vec::new());
    for vector in &vectors {
        let digest = Digest::sha256(&vector.artifact);
        for (how, subject) in
            [("file", Subject::Bytes(&vector.artifact)), ("digest", Subject::Digest(&digest))]
        {
            judged += 1;
            let judgement = vector.verify(&vector.bundle, subject);
            let said = match &judgement {
                Ok(_) => "accepted".to_owned(),
                Err(rejection) => format!("{}: {rejection}", rejection.kind),
            };
            println!("{} by {how}: {said}", vector.name);
            if judgement.is_err() == vector.must_fail() {
                right += 1;
            } else {
                wrong.push(format!("{} by {how}: {said}", vector.name));
            }
        }
    }
    println!("conformance: {right} of {judged} right");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(judged >= 2 * FOLDERS, "{judged} judged");
    assert!(
        vectors.iter().any(|vector| !vector.must_fail()) && vectors.iter().any(|vector| vector.must_fail())
    );
}
