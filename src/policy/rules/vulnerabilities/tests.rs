use super::*;
use crate::model::digest::Digest;
use crate::model::evidence::SegmentInfo;
use crate::model::finding::{FixState, Suppressed};
use crate::model::severity::Severity;
use crate::model::verdict::Outcome::{self, Hold, Undecided, Violate, Waived};
use crate::policy::fixture::{Case, NOW, finding, gap, on_first, undetermined};

/// A case whose first platform has one finding.
fn found(rule: &str, change: impl Fn(&mut Finding) + 'static) -> Case {
    Case::rule(&format!("vulnerabilities: {rule}")).with(on_first(move |p| {
        let mut finding = finding("CVE-2026-1");
        change(&mut finding);
        p.0.findings_mut().findings.push(finding);
    }))
}

fn judge(rule: &str, change: impl Fn(&mut Finding) + 'static) -> Outcome {
    found(rule, change).outcome()
}

const HIGH: &str = "{deny: [{severity: high}], unknownSeverity: undecided}";

#[test]
fn a_severity_means_that_or_worse() {
    for (severity, want) in [
        (Severity::Critical, Violate),
        (Severity::High, Violate),
        (Severity::Medium, Hold),
        (Severity::Low, Hold),
        (Severity::None, Hold),
    ] {
        assert_eq!(judge(HIGH, move |f| f.severity = severity), want, "{severity:?}");
    }
}

#[test]
fn an_unknown_severity_means_what_the_policy_says() {
    for (word, want) in [("deny", Violate), ("undecided", Undecided), ("ignore", Hold)] {
        let rule = format!("{{deny: [{{severity: critical}}], unknownSeverity: {word}}}");
        assert_eq!(judge(&rule, |f| f.severity = Severity::Unknown), want, "{word}");
    }
}

#[test]
fn findings_that_may_violate_are_listed_apart_from_those_that_do() {
    let listed = |word: &str| {
        let rule = format!("{{deny: [{{severity: critical}}], unknownSeverity: {word}}}");
        let mut rules = found(&rule, |f| f.severity = Severity::Unknown).verdict().rules;
        let rule = rules.pop().unwrap();
        let ids = |findings: Vec<Finding>| findings.into_iter().map(|f| f.id).collect::<Vec<_>>();
        (ids(rule.findings), ids(rule.possible))
    };
    let (one, none) = (vec!["CVE-2026-1".to_owned()], Vec::new());
    assert_eq!(listed("undecided"), (none.clone(), one.clone()));
    assert_eq!(listed("deny"), (one, none.clone()));
    assert_eq!(listed("ignore"), (none.clone(), none));
}

#[test]
fn a_rule_that_names_severities_must_say_what_an_unknown_one_means() {
    let error = Case::error("vulnerabilities: {deny: [{severity: high}]}");
    assert!(error.message.contains("must say `unknownSeverity`"), "{error}");
    assert_eq!(error.help.as_deref(), Some("one of: deny, undecided, ignore"));
    assert!(Case::try_rule("vulnerabilities: {deny: [{malicious: true}]}").is_ok());
}

#[test]
fn a_fix_counts_where_it_is_asked_for() {
    for (state, fixed, unfixed) in [
        (FixState::Fixed, Violate, Hold),
        (FixState::NotFixed, Hold, Violate),
        (FixState::WontFix, Hold, Violate),
        (FixState::Unknown, Undecided, Undecided),
    ] {
        assert_eq!(judge("{deny: [{fixed: true}]}", move |f| f.state = state), fixed, "{state:?}");
        assert_eq!(judge("{deny: [{fixed: false}]}", move |f| f.state = state), unfixed, "{state:?}");
    }
}

