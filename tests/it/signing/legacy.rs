//! What is hung under cosign's tags: added to what is there, once, and replaced.

use serde_json::{Value, json};

use super::{APP, CYCLONEDX, KINDS, Stage};
use crate::support::judges::{Form, Hung, Judge, PASSWORD};
use crate::support::registry::{Fault, Referrers, on};
use crate::support::sigstore::{GITHUB, Version};

const WORKFLOW: &str = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main";

impl Stage {
    /// What is under cosign's tag of the image itself.
    fn under(&self, suffix: &str) -> Value {
        let digest = self.image.rsplit('@').next().unwrap();
        let (_, _, bytes) =
            self.registry.manifest(APP, &format!("{}.{suffix}", digest.replace(':', "-"))).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    fn layers(&self, suffix: &str) -> usize {
        self.under(suffix)["layers"].as_array().unwrap().len()
    }

    fn sign_as(&self, format: &str, more: &[&str]) -> Value {
        let all = [&["--format", format], more].concat();
        self.signing("sign", &self.token(), Version::V1, &all).ended(0).json()
    }
}

#[test]
fn both_forms_are_made_once_each() {
    for referrers in KINDS {
        let stage = Stage::set(referrers);
        let signed = stage.sign_as("both", &[]);
        for manifest in signed["images"][0]["manifests"].as_array().unwrap() {
            assert!(manifest["referrer"].is_string() && manifest["tag"].is_string(), "{signed:#}");
        }
        assert_eq!(stage.sigstore.certificates(), 1);
        // A statement and a payload for each of three manifests.
        assert_eq!(stage.sigstore.entries(Version::V1).len(), 6);
        stage.gate("signature: {by: [ci], perPlatform: true}").ended(0);
        for format in ["both", "legacy", "bundle"] {
            let again = stage.sign_as(format, &[]);
            let manifest = &again["images"][0]["manifests"][0];
            assert!(manifest["referrer"].is_null() && manifest["tag"].is_null(), "{again:#}");
        }
        assert_eq!(stage.sigstore.entries(Version::V1).len(), 6);
        assert_eq!(stage.layers("sig"), 1);
        // Other annotations are another signature.
        stage.sign_as("legacy", &["--no-recursive", "-a", "run=2"]);
        assert_eq!(stage.layers("sig"), 2);
        stage.gate("signature: {by: [ci], annotations: {run: '2'}}").ended(0);
    }
}

#[test]
fn a_form_that_is_missing_is_made_beside_the_other() {
    let stage = Stage::set(Referrers::Off);
    stage.sign_as("legacy", &["--no-recursive"]);
    assert_eq!(stage.registry.tags(APP).len(), 2);
    let signed = stage.sign_as("both", &["--no-recursive"]);
    let manifest = &signed["images"][0]["manifests"][0];
    assert!(manifest["referrer"].is_string() && manifest["tag"].is_null(), "{signed:#}");
    assert_eq!(stage.layers("sig"), 1);
}

#[test]
fn an_attestation_in_both_forms_is_one_entry_and_is_replaced_in_both() {
    for referrers in KINDS {
        let stage = Stage::set(referrers);
        let document = |version: u32| json!({"bomFormat": "CycloneDX", "version": version});
        stage.attest(&document(1), Version::V1, &["--format", "both"]).ended(0);
        assert_eq!(stage.sigstore.entries(Version::V1).len(), 1);
        let other = stage.write("other.json", "{}");
        let more = ["--format", "legacy", "--type", "custom", "--predicate", &other];
        stage.signing("attest", &stage.token(), Version::V1, &more).ended(0);
        assert_eq!(stage.layers("att"), 2);
        let of_version = |version: u32| {
            stage.gate(&format!(
                "attestation: {{type: {CYCLONEDX}, by: [ci], where: {{version: '{version}'}}}}"
            ))
        };
        // What is replaced is gone in both forms, whichever the new one has, and nothing else is.
        let replaced = stage.attest(&document(2), Version::V1, &["--replace", "--format", "legacy"]);
        let replaced = replaced.ended(0).json();
        let manifest = &replaced["images"][0]["manifests"][0];
        assert_eq!(manifest["replaced"].as_array().unwrap().len(), 2, "{replaced:#}");
        assert_eq!(stage.layers("att"), 2);
        of_version(2).ended(0);
        of_version(1).ended(1);
        stage.attest(&document(3), Version::V1, &["--replace"]).ended(0);
        assert_eq!(stage.layers("att"), 1);
        of_version(3).ended(0);
        of_version(2).ended(1);
        stage.gate("attestation: {type: custom, by: [ci]}").ended(0);
    }
}

#[test]
fn the_last_attestation_of_a_tag_is_replaced_by_a_bundle() {
    for referrers in KINDS {
        let stage = Stage::set(referrers);
        stage.attest(&json!({"version": 1}), Version::V1, &["--format", "legacy"]).ended(0);
        let of_version = |version: u32| {
            stage.gate(&format!(
                "attestation: {{type: {CYCLONEDX}, by: [ci], where: {{version: '{version}'}}}}"
            ))
        };
        of_version(1).ended(0);
        stage.attest(&json!({"version": 2}), Version::V1, &["--replace"]).ended(0);
        of_version(2).ended(0);
        of_version(1).ended(1);
        // And what is left of the tag is added to again.
        stage.attest(&json!({"version": 3}), Version::V1, &["--format", "legacy"]).ended(0);
        assert_eq!(stage.layers("att"), 1);
        of_version(3).ended(0);
    }
}

#[test]
fn the_legacy_form_needs_a_log_of_version_1() {
    let stage = Stage::set(Referrers::Off);
    for format in ["legacy", "both"] {
        let run = stage.signing("sign", &stage.token(), Version::V2, &["--format", format]).ended(3);
        assert!(run.err().contains("needs a log of version 1"), "{}", run.err());
        stage.signing("sign", &stage.token(), Version::V1, &["--format", format, "--log", "v2"]).ended(2);
    }
    assert_eq!(stage.sigstore.certificates(), 0);
    stage.signing("sign", &stage.token(), Version::V1, &["--format", "neither"]).ended(2);
}

#[test]
fn what_is_under_the_tag_and_cannot_be_read_is_not_written_over() {
    let stage = Stage::set(Referrers::Off);
    let digest = stage.image.rsplit('@').next().unwrap().replace(':', "-");
    stage.registry.script(on("GET", ".sig").times(1_000), [Fault::bare(403)]);
    stage.signing("sign", &stage.token(), Version::V1, &["--format", "legacy"]).ended(3);
    stage.registry.unscript();
    let index = "application/vnd.oci.image.index.v1+json";
    let bytes = json!({"schemaVersion": 2, "mediaType": index, "manifests": []}).to_string();
    stage.registry.put_manifest(APP, Some(&format!("{digest}.sig")), index, bytes.as_bytes());
    stage.signing("sign", &stage.token(), Version::V1, &["--format", "legacy"]).ended(3);
    assert_eq!(stage.under("sig")["mediaType"], index);
}

/// Cosign's own signature stays where ours is added, and the other way round; each still counts.
#[test]
fn cosign_and_portcullis_share_a_tag() {
    let Some(cosign) = Judge::Cosign.installed() else { return };
    let stage = Stage::set(Referrers::Off);
    let (key, public) = cosign.generate_key_pair();
    let (key, public) = (key.to_str().unwrap(), public.to_str().unwrap());
    let what = (Form::Message, Hung::Legacy);
    cosign.hang(&stage.sigstore, &stage.files, Version::V1, &stage.token(), what, &stage.image).unwrap();
    // Ours, with a key this time.
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(["--insecure-registry", &stage.address, "sign", "--format", "legacy", "--key", key]);
    command.args(["--signing-config", stage.files.signing_config_v1.to_str().unwrap()]);
    command.args(["--trusted-root", stage.files.trusted_root.to_str().unwrap(), &stage.image]);
    command.env_clear().env("HOME", stage.folder.path()).env("COSIGN_PASSWORD", PASSWORD);
    crate::support::cli::Run::of(&mut command).ended(0);
    assert_eq!(stage.layers("sig"), 2);
    cosign.hangs(&stage.files, what, WORKFLOW, GITHUB, &stage.image).unwrap();
    let by_key = ["verify", "--new-bundle-format=false", "--key", public, "--trusted-root"];
    let root = stage.files.trusted_root.to_str().unwrap();
    cosign.run(&[by_key.as_slice(), &[root, &stage.image]].concat()).unwrap();
    stage.gate("signature: {by: [ci]}").ended(0);
    cosign.hang(&stage.sigstore, &stage.files, Version::V1, &stage.token(), what, &stage.image).unwrap();
    stage.gate("signature: {by: [ci]}").ended(0);
    cosign.run(&[by_key.as_slice(), &[root, &stage.image]].concat()).unwrap();
}
