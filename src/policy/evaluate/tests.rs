mod unknown;

use crate::model::attestation::SignedBy;
use crate::model::digest::Digest;
use crate::model::evidence::Evidence;
use crate::model::fact::Fact;
use crate::model::fault::Fault;
use crate::model::finding::Finding;
use crate::model::signer::{Claim, Name};
use crate::model::verdict::Decision::{self, Admit, Deny, Undecided};
use crate::model::verdict::{Level, Outcome};
use crate::policy::fixture::{
    Case, HEAD, IMAGE_DIGEST, attested, ci, finding, gap, on_first, provenance, sbom, signature,
    undetermined, vsa,
};
use crate::policy::{BASELINE, PRODUCTION, Policy, Selection, UnknownScope};

fn ids(case: &Case) -> Vec<String> {
    case.verdict().rules.into_iter().map(|rule| rule.id).collect()
}

fn named(reference: &str) -> impl FnOnce(&mut Evidence) {
    let reference = Fact::Known(reference.replace("DIGEST", IMAGE_DIGEST).parse().unwrap());
    move |evidence| evidence.reference = reference
}

fn find(change: impl Fn(&mut Finding)) -> impl FnOnce(&mut Evidence) {
    on_first(move |p| {
        let mut finding = finding("CVE-2026-1");
        change(&mut finding);
        p.0.findings_mut().findings.push(finding);
    })
}

const LENIENT: &str = "size: {layersMax: 99}";

#[test]
fn an_image_that_every_rule_accepts_is_admitted() {
    let verdict = Case::rule(LENIENT).verdict();
    assert_eq!(verdict.decision, Admit);
    assert_eq!(verdict.platforms.len(), 2);
    assert_eq!(verdict.policy.name, "test");
    assert_eq!(verdict.policy.scope, None);
    assert!(verdict.snapshot.is_some());
    let all: Vec<_> = verdict.rules.iter().map(|rule| (rule.id.as_str(), rule.kind, rule.outcome)).collect();
    let hold = Outcome::Hold;
    assert_eq!(all, [("integrity", "integrity", hold), ("coverage", "images", hold), ("r0", "size", hold)]);
}

#[test]
fn a_lie_denies_whatever_the_policy() {
    let lie = |e: &mut Evidence| e.faults.push(Fault::lie("layer 0", "digest mismatch"));
    for rule in [LENIENT, "size: {layersMax: 99}\n  level: info"] {
        let verdict = Case::rule(rule).with(lie).verdict();
        assert_eq!(verdict.decision, Deny);
        assert_eq!(verdict.rules[0].messages[0].text, "layer 0: digest mismatch");
        assert_eq!(verdict.faults.len(), 1);
    }
    let elsewhere = Case::policy(&restricted("ghcr.io/other/**")).with(lie).verdict();
    assert_eq!(elsewhere.decision, Deny, "even where the policy is not meant for the image");
}

#[test]
fn what_could_not_be_read_is_undecided_whatever_the_policy() {
    let unreadable = |e: &mut Evidence| e.faults.push(Fault::unreadable("layer 0", "no blob"));
    assert_eq!(Case::rule(LENIENT).with(unreadable).verdict().decision, Undecided);
    for fact in [Fact::Unknown("x".to_owned()), Fact::Absent, Fact::Known(Vec::new())] {
        let verdict = Case::rule(LENIENT).with(|e| e.platforms = fact).verdict();
        assert_eq!(verdict.decision, Undecided);
    }
    assert_eq!(Case::rule(LENIENT).with(|e| e.image.digest = None).verdict().decision, Undecided);
}

#[test]
fn the_strictest_rule_that_counts_decides() {
    let violated = "size: {layersMax: 0}";
    let doubtful = "labels: {deny: {x: y}}";
    let unknown = on_first(|p| p.0.config = Fact::Unknown("x".into()));
    let case = Case::rules(&[LENIENT, violated, doubtful]).with(unknown);
    assert_eq!(case.verdict().decision, Deny);
    let unknown = on_first(|p| p.0.config = Fact::Unknown("x".into()));
    let case = Case::rules(&[LENIENT, &format!("{violated}\n  level: warn"), doubtful]).with(unknown);
    assert_eq!(case.verdict().decision, Undecided);
    assert_eq!(case.outcomes(), [Outcome::Hold, Outcome::Violate, Outcome::Undecided]);
}

