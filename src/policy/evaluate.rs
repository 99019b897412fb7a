//! From evidence to verdict.

use jiff::Timestamp;

use crate::model::evidence::Evidence;
use crate::model::fact::Fact;
use crate::model::fault::Gap;
use crate::model::verdict::{Decision, Level, Outcome, PolicyIdentity, RuleResult, Verdict, WaiverReport};

use super::implicit;
use super::rule::{Decided, Subject, day_of};
use super::scope::SelectedPolicy;
use super::waiver::GapWaiver;

/// Judges the evidence at a time. The strictest rule that counts decides, and what is unknown never
/// admits. The same policy, selection, evidence and time give the same verdict.
///
/// A policy that is not meant for the image, or of which that cannot be said, is undecided whatever its
/// rules would say; they are not asked. A lie denies all the same.
#[must_use]
pub fn evaluate(selected: &SelectedPolicy<'_>, evidence: &Evidence, now: Timestamp) -> Verdict {
    let policy = selected.policy;
    let chosen = selected.scope(evidence);
    let scope = chosen.ok().flatten();
    let rules = scope.map_or(&policy.rules, |scope| &scope.rules);
    let today = day_of(now);
    let gap_waivers: Vec<&GapWaiver> = rules
        .iter()
        .flat_map(|rule| rule.settings.gap_waivers())
        .filter(|waiver| waiver.terms.in_force(today))
        .collect();
    let subject = |rule| Subject { evidence, now, rule, gap_waivers: &gap_waivers };

    let mut results = vec![implicit_result("integrity", implicit::integrity(&subject("integrity")))];
    let coverage = implicit::coverage(policy, evidence);
    let covered = coverage.outcome() == Outcome::Hold;
    results.push(implicit_result("coverage", coverage));
    let mut waivers = WaiverReport::default();
    if covered {
        let decided = implicit::scope(&subject("scope"), chosen);
        results.extend(decided.map(|decided| implicit_result("scope", decided)));
        for rule in rules {
            let decided = rule.settings.decide(&subject(&rule.id));
            waivers.used.extend(decided.waivers.used.iter().cloned());
            waivers.unused.extend(decided.waivers.unused.iter().cloned());
            waivers.expired.extend(decided.waivers.expired.iter().cloned());
            results.push(result(&rule.id, rule.kind, rule.level(now), rule.why.clone(), decided));
        }
    }
    let platforms = evidence.platforms.known().map(Vec::as_slice).unwrap_or_default();
    Verdict {
        decision: decision(&results),
        image: evidence.image.clone(),
        platforms: platforms.iter().map(|platform| platform.platform.clone()).collect(),
        policy: PolicyIdentity {
            digest: policy.digest().clone(),
            name: policy.name().to_owned(),
            scope: scope.map(|scope| scope.name.clone()),
        },
        snapshot: evidence.snapshot.known().cloned(),
        faults: evidence.faults.clone(),
        rules: results,
        waivers,
        gaps: gaps(evidence),
        evaluated_at: now,
    }
}

/// The strictest of the rules that count.
fn decision(results: &[RuleResult]) -> Decision {
    let counting = results.iter().filter(|result| result.level == Level::Deny);
    let decisions = counting.map(|result| match result.outcome {
        Outcome::Hold | Outcome::Waived => Decision::Admit,
        Outcome::Undecided => Decision::Undecided,
        Outcome::Violate => Decision::Deny,
    });
    // Integrity always counts, so there is always one; were there none, nothing would have been checked.
    decisions.max().unwrap_or(Decision::Undecided)
}

fn implicit_result(id: &str, decided: Decided) -> RuleResult {
    let row = implicit::IMPLICIT.iter().find(|(implicit, _, _)| *implicit == id);
    result(id, row.map_or("integrity", |(_, kind, _)| kind), Level::Deny, None, decided)
}

fn result(id: &str, kind: &'static str, level: Level, why: Option<String>, decided: Decided) -> RuleResult {
    RuleResult {
        id: id.to_owned(),
        kind,
        outcome: decided.outcome(),
        level,
        messages: decided.messages,
        findings: decided.findings,
        possible: decided.possible,
        undetermined: decided.undetermined,
        why,
    }
}

fn gaps(evidence: &Evidence) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for platform in evidence.platforms.known().into_iter().flatten() {
        match &platform.inventory {
            Fact::Known(inventory) => gaps.extend(inventory.gaps.iter().map(|gap| Gap {
                platform: gap.platform.clone().or_else(|| Some(platform.platform.clone())),
                ..gap.clone()
            })),
            Fact::Absent | Fact::Unknown(_) => {}
        }
    }
    gaps
}

#[cfg(test)]
mod tests;
