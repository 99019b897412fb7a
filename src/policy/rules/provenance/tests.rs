use serde_json::{Value, json};

use super::*;
use crate::model::attestation::SignedBy;
use crate::model::predicate::SLSA_V02;
use crate::model::signer::{Claim, Name, Signer};
use crate::model::verdict::Outcome::{self, Hold, Undecided, Violate};
use crate::policy::fixture::{Case, ci, provenance, sec, signed};

const WORKFLOW: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";
const GENERATOR: &str = "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/\
                         generator_container_slsa3.yml@refs/tags/v2.0.0";
const HOSTED: &str = "https://github.com/actions/runner/github-hosted";

const RULE: &str = "provenance: {by: [ci], sourceRepo: github.com/acme/app}";

fn rule(more: &str) -> Case {
    Case::rule(&format!("provenance: {{by: [ci], sourceRepo: github.com/acme/app, {more}}}"))
}

fn outcome(case: &Case, by: SignedBy, content: Content) -> Outcome {
    case.clone().with(signed([(by, content)])).outcome()
}

fn text(case: &Case, by: SignedBy, content: Content) -> String {
    case.clone().with(signed([(by, content)])).texts().concat()
}

/// The provenance of the fixture, changed.
fn v1(change: impl FnOnce(&mut Value)) -> Content {
    let Content::Statement { predicate_type, mut predicate } = provenance() else { panic!("no statement") };
    change(&mut predicate);
    Content::Statement { predicate_type, predicate }
}

fn built_by(builder: &str) -> Content {
    v1(|predicate| predicate["runDetails"]["builder"]["id"] = json!(builder))
}

fn workflow(key: &str, value: Value) -> Content {
    v1(|predicate| predicate["buildDefinition"]["externalParameters"]["workflow"][key] = value)
}

fn resolved(dependencies: Value) -> Content {
    v1(|predicate| predicate["buildDefinition"]["resolvedDependencies"] = dependencies)
}

fn v02(change: impl FnOnce(&mut Value)) -> Content {
    let mut predicate = json!({
        "builder": {"id": WORKFLOW},
        "buildType": "https://github.com/slsa-framework/slsa-github-generator/container@v1",
        "invocation": {"configSource": {
            "uri": "git+https://github.com/acme/app@refs/heads/main",
            "digest": {"sha1": "0123abc"},
            "entryPoint": ".github/workflows/release.yml",
        }},
        "materials": [{"uri": "git+https://github.com/acme/app@refs/heads/main", "digest": {"sha1": "0123abc"}}],
    });
    change(&mut predicate);
    Content::Statement { predicate_type: SLSA_V02.into(), predicate }
}

/// `ci` with more claims.
fn with<const N: usize>(claims: [(Claim, &str); N]) -> SignedBy {
    let SignedBy::Certificate(mut signer) = ci() else { panic!("no certificate") };
    signer.claims.extend(claims.map(|(claim, value)| (claim, value.to_owned())));
    SignedBy::Certificate(signer)
}

fn hosted() -> SignedBy {
    with([(Claim::RunnerEnvironment, "github-hosted")])
}

/// Whoever has the certificate of a workflow of another repository, called by `acme/app`.
const CALLED: &str = "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {name: test}\nrules:\n- id: r0\n  \
                      provenance: {by: [generator], sourceRepo: github.com/acme/app, minBuildLevel: 3, \
                      builder: 'https://github.com/slsa-framework/**'}\n\
                      identities:\n  generator: {github: slsa-framework/slsa-github-generator, \
                      sourceRepository: 'https://github.com/acme/app'}\n";

fn called(runner: &str) -> SignedBy {
    SignedBy::Certificate(Signer {
        name: Name::Uri(GENERATOR.into()),
        issuer: Some("https://token.actions.githubusercontent.com".into()),
        claims: [
            (Claim::BuildSignerUri, GENERATOR.to_owned()),
            (Claim::RunnerEnvironment, runner.to_owned()),
            (Claim::SourceRepository, "https://github.com/acme/app".to_owned()),
            (Claim::SourceRepositoryRef, "refs/heads/main".to_owned()),
            (Claim::SourceRepositoryDigest, "0123abc".to_owned()),
            (Claim::BuildConfigUri, WORKFLOW.to_owned()),
        ]
        .into(),
    })
}

