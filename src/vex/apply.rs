//! Statements applied to findings: those that certainly are about one stand at it, and the nearest and latest of
//! them says whether it is set aside.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;

use jiff::Timestamp;

use crate::model::evidence::{Evidence, PlatformEvidence};
use crate::model::finding::{Finding, Suppressed};
use crate::model::path::escape;
use crate::model::vex::{VEX_REASON, VexOutcome, VexReport, VexStatement};

use super::bind::{Bound, Place, bind};
use super::index::Index;
use super::{Document, Statement, cut};

/// Findings named at refused statements, of all together: 10,000. A document may name one vulnerability in
/// thousands of statements, and an image may have it in hundreds of packages.
const MAX_NAMED: usize = 10_000;

/// Steps in which statements are compared with findings, of all together: 20 million, some seconds. A document of a
/// distribution with all its packages takes a few for each finding.
const MAX_STEPS: usize = 20_000_000;

/// Why a statement is not applied to what is left when the steps are used up.
const EXHAUSTED: &str = "too much to compare (limit `steps of VEX`): some findings were not compared with it";

/// Reasons for which one statement is refused.
const MAX_REASONS: usize = 20;

/// Characters of a reason in words.
const DETAIL: usize = 500;

/// Applies the statements of the documents to the findings of all platforms. A finding that the image was not
/// found to have, a package that is undetermined and a malicious package stay what they are.
///
/// A statement that says it was made after `latest` sets nothing aside: `latest` is the evaluation time, and by how much
/// clocks differ.
pub fn apply(evidence: &mut Evidence, documents: &[Document], latest: Timestamp) {
    apply_within(evidence, documents, latest, MAX_STEPS);
}

/// The same, in so many steps.
pub(super) fn apply_within(evidence: &mut Evidence, documents: &[Document], latest: Timestamp, steps: usize) {
    let statements: Vec<(&Document, &Statement)> = documents
        .iter()
        .flat_map(|document| document.statements.iter().map(move |statement| (document, statement)))
        .collect();
    let mut by_id: HashMap<String, BTreeSet<usize>> = HashMap::new();
    for (number, (_, statement)) in statements.iter().enumerate() {
        for id in &statement.ids {
            by_id.entry(id.to_ascii_lowercase()).or_default().insert(number);
        }
    }
    let fates = statements.iter().map(|_| Fate::default()).collect();
    let indexes = statements.iter().map(|(_, statement)| Index::new(statement)).collect();
    let mut applying =
        Applying { statements: &statements, indexes, by_id, fates, latest, named: 0, steps: Some(steps) };
    let (image, bom) = (evidence.image.digest.clone(), evidence.bom.clone());
    for platform in evidence.platforms.known_mut().into_iter().flatten() {
        let PlatformEvidence { platform, digest, findings, .. } = platform;
        let Some(findings) = findings.known_mut() else { continue };
        let place = Place { image: image.as_ref(), manifest: digest.as_ref(), platform, bom: bom.as_deref() };
        for finding in mem::take(&mut findings.findings) {
            let (finding, detail) = applying.finding(finding, &place);
            match detail {
                Some(detail) => findings.suppressed.push(Suppressed { finding, reason: VEX_REASON, detail }),
                None => findings.findings.push(finding),
            }
        }
        // The order that matching gives them.
        findings.suppressed.sort_by(|a, b| {
            let key = |one: &Suppressed| {
                (one.finding.package.purl.clone(), one.finding.locations.clone(), one.finding.id.clone())
            };
            key(a).cmp(&key(b))
        });
    }
    evidence.vex = applying.report(documents);
}

/// What became of a statement.
#[derive(Default)]
struct Fate {
    used: Vec<String>,
    refused: BTreeMap<String, Vec<String>>,
    replaced: bool,
}

struct Applying<'a> {
    statements: &'a [(&'a Document, &'a Statement)],
    /// The targets of each.
    indexes: Vec<Index<'a>>,
    /// Statements by every id of their vulnerability, in lower case.
    by_id: HashMap<String, BTreeSet<usize>>,
    fates: Vec<Fate>,
    /// What bears a later time is not believed.
    latest: Timestamp,
    named: usize,
    /// Steps that are left; none once they are used up, and then nothing more is applied.
    steps: Option<usize>,
}

/// A statement that is about a finding.
struct Candidate {
    number: usize,
    product: String,
}