#[test]
fn grace_counts_from_the_day_of_publication() {
    let published = |text: Option<&'static str>| {
        judge("{deny: [{malicious: false, grace: 3d}]}", move |f| {
            f.published = text.map(|text| text.parse().unwrap());
        })
    };
    assert_eq!(published(Some("2026-11-21T12:00:00Z")), Violate);
    assert_eq!(published(Some("2026-11-21T12:00:01Z")), Hold);
    assert_eq!(published(None), Violate, "without a date there is no grace");
    assert_eq!(published(Some("2099-01-01T00:00:00Z")), Violate, "a date in the future gives none either");
}

#[test]
fn findings_within_their_grace_are_shown() {
    let case = found("{deny: [{malicious: false, grace: 90d}]}", |_| {});
    assert_eq!(
        case.texts(),
        ["1 finding still within the days of grace: CVE-2026-1 in openssl 3.0.11-1 (fixed in 3.0.12-1)"]
    );
}

#[test]
fn exploit_data_that_is_missing_leaves_the_rule_undecided() {
    assert_eq!(judge("{deny: [{kev: true}]}", |f| f.kev = Some(true)), Violate);
    assert_eq!(judge("{deny: [{kev: true}]}", |f| f.kev = Some(false)), Hold);
    assert_eq!(judge("{deny: [{kev: true}]}", |_| {}), Undecided);
    let epss = |score: Option<&'static str>| {
        judge("{deny: [{epss: '>=0.5'}]}", move |f| f.epss = score.map(str::to_owned))
    };
    assert_eq!(epss(Some("0.97565")), Violate);
    assert_eq!(epss(Some("0.5")), Violate);
    assert_eq!(epss(Some("0.00042")), Hold);
    for unknown in [None, Some(""), Some("NaN"), Some("-1"), Some("high")] {
        assert_eq!(epss(unknown), Undecided, "{unknown:?}");
    }
    assert_eq!(judge("{deny: [{epss: '>0.5'}]}", |f| f.epss = Some("0.5".into())), Hold);
}

#[test]
fn a_score_that_first_does_not_have_means_what_the_policy_says() {
    let data = || ExploitData { digest: Digest::sha256(b"e"), generated: NOW.parse().unwrap(), entries: 1 };
    let judge = |word: &str, score: Option<&str>, partial: bool, at_hand: bool| {
        let (score, word) = (score.map(str::to_owned), word.to_owned());
        let case = found(&format!("{{deny: [{{epss: '>=0.5'}}], unknownEpss: {word}}}"), move |f| {
            f.epss.clone_from(&score);
            f.epss_partial = partial;
        });
        let case = case.with(|e| {
            if at_hand {
                e.enrichment.epss = Fact::Known(data());
            }
        });
        case.outcome()
    };
    for (word, want) in [("deny", Violate), ("undecided", Undecided), ("ignore", Hold)] {
        assert_eq!(judge(word, None, false, true), want, "{word}");
        assert_eq!(judge(word, Some("0.1"), true, true), want, "{word}");
        assert_eq!(judge(word, Some("0.9"), true, true), Violate, "{word}");
        assert_eq!(judge(word, Some("0.1"), false, true), Hold, "{word}");
    }
    assert_eq!(judge("ignore", None, false, false), Undecided, "without the scores nothing is known");
}

#[test]
fn data_on_exploits_must_be_recent_where_the_policy_says_so() {
    let outcome = |data: Fact<&str>| {
        let case =
            Case::rule("vulnerabilities: {database: {maxAge: 9d, kevMaxAge: 7d}, deny: [{kev: true}]}");
        let data = match data {
            Fact::Known(time) => Fact::Known(ExploitData {
                digest: Digest::sha256(b"k"),
                generated: time.parse().unwrap(),
                entries: 1,
            }),
            Fact::Absent => Fact::Absent,
            Fact::Unknown(cause) => Fact::Unknown(cause),
        };
        case.with(|e| e.enrichment.kev = data).outcome()
    };
    assert_eq!(outcome(Fact::Known("2026-11-20T00:00:00Z")), Hold);
    assert_eq!(outcome(Fact::Known("2026-11-17T00:00:00Z")), Undecided);
    assert_eq!(outcome(Fact::Known("2099-01-01T00:00:00Z")), Undecided);
    assert_eq!(outcome(Fact::Absent), Undecided);
    assert_eq!(outcome(Fact::Unknown("x".into())), Undecided);
}

