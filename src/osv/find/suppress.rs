//! What sets a match aside. Never in silence: every one is listed with its reason.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use smol_str::SmolStr;

use crate::model::finding::{Finding, Findings, Suppressed};
use crate::model::inventory::{Inventory, Package};
use crate::model::purl::Purl;
use crate::osv::query::is_of_system;
use crate::osv::segment::Posting;

use super::Matching;
use super::group::{Grouped, vulnerabilities};
use super::narrow::record_leaves_out;

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
        ids: &BTreeSet<SmolStr>,
        finding: &mut Finding,
    ) -> Option<(&'static str, String)> {
        let owner = self.owner(owner)?;
        match ids.iter().find_map(|id| owner.speaks_of.get(id)) {
            Some(record) => {
                Some(("owned-by", format!("its files belong to {}, of which {record} speaks", owner.named)))
            }
            None => {
                let doubt = format!(
                    "its files belong to {}, and the advisories for {} do not speak of it",
                    owner.named, owner.feed
                );
                finding.evidence.low_confidence.get_or_insert(doubt);
                None
            }
        }
    }

    /// What the distribution says of an owner. Asked once an owner: one package may own thousands of others, and
    /// a kernel has thousands of records.
    pub(super) fn owner(&self, purl: &Purl) -> Option<Rc<Owner>> {
        if let Some(known) = self.owners.known.borrow().get(purl) {
            return known.clone();
        }
        let package = self.owners.packages.get(purl);
        let found = package.and_then(|package| Some(Rc::new(self.ask_owner(package)?)));
        self.owners.known.borrow_mut().insert(purl.clone(), found.clone());
        found
    }

    fn ask_owner(&self, package: &Package) -> Option<Owner> {
        if is_kernel_interface(package) {
            return None;
        }
        let asked = self.query(package).ok()?;
        let mut speaks_of = BTreeMap::new();
        for (ecosystem, named) in asked.questions() {
            let postings = self.postings(ecosystem, &named.name).unwrap_or_default();
            // What does not mean the owner's own build says nothing of what it owns.
            let means = |posting: &&Posting| {
                let record = (&posting.head, &posting.affected);
                posting.affected.unreadable.is_none()
                    && record_leaves_out(record, ecosystem, package).is_none()
            };
            for posting in postings.iter().filter(means) {
                for id in vulnerabilities(&posting.head).into_iter().flatten() {
                    speaks_of.entry(id).or_insert_with(|| posting.head.id.clone());
                }
            }
        }
        let feed = asked.ecosystems.first().map_or("its distribution", String::as_str).to_owned();
        Some(Owner { named: format!("{} {}", package.name, package.version), feed, speaks_of })
    }
}

/// An operating system package that owns others, and what its distribution's advisories say of it.
pub(super) struct Owner {
    /// Name and version.
    named: String,
    /// Whose advisories they are.
    feed: String,
    /// Ids of vulnerabilities, and a record that speaks of each.
    speaks_of: BTreeMap<SmolStr, SmolStr>,
}

impl Owner {
    /// Whether its distribution's advisories know it.
    pub(super) fn is_known(&self) -> bool {
        !self.speaks_of.is_empty()
    }
}

/// The packages that may own others, and what was asked of them.
pub(super) struct Owners<'a> {
    packages: HashMap<&'a Purl, &'a Package>,
    known: RefCell<HashMap<Purl, Option<Rc<Owner>>>>,
}

impl<'a> Owners<'a> {
    pub(super) fn of(inventory: &'a Inventory) -> Self {
        let mut packages = HashMap::new();
        for package in inventory.packages.iter().filter(|package| is_of_system(package.kind)) {
            packages.entry(&package.purl).or_insert(package);
        }
        Self { packages, known: RefCell::default() }
    }
}

/// Headers and build files of the kernel: an image runs on the host's kernel, not on one it carries. Attack: another
/// package under such a name: its source must be the kernel's.
fn is_kernel_interface(package: &Package) -> bool {
    let name = package.name.as_str();
    let source = package.source.as_ref().map_or(name, |source| source.name.as_str());
    match package.kind {
        "deb" => {
            (source == "linux" || source.starts_with("linux-"))
                && (name == "linux-libc-dev"
                    || name.starts_with("linux-kbuild-")
                    || (name.starts_with("linux-") && name.contains("headers-")))
        }
        "apk" => name == "linux-headers" && source == name,
        "rpm" => {
            let of_kernel = source == "kernel" || source.starts_with("kernel-");
            let headers = name.ends_with("-headers") || name.ends_with("-devel");
            (of_kernel && name.starts_with("kernel-") && headers)
                || (name == "linux-glibc-devel" && source == name)
        }
        _ => false,
    }
}
