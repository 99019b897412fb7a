//! What is demanded of an image without a policy: that certain ones signed it, or attested something of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::attestation::identity::Identity;
use crate::attestation::{self, LogOfKey, PublicKey, Verified};
use crate::model::attestation::{Attestation, SignedBy};
use crate::model::evidence::Evidence;
use crate::model::verdict::{Message, Outcome};

use super::error::PolicyError;
use super::identity::{Identities, NamedIdentity, distinct};
use super::implicit;
use super::pattern::Pattern;
use super::rule::{Settings, Subject};
use super::rules::attestation::AttestationSettings;
use super::rules::signature::Signature;
use super::signed::{By, Missing, Require};

/// Who may have signed.
#[derive(Debug, Clone)]
pub enum Signatory {
    /// Whoever has a certificate as this says.
    Identity(Identity),
    /// Whoever has this key, and whether what it signs must be in a log.
    Key(PublicKey, LogOfKey),
}

/// Those who may sign, by name, and how many of them must, each by himself.
#[derive(Debug, Clone)]
pub struct Signatories(By);

/// Identities that a file has, by name.
#[derive(Debug)]
pub struct NamedIdentities(Identities);

impl NamedIdentities {
    /// Reads a file: YAML of at most 1 MiB, and in it what stands under `identities` in a policy.
    ///
    /// # Errors
    /// Everything that is wrong with it, in the order of the document.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<PolicyError>> {
        Identities::parse(bytes).map(Self)
    }

    /// Those with these names, or all of them where none is named.
    ///
    /// # Errors
    /// A name is not there, two are one, or more are required than are named: a lowercase fragment.
    pub fn choose(&self, names: &[String], require: Require) -> Result<Signatories, String> {
        Signatories::of(self.0.choose(names)?, require)
    }
}

impl Signatories {
    /// Those whom the command line names. What a report calls them: there are no names on a command line.
    ///
    /// # Errors
    /// Two are one, nobody is named, or more are required than are named: a lowercase fragment.
    pub fn new(signatories: Vec<Signatory>, require: Require) -> Result<Self, String> {
        let named = |(number, signatory): (usize, Signatory)| {
            let name = match &signatory {
                Signatory::Identity(identity) => identity.to_string(),
                Signatory::Key(key, _) => format!("key {} ({})", number + 1, key.fingerprint()),
            };
            Arc::new(NamedIdentity::new(name, signatory))
        };
        Self::of(signatories.into_iter().enumerate().map(named).collect(), require)
    }

    fn of(identities: Vec<Arc<NamedIdentity>>, require: Require) -> Result<Self, String> {
        if identities.is_empty() {
            return Err("nobody is named".to_owned());
        }
        for number in 1..=identities.len() {
            distinct(identities.get(..number).unwrap_or_default())?;
        }
        By::of(identities, require).map(Self)
    }

    /// How many of them must have signed, at least one.
    #[must_use]
    pub fn needed(&self) -> usize {
        self.0.needed()
    }

    /// Whether any of them is told by a certificate.
    #[must_use]
    pub fn have_certificates(&self) -> bool {
        self.0.identities.iter().any(|identity| identity.has_certificate())
    }

    /// Their keys, and whether what each signs must be in a log.
    pub fn keys(&self) -> impl Iterator<Item = (&PublicKey, LogOfKey)> {
        self.0.identities.iter().filter_map(|identity| identity.key())
    }

    /// Whether one of them is who signed something that was verified.
    ///
    /// # Errors
    /// In what each differs: a lowercase fragment.
    pub fn check(&self, verified: &Verified) -> Result<(), String> {
        let signed_by = match &verified.signed_by {
            attestation::SignedBy::Certificate(signer) => SignedBy::Certificate(signer.clone()),
            attestation::SignedBy::Key(fingerprint) => SignedBy::Key(fingerprint.clone()),
        };
        let mut causes = Vec::new();
        for identity in &self.0.identities {
            match identity.check_signer(&signed_by, !verified.log_entries.is_empty()) {
                Ok(()) => return Ok(()),
                Err(cause) => causes.push((identity.name.as_str(), cause)),
            }
        }
        Err(match causes.as_slice() {
            [(_, cause)] => cause.clone(),
            several => {
                let several = several.iter().map(|(name, cause)| format!("not `{name}`: {cause}"));
                several.collect::<Vec<_>>().join("; ")
            }
        })
    }

    /// Whether one of them made an attestation.
    #[must_use]
    pub fn made(&self, attestation: &Attestation) -> bool {
        !self.0.signers(attestation).is_empty()
    }

    /// Whether as many of them as must have made some of these signatures, each by himself.
    ///
    /// # Errors
    /// Who is missing, and who else signed.
    pub fn signed(&self, signatures: &[&Attestation]) -> Result<(), Missing> {
        self.0.made(signatures, "signature")
    }
}

/// A demand.
#[derive(Debug)]
pub struct Demand(Box<dyn Settings>);

impl Demand {
    /// A signature by those who must, with these annotations.
    #[must_use]
    pub fn signature(by: &Signatories, annotations: &BTreeMap<String, String>) -> Self {
        let annotations = annotations.iter().map(|(key, value)| (key.clone(), Pattern::exact(value)));
        Self(Box::new(Signature { by: by.0.clone(), annotations: annotations.collect() }))
    }

    /// An attestation of a predicate type by those who must.
    #[must_use]
    pub fn attestation(by: &Signatories, predicate_type: String) -> Self {
        let by = by.0.clone();
        Self(Box::new(AttestationSettings { by, predicate_type, fields: Vec::new(), max_age: None }))
    }

    /// Whether the demand is met, and why not.
    #[must_use]
    pub fn decide(&self, evidence: &Evidence, now: Timestamp) -> (Outcome, Vec<Message>) {
        let subject = Subject { evidence, now, rule: "verify", gap_waivers: &[] };
        let mut decided = self.0.decide(&subject);
        // Attack: a platform that is withheld, of which nobody sees then that it is not signed.
        decided.messages.extend(implicit::integrity(&subject).messages);
        (decided.outcome(), decided.messages)
    }
}

#[cfg(test)]
mod tests;
