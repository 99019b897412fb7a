//! `json`: everything that is known, for programs. The documents are a contract; a breaking change is a
//! new version of the schema.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::model::attestation::{Published, SignedManifest, TrustedRoot};
use crate::model::digest::Digest;
use crate::model::enrichment::{Enrichment, ExploitData};
use crate::model::evidence::{Ended, Evidence, ImageIdentity, PlatformEvidence, SnapshotInfo};
use crate::model::fact::Fact;
use crate::model::fault::{Fault, Gap};
use crate::model::finding::{Finding, Findings, Suppressed, Undetermined};
use crate::model::path::is_printable;
use crate::model::platform::Platform;
use crate::model::reference::Reference;
use crate::model::verdict::{Decision, PolicyIdentity, RuleResult, WaiverReport};
use crate::model::vex::VexReport;

use super::unknown::{Unknown, complete, unknown};
use super::{Format, Judged, Style};

/// The format `json`.
pub(super) struct Json;

impl Format for Json {
    fn id(&self) -> &'static str {
        "json"
    }

    fn summary(&self) -> &'static str {
        "everything that is known, for programs"
    }

    fn gate(&self, judged: &[Judged<'_>], _: &Style) -> String {
        match judged {
            [one] => write(&GateDocument::new(*one)),
            several => write(&Verdicts {
                schema: "portcullis.dev/verdicts/v1",
                verdicts: several.iter().map(|judged| GateDocument::new(*judged)).collect(),
            }),
        }
    }

    fn scan(&self, scanned: &[&Evidence], _: &Style) -> String {
        match scanned {
            [one] => write(&ScanDocument::new(one)),
            several => write(&Scans {
                schema: "portcullis.dev/scans/v1",
                scans: several.iter().map(|evidence| ScanDocument::new(evidence)).collect(),
            }),
        }
    }
}

/// Several verdicts. Each is a whole document, so that it can be taken out and replayed.
#[derive(Serialize)]
struct Verdicts<'a> {
    schema: &'static str,
    verdicts: Vec<GateDocument<'a>>,
}

/// Several scans, each a whole document.
#[derive(Serialize)]
struct Scans<'a> {
    schema: &'static str,
    scans: Vec<ScanDocument<'a>>,
}

/// `portcullis.dev/verdict/v1`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GateDocument<'a> {
    schema: &'static str,
    decision: Decision,
    image: Image<'a>,
    policy: &'a PolicyIdentity,
    snapshot: Option<&'a SnapshotInfo>,
    exploits: Exploits<'a>,
    /// Null where no document was given or found.
    vex: Option<&'a VexReport>,
    rules: &'a [RuleResult],
    waivers: &'a WaiverReport,
    faults: &'a [Fault],
    /// Null where no platform's packages could be listed: an empty list would say that all was read.
    gaps: Option<&'a [Gap]>,
    unknown: Vec<Unknown<'a>>,
    inputs: Inputs<'a>,
    evaluated_at: Timestamp,
    /// Null where none were asked for. Where they are not there, the one entry says why.
    attestations: Option<Vec<Listed<'a>>>,
}

/// An attestation that was made, or why none was.
#[derive(Serialize)]
#[serde(untagged)]
enum Listed<'a> {
    Made(&'a SignedManifest),
    Failed { error: &'a str },
}

fn attestations(published: &Published) -> Vec<Listed<'_>> {
    let failed = published.error.iter().map(|error| Listed::Failed { error });
    published.attestations.iter().map(Listed::Made).chain(failed).collect()
}

