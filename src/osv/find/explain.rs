//! Why a vulnerability is found in the packages of an image, or is not.

use std::collections::BTreeMap;

use crate::model::digest::Digest;
use crate::model::explanation::{Explained, PlatformExplanation, Said, Says};
use crate::model::finding::{Finding, Findings};
use crate::model::inventory::{Inventory, Package};
use crate::model::layer::Scope;
use crate::model::platform::Platform;
use crate::osv::affected::{Answer, describe};
use crate::osv::names::base;
use crate::osv::query::{Named, has_advisories};
use crate::osv::record::Head;
use crate::osv::segment::{Damaged, Posting, Segment};

use super::group::vulnerabilities;
use super::{Advisories, Asked, Matching, answer, reference};

/// What the advisories say of a vulnerability and the packages of one platform. `id` is that of a record, or any
/// that one is about; its case does not matter.
#[must_use]
pub fn explain(
    platform: &Platform,
    inventory: &Inventory,
    advisories: &Advisories<'_>,
    id: &str,
) -> PlatformExplanation {
    let matching = Matching::new(platform, inventory, advisories);
    let mut packages = Vec::new();
    let mut unasked: BTreeMap<String, usize> = BTreeMap::new();
    for package in inventory.packages.iter().filter(|package| is_asked_about(package)) {
        let mut doubt = |cause: String| *unasked.entry(cause).or_default() += 1;
        match matching.query(package).and_then(|asked| Ok((matching.said(&asked, id)?, asked))) {
            Ok((records, asked)) => {
                let silence = asked.query.doubt_of_silence.as_deref().filter(|_| records.is_empty());
                let own = package.doubt.as_deref().or_else(|| matching.doubt(package, &asked.query));
                if let Some(cause) = own.or(silence) {
                    doubt(cause.to_owned());
                }
                if !records.is_empty() {
                    packages.push(matching.explained(package, records, id));
                }
            }
            Err(cause) => doubt(cause),
        }
    }
    PlatformExplanation { platform: platform.clone(), packages, unasked, gaps: inventory.gaps.len() }
}

fn is_asked_about(package: &Package) -> bool {
    package.scope != Scope::Build && (package.owned_by.is_none() || has_advisories(package.kind))
}

impl Matching<'_> {
    /// What the records about a vulnerability say of a package.
    fn said(&self, asked: &Asked, id: &str) -> Result<Vec<Said>, String> {
        let mut said = Vec::new();
        for (ecosystem, named) in asked.questions() {
            let segment = self.segment(base(ecosystem))?;
            let damaged =
                |damaged: Damaged| format!("the advisories for {ecosystem} could not be read: {damaged}");
            let digest = segment.id().map_err(damaged)?;
            for posting in self.postings(ecosystem, &named.name)? {
                if is_about(&posting.head, id) {
                    said.push(record(segment, &digest, ecosystem, named, posting).map_err(damaged)?);
                }
            }
        }
        Ok(said)
    }

    fn explained(&self, package: &Package, records: Vec<Said>, id: &str) -> Explained {
        let mut findings = Findings::default();
        self.package(package, &mut findings);
        let is_it = |finding: &Finding| {
            finding.id.eq_ignore_ascii_case(id)
                || finding.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(id))
        };
        Explained {
            package: reference(package),
            layer: package.layer.clone(),
            locations: package.locations.clone(),
            records,
            finding: findings.findings.into_iter().find(is_it),
            suppressed: findings.suppressed.into_iter().find(|suppressed| is_it(&suppressed.finding)),
        }
    }
}

/// Whether a record speaks of a vulnerability.
fn is_about(head: &Head, id: &str) -> bool {
    let mut ids = [std::slice::from_ref(&head.id), &head.aliases, &head.upstream].into_iter().flatten();
    ids.any(|own| own.eq_ignore_ascii_case(id))
        || vulnerabilities(head).iter().flatten().any(|own| own.eq_ignore_ascii_case(id))
}

fn record(
    segment: &Segment<'_>,
    digest: &Digest,
    ecosystem: &str,
    named: &Named,
    Posting { head, affected }: Posting,
) -> Result<Said, Damaged> {
    let display = segment.display(&head.id)?.unwrap_or_default();
    let answer = match answer(&affected, named, ecosystem) {
        Answer::Affected(matched) => Says::Affected {
            range: matched.range,
            event: matched.event,
            low_confidence: matched.low_confidence,
        },
        Answer::NotAffected => Says::NotAffected,
        Answer::Undetermined(cause) => Says::Undetermined { cause },
    };
    let ids = [head.aliases, head.upstream, head.related].into_iter().flatten();
    let mut ids: Vec<String> = ids.map(String::from).collect();
    ids.sort();
    ids.dedup();
    Ok(Said {
        record: head.id.into(),
        ids,
        summary: head.summary.map(String::from),
        ecosystem: ecosystem.to_owned(),
        name: named.name.clone(),
        version: named.version.clone(),
        ranges: affected.ranges.iter().map(describe).collect(),
        versions: affected.versions.len(),
        answer,
        segment: digest.clone(),
        details: display.details,
        references: display.references.into_iter().map(|reference| reference.url).collect(),
    })
}
