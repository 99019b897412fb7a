//! Nothing that is unknown ever admits: over generated evidence, knowing less never opens the gate.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::model::attestation::{Attested, Content, Place, Refused};
use crate::model::digest::Digest;
use crate::model::evidence::{PlatformEvidence, SegmentInfo};
use crate::model::finding::{FixState, Suppressed};
use crate::model::predicate::VULN;
use crate::model::severity::Severity;
use crate::model::vex::{VEX_REASON, VexClaim, VexClaims, VexStatus, VexUnread};
use crate::model::violation::{CheckSeverity, Checked, Unseen};
use crate::policy::evaluate;
use crate::policy::fixture::{
    IDENTITIES, NOW, attested, checked, ci, claim, evidence, package, provenance, sbom, sec, signature,
    vex_attestation, vex_document, violation, vsa,
};

/// Every kind of rule at once. An unknown severity is undecided: with `ignore` the author accepts it.
const POLICY: &str = "rules:
- id: where
  reference: {registries: [ghcr.io], denyTags: [latest]}
- id: signed
  signature: {by: [ci, sec]}
- id: scanned
  attestation: {type: vuln, by: [sec], maxAge: 7d}
- id: built
  provenance: {by: [ci, sec], sourceRepo: github.com/acme/app, refs: ['refs/heads/*'], maxAge: 7d}
- id: bom
  sbom: {by: [ci], complete: true, maxAge: 7d}
- id: passed
  verdict: {by: [sec], verifier: 'https://acme.example/portcullis', levels: [SLSA_BUILD_LEVEL_1], maxAge: 7d}
- id: arches
  platforms: {require: [linux/amd64]}
- id: vulns
  vulnerabilities:
    database: {maxAge: 2d}
    deny:
    - {severity: high, fixed: true, grace: 14d}
    - {kev: true, severity: medium}
    - {epss: '>=0.5'}
    - {malicious: true}
    unknownSeverity: undecided
    vex: {by: [ci]}
    allow:
    - {id: CVE-0, until: 2026-12-31, reason: x, owner: y}
- id: gaps
  gaps: {allow: [{path: 'opt/**', until: 2026-12-31, reason: x, owner: y}]}
- id: banned
  packages: {deny: ['pkg:npm/evil', 'pkg:npm/left-pad@1.3.0']}
- id: runtime
  config: {user: nonroot, exposedPortsBelow1024: deny, envSecrets: deny}
- id: labels
  labels: {require: {org.opencontainers.image.source: '**'}}
- id: fresh
  age: {maxSinceBuild: 90d}
- id: small
  size: {compressedMax: 1MB, wastedMax: 1MB}
- id: sound
  manifest: {strict: true, allow: [{check: CFG-013, until: 2026-12-31, reason: x, owner: y}]}
- id: secrets
  secrets: {in: [layers, env, history]}
- id: base
  baseImage: {eol: deny}
scopes:
- name: preview
  when: {tags: [pr]}
  set: {runtime: {user: any}}
- name: release
  when: {tags: [release]}
  set: {small: {compressedMax: 2kB}}
";

fn policy(extra_waiver: Option<&str>) -> Policy {
    let mut text = format!("{HEAD}{POLICY}{IDENTITIES}");
    if let Some(id) = extra_waiver {
        let waiver = format!("    allow:\n    - {{id: {id}, until: 2099-01-01, reason: x, owner: y}}\n");
        text = text.replacen("    allow:\n", &waiver, 1);
    }
    Policy::parse(text.as_bytes()).unwrap()
}

fn decide(policy: &Policy, evidence: &Evidence) -> Decision {
    let selected = policy.select(&Selection::default()).unwrap();
    evaluate(&selected, evidence, NOW.parse().unwrap()).decision
}

fn a_finding() -> impl Strategy<Value = Finding> {
    let severity = prop_oneof![
        6 => Just(Severity::Low),
        1 => Just(Severity::Medium),
        1 => Just(Severity::Critical),
        1 => Just(Severity::Unknown),
    ];
    let state =
        prop_oneof![6 => Just(FixState::NotFixed), 3 => Just(FixState::Fixed), 1 => Just(FixState::Unknown)];
    let published =
        prop_oneof![Just(None), Just(Some("2026-11-20T00:00:00Z")), Just(Some("2025-01-01T00:00:00Z"))];
    let kev = prop_oneof![1 => Just(None), 8 => Just(Some(false)), 1 => Just(Some(true))];
    let epss = prop_oneof![1 => Just(None), 16 => Just(Some("0.01")), 1 => Just(Some("0.9"))];
    let finding_of = (0..4_usize, severity, state, published, kev, epss, prop::bool::weighted(0.03));
    (finding_of, some_claims()).prop_map(
        |((id, severity, state, published, kev, epss, malicious), claims)| Finding {
            claims: VexClaims { questions: usize::from(!claims.is_empty()), claims, doubts: Vec::new() },
            severity,
            state,
            published: published.map(|text: &str| text.parse().unwrap()),
            kev,
            epss: epss.map(str::to_owned),
            malicious,
            ..finding(&format!("CVE-{id}"))
        },
    )
}