/// A case of one finding that was set aside for a reason.
fn set_aside(rule: &str, reason: &'static str) -> Case {
    Case::rule(&format!("vulnerabilities: {rule}")).with(on_first(move |p| {
        let finding = finding("CVE-2026-1");
        p.0.findings_mut().suppressed.push(Suppressed { finding, reason, detail: String::new() });
    }))
}

#[test]
fn what_vex_sets_aside_does_not_count_unless_the_policy_ignores_vex() {
    for (vex, want) in [("", Hold), (", vex: honour", Hold), (", vex: ignore", Violate)] {
        let rule = format!("{{deny: [{{fixed: true}}]{vex}}}");
        assert_eq!(set_aside(&rule, "vex").outcome(), want, "{vex}");
        assert_eq!(set_aside(&rule, "owned-by").outcome(), Hold, "other reasons are not VEX's");
    }
    let case = set_aside("{deny: [{fixed: true}]}", "vex");
    assert_eq!(
        case.texts(),
        ["1 finding set aside by VEX: CVE-2026-1 in openssl 3.0.11-1 (fixed in 3.0.12-1)"]
    );
    let case = set_aside("{deny: [{fixed: false}]}", "vex");
    assert_eq!(case.texts(), Vec::<String>::new(), "it would not have counted");
    let waived = format!("{{deny: [{{fixed: true}}], allow: [{{id: CVE-2026-1, {TERMS}}}]}}");
    assert_eq!(set_aside(&waived, "vex").verdict().waivers.unused.len(), 1, "the waiver is not needed");
}

#[test]
fn a_malicious_package_reaches_every_severity_and_stands_first() {
    let rule = "{deny: [{severity: critical}], unknownSeverity: ignore}";
    let case = found(rule, |_| {}).with(on_first(|p| {
        let severity = Severity::Unknown;
        p.0.findings_mut().findings.push(Finding { malicious: true, severity, ..finding("MAL-2026-1") });
    }));
    assert_eq!(case.outcome(), Violate);
    let rules = case.verdict().rules;
    let ids: Vec<&str> = rules.iter().flat_map(|rule| &rule.findings).map(|f| f.id.as_str()).collect();
    assert_eq!(ids, ["MAL-2026-1", "CVE-2026-1"]);
    assert!(case.texts()[0].contains("MAL-2026-1 in openssl 3.0.11-1 (malicious)"), "{:?}", case.texts());
}

#[test]
fn a_finding_that_another_condition_excludes_needs_no_exploit_data() {
    let rule = "{deny: [{kev: true, severity: critical}], unknownSeverity: deny}";
    assert_eq!(judge(rule, |f| f.severity = Severity::Low), Hold);
    assert_eq!(judge(rule, |_| {}), Undecided);
}

#[test]
fn a_malicious_package_is_found() {
    assert_eq!(judge("{deny: [{malicious: true}]}", |f| f.malicious = true), Violate);
    assert_eq!(judge("{deny: [{malicious: true}]}", |_| {}), Hold);
}

#[test]
fn a_violation_wins_over_what_is_undecided() {
    let case = found("{deny: [{kev: true}, {fixed: true}]}", |_| {});
    assert_eq!(case.outcome(), Violate);
    assert_eq!(
        case.texts(),
        ["1 finding of `fixed: true`: CVE-2026-1 in openssl 3.0.11-1 (fixed in 3.0.12-1)"]
    );
    assert_eq!(case.verdict().rules.iter().map(|rule| rule.findings.len()).sum::<usize>(), 1);
}