#[test]
fn the_image_was_built_of_the_source_that_the_policy_names() {
    let case = Case::rule(RULE);
    assert_eq!(case.outcome(), Violate);
    for content in [provenance(), v02(|_| ())] {
        assert_eq!(outcome(&case, ci(), content.clone()), Hold);
        assert_eq!(outcome(&case, sec(), content), Violate, "somebody else says so");
    }
    let other = Case::rule("provenance: {by: [ci], sourceRepo: github.com/acme/other}");
    assert_eq!(outcome(&other, ci(), provenance()), Violate);
    assert!(text(&other, ci(), provenance()).contains("is of the source `github.com/acme/app`"));
    for source in
        ["github.com/acme/*", "https://GitHub.com/acme/app.git", "git+https://github.com:443/acme/app/"]
    {
        let case = Case::rule(&format!("provenance: {{by: [ci], sourceRepo: '{source}'}}"));
        assert_eq!(outcome(&case, ci(), provenance()), Hold, "{source}");
    }
}

#[test]
fn a_repository_has_one_spelling() {
    let read = |uri: &str| source::parse(uri).map(|source| (source.repository, source.reference));
    let app = |reference: Option<&str>| Some(("github.com/acme/app".into(), reference.map(str::to_owned)));
    for (uri, want) in [
        ("https://github.com/acme/app", app(None)),
        ("https://GITHUB.com/acme/app.git", app(None)),
        ("git+https://github.com/acme/app@refs/tags/v1.0+x", app(Some("refs/tags/v1.0+x"))),
        ("https://github.com/acme/app.git#refs/heads/main", app(Some("refs/heads/main"))),
        ("https://github.com/Acme/app", Some(("github.com/Acme/app".into(), None))),
    ] {
        assert_eq!(read(uri), want, "{uri}");
    }
    for bad in [
        "",
        "github.com/acme/app",
        "http://github.com/acme/app",
        "https://github.com",
        "https:///acme/app",
        "https://github.com@evil.example/acme/app",
        "https://github.com/acme/../evil/app",
        "https://github.com/acme//app",
        "https://github.com/acme/app?x=1",
        "https://github.com/acme/%61pp",
        "https://github.com\\evil.example/acme/app",
        "https://github.com/acme/app@",
        "https://github.com/acme/app#main:sub dir",
        "https://github.com/acme/app\u{200b}",
    ] {
        assert_eq!(
            read(bad).filter(|(repository, _)| repository.starts_with("github.com/acme")),
            None,
            "{bad}"
        );
    }
}

#[test]
fn provenance_of_another_source_than_its_certificate_is_a_lie() {
    let case = rule("commit: '0*'");
    let content =
        || resolved(json!([{"uri": "git+https://github.com/acme/app", "digest": {"gitCommit": "0123"}}]));
    let agreeing = [
        (Claim::SourceRepositoryRef, "refs/heads/main"),
        (Claim::SourceRepositoryDigest, "0123"),
        (Claim::SourceRepository, "https://github.com/acme/app"),
    ];
    assert_eq!(outcome(&case, with(agreeing), content()), Hold);
    let by = "by: [mirror]";
    let policy = |what: &str| {
        let text = format!("provenance: {{{by}, sourceRepo: github.com/acme/app}}\n");
        let head =
            "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {name: test}\nrules:\n- id: r0\n  ";
        Case::policy(&format!(
            "{head}{text}identities:\n  mirror: {{github: acme/app, sourceRepository: {what}}}\n"
        ))
    };
    let foreign = with([(Claim::SourceRepository, "https://github.com/evil/app")]);
    let lax = policy("{glob: 'https://github.com/*/app'}");
    assert_eq!(outcome(&lax, ci(), provenance()), Hold);
    assert_eq!(outcome(&lax, foreign.clone(), provenance()), Violate);
    assert!(text(&lax, foreign, provenance()).contains("its certificate `github.com/evil/app`"));
    for lie in [
        [(Claim::SourceRepositoryRef, "refs/heads/evil")],
        [(Claim::SourceRepositoryDigest, "0666")],
        [(Claim::GithubWorkflowSha, "0666")],
    ] {
        assert_eq!(outcome(&case, with(lie), content()), Violate, "{lie:?}");
    }
    let odd = with([(Claim::SourceRepository, "https://github.com/acme/app@evil")]);
    assert_eq!(outcome(&policy("{glob: 'https://github.com/**'}"), odd, provenance()), Violate);
}

