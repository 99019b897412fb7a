//! Keys that somebody manages: made here and by cosign, used by the other, and never shown.

use std::process::Command;

use serde_json::{Value, json};

use super::{APP, Stage, message};
use crate::support::cli::Run;
use crate::support::judges::{Installed, Judge, PASSWORD, PREDICATE, predicate};
use crate::support::registry::Referrers;
use crate::support::sigstore::Version;

/// A key pair in files, and its password.
pub(super) struct Keys {
    private: String,
    pub(super) public: String,
}

impl Stage {
    /// Runs the command with the password of a key in a variable.
    fn with_password(&self, variable: &str, password: &str, arguments: &[&str]) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command.args(["--insecure-registry", &self.address]).args(arguments);
        command.env_clear().env("HOME", self.folder.path()).env("PORTCULLIS_TRUST_REFRESH", "never");
        command.env(variable, password);
        command.current_dir(self.folder.path());
        Run::of(&mut command)
    }

    fn keyed(&self, arguments: &[&str]) -> Run {
        self.with_password("COSIGN_PASSWORD", PASSWORD, arguments)
    }

    pub(super) fn generate(&self, prefix: &str) -> Keys {
        self.keyed(&["generate-key", "--output-key-prefix", prefix]).ended(0);
        let file =
            |suffix: &str| self.folder.path().join(format!("{prefix}.{suffix}")).to_str().unwrap().to_owned();
        Keys { private: file("key"), public: file("pub") }
    }

    /// `sign`, `attest` or `sign-bundle` with a key.
    pub(super) fn sign_with(&self, command: &str, keys: &Keys, rekor: Version, more: &[&str]) -> Run {
        let (config, root) = (self.files.signing_config(rekor), &self.files.trusted_root);
        let services =
            ["--signing-config", config.to_str().unwrap(), "--trusted-root", root.to_str().unwrap()];
        self.keyed(&[[command, "--key", &keys.private].as_slice(), &services, more].concat())
    }

    /// The image judged by what this key signed.
    pub(super) fn gate_by_key(&self, keys: &Keys, rule: &str, more: &[&str]) -> Run {
        let public = std::fs::read_to_string(&keys.public).unwrap().replace('\n', "\n      ");
        let policy = format!(
            "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {{name: test}}\nidentities:\n  ours:\n    \
             key: |\n      {public}\nrules:\n- id: rule\n  {rule}\n"
        );
        let policy = self.write("policy.yaml", &policy);
        let root = self.files.trusted_root.to_str().unwrap();
        let own = ["gate", &self.image, "--policy", &policy, "--trusted-root", root, "-o", "json"];
        self.run(&[own.as_slice(), more].concat())
    }
}

const VERSIONS: [Version; 2] = [Version::V1, Version::V2];
const SIGNED: &str = "signature: {by: [ours]}";

fn cosign_s(cosign: &Installed) -> Keys {
    let (private, public) = cosign.generate_key_pair();
    let text = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    Keys { private: text(private), public: text(public) }
}

#[test]
fn a_key_signs_files_and_images_without_a_certificate() {
    let stage = Stage::set(Referrers::Off);
    let (keys, other) = (stage.generate("cosign"), stage.generate("other"));
    let artifact = stage.write("artifact", "what is signed");
    let bundle = stage.folder.path().join("bundle.json").to_str().unwrap().to_owned();
    let root = stage.files.trusted_root.to_str().unwrap().to_owned();
    for rekor in VERSIONS {
        stage.sign_with("sign-bundle", &keys, rekor, &["--bundle", &bundle, &artifact]).ended(0);
        let verify = ["verify-bundle", "--bundle", &bundle, "--trusted-root", &root, "--key"];
        stage.run(&[verify.as_slice(), &[&keys.public, &artifact]].concat()).ended(0);
        stage.run(&[verify.as_slice(), &[&other.public, &artifact]].concat()).ended(1);
    }
    stage.gate_by_key(&keys, SIGNED, &[]).ended(1);
    stage.sign_with("sign", &keys, Version::V1, &[&stage.image]).ended(0);
    stage.gate_by_key(&keys, SIGNED, &[]).ended(0);
    stage.gate_by_key(&other, SIGNED, &[]).ended(1);
    // The same again makes nothing anew.
    let entries = stage.sigstore.entries(Version::V1).len();
    stage.sign_with("sign", &keys, Version::V1, &[&stage.image]).ended(0);
    assert_eq!(stage.sigstore.entries(Version::V1).len(), entries);
    assert_eq!(stage.sigstore.certificates(), 0);
}

