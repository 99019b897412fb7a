//! The verdict of one image.

use std::collections::BTreeSet;

use crate::model::evidence::Evidence;
use crate::model::fact::Fact;
use crate::model::fault::{FaultKind, Gap};
use crate::model::finding::Finding;
use crate::model::platform::Platform;
use crate::model::verdict::{Decision, Level, Message, Outcome, RuleResult, Verdict, WaiverUse};
use crate::report::{Detail, Judged};

use super::page::{Page, Piece, Tint, piece, plain, safe};
use super::words::{NAME_CHARS, name, on, platforms, short, some};
use super::{lists, scan, upgrades};

/// Characters of what the user gave as the image before it is cut.
const IMAGE_CHARS: usize = 300;

/// Things that a waiver covers, named before the report says how many more.
const COVERED: usize = 3;

/// The word for a decision, and its colour.
pub(super) fn decision(decision: Decision) -> (&'static str, Tint) {
    match decision {
        Decision::Admit => ("ADMIT", Tint::Good),
        Decision::Undecided => ("UNDECIDED", Tint::Doubt),
        Decision::Deny => ("DENY", Tint::Bad),
    }
}

/// Writes one verdict.
pub(super) fn write(page: &mut Page, judged: Judged<'_>, detail: Detail) {
    let Judged { verdict, evidence, .. } = judged;
    let (word, tint) = decision(verdict.decision);
    page.line(&[piece(tint, word), plain("  "), piece(Tint::Strong, image(evidence))]);
    let counting: Vec<&RuleResult> = verdict.rules.iter().filter(|rule| rule.level == Level::Deny).collect();
    let brief = detail == Detail::Brief;
    if !brief && counting.iter().any(|rule| rule.outcome >= Outcome::Undecided) {
        page.gap();
        page.line(&[piece(Tint::Strong, "Why")]);
    }
    reasons(page, &counting, detail);
    if brief {
        return;
    }
    fixes(page, verdict, &counting, detail);
    settle(page, judged, &counting, detail);
    asides(page, verdict);
    waivers(page, verdict);
    page.gap();
    published(page, judged);
    foot(page, judged, detail);
}

/// What was signed of the verdict.
fn published(page: &mut Page, judged: Judged<'_>) {
    let Some(published) = judged.published else { return };
    let there = published.attestations.len();
    let (tint, text) = match &published.error {
        None => (Tint::Good, format!("{there} attestations are beside the image")),
        Some(cause) => (Tint::Bad, format!("not attested: {}", safe(cause, IMAGE_CHARS))),
    };
    page.line(&[piece(tint, text)]);
    let left: usize = published.attestations.iter().map(|one| one.left.len()).sum();
    if left > 0 {
        page.line(&[piece(Tint::Doubt, format!("{left} older ones could not be taken away"))]);
    }
}

/// The image as the user gave it, and what it is.
pub(super) fn image(evidence: &Evidence) -> String {
    let reference = safe(&evidence.image.reference, IMAGE_CHARS);
    match &evidence.image.digest {
        Some(digest) if !reference.contains(digest.hex()) => format!("{reference} ({})", short(digest)),
        Some(_) => reference,
        None => format!("{reference} (digest not known)"),
    }
}

/// Messages that say the same of several platforms.
struct Reason<'a> {
    rule: &'a RuleResult,
    message: &'a Message,
    on: BTreeSet<&'a Platform>,
}

fn merged<'a>(rules: &[&'a RuleResult], wanted: impl Fn(&Message) -> bool) -> Vec<Reason<'a>> {
    let mut reasons: Vec<Reason<'a>> = Vec::new();
    for rule in rules {
        let first = reasons.len();
        for message in rule.messages.iter().filter(|message| wanted(message)) {
            let told = reasons.iter_mut().skip(first).find(|reason| {
                (reason.message.outcome, shown(reason.message)) == (message.outcome, shown(message))
            });
            match told {
                Some(reason) => reason.on.extend(&message.platform),
                None => reasons.push(Reason { rule, message, on: message.platform.iter().collect() }),
            }
        }
    }
    reasons
}

/// What the report says of a message whose things it lists below.
fn shown(message: &Message) -> &str {
    message.headline.as_deref().unwrap_or(&message.text)
}