/// What documents say of a finding: those of `ci`, who is asked, of `sec`, who is not, and a file.
fn some_claims() -> impl Strategy<Value = Vec<VexClaim>> {
    let document = prop_oneof![4 => Just(Some(0)), 2 => Just(Some(1)), 1 => Just(Some(2)), 1 => Just(None)];
    let day = prop_oneof![Just("2026-10-01"), Just("2026-10-02"), Just("2026-10-03")];
    let status = prop_oneof![2 => Just(VexStatus::NotAffected), 1 => Just(VexStatus::Affected)];
    let one = (document, day, status)
        .prop_filter("a file only keeps", |(document, _, status)| document.is_some() || !status.sets_aside());
    prop::collection::vec(one.prop_map(|(document, day, status)| claim(document, day, status)), 0..4)
}

fn vary_platform(platform: &mut PlatformEvidence, choice: u32, mut findings: Vec<Finding>) {
    // What a file sets aside, which the rule does not go by.
    if choice.is_multiple_of(5) {
        let aside =
            findings.drain(..).map(|finding| Suppressed { finding, reason: VEX_REASON, detail: "x".into() });
        platform.findings_mut().suppressed = aside.collect();
    }
    platform.findings_mut().findings = findings;
    let user = |platform: &mut PlatformEvidence, name: &str| {
        if let Fact::Known(config) = &mut platform.config {
            config.config.get_or_insert_default().user = Some(name.to_owned());
        }
    };
    match choice {
        0 => platform.inventory_mut().packages.push(package("pkg:npm/evil", "1")),
        1 => platform.inventory_mut().gaps.push(gap("usr/x", "npm")),
        2 => platform.inventory_mut().gaps.push(gap("opt/x", "npm")),
        3 => user(platform, "root"),
        4 => user(platform, "app"),
        5 => platform.layers.known_mut().unwrap()[0].size = 3_000,
        6 => platform.findings_mut().undetermined.push(undetermined("no advisories")),
        7 => platform.config = Fact::Unknown("x".into()),
        _ => {}
    }
}

/// Mostly all is signed, attested and passed; once each something lacks or speaks against it.
fn vary_signed(evidence: &mut Evidence, choice: u32) {
    let scan = Content::Statement { predicate_type: VULN.into(), predicate: serde_json::json!({}) };
    let all = [
        (ci(), signature()),
        (sec(), scan),
        (ci(), provenance()),
        (sec(), vsa("PASSED")),
        (sec(), vsa("FAILED")),
    ];
    let lacks = match choice {
        6..=9 => Some(choice as usize - 6),
        // The last word of the verifier is not that it passed.
        10 => None,
        _ => Some(4),
    };
    let chosen =
        all.into_iter().enumerate().filter(|(n, _)| Some(*n) != lacks && (*n != 4 || lacks.is_none()));
    let mut image = attested(None, []);
    for (_, one) in chosen {
        image.attestations.extend(attested(None, [one]).attestations);
    }
    // Another word of the verifier may be what cannot be seen.
    image.unknown.extend((choice == 12).then(|| "x".to_owned()));
    let own = evidence.platforms_mut().iter().map(|platform| match choice {
        11 => Attested { unknown: vec!["x".into()], ..attested(Some(platform), []) },
        _ => attested(Some(platform), [(ci(), sbom())]),
    });
    let own: Vec<Attested> = own.collect();
    evidence.attested = Fact::Known(std::iter::once(image).chain(own).collect());
}

fn with_attested(evidence: &mut Evidence, change: impl Fn(&mut Attested)) {
    if let Fact::Known(attested) = &mut evidence.attested {
        attested.iter_mut().for_each(change);
    }
}

