use super::*;
use crate::policy::fixture::HEAD;
use crate::policy::{BASELINE, PRODUCTION};

fn errors(text: &str) -> Vec<PolicyError> {
    Policy::parse(text.as_bytes()).expect_err(text)
}

/// The only error of a document.
fn error(text: &str) -> PolicyError {
    let mut errors = errors(text);
    assert_eq!(errors.len(), 1, "{text}\n{errors:#?}");
    errors.remove(0)
}

const RULES_TEXT: &str = "rules:\n- id: arches\n  platforms: {require: [linux/amd64]}\n- id: small\n  size: {layersMax: 9}\n  level: warn\n";

fn document(rest: &str) -> String {
    format!("{HEAD}{RULES_TEXT}{rest}")
}

#[test]
fn the_shipped_policies_are_policies() {
    for (text, name) in [(BASELINE, "baseline"), (PRODUCTION, "acme-production")] {
        let shown = |errors: Vec<PolicyError>| {
            errors.iter().map(|e| e.render(text.as_bytes(), name)).collect::<String>()
        };
        let policy = Policy::parse(text.as_bytes()).map_err(shown).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(policy.name(), name);
        assert_eq!(policy.digest(), &Digest::sha256(text.as_bytes()));
        assert_eq!(policy.on_unknown(), OnUnknown::Deny);
    }
}

#[test]
fn the_production_policy_has_every_kind_and_its_comments_hold() {
    let policy = Policy::parse(PRODUCTION.as_bytes()).unwrap();
    let kinds: Vec<&str> = policy.rules().map(|(_, kind)| kind).collect();
    for rule in RULES {
        assert!(kinds.contains(&rule.kind()), "{} is missing", rule.kind());
    }
    assert_eq!(policy.scopes().collect::<Vec<_>>(), ["production", "staging", "preview"]);
    // What is commented out is valid as well: a reader will take the `#` away.
    let options = ["refs", "commit", "builder", "builders", "complete", "levels", "policy", "resource"];
    let shipped = options.iter().fold(PRODUCTION.to_owned(), |text, option| {
        assert!(text.contains(&format!("    # {option}: ")), "{option}");
        text.replace(&format!("    # {option}: "), &format!("    {option}: "))
    });
    let uncommented = shipped
        .replace(
            "  gaps: {}                            # every package database and lockfile could be read\n",
            "",
        )
        .replace("# - ", "- ")
        .replace("# allow:", "allow:")
        .replace("# undetermined:", "undetermined:")
        .replace("    # require: all", "    require: all")
        .replace("    # maxAge: 30d", "    maxAge: 30d")
        .replace("    # perPlatform:", "    perPlatform:")
        .replace("    # annotations:", "    annotations:")
        .replace("    #   ", "      ")
        .replace("  # gaps:", "  gaps:")
        .replace("  #   ", "    ");
    assert_ne!(uncommented.matches("owner: security-team").count(), 0);
    let policy = Policy::parse(uncommented.as_bytes());
    assert!(policy.is_ok(), "{:#?}\n{uncommented}", policy.err());
}

#[test]
fn a_policy_without_rules_is_an_error() {
    assert_eq!(error(HEAD).message, "the policy has no `rules`");
    assert!(error(&format!("{HEAD}rules: []\n")).message.contains("an empty list"));
    assert!(error(&format!("{HEAD}rules:\n")).message.contains("found nothing"));
    assert_eq!(error("").message, "the document is empty");
}

#[test]
fn the_head_is_checked() {
    let rest = RULES_TEXT;
    let e = error(&format!("apiVersion: portcullis.dev/v2\nkind: Policy\nmetadata: {{name: x}}\n{rest}"));
    assert_eq!((e.line, e.column), (1, 13));
    assert!(e.message.contains("found `portcullis.dev/v2`"), "{e}");
    let all = errors(&format!("kind: Polcy\n{rest}"));
    let messages: Vec<&str> = all.iter().map(|e| e.message.as_str()).collect();
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert!(messages.contains(&"the policy has no `apiVersion`"));
    assert!(messages.contains(&"the policy has no `metadata`"));
    assert!(all.iter().any(|e| e.help.as_deref() == Some("did you mean `Policy`?")));
}