#[test]
fn rules_that_do_not_count_are_still_shown() {
    for level in ["level: warn", "level: info", "effective: 2027-01-01"] {
        let case = Case::rule(&format!("size: {{layersMax: 0}}\n  {level}\n  why: small is fast"));
        let verdict = case.verdict();
        assert_eq!(verdict.decision, Admit, "{level}");
        let rule = verdict.rules.last().unwrap();
        assert_eq!((rule.outcome, rule.why.as_deref()), (Outcome::Violate, Some("small is fast")));
        assert!(rule.level < Level::Deny);
    }
    let late = Case::rule("size: {layersMax: 0}\n  effective: 2027-01-01").at("2027-01-01T00:00:00Z");
    assert_eq!(late.verdict().decision, Deny);
}

fn restricted(images: &str) -> String {
    let head = HEAD.replace("**", images);
    format!("{head}rules:\n- id: r0\n  size: {{layersMax: 0}}\n")
}

#[test]
fn a_policy_that_is_not_meant_for_the_image_is_undecided() {
    let case = Case::policy(&restricted("ghcr.io/other/**"));
    assert_eq!(case.verdict().decision, Undecided);
    assert_eq!(ids(&case), ["integrity", "coverage"], "its rules are not asked");
    let message = &case.verdict().rules[1].messages[0].text;
    assert!(message.contains("`ghcr.io/acme/app`") && message.contains("--as"), "{message}");
    assert_eq!(Case::policy(&restricted("ghcr.io/acme/*")).verdict().decision, Deny);
}

#[test]
fn an_image_without_reference_is_not_covered_by_a_policy_for_some() {
    for fact in [Fact::Absent, Fact::Unknown("x".to_owned())] {
        let case = Case::policy(&restricted("ghcr.io/acme/*")).with(|e| e.reference = fact.clone());
        assert_eq!(case.verdict().decision, Undecided);
        assert!(case.verdict().rules[1].messages[0].text.contains("--as REF"));
        let all = Case::rule(LENIENT).with(|e| e.reference = fact);
        assert_eq!(all.verdict().decision, Admit, "a policy for every image needs none");
    }
}

#[test]
fn the_verdict_names_the_platform_of_every_gap() {
    let case = Case::rule(LENIENT).with(on_first(|p| p.1.gaps.push(gap("a", "npm"))));
    let gaps = case.verdict().gaps;
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0].platform, Some("linux/amd64".parse().unwrap()));
}

const SCOPED: &str = "rules:
- id: r0
  size: {layersMax: 0}
  why: base
scopes:
- name: production
  when: {env: production, namespaces: ['prod-*']}
  tags: [release]
- name: staging
  when: {env: [staging, qa]}
  set: {r0: {layersMax: 5, why: overlaid}}
- name: preview
  when: {tags: [pr], namespaces: ['pr-*']}
  set: {r0: {level: warn}}
";

fn scoped(scope: Option<&str>, env: Option<&str>, reference: &str) -> (Decision, Option<String>) {
    let case = Case::policy(&format!("{HEAD}{SCOPED}")).with(named(reference)).selecting(scope, env);
    let verdict = case.verdict();
    (verdict.decision, verdict.policy.scope)
}

#[test]
fn the_first_scope_whose_conditions_hold_applies() {
    let at = |name: &str| Some(name.to_owned());
    let (release, pr) = ("ghcr.io/acme/app:v1.2.3", "ghcr.io/acme/app:pr-7");
    assert_eq!(scoped(None, None, release), (Deny, None), "the rules without overlay");
    assert_eq!(scoped(None, Some("production"), release), (Deny, at("production")));
    assert_eq!(scoped(None, Some("staging"), release), (Admit, at("staging")));
    assert_eq!(scoped(None, Some("qa"), pr), (Admit, at("staging")));
    assert_eq!(scoped(None, None, pr), (Admit, at("preview")));
    assert_eq!(scoped(Some("preview"), None, release), (Admit, at("preview")), "by its name");
    assert_eq!(scoped(Some("preview"), Some("production"), release), (Admit, at("preview")));
    // An environment is a place, and the preview's place is another: a `pr-7` tag does not lead there.
    assert_eq!(scoped(None, Some("production"), pr).1, at("production"));
    assert_eq!(scoped(None, None, "ghcr.io/acme/app@DIGEST"), (Deny, None), "no tag is no class");
}

#[test]
fn a_scope_lets_in_only_its_classes_of_tags() {
    let case = |reference: &str| {
        let text = format!("{HEAD}{SCOPED}").replace("layersMax: 0", "layersMax: 9");
        Case::policy(&text).with(named(reference)).selecting(None, Some("production")).verdict()
    };
    assert_eq!(case("ghcr.io/acme/app:v1.2.3").decision, Admit);
    let denied = case("ghcr.io/acme/app:pr-7");
    assert_eq!(denied.decision, Deny);
    assert_eq!(denied.rules[2].messages[0].text, "the tag `pr-7` is of none of the classes release");
    assert_eq!(case("ghcr.io/acme/app@DIGEST").decision, Undecided);
}

