//! What is demanded of an image without a policy: that certain ones signed it, or attested something of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::attestation::identity::Identity;
use crate::attestation::{LogOfKey, PublicKey};
use crate::model::attestation::Attestation;
use crate::model::evidence::Evidence;
use crate::model::verdict::{Message, Outcome};

use super::identity::NamedIdentity;
use super::implicit;
use super::pattern::Pattern;
use super::rule::{Settings, Subject};
use super::rules::attestation::AttestationSettings;
use super::rules::signature::Signature;
use super::signed::By;

/// Who may have signed.
#[derive(Debug, Clone)]
pub enum Signatory {
    /// Whoever has a certificate as this says.
    Identity(Identity),
    /// Whoever has this key, and whether what it signs must be in a log.
    Key(PublicKey, LogOfKey),
}

impl Signatory {
    /// Its key, and whether what it signs must be in a log.
    #[must_use]
    pub fn key(&self) -> Option<(&PublicKey, LogOfKey)> {
        match self {
            Self::Key(key, log) => Some((key, *log)),
            Self::Identity(_) => None,
        }
    }

    /// Whether it is who made an attestation.
    ///
    /// # Errors
    /// In what they differ: a lowercase fragment.
    pub fn check(&self, attestation: &Attestation) -> Result<(), String> {
        NamedIdentity::new(String::new(), self.clone()).check(attestation)
    }
}

/// A demand.
#[derive(Debug)]
pub struct Demand(Box<dyn Settings>);

impl Demand {
    /// A signature by one of these, with these annotations. Without a signatory it is never met.
    #[must_use]
    pub fn signature(by: Vec<Signatory>, annotations: &BTreeMap<String, String>) -> Self {
        let annotations = annotations.iter().map(|(key, value)| (key.clone(), Pattern::exact(value)));
        Self(Box::new(Signature { by: named(by), annotations: annotations.collect() }))
    }

    /// An attestation of a predicate type by one of these. Without a signatory it is never met.
    #[must_use]
    pub fn attestation(by: Vec<Signatory>, predicate_type: String) -> Self {
        let by = named(by);
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

fn named(by: Vec<Signatory>) -> By {
    let named = |(number, signatory): (usize, Signatory)| {
        // What a report calls them: there are no names on a command line.
        let name = match &signatory {
            Signatory::Identity(identity) => identity.to_string(),
            Signatory::Key(key, _) => format!("key {} ({})", number + 1, key.fingerprint()),
        };
        Arc::new(NamedIdentity::new(name, signatory))
    };
    By::any(by.into_iter().enumerate().map(named).collect())
}