fn some_evidence() -> impl Strategy<Value = Evidence> {
    let reference = prop_oneof![
        8 => Just("ghcr.io/acme/app:v1.2.3"),
        4 => Just("ghcr.io/acme/app:pr-7"),
        4 => Just("ghcr.io/acme/app:main"),
        1 => Just("quay.io/acme/app:v1.2.3"),
        1 => Just("ghcr.io/acme/app:latest"),
    ];
    let platform = || (0..40_u32, prop::collection::vec(a_finding(), 0..3));
    (reference, platform(), platform(), 0..30_u32).prop_map(|(reference, first, second, choice)| {
        let mut evidence = evidence();
        evidence.reference = Fact::Known(reference.parse().unwrap());
        vary_signed(&mut evidence, choice);
        evidence.vex.documents = [ci(), sec(), ci()].map(vex_document).to_vec();
        for (platform, (choice, findings)) in evidence.platforms_mut().iter_mut().zip([first, second]) {
            vary_platform(platform, choice, findings);
        }
        match choice {
            0 => evidence.faults.push(Fault::lie("layer 0", "digest mismatch")),
            1 => evidence.faults.push(Fault::unreadable("layer 0", "no blob")),
            2 => evidence.reference = Fact::Absent,
            3 => evidence.snapshot = Fact::Absent,
            4 => checked([violation("LYR-016", CheckSeverity::High)])(&mut evidence),
            5 => checked([violation("CFG-008", CheckSeverity::Medium)])(&mut evidence),
            _ => {}
        }
        evidence
    })
}

type Change = fn(&mut Evidence);

fn each_platform(evidence: &mut Evidence, change: impl Fn(&mut PlatformEvidence)) {
    match &mut evidence.platforms {
        Fact::Known(platforms) => platforms.iter_mut().for_each(change),
        Fact::Absent | Fact::Unknown(_) => {}
    }
}

fn each_finding(evidence: &mut Evidence, change: impl Fn(&mut Finding)) {
    each_platform(evidence, |platform| {
        if let Fact::Known(findings) = &mut platform.findings {
            findings.findings.iter_mut().for_each(&change);
            findings.suppressed.iter_mut().for_each(|suppressed| change(&mut suppressed.finding));
        }
    });
}

/// Takes away what keeps findings: it was not seen.
fn without_keeping(evidence: &mut Evidence) {
    each_finding(evidence, |finding| {
        finding.claims.claims.retain(|claim| claim.status.sets_aside() || claim.document.is_none());
    });
}

fn unread_vex(evidence: &mut Evidence, platform: Option<usize>) {
    let mut attested = vex_attestation(ci());
    if let (Some(number), Fact::Known(platforms)) = (platform, &evidence.platforms) {
        let Some(platform) = platforms.get(number) else { return };
        attested.platform = Some(platform.platform.clone());
        attested.subject = platform.digest.clone().unwrap_or(attested.subject);
    }
    evidence.vex.unread.push(VexUnread { document: "x".into(), attested, cause: "x".into() });
}

fn refuse(evidence: &mut Evidence, unjudged: bool, kind: &'static str) {
    with_attested(evidence, |attested| {
        let at = Place::Tag { tag: "x".into(), layer: None };
        attested.refused.push(Refused { at, unjudged, kind, cause: "x".into() });
    });
}

fn with_inventory(evidence: &mut Evidence, change: impl Fn(&mut crate::model::inventory::Inventory)) {
    each_platform(evidence, |platform| {
        if let Fact::Known(inventory) = &mut platform.inventory {
            change(inventory);
        }
    });
}