#[test]
fn an_overlay_replaces_parts_of_a_rule_and_keeps_the_rest() {
    let case = Case::policy(&format!("{HEAD}{SCOPED}"));
    let why = |scope| {
        let verdict = case.clone().selecting(Some(scope), None).verdict();
        let rule = verdict.rules.into_iter().find(|rule| rule.id == "r0").unwrap();
        (rule.why.unwrap(), rule.outcome, rule.level)
    };
    assert_eq!(why("staging"), ("overlaid".into(), Outcome::Hold, Level::Deny));
    assert_eq!(why("preview"), ("base".into(), Outcome::Violate, Level::Warn));
    assert_eq!(why("production"), ("base".into(), Outcome::Violate, Level::Deny));
}

#[test]
fn a_scope_that_depends_on_an_unknown_tag_is_undecided() {
    let text = format!("{HEAD}{SCOPED}").replace("layersMax: 0", "layersMax: 9");
    for fact in [Fact::Absent, Fact::Unknown("x".to_owned())] {
        let case = Case::policy(&text).with(|e| e.reference = fact);
        assert_eq!(case.verdict().decision, Undecided);
        let message = &case.verdict().rules[2].messages[0].text;
        assert!(message.contains("`preview`") && message.contains("--as REF"), "{message}");
        let chosen = case.selecting(None, Some("staging"));
        assert_eq!(chosen.verdict().decision, Admit, "the environment settles it");
    }
}