#[test]
fn unknown_fields_are_errors_with_a_suggestion_and_a_place() {
    let e = error(&document("scops: []\n"));
    assert_eq!((e.line, e.column), (12, 1));
    assert_eq!(e.message, "unknown field `scops` in the policy");
    assert_eq!(e.help.as_deref(), Some("did you mean `scopes`?"));
    let text = format!("{HEAD}rules:\n- id: a\n  platform: {{require: [linux/amd64]}}\n");
    let e = error(&text);
    assert_eq!((e.line, e.column), (8, 3));
    assert_eq!(e.help.as_deref(), Some("did you mean `platforms`?"));
    assert_eq!(&text[e.span.clone()], "platform");
    let e = error(&format!("{HEAD}rules:\n- id: a\n  size: {{layerMax: 4}}\n"));
    assert_eq!((e.line, e.column, e.help.as_deref()), (8, 10, Some("did you mean `layersMax`?")));
}

#[test]
fn what_this_version_does_not_have_is_refused_not_ignored() {
    for kind in LATER_KINDS {
        let e = error(&format!("{HEAD}rules:\n- id: a\n  {kind}: {{by: [ci]}}\n"));
        assert_eq!(e.message, format!("`{kind}` is not supported by this version"));
        assert_eq!((e.line, e.column), (8, 3));
    }
    let e = error(&format!("{HEAD}rules:\n- id: a\n  size: {{layersMax: 1}}\n  when: 'true'\n"));
    assert_eq!(e.message, "`when` is not supported by this version");
    for field in LATER_FIELDS {
        let e = error(&document(&format!("{field}: {{}}\n")));
        assert_eq!(e.message, format!("`{field}` is not supported by this version"));
    }
}

#[test]
fn a_rule_has_an_id_and_one_kind() {
    for (rule, message) in [
        ("size: {layersMax: 1}", "the rule has no `id`"),
        ("{id: a}", "the rule has no kind: it checks nothing"),
        (
            "{id: a, size: {layersMax: 1}, age: {maxSinceBuild: 1d}}",
            "the rule has two kinds, `age` and `size`",
        ),
        ("{id: a b, size: {layersMax: 1}}", "the id `a b` is not letters"),
        ("{id: integrity, size: {layersMax: 1}}", "that of a rule every policy has"),
        ("{id: small, size: {layersMax: 1}}", "the rule id `small` stands twice"),
        ("{id: a, size: {layersMax: 1}, level: block}", "found `block`"),
        ("{id: a, size: {layersMax: 1}, effective: 2027}", "found `2027`"),
        ("{id: a, size: }", "found nothing"),
        ("text", "expected the rule as a mapping"),
    ] {
        let e = error(&format!("{HEAD}{RULES_TEXT}- {rule}\n"));
        assert!(e.message.contains(message), "{rule}: {e}");
        assert_eq!(e.line, 12, "{rule}");
    }
}

#[test]
fn all_errors_are_told_at_once_in_the_order_of_the_document() {
    let text = format!(
        "{HEAD}rules:\n- id: a\n  size: {{layersMax: many}}\n- id: b\n  licenses: {{}}\n- id: c\n  age: {{}}\nfoo: 1\n"
    );
    let lines: Vec<usize> = errors(&text).iter().map(|e| e.line).collect();
    assert_eq!(lines, [8, 10, 12, 13]);
}

#[test]
fn an_overlay_is_checked_like_a_rule() {
    for (set, message) in [
        ("{smal: {level: info}}", "there is no rule `smal` to overlay"),
        ("{small: {layerMax: 3}}", "unknown field `layerMax`"),
        ("{small: {level: off}}", "found `off`"),
        ("{small: {layersMax: ~}}", "found nothing"),
        ("{small: {}}", "an empty mapping"),
        ("{arches: {require: []}}", "an empty list"),
        ("[small]", "expected a mapping from rule ids"),
    ] {
        let e = error(&document(&format!("scopes:\n- name: s\n  set: {set}\n")));
        assert!(e.message.contains(message), "{set}: {e}");
        assert_eq!(e.line, 14, "{set}");
    }
}