#[test]
fn what_is_only_a_dependency_is_not_the_source() {
    let case = Case::rule(RULE);
    for key in ["repository", "ref"] {
        let want = if key == "ref" { Hold } else { Violate };
        assert_eq!(outcome(&case, ci(), workflow(key, Value::Null)), want);
    }
    let dependency = json!([{"uri": "git+https://github.com/acme/app", "digest": {"gitCommit": "0123abc"}}]);
    let none = v1(|predicate| {
        predicate["buildDefinition"]["externalParameters"] = json!({});
        predicate["buildDefinition"]["resolvedDependencies"] = dependency.clone();
    });
    assert_eq!(outcome(&case, ci(), none.clone()), Violate);
    assert!(text(&case, ci(), none).contains("does not say of what source"));
    for source in [Value::Null, json!({}), json!({"uri": ""}), json!({"uri": 7})] {
        let materials = v02(|predicate| predicate["invocation"]["configSource"] = source.clone());
        assert_eq!(outcome(&case, ci(), materials), Violate, "{source}");
    }
    let other = v02(|predicate| {
        predicate["invocation"]["configSource"]["uri"] = json!("git+https://github.com/evil/app");
    });
    assert_eq!(outcome(&case, ci(), other), Violate);
}

#[test]
fn refs_and_the_commit_are_those_that_were_built() {
    for (refs, want) in
        [("[refs/heads/main]", Hold), ("['refs/tags/*', 'refs/heads/*']", Hold), ("refs/tags/**", Violate)]
    {
        let case = rule(&format!("refs: {refs}"));
        assert_eq!(outcome(&case, ci(), provenance()), want, "{refs}");
        assert_eq!(outcome(&case, ci(), v02(|_| ())), want, "{refs}");
    }
    let main = rule("refs: [refs/heads/main]");
    assert_eq!(outcome(&main, ci(), workflow("ref", Value::Null)), Hold, "the certificate says it");
    let two = v1(|predicate| {
        let at = json!("git+https://github.com/acme/app@refs/heads/evil");
        predicate["buildDefinition"]["externalParameters"]["workflow"]["repository"] = at;
    });
    assert_eq!(outcome(&main, ci(), two), Violate);
    let commit = rule("commit: 0123abc");
    assert_eq!(outcome(&commit, ci(), provenance()), Violate, "it does not say");
    assert_eq!(outcome(&commit, ci(), v02(|_| ())), Hold);
    let own = |commit: &str| json!({"uri": "git+https://github.com/acme/app@refs/heads/main", "digest": {"gitCommit": commit}});
    let other = json!({"uri": "git+https://github.com/acme/lib", "digest": {"gitCommit": "0123abc"}});
    assert_eq!(outcome(&commit, ci(), resolved(json!([other, own("0123abc")]))), Hold);
    assert_eq!(outcome(&commit, ci(), resolved(json!([other]))), Violate, "that of a dependency");
    assert_eq!(outcome(&commit, ci(), resolved(json!([own("0123abc"), own("0666")]))), Violate, "two");
}

