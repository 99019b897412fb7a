//! SBOMs that are too large for Rekor v1 and go to v2 by themselves.

use serde_json::{Value, json};

use super::{CYCLONEDX, Stage};
use crate::support::cli::Run;
use crate::support::registry::Referrers;
use crate::support::sigstore::Version;

/// An SBOM of about so many bytes.
fn sbom(bytes: usize) -> Value {
    let component = |number: usize| {
        let name = format!("component-{number:07}");
        let purl = format!("pkg:npm/%40acme/{name}@1.2.{number}");
        json!({"type": "library", "name": name, "version": format!("1.2.{number}"), "purl": purl})
    };
    let each = component(0).to_string().len() + 1;
    let components: Vec<Value> = (0..bytes.div_ceil(each)).map(component).collect();
    json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components})
}

/// Attests with a configuration that has both versions of Rekor.
fn attest(stage: &Stage, predicate: &Value, more: &[&str]) -> Run {
    let file = stage.write("predicate.json", &predicate.to_string());
    let config = stage.write("both.json", &stage.sigstore.signing_config_of_both().to_string());
    let (token, root) = (stage.token(), stage.files.trusted_root.to_str().unwrap());
    let own = ["attest", "--type", "cyclonedx", "--predicate", &file, "--identity-token", &token];
    let services = ["--signing-config", &config, "--trusted-root", root, "-o", "json"];
    stage.run(&[own.as_slice(), &services, more, &[&stage.image]].concat())
}

#[test]
fn an_sbom_of_20_mb_is_attested_through_the_log_of_version_2_and_verified() {
    let stage = Stage::set(Referrers::Native { page_size: 100 });
    let sbom = sbom(20_000_000);
    assert!(sbom.to_string().len() >= 20_000_000);
    attest(&stage, &sbom, &[]).ended(0);
    let entries = |version| stage.sigstore.entries(version).len();
    assert_eq!((entries(Version::V1), entries(Version::V2)), (0, 1));
    // It was not even offered to the other.
    assert_eq!(stage.sigstore.rekor.count(), 0);
    let rule = format!("attestation: {{type: {CYCLONEDX}, by: [ci], where: {{specVersion: '1.6'}}}}");
    stage.gate(&rule).ended(0);
}

#[test]
fn what_the_log_of_version_1_refuses_goes_to_version_2_and_all_else_does_not() {
    let stage = Stage::set(Referrers::Off);
    attest(&stage, &json!({"small": true}), &[]).ended(0);
    let entries = |version| stage.sigstore.entries(version).len();
    assert_eq!((entries(Version::V1), entries(Version::V2)), (1, 0));
    stage.sigstore.rekor.limit(100_000);
    attest(&stage, &sbom(500_000), &[]).ended(0);
    assert_eq!((entries(Version::V1), entries(Version::V2)), (1, 1));
    stage
        .gate(&format!("attestation: {{type: {CYCLONEDX}, by: [ci], where: {{specVersion: '1.6'}}}}"))
        .ended(0);
    // Who has no other log, or wants no other, is told of it.
    let refused = stage.attest(&sbom(600_000), Version::V1, &[]).ended(3);
    assert!(refused.err().contains("a log of version 2 takes it"), "{}", refused.err());
    let refused = attest(&stage, &sbom(600_000), &["--log", "v1"]).ended(3);
    assert!(refused.err().contains("a log of version 2 takes it"), "{}", refused.err());
    assert_eq!((entries(Version::V1), entries(Version::V2)), (1, 1));
}
