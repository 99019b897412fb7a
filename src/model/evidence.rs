//! Evidence: all facts given to a policy.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::attestation::{Attested, TrustedRoot};
use super::config::ImageConfig;
use super::digest::Digest;
use super::enrichment::Enrichment;
use super::fact::Fact;
use super::fault::Fault;
use super::finding::Findings;
use super::inventory::Inventory;
use super::path::escape;
use super::platform::Platform;
use super::reference::Reference;
use super::vex::{VexAttestation, VexReport};
use super::violation::Checked;

/// All that is known of one image when a policy judges it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The image.
    pub image: ImageIdentity,
    /// The reference that policies by name apply to. Absent for a local image given without `--as`.
    pub reference: Fact<Reference>,
    /// The platform that was asked for; none where all were. Of the others nothing is known.
    pub wanted: Option<Platform>,
    /// Every platform that was asked for. Unknown where the index could not be read.
    pub platforms: Fact<Vec<PlatformEvidence>>,
    /// The advisory snapshot. Absent where none was given.
    pub snapshot: Fact<SnapshotInfo>,
    /// The data on exploits.
    pub enrichment: Enrichment,
    /// The SBOM document that was judged, as BOM-Links name it: `SERIAL/VERSION`. None where an image was read.
    pub bom: Option<String>,
    /// The VEX documents that were given, and what became of their statements.
    pub vex: VexReport,
    /// Distributions whose release gets no security updates any more: advisories for it have stopped. Only `scan`
    /// looks.
    pub ended: Vec<Ended>,
    /// What is signed of the image and of each of its platforms. Absent where nobody looked.
    pub attested: Fact<Vec<Attested>>,
    /// The roots that it was verified by; none where nobody looked.
    pub roots: Vec<TrustedRoot>,
    /// What the checks of manifests and layers found. Absent where nobody ran them.
    pub checked: Fact<Checked>,
    /// What is wrong with the image's bytes or could not be read of them.
    pub faults: Vec<Fault>,
}

impl Evidence {
    /// That of an image of which nothing is known yet.
    #[must_use]
    pub fn of(image: ImageIdentity) -> Self {
        Self {
            image,
            reference: Fact::Absent,
            wanted: None,
            platforms: Fact::Absent,
            snapshot: Fact::Absent,
            enrichment: Enrichment::default(),
            bom: None,
            vex: VexReport::default(),
            ended: Vec::new(),
            attested: Fact::Absent,
            roots: Vec::new(),
            checked: Fact::Absent,
            faults: Vec::new(),
        }
    }

    /// Why there may be VEX of a platform that was not seen or not read: empty only where all was. `is_believed` says
    /// whose documents count.
    pub fn unseen_vex(
        &self,
        platform: &PlatformEvidence,
        is_believed: impl Fn(&VexAttestation) -> bool,
    ) -> Vec<String> {
        let attested = match &self.attested {
            Fact::Known(attested) => attested,
            Fact::Absent => return vec!["nobody looked for what is signed".to_owned()],
            Fact::Unknown(cause) => return vec![format!("what is signed is not known: {cause}")],
        };
        let mut unseen = Vec::new();
        let manifest = platform.digest.as_ref();
        // Nothing can hang on an image that has no manifest, and then there is no list.
        if !attested.is_empty() && !attested.iter().any(|one| one.platform.is_none() && one.below.is_none()) {
            unseen.push("nobody looked for what is signed of the image".to_owned());
        }
        if !attested.is_empty() && !attested.iter().any(|attested| attested.is_of(manifest)) {
            unseen.push("nobody looked for what is signed of the platform".to_owned());
        }
        for attested in attested.iter().filter(|one| one.concerns(manifest)) {
            unseen.extend(attested.unknown.iter().cloned());
            let unread = attested.refused.iter().filter(|refused| refused.is_unread());
            unseen.extend(unread.map(|refused| escape(refused.cause.as_bytes())));
        }
        let unread = self
            .vex
            .unread
            .iter()
            .filter(|unread| unread.attested.concerns(manifest) && is_believed(&unread.attested));
        unseen.extend(unread.map(|unread| {
            let who = unread.attested.signed_by.in_words();
            let text =
                format!("{} signed VEX that cannot be read ({}): {}", who, unread.document, unread.cause);
            escape(text.as_bytes())
        }));
        if self.vex.exhausted {
            unseen.push("too much to compare (limit `steps of VEX`)".to_owned());
        }
        unseen
    }
}

/// Which image was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageIdentity {
    /// What the user gave, in the words of the command line.
    pub reference: String,
    /// Digest of the manifest or index that was judged; null where it could not be read, and for
    /// a docker-archive, which has none: there it is the digest of the config.
    pub digest: Option<Digest>,
}

/// A release of a distribution past its end of life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// The platform that is built of it.
    pub platform: Platform,
    /// The release, such as `debian 11`.
    pub release: String,
    /// The last day of its free security updates, `YYYY-MM-DD`.
    pub end_of_life: String,
}

/// What is known of one platform's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformEvidence {
    /// The platform: as the config states it, else as the index does.
    pub platform: Platform,
    /// Digest of the platform's manifest (docker-archive: of the config); none where an SBOM document does not
    /// state it.
    pub digest: Option<Digest>,
    /// The image configuration.
    pub config: Fact<ImageConfig>,
    /// Layers as the manifest lists them. Unknown of an SBOM document.
    pub layers: Fact<Vec<LayerEvidence>>,
    /// The packages.
    pub inventory: Fact<Inventory>,
    /// The advisories that apply. Absent where no snapshot was asked for.
    pub findings: Fact<Findings>,
}

/// A layer as its manifest describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerEvidence {
    /// Digest of the blob as stored.
    pub digest: Digest,
    /// Length of the blob as stored.
    pub size: u64,
}

/// Which advisories were consulted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotInfo {
    /// Digest over the ids of the segments consulted.
    pub id: Digest,
    /// How fresh the data certainly is: of each ecosystem the newest `modified` of its records, and of
    /// those the oldest.
    pub generated: Option<Timestamp>,
    /// Segment id by ecosystem, for the ecosystems that the image needed.
    pub ecosystems: BTreeMap<String, SegmentInfo>,
}

/// One ecosystem of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentInfo {
    /// Digest over the sorted (record id, record digest) pairs.
    pub id: Digest,
    /// Number of records.
    pub records: u64,
    /// The newest `modified` of its records.
    pub generated: Option<Timestamp>,
    /// Records that could not be read when the snapshot was compiled.
    pub unreadable: u64,
}
