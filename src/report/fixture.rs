//! Verdicts for the tests of reports, on the evidence that the tests of rules judge as well.

use crate::model::digest::Digest;
use crate::model::evidence::Evidence;
use crate::model::finding::Finding;
use crate::model::fixture::{NOW, evidence, finding};
use crate::model::inventory::LayerRef;
use crate::model::severity::Severity;
use crate::model::verdict::{
    Decision, Level, Message, Outcome, PolicyIdentity, RuleResult, Verdict, WaiverReport, WaiverUse,
};

use super::{Detail, Style};

/// What a pipe gets.
pub(super) const STYLE: Style = Style { color: false, detail: Detail::Usual, width: 100 };

/// A verdict on the fixture's evidence: one rule that holds.
pub(super) fn verdict(decision: Decision) -> Verdict {
    let evidence = evidence();
    Verdict {
        decision,
        image: evidence.image.clone(),
        platforms: evidence.platforms.known().unwrap().iter().map(|p| p.platform.clone()).collect(),
        policy: PolicyIdentity { digest: Digest::sha256(b"policy"), name: "baseline".into(), scope: None },
        snapshot: evidence.snapshot.known().cloned(),
        faults: Vec::new(),
        rules: vec![rule("integrity", Outcome::Hold)],
        waivers: WaiverReport::default(),
        gaps: Vec::new(),
        evaluated_at: NOW.parse().unwrap(),
    }
}

/// A rule that counts.
pub(super) fn rule(id: &str, outcome: Outcome) -> RuleResult {
    RuleResult {
        id: id.to_owned(),
        kind: "vulnerabilities",
        outcome,
        level: Level::Deny,
        messages: Vec::new(),
        findings: Vec::new(),
        possible: Vec::new(),
        undetermined: Vec::new(),
        why: None,
    }
}

pub(super) fn message(outcome: Outcome, platform: Option<&str>, text: &str) -> Message {
    Message {
        platform: platform.map(|name| name.parse().unwrap()),
        outcome,
        text: text.to_owned(),
        headline: None,
    }
}

/// A finding of a layer that a Dockerfile line made.
pub(super) fn found(id: &str, severity: Severity, platform: &str) -> Finding {
    Finding {
        severity,
        platform: platform.parse().unwrap(),
        layer: LayerRef {
            index: Some(3),
            digest: Some(Digest::sha256(platform.as_bytes())),
            diff_id: Some(Digest::sha256(b"tar")),
            created_by: Some("RUN /bin/sh -c apt-get install -y openssl # buildkit".into()),
        },
        locations: vec!["var/lib/dpkg/status".into()],
        ..finding(id)
    }
}

pub(super) fn waiver(scope: &str, covered: &[&str]) -> WaiverUse {
    WaiverUse {
        rule: "vulnerabilities".into(),
        scope: scope.into(),
        until: "2026-12-31".into(),
        reason: "not reachable".into(),
        owner: "sec".into(),
        covered: covered.iter().map(|text| (*text).to_owned()).collect(),
    }
}

/// The fixture's evidence, changed.
pub(super) fn evidence_with(change: impl FnOnce(&mut Evidence)) -> Evidence {
    let mut evidence = evidence();
    change(&mut evidence);
    evidence
}
