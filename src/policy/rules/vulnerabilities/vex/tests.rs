use crate::model::attestation::SignedBy;
use crate::model::evidence::Evidence;
use crate::model::fact::Fact;
use crate::model::finding::{Finding, Suppressed};
use crate::model::severity::Severity;
use crate::model::verdict::Decision;
use crate::model::verdict::Outcome::{self, Hold, Undecided, Violate, Waived};
use crate::model::vex::VexStatus::{self, Affected, NotAffected};
use crate::model::vex::{VEX_REASON, VexClaims, VexDoubt, VexUnread};
use crate::policy::fixture::{
    Case, HEAD, IDENTITIES, ci, claim, finding, nothing_hangs, sec, vex_attestation, vex_document,
};

/// A rule on every finding of high severity, with this `vex`.
fn rule(vex: &str) -> String {
    format!("vulnerabilities: {{deny: [{{severity: high}}], unknownSeverity: undecided{vex}}}")
}

const BY_CI: &str = ", vex: {by: [ci]}";

/// A document's signer, the day of its statement, and what it says.
type Said = (SignedBy, &'static str, VexStatus);

/// The image has one finding, of which these documents say something.
fn stated(said: &[Said]) -> impl FnOnce(&mut Evidence) {
    let said = said.to_vec();
    move |evidence| {
        nothing_hangs(evidence);
        let documents = said.iter().map(|(by, _, _)| vex_document(by.clone()));
        evidence.vex.documents = documents.collect();
        let claims = said.iter().enumerate();
        let claims = claims.map(|(number, (_, day, status))| claim(Some(number), day, *status)).collect();
        let claims = VexClaims { questions: 1, claims, doubts: Vec::new() };
        let one = Finding { severity: Severity::High, claims, ..finding("CVE-2026-1") };
        evidence.platforms_mut()[0].findings_mut().findings.push(one);
    }
}

fn judged(vex: &str, said: &[Said]) -> Case {
    Case::rule(&rule(vex)).with(stated(said))
}

fn clears(by: SignedBy) -> Said {
    (by, "2026-10-01", NotAffected)
}

/// A file sets aside what was found.
fn by_file(evidence: &mut Evidence) {
    let findings = evidence.platforms_mut()[0].findings_mut();
    let found = findings.findings.drain(..);
    let aside = found.map(|finding| Suppressed { finding, reason: VEX_REASON, detail: "x".into() });
    findings.suppressed.extend(aside);
}

#[test]
fn vex_of_a_named_signer_sets_a_finding_aside_and_that_of_others_does_not() {
    for (vex, by, want) in [
        (BY_CI, ci(), Hold),
        (BY_CI, sec(), Violate),
        (", vex: {by: [ci, sec]}", sec(), Hold),
        (", vex: {by: sec}", sec(), Hold),
        // Nobody said whom to believe.
        ("", ci(), Violate),
        (", vex: honour", ci(), Violate),
        (", vex: ignore", ci(), Violate),
    ] {
        assert_eq!(judged(vex, &[clears(by)]).outcome(), want, "{vex}");
    }
    let texts = judged(BY_CI, &[clears(ci())]).texts();
    assert!(texts[0].contains("1 finding set aside by VEX of `ci` (referrer sha256:"), "{texts:?}");
    let texts = judged(BY_CI, &[clears(sec())]).texts();
    assert!(texts.iter().any(|text| text.contains("whom the rule's `vex` does not name")), "{texts:?}");
}

#[test]
fn two_rules_may_name_different_signers() {
    let rules = [rule(BY_CI), rule(", vex: {by: [sec]}"), rule(", vex: {by: [ci, sec]}")];
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let case = |said: &[Said]| Case::rules(&rules).with(stated(said)).outcomes();
    assert_eq!(case(&[clears(ci())]), [Hold, Violate, Hold]);
    assert_eq!(case(&[clears(ci()), clears(sec())]), [Hold, Hold, Hold]);
    // The later word of one does not count where another is asked.
    assert_eq!(case(&[clears(ci()), (sec(), "2026-10-02", Affected)]), [Hold, Violate, Violate]);
    assert_eq!(
        case(&[(ci(), "2026-10-01", Affected), clears(sec())]),
        [Violate, Hold, Violate],
        "of one time"
    );
}

#[test]
fn a_file_clears_nothing_that_a_signer_must_and_keeps_what_it_keeps() {
    let case = judged(BY_CI, &[]).with(by_file);
    assert_eq!(case.outcome(), Violate);
    let texts = case.texts();
    assert!(texts.iter().any(|text| text.contains("believes what is signed alone")), "{texts:?}");
    assert_eq!(judged("", &[]).with(by_file).outcome(), Hold);
    assert_eq!(judged(BY_CI, &[clears(ci())]).with(by_file).outcome(), Hold);
    for (day, want) in [("2026-09-01", Hold), ("2026-10-01", Violate), ("2026-11-01", Violate)] {
        let case = judged(BY_CI, &[clears(ci())]).with(|evidence| {
            let kept = claim(None, day, Affected);
            evidence.platforms_mut()[0].findings_mut().findings[0].claims.claims.push(kept);
        });
        assert_eq!(case.outcome(), want, "{day}");
    }
}

/// What makes less of what hangs on the image known.
fn hidden(change: impl Fn(&mut Evidence) + 'static) -> Box<dyn Fn(&mut Evidence)> {
    Box::new(change)
}

fn unread(by: SignedBy) -> VexUnread {
    VexUnread { document: "x".into(), attested: vex_attestation(by), cause: "no author".into() }
}

#[test]
fn what_could_not_be_seen_leaves_it_undecided_whatever_was_seen() {
    let listing = |number: usize| {
        hidden(move |e: &mut Evidence| {
            e.attested.known_mut().unwrap()[number].unknown.push("the registry answers 429".into());
        })
    };
    let all = [
        listing(0),
        listing(1),
        hidden(|e| e.attested = Fact::Absent),
        hidden(|e| e.attested = Fact::Unknown("x".into())),
        hidden(|e| e.vex.unread.push(unread(ci()))),
        hidden(|e| e.vex.exhausted = true),
        hidden(|e| e.platforms_mut()[0].digest = None),
    ];
    let kept = [clears(ci()), (ci(), "2026-10-02", Affected)];
    for (number, hide) in all.iter().enumerate() {
        // Found, cleared, and kept: neither is known any more.
        for said in [&[][..], &[clears(ci())], &kept] {
            let case = judged(BY_CI, said).with(hide);
            assert_eq!(case.outcome(), Undecided, "{number} {said:?}");
            assert_eq!(case.verdict().decision, Decision::Undecided);
        }
        // Without a finding there is nothing that it could change.
        let none = judged(BY_CI, &[]).with(|e| e.platforms_mut()[0].findings_mut().findings.clear());
        assert_eq!(none.with(hide).outcome(), Hold, "{number}");
        // A rule that asks nobody does not depend on it.
        assert_eq!(judged("", &[clears(ci())]).with(hide).outcome(), Violate);
    }
    let texts = judged(BY_CI, &[clears(ci())]).with(listing(0)).texts();
    assert!(texts[0].contains("a later statement may keep") && texts[0].contains("429"), "{texts:?}");
    let texts = judged(BY_CI, &[]).with(|e| e.vex.unread.push(unread(ci()))).texts();
    assert!(texts[0].contains("VEX may set aside") && texts[0].contains("(x): no author"), "{texts:?}");
    // What hangs on the other platform is not looked at, nor what somebody else signed.
    for fine in [listing(2), hidden(|e| e.vex.unread.push(unread(sec())))] {
        assert_eq!(judged(BY_CI, &[clears(ci())]).with(fine).outcome(), Hold);
    }
}

#[test]
fn a_statement_that_may_be_about_the_finding_leaves_the_rules_undecided_that_believe_its_signer() {
    let doubted = |by: SignedBy, day: &'static str, status: VexStatus| {
        move |evidence: &mut Evidence| {
            evidence.vex.documents.push(vex_document(by));
            let claims = &mut evidence.platforms_mut()[0].findings_mut().findings[0].claims;
            claims.doubts.push(VexDoubt { claim: claim(Some(1), day, status), cause: "no digest".into() });
        }
    };
    for (vex, by, day, want) in [
        (BY_CI, ci(), "2026-10-02", Undecided),
        (BY_CI, ci(), "2026-10-01", Undecided),
        (BY_CI, ci(), "2026-09-30", Hold),
        (BY_CI, sec(), "2026-10-02", Hold),
        (", vex: {by: [ci, sec]}", sec(), "2026-10-02", Undecided),
        ("", ci(), "2026-10-02", Violate),
    ] {
        let case = judged(vex, &[clears(ci())]).with(doubted(by, day, Affected));
        assert_eq!(case.outcome(), want, "{vex} {day}");
    }
    let texts = judged(BY_CI, &[clears(ci())]).with(doubted(ci(), "2026-10-02", Affected)).texts();
    assert!(texts[0].contains("a later statement may keep") && texts[0].contains("(no digest)"), "{texts:?}");
    // Nothing is cleared by what is in doubt, and what is kept is kept.
    for said in [&[][..], &[(ci(), "2026-10-01", Affected)]] {
        assert_eq!(judged(BY_CI, said).with(doubted(ci(), "2026-10-02", Affected)).outcome(), Violate);
    }
}