/// What the log and the authorities said taken out of a signature: no verifier accepts it, and it does not stand for
/// the one that is to be made.
#[test]
fn a_signature_whose_log_entry_was_taken_away_is_made_anew() {
    for rekor in VERSIONS {
        let stage = Stage::set(Referrers::Native { page_size: 100 });
        let keys = stage.generate("cosign");
        let sign = || {
            let signed =
                stage.sign_with("sign", &keys, rekor, &["--no-recursive", "-o", "json", &stage.image]);
            signed.ended(0).json()["images"][0]["manifests"][0]["referrer"].clone()
        };
        let referrer = sign();
        stage.gate_by_key(&keys, SIGNED, &[]).ended(0);
        strip(&stage, referrer.as_str().unwrap());
        let refused = stage.gate_by_key(&keys, SIGNED, &[]).ended(1);
        assert!(message(&refused).contains("logMissing"), "{}", message(&refused));
        assert!(sign().is_string(), "{rekor:?}: the stripped one was taken for done");
        stage.gate_by_key(&keys, SIGNED, &[]).ended(0);
        assert!(sign().is_null(), "{rekor:?}: made a third time");
    }
}

/// Puts the bundle of a referrer without log entries and timestamps in its place.
fn strip(stage: &Stage, referrer: &str) {
    let (_, kind, manifest) = stage.registry.manifest(APP, referrer).unwrap();
    let mut manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let layer = &mut manifest["layers"][0];
    let bundle = stage.registry.blob(APP, layer["digest"].as_str().unwrap()).unwrap();
    let mut bundle: Value = serde_json::from_slice(&bundle).unwrap();
    let material = &mut bundle["verificationMaterial"];
    material["tlogEntries"] = json!([]);
    material["timestampVerificationData"] = json!({});
    let bundle = bundle.to_string();
    layer["digest"] = stage.registry.put_blob(APP, bundle.as_bytes()).into();
    layer["size"] = bundle.len().into();
    stage.registry.with(APP, |holds| holds.remove_manifest(referrer));
    stage.registry.put_manifest(APP, None, &kind, manifest.to_string().as_bytes());
}

#[test]
fn a_key_is_nobody_else_s_and_never_written_over() {
    use std::os::unix::fs::PermissionsExt as _;
    let stage = Stage::set(Referrers::Off);
    let keys = stage.generate("cosign");
    let before = std::fs::read(&keys.private).unwrap();
    assert_eq!(std::fs::metadata(&keys.private).unwrap().permissions().mode() & 0o777, 0o600);
    let again = stage.keyed(&["generate-key"]).ended(2);
    assert!(again.err().contains("not written over"), "{}", again.err());
    // A dangling link is something too.
    std::os::unix::fs::symlink("nowhere", stage.folder.path().join("link.key")).unwrap();
    stage.keyed(&["generate-key", "--output-key-prefix", "link"]).ended(2);
    assert!(!stage.folder.path().join("nowhere").exists() && !stage.folder.path().join("link.pub").exists());
    assert_eq!(std::fs::read(&keys.private).unwrap(), before);
    // No terminal, no variable: nobody is asked, nothing is made.
    let asked = stage.with_password("HOME", "/", &["generate-key", "--output-key-prefix", "none"]).ended(2);
    assert!(asked.err().contains("COSIGN_PASSWORD"), "{}", asked.err());
    assert!(!stage.folder.path().join("none.key").exists());
}

#[test]
fn a_wrong_password_says_so_and_shows_nothing() {
    let stage = Stage::set(Referrers::Off);
    let keys = stage.generate("cosign");
    let artifact = stage.write("artifact", "what is signed");
    let sign = ["sign-bundle", "--key", &keys.private, "--bundle", "bundle.json", &artifact];
    let wrong = stage.with_password("PORTCULLIS_KEY_PASSWORD", "hunter2", &sign).ended(2);
    assert!(wrong.err().contains("password is wrong") && !wrong.err().contains("hunter2"), "{}", wrong.err());
    let both = [&sign[..], &["--identity-token", "a.b.c"]].concat();
    stage.keyed(&both).ended(2);
    assert_eq!(stage.sigstore.journal().len(), 0);
}

