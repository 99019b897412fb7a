use super::fixture::{STYLE, evidence_with, found, message, rule, verdict, waiver};
use super::*;
use crate::model::attestation::{Place, SignedBy};
use crate::model::digest::Digest;
use crate::model::evidence::{Ended, SegmentInfo};
use crate::model::fact::Fact;
use crate::model::fault::{Fault, Gap};
use crate::model::finding::{Cvss, Finding, Suppressed};
use crate::model::fixture::{gap, undetermined};
use crate::model::inventory::SourcePackage;
use crate::model::path::{ImagePath, is_printable};
use crate::model::platform::Platform;
use crate::model::severity::Severity;
use crate::model::signer::{Name, Signer};
use crate::model::verdict::{Decision, Outcome};
use crate::model::vex::{
    VexAttestation, VexDocument, VexOutcome, VexReport, VexStatement, VexStatus, VexUnread,
};

#[test]
fn ids_are_unique_and_text_is_the_default() {
    let ids: Vec<&str> = FORMATS.iter().map(|format| format.id()).collect();
    assert_eq!(ids, ["text", "json"]);
    assert!(FORMATS.iter().all(|format| !format.summary().is_empty()));
    assert!(format("json").is_some() && format("yaml").is_none());
}

/// What an attacker would like a terminal, a log or a reader to see, and a lot of it.
fn hostile() -> String {
    format!("\x1b[2J\x1b]0;owned\x07\r\n\u{202e}\u{9b}31m\u{200b}\u{2028}\u{e0041}{}", "A".repeat(5_000))
}

fn hostile_platform() -> Platform {
    Platform { os: hostile(), architecture: hostile(), variant: Some(hostile()) }
}

fn hostile_path() -> ImagePath {
    ImagePath::normalise(hostile().as_bytes()).unwrap()
}

fn hostile_finding(number: usize) -> Finding {
    let mut finding = found(&format!("{number}{}", hostile()), Severity::Critical, "linux/amd64");
    finding.aliases = vec![hostile(); 3];
    finding.platform = hostile_platform();
    finding.package.name = format!("{}{}", number % 40, hostile());
    finding.package.version = hostile();
    finding.package.source = Some(SourcePackage { name: format!("x{}", hostile()), version: hostile() });
    finding.severity_source = Some(hostile());
    finding.cvss = vec![Cvss { vector: hostile(), score: hostile() }];
    finding.fixed = vec![hostile(); 3];
    finding.summary = Some(hostile());
    finding.layer.created_by = Some(format!("/bin/sh -c {}", hostile()));
    finding.locations = vec![hostile_path(); 3];
    finding.vendored_in = Some(hostile());
    finding.evidence.low_confidence = Some(hostile());
    finding.vex_doubt = Some(hostile());
    finding.evidence.range = hostile();
    finding.vex = vec![hostile_statement(); 3];
    finding
}

fn hostile_statement() -> VexStatement {
    VexStatement {
        document: hostile(),
        digest: Digest::sha256(b"v"),
        statement: hostile(),
        vulnerability: hostile(),
        product: hostile(),
        status: VexStatus::Affected,
        stated: hostile(),
        justification: Some(hostile()),
        text: Some(hostile()),
        action: Some(hostile()),
        author: Some(hostile()),
        timestamp: Some(hostile()),
        signed_by: Some(hostile_signer()),
    }
}

fn hostile_signer() -> SignedBy {
    SignedBy::Certificate(Signer { name: Name::Uri(hostile()), issuer: Some(hostile()), claims: [].into() })
}

fn hostile_vex() -> VexReport {
    let attested = VexAttestation {
        at: Place::Tag { tag: hostile(), layer: Some(0) },
        subject: Digest::sha256(b"s"),
        platform: None,
        below: None,
        signed_by: hostile_signer(),
        logged: true,
    };
    let unread = VexUnread { document: hostile(), attested: attested.clone(), cause: hostile() };
    let document = VexDocument {
        name: hostile(),
        digest: Digest::sha256(b"v"),
        format: hostile(),
        id: Some(hostile()),
        author: Some(hostile()),
        timestamp: Some(hostile()),
        statements: 12,
        attested: Some(attested),
    };
    let outcome = VexOutcome {
        document: hostile(),
        digest: Digest::sha256(b"v"),
        statement: hostile(),
        vulnerability: hostile(),
        stated: hostile(),
        reason: Some(hostile()),
        findings: vec![hostile()],
    };
    let outcomes = vec![outcome; 12];
    VexReport {
        documents: vec![document],
        used: outcomes.clone(),
        unused: outcomes.clone(),
        refused: outcomes,
        unread: vec![unread],
        sought: true,
        exhausted: true,
    }
}

fn hostile_gap() -> Gap {
    Gap {
        path: hostile_path(),
        cataloger: hostile(),
        cause: hostile(),
        platform: Some(hostile_platform()),
        ..gap("x", "y")
    }
}