/// Why: each rule that counts and does not hold.
fn reasons(page: &mut Page, counting: &[&RuleResult], detail: Detail) {
    let mut reasons = merged(counting, |message| message.outcome >= Outcome::Undecided);
    // What denies before what is only unknown; else in the order of the policy.
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.message.outcome));
    let width = id_width(reasons.iter().map(|reason| reason.rule));
    let mut told = "";
    for reason in &reasons {
        let (word, tint) = match reason.message.outcome {
            Outcome::Violate => ("violated", Tint::Bad),
            Outcome::Undecided | Outcome::Waived | Outcome::Hold => ("undecided", Tint::Doubt),
        };
        let lead = lead((word, tint), reason.rule, width);
        page.row(&lead, &[plain(shown(reason.message)), on(&platforms(reason.on.iter().copied()))]);
        let why = reason.rule.why.as_ref().filter(|_| detail > Detail::Brief && told != reason.rule.id);
        if let Some(why) = why {
            page.row(&[plain(" ".repeat(15 + width))], &[piece(Tint::Faint, why)]);
        }
        told = &reason.rule.id;
    }
}

fn id_width<'a>(rules: impl Iterator<Item = &'a RuleResult>) -> usize {
    rules.map(|rule| name(&rule.id).chars().count()).max().unwrap_or(0)
}

fn lead((word, tint): (&str, Tint), rule: &RuleResult, width: usize) -> [Piece; 3] {
    let id = format!("{:<width$}", name(&rule.id));
    [piece(tint, format!("  {word:<9}  ")), piece(Tint::Strong, id), plain("  ")]
}

/// The findings that violate a rule, by package.
fn fixes(page: &mut Page, verdict: &Verdict, counting: &[&RuleResult], detail: Detail) {
    let lies = verdict.faults.iter().any(|fault| fault.kind == FaultKind::Lie);
    let findings: Vec<&Finding> = counting.iter().flat_map(|rule| &rule.findings).collect();
    if findings.is_empty() && !lies {
        return;
    }
    page.gap();
    page.line(&[piece(Tint::Strong, "Fix")]);
    if lies {
        advise(
            page,
            "The bytes contradict what they are said to be: fetch the image again from where it was built, and do not run this copy. No waiver covers it.",
        );
    }
    upgrades::write(page, &findings, 2, detail);
}

/// What is unknown, and what would settle it.
fn settle(page: &mut Page, judged: Judged<'_>, counting: &[&RuleResult], detail: Detail) {
    let Judged { verdict, evidence, .. } = judged;
    let undecided: Vec<&RuleResult> =
        counting.iter().copied().filter(|rule| has(rule, Outcome::Undecided)).collect();
    if undecided.is_empty() {
        return;
    }
    page.gap();
    page.line(&[piece(Tint::Strong, "Settle")]);
    let start = page.written();
    if verdict.faults.iter().any(|fault| fault.kind == FaultKind::Unreadable) {
        advise(page, "Part of the image could not be read: give it whole, all blobs of all platforms.");
    }
    settle_advisories(page, evidence, &undecided);
    settle_findings(page, &undecided, detail);
    let undetermined: Vec<_> = undecided.iter().flat_map(|rule| &rule.undetermined).collect();
    lists::undetermined(page, undetermined, detail);
    settle_gaps(page, verdict, &undecided, detail);
    if page.written() == start {
        advise(page, "What is missing stands above: nothing else is unknown.");
    }
}

fn has(rule: &RuleResult, outcome: Outcome) -> bool {
    rule.messages.iter().any(|message| message.outcome == outcome)
}

fn advise(page: &mut Page, text: &str) {
    page.row(&[plain("  ")], &[plain(text)]);
}

fn settle_advisories(page: &mut Page, evidence: &Evidence, undecided: &[&RuleResult]) {
    if !undecided.iter().any(|rule| rule.kind == "vulnerabilities") {
        return;
    }
    match &evidence.snapshot {
        Fact::Known(_) => {}
        Fact::Absent => advise(
            page,
            "There are no advisories: `--db DIR` names a snapshot, or a directory in the layout of the public OSV bucket.",
        ),
        Fact::Unknown(cause) => {
            advise(page, &format!("The advisories could not be read: {cause}. Import them again."));
        }
    }
}

/// Findings that may violate, but for those that do.
fn settle_findings(page: &mut Page, undecided: &[&RuleResult], detail: Detail) {
    let possible: Vec<&Finding> = undecided.iter().flat_map(|rule| &rule.possible).collect();
    if !possible.is_empty() {
        advise(page, "It cannot be said whether these findings count. An upgrade settles it:");
        upgrades::write(page, &possible, 4, detail);
    }
}