/// Every way of knowing less.
const FORGET: &[(&str, Change)] = &[
    ("image digest", |e| e.image.digest = None),
    ("reference unknown", |e| e.reference = Fact::Unknown("x".into())),
    ("reference absent", |e| e.reference = Fact::Absent),
    ("platforms unknown", |e| e.platforms = Fact::Unknown("x".into())),
    ("platforms absent", |e| e.platforms = Fact::Absent),
    ("no platforms", |e| e.platforms = Fact::Known(Vec::new())),
    ("snapshot unknown", |e| e.snapshot = Fact::Unknown("x".into())),
    ("snapshot absent", |e| e.snapshot = Fact::Absent),
    ("snapshot without date", |e| {
        if let Fact::Known(snapshot) = &mut e.snapshot {
            snapshot.generated = None;
        }
    }),
    ("advisories unreadable", |e| {
        if let Fact::Known(snapshot) = &mut e.snapshot {
            let id = Digest::sha256(b"x");
            let segment = SegmentInfo { id, records: 1, generated: snapshot.generated, unreadable: 1 };
            snapshot.ecosystems.insert("npm".into(), segment);
            each_platform(e, |p| {
                if let Fact::Known(findings) = &mut p.findings {
                    findings.findings.clear();
                }
            });
        }
    }),
    ("unreadable fault", |e| e.faults.push(Fault::unreadable("layer 1", "x"))),
    ("lie", |e| e.faults.push(Fault::lie("layer 1", "x"))),
    ("config unknown", |e| each_platform(e, |p| p.config = Fact::Unknown("x".into()))),
    ("config absent", |e| each_platform(e, |p| p.config = Fact::Absent)),
    ("layers unknown", |e| each_platform(e, |p| p.layers = Fact::Unknown("x".into()))),
    ("layers absent", |e| each_platform(e, |p| p.layers = Fact::Absent)),
    ("inventory unknown", |e| each_platform(e, |p| p.inventory = Fact::Unknown("x".into()))),
    ("inventory absent", |e| each_platform(e, |p| p.inventory = Fact::Absent)),
    ("findings unknown", |e| each_platform(e, |p| p.findings = Fact::Unknown("x".into()))),
    ("findings absent", |e| each_platform(e, |p| p.findings = Fact::Absent)),
    ("findings undetermined", |e| {
        each_platform(e, |p| {
            if let Fact::Known(findings) = &mut p.findings {
                findings.findings.clear();
                findings.undetermined.push(undetermined("x"));
            }
        });
    }),
    ("gap", |e| with_inventory(e, |inventory| inventory.gaps.push(gap("usr/y", "npm")))),
    ("packages behind a gap", |e| {
        with_inventory(e, |inventory| {
            inventory.packages.clear();
            inventory.gaps.push(gap("usr/y", "npm"));
        });
    }),
    ("build time", |e| {
        each_platform(e, |p| {
            if let Fact::Known(config) = &mut p.config {
                config.created = None;
            }
        });
    }),
    ("checks unknown", |e| e.checked = Fact::Unknown("x".into())),
    ("checks absent", |e| e.checked = Fact::Absent),
    ("platforms not measured", |e| {
        if let Fact::Known(checked) = &mut e.checked {
            checked.platforms.clear();
        }
    }),
    ("end of the base", |e| {
        if let Fact::Known(checked) = &mut e.checked {
            checked.platforms.iter_mut().filter_map(|p| p.base.as_mut()).for_each(|base| base.eol = None);
        }
    }),
    ("a part that was not looked at", |e| {
        let unseen = vec![Unseen { at: "document".into(), cause: "x".into() }];
        e.checked = Fact::Known(Checked { unseen, ..Checked::default() });
    }),
    ("attestations unknown", |e| e.attested = Fact::Unknown("x".into())),
    ("attestations absent", |e| e.attested = Fact::Absent),
    ("a list that cannot be read", |e| {
        with_attested(e, |attested| {
            attested.attestations.clear();
            attested.unknown.push("x".into());
        });
    }),
    ("an attestation that cannot be read", |e| {
        with_attested(e, |attested| {
            attested.attestations.pop();
            attested.unknown.push("x".into());
        });
    }),
    ("the last attestation of the index, which may speak against the others", |e| {
        with_attested(e, |attested| {
            if attested.platform.is_none() {
                attested.attestations.pop();
                attested.unknown.push("x".into());
            }
        });
    }),
    ("whether there is another attestation", |e| {
        with_attested(e, |attested| attested.unknown.push("x".into()));
    }),
    ("the VEX that keeps findings, and that it is there", |e| {
        without_keeping(e);
        with_attested(e, |attested| attested.unknown.push("x".into()));
    }),
    ("the VEX that keeps findings, of the index", |e| {
        without_keeping(e);
        with_attested(e, |attested| {
            attested.unknown.extend(attested.platform.is_none().then(|| "x".to_owned()));
        });
    }),
    ("the VEX that keeps findings, of the platforms", |e| {
        without_keeping(e);
        with_attested(e, |attested| {
            attested.unknown.extend(attested.platform.is_some().then(|| "x".to_owned()));
        });
    }),
    ("VEX of a version to come", |e| {
        without_keeping(e);
        refuse(e, true, "version");
    }),
    ("VEX that is no statement", |e| {
        without_keeping(e);
        refuse(e, false, "statement");
    }),
    ("VEX of the image that cannot be read", |e| {
        without_keeping(e);
        unread_vex(e, None);
    }),
    ("VEX of the platforms that cannot be read", |e| {
        without_keeping(e);
        unread_vex(e, Some(0));
        unread_vex(e, Some(1));
    }),
    ("VEX that was not compared", |e| {
        without_keeping(e);
        e.vex.exhausted = true;
    }),
    ("the VEX that sets aside", |e| {
        each_finding(e, |f| f.claims.claims.retain(|claim| !claim.status.sets_aside()));
    }),
    ("who signed the VEX", |e| {
        without_keeping(e);
        e.vex.documents.clear();
    }),
    ("what hangs on the index", |e| {
        without_keeping(e);
        if let Fact::Known(attested) = &mut e.attested {
            attested.retain(|attested| attested.platform.is_some());
        }
    }),
    ("what hangs on the platforms", |e| {
        without_keeping(e);
        if let Fact::Known(attested) = &mut e.attested {
            attested.retain(|attested| attested.platform.is_none());
        }
    }),
    ("which manifest is the platform's", |e| each_platform(e, |p| p.digest = None)),
    ("when it was signed", |e| {
        with_attested(e, |attested| attested.attestations.iter_mut().for_each(|one| one.times.clear()));
    }),
    ("kev", |e| each_finding(e, |f| f.kev = None)),
    ("epss", |e| each_finding(e, |f| f.epss = None)),
    ("epss of one of its CVEs", |e| each_finding(e, |f| f.epss_partial = true)),
    ("published", |e| each_finding(e, |f| f.published = None)),
    ("severity", |e| each_finding(e, |f| f.severity = Severity::Unknown)),
    ("fix", |e| each_finding(e, |f| f.state = FixState::Unknown)),
];