#[test]
fn without_advisories_it_is_undecided() {
    let rule = "vulnerabilities: {deny: [{malicious: true}]}";
    for fact in [Fact::Absent, Fact::Unknown("x".to_owned())] {
        let case = Case::rule(rule).with(on_first(move |p| p.0.findings = fact.clone()));
        assert_eq!(case.outcome(), Undecided);
    }
    assert_eq!(Case::rule(rule).with(|e| e.snapshot = Fact::Absent).outcome(), Undecided);
    assert_eq!(Case::rule(rule).with(|e| e.snapshot = Fact::Unknown("x".into())).outcome(), Undecided);
    assert_eq!(Case::rule(rule).outcome(), Hold);
}

#[test]
fn what_could_not_be_compared_or_read_is_undecided() {
    let rule = "vulnerabilities: {deny: [{malicious: true}]}";
    let case = Case::rule(rule).with(on_first(|p| {
        p.0.findings_mut().undetermined.push(undetermined("no advisories for `Debian:99`"));
    }));
    assert_eq!(case.outcome(), Undecided);
    assert_eq!(
        case.texts(),
        ["1 package could not be judged, no advisories for `Debian:99`: openssl 3.0.11-1"]
    );
    assert_eq!(Case::rule(rule).with(on_first(|p| p.1.gaps.push(gap("a", "npm")))).outcome(), Undecided);
    let unknown = on_first(|p| p.0.inventory = Fact::Unknown("x".into()));
    assert_eq!(Case::rule(rule).with(unknown).outcome(), Undecided);
}

#[test]
fn advisories_must_be_recent_where_the_policy_says_so() {
    let generated = |text: Option<&str>| {
        let time = text.map(|text| text.parse().unwrap());
        let case = Case::rule("vulnerabilities: {database: {maxAge: 24h}, deny: [{malicious: true}]}");
        case.with(|e| {
            if let Fact::Known(snapshot) = &mut e.snapshot {
                snapshot.generated = time;
            }
        })
        .outcome()
    };
    assert_eq!(generated(Some("2026-11-23T12:00:00Z")), Hold);
    assert_eq!(generated(Some("2026-11-23T11:59:59Z")), Undecided);
    assert_eq!(generated(None), Undecided);
    assert_eq!(generated(Some("2099-01-01T00:00:00Z")), Undecided, "fresh forever");
}

#[test]
fn an_advisory_that_could_not_be_read_may_be_the_one_that_applies() {
    let unreadable = |number, rule: &str| {
        let segment =
            SegmentInfo { id: Digest::sha256(b"s"), records: 9, generated: None, unreadable: number };
        Case::rule(&format!("vulnerabilities: {rule}")).with(|e| {
            if let Fact::Known(snapshot) = &mut e.snapshot {
                snapshot.ecosystems.insert("npm".into(), segment);
            }
        })
    };
    let case = unreadable(2, "{deny: [{malicious: true}]}");
    assert_eq!(
        case.texts(),
        ["2 advisories of npm could not be read when the snapshot was made, and may be about this image: \
          import npm again"]
    );
    assert_eq!(case.outcome(), Undecided);
    assert_eq!(unreadable(0, "{deny: [{malicious: true}]}").outcome(), Hold);
    assert_eq!(unreadable(2, "{database: {maxAge: 24h}}").outcome(), Hold, "it asks for the age only");
}

const TERMS: &str = "until: 2026-12-31, reason: not reachable, owner: sec";

#[test]
fn a_waiver_covers_a_finding_by_any_id_of_its_group() {
    for (waiver, want) in [
        ("id: CVE-2026-1", Waived),
        ("id: DSA-CVE-2026-1", Waived),
        ("id: cve-2026-1", Waived),
        ("id: CVE-2026-1, package: 'pkg:deb/debian/openssl'", Waived),
        ("id: CVE-2026-1, package: 'pkg:deb/debian/openssl@3.0.11-1'", Waived),
        ("id: CVE-2026-1, package: 'pkg:deb/debian/openssl@9'", Violate),
        ("id: CVE-2026-1, package: 'pkg:deb/ubuntu/openssl'", Violate),
        ("id: CVE-2026-10", Violate),
    ] {
        let rule = format!("{{deny: [{{fixed: true}}], allow: [{{{waiver}, {TERMS}}}]}}");
        let case = found(&rule, |_| {});
        assert_eq!(case.outcome(), want, "{waiver}");
        let report = case.verdict().waivers;
        assert_eq!((report.used.len(), report.unused.len()), if want == Waived { (1, 0) } else { (0, 1) });
    }
}

