//! Statements applied to findings: those that certainly are about one stand at it, and the nearest and latest of
//! them says whether it is set aside.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;

use jiff::Timestamp;

use crate::model::attestation::SignedBy;
use crate::model::digest::Digest;
use crate::model::evidence::{Evidence, PlatformEvidence};
use crate::model::finding::{Finding, Suppressed};
use crate::model::path::escape;
use crate::model::vex::{
    VEX_REASON, VexAttestation, VexDoubt, VexLevel, VexOutcome, VexReport, VexStatement, VexUnread,
};

use super::bind::{Bound, Place, bind};
use super::candidate::{Candidate, Chosen};
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

/// Why a statement on a malicious package is not applied.
const MALICIOUS: &str = "a malicious package is never set aside";

/// Why a statement on one of several vulnerabilities is not applied.
const SEVERAL: &str = "the finding joins several CVEs, and the others remain";

/// Reasons for which one statement is refused.
const MAX_REASONS: usize = 20;

/// Characters of a reason in words.
const DETAIL: usize = 500;

/// Signers whose statements stand at one finding, so that each may be shown: 8. Rules go by the claims, which are all
/// there.
const MAX_SHOWN: usize = 8;

/// Steps that a claim costs, which is kept as long as the finding: so there are at most a million.
const CLAIM: usize = 20;

/// Documents out of attestations, beside those that were given.
#[derive(Debug, Default)]
pub struct Hung {
    /// What could not be read of them.
    pub unread: Vec<VexUnread>,
    /// Whether they set findings aside by themselves, as in a scan. Else they are claims, for rules that choose whom they
    /// believe.
    pub settles: bool,
}

/// Applies the statements of the documents to the findings of all platforms. A finding that the image was not
/// found to have, a package that is undetermined and a malicious package stay what they are.
///
/// A statement that says it was made after `latest` sets nothing aside: `latest` is the evaluation time, and by how much
/// clocks differ.
pub fn apply(evidence: &mut Evidence, documents: &[Document], latest: Timestamp) {
    apply_within(evidence, documents, latest, MAX_STEPS);
}

/// The same where attestations were looked through for documents as well, which are among the others.
pub fn apply_hung<'d>(
    evidence: &mut Evidence,
    documents: impl IntoIterator<Item = &'d Document>,
    latest: Timestamp,
    hung: Hung,
) {
    evidence.vex.unread = hung.unread;
    evidence.vex.sought = true;
    let documents: Vec<&Document> = documents.into_iter().collect();
    apply_all(evidence, &documents, (latest, MAX_STEPS), hung.settles);
}

/// As [`apply`], in so many steps.
pub(super) fn apply_within(evidence: &mut Evidence, documents: &[Document], latest: Timestamp, steps: usize) {
    let documents: Vec<&Document> = documents.iter().collect();
    apply_all(evidence, &documents, (latest, steps), false);
}

