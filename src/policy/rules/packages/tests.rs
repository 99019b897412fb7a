use super::*;
use crate::model::fact::Fact;
use crate::model::verdict::Outcome::{Hold, Undecided, Violate};
use crate::policy::fixture::{Case, gap, on_first, package};
use crate::version::Incomparable;

/// Orders numbers separated by dots, so that these tests need no real scheme.
struct Dotted;

impl Scheme for Dotted {
    fn id(&self) -> &'static str {
        "dotted"
    }

    fn compare(&self, a: &str, b: &str) -> Result<Ordering, Incomparable> {
        let numbers = |text: &str| {
            let parts: Result<Vec<u64>, _> = text.split('.').map(str::parse).collect();
            parts.map_err(|_| Incomparable { scheme: "dotted", version: text.to_owned() })
        };
        Ok(numbers(a)?.cmp(&numbers(b)?))
    }
}

fn pattern(text: &str) -> PackagePattern {
    let rule = format!("packages: {{deny: ['{text}']}}");
    let error = Case::try_rule(&rule).err();
    assert_eq!(error, None);
    let node = crate::policy::yaml::parse(format!("'{text}'").as_bytes()).unwrap();
    PackagePattern::read(&node).unwrap()
}

fn holds(text: &str, version: &str) -> Result<bool, String> {
    pattern(text).bounds_hold(&package("pkg:npm/left-pad", version), Some(&Dotted))
}

#[test]
fn a_range_covers_the_versions_within_it() {
    for (range, version, want) in [
        ("@<2.17.1", "2.17.0", true),
        ("@<2.17.1", "2.17.1", false),
        ("@<2.17.1", "2.9.0", true),
        ("@<=2.17.1", "2.17.1", true),
        ("@>=1.0,<1.4", "1.3.9", true),
        ("@>=1.0,<1.4", "1.4", false),
        ("@>=1.0,<1.4", "0.9", false),
        ("@>1.0", "1.0", false),
        ("@=1.0", "1.0", true),
        ("@1.0", "1.0", true),
        ("@1.0", "1.1", false),
        ("", "7", true),
    ] {
        assert_eq!(holds(&format!("pkg:npm/left-pad{range}"), version), Ok(want), "{range} {version}");
    }
}

#[test]
fn a_version_that_cannot_be_compared_is_unknown_unless_another_bound_settles_it() {
    assert!(holds("pkg:npm/left-pad@<2.0", "two").is_err());
    assert_eq!(holds("pkg:npm/left-pad@two", "two"), Ok(true), "the same text needs no order");
    assert!(pattern("pkg:npm/left-pad@<2.0").bounds_hold(&package("pkg:npm/left-pad", "1.0"), None).is_err());
    assert_eq!(
        pattern("pkg:npm/left-pad@2.0").bounds_hold(&package("pkg:npm/left-pad", "1.0"), None),
        Ok(false)
    );
}

#[test]
fn a_denied_package_violates_and_is_named() {
    let case = Case::rule("packages: {deny: ['pkg:npm/left-pad', 'pkg:npm/other']}");
    assert_eq!(case.outcome(), Hold);
    let case = case.with(on_first(|p| p.1.packages.push(package("pkg:npm/left-pad", "1.3.0"))));
    assert_eq!(case.outcome(), Violate);
    assert_eq!(case.texts(), ["`pkg:npm/left-pad` is denied: left-pad 1.3.0"]);
    assert_eq!(case.messages()[0].platform, Some("linux/amd64".parse().unwrap()));
}

#[test]
fn a_gap_may_hide_a_denied_package() {
    let hide = on_first(|p| p.1.gaps.push(gap("app/package-lock.json", "npm")));
    let case = Case::rule("packages: {deny: ['pkg:npm/left-pad']}").with(hide);
    assert_eq!(case.outcome(), Undecided);
    let found = case.with(on_first(|p| p.1.packages.push(package("pkg:npm/left-pad", "1.3.0"))));
    assert_eq!(found.outcome(), Violate, "what was found is found");
}

#[test]
fn an_inventory_that_is_not_known_is_undecided() {
    for fact in [Fact::Absent, Fact::Unknown("x".to_owned())] {
        let case = Case::rule("packages: {deny: ['pkg:npm/left-pad']}")
            .with(on_first(move |p| p.0.inventory = fact.clone()));
        assert_eq!(case.outcome(), Undecided);
    }
}

#[test]
fn a_required_package_must_be_on_every_platform() {
    let case = Case::rule("packages: {require: ['pkg:deb/debian/ca-certificates']}");
    assert_eq!(case.outcome(), Violate);
    assert_eq!(case.texts().len(), 2, "one for each platform");
    let gaps = case.clone().with(|e| {
        for platform in e.platforms_mut() {
            platform.inventory_mut().gaps.push(gap("var/lib/dpkg/status", "dpkg"));
        }
    });
    assert_eq!(gaps.outcome(), Undecided);
    let there = gaps.with(|e| {
        for platform in e.platforms_mut() {
            platform.inventory_mut().packages.push(package("pkg:deb/debian/ca-certificates", "1"));
        }
    });
    assert_eq!(there.outcome(), Hold, "one accepted piece of evidence is enough");
}

#[test]
fn a_pattern_that_could_never_match_is_an_error() {
    for (text, message) in [
        ("pkg:nmp/event-stream", "`nmp` is no type"),
        ("pkg:npm/event-*", "without wildcards"),
        ("pkg:deb/openssl", "does not say the distribution"),
        ("event-stream", "does not begin with `pkg:`"),
        ("pkg:npm/x@<", "no version and no range"),
        ("pkg:npm/x@1.*", "no version and no range"),
        ("pkg:npm/x@~>1.0", "no version and no range"),
        ("pkg:npm/x@>=1.0 <2", "no version and no range"),
    ] {
        let error = Case::error(&format!("packages: {{deny: ['{text}']}}"));
        assert!(error.message.contains(message), "{text}: {error}");
    }
    let error = Case::error("packages: {deny: ['pkg:nmp/event-stream']}");
    assert_eq!(error.help.as_deref(), Some("did you mean `npm`?"));
}