#[test]
fn a_waiver_covers_what_is_undecided_too() {
    let rule = format!("{{deny: [{{kev: true}}], allow: [{{id: CVE-2026-1, {TERMS}}}]}}");
    assert_eq!(judge(&rule, |_| {}), Waived);
}

#[test]
fn an_expired_waiver_has_no_effect_and_is_reported() {
    let rule = format!("{{deny: [{{fixed: true}}], allow: [{{id: CVE-2026-1, {TERMS}}}]}}");
    let case = found(&rule, |_| {});
    assert_eq!(case.clone().at("2026-12-31T23:59:59Z").outcome(), Waived);
    let late = case.at("2027-01-01T00:00:00Z");
    assert_eq!(late.outcome(), Violate);
    let expired = late.verdict().waivers.expired;
    assert_eq!(expired.len(), 1);
    assert_eq!((expired[0].scope.as_str(), expired[0].until.as_str()), ("CVE-2026-1", "2026-12-31"));
    assert_eq!((expired[0].reason.as_str(), expired[0].owner.as_str()), ("not reachable", "sec"));
}

#[test]
fn a_waiver_for_one_finding_leaves_the_others() {
    let rule = format!("{{deny: [{{fixed: true}}], allow: [{{id: CVE-2026-1, {TERMS}}}]}}");
    let case = found(&rule, |_| {}).with(on_first(|p| {
        p.0.findings_mut().findings.push(finding("CVE-2026-2"));
    }));
    assert_eq!(case.outcome(), Violate);
    assert!(case.texts()[0].contains("CVE-2026-2") && !case.texts()[0].contains("CVE-2026-1"));
}

#[test]
fn a_waiver_is_not_called_unused_where_the_findings_are_unknown() {
    let rule = format!("vulnerabilities: {{deny: [{{fixed: true}}], allow: [{{id: CVE-2026-1, {TERMS}}}]}}");
    let case = Case::rule(&rule).with(on_first(|p| p.0.findings = Fact::Unknown("x".into())));
    assert_eq!(case.verdict().waivers.unused.len(), 0);
    assert_eq!(Case::rule(&rule).verdict().waivers.unused.len(), 1);
}

#[test]
fn a_waiver_says_until_when_why_and_who() {
    for (waiver, message) in [
        ("id: CVE-1, reason: x, owner: y", "the waiver has no `until`"),
        ("id: CVE-1, until: 2026-12-31, owner: y", "the waiver has no `reason`"),
        ("id: CVE-1, until: 2026-12-31, reason: x", "the waiver has no `owner`"),
        ("id: CVE-1, until: 2026-12-31, reason: '', owner: y", "found an empty text"),
        ("until: 2026-12-31, reason: x, owner: y", "the waiver has no `id`"),
        ("id: 'CVE-*', until: 2026-12-31, reason: x, owner: y", "without wildcards"),
        ("id: CVE-1, until: soon, reason: x, owner: y", "found `soon`"),
        ("id: CVE-1, package: openssl, until: 2026-12-31, reason: x, owner: y", "`pkg:`"),
    ] {
        let rule = format!("vulnerabilities: {{deny: [{{fixed: true}}], allow: [{{{waiver}}}]}}");
        let error = Case::error(&rule);
        assert!(error.message.contains(message), "{waiver}: {error}");
    }
}

