use super::*;

fn statement(fields: &str) -> Result<Statement, String> {
    let digest = "0".repeat(64);
    let base = r#"{"_type":"https://in-toto.io/Statement/v1","predicateType":"p","subject":[{"digest":{"sha256":"D"}}]}"#;
    let base = base.replace('D', &digest);
    Statement::read(base.replace(r#""predicateType":"p""#, fields).as_bytes())
}

fn zeros() -> Digest {
    format!("sha256:{}", "0".repeat(64)).parse().unwrap()
}

#[test]
fn both_versions_are_read_and_no_other() {
    for version in ["v1", "v0.1"] {
        let text = format!(
            r#"{{"_type":"https://in-toto.io/Statement/{version}","predicateType":"p","subject":[{{"digest":{{"a":"b"}}}}]}}"#
        );
        assert!(Statement::read(text.as_bytes()).is_ok(), "{version}");
        assert!(Statement::read(text.replace("Statement/", "Statement/x").as_bytes()).is_err());
    }
}

#[test]
fn a_missing_predicate_is_accepted_and_a_present_one_kept_as_it_is() {
    assert!(statement(r#""predicateType":"p""#).unwrap().predicate.is_none());
    let kept = statement(r#""predicateType":"p","predicate":{ "b":1,"a":1.50 }"#).unwrap();
    assert_eq!(kept.predicate.unwrap().get(), r#"{ "b":1,"a":1.50 }"#);
}

#[test]
fn every_subject_with_every_digest_is_looked_at() {
    let (a, b, c) = ("a".repeat(64), "B".repeat(64), "c".repeat(128));
    let text = format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","predicateType":"p","subject":[
            {{"name":"","digest":{{"gitCommit":"1","sha256":"{a}"}}}},
            {{"name":"x","digest":{{"sha512":"{c}","sha256":"{b}"}},"annotations":{{"k":"v"}},"uri":"u"}}]}}"#
    );
    let statement = Statement::read(text.as_bytes()).unwrap();
    let place = |text: &str| statement.about(&text.parse().unwrap());
    assert_eq!(place(&format!("sha256:{a}")), Some(0));
    assert_eq!(place(&format!("sha256:{}", "b".repeat(64))), Some(1));
    assert_eq!(place(&format!("sha512:{c}")), Some(1));
    assert_eq!(statement.about(&zeros()), None);
    assert_eq!((statement.subjects[0].name.as_deref(), statement.subjects[0].digests.len()), (None, 2));
    assert_eq!(statement.subjects[1].annotations["k"], "v");
}

#[test]
fn duplicates_and_odd_spellings_are_refused() {
    for bad in [
        r#""predicateType":"p","predicateType":"q""#,
        r#""predicateType":"p","predicate":{"a":1,"a":2}"#,
        r#""predicateType":"p","Predicate":{}"#,
        r#""PredicateType":"p""#,
        r#""predicateType":"""#,
    ] {
        assert!(statement(bad).is_err(), "{bad}");
    }
    // A predicate may call its own keys what it likes: here is an environment.
    assert!(statement(r#""predicateType":"p","predicate":{"http_proxy":"a","HTTP_PROXY":"b"}"#).is_ok());
    assert!(statement(r#""predicateType":"p","Subject":[]"#).is_err());
    assert!(statement(r#""predicateType":"p","predicate":{"Digest":1,"Subject":2}"#).is_ok());
}

#[test]
fn what_is_about_nothing_is_refused() {
    for subject in
        ["[]", r#"[{"digest":{}}]"#, r#"[{"digest":{"sha256":"00"}}]"#, r#"[{"Digest":{"a":"b"}}]"#]
    {
        let text = format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","predicateType":"p","subject":{subject}}}"#
        );
        assert!(Statement::read(text.as_bytes()).is_err(), "{subject}");
    }
}

#[test]
fn an_sbom_attestation_is_no_signature() {
    let of =
        |predicate: &str| statement(&format!(r#""predicateType":"{predicate}""#)).unwrap().is_signature();
    assert!(of(COSIGN_SIGN));
    for other in [
        "https://cyclonedx.org/bom",
        "https://slsa.dev/verification_summary/v1",
        "https://sigstore.dev/cosign/sign/v1/",
        "https://sigstore.dev/cosign/sign/v10",
    ] {
        assert!(!of(other), "{other}");
    }
}
