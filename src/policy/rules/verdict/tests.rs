use serde_json::json;

use super::*;
use crate::model::evidence::Evidence;
use crate::model::verdict::Outcome::{self, Hold, Undecided, Violate};
use crate::policy::fixture::{Case, IMAGE_DIGEST, attested, ci, sec, signature, signed, vsa};

const RULE: &str = "verdict: {by: [sec], verifier: 'https://acme.example/portcullis'}";

fn rule(more: &str) -> Case {
    Case::rule(&format!("verdict: {{by: [sec, ci], verifier: 'https://acme.example/portcullis', {more}}}"))
}

/// A passed verdict, changed.
fn but(change: impl FnOnce(&mut Value)) -> Content {
    let Content::Statement { predicate_type, mut predicate } = vsa("PASSED") else { panic!("no statement") };
    change(&mut predicate);
    Content::Statement { predicate_type, predicate }
}

fn with(key: &str, value: Value) -> Content {
    but(|predicate| predicate[key] = value)
}

fn outcome(case: &Case, content: Content) -> Outcome {
    case.clone().with(signed([(sec(), content)])).outcome()
}

/// Sets when the verdicts were signed, in their order.
fn at<const N: usize>(times: [&'static [&'static str]; N]) -> impl FnOnce(&mut Evidence) {
    move |evidence| {
        let Fact::Known(attested) = &mut evidence.attested else { panic!("not known") };
        for (one, times) in attested[0].attestations.iter_mut().zip(times) {
            one.times = times.iter().map(|time| time.parse().unwrap()).collect();
        }
    }
}

#[test]
fn a_verifier_that_is_named_passed_the_image() {
    let case = Case::rule(RULE);
    assert_eq!(case.outcome(), Violate);
    assert_eq!(outcome(&case, vsa("PASSED")), Hold);
    assert_eq!(outcome(&case, signature()), Violate);
    assert_eq!(case.clone().with(signed([(ci(), vsa("PASSED"))])).outcome(), Violate);
    // Fields that are not known are ignored.
    assert_eq!(outcome(&case, with("https://acme.example/x", json!({"a": [1]}))), Hold);
    let other = but(|_| ());
    let Content::Statement { predicate, .. } = other else { panic!("no statement") };
    let old =
        Content::Statement { predicate_type: "https://slsa.dev/verification_summary/v0.2".into(), predicate };
    assert_eq!(outcome(&case, old), Violate);
}

#[test]
fn a_failed_verdict_is_none() {
    let case = Case::rule(RULE);
    for result in [json!("FAILED"), json!("passed"), json!(""), json!(true), Value::Null, json!(["PASSED"])] {
        assert_eq!(outcome(&case, with("verificationResult", result.clone())), Violate, "{result}");
    }
    assert_eq!(outcome(&case, with("verifiedLevels", json!(["FAILED"]))), Violate);
}

#[test]
fn a_verdict_of_another_verifier_is_none() {
    let case = Case::rule(RULE);
    for verifier in [
        json!({"id": "https://evil.example/portcullis"}),
        json!({"id": "https://acme.example/portcullis/"}),
        json!({"id": "https://ACME.example/portcullis"}),
        json!({"id": ["https://acme.example/portcullis"]}),
        json!({}),
        json!("https://acme.example/portcullis"),
        Value::Null,
    ] {
        assert_eq!(outcome(&case, with("verifier", verifier.clone())), Violate, "{verifier}");
    }
}