/// The gaps that no waiver covers. What is written here is a waiver to be filled in, as the policy has it.
fn settle_gaps(page: &mut Page, verdict: &Verdict, undecided: &[&RuleResult], detail: Detail) {
    let used = &verdict.waivers.used;
    let covered: BTreeSet<&str> =
        used.iter().flat_map(|waiver| &waiver.covered).map(String::as_str).collect();
    let is_open = |gap: &&Gap| {
        gap.platform.as_ref().is_none_or(|platform| !covered.contains(gap.label(platform).as_str()))
    };
    let open: Vec<&Gap> = verdict.gaps.iter().filter(is_open).collect();
    if open.is_empty() || undecided.iter().all(|rule| rule.kind == "integrity") {
        return;
    }
    advise(
        page,
        "Packages may hide in what could not be read. Repair it, or accept it for a while in the policy, as `gaps: {allow: [{path, until, reason, owner}]}`:",
    );
    lists::gaps(page, open, 4, detail);
}

/// What does not count: warnings, accepted risks and notes.
fn asides(page: &mut Page, verdict: &Verdict) {
    let rules: Vec<&RuleResult> = verdict.rules.iter().collect();
    let (counting, shown): (Vec<&RuleResult>, Vec<&RuleResult>) =
        rules.into_iter().partition(|rule| rule.level == Level::Deny);
    let mut asides = merged(&shown, |message| message.outcome >= Outcome::Undecided);
    asides.extend(merged(&counting, |message| message.outcome < Outcome::Undecided));
    asides.extend(merged(&shown, |message| message.outcome < Outcome::Undecided));
    if asides.is_empty() {
        return;
    }
    page.gap();
    page.line(&[piece(Tint::Strong, "Besides")]);
    let width = id_width(asides.iter().map(|aside| aside.rule));
    for aside in &asides {
        let word = match (aside.message.outcome, aside.rule.level) {
            (Outcome::Hold, _) => ("note", Tint::Faint),
            (Outcome::Waived, _) => ("accepted", Tint::Faint),
            (Outcome::Violate | Outcome::Undecided, Level::Info) => ("info", Tint::Faint),
            (Outcome::Violate | Outcome::Undecided, Level::Warn | Level::Deny) => ("warning", Tint::Doubt),
        };
        let lead = lead(word, aside.rule, width);
        page.row(&lead, &[plain(&aside.message.text), on(&platforms(aside.on.iter().copied()))]);
    }
}

fn waivers(page: &mut Page, verdict: &Verdict) {
    let waivers = &verdict.waivers;
    if waivers.used.is_empty() && waivers.unused.is_empty() && waivers.expired.is_empty() {
        return;
    }
    page.gap();
    page.line(&[piece(Tint::Strong, "Waivers")]);
    for waiver in &waivers.used {
        let covered = format!("covers {}", some(&waiver.covered, COVERED));
        write_waiver(
            page,
            ("used", Tint::Plain),
            waiver,
            &format!("until {}, {covered}", name(&waiver.until)),
        );
    }
    for waiver in &waivers.unused {
        write_waiver(page, ("unused", Tint::Doubt), waiver, "matches nothing: take it out of the policy");
    }
    for waiver in &waivers.expired {
        let text = format!("without effect since {}: fix it, or accept it anew", name(&waiver.until));
        write_waiver(page, ("expired", Tint::Doubt), waiver, &text);
    }
}

fn write_waiver(page: &mut Page, (word, tint): (&str, Tint), waiver: &WaiverUse, state: &str) {
    let body = [
        piece(Tint::Strong, safe(&waiver.scope, NAME_CHARS * 2)),
        plain(format!(" ({}): {state}", name(&waiver.rule))),
        piece(Tint::Faint, format!("; {}: {}", name(&waiver.owner), &waiver.reason)),
    ];
    page.row(&[piece(tint, format!("  {word:<9}  "))], &body);
}

/// By what was judged, and what.
fn foot(page: &mut Page, judged: Judged<'_>, detail: Detail) {
    let Judged { verdict, evidence, .. } = judged;
    let policy = &verdict.policy;
    let scope = policy.scope.as_ref().map(|scope| format!(", scope {}", name(scope))).unwrap_or_default();
    let digest = if detail == Detail::Full { policy.digest.to_string() } else { short(&policy.digest) };
    let held = verdict.rules.iter().filter(|rule| rule.outcome == Outcome::Hold).count();
    let rules = format!("{held} of {} rules hold", verdict.rules.len());
    lists::fact(page, "policy", &format!("{} ({digest}){scope}: {rules}", name(&policy.name)));
    lists::fact(page, "findings", &scan::phrase(evidence));
    lists::facts(page, evidence, detail);
    lists::fact(page, "judged at", &verdict.evaluated_at.to_string());
}
