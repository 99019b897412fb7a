//! What sets a match aside. Never in silence: every one is listed with its reason.

use std::collections::BTreeSet;

use crate::model::finding::{Finding, Findings, Suppressed};
use crate::model::inventory::Package;
use crate::model::purl::Purl;

use super::group::{Grouped, vulnerabilities};
use super::{Asked, Matching};

impl Matching<'_> {
    /// Puts a finding where it belongs. A malicious package is never set aside.
    pub(super) fn sort_out(&self, package: &Package, grouped: Grouped, findings: &mut Findings) {
        let Grouped { mut finding, ids, left_out } = grouped;
        let reason = if finding.malicious {
            None
        } else if is_kernel_interface(package) {
            let detail =
                format!("{} holds the kernel's interface; the kernel itself is the host's", package.name);
            Some(("kernel-not-in-container", detail))
        } else if left_out.is_some() {
            left_out
        } else {
            package.owned_by.as_ref().and_then(|owner| self.owner_answers(owner, &ids, &mut finding))
        };
        match reason {
            Some((reason, detail)) => findings.suppressed.push(Suppressed { finding, reason, detail }),
            None => findings.findings.push(finding),
        }
    }

    /// A language package that belongs to an operating system package is patched by the distribution,
    /// whose version numbers the ecosystem's ranges know nothing of. Where the distribution's advisories
    /// speak of the vulnerability, theirs is the answer. Where they are silent, silence is no answer: the
    /// finding stays, and says so.
    fn owner_answers(
        &self,
        owner: &Purl,
        ids: &BTreeSet<String>,
        finding: &mut Finding,
    ) -> Option<(&'static str, String)> {
        let package = self.inventory.packages.iter().find(|package| package.purl == *owner)?;
        let asked = self.query(package).ok()?;
        let named = format!("{} {}", package.name, package.version);
        match self.statement(&asked, ids) {
            Some(record) => {
                Some(("owned-by", format!("its files belong to {named}, of which {record} speaks")))
            }
            None => {
                let of = asked.ecosystems.first().map_or("its distribution", String::as_str);
                let doubt =
                    format!("its files belong to {named}, and the advisories for {of} do not speak of it");
                finding.evidence.low_confidence.get_or_insert(doubt);
                None
            }
        }
    }

    /// A record of the owner's distribution about one of the ids.
    fn statement(&self, asked: &Asked, ids: &BTreeSet<String>) -> Option<String> {
        let mut postings = asked
            .questions()
            .flat_map(|(ecosystem, named)| self.postings(ecosystem, &named.name).unwrap_or_default());
        let speaks = postings.find(|posting| {
            posting.affected.unreadable.is_none()
                && vulnerabilities(&posting.head).iter().any(|about| !about.is_disjoint(ids))
        });
        speaks.map(|posting| posting.head.id)
    }
}

/// Headers and build files of the kernel: an image runs on the host's kernel, not on one it carries.
fn is_kernel_interface(package: &Package) -> bool {
    let name = package.name.as_str();
    match package.kind {
        "deb" => {
            name == "linux-libc-dev"
                || name.starts_with("linux-kbuild-")
                || (name.starts_with("linux-") && name.contains("headers-"))
        }
        "apk" => name == "linux-headers",
        "rpm" => {
            matches!(name, "kernel-headers" | "linux-glibc-devel")
                || (name.starts_with("kernel-") && (name.ends_with("-headers") || name.ends_with("-devel")))
        }
        _ => false,
    }
}
