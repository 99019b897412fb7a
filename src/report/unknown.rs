//! What is not known of an image: every report says it before it says that nothing was found.

use serde::Serialize;

use crate::model::evidence::{Evidence, PlatformEvidence, SnapshotInfo};
use crate::model::fact::Fact;
use crate::model::platform::Platform;

/// One thing that was not read, fetched or compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Unknown<'a> {
    /// What is not known.
    pub(super) what: What,
    /// The platform; none where it concerns the whole image.
    pub(super) platform: Option<&'a Platform>,
    /// Why not: a lowercase fragment.
    pub(super) cause: String,
}

/// A part of the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum What {
    /// Digest of the image: what was looked at at all.
    Digest,
    /// Platforms of the image.
    Platforms,
    /// Image configuration of a platform.
    Config,
    /// Packages of a platform.
    Packages,
    /// Advisories.
    Snapshot,
    /// Advisories that apply to the packages of a platform.
    Findings,
    /// VEX that hangs on a platform, or on the image above it.
    Vex,
}

impl What {
    /// What could not be done, in front of a cause.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Digest => "the image's digest is not known",
            Self::Platforms => "the platforms are not known",
            Self::Config => "the image configuration is not known",
            Self::Packages => "the packages could not be listed",
            Self::Snapshot => "there are no advisories",
            Self::Findings => "the packages were not compared with advisories",
            Self::Vex => "not all VEX that hangs on the image could be looked at",
        }
    }
}

/// Everything that is not known of the image. What is unknown inside a known list (gaps, undetermined
/// packages, unreadable advisories) is not here: it stands in lists of its own.
pub(super) fn unknown(evidence: &Evidence) -> Vec<Unknown<'_>> {
    let mut unknown = Vec::new();
    let mut say = |what, cause: Option<String>| {
        unknown.extend(cause.map(|cause| Unknown { what, platform: None, cause }));
    };
    let no_digest = || "the manifest or index could not be read".to_owned();
    say(What::Digest, evidence.image.digest.is_none().then(no_digest));
    say(What::Snapshot, missing(&evidence.snapshot, "none were given"));
    match &evidence.platforms {
        Fact::Known(platforms) if !platforms.is_empty() => {
            unknown.extend(platforms.iter().flat_map(|platform| unknown_of(platform, evidence)));
        }
        Fact::Known(_) => say(What::Platforms, Some("none was looked at".to_owned())),
        Fact::Absent | Fact::Unknown(_) => {
            say(What::Platforms, missing(&evidence.platforms, "the image has none"));
        }
    }
    unknown
}

fn unknown_of<'a>(platform: &'a PlatformEvidence, evidence: &Evidence) -> Vec<Unknown<'a>> {
    let not_compared = match &evidence.snapshot {
        Fact::Known(_) => "nobody compared them",
        Fact::Absent | Fact::Unknown(_) => "there are no advisories",
    };
    let causes = [
        (What::Config, missing(&platform.config, "there is none")),
        (What::Packages, missing(&platform.inventory, "nobody looked for them")),
        (What::Findings, missing(&platform.findings, not_compared)),
    ];
    let some = |(what, cause): (What, Option<String>)| {
        cause.map(|cause| Unknown { what, platform: Some(&platform.platform), cause })
    };
    let mut unknown: Vec<_> = causes.into_iter().filter_map(some).collect();
    if evidence.vex.sought {
        let unseen = evidence.unseen_vex(platform, |_| true).into_iter();
        unknown.extend(unseen.map(|cause| Unknown {
            what: What::Vex,
            platform: Some(&platform.platform),
            cause,
        }));
    }
    unknown
}

/// Why a fact is missing, if it is.
fn missing<T>(fact: &Fact<T>, absent: &str) -> Option<String> {
    match fact {
        Fact::Known(_) => None,
        Fact::Absent => Some(absent.to_owned()),
        Fact::Unknown(cause) => Some(cause.clone()),
    }
}

/// Whether a list of findings says all there is to say: nothing about the image, its packages or the
/// advisories is unknown. Only then does an empty list mean that the image is clean.
pub(super) fn complete(evidence: &Evidence) -> bool {
    let readable =
        |snapshot: &SnapshotInfo| snapshot.ecosystems.values().all(|segment| segment.unreadable == 0);
    let whole = |platform: &PlatformEvidence| {
        platform.inventory.known().is_some_and(|inventory| inventory.gaps.is_empty())
            && platform.findings.known().is_some_and(|findings| findings.undetermined.is_empty())
    };
    evidence.faults.is_empty()
        // VEX only takes away: what was not seen of it hides nothing.
        && unknown(evidence).iter().all(|unknown| unknown.what == What::Vex)
        && evidence.snapshot.known().is_some_and(readable)
        && evidence.platforms.known().is_some_and(|platforms| platforms.iter().all(whole))
}