#[test]
fn a_malicious_package_denies_whatever_hangs_on_the_image() {
    let rule = "vulnerabilities: {deny: [{malicious: true}], vex: {by: [ci]}}";
    let case = Case::rule(rule).with(stated(&[clears(ci())])).with(|evidence| {
        evidence.platforms_mut()[0].findings_mut().findings[0].malicious = true;
    });
    assert_eq!(case.clone().outcome(), Violate);
    assert_eq!(case.with(|e| e.attested = Fact::Absent).outcome(), Violate);
}

#[test]
fn a_waiver_accepts_what_is_doubted_and_an_unknown_severity_stays_one() {
    let allow = ", vex: {by: [ci]}, allow: [{id: CVE-2026-1, until: 2026-12-31, reason: r, owner: o}]";
    let absent = |e: &mut Evidence| e.attested = Fact::Absent;
    assert_eq!(judged(allow, &[]).with(absent).outcome(), Waived);
    let unknown = |e: &mut Evidence| {
        e.platforms_mut()[0].findings_mut().findings[0].severity = Severity::Unknown;
    };
    for (said, seen, doubted) in [(&[][..], Undecided, Undecided), (&[clears(ci())], Hold, Undecided)] {
        let case = judged(BY_CI, said).with(unknown);
        assert_eq!(case.clone().outcome(), seen);
        assert_eq!(case.with(absent).outcome(), doubted);
    }
}