fn hostile_evidence() -> Evidence {
    let mut undetermined = undetermined(&hostile());
    undetermined.platform = hostile_platform();
    undetermined.package.name = hostile();
    let suppressed = Suppressed { finding: hostile_finding(1), reason: "owned-by", detail: hostile() };
    evidence_with(|evidence| {
        evidence.image.reference = hostile();
        evidence.vex = hostile_vex();
        evidence.enrichment.kev = Fact::Unknown(hostile());
        evidence.ended.push(Ended {
            platform: hostile_platform(),
            release: hostile(),
            end_of_life: hostile(),
        });
        evidence.faults.push(Fault::lie(hostile(), hostile()).on(&hostile_platform()));
        if let Fact::Known(snapshot) = &mut evidence.snapshot {
            let segment =
                SegmentInfo { id: Digest::sha256(b"s"), records: 1, generated: None, unreadable: 2 };
            snapshot.ecosystems.insert(hostile(), segment);
        }
        let platforms = evidence.platforms_mut();
        platforms[0].platform = hostile_platform();
        platforms[0].findings_mut().findings = (0..60).map(hostile_finding).collect();
        platforms[0].findings_mut().undetermined = vec![undetermined];
        platforms[0].findings_mut().suppressed = vec![suppressed];
        platforms[0].inventory_mut().gaps = vec![hostile_gap()];
        platforms[1].inventory = Fact::Unknown(hostile());
        platforms[1].findings = Fact::Unknown(hostile());
        platforms[1].config = Fact::Unknown(hostile());
    })
}

fn hostile_verdict(evidence: &Evidence) -> Verdict {
    let mut hostile_rule = rule(&hostile(), Outcome::Violate);
    hostile_rule.why = Some(hostile());
    for outcome in [Outcome::Violate, Outcome::Undecided, Outcome::Waived, Outcome::Hold] {
        let mut told = message(outcome, None, &hostile());
        told.platform = Some(hostile_platform());
        told.headline = Some(hostile());
        hostile_rule.messages.push(told);
    }
    let found = evidence.platforms.known().unwrap()[0].findings.known().unwrap().clone();
    hostile_rule.findings = found.findings.clone();
    hostile_rule.possible = found.findings;
    hostile_rule.undetermined = found.undetermined;
    let mut waiver = waiver(&hostile(), &[&hostile(), &hostile()]);
    (waiver.rule, waiver.until, waiver.reason, waiver.owner) = (hostile(), hostile(), hostile(), hostile());
    let mut verdict = verdict(Decision::Deny);
    verdict.image = evidence.image.clone();
    verdict.policy.name = hostile();
    verdict.policy.scope = Some(hostile());
    verdict.faults = evidence.faults.clone();
    verdict.gaps = vec![hostile_gap()];
    verdict.rules.push(hostile_rule);
    verdict.waivers.used.push(waiver.clone());
    verdict.waivers.unused.push(waiver.clone());
    verdict.waivers.expired.push(waiver);
    verdict
}

#[test]
fn nothing_that_a_terminal_obeys_gets_through_from_any_field_in_any_format() {
    let evidence = hostile_evidence();
    let verdict = hostile_verdict(&evidence);
    let judged = [Judged { verdict: &verdict, evidence: &evidence, published: None }; 2];
    for format in FORMATS {
        for detail in [Detail::Brief, Detail::Usual, Detail::Full] {
            for width in [0, 80, usize::MAX] {
                let style = Style { color: false, detail, width };
                for text in [format.gate(&judged[..1], &style), format.scan(&[&evidence], &style)] {
                    let bad = text.chars().find(|c| *c != '\n' && !is_printable(*c));
                    assert_eq!(bad, None, "{} {style:?}", format.id());
                    assert!(text.ends_with('\n'));
                }
            }
        }
    }
}

#[test]
fn a_book_in_every_field_does_not_wreck_a_report_for_a_person() {
    let evidence = hostile_evidence();
    let verdict = hostile_verdict(&evidence);
    let text = format("text").unwrap();
    for report in [
        text.gate(&[Judged { verdict: &verdict, evidence: &evidence, published: None }], &STYLE),
        text.scan(&[&evidence], &STYLE),
    ] {
        assert!(report.len() < 150_000, "{} bytes", report.len());
        assert!(report.lines().all(|line| line.chars().count() <= 1_200));
        assert!(report.contains("DENY") || report.starts_with("INCOMPLETE"));
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let evidence = evidence_with(|_| {});
    let verdict = verdict(Decision::Admit);
    let judged = [Judged { verdict: &verdict, evidence: &evidence, published: None }];
    for format in FORMATS {
        assert_eq!(format.gate(&judged, &STYLE), format.gate(&judged, &STYLE));
        assert_eq!(format.scan(&[&evidence], &STYLE), format.scan(&[&evidence], &STYLE));
    }
}
