//! What rules about signatures and attestations have in common: whose count, and of which manifests.

use std::sync::Arc;

use crate::model::attestation::{Attestation, Attested, SignedBy};
use crate::model::evidence::PlatformEvidence;
use crate::model::fact::Fact;
use crate::model::path::escape;

use super::error::Errors;
use super::fields::Fields;
use super::identity::{Identities, NamedIdentity};
use super::rule::{Decided, Subject, count, list};

/// Whose signatures count, and how many of them are needed.
#[derive(Debug)]
pub struct By {
    pub(crate) identities: Vec<Arc<NamedIdentity>>,
    needed: usize,
    /// Whether each platform's own manifest must be signed, and the index above it is not enough.
    per_platform: bool,
}

impl By {
    /// Reads `by`, `require` and `perPlatform`.
    pub(crate) fn read(
        fields: &mut Fields<'_>,
        identities: &Identities,
        errors: &mut Errors,
    ) -> Option<Self> {
        let by = fields.required("by");
        let by = errors.keep(by).and_then(|node| {
            let names = identities.read_names(node, errors);
            errors.keep(names)
        });
        let all = by.as_ref().map_or(0, Vec::len);
        let needed = fields.read("require", errors, |node| {
            node.read("`any`, `all` or a number", |text| match (text, text.parse::<usize>()) {
                ("any", _) => Ok(1),
                ("all", _) => Ok(all),
                (_, Ok(number)) if (1..=all).contains(&number) => Ok(number),
                (_, Ok(number)) => Err(format!("{number} of {}", count(all, "identity"))),
                (_, Err(_)) => Err(format!("expected `any`, `all` or a number, found `{text}`")),
            })
        });
        let per_platform = fields.read("perPlatform", errors, |node| node.boolean()).unwrap_or(false);
        let identities = by.filter(|by| !by.is_empty())?;
        Some(Self { identities, needed: needed.unwrap_or(1).max(1), per_platform })
    }

    /// Whether what is signed of every platform is enough. `fits` says why an attestation that the right one signed is
    /// not what is asked for; `what` is what is looked for, such as `signature`.
    pub(crate) fn decide(
        &self,
        subject: &Subject<'_>,
        what: &str,
        fits: &dyn Fn(&Attestation, &PlatformEvidence) -> Fits,
    ) -> Decided {
        let mut decided = Decided::default();
        let attested = match &subject.evidence.attested {
            Fact::Known(attested) => attested,
            Fact::Absent => {
                decided.undecided(None, "nobody looked for signatures: what is judged has none beside it");
                return decided;
            }
            Fact::Unknown(cause) => {
                decided.undecided(None, format!("what is signed of the image is not known: {cause}"));
                return decided;
            }
        };
        for platform in subject.platforms(&mut decided) {
            let relevant: Vec<&Attested> =
                attested.iter().filter(|attested| self.counts(attested, platform)).collect();
            self.decide_on(platform, &relevant, what, fits, &mut decided);
        }
        decided
    }

    /// Whether what is signed of a manifest speaks of a platform: of its own, or of an index above it.
    fn counts(&self, attested: &Attested, platform: &PlatformEvidence) -> bool {
        if platform.digest.as_ref() == Some(&attested.subject) {
            return true;
        }
        !self.per_platform && attested.platform.is_none()
    }

    fn decide_on(
        &self,
        platform: &PlatformEvidence,
        relevant: &[&Attested],
        what: &str,
        fits: &dyn Fn(&Attestation, &PlatformEvidence) -> Fits,
        decided: &mut Decided,
    ) {
        let place = Some(&platform.platform);
        let mut missing = Vec::new();
        let mut doubts: Vec<String> = Vec::new();
        let mut others: Vec<String> = Vec::new();
        let attestations = || relevant.iter().flat_map(|attested| &attested.attestations);
        for identity in &self.identities {
            let mut is_there = false;
            for attestation in attestations() {
                if identity.check(attestation).is_err() {
                    continue;
                }
                match fits(attestation, platform) {
                    Fits::Yes => is_there = true,
                    Fits::No(Some(cause)) => others.push(format!("that of `{}` {cause}", identity.name)),
                    Fits::No(None) => {}
                    Fits::Unknown(cause) => doubts.push(cause),
                }
            }
            if !is_there {
                missing.push(format!("`{}`", identity.name));
            }
        }
        if self.identities.len() - missing.len() >= self.needed {
            return;
        }
        let headline = match (self.needed, self.identities.len()) {
            (1, _) => format!("there is no {what} by {}", list(&missing)),
            (needed, all) => {
                let there = all - missing.len();
                format!("there are {there} of {needed} {what}s that are needed: none by {}", list(&missing))
            }
        };
        doubts.extend(relevant.iter().flat_map(|attested| attested.unknown.iter().cloned()));
        // What could not be seen may be the one that is missing.
        if !doubts.is_empty() {
            return decided
                .undecided(place, format!("{headline}, and not all could be looked at: {}", list(&doubts)));
        }
        others.extend(self.strangers(attestations()));
        let refused: Vec<String> = relevant
            .iter()
            .flat_map(|attested| &attested.refused)
            .map(|refused| format!("{}: {}", refused.kind, escape(refused.cause.as_bytes())))
            .collect();
        let mut text = headline;
        if !others.is_empty() {
            others.sort();
            others.dedup();
            text.push_str(&format!("; {}", list(&others)));
        }
        if !refused.is_empty() {
            text.push_str(&format!("; {} refused ({})", count(refused.len(), "one"), list(&refused)));
        }
        decided.violate(place, text);
    }

    /// Who else signed, and in what they differ from the one who may.
    fn strangers<'a>(&self, attestations: impl Iterator<Item = &'a Attestation>) -> Vec<String> {
        let stranger = |attestation: &Attestation| {
            let mut causes = Vec::new();
            for identity in &self.identities {
                match identity.check(attestation) {
                    Ok(()) => return None,
                    Err(cause) => causes.push(cause),
                }
            }
            let who = shown(&attestation.signed_by);
            // Of several that may sign each differs in its own way, which would be a page.
            Some(match causes.as_slice() {
                [cause] => format!("{who} signed: {}", escape(cause.as_bytes())),
                _ => format!("{who} signed"),
            })
        };
        attestations.filter_map(stranger).collect()
    }
}

/// Whether an attestation is what is asked for.
pub(crate) enum Fits {
    Yes,
    /// It is not; why, unless it is something else altogether.
    No(Option<String>),
    /// That cannot be said.
    Unknown(String),
}

/// Who signed, for people.
pub(crate) fn shown(signed_by: &SignedBy) -> String {
    match signed_by {
        SignedBy::Certificate(signer) => format!("`{}`", escape(signer.name.as_str().as_bytes())),
        SignedBy::Key(key) => format!("the key {key}"),
    }
}