impl Applying<'_> {
    /// The finding with the statements about it, and why it is set aside, if it is.
    fn finding(&mut self, mut finding: Finding, place: &Place<'_>) -> (Finding, Option<String>) {
        let label =
            escape(format!("{} in {} ({})", finding.id, finding.package.purl, place.platform).as_bytes());
        let ids: Vec<String> =
            std::iter::once(&finding.id).chain(&finding.aliases).map(|id| id.to_ascii_lowercase()).collect();
        let cves: Vec<String> = ids.iter().filter(|id| is_cve(id)).cloned().collect();
        // Aliases may join several CVEs into one finding: a statement on one must not set the others aside.
        let questions: Vec<Vec<String>> = match cves.as_slice() {
            [] | [_] => vec![ids.clone()],
            several => several.iter().map(|cve| vec![cve.clone()]).collect(),
        };
        let mut chosen: Vec<Option<Candidate>> = Vec::new();
        for question in &questions {
            // A statement that was not compared may be the one that keeps the finding.
            if self.steps.is_none() {
                return (finding, None);
            }
            chosen.push(self.choose(question, &finding, place, &label));
        }
        if cves.len() > 1 {
            self.refuse_unspecific(&ids, &cves, &label);
        }
        if self.steps.is_none() {
            return (finding, None);
        }
        let answered = chosen.iter().flatten().count() == questions.len();
        let chosen: Vec<Candidate> = chosen.into_iter().flatten().collect();
        let clears = |one: &Candidate| self.status_sets_aside(one.number);
        let all_clear = answered && !chosen.is_empty() && chosen.iter().all(clears);
        let mut detail = None;
        let mut told = BTreeSet::new();
        for one in chosen {
            if !told.insert(one.number) {
                continue;
            }
            let clears = self.status_sets_aside(one.number);
            if clears && finding.malicious {
                self.refuse(one.number, "a malicious package is never set aside".to_owned(), &label);
                continue;
            }
            if clears && !all_clear {
                let reason = "the finding joins several CVEs, and the others remain".to_owned();
                self.refuse(one.number, reason, &label);
            } else if let Some(fate) = self.fates.get_mut(one.number) {
                fate.used.push(label.clone());
            }
            if let Some(statement) = self.evidence(&one) {
                if all_clear {
                    detail.get_or_insert_with(|| in_words(&statement));
                }
                finding.vex.push(statement);
            }
        }
        (finding, detail)
    }

    /// The statement that counts of those about one vulnerability: the nearest, of those the latest, and where
    /// two are of one time the stricter.
    fn choose(
        &mut self,
        ids: &[String],
        finding: &Finding,
        place: &Place<'_>,
        label: &str,
    ) -> Option<Candidate> {
        let numbers: BTreeSet<usize> =
            ids.iter().filter_map(|id| self.by_id.get(id)).flatten().copied().collect();
        let mut candidates = Vec::new();
        for number in numbers {
            let Some((_, statement)) = self.statements.get(number) else { continue };
            // Attack: a statement on all vulnerabilities, with a hundred thousand products that hundreds of
            // findings are compared with.
            self.spend(1 + statement.ids.len())?;
            if !is_about(statement, ids) {
                continue;
            }
            let targets = self.indexes.get(number)?.of(&finding.package.purl);
            for target in &targets {
                self.spend(target.steps())?;
            }
            match bind(statement, targets.into_iter(), finding, place) {
                // Attack: a date by which it counts before every true statement for ever. One that keeps the finding
                // may: it fails closed.
                Bound::Yes(..) if statement.status.sets_aside() && statement.time > Some(self.latest) => {
                    let time = statement.time.map(|time| time.to_string()).unwrap_or_default();
                    self.refuse(number, format!("it is of {time}, which lies in the future"), label);
                }
                Bound::Yes(level, product) => {
                    candidates.push((level, statement.time, statement.status, number, product));
                }
                Bound::Unsure(reason) => self.refuse(number, reason, label),
                Bound::No => {}
            }
        }
        let best = candidates.iter().max_by_key(|(level, time, status, ..)| (*level, *time, *status))?.3;
        let mut chosen = None;
        for (.., number, product) in candidates {
            if number == best {
                chosen = Some(Candidate { number, product });
            } else if let Some(fate) = self.fates.get_mut(number) {
                fate.replaced = true;
            }
        }
        chosen
    }

    /// Takes steps from those that are left. `None` where there are not so many.
    fn spend(&mut self, steps: usize) -> Option<()> {
        self.steps = self.steps?.checked_sub(steps);
        self.steps.map(|_| ())
    }

    /// Statements that name a finding of several CVEs by another id than these.
    fn refuse_unspecific(&mut self, ids: &[String], cves: &[String], label: &str) {
        let named = ids.iter().filter_map(|id| self.by_id.get(id)).map(BTreeSet::len);
        if self.spend(2 * named.sum::<usize>()).is_none() {
            return;
        }
        let by = |ids: &[String]| -> BTreeSet<usize> {
            ids.iter().filter_map(|id| self.by_id.get(id)).flatten().copied().collect()
        };
        let unspecific: Vec<usize> = by(ids).difference(&by(cves)).copied().collect();
        for number in unspecific {
            let reason = "the finding joins several CVEs, and it names none of them".to_owned();
            self.refuse(number, reason, label);
        }
    }

    fn refuse(&mut self, number: usize, reason: String, label: &str) {
        let Some(fate) = self.fates.get_mut(number) else { return };
        if fate.refused.len() >= MAX_REASONS && !fate.refused.contains_key(&reason) {
            return;
        }
        let findings = fate.refused.entry(reason).or_default();
        // Attack: thousands of statements about one vulnerability that hundreds of packages have.
        if self.named < MAX_NAMED {
            self.named += 1;
            findings.push(label.to_owned());
        }
    }

    fn status_sets_aside(&self, number: usize) -> bool {
        self.statements.get(number).is_some_and(|(_, statement)| statement.status.sets_aside())
    }

    fn evidence(&self, chosen: &Candidate) -> Option<VexStatement> {
        let (Document { info, .. }, statement) = self.statements.get(chosen.number)?;
        Some(VexStatement {
            document: info.name.clone(),
            digest: info.digest.clone(),
            statement: statement.at.clone(),
            vulnerability: statement.ids.first().cloned().unwrap_or_default(),
            product: chosen.product.clone(),
            status: statement.status,
            stated: statement.stated.clone(),
            justification: statement.justification.clone(),
            text: statement.text.clone(),
            action: statement.action.clone(),
            author: info.author.clone(),
            timestamp: statement.time.map(|time| time.to_string()),
        })
    }

    fn report(mut self, documents: &[Document]) -> VexReport {
        if self.steps.is_none() {
            for fate in &mut self.fates {
                fate.refused.entry(EXHAUSTED.to_owned()).or_default();
            }
        }
        let mut report = VexReport {
            documents: documents.iter().map(|document| document.info.clone()).collect(),
            refused: documents.iter().flat_map(|document| document.refused.iter().cloned()).collect(),
            ..VexReport::default()
        };
        for ((document, statement), fate) in self.statements.iter().zip(self.fates) {
            let outcome = |reason: Option<String>, findings| VexOutcome {
                document: document.info.name.clone(),
                digest: document.info.digest.clone(),
                statement: statement.at.clone(),
                vulnerability: statement.ids.first().cloned().unwrap_or_default(),
                stated: statement.stated.clone(),
                reason,
                findings,
            };
            let idle = fate.used.is_empty() && fate.refused.is_empty();
            if !fate.used.is_empty() {
                report.used.push(outcome(None, fate.used));
            }
            for (reason, findings) in fate.refused {
                report.refused.push(outcome(Some(reason), findings));
            }
            if idle {
                let reason = fate.replaced.then(|| "a nearer or later statement is in its place".to_owned());
                report.unused.push(outcome(reason, Vec::new()));
            }
        }
        report
    }
}

fn is_cve(id: &str) -> bool {
    id.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("CVE-"))
}

/// Whether a statement that shares an id with a vulnerability is about it. Where both name CVEs, one of those must be
/// shared: an advisory of a distribution, of which both may have the id, often speaks of several.
fn is_about(statement: &Statement, ids: &[String]) -> bool {
    let mut stated = statement.ids.iter().filter(|id| is_cve(id)).peekable();
    let mut cves = ids.iter().filter(|id| is_cve(id)).peekable();
    if stated.peek().is_none() || cves.peek().is_none() {
        return true;
    }
    stated.any(|stated| cves.clone().any(|cve| stated.eq_ignore_ascii_case(cve)))
}

/// Why a finding is set aside, in one line.
fn in_words(statement: &VexStatement) -> String {
    let why = [&statement.justification, &statement.text];
    let why: Vec<&str> = why.into_iter().flatten().map(String::as_str).collect();
    let why = if why.is_empty() { String::new() } else { format!(": {}", why.join(", ")) };
    let author = statement.author.as_deref().unwrap_or("an author who is not named");
    let text = format!(
        "{} states `{}` of {}{why} ({})",
        author, statement.stated, statement.product, statement.document
    );
    cut(&text, DETAIL)
}
