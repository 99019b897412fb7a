//! VEX that hangs on an image: the documents out of what was verified.

use jiff::Timestamp;

use crate::model::attestation::{Attestation, Attested, Content};
use crate::model::digest::Digest;
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

/// A predicate of somebody who is believed.
struct Predicate {
    kind: String,
    /// As it was signed; none where it was too long to be kept.
    bytes: Option<Box<str>>,
    digest: Option<Digest>,
    origin: VexAttestation,
    /// The latest time that a statement in it may bear.
    latest: Option<Timestamp>,
}

impl Predicate {
    /// Whether they are copies, as where one attestation hangs in two forms, or is made once more.
    fn is_same(&self, other: &Self) -> bool {
        let key = |one: &Self| {
            let VexAttestation { subject, signed_by, logged, .. } = &one.origin;
            (one.kind.clone(), one.digest.clone(), subject.clone(), signed_by.clone(), *logged)
        };
        self.digest.is_some() && self.digest == other.digest && key(self) == key(other)
    }
}

/// Reads the documents of those who are believed. The bytes of all predicates are given back.
pub(super) fn read(evidence: &mut Evidence, believed: Believed<'_>) -> HungVex {
    let mut found =
        HungVex { hung: Hung { settles: believed.settles, ..Hung::default() }, ..HungVex::default() };
    let mut left = MAX_BYTES;
    for Predicate { kind, bytes, origin, latest, .. } in predicates(evidence, believed) {
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
        let (document, unread) = vex::read_attested(&kind, bytes.as_deref(), origin, latest);
        found.hung.unread.extend(unread);
        found.documents.extend(document);
    }
    found
}

/// What those state who are believed, each once. Attack: copies of one document, for which the limits are used up before
/// the one that keeps a finding.
fn predicates(evidence: &mut Evidence, believed: Believed<'_>) -> Vec<Predicate> {
    let mut predicates: Vec<Predicate> = Vec::new();
    for attested in evidence.attested.known_mut().into_iter().flatten() {
        let Attested { subject, platform, below, attestations, .. } = attested;
        for attestation in attestations {
            let bytes = attestation.signed_predicate.take();
            let Content::Statement { predicate_type, predicate } = &attestation.content else { continue };
            if !vex::states(predicate_type, predicate) || !(believed.by)(attestation) {
                continue;
            }
            let one = Predicate {
                kind: predicate_type.clone(),
                digest: bytes.as_ref().map(|bytes| Digest::sha256(bytes.as_bytes())),
                bytes,
                origin: VexAttestation {
                    at: attestation.at.clone(),
                    subject: subject.clone(),
                    platform: platform.clone(),
                    below: below.clone(),
                    signed_by: attestation.signed_by.clone(),
                    logged: !attestation.logs.is_empty(),
                },
                latest: signed_by_then(attestation),
            };
            match predicates.iter_mut().find(|other| other.is_same(&one)) {
                // Whoever signs it once more says it then: the last of the times bounds its statements, whichever
                // copy is listed first. A copy without a time lifts no bound.
                Some(other) => other.latest = other.latest.max(one.latest),
                None => predicates.push(one),
            }
        }
    }
    predicates
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

    fn hanging(attestations: Vec<Attestation>) -> Evidence {
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
        evidence
    }

    fn is_ours(attestation: &Attestation) -> bool {
        attestation.signed_by == SignedBy::Key(Digest::sha256(b"ours"))
    }

    fn found(attestations: Vec<Attestation>) -> HungVex {
        let mut evidence = hanging(attestations);
        let by = is_ours;
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
    fn copies_use_no_limit_up_and_the_last_signature_bounds_their_statements() {
        let mut many: Vec<Attestation> = (0..MAX_DOCUMENTS).map(|_| signed("ours", &openvex(0))).collect();
        many.extend((1..MAX_DOCUMENTS).map(|number| signed("ours", &openvex(number))));
        let found = found(many);
        assert_eq!((found.documents.len(), found.hung.unread.len()), (MAX_DOCUMENTS, 0));
        let at = |times: &[&str]| {
            let mut one = signed("ours", &openvex(1));
            one.times = times.iter().map(|time| time.parse().unwrap()).collect();
            one
        };
        let (early, late) = ("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z");
        for copies in [[&[early][..], &[late], &[]], [&[], &[late], &[early]], [&[late], &[], &[early]]] {
            let mut evidence = hanging(copies.map(at).into());
            let read = predicates(&mut evidence, Believed { by: &is_ours, settles: false });
            let bound = late.parse::<Timestamp>().unwrap().checked_add(CLOCK_SKEW).unwrap();
            assert_eq!(read.iter().map(|one| one.latest).collect::<Vec<_>>(), [Some(bound)]);
        }
        // Under another type it is another one.
        let mut other = signed("ours", &openvex(1));
        let Content::Statement { predicate_type, .. } = &mut other.content else { panic!() };
        predicate_type.push('x');
        let mut evidence = hanging(vec![signed("ours", &openvex(1)), other]);
        assert_eq!(predicates(&mut evidence, Believed { by: &is_ours, settles: false }).len(), 2);
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