fn apply_all(
    evidence: &mut Evidence,
    documents: &[&Document],
    (latest, steps): (Timestamp, usize),
    settles: bool,
) {
    let unseen: Vec<Vec<String>> = match (&evidence.platforms.known(), settles) {
        (Some(platforms), true) => {
            platforms.iter().map(|platform| evidence.unseen_vex(platform, |_| true)).collect()
        }
        (_, _) => Vec::new(),
    };
    let mut applying = Applying::new(documents, latest, steps, settles);
    let (image, bom) = (evidence.image.digest.clone(), evidence.bom.clone());
    for (number, platform) in evidence.platforms.known_mut().into_iter().flatten().enumerate() {
        let PlatformEvidence { platform, digest, findings, .. } = platform;
        let Some(findings) = findings.known_mut() else { continue };
        let above = evidence.attested.known().into_iter().flatten();
        let above = above.filter(|index| index.leads_to(digest.as_ref()));
        let above: Vec<Digest> = above.map(|index| index.subject.clone()).collect();
        let place = Place {
            image: image.as_ref(),
            manifest: digest.as_ref(),
            platform,
            bom: bom.as_deref(),
            above: &above,
            attested: None,
        };
        let unseen = unseen.get(number).map(Vec::as_slice).unwrap_or_default();
        for finding in mem::take(&mut findings.findings) {
            let (finding, detail) = applying.finding(finding, &place, unseen);
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
    let VexReport { unread, sought, .. } = mem::take(&mut evidence.vex);
    evidence.vex = VexReport { unread, sought, ..applying.report(documents) };
}

/// What became of a statement.
#[derive(Default)]
struct Fate {
    used: Vec<String>,
    refused: BTreeMap<String, Vec<String>>,
    replaced: bool,
}

struct Applying<'a> {
    documents: &'a [&'a Document],
    /// Each with the number of its document.
    statements: Vec<(usize, &'a Statement)>,
    /// The targets of each.
    indexes: Vec<Index<'a>>,
    /// Statements by every id of their vulnerability, in lower case.
    by_id: HashMap<String, BTreeSet<usize>>,
    fates: Vec<Fate>,
    /// What bears a later time is not believed.
    latest: Timestamp,
    /// Whether attested documents set findings aside, as files do.
    settles: bool,
    named: usize,
    /// Steps that are left; none once they are used up, and then nothing more is applied.
    steps: Option<usize>,
}

impl<'a> Applying<'a> {
    fn new(documents: &'a [&'a Document], latest: Timestamp, steps: usize, settles: bool) -> Self {
        let statements: Vec<(usize, &Statement)> = documents
            .iter()
            .enumerate()
            .flat_map(|(number, document)| document.statements.iter().map(move |one| (number, one)))
            .collect();
        let mut by_id: HashMap<String, BTreeSet<usize>> = HashMap::new();
        for (number, (_, statement)) in statements.iter().enumerate() {
            for id in &statement.ids {
                by_id.entry(id.to_ascii_lowercase()).or_default().insert(number);
            }
        }
        let fates = statements.iter().map(|_| Fate::default()).collect();
        let indexes = statements.iter().map(|(_, statement)| Index::new(statement)).collect();
        Self { documents, statements, indexes, by_id, fates, latest, settles, named: 0, steps: Some(steps) }
    }

    fn attested(&self, document: usize) -> Option<&'a VexAttestation> {
        self.documents.get(document)?.info.attested.as_ref()
    }

    /// The finding with the statements about it, and why it is set aside, if it is. `unseen` is what may speak against
    /// that and could not be seen.
    fn finding(
        &mut self,
        mut finding: Finding,
        place: &Place<'_>,
        unseen: &[String],
    ) -> (Finding, Option<String>) {
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
        let mut all: Vec<Chosen> = Vec::new();
        for question in &questions {
            // A statement that was not compared may be the one that keeps the finding.
            if self.steps.is_none() {
                return (finding, None);
            }
            let shared = if cves.len() > 1 { ids.as_slice() } else { &[] };
            let chosen = self.choose((question, shared), &finding, place, &label);
            all.push(chosen.unwrap_or_default());
        }
        if cves.len() > 1 {
            self.refuse_unspecific(&ids, &cves, &label);
        }
        if self.steps.is_none() {
            return (finding, None);
        }
        self.claim(&mut finding, &all, &label);
        let detail = self.settle(&mut finding, all, (&label, unseen));
        (finding, detail)
    }

    /// Puts the settling statements to the finding, and says why it is set aside, if it is.
    fn settle(
        &mut self,
        finding: &mut Finding,
        all: Vec<Chosen>,
        (label, unseen): (&str, &[String]),
    ) -> Option<String> {
        let questions = all.len();
        let mut unclear = all.iter().flat_map(|chosen| &chosen.doubts).filter(|_| self.settles);
        let unclear = unclear.next().map(|one| self.in_doubt(one));
        let chosen: Vec<Candidate> = all.into_iter().filter_map(|chosen| chosen.settling).collect();
        let answered = chosen.len() == questions;
        let all_clear = answered && !chosen.is_empty() && chosen.iter().all(|one| one.status.sets_aside());
        // Attack: the later statement that keeps the finding is held back, so that only the older one is seen.
        let doubt = unseen.first().map(|first| format!("not all could be looked at ({first})")).or(unclear);
        let doubt = doubt.filter(|_| all_clear && !finding.malicious);
        let doubt =
            doubt.map(|doubt| format!("VEX sets it aside, and a later statement may keep it: {doubt}"));
        let mut detail = None;
        let mut told = BTreeSet::new();
        for one in chosen {
            if !told.insert(one.number) {
                continue;
            }
            let clears = one.clears();
            if clears && finding.malicious {
                self.refuse(one.number, MALICIOUS.to_owned(), label);
                continue;
            }
            match &doubt {
                Some(doubt) if clears => self.refuse(one.number, doubt.clone(), label),
                _ if clears && !all_clear => self.refuse(one.number, SEVERAL.to_owned(), label),
                _ => self.used(one.number, label),
            }
            if let Some(statement) = self.evidence(&one) {
                if all_clear && doubt.is_none() {
                    detail.get_or_insert_with(|| in_words(&statement));
                }
                finding.vex.push(statement);
            }
        }
        finding.vex_doubt = doubt;
        detail
    }

    /// Notes what attested documents claim of a finding, and shows what each signer says last.
    fn claim(&mut self, finding: &mut Finding, all: &[Chosen], label: &str) {
        if all.iter().all(|chosen| chosen.claims.is_empty()) {
            return;
        }
        let may_clear = all.iter().all(|chosen| chosen.claims.iter().any(Candidate::clears));
        let mut told = BTreeSet::new();
        for (question, chosen) in all.iter().enumerate() {
            let mut last: BTreeMap<String, &Candidate> = BTreeMap::new();
            for one in &chosen.claims {
                let holder = one.attested.and_then(|document| self.attested(document));
                let holder = holder.map(|attested| holder_of(&attested.signed_by)).unwrap_or_default();
                let latest = last.entry(holder).or_insert(one);
                if latest.rank() < one.rank() {
                    *latest = one;
                }
            }
            for one in &chosen.claims {
                let is_last = last.values().any(|last| last.number == one.number);
                match (one.clears(), is_last) {
                    (true, _) if finding.malicious => self.refuse(one.number, MALICIOUS.to_owned(), label),
                    (true, true) if !may_clear => self.refuse(one.number, SEVERAL.to_owned(), label),
                    (_, true) => self.used(one.number, label),
                    (_, false) => self.replace(one.number),
                }
            }
            if finding.malicious {
                continue;
            }
            for one in last.into_values().take(MAX_SHOWN) {
                if told.insert(one.number) {
                    finding.vex.extend(self.evidence(one));
                }
            }
            let claims = chosen.claims.iter().chain(&chosen.kept).map(|one| one.claim(question));
            finding.claims.claims.extend(claims);
            let doubts = chosen.doubts.iter();
            let doubts = doubts.map(|one| VexDoubt { claim: one.claim(question), cause: self.in_doubt(one) });
            finding.claims.doubts.extend(doubts);
        }
        if !finding.malicious {
            finding.claims.questions = all.len();
        }
    }

    /// What counts of the statements about one vulnerability. `None` where the steps are used up.
    fn choose(
        &mut self,
        ids: (&[String], &[String]),
        finding: &Finding,
        place: &Place<'_>,
        label: &str,
    ) -> Option<Chosen> {
        let candidates = self.candidates(ids, finding, place, label)?;
        let chosen = Chosen::of(&candidates, self.settles);
        self.spend(CLAIM * (chosen.claims.len() + chosen.doubts.len()))?;
        for one in candidates.iter().filter(|one| one.doubt.is_none()) {
            let mut counting = chosen.claims.iter().chain(&chosen.settling);
            if !counting.any(|counting| counting.number == one.number) {
                self.replace(one.number);
            }
        }
        Some(chosen)
    }

    /// The statements that are about one vulnerability of a finding, by these ids of it. Where the finding joins several,
    /// `shared` are the ids of all.
    fn candidates(
        &mut self,
        (ids, shared): (&[String], &[String]),
        finding: &Finding,
        place: &Place<'_>,
        label: &str,
    ) -> Option<Vec<Candidate>> {
        let mut candidates = Vec::new();
        for (number, ids) in self.numbers(ids, shared)? {
            let Some((document, statement)) = self.statements.get(number).copied() else { continue };
            let attested = self.attested(document);
            // Attack: what was attested of one platform, for the findings of another.
            if attested.is_some_and(|attested| !attested.concerns(place.manifest)) {
                continue;
            }
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
            let place = Place { attested: attested.map(|attested| &attested.subject), ..*place };
            let keeps = !statement.status.sets_aside();
            let (level, product, doubt) = match bind(statement, targets.into_iter(), finding, &place) {
                Bound::Yes(level, product) => (level, product, None),
                Bound::Unsure(reason) => {
                    self.refuse(number, reason.clone(), label);
                    // Attack: the signer's later word that keeps the finding, lost since its product is not clear.
                    if attested.is_none() || !keeps {
                        continue;
                    }
                    (VexLevel::Package, String::new(), Some(reason))
                }
                Bound::No => continue,
            };
            // Attack: a date by which it counts before every true statement for ever. One that keeps the finding
            // may: it fails closed.
            if let Some(reason) = self.untimely(document, statement) {
                self.refuse(number, reason, label);
                continue;
            }
            let renewed = if attested.is_some() { statement.renewed } else { statement.time };
            let (time, status) = (statement.time, statement.status);
            let attested = attested.map(|_| document);
            candidates.push(Candidate { number, product, level, time, renewed, status, attested, doubt });
        }
        Some(candidates)
    }

    /// The numbers of the statements that name one vulnerability of a finding by these ids, each with the ids that it is
    /// compared by. What keeps a finding and names none of the several that it joins may mean each of them.
    fn numbers<'i>(&mut self, ids: &'i [String], shared: &'i [String]) -> Option<Vec<(usize, &'i [String])>> {
        let by = |ids: &[String]| -> BTreeSet<usize> {
            ids.iter().filter_map(|id| self.by_id.get(id)).flatten().copied().collect()
        };
        let named = shared.iter().filter_map(|id| self.by_id.get(id)).map(BTreeSet::len).sum::<usize>();
        let own = by(ids);
        let keeps = |number: &usize| {
            let statement = self.statements.get(*number).map(|(_, statement)| *statement);
            let is_named = |id: &String| is_cve(id) && shared.contains(&id.to_ascii_lowercase());
            statement.is_some_and(|one| !one.status.sets_aside() && !one.ids.iter().any(is_named))
        };
        let unspecific: Vec<usize> = by(shared).difference(&own).copied().filter(keeps).collect();
        self.spend(2 * named)?;
        let all = own.into_iter().map(|number| (number, ids));
        Some(all.chain(unspecific.into_iter().map(|number| (number, shared))).collect())
    }

    /// Why the time of a statement that sets aside is not believed, if it is not.
    fn untimely(&self, document: usize, statement: &Statement) -> Option<String> {
        let time = statement.time.filter(|_| statement.status.sets_aside())?;
        if time > self.latest {
            return Some(format!("it is of {time}, which lies in the future"));
        }
        let signed = self.documents.get(document)?.latest?;
        (time > signed).then(|| format!("it is of {time}, and was signed before that"))
    }

    fn used(&mut self, number: usize, label: &str) {
        if let Some(fate) = self.fates.get_mut(number) {
            fate.used.push(label.to_owned());
        }
    }

    fn replace(&mut self, number: usize) {
        if let Some(fate) = self.fates.get_mut(number) {
            fate.replaced = true;
        }
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
        // One that keeps the finding is about each of them.
        let changes = |number: &usize| {
            let statement = self.statements.get(*number).map(|(_, statement)| *statement);
            statement.is_some_and(|one| one.status.sets_aside() || !is_about(one, ids))
        };
        let unspecific: Vec<usize> = by(ids).difference(&by(cves)).copied().filter(changes).collect();
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

    /// Why it cannot be said whether a statement is about a finding, and where that stands.
    fn in_doubt(&self, one: &Candidate) -> String {
        let known = self.statements.get(one.number);
        let name =
            known.and_then(|(document, _)| self.documents.get(*document)).map(|it| it.info.name.as_str());
        let at = known.map(|(_, statement)| statement.at.as_str());
        let (name, at) = (name.unwrap_or_default(), at.unwrap_or_default());
        let doubt = one.doubt.as_deref().unwrap_or_default();
        escape(format!("`{}` in {name}, {at}: {doubt}", one.status.word()).as_bytes())
    }

    fn evidence(&self, chosen: &Candidate) -> Option<VexStatement> {
        let (document, statement) = self.statements.get(chosen.number)?;
        let info = &self.documents.get(*document)?.info;
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
            signed_by: info.attested.as_ref().map(|attested| attested.signed_by.clone()),
        })
    }

    fn report(mut self, documents: &[&Document]) -> VexReport {
        if self.steps.is_none() {
            for fate in &mut self.fates {
                fate.refused.entry(EXHAUSTED.to_owned()).or_default();
            }
        }
        let mut report = VexReport {
            documents: documents.iter().map(|document| document.info.clone()).collect(),
            refused: documents.iter().flat_map(|document| document.refused.iter().cloned()).collect(),
            exhausted: self.steps.is_none(),
            ..VexReport::default()
        };
        for ((document, statement), fate) in self.statements.iter().zip(self.fates) {
            let Some(document) = documents.get(*document) else { continue };
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

/// Who signed, as one is told from another, whatever else the certificates say.
fn holder_of(signed_by: &SignedBy) -> String {
    match signed_by {
        SignedBy::Certificate(signer) => {
            format!("{} {} {:?}", signer.name.kind(), signer.name.as_str(), signer.issuer)
        }
        SignedBy::Key(key) => key.to_string(),
    }
}

/// Why a finding is set aside, in one line.
fn in_words(statement: &VexStatement) -> String {
    let why = [&statement.justification, &statement.text];
    let why: Vec<&str> = why.into_iter().flatten().map(String::as_str).collect();
    let why = if why.is_empty() { String::new() } else { format!(": {}", why.join(", ")) };
    let author = statement.author.as_deref().unwrap_or("an author who is not named");
    let signed = statement.signed_by.as_ref();
    let signed = signed.map(|by| format!(", signed by {}", by.in_words())).unwrap_or_default();
    let text = format!(
        "{} states `{}` of {}{why} ({}{signed})",
        author, statement.stated, statement.product, statement.document
    );
    cut(&text, DETAIL)
}