#[test]
fn a_builder_that_the_certificate_does_not_name_is_none() {
    let case = Case::rule(RULE);
    for (by, builder, want) in [
        (ci(), WORKFLOW, Hold),
        (hosted(), HOSTED, Hold),
        (ci(), HOSTED, Violate),
        (with([(Claim::RunnerEnvironment, "self-hosted")]), HOSTED, Violate),
        (
            with([(Claim::RunnerEnvironment, "self-hosted")]),
            "https://github.com/actions/runner/self-hosted",
            Hold,
        ),
        (hosted(), GENERATOR, Violate),
        (
            with([(Claim::RunInvocationUri, "https://github.com/acme/app/actions/runs/7/attempts/1")]),
            "https://github.com/acme/app/actions/runs/7",
            Hold,
        ),
        (
            with([(Claim::RunInvocationUri, "https://github.com/acme/app/actions/runs/77/attempts/1")]),
            "https://github.com/acme/app/actions/runs/7",
            Violate,
        ),
        (hosted(), "", Violate),
    ] {
        assert_eq!(outcome(&case, by, built_by(builder)), want, "{builder}");
    }
    let pinned = rule("builder: 'https://github.com/acme/app/**'");
    assert_eq!(outcome(&pinned, ci(), provenance()), Hold);
    assert_eq!(outcome(&pinned, hosted(), built_by(HOSTED)), Violate);
}

#[test]
fn the_build_level_is_that_of_the_builder_and_its_certificate() {
    let level = |wanted: u8| rule(&format!("minBuildLevel: {wanted}"));
    let reached = |by: &SignedBy, content: &Content| {
        (1..=3).take_while(|wanted| outcome(&level(*wanted), by.clone(), content.clone()) == Hold).count()
    };
    assert_eq!(reached(&ci(), &provenance()), 1, "no runner is named");
    assert_eq!(reached(&hosted(), &provenance()), 2);
    assert_eq!(reached(&hosted(), &built_by(HOSTED)), 2);
    assert_eq!(reached(&with([(Claim::RunnerEnvironment, "self-hosted")]), &provenance()), 1);
    assert_eq!(reached(&hosted(), &v02(|_| ())), 1, "a type of builds that is not known");
    // A workflow of the same repository is written by whoever writes the build.
    let same = with([
        (Claim::RunnerEnvironment, "github-hosted"),
        (Claim::BuildSignerUri, WORKFLOW),
        (Claim::BuildConfigUri, "https://github.com/Acme/app/.github/workflows/other.yml@refs/heads/main"),
    ]);
    assert_eq!(reached(&same, &provenance()), 2);
    let isolated = Case::policy(CALLED);
    for content in [built_by(GENERATOR), v02(|predicate| predicate["builder"]["id"] = json!(GENERATOR))] {
        assert_eq!(outcome(&isolated, called("github-hosted"), content.clone()), Hold);
        assert_eq!(outcome(&isolated, called("self-hosted"), content), Violate);
    }
    assert_eq!(outcome(&isolated, called("github-hosted"), built_by(HOSTED)), Violate);
}

#[test]
fn two_builders_do_not_lend_each_other_their_level() {
    let case = rule("minBuildLevel: 3");
    // One by the workflow itself, one that it wrote in the name of a better builder, and that builder's own.
    let several = signed([
        (hosted(), provenance()),
        (hosted(), built_by(GENERATOR)),
        (called("github-hosted"), built_by(GENERATOR)),
    ]);
    assert_eq!(case.clone().with(several).outcome(), Violate, "the builder may not sign for `ci`");
    let source = signed([
        (hosted(), workflow("repository", json!("https://github.com/evil/app"))),
        (with([(Claim::SourceRepository, "https://github.com/evil/app")]), provenance()),
    ]);
    assert_eq!(Case::rule(RULE).with(source).outcome(), Violate);
}