#[test]
fn a_verdict_by_another_policy_is_none() {
    let digest = |text: &[u8]| Digest::sha256(text);
    let case = rule(&format!("policy: ['{}', '{}']", digest(b"older"), digest(b"policy")));
    assert_eq!(outcome(&case, vsa("PASSED")), Hold);
    for policy in [
        json!({"uri": "policy.yaml", "digest": {"sha256": digest(b"other").hex()}}),
        json!({"uri": "policy.yaml", "digest": {"sha512": digest(b"policy").hex()}}),
        json!({"uri": "policy.yaml", "digest": digest(b"policy").to_string()}),
        json!({"uri": "policy.yaml"}),
        Value::Null,
    ] {
        assert_eq!(outcome(&case, with("policy", policy.clone())), Violate, "{policy}");
        assert_eq!(outcome(&Case::rule(RULE), with("policy", policy.clone())), Hold, "{policy}");
    }
}

#[test]
fn levels_that_the_verifier_did_not_verify_are_missing() {
    for (levels, want) in [
        ("[SLSA_BUILD_LEVEL_2]", Hold),
        ("[SLSA_BUILD_LEVEL_1, ACME_SCANNED]", Hold),
        ("[SLSA_BUILD_LEVEL_3]", Violate),
        ("[SLSA_SOURCE_LEVEL_1]", Violate),
        ("[ACME_SCANNED, ACME_TESTED]", Violate),
        ("SLSA_BUILD_LEVEL_x", Violate),
    ] {
        let case = rule(&format!("levels: {levels}"));
        assert_eq!(outcome(&case, vsa("PASSED")), want, "{levels}");
        assert_eq!(outcome(&case, with("verifiedLevels", Value::Null)), Violate, "{levels}");
    }
    let unevaluated = with("verifiedLevels", json!(["SLSA_BUILD_LEVEL_UNEVALUATED"]));
    assert_eq!(outcome(&rule("levels: SLSA_BUILD_LEVEL_1"), unevaluated), Violate);
    assert!(
        covers("SLSA_BUILD_LEVEL_3", "SLSA_BUILD_LEVEL_3")
            && !covers("SLSA_BUILD_LEVEL_1", "SLSA_BUILD_LEVEL_2")
    );
}

#[test]
fn a_verdict_for_another_repository_is_none() {
    let case = Case::rule(RULE);
    let platform = Digest::sha256(b"linux/amd64");
    let other = Digest::sha256(b"other");
    for (uri, want) in [
        (format!("ghcr.io/acme/app@{IMAGE_DIGEST}"), Hold),
        ("ghcr.io/acme/app".into(), Hold),
        ("ghcr.io/acme/app:other-tag".into(), Hold),
        (format!("oci://GHCR.io/acme/app:v1@{IMAGE_DIGEST}"), Hold),
        ("pkg:oci/app?repository_url=ghcr.io%2Facme%2Fapp".into(), Hold),
        (format!("pkg:oci/app@{}?repository_url=ghcr.io/acme/app", IMAGE_DIGEST.replace(':', "%3A")), Hold),
        (format!("ghcr.io/acme/app-dev@{IMAGE_DIGEST}"), Violate),
        (format!("ghcr.io/acme/app/dev@{IMAGE_DIGEST}"), Violate),
        (format!("evil.example/acme/app@{IMAGE_DIGEST}"), Violate),
        (format!("ghcr.io.evil.example/acme/app@{IMAGE_DIGEST}"), Violate),
        (format!("ghcr.io/acme/app@{other}"), Violate),
        (format!("ghcr.io/acme/app@{IMAGE_DIGEST}@{IMAGE_DIGEST}"), Violate),
        ("pkg:oci/app-dev?repository_url=ghcr.io/acme/app".into(), Violate),
        ("pkg:oci/app-dev?repository_url=ghcr.io/acme/app-dev".into(), Violate),
        ("pkg:oci/app".into(), Violate),
        ("pkg:npm/app?repository_url=ghcr.io/acme/app".into(), Violate),
        ("git+https://ghcr.io/acme/app".into(), Violate),
        ("".into(), Violate),
    ] {
        assert_eq!(outcome(&case, with("resourceUri", json!(uri))), want, "{uri}");
    }
    assert_eq!(outcome(&case, with("resourceUri", Value::Null)), Violate);
    // One of a platform is about that platform.
    let own = Case::rule(RULE).with(|evidence| {
        let content = with("resourceUri", json!(format!("ghcr.io/acme/app@{platform}")));
        let platforms = evidence.platforms_mut().iter();
        let all = platforms.map(|platform| attested(Some(platform), [(sec(), content.clone())])).collect();
        evidence.attested = Fact::Known(all);
    });
    let messages = own.messages();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(messages[0].platform, Some("linux/arm64".parse().unwrap()));
}