#[test]
fn a_policy_that_names_signers_of_vex_asks_what_hangs_on_the_image() {
    let policy = |text: &str| crate::policy::Policy::parse(text.as_bytes()).unwrap();
    let one = |vex: &str| policy(&format!("{HEAD}rules:\n- id: r0\n  {}\n{IDENTITIES}", rule(vex)));
    let selection = crate::policy::Selection::default();
    let signed = crate::policy::fixture::attested(None, [(ci(), crate::policy::fixture::signature())]);
    let by_sec = crate::policy::fixture::attested(None, [(sec(), crate::policy::fixture::signature())]);
    for (vex, want) in [(BY_CI, true), ("", false), (", vex: ignore", false)] {
        let policy = one(vex);
        let selected = policy.select(&selection).unwrap();
        assert_eq!((selected.needs_attestations(), selected.needs_vex()), (want, want), "{vex}");
        let may = |one: &crate::model::attestation::Attested| {
            (selected.may_sign(&one.attestations[0]), selected.may_state_vex(&one.attestations[0]))
        };
        assert_eq!((may(&signed), may(&by_sec)), ((want, want), (false, false)));
    }
    // Whoever may sign is not whoever may state VEX.
    let both = policy(&format!(
        "{HEAD}rules:\n- id: r0\n  {}\n- id: r1\n  signature: {{by: [sec]}}\n{IDENTITIES}",
        rule(BY_CI)
    ));
    let selected = both.select(&selection).unwrap();
    assert!(selected.may_sign(&by_sec.attestations[0]) && !selected.may_state_vex(&by_sec.attestations[0]));
    // In whatever scope.
    let scoped = policy(&format!(
        "{HEAD}rules:\n- id: r0\n  {}\nscopes:\n- name: p\n  set: {{r0: {{vex: {{by: [ci]}}}}}}\n{IDENTITIES}",
        rule("")
    ));
    assert!(scoped.select(&selection).unwrap().needs_vex());
}

#[test]
fn a_vex_that_is_none_is_an_error_at_its_place() {
    for (vex, message) in [
        ("maybe", "expected one of: honour, ignore; found `maybe`"),
        ("[ci]", "expected one of: honour, ignore, found a list"),
        ("{}", "`vex` has no `by`"),
        ("{by: []}", "an empty list"),
        ("{by: [cii]}", "the policy's `identities` have no `cii`"),
        ("{by: [ci, ci]}", "the same identity"),
        ("{by: [ci], require: all}", "unknown field `require`"),
        ("{by: [ci], perPlatform: true}", "unknown field `perPlatform`"),
        ("{from: [ci], by: [ci]}", "unknown field `from`"),
    ] {
        let error = Case::error(&rule(&format!(", vex: {vex}")));
        assert!(error.message.contains(message), "{vex}: {error}");
        assert!(error.line > 1, "{error:?}");
    }
    let help = Case::error(&rule(", vex: maybe")).help.unwrap();
    assert!(help.contains("{by: [ci]}"), "{help}");
    let text = format!(
        "{HEAD}rules:\n- id: r0\n  vulnerabilities:\n    deny: [{{malicious: true}}]\n    vex: {{by: [cii]}}\n{IDENTITIES}"
    );
    let errors = crate::policy::Policy::parse(text.as_bytes()).unwrap_err();
    assert_eq!((errors.len(), errors[0].line), (1, HEAD.lines().count() + 5), "{errors:?}");
}

#[test]
fn what_is_set_aside_needs_no_waiver() {
    let allow = ", vex: {by: [ci]}, allow: [{id: CVE-2026-1, until: 2026-12-31, reason: r, owner: o}]";
    let verdict = judged(allow, &[clears(ci())]).verdict();
    assert_eq!((verdict.waivers.used.len(), verdict.waivers.unused.len()), (0, 1));
    let outcome: Outcome = judged(allow, &[clears(sec())]).outcome();
    assert_eq!(outcome, Waived);
}
