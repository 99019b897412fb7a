//! VEX that hangs on an image: the documents out of what was verified.

use jiff::Timestamp;

use crate::model::attestation::{Attestation, Attested, Content};
use crate::model::evidence::Evidence;
use crate::model::vex::{VexAttestation, VexUnread};
use crate::policy::CLOCK_SKEW;
use crate::vex::{self, Document, Hung};

/// Documents of one image: 200. Attack: a signer who is believed and signs one every hour, each of which is compared
/// with every finding.
const MAX_DOCUMENTS: usize = 200;

/// Bytes of all of them: 64 MiB.
const MAX_BYTES: usize = 64 << 20;

/// Whose documents are read, and what they do.
#[derive(Clone, Copy)]
pub(super) struct Believed<'b> {
    /// Whether somebody who is believed signed it.
    pub(super) by: &'b dyn Fn(&Attestation) -> bool,
    /// Whether what they say sets findings aside, or each rule asks for itself.
    pub(super) settles: bool,
}

/// What hangs on an image.
#[derive(Debug, Default)]
pub(super) struct HungVex {
    pub(super) documents: Vec<Document>,
    pub(super) hung: Hung,
}

/// Reads the documents of those who are believed. The bytes of all predicates are given back.
pub(super) fn read(evidence: &mut Evidence, believed: Believed<'_>) -> HungVex {
    let mut found =
        HungVex { hung: Hung { settles: believed.settles, ..Hung::default() }, ..HungVex::default() };
    let mut left = MAX_BYTES;
    for attested in evidence.attested.known_mut().into_iter().flatten() {
        let Attested { subject, platform, below, attestations, .. } = attested;
        for attestation in attestations {
            let bytes = attestation.signed_predicate.take();
            let Content::Statement { predicate_type, predicate } = &attestation.content else { continue };
            if !vex::states(predicate_type, predicate) || !(believed.by)(attestation) {
                continue;
            }
            let origin = VexAttestation {
                at: attestation.at.clone(),
                subject: subject.clone(),
                platform: platform.clone(),
                below: below.clone(),
                signed_by: attestation.signed_by.clone(),
                logged: !attestation.logs.is_empty(),
            };
            let length = bytes.as_ref().map_or(0, |bytes| bytes.len());
            let rest = left.checked_sub(length).filter(|_| found.documents.len() < MAX_DOCUMENTS);
            let Some(rest) = rest else {
                let cause = format!(
                    "more than {MAX_DOCUMENTS} documents or {MAX_BYTES} bytes of VEX (limit `attested VEX`)"
                );
                let document = origin.at.in_words();
                found.hung.unread.push(VexUnread { document, attested: origin, cause });
                continue;
            };
            left = rest;
            let latest = signed_by_then(attestation);
            let (document, unread) = vex::read_attested(predicate_type, bytes.as_deref(), origin, latest);
            found.hung.unread.extend(unread);
            found.documents.extend(document.filter(|document| !is_there(document, &found.documents)));
        }
    }
    found
}

/// Whether the same stands there already, as where one attestation hangs in two forms.
fn is_there(document: &Document, others: &[Document]) -> bool {
    let same = |other: &Document| {
        let both = document.info.attested.as_ref().zip(other.info.attested.as_ref());
        other.info.digest == document.info.digest
            && both.is_some_and(|(one, other)| {
                (&one.subject, &one.signed_by, one.logged) == (&other.subject, &other.signed_by, other.logged)
            })
    };
    others.iter().any(same)
}

/// The latest time that a statement may bear: it was there when somebody who is trusted saw it. Attack: a statement that
/// is dated ahead, so that it counts before what its own signer says later.
fn signed_by_then(attestation: &Attestation) -> Option<Timestamp> {
    attestation.times.first().and_then(|time| time.checked_add(CLOCK_SKEW).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::attestation::{Place, SignedBy};
    use crate::model::digest::Digest;
    use crate::model::evidence::ImageIdentity;
    use crate::model::fact::Fact;
    use crate::model::predicate::OPENVEX;

    fn signed(by: &str, predicate: &Value) -> Attestation {
        let text = predicate.to_string();
        Attestation {
            at: Place::Referrer { digest: Digest::sha256(text.as_bytes()) },
            signed_by: SignedBy::Key(Digest::sha256(by.as_bytes())),
            content: Content::Statement { predicate_type: OPENVEX.into(), predicate: predicate.clone() },
            times: vec!["2026-10-01T00:00:00Z".parse().unwrap()],
            logs: Vec::new(),
            root: None,
            signed_predicate: Some(text.into()),
        }
    }

    fn openvex(number: usize) -> Value {
        json!({
            "@context": OPENVEX, "author": "Acme", "timestamp": "2026-01-01T00:00:00Z", "statements": [],
            "@id": number.to_string(),
        })
    }

    fn found(attestations: Vec<Attestation>) -> HungVex {
        let subject = Digest::sha256(b"image");
        let image = ImageIdentity { reference: "x".into(), digest: Some(subject.clone()) };
        let mut evidence = Evidence::of(image);
        let (refused, unknown) = (Vec::new(), Vec::new());
        evidence.attested = Fact::Known(vec![Attested {
            subject,
            platform: None,
            below: None,
            attestations,
            refused,
            unknown,
        }]);
        let ours = SignedBy::Key(Digest::sha256(b"ours"));
        let by = |one: &Attestation| one.signed_by == ours;
        let found = read(&mut evidence, Believed { by: &by, settles: false });
        let kept = evidence.attested.known().unwrap().iter().flat_map(|one| &one.attestations);
        assert!(kept.into_iter().all(|one| one.signed_predicate.is_none()), "the bytes are given back");
        found
    }

    #[test]
    fn documents_of_those_who_are_believed_are_read_once() {
        let all = vec![
            signed("ours", &openvex(1)),
            signed("ours", &openvex(1)),
            signed("ours", &openvex(2)),
            signed("others", &openvex(3)),
            signed("others", &json!({})),
        ];
        let found = found(all);
        assert_eq!((found.documents.len(), found.hung.unread.len()), (2, 0));
    }

    #[test]
    fn what_is_too_much_is_not_read_and_that_is_told() {
        let many = found((0..=MAX_DOCUMENTS).map(|number| signed("ours", &openvex(number))).collect());
        assert_eq!((many.documents.len(), many.hung.unread.len()), (MAX_DOCUMENTS, 1));
        assert!(many.hung.unread[0].cause.contains("limit `attested VEX`"));
        let large = |number: usize| {
            let mut large = signed("ours", &openvex(number));
            let text = large.signed_predicate.take().unwrap();
            large.signed_predicate = Some(format!("{text}{}", " ".repeat(15 << 20)).into());
            large
        };
        let large = found((0..5).map(large).collect());
        assert_eq!((large.documents.len(), large.hung.unread.len()), (4, 1));
        // Of one that was too large to be kept there are no bytes.
        let mut none = signed("ours", &openvex(1));
        none.signed_predicate = None;
        assert_eq!(found(vec![none]).hung.unread.len(), 1);
    }
}