#[test]
fn what_is_judged_must_be_known_to_say_whether_a_verdict_is_about_it() {
    let case = Case::rule(RULE).with(signed([(sec(), vsa("PASSED"))]));
    assert_eq!(case.clone().with(|e| e.reference = Fact::Absent).outcome(), Undecided);
    assert_eq!(case.clone().with(|e| e.reference = Fact::Unknown("x".into())).outcome(), Undecided);
    assert_eq!(case.with(|e| e.image.digest = None).outcome(), Undecided);
}

#[test]
fn a_mirror_has_the_verdicts_of_what_it_mirrors() {
    let mirrored = |case: Case| {
        let reference = "mirror.example/acme/app:v1.2.3".parse().unwrap();
        case.with(|e| e.reference = Fact::Known(reference)).with(signed([(sec(), vsa("PASSED"))])).outcome()
    };
    assert_eq!(mirrored(Case::rule(RULE)), Violate);
    assert_eq!(mirrored(rule("resource: ghcr.io/acme/app")), Hold);
    assert_eq!(mirrored(rule("resource: ghcr.io/acme/app-dev")), Violate);
}

#[test]
fn docker_hub_has_two_names() {
    let hub = Case::rule(RULE).with(|e| e.reference = Fact::Known("acme/app:v1".parse().unwrap()));
    for (uri, want) in [
        ("docker.io/acme/app", Hold),
        ("index.docker.io/acme/app", Hold),
        ("acme/app", Hold),
        ("docker.io/library/app", Violate),
    ] {
        assert_eq!(outcome(&hub, with("resourceUri", json!(uri))), want, "{uri}");
    }
}

#[test]
fn a_replayed_old_verdict_is_none() {
    let case = rule("maxAge: 7d");
    let replayed = |case: &Case, signed_at: &'static [&'static str], verified: Value| {
        case.clone().with(signed([(sec(), with("timeVerified", verified))])).with(at([signed_at])).outcome()
    };
    const OLD: &str = "2026-11-10T12:00:00Z";
    assert_eq!(replayed(&case, &["2026-11-20T12:00:00Z"], Value::Null), Hold);
    assert_eq!(replayed(&case, &[OLD], Value::Null), Violate);
    // Into a log anew: the first time counts, and what it states itself.
    assert_eq!(replayed(&case, &[OLD, "2026-11-24T00:00:00Z"], Value::Null), Violate);
    assert_eq!(replayed(&case, &["2026-11-24T00:00:00Z"], json!(OLD)), Violate);
    // A time ahead, so that it stays fresh.
    for ahead in ["2026-11-10T12:01:01Z", "2026-11-24T12:00:00Z", "2030-01-01T00:00:00Z"] {
        assert_eq!(replayed(&Case::rule(RULE), &[OLD], json!(ahead)), Violate, "{ahead}");
    }
    assert_eq!(replayed(&Case::rule(RULE), &[OLD], json!("2026-11-10T12:01:00Z")), Hold);
    for odd in [json!("yesterday"), json!(7), json!("")] {
        assert_eq!(replayed(&Case::rule(RULE), &[OLD], odd), Violate);
    }
    assert_eq!(replayed(&Case::rule(RULE), &["2026-11-24T12:01:01Z"], Value::Null), Violate, "still to come");
    assert_eq!(replayed(&Case::rule(RULE), &[], json!(OLD)), Undecided, "nobody says when");
}