#[test]
fn scopes_are_checked() {
    for (scope, message) in [
        ("{when: {env: x}}", "the scope has no `name`"),
        ("{name: s, tags: [relese]}", "have no class `relese`"),
        ("{name: s, when: {tags: [nightly]}}", "have no class `nightly`"),
        ("{name: s, when: {}}", "checks nothing"),
        ("{name: s, when: {environment: x}}", "unknown field `environment`"),
        ("{name: s, admission: {pin: pods}}", "`admission` is not supported"),
    ] {
        let found = errors(&document(&format!("scopes:\n- {scope}\n")));
        assert!(found.iter().any(|e| e.message.contains(message) && e.line == 13), "{scope}: {found:#?}");
    }
    let twice = error(&document("scopes:\n- name: s\n- name: s\n"));
    assert_eq!(twice.message, "the scope `s` stands twice");
}

#[test]
fn patterns_of_images_and_tags_are_checked() {
    let head = HEAD.replace("'**'", "acme/app");
    assert!(error(&format!("{head}{RULES_TEXT}")).message.contains("docker.io/acme/app"));
    let head = HEAD.replace("pr-<n>", "pr-<num>");
    assert!(error(&format!("{head}{RULES_TEXT}")).message.contains("`<num>` is none of"));
}

#[test]
fn a_rule_that_is_not_yet_effective_warns() {
    let text = format!("{HEAD}rules:\n- id: a\n  size: {{layersMax: 1}}\n  effective: 2027-01-01\n");
    let policy = Policy::parse(text.as_bytes()).unwrap();
    let level = |time: &str| policy.rules[0].level(time.parse().unwrap());
    assert_eq!(level("2026-12-31T23:59:59Z"), Level::Warn);
    assert_eq!(level("2027-01-01T00:00:00Z"), Level::Deny);
    let text = text.replace("effective", "level: info\n  effective");
    let policy = Policy::parse(text.as_bytes()).unwrap();
    assert_eq!(policy.rules[0].level("2026-01-01T00:00:00Z".parse().unwrap()), Level::Info);
}

#[test]
fn rules_and_scopes_are_limited() {
    let rules: String =
        (0..=MAX_RULES).map(|n| format!("- {{id: a{n}, size: {{layersMax: 1}}}}\n")).collect();
    assert!(error(&format!("{HEAD}rules:\n{rules}")).message.contains("more than the limit of 1000"));
    let scopes: String = (0..=MAX_SCOPES).map(|n| format!("- name: s{n}\n")).collect();
    assert!(error(&document(&format!("scopes:\n{scopes}"))).message.contains("more than the limit of 200"));
}

#[test]
fn images_may_be_left_out_and_mean_all() {
    let head = HEAD.replace("images: ['**']\n", "");
    let policy = Policy::parse(format!("{head}{RULES_TEXT}").as_bytes()).unwrap();
    assert!(policy.images[0].is_anything());
}

proptest::proptest! {
    #[test]
    fn a_damaged_policy_is_an_error_with_a_place_never_a_panic(
        at in 0..PRODUCTION.len(), length in 0..40_usize, with in "[ \\n\\t\\[\\]{}:,*&#a0'\"-]{0,4}",
    ) {
        let mut bytes = PRODUCTION.as_bytes().to_vec();
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, with.bytes());
        if let Err(errors) = Policy::parse(&bytes) {
            assert!(!errors.is_empty());
            for error in errors {
                assert!(error.line > 0 && error.column > 0 && error.span.end <= bytes.len() + 1, "{error:?}");
                assert!(error.render(&bytes, "p.yaml").starts_with("p.yaml:"));
            }
        }
    }
}