#[test]
fn a_policy_may_trust_builders_that_the_table_does_not_know() {
    let own = "builders: {'https://github.com/acme/**': 3, 'https://github.com/acme/app/**': 2}";
    let case = rule(&format!("minBuildLevel: 2, {own}"));
    assert_eq!(outcome(&case, ci(), provenance()), Hold);
    let case = rule(&format!("minBuildLevel: 3, {own}"));
    assert_eq!(outcome(&case, ci(), provenance()), Violate, "the lowest of several");
    let case = rule("minBuildLevel: 3, builders: {'**': 3}");
    assert_eq!(outcome(&case, ci(), provenance()), Hold);
    assert_eq!(outcome(&case, hosted(), built_by(GENERATOR)), Violate, "not by the word alone");
    // Attack: a builder that the policy knows, claimed by whoever has a certificate that says otherwise.
    let runner = "https://github.com/actions/runner/self-hosted";
    for (by, builder) in [
        (with([(Claim::BuildSignerUri, GENERATOR)]), WORKFLOW),
        (hosted(), runner),
        (with([(Claim::RunnerEnvironment, "self-hosted")]), HOSTED),
        (with([(Claim::RunInvocationUri, "https://ci.acme.example/7")]), "https://ci.acme.example/8"),
        (ci(), "https://ci.acme.example/8"),
    ] {
        assert_eq!(outcome(&case, by.clone(), built_by(builder)), Violate, "{builder}");
        assert!(text(&case, by, built_by(builder)).contains("another one signed it"), "{builder}");
    }
    // A key or a person says nothing of builds, so that its word is all there is: `by` and `builders` name both.
    let word = "provenance: {by: [sec], sourceRepo: github.com/acme/app, minBuildLevel: 3, builders: ";
    let known = Case::rule(&format!("{word}{{'https://ci.acme.example/**': 3}}}}"));
    assert_eq!(outcome(&known, sec(), built_by("https://ci.acme.example/8")), Hold);
    assert_eq!(outcome(&known, sec(), built_by("https://ci.other.example/8")), Violate);
    // A person has no certificate that could contradict, and is named by the policy.
    let word = "provenance: {by: [sec], sourceRepo: github.com/acme/app, minBuildLevel: ";
    assert_eq!(outcome(&Case::rule(&format!("{word}1}}")), sec(), built_by(GENERATOR)), Hold);
    assert_eq!(outcome(&Case::rule(&format!("{word}2}}")), sec(), built_by(GENERATOR)), Violate);
}

#[test]
fn old_provenance_does_not_count_and_one_without_a_time_is_undecided() {
    let case = rule("maxAge: 7d");
    assert_eq!(outcome(&case, ci(), provenance()), Hold);
    assert_eq!(
        case.clone().with(signed([(ci(), provenance())])).at("2026-12-02T12:00:00Z").outcome(),
        Violate
    );
    let timeless = case.with(signed([(ci(), provenance())])).with(|evidence| {
        let crate::model::fact::Fact::Known(attested) = &mut evidence.attested else { panic!("not known") };
        attested[0].attestations[0].times.clear();
    });
    assert_eq!(timeless.outcome(), Undecided);
}

#[test]
fn odd_predicates_are_none() {
    let case = Case::rule(RULE);
    for predicate in
        [Value::Null, json!([]), json!("x"), json!({"builder": {"id": 7}}), json!({"runDetails": []})]
    {
        for predicate_type in [crate::model::predicate::SLSA_V1, SLSA_V02] {
            let content =
                Content::Statement { predicate_type: predicate_type.into(), predicate: predicate.clone() };
            assert_eq!(outcome(&case, ci(), content), Violate, "{predicate}");
        }
    }
    // What is shown of a long text is short.
    let long = workflow("repository", json!(format!("https://github.com/{}", "x".repeat(1 << 20))));
    assert!(text(&case, ci(), long).len() < 1_000);
}

#[test]
fn settings_that_say_nothing_are_errors() {
    for bad in [
        "{by: [ci]}",
        "{sourceRepo: github.com/acme/app}",
        "{by: [ci], sourceRepo: app}",
        "{by: [ci], sourceRepo: 'http://github.com/acme/app'}",
        "{by: [ci], sourceRepo: 'github.com/acme/app@main'}",
        "{by: [ci], sourceRepo: github.com/acme/app, minBuildLevel: 0}",
        "{by: [ci], sourceRepo: github.com/acme/app, minBuildLevel: 4}",
        "{by: [ci], sourceRepo: github.com/acme/app, builders: {'**': 3}}",
        "{by: [ci], sourceRepo: github.com/acme/app, minBuildLevel: 1, builders: {'**': high}}",
        "{by: [ci], sourceRepo: github.com/acme/app, refs: []}",
    ] {
        assert!(Case::try_rule(&format!("provenance: {bad}")).is_err(), "{bad}");
    }
}