impl<'a> GateDocument<'a> {
    fn new(judged: Judged<'a>) -> Self {
        let Judged { verdict, evidence, published } = judged;
        let listed = platforms(evidence).iter().any(|platform| platform.inventory.known().is_some());
        Self {
            schema: "portcullis.dev/verdict/v1",
            decision: verdict.decision,
            image: Image::new(&verdict.image, verdict.platforms.iter().collect()),
            policy: &verdict.policy,
            snapshot: verdict.snapshot.as_ref(),
            exploits: Exploits::of(&evidence.enrichment),
            vex: vex(evidence),
            rules: &verdict.rules,
            waivers: &verdict.waivers,
            faults: &verdict.faults,
            gaps: listed.then_some(verdict.gaps.as_slice()),
            unknown: unknown(evidence),
            inputs: Inputs::new(evidence),
            evaluated_at: verdict.evaluated_at,
            attestations: published.map(attestations),
        }
    }
}

/// `portcullis.dev/scan/v1`. Lists are null where nothing is known of them on any platform; `complete`
/// says whether they are all there is, and only then does an empty one mean clean.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ScanDocument<'a> {
    schema: &'static str,
    complete: bool,
    image: Image<'a>,
    snapshot: Option<&'a SnapshotInfo>,
    exploits: Exploits<'a>,
    /// Null where no document was given or found.
    vex: Option<&'a VexReport>,
    /// The roots that attested documents were verified by; none where nobody looked for any.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    roots: &'a [TrustedRoot],
    /// Malicious packages first.
    findings: Option<Vec<&'a Finding>>,
    undetermined: Option<Vec<&'a Undetermined>>,
    suppressed: Option<Vec<&'a Suppressed>>,
    gaps: Option<Vec<Gap>>,
    /// Releases past their end of life, for which no advisories are written any more.
    end_of_life: &'a [Ended],
    faults: &'a [Fault],
    unknown: Vec<Unknown<'a>>,
}

impl<'a> ScanDocument<'a> {
    fn new(evidence: &'a Evidence) -> Self {
        let platforms = platforms(evidence);
        let known: Vec<&Findings> =
            platforms.iter().filter_map(|platform| platform.findings.known()).collect();
        let some = !known.is_empty();
        Self {
            schema: "portcullis.dev/scan/v1",
            complete: complete(evidence),
            image: Image::new(&evidence.image, platforms.iter().map(|platform| &platform.platform).collect()),
            snapshot: evidence.snapshot.known(),
            exploits: Exploits::of(&evidence.enrichment),
            vex: vex(evidence),
            roots: &evidence.roots,
            findings: some.then(|| urgent_first(known.iter().flat_map(|found| &found.findings).collect())),
            undetermined: some.then(|| known.iter().flat_map(|found| &found.undetermined).collect()),
            suppressed: some.then(|| known.iter().flat_map(|found| &found.suppressed).collect()),
            gaps: gaps(platforms),
            end_of_life: &evidence.ended,
            faults: &evidence.faults,
            unknown: unknown(evidence),
        }
    }
}

/// What was made to harm before what is only defective; else as they stand.
fn urgent_first(mut findings: Vec<&Finding>) -> Vec<&Finding> {
    findings.sort_by_key(|finding| !finding.malicious);
    findings
}

fn vex(evidence: &Evidence) -> Option<&VexReport> {
    Some(&evidence.vex).filter(|vex| !vex.documents.is_empty() || !vex.unread.is_empty())
}

/// The data on exploits; null where none was given.
#[derive(Serialize)]
struct Exploits<'a> {
    kev: Option<Data<'a>>,
    epss: Option<Data<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Known(&'a ExploitData),
    Unknown { unknown: &'a str },
}

impl<'a> Exploits<'a> {
    fn of(enrichment: &'a Enrichment) -> Self {
        let data = |fact: &'a Fact<ExploitData>| match fact {
            Fact::Known(data) => Some(Data::Known(data)),
            Fact::Absent => None,
            Fact::Unknown(cause) => Some(Data::Unknown { unknown: cause }),
        };
        Self { kev: data(&enrichment.kev), epss: data(&enrichment.epss) }
    }
}

#[derive(Serialize)]
struct Image<'a> {
    reference: &'a str,
    digest: Option<&'a Digest>,
    platforms: Vec<&'a Platform>,
}