#[test]
fn a_verdict_of_a_key_is_as_old_as_it_says() {
    // What a key signed can be put into a log again, years later.
    let key = |content: Content| {
        let attestation = Attestation {
            at: crate::model::attestation::Place::Tag { tag: "x".into(), layer: None },
            signed_by: SignedBy::Key(Digest::sha256(b"key")),
            content,
            times: vec!["2026-11-24T12:00:00Z".parse().unwrap()],
            logs: Vec::new(),
            root: None,
            signed_predicate: None,
        };
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        passed_at(&attestation, summary(&attestation).unwrap(), now).ok()
    };
    assert_eq!(key(with("timeVerified", Value::Null)), None);
    assert_eq!(
        key(with("timeVerified", json!("2026-01-01T00:00:00Z"))),
        Some("2026-01-01T00:00:00Z".parse().unwrap())
    );
}

#[test]
fn a_failed_verdict_that_is_newer_wins() {
    let both =
        |by: SignedBy, failed: Content, passed_at: &'static str, failed_at: &'static [&'static str]| {
            let passed = with("timeVerified", json!(passed_at));
            let case = rule("require: any").with(signed([(sec(), passed), (by, failed)]));
            let times: &'static [&'static str] = Vec::leak(vec![passed_at]);
            case.with(at([times, failed_at])).outcome()
        };
    let day = |n: u8| -> &'static str { String::leak(format!("2026-11-{n}T12:00:00Z")) };
    let failed = || vsa("FAILED");
    assert_eq!(both(sec(), failed(), day(20), &["2026-11-19T12:00:00Z"]), Hold, "mended since");
    assert_eq!(both(sec(), failed(), day(20), &["2026-11-21T12:00:00Z"]), Violate);
    assert_eq!(both(sec(), failed(), day(20), &["2026-11-20T12:00:00Z"]), Violate, "at the same time");
    assert_eq!(both(sec(), failed(), day(20), &["2026-11-19T12:00:00Z", "2026-11-21T12:00:00Z"]), Violate);
    assert_eq!(both(sec(), failed(), day(20), &[]), Undecided, "nobody says when");
    // Another who may sign, about another repository, by another policy: the bytes are the same.
    let elsewhere = || {
        let Content::Statement { predicate_type, mut predicate } = failed() else { panic!("no statement") };
        predicate["resourceUri"] = json!("ghcr.io/acme/app-dev");
        predicate["policy"] = Value::Null;
        predicate["verificationResult"] = Value::Null;
        Content::Statement { predicate_type, predicate }
    };
    assert_eq!(both(ci(), elsewhere(), day(20), &["2026-11-21T12:00:00Z"]), Violate);
    // Somebody whom nobody asked, and another verifier, do not count.
    let key = || SignedBy::Key(Digest::sha256(b"stranger"));
    assert_eq!(both(key(), failed(), day(20), &["2026-11-21T12:00:00Z"]), Hold);
    let other = || {
        let Content::Statement { predicate_type, mut predicate } = failed() else { panic!("no statement") };
        predicate["verifier"]["id"] = json!("https://other.example");
        Content::Statement { predicate_type, predicate }
    };
    assert_eq!(both(sec(), other(), day(20), &["2026-11-21T12:00:00Z"]), Hold);
}

#[test]
fn a_failed_verdict_of_the_index_speaks_against_platforms_that_are_passed_by_themselves() {
    let case = |index: bool| {
        rule("perPlatform: true").with(move |evidence| {
            let platforms = evidence.platforms_mut().iter();
            let own = platforms.map(|platform| attested(Some(platform), [(sec(), vsa("PASSED"))]));
            let mut all: Vec<_> = own.collect();
            let of_index = if index { vsa("FAILED") } else { signature() };
            all.push(attested(None, [(sec(), of_index)]));
            evidence.attested = Fact::Known(all);
        })
    };
    assert_eq!(case(false).outcome(), Hold);
    assert_eq!(case(true).outcome(), Violate);
    // One of a platform speaks against that platform alone.
    let one = Case::rule(RULE).with(|evidence| {
        let of_first = attested(evidence.platforms_mut().first(), [(sec(), vsa("FAILED"))]);
        evidence.attested = Fact::Known(vec![attested(None, [(sec(), vsa("PASSED"))]), of_first]);
    });
    assert_eq!(one.messages().len(), 1);
    assert_eq!(one.messages()[0].platform, Some("linux/amd64".parse().unwrap()));
}