#[test]
fn settings_are_checked() {
    for (settings, message) in [
        ("{}", "has no `deny`"),
        ("{deny: []}", "an empty list"),
        ("{deny: [{}]}", "is empty: it checks nothing"),
        ("{deny: [{severty: high}]}", "unknown field `severty`"),
        ("{deny: [{severity: unknown}], unknownSeverity: deny}", "no severity to deny"),
        ("{deny: [{severity: severe}], unknownSeverity: deny}", "found `severe`"),
        ("{deny: [{fixed: yes}]}", "expected `true` or `false`, found `yes`"),
        ("{deny: [{fixed: 'true'}]}", "expected `true` or `false`"),
        ("{deny: [{epss: 0.5}]}", "expected a bound"),
        ("{deny: [{epss: '>=50'}]}", "expected a bound"),
        ("{deny: [{epss: '>=NaN'}]}", "expected a bound"),
        ("{deny: [{grace: 3}]}", "expected a duration"),
        ("{deny: [{malicious: true}], vex: maybe}", "expected one of: honour, ignore; found `maybe`"),
        ("{deny: [{malicious: true}], database: {}}", "has no `maxAge`"),
    ] {
        let error = Case::error(&format!("vulnerabilities: {settings}"));
        assert!(error.message.contains(message), "{settings}: {error}");
    }
}

#[test]
fn ten_thousand_findings_make_one_message() {
    let rule = "vulnerabilities: {deny: [{fixed: true}]}";
    let case = Case::rule(rule).with(on_first(|p| {
        let many = (0..10_000).map(|n| finding(&format!("CVE-2026-{n}")));
        p.0.findings_mut().findings.extend(many);
    }));
    assert_eq!(case.texts().len(), 1);
    assert!(case.texts()[0].contains("and 9995 more"), "{:?}", case.texts());
}

#[test]
fn a_waiver_for_one_cve_does_not_accept_another_that_aliases_joined_to_it() {
    let waiver = |id: &str| format!("{{id: {id}, until: 2026-12-31, reason: r, owner: o}}");
    let rule =
        |waivers: &[String]| format!("{{deny: [{{malicious: false}}], allow: [{}]}}", waivers.join(", "));
    let joined = |rule: &str| judge(rule, |f| f.aliases = vec!["CVE-2026-2".into(), "GHSA-1".into()]);
    assert_eq!(joined(&rule(&[waiver("CVE-2026-1")])), Violate);
    assert_eq!(joined(&rule(&[waiver("GHSA-1")])), Violate);
    assert_eq!(joined(&rule(&[waiver("CVE-2026-1"), waiver("CVE-2026-2")])), Waived);
}

/// A case whose first platform has a package of which nothing is known.
fn unjudged(rule: &str) -> Case {
    Case::rule(&format!("vulnerabilities: {rule}"))
        .with(on_first(|p| p.0.findings_mut().undetermined.push(undetermined("no advisories"))))
}

#[test]
fn a_waiver_by_name_accepts_a_package_that_nothing_can_be_said_of() {
    let purl = undetermined("").package.purl;
    let rule = |package: &str, until: &str| {
        format!(
            "{{deny: [{{malicious: true}}], undetermined: {{allow: [{{package: '{package}', until: {until}, \
             reason: ours, owner: sec}}]}}}}"
        )
    };
    let named = rule(&purl.to_string(), "2026-12-31");
    assert_eq!(unjudged("{deny: [{malicious: true}]}").outcome(), Undecided);
    assert_eq!(unjudged(&named).outcome(), Waived);
    let used = unjudged(&named).verdict().waivers.used;
    assert_eq!(used[0].covered, [format!("{purl} (linux/amd64)")]);
    assert_eq!(unjudged(&rule("pkg:deb/debian/other", "2026-12-31")).outcome(), Undecided);
    let late = unjudged(&named).at("2027-01-01T00:00:00Z");
    assert_eq!((late.outcome(), late.verdict().waivers.expired.len()), (Undecided, 1));
    // It accepts no finding.
    let affected = unjudged(&named).with(on_first(|p| {
        p.0.findings_mut().findings.push(Finding { malicious: true, ..finding("MAL-1") });
    }));
    assert_eq!(affected.outcome(), Violate);
}