impl<'a> Image<'a> {
    fn new(identity: &'a ImageIdentity, platforms: Vec<&'a Platform>) -> Self {
        Self { reference: &identity.reference, digest: identity.digest.as_ref(), platforms }
    }
}

/// What a replay needs besides the policy and `evaluatedAt`: the same bytes give the same verdict.
#[derive(Serialize)]
struct Inputs<'a> {
    tool: Tool,
    /// The reference that the policy went by: the image's own or that of `--as`.
    reference: Option<&'a Reference>,
    platforms: Vec<PlatformInput<'a>>,
    /// Segment ids of the advisories consulted, by ecosystem.
    segments: BTreeMap<&'a str, &'a Digest>,
    /// Digest of CISA's list; null where none was read.
    kev: Option<&'a Digest>,
    /// Digest of FIRST's scores.
    epss: Option<&'a Digest>,
    /// Digests of the VEX documents: files in the order given, then what hangs on the image.
    vex: Vec<&'a Digest>,
    /// The roots that signatures were verified by; none where no rule needs them.
    roots: &'a [TrustedRoot],
}

#[derive(Serialize)]
struct Tool {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct PlatformInput<'a> {
    platform: &'a Platform,
    /// Of the manifest; for a docker-archive, which has none, of the config.
    digest: Option<&'a Digest>,
    /// Of the blobs as stored, base first; null where an SBOM document was judged.
    layers: Option<Vec<&'a Digest>>,
}

impl<'a> Inputs<'a> {
    fn new(evidence: &'a Evidence) -> Self {
        let input = |platform: &'a PlatformEvidence| PlatformInput {
            platform: &platform.platform,
            digest: platform.digest.as_ref(),
            layers: platform.layers.known().map(|layers| layers.iter().map(|layer| &layer.digest).collect()),
        };
        let segments = evidence.snapshot.known().into_iter().flat_map(|snapshot| &snapshot.ecosystems);
        Self {
            tool: Tool { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") },
            reference: evidence.reference.known(),
            platforms: platforms(evidence).iter().map(input).collect(),
            segments: segments.map(|(ecosystem, segment)| (ecosystem.as_str(), &segment.id)).collect(),
            kev: evidence.enrichment.kev.known().map(|data| &data.digest),
            epss: evidence.enrichment.epss.known().map(|data| &data.digest),
            vex: evidence.vex.documents.iter().map(|document| &document.digest).collect(),
            roots: &evidence.roots,
        }
    }
}

fn platforms(evidence: &Evidence) -> &[PlatformEvidence] {
    evidence.platforms.known().map(Vec::as_slice).unwrap_or_default()
}

fn gaps(platforms: &[PlatformEvidence]) -> Option<Vec<Gap>> {
    let known: Vec<_> = platforms.iter().filter_map(|p| Some((&p.platform, p.inventory.known()?))).collect();
    let named = |(platform, gap): (&Platform, &Gap)| Gap { platform: Some(platform.clone()), ..gap.clone() };
    let gaps = known
        .iter()
        .flat_map(|(platform, inventory)| inventory.gaps.iter().map(move |gap| named((platform, gap))));
    (!known.is_empty()).then(|| gaps.collect())
}

/// Pretty-printed, with every character escaped that a terminal or a viewer would not show as itself.
/// JSON itself demands that of U+0000 to U+001F only: C1 controls and bidirectional overrides in a package
/// name would otherwise reach the terminal of whoever looks at the document.
pub(super) fn write(document: &impl Serialize) -> String {
    // Cannot fail: the sink is memory and every key is a text. Were it to, nothing is no admit.
    let text = serde_json::to_string_pretty(document).unwrap_or_default();
    let mut printable = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        // Outside of strings JSON is ASCII, and inside of them line feeds are escaped already.
        if c == '\n' || is_printable(c) {
            printable.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                printable.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    printable.push('\n');
    printable
}

#[cfg(test)]
mod tests;