#[test]
fn a_failed_verdict_that_is_held_back_leaves_it_undecided() {
    for per_platform in [false, true] {
        let case = rule(&format!("perPlatform: {per_platform}")).with(|evidence| {
            let platforms = evidence.platforms_mut().iter();
            let own = platforms.map(|platform| attested(Some(platform), [(sec(), vsa("PASSED"))]));
            let mut all: Vec<_> = own.collect();
            let mut index = attested(None, []);
            index.unknown.push("the registry answers 429".into());
            all.push(index);
            evidence.attested = Fact::Known(all);
        });
        assert_eq!(case.outcome(), Undecided, "{per_platform}");
    }
}

#[test]
fn settings_that_pin_no_verifier_are_errors() {
    for bad in [
        "{by: [sec]}",
        "{verifier: x}",
        "{by: [sec], verifier: ''}",
        "{by: [sec], verifier: x, policy: abc}",
        "{by: [sec], verifier: x, policy: []}",
        "{by: [sec], verifier: x, levels: []}",
        "{by: [sec], verifier: x, resource: app}",
        "{by: [sec], verifier: x, maxAge: soon}",
    ] {
        assert!(Case::try_rule(&format!("verdict: {bad}")).is_err(), "{bad}");
    }
}

/// Attack: the bundle of the failed verdict spoilt, so that it is refused before anybody asks who signed.
#[test]
fn a_bundle_that_nobody_can_read_leaves_a_verdict_undecided() {
    let refused = |kind: &'static str| {
        move |evidence: &mut Evidence| {
            signed([(sec(), vsa("PASSED")), (sec(), signature())])(evidence);
            let Fact::Known(attested) = &mut evidence.attested else { panic!("not known") };
            attested[0].refused.push(crate::model::attestation::Refused {
                at: crate::model::attestation::Place::Referrer { digest: Digest::sha256(b"spoilt") },
                unjudged: false,
                kind,
                cause: "a key stands twice".into(),
            });
        }
    };
    for kind in ["malformed", "statement", "payload"] {
        assert_eq!(Case::rule(RULE).with(refused(kind)).outcome(), Undecided, "{kind}");
        // Nothing speaks against a signature.
        assert_eq!(Case::rule("signature: {by: [sec]}").with(refused(kind)).outcome(), Hold, "{kind}");
    }
    for kind in ["subject", "signature", "chain"] {
        assert_eq!(Case::rule(RULE).with(refused(kind)).outcome(), Hold, "{kind}");
    }
}

#[test]
fn a_verdict_on_an_index_between_is_about_that_index() {
    let middle = Digest::sha256(b"an index between");
    let of_middle = with("resourceUri", json!(format!("ghcr.io/acme/app@{middle}")));
    let case = |on_middle: bool| {
        let (middle, of_middle) = (middle.clone(), of_middle.clone());
        Case::rule(RULE).with(move |evidence| {
            let below =
                evidence.platforms_mut().iter().filter_map(|platform| platform.digest.clone()).collect();
            let mut one = attested(None, [(sec(), of_middle)]);
            if on_middle {
                (one.subject, one.below) = (middle, Some(below));
            }
            evidence.attested = Fact::Known(vec![one]);
        })
    };
    assert_eq!(case(true).outcome(), Hold);
    assert_eq!(case(false).outcome(), Violate);
}