/// Runs `check` on generated evidence, and makes sure that the evidence tells something: at least a fifth
/// each is admitted, denied and undecided.
fn for_evidence(cases: u32, check: impl Fn(&Evidence, Decision)) {
    let policy = policy(None);
    let counts = [const { Cell::new(0_u32) }; 3];
    let mut runner = TestRunner::new_with_rng(
        Config { cases, failure_persistence: None, ..Config::default() },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let outcome = runner.run(&some_evidence(), |evidence| {
        let decision = decide(&policy, &evidence);
        let count = &counts[match decision {
            Admit => 0,
            Undecided => 1,
            Deny => 2,
        }];
        count.set(count.get() + 1);
        check(&evidence, decision);
        Ok(())
    });
    outcome.unwrap();
    let counts = counts.map(|count| count.get());
    assert!(counts.iter().all(|count| count * 5 >= cases), "admit, undecided, deny: {counts:?} of {cases}");
}

#[test]
fn knowing_less_never_admits() {
    let policy = policy(None);
    for_evidence(1_000, |evidence, before| {
        for (what, forget) in FORGET {
            let mut less = evidence.clone();
            forget(&mut less);
            let after = decide(&policy, &less);
            assert!(before == Admit || after != Admit, "{before:?} became {after:?} without: {what}");
        }
    });
}

#[test]
fn knowing_less_in_two_ways_never_admits() {
    let policy = policy(None);
    for_evidence(200, |evidence, before| {
        for (one, forget) in FORGET {
            for (other, forget_more) in FORGET {
                let mut less = evidence.clone();
                forget(&mut less);
                forget_more(&mut less);
                let after = decide(&policy, &less);
                assert!(before == Admit || after != Admit, "without {one} and {other}");
            }
        }
    });
}

#[test]
fn forgetting_a_fact_that_a_rule_needs_takes_an_admit_back() {
    let policy = policy(None);
    let mut fine = evidence();
    vary_signed(&mut fine, 99);
    assert_eq!(decide(&policy, &fine), Admit);
    for (what, forget) in FORGET {
        let mut less = fine.clone();
        forget(&mut less);
        let about_findings = [
            "kev",
            "epss",
            "epss of one of its CVEs",
            "published",
            "severity",
            "fix",
            "VEX of the image that cannot be read",
            "VEX of the platforms that cannot be read",
            "VEX that was not compared",
            "the VEX that sets aside",
            "who signed the VEX",
        ];
        let about_findings = about_findings.contains(what);
        assert_eq!(
            decide(&policy, &less) == Admit,
            about_findings,
            "{what}: there are no findings to forget it of"
        );
    }
}

#[test]
fn a_waiver_never_takes_an_admit_back() {
    let waived: Vec<Policy> = (0..4).map(|id| policy(Some(&format!("CVE-{id}")))).collect();
    for_evidence(1_000, |evidence, before| {
        for policy in &waived {
            let after = decide(policy, evidence);
            assert!(after <= before, "{before:?} became {after:?} by a waiver");
        }
    });
}

#[test]
fn removing_a_platform_that_could_not_be_read_never_admits() {
    let policy = policy(None);
    for_evidence(500, |evidence, before| {
        let mut less = evidence.clone();
        if let Fact::Known(platforms) = &mut less.platforms {
            platforms.pop();
        }
        // The gate says what it could not read.
        less.faults.push(Fault::unreadable("manifest", "no blob").on(&"linux/arm64".parse().unwrap()));
        assert!(before == Admit || decide(&policy, &less) != Admit);
    });
}
