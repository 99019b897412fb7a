//! Checks of manifests, indexes, configurations and layers: one file a family, one table. Pure: given are
//! the bytes of the documents and what a pass over each layer observed.

mod ann;
mod art;
pub mod base;
mod cfg;
pub mod documents;
mod faults;
#[cfg(test)]
mod fixture;
pub mod hanging;
mod idx;
mod json_scan;
mod keys;
#[cfg(test)]
mod layer_fixture;
mod look;
mod lyr;
mod man;
mod opt;

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::image::layer::Verified;
use crate::model::base::KnownBase;
use crate::model::config::ImageConfig;
use crate::model::digest::Digest;
use crate::model::fault::Fault;
use crate::model::layer::LayerInventory;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::model::violation::{CheckSeverity, Checked, Place, PlatformChecked, Unseen, Violation};

use documents::Documents;
pub use faults::tells;
use hanging::Hanging;

/// One check, as `portcullis explain` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// Its id, such as `MAN-004`: stable, never given to another check.
    pub id: &'static str,
    /// The worst severity that it has.
    pub severity: CheckSeverity,
    /// What is wrong where it fires: one line.
    pub title: &'static str,
    /// Why that matters: a sentence or two; names the attack or the specification.
    pub why: &'static str,
    /// What to do about it.
    pub fix: &'static str,
}

impl Check {
    const fn new(
        id: &'static str,
        severity: CheckSeverity,
        title: &'static str,
        why: &'static str,
        fix: &'static str,
    ) -> Self {
        Self { id, severity, title, why, fix }
    }
}

/// A family of checks.
pub trait Family: Sync {
    /// Its checks, in the order of their ids.
    fn checks(&self) -> &'static [Check];

    /// Looks at an image.
    fn look(&self, subject: &Subject<'_>, found: &mut Found);
}

/// Every family.
pub static FAMILIES: &[&dyn Family] = &[
    &man::Manifests,
    &cfg::Configs,
    &idx::Indexes,
    &art::Artifacts,
    &ann::Annotations,
    &lyr::Layers,
    &opt::Size,
];

/// The check with an id, written in any case.
#[must_use]
pub fn explain(id: &str) -> Option<&'static Check> {
    FAMILIES.iter().flat_map(|family| family.checks()).find(|check| check.id.eq_ignore_ascii_case(id))
}

/// What is checked.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The reference that the image was asked for by; none for a local image.
    pub reference: Option<&'a Reference>,
    /// Its documents, from the root down.
    pub documents: &'a Documents,
    /// Its platforms whose layers were read whole.
    pub images: &'a [PlatformLayers],
    /// What hangs on it.
    pub hanging: &'a Hanging,
    /// What was found to lie or could not be read on the way.
    pub faults: &'a [Fault],
    /// What the user, or the policy, requires.
    pub expected: &'a Expected,
    /// The evaluation time.
    pub now: Timestamp,
}

/// One platform's image with its layers.
#[derive(Debug, Clone)]
pub struct PlatformLayers {
    /// The platform.
    pub platform: Platform,
    /// Digest of its manifest (docker-archive: of the config).
    pub digest: Digest,
    /// Its configuration.
    pub config: ImageConfig,
    /// Its layers, base first.
    pub layers: Vec<LayerFacts>,
}

/// A layer, read whole.
#[derive(Debug, Clone)]
pub struct LayerFacts {
    /// Media type by the manifest; none in a docker-archive.
    pub media_type: Option<String>,
    /// What the pass verified: digest and size as stored, and what trailed.
    pub verified: Verified,
    /// Digest of the uncompressed bytes.
    pub diff_id: Digest,
    /// The build step that made it.
    pub created_by: Option<String>,
    /// What is in it.
    pub inventory: Arc<LayerInventory>,
}

/// What is required of an image beyond the specifications. Nothing by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expected {
    /// Platforms that must be there.
    pub platforms: Vec<Platform>,
    /// The source repository that `org.opencontainers.image.source` must name.
    pub source: Option<String>,
    /// The commit that `org.opencontainers.image.revision` must name.
    pub revision: Option<String>,
    /// Most bytes of all layers of a platform, as stored.
    pub size: Option<u64>,
    /// Images that are recognised as bases.
    pub bases: Vec<KnownBase>,
    /// Bases that were named and could not be read.
    pub unknown_bases: Vec<Unseen>,
}

/// Violations of one check that are listed one by one: 200. The rest is one violation that counts them.
const LISTED: usize = 200;

/// Characters of evidence, and of a message.
const TEXT: usize = 400;

/// Collects what the families find.
#[derive(Debug, Default)]
pub struct Found {
    violations: Vec<Violation>,
    counts: BTreeMap<(&'static str, CheckSeverity), usize>,
    platforms: Vec<PlatformChecked>,
    unseen: Vec<Unseen>,
}

impl Found {
    /// Adds a violation with the check's own severity.
    pub fn add(&mut self, check: &'static Check, place: Place, message: impl Into<String>) -> &mut Self {
        self.push(Violation {
            check: check.id,
            severity: check.severity,
            message: message.into(),
            place,
            evidence: None,
            platform: None,
        })
    }

    /// Adds a violation. Beyond 200 of one check and severity they are only counted.
    pub fn push(&mut self, mut violation: Violation) -> &mut Self {
        let count = self.counts.entry((violation.check, violation.severity)).or_default();
        *count += 1;
        if *count <= LISTED {
            shorten(&mut violation.message);
            violation.evidence.as_mut().map(shorten);
            self.violations.push(violation);
        }
        self
    }

    /// Says that something could not be looked at.
    pub fn unseen(&mut self, at: impl Into<String>, cause: impl Into<String>) {
        self.unseen.push(Unseen { at: at.into(), cause: cause.into() });
    }

    fn finish(mut self) -> Checked {
        for ((check, severity), count) in self.counts {
            if count > LISTED {
                self.violations.push(Violation {
                    check,
                    severity,
                    message: format!("{} more of these are not listed", count - LISTED),
                    place: Place::Image,
                    evidence: None,
                    platform: None,
                });
            }
        }
        self.violations.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.cmp(b)));
        self.violations.dedup();
        self.unseen.sort();
        self.unseen.dedup();
        Checked { violations: self.violations, platforms: self.platforms, unseen: self.unseen }
    }
}

fn shorten(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(TEXT) {
        text.truncate(end);
        text.push('…');
    }
}

/// Runs every check.
#[must_use]
pub fn check(subject: &Subject<'_>) -> Checked {
    let mut found = Found::default();
    for family in FAMILIES {
        family.look(subject, &mut found);
    }
    faults::add(subject.faults, &mut found);
    found.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_id_is_unique_and_explained() {
        let checks: Vec<&Check> = FAMILIES.iter().flat_map(|family| family.checks()).collect();
        let ids: BTreeSet<&str> = checks.iter().map(|check| check.id).collect();
        assert_eq!(ids.len(), checks.len());
        for check in checks {
            assert_eq!(explain(&check.id.to_ascii_lowercase()), Some(check));
            assert!(
                !check.title.is_empty() && !check.why.is_empty() && !check.fix.is_empty(),
                "{}",
                check.id
            );
        }
    }
}