/// Keys of cosign sign here and keys of ours sign there; either verifies both.
#[test]
fn keys_are_exchanged_with_cosign_both_ways() {
    let Some(cosign) = Judge::Cosign.installed() else { return };
    let stage = Stage::set(Referrers::Off);
    let root = stage.files.trusted_root.to_str().unwrap().to_owned();
    let artifact = stage.write("artifact", "what is signed");
    let bundle = stage.folder.path().join("bundle.json").to_str().unwrap().to_owned();
    let services = |rekor| {
        let config = stage.files.signing_config(rekor).to_str().unwrap().to_owned();
        ["--yes".to_owned(), "--trusted-root".into(), root.clone(), "--signing-config".into(), config]
    };
    let run = |head: &[&str], rekor: Version, tail: &[&str]| {
        let services = services(rekor);
        let services: Vec<&str> = services.iter().map(String::as_str).collect();
        cosign.run(&[head, &services, tail].concat()).unwrap();
    };
    for (name, keys) in [("ours", stage.generate("ours")), ("cosign", cosign_s(&cosign))] {
        for rekor in VERSIONS {
            let accepted = |by: &str| {
                let verify = ["verify-bundle", "--bundle", &bundle, "--trusted-root", &root];
                stage.run(&[verify.as_slice(), &["--key", &keys.public, &artifact]].concat()).ended(0);
                let verify = ["verify-blob", "--key", &keys.public, "--bundle", &bundle];
                let trusted = ["--trusted-root", &root, "--use-signed-timestamps", &artifact];
                let said = cosign.run(&[verify.as_slice(), &trusted].concat());
                said.unwrap_or_else(|said| panic!("{name} {rekor:?} by {by}: {said}"));
            };
            run(&["sign-blob", "--key", &keys.private, "--bundle", &bundle], rekor, &[&artifact]);
            accepted("cosign");
            stage.sign_with("sign-bundle", &keys, rekor, &["--bundle", &bundle, &artifact]).ended(0);
            accepted("portcullis");
        }
    }
}

#[test]
fn images_signed_with_keys_are_accepted_by_cosign_and_those_of_cosign_here() {
    let Some(cosign) = Judge::Cosign.installed() else { return };
    for rekor in VERSIONS {
        let stage = Stage::set(Referrers::Off);
        let keys = stage.generate("cosign");
        let root = stage.files.trusted_root.to_str().unwrap();
        let attested = format!("attestation: {{type: '{PREDICATE}', by: [ours]}}");
        let predicate = stage.write("predicate.json", &predicate().to_string());
        let accepts = |command: &[&str]| {
            let trusted = ["--key", &keys.public, "--trusted-root", root, "--use-signed-timestamps"];
            cosign.run(&[command, &trusted, &[&stage.image]].concat())
        };
        accepts(&["verify"]).unwrap_err();
        stage.sign_with("sign", &keys, rekor, &[&stage.image]).ended(0);
        accepts(&["verify"]).unwrap();
        let attest = ["--type", PREDICATE, "--predicate", &predicate, &stage.image];
        stage.gate_by_key(&keys, &attested, &[]).ended(1);
        stage.sign_with("attest", &keys, rekor, &attest).ended(0);
        stage.gate_by_key(&keys, &attested, &[]).ended(0);
        accepts(&["verify-attestation", "--type", PREDICATE]).unwrap();
        // The other way, with an image that nobody has signed.
        let stage = Stage::set(Referrers::Off);
        let root = stage.files.trusted_root.to_str().unwrap();
        let services = ["--yes", "--key", &keys.private, "--trusted-root", root, "--signing-config"];
        let config = stage.files.signing_config(rekor).to_str().unwrap();
        stage.gate_by_key(&keys, SIGNED, &[]).ended(1);
        cosign.run(&[&["sign"], services.as_slice(), &[config, &stage.image]].concat()).unwrap();
        stage.gate_by_key(&keys, SIGNED, &[]).ended(0);
    }
}

#[test]
fn a_verdict_is_attested_with_a_key() {
    let stage = Stage::set(Referrers::Off);
    let keys = stage.generate("cosign");
    let policy = stage.write(
        "policy.yaml",
        "apiVersion: portcullis.dev/v1\nkind: Policy\nmetadata: {name: test}\nrules:\n- id: small\n  size: \
         {layersMax: 40}\n",
    );
    let gate = ["--attest", "--policy", &policy, &stage.image];
    stage.sign_with("gate", &keys, Version::V1, &gate).ended(0);
    let (root, summary) =
        (stage.files.trusted_root.to_str().unwrap(), "https://slsa.dev/verification_summary/v1");
    let verify = ["verify", &stage.image, "--trusted-root", root, "--type", summary, "--key"];
    stage.run(&[verify.as_slice(), &[&keys.public]].concat()).ended(0);
    let other = stage.generate("other");
    stage.run(&[verify.as_slice(), &[&other.public]].concat()).ended(1);
    assert_eq!(stage.sigstore.certificates(), 0);
}