#[test]
fn a_scope_that_does_not_exist_is_a_usage_error() {
    let policy = Policy::parse(format!("{HEAD}{SCOPED}").as_bytes()).unwrap();
    let select = |scope: Option<&str>, env: Option<&str>| {
        let selection = Selection { scope: scope.map(str::to_owned), env: env.map(str::to_owned) };
        policy.select(&selection).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(
        select(Some("prod"), None).unwrap_err(),
        "the policy has no scope `prod`: it has production, staging, preview"
    );
    assert_eq!(
        select(None, Some("prodution")).unwrap_err(),
        "no scope of the policy is for the environment `prodution`: it has production, staging, qa"
    );
    assert_eq!(select(None, Some("qa")), Ok(()));
    assert_eq!(select(None, None), Ok(()));
    let open = format!("{HEAD}{SCOPED}- name: default\n  set: {{}}\n");
    let open = Policy::parse(open.as_bytes()).unwrap();
    let dev = Selection { scope: None, env: Some("dev".into()) };
    assert!(open.select(&dev).is_ok(), "a scope without conditions takes every environment");
    let none = Policy::parse(BASELINE.as_bytes()).unwrap();
    assert!(none.select(&dev).is_ok(), "a policy without scopes is the same everywhere");
    let unknown = Selection { scope: Some("x".into()), env: None };
    assert!(matches!(none.select(&unknown), Err(UnknownScope::Scope { .. })));
}

#[test]
fn waivers_of_all_rules_are_reported_by_rule() {
    let terms = "until: 2026-12-31, reason: x, owner: y";
    let past = "until: 2026-01-01, reason: x, owner: y";
    let rules = [
        format!("gaps: {{allow: [{{path: 'a', {terms}}}, {{path: 'b', {past}}}]}}"),
        format!("vulnerabilities: {{deny: [{{fixed: true}}], allow: [{{id: CVE-9, {terms}}}]}}"),
    ];
    let case = Case::rules(&[&rules[0], &rules[1]]).with(on_first(|p| p.1.gaps.push(gap("a", "npm"))));
    let verdict = case.verdict();
    assert_eq!(verdict.decision, Admit);
    let shown = |uses: &[crate::model::verdict::WaiverUse]| {
        uses.iter().map(|w| format!("{} {}", w.rule, w.scope)).collect::<Vec<_>>()
    };
    assert_eq!(shown(&verdict.waivers.used), ["r0 a"]);
    assert_eq!(shown(&verdict.waivers.unused), ["r1 CVE-9"]);
    assert_eq!(shown(&verdict.waivers.expired), ["r0 b"]);
}

#[test]
fn the_same_inputs_give_the_same_verdict() {
    let case = || Case::policy(PRODUCTION).with(find(|_| {})).selecting(Some("staging"), None);
    assert_eq!(case().verdict(), case().verdict());
}

#[test]
fn the_baseline_admits_an_image_that_is_up_to_date() {
    let base = || Case::policy(BASELINE);
    assert_eq!(base().verdict().decision, Admit);
    assert_eq!(base().with(|e| e.reference = Fact::Absent).verdict().decision, Admit);
    // A distribution's image: many holes without severity, none of them fixed yet.
    let unfixed = find(|f| {
        f.severity = crate::model::severity::Severity::Unknown;
        f.state = crate::model::finding::FixState::NotFixed;
    });
    assert_eq!(base().with(unfixed).verdict().decision, Admit);
}

#[test]
fn the_baseline_denies_old_holes_and_malware_and_is_undecided_of_what_it_cannot_see() {
    use crate::model::severity::Severity;
    let base = || Case::policy(BASELINE);
    let decision = |change: fn(&mut Finding)| base().with(find(change)).verdict().decision;
    assert_eq!(decision(|_| {}), Deny);
    assert_eq!(decision(|f| f.severity = Severity::High), Deny, "30 days are over to the second");
    let within = |f: &mut Finding| {
        f.severity = Severity::High;
        f.published = Some("2026-10-25T12:00:01Z".parse().unwrap());
    };
    assert_eq!(decision(within), Admit);
    assert_eq!(decision(|f| f.malicious = true), Deny);
    assert_eq!(decision(|f| f.published = Some("2026-11-20T00:00:00Z".parse().unwrap())), Admit);
    assert_eq!(decision(|f| f.severity = Severity::Unknown), Undecided);
    assert_eq!(decision(|f| f.severity = Severity::Medium), Admit);
    let open = base().with(on_first(|p| p.1.gaps.push(gap("a", "npm"))));
    assert_eq!(open.verdict().decision, Undecided);
    let unsaid =
        base().with(on_first(|p| p.0.findings_mut().undetermined.push(undetermined("no advisories"))));
    assert_eq!(unsaid.verdict().decision, Undecided);
    assert_eq!(base().with(|e| e.snapshot = Fact::Absent).verdict().decision, Undecided);
    let old = base().at("2027-06-01T00:00:00Z").verdict();
    assert_eq!(old.decision, Admit, "old advisories are a warning");
    assert!(old.rules.iter().any(|rule| rule.id == "database" && rule.outcome == Outcome::Undecided));
}

#[test]
fn the_production_policy_admits_a_release_and_only_in_its_place() {
    let case = |reference: &str, env: Option<&str>| {
        let labels = |e: &mut Evidence| {
            for platform in e.platforms_mut() {
                if let Fact::Known(config) = &mut platform.config {
                    config.created = Some("2026-11-20T00:00:00Z".into());
                    let labels = config.config.get_or_insert_default().labels.get_or_insert_default();
                    labels.insert("org.opencontainers.image.revision".into(), "0123abc".into());
                }
            }
        };
        let by = |workflow: &str| {
            let name = format!("https://github.com/acme/app/.github/workflows/{workflow}");
            let SignedBy::Certificate(mut signer) = ci() else { panic!("no certificate") };
            signer.name = Name::Uri(name);
            signer.claims.insert(Claim::RunnerEnvironment, "github-hosted".into());
            SignedBy::Certificate(signer)
        };
        let attest = |evidence: &mut Evidence| {
            let release = || by("release.yml@refs/heads/main");
            let preview = || by("pr.yml@refs/pull/7/merge");
            let image = attested(
                None,
                [
                    (release(), signature()),
                    (preview(), signature()),
                    (release(), provenance()),
                    (by("verify.yml@refs/heads/main"), vsa("PASSED")),
                ],
            );
            let platforms = evidence.platforms_mut().iter();
            let own = platforms.map(|platform| attested(Some(platform), [(release(), sbom())]));
            let all = std::iter::once(image).chain(own).collect();
            evidence.attested = Fact::Known(all);
        };
        let case = Case::policy(PRODUCTION).with(labels).with(attest).with(named(reference));
        case.selecting(None, env).verdict().decision
    };
    let pinned = |tag: &str| format!("ghcr.io/acme/app:{tag}@DIGEST");
    assert_eq!(case(&pinned("v1.2.3"), Some("production")), Admit);
    assert_eq!(case("ghcr.io/acme/app:v1.2.3", Some("production")), Deny, "no digest");
    assert_eq!(case(&pinned("main-0123abc"), Some("production")), Deny, "no release");
    assert_eq!(case("ghcr.io/acme/app:main-0123abc", Some("staging")), Admit);
    assert_eq!(case("ghcr.io/acme/app:pr-7", None), Admit, "a preview");
    assert_eq!(case("ghcr.io/acme/app:pr-7", Some("production")), Deny);
    assert_eq!(case("ghcr.io/other/app:v1.2.3", Some("production")), Undecided);
    let other = Digest::sha256(b"other");
    assert_eq!(case(&format!("ghcr.io/acme/app:v1.2.3@{other}"), Some("production")), Undecided);
}
