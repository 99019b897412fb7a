use super::*;
use crate::model::fact::Fact;
use crate::policy::fixture::{ci, evidence, sbom, sec, signature, signed};

const FILE: &str = "ci: {github: acme/app, workflow: .github/workflows/release.yml, refs: [refs/heads/main]}\n\
                    sec: {issuer: 'https://accounts.google.com', subject: security@acme.example}\n\
                    anybody: {issuer: {glob: 'https://**'}, subject: {glob: '**/release.yml@**'}}\n\
                    ours:\n  log: optional\n  key: |\n    -----BEGIN PUBLIC KEY-----\n    \
                    MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE2G2Y+2tabdTV5BcGiBIx0a9fAFwr\n    \
                    kBbmLSGtks4L3qX6yYY0zufBnhC8Ur/iy55GhWP/9A/bY2LhC30M9+RYtw==\n    -----END PUBLIC KEY-----\n";

fn chosen(names: &[&str], require: Require) -> Result<Signatories, String> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    NamedIdentities::parse(FILE.as_bytes()).unwrap().choose(&names, require)
}

fn outcome(names: &[&str], require: Require, change: impl FnOnce(&mut Evidence)) -> Outcome {
    let mut evidence = evidence();
    change(&mut evidence);
    let demand = Demand::signature(&chosen(names, require).unwrap(), &BTreeMap::new());
    demand.decide(&evidence, "2026-11-24T12:00:00Z".parse().unwrap()).0
}

#[test]
fn the_names_of_a_file_are_chosen_from_and_counted() {
    assert_eq!(chosen(&[], Require::Any).unwrap().needed(), 1);
    let all = chosen(&[], Require::All).unwrap();
    assert_eq!((all.needed(), all.keys().count(), all.have_certificates()), (4, 1, true));
    let ours = chosen(&["ours"], Require::All).unwrap();
    assert_eq!((ours.needed(), ours.have_certificates()), (1, false));
    assert_eq!(chosen(&["ci", "sec"], Require::AtLeast(2)).unwrap().needed(), 2);
    for (names, require, words) in [
        (&["cj"][..], Require::Any, "there is no `cj`, only ci, sec, anybody, ours"),
        (&["ci", "ci"], Require::Any, "`ci` is the same identity as another"),
        (&["ci", "sec"], Require::AtLeast(3), "3 of 2 identities cannot be required"),
        (&["ci", "sec"], Require::AtLeast(0), "0 of 2 identities cannot be required"),
    ] {
        assert_eq!(chosen(names, require).unwrap_err(), words);
    }
    assert!(Signatories::new(Vec::new(), Require::All).is_err(), "nobody");
}

#[test]
fn a_file_that_is_wrong_is_none() {
    for bad in [
        "",
        "{}",
        "[]",
        "ci: {github: acme}",
        "ci: {github: acme/app}\nci: {github: acme/other}",
        "ci: {github: acme/app, unknown: x}",
        "identities: {ci: {github: acme/app}}",
        "ci: &a {github: acme/app}",
    ] {
        assert!(NamedIdentities::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn so_many_must_sign_each_by_himself() {
    let both = || signed([(ci(), signature()), (sec(), signature())]);
    assert_eq!(outcome(&["ci", "sec"], Require::All, both()), Outcome::Hold);
    assert_eq!(outcome(&["ci", "sec"], Require::Any, signed([(sec(), signature())])), Outcome::Hold);
    for (names, signatures) in [
        (["ci", "sec"], signed([(ci(), signature()), (ci(), signature())])),
        // Attack: what is no signature, as the one that is missing.
        (["ci", "sec"], signed([(ci(), signature()), (sec(), sbom())])),
    ] {
        assert_eq!(outcome(&names, Require::All, signatures), Outcome::Violate);
    }
    // Attack: one signer who is two of those that are named.
    assert_eq!(outcome(&["ci", "anybody"], Require::All, signed([(ci(), signature())])), Outcome::Violate);
    assert_eq!(outcome(&["ci", "anybody"], Require::Any, signed([(ci(), signature())])), Outcome::Hold);
}

#[test]
fn a_count_of_signatures_says_who_is_missing() {
    let mut evidence = evidence();
    signed([(ci(), signature()), (sec(), signature())])(&mut evidence);
    let Fact::Known(attested) = &evidence.attested else { panic!("not known") };
    let all: Vec<&Attestation> = attested[0].attestations.iter().collect();
    let by = chosen(&["ci", "sec"], Require::All).unwrap();
    by.signed(&all).unwrap();
    let missing = by.signed(&all[..1]).unwrap_err();
    assert!(missing.headline.contains("1 of 2") && missing.headline.contains("`sec`"), "{missing:?}");
    let missing = chosen(&["ci"], Require::Any).unwrap().signed(&all[1..]).unwrap_err();
    assert!(missing.others.iter().any(|other| other.contains("security@acme.example")), "{missing:?}");
    // Attack: one signer who is two of those that are named.
    assert!(chosen(&["ci", "anybody"], Require::All).unwrap().signed(&[all[0], all[0]]).is_err());
}

/// Attack: one workflow, run for a branch and for a tag, as the two who must have signed.
#[test]
fn one_workflow_of_two_refs_is_one_signer() {
    let file = "main: {github: acme/app, workflow: .github/workflows/release.yml, refs: [refs/heads/main]}\n\
                tag: {github: acme/app, workflow: .github/workflows/release.yml, refs: ['refs/tags/*']}\n\
                sec: {issuer: 'https://accounts.google.com', subject: security@acme.example}\n";
    let of = |name: &str| match ci() {
        SignedBy::Certificate(mut signer) => {
            let workflow = "https://github.com/acme/app/.github/workflows/release.yml";
            signer.name = crate::model::signer::Name::Uri(format!("{workflow}@{name}"));
            let reference = crate::model::signer::Claim::SourceRepositoryRef;
            signer.claims.insert(reference, name.to_owned());
            SignedBy::Certificate(signer)
        }
        SignedBy::Key(_) => panic!("no certificate"),
    };
    let decide = |names: [&str; 2], require, who: [SignedBy; 2]| {
        let mut evidence = evidence();
        signed(who.map(|who| (who, signature())))(&mut evidence);
        let names = names.map(str::to_owned);
        let by = NamedIdentities::parse(file.as_bytes()).unwrap().choose(&names, require).unwrap();
        let demand = Demand::signature(&by, &BTreeMap::new());
        demand.decide(&evidence, "2026-11-24T12:00:00Z".parse().unwrap())
    };
    let both = || [of("refs/heads/main"), of("refs/tags/v1")];
    assert_eq!(decide(["main", "tag"], Require::Any, both()).0, Outcome::Hold);
    assert_eq!(decide(["main", "tag"], Require::All, both()).0, Outcome::Violate);
    let (_, messages) = decide(["main", "tag"], Require::All, both());
    assert!(
        messages[0].text.contains("only 1 of 2") && messages[0].text.contains("counts once"),
        "{messages:?}"
    );
    assert_eq!(decide(["main", "sec"], Require::All, [of("refs/heads/main"), sec()]).0, Outcome::Hold);
}
