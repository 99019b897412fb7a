//! `vulnerabilities`: which advisories keep an image out.

mod condition;
mod vex;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::model::enrichment::ExploitData;
use crate::model::evidence::{PlatformEvidence, SnapshotInfo};
use crate::model::fact::Fact;
use crate::model::finding::{Finding, Findings};
use crate::model::path::escape;
use crate::model::verdict::Outcome;
use crate::model::vex::VEX_REASON;
use crate::policy::error::Errors;
use crate::policy::fields::Fields;
use crate::policy::quantity::{parse_duration, show_duration};
use crate::policy::rule::{Decided, Reading, Rule, Sealed, Settings, Subject, count};
use crate::policy::rules::age::CLOCK_SKEW;
use crate::policy::signed::By;
use crate::policy::waiver::{FindingWaiver, PackageWaiver, report_use};
use crate::policy::yaml::Node;

use self::condition::{DenyEntry, Match, Unknowns, WhenUnknown};
use self::vex::{Fate, Vex};

/// The kind `vulnerabilities`.
pub(crate) struct VulnerabilitiesRule;

impl Rule for VulnerabilitiesRule {
    fn kind(&self) -> &'static str {
        "vulnerabilities"
    }

    fn summary(&self) -> &'static str {
        "no advisory that the policy denies applies to a package of the image"
    }

    fn timed(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Vulnerabilities {
    deny: Vec<DenyEntry>,
    unknowns: Unknowns,
    ages: Ages,
    vex: Vex,
    allow: Vec<FindingWaiver>,
    /// Packages that are accepted although nothing can be said of them.
    undetermined: Vec<PackageWaiver>,
}

/// How old data may be.
#[derive(Debug, Default)]
struct Ages {
    advisories: Option<SignedDuration>,
    kev: Option<SignedDuration>,
    epss: Option<SignedDuration>,
}

/// Fields of the schema that need evidence which this version does not gather.
const LATER: &[&str] = &["from", "buildScope"];

impl Sealed for VulnerabilitiesRule {
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>> {
        let errors = &mut *document.errors;
        let mut fields = errors.keep(Fields::of(document.node, "`vulnerabilities`"))?;
        let ages = fields.optional("database").map(|node| read_database(node, errors));
        let nodes = fields.read("deny", errors, |node| node.items("a list of what is denied"));
        let deny: Vec<DenyEntry> =
            nodes.unwrap_or_default().iter().filter_map(|node| DenyEntry::read(node, errors)).collect();
        let words = [
            ("deny", WhenUnknown::Deny),
            ("undecided", WhenUnknown::Undecided),
            ("ignore", WhenUnknown::Ignore),
        ];
        let unknown_severity = fields.read("unknownSeverity", errors, |node| node.word(&words));
        let unknown_epss = fields.read("unknownEpss", errors, |node| node.word(&words));
        let vex = fields.optional("vex");
        let vex = vex.map(|node| Vex::read(node, &document.names.identities, errors));
        let nodes = fields.read("allow", errors, |node| node.items("a list of waivers")).unwrap_or_default();
        let allow = nodes.iter().filter_map(|node| FindingWaiver::read(node, errors)).collect();
        let undetermined = fields.optional("undetermined").map(|node| read_undetermined(node, errors));
        let stated = |fields: &mut Fields<'_>, key| fields.optional(key).is_some();
        if !stated(&mut fields, "deny") && !stated(&mut fields, "database") {
            errors.push(document.node.span.error("`vulnerabilities` has no `deny`: it checks nothing"));
        }
        // Most records of distributions carry no severity: to choose silently what that means would
        // either let most findings in or keep most images out.
        if deny.iter().any(|entry| entry.severity.is_some()) && !stated(&mut fields, "unknownSeverity") {
            let error = document.node.span.error("a rule that names severities must say `unknownSeverity`");
            errors.push(error.help("one of: deny, undecided, ignore"));
        }
        fields.later(LATER, errors);
        fields.finish(LATER, errors);
        let unknowns = Unknowns {
            severity: unknown_severity.unwrap_or(WhenUnknown::Undecided),
            epss: unknown_epss.unwrap_or(WhenUnknown::Undecided),
        };
        let (ages, vex) = (ages.flatten().unwrap_or_default(), vex.unwrap_or(Some(Vex::Honour))?);
        let undetermined = undetermined.unwrap_or_default();
        Some(Box::new(Vulnerabilities { deny, unknowns, ages, vex, allow, undetermined }))
    }
}

fn read_database(node: &Node, errors: &mut Errors) -> Option<Ages> {
    let mut fields = errors.keep(Fields::of(node, "`database`"))?;
    let duration = "a duration such as `24h`";
    let advisories = fields.need("maxAge", errors, |node| node.read(duration, parse_duration));
    let kev = fields.read("kevMaxAge", errors, |node| node.read(duration, parse_duration));
    let epss = fields.read("epssMaxAge", errors, |node| node.read(duration, parse_duration));
    fields.finish(&[], errors);
    Some(Ages { advisories, kev, epss })
}

fn read_undetermined(node: &Node, errors: &mut Errors) -> Vec<PackageWaiver> {
    let Some(mut fields) = errors.keep(Fields::of(node, "`undetermined`")) else { return Vec::new() };
    let nodes = fields.need("allow", errors, |node| node.items("a list of waivers")).unwrap_or_default();
    fields.finish(&[], errors);
    nodes.iter().filter_map(|node| PackageWaiver::read(node, errors)).collect()
}

impl Settings for Vulnerabilities {
    fn decide(&self, subject: &Subject<'_>) -> Decided {
        let mut decided = Decided::default();
        self.check_database(subject, &mut decided);
        let enrichment = &subject.evidence.enrichment;
        let exploits = [
            (&enrichment.kev, self.ages.kev, "known exploited vulnerabilities", "--kev"),
            (&enrichment.epss, self.ages.epss, "exploit prediction scores", "--epss"),
        ];
        for (data, max, what, option) in exploits {
            if let Some(max) = max {
                check_exploits(data, max, (what, option), subject.now, &mut decided);
            }
        }
        if self.deny.is_empty() {
            return decided;
        }
        let mut covered = Covered {
            findings: vec![Vec::new(); self.allow.len()],
            packages: vec![Vec::new(); self.undetermined.len()],
        };
        let platforms = subject.platforms(&mut decided);
        let mut complete = !platforms.is_empty();
        for platform in platforms {
            complete &= self.judge_platform(platform, subject, &mut covered, &mut decided);
        }
        let of_findings = self.allow.iter().map(|waiver| (waiver.scope(), &waiver.terms));
        let of_packages = self.undetermined.iter().map(|waiver| (waiver.scope(), &waiver.terms));
        let used = covered.findings.into_iter().chain(covered.packages);
        for (waiver, covered) in of_findings.chain(of_packages).zip(used) {
            let found = (covered, subject.today(), complete);
            report_use(&mut decided.waivers, subject.rule, waiver, found);
        }
        // What was made to harm stands first: it is an attack and no defect.
        decided.findings.sort_by_key(|finding| !finding.malicious);
        decided
    }

    fn signers(&self) -> Option<&By> {
        self.vex.signers()
    }

    fn needs_vex(&self) -> bool {
        self.vex.signers().is_some()
    }
}

impl Vulnerabilities {
    /// Whether there are advisories, and recent enough.
    fn check_database(&self, subject: &Subject<'_>, decided: &mut Decided) {
        let snapshot = match &subject.evidence.snapshot {
            Fact::Known(snapshot) => snapshot,
            Fact::Absent => {
                return decided.undecided(None, "no advisory snapshot is given: give one with `--db DIR`");
            }
            Fact::Unknown(cause) => {
                return decided.undecided(None, format!("the advisory snapshot could not be read: {cause}"));
            }
        };
        if !self.deny.is_empty() {
            check_readable(snapshot, decided);
        }
        let Some(max) = self.ages.advisories else { return };
        match snapshot.generated {
            None => decided.undecided(None, "how old the advisory snapshot is cannot be said"),
            Some(time) => check_age("the advisory snapshot is", time, max, subject.now, decided),
        }
    }

    /// Judges one platform. Says whether all its findings were looked at.
    fn judge_platform(
        &self,
        platform: &PlatformEvidence,
        subject: &Subject<'_>,
        covered: &mut Covered,
        decided: &mut Decided,
    ) -> bool {
        let place = Some(&platform.platform);
        if let Some(inventory) = subject.inventory(platform, decided) {
            subject.check_gaps(&platform.platform, inventory, decided);
        }
        match &platform.findings {
            Fact::Known(findings) => {
                self.judge_findings(platform, findings, (subject, &mut covered.findings), decided);
                self.check_undetermined(platform, findings, (subject, &mut covered.packages), decided);
                true
            }
            Fact::Absent => {
                decided.undecided(place, "the packages were not compared with advisories");
                false
            }
            Fact::Unknown(cause) => {
                decided
                    .undecided(place, format!("the packages could not be compared with advisories: {cause}"));
                false
            }
        }
    }

    fn judge_findings(
        &self,
        platform: &PlatformEvidence,
        findings: &Findings,
        (subject, covered): (&Subject<'_>, &mut [Vec<String>]),
        decided: &mut Decided,
    ) {
        let vex = self.vex.on(subject.evidence, platform);
        let mut groups: BTreeMap<Group, Vec<&Finding>> = BTreeMap::new();
        let by_file = findings.suppressed.iter().filter(|suppressed| suppressed.reason == VEX_REASON);
        let by_file = by_file.map(|suppressed| (&suppressed.finding, true));
        for (finding, by_file) in findings.findings.iter().map(|finding| (finding, false)).chain(by_file) {
            let fate = vex.fate(finding, by_file);
            let set_aside = matches!(fate, Fate::SetAside(_));
            let waived = !set_aside && self.waive(finding, platform, subject, covered);
            let judged = self.judge(finding, subject);
            if let (Fate::Stands(Some(whose)), Judged::Violates(_) | Judged::Undecided(_, _)) =
                (&fate, &judged)
            {
                groups.entry(Group::Disbelieved(whose)).or_default().push(finding);
            }
            let group = match (judged, fate) {
                (Judged::Passes, _) | (Judged::InGrace, Fate::SetAside(_)) => continue,
                (Judged::InGrace, _) => Group::InGrace,
                (_, Fate::SetAside(whose)) => Group::SetAside(whose),
                (_, _) if waived => Group::Waived,
                (Judged::Violates(entry), Fate::Doubted { cleared, cause }) => {
                    Group::Doubted(entry, cleared, cause)
                }
                (Judged::Undecided(entry, _), Fate::Doubted { cleared: true, cause }) => {
                    Group::Doubted(entry, true, cause)
                }
                (Judged::Violates(entry), Fate::Stands(_)) => Group::Violates(entry),
                (Judged::Undecided(entry, cause), _) => Group::Undecided(entry, cause),
            };
            groups.entry(group).or_default().push(finding);
        }
        for (group, findings) in groups {
            self.report(platform, group, &findings, decided);
        }
    }

    /// Notes which waivers cover the finding, and says whether those in force cover all of it. Aliases may
    /// join several CVEs into one finding: a waiver for one of them must not accept the others.
    fn waive(
        &self,
        finding: &Finding,
        platform: &PlatformEvidence,
        subject: &Subject<'_>,
        covered: &mut [Vec<String>],
    ) -> bool {
        let today = subject.today();
        let mut in_force: Vec<&FindingWaiver> = Vec::new();
        for (waiver, covered) in self.allow.iter().zip(covered).filter(|(waiver, _)| waiver.covers(finding)) {
            covered.push(format!("{} in {} ({})", finding.id, finding.package.purl, platform.platform));
            if waiver.terms.in_force(today) {
                in_force.push(waiver);
            }
        }
        let ids = std::iter::once(&finding.id).chain(&finding.aliases);
        let cves: Vec<&String> = ids.filter(|id| id.starts_with("CVE-")).collect();
        match cves.as_slice() {
            [] | [_] => !in_force.is_empty(),
            cves => cves.iter().all(|cve| in_force.iter().any(|waiver| waiver.names(cve))),
        }
    }

    /// Packages of which nothing can be said might have any advisory.
    fn check_undetermined(
        &self,
        platform: &PlatformEvidence,
        findings: &Findings,
        (subject, covered): (&Subject<'_>, &mut [Vec<String>]),
        decided: &mut Decided,
    ) {
        let mut causes: BTreeMap<(bool, &str), Vec<String>> = BTreeMap::new();
        for undetermined in &findings.undetermined {
            let package = &undetermined.package;
            let mut accepted = false;
            for (waiver, covered) in self.undetermined.iter().zip(&mut *covered) {
                if waiver.covers(&package.purl) {
                    covered.push(format!("{} ({})", package.purl, platform.platform));
                    // What may have been made to harm is not accepted because nothing is known of it.
                    let malicious = undetermined.advisories.iter().any(|id| id.starts_with("MAL-"));
                    accepted |= waiver.terms.in_force(subject.today()) && !malicious;
                }
            }
            let named = escape(format!("{} {}", package.name, package.version).as_bytes());
            causes.entry((accepted, &undetermined.cause)).or_default().push(named);
            if !accepted {
                decided.undetermined.push(undetermined.clone());
            }
        }
        for ((accepted, cause), named) in causes {
            let number = count(named.len(), "package");
            let (outcome, headline) = match accepted {
                true => (Outcome::Waived, format!("{number} accepted that could not be judged, {cause}")),
                false => (Outcome::Undecided, format!("{number} could not be judged, {cause}")),
            };
            decided.enumerate(outcome, Some(&platform.platform), headline, &named);
        }
    }

    /// What the entries say of one finding: a violation by any of them wins over a doubt about another.
    fn judge(&self, finding: &Finding, subject: &Subject<'_>) -> Judged {
        let mut judged = Judged::Passes;
        let mut unknowns = self.unknowns;
        // What may be ignored is a score that FIRST does not have. Without the scores nothing is known.
        if !matches!(subject.evidence.enrichment.epss, Fact::Known(_)) && unknowns.epss == WhenUnknown::Ignore
        {
            unknowns.epss = WhenUnknown::Undecided;
        }
        for (number, entry) in self.deny.iter().enumerate() {
            match entry.matches(finding, unknowns, subject.now) {
                Match::Yes => return Judged::Violates(number),
                Match::Unknown(cause) => match judged {
                    Judged::Undecided(_, _) => {}
                    Judged::Passes | Judged::InGrace | Judged::Violates(_) => {
                        judged = Judged::Undecided(number, cause);
                    }
                },
                Match::InGrace if judged == Judged::Passes => judged = Judged::InGrace,
                Match::InGrace | Match::No => {}
            }
        }
        judged
    }

    fn report(
        &self,
        platform: &PlatformEvidence,
        group: Group,
        findings: &[&Finding],
        decided: &mut Decided,
    ) {
        let place = Some(&platform.platform);
        let named: Vec<String> = findings.iter().map(|finding| name(finding)).collect();
        let number = count(findings.len(), "finding");
        let copies = findings.iter().map(|finding| (*finding).clone());
        let entry = |index: usize| self.deny.get(index).map(ToString::to_string).unwrap_or_default();
        let (outcome, headline) = match group {
            Group::Violates(index) => {
                decided.findings.extend(copies);
                (Outcome::Violate, format!("{number} of `{}`", entry(index)))
            }
            Group::Undecided(index, cause) => {
                decided.possible.extend(copies);
                (Outcome::Undecided, format!("{number} may be of `{}`, {cause}", entry(index)))
            }
            Group::Doubted(index, cleared, cause) => {
                decided.possible.extend(copies);
                let said = match cleared {
                    true => "VEX sets aside, and a later statement may keep",
                    false => "VEX may set aside",
                };
                (Outcome::Undecided, format!("{number} of `{}` that {said}, {cause}", entry(index)))
            }
            Group::Waived => (Outcome::Waived, format!("{number} accepted")),
            Group::SetAside(whose) => (Outcome::Hold, format!("{number} set aside by VEX{whose}")),
            Group::Disbelieved(whose) => (Outcome::Hold, format!("{number} not set aside by VEX {whose}")),
            Group::InGrace => (Outcome::Hold, format!("{number} still within the days of grace")),
        };
        decided.enumerate(outcome, place, headline, &named);
    }
}

/// What each waiver covered, in the order of the policy.
struct Covered {
    findings: Vec<Vec<String>>,
    packages: Vec<Vec<String>>,
}

#[derive(Debug, PartialEq, Eq)]
enum Judged {
    Violates(usize),
    Undecided(usize, &'static str),
    InGrace,
    Passes,
}

/// What becomes one message: by entry and cause.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Violates(usize),
    Undecided(usize, &'static str),
    /// Whether VEX that was seen sets them aside, and why that is not certain.
    Doubted(usize, bool, String),
    Waived,
    SetAside(String),
    Disbelieved(&'static str),
    InGrace,
}

fn name(finding: &Finding) -> String {
    let package = &finding.package;
    let text = match finding.fixed.first() {
        _ if finding.malicious => {
            format!("{} in {} {} (malicious)", finding.id, package.name, package.version)
        }
        Some(fixed) => format!("{} in {} {} (fixed in {fixed})", finding.id, package.name, package.version),
        None => format!("{} in {} {}", finding.id, package.name, package.version),
    };
    escape(text.as_bytes())
}

/// Whether data is as young as it must be.
fn check_age(what: &str, time: Timestamp, max: SignedDuration, now: Timestamp, decided: &mut Decided) {
    // A date in the future would make it fresh forever.
    if time.duration_since(now) > CLOCK_SKEW {
        decided.undecided(None, format!("{what} of {time}, which lies in the future"));
    } else if now.duration_since(time) > max {
        decided.undecided(None, format!("{what} of {time}, more than {} ago", show_duration(max)));
    }
}

/// Whether data on exploits is there and as young as it must be.
fn check_exploits(
    data: &Fact<ExploitData>,
    max: SignedDuration,
    (what, option): (&str, &str),
    now: Timestamp,
    decided: &mut Decided,
) {
    match data {
        Fact::Known(data) => check_age(&format!("the {what} are"), data.generated, max, now, decided),
        Fact::Absent => {
            decided.undecided(None, format!("no {what} are given: give them with `{option} FILE`"))
        }
        Fact::Unknown(cause) => decided.undecided(None, format!("the {what} could not be read: {cause}")),
    }
}

/// An advisory that could not be read may be the very one that applies. How old the others are does not
/// depend on it.
fn check_readable(snapshot: &SnapshotInfo, decided: &mut Decided) {
    for (ecosystem, segment) in &snapshot.ecosystems {
        let number = match segment.unreadable {
            0 => continue,
            1 => "1 advisory".to_owned(),
            more => format!("{more} advisories"),
        };
        let ecosystem = escape(ecosystem.as_bytes());
        let text = format!(
            "{number} of {ecosystem} could not be read when the snapshot was made, and may be about this image: import {ecosystem} again"
        );
        decided.undecided(None, text);
    }
}

#[cfg(test)]
mod tests;
