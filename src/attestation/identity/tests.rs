use std::collections::BTreeMap;

use super::*;
use crate::model::signer::Name;

const ISSUER: &str = "https://token.actions.githubusercontent.com";

fn signer(name: &str) -> Signer {
    let claims = BTreeMap::from([(Claim::BuildTrigger, "push".to_owned())]);
    Signer { name: Name::Uri(name.to_owned()), issuer: Some(ISSUER.to_owned()), claims }
}

fn identity(subject: Pattern) -> Identity {
    Identity::new(Pattern::exact(ISSUER).unwrap(), [(Field::Subject, subject)]).unwrap()
}

#[test]
fn an_unanchored_pattern_does_not_let_a_look_alike_in() {
    let pattern = identity(Pattern::regexp("https://github.com/acme/.*").unwrap());
    assert!(pattern.check(&signer("https://github.com/acme/x")).is_ok());
    for evil in [
        "https://evil.example/?https://github.com/acme/x",
        "https://github.com/acme",
        "https://github.com/acme/x\nhttps://github.com/evil/x",
    ] {
        assert!(pattern.check(&signer(evil)).is_err(), "{evil}");
    }
    assert!(!Pattern::regexp("a|b").unwrap().matches("ab"));
    assert!(!Pattern::regexp("a|b").unwrap().matches("xb"));
    assert!(!Pattern::regexp("(?m)^a$").unwrap().matches("b\na"));
    assert!(!Pattern::regexp("a").unwrap().matches("a\n"));
}

#[test]
fn a_pattern_cannot_step_out_of_its_anchors() {
    for pattern in ["a)|(?:b", "a)(?:b|", "(?x)a #", "("] {
        let built = Pattern::regexp(pattern);
        assert!(built.is_err(), "{built:?}");
    }
}

#[test]
fn what_matches_everything_or_nothing_is_refused() {
    for pattern in ["", ".*", "a*", "|a", "(?:)"] {
        assert!(Pattern::regexp(pattern).is_err(), "{pattern}");
    }
    for pattern in ["", "*", "**"] {
        assert!(Pattern::glob(pattern).is_err(), "{pattern}");
    }
    assert!(Pattern::exact("").is_err());
    let issuer = || Pattern::exact(ISSUER).unwrap();
    assert!(Identity::new(issuer(), []).is_err());
    assert!(Identity::new(issuer(), [(Field::Issuer, issuer())]).is_err());
}

#[test]
fn a_glob_s_star_stops_at_a_slash() {
    let glob = Pattern::glob("https://github.com/acme/*/.github/workflows/r?lease.yml@refs/tags/**").unwrap();
    assert!(glob.matches("https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1/x"));
    for other in [
        "https://github.com/acme/app/evil/.github/workflows/release.yml@refs/tags/v1",
        "https://github.com/acme/app/.github/workflows/r/lease.yml@refs/tags/v1",
        "https://githubXcom/acme/app/.github/workflows/release.yml@refs/tags/v1",
        "xhttps://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1",
        "HTTPS://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1",
    ] {
        assert!(!glob.matches(other), "{other}");
    }
    assert!(Pattern::glob("é*").unwrap().matches("éa"));
    assert!(Pattern::glob("a**").unwrap().matches("a\n/"));
}

#[test]
fn a_huge_pattern_is_refused_by_a_limit() {
    assert!(Pattern::regexp("(?:a{1000}){1000}").is_err());
    assert!(Pattern::exact(&"a".repeat(PATTERN + 1)).is_err());
}

#[test]
fn what_the_certificate_does_not_say_matches_nothing() {
    let any = |field| (field, Pattern::regexp(".+").unwrap());
    let issuer = || Pattern::exact(ISSUER).unwrap();
    let of = |field| Identity::new(issuer(), [any(field)]).unwrap().check(&signer("a"));
    assert!(of(Field::Claim(Claim::BuildTrigger)).is_ok());
    let missing = of(Field::Claim(Claim::SourceRepositoryRef)).unwrap_err();
    assert_eq!(missing[0].found, None);
    let nobody = Signer { issuer: None, ..signer("a") };
    assert!(identity(Pattern::exact("a").unwrap()).check(&nobody).is_err());
    let other = Signer { issuer: Some(format!("{ISSUER}.evil.example")), ..signer("a") };
    assert!(identity(Pattern::exact("a").unwrap()).check(&other).is_err());
}

#[test]
fn every_field_has_a_name_that_finds_it() {
    let names: Vec<String> = Field::all().map(|field| field.to_string()).collect();
    assert_eq!(names.len(), 23);
    for name in names {
        assert_eq!(name.parse::<Field>().unwrap().to_string(), name);
    }
    assert!("Subject".parse::<Field>().is_err());
}
